// Package sdt is the resident ID card reader on a serial line: the frames and
// commands of the SDT interface that all readers with a security module speak
// (GA/T 1012). It exists because such lines are noisy and such cards are lifted
// half-way: whatever comes, the driver ends in a clear state.
//
// It guarantees: presence is an event, found by polling; no operation waits for
// a card; every command has a time limit and is repeated a bounded number of
// times; a pulled cable heals on replug; cards with other layouts are told
// apart, never mis-parsed; the photo's bytes are kept as they are.
//
// A reader whose module's number has the date part 99991231 is a simulated one
// (device/sim) and says so in its health.
package sdt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"cunban/device"
	"cunban/device/internal/hub"
)

// demoDate is the date part of the simulator's module number.
const demoDate = 99991231

// Timings of the driver; zero fields mean the defaults.
type Timings struct {
	Poll     time.Duration // between looks for a card
	Command  time.Duration // limit of a short command
	Read     time.Duration // limit of reading text and photo
	Quiet    time.Duration // silence in the middle of an answer that ends it
	Retry    time.Duration // between attempts to open the line, doubling to RetryMax
	RetryMax time.Duration
	Tries    int // times a command is sent before the reader counts as silent
}

// DefaultTimings fit the readers in the field: the slowest need 1.3 s for text
// and photo.
var DefaultTimings = Timings{
	Poll: 300 * time.Millisecond, Command: time.Second, Read: 3 * time.Second, Quiet: 150 * time.Millisecond,
	Retry: 250 * time.Millisecond, RetryMax: 2 * time.Second, Tries: 3,
}

func (t Timings) orDefault() Timings {
	d := DefaultTimings
	if t.Poll > 0 {
		d.Poll = t.Poll
	}
	if t.Command > 0 {
		d.Command = t.Command
	}
	if t.Read > 0 {
		d.Read = t.Read
	}
	if t.Quiet > 0 {
		d.Quiet = t.Quiet
	}
	if t.Retry > 0 {
		d.Retry = t.Retry
	}
	if t.RetryMax > 0 {
		d.RetryMax = t.RetryMax
	}
	if t.Tries > 0 {
		d.Tries = t.Tries
	}
	return d
}

// Options configure a Reader.
type Options struct {
	Open    Opener // see Serial
	Timings Timings
	Now     func() time.Time // nil means time.Now
	Logger  *slog.Logger     // nil is silent
}

// Reader is an ID card reader. Safe for concurrent use.
type Reader struct {
	opts  Options
	times Timings
	hub   *hub.Hub
	log   *slog.Logger
	jobs  chan job
	guard chan struct{} // holds one token while nobody runs

	// Of the goroutine of Run:
	seq     uint64
	state   device.CardState
	sam     string
	noProbe bool // the reader does not know the command that looks for the card
}

type job struct {
	ctx context.Context
	f   func(ctx context.Context, c *conn) error // c is nil while there is no line
	res chan error
}

var _ device.IDReader = (*Reader)(nil)

// New makes a reader; Run brings it to life.
func New(opts Options) *Reader {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	r := &Reader{opts: opts, times: opts.Timings.orDefault(), log: opts.Logger, jobs: make(chan job), guard: make(chan struct{}, 1)}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.hub = hub.New(device.Health{Kind: device.KindIDReader}, opts.Now)
	r.guard <- struct{}{}
	return r
}

// Kind is device.KindIDReader.
func (r *Reader) Kind() device.Kind { return device.KindIDReader }

// Health returns the last known condition.
func (r *Reader) Health() device.Health { return r.hub.Health() }

// CardState returns what lies on the reader as last seen.
func (r *Reader) CardState() device.CardEvent {
	c := r.hub.Card()
	if c.State == "" {
		c.State = device.CardNoReader
	}
	return c
}

// Subscribe tells of changes; see device.Device.
func (r *Reader) Subscribe(fn func(device.Event)) (cancel func()) { return r.hub.Subscribe(fn) }

// Run owns the line until ctx ends. It may be called once at a time.
func (r *Reader) Run(ctx context.Context) error {
	select {
	case <-r.guard:
		defer func() { r.guard <- struct{}{} }()
	default:
		return errors.New("sdt: already running")
	}
	retry := r.times.Retry
	for ctx.Err() == nil {
		port, err := r.opts.Open(ctx)
		if err == nil {
			c := newConn(port, r.times, r.hub.Count)
			var well bool
			well, err = r.serve(ctx, c)
			c.close()
			if well {
				retry = r.times.Retry
			}
		}
		if ctx.Err() != nil {
			break
		}
		r.hub.SetHealth(health(err, r.hub.Health()))
		r.setState(device.CardNoReader)
		r.idle(ctx, retry)
		retry = min(2*retry, r.times.RetryMax)
	}
	r.setState(device.CardNoReader)
	return ctx.Err()
}

// idle waits while there is no line, answering operations meanwhile.
func (r *Reader) idle(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			return
		case j := <-r.jobs:
			j.res <- j.f(ctx, nil)
		}
	}
}

// serve works on an open line until it fails. well tells that the reader had
// answered.
func (r *Reader) serve(ctx context.Context, c *conn) (well bool, err error) {
	r.noProbe = false
	if err := r.greet(ctx, c); err != nil {
		return false, err
	}
	r.setState(device.CardNone)
	tick := time.NewTimer(0)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return true, ctx.Err()
		case <-tick.C:
			err = r.look(ctx, c)
			tick.Reset(r.times.Poll)
		case j := <-r.jobs:
			if err = j.ctx.Err(); err == nil {
				err = j.f(ctx, c)
			}
			j.res <- err
			if !errors.Is(err, errLine) && !errors.Is(err, errSilent) {
				err = nil // the card's matter or the caller's, not the line's
			}
		}
		if err != nil {
			return true, err
		}
	}
}

// greet asks who is there.
func (r *Reader) greet(ctx context.Context, c *conn) error {
	a, err := c.exchange(ctx, cmdSAM, r.times.Command)
	if err != nil {
		return err
	}
	if a.sw[2] != swOK {
		return &StatusError{SW: a.sw}
	}
	name, demo := samNumber(a.data)
	r.sam = name
	r.hub.SetHealth(device.Health{Name: name, State: device.StateReady, Demo: demo})
	r.hub.Good()
	return nil
}

// samNumber writes the module's number as it is printed on it: two times two
// and three times four bytes, little endian.
func samNumber(b []byte) (text string, demo bool) {
	if len(b) < 16 {
		return fmt.Sprintf("SAM %X", b), false
	}
	date := binary.LittleEndian.Uint32(b[4:])
	return fmt.Sprintf("%02d.%02d-%08d-%010d-%010d", binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:]), date,
		binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:])), date == demoDate
}

// look polls once. A card that was found once is not found again before it has
// left the field, so that "not found" alone does not tell whether it is gone:
// asking for the added address does.
func (r *Reader) look(ctx context.Context, c *conn) error {
	a, err := c.exchange(ctx, cmdFind, r.times.Command)
	if err != nil {
		return err
	}
	found := a.sw[2] == swFound || a.sw[2] == swOK
	if c.again && a.sw[2] == swNotFound && r.state == device.CardNone {
		// The answer that got lost may have been the one that it is found, which
		// is said once only: selecting shows.
		found = true
	}
	switch {
	case found:
		a, err = c.exchange(ctx, cmdSelect, r.times.Command)
		if err != nil {
			return err
		}
		if a.sw[2] != swOK {
			r.hub.Count("select_failed")
			r.setState(device.CardNone) // half-way: it is found again when it lies well
			return nil
		}
		r.seq++
		r.setState(device.CardInserted)
		return nil
	case a.sw[2] == swSelfTest, a.sw[2] == swNotAllowed:
		return &StatusError{SW: a.sw}
	}
	switch r.state {
	case device.CardInserted, device.CardMustBeLifted, device.CardUnresponsive:
		there, err := r.lies(ctx, c)
		if err != nil {
			return err
		}
		if !there {
			r.setState(device.CardNone)
		}
	case device.CardNone, device.CardNoReader, device.CardHeld:
	}
	return nil
}

// lies asks whether the selected card still lies there. Readers that do not
// know the command cannot tell; the card then counts as there until another is
// found.
func (r *Reader) lies(ctx context.Context, c *conn) (bool, error) {
	if r.noProbe {
		return true, nil
	}
	a, err := c.exchange(ctx, cmdAddress, r.times.Command)
	if err != nil {
		return false, err
	}
	switch a.sw[2] {
	case swOK, swNoContent:
		return true, nil
	case 0x21, 0x24:
		r.noProbe = true
		return true, nil
	}
	return false, nil
}

func (r *Reader) setState(s device.CardState) {
	r.state = s
	r.hub.SetCard(device.CardEvent{State: s, Seq: r.seq, Reader: r.sam})
}

// opLimit bounds an operation whose caller set no limit, should the driver end
// just then.
const opLimit = 15 * time.Second

// do runs f on the goroutine of Run.
func (r *Reader) do(ctx context.Context, f func(context.Context, *conn) error) error {
	select {
	case token := <-r.guard: // nobody runs
		r.guard <- token
		return fmt.Errorf("ID reader driver is not running: %w", device.ErrNoReader)
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, opLimit)
	defer cancel()
	j := job{ctx: ctx, f: f, res: make(chan error, 1)}
	select {
	case r.jobs <- j:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-j.res:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ReadID reads the card that lies there now; see device.IDReader.
func (r *Reader) ReadID(ctx context.Context) (device.IDCard, error) {
	got := make(chan device.IDCard, 1)
	err := r.do(ctx, func(run context.Context, c *conn) error {
		card, err := r.read(run, c)
		if err == nil {
			got <- card
		}
		return err
	})
	if err != nil {
		return device.IDCard{}, fmt.Errorf("read ID card: %w", err)
	}
	return <-got, nil
}

func (r *Reader) read(ctx context.Context, c *conn) (device.IDCard, error) {
	if c == nil {
		return device.IDCard{}, device.ErrNoReader
	}
	if r.state == device.CardNone || r.state == device.CardMustBeLifted {
		// It may have been laid on since the last look.
		if err := r.look(ctx, c); err != nil {
			return device.IDCard{}, lineError(err)
		}
	}
	switch r.state {
	case device.CardInserted:
	case device.CardMustBeLifted:
		return device.IDCard{}, device.ErrMustLift
	case device.CardNone:
		return device.IDCard{}, device.ErrNoCard
	case device.CardNoReader, device.CardUnresponsive, device.CardHeld:
		return device.IDCard{}, device.ErrNoReader
	}
	a, err := c.exchange(ctx, cmdRead, r.times.Read)
	if err != nil {
		r.setState(device.CardMustBeLifted)
		return device.IDCard{}, lineError(err)
	}
	if a.sw[2] != swOK {
		r.hub.Count("read_failed")
		return device.IDCard{}, r.readFailed(ctx, c, &StatusError{SW: a.sw})
	}
	r.setState(device.CardMustBeLifted)
	card, err := parseContent(a.data)
	if err != nil {
		r.hub.Count("damaged")
		return device.IDCard{}, err
	}
	r.hub.Good()
	return card, nil
}

// readFailed puts the state right after a refused read and makes the port's
// error: the card may be gone, or lie there and want to be lifted.
func (r *Reader) readFailed(ctx context.Context, c *conn, se *StatusError) error {
	there, err := r.lies(ctx, c)
	switch {
	case err != nil:
		r.setState(device.CardMustBeLifted)
		return lineError(err)
	case there:
		r.setState(device.CardMustBeLifted)
	default:
		r.setState(device.CardNone)
	}
	switch se.SW[2] {
	case 0x40, 0x21, 0x24, swNoContent:
		return fmt.Errorf("%w: %w", device.ErrForeignCard, se)
	case 0x31, 0x32, 0x33, 0x60, 0x66:
		if there {
			return fmt.Errorf("%w: %w", device.ErrUnresponsive, se)
		}
	}
	return fmt.Errorf("%w: %w", device.ErrCardTorn, se)
}

// lineError makes the port's error of a line's, keeping the cause for Run.
func lineError(err error) error {
	switch {
	case errors.Is(err, errLine):
		return fmt.Errorf("%w: %w", device.ErrNoReader, err)
	case errors.Is(err, errSilent):
		return fmt.Errorf("%w: %w", device.ErrUnresponsive, err)
	}
	return err
}

// SelfTest asks the reader for its status and returns the fresh condition.
func (r *Reader) SelfTest(ctx context.Context) device.Health {
	err := r.do(ctx, func(run context.Context, c *conn) error {
		if c == nil {
			return device.ErrNoReader
		}
		a, err := c.exchange(run, cmdStatus, r.times.Command)
		if err == nil && a.sw[2] != swOK {
			err = &StatusError{SW: a.sw}
		}
		if err == nil {
			r.hub.Good()
		}
		return err
	})
	if h := r.hub.Health(); err == nil || !h.State.Usable() {
		return h
	}
	return health(err, r.hub.Health())
}
