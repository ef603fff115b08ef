package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/mattn/go-sqlite3"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
	"cunban/kiosk/vault/keys"
	"cunban/sync/storetest"
)

// scansAllowed are statements that walk a table or index which grows, or sort,
// by a part of their text, and the one step of their plans that is allowed; each
// with the reason why nobody waits for it.
var scansAllowed = []struct{ part, step, why string }{
	{"WHERE owner=? ORDER BY saved DESC", "USE TEMP B-TREE FOR ORDER BY", "sorts the cases of one person"},
	{"FROM cases WHERE 1", "SCAN cases USING INDEX cases_saved", "walks save times from the newest on; pages give a limit"},
	{"WHERE o.open IN (?,?) ORDER BY o.num", "USE TEMP B-TREE FOR ORDER BY", "sorts what is open"},
	{"FROM checkpoints ORDER BY size DESC LIMIT 1", "SCAN checkpoints", "takes the newest and stops"},
}

// growing are the tables whose size grows with the cases, and the aliases that
// statements give them.
var growing = regexp.MustCompile(`\b(cases|events|outbox|bodies|files|log_records|log_nodes|checkpoints|o|c|f|p|e|r|b)\b`)

// TestNoStatementScans looks at the plan of every statement that the package
// holds: one that reads all of a table which grows makes a terminal slower year
// by year, and no test with ten cases shows it.
func TestNoStatementScans(t *testing.T) {
	rec := &recorder{seen: map[string]bool{}}
	workAll(t, rec)
	t.Run("store", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Store { return newRecorded(t, rec) })
	})
	v := newRecorded(t, rec)
	judged, used := 0, map[string]bool{}
	for _, q := range slices.Sorted(maps.Keys(rec.seen)) {
		if !statement.MatchString(q) {
			continue
		}
		judged++
		for _, step := range plan(t, v.db, q) {
			reason := scans(step)
			if reason == "" {
				continue
			}
			part, ok := allowed(q, step)
			used[part] = true
			if !ok {
				t.Errorf("%s\n  in the plan of: %s\n  (%s)", reason, q, step)
			}
		}
	}
	for _, lit := range literals(t) {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(rec.seen)), func(q string) bool { return strings.Contains(q, lit) }) {
			t.Errorf("this statement is never run by this test, so that its plan is not looked at: %s", lit)
		}
	}
	for _, a := range scansAllowed {
		if !used[a.part] {
			t.Errorf("nothing scans any more that is allowed to (%s): %s", a.why, a.part)
		}
	}
	t.Logf("%d statements", judged)
	// The control: what this test is there to find.
	for _, q := range []string{"SELECT doc FROM cases WHERE service='S01'", "SELECT count(*) FROM log_records",
		"UPDATE outbox SET lease='' WHERE sent=1", "SELECT doc FROM cases c JOIN events e ON e.text=c.service"} {
		if !slices.ContainsFunc(plan(t, v.db, q), func(step string) bool { return scans(step) != "" }) {
			t.Errorf("a scan is not seen: %s: %q", q, plan(t, v.db, q))
		}
	}
}

var statement = regexp.MustCompile(`^\s*(SELECT|INSERT|UPDATE|DELETE)\b`)

// scans judges one step of a query plan; "" when it is quick at any size.
func scans(step string) string {
	switch {
	case strings.HasPrefix(step, "SCAN") && growing.MatchString(step):
		return "reads all of a table that grows"
	case strings.Contains(step, "AUTOMATIC"):
		return "makes an index for itself"
	case strings.Contains(step, "TEMP B-TREE"):
		return "sorts"
	}
	return ""
}

// allowed is the part of a statement that allows it a step.
func allowed(q, step string) (part string, ok bool) {
	for _, a := range scansAllowed {
		if strings.Contains(q, a.part) && step == a.step {
			return a.part, true
		}
	}
	return "", false
}

func plan(t *testing.T, db *sql.DB, q string) (steps []string) {
	t.Helper()
	args := make([]any, strings.Count(q, "?"))
	if strings.Contains(q, "?1") {
		args = make([]any, 4)
	}
	rows, err := db.Query("EXPLAIN QUERY PLAN "+q, args...)
	if err != nil {
		t.Fatalf("%v: %s", err, q)
	}
	defer func() { must(t, rows.Close()) }()
	for rows.Next() {
		var id, parent, unused int
		var step string
		must(t, rows.Scan(&id, &parent, &unused, &step))
		steps = append(steps, step)
	}
	must(t, rows.Err())
	return steps
}

// literals are the statements, or their constant beginnings, in the source.
func literals(t *testing.T) (out []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	must(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		must(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			text, whole := leading(e)
			if statement.MatchString(text) {
				out = append(out, text)
			}
			return !whole && text == ""
		})
	}
	return out
}

// leading is the constant text with which an expression begins; whole when that
// is all of it.
func leading(e ast.Expr) (text string, whole bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			return constant.StringVal(constant.MakeFromLiteral(e.Value, e.Kind, 0)), true
		}
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "", false
		}
		left, whole := leading(e.X)
		if !whole {
			return left, false
		}
		right, whole := leading(e.Y)
		return left + right, whole
	}
	return "", false
}

// workAll calls everything that the store's contract does not.
func workAll(t *testing.T, rec *recorder) {
	t.Helper()
	ctx := context.Background()
	v := newRecorded(t, rec)
	b := &bench{t: t, v: v, clock: &clock{t: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}}
	var err error
	b.county, err = seal.GenerateKey(rand.Reader)
	must(t, err)
	pem := b.county.Public().PEM()
	must(t, v.PutAll(ctx, map[string][]byte{keyCountySeal: pem, keyCountySign: pem, "demo": {1}}))
	must(t, v.Delete(ctx, "demo"))
	_, err = v.Keys(ctx, "county/")
	must(t, err)
	first, second, third := b.submit(1), b.submit(1), b.submit(1)
	for _, q := range []cases.Query{{}, {Limit: 5}, {Since: b.clock.t, Until: b.clock.t, Service: "S01", States: []cases.State{cases.Saved, cases.Returned}, Limit: 5}} {
		_, err = v.List(ctx, q)
		must(t, err)
	}
	for _, f := range []LogFilter{{Limit: 5}, {CaseID: first.ID, Limit: 5}, {Since: b.clock.t.AddDate(-1, 0, 0), Until: b.clock.t.AddDate(9, 0, 0), Limit: 5},
		{Since: b.clock.t, CaseID: first.ID}, {Until: b.clock.t, CaseID: first.ID}} {
		_, err = v.LogQuery(ctx, f)
		must(t, err)
	}
	_, err = v.Withdraw(ctx, first.ID, cases.Actor{Role: cases.RoleResident, Session: 1})
	must(t, err)
	it := b.lease1()
	must(t, v.SentBody(ctx, it.CaseID, it.Revision, it.Lease))
	must(t, v.FileUpload(ctx, it.CaseID, it.Files[0].Name, "/u/1"))
	must(t, v.FileDone(ctx, it.CaseID, it.Files[0].Name))
	_, err = v.Acknowledge(ctx, it.CaseID, it.Revision, it.Lease, "N-1", b.clock.now(), "2026-04-01")
	must(t, err)
	it = b.lease1()
	must(t, v.Attention(ctx, it.CaseID, it.Revision, it.Lease, "r", "d"))
	must(t, v.Requeue(ctx, it.CaseID, cases.Actor{Role: cases.RoleStaff, Account: "1001"}))
	it = b.lease1()
	must(t, v.Retry(ctx, it.CaseID, it.Revision, it.Lease, b.clock.now(), "r", "d"))
	_, err = v.ByOwner(ctx, second.Owner)
	must(t, err)
	_, err = v.Timeline(ctx, third.ID)
	must(t, err)
	note, _, err := v.Checkpoint(ctx, 0)
	must(t, err)
	_, _, err = v.Checkpoint(ctx, 0) // the same one again
	must(t, err)
	note, err = oplog.Countersign(rand.Reader, note, oplog.CountyName, b.county)
	must(t, err)
	must(t, v.Countersign(ctx, note))
	_, err = v.LogProof(ctx, third.ID)
	must(t, err)
	_, err = v.LogVerify(ctx, nil)
	must(t, err)
	must(t, v.LogExport(ctx, &bytes.Buffer{}))
	_, err = v.LogState(ctx)
	must(t, err)
	_, err = v.Stats(ctx)
	must(t, err)
	_, err = v.Items(ctx)
	must(t, err)
	if n, err := v.Retain(ctx, b.clock.now().AddDate(9, 0, 0)); err != nil || n != 1 {
		t.Fatalf("%d cases, %v", n, err)
	}
	v.mu.Lock()
	if v.destroyScans(third.ID, []string{v.scan(third.ID)}) == nil { // a folder with something in it
		t.Fatal("a folder was removed")
	}
	v.mu.Unlock()
	cp, err := oplog.PeekCheckpoint(note)
	must(t, err)
	must(t, v.pruneTo(ctx, v.db, cp.Size))
	_, err = v.Prune(ctx, b.clock.now())
	must(t, err)
	_, err = v.Check(ctx)
	must(t, err)
	_, err = v.Record(ctx, oplog.Entry{Event: oplog.FormAbandoned, Role: oplog.RoleResident, CaseID: "never saved"})
	must(t, err)
	if rep, err := v.Audit(ctx); err != nil || rep.Cases != 3 {
		t.Fatalf("%+v, %v", rep, err)
	}
	_, err = v.settledSince(ctx, 1)
	must(t, err)
	must(t, v.keepOwnerKey(ctx, "x", []byte("key")))
	_, err = v.Reclaim(ctx, number(t, zhang))
	must(t, err)
	v.condemned = []string{v.scan(second.ID, "0-00.sealed")}
	must(t, v.fence())
	// A start after a power cut.
	v.clean = false
	must(t, v.check(ctx, false))
	must(t, v.begin(ctx))
}

// newRecorded opens a vault whose statements are noted. Its database is a plain
// file: plans do not depend on what lies under the pages.
func newRecorded(t *testing.T, rec *recorder) *Vault {
	t.Helper()
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "vault")
	v, err := Open(ctx, Options{Dir: dir, Keys: []keys.Source{newMemKey()}, Version: "test",
		FreeBytes: func(string) (int64, error) { return 1 << 40, nil }})
	must(t, err)
	must(t, v.db.Close())
	v.db = sql.OpenDB(recording{connector{"file:" + filepath.Join(dir, "plain.db") + "?_locking_mode=EXCLUSIVE&_txlock=immediate",
		&sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) error { return prepare(c, syncFull) }}}, rec})
	v.db.SetMaxOpenConns(1)
	must(t, migrate(ctx, v.db))
	must(t, v.load())
	must(t, v.load()) // now it is there
	t.Cleanup(func() {
		if err := v.Close(ctx); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	})
	return v
}

// recorder notes statements.
type recorder struct {
	mu   gosync.Mutex
	seen map[string]bool
}

func (r *recorder) note(q string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[q] = true
}

type recording struct {
	connector
	rec *recorder
}

func (r recording) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := r.connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return recordedConn{c.(*sqlite3.SQLiteConn), r.rec}, nil
}

// recordedConn is a connection that notes what it is asked.
type recordedConn struct {
	*sqlite3.SQLiteConn
	rec *recorder
}

func (c recordedConn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	c.rec.note(q)
	return c.SQLiteConn.ExecContext(ctx, q, args)
}

func (c recordedConn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	c.rec.note(q)
	return c.SQLiteConn.QueryContext(ctx, q, args)
}

func (c recordedConn) PrepareContext(ctx context.Context, q string) (driver.Stmt, error) {
	c.rec.note(q)
	return c.SQLiteConn.PrepareContext(ctx, q)
}
