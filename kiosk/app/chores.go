package app

import (
	"context"
	"sync"
)

// chores are small jobs that touch the disk and are asked for by those who must
// not wait for it: drivers, lanes of the engine, the UI goroutine. One goroutine
// does them in order, so that two of a kind never overtake each other.
type chores struct {
	mu    sync.Mutex
	queue []chore
	wake  chan struct{}
}

// chore is one job. Of several with the same name that wait only one is done:
// each does the whole work with what is known when it begins. "" has no name.
type chore struct {
	name string
	do   func(context.Context)
}

func newChores() *chores { return &chores{wake: make(chan struct{}, 1)} }

// put asks for a job and returns at once.
func (c *chores) put(name string, do func(context.Context)) {
	c.mu.Lock()
	waits := false
	for _, q := range c.queue {
		waits = waits || name != "" && q.name == name
	}
	if !waits {
		c.queue = append(c.queue, chore{name, do})
	}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run does the jobs until ctx ends. Those that still wait are dropped then:
// nothing that must be kept comes this way (see entries).
func (c *chores) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
		for ctx.Err() == nil {
			c.mu.Lock()
			if len(c.queue) == 0 {
				c.mu.Unlock()
				break
			}
			x := c.queue[0]
			c.queue = c.queue[1:]
			c.mu.Unlock()
			x.do(ctx)
		}
	}
}
