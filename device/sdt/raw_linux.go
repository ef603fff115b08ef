package sdt

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

var speeds = map[int]uint32{9600: unix.B9600, 19200: unix.B19200, 38400: unix.B38400, 57600: unix.B57600, 115200: unix.B115200}

// openRaw opens a line that has no modem control (a pty, some USB gadgets), on
// which the serial library fails: 8N1, raw.
func openRaw(path string, baud int) (io.ReadWriteCloser, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open raw: %w", err)
	}
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open raw: not a serial line: %w", err)
	}
	speed, ok := speeds[baud]
	if !ok {
		unix.Close(fd)
		return nil, fmt.Errorf("open raw: speed %d is not supported", baud)
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB|unix.CSTOPB|unix.CBAUD) | unix.CS8 | unix.CREAD | unix.CLOCAL | speed
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open raw: %w", err)
	}
	// Not blocking, so that the runtime polls it and Close ends a Read.
	return os.NewFile(uintptr(fd), path), nil
}
