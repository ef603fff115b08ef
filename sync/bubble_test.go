package sync_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/seal"
	"cunban/sync"
	"cunban/sync/wire"
)

// bubble runs f with a village in fine weather on a fake clock.
func bubble(t *testing.T, f func(t *testing.T, ctx context.Context, s *sim)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		s := newSim(t, ctx, 5)
		s.net.set(weather{delay: 50 * time.Millisecond})
		f(t, ctx, s)
		if s.stop != nil {
			s.stop()
		}
		cancel()
		s.net.lates.Wait()
		for _, w := range s.wrong {
			t.Error(w)
		}
	})
}

func (s *sim) wait(d time.Duration) { _ = pause(context.Background(), d) }

// TestLineBack: after any outage the first case is at the county within 5 s,
// whenever in the rhythm of the probes the line comes back.
func TestLineBack(t *testing.T) {
	for _, w := range []weather{{down: true}, {portal: true}, {certs: true}, {gateway: 1000}, {lose: 1000}} {
		for i := range 25 {
			bubble(t, func(t *testing.T, ctx context.Context, s *sim) {
				s.start(ctx, nil)
				s.wait(10 * time.Second)
				s.net.set(w)
				s.submit(s.maker.ID(), 1)
				s.submit(s.maker.ID(), 1)
				s.wait(time.Duration(i*i)*13*time.Second + time.Duration(i)*271*time.Millisecond)
				s.net.set(weather{delay: 50 * time.Millisecond})
				s.wait(5 * time.Second)
				if n := s.county.accepted(); n == 0 {
					t.Errorf("%+v, outage %d: no case at the county after 5 s; line %+v", w, i, s.engine.Line())
				}
			})
		}
	}
}

// TestNewCaseIsQuick: on a good line a new case is accepted within a second.
func TestNewCaseIsQuick(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, s *sim) {
		s.start(ctx, nil)
		s.wait(time.Hour)
		s.submit(s.maker.ID(), 1)
		s.wait(time.Second)
		if n := s.county.accepted(); n != 1 {
			t.Errorf("%d accepted after a second", n)
		}
	})
}

// TestRestartIsQuick: what a killed program had leased does not wait for the
// lease to run out.
func TestRestartIsQuick(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, s *sim) {
		s.start(ctx, nil)
		s.wait(time.Minute)
		s.net.set(weather{delay: 2 * time.Second})
		s.submit(s.maker.ID(), 1)
		s.wait(time.Second) // in the middle of the request
		s.stop()
		s.wait(5 * time.Second)
		s.net.set(weather{delay: 50 * time.Millisecond})
		s.start(ctx, nil)
		s.wait(5 * time.Second)
		if n := s.county.accepted(); n != 1 {
			t.Errorf("%d accepted 5 s after the start: %+v", n, s.store.Queue())
		}
	})
}

// TestMonthOffline: 200 cases of a month without a line go out in minutes, in
// batches.
func TestMonthOffline(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, s *sim) {
		s.net.set(weather{down: true})
		s.start(ctx, func(o *sync.Options) { o.Timing.ProbeWaiting, o.Timing.ProbeTimeout = 30*time.Minute, time.Minute })
		for range 200 {
			s.wait(216 * time.Minute)
			s.submit(s.maker.ID(), 1)
		}
		s.counts()
		s.net.set(weather{delay: 100 * time.Millisecond})
		s.engine.Wake()
		s.wait(time.Minute)
		s.check()
	})
}

// TestPoisonStopsNobody: a case that makes the server fail, or the line break,
// every time does not keep the others back.
func TestPoisonStopsNobody(t *testing.T) {
	for name, crash := range map[string]bool{"500": false, "reset": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context, s *sim) {
				poison := s.maker.ID()
				tries := 0
				s.county.refuse = func(p wire.CasePut) *wire.Problem {
					if p.CaseID != poison {
						return nil
					}
					tries++
					if crash {
						panic(errCrash)
					}
					return wire.NewProblem(wire.CodeServer, "")
				}
				s.submit(poison, 1)
				s.start(ctx, nil)
				s.wait(10 * time.Minute)
				s.county.mu.Lock()
				tries = 0
				s.county.mu.Unlock()
				for range 30 {
					s.submit(s.maker.ID(), 1)
					s.wait(20 * time.Second)
				}
				s.wait(2 * time.Minute)
				if n := s.county.accepted(); n != 30 {
					t.Errorf("%d of 30 accepted beside a poisonous one", n)
				}
				// Others went through: it is the case, and that one backs off.
				if tries < 1 || tries > 25 {
					t.Errorf("the poisonous one was tried %d times in 12 minutes", tries)
				}
			})
		})
	}
}

// TestBigPoisonInBatch: the same with a full queue from the start.
func TestBigPoisonInBatch(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, s *sim) {
		bad := map[string]bool{}
		for i := range 60 {
			id := s.maker.ID()
			bad[id] = i%20 == 3
			s.submit(id, 1)
		}
		s.county.refuse = func(p wire.CasePut) *wire.Problem {
			if bad[p.CaseID] {
				panic(errCrash)
			}
			return nil
		}
		s.start(ctx, nil)
		s.wait(5 * time.Minute)
		if n := s.county.accepted(); n != 57 {
			t.Errorf("%d of 57 accepted beside three poisonous ones", n)
		}
	})
}

func TestDownlink(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, s *sim) {
		var refused []string
		s.start(ctx, func(o *sync.Options) {
			inner := o.OnEvent
			o.OnEvent = func(ev sync.Event) {
				if ev.Kind == sync.EventRefused {
					refused = append(refused, ev.ID)
				}
				inner(ev)
			}
			o.Check = func(kind wire.Kind, id string, data []byte) error {
				if kind == wire.KindCatalogue && strings.Contains(string(data), "broken") {
					return errors.New("does not load")
				}
				return nil
			}
		})
		id := s.maker.ID()
		s.submit(id, 1)
		s.wait(10 * time.Second)
		c := s.county
		c.publish(t, wire.KindJob, "J1", map[string]string{"title": "焊工"})
		c.publish(t, wire.KindJob, "J2", map[string]string{"title": "月嫂"})
		c.publish(t, wire.KindJob, "J1", map[string]string{"title": "电焊工"})
		c.publish(t, wire.KindJob, "J2", nil)
		c.publish(t, wire.KindCatalogue, "services", map[string]string{"v": "good"})
		c.publish(t, wire.KindCatalogue, "services", map[string]string{"v": "broken"})
		c.publish(t, wire.KindCaseUpdate, id, wire.CaseUpdate{CaseID: id, Revision: 1, State: "finished", At: countyTime(), Note: "已办结"})

		forged := wire.Change{Kind: wire.KindNotice, ID: "forged", Version: 1, Data: []byte(`{}`)}
		other, err := seal.GenerateKey(s.maker.Rand())
		if err != nil {
			t.Fatal(err)
		}
		if forged.Signature, err = other.Sign(s.maker.Rand(), forged.SigningBytes()); err != nil {
			t.Fatal(err)
		}
		c.send(forged)
		old := wire.Change{Kind: wire.KindJob, ID: "J1", Version: 1, Data: []byte(`{"title":"turned back"}`)}
		c.sign(t, &old)
		c.send(old)
		changed := wire.Change{Kind: wire.KindNotice, ID: "changed", Version: 1, Data: []byte(`{"a":1}`)}
		c.sign(t, &changed)
		changed.Data = []byte(`{"a":2}`)
		c.send(changed)
		elsewhere := wire.Change{Kind: wire.KindConfig, ID: "elsewhere", Version: 1, Audience: "T-2", Data: []byte(`{}`)}
		c.sign(t, &elsewhere)
		c.send(elsewhere)
		newer := wire.Change{Kind: "hologram", ID: "x", Version: 1, Data: []byte(`{}`)}
		c.sign(t, &newer)
		c.send(newer)
		c.publish(t, wire.KindNotice, "N1", map[string]string{"title": "通知"})
		s.wait(30 * time.Second)

		jobs, asOf, err := sync.List(ctx, s.store, wire.KindJob)
		if err != nil || len(jobs) != 1 || string(jobs[0]) != `{"title":"电焊工"}` {
			t.Errorf("jobs %s (%v)", jobs, err)
		}
		if d := countyTime().Sub(asOf).Abs(); d > time.Minute {
			t.Errorf("list as of %v ago", d)
		}
		if v, ok, err := sync.Object(ctx, s.store, wire.KindCatalogue, "services"); !ok || err != nil || string(v) != `{"v":"good"}` {
			t.Errorf("catalogue %s, %v, %v", v, ok, err)
		}
		if n, _, _ := sync.List(ctx, s.store, wire.KindNotice); len(n) != 1 {
			t.Errorf("notices %s", n)
		}
		if _, ok, _ := sync.Object(ctx, s.store, wire.KindConfig, "elsewhere"); ok {
			t.Error("another terminal's object was taken")
		}
		if cs, err := s.store.Case(ctx, id); err != nil || cs.State != cases.Finished || cs.Note != "已办结" {
			t.Errorf("case %+v (%v)", cs, err)
		}
		want := "services forged J1 changed elsewhere"
		if got := strings.Join(refused, " "); got != want {
			t.Errorf("refused %q, want %q", got, want)
		}
		cursor, _, err := s.store.Get(ctx, sync.KeyCursor)
		if err != nil || string(cursor) != "13" {
			t.Errorf("cursor %s (%v)", cursor, err)
		}
	})
}

// TestRevocation: a terminal that is switched off sends nothing, loses nothing,
// remembers it over a restart, and goes on when it is switched on again.
func TestRevocation(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, s *sim) {
		s.start(ctx, nil)
		s.wait(5 * time.Second)
		s.county.publish(t, wire.KindRevoke, terminal, wire.Revocation{Reason: "终端失窃", At: countyTime()})
		s.wait(5 * time.Second)
		s.submit(s.maker.ID(), 1)
		for range 2 {
			s.wait(5 * time.Minute)
			if l := s.engine.Line(); l.Kind != sync.LineRevoked || s.county.accepted() != 0 {
				t.Errorf("line %+v, %d accepted", l, s.county.accepted())
			}
			s.stop()
			s.start(ctx, nil)
		}
		s.wait(10 * time.Second)
		s.county.publish(t, wire.KindRevoke, terminal, nil)
		s.wait(10 * time.Second)
		if n := s.county.accepted(); n != 1 {
			t.Errorf("%d accepted after it was switched on again; line %+v", n, s.engine.Line())
		}
	})
}

// TestCheckpoints: each is proved from the last one that the county signed, also
// when the county's answer was lost.
func TestCheckpoints(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, s *sim) {
		s.start(ctx, nil)
		s.submit(s.maker.ID(), 1)
		s.wait(11 * time.Minute)
		var crashed atomic.Bool
		s.county.mu.Lock()
		s.county.crash = func(bool) bool { return crashed.CompareAndSwap(false, true) }
		s.county.mu.Unlock()
		s.submit(s.maker.ID(), 1)
		s.wait(11 * time.Minute)
		crashed.Store(false) // the next answer, whichever it is, is lost
		s.wait(20 * time.Minute)
		s.submit(s.maker.ID(), 1)
		s.wait(20 * time.Minute)
		signed := s.store.Countersigned()
		if len(signed) < 3 || !strings.Contains(signed[len(signed)-1], "\n6\n") {
			t.Errorf("countersigned %q", signed)
		}
		for i, p := range s.county.signedNotes() {
			if p.Since > 0 && len(p.Proof) == 0 && !strings.Contains(p.Note, "\n"+itoa(p.Since)+"\n") {
				t.Errorf("checkpoint %d has no proof: %+v", i, p)
			}
		}
	})
}

func itoa(n int64) string { return caseKey("", int(n))[1:] }

// TestMeter: scans wait for the night window, cases do not.
func TestMeter(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, s *sim) {
		noon := countyTime()
		at := noon.UTC().Sub(noon.UTC().Truncate(24 * time.Hour))
		s.start(ctx, func(o *sync.Options) {
			o.Meter = sync.Meter{NightFrom: (at + 6*time.Hour) % (24 * time.Hour), NightTo: (at + 8*time.Hour) % (24 * time.Hour),
				NightOnly: true, Location: time.UTC}
		})
		s.submit(s.maker.ID(), 1)
		s.submit(s.maker.ID(), 1, 100_000)
		s.wait(5*time.Hour + 50*time.Minute)
		if n := s.county.accepted(); n != 1 {
			t.Errorf("%d accepted before the night, want 1", n)
		}
		s.wait(15 * time.Minute)
		if n := s.county.accepted(); n != 2 {
			t.Errorf("%d accepted in the night, want 2", n)
		}
	})
}

// TestDailyAllowance: when it is used up, scans wait until the next day.
func TestDailyAllowance(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, s *sim) {
		s.start(ctx, func(o *sync.Options) { o.Meter = sync.Meter{DailyBytes: 600_000, Location: time.UTC} })
		for range 2 {
			s.submit(s.maker.ID(), 1, 500_000)
			s.wait(time.Minute)
		}
		s.submit(s.maker.ID(), 1)
		s.wait(time.Minute)
		if n := s.county.accepted(); n != 2 {
			t.Errorf("%d accepted on the first day, want 2", n)
		}
		s.stop() // the count survives
		s.start(ctx, func(o *sync.Options) { o.Meter = sync.Meter{DailyBytes: 600_000, Location: time.UTC} })
		s.wait(time.Hour)
		if n := s.county.accepted(); n != 2 {
			t.Errorf("%d accepted after a restart, want 2", n)
		}
		s.wait(24 * time.Hour)
		if n := s.county.accepted(); n != 3 {
			t.Errorf("%d accepted on the next day, want 3", n)
		}
	})
}

// TestOfflineQuery: no waiting when there is no line.
func TestOfflineQuery(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, s *sim) {
		s.net.set(weather{down: true})
		s.start(ctx, nil)
		s.wait(time.Minute)
		began := time.Now()
		err := s.engine.Query(ctx, wire.QueryJobs, wire.ListIn{}, &wire.ListOut{})
		var f *sync.Failure
		if !errors.Is(err, sync.ErrOffline) || !errors.As(err, &f) || f.Text == "" {
			t.Errorf("error %v", err)
		}
		if d := time.Since(began); d > 0 {
			t.Errorf("it took %v", d)
		}
	})
}

// TestClock: the floor holds over a restart, and a county that was wrong for a
// while neither turns the clock back nor stops it.
func TestClock(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context, s *sim) {
		s.start(ctx, nil)
		s.wait(time.Hour)
		s.stop()
		s.skew = -56 * 365 * 24 * time.Hour
		s.net.set(weather{down: true})
		s.start(ctx, nil)
		s.wait(time.Minute)
		floor := s.engine.Clock().Now()
		if d := countyTime().Sub(floor); d > 30*time.Minute || d < 0 {
			t.Errorf("without a line after a dead battery the clock is %v behind", d)
		}
		if s.engine.Clock().Known() {
			t.Error("the time counts as known")
		}
		s.net.set(weather{delay: 50 * time.Millisecond})
		s.wait(10 * time.Second)
		s.county.mu.Lock()
		s.county.now = func() time.Time { return countyTime().Add(2 * time.Hour) }
		s.county.mu.Unlock()
		s.wait(11 * time.Minute)
		s.county.mu.Lock()
		s.county.now = countyTime
		s.county.mu.Unlock()
		last := s.engine.Clock().Now()
		if d := last.Sub(countyTime()); d < time.Hour {
			t.Errorf("the clock follows the county by %v", d)
		}
		for range 60 {
			s.wait(time.Minute)
			now := s.engine.Clock().Now()
			if !now.After(last) {
				t.Fatalf("the clock went from %v to %v", last, now)
			}
			last = now
		}
		s.submit(s.maker.ID(), 1)
		s.wait(5 * time.Second)
		if s.county.accepted() != 1 {
			t.Error("a clock that runs ahead stops the queue")
		}
		s.wait(5 * time.Hour)
		if d := s.engine.Clock().Now().Sub(countyTime()).Abs(); d > 2*time.Second {
			t.Errorf("the clock is still off by %v", d)
		}
	})
}

// TestManyTerminals: a whole county comes back at once.
func TestManyTerminals(t *testing.T) {
	const villages = 162
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		c := newCounty(t, 1, countyTime)
		var sims []*sim
		for i := range villages {
			s := newSim(t, ctx, uint64(1000+i))
			s.county = c
			s.net.srv = http.StripPrefix("/gw", c.handler())
			s.net.set(weather{down: true})
			s.start(ctx, nil)
			s.submit(s.maker.ID(), 1)
			s.submit(s.maker.ID(), 1, 20_000)
			sims = append(sims, s)
		}
		sims[0].wait(10 * time.Minute)
		for _, s := range sims {
			s.net.set(weather{delay: 200 * time.Millisecond, loseReply: 50, twice: 50})
		}
		sims[0].wait(2 * time.Minute)
		if n := c.accepted(); n != 2*villages {
			t.Errorf("%d of %d accepted", n, 2*villages)
		}
		for _, s := range sims {
			s.stop()
			if s.store.Open() != 0 {
				t.Errorf("a village still has %d waiting", s.store.Open())
			}
		}
		cancel()
		for _, s := range sims {
			s.net.lates.Wait()
		}
		for k, st := range c.cases {
			if st.effects != 1 {
				t.Errorf("case %s had its effect %d times", k, st.effects)
			}
		}
	})
}
