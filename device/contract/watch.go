// Package contract holds what every driver of a port must do, as tests: run
// against the simulator and against every real driver, so that the rest of the
// program can rely on the port and on nothing else.
package contract

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"cunban/device"
)

// Limits of the tests.
const (
	// eventLimit is how long a real driver may take to notice anything,
	// restarts of services included.
	eventLimit = 15 * time.Second
	// endLimit is how long Run may take to end.
	endLimit = 4 * time.Second
	// idleSpan is how long idleness is watched.
	idleSpan = time.Second
	// idleCPU is what an idle driver may use of idleSpan.
	idleCPU = 150 * time.Millisecond
)

// Watcher records a device's events and waits for what is asked.
type Watcher struct {
	mu     sync.Mutex
	events []device.Event
	inside int // calls of the subscriber at this moment
	clash  bool
	signal chan struct{}
	cancel func()
}

// Watch subscribes to d until the test ends.
func Watch(t testing.TB, d device.Device) *Watcher {
	w := &Watcher{signal: make(chan struct{}, 1)}
	w.cancel = d.Subscribe(func(ev device.Event) {
		w.mu.Lock()
		w.inside++
		w.clash = w.clash || w.inside > 1
		w.events = append(w.events, ev)
		w.mu.Unlock()
		select {
		case w.signal <- struct{}{}:
		default:
		}
		w.mu.Lock()
		w.inside--
		w.mu.Unlock()
	})
	t.Cleanup(w.cancel)
	return w
}

// Events returns what came so far.
func (w *Watcher) Events() []device.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]device.Event(nil), w.events...)
}

// clashed reports whether two events were ever delivered at once.
func (w *Watcher) clashed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clash
}

// Until waits until the device is as wanted and fails the test when it is not
// in time. ok is asked after every event.
func (w *Watcher) Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	limit := time.NewTimer(eventLimit)
	defer limit.Stop()
	for !ok() {
		select {
		case <-w.signal:
		case <-limit.C:
			t.Fatalf("never came: %s; events: %s", what, w)
		}
	}
}

// UntilCard waits for a card state.
func (w *Watcher) UntilCard(t testing.TB, state func() device.CardEvent, want device.CardState) device.CardEvent {
	t.Helper()
	var got device.CardEvent
	w.Until(t, "card state "+string(want), func() bool {
		got = state()
		return got.State == want
	})
	return got
}

// String lists the events for a failed test.
func (w *Watcher) String() string {
	var b strings.Builder
	for _, ev := range w.Events() {
		switch {
		case ev.Health != nil:
			fmt.Fprintf(&b, "\n  health %s %s %s", ev.Health.State, ev.Health.Code, ev.Health.Detail)
		case ev.Card != nil:
			fmt.Fprintf(&b, "\n  card %s #%d %s", ev.Card.State, ev.Card.Seq, ev.Card.Reader)
		}
	}
	return b.String()
}

// Start runs a device until the test ends and returns how to end it earlier.
func Start(t testing.TB, d device.Device) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err == nil || ctx.Err() == nil {
					t.Errorf("Run returned %v before its context ended", err)
				}
			case <-time.After(endLimit):
				t.Errorf("Run did not end within %v", endLimit)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// Leaked waits until no goroutine runs code whose stack names one of the
// packages, and returns the stacks that stay.
func Leaked(packages ...string) string {
	deadline := time.Now().Add(endLimit)
	for {
		buf := make([]byte, 1<<20)
		buf = buf[:runtime.Stack(buf, true)]
		var left []string
		for _, g := range strings.Split(string(buf), "\n\n") {
			for _, p := range packages {
				if strings.Contains(g, p+".") && !strings.Contains(g, "testing.tRunner") {
					left = append(left, g)
					break
				}
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return strings.Join(left, "\n\n")
		}
		<-time.After(20 * time.Millisecond)
	}
}

// checkHealth holds a health to what people are promised.
func checkHealth(t testing.TB, h device.Health) {
	t.Helper()
	known := false
	for _, s := range device.States {
		known = known || s == h.State
	}
	switch {
	case !known:
		t.Errorf("state %q is not of the closed set", h.State)
	case h.State.Usable():
		if h.Cause != "" && h.State == device.StateReady {
			t.Errorf("ready, yet a cause: %+v", h)
		}
	case h.State != device.StateUnknown && (h.Code == "" || h.Cause == "" || h.Remedy == ""):
		t.Errorf("%s without code, cause or remedy: %+v", h.State, h)
	}
	if strings.IndexFunc(h.Cause+h.Remedy, func(r rune) bool { return r > 0x2E80 }) < 0 && h.Cause != "" {
		t.Errorf("cause and remedy are not in Chinese: %q %q", h.Cause, h.Remedy)
	}
	if h.Since.IsZero() {
		t.Errorf("no time since when: %+v", h)
	}
}
