package sync

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"cunban/sync/wire"
)

// call is one request.
type call struct {
	method  string
	path    string // below the base, query included
	media   string // of body
	body    []byte
	header  map[string]string
	allow   time.Duration // for the answer, beyond what the body's bytes need
	suspect bool          // a late answer casts doubt on the line
}

// do sends a request and reads the whole answer, whoever it is from. Failures
// are those of the way only; what the answer says is for check to judge.
func (e *Engine) do(ctx context.Context, c call) (*answer, *Failure) {
	allow := c.allow + time.Duration(len(c.body))*time.Second/time.Duration(e.t.SlowestLine)
	ctx, cancel := context.WithTimeout(ctx, allow)
	defer cancel()
	ctx, done := e.line.bind(ctx)
	defer done()
	if c.suspect {
		defer e.line.suspectAfter(e.t.Suspect)()
	}
	began := e.steady()
	a, err := e.roundTrip(ctx, c)
	if err != nil {
		f := transportFailure(err)
		if f.Kind == FailTransport && e.line.goodSince(began) {
			// The line was seen working while this hung on a dead connection:
			// that says nothing about the line.
			f.Err = errors.Join(errStale, err)
		}
		return nil, f
	}
	a.took = e.steady().Sub(began)
	if !e.clock.Known() && a.ours() {
		// Coarse, but the queue must never count with a clock of another year.
		if t, err := http.ParseTime(a.header.Get("Date")); err == nil {
			e.clock.observe(t, began)
		}
	}
	e.meter.spend(ctx, int64(len(c.body)+len(a.body)+requestOverhead))
	return a, nil
}

// requestOverhead is about what headers and TLS add to a request and its
// answer, bytes.
const requestOverhead = 1200

// errStale marks a transport failure that says nothing about the line as it is
// now.
var errStale = errors.New("the connection was of before")

func (e *Engine) roundTrip(ctx context.Context, c call) (*answer, error) {
	var body io.Reader
	if c.body != nil {
		body = bytes.NewReader(c.body)
	}
	req, err := http.NewRequestWithContext(ctx, c.method, e.base.String()+c.path, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", c.method, c.path, err)
	}
	req.Header.Set(wire.HeaderContract, wire.Version)
	if e.o.Program != "" {
		req.Header.Set(wire.HeaderProgram, e.o.Program)
		req.Header.Set("User-Agent", e.o.Program)
	}
	if c.media != "" {
		req.Header.Set("Content-Type", c.media)
	}
	for k, v := range c.header {
		req.Header.Set(k, v)
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to the end or given up
	b, err := io.ReadAll(io.LimitReader(resp.Body, wire.MaxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer to %s %s: %w", c.method, c.path, err)
	}
	if len(b) > wire.MaxAnswer {
		return nil, fmt.Errorf("the answer to %s %s has more than %d bytes", c.method, c.path, wire.MaxAnswer)
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: b}, nil
}

// getJSON and postJSON are requests of the contract with a JSON answer; every
// failure has been told to the line already.
func (e *Engine) getJSON(ctx context.Context, path string, allow time.Duration, out any) *Failure {
	return e.askJSON(ctx, call{method: http.MethodGet, path: path, allow: allow}, out)
}

func (e *Engine) postJSON(ctx context.Context, path string, in any, limit int, allow time.Duration, out any) *Failure {
	b, err := json.Marshal(in)
	if err != nil {
		return &Failure{Kind: FailItem, Text: "本机程序出错", Detail: "write the request: " + err.Error(), Err: err}
	}
	if len(b) > limit {
		return &Failure{Kind: FailItem, Text: "内容太大，没有发送", Detail: fmt.Sprintf("%d bytes, at most %d", len(b), limit)}
	}
	return e.askJSON(ctx, call{method: http.MethodPost, path: path, media: wire.TypeJSON, body: b, allow: allow}, out)
}

func (e *Engine) askJSON(ctx context.Context, c call, out any) *Failure {
	a, f := e.do(ctx, c)
	if f == nil {
		f = a.check(e.clock.Now())
	}
	if f == nil {
		f = a.decode(out)
	}
	if ctx.Err() != nil && f != nil {
		return f // we broke it off ourselves: says nothing about the line
	}
	e.note(ctx, f)
	return f
}

// errStrange marks an answer of the upstream that breaks the contract.
var errStrange = errors.New("the answer breaks the contract")

// strange is an answer of the upstream that cannot be used.
func strange(format string, a ...any) *Failure {
	return &Failure{Kind: FailServer, Text: textStrange, Detail: fmt.Sprintf(format, a...), Err: errStrange}
}

// note tells the line what an outcome means for it; f nil is a success. Server
// trouble only pauses the queue when the message lanes say so (see strike).
func (e *Engine) note(ctx context.Context, f *Failure) {
	if f == nil {
		e.line.good()
		return
	}
	e.log.Debug("sync: failure", "kind", f.Kind, "detail", f.Detail)
	switch f.Kind {
	case FailTransport:
		if errors.Is(f, errStale) || errors.Is(f, context.Canceled) {
			return
		}
		e.client.CloseIdleConnections()
		e.line.fail(LineDown, "", f.Detail)
	case FailPortal:
		e.client.CloseIdleConnections()
		e.line.fail(LinePortal, "", f.Detail)
	case FailCertificate:
		e.client.CloseIdleConnections()
		if e.portalThere(ctx) {
			e.line.fail(LinePortal, "", f.Detail)
			return
		}
		e.line.fail(LineCertificate, "", f.Detail)
	case FailSignIn:
		kind, text := LineSignIn, ""
		if f.Problem != nil && f.Problem.Title != "" {
			text = f.Text
		}
		if f.code() == wire.CodeRevoked {
			kind = LineRevoked
		}
		e.line.fail(kind, text, f.Detail)
	case FailRate:
		if f.Problem != nil {
			e.line.good()
		}
		wait := f.RetryAfter
		if wait == 0 {
			wait = max(e.t.BackoffBase*5, time.Second)
		}
		e.line.hold(wait, true, f.Detail)
	case FailServer:
		if f.Problem == nil && !errors.Is(f, errStrange) {
			// A gateway spoke; whether the county is behind it is not known.
			e.line.fail(LineDown, f.Text, f.Detail)
			return
		}
		e.line.good()
		if f.RetryAfter > 0 {
			e.line.hold(f.RetryAfter, true, f.Detail)
		}
	case FailItem, FailAgain:
		e.line.good()
	}
}

// portalThere asks the plain http address whether a login page is in between.
func (e *Engine) portalThere(ctx context.Context) bool {
	if e.o.PortalProbe == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, e.t.ProbeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.o.PortalProbe, nil)
	if err != nil {
		return false
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close() //nolint:errcheck // only the head is of interest
	a := answer{status: resp.StatusCode, header: resp.Header}
	return resp.StatusCode >= 300 && resp.StatusCode < 400 ||
		resp.StatusCode == http.StatusNetworkAuthenticationRequired ||
		resp.StatusCode == http.StatusOK && a.media() == "text/html"
}
