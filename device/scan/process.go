package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// maxStderr is enough for every message of scanimage, in bytes.
const maxStderr = 4096

// tail keeps the last bytes that a process wrote to its standard error, and
// calls failed when one of them is scanimage's account of a failure.
type tail struct {
	b      []byte
	failed func()
}

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - maxStderr; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	if bytes.Contains(t.b, []byte("scanimage: sane_")) {
		t.failed()
	}
	return len(p), nil
}

// run starts the program in a process group of its own, hands its standard
// output to read, and waits. When ctx ends, the group is asked to stop and
// killed after grace; nothing of it is left behind when run returns. The returned
// text is the end of the program's standard error.
func run(ctx context.Context, grace time.Duration, env []string, program string, args []string, read func(io.Reader) error) (stderr string, err error) {
	cmd := exec.CommandContext(ctx, program, args...)
	// English texts and no colour, whatever the machine's language is.
	cmd.Env = append(append(os.Environ(), "LC_ALL=C", "LANGUAGE=C"), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = grace
	// Backends hang while they close a scanner that failed, or that is done:
	// from then on there is a time limit of its own.
	var (
		once   sync.Once
		hung   atomic.Bool
		ending *time.Timer
	)
	end := func() {
		once.Do(func() {
			ending = time.AfterFunc(grace, func() {
				hung.Store(true)
				_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			})
		})
	}
	errs := &tail{failed: end}
	cmd.Stderr = errs
	out, in, err := os.Pipe()
	if err != nil {
		return "", fmt.Errorf("scan: pipe: %w", err)
	}
	defer func() { _ = out.Close() }()
	cmd.Stdout = in
	if err := cmd.Start(); err != nil {
		_ = in.Close()
		return "", fmt.Errorf("scan: start %s: %w", program, err)
	}
	_ = in.Close()
	// A reader that hangs on a child's open pipe must not outlive ctx.
	stop := context.AfterFunc(ctx, func() { _ = out.SetReadDeadline(time.Now().Add(grace)) })
	readErr := read(out)
	if readErr != nil && !errors.Is(readErr, io.EOF) && !errors.Is(readErr, io.ErrUnexpectedEOF) {
		// Nobody reads on: a program that still writes gets SIGPIPE. Ask it
		// first, so that it can bring the carriage home.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = out.Close()
	}
	end()
	waitErr := cmd.Wait()
	ending.Stop()
	stop()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // whatever it started
	text := strings.TrimSpace(string(bytes.ToValidUTF8(errs.b, []byte("?"))))
	if ctx.Err() != nil {
		return text, fmt.Errorf("scan: %s: %w", program, context.Cause(ctx))
	}
	if readErr == nil && hung.Load() && !bytes.Contains(errs.b, []byte("scanimage: sane_")) {
		return text, nil // everything had come
	}
	if exit := (*exec.ExitError)(nil); errors.As(waitErr, &exit) {
		return text, errors.Join(&exitError{how: exit.String(), text: text}, readErr)
	}
	if readErr != nil {
		// scanimage ends with 0 when a signal interrupts it: what it said counts.
		return text, errors.Join(&exitError{how: "exit status 0", text: text, ok: true}, readErr)
	}
	if waitErr != nil {
		return text, fmt.Errorf("scan: %s: %w", program, waitErr)
	}
	return text, nil
}

// exitError is scanimage's own account of what went wrong.
type exitError struct {
	how  string // "exit status 9", "signal: segmentation fault"
	text string
	ok   bool // the exit status was 0
}

func (e *exitError) Error() string {
	return fmt.Sprintf("scan: scanimage ended (%s): %s", e.how, lastLine(e.text))
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
