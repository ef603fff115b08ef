package doctor

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"cunban/assets"
	"cunban/device"
	"cunban/kiosk/app/config"
)

// lab is a made machine in order, which a test spoils.
type lab struct {
	t     *testing.T
	m     Machine
	c     config.Config
	no    map[string]bool // files that may not be opened
	probe map[device.Kind]device.Health
}

// vendorProgram is the driver of a maker on the machine in order.
const vendorProgram = "/opt/lamp/driver"

func newLab(t *testing.T) *lab {
	l := &lab{t: t, no: map[string]bool{}, probe: map[device.Kind]device.Health{}}
	for _, k := range []device.Kind{device.KindCardReader, device.KindScanner, device.KindDocCamera, device.KindPagePrinter, device.KindReceiptPrint, device.KindVendor} {
		l.probe[k] = device.Health{Kind: k, Name: "Test", State: device.StateReady}
	}
	l.m = Machine{
		Root: t.TempDir(),
		Run:  func(context.Context, string, ...string) (string, error) { return "", nil },
		Dial: func(context.Context, string, string) (net.Conn, error) {
			a, b := net.Pipe()
			_ = b.Close()
			return a, nil
		},
		Now:    func() time.Time { return time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC) },
		Synced: func() (bool, error) { return true, nil },
		Free:   func(string) (int64, error) { return 60 << 30, nil },
		Probe: func(_ context.Context, k device.Kind) (device.Health, bool) {
			h, ok := l.probe[k]
			return h, ok
		},
	}
	l.m.Open = func(p string) error {
		if l.no[strings.TrimPrefix(p, l.m.Root)] {
			return os.ErrPermission
		}
		return nil
	}
	l.c = config.Default()
	l.c.Data, l.c.Upstream, l.c.MinFreeMB = "/var/lib/cunban", "https://county.example:8443", 200
	l.c.Devices.IDReader, l.c.Devices.Printer, l.c.Devices.Speech = "/dev/serial/by-id/usb-sdt", "ipp://127.0.0.1/ipp/print", "auto"
	l.c.Devices.DocCamera = "auto"
	l.c.Keys = []config.Key{{Kind: "tpm2"}}
	l.c.Devices.ReceiptPrinter = "/dev/usb/lp0"
	l.c.Devices.Vendor = []config.Vendor{{Name: "灯板", Command: vendorProgram}}
	for p, text := range map[string]string{
		readerSocket: "",
		"/sys/bus/usb/devices/1-2:1.0/bInterfaceClass":            "0b",
		"/sys/bus/usb/devices/1-2/power/control":                  "on",
		"/usr/share/polkit-1/actions/org.debian.pcsc-lite.policy": "<action/>",
		"/etc/polkit-1/rules.d/" + assets.PolkitRuleName:          string(assets.PolkitRule()),
		"/dev/serial/by-id/usb-sdt":                               "",
		"/dev/video0":                                             "",
		"/dev/tpmrm0":                                             "",
		"/etc/cups/cupsd.conf":                                    "Listen localhost:631\nPreserveJobFiles No\n",
		"/proc/asound/cards":                                      " 0 [PCH]: HDA-Intel - HDA Intel PCH\n",
		"/sys/class/drm/card0-HDMI-A-1/status":                    "connected",
		"/sys/class/drm/card0-HDMI-A-1/modes":                     "1920x1080\n1280x720\n",
		"/sys/class/drm/card0-DP-1/status":                        "disconnected",
		"/sys/class/drm/card0-DP-1/modes":                         "",
		"/proc/self/mounts":                                       "/dev/sda1 / ext4 rw,relatime 0 0\ntmpfs /run tmpfs rw 0 0\n/dev/sda2 /var/lib ext4 rw 0 0\n",
		"/proc/swaps":                                             "Filename Type Size Used Priority\n/dev/zram0 partition 1 0 100\n/dev/dm-1 partition 1 0 10\n",
		"/sys/class/block/dm-1/dm/uuid":                           "CRYPT-PLAIN-swap",
	} {
		l.put(p, text)
	}
	l.put(vendorProgram, "#!/bin/sh\n")
	l.mode(vendorProgram, 0o755)
	return l
}

func (l *lab) put(p, text string) {
	l.t.Helper()
	full := filepath.Join(l.m.Root, p)
	if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o700), os.WriteFile(full, []byte(text), 0o600)); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) mode(p string, m os.FileMode) {
	l.t.Helper()
	if err := os.Chmod(filepath.Join(l.m.Root, p), m); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) remove(p string) {
	l.t.Helper()
	if err := os.RemoveAll(filepath.Join(l.m.Root, p)); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) finding(name string) Finding {
	l.t.Helper()
	for _, f := range Examine(l.t.Context(), l.m, l.c) {
		if f.Check == name {
			return f
		}
	}
	l.t.Fatalf("no check %s", name)
	return Finding{}
}

func TestInOrder(t *testing.T) {
	l := newLab(t)
	all := Examine(t.Context(), l.m, l.c)
	for _, f := range all {
		if f.Grade != Good || f.Found == "" || f.Remedy != "" {
			t.Errorf("%s: %+v", f.Check, f)
		}
	}
	if len(all) != len(Names()) || Worst(all) != Good {
		t.Errorf("%d findings, worst %s", len(all), Worst(all))
	}
}

// TestSpoilt: each thing that can be wrong is found, by the right check and by
// no other, and the words say what to do.
func TestSpoilt(t *testing.T) {
	refuse := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }
	seen := map[string]bool{}
	for name, x := range map[string]struct {
		check string
		want  Grade
		spoil func(l *lab)
	}{
		"pcscd does not run":    {"reader-service", Bad, func(l *lab) { l.remove(readerSocket) }},
		"no reader":             {"readers", Bad, func(l *lab) { l.remove("/sys/bus/usb"); delete(l.probe, device.KindCardReader) }},
		"reader in trouble":     {"readers", Bad, func(l *lab) { l.trouble(device.KindCardReader) }},
		"no polkit rule":        {"polkit", Warn, func(l *lab) { l.remove("/etc/polkit-1") }},
		"rule for half of it":   {"polkit", Warn, func(l *lab) { l.put("/etc/polkit-1/rules.d/"+assets.PolkitRuleName, polkitActions[0]) }},
		"no ID reader":          {"id-reader", Bad, func(l *lab) { l.remove("/dev/serial") }},
		"ID reader not allowed": {"id-reader", Bad, func(l *lab) { l.no["/dev/serial/by-id/usb-sdt"] = true }},
		"ID reader by number":   {"id-reader", Warn, func(l *lab) { l.c.Devices.IDReader = "/dev/ttyUSB0"; l.put("/dev/ttyUSB0", "") }},
		"camera not allowed":    {"rights", Bad, func(l *lab) { l.no["/dev/video0"] = true }},
		"reader may sleep":      {"autosuspend", Warn, func(l *lab) { l.put("/sys/bus/usb/devices/1-2/power/control", "auto") }},
		"scanner in trouble":    {"scanner", Bad, func(l *lab) { l.trouble(device.KindScanner) }},
		"scanner not probed":    {"scanner", Warn, func(l *lab) { delete(l.probe, device.KindScanner) }},
		"camera in trouble":     {"camera", Bad, func(l *lab) { l.trouble(device.KindDocCamera) }},
		"camera not probed":     {"camera", Warn, func(l *lab) { delete(l.probe, device.KindDocCamera) }},
		"printer in trouble":    {"printer", Bad, func(l *lab) { l.trouble(device.KindPagePrinter) }},
		"receipts in trouble":   {"receipt-printer", Bad, func(l *lab) { l.trouble(device.KindReceiptPrint) }},
		"no vendor driver":      {"vendor", Bad, func(l *lab) { l.remove(vendorProgram) }},
		"driver no program":     {"vendor", Bad, func(l *lab) { l.mode(vendorProgram, 0o644) }},
		"driver of everybody":   {"vendor", Bad, func(l *lab) { l.mode(vendorProgram, 0o777) }},
		"vendor in trouble":     {"vendor", Bad, func(l *lab) { l.trouble(device.KindVendor) }},
		"CUPS keeps files":      {"print-files", Bad, func(l *lab) { l.put("/etc/cups/cupsd.conf", "# PreserveJobFiles No\n") }},
		"no sound card":         {"sound", Warn, func(l *lab) { l.put("/proc/asound/cards", "--- no soundcards ---") }},
		"no espeak-ng": {"sound", Warn, func(l *lab) {
			l.m.Run = func(context.Context, string, ...string) (string, error) { return "", errors.New("x") }
		}},
		"no screen":              {"screen", Warn, func(l *lab) { l.put("/sys/class/drm/card0-HDMI-A-1/status", "disconnected") }},
		"small screen":           {"screen", Bad, func(l *lab) { l.put("/sys/class/drm/card0-HDMI-A-1/modes", "1024x768\n") }},
		"clock of 1970":          {"clock", Bad, func(l *lab) { l.m.Now = func() time.Time { return time.Unix(0, 0) } }},
		"clock by itself":        {"clock", Warn, func(l *lab) { l.m.Synced = func() (bool, error) { return false, nil } }},
		"clock unknown":          {"clock", Warn, func(l *lab) { l.m.Synced = func() (bool, error) { return false, errors.New("x") } }},
		"disk full":              {"disk", Bad, func(l *lab) { l.m.Free = func(string) (int64, error) { return 1 << 20, nil } }},
		"disk nearly full":       {"disk", Warn, func(l *lab) { l.m.Free = func(string) (int64, error) { return 500 << 20, nil } }},
		"no data folder":         {"disk", Bad, func(l *lab) { l.m.Free = func(string) (int64, error) { return 0, os.ErrNotExist } }},
		"no barriers":            {"mount", Bad, func(l *lab) { l.put("/proc/self/mounts", "/dev/sda1 / ext4 rw,nobarrier 0 0\n") }},
		"data in memory":         {"mount", Bad, func(l *lab) { l.put("/proc/self/mounts", "/dev/sda1 / ext4 rw 0 0\nx /var/lib tmpfs rw 0 0\n") }},
		"a stick's file system":  {"mount", Warn, func(l *lab) { l.put("/proc/self/mounts", "/dev/sda1 / vfat rw 0 0\n") }},
		"swap on the disk":       {"swap", Bad, func(l *lab) { l.put("/proc/swaps", "Filename\n/dev/sda3 partition 1 0 1\n") }},
		"swap on plain LVM":      {"swap", Bad, func(l *lab) { l.put("/sys/class/block/dm-1/dm/uuid", "LVM-abc") }},
		"swap unknown":           {"swap", Warn, func(l *lab) { l.remove("/proc/swaps") }},
		"no key source":          {"key", Bad, func(l *lab) { l.c.Keys = nil }},
		"chip is off":            {"key", Bad, func(l *lab) { l.remove("/dev/tpmrm0") }},
		"key in a file":          {"key", Warn, func(l *lab) { l.c.Keys = []config.Key{{Kind: "file", Path: "/k"}} }},
		"key file for all":       {"key", Bad, func(l *lab) { l.openKey() }},
		"no stick":               {"key", Bad, func(l *lab) { l.c.Keys = []config.Key{{Kind: "usb", Path: "/media/stick"}} }},
		"no helper":              {"key", Bad, func(l *lab) { l.c.Keys = []config.Key{{Kind: "exec", Path: "/opt/card"}} }},
		"no way to the county":   {"network", Bad, func(l *lab) { l.m.Dial = refuse; l.c.Devices.CardReader = off }},
		"address is none":        {"network", Bad, func(l *lab) { l.c.Upstream = "county" }},
		"pcscd does not answer":  {"reader-service", Bad, func(l *lab) { l.m.Dial = onlyTCP(l.m.Dial) }},
		"printer is nearly done": {"printer", Warn, func(l *lab) { l.low(device.KindPagePrinter) }},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			x.spoil(l)
			for _, f := range Examine(t.Context(), l.m, l.c) {
				if f.Check != x.check {
					if f.Grade == Bad {
						t.Errorf("%s is bad too: %+v", f.Check, f)
					}
					continue
				}
				if f.Grade != x.want || f.Found == "" || f.Remedy == "" {
					t.Errorf("%+v", f)
				}
				if !strings.HasSuffix(f.Found, "。") || !regexp.MustCompile(`\p{Han}`).MatchString(f.Remedy) {
					t.Errorf("words: %+v", f)
				}
			}
		})
		seen[x.check] = true
	}
	for _, n := range Names() {
		if !seen[n] {
			t.Errorf("nothing shows that %s can fail", n)
		}
	}
}

func (l *lab) trouble(k device.Kind) {
	l.probe[k] = device.Health{Kind: k, State: device.StateFault, Code: "XX-01", Cause: "坏了。", Remedy: "请找技术员。"}
}

func (l *lab) low(k device.Kind) {
	l.probe[k] = device.Health{Kind: k, State: device.StateLow, Code: "XX-02", Cause: "快没有纸了。", Remedy: "请加纸。"}
}

func (l *lab) openKey() {
	l.c.Keys = []config.Key{{Kind: "file", Path: "/k"}}
	l.put("/k", "x")
	if err := os.Chmod(filepath.Join(l.m.Root, "k"), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// onlyTCP refuses local sockets.
func onlyTCP(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if network == "unix" {
			return nil, errors.New("refused")
		}
		return dial(ctx, network, address)
	}
}

// TestSkipped: what the configuration does without is not asked for.
func TestSkipped(t *testing.T) {
	l := newLab(t)
	l.c.Devices.CardReader, l.c.Devices.IDReader, l.c.Devices.Scanner, l.c.Devices.Printer, l.c.Devices.Speech = off, off, off, off, off
	l.c.Devices.ReceiptPrinter = off
	l.m.Root = t.TempDir() // an empty machine
	for _, n := range []string{"reader-service", "readers", "polkit", "id-reader", "scanner", "printer", "receipt-printer", "print-files", "sound"} {
		if f := l.finding(n); f.Grade != Skipped {
			t.Errorf("%s: %+v", n, f)
		}
	}
}

// TestHere looks over the machine that runs the test: nothing may panic or hang,
// and every finding has words.
func TestHere(t *testing.T) {
	c := config.Default()
	c.Data, c.Upstream = t.TempDir(), "https://127.0.0.1:1"
	for _, f := range Examine(t.Context(), Machine{}, c) {
		if f.Found == "" || f.Grade != Good && f.Grade != Skipped && f.Remedy == "" {
			t.Errorf("%+v", f)
		}
		t.Logf("%-15s %-8s %s %s", f.Check, f.Grade, f.Found, f.Remedy)
	}
}
