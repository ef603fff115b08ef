package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"

	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
)

// The settings that the log looks at; they belong to sync.
const (
	keyCountySeal = "county/seal-key"
	keyCountySign = "county/sign-key"
	// prefixFormerSign keeps the county's signing keys of before, each under its
	// id: what they signed stays signed.
	prefixFormerSign = "county/sign-key/former/"
)

// maxLogValue is what the log takes as a field's value, bytes.
const maxLogValue = 240

// record adds a record to the log, as part of the change. private is the sealed
// personal part, nil for none.
func (c *change) record(e oplog.Entry, private []byte) (seq int64, err error) {
	e = e.Normal()
	for k, s := range e.Fields {
		e.Fields[k] = clip(s, maxLogValue)
	}
	if private != nil {
		e.Private = seal.Digest(private)
	}
	if err := e.Check(); err != nil {
		return 0, fmt.Errorf("log %s: %w", e.Event, err)
	}
	o := &c.v.o
	seq = c.tree.Size()
	r := e.Record(oplog.Stamp{Seq: seq, Wall: c.now, Mono: o.Mono(), BootID: o.BootID(), Version: o.Version})
	c.chain.Sign(&r)
	line := r.Encode()
	var caseID any
	if r.CaseID != "" {
		caseID = r.CaseID
	}
	if err := c.exec("INSERT INTO log_records(seq, wall, case_id, rec, private) VALUES(?,?,?,?,?)",
		seq, c.now.UnixNano(), caseID, line, private); err != nil {
		return 0, fmt.Errorf("log %s: %w", e.Event, err)
	}
	for _, n := range c.tree.Append(line) {
		if err := c.exec("INSERT INTO log_nodes(id, hash) VALUES(?,?)", tlog.StoredHashIndex(n.Level, n.Index), n.Hash); err != nil {
			return 0, fmt.Errorf("log %s: tree: %w", e.Event, err)
		}
	}
	switch e.Event {
	case oplog.LogCheckpoint, oplog.LogCountersign:
	default:
		c.quiet = false
	}
	c.wrote = true
	return seq, nil
}

// saveLog writes the tree state and the MAC key of the next record over the old.
func (c *change) saveLog() error {
	key := c.chain.Key()
	defer clear(key)
	err := c.exec("INSERT INTO log_state(one, tree, mac_key, quiet) VALUES(1,?,?,?)"+
		" ON CONFLICT(one) DO UPDATE SET tree=excluded.tree, mac_key=excluded.mac_key, quiet=excluded.quiet",
		c.tree.Marshal(), key, c.quiet)
	if err != nil {
		return fmt.Errorf("log state: %w", err)
	}
	return nil
}

// reseed begins a new chain of MAC keys whose seed only the county can open. The
// first record under it commits to the envelope, or somebody could put another
// there, and nobody could check the MACs any more.
func (c *change) reseed(county *seal.PublicKey) error {
	seed, err := seal.NewKey(c.v.o.Rand)
	if err != nil {
		return err
	}
	defer seed.Wipe()
	first := c.tree.Size()
	env, err := county.Envelop(c.v.o.Rand, seed, oplog.SeedAAD(c.v.origin, first))
	if err != nil {
		return err
	}
	if err := c.exec("INSERT INTO log_seeds(first, key_id, envelope) VALUES(?,?,?)"+
		" ON CONFLICT(first) DO UPDATE SET key_id=excluded.key_id, envelope=excluded.envelope", first, county.ID(), env); err != nil {
		return fmt.Errorf("keep the log's seed: %w", err)
	}
	c.chain.Wipe()
	c.chain = oplog.NewChain(seed)
	_, err = c.record(oplog.Entry{Event: oplog.LogSeed, Fields: map[string]string{
		"key": county.ID(), "envelope": fmt.Sprintf("%x", seal.Digest(env)),
	}}, nil)
	return err
}

// keepFormer keeps the county's signing key that is about to be replaced: the
// log holds notes which it signed, and they must verify for ever.
func (c *change) keepFormer(old []byte) error {
	k, err := seal.ParsePublicKey(old)
	if err != nil {
		return nil // nothing was ever signed with it
	}
	return c.exec("INSERT INTO settings(key, val) VALUES(?,?) ON CONFLICT(key) DO UPDATE SET val=excluded.val", prefixFormerSign+k.ID(), old)
}

// clip shortens a text to n bytes at a character's end.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Record writes one record in a transaction of its own and returns its number.
// Errors: oplog.ErrEntry for an entry that the event catalogue does not allow.
func (v *Vault) Record(ctx context.Context, e oplog.Entry) (seq int64, err error) {
	err = v.change(ctx, "log "+string(e.Event), func(c *change) (err error) {
		seq, err = c.record(e, nil)
		return err
	})
	return seq, err
}

// LogState is the operation log as it is now.
type LogState struct {
	Origin         string
	First          int64 // number of the oldest record that was not pruned
	Size           int64
	Root           []byte
	LastCheckpoint []byte // signed note, nil before the first
	LastSize       int64  // its size
	LastAt         time.Time
	Countersigned  int64 // largest size that the county signed too, 0 = none
}

// LogState tells how the log stands.
func (v *Vault) LogState(ctx context.Context) (LogState, error) {
	db, err := v.reader(ctx, "log state")
	if err != nil {
		return LogState{}, err
	}
	v.mu.Lock()
	s := LogState{Origin: v.origin, First: v.start.Size(), Size: v.tree.Size(), Root: v.tree.Root()}
	v.mu.Unlock()
	var at int64
	err = db.QueryRow("SELECT size, at, note FROM checkpoints ORDER BY size DESC LIMIT 1").Scan(&s.LastSize, &at, &s.LastCheckpoint)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return LogState{}, v.fail("log state", err)
	}
	if err == nil {
		s.LastAt = time.Unix(0, at)
	}
	err = db.QueryRow("SELECT coalesce(max(size), 0) FROM checkpoints WHERE countersigned=1").Scan(&s.Countersigned)
	return s, v.fail("log state", err)
}

// nodes reads stored tree nodes.
func nodes(q interface {
	QueryRow(query string, args ...any) *sql.Row
}) oplog.Getter {
	return func(ids []oplog.NodeID) ([][]byte, error) {
		out := make([][]byte, len(ids))
		for i, id := range ids {
			err := q.QueryRow("SELECT hash FROM log_nodes WHERE id=?", tlog.StoredHashIndex(id.Level, id.Index)).Scan(&out[i])
			if err != nil {
				return nil, fmt.Errorf("node %d/%d: %w", id.Level, id.Index, err)
			}
		}
		return out, nil
	}
}

// Checkpoint signs the log as it is now and returns the note, with the proof
// that the log of size since is its beginning (nil when since is 0 or the
// note's own size). When nothing happened since the last checkpoint, that one
// is given again. With a new one, every MAC key of before is gone from the disk.
// Errors: ErrPruned for a since below where the log begins.
func (v *Vault) Checkpoint(ctx context.Context, since int64) (note []byte, proof [][]byte, err error) {
	signed := false
	err = v.changeIf(ctx, "checkpoint", func(c *change) (err error) {
		note, proof, err = c.checkpoint(since)
		signed = err == nil
		return err
	})
	if signed && err == nil {
		v.forgetKeys()
	}
	return note, proof, err
}

// forgetKeys empties the WAL: until then each commit since it was last emptied
// stands in it with the MAC key of its time, from which whoever has the disk key
// could make the MACs of every later record anew. It comes after a checkpoint,
// so that what can be rewritten with a stolen disk and its key is at most what
// happened since the last one; doing it after every record would cost a second
// sync each.
func (v *Vault) forgetKeys() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return // the WAL went with the database
	}
	if err := v.scrub(); err != nil { // the checkpoint is signed and kept all the same
		v.log.Warn("vault: old MAC keys stay in the WAL until the next checkpoint", "err", err)
	}
}

func (c *change) checkpoint(since int64) (note []byte, proof [][]byte, err error) {
	size := c.tree.Size()
	fresh := true
	if c.quiet {
		err := c.tx.QueryRow("SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1").Scan(&size, &note)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, nil, err
		}
		fresh = err != nil
	}
	if fresh {
		size = c.tree.Size()
		if note, err = c.sign(); err != nil {
			return nil, nil, err
		}
	}
	if since < 0 || since > size {
		return nil, nil, fmt.Errorf("the log has %d records at this checkpoint, a proof from %d was asked for", size, since)
	}
	if since > 0 && since < c.v.start.Size() {
		return nil, nil, fmt.Errorf("%w: a proof from %d was asked for, the log begins at %d", ErrPruned, since, c.v.start.Size())
	}
	if since > 0 && since < size {
		if proof, err = oplog.ConsistencyProof(since, size, nodes(c.tx)); err != nil {
			return nil, nil, err
		}
	}
	if !fresh {
		return note, proof, errNothing
	}
	return note, proof, nil
}

// sign makes and keeps a checkpoint of the log as it is in this change, and
// adds the record of it.
func (c *change) sign() ([]byte, error) {
	cp := oplog.Checkpoint{Origin: c.v.origin, Size: c.tree.Size(), Root: c.tree.Root()}
	note, err := oplog.SignCheckpoint(c.v.o.Rand, cp, c.v.origin, c.v.sign)
	if err != nil {
		return nil, err
	}
	if err := c.exec("INSERT INTO checkpoints(size, at, root, note) VALUES(?,?,?,?)", cp.Size, c.now.UnixNano(), cp.Root, note); err != nil {
		return nil, fmt.Errorf("keep the checkpoint: %w", err)
	}
	_, err = c.record(oplog.Entry{Event: oplog.LogCheckpoint, Fields: map[string]string{
		"size": strconv.FormatInt(cp.Size, 10), "root": fmt.Sprintf("%x", cp.Root),
	}}, nil)
	c.quiet = true
	return note, err
}

// ErrCountersign means that a note is not one of this log's checkpoints with
// the county's signature.
var ErrCountersign = errors.New("not a checkpoint of this log that the county signed")

// Countersign keeps a checkpoint that the county signed too. The county's key
// is the setting county/sign-key. Errors: ErrCountersign. Idempotent.
func (v *Vault) Countersign(ctx context.Context, note []byte) error {
	return v.changeIf(ctx, "countersign", func(c *change) error {
		pem, ok, err := c.setting(keyCountySign)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("%w: the county's key is not there yet", ErrCountersign)
		}
		key, err := seal.ParsePublicKey(pem)
		if err != nil {
			return fmt.Errorf("the county's signing key: %w", err)
		}
		cp, err := oplog.OpenCheckpoint(note, oplog.CountyName, key)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrCountersign, err)
		}
		if _, err := oplog.OpenCheckpoint(note, v.origin, v.sign.Public()); err != nil || cp.Origin != v.origin {
			return fmt.Errorf("%w: of %q", ErrCountersign, cp.Origin)
		}
		var root []byte
		var already bool
		err = c.tx.QueryRow("SELECT root, countersigned FROM checkpoints WHERE size=?", cp.Size).Scan(&root, &already)
		switch {
		case errors.Is(err, sql.ErrNoRows) || err == nil && !seal.Equal(root, cp.Root):
			return fmt.Errorf("%w: size %d", ErrCountersign, cp.Size)
		case err != nil:
			return err
		case already:
			return errNothing
		}
		if err := c.exec("UPDATE checkpoints SET note=?, countersigned=1 WHERE size=?", note, cp.Size); err != nil {
			return err
		}
		_, err = c.record(oplog.Entry{Event: oplog.LogCountersign, Fields: map[string]string{
			"size": strconv.FormatInt(cp.Size, 10), "key": key.ID(),
		}}, nil)
		return err
	})
}

// LogProof proves that a case's submission is in the log: the record's leaf
// hash with Hashes gives Root, which Note signs.
type LogProof struct {
	Index  int64 // of the record
	Size   int64 // of the log that Note signs
	Root   []byte
	Hashes [][]byte
	Leaf   []byte // leaf hash of the record
	Record []byte // the record, as it is encoded
	Note   []byte // signed checkpoint of Size
}

// LogProof makes the inclusion proof of a case's present revision, against the
// first checkpoint that covers it and that the county signed too, or else the
// first that covers it, since the proof grows with the log; where there is
// none, one is signed. Errors: cases.ErrNotFound, ErrPruned.
func (v *Vault) LogProof(ctx context.Context, caseID string) (p LogProof, err error) {
	err = v.changeIf(ctx, "log proof", func(c *change) error {
		cs, err := c.caseOf(caseID)
		if err != nil {
			return err
		}
		p = LogProof{Index: cs.LogIndex}
		if p.Index < v.start.Size() {
			return fmt.Errorf("%w: record %d of case %s, the log begins at %d", ErrPruned, p.Index, caseID, v.start.Size())
		}
		err = sql.ErrNoRows
		for _, counter := range []int{1, 0} {
			if errors.Is(err, sql.ErrNoRows) {
				err = c.tx.QueryRow("SELECT size, root, note FROM checkpoints WHERE size>? AND countersigned>=? ORDER BY size LIMIT 1", p.Index, counter).
					Scan(&p.Size, &p.Root, &p.Note)
			}
		}
		signed := false
		if errors.Is(err, sql.ErrNoRows) {
			p.Size, p.Root, signed = c.tree.Size(), c.tree.Root(), true
			p.Note, err = c.sign()
		}
		if err != nil {
			return err
		}
		get := nodes(c.tx)
		if p.Hashes, err = oplog.InclusionProof(p.Index, p.Size, get); err != nil {
			return err
		}
		leaf, err := get([]oplog.NodeID{{Level: 0, Index: p.Index}})
		if err != nil {
			return err
		}
		p.Leaf = leaf[0]
		if err := c.tx.QueryRow("SELECT rec FROM log_records WHERE seq=?", p.Index).Scan(&p.Record); err != nil {
			return fmt.Errorf("record %d: %w", p.Index, err)
		}
		if !signed {
			return errNothing
		}
		return nil
	})
	return p, err
}
