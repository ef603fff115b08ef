package cases_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/resident"
	"cunban/kiosk/seal"
)

// failEvery is which call of Submit of a catcher fails: the same draft is then
// submitted once more.
const failEvery = 7

// catcher is a store that keeps what Submit hands to it, and does not always
// take it.
type catcher struct {
	cases.Store
	got   cases.Submission
	calls int
}

func (c *catcher) Submit(_ context.Context, s cases.Submission) (cases.Case, error) {
	c.got = s
	if c.calls++; c.calls%failEvery == 0 {
		return cases.Case{}, cases.ErrDiskFull
	}
	return s.Case, nil
}

func (*catcher) OwnerIndex(resident.IDNumber) []byte { return make([]byte, seal.DigestSize) }

var errAgain = errors.New("used again")

// once knows what was seen, and where.
type once map[string]string

// see fails when something is seen a second time.
func (o once) see(what string, b []byte, where string) error {
	k := what + hex.EncodeToString(b)
	if before, twice := o[k]; twice {
		return fmt.Errorf("%w: the %s of %s is that of %s", errAgain, what, where, before)
	}
	o[k] = where
	return nil
}

// submission sees the case key of a submission, as the county finds it, its
// envelope, and the nonce of each of its sealed parts. A nonce is never used
// again even under another key.
func (o once) submission(county *seal.PrivateKey, s cases.Submission, where string) error {
	key, err := county.OpenEnvelope(s.Envelope, cases.EnvelopeAAD(s.Case.ID, s.Case.Revision))
	if err != nil {
		return err
	}
	err = errors.Join(o.see("key", key.Bytes(), where), o.see("envelope", s.Envelope, where))
	for _, nonce := range noncesOf(s) {
		err = errors.Join(err, o.see("nonce", nonce, where))
	}
	return err
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

// submitMany submits n cases and mends every tenth; where the store did not take
// a draft, it is submitted again as it is. It stops at the first thing that was
// used again; failed counts the submissions that the store did not take.
func submitMany(ctx context.Context, n int, random io.Reader) (failed int, err error) {
	county, err := seal.GenerateKey(rand.Reader)
	if err != nil {
		return 0, err
	}
	number, err := resident.ParseIDNumber("140830198707144518") // made up, see the design texts
	if err != nil {
		return 0, err
	}
	store := &catcher{}
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	desk := cases.Desk{Store: store, CountyKey: county.Public(), Rand: random, Now: func() time.Time { return now }}
	seen := once{}
	for i := range n {
		id, err := cases.NewID(rand.Reader)
		if err != nil {
			return failed, err
		}
		d := cases.Draft{ID: id, Revision: 1, Service: "S01", ServiceName: "x", Catalogue: "1", Answers: []byte(`{}`),
			Claim: resident.Claim{Number: number, Name: resident.NewName("张三")}, Mode: cases.ModeSelf,
			Scans: []cases.Scan{{Material: "m", Page: 1, MIME: "image/png", Data: []byte("page")}, {Material: "m", Page: 2, MIME: "image/png", Data: []byte("page")}}}
		revisions := 1
		if i%10 == 0 {
			revisions = 2
		}
		for d.Revision = 1; d.Revision <= revisions; d.Revision++ {
			for try := 1; ; try++ {
				_, notTaken := desk.Submit(ctx, d)
				if err := seen.submission(county, store.got, fmt.Sprintf("case %d/%d, try %d", i, d.Revision, try)); err != nil {
					return failed, err
				}
				if notTaken == nil {
					break
				}
				if failed++; !errors.Is(notTaken, cases.ErrDiskFull) {
					return failed, notTaken
				}
			}
		}
	}
	return failed, nil
}

// TestKeysAndNoncesAreFresh submits ten thousand cases, mends every tenth, and
// submits again what was not taken: no case key, nonce, envelope or sealed byte
// string is ever used again, not even for the same draft.
func TestKeysAndNoncesAreFresh(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 500
	}
	failed, err := submitMany(t.Context(), n, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if failed < n/failEvery {
		t.Errorf("only %d submissions failed", failed)
	}
}

// repeats is a source of random bytes that gives reads of one size the same
// bytes every time; 0 = reads of every size.
type repeats int

func (r repeats) Read(p []byte) (int, error) {
	if r == 0 || len(p) == int(r) {
		for i := range p {
			p[i] = 7
		}
		return len(p), nil
	}
	return rand.Read(p)
}

// TestRepeatedRandomnessIsSeen shows that the test above can fail.
func TestRepeatedRandomnessIsSeen(t *testing.T) {
	const nonceSize = 12
	for what, random := range map[string]io.Reader{"all": repeats(0), "keys": repeats(seal.KeySize), "nonces": repeats(nonceSize)} {
		if _, err := submitMany(t.Context(), 3, random); !errors.Is(err, errAgain) {
			t.Errorf("%s: not seen: %v", what, err)
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
