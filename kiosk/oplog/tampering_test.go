package oplog

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cunban/kiosk/seal"
	"slices"
)

// rebuild makes an export of whatever lines, with a right frame, as somebody
// would who wants to deceive: totals, digest and leaf hashes fit.
func (s *sample) rebuild(tb testing.TB, lines [][]byte, notes func(i int64) []byte) []byte {
	tb.Helper()
	c := *s
	c.lines, c.notes = lines, map[int64][]byte{}
	for i := range int64(len(lines)) + 1 {
		if n := notes(i); n != nil {
			c.notes[i] = n
		}
	}
	return c.export(tb, 0)
}

// Somebody edits a log and makes every hash fit again. Public keys alone find
// it; the MAC seed names the very record.
func TestCleverTampering(t *testing.T) {
	s := newSample(t, 40, 10, 25, 40)
	edit := func(line []byte, seq int64) []byte {
		r, err := Decode(line)
		if err != nil {
			t.Fatal(err)
		}
		if seq >= 0 {
			r.Seq = seq
		} else {
			r.CaseID = "forged"
		}
		return r.Encode()
	}
	renumber := func(lines [][]byte) [][]byte {
		for i := range lines {
			lines[i] = edit(lines[i], int64(i))
		}
		return lines
	}
	own := func(i int64) []byte { return s.notes[i] }
	rapid.Check(t, func(rt *rapid.T) {
		i := rapid.IntRange(0, 39).Draw(rt, "record")
		after := int64(0)
		for _, size := range []int64{10, 25} {
			if int64(i) >= size {
				after = size
			}
		}
		lines := append([][]byte(nil), s.lines...)
		how := rapid.SampledFrom([]string{"edit", "delete", "insert", "swap", "duplicate"}).Draw(rt, "how")
		named := i // first record that differs
		switch how {
		case "edit":
			lines[i] = edit(lines[i], -1)
		case "delete":
			lines = renumber(append(lines[:i:i], lines[i+1:]...))
		case "insert":
			lines = renumber(append(lines[:i:i], append([][]byte{edit(lines[0], -1)}, lines[i:]...)...))
		case "swap":
			if i == 39 {
				rt.Skip()
			}
			lines[i], lines[i+1] = lines[i+1], lines[i]
			lines = renumber(lines)
		case "duplicate":
			lines = renumber(append(lines[:i+1:i+1], lines[i:]...))
			named = i + 1
			if named == 10 || named == 25 || named == 40 {
				after = int64(named)
			}
		}
		text := s.rebuild(t, lines, own)
		_, err := VerifyExport(bytes.NewReader(text), s.keys())
		b := AsBad(err)
		if b == nil {
			rt.Fatalf("%s at %d was not found: %v", how, i, err)
		}
		if how == "delete" && i == 39 {
			// Its checkpoint went with it: what can be known is that the rest
			// has none.
			if b.Kind != BadUncovered || b.Seq != 25 {
				rt.Fatalf("cut by one: %v", b)
			}
			return
		}
		if int64(named) < b.Seq || int64(named) > b.Last || b.Seq < after {
			rt.Fatalf("%s at %d (first other record %d): %v", how, i, named, b)
		}
		k := s.keys()
		k.Seeds = map[int64]seal.Key{0: s.seed}
		_, err = VerifyExport(bytes.NewReader(text), k)
		if b = AsBad(err); b == nil || b.Seq != int64(named) {
			rt.Fatalf("%s at %d with the MAC seed: %v instead of record %d", how, i, err, named)
		}
	})
}

// TestBlindVerifier is the control of the tests above: a verifier that does not
// look at one thing takes a log that was changed in just that way, and one that
// looks names the record.
func TestBlindVerifier(t *testing.T) {
	const changed = 5
	s := newSample(t, 20, 10)
	r, err := Decode(s.lines[changed])
	if err != nil {
		t.Fatal(err)
	}
	r.Account += "7"
	lines := slices.Clone(s.lines)
	lines[changed] = r.Encode()
	tree := &Tree{}
	for _, l := range lines[:10] {
		tree.Append(l)
	}
	forged, err := SignCheckpoint(rand.Reader, Checkpoint{s.origin, 10, tree.Root()}, s.origin, s.terminal)
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		blind       blindness
		note        []byte
		leaves      bool // the hashes that were kept are at hand
		seeds       bool
		first, last int64
	}{
		"nodes": {blindness{nodes: true}, nil, true, false, changed, changed},
		"notes": {blindness{notes: true}, s.notes[10], false, false, 0, 9},
		"macs":  {blindness{macs: true}, forged, false, true, changed, changed},
	} {
		verify := func(b blindness) error {
			k := s.keys()
			if x.seeds {
				k.Seeds = map[int64]seal.Key{0: s.seed}
			}
			v, err := NewVerifier(VerifyOptions{Keys: k, Origin: s.origin, blind: b})
			if err != nil {
				t.Fatal(err)
			}
			for i, l := range lines {
				var leaf []byte
				if x.leaves {
					leaf = LeafHash(s.lines[i])
				}
				if _, err := v.Record(l, leaf); err != nil {
					return err
				}
				if i == 9 && x.note != nil {
					if _, err := v.Checkpoint(x.note); err != nil {
						return err
					}
				}
			}
			return v.Finish()
		}
		if err := verify(x.blind); err != nil {
			t.Errorf("blind to %s it sees %v", name, err)
		}
		if b := AsBad(verify(blindness{})); b == nil || b.Seq != x.first || b.Last != x.last {
			t.Errorf("%s: named %v, want %d to %d", name, b, x.first, x.last)
		}
	}
}

// Somebody edits the stored lines and their frame but not the hashes.
func TestPlainTampering(t *testing.T) {
	s := newSample(t, 40, 10, 25, 40)
	for i := range int64(40) {
		for name, lines := range map[string][][]byte{
			"delete":    append(s.lines[:i:i], s.lines[i+1:]...),
			"duplicate": append(s.lines[:i+1:i+1], s.lines[i:]...),
			"insert": append(s.lines[:i:i], append([][]byte{
				Entry{Event: HelpCall, Role: RoleResident}.Record(Stamp{Seq: i, Wall: bootTime}).Encode()}, s.lines[i:]...)...),
			"swap": append(append(s.lines[:i:i], s.lines[min(i+1, 39)], s.lines[i]), s.lines[min(i+2, 40):]...),
		} {
			if name == "swap" && i == 39 {
				continue
			}
			_, err := VerifyExport(bytes.NewReader(s.rebuild(t, lines, func(n int64) []byte { return s.notes[n] })), s.keys())
			b := AsBad(err)
			want := i
			switch {
			case name == "duplicate":
				want = i + 1
			case name == "insert" && s.notes[i+1] != nil:
				// The foreign one is the last that a checkpoint should cover: what
				// can be known is that it, or one after the last checkpoint, is bad.
				if b != nil && b.Kind == BadRoot && b.Seq <= i && b.Last == i {
					continue
				}
			}
			if name == "delete" && i == 39 {
				if b == nil || b.Seq > 39 {
					t.Errorf("cut by one: %v", err)
				}
				continue
			}
			if b == nil || b.Seq != want {
				t.Errorf("%s at %d: %v", name, i, err)
			}
		}
	}
}

// Every bit of an exported file counts.
func TestEveryBitOfAnExport(t *testing.T) {
	s := newSample(t, 5, 3, 5)
	text := s.export(t, 0)
	record, records := int64(-1), int64(0) // record of the line that i is in, -1 = none
	for i := range text {
		if i == 0 || text[i-1] == '\n' {
			record = -1
			if bytes.HasPrefix(text[i:], []byte("R ")) {
				record = records
				records++
			}
		}
		for bit := range 8 {
			bad := bytes.Clone(text)
			bad[i] ^= 1 << bit
			_, err := VerifyExport(bytes.NewReader(bad), s.keys())
			if err == nil {
				t.Fatalf("bit %d of byte %d (%q) was not found", bit, i, text[max(0, i-20):i+1])
			}
			if b := AsBad(err); record >= 0 && (b == nil || b.Seq != record) {
				t.Fatalf("bit %d of byte %d is of record %d: %v", bit, i, record, err)
			}
		}
	}
	for i := range text {
		if _, err := VerifyExport(bytes.NewReader(text[:i]), s.keys()); err == nil {
			t.Fatalf("cut at %d was not found", i)
		}
	}
	if _, err := VerifyExport(bytes.NewReader(append(text, '\n')), s.keys()); err == nil {
		t.Error("a line more was not found")
	}
}

func TestCheckpointTampering(t *testing.T) {
	s := newSample(t, 40, 10, 25, 40)
	other := newSample(t, 40, 10, 25, 40)
	stranger, err := SignCheckpoint(rand.Reader, Checkpoint{s.origin, 25, s.trees[25].Root()}, s.origin, other.terminal)
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Replace(s.notes[10], []byte(CountyName+" "), []byte(CountyName+" AAAA"), 1)
	for name, x := range map[string]struct {
		notes map[int64][]byte
		kind  BadKind
		seq   int64
	}{
		"last taken out":             {map[int64][]byte{10: s.notes[10], 25: s.notes[25]}, BadUncovered, 25},
		"all taken out":              {map[int64][]byte{}, BadUncovered, 0},
		"middle taken out":           {map[int64][]byte{10: s.notes[10], 40: s.notes[40]}, BadNote, 25},
		"swapped":                    {map[int64][]byte{10: s.notes[25], 25: s.notes[10], 40: s.notes[40]}, BadCut, 10},
		"doubled later":              {map[int64][]byte{10: s.notes[10], 12: s.notes[10], 25: s.notes[25], 40: s.notes[40]}, BadNote, 12},
		"of another log":             {map[int64][]byte{10: s.notes[10], 25: other.notes[25], 40: s.notes[40]}, BadNote, 25},
		"of a stranger":              {map[int64][]byte{10: s.notes[10], 25: stranger, 40: s.notes[40]}, BadNote, 25},
		"countersignature of no one": {map[int64][]byte{10: forged, 25: s.notes[25], 40: s.notes[40]}, BadNote, 10},
	} {
		_, err := VerifyExport(bytes.NewReader(s.rebuild(t, s.lines, func(i int64) []byte { return x.notes[i] })), s.keys())
		if b := AsBad(err); b == nil || b.Kind != x.kind || b.Seq != x.seq {
			t.Errorf("%s: %v", name, err)
		} else if b.Text() == "" || strings.ContainsAny(b.Text(), "abcdefghijklmnopqrstuvwxyz") {
			t.Errorf("%s: people read %q", name, b.Text())
		}
	}
}

// A tail that was cut at an older checkpoint is whole by itself; only who
// remembers a later checkpoint sees it.
func TestCutTail(t *testing.T) {
	s := newSample(t, 40, 10, 25, 40)
	text := s.rebuild(t, s.lines[:25], func(i int64) []byte { return s.notes[i] })
	if _, err := VerifyExport(bytes.NewReader(text), s.keys()); err != nil {
		t.Fatalf("cut cleanly: %v", err)
	}
	k := s.keys()
	k.Known = [][]byte{s.notes[40]}
	_, err := VerifyExport(bytes.NewReader(text), k)
	if b := AsBad(err); b == nil || b.Kind != BadCut || b.Seq != 25 || b.Last != 39 {
		t.Errorf("cut, with the county's memory: %v", err)
	}
	// Another history, signed by the terminal itself, against the county's.
	fork := newSample(t, 40, 10, 25, 40)
	root := fork.trees[25].Root()
	note, err := SignCheckpoint(rand.Reader, Checkpoint{s.origin, 25, root}, s.origin, s.terminal)
	if err != nil {
		t.Fatal(err)
	}
	k.Known = [][]byte{note}
	_, err = VerifyExport(bytes.NewReader(s.export(t, 0)), k)
	if b := AsBad(err); b == nil || b.Kind != BadRoot || b.Seq != 10 || b.Last != 24 {
		t.Errorf("forked: %v", err)
	}
	k.Known = [][]byte{note, s.notes[25]}
	if _, err = VerifyExport(bytes.NewReader(s.export(t, 0)), k); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("two roots known for one size: %v", err)
	}
}
