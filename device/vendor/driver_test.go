package vendor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cunban/device"
	"cunban/device/contract"
	"cunban/device/vendor"
)

// quick are times that tests can wait for.
func quick(o vendor.Options) vendor.Options {
	o.RestartMin, o.RestartMax = 20*time.Millisecond, 200*time.Millisecond
	return o
}

// samples are the drivers that makers begin with, as commands.
func samples(t *testing.T) map[string][]string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "sample")
	if out, err := exec.Command("go", "build", "-o", bin, "./sample").CombinedOutput(); err != nil {
		t.Fatalf("build the sample: %v\n%s", err, out)
	}
	all := map[string][]string{"Go": {bin}}
	script, err := filepath.Abs("../../assets/manual/vendor/sample_driver.py")
	if err != nil {
		t.Fatal(err)
	}
	if python, err := exec.LookPath("python3"); err == nil {
		all["Python"] = []string{python, script}
	} else if os.Getenv("CUNBAN_CI") == "1" {
		t.Fatalf("python3 is missing: %v", err)
	} else {
		t.Log("no python3: the Python sample is not tried")
	}
	return all
}

func TestSamplesKeepTheContracts(t *testing.T) {
	for name, command := range samples(t) {
		t.Run(name, func(t *testing.T) {
			make := func(_ *testing.T, person string) *vendor.Driver {
				return vendor.New(quick(vendor.Options{Name: "示例", Program: command[0], Args: append(slices.Clone(command[1:]), "--pad", person)}))
			}
			t.Run("device", func(t *testing.T) {
				contract.TestDevice(t, "cunban/device/vendor", func(t *testing.T) device.Device { return make(t, contract.PadOK) })
			})
			t.Run("lights", func(t *testing.T) {
				contract.TestLights(t, func(t *testing.T) device.Lights { return make(t, contract.PadOK) })
			})
			t.Run("PIN pad", func(t *testing.T) {
				contract.TestPINPad(t, func(t *testing.T, person string) device.PINPad { return make(t, person) })
			})
			t.Run("photo", func(t *testing.T) {
				d := make(t, contract.PadOK)
				w := contract.Watch(t, d)
				contract.Start(t, d)
				w.Until(t, "ready", func() bool { return d.Can(vendor.CanWLT) })
				photo, err := d.DecodeWLT(t.Context(), bytes.Repeat([]byte{7}, 1024))
				if err != nil || !bytes.HasPrefix(photo.Bytes(), []byte("BM")) {
					t.Fatalf("photo: %v", err)
				}
				if s := fmt.Sprintf("%v %+v %#v %s %x %q", photo, photo, photo, photo, photo, photo); strings.Trim(s, "* ") != "" {
					t.Errorf("shows itself as %s", s)
				}
				photo.Wipe()
				if _, err := d.DecodeWLT(t.Context(), []byte("short")); err == nil {
					t.Error("five bytes are decoded")
				}
				if _, err := d.CaptureFace(t.Context()); !errors.Is(err, vendor.ErrUnsupported) {
					t.Errorf("what it cannot: %v", err)
				}
				if h := d.Health(); !h.Demo || h.Name != "示例：示例灯板和密码键盘" {
					t.Errorf("health %+v", h)
				}
			})
		})
	}
}

// story is what was seen of a driver that misbehaves once.
type story struct {
	codes  []string // of faults, in order
	fault  device.Health
	err    error // of the first request
	healed bool
	dir    string
}

// watch runs a hostile driver through one request until it works again.
func watch(t *testing.T, mode string) story {
	t.Helper()
	s := story{dir: t.TempDir()}
	o := quick(vendor.Options{Name: "坏", Program: self(t), Args: []string{hostileArg, s.dir, mode},
		Hello: 2 * time.Second, Grace: 300 * time.Millisecond})
	if os.Getenv("CUNBAN_CONTROL") == "patient" {
		o.Hello = time.Hour
	}
	d := vendor.New(o)
	w := contract.Watch(t, d)
	stop := contract.Start(t, d)
	ready := func() bool { return d.Health().State == device.StateReady && d.Can(vendor.CanLights) }
	w.Until(t, "any work", ready)
	s.err = d.SetLights(t.Context(), []device.Lamp{device.LampCard})
	// A driver that answers twice is caught at the next turn.
	_ = d.SelfTest(t.Context())
	w.Until(t, "healed", ready)
	s.healed = true
	if err := d.SetLights(t.Context(), []device.Lamp{device.LampCard}); err != nil {
		t.Errorf("healed, yet: %v", err)
	}
	stop()
	for _, e := range w.Events() {
		if e.Health != nil && e.Health.State == device.StateFault {
			s.codes, s.fault = append(s.codes, e.Health.Code), *e.Health
		}
	}
	return s
}

func self(t *testing.T) string {
	t.Helper()
	p, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestHostileDriversAreContained: each is said, with a remedy, once; the request
// that was under way ends; nothing of it stays; and the next life works. With
// CUNBAN_CONTROL=patient the driver waits for ever, which must be seen.
func TestHostileDriversAreContained(t *testing.T) {
	tried, contained := 0, 0
	defer func() { t.Logf("hostile: %d of %d contained and healed", contained, tried) }()
	for mode, want := range map[string]struct {
		code string
		err  error // of the request under way; nil where it fails before or after
	}{
		"crash at hello": {"VD-02", nil}, "hang at hello": {"VD-03", nil}, "event before hello": {"VD-04", nil},
		"flood on stderr": {"VD-05", nil}, "over-long line": {"VD-04", nil}, "no JSON": {"VD-04", nil},
		"no UTF-8": {"VD-04", nil}, "health before hello": {"VD-04", nil}, "other version": {"VD-06", nil},
		"flapping health": {"VD-05", nil}, "rubbish on stderr": {"VD-02", nil},
		"crash in a request": {"VD-02", vendor.ErrExited}, "hang in a request": {"VD-03", vendor.ErrHung},
		"reply to another request": {"VD-04", vendor.ErrProtocol}, "two replies": {"VD-04", nil}, "flood in a request": {"VD-05", vendor.ErrFlood},
		"leaves children": {"VD-02", vendor.ErrExited}, "bye": {"VD-02", vendor.ErrExited},
	} {
		tried++
		if t.Run(mode, func(t *testing.T) {
			s := watch(t, mode)
			if !slices.Equal(s.codes, []string{want.code}) {
				t.Errorf("faults %v, want %s once", s.codes, want.code)
			}
			if s.fault.Cause == "" || s.fault.Remedy == "" {
				t.Errorf("fault without words: %+v", s.fault)
			}
			if want.err != nil && !errors.Is(s.err, want.err) {
				t.Errorf("request ended with %v, want %v", s.err, want.err)
			}
			switch mode {
			case "rubbish on stderr":
				for _, secret := range []string{"1408", "31415", "QUJD", "王"} {
					if strings.Contains(s.fault.Detail, secret) {
						t.Errorf("detail tells %q: %s", secret, s.fault.Detail)
					}
				}
				if !strings.Contains(s.fault.Detail, "oops") {
					t.Errorf("detail tells nothing: %s", s.fault.Detail)
				}
			case "leaves children":
				pid, err := os.ReadFile(filepath.Join(s.dir, "child"))
				if err != nil {
					t.Fatal(err)
				}
				if alive(string(pid)) {
					t.Errorf("child %s lives on", pid)
				}
			}
		}) {
			contained++
		}
	}
}

// alive reports whether a process runs; one that nobody waited for does not.
func alive(pid string) bool {
	b, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	_, after, ok := strings.Cut(string(b), ") ")
	return err == nil && ok && !strings.HasPrefix(after, "Z")
}

// TestGoodDriverShowsNoFault is the control: the same watch over a driver that
// behaves sees nothing.
func TestGoodDriverShowsNoFault(t *testing.T) {
	s := watch(t, "good")
	if len(s.codes) > 0 || s.err != nil || !s.healed {
		t.Errorf("%+v", s)
	}
	env, err := os.ReadFile(filepath.Join(s.dir, "env"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(env)) {
		name, _, _ := strings.Cut(line, "=")
		if !slices.Contains([]string{"PATH", "LANG", "LC_ALL", "HOME"}, name) {
			t.Errorf("the driver was given %s", name)
		}
	}
}

func TestLampsAreLitAgainAfterACrash(t *testing.T) {
	dir := t.TempDir()
	d := vendor.New(quick(vendor.Options{Name: "灯", Program: self(t), Args: []string{hostileArg, dir, "crash in a request"}}))
	w := contract.Watch(t, d)
	contract.Start(t, d)
	w.Until(t, "ready", func() bool { return d.Can(vendor.CanLights) })
	if err := d.SetLights(t.Context(), []device.Lamp{device.LampScanner}); err == nil {
		t.Fatal("the crash went unnoticed")
	}
	_ = os.Remove(filepath.Join(dir, "lamps"))
	w.Until(t, "the new life", func() bool { return d.Can(vendor.CanLights) })
	_ = d.SelfTest(t.Context()) // comes after what the driver asks by itself
	if b, _ := os.ReadFile(filepath.Join(dir, "lamps")); string(b) != "scanner" {
		t.Errorf("lamps after the crash: %q", b)
	}
}

func TestStubbornDriverDiesWithTheTerminal(t *testing.T) {
	dir := t.TempDir()
	d := vendor.New(vendor.Options{Program: self(t), Args: []string{hostileArg, dir, "ignores bye and SIGTERM"}, Grace: 200 * time.Millisecond})
	w := contract.Watch(t, d)
	stop := contract.Start(t, d)
	w.Until(t, "ready", func() bool { return d.Health().State == device.StateReady })
	stop() // fails the test when it takes too long
}

func TestRestartsSlowDown(t *testing.T) {
	dir := t.TempDir()
	d := vendor.New(vendor.Options{Program: self(t), Args: []string{hostileArg, dir, "crash at hello", "always"},
		RestartMin: 50 * time.Millisecond, RestartMax: 400 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	if err := d.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	lives, err := os.ReadFile(filepath.Join(dir, "lives"))
	if err != nil {
		t.Fatal(err)
	}
	// At 0, 50, 150, 350, 750 and 1150 ms, and later by what a start takes.
	if n := len(lives); n < 2 || n > 6 {
		t.Errorf("%d starts in 1.5 s", n)
	}
}

func TestMissingProgramIsSaid(t *testing.T) {
	d := vendor.New(quick(vendor.Options{Name: "没有", Program: filepath.Join(t.TempDir(), "nothing")}))
	w := contract.Watch(t, d)
	contract.Start(t, d)
	w.Until(t, "VD-01", func() bool { return d.Health().Code == "VD-01" })
	if err := d.SetLights(t.Context(), nil); !errors.Is(err, device.ErrAbsent) {
		t.Errorf("lights: %v", err)
	}
}
