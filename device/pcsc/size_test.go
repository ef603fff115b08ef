package pcsc

import (
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// control names the one fault that a promise's control plants; see cmd/dev.
func control(name string) bool { return os.Getenv("CUNBAN_CONTROL") == name }

// size is how often a test does its thing, few by default.
func size(t testing.TB, env string, few int) int {
	t.Helper()
	s := os.Getenv(env)
	if s == "" {
		return few
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: a number is wanted", env, s)
	}
	return n
}

// look is how often what tells no event is looked at.
const look = 5 * time.Millisecond

// resources are what a program must not gather.
type resources struct {
	goroutines, files int
	heap              uint64 // bytes in use
}

func holdings() resources {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fds, _ := os.ReadDir("/proc/self/fd") // none where there is no /proc: flat too
	return resources{runtime.NumGoroutine(), len(fds), m.HeapAlloc}
}

// heapSlack is what the heap may differ by, bytes: event queues, pools, the
// test's own list of events.
const heapSlack = 2 << 20

// settle waits until no more is held than before, and fails the test when it
// does not come to that.
func (r resources) settle(t *testing.T) resources {
	t.Helper()
	deadline := time.Now().Add(stopGrace)
	for {
		now := holdings()
		if now.goroutines <= r.goroutines && now.files <= r.files && now.heap <= r.heap+heapSlack {
			return now
		}
		if time.Now().After(deadline) {
			t.Errorf("before %+v, after %+v", r, now)
			return now
		}
		<-time.After(look)
	}
}
