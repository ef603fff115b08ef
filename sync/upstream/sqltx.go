package upstream

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"cunban/sync/wire"
)

// runner is what *sql.Tx and *sql.Conn share.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// sqlTx is Tx on SQL. Statements are written with ? and have the same meaning
// in SQLite and PostgreSQL.
type sqlTx struct {
	ctx    context.Context
	r      runner
	rebind func(string) string // ? → $1 for PostgreSQL
	lock   string              // " FOR UPDATE" in an Update of PostgreSQL
}

// hold makes everybody who asks for the same name wait until the transaction
// ends, so that two cannot both find that a row is not there. SQLite has one
// writer and needs none of it.
func (t *sqlTx) hold(name string) error {
	if t.lock == "" {
		return nil
	}
	return t.exec("lock", `SELECT pg_advisory_xact_lock(hashtextextended(?, 0))`, name)
}

func (t *sqlTx) exec(what, q string, args ...any) error {
	if _, err := t.r.ExecContext(t.ctx, t.rebind(q), args...); err != nil {
		return fmt.Errorf("store: write %s: %w", what, err)
	}
	return nil
}

func (t *sqlTx) row(what, q string, dest []any, args ...any) error {
	err := t.r.QueryRowContext(t.ctx, t.rebind(q), args...).Scan(dest...)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%s: %w", what, ErrNotFound)
	case err != nil:
		return fmt.Errorf("store: read %s: %w", what, err)
	}
	return nil
}

// rows calls dest for each row and keep after it was filled.
func (t *sqlTx) rows(what, q string, dest func() ([]any, func()), args ...any) error {
	rows, err := t.r.QueryContext(t.ctx, t.rebind(q), args...)
	if err != nil {
		return fmt.Errorf("store: read %s: %w", what, err)
	}
	defer rows.Close()
	for rows.Next() {
		d, keep := dest()
		if err := rows.Scan(d...); err != nil {
			return fmt.Errorf("store: read %s: %w", what, err)
		}
		keep()
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("store: read %s: %w", what, err)
	}
	return nil
}

// micros and moment write times as microseconds; 0 is none.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

type moment struct{ t *time.Time }

func (m moment) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("time is a %T", v)
	}
	*m.t = time.Time{}
	if n != 0 {
		*m.t = time.UnixMicro(n).UTC()
	}
	return nil
}

func num(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

type truth struct{ b *bool }

func (t truth) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("truth is a %T", v)
	}
	*t.b = n != 0
	return nil
}

// asJSON stores small lists.
func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "null" // lists of strings cannot fail
	}
	return string(b)
}

type fromJSON struct{ v any }

func (j fromJSON) Scan(v any) error {
	switch s := v.(type) {
	case string:
		return json.Unmarshal([]byte(s), j.v)
	case []byte:
		return json.Unmarshal(s, j.v)
	}
	return fmt.Errorf("list is a %T", v)
}

// blob keeps nil out of NOT NULL columns.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func (t *sqlTx) Counter(name string) (n int64, err error) {
	err = t.row("counter "+name, `INSERT INTO counters (name, n) VALUES (?, 1)
		ON CONFLICT (name) DO UPDATE SET n = counters.n + 1 RETURNING n`, []any{&n}, name)
	return n, err
}

// upsert builds an insert that replaces the row with the same key.
func upsert(table string, key, rest []string) string {
	cols := append(append([]string(nil), key...), rest...)
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(cols)), ", ")
	sets := make([]string, len(rest))
	for i, c := range rest {
		sets[i] = c + " = excluded." + c
	}
	return "INSERT INTO " + table + " (" + strings.Join(cols, ", ") + ") VALUES (" + marks + ") ON CONFLICT (" +
		strings.Join(key, ", ") + ") DO UPDATE SET " + strings.Join(sets, ", ")
}

const terminalCols = `id, serial, region, village, name, demo, enrolled_at, revoked_at, reason, cert_until`

func terminalDest(x *Terminal) []any {
	return []any{&x.ID, &x.Serial, &x.Region, &x.Village, &x.Name, truth{&x.Demo}, moment{&x.EnrolledAt},
		moment{&x.RevokedAt}, &x.Reason, moment{&x.CertUntil}}
}

func (t *sqlTx) Terminal(id string) (x Terminal, err error) {
	err = t.row("terminal "+id, `SELECT `+terminalCols+` FROM terminals WHERE id = ?`+t.lock, terminalDest(&x), id)
	return x, err
}

func (t *sqlTx) TerminalBySerial(serial string) (x Terminal, err error) {
	if err = t.hold("serial/" + serial); err != nil {
		return x, err
	}
	err = t.row("terminal with serial "+serial, `SELECT `+terminalCols+` FROM terminals WHERE serial = ?`+t.lock,
		terminalDest(&x), serial)
	return x, err
}

func (t *sqlTx) Terminals() (out []Terminal, err error) {
	err = t.rows("terminals", `SELECT `+terminalCols+` FROM terminals ORDER BY id`, func() ([]any, func()) {
		x := new(Terminal)
		return terminalDest(x), func() { out = append(out, *x) }
	})
	return out, err
}

var putTerminal = upsert("terminals", []string{"id"},
	[]string{"serial", "region", "village", "name", "demo", "enrolled_at", "revoked_at", "reason", "cert_until"})

func (t *sqlTx) PutTerminal(x Terminal) error {
	return t.exec("terminal", putTerminal, x.ID, x.Serial, x.Region, x.Village, x.Name, num(x.Demo),
		micros(x.EnrolledAt), micros(x.RevokedAt), x.Reason, micros(x.CertUntil))
}

var putHealth = upsert("health", []string{"terminal"}, []string{"at", "report"})

func (t *sqlTx) PutHealth(terminal string, at time.Time, report []byte) error {
	return t.exec("health", putHealth, terminal, micros(at), blob(report))
}

func (t *sqlTx) Health(terminal string) (report []byte, at time.Time, err error) {
	err = t.row("health of "+terminal, `SELECT at, report FROM health WHERE terminal = ?`,
		[]any{moment{&at}, &report}, terminal)
	return report, at, err
}

func (t *sqlTx) Log(terminal string) (l Log, err error) {
	if err = t.hold("log/" + terminal); err != nil {
		return l, err
	}
	err = t.row("log of "+terminal, `SELECT terminal, pubkey, size, root, note, at, alarm, alarm_at FROM logs
		WHERE terminal = ?`+t.lock, []any{&l.Terminal, &l.Key, &l.Size, &l.Root, &l.Note, moment{&l.At}, &l.Alarm,
		moment{&l.AlarmAt}}, terminal)
	return l, err
}

var putLog = upsert("logs", []string{"terminal"}, []string{"pubkey", "size", "root", "note", "at", "alarm", "alarm_at"})

func (t *sqlTx) PutLog(l Log) error {
	return t.exec("log", putLog, l.Terminal, blob(l.Key), l.Size, blob(l.Root), blob(l.Note), micros(l.At), l.Alarm, micros(l.AlarmAt))
}

const codeCols = `serial, secret_hash, region, village, name, demo, created_at, expires_at, state, key_hash, used_at, terminal, cert, decided_by`

func codeDest(c *Code) []any {
	return []any{&c.Serial, &c.SecretHash, &c.Region, &c.Village, &c.Name, truth{&c.Demo}, moment{&c.CreatedAt},
		moment{&c.ExpiresAt}, &c.State, &c.KeyHash, moment{&c.UsedAt}, &c.Terminal, &c.Cert, &c.By}
}

func (t *sqlTx) Code(serial, secretHash string) (c Code, err error) {
	err = t.row("enrolment code", `SELECT `+codeCols+` FROM codes WHERE serial = ? AND secret_hash = ?`+t.lock,
		codeDest(&c), serial, secretHash)
	return c, err
}

func (t *sqlTx) Codes() (out []Code, err error) {
	err = t.rows("enrolment codes", `SELECT `+codeCols+` FROM codes ORDER BY created_at DESC`, func() ([]any, func()) {
		c := new(Code)
		return codeDest(c), func() { out = append(out, *c) }
	})
	return out, err
}

var putCode = upsert("codes", []string{"serial", "secret_hash"}, []string{"region", "village", "name", "demo", "created_at",
	"expires_at", "state", "key_hash", "used_at", "terminal", "cert", "decided_by"})

func (t *sqlTx) PutCode(c Code) error {
	return t.exec("enrolment code", putCode, c.Serial, c.SecretHash, c.Region, c.Village, c.Name, num(c.Demo),
		micros(c.CreatedAt), micros(c.ExpiresAt), string(c.State), c.KeyHash, micros(c.UsedAt), c.Terminal, blob(c.Cert), c.By)
}

const objectCols = `kind, id, version, audience, deleted, data, signature, seq, at`

func objectDest(o *Object) []any {
	return []any{&o.Kind, &o.ID, &o.Version, &o.Audience, truth{&o.Deleted}, &o.Data, &o.Signature, &o.Seq, moment{&o.At}}
}

func (t *sqlTx) Object(kind wire.Kind, id string) (o Object, err error) {
	if err = t.hold("object/" + string(kind) + "/" + id); err != nil {
		return o, err
	}
	err = t.row("object", `SELECT `+objectCols+` FROM objects WHERE kind = ? AND id = ?`+t.lock, objectDest(&o), string(kind), id)
	return o, err
}

func (t *sqlTx) objects(q string, args ...any) (out []Object, err error) {
	err = t.rows("objects", `SELECT `+objectCols+` FROM objects `+q, func() ([]any, func()) {
		o := new(Object)
		return objectDest(o), func() { out = append(out, *o) }
	}, args...)
	return out, err
}

func (t *sqlTx) Objects(kind wire.Kind) ([]Object, error) {
	return t.objects(`WHERE kind = ? AND deleted = 0 ORDER BY seq DESC`, string(kind))
}

func (t *sqlTx) ChangesAfter(seq int64, terminal string, limit int) ([]Object, error) {
	return t.objects(`WHERE seq > ? AND (audience = '' OR audience = ?) ORDER BY seq LIMIT ?`, seq, terminal, limit)
}

var putObject = upsert("objects", []string{"kind", "id"}, []string{"version", "audience", "deleted", "data", "signature", "seq", "at"})

func (t *sqlTx) PutObject(o Object) error {
	return t.exec("object", putObject, string(o.Kind), o.ID, o.Version, o.Audience, num(o.Deleted), blob(o.Data),
		blob(o.Signature), o.Seq, micros(o.At))
}

func (t *sqlTx) LastChange() (n int64, err error) {
	err = t.row("last change", `SELECT COALESCE(MAX(seq), 0) FROM objects`, []any{&n})
	return n, err
}

const adminCols = `number, name, roles, hash, suspended, created_at, must_change`

func adminDest(a *Admin) []any {
	return []any{&a.Number, &a.Name, fromJSON{&a.Roles}, &a.Hash, truth{&a.Suspended}, moment{&a.CreatedAt}, truth{&a.MustChange}}
}

func (t *sqlTx) Admin(number string) (a Admin, err error) {
	if err = t.hold("admin/" + number); err != nil {
		return a, err
	}
	err = t.row("account", `SELECT `+adminCols+` FROM admins WHERE number = ?`+t.lock, adminDest(&a), number)
	return a, err
}

func (t *sqlTx) Admins() (out []Admin, err error) {
	err = t.rows("accounts", `SELECT `+adminCols+` FROM admins ORDER BY number`, func() ([]any, func()) {
		a := new(Admin)
		return adminDest(a), func() { out = append(out, *a) }
	})
	return out, err
}

var putAdmin = upsert("admins", []string{"number"}, []string{"name", "roles", "hash", "suspended", "created_at", "must_change"})

func (t *sqlTx) PutAdmin(a Admin) error {
	return t.exec("account", putAdmin, a.Number, a.Name, asJSON(a.Roles), a.Hash, num(a.Suspended), micros(a.CreatedAt), num(a.MustChange))
}

func (t *sqlTx) AddAudit(a Audit) error {
	n, err := t.Counter("audit")
	if err != nil {
		return err
	}
	return t.exec("audit", `INSERT INTO audits (n, at, done_by, what, object, detail) VALUES (?, ?, ?, ?, ?, ?)`,
		n, micros(a.At), a.By, a.What, a.Object, a.Detail)
}

func (t *sqlTx) Audits(limit int) (out []Audit, err error) {
	err = t.rows("audit", `SELECT at, done_by, what, object, detail FROM audits ORDER BY n DESC LIMIT ?`, func() ([]any, func()) {
		a := new(Audit)
		return []any{moment{&a.At}, &a.By, &a.What, &a.Object, &a.Detail}, func() { out = append(out, *a) }
	}, limit)
	return out, err
}
