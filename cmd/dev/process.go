package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Limits of programs that are started here.
const (
	stopWait = 20 * time.Second // to end after SIGTERM before it is killed
	killWait = 5 * time.Second
)

// process is a program that was started here, in its own process group, so that
// its children end with it.
type process struct {
	name string
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{}
	err  error // of Wait, once done is closed
}

// start runs a program with its output in logDir/name.log. When ready is not
// "", it returns once a line of standard output begins with it.
func start(ctx context.Context, logDir, name, ready string, readyWait time.Duration, env []string, argv ...string) (*process, error) {
	logFile, err := os.OpenFile(filepath.Join(logDir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	// The group lets everything end together; the parent's death ends it too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Stderr = logFile
	seen := make(chan struct{})
	var out io.ReadCloser
	if ready == "" {
		cmd.Stdout = logFile
		close(seen)
	} else if out, err = cmd.StdoutPipe(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), logFile.Close())
	}
	if err := startOnThread(cmd); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), logFile.Close())
	}
	p := &process{name: name, cmd: cmd, log: logFile, done: make(chan struct{})}
	var reading sync.WaitGroup
	if out != nil {
		reading.Go(func() {
			in := bufio.NewScanner(out)
			first := true
			for in.Scan() {
				_, _ = fmt.Fprintln(logFile, in.Text())
				if first && strings.HasPrefix(in.Text(), ready) {
					first = false
					close(seen)
				}
			}
		})
	}
	go func() {
		reading.Wait()
		p.err = cmd.Wait()
		_ = logFile.Close()
		close(p.done)
	}()
	limit := time.NewTimer(readyWait)
	defer limit.Stop()
	if ready == "" {
		return p, nil
	}
	select {
	case <-seen:
		return p, nil
	case <-p.done:
		return nil, fmt.Errorf("start %s: it ended at once: %v\n%s", name, p.err, tail(logFile.Name(), 12))
	case <-limit.C:
		p.stop()
		return nil, fmt.Errorf("start %s: it was not ready in %s\n%s", name, readyWait, tail(logFile.Name(), 12))
	case <-ctx.Done():
		p.stop()
		return nil, fmt.Errorf("start %s: %w", name, ctx.Err())
	}
}

// startOnThread starts cmd from a thread that lives as long as this program:
// Pdeathsig counts the death of the thread that forked.
func startOnThread(cmd *exec.Cmd) error {
	forkerOnce.Do(func() { go forker() })
	answer := make(chan error)
	forks <- fork{cmd, answer}
	return <-answer
}

// startWithFile runs a program that gets f as its descriptor 3.
func startWithFile(logDir, name string, f *os.File, argv ...string) (*process, error) {
	logFile, err := os.OpenFile(filepath.Join(logDir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = logFile, logFile, []*os.File{f}
	if err := startOnThread(cmd); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), logFile.Close())
	}
	p := &process{name: name, cmd: cmd, log: logFile, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		_ = logFile.Close()
		close(p.done)
	}()
	return p, nil
}

type fork struct {
	cmd    *exec.Cmd
	answer chan error
}

var (
	forkerOnce sync.Once
	forks      = make(chan fork)
)

// forker owns the thread that starts programs. It has no end of its own: the
// end of the thread would end them.
func forker() {
	runtime.LockOSThread()
	for f := range forks {
		f.answer <- f.cmd.Start()
	}
}

// running reports whether the program has not ended.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// stop ends the program and its children: politely, then not. It returns when
// nothing of the group is left.
func (p *process) stop() {
	if p == nil {
		return
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopWait):
	}
	p.kill()
}

// kill ends the whole group at once.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	select {
	case <-p.done:
	case <-time.After(killWait):
	}
}

// wait waits for the program to end by itself.
func (p *process) wait(d time.Duration) error {
	select {
	case <-p.done:
		return p.err
	case <-time.After(d):
		return fmt.Errorf("%s did not end in %s", p.name, d)
	}
}

// output runs a program to its end and returns its standard output; the error
// holds what it said.
func output(ctx context.Context, env []string, argv ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, strings.TrimSpace(errs.String()+"\n"+string(out)))
	}
	return out, nil
}

// show runs a program to its end with its output on the screen.
func show(ctx context.Context, dir string, env []string, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopWait
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return nil
}

// tail is the last lines of a file.
func tail(path string, lines int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
