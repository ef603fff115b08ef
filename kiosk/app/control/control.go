// Package control is the door through which a technician's command (kioskctl)
// reaches a running terminal: a unix socket in the data folder that only its
// owner may open, with one JSON line per question and one per answer. It exists
// because the vault has one owner, the running program, and nobody else may
// open it meanwhile.
//
// It guarantees that a question that is not understood gets an error and harms
// nothing, that a slow peer blocks only itself, and that the socket file of a
// program that was killed does not keep the next one from starting.
package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// SocketName is the file's name in the data folder.
const SocketName = "control.sock"

// Path is the socket of a data folder.
func Path(data string) string { return filepath.Join(data, SocketName) }

// maxLine bounds a question or answer, bytes.
const maxLine = 8 << 20

// Request is one question.
type Request struct {
	Do   string          `json:"do"`
	Args json.RawMessage `json:"args,omitempty"`
}

// Reply is one answer: Out or Error, and Text where there are words for people.
type Reply struct {
	Out   json.RawMessage `json:"out,omitempty"`
	Error string          `json:"error,omitempty"`
}

// ErrNotRunning means that no program answers at the socket.
var ErrNotRunning = errors.New("no terminal is running on this data folder")

// Handler answers one question.
type Handler func(ctx context.Context, r Request) (any, error)

// Serve answers until ctx ends or close is called. It returns at once.
func Serve(ctx context.Context, path string, h Handler) (closeDoor func(), err error) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("control socket %s is in use", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { serve(ctx, c, h) })
		}
	})
	var once sync.Once
	return func() {
		once.Do(func() {
			cancel()
			_ = l.Close()
			wg.Wait()
		})
	}, nil
}

func serve(ctx context.Context, c net.Conn, h Handler) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	defer func() { _ = c.Close() }()
	in := bufio.NewScanner(c)
	in.Buffer(make([]byte, 0, 4096), maxLine)
	out := json.NewEncoder(c)
	for in.Scan() {
		var r Request
		var rep Reply
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			rep.Error = "not a question: " + err.Error()
		} else if v, err := answer(ctx, h, r); err != nil {
			rep.Error = err.Error()
		} else if rep.Out, err = json.Marshal(v); err != nil {
			rep.Error = err.Error()
		}
		if err := out.Encode(rep); err != nil {
			return
		}
	}
}

// answer keeps a fault of one handler from taking the program down.
func answer(ctx context.Context, h Handler, r Request) (v any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: %v", r.Do, p)
		}
	}()
	return h(ctx, r)
}

// Call asks a running terminal one question. out may be nil. ErrNotRunning when
// nobody is there.
func Call(ctx context.Context, path, do string, args, out any) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	req := Request{Do: do}
	if args != nil {
		if req.Args, err = json.Marshal(args); err != nil {
			return fmt.Errorf("%s: %w", do, err)
		}
	}
	if err := json.NewEncoder(c).Encode(req); err != nil {
		return fmt.Errorf("%s: %w", do, err)
	}
	in := bufio.NewScanner(c)
	in.Buffer(make([]byte, 0, 4096), maxLine)
	if !in.Scan() {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%s: %w", do, err)
		}
		return fmt.Errorf("%s: the terminal hung up: %w", do, errors.Join(in.Err(), ErrNotRunning))
	}
	var rep Reply
	if err := json.Unmarshal(in.Bytes(), &rep); err != nil {
		return fmt.Errorf("%s: %w", do, err)
	}
	if rep.Error != "" {
		return fmt.Errorf("%s: %s", do, rep.Error)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(rep.Out, out); err != nil {
		return fmt.Errorf("%s: %w", do, err)
	}
	return nil
}
