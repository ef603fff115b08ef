package app

import (
	"testing"

	"cunban/kiosk/oplog"
	"cunban/kiosk/session"
	"cunban/kiosk/vault"
)

// TestFormsLeftAreRecorded: a form that is submitted has no record of being
// left, one that is left has, by going home, by the next form or by the end.
func TestFormsLeftAreRecorded(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	begin := func(id string) {
		h.Note(ctx, oplog.FormBegin, oplog.OK, id, map[string]string{"service": "S01"})
	}
	n := h.Browse()
	d := h.filled("S01")
	begin(d.ID)
	h.submit(d)
	left, next := h.filled("S01"), h.filled("S01")
	begin(left.ID)
	begin(next.ID)
	h.sess.End(n, session.Done)
	var got []oplog.Record
	h.await("the records", func() bool {
		var err error
		got, err = h.vault.LogQuery(ctx, vault.LogFilter{Event: oplog.FormAbandoned})
		return err == nil && len(got) == 2
	})
	for i, id := range []string{next.ID, left.ID} { // the newest first
		if got[i].CaseID != id || got[i].Fields["service"] != "S01" || got[i].Session != n {
			t.Errorf("record %+v", got[i])
		}
	}
}
