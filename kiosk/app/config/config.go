// Package config reads the terminal's configuration file. It exists so that a
// technician who mistypes a key is told the file, the line and what is allowed,
// instead of a terminal that quietly runs with something else.
//
// It guarantees: an unknown key, a key given twice and a value of the wrong
// kind are errors that name their line; every key that is not given has a
// documented default; nothing in the file is a secret (keys live elsewhere).
package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Config is the whole file.
type Config struct {
	// Data is the folder of vault and scans. Required.
	Data string `yaml:"data"`
	// Upstream is the county's address, https://host[:port].
	Upstream string `yaml:"upstream"`
	// PortalProbe is a plain http address that answers 204, to tell a login
	// page from a wrong certificate. "" = do not ask.
	PortalProbe string `yaml:"portal_probe"`
	// Serial is the terminal's serial number, to which enrolment codes are bound.
	Serial  string  `yaml:"serial"`
	Devices Devices `yaml:"devices"`
	// Keys are the places to look for the disk key, in order.
	Keys []Key `yaml:"keys"`
	// Screen is for screens that do not tell their size.
	Screen Screen `yaml:"screen"`
	Waits  Waits  `yaml:"waits"`
	Office Office `yaml:"office"`
	// MinFree is the room below which no new case begins.
	MinFreeMB int  `yaml:"min_free_mb"`
	Keep      Keep `yaml:"keep"`
	// UploadRateKB limits scans on the line, kilobytes per second; 0 = no limit.
	UploadRateKB int `yaml:"upload_rate_kb"`
}

// Devices says what is plugged in. "auto" looks for it, "off" leaves it out.
type Devices struct {
	CardReader string `yaml:"card_reader"` // auto, off, or part of the reader's name
	IDReader   string `yaml:"id_reader"`   // off, or a serial device file
	Scanner    string `yaml:"scanner"`     // auto, off, or a SANE device name
	SaneConfig string `yaml:"sane_config"` // folder with dll.conf, "" = the system's
	// DocCamera is auto, off, or a device file such as /dev/video2. auto takes the
	// first camera: where there is one for faces too, name the file, best one of
	// /dev/v4l/by-id, which stays the same.
	DocCamera  string `yaml:"doc_camera"`
	PageFolder string `yaml:"page_folder"` // "" = none
	Printer    string `yaml:"printer"`     // off, or an ipp:// or http:// address
	// ReceiptPrinter is off, the device file of an 80 mm receipt printer, best one
	// that stays the same (/dev/usb/lp0 may change), or tcp://host:port. Receipts go
	// there, all other papers to Printer.
	ReceiptPrinter string `yaml:"receipt_printer"`
	Speech         string `yaml:"speech"` // auto, off, or a folder for sound files
	// Vendor are makers' drivers, each a program of its own.
	Vendor []Vendor `yaml:"vendor"`
}

// Screen holds the width of the lit area in millimetres; 0 asks the screen.
type Screen struct {
	WidthMM int `yaml:"width_mm"`
}

// Waits in seconds; 0 takes the built-in value.
type Waits struct {
	Idle      int `yaml:"idle"`
	IdleLarge int `yaml:"idle_large"`
	Ask       int `yaml:"ask"`
	Cover     int `yaml:"cover"`
}

// Keep says how long the terminal keeps what it need not keep, and when it
// looks.
type Keep struct {
	// CaseDays is how many days after acceptance the sealed content of a case
	// stays on this disk; 0 destroys it in the first night.
	CaseDays int `yaml:"case_days"`
	// LogDays is after how many days the operation log may be pruned, below a
	// checkpoint that the county signed; 0 = never. The law's six months are kept
	// whatever stands here.
	LogDays int `yaml:"log_days"`
	// Hour of the day, Beijing time, from which on the disk is looked after while
	// nobody is at the screen.
	Hour int `yaml:"hour"`
}

// MinLogDays is the least that log_days may be, but for 0.
const MinLogDays = 183

// Office is what papers and pages say about the service point; the county's
// settings replace it when they come.
type Office struct {
	County         string `yaml:"county"`
	Address        string `yaml:"address"`
	Hours          string `yaml:"hours"`
	Person         string `yaml:"person"`
	PersonPhone    string `yaml:"person_phone"`
	ConsultPhone   string `yaml:"consult_phone"`
	ComplaintPhone string `yaml:"complaint_phone"`
}

// Default is what holds where the file says nothing.
func Default() Config {
	return Config{
		Devices:   Devices{CardReader: "auto", IDReader: "off", Scanner: "auto", DocCamera: "off", Printer: "off", ReceiptPrinter: "off", Speech: "auto"},
		Keys:      []Key{{Kind: "file"}},
		Office:    Office{County: "芮城县人力资源和社会保障局", Hours: "工作日 8:00—12:00，14:30—18:00", ConsultPhone: "12333"},
		MinFreeMB: 200,
		Keep:      Keep{CaseDays: 30, LogDays: 730, Hour: 2},
	}
}

// Fault is one thing wrong in the file.
type Fault struct {
	File    string
	Line    int
	Text    string
	Allowed string
}

func (f Fault) Error() string {
	s := fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Text)
	if f.Allowed != "" {
		s += " (allowed: " + f.Allowed + ")"
	}
	return s
}

// Load reads the file and checks it whole; the error holds every Fault.
// Relative paths count from the file's folder.
func Load(path string) (Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	return Parse(b, path)
}

// Parse is Load on bytes; name is the file's for messages.
func Parse(b []byte, name string) (Config, error) {
	c := Default()
	f, err := parser.ParseBytes(b, 0)
	if err != nil {
		return Config{}, syntax(name, err)
	}
	var faults []error
	for _, d := range f.Docs {
		if d.Body != nil {
			faults = append(faults, keys(name, d.Body, reflect.TypeOf(c), "")...)
		}
	}
	if len(faults) > 0 {
		return Config{}, errors.Join(faults...)
	}
	if len(strings.TrimSpace(string(b))) > 0 {
		if err := yaml.Unmarshal(b, &c); err != nil {
			return Config{}, syntax(name, err)
		}
	}
	if err := c.check(name, f); err != nil {
		return Config{}, err
	}
	// Absolute, because names of files go to other programs (kioskctl, scanimage)
	// that may work elsewhere.
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", name, err)
	}
	for _, p := range []*string{&c.Data, &c.Devices.PageFolder, &c.Devices.SaneConfig} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	c.keyPaths(dir)
	return c, nil
}

// syntax turns the library's error into a fault with its line.
func syntax(name string, err error) error {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil {
		return Fault{File: name, Line: y.GetToken().Position.Line, Text: y.GetMessage()}
	}
	return fmt.Errorf("%s: %w", name, err)
}

// keys finds keys that do not exist, with what does at that place.
func keys(name string, n ast.Node, t reflect.Type, at string) (faults []error) {
	switch t.Kind() {
	case reflect.Struct:
		var pairs []*ast.MappingValueNode
		switch m := n.(type) {
		case *ast.MappingNode:
			pairs = m.Values
		case *ast.MappingValueNode:
			pairs = []*ast.MappingValueNode{m}
		case *ast.NullNode:
			return nil
		default:
			return []error{Fault{File: name, Line: n.GetToken().Position.Line, Text: fmt.Sprintf("%s must hold keys", place(at)), Allowed: strings.Join(fields(t), ", ")}}
		}
		for _, p := range pairs {
			key := p.Key.GetToken().Value
			i := slices.Index(fields(t), key)
			if i < 0 {
				faults = append(faults, Fault{File: name, Line: p.Key.GetToken().Position.Line,
					Text: fmt.Sprintf("unknown key %q in %s", key, place(at)), Allowed: strings.Join(fields(t), ", ")})
				continue
			}
			faults = append(faults, keys(name, p.Value, t.Field(i).Type, strings.TrimPrefix(at+"."+key, "."))...)
		}
	case reflect.Slice:
		if s, ok := n.(*ast.SequenceNode); ok {
			for _, v := range s.Values {
				faults = append(faults, keys(name, v, t.Elem(), at)...)
			}
		}
	}
	return faults
}

func place(at string) string {
	if at == "" {
		return "the file"
	}
	return at
}

func fields(t reflect.Type) []string {
	out := make([]string, t.NumField())
	for i := range out {
		out[i] = t.Field(i).Tag.Get("yaml")
	}
	return out
}

func (c Config) check(name string, f *ast.File) error {
	var faults []error
	bad := func(path, text, allowed string) {
		faults = append(faults, Fault{File: name, Line: lineOf(f, path), Text: text, Allowed: allowed})
	}
	if c.Data == "" {
		bad("$.data", "data is missing", "a folder")
	}
	if c.Upstream != "" {
		if u, err := url.Parse(c.Upstream); err != nil || u.Scheme != "https" || u.Host == "" {
			bad("$.upstream", fmt.Sprintf("upstream %q is not an address", c.Upstream), "https://host[:port]")
		}
	}
	if p := c.Devices.Printer; p != "off" {
		if u, err := url.Parse(p); err != nil || !slices.Contains([]string{"ipp", "ipps", "http", "https"}, u.Scheme) || u.Host == "" {
			bad("$.devices.printer", fmt.Sprintf("printer %q is not an address", p), "off, ipp://host[:port]/path, http://host[:port]/path")
		}
	}
	if p := c.Devices.ReceiptPrinter; p != "off" && !receiptTarget(p) {
		bad("$.devices.receipt_printer", fmt.Sprintf("receipt_printer %q is not a printer", p), "off, a device file such as /dev/usb/lp0, tcp://host:port")
	}
	if d := c.Devices.DocCamera; d != "auto" && d != "off" && !filepath.IsAbs(d) {
		bad("$.devices.doc_camera", fmt.Sprintf("doc_camera %q is not a camera", d), "auto, off, or a device file such as /dev/video0")
	}
	c.checkKeys(bad)
	c.checkVendors(bad)
	for _, n := range []struct {
		path string
		v    int
	}{{"$.waits.idle", c.Waits.Idle}, {"$.waits.idle_large", c.Waits.IdleLarge}, {"$.waits.ask", c.Waits.Ask},
		{"$.waits.cover", c.Waits.Cover}, {"$.min_free_mb", c.MinFreeMB}, {"$.upload_rate_kb", c.UploadRateKB}, {"$.screen.width_mm", c.Screen.WidthMM},
		{"$.keep.case_days", c.Keep.CaseDays}, {"$.keep.log_days", c.Keep.LogDays}, {"$.keep.hour", c.Keep.Hour}} {
		if n.v < 0 {
			bad(n.path, strings.TrimPrefix(n.path, "$.")+" is negative", "0 or more")
		}
	}
	if d := c.Keep.LogDays; d > 0 && d < MinLogDays {
		bad("$.keep.log_days", fmt.Sprintf("keep.log_days is %d", d), fmt.Sprintf("0 (never pruned), or %d or more", MinLogDays))
	}
	if c.Keep.Hour > 23 {
		bad("$.keep.hour", fmt.Sprintf("keep.hour is %d", c.Keep.Hour), "0 to 23")
	}
	return errors.Join(faults...)
}

// receiptTarget tells whether a text names a receipt printer.
func receiptTarget(s string) bool {
	if filepath.IsAbs(s) {
		return true
	}
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "tcp" && u.Hostname() != "" && u.Port() != "" && u.Path == "" && u.User == nil
}

// lineOf finds the line of a path, 1 when it is not in the file.
func lineOf(f *ast.File, path string) int {
	p, err := yaml.PathString(path)
	if err != nil {
		return 1
	}
	n, err := p.FilterFile(f)
	if err != nil || n == nil {
		return 1
	}
	return n.GetToken().Position.Line
}

// Seconds turns a wait of the file into a duration.
func Seconds(n int) time.Duration { return time.Duration(n) * time.Second }
