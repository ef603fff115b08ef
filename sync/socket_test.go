package sync_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/sync"
	"cunban/sync/storetest"
	"cunban/sync/wire"
)

var nullLog = log.New(io.Discard, "", 0)

// patience is how long a test on real sockets waits for what has to come.
const patience = 20 * time.Second

// brisk are timings for tests on real sockets.
var brisk = sync.Timing{BackoffBase: 20 * time.Millisecond, BackoffCap: 200 * time.Millisecond, ProbeWaiting: 50 * time.Millisecond,
	ProbeIdle: 50 * time.Millisecond, ProbeSignIn: 100 * time.Millisecond, ProbeTimeout: 2 * time.Second, Suspect: time.Second,
	Message: 5 * time.Second, Chunk: 5 * time.Second, Query: 5 * time.Second, Poll: time.Second, QueueTick: 200 * time.Millisecond,
	RenewEvery: 50 * time.Millisecond}

// rig is an engine under test with its events.
type rig struct {
	t      *testing.T
	e      *sync.Engine
	store  *storetest.Mem
	events chan sync.Event
	maker  *storetest.Maker
}

// run starts an engine until the test ends.
func run(t *testing.T, o sync.Options) *rig {
	t.Helper()
	r := &rig{t: t, events: make(chan sync.Event, 4096), maker: storetest.NewMaker(3)}
	if o.Store == nil {
		o.Store = storetest.NewMem()
	}
	r.store = o.Store.(*storetest.Mem)
	o.Terminal = terminal
	if o.Timing == (sync.Timing{}) {
		o.Timing = brisk
	}
	o.OnEvent = func(ev sync.Event) {
		select {
		case r.events <- ev:
		default:
		}
	}
	e, err := sync.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.e = e
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = e.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(patience):
			t.Error("the engine does not end")
		}
	})
	return r
}

func (r *rig) submit(sizes ...int) string {
	r.t.Helper()
	id := r.maker.ID()
	if _, err := r.store.Submit(r.t.Context(), r.maker.Submission(id, 1, time.Now(), sizes...)); err != nil {
		r.t.Fatal(err)
	}
	r.e.Wake()
	return id
}

// await waits for the first event that fits.
func (r *rig) await(what string, fits func(sync.Event) bool) sync.Event {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case ev := <-r.events:
			if fits(ev) {
				return ev
			}
		case <-timeout:
			r.t.Fatalf("no event: %s; line %+v, queue %+v", what, r.e.Line(), r.store.Queue())
		}
	}
}

func (r *rig) awaitKind(k sync.EventKind, id string) sync.Event {
	r.t.Helper()
	return r.await(string(k)+" "+id, func(ev sync.Event) bool { return ev.Kind == k && (id == "" || ev.CaseID == id) })
}

func (r *rig) awaitLine(k sync.LineKind) sync.LineState {
	r.t.Helper()
	return r.await("line "+string(k), func(ev sync.Event) bool { return ev.Kind == sync.EventLine && ev.Line.Kind == k }).Line
}

// gate serves a county, or something else as long as it is set.
type gate struct {
	county http.Handler
	other  atomic.Pointer[http.HandlerFunc]
}

func (g *gate) set(h http.HandlerFunc) {
	if h == nil {
		g.other.Store(nil)
		return
	}
	g.other.Store(&h)
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := g.other.Load(); h != nil {
		(*h)(w, r)
		return
	}
	g.county.ServeHTTP(w, r)
}

func html(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<html>请登录</html>")
	}
}

// TestCaptivePortals: whatever a login page answers, it is not success; when it
// is gone the case goes out.
func TestCaptivePortals(t *testing.T) {
	for name, portal := range map[string]http.HandlerFunc{
		"page": html(http.StatusOK),
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://login.example/", http.StatusFound)
		},
		"511": html(http.StatusNetworkAuthenticationRequired),
		"json": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"state":"accepted","acceptance":"1","ok":true}`)
		},
		"page with header": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(wire.HeaderContract, wire.Version)
			html(http.StatusOK)(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCounty(t, 1, time.Now)
			g := &gate{county: c.handler()}
			g.set(portal)
			srv := httptest.NewServer(g)
			t.Cleanup(srv.Close)
			r := run(t, sync.Options{Client: srv.Client(), Base: srv.URL})
			id := r.submit()
			s := r.awaitLine(sync.LinePortal)
			if !strings.Contains(s.Text, "登录") || strings.Contains(s.Text, "html") {
				t.Errorf("text %q", s.Text)
			}
			var out wire.ListOut
			if err := r.e.Query(t.Context(), wire.QueryJobs, wire.ListIn{}, &out); !errors.Is(err, sync.ErrOffline) {
				t.Errorf("query behind a portal: %v", err)
			}
			g.set(nil)
			r.awaitKind(sync.EventAccepted, id)
		})
	}
}

// TestPortalInTheMiddle: a page in place of the answer to a case leaves it
// waiting.
func TestPortalInTheMiddle(t *testing.T) {
	c := newCounty(t, 1, time.Now)
	g := &gate{county: c.handler()}
	var pages atomic.Int32
	g.set(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && pages.Add(1) <= 3 {
			html(http.StatusOK)(w, r)
			return
		}
		g.county.ServeHTTP(w, r)
	})
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	r := run(t, sync.Options{Client: srv.Client(), Base: srv.URL})
	id := r.submit()
	ev := r.awaitKind(sync.EventAccepted, id)
	if pages.Load() != 4 || ev.Case.Acceptance == "" {
		t.Errorf("accepted after %d answers: %+v", pages.Load(), ev.Case)
	}
}

// TestWrongCertificate: somebody with another CA is not the county.
func TestWrongCertificate(t *testing.T) {
	c := newCounty(t, 1, time.Now)
	o, stranger := newOffice(t, c), newOffice(t, c)
	real, fake := o.serve(o.handler()), stranger.serve(stranger.handler())
	login := httptest.NewServer(html(http.StatusOK))
	t.Cleanup(login.Close)
	m, creds := o.enrolled(t.Context(), real.URL)

	r := run(t, sync.Options{Store: m, Credentials: creds, Base: fake.URL})
	r.submit()
	if s := r.awaitLine(sync.LineCertificate); !strings.Contains(s.Text, "证书") {
		t.Errorf("text %q", s.Text)
	}
	r2 := run(t, sync.Options{Store: storetest.NewMem(), Credentials: creds, Base: fake.URL, PortalProbe: login.URL})
	r2.awaitLine(sync.LinePortal)
	if n := c.accepted(); n != 0 {
		t.Errorf("%d cases arrived", n)
	}
	for _, it := range m.Queue() {
		if it.State != cases.QueueWaiting {
			t.Errorf("the case is %s", it.State)
		}
	}
}

// TestNotTaken: the county refuses the terminal; the queue waits and kills
// nothing.
func TestNotTaken(t *testing.T) {
	for _, code := range []wire.Code{wire.CodeNotEnrolled, wire.CodeRevoked, wire.CodeWrongTerminal, wire.CodeVersion} {
		c := newCounty(t, 1, time.Now)
		g := &gate{county: c.handler()}
		g.set(func(w http.ResponseWriter, _ *http.Request) { wire.NewProblem(code, "").Write(w) })
		srv := httptest.NewServer(g)
		t.Cleanup(srv.Close)
		r := run(t, sync.Options{Client: srv.Client(), Base: srv.URL})
		id := r.submit()
		want := sync.LineSignIn
		if code == wire.CodeRevoked {
			want = sync.LineRevoked
		}
		if s := r.awaitLine(want); !strings.Contains(s.Text, "办件") {
			t.Errorf("%s: text %q", code, s.Text)
		}
		g.set(nil)
		r.awaitKind(sync.EventAccepted, id)
	}
}

// TestServerTrouble: 500 pauses, 429 and 503 wait as long as they are told, and
// then everything goes out.
func TestServerTrouble(t *testing.T) {
	c := newCounty(t, 1, time.Now)
	g := &gate{county: c.handler()}
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	r := run(t, sync.Options{Client: srv.Client(), Base: srv.URL})
	r.awaitKind(sync.EventAccepted, r.submit())

	var n atomic.Int32
	g.set(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && n.Add(1) <= 5 {
			wire.NewProblem(wire.CodeServer, "").Write(w)
			return
		}
		g.county.ServeHTTP(w, r)
	})
	id := r.submit()
	r.awaitLine(sync.LineBusy)
	r.awaitKind(sync.EventAccepted, id)

	for _, code := range []wire.Code{wire.CodeRateLimited, wire.CodeUnavailable} {
		var first, second atomic.Int64
		g.set(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				if first.CompareAndSwap(0, time.Now().UnixNano()) {
					wire.NewProblem(code, "").WithRetry(time.Second).Write(w)
					return
				}
				second.CompareAndSwap(0, time.Now().UnixNano())
			}
			g.county.ServeHTTP(w, r)
		})
		id := r.submit()
		ev := r.awaitKind(sync.EventRetry, id)
		if ev.Text == "" {
			t.Errorf("%s: no words", code)
		}
		r.e.Wake() // the button does not end what the county asked for
		r.awaitKind(sync.EventAccepted, id)
		if d := time.Duration(second.Load() - first.Load()); d < 900*time.Millisecond {
			t.Errorf("%s: came back after %v, asked was 1 s", code, d)
		}
	}
}

// TestRefusedItems: what is about one case only sets that one aside, with plain
// words, and the others go on, also out of one batch.
func TestRefusedItems(t *testing.T) {
	c := newCounty(t, 1, time.Now)
	bad := map[string]*wire.Problem{}
	c.refuse = func(p wire.CasePut) *wire.Problem { return bad[p.CaseID] }
	srv := httptest.NewServer(c.handler())
	t.Cleanup(srv.Close)
	m := storetest.NewMem()
	maker := storetest.NewMaker(9)
	invalid := *wire.NewProblem(wire.CodeInvalid, "")
	invalid.Errors = []wire.FieldError{{Field: "phone", Reason: "电话少一位"}}
	var all []string
	for i := range 20 {
		id := maker.ID()
		if _, err := m.Submit(t.Context(), maker.Submission(id, 1, time.Now())); err != nil {
			t.Fatal(err)
		}
		all = append(all, id)
		switch i {
		case 0:
			bad[id] = wire.NewProblem(wire.CodeDigestConflict, "")
		case 7:
			bad[id] = &invalid
		}
	}
	r := run(t, sync.Options{Store: m, Client: srv.Client(), Base: srv.URL})
	accepted, aside := map[string]bool{}, map[string]string{}
	r.await("20 outcomes", func(ev sync.Event) bool {
		switch ev.Kind {
		case sync.EventAccepted:
			accepted[ev.CaseID] = true
		case sync.EventAttention:
			aside[ev.CaseID] = ev.Text
		}
		return len(accepted)+len(aside) == len(all)
	})
	if len(accepted) != 18 || !strings.Contains(aside[all[0]], "内容不同") || !strings.Contains(aside[all[7]], "电话少一位") {
		t.Errorf("%d accepted, set aside %v", len(accepted), aside)
	}
}

// TestDamagedScan: a file that the disk changed is not sent; staff are told.
func TestDamagedScan(t *testing.T) {
	c := newCounty(t, 1, time.Now)
	srv := httptest.NewServer(c.handler())
	t.Cleanup(srv.Close)
	m := storetest.NewMem()
	maker := storetest.NewMaker(9)
	bad, good := maker.Submission(maker.ID(), 1, time.Now(), 5000), maker.Submission(maker.ID(), 1, time.Now(), 5000)
	for _, s := range []cases.Submission{bad, good} {
		if _, err := m.Submit(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	m.Damage(bad.Case.ID, bad.Files[0].Name)
	r := run(t, sync.Options{Store: m, Client: srv.Client(), Base: srv.URL})
	if ev := r.awaitKind(sync.EventAttention, bad.Case.ID); !strings.Contains(ev.Text, "扫描件") {
		t.Errorf("text %q", ev.Text)
	}
	if _, done := accepted(m, good.Case.ID); !done {
		r.awaitKind(sync.EventAccepted, good.Case.ID)
	}
}

func accepted(m *storetest.Mem, id string) (cases.Item, bool) {
	for _, it := range m.Queue() {
		if it.CaseID == id {
			return it, it.State == cases.QueueDone
		}
	}
	return cases.Item{}, false
}
