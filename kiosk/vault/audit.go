package vault

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"strconv"
	gosync "sync"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
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

// storedNote is a checkpoint as it lies in the database.
type storedNote struct {
	size, at      int64
	root, note    []byte
	countersigned bool
	odd           bool            // a column has a type that it never had
	read          *oplog.NoteRead // once its signatures were checked
}

// readNotes reads the checkpoints of the sizes from and to, both within.
func readNotes(ctx context.Context, db *sql.DB, from, to int64) (out []storedNote, err error) {
	rows, err := db.QueryContext(ctx, "SELECT size, at, root, note, countersigned FROM checkpoints WHERE size>=? AND size<=? ORDER BY size", from, to)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var n storedNote
		var at, countersigned any
		if err := rows.Scan(&n.size, &at, &n.root, &n.note, &countersigned); err != nil {
			return nil, err
		}
		var ok bool
		n.at, ok = at.(int64)
		n.countersigned = countersigned == int64(1)
		n.odd = !ok || !n.countersigned && countersigned != int64(0)
		out = append(out, n)
	}
	return out, rows.Err()
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

// seedsBefore are the seeds of the MAC chains of a log of a size.
func seedsBefore(ctx context.Context, db *sql.DB, size int64) (out []oplog.Seed, err error) {
	all, err := readSeeds(ctx, db)
	for _, s := range all {
		if s.first < size {
			out = append(out, oplog.Seed{First: s.first, KeyID: s.keyID, Envelope: s.envelope})
		}
	}
	return out, err
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
	seeds, err := seedsBefore(ctx, db, size)
	if err != nil {
		return first, err
	}
	x, err := oplog.NewExportWriter(w, oplog.ExportHeader{Origin: v.origin, Software: v.o.Version, Made: v.o.Now(), Left: start, Seeds: seeds})
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
