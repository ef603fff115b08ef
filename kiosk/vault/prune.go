package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
)

// MinLogAge is how long every log record is kept, whatever is asked: the six
// months that the Cybersecurity Law (网络安全法 §21) demands of network logs.
const MinLogAge = 183 * 24 * time.Hour

// firstYear is the year before which no terminal was in service: a record of
// an earlier time was written by a clock that had been lost.
const firstYear = 2025

// pruneBatch is how many records are deleted in one transaction.
const pruneBatch = page

// ErrPruned means that the log does not reach back so far any more.
var ErrPruned = errors.New("the log was pruned beyond that")

// Prune takes records older than a time out of the log, and tells how many: all
// below the newest checkpoint that the county signed too and that only such
// records are under. Nothing younger than MinLogAge goes, nothing when there is
// no such checkpoint, and nothing that does not verify: a damage would be
// destroyed with its traces. What must stay for proofs and for verification
// stays: the state of the tree at that checkpoint, its note, and the MAC seed
// of the chain that runs over it. From then on the log begins there, and a
// record of its own tells of the pruning, in the same transaction.
//
// The rows themselves go in batches afterwards, so that nobody waits for them
// long; what a cut leaves of them is outside of the log, and the next Prune
// removes it.
func (v *Vault) Prune(ctx context.Context, before time.Time) (pruned int64, err error) {
	const what = "prune the log"
	if least := v.o.Now().Add(-MinLogAge); before.After(least) {
		before = least
	}
	v.logMu.Lock()
	defer v.logMu.Unlock()
	db, err := v.reader(ctx, what)
	if err != nil {
		return 0, err
	}
	first, to, err := v.prunable(ctx, db, before)
	if err != nil {
		return 0, v.fail(what, err)
	}
	if to > first {
		if err := v.pruneTo(ctx, db, to); err != nil {
			return 0, v.fail(what, err)
		}
	}
	n, err := v.sweepPruned(ctx)
	if n > 0 {
		err = errors.Join(err, v.scrubAfter(1))
	}
	return max(to-first, 0), v.fail(what, err)
}

// prunable tells where the log begins and where it could: the size of the
// newest countersigned checkpoint under which every record is old; first when
// there is none.
func (v *Vault) prunable(ctx context.Context, db *sql.DB, before time.Time) (first, to int64, err error) {
	v.mu.Lock()
	first = v.start.Size()
	v.mu.Unlock()
	old, err := oldRecords(ctx, db, first, before)
	if err != nil {
		return first, first, err
	}
	err = db.QueryRowContext(ctx, "SELECT coalesce(max(size), ?1) FROM checkpoints WHERE countersigned=1 AND size>?1 AND size<=?2",
		first, old).Scan(&to)
	return first, to, err
}

// oldRecords returns the number behind the last record that is certainly older
// than a time. Clocks get lost, so that a record's own time is no proof: it
// counts only when no record before it has a later one, and then everything
// before it is older still.
func oldRecords(ctx context.Context, db *sql.DB, first int64, before time.Time) (old int64, err error) {
	old = first
	latest := time.Date(firstYear, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	for at := first; ; {
		times, err := readTimes(ctx, db, at)
		if err != nil || len(times) == 0 {
			return old, err
		}
		for _, t := range times {
			if t.wall >= before.UnixNano() {
				return old, nil
			}
			if t.wall >= latest {
				latest, old = t.wall, t.seq+1
			}
		}
		at = times[len(times)-1].seq + 1
	}
}

// recordTime is when a record says that it was written, ns since 1970.
type recordTime struct{ seq, wall int64 }

// readTimes reads a page of times from a record on.
func readTimes(ctx context.Context, db *sql.DB, from int64) (out []recordTime, err error) {
	rows, err := db.QueryContext(ctx, "SELECT seq, wall FROM log_records WHERE seq>=? ORDER BY seq LIMIT ?", from, page)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var t recordTime
		if err := rows.Scan(&t.seq, &t.wall); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

// pruneTo makes the log begin at a size, once everything below it verifies.
func (v *Vault) pruneTo(ctx context.Context, db *sql.DB, to int64) error {
	note, err := v.proveBelow(ctx, db, to)
	if err != nil {
		return err
	}
	start, err := oplog.TreeAt(to, nodes(db))
	if err != nil {
		return err
	}
	if !seal.Equal(start.Root(), note.Root) {
		return &oplog.Bad{Seq: v.start.Size(), Last: to - 1, Kind: oplog.BadRoot, What: "the stored nodes do not give the checkpoint's root"}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	err = v.changeLocked("begin the log anew", func(c *change) error {
		if err := errors.Join(
			c.exec("INSERT INTO log_pruned(one, size, tree) VALUES(1,?,?) ON CONFLICT(one) DO UPDATE SET size=excluded.size, tree=excluded.tree",
				to, start.Marshal()),
			c.exec("DELETE FROM checkpoints WHERE size<?", to),
			// The chain of MACs that runs over the cut is checked from its seed.
			c.exec("DELETE FROM log_seeds WHERE first<(SELECT max(first) FROM log_seeds WHERE first<=?)", to)); err != nil {
			return err
		}
		_, err := c.record(oplog.Entry{Event: oplog.LogPrune, Fields: map[string]string{
			"from": strconv.FormatInt(v.start.Size(), 10), "to": strconv.FormatInt(to, 10), "root": fmt.Sprintf("%x", start.Root()),
		}}, nil)
		return err
	})
	if err != nil {
		return err
	}
	v.start = start
	return nil
}

// proveBelow verifies what is about to go, and that the county signed it.
func (v *Vault) proveBelow(ctx context.Context, db *sql.DB, to int64) (oplog.Checkpoint, error) {
	claim, err := v.logClaim(ctx, db)
	if err != nil {
		return oplog.Checkpoint{}, err
	}
	ver, err := v.verifier(ctx, claim.start)
	if err != nil {
		return oplog.Checkpoint{}, err
	}
	if err := claim.lower(v.walk(ctx, db, ver, claim, to, nil)); err != nil {
		return oplog.Checkpoint{}, err
	}
	cp, ok := ver.Last()
	if !ok || cp.Size != to || ver.Countersigned() != to {
		return oplog.Checkpoint{}, fmt.Errorf("%w: size %d", ErrCountersign, to)
	}
	return cp, nil
}

// sweepPruned deletes the rows that are not in the log any more, a batch at a
// time, and tells how many records they were.
func (v *Vault) sweepPruned(ctx context.Context) (n int64, err error) {
	v.mu.Lock()
	start := v.start
	v.mu.Unlock()
	keep := map[int64]bool{}
	if _, err := oplog.TreeAt(start.Size(), func(ids []oplog.NodeID) ([][]byte, error) {
		for _, id := range ids {
			keep[tlog.StoredHashIndex(id.Level, id.Index)] = true
		}
		return start.Hashes(), nil
	}); err != nil {
		return 0, err
	}
	for {
		var records, rows int64
		if err := v.change(ctx, "delete pruned records", func(c *change) (err error) {
			if records, err = c.deleted("DELETE FROM log_records WHERE seq IN (SELECT seq FROM log_records WHERE seq<? ORDER BY seq LIMIT ?)",
				start.Size(), pruneBatch); err != nil {
				return err
			}
			rows, err = c.deleteNodes(tlog.StoredHashIndex(0, start.Size()), keep)
			return err
		}); err != nil {
			return n, err
		}
		n += records
		if records == 0 && rows == 0 {
			return n, nil
		}
	}
}

func (c *change) deleted(query string, args ...any) (int64, error) {
	r, err := c.tx.Exec(query, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// deleteNodes deletes a batch of the nodes before an id but for those to keep,
// which are at most 63 and so never fill a batch alone.
func (c *change) deleteNodes(before int64, keep map[int64]bool) (n int64, err error) {
	rows, err := c.tx.Query("SELECT id FROM log_nodes WHERE id<? ORDER BY id LIMIT ?", before, 2*pruneBatch)
	if err != nil {
		return 0, err
	}
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return 0, errors.Join(err, rows.Close())
		}
		if !keep[id] {
			ids = append(ids, id)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return 0, err
	}
	for _, id := range ids {
		if err := c.exec("DELETE FROM log_nodes WHERE id=?", id); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// readStart reads what the log begins after.
func readStart(db *sql.DB) (*oplog.Tree, error) {
	var size int64
	var tree []byte
	err := db.QueryRow("SELECT size, tree FROM log_pruned").Scan(&size, &tree)
	if errors.Is(err, sql.ErrNoRows) {
		return &oplog.Tree{}, nil
	}
	if err != nil {
		return nil, err
	}
	t, err := oplog.UnmarshalTree(tree)
	if err == nil && t.Size() != size {
		err = fmt.Errorf("%w: pruned to %d, the state is of %d", oplog.ErrTree, size, t.Size())
	}
	return t, err
}
