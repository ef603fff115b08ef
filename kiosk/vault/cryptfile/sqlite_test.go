package cryptfile_test

import (
	"bytes"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	_ "github.com/mattn/go-sqlite3"

	"cunban/kiosk/vault/cryptfile"
)

// openDB opens a database on a mount; end closes both.
func openDB(t *testing.T, m *cryptfile.Mount) (db *sql.DB, end func()) {
	t.Helper()
	uri, err := m.Attach("db")
	if err != nil {
		t.Fatal(err)
	}
	db, err = sql.Open("sqlite3", uri)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for _, p := range []string{
		"PRAGMA locking_mode=EXCLUSIVE", "PRAGMA page_size=4096", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL",
	} {
		if _, err := db.Exec(p); err != nil {
			t.Fatalf("%s: %v (%v)", p, err, m.Failure())
		}
	}
	return db, func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		m.Detach()
	}
}

func newMount(dir string) *cryptfile.Mount {
	return &cryptfile.Mount{FS: cryptfile.OS{}, Dir: dir, Key: bytes.Repeat([]byte{7}, 32), Rand: rand.Reader}
}

func TestSQLiteOnEncryptedFiles(t *testing.T) {
	dir := t.TempDir()
	m := newMount(dir)
	db, end := openDB(t, m)
	if _, err := db.Exec("CREATE TABLE secrets(id INTEGER PRIMARY KEY, word TEXT NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	word := "readable-by-nobody"
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5000 {
		if _, err := tx.Exec("INSERT INTO secrets(word) VALUES(?)", fmt.Sprint(word, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	for i := range 300 { // many small commits: the WAL wraps
		if _, err := db.Exec("UPDATE secrets SET word=? WHERE id=?", fmt.Sprint(word, "-", i), 1+i*16); err != nil {
			t.Fatal(err)
		}
	}
	noClear(t, dir, word, "SQLite format 3", "secrets")
	end()
	noClear(t, dir, word, "SQLite format 3", "secrets")

	db, end = openDB(t, newMount(dir))
	defer end()
	var n int
	var check string
	if err := db.QueryRow("SELECT count(*) FROM secrets WHERE word LIKE ?", word+"%").Scan(&n); err != nil || n != 5000 {
		t.Fatalf("%d rows, %v", n, err)
	}
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&check); err != nil || check != "ok" {
		t.Fatalf("integrity_check: %q, %v", check, err)
	}
}

// TestSQLiteRollbackJournal runs the same without a WAL: the journal is
// encrypted as well.
func TestSQLiteRollbackJournal(t *testing.T) {
	dir := t.TempDir()
	m := newMount(dir)
	db, end := openDB(t, m)
	defer end()
	var mode string
	if err := db.QueryRow("PRAGMA journal_mode=PERSIST").Scan(&mode); err != nil || mode != "persist" {
		t.Fatalf("%q %v", mode, err)
	}
	for _, q := range []string{
		"CREATE TABLE t(a TEXT)", "INSERT INTO t VALUES('first-clear-text')", "BEGIN", "UPDATE t SET a='second-clear-text'", "ROLLBACK",
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "db-journal")); err != nil {
		t.Fatal(err)
	}
	noClear(t, dir, "clear-text", "SQLite")
	var a string
	if err := db.QueryRow("SELECT a FROM t").Scan(&a); err != nil || a != "first-clear-text" {
		t.Fatalf("%q %v", a, err)
	}
}

func TestWrongKey(t *testing.T) {
	dir := t.TempDir()
	m := newMount(dir)
	name := filepath.Join(dir, "db")
	if err := cryptfile.Init(m.FS, name, m.Key, rand.Reader); err != nil {
		t.Fatal(err)
	}
	if err := cryptfile.CheckKey(m.FS, name, m.Key); err != nil {
		t.Fatal(err)
	}
	if err := cryptfile.CheckKey(m.FS, name, []byte("another key")); !errors.Is(err, cryptfile.ErrWrongKey) {
		t.Fatalf("got %v", err)
	}
	if _, err := cryptfile.Open(m.FS, name, []byte("another key")); !errors.Is(err, cryptfile.ErrWrongKey) {
		t.Fatalf("got %v", err)
	}
}

// noClear fails when a word stands in any file below dir.
func noClear(t *testing.T, dir string, words ...string) {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil || len(es) == 0 {
		t.Fatalf("nothing to look at: %v", err)
	}
	for _, e := range es {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			if bytes.Contains(b, []byte(w)) {
				t.Errorf("%s holds %q", e.Name(), w)
			}
		}
	}
}
