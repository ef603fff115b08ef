package print

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"

	"github.com/OpenPrinting/goipp"
)

// maxReply is the largest reply that is read, in bytes; a printer with every
// attribute needs 60 kB.
const maxReply = 1 << 20

// Errors of the protocol below the port.
var (
	errURI    = errors.New("print: not a printer address")
	errReply  = errors.New("print: the reply cannot be understood")
	errNotIPP = errors.New("print: what answers there is not a printer")
)

// statusError is a printer's refusal.
type statusError struct {
	op     goipp.Op
	status goipp.Status
	text   string
}

func (e *statusError) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("print: %s: %s: %s", e.op, e.status, e.text), ": ")
}

// unsentError means that nothing reached the printer.
type unsentError struct{ err error }

func (e *unsentError) Error() string { return e.err.Error() }
func (e *unsentError) Unwrap() error { return e.err }

// address splits a printer's URI (RFC 3510, RFC 7472) into the HTTP URL that
// is posted to and the printer-uri that is named in requests.
func address(uri string) (post, printer string, err error) {
	u, err := url.Parse(strings.TrimSpace(uri))
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", errURI, err)
	}
	if u.Hostname() == "" {
		return "", "", fmt.Errorf("%w: %q has no host", errURI, u.Redacted())
	}
	h, p := *u, *u
	switch u.Scheme {
	case "ipp", "http":
		h.Scheme, p.Scheme = "http", "ipp"
		if u.Port() == "" && u.Scheme == "ipp" {
			h.Host += ":631"
		}
	case "ipps", "https":
		h.Scheme, p.Scheme = "https", "ipps"
		if u.Port() == "" && u.Scheme == "ipps" {
			h.Host += ":631"
		}
	default:
		return "", "", fmt.Errorf("%w: %q; allowed are ipp, ipps, http and https", errURI, u.Scheme)
	}
	p.User = nil
	return h.String(), p.String(), nil
}

// request begins an IPP request with the attributes that every one has.
func (p *Printer) request(op goipp.Op) *goipp.Message {
	m := goipp.NewRequest(goipp.MakeVersion(2, 0), op, p.serial.Add(1))
	m.Operation.Add(goipp.MakeAttribute("attributes-charset", goipp.TagCharset, goipp.String("utf-8")))
	m.Operation.Add(goipp.MakeAttribute("attributes-natural-language", goipp.TagLanguage, goipp.String("zh-cn")))
	m.Operation.Add(goipp.MakeAttribute("printer-uri", goipp.TagURI, goipp.String(p.printerURI)))
	return m
}

func keywords(name string, list ...string) goipp.Attribute {
	a := goipp.Attribute{Name: name}
	for _, s := range list {
		a.Values.Add(goipp.TagKeyword, goipp.String(s))
	}
	return a
}

// do sends a request with an optional document and returns the reply. An error
// that wraps *unsentError guarantees that nothing was printed.
func (p *Printer) do(ctx context.Context, m *goipp.Message, document []byte) (*goipp.Message, error) {
	op := goipp.Op(m.Code)
	head, err := m.EncodeBytes()
	if err != nil {
		return nil, &unsentError{fmt.Errorf("print: %s: %w", op, err)}
	}
	connected := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }})
	body := io.MultiReader(bytes.NewReader(head), bytes.NewReader(document))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.postURL, body)
	if err != nil {
		return nil, &unsentError{fmt.Errorf("print: %s: %w", op, err)}
	}
	r.ContentLength = int64(len(head) + len(document))
	r.Header.Set("Content-Type", goipp.ContentType)
	r.Header.Set("Accept", goipp.ContentType)
	res, err := p.client.Do(r)
	if err != nil {
		err = fmt.Errorf("print: %s: %w", op, err)
		if !connected {
			return nil, &unsentError{err}
		}
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, &unsentError{fmt.Errorf("%w: %s: HTTP %s", errNotIPP, op, res.Status)}
	}
	if t, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); t != goipp.ContentType {
		return nil, &unsentError{fmt.Errorf("%w: %s: a reply of type %q", errNotIPP, op, t)}
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxReply+1))
	if err != nil {
		return nil, fmt.Errorf("print: %s: %w", op, err)
	}
	reply, err := parseReply(b)
	if err != nil {
		return nil, fmt.Errorf("print: %s: %w", op, err)
	}
	if status := goipp.Status(reply.Code); status >= 0x0100 {
		return reply, &statusError{op, status, text(reply.Operation, "status-message")}
	}
	return reply, nil
}

// parseReply decodes a reply's bytes. Error: errReply.
func parseReply(b []byte) (*goipp.Message, error) {
	if len(b) > maxReply {
		return nil, fmt.Errorf("%w: more than %d bytes", errReply, maxReply)
	}
	var m goipp.Message
	if err := m.DecodeBytesEx(b, goipp.DecoderOptions{EnableWorkarounds: true}); err != nil {
		return nil, fmt.Errorf("%w: %w", errReply, err)
	}
	return &m, nil
}

// Readers of attributes. They take whatever a printer sends: an attribute of
// another type, or none, is the zero value.

func values(list goipp.Attributes, name string) goipp.Values {
	for _, a := range list {
		if a.Name == name {
			return a.Values
		}
	}
	return nil
}

func integer(list goipp.Attributes, name string) (int, bool) {
	for _, v := range values(list, name) {
		if n, ok := v.V.(goipp.Integer); ok {
			return int(n), true
		}
	}
	return 0, false
}

func texts(list goipp.Attributes, name string) []string {
	var out []string
	for _, v := range values(list, name) {
		switch s := v.V.(type) {
		case goipp.String:
			out = append(out, string(s))
		case goipp.TextWithLang:
			out = append(out, s.Text)
		}
	}
	return out
}

func text(list goipp.Attributes, name string) string {
	if t := texts(list, name); len(t) > 0 {
		return t[0]
	}
	return ""
}

func boolean(list goipp.Attributes, name string, missing bool) bool {
	for _, v := range values(list, name) {
		if b, ok := v.V.(goipp.Boolean); ok {
			return bool(b)
		}
	}
	return missing
}

// printerState is printer-state (RFC 8011 §5.4.11).
type printerState int

const (
	printerIdle       printerState = 3
	printerProcessing printerState = 4
	printerStopped    printerState = 5
)

// printer is what a printer says of itself.
type printer struct {
	state     printerState
	reasons   []string
	message   string
	name      string // make and model
	accepting bool
	formats   []string
	media     []string
	sides     []string
}

// printerWanted are the attributes that are asked for.
var printerWanted = []string{"printer-state", "printer-state-reasons", "printer-state-message", "printer-make-and-model",
	"printer-is-accepting-jobs", "document-format-supported", "media-supported", "sides-supported"}

func readPrinter(m *goipp.Message) printer {
	a := m.Printer
	n, _ := integer(a, "printer-state")
	return printer{
		state: printerState(n), reasons: texts(a, "printer-state-reasons"),
		message: text(a, "printer-state-message"), name: text(a, "printer-make-and-model"),
		accepting: boolean(a, "printer-is-accepting-jobs", true),
		formats:   texts(a, "document-format-supported"), media: texts(a, "media-supported"), sides: texts(a, "sides-supported"),
	}
}

// jobState is job-state (RFC 8011 §5.3.7).
type jobState int

const (
	jobPending    jobState = 3
	jobHeld       jobState = 4
	jobProcessing jobState = 5
	jobStopped    jobState = 6
	jobCanceled   jobState = 7
	jobAborted    jobState = 8
	jobCompleted  jobState = 9
)

// job is what a printer says of a job.
type job struct {
	id      int
	uuid    string
	name    string
	user    string
	state   jobState
	reasons []string
	message string
	sheets  int // completed
}

var jobWanted = []string{"job-id", "job-uuid", "job-name", "job-originating-user-name", "job-state", "job-state-reasons",
	"job-state-message", "job-impressions-completed", "job-media-sheets-completed", "job-printer-state-reasons"}

func readJob(a goipp.Attributes) job {
	var j job
	j.id, _ = integer(a, "job-id")
	n, _ := integer(a, "job-state")
	j.state = jobState(n)
	j.uuid, j.name, j.user = text(a, "job-uuid"), text(a, "job-name"), text(a, "job-originating-user-name")
	j.reasons, j.message = texts(a, "job-state-reasons"), text(a, "job-state-message")
	sheets, _ := integer(a, "job-media-sheets-completed")
	pages, _ := integer(a, "job-impressions-completed")
	j.sheets = max(sheets, pages, 0)
	return j
}

// same tells whether a later answer is about the same job: after a restart a
// printer may count its jobs from 1 again.
func (j job) same(k job) bool {
	switch {
	case j.id != k.id && k.id != 0:
		return false
	case j.uuid != "" && k.uuid != "":
		return j.uuid == k.uuid
	case k.name != "" && j.name != "":
		return k.name == j.name
	}
	return true
}

// readJobs reads every job of a Get-Jobs reply.
func readJobs(m *goipp.Message) []job {
	var list []job
	for _, g := range m.AttrGroups() {
		if g.Tag == goipp.TagJobGroup {
			list = append(list, readJob(g.Attrs))
		}
	}
	return list
}
