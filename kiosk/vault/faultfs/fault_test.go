package faultfs_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"cunban/kiosk/vault/cryptfile"
	"cunban/kiosk/vault/faultfs"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, d *faultfs.Disk, name string) cryptfile.File {
	t.Helper()
	f, err := d.Open(name)
	must(t, err)
	return f
}

// TestLimit: a full disk takes what fits, and what does not grow a file.
func TestLimit(t *testing.T) {
	d := newDisk(t)
	f, err := d.Create("/d/f")
	must(t, err)
	d.Limit(10)
	n, err := f.WriteAt(bytes.Repeat([]byte{1}, 11), 0)
	if !cryptfile.IsFull(err) || n != 10 {
		t.Fatalf("wrote %d, %v", n, err)
	}
	if size, err := f.Size(); err != nil || size != 10 {
		t.Fatalf("%d bytes, %v", size, err)
	}
	_, err = f.WriteAt([]byte{2}, 3) // no growth
	must(t, err)
	if n, err := f.WriteAt([]byte{1}, 10); !cryptfile.IsFull(err) || n != 0 {
		t.Fatalf("wrote %d, %v", n, err)
	}
	d.Limit(-1)
	_, err = f.WriteAt([]byte{1}, 10)
	must(t, err)
	if !bytes.Equal(read(t, d, "/d/f"), []byte{1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1}) {
		t.Fatal("other content")
	}
}

// TestReorder: of two writes to the same place, either may be the last.
func TestReorder(t *testing.T) {
	last := map[byte]int{}
	for seed := range uint64(200) {
		d := newDisk(t)
		write(t, d, "/d/f", []byte{0}, true)
		must(t, d.SyncDir("/d"))
		f := open(t, d, "/d/f")
		for _, b := range []byte{1, 2} {
			_, err := f.WriteAt([]byte{b}, 0)
			must(t, err)
		}
		last[read(t, d.Reboot(rand.New(rand.NewPCG(seed, 0))), "/d/f")[0]]++
	}
	if min(last[0], last[1], last[2]) == 0 { // what else was found was spoilt
		t.Fatalf("found %v", last)
	}
	// And a later write may be there without an earlier one.
	later := false
	for seed := range uint64(200) {
		d := newDisk(t)
		write(t, d, "/d/f", make([]byte, 2*4096), true)
		must(t, d.SyncDir("/d"))
		f := open(t, d, "/d/f")
		for i := range int64(2) {
			_, err := f.WriteAt([]byte{1}, i*4096)
			must(t, err)
		}
		b := read(t, d.Reboot(rand.New(rand.NewPCG(seed, 0))), "/d/f")
		later = later || b[0] == 0 && b[4096] == 1
	}
	if !later {
		t.Fatal("never the second without the first")
	}
}

// TestTear: a torn write is old or new in each 512 bytes; sometimes the medium's
// 4,096 bytes around it are spoilt, neighbours too, and never more than those.
func TestTear(t *testing.T) {
	old, fresh := byte(1), byte(2)
	torn, spoilt := 0, 0
	for seed := range uint64(500) {
		d := newDisk(t)
		write(t, d, "/d/f", bytes.Repeat([]byte{old}, 3*4096), true)
		must(t, d.SyncDir("/d"))
		_, err := open(t, d, "/d/f").WriteAt(bytes.Repeat([]byte{fresh}, 1024), 4096+1024)
		must(t, err)
		b := read(t, d.Reboot(rand.New(rand.NewPCG(seed, 0))), "/d/f")
		if len(b) != 3*4096 || bytes.Count(b[:4096], []byte{old}) != 4096 || bytes.Count(b[8192:], []byte{old}) != 4096 {
			t.Fatal("a page that was not written changed")
		}
		if bytes.Count(b[4096:8192], []byte{old})+bytes.Count(b[4096:8192], []byte{fresh}) < 4096 {
			if spoilt++; b[4096] == old && b[4097] == old && b[4098] == old {
				t.Fatal("a neighbour is whole")
			}
			continue
		}
		first, second := b[5120:5632], b[5632:6144]
		if bytes.Count(first, first[:1]) != 512 || bytes.Count(second, second[:1]) != 512 {
			t.Fatal("torn within a sector")
		}
		if first[0] != second[0] {
			torn++
		}
	}
	if torn == 0 || spoilt == 0 {
		t.Fatalf("torn %d, spoilt %d", torn, spoilt)
	}
}

// TestNamesAreLost: each name made, moved or removed since the folder's sync is
// kept or lost by itself; a folder's too, with all that is in it.
func TestNamesAreLost(t *testing.T) {
	found := map[string]int{}
	for seed := range uint64(300) {
		d := newDisk(t)
		for _, name := range []string{"/d/gone", "/d/from"} {
			write(t, d, name, []byte(name), true)
		}
		must(t, d.SyncDir("/d"))
		must(t, errors.Join(d.Remove("/d/gone"), d.Rename("/d/from", "/d/to"), d.MkdirAll("/d/sub")))
		write(t, d, "/d/sub/f", []byte("x"), true)
		must(t, d.SyncDir("/d/sub")) // but not /d
		after := d.Reboot(rand.New(rand.NewPCG(seed, 0)))
		names, err := after.List("/d")
		must(t, err)
		for _, n := range names {
			found[n]++
		}
		if from, to := slices.Contains(names, "from"), slices.Contains(names, "to"); from == to {
			t.Fatalf("a rename is not whole: %v", names)
		}
		if slices.Contains(names, "sub") && read(t, after, "/d/sub/f") == nil {
			t.Fatal("a synced name in a folder that is there is lost")
		}
		if _, err := after.Open("/d/sub/f"); err != nil != !slices.Contains(names, "sub") {
			t.Fatal(err)
		}
	}
	for _, n := range []string{"gone", "from", "to", "sub"} {
		if found[n] < 50 || found[n] > 250 {
			t.Errorf("%s was found %d times in 300", n, found[n])
		}
	}
	d := faultfs.New()
	must(t, d.MkdirAll("/a/b"))
	_, err := d.Copy().Size("/a/b")
	must(t, err) // a copy forgets nothing
	lost := false
	for seed := range uint64(20) {
		d := faultfs.New()
		must(t, d.MkdirAll("/a/b"))
		_, err := d.Reboot(rand.New(rand.NewPCG(seed, 0))).Size("/a")
		lost = lost || errors.Is(err, fs.ErrNotExist)
	}
	if !lost {
		t.Fatal("a folder's name is never lost")
	}
}

// TestInject: any call can fail, once or from then on, with any error, and
// nothing of it happens.
func TestInject(t *testing.T) {
	life := func(d *faultfs.Disk) error {
		if err := errors.Join(cryptfile.MakeDir(d, "/d"), cryptfile.WriteFile(d, "/d/a", []byte("x"))); err != nil {
			return err
		}
		f, err := d.Open("/d/a")
		if err != nil {
			return err
		}
		_, err = f.ReadAt(make([]byte, 1), 0)
		_, err1 := f.Size()
		_, err2 := d.Size("/d/a")
		_, err3 := d.List("/d")
		return errors.Join(err, err1, err2, err3, f.Truncate(0), f.Close(), d.Remove("/d/a"))
	}
	d := faultfs.New()
	must(t, life(d))
	seen := map[faultfs.Kind]bool{}
	for n := 1; n <= d.Calls(); n++ {
		for _, e := range []error{syscall.EIO, syscall.ENOSPC} {
			for _, sticky := range []bool{false, true} {
				hit := 0
				d := faultfs.New()
				d.Inject(func(c faultfs.Call) *faultfs.Fault {
					if c.N == n || sticky && c.N > n {
						hit++
						seen[c.Kind] = true
						return &faultfs.Fault{Err: e}
					}
					return nil
				})
				if err := life(d); !errors.Is(err, e) || hit == 0 || hit > 1 != (sticky && d.Calls() > n) {
					t.Fatalf("call %d: %v after %d faults", n, err, hit)
				}
			}
		}
	}
	if len(seen) != int(faultfs.Close) {
		t.Fatalf("failed kinds: %v", seen)
	}
}

func TestShortWrite(t *testing.T) {
	d := newDisk(t)
	write(t, d, "/d/f", nil, true)
	d.Inject(func(c faultfs.Call) *faultfs.Fault {
		if c.Kind != faultfs.Write {
			return nil
		}
		return &faultfs.Fault{Err: syscall.EIO, Short: true}
	})
	n, err := open(t, d, "/d/f").WriteAt([]byte("abcd"), 0)
	if n != 2 || !errors.Is(err, syscall.EIO) || string(read(t, d, "/d/f")) != "ab" {
		t.Fatalf("wrote %d, %v", n, err)
	}
}

// TestFailedSync: what a sync that failed did not write never comes, even if
// the next one succeeds; it reads on, or not.
func TestFailedSync(t *testing.T) {
	kept, lost := 0, 0
	for seed := range uint64(100) {
		for _, reverts := range []bool{false, true} {
			d := newDisk(t)
			write(t, d, "/d/f", []byte{1}, true)
			must(t, d.SyncDir("/d"))
			f := open(t, d, "/d/f")
			_, err := f.WriteAt([]byte{2}, 0)
			must(t, err)
			rng := rand.New(rand.NewPCG(seed, 0))
			d.Inject(func(faultfs.Call) *faultfs.Fault {
				return &faultfs.Fault{Err: syscall.EIO, Rand: rng, Reverts: reverts}
			})
			if err := f.Sync(); !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
			d.Inject(nil)
			must(t, f.Sync())
			reads := read(t, d, "/d/f")[0]
			found := read(t, d.Reboot(rng), "/d/f")[0]
			if reverts && reads != found || !reverts && reads != 2 {
				t.Fatalf("reads %d, found %d", reads, found)
			}
			if found == 2 {
				kept++
			} else {
				lost++
			}
		}
	}
	if kept == 0 || lost == 0 {
		t.Fatalf("kept %d, lost %d", kept, lost)
	}
}

// TestWatch: a moment gives the disk that a cut at it would, and the disk goes
// on.
func TestWatch(t *testing.T) {
	d := newDisk(t)
	var moments []int
	var halfway *faultfs.Disk
	d.Watch(func(m faultfs.Moment) {
		moments = append(moments, m.Op)
		if len(moments) == 3 { // the sync of the content has not begun
			halfway = m.Reboot(rand.New(rand.NewPCG(1, 1)))
		}
	})
	must(t, cryptfile.WriteFile(d, "/d/f", []byte("x")))
	if len(moments) != 5 || read(t, halfway, "/d/f") != nil || string(read(t, d, "/d/f")) != "x" {
		t.Fatalf("moments %v", moments)
	}
	if d.Cut() || halfway.Cut() {
		t.Fatal("the power is off")
	}
}

// TestSameSeed: the same seed gives the same disk.
func TestSameSeed(t *testing.T) {
	find := func(seed uint64) (out []byte) {
		d := newDisk(t)
		for _, n := range []string{"/d/a", "/d/b", "/d/c"} {
			write(t, d, n, bytes.Repeat([]byte{3}, 9000), false)
		}
		after := d.Reboot(rand.New(rand.NewPCG(seed, 0)))
		names, err := after.List("/d")
		must(t, err)
		for _, n := range names {
			out = append(append(out, n...), read(t, after, "/d/"+n)...)
		}
		return out
	}
	differ := false
	for seed := range uint64(20) {
		if !bytes.Equal(find(seed), find(seed)) {
			t.Fatalf("seed %d gives two disks", seed)
		}
		differ = differ || !bytes.Equal(find(seed), find(seed+1))
	}
	if !differ {
		t.Fatal("every seed gives the same disk")
	}
}
