package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// What pcsc-lite fixes at compile time (Debian).
const (
	pcscdSocket = "/run/pcscd/pcscd.comm"
	pcscdPID    = "/run/pcscd/pcscd.pid"
	vpcdConf    = "/etc/reader.conf.d/vpcd"
	vpcdFile    = "vpcd"
)

const (
	// pcscdStart bounds how long pcscd may take to listen.
	pcscdStart = 10 * time.Second
	// pcscdStop is how long it may take to go before it is killed.
	pcscdStop = 5 * time.Second
	// pcscdLook is how often its socket is looked for while it starts.
	pcscdLook = 20 * time.Millisecond
)

// ErrPcscdRuns means that a pcscd of somebody else has the socket.
var ErrPcscdRuns = errors.New("another pcscd is running")

// Pcscd is a pcscd of our own with the virtual reader and no other
// configuration: for demonstrations and tests on machines where no service
// manager runs one. The socket's place is fixed by pcsc-lite, so there can be
// one on a machine. Needs the right to write /run/pcscd (root in a container).
// Safe for concurrent use.
type Pcscd struct {
	Path string    // of pcscd; "" looks for it
	Log  io.Writer // its output; nil drops it

	mu       sync.Mutex
	cmd      *exec.Cmd
	exited   chan struct{}
	conf     string
	readerIn bool
	set      bool
}

// FindPcscd returns the path of pcscd, which is often outside PATH.
func FindPcscd() (string, error) {
	for _, p := range []string{"pcscd", "/usr/sbin/pcscd", "/usr/local/sbin/pcscd"} {
		if full, err := exec.LookPath(p); err == nil {
			return full, nil
		}
	}
	return "", errors.New("pcscd is not installed (package pcscd)")
}

// Start runs pcscd and returns when it listens. A running one of ours is left
// alone; ErrPcscdRuns when somebody else's has the socket. It ends with Stop or
// Kill, not with ctx.
func (p *Pcscd) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.set {
		p.readerIn, p.set = true, true
	}
	return p.start(ctx)
}

func (p *Pcscd) start(ctx context.Context) error {
	if p.cmd != nil {
		select {
		case <-p.exited: // it died on its own
			p.cmd = nil
		default:
			return nil
		}
	}
	if listening() {
		return fmt.Errorf("start pcscd: %w", ErrPcscdRuns)
	}
	path := p.Path
	if path == "" {
		var err error
		if path, err = FindPcscd(); err != nil {
			return err
		}
	}
	if err := p.configure(); err != nil {
		return err
	}
	// Left over from one that was killed: pcscd would refuse to start.
	_ = os.Remove(pcscdSocket)
	_ = os.Remove(pcscdPID)
	cmd := exec.Command(path, "--foreground", "--config", p.conf)
	cmd.Stdout, cmd.Stderr = p.Log, p.Log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start pcscd: %w", err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	p.cmd, p.exited = cmd, exited
	deadline := time.NewTimer(pcscdStart)
	defer deadline.Stop()
	for !listening() {
		select {
		case <-time.After(pcscdLook):
		case <-exited:
			p.cmd = nil
			return fmt.Errorf("start pcscd: it ended at once: %s", cmd.ProcessState)
		case <-deadline.C:
			p.end(syscall.SIGKILL)
			return errors.New("start pcscd: it does not listen")
		case <-ctx.Done():
			p.end(syscall.SIGKILL)
			return fmt.Errorf("start pcscd: %w", ctx.Err())
		}
	}
	return nil
}

// configure writes the readers' configuration: the virtual reader as Debian
// ships it, or nothing.
func (p *Pcscd) configure() error {
	if p.conf == "" {
		dir, err := os.MkdirTemp("", "cunban-pcscd-")
		if err != nil {
			return fmt.Errorf("configure pcscd: %w", err)
		}
		p.conf = dir
	}
	file := filepath.Join(p.conf, vpcdFile)
	if !p.readerIn {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("configure pcscd: %w", err)
		}
		return nil
	}
	data, err := os.ReadFile(vpcdConf)
	if err != nil {
		return fmt.Errorf("configure pcscd: virtual reader (package vsmartcard-vpcd): %w", err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		return fmt.Errorf("configure pcscd: %w", err)
	}
	return nil
}

// Stop ends pcscd as a service manager does and forgets its configuration.
func (p *Pcscd) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(syscall.SIGTERM)
	if p.conf != "" {
		_ = os.RemoveAll(p.conf)
		p.conf = ""
	}
}

// Kill ends it as a crash does.
func (p *Pcscd) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(syscall.SIGKILL)
}

// SetReader plugs the virtual reader in or out. pcscd knows no way to lose a
// virtual reader while it runs, so out means: restarted without it.
func (p *Pcscd) SetReader(ctx context.Context, in bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.set && p.readerIn == in && p.cmd != nil {
		return nil
	}
	p.readerIn, p.set = in, true
	p.end(syscall.SIGTERM)
	return p.start(ctx)
}

func (p *Pcscd) end(sig syscall.Signal) {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(sig)
	select {
	case <-p.exited:
	case <-time.After(pcscdStop):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
	p.cmd = nil
}

// PcscdRuns reports whether any pcscd listens on this machine.
func PcscdRuns() bool { return listening() }

func listening() bool {
	c, err := net.Dial("unix", pcscdSocket)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// PcscdCommand is what to type to run pcscd by hand as this package does.
func PcscdCommand() string {
	return strings.Join([]string{"/usr/sbin/pcscd", "--foreground", "--config", filepath.Dir(vpcdConf)}, " ")
}
