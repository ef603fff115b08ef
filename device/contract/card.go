package contract

import (
	"context"
	"errors"
	"testing"
	"time"

	"cunban/device"
)

// Cards that a harness must be able to insert.
const (
	CardGood       = "good"
	CardOther      = "other" // another good one
	CardRare       = "rare"  // a name with characters outside the BMP
	CardBlank      = "blank"
	CardForeign    = "foreign"
	CardUnreadable = "unreadable" // wrong way round
)

// CardHarness is a card reader under test and the hands of a person at it.
// Parts that a harness cannot do it skips itself.
type CardHarness interface {
	Reader() device.CardReader // not running yet
	Insert(t *testing.T, card string)
	Remove(t *testing.T)
	// Tear makes the card leave in the middle of the n-th command from now.
	Tear(t *testing.T, n int)
	Unplug(t *testing.T)
	Plug(t *testing.T)
	// KillService kills the service behind the reader as a crash does.
	KillService(t *testing.T)
	StartService(t *testing.T)
	// Want is what a card must give.
	Want(card string) device.SocialSecurityCard
}

// readLimit bounds one read.
const readLimit = 10 * time.Second

func read(t *testing.T, r device.CardReader) (device.SocialSecurityCard, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readLimit)
	defer cancel()
	began := time.Now()
	card, err := r.ReadCard(ctx)
	if took := time.Since(began); took > readLimit {
		t.Errorf("a read took %v", took)
	}
	return card, err
}

// same compares what identifies a person and a card.
func same(t *testing.T, got, want device.SocialSecurityCard) {
	t.Helper()
	got.NameBytes, want.NameBytes = nil, nil
	if got.CardIdentifier != want.CardIdentifier || got.CardNumber != want.CardNumber || got.Number != want.Number ||
		got.Name != want.Name || got.NameExact != want.NameExact || got.Sex != want.Sex || got.BirthDate != want.BirthDate ||
		got.Version != want.Version || got.IssueDate != want.IssueDate || got.ExpiryDate != want.ExpiryDate ||
		got.Ethnic != want.Ethnic || got.BirthPlace != want.BirthPlace {
		t.Errorf("read %+v, want %+v", got, want)
	}
}

// TestCardReader checks a driver of device.CardReader. One harness serves all
// parts, since real readers and their services are few.
func TestCardReader(t *testing.T, h CardHarness) {
	r := h.Reader()
	w := Watch(t, r)
	if _, err := read(t, r); !errors.Is(err, device.ErrNoReader) {
		t.Errorf("read before Run: %v, want ErrNoReader", err)
	}
	stop := Start(t, r)
	card := func(t *testing.T, s device.CardState) device.CardEvent {
		t.Helper()
		return w.UntilCard(t, r.CardState, s)
	}
	card(t, device.CardNone)

	t.Run("no card", func(t *testing.T) {
		if _, err := read(t, r); !errors.Is(err, device.ErrNoCard) {
			t.Errorf("read: %v, want ErrNoCard", err)
		}
		h2 := r.SelfTest(t.Context())
		checkHealth(t, h2)
		if !h2.State.Usable() {
			t.Errorf("self-test: %+v", h2)
		}
	})
	t.Run("inserted, read, removed", func(t *testing.T) {
		var last uint64
		for _, c := range []string{CardGood, CardOther, CardRare} {
			h.Insert(t, c)
			ev := card(t, device.CardInserted)
			if ev.Seq <= last || len(ev.ATR) == 0 || ev.Reader == "" {
				t.Errorf("insertion %+v after #%d", ev, last)
			}
			last = ev.Seq
			for range 2 { // twice, since the screen may ask again
				got, err := read(t, r)
				if err != nil {
					t.Fatalf("read %s: %v", c, err)
				}
				same(t, got, h.Want(c))
			}
			h.Remove(t)
			card(t, device.CardNone)
			if _, err := read(t, r); !errors.Is(err, device.ErrNoCard) {
				t.Errorf("read after removal: %v, want ErrNoCard", err)
			}
		}
	})
	t.Run("cards that are not to be read", func(t *testing.T) {
		for _, c := range []struct {
			card  string
			state device.CardState
			want  error
		}{
			{CardBlank, device.CardInserted, device.ErrBlankCard},
			{CardForeign, device.CardInserted, device.ErrForeignCard},
			{CardUnreadable, device.CardUnresponsive, device.ErrUnresponsive},
		} {
			h.Insert(t, c.card)
			card(t, c.state)
			if got, err := read(t, r); !errors.Is(err, c.want) || got.Number != "" {
				t.Errorf("%s card: %v, want %v", c.card, err, c.want)
			}
			if !r.Health().State.Usable() {
				t.Errorf("%s card makes the reader %+v", c.card, r.Health())
			}
			h.Remove(t)
			card(t, device.CardNone)
		}
	})
	t.Run("torn at every command", func(t *testing.T) {
		h.Insert(t, CardGood)
		card(t, device.CardInserted)
		for n := 1; ; n++ {
			h.Tear(t, n)
			got, err := read(t, r)
			if err == nil {
				if n < 3 {
					t.Errorf("the card was to be torn at command %d, and the read succeeded", n)
				}
				same(t, got, h.Want(CardGood))
				h.Remove(t)
				card(t, device.CardNone)
				return
			}
			if !errors.Is(err, device.ErrCardTorn) || got.Number != "" {
				t.Errorf("torn at command %d: %v, want ErrCardTorn", n, err)
			}
			card(t, device.CardNone)
			h.Insert(t, CardGood)
			card(t, device.CardInserted)
		}
	})
	t.Run("reader gone and back", func(t *testing.T) {
		h.Unplug(t)
		card(t, device.CardNoReader)
		checkHealth(t, r.Health())
		if r.Health().State.Usable() {
			t.Errorf("no reader, yet %+v", r.Health())
		}
		if _, err := read(t, r); !errors.Is(err, device.ErrNoReader) {
			t.Errorf("read: %v, want ErrNoReader", err)
		}
		h.Plug(t)
		card(t, device.CardNone)
		h.Insert(t, CardGood)
		card(t, device.CardInserted)
		if got, err := read(t, r); err != nil {
			t.Errorf("read after replug: %v", err)
		} else {
			same(t, got, h.Want(CardGood))
		}
	})
	t.Run("service killed and back, with the card in", func(t *testing.T) {
		h.Remove(t)
		card(t, device.CardNone)
		h.Insert(t, CardGood)
		card(t, device.CardInserted)
		if _, err := read(t, r); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			before := r.CardState().Seq
			h.KillService(t)
			card(t, device.CardNoReader)
			checkHealth(t, r.Health())
			if _, err := read(t, r); !errors.Is(err, device.ErrNoReader) {
				t.Errorf("read: %v, want ErrNoReader", err)
			}
			h.StartService(t)
			if ev := card(t, device.CardInserted); ev.Seq <= before {
				t.Errorf("insertion #%d after the service came back, want more than %d", ev.Seq, before)
			}
			if got, err := read(t, r); err != nil {
				t.Errorf("read after the service came back: %v", err)
			} else {
				same(t, got, h.Want(CardGood))
			}
		}
		h.Remove(t)
		card(t, device.CardNone)
	})
	t.Run("a read that nobody waits for", func(t *testing.T) {
		h.Remove(t)
		card(t, device.CardNone)
		h.Insert(t, CardGood)
		card(t, device.CardInserted)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.ReadCard(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("read with an ended context: %v", err)
		}
		if _, err := read(t, r); err != nil {
			t.Errorf("read after a given-up one: %v", err)
		}
	})
	stop()
	if w.clashed() {
		t.Error("two events at once")
	}
}
