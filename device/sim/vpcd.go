package sim

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultVPCD is where pcscd's virtual reader waits for a card.
const DefaultVPCD = "127.0.0.1:35963"

// Control bytes of vpcd's protocol: two bytes of length, big endian, then a
// control byte, or else an APDU.
const (
	ctrlOff   = 0
	ctrlOn    = 1
	ctrlReset = 2
	ctrlATR   = 4
)

const (
	// dialEvery is how often a card looks for its reader while pcscd is away.
	dialEvery = 200 * time.Millisecond
	// swapGap is the least time between one card leaving and the next coming:
	// pcscd looks every 400 ms, and no hand is faster either.
	swapGap = 550 * time.Millisecond
	// dialTimeout bounds one look.
	dialTimeout = 2 * time.Second
)

// slot is the virtual card reader: at most one card is in it.
type slot struct {
	addr string
	log  *slog.Logger

	mu      sync.Mutex
	card    *CardFile
	cancel  context.CancelFunc
	done    chan struct{}
	linked  bool
	plugged bool
	tearAt  int       // tear at this APDU from now, 0 never
	left    time.Time // when the last card left
	apdus   int64

	asked, answered time.Time // see State
}

func newSlot(addr string, log *slog.Logger) *slot {
	return &slot{addr: addr, log: log, plugged: true}
}

// insert puts a card in, replacing one that is there. It does not wait for
// pcscd to notice.
func (s *slot) insert(ctx context.Context, c *CardFile) error {
	os, err := newCardOS(c)
	if err != nil {
		return err
	}
	s.remove()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.card, s.tearAt = c, 0
	s.asked, s.answered = time.Time{}, time.Time{}
	if s.plugged {
		s.start(ctx, os)
	}
	return nil
}

// start begins to hold the card to the reader; s.mu is held.
func (s *slot) start(ctx context.Context, os *cardOS) {
	run, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	s.cancel, s.done = cancel, done
	go func() {
		defer close(done)
		s.hold(run, os)
	}()
}

// remove takes the card out and returns when the reader has been let go.
func (s *slot) remove() {
	s.mu.Lock()
	s.card, s.tearAt = nil, 0
	s.mu.Unlock()
	s.stop()
}

func (s *slot) stop() {
	s.mu.Lock()
	cancel, done := s.cancel, s.done
	s.cancel, s.done = nil, nil
	s.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
}

// plug puts the reader's cable in or out. The card stays where it is.
func (s *slot) plug(ctx context.Context, in bool) {
	s.mu.Lock()
	same := s.plugged == in
	s.plugged = in
	c := s.card
	s.mu.Unlock()
	if same {
		return
	}
	if !in {
		s.stop()
		return
	}
	if c == nil {
		return
	}
	os, err := newCardOS(c)
	if err != nil { // it was loaded before, so it loads again
		s.log.Error("simulated card does not load", "card", c.Name, "err", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.start(ctx, os)
}

// tear makes the card leave in the middle of the n-th APDU from now, before it
// is answered. n ≤ 0 takes it out at once.
func (s *slot) tear(n int) {
	if n <= 0 {
		s.remove()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tearAt = n
}

// hold keeps the card in the reader until ctx ends or it is torn out, over any
// restart of pcscd.
func (s *slot) hold(ctx context.Context, os *cardOS) {
	s.mu.Lock()
	gap := swapGap - time.Since(s.left)
	s.mu.Unlock()
	select {
	case <-ctx.Done():
		return
	case <-time.After(gap):
	}
	d := net.Dialer{Timeout: dialTimeout}
	for ctx.Err() == nil {
		conn, err := d.DialContext(ctx, "tcp", s.addr)
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(dialEvery):
			}
			continue
		}
		s.setLinked(true)
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		torn := s.talk(conn, os)
		stop()
		conn.Close()
		s.setLinked(false)
		if torn {
			s.mu.Lock()
			s.card, s.tearAt = nil, 0
			s.mu.Unlock()
			return
		}
	}
}

func (s *slot) setLinked(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.linked && !on {
		s.left = time.Now()
	}
	s.linked = on
}

// talk serves one connection; it reports whether the card was torn out.
func (s *slot) talk(conn net.Conn, os *cardOS) (torn bool) {
	os.reset()
	muted := false // an unresponsive card shows presence until power comes
	for {
		quickAck(conn)
		msg, err := readMessage(conn)
		if err != nil {
			return false
		}
		if len(msg) == 1 {
			switch msg[0] {
			case ctrlOff, ctrlOn, ctrlReset:
				os.reset()
				muted = os.kind == KindUnresponsive && msg[0] != ctrlOff
			case ctrlATR:
				atr := os.atr
				if muted {
					// No answer to reset: bytes that are none, as a dirty
					// contact gives. The next question is whether it is there.
					atr, muted = muteATR, false
				}
				if writeMessage(conn, atr) != nil {
					return false
				}
			}
			continue
		}
		if len(msg) == 0 {
			continue
		}
		s.mu.Lock()
		s.apdus++
		if s.asked.IsZero() {
			s.asked = time.Now()
		}
		if s.tearAt > 0 {
			s.tearAt--
			torn = s.tearAt == 0
		}
		s.mu.Unlock()
		if torn {
			return true
		}
		if os.delay > 0 {
			time.Sleep(os.delay) // the card's own time, bounded by ParseCard
		}
		answer := os.apdu(msg)
		s.mu.Lock()
		s.answered = time.Now() // before it is out, or who got it may be ahead of it
		s.mu.Unlock()
		if writeMessage(conn, answer) != nil {
			return false
		}
	}
}

// muteATR is what a card that is the wrong way round seems to say: no TS
// character of ISO/IEC 7816-3, so no answer to reset. (vpcd hangs on an empty one.)
var muteATR = []byte{0xFF}

// quickAck asks for acknowledgements without delay. vpcd sends a message in two
// pieces and waits in between; without it each command takes 40 ms longer than
// any real card. The kernel forgets it, so it is said before every message.
func quickAck(conn net.Conn) {
	t, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	})
}

func readMessage(r io.Reader) ([]byte, error) {
	var n [2]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, binary.BigEndian.Uint16(n[:]))
	_, err := io.ReadFull(r, msg)
	return msg, err
}

func writeMessage(w io.Writer, msg []byte) error {
	buf := binary.BigEndian.AppendUint16(make([]byte, 0, len(msg)+2), uint16(len(msg)))
	_, err := w.Write(append(buf, msg...))
	return err
}
