// Package pcsc is the contact card reader over PC/SC (pcsc-lite's pcscd with
// any CCID reader). It exists because PC/SC is the one interface all makers'
// readers share, and because its client library blocks, holds locks while it
// waits and loses every context when the service restarts; all of that ends
// here.
//
// It guarantees: one goroutine with its own context watches readers and cards,
// another with its own context talks to the card, so that watching never blocks
// reading; a service that is absent, stopped or restarted, a reader pulled in
// the middle of a command and a card torn out each end in an error of package
// device and heal without restarting anything; the 61xx and 6Cxx of T=0 never
// reach the card application; an operation returns when its context ends even
// if the library does not (the library's call is then waited for in the
// background, and nothing else is sent to the card until it returns).
//
// Standards: PC/SC 2.01 part 5, ISO/IEC 7816-3 and -4.
package pcsc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"cunban/device"
	"cunban/device/internal/hub"
)

// Timings.
const (
	retryFirst     = 200 * time.Millisecond // between attempts to reach the service, doubling
	retryMost      = 2 * time.Second
	waitSlice      = 5 * time.Second        // the monitor asks afresh this often: who has a card open is no event
	settle         = 100 * time.Millisecond // after a reader vanished between listing and waiting
	heldAfter      = 700 * time.Millisecond // an exclusive holder counts after this long
	cancelEvery    = 50 * time.Millisecond  // a cancel that came before the wait is lost, so again
	connectTimeout = 5 * time.Second
	apduTimeout    = 10 * time.Second
	stopGrace      = 2 * time.Second // for a library call that hangs when the driver ends
	sharingTries   = 4
	sharingPause   = 150 * time.Millisecond
	diagTimeout    = time.Second // for the kernel to say who is connected to the service
)

// serviceSocket is where pcsc-lite listens.
const serviceSocket = "/run/pcscd/pcscd.comm"

// Options configure a Slot. The zero value works.
type Options struct {
	// Reader, when set, must be part of a reader's name for it to be used.
	Reader string
	Now    func() time.Time // nil means time.Now
	Logger *slog.Logger     // nil is silent
}

// Slot is a contact card reader: of all readers there are, the one with a card.
// Safe for concurrent use; one Transport is open at a time.
type Slot struct {
	opts Options
	svc  service
	hub  *hub.Hub
	log  *slog.Logger
	jobs chan func(*ioState)

	mu      sync.Mutex
	running bool
	stop    chan struct{} // closed when Run ends
	view    view
	ours    bool   // our own connection makes the reader look exclusive
	held    bool   // a connect met another program
	refused error  // the service does not let this program open cards
	wake    func() // makes the monitor ask afresh now; nil without a context
	down    *device.Health
}

// view is what the monitor last saw, nil readers before the first look.
type view struct {
	readers []readerState
	chosen  string
	key     string // which insertion it was: reader and event count
	seq     uint64
	since   time.Time // when the chosen reader became exclusive to somebody
}

var _ device.CardSlot = (*Slot)(nil)

// New makes a slot; Run brings it to life.
func New(opts Options) *Slot { return newSlot(opts, newService()) }

func newSlot(opts Options, svc service) *Slot {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Slot{opts: opts, svc: svc, log: log, jobs: make(chan func(*ioState))}
	s.hub = hub.New(device.Health{Kind: device.KindCardReader}, opts.Now)
	return s
}

// Kind is device.KindCardReader.
func (s *Slot) Kind() device.Kind { return device.KindCardReader }

// Health returns the last known condition.
func (s *Slot) Health() device.Health { return s.hub.Health() }

// CardState returns what is in the reader as last seen.
func (s *Slot) CardState() device.CardEvent {
	c := s.hub.Card()
	if c.State == "" {
		c.State = device.CardNoReader
	}
	return c
}

// Subscribe tells of changes; see device.Device.
func (s *Slot) Subscribe(fn func(device.Event)) (cancel func()) { return s.hub.Subscribe(fn) }

// Run watches readers and serves operations until ctx ends. It may be called
// once at a time.
func (s *Slot) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	if s.running {
		s.mu.Unlock()
		return errors.New("pcsc: already running")
	}
	s.running, s.stop = true, make(chan struct{})
	stop := s.stop
	s.mu.Unlock()

	worker := make(chan struct{})
	go func() {
		defer close(worker)
		s.work(ctx)
	}()
	s.monitor(ctx)

	s.mu.Lock()
	s.running = false
	close(stop)
	s.mu.Unlock()
	select {
	case <-worker:
	case <-time.After(stopGrace):
		s.log.Warn("a PC/SC call hangs; it is left behind")
	}
	return ctx.Err()
}

// monitor reaches the service and watches it, for ever.
func (s *Slot) monitor(ctx context.Context) {
	retry := retryFirst
	failures := 0
	for ctx.Err() == nil {
		sess, err := s.svc.establish()
		if err != nil {
			failures++
			// The service may just be between death and birth: only a socket
			// that keeps refusing is taken for a denial.
			h := serviceHealth(err, failures > 2 && socketThere())
			s.lost(&h)
			pause(ctx, retry)
			retry = min(2*retry, retryMost)
			continue
		}
		err = s.watch(ctx, sess)
		_ = sess.release() // a dead context cannot be released, which is as good
		if ctx.Err() != nil {
			return
		}
		s.log.Warn("PC/SC context lost", "err", err)
		s.hub.Count("service_lost")
		failures = 0
		h := serviceHealth(errServiceStopped, false)
		h.Detail = fmt.Sprintf("PC/SC context lost: %v", err)
		if s.lost(&h) {
			retry = retryFirst // it worked: this is a restart, not one that never comes up
		}
		pause(ctx, retry)
		retry = min(2*retry, retryMost)
	}
}

// watch follows one context until it dies or ctx ends.
func (s *Slot) watch(ctx context.Context, sess session) error {
	// Cancel may come before the wait begins and is then lost: repeat it until
	// the wait is over.
	over := make(chan struct{})
	cancelled := make(chan struct{})
	go func() {
		defer close(cancelled)
		select {
		case <-over:
			return
		case <-ctx.Done():
		}
		for {
			_ = sess.cancel()
			select {
			case <-over:
				return
			case <-time.After(cancelEvery):
			}
		}
	}()
	defer func() {
		close(over)
		<-cancelled
	}()

	s.setWake(func() { _ = sess.cancel() })
	defer s.setWake(nil)

	states := []readerState{{name: pnp}}
	relist := true
	for ctx.Err() == nil {
		if relist {
			names, err := sess.readers()
			if err != nil {
				return fmt.Errorf("list readers: %w", err)
			}
			states = keep(states, names)
			relist = false
		}
		timeout := s.seen(states)
		err := sess.wait(states, timeout)
		switch {
		case err == nil:
		case errors.Is(err, errTimeout), errors.Is(err, errCancelled):
			// pcsc-lite makes no event of a card being opened by somebody;
			// knowing nothing, the next wait answers at once with all there is.
			for i := range states {
				states[i].current = 0
			}
			continue
		case errors.Is(err, errUnknownReader), errors.Is(err, errReaderUnavailable):
			relist = true
			pause(ctx, settle)
			continue
		default:
			return fmt.Errorf("watch readers: %w", err)
		}
		for i := range states {
			st := &states[i]
			if st.event&flagChanged == 0 {
				continue
			}
			if st.name == pnp || st.event&(flagUnknown|flagUnavailable) != 0 {
				relist = true
			}
			st.current = st.event &^ flagChanged
		}
		if relist {
			// An unavailable reader stays listed for a moment.
			for i := range states {
				if states[i].event&(flagUnknown|flagUnavailable) != 0 {
					pause(ctx, settle)
					break
				}
			}
		}
	}
	return nil
}

// keep makes the list of states fit the readers there are, keeping what is
// known. The pseudo reader stays first.
func keep(old []readerState, names []string) []readerState {
	out := []readerState{old[0]}
	for _, n := range names {
		st := readerState{name: n}
		for _, o := range old[1:] {
			if o.name == n && o.event&(flagUnknown|flagUnavailable) == 0 {
				st = o
			}
		}
		out = append(out, st)
	}
	return out
}

func (s *Slot) setWake(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake = f
}

// lost publishes that the service is away; it reports whether it was there.
func (s *Slot) lost(h *device.Health) (was bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was = s.down == nil && s.view.readers != nil
	s.down, s.view.readers, s.view.chosen, s.view.key, s.held = h, nil, "", "", false
	s.publish()
	return was
}

// seen takes what the monitor saw, publishes it and says how long the monitor
// may wait before it must look again.
func (s *Slot) seen(states []readerState) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range states[1:] {
		if st.current == 0 {
			return waitSlice // not looked at yet: the wait returns at once
		}
	}
	s.down = nil
	for _, st := range states[1:] {
		if st.name == s.view.chosen && st.current&(flagInUse|flagExclusive) == 0 {
			s.held = false
		}
	}
	s.view.readers = append(s.view.readers[:0], states[1:]...)
	return s.publish()
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func socketThere() bool {
	c, err := net.Dial("unix", serviceSocket)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// SelfTest asks the service for its readers over the I/O context and returns
// the fresh condition. The card is left alone.
func (s *Slot) SelfTest(ctx context.Context) device.Health {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	var names []string
	err := s.do(ctx, func(io *ioState) error {
		return io.retry(func(sess session) (err error) {
			names, err = sess.readers()
			return err
		})
	})
	h := s.hub.Health()
	switch {
	case err != nil && h.State.Usable():
		return fault(h.Name, fmt.Errorf("self-test: %w", err))
	case err == nil && len(names) == 0 && h.State.Usable():
		return noReader()
	}
	if err == nil && h.State.Usable() {
		s.hub.Good()
	}
	return s.hub.Health()
}

func (s *Slot) holders() holders { return findHolders("/proc", os.Getpid()) }
