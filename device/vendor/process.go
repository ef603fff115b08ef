package vendor

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// item is what came from a process: a message, or why there will be no more.
type item struct {
	m   Message
	err error
}

// process is one life of a driver's program, in a process group of its own.
type process struct {
	cmd           *exec.Cmd
	in, out, errs *os.File // our ends
	items         chan item
	quit          chan struct{} // closed when nobody takes items any more
	exited        chan struct{} // closed when the program was waited for
	now           func() time.Time
	wg            sync.WaitGroup

	mu    sync.Mutex
	gone  bool   // waited for: its number may be somebody else's
	tail  []byte // of standard error
	meter meter
}

// launch starts a program with nothing of ours: no environment, no open file
// but the three pipes.
func launch(o Options) (*process, error) {
	path, err := exec.LookPath(o.Program)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStart, err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStart, err)
	}
	dir := o.Dir
	if dir == "" {
		dir = filepath.Dir(path)
	}
	p := &process{cmd: exec.Command(path, o.Args...), items: make(chan item), quit: make(chan struct{}),
		exited: make(chan struct{}), now: o.Now}
	p.cmd.Dir = dir
	p.cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "HOME=" + dir}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			_ = f.Close()
		}
	}()
	pipe := func() (r, w *os.File) {
		if err == nil {
			r, w, err = os.Pipe()
		}
		return r, w
	}
	stdin, in := pipe()
	out, stdout := pipe()
	errs, stderr := pipe()
	for _, f := range []*os.File{stdin, stdout, stderr} {
		if f != nil {
			theirs = append(theirs, f)
		}
	}
	p.in, p.out, p.errs = in, out, errs
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, stdout, stderr
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		p.closeFiles()
		return nil, fmt.Errorf("%w: %w", ErrStart, err)
	}
	p.wg.Go(p.read)
	p.wg.Go(p.readErrors)
	go p.reap(o.Grace) // ends with the program, which finish kills
	return p, nil
}

func (p *process) closeFiles() {
	for _, f := range []*os.File{p.in, p.out, p.errs} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// reap waits for the program, kills what it left in its group, and lets readers
// have what is in the pipes still.
func (p *process) reap(grace time.Duration) {
	defer close(p.exited)
	// Not reaped yet: its number, and the group's, cannot be somebody else's.
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	_ = p.cmd.Wait() // how it ended is in ProcessState
	p.gone = true
	// Somebody who left the group may hold the pipes for ever.
	_ = p.out.SetReadDeadline(time.Now().Add(grace))
	_ = p.errs.SetReadDeadline(time.Now().Add(grace))
}

// signal reaches the whole group while it is the program's.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		_ = syscall.Kill(-p.cmd.Process.Pid, s)
	}
}

// finish ends the program: at once, or in an orderly way, for which it has
// grace. Nothing of it is left when finish returns.
func (p *process) finish(orderly bool, grace time.Duration) {
	close(p.quit)
	_ = p.in.Close()
	if orderly && !p.within(grace) {
		p.signal(syscall.SIGTERM)
		p.within(grace / 4)
	}
	p.signal(syscall.SIGKILL)
	<-p.exited
	p.closeFiles()
	p.wg.Wait()
}

// within reports whether the program ended in time.
func (p *process) within(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-p.exited:
		return true
	case <-t.C:
		return false
	}
}

// write sends a line; a program that does not read gets limit to make room.
func (p *process) write(line []byte, limit time.Duration) error {
	_ = p.in.SetWriteDeadline(time.Now().Add(limit))
	_, err := p.in.Write(line)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: it does not read", ErrHung)
	case err != nil:
		return fmt.Errorf("%w: its input is closed", ErrExited)
	}
	return nil
}

// deliver hands an item over unless nobody wants it.
func (p *process) deliver(i item) bool {
	select {
	case p.items <- i:
		return true
	case <-p.quit:
		return false
	}
}

// read turns standard output into items; the last one says why it is the last.
func (p *process) read() {
	in := bufio.NewScanner(p.out)
	in.Buffer(make([]byte, 0, 4096), MaxLine+1)
	in.Split(wholeLines)
	for in.Scan() {
		line := in.Bytes()
		err := p.count(1, len(line))
		var m Message
		if err == nil {
			m, err = Parse(line)
		}
		clear(line) // it may be a photo
		if err != nil {
			p.deliver(item{err: err})
			return
		}
		if !p.deliver(item{m: m}) {
			return
		}
	}
	err := ErrExited
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		err = fmt.Errorf("%w: line over %d bytes", ErrProtocol, MaxLine)
	}
	p.deliver(item{err: err})
}

// wholeLines splits at LF. What a program left without one is no line.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF {
		return len(data), nil, nil
	}
	return 0, nil, nil
}

// readErrors keeps the end of standard error.
func (p *process) readErrors() {
	buf := make([]byte, maxStderr)
	for {
		n, err := p.errs.Read(buf)
		p.mu.Lock()
		p.tail = append(p.tail, buf[:n]...)
		if over := len(p.tail) - maxStderr; over > 0 {
			p.tail = append(p.tail[:0], p.tail[over:]...)
		}
		p.mu.Unlock()
		if err != nil {
			return
		}
		if err := p.count(0, n); err != nil {
			p.deliver(item{err: err})
			return
		}
	}
}

// stderr is what is kept of standard error.
func (p *process) stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return clean(p.tail)
}

// how says how the program ended, for technicians; "" while it runs.
func (p *process) how() string {
	select {
	case <-p.exited:
		return p.cmd.ProcessState.String()
	default:
		return ""
	}
}

func (p *process) count(lines, size int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.meter.add(p.now(), lines, size)
}

// meter counts what comes in one second.
type meter struct {
	since       time.Time
	lines, size int
}

func (m *meter) add(at time.Time, lines, size int) error {
	if at.Sub(m.since) >= time.Second || at.Before(m.since) {
		*m = meter{since: at}
	}
	m.lines, m.size = m.lines+lines, m.size+size
	if m.lines > MaxRate || m.size > MaxBytes {
		return fmt.Errorf("%w: %d lines, %d bytes in a second", ErrFlood, m.lines, m.size)
	}
	return nil
}
