package vendor_test

import (
	"context"
	"testing"
	"time"

	"cunban/device"
	"cunban/device/contract"
	"cunban/device/sim"
	"cunban/device/vendor"
)

// simulator runs simulated hardware with a card in, and how to reach it.
func simulator(t *testing.T, person string) (socket string, do func(sim.Request) sim.Reply) {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	s := sim.New(sim.Options{Dir: dir, VPCD: "127.0.0.1:1"}) // no reader needed
	go func() { ended <- s.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	do = func(r sim.Request) sim.Reply {
		t.Helper()
		reply := s.Do(t.Context(), r)
		if !reply.OK {
			t.Fatalf("%+v: %s", r, reply.Error)
		}
		return reply
	}
	do(sim.Request{Do: sim.Insert, Card: sim.ListCards("")[0].Name})
	do(sim.Request{Do: sim.PINPerson, Device: person})
	return sim.SocketPath(dir), do
}

func simulated(t *testing.T, person string) *vendor.Driver {
	t.Helper()
	socket, _ := simulator(t, person)
	return vendor.New(quick(vendor.Options{Name: "模拟", Program: self(t), Args: []string{simArg, socket}}))
}

func TestSimulatorKeepsTheContracts(t *testing.T) {
	contract.TestDevice(t, "cunban/device/vendor", func(t *testing.T) device.Device { return simulated(t, sim.PadOK) })
	contract.TestLights(t, func(t *testing.T) device.Lights { return simulated(t, sim.PadOK) })
	contract.TestPINPad(t, func(t *testing.T, person string) device.PINPad { return simulated(t, person) })
}

func TestSimulatedBoardIsUnpluggedAndMarked(t *testing.T) {
	socket, do := simulator(t, sim.PadOK)
	d := vendor.New(quick(vendor.Options{Name: "模拟", Program: self(t), Args: []string{simArg, socket}}))
	w := contract.Watch(t, d)
	contract.Start(t, d)
	w.Until(t, "ready", func() bool { return d.Can(vendor.CanLights) })
	if !d.Health().Demo {
		t.Error("not marked as simulated")
	}
	if err := d.SetLights(t.Context(), []device.Lamp{device.LampCard, device.LampPrinter}); err != nil {
		t.Fatal(err)
	}
	if st := do(sim.Request{Do: sim.AskState}).State; st.Lamps != "card,printer" {
		t.Errorf("lit: %q", st.Lamps)
	}
	do(sim.Request{Do: sim.VendorUnplug})
	w.Until(t, "absent", func() bool { return d.Health().State == device.StateAbsent && d.Health().Code == "VD-12" })
	do(sim.Request{Do: sim.VendorPlug})
	w.Until(t, "back", func() bool { return d.Can(vendor.CanLights) })
	do(sim.Request{Do: sim.Remove})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := d.ChangePIN(ctx, nil); err == nil {
		t.Error("a PIN was changed without a card")
	}
}

func TestFailedCheckShowsAndHeals(t *testing.T) {
	d := vendor.New(quick(vendor.Options{Name: "查", Program: self(t), Args: []string{hostileArg, t.TempDir(), "check fails"}}))
	w := contract.Watch(t, d)
	contract.Start(t, d)
	w.Until(t, "fault", func() bool { return d.Health().Code == "VD-13" })
	if h := d.SelfTest(t.Context()); h.State != device.StateReady {
		t.Errorf("after a good check: %+v", h)
	}
}
