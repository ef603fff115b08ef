package carve_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "github.com/mattn/go-sqlite3" // the other implementation of the format

	"cunban/kiosk/vault/carve"
)

// database makes one with every kind of row, and returns it with its WAL as they
// lie on the disk while it is open.
func database(t testing.TB, work func(*sql.DB)) (db, wal []byte) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.db")
	d, err := sql.Open("sqlite3", "file:"+name+"?_journal_mode=WAL&_synchronous=OFF")
	if err != nil {
		t.Fatal(err)
	}
	d.SetMaxOpenConns(1)
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	work(d)
	read := func(n string) []byte {
		b, err := os.ReadFile(n)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return b
	}
	return read(name), read(name + "-wal")
}

func exec(t testing.TB, d *sql.DB, q string, args ...any) {
	t.Helper()
	if _, err := d.Exec(q, args...); err != nil {
		t.Fatal(err)
	}
}

func open(db, wal []byte) *carve.Pages {
	return carve.Open(bytes.NewReader(db), int64(len(db)), bytes.NewReader(wal), int64(len(wal)))
}

// rows are the rows with so many columns, as text.
func rows(p *carve.Pages, columns int) (out []string) {
	p.Rows(func(r carve.Row) {
		if len(r.Cols) == columns {
			out = append(out, fmt.Sprint(r.ID, r.Cols))
		}
	})
	slices.Sort(out)
	return out
}

const make4 = "CREATE TABLE t(id INTEGER PRIMARY KEY, i, s TEXT, b BLOB);" +
	"CREATE TABLE w(a TEXT, n INTEGER, b BLOB, x, y, z, PRIMARY KEY(a, n)) WITHOUT ROWID"

// fill writes rows of every type and size, with and without overflow pages.
func fill(t testing.TB, d *sql.DB) (want map[int][]string) {
	t.Helper()
	want = map[int][]string{}
	exec(t, d, make4)
	sizes := []int{0, 1, 100, 488, 489, 1002, 1003, 4061, 4062, 8153, 8154, 100_000}
	for k, v := range []any{nil, 0, 1, -1, 127, -128, 300, -40_000, 1 << 30, -(1 << 40), int64(1) << 60, 2.5} {
		s, b := strings.Repeat("村", k), bytes.Repeat([]byte{byte(k + 1)}, sizes[k])
		exec(t, d, "INSERT INTO t(i, s, b) VALUES(?,?,?)", v, s, b)
		want[4] = append(want[4], fmt.Sprint(int64(k+1), []any{nil, v, s, b}))
		exec(t, d, "INSERT INTO w VALUES(?,?,?,?,?,?)", s, k, b, v, nil, "z")
		want[6] = append(want[6], fmt.Sprint(int64(0), []any{s, int64(k), b, v, nil, "z"}))
	}
	for _, w := range want {
		slices.Sort(w)
	}
	return want
}

// TestRowsOfSQLite: every row that SQLite wrote is read, from the database, from
// its WAL, and from both.
func TestRowsOfSQLite(t *testing.T) {
	for _, mode := range []string{"WAL", "both", "database"} {
		t.Run(mode, func(t *testing.T) {
			var want map[int][]string
			db, wal := database(t, func(d *sql.DB) {
				want = fill(t, d)
				if mode == "WAL" {
					return
				}
				exec(t, d, "PRAGMA wal_checkpoint(TRUNCATE)")
				if mode == "both" {
					exec(t, d, "UPDATE t SET s='newer' WHERE id=3")
					want[4][slices.IndexFunc(want[4], func(s string) bool { return strings.HasPrefix(s, "3 [") })] =
						fmt.Sprint(int64(3), []any{nil, int64(1), "newer", bytes.Repeat([]byte{3}, 100)})
					slices.Sort(want[4])
				}
			})
			p := open(db, wal)
			for _, columns := range slices.Sorted(maps.Keys(want)) {
				if got := rows(p, columns); !slices.Equal(got, want[columns]) {
					t.Errorf("%d columns: %d rows, want %d", columns, len(got), len(want[columns]))
				}
			}
		})
	}
}

// TestUncommittedFrames: what the WAL holds beyond the last whole commit is only
// an old version, and so is what was overwritten.
func TestUncommittedFrames(t *testing.T) {
	db, wal := database(t, func(d *sql.DB) {
		exec(t, d, "CREATE TABLE t(id INTEGER PRIMARY KEY, i, s TEXT, b BLOB)")
		exec(t, d, "INSERT INTO t(s) VALUES('first')")
		exec(t, d, "UPDATE t SET s='second'")
	})
	wal[len(wal)-1] ^= 1 // tear the last frame
	p := open(db, wal)
	if got := strings.Join(rows(p, 4), " "); !strings.Contains(got, "first") || strings.Contains(got, "secon") {
		t.Errorf("a torn commit counts: %s", got)
	}
	old := ""
	p.OldRows(func(r carve.Row) { old += fmt.Sprint(r.Cols) })
	if !strings.Contains(old, "secon") {
		t.Errorf("the torn frame is not given at all: %s", old)
	}
}

// FuzzRows: no bytes whatever make it fail.
func FuzzRows(f *testing.F) {
	db, wal := database(f, func(d *sql.DB) {
		exec(f, d, make4)
		exec(f, d, "INSERT INTO t(i, s, b) VALUES(1, 'x', zeroblob(9000))")
	})
	f.Add(db, wal)
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(_ *testing.T, db, wal []byte) {
		p := open(db, wal)
		if p.Count() > 1<<16 { // as many as a WAL may say; reading them all takes its time
			return
		}
		p.Rows(func(carve.Row) {})
		p.OldRows(func(carve.Row) {})
	})
}
