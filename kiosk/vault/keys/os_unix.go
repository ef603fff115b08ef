//go:build unix

package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// groupOrOthers are the permission bits that a key file must not have.
const groupOrOthers = 0o077

func readableByOthers(st fs.FileInfo) bool { return st.Mode().Perm()&groupOrOthers != 0 }

// syncDir makes a new name in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open the folder %s: %w", dir, err)
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) {
		err = nil // a file system that cannot sync folders
	}
	if err := errors.Join(err, d.Close()); err != nil {
		return fmt.Errorf("sync the folder %s: %w", dir, err)
	}
	return nil
}

// Mounted reports whether something is mounted at a folder: it is on another
// device than its parent. A folder that does not exist is not.
func Mounted(dir string) (bool, error) {
	a, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	b, err := os.Stat(filepath.Join(dir, ".."))
	if err != nil {
		return false, err
	}
	x, ok1 := a.Sys().(*syscall.Stat_t)
	y, ok2 := b.Sys().(*syscall.Stat_t)
	if !ok1 || !ok2 {
		return false, errors.ErrUnsupported
	}
	return x.Dev != y.Dev, nil
}

// ownGroup lets a helper program be ended with all that it started.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
