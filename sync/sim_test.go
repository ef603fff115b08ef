package sync_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	gosync "sync"
	"testing"
	"testing/synctest"
	"time"

	"cunban/kiosk/cases"
	"cunban/sync"
	"cunban/sync/storetest"
	"cunban/sync/wire"
)

var errCertificateOf error = x509.UnknownAuthorityError{}

// errDisk is a store that fails.
var errDisk = errors.New("input/output error")

// sim is one village: a terminal that is killed and started again, its disk, a
// line with weather and a county that crashes.
type sim struct {
	t      *testing.T
	seed   uint64
	rng    *rand.Rand // the schedule
	dice   *rand.Rand // under mu: what happens on the way
	naive  bool
	store  *storetest.Mem
	county *county
	net    *skyNet
	maker  *storetest.Maker

	mu     gosync.Mutex
	wrong  []string      // broken promises
	skew   time.Duration // of the terminal's clock
	last   time.Time     // latest time an event of this engine told
	sure   bool
	disk   int // chance of a store failing, out of 1000
	boom   int // chance of a county crash, out of 1000
	want   map[string]cases.Submission
	jobs   map[string]string
	engine *sync.Engine
	stop   func()
}

func (s *sim) broken(format string, a ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, fmt.Sprintf(format, a...))
}

// chance throws the dice against *n of 1000, which others may set.
func (s *sim) chance(n *int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dice.IntN(1000) < *n
}

// countyTime is right; the terminal's own time is not.
func countyTime() time.Time { return time.Now().AddDate(26, 2, 0) }

func (s *sim) terminalTime() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return countyTime().Round(0).Add(s.skew)
}

func newSim(t *testing.T, ctx context.Context, seed uint64) *sim {
	s := &sim{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), dice: rand.New(rand.NewPCG(seed, 2)), store: storetest.NewMem(),
		maker: storetest.NewMaker(seed), want: map[string]cases.Submission{}, jobs: map[string]string{}}
	s.county = newCounty(t, seed, countyTime)
	s.county.crash = func(bool) bool { return s.chance(&s.boom) }
	s.net = newNet(ctx, seed, http.StripPrefix("/gw", s.county.handler()))
	s.store.Fail = func(op string, after bool) error {
		if s.chance(&s.disk) {
			return errDisk
		}
		return nil
	}
	pub := string(s.county.key.Public().PEM())
	if err := s.store.PutAll(ctx, map[string][]byte{sync.KeySign: []byte(pub), sync.KeySeal: []byte(pub)}); err != nil {
		t.Fatal(err)
	}
	return s
}

// start starts an engine on the disk as it is.
func (s *sim) start(ctx context.Context, change func(*sync.Options)) {
	o := sync.Options{
		Store: s.store, Client: &http.Client{Transport: s.net}, Base: "http://county.example/gw", Terminal: terminal,
		Now: s.terminalTime, OnEvent: s.event,
		Jitter: func() float64 { s.mu.Lock(); defer s.mu.Unlock(); return s.dice.Float64() },
		Health: func(context.Context) wire.Health { return wire.Health{Version: "test"} },
	}
	if change != nil {
		change(&o)
	}
	e, err := sync.New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.naive {
		e.JudgeNaively()
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := e.Run(ctx); err != nil {
			s.broken("Run: %v", err)
		}
	}()
	s.mu.Lock()
	s.engine, s.last, s.sure = e, time.Time{}, false
	s.mu.Unlock()
	s.stop = func() { cancel(); <-done }
}

// event checks the promises that an event makes.
func (s *sim) event(ev sync.Event) {
	s.mu.Lock()
	e := s.engine
	s.mu.Unlock()
	if e != nil && e.Clock().Known() {
		s.mu.Lock()
		s.sure = true
		s.mu.Unlock()
	}
	if ev.Kind != sync.EventAccepted {
		return
	}
	k := caseKey(ev.CaseID, ev.Revision)
	s.county.mu.Lock()
	st := s.county.cases[k]
	s.county.mu.Unlock()
	if st == nil || st.number == "" {
		s.broken("%s counts as accepted, the county has no number for it", k)
	} else if ev.Case.Acceptance != st.number {
		s.broken("%s has number %q here and %q at the county", k, ev.Case.Acceptance, st.number)
	}
}

// submit saves a case, as often as the disk needs.
func (s *sim) submit(id string, rev int, sizes ...int) {
	sub := s.maker.Submission(id, rev, s.terminalTime(), sizes...)
	for {
		_, err := s.store.Submit(context.Background(), sub)
		if err == nil || errors.Is(err, cases.ErrExists) {
			break
		}
	}
	s.want[caseKey(id, rev)] = sub
	if s.engine != nil {
		s.engine.Wake()
	}
}

// check compares what was saved with what the county has.
func (s *sim) check() {
	s.county.mu.Lock()
	defer s.county.mu.Unlock()
	if len(s.county.cases) != len(s.want) {
		s.broken("%d cases at the county, %d saved", len(s.county.cases), len(s.want))
	}
	numbers := map[string]string{}
	for k, sub := range s.want {
		st := s.county.cases[k]
		if st == nil {
			s.broken("case %s is lost", k)
			continue
		}
		if st.effects != 1 {
			s.broken("case %s had its effect %d times", k, st.effects)
		}
		if other := numbers[st.number]; other != "" {
			s.broken("%s and %s have the same number", k, other)
		}
		numbers[st.number] = k
		if !bytes.Equal(st.put.Body, sub.Body) {
			s.broken("case %s arrived changed", k)
		}
		for _, f := range sub.Files {
			if !bytes.Equal(st.files[f.Name], f.Sealed) {
				s.broken("file %s of case %s arrived changed or not at all", f.Name, k)
			}
		}
	}
	for _, it := range s.store.Queue() {
		k := caseKey(it.CaseID, it.Revision)
		if it.State != cases.QueueDone {
			s.broken("case %s is %s until %v, now %v, line %+v (%s; %s)", k, it.State, it.NextTry, s.engine.Clock().Now(), s.engine.Line(), it.Reason, it.Detail)
			continue
		}
		st := s.county.cases[k]
		if st != nil && it.Case.Revision == it.Revision && it.Case.Acceptance != st.number {
			s.broken("case %s has number %q here and %q at the county", k, it.Case.Acceptance, st.number)
		}
	}
	list, _, err := sync.List(context.Background(), s.store, wire.KindJob)
	if err != nil || len(list) != len(s.jobs) {
		s.broken("%d jobs here, %d at the county (%v)", len(list), len(s.jobs), err)
	}
}

func (s *sim) counts() {
	s.mu.Lock()
	disk := s.disk
	s.mu.Unlock()
	if disk > 0 {
		return
	}
	c, err := s.store.Counts(context.Background())
	if err != nil || c.Total != c.Waiting+c.Done+c.Attention || c.Sent > c.Waiting {
		s.broken("counts do not add up: %+v (%v)", c, err)
	}
}

// randomWeather draws one of the kinds of bad days.
func (s *sim) randomWeather() weather {
	w := weather{delay: time.Duration(s.rng.IntN(400)) * time.Millisecond}
	some := func(most int) int { return s.rng.IntN(most + 1) }
	switch s.rng.IntN(9) {
	case 0:
		w.down = true
	case 1:
		w.portal = true
	case 2:
		w.certs = true
	case 3:
		w.lose, w.loseReply = some(400), some(400)
	case 4:
		w.twice, w.late = some(500), some(100)
	case 5:
		w.sick, w.gateway = some(600), some(300)
	case 6:
		w.away, w.rate = some(200), some(200)
	case 7:
		w.wrong, w.page = some(300), some(200)
	case 8:
		w.lose, w.loseReply, w.twice, w.late, w.sick, w.page, w.wrong = some(100), some(100), some(100), some(30), some(100), some(50), some(50)
	}
	return w
}

func (s *sim) setTrouble(disk, boom int) {
	s.mu.Lock()
	s.disk, s.boom = disk, boom
	s.mu.Unlock()
}

var skews = []time.Duration{0, 0, 0, -30 * 365 * 24 * time.Hour, 3 * 365 * 24 * time.Hour, 5 * time.Minute, -time.Hour}

// play runs one seed and returns the broken promises.
func play(t *testing.T, seed uint64, naive bool) (wrong []string) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		s := newSim(t, ctx, seed)
		s.naive = naive
		s.skew = skews[s.rng.IntN(len(skews))]
		s.start(ctx, nil)
		var done []string // first revisions that may come back
		for range 3 + s.rng.IntN(8) {
			if s.rng.IntN(4) == 0 {
				s.net.set(weather{delay: 30 * time.Millisecond})
				s.setTrouble(0, 0)
			} else {
				s.net.set(s.randomWeather())
				s.setTrouble(s.rng.IntN(2)*s.rng.IntN(30), s.rng.IntN(2)*s.rng.IntN(200))
			}
			for range s.rng.IntN(5) {
				_ = pause(ctx, time.Duration(s.rng.IntN(120_000))*time.Millisecond)
				switch n := s.rng.IntN(12); {
				case n < 5:
					var sizes []int
					for range s.rng.IntN(3) {
						sizes = append(sizes, 1+s.rng.IntN(120_000))
					}
					id := s.maker.ID()
					s.submit(id, 1, sizes...)
					done = append(done, id)
				case n < 7:
					s.stop()
					_ = pause(ctx, time.Duration(s.rng.IntN(90))*time.Second)
					s.start(ctx, nil)
				case n < 8:
					s.mu.Lock()
					s.skew = skews[s.rng.IntN(len(skews))]
					s.mu.Unlock()
				case n < 9:
					s.engine.RetryNow()
				case n < 11:
					id := "J" + strconv.Itoa(s.rng.IntN(5))
					if s.jobs[id] != "" && s.rng.IntN(3) == 0 {
						delete(s.jobs, id)
						s.county.publish(t, wire.KindJob, id, nil)
					} else {
						s.jobs[id] = "x"
						s.county.publish(t, wire.KindJob, id, map[string]int{"pay": s.rng.IntN(9000)})
					}
				default:
					done = s.sendBack(ctx, t, done)
				}
				s.counts()
			}
		}
		s.net.set(weather{delay: 30 * time.Millisecond})
		s.setTrouble(0, 0)
		// An hour is the longest that an upstream may ask to wait.
		for range 80 {
			_ = pause(ctx, time.Minute)
			if s.store.Open() == 0 {
				break
			}
		}
		_ = pause(ctx, 6*time.Minute) // downlink and clock
		s.check()
		if d := s.engine.Clock().Now().Sub(countyTime()).Abs(); d > 5*time.Second {
			s.broken("the clock is off by %v", d)
		}
		s.stop()
		cancel()
		s.net.lates.Wait()
		wrong = s.wrong
	})
	return wrong
}

// sendBack lets the county return a case that it accepted, and the resident
// mends it at once.
func (s *sim) sendBack(ctx context.Context, t *testing.T, done []string) []string {
	for i, id := range done {
		s.county.mu.Lock()
		st := s.county.cases[caseKey(id, 1)]
		ok := st != nil && st.number != ""
		s.county.mu.Unlock()
		c, err := s.store.Case(ctx, id)
		if !ok || err != nil || c.State != cases.Accepted {
			continue
		}
		up := wire.CaseUpdate{CaseID: id, Revision: 1, State: string(cases.Returned), At: countyTime().UTC(), Note: "请补正"}
		s.county.publish(t, wire.KindCaseUpdate, id, up)
		s.submit(id, 2, 1+s.rng.IntN(50_000))
		return append(done[:i:i], done[i+1:]...)
	}
	return done
}

// seeds is how many seeds the normal test plays; CUNBAN_SEEDS asks for others.
const seeds = 300

func seedCount(t *testing.T) uint64 {
	if v := os.Getenv("CUNBAN_SEEDS"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatalf("CUNBAN_SEEDS: %v", err)
		}
		return n
	}
	if testing.Short() {
		return seeds / 10
	}
	return seeds
}

// TestSimulation plays seeded schedules of everything that goes wrong between a
// village and its county. Afterwards every case is at the county exactly once.
func TestSimulation(t *testing.T) {
	first := uint64(1)
	if v := os.Getenv("CUNBAN_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatalf("CUNBAN_SEED: %v", err)
		}
		for _, w := range play(t, n, false) {
			t.Errorf("seed %d: %s", n, w)
		}
		return
	}
	for seed := first; seed < first+seedCount(t); seed++ {
		for _, w := range play(t, seed, false) {
			t.Errorf("seed %d (CUNBAN_SEED=%d): %s", seed, seed, w)
		}
		if t.Failed() {
			return
		}
	}
}

// TestSimulationCatchesNaiveJudge shows that the simulation can fail: a client
// that takes any 200 for success breaks the promises.
func TestSimulationCatchesNaiveJudge(t *testing.T) {
	caught := 0
	const tries = 40
	for seed := uint64(1); seed <= tries; seed++ {
		if len(play(t, seed, true)) > 0 {
			caught++
		}
	}
	if caught == 0 {
		t.Errorf("a naive judge went through %d seeds unnoticed", tries)
	}
	t.Logf("caught in %d of %d seeds", caught, tries)
}
