package upstream

// schemaVersion is kept in the counters table under schemaName; a store of a
// newer program is not opened.
const (
	schemaVersion = 1
	schemaName    = "schema"
)

// schema is written for SQLite; PostgreSQL gets BYTEA for BLOB and BIGINT for
// INTEGER. Times are microseconds since 1970, 0 = none.
var schema = []string{
	`CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, n INTEGER NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS terminals (
		id TEXT PRIMARY KEY, serial TEXT NOT NULL UNIQUE, region TEXT NOT NULL, village TEXT NOT NULL,
		name TEXT NOT NULL, demo INTEGER NOT NULL, enrolled_at INTEGER NOT NULL, revoked_at INTEGER NOT NULL,
		reason TEXT NOT NULL, cert_until INTEGER NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS health (terminal TEXT PRIMARY KEY REFERENCES terminals(id), at INTEGER NOT NULL, report BLOB NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS logs (
		terminal TEXT PRIMARY KEY REFERENCES terminals(id), pubkey BLOB NOT NULL, size INTEGER NOT NULL,
		root BLOB NOT NULL, note BLOB NOT NULL, at INTEGER NOT NULL, alarm TEXT NOT NULL, alarm_at INTEGER NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS codes (
		serial TEXT NOT NULL, secret_hash TEXT NOT NULL, region TEXT NOT NULL, village TEXT NOT NULL, name TEXT NOT NULL,
		demo INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, state TEXT NOT NULL,
		key_hash TEXT NOT NULL, used_at INTEGER NOT NULL, terminal TEXT NOT NULL, cert BLOB NOT NULL, decided_by TEXT NOT NULL,
		PRIMARY KEY (serial, secret_hash))`,
	`CREATE TABLE IF NOT EXISTS cases (
		id TEXT PRIMARY KEY, terminal TEXT NOT NULL REFERENCES terminals(id), revision INTEGER NOT NULL,
		service TEXT NOT NULL, region TEXT NOT NULL, mode TEXT NOT NULL, staff TEXT NOT NULL, demo INTEGER NOT NULL,
		state TEXT NOT NULL, acceptance TEXT NOT NULL, accepted_at INTEGER NOT NULL, received_at INTEGER NOT NULL,
		updated_at INTEGER NOT NULL, due TEXT NOT NULL, note TEXT NOT NULL, mend TEXT NOT NULL, claim TEXT NOT NULL)`,
	`CREATE INDEX IF NOT EXISTS cases_state ON cases (state, received_at)`,
	`CREATE INDEX IF NOT EXISTS cases_received ON cases (received_at)`,
	`CREATE INDEX IF NOT EXISTS cases_acceptance ON cases (acceptance)`,
	`CREATE TABLE IF NOT EXISTS revisions (
		case_id TEXT NOT NULL REFERENCES cases(id), revision INTEGER NOT NULL, terminal TEXT NOT NULL,
		digest TEXT NOT NULL, key_id TEXT NOT NULL, envelope BLOB NOT NULL, body BLOB NOT NULL, catalogue TEXT NOT NULL,
		started_at INTEGER NOT NULL, saved_at INTEGER NOT NULL, received_at INTEGER NOT NULL, accepted_at INTEGER NOT NULL,
		acceptance TEXT NOT NULL, due TEXT NOT NULL, claim TEXT NOT NULL, handed INTEGER NOT NULL, outstanding TEXT NOT NULL,
		PRIMARY KEY (case_id, revision))`,
	`CREATE INDEX IF NOT EXISTS revisions_unhanded ON revisions (received_at) WHERE handed = 0 AND accepted_at > 0`,
	`CREATE TABLE IF NOT EXISTS files (
		case_id TEXT NOT NULL, revision INTEGER NOT NULL, name TEXT NOT NULL, ord INTEGER NOT NULL,
		material TEXT NOT NULL, page INTEGER NOT NULL, mime TEXT NOT NULL, size INTEGER NOT NULL, digest TEXT NOT NULL,
		done_at INTEGER NOT NULL, PRIMARY KEY (case_id, revision, name),
		FOREIGN KEY (case_id, revision) REFERENCES revisions (case_id, revision))`,
	`CREATE TABLE IF NOT EXISTS events (
		case_id TEXT NOT NULL REFERENCES cases(id), n INTEGER NOT NULL, revision INTEGER NOT NULL, at INTEGER NOT NULL,
		state TEXT NOT NULL, text TEXT NOT NULL, done_by TEXT NOT NULL, PRIMARY KEY (case_id, n))`,
	`CREATE TABLE IF NOT EXISTS uploads (
		id TEXT PRIMARY KEY, terminal TEXT NOT NULL, case_id TEXT NOT NULL, revision INTEGER NOT NULL, name TEXT NOT NULL,
		size INTEGER NOT NULL, digest TEXT NOT NULL, at INTEGER NOT NULL, done INTEGER NOT NULL)`,
	`CREATE UNIQUE INDEX IF NOT EXISTS uploads_file ON uploads (case_id, revision, name)`,
	`CREATE TABLE IF NOT EXISTS objects (
		kind TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, audience TEXT NOT NULL, deleted INTEGER NOT NULL,
		data BLOB NOT NULL, signature BLOB NOT NULL, seq INTEGER NOT NULL UNIQUE, at INTEGER NOT NULL, PRIMARY KEY (kind, id))`,
	`CREATE INDEX IF NOT EXISTS objects_audience ON objects (audience, seq)`,
	`CREATE TABLE IF NOT EXISTS admins (
		number TEXT PRIMARY KEY, name TEXT NOT NULL, roles TEXT NOT NULL, hash TEXT NOT NULL, suspended INTEGER NOT NULL,
		created_at INTEGER NOT NULL, must_change INTEGER NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS audits (
		n INTEGER PRIMARY KEY, at INTEGER NOT NULL, done_by TEXT NOT NULL, what TEXT NOT NULL, object TEXT NOT NULL, detail TEXT NOT NULL)`,
}
