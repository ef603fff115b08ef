package scan

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"cunban/device"
)

// need skips without the program, except where everything must be there.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("CUNBAN_CI") == "1" {
			t.Fatalf("%s is not installed", program)
		}
		t.Skipf("%s is not installed", program)
	}
}

// saneConfig makes a SANE configuration with the test backend and settings.
func saneConfig(t *testing.T, settings ...string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "dll.conf"), "test\n")
	write(t, filepath.Join(dir, "test.conf"), strings.Join(append([]string{"number_of_devices 2"}, settings...), "\n")+"\n")
	return dir
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestSANEListsAndScans(t *testing.T) {
	need(t, "scanimage")
	s := NewSANE(SANEOptions{ConfigDir: saneConfig(t)})
	list, err := s.List(t.Context())
	if err != nil || len(list) != 2 || list[0].Device != "test:0" || list[0].Model != "frontend-tester" {
		t.Fatalf("list %+v, %v", list, err)
	}
	if h := s.SelfTest(t.Context()); h.State != device.StateReady || !h.Demo || !strings.Contains(h.Name, "test:0") {
		t.Errorf("health %+v", h)
	}
	p, err := s.Capture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !p.Demo || p.DPI != DefaultDPI || p.Kind != device.KindScanner {
		t.Errorf("page %+v", p)
	}
	if b := p.Image.Bounds(); b.Dx() < 1500 || b.Dy() < 1500 {
		t.Errorf("page of %v", b)
	}
	if blank(p.Image) {
		t.Error("the colour pattern came out in one colour")
	}
	if h := s.Health(); h.State != device.StateReady || h.Counters["pages"] != 1 {
		t.Errorf("health after the scan %+v", h)
	}
}

func blank(img image.Image) bool {
	first := img.At(0, 0)
	for y := 0; y < img.Bounds().Dy(); y += 7 {
		for x := 0; x < img.Bounds().Dx(); x += 7 {
			if img.At(x, y) != first {
				return false
			}
		}
	}
	return true
}

func TestSANE600DPIIsHalved(t *testing.T) {
	need(t, "scanimage")
	s := NewSANE(SANEOptions{ConfigDir: saneConfig(t), Device: "test:1", DPI: 600})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p, err := s.Capture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 48<<20 {
		t.Errorf("took %d MB of memory, want at most 48", took>>20)
	}
	if b := p.Image.Bounds(); p.DPI != 300 || b.Dx()*b.Dy() > maxPixels {
		t.Errorf("%d dpi, %v", p.DPI, b)
	}
}

// TestSANEErrors is over every status of the SANE standard but GOOD (§4.2.7).
func TestSANEErrors(t *testing.T) {
	need(t, "scanimage")
	for _, c := range []struct {
		status string
		want   error
		state  device.State
		code   string
	}{
		{"DEVICE_BUSY", device.ErrBusy, device.StateBusy, "SC-03"},
		{"JAMMED", device.ErrJam, device.StateFault, "SC-04"},
		{"NO_DOCS", device.ErrFeederEmpty, device.StateLow, "SC-05"},
		{"COVER_OPEN", device.ErrCoverOpen, device.StateFault, "SC-06"},
		{"ACCESS_DENIED", ErrDenied, device.StateFault, "SC-07"},
		{"NO_MEM", ErrMemory, device.StateFault, "SC-08"},
		{"IO_ERROR", ErrIO, device.StateFault, "SC-11"},
		{"INVAL", ErrSettings, device.StateFault, "SC-13"},
		{"UNSUPPORTED", ErrSettings, device.StateFault, "SC-13"},
		{"CANCELLED", ErrCancelled, device.StateLow, "SC-14"},
		{"EOF", ErrPicture, device.StateFault, "SC-10"},
	} {
		t.Run(c.status, func(t *testing.T) {
			s := NewSANE(SANEOptions{ConfigDir: saneConfig(t, `read-status-code "SANE_STATUS_`+c.status+`"`,
				// The backend's reader thread trips over its closed pipe unless it is asleep.
				"read-delay true", "read-delay-duration 200000")})
			p, err := s.Capture(t.Context())
			if !errors.Is(err, c.want) || p.Image != nil {
				t.Fatalf("page %v, error %v, want %v and no page", p.Image, err, c.want)
			}
			h := s.Health()
			if h.State != c.state || h.Code != c.code || h.Cause == "" || h.Remedy == "" || h.Detail == "" {
				t.Errorf("health %+v", h)
			}
			if code, cause, remedy := Explain(err); code != c.code || cause != h.Cause || remedy != h.Remedy {
				t.Errorf("words %q %q %q", code, cause, remedy)
			}
			// The next look heals: the scanner opens.
			if h := s.SelfTest(t.Context()); h.State != device.StateReady {
				t.Errorf("did not heal: %+v", h)
			}
		})
	}
}

// TestSANEWaysOfScanning: what scanners differ in gives a page all the same.
func TestSANEWaysOfScanning(t *testing.T) {
	need(t, "scanimage")
	for name, c := range map[string]struct {
		o     SANEOptions
		color bool
		w, h  int // at least
	}{
		"gray":           {SANEOptions{Mode: "Gray", DPI: 75}, false, 550, 550},
		"color":          {SANEOptions{Mode: "Color", DPI: 75}, true, 550, 550},
		"black or white": {SANEOptions{Mode: "Gray", DPI: 75, Extra: []string{"--depth=1"}}, false, 550, 550},
		"16 bits":        {SANEOptions{Mode: "Color", DPI: 75, Extra: []string{"--depth=16"}}, true, 550, 550},
		"three passes":   {SANEOptions{Mode: "Color", DPI: 75, Extra: []string{"--three-pass=yes"}}, true, 550, 550},
		"unknown height": {SANEOptions{Mode: "Gray", DPI: 75, Extra: []string{"--hand-scanner=yes"}}, false, 300, 300},
		"small paper":    {SANEOptions{Mode: "Gray", DPI: 150, Extra: []string{"-x", "85", "-y", "54"}}, false, 490, 310},
		"slow":           {SANEOptions{Mode: "Gray", DPI: 75, Extra: []string{"--read-delay=yes", "--read-delay-duration=1000"}}, false, 550, 550},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.ConfigDir, c.o.Device = saneConfig(t), "test:0"
			p, err := NewSANE(c.o).Capture(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, color := p.Image.(*image.RGBA); color != c.color {
				t.Errorf("a %T", p.Image)
			}
			if b := p.Image.Bounds(); b.Dx() < c.w || b.Dy() < c.h || p.DPI != c.o.DPI {
				t.Errorf("%v at %d dpi", b, p.DPI)
			}
		})
	}
}

// TestSANEFeeder: page after page until the feeder is empty, which is said; with
// paper in it again it goes on.
func TestSANEFeeder(t *testing.T) {
	need(t, "scanimage")
	dir := saneConfig(t)
	s := NewSANE(SANEOptions{ConfigDir: dir, Device: "test:0", DPI: 75, Source: "Automatic Document Feeder"})
	const sheets = 3
	for n := range sheets {
		if p, err := s.Capture(t.Context()); err != nil || p.Image == nil {
			t.Fatalf("sheet %d: %v", n, err)
		}
	}
	write(t, filepath.Join(dir, "test.conf"), "number_of_devices 1\nread-status-code \"SANE_STATUS_NO_DOCS\"\nread-delay true\nread-delay-duration 200000\n")
	if _, err := s.Capture(t.Context()); !errors.Is(err, device.ErrFeederEmpty) {
		t.Errorf("an empty feeder: %v", err)
	}
	if h := s.Health(); h.Code != "SC-05" || h.Counters["pages"] != sheets || !h.State.Usable() {
		t.Errorf("%+v", h)
	}
	write(t, filepath.Join(dir, "test.conf"), "number_of_devices 1\n")
	if _, err := s.Capture(t.Context()); err != nil {
		t.Errorf("with paper: %v", err)
	}
}

// TestSANECrash: a maker's backend that crashes takes nothing with it.
func TestSANECrash(t *testing.T) {
	dir := t.TempDir()
	crash := filepath.Join(dir, "scanimage")
	write(t, crash, "#!/bin/sh\ncase \"$*\" in *--dont-scan*) exit 0;; esac\nprintf 'P5 200 300 255\\nab'\nkill -SEGV $$\n")
	s := NewSANE(SANEOptions{Program: crash, Device: "crash:0"})
	p, err := s.Capture(t.Context())
	if !errors.Is(err, ErrIO) || p.Image != nil {
		t.Errorf("page %v, error %v", p.Image, err)
	}
	if h := s.Health(); h.State != device.StateFault || h.Code != "SC-11" || !strings.Contains(h.Detail, "segmentation fault") {
		t.Errorf("health %+v", h)
	}
	if h := s.SelfTest(t.Context()); h.State != device.StateReady {
		t.Errorf("did not heal: %+v", h)
	}
}

func TestSANEUnpluggedInTheMiddleAndBack(t *testing.T) {
	need(t, "scanimage")
	dir := saneConfig(t)
	s := NewSANE(SANEOptions{ConfigDir: dir, Device: "test:0"})
	if _, err := s.Capture(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The scan breaks off with an I/O error and then the device is gone: a
	// scanimage that hands over half a page stands for the pulled plug.
	real, err := exec.LookPath("scanimage")
	if err != nil {
		t.Fatal(err)
	}
	torn := filepath.Join(t.TempDir(), "scanimage")
	write(t, torn, fmt.Sprintf(`#!/bin/sh
case "$*" in
*--dont-scan*) echo 'scanimage: open of device test:0 failed: Invalid argument' >&2; exit 1;;
esac
%s "$@" | head -c 50000
echo 'scanimage: sane_read: Error during device I/O' >&2
exit 9
`, real))
	s2 := NewSANE(SANEOptions{ConfigDir: dir, Device: "test:0", Program: torn})
	p, err := s2.Capture(t.Context())
	if !errors.Is(err, device.ErrAbsent) || !errors.Is(err, ErrIO) || p.Image != nil {
		t.Errorf("page %v, error %v", p.Image, err)
	}
	if h := s2.Health(); h.State != device.StateAbsent || h.Code != "SC-02" {
		t.Errorf("health %+v", h)
	}
	s2.o.Program = real // plugged in again
	if _, err := s2.Capture(t.Context()); err != nil {
		t.Errorf("after plugging in: %v", err)
	}
}

func TestSANENothingThere(t *testing.T) {
	need(t, "scanimage")
	empty := t.TempDir()
	write(t, filepath.Join(empty, "dll.conf"), "# nothing\n")
	s := NewSANE(SANEOptions{ConfigDir: empty})
	if h := s.SelfTest(t.Context()); h.State != device.StateAbsent || h.Code != "SC-02" {
		t.Errorf("health %+v", h)
	}
	if _, err := s.Capture(t.Context()); !errors.Is(err, device.ErrAbsent) {
		t.Errorf("capture: %v", err)
	}
	named := NewSANE(SANEOptions{ConfigDir: empty, Device: "epson2:libusb:001:004"})
	if _, err := named.Capture(t.Context()); !errors.Is(err, device.ErrAbsent) {
		t.Errorf("capture from a named one: %v", err)
	}
	gone := NewSANE(SANEOptions{Program: "scanimage-that-nobody-has"})
	if h := gone.SelfTest(t.Context()); h.State != device.StateAbsent || h.Code != "SC-01" {
		t.Errorf("without scanimage: %+v", h)
	}
	// Plugged in: Run finds it by itself.
	s.o.Poll = time.Millisecond
	ready := make(chan struct{})
	var once bool
	cancel := s.Subscribe(func(e device.Event) {
		if e.Health != nil && e.Health.State == device.StateReady && !once {
			once = true
			close(ready)
		}
	})
	defer cancel()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	write(t, filepath.Join(empty, "dll.conf"), "test\n")
	select {
	case <-ready:
	case <-ctx.Done():
		t.Fatalf("never found: %+v", s.Health())
	}
	stop()
	<-ended
}

// hanging is a scanimage that starts a child and hangs, writing both process
// numbers to a file.
func hanging(t *testing.T) (program, pids string) {
	t.Helper()
	dir := t.TempDir()
	pids = filepath.Join(dir, "pids")
	program = filepath.Join(dir, "scanimage")
	write(t, program, `#!/bin/sh
case "$*" in *--dont-scan*) exit 0;; esac
trap '' TERM
sleep 600 &
echo "$$ $!" > `+pids+`.new && mv `+pids+`.new `+pids+`
wait
sleep 600
`)
	return program, pids
}

func TestSANECancelLeavesNoProcess(t *testing.T) {
	program, pids := hanging(t)
	s := NewSANE(SANEOptions{Program: program, Device: "hang:0", Grace: 50 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { _, err := s.Capture(ctx); ended <- err }()
	var b []byte
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for len(b) == 0 {
		<-tick.C
		b, _ = os.ReadFile(pids)
	}
	if _, err := s.Capture(t.Context()); !errors.Is(err, device.ErrBusy) {
		t.Errorf("second capture: %v, want ErrBusy", err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	var parent, child int
	if _, err := fmt.Sscan(string(b), &parent, &child); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{parent, child} {
		// A killed process takes a moment to go; a forgotten one stays 600 s.
		for i := 0; alive(pid); i++ {
			if <-tick.C; i > 1000 {
				t.Errorf("process %d is still there", pid)
				break
			}
		}
	}
	if h := s.Health(); h.State != device.StateReady {
		t.Errorf("a capture that was given up made the scanner %+v", h)
	}
}

// alive tells whether a process still runs; a zombie does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ")
}

func TestSANETimeout(t *testing.T) {
	program, _ := hanging(t)
	s := NewSANE(SANEOptions{Program: program, Device: "hang:0", Grace: 50 * time.Millisecond, ScanTimeout: 50 * time.Millisecond})
	if _, err := s.Capture(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if h := s.Health(); h.Code != "SC-09" {
		t.Errorf("health %+v", h)
	}
}

func TestSANEOptionTheBackendDoesNotKnowIsLeftOut(t *testing.T) {
	need(t, "scanimage")
	s := NewSANE(SANEOptions{ConfigDir: saneConfig(t), Mode: "24bit Color", Extra: []string{"--page-width=210"}})
	p, err := s.Capture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p.DPI != DefaultDPI {
		t.Errorf("dpi %d", p.DPI)
	}
}

func TestSANEHalfAPage(t *testing.T) {
	half := filepath.Join(t.TempDir(), "scanimage")
	write(t, half, "#!/bin/sh\nprintf 'P5 200 300 255\\nab'\n")
	s := NewSANE(SANEOptions{Program: half, Device: "half:0"})
	if p, err := s.Capture(t.Context()); !errors.Is(err, ErrPicture) || p.Image != nil {
		t.Errorf("page %v, error %v", p.Image, err)
	}
	if h := s.Health(); h.Code != "SC-10" {
		t.Errorf("health %+v", h)
	}
}

func TestSANEHangsWhileItCloses(t *testing.T) {
	dir := t.TempDir()
	after := filepath.Join(dir, "after-page")
	write(t, after, "#!/bin/sh\nprintf 'P5 2 1 255\\nab'\nexec >&-\nexec sleep 600\n")
	s := NewSANE(SANEOptions{Program: after, Device: "slow:0", Grace: 50 * time.Millisecond})
	if p, err := s.Capture(t.Context()); err != nil || p.Image.Bounds().Dx() != 2 {
		t.Errorf("a whole page was lost: %v", err)
	}
	failed := filepath.Join(dir, "after-failure")
	write(t, failed, "#!/bin/sh\necho 'scanimage: sane_start: Document feeder jammed' >&2\nsleep 600\n")
	s = NewSANE(SANEOptions{Program: failed, Device: "slow:0", Grace: 50 * time.Millisecond})
	if _, err := s.Capture(t.Context()); !errors.Is(err, device.ErrJam) {
		t.Errorf("error %v, want ErrJam", err)
	}
}

func TestChoose(t *testing.T) {
	list := parseList("test:0\tNoname\tfrontend-tester\tvirtual device\nv4l:/dev/video0\tNoname\tcam\tvirtual device\nwarning\nepson2:libusb:001:004\tEpson\tDS-530\tsheetfed scanner\n")
	if f, ok := choose(list); !ok || f.Device != "epson2:libusb:001:004" {
		t.Errorf("chosen %+v", f)
	}
	if f, ok := choose(list[:2]); !ok || f.Device != "test:0" {
		t.Errorf("chosen %+v", f)
	}
	if f, ok := choose(list[1:2]); ok {
		t.Errorf("chosen %+v", f)
	}
}
