package uitest

import (
	"sync"
	"time"
)

// Loop is a UI goroutine for tests: it runs what is posted one after another,
// as Fyne's driver does, and lets a test wait for a condition without a clock.
type Loop struct {
	mu      sync.Mutex
	wake    *sync.Cond
	queue   []func()
	waiters []waiter
	closed  bool
	ended   chan struct{}
}

type waiter struct {
	cond func() bool
	done chan struct{}
}

// NewLoop starts a loop; Close ends it.
func NewLoop() *Loop {
	l := &Loop{ended: make(chan struct{})}
	l.wake = sync.NewCond(&l.mu)
	go l.run()
	return l
}

func (l *Loop) run() {
	defer close(l.ended)
	for {
		l.mu.Lock()
		for len(l.queue) == 0 && !l.closed {
			l.wake.Wait()
		}
		if l.closed {
			l.mu.Unlock()
			return
		}
		f := l.queue[0]
		l.queue = l.queue[1:]
		l.mu.Unlock()
		f()
		l.mu.Lock()
		waiting := l.waiters
		l.waiters = nil
		l.mu.Unlock()
		var left []waiter
		for _, w := range waiting {
			if w.cond() {
				close(w.done)
			} else {
				left = append(left, w)
			}
		}
		l.mu.Lock()
		l.waiters = append(l.waiters, left...)
		l.mu.Unlock()
	}
}

// Post runs f on the loop soon; nothing after Close.
func (l *Loop) Post(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, f)
	l.wake.Signal()
}

// Do runs f on the loop and waits for it. Never call it on the loop.
func (l *Loop) Do(f func()) {
	done := make(chan struct{})
	l.Post(func() { defer close(done); f() })
	select {
	case <-done:
	case <-l.ended:
	}
}

// Until waits until cond, which is asked on the loop after each thing that
// happens there, is true; false after limit.
func (l *Loop) Until(limit time.Duration, cond func() bool) bool {
	w := waiter{cond, make(chan struct{})}
	l.mu.Lock()
	l.waiters = append(l.waiters, w)
	l.mu.Unlock()
	l.Post(func() {})
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-w.done:
		return true
	case <-t.C:
		return false
	}
}

// Close ends the loop after what is running.
func (l *Loop) Close() {
	l.mu.Lock()
	l.closed = true
	l.wake.Signal()
	l.mu.Unlock()
	<-l.ended
}
