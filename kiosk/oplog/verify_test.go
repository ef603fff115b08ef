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

	"cunban/kiosk/seal"
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
	keys := Keys{Terminal: []*seal.PublicKey{key.Public()}}
	if n := keys.ReadNote(fake); !errors.Is(n.err, ErrCheckpoint) {
		t.Errorf("a log named county: %v", n.err)
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
