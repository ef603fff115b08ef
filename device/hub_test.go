package device

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestHubTellsChangesInOrderAndNeverTwoAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(Health{Kind: KindScanner, Name: "s"}, time.Now)
		var got []State
		inside := false
		cancel := h.Subscribe(func(e Event) {
			if inside {
				t.Error("called twice at once")
			}
			inside = true
			time.Sleep(time.Second) // fake time: a slow subscriber
			got = append(got, e.Health.State)
			inside = false
		})
		start := time.Now()
		h.Set(Health{State: StateReady})
		h.Set(Health{State: StateReady}) // no change, no event
		h.Set(Health{State: StateAbsent, Code: "X"})
		h.Set(Health{State: StateReady})
		synctest.Wait()
		time.Sleep(10 * time.Second)
		want := []State{StateReady, StateAbsent, StateReady}
		if len(got) != len(want) {
			t.Fatalf("events %v, want %v", got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("events %v, want %v", got, want)
			}
		}
		if hh := h.Health(); hh.Kind != KindScanner || hh.Name != "s" || !hh.LastGood.Equal(start) {
			t.Errorf("health %+v", hh)
		}
		cancel()
		h.Set(Health{State: StateFault, Code: "Y"})
		synctest.Wait()
		if len(got) != len(want) {
			t.Errorf("told after cancel: %v", got)
		}
	})
}

func TestHubGivesTheFirstEventAndKeepsSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(Health{Kind: KindCardReader}, time.Now)
		var first []Event
		h.Subscribe(func(e Event) { first = append(first, e) }, Event{Kind: KindCardReader, Card: &CardEvent{State: CardNone}})
		synctest.Wait()
		if len(first) != 1 || first[0].Card == nil {
			t.Fatalf("first events %+v", first)
		}
		a := h.Set(Health{State: StateFault, Code: "A"})
		time.Sleep(time.Minute)
		b := h.Set(Health{State: StateFault, Code: "A", Detail: "again"})
		if !a.Since.Equal(b.Since) {
			t.Errorf("Since moved from %v to %v though nothing changed", a.Since, b.Since)
		}
		h.Count("n", 2)
		c := h.Health()
		c.Counters["n"] = 9
		if h.Health().Counters["n"] != 2 {
			t.Error("a caller can change the hub's counters")
		}
	})
}
