package app

import (
	"sync"

	"cunban/kiosk/oplog"
)

// forms knows which form is being filled, so that one which is left has its
// record as one which is submitted has.
type forms struct {
	mu   sync.Mutex
	open *oplog.Entry // what will be recorded when it is left, nil = none
}

// begin notes a form that was begun, and gives the record of one that was left
// for it.
func (f *forms) begin(e oplog.Entry) (left *oplog.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	left = f.open
	f.open = &oplog.Entry{Event: oplog.FormAbandoned, Role: e.Role, Account: e.Account, Session: e.Session, CaseID: e.CaseID,
		Fields: map[string]string{"service": e.Fields["service"]}}
	return left
}

// hand takes a form out while it is submitted; back puts it there again when
// that failed.
func (f *forms) hand(caseID string) (back func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.open
	if was == nil || was.CaseID != caseID {
		return func() {}
	}
	f.open = nil
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.open == nil {
			f.open = was
		}
	}
}

// end gives the record of a form that was left with the session.
func (f *forms) end(session uint64) *oplog.Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil || f.open.Session != session {
		return nil
	}
	left := f.open
	f.open = nil
	return left
}
