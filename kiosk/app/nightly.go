package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"cunban/kiosk/session"
	"cunban/kiosk/ui"
)

// Waits of the night's work.
const (
	nightLook  = time.Minute      // how often it is asked whether it is time
	nightQuiet = 10 * time.Minute // nobody was at the screen for so long
	nightSpan  = 4 * time.Hour    // how long the night lasts from its hour on
	// nightLate is after how long without a night it is done by day: many
	// terminals are switched off with the lights.
	nightLate = 48 * time.Hour
)

// keyNight keeps when the night's work was done last, RFC 3339.
const keyNight = "nightly/last"

// nightly does once a day what keeps the disk busy: what was in old cases is
// destroyed, old log records are pruned, everything is checked. It begins only
// while nobody is at the screen, and lets go at once when somebody comes; then
// it begins anew another time.
type nightly struct {
	now  func() time.Time // Beijing counts
	hour int
	free func() bool // nobody is at the screen
	work func(context.Context) error

	mu     sync.Mutex
	last   time.Time // done, zero = never
	busy   time.Time // somebody was at the screen, or the program started
	cancel context.CancelFunc
}

// disturb stops the work that is under way: somebody came.
func (n *nightly) disturb() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.busy = n.now()
	if n.cancel != nil {
		n.cancel()
	}
}

// due reports whether it is time to begin.
func (n *nightly) due() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now().In(ui.Beijing)
	if !n.free() {
		n.busy = now
		return false
	}
	if now.Sub(n.busy) < nightQuiet && !n.busy.After(now) {
		return false
	}
	begin := time.Date(now.Year(), now.Month(), now.Day(), n.hour, 0, 0, 0, ui.Beijing)
	if now.Before(begin) {
		begin = begin.AddDate(0, 0, -1)
	}
	if now.Sub(begin) < nightSpan {
		return n.last.Before(begin) || n.last.After(now) // a clock that went back
	}
	return now.Sub(n.last) > nightLate || n.last.After(now)
}

// look does the work if it is time, and tells whether it was done to its end.
func (n *nightly) look(ctx context.Context) (done bool, err error) {
	if !n.due() {
		return false, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.mu.Lock()
	n.cancel = cancel
	n.mu.Unlock()
	// Whoever came between the question and the cancel is seen here.
	if !n.free() {
		cancel()
	}
	err = n.work(ctx)
	interrupted := ctx.Err() != nil
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cancel = nil
	if interrupted {
		return false, nil
	}
	n.last = n.now() // with an error too: it would come again every minute
	return true, err
}

// nights looks after the disk while the terminal runs.
func (a *App) nights() {
	t := time.NewTicker(nightLook)
	defer t.Stop()
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-t.C:
			a.night(a.ctx)
		}
	}
}

// night is one look.
func (a *App) night(ctx context.Context) {
	done, err := a.nightly.look(ctx)
	if err != nil {
		a.log.Error("the night's work", "err", err)
	}
	if !done {
		return
	}
	if err := a.vault.Put(ctx, keyNight, []byte(a.Now().UTC().Format(time.RFC3339))); err != nil {
		a.log.Warn("not kept when the night's work was done", "err", err)
	}
}

// makeNightly reads when the work was done last.
func (a *App) makeNightly(ctx context.Context) {
	n := &nightly{now: a.Now, hour: a.cfg.Keep.Hour, work: a.nightWork, busy: a.Now(),
		free: func() bool { return a.sess.Current().Phase == session.Nobody }}
	if b, ok, err := a.vault.Get(ctx, keyNight); err == nil && ok {
		if t, err := time.Parse(time.RFC3339, string(b)); err == nil {
			n.last = t
		}
	}
	a.nightly = n
}

// nightWork is what there is to do. Each part is tried though another failed.
func (a *App) nightWork(ctx context.Context) error {
	now := a.Now()
	shredded, err := a.vault.Retain(ctx, now.AddDate(0, 0, -a.cfg.Keep.CaseDays))
	if shredded > 0 {
		a.log.Info("content of old cases destroyed", "cases", shredded)
	}
	// A wrong clock must not shorten what the law demands: the county's counts.
	if e := a.engineNow(); a.cfg.Keep.LogDays > 0 && e != nil && e.Clock().Known() {
		pruned, e := a.vault.Prune(ctx, now.AddDate(0, 0, -a.cfg.Keep.LogDays))
		err = errors.Join(err, e)
		if pruned > 0 {
			a.log.Info("log pruned", "records", pruned)
		}
	}
	rep, e := a.vault.Check(ctx)
	err = errors.Join(err, e)
	if e == nil && !rep.Whole() {
		a.log.Error("the vault is damaged", "structure", rep.Structure, "bodies", rep.Bodies, "scans", rep.Scans)
		a.reportDamage()
	}
	if ctx.Err() != nil {
		return err
	}
	check, e := a.VerifyLog(ctx, nil)
	if e == nil && !check.OK {
		a.log.Error("the operation log is not whole, or cases are not what it says", "words", check.Words, "detail", check.Detail)
		a.reportDamage()
	}
	return errors.Join(err, e)
}

// reportDamage shows what the vault holds as an incident to staff and county.
func (a *App) reportDamage() {
	a.factsChanged()
	if g := a.engineNow(); g != nil {
		g.ReportHealth()
	}
}
