package contract

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"cunban/device"
)

// PrinterHarness is a printer under test and the hands of a person at it.
type PrinterHarness struct {
	// Open makes a driver of the printer that does not run. It looks often enough
	// for a test and gives a printer that fell silent up within a few seconds.
	Open func(t *testing.T) device.Printer
	// Doc makes a document that takes a quarter of a second and more to print.
	Doc func(mark string) []byte
	// KnowsAtRest says that the printer notices missing paper without a job.
	KnowsAtRest bool
	// Forgets says that a document that was given up never comes out later.
	Forgets           bool
	PaperOut, PaperIn func()
	Stop              func() // switched off; what it held is lost
	Start             func() // switched on again
	// Printed is how many documents came out whole.
	Printed func() int
}

// printJob is a job under way in another goroutine.
type printJob struct {
	mu     sync.Mutex
	said   []string
	result device.PrintResult
	err    error
	ended  chan struct{}
}

func startJob(ctx context.Context, p device.Printer, doc []byte) *printJob {
	j := &printJob{ended: make(chan struct{})}
	go func() {
		defer close(j.ended)
		j.result, j.err = p.Print(ctx, "办件回执", doc, func(s string) {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.said = append(j.said, s)
		})
	}()
	return j
}

func (j *printJob) heard(part string) func() bool {
	return func() bool {
		j.mu.Lock()
		defer j.mu.Unlock()
		return strings.Contains(strings.Join(j.said, "\n"), part)
	}
}

// until waits for what no event tells of.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	over := time.NewTimer(eventLimit)
	defer over.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-over.C:
			t.Fatalf("never happened: %s", what)
		}
	}
}

// TestPrinter checks a driver of device.Printer. make sets up a fresh printer
// that has paper.
func TestPrinter(t *testing.T, make func(t *testing.T) *PrinterHarness) {
	t.Run("prints once and says so", func(t *testing.T) {
		h := make(t)
		p := h.Open(t)
		if s := p.Health().State; s != device.StateUnknown {
			t.Errorf("before anything: %s", s)
		}
		if s := p.SelfTest(t.Context()); s.State != device.StateReady || !s.Demo || s.Name == "" || s.LastGood.IsZero() {
			t.Errorf("health %+v", s)
		}
		j := startJob(t.Context(), p, h.Doc("once"))
		<-j.ended
		if j.err != nil || j.result.End != device.PrintDone || j.result.JobID == "" {
			t.Fatalf("%+v, %v", j.result, j.err)
		}
		if n := h.Printed(); n != 1 {
			t.Errorf("%d documents came out", n)
		}
		if s := p.SelfTest(t.Context()); s.State != device.StateReady || s.Counters["jobs_done"] != 1 {
			t.Errorf("health after %+v", s)
		}
	})
	t.Run("no paper before", func(t *testing.T) {
		h := make(t)
		p := h.Open(t)
		if h.PaperOut(); !h.KnowsAtRest {
			return // this printer finds out with a job: next test
		}
		s := p.SelfTest(t.Context())
		checkHealth(t, s)
		if s.State.Usable() {
			t.Errorf("no paper, yet %+v", s)
		}
		r, err := p.Print(t.Context(), "x", h.Doc("no paper"), nil)
		if !errors.Is(err, device.ErrOutOfPaper) || r.End != device.PrintFailed || !strings.Contains(r.Cause, "没有纸") || r.Remedy == "" {
			t.Errorf("%+v, %v", r, err)
		}
		h.PaperIn()
		if s := p.SelfTest(t.Context()); s.State != device.StateReady {
			t.Errorf("with paper: %+v", s)
		}
		if n := h.Printed(); n != 0 {
			t.Errorf("%d documents came out without paper", n)
		}
	})
	t.Run("waits for paper and goes on", func(t *testing.T) {
		h := make(t)
		p, j, _ := heldJob(t, h)
		if n := h.Printed(); n != 0 {
			t.Errorf("%d documents came out without paper", n)
		}
		if _, err := p.Print(t.Context(), "x", h.Doc("second"), nil); !errors.Is(err, device.ErrBusy) {
			t.Errorf("second job at once: %v", err)
		}
		h.PaperIn()
		<-j.ended
		if j.err != nil || j.result.End != device.PrintDone {
			t.Errorf("%+v, %v", j.result, j.err)
		}
		if n := h.Printed(); n != 1 {
			t.Errorf("%d documents came out", n)
		}
	})
	t.Run("off and on again", func(t *testing.T) {
		h := make(t)
		p := h.Open(t)
		Start(t, p)
		until(t, "ready", func() bool { return p.Health().State == device.StateReady })
		h.Stop()
		until(t, "absent", func() bool { return p.Health().State == device.StateAbsent })
		checkHealth(t, p.Health())
		r, err := p.Print(t.Context(), "x", h.Doc("nobody"), nil)
		if !errors.Is(err, device.ErrAbsent) && !errors.Is(err, device.ErrOffline) || r.End != device.PrintFailed || r.Cause == "" || r.Remedy == "" {
			t.Errorf("%+v, %v", r, err)
		}
		h.Start()
		until(t, "ready again", func() bool { return p.Health().State == device.StateReady })
		if !p.Health().Demo {
			t.Error("the demo mark is gone")
		}
	})
	t.Run("the person gives up", func(t *testing.T) {
		h := make(t)
		p, j, cancel := heldJob(t, h)
		cancel()
		<-j.ended
		if j.err != nil || j.result.End == device.PrintDone || j.result.Cause == "" || j.result.Remedy == "" {
			t.Errorf("%+v, %v", j.result, j.err)
		}
		h.PaperIn()
		if !h.Forgets {
			return
		}
		if r, err := p.Print(t.Context(), "x", h.Doc("the next person's"), nil); err != nil || r.End != device.PrintDone {
			t.Errorf("the next: %+v, %v", r, err)
		}
		if n := h.Printed(); n != 1 {
			t.Errorf("%d documents came out, the next person's alone was to", n)
		}
	})
	t.Run("switched off in the middle and on again", func(t *testing.T) {
		h := make(t)
		p, j, _ := heldJob(t, h)
		h.Stop()
		<-j.ended
		if j.err != nil || j.result.End != device.PrintUnknown || j.result.Cause == "" || j.result.Remedy == "" {
			t.Errorf("%+v, %v, want unknown", j.result, j.err)
		}
		h.PaperIn()
		h.Start()
		if s := p.SelfTest(t.Context()); s.State != device.StateReady || s.Counters["jobs_unknown"] != 1 {
			t.Errorf("health %+v", s)
		}
		if r, err := p.Print(t.Context(), "x", h.Doc("a person's choice"), nil); err != nil || r.End != device.PrintDone {
			t.Errorf("again, when a person says so: %+v, %v", r, err)
		}
		if n := h.Printed(); n != 1 {
			t.Errorf("%d documents came out, want the one that a person asked for", n)
		}
	})
}

// heldJob gives a job that the printer has and cannot print for want of paper.
func heldJob(t *testing.T, h *PrinterHarness) (device.Printer, *printJob, context.CancelFunc) {
	t.Helper()
	p := h.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	if !h.KnowsAtRest {
		h.PaperOut()
	}
	j := startJob(ctx, p, h.Doc("held"))
	if h.KnowsAtRest {
		until(t, "the job is there", func() bool { return j.heard("正在打印")() || j.heard("排队")() })
		h.PaperOut()
	}
	until(t, "the person is told to put paper in", j.heard("没有纸"))
	return p, j, cancel
}
