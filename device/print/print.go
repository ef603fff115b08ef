// Package print prints PDF documents on page printers that speak IPP: a
// printer on the network (IPP Everywhere) or a CUPS queue. It exists so that
// the terminal knows what physically became of a sheet of paper, and can say
// in plain words what a person has to do at the printer.
//
// It guarantees: a document is sent at most once; a job is followed to its
// physical end, and where that cannot be known (the line broke after the
// printer had the document, the printer was restarted) the answer is
// device.PrintUnknown, never a second print; every condition that RFC 8011
// names has words and a remedy. It follows RFC 8010, RFC 8011 and PWG 5100.14.
package print

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/OpenPrinting/goipp"

	"cunban/device"
	"cunban/device/internal/hub"
)

// Defaults of Options.
const (
	DefaultPoll    = 10 * time.Second       // between looks at a printer that is well
	DefaultHeal    = 2 * time.Second        // between looks at one that is not
	DefaultFollow  = 700 * time.Millisecond // between looks at a job
	DefaultRequest = 10 * time.Second       // one request without a document
	DefaultSend    = 60 * time.Second       // a document over a slow line
	DefaultJob     = 5 * time.Minute        // a job, with time to put paper in
	DefaultLost    = 20 * time.Second       // a printer that is silent during a job
)

// maxPDF is the largest document that is sent, in bytes.
const maxPDF = 64 << 20

// What is sent: one format, one size of paper (PWG 5101.1).
const (
	pdfFormat = "application/pdf"
	a4        = "iso_a4_210x297mm"
)

// Options say which printer is used.
type Options struct {
	URI       string            // ipp://host:631/ipp/print, ipps://…, http://…
	User      string            // requesting-user-name: which jobs are ours; "" = "cunban"
	Transport http.RoundTripper // nil = a plain one without keep-alive

	Poll, Heal, Follow, Request, Send, Job, Lost time.Duration // 0 = the defaults

	Now    func() time.Time // nil = time.Now
	Logger *slog.Logger     // nil = none
}

// Printer is one IPP printer.
type Printer struct {
	o          Options
	hub        *hub.Hub
	client     *http.Client
	postURL    string
	printerURI string
	serial     atomic.Uint32

	one chan struct{} // token of the job that is under way

	mu       sync.Mutex
	last     printer // as the printer last said
	printing bool
}

var _ device.Printer = (*Printer)(nil)

// New makes the driver; it does nothing until Run, SelfTest or Print. The
// error is about the address.
func New(o Options) (*Printer, error) {
	post, uri, err := address(o.URI)
	if err != nil {
		return nil, err
	}
	o.User = cmp.Or(o.User, "cunban")
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{{&o.Poll, DefaultPoll}, {&o.Heal, DefaultHeal}, {&o.Follow, DefaultFollow}, {&o.Request, DefaultRequest},
		{&o.Send, DefaultSend}, {&o.Job, DefaultJob}, {&o.Lost, DefaultLost}} {
		*d.v = cmp.Or(*d.v, d.d)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Transport == nil {
		// A kept connection that the printer has closed meanwhile would leave
		// open whether a document went through it.
		o.Transport = &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: o.Send}
	}
	p := &Printer{o: o, postURL: post, printerURI: uri, one: make(chan struct{}, 1),
		client: &http.Client{Transport: o.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		hub:    hub.New(device.Health{Kind: device.KindPagePrinter, Name: uri}, o.Now)}
	p.one <- struct{}{}
	return p, nil
}

// Kind implements device.Device.
func (p *Printer) Kind() device.Kind { return device.KindPagePrinter }

// Health implements device.Device.
func (p *Printer) Health() device.Health { return p.hub.Health() }

// Subscribe implements device.Device.
func (p *Printer) Subscribe(fn func(device.Event)) (cancel func()) { return p.hub.Subscribe(fn) }

// SelfTest asks the printer how it is.
func (p *Printer) SelfTest(ctx context.Context) device.Health {
	_, err := p.ask(ctx)
	if err != nil && ctx.Err() != nil {
		return p.hub.Health()
	}
	return p.hub.Health()
}

// ask gets the printer's condition and takes it over.
func (p *Printer) ask(ctx context.Context) (printer, error) {
	rctx, cancel := context.WithTimeout(ctx, p.o.Request)
	defer cancel()
	m := p.request(goipp.OpGetPrinterAttributes)
	m.Operation.Add(goipp.MakeAttribute("requesting-user-name", goipp.TagName, goipp.String(p.o.User)))
	m.Operation.Add(keywords("requested-attributes", printerWanted...))
	reply, err := p.do(rctx, m, nil)
	if err != nil {
		if ctx.Err() == nil {
			h := unreachable(err)
			h.Demo = p.hub.Health().Demo
			p.hub.SetHealth(h)
		}
		return printer{}, err
	}
	s := readPrinter(reply)
	p.mu.Lock()
	p.last = s
	printing := p.printing
	p.mu.Unlock()
	h := condition(s)
	if printing && h.State == device.StateReady {
		busy(&h)
	}
	p.hub.SetHealth(h)
	p.hub.Good()
	return s, nil
}

// Run implements device.Device: it asks again and again, more often while the
// printer is not well, so that it is seen at once when paper is in.
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
			p.o.Logger.Info("printer", "name", after.Name, "state", string(after.State), "code", after.Code, "detail", after.Detail)
		}
		if after.State == device.StateReady {
			t.Reset(p.o.Poll)
		} else {
			t.Reset(p.o.Heal)
		}
	}
}

// codePrinting is the code of a printer that prints.
const codePrinting = "PR-00"

func busy(h *device.Health) {
	h.State, h.Code, h.Cause, h.Remedy = device.StateBusy, codePrinting, "打印机正在打印。", "稍等一会儿。"
}

// simulated tells a printer that puts no ink on paper.
func simulated(name string) bool {
	return strings.Contains(name, "Simulated") || name == "Example Printer" || name == "Test Printer"
}

// condition puts what a printer says of itself into words.
func condition(s printer) device.Health {
	h := device.Health{State: device.StateReady, Name: s.name, Demo: simulated(s.name),
		Detail: strings.TrimSpace(strings.Join(s.reasons, ",") + " " + s.message)}
	w, _, ok := heaviest(s.reasons)
	if ok {
		h.State, h.Code, h.Cause, h.Remedy = w.state, w.code, w.cause, w.remedy
	}
	switch {
	case s.state == printerStopped && (!ok || h.State.Usable()):
		h.State, h.Code = device.StateFault, "PR-16"
		h.Cause, h.Remedy = "打印机停下来了。", "关掉打印机，等十秒再打开。"+callTechnician
	case !s.accepting && h.State.Usable():
		h.State, h.Code = device.StateFault, "PR-09"
		h.Cause, h.Remedy = "打印机暂不接新任务。", "请技术员恢复。"
	case s.state == printerProcessing && h.State == device.StateReady:
		busy(&h)
	}
	return h
}

// unreachable puts a failed request into words.
func unreachable(err error) device.Health {
	h := device.Health{Detail: err.Error()}
	var refused *statusError
	switch {
	case errors.As(err, &refused):
		h.State, h.Code = device.StateFault, "PR-18"
		h.Cause, h.Remedy = "打印机不接受这台终端的请求。", "请技术员检查打印设置。"
	case errors.Is(err, errNotIPP), errors.Is(err, errReply):
		h.State, h.Code = device.StateFault, "PR-17"
		h.Cause, h.Remedy = "打印机的地址不对，那里不是打印机。", "请技术员检查打印机地址。"
	default:
		h.State, h.Code = device.StateAbsent, "PR-01"
		h.Cause, h.Remedy = "没有连上打印机。", "看看打印机的电源和数据线。回执可以以后补打。"
	}
	return h
}

// Print sends a PDF and follows the job to its physical end. title must hold
// no personal detail: it shows on the printer's panel. progress is called from
// the caller's goroutine.
//
// The error is not nil exactly when the document was not sent, and then
// nothing was or will be printed: device.ErrBusy, device.ErrOutOfPaper,
// device.ErrJam, device.ErrCoverOpen, device.ErrOffline, device.ErrAbsent, or
// what the printer said; the result has the words. When ctx ends or the job
// takes longer than Options.Job, the job is cancelled, and the result says
// whether it is certain that nothing came out.
func (p *Printer) Print(ctx context.Context, title string, pdf []byte, progress func(string)) (device.PrintResult, error) {
	if progress == nil {
		progress = func(string) {}
	}
	if len(pdf) == 0 || len(pdf) > maxPDF || string(pdf[:min(5, len(pdf))]) != "%PDF-" {
		err := fmt.Errorf("print: %d bytes that are not a PDF", len(pdf))
		return failed("要打印的文件有问题。", callTechnician, err), err
	}
	select {
	case <-p.one:
	default:
		err := fmt.Errorf("print: %w: another document is under way", device.ErrBusy)
		return failed("正在打印另一份，请稍等。", "等它打完再打。", err), err
	}
	p.setPrinting(true)
	defer func() {
		p.setPrinting(false)
		p.one <- struct{}{}
	}()
	progress("正在连接打印机")
	s, err := p.ask(ctx)
	if err != nil {
		h := unreachable(err)
		return failed(h.Cause, h.Remedy, err), fmt.Errorf("print: %w: %w", device.ErrAbsent, err)
	}
	if err := refuse(s); err != nil {
		w := condition(s)
		return failed(w.Cause, w.Remedy, err), err
	}
	if len(s.formats) > 0 && !slices.Contains(s.formats, pdfFormat) {
		err := fmt.Errorf("print: the printer takes %s, not %s", strings.Join(s.formats, ", "), pdfFormat)
		return failed("这台打印机不认 PDF 文件。", "请技术员经 CUPS 连接，或换一台支持 PDF 的打印机。", err), err
	}
	progress("正在发送")
	j, err := p.send(ctx, s, title, pdf)
	if r, done := sendFailed(err); done {
		p.hub.Count("failures")
		if r.End == device.PrintUnknown {
			return r, nil
		}
		return r, err
	}
	r := p.follow(ctx, j, progress)
	p.hub.Count("jobs_" + string(r.End))
	p.o.Logger.Info("print job", "job", r.JobID, "end", string(r.End), "detail", r.Detail)
	return r, nil
}

func (p *Printer) setPrinting(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.printing = on
	h := condition(p.last)
	if p.last.state == 0 {
		return
	}
	switch {
	case on && h.State == device.StateReady:
		busy(&h)
	case !on && h.State == device.StateBusy && h.Code == codePrinting:
		h.State, h.Code, h.Cause, h.Remedy = device.StateReady, "", "", ""
	}
	p.hub.SetHealth(h)
}

func failed(cause, remedy string, err error) device.PrintResult {
	return device.PrintResult{End: device.PrintFailed, Cause: cause, Remedy: remedy, Detail: fmt.Sprint(err)}
}

func unknown(id int, detail string) device.PrintResult {
	r := device.PrintResult{End: device.PrintUnknown, Cause: "说不准打出来没有。",
		Remedy: "请看看打印机的出纸口；没有打出来，再点“补打”。", Detail: detail}
	if id > 0 {
		r.JobID = strconv.Itoa(id)
	}
	return r
}

// refuse says why a document is not sent to a printer in this condition.
func refuse(s printer) error {
	if w, _, ok := heaviest(s.reasons); ok && w.state == device.StateFault || ok && w.state == device.StateAbsent {
		return fmt.Errorf("print: %w: %s", cmp.Or(w.err, device.ErrOffline), strings.Join(s.reasons, ","))
	}
	if s.state == printerStopped || !s.accepting {
		return fmt.Errorf("print: %w: the printer is stopped: %s", device.ErrOffline, s.message)
	}
	return nil
}

// send prints. It returns the job that the printer made of it.
func (p *Printer) send(ctx context.Context, s printer, title string, pdf []byte) (job, error) {
	ctx, cancel := context.WithTimeout(ctx, p.o.Send)
	defer cancel()
	m := p.request(goipp.OpPrintJob)
	// A name of its own tells this job from a stranger's with the same number.
	name := fmt.Sprintf("%s %d", clip(title, 60), p.o.Now().UnixMilli())
	m.Operation.Add(goipp.MakeAttribute("requesting-user-name", goipp.TagName, goipp.String(p.o.User)))
	m.Operation.Add(goipp.MakeAttribute("job-name", goipp.TagName, goipp.String(name)))
	m.Operation.Add(goipp.MakeAttribute("document-format", goipp.TagMimeType, goipp.String(pdfFormat)))
	m.Job.Add(goipp.MakeAttribute("copies", goipp.TagInteger, goipp.Integer(1)))
	if slices.Contains(s.media, a4) {
		m.Job.Add(goipp.MakeAttribute("media", goipp.TagKeyword, goipp.String(a4)))
	}
	if slices.Contains(s.sides, "one-sided") {
		m.Job.Add(goipp.MakeAttribute("sides", goipp.TagKeyword, goipp.String("one-sided")))
	}
	reply, err := p.do(ctx, m, pdf)
	if err != nil {
		return job{}, err
	}
	j := readJob(reply.Job)
	if j.id <= 0 {
		return job{}, fmt.Errorf("%w: accepted without a job number", errReply)
	}
	j.name = name
	return j, nil
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

// sendFailed says what a failed Print-Job means; done is false for nil.
func sendFailed(err error) (r device.PrintResult, done bool) {
	if err == nil {
		return r, false
	}
	var refused *statusError
	var unsent *unsentError
	switch {
	case errors.As(err, &refused):
		r = failed("打印机没有收下这份文件。", callTechnician, err)
		if refused.status == goipp.StatusErrorDocumentFormatNotSupported || refused.status == goipp.StatusErrorDocumentFormatError {
			r.Cause, r.Remedy = "这台打印机不认这份 PDF 文件。", "请技术员经 CUPS 连接，或换一台支持 PDF 的打印机。"
		}
		if refused.status == goipp.StatusErrorBusy {
			r.Cause, r.Remedy = "打印机正忙。", "等一会儿再打。"
		}
	case errors.As(err, &unsent):
		h := unreachable(err)
		r = failed(h.Cause, h.Remedy, err)
	default:
		// The document may have arrived whole.
		r = unknown(0, err.Error())
	}
	return r, true
}

// Purge cancels this program's jobs that are not printed yet.
func (p *Printer) Purge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.o.Request)
	defer cancel()
	m := p.request(goipp.OpGetJobs)
	m.Operation.Add(goipp.MakeAttribute("requesting-user-name", goipp.TagName, goipp.String(p.o.User)))
	m.Operation.Add(keywords("requested-attributes", jobWanted...))
	m.Operation.Add(keywords("which-jobs", "not-completed"))
	m.Operation.Add(goipp.MakeAttribute("my-jobs", goipp.TagBoolean, goipp.Boolean(true)))
	reply, err := p.do(ctx, m, nil)
	if err != nil {
		return err
	}
	var errs []error
	for _, j := range readJobs(reply) {
		// Some printers ignore my-jobs; a neighbour's job is not ours to cancel.
		if j.id > 0 && j.user == p.o.User {
			errs = append(errs, p.cancel(ctx, j.id))
		}
	}
	return errors.Join(errs...)
}

// cancel asks the printer to drop a job. A job that is over is no error.
func (p *Printer) cancel(ctx context.Context, id int) error {
	m := p.request(goipp.OpCancelJob)
	m.Operation.Add(goipp.MakeAttribute("job-id", goipp.TagInteger, goipp.Integer(id)))
	m.Operation.Add(goipp.MakeAttribute("requesting-user-name", goipp.TagName, goipp.String(p.o.User)))
	_, err := p.do(ctx, m, nil)
	var refused *statusError
	if errors.As(err, &refused) && (refused.status == goipp.StatusErrorNotPossible || refused.status == goipp.StatusErrorNotFound) {
		return nil
	}
	return err
}
