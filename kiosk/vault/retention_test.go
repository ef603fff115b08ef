package vault

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/vault/cryptfile"
)

// newScrubbed is a bench whose vault empties its WAL, unless the negative control
// of `dev promises` asks that it does not.
func newScrubbed(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	if os.Getenv("CUNBAN_KEEP_WAL") == "1" {
		b.close()
		b.o.keepWAL = true
		b.open()
	}
	return b
}

// images are the clear contents of everything in the vault's folder: the
// encrypted files opened with the key, the others as they are.
func (b *bench) images() map[string][]byte {
	b.t.Helper()
	out := map[string][]byte{}
	must(b.t, filepath.WalkDir(b.o.Dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if raw, err := os.ReadFile(name); err != nil || !strings.Contains(name, dbName) {
			out[name] = raw
			return err
		}
		f, err := cryptfile.Open(cryptfile.OS{}, name, b.v.mount.Key)
		if err != nil {
			return err
		}
		n, err := f.Size()
		if err == nil {
			out[name] = make([]byte, n)
			_, err = f.ReadAt(out[name], 0)
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return errors.Join(err, f.Close())
	}))
	return out
}

// pieces cuts bytes into pieces that stand together on any page.
func pieces(data []byte) (out [][]byte) {
	const size = 24
	for at := 0; at+size <= len(data); at += size {
		out = append(out, data[at:at+size])
	}
	return out
}

// found tells how many pieces stand anywhere in the vault's files.
func (b *bench) found(what ...[]byte) (n int) {
	b.t.Helper()
	im := b.images()
	for _, w := range what {
		for _, p := range pieces(w) {
			for _, image := range im {
				if bytes.Contains(image, p) {
					n++
				}
			}
		}
	}
	return n
}

// secrets reads what is sealed of a leased item, scans too.
func (b *bench) secrets(it cases.Item) (out [][]byte) {
	b.t.Helper()
	out = [][]byte{it.Envelope, it.Body}
	for _, f := range it.Files {
		r, _, err := b.v.OpenFile(context.Background(), it.CaseID, f.Name)
		must(b.t, err)
		sealed, err := io.ReadAll(r)
		must(b.t, errors.Join(err, r.Close()))
		out = append(out, sealed)
	}
	return out
}

// accept leases the oldest item and settles it.
func (b *bench) accept() cases.Item {
	b.t.Helper()
	it := b.lease1()
	_, err := b.v.Acknowledge(context.Background(), it.CaseID, it.Revision, it.Lease, "140830-"+it.CaseID[30:], b.clock.now(), "")
	must(b.t, err)
	return it
}

func (b *bench) retain(before time.Time) int {
	b.t.Helper()
	n, err := b.v.Retain(context.Background(), before)
	must(b.t, err)
	return n
}

// TestRetainLeavesNoByte: after the time not one piece of what was sealed is in
// any file, and everything that proves the case still is.
func TestRetainLeavesNoByte(t *testing.T) {
	b := newScrubbed(t)
	ctx := context.Background()
	b.enrol()
	b.submit(3)
	b.submit(2)
	it := b.lease1()
	old := b.secrets(it)
	_, err := b.v.Acknowledge(ctx, it.CaseID, 1, it.Lease, "140830-1", b.clock.now(), "2026-04-01")
	must(t, err)
	if n := b.found(old...); n < 600 { // the negative control: before, it is there
		t.Fatalf("only %d pieces found before", n)
	}
	if n := b.retain(b.clock.now().Add(-time.Hour)); n != 0 {
		t.Fatalf("%d cases before their time", n)
	}
	b.clock.move(31 * 24 * time.Hour)
	if n := b.retain(b.clock.now().Add(-30 * 24 * time.Hour)); n != 1 {
		t.Fatalf("%d cases, want 1", n)
	}
	if n := b.found(old...); n != 0 {
		t.Fatalf("%d pieces of what was destroyed are still there", n)
	}
	if n := b.retain(b.clock.now()); n != 0 {
		t.Fatalf("%d cases a second time", n)
	}
	// What proves it stays.
	if cs := b.caseOf(it.CaseID); cs.State != cases.Accepted || cs.Acceptance != "140830-1" {
		t.Fatalf("case %+v", cs)
	}
	if ev, err := b.v.Timeline(ctx, it.CaseID); err != nil || len(ev) != 2 {
		t.Fatalf("timeline %v, %v", ev, err)
	}
	p, err := b.v.LogProof(ctx, it.CaseID)
	must(t, err)
	must(t, oplog.VerifyInclusion(p.Leaf, p.Index, p.Size, p.Hashes, p.Root))
	rs, err := b.v.LogQuery(ctx, LogFilter{CaseID: it.CaseID, Event: oplog.CaseShred})
	if err != nil || len(rs) != 1 || rs[0].Fields["count"] != "3" {
		t.Fatalf("records %v, %v", rs, err)
	}
	b.verify()
	// The other case is whole and goes on its way.
	other := b.lease1()
	if len(other.Files) != 2 || fileWhole(b.v, other.CaseID, other.Files[0]) != nil {
		t.Fatalf("the unsent case %+v", other)
	}
	b.close()
	b.open()
	if len(b.v.Incidents()) > 0 {
		t.Fatalf("incidents %+v", b.v.Incidents())
	}
	b.verify()
}

// TestRetainTouchesNothingUnsettled tries every state that must be left alone.
func TestRetainTouchesNothingUnsettled(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	move := func(state cases.State) func(cases.Case) {
		return func(c cases.Case) {
			b.accept()
			must(t, b.v.Upstream(ctx, cases.Update{CaseID: c.ID, Revision: 1, State: state, At: b.clock.now()}))
		}
	}
	for name, tc := range map[string]struct {
		do   func(cases.Case)
		want int
	}{
		"waiting": {func(cases.Case) {}, 0},
		"leased":  {func(cases.Case) { b.lease1() }, 0},
		"sent": {func(c cases.Case) {
			it := b.lease1()
			must(t, b.v.SentBody(ctx, c.ID, 1, it.Lease))
		}, 0},
		"moved on while files are outstanding": {func(c cases.Case) {
			it := b.lease1()
			must(t, b.v.SentBody(ctx, c.ID, 1, it.Lease))
			must(t, b.v.Upstream(ctx, cases.Update{CaseID: c.ID, Revision: 1, State: cases.Accepted, At: b.clock.now(), Acceptance: "1"}))
		}, 0},
		"attention": {func(c cases.Case) {
			it := b.lease1()
			must(t, b.v.Attention(ctx, c.ID, 1, it.Lease, "r", "d"))
		}, 0},
		"returned": {move(cases.Returned), 0},
		"mended, not sent": {func(c cases.Case) {
			move(cases.Returned)(c)
			d := b.draft(1)
			d.ID, d.Revision = c.ID, 2
			_, err := b.desk().Submit(ctx, d)
			must(t, err)
		}, 0},
		"accepted":   {move(cases.Accepted), 1},
		"processing": {move(cases.Processing), 1},
		"finished":   {move(cases.Finished), 1},
		"refused":    {move(cases.Refused), 1},
		"accepted under a clock of long ago": {func(c cases.Case) {
			it := b.lease1()
			_, err := b.v.Acknowledge(ctx, c.ID, 1, it.Lease, "2", time.Unix(1, 0), "")
			must(t, err)
			if n := b.retain(b.caseOf(c.ID).SavedAt); n != 0 {
				t.Errorf("%d cases destroyed by a wrong clock", n)
			}
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b = newBench(t)
			tc.do(b.submit(1))
			b.clock.move(time.Hour)
			if n := b.retain(b.clock.now()); n != tc.want {
				t.Errorf("%d cases destroyed, want %d", n, tc.want)
			}
			b.verify()
		})
	}
}

// TestRetainOfManyRevisions destroys the bodies of every revision.
func TestRetainOfManyRevisions(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	c := b.submit(1)
	old := b.secrets(b.accept())
	must(t, b.v.Upstream(ctx, cases.Update{CaseID: c.ID, Revision: 1, State: cases.Returned, At: b.clock.now()}))
	d := b.draft(1)
	d.ID, d.Revision = c.ID, 2
	_, err := b.desk().Submit(ctx, d)
	must(t, err)
	old = append(old, b.secrets(b.accept())...)
	b.clock.move(time.Hour)
	if n := b.retain(b.clock.now()); n != 1 {
		t.Fatalf("%d cases", n)
	}
	if n := b.found(old...); n != 0 {
		t.Fatalf("%d pieces left", n)
	}
	if dirs, err := os.ReadDir(b.v.path(scansName)); err != nil || len(dirs) != 0 {
		t.Fatalf("folders %v, %v", dirs, err)
	}
	b.verify()
}

// stuckFS cannot remove scans while it is stuck.
type stuckFS struct {
	cryptfile.OS
	stuck bool
}

func (f *stuckFS) Remove(name string) error {
	if f.stuck && strings.HasSuffix(name, ".sealed") {
		return errors.New("stuck")
	}
	return f.OS.Remove(name)
}

// TestRetainSweepsLater: scans that could not be removed are swept at the next
// start, though the vault was closed properly.
func TestRetainSweepsLater(t *testing.T) {
	b := newBench(t)
	b.close()
	disk := &stuckFS{}
	b.o.FS = disk
	b.open()
	b.submit(1)
	old := b.secrets(b.accept())
	b.clock.move(time.Hour)
	disk.stuck = true
	if n, err := b.v.Retain(context.Background(), b.clock.now()); n != 1 || err == nil {
		t.Fatalf("%d, %v", n, err)
	}
	disk.stuck = false
	if n := b.found(old[:2]...); n != 0 { // the key is gone at once
		t.Fatalf("%d pieces of envelope and body left", n)
	}
	b.close()
	b.open()
	if n := b.found(old...); n != 0 || !b.v.Clean() {
		t.Fatalf("%d pieces left, clean %t", n, b.v.Clean())
	}
	b.verify()
}

// TestWithdrawLeavesNoByte: what its owner took back is gone at once.
func TestWithdrawLeavesNoByte(t *testing.T) {
	b := newScrubbed(t)
	c := b.submit(1)
	var env, body []byte
	must(t, b.v.db.QueryRow("SELECT envelope, body FROM bodies").Scan(&env, &body))
	if b.found(env, body) == 0 {
		t.Fatal("nothing found before")
	}
	_, err := b.v.Withdraw(context.Background(), c.ID, cases.Actor{Role: cases.RoleResident})
	must(t, err)
	if n := b.found(env, body); n != 0 {
		t.Fatalf("%d pieces left", n)
	}
}
