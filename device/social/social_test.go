package social_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"cunban/device"
	"cunban/device/contract"
	"cunban/device/internal/pcscdtest"
	"cunban/device/pcsc"
	"cunban/device/sim"
	"cunban/device/social"
)

func TestMain(m *testing.M) { os.Exit(pcscdtest.Main(m)) }

// TestTwoPrograms: a reader that another program holds is named held, by real
// sharing rules, and read once it is free.
func TestTwoPrograms(t *testing.T) {
	h := newVPCD(t)
	other := pcsc.New(pcsc.Options{})
	ow := contract.Watch(t, other)
	contract.Start(t, other)
	r := h.Reader()
	w := contract.Watch(t, r)
	contract.Start(t, r)
	h.do(t, sim.Request{Do: sim.Insert, Card: "li"})
	ow.UntilCard(t, other.CardState, device.CardInserted)
	w.UntilCard(t, r.CardState, device.CardInserted)
	tr, err := other.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadCard(t.Context()); !errors.Is(err, device.ErrHeld) {
		t.Errorf("read: %v, want ErrHeld", err)
	}
	w.UntilCard(t, r.CardState, device.CardHeld)
	if got := r.Health(); got.State != device.StateBusy || got.Code != pcsc.CodeHeld || !got.Demo {
		t.Errorf("health %+v", got)
	}
	if _, err := r.ReadCard(t.Context()); !errors.Is(err, device.ErrHeld) {
		t.Errorf("read: %v, want ErrHeld", err)
	}
	if got := other.CardState(); got.State != device.CardInserted {
		t.Errorf("the holder takes itself for another: %+v", got)
	}
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	w.UntilCard(t, r.CardState, device.CardInserted)
	got, err := r.ReadCard(t.Context())
	if err != nil || got.Name != "李建军" {
		t.Errorf("read when it is free: %+v, %v", got, err)
	}
}

// TestReaderGoneMidRead: the service dies in the middle of a command.
func TestReaderGoneMidRead(t *testing.T) {
	h := newVPCD(t)
	slot := pcsc.New(pcsc.Options{})
	w := contract.Watch(t, slot)
	contract.Start(t, slot)
	h.do(t, sim.Request{Do: sim.Insert, Card: "zhang"})
	w.UntilCard(t, slot.CardState, device.CardInserted)
	tr, err := slot.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	h.pcscd.Kill()
	_, err = tr.Transmit(t.Context(), []byte{0x00, 0xA4, 0x02, 0x00, 0x02, 0xEF, 0x05})
	if !errors.Is(err, device.ErrNoReader) && !errors.Is(err, device.ErrCardTorn) {
		t.Errorf("command to a dead service: %v", err)
	}
	w.UntilCard(t, slot.CardState, device.CardNoReader)
}

func TestWords(t *testing.T) {
	seen := map[string]error{}
	for _, err := range []error{device.ErrNoReader, device.ErrNoCard, device.ErrCardTorn, device.ErrBlankCard, device.ErrForeignCard,
		device.ErrUnresponsive, device.ErrHeld, device.ErrDamagedCard, errors.New("anything")} {
		cause, remedy := social.Words(fmt.Errorf("read: %w", err))
		if cause == "" || remedy == "" || seen[cause] != nil {
			t.Errorf("%v: %q %q (as for %v)", err, cause, remedy, seen[cause])
		}
		seen[cause] = err
	}
}
