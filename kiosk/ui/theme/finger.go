package theme

import "time"

// What a finger may do. ui.md: a second touch within 400 ms is ignored, and a
// movement under 5 mm is still a tap.
const (
	Debounce    = 400 * time.Millisecond
	ToleranceMM = 5
)

// Finger is the one finger at a window: it remembers when the last touch was
// taken, so that a trembling hand does not press twice, not even a button that
// came under it with the next page. It belongs to the UI goroutine.
type Finger struct {
	// OnTouch, if set, is called for every touch, taken or not: it is what
	// keeps the idle question away.
	OnTouch func()

	now  func() time.Time
	last time.Time
	held func() // lifts what is pressed now
}

// NewFinger returns a Finger on the clock now.
func NewFinger(now func() time.Time) *Finger { return &Finger{now: now} }

// Touched reports a touch to OnTouch.
func (f *Finger) Touched() {
	if f.OnTouch != nil {
		f.OnTouch()
	}
}

// Take tells whether a tap counts, and remembers it if so. Debounce starts at
// a tap that counted, so that a hand that keeps trembling still gets through.
func (f *Finger) Take() bool {
	t := f.now()
	// A clock set back (a dead battery meets the time server) must not lock the
	// screen: only a past within Debounce counts as "just now".
	if d := t.Sub(f.last); d >= 0 && d < Debounce {
		return false
	}
	f.last = t
	return true
}

// Hold puts release in place of whatever was held before, which is let go.
func (f *Finger) Hold(release func()) {
	if old := f.held; old != nil {
		f.held = nil
		old()
	}
	f.held = release
}

// Release forgets what is held, without letting go.
func (f *Finger) Release() { f.held = nil }
