package hub

import (
	"testing"
	"testing/synctest"
	"time"

	"cunban/device"
)

func TestOrderCoalescingAndCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(device.Health{Kind: device.KindCardReader}, time.Now)
		var got []device.Event
		cancel := h.Subscribe(func(ev device.Event) { got = append(got, ev) })
		synctest.Wait()
		if len(got) != 1 || got[0].Health == nil || got[0].Health.State != device.StateUnknown {
			t.Fatalf("at once: %+v", got)
		}
		began := h.Health().Since
		time.Sleep(time.Minute)
		h.SetHealth(device.Health{State: device.StateReady, Name: "R"})
		h.SetHealth(device.Health{State: device.StateReady}) // the same: the name is kept
		h.SetCard(device.CardEvent{State: device.CardNone})
		h.SetCard(device.CardEvent{State: device.CardNone})
		h.SetCard(device.CardEvent{State: device.CardInserted, Seq: 1, ATR: []byte{0x3B}})
		synctest.Wait()
		if len(got) != 4 || got[1].Health == nil || got[2].Card.State != device.CardNone || got[3].Card.Seq != 1 {
			t.Errorf("events %+v", got)
		}
		if s := h.Health().Since; s.Sub(began) != time.Minute {
			t.Errorf("since %v, began %v", s, began)
		}
		cancel()
		h.SetCard(device.CardEvent{State: device.CardNone, Seq: 1})
		synctest.Wait()
		if len(got) != 4 {
			t.Errorf("an event after cancel: %+v", got[4:])
		}
	})
}

func TestStuckSubscriberHoldsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(device.Health{Kind: device.KindCardReader}, time.Now)
		block := make(chan struct{})
		stuck := 0
		h.Subscribe(func(device.Event) { <-block; stuck++ })
		var last uint64
		h.Subscribe(func(ev device.Event) {
			if ev.Card != nil {
				last = ev.Card.Seq
			}
		})
		const events = 3 * maxQueue
		for i := range events {
			h.SetCard(device.CardEvent{State: device.CardInserted, Seq: uint64(i + 1)})
			synctest.Wait()
		}
		if last != events {
			t.Errorf("the other subscriber is at #%d of %d", last, events)
		}
		close(block)
		synctest.Wait()
		if stuck > maxQueue+1 {
			t.Errorf("%d events were kept for a stuck subscriber", stuck)
		}
	})
}

// A copy of the health must not be changed by what comes later.
func TestHealthIsACopy(t *testing.T) {
	h := New(device.Health{Kind: device.KindIDReader}, time.Now)
	h.Count("torn")
	a := h.Health()
	h.Count("torn")
	h.Good()
	if a.Counters["torn"] != 1 || !a.LastGood.IsZero() || h.Health().Counters["torn"] != 2 || h.Health().LastGood.IsZero() {
		t.Errorf("then %+v, now %+v", a, h.Health())
	}
}
