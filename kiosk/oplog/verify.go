package oplog

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"cunban/kiosk/seal"
)

// BadKind is what is wrong with a log.
type BadKind int

// The closed set of what can be wrong.
const (
	BadForm      BadKind = iota // a record is not a record
	BadOrder                    // a record is missing, moved, doubled or foreign
	BadContent                  // a record is not the one whose leaf hash was kept
	BadMAC                      // a record's MAC is wrong
	BadRoot                     // records and a signed checkpoint do not agree
	BadNote                     // a checkpoint is not signed or not in its place
	BadCut                      // the end is missing: a checkpoint knows of more records
	BadUncovered                // records at the end that no checkpoint covers
	BadFile                     // the frame of an exported file
	BadState                    // what is kept beside the records does not fit to them
	BadCase                     // a case is not as the records tell
)

// Text says it in plain Chinese.
func (k BadKind) Text() string {
	switch k {
	case BadForm:
		return "内容被改动，已经不是一条记录"
	case BadOrder:
		return "记录缺失、重复、换位或是外来的"
	case BadContent:
		return "内容被改动"
	case BadMAC:
		return "记录的校验码不对"
	case BadRoot:
		return "记录和已签名的检查点对不上"
	case BadNote:
		return "检查点的签名或位置不对"
	case BadCut:
		return "日志末尾被截掉"
	case BadUncovered:
		return "末尾的记录没有检查点证明"
	case BadFile:
		return "导出文件的格式不对"
	case BadState:
		return "和日志一起保存的状态对不上"
	case BadCase:
		return "办件和日志说的对不上"
	}
	return "日志有问题"
}

// Bad names the first bad record.
type Bad struct {
	Seq  int64 // first record that is not as it was, or is missing
	Last int64 // last record that it may be; = Seq when it is exactly that one
	Kind BadKind
	What string // technical
}

// Error is for logs; people read Text.
func (b *Bad) Error() string {
	if b.Last > b.Seq {
		return fmt.Sprintf("log is bad between records %d and %d: %s", b.Seq, b.Last, b.What)
	}
	return fmt.Sprintf("log is bad at record %d: %s", b.Seq, b.What)
}

// Text is a plain Chinese sentence.
func (b *Bad) Text() string {
	if b.Last > b.Seq {
		return fmt.Sprintf("第 %d 条到第 %d 条记录之间：%s。", b.Seq, b.Last, b.Kind.Text())
	}
	return fmt.Sprintf("第 %d 条记录：%s。", b.Seq, b.Kind.Text())
}

// Keys is what verification works with. Public keys are enough.
type Keys struct {
	Terminal []*seal.PublicKey // log signing keys of the terminal, present and former
	// County are the countersigning keys, present and former; every line in the
	// county's name must be of one. Empty: countersignatures are not looked at.
	County []*seal.PublicKey
	// Known are checkpoint notes from elsewhere (the county keeps them): the
	// log must agree with each, so that a cut tail is seen.
	Known [][]byte
	// Seeds opens the MAC chains that begin at these records (the county can);
	// nil: MACs are not looked at. Every record after the first of them must
	// carry a right MAC; from a zero key on they are not looked at.
	Seeds map[int64]seal.Key
	// Seal are the county's private keys that open the seeds of an export.
	Seal []*seal.PrivateKey
}

// VerifyOptions says what a Verifier demands.
type VerifyOptions struct {
	Keys   Keys
	Origin string // "" = whatever origin the checkpoints' signer has
	Start  *Tree  // state before the first record given, nil = the log is given whole
	// Covered demands that the last checkpoint covers the last record, and that
	// every checkpoint that the log tells of is there. For exports.
	Covered bool

	blind blindness // what tests of the tests do not look at
}

// blindness is a verifier with its eyes shut, so that tests can show that they
// would see it.
type blindness struct{ macs, nodes, notes bool }

// Verifier checks a log in one pass: records in order, and each checkpoint
// after the last record that it covers. The first error is a *Bad and stays.
// Create with NewVerifier.
type Verifier struct {
	o        VerifyOptions
	tree     *Tree
	first    int64
	chain    *Chain
	known    map[int64][]byte // size → root
	agreed   int64            // largest size at which the log is what is known from elsewhere
	last     Checkpoint       // last one verified
	have     bool             // last is one
	counter  int64            // largest countersigned size, -1 = none
	notes    int
	macs     int64          // records whose MAC was checked
	signed   map[int64]bool // sizes with a checkpoint, while Covered
	from, to time.Time
	prev     []byte // hash of the last record, to tell a double from a foreigner
	missing  *Bad   // a checkpoint that the log tells of and that was not given
	bad      *Bad
}

// NewVerifier makes a Verifier. Errors: ErrCheckpoint when a known note does
// not open, ErrTree.
func NewVerifier(o VerifyOptions) (*Verifier, error) {
	v := &Verifier{o: o, tree: &Tree{}, counter: -1, known: map[int64][]byte{}, signed: map[int64]bool{}}
	if o.Start != nil {
		v.tree = o.Start.Clone()
	}
	v.first = v.tree.Size()
	v.chain = chainAt(o.Keys.Seeds, v.first)
	for _, msg := range o.Keys.Known {
		n := o.Keys.ReadNote(msg)
		if n.err != nil {
			return nil, fmt.Errorf("known checkpoint: %w", n.err)
		}
		c := n.Checkpoint
		if o.Origin != "" && c.Origin != o.Origin {
			return nil, fmt.Errorf("known checkpoint: %w: of %s, not of %s", ErrCheckpoint, c.Origin, o.Origin)
		}
		if root, twice := v.known[c.Size]; twice && !seal.Equal(root, c.Root) {
			return nil, fmt.Errorf("known checkpoints: %w: two roots for size %d", ErrCheckpoint, c.Size)
		}
		v.known[c.Size] = c.Root
	}
	return v, v.err(v.atSize())
}

// Size is the number of records of the log so far.
func (v *Verifier) Size() int64 { return v.tree.Size() }

// Tree is the state so far; do not change it.
func (v *Verifier) Tree() *Tree { return v.tree }

// Last returns the last verified checkpoint; ok is false when there was none.
func (v *Verifier) Last() (c Checkpoint, ok bool) { return v.last, v.have }

// Countersigned is the largest size with a countersigned checkpoint, -1 when
// there was none.
func (v *Verifier) Countersigned() int64 { return v.counter }

// KnowsCounty reports whether countersignatures are looked at.
func (v *Verifier) KnowsCounty() bool { return len(v.o.Keys.County) > 0 }

// err turns a possibly nil *Bad into an error.
func (v *Verifier) err(b *Bad) error {
	if b == nil {
		return nil
	}
	return b
}

func (v *Verifier) fail(seq, last int64, k BadKind, format string, args ...any) *Bad {
	v.bad = &Bad{Seq: seq, Last: max(seq, last), Kind: k, What: fmt.Sprintf(format, args...)}
	return v.bad
}

// Read is a record that was decoded and hashed, and not yet verified.
type Read struct {
	Record Record
	Leaf   []byte // leaf hash
	err    error
}

// ReadRecord does the part of verifying a record that depends on no other: it
// may run ahead, and in parallel.
func ReadRecord(line []byte) Read {
	r, err := Decode(line)
	return Read{r, LeafHash(line), err}
}

// Record takes the next record as it is encoded, and the leaf hash that was
// kept with it (nil: none was). Errors: *Bad.
func (v *Verifier) Record(line, leaf []byte) (Record, error) {
	if leaf == nil {
		return v.Take(ReadRecord(line), nil)
	}
	return v.Take(ReadRecord(line), [][]byte{leaf})
}

// Take takes the next record. stored are the nodes that were kept for it, as
// far as they were (see Tree.Append): its leaf hash and upwards; a nil among
// them is one that is missing, and nil altogether that none was kept. The
// lowest that is not what the records give is named. Errors: *Bad.
func (v *Verifier) Take(read Read, stored [][]byte) (Record, error) {
	if v.bad != nil {
		return Record{}, v.bad
	}
	at, r, hash := v.tree.Size(), read.Record, read.Leaf
	if read.err != nil {
		return Record{}, v.fail(at, at, BadForm, "%v", read.err)
	}
	if v.o.blind.nodes {
		stored = nil
	}
	if len(stored) > 0 && !seal.Equal(stored[0], hash) {
		return Record{}, v.fail(at, at, BadContent, "its hash is %x, kept was %x", hash, stored[0])
	}
	if r.Seq != at {
		// A number one behind means two records with one number: that number
		// is the bad one, unless it is the same record again.
		seq := at
		if r.Seq == at-1 && !seal.Equal(v.prev, hash) {
			seq = r.Seq
		}
		return Record{}, v.fail(seq, seq, BadOrder, "record number %d stands where %d should be", r.Seq, at)
	}
	if b := v.mac(r); b != nil {
		return Record{}, b
	}
	v.tells(r)
	nodes := v.tree.AppendHash(hash)
	for i := 1; i < min(len(nodes), len(stored)); i++ {
		if n := nodes[i]; !seal.Equal(stored[i], n.Hash) {
			return Record{}, v.fail(at, at, BadContent, "tree node %d/%d is not what the records give", n.Level, n.Index)
		}
	}
	v.prev = hash
	if at == v.first {
		v.from = r.Wall
	}
	v.to = r.Wall
	return r, v.err(v.atSize())
}

func (v *Verifier) mac(r Record) *Bad {
	if seed, ok := v.o.Keys.Seeds[r.Seq]; ok {
		if v.chain = nil; !seed.IsZero() {
			v.chain = NewChain(seed)
		}
	}
	if v.chain == nil {
		return nil
	}
	if !v.chain.Check(r) && !v.o.blind.macs {
		return v.fail(r.Seq, r.Seq, BadMAC, "wrong MAC")
	}
	v.macs++
	return nil
}

// tells notes a checkpoint that the log tells of and that was not given: one
// was taken out of the middle. It is held back until the next checkpoint has
// proved the records, because it may be they that were changed.
func (v *Verifier) tells(r Record) {
	if r.Event != LogCheckpoint || r.Outcome != OK || !v.o.Covered || v.missing != nil {
		return
	}
	size, err := strconv.ParseInt(r.Fields["size"], 10, 64)
	if err == nil && size >= v.first && !v.signed[size] {
		v.missing = &Bad{r.Seq, r.Seq, BadNote, fmt.Sprintf("the checkpoint of size %d that it tells of is not there", size)}
	}
}

// atSize compares the tree with what is known of this size.
func (v *Verifier) atSize() *Bad {
	root, ok := v.known[v.tree.Size()]
	if !ok {
		return nil
	}
	if seal.Equal(root, v.tree.Root()) {
		v.agreed = v.tree.Size()
		return nil
	}
	// Whoever made this log could sign for the terminal, so that its own
	// checkpoints prove nothing; the county's do.
	return v.fail(max(v.first, v.agreed, v.counter), v.tree.Size()-1, BadRoot, "root differs from a known checkpoint of size %d", v.tree.Size())
}

// after is the first record that no checkpoint has proved yet.
func (v *Verifier) after() int64 {
	if v.have {
		return v.last.Size
	}
	return v.first
}

// Checkpoint takes a signed note that covers exactly the records so far.
// Errors: *Bad.
func (v *Verifier) Checkpoint(msg []byte) (Checkpoint, error) {
	return v.TakeNote(v.ReadNote(msg))
}

// ReadNote is Keys.ReadNote with the keys that this verifier has. It may run
// ahead, and in parallel.
func (v *Verifier) ReadNote(msg []byte) NoteRead { return v.o.Keys.ReadNote(msg) }

// TakeNote is Checkpoint of a note that was read.
func (v *Verifier) TakeNote(n NoteRead) (Checkpoint, error) {
	if v.bad != nil {
		return Checkpoint{}, v.bad
	}
	at, c := v.tree.Size(), n.Checkpoint
	if v.o.blind.notes {
		v.last, v.have = c, n.Readable
		return c, v.err(nil)
	}
	if n.err != nil {
		return Checkpoint{}, v.fail(at, at, BadNote, "checkpoint after %d records: %v", at, n.err)
	}
	switch {
	case v.o.Origin != "" && c.Origin != v.o.Origin:
		return Checkpoint{}, v.fail(at, at, BadNote, "checkpoint of %q, not of %q", c.Origin, v.o.Origin)
	case c.Size > at:
		return Checkpoint{}, v.fail(at, c.Size-1, BadCut, "checkpoint of size %d after %d records", c.Size, at)
	case c.Size < at:
		return Checkpoint{}, v.fail(at, at, BadNote, "checkpoint of size %d after %d records", c.Size, at)
	case !seal.Equal(c.Root, v.tree.Root()):
		return Checkpoint{}, v.fail(v.after(), at-1, BadRoot, "root differs from the checkpoint of size %d", c.Size)
	}
	if v.missing != nil {
		v.bad = v.missing
		return Checkpoint{}, v.bad
	}
	v.last, v.have = c, true
	v.notes++
	if n.counter {
		v.counter = max(v.counter, c.Size)
	}
	if v.o.Covered {
		v.signed[c.Size] = true
	}
	return c, nil
}

// Finish is called after everything was given. Errors: *Bad.
func (v *Verifier) Finish() error {
	if v.bad != nil {
		return v.bad
	}
	at := v.tree.Size()
	if more := slices.Sorted(maps.Keys(v.known)); len(more) > 0 && more[len(more)-1] > at {
		size := more[len(more)-1]
		return v.fail(at, size-1, BadCut, "a known checkpoint has size %d, the log ends at %d", size, at)
	}
	if v.o.Covered && (!v.have || v.last.Size != at) {
		return v.fail(v.after(), at-1, BadUncovered, "the last checkpoint does not cover the end")
	}
	if v.o.Covered && v.first > 0 && v.counter < v.first {
		return v.fail(v.first, v.first, BadUncovered, "what is before record %d was pruned without a countersigned checkpoint", v.first)
	}
	return nil
}

// AsBad returns the *Bad of an error, nil if there is none in it.
func AsBad(err error) *Bad {
	var b *Bad
	if errors.As(err, &b) {
		return b
	}
	return nil
}
