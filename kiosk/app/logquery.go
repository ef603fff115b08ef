package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"cunban/kiosk/app/config"
	"cunban/kiosk/app/control"
	"cunban/kiosk/oplog"
	"cunban/kiosk/vault"
)

// LogQuestion asks for a page of the operation log, the newest records first.
type LogQuestion struct {
	Filter vault.LogFilter // Before is where the page begins; Limit is at most LogPageMax, Look at most LogLookMax
	Next   bool            // it goes on with a question that was asked, and logged, before
}

// LogPageMax is how many records a page holds at most: what the control socket
// carries in one line even if each is as long as a record can be.
const LogPageMax = 200

// LogLookMax is how many records that were not asked for a page reads at most:
// some five seconds on a terminal. A log of years has millions.
const LogLookMax = 200_000

// LogPage is a page of the operation log. It may be empty though there are more.
type LogPage struct {
	Records []json.RawMessage // in their canonical form, which is JSON
	Before  int64             // asks for the next page; 0: there is none
	Passed  int               // records that were read and not asked for
}

// logPage answers a LogQuestion. Who looks at the log is in the log, once for
// each question.
func (a *App) logPage(ctx context.Context, q LogQuestion) (p LogPage, err error) {
	f := q.Filter
	if f.Limit <= 0 || f.Limit > LogPageMax {
		f.Limit = LogPageMax
	}
	if f.Look <= 0 || f.Look > LogLookMax {
		f.Look = LogLookMax
	}
	p.Records = []json.RawMessage{}
	seen, err := a.vault.LogEach(ctx, f, func(r oplog.Record) error {
		p.Records = append(p.Records, r.Encode())
		return nil
	})
	if err != nil {
		return LogPage{}, err
	}
	p.Before, p.Passed = seen.Before, seen.Passed
	if q.Next {
		return p, nil
	}
	_, err = a.vault.Record(ctx, oplog.Entry{Event: oplog.QueryMade, Role: oplog.RoleTechnician,
		Fields: map[string]string{"kind": "oplog", "count": strconv.Itoa(len(p.Records))}})
	return p, err
}

// EachLog calls each for the records of the terminal's log that a filter
// selects, the newest first: asked page by page of the program that runs, or
// read from the vault when none does. Limit 0 is all of them. rest is above 0
// when it ended because of the filter's Look: as its Before it goes on.
func EachLog(ctx context.Context, c config.Config, version string, f vault.LogFilter, each func(oplog.Record) error) (rest int64, err error) {
	ask := func(q LogQuestion) (p LogPage, err error) {
		err = control.Call(ctx, control.Path(c.Data), "log-query", q, &p)
		return p, err
	}
	rest, err = eachPage(f, ask, each)
	if !errors.Is(err, control.ErrNotRunning) {
		return rest, err
	}
	err = withVault(ctx, c, version, func(a *App) (err error) {
		rest, err = eachPage(f, func(q LogQuestion) (LogPage, error) { return a.logPage(ctx, q) }, each)
		return err
	})
	return rest, err
}

func eachPage(f vault.LogFilter, ask func(LogQuestion) (LogPage, error), each func(oplog.Record) error) (rest int64, err error) {
	left, look := f.Limit, f.Look
	for q := (LogQuestion{Filter: f}); ; q.Next = true {
		q.Filter.Limit, q.Filter.Look = LogPageMax, look
		if left > 0 {
			q.Filter.Limit = min(left, LogPageMax)
		}
		p, err := ask(q)
		if err != nil {
			return 0, err
		}
		for _, line := range p.Records {
			r, err := oplog.Decode(line)
			if err != nil {
				return 0, fmt.Errorf("query the log: %w", err)
			}
			if err := each(r); err != nil {
				return 0, err
			}
		}
		if left > 0 {
			if left -= len(p.Records); left <= 0 {
				return 0, nil
			}
		}
		if p.Before == 0 {
			return 0, nil
		}
		if f.Look > 0 {
			if look -= p.Passed; look <= 0 {
				return p.Before, nil
			}
		}
		q.Filter.Before = p.Before
	}
}
