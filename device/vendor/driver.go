package vendor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"cunban/device"
	"cunban/device/internal/hub"
)

// Options say which driver to run, and how patiently.
type Options struct {
	Name    string   // what the technician calls the device
	Program string   // a file, or a name found in PATH
	Args    []string //
	Dir     string   // working folder; "" = the program's

	Hello, Grace, Ping     time.Duration // 0 = the Default of that name
	RestartMin, RestartMax time.Duration

	Now    func() time.Time // nil = time.Now
	Logger *slog.Logger     // nil is silent; nothing that a driver wrote is logged
}

// Driver is one vendor driver. It implements device.Lights and device.PINPad;
// what it really can do is known once its program said so (Can). Safe for
// concurrent use.
type Driver struct {
	o   Options
	hub *hub.Hub

	mu    sync.Mutex
	life  *life // the running one that said hello, nil for none
	can   []string
	lamps []device.Lamp // the last wish
	lit   bool          // there is a wish
}

var (
	_ device.Lights = (*Driver)(nil)
	_ device.PINPad = (*Driver)(nil)
)

// New makes a driver; nothing is started before Run.
func New(o Options) *Driver {
	o.Hello, o.Grace, o.Ping = cmp.Or(o.Hello, DefaultHello), cmp.Or(o.Grace, DefaultGrace), cmp.Or(o.Ping, DefaultPing)
	o.RestartMin, o.RestartMax = cmp.Or(o.RestartMin, DefaultRestartMin), cmp.Or(o.RestartMax, DefaultRestartMax)
	o.Name = cmp.Or(o.Name, o.Program)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Driver{o: o, hub: hub.New(device.Health{Kind: device.KindVendor, Name: o.Name}, o.Now)}
}

// Kind implements device.Device.
func (d *Driver) Kind() device.Kind { return device.KindVendor }

// Health implements device.Device.
func (d *Driver) Health() device.Health { return d.hub.Health() }

// Subscribe implements device.Device.
func (d *Driver) Subscribe(fn func(device.Event)) (cancel func()) { return d.hub.Subscribe(fn) }

// SelfTest asks the driver to look at its device.
func (d *Driver) SelfTest(ctx context.Context) device.Health {
	if _, err := d.ask(ctx, doCheck, nil, checkLimit, nil); err == nil {
		d.hub.Good()
	}
	return d.hub.Health()
}

// Can reports whether the running driver named a capability and its device is
// well enough to be asked.
func (d *Driver) Can(capability string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.life != nil && slices.Contains(d.can, capability) && d.hub.Health().State.Usable()
}

// Run implements device.Device: it keeps one process alive, and waits twice as
// long before each next start while starts fail.
func (d *Driver) Run(ctx context.Context) error {
	wait := d.o.RestartMin
	for {
		began := d.o.Now()
		err := d.live(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("vendor %s: %w", d.o.Name, ctx.Err())
		}
		d.hub.Count("restarts")
		d.o.Logger.Warn("vendor driver ended", "name", d.o.Name, "err", err)
		if d.o.Now().Sub(began) >= settled {
			wait = d.o.RestartMin
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("vendor %s: %w", d.o.Name, ctx.Err())
		}
		wait = min(2*wait, d.o.RestartMax)
	}
}

// live runs one process from its start to its end and says how the device is
// after it.
func (d *Driver) live(ctx context.Context) error {
	p, err := launch(d.o)
	if err != nil {
		d.hub.SetHealth(ofFailure(err, ""))
		return err
	}
	l := &life{d: d, p: p, calls: make(chan *call), ended: make(chan struct{})}
	err = l.run(ctx)
	d.mu.Lock()
	d.life = nil
	d.mu.Unlock()
	p.finish(ctx.Err() != nil || l.saidBye, d.o.Grace)
	if how := p.how(); how != "" && ctx.Err() == nil {
		err = fmt.Errorf("%w (%s)", err, how)
	}
	l.over(err)
	if ctx.Err() != nil {
		d.hub.SetHealth(device.Health{State: device.StateUnknown})
		return err
	}
	d.hub.SetHealth(ofFailure(err, p.stderr()))
	return err
}

// up makes a life that said hello the one that is asked.
func (d *Driver) up(l *life, m Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.life, d.can = l, m.Can
	if d.lit && slices.Contains(m.Can, CanLights) {
		l.todo = append(l.todo, newCall(context.Background(), CanLights, lampArgs(d.lamps), lightLimit, nil))
	}
}

// Limits of operations, sent to the driver with the request.
const (
	checkLimit   = 5 * time.Second
	lightLimit   = 2 * time.Second
	decodeLimit  = 5 * time.Second
	pinLimit     = 90 * time.Second
	captureLimit = 30 * time.Second
)

// ask sends one request and waits for its reply. Errors: device.ErrAbsent when
// no driver runs, device.ErrBusy when ctx ended before it was this request's
// turn, a Refusal, one of this package, or ctx's.
func (d *Driver) ask(ctx context.Context, do string, args any, limit time.Duration, told func(Message)) (json.RawMessage, error) {
	d.mu.Lock()
	l, can := d.life, do == doCheck || slices.Contains(d.can, do)
	d.mu.Unlock()
	switch {
	case l == nil:
		return nil, fmt.Errorf("vendor %s: %s: %w", d.o.Name, do, device.ErrAbsent)
	case !can:
		return nil, fmt.Errorf("vendor %s: %s: %w", d.o.Name, do, ErrUnsupported)
	}
	c := newCall(ctx, do, args, limit, told)
	select {
	case l.calls <- c:
	case <-l.ended:
		return nil, fmt.Errorf("vendor %s: %s: %w", d.o.Name, do, device.ErrAbsent)
	case <-ctx.Done():
		return nil, fmt.Errorf("vendor %s: %s: %w: %w", d.o.Name, do, device.ErrBusy, ctx.Err())
	}
	a := <-c.answer // the life answers every call it took
	if a.err != nil {
		d.hub.Count("failures")
		return nil, fmt.Errorf("vendor %s: %s: %w", d.o.Name, do, a.err)
	}
	d.hub.Good()
	if do != doCheck {
		d.hub.Count("requests")
	}
	return a.result, nil
}
