package sync

import (
	"context"
	gosync "sync"
	"sync/atomic"
	"time"

	"cunban/kiosk/cases"
)

// backoff is the n-th wait (n from 0) with full jitter: uniform in
// (0, min(cap, base·2ⁿ)], never under a tenth of base.
func backoff(jitter func() float64, base, limit time.Duration, n int) time.Duration {
	top := base
	for range n {
		if top >= limit {
			break
		}
		top *= 2
	}
	top = min(top, limit)
	return max(time.Duration(jitter()*float64(top)), base/10)
}

// sleep waits for d, for wake or for ctx; false means ctx ended.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
	case <-wake:
	}
	return ctx.Err() == nil
}

type counter struct{ n atomic.Int64 }

func (c *counter) add()        { c.n.Add(1) }
func (c *counter) next() int64 { return c.n.Add(1) }
func (c *counter) reset()      { c.n.Store(0) }
func (c *counter) get() int64  { return c.n.Load() }

type flag struct{ v atomic.Bool }

func (f *flag) set(b bool) { f.v.Store(b) }

// swap sets the flag and returns what it was.
func (f *flag) swap(b bool) bool { return f.v.Swap(b) }

// gate lets the upload lane step back while small messages are under way.
type gate struct {
	mu   gosync.Mutex
	busy int
	free chan struct{}
}

func (g *gate) enter() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.busy == 0 {
		g.free = make(chan struct{})
	}
	g.busy++
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy--
	if g.busy == 0 {
		close(g.free)
	}
}

// wait returns when no small message is under way, or after patience: a lane
// that hangs must not starve the other.
func (g *gate) wait(ctx context.Context, patience time.Duration) {
	g.mu.Lock()
	free, busy := g.free, g.busy > 0
	g.mu.Unlock()
	if busy {
		sleep(ctx, patience, free)
	}
}

// adaptive is a size that grows while the line is quick and shrinks when it is
// slow or breaks, so that one request never keeps a thin line for long.
type adaptive struct {
	mu            gosync.Mutex
	min, max, cur int
}

const (
	quick = 2 * time.Second
	slow  = 6 * time.Second
)

func (a *adaptive) get() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cur
}

// took reports how long a full-size request needed.
func (a *adaptive) took(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case d < quick:
		a.cur = min(a.cur*2, a.max)
	case d > slow:
		a.cur = max(a.cur/2, a.min)
	}
}

func (a *adaptive) broke() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cur = max(a.cur/2, a.min)
}

// dueTimes remembers when items that were given back are due again, so that the
// queue is looked at then and not at the next tick. Steady time.
type dueTimes struct {
	mu    gosync.Mutex
	times []time.Time
}

func (d *dueTimes) add(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	const most = 256 // beyond that the tick does
	if len(d.times) < most {
		d.times = append(d.times, t)
	}
}

// next is how long it is to the next time, and forgets those that are over. A
// time that is just over gives 0 once.
func (d *dueTimes) next(now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	wait := time.Duration(1<<63 - 1)
	keep := d.times[:0]
	for _, t := range d.times {
		wait = min(wait, max(t.Sub(now), 0))
		if t.After(now) {
			keep = append(keep, t)
		}
	}
	d.times = keep
	return wait
}

// blame tells failures of the line from failures of one item: when other items
// went through since an item failed, and it fails again, it is the item.
type blame struct {
	mu        gosync.Mutex
	successes uint64
	items     map[string]*record
}

type record struct {
	fails, own, again int
	seen              uint64 // successes when it failed last
}

func (b *blame) get(it cases.Item) *record {
	if b.items == nil {
		b.items = map[string]*record{}
	}
	k := itemKey(it)
	r := b.items[k]
	if r == nil {
		r = &record{}
		b.items[k] = r
	}
	return r
}

// failure counts one; n is how many there were, own how many are the item's.
func (b *blame) failure(it cases.Item) (n, own int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.get(it)
	if r.own > 0 || r.fails > 0 && b.successes > r.seen {
		r.own++
	}
	r.fails++
	r.seen = b.successes
	return r.fails, r.own
}

func (b *blame) again(it cases.Item) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.get(it)
	r.again++
	return r.again
}

func (b *blame) agains(it cases.Item) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.get(it).again
}

func (b *blame) success(it cases.Item) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.successes++
	delete(b.items, itemKey(it))
}

func (b *blame) forget(it cases.Item) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.items, itemKey(it))
}
