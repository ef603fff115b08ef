package vault

import (
	"context"
	"database/sql"
	"errors"
)

// tx is a transaction on the database's one connection. It is what sql.Tx is but
// for what the vault has no use for: sql.Tx keeps a goroutine that waits for its
// context, and one more for each query, and waking them costs a commit more
// than all of its statements do. A change that has begun is finished, so there
// is nothing to wait for.
type tx struct{ c *sql.Conn }

// begin begins a transaction that will write. Commit or Rollback must follow.
func begin(db *sql.DB) (t tx, err error) {
	if t.c, err = db.Conn(context.Background()); err != nil {
		return tx{}, err
	}
	if _, err := t.Exec("BEGIN IMMEDIATE"); err != nil {
		return tx{}, errors.Join(err, t.c.Close())
	}
	return t, nil
}

// Exec is sql.Tx.Exec.
func (t tx) Exec(query string, args ...any) (sql.Result, error) {
	return t.c.ExecContext(context.Background(), query, args...)
}

// Query is sql.Tx.Query.
func (t tx) Query(query string, args ...any) (*sql.Rows, error) {
	return t.c.QueryContext(context.Background(), query, args...)
}

// QueryRow is sql.Tx.QueryRow.
func (t tx) QueryRow(query string, args ...any) *sql.Row {
	return t.c.QueryRowContext(context.Background(), query, args...)
}

// Commit returns when everything is on the disk, or else nothing happened.
func (t tx) Commit() error {
	_, err := t.Exec("COMMIT")
	if err != nil {
		// SQLite may have ended the transaction by itself, or not: then a
		// ROLLBACK does, and does no harm otherwise.
		_, _ = t.Exec("ROLLBACK")
	}
	return errors.Join(err, t.c.Close())
}

// Rollback undoes everything.
func (t tx) Rollback() error {
	_, err := t.Exec("ROLLBACK")
	return errors.Join(err, t.c.Close())
}
