package vault

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"

	"cunban/kiosk/cases"
	"cunban/kiosk/vault/cryptfile"
	"cunban/kiosk/vault/faultfs"
)

// script is what the vault does while a call fails: everything once.
var script = []string{"submit", "submit", "acknowledge", "checkpoint", "withdraw", "close", "submit"}

// play lets a life go through the script until something fails.
func (l *life) play() error {
	if err := l.start(); err != nil {
		return err
	}
	for _, name := range script {
		if err := l.act(name); err != nil {
			return err
		}
	}
	return nil
}

// faultAt plays the script with a fault at call n (and all after it when
// sticky), reopens the vault on the same machine, then cuts the power, and
// returns what was broken.
func faultAt(l *life, at image, n int, sticky bool, err error, drop bool) (hit bool, broken []string) {
	rng := mathrand.New(mathrand.NewPCG(usualSeed, uint64(n)))
	at.disk, at.led = at.disk.Copy(), at.led.clone()
	l.begin(at, rng)
	l.disk.Inject(func(c faultfs.Call) *faultfs.Fault {
		if c.N < n || c.N > n && !sticky || err == syscall.ENOSPC && !c.Kind.NeedsRoom() {
			return nil
		}
		hit = true
		f := &faultfs.Fault{Err: err, Short: n%2 == 0}
		if drop {
			f.Rand = rng
		}
		return f
	})
	failed := l.play()
	l.leave()
	l.disk.Inject(nil)
	if failed != nil && hit && err == syscall.ENOSPC && !errors.Is(failed, cases.ErrDiskFull) {
		broken = append(broken, fmt.Sprintf("a full disk is not told as one: %v", failed))
	}
	look := func(when string) {
		v, err := Open(context.Background(), l.o)
		if err != nil {
			broken = append(broken, fmt.Sprintf("%s, after %v: cannot open: %v", when, failed, err))
			return
		}
		l.v = v
		for _, what := range l.led.broken(l.bench, l.disk) {
			broken = append(broken, fmt.Sprintf("%s, after %v: %s", when, failed, what))
		}
		if len(broken) == 0 && when == "same boot" {
			if err := l.led.settle(l.bench, l.disk); err != nil {
				broken = append(broken, err.Error())
			}
		}
		l.leave()
	}
	look("same boot")
	if len(broken) == 0 {
		l.disk = l.disk.Reboot(rng)
		l.o.FS = l.wrap(l.disk)
		look("after a cut")
	}
	return hit, broken
}

// TestFaultAtEveryCall lets each call of a vault's life fail, once and for good.
func TestFaultAtEveryCall(t *testing.T) {
	im := makeImages(t)
	var faults, bad atomic.Int64
	t.Run("all", func(t *testing.T) {
		for _, from := range []string{startEmpty, startUsed} {
			for _, sticky := range []bool{false, true} {
				for _, err := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
					t.Run(fmt.Sprintf("%s/sticky=%t/%v", from, sticky, err), func(t *testing.T) {
						t.Parallel()
						l := newLife(t, im)
						for n := 1; ; n++ {
							hit, broken := faultAt(l, im.by[from], n, sticky, err, n%3 > 0)
							if hit {
								faults.Add(1)
							}
							for _, w := range broken {
								t.Errorf("at call %d: %s", n, w)
								bad.Add(1)
							}
							if !hit && n > 500 || bad.Load() > 40 {
								break
							}
						}
					})
				}
			}
		}
	})
	t.Logf("%d faults, %d not borne", faults.Load(), bad.Load())
}

// deaf is a program that does not listen when a sync fails.
type deaf struct{ cryptfile.FS }

type deafFile struct{ cryptfile.File }

func (f deafFile) Sync() error {
	_ = f.File.Sync()
	return nil
}

func (d deaf) Open(name string) (cryptfile.File, error) {
	f, err := d.FS.Open(name)
	return deafFile{f}, err
}

func (d deaf) Create(name string) (cryptfile.File, error) {
	f, err := d.FS.Create(name)
	return deafFile{f}, err
}

// TestFaultSweepSees shows that the sweep can fail: a program that does not
// listen to failed syncs must be caught.
func TestFaultSweepSees(t *testing.T) {
	im := makeImages(t)
	l := newLife(t, im)
	l.wrap = func(f cryptfile.FS) cryptfile.FS { return deaf{f} }
	for n := 1; ; n++ {
		hit, broken := faultAt(l, im.by[startUsed], n, false, syscall.EIO, true)
		if len(broken) > 0 {
			t.Logf("call %d: %s", n, broken[0])
			return
		}
		if !hit && n > 500 {
			t.Fatal("not noticed: the sweep proves nothing about syncs")
		}
	}
}

// TestCutInStartAfterFailedSync: a sync fails, and the kernel takes the pages
// that it lost for clean, so that a program that starts again on the same
// machine reads them as if they were on the disk. The power goes while it
// starts.
func TestCutInStartAfterFailedSync(t *testing.T) {
	im := makeImages(t)
	l, check := newLife(t, im), newLife(t, im)
	hits, shots := 0, 0
	for n := 1; ; n++ {
		rng := mathrand.New(mathrand.NewPCG(usualSeed, uint64(n)))
		at := im.by[startUsed]
		at.disk, at.led = at.disk.Copy(), at.led.clone()
		l.begin(at, rng)
		syncs, hit := 0, false
		l.disk.Inject(func(c faultfs.Call) *faultfs.Fault {
			if c.Kind == faultfs.Sync {
				syncs++
			}
			if c.Kind != faultfs.Sync || syncs != n {
				return nil
			}
			hit = true
			return &faultfs.Fault{Err: syscall.EIO, Rand: rng}
		})
		failed := l.play()
		l.leave()
		l.disk.Inject(nil)
		if !hit {
			break
		}
		hits++
		var found []image
		l.disk.Watch(func(m faultfs.Moment) {
			found = append(found, image{m.Reboot(rng), l.led.clone(), l.clock.now()})
		})
		v, err := Open(context.Background(), l.o)
		l.disk.Watch(nil)
		if err != nil {
			t.Fatalf("sync %d failed (%v), then: cannot open: %v", n, failed, err)
		}
		l.v = v
		l.leave()
		for op, s := range found {
			check.begin(s, nil)
			if check.v, err = Open(context.Background(), check.o); err != nil {
				t.Fatalf("sync %d failed (%v), cut at operation %d of the start: cannot open: %v", n, failed, op, err)
			}
			for _, what := range s.led.broken(check.bench, s.disk) {
				t.Errorf("sync %d failed (%v), cut at operation %d of the start: %s", n, failed, op, what)
			}
			check.leave()
		}
		shots += len(found)
	}
	t.Logf("%d failed syncs, then %d cuts in the starts after them", hits, shots)
	if hits < 10 || shots < 100 {
		t.Errorf("only %d failed syncs and %d cuts", hits, shots)
	}
}
