package faultfs_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"testing"

	"cunban/kiosk/vault/cryptfile"
	"cunban/kiosk/vault/faultfs"
)

// newDisk has a folder /d that survives.
func newDisk(t *testing.T) *faultfs.Disk {
	t.Helper()
	d := faultfs.New()
	if err := cryptfile.MakeDir(d, "/d"); err != nil {
		t.Fatal(err)
	}
	return d
}

func write(t *testing.T, d *faultfs.Disk, name string, data []byte, sync bool) {
	t.Helper()
	f, err := d.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
	if sync {
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, d *faultfs.Disk, name string) []byte {
	t.Helper()
	f, err := d.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	n, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n)
	if n > 0 {
		if _, err := f.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// TestWhatACutLeaves: synced survives always; what was not is sometimes kept,
// sometimes lost and sometimes torn, each of which must be seen.
func TestWhatACutLeaves(t *testing.T) {
	old, fresh := bytes.Repeat([]byte{1}, 4096), bytes.Repeat([]byte{2}, 4096)
	kept, lost, torn, named, unnamed := 0, 0, 0, 0, 0
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 0))
		d := newDisk(t)
		if err := cryptfile.WriteFile(d, "/d/safe", old); err != nil {
			t.Fatal(err)
		}
		write(t, d, "/d/new", fresh, true) // its name was not synced
		f, err := d.Open("/d/safe")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(fresh, 0); err != nil {
			t.Fatal(err)
		}
		after := d.Reboot(rng)
		if err := d.SyncDir("/d"); !errors.Is(err, faultfs.ErrCut) {
			t.Fatalf("the old disk goes on: %v", err)
		}
		switch b := read(t, after, "/d/safe"); {
		case bytes.Equal(b, old):
			lost++
		case bytes.Equal(b, fresh):
			kept++
		case len(b) == 4096:
			torn++
		default:
			t.Fatalf("a synced file has %d bytes", len(b))
		}
		if b := read(t, after, "/d/new"); b == nil {
			unnamed++
		} else if named++; !bytes.Equal(b, fresh) {
			t.Fatal("synced content changed")
		}
		if read(t, after, "/d/safe.tmp") != nil {
			t.Fatal("a synced rename came undone")
		}
	}
	if min(kept, lost, torn, named, unnamed) == 0 {
		t.Fatalf("kept %d, lost %d, torn %d; named %d, not %d", kept, lost, torn, named, unnamed)
	}
}

func TestCutAfter(t *testing.T) {
	d := faultfs.New()
	d.CutAfter(3) // create, write, then the sync is never heard of
	f, err := d.Create("/f")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); !errors.Is(err, faultfs.ErrCut) || !d.Cut() || d.Ops() != 3 {
		t.Fatalf("%v after %d operations", err, d.Ops())
	}
	if _, err := d.Open("/f"); !errors.Is(err, faultfs.ErrCut) {
		t.Fatal(err)
	}
}
