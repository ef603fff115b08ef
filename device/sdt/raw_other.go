//go:build !linux

package sdt

import (
	"errors"
	"io"
)

// openRaw is for lines that only Linux has.
func openRaw(string, int) (io.ReadWriteCloser, error) {
	return nil, errors.New("open raw: only on Linux")
}
