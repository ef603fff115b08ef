package app

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"
)

// What a visit held is zeroed where the program owns the bytes, when the visit
// ends. Texts are not owned: Go's strings, and what the drawing of pages keeps
// of them. They are let go, and whoever can read the memory of a terminal with
// nobody at it (root, a cold boot) finds them until their memory is used again.
// So the terminal collects at once when a visit ends, again when the caches of
// drawing have let go too, and gives the pages back; that what is freed is also
// overwritten is keys.WipeFreed's doing.
const (
	forgetSoon = 700 * time.Millisecond // the home page is drawn by then
	forgetLate = 100 * time.Second      // Fyne keeps texts that it drew for a minute, and looks every half
)

// leave tells the forgetter that a visit has ended; it does not block.
func (a *App) leave() {
	select {
	case a.left <- struct{}{}:
	default: // it knows
	}
}

// forgets forgets after each visit, until ctx ends.
func forgets(ctx context.Context, left <-chan struct{}, forget func()) {
	late := time.NewTimer(forgetLate)
	late.Stop()
	for {
		select {
		case <-left:
			if !waits(ctx, forgetSoon) {
				return
			}
			forget()
			late.Reset(forgetLate)
		case <-late.C:
			forget()
		case <-ctx.Done():
			return
		}
	}
}

// waits waits; false when ctx ended first.
func waits(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// forget has everything collected that nobody holds. Twice: what a finalizer or
// a weak pointer held (unique strings) is free only after the second time.
func (a *App) forget() {
	a.renderer.Forget()
	runtime.GC()
	debug.FreeOSMemory()
}
