package vault

import (
	"context"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	gosync "sync"
	"sync/atomic"
	"testing"

	"cunban/kiosk/vault/cryptfile"
	"cunban/kiosk/vault/faultfs"
)

// The power cuts. A run is many rounds; a round is a few legs; a leg opens a
// vault on a simulated disk, lets it work, and photographs at moments chosen by
// chance how the disk would be found had the power gone then, with what the
// vault had promised until then. Each photograph is one cut: a vault is opened
// on it and all of it is checked. The next leg goes on from one of the
// photographs, so that starts after a cut are cut too, to any depth. Rounds do
// not depend on each other: a cut can be repeated by its number alone.
const (
	legsPerRound = 3
	cutsPerLeg   = 10
	cutsPerRound = legsPerRound * cutsPerLeg
)

// Environment of a run; cuts are numbered from 0.
const (
	envCuts     = "CUNBAN_CUTS"      // how many
	envCutsSeed = "CUNBAN_CUTS_SEED" // another run
	envCutsAt   = "CUNBAN_CUTS_AT"   // only this cut
)

// usualSeed is the seed of a run that names none.
const usualSeed = 2026

// cutRun is a run of power cuts.
type cutRun struct {
	seed uint64
	cuts int
	only int // the one cut to look at, -1 = all
	// kinder is what a control takes away from the vault or its disk.
	kinder func(l *life)

	im     *images
	mu     gosync.Mutex
	during map[string]int // cuts by what was under way
	broken []string
}

// run makes the cuts on every processor and returns what was broken. A control
// ends at the first broken promise.
func (r *cutRun) run(t *testing.T) []string {
	t.Helper()
	r.im, r.during = makeImages(t), map[string]int{}
	rounds := (r.cuts + cutsPerRound - 1) / cutsPerRound
	var next atomic.Int64
	if r.only >= 0 {
		next.Store(int64(r.only / cutsPerRound))
		rounds = r.only/cutsPerRound + 1
	}
	t.Run("cuts", func(t *testing.T) {
		for i := range runtime.GOMAXPROCS(0) {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				l, check := newLife(t, r.im), newLife(t, r.im)
				if r.kinder != nil {
					r.kinder(l)
					r.kinder(check)
				}
				for {
					n := int(next.Add(1)) - 1
					if n >= rounds || len(r.findings()) > 0 {
						return
					}
					r.round(l, check, n)
				}
			})
		}
	})
	return r.findings()
}

func (r *cutRun) findings() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.broken
}

// found notes what is broken, with what repeats it.
func (r *cutRun) found(cut int, s shot, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = append(r.broken, fmt.Sprintf("cut %d (%s=%d %s=%d repeats it), in %q, operation %d: %s",
		cut, envCutsSeed, r.seed, envCutsAt, cut, s.doing, s.op, what))
}

// shot is a photograph: what is found after a cut.
type shot struct {
	image
	doing string
	op    int
}

// round makes cutsPerRound cuts.
func (r *cutRun) round(l, check *life, n int) {
	rng := mathrand.New(mathrand.NewPCG(r.seed, uint64(n)))
	names := slices.Sorted(maps.Keys(r.im.by))
	at := r.im.by[names[rng.IntN(len(names))]]
	for leg := range legsPerRound {
		first := n*cutsPerRound + leg*cutsPerLeg
		at.disk, at.led = at.disk.Copy(), at.led.clone()
		l.begin(at, rng)
		shots, err := r.leg(l)
		l.leave()
		if err != nil {
			r.found(first+len(shots), shot{doing: l.doing, op: l.disk.Ops()}, "failed though the power is on: "+err.Error())
			return
		}
		for i, s := range shots {
			if r.only < 0 || r.only == first+i {
				r.look(check, first+i, s)
			}
		}
		at = shots[rng.IntN(len(shots))].image
	}
}

// leg lets a vault live until enough photographs were made.
func (r *cutRun) leg(l *life) (shots []shot, err error) {
	// Half of the legs look closely at one act, the others at the start too.
	focus := ""
	if l.rng.IntN(2) == 0 {
		focus = acts[l.rng.IntN(len(acts))].name
	}
	gap := []int{2, 4, 8, 16}[l.rng.IntN(4)]
	seed := l.rng.Uint64()
	photos := mathrand.New(mathrand.NewPCG(r.seed, seed))
	next := 1 + photos.IntN(gap)
	watch := func(m faultfs.Moment) {
		if m.Op < next || len(shots) == cutsPerLeg {
			return
		}
		next = m.Op + 1 + photos.IntN(gap)
		shots = append(shots, shot{image{m.Reboot(photos), l.led.clone(), l.clock.now()}, l.doing, m.Op})
	}
	if focus == "" {
		l.disk.Watch(watch)
	}
	if err := l.start(); err != nil {
		return shots, err
	}
	next = max(next, l.disk.Ops()+1)
	l.disk.Watch(watch)
	for len(shots) < cutsPerLeg {
		if err := l.act(focus); err != nil {
			return shots, err
		}
		if l.rng.IntN(2) == 0 {
			focus = ""
		}
	}
	return shots, nil
}

// look opens a vault on what a cut left and checks it.
func (r *cutRun) look(check *life, cut int, s shot) {
	check.begin(s.image, nil)
	v, err := Open(context.Background(), check.o)
	if err != nil {
		r.found(cut, s, fmt.Sprintf("cannot open after it: %v", err))
		return
	}
	check.v = v
	for _, what := range s.led.broken(check.bench, s.disk) {
		r.found(cut, s, what)
	}
	s.disk.Reboot(mathrand.New(mathrand.NewPCG(0, 0))) // so that nothing more is written
	check.leave()
	r.mu.Lock()
	r.during[s.doing]++
	r.mu.Unlock()
}

func numberFromEnv(t testing.TB, name string, normal int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return normal
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		t.Fatalf("%s=%q is not a number", name, s)
	}
	return n
}

// cutsFromEnv lets an endurance run ask for more.
func cutsFromEnv(t *testing.T, name string, normal int) int { return numberFromEnv(t, name, normal) }

func newRun(t *testing.T, cuts int) *cutRun {
	return &cutRun{seed: uint64(numberFromEnv(t, envCutsSeed, usualSeed)), cuts: numberFromEnv(t, envCuts, cuts),
		only: numberFromEnv(t, envCutsAt, -1)}
}

// TestPowerCuts: whatever a vault does when the power goes, nothing that it
// promised is lost and nothing is half-done.
func TestPowerCuts(t *testing.T) {
	r := newRun(t, 5000)
	for _, what := range r.run(t) {
		t.Error(what)
	}
	if r.only >= 0 || r.cuts < 5000 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(r.during)) {
		t.Logf("%6d cuts in %s", r.during[name], name)
	}
	for _, a := range acts {
		if r.during[a.name] < r.cuts/500 {
			t.Errorf("only %d of %d cuts in %s", r.during[a.name], r.cuts, a.name)
		}
	}
}

// TestPowerCutsSee shows that the test above can fail: it must notice each
// thing that the vault's promises rest on when it is taken away.
func TestPowerCutsSee(t *testing.T) {
	for name, kinder := range map[string]func(l *life){
		"synchronous NORMAL":          func(l *life) { l.o.synchronous = syncNormal },
		"powersafe overwrite claimed": func(l *life) { l.o.powersafe = true },
		"directories are not synced":  func(l *life) { l.wrap = func(f cryptfile.FS) cryptfile.FS { return noSyncDir{f} } },
		"syncs that do not say so":    func(l *life) { l.wrap = func(f cryptfile.FS) cryptfile.FS { return noSync{f} } },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRun(t, 3000)
			r.kinder = kinder
			broken := r.run(t)
			if len(broken) == 0 {
				t.Fatal("not noticed: the simulated disk forgets too little to prove anything")
			}
			t.Log(broken[0])
		})
	}
}

// noSyncDir is a program that forgets to sync directories.
type noSyncDir struct{ cryptfile.FS }

func (noSyncDir) SyncDir(string) error { return nil }

// noSync is a disk that does not do what it is told.
type noSync struct{ cryptfile.FS }

type noSyncFile struct{ cryptfile.File }

func (noSyncFile) Sync() error { return nil }

func (n noSync) Open(name string) (cryptfile.File, error) {
	f, err := n.FS.Open(name)
	return noSyncFile{f}, err
}

func (n noSync) Create(name string) (cryptfile.File, error) {
	f, err := n.FS.Create(name)
	return noSyncFile{f}, err
}
