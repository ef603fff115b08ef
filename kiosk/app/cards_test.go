package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	gosync "sync"
	"testing"
	"testing/synctest"
	"time"

	"cunban/device"
	"cunban/kiosk/oplog"
	"cunban/kiosk/resident"
	"cunban/kiosk/session"
	"cunban/kiosk/ui"
)

// Made-up persons of the design texts.
const (
	zhangNumber = "140830195603120024"
	zhangName   = "张桂兰"
	liNumber    = "140830198707144518"
	liName      = "李建军"
)

func zhangCard() device.SocialSecurityCard {
	return device.SocialSecurityCard{Number: zhangNumber, Name: zhangName, NameExact: true, CardNumber: "D12345678",
		CardIdentifier: "140830D15600000501A1B2C3D4E5F607", Version: "2.00"}
}

func liCard() device.IDCard {
	return device.IDCard{Number: liNumber, Name: liName, Type: device.IDResident}
}

// answer is what a fake reader answers to a read.
type answer struct {
	social device.SocialSecurityCard
	id     device.IDCard
	err    error
}

// fakeReader is a reader of either kind whose every move the test makes.
type fakeReader struct {
	kind device.Kind

	mu     gosync.Mutex
	health device.Health
	state  device.CardEvent
	fn     func(device.Event)
	reads  chan answer // one for each read; a read waits for it
	deaf   bool        // a read does not notice that its context ended
}

func newReader(kind device.Kind) *fakeReader {
	return &fakeReader{kind: kind, health: device.Health{Kind: kind, State: device.StateReady},
		state: device.CardEvent{State: device.CardNone}, reads: make(chan answer, 10)}
}

func (r *fakeReader) Kind() device.Kind { return r.kind }

func (r *fakeReader) Health() device.Health {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.health
}

func (r *fakeReader) SelfTest(context.Context) device.Health { return r.Health() }

func (r *fakeReader) Subscribe(fn func(device.Event)) func() {
	r.mu.Lock()
	r.fn = fn
	e := r.state
	r.mu.Unlock()
	fn(device.Event{Kind: r.kind, Card: &e})
	return func() { r.mu.Lock(); r.fn = nil; r.mu.Unlock() }
}

func (r *fakeReader) Run(ctx context.Context) error { <-ctx.Done(); return nil }

func (r *fakeReader) CardState() device.CardEvent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

func (r *fakeReader) read(ctx context.Context) answer {
	if r.deaf {
		return <-r.reads
	}
	select {
	case a := <-r.reads:
		return a
	case <-ctx.Done():
		return answer{err: ctx.Err()}
	}
}

func (r *fakeReader) ReadCard(ctx context.Context) (device.SocialSecurityCard, error) {
	a := r.read(ctx)
	return a.social, a.err
}

func (r *fakeReader) ReadID(ctx context.Context) (device.IDCard, error) {
	a := r.read(ctx)
	return a.id, a.err
}

// card tells of a change in front of the reader.
func (r *fakeReader) card(s device.CardState) {
	r.mu.Lock()
	r.state = device.CardEvent{State: s, Seq: r.state.Seq + 1}
	e, fn := r.state, r.fn
	r.mu.Unlock()
	fn(device.Event{Kind: r.kind, Card: &e})
}

// turn changes the reader's condition.
func (r *fakeReader) turn(s device.State) {
	r.mu.Lock()
	r.health.State = s
	h, fn := r.health, r.fn
	r.mu.Unlock()
	fn(device.Event{Kind: r.kind, Health: &h})
}

// cardTable is a card desk with two readers.
type cardTable struct {
	*cardDesk
	social, id *fakeReader
	mu         gosync.Mutex
	views      []ui.CardView
	notes      []string
	events     []session.Event
}

// onTable runs f with a desk in a bubble of its own time.
func onTable(t *testing.T, f func(t *testing.T, x *cardTable)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		x := &cardTable{social: newReader(device.KindCardReader), id: newReader(device.KindIDReader)}
		sess := session.New(session.Timing{}, 0, time.Now, func(e session.Event) {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.events = append(x.events, e)
		})
		x.cardDesk = &cardDesk{social: x.social, id: x.id, now: time.Now, sess: sess,
			told: func(v ui.CardView) {
				x.mu.Lock()
				defer x.mu.Unlock()
				x.views = append(x.views, v)
			},
			note: func(e oplog.Event, o oplog.Outcome, dev string, fields map[string]string) {
				x.mu.Lock()
				defer x.mu.Unlock()
				x.notes = append(x.notes, fmt.Sprint(e, " ", o, " ", dev, " ", fields["reason"], fields["card"]))
			}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { x.run(ctx); close(ended) }()
		synctest.Wait()
		f(t, x)
		cancel()
		<-ended
		sess.Stop()
	})
}

// phases lists what was shown, in order.
func (x *cardTable) phases() []ui.CardPhase {
	synctest.Wait()
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []ui.CardPhase
	for _, v := range x.views {
		out = append(out, v.Phase)
	}
	return out
}

func (x *cardTable) want(t *testing.T, want ...ui.CardPhase) {
	t.Helper()
	if got := x.phases(); !slices.Equal(got, want) {
		t.Errorf("shown %v, want %v", got, want)
	}
}

func TestCardIsReadAsSoonAsItIsIn(t *testing.T) {
	onTable(t, func(t *testing.T, x *cardTable) {
		x.social.card(device.CardInserted)
		x.want(t, ui.CardWaiting, ui.CardReading)
		x.social.reads <- answer{social: zhangCard()}
		x.want(t, ui.CardWaiting, ui.CardReading, ui.CardRead)
		v := x.current()
		if v.Claim.Number.Reveal() != zhangNumber || v.Claim.Name.Reveal() != zhangName || v.Claim.Source != resident.FromSocialCard ||
			v.Claim.Sex != "2" || v.Claim.BirthDate != "19560312" || v.Claim.Verification != resident.Unverified || !v.SocialReader || !v.IDReader {
			t.Errorf("claim %+v", v)
		}
		if want := []string{"card.read ok card_reader social_card"}; !slices.Equal(x.notes, want) {
			t.Errorf("log %q, want %q", x.notes, want)
		}
		x.social.card(device.CardNone)
		x.want(t, ui.CardWaiting, ui.CardReading, ui.CardRead, ui.CardWaiting)
		if !x.current().Claim.Number.IsZero() {
			t.Error("the claim outlived its card")
		}
	})
}

func TestEveryFaultOfACardHasItsOwnPhase(t *testing.T) {
	foreign := zhangCard()
	foreign.Number = "12"
	for name, c := range map[string]struct {
		a    answer
		want ui.CardPhase
	}{
		"blank":          {answer{err: fmt.Errorf("select: %w", device.ErrBlankCard)}, ui.CardBlank},
		"foreign":        {answer{err: device.ErrForeignCard}, ui.CardForeign},
		"silent":         {answer{err: device.ErrUnresponsive}, ui.CardWrongWay},
		"held":           {answer{err: device.ErrHeld}, ui.CardHeld},
		"busy":           {answer{err: device.ErrBusy}, ui.CardHeld},
		"torn":           {answer{err: device.ErrCardTorn}, ui.CardTorn},
		"reader gone":    {answer{err: device.ErrNoReader}, ui.CardNoReader},
		"nonsense on it": {answer{err: device.ErrDamagedCard}, ui.CardDamaged},
		"not a number":   {answer{social: foreign}, ui.CardDamaged},
		"unknown":        {answer{err: errors.New("6F00")}, ui.CardDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			onTable(t, func(t *testing.T, x *cardTable) {
				x.social.card(device.CardInserted)
				x.social.reads <- c.a
				x.want(t, ui.CardWaiting, ui.CardReading, c.want)
				if x.current().Detail == "" || !x.current().Claim.Number.IsZero() {
					t.Errorf("%+v", x.current())
				}
				if want := "card.read failed card_reader " + string(c.want); len(x.notes) != 1 || x.notes[0] != want {
					t.Errorf("log %q, want %q", x.notes, want)
				}
			})
		})
	}
}

func TestForeignersIDCardIsNotDamage(t *testing.T) {
	onTable(t, func(t *testing.T, x *cardTable) {
		x.id.card(device.CardInserted)
		x.id.reads <- answer{id: device.IDCard{Number: "BEL480196012150", Name: "X", Type: device.IDForeigner}}
		x.want(t, ui.CardWaiting, ui.CardReading, ui.CardForeign)
	})
}

func TestCardTornOutWhileItIsRead(t *testing.T) {
	onTable(t, func(t *testing.T, x *cardTable) {
		x.social.card(device.CardInserted)
		x.want(t, ui.CardWaiting, ui.CardReading)
		x.social.card(device.CardNone)
		x.want(t, ui.CardWaiting, ui.CardReading, ui.CardTorn)
		x.social.card(device.CardInserted)
		x.social.reads <- answer{social: zhangCard()}
		x.want(t, ui.CardWaiting, ui.CardReading, ui.CardTorn, ui.CardReading, ui.CardRead)
	})
}

// TestLateResultIsDropped has a driver that answers after its card went: the
// result of the first card may not become the second one's.
func TestLateResultIsDropped(t *testing.T) {
	onTable(t, func(t *testing.T, x *cardTable) {
		x.social.deaf = true
		x.social.card(device.CardInserted)
		synctest.Wait()
		x.social.card(device.CardNone)
		x.social.card(device.CardInserted)
		synctest.Wait()
		x.social.reads <- answer{social: zhangCard()} // the first read, late
		x.social.reads <- answer{err: device.ErrBlankCard}
		x.want(t, ui.CardWaiting, ui.CardReading, ui.CardTorn, ui.CardReading, ui.CardBlank)
		if len(x.notes) != 1 {
			t.Errorf("log %q", x.notes)
		}
	})
}

func TestWrongWayHeldAndReaderGoneAndBack(t *testing.T) {
	onTable(t, func(t *testing.T, x *cardTable) {
		x.social.card(device.CardUnresponsive)
		x.social.card(device.CardNone)
		x.social.card(device.CardHeld)
		x.social.card(device.CardNone)
		x.want(t, ui.CardWaiting, ui.CardWrongWay, ui.CardWaiting, ui.CardHeld, ui.CardWaiting)
		x.social.turn(device.StateAbsent)
		if v := x.current(); v.Phase != ui.CardWaiting || v.SocialReader || !v.IDReader {
			t.Errorf("one reader is left: %+v", v)
		}
		x.id.turn(device.StateFault)
		if v := x.current(); v.Phase != ui.CardNoReader || v.IDReader {
			t.Errorf("no reader is left: %+v", v)
		}
		x.social.turn(device.StateReady)
		if v := x.current(); v.Phase != ui.CardWaiting || !v.SocialReader {
			t.Errorf("it is back: %+v", v)
		}
	})
}

func TestReaderPulledOutWithTheCardInIt(t *testing.T) {
	onTable(t, func(t *testing.T, x *cardTable) {
		x.id.turn(device.StateAbsent)
		x.social.card(device.CardInserted)
		x.social.reads <- answer{social: zhangCard()}
		synctest.Wait()
		n := x.sess.Begin()
		x.sess.SetResident(n, x.current().Claim)
		x.social.mu.Lock()
		x.social.health.State = device.StateAbsent
		x.social.mu.Unlock()
		x.social.card(device.CardNoReader)
		if v := x.current(); v.Phase != ui.CardNoReader || !v.Claim.Number.IsZero() {
			t.Errorf("%+v", v)
		}
		if x.sess.Current().Phase != session.Covered {
			t.Error("what she filled in is still on the screen")
		}
	})
}

func TestIDCardPutAndLifted(t *testing.T) {
	onTable(t, func(t *testing.T, x *cardTable) {
		x.id.card(device.CardInserted)
		x.id.reads <- answer{id: liCard()}
		x.want(t, ui.CardWaiting, ui.CardReading, ui.CardRead)
		if c := x.current().Claim; c.Source != resident.FromIDCard || c.Number.Reveal() != liNumber || !c.NameExact {
			t.Errorf("%+v", c)
		}
		x.id.card(device.CardMustBeLifted) // it lies there, read
		x.want(t, ui.CardWaiting, ui.CardReading, ui.CardRead)
		x.reread()
		x.want(t, ui.CardWaiting, ui.CardReading, ui.CardRead, ui.CardLiftIDCard)
		x.id.card(device.CardNone)
		x.want(t, ui.CardWaiting, ui.CardReading, ui.CardRead, ui.CardLiftIDCard, ui.CardWaiting)
		x.id.card(device.CardInserted)
		x.id.card(device.CardNone) // too early
		x.want(t, ui.CardWaiting, ui.CardReading, ui.CardRead, ui.CardLiftIDCard, ui.CardWaiting, ui.CardReading, ui.CardTorn)
	})
}

// TestTheOtherReaderDoesNotDisturb: what happens at the contact reader while an
// ID card is read must not break off that read.
func TestTheOtherReaderDoesNotDisturb(t *testing.T) {
	onTable(t, func(t *testing.T, x *cardTable) {
		x.id.card(device.CardInserted)
		synctest.Wait()
		x.social.card(device.CardNone)
		synctest.Wait()
		x.id.reads <- answer{id: liCard()}
		x.want(t, ui.CardWaiting, ui.CardReading, ui.CardRead)
	})
}

func TestReadingAgain(t *testing.T) {
	onTable(t, func(t *testing.T, x *cardTable) {
		x.reread() // nothing is in
		x.social.card(device.CardInserted)
		x.social.reads <- answer{err: device.ErrDamagedCard}
		synctest.Wait()
		x.reread()
		x.social.reads <- answer{social: zhangCard()}
		x.want(t, ui.CardWaiting, ui.CardReading, ui.CardDamaged, ui.CardReading, ui.CardRead)
	})
}

// TestReadThatNeverEnds ends after readLimit and says so.
func TestReadThatNeverEnds(t *testing.T) {
	onTable(t, func(t *testing.T, x *cardTable) {
		x.social.card(device.CardInserted)
		time.Sleep(readLimit + time.Second) // of the bubble
		x.want(t, ui.CardWaiting, ui.CardReading, ui.CardDamaged)
	})
}

func TestCardBackWhileCovered(t *testing.T) {
	for name, c := range map[string]struct {
		back device.SocialSecurityCard
		want session.Phase
	}{
		"the same person": {zhangCard(), session.Active},
		"somebody else": {func() device.SocialSecurityCard {
			c := zhangCard()
			c.Number, c.Name = liNumber, liName
			return c
		}(), session.Nobody},
	} {
		t.Run(name, func(t *testing.T) {
			onTable(t, func(t *testing.T, x *cardTable) {
				x.social.card(device.CardInserted)
				x.social.reads <- answer{social: zhangCard()}
				synctest.Wait()
				n := x.sess.Begin()
				x.sess.SetResident(n, x.current().Claim)
				x.social.card(device.CardNone)
				if p := x.sess.Current().Phase; p != session.Covered {
					t.Fatalf("card out: %s", p)
				}
				x.social.card(device.CardInserted)
				x.social.reads <- answer{social: c.back}
				synctest.Wait()
				if p := x.sess.Current().Phase; p != c.want {
					t.Errorf("card back: %s, want %s", p, c.want)
				}
				last := x.events[len(x.events)-1]
				if c.want == session.Nobody {
					i := slices.IndexFunc(x.events, func(e session.Event) bool { return e.Kind == session.Ended })
					if i < 0 || x.events[i].Reason != session.OtherCard || x.events[i].Session != n {
						t.Errorf("events %+v", x.events)
					}
				} else if last.Kind != session.Uncovered {
					t.Errorf("last event %+v", last)
				}
			})
		})
	}
}

// TestCardLeftBehindIsTakenOut: the claim goes with the session, but that the
// card goes is still told, or the reminder of it would never end.
func TestCardLeftBehindIsTakenOut(t *testing.T) {
	onTable(t, func(t *testing.T, x *cardTable) {
		x.social.card(device.CardInserted)
		x.social.reads <- answer{social: zhangCard()}
		synctest.Wait()
		x.belongs(x.current().Claim.Number)
		x.forget()
		if v := x.current(); v.Phase != ui.CardWaiting || !v.Claim.Number.IsZero() {
			t.Fatalf("after the session: %+v", v)
		}
		before := len(x.phases())
		x.social.card(device.CardNone)
		if got := x.phases(); len(got) != before+1 || got[before] != ui.CardWaiting {
			t.Errorf("the card went and nobody was told: %v", got)
		}
	})
}

func TestCardDeskEndsWithItsReads(t *testing.T) {
	onTable(t, func(t *testing.T, x *cardTable) {
		x.social.card(device.CardInserted)
		synctest.Wait()
		// onTable cancels now and waits for run: a read that is under way ends.
	})
}
