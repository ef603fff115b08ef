package oplog

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cunban/kiosk/seal"
	"slices"
)

func TestCheckpoint(t *testing.T) {
	key, county, stranger := newKey(t), newKey(t), newKey(t)
	c := Checkpoint{(originPrefix + "t1"), 17, LeafHash([]byte("x"))}
	msg, err := SignCheckpoint(rand.Reader, c, c.Origin, key)
	if err != nil {
		t.Fatal(err)
	}
	both, err := Countersign(rand.Reader, msg, CountyName, county)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(both, msg) {
		t.Error("countersigning changed what was there")
	}
	open := func(msg []byte, name string, k *seal.PrivateKey) error {
		got, err := OpenCheckpoint(msg, name, k.Public())
		if err == nil && got.Text() != c.Text() {
			t.Errorf("opened %+v", got)
		}
		return err
	}
	for _, x := range []struct {
		msg  []byte
		name string
		key  *seal.PrivateKey
		good bool
	}{
		{msg, c.Origin, key, true}, {both, c.Origin, key, true}, {both, CountyName, county, true},
		{msg, CountyName, county, false}, {msg, c.Origin, stranger, false}, {msg, (originPrefix + "t2"), key, false}, {both, CountyName, key, false},
	} {
		if err := open(x.msg, x.name, x.key); (err == nil) != x.good || err != nil && !errors.Is(err, ErrCheckpoint) {
			t.Errorf("%s with %v: %v", x.name, x.key, err)
		}
	}
	if again, err := Countersign(rand.Reader, both, CountyName, county); err != nil || bytes.Count(again, []byte("\n— ")) != 2 {
		t.Errorf("signed twice: %s, %v", again, err)
	}
	if _, err := OpenCheckpoint(msg, c.Origin, nil); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("no key: %v", err)
	}
	if got, err := PeekCheckpoint(msg); err != nil || got.Size != 17 {
		t.Errorf("%+v, %v", got, err)
	}
	for name, bad := range map[string]Checkpoint{
		"no origin": {"", 1, c.Root}, "origin of two lines": {"cunban/a\nb", 1, c.Root}, "size": {"cunban/a", -1, c.Root}, "root": {"cunban/a", 1, nil},
	} {
		if _, err := SignCheckpoint(rand.Reader, bad, "cunban/a", key); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A terminal cannot play the county.
	fake, err := SignCheckpoint(rand.Reader, Checkpoint{CountyName, 17, c.Root}, CountyName, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := checkpointOf(fake, []*seal.PublicKey{key.Public()}, nil); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("a log named county: %v", err)
	}
}

// Whatever bit of a signed note changes, it does not open. The length of a
// signature, and with it the unused bits of its base64, differs from one to
// the next, so that there are several.
func TestEveryBitOfANote(t *testing.T) {
	key := newKey(t)
	c := Checkpoint{(originPrefix + "t1"), 17, LeafHash([]byte("x"))}
	paddings := map[int]bool{}
	for len(paddings) < 3 {
		msg, err := SignCheckpoint(rand.Reader, c, c.Origin, key)
		if err != nil {
			t.Fatal(err)
		}
		padding := bytes.Count(msg, []byte("="))
		if paddings[padding] {
			continue
		}
		paddings[padding] = true
		everyBit(t, msg, c.Origin, key.Public())
	}
}

func everyBit(t *testing.T, msg []byte, name string, key *seal.PublicKey) {
	t.Helper()
	line := msg[bytes.LastIndex(msg, []byte("\n— "))+1:]
	if _, err := OpenCheckpoint(append(bytes.Clone(msg), line...), name, key); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("doubled signature line: %v", err)
	}
	for i := range len(msg) * 8 {
		bad := bytes.Clone(msg)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := OpenCheckpoint(bad, name, key); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("bit %d of %q: %v", i, msg, err)
		}
	}
}

func FuzzCheckpoint(f *testing.F) {
	key := newKey(f)
	c := Checkpoint{(originPrefix + "t1"), 17, LeafHash([]byte("x"))}
	msg, err := SignCheckpoint(rand.Reader, c, c.Origin, key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(msg)
	f.Add([]byte(c.Text()))
	f.Add([]byte("cunban/a\n0\n\n\n— a b\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := ParseCheckpoint(string(b)); err == nil && c.Text() != string(b) {
			t.Errorf("%q is written %q", b, c.Text())
		}
		if c, err := PeekCheckpoint(b); err == nil && !bytes.HasPrefix(b, []byte(c.Text()+"\n")) {
			t.Errorf("%q is read as %q", b, c.Text())
		}
		if got, err := OpenCheckpoint(b, c.Origin, key.Public()); err == nil && got.Text() != c.Text() {
			t.Errorf("%q passes for signed", b)
		}
	})
}

func TestWholeExport(t *testing.T) {
	s := newSample(t, 40, 10, 25, 40)
	k := s.keys()
	k.Seeds = map[int64]seal.Key{0: s.seed}
	k.Known = [][]byte{s.notes[25], s.notes[10]}
	rep, err := VerifyExport(bytes.NewReader(s.export(t, 0)), k)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Origin != s.origin || rep.Size != 40 || rep.Records != 40 || rep.Checkpoints != 3 || rep.Countersigned != 10 || rep.First != 0 ||
		rep.Software != "1.0" || !rep.Made.Equal(bootTime) || !rep.From.Equal(bootTime) || !rep.To.Equal(bootTime.Add(39*time.Second)) ||
		!bytes.Equal(rep.Root, s.trees[40].Root()) {
		t.Errorf("report %+v", rep)
	}
	// Old records pruned below the countersigned checkpoint.
	if rep, err = VerifyExport(bytes.NewReader(s.export(t, 7)), s.keys()); err != nil || rep.First != 7 || rep.Records != 33 {
		t.Errorf("pruned at 7: %+v, %v", rep, err)
	}
	if rep, err = VerifyExport(bytes.NewReader(s.export(t, 10)), s.keys()); err != nil || rep.First != 10 || rep.Checkpoints != 3 {
		t.Errorf("pruned at 10: %+v, %v", rep, err)
	}
	// Above it nobody but the terminal says what was there.
	_, err = VerifyExport(bytes.NewReader(s.export(t, 11)), s.keys())
	if b := AsBad(err); b == nil || b.Kind != BadUncovered || b.Seq != 11 {
		t.Errorf("pruned at 11: %v", err)
	}
	// A log of one checkpoint and no record.
	if rep, err = VerifyExport(bytes.NewReader(newSample(t, 0, 0).export(t, 0)), Keys{}); AsBad(err) == nil {
		t.Errorf("without any key: %+v, %v", rep, err)
	}
	empty := newSample(t, 0, 0)
	if rep, err = VerifyExport(bytes.NewReader(empty.export(t, 0)), empty.keys()); err != nil || rep.Size != 0 {
		t.Errorf("empty log: %+v, %v", rep, err)
	}
}

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

// The live log: stored leaf hashes name the record; the tail needs no
// checkpoint yet.
func TestVerifierOnStoredRecords(t *testing.T) {
	s := newSample(t, 30, 10, 25)
	run := func(lines [][]byte, leaves [][]byte) error {
		v, err := NewVerifier(VerifyOptions{Keys: s.keys(), Origin: s.origin})
		if err != nil {
			return err
		}
		for i, line := range lines {
			if _, err := v.Record(line, leaves[i]); err != nil {
				return err
			}
			if note := s.notes[int64(i+1)]; note != nil {
				if _, err := v.Checkpoint(note); err != nil {
					return err
				}
			}
		}
		if c, ok := v.Last(); !ok || c.Size != 25 || v.Countersigned() != 10 || v.Size() != 30 {
			t.Errorf("state %+v", v.Report())
		}
		return v.Finish()
	}
	var leaves [][]byte
	for i := range int64(30) {
		leaves = append(leaves, s.nodes[NodeID{0, i}])
	}
	if err := run(s.lines, leaves); err != nil {
		t.Fatal(err)
	}
	for i := range s.lines {
		lines := append([][]byte(nil), s.lines...)
		lines[i] = bytes.Replace(lines[i], []byte(`"1.0"`), []byte(`"1.1"`), 1)
		err := run(lines, leaves)
		if b := AsBad(err); b == nil || b.Seq != int64(i) || b.Kind != BadContent {
			t.Errorf("record %d changed: %v", i, err)
		}
	}
	v, err := NewVerifier(VerifyOptions{Keys: s.keys(), Origin: (originPrefix + "t2")})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range s.lines[:10] {
		if _, err := v.Record(line, nil); err != nil {
			t.Fatal(err)
		}
	}
	_, first := v.Checkpoint(s.notes[10])
	if b := AsBad(first); b == nil || b.Kind != BadNote {
		t.Errorf("origin of another: %v", first)
	}
	if _, err := v.Record(s.lines[10], nil); !errors.Is(err, first) || !errors.Is(v.Finish(), first) {
		t.Errorf("the first fault did not stay: %v", err)
	}
}

func FuzzExport(f *testing.F) {
	s := newSample(f, 5, 3, 5)
	f.Add(s.export(f, 0))
	f.Add(s.export(f, 3))
	f.Add([]byte(exportMagic + "1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		x, err := NewExportReader(bytes.NewReader(text))
		if err != nil {
			return
		}
		var b bytes.Buffer
		w, err := NewExportWriter(&b, x.Header())
		if err != nil {
			t.Fatal(err)
		}
		for {
			it, err := x.Next()
			if err != nil {
				if !x.done {
					return
				}
				break
			}
			if it.Note != nil {
				err = w.Checkpoint(it.Note)
			} else {
				err = w.Record(it.Record, it.Leaf)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Bytes(), text) {
			t.Errorf("%q is written %q", text, b.Bytes())
		}
	})
}

// A stranger with openssl and a text editor: the leaf of a record and the
// signature of a checkpoint.
func TestStrangerWithOpenSSL(t *testing.T) {
	path := openssl(t)
	s := newSample(t, 5, 5)
	text := string(s.export(t, 0))
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	var note []string
	for _, l := range strings.Split(text, "\n") {
		if rest, ok := strings.CutPrefix(l, "R "); ok {
			leaf, record, _ := strings.Cut(rest, " ")
			out, err := exec.Command(path, "dgst", "-sm3", "-r", file("leaf", []byte("\x00"+record))).Output()
			if err != nil || !strings.HasPrefix(string(out), leaf) {
				t.Errorf("openssl: %s, export: %s (%v)", out, leaf, err)
			}
		}
		if l == "N" || strings.HasPrefix(l, "N ") {
			note = append(note, strings.TrimPrefix(strings.TrimPrefix(l, "N"), " "))
		}
	}
	signed := strings.Join(note[:3], "\n") + "\n"
	for i, key := range []*seal.PrivateKey{s.terminal, s.county} {
		f := strings.Fields(note[4+i])
		sig, err := base64.StdEncoding.DecodeString(f[2])
		if err != nil {
			t.Fatal(err)
		}
		verify := func(text string) error {
			out, err := exec.Command(path, "pkeyutl", "-verify", "-pubin", "-inkey", file("key.pem", key.Public().PEM()), "-rawin",
				"-in", file("text", []byte(text)), "-sigfile", file("sig", sig[4:]),
				"-digest", "sm3", "-pkeyopt", "distid:1234567812345678").CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		}
		if err := verify(signed); err != nil {
			t.Errorf("%s: %v", f[1], err)
		}
		if err := verify(strings.Replace(signed, "\n5\n", "\n6\n", 1)); err == nil {
			t.Errorf("%s: openssl takes another size", f[1])
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	s := newSample(b, 4096)
	var leaves [][]byte
	for i := range int64(len(s.lines)) {
		leaves = append(leaves, s.nodes[NodeID{0, i}])
	}
	b.SetBytes(int64(len(s.lines[100])))
	b.ReportAllocs()
	var v *Verifier
	n := 0
	for b.Loop() {
		if n%len(s.lines) == 0 {
			var err error
			if v, err = NewVerifier(VerifyOptions{Keys: s.keys()}); err != nil {
				b.Fatal(err)
			}
			n = 0
		}
		if _, err := v.Record(s.lines[n], leaves[n]); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkAppend(b *testing.B) {
	s := newSample(b, 1)
	tree := &Tree{}
	b.ReportAllocs()
	for b.Loop() {
		tree.Append(s.lines[0])
	}
}
