package app

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"sync"
	"time"

	"cunban/device"
)

// keyPast keeps what devices did before this start.
const keyPast = "device/past"

// pastEvery is how often it is written, when something changed: a power cut
// loses that much of the counts at most, and the disk is spared.
const pastEvery = 10 * time.Minute

// What the app counts itself, beside what drivers count. The words are
// wire.CounterWords'.
const (
	countReads  = "reads"
	countUnread = "unread"
	countJams   = "jams"
	countPaper  = "paper_out"
	countGone   = "gone"
	countFaults = "faults"
)

// countedAs are codes with a counter of their own (the drivers' short codes).
var countedAs = map[string]string{"SC-04": countJams, "PR-03": countJams, "RP-04": countJams, "PR-02": countPaper, "RP-02": countPaper}

// record is what is kept of the devices of one kind.
type record struct {
	LastGood time.Time        `json:"last_good"`
	Counters map[string]int64 `json:"counters,omitempty"`
}

// past adds to each device's health what it did before this start, so that a
// technician sees a printer that jams every day although the terminal is
// switched off every night. It is safe for concurrent use.
type past struct {
	mu     sync.Mutex
	before map[device.Kind]record           // before this start
	counts map[device.Kind]map[string]int64 // by the app, since
	code   map[device.Kind]string           // the last one seen
	saved  []byte
}

func newPast(saved []byte) (*past, error) {
	p := &past{before: map[device.Kind]record{}, counts: map[device.Kind]map[string]int64{}, code: map[device.Kind]string{}}
	if len(saved) == 0 {
		return p, nil
	}
	if err := json.Unmarshal(saved, &p.before); err != nil {
		p.before = map[device.Kind]record{}
		return p, err
	}
	p.saved = saved
	return p, nil
}

// count adds one.
func (p *past) count(k device.Kind, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(k, what)
}

func (p *past) add(k device.Kind, what string) {
	if p.counts[k] == nil {
		p.counts[k] = map[string]int64{}
	}
	p.counts[k][what]++
}

// cardCounted counts a read of a card.
func (a *App) cardCounted(k device.Kind, ok bool) {
	if ok {
		a.past.count(k, countReads)
	} else {
		a.past.count(k, countUnread)
	}
}

// see counts a trouble when it begins.
func (p *past) see(h device.Health) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.code[h.Kind]
	if h.State == device.StateBusy || h.State == device.StateUnknown {
		return // between two conditions
	}
	p.code[h.Kind] = h.Code
	if h.Code == was || h.Code == "" {
		return
	}
	switch h.State {
	case device.StateAbsent:
		p.add(h.Kind, countGone)
	case device.StateFault:
		p.add(h.Kind, countFaults)
	case device.StateReady, device.StateLow, device.StateBusy, device.StateUnknown:
	}
	if what := countedAs[h.Code]; what != "" {
		p.add(h.Kind, what)
	}
}

// whole is a device's health with everything that is known of its kind.
func (p *past) whole(h device.Health) device.Health {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := maps.Clone(h.Counters)
	if all == nil {
		all = map[string]int64{}
	}
	for _, more := range []map[string]int64{p.before[h.Kind].Counters, p.counts[h.Kind]} {
		for what, n := range more {
			all[what] += n
		}
	}
	if len(all) > 0 {
		h.Counters = all
	}
	if before := p.before[h.Kind].LastGood; h.LastGood.Before(before) {
		h.LastGood = before
	}
	return h
}

// changed is what is to be written, nil when that is there already.
func (p *past) changed(now []device.Health) []byte {
	all := map[device.Kind]record{}
	p.mu.Lock()
	maps.Copy(all, p.before) // a device that is not configured now
	saved := p.saved
	p.mu.Unlock()
	for _, h := range now {
		if !h.Demo {
			all[h.Kind] = record{LastGood: h.LastGood, Counters: h.Counters}
		}
	}
	b, err := json.Marshal(all) // keys are sorted
	if err != nil || bytes.Equal(b, saved) {
		return nil
	}
	return b
}

// keepPast writes what devices did.
func (a *App) keepPast(ctx context.Context) error {
	b := a.past.changed(a.Devices())
	if b == nil {
		return nil
	}
	if err := a.vault.Put(ctx, keyPast, b); err != nil {
		return err
	}
	a.past.mu.Lock()
	a.past.saved = b
	a.past.mu.Unlock()
	return nil
}

// loadPast reads it; what cannot be read begins anew.
func (a *App) loadPast(ctx context.Context) error {
	b, _, err := a.vault.Get(ctx, keyPast)
	if err != nil {
		return err
	}
	p, err := newPast(b)
	if err != nil {
		a.log.Warn("what devices did before is not readable", "err", err)
	}
	a.past = p
	return nil
}

// keepsPast writes it every pastEvery.
func (a *App) keepsPast() {
	t := time.NewTicker(pastEvery)
	defer t.Stop()
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-t.C:
			a.chores.put("past", func(ctx context.Context) {
				if err := a.keepPast(ctx); err != nil {
					a.log.Warn("what devices did is not kept", "err", err)
				}
			})
		}
	}
}
