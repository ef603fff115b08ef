package upstream

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// BackOffice is where accepted cases go to be decided: the county's business
// system, or the people at the county's page.
type BackOffice interface {
	// Hand is told of each accepted revision, at least once and in order of
	// acceptance. An error is tried again later.
	Hand(ctx context.Context, d Dossier) error
	// Step is called every officeEvery, for offices that move cases by
	// themselves.
	Step(ctx context.Context) error
}

// officeEvery is how often accepted cases are handed on.
const (
	officeEvery = 500 * time.Millisecond
	officeBatch = 100
)

// People is the built-in back office: cases wait until somebody at the
// county's page decides.
type People struct{}

// Hand does nothing: the case is on the page already.
func (People) Hand(context.Context, Dossier) error { return nil }

// Step does nothing.
func (People) Step(context.Context) error { return nil }

// DemoOffice moves demo cases on by itself, so that a demonstration shows the
// whole way: processing after Process, finished after Finish. Cases that are
// not marked as demo wait for people.
type DemoOffice struct {
	County  *County
	Process time.Duration // after acceptance
	Finish  time.Duration // after acceptance
}

// Hand does nothing: Step looks at the store, and so survives a restart.
func (DemoOffice) Hand(context.Context, Dossier) error { return nil }

// Step moves what is due.
func (o DemoOffice) Step(ctx context.Context) error {
	now := o.County.now()
	for _, m := range []struct {
		from, to CaseState
		after    time.Duration
		note     string
	}{
		{StateProcessing, StateFinished, o.Finish, "演示：已办结"},
		{StateAccepted, StateProcessing, o.Process, "演示：县里正在办理"},
	} {
		list, err := o.County.Cases(ctx, CaseQuery{State: m.from, Demo: true, Limit: officeBatch})
		if err != nil {
			return err
		}
		for _, row := range list {
			if now.Sub(row.AcceptedAt) < m.after {
				continue
			}
			if _, err := o.County.Decide(ctx, row.ID, Decision{State: m.to, Note: m.note}); err != nil {
				return fmt.Errorf("move demo case %s: %w", row.ID, err)
			}
		}
	}
	return nil
}

// RunOffice hands accepted cases to the back office until ctx ends.
func (c *County) RunOffice(ctx context.Context, office BackOffice) {
	t := time.NewTicker(officeEvery)
	defer t.Stop()
	for {
		if err := c.handOn(ctx, office); err != nil && ctx.Err() == nil {
			c.log.Warn("back office", "err", err)
		}
		if err := office.Step(ctx); err != nil && ctx.Err() == nil {
			c.log.Warn("back office", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (c *County) handOn(ctx context.Context, office BackOffice) error {
	var list []Revision
	if err := c.o.Store.View(ctx, func(tx Tx) (err error) { list, err = tx.Unhanded(officeBatch); return err }); err != nil {
		return err
	}
	var done []Revision
	var failed error
	for _, r := range list {
		d, err := c.OpenDossier(ctx, r.CaseID, "")
		if err == nil && d.Revision.Revision == r.Revision {
			err = office.Hand(ctx, d)
		}
		if err != nil {
			failed = fmt.Errorf("hand on case %s: %w", r.CaseID, err)
			break
		}
		done = append(done, r)
	}
	if len(done) == 0 {
		return failed
	}
	err := c.o.Store.Update(ctx, func(tx Tx) error {
		for _, r := range done {
			if err := tx.MarkHanded(r.CaseID, r.Revision); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(failed, err)
}
