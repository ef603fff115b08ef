package vault

import (
	"context"
	"syscall"
	"testing"

	"cunban/kiosk/cases"
	"cunban/kiosk/vault/faultfs"
)

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

// TestOneFailedCallIsNotDamage: a start during which any one call fails either
// says so or finds everything; a vault that is whole is never set aside.
func TestOneFailedCallIsNotDamage(t *testing.T) {
	im := makeImages(t)
	l := newLife(t, im)
	for n := 1; ; n++ {
		l.begin(image{im.by[startUsed].disk.Copy(), newLedger(), im.by[startUsed].at}, nil)
		hit := false
		l.disk.Inject(func(c faultfs.Call) *faultfs.Fault {
			if c.N != n {
				return nil
			}
			hit = true
			return &faultfs.Fault{Err: syscall.EIO}
		})
		v, err := Open(context.Background(), l.o)
		l.disk.Inject(nil)
		if err != nil {
			v, err = Open(context.Background(), l.o)
			must(t, err)
		}
		l.v = v
		for _, what := range im.by[startUsed].led.broken(l.bench, l.disk) {
			t.Errorf("call %d: %s", n, what)
		}
		l.leave()
		if !hit {
			break
		}
	}
}
