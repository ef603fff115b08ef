package app

import (
	"context"
	"log/slog"
	"sync"

	"cunban/kiosk/oplog"
)

// entries writes log records in order without making their callers wait for
// the disk. What goes with a change of a case never comes this way: the vault
// writes that in the same transaction.
type entries struct {
	write func(context.Context, oplog.Entry) (int64, error)
	log   *slog.Logger

	mu     sync.Mutex
	queue  []oplog.Entry
	closed bool
	wake   chan struct{}
	done   chan struct{} // closed when everything is written
}

// newEntries makes a writer and starts its goroutine, which close ends.
func newEntries(write func(context.Context, oplog.Entry) (int64, error), log *slog.Logger) *entries {
	e := &entries{write: write, log: log, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go e.run()
	return e
}

// put hands an entry over and returns at once.
func (e *entries) put(x oplog.Entry) {
	e.mu.Lock()
	closed := e.closed
	if !closed {
		e.queue = append(e.queue, x)
	}
	e.mu.Unlock()
	if closed {
		// Only a part that did not stop in time comes here.
		e.log.Error("operation log: record after the end", "event", string(x.Event))
		return
	}
	e.poke()
}

func (e *entries) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// close writes what is left and waits for it, until ctx ends at the latest.
func (e *entries) close(ctx context.Context) error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.poke()
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *entries) run() {
	defer close(e.done)
	for range e.wake {
		if e.flush() {
			return
		}
	}
}

// flush writes what there is; ended when nothing can come any more.
func (e *entries) flush() (ended bool) {
	for {
		e.mu.Lock()
		if len(e.queue) == 0 {
			ended = e.closed
			e.mu.Unlock()
			return ended
		}
		x := e.queue[0]
		e.queue = e.queue[1:]
		e.mu.Unlock()
		if _, err := e.write(context.Background(), x); err != nil {
			// The log is in the vault; without it the program's own log must do.
			e.log.Error("operation log: record not written", "event", string(x.Event), "err", err)
		}
	}
}
