package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sort"
	gosync "sync"

	"golang.org/x/mod/sumdb/tlog"

	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
)

// block is a run of records with everything that lies beside them. Blocks are
// read one after the other, decoded and hashed in parallel, and verified in
// order: SQLite, the hashes and the tree each keep a core busy, and no more than
// a few blocks are in memory at a time.
type block struct {
	from, to  int64 // records, from within, to not
	rows      []row
	firstNode int64
	nodes     [][]byte     // from firstNode to the last that these records complete; nil = missing
	notes     []storedNote // checkpoints of the sizes after from, to within
	readNote  func([]byte) oplog.NoteRead
	err       error
	ready     chan struct{} // closed when rows are prepared
}

// row is a record and what is kept beside it.
type row struct {
	seq    int64
	line   []byte
	wall   any // columns as they came: their types may have been changed too
	caseID any
	sealed any
	read   oplog.Read
	beside string // what is wrong with the columns; "" = nothing
}

// blocks calls f for each block of records from (within) to (not within), in
// order. notes are checkpoints in the order of their sizes; those of a block are
// read before f is called for it.
func (v *Vault) blocks(ctx context.Context, db *sql.DB, from, to int64, notes []storedNote, read func([]byte) oplog.NoteRead, f func(*block) error) error {
	ctx, cancel := context.WithCancel(ctx)
	workers := runtime.GOMAXPROCS(0)
	work, order := make(chan *block, workers), make(chan *block, workers)
	var running gosync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() {
		defer close(order)
		defer close(work)
		for at := from; at < to && ctx.Err() == nil; at += page {
			b := readBlock(ctx, db, at, min(at+page, to))
			b.notes, notes = until(notes, b.to)
			b.readNote = read
			for _, c := range []chan *block{work, order} {
				select {
				case c <- b:
				case <-ctx.Done():
					return
				}
			}
			if b.err != nil {
				return
			}
		}
	})
	for range workers {
		running.Go(func() {
			for b := range work {
				b.prepare()
				close(b.ready)
			}
		})
	}
	for b := range order {
		<-b.ready // whoever is in order was given to a worker before
		if b.err != nil {
			return b.err
		}
		if err := f(b); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// readBlock has the database for some milliseconds: between blocks others have
// it. ctx is heeded between blocks only, for watching it would cost as much as
// reading.
func readBlock(ctx context.Context, db *sql.DB, from, to int64) *block {
	b := &block{from: from, to: to, ready: make(chan struct{}), firstNode: tlog.StoredHashIndex(0, from)}
	ctx = context.WithoutCancel(ctx)
	b.err = errors.Join(b.readRows(ctx, db), b.readNodes(ctx, db))
	return b
}

func (b *block) readRows(ctx context.Context, db *sql.DB) (err error) {
	rows, err := db.QueryContext(ctx, "SELECT seq, rec, wall, case_id, private FROM log_records WHERE seq>=? AND seq<? ORDER BY seq", b.from, b.to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	b.rows = make([]row, 0, b.to-b.from)
	var rec sql.RawBytes
	arena := make([]byte, 0, (b.to-b.from)*usualLine)
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.seq, &rec, &r.wall, &r.caseID, &r.sealed); err != nil {
			return err
		}
		n := len(arena)
		arena = append(arena, rec...)
		r.line = arena[n:len(arena):len(arena)]
		b.rows = append(b.rows, r)
	}
	return rows.Err()
}

// usualLine is the room, in bytes, that most records fit into.
const usualLine = 400

func (b *block) readNodes(ctx context.Context, db *sql.DB) (err error) {
	end := tlog.StoredHashIndex(0, b.to)
	rows, err := db.QueryContext(ctx, "SELECT id, hash FROM log_nodes WHERE id>=? AND id<? ORDER BY id", b.firstNode, end)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	b.nodes = make([][]byte, end-b.firstNode)
	arena := make([]byte, 0, len(b.nodes)*oplog.HashSize)
	var hash sql.RawBytes
	var id any
	for rows.Next() {
		if err := rows.Scan(&id, &hash); err != nil {
			return err
		}
		n := len(arena)
		arena = append(arena, hash...)
		b.nodes[id.(int64)-b.firstNode] = arena[n:len(arena):len(arena)]
	}
	return rows.Err()
}

// until parts notes after the last of a size.
func until(notes []storedNote, size int64) (these, rest []storedNote) {
	n := sort.Search(len(notes), func(i int) bool { return notes[i].size > size })
	return notes[:n], notes[n:]
}

// prepare does what needs no other record.
func (b *block) prepare() {
	for i := range b.notes {
		b.notes[i].see(b.readNote)
	}
	for i := range b.rows {
		r := &b.rows[i]
		r.read = oplog.ReadRecord(r.line)
		r.beside = r.compare()
	}
}

// compare says which column beside a record is not what the record says.
func (r *row) compare() string {
	rec := &r.read.Record
	if wall, ok := r.wall.(int64); !ok || wall != rec.Wall.UnixNano() {
		return fmt.Sprintf("the time beside it is %v", r.wall)
	}
	if id, ok := r.caseID.(string); ok != (rec.CaseID != "") || id != rec.CaseID || !ok && r.caseID != nil {
		return fmt.Sprintf("the case beside it is %.40v", r.caseID)
	}
	sealed, ok := r.sealed.([]byte)
	switch {
	case ok != (rec.Private != nil), !ok && r.sealed != nil:
		return "it has a sealed part and names none, or the other way round"
	case ok && !seal.Equal(seal.Digest(sealed), rec.Private):
		return "its sealed part is not the one whose digest it names"
	}
	return ""
}
