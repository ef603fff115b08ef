package device

import (
	"maps"
	"sync"
	"time"
)

// Hub keeps what a driver last knew of its device and tells subscribers. It is
// the common half of every driver: embed or hold one, call Set with each fresh
// condition and Emit with each event.
//
// Every subscriber gets its events in order and never two at once, each on a
// goroutine that ends when nothing is left to deliver; a slow subscriber
// delays nobody else. Methods are safe for concurrent use.
type Hub struct {
	mu     sync.Mutex
	now    func() time.Time
	health Health
	subs   map[*subscriber]struct{}
}

// subscriber is one Subscribe: its queue, and whether a goroutine drains it.
type subscriber struct {
	fn      func(Event)
	queue   []Event
	running bool
	gone    bool
}

// NewHub begins with the condition first (Kind, Name and Demo are kept for
// conditions that leave them empty). now is the clock.
func NewHub(first Health, now func() time.Time) *Hub {
	if first.State == "" {
		first.State = StateUnknown
	}
	if first.Since.IsZero() {
		first.Since = now()
	}
	return &Hub{now: now, health: first, subs: map[*subscriber]struct{}{}}
}

// Health returns the last known condition; the counters are a copy.
func (h *Hub) Health() Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.copied()
}

func (h *Hub) copied() Health {
	c := h.health
	c.Counters = maps.Clone(c.Counters)
	return c
}

// Set takes a fresh condition. Since is kept while the state and code stay;
// LastGood is renewed by a usable state; counters are the hub's own. When
// state, code, name or the demo mark changed, subscribers are told. It returns
// the completed condition.
func (h *Hub) Set(next Health) Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	old := h.health
	at := h.now()
	next.Kind = old.Kind
	if next.Name == "" {
		next.Name = old.Name
	}
	next.Since, next.LastGood, next.Counters = old.Since, old.LastGood, old.Counters
	if next.State != old.State || next.Code != old.Code {
		next.Since = at
	}
	if next.State.Usable() {
		next.LastGood = at
	}
	h.health = next
	if next.State != old.State || next.Code != old.Code || next.Name != old.Name || next.Demo != old.Demo {
		c := h.copied()
		h.emit(Event{Kind: old.Kind, At: at, Health: &c})
	}
	return h.copied()
}

// Count adds n to a counter of the condition.
func (h *Hub) Count(name string, n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.health.Counters == nil {
		h.health.Counters = map[string]int64{}
	}
	h.health.Counters[name] += n
}

// Emit tells subscribers of an event; Kind and At are filled when empty.
func (h *Hub) Emit(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.Kind == "" {
		e.Kind = h.health.Kind
	}
	if e.At.IsZero() {
		e.At = h.now()
	}
	h.emit(e)
}

// Subscribe begins delivery to fn; first is delivered before anything else
// (a card reader gives its card state). After cancel returned, no new call of
// fn begins, though one that is under way may still end.
func (h *Hub) Subscribe(fn func(Event), first ...Event) (cancel func()) {
	s := &subscriber{fn: fn}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subs[s] = struct{}{}
	for _, e := range first {
		h.deliver(s, e)
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.subs, s)
		s.gone, s.queue = true, nil
	}
}

func (h *Hub) emit(e Event) {
	for s := range h.subs {
		h.deliver(s, e)
	}
}

// deliver queues e; the caller holds the lock.
func (h *Hub) deliver(s *subscriber, e Event) {
	s.queue = append(s.queue, e)
	if s.running {
		return
	}
	s.running = true
	go h.drain(s)
}

// drain calls the subscriber until its queue is empty.
func (h *Hub) drain(s *subscriber) {
	for {
		h.mu.Lock()
		if s.gone || len(s.queue) == 0 {
			s.running = false
			h.mu.Unlock()
			return
		}
		e := s.queue[0]
		s.queue = s.queue[1:]
		h.mu.Unlock()
		s.fn(e)
	}
}
