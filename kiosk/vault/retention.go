package vault

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
)

// retainPage is how many cases are looked for at a time.
const retainPage = 200

// Retain destroys what was in every case that the county has had since before a
// time, and tells of how many: the envelope of the case key, the sealed body and
// the scans, of all its revisions. What remains is the case with its timeline,
// and its log records, which go on verifying. The sealed personal part of a
// submission's record remains too, as ciphertext: its key was in the envelope,
// so that nobody can open it here any more.
//
// A case is left alone while any of its revisions is not settled at the county,
// and while it waits for being mended, whatever the time is. Each case is one
// transaction with its log record; then the scans go, and at the end the WAL is
// emptied, because the pages of the submission may still stand in it. After a
// power cut in between, the next start does the rest. ctx is heeded between
// cases.
//
// What a flash chip or a file system keeps of overwritten blocks is beyond this:
// it is ciphertext under the disk key, and under it the envelope for the county.
func (v *Vault) Retain(ctx context.Context, before time.Time) (shredded int, err error) {
	const what = "destroy what was in old cases"
	for after := int64(0); ; {
		ids, last, err := v.retained(ctx, before, after)
		if err != nil {
			return shredded, errors.Join(v.fail(what, err), v.scrubAfter(shredded))
		}
		for _, id := range ids {
			done, err := v.shred(ctx, id, before)
			if done {
				shredded++
			}
			if err != nil {
				return shredded, errors.Join(err, v.scrubAfter(shredded))
			}
		}
		if len(ids) == 0 {
			return shredded, v.scrubAfter(shredded)
		}
		after = last
	}
}

// retained names the cases that may be due, from the bodies that are still
// there: after the body number after, each case once. last is where to go on.
func (v *Vault) retained(ctx context.Context, before time.Time, after int64) (ids []string, last int64, err error) {
	db, err := v.reader(ctx, "look for old cases")
	if err != nil {
		return nil, 0, err
	}
	rows, err := db.QueryContext(ctx, "SELECT b.num, o.case_id FROM bodies b JOIN outbox o ON o.num=b.num"+
		" WHERE b.num>? AND o.open IS NULL AND o.saved<? ORDER BY b.num LIMIT ?", after, before.UnixNano(), retainPage)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	seen := map[string]bool{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&last, &id); err != nil {
			return nil, 0, err
		}
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids, last, rows.Err()
}

// due reports whether what was in a case may be destroyed.
func due(cs cases.Case, before time.Time) bool {
	since := cs.AcceptedAt
	switch cs.State {
	case cases.Accepted, cases.Processing, cases.Finished, cases.Refused:
	case cases.Saved, cases.Returned, cases.Attention, cases.Withdrawn:
		return false
	}
	if since.IsZero() {
		since = cs.UpdatedAt // refused without a number
	}
	if since.Before(cs.SavedAt) {
		since = cs.SavedAt // a mended case, or a county whose clock is wrong
	}
	return since.Before(before)
}

// shred destroys what was in one case; done is false when it is not due.
func (v *Vault) shred(ctx context.Context, id string, before time.Time) (done bool, err error) {
	var gone []string
	err = v.changeIf(ctx, "destroy what was in a case", func(c *change) error {
		cs, err := c.caseOf(id)
		if err != nil {
			return err
		}
		var open int
		if err := c.tx.QueryRow("SELECT count(*) FROM outbox WHERE case_id=? AND open IS NOT NULL", id).Scan(&open); err != nil {
			return err
		}
		if open > 0 || !due(cs, before) {
			return errNothing
		}
		if gone, err = c.fileNames(id); err != nil {
			return err
		}
		// secure_delete makes SQLite write zeros over what is deleted.
		if err := errors.Join(
			c.exec("DELETE FROM bodies WHERE num IN (SELECT num FROM outbox WHERE case_id=?)", id),
			c.exec("DELETE FROM files WHERE case_id=?", id)); err != nil {
			return err
		}
		done = true
		_, err = c.record(entry(oplog.CaseShred, cs, system, map[string]string{"count": strconv.Itoa(len(gone))}), nil)
		return err
	})
	if err != nil || !done {
		return false, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return true, v.destroyScans(id, gone)
}

// destroyScans removes the files of a case for good: unlike an orphan of a
// submission that failed, these must not come back with a power cut. What
// cannot be removed is swept at the next start, however this run ends.
func (v *Vault) destroyScans(id string, names []string) error {
	err := v.dropScans(names)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("remove the scans of case %s: %w", id, err)
	return v.fail("destroy what was in a case", errors.Join(err, v.changeLocked("owe a sweep", func(c *change) error {
		return c.oweSweep()
	})))
}

// scrubAfter empties the WAL when anything was destroyed.
func (v *Vault) scrubAfter(n int) error {
	if n == 0 {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil // whoever closed the database removed its WAL
	}
	return v.fail("empty the WAL", v.scrub())
}

// errBusy means that SQLite could not empty the WAL.
var errBusy = errors.New("SQLite is busy")

// scrub moves what is in the WAL into the database and cuts the WAL to nothing.
// Whatever was overwritten or deleted since would else stand there, readable
// with the disk key, until other frames happen to be written over it.
func (v *Vault) scrub() error {
	if v.o.keepWAL {
		return nil
	}
	var busy, frames, moved int
	if err := v.db.QueryRow("PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved); err != nil {
		return err
	}
	if busy != 0 {
		return errBusy
	}
	return nil
}

// oweSweep lets the next start sweep, clean or not.
func (c *change) oweSweep() error {
	return c.exec("INSERT INTO meta(key, val) VALUES(?,?) ON CONFLICT(key) DO UPDATE SET val=excluded.val", metaOwed, []byte("1"))
}
