package oplog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"math"
	"math/bits"
	"sync"

	"github.com/transparency-dev/merkle"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"

	"cunban/kiosk/seal"
)

// HashSize is the length of leaf, node and root hashes, bytes.
const HashSize = seal.DigestSize

// Domain separation of RFC 6962 §2.1.
const (
	leafPrefix = 0x00
	nodePrefix = 0x01
)

// ErrTree means that stored tree state or nodes do not fit together.
var ErrTree = errors.New("tree state does not fit together")

// ErrProof means that a proof does not prove what it should.
var ErrProof = errors.New("proof does not hold")

// Hasher is RFC 6962 over SM3, for the functions of transparency-dev/merkle.
// It is safe for concurrent use.
var Hasher merkle.LogHasher = hasher{}

type hasher struct{}

func (hasher) EmptyRoot() []byte           { return seal.Digest() }
func (hasher) HashLeaf(leaf []byte) []byte { return LeafHash(leaf) }
func (hasher) HashChildren(l, r []byte) []byte {
	d := digesters.Get().(*digester)
	defer digesters.Put(d)
	b := append(append(append(d.room[:0], nodePrefix), l...), r...)
	return d.sum(b)
}
func (hasher) Size() int { return HashSize }

// LeafHash is SM3(0x00 ‖ record), where record is what Record.Encode wrote.
func LeafHash(record []byte) []byte {
	d := digesters.Get().(*digester)
	defer digesters.Put(d)
	return d.sum(append(append(d.room[:0], leafPrefix), record...))
}

// digester hashes again and again without making a new hash each time; what
// passes through it is public.
type digester struct {
	h    hash.Hash
	room [1 + usualRecord]byte
}

var digesters = sync.Pool{New: func() any { return &digester{h: seal.NewHash()} }}

func (d *digester) sum(b []byte) []byte {
	d.h.Reset()
	d.h.Write(b)
	return d.h.Sum(make([]byte, 0, HashSize))
}

var ranges = &compact.RangeFactory{Hash: hasher{}.HashChildren}

// NodeID names a node: level 0 are the leaves; (level, index) covers leaves
// [index·2^level, (index+1)·2^level).
type NodeID struct {
	Level int
	Index int64
}

// Node is a complete node, whose hash never changes any more.
type Node struct {
	Level int
	Index int64
	Hash  []byte
}

// Tree is the compact state of a log: the roots of its perfect subtrees. The
// zero value is the empty log.
type Tree struct{ r *compact.Range }

func (t *Tree) rng() *compact.Range {
	if t.r == nil {
		t.r = ranges.NewEmptyRange(0)
	}
	return t.r
}

// Append adds an encoded record and returns the nodes that it completed, the
// leaf first and upwards. Whoever stores them all can prove everything later.
func (t *Tree) Append(record []byte) []Node { return t.AppendHash(LeafHash(record)) }

// AppendHash is Append for a leaf hash (HashSize bytes).
func (t *Tree) AppendHash(leaf []byte) []Node {
	nodes := make([]Node, 0, 2)
	err := t.rng().Append(leaf, func(id compact.NodeID, hash []byte) {
		nodes = append(nodes, Node{int(id.Level), int64(id.Index), hash})
	})
	if err != nil {
		// Only a range with missing hashes fails, and every way into a Tree
		// counts them.
		panic("oplog: append: " + err.Error())
	}
	return nodes
}

// Size is the number of records.
func (t *Tree) Size() int64 {
	if t.r == nil {
		return 0
	}
	return int64(t.r.End())
}

// Root is the root hash; of the empty log SM3 of nothing.
func (t *Tree) Root() []byte {
	if t.Size() == 0 {
		return Hasher.EmptyRoot()
	}
	root, err := t.r.GetRootHash(nil)
	if err != nil {
		panic("oplog: root: " + err.Error()) // the range begins at 0, always
	}
	return root
}

// Hashes returns the roots of the perfect subtrees, left to right.
func (t *Tree) Hashes() [][]byte { return append([][]byte(nil), t.rng().Hashes()...) }

// Clone returns an independent copy, for a transaction that may fail.
func (t *Tree) Clone() *Tree {
	c, err := NewTree(t.Size(), t.Hashes())
	if err != nil {
		panic("oplog: clone: " + err.Error()) // the state was counted before
	}
	return c
}

// NewTree takes a size and the roots of its perfect subtrees, left to right.
// Errors: ErrTree.
func NewTree(size int64, hashes [][]byte) (*Tree, error) {
	if size < 0 || bits.OnesCount64(uint64(size)) != len(hashes) {
		return nil, fmt.Errorf("%w: %d hashes for size %d", ErrTree, len(hashes), size)
	}
	for _, h := range hashes {
		if len(h) != HashSize {
			return nil, fmt.Errorf("%w: a hash of %d bytes", ErrTree, len(h))
		}
	}
	r, err := ranges.NewRange(0, uint64(size), append([][]byte(nil), hashes...))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTree, err)
	}
	return &Tree{r}, nil
}

const treeVersion = 1

// Marshal writes the state: version (1 byte), size (8, big endian), hashes.
func (t *Tree) Marshal() []byte {
	b := binary.BigEndian.AppendUint64([]byte{treeVersion}, uint64(t.Size()))
	for _, h := range t.rng().Hashes() {
		b = append(b, h...)
	}
	return b
}

// UnmarshalTree reads what Marshal wrote. Errors: ErrTree.
func UnmarshalTree(b []byte) (*Tree, error) {
	if len(b) < 9 || b[0] != treeVersion || (len(b)-9)%HashSize != 0 {
		return nil, fmt.Errorf("%w: %d bytes", ErrTree, len(b))
	}
	size := binary.BigEndian.Uint64(b[1:])
	if size > math.MaxInt64 {
		return nil, fmt.Errorf("%w: size %d", ErrTree, size)
	}
	var hashes [][]byte
	for i := 9; i < len(b); i += HashSize {
		hashes = append(hashes, append([]byte(nil), b[i:i+HashSize]...))
	}
	return NewTree(int64(size), hashes)
}

// Getter fetches stored nodes; it must return one hash for each id, in order.
type Getter func(ids []NodeID) ([][]byte, error)

func (get Getter) fetch(ids []compact.NodeID) ([][]byte, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	want := make([]NodeID, len(ids))
	for i, id := range ids {
		want[i] = NodeID{int(id.Level), int64(id.Index)}
	}
	got, err := get(want)
	if err != nil {
		return nil, fmt.Errorf("fetch tree nodes: %w", err)
	}
	if len(got) != len(want) {
		return nil, fmt.Errorf("%w: %d of %d nodes", ErrTree, len(got), len(want))
	}
	out := make([][]byte, len(got))
	for i, h := range got {
		if len(h) != HashSize {
			return nil, fmt.Errorf("%w: node %d/%d has %d bytes", ErrTree, want[i].Level, want[i].Index, len(h))
		}
		out[i] = h
	}
	return out, nil
}

// TreeAt rebuilds the state at a size from stored nodes.
func TreeAt(size int64, get Getter) (*Tree, error) {
	if size < 0 {
		return nil, fmt.Errorf("%w: size %d", ErrTree, size)
	}
	hashes, err := get.fetch(compact.RangeNodes(0, uint64(size), nil))
	if err != nil {
		return nil, err
	}
	return NewTree(size, hashes)
}

// InclusionProof builds the proof that record index is in the log of a size,
// from O(log size) stored nodes.
func InclusionProof(index, size int64, get Getter) ([][]byte, error) {
	if index < 0 || size < 0 {
		return nil, fmt.Errorf("%w: record %d of %d", ErrTree, index, size)
	}
	n, err := proof.Inclusion(uint64(index), uint64(size))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTree, err)
	}
	return assemble(n, get)
}

// ConsistencyProof builds the proof that the log of size2 begins with the log
// of size1, from O(log size) stored nodes.
func ConsistencyProof(size1, size2 int64, get Getter) ([][]byte, error) {
	if size1 < 0 || size2 < 0 {
		return nil, fmt.Errorf("%w: sizes %d and %d", ErrTree, size1, size2)
	}
	n, err := proof.Consistency(uint64(size1), uint64(size2))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTree, err)
	}
	return assemble(n, get)
}

func assemble(n proof.Nodes, get Getter) ([][]byte, error) {
	hashes, err := get.fetch(n.IDs)
	if err != nil {
		return nil, err
	}
	p, err := n.Rehash(hashes, Hasher.HashChildren)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTree, err)
	}
	return p, nil
}

// VerifyInclusion checks that a leaf hash (see LeafHash) is record index of
// the log of a size with this root. Errors: ErrProof.
func VerifyInclusion(leafHash []byte, index, size int64, hashes [][]byte, root []byte) error {
	if index < 0 || size < 0 || !hashSizes(hashes, root) {
		return fmt.Errorf("%w: record %d of %d or a hash of wrong length", ErrProof, index, size)
	}
	if err := proof.VerifyInclusion(Hasher, uint64(index), uint64(size), leafHash, hashes, root); err != nil {
		return fmt.Errorf("%w: record %d of %d: %w", ErrProof, index, size, err)
	}
	return nil
}

// VerifyConsistency checks that the log of size2 with root2 begins with the
// log of size1 with root1. Errors: ErrProof.
func VerifyConsistency(size1, size2 int64, hashes [][]byte, root1, root2 []byte) error {
	if size1 < 0 || size2 < 0 || !hashSizes(hashes, root1, root2) {
		return fmt.Errorf("%w: sizes %d and %d or a hash of wrong length", ErrProof, size1, size2)
	}
	if size1 == 0 && !seal.Equal(root1, Hasher.EmptyRoot()) {
		return fmt.Errorf("%w: not the root of the empty log", ErrProof)
	}
	if err := proof.VerifyConsistency(Hasher, uint64(size1), uint64(size2), hashes, root1, root2); err != nil {
		return fmt.Errorf("%w: sizes %d and %d: %w", ErrProof, size1, size2, err)
	}
	return nil
}

func hashSizes(hashes [][]byte, roots ...[]byte) bool {
	for _, h := range append(roots, hashes...) {
		if len(h) != HashSize {
			return false
		}
	}
	return true
}
