package print_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cunban/device"
	"cunban/device/contract"
	"cunban/device/print"
	"cunban/device/sim"
)

// bench is one printer under the contract: how to disturb it, and what came
// out of it.
type bench struct {
	uri string
	// knowsAtRest says that the printer notices missing paper without a job.
	knowsAtRest bool
	paperOut    func() // while a job is under way, or before
	paperIn     func()
	stop        func() // switched off
	start       func() // switched on again; jobs are forgotten, numbers begin at 1
	printed     func() [][]byte
}

// harness is the printer as the contract wants it.
func (b *bench) harness() *contract.PrinterHarness {
	return &contract.PrinterHarness{
		Open: func(t *testing.T) device.Printer { return open(t, b.uri) },
		Doc:  onePDF, KnowsAtRest: b.knowsAtRest, Forgets: b.knowsAtRest, PaperOut: b.paperOut, PaperIn: b.paperIn,
		Stop: func() { b.stop() }, Start: func() { b.start() }, Printed: func() int { return len(b.printed()) },
	}
}

// onePDF is a document whose bytes are its own.
func onePDF(mark string) []byte {
	return []byte("%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n" +
		"3 0 obj<</Type/Page /Parent 2 0 R/MediaBox[0 0 595 842]>>endobj\n% " + mark + "\ntrailer<</Root 1 0 R>>\n%%EOF\n")
}

// address finds a free TCP port.
func address(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// until waits for a condition that something else brings about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	over := time.NewTimer(20 * time.Second)
	defer over.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-over.C:
			t.Fatalf("never happened: %s", what)
		}
	}
}

func files(t *testing.T, dir string) [][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.pdf"))
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

// simulated is the printer of device/sim.
func simulated(t *testing.T) *bench {
	dir, addr := t.TempDir(), address(t)
	b := &bench{knowsAtRest: true, uri: "ipp://" + addr + sim.PrinterPath, printed: func() [][]byte { return files(t, dir) }}
	var p *sim.Printer
	b.start = func() {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		p = sim.NewPrinter(sim.PrinterOptions{Dir: dir, PageTime: 300 * time.Millisecond})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = p.Serve(ctx, ln) }()
		var once sync.Once
		b.stop = func() { once.Do(func() { cancel(); <-ended }) }
	}
	b.start()
	b.paperOut, b.paperIn = func() { p.PaperOut() }, func() { p.PaperIn() }
	t.Cleanup(func() { b.stop() })
	return b
}

// bus starts a message bus of our own, which ippeveprinter wants for DNS-SD
// though it announces nothing.
func bus(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "bus.conf")
	if err := os.WriteFile(conf, []byte(`<busconfig><listen>unix:path=`+dir+`/bus</listen>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dbus-daemon", "--config-file="+conf, "--nofork")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	until(t, "the message bus starts", func() bool { _, err := os.Stat(dir + "/bus"); return err == nil })
	return "unix:path=" + dir + "/bus"
}

// ippeveprinter is the reference printer of CUPS. Its command holds the job
// while the file "hold" is there, as a printer without paper would.
func ippeveprinter(t *testing.T) *bench {
	for _, program := range []string{"ippeveprinter", "dbus-daemon"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CUNBAN_CI") == "1" {
				t.Fatalf("%s is not installed", program)
			}
			t.Skipf("%s is not installed", program)
		}
	}
	dir, addr := t.TempDir(), address(t)
	_, port, _ := net.SplitHostPort(addr)
	out, hold := filepath.Join(dir, "out"), filepath.Join(dir, "hold")
	if err := os.Mkdir(out, 0o700); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "print.sh")
	if err := os.WriteFile(script, fmt.Appendf(nil, `#!/bin/sh
if [ -e %[1]s ]; then
  echo "STATE: +media-empty" >&2
  while [ -e %[1]s ]; do sleep 0.02; done
  echo "STATE: -media-empty" >&2
fi
cp "$1" %[2]s/$$.pdf
`, hold, out), 0o700); err != nil {
		t.Fatal(err)
	}
	dbus := bus(t)
	b := &bench{uri: "ipp://localhost:" + port + "/ipp/print", printed: func() [][]byte { return files(t, out) }}
	b.paperOut = func() {
		if err := os.WriteFile(hold, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.paperIn = func() { _ = os.Remove(hold) }
	b.start = func() {
		spool := t.TempDir()
		cmd := exec.Command("ippeveprinter", "-p", port, "-n", "localhost", "-r", "off", "-f", "application/pdf", "-d", spool, "-c", script, "T")
		cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+dbus)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its command goes with it
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var once sync.Once
		b.stop = func() {
			once.Do(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() })
		}
		until(t, "ippeveprinter answers", func() bool {
			c, err := net.Dial("tcp", "localhost:"+port)
			if err == nil {
				_ = c.Close()
			}
			return err == nil
		})
	}
	b.start()
	t.Cleanup(func() { b.paperIn(); b.stop() })
	return b
}

func open(t *testing.T, uri string) *print.Printer {
	t.Helper()
	p, err := print.New(print.Options{URI: uri, User: "cunban-test", Follow: 20 * time.Millisecond, Heal: 20 * time.Millisecond,
		Poll: 20 * time.Millisecond, Lost: 500 * time.Millisecond, Request: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// started is a job under way in another goroutine.
type started struct {
	mu     sync.Mutex
	said   []string
	result device.PrintResult
	err    error
	ended  chan struct{}
}

func begin(ctx context.Context, p *print.Printer, pdf []byte) *started {
	s := &started{ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		s.result, s.err = p.Print(ctx, "办件回执", pdf, func(x string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.said = append(s.said, x)
		})
	}()
	return s
}

func (s *started) heard(part string) func() bool {
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return strings.Contains(strings.Join(s.said, "\n"), part)
	}
}

func TestContract(t *testing.T) {
	for name, make := range map[string]func(*testing.T) *bench{"sim": simulated, "ippeveprinter": ippeveprinter} {
		t.Run(name, func(t *testing.T) {
			contract.TestPrinter(t, func(t *testing.T) *contract.PrinterHarness { return make(t).harness() })
			printing(t, make)
		})
	}
}

func TestDeviceContract(t *testing.T) {
	contract.TestDevice(t, "cunban/device/print", func(t *testing.T) device.Device { return open(t, simulated(t).uri) })
}

// TestSpoolerRestarts: a spooler that comes back with its jobs, as CUPS does, is
// followed on; the document comes out once.
func TestSpoolerRestarts(t *testing.T) {
	dir, addr := t.TempDir(), address(t)
	p := sim.NewPrinter(sim.PrinterOptions{Dir: dir, PageTime: 300 * time.Millisecond})
	serve := func() (stop func()) {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = p.Serve(ctx, ln) }()
		var once sync.Once
		stop = func() { once.Do(func() { cancel(); <-ended }) }
		t.Cleanup(stop)
		return stop
	}
	stop := serve()
	d, err := print.New(print.Options{URI: "ipp://" + addr + sim.PrinterPath, Follow: 20 * time.Millisecond, Lost: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	s := begin(t.Context(), d, onePDF("kept"))
	until(t, "the job is there", func() bool { return s.heard("正在打印")() || s.heard("排队")() })
	p.PaperOut()
	stop()
	until(t, "silence is said", s.heard("等打印机回答"))
	serve()
	p.PaperIn()
	<-s.ended
	if s.err != nil || s.result.End != device.PrintDone {
		t.Errorf("%+v, %v", s.result, s.err)
	}
	if n := len(files(t, dir)); n != 1 {
		t.Errorf("%d documents came out", n)
	}
}

func printing(t *testing.T, make func(*testing.T) *bench) {
	// held gives a job that the printer has and cannot print for want of paper.
	held := func(t *testing.T) (*bench, *print.Printer, *started, context.CancelFunc) {
		b := make(t)
		p := open(t, b.uri)
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		if !b.knowsAtRest {
			b.paperOut()
		}
		s := begin(ctx, p, onePDF("held"))
		if b.knowsAtRest {
			until(t, "the job is there", func() bool { return s.heard("正在打印")() || s.heard("排队")() })
			b.paperOut()
		}
		until(t, "the person is told to put paper in", s.heard("没有纸"))
		return b, p, s, cancel
	}
	t.Run("wrong place", func(t *testing.T) {
		b := make(t)
		p := open(t, strings.Replace(b.uri, "/ipp/print", "/no/printer", 1))
		h := p.SelfTest(t.Context())
		if h.State != device.StateFault || h.Cause == "" || h.Remedy == "" || h.Code != "PR-17" && h.Code != "PR-18" {
			t.Errorf("health %+v", h)
		}
		if r, err := p.Print(t.Context(), "x", onePDF("lost"), nil); err == nil || r.End != device.PrintFailed {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("not a PDF", func(t *testing.T) {
		b := make(t)
		if r, err := open(t, b.uri).Print(t.Context(), "x", []byte("hello"), nil); err == nil || r.End != device.PrintFailed {
			t.Errorf("%+v, %v", r, err)
		}
		if n := len(b.printed()); n != 0 {
			t.Errorf("%d came out", n)
		}
	})
	t.Run("purge", func(t *testing.T) {
		b, p, s, _ := held(t)
		if err := p.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.paperIn() // a command that hangs is let go
		<-s.ended
		if s.err != nil || s.result.End != device.PrintFailed || !strings.Contains(s.result.Cause, "取消") {
			t.Errorf("%+v, %v", s.result, s.err)
		}
	})
	t.Run("restarted in the middle", func(t *testing.T) {
		b, p, s, _ := held(t)
		b.stop()
		b.paperIn()
		b.start()
		// A stranger's job gets the number of ours.
		if r, err := open(t, b.uri).Print(t.Context(), "x", onePDF("stranger"), nil); err != nil || r.End != device.PrintDone {
			t.Fatalf("%+v, %v", r, err)
		}
		<-s.ended
		if s.err != nil || s.result.End != device.PrintUnknown || s.result.Remedy == "" {
			t.Errorf("%+v, %v, want unknown", s.result, s.err)
		}
		for _, d := range b.printed() {
			if bytes.Equal(d, onePDF("held")) {
				t.Error("the document was printed again by itself")
			}
		}
		if h := p.SelfTest(t.Context()); h.Counters["jobs_unknown"] != 1 {
			t.Errorf("health %+v", h)
		}
	})
}
