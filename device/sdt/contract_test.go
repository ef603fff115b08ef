package sdt_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"cunban/device"
	"cunban/device/contract"
	"cunban/device/sdt"
	"cunban/device/sim"
)

// fast keeps the tests short; the driver's behaviour does not depend on it.
var fast = sdt.Timings{Poll: 20 * time.Millisecond, Command: 300 * time.Millisecond, Read: time.Second,
	Quiet: 30 * time.Millisecond, Retry: 20 * time.Millisecond, RetryMax: 100 * time.Millisecond}

// ptyHarness is the driver on a serial line with the simulated reader behind.
type ptyHarness struct {
	dir string
	sim *sim.Client
}

func newPTY(t *testing.T) *ptyHarness {
	t.Helper()
	h := &ptyHarness{dir: t.TempDir()}
	s := sim.New(sim.Options{Dir: h.dir})
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- s.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("simulator: %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		done <- err
		t.Fatalf("simulator: %v", err)
	}
	c, err := sim.Dial(sim.SocketPath(h.dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	h.sim = c
	return h
}

func (h *ptyHarness) do(t *testing.T, req sim.Request) {
	t.Helper()
	if _, err := h.sim.Do(context.Background(), req); err != nil {
		t.Fatal(err)
	}
}

var files = map[string]string{contract.CardGood: "zhang", contract.CardOther: "foreigner"}

func (h *ptyHarness) Reader() device.IDReader {
	return sdt.New(sdt.Options{Open: sdt.Serial(filepath.Join(h.dir, sim.SDTLink), 0), Timings: fast})
}
func (h *ptyHarness) Put(t *testing.T, card string) {
	h.do(t, sim.Request{Do: sim.IDPut, Card: files[card]})
}
func (h *ptyHarness) Lift(t *testing.T)   { h.do(t, sim.Request{Do: sim.IDLift}) }
func (h *ptyHarness) Unplug(t *testing.T) { h.do(t, sim.Request{Do: sim.ReaderUnplug, Device: "id"}) }
func (h *ptyHarness) Plug(t *testing.T)   { h.do(t, sim.Request{Do: sim.ReaderPlug, Device: "id"}) }
func (h *ptyHarness) Want(card string) device.IDCard {
	if card == contract.CardGood {
		return device.IDCard{Type: device.IDResident, Name: "张桂兰", Sex: "2", Ethnic: "01", BirthDate: "19560312",
			Address: "山西省芮城县古魏镇南关村12号", Number: "140830195603120024", Authority: "芮城县公安局",
			ValidFrom: "20060401", ValidUntil: "长期"}
	}
	return device.IDCard{Type: device.IDForeign23, Name: "安娜", NameEN: "ANNA EXAMPLE", Sex: "2", BirthDate: "19900101",
		Number: "911123199001011236", Nation: "RUS", ValidFrom: "20240301", ValidUntil: "20340301"}
}

func TestOnPTY(t *testing.T) { contract.TestIDReader(t, newPTY(t)) }

func TestDeviceOnPTY(t *testing.T) {
	h := newPTY(t)
	contract.TestDevice(t, "cunban/device/sdt", func(*testing.T) device.Device { return h.Reader() })
	t.Run("demo", func(t *testing.T) {
		r := h.Reader()
		w := contract.Watch(t, r)
		contract.Start(t, r)
		w.Until(t, "ready", func() bool { return r.Health().State == device.StateReady })
		if !r.Health().Demo {
			t.Errorf("a simulated reader is taken for a real one: %+v", r.Health())
		}
	})
}
