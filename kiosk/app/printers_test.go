package app

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"cunban/device"
	"cunban/device/sim"
	"cunban/kiosk/oplog"
	"cunban/kiosk/paper"
)

// startRoll runs a simulated receipt printer.
func startRoll(t *testing.T) (p *sim.Receipt, target string) {
	t.Helper()
	return startRollAt(t, "127.0.0.1:0")
}

func startRollAt(t *testing.T, addr string) (p *sim.Receipt, target string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p = sim.NewReceipt(sim.ReceiptOptions{Dir: t.TempDir(), RowTime: time.Microsecond})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.Serve(ctx, l) // the end of ctx
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return p, "tcp://" + l.Addr().String()
}

// TestReceiptOnTheRoll: with a receipt printer and a page printer the receipt
// comes out on 80 mm, and its code holds the proof of the case; forms come out on
// A4. A receipt printer without paper leaves the receipt to the page printer.
func TestReceiptOnTheRoll(t *testing.T) {
	need(t, "zbarimg")
	roll, target := startRoll(t)
	a4, addr := startPrinter(t)
	h := newHouse(t, func(o *Options) {
		o.Renderer = []string{os.Args[0], renderArg}
		o.Config.Devices.Printer, o.Config.Devices.ReceiptPrinter = addr, target
	})
	of := func(k device.Kind) device.Health {
		for _, d := range h.Devices() {
			if d.Kind == k {
				return d
			}
		}
		t.Fatalf("no %s on the health page", k)
		return device.Health{}
	}
	h.await("both printers", func() bool {
		return of(device.KindReceiptPrint).State == device.StateReady && of(device.KindPagePrinter).State == device.StateReady
	})
	h.await("the mark of simulated hardware", func() bool { return of(device.KindReceiptPrint).Demo && h.Point().Demo })
	claim := zhang(t)
	c := h.submit(h.filled("S01", picture(t)))
	print := func(pdf []byte, err error) device.PrintResult {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		r, err := h.Print(t.Context(), "办件回执", pdf, func(string) {})
		if err != nil {
			t.Fatalf("%+v %v", r, err)
		}
		return r
	}
	receipt := func() ([]byte, error) {
		return h.Receipt(t.Context(), c.ID, claim, []paper.Material{{Name: "户口簿", How: "扫描", Pages: 1}})
	}
	if r := print(receipt()); r.End != device.PrintDone {
		t.Fatalf("%+v", r)
	}
	n, files := roll.Pieces()
	if n != 1 || len(files) != 1 {
		t.Fatalf("%d pieces of paper", n)
	}
	code, err := exec.CommandContext(t.Context(), "zbarimg", "-q", "--raw", "-Sdisable", "-Sqrcode.enable", files[0]).Output()
	if err != nil {
		t.Fatalf("no code on the paper: %v", err)
	}
	r, err := oplog.ParseReceipt(string(bytes.TrimSpace(code)))
	if err != nil || !strings.Contains(string(r.Record), c.ID) {
		t.Errorf("the code proves something else: %v", err)
	}
	if img, err := h.Preview(t.Context(), must(receipt()), 0, 70); err != nil || img.Bounds().Dx() < 300 || img.Bounds().Dy() < img.Bounds().Dx() {
		t.Errorf("preview: %v", err)
	}
	if r := print(h.Notice(t.Context(), "S01")); r.End != device.PrintDone {
		t.Errorf("notice: %+v", r)
	}
	if n, _ := roll.Pieces(); n != 1 {
		t.Error("a form came out of the receipt printer")
	}

	roll.Set(sim.ReceiptNoPaper)
	h.roll.SelfTest(t.Context())
	if d := of(device.KindReceiptPrint); d.Code != "RP-02" || !strings.Contains(d.Cause, "没有纸") || d.Remedy == "" {
		t.Errorf("the health page says %+v", d)
	}
	pdf := must(receipt())
	if paper.IsSlip(pdf) {
		t.Fatal("the receipt is made for a printer without paper, beside one that has some")
	}
	if r := print(pdf, nil); r.End != device.PrintDone {
		t.Errorf("receipt on A4: %+v", r)
	}
	a4.PaperOut()
	h.printer.SelfTest(t.Context())
	_, err = h.Print(t.Context(), "办件回执", must(receipt()), func(string) {})
	words(t, err, "RP-02", "小票打印机没有纸了")
	if !strings.Contains(remedy(err), "换一卷") || !strings.Contains(remedy(err), "补打") {
		t.Errorf("remedy %q", remedy(err))
	}
}

func must(pdf []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return pdf
}

// TestRollAlone: without a page printer a form says what it needs; a receipt whose
// end is not known is left to a person.
func TestRollAlone(t *testing.T) {
	roll, target := startRoll(t)
	h := newHouse(t, func(o *Options) {
		o.Renderer = []string{os.Args[0], renderArg}
		o.Config.Devices.ReceiptPrinter = target
	})
	h.await("the printer", func() bool { return h.Printer().State == device.StateReady })
	r, err := h.Print(t.Context(), "告知单", must(h.Notice(t.Context(), "S01")), func(string) {})
	if err != nil || r.End != device.PrintFailed || !strings.Contains(r.Cause, "A4") || !strings.Contains(r.Remedy, "帮办员") {
		t.Errorf("%+v %v", r, err)
	}
	c := h.submit(h.filled("S01", picture(t)))
	pdf := must(h.Receipt(t.Context(), c.ID, zhang(t), nil))
	roll.EndRollAfter(200)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err = h.Print(ctx, "办件回执", pdf, func(s string) {
		if strings.Contains(s, "没有纸") {
			cancel() // she goes
		}
	})
	if err != nil || r.End != device.PrintUnknown || !strings.Contains(r.Remedy, "补打") {
		t.Errorf("%+v %v", r, err)
	}
	roll.Set(sim.ReceiptWell)
	h.roll.SelfTest(t.Context())
	if n, _ := roll.Pieces(); n != 0 {
		t.Errorf("%d pieces of paper by themselves", n)
	}
	if r, err := h.Print(t.Context(), "办件回执", pdf, func(string) {}); err != nil || r.End != device.PrintDone {
		t.Errorf("when a person says so: %+v %v", r, err)
	}
	if n, _ := roll.Pieces(); n != 2 {
		t.Errorf("%d pieces of paper, want the half and the whole", n)
	}
}

// TestSimulatedRollClosesARealTerminal: a terminal that is enrolled for real does
// no business beside a simulated receipt printer.
func TestSimulatedRollClosesARealTerminal(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	c := startCounty(t)
	o := options(t, t.TempDir(), "https://"+c.addr)
	o.Config.Devices.ReceiptPrinter = "tcp://" + addr
	x := boot(t, o)
	x.enrol(c, false)
	startRollAt(t, addr) // plugged in afterwards
	x.await("the terminal to close", func() bool { return strings.Contains(x.Point().Closed, "拔掉模拟设备") })
	if !x.Point().Demo {
		t.Error("not marked")
	}
}
