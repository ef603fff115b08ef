package sim

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/OpenPrinting/goipp"
)

// The printer's behaviour under the driver is held by the contract in
// device/print; here is what only the simulator promises.

func ask(t *testing.T, h http.Handler, m *goipp.Message, document string) *goipp.Message {
	t.Helper()
	b, err := m.EncodeBytes()
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, PrinterPath, bytes.NewReader(append(b, document...)))
	r.Header.Set("Content-Type", goipp.ContentType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var reply goipp.Message
	if err := reply.DecodeBytes(w.Body.Bytes()); err != nil {
		t.Fatalf("HTTP %d: %v", w.Code, err)
	}
	return &reply
}

func request(op goipp.Op) *goipp.Message {
	m := goipp.NewRequest(goipp.MakeVersion(2, 0), op, 1)
	m.Operation.Add(goipp.MakeAttribute("attributes-charset", goipp.TagCharset, goipp.String("utf-8")))
	return m
}

func TestPrinterTroubleShows(t *testing.T) {
	p := NewPrinter(PrinterOptions{})
	for _, c := range []struct {
		do     func()
		reason string
		state  int
	}{
		{p.PaperOut, "media-empty-error", 5}, {p.PaperIn, "none", 3}, {p.Jam, "media-jam-error", 5}, {p.Clear, "none", 3},
		{p.OpenCover, "cover-open-error", 5}, {p.Pause, "paused-error", 5}, {p.PaperIn, "none", 3},
		{func() { p.PaperLow(true) }, "media-low-warning", 3},
	} {
		c.do()
		m := ask(t, p, request(goipp.OpGetPrinterAttributes), "")
		if got := attr(m.Printer, "printer-state-reasons"); got != c.reason {
			t.Errorf("reason %q, want %q", got, c.reason)
		}
		for _, a := range m.Printer {
			if a.Name == "printer-state" && a.Values[0].V != goipp.Integer(c.state) {
				t.Errorf("%s: state %v, want %d", c.reason, a.Values[0].V, c.state)
			}
		}
	}
}

func TestPrinterRefuses(t *testing.T) {
	p := NewPrinter(PrinterOptions{})
	if m := ask(t, p, request(goipp.OpPrintJob), "no PDF"); goipp.Status(m.Code) != goipp.StatusErrorDocumentFormatError {
		t.Errorf("status %v", goipp.Status(m.Code))
	}
	if m := ask(t, p, request(goipp.OpPausePrinter), ""); goipp.Status(m.Code) != goipp.StatusErrorOperationNotSupported {
		t.Errorf("status %v", goipp.Status(m.Code))
	}
	if m := ask(t, p, request(goipp.OpGetJobAttributes), ""); goipp.Status(m.Code) != goipp.StatusErrorNotFound {
		t.Errorf("status %v", goipp.Status(m.Code))
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("GET: %d", w.Code)
	}
}

func TestPrinterServeEnds(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := NewPrinter(PrinterOptions{PageTime: time.Hour})
	p.PaperOut()
	ask(t, p, request(goipp.OpPrintJob), "%PDF-1.4")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(ctx, ln) }()
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("ended with %v", err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		t.Error("still listens")
	}
}
