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
	"syscall"
	"time"
)

// graceful is how long scanimage may take to stop the scanner's lamp and
// carriage after it was asked to, before it is killed.
const graceful = 3 * time.Second

// tail keeps the last bytes that a process wrote to its standard error.
type tail struct {
	b   []byte
	max int
}

// maxStderr is enough for every message of scanimage, in bytes.
const maxStderr = 4096

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - t.max; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

// run starts the program in a process group of its own, hands its standard
// output to read, and waits. When ctx ends, the group is asked to stop and
// then killed; nothing of it is left behind when run returns. The returned
// text is the end of the program's standard error.
func run(ctx context.Context, env []string, program string, args []string, read func(io.Reader) error) (stderr string, err error) {
	cmd := exec.CommandContext(ctx, program, args...)
	// English texts and no colour, whatever the machine's language is.
	cmd.Env = append(append(os.Environ(), "LC_ALL=C", "LANGUAGE=C"), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = graceful
	errs := &tail{max: maxStderr}
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
	stop := context.AfterFunc(ctx, func() { _ = out.SetReadDeadline(time.Now().Add(graceful)) })
	readErr := read(out)
	if readErr != nil && !errors.Is(readErr, io.EOF) && !errors.Is(readErr, io.ErrUnexpectedEOF) {
		// Nobody reads on: a program that still writes gets SIGPIPE. Ask it
		// first, so that it can bring the carriage home.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = out.Close()
	}
	waitErr := cmd.Wait()
	stop()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // whatever it started
	text := strings.TrimSpace(string(bytes.ToValidUTF8(errs.b, []byte("?"))))
	if ctx.Err() != nil {
		return text, fmt.Errorf("scan: %s: %w", program, context.Cause(ctx))
	}
	if exit := (*exec.ExitError)(nil); errors.As(waitErr, &exit) && exit.ExitCode() > 0 {
		return text, &exitError{code: exit.ExitCode(), text: text}
	}
	if readErr != nil {
		return text, readErr
	}
	if waitErr != nil {
		return text, fmt.Errorf("scan: %s: %w", program, waitErr)
	}
	return text, nil
}

// exitError is scanimage's own account of what went wrong.
type exitError struct {
	code int
	text string
}

func (e *exitError) Error() string {
	return fmt.Sprintf("scan: scanimage ended with %d: %s", e.code, lastLine(e.text))
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
