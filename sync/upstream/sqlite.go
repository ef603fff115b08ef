package upstream

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	gosync "sync"

	_ "github.com/mattn/go-sqlite3" // driver "sqlite3"
)

// Limits of the SQLite store.
const (
	sqliteReaders  = 8      // connections that read
	sqliteBusyMS   = 10_000 // wait for another process's write, milliseconds
	sqliteMaxGroup = 256    // updates that share one fsync
)

// sqliteStore is Store on one SQLite file. One goroutine writes: updates that
// wait at the same time share a transaction and its fsync, each in a savepoint
// of its own, so that one that fails harms no other.
type sqliteStore struct {
	read  *sql.DB
	write *sql.DB
	conn  *sql.Conn // the writer's
	stmts prepared  // on conn
	jobs  chan *job
	stop  chan struct{}
	done  chan struct{}
	once  gosync.Once
}

type job struct {
	ctx context.Context
	fn  func(Tx) error
	err chan error // buffered: the writer never waits
}

// ErrNewer means that the store was written by a newer program.
var ErrNewer = errors.New("the store was written by a newer program")

// OpenSQLite opens or makes the store. Errors: ErrNotDurable, ErrNewer.
func OpenSQLite(ctx context.Context, path string) (Store, error) {
	dsn := func(extra string) string {
		return "file:" + (&url.URL{Path: path}).EscapedPath() +
			fmt.Sprintf("?_journal_mode=WAL&_synchronous=FULL&_foreign_keys=1&_busy_timeout=%d%s", sqliteBusyMS, extra)
	}
	w, err := sql.Open("sqlite3", dsn("&_txlock=immediate"))
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	w.SetMaxOpenConns(1)
	conn, err := w.Conn(ctx)
	if err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("open the store: %w", err)
	}
	s := &sqliteStore{write: w, conn: conn, stmts: prepared{conn: conn, m: map[string]*sql.Stmt{}}, jobs: make(chan *job, sqliteMaxGroup), stop: make(chan struct{}), done: make(chan struct{})}
	if err := s.prepare(ctx); err != nil {
		_ = conn.Close()
		_ = w.Close()
		return nil, err
	}
	if s.read, err = sql.Open("sqlite3", dsn("&_query_only=1")); err != nil {
		_ = conn.Close()
		_ = w.Close()
		return nil, fmt.Errorf("open the store: %w", err)
	}
	s.read.SetMaxOpenConns(sqliteReaders)
	s.read.SetMaxIdleConns(sqliteReaders)
	go s.writer()
	return s, nil
}

// prepare checks what the driver made of the demands (its default in WAL mode
// is synchronous=NORMAL, which loses acknowledged rows) and makes the tables.
func (s *sqliteStore) prepare(ctx context.Context) error {
	for _, p := range []struct{ pragma, want string }{{"journal_mode", "wal"}, {"synchronous", "2"}, {"foreign_keys", "1"}} {
		var got string
		if err := s.conn.QueryRowContext(ctx, "PRAGMA "+p.pragma).Scan(&got); err != nil {
			return fmt.Errorf("open the store: pragma %s: %w", p.pragma, err)
		}
		if got != p.want {
			return fmt.Errorf("%w: %s is %s, not %s", ErrNotDurable, p.pragma, got, p.want)
		}
	}
	return s.inTx(ctx, func() error {
		// Not prepared: the tables come into being on the way.
		return migrate(&sqlTx{ctx: ctx, r: s.conn, rebind: func(q string) string { return q }})
	})
}

// prepared runs statements on one connection and prepares each once: parsing
// costs more than most of them. Used by the writer alone.
type prepared struct {
	conn *sql.Conn
	m    map[string]*sql.Stmt
}

func (p *prepared) stmt(ctx context.Context, q string) (*sql.Stmt, error) {
	if s, ok := p.m[q]; ok {
		return s, nil
	}
	s, err := p.conn.PrepareContext(ctx, q)
	if err == nil {
		p.m[q] = s
	}
	return s, err
}

func (p *prepared) ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error) {
	s, err := p.stmt(ctx, q)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

func (p *prepared) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	s, err := p.stmt(ctx, q)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

func (p *prepared) QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row {
	s, err := p.stmt(ctx, q)
	if err != nil {
		return p.conn.QueryRowContext(ctx, q, args...) // carries the error
	}
	return s.QueryRowContext(ctx, args...)
}

func (p *prepared) close() error {
	var errs []error
	for _, s := range p.m {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// migrate makes what is not there and refuses what is newer.
func migrate(t *sqlTx) error {
	for _, q := range schema {
		if err := t.exec("schema", q); err != nil {
			return err
		}
	}
	var have int64
	err := t.row("schema version", `SELECT n FROM counters WHERE name = ?`, []any{&have}, schemaName)
	switch {
	case errors.Is(err, ErrNotFound):
		return t.exec("schema version", `INSERT INTO counters (name, n) VALUES (?, ?)`, schemaName, schemaVersion)
	case err != nil:
		return err
	case have > schemaVersion:
		return fmt.Errorf("%w: version %d, this program knows %d", ErrNewer, have, schemaVersion)
	}
	return nil
}

func (s *sqliteStore) tx(ctx context.Context) *sqlTx {
	return &sqlTx{ctx: ctx, r: &s.stmts, rebind: func(q string) string { return q }}
}

// inTx runs fn between BEGIN and COMMIT on the writer's connection.
func (s *sqliteStore) inTx(ctx context.Context, fn func() error) error {
	if _, err := s.stmts.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("store: begin: %w", err)
	}
	if err := fn(); err != nil {
		_, rerr := s.stmts.ExecContext(ctx, "ROLLBACK")
		return errors.Join(err, rerr)
	}
	if _, err := s.stmts.ExecContext(ctx, "COMMIT"); err != nil {
		_, _ = s.stmts.ExecContext(ctx, "ROLLBACK") // may be over already
		return fmt.Errorf("store: commit: %w", err)
	}
	return nil
}

// ErrClosed means that the store was closed.
var ErrClosed = errors.New("the county's store is closed")

func (s *sqliteStore) Update(ctx context.Context, fn func(Tx) error) error {
	j := &job{ctx: ctx, fn: fn, err: make(chan error, 1)}
	select {
	case s.jobs <- j:
	case <-s.stop:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-j.err:
		return err
	case <-s.done:
		select {
		case err := <-j.err:
			return err
		default:
			return ErrClosed
		}
	}
}

// writer is the goroutine that writes; Close ends it.
func (s *sqliteStore) writer() {
	defer close(s.done)
	for {
		select {
		case j := <-s.jobs:
			s.group(j)
		case <-s.stop:
			for { // what was queued before Close
				select {
				case j := <-s.jobs:
					s.group(j)
				default:
					return
				}
			}
		}
	}
}

// group runs a job and all that wait behind it in one transaction.
func (s *sqliteStore) group(first *job) {
	// Not the caller's context: a caller who goes away must not break off the
	// transaction of the others.
	ctx := context.Background()
	var ok []*job
	err := s.inTx(ctx, func() error {
		j := first
		for n := 0; ; {
			if err := s.one(ctx, j); err != nil {
				j.err <- err
			} else {
				ok = append(ok, j)
			}
			if n++; n >= sqliteMaxGroup {
				return nil
			}
			select {
			case j = <-s.jobs:
			default:
				return nil
			}
		}
	})
	if err != nil && len(ok) == 0 {
		// BEGIN failed: the first job was never run.
		select {
		case first.err <- err:
		default:
		}
	}
	for _, j := range ok {
		j.err <- err
	}
}

func (s *sqliteStore) one(ctx context.Context, j *job) error {
	if err := j.ctx.Err(); err != nil {
		return err
	}
	if _, err := s.stmts.ExecContext(ctx, "SAVEPOINT one"); err != nil {
		return fmt.Errorf("store: savepoint: %w", err)
	}
	err := j.fn(s.tx(ctx))
	if err != nil {
		if _, rerr := s.stmts.ExecContext(ctx, "ROLLBACK TO one"); rerr != nil {
			err = errors.Join(err, rerr)
		}
	}
	if _, rerr := s.stmts.ExecContext(ctx, "RELEASE one"); rerr != nil {
		err = errors.Join(err, rerr)
	}
	return err
}

func (s *sqliteStore) View(ctx context.Context, fn func(Tx) error) error {
	return viewSQL(ctx, s.read, nil, func(q string) string { return q }, fn)
}

func viewSQL(ctx context.Context, db *sql.DB, o *sql.TxOptions, rebind func(string) string, fn func(Tx) error) error {
	tx, err := db.BeginTx(ctx, o)
	if err != nil {
		return fmt.Errorf("store: begin to read: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	return fn(&sqlTx{ctx: ctx, r: tx, rebind: rebind})
}

func (s *sqliteStore) Close() (err error) {
	s.once.Do(func() {
		close(s.stop)
		<-s.done
		err = errors.Join(s.read.Close(), s.stmts.close(), s.conn.Close(), s.write.Close())
	})
	return err
}
