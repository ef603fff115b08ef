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
	Filter vault.LogFilter // Before is where the page begins; Limit is at most LogPageMax
}

// LogPageMax is how many records a page holds at most: what the control socket
// carries in one line even if each is as long as a record can be.
const LogPageMax = 200

// LogPage is a page of the operation log.
type LogPage struct {
	Records []json.RawMessage // in their canonical form, which is JSON
	Before  int64             // asks for the next page; 0: there is none
}

// logPage answers a LogQuestion. Who looks at the log is in the log, once for
// each question.
func (a *App) logPage(ctx context.Context, q LogQuestion) (p LogPage, err error) {
	f := q.Filter
	if f.Limit <= 0 || f.Limit > LogPageMax {
		f.Limit = LogPageMax
	}
	p.Records = []json.RawMessage{}
	last := int64(0)
	err = a.vault.LogEach(ctx, f, func(r oplog.Record) error {
		p.Records, last = append(p.Records, r.Encode()), r.Seq
		return nil
	})
	if err != nil {
		return LogPage{}, err
	}
	if len(p.Records) == f.Limit {
		p.Before = last
	}
	if q.Filter.Before > 0 {
		return p, nil
	}
	_, err = a.vault.Record(ctx, oplog.Entry{Event: oplog.QueryMade, Role: oplog.RoleTechnician,
		Fields: map[string]string{"kind": "oplog", "count": strconv.Itoa(len(p.Records))}})
	return p, err
}

// EachLog calls each for the records of the terminal's log that a filter
// selects, the newest first: asked page by page of the program that runs, or
// read from the vault when none does. Limit 0 is all of them.
func EachLog(ctx context.Context, c config.Config, version string, f vault.LogFilter, each func(oplog.Record) error) error {
	ask := func(q LogQuestion) (p LogPage, err error) {
		err = control.Call(ctx, control.Path(c.Data), "log-query", q, &p)
		return p, err
	}
	err := eachPage(f, ask, each)
	if !errors.Is(err, control.ErrNotRunning) {
		return err
	}
	return withVault(ctx, c, version, func(a *App) error {
		return eachPage(f, func(q LogQuestion) (LogPage, error) { return a.logPage(ctx, q) }, each)
	})
}

func eachPage(f vault.LogFilter, ask func(LogQuestion) (LogPage, error), each func(oplog.Record) error) error {
	left := f.Limit
	for {
		f.Limit = LogPageMax
		if left > 0 {
			f.Limit = min(left, LogPageMax)
		}
		p, err := ask(LogQuestion{Filter: f})
		if err != nil {
			return err
		}
		for _, line := range p.Records {
			r, err := oplog.Decode(line)
			if err != nil {
				return fmt.Errorf("query the log: %w", err)
			}
			if err := each(r); err != nil {
				return err
			}
		}
		if left > 0 {
			if left -= len(p.Records); left <= 0 {
				return nil
			}
		}
		if p.Before == 0 {
			return nil
		}
		f.Before = p.Before
	}
}
