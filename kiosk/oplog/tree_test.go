package oplog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"cunban/kiosk/seal"
)

// naive is MTH of RFC 6962 §2.1 word by word, over SM3.
func naive(records [][]byte) []byte {
	switch n := len(records); n {
	case 0:
		return seal.Digest()
	case 1:
		return seal.Digest([]byte{0}, records[0])
	default:
		k := 1
		for k*2 < n {
			k *= 2
		}
		return seal.Digest([]byte{1}, naive(records[:k]), naive(records[k:]))
	}
}

type stored map[NodeID][]byte

func (s stored) get(ids []NodeID) ([][]byte, error) {
	out := make([][]byte, len(ids))
	for i, id := range ids {
		if out[i] = s[id]; out[i] == nil {
			return nil, fmt.Errorf("no node %v", id)
		}
		out[i] = bytes.Clone(out[i])
	}
	return out, nil
}

func grow(n int) (records, roots [][]byte, nodes stored, t *Tree) {
	t, nodes = &Tree{}, stored{}
	roots = append(roots, t.Root())
	for i := range n {
		records = append(records, fmt.Appendf(nil, "record %d", i))
		for _, node := range t.Append(records[i]) {
			nodes[NodeID{node.Level, node.Index}] = node.Hash
		}
		roots = append(roots, t.Root())
	}
	return records, roots, nodes, t
}

func TestTreeIsThatOfRFC6962(t *testing.T) {
	records, roots, nodes, _ := grow(130)
	for n := range roots {
		if !bytes.Equal(roots[n], naive(records[:n])) {
			t.Fatalf("root of size %d", n)
		}
		at, err := TreeAt(int64(n), nodes.get)
		if err != nil || !bytes.Equal(at.Root(), roots[n]) || at.Size() != int64(n) {
			t.Fatalf("rebuilt at %d: %v", n, err)
		}
	}
	// Every complete node was reported, none else: level l has n>>l of them.
	want := 0
	for l := 0; 130>>l > 0; l++ {
		want += 130 >> l
	}
	if len(nodes) != want {
		t.Errorf("%d nodes reported, %d are complete", len(nodes), want)
	}
}

func TestGoldenRoots(t *testing.T) {
	_, roots, _, _ := grow(8)
	for n, want := range map[int]string{
		0: "1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b", // SM3("")
		// By openssl, put together as RFC 6962 §2.1 says.
		1: "4d58def7ae9a74d81923e7b8e4c36d0305ab78af219f02f9d2de1080b2413b30",
		2: "1cee23675c61de53bb9bbb835c7920d21f3262aab7f281058054bba5568b1813",
		3: "4f426f7d0c2165b19faa1ad44a061709080dfd2382d5635311e0ace01d0b0d6d",
		5: "edfbac635f51c532f88ec3c9c51935e38598d4cb4d7d19c97135eefe08b22535",
		7: "0f8bfe5a293b7d8d6994ab7436f0316c73de959f3784ae3819bfa1605dbd1c15",
		8: "98ef770e75382612341e38c867f34244f8cc189897783e95243c86e6795f0493",
	} {
		if got := hex.EncodeToString(roots[n]); got != want {
			t.Errorf("root of size %d is %s instead of %s", n, got, want)
		}
	}
}

func TestProofs(t *testing.T) {
	records, roots, nodes, _ := grow(200)
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 200).Draw(t, "size")
		index := rapid.Int64Range(0, size-1).Draw(t, "index")
		p, err := InclusionProof(index, size, nodes.get)
		if err != nil {
			t.Fatal(err)
		}
		leaf := LeafHash(records[index])
		if err := VerifyInclusion(leaf, index, size, p, roots[size]); err != nil {
			t.Fatal(err)
		}
		older := rapid.Int64Range(0, size).Draw(t, "older")
		c, err := ConsistencyProof(older, size, nodes.get)
		if err != nil {
			t.Fatal(err)
		}
		if err := VerifyConsistency(older, size, c, roots[older], roots[size]); err != nil {
			t.Fatal(err)
		}

		// Anything else is no proof.
		if other := rapid.Int64Range(0, size-1).Draw(t, "other"); other != index {
			if VerifyInclusion(leaf, other, size, p, roots[size]) == nil {
				t.Fatalf("%d of %d was proved to be %d", index, size, other)
			}
		}
		flip := func(name string, b []byte, check func() error) {
			i := rapid.IntRange(0, len(b)*8-1).Draw(t, "bit of "+name)
			b[i/8] ^= 1 << (i % 8)
			if err := check(); !errors.Is(err, ErrProof) {
				t.Fatalf("%s changed: %v", name, err)
			}
			b[i/8] ^= 1 << (i % 8)
		}
		root, root1 := bytes.Clone(roots[size]), bytes.Clone(roots[older])
		inclusion := func() error { return VerifyInclusion(leaf, index, size, p, root) }
		consistency := func() error { return VerifyConsistency(older, size, c, root1, root) }
		flip("leaf", leaf, inclusion)
		flip("root", root, inclusion)
		flip("older root", root1, consistency)
		if older > 0 {
			flip("root", root, consistency)
		}
		if len(p) > 0 {
			flip("inclusion", p[rapid.IntRange(0, len(p)-1).Draw(t, "i")], inclusion)
			if VerifyInclusion(leaf, index, size, p[1:], root) == nil {
				t.Fatal("a shorter proof holds")
			}
		}
		if len(c) > 0 {
			flip("consistency", c[rapid.IntRange(0, len(c)-1).Draw(t, "c")], consistency)
		}
		if VerifyInclusion(leaf, index, size, append(p[:len(p):len(p)], root), root) == nil {
			t.Fatal("a longer proof holds")
		}
		if VerifyInclusion(records[index], index, size, p, root) == nil {
			t.Fatal("a record passed for a leaf hash")
		}
	})
	for _, err := range []error{
		VerifyInclusion(roots[1], -1, 1, nil, roots[1]), VerifyInclusion(roots[1], 1, 1, nil, roots[1]),
		VerifyConsistency(-1, 1, nil, roots[1], roots[1]), VerifyConsistency(2, 1, nil, roots[2], roots[1]),
		VerifyInclusion(roots[1], 0, 1, [][]byte{{1}}, roots[1]),
	} {
		if !errors.Is(err, ErrProof) {
			t.Errorf("nonsense: %v", err)
		}
	}
}

func TestProofsFromBrokenStore(t *testing.T) {
	_, _, nodes, _ := grow(20)
	delete(nodes, NodeID{2, 1})
	if _, err := InclusionProof(0, 20, nodes.get); err == nil {
		t.Error("a proof without one of its nodes")
	}
	for _, get := range []Getter{
		func([]NodeID) ([][]byte, error) { return nil, nil },
		func(ids []NodeID) ([][]byte, error) { return make([][]byte, len(ids)), nil },
	} {
		if _, err := ConsistencyProof(3, 20, get); !errors.Is(err, ErrTree) {
			t.Errorf("%v", err)
		}
		if _, err := TreeAt(3, get); !errors.Is(err, ErrTree) {
			t.Errorf("%v", err)
		}
	}
	if _, err := InclusionProof(20, 20, nodes.get); !errors.Is(err, ErrTree) {
		t.Errorf("%v", err)
	}
	if _, err := ConsistencyProof(21, 20, nodes.get); !errors.Is(err, ErrTree) {
		t.Errorf("%v", err)
	}
}

func TestTreeState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 70).Draw(t, "n")
		_, roots, _, tree := grow(n)
		back, err := UnmarshalTree(tree.Marshal())
		if err != nil || back.Size() != int64(n) || !bytes.Equal(back.Root(), roots[n]) {
			t.Fatalf("%v", err)
		}
		clone := tree.Clone()
		for range rapid.IntRange(1, 40).Draw(t, "more") {
			clone.Append([]byte("x"))
			back.Append([]byte("x"))
		}
		if tree.Size() != int64(n) || !bytes.Equal(tree.Root(), roots[n]) {
			t.Fatal("growing a clone changed the tree")
		}
		if !bytes.Equal(clone.Root(), back.Root()) {
			t.Fatal("a clone and an unmarshalled tree differ")
		}
		if state := tree.Marshal(); len(state) > 0 {
			cut := rapid.IntRange(0, len(state)-1).Draw(t, "cut")
			if _, err := UnmarshalTree(state[:cut]); !errors.Is(err, ErrTree) {
				t.Fatalf("cut at %d: %v", cut, err)
			}
		}
	})
	if _, err := UnmarshalTree([]byte{1, 0xff, 0, 0, 0, 0, 0, 0, 0}); !errors.Is(err, ErrTree) {
		t.Errorf("negative size: %v", err)
	}
	if _, err := NewTree(1, [][]byte{{1}}); !errors.Is(err, ErrTree) {
		t.Errorf("short hash: %v", err)
	}
}

func TestChain(t *testing.T) {
	seed, err := seal.KeyFrom(bytes.Repeat([]byte{7}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	w, r := NewChain(seed), NewChain(seed)
	k := w.Key()
	for i := range int64(5) {
		rec := Record{Seq: i, Event: HelpCall, Outcome: OK, Role: RoleResident}
		plain := rec.Encode()
		w.Sign(&rec)
		if !bytes.Equal(rec.MAC, RecordMAC(k, plain)) {
			t.Error("not HMAC-SM3 over the record without its MAC")
		}
		k = NextKey(k)
		if !bytes.Equal(w.Key(), k) {
			t.Error("the key did not step")
		}
		good := r.Clone()
		if !good.Check(rec) {
			t.Errorf("record %d", i)
		}
		bad := rec
		bad.Session++
		if r.Clone().Check(bad) {
			t.Error("a changed record has a right MAC")
		}
		r = good
	}
	if c, err := ChainFrom(k); err != nil || !bytes.Equal(c.Key(), k) {
		t.Error(err)
	}
	if _, err := ChainFrom(k[1:]); !errors.Is(err, seal.ErrKey) {
		t.Error(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if s := fmt.Sprintf(verb, w); s != w.String() {
			t.Errorf("%s prints %s", verb, s)
		}
	}
	w.Wipe()
	if len(w.Key()) != 0 {
		t.Error("a key is left after Wipe")
	}
}
