package vault

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
)

func TestQueue(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	first, second := b.submit(1), b.submit(0)
	b.counts(cases.Counts{Total: 2, Waiting: 2})
	it := b.lease1()
	if it.CaseID != first.ID {
		t.Fatal("the oldest does not come first")
	}
	if got := b.lease(9); len(got) != 1 || got[0].CaseID != second.ID {
		t.Fatalf("leased again: %v", got)
	}
	if got := b.lease(9); len(got) != 0 {
		t.Fatalf("leased what is leased: %v", got)
	}
	wantErr(t, b.v.SentBody(ctx, it.CaseID, 1, "another lease"), cases.ErrStaleLease)
	wantErr(t, b.v.SentBody(ctx, it.CaseID, 1, ""), cases.ErrStaleLease)
	must(t, b.v.SentBody(ctx, it.CaseID, 1, it.Lease))
	b.counts(cases.Counts{Total: 2, Waiting: 2, Sent: 1})
	must(t, b.v.FileUpload(ctx, it.CaseID, it.Files[0].Name, "/v1/uploads/1"))

	// The lease runs out: the item comes round, still sent, and the old lease
	// settles nothing.
	b.clock.move(2 * time.Minute)
	again := b.lease1()
	if again.CaseID != first.ID || again.State != cases.QueueSent || again.Attempts != 2 || again.Files[0].Upload != "/v1/uploads/1" {
		t.Fatalf("leased %+v", again)
	}
	_, err := b.v.Acknowledge(ctx, it.CaseID, 1, it.Lease, "N-1", b.clock.now(), "")
	wantErr(t, err, cases.ErrStaleLease)
	must(t, b.v.FileDone(ctx, it.CaseID, it.Files[0].Name))

	// Retry keeps what is known and makes it wait.
	must(t, b.v.Retry(ctx, again.CaseID, 1, again.Lease, b.clock.now().Add(time.Hour), "县里正忙", "503"))
	wantErr(t, b.v.Retry(ctx, again.CaseID, 1, again.Lease, b.clock.now(), "", ""), cases.ErrStaleLease)
	b.counts(cases.Counts{Total: 2, Waiting: 2, Sent: 1})
	items, err := b.v.Items(ctx)
	if err != nil || len(items) != 2 || items[0].Reason != "县里正忙" || items[0].Detail != "503" || items[0].Lease != "" || items[0].Body != nil {
		t.Fatalf("items %+v, %v", items, err)
	}
	other := b.lease1() // the second one's lease ran out too
	if other.CaseID != second.ID {
		t.Fatalf("leased %s before its time", other.CaseID)
	}
	b.clock.move(2 * time.Hour)
	its := b.lease(9)
	if len(its) != 2 || !its[0].Files[0].Done {
		t.Fatalf("leased %+v", its)
	}
	at := b.clock.now()
	c, err := b.v.Acknowledge(ctx, first.ID, 1, its[0].Lease, "140105-2026-1", at, "2026-04-01")
	if err != nil || c.State != cases.Accepted || c.Acceptance != "140105-2026-1" || c.DueDate != "2026-04-01" || !c.AcceptedAt.Equal(at) {
		t.Fatalf("acknowledged %+v, %v", c, err)
	}
	b.counts(cases.Counts{Total: 2, Waiting: 1, Done: 1})
	_, err = b.v.Acknowledge(ctx, first.ID, 1, its[0].Lease, "140105-2026-1", at, "")
	wantErr(t, err, cases.ErrStaleLease)

	must(t, b.v.Attention(ctx, second.ID, 1, its[1].Lease, "县里不认这一件", "422"))
	b.counts(cases.Counts{Total: 2, Attention: 1, Done: 1})
	if got := b.caseOf(second.ID); got.State != cases.Attention {
		t.Fatalf("case is %s", got.State)
	}
	b.clock.move(48 * time.Hour)
	if got := b.lease(9); len(got) != 0 {
		t.Fatalf("leased what needs attention: %v", got)
	}
	must(t, b.v.Requeue(ctx, second.ID, cases.Actor{Role: cases.RoleStaff, Account: "1001"}))
	b.counts(cases.Counts{Total: 2, Waiting: 1, Done: 1})
	if got := b.lease1(); got.CaseID != second.ID || got.Case.State != cases.Saved {
		t.Fatalf("leased %+v", got)
	}
	b.verify()
}

func TestLeasesEndWithTheProgram(t *testing.T) {
	b := newBench(t)
	c := b.submit(0)
	old := b.lease1()
	b.close()
	b.open()
	it := b.lease1() // at once, not after the lease's time
	if it.CaseID != c.ID || it.Attempts != 2 {
		t.Fatalf("leased %+v", it)
	}
	wantErr(t, b.v.SentBody(context.Background(), c.ID, 1, old.Lease), cases.ErrStaleLease)
}

func TestAClockThatWasWrongStopsNothing(t *testing.T) {
	b := newBench(t)
	c := b.submit(0)
	it := b.lease1()
	must(t, b.v.Retry(context.Background(), c.ID, 1, it.Lease, b.clock.now().AddDate(30, 0, 0), "", ""))
	if got := b.lease1(); got.CaseID != c.ID {
		t.Fatal("an item due in thirty years waits for thirty years")
	}
}

func TestRevisions(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	d := b.draft(1)
	c, err := b.desk().Submit(ctx, d)
	must(t, err)
	d.Revision = 2
	_, err = b.desk().Submit(ctx, d)
	wantErr(t, err, cases.ErrIllegal) // saved, not returned

	it := b.lease1()
	_, err = b.v.Acknowledge(ctx, c.ID, 1, it.Lease, "N-1", b.clock.now(), "")
	must(t, err)
	up := cases.Update{CaseID: c.ID, Revision: 1, State: cases.Returned, At: b.clock.now(), Note: "缺一页",
		Mend: []cases.Mend{{Field: "id-card", Label: "身份证", Reason: "看不清"}}}
	must(t, b.v.Upstream(ctx, up))
	size := b.v.tree.Size()
	must(t, b.v.Upstream(ctx, up))
	if b.v.tree.Size() != size {
		t.Fatal("saying it twice made a record")
	}
	if got := b.caseOf(c.ID); got.State != cases.Returned || len(got.Mend) != 1 || got.Note != "缺一页" {
		t.Fatalf("case %+v", got)
	}
	d.Claim.Number = number(t, "140830195603120024")
	_, err = b.desk().Submit(ctx, d)
	wantErr(t, err, cases.ErrIllegal) // another person
	d.Claim.Number = number(t, zhang)
	c2, err := b.desk().Submit(ctx, d)
	if err != nil || c2.Revision != 2 || c2.State != cases.Saved || c2.Acceptance != "N-1" || c2.LogIndex <= c.LogIndex {
		t.Fatalf("second revision %+v, %v", c2, err)
	}
	must(t, b.v.Upstream(ctx, up)) // late, for revision 1
	if got := b.caseOf(c.ID); got.State != cases.Saved {
		t.Fatalf("a late word of the county moved the case to %s", got.State)
	}
	it = b.lease1()
	if it.Revision != 2 || len(it.Files) != 1 || !strings.HasPrefix(it.Files[0].Name, "2-") {
		t.Fatalf("leased %+v", it)
	}
	must(t, b.v.Attention(ctx, c.ID, 2, it.Lease, "x", "y"))

	// Staff mend what needs attention: the new revision takes its place.
	d.Revision, d.Actor = 3, cases.Actor{Role: cases.RoleStaff, Account: "1001"}
	_, err = b.desk().Submit(ctx, d)
	must(t, err)
	b.counts(cases.Counts{Total: 3, Done: 2, Waiting: 1})
	if it = b.lease1(); it.Revision != 3 {
		t.Fatalf("leased revision %d", it.Revision)
	}
	_, err = b.v.Withdraw(ctx, c.ID, d.Actor)
	wantErr(t, err, cases.ErrTooLate)
	b.verify()
}

func TestWithdraw(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	by := cases.Actor{Role: cases.RoleResident, Session: 7}
	c := b.submit(2)
	w, err := b.v.Withdraw(ctx, c.ID, by)
	if err != nil || w.State != cases.Withdrawn {
		t.Fatalf("%+v, %v", w, err)
	}
	b.counts(cases.Counts{Total: 1, Done: 1})
	if _, err := os.Stat(filepath.Join(b.o.Dir, "scans", c.ID)); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the scans of a withdrawn case are still there: %v", err)
	}
	_, err = b.v.Withdraw(ctx, c.ID, by)
	wantErr(t, err, cases.ErrTooLate)

	tried := b.submit(0)
	it := b.lease1()
	if it.CaseID != tried.ID {
		t.Fatal("a withdrawn case was leased")
	}
	must(t, b.v.Retry(ctx, it.CaseID, 1, it.Lease, b.clock.now(), "", ""))
	_, err = b.v.Withdraw(ctx, tried.ID, by) // it may have arrived
	wantErr(t, err, cases.ErrTooLate)
	b.verify()
}

func TestUpstreamBeforeAcknowledge(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	c := b.submit(0)
	it := b.lease1()
	must(t, b.v.Upstream(ctx, cases.Update{CaseID: c.ID, Revision: 1, State: cases.Processing, At: b.clock.now()}))
	got, err := b.v.Acknowledge(ctx, c.ID, 1, it.Lease, "N-9", b.clock.now(), "2026-05-01")
	if err != nil || got.State != cases.Processing || got.Acceptance != "N-9" {
		t.Fatalf("%+v, %v", got, err)
	}
	b.counts(cases.Counts{Total: 1, Done: 1})
	wantErr(t, b.v.Upstream(ctx, cases.Update{CaseID: c.ID, Revision: 1, State: cases.Saved, At: b.clock.now()}), cases.ErrIllegal)
	must(t, b.v.Upstream(ctx, cases.Update{CaseID: c.ID, Revision: 1, State: cases.Finished, At: b.clock.now()}))
	ev, err := b.v.Timeline(ctx, c.ID)
	if err != nil || len(ev) != 3 || ev[2].State != cases.Finished {
		t.Fatalf("timeline %v, %v", ev, err)
	}
}

// TestACountysNumberMayLookLikeACitizens: 18 digits with a date in them and a
// right check digit.
func TestACountysNumberMayLookLikeACitizens(t *testing.T) {
	b := newBench(t)
	c := b.submit(0)
	it := b.lease1()
	got, err := b.v.Acknowledge(context.Background(), c.ID, 1, it.Lease, zhang, b.clock.now(), strings.Repeat("long ", 100))
	if err != nil || got.Acceptance != zhang {
		t.Fatalf("%+v, %v", got, err)
	}
	rs, err := b.v.LogQuery(context.Background(), LogFilter{Event: oplog.CaseAccepted})
	if err != nil || len(rs) != 1 || !strings.HasPrefix(rs[0].Fields["acceptance"], "sm3 ") || rs[0].Fields["service"] != "S01" {
		t.Fatalf("%+v, %v", rs, err)
	}
}
