package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/vault/cryptfile"
)

// keyUse is what the county finds in the queues of terminals: under which case
// key which nonces were used, and for what.
type keyUse struct {
	keys   map[string]string            // key -> case and revision
	nonces map[string]map[string]string // key -> nonce -> sealed bytes
	broken []string
}

func newKeyUse() *keyUse {
	return &keyUse{keys: map[string]string{}, nonces: map[string]map[string]string{}}
}

// take opens what a queue holds of a revision. A salvaged case may come twice: it
// is delivered as it is, never sealed anew under its old key.
func (u *keyUse) take(b *bench, v *Vault, it cases.Item) {
	b.t.Helper()
	key, err := b.county.OpenEnvelope(it.Envelope, cases.EnvelopeAAD(it.CaseID, it.Revision))
	must(b.t, err)
	k, where := string(key.Bytes()), fmt.Sprintf("%s/%d", it.CaseID, it.Revision)
	if old, ok := u.keys[k]; ok && old != where {
		u.broken = append(u.broken, fmt.Sprintf("the key of %s is that of %s", where, old))
	}
	u.keys[k] = where
	if u.nonces[k] == nil {
		u.nonces[k] = map[string]string{}
	}
	u.part(k, where, it.Body)
	for _, f := range it.Files {
		r, _, err := v.OpenFile(context.Background(), it.CaseID, f.Name)
		must(b.t, err)
		sealed, err := io.ReadAll(r)
		must(b.t, errors.Join(err, r.Close()))
		u.part(k, where+" "+f.Name, sealed)
	}
}

func (u *keyUse) part(key, where string, sealed []byte) {
	const from, to = 1, 13 // of the nonce, see seal.Seal
	n := string(sealed[from:to])
	if old, ok := u.nonces[key][n]; ok && old != string(sealed) {
		u.broken = append(u.broken, "a nonce of "+where+" was used before under its key")
	}
	u.nonces[key][n] = string(sealed)
}

// takeAll leases everything that waits and opens it.
func (u *keyUse) takeAll(b *bench, v *Vault) (its []cases.Item) {
	b.t.Helper()
	its, err := v.Lease(context.Background(), b.clock.now(), time.Minute, 1000)
	must(b.t, err)
	for _, it := range its {
		u.take(b, v, it)
	}
	return its
}

// fullDisk has no room for scans while full is set.
type fullDisk struct {
	cryptfile.FS
	full bool
}

func (f *fullDisk) Create(name string) (cryptfile.File, error) {
	if f.full {
		return nil, errBroken
	}
	return f.FS.Create(name)
}

// useKeys is the life of a vault in which a case key might be used again: several
// cases, one that the disk did not take at first, one that is mended, and all
// that is unsent salvaged into another vault, which goes on.
func useKeys(t *testing.T, random func() io.Reader) *keyUse {
	b := newBench(t)
	ctx := context.Background()
	b.close()
	disk := &fullDisk{FS: cryptfile.OS{}}
	b.o.FS = disk
	b.open()
	submit := func(v *Vault, d cases.Draft) error {
		desk := b.desk()
		desk.Store, desk.Rand = v, random()
		_, err := desk.Submit(ctx, d)
		return err
	}
	for range 5 {
		must(t, submit(b.v, b.draft(2)))
	}
	again := b.draft(2)
	disk.full = true
	wantErr(t, submit(b.v, again), errBroken)
	disk.full = false
	must(t, submit(b.v, again))
	u := newKeyUse()
	its := u.takeAll(b, b.v)
	first := its[0]
	_, err := b.v.Acknowledge(ctx, first.CaseID, first.Revision, first.Lease, "N-1", b.clock.now(), "")
	must(t, err)
	must(t, b.v.Upstream(ctx, cases.Update{CaseID: first.CaseID, Revision: 1, State: cases.Returned, At: b.clock.now(), Note: "缺一页",
		Mend: []cases.Mend{{Field: "id-card", Label: "身份证", Reason: "看不清"}}}))
	mended := b.draft(2)
	mended.ID, mended.Revision = first.CaseID, 2
	must(t, submit(b.v, mended))
	b.clock.move(time.Hour)
	u.takeAll(b, b.v)
	b.close()
	v, mark := b.laidAside(t, func(string) {})
	rep, err := v.Salvage(ctx, mark)
	if err != nil || rep.Queued != 6 {
		t.Fatalf("%+v, %v", rep, err)
	}
	must(t, submit(v, b.draft(2)))
	b.clock.move(time.Hour)
	its = u.takeAll(b, v)
	if !slices.ContainsFunc(its, func(it cases.Item) bool { return it.Revision == 2 }) || len(its) != 7 {
		t.Fatalf("%d items in the vault after the salvage", len(its))
	}
	return u
}

// TestCaseKeysAreNeverUsedAgain: whatever becomes of cases, each revision has a
// key of its own, and under each key every nonce was used for one thing.
func TestCaseKeysAreNeverUsedAgain(t *testing.T) {
	u := useKeys(t, func() io.Reader { return rand.Reader })
	for _, what := range u.broken {
		t.Error(what)
	}
	// Six cases, one revision, one after the salvage; each a body and two scans.
	if len(u.keys) != 8 {
		t.Errorf("%d keys", len(u.keys))
	}
	for k, n := range u.nonces {
		if len(n) != 3 {
			t.Errorf("%d nonces under the key of %s", len(n), u.keys[k])
		}
	}
}

// TestReusedCaseKeysAreSeen shows that the test above can fail: a desk that draws
// the same random bytes for each case, or the same nonce for each part.
func TestReusedCaseKeysAreSeen(t *testing.T) {
	for what, random := range map[string]func() io.Reader{
		"same for each case": func() io.Reader { return &repeating{block: bytes.Repeat([]byte{3, 1, 4, 1, 5, 9}, 4096)} },
		"same for each part": func() io.Reader { return &repeating{nonce: bytes.Repeat([]byte{7}, 12)} },
	} {
		t.Run(what, func(t *testing.T) {
			if len(useKeys(t, random).broken) == 0 {
				t.Fatal("not seen")
			}
		})
	}
}

// repeating is a broken source of random bytes: it gives a block from its
// beginning, or a nonce again and again.
type repeating struct{ block, nonce []byte }

func (r *repeating) Read(p []byte) (int, error) {
	if len(r.block) > 0 {
		n := copy(p, r.block)
		r.block = r.block[n:]
		return n, nil
	}
	if len(r.nonce) == len(p) {
		return copy(p, r.nonce), nil
	}
	return rand.Read(p)
}
