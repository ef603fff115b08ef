package app

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/ui"
	"cunban/kiosk/vault"
)

// TestNightlyIsDue goes through days of a terminal.
func TestNightlyIsDue(t *testing.T) {
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 3, day, hour, minute, 0, 0, ui.Beijing) }
	for name, tc := range map[string]struct {
		now, last, busy time.Time
		taken           bool
		want            bool
	}{
		"in the night":                      {now: at(2, 3, 0), last: at(1, 2, 5), busy: at(1, 17, 0), want: true},
		"done tonight":                      {now: at(2, 3, 0), last: at(2, 2, 5), busy: at(1, 17, 0)},
		"by day":                            {now: at(2, 10, 0), last: at(1, 2, 5), busy: at(2, 9, 0)},
		"by day, first day":                 {now: at(2, 10, 0), busy: at(2, 9, 0), want: true},
		"two days without a night":          {now: at(4, 10, 0), last: at(2, 2, 5), busy: at(4, 9, 0), want: true},
		"somebody is there":                 {now: at(2, 3, 0), last: at(1, 2, 5), taken: true},
		"somebody was there just now":       {now: at(2, 3, 0), last: at(1, 2, 5), busy: at(2, 2, 55)},
		"just started":                      {now: at(4, 10, 0), last: at(1, 2, 5), busy: at(4, 9, 59)},
		"before the hour, the night before": {now: at(2, 1, 0), last: at(1, 2, 5), busy: at(1, 17, 0)},
		"the clock went back":               {now: at(2, 10, 0), last: at(9, 2, 5), busy: at(2, 9, 0), want: true},
		"the clock went back, so did busy":  {now: at(2, 3, 0), last: at(9, 2, 5), busy: at(9, 9, 0), want: true},
	} {
		t.Run(name, func(t *testing.T) {
			n := &nightly{now: func() time.Time { return tc.now }, hour: 2, free: func() bool { return !tc.taken }, last: tc.last, busy: tc.busy}
			if n.due() != tc.want {
				t.Errorf("due is %t", !tc.want)
			}
		})
	}
}

// TestNightlyLetsGo: whoever comes stops the work, which is then not done.
func TestNightlyLetsGo(t *testing.T) {
	now := time.Date(2026, 3, 2, 2, 30, 0, 0, ui.Beijing)
	runs := 0
	n := &nightly{now: func() time.Time { return now }, hour: 2, free: func() bool { return true }}
	n.work = func(ctx context.Context) error {
		runs++
		if runs == 1 {
			n.disturb()
			<-ctx.Done()
		}
		return ctx.Err()
	}
	if done, err := n.look(t.Context()); done || err != nil {
		t.Fatalf("done %t, %v", done, err)
	}
	if done, _ := n.look(t.Context()); done || runs != 1 {
		t.Fatalf("done %t, begun %d times right after somebody was there", done, runs)
	}
	now = now.Add(nightQuiet)
	if done, err := n.look(t.Context()); !done || err != nil || runs != 2 {
		t.Fatalf("done %t, %v, begun %d times", done, err, runs)
	}
	if done, _ := n.look(t.Context()); done || runs != 2 {
		t.Fatal("done twice in one night")
	}
	n.last, n.work = time.Time{}, func(context.Context) error { return errors.New("no") }
	if done, err := n.look(t.Context()); !done || err == nil {
		t.Fatalf("done %t, %v", done, err)
	}
}

// TestNight sends a case, lets the time go by, and finds its content destroyed,
// everything checked, and the log whole.
func TestNight(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Config.Keep.CaseDays = 0 })
	ctx := t.Context()
	c := h.submit(h.filled("S01", picture(t)))
	h.await("the county's number", func() bool { return h.state(c.ID) == cases.Accepted })
	h.await("the last acknowledgement", func() bool { _, n, err := h.Queue(ctx); return err == nil && n.Done == 1 })
	if n := scansIn(t, h.o.Config.Data); n == 0 {
		t.Fatal("no scans")
	}
	later := h.Now().Add(nightLate + time.Hour) // without a night in between
	h.nightly.mu.Lock()
	h.nightly.now = func() time.Time { return later }
	h.nightly.mu.Unlock()
	h.night(ctx)
	if n := scansIn(t, h.o.Config.Data); n != 0 {
		t.Errorf("%d scans left", n)
	}
	for _, e := range []oplog.Event{oplog.CaseShred, oplog.VaultCheck, oplog.LogVerify, oplog.CaseAudit} {
		rs, err := h.vault.LogQuery(ctx, vault.LogFilter{Event: e})
		if err != nil || len(rs) != 1 || rs[0].Outcome != oplog.OK {
			t.Errorf("%s: records %v, %v", e, rs, err)
		}
	}
	if b, ok, err := h.vault.Get(ctx, keyNight); err != nil || !ok || !bytes.HasPrefix(b, []byte("20")) {
		t.Errorf("last night %q, %v", b, err)
	}
	if got, err := h.Timeline(ctx, c.ID); err != nil || len(got) == 0 {
		t.Errorf("timeline %v, %v", got, err)
	}
}

// TestCompared: a case that is not what the log says of it is not OK, and named.
func TestCompared(t *testing.T) {
	whole := ui.LogCheck{Records: 9}
	if c := compared(whole, vault.AuditReport{Cases: 3}); !c.OK || !strings.Contains(c.Words, "9 条") || !strings.Contains(c.Words, "3 件") {
		t.Errorf("%+v", c)
	}
	c := compared(whole, vault.AuditReport{Cases: 3, Bad: 1, Found: []vault.Disagreement{{CaseID: "case-7"}}})
	if c.OK || !strings.Contains(c.Words, "办件 case-7 和操作日志对不上") || !strings.Contains(c.Words, "报告县里") || !strings.Contains(c.Detail, "case-7") {
		t.Errorf("%+v", c)
	}
}

// scansIn counts the sealed files of a data folder.
func scansIn(t *testing.T, data string) (n int) {
	t.Helper()
	err := filepath.WalkDir(data, func(p string, e fs.DirEntry, err error) error {
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if filepath.Ext(p) == ".sealed" {
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
