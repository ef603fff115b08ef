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

	mu    sync.Mutex
	queue []oplog.Entry
	wake  chan struct{}
	done  chan struct{}
}

func newEntries(write func(context.Context, oplog.Entry) (int64, error), log *slog.Logger) *entries {
	return &entries{write: write, log: log, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

func (e *entries) put(x oplog.Entry) {
	e.mu.Lock()
	e.queue = append(e.queue, x)
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// run writes until ctx ends, then what is left, and closes done.
func (e *entries) run(ctx context.Context) {
	defer close(e.done)
	for {
		e.flush()
		select {
		case <-ctx.Done():
			e.flush()
			return
		case <-e.wake:
		}
	}
}

func (e *entries) flush() {
	for {
		e.mu.Lock()
		if len(e.queue) == 0 {
			e.mu.Unlock()
			return
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
