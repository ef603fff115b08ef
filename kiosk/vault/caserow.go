package vault

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"cunban/kiosk/cases"
)

// query is what reading works on: the database or a change.
type query interface {
	QueryRow(query string, args ...any) *sql.Row
	Query(query string, args ...any) (*sql.Rows, error)
}

func decodeCase(doc []byte) (c cases.Case, err error) {
	if err := json.Unmarshal(doc, &c); err != nil {
		return cases.Case{}, fmt.Errorf("%w: case row: %w", ErrDamaged, err)
	}
	return c, nil
}

func readCase(q query, id string) (cases.Case, error) {
	var doc []byte
	err := q.QueryRow("SELECT doc FROM cases WHERE id=?", id).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return cases.Case{}, fmt.Errorf("%w: %.40s", cases.ErrNotFound, id)
	}
	if err != nil {
		return cases.Case{}, err
	}
	return decodeCase(doc)
}

func (c *change) caseOf(id string) (cases.Case, error) { return readCase(c.tx, id) }

// putCase writes a case's row.
func (c *change) putCase(cs cases.Case) error {
	doc, err := json.Marshal(cs)
	if err != nil {
		return fmt.Errorf("write case: %w", err)
	}
	return c.exec("INSERT INTO cases(id, owner, service, state, saved, doc) VALUES(?,?,?,?,?,?)"+
		" ON CONFLICT(id) DO UPDATE SET owner=excluded.owner, service=excluded.service, state=excluded.state,"+
		" saved=excluded.saved, doc=excluded.doc",
		cs.ID, cs.Owner, cs.Service, string(cs.State), cs.SavedAt.UnixNano(), doc)
}

// event adds a line to a case's timeline.
func (c *change) event(id string, at time.Time, state cases.State, text string) error {
	var num int
	if err := c.tx.QueryRow("SELECT coalesce(max(num), 0)+1 FROM events WHERE case_id=?", id).Scan(&num); err != nil {
		return err
	}
	return c.putEvent(id, num, at, state, text)
}

// firstEvent begins a case's timeline.
func (c *change) firstEvent(id string, at time.Time, state cases.State, text string) error {
	return c.putEvent(id, 1, at, state, text)
}

func (c *change) putEvent(id string, num int, at time.Time, state cases.State, text string) error {
	return c.exec("INSERT INTO events(case_id, num, at, state, text) VALUES(?,?,?,?,?)", id, num, at.UnixNano(), string(state), text)
}

// Case returns a case. Errors: cases.ErrNotFound.
func (v *Vault) Case(ctx context.Context, id string) (cases.Case, error) {
	db, err := v.reader(ctx, "read a case")
	if err != nil {
		return cases.Case{}, err
	}
	c, err := readCase(db, id)
	return c, v.fail("read a case", err)
}

// ByOwner returns a person's cases, the newest first.
func (v *Vault) ByOwner(ctx context.Context, owner []byte) ([]cases.Case, error) {
	return v.selectCases(ctx, "SELECT doc FROM cases WHERE owner=? ORDER BY saved DESC, num DESC", owner)
}

// List returns cases for staff pages, the newest first; Since is within, Until
// is not.
func (v *Vault) List(ctx context.Context, q cases.Query) ([]cases.Case, error) {
	where, args := []string{"1"}, []any{}
	add := func(cond string, arg ...any) {
		where = append(where, cond)
		args = append(args, arg...)
	}
	if !q.Since.IsZero() {
		add("saved>=?", q.Since.UnixNano())
	}
	if !q.Until.IsZero() {
		add("saved<?", q.Until.UnixNano())
	}
	if q.Service != "" {
		add("service=?", q.Service)
	}
	if len(q.States) > 0 {
		var states []any
		for _, s := range q.States {
			states = append(states, string(s))
		}
		add("state IN (?"+strings.Repeat(",?", len(states)-1)+")", states...)
	}
	limit := -1
	if q.Limit > 0 {
		limit = q.Limit
	}
	return v.selectCases(ctx, "SELECT doc FROM cases WHERE "+strings.Join(where, " AND ")+
		" ORDER BY saved DESC, num DESC LIMIT ?", append(args, limit)...)
}

func (v *Vault) selectCases(ctx context.Context, sqlText string, args ...any) (out []cases.Case, err error) {
	const what = "list cases"
	db, err := v.reader(ctx, what)
	if err != nil {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, sqlText, args...)
	if err != nil {
		return nil, v.fail(what, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var doc []byte
		if err := rows.Scan(&doc); err != nil {
			return nil, v.fail(what, err)
		}
		c, err := decodeCase(doc)
		if err != nil {
			return nil, v.fail(what, err)
		}
		out = append(out, c)
	}
	return out, v.fail(what, rows.Err())
}

// Timeline returns what happened to a case, the oldest first.
func (v *Vault) Timeline(ctx context.Context, id string) (out []cases.Event, err error) {
	const what = "read a timeline"
	db, err := v.reader(ctx, what)
	if err != nil {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, "SELECT at, state, text FROM events WHERE case_id=? ORDER BY num", id)
	if err != nil {
		return nil, v.fail(what, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		e := cases.Event{CaseID: id}
		var at int64
		var state string
		if err := rows.Scan(&at, &state, &e.Text); err != nil {
			return nil, v.fail(what, err)
		}
		e.At, e.State = time.Unix(0, at), cases.State(state)
		out = append(out, e)
	}
	return out, v.fail(what, rows.Err())
}
