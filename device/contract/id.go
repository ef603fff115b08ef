package contract

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"cunban/device"
)

// IDHarness is an ID card reader under test and the hands of a person at it.
type IDHarness interface {
	Reader() device.IDReader // not running yet
	Put(t *testing.T, card string)
	Lift(t *testing.T)
	Unplug(t *testing.T)
	Plug(t *testing.T)
	Want(card string) device.IDCard // card is CardGood or CardOther
}

func readID(t *testing.T, r device.IDReader) (device.IDCard, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readLimit)
	defer cancel()
	return r.ReadID(ctx)
}

func sameID(t *testing.T, got, want device.IDCard) {
	t.Helper()
	if len(got.PhotoWLT) == 0 {
		t.Error("the photo's bytes are lost")
	}
	if want.PhotoWLT != nil && !bytes.Equal(got.PhotoWLT, want.PhotoWLT) {
		t.Error("the photo's bytes are changed")
	}
	got.PhotoWLT, want.PhotoWLT = nil, nil
	if got.Type != want.Type || got.Name != want.Name || got.NameEN != want.NameEN || got.Number != want.Number || got.Sex != want.Sex || got.Ethnic != want.Ethnic ||
		got.BirthDate != want.BirthDate || got.Address != want.Address || got.Authority != want.Authority ||
		got.ValidFrom != want.ValidFrom || got.ValidUntil != want.ValidUntil || got.Nation != want.Nation {
		t.Errorf("read %+v, want %+v", got, want)
	}
}

// TestIDReader checks a driver of device.IDReader.
func TestIDReader(t *testing.T, h IDHarness) {
	r := h.Reader()
	w := Watch(t, r)
	if _, err := readID(t, r); !errors.Is(err, device.ErrNoReader) {
		t.Errorf("read before Run: %v, want ErrNoReader", err)
	}
	stop := Start(t, r)
	card := func(t *testing.T, s device.CardState) device.CardEvent {
		t.Helper()
		return w.UntilCard(t, r.CardState, s)
	}
	card(t, device.CardNone)

	t.Run("no card", func(t *testing.T) {
		if _, err := readID(t, r); !errors.Is(err, device.ErrNoCard) {
			t.Errorf("read: %v, want ErrNoCard", err)
		}
		if h := r.SelfTest(t.Context()); !h.State.Usable() {
			t.Errorf("self-test: %+v", h)
		}
	})
	t.Run("put, read, lifted", func(t *testing.T) {
		var last uint64
		for _, c := range []string{CardGood, CardOther, CardGood} {
			h.Put(t, c)
			ev := card(t, device.CardInserted)
			if ev.Seq <= last {
				t.Errorf("card #%d after #%d", ev.Seq, last)
			}
			last = ev.Seq
			got, err := readID(t, r)
			if err != nil {
				t.Fatalf("read %s: %v", c, err)
			}
			sameID(t, got, h.Want(c))
			card(t, device.CardMustBeLifted)
			if _, err := readID(t, r); !errors.Is(err, device.ErrMustLift) {
				t.Errorf("second read: %v, want ErrMustLift", err)
			}
			h.Lift(t)
			card(t, device.CardNone)
		}
	})
	t.Run("swapped without a look between", func(t *testing.T) {
		h.Put(t, CardGood)
		card(t, device.CardInserted)
		if _, err := readID(t, r); err != nil {
			t.Fatal(err)
		}
		h.Put(t, CardOther)
		card(t, device.CardInserted)
		got, err := readID(t, r)
		if err != nil {
			t.Fatal(err)
		}
		sameID(t, got, h.Want(CardOther))
		h.Lift(t)
		card(t, device.CardNone)
	})
	t.Run("lifted before it was read", func(t *testing.T) {
		h.Put(t, CardGood)
		card(t, device.CardInserted)
		h.Lift(t)
		if _, err := readID(t, r); !errors.Is(err, device.ErrCardTorn) && !errors.Is(err, device.ErrNoCard) {
			t.Errorf("read: %v, want ErrCardTorn or ErrNoCard", err)
		}
		card(t, device.CardNone)
	})
	t.Run("cable pulled and back", func(t *testing.T) {
		h.Unplug(t)
		card(t, device.CardNoReader)
		w.Until(t, "absent", func() bool { return r.Health().State == device.StateAbsent })
		checkHealth(t, r.Health())
		if _, err := readID(t, r); !errors.Is(err, device.ErrNoReader) {
			t.Errorf("read: %v, want ErrNoReader", err)
		}
		h.Plug(t)
		card(t, device.CardNone)
		h.Put(t, CardGood)
		card(t, device.CardInserted)
		if _, err := readID(t, r); err != nil {
			t.Errorf("read after replug: %v", err)
		}
	})
	stop()
	if w.clashed() {
		t.Error("two events at once")
	}
}
