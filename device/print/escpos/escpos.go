// Package escpos prints on receipt printers that speak ESC/POS: 80 mm paper, over
// a USB device file or a network port. It exists because many villages have a
// receipt printer and no page printer.
//
// It guarantees: pages are sent as pictures, so that every character comes out
// whatever fonts the printer has; the printer is asked how it is before the first
// dot, and nothing is sent to one that cannot print; a document is sent at most
// once; a job is followed until the printer itself says that it has done all of
// it, and where that cannot be known the answer is device.PrintUnknown, never a
// second print; what the printer still holds of a job that nobody waits for is
// cleared there, and half a receipt is cut off before the next one, so that
// nobody gets the paper of the person before.
//
// It follows Epson's ESC/POS as its makers publish it: ESC @, GS v 0, GS V, GS I,
// DLE EOT n, DLE DC4 8, GS r and GS ( H.
package escpos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"strings"
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
	model  string // as the printer says, "" when not known
	asked  bool   // for the model, since the printer was last unreachable
	torn   bool   // the last job may have left half a receipt on the paper
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
	err := p.look(ctx)
	if err != nil && ctx.Err() == nil {
		p.lost(err)
	}
	return p.hub.Health()
}

// look asks the printer how it is and takes that over.
func (p *Printer) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience*p.o.Answer)
	defer cancel()
	l, err := p.connect(ctx)
	if err != nil {
		return err
	}
	s, err := l.status(ctx, p.o.Answer)
	if err == nil {
		p.introduce(ctx, l, s)
		p.take(s)
		p.hub.Good()
	}
	return errors.Join(err, l.close())
}

// patience is how many answers one look may take.
const patience = 8

// introduce asks a printer that was just found for its model. One that gives none
// is not asked again until it has been away.
func (p *Printer) introduce(ctx context.Context, l *link, s status) {
	p.mu.Lock()
	ask := !p.asked && s.health().State.Usable() // one that stands still answers later
	p.mu.Unlock()
	if !ask {
		return
	}
	model := l.model(ctx, p.o.Answer)
	if ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked, p.model = true, model
}

// simulatedName begins the model name of device/sim's receipt printer.
const simulatedName = "CUNBAN SIM"

// say makes h the printer's health, with its name and its mark.
func (p *Printer) say(h device.Health) {
	p.mu.Lock()
	model := p.model
	p.mu.Unlock()
	h.Demo = strings.HasPrefix(model, simulatedName)
	if model != "" {
		h.Name = model + " (" + p.o.Target + ")"
	}
	p.hub.SetHealth(h)
}

// lost makes a broken line the printer's health and returns it.
func (p *Printer) lost(err error) device.Health {
	h := unreachable(err)
	p.say(h)
	p.mu.Lock()
	p.asked = false // another printer may be there next time
	p.mu.Unlock()
	return h
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
func (p *Printer) take(s status) { p.say(s.health()) }

func (p *Printer) connect(ctx context.Context) (*link, error) {
	c, err := p.o.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("escpos: reach the printer: %w", err)
	}
	return newLink(c), nil
}

// Purge makes the printer forget what it has received and not printed: a receipt
// whose paper ran out must not come out before the next person. While a job is
// under way, that job does it at its end.
func (p *Printer) Purge(ctx context.Context) error {
	select {
	case <-p.one:
	default:
		return nil
	}
	defer func() { p.one <- struct{}{} }()
	l, err := p.connect(ctx)
	if err != nil {
		return err
	}
	return errors.Join(l.clear(ctx, p.o.Answer), l.close())
}

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
	before, cancel := context.WithTimeout(ctx, patience*p.o.Answer)
	defer cancel()
	l, err := p.connect(before)
	if err != nil {
		h := p.lost(err)
		return failed(h.Cause, h.Remedy, err), fmt.Errorf("%w: %w", device.ErrAbsent, err)
	}
	defer func() { _ = l.close() }() // what counts was read before
	err = p.tidy(before, l)
	var s status
	if err == nil {
		s, err = l.status(before, p.o.Answer)
	}
	if err != nil {
		h := p.lost(err)
		return failed(h.Cause, h.Remedy, err), fmt.Errorf("%w: %w", device.ErrOffline, err)
	}
	p.take(s)
	if err := s.refuses(); err != nil {
		h := s.health()
		return failed(h.Cause, h.Remedy, err), err
	}
	l.held = nil // whatever came before the first dot is about another document
	r := p.send(ctx, l, pages, progress)
	p.mu.Lock()
	p.torn = r.End == device.PrintUnknown
	p.mu.Unlock()
	p.hub.Count("jobs_" + string(r.End))
	p.o.Logger.Info("receipt", "end", string(r.End), "detail", r.Detail)
	return r, nil
}

// tidy makes the printer forget the rest of a document that was not followed to
// its end, so that it is not taken for the middle of a picture.
func (p *Printer) tidy(ctx context.Context, l *link) error {
	p.mu.Lock()
	torn := p.torn
	p.mu.Unlock()
	if !torn {
		return nil
	}
	return l.clear(ctx, p.o.Answer)
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
	id, torn := mark(p.serial), p.torn
	p.mu.Unlock()
	said := ""
	say := func(s string) {
		if s != said {
			said = s
			progress(s)
		}
	}
	say(printing)
	p.say(device.Health{State: device.StateBusy, Code: "RP-00", Cause: "小票打印机正在打印。", Remedy: "稍等一会儿。"})
	ctx, cancel := context.WithTimeout(ctx, p.o.Job)
	defer cancel()
	err := l.write(ctx, initialise)
	if err == nil && torn {
		err = l.write(ctx, cut) // half a receipt still hangs out
	}
	for _, m := range pages {
		for strip := range strips(m) {
			if err == nil {
				err = p.push(ctx, l, strip, say)
			}
		}
	}
	if err == nil {
		err = p.push(ctx, l, cutAndTell(id), say)
	}
	if err != nil {
		return p.abandon(ctx, l, p.lost(err), err)
	}
	return p.follow(ctx, l, id, say)
}

const printing = "正在打印"

// push writes one command. A printer that takes no more of it stands still, and a
// person is told to look.
func (p *Printer) push(ctx context.Context, l *link, cmd []byte, say func(string)) error {
	done := make(chan error, 1)
	go func() { done <- l.write(ctx, cmd) }() // ends with ctx
	t := time.NewTimer(p.o.Answer)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
	}
	h := device.Health{State: device.StateFault, Code: "RP-10", Cause: "小票打印机停在半路。", Remedy: "看看有没有纸，盖子盖好没有。弄好后会接着打。"}
	p.say(h)
	say(h.Cause + h.Remedy)
	return <-done
}

// follow waits for the printer's word, and looks and says meanwhile what keeps it.
func (p *Printer) follow(ctx context.Context, l *link, id [4]byte, say func(string)) device.PrintResult {
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
			return device.PrintResult{End: device.PrintDone, JobID: string(id[:])}
		case ctx.Err() != nil:
			p.take(last)
			return p.abandon(ctx, l, last.health(), ctx.Err())
		case err != nil:
			return p.abandon(ctx, l, p.lost(err), err)
		}
		if s, err := l.status(ctx, p.o.Answer); err == nil {
			last = s
			p.take(s)
		}
		if h := last.health(); h.State.Usable() {
			say(printing)
		} else {
			say(h.Cause + h.Remedy)
		}
	}
}

// abandon gives a document up that nobody waits for any more: the printer forgets
// the rest, if it still hears.
func (p *Printer) abandon(ctx context.Context, l *link, h device.Health, why error) device.PrintResult {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*p.o.Answer)
	defer cancel()
	err := l.clear(ctx, p.o.Answer)
	if err != nil { // the line was closed on a command that did not get through
		var again *link
		if again, err = p.connect(ctx); err == nil {
			err = errors.Join(again.clear(ctx, p.o.Answer), again.close())
		}
	}
	return unknown(h.Cause, fmt.Sprintf("no word of the end: %v; clear: %v", why, err))
}

func failed(cause, remedy string, err error) device.PrintResult {
	return device.PrintResult{End: device.PrintFailed, Cause: cause, Remedy: remedy, Detail: fmt.Sprint(err)}
}

func unknown(cause, detail string) device.PrintResult {
	return device.PrintResult{End: device.PrintUnknown, Cause: "说不准小票打出来没有。" + cause,
		Remedy: "请看看小票打印机的出纸口；没有打出来，再点“补打”。", Detail: detail}
}
