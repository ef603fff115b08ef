package vault

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"cunban/kiosk/cases"
)

// update writes the vault of the present version into testdata, to be kept for
// good once the version is released.
var update = flag.Bool("update", false, "write testdata/v<version>")

func fixture(version int) string { return filepath.Join("testdata", fmt.Sprint("v", version)) }

// TestEveryVersionOpens opens a stored vault of each version that was ever
// written, and finds in it what was put there.
func TestEveryVersionOpens(t *testing.T) {
	if *update {
		makeFixture(t, fixture(len(migrations)))
	}
	for version := 1; version <= len(migrations); version++ {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			b := newBench(t)
			b.close()
			b.o.Dir = filepath.Join(t.TempDir(), "copy")
			must(t, os.CopyFS(b.o.Dir, os.DirFS(fixture(version))))
			b.open()
			if len(b.v.Incidents()) > 0 || !b.v.Clean() {
				t.Fatalf("incidents %+v, clean %t", b.v.Incidents(), b.v.Clean())
			}
			var have int
			if err := b.v.db.QueryRow("PRAGMA user_version").Scan(&have); err != nil || have != len(migrations) {
				t.Fatalf("version %d, %v", have, err)
			}
			own, err := b.v.ByOwner(context.Background(), b.v.OwnerIndex(number(t, zhang)))
			if err != nil || len(own) != 3 || own[0].State != cases.Saved || own[1].State != cases.Attention || own[2].State != cases.Accepted {
				t.Fatalf("cases %+v, %v", own, err)
			}
			b.counts(cases.Counts{Total: 3, Waiting: 1, Attention: 1, Done: 1})
			it := b.lease1()
			if len(it.Files) != 1 || fileWhole(b.v, it.CaseID, it.Files[0]) != nil {
				t.Fatalf("item %+v", it)
			}
			if rep := b.verify(); rep.Checkpoints == 0 || (rep.First > 0) != (version >= 2) {
				t.Fatalf("report %+v", rep)
			}
			b.submit(1)
		})
	}
}

func makeFixture(t *testing.T, dir string) {
	t.Helper()
	must(t, os.RemoveAll(dir))
	b := newBench(t)
	b.close()
	b.o.Dir = dir
	b.open()
	ctx := context.Background()
	b.countersign(b.enrol())
	b.clock.move(MinLogAge + day)
	b.submit(0)
	if b.prune(MinLogAge) == 0 {
		t.Fatal("nothing pruned")
	}
	b.submit(0)
	b.submit(1)
	its := b.lease(2)
	_, err := b.v.Acknowledge(ctx, its[0].CaseID, 1, its[0].Lease, "140105-1", b.clock.now(), "2026-04-01")
	must(t, err)
	must(t, b.v.Attention(ctx, its[1].CaseID, 1, its[1].Lease, "县里不认这一件", "422"))
	b.close()
	must(t, os.Remove(filepath.Join(dir, lockName)))
}
