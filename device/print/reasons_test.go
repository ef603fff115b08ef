package print

import (
	_ "embed"
	"slices"
	"strings"
	"testing"
	"unicode"

	"cunban/device"
)

// registered are the keywords that IANA has for printer-state-reasons, without
// their severities.
//
//go:embed testdata/printer-state-reasons.txt
var registered string

// TestEveryRegisteredReasonHasWords: every registered keyword with every severity
// has a plain Chinese sentence and a next step, or is known to need none.
func TestEveryRegisteredReasonHasWords(t *testing.T) {
	list := strings.Fields(registered)
	if len(list) < 700 {
		t.Fatalf("only %d keywords", len(list))
	}
	quiet := 0
	for _, k := range list {
		w, known := wordsOf(k)
		if !known {
			t.Errorf("%s has no words", k)
			continue
		}
		if w.state == "" {
			quiet++
			continue
		}
		for _, s := range []string{w.cause, w.remedy} {
			if s == "" || !strings.HasSuffix(s, "。") || strings.ContainsFunc(s, func(r rune) bool {
				return r < 128 && !unicode.IsDigit(r) && r != 'A' && r != ' '
			}) {
				t.Errorf("%s: %q is not a plain Chinese sentence", k, s)
			}
		}
		if w.code == "" || !slices.Contains(device.States, w.state) {
			t.Errorf("%s: %+v", k, w)
		}
		if stops := w.state == device.StateFault || w.state == device.StateAbsent; stops && w.weight <= 60 {
			t.Errorf("%s stops the printer and yields to a reason that is not known", k)
		}
		for _, severity := range severities {
			got, stops, ok := heaviest([]string{k + severity})
			if !ok || got.cause != w.cause || got.remedy != w.remedy {
				t.Errorf("%s%s says %+v", k, severity, got)
			}
			if severity != "-error" && !stops && got.state == device.StateFault {
				t.Errorf("%s%s stops the printer", k, severity)
			}
		}
	}
	// Most is said: only news (added, closed, turned on …) needs no words.
	if quiet > len(list)/3 {
		t.Errorf("%d of %d keywords say nothing", quiet, len(list))
	}
	t.Logf("%d keywords, %d of them need no words", len(list), quiet)
	if _, known := wordsOf("stapler-on-fire"); known {
		t.Error("words for what nobody registered")
	}
}

// TestJobReasonsTellThePhysicalEnd: what the state of a job leaves open.
func TestJobReasonsTellThePhysicalEnd(t *testing.T) {
	var p Printer
	for _, c := range []struct {
		state   jobState
		reasons []string
		sheets  int
		end     device.PrintEnd // "" = not ended
		says    string
	}{
		{jobCompleted, []string{"job-completed-successfully"}, 1, device.PrintDone, ""},
		{jobCompleted, []string{"job-completed-with-warnings"}, 1, device.PrintDone, ""},
		{jobCompleted, nil, 0, device.PrintDone, ""},
		{jobCompleted, []string{"job-completed-with-errors"}, 1, device.PrintUnknown, "已经出来 1 页"},
		{jobCompleted, []string{"queued-in-device"}, 0, device.PrintUnknown, "说不准"},
		{jobCanceled, []string{"job-canceled-by-user", "processing-to-stop-point"}, 0, "", ""},
		{jobCanceled, []string{"job-canceled-at-device"}, 2, device.PrintFailed, "已经出来 2 页"},
		{jobCanceled, []string{"job-canceled-by-operator"}, 0, device.PrintFailed, "取消"},
		{jobAborted, []string{"aborted-by-system"}, 0, device.PrintFailed, "没能打出"},
		{jobAborted, []string{"aborted-by-system", "document-format-error"}, 0, device.PrintFailed, "不认这份 PDF"},
		{jobAborted, []string{"aborted-by-system", "submission-interrupted"}, 0, device.PrintFailed, "没有完整传到"},
		{jobAborted, []string{"account-limit-reached"}, 0, device.PrintFailed, "不让打"},
		{jobProcessing, []string{"job-printing"}, 0, "", ""},
		{jobStopped, []string{"printer-stopped"}, 0, "", ""},
		{jobHeld, []string{"resources-are-not-ready"}, 0, "", ""},
		{jobState(12), nil, 0, "", ""},
	} {
		r, ended := p.ended(job{id: 7, state: c.state, reasons: c.reasons, sheets: c.sheets})
		if ended != (c.end != "") || r.End != c.end || !strings.Contains(r.Cause, c.says) || c.end != "" && c.end != device.PrintDone && r.Remedy == "" {
			t.Errorf("%d %v: %+v, ended %t", c.state, c.reasons, r, ended)
		}
	}
}
