package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/resident"
	"cunban/kiosk/seal"
)

// OwnerIndex is HMAC-SM3 of an ID number under a key of this vault: it finds a
// person's cases again and tells nobody else whose they are.
func (v *Vault) OwnerIndex(n resident.IDNumber) []byte {
	return seal.MAC(v.owner, []byte(n.Reveal()))
}

// Room reports whether a new case of the usual size fits: cases.ErrDiskFull
// when less than Options.MinFree is left.
func (v *Vault) Room(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("vault: look for room: %w", err)
	}
	return v.room(v.o.MinFree)
}

func (v *Vault) room(need int64) error {
	free, err := v.o.FreeBytes(v.o.Dir)
	if err != nil {
		return fmt.Errorf("vault: look for room: %w", err)
	}
	if free < need {
		return fmt.Errorf("vault: %w: %d bytes are free, %d must be", cases.ErrDiskFull, free, need)
	}
	return nil
}

// walRoom is what a submission may need beside its files, bytes.
const walRoom = 2 << 20

// Submit commits a sealed case: its scans first, then case, timeline, outbox,
// log record and tree state in one transaction. It fills Case.LogIndex. A new
// revision is taken for a returned case, and from staff for one that needs
// attention, whose unsent revision it replaces. Errors: cases.ErrExists,
// cases.ErrIllegal, cases.ErrDiskFull, ErrName. After an error nothing was
// saved.
func (v *Vault) Submit(ctx context.Context, s cases.Submission) (saved cases.Case, err error) {
	const what = "submit a case"
	if err := ctx.Err(); err != nil {
		return cases.Case{}, fmt.Errorf("vault: %s: %w", what, err)
	}
	if err := checkSubmission(s); err != nil {
		return cases.Case{}, fmt.Errorf("vault: %s: %w", what, err)
	}
	need := int64(len(s.Body)) + walRoom
	for _, f := range s.Files {
		need += int64(len(f.Sealed))
	}
	if err := v.room(v.o.MinFree/2 + need); err != nil {
		return cases.Case{}, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return cases.Case{}, fmt.Errorf("vault: %s: %w", what, ErrClosed)
	}
	// Whether the revision is lawful is looked at before files are written: a
	// second Submit of the same one must not touch the files of the first.
	old, err := v.successor(v.db, s)
	if err != nil {
		return cases.Case{}, v.fail(what, err)
	}
	if err := v.fence(); err != nil {
		return cases.Case{}, err
	}
	wrote, err := v.writeScans(s.Case.ID, s.Files)
	if err != nil {
		v.removeScans(wrote)
		return cases.Case{}, v.fail(what, err)
	}
	err = v.changeLocked(what, func(c *change) (err error) {
		saved, err = c.submit(s, old)
		return err
	})
	if err != nil {
		// Not removed at once: see sweepCondemned.
		v.condemned = append(v.condemned, wrote...)
		return cases.Case{}, err
	}
	return saved, nil
}

func checkSubmission(s cases.Submission) error {
	c := s.Case
	switch {
	case c.Revision < 1 || c.State != cases.Saved || c.Service == "" || len(c.Owner) != seal.DigestSize:
		return errors.New("the submission is not complete")
	case len(s.Body) == 0 || len(s.Envelope) == 0 || s.KeyID == "":
		return errors.New("the submission has no sealed body")
	case !seal.Equal(seal.Digest(s.Body), c.BodyDigest):
		return errors.New("the sealed body does not have the digest that came with it")
	}
	return checkFiles(c.ID, s.Files)
}

// successor judges a submission against what is there and returns the present
// case; ok is false for a first revision.
func (v *Vault) successor(q query, s cases.Submission) (old *cases.Case, err error) {
	c, err := readCase(q, s.Case.ID)
	if errors.Is(err, cases.ErrNotFound) {
		if s.Case.Revision != 1 {
			return nil, fmt.Errorf("%w: revision %d of a case that is not here", cases.ErrIllegal, s.Case.Revision)
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	staff := s.Actor.Role == cases.RoleStaff
	switch {
	case s.Case.Revision <= c.Revision:
		return nil, fmt.Errorf("%w: revision %d", cases.ErrExists, s.Case.Revision)
	case s.Case.Revision != c.Revision+1:
		return nil, fmt.Errorf("%w: revision %d after %d", cases.ErrIllegal, s.Case.Revision, c.Revision)
	case !c.State.Can(cases.Saved) || c.State != cases.Returned && !staff:
		return nil, fmt.Errorf("%w: a new revision of a case that is %s", cases.ErrIllegal, c.State)
	case !seal.Equal(s.Case.Owner, c.Owner) && !staff:
		return nil, fmt.Errorf("%w: a revision by another person", cases.ErrIllegal)
	}
	return &c, nil
}

// Plain words of the timeline.
const (
	textSaved     = "已保存在本机，等待上传"
	textResaved   = "补正后已保存在本机，等待上传"
	textWithdrawn = "已撤回，内容已从本机删除"
	textReplaced  = "已由新的一次提交代替"
	textRequeued  = "已重新排队，等待上传"
	textAttention = "没有传上去，工作人员正在处理"
)

// submit writes the rows of a submission; old is the case as it is, nil for a
// new one.
func (c *change) submit(s cases.Submission, old *cases.Case) (_ cases.Case, err error) {
	cs, text := s.Case, textSaved
	if old != nil {
		text = textResaved
		cs.Acceptance, cs.AcceptedAt = old.Acceptance, old.AcceptedAt // the county's number stays the case's
		if err := c.replace(*old); err != nil {
			return cases.Case{}, err
		}
	}
	a := s.Actor
	cs.LogIndex, err = c.record(oplog.Entry{
		Event: oplog.CaseSubmit, Role: string(a.Role), Account: a.Account, Session: a.Session, CaseID: cs.ID, Device: a.Device,
		Demo: a.Demo || cs.Demo, Fields: map[string]string{
			"service": cs.Service, "revision": strconv.Itoa(cs.Revision), "mode": string(cs.Mode),
			"verification": string(s.Verification), "confirmed": strconv.FormatBool(s.Confirmed), "catalogue": cs.Catalogue,
			"body": fmt.Sprintf("%x", cs.BodyDigest), "files": strconv.Itoa(len(s.Files)), "key": s.KeyID,
		},
	}, s.LogPrivate)
	if err != nil {
		return cases.Case{}, err
	}
	return cs, c.enqueue(cs, text, s.KeyID, s.Envelope, s.Body, s.Files)
}

// enqueue writes the rows of a case that is to be sent.
func (c *change) enqueue(cs cases.Case, text, keyID string, envelope, body []byte, files []cases.SealedFile) error {
	if err := c.putCase(cs); err != nil {
		return err
	}
	event := c.event
	if cs.Revision == 1 { // a new case has no line yet, and looking for one costs a tenth of the commit
		event = c.firstEvent
	}
	if err := event(cs.ID, cs.SavedAt, cs.State, text); err != nil {
		return err
	}
	r, err := c.tx.Exec("INSERT INTO outbox(case_id, revision, service, state, open, saved, key_id, digest) VALUES(?,?,?,?,1,?,?,?)",
		cs.ID, cs.Revision, cs.Service, string(cases.QueueWaiting), cs.SavedAt.UnixNano(), keyID, cs.BodyDigest)
	if err != nil {
		return err
	}
	num, err := r.LastInsertId()
	if err != nil {
		return err
	}
	if err := c.exec("INSERT INTO bodies(num, envelope, body) VALUES(?,?,?)", num, envelope, body); err != nil {
		return err
	}
	for _, f := range files {
		if err := c.exec("INSERT INTO files(case_id, name, revision, material, page, mime, size, digest) VALUES(?,?,?,?,?,?,?,?)",
			cs.ID, f.Name, cs.Revision, f.Material, f.Page, f.MIME, len(f.Sealed), f.Digest); err != nil {
			return err
		}
	}
	return nil
}

// replace settles the unsent item of an earlier revision: the new one says all
// that it said.
func (c *change) replace(old cases.Case) error {
	return c.exec("UPDATE outbox SET state=?, open=NULL, lease='', reason=? WHERE case_id=? AND revision<=? AND open IS NOT NULL",
		string(cases.QueueDone), textReplaced, old.ID, old.Revision)
}

// Withdraw takes back a case of which nothing was sent or tried to be sent, and
// destroys what was in it. Errors: cases.ErrNotFound, cases.ErrTooLate.
func (v *Vault) Withdraw(ctx context.Context, id string, by cases.Actor) (cs cases.Case, err error) {
	var gone []string
	err = v.change(ctx, "withdraw a case", func(c *change) error {
		if cs, err = c.caseOf(id); err != nil {
			return err
		}
		var num int64
		err := c.tx.QueryRow("SELECT num FROM outbox WHERE case_id=? AND revision=1 AND state=? AND attempts=0 AND sent=0",
			id, string(cases.QueueWaiting)).Scan(&num)
		if errors.Is(err, sql.ErrNoRows) || err == nil && (cs.Revision != 1 || !cs.State.Can(cases.Withdrawn)) {
			return fmt.Errorf("%w: it is %s", cases.ErrTooLate, cs.State)
		}
		if err != nil {
			return err
		}
		cs.State, cs.UpdatedAt, cs.Note = cases.Withdrawn, c.now, ""
		if gone, err = c.fileNames(id); err != nil {
			return err
		}
		for _, q := range []string{
			"UPDATE outbox SET state='" + string(cases.QueueDone) + "', open=NULL WHERE num=?",
			"DELETE FROM bodies WHERE num=?",
		} {
			if err := c.exec(q, num); err != nil {
				return err
			}
		}
		if err := errors.Join(
			c.exec("DELETE FROM files WHERE case_id=?", id), c.putCase(cs), c.event(id, c.now, cs.State, textWithdrawn)); err != nil {
			return err
		}
		_, err = c.record(entry(oplog.CaseWithdraw, cs, by, nil), nil)
		return err
	})
	if err != nil {
		return cases.Case{}, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.removeScans(gone)
	if v.closed {
		return cs, nil
	}
	// It is withdrawn; that its pages are gone from the WAL too comes on top.
	if err := v.scrub(); err != nil {
		v.log.Warn("vault: the WAL is not emptied before the next start", "err", err)
	}
	return cs, nil
}

func (c *change) fileNames(id string) (names []string, err error) {
	rows, err := c.tx.Query("SELECT name FROM files WHERE case_id=?", id)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		names = append(names, c.v.scan(id, n))
	}
	return names, rows.Err()
}

// entry is a log entry about a case by an actor, with the common fields.
func entry(e oplog.Event, cs cases.Case, by cases.Actor, more map[string]string) oplog.Entry {
	f := map[string]string{"service": cs.Service, "revision": strconv.Itoa(cs.Revision)}
	for k, val := range more {
		if val = strings.TrimSpace(val); val != "" {
			f[k] = val
		}
	}
	return lawful(oplog.Entry{Event: e, Role: string(by.Role), Account: by.Account, Session: by.Session, CaseID: cs.ID,
		Device: by.Device, Demo: by.Demo || cs.Demo, Fields: f})
}

// lawful replaces values that the log refuses by their digest. They come from
// the county, and what it decides must not fail over its number looking like a
// citizen's: 6 digits of a place, 8 of a day and 4 more do, one time in eleven.
func lawful(e oplog.Entry) oplog.Entry {
	for k, val := range e.Fields {
		one := oplog.Entry{Event: e.Event, Outcome: e.Outcome, Role: e.Role, Fields: map[string]string{k: val}}
		if e.Event.Lawful(k) && one.Normal().Check() != nil {
			e.Fields[k] = fmt.Sprintf("sm3 %x", seal.Digest([]byte(val))[:8])
		}
	}
	return e
}
