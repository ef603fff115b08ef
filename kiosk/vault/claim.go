package vault

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/mattn/go-sqlite3"
	"golang.org/x/mod/sumdb/tlog"

	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
)

// logClaim is what the log says of itself at one moment, beside its records. As
// the records go by they are compared with it.
type logClaim struct {
	start *oplog.Tree // what it begins after
	size  int64       // of the tree state
	root  []byte
	rows  int64 // number of the last record and one
	notes []storedNote
	seeds []storedSeed
	quiet bool // nothing but checkpoints since the last one

	told    bool        // a record tells of the pruning
	last    *storedNote // the newest checkpoint that was taken
	due     bool        // the record of it must come next
	signed  map[int64]bool
	hushed  bool       // quiet, as the records tell it
	keyed   bool       // the last record tells of a new key of the county
	changed *oplog.Bad // the lowest of what is wrong beside the records
	blind   bool       // see blindness
}

// blindness is what a verification does not look at, for tests of the tests.
type blindness struct{ nodes, columns, checkpoints bool }

// storedSeed is the enveloped seed of a chain of MAC keys.
type storedSeed struct {
	first    int64
	keyID    string
	envelope []byte
}

func (v *Vault) logClaim(ctx context.Context, db *sql.DB) (*logClaim, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c := &logClaim{start: v.start, size: v.tree.Size(), root: v.tree.Root(), quiet: v.quiet, signed: map[int64]bool{}}
	if err := db.QueryRow("SELECT coalesce(max(seq)+1, 0) FROM log_records").Scan(&c.rows); err != nil {
		return nil, err
	}
	var err error
	if c.notes, err = readNotes(ctx, db, math.MinInt64, math.MaxInt64); err != nil {
		return nil, err
	}
	if c.seeds, err = readSeeds(ctx, db); err != nil {
		return nil, err
	}
	if err := v.stateOf(db, c); err != nil {
		return nil, err
	}
	return c, foreign(db, c)
}

// stateOf compares what is stored of the log's state with what this program
// remembers. Only what is stored is there at the next start.
func (v *Vault) stateOf(db *sql.DB, c *logClaim) error {
	var tree, key []byte
	var quiet any
	err := db.QueryRow("SELECT tree, mac_key, quiet FROM log_state").Scan(&tree, &key, &quiet)
	defer clear(key)
	mine := v.chain.Key()
	defer clear(mine)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		c.bad(c.size, oplog.BadState, "the tree state is gone")
		return nil
	case err != nil:
		return err
	case !seal.Equal(tree, v.tree.Marshal()):
		c.bad(c.size, oplog.BadState, "the tree state is not the one that was written")
	case !seal.Equal(key, mine):
		c.bad(c.size, oplog.BadState, "the MAC key is not the one that was written")
	case quiet != map[bool]any{false: int64(0), true: int64(1)}[v.quiet]:
		c.bad(c.size, oplog.BadState, "the note whether there is something to sign was changed")
	}
	start, err := readStart(db)
	var broken sqlite3.Error
	if errors.As(err, &broken) {
		return err
	}
	if err != nil || !seal.Equal(start.Marshal(), v.start.Marshal()) {
		c.bad(v.start.Size(), oplog.BadState, "the state that the log begins after is not the one that was written")
	}
	return nil
}

// foreign looks for rows outside of the log: before its first record of all, and
// beyond its end.
func foreign(db *sql.DB, c *logClaim) error {
	var before, nodes int64
	if err := db.QueryRow("SELECT (SELECT count(*) FROM log_records WHERE seq<0)+(SELECT count(*) FROM log_nodes WHERE id<0),"+
		" (SELECT count(*) FROM log_nodes WHERE id>=?)", tlog.StoredHashIndex(0, c.size)).Scan(&before, &nodes); err != nil {
		return err
	}
	if before > 0 {
		c.bad(0, oplog.BadOrder, "%d rows with negative numbers", before)
	}
	if nodes > 0 {
		c.bad(c.size, oplog.BadOrder, "%d tree nodes of records that are not there", nodes)
	}
	return nil
}

func readSeeds(ctx context.Context, db *sql.DB) (out []storedSeed, err error) {
	rows, err := db.QueryContext(ctx, "SELECT first, key_id, envelope FROM log_seeds ORDER BY first")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s storedSeed
		if err := rows.Scan(&s.first, &s.keyID, &s.envelope); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// bad keeps the lowest of what is wrong beside the records.
func (c *logClaim) bad(seq int64, kind oplog.BadKind, format string, args ...any) {
	if c.changed == nil || seq < c.changed.Seq {
		c.changed = &oplog.Bad{Seq: seq, Last: seq, Kind: kind, What: fmt.Sprintf(format, args...)}
	}
}

// lower gives the error that names the lower record, of one and of what is wrong
// beside the records. What is no *oplog.Bad goes first: then nothing is known.
func (c *logClaim) lower(err error) error {
	if b := oplog.AsBad(err); c.changed != nil && (err == nil || b != nil && c.changed.Seq < b.Seq) {
		return c.changed
	}
	return err
}

// note is a checkpoint that is wrong; the record of its number is the one that
// tells of it.
func (c *logClaim) note(n storedNote, what string) error {
	at := max(n.size, 0)
	return &oplog.Bad{Seq: at, Last: at, Kind: oplog.BadNote, What: fmt.Sprintf("checkpoint of size %d: %s", n.size, what)}
}

// see checks a note's signatures, once.
func (n *storedNote) see(read func([]byte) oplog.NoteRead) oplog.NoteRead {
	if n.read == nil {
		r := read(n.note)
		n.read = &r
	}
	return *n.read
}

// take gives the verifier the checkpoints up to its size, and compares the
// columns beside them.
func (c *logClaim) take(ver *oplog.Verifier) error {
	for len(c.notes) > 0 && c.notes[0].size <= ver.Size() {
		n := c.notes[0]
		if n.size < c.start.Size() || n.odd {
			return c.note(n, "a row of no checkpoint")
		}
		read := n.see(ver.ReadNote)
		if read.Readable && read.Checkpoint.Size != n.size {
			return c.note(n, fmt.Sprintf("the note in it is of size %d", read.Checkpoint.Size))
		}
		cp, err := ver.TakeNote(read)
		switch {
		case err != nil:
			return err
		case !seal.Equal(n.root, cp.Root):
			return c.note(n, "the root beside it is another")
		case n.countersigned != (ver.Countersigned() == n.size) && ver.KnowsCounty():
			return c.note(n, "the mark of the county's signature beside it is wrong")
		}
		c.signed[n.size] = n.countersigned
		if c.changed != nil && c.changed.Seq < n.size {
			return c.changed // the records up to here are proved, so it is not they
		}
		c.last, c.due = &n, true
		c.notes = c.notes[1:]
	}
	return nil
}

// began demands, once the checkpoints of the first size were given, what must
// be there when a log does not begin at 0: the county's signature under what was
// pruned.
func (c *logClaim) began(ver *oplog.Verifier) error {
	if c.start.Size() == 0 || c.blind {
		return nil
	}
	if cp, ok := ver.Last(); !ok || cp.Size != c.start.Size() {
		return c.badStart("the checkpoint below which the log was pruned is not there")
	}
	if ver.Countersigned() != c.start.Size() {
		return c.badStart("the log was pruned below a checkpoint that the county did not sign")
	}
	return nil
}

// hear compares a record with what is kept of the things that it tells of. What
// does not fit is held back until the next checkpoint has proved the records: it
// may be they that were changed, at a lower number.
func (c *logClaim) hear(r oplog.Record) {
	if c.blind {
		return
	}
	c.seed(r)
	switch r.Event {
	case oplog.LogCheckpoint:
		c.checkpoint(r)
		c.hushed = true
	case oplog.LogCountersign:
		c.countersign(r)
	case oplog.LogPrune:
		c.told = c.told || r.Fields["to"] == strconv.FormatInt(c.start.Size(), 10)
		c.hushed = false
	default:
		c.hushed = false
	}
	if c.due { // its record would have come at once
		c.bad(c.last.size, oplog.BadNote, "no record tells of the checkpoint of size %d", c.last.size)
		c.due = false
	}
	c.keyed = r.Event == oplog.ConfigChange && r.Fields["key"] == keyCountySeal
}

func (c *logClaim) checkpoint(r oplog.Record) {
	switch {
	case !c.due:
		c.bad(r.Seq, oplog.BadNote, "the checkpoint that it tells of is not there")
	case r.Fields["size"] != strconv.FormatInt(c.last.size, 10), r.Fields["root"] != hex.EncodeToString(c.last.root):
		c.bad(r.Seq, oplog.BadNote, "it tells of another checkpoint than is there")
	case r.Wall.UnixNano() != c.last.at:
		c.bad(r.Seq, oplog.BadNote, "the time beside the checkpoint is another")
	}
	c.due = false
}

func (c *logClaim) countersign(r oplog.Record) {
	size, err := strconv.ParseInt(r.Fields["size"], 10, 64)
	counter, ok := c.signed[size]
	if err == nil && ok && !counter {
		c.bad(size, oplog.BadNote, "the county's signature that record %d tells of is not there", r.Seq)
	}
	delete(c.signed, size)
}

// seed compares a record with the seed of the MAC chain that begins with it.
func (c *logClaim) seed(r oplog.Record) {
	for len(c.seeds) > 0 && c.seeds[0].first < c.start.Size() {
		c.seeds = c.seeds[1:] // the record of it was pruned; the county opens it or does not
	}
	there := len(c.seeds) > 0 && c.seeds[0].first == r.Seq
	told := r.Event == oplog.LogSeed
	switch {
	case there && told:
		if s := c.seeds[0]; r.Fields["key"] != s.keyID || r.Fields["envelope"] != hex.EncodeToString(seal.Digest(s.envelope)) {
			c.bad(r.Seq, oplog.BadState, "the seed of MAC keys is not the one that it tells of")
		}
	case there && !c.keyed && (r.Seq != c.start.Size() || r.Seq == 0): // otherwise written before there was this event
		c.bad(r.Seq, oplog.BadState, "a seed of MAC keys that no record tells of")
	case told:
		c.bad(r.Seq, oplog.BadState, "the seed of MAC keys that it tells of is not there")
	}
	if there {
		c.seeds = c.seeds[1:]
	}
}

// finish looks at what must be so after the last record.
func (c *logClaim) finish() error {
	if c.blind {
		return nil
	}
	if c.due {
		c.bad(c.last.size, oplog.BadNote, "no record tells of the checkpoint of size %d", c.last.size)
	}
	for size, counter := range c.signed {
		if counter {
			c.bad(size, oplog.BadNote, "no record tells of the county's signature under the checkpoint of size %d", size)
		}
	}
	if n := len(c.seeds); n > 1 || n == 1 && (!c.keyed || c.seeds[0].first != c.size) {
		c.bad(c.size, oplog.BadState, "a seed of MAC keys for records that are not there")
	}
	if c.quiet != c.hushed {
		c.bad(c.size, oplog.BadState, "the note whether there is something to sign does not fit to the records")
	}
	if c.start.Size() > 0 && !c.told {
		// Rows that were only taken away have no record of it.
		c.bad(c.start.Size(), oplog.BadUncovered, "no record tells of the pruning")
	}
	return c.lower(nil)
}

func (c *logClaim) badStart(what string) error {
	return &oplog.Bad{Seq: c.start.Size(), Last: c.start.Size(), Kind: oplog.BadUncovered, What: what}
}
