package oplog

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cunban/kiosk/seal"
)

// caseLine is a record of a submission as a terminal writes it.
func caseLine(tb testing.TB, seq int64) []byte {
	tb.Helper()
	random := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(rand.Reader, b); err != nil {
			tb.Fatal(err)
		}
		return b
	}
	uuid := func() string {
		s := hex.EncodeToString(random(16))
		return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
	}
	r := Entry{Event: CaseSubmit, Role: RoleResident, Session: 4711, CaseID: uuid(), Private: random(HashSize),
		Fields: map[string]string{"service": "S01", "revision": "1", "mode": "self", "verification": "verified_online", "confirmed": "false",
			"catalogue": "2026.11.1", "body": hex.EncodeToString(random(HashSize)), "files": "5", "key": hex.EncodeToString(random(8))},
	}.Record(Stamp{Seq: seq, Wall: bootTime.Add(time.Duration(seq)*time.Second + 123456789), Mono: 123456789012345, BootID: uuid(), Version: "1.0.0"})
	r.MAC = random(HashSize)
	return r.Encode()
}

// treeLog is a log of which only the leaves' hashes matter.
type treeLog struct {
	key, county *seal.PrivateKey
	tree        *Tree
	nodes       map[NodeID][]byte
	lines       map[int64][]byte
}

// newTreeLog makes a log of a size with true records at some places.
func newTreeLog(tb testing.TB, size int64, at ...int64) *treeLog {
	tb.Helper()
	l := &treeLog{key: newKey(tb), county: newKey(tb), tree: &Tree{}, nodes: map[NodeID][]byte{}, lines: map[int64][]byte{}}
	for _, i := range at {
		l.lines[i] = caseLine(tb, i)
	}
	for i := range size {
		line, ok := l.lines[i]
		if !ok {
			line = fmt.Appendf(nil, "record %d", i)
		}
		for _, n := range l.tree.Append(line) {
			l.nodes[NodeID{n.Level, n.Index}] = n.Hash
		}
	}
	return l
}

func (l *treeLog) keys() Keys {
	return Keys{Terminal: []*seal.PublicKey{l.key.Public()}, County: []*seal.PublicKey{l.county.Public()}}
}

// note signs the log as it is.
func (l *treeLog) note(tb testing.TB, counter bool) []byte {
	tb.Helper()
	origin := Origin(l.key.Public())
	msg, err := SignCheckpoint(rand.Reader, Checkpoint{origin, l.tree.Size(), l.tree.Root()}, origin, l.key)
	if err == nil && counter {
		msg, err = Countersign(rand.Reader, msg, CountyName, l.county)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return msg
}

func (l *treeLog) proof(tb testing.TB, index int64) [][]byte {
	tb.Helper()
	hashes, err := InclusionProof(index, l.tree.Size(), func(ids []NodeID) (out [][]byte, _ error) {
		for _, id := range ids {
			out = append(out, l.nodes[id])
		}
		return out, nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return hashes
}

func (l *treeLog) receipt(tb testing.TB, index int64, counter bool) Receipt {
	tb.Helper()
	r, err := NewReceipt(l.lines[index], l.proof(tb, index), l.note(tb, counter))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func TestReceiptProves(t *testing.T) {
	for size := int64(1); size <= 1000; size += 1 + size/5 {
		for _, i := range []int64{0, size / 3, size / 2, size - 1} {
			l := newTreeLog(t, size, i)
			for _, counter := range []bool{false, true} {
				r := l.receipt(t, i, counter)
				got, err := ParseReceipt("QR-Code:" + r.Text() + "\n")
				if err != nil {
					t.Fatalf("record %d of %d: %v", i, size, err)
				}
				p, err := got.Verify(l.keys())
				if err != nil {
					t.Fatalf("record %d of %d: %v", i, size, err)
				}
				rec, err := Decode(l.lines[i])
				if err != nil {
					t.Fatal(err)
				}
				if p.Case != rec.CaseID || p.Service != "S01" || p.Revision != "1" || !p.At.Equal(rec.Wall) || p.Index != i || p.Size != size ||
					!bytes.Equal(p.Root, l.tree.Root()) || p.Origin != Origin(l.key.Public()) || (p.County == CountySigned) != counter {
					t.Fatalf("record %d of %d: %+v", i, size, p)
				}
				note, err := got.Note()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := OpenCheckpoint(note, p.Origin, l.key.Public()); err != nil {
					t.Fatalf("its note: %v", err)
				}
			}
		}
	}
}

// What a receipt does not say must not pass, and each failure has its own name.
func TestReceiptFailures(t *testing.T) {
	l, other := newTreeLog(t, 100, 41, 42), newTreeLog(t, 100, 41, 42)
	r, foreign := l.receipt(t, 42, true), other.receipt(t, 42, true)
	text := r.Text()
	for name, bad := range map[string]struct {
		text string
		want error
	}{
		"nothing":      {"", ErrReceipt},
		"an address":   {"https://example.com/", ErrReceipt},
		"too long":     {strings.Repeat("A", 3*MaxReceipt), ErrReceipt},
		"old version":  {"CUNBAN0:" + text[8:], ErrReceiptVersion},
		"new version":  {"CUNBAN2:" + text[8:], ErrReceiptVersion},
		"three":        {text[:3], ErrReceiptTorn},
		"seven":        {text[:7], ErrReceiptTorn},
		"prefix":       {text[:8], ErrReceiptTorn},
		"half":         {text[:len(text)/2], ErrReceiptTorn},
		"last missing": {text[:len(text)-1], ErrReceiptTorn},
		"doubled":      {text + text, ErrReceiptTorn},
		"small":        {strings.ToLower(text), ErrReceipt},
		"a small one":  {text[:60] + "a" + text[61:], ErrReceiptTorn},
	} {
		if _, err := ParseReceipt(bad.text); !errors.Is(err, bad.want) {
			t.Errorf("%s: %v, want %v", name, err, bad.want)
		}
	}
	for _, tc := range []struct {
		name   string
		change func(*Receipt)
		keys   Keys
		want   error
	}{
		{"other terminal", func(*Receipt) {}, other.keys(), ErrReceiptKey},
		{"no key", func(*Receipt) {}, Keys{}, ErrReceiptKey},
		{"other county", func(*Receipt) {}, Keys{Terminal: l.keys().Terminal, County: other.keys().County}, ErrReceiptKey},
		{"keys swapped", func(*Receipt) {}, Keys{Terminal: l.keys().County, County: l.keys().Terminal}, ErrReceiptKey},
		{"other record", func(r *Receipt) { r.Record = foreign.Record }, l.keys(), ErrReceiptFalse},
		{"other number", func(r *Receipt) {
			r.Record = bytes.Replace(r.Record, []byte(`"seq":42`), []byte(`"seq":43`), 1)
		}, l.keys(), ErrReceiptFalse},
		{"other service", func(r *Receipt) {
			r.Record = bytes.Replace(r.Record, []byte(`"service":"S01"`), []byte(`"service":"S02"`), 1)
		}, l.keys(), ErrReceiptFalse},
		{"other proof", func(r *Receipt) { r.Hashes = foreign.Hashes }, l.keys(), ErrReceiptFalse},
		{"neighbour's proof", func(r *Receipt) { r.Hashes = l.proof(t, 41) }, l.keys(), ErrReceiptFalse},
		{"hash missing", func(r *Receipt) { r.Hashes = r.Hashes[1:] }, l.keys(), ErrReceipt},
		{"hash too short", func(r *Receipt) { r.Hashes[0] = r.Hashes[0][1:] }, l.keys(), ErrReceipt},
		{"other size", func(r *Receipt) { r.Size = 101 }, l.keys(), ErrReceiptFalse},
		{"size before it", func(r *Receipt) { r.Size = 42 }, l.keys(), ErrReceipt},
		{"other origin", func(r *Receipt) { r.Origin = "cunban/log-00000000" }, l.keys(), ErrReceiptKey},
		{"not signed", func(r *Receipt) { r.signs = nil }, l.keys(), ErrReceipt},
		{"signed by the county alone", func(r *Receipt) { r.signs = r.signs[1:] }, l.keys(), ErrReceiptKey},
		{"foreign signature", func(r *Receipt) { r.signs[0].sig = foreign.signs[0].sig }, l.keys(), ErrReceiptFalse},
		{"foreign countersignature", func(r *Receipt) { r.signs[1].sig = foreign.signs[1].sig }, l.keys(), ErrReceiptFalse},
		{"not a record", func(r *Receipt) { r.Record = []byte("record 42") }, l.keys(), ErrReceipt},
	} {
		r := l.receipt(t, 42, true)
		tc.change(&r)
		if p, err := r.Verify(tc.keys); !errors.Is(err, tc.want) {
			t.Errorf("%s: %+v, %v, want %v", tc.name, p, err, tc.want)
		}
	}
	// A record of something else is no receipt, be it ever so well signed.
	help := Entry{Event: HelpCall, Role: RoleResident}.Record(Stamp{Wall: bootTime}).Encode()
	h := &treeLog{key: l.key, tree: &Tree{}}
	h.tree.Append(help)
	if _, err := NewReceipt(help, nil, h.note(t, false)); !errors.Is(err, ErrReceipt) {
		t.Errorf("a call for help: %v", err)
	}
	if _, err := NewReceipt(l.lines[42], l.proof(t, 41), l.note(t, false)); !errors.Is(err, ErrReceipt) {
		t.Errorf("a wrong proof: %v", err)
	}
	if _, err := NewReceipt(l.lines[42], l.proof(t, 42), []byte("no note")); !errors.Is(err, ErrReceipt) {
		t.Errorf("no note: %v", err)
	}
	// Without the county's key its signature is told of, but not called right.
	if p, err := l.receipt(t, 42, true).Verify(Keys{Terminal: l.keys().Terminal}); err != nil || p.County != CountyUnchecked {
		t.Errorf("without the county's key: %v, %v", p.County, err)
	}
	for _, c := range []Countersigning{CountyAbsent, CountyUnchecked, CountySigned} {
		if c.Text() == string(c) {
			t.Errorf("no words for %s", c)
		}
	}
}

// No changed character passes, nor a changed byte of the payload whose check
// was made anew: not one of some ten thousand.
func TestReceiptChanged(t *testing.T) {
	l := newTreeLog(t, 1000, 777)
	text, k := l.receipt(t, 777, true).Text(), l.keys()
	rnd := mathrand.New(mathrand.NewPCG(1, 2))
	for i := range len(text) {
		for range 4 {
			c := base45Digits[rnd.IntN(len(base45Digits))]
			if c == text[i] {
				continue
			}
			changed := text[:i] + string(c) + text[i+1:]
			if r, err := ParseReceipt(changed); err == nil {
				t.Fatalf("character %d: %q for %q gives %+v", i, c, text[i], r)
			}
		}
	}
	payload, err := unbase45(strings.TrimPrefix(text, receiptPrefix))
	if err != nil {
		t.Fatal(err)
	}
	tries := 0
	for i := range payload[:len(payload)-receiptCheck] {
		for bit := range 8 {
			b := bytes.Clone(payload[:len(payload)-receiptCheck])
			b[i] ^= 1 << bit
			b = append(b, seal.Digest(b)[:receiptCheck]...)
			tries++
			r, err := ParseReceipt(receiptPrefix + base45(b))
			if errors.Is(err, ErrReceiptTorn) {
				t.Fatalf("byte %d: the check was made anew, yet %v", i, err)
			}
			if err == nil {
				if _, err = r.Verify(k); err == nil {
					t.Fatalf("bit %d of byte %d: it passes", bit, i)
				}
			}
		}
	}
	t.Logf("%d characters, %d bits of the payload", len(text), tries)
}

// A log that has everything makes a text that still fits: here are the sizes.
func TestReceiptSize(t *testing.T) {
	for _, tc := range []struct {
		records int64
		hashes  int
		limit   int // characters
	}{{10, 4, 900}, {10_000, 14, 1350}, {1_000_000, 20, 1650}, {10_000_000, 24, 1850}} {
		key := newKey(t)
		r := Receipt{Record: caseLine(t, tc.records-1), Origin: Origin(key.Public()), Size: tc.records, signs: []receiptSign{{1, make([]byte, 72)}}}
		for range tc.hashes {
			r.Hashes = append(r.Hashes, make([]byte, HashSize))
		}
		n := len(r.Text())
		if n > tc.limit {
			t.Errorf("%d records: %d characters", tc.records, n)
		}
		r.signs = append(r.signs, r.signs[0])
		t.Logf("%d records, %d hashes: record %d bytes, packed %d; %d characters, countersigned %d", tc.records, tc.hashes, len(r.Record), len(packRecord(r.Record)), n, len(r.Text()))
	}
	long := Receipt{Record: bytes.Repeat([]byte("长"), 1000), Origin: "cunban/t", Size: 1, signs: []receiptSign{{1, []byte{1}}}}
	if err := long.check(); !errors.Is(err, ErrReceipt) {
		t.Errorf("a record that no code holds: %v", err)
	}
}

// RFC 9285 §4.3 and §4.4.
func TestBase45(t *testing.T) {
	for plain, text := range map[string]string{"AB": "BB8", "Hello!!": "%69 VD92EX0", "base-45": "UJCLQE7W581", "ietf!": "QED8WEX0", "": ""} {
		if got := base45([]byte(plain)); got != text {
			t.Errorf("%q becomes %q", plain, got)
		}
		if got, err := unbase45(text); err != nil || string(got) != plain {
			t.Errorf("%q becomes %q, %v", text, got, err)
		}
	}
	for _, bad := range []string{"A", "GGW", "::", "ABCD", "ab8", "BB\n"} {
		if b, err := unbase45(bad); err == nil {
			t.Errorf("%q becomes %x", bad, b)
		}
	}
}

func TestPackRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.OneOf(
			rapid.Map(rapid.Custom(genRecord), func(r Record) []byte { return r.Encode() }),
			rapid.SliceOf(rapid.Byte()),
			rapid.Map(rapid.StringMatching(`[0-9a-f-]{0,90}`), func(s string) []byte { return []byte(s) }),
		).Draw(t, "line")
		got, err := unpackRecord(packRecord(line))
		if err != nil || !bytes.Equal(got, line) {
			t.Fatalf("%q comes back as %q, %v", line, got, err)
		}
	})
	if len(phrases) > packHex-packPhrase {
		t.Errorf("%d phrases", len(phrases))
	}
	for i, p := range phrases {
		if hexRun([]byte(p), 1) > 0 || len(p) < 2 {
			t.Errorf("phrase %d: %q", i, p)
		}
	}
	for _, bad := range []string{"\xbf", "\xc0", "\xc1", "\xe1", "\xc2a", "\xf0", "\xff"} {
		if b, err := unpackRecord([]byte(bad)); err == nil {
			t.Errorf("%x becomes %q", bad, b)
		}
	}
}

// FuzzReceipt: whatever a scanner gives, ParseReceipt takes only what Text
// writes, and nothing of it is called proven.
func FuzzReceipt(f *testing.F) {
	l := newTreeLog(f, 9, 3)
	f.Add(l.receipt(f, 3, false).Text())
	f.Add(l.receipt(f, 3, true).Text())
	f.Add("CUNBAN1:")
	f.Add("CUNBAN1|01234567|1|2|AAAA|")
	stranger := Keys{Terminal: []*seal.PublicKey{newKey(f).Public()}}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseReceipt(s)
		if err != nil {
			return
		}
		if strings.TrimPrefix(strings.TrimSpace(s), scannerPrefix) != r.Text() {
			t.Fatal("another text comes back")
		}
		if p, err := r.Verify(stranger); err == nil {
			t.Fatalf("a stranger's key proves %+v", p)
		}
	})
}

func BenchmarkReceiptVerify(b *testing.B) {
	l := newTreeLog(b, 1000, 999)
	text, k := l.receipt(b, 999, false).Text(), l.keys()
	for b.Loop() {
		r, err := ParseReceipt(text)
		if err == nil {
			_, err = r.Verify(k)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
