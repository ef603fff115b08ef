package vault

import (
	"context"
	"database/sql"
	"fmt"
)

// migrations bring a database forward, one version each, never back. What is
// released is never edited: a change is a new entry at the end.
var migrations = []string{
	// 1
	`
CREATE TABLE meta(key TEXT PRIMARY KEY, val BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE settings(key TEXT PRIMARY KEY, val BLOB NOT NULL) WITHOUT ROWID;

-- doc is the case as JSON; the other columns are there to be searched.
CREATE TABLE cases(
  num INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  owner BLOB NOT NULL,
  service TEXT NOT NULL,
  state TEXT NOT NULL,
  saved INTEGER NOT NULL,
  doc BLOB NOT NULL);
CREATE INDEX cases_owner ON cases(owner);
CREATE INDEX cases_saved ON cases(saved);

CREATE TABLE events(
  case_id TEXT NOT NULL REFERENCES cases(id),
  num INTEGER NOT NULL,
  at INTEGER NOT NULL,
  state TEXT NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY(case_id, num)) WITHOUT ROWID;

-- Rows are never deleted, so that num says which came first. open is 1 until the item is settled, then NULL: the index holds only what
-- there is to do. due is when the item may be handed out (next).
CREATE TABLE outbox(
  num INTEGER PRIMARY KEY,
  case_id TEXT NOT NULL REFERENCES cases(id),
  revision INTEGER NOT NULL,
  service TEXT NOT NULL,
  state TEXT NOT NULL,
  open INTEGER,
  sent INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0,
  due INTEGER NOT NULL DEFAULT 0,
  next INTEGER NOT NULL DEFAULT 0,
  reason TEXT NOT NULL DEFAULT '',
  detail TEXT NOT NULL DEFAULT '',
  saved INTEGER NOT NULL,
  key_id TEXT NOT NULL,
  digest BLOB NOT NULL,
  lease TEXT NOT NULL DEFAULT '',
  UNIQUE(case_id, revision));
CREATE INDEX outbox_open ON outbox(open, num) WHERE open IS NOT NULL;

-- Sealed bodies stand apart, so that settling an item does not rewrite them.
CREATE TABLE bodies(
  num INTEGER PRIMARY KEY REFERENCES outbox(num),
  envelope BLOB NOT NULL,
  body BLOB NOT NULL);

CREATE TABLE files(
  case_id TEXT NOT NULL REFERENCES cases(id),
  name TEXT NOT NULL,
  revision INTEGER NOT NULL,
  material TEXT NOT NULL,
  page INTEGER NOT NULL,
  mime TEXT NOT NULL,
  size INTEGER NOT NULL,
  digest BLOB NOT NULL,
  upload TEXT NOT NULL DEFAULT '',
  done INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(case_id, name)) WITHOUT ROWID;

-- How many outbox items are in each state, kept by triggers: counting a
-- million rows for every health report would take a second.
CREATE TABLE counts(state TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER outbox_in AFTER INSERT ON outbox BEGIN
  INSERT INTO counts VALUES(NEW.state, 1) ON CONFLICT(state) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER outbox_move AFTER UPDATE OF state ON outbox WHEN OLD.state <> NEW.state BEGIN
  UPDATE counts SET n = n - 1 WHERE state = OLD.state;
  INSERT INTO counts VALUES(NEW.state, 1) ON CONFLICT(state) DO UPDATE SET n = n + 1;
END;

-- rec is the record's canonical line; private the sealed personal part whose
-- digest it names. The other columns are there to be searched.
CREATE TABLE log_records(
  seq INTEGER PRIMARY KEY,
  wall INTEGER NOT NULL,
  case_id TEXT,
  rec BLOB NOT NULL,
  private BLOB);
CREATE INDEX log_case ON log_records(case_id) WHERE case_id IS NOT NULL;

-- id is the place of a node when they are written in the order in which they
-- are completed (tlog.StoredHashIndex): only ever appended to.
CREATE TABLE log_nodes(id INTEGER PRIMARY KEY, hash BLOB NOT NULL);
CREATE TABLE log_state(
  one INTEGER PRIMARY KEY CHECK(one = 1),
  tree BLOB NOT NULL,
  mac_key BLOB NOT NULL,
  quiet INTEGER NOT NULL);
CREATE TABLE log_seeds(first INTEGER PRIMARY KEY, key_id TEXT NOT NULL, envelope BLOB NOT NULL);
CREATE TABLE checkpoints(
  size INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  root BLOB NOT NULL,
  note BLOB NOT NULL,
  countersigned INTEGER NOT NULL DEFAULT 0);
`,
	// 2
	`
-- Where the log begins after pruning: below a checkpoint that the county
-- signed too, whose note stays in checkpoints. tree is the state of that size.
CREATE TABLE log_pruned(
  one INTEGER PRIMARY KEY CHECK(one = 1),
  size INTEGER NOT NULL,
  tree BLOB NOT NULL);
`,
}

// migrate brings the database to the newest version. ErrNewer when it is
// beyond that.
func migrate(ctx context.Context, db *sql.DB) error {
	var have int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return fmt.Errorf("read the database's version: %w", err)
	}
	if have > len(migrations) {
		return fmt.Errorf("%w: version %d, this program knows up to %d", ErrNewer, have, len(migrations))
	}
	for v := have; v < len(migrations); v++ {
		if err := step(ctx, db, v); err != nil {
			return fmt.Errorf("bring the database to version %d: %w", v+1, err)
		}
	}
	return nil
}

func step(ctx context.Context, db *sql.DB, v int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // no effect after Commit
	if _, err := tx.Exec(migrations[v]); err != nil {
		return err
	}
	if _, err := tx.Exec(fmt.Sprintf("PRAGMA user_version = %d", v+1)); err != nil {
		return err
	}
	return tx.Commit()
}
