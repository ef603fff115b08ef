package app

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"cunban/device"
	"cunban/device/sim"
	"cunban/kiosk/cases"
)

// need skips a test whose program is not installed, but not in CI.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("CUNBAN_CI") == "1" {
			t.Fatal(err)
		}
		t.Skipf("%s is not installed", program)
	}
}

// TestScannerUnpluggedInTheMiddle: the first page is kept, the second says what
// happened and what to do, and the case goes with what there is.
func TestScannerUnpluggedInTheMiddle(t *testing.T) {
	need(t, "scanimage")
	sane := t.TempDir()
	plug := func(in bool) {
		t.Helper()
		// SANE opens a backend by name even when it is not listed: a scan under
		// way sees an I/O error, a look sees nothing, as with a pulled plug.
		list, how := "# nothing\n", "read-status-code \"SANE_STATUS_IO_ERROR\"\nread-delay true\nread-delay-duration 200000\n"
		if in {
			list, how = "test\n", ""
		}
		for name, text := range map[string]string{"dll.conf": list, "test.conf": "number_of_devices 1\n" + how} {
			if err := os.WriteFile(filepath.Join(sane, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	plug(true)
	h := newHouse(t, func(o *Options) { o.Config.Devices.Scanner, o.Config.Devices.SaneConfig = "auto", sane })
	first, err := h.Take(t.Context(), device.KindScanner)
	if err != nil || len(first.JPEG) == 0 || first.Preview == nil {
		t.Fatalf("first page: %+v %v", first.Words, err)
	}
	kept := bytes.Clone(first.JPEG)
	plug(false)
	_, err = h.Take(t.Context(), device.KindScanner)
	words(t, err, "SC-02", "没有找到扫描仪")
	if !strings.Contains(remedy(err), "扫好的页都在") || !strings.Contains(remedy(err), "以后补交") {
		t.Errorf("remedy %q", remedy(err))
	}
	if !bytes.Equal(first.JPEG, kept) {
		t.Error("the first page changed")
	}
	c := h.submit(h.filled("S01", first.JPEG))
	h.await("the number", func() bool { return h.state(c.ID) == cases.Accepted })
	_, plain, err := h.county.OpenFile(t.Context(), c.ID, 1, "1-01.sealed", "test")
	if err != nil || !bytes.Equal(plain, kept) {
		t.Errorf("page at the county: %d bytes of %d, %v", len(plain), len(kept), err)
	}
	plug(true)
	if _, err := h.Take(t.Context(), device.KindScanner); err != nil {
		t.Errorf("plugged in again: %v", err)
	}
	_, err = h.Take(t.Context(), device.KindDocCamera)
	words(t, err, "SC-91", "没有这个扫描设备")
}

// TestCameraThatIsNotThere: the source says so in its own words, on the page,
// to technicians and when a page is asked for.
func TestCameraThatIsNotThere(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Config.Devices.DocCamera = filepath.Join(t.TempDir(), "video0") })
	h.await("the camera's health", func() bool {
		for _, d := range h.Devices() {
			if d.Kind == device.KindDocCamera {
				return d.State == device.StateAbsent
			}
		}
		return false
	})
	for _, s := range h.Sources() {
		if s.Kind == device.KindDocCamera && s.Name != "高拍仪" {
			t.Errorf("called %s", s.Name)
		}
	}
	_, err := h.Take(t.Context(), device.KindDocCamera)
	words(t, err, "DC-01", "没有找到高拍仪")
	if !strings.Contains(remedy(err), "拍好的页都在") || !strings.Contains(remedy(err), "以后补交") {
		t.Errorf("remedy %q", remedy(err))
	}
}

// startPrinter runs a simulated IPP printer.
func startPrinter(t *testing.T) (*sim.Printer, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := sim.NewPrinter(sim.PrinterOptions{PageTime: time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.Serve(ctx, l) // the end of ctx
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return p, "http://" + l.Addr().String() + sim.PrinterPath
}

// TestPrinterOutOfPaper: the person hears that paper is missing while she
// waits, the paper comes out when there is some, and her case was never at
// stake.
func TestPrinterOutOfPaper(t *testing.T) {
	p, addr := startPrinter(t)
	x := boot(t, func() Options {
		o := options(t, t.TempDir(), "")
		o.Config.Devices.Printer = addr
		return o
	}())
	x.await("the printer", func() bool { return x.Printer().State == device.StateReady })
	pdf, err := x.Notice(t.Context(), "S01")
	if err != nil {
		t.Fatal(err)
	}
	if r, err := x.Print(t.Context(), "告知单", pdf, func(string) {}); err != nil || r.End != device.PrintDone {
		t.Fatalf("%+v %v", r, err)
	}
	p.PaperOut()
	x.await("the printer's condition", func() bool { return x.Printer().State == device.StateFault })
	if h := x.Printer(); h.Code != "PR-02" || !strings.Contains(h.Cause, "没有纸") || h.Remedy == "" {
		t.Errorf("%+v", h)
	}
	r, err := x.Print(t.Context(), "告知单", pdf, func(string) {})
	if err == nil {
		t.Fatalf("printed without paper: %+v", r)
	}
	words(t, err, "PR-02", "没有纸")
	if s := remedy(err); !strings.Contains(s, "放好") || !strings.Contains(s, "可以补打") {
		t.Errorf("remedy %q", s)
	}
	p.PaperIn()
	x.await("paper", func() bool { return x.Printer().State == device.StateReady })
	// It runs out in the middle of a paper.
	var mu gosync.Mutex
	var said []string
	heard := func(s string) func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return strings.Contains(strings.Join(said, "|"), s) }
	}
	type end struct {
		r   device.PrintResult
		err error
	}
	done := make(chan end, 1)
	go func() {
		r, err := x.Print(t.Context(), "告知单", pdf, func(s string) {
			if s == "正在发送" {
				p.PaperOut()
			}
			mu.Lock()
			said = append(said, s)
			mu.Unlock()
		})
		done <- end{r, err}
	}()
	x.await("the words", heard("没有纸"))
	p.PaperIn()
	select {
	case e := <-done:
		if e.err != nil || e.r.End != device.PrintDone {
			t.Errorf("%+v %v", e.r, e.err)
		}
	case <-time.After(patience):
		t.Fatal("the paper never came")
	}
}

func TestNoPrinterAtAll(t *testing.T) {
	x := boot(t, options(t, t.TempDir(), ""))
	r, err := x.Print(t.Context(), "回执", nil, func(string) {})
	if err != nil || r.End != device.PrintFailed || !strings.Contains(r.Cause, "没有接打印机") || !strings.Contains(r.Remedy, "不受影响") {
		t.Errorf("%+v %v", r, err)
	}
	if h := x.SelfTest(t.Context(), device.KindPagePrinter); h.State != device.StateAbsent || h.Remedy == "" {
		t.Errorf("%+v", h)
	}
}
