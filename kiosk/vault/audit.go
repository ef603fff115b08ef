package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	gosync "sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
)

// page is how many records are read at a time: between pages others have the
// database.
const page = 1000

// stored is a record as it lies in the database.
type stored struct {
	seq  int64
	line []byte
}

// records calls f for the records from (within) to (not within), in order. The
// next page is read while f works on one.
func (v *Vault) records(ctx context.Context, db *sql.DB, from, to int64, f func(stored) error) error {
	type read struct {
		batch []stored
		err   error
	}
	ctx, cancel := context.WithCancel(ctx)
	pages := make(chan read, 1)
	var reader gosync.WaitGroup
	reader.Go(func() {
		defer close(pages)
		for at := from; at < to; {
			b, err := readRecords(ctx, db, at, min(page, to-at))
			select {
			case pages <- read{b, err}:
			case <-ctx.Done():
				return
			}
			if err != nil || len(b) == 0 {
				return
			}
			at = b[len(b)-1].seq + 1
		}
	})
	defer reader.Wait()
	defer cancel()
	for p := range pages {
		if p.err != nil {
			return p.err
		}
		for _, s := range p.batch {
			if s.seq >= to {
				return nil
			}
			if err := f(s); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

func readRecords(ctx context.Context, db *sql.DB, from, n int64) (out []stored, err error) {
	rows, err := db.QueryContext(ctx, "SELECT seq, rec FROM log_records WHERE seq>=? ORDER BY seq LIMIT ?", from, n)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s stored
		if err := rows.Scan(&s.seq, &s.line); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// LogReport is what LogVerify found.
type LogReport struct {
	oplog.Report
	Uncovered int64      // records after the last checkpoint
	Bad       *oplog.Bad // nil: the log is whole
	Took      time.Duration
}

// LogVerify checks every record that was not pruned, every node of the tree, the tree state and
// every checkpoint, while others go on working. When something is wrong, the
// report and the error name the first bad record (*oplog.Bad), and it is an
// incident. progress may be nil. What it found is in the log itself.
func (v *Vault) LogVerify(ctx context.Context, progress func(done, total int64)) (rep LogReport, err error) {
	const what = "verify the log"
	start := v.o.Now()
	db, err := v.reader(ctx, what)
	if err != nil {
		return rep, err
	}
	ver, err := v.verifyAll(ctx, db, progress)
	if ver == nil {
		return rep, v.fail(what, err)
	}
	rep.Report, rep.Bad = ver.Report(), oplog.AsBad(err)
	last, _ := ver.Last()
	rep.Uncovered, rep.Took = ver.Size()-last.Size, v.o.Now().Sub(start)
	if err != nil && rep.Bad == nil {
		return rep, v.fail(what, err)
	}
	e := oplog.Entry{Event: oplog.LogVerify, Fields: map[string]string{"size": strconv.FormatInt(ver.Size(), 10)}}
	if rep.Bad != nil {
		e.Outcome, e.Fields["bad"] = oplog.Failed, strconv.FormatInt(rep.Bad.Seq, 10)
		v.tell(Incident{Kind: IncidentLog, Text: "操作日志核验不过：" + rep.Bad.Text() + "请马上报告县里，不要重装终端。", Detail: rep.Bad.Error()})
	}
	if _, e := v.Record(ctx, e); e != nil {
		return rep, errors.Join(err, e)
	}
	if err != nil {
		return rep, fmt.Errorf("vault: %s: %w", what, err)
	}
	return rep, nil
}

// verifyAll is LogVerify's reading part: nobody prunes meanwhile. The verifier
// is nil when it could not begin.
func (v *Vault) verifyAll(ctx context.Context, db *sql.DB, progress func(done, total int64)) (*oplog.Verifier, error) {
	v.logMu.RLock()
	defer v.logMu.RUnlock()
	claim, err := v.logClaim(ctx, db)
	if err != nil {
		return nil, err
	}
	ver, err := v.verifier(ctx, claim.start)
	if err != nil {
		return nil, err
	}
	return ver, v.verify(ctx, db, ver, claim, progress)
}

// verifier makes a Verifier with the keys that the vault has.
func (v *Vault) verifier(ctx context.Context, start *oplog.Tree) (*oplog.Verifier, error) {
	county, err := v.countyKeys(ctx)
	if err != nil {
		return nil, err
	}
	return oplog.NewVerifier(oplog.VerifyOptions{Origin: v.origin, Start: start,
		Keys: oplog.Keys{Terminal: []*seal.PublicKey{v.PublicKey()}, County: county}})
}

// countyKeys are the keys with which the county signs; none before enrolment.
func (v *Vault) countyKeys(ctx context.Context) ([]*seal.PublicKey, error) {
	pem, ok, err := v.Get(ctx, keyCountySign)
	if err != nil || !ok {
		return nil, err
	}
	k, err := seal.ParsePublicKey(pem)
	if err != nil {
		v.log.Warn("vault: the county's signing key is not usable, its signatures are not looked at", "err", err)
		return nil, nil
	}
	return []*seal.PublicKey{k}, nil
}

// logClaim is what the log says of itself at one moment.
type logClaim struct {
	start *oplog.Tree // what it begins after
	size  int64       // of the tree state
	root  []byte
	rows  int64 // number of the last record and one
	notes []storedNote
	told  bool // a record tells of the pruning
}

func (v *Vault) logClaim(ctx context.Context, db *sql.DB) (c logClaim, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c.start, c.size, c.root = v.start, v.tree.Size(), v.tree.Root()
	if err := db.QueryRow("SELECT coalesce(max(seq)+1, 0) FROM log_records").Scan(&c.rows); err != nil {
		return c, err
	}
	c.notes, err = readNotes(ctx, db, c.start.Size(), math.MaxInt64)
	return c, err
}

// walk gives a Verifier the checkpoints and the records of a claim up to a
// size, and compares the stored nodes with them.
func (v *Vault) walk(ctx context.Context, db *sql.DB, ver *oplog.Verifier, claim *logClaim, to int64, progress func(done, total int64)) error {
	take := func() error {
		for len(claim.notes) > 0 && claim.notes[0].size <= ver.Size() {
			if _, err := ver.Checkpoint(claim.notes[0].note); err != nil {
				return err
			}
			claim.notes = claim.notes[1:]
		}
		return nil
	}
	tree := nodeCheck{ctx: ctx, db: db}
	if err := tree.begin(claim.start); err != nil {
		return err
	}
	if err := take(); err != nil {
		return err
	}
	if err := claim.began(ver); err != nil {
		return err
	}
	return v.records(ctx, db, claim.start.Size(), to, func(s stored) error {
		leaf, err := tree.record(s.seq, ver.Size())
		if err != nil {
			return err
		}
		r, err := ver.Record(s.line, leaf)
		if err != nil {
			return err
		}
		claim.hear(r)
		if err := take(); err != nil {
			return err
		}
		if progress != nil && ver.Size()%page == 0 {
			progress(ver.Size(), claim.size)
		}
		return nil
	})
}

func (v *Vault) verify(ctx context.Context, db *sql.DB, ver *oplog.Verifier, claim logClaim, progress func(done, total int64)) error {
	size := claim.size
	if err := v.walk(ctx, db, ver, &claim, size, progress); err != nil {
		return err
	}
	if len(claim.notes) > 0 { // a checkpoint of more records than there are
		if _, err := ver.Checkpoint(claim.notes[0].note); err != nil {
			return err
		}
	}
	if err := errors.Join(ver.Finish(), claim.finish()); err != nil {
		return err
	}
	switch at := ver.Size(); {
	case at < size:
		return &oplog.Bad{Seq: at, Last: size - 1, Kind: oplog.BadCut, What: fmt.Sprintf("the tree state knows of %d records, there are %d", size, at)}
	case claim.rows > size:
		return &oplog.Bad{Seq: size, Last: claim.rows - 1, Kind: oplog.BadOrder, What: fmt.Sprintf("records after the %d that the tree state knows of", size)}
	case !seal.Equal(claim.root, ver.Tree().Root()):
		return &oplog.Bad{Seq: at - 1, Last: at - 1, Kind: oplog.BadRoot, What: "the tree state has another root than the records"}
	}
	if progress != nil {
		progress(size, size)
	}
	return nil
}

type storedNote struct {
	size int64
	note []byte
}

// readNotes reads the checkpoints of the sizes from and to, both within.
func readNotes(ctx context.Context, db *sql.DB, from, to int64) (out []storedNote, err error) {
	rows, err := db.QueryContext(ctx, "SELECT size, note FROM checkpoints WHERE size>=? AND size<=? ORDER BY size", from, to)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var n storedNote
		if err := rows.Scan(&n.size, &n.note); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, rows.Err()
}

// nodeCheck walks the stored nodes beside the records: they lie in the order in
// which they were completed.
type nodeCheck struct {
	ctx   context.Context
	db    *sql.DB
	ahead [2 * page][]byte // nodes read ahead, from id first
	first int64
	next  int64      // first id not read yet
	left  [64][]byte // the last left child of each level
}

// begin takes the state that the log begins after, and checks that its nodes
// are kept: proofs need them.
func (t *nodeCheck) begin(start *oplog.Tree) error {
	first := start.Size()
	if first == 0 {
		return nil
	}
	kept, err := oplog.TreeAt(first, nodes(t.db))
	if err != nil && !errors.Is(err, sql.ErrNoRows) && !errors.Is(err, oplog.ErrTree) {
		return err
	}
	if err != nil || !seal.Equal(kept.Root(), start.Root()) {
		return t.bad(first, "a tree node of what was pruned is missing or changed", nil)
	}
	hashes := start.Hashes()
	for level := 0; first>>level > 0; level++ { // the lowest level stands last
		if first>>level&1 == 1 {
			t.left[level] = hashes[len(hashes)-1]
			hashes = hashes[:len(hashes)-1]
		}
	}
	return nil
}

// record returns the leaf hash kept for a record and checks the nodes that it
// completed. at is the record that should come.
func (t *nodeCheck) record(seq, at int64) (leaf []byte, err error) {
	if seq != at {
		return nil, nil // the verifier names it
	}
	id := tlog.StoredHashIndex(0, at)
	h, err := t.node(id)
	if err != nil || h == nil {
		return nil, t.bad(at, "its leaf hash is missing", err)
	}
	leaf = h
	level := 0
	for i := at; i&1 == 1; i >>= 1 {
		id++
		level++
		want := oplog.Hasher.HashChildren(t.left[level-1], h)
		if h, err = t.node(id); err != nil || !seal.Equal(h, want) {
			return nil, t.bad(at, fmt.Sprintf("tree node %d/%d is not what the records give", level, i>>1), err)
		}
	}
	t.left[level] = h
	return leaf, nil
}

func (t *nodeCheck) bad(seq int64, what string, err error) error {
	if err != nil {
		return err
	}
	return &oplog.Bad{Seq: seq, Last: seq, Kind: oplog.BadContent, What: what}
}

func (t *nodeCheck) node(id int64) (h []byte, err error) {
	if id >= t.next {
		rows, err := t.db.QueryContext(t.ctx, "SELECT id, hash FROM log_nodes WHERE id>=? AND id<? ORDER BY id", id, id+int64(len(t.ahead)))
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		clear(t.ahead[:])
		t.first, t.next = id, id+int64(len(t.ahead))
		for rows.Next() {
			var k int64
			var b []byte
			if err := rows.Scan(&k, &b); err != nil {
				return nil, err
			}
			t.ahead[k-t.first] = b
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
	}
	return t.ahead[id-t.first], nil
}

// LogExport writes the log up to its newest checkpoint, which it signs when
// something happened since the last, in the form that oplog.VerifyExport and a
// stranger with openssl can check.
func (v *Vault) LogExport(ctx context.Context, w io.Writer) error {
	const what = "export the log"
	note, _, err := v.Checkpoint(ctx, 0)
	if err != nil {
		return err
	}
	cp, err := oplog.PeekCheckpoint(note)
	if err != nil {
		return v.fail(what, err)
	}
	db, err := v.reader(ctx, what)
	if err != nil {
		return err
	}
	first, err := v.export(ctx, db, w, cp.Size)
	if err != nil {
		return v.fail(what, err)
	}
	_, err = v.Record(ctx, oplog.Entry{Event: oplog.LogExport, Fields: map[string]string{
		"first": strconv.FormatInt(first, 10), "size": strconv.FormatInt(cp.Size, 10),
	}})
	return err
}

// export is LogExport's reading part: nobody prunes meanwhile. A pruned log
// begins with the countersigned note of what was pruned.
func (v *Vault) export(ctx context.Context, db *sql.DB, w io.Writer, size int64) (first int64, err error) {
	v.logMu.RLock()
	defer v.logMu.RUnlock()
	v.mu.Lock()
	start := v.start
	v.mu.Unlock()
	first = start.Size()
	notes, err := readNotes(ctx, db, first, size)
	if err != nil {
		return first, err
	}
	x, err := oplog.NewExportWriter(w, oplog.ExportHeader{Origin: v.origin, Software: v.o.Version, Made: v.o.Now(), Left: start})
	if err != nil {
		return first, err
	}
	upTo := func(size int64) error {
		for len(notes) > 0 && notes[0].size <= size {
			if err := x.Checkpoint(notes[0].note); err != nil {
				return err
			}
			notes = notes[1:]
		}
		return nil
	}
	if err := upTo(first); err != nil {
		return first, err
	}
	err = v.records(ctx, db, first, size, func(s stored) error {
		return errors.Join(x.Record(s.line, nil), upTo(s.seq+1))
	})
	return first, errors.Join(err, x.Close())
}

// Stats describe the vault for the technician's page.
type Stats struct {
	Path       string
	Terminal   string // "" before enrolment
	Bytes      int64  // database
	WALBytes   int64
	FreeBytes  int64
	KeySource  string
	Cases      int64
	Records    int64 // of the log
	Counts     cases.Counts
	OldestOpen time.Time // save time of the oldest item that is not settled; zero when there is none
	Origin     string
	KeyID      string // of the log's key
}

// Stats measures the vault.
func (v *Vault) Stats(ctx context.Context) (s Stats, err error) {
	const what = "measure the vault"
	db, err := v.reader(ctx, what)
	if err != nil {
		return s, err
	}
	s = Stats{Path: v.path(dbName), KeySource: v.source.Source, Origin: v.origin, KeyID: v.PublicKey().ID()}
	if v.o.Terminal != nil {
		s.Terminal = v.o.Terminal()
	}
	if s.Bytes, err = v.fs.Size(s.Path); err != nil {
		return s, v.fail(what, err)
	}
	if n, err := v.fs.Size(s.Path + "-wal"); err == nil {
		s.WALBytes = n
	}
	if s.FreeBytes, err = v.o.FreeBytes(v.o.Dir); err != nil {
		return s, v.fail(what, err)
	}
	var oldest sql.NullInt64
	err = errors.Join(
		// Cases are never deleted, so that the last number is their count.
		db.QueryRow("SELECT coalesce(max(num), 0) FROM cases").Scan(&s.Cases),
		db.QueryRow("SELECT min(saved) FROM outbox WHERE open IS NOT NULL").Scan(&oldest))
	if err != nil {
		return s, v.fail(what, err)
	}
	if oldest.Valid {
		s.OldestOpen = time.Unix(0, oldest.Int64)
	}
	v.mu.Lock()
	s.Records = v.tree.Size()
	v.mu.Unlock()
	s.Counts, err = v.Counts(ctx)
	return s, err
}
