package sim

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cunban/device"
	"cunban/device/contract"
	"cunban/device/sdt"
)

func newTestReader(t *testing.T) (*idReader, *sdt.Reader, *contract.Watcher) {
	t.Helper()
	dir := t.TempDir()
	r := newIDReader(dir, slog.New(slog.DiscardHandler))
	if err := r.plug(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.unplug)
	d := sdt.New(sdt.Options{Open: sdt.Serial(filepath.Join(dir, SDTLink), 0), Timings: sdt.Timings{
		Poll: 20 * time.Millisecond, Command: 150 * time.Millisecond, Read: 300 * time.Millisecond,
		Quiet: 40 * time.Millisecond, Retry: 20 * time.Millisecond}})
	w := contract.Watch(t, d)
	contract.Start(t, d)
	w.UntilCard(t, d.CardState, device.CardNone)
	return r, d, w
}

func card(t *testing.T, name string) *CardFile {
	t.Helper()
	c, err := LoadCard("", name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestLineFaults: the driver reads through every fault of the line.
func TestLineFaults(t *testing.T) {
	for name, fault := range map[string]sdtFault{"noise": faultNoise, "split": faultSplit, "wrong check byte": faultChecksum,
		"wrong length": faultLength, "an answer lost": faultSilent, "answers twice": faultTwice,
		"half an answer": faultHalf} {
		t.Run(name, func(t *testing.T) {
			r, d, w := newTestReader(t)
			if err := r.put(card(t, "zhang")); err != nil {
				t.Fatal(err)
			}
			w.UntilCard(t, d.CardState, device.CardInserted)
			r.setFault(fault)
			got, err := d.ReadID(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got.Number != "140830195603120024" || !bytes.Equal(got.PhotoWLT, idPhoto()) {
				t.Errorf("read %+v", got)
			}
			r.lift()
			w.UntilCard(t, d.CardState, device.CardNone)
			if h := d.Health(); h.State != device.StateReady {
				t.Errorf("health %+v", h)
			}
		})
	}
}

// TestFoundAnswerLost: a reader says once only that it found a card. When just
// that answer is lost on the line the card is read all the same.
func TestFoundAnswerLost(t *testing.T) {
	for name, fault := range map[string]sdtFault{"wrong check byte": faultChecksum, "wrong length": faultLength, "half": faultHalf, "lost": faultSilent} {
		t.Run(name, func(t *testing.T) {
			r, d, w := newTestReader(t)
			c := card(t, "zhang")
			text, err := c.idText()
			if err != nil {
				t.Fatal(err)
			}
			r.mu.Lock() // the card and the fault at once: the next answer is the one
			r.card, r.text, r.found, r.selected, r.fault = c, text, false, false, fault
			r.mu.Unlock()
			w.UntilCard(t, d.CardState, device.CardInserted)
			if got, err := d.ReadID(t.Context()); err != nil || got.Number != "140830195603120024" {
				t.Errorf("read %+v, %v", got, err)
			}
		})
	}
}

// TestReadRefused: every refusal of a read ends in an error with words and in a
// state from which the next card is read.
func TestReadRefused(t *testing.T) {
	r, d, w := newTestReader(t)
	for sw3, want := range map[string]error{"31": device.ErrUnresponsive, "32": device.ErrUnresponsive, "33": device.ErrUnresponsive,
		"40": device.ErrForeignCard, "41": device.ErrCardTorn, "47": device.ErrCardTorn, "91": device.ErrForeignCard, "7E": device.ErrCardTorn} {
		c := card(t, "zhang")
		c.ID.Fault = sw3
		if err := r.put(c); err != nil {
			t.Fatal(err)
		}
		w.UntilCard(t, d.CardState, device.CardInserted)
		_, err := d.ReadID(t.Context())
		if !errors.Is(err, want) {
			t.Errorf("SW3 %s: %v, want %v", sw3, err, want)
		}
		if cause, remedy := sdt.Words(err); cause == "" || remedy == "" {
			t.Errorf("SW3 %s: no words for %v", sw3, err)
		}
		w.UntilCard(t, d.CardState, device.CardMustBeLifted)
		r.lift()
		w.UntilCard(t, d.CardState, device.CardNone)
	}
	if err := r.put(card(t, "zhang")); err != nil {
		t.Fatal(err)
	}
	w.UntilCard(t, d.CardState, device.CardInserted)
	if _, err := d.ReadID(t.Context()); err != nil {
		t.Errorf("a good card after all the bad ones: %v", err)
	}
}

// TestEverySW3: whatever a reader answers to whichever command, known to the
// standard or not, the driver neither hangs nor reads a card that was refused,
// and reads the next one once the reader is well.
func TestEverySW3(t *testing.T) {
	all := []byte{0x10, 0x11, 0x21, 0x24, 0x31, 0x32, 0x33, 0x40, 0x41, 0x47, 0x60, 0x66, 0x80, 0x81, 0x91, 0x00, 0x7E, 0xFF}
	r, d, w := newTestReader(t)
	refuse := func(m map[uint16]byte) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.refuse = m
	}
	for _, cmd := range []uint16{0x2001, 0x2002, 0x3001} {
		for _, sw3 := range all {
			if err := r.put(card(t, "zhang")); err != nil {
				t.Fatal(err)
			}
			if cmd == 0x3001 {
				w.UntilCard(t, d.CardState, device.CardInserted)
			}
			refuse(map[uint16]byte{cmd: sw3})
			ctx, cancel := context.WithTimeout(t.Context(), opMost)
			got, err := d.ReadID(ctx)
			cancel()
			if cmd == 0x3001 && (err == nil || errors.Is(err, context.DeadlineExceeded) || got.Number != "") {
				t.Errorf("%04X refused with %02X: %+v, %v", cmd, sw3, got, err)
			}
			if cause, remedy := sdt.Words(err); err != nil && (cause == "" || remedy == "") {
				t.Errorf("%04X refused with %02X: no words for %v", cmd, sw3, err)
			}
			refuse(nil)
			r.lift()
			w.UntilCard(t, d.CardState, device.CardNone)
		}
	}
	if err := r.put(card(t, "zhang")); err != nil {
		t.Fatal(err)
	}
	w.UntilCard(t, d.CardState, device.CardInserted)
	if got, err := d.ReadID(t.Context()); err != nil || got.Number != "140830195603120024" {
		t.Errorf("a good card after all refusals: %+v, %v", got, err)
	}
}

// opMost is more than any operation may take with the tests' timings.
const opMost = 5 * time.Second

// TestModuleRefuses: a security module that is broken or not authorised is a
// fault of the reader with words, and heals when it is well again.
func TestModuleRefuses(t *testing.T) {
	for _, cmd := range []uint16{0x12FF, 0x2001} {
		for _, sw3 := range []byte{0x60, 0x66} {
			r, d, w := newTestReader(t)
			r.mu.Lock()
			r.refuse = map[uint16]byte{cmd: sw3}
			r.mu.Unlock()
			if cmd == 0x12FF { // asked when the line is opened
				r.unplug()
				w.UntilCard(t, d.CardState, device.CardNoReader)
				if err := r.plug(); err != nil {
					t.Fatal(err)
				}
			}
			w.Until(t, "a fault of the module", func() bool { return d.Health().Code == sdt.CodeModule })
			if h := d.Health(); h.State != device.StateFault || h.Cause == "" || h.Remedy == "" {
				t.Errorf("%04X refused with %02X: %+v", cmd, sw3, h)
			}
			r.mu.Lock()
			r.refuse = nil
			r.mu.Unlock()
			w.Until(t, "well again", func() bool { return d.Health().State == device.StateReady })
		}
	}
}

// TestCablePulledMidAnswer: wherever in an answer the cable is pulled, the read
// ends, and the card is read when it is plugged in again.
func TestCablePulledMidAnswer(t *testing.T) {
	r, d, w := newTestReader(t)
	for _, at := range []int{0, 1, 4, 5, 7, 10, 14, 270, 271, 1294} { // 1295 is all of it
		if err := r.put(card(t, "zhang")); err != nil {
			t.Fatal(err)
		}
		w.UntilCard(t, d.CardState, device.CardInserted)
		r.mu.Lock()
		r.fault, r.cutAt = faultCable, at
		r.mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), opMost)
		got, err := d.ReadID(ctx)
		cancel()
		// A poll may have met the fault first: the read then found no reader.
		if err == nil || errors.Is(err, context.DeadlineExceeded) || got.Number != "" {
			t.Errorf("pulled after %d bytes: %+v, %v", at, got, err)
		}
		w.UntilCard(t, d.CardState, device.CardNoReader)
		if err := r.plug(); err != nil {
			t.Fatal(err)
		}
		w.UntilCard(t, d.CardState, device.CardInserted)
		if got, err := d.ReadID(t.Context()); err != nil || got.Number != "140830195603120024" {
			t.Errorf("plugged in after a pull at byte %d: %+v, %v", at, got, err)
		}
		r.lift()
		w.UntilCard(t, d.CardState, device.CardNone)
	}
}

// TestAllLayouts: what the simulator writes in each layout, the driver reads.
func TestAllLayouts(t *testing.T) {
	for typ, want := range map[string]device.IDCardType{"resident": device.IDResident, "hkmt": device.IDHKMT,
		"foreigner": device.IDForeigner, "foreigner23": device.IDForeign23} {
		c := card(t, "zhang")
		c.ID.Type, c.ID.NameEN, c.ID.Nation, c.ID.Authority = typ, "MARIA ALEXANDRA CONSTANTINA EXAMPLE OF NOWHERE", "RUS", "1400"
		c.Person.Number = "140830195603120"
		b, err := c.idText()
		if err != nil {
			t.Fatal(err)
		}
		got, err := sdt.ParseText(b)
		if err != nil {
			t.Fatal(err)
		}
		if got.Type != want || got.Name != "张桂兰" || got.Number != "140830195603120" || got.BirthDate != "19560312" || got.Sex != "2" {
			t.Errorf("%s: %+v", typ, got)
		}
		switch foreign := want == device.IDForeigner || want == device.IDForeign23; {
		case foreign && (got.NameEN != c.ID.NameEN || got.Nation != "RUS" || got.Ethnic != ""):
			t.Errorf("%s: %+v", typ, got)
		case !foreign && (got.Address != c.ID.Address || got.NameEN != ""):
			t.Errorf("%s: %+v", typ, got)
		}
	}
}

// TestIdleIsQuiet: polling asks at its pace and no faster.
func TestIdleIsQuiet(t *testing.T) {
	r, d, _ := newTestReader(t)
	count := func() int64 {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.commands
	}
	before := count()
	const span = 500 * time.Millisecond
	<-time.After(span)
	if n := count() - before; n < 5 || n > 30 {
		t.Errorf("%d commands in %v at one every 20 ms (%+v)", n, span, d.Health())
	}
}

func TestSilentReader(t *testing.T) {
	dir := t.TempDir()
	master, slave, err := openPair()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer slave.Close()
	link := filepath.Join(dir, SDTLink)
	if err := os.Symlink(slave.Name(), link); err != nil {
		t.Fatal(err)
	}
	d := sdt.New(sdt.Options{Open: sdt.Serial(link, 0), Timings: sdt.Timings{Command: 20 * time.Millisecond, Quiet: 10 * time.Millisecond, Retry: 20 * time.Millisecond}})
	w := contract.Watch(t, d)
	contract.Start(t, d)
	w.Until(t, "no answer", func() bool { return d.Health().Code == sdt.CodeSilent })
}
