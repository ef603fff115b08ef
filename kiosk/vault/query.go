package vault

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"cunban/kiosk/oplog"
)

// LogFilter selects log records; zero fields do not filter.
type LogFilter struct {
	Since, Until time.Time // Since is within, Until is not
	CaseID       string
	Event        oplog.Event
	Outcome      oplog.Outcome
	Role         string
	Account      string
	Device       string
	Service      string
	Session      uint64
	Before       int64 // only records with a smaller number, for the next page; 0 = from the end
	Limit        int   // 0 = all
	// Look is how many records that the rest does not select are read at most, so
	// that a question that little answers ends; 0 = all. Records of other times,
	// and of other cases, are not read at all and do not count.
	Look int
}

// LogSeen tells how far a query came.
type LogSeen struct {
	Before int64 // with this as LogFilter.Before the next goes on; 0 = the log was seen to its beginning
	Passed int   // records that were read and not selected
}

// Takes reports whether a record is selected; Before, Limit and
// Look do not count.
func (f LogFilter) Takes(r oplog.Record) bool {
	same := func(want, have string) bool { return want == "" || want == have }
	return same(string(f.Event), string(r.Event)) && same(string(f.Outcome), string(r.Outcome)) && same(f.Role, r.Role) &&
		same(f.Account, r.Account) && same(f.Device, r.Device) && same(f.Service, r.Fields["service"]) &&
		same(f.CaseID, r.CaseID) && (f.Session == 0 || f.Session == r.Session) &&
		(f.Since.IsZero() || !r.Wall.Before(f.Since)) && (f.Until.IsZero() || r.Wall.Before(f.Until))
}

// LogQuery returns log records, the newest first. A record that cannot be read
// any more is left out: LogVerify names it.
func (v *Vault) LogQuery(ctx context.Context, f LogFilter) (out []oplog.Record, err error) {
	_, err = v.LogEach(ctx, f, func(r oplog.Record) error {
		out = append(out, r)
		return nil
	})
	return out, err
}

// LogEach is LogQuery for logs that do not fit into memory: it calls each for
// one record after the other, until each returns an error, which it returns.
// Between pages others have the database; what is logged meanwhile is not in
// it. It ends at the Limit, or after Look other records, and tells where to go
// on.
func (v *Vault) LogEach(ctx context.Context, f LogFilter, each func(oplog.Record) error) (seen LogSeen, err error) {
	const what = "query the log"
	db, err := v.reader(ctx, what)
	if err != nil {
		return seen, err
	}
	v.mu.Lock()
	first, before := v.start.Size(), v.tree.Size()
	v.mu.Unlock()
	if f.Before > 0 {
		before = min(before, f.Before)
	}
	for found := 0; before > first; {
		from := first
		if f.CaseID == "" { // for a case there is an index
			from = max(first, before-queryWindow)
		}
		lines, last, err := v.queryPage(ctx, db, f, from, before)
		if err != nil {
			return seen, v.fail(what, err)
		}
		for _, l := range lines {
			r, err := oplog.Decode(l)
			taken := err == nil && f.Takes(r)
			if taken {
				found++
				if err := each(r); err != nil {
					return seen, err
				}
			} else {
				seen.Passed++
			}
			// Behind one that cannot be read it would not be known where to go on.
			if err == nil && (taken && found == f.Limit || f.Look > 0 && seen.Passed >= f.Look) {
				if r.Seq > first {
					seen.Before = r.Seq
				}
				return seen, nil
			}
		}
		if before = from; len(lines) == page {
			before = last
		}
	}
	return seen, nil
}

// queryWindow is how many records one statement of a query looks at: a search
// for one day of many years must not keep a submission waiting while it walks
// over millions.
const queryWindow = 5000

func (v *Vault) queryPage(ctx context.Context, db *sql.DB, f LogFilter, first, before int64) (lines [][]byte, last int64, err error) {
	q, args := "SELECT seq, rec FROM log_records WHERE seq>=? AND seq<?", []any{first, before}
	if f.CaseID != "" {
		q, args = q+" AND case_id=?", append(args, f.CaseID)
	}
	if !f.Since.IsZero() {
		q, args = q+" AND wall>=?", append(args, f.Since.UnixNano())
	}
	if !f.Until.IsZero() {
		q, args = q+" AND wall<?", append(args, f.Until.UnixNano())
	}
	rows, err := db.QueryContext(ctx, q+" ORDER BY seq DESC LIMIT ?", append(args, page)...)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var l []byte
		if err := rows.Scan(&last, &l); err != nil {
			return nil, 0, err
		}
		lines = append(lines, l)
	}
	return lines, last, rows.Err()
}
