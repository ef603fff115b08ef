// Package escpos prints on receipt printers that speak ESC/POS: 80 mm paper, over
// a USB device file or a network port. It exists because many villages have a
// receipt printer and no page printer.
//
// It guarantees: pages are sent as pictures, so that every character comes out
// whatever fonts the printer has; the printer is asked how it is before the first
// dot, and nothing is sent to one that cannot print; a document is sent at most
// once; a job is followed until the printer itself says that it has done all of
// it, and where that cannot be known the answer is device.PrintUnknown, never a
// second print.
//
// It follows Epson's ESC/POS as its makers publish it: ESC @, GS v 0, GS V, DLE
// EOT n, GS r and GS ( H.
package escpos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"sync"
	"time"

	"cunban/device"
	"cunban/device/internal/hub"
)

// Defaults of Options.
const (
	DefaultDots   = 576                    // 72 mm of 80 mm paper at 203 dpi
	DefaultPoll   = 10 * time.Second       // between looks at a printer that is well
	DefaultHeal   = 2 * time.Second        // between looks at one that is not
	DefaultAnswer = 2 * time.Second        // a status byte takes milliseconds
	DefaultJob    = 90 * time.Second       // a job, with time to put a roll in
	DefaultFollow = 500 * time.Millisecond // between looks during a job
)

// maxRows is how long a document may be, in dots: four metres of paper.
const maxRows = 32000

// Raster draws a document as pictures of at most dots pixels wide, a page each.
type Raster func(ctx context.Context, pdf []byte, dots int) ([]image.Image, error)

// Options say which printer is used. Target and Raster are needed.
type Options struct {
	Target string // "/dev/usb/lp0" or "tcp://192.0.2.7:9100"
	Raster Raster
	Dots   int // width of the print head; 0 = DefaultDots

	Poll, Heal, Answer, Job, Follow time.Duration // 0 = the defaults

	Now    func() time.Time // nil = time.Now
	Logger *slog.Logger     // nil = none

	dial func(ctx context.Context) (io.ReadWriteCloser, error) // nil = of Target
}

// Printer is one receipt printer.
type Printer struct {
	o   Options
	hub *hub.Hub

	one chan struct{} // token: who has it may use the printer

	mu     sync.Mutex
	serial uint32
}

var _ device.Printer = (*Printer)(nil)

// New makes the driver; it does nothing until Run, SelfTest or Print. The error
// is about the options.
func New(o Options) (*Printer, error) {
	if o.Raster == nil {
		return nil, errors.New("escpos: nothing to draw with")
	}
	if o.dial == nil {
		dial, err := dialer(o.Target)
		if err != nil {
			return nil, err
		}
		o.dial = dial
	}
	o.Dots = cmp.Or(o.Dots, DefaultDots)
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{{&o.Poll, DefaultPoll}, {&o.Heal, DefaultHeal}, {&o.Answer, DefaultAnswer}, {&o.Job, DefaultJob}, {&o.Follow, DefaultFollow}} {
		*d.v = cmp.Or(*d.v, d.d)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Printer{o: o, one: make(chan struct{}, 1), hub: hub.New(device.Health{Kind: device.KindReceiptPrint, Name: o.Target}, o.Now)}
	p.one <- struct{}{}
	return p, nil
}

// Kind implements device.Device.
func (p *Printer) Kind() device.Kind { return device.KindReceiptPrint }

// Health implements device.Device.
func (p *Printer) Health() device.Health { return p.hub.Health() }

// Subscribe implements device.Device.
func (p *Printer) Subscribe(fn func(device.Event)) (cancel func()) { return p.hub.Subscribe(fn) }

// SelfTest asks the printer how it is. While it prints, that is the test.
func (p *Printer) SelfTest(ctx context.Context) device.Health {
	select {
	case <-p.one:
	default:
		return p.hub.Health()
	}
	defer func() { p.one <- struct{}{} }()
	l, err := p.connect(ctx)
	if err == nil {
		var s status
		if s, err = l.status(ctx, p.o.Answer); err == nil {
			p.take(s)
			p.hub.Good()
		}
		err = errors.Join(err, l.close())
	}
	if err != nil && ctx.Err() == nil {
		p.hub.SetHealth(unreachable(err))
	}
	return p.hub.Health()
}

// Run implements device.Device: it asks again and again, more often while the
// printer is not well.
func (p *Printer) Run(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
		before := p.hub.Health()
		after := p.SelfTest(ctx)
		if before.State != after.State || before.Code != after.Code {
			p.o.Logger.Info("receipt printer", "name", after.Name, "state", string(after.State), "code", after.Code, "detail", after.Detail)
		}
		if after.State == device.StateReady {
			t.Reset(p.o.Poll)
		} else {
			t.Reset(p.o.Heal)
		}
	}
}

// take makes what the printer said its health.
func (p *Printer) take(s status) { p.hub.SetHealth(s.health()) }

func (p *Printer) connect(ctx context.Context) (*link, error) {
	c, err := p.o.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("escpos: reach the printer: %w", err)
	}
	return newLink(c), nil
}

// Purge implements device.Printer. A receipt printer keeps no queue.
func (p *Printer) Purge(context.Context) error { return nil }

// Print draws a PDF, sends it and waits until the printer says that it has done
// all of it. progress is called from the caller's goroutine; it may be nil.
//
// The error is not nil exactly when nothing was sent, and then nothing was or
// will be printed: device.ErrBusy, device.ErrOutOfPaper, device.ErrCoverOpen,
// device.ErrOffline, device.ErrAbsent, or what the drawing said; the result has
// the words.
func (p *Printer) Print(ctx context.Context, _ string, pdf []byte, progress func(string)) (device.PrintResult, error) {
	if progress == nil {
		progress = func(string) {}
	}
	select {
	case <-p.one:
	default:
		err := fmt.Errorf("escpos: %w: another document is under way", device.ErrBusy)
		return failed("正在打印另一份，请稍等。", "等它打完再打。", err), err
	}
	defer func() { p.one <- struct{}{} }()
	progress("正在准备小票")
	pages, err := p.o.Raster(ctx, pdf, p.o.Dots)
	if err == nil {
		err = fits(pages, p.o.Dots)
	}
	if err != nil {
		err = fmt.Errorf("escpos: draw the document: %w", err)
		return failed("要打印的小票有问题。", "请技术员来看看。", err), err
	}
	progress("正在连接小票打印机")
	l, err := p.connect(ctx)
	if err != nil {
		h := unreachable(err)
		p.hub.SetHealth(h)
		return failed(h.Cause, h.Remedy, err), fmt.Errorf("%w: %w", device.ErrAbsent, err)
	}
	defer func() { _ = l.close() }() // what counts was read before
	s, err := l.status(ctx, p.o.Answer)
	if err != nil {
		h := unreachable(err)
		p.hub.SetHealth(h)
		return failed(h.Cause, h.Remedy, err), fmt.Errorf("%w: %w", device.ErrOffline, err)
	}
	p.take(s)
	if err := s.refuses(); err != nil {
		h := s.health()
		return failed(h.Cause, h.Remedy, err), err
	}
	r := p.send(ctx, l, pages, progress)
	p.hub.Count("jobs_" + string(r.End))
	p.o.Logger.Info("receipt", "end", string(r.End), "detail", r.Detail)
	return r, nil
}

// fits tells whether pictures can be printed.
func fits(pages []image.Image, dots int) error {
	rows := 0
	for _, m := range pages {
		if m.Bounds().Dx() > dots || m.Bounds().Empty() {
			return fmt.Errorf("a page of %v for %d dots", m.Bounds(), dots)
		}
		rows += m.Bounds().Dy()
	}
	if rows == 0 || rows > maxRows {
		return fmt.Errorf("%d rows of dots", rows)
	}
	return nil
}

// send gives the printer the whole document and waits for its end. From the
// first byte on only the printer knows what is on paper.
func (p *Printer) send(ctx context.Context, l *link, pages []image.Image, progress func(string)) device.PrintResult {
	p.mu.Lock()
	p.serial++
	id := mark(p.serial)
	p.mu.Unlock()
	progress("正在打印")
	p.hub.SetHealth(device.Health{State: device.StateBusy, Code: "RP-00", Cause: "小票打印机正在打印。", Remedy: "稍等一会儿。"})
	ctx, cancel := context.WithTimeout(ctx, p.o.Job)
	defer cancel()
	err := l.write(ctx, initialise)
	for _, m := range pages {
		for strip := range strips(m) {
			if err == nil {
				err = l.write(ctx, strip)
			}
		}
	}
	if err == nil {
		err = l.write(ctx, cutAndTell(id))
	}
	if err != nil {
		h := unreachable(err)
		p.hub.SetHealth(h)
		return unknown(h.Cause, err.Error())
	}
	return p.follow(ctx, l, id)
}

// follow waits for the printer's word, and looks meanwhile what keeps it.
func (p *Printer) follow(ctx context.Context, l *link, id [4]byte) device.PrintResult {
	last := status{}
	for {
		done, err := l.told(ctx, id, p.o.Follow)
		switch {
		case done:
			if s, err := l.status(ctx, p.o.Answer); err == nil {
				last = s
			}
			p.take(last)
			p.hub.Good()
			return device.PrintResult{End: device.PrintDone}
		case ctx.Err() != nil, err != nil:
			h := last.health()
			if err != nil && ctx.Err() == nil {
				h = unreachable(err)
			}
			p.hub.SetHealth(h)
			return unknown(h.Cause, fmt.Sprint("no word of the end: ", errors.Join(err, ctx.Err())))
		}
		if s, err := l.status(ctx, p.o.Answer); err == nil {
			last = s
			p.take(s)
		}
	}
}

func failed(cause, remedy string, err error) device.PrintResult {
	return device.PrintResult{End: device.PrintFailed, Cause: cause, Remedy: remedy, Detail: fmt.Sprint(err)}
}

func unknown(cause, detail string) device.PrintResult {
	return device.PrintResult{End: device.PrintUnknown, Cause: "说不准小票打出来没有。" + cause,
		Remedy: "请看看小票打印机的出纸口；没有打出来，再点“补打”。", Detail: detail}
}
