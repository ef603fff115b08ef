// Package session knows who is at the screen: a resident with her card, a
// clerk who helps (帮办), a technician, or nobody. It keeps the clocks of
// leaving: the idle question, the cover when the card is taken out, the wipe.
//
// It exists because forgetting a person is the one thing that must never
// depend on a page: pages come and go, the manager decides. It guarantees: a
// session has a number that is never used twice, so that a late device result
// can be told from a timely one; nobody is sent away without having been asked
// first; a session that ended is over for good, whatever arrives late; events
// come one at a time and in order.
//
// All methods are safe for concurrent use. Timers are time.AfterFunc, which
// testing/synctest can drive.
package session

import (
	"sync"
	"time"

	"cunban/kiosk/resident"
	"cunban/kiosk/staff"
)

// Timing holds the waits. Zero fields take Defaults.
type Timing struct {
	Idle       time.Duration // nothing touched: ask whether somebody is there
	IdleLarge  time.Duration // the same in large text
	IdleHelped time.Duration // a clerk is signed in, or a technician
	Ask        time.Duration // how long the question stands before the wipe
	Cover      time.Duration // card taken out: time for the same card to return
	CardLeft   time.Duration // how often a card left behind is called out
}

// Defaults are the waits of docs and terminals.
var Defaults = Timing{
	Idle: 60 * time.Second, IdleLarge: 90 * time.Second, IdleHelped: 10 * time.Minute,
	Ask: 30 * time.Second, Cover: 15 * time.Second, CardLeft: 20 * time.Second,
}

func (t Timing) filled() Timing {
	for _, f := range []struct{ v, d *time.Duration }{
		{&t.Idle, &Defaults.Idle}, {&t.IdleLarge, &Defaults.IdleLarge}, {&t.IdleHelped, &Defaults.IdleHelped},
		{&t.Ask, &Defaults.Ask}, {&t.Cover, &Defaults.Cover}, {&t.CardLeft, &Defaults.CardLeft},
	} {
		if *f.v <= 0 {
			*f.v = *f.d
		}
	}
	return t
}

// Phase is the closed set of what a session is doing.
type Phase string

// Phases.
const (
	Nobody  Phase = "nobody"  // no session
	Active  Phase = "active"  // somebody is working
	Asking  Phase = "asking"  // 您还在吗？
	Covered Phase = "covered" // the card was taken out, the screen is covered
)

// Reason is why a session ended.
type Reason string

// Reasons.
const (
	Done      Reason = "done"       // finished, or the person pressed 首页
	IdleOut   Reason = "idle"       // asked, no answer
	CardTaken Reason = "card_taken" // card taken out and not put back
	OtherCard Reason = "other_card" // another person's card was put in
	Stopped   Reason = "stopped"    // the program stops
	SignedOut Reason = "signed_out" // staff or technician signed out
)

// Kind is the closed set of events.
type Kind string

// Kinds of event.
const (
	Began     Kind = "began"
	Asked     Kind = "asked"     // show the question; Left says how long it stands
	Continued Kind = "continued" // take the question away
	CoveredUp Kind = "covered"   // cover the screen at once; Left says until when
	Uncovered Kind = "uncovered" // the same card is back
	Ended     Kind = "ended"     // wipe and go home
	CardLeft  Kind = "card_left" // nobody is here, but a card still is
)

// Event is one thing that happened.
type Event struct {
	Kind    Kind
	Session uint64
	Reason  Reason        // Ended
	Left    time.Duration // Asked, CoveredUp
	First   bool          // CardLeft: the first of its kind for this card
}

// Snapshot is who is at the screen now. Claim and accounts are copies.
type Snapshot struct {
	Number     uint64
	Phase      Phase
	StartedAt  time.Time
	Resident   *resident.Claim
	Helper     *staff.Account // 帮办员 working with the resident
	Technician *staff.Account
}

// Manager is the one session manager of a terminal.
type Manager struct {
	t       Timing
	now     func() time.Time
	onEvent func(Event)

	mu      sync.Mutex
	number  uint64
	s       *Snapshot
	large   bool
	holds   int
	leaving bool // the page asked the person to take the card
	cardIn  bool
	gen     uint64 // generation of timer; a timer of an older one is dead
	timer   *time.Timer
	card    *time.Timer // reminder of a card left behind
	reminds int

	queue   []Event
	telling bool
}

// New makes a manager. first is the last session number used before this start
// (numbers never repeat); onEvent is called without locks, one event at a time.
func New(t Timing, first uint64, now func() time.Time, onEvent func(Event)) *Manager {
	return &Manager{t: t.filled(), number: first, now: now, onEvent: onEvent}
}

// Begin starts a session, ending the one before. It returns its number.
func (m *Manager) Begin() uint64 {
	m.mu.Lock()
	m.endLocked(Done)
	m.number++
	m.s = &Snapshot{Number: m.number, Phase: Active, StartedAt: m.now()}
	m.leaving = false
	m.stopCardLocked()
	m.say(Event{Kind: Began, Session: m.number})
	m.armLocked()
	n := m.number
	m.tell()
	return n
}

// Current tells who is at the screen.
func (m *Manager) Current() Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.s == nil {
		return Snapshot{Number: m.number, Phase: Nobody}
	}
	c := *m.s
	if c.Resident != nil {
		r := *c.Resident
		c.Resident = &r
	}
	return c
}

// Is reports whether session n is the present one: what a late result asks
// before it is shown.
func (m *Manager) Is(n uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.s != nil && m.s.Number == n
}

// change works on the present session if it is n; false otherwise.
func (m *Manager) change(n uint64, f func(*Snapshot)) bool {
	m.mu.Lock()
	if m.s == nil || m.s.Number != n {
		m.mu.Unlock()
		return false
	}
	f(m.s)
	if m.s.Phase == Active {
		m.armLocked()
	}
	m.tell()
	return true
}

// SetResident says whose session n is. false when n is over.
func (m *Manager) SetResident(n uint64, c resident.Claim) bool {
	return m.change(n, func(s *Snapshot) { s.Resident = &c })
}

// SetHelper says which clerk works with session n; nil when she signs out.
func (m *Manager) SetHelper(n uint64, a *staff.Account) bool {
	return m.change(n, func(s *Snapshot) { s.Helper = a })
}

// SetTechnician says which technician session n belongs to.
func (m *Manager) SetTechnician(n uint64, a *staff.Account) bool {
	return m.change(n, func(s *Snapshot) { s.Technician = a })
}

// SetLarge says whether text is large, which gives more time.
func (m *Manager) SetLarge(large bool) {
	m.mu.Lock()
	m.large = large
	if m.s != nil && m.s.Phase == Active {
		m.armLocked()
	}
	m.tell()
}

// Touch notes that somebody touched the screen. It answers the idle question
// too.
func (m *Manager) Touch() {
	m.mu.Lock()
	if m.s != nil {
		if m.s.Phase == Asking {
			m.s.Phase = Active
			m.say(Event{Kind: Continued, Session: m.s.Number})
		}
		if m.s.Phase == Active {
			m.armLocked()
		}
	}
	m.tell()
}

// Hold keeps the clocks of leaving from running while the machine works for the
// person (scanning, submitting, printing); a card taken out still covers the
// screen at once. The returned function ends it; it
// may be called more than once.
func (m *Manager) Hold() (release func()) {
	m.mu.Lock()
	m.holds++
	if m.s != nil && m.s.Phase != Asking {
		m.armLocked()
	}
	m.tell()
	var once sync.Once
	return func() {
		once.Do(func() {
			m.mu.Lock()
			m.holds--
			if m.s != nil && m.s.Phase != Asking {
				m.armLocked()
			}
			m.tell()
		})
	}
}

// Leaving says that the page asks the person to take the card now, so that
// taking it ends the session in peace.
func (m *Manager) Leaving(n uint64) {
	m.change(n, func(*Snapshot) { m.leaving = true })
}

// CardIn notes that a contact card is in the reader. A reminder that a card was
// left behind is only for sessions that ended while it was in.
func (m *Manager) CardIn() {
	m.mu.Lock()
	m.cardIn = true
	m.tell()
}

// CardBack says whose card was put in while the screen is covered: the same
// person's uncovers, another's ends the session.
func (m *Manager) CardBack(c resident.Claim) {
	m.mu.Lock()
	if m.s != nil && m.s.Phase == Covered {
		if m.s.Resident != nil && m.s.Resident.SamePerson(c) {
			m.s.Phase = Active
			m.say(Event{Kind: Uncovered, Session: m.s.Number})
			m.armLocked()
		} else {
			m.endLocked(OtherCard)
		}
	}
	m.tell()
}

// CardGone notes that the contact card was taken out of the reader. A session
// that a contact card opened is covered at once; the others go on.
func (m *Manager) CardGone() {
	m.mu.Lock()
	m.cardIn = false
	m.stopCardLocked()
	if m.s != nil && m.s.Resident != nil && m.s.Resident.Source == resident.FromSocialCard && m.s.Phase != Covered {
		if m.leaving {
			m.endLocked(Done)
		} else {
			m.s.Phase = Covered
			m.say(Event{Kind: CoveredUp, Session: m.s.Number, Left: m.t.Cover})
			m.armLocked()
		}
	}
	m.tell()
}

// End ends session n; nothing happens when it is over already.
func (m *Manager) End(n uint64, why Reason) {
	m.mu.Lock()
	if m.s != nil && m.s.Number == n {
		m.endLocked(why)
	}
	m.tell()
}

// Stop ends whatever there is and stops all timers.
func (m *Manager) Stop() {
	m.mu.Lock()
	m.cardIn = false
	m.endLocked(Stopped)
	m.stopCardLocked()
	m.tell()
}

func (m *Manager) endLocked(why Reason) {
	if m.s == nil {
		return
	}
	n := m.s.Number
	if m.s.Resident != nil {
		*m.s.Resident = resident.Claim{}
	}
	m.s = nil
	m.leaving = false
	m.stopTimerLocked()
	m.say(Event{Kind: Ended, Session: n, Reason: why})
	if m.cardIn && why != OtherCard { // the card that is in is the next person's
		m.reminds = 0
		m.remindLocked(n)
	}
}

// armLocked starts the timer that the present phase needs.
func (m *Manager) armLocked() {
	m.stopTimerLocked()
	gen, n := m.gen, m.s.Number
	var d time.Duration
	var then func()
	switch m.s.Phase {
	case Active:
		if m.holds > 0 {
			return
		}
		d = m.t.Idle
		if m.large {
			d = m.t.IdleLarge
		}
		if m.s.Helper != nil || m.s.Technician != nil {
			d = max(d, m.t.IdleHelped)
		}
		then = func() {
			m.s.Phase = Asking
			m.say(Event{Kind: Asked, Session: n, Left: m.t.Ask})
			m.armLocked()
		}
	case Asking:
		d, then = m.t.Ask, func() { m.endLocked(IdleOut) }
	case Covered:
		if m.holds > 0 {
			return // a paper that is being printed comes out first
		}
		d, then = m.t.Cover, func() { m.endLocked(CardTaken) }
	case Nobody:
		return
	}
	m.timer = time.AfterFunc(d, func() {
		m.mu.Lock()
		if m.gen == gen && m.s != nil && m.s.Number == n {
			then()
		}
		m.tell()
	})
}

func (m *Manager) stopTimerLocked() {
	m.gen++
	if m.timer != nil {
		m.timer.Stop()
		m.timer = nil
	}
}

// remindLocked calls out a card left behind until it is gone or a session
// begins.
func (m *Manager) remindLocked(n uint64) {
	m.say(Event{Kind: CardLeft, Session: n, First: m.reminds == 0})
	m.reminds++
	var t *time.Timer
	t = time.AfterFunc(m.t.CardLeft, func() {
		m.mu.Lock()
		if m.card == t && m.cardIn && m.s == nil {
			m.remindLocked(n)
		}
		m.tell()
	})
	m.card = t
}

func (m *Manager) stopCardLocked() {
	if m.card != nil {
		m.card.Stop()
		m.card = nil
	}
}

func (m *Manager) say(e Event) { m.queue = append(m.queue, e) }

// tell delivers queued events and releases mu. Whoever tells first tells for
// all, so that events never overlap and keep their order.
func (m *Manager) tell() {
	if m.telling {
		m.mu.Unlock()
		return
	}
	m.telling = true
	for len(m.queue) > 0 {
		e := m.queue[0]
		m.queue = m.queue[1:]
		m.mu.Unlock()
		m.onEvent(e)
		m.mu.Lock()
	}
	m.telling = false
	m.mu.Unlock()
}
