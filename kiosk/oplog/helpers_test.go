package oplog

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cunban/kiosk/seal"
)

// openssl finds openssl; without it the test is skipped, but not in CI.
func openssl(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CUNBAN_CI") == "1" {
			t.Fatal("openssl is not installed")
		}
		t.Skip("openssl is not installed")
	}
	return path
}

func newKey(tb testing.TB) *seal.PrivateKey {
	tb.Helper()
	k, err := seal.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

var genText = rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z0-9.-]{0,20}`), rapid.Just("张\u0000\"\\\n\u2028\U00020000"))

func genDigest(t *rapid.T, label string) []byte {
	if !rapid.Bool().Draw(t, label+" there") {
		return nil
	}
	return rapid.SliceOfN(rapid.Byte(), HashSize, HashSize).Draw(t, label)
}

func genRecord(t *rapid.T) Record {
	r := Record{
		Seq:     rapid.Int64Min(0).Draw(t, "seq"),
		Event:   rapid.SampledFrom(Events).Draw(t, "event"),
		Outcome: rapid.SampledFrom(Outcomes).Draw(t, "outcome"),
		Role:    rapid.SampledFrom(roleSet).Draw(t, "role"),
		Account: genText.Draw(t, "account"), CaseID: genText.Draw(t, "case"), Device: genText.Draw(t, "device"),
		Session: rapid.Uint64().Draw(t, "session"),
		Wall: time.Unix(rapid.Int64Range(-2_000_000_000, 200_000_000_000).Draw(t, "s"),
			rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC(),
		Mono:   rapid.Int64().Draw(t, "mono"),
		BootID: genText.Draw(t, "boot"), Version: genText.Draw(t, "version"),
		Demo:    rapid.Bool().Draw(t, "demo"),
		Private: genDigest(t, "private"), MAC: genDigest(t, "mac"),
	}
	if f := rapid.MapOfN(genText, genText, 0, 6).Draw(t, "fields"); len(f) > 0 {
		r.Fields = f
	}
	return r
}

func same(a, b Record) bool {
	return a.Seq == b.Seq && a.Event == b.Event && a.Outcome == b.Outcome && a.Role == b.Role &&
		a.Account == b.Account && a.Session == b.Session && a.CaseID == b.CaseID && a.Device == b.Device &&
		a.Wall.Equal(b.Wall) && a.Mono == b.Mono && a.BootID == b.BootID && a.Version == b.Version && a.Demo == b.Demo &&
		maps.Equal(a.Fields, b.Fields) && bytes.Equal(a.Private, b.Private) && bytes.Equal(a.MAC, b.MAC)
}

// sample is a log as a vault would keep it.
type sample struct {
	terminal, county *seal.PrivateKey
	origin           string
	seed             seal.Key
	seeds            []Seed
	lines            [][]byte
	notes            map[int64][]byte // size → note
	trees            []*Tree          // state before each record, and at the end
	nodes            map[NodeID][]byte
}

func (s *sample) keys() Keys {
	return Keys{Terminal: []*seal.PublicKey{s.terminal.Public()}, County: []*seal.PublicKey{s.county.Public()}}
}

var bootTime = time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)

// newSample makes a log of n records; a checkpoint is signed at each of the
// sizes and told of by the record after it; the first is countersigned.
func newSample(tb testing.TB, n int, sizes ...int64) *sample {
	tb.Helper()
	s := &sample{terminal: newKey(tb), county: newKey(tb), origin: (originPrefix + "t1"), notes: map[int64][]byte{}, nodes: map[NodeID][]byte{}}
	seed, err := seal.NewKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	s.seed = seed
	env, err := s.county.Public().Envelop(rand.Reader, seed, SeedAAD(s.origin, 0))
	if err != nil {
		tb.Fatal(err)
	}
	s.seeds = []Seed{{First: 0, KeyID: s.county.Public().ID(), Envelope: env}}
	chain, tree := NewChain(seed), &Tree{}
	for i := range int64(n) + 1 {
		s.trees = append(s.trees, tree.Clone())
		e := Entry{Event: CaseSubmit, Role: RoleResident, Session: uint64(i) / 7, CaseID: fmt.Sprintf("case-%d", i),
			Fields: map[string]string{"mode": "self", "service": "S01", "files": "2"}, Private: seal.Digest([]byte{byte(i)})}
		for k, size := range sizes {
			if size != i {
				continue
			}
			note, err := SignCheckpoint(rand.Reader, Checkpoint{s.origin, size, tree.Root()}, s.origin, s.terminal)
			if err != nil {
				tb.Fatal(err)
			}
			if k == 0 {
				if note, err = Countersign(rand.Reader, note, CountyName, s.county); err != nil {
					tb.Fatal(err)
				}
			}
			s.notes[size] = note
			e = Entry{Event: LogCheckpoint, Fields: map[string]string{"size": fmt.Sprint(size), "root": fmt.Sprintf("%x", tree.Root())}}
		}
		if i == int64(n) {
			break
		}
		r := e.Record(Stamp{Seq: i, Wall: bootTime.Add(time.Duration(i) * time.Second), Mono: i * 1e9, BootID: "boot-1", Version: "1.0"})
		if err := e.Normal().Check(); err != nil {
			tb.Fatal(err)
		}
		chain.Sign(&r)
		line := r.Encode()
		s.lines = append(s.lines, line)
		for _, node := range tree.Append(line) {
			s.nodes[NodeID{node.Level, node.Index}] = node.Hash
		}
	}
	return s
}

// export writes the log from a record on.
func (s *sample) export(tb testing.TB, first int64) []byte {
	tb.Helper()
	var b bytes.Buffer
	x, err := NewExportWriter(&b, ExportHeader{Origin: s.origin, Software: "1.0", Made: bootTime, Left: s.trees[first], Seeds: s.seeds})
	if err != nil {
		tb.Fatal(err)
	}
	note := func(size int64) {
		if n, ok := s.notes[size]; ok {
			if err := x.Checkpoint(n); err != nil {
				tb.Fatal(err)
			}
		}
	}
	note(first)
	for i := first; i < int64(len(s.lines)); i++ {
		if err := x.Record(s.lines[i], nil); err != nil {
			tb.Fatal(err)
		}
		note(i + 1)
	}
	if err := x.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}
