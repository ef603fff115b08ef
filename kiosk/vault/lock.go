//go:build unix

package vault

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lockName is the lock file. It stays empty: nothing in the folder is readable.
const lockName = "vault.lock"

// lockDir keeps every other program out until the returned file is closed
// (flock(2): the kernel lets go when the process ends, however it ends).
// Errors: ErrLocked.
func lockDir(dir string) (*os.File, error) {
	name := filepath.Join(dir, lockName)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the vault's lock: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrLocked
		if pid := holder(f); pid != "" {
			err = fmt.Errorf("%w (process %s)", ErrLocked, pid)
		}
	}
	return nil, errors.Join(err, f.Close())
}

// unlockDir lets go. Not by closing alone: a child that another part of the
// program is just starting has the file open too until it has become the other
// program, and the lock would be held until then.
func unlockDir(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}

// holder asks the kernel's list of locks who has the file; "" when it does not
// tell.
func holder(f *os.File) string {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return ""
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return ""
	}
	defer func() { _ = locks.Close() }() // only read from
	inode := fmt.Sprintf(":%d", st.Ino)
	for sc := bufio.NewScanner(locks); sc.Scan(); {
		// 1: FLOCK  ADVISORY  WRITE 1234 08:02:1311234 0 EOF
		if w := strings.Fields(sc.Text()); len(w) > 5 && w[1] == "FLOCK" && strings.HasSuffix(w[5], inode) {
			return w[4]
		}
	}
	return ""
}
