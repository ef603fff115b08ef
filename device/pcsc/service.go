package pcsc

import (
	"errors"
	"fmt"
	"time"
)

// The part of PC/SC that is used, as an interface: the real one wraps
// ebfe/scard (scard.go), tests bring one that can fail in ways no reader here
// does. Errors are of type scError.

// service makes contexts.
type service interface {
	establish() (session, error)
}

// session is one PC/SC context. Every call may block the context: pcsc-lite
// holds its mutex throughout. cancel alone may be called at any time.
type session interface {
	readers() ([]string, error)
	// wait blocks until a state differs from what is known, the time is over
	// (errTimeout) or cancel was called (errCancelled).
	wait(states []readerState, timeout time.Duration) error
	connect(reader string) (cardHandle, error)
	cancel() error
	release() error
}

// cardHandle is one connected card, exclusive to this program.
type cardHandle interface {
	transmit(apdu []byte) ([]byte, error)
	disconnect() error
	protocolT0() bool
}

// readerState is what is known of a reader and, after wait, what is so.
type readerState struct {
	name    string
	current uint32 // flags as last seen, upper 16 bits are pcsc-lite's event count
	event   uint32
	atr     []byte
}

// Flags of a reader's state (SCARD_STATE_…).
const (
	flagChanged     = 0x0002
	flagUnknown     = 0x0004
	flagUnavailable = 0x0008
	flagEmpty       = 0x0010
	flagPresent     = 0x0020
	flagExclusive   = 0x0080
	flagMute        = 0x0200
)

// pnp is the pseudo reader that tells of readers coming and going.
const pnp = `\\?PnP?\Notification`

// scError is a PC/SC return value.
type scError uint32

// The return values that mean something to the driver.
const (
	errCancelled         scError = 0x80100002
	errInvalidHandle     scError = 0x80100003
	errUnknownReader     scError = 0x80100009
	errTimeout           scError = 0x8010000A
	errSharing           scError = 0x8010000B
	errNoSmartcard       scError = 0x8010000C
	errProtoMismatch     scError = 0x8010000F
	errNotReady          scError = 0x80100010
	errSystemCancelled   scError = 0x80100012
	errComm              scError = 0x80100013
	errNotTransacted     scError = 0x80100016
	errReaderUnavailable scError = 0x80100017
	errNoService         scError = 0x8010001D
	errServiceStopped    scError = 0x8010001E
	errNoReaders         scError = 0x8010002E
	errUnresponsive      scError = 0x80100066
	errUnpowered         scError = 0x80100067
	errReset             scError = 0x80100068
	errRemoved           scError = 0x80100069
	errSecurity          scError = 0x8010006A
	errPanic             scError = 0x801FFFFF // ours: the binding gave up
)

var errNames = map[scError]string{
	errCancelled: "cancelled", errInvalidHandle: "invalid handle", errUnknownReader: "unknown reader", errTimeout: "timeout",
	errSharing: "sharing violation", errNoSmartcard: "no smart card", errProtoMismatch: "protocol mismatch", errNotReady: "not ready",
	errSystemCancelled: "cancelled by the system", errComm: "communication error", errNotTransacted: "not transacted",
	errReaderUnavailable: "reader unavailable", errNoService: "service not running", errServiceStopped: "service stopped",
	errNoReaders: "no readers", errUnresponsive: "unresponsive card", errUnpowered: "unpowered card", errReset: "card was reset",
	errRemoved: "card was removed", errSecurity: "access denied", errPanic: "binding failed",
}

// Error names the return value for technicians.
func (e scError) Error() string {
	if n, ok := errNames[e]; ok {
		return fmt.Sprintf("PC/SC %08X %s", uint32(e), n)
	}
	return fmt.Sprintf("PC/SC %08X", uint32(e))
}

// contextDead reports whether an error means that the context cannot be used
// any more: the service went away or was restarted.
func contextDead(err error) bool {
	var e scError
	if !errors.As(err, &e) {
		return true
	}
	switch e {
	case errInvalidHandle, errNoService, errServiceStopped, errSystemCancelled, errComm, errPanic, errSecurity:
		return true
	}
	return false
}
