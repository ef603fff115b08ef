package vault

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mattn/go-sqlite3"
)

// Values of PRAGMA synchronous.
const (
	syncNormal = 1 // loses what was acknowledged: only for the test that shows it
	syncFull   = 2
)

// demand is one thing that SQLite must confirm before the vault trusts it.
type demand struct{ name, set, want string }

// demands lists what every connection must be like. Order matters: exclusive
// locking before the WAL (there is no shared memory), synchronous after it
// (go-sqlite3 is compiled to weaken it in WAL mode).
func demands(synchronous int) []demand {
	return []demand{
		{"locking_mode", "EXCLUSIVE", "exclusive"},
		{"page_size", "4096", "4096"},
		{"mmap_size", "0", "0"},
		{"temp_store", "MEMORY", "2"},
		{"journal_mode", "WAL", "wal"},
		{"synchronous", fmt.Sprint(synchronous), fmt.Sprint(synchronous)},
		{"secure_delete", "ON", "1"},
		{"foreign_keys", "ON", "1"},
		{"trusted_schema", "OFF", "0"},
		{"wal_autocheckpoint", fmt.Sprint(walPagesMax), fmt.Sprint(walPagesMax)},
		{"journal_size_limit", "16777216", "16777216"},
		{"cache_size", "-8192", "-8192"},
	}
}

// prepare sets and reads back every demand. ErrNotSafe when one is not met.
func prepare(c *sqlite3.SQLiteConn, synchronous int) error {
	for _, d := range demands(synchronous) {
		if _, err := c.Exec("PRAGMA "+d.name+"="+d.set, nil); err != nil {
			return fmt.Errorf("set %s: %w", d.name, err)
		}
	}
	for _, d := range demands(synchronous) {
		got, err := pragma(c, d.name)
		if err != nil {
			return fmt.Errorf("read %s: %w", d.name, err)
		}
		if got == "" && d.want == "0" {
			got = "0" // mmap_size has no row where the VFS cannot map
		}
		if got != d.want {
			return fmt.Errorf("%w: %s is %q instead of %q", ErrNotSafe, d.name, got, d.want)
		}
	}
	return nil
}

// pragma reads a pragma's one value, "" when it has no row.
func pragma(c *sqlite3.SQLiteConn, name string) (v string, err error) {
	rows, err := c.Query("PRAGMA "+name, nil)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, len(rows.Columns()))
	switch err := rows.Next(row); {
	case errors.Is(err, io.EOF):
		return "", nil
	case err != nil:
		return "", err
	}
	if b, ok := row[0].([]byte); ok {
		return strings.ToLower(string(b)), nil
	}
	return strings.ToLower(fmt.Sprint(row[0])), nil
}
