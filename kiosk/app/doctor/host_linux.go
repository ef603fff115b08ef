package doctor

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// synced asks the kernel whether its clock follows another (adjtimex(2)).
func synced() (bool, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, fmt.Errorf("adjtimex: %w", err)
	}
	return state != unix.TIME_ERROR, nil
}

func free(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return int64(s.Bavail) * s.Bsize, nil
}

func mayOpen(path string) error { return unix.Access(path, unix.R_OK|unix.W_OK) }
