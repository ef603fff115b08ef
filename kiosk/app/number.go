package app

import (
	"context"
	"fmt"
	"strconv"
)

// keySession keeps a number that no session has passed, so that numbers never
// repeat across starts, whatever way the program ended.
const keySession = "terminal/session"

// sessionBlock is how many session numbers are put aside at a time: a session
// begins on the UI goroutine, which must not wait for the disk.
const sessionBlock = 1000

// reserveSessions puts a block of numbers aside and tells the last number that
// may have been used before.
func (a *App) reserveSessions(ctx context.Context) (first uint64, err error) {
	b, ok, err := a.vault.Get(ctx, keySession)
	if err != nil {
		return 0, err
	}
	if ok {
		if first, err = strconv.ParseUint(string(b), 10, 64); err != nil {
			return 0, fmt.Errorf("read the last session number: %w", err)
		}
	}
	a.reserved.Store(first + sessionBlock)
	return first, a.putSession(ctx, first+sessionBlock)
}

func (a *App) putSession(ctx context.Context, n uint64) error {
	return a.vault.Put(ctx, keySession, strconv.AppendUint(nil, n, 10))
}

// sessionBegan puts the next block aside in good time, while half of the
// present one is left.
func (a *App) sessionBegan(n uint64) {
	if n+sessionBlock/2 < a.reserved.Load() {
		return
	}
	top := a.reserved.Add(sessionBlock)
	a.chores.put("", func(ctx context.Context) {
		if err := a.putSession(ctx, top); err != nil {
			a.log.Error("session numbers not put aside", "err", err)
		}
	})
}

// keepSession gives back what was not used, at a clean end.
func (a *App) keepSession(ctx context.Context) error {
	return a.putSession(ctx, a.sess.Current().Number)
}
