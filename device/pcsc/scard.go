//go:build cgo

package pcsc

import (
	"errors"
	"fmt"
	"time"

	"github.com/ebfe/scard"
)

// newService returns PC/SC of this machine.
func newService() service { return libService{} }

// maxAPDU bounds a command, bytes: an extended one (ISO/IEC 7816-3).
const maxAPDU = 65544

// maxATR is the longest answer to reset; the binding writes into an array of
// this size without asking.
const maxATR = 33

type libService struct{}

type libSession struct {
	ctx *scard.Context
	// id makes the reader names of this session differ from those of every
	// other one behind their NUL. The binding keeps the C strings alive in a
	// map by name, in which two sessions that wait for the same reader would
	// throw out each other's string while C still reads it.
	id string
}

type libCard struct{ card *scard.Card }

// guard turns the binding's panics (empty slices, unknown protocols) into an
// error.
func guard(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", errPanic, p)
	}
}

func mapErr(err error) error {
	if err == nil {
		return nil
	}
	var e scard.Error
	if errors.As(err, &e) {
		return scError(e)
	}
	return fmt.Errorf("%w: %w", errPanic, err)
}

func (libService) establish() (s session, err error) {
	defer guard(&err)
	ctx, err := scard.EstablishContext()
	if err != nil {
		return nil, mapErr(err)
	}
	ls := &libSession{ctx: ctx}
	ls.id = fmt.Sprintf("\x00%p", ls)
	return ls, nil
}

func (s *libSession) readers() (names []string, err error) {
	defer guard(&err)
	names, err = s.ctx.ListReaders()
	if errors.Is(err, scard.ErrNoReadersAvailable) {
		return nil, nil
	}
	return names, mapErr(err)
}

func (s *libSession) wait(states []readerState, timeout time.Duration) (err error) {
	defer guard(&err)
	if len(states) == 0 {
		return fmt.Errorf("%w: nothing to wait for", errPanic)
	}
	rs := make([]scard.ReaderState, len(states))
	for i, st := range states {
		rs[i] = scard.ReaderState{Reader: st.name + s.id, CurrentState: scard.StateFlag(st.current)}
	}
	if err := s.ctx.GetStatusChange(rs, timeout); err != nil {
		return mapErr(err)
	}
	for i := range rs {
		states[i].event = uint32(rs[i].EventState)
		states[i].atr = rs[i].Atr
		if len(states[i].atr) > maxATR {
			states[i].atr = states[i].atr[:maxATR]
		}
	}
	return nil
}

func (s *libSession) connect(reader string) (c cardHandle, err error) {
	defer guard(&err)
	card, err := s.ctx.Connect(reader, scard.ShareExclusive, scard.ProtocolAny)
	if err != nil {
		return nil, mapErr(err)
	}
	switch card.ActiveProtocol() {
	case scard.ProtocolT0, scard.ProtocolT1:
	default:
		// Transmit would panic: the reader did not agree on a protocol.
		_ = card.Disconnect(scard.LeaveCard)
		return nil, errProtoMismatch
	}
	return &libCard{card: card}, nil
}

func (s *libSession) cancel() (err error) {
	defer guard(&err)
	return mapErr(s.ctx.Cancel())
}

func (s *libSession) release() (err error) {
	defer guard(&err)
	return mapErr(s.ctx.Release())
}

func (c *libCard) transmit(apdu []byte) (resp []byte, err error) {
	defer guard(&err)
	if len(apdu) < 4 || len(apdu) > maxAPDU {
		return nil, fmt.Errorf("%w: command of %d bytes", errPanic, len(apdu))
	}
	resp, err = c.card.Transmit(apdu)
	return resp, mapErr(err)
}

func (c *libCard) disconnect() (err error) {
	defer guard(&err)
	return mapErr(c.card.Disconnect(scard.ResetCard))
}

func (c *libCard) protocolT0() bool { return c.card.ActiveProtocol() == scard.ProtocolT0 }
