package pcsc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cunban/device"
)

// ioState is what the I/O goroutine alone touches: its context and whose card
// is open.
type ioState struct {
	svc  service
	sess session
	open *transport
}

// work runs operations one after the other until ctx ends.
func (s *Slot) work(ctx context.Context) {
	io := &ioState{svc: s.svc}
	defer func() {
		if io.open != nil {
			io.open.close(io)
		}
		io.drop()
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case job := <-s.jobs:
			job(io)
		}
	}
}

// do runs f on the I/O goroutine and returns its error, or ctx's when that ends
// first; f then still ends in the background.
func (s *Slot) do(ctx context.Context, f func(*ioState) error) error {
	s.mu.Lock()
	running, stop := s.running, s.stop
	s.mu.Unlock()
	if !running {
		return fmt.Errorf("reader driver is not running: %w", device.ErrNoReader)
	}
	res := make(chan error, 1)
	select {
	case s.jobs <- func(io *ioState) { res <- f(io) }:
	case <-stop:
		return fmt.Errorf("reader driver ended: %w", device.ErrNoReader)
	case <-ctx.Done():
		return fmt.Errorf("reader is still occupied: %w: %w", device.ErrBusy, ctx.Err())
	}
	select {
	case err := <-res:
		return err
	case <-ctx.Done():
		return fmt.Errorf("reader did not answer in time: %w", ctx.Err())
	}
}

// retry runs f in the I/O context, once more in a fresh one if that context
// turns out dead: after a restart of the service every context is.
func (io *ioState) retry(f func(session) error) error {
	var err error
	for range 2 {
		if io.sess == nil {
			if io.sess, err = io.svc.establish(); err != nil {
				io.sess = nil
				return err
			}
		}
		if err = f(io.sess); err == nil || !contextDead(err) {
			return err
		}
		var e scError
		if errors.As(err, &e) && e == errSecurity {
			return err
		}
		io.drop()
	}
	return err
}

func (io *ioState) drop() {
	if io.sess != nil {
		_ = io.sess.release()
		io.sess = nil
	}
}

// transport is one open card.
type transport struct {
	slot   *Slot
	card   cardHandle // I/O goroutine only
	reader string
	atr    []byte

	mu   sync.Mutex
	dead error
}

// Connect opens the card that is in now, for this program alone. Errors:
// device.ErrNoReader, ErrNoCard, ErrUnresponsive, ErrHeld, ErrBusy (a Transport
// is open already), context errors.
func (s *Slot) Connect(ctx context.Context) (device.Transport, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	ev := s.CardState()
	switch ev.State {
	case device.CardNoReader:
		return nil, fmt.Errorf("connect to the card: %w", device.ErrNoReader)
	case device.CardNone:
		return nil, fmt.Errorf("connect to the card: %w", device.ErrNoCard)
	case device.CardUnresponsive:
		return nil, fmt.Errorf("connect to the card: %w", device.ErrUnresponsive)
	case device.CardHeld, device.CardInserted, device.CardMustBeLifted:
		// Held may be over by now: asking is how to know.
	}
	t := &transport{slot: s, reader: ev.Reader, atr: ev.ATR}
	err := s.do(ctx, func(io *ioState) error {
		if ctx.Err() != nil {
			return ctx.Err() // nobody waits for it any more
		}
		if io.open != nil {
			return fmt.Errorf("connect to the card: %w", device.ErrBusy)
		}
		s.setOurs(true)
		err := t.connect(ctx, io)
		if err != nil {
			s.setOurs(false)
			return s.connectError(ev.Reader, err)
		}
		io.open = t
		if ctx.Err() != nil { // it came too late
			t.close(io)
			return ctx.Err()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.hub.Good()
	return t, nil
}

func (t *transport) connect(ctx context.Context, io *ioState) error {
	for try := 1; ; try++ {
		err := io.retry(func(sess session) (err error) {
			t.card, err = sess.connect(t.reader)
			return err
		})
		if !errors.Is(err, errSharing) || try == sharingTries || ctx.Err() != nil {
			return err
		}
		pause(ctx, sharingPause)
	}
}

// setOurs notes that the reader looks exclusive because of us.
func (s *Slot) setOurs(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ours = on
	if on {
		s.held = false
	}
}

// connectError makes the port's error of PC/SC's and publishes what it says
// about the reader.
func (s *Slot) connectError(reader string, err error) error {
	var e scError
	if !errors.As(err, &e) {
		return fmt.Errorf("connect to the card: %w", err)
	}
	s.hub.Count("connect_failed")
	wrap := func(port error) error { return fmt.Errorf("connect to the card: %w: %w", port, err) }
	switch e {
	case errSharing:
		s.mu.Lock()
		s.held = true
		if s.down == nil {
			s.publish()
		}
		if s.wake != nil {
			s.wake()
		}
		s.mu.Unlock()
		return wrap(device.ErrHeld)
	case errNoSmartcard, errRemoved:
		return wrap(device.ErrNoCard)
	case errUnresponsive, errUnpowered, errProtoMismatch, errNotReady, errReset:
		return wrap(device.ErrUnresponsive)
	case errSecurity:
		s.mu.Lock()
		s.refused = err
		if s.down == nil {
			s.publish()
		}
		s.mu.Unlock()
		return wrap(device.ErrNoReader)
	}
	return wrap(device.ErrNoReader)
}

// ATR returns the card's answer to reset.
func (t *transport) ATR() []byte { return t.atr }

// Transmit sends a command and follows 61xx (GET RESPONSE) and 6Cxx (again with
// the right Le), ISO/IEC 7816-4 §5.1.3 and 7816-3 §12. After an error the
// transport is spent. Errors: device.ErrCardTorn, ErrNoReader, context errors.
func (t *transport) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if err := t.spent(nil); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, apduTimeout)
	defer cancel()
	var resp []byte
	err := t.slot.do(ctx, func(io *ioState) (err error) {
		if io.open != t {
			return fmt.Errorf("card is closed: %w", device.ErrCardTorn)
		}
		resp, err = t.exchange(apdu)
		if err != nil && contextDead(err) {
			t.close(io)
			io.drop()
		}
		return err
	})
	if err != nil {
		return nil, t.spent(t.transmitError(err))
	}
	return resp, nil
}

// spent notes the first error and returns it.
func (t *transport) spent(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dead == nil {
		t.dead = err
	}
	return t.dead
}

// maxMore bounds how many times a card may say that there is more.
const maxMore = 32

// exchange runs on the I/O goroutine.
func (t *transport) exchange(apdu []byte) ([]byte, error) {
	cmd := append([]byte(nil), apdu...)
	if t.card.protocolT0() && len(cmd) > 5 && len(cmd) == 5+int(cmd[4])+1 {
		cmd = cmd[:len(cmd)-1] // T=0 has no Le in a command with data
	}
	var data []byte
	mended := false
	for range maxMore {
		resp, err := t.card.transmit(cmd)
		if err != nil {
			return nil, err
		}
		if len(resp) < 2 {
			return nil, fmt.Errorf("answer of %d bytes: %w", len(resp), errNotTransacted)
		}
		sw1, sw2 := resp[len(resp)-2], resp[len(resp)-1]
		switch {
		case sw1 == 0x61:
			data = append(data, resp[:len(resp)-2]...)
			cmd = []byte{cmd[0] & 0x03, 0xC0, 0x00, 0x00, sw2} // same logical channel
		case sw1 == 0x6C && !mended && (len(cmd) == 4 || len(cmd) == 5):
			mended = true // a card that says so twice is not asked a third time
			cmd = append(cmd[:4:4], sw2)
		default:
			return append(data, resp...), nil
		}
	}
	return nil, fmt.Errorf("card gives more without end: %w", errNotTransacted)
}

// transmitError makes the port's error.
func (t *transport) transmitError(err error) error {
	var e scError
	if !errors.As(err, &e) {
		return fmt.Errorf("card command: %w", err)
	}
	t.slot.hub.Count("torn")
	switch e {
	case errRemoved, errNoSmartcard, errNotTransacted, errReset, errUnresponsive, errUnpowered:
		return fmt.Errorf("card command: %w: %w", device.ErrCardTorn, err)
	}
	return fmt.Errorf("card command: %w: %w", device.ErrNoReader, err)
}

// closeTimeout bounds giving the card back.
const closeTimeout = 2 * time.Second

// Close gives the card back (reset, so that the next program finds it fresh).
// It may be called more than once.
func (t *transport) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = t.spent(fmt.Errorf("card is closed: %w", device.ErrCardTorn))
	err := t.slot.do(ctx, func(io *ioState) error {
		if io.open == t {
			t.close(io)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("close the card: %w", err)
	}
	return nil
}

// close runs on the I/O goroutine. A card that is gone cannot be disconnected,
// which is as good.
func (t *transport) close(io *ioState) {
	if t.card != nil {
		_ = t.card.disconnect()
		t.card = nil
	}
	io.open = nil
	t.slot.setOurs(false)
}
