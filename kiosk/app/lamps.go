package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	gosync "sync"
	"time"

	"cunban/device"
	"cunban/device/vendor"
	"cunban/kiosk/session"
)

// lampLimit bounds telling one board of lights.
const lampLimit = 3 * time.Second

// lampDesk lights the lamp at the place where something is to be done: what the
// page asks for, what a device is busy with, a card that was left behind. Pages
// say what they ask for and know no lamps' driver; whoever tells the desk never
// waits for one.
type lampDesk struct {
	log    *slog.Logger
	boards []device.Lights

	mu    gosync.Mutex
	asked []device.Lamp       // by the page
	held  map[device.Lamp]int // by something under way
	slot  session.Kind        // CardLeft or CoveredUp while a card is to go or to come back, else ""
	wake  chan struct{}       // has room for one
}

func newLampDesk(log *slog.Logger) *lampDesk {
	return &lampDesk{log: log, held: make(map[device.Lamp]int), wake: make(chan struct{}, 1)}
}

// ask takes what the page that is up asks for, in place of what the one before
// did.
func (d *lampDesk) ask(lamps []device.Lamp) {
	d.mu.Lock()
	d.asked = slices.Clone(lamps)
	d.mu.Unlock()
	d.ring()
}

// hold lights a lamp until release; release may be called again.
func (d *lampDesk) hold(l device.Lamp) (release func()) {
	d.add(l, 1)
	var once gosync.Once
	return func() { once.Do(func() { d.add(l, -1) }) }
}

func (d *lampDesk) add(l device.Lamp, n int) {
	d.mu.Lock()
	d.held[l] += n
	d.mu.Unlock()
	d.ring()
}

// session follows who is at the screen: the slot's lamp is lit while a card is to
// be taken out or put back.
func (d *lampDesk) session(k session.Kind) {
	d.mu.Lock()
	d.slot = ""
	switch k {
	case session.CardLeft, session.CoveredUp:
		d.slot = k
	case session.Began, session.Asked, session.Ended, session.Continued, session.Uncovered:
	}
	d.mu.Unlock()
	d.ring()
}

// slotEmpty notes that a card that was left behind is gone. One that is to be
// put back stays asked for.
func (d *lampDesk) slotEmpty() {
	d.mu.Lock()
	if d.slot == session.CardLeft {
		d.slot = ""
	}
	d.mu.Unlock()
	d.ring()
}

func (d *lampDesk) ring() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// wish is what is to be lit now, in the order of device.Lamps.
func (d *lampDesk) wish() []device.Lamp {
	d.mu.Lock()
	defer d.mu.Unlock()
	on := []device.Lamp{}
	for _, l := range device.Lamps {
		if d.held[l] > 0 || slices.Contains(d.asked, l) || l == device.LampCard && d.slot != "" {
			on = append(on, l)
		}
	}
	return on
}

// run tells the boards of every change until ctx ends. A board that is away is
// told the last wish by its driver when it comes back.
func (d *lampDesk) run(ctx context.Context) {
	var last []device.Lamp
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
		}
		on := d.wish()
		if last != nil && slices.Equal(on, last) {
			continue
		}
		last = on
		for _, b := range d.boards {
			one, cancel := context.WithTimeout(ctx, lampLimit)
			err := b.SetLights(one, on)
			cancel()
			if err != nil && !errors.Is(err, device.ErrAbsent) && !errors.Is(err, vendor.ErrUnsupported) {
				d.log.Warn("lamps", "err", err)
			}
		}
	}
}
