package app

import (
	"errors"
	"testing"

	"cunban/kiosk/app/control"
	"cunban/kiosk/oplog"
	"cunban/kiosk/vault"
)

// TestEachLog reads more than two pages of a log, from a running terminal and
// from one that was stopped.
func TestEachLog(t *testing.T) {
	x := boot(t, options(t, t.TempDir(), ""))
	const n = 2*LogPageMax + 17
	for range n {
		if _, err := x.vault.Record(t.Context(), oplog.Entry{Event: oplog.HelpCall, Role: oplog.RoleResident}); err != nil {
			t.Fatal(err)
		}
	}
	cfg := x.o.Config
	read := func(f vault.LogFilter) (got []int64) {
		t.Helper()
		rest, err := EachLog(t.Context(), cfg, "test", f, func(r oplog.Record) error {
			got = append(got, r.Seq)
			return nil
		})
		if err != nil || rest != 0 {
			t.Fatalf("rest %d, %v", rest, err)
		}
		for i := 1; i < len(got); i++ {
			if got[i] >= got[i-1] {
				t.Fatalf("record %d after %d", got[i], got[i-1])
			}
		}
		return got
	}
	all := func() {
		t.Helper()
		for limit, want := range map[int]int{0: n, 1: 1, LogPageMax: LogPageMax, LogPageMax + 1: LogPageMax + 1, n + 5: n} {
			if got := read(vault.LogFilter{Event: oplog.HelpCall, Limit: limit}); len(got) != want {
				t.Errorf("limit %d: %d records, want %d", limit, len(got), want)
			}
		}
	}
	stop, err := control.Serve(t.Context(), control.Path(cfg.Data), x.command)
	if err != nil {
		t.Fatal(err)
	}
	all()
	if got := read(vault.LogFilter{Event: oplog.QueryMade}); len(got) != 5 {
		t.Errorf("%d records of 5 questions", len(got))
	}
	ends := func() {
		t.Helper()
		f := vault.LogFilter{Event: oplog.LogExport, Look: 100} // there is none
		rounds := int64(0)
		for ; rounds < n; rounds++ {
			rest, err := EachLog(t.Context(), cfg, "test", f, func(r oplog.Record) error { return errors.New("found " + string(r.Event)) })
			if err != nil {
				t.Fatal(err)
			}
			if rest == 0 {
				break
			}
			f.Before = rest
		}
		if rounds < n/100 || rounds > n/100+2 {
			t.Errorf("the log was seen after %d questions of 100 records", rounds)
		}
	}
	ends()
	if got := read(vault.LogFilter{Event: oplog.QueryMade}); len(got) < n/100 {
		t.Errorf("%d records of more than %d questions", len(got), n/100)
	}
	boom := errors.New("enough")
	if _, err := EachLog(t.Context(), cfg, "test", vault.LogFilter{}, func(oplog.Record) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	stop()
	x.halt()
	all()
	ends()
}
