package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	gosync "sync"
	"time"

	tus "github.com/tus/tusd/v2/pkg/handler"

	"cunban/sync/wire"
)

// Timings of the service.
const (
	headerTimeout = 20 * time.Second     // request line and headers on a thin line
	bodyTimeout   = 10 * time.Minute     // a whole request: 1 MiB at 2 KiB/s
	idleTimeout   = 3 * time.Minute      // keep-alive between requests
	stopTimeout   = 10 * time.Second     // requests under way when the service stops
	expiredGrace  = 180 * 24 * time.Hour // a village away for months may still renew
)

// Server is the terminals' side of a County: the contract of sync/wire over
// TLS 1.3 with client certificates.
type Server struct {
	c    *County
	tus  *tus.UnroutedHandler
	mux  *http.ServeMux
	mu   gosync.Mutex
	seen map[string]time.Time // when a terminal was heard last, this process
	stop <-chan struct{}      // closed when the service ends: long polls answer at once
	// routes maps patterns to what they need; a test compares it with
	// wire.Patterns.
	routes map[string]access
}

// access is what a route asks of its caller.
type access int

const (
	accessTerminal access = iota // client certificate, path terminal must be its own
	accessRenew                  // client certificate, may be expired
	accessOpen                   // anybody
)

// NewServer makes the handlers.
func NewServer(c *County) (*Server, error) {
	s := &Server{c: c, mux: http.NewServeMux(), seen: map[string]time.Time{}, routes: map[string]access{}}
	var err error
	if s.tus, err = newTus(c); err != nil {
		return nil, err
	}
	t := func(p string, h http.HandlerFunc) { s.route(p, accessTerminal, h) }
	t(wire.PatternPing, s.ping)
	t(wire.PatternIdentity, s.identity)
	t(wire.PatternCase, s.putCase)
	t(wire.PatternBatch, s.putBatch)
	t(wire.PatternChanges, s.changes)
	t(wire.PatternQueries, s.query)
	t(wire.PatternCheckpoints, s.checkpoint)
	t(wire.PatternHealth, s.health)
	s.uploadRoutes(t)
	s.route(wire.PatternSimpleReenroll, accessRenew, s.reenroll)
	s.route(wire.PatternCACerts, accessOpen, s.cacerts)
	s.route(wire.PatternSimpleEnroll, accessOpen, s.enroll)
	s.route(wire.PatternOpenAPI, accessOpen, s.openapi)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, wire.NewProblem(wire.CodeNotFound, r.Method+" "+r.URL.Path))
	})
	return s, nil
}

type ctxKey int

const (
	keyTerminal ctxKey = iota
	keyRequest
)

// terminalOf returns the id of the terminal that a request is from.
func terminalOf(ctx context.Context) string {
	id, _ := ctx.Value(keyTerminal).(string)
	return id
}

func (s *Server) route(pattern string, a access, h http.HandlerFunc) {
	s.routes[pattern] = a
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if a == accessOpen {
			h(w, r)
			return
		}
		t, p := s.admit(r, a)
		if p != nil {
			s.fail(w, r, p)
			return
		}
		s.mu.Lock()
		s.seen[t.ID] = s.c.now()
		s.mu.Unlock()
		h(w, r.WithContext(context.WithValue(r.Context(), keyTerminal, t.ID)))
	})
}

// admit says who calls, or why not.
func (s *Server) admit(r *http.Request, a access) (Terminal, error) {
	if r.TLS == nil {
		return Terminal{}, wire.NewProblem(wire.CodeNotEnrolled, "no TLS")
	}
	id, expired, ok := s.c.caller(r.TLS.PeerCertificates)
	if !ok {
		return Terminal{}, wire.NewProblem(wire.CodeNotEnrolled, "no certificate of this county")
	}
	if expired {
		until := r.TLS.PeerCertificates[0].NotAfter
		if a != accessRenew || s.c.now().Sub(until) > expiredGrace {
			return Terminal{}, wire.NewProblem(wire.CodeNotEnrolled, "certificate ended on "+until.Format(time.RFC3339))
		}
	}
	t, err := s.c.Terminal(r.Context(), id)
	if errors.Is(err, ErrNotFound) {
		return Terminal{}, wire.NewProblem(wire.CodeNotEnrolled, "unknown terminal")
	}
	if err != nil {
		return Terminal{}, err
	}
	if p := r.PathValue("terminal"); p != "" && p != id {
		return Terminal{}, wire.NewProblem(wire.CodeWrongTerminal, "the certificate is of "+id)
	}
	// A serial number that was enrolled again has a new key; the old one, on a
	// box that was carried off, must not live on beside it. Certificates count
	// in whole seconds.
	if made := r.TLS.PeerCertificates[0].NotBefore.Add(backdate + time.Second); made.Before(t.EnrolledAt) {
		return Terminal{}, wire.NewProblem(wire.CodeNotEnrolled, "certificate of an earlier enrolment")
	}
	if !t.RevokedAt.IsZero() {
		return Terminal{}, wire.NewProblem(wire.CodeRevoked, t.Reason)
	}
	return t, nil
}

// Seen tells when a terminal was heard last by this process.
func (s *Server) Seen(terminal string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[terminal]
}

// ServeHTTP implements http.Handler: what holds for every request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now() // a duration, not a date
	w.Header().Set(wire.HeaderContract, wire.Version)
	w.Header().Set("Cache-Control", "no-store")
	var b [8]byte
	_, _ = io.ReadFull(s.c.o.Rand, b[:]) // a request without a name is still answered
	id := hex.EncodeToString(b[:])
	r = r.WithContext(context.WithValue(r.Context(), keyRequest, id))
	rec := &statusWriter{ResponseWriter: w}
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler {
				panic(v)
			}
			s.c.log.Error("request panicked", "request", id, "what", fmt.Sprint(v))
			s.fail(rec, r, wire.NewProblem(wire.CodeServer, "panic"))
		}
		// Paths hold terminal and case ids only, never a person's data.
		s.c.log.Debug("request", "request", id, "method", r.Method, "path", r.URL.Path, "status", rec.status,
			"ms", time.Since(began).Milliseconds())
	}()
	// tusd leaves deadlines on the connection; each request starts with its own.
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout))      // not on every writer of a test
	_ = rc.SetWriteDeadline(time.Now().Add(2 * bodyTimeout)) // as above
	if v := r.Header.Get(wire.HeaderContract); v != "" && major(v) != major(wire.Version) {
		s.fail(rec, r, wire.NewProblem(wire.CodeVersion, "spoken here is "+wire.Version))
		return
	}
	s.mux.ServeHTTP(rec, r)
}

func major(v string) string {
	m, _, _ := strings.Cut(v, ".")
	return m
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// fail answers with a problem; an error that is none becomes CodeServer and
// goes to the log.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	id, _ := r.Context().Value(keyRequest).(string)
	var p *wire.Problem
	switch {
	case errors.As(err, &p):
	case r.Context().Err() != nil:
		p = wire.NewProblem(wire.CodeUnavailable, "") // the caller is gone or the service stops
	default:
		s.c.log.Error("request failed", "request", id, "err", err)
		p = wire.NewProblem(wire.CodeServer, "")
	}
	q := *p
	q.Instance = id
	q.Write(w)
}

func (s *Server) failRead(w http.ResponseWriter, r *http.Request, err error) {
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		s.fail(w, r, wire.NewProblem(wire.CodeTooLarge, fmt.Sprintf("at most %d bytes", big.Limit)))
		return
	}
	s.fail(w, r, wire.NewProblem(wire.CodeMalformed, "body broke off"))
}

// read takes a JSON body; false means that it has answered.
func (s *Server) read(w http.ResponseWriter, r *http.Request, limit int64, v any) bool {
	if ct, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(ct) != wire.TypeJSON {
		s.fail(w, r, wire.NewProblem(wire.CodeMediaType, ct))
		return false
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		s.failRead(w, r, err)
		return false
	}
	if err := json.Unmarshal(b, v); err != nil {
		// The decoder's words could quote what was sent.
		s.fail(w, r, wire.NewProblem(wire.CodeMalformed, "not the JSON of this operation"))
		return false
	}
	return true
}

func (s *Server) ping(w http.ResponseWriter, r *http.Request) {
	wire.WriteJSON(w, http.StatusOK, wire.Pong{Terminal: terminalOf(r.Context()), Time: s.c.now()})
}

func (s *Server) identity(w http.ResponseWriter, r *http.Request) {
	t, err := s.c.Terminal(r.Context(), terminalOf(r.Context()))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	wire.WriteJSON(w, http.StatusOK, s.c.Identity(t))
}

func (s *Server) putCase(w http.ResponseWriter, r *http.Request) {
	var put wire.CasePut
	if !s.read(w, r, wire.MaxCaseBytes, &put) {
		return
	}
	rev, err := strconv.Atoi(r.PathValue("revision"))
	if err != nil || rev != put.Revision || put.CaseID != r.PathValue("case") {
		s.fail(w, r, wire.NewProblem(wire.CodeMalformed, "case and revision of path and body differ"))
		return
	}
	if d := r.Header.Get(wire.HeaderDigest); d != "" && d != put.Digest {
		s.fail(w, r, wire.NewProblem(wire.CodeMalformed, "digest of header and body differ"))
		return
	}
	reply, created, err := s.c.Receive(r.Context(), terminalOf(r.Context()), put)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set(wire.HeaderDigest, reply.Digest)
	wire.WriteJSON(w, caseStatus(created), reply)
}

func caseStatus(created bool) int {
	if created {
		return http.StatusCreated
	}
	return http.StatusOK
}

// batchWorkers is how many items of a batch are opened at once; their writes
// share one fsync.
const batchWorkers = 8

func (s *Server) putBatch(w http.ResponseWriter, r *http.Request) {
	// Items are read one by one, so that one of another shape harms no other.
	var batch struct {
		Items []json.RawMessage `json:"items"`
	}
	if !s.read(w, r, wire.MaxBatchBytes, &batch) {
		return
	}
	if len(batch.Items) == 0 || len(batch.Items) > wire.MaxBatchItems {
		s.fail(w, r, wire.NewProblem(wire.CodeTooLarge, fmt.Sprintf("%d items", len(batch.Items))))
		return
	}
	out := wire.BatchReply{Items: make([]wire.BatchItem, len(batch.Items))}
	slots := make(chan struct{}, batchWorkers)
	var wg gosync.WaitGroup
	// Two revisions of one case keep their order: items of a case run in one
	// goroutine.
	byCase := map[string][]int{}
	puts := make([]wire.CasePut, len(batch.Items))
	for i, raw := range batch.Items {
		if err := json.Unmarshal(raw, &puts[i]); err != nil {
			out.Items[i] = problemItem(wire.NewProblem(wire.CodeMalformed, "not the JSON of a case"))
			continue
		}
		byCase[puts[i].CaseID] = append(byCase[puts[i].CaseID], i)
	}
	for _, list := range byCase {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			for _, i := range list {
				out.Items[i] = s.item(r, puts[i])
			}
		})
	}
	wg.Wait()
	wire.WriteJSON(w, http.StatusOK, out)
}

func problemItem(p *wire.Problem) wire.BatchItem { return wire.BatchItem{Status: p.Status, Problem: p} }

func (s *Server) item(r *http.Request, put wire.CasePut) wire.BatchItem {
	reply, created, err := s.c.Receive(r.Context(), terminalOf(r.Context()), put)
	var p *wire.Problem
	switch {
	case err == nil:
		return wire.BatchItem{Status: caseStatus(created), Reply: &reply}
	case errors.As(err, &p):
		return problemItem(p)
	}
	s.c.log.Error("batch item failed", "request", r.Context().Value(keyRequest), "err", err)
	return problemItem(wire.NewProblem(wire.CodeServer, ""))
}

func (s *Server) changes(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	after, ok := parseCursor(q.Get("after"))
	wait := 0
	if v := q.Get("wait"); v != "" {
		n, err := strconv.Atoi(v)
		ok = ok && err == nil && n >= 0 && time.Duration(n)*time.Second <= wire.MaxWait
		wait = n
	}
	if !ok {
		s.fail(w, r, wire.NewProblem(wire.CodeMalformed, "after or wait"))
		return
	}
	id := terminalOf(r.Context())
	timer := time.NewTimer(time.Duration(wait) * time.Second)
	defer timer.Stop()
	for {
		woken := s.c.hub.wait()
		page, err := s.c.Changes(r.Context(), id, after)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if len(page.Changes) > 0 || wait == 0 {
			wire.WriteJSON(w, http.StatusOK, page)
			return
		}
		select {
		case <-woken:
		case <-timer.C:
			wait = 0
		case <-s.stop:
			wait = 0
		case <-r.Context().Done():
			s.fail(w, r, r.Context().Err())
			return
		}
	}
}

func (s *Server) query(w http.ResponseWriter, r *http.Request) {
	var q wire.Query
	if !s.read(w, r, wire.MaxQueryBytes, &q) {
		return
	}
	a, err := s.c.Query(r.Context(), terminalOf(r.Context()), q)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	wire.WriteJSON(w, http.StatusOK, a)
}

func (s *Server) checkpoint(w http.ResponseWriter, r *http.Request) {
	var put wire.CheckpointPut
	if !s.read(w, r, wire.MaxCheckpoint, &put) {
		return
	}
	reply, err := s.c.Checkpoint(r.Context(), terminalOf(r.Context()), put)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	wire.WriteJSON(w, http.StatusOK, reply)
}

func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	var h wire.Health
	if !s.read(w, r, wire.MaxHealth, &h) {
		return
	}
	reply, err := s.c.TakeHealth(r.Context(), terminalOf(r.Context()), h)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	wire.WriteJSON(w, http.StatusOK, reply)
}

func (s *Server) openapi(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(wire.OpenAPI) // the peer is gone or not
}

// TLS is the configuration of the listener. Client certificates are asked for,
// proved by the handshake and checked by admit, so that a caller without a
// usable one gets a plain answer.
func (s *Server) TLS(cert tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(s.c.o.Keys.CA)
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert},
		ClientAuth: tls.RequestClientCert, ClientCAs: pool}
}

// Serve answers on l until ctx ends, then finishes what is under way.
func (s *Server) Serve(ctx context.Context, l net.Listener, cert tls.Certificate) error {
	s.stop = ctx.Done()
	return serve(ctx, tls.NewListener(l, withH2(s.TLS(cert))), s, s.c)
}

// withH2 offers HTTP/2 as http.Server.ServeTLS would.
func withH2(c *tls.Config) *tls.Config {
	c.NextProtos = []string{"h2", "http/1.1"}
	return c
}

func serve(ctx context.Context, l net.Listener, h http.Handler, c *County) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		BaseContext: func(net.Listener) context.Context { return base },
		ErrorLog:    log.New(io.Discard, "", 0), // broken handshakes of strangers
	}
	end := make(chan error, 1)
	go func() {
		<-ctx.Done()
		stop, done := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer done()
		end <- srv.Shutdown(stop) // what is under way finishes
	}()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	if err := <-end; err != nil {
		c.log.Warn("stopped before every request was answered", "err", err)
		return srv.Close()
	}
	return nil
}
