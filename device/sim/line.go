package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// lineDial bounds reaching the line's other end.
const lineDial = 5 * time.Second

// line is a TCP forwarder between the terminal and the county that can be cut:
// what a pulled network cable or a storm does to a village.
type line struct {
	listen, target string
	log            *slog.Logger

	mu    sync.Mutex
	l     net.Listener
	conns map[net.Conn]struct{}
	wg    sync.WaitGroup
}

func newLine(listen, target string, log *slog.Logger) *line {
	return &line{listen: listen, target: target, log: log, conns: make(map[net.Conn]struct{})}
}

// up begins to listen and forward. The address stays the same over down and up
// even when a free port was asked for at first.
func (l *line) up() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.l != nil {
		return nil
	}
	ln, err := net.Listen("tcp", l.listen)
	if err != nil {
		return fmt.Errorf("simulated line: %w", err)
	}
	l.l, l.listen = ln, ln.Addr().String()
	l.wg.Add(1)
	go func() {
		defer l.wg.Done()
		l.accept(ln)
	}()
	return nil
}

// down refuses new connections and cuts those there are.
func (l *line) down() {
	l.mu.Lock()
	if l.l != nil {
		_ = l.l.Close()
		l.l = nil
	}
	for c := range l.conns {
		if t, ok := c.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // a reset, not a polite goodbye
		}
		_ = c.Close()
	}
	l.mu.Unlock()
	l.wg.Wait()
}

func (l *line) isUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.l != nil
}

// addr is where the line listens, "" before the first up.
func (l *line) addr() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.listen
}

func (l *line) accept(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				l.log.Error("simulated line stopped", "err", err)
			}
			return
		}
		if !l.track(ln, c) {
			return
		}
		l.wg.Add(1)
		go func() {
			defer l.wg.Done()
			defer l.drop(c)
			l.forward(ln, c)
		}()
	}
}

// track keeps a connection for down to cut; false when down came first.
func (l *line) track(ln net.Listener, c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.l != ln {
		_ = c.Close()
		return false
	}
	l.conns[c] = struct{}{}
	return true
}

func (l *line) drop(c net.Conn) {
	_ = c.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

func (l *line) forward(ln net.Listener, near net.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), lineDial)
	defer cancel()
	var d net.Dialer
	far, err := d.DialContext(ctx, "tcp", l.target)
	if err != nil {
		return
	}
	if !l.track(ln, far) {
		return
	}
	defer l.drop(far)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(far, near)
		halfClose(far)
	}()
	_, _ = io.Copy(near, far)
	halfClose(near)
	<-done
}

func halfClose(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.CloseWrite()
	}
}
