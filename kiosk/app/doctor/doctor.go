// Package doctor looks over the machine that a terminal is to run on. It exists
// so that a technician in a village finds in one command what the program itself
// can only complain of later: a service that does not run, a right that is
// missing, a device that the system puts to sleep, a clock that is wrong, memory
// that is written to the disk.
//
// It guarantees: nothing on the machine is changed; no personal data is read;
// every finding that is not good says in plain Chinese what to do; a check that
// cannot be made says so instead of passing.
package doctor

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"cunban/device"
	"cunban/kiosk/app/config"
)

// Grade is how a check came out; a closed set.
type Grade string

// Grades, the worst last.
const (
	Good    Grade = "good"
	Skipped Grade = "skipped" // the configuration does not need it
	Warn    Grade = "warn"    // works, but not well
	Bad     Grade = "bad"
)

// Finding is what one check says.
type Finding struct {
	Check  string `json:"check"` // short and stable, English
	Title  string `json:"title"` // plain Chinese
	Grade  Grade  `json:"grade"`
	Found  string `json:"found"`            // plain Chinese, one sentence
	Remedy string `json:"remedy,omitempty"` // plain Chinese: what to do; "" when good
	Detail string `json:"detail,omitempty"` // technical
}

// Machine is the machine as the doctor sees it. The zero value is this one.
type Machine struct {
	Root string // put before every path; "" = /
	// Run runs a program and gives what it printed. nil = exec.
	Run func(ctx context.Context, name string, args ...string) (string, error)
	// Dial opens a connection; nil = net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the clock; nil = time.Now.
	Now func() time.Time
	// Synced tells whether the system's clock follows another; nil = adjtimex(2).
	Synced func() (bool, error)
	// Free tells the free bytes under a folder; nil = statfs(2).
	Free func(dir string) (int64, error)
	// Open tells whether a file may be read and written; nil = access(2).
	Open func(path string) error
	// Probe makes a self-test of a device of the configuration; nil = none.
	Probe func(ctx context.Context, k device.Kind) (device.Health, bool)
}

// limit bounds one check.
const limit = 20 * time.Second

// check is one thing to look at.
type check struct {
	name, title string
	look        func(ctx context.Context, m *Machine, c config.Config) Finding
}

var checks = []check{
	{"reader-service", "读卡服务", readerService},
	{"readers", "读卡器", readers},
	{"polkit", "读卡权限", polkit},
	{"id-reader", "身份证阅读器", idReader},
	{"rights", "设备权限", rights},
	{"autosuspend", "省电休眠", autosuspend},
	{"scanner", "扫描仪", scanner},
	{"camera", "高拍仪", docCamera},
	{"printer", "打印机", printer},
	{"receipt-printer", "小票打印机", receiptPrinter},
	{"vendor", "厂家设备", vendors},
	{"print-files", "打印留底", printFiles},
	{"sound", "声音", sound},
	{"screen", "屏幕", screen},
	{"clock", "时钟", clock},
	{"disk", "磁盘", disk},
	{"mount", "断电保护", mount},
	{"swap", "内存交换", swap},
	{"key", "硬盘密钥", key},
	{"network", "网络", network},
}

// Names are the checks in their order.
func Names() []string {
	out := make([]string, len(checks))
	for i, c := range checks {
		out[i] = c.name
	}
	return out
}

// Examine makes all checks, one after the other. When ctx ends, what is left is
// said to be bad for that reason.
func Examine(ctx context.Context, m Machine, c config.Config) []Finding {
	m.fill()
	var out []Finding
	for _, k := range checks {
		one, cancel := context.WithTimeout(ctx, limit)
		f := k.look(one, &m, c)
		cancel()
		f.Check, f.Title = k.name, k.title
		out = append(out, f)
	}
	return out
}

// Worst is the worst grade of all.
func Worst(all []Finding) Grade {
	rank := map[Grade]int{Good: 0, Skipped: 0, Warn: 1, Bad: 2}
	worst := Good
	for _, f := range all {
		if rank[f.Grade] > rank[worst] {
			worst = f.Grade
		}
	}
	return worst
}

func (m *Machine) fill() {
	if m.Run == nil {
		m.Run = func(ctx context.Context, name string, args ...string) (string, error) {
			cmd := exec.CommandContext(ctx, name, args...)
			cmd.Env = append(os.Environ(), "LC_ALL=C")
			out, err := cmd.CombinedOutput()
			return string(out), err
		}
	}
	if m.Dial == nil {
		m.Dial = (&net.Dialer{}).DialContext
	}
	if m.Now == nil {
		m.Now = time.Now
	}
	if m.Synced == nil {
		m.Synced = synced
	}
	if m.Free == nil {
		m.Free = free
	}
	if m.Open == nil {
		m.Open = mayOpen
	}
	if m.Probe == nil {
		m.Probe = func(context.Context, device.Kind) (device.Health, bool) { return device.Health{}, false }
	}
}

func (m *Machine) path(p string) string { return filepath.Join(m.Root, p) }

// text reads a small file; "" when it is not there.
func (m *Machine) text(p string) string {
	b, err := os.ReadFile(m.path(p))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (m *Machine) exists(p string) bool {
	_, err := os.Stat(m.path(p))
	return !errors.Is(err, fs.ErrNotExist)
}

// glob lists paths of the machine, without Root.
func (m *Machine) glob(pattern string) []string {
	all, err := filepath.Glob(m.path(pattern))
	if err != nil {
		return nil // only a bad pattern can cause it
	}
	for i, p := range all {
		all[i] = "/" + strings.TrimPrefix(strings.TrimPrefix(p, m.Root), "/")
	}
	return all
}

func good(found string) Finding { return Finding{Grade: Good, Found: found} }

func skipped(found string) Finding { return Finding{Grade: Skipped, Found: found} }

func warn(found, remedy, detail string) Finding {
	return Finding{Grade: Warn, Found: found, Remedy: remedy, Detail: detail}
}

func bad(found, remedy, detail string) Finding {
	return Finding{Grade: Bad, Found: found, Remedy: remedy, Detail: detail}
}

// errText is an error's text, "" for none.
func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
