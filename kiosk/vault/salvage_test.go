package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/resident"
	"cunban/kiosk/vault/cryptfile"
)

// wreckCases is how many unsent cases the stored vaults hold, with a scan each;
// beside them are one that the county has and one that was withdrawn.
const wreckCases = 12

// wreckOf fills a vault and leaves it as a power cut does, with a WAL, or closed.
func wreckOf(t *testing.T, closed bool) (b *bench, unsent []cases.Case) {
	t.Helper()
	b = newBench(t)
	b.enrol()
	b.submit(1)
	b.accept()
	gone := b.submit(1)
	_, err := b.v.Withdraw(context.Background(), gone.ID, cases.Actor{Role: cases.RoleResident})
	must(t, err)
	for range wreckCases {
		unsent = append(unsent, b.submit(1))
	}
	b.checkpoint(0)
	if closed {
		b.close()
		return b, unsent
	}
	for range 2 {
		unsent = append(unsent, b.submit(1))
	}
	dead := b.v
	t.Cleanup(func() { must(t, dead.Close(context.Background())) })
	return b, unsent
}

// laidAside is a vault with a copy of another set aside in it; spoil may change
// the copy first.
func (b *bench) laidAside(t *testing.T, spoil func(db string)) (v *Vault, mark string) {
	t.Helper()
	o := b.o
	o.Dir = copyOf(t, b.o.Dir)
	spoil(filepath.Join(o.Dir, dbName))
	mark = "20260302T090000.000Z"
	for _, n := range []string{dbName, dbName + "-wal", scansName} {
		if err := os.Rename(filepath.Join(o.Dir, n), filepath.Join(o.Dir, n+asideMark+mark)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	v, err := Open(context.Background(), o)
	must(t, err)
	t.Cleanup(func() { must(t, v.Close(context.Background())) })
	return v, mark
}

func TestSalvageWhole(t *testing.T) {
	for name, closed := range map[string]bool{"closed": true, "with a WAL": false} {
		t.Run(name, func(t *testing.T) {
			b, unsent := wreckOf(t, closed)
			ctx := context.Background()
			v, mark := b.laidAside(t, func(string) {})
			if marks, err := v.Aside(ctx); err != nil || len(marks) != 1 || marks[0] != mark {
				t.Fatalf("aside %v, %v", marks, err)
			}
			rep, err := v.Salvage(ctx, mark)
			if err != nil || rep.Queued != len(unsent) || rep.Lost != 0 || rep.Pages != 0 || rep.Known != 2 || rep.Origin == "" || rep.Size == 0 || rep.Origin == v.Origin() {
				t.Fatalf("%+v, %v", rep, err)
			}
			if rep, err = v.Salvage(ctx, mark); err != nil || rep.Queued != 0 || rep.Known != len(unsent)+2 {
				t.Fatalf("again: %+v, %v", rep, err)
			}
			// They are what the county can open, in the order in which they were saved.
			its, err := v.Lease(ctx, b.clock.now(), dueHorizon, 100)
			must(t, err)
			if len(its) != len(unsent) {
				t.Fatalf("%d items leased", len(its))
			}
			for i, it := range its {
				if it.CaseID != unsent[i].ID || len(it.Files) != 1 || it.KeyID != b.county.Public().ID() || fileWhole(v, it.CaseID, it.Files[0]) != nil {
					t.Fatalf("item %d: %+v", i, it)
				}
				key, err := b.county.OpenEnvelope(it.Envelope, cases.EnvelopeAAD(it.CaseID, 1))
				must(t, err)
				_, err = cases.OpenBody(key, it.Body, it.CaseID, 1, it.KeyID)
				must(t, err)
			}
			// Their owner finds them again, and nobody else does.
			n := number(t, zhang)
			if own, err := v.ByOwner(ctx, v.OwnerIndex(n)); err != nil || len(own) != 0 {
				t.Fatalf("before: %d cases, %v", len(own), err)
			}
			if k, err := v.Reclaim(ctx, resident.IDNumber{}); err != nil || k != 0 {
				t.Fatalf("another person: %d cases, %v", k, err)
			}
			if k, err := v.Reclaim(ctx, n); err != nil || k != len(unsent) {
				t.Fatalf("%d cases reclaimed, %v", k, err)
			}
			if own, err := v.ByOwner(ctx, v.OwnerIndex(n)); err != nil || len(own) != len(unsent) {
				t.Fatalf("after: %d cases, %v", len(own), err)
			}
			if k, err := v.Reclaim(ctx, n); err != nil || k != 0 {
				t.Fatalf("%d cases a second time, %v", k, err)
			}
			rs, err := v.LogQuery(ctx, LogFilter{Event: oplog.VaultSalvage, Limit: 1})
			if err != nil || len(rs) != 1 || rs[0].Fields["aside"] != mark || rs[0].Fields["origin"] != rep.Origin {
				t.Fatalf("records %v, %v", rs, err)
			}
			if _, err := v.LogVerify(ctx, nil); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestSalvagePageByPage spoils every single page of a stored vault in turn and
// counts what is recovered: with all but the pages that hold the bodies
// themselves that is everything, with these everything else.
func TestSalvagePageByPage(t *testing.T) {
	b, unsent := wreckOf(t, true)
	size, err := os.Stat(b.path())
	must(t, err)
	pages := size.Size()/cryptfile.SectorSize - 1
	worst, whole, sum := len(unsent), 0, 0
	for page := int64(1); page <= pages; page++ {
		v, mark := b.laidAside(t, func(db string) {
			f, err := os.OpenFile(db, os.O_RDWR, 0)
			must(t, err)
			_, err = f.WriteAt(make([]byte, cryptfile.SectorSize), page*cryptfile.SectorSize)
			if os.Getenv("CUNBAN_SPOIL_ALL") == "1" { // the negative control of `dev promises`
				_, err = f.WriteAt(make([]byte, pages*cryptfile.SectorSize), cryptfile.SectorSize)
			}
			must(t, errors.Join(err, f.Close()))
		})
		rep, err := v.Salvage(context.Background(), mark)
		if err != nil {
			t.Fatalf("page %d: %v", page, err)
		}
		if rep.Queued+rep.Lost < len(unsent) {
			t.Errorf("page %d: %+v: %d cases vanished without being counted", page, rep, len(unsent)-rep.Queued-rep.Lost)
		}
		its, err := v.Lease(context.Background(), b.clock.now(), dueHorizon, 100)
		must(t, err)
		for _, it := range its {
			key, err := b.county.OpenEnvelope(it.Envelope, cases.EnvelopeAAD(it.CaseID, 1))
			must(t, err)
			if _, err := cases.OpenBody(key, it.Body, it.CaseID, 1, it.KeyID); err != nil {
				t.Errorf("page %d: %v", page, err)
			}
			if len(it.Files) != 1 {
				t.Errorf("page %d: %d scans of case %s", page, len(it.Files), it.CaseID)
			}
		}
		if rep.Queued == len(unsent) {
			whole++
		}
		worst, sum = min(worst, rep.Queued), sum+rep.Queued
		must(t, v.Close(context.Background()))
	}
	t.Logf("%d pages, each spoilt once: all %d cases back after %d of them, %d at the worst, %.2f%% in all",
		pages, len(unsent), whole, worst, 100*float64(sum)/float64(pages*int64(len(unsent))))
	// A page holds two or three sealed bodies.
	if worst < len(unsent)-4 || whole < int(pages)-wreckCases {
		t.Errorf("too little is recovered")
	}
}

func TestSalvageRefuses(t *testing.T) {
	b := newBench(t)
	_, err := b.v.Salvage(context.Background(), "nothing")
	wantErr(t, err, fs.ErrNotExist)
	_, err = b.v.Salvage(context.Background(), "../x")
	wantErr(t, err, ErrName)
	must(t, os.WriteFile(filepath.Join(b.o.Dir, dbName+asideMark+"x"), []byte(strings.Repeat("noise ", 5000)), 0o600))
	_, err = b.v.Salvage(context.Background(), "x")
	wantErr(t, err, cryptfile.ErrWrongKey)
}

// TestSalvageScans: a page of a scan that is gone, and one that was changed, are
// counted and left out; the case is delivered without them.
func TestSalvageScans(t *testing.T) {
	b, unsent := wreckOf(t, true)
	v, mark := b.laidAside(t, func(db string) {
		dir := filepath.Join(filepath.Dir(db), scansName)
		must(t, os.Remove(filepath.Join(dir, unsent[0].ID, "1-01.sealed")))
		must(t, os.WriteFile(filepath.Join(dir, unsent[1].ID, "1-01.sealed"), []byte("x"), 0o600))
	})
	rep, err := v.Salvage(context.Background(), mark)
	if err != nil || rep.Queued != len(unsent) || rep.Pages != 2 {
		t.Fatalf("%+v, %v", rep, err)
	}
	rs, err := v.LogQuery(context.Background(), LogFilter{Event: oplog.CaseSalvage, CaseID: unsent[0].ID})
	if err != nil || len(rs) != 1 || rs[0].Fields["lost"] != fmt.Sprint(1) {
		t.Fatalf("records %v, %v", rs, err)
	}
}
