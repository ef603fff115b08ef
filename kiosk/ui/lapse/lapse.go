// Package lapse lets Fyne's caches forget when a visit ends. It exists because
// Fyne keeps what it drew (widgets, their renderers, and every text with its
// measure and its picture) for a minute after it was last on the screen, and
// looks for what is older only now and then: whoever could read the terminal's
// memory found name, number and address of the resident who had just left.
//
// Fyne has no call for it, but lives by one clock, and that clock can be put
// forward. Then it does all of it by itself, at the next picture and where it
// always does it, with the graphics context at hand. It guarantees that after
// Leap and the next picture the caches hold nothing that is not on the screen.
// What is on the screen is drawn again once, no more than after a change of
// page.
//
// The clock is a variable of a package inside Fyne, which that package's tests
// put forward too; it is reached by its name in the linker. Fyne is pinned to
// one version, and the test of this package fails with a version that has it no
// longer.
package lapse

import (
	"sync/atomic"
	"time"
	_ "unsafe" // for go:linkname

	_ "fyne.io/fyne/v2/driver/software" // brings the caches and their clock
)

//go:linkname timeNow fyne.io/fyne/v2/internal/cache.timeNow
var timeNow func() time.Time

// step is how far Leap puts the clock forward: beyond the minute that Fyne keeps
// things, and the ten seconds between two looks.
const step = 10 * time.Minute

// Clock is the time that Fyne's caches live by. It never goes back.
type Clock struct {
	below func() time.Time // the clock before
	ahead atomic.Int64     // nanoseconds
}

// New gives Fyne's caches a clock that can be put forward. Call it before
// anything is drawn, once: Fyne's caches are the program's.
func New() *Clock {
	c := &Clock{below: timeNow}
	timeNow = c.now
	return c
}

func (c *Clock) now() time.Time { return c.below().Add(time.Duration(c.ahead.Load())) }

// Leap makes everything that the caches hold too old; Fyne drops it when it next
// draws a changed picture. Any goroutine.
func (c *Clock) Leap() { c.ahead.Add(int64(step)) }
