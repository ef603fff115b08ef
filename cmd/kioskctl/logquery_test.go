package main

import (
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"cunban/kiosk/oplog"
)

// TestCSVHoldsNoFormula: what stands in a record is shown, never run.
func TestCSVHoldsNoFormula(t *testing.T) {
	var out strings.Builder
	show, end := csvRecords(&out)
	bad := []string{`=HYPERLINK("http://x","y")`, "+1", "-1", "@SUM(1)", "\t=1", "\r=1"}
	for _, b := range bad {
		r := oplog.Entry{Event: oplog.DeviceState, Account: b, CaseID: b, Device: b}.Record(oplog.Stamp{
			Wall: time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC), Version: b, BootID: b})
		r.Role = b
		if err := show(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	text, ok := strings.CutPrefix(out.String(), byteOrderMark)
	if !ok || strings.Count(text, "\r\n") < len(bad)+1 {
		t.Fatalf("no byte order mark or not CRLF: %q", text)
	}
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) != len(bad)+1 || len(rows[0]) != len(columns) {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, row := range rows {
		for _, c := range row {
			if c != "" && strings.ContainsRune("=+-@\t\r", rune(c[0])) {
				t.Errorf("a spreadsheet would run %q", c)
			}
		}
	}
	if got := rows[1][1]; got != "2026-03-02 09:00:00.000" {
		t.Errorf("time %q is not Beijing's", got)
	}
}

// TestGoOn: what is printed can be pasted into a shell.
func TestGoOn(t *testing.T) {
	for want, args := range map[string][]string{
		"kioskctl log query --before 7":                                             nil,
		"kioskctl log query --event case.submit --before 7":                         {"--event", "case.submit", "--before", "90"},
		"kioskctl log query --csv --before 7":                                       {"-before=90", "--csv"},
		"kioskctl log query --from '2026-03-01 08:30' --before 7":                   {"--before=9", "--from", "2026-03-01 08:30"},
		`kioskctl log query --account 'a'\''; rm -rf $HOME' --device '' --before 7`: {"--account", "a'; rm -rf $HOME", "--device", ""},
	} {
		if got := goOn(args, 7); got != want {
			t.Errorf("%q:\n got %s\nwant %s", args, got, want)
		}
	}
}

func TestMoments(t *testing.T) {
	for text, want := range map[string]string{
		"2026-03-01":           "2026-02-28T16:00:00Z",
		"2026-03-01 08:30":     "2026-03-01T00:30:00Z",
		"2026-03-01 08:30:15":  "2026-03-01T00:30:15Z",
		"2026-03-01T08:30:00Z": "2026-03-01T08:30:00Z",
	} {
		got, _, err := moment(text)
		if err != nil || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}
