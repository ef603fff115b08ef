package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	gosync "sync"
)

// StoreFile is the SQLite store under a data folder.
const StoreFile = "upstream.db"

// RunningFile under the data folder tells where a server listens; it is there
// while one runs.
const RunningFile = "running.json"

// Running is the content of RunningFile.
type Running struct {
	Listen string `json:"listen"` // host:port for terminals, TLS
	Admin  string `json:"admin"`  // host:port of the staff page, plain HTTP on the loopback
	PID    int    `json:"pid"`
	CAPin  string `json:"ca_pin"`
}

// OpenStore opens what --store names: "" is SQLite under dir, postgres://… is
// PostgreSQL.
func OpenStore(ctx context.Context, dir, name string) (Store, error) {
	switch {
	case name == "":
		return OpenSQLite(ctx, filepath.Join(dir, StoreFile))
	case strings.HasPrefix(name, "postgres://"), strings.HasPrefix(name, "postgresql://"), strings.HasPrefix(name, "host="):
		return OpenPostgres(ctx, name)
	}
	return nil, fmt.Errorf("--store %q: allowed is postgres://… or nothing for SQLite", name)
}

// RunOptions say where to listen.
type RunOptions struct {
	Listen string   // host:port for terminals
	Admin  string   // host:port of the staff page; must be on the loopback; "" = none
	Hosts  []string // further names and addresses for the server's certificate
	Office BackOffice
	// Ready is called when both listeners are open.
	Ready func(Running)
}

// ErrNotLoopback means that the staff page would be open to the network in
// plain HTTP; a county puts its own TLS in front of the loopback.
var ErrNotLoopback = errors.New("the staff page listens on the loopback only")

// Run serves until ctx ends and everything has stopped.
func (c *County) Run(ctx context.Context, o RunOptions) error {
	s, err := NewServer(c)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("listen for terminals: %w", err)
	}
	defer l.Close() // closed by Serve already when that was reached
	run := Running{Listen: l.Addr().String(), PID: os.Getpid(), CAPin: pinOf(c)}
	var al net.Listener
	if o.Admin != "" {
		host, _, err := net.SplitHostPort(o.Admin)
		if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return fmt.Errorf("%w: %q", ErrNotLoopback, o.Admin)
		}
		if al, err = net.Listen("tcp", o.Admin); err != nil {
			return fmt.Errorf("listen for staff: %w", err)
		}
		defer al.Close() // as above
		run.Admin = al.Addr().String()
	}
	host, _, err := net.SplitHostPort(run.Listen)
	if err != nil {
		return fmt.Errorf("listen for terminals: %w", err)
	}
	cert, err := c.o.Keys.ServerCertificate(c.o.Rand, c.now(), append([]string{"localhost", "127.0.0.1", "::1", host}, o.Hosts...))
	if err != nil {
		return err
	}
	path := filepath.Join(c.o.Dir, RunningFile)
	if err := writeRunning(path, run); err != nil {
		return err
	}
	defer os.Remove(path)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg gosync.WaitGroup
	errs := make(chan error, 2)
	serving := func(fn func() error) {
		wg.Go(func() {
			if err := fn(); err != nil {
				errs <- err
				cancel() // one without the other is of no use
			}
		})
	}
	serving(func() error { return s.Serve(ctx, l, cert) })
	if al != nil {
		var page http.Handler = NewPage(c, s)
		serving(func() error { return serve(ctx, al, page, c) })
	}
	wg.Go(func() { c.watch(ctx) })
	if o.Office != nil {
		wg.Go(func() { c.RunOffice(ctx, o.Office) })
	}
	if o.Ready != nil {
		o.Ready(run)
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

func writeRunning(path string, r Running) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write %s: %w", RunningFile, err)
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", RunningFile, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write %s: %w", RunningFile, err)
	}
	return nil
}
