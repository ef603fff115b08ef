package vault

import (
	"fmt"
	gosync "sync"
	"time"
)

// What stands in the WAL has to be moved into the database some day. SQLite does
// so inside a commit, and somebody at the screen waits; the vault does so when
// nothing is asked of it.
const (
	// restBacklog is how full the WAL must be, bytes.
	restBacklog = 4 << 20
	// restLull is for how long nothing must have changed.
	restLull = 200 * time.Millisecond
	// walPagesMax is when SQLite does it inside a commit after all, so that the
	// WAL has an end however busy the terminal is: 16 MiB.
	walPagesMax = 4096
)

// resting is the goroutine that moves the WAL. Open begins it, Close ends it. There
// is none under Options.FS: a test that pulls plugs calls Vault.rest itself, at
// moments that it can repeat.
type resting struct {
	wake chan struct{} // something changed and the WAL is full enough
	quit chan struct{}
	done gosync.WaitGroup
	once gosync.Once
}

func (v *Vault) startResting() {
	if v.o.FS != nil {
		return
	}
	r := &v.resting
	r.wake, r.quit = make(chan struct{}, 1), make(chan struct{})
	r.done.Go(func() {
		for r.lull() {
			if err := v.rest(); err != nil { // the next commit tries again
				v.log.Warn("vault: the WAL stays as it is", "err", err)
			}
		}
	})
}

// lull waits for work and then until none came for restLull; false means the end.
func (r *resting) lull() bool {
	select {
	case <-r.wake:
	case <-r.quit:
		return false
	}
	t := time.NewTimer(restLull)
	defer t.Stop()
	for {
		select {
		case <-r.wake:
			t.Reset(restLull)
		case <-t.C:
			return true
		case <-r.quit:
			return false
		}
	}
}

// stop ends the goroutine and returns when it is gone; not to be called with
// Vault.mu held.
func (r *resting) stop() {
	if r.quit != nil {
		r.once.Do(func() { close(r.quit) })
		r.done.Wait()
	}
}

// changed tells after a commit that there may be something to move.
func (v *Vault) changed() {
	if v.resting.wake == nil || v.mount.Backlog() < restBacklog {
		return
	}
	select {
	case v.resting.wake <- struct{}{}:
	default:
	}
}

// rest moves what is in the WAL into the database if that is worth it; the next
// commit then writes over the WAL from its beginning. What is in the way of a
// change meanwhile is a few milliseconds.
func (v *Vault) rest() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed || v.mount.Backlog() < restBacklog {
		return nil
	}
	var busy, frames, moved int
	if err := v.db.QueryRow("PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &frames, &moved); err != nil {
		return v.fail("move the WAL", err)
	}
	if moved < frames {
		return fmt.Errorf("vault: move the WAL: %d of %d pages, %w", moved, frames, errBusy)
	}
	return nil
}
