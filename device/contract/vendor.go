package contract

import (
	"context"
	"errors"
	"testing"
	"time"

	"cunban/device"
)

// TestLights checks indicator lights. maker returns a device that does not run
// yet.
func TestLights(t *testing.T, maker func(t *testing.T) device.Lights) {
	t.Run("absent before Run and after it", func(t *testing.T) {
		d := maker(t)
		if err := d.SetLights(t.Context(), nil); !errors.Is(err, device.ErrAbsent) {
			t.Errorf("before Run: %v", err)
		}
		w := Watch(t, d)
		stop := Start(t, d)
		untilUsable(t, w, d)
		stop()
		if err := d.SetLights(t.Context(), nil); !errors.Is(err, device.ErrAbsent) {
			t.Errorf("after Run: %v", err)
		}
	})
	t.Run("every lamp, all, none", func(t *testing.T) {
		d := maker(t)
		w := Watch(t, d)
		Start(t, d)
		untilUsable(t, w, d)
		wishes := [][]device.Lamp{nil, device.Lamps}
		for _, l := range device.Lamps {
			wishes = append(wishes, []device.Lamp{l})
		}
		for _, on := range wishes {
			if err := d.SetLights(t.Context(), on); err != nil {
				t.Errorf("%v: %v", on, err)
			}
		}
		if h := d.SelfTest(t.Context()); !h.State.Usable() {
			t.Errorf("self-test: %+v", h)
		}
	})
	t.Run("gives up with its context", func(t *testing.T) {
		d := maker(t)
		w := Watch(t, d)
		Start(t, d)
		untilUsable(t, w, d)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := d.SetLights(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("a dead context: %v", err)
		}
		if err := d.SetLights(t.Context(), nil); err != nil {
			t.Errorf("after it: %v", err)
		}
	})
}

// PIN pads of TestPINPad: how the person at them behaves.
const (
	PadOK       = "ok"        // changes it
	PadWrong    = "wrong_pin" // types a wrong old one
	PadLocked   = "locked"    // has a locked card
	PadMismatch = "mismatch"  // types two new ones
	PadIdle     = "idle"      // types nothing
)

// TestPINPad checks PIN pads. maker returns a device that does not run yet, with
// a person of that kind at it.
func TestPINPad(t *testing.T, maker func(t *testing.T, person string) device.PINPad) {
	for person, want := range map[string]error{PadOK: nil, PadWrong: device.ErrWrongPIN, PadLocked: device.ErrPINLocked,
		PadMismatch: device.ErrPINMismatch} {
		t.Run(person, func(t *testing.T) {
			d := maker(t, person)
			w := Watch(t, d)
			Start(t, d)
			untilUsable(t, w, d)
			seen := map[device.PINStep]int{}
			err := d.ChangePIN(t.Context(), func(s device.PINStep, typed int) { seen[s] = max(seen[s], typed) })
			if !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("ended with %v, want %v", err, want)
			}
			if seen[device.PINOld] == 0 {
				t.Errorf("told nothing of the typing: %v", seen)
			}
			if h := d.SelfTest(t.Context()); !h.State.Usable() {
				t.Errorf("a person's mistake made the pad %+v", h)
			}
		})
	}
	t.Run("gives up with its context and works again", func(t *testing.T) {
		d := maker(t, PadIdle)
		w := Watch(t, d)
		Start(t, d)
		untilUsable(t, w, d)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		err := d.ChangePIN(ctx, func(device.PINStep, int) { cancel() })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		ctx, stop := context.WithTimeout(t.Context(), endLimit)
		defer stop()
		if h := d.SelfTest(ctx); !h.State.Usable() || ctx.Err() != nil {
			t.Errorf("after it: %+v %v", h, ctx.Err())
		}
	})
	t.Run("one person at a time", func(t *testing.T) {
		d := maker(t, PadIdle)
		w := Watch(t, d)
		Start(t, d)
		untilUsable(t, w, d)
		first, cancel := context.WithCancel(t.Context())
		begun, ended := begin(first, d)
		<-begun
		second, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer stop()
		if err := d.ChangePIN(second, nil); !errors.Is(err, device.ErrBusy) {
			t.Errorf("a second person: %v", err)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the first person: %v", err)
		}
	})
}

// begin lets somebody stand at a pad: begun when the pad waits for a key.
func begin(ctx context.Context, d device.PINPad) (begun chan struct{}, ended chan error) {
	begun, ended = make(chan struct{}, 1), make(chan error, 1)
	go func() {
		ended <- d.ChangePIN(ctx, func(device.PINStep, int) {
			select {
			case begun <- struct{}{}:
			default:
			}
		})
	}()
	return begun, ended
}

func untilUsable(t *testing.T, w *Watcher, d device.Device) {
	t.Helper()
	w.Until(t, "a device that works", func() bool { return d.Health().State.Usable() })
}
