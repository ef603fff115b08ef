// Package hub keeps what every driver must be able to say about itself — its
// health and what lies in front of it — and tells subscribers when that
// changes. It exists so that the rule of device.Device.Subscribe is written
// once.
//
// It guarantees: events reach a subscriber in order and never two at once;
// the current card state is delivered at once; a subscriber that is slow or
// stuck delays nobody else; no goroutine stays when there is nothing to
// deliver.
package hub

import (
	"reflect"
	"sync"
	"time"

	"cunban/device"
)

// maxQueue is how many undelivered events a subscriber may have. Beyond it the
// oldest is dropped: what counts is the present, and memory is bounded.
const maxQueue = 256

// Hub is the state of one driver. Safe for concurrent use.
type Hub struct {
	now func() time.Time

	mu     sync.Mutex
	health device.Health
	card   *device.CardEvent
	subs   map[*sub]struct{}
}

type sub struct {
	fn      func(device.Event)
	queue   []device.Event
	pumping bool
	closed  bool
}

// New makes a hub whose first health is h; State, Since and Counters are filled
// in where empty. now is the clock.
func New(h device.Health, now func() time.Time) *Hub {
	if h.State == "" {
		h.State = device.StateUnknown
	}
	h.Since = now()
	return &Hub{now: now, health: h, subs: make(map[*sub]struct{})}
}

// Health returns a copy of the last known health.
func (h *Hub) Health() device.Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.copyHealth()
}

func (h *Hub) copyHealth() device.Health {
	out := h.health
	if h.health.Counters != nil {
		out.Counters = make(map[string]int64, len(h.health.Counters))
		for k, v := range h.health.Counters {
			out.Counters[k] = v
		}
	}
	return out
}

// SetHealth says how the device is now. Name is kept when empty. Since,
// LastGood and Counters are the hub's. Subscribers hear of it only when
// something they can see changed.
func (h *Hub) SetHealth(n device.Health) {
	h.mu.Lock()
	defer h.mu.Unlock()
	old := h.health
	n.Kind = old.Kind
	if n.Name == "" {
		n.Name = old.Name
	}
	n.Since, n.LastGood, n.Counters = old.Since, old.LastGood, old.Counters
	if n.State != old.State {
		n.Since = h.now()
	}
	h.health = n
	same := n.State == old.State && n.Code == old.Code && n.Name == old.Name && n.Cause == old.Cause &&
		n.Remedy == old.Remedy && n.Detail == old.Detail && n.Demo == old.Demo
	if same {
		return
	}
	hc := h.copyHealth()
	h.emit(device.Event{Kind: n.Kind, At: h.now(), Health: &hc})
}

// Good notes a success.
func (h *Hub) Good() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.health.LastGood = h.now()
}

// Count adds one to a counter shown with the health.
func (h *Hub) Count(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.health.Counters == nil {
		h.health.Counters = make(map[string]int64)
	}
	h.health.Counters[name]++
}

// SetCard says what is in front of the reader. The same again tells nobody.
func (h *Hub) SetCard(c device.CardEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.card != nil && reflect.DeepEqual(*h.card, c) {
		return
	}
	h.card = &c
	ev := c
	h.emit(device.Event{Kind: h.health.Kind, At: h.now(), Card: &ev})
}

// Card returns what is in front of the reader, the zero value before the first
// SetCard.
func (h *Hub) Card() device.CardEvent {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.card == nil {
		return device.CardEvent{}
	}
	return *h.card
}

// Subscribe delivers every later event and, at once, the current health and
// card. After cancel returns no new call of fn begins; one that runs may still
// be ending. fn may call cancel.
func (h *Hub) Subscribe(fn func(device.Event)) (cancel func()) {
	s := &sub{fn: fn}
	h.mu.Lock()
	h.subs[s] = struct{}{}
	hc := h.copyHealth()
	h.push(s, device.Event{Kind: hc.Kind, At: h.now(), Health: &hc})
	if h.card != nil {
		c := *h.card
		h.push(s, device.Event{Kind: hc.Kind, At: h.now(), Card: &c})
	}
	h.mu.Unlock()
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		s.closed = true
		s.queue = nil
		delete(h.subs, s)
	}
}

func (h *Hub) emit(ev device.Event) {
	for s := range h.subs {
		h.push(s, ev)
	}
}

// push queues under h.mu; a pump runs only while there is something to deliver.
func (h *Hub) push(s *sub, ev device.Event) {
	if len(s.queue) >= maxQueue {
		s.queue = s.queue[1:]
	}
	s.queue = append(s.queue, ev)
	if !s.pumping {
		s.pumping = true
		go h.pump(s)
	}
}

func (h *Hub) pump(s *sub) {
	for {
		h.mu.Lock()
		if s.closed || len(s.queue) == 0 {
			s.pumping = false
			h.mu.Unlock()
			return
		}
		ev := s.queue[0]
		s.queue = s.queue[1:]
		h.mu.Unlock()
		s.fn(ev)
	}
}
