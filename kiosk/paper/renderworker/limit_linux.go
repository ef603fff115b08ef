package renderworker

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// limit gives up what a page renderer does not need.
func limit() error {
	for _, l := range []struct {
		what  int
		name  string
		value uint64
	}{
		// RLIMIT_DATA, not RLIMIT_AS: Go reserves address space that it never
		// uses, and only memory that can be written counts here.
		{unix.RLIMIT_DATA, "memory", MemoryBytes},
		{unix.RLIMIT_CORE, "core dumps", 0},
		{unix.RLIMIT_FSIZE, "files", 0},
	} {
		if err := unix.Setrlimit(l.what, &unix.Rlimit{Cur: l.value, Max: l.value}); err != nil {
			return fmt.Errorf("limit %s: %w", l.name, err)
		}
	}
	// Nobody may look into this process, not even another of the same account.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("limit debugging: %w", err)
	}
	return moreTime()
}

// moreTime sets the limit of processor time to PageSeconds from now. The
// system ends the process that exceeds it.
func moreTime() error {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		return fmt.Errorf("processor time: %w", err)
	}
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CPU, &now); err != nil {
		return fmt.Errorf("processor time: %w", err)
	}
	now.Cur = min(uint64(used.Utime.Sec+used.Stime.Sec)+1+PageSeconds, now.Max)
	if err := unix.Setrlimit(unix.RLIMIT_CPU, &now); err != nil {
		return fmt.Errorf("limit processor time: %w", err)
	}
	return nil
}
