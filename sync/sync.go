// Package sync carries cases from the terminal to the county and everything
// the county has to say back, over a village line that drops for minutes, days
// or a month.
//
// It guarantees, together with a Store that keeps its own promises:
//
//  1. a saved case has its effect upstream exactly once, however often it is
//     sent: case id and revision are the idempotency key, for ever;
//  2. nothing is lost or dropped in silence: in = done + waiting + attention;
//  3. one bad item never stops another; order is kept inside one case only;
//  4. trouble with the line, the certificate or the sign-in pauses the queue and
//     kills nothing; a redirect, an HTML page, a wrong certificate or a reply
//     that does not echo the case's digest is never success;
//  5. accepted means that the county's own number arrived;
//  6. small messages go first; scans resume where they broke off and repeat at
//     most one chunk; a metered line has a daily allowance and a night window;
//  7. when the line comes back the first case is sent within 5 s.
//
// The engine keeps no state of its own that matters: kill it at any moment and
// start it again. Order never depends on wall time.
package sync

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mrand "math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	gosync "sync"
	"time"

	"cunban/kiosk/cases"
	"cunban/sync/wire"
)

// Store is what the engine needs from the terminal's vault. Every method that
// changes something returns after the change is durable. Settling methods
// (SentBody, Acknowledge, Retry, Attention) carry the lease and answer
// cases.ErrStaleLease when it has moved on; the engine then drops its result
// and the item comes round again.
type Store interface {
	// Lease hands out items that are due, oldest first, and writes "attempt
	// begun" for each before it returns. An item whose lease is older than ttl
	// is due again. Two revisions of a case never come out of order: a later one
	// is not handed out before the earlier one is acknowledged. An item that was
	// sent before comes with State cases.QueueSent, any other with QueueLeased.
	Lease(ctx context.Context, now time.Time, ttl time.Duration, max int) ([]cases.Item, error)
	// SentBody notes that upstream has the body for good and waits for files.
	SentBody(ctx context.Context, caseID string, rev int, lease string) error
	// FileUpload remembers where the upload of a file goes on; "" forgets it.
	FileUpload(ctx context.Context, caseID, name, uploadURL string) error
	FileDone(ctx context.Context, caseID, name string) error
	// OpenFile opens the sealed bytes of a file and tells their number.
	OpenFile(ctx context.Context, caseID, name string) (io.ReadCloser, int64, error)
	// Acknowledge settles an item: the county's number arrived.
	Acknowledge(ctx context.Context, caseID string, rev int, lease, acceptance string, at time.Time, dueDate string) (cases.Case, error)
	// Retry gives an item back, due again at next.
	Retry(ctx context.Context, caseID string, rev int, lease string, next time.Time, reason, detail string) error
	// Attention sets an item aside until staff mend or resend it.
	Attention(ctx context.Context, caseID string, rev int, lease, reason, detail string) error
	// Upstream applies what the county says about a case. Idempotent.
	Upstream(ctx context.Context, u cases.Update) error
	Counts(ctx context.Context) (cases.Counts, error)

	// Settings: small values under string keys.
	Get(ctx context.Context, key string) ([]byte, bool, error)
	Put(ctx context.Context, key string, val []byte) error
	PutAll(ctx context.Context, vals map[string][]byte) error // all or nothing
	Delete(ctx context.Context, key string) error             // no error when absent
	Keys(ctx context.Context, prefix string) ([]string, error)

	// Checkpoint signs the operation log as it is now and proves that it only
	// grew since size since (0 = no proof wanted): an RFC 6962 consistency proof.
	Checkpoint(ctx context.Context, since int64) (note []byte, proof [][]byte, err error)
	// Countersign keeps a checkpoint that the county signed too.
	Countersign(ctx context.Context, note []byte) error
}

// Keys in the settings that sync reads or writes.
const (
	KeyIdentity = "terminal/identity" // wire.Identity as JSON
	KeyTLSCert  = "terminal/tls-cert" // PEM, leaf first
	KeyTLSKey   = "terminal/tls-key"  // PEM, PKCS#8
	KeyCA       = "county/ca"         // PEM
	KeySeal     = "county/seal-key"   // SM2 public key, PEM
	KeySign     = "county/sign-key"   // SM2 public key, PEM
	KeyCursor   = "downlink/cursor"

	// KeyObjects + kind + "/" + id is an object from the county, as JSON. An
	// empty value is an object that the county deleted.
	KeyObjects = "downlink/"

	keyVersions  = "downlink-version/" // + kind/id: decimal version
	keyAsOf      = "sync/as-of"        // when the downlink was complete last
	keyClock     = "sync/clock"        // floor of the clock
	keyUsage     = "sync/usage"
	keyRevoked   = "sync/revoked"    // reason; empty = not revoked
	keyEnrol     = "sync/enrol"      // an enrolment that waits for approval
	keyLogSent   = "sync/checkpoint" // decimal size of the last countersigned checkpoint
	maxRetryWait = time.Hour         // what a Retry-After may ask for at most
)

// Timings of the engine. Options.Timing replaces them; zero fields take these.
type Timing struct {
	BackoffBase   time.Duration // first server back-off, full jitter
	BackoffCap    time.Duration // largest server back-off
	ProbeWaiting  time.Duration // longest pause between probes while items wait
	ProbeIdle     time.Duration // the same while nothing waits
	ProbeSignIn   time.Duration // the same while a person has to act
	ProbeTimeout  time.Duration // one probe
	Suspect       time.Duration // a message without answer for so long starts probing
	Message       time.Duration // answer to a message, beyond the time its bytes need
	Chunk         time.Duration // answer to a chunk, beyond the time its bytes need
	Query         time.Duration // a live query
	Poll          time.Duration // wait of a long poll, at most wire.MaxWait
	LeaseTTL      time.Duration
	QueueTick     time.Duration // looks into the queue without being woken
	HealthEvery   time.Duration
	CheckEvery    time.Duration // log checkpoints
	RenewEvery    time.Duration // looks at the certificate's age
	SlowestLine   int64         // bytes/s that Message and Chunk still allow for
	ProbesAtOnce  int
	ServerStrikes int // server failures in a row that pause the queue
}

// DefaultTiming is what a terminal runs with.
var DefaultTiming = Timing{
	BackoffBase: time.Second, BackoffCap: 5 * time.Minute,
	ProbeWaiting: 2500 * time.Millisecond, ProbeIdle: 15 * time.Second, ProbeSignIn: time.Minute,
	ProbeTimeout: 10 * time.Second, Suspect: 4 * time.Second,
	Message: 15 * time.Second, Chunk: 20 * time.Second, Query: 15 * time.Second, Poll: 50 * time.Second,
	LeaseTTL: 2 * time.Minute, QueueTick: 30 * time.Second,
	HealthEvery: 5 * time.Minute, CheckEvery: 5 * time.Minute, RenewEvery: time.Hour,
	SlowestLine: 2 << 10, ProbesAtOnce: 5, ServerStrikes: 3,
}

func (t Timing) filled() Timing {
	d := DefaultTiming
	dur := func(v *time.Duration, def time.Duration) {
		if *v <= 0 {
			*v = def
		}
	}
	dur(&t.BackoffBase, d.BackoffBase)
	dur(&t.BackoffCap, d.BackoffCap)
	dur(&t.ProbeWaiting, d.ProbeWaiting)
	dur(&t.ProbeIdle, d.ProbeIdle)
	dur(&t.ProbeSignIn, d.ProbeSignIn)
	dur(&t.ProbeTimeout, d.ProbeTimeout)
	dur(&t.Suspect, d.Suspect)
	dur(&t.Message, d.Message)
	dur(&t.Chunk, d.Chunk)
	dur(&t.Query, d.Query)
	dur(&t.Poll, d.Poll)
	t.Poll = min(t.Poll, wire.MaxWait)
	dur(&t.LeaseTTL, d.LeaseTTL)
	dur(&t.QueueTick, d.QueueTick)
	dur(&t.HealthEvery, d.HealthEvery)
	dur(&t.CheckEvery, d.CheckEvery)
	dur(&t.RenewEvery, d.RenewEvery)
	if t.SlowestLine <= 0 {
		t.SlowestLine = d.SlowestLine
	}
	if t.ProbesAtOnce <= 0 {
		t.ProbesAtOnce = d.ProbesAtOnce
	}
	if t.ServerStrikes <= 0 {
		t.ServerStrikes = d.ServerStrikes
	}
	return t
}

// Options configure an Engine. Store, Base, Terminal and one of Client and
// Credentials are needed.
type Options struct {
	Store       Store
	Client      *http.Client // mutual TLS; its CheckRedirect is replaced
	Credentials *Credentials // certificate in use; with it the engine renews it
	Base        string       // https://host[:port][/prefix]
	Terminal    string       // the terminal's id
	Program     string       // name and version, for HeaderProgram
	Now         func() time.Time
	Rand        io.Reader      // keys and ids, from several goroutines; nil = crypto/rand
	Jitter      func() float64 // [0,1); nil = math/rand/v2
	// OnEvent is told what happened, from goroutines of the engine, in order
	// per lane. It must not block and must not call Query.
	OnEvent func(Event)
	Logger  *slog.Logger
	// Health describes the terminal; the engine adds queue, clock and refusals.
	// nil = no health reports.
	Health func(ctx context.Context) wire.Health
	// PortalProbe is a plain http URL. When the certificate is not the
	// county's, the engine asks there: a redirect or a page means a login page
	// in between. "" = do not ask.
	PortalProbe string
	// UploadRate limits scans, bytes per second; 0 = as fast as it goes.
	UploadRate int64
	Meter      Meter
	Timing     Timing
	// Check refuses an object of the county that this program cannot use (a
	// catalogue that does not load …); the one before stays. nil = take all.
	Check func(kind wire.Kind, id string, data []byte) error
}

// EventKind is the closed set of what the engine tells.
type EventKind string

// Event kinds.
const (
	EventLine       EventKind = "line"       // Line changed
	EventSent       EventKind = "sent"       // the body of Case is at the county, files follow
	EventAccepted   EventKind = "accepted"   // Case has its number
	EventRetry      EventKind = "retry"      // CaseID will be tried again; Text says why
	EventAttention  EventKind = "attention"  // CaseID needs staff; Text says why
	EventUpdate     EventKind = "update"     // the county moved CaseID to State
	EventDownlink   EventKind = "downlink"   // object Object/ID came, changed or went
	EventRefused    EventKind = "refused"    // object Object/ID was refused; Detail says why
	EventRevoked    EventKind = "revoked"    // the county switched this terminal off (or on again: Text "")
	EventRenewed    EventKind = "renewed"    // new certificate in use
	EventCheckpoint EventKind = "checkpoint" // the county refused a log checkpoint
	EventStore      EventKind = "store"      // the store failed; Detail says how
)

// Event is one thing that happened.
type Event struct {
	Kind     EventKind
	At       time.Time
	Line     LineState  // EventLine
	Case     cases.Case // EventAccepted
	CaseID   string
	Revision int
	State    cases.State // EventUpdate
	Object   wire.Kind   // EventDownlink, EventRefused
	ID       string
	Deleted  bool
	Text     string // plain Chinese, "" when there is nothing to say
	Detail   string // technical
}

// Engine is the sync engine of one terminal. Methods are safe for concurrent
// use; Run is called once.
type Engine struct {
	o       Options
	t       Timing
	base    *url.URL
	client  *http.Client
	clock   *Clock
	line    *line
	log     *slog.Logger
	wake    chan struct{}    // 1: the message lane should look now
	upWake  chan struct{}    // 1: the upload lane should look now
	health  chan struct{}    // 1: report now
	steady  func() time.Time // elapsed time that no clock jump touches
	jobs    jobs
	blame   blame
	due     dueTimes
	strikes counter   // server failures in a row
	leasing time.Time // steady time of the first lease; messages lane only
	eager   flag      // somebody pressed the button: back-offs of items do not count
	small   gate
	bucket  *bucket
	meter   *meter
	width   adaptive // items per batch
	chunk   adaptive // bytes per chunk
	refused counter
	// judge decides what an answer to a case means. It is a field so that a
	// test can show that a naive judge is caught by the simulation.
	judge func(a *answer, want wire.CasePut) (wire.CaseReply, *Failure)
}

// New checks the options and makes an engine that does nothing until Run.
func New(o Options) (*Engine, error) {
	if o.Store == nil || !wire.ValidTerminal(o.Terminal) {
		return nil, errors.New("sync needs a store and a terminal id")
	}
	base, err := url.Parse(strings.TrimRight(o.Base, "/"))
	if err != nil || base.Host == "" || (base.Scheme != "https" && base.Scheme != "http") {
		return nil, fmt.Errorf("sync: %q is not the address of an upstream", o.Base)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Jitter == nil {
		o.Jitter = mrand.Float64
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnEvent == nil {
		o.OnEvent = func(Event) {}
	}
	e := &Engine{
		o: o, t: o.Timing.filled(), base: base, log: o.Logger,
		clock: NewClock(o.Now),
		wake:  make(chan struct{}, 1), upWake: make(chan struct{}, 1), health: make(chan struct{}, 1),
		width: adaptive{min: 1, max: wire.MaxBatchItems, cur: 1},
		chunk: adaptive{min: 32 << 10, max: wire.ChunkBytes, cur: 64 << 10},
	}
	e.judge = e.judgeCase
	e.steady = e.clock.steady
	if o.Client == nil {
		if o.Credentials == nil {
			return nil, errors.New("sync needs a client or credentials")
		}
		o.Client = o.Credentials.Client(e.clock)
	}
	c := *o.Client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Timeout = 0 // each request has its own
	c.Jar = nil
	e.client = &c
	e.bucket = newBucket(o.UploadRate)
	e.meter = newMeter(o.Meter, o.Store, e.clock.Now)
	e.line = newLine(e.steady, func(s LineState) {
		e.event(Event{Kind: EventLine, Line: e.shown(s), Text: s.Text, Detail: s.Detail})
	})
	return e, nil
}

// Run works until ctx ends and every goroutine of the engine has ended; then it
// returns nil. Cancelling ctx breaks off what is under way: it is taken up
// again at the next Run of a new engine.
func (e *Engine) Run(ctx context.Context) error {
	if err := e.clock.load(ctx, e.o.Store); err != nil {
		e.storeTrouble("read the clock's floor", err)
	}
	if v, ok, err := e.o.Store.Get(ctx, keyRevoked); err != nil {
		e.storeTrouble("read whether the terminal is revoked", err)
	} else if ok && len(v) > 0 {
		e.line.setRevoked(string(v))
	}
	e.meter.load(ctx)
	var wg gosync.WaitGroup
	lanes := []func(context.Context){e.probes, e.messages, e.uploads, e.changes, e.reports}
	if e.o.Credentials != nil {
		lanes = append(lanes, e.renewals)
	}
	for _, lane := range lanes {
		wg.Go(func() { lane(ctx) })
	}
	wg.Wait()
	return nil
}

// Wake makes the engine look at once: there is a new item, or the network came
// up. It ends a back-off of the queue but never a wait that the upstream asked
// for, nor that of an item which fails on its own account.
func (e *Engine) Wake() {
	e.line.wake()
	poke(e.wake)
	poke(e.upWake)
}

// RetryNow is the button: Wake, and items that wait for their next try wait no
// longer.
func (e *Engine) RetryNow() {
	e.eager.set(true)
	e.Wake()
}

// ReportHealth asks for a health report soon, because something changed.
func (e *Engine) ReportHealth() { poke(e.health) }

// Line tells how the line is now.
func (e *Engine) Line() LineState { return e.shown(e.line.State()) }

// shown puts the county's time in place of the steady one that the line counts
// with.
func (e *Engine) shown(s LineState) LineState {
	now, steady := e.clock.Now(), e.steady()
	s.Since = now.Add(-steady.Sub(s.Since))
	if !s.Until.IsZero() {
		s.Until = now.Add(s.Until.Sub(steady))
	}
	return s
}

// steadyClock counts on from now by elapsed time alone.
func steadyClock(now func() time.Time) func() time.Time {
	base, began := now().Round(0), time.Now()
	return func() time.Time { return base.Add(time.Since(began)) }
}

// Clock is the engine's idea of the county's time.
func (e *Engine) Clock() *Clock { return e.clock }

func (e *Engine) event(ev Event) {
	ev.At = e.clock.Now()
	e.o.OnEvent(ev)
}

// storeTrouble tells of a store that failed. The engine goes on: what was not
// settled is sent again and upstream answers duplicate.
func (e *Engine) storeTrouble(what string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	e.log.Error("sync: store failed", "what", what, "err", err)
	e.event(Event{Kind: EventStore, Text: "本机保存出错，请技术人员检查磁盘", Detail: what + ": " + err.Error()})
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
