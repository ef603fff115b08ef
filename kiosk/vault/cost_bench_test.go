package vault

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-sqlite3"

	"cunban/kiosk/cases"
	"cunban/kiosk/vault/cryptfile"
	"cunban/kiosk/vault/keys"
)

// stmt is one statement that the vault had SQLite execute.
type stmt struct {
	query string
	args  []driver.Value
}

// ends are what a transaction begins and ends with; whoever replays has its own.
var ends = []string{"BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"}

// spy is a connection that notes what is executed on it.
type spy struct {
	*sqlite3.SQLiteConn
	said *[]stmt
}

func (s spy) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	st := stmt{query: query}
	for _, a := range args {
		st.args = append(st.args, a.Value)
	}
	if !slices.Contains(ends, query) {
		*s.said = append(*s.said, st)
	}
	return s.SQLiteConn.ExecContext(ctx, query, args)
}

// spies connects with spy.
type spies struct {
	connector
	said *[]stmt
}

func (s spies) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := s.connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return spy{c.(*sqlite3.SQLiteConn), s.said}, nil
}

// transcript is what a vault writes when it is made, and for each of the drafts.
type transcript struct {
	first []stmt
	each  [][]stmt
}

// transcribe submits drafts and notes the rows that it takes.
func transcribe(b *testing.B, list []cases.Draft, desk cases.Desk) (t transcript) {
	b.Helper()
	ctx := context.Background()
	var said []stmt
	v, err := openPlainWith(filepath.Join(b.TempDir(), "spied"), func(c connector) driver.Connector { return spies{c, &said} })
	must(b, err)
	cut := func() (out []stmt) {
		out, said = said, nil
		return out
	}
	t.first = cut()
	desk.Store = v
	for _, d := range list {
		_, err := desk.Submit(ctx, d)
		must(b, err)
		t.each = append(t.each, cut())
	}
	must(b, v.Close(ctx))
	return t
}

// rows is a database that executes a transcript through the driver alone, each
// statement prepared once: nobody could do it with less.
type rows struct {
	c     *sqlite3.SQLiteConn
	known map[string]driver.Stmt
}

func openRows(b *testing.B, uri string, pages int, first []stmt) *rows {
	b.Helper()
	c, err := (&sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) error {
		if err := prepare(c, syncFull); err != nil || pages == 0 {
			return err
		}
		_, err := c.Exec(fmt.Sprintf("PRAGMA wal_autocheckpoint=%d", pages), nil)
		return err
	}}).Open(uri)
	must(b, err)
	r := &rows{c: c.(*sqlite3.SQLiteConn), known: map[string]driver.Stmt{}}
	must(b, r.exec(first, func(s stmt) error {
		_, err := r.c.ExecContext(context.Background(), s.query, named(s.args))
		return err
	}))
	b.Cleanup(func() { must(b, r.close()) })
	return r
}

func named(args []driver.Value) (out []driver.NamedValue) {
	for i, a := range args {
		out = append(out, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return out
}

func (r *rows) exec(list []stmt, f func(stmt) error) error {
	for _, s := range list {
		if err := f(s); err != nil {
			return fmt.Errorf("%.40s: %w", s.query, err)
		}
	}
	return nil
}

// prepared executes a statement that is prepared the first time.
func (r *rows) prepared(s stmt) error {
	st := r.known[s.query]
	if st == nil {
		var err error
		if st, err = r.c.Prepare(s.query); err != nil {
			return err
		}
		r.known[s.query] = st
	}
	_, err := st.(driver.StmtExecContext).ExecContext(context.Background(), named(s.args))
	return err
}

// commit writes the rows of one submission in one transaction.
func (r *rows) commit(list []stmt) error {
	begin, commit := []stmt{{query: "BEGIN IMMEDIATE"}}, []stmt{{query: "COMMIT"}}
	return errors.Join(r.exec(begin, r.prepared), r.exec(list, r.prepared), r.exec(commit, r.prepared))
}

func (r *rows) rest() error {
	_, err := r.c.Exec("PRAGMA wal_checkpoint(PASSIVE)", nil)
	return err
}

func (r *rows) close() (err error) {
	for _, st := range r.known {
		err = errors.Join(err, st.Close())
	}
	return errors.Join(err, r.c.Close())
}

// runner is one of those that take turns.
type runner struct {
	name string
	do   func(i int) error
	rest func() error // when nobody waits; nil: it does that in its commits
	took []time.Duration
}

// restEvery is after how many submissions the WALs are moved, all at the same
// time, where nobody waits for it: rather more than restBacklog.
const restEvery = 120

// BenchmarkCost puts side by side, by turns so that what else the machine does
// meets all of them, with the same pragmas and as many rows and bytes:
//
//	plain    the rows of a submission on SQLite's own VFS, as little as can be done
//	vfs      the same through the encrypting VFS
//	vault    Vault.Submit of a case that is sealed already
//	submit   all of it: sealing, envelope, log record, tree, outbox
//	default  plain, but SQLite moves its WAL inside a commit, as it does by default
//
// Figures are name-p50-ns and name-p99-ns; rest-ns is what moving the WAL takes
// each time in the vault; reportParts has those of where the time goes.
func BenchmarkCost(b *testing.B) {
	ctx := context.Background()
	v, err := Open(ctx, costOptions(b, "vault"))
	must(b, err)
	w, err := Open(ctx, costOptions(b, "sealed"))
	must(b, err)
	d := newDrafts(v)
	list := make([]cases.Draft, b.N)
	for i := range list {
		list[i], err = d.next()
		must(b, err)
	}
	tr := transcribe(b, list, d.desk)
	sealed := submissions(b, b.N)
	for i := range sealed { // as large as those of the others
		sealed[i].Body = make([]byte, bodySize(tr.each[i]))
		must(b, readRandom(sealed[i].Body))
		sealed[i] = digested(sealed[i])
	}
	plain := openRows(b, plainURI(b, "plain"), 0, tr.first)
	usual := openRows(b, plainURI(b, "usual"), 1000, tr.first)
	where := &parts{}
	m := &cryptfile.Mount{FS: watched{parts: where}, Dir: b.TempDir(), Key: newMemKey().key, Rand: rand.Reader}
	uri, err := m.Attach("rows.db")
	must(b, err)
	b.Cleanup(m.Detach)
	vfs := openRows(b, uri, 0, tr.first)
	var moving []time.Duration
	all := []*runner{
		{name: "plain", do: func(i int) error { return plain.commit(tr.each[i]) }, rest: plain.rest},
		{name: "vfs", do: func(i int) error {
			where.on = true
			defer func() { where.on = false }()
			return vfs.commit(tr.each[i])
		}, rest: vfs.rest},
		{name: "vault", do: func(i int) error { _, err := w.Submit(ctx, sealed[i]); return err }, rest: w.rest},
		{name: "submit", do: func(i int) error { _, err := d.desk.Submit(ctx, list[i]); return err }, rest: func() error {
			at := time.Now()
			defer func() { moving = append(moving, time.Since(at)) }()
			return v.rest()
		}},
		{name: "default", do: func(i int) error { return usual.commit(tr.each[i]) }},
	}
	b.ResetTimer()
	takeTurns(b, all)
	b.StopTimer()
	for _, r := range all {
		slices.Sort(r.took)
		b.ReportMetric(float64(r.took[(b.N-1)/2]), r.name+"-p50-ns")
		b.ReportMetric(float64(r.took[(b.N-1)*99/100]), r.name+"-p99-ns")
	}
	reportParts(b, where, d.desk.CountyKey, bodySize(tr.each[b.N-1]))
	if len(moving) > 0 {
		slices.Sort(moving)
		b.ReportMetric(float64(moving[len(moving)/2]), "rest-ns")
	}
	must(b, errors.Join(v.Close(ctx), w.Close(ctx)))
}

func takeTurns(b *testing.B, all []*runner) {
	for i := range b.N {
		for _, k := range mathrand.Perm(len(all)) { // nobody is always first, or always after the same one
			r := all[k]
			at := time.Now()
			if err := r.do(i); err != nil {
				b.Fatal(r.name, err)
			}
			r.took = append(r.took, time.Since(at))
		}
		if i%restEvery != restEvery-1 {
			continue
		}
		for _, r := range all {
			if r.rest != nil {
				must(b, r.rest())
			}
		}
	}
}

func costOptions(b *testing.B, name string) Options {
	return Options{Dir: filepath.Join(b.TempDir(), name), Keys: []keys.Source{newMemKey()}, Version: "bench"}
}

// bodySize is how large the sealed body of a submission is.
func bodySize(list []stmt) int {
	for _, s := range list {
		if strings.HasPrefix(s.query, "INSERT INTO bodies") {
			return len(s.args[2].([]byte))
		}
	}
	return 0
}

func plainURI(b *testing.B, name string) string {
	return plainURIOf(filepath.Join(b.TempDir(), name+".db"))
}

func plainURIOf(file string) string {
	return "file:" + file + "?_locking_mode=EXCLUSIVE&_synchronous=FULL&_stmt_cache_size=64&_txlock=immediate&_busy_timeout=0"
}

// openPlainWith opens a vault on SQLite's own VFS, with the same settings.
func openPlainWith(dir string, with func(connector) driver.Connector) (*Vault, error) {
	ctx := context.Background()
	v, err := open(ctx, Options{Dir: dir, Keys: []keys.Source{newMemKey()}})
	if err != nil {
		return nil, err
	}
	if err := v.db.Close(); err != nil {
		return nil, err
	}
	v.db = sql.OpenDB(with(connector{plainURIOf(filepath.Join(dir, "plain.db")),
		&sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) error { return prepare(c, syncFull) }}}))
	v.db.SetMaxOpenConns(1)
	if err := migrate(ctx, v.db); err != nil {
		return nil, err
	}
	return v, v.load()
}
