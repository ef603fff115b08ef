package app

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"
)

// What a visit held is zeroed where the program owns the bytes, when the visit
// ends. Texts are not owned: Go's strings, and what the drawing of pages keeps
// of them. They are let go (package lapse has the drawing do so), and whoever
// can read the memory of a terminal with nobody at it (root, a cold boot) finds
// them until their memory is used again. So the terminal collects when the home
// page is drawn, again for what was still under way then, and once more when the
// upload of the visit's case is over too, and gives the pages back; that what is
// freed is also overwritten is keys.WipeFreed's doing, and scrub.go's where that
// does not reach.
const (
	forgetSoon  = 700 * time.Millisecond // the home page is drawn by then
	forgetAgain = 2 * time.Second        // also on a slow machine; late results have come and were dropped
	forgetLate  = 100 * time.Second      // what was sent and spooled is let go by then
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
	var pending []time.Duration // how long until each next time, from the one before it
	next := time.NewTimer(0)
	next.Stop()
	for {
		select {
		case <-left:
			pending = []time.Duration{forgetAgain - forgetSoon, forgetLate - forgetAgain}
			next.Reset(forgetSoon)
		case <-next.C:
			forget()
			if len(pending) > 0 {
				next.Reset(pending[0])
				pending = pending[1:]
			}
		case <-ctx.Done():
			next.Stop()
			return
		}
	}
}

// forget has everything collected that nobody holds. Twice: what a finalizer or
// a weak pointer held (unique strings) is free only after the second time.
func (a *App) forget() {
	a.renderer.Forget()
	runtime.GC()
	wipeStacks()
	debug.FreeOSMemory()
}
