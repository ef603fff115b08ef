// Package pcscdtest gives tests a pcscd of their own with the virtual reader.
// It exists because pcsc-lite's socket has one fixed place on a machine, while
// tests of several packages run at once, beside a demonstration perhaps: Main
// gives a package's tests a machine of their own where that is allowed, and
// elsewhere a lock across processes lets them in one after the other.
package pcscdtest

import (
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
	if os.Getenv(apart) != "" {
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

// stopped is a pcscd that ends with the test.
func stopped(t testing.TB) *sim.Pcscd {
	p := &sim.Pcscd{}
	t.Cleanup(p.Stop)
	return p
}
