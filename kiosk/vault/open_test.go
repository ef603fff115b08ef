package vault

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mattn/go-sqlite3"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/vault/keys"
)

func TestASecondProgramIsKeptOut(t *testing.T) {
	b := newBench(t)
	_, err := Open(context.Background(), b.o)
	wantErr(t, err, ErrLocked)
	if !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("%v does not say who has it", err)
	}
	b.submit(0) // and the first one goes on
	b.close()
	b.open()
}

func TestWrongKeyIsNotDamage(t *testing.T) {
	b := newBench(t)
	c := b.submit(1)
	b.close()
	right := b.o.Keys
	b.o.Keys = []keys.Source{&memKey{bytes.Repeat([]byte{1}, keys.Size)}}
	_, err := Open(context.Background(), b.o)
	wantErr(t, err, ErrWrongKey)
	for _, gone := range []string{"vault.check", "vault.db"} { // either proof is enough
		name := filepath.Join(b.o.Dir, gone)
		must(t, os.Rename(name, name+".away"))
		_, err = Open(context.Background(), b.o)
		wantErr(t, err, ErrWrongKey)
		must(t, os.Rename(name+".away", name))
	}
	b.o.Keys = right
	b.open()
	if b.caseOf(c.ID).ID != c.ID || len(b.v.Incidents()) > 0 {
		t.Fatal("a wrong key did harm")
	}
}

// TestNoKeyNoNewVault: where there is a vault, no key is ever made.
func TestNoKeyNoNewVault(t *testing.T) {
	b := newBench(t)
	b.close()
	src := &creator{}
	b.o.Keys = []keys.Source{src}
	_, err := Open(context.Background(), b.o)
	wantErr(t, err, keys.ErrNoKey)
	if src.made {
		t.Fatal("a fresh key was made for a vault that has one")
	}
	b.o.Dir = filepath.Join(t.TempDir(), "new")
	b.open()
	if !src.made || !b.v.New() {
		t.Fatal("the first start made no key")
	}
}

type creator struct{ made bool }

func (*creator) Name() string                         { return "creator" }
func (*creator) Load(context.Context) ([]byte, error) { return nil, keys.ErrNoKey }
func (c *creator) Create(context.Context) ([]byte, error) {
	c.made = true
	return bytes.Repeat([]byte{3}, keys.Size), nil
}

func TestDamageIsSetAside(t *testing.T) {
	overwrite := func(off int64, n int) func(*testing.T, string) {
		return func(t *testing.T, name string) {
			f, err := os.OpenFile(name, os.O_RDWR, 0)
			must(t, err)
			_, err = f.WriteAt(bytes.Repeat([]byte{0xA5}, n), off)
			must(t, errors.Join(err, f.Close()))
		}
	}
	for name, harm := range map[string]func(*testing.T, string){
		"header":     overwrite(0, 100),
		"first page": overwrite(4096, 16),
		"later page": overwrite(4096*6, 4096),
		"empty":      func(t *testing.T, name string) { must(t, os.Truncate(name, 0)) },
		"short":      func(t *testing.T, name string) { must(t, os.Truncate(name, 4096*4)) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c := b.submit(1)
			origin := b.v.Origin()
			b.close()
			harm(t, filepath.Join(b.o.Dir, dbName))
			b.open()
			in := b.v.Incidents()
			if len(in) != 1 || in[0].Kind != IncidentDamaged || len(in[0].Aside) != 2 || in[0].Text == "" {
				t.Fatalf("incidents %+v", in)
			}
			for _, n := range in[0].Aside {
				if _, err := os.Stat(filepath.Join(b.o.Dir, n)); err != nil {
					t.Error(err)
				}
			}
			_, err := b.v.Case(context.Background(), c.ID)
			wantErr(t, err, cases.ErrNotFound)
			if b.v.Origin() == origin {
				t.Error("the new log has the old one's name")
			}
			rs, err := b.v.LogQuery(context.Background(), LogFilter{Event: oplog.VaultDamaged})
			if err != nil || len(rs) != 1 {
				t.Fatalf("%d records of the damage, %v", len(rs), err)
			}
			b.submit(1)
			b.close()
			b.open()
			if len(b.v.Incidents()) > 0 {
				t.Fatalf("incidents again: %+v", b.v.Incidents())
			}
			b.verify()
		})
	}
}

// TestDamagedProofOfTheKeyHeals: the database is whole, so that nothing is lost.
func TestDamagedProofOfTheKeyHeals(t *testing.T) {
	b := newBench(t)
	c := b.submit(0)
	b.close()
	check := filepath.Join(b.o.Dir, checkName)
	for _, harm := range []func() error{
		func() error { return os.Truncate(check, 10) },
		func() error { return os.Remove(check) },
		func() error { return os.WriteFile(check, make([]byte, 4096), 0o600) },
	} {
		must(t, harm())
		b.open()
		if b.caseOf(c.ID).ID != c.ID || len(b.v.Incidents()) > 0 {
			t.Fatal("a damaged proof of the key did harm")
		}
		b.close()
	}
	must(t, os.Remove(filepath.Join(b.o.Dir, dbName)))
	b.open()
	if in := b.v.Incidents(); len(in) != 1 || in[0].Kind != IncidentMissing {
		t.Fatalf("incidents %+v", in)
	}
}

// TestChecks runs both checks of the start, that of a large database too.
func TestChecks(t *testing.T) {
	b := newBench(t)
	b.submit(0)
	for _, everything := range []bool{true, false} {
		must(t, b.v.check(context.Background(), everything))
	}
	for _, table := range smallTables {
		var n int
		if err := b.v.db.QueryRow("SELECT count(*) FROM sqlite_schema WHERE name=?", table).Scan(&n); err != nil || n != 1 {
			t.Errorf("table %s: %d, %v", table, n, err)
		}
	}
}

func TestNewerFile(t *testing.T) {
	b := newBench(t)
	_, err := b.v.db.Exec(fmt.Sprintf("PRAGMA user_version=%d", len(migrations)+1))
	must(t, err)
	b.close()
	_, err = Open(context.Background(), b.o)
	wantErr(t, err, ErrNewer)
	if fs, err := filepath.Glob(filepath.Join(b.o.Dir, "*"+asideMark+"*")); err != nil || len(fs) > 0 {
		t.Fatalf("a newer file was set aside: %v, %v", fs, err)
	}
}

func TestNotSafe(t *testing.T) {
	// A database in memory cannot have a WAL.
	db := sql.OpenDB(connector{":memory:", &sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) error {
		return prepare(c, syncFull)
	}}})
	wantErr(t, db.Ping(), ErrNotSafe)
	must(t, db.Close())
}

// TestPragmas reads from the open database what the vault rests on.
func TestPragmas(t *testing.T) {
	b := newBench(t)
	b.submit(0)
	for name, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "locking_mode": "exclusive",
		"page_size": "4096", "secure_delete": "1", "foreign_keys": "1", "temp_store": "2"} {
		var got string
		if err := b.v.db.QueryRow("PRAGMA " + name).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	if n := b.v.db.Stats().MaxOpenConnections; n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestUncleanStop copies the files of a running vault, which is what a kill
// leaves, and opens the copy.
func TestUncleanStop(t *testing.T) {
	b := newBench(t)
	c := b.submit(2)
	dir := filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(dir, os.DirFS(b.o.Dir)))
	o := b.o
	o.Dir = dir
	v, err := Open(context.Background(), o)
	must(t, err)
	defer func() { must(t, v.Close(context.Background())) }()
	if v.Clean() || v.New() || len(v.Incidents()) > 0 {
		t.Fatalf("clean %t, new %t, incidents %v", v.Clean(), v.New(), v.Incidents())
	}
	if got, err := v.Case(context.Background(), c.ID); err != nil || got.State != cases.Saved {
		t.Fatalf("%+v, %v", got, err)
	}
}

// TestDamagedWAL: a WAL that cannot be read is damage, not a wrong key.
func TestDamagedWAL(t *testing.T) {
	b := newBench(t)
	b.submit(0)
	dir := filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(dir, os.DirFS(b.o.Dir)))
	must(t, os.WriteFile(filepath.Join(dir, dbName+"-wal"), bytes.Repeat([]byte{1}, 3*4096), 0o600))
	o := b.o
	o.Dir = dir
	v, err := Open(context.Background(), o)
	must(t, err)
	defer func() { must(t, v.Close(context.Background())) }()
	if in := v.Incidents(); len(in) != 1 || in[0].Kind != IncidentDamaged || len(in[0].Aside) < 2 {
		t.Fatalf("incidents %+v", in)
	}
}

func TestOrphansAreSweptAndLossIsTold(t *testing.T) {
	b := newBench(t)
	c := b.submit(2)
	dir := filepath.Join(t.TempDir(), "copy") // what a kill leaves
	must(t, os.CopyFS(dir, os.DirFS(b.o.Dir)))
	b.close()
	b.o.Dir = dir
	scans := filepath.Join(dir, scansName)
	orphan := filepath.Join(scans, b.draft(0).ID)
	must(t, os.Mkdir(orphan, 0o700))
	for _, n := range []string{filepath.Join(orphan, "1-01.sealed"), filepath.Join(scans, c.ID, "1-09.sealed.tmp")} {
		must(t, os.WriteFile(n, []byte("x"), 0o600))
	}
	b.open()
	if _, err := os.Stat(orphan); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("an orphan is left: %v", err)
	}
	left, err := os.ReadDir(filepath.Join(scans, c.ID))
	if err != nil || len(left) != 2 {
		t.Fatalf("%d files of the case are left, %v", len(left), err)
	}
	rs, err := b.v.LogQuery(context.Background(), LogFilter{Event: oplog.VaultSwept})
	if err != nil || len(rs) != 1 || rs[0].Fields["count"] != "2" || len(b.v.Incidents()) > 0 {
		t.Fatalf("records %+v, %v; incidents %v", rs, err, b.v.Incidents())
	}
	b.close()
	must(t, os.Remove(filepath.Join(scans, c.ID, "1-01.sealed")))
	b.open()
	if in := b.v.Incidents(); len(in) != 1 || in[0].Kind != IncidentLost {
		t.Fatalf("incidents %+v", in)
	}
}

// TestNothingReadableOnTheDisk: after use, no file below the folder holds a
// name, a number, or what tells what kind of file it is, and all of it looks
// random.
func TestNothingReadableOnTheDisk(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	b.enrol()
	var ids []string
	for i := range 40 {
		c := b.submit(i % 3)
		ids = append(ids, c.ID)
	}
	for _, it := range b.lease(20) {
		_, err := b.v.Acknowledge(ctx, it.CaseID, 1, it.Lease, "140105-"+it.CaseID[:8], b.clock.now(), "2026-04-01")
		must(t, err)
	}
	must(t, b.v.Put(ctx, "terminal/tls-key", []byte("-----BEGIN PRIVATE KEY-----")))
	check := func() {
		t.Helper()
		files := 0
		must(t, filepath.WalkDir(b.o.Dir, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			for _, w := range []string{zhang, zhangName, "13800000000", "clear-text", "SQLite format 3", "CREATE TABLE", "case.submit",
				"PRIVATE KEY", "JFIF", "\xff\xd8\xff", "%PDF", "PNG", "城乡居民", "140105001001", "S01\"", ids[0]} {
				if len(w) > 3 && bytes.Contains(data, []byte(w)) {
					t.Errorf("%s holds %q", path, w)
				}
			}
			if len(data) >= 4096 {
				if h := entropy(data); h < 7.9 {
					t.Errorf("%s has %.3f bits per byte", path, h)
				}
			}
			return nil
		}))
		if files < 10 {
			t.Fatalf("only %d files were looked at", files)
		}
	}
	check()
	b.close()
	check()
}

// entropy is Shannon's, in bits per byte.
func entropy(data []byte) float64 {
	var n [256]float64
	for _, c := range data {
		n[c]++
	}
	h := 0.0
	for _, k := range n {
		if k > 0 {
			p := k / float64(len(data))
			h -= p * math.Log2(p)
		}
	}
	return h
}
