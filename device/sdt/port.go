package sdt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"cunban/device"
	"go.bug.st/serial"
)

// DefaultBaud is the readers' speed from the factory, bits a second.
const DefaultBaud = 115200

// Opener opens the line to the reader. Closing what it returns must end a
// blocked Read. Errors wrap device.ErrAbsent (nothing there), ErrHeld (another
// program has it) or say what is wrong.
type Opener func(ctx context.Context) (io.ReadWriteCloser, error)

// Serial returns an Opener for a serial line: a path, or a pattern such as
// /dev/serial/by-id/*SDT* whose first match is taken, since the number behind
// ttyUSB changes with every plug. baud 0 means DefaultBaud.
func Serial(pattern string, baud int) Opener {
	if baud == 0 {
		baud = DefaultBaud
	}
	return func(context.Context) (io.ReadWriteCloser, error) {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("serial line %q: %w", pattern, err)
		}
		if len(paths) == 0 {
			return nil, fmt.Errorf("serial line %q: %w", pattern, device.ErrAbsent)
		}
		return openSerial(paths[0], baud)
	}
}

func openSerial(path string, baud int) (io.ReadWriteCloser, error) {
	port, err := serial.Open(path, &serial.Mode{BaudRate: baud, DataBits: 8, Parity: serial.NoParity, StopBits: serial.OneStopBit})
	if err == nil {
		return port, nil
	}
	var pe *serial.PortError
	if errors.As(err, &pe) {
		switch pe.Code() {
		case serial.PortBusy:
			return nil, fmt.Errorf("serial line %s: %w: %w", path, device.ErrHeld, err)
		case serial.PortNotFound:
			return nil, fmt.Errorf("serial line %s: %w: %w", path, device.ErrAbsent, err)
		case serial.PermissionDenied:
			return nil, fmt.Errorf("serial line %s: %w", path, err)
		default: // a line without modem control, perhaps: see openRaw
		}
	}
	raw, rawErr := openRaw(path, baud)
	if rawErr != nil {
		return nil, fmt.Errorf("serial line %s: %w", path, errors.Join(err, rawErr))
	}
	return raw, nil
}
