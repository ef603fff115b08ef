package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
)

// check looks whether everything holds that was told, and whether everything
// that is there is whole. What it finds it tells: it must stay.
func (g *guest) check(ctx context.Context) {
	lost := func(format string, a ...any) { g.say(guestLost, fmt.Sprintf(format, a...)) }
	for _, i := range g.v.Incidents() {
		lost("incident %s: %s", i.Kind, i.Detail)
	}
	for k, val := range g.told {
		var err error
		switch k[0] {
		case toldCase:
			err = g.checkCase(ctx, k[1], cases.State(val))
		case toldLog:
			err = g.checkRoot(k[1], val)
		case toldSetting:
			err = g.checkSetting(ctx, k[1], val)
		case toldPrune:
			err = g.checkStart(val)
		}
		if err != nil {
			lost("%s %s %s: %v", k[0], k[1], val, err)
		}
	}
	if err := g.checkAll(ctx); err != nil {
		lost("%v", err)
	}
	if _, err := g.v.LogVerify(ctx, nil); err != nil {
		lost("log: %v", err)
	}
}

func (g *guest) checkCase(ctx context.Context, id string, was cases.State) error {
	c, err := g.v.Case(ctx, id)
	if err != nil {
		return err
	}
	// A change under way when the power went may have been made.
	if c.State != was && !was.Can(c.State) {
		return fmt.Errorf("it is %s", c.State)
	}
	return nil
}

// checkRoot looks whether the log still goes through a checkpoint; LogVerify
// looks whether the checkpoint is true.
func (g *guest) checkRoot(size, root string) error {
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return err
	}
	var have []byte
	if n < g.v.start.Size() {
		return nil // pruned
	}
	if err := g.v.db.QueryRow("SELECT root FROM checkpoints WHERE size=?", n).Scan(&have); err != nil {
		return err
	}
	if hex.EncodeToString(have) != root {
		return fmt.Errorf("the root is %x", have)
	}
	return nil
}

func (g *guest) checkStart(was string) error {
	n, err := strconv.ParseInt(was, 10, 64)
	if err == nil && g.v.start.Size() < n {
		err = fmt.Errorf("the log begins at %d", g.v.start.Size())
	}
	return err
}

func (g *guest) checkSetting(ctx context.Context, key, was string) error {
	have, _, err := g.v.Get(ctx, key)
	if err != nil {
		return err
	}
	a, err1 := strconv.Atoi(was)
	b, err2 := strconv.Atoi(string(have))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if b < a {
		return fmt.Errorf("it is %d", b)
	}
	g.promise(toldSetting, key, string(have))
	return nil
}

// checkAll looks at every case: its submission is in the log once, it is in the
// outbox exactly while unsent, its scans are whole, and what was destroyed is
// gone.
func (g *guest) checkAll(ctx context.Context) error {
	all, err := g.v.List(ctx, cases.Query{})
	if err != nil {
		return err
	}
	items, err := g.v.Items(ctx)
	if err != nil {
		return err
	}
	records, err := g.v.LogQuery(ctx, LogFilter{Event: oplog.CaseSubmit})
	if err != nil {
		return err
	}
	logged, open := map[string][]int64{}, map[string]bool{}
	for _, r := range records {
		logged[r.CaseID] = append(logged[r.CaseID], r.Seq)
	}
	var bad []error
	for _, it := range items {
		open[it.CaseID] = true
		for _, f := range it.Files {
			if err := fileWhole(g.v, it.CaseID, f); err != nil {
				bad = append(bad, fmt.Errorf("case %s: %w", it.CaseID, err))
			}
		}
	}
	for _, c := range all {
		if l := logged[c.ID]; c.LogIndex >= g.v.start.Size() && (len(l) != 1 || l[0] != c.LogIndex) {
			bad = append(bad, fmt.Errorf("case %s: its submission is in the log at %v instead of %d", c.ID, l, c.LogIndex))
		}
		delete(logged, c.ID)
		if open[c.ID] != c.State.Unsent() {
			bad = append(bad, fmt.Errorf("case %s is %s, in the outbox: %t", c.ID, c.State, open[c.ID]))
		}
		if err := g.checkGone(c); err != nil {
			bad = append(bad, fmt.Errorf("case %s, %s: %w", c.ID, c.State, err))
		}
		if g.told[[2]string{toldCase, c.ID}] != string(c.State) {
			g.promise(toldCase, c.ID, string(c.State))
		}
	}
	if len(logged) > 0 {
		bad = append(bad, fmt.Errorf("the log tells of %d cases that are not there", len(logged)))
	}
	return errors.Join(bad...)
}

// checkGone looks whether what was in a case is destroyed where that was told.
func (g *guest) checkGone(c cases.Case) error {
	before, _ := strconv.ParseInt(g.told[[2]string{toldRetain, "before"}], 10, 64)
	if c.State != cases.Withdrawn && !due(c, time.Unix(0, before)) {
		return nil
	}
	var bodies int
	if err := g.v.db.QueryRow("SELECT count(*) FROM bodies b JOIN outbox o ON o.num=b.num WHERE o.case_id=?", c.ID).Scan(&bodies); err != nil {
		return err
	}
	scans, err := g.v.fs.List(g.v.scan(c.ID))
	if err == nil && (bodies > 0 || len(scans) > 0) {
		err = fmt.Errorf("%d bodies and %d scans that were destroyed are there", bodies, len(scans))
	}
	return err
}
