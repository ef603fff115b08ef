package escpos

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"cunban/device"
	"cunban/device/contract"
)

// machine is a receipt printer on a network port: it reads its commands as a
// printer does, and a test opens its cover and takes its paper.
type machine struct {
	l net.Listener

	mu     sync.Mutex
	st     status
	paper  []([]byte) // rows of dots that came out
	cuts   int
	noMark bool // does not know GS ( H
	noRoll bool // nor GS r
	dumb   bool // answers nothing
	hangUp int  // after so many rows, 0 = never
	outAt  int  // no paper after so many rows, 0 = never
	wake   *sync.Cond
}

// fine is a printer in order: the fixed bits and nothing else.
var fine = status{0x12, 0x12, 0x12, 0x12}

func newMachine(t *testing.T) *machine {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{l: l, st: fine}
	m.wake = sync.NewCond(&m.mu)
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() { m.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		m.set(func() { m.st = fine })
		served.Wait()
	})
	return m
}

func (m *machine) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
	m.wake.Broadcast()
}

// serve runs two readers, as real-time commands are answered while the paper
// stands still.
func (m *machine) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	in := make(chan []byte, 4096) // a printer's buffer is larger than a receipt
	var printing sync.WaitGroup
	printing.Go(func() { m.print(bufio.NewReader(&queued{in: in}), c) })
	defer printing.Wait()
	defer close(in)
	r := bufio.NewReader(c)
	for {
		b, err := r.ReadByte()
		if err != nil {
			return
		}
		if b == 0x10 && r.Buffered() >= 2 {
			if p, _ := r.Peek(2); p[0] == 4 && p[1] >= 1 && p[1] <= 4 {
				_, _ = r.Discard(2)
				m.mu.Lock()
				a, dumb := []byte{m.st.printer, m.st.offline, m.st.fault, m.st.paper}[p[1]-1], m.dumb
				m.mu.Unlock()
				if !dumb {
					_, _ = c.Write([]byte{a})
				}
				continue
			}
		}
		rest := append(make([]byte, 0, 512), b)
		for r.Buffered() > 0 && len(rest) < cap(rest) {
			if p, _ := r.Peek(1); p[0] == 0x10 {
				break
			}
			b, _ := r.ReadByte()
			rest = append(rest, b)
		}
		in <- rest
	}
}

// queued is what was received and not yet printed.
type queued struct {
	in   chan []byte
	rest []byte
}

func (q *queued) Read(p []byte) (int, error) {
	for len(q.rest) == 0 {
		b, ok := <-q.in
		if !ok {
			return 0, io.EOF
		}
		q.rest = b
	}
	n := copy(p, q.rest)
	q.rest = q.rest[n:]
	return n, nil
}

// print does what was queued.
func (m *machine) print(r *bufio.Reader, c net.Conn) {
	read := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil
		}
		return b
	}
	for {
		h := read(2)
		switch {
		case h == nil:
			return
		case h[0] == 0x1b && h[1] == '@':
		case h[0] == 0x1d && h[1] == 'v':
			p := read(6)
			if p == nil {
				return
			}
			width, rows := int(binary.LittleEndian.Uint16(p[2:])), int(binary.LittleEndian.Uint16(p[4:]))
			for range rows {
				row := read(width)
				if row == nil || !m.row(row, c) {
					return
				}
			}
		case h[0] == 0x1d && h[1] == 'V':
			read(2)
			m.set(func() { m.cuts++ })
		case h[0] == 0x1d && h[1] == '(':
			p := read(9)
			if p == nil {
				return
			}
			m.mu.Lock()
			mute := m.noMark || m.dumb
			m.mu.Unlock()
			if !mute {
				_, _ = c.Write(append(append([]byte{answerHead, answerKind}, p[5:]...), 0))
			}
		case h[0] == 0x1d && h[1] == 'I': // a model without a name
			read(1)
		case h[0] == 0x1d && h[1] == 'r':
			read(1)
			m.mu.Lock()
			mute := m.noRoll || m.dumb
			m.mu.Unlock()
			if !mute {
				_, _ = c.Write([]byte{0})
			}
		}
	}
}

// row prints a row; it waits while there is no paper or the cover is open.
func (m *machine) row(row []byte, c net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.outAt > 0 && len(m.paper) == m.outAt {
		m.st.paper, m.outAt = 0x12|noPaper, 0
	}
	for m.st.health().State == device.StateFault {
		m.wake.Wait()
	}
	if m.hangUp > 0 && len(m.paper) == m.hangUp {
		_ = c.Close()
		return false
	}
	m.paper = append(m.paper, row)
	return true
}

// draw is a page of stripes, so that every row can be told.
func draw(_ context.Context, _ []byte, dots int) ([]image.Image, error) {
	g := image.NewGray(image.Rect(0, 0, dots, 300))
	for y := range 300 {
		for x := range dots {
			if (x/8+y)%3 != 0 {
				g.SetGray(x, y, color.Gray{Y: 255})
			}
		}
	}
	return []image.Image{g}, nil
}

func newPrinter(t *testing.T, m *machine) *Printer {
	t.Helper()
	p, err := New(Options{Target: "tcp://" + m.l.Addr().String(), Raster: draw, Answer: 300 * time.Millisecond, Follow: 30 * time.Millisecond,
		Job: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// driver begins the names of the driver's own goroutines; the machine's are in
// this package too.
const driver = "cunban/device/print/escpos.(*link)"

func TestContract(t *testing.T) {
	m := newMachine(t)
	contract.TestDevice(t, driver, func(t *testing.T) device.Device { return newPrinter(t, m) })
	t.Run("none", func(t *testing.T) {
		contract.TestDevice(t, driver, func(t *testing.T) device.Device {
			p, err := New(Options{Target: "/dev/usb/lp-of-nobody", Raster: draw})
			if err != nil {
				t.Fatal(err)
			}
			return p
		})
	})
}

// TestPrints: every dot comes out once, the paper is cut, and the end is the
// printer's own word, whichever of the two it knows.
func TestPrints(t *testing.T) {
	for name, set := range map[string]func(m *machine){
		"both":      func(*machine) {},
		"mark only": func(m *machine) { m.noRoll = true },
		"roll only": func(m *machine) { m.noMark = true },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			set(m)
			p := newPrinter(t, m)
			for job := 1; job <= 3; job++ {
				r, err := p.Print(t.Context(), "回执", []byte("%PDF-"), nil)
				if err != nil || r.End != device.PrintDone {
					t.Fatalf("%+v, %v", r, err)
				}
				m.mu.Lock()
				if len(m.paper) != 300*job || m.cuts != job {
					t.Errorf("%d rows, %d cuts after %d jobs", len(m.paper), m.cuts, job)
				}
				for y, row := range m.paper[:300] {
					for i, b := range row {
						if want := map[bool]byte{true: 0xff, false: 0}[(i+y)%3 == 0]; b != want {
							t.Fatalf("row %d, byte %d is %02x, want %02x", y, i, b, want)
						}
					}
				}
				m.mu.Unlock()
			}
			if h := p.Health(); h.State != device.StateReady || h.Counters["jobs_done"] != 3 {
				t.Errorf("%+v", h)
			}
		})
	}
}

// TestRefuses: nothing is sent to a printer that cannot print.
func TestRefuses(t *testing.T) {
	for name, x := range map[string]struct {
		st   status
		want error
		code string
	}{
		"no paper":   {status{0x12 | offLine, 0x12 | paperStop, 0x12, 0x12 | noPaper}, device.ErrOutOfPaper, "RP-02"},
		"cover open": {status{0x12 | offLine, 0x12 | coverOpen, 0x12, 0x12}, device.ErrCoverOpen, "RP-03"},
		"knife":      {status{0x12 | offLine, 0x12 | otherFault, 0x12 | cutterFault, 0x12}, device.ErrJam, "RP-04"},
		"dead":       {status{0x12 | offLine, 0x12 | otherFault, 0x12 | dead, 0x12}, device.ErrOffline, "RP-05"},
		"hot":        {status{0x12 | offLine, 0x12 | otherFault, 0x12 | tooHot, 0x12}, device.ErrOffline, "RP-06"},
		"off line":   {status{0x12 | offLine, 0x12, 0x12, 0x12}, device.ErrOffline, "RP-07"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.set(func() { m.st = x.st })
			p := newPrinter(t, m)
			r, err := p.Print(t.Context(), "", []byte("%PDF-"), nil)
			if !errors.Is(err, x.want) || r.End != device.PrintFailed || r.Cause == "" || r.Remedy == "" {
				t.Errorf("%+v, %v", r, err)
			}
			if h := p.Health(); h.Code != x.code || h.Cause == "" || h.Remedy == "" {
				t.Errorf("says %+v", h)
			}
			m.mu.Lock()
			if len(m.paper) > 0 || m.cuts > 0 {
				t.Error("something came out")
			}
			m.mu.Unlock()
			m.set(func() { m.st = fine })
			if r, err := p.Print(t.Context(), "", []byte("%PDF-"), nil); err != nil || r.End != device.PrintDone {
				t.Errorf("afterwards: %+v, %v", r, err)
			}
		})
	}
}

func TestNearEnd(t *testing.T) {
	m := newMachine(t)
	m.set(func() { m.st.paper |= nearEnd })
	p := newPrinter(t, m)
	if r, err := p.Print(t.Context(), "", []byte("%PDF-"), nil); err != nil || r.End != device.PrintDone {
		t.Errorf("%+v, %v", r, err)
	}
	if h := p.Health(); h.State != device.StateLow || h.Code != "RP-08" {
		t.Errorf("%+v", h)
	}
}

// TestPaperOutInTheMiddle: with a new roll the job goes on and ends; without one
// nobody can say what is on the paper, and nothing is printed again.
func TestPaperOutInTheMiddle(t *testing.T) {
	for _, mended := range []bool{true, false} {
		m := newMachine(t)
		m.outAt = 130
		p := newPrinter(t, m)
		cancel := p.Subscribe(func(e device.Event) {
			if mended && e.Health != nil && e.Health.Code == "RP-02" {
				m.set(func() { m.st = fine })
			}
		})
		r, err := p.Print(t.Context(), "", []byte("%PDF-"), nil)
		cancel()
		want := map[bool]device.PrintEnd{true: device.PrintDone, false: device.PrintUnknown}[mended]
		if err != nil || r.End != want {
			t.Errorf("new roll %t: %+v, %v", mended, r, err)
		}
		if !mended && (r.Cause == "" || r.Remedy == "" || p.Health().Code != "RP-02") {
			t.Errorf("says %+v, %+v", r, p.Health())
		}
	}
}

// TestUnknown: a line that breaks after the first byte, and a printer that
// prints and tells nothing.
func TestUnknown(t *testing.T) {
	for name, set := range map[string]func(m *machine){
		"hangs up":       func(m *machine) { m.hangUp = 200 },
		"tells no ends":  func(m *machine) { m.noMark, m.noRoll = true, true },
		"falls silent":   func(m *machine) { m.outAt = 40; m.noMark = true },
		"silent for all": func(m *machine) { m.noMark, m.noRoll, m.outAt = true, true, 299 },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			set(m)
			p := newPrinter(t, m)
			p.o.Job = time.Second
			if r, err := p.Print(t.Context(), "", []byte("%PDF-"), nil); err != nil || r.End != device.PrintUnknown || r.Remedy == "" {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

func TestDumb(t *testing.T) {
	m := newMachine(t)
	m.dumb = true
	p := newPrinter(t, m)
	r, err := p.Print(t.Context(), "", []byte("%PDF-"), nil)
	if !errors.Is(err, device.ErrOffline) || r.End != device.PrintFailed || p.Health().Code != "RP-01" {
		t.Errorf("%+v, %v, %+v", r, err, p.Health())
	}
	if len(m.paper) > 0 {
		t.Error("something came out")
	}
}

// TestMarkThatLooksLikeAStatus: the characters of a mark have the form of a
// status; they must not be taken for one, nor the other way round.
func TestMarkThatLooksLikeAStatus(t *testing.T) {
	a, b := net.Pipe()
	l := newLink(a)
	id := mark(0x2266) // '2' is 0x32: bits 1 and 4 set, 0 and 7 not
	if !isStatus(id[0]) {
		t.Fatal("it does not")
	}
	go func() {
		buf := make([]byte, 3)
		for i := range 4 {
			_, _ = io.ReadFull(b, buf)
			if i == 1 { // the job ended just now
				_, _ = b.Write(append([]byte{answerHead, answerKind, id[0], id[1], id[2], id[3]}, 0))
			}
			_, _ = b.Write([]byte{0x12})
		}
		_ = b.Close()
	}()
	if s, err := l.status(t.Context(), time.Second); err != nil || s != fine {
		t.Errorf("status %+v, %v", s, err)
	}
	if done, err := l.told(t.Context(), id, time.Second); !done {
		t.Errorf("the end was not heard: %v", err)
	}
	_ = l.close()
}

// TestAnswersFromBefore: a device file keeps what the printer said after the last
// job; the next one is not done because of it.
func TestAnswersFromBefore(t *testing.T) {
	m := newMachine(t)
	p := newPrinter(t, m)
	p.o.Job = time.Second
	m.noMark, m.noRoll = true, true
	dial := p.o.dial
	p.o.dial = func(ctx context.Context) (io.ReadWriteCloser, error) {
		c, err := dial(ctx)
		return &stale{ReadWriteCloser: c, left: []byte{0}}, err
	}
	if r, err := p.Print(t.Context(), "", []byte("%PDF-"), nil); err != nil || r.End != device.PrintUnknown {
		t.Errorf("a printer that tells no end: %+v, %v", r, err)
	}
}

// stale is a line on which an old answer lies.
type stale struct {
	io.ReadWriteCloser
	left []byte
}

func (s *stale) Read(b []byte) (int, error) {
	if len(s.left) > 0 {
		n := copy(b, s.left)
		s.left = s.left[n:]
		return n, nil
	}
	return s.ReadWriteCloser.Read(b)
}

// TestPicturesHoldNoCommands: dots that a printer would obey get one more beside
// them, and all others stay as they are.
func TestPicturesHoldNoCommands(t *testing.T) {
	g := image.NewGray(image.Rect(0, 0, 64, 2))
	for i := range g.Pix {
		g.Pix[i] = 255
	}
	dark := func(y int, bytes ...byte) {
		for i, b := range bytes {
			for bit := range 8 {
				if b&(0x80>>bit) != 0 {
					g.SetGray(8*i+bit, y, color.Gray{})
				}
			}
		}
	}
	dark(0, 0x10, 0x04, 0x01, 0x10, 0x14, 0x08, 0x10, 0x10)
	dark(1, 0x05, 0x02, 0x10, 0x06, 0x04, 0x10, 0xff, 0x10) // the first follows the row above
	want := []byte{0x18, 0x04, 0x01, 0x18, 0x14, 0x08, 0x10, 0x18, 0x05, 0x02, 0x10, 0x06, 0x04, 0x10, 0xff, 0x10}
	for s := range strips(g) {
		if got := s[8:]; !bytes.Equal(got, want) {
			t.Errorf("% x\nwant % x", got, want)
		}
	}
}

func TestTargets(t *testing.T) {
	for _, bad := range []string{"", "lp0", "tcp://", "tcp://host", "http://host:9100", "tcp://host:9100/x"} {
		if _, err := New(Options{Target: bad, Raster: draw}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := New(Options{Target: "/dev/usb/lp0"}); err == nil {
		t.Error("a printer without a Raster is taken")
	}
}

// script is a printer that says what it says, whatever it is asked, and hangs up.
type script struct{ bytes.Reader }

func (s *script) Write(b []byte) (int, error) { return len(b), nil }
func (s *script) Close() error                { return nil }

func FuzzAnswers(f *testing.F) {
	f.Add([]byte{0x12, 0x12, 0x12, 0x12, answerHead, answerKind, '0', '0', '0', '1', 0})
	f.Add([]byte{0x12, 0x12, 0x12, 0x12, 0, 0x5f, 'T', 'M', 0, 0x37, 0x25, 0})
	f.Add([]byte{0x37, 0x37, 0x22, 0, 0xff, 0x12})
	f.Fuzz(func(t *testing.T, in []byte) {
		l := newLink(&script{*bytes.NewReader(in)})
		if s, err := l.status(t.Context(), time.Second); err == nil {
			for _, x := range []byte{s.printer, s.offline, s.fault, s.paper} {
				if !isStatus(x) {
					t.Fatalf("%02x was taken for a status", x)
				}
			}
			_ = s.health()
		}
		_, _ = l.told(t.Context(), mark(1), time.Second)
		if len(l.held) > waiting {
			t.Fatal("held too much")
		}
		if name := l.model(t.Context(), time.Second); len(name) > modelMax || strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
			t.Fatalf("%q was taken for a model", name)
		}
		_ = l.clear(t.Context(), time.Second)
		_ = l.close()
	})
}
