package session

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"cunban/kiosk/resident"
	"cunban/kiosk/staff"
)

func claim(t *testing.T, number string) resident.Claim {
	t.Helper()
	n, err := resident.ParseIDNumber(number)
	if err != nil {
		t.Fatal(err)
	}
	return resident.Claim{Source: resident.FromSocialCard, Number: n}
}

type record struct {
	mu sync.Mutex
	ev []Event
}

func (r *record) on(e Event) { r.mu.Lock(); r.ev = append(r.ev, e); r.mu.Unlock() }
func (r *record) kinds() (out []Kind) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.ev {
		out = append(out, e.Kind)
	}
	return out
}

func run(t *testing.T, f func(m *Manager, r *record)) {
	synctest.Test(t, func(t *testing.T) {
		r := &record{}
		m := New(Timing{}, 41, time.Now, r.on)
		f(m, r)
		m.Stop()
	})
}

// after lets d pass and everything settle; time is synctest's.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func want(t *testing.T, r *record, kinds ...Kind) {
	t.Helper()
	if got := r.kinds(); !slices.Equal(got, kinds) {
		t.Fatalf("events %v, want %v", got, kinds)
	}
}

func TestIdleAsksThenWipes(t *testing.T) {
	run(t, func(m *Manager, r *record) {
		n := m.Begin()
		if n != 42 {
			t.Fatalf("number %d does not follow the last one", n)
		}
		after(59 * time.Second)
		m.Touch()
		after(59 * time.Second)
		want(t, r, Began)
		after(2 * time.Second)
		want(t, r, Began, Asked)
		m.Touch()
		want(t, r, Began, Asked, Continued)
		after(91 * time.Second)
		want(t, r, Began, Asked, Continued, Asked, Ended)
		if m.Is(n) {
			t.Fatal("an ended session is still the present one")
		}
	})
}

func TestLargeTextAndHelpersHaveMoreTime(t *testing.T) {
	run(t, func(m *Manager, r *record) {
		m.SetLarge(true)
		n := m.Begin()
		after(89 * time.Second)
		want(t, r, Began)
		m.SetHelper(n, &staff.Account{Number: "1001"})
		after(9 * time.Minute)
		want(t, r, Began)
	})
}

func TestHoldStopsTheClock(t *testing.T) {
	run(t, func(m *Manager, r *record) {
		m.Begin()
		release := m.Hold()
		after(time.Hour)
		want(t, r, Began)
		release()
		release()
		after(61 * time.Second)
		want(t, r, Began, Asked)
	})
}

func TestCardTakenOut(t *testing.T) {
	run(t, func(m *Manager, r *record) {
		c := claim(t, "140830195603120024")
		n := m.Begin()
		m.CardIn()
		m.SetResident(n, c)
		m.CardGone()
		want(t, r, Began, CoveredUp)
		after(10 * time.Second)
		m.CardIn()
		m.CardBack(c)
		want(t, r, Began, CoveredUp, Uncovered)
		m.CardGone()
		after(16 * time.Second)
		want(t, r, Began, CoveredUp, Uncovered, CoveredUp, Ended)
		if got := r.ev[len(r.ev)-1].Reason; got != CardTaken {
			t.Fatalf("reason %s", got)
		}
	})
}

func TestAnotherCardEndsTheSession(t *testing.T) {
	run(t, func(m *Manager, r *record) {
		n := m.Begin()
		m.CardIn()
		m.SetResident(n, claim(t, "140830195603120024"))
		m.CardGone()
		m.CardIn()
		m.CardBack(claim(t, "142723194809051237"))
		if e := r.ev[2]; e.Kind != Ended || e.Reason != OtherCard {
			t.Fatalf("%+v", e)
		}
	})
}

func TestCardLeftBehindIsCalledOut(t *testing.T) {
	run(t, func(m *Manager, r *record) {
		n := m.Begin()
		m.CardIn()
		m.SetResident(n, claim(t, "140830195603120024"))
		m.End(n, Done)
		want(t, r, Began, Ended, CardLeft)
		after(41 * time.Second)
		want(t, r, Began, Ended, CardLeft, CardLeft, CardLeft)
		if !r.ev[2].First || r.ev[3].First {
			t.Fatal("First must mark the first call only")
		}
		m.CardGone()
		after(time.Minute)
		want(t, r, Began, Ended, CardLeft, CardLeft, CardLeft)
	})
}

func TestLeavingInPeace(t *testing.T) {
	run(t, func(m *Manager, r *record) {
		n := m.Begin()
		m.CardIn()
		m.SetResident(n, claim(t, "140830195603120024"))
		m.Leaving(n)
		m.CardGone()
		want(t, r, Began, Ended)
	})
}

// Whatever happens in whatever order: numbers grow, every session ends exactly
// once and only after it began, and nobody ends by idleness unasked.
func TestAnyOrder(t *testing.T) {
	c1, c2 := claim(t, "140830195603120024"), claim(t, "142723194809051237")
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.IntRange(0, 9), 1, 60).Draw(rt, "steps")
		synctest.Test(t, func(t *testing.T) {
			r := &record{}
			m := New(Timing{}, 0, time.Now, r.on)
			var n uint64
			for _, s := range steps {
				switch s {
				case 0:
					n = m.Begin()
				case 1:
					m.Touch()
				case 2:
					after(20 * time.Second)
				case 3:
					after(65 * time.Second)
				case 4:
					m.SetResident(n, c1)
				case 5:
					m.CardGone()
				case 6:
					m.CardIn()
				case 7:
					m.CardBack(c2)
				case 8:
					m.End(n, Done)
				case 9:
					m.Leaving(n)
				}
			}
			m.Stop()
			var open, last uint64
			asked := false
			for _, e := range r.ev {
				switch e.Kind {
				case Began:
					if open != 0 || e.Session <= last {
						rt.Fatalf("session %d began after %d (open %d)", e.Session, last, open)
					}
					open, last, asked = e.Session, e.Session, false
				case Asked:
					asked = true
				case Continued, CoveredUp, Uncovered:
				case Ended:
					if open != e.Session || e.Reason == IdleOut && !asked {
						rt.Fatalf("%+v while %d is open, asked %v", e, open, asked)
					}
					open = 0
				case CardLeft:
					if open != 0 {
						rt.Fatal("a card is called left behind while its session runs")
					}
				}
			}
			if open != 0 {
				rt.Fatal("a session never ended")
			}
		})
	})
}
