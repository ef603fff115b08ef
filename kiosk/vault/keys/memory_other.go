//go:build !linux

package keys

import (
	"errors"
	"fmt"
)

func lockedPages(int) (mem []byte, locked bool) { return nil, false }

func freePages([]byte) {}

// DisableCoreDumps is known for Linux only; elsewhere errors.ErrUnsupported.
func DisableCoreDumps() error { return fmt.Errorf("switch core dumps off: %w", errors.ErrUnsupported) }

// WipeFreed is known for Linux only; elsewhere errors.ErrUnsupported.
func WipeFreed() error {
	return fmt.Errorf("have freed memory overwritten: %w", errors.ErrUnsupported)
}
