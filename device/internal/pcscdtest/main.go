package pcscdtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// apart marks the process that runs in namespaces of its own.
const apart = "CUNBAN_PCSCDTEST_APART"

// Main runs a package's tests in mount and network namespaces of their own, so
// that the one place of pcscd's socket and the one port of its virtual reader
// are this process's alone, whatever else runs on the machine. Without the
// right to make them (not root) the tests run as they are. It returns the exit
// code for TestMain.
func Main(m *testing.M) int {
	if Apart() {
		if err := settle(); err != nil {
			fmt.Fprintln(os.Stderr, "pcscdtest:", err)
			return 1
		}
		return m.Run()
	}
	self, err := os.Executable()
	if err != nil {
		return m.Run()
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), apart+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return m.Run() // no right to: the lock alone keeps tests apart
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode()
	}
	fmt.Fprintln(os.Stderr, "pcscdtest:", err)
	return 1
}

// settle makes the namespaces usable: an empty place for the socket that
// nobody else sees, and the loopback interface up.
func settle() error {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := os.MkdirAll("/run/pcscd", 0o755); err != nil {
		return fmt.Errorf("place of the socket: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run/pcscd", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("place of the socket: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	return nil
}
