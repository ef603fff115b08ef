// Package scan takes pages from scanners through SANE and from a folder into
// which a clerk's computer puts pictures. It exists so that the rest of the
// program sees pages, never a maker's backend.
//
// It guarantees: a vendor's scanner code runs in a process of its own
// (scanimage) that is killed with everything it started when the operation
// ends; a page is given out whole or not at all, so that an unplugged scanner
// loses nothing that was captured before; a page at 600 dpi never stands in
// memory at full size; a picture in the folder is removed as soon as it was
// read, for personal papers must not lie about.
package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"cunban/device"
	"cunban/device/internal/hub"
)

// Defaults of SANE.
const (
	DefaultDPI         = 200              // what a page needs for a file
	DefaultMode        = "Color"          // stamps are red
	DefaultScanTimeout = 90 * time.Second // a slow flatbed at 300 dpi takes 40 s
	DefaultListTimeout = 25 * time.Second // the net and escl backends search the network
	DefaultPoll        = 10 * time.Second // between looks at the scanner
	DefaultGrace       = 3 * time.Second  // lamp off, carriage home
	a4WidthMM          = 210
	a4HeightMM         = 297
)

// SANEOptions say which scanner is used and how. The zero value takes the
// first real scanner that scanimage lists.
type SANEOptions struct {
	Program   string   // scanimage; "" = found in PATH
	Device    string   // SANE device name such as "epson2:libusb:001:004"; "" = the first one
	ConfigDir string   // SANE_CONFIG_DIR; "" = the system's
	DPI       int      // resolution asked for; 0 = DefaultDPI
	Mode      string   // "Color", "Gray", "Lineart"; "" = DefaultMode
	Source    string   // "Flatbed", "Automatic Document Feeder"; "" = the scanner's default
	Extra     []string // further options of the backend, such as "--brightness=10"

	ScanTimeout time.Duration // one page; 0 = DefaultScanTimeout
	ListTimeout time.Duration // one look; 0 = DefaultListTimeout
	Poll        time.Duration // between looks; 0 = DefaultPoll
	Grace       time.Duration // from asking scanimage to stop to killing it; 0 = DefaultGrace

	Now    func() time.Time // nil = time.Now
	Logger *slog.Logger     // nil = none
}

// SANE is a page scanner behind scanimage.
type SANE struct {
	o   SANEOptions
	hub *hub.Hub

	turn chan struct{} // holds one token: whoever has it may run scanimage

	mu        sync.Mutex
	capturing bool
	found     Found // the scanner in use
}

var _ device.DocumentSource = (*SANE)(nil)

// NewSANE makes the driver; it does nothing until Run, SelfTest or Capture.
func NewSANE(o SANEOptions) *SANE {
	o.Program = cmp.Or(o.Program, "scanimage")
	o.DPI = cmp.Or(o.DPI, DefaultDPI)
	o.Mode = cmp.Or(o.Mode, DefaultMode)
	o.ScanTimeout = cmp.Or(o.ScanTimeout, DefaultScanTimeout)
	o.ListTimeout = cmp.Or(o.ListTimeout, DefaultListTimeout)
	o.Poll = cmp.Or(o.Poll, DefaultPoll)
	o.Grace = cmp.Or(o.Grace, DefaultGrace)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &SANE{o: o, turn: make(chan struct{}, 1), found: Found{Device: o.Device}}
	s.hub = hub.New(device.Health{
		Kind: device.KindScanner, Name: cmp.Or(o.Device, "SANE"), Demo: isTest(o.Device),
	}, o.Now)
	s.turn <- struct{}{}
	return s
}

// isTest tells SANE's own simulated scanner.
func isTest(name string) bool { return strings.HasPrefix(name, "test:") || name == "test" }

// Found is one scanner of a list.
type Found struct {
	Device string // name for SANEOptions.Device
	Vendor string
	Model  string
	Type   string
}

// Name is how a technician knows the scanner.
func (f Found) Name() string {
	if f.Model == "" {
		return f.Device
	}
	return strings.TrimSpace(f.Vendor+" "+f.Model) + " (" + f.Device + ")"
}

// List asks SANE for the scanners that are there. An empty list is no error.
func (s *SANE) List(ctx context.Context) ([]Found, error) {
	if err := s.take(ctx); err != nil {
		return nil, err
	}
	defer s.give()
	return s.list(ctx)
}

func (s *SANE) list(ctx context.Context) ([]Found, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.ListTimeout)
	defer cancel()
	var text []byte
	_, err := run(ctx, s.o.Grace, s.env(), s.o.Program, []string{"-f", listFormat}, func(r io.Reader) (err error) {
		text, err = io.ReadAll(io.LimitReader(r, 64<<10))
		return err
	})
	if err = classify(err); errors.Is(err, device.ErrAbsent) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseList(string(text)), nil
}

// listFormat separates fields by a tab, which no name contains.
const listFormat = "%d\t%v\t%m\t%t%n"

// parseList reads what scanimage -f listFormat wrote; lines of another shape
// (warnings of backends) are passed over.
func parseList(text string) []Found {
	var list []Found
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		if len(f) == 4 && f[0] != "" {
			list = append(list, Found{Device: f[0], Vendor: f[1], Model: f[2], Type: f[3]})
		}
	}
	return list
}

// choose takes the first real scanner; SANE's simulated one only when there is
// no other, and never a camera (they have a driver of their own).
func choose(list []Found) (Found, bool) {
	list = slices.DeleteFunc(slices.Clone(list), func(f Found) bool { return strings.HasPrefix(f.Device, "v4l:") })
	if i := slices.IndexFunc(list, func(f Found) bool { return !isTest(f.Device) }); i >= 0 {
		return list[i], true
	}
	if len(list) > 0 {
		return list[0], true
	}
	return Found{}, false
}

func (s *SANE) env() []string {
	if s.o.ConfigDir == "" {
		return nil
	}
	return []string{"SANE_CONFIG_DIR=" + s.o.ConfigDir}
}

// take waits for the turn to use the scanner.
func (s *SANE) take(ctx context.Context) error {
	select {
	case <-s.turn:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("scan: wait for the scanner: %w", ctx.Err())
	}
}

func (s *SANE) give() { s.turn <- struct{}{} }

// Kind implements device.Device.
func (s *SANE) Kind() device.Kind { return device.KindScanner }

// Health implements device.Device.
func (s *SANE) Health() device.Health { return s.hub.Health() }

// Subscribe implements device.Device.
func (s *SANE) Subscribe(fn func(device.Event)) (cancel func()) { return s.hub.Subscribe(fn) }

// SelfTest opens the scanner without scanning.
func (s *SANE) SelfTest(ctx context.Context) device.Health {
	if err := s.take(ctx); err != nil {
		return s.hub.Health()
	}
	defer s.give()
	return s.probe(ctx)
}

// probe looks for the scanner, opens it, and takes over its condition.
func (s *SANE) probe(ctx context.Context) device.Health {
	err := s.look(ctx)
	if err != nil && ctx.Err() != nil {
		return s.hub.Health() // nobody wants to know any more
	}
	return s.set(err)
}

func (s *SANE) look(ctx context.Context) error {
	f := Found{Device: s.o.Device}
	if f.Device == "" {
		list, err := s.list(ctx)
		if err != nil {
			return err
		}
		var ok bool
		if f, ok = choose(list); !ok {
			return fmt.Errorf("scan: %w: scanimage lists no scanner", device.ErrAbsent)
		}
	}
	s.mu.Lock()
	s.found = f
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, s.o.ListTimeout)
	defer cancel()
	_, err := run(ctx, s.o.Grace, s.env(), s.o.Program, []string{"-d", f.Device, "--dont-scan"}, func(r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	})
	return classify(err)
}

// set takes over the condition that err means.
func (s *SANE) set(err error) device.Health {
	h := condition(err)
	s.mu.Lock()
	f := s.found
	s.mu.Unlock()
	if f.Device != "" {
		h.Name, h.Demo = f.Name(), isTest(f.Device)
	}
	s.hub.SetHealth(h)
	if err == nil {
		s.hub.Good()
	}
	return s.hub.Health()
}

// Run implements device.Device: it looks at the scanner again and again, so
// that plugging it in is all that is needed.
func (s *SANE) Run(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
		if before, after := s.hub.Health(), s.SelfTest(ctx); before.State != after.State {
			s.o.Logger.Info("scanner", "device", after.Name, "state", string(after.State), "code", after.Code, "detail", after.Detail)
		}
		t.Reset(s.o.Poll)
	}
}

// Capture scans one page. While one capture is under way another gets
// device.ErrBusy. A scan that breaks off in the middle gives an error and no
// page. Errors: those of device.DocumentSource, ErrIO, ErrDenied, ErrMemory,
// ErrPicture, ErrNoSANE; Explain has the words.
func (s *SANE) Capture(ctx context.Context) (device.Page, error) {
	s.mu.Lock()
	if s.capturing {
		s.mu.Unlock()
		return device.Page{}, fmt.Errorf("scan: capture: %w", device.ErrBusy)
	}
	s.capturing = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.capturing = false
		s.mu.Unlock()
	}()
	if err := s.take(ctx); err != nil {
		return device.Page{}, err
	}
	defer s.give()
	s.mu.Lock()
	f := s.found
	s.mu.Unlock()
	if f.Device == "" {
		if err := s.look(ctx); err != nil {
			return device.Page{}, s.failed(ctx, err)
		}
		s.mu.Lock()
		f = s.found
		s.mu.Unlock()
	}
	s.hub.SetHealth(device.Health{State: device.StateBusy, Code: "SC-03", Cause: "正在扫描。", Remedy: "稍等一会儿。", Name: f.Name(), Demo: isTest(f.Device)})
	img, dpi, err := s.scan(ctx, f)
	if err != nil {
		return device.Page{}, s.failed(ctx, err)
	}
	s.hub.Count("pages")
	h := s.set(nil)
	return device.Page{Image: img, DPI: dpi, Source: h.Name, Kind: device.KindScanner, At: s.o.Now(), Demo: h.Demo}, nil
}

// failed records a failed capture and returns its error with what was
// attempted. A broken connection is looked at once more, for it usually means
// that somebody pulled the plug.
func (s *SANE) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(err, context.DeadlineExceeded) {
		s.set(nil) // given up by the person, nothing is known against the scanner
		return fmt.Errorf("scan: capture: %w", err)
	}
	s.hub.Count("failures")
	if errors.Is(err, ErrIO) {
		if again := s.look(ctx); errors.Is(again, device.ErrAbsent) {
			err = fmt.Errorf("%w: %w", device.ErrAbsent, err)
		}
	}
	h := s.set(err)
	s.o.Logger.Warn("scan failed", "device", h.Name, "code", h.Code, "detail", h.Detail)
	return fmt.Errorf("scan: capture: %w", err)
}

// maxRetries is how many options a backend may refuse before the scan is given
// up: makers call the same thing by different names.
const maxRetries = 4

func (s *SANE) scan(ctx context.Context, f Found) (image.Image, int, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.ScanTimeout)
	defer cancel()
	args := s.args(f)
	for try := 0; ; try++ {
		var img image.Image
		factor := 1
		stderr, err := run(ctx, s.o.Grace, s.env(), s.o.Program, args, func(r io.Reader) (err error) {
			if img, factor, err = readPNM(r, maxPixels); err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, r)
			return err
		})
		if err == nil {
			return img, s.dpi(args, factor), nil
		}
		fewer, ok := withoutRefused(args, stderr)
		if !ok || try == maxRetries {
			return nil, 0, classify(err)
		}
		s.o.Logger.Info("scanner refuses an option", "device", f.Device, "message", lastLine(stderr))
		args = fewer
	}
}

// dpi is the resolution of the kept picture, 0 when the scanner chose its own.
func (s *SANE) dpi(args []string, factor int) int {
	if slices.Contains(args, resolution+strconv.Itoa(s.o.DPI)) {
		return s.o.DPI / factor
	}
	return 0
}

const resolution = "--resolution="

// withoutRefused drops the one argument that scanimage's message says it
// cannot set ("setting of option --mode failed", "unrecognized option
// '--resolution=200'"). ok is false when the message is about something else.
func withoutRefused(args []string, stderr string) (fewer []string, ok bool) {
	if !strings.Contains(stderr, "setting of option") && !strings.Contains(stderr, "unrecognized option") {
		return nil, false
	}
	for i, a := range args {
		name, _, has := strings.Cut(a, "=")
		if has && strings.HasPrefix(name, "--") && name != "--format" && strings.Contains(lastOption(stderr), name) {
			return slices.Delete(slices.Clone(args), i, i+1), true
		}
	}
	return nil, false
}

// lastOption is the last line of a message that names an option.
func lastOption(stderr string) string {
	last := ""
	for line := range strings.Lines(stderr) {
		if strings.Contains(line, "setting of option") || strings.Contains(line, "unrecognized option") {
			last = line
		}
	}
	return last
}

// args are scanimage's arguments for one page of A4. A glass that is smaller
// gives what it has.
func (s *SANE) args(f Found) []string {
	a := []string{"-d", f.Device, "--format=pnm"}
	if s.o.Source != "" {
		a = append(a, "--source="+s.o.Source)
	}
	a = append(a, "--mode="+s.o.Mode, resolution+strconv.Itoa(s.o.DPI))
	// The simulated scanner's first picture is black; give it something to see.
	if isTest(f.Device) && !slices.ContainsFunc(s.o.Extra, func(x string) bool { return strings.HasPrefix(x, "--test-picture") }) {
		a = append(a, "--test-picture=Color pattern")
	}
	a = append(a, "-l", "0", "-t", "0", "-x", strconv.Itoa(a4WidthMM), "-y", strconv.Itoa(a4HeightMM))
	return append(a, s.o.Extra...)
}
