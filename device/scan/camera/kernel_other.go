//go:build !linux || !cgo

package camera

import (
	"fmt"

	"cunban/device"
)

// kernel has no video interface that is known here: the clerk's computer uses
// the page folder, and go4vl takes the numbers of Linux's calls from its C
// headers.
type kernel struct{}

func (kernel) find(string) (found, error) {
	return found{}, fmt.Errorf("camera: this system: %w", device.ErrAbsent)
}

func (kernel) open(string, func([]mode) (mode, bool)) (stream, error) {
	return nil, fmt.Errorf("camera: this system: %w", device.ErrAbsent)
}
