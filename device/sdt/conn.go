package sdt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Commands (command and parameter byte).
const (
	cmdStatus  = 0x11FF
	cmdSAM     = 0x12FF
	cmdFind    = 0x2001
	cmdSelect  = 0x2002
	cmdRead    = 0x3001
	cmdAddress = 0x3003 // added address; asked to see whether the card still lies there
)

var (
	// errSilent means that no good answer came in time.
	errSilent = errors.New("ID reader does not answer")
	// errLine means that the line itself is gone.
	errLine = errors.New("serial line is gone")
)

// conn is one opened line and what has come in on it. Used by the driver's
// goroutine only, apart from the pump.
type conn struct {
	port   io.ReadWriteCloser
	in     chan []byte // closed when the line is gone
	stop   chan struct{}
	done   chan struct{}
	parser parser
	times  Timings
	count  func(string)
	again  bool // the last command had to be sent more than once
}

func newConn(port io.ReadWriteCloser, times Timings, count func(string)) *conn {
	c := &conn{port: port, in: make(chan []byte), stop: make(chan struct{}), done: make(chan struct{}), times: times, count: count}
	go c.pump()
	return c
}

// pump moves bytes from the line until it is closed or gone.
func (c *conn) pump() {
	defer close(c.done)
	defer close(c.in)
	for {
		buf := make([]byte, 1024)
		n, err := c.port.Read(buf)
		if n > 0 {
			select {
			case c.in <- buf[:n]:
			case <-c.stop:
				return
			}
		}
		if err != nil || n == 0 {
			return
		}
	}
}

// close closes the line and returns when the pump has ended.
func (c *conn) close() {
	close(c.stop)
	_ = c.port.Close()
	<-c.done
}

// exchange sends a command and returns its answer whatever its status. A frame
// that came broken, or one that the reader says came broken to it, is sent
// again. Errors wrap errSilent, errLine or the context's.
func (c *conn) exchange(ctx context.Context, cmd uint16, timeout time.Duration) (answer, error) {
	var err error
	for try := range c.times.Tries {
		c.again = try > 0
		var a answer
		a, err = c.once(ctx, cmd, timeout)
		if err == nil && a.sw[2] != swChecksum && a.sw[2] != swLength {
			return a, nil
		}
		if err == nil {
			err = &StatusError{SW: a.sw}
		}
		if errors.Is(err, errLine) || ctx.Err() != nil {
			break
		}
		c.count("line_errors")
	}
	var se *StatusError
	if errors.As(err, &se) {
		err = fmt.Errorf("%w: %w", errSilent, err) // it never understood us
	}
	return answer{}, fmt.Errorf("ID reader command %04X: %w", cmd, err)
}

func (c *conn) once(ctx context.Context, cmd uint16, timeout time.Duration) (answer, error) {
	// A late answer to an earlier command must not be taken for this one's.
	c.parser.reset()
	for drained := false; !drained; {
		select {
		case _, open := <-c.in:
			if !open {
				return answer{}, errLine
			}
		default:
			drained = true
		}
	}
	if _, err := c.port.Write(command(byte(cmd>>8), byte(cmd))); err != nil {
		return answer{}, fmt.Errorf("%w: %w", errLine, err)
	}
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	quiet := time.NewTimer(timeout)
	defer quiet.Stop()
	for {
		if a, ok := c.parser.next(); ok {
			return a, nil
		}
		select {
		case b, open := <-c.in:
			if !open {
				return answer{}, errLine
			}
			c.parser.feed(b)
			// Once an answer has begun it comes without a pause: silence then
			// means that it is broken, and waiting longer helps nobody.
			quiet.Reset(c.times.Quiet)
			continue
		case <-quiet.C:
		case <-limit.C:
		case <-ctx.Done():
			return answer{}, ctx.Err()
		}
		// A wrong length may hide a good frame behind it.
		for len(c.parser.buf) > 0 {
			c.parser.skip()
			if a, ok := c.parser.next(); ok {
				return a, nil
			}
		}
		return answer{}, errSilent
	}
}
