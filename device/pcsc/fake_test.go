package pcsc

import (
	"sync"
	"time"
)

// fakeService is a PC/SC that does what no reader here can be made to do.
type fakeService struct {
	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at every change
	err      error         // establish fails with it
	gen      int           // grows when the service restarts
	readers  map[string]*readerState
	order    []string
	connects int
	connErr  []error // one for each connect, then none
	waits    int
	block    chan struct{} // transmit hangs until closed
	txErr    error
	sent     [][]byte
	t0       bool
	script   [][]byte                 // answers in order
	card     func(apdu []byte) []byte // answers when there is no script; nil says 9000
}

func newFake() *fakeService {
	return &fakeService{changed: make(chan struct{}), readers: map[string]*readerState{}}
}

// set changes something under the lock and wakes everybody who waits.
func (f *fakeService) set(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeService) plug(name string, flags uint32, atr []byte) {
	f.set(func() {
		if f.readers[name] == nil {
			f.order = append(f.order, name)
		}
		f.readers[name] = &readerState{name: name, event: flags, atr: atr}
	})
}

func (f *fakeService) unplug(name string) {
	f.set(func() {
		delete(f.readers, name)
		for i, n := range f.order {
			if n == name {
				f.order = append(f.order[:i:i], f.order[i+1:]...)
				break
			}
		}
	})
}

func (f *fakeService) establish() (session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	return &fakeSession{f: f, gen: f.gen, cancelled: make(chan struct{}, 1)}, nil
}

type fakeSession struct {
	f         *fakeService
	gen       int
	cancelled chan struct{}
}

func (s *fakeSession) alive() error {
	if s.f.err != nil || s.gen != s.f.gen {
		return errInvalidHandle
	}
	return nil
}

func (s *fakeSession) readers() ([]string, error) {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	return append([]string(nil), s.f.order...), s.alive()
}

func (s *fakeSession) wait(states []readerState, timeout time.Duration) error {
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	s.f.mu.Lock()
	s.f.waits++
	s.f.mu.Unlock()
	for {
		s.f.mu.Lock()
		if err := s.alive(); err != nil {
			s.f.mu.Unlock()
			return err
		}
		news := false
		for i := range states {
			st := &states[i]
			now := uint32(len(s.f.order))<<16 | 0x0001
			if st.name != pnp {
				r := s.f.readers[st.name]
				if r == nil {
					s.f.mu.Unlock()
					return errUnknownReader
				}
				now, st.atr = r.event, r.atr
			}
			st.event = now
			if now != st.current {
				st.event |= flagChanged
				news = true
			}
		}
		changed := s.f.changed
		s.f.mu.Unlock()
		if news {
			return nil
		}
		select {
		case <-changed:
		case <-limit.C:
			return errTimeout
		case <-s.cancelled:
			return errCancelled
		}
	}
}

func (s *fakeSession) connect(string) (cardHandle, error) {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	if err := s.alive(); err != nil {
		return nil, err
	}
	s.f.connects++
	if len(s.f.connErr) > 0 {
		err := s.f.connErr[0]
		s.f.connErr = s.f.connErr[1:]
		if err != nil {
			return nil, err
		}
	}
	return &fakeCard{f: s.f}, nil
}

func (s *fakeSession) cancel() error {
	select {
	case s.cancelled <- struct{}{}:
	default:
	}
	return nil
}

func (s *fakeSession) release() error { return nil }

type fakeCard struct{ f *fakeService }

func (c *fakeCard) transmit(apdu []byte) ([]byte, error) {
	c.f.mu.Lock()
	block := c.f.block
	c.f.sent = append(c.f.sent, append([]byte(nil), apdu...))
	c.f.mu.Unlock()
	if block != nil {
		<-block
	}
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	if c.f.txErr != nil {
		return nil, c.f.txErr
	}
	if len(c.f.script) > 0 {
		out := c.f.script[0]
		c.f.script = c.f.script[1:]
		return out, nil
	}
	if c.f.card != nil {
		return c.f.card(apdu), nil
	}
	return []byte{0x90, 0x00}, nil
}

func (c *fakeCard) disconnect() error { return nil }
func (c *fakeCard) protocolT0() bool  { return c.f.t0 }
