package vault

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
)

const (
	leaseBytes = 16
	// dueHorizon is how far ahead of now a waiting item can be due at most.
	// What lies beyond was written under another clock and is due now.
	dueHorizon = 24 * time.Hour
	openActive = 1 // value of outbox.open: on its way
	openAside  = 2 // needs attention
)

// system is who acts when the county or the engine does.
var system = cases.Actor{Role: cases.RoleSystem}

const selectItem = "SELECT o.num, o.case_id, o.revision, o.service, o.state, o.sent, o.attempts, o.next, o.reason, o.detail," +
	" o.saved, o.key_id, o.digest, o.lease, c.doc FROM outbox o JOIN cases c ON c.id=o.case_id "

// item is an outbox row.
type item struct {
	cases.Item
	num  int64
	sent bool
}

func scanItem(row interface{ Scan(...any) error }) (it item, err error) {
	var state string
	var next, saved int64
	var doc []byte
	if err := row.Scan(&it.num, &it.CaseID, &it.Revision, &it.Service, &state, &it.sent, &it.Attempts, &next, &it.Reason,
		&it.Detail, &saved, &it.KeyID, &it.Digest, &it.Lease, &doc); err != nil {
		return item{}, err
	}
	it.State, it.SavedAt = cases.QueueState(state), time.Unix(0, saved)
	if next != 0 {
		it.NextTry = time.Unix(0, next)
	}
	it.Case, err = decodeCase(doc)
	return it, err
}

func selectItems(q query, where string, args ...any) (out []item, err error) {
	rows, err := q.Query(selectItem+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		it, err := scanItem(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, it)
	}
	return out, rows.Err()
}

// Lease hands out items that are due, the oldest first; see sync.Store. The
// attempt is counted before it returns. State is QueueSent for an item whose
// body the county has, QueueLeased otherwise.
func (v *Vault) Lease(ctx context.Context, now time.Time, ttl time.Duration, max int) (out []cases.Item, err error) {
	if max <= 0 {
		return nil, nil
	}
	err = v.changeIf(ctx, "lease cases", func(c *change) error {
		its, err := selectItems(c.tx, "WHERE o.open=1 AND (o.due<=? OR o.due>?) AND NOT EXISTS("+
			"SELECT 1 FROM outbox p WHERE p.case_id=o.case_id AND p.revision<o.revision AND p.open IS NOT NULL)"+
			" ORDER BY o.num LIMIT ?", now.UnixNano(), now.Add(dueHorizon).UnixNano(), max)
		if err != nil {
			return err
		}
		if len(its) == 0 {
			return errNothing
		}
		for _, it := range its {
			got, err := c.lease(it, now.Add(ttl))
			if err != nil {
				return err
			}
			out = append(out, got)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (c *change) lease(it item, until time.Time) (cases.Item, error) {
	token := make([]byte, leaseBytes)
	if _, err := io.ReadFull(c.v.o.Rand, token); err != nil {
		return cases.Item{}, fmt.Errorf("lease token: %w", err)
	}
	it.Lease, it.State = hex.EncodeToString(token), cases.QueueLeased
	if it.sent {
		it.State = cases.QueueSent
	}
	it.Attempts++
	if err := c.exec("UPDATE outbox SET state=?, attempts=?, lease=?, due=? WHERE num=?",
		string(it.State), it.Attempts, it.Lease, until.UnixNano(), it.num); err != nil {
		return cases.Item{}, err
	}
	if err := c.tx.QueryRow("SELECT envelope, body FROM bodies WHERE num=?", it.num).Scan(&it.Envelope, &it.Body); err != nil {
		return cases.Item{}, fmt.Errorf("sealed body: %w", err)
	}
	var err error
	it.Files, err = readFiles(c.tx, it.CaseID, it.Revision)
	return it.Item, err
}

func readFiles(q query, id string, rev int) (out []cases.QueuedFile, err error) {
	rows, err := q.Query("SELECT name, material, page, mime, size, digest, upload, done FROM files"+
		" WHERE case_id=? AND revision=? ORDER BY name", id, rev)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var f cases.QueuedFile
		if err := rows.Scan(&f.Name, &f.Material, &f.Page, &f.MIME, &f.Size, &f.Digest, &f.Upload, &f.Done); err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, rows.Err()
}

// leased finds an item that its holder wants to settle. cases.ErrStaleLease
// when the lease is not the present one.
func (c *change) leased(caseID string, rev int, lease string) (item, error) {
	its, err := selectItems(c.tx, "WHERE o.case_id=? AND o.revision=? AND o.open=1 AND o.lease=? AND o.lease<>''", caseID, rev, lease)
	if err != nil {
		return item{}, err
	}
	if len(its) == 0 {
		return item{}, fmt.Errorf("%w: %s/%d", cases.ErrStaleLease, caseID, rev)
	}
	return its[0], nil
}

// SentBody notes that the county has the body for good and waits for files.
// Errors: cases.ErrStaleLease.
func (v *Vault) SentBody(ctx context.Context, caseID string, rev int, lease string) error {
	return v.change(ctx, "note that a case was sent", func(c *change) error {
		it, err := c.leased(caseID, rev, lease)
		if err != nil {
			return err
		}
		return c.exec("UPDATE outbox SET sent=1, state=? WHERE num=?", string(cases.QueueSent), it.num)
	})
}

// FileUpload remembers where the upload of a file goes on; "" forgets it.
// Errors: cases.ErrNotFound.
func (v *Vault) FileUpload(ctx context.Context, caseID, name, uploadURL string) error {
	return v.oneFile(ctx, "remember an upload", "UPDATE files SET upload=? WHERE case_id=? AND name=?", uploadURL, caseID, name)
}

// FileDone notes that the county has a file for good. Errors: cases.ErrNotFound.
func (v *Vault) FileDone(ctx context.Context, caseID, name string) error {
	return v.oneFile(ctx, "note an upload", "UPDATE files SET done=1 WHERE case_id=? AND name=?", caseID, name)
}

func (v *Vault) oneFile(ctx context.Context, what, q string, args ...any) error {
	return v.change(ctx, what, func(c *change) error {
		r, err := c.tx.Exec(q, args...)
		if err != nil {
			return err
		}
		n, err := r.RowsAffected()
		if err == nil && n != 1 {
			err = fmt.Errorf("%w: no such file", cases.ErrNotFound)
		}
		return err
	})
}

// Acknowledge settles an item: the county's number arrived. A case that the
// county moved on meanwhile only gets the number. Errors: cases.ErrStaleLease.
func (v *Vault) Acknowledge(ctx context.Context, caseID string, rev int, lease, acceptance string, at time.Time, dueDate string) (cs cases.Case, err error) {
	if acceptance == "" {
		return cases.Case{}, fmt.Errorf("vault: acknowledge %s/%d: no acceptance number", caseID, rev)
	}
	err = v.change(ctx, "note that a case was accepted", func(c *change) error {
		it, err := c.leased(caseID, rev, lease)
		if err != nil {
			return err
		}
		if err := c.settle(it.num, cases.QueueDone); err != nil {
			return err
		}
		if at.IsZero() {
			at = c.now
		}
		cs = it.Case
		if cs.Revision == rev && cs.State.Unsent() {
			err := c.apply(&cs, cases.Update{CaseID: caseID, Revision: rev, State: cases.Accepted, At: at,
				Acceptance: acceptance, DueDate: dueDate})
			if errors.Is(err, errNothing) {
				err = nil // the item is settled all the same
			}
			return err
		}
		if cs.Acceptance != "" {
			return nil
		}
		cs.Acceptance, cs.AcceptedAt = acceptance, at
		if dueDate != "" && cs.DueDate == "" {
			cs.DueDate = dueDate
		}
		if err := c.putCase(cs); err != nil {
			return err
		}
		_, err = c.record(entry(oplog.CaseAccepted, cs, system, map[string]string{"acceptance": acceptance, "due": dueDate}), nil)
		return err
	})
	if err != nil {
		return cases.Case{}, err
	}
	return cs, nil
}

// settle closes an outbox item.
func (c *change) settle(num int64, state cases.QueueState) error {
	return c.exec("UPDATE outbox SET state=?, open=NULL, lease='', next=0 WHERE num=?", string(state), num)
}

// Retry gives an item back, due again at next. Errors: cases.ErrStaleLease.
func (v *Vault) Retry(ctx context.Context, caseID string, rev int, lease string, next time.Time, reason, detail string) error {
	return v.change(ctx, "give a case back", func(c *change) error {
		it, err := c.leased(caseID, rev, lease)
		if err != nil {
			return err
		}
		state := cases.QueueWaiting
		if it.sent {
			state = cases.QueueSent
		}
		if err := c.exec("UPDATE outbox SET state=?, lease='', due=?, next=?, reason=?, detail=? WHERE num=?",
			string(state), next.UnixNano(), next.UnixNano(), reason, detail, it.num); err != nil {
			return err
		}
		_, err = c.record(entry(oplog.QueueRetry, it.Case, system, map[string]string{
			"attempts": strconv.Itoa(it.Attempts), "next": next.UTC().Format(time.RFC3339),
		}), nil)
		return err
	})
}

// Attention sets an item aside until staff mend or resend it. Errors:
// cases.ErrStaleLease.
func (v *Vault) Attention(ctx context.Context, caseID string, rev int, lease, reason, detail string) error {
	return v.change(ctx, "set a case aside", func(c *change) error {
		it, err := c.leased(caseID, rev, lease)
		if err != nil {
			return err
		}
		if err := c.exec("UPDATE outbox SET state=?, open=?, lease='', next=0, reason=?, detail=? WHERE num=?",
			string(cases.QueueAttention), openAside, reason, detail, it.num); err != nil {
			return err
		}
		cs := it.Case
		if cs.Revision == rev && cs.State.Can(cases.Attention) {
			cs.State, cs.UpdatedAt = cases.Attention, c.now
			if err := errors.Join(c.putCase(cs), c.event(cs.ID, c.now, cs.State, textAttention)); err != nil {
				return err
			}
		}
		_, err = c.record(entry(oplog.QueueAttention, cs, system, map[string]string{"attempts": strconv.Itoa(it.Attempts)}), nil)
		return err
	})
}

// Requeue sends an item that needed attention on its way again. Errors:
// cases.ErrNotFound when none of the case's items needs attention.
func (v *Vault) Requeue(ctx context.Context, caseID string, by cases.Actor) error {
	return v.change(ctx, "requeue a case", func(c *change) error {
		its, err := selectItems(c.tx, "WHERE o.case_id=? AND o.open=? ORDER BY o.revision DESC LIMIT 1", caseID, openAside)
		if err != nil {
			return err
		}
		if len(its) == 0 {
			return fmt.Errorf("%w that needs attention: %.40s", cases.ErrNotFound, caseID)
		}
		it := its[0]
		state := cases.QueueWaiting
		if it.sent {
			state = cases.QueueSent
		}
		if err := c.exec("UPDATE outbox SET state=?, open=?, due=0, next=0, reason='', detail='' WHERE num=?",
			string(state), openActive, it.num); err != nil {
			return err
		}
		cs := it.Case
		if cs.Revision == it.Revision && cs.State == cases.Attention {
			cs.State, cs.UpdatedAt = cases.Saved, c.now
			if err := errors.Join(c.putCase(cs), c.event(cs.ID, c.now, cs.State, textRequeued)); err != nil {
				return err
			}
		}
		_, err = c.record(entry(oplog.QueueRequeue, cs, by, map[string]string{"attempts": strconv.Itoa(it.Attempts)}), nil)
		return err
	})
}

// Upstream applies what the county says about a case; saying it twice changes
// nothing. An item of that revision that needed attention is settled: the
// county has it. Errors: cases.ErrNotFound, cases.ErrIllegal.
func (v *Vault) Upstream(ctx context.Context, u cases.Update) error {
	return v.changeIf(ctx, "apply what the county says", func(c *change) error {
		cs, err := c.caseOf(u.CaseID)
		if err != nil {
			return err
		}
		return c.apply(&cs, u)
	})
}

// apply makes a case what the county says and writes case, timeline and log;
// errNothing when it is so already.
func (c *change) apply(cs *cases.Case, u cases.Update) error {
	changed, err := cs.Apply(u)
	if err != nil {
		return err
	}
	if !changed {
		return errNothing
	}
	event, text, err := told(*cs)
	if err != nil {
		return err
	}
	if err := errors.Join(c.putCase(*cs), c.event(cs.ID, u.At, cs.State, text)); err != nil {
		return err
	}
	if err := c.exec("UPDATE outbox SET state=?, open=NULL, lease='', next=0 WHERE case_id=? AND revision=? AND open=?",
		string(cases.QueueDone), cs.ID, u.Revision, openAside); err != nil {
		return err
	}
	more := map[string]string{"acceptance": cs.Acceptance, "due": cs.DueDate}
	if event == oplog.CaseReturned {
		more["mend"] = strconv.Itoa(len(cs.Mend))
	}
	_, err = c.record(entry(event, *cs, system, more), nil)
	return err
}

// told is the log event and the timeline's words of a state that the county
// gave.
func told(cs cases.Case) (oplog.Event, string, error) {
	with := func(text string) string {
		if cs.Note != "" {
			return text + "：" + cs.Note
		}
		return text
	}
	switch cs.State {
	case cases.Accepted:
		if cs.Acceptance != "" {
			return oplog.CaseAccepted, "县里已受理，受理编号 " + cs.Acceptance, nil
		}
		return oplog.CaseAccepted, "县里已受理", nil
	case cases.Processing:
		return oplog.CaseProcessing, with("县里正在办理"), nil
	case cases.Returned:
		return oplog.CaseReturned, with("县里退回，需要补正"), nil
	case cases.Finished:
		return oplog.CaseFinished, with("已办结"), nil
	case cases.Refused:
		return oplog.CaseRefused, with("县里不予办理"), nil
	case cases.Saved, cases.Withdrawn, cases.Attention:
	}
	return "", "", fmt.Errorf("%w: %s is not the county's to give", cases.ErrIllegal, cs.State)
}

// Counts tells how many outbox items there are. Total = Done + Waiting +
// Attention; Waiting includes those under way and those Sent of which files are
// outstanding; Done includes the withdrawn and the replaced.
func (v *Vault) Counts(ctx context.Context) (n cases.Counts, err error) {
	const what = "count the queue"
	db, err := v.reader(ctx, what)
	if err != nil {
		return n, err
	}
	rows, err := db.Query("SELECT state, n FROM counts")
	if err != nil {
		return n, v.fail(what, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var state string
		var k int
		if err := rows.Scan(&state, &k); err != nil {
			return n, v.fail(what, err)
		}
		switch cases.QueueState(state) {
		case cases.QueueWaiting, cases.QueueLeased:
			n.Waiting += k
		case cases.QueueSent:
			n.Waiting += k
			n.Sent += k
		case cases.QueueDone:
			n.Done += k
		case cases.QueueAttention:
			n.Attention += k
		default:
			return n, v.fail(what, fmt.Errorf("%w: queue state %q", ErrDamaged, state))
		}
		n.Total += k
	}
	return n, v.fail(what, rows.Err())
}

// Items lists what is not settled, for the queue page, the oldest first,
// without bodies.
func (v *Vault) Items(ctx context.Context) ([]cases.Item, error) {
	const what = "list the queue"
	db, err := v.reader(ctx, what)
	if err != nil {
		return nil, err
	}
	// Not "IS NOT NULL": that would read every item there ever was.
	its, err := selectItems(db, "WHERE o.open IN (?,?) ORDER BY o.num", openActive, openAside)
	if err != nil {
		return nil, v.fail(what, err)
	}
	out := make([]cases.Item, 0, len(its))
	for _, it := range its {
		if it.Files, err = readFiles(db, it.CaseID, it.Revision); err != nil {
			return nil, v.fail(what, err)
		}
		it.Lease = "" // whoever shows the queue may not settle it
		out = append(out, it.Item)
	}
	return out, nil
}

var _ query = (*sql.DB)(nil)
