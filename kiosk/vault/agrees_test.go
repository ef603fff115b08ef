package vault

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
)

// lived is a vault with a case in every state that the audit tells apart.
type lived struct {
	*bench
	open, aside, accepted, returned, mended, withdrawn, shredded cases.Case
}

func newLived(t *testing.T) *lived {
	t.Helper()
	w := &lived{bench: newBench(t)}
	ctx := context.Background()
	b := w.bench
	say := func(c cases.Case, state cases.State, mend ...cases.Mend) {
		t.Helper()
		must(t, b.v.Upstream(ctx, cases.Update{CaseID: c.ID, Revision: 1, State: state, At: b.clock.now(), Mend: mend, DueDate: "2026-05-01"}))
	}
	w.shredded = b.submit(2)
	b.accept()
	say(w.shredded, cases.Finished)
	b.clock.move(time.Hour)
	if n := b.retain(b.clock.now()); n != 1 {
		t.Fatalf("%d cases shredded", n)
	}
	w.accepted = b.submit(1)
	b.accept()
	say(w.accepted, cases.Accepted)
	w.returned = b.submit(0)
	b.accept()
	say(w.returned, cases.Returned, cases.Mend{Label: "身份证", Reason: "看不清"})
	d := b.draft(1)
	c, err := b.desk().Submit(ctx, d)
	must(t, err)
	b.accept()
	say(c, cases.Returned)
	d.Revision = 2
	w.mended, err = b.desk().Submit(ctx, d)
	must(t, err)
	b.accept()
	w.withdrawn = b.submit(1)
	_, err = b.v.Withdraw(ctx, w.withdrawn.ID, d.Actor)
	must(t, err)
	w.aside = b.submit(0)
	it := b.lease1()
	must(t, b.v.Attention(ctx, w.aside.ID, 1, it.Lease, "县里不认", "422"))
	w.open = b.submit(2)
	it = b.lease1()
	must(t, b.v.Retry(ctx, w.open.ID, 1, it.Lease, b.clock.now().Add(time.Hour), "县里正忙", "503"))
	return w
}

// tampering is a change of one case that its records contradict, and in what.
type tampering struct {
	of     cases.Case
	aspect aspect
	doc    func(*cases.Case) // or
	query  string            // with the case's id
}

// exec runs a statement of somebody who has the key.
func (w *lived) exec(query string, args ...any) {
	w.t.Helper()
	_, err := w.v.db.Exec(query, args...)
	must(w.t, err)
}

func (w *lived) tamper(x tampering) {
	w.t.Helper()
	if x.doc == nil {
		n, err := w.v.db.Exec(x.query, x.of.ID)
		must(w.t, err)
		if k, err := n.RowsAffected(); err != nil || k == 0 {
			w.t.Fatalf("nothing was changed: %v", err)
		}
		return
	}
	cs := w.caseOf(x.of.ID)
	x.doc(&cs)
	doc, err := json.Marshal(cs)
	must(w.t, err)
	w.exec("UPDATE cases SET owner=?, service=?, state=?, saved=?, doc=? WHERE id=?", cs.Owner, cs.Service, string(cs.State), cs.SavedAt.UnixNano(), doc, x.of.ID)
}

func (w *lived) tamperings() map[string]tampering {
	return map[string]tampering{
		"an open case made accepted":          {of: w.open, aspect: aspectState, doc: func(c *cases.Case) { c.State = cases.Accepted }},
		"an accepted case made finished":      {of: w.accepted, aspect: aspectState, doc: func(c *cases.Case) { c.State = cases.Finished }},
		"a finished case made refused":        {of: w.shredded, aspect: aspectState, doc: func(c *cases.Case) { c.State = cases.Refused }},
		"another number":                      {of: w.accepted, aspect: aspectAcceptance, doc: func(c *cases.Case) { c.Acceptance = "X-1" }},
		"a number for an open case":           {of: w.open, aspect: aspectAcceptance, doc: func(c *cases.Case) { c.Acceptance = "X-1" }},
		"no number":                           {of: w.returned, aspect: aspectAcceptance, doc: func(c *cases.Case) { c.Acceptance = "" }},
		"another day":                         {of: w.accepted, aspect: aspectDue, doc: func(c *cases.Case) { c.DueDate = "2027-01-01" }},
		"nothing to mend":                     {of: w.returned, aspect: aspectMend, doc: func(c *cases.Case) { c.Mend = nil }},
		"another body in the case":            {of: w.open, aspect: aspectDigest, doc: func(c *cases.Case) { c.BodyDigest[0] ^= 1 }},
		"another mode":                        {of: w.open, aspect: aspectMode, doc: func(c *cases.Case) { c.Mode = cases.ModeAgent }},
		"another catalogue":                   {of: w.open, aspect: aspectCatalogue, doc: func(c *cases.Case) { c.Catalogue = "1999" }},
		"a demonstration":                     {of: w.accepted, aspect: aspectDemo, doc: func(c *cases.Case) { c.Demo = true }},
		"another service":                     {of: w.accepted, aspect: aspectService, doc: func(c *cases.Case) { c.Service = "S99" }},
		"another revision":                    {of: w.mended, aspect: aspectRevision, doc: func(c *cases.Case) { c.Revision = 1 }},
		"another record":                      {of: w.mended, aspect: aspectRecord, doc: func(c *cases.Case) { c.LogIndex = 3 }},
		"the state's column":                  {of: w.open, aspect: aspectColumns, query: "UPDATE cases SET state='accepted' WHERE id=?"},
		"the service's column":                {of: w.open, aspect: aspectColumns, query: "UPDATE cases SET service='S99' WHERE id=?"},
		"the owner's column":                  {of: w.open, aspect: aspectColumns, query: "UPDATE cases SET owner=zeroblob(32) WHERE id=?"},
		"the time's column":                   {of: w.open, aspect: aspectColumns, query: "UPDATE cases SET saved=saved-1 WHERE id=?"},
		"the time's column with a word":       {of: w.open, aspect: aspectColumns, query: "UPDATE cases SET saved='then' WHERE id=?"},
		"the case's number":                   {of: w.open, aspect: aspectColumns, query: "UPDATE cases SET doc=CAST('{' AS BLOB) WHERE id=?"},
		"another body in the outbox":          {of: w.open, aspect: aspectDigest, query: "UPDATE outbox SET digest=zeroblob(32) WHERE case_id=?"},
		"the first revision's body":           {of: w.mended, aspect: aspectDigest, query: "UPDATE outbox SET digest=zeroblob(32) WHERE case_id=? AND revision=1"},
		"another key":                         {of: w.open, aspect: aspectKey, query: "UPDATE outbox SET key_id='x' WHERE case_id=?"},
		"another service in the outbox":       {of: w.open, aspect: aspectService, query: "UPDATE outbox SET service='S99' WHERE case_id=?"},
		"an open item settled":                {of: w.open, aspect: aspectQueue, query: "UPDATE outbox SET state='done', open=NULL WHERE case_id=?"},
		"an open item set aside":              {of: w.open, aspect: aspectQueue, query: "UPDATE outbox SET state='attention', open=2 WHERE case_id=?"},
		"an item set aside under way":         {of: w.aside, aspect: aspectQueue, query: "UPDATE outbox SET state='waiting', open=1 WHERE case_id=?"},
		"an item neither here nor there":      {of: w.open, aspect: aspectQueue, query: "UPDATE outbox SET open=NULL WHERE case_id=?"},
		"a withdrawn item under way":          {of: w.withdrawn, aspect: aspectQueue, query: "UPDATE outbox SET state='waiting', open=1 WHERE case_id=?"},
		"a replaced item under way":           {of: w.mended, aspect: aspectQueue, query: "UPDATE outbox SET state='waiting', open=1 WHERE case_id=? AND revision=1"},
		"an item's revision":                  {of: w.accepted, aspect: aspectQueue, query: "UPDATE outbox SET revision=7 WHERE case_id=?"},
		"no item":                             {of: w.withdrawn, aspect: aspectQueue, query: "DELETE FROM outbox WHERE case_id=?"},
		"fewer attempts":                      {of: w.open, aspect: aspectAttempts, query: "UPDATE outbox SET attempts=0 WHERE case_id=?"},
		"no body":                             {of: w.accepted, aspect: aspectBody, query: "DELETE FROM bodies WHERE num IN (SELECT num FROM outbox WHERE case_id=?)"},
		"a body where it was destroyed":       {of: w.shredded, aspect: aspectBody, query: "INSERT INTO bodies(num, envelope, body) SELECT num, x'00', x'00' FROM outbox WHERE case_id=?"},
		"a scan less":                         {of: w.open, aspect: aspectFiles, query: "DELETE FROM files WHERE case_id=? AND page=1"},
		"a scan of another revision":          {of: w.accepted, aspect: aspectFiles, query: "UPDATE files SET revision=2 WHERE case_id=?"},
		"a scan where they were destroyed":    {of: w.shredded, aspect: aspectFiles, query: "INSERT INTO files(case_id, name, revision, material, page, mime, size, digest) VALUES(?,'1-09.sealed',1,'x',1,'x',1,x'00')"},
		"the timeline without its end":        {of: w.accepted, aspect: aspectTimeline, query: "DELETE FROM events WHERE case_id=? AND num>2"},
		"the timeline without its middle":     {of: w.mended, aspect: aspectTimeline, query: "DELETE FROM events WHERE case_id=? AND num=2"},
		"a line more":                         {of: w.open, aspect: aspectTimeline, query: "INSERT INTO events(case_id, num, at, state, text) VALUES(?,9,1,'accepted','县里已受理')"},
		"a line's state":                      {of: w.returned, aspect: aspectTimeline, query: "UPDATE events SET state='finished' WHERE case_id=? AND num=3"},
		"a line's words":                      {of: w.returned, aspect: aspectTimeline, query: "UPDATE events SET text='已办结' WHERE case_id=? AND num=3"},
		"the number in a line":                {of: w.accepted, aspect: aspectTimeline, query: "UPDATE events SET text='县里已受理，受理编号 X' WHERE case_id=? AND num=2"},
		"the time of a line of this terminal": {of: w.withdrawn, aspect: aspectTimeline, query: "UPDATE events SET at=at+1 WHERE case_id=? AND num=2"},
		"a case that is gone":                 {of: w.aside, aspect: aspectCase, query: "DELETE FROM cases WHERE id=?"},
	}
}

// TestAuditFindsTampering: every change is found, with the right case and what
// is wrong with it named, and nothing else; an audit that does not look there
// misses it.
func TestAuditFindsTampering(t *testing.T) {
	w := newLived(t)
	ctx := context.Background()
	w.verify()
	before, err := w.v.audit(ctx, "")
	must(t, err)
	seen := map[aspect]bool{}
	w.exec("PRAGMA foreign_keys=OFF")
	for name, x := range w.tamperings() {
		t.Run(name, func(t *testing.T) {
			seen[x.aspect] = true
			w.exec("BEGIN") // the database has one connection
			defer w.exec("ROLLBACK")
			w.tamper(x)
			rep, err := w.v.audit(ctx, "")
			must(t, err)
			if rep.Bad != 1 || rep.Found[0].CaseID != x.of.ID || !slices.Contains(rep.Found[0].aspects, x.aspect) {
				t.Fatalf("found %s, want case %s: %s", rep.Detail(), x.of.ID, x.aspect)
			}
			if len(rep.Found[0].aspects) == 1 {
				if rep, err := w.v.audit(ctx, x.aspect); err != nil || !rep.Agrees() {
					t.Errorf("a blind audit sees it: %s, %v", rep.Detail(), err)
				}
			} else if x.aspect != aspectRevision { // with which nearly everything else changes
				t.Errorf("named too: %s", rep.Found[0].Text())
			}
		})
	}
	for _, a := range []aspect{aspectCase, aspectRecord, aspectColumns, aspectService, aspectRevision, aspectState, aspectAcceptance, aspectDue,
		aspectMend, aspectMode, aspectCatalogue, aspectDemo, aspectDigest, aspectKey, aspectQueue, aspectAttempts, aspectBody, aspectFiles, aspectTimeline} {
		if !seen[a] {
			t.Errorf("no change of: %s", a)
		}
	}
	if after, err := w.v.audit(ctx, ""); err != nil || !after.Agrees() || after.Cases != before.Cases {
		t.Errorf("after all was undone: %s, %v", after.Detail(), err)
	}
}

// TestAuditTells: a disagreement is an incident that names the case, told once
// however often it is found, and a record of its own.
func TestAuditTells(t *testing.T) {
	w := newLived(t)
	ctx := context.Background()
	rep, err := w.v.Audit(ctx)
	if err != nil || !rep.Agrees() || rep.Cases != 7 || rep.Text() != "" || len(w.v.Incidents()) != 0 {
		t.Fatalf("%+v, %v", rep, err)
	}
	w.tamper(tampering{of: w.accepted, doc: func(c *cases.Case) { c.State = cases.Finished }})
	w.exec("INSERT INTO cases(id, owner, service, state, saved, doc) SELECT 'invented', owner, service, state, saved,"+
		" CAST(replace(CAST(doc AS TEXT), id, 'invented') AS BLOB) FROM cases WHERE id=?", w.open.ID)
	for range 2 {
		rep, err = w.v.Audit(ctx)
		if err != nil || rep.Bad != 2 || rep.Found[0].CaseID != w.accepted.ID || rep.Found[1].CaseID != "invented" {
			t.Fatalf("%s, %v", rep.Detail(), err)
		}
	}
	in := w.v.Incidents()
	if len(in) != 1 || in[0].Kind != IncidentCases || !strings.Contains(in[0].Text, w.accepted.ID) ||
		!strings.Contains(in[0].Text, "有 2 件") || !strings.Contains(in[0].Text, string(aspectState)) || !strings.Contains(in[0].Detail, "invented") {
		t.Fatalf("incidents %+v", in)
	}
	rs, err := w.v.LogQuery(ctx, LogFilter{Event: oplog.CaseAudit, Outcome: oplog.Failed, CaseID: w.accepted.ID})
	if err != nil || len(rs) != 2 || rs[0].Fields["bad"] != "2" || rs[0].Fields["reason"] != string(aspectState) {
		t.Fatalf("records %+v, %v", rs, err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := w.v.Audit(canceled); err == nil {
		t.Fatal("an audit went on after its context had ended")
	}
}

// TestAuditOfPrunedLog: what the log says nothing of any more is no
// disagreement, but what the rest of it contradicts is.
func TestAuditOfPrunedLog(t *testing.T) {
	w := newLived(t)
	ctx := context.Background()
	sign := w.enrol()
	w.countersign(sign)
	w.clock.move(200 * day)
	young := w.submit(0)
	// The story of one goes on over the cut, in every way.
	must(t, w.v.Requeue(ctx, w.aside.ID, cases.Actor{Role: cases.RoleStaff, Account: "1001"}))
	for _, it := range w.lease(9) {
		if it.CaseID == w.aside.ID {
			must(t, w.v.Attention(ctx, it.CaseID, it.Revision, it.Lease, "县里不认", "422"))
		}
	}
	must(t, w.v.Upstream(ctx, cases.Update{CaseID: w.accepted.ID, Revision: 1, State: cases.Processing, At: w.clock.now()}))
	must(t, w.v.Upstream(ctx, cases.Update{CaseID: w.returned.ID, Revision: 1, State: cases.Finished, At: w.clock.now()}))
	w.countersign(sign)
	if n := w.prune(190 * day); n == 0 {
		t.Fatal("nothing pruned")
	}
	w.verify()
	for name, x := range map[string]tampering{
		"a state":                    {of: w.returned, aspect: aspectState, doc: func(c *cases.Case) { c.State = cases.Refused }},
		"a number":                   {of: w.accepted, aspect: aspectAcceptance, doc: func(c *cases.Case) { c.Acceptance = "X" }},
		"the end of a timeline":      {of: w.accepted, aspect: aspectTimeline, query: "DELETE FROM events WHERE case_id=? AND num=4"},
		"an item":                    {of: w.aside, aspect: aspectQueue, query: "UPDATE outbox SET state='done', open=NULL WHERE case_id=?"},
		"a young case's state":       {of: young, aspect: aspectState, doc: func(c *cases.Case) { c.State = cases.Refused }},
		"a young case's submission":  {of: young, aspect: aspectRecord, doc: func(c *cases.Case) { c.LogIndex = 1 }},
		"an old case that is young":  {of: w.open, aspect: aspectRecord, doc: func(c *cases.Case) { c.LogIndex = 1 << 40 }},
		"an old case that is gone":   {of: w.accepted, aspect: aspectCase, query: "DELETE FROM cases WHERE id=?"},
		"a young case's first event": {of: young, aspect: aspectTimeline, query: "DELETE FROM events WHERE case_id=?"},
	} {
		t.Run(name, func(t *testing.T) {
			w.exec("PRAGMA foreign_keys=OFF")
			w.exec("BEGIN")
			defer w.exec("ROLLBACK")
			w.tamper(x)
			rep, err := w.v.audit(ctx, "")
			if err != nil || rep.Bad != 1 || rep.Found[0].CaseID != x.of.ID || !slices.Contains(rep.Found[0].aspects, x.aspect) {
				t.Fatalf("found %s, %v, want case %s: %s", rep.Detail(), err, x.of.ID, x.aspect)
			}
		})
	}
}
