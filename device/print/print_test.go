package print

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/OpenPrinting/goipp"

	"cunban/device"
)

func TestAddress(t *testing.T) {
	for _, c := range []struct{ in, post, uri string }{
		{"ipp://10.0.0.5/ipp/print", "http://10.0.0.5:631/ipp/print", "ipp://10.0.0.5/ipp/print"},
		{"ipp://p:8631/ipp/print", "http://p:8631/ipp/print", "ipp://p:8631/ipp/print"},
		{"http://p:631/printers/a4", "http://p:631/printers/a4", "ipp://p:631/printers/a4"},
		{"ipps://p/ipp/print", "https://p:631/ipp/print", "ipps://p/ipp/print"},
		{"ipp://u:s@p/x", "http://u:s@p:631/x", "ipp://p/x"},
	} {
		post, uri, err := address(c.in)
		if err != nil || post != c.post || uri != c.uri {
			t.Errorf("%s: %q %q %v", c.in, post, uri, err)
		}
	}
	for _, bad := range []string{"", "ipp://", "usb://HP/x", "p:631", "::"} {
		if _, err := New(Options{URI: bad}); !errors.Is(err, errURI) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestEveryReasonHasPlainWords(t *testing.T) {
	codes := map[string]bool{}
	for _, k := range Reasons() {
		w := conditions[k]
		if w.state == "" {
			continue
		}
		codes[w.code] = true
		for _, s := range []string{w.cause, w.remedy} {
			if s == "" || !strings.HasSuffix(s, "。") || strings.ContainsFunc(s, func(r rune) bool {
				return r < 128 && !unicode.IsDigit(r) && r != 'A' && r != ' '
			}) {
				t.Errorf("%s: %q is not a plain Chinese sentence", k, s)
			}
		}
		if !slices.Contains(device.States, w.state) {
			t.Errorf("%s: state %q", k, w.state)
		}
	}
	if len(codes) < 15 {
		t.Errorf("only %d codes", len(codes))
	}
}

func TestCondition(t *testing.T) {
	for _, c := range []struct {
		name  string
		p     printer
		state device.State
		code  string
	}{
		{"idle", printer{state: printerIdle, accepting: true, reasons: []string{"none"}}, device.StateReady, ""},
		{"busy", printer{state: printerProcessing, accepting: true}, device.StateBusy, codePrinting},
		{"low paper", printer{state: printerIdle, accepting: true, reasons: []string{"media-low-warning"}}, device.StateLow, "PR-20"},
		{"no paper", printer{state: printerStopped, accepting: true, reasons: []string{"media-empty-error"}}, device.StateFault, "PR-02"},
		{"one tray of two is empty", printer{state: printerIdle, accepting: true, reasons: []string{"media-empty-warning"}}, device.StateLow, "PR-02"},
		{"jam goes before toner", printer{state: printerStopped, accepting: true, reasons: []string{"toner-low-report", "media-jam", "media-empty"}}, device.StateFault, "PR-03"},
		{"stopped without a word", printer{state: printerStopped, accepting: true, reasons: []string{"none"}}, device.StateFault, "PR-16"},
		{"stopped with a mere warning", printer{state: printerStopped, accepting: true, reasons: []string{"toner-low-warning"}}, device.StateFault, "PR-16"},
		{"queue closed", printer{state: printerIdle, accepting: false}, device.StateFault, "PR-09"},
		{"CUPS: printer unplugged", printer{state: printerIdle, accepting: true, reasons: []string{"offline-report"}}, device.StateAbsent, "PR-08"},
		{"unknown error", printer{state: printerIdle, accepting: true, reasons: []string{"com.vendor.smoke-error"}}, device.StateFault, "PR-19"},
		{"unknown remark", printer{state: printerIdle, accepting: true, reasons: []string{"com.vendor.tea-report"}}, device.StateReady, ""},
	} {
		h := condition(c.p)
		if h.State != c.state || h.Code != c.code || (h.Code != "") != (h.Remedy != "") {
			t.Errorf("%s: %+v", c.name, h)
		}
	}
	for name, demo := range map[string]bool{"Cunban Simulated Printer": true, "Example Printer": true, "HP LaserJet P1108": false} {
		if condition(printer{name: name}).Demo != demo {
			t.Errorf("%s: demo is not %v", name, demo)
		}
	}
}

// script answers requests in turn; a nil answer is a broken line.
type script struct {
	t       *testing.T
	answers map[goipp.Op][]*goipp.Message
	asked   []goipp.Op
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	var m goipp.Message
	if err := m.Decode(r.Body); err != nil {
		s.t.Errorf("request: %v", err)
	}
	op := goipp.Op(m.Code)
	s.asked = append(s.asked, op)
	list := s.answers[op]
	if len(list) == 0 {
		s.t.Errorf("unexpected %v", op)
		return nil, io.ErrUnexpectedEOF
	}
	if len(list) > 1 {
		s.answers[op] = list[1:]
	}
	if list[0] == nil {
		return nil, io.ErrUnexpectedEOF
	}
	b, err := list[0].EncodeBytes()
	if err != nil {
		s.t.Error(err)
	}
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {goipp.ContentType}}, Body: io.NopCloser(bytes.NewReader(b))}, nil
}

func answer(status goipp.Status) *goipp.Message {
	m := goipp.NewResponse(goipp.MakeVersion(2, 0), status, 1)
	m.Operation.Add(goipp.MakeAttribute("attributes-charset", goipp.TagCharset, goipp.String("utf-8")))
	return m
}

func well(formats ...string) *goipp.Message {
	m := answer(goipp.StatusOk)
	m.Printer.Add(goipp.MakeAttribute("printer-state", goipp.TagEnum, goipp.Integer(3)))
	m.Printer.Add(keywords("printer-state-reasons", "none"))
	for _, f := range formats {
		m.Printer.Add(goipp.MakeAttribute("document-format-supported", goipp.TagMimeType, goipp.String(f)))
	}
	return m
}

func aJob(state jobState, sheets int) *goipp.Message {
	m := answer(goipp.StatusOk)
	m.Job.Add(goipp.MakeAttribute("job-id", goipp.TagInteger, goipp.Integer(7)))
	m.Job.Add(goipp.MakeAttribute("job-uuid", goipp.TagURI, goipp.String("urn:uuid:1")))
	m.Job.Add(goipp.MakeAttribute("job-state", goipp.TagEnum, goipp.Integer(state)))
	m.Job.Add(goipp.MakeAttribute("job-media-sheets-completed", goipp.TagInteger, goipp.Integer(sheets)))
	return m
}

func TestEnds(t *testing.T) {
	type list = map[goipp.Op][]*goipp.Message
	for _, c := range []struct {
		name    string
		answers list
		want    device.PrintEnd
		err     bool
		cause   string
		printed int // Print-Job requests
	}{
		{"done", list{goipp.OpPrintJob: {aJob(3, 0)}, goipp.OpGetJobAttributes: {aJob(5, 0), aJob(9, 1)}}, device.PrintDone, false, "", 1},
		{"aborted after a page", list{goipp.OpPrintJob: {aJob(3, 0)}, goipp.OpGetJobAttributes: {aJob(5, 1), aJob(8, 1)}}, device.PrintFailed, false, "已经出来 1 页", 1},
		{"line breaks with the document", list{goipp.OpPrintJob: {nil}}, device.PrintUnknown, false, "说不准", 1},
		{"job forgotten", list{goipp.OpPrintJob: {aJob(3, 0)}, goipp.OpGetJobAttributes: {aJob(5, 0), answer(goipp.StatusErrorNotFound)}}, device.PrintUnknown, false, "说不准", 1},
		{"silent for long", list{goipp.OpPrintJob: {aJob(3, 0)}, goipp.OpGetJobAttributes: {nil}}, device.PrintUnknown, false, "说不准", 1},
		{"silent for a moment", list{goipp.OpPrintJob: {aJob(3, 0)}, goipp.OpGetJobAttributes: {nil, nil, aJob(9, 1)}}, device.PrintDone, false, "", 1},
		{"refused", list{goipp.OpPrintJob: {answer(goipp.StatusErrorDocumentFormatNotSupported)}}, device.PrintFailed, true, "不认", 1},
		{"takes no PDF", list{goipp.OpGetPrinterAttributes: {well("image/pwg-raster", "image/urf")}}, device.PrintFailed, true, "不认 PDF", 0},
		{"hangs until cancelled", list{goipp.OpPrintJob: {aJob(3, 0)}, goipp.OpGetJobAttributes: {aJob(6, 0)}, goipp.OpCancelJob: {answer(goipp.StatusErrorInternal)}},
			device.PrintUnknown, false, "说不准", 1},
		{"accepted without a number", list{goipp.OpPrintJob: {answer(goipp.StatusOk)}}, device.PrintUnknown, false, "说不准", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{t: t, answers: c.answers}
				if s.answers[goipp.OpGetPrinterAttributes] == nil {
					s.answers[goipp.OpGetPrinterAttributes] = []*goipp.Message{well(pdfFormat)}
				}
				p, err := New(Options{URI: "ipp://p/x", Transport: connected{s}})
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				r, err := p.Print(t.Context(), "回执", []byte("%PDF-1.4"), nil)
				if r.End != c.want || (err != nil) != c.err || !strings.Contains(r.Cause, c.cause) {
					t.Errorf("%+v, %v", r, err)
				}
				if (r.End == device.PrintDone) != (r.Remedy == "") {
					t.Errorf("remedy %q", r.Remedy)
				}
				n := 0
				for _, op := range s.asked {
					if op == goipp.OpPrintJob {
						n++
					}
				}
				if n != c.printed {
					t.Errorf("the document was sent %d times", n)
				}
				if took := time.Since(start); took > DefaultJob+time.Minute {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// connected tells the client's trace that a connection was made, as a real
// transport does.
type connected struct{ http.RoundTripper }

func (c connected) RoundTrip(r *http.Request) (*http.Response, error) {
	gotConn(r.Context())
	return c.RoundTripper.RoundTrip(r)
}

func TestEndOfContextIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{t: t, answers: map[goipp.Op][]*goipp.Message{
			goipp.OpGetPrinterAttributes: {well(pdfFormat)}, goipp.OpPrintJob: {aJob(3, 0)},
			goipp.OpGetJobAttributes: {aJob(6, 0), aJob(6, 0), aJob(6, 0), aJob(7, 0)}, goipp.OpCancelJob: {answer(goipp.StatusOk)},
		}}
		p, err := New(Options{URI: "ipp://p/x", Transport: connected{s}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r, err := p.Print(ctx, "回执", []byte("%PDF-1.4"), nil)
		if err != nil || r.End != device.PrintFailed || r.Cause != "不打了。" {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestSameJob(t *testing.T) {
	a := job{id: 1, uuid: "u", name: "n"}
	for _, c := range []struct {
		b    job
		want bool
	}{
		{job{id: 1, uuid: "u", name: "other"}, true},
		{job{id: 1, uuid: "v", name: "n"}, false},
		{job{id: 2, uuid: "u", name: "n"}, false},
		{job{id: 1, name: "n"}, true},
		{job{id: 1, name: "m"}, false},
		{job{id: 1}, true},
	} {
		if a.same(c.b) != c.want {
			t.Errorf("%+v: %v", c.b, !c.want)
		}
	}
}

func FuzzReply(f *testing.F) {
	for _, m := range []*goipp.Message{well(pdfFormat), aJob(5, 1), answer(goipp.StatusErrorBusy)} {
		b, err := m.EncodeBytes()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseReply(b)
		if err != nil {
			if !errors.Is(err, errReply) {
				t.Fatalf("error %v", err)
			}
			return
		}
		h := condition(readPrinter(m))
		if !slices.Contains(device.States, h.State) {
			t.Fatalf("state %q", h.State)
		}
		if !h.State.Usable() && (h.Code == "" || h.Cause == "" || h.Remedy == "") {
			t.Fatalf("no words: %+v", h)
		}
		j := readJob(m.Job)
		if j.sheets < 0 {
			t.Fatalf("%d sheets", j.sheets)
		}
		for _, k := range readJobs(m) {
			_ = j.same(k)
		}
		_ = text(m.Operation, "status-message")
	})
}
