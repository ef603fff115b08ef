package sync

import (
	"context"
	gosync "sync"
	"sync/atomic"
	"time"
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

func (c *counter) add()       { c.n.Add(1) }
func (c *counter) get() int64 { return c.n.Load() }

type flag struct{ v atomic.Bool }

func (f *flag) set(b bool) { f.v.Store(b) }
func (f *flag) get() bool  { return f.v.Load() }

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

func (a *adaptive) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cur = a.min
}
