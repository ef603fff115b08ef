package escpos_test

import (
	"context"
	"image"
	"image/color"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cunban/device"
	"cunban/device/contract"
	"cunban/device/print/escpos"
	"cunban/device/sim"
)

// rows is how long a test receipt is.
const rows = 300

// draw is a page of stripes, whose beginning is told by its document.
func draw(_ context.Context, _ []byte, dots int) ([]image.Image, error) {
	g := image.NewGray(image.Rect(0, 0, dots, rows))
	for y := range rows {
		for x := range dots {
			if (x/8+y)%3 != 0 {
				g.SetGray(x, y, color.Gray{Y: 255})
			}
		}
	}
	return []image.Image{g}, nil
}

// simulated is the receipt printer of device/sim, at the end of a network line or
// behind a device file.
func simulated(t *testing.T, file bool) (*contract.PrinterHarness, *sim.Receipt, string) {
	t.Helper()
	dir := t.TempDir()
	p := sim.NewReceipt(sim.ReceiptOptions{Dir: filepath.Join(dir, "out"), RowTime: time.Millisecond})
	link := filepath.Join(dir, sim.ReceiptLink)
	addr := ""
	target := link
	if !file {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr = ln.Addr().String()
		target = "tcp://" + addr
		_ = ln.Close()
	}
	h := &contract.PrinterHarness{KnowsAtRest: true, Forgets: true}
	h.Start = func() {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		ready := make(chan struct{})
		if file {
			go func() { defer close(ended); _ = p.ServePTY(ctx, link, func() { close(ready) }) }()
		} else {
			ln, err := net.Listen("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			close(ready)
			go func() { defer close(ended); _ = p.Serve(ctx, ln) }()
		}
		<-ready
		var once sync.Once
		h.Stop = func() { once.Do(func() { cancel(); <-ended }) }
	}
	h.Start()
	t.Cleanup(func() { h.Stop() })
	h.PaperOut, h.PaperIn = func() { p.Set(sim.ReceiptNoPaper) }, func() { p.Set(sim.ReceiptWell) }
	h.Doc = func(string) []byte { return []byte("%PDF-") }
	h.Printed = func() (n int) {
		_, files := p.Pieces()
		for _, f := range files {
			if strings.HasSuffix(f, "-cut.png") && height(t, f) == rows {
				n++
			}
		}
		return n
	}
	h.Open = func(t *testing.T) device.Printer { return open(t, target) }
	return h, p, target
}

func height(t *testing.T, name string) int {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	c, _, err := image.DecodeConfig(f)
	if err != nil {
		t.Fatal(err)
	}
	return c.Height
}

func open(t *testing.T, target string) *escpos.Printer {
	t.Helper()
	p, err := escpos.New(escpos.Options{Target: target, Raster: draw, Poll: 20 * time.Millisecond, Heal: 20 * time.Millisecond,
		Answer: 500 * time.Millisecond, Follow: 20 * time.Millisecond, Job: 8 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPrinterContract(t *testing.T) {
	for name, file := range map[string]bool{"network": false, "device file": true} {
		t.Run(name, func(t *testing.T) {
			contract.TestPrinter(t, func(t *testing.T) *contract.PrinterHarness { h, _, _ := simulated(t, file); return h })
			t.Run("device", func(t *testing.T) {
				contract.TestDevice(t, "cunban/device/print/escpos", func(t *testing.T) device.Device { h, _, _ := simulated(t, file); return h.Open(t) })
			})
		})
	}
}

// TestEveryTroubleOfThePrinter: what is wrong with it is said with what to do,
// nothing is sent, and it heals by itself.
func TestEveryTroubleOfThePrinter(t *testing.T) {
	h, sp, target := simulated(t, false)
	p := open(t, target)
	if s := p.SelfTest(t.Context()); s.State != device.StateReady || !strings.HasPrefix(s.Name, sim.ReceiptName) || !s.Demo {
		t.Fatalf("%+v", s)
	}
	for trouble, code := range map[sim.ReceiptTrouble]string{sim.ReceiptNoPaper: "RP-02", sim.ReceiptCoverOpen: "RP-03", sim.ReceiptJammed: "RP-04",
		sim.ReceiptOffline: "RP-07"} {
		sp.Set(trouble)
		s := p.SelfTest(t.Context())
		if s.Code != code || s.Cause == "" || s.Remedy == "" || s.State.Usable() || !s.Demo {
			t.Errorf("%s: %+v", trouble, s)
		}
		if r, err := p.Print(t.Context(), "", nil, nil); err == nil || r.End != device.PrintFailed || r.Cause != s.Cause {
			t.Errorf("%s: %+v, %v", trouble, r, err)
		}
		if n := sp.Hanging(); n > 0 {
			t.Errorf("%s: %d rows came out", trouble, n)
		}
		sp.Set(sim.ReceiptWell)
		if s := p.SelfTest(t.Context()); s.State != device.StateReady {
			t.Errorf("%s, mended: %+v", trouble, s)
		}
	}
	sp.Set(sim.ReceiptLow)
	if r, err := p.Print(t.Context(), "", nil, nil); err != nil || r.End != device.PrintDone || h.Printed() != 1 {
		t.Errorf("near the end of the roll: %+v, %v", r, err)
	}
	if s := p.Health(); s.Code != "RP-08" || s.State != device.StateLow {
		t.Errorf("%+v", s)
	}
}

// TestHalfAReceiptIsCutOff: the roll ends in the middle and nobody puts a new one
// in; the rest never comes out, and the next receipt is a piece of paper by itself.
func TestHalfAReceiptIsCutOff(t *testing.T) {
	for name, file := range map[string]bool{"network": false, "device file": true} {
		t.Run(name, func(t *testing.T) {
			h, sp, target := simulated(t, file)
			p := open(t, target)
			sp.EndRollAfter(130)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			r, err := p.Print(ctx, "", nil, nil)
			if err != nil || r.End != device.PrintUnknown || r.Remedy == "" {
				t.Fatalf("%+v, %v", r, err)
			}
			sp.Set(sim.ReceiptWell)
			if r, err := p.Print(t.Context(), "", nil, nil); err != nil || r.End != device.PrintDone {
				t.Fatalf("the next: %+v, %v", r, err)
			}
			_, files := sp.Pieces()
			if len(files) != 2 || height(t, files[0]) != 130 || height(t, files[1]) != rows || h.Printed() != 1 {
				t.Errorf("pieces %v", files)
			}
		})
	}
}

// TestPurge: what the printer still holds after a driver went away is forgotten.
func TestPurge(t *testing.T) {
	_, sp, target := simulated(t, false)
	p := open(t, target)
	c, err := net.Dial("tcp", strings.TrimPrefix(target, "tcp://"))
	if err != nil {
		t.Fatal(err)
	}
	sp.Set(sim.ReceiptNoPaper)
	picture := append([]byte{0x1d, 'v', '0', 0, 1, 0, 10, 0}, make([]byte, 10)...)
	// A status that is answered tells that the picture before it was received.
	if _, err := c.Write(append(picture, 0x1d, 'V', 66, 0, 0x10, 4, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if err := p.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	sp.Set(sim.ReceiptWell)
	if r, err := p.Print(t.Context(), "", nil, nil); err != nil || r.End != device.PrintDone {
		t.Fatalf("%+v, %v", r, err)
	}
	if n, files := sp.Pieces(); n != 1 || height(t, files[0]) != rows {
		t.Errorf("%d pieces of paper", n)
	}
}
