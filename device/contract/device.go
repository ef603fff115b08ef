package contract

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cunban/device"
)

// TestDevice checks what every port has in common. make returns a device that
// does not run yet; pkg is the import path of its driver, whose goroutines must
// end with Run.
func TestDevice(t *testing.T, pkg string, make func(t *testing.T) device.Device) {
	t.Run("before Run", func(t *testing.T) {
		d := make(t)
		checkHealth(t, d.Health())
		if d.Health().State.Usable() {
			t.Errorf("says %s before it looked", d.Health().State)
		}
		if d.Kind() == "" || d.Health().Kind != d.Kind() {
			t.Errorf("kind %q, health says %q", d.Kind(), d.Health().Kind)
		}
	})
	t.Run("subscribe and cancel", func(t *testing.T) {
		d := make(t)
		w := Watch(t, d)
		stop := Start(t, d)
		w.Until(t, "any health", func() bool { return d.Health().State != device.StateUnknown })
		checkHealth(t, d.Health())
		w.Until(t, "the health as an event", func() bool {
			for _, ev := range w.Events() {
				if ev.Health != nil && ev.Health.State == d.Health().State {
					return true
				}
			}
			return false
		})
		late := Watch(t, d)
		late.Until(t, "the present for a late subscriber", func() bool { return len(late.Events()) > 0 })
		late.cancel()
		n := len(late.Events())
		stop()
		if w.clashed() {
			t.Error("two events at once")
		}
		if len(late.Events()) != n {
			t.Error("events after cancel")
		}
	})
	t.Run("ends, runs again, leaves nothing", func(t *testing.T) {
		d := make(t)
		w := Watch(t, d)
		for range 2 {
			stop := Start(t, d)
			w.Until(t, "any health", func() bool { return d.Health().State != device.StateUnknown })
			stop()
		}
		w.cancel()
		if left := Leaked(pkg, "cunban/device/internal/hub"); left != "" {
			t.Errorf("goroutines left after Run:\n%s", left)
		}
	})
	t.Run("idle costs nothing", func(t *testing.T) {
		d := make(t)
		w := Watch(t, d)
		Start(t, d)
		w.Until(t, "any health", func() bool { return d.Health().State != device.StateUnknown })
		before := cpu(t)
		<-time.After(idleSpan)
		if used := cpu(t) - before; used > idleCPU {
			t.Errorf("used %v of processor in %v of doing nothing", used, idleSpan)
		}
	})
}

// cpu is what this process used of the processor so far.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
