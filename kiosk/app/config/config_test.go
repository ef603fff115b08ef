package config

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestFaultsNameFileLineAndWhatIsAllowed(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"unknown key":           {"data: d\nuptsream: https://x\n", `k.yaml:2: unknown key "uptsream" in the file (allowed: data, upstream`},
		"unknown deep key":      {"data: d\ndevices:\n  card_reader: auto\n  cam: x\n", `k.yaml:4: unknown key "cam" in devices (allowed: card_reader, id_reader`},
		"key in a list":         {"data: d\nkeys:\n  - kind: file\n    pth: x\n", `k.yaml:4: unknown key "pth" in keys (allowed: kind, path, name, device)`},
		"wrong kind":            {"data: d\nmin_free_mb: viel\n", "k.yaml:2: "},
		"not YAML":              {"data: d\n  x: [\n", "k.yaml:"},
		"no data":               {"upstream: https://x\n", "k.yaml:1: data is missing"},
		"plain http":            {"data: d\nupstream: http://x\n", `k.yaml:2: upstream "http://x" is not an address`},
		"key source":            {"data: d\nkeys:\n  - kind: hope\n", `k.yaml:3: key source "hope" (allowed: tpm2, systemd, usb, exec, file)`},
		"key option":            {"data: d\nkeys:\n  - kind: tpm2\n    path: k\n    name: x\n", `k.yaml:5: key source tpm2 takes no name (allowed: kind, path, device)`},
		"key option of another": {"data: d\nkeys:\n  - kind: file\n    device: /dev/tpmrm0\n", `k.yaml:4: key source file takes no device (allowed: kind, path)`},
		"key option missing":    {"data: d\nkeys:\n  - kind: file\n  - kind: usb\n", `k.yaml:4: key source usb needs path (allowed: kind, path, name)`},
		"relative device":       {"data: d\nkeys:\n  - kind: tpm2\n    device: tpm0\n", `k.yaml:4: device "tpm0" (allowed: an absolute path`},
		"vendor command":        {"data: d\ndevices:\n  vendor:\n    - name: 灯板\n      command: driver\n", `k.yaml:5: command "driver" of a vendor driver (allowed: an absolute path`},
		"vendor twice":          {"data: d\ndevices:\n  vendor:\n    - {name: a, command: /a}\n    - {name: a, command: /b}\n", `k.yaml:5: two vendor drivers are called "a"`},
		"vendor key":            {"data: d\ndevices:\n  vendor:\n    - name: a\n      cmd: /a\n", `k.yaml:5: unknown key "cmd" in devices.vendor (allowed: name, command, args)`},
		"printer":               {"data: d\ndevices:\n  printer: hp\n", `k.yaml:3: printer "hp" is not an address`},
		"receipt printer":       {"data: d\ndevices:\n  receipt_printer: lp0\n", `k.yaml:3: receipt_printer "lp0" is not a printer (allowed: off, a device file`},
		"receipt printer port":  {"data: d\ndevices:\n  receipt_printer: tcp://10.0.0.9\n", `k.yaml:3: receipt_printer "tcp://10.0.0.9" is not a printer`},
		"document camera":       {"data: d\ndevices:\n  doc_camera: video0\n", `k.yaml:3: doc_camera "video0" is not a camera (allowed: auto, off, or a device file`},
		"negative":              {"data: d\nwaits:\n  idle: -1\n", "k.yaml:3: waits.idle is negative"},
		"law":                   {"data: d\nkeep:\n  log_days: 30\n", "k.yaml:3: keep.log_days is 30 (allowed: 0 (never pruned), or 183 or more)"},
		"hour":                  {"data: d\nkeep:\n  hour: 24\n", "k.yaml:3: keep.hour is 24 (allowed: 0 to 23)"},
		"scalar for a map":      {"data: d\ndevices: yes please\n", "k.yaml:2: devices must hold keys"},
		"key given twice":       {"data: d\ndata: e\n", "k.yaml:2: "},
		"empty":                 {"", "data is missing"},
		"two faults at once":    {"dat: d\nupstrem: x\n", `k.yaml:2: unknown key "upstrem"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(tc.text), "k.yaml")
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestDefaultsAndPaths(t *testing.T) {
	c, err := Parse([]byte("data: d\n"), "/etc/cunban/k.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "/etc/cunban/d" || c.Keys[0].Path != "/etc/cunban/d/disk.key" || c.Devices.CardReader != "auto" {
		t.Fatalf("%+v", c)
	}
}

func TestReceiptPrinter(t *testing.T) {
	for _, p := range []string{"off", "/dev/usb/lp0", "tcp://192.0.2.7:9100"} {
		c, err := Parse([]byte("data: d\ndevices:\n  receipt_printer: "+p+"\n"), "k.yaml")
		if err != nil || c.Devices.ReceiptPrinter != p {
			t.Errorf("%s: %+v, %v", p, c.Devices, err)
		}
	}
	if c, err := Parse([]byte("data: d\n"), "k.yaml"); err != nil || c.Devices.ReceiptPrinter != "off" {
		t.Errorf("%+v, %v", c.Devices, err)
	}
}

func TestTPM2(t *testing.T) {
	c, err := Parse([]byte("data: d\nkeys:\n  - kind: tpm2\n  - kind: tpm2\n    path: other.tpm2\n    device: /dev/tpm0\n"), "/etc/cunban/k.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if c.Keys[0] != (Key{Kind: "tpm2", Path: "/etc/cunban/d/disk.tpm2"}) || c.Keys[1] != (Key{Kind: "tpm2", Path: "/etc/cunban/other.tpm2", Device: "/dev/tpm0"}) {
		t.Fatalf("%+v", c.Keys)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("data: d\nkeys:\n  - kind: file\n"))
	f.Add([]byte("a: &x [*x]\n"))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = Parse(b, "k.yaml") })
}

// TestPathsAreAbsolute: their names go to programs that may work elsewhere.
func TestPathsAreAbsolute(t *testing.T) {
	c, err := Parse([]byte("data: d\ndevices:\n  page_folder: p\n"), "k.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{c.Data, c.Devices.PageFolder, c.Keys[0].Path} {
		if !filepath.IsAbs(p) {
			t.Errorf("%s", p)
		}
	}
}
