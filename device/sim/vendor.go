package sim

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// VendorName is what the simulated driver calls itself.
const VendorName = "模拟灯板和密码键盘"

// People at the simulated PIN pad: how a change of PIN ends.
const (
	PadOK       = "ok"
	PadWrong    = "wrong_pin"
	PadLocked   = "locked"
	PadMismatch = "mismatch"
	PadIdle     = "idle" // nobody types
)

var people = []string{PadOK, PadWrong, PadLocked, PadMismatch, PadIdle}

// lampNames are the lamps that a simulated board has.
var lampNames = []string{"card", "id", "scanner", "printer"}

// Times of the simulated driver.
const (
	vendorLook = 500 * time.Millisecond // between looks at the simulator
	keyTime    = 150 * time.Millisecond // between two keys of the person at the pad
	pinDigits  = 6
)

// vendorBoard is the simulated hardware behind the vendor slot: it lives in the
// simulator, not in the driver, which may be killed and started again.
type vendorBoard struct {
	plugged bool
	lamps   []string
	person  string
}

// do answers the verbs of the board; the caller holds mu.
func (b *vendorBoard) do(r Request) error {
	switch r.Do {
	case VendorPlug:
		b.plugged = true
	case VendorUnplug:
		b.plugged, b.lamps = false, nil
	case PINPerson:
		if !slices.Contains(people, r.Device) {
			return fmt.Errorf("PIN pad %q: %v are allowed", r.Device, people)
		}
		b.person = r.Device
	case Lamps:
		for _, l := range r.Lamps {
			if !slices.Contains(lampNames, l) {
				return fmt.Errorf("lamp %q: %v are there", l, lampNames)
			}
		}
		if b.plugged {
			b.lamps = slices.Clone(r.Lamps)
		}
	default:
		return fmt.Errorf("%w: %q", ErrVerb, r.Do)
	}
	return nil
}

// vendorOrder is a line of the terminal to a vendor driver, protocol version 1
// (assets/manual/vendor-driver.md).
type vendorOrder struct {
	Type string `json:"type"`
	ID   uint64 `json:"id"`
	Do   string `json:"do"`
	MS   int64  `json:"ms"`
	Args struct {
		On []string `json:"on"`
	} `json:"args"`
}

// vendorDriver is the driver's end of the slot.
type vendorDriver struct {
	c   *Client
	out *json.Encoder

	mu     sync.Mutex // one line at a time
	state  string     // told last
	id     uint64     // under way
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// vendorLine is a line of the driver.
type vendorLine map[string]any

// ServeVendor is a vendor driver whose hardware is the simulator at socket: it
// speaks the protocol on in and out until bye, the end of in, or of ctx.
func ServeVendor(ctx context.Context, in io.Reader, out io.Writer, socket string) error {
	c, err := Dial(socket)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	d := &vendorDriver{c: c, out: json.NewEncoder(out), cancel: func() {}}
	defer d.wg.Wait()
	defer cancel()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxVendorLine)
	for lines.Scan() {
		var o vendorOrder
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return errors.New("vendor driver: a line is not JSON")
		}
		switch o.Type {
		case "hello":
			d.say(vendorLine{"type": "hello", "version": 1, "name": VendorName, "demo": true, "can": []string{"lights.set", "pin.change"}})
			if err := d.look(ctx); err != nil {
				return err
			}
			d.wg.Go(func() { d.watch(ctx) })
		case "request":
			d.begin(ctx, o)
		case "cancel":
			d.mu.Lock()
			if o.ID == d.id {
				d.cancel()
			}
			d.mu.Unlock()
		case "bye":
			return nil
		}
	}
	return lines.Err()
}

// maxVendorLine is the longest line of the protocol, bytes.
const maxVendorLine = 1 << 20

func (d *vendorDriver) say(m vendorLine) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.out.Encode(m) // nobody reads: the end of the input follows
}

// look tells the board's health when it changed.
func (d *vendorDriver) look(ctx context.Context) error {
	r, err := d.c.Do(ctx, Request{Do: AskState})
	if err != nil {
		return err
	}
	m := vendorLine{"type": "health", "state": "ready"}
	if !r.State.Vendor {
		m = vendorLine{"type": "health", "state": "absent", "cause": "unplugged", "remedy": "replug"}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if state := m["state"].(string); state != d.state {
		d.state = state
		_ = d.out.Encode(m)
	}
	return nil
}

// watch follows the board until ctx ends or the simulator is gone.
func (d *vendorDriver) watch(ctx context.Context) {
	t := time.NewTicker(vendorLook)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if d.look(ctx) != nil {
				d.say(vendorLine{"type": "bye"}) // the next life looks for the simulator again
				return
			}
		}
	}
}

// begin works at a request beside the lines that come meanwhile.
func (d *vendorDriver) begin(ctx context.Context, o vendorOrder) {
	ctx, stop := context.WithTimeout(ctx, time.Duration(o.MS)*time.Millisecond)
	d.mu.Lock()
	d.id, d.cancel = o.ID, stop
	d.mu.Unlock()
	d.wg.Go(func() {
		defer stop()
		why := d.do(ctx, o)
		m := vendorLine{"type": "reply", "id": o.ID, "ok": why == ""}
		if why != "" {
			m["error"] = why
		}
		if why == PadWrong {
			m["left"] = 5
		}
		d.say(m)
	})
}

// do does what a request asks for and says why not, "" when done.
func (d *vendorDriver) do(ctx context.Context, o vendorOrder) string {
	switch o.Do {
	case "health.check":
		if d.look(ctx) != nil {
			return "device"
		}
		return ""
	case "lights.set":
		if _, err := d.c.Do(ctx, Request{Do: Lamps, Lamps: o.Args.On}); err != nil {
			return "device"
		}
		return ""
	case "pin.change":
		return d.changePIN(ctx, o.ID)
	}
	return "unsupported"
}

// changePIN plays the person at the pad.
func (d *vendorDriver) changePIN(ctx context.Context, id uint64) string {
	r, err := d.c.Do(ctx, Request{Do: AskState})
	switch {
	case err != nil:
		return "device"
	case !r.State.Vendor:
		return "absent"
	case r.State.Card == "":
		return "no_card"
	}
	for _, step := range []string{"pin.old", "pin.new", "pin.again"} {
		for typed := range pinDigits + 1 {
			d.say(vendorLine{"type": "event", "id": id, "event": step, "typed": typed})
			key := time.After(keyTime)
			if r.State.PINPerson == PadIdle {
				key = nil
			}
			select {
			case <-key:
			case <-ctx.Done():
				if errors.Is(ctx.Err(), context.DeadlineExceeded) {
					return "timeout"
				}
				return "cancelled"
			}
		}
	}
	if r.State.PINPerson == PadOK {
		return ""
	}
	return r.State.PINPerson
}
