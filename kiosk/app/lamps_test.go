package app

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"cunban/device"
	"cunban/kiosk/session"
)

// board is a board of lights that keeps what it was told; slow makes each
// telling last.
type board struct {
	device.Lights
	slow time.Duration
	told [][]device.Lamp
}

func (b *board) SetLights(ctx context.Context, on []device.Lamp) error {
	select {
	case <-time.After(b.slow):
	case <-ctx.Done():
		return ctx.Err()
	}
	b.told = append(b.told, slices.Clone(on))
	return nil
}

func TestLampsFollowPageDeviceAndCard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &board{}
		d := newLampDesk(slog.New(slog.DiscardHandler))
		d.boards = []device.Lights{b}
		ctx, cancel := context.WithCancel(t.Context())
		go d.run(ctx)
		step := func(what string, do func(), want ...device.Lamp) {
			t.Helper()
			n := len(b.told)
			do()
			synctest.Wait()
			if len(b.told) != n+1 || !slices.Equal(b.told[n], want) {
				t.Errorf("%s: told %v, want %v once", what, b.told[n:], want)
			}
		}
		var dark func()
		step("page asks for a card", func() { d.ask([]device.Lamp{device.LampID, device.LampCard}) }, device.LampCard, device.LampID)
		step("page asks for a page", func() { d.ask([]device.Lamp{device.LampScanner}) }, device.LampScanner)
		step("printing", func() { dark = d.hold(device.LampPrinter) }, device.LampScanner, device.LampPrinter)
		step("page left", func() { d.ask(nil) }, device.LampPrinter)
		step("printed", func() { dark(); dark() })
		step("card left behind", func() { d.session(session.CardLeft) }, device.LampCard)
		step("taken", d.slotEmpty)
		step("card to be put back", func() { d.session(session.CoveredUp) }, device.LampCard)
		n := len(b.told)
		d.slotEmpty() // of course it is empty
		d.session(session.CoveredUp)
		synctest.Wait()
		if len(b.told) != n {
			t.Errorf("told again: %v", b.told[n:])
		}
		step("back", func() { d.session(session.Uncovered) })
		cancel()
		synctest.Wait()
	})
}

// TestSlowLampsDelayNobody: pages and the session never wait for a board, and it
// is told the last wish when it is free.
func TestSlowLampsDelayNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &board{slow: lampLimit / 2}
		d := newLampDesk(slog.New(slog.DiscardHandler))
		d.boards = []device.Lights{b}
		ctx, cancel := context.WithCancel(t.Context())
		go d.run(ctx)
		began := time.Now()
		for range 1000 {
			d.ask([]device.Lamp{device.LampCard})
			d.ask([]device.Lamp{device.LampScanner})
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("asking took %v", took)
		}
		<-time.After(2 * lampLimit)
		cancel()
		synctest.Wait()
		if n := len(b.told); n == 0 || n > 3 || !slices.Equal(b.told[n-1], []device.Lamp{device.LampScanner}) {
			t.Errorf("told %v", b.told)
		}
	})
}
