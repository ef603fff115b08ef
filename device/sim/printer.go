package sim

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/OpenPrinting/goipp"
	"github.com/google/uuid"
)

// What the simulated printer says of itself and how it behaves.
const (
	PrinterName     = "Cunban Simulated Printer" // printer-make-and-model
	PrinterPath     = "/ipp/print"
	DefaultPageTime = 800 * time.Millisecond // one sheet
	maxDocument     = 32 << 20               // bytes
	maxJobs         = 200                    // remembered
)

// PrinterOptions say where printed sheets go.
type PrinterOptions struct {
	// Dir gets one PDF a job; "" throws them away.
	Dir      string
	PageTime time.Duration    // one sheet; 0 = DefaultPageTime
	Now      func() time.Time // nil = time.Now
	Logger   *slog.Logger     // nil = none
}

// PrinterTrouble is the closed set of what is wrong with the simulated
// printer.
type PrinterTrouble string

// The troubles; the values are printer-state-reasons (RFC 8011 §5.4.12).
const (
	PrinterWell      PrinterTrouble = "none"
	PrinterNoPaper   PrinterTrouble = "media-empty"
	PrinterJammed    PrinterTrouble = "media-jam"
	PrinterCoverOpen PrinterTrouble = "cover-open"
	PrinterPaused    PrinterTrouble = "paused"
)

// Printer is a simulated page printer: an IPP server (RFC 8010, RFC 8011) that
// takes PDF documents, "prints" them sheet by sheet, stops when it has no
// paper, goes on when paper is back, and keeps what it printed as files. It
// speaks the real protocol so that the same driver and the same tests run
// against it and against a real printer. Methods are safe for concurrent use.
type Printer struct {
	o       PrinterOptions
	started time.Time
	uuid    string

	mu      sync.Mutex
	uri     string
	trouble PrinterTrouble
	low     bool
	next    int
	jobs    []*printJob
	changed chan struct{} // closed and renewed whenever something changed
}

// printJob is one document. Fields are the Printer's, under its lock.
type printJob struct {
	id             int
	uuid           string
	name, user     string
	state          int // RFC 8011 §5.3.7
	reason         string
	pages, printed int
	data           []byte
	created, ended time.Time
}

// Job states of RFC 8011 §5.3.7.
const (
	simPending    = 3
	simProcessing = 5
	simStopped    = 6
	simCanceled   = 7
	simAborted    = 8
	simCompleted  = 9
)

var _ PrinterControl = (*Printer)(nil)

// NewPrinter makes a printer that is well and has paper. It does nothing until
// Serve.
func NewPrinter(o PrinterOptions) *Printer {
	o.PageTime = cmp.Or(o.PageTime, DefaultPageTime)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Printer{o: o, started: o.Now(), uuid: uuid.NewString(), trouble: PrinterWell, next: 1, changed: make(chan struct{})}
}

// Serve answers on ln and prints until ctx ends, and closes ln.
func (p *Printer) Serve(ctx context.Context, ln net.Listener) error {
	p.mu.Lock()
	p.uri = "ipp://" + ln.Addr().String() + PrinterPath
	p.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	srv := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	var wg sync.WaitGroup
	wg.Go(func() { p.work(ctx) })
	wg.Go(func() {
		<-ctx.Done()
		_ = srv.Close()
	})
	err := srv.Serve(ln)
	cancel()
	wg.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return context.Cause(ctx)
	}
	return fmt.Errorf("sim: printer: %w", err)
}

// URI is the printer's address once Serve has begun, "" before.
func (p *Printer) URI() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.uri
}

// PaperOut takes the paper away, PaperIn puts paper in (and takes a jam out, as
// a person would), Jam jams a sheet, OpenCover and Pause do what they say, and
// Clear puts everything right.
func (p *Printer) PaperOut()  { p.set(PrinterNoPaper) }
func (p *Printer) PaperIn()   { p.set(PrinterWell) }
func (p *Printer) Jam()       { p.set(PrinterJammed) }
func (p *Printer) OpenCover() { p.set(PrinterCoverOpen) }
func (p *Printer) Pause()     { p.set(PrinterPaused) }
func (p *Printer) Clear()     { p.set(PrinterWell) }

// PaperLow makes the printer say that paper is nearly gone.
func (p *Printer) PaperLow(low bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.low = low
	p.wake()
}

// Trouble is what is wrong now.
func (p *Printer) Trouble() PrinterTrouble {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trouble
}

func (p *Printer) set(t PrinterTrouble) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble = t
	p.wake()
}

// wake tells whoever waits that something changed; the caller holds the lock.
func (p *Printer) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// work prints job after job until ctx ends.
func (p *Printer) work(ctx context.Context) {
	for {
		p.mu.Lock()
		i := slices.IndexFunc(p.jobs, func(j *printJob) bool { return j.state < simCanceled })
		changed := p.changed
		if i < 0 {
			p.mu.Unlock()
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			continue
		}
		j := p.jobs[i]
		// A job that nobody has begun waits; one that is under way stops.
		if p.trouble != PrinterWell {
			j.state, j.reason = simStopped, "printer-stopped"
			p.mu.Unlock()
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			continue
		}
		j.state, j.reason = simProcessing, "job-printing"
		p.mu.Unlock()
		t := time.NewTimer(p.o.PageTime)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-changed: // perhaps this very sheet jammed, or the job is cancelled
			t.Stop()
			continue
		case <-t.C:
		}
		p.sheet(j)
	}
}

// sheet ends one sheet of a job, and the job with its last.
func (p *Printer) sheet(j *printJob) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if j.state != simProcessing {
		return
	}
	if j.printed++; j.printed < j.pages {
		return
	}
	j.state, j.reason, j.ended = simCompleted, "job-completed-successfully", p.o.Now()
	if err := p.keep(j); err != nil {
		j.state, j.reason = simAborted, "aborted-by-system"
		p.o.Logger.Error("simulated printer", "error", err)
	}
	j.data = nil
}

// keep writes a printed document; only its owner may read it.
func (p *Printer) keep(j *printJob) error {
	if p.o.Dir == "" {
		return nil
	}
	if err := os.MkdirAll(p.o.Dir, 0o700); err != nil {
		return fmt.Errorf("sim: printer: %w", err)
	}
	// The time keeps files of an earlier start apart, for numbers begin again.
	name := fmt.Sprintf("%s-%03d.pdf", j.created.Format("20060102-150405"), j.id)
	tmp := filepath.Join(p.o.Dir, "."+name)
	if err := os.WriteFile(tmp, j.data, 0o600); err != nil {
		return fmt.Errorf("sim: printer: %w", err)
	}
	if err := os.Rename(tmp, filepath.Join(p.o.Dir, name)); err != nil {
		return fmt.Errorf("sim: printer: %w", err)
	}
	return nil
}

// onePage finds page objects in the plain part of a PDF.
var onePage = regexp.MustCompile(`/Type\s*/Page[^s]`)

// ServeHTTP answers IPP requests.
func (p *Printer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != PrinterPath || r.Header.Get("Content-Type") != goipp.ContentType {
		http.Error(w, PrinterName, http.StatusNotFound)
		return
	}
	body := http.MaxBytesReader(w, r.Body, maxDocument+1<<20)
	var req goipp.Message
	if err := req.Decode(body); err != nil {
		http.Error(w, "not IPP", http.StatusBadRequest)
		return
	}
	reply := p.answer(&req, body)
	b, err := reply.EncodeBytes()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", goipp.ContentType)
	_, _ = w.Write(b) // the client sees a short reply
}

func (p *Printer) answer(req *goipp.Message, body io.Reader) *goipp.Message {
	switch goipp.Op(req.Code) {
	case goipp.OpGetPrinterAttributes:
		return p.describe(req)
	case goipp.OpPrintJob:
		return p.accept(req, body)
	case goipp.OpValidateJob:
		return p.reply(req, goipp.StatusOk)
	case goipp.OpGetJobAttributes:
		return p.withJob(req, func(*printJob) goipp.Status { return goipp.StatusOk })
	case goipp.OpCancelJob:
		return p.withJob(req, p.drop)
	case goipp.OpGetJobs:
		return p.list(req)
	}
	return p.reply(req, goipp.StatusErrorOperationNotSupported)
}

func (p *Printer) reply(req *goipp.Message, s goipp.Status) *goipp.Message {
	m := goipp.NewResponse(goipp.MakeVersion(2, 0), s, req.RequestID)
	m.Operation.Add(goipp.MakeAttribute("attributes-charset", goipp.TagCharset, goipp.String("utf-8")))
	m.Operation.Add(goipp.MakeAttribute("attributes-natural-language", goipp.TagLanguage, goipp.String("en")))
	return m
}

// describe answers Get-Printer-Attributes. It sends everything whatever was
// asked for, as simple printers do.
func (p *Printer) describe(req *goipp.Message) *goipp.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.reply(req, goipp.StatusOk)
	add := func(name string, tag goipp.Tag, list ...goipp.Value) {
		a := goipp.Attribute{Name: name}
		for _, v := range list {
			a.Values.Add(tag, v)
		}
		m.Printer.Add(a)
	}
	state, message, waiting := 3, "Idle.", 0
	for _, j := range p.jobs {
		if j.state < simCanceled {
			waiting++
			state, message = 4, "Printing."
		}
	}
	reasons := []goipp.Value{}
	if p.trouble != PrinterWell {
		state, message = 5, "Stopped."
		reasons = append(reasons, goipp.String(p.trouble+"-error"))
	}
	if p.low {
		reasons = append(reasons, goipp.String("media-low-warning"))
	}
	if len(reasons) == 0 {
		reasons = append(reasons, goipp.String("none"))
	}
	add("printer-uri-supported", goipp.TagURI, goipp.String(p.uri))
	add("uri-security-supported", goipp.TagKeyword, goipp.String("none"))
	add("uri-authentication-supported", goipp.TagKeyword, goipp.String("requesting-user-name"))
	add("printer-name", goipp.TagName, goipp.String("cunban"))
	add("printer-make-and-model", goipp.TagText, goipp.String(PrinterName))
	add("printer-uuid", goipp.TagURI, goipp.String("urn:uuid:"+p.uuid))
	add("printer-state", goipp.TagEnum, goipp.Integer(state))
	add("printer-state-reasons", goipp.TagKeyword, reasons...)
	add("printer-state-message", goipp.TagText, goipp.String(message))
	add("printer-is-accepting-jobs", goipp.TagBoolean, goipp.Boolean(true))
	add("queued-job-count", goipp.TagInteger, goipp.Integer(waiting))
	add("printer-up-time", goipp.TagInteger, goipp.Integer(max(1, p.o.Now().Sub(p.started)/time.Second)))
	add("ipp-versions-supported", goipp.TagKeyword, goipp.String("1.1"), goipp.String("2.0"))
	add("operations-supported", goipp.TagEnum, goipp.Integer(goipp.OpPrintJob), goipp.Integer(goipp.OpValidateJob),
		goipp.Integer(goipp.OpCancelJob), goipp.Integer(goipp.OpGetJobAttributes), goipp.Integer(goipp.OpGetJobs),
		goipp.Integer(goipp.OpGetPrinterAttributes))
	add("charset-configured", goipp.TagCharset, goipp.String("utf-8"))
	add("charset-supported", goipp.TagCharset, goipp.String("utf-8"))
	add("natural-language-configured", goipp.TagLanguage, goipp.String("en"))
	add("generated-natural-language-supported", goipp.TagLanguage, goipp.String("en"))
	add("document-format-default", goipp.TagMimeType, goipp.String("application/pdf"))
	add("document-format-supported", goipp.TagMimeType, goipp.String("application/pdf"))
	add("pdl-override-supported", goipp.TagKeyword, goipp.String("attempted"))
	add("compression-supported", goipp.TagKeyword, goipp.String("none"))
	add("media-default", goipp.TagKeyword, goipp.String("iso_a4_210x297mm"))
	add("media-supported", goipp.TagKeyword, goipp.String("iso_a4_210x297mm"))
	add("sides-supported", goipp.TagKeyword, goipp.String("one-sided"))
	return m
}

// accept takes a document (Print-Job).
func (p *Printer) accept(req *goipp.Message, body io.Reader) *goipp.Message {
	if f := attr(req.Operation, "document-format"); f != "" && f != "application/pdf" && f != "application/octet-stream" {
		return p.reply(req, goipp.StatusErrorDocumentFormatNotSupported)
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return p.reply(req, goipp.StatusErrorRequestEntity)
	}
	if !bytes.HasPrefix(data, []byte("%PDF-")) {
		return p.reply(req, goipp.StatusErrorDocumentFormatError)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	j := &printJob{id: p.next, uuid: uuid.NewString(), name: attr(req.Operation, "job-name"), user: attr(req.Operation, "requesting-user-name"),
		state: simPending, reason: "none", pages: max(1, len(onePage.FindAllIndex(data, -1))), data: data, created: p.o.Now()}
	p.next++
	p.jobs = append(p.jobs, j)
	if over := len(p.jobs) - maxJobs; over > 0 && p.jobs[0].state >= simCanceled {
		p.jobs = slices.Delete(p.jobs, 0, 1)
	}
	p.wake()
	m := p.reply(req, goipp.StatusOk)
	m.Job = p.jobAttributes(j)
	return m
}

// jobAttributes describes a job; the caller holds the lock.
func (p *Printer) jobAttributes(j *printJob) goipp.Attributes {
	var a goipp.Attributes
	a.Add(goipp.MakeAttribute("job-id", goipp.TagInteger, goipp.Integer(j.id)))
	a.Add(goipp.MakeAttribute("job-uri", goipp.TagURI, goipp.String(p.uri+"/"+strconv.Itoa(j.id))))
	a.Add(goipp.MakeAttribute("job-uuid", goipp.TagURI, goipp.String("urn:uuid:"+j.uuid)))
	a.Add(goipp.MakeAttribute("job-name", goipp.TagName, goipp.String(j.name)))
	a.Add(goipp.MakeAttribute("job-originating-user-name", goipp.TagName, goipp.String(j.user)))
	a.Add(goipp.MakeAttribute("job-state", goipp.TagEnum, goipp.Integer(j.state)))
	a.Add(goipp.MakeAttribute("job-state-reasons", goipp.TagKeyword, goipp.String(j.reason)))
	a.Add(goipp.MakeAttribute("job-impressions-completed", goipp.TagInteger, goipp.Integer(j.printed)))
	a.Add(goipp.MakeAttribute("job-media-sheets-completed", goipp.TagInteger, goipp.Integer(j.printed)))
	return a
}

// withJob finds the job that a request names, does fn under the lock, and
// answers with the job.
func (p *Printer) withJob(req *goipp.Message, fn func(*printJob) goipp.Status) *goipp.Message {
	id := 0
	for _, a := range req.Operation {
		if a.Name != "job-id" || len(a.Values) == 0 {
			continue
		}
		if n, ok := a.Values[0].V.(goipp.Integer); ok {
			id = int(n)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.jobs, func(j *printJob) bool { return j.id == id })
	if i < 0 {
		return p.reply(req, goipp.StatusErrorNotFound)
	}
	s := fn(p.jobs[i])
	m := p.reply(req, s)
	m.Job = p.jobAttributes(p.jobs[i])
	return m
}

// drop cancels a job; the caller holds the lock.
func (p *Printer) drop(j *printJob) goipp.Status {
	if j.state >= simCanceled {
		return goipp.StatusErrorNotPossible
	}
	j.state, j.reason, j.ended, j.data = simCanceled, "job-canceled-by-user", p.o.Now(), nil
	p.wake()
	return goipp.StatusOk
}

// list answers Get-Jobs.
func (p *Printer) list(req *goipp.Message) *goipp.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	user, mine := attr(req.Operation, "requesting-user-name"), false
	for _, a := range req.Operation {
		if a.Name == "my-jobs" && len(a.Values) > 0 {
			b, ok := a.Values[0].V.(goipp.Boolean)
			mine = ok && bool(b)
		}
	}
	completed := attr(req.Operation, "which-jobs") == "completed"
	m := p.reply(req, goipp.StatusOk)
	groups := goipp.Groups{{Tag: goipp.TagOperationGroup, Attrs: m.Operation}}
	for _, j := range p.jobs {
		if (j.state >= simCanceled) == completed && (!mine || j.user == user) {
			groups.Add(goipp.Group{Tag: goipp.TagJobGroup, Attrs: p.jobAttributes(j)})
		}
	}
	return goipp.NewMessageWithGroups(m.Version, m.Code, m.RequestID, groups)
}

// attr is the first text of an attribute, "" when there is none.
func attr(list goipp.Attributes, name string) string {
	for _, a := range list {
		if a.Name != name {
			continue
		}
		for _, v := range a.Values {
			if s, ok := v.V.(goipp.String); ok {
				return string(s)
			}
		}
	}
	return ""
}
