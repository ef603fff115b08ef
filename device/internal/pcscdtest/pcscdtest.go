// Package pcscdtest gives tests a pcscd of their own with the virtual reader.
// It exists because pcsc-lite's socket has one fixed place on a machine, while
// tests of several packages run at once, beside a demonstration perhaps: Main
// gives a package's tests a machine of their own where that is allowed, and
// elsewhere a lock across processes lets them in one after the other.
package pcscdtest

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cunban/device/sim"
)

// How long a pcscd that is not of a test is waited for, and how often looked at.
const (
	foreignWait = 10 * time.Second
	foreignLook = 100 * time.Millisecond
)

// Need skips the test because something is not installed, or fails it when the
// environment says that everything must be there (CUNBAN_CI=1).
func Need(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CUNBAN_CI") == "1" {
		t.Fatalf("needed for this test: %s", why)
	}
	t.Skipf("needed for this test: %s", why)
}

// Lock waits until no other test has pcscd, and returns one that is not started
// yet (sim.Options.Pcscd or Start do that). Both end with the test.
func Lock(t testing.TB) *sim.Pcscd {
	t.Helper()
	if _, err := sim.FindPcscd(); err != nil {
		Need(t, err.Error())
	}
	if _, err := os.Stat("/etc/reader.conf.d/vpcd"); err != nil {
		Need(t, "virtual reader (package vsmartcard-vpcd)")
	}
	if err := os.MkdirAll("/run/pcscd", 0o755); err != nil {
		Need(t, "the right to run pcscd: "+err.Error())
	}
	if Apart() {
		return stopped(t) // nobody else can be here
	}
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "cunban-pcscd.lock"), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() }) // which unlocks
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	// Somebody's own pcscd (a demonstration on this machine) is not ours to end.
	for deadline := time.Now().Add(foreignWait); sim.PcscdRuns(); {
		if time.Now().After(deadline) {
			Need(t, "a machine on which no other pcscd runs")
		}
		<-time.After(foreignLook)
	}
	return stopped(t)
}

// SecondVPCD is where pcscd's second virtual reader waits for a card.
const SecondVPCD = "127.0.0.1:35964"

// Stack is pcscd with its virtual readers and a simulator that puts cards in.
type Stack struct {
	Pcscd *sim.Pcscd
	Sim   *sim.Client
}

// New runs the whole stack until the test ends.
func New(t testing.TB) *Stack {
	t.Helper()
	p := Lock(t)
	return &Stack{p, Simulate(t, sim.Options{Pcscd: p})}
}

// Simulate runs a simulator until the test ends; Dir is filled in.
func Simulate(t testing.TB, o sim.Options) *sim.Client {
	t.Helper()
	o.Dir = t.TempDir()
	s := sim.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- s.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("simulator: %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		done <- err
		t.Fatalf("simulator: %v", err)
	}
	c, err := sim.Dial(sim.SocketPath(o.Dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Do has a simulator do something, or fails the test.
func Do(t testing.TB, c *sim.Client, req sim.Request) sim.Reply {
	t.Helper()
	reply, err := c.Do(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// Apart reports whether the tests run on a machine of their own, see Main.
func Apart() bool { return os.Getenv(apart) != "" }

// stopped is a pcscd that ends with the test.
func stopped(t testing.TB) *sim.Pcscd {
	p := &sim.Pcscd{}
	t.Cleanup(p.Stop)
	return p
}
