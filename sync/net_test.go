package sync_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	gosync "sync"
	"time"

	"cunban/sync/wire"
)

// weather is what the line does now. Chances are out of 1000 requests.
type weather struct {
	down      bool // nothing comes through, requests hang
	portal    bool // a login page answers 200
	certs     bool // somebody else's certificate
	lose      int  // the request is lost on the way there
	loseReply int  // the answer is lost on the way back
	twice     int  // the request arrives twice
	late      int  // it hangs, is given up, and arrives much later
	sick      int  // 500
	away      int  // 503 with Retry-After
	rate      int  // 429 with Retry-After
	gateway   int  // 502 and a page of a proxy
	wrong     int  // a 200 that belongs to another request (a confused cache)
	page      int  // a single 200 with a page in the middle of good weather
	delay     time.Duration
}

// skyNet is a line in memory with weather, for use in a synctest bubble.
type skyNet struct {
	mu      gosync.Mutex
	rng     *rand.Rand
	now     weather
	changed chan struct{}
	srv     http.Handler
	last    *http.Response // an answer of before, for wrong
	lastB   []byte
	lates   gosync.WaitGroup
	life    context.Context // late arrivals end with it
}

func newNet(ctx context.Context, seed uint64, srv http.Handler) *skyNet {
	return &skyNet{rng: rand.New(rand.NewPCG(seed, 77)), srv: srv, changed: make(chan struct{}), life: ctx}
}

func (n *skyNet) set(w weather) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = w
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *skyNet) roll(chance int) bool { return n.rng.IntN(1000) < chance }

// pause waits d; an error when ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

var errReset = errors.New("connection reset by peer")

// fate is what happens to one request.
type fate struct {
	weather
	lose, loseReply, twice, late bool
	answer                       func() *http.Response
	lateness                     time.Duration
	delay                        time.Duration
	changed                      chan struct{}
}

func (n *skyNet) fate(r *http.Request) fate {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.now
	f := fate{weather: w, lose: n.roll(w.lose), loseReply: n.roll(w.loseReply), twice: n.roll(w.twice), late: n.roll(w.late),
		lateness: time.Duration(n.rng.Int64N(int64(3 * time.Hour))), changed: n.changed,
		delay: w.delay + time.Duration(n.rng.Int64N(int64(w.delay)+1))}
	ours := func(code wire.Code, wait time.Duration) func() *http.Response {
		return func() *http.Response {
			rec := httptest.NewRecorder()
			wire.NewProblem(code, "weather").WithRetry(wait).Write(rec)
			return rec.Result()
		}
	}
	switch {
	case w.portal || n.roll(w.page):
		f.answer = func() *http.Response { return page(http.StatusOK, "<html>请登录</html>") }
	case n.roll(w.gateway):
		f.answer = func() *http.Response { return page(http.StatusBadGateway, "<html>502</html>") }
	case n.roll(w.sick):
		f.answer = ours(wire.CodeServer, 0)
	case n.roll(w.away):
		f.answer = ours(wire.CodeUnavailable, time.Duration(n.rng.IntN(60)+1)*time.Second)
	case n.roll(w.rate):
		f.answer = ours(wire.CodeRateLimited, time.Duration(n.rng.IntN(60)+1)*time.Second)
	case n.last != nil && n.roll(w.wrong):
		resp, body := *n.last, n.lastB
		f.answer = func() *http.Response { resp.Body = io.NopCloser(bytes.NewReader(body)); return &resp }
	}
	return f
}

func page(status int, text string) *http.Response {
	rec := httptest.NewRecorder()
	rec.Header().Set("Content-Type", "text/html; charset=utf-8")
	rec.WriteHeader(status)
	_, _ = rec.WriteString(text)
	return rec.Result()
}

// RoundTrip implements http.RoundTripper.
func (n *skyNet) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	f := n.fate(r)
	if f.down {
		// Until somebody gives up, or the line changes and the stack finds out.
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-f.changed:
			return nil, errReset
		}
	}
	if f.certs {
		return nil, errCertificateOf
	}
	if err := pause(ctx, f.delay); err != nil {
		return nil, err
	}
	if f.answer != nil {
		return f.answer(), nil
	}
	if f.lose {
		return nil, errReset
	}
	if f.late {
		n.lates.Go(func() {
			if pause(n.life, f.lateness) == nil {
				_, _ = n.serve(n.life, r, body)
			}
		})
		<-ctx.Done()
		return nil, ctx.Err()
	}
	resp, err := n.serve(ctx, r, body)
	if f.twice {
		resp, err = n.serve(ctx, r, body)
	}
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, f.delay); err != nil {
		return nil, err
	}
	if f.loseReply {
		return nil, errReset
	}
	return resp, nil
}

// serve lets the server handle a request; a crash of it resets the connection.
func (n *skyNet) serve(ctx context.Context, r *http.Request, body []byte) (resp *http.Response, err error) {
	req := r.Clone(ctx)
	req.Body = io.NopCloser(bytes.NewReader(body))
	req.RequestURI = ""
	rec := httptest.NewRecorder()
	defer func() {
		if p := recover(); p != nil {
			if p != any(errCrash) {
				panic(p)
			}
			resp, err = nil, errReset
		}
	}()
	n.srv.ServeHTTP(rec, req)
	resp = rec.Result()
	if r.Method == http.MethodPut {
		n.mu.Lock()
		n.last, n.lastB = resp, rec.Body.Bytes()
		n.mu.Unlock()
	}
	return resp, nil
}

// CloseIdleConnections has nothing to close.
func (n *skyNet) CloseIdleConnections() {}
