package sync

import (
	"context"
	"fmt"
	gosync "sync"
	"time"
)

// Clock is the terminal's idea of the county's time. The terminal's own clock
// may stand in 1970 or be years ahead; the county's answers set it right.
//
// It guarantees: once the county's time is known, Now never goes back, not by a
// wrong answer either (it then runs at half speed until the county has caught
// up); across restarts Now never falls under the latest county time that was
// kept, the floor. Before the first answer Now is the terminal's own time or
// the floor, whichever is later, and Known says that it is not sure. Somebody
// who sets the terminal's clock while the program runs changes nothing: elapsed
// time is counted by the monotonic clock.
//
// All methods are safe for concurrent use.
type Clock struct {
	mu     gosync.Mutex
	local  func() time.Time // the terminal's own clock
	steady func() time.Time // counts elapsed time only

	known  bool
	server time.Time // the county's time at mark
	mark   time.Time // steady time
	last   time.Time // latest result of Now since known, or the floor
	lastAt time.Time // steady time of that result
	saved  time.Time // floor on the disk
}

// floorEvery is how often the floor is written at most, so that the disk is not
// worn by it.
const floorEvery = 15 * time.Minute

// maxTrip is the longest round trip that still tells the time.
const maxTrip = 10 * time.Second

// NewClock makes a clock over the terminal's own time.
func NewClock(local func() time.Time) *Clock {
	s := steadyClock(local)
	return &Clock{local: local, steady: s, mark: s(), lastAt: s()}
}

// Now is the county's time as well as it is known.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nowLocked()
}

func (c *Clock) nowLocked() time.Time {
	n := c.steady()
	if !c.known {
		// When the own clock is behind the floor: count on from there.
		return later(c.local().Round(0), c.last.Add(n.Sub(c.mark)))
	}
	t := c.server.Add(n.Sub(c.mark))
	if t.Before(c.last) {
		t = c.last.Add(n.Sub(c.lastAt) / 2)
	}
	c.last, c.lastAt = t, n
	return t
}

// Known reports whether the county has told its time since the program started.
func (c *Clock) Known() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known
}

// Floor is a time that is certainly over: the latest county time ever seen.
// Zero when the county was never seen.
func (c *Clock) Floor() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// Offset is the county's time minus the terminal's own; 0 while not known.
func (c *Clock) Offset() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		return 0
	}
	return c.nowLocked().Sub(c.local().Round(0))
}

// observe takes the county's time from an answer to a question that was asked
// at sent (steady time). It was written somewhere on the way back: half the trip
// is the best guess.
func (c *Clock) observe(server, sent time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.steady()
	trip := n.Sub(sent)
	if server.IsZero() || c.known && trip > maxTrip {
		return
	}
	c.server, c.mark = server.Round(0).Add(trip/2), n
	if !c.known {
		c.known, c.lastAt = true, n
	}
	c.nowLocked()
}

// raise lifts the floor.
func (c *Clock) raise(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.last) {
		c.last, c.lastAt = t.Round(0), c.steady()
	}
}

// load reads the floor.
func (c *Clock) load(ctx context.Context, s Store) error {
	b, ok, err := s.Get(ctx, keyClock)
	if err != nil || !ok {
		return err
	}
	t, err := time.Parse(time.RFC3339, string(b))
	if err != nil {
		return fmt.Errorf("the clock's floor is unreadable: %w", err)
	}
	c.raise(t)
	c.mu.Lock()
	c.saved = t
	c.mu.Unlock()
	return nil
}

// save writes the floor when it has risen enough.
func (c *Clock) save(ctx context.Context, s Store) error {
	c.mu.Lock()
	t := c.last
	due := c.known && t.Sub(c.saved) >= floorEvery
	c.mu.Unlock()
	if !due {
		return nil
	}
	if err := s.Put(ctx, keyClock, floorText(t)); err != nil {
		return err
	}
	c.mu.Lock()
	c.saved = t
	c.mu.Unlock()
	return nil
}

func floorText(t time.Time) []byte { return []byte(t.UTC().Format(time.RFC3339)) }
