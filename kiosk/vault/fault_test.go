package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
	"cunban/kiosk/vault/faultfs"
)

// promise is what the vault said about a case before the power went.
type promise struct {
	state cases.State
	// maybe is the state that an operation under way may have reached.
	maybe cases.State
}

// powerCuts runs a vault on a disk whose plug is pulled cuts times, and checks
// after each what the vault had promised. It returns the promises that were
// broken.
func powerCuts(t *testing.T, seed uint64, cuts, synchronous int) (broken []string) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	b := newBench(t)
	b.close()
	promised := map[string]promise{}
	var disk *faultfs.Disk
	for cut := range cuts {
		if disk == nil || cut%25 == 0 { // a new terminal, so that the disk stays small
			disk = faultfs.New()
			clear(promised)
		}
		b.o.FS, b.o.Dir, b.o.synchronous = disk, "/data", synchronous
		disk.CutAfter(1 + rng.IntN(120))
		workUntilCut(b, disk, rng, promised)
		disk = disk.Reboot(rng)
		b.o.FS = disk
		v, err := Open(context.Background(), b.o)
		if err != nil {
			return append(broken, fmt.Sprintf("cut %d: cannot open after it: %v", cut, err))
		}
		b.v = v
		for _, what := range broke(b, promised) {
			broken = append(broken, fmt.Sprintf("cut %d: %s", cut, what))
		}
		if len(broken) > 0 {
			_ = v.Close(context.Background())
			b.v = nil
			if synchronous == syncFull {
				return broken
			}
			disk = nil
			continue
		}
		// Half of the next rounds find a vault that was closed properly.
		if rng.IntN(2) == 0 {
			must(t, v.Close(context.Background()))
		} else {
			disk = disk.Reboot(rng) // nothing since the open is promised
			abandon(v)
		}
		b.v = nil
	}
	return broken
}

// abandon gives up a vault whose disk is gone.
func abandon(v *Vault) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	_ = v.release() // its disk answers nothing but ErrCut
}

// workUntilCut opens the vault, submits, leases, acknowledges and withdraws
// until the power goes, and notes what was promised.
func workUntilCut(b *bench, disk *faultfs.Disk, rng *rand.Rand, promised map[string]promise) {
	b.t.Helper()
	ctx := context.Background()
	v, err := Open(ctx, b.o)
	if err != nil {
		if !disk.Cut() {
			b.t.Fatalf("open failed though the power is on: %v", err)
		}
		return
	}
	b.v = v
	defer func() { abandon(v); b.v = nil }()
	// do notes what may be and, when f returns nil, what is.
	do := func(id string, to cases.State, f func() error) bool {
		p := promised[id]
		p.maybe = to
		promised[id] = p
		err := f()
		if err == nil {
			promised[id] = promise{state: to}
			return true
		}
		if !disk.Cut() {
			b.t.Fatalf("%s failed though the power is on: %v", to, err)
		}
		return false
	}
	for !disk.Cut() {
		switch rng.IntN(6) {
		case 0, 1, 2:
			d := b.draft(rng.IntN(3))
			do(d.ID, cases.Saved, func() error { _, err := b.desk().Submit(ctx, d); return err })
		case 3, 4:
			its, err := v.Lease(ctx, b.clock.now(), time.Minute, 2)
			if err != nil {
				continue // the power went
			}
			for _, it := range its {
				if !do(it.CaseID, cases.Accepted, func() error {
					_, err := v.Acknowledge(ctx, it.CaseID, 1, it.Lease, "N-"+it.CaseID[:8], b.clock.now(), "")
					return err
				}) {
					return
				}
			}
		case 5:
			d := b.draft(1)
			if do(d.ID, cases.Saved, func() error { _, err := b.desk().Submit(ctx, d); return err }) {
				do(d.ID, cases.Withdrawn, func() error { _, err := v.Withdraw(ctx, d.ID, d.Actor); return err })
			}
			if _, _, err := v.Checkpoint(ctx, 0); err != nil && !disk.Cut() {
				b.t.Fatal(err)
			}
		}
	}
}

// broke compares the vault with what was promised and settles what was open.
func broke(b *bench, promised map[string]promise) (broken []string) {
	ctx := context.Background()
	bad := func(format string, a ...any) { broken = append(broken, fmt.Sprintf(format, a...)) }
	if len(b.v.Incidents()) > 0 {
		bad("incidents: %+v", b.v.Incidents())
	}
	for id, p := range promised {
		c, err := b.v.Case(ctx, id)
		switch {
		case errors.Is(err, cases.ErrNotFound):
			if p.state != "" {
				bad("case %s was reported as %s and is gone", id, p.state)
			}
			delete(promised, id)
			continue
		case err != nil:
			bad("case %s: %v", id, err)
			continue
		case c.State != p.state && c.State != p.maybe:
			bad("case %s was reported as %s (perhaps %s) and is %s", id, p.state, p.maybe, c.State)
		}
		promised[id] = promise{state: c.State}
		rs, err := b.v.LogQuery(ctx, LogFilter{CaseID: id, Event: oplog.CaseSubmit})
		if err != nil || len(rs) != 1 || rs[0].Seq != c.LogIndex {
			bad("case %s has %d records of its submission, %v", id, len(rs), err)
		}
	}
	all, err := b.v.List(ctx, cases.Query{})
	if err != nil || len(all) != len(promised) {
		bad("%d cases instead of %d, %v", len(all), len(promised), err)
	}
	items, err := b.v.Items(ctx)
	if err != nil {
		bad("items: %v", err)
	}
	open := map[string]bool{}
	for _, it := range items {
		open[it.CaseID] = true
		for _, f := range it.Files {
			if err := fileWhole(b.v, it.CaseID, f); err != nil {
				bad("case %s: %v", it.CaseID, err)
			}
		}
	}
	for _, c := range all {
		if open[c.ID] != c.State.Unsent() {
			bad("case %s is %s, in the outbox: %t", c.ID, c.State, open[c.ID])
		}
	}
	if n, err := b.v.Counts(ctx); err != nil || n.Total != len(all) || n.Waiting != len(items) || n.Total != n.Waiting+n.Done+n.Attention {
		bad("counts %+v of %d cases and %d items, %v", n, len(all), len(items), err)
	}
	if _, err := b.v.LogVerify(ctx, nil); err != nil {
		bad("log: %v", err)
	}
	return broken
}

func fileWhole(v *Vault, id string, f cases.QueuedFile) error {
	r, n, err := v.OpenFile(context.Background(), id, f.Name)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	if n != f.Size || !seal.Equal(seal.Digest(data), f.Digest) {
		return fmt.Errorf("file %s is not what was saved", f.Name)
	}
	return nil
}

// cutsFromEnv lets an endurance run ask for more.
func cutsFromEnv(t *testing.T, name string, normal int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return normal
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is not a number", name, s)
	}
	return n
}

// TestPowerCuts: nothing that was reported as saved is ever lost.
// CUNBAN_CUTS sets how many cuts.
func TestPowerCuts(t *testing.T) {
	for _, what := range powerCuts(t, uint64(cutsFromEnv(t, "CUNBAN_CUTS_SEED", 2026)), cutsFromEnv(t, "CUNBAN_CUTS", 300), syncFull) {
		t.Error(what)
	}
}

// TestPowerCutsLoseWithLess shows that the test above can fail: SQLite's usual
// setting in WAL mode loses what it reported.
func TestPowerCutsLoseWithLess(t *testing.T) {
	if len(powerCuts(t, 2026, 60, syncNormal)) == 0 {
		t.Fatal("synchronous=NORMAL lost nothing: the simulated disk forgets too little to prove anything")
	}
}

func TestDiskFull(t *testing.T) {
	b := newBench(t)
	b.close()
	disk := faultfs.New()
	b.o.FS, b.o.Dir = disk, "/data"
	b.open()
	ctx := context.Background()
	first := b.submit(2)
	refused := 0
	for room := int64(0); room < 60_000; room += 1500 {
		disk.Limit(room)
		d := b.draft(2)
		_, err := b.desk().Submit(ctx, d)
		disk.Limit(-1)
		if err == nil {
			continue
		}
		refused++
		wantErr(t, err, cases.ErrDiskFull)
		_, err = b.v.Case(ctx, d.ID)
		wantErr(t, err, cases.ErrNotFound)
		// The same draft can be submitted again.
		_, err = b.desk().Submit(ctx, d)
		must(t, err)
	}
	if refused < 10 {
		t.Fatalf("the full disk was met only %d times", refused)
	}
	if b.caseOf(first.ID).State != cases.Saved {
		t.Fatal("an older case changed")
	}
	b.verify()
	b.close()
	b.open()
	b.verify()
	if len(b.v.Incidents()) > 0 {
		t.Fatalf("incidents: %+v", b.v.Incidents())
	}

	b.v.o.FreeBytes = func(string) (int64, error) { return DefaultMinFree - 1, nil }
	wantErr(t, b.v.Room(ctx), cases.ErrDiskFull)
	b.submit(0) // one that was begun before is still taken
	b.v.o.FreeBytes = func(string) (int64, error) { return DefaultMinFree / 2, nil }
	_, err := b.desk().Submit(ctx, b.draft(0))
	wantErr(t, err, cases.ErrDiskFull)
	b.v.o.FreeBytes = func(string) (int64, error) { return DefaultMinFree, nil }
	must(t, b.v.Room(ctx))
}
