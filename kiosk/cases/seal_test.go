package cases_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/resident"
	"cunban/kiosk/seal"
)

// catcher is a store that keeps what Submit hands to it.
type catcher struct {
	cases.Store
	got cases.Submission
}

func (c *catcher) Submit(_ context.Context, s cases.Submission) (cases.Case, error) {
	c.got = s
	return s.Case, nil
}

func (*catcher) OwnerIndex(resident.IDNumber) []byte { return make([]byte, seal.DigestSize) }

// once fails when something is seen a second time.
type once map[string]string

func (o once) see(t *testing.T, what string, b []byte, where string) {
	t.Helper()
	k := what + hex.EncodeToString(b)
	if before, twice := o[k]; twice {
		t.Fatalf("the %s of %s is that of %s", what, where, before)
	}
	o[k] = where
}

// noncesOf are the nonces of a submission's sealed parts (suite, nonce, …).
func noncesOf(s cases.Submission) (out [][]byte) {
	const from, to = 1, 13
	for _, part := range [][]byte{s.Body, s.LogPrivate} {
		out = append(out, part[from:to])
	}
	for _, f := range s.Files {
		out = append(out, f.Sealed[from:to])
	}
	return out
}

// TestKeysAndNoncesAreFresh submits ten thousand cases, and mends every tenth:
// no case key, nonce, envelope or sealed byte string is ever used again, not
// even for the same draft.
func TestKeysAndNoncesAreFresh(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 500
	}
	county, err := seal.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	store := &catcher{}
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	desk := cases.Desk{Store: store, CountyKey: county.Public(), Rand: rand.Reader, Now: func() time.Time { return now }}
	number, err := resident.ParseIDNumber("140830198707144518") // made up, see the design texts
	if err != nil {
		t.Fatal(err)
	}
	seen := once{}
	for i := range n {
		id, err := cases.NewID(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		d := cases.Draft{ID: id, Revision: 1, Service: "S01", ServiceName: "x", Catalogue: "1", Answers: []byte(`{}`),
			Claim: resident.Claim{Number: number, Name: resident.NewName("张三")}, Mode: cases.ModeSelf,
			Scans: []cases.Scan{{Material: "m", Page: 1, MIME: "image/png", Data: []byte("page")}, {Material: "m", Page: 2, MIME: "image/png", Data: []byte("page")}}}
		revisions := 1
		if i%10 == 0 {
			revisions = 2
		}
		for d.Revision = 1; d.Revision <= revisions; d.Revision++ {
			if _, err := desk.Submit(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			where, s := fmt.Sprintf("case %d/%d", i, d.Revision), store.got
			key, err := county.OpenEnvelope(s.Envelope, cases.EnvelopeAAD(id, d.Revision))
			if err != nil {
				t.Fatal(err)
			}
			seen.see(t, "key", key.Bytes(), where)
			seen.see(t, "envelope", s.Envelope, where)
			for _, nonce := range noncesOf(s) {
				seen.see(t, "nonce", nonce, where)
			}
		}
	}
}

// TestSealedPartsStayInTheirPlace: nothing opens as another part, of another
// case, revision or file, or under another county key's id.
func TestSealedPartsStayInTheirPlace(t *testing.T) {
	key, err := seal.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	places := map[string][]byte{
		"body": cases.BodyAAD("a", 1, "k"), "body of another case": cases.BodyAAD("b", 1, "k"),
		"body of another revision": cases.BodyAAD("a", 2, "k"), "body for another county": cases.BodyAAD("a", 1, "l"),
		"file": cases.FileAAD("a", 1, "1-01.sealed"), "another file": cases.FileAAD("a", 1, "1-02.sealed"),
		"file of another case": cases.FileAAD("b", 1, "1-01.sealed"), "file of another revision": cases.FileAAD("a", 2, "1-01.sealed"),
		"file named as a key": cases.FileAAD("a", 1, "k"),
		"log":                 cases.LogAAD("a", 1), "log of another case": cases.LogAAD("b", 1), "log of another revision": cases.LogAAD("a", 2),
		"envelope": cases.EnvelopeAAD("a", 1), "envelope of another case": cases.EnvelopeAAD("b", 1), "nothing": nil,
	}
	for from, aad := range places {
		sealed, err := seal.Seal(rand.Reader, key, []byte("x"), aad)
		if err != nil {
			t.Fatal(err)
		}
		for to, other := range places {
			if _, err := seal.Open(key, sealed, other); (err == nil) != (from == to) {
				t.Errorf("%s opened as %s: %v", from, to, err)
			}
		}
	}
}
