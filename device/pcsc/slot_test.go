package pcsc

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cunban/device"
)

var atr = []byte{0x3B, 0x67, 0x00}

// run runs a slot on a fake service in a bubble of fake time.
func run(t *testing.T, test func(t *testing.T, s *Slot, f *fakeService)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := newSlot(Options{}, f)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		test(t, s, f)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
}

func expect(t *testing.T, s *Slot, card device.CardState, code string) {
	t.Helper()
	synctest.Wait()
	if got := s.CardState().State; got != card {
		t.Errorf("card state %s, want %s", got, card)
	}
	h := s.Health()
	if h.Code != code {
		t.Errorf("health %+v, want code %q", h, code)
	}
	if code != "" && (h.Cause == "" || h.Remedy == "") {
		t.Errorf("health without cause or remedy: %+v", h)
	}
}

func TestReadersComeAndGo(t *testing.T) {
	run(t, func(t *testing.T, s *Slot, f *fakeService) {
		expect(t, s, device.CardNoReader, CodeNoReader)
		f.plug("ACS ACR39U 00 00", 1<<16|flagEmpty, nil)
		expect(t, s, device.CardNone, "")
		if s.Health().Demo {
			t.Error("a real reader is taken for a simulated one")
		}
		f.plug("Virtual PCD 00 00", 1<<16|flagEmpty, nil)
		expect(t, s, device.CardNone, "")
		// A card in the second reader is the one.
		f.plug("Virtual PCD 00 00", 2<<16|flagPresent, atr)
		expect(t, s, device.CardInserted, "")
		if !s.Health().Demo || s.CardState().Reader != "Virtual PCD 00 00" {
			t.Errorf("%+v %+v", s.Health(), s.CardState())
		}
		// While it is in, a card in the first changes nothing.
		f.plug("ACS ACR39U 00 00", 2<<16|flagPresent, atr)
		expect(t, s, device.CardInserted, "")
		if s.CardState().Reader != "Virtual PCD 00 00" {
			t.Errorf("%+v", s.CardState())
		}
		f.unplug("Virtual PCD 00 00")
		time.Sleep(time.Second) // fake time
		expect(t, s, device.CardInserted, "")
		if s.CardState().Reader != "ACS ACR39U 00 00" {
			t.Errorf("%+v", s.CardState())
		}
		f.unplug("ACS ACR39U 00 00")
		time.Sleep(time.Second)
		expect(t, s, device.CardNoReader, CodeNoReader)
	})
}

func TestEveryInsertionIsAnother(t *testing.T) {
	run(t, func(t *testing.T, s *Slot, f *fakeService) {
		f.plug("R", 2<<16|flagPresent, atr)
		synctest.Wait()
		first := s.CardState()
		// Out and in between two looks: only the event count shows it.
		f.plug("R", 4<<16|flagPresent, atr)
		synctest.Wait()
		if second := s.CardState(); second.Seq != first.Seq+1 {
			t.Errorf("#%d then #%d", first.Seq, second.Seq)
		}
		// Somebody opening the card is no insertion.
		f.plug("R", 4<<16|flagPresent|flagInUse, atr)
		synctest.Wait()
		if third := s.CardState(); third.Seq != first.Seq+1 || third.State != device.CardInserted {
			t.Errorf("%+v", third)
		}
	})
}

func TestUnresponsive(t *testing.T) {
	for name, st := range map[string]readerState{
		"mute":   {event: 2<<16 | flagPresent | flagMute},
		"no ATR": {event: 2<<16 | flagPresent, atr: []byte{0xFF}},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, s *Slot, f *fakeService) {
				f.plug("R", st.event, st.atr)
				expect(t, s, device.CardUnresponsive, "")
				if _, err := s.Connect(t.Context()); !errors.Is(err, device.ErrUnresponsive) {
					t.Errorf("connect: %v", err)
				}
			})
		})
	}
}

func TestHeldByAnotherProgram(t *testing.T) {
	run(t, func(t *testing.T, s *Slot, f *fakeService) {
		f.plug("R", 2<<16|flagPresent|flagExclusive|flagInUse, atr)
		expect(t, s, device.CardInserted, "") // may be a passing moment
		time.Sleep(heldAfter + time.Millisecond)
		expect(t, s, device.CardHeld, CodeHeld)
		f.plug("R", 2<<16|flagPresent, atr)
		expect(t, s, device.CardInserted, "")

		// A holder that shares is met only when connecting.
		f.plug("R", 2<<16|flagPresent|flagInUse, atr)
		f.set(func() { f.connErr = []error{errSharing, errSharing, errSharing, errSharing} })
		if _, err := s.Connect(t.Context()); !errors.Is(err, device.ErrHeld) {
			t.Errorf("connect: %v", err)
		}
		expect(t, s, device.CardHeld, CodeHeld)
		f.plug("R", 2<<16|flagPresent, atr)
		time.Sleep(heldAfter + time.Millisecond)
		expect(t, s, device.CardInserted, "")

		// One that lets go soon is waited for.
		f.set(func() { f.connErr = []error{errSharing, errSharing} })
		tr, err := s.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestOwnConnectionIsNotAnother(t *testing.T) {
	run(t, func(t *testing.T, s *Slot, f *fakeService) {
		f.plug("R", 2<<16|flagPresent, atr)
		synctest.Wait()
		tr, err := s.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.plug("R", 2<<16|flagPresent|flagExclusive|flagInUse, atr)
		time.Sleep(2 * heldAfter)
		expect(t, s, device.CardInserted, "")
		if _, err := s.Connect(t.Context()); !errors.Is(err, device.ErrBusy) {
			t.Errorf("second connect: %v, want ErrBusy", err)
		}
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
		f.plug("R", 2<<16|flagPresent, atr)
		expect(t, s, device.CardInserted, "")
	})
}

func TestDenied(t *testing.T) {
	run(t, func(t *testing.T, s *Slot, f *fakeService) {
		f.plug("R", 2<<16|flagPresent, atr)
		f.set(func() { f.connErr = []error{errSecurity} })
		synctest.Wait()
		if _, err := s.Connect(t.Context()); !errors.Is(err, device.ErrNoReader) {
			t.Errorf("connect: %v", err)
		}
		expect(t, s, device.CardInserted, CodeDenied)
		if !strings.Contains(s.Health().Detail, ruleCard) {
			t.Errorf("the rule is not named: %+v", s.Health())
		}
		f.set(func() { f.err = errSecurity })
		time.Sleep(time.Second)
		expect(t, s, device.CardNoReader, CodeDenied)
		if !strings.Contains(s.Health().Detail, ruleService) {
			t.Errorf("the rule is not named: %+v", s.Health())
		}
	})
}

func TestServiceRestarts(t *testing.T) {
	run(t, func(t *testing.T, s *Slot, f *fakeService) {
		f.plug("R", 2<<16|flagPresent, atr)
		synctest.Wait()
		tr, err := s.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := tr.Close(); err != nil {
			t.Fatal(err)
		}
		// Down: absent, and not asked for all the time.
		f.set(func() { f.err = errNoService })
		time.Sleep(10 * time.Second)
		expect(t, s, device.CardNoReader, CodeService)
		if _, err := s.Connect(t.Context()); !errors.Is(err, device.ErrNoReader) {
			t.Errorf("connect: %v", err)
		}
		// Up again: the monitor and the I/O context both heal.
		f.set(func() { f.err, f.gen = nil, f.gen+1 })
		time.Sleep(retryMost + time.Second)
		expect(t, s, device.CardInserted, "")
		tr, err = s.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Transmit(t.Context(), []byte{0, 0xB2, 1, 4, 0}); err != nil {
			t.Error(err)
		}
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestIdleDoesNotSpin(t *testing.T) {
	run(t, func(t *testing.T, s *Slot, f *fakeService) {
		f.plug("R", 1<<16|flagEmpty, nil)
		synctest.Wait()
		f.mu.Lock()
		before := f.waits
		f.mu.Unlock()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		f.mu.Lock()
		defer f.mu.Unlock()
		if n := f.waits - before; n > 2*int(10*time.Minute/waitSlice)+2 {
			t.Errorf("%d waits in ten quiet minutes", n)
		}
	})
}

func TestCommandThatHangs(t *testing.T) {
	run(t, func(t *testing.T, s *Slot, f *fakeService) {
		f.plug("R", 2<<16|flagPresent, atr)
		synctest.Wait()
		tr, err := s.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		block := make(chan struct{})
		f.set(func() { f.block = block })
		began := time.Now()
		if _, err := tr.Transmit(t.Context(), []byte{0, 0xB2, 1, 4, 0}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("transmit: %v", err)
		}
		if took := time.Since(began); took != apduTimeout {
			t.Errorf("gave up after %v", took)
		}
		if _, err := tr.Transmit(t.Context(), []byte{0, 0xB2, 1, 4, 0}); err == nil {
			t.Error("a transport with a lost answer still transmits")
		}
		if _, err := s.Connect(t.Context()); !errors.Is(err, device.ErrBusy) {
			t.Errorf("connect while the library hangs: %v", err)
		}
		f.set(func() { f.block = nil })
		close(block)
		synctest.Wait()
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
		if _, err := s.Connect(t.Context()); err != nil {
			t.Errorf("connect after it returned: %v", err)
		}
	})
}

func TestTransmitErrors(t *testing.T) {
	for e, want := range map[scError]error{
		errRemoved: device.ErrCardTorn, errNotTransacted: device.ErrCardTorn, errReset: device.ErrCardTorn,
		errNoSmartcard: device.ErrCardTorn, errReaderUnavailable: device.ErrNoReader,
		errNoService: device.ErrNoReader, errInvalidHandle: device.ErrNoReader, errPanic: device.ErrNoReader,
	} {
		run(t, func(t *testing.T, s *Slot, f *fakeService) {
			f.plug("R", 2<<16|flagPresent, atr)
			synctest.Wait()
			tr, err := s.Connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			f.set(func() { f.txErr = e })
			if _, err := tr.Transmit(t.Context(), []byte{0, 0xB2, 1, 4, 0}); !errors.Is(err, want) {
				t.Errorf("%v gives %v, want %v", e, err, want)
			}
			if err := tr.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMoreAndWrongLength(t *testing.T) {
	for _, c := range []struct {
		name   string
		t0     bool
		cmd    []byte
		script [][]byte
		want   []byte
		sent   [][]byte
		err    bool
	}{
		{"get response", true, []byte{0, 0xA4, 2, 0, 2, 0xEF, 5, 0}, [][]byte{{0x61, 3}, {1, 2, 3, 0x90, 0}}, []byte{1, 2, 3, 0x90, 0},
			[][]byte{{0, 0xA4, 2, 0, 2, 0xEF, 5}, {0, 0xC0, 0, 0, 3}}, false},
		{"again with the right length", true, []byte{0, 0xB2, 1, 4, 0}, [][]byte{{0x6C, 4}, {1, 2, 3, 4, 0x90, 0}}, []byte{1, 2, 3, 4, 0x90, 0},
			[][]byte{{0, 0xB2, 1, 4, 0}, {0, 0xB2, 1, 4, 4}}, false},
		{"both, in pieces", false, []byte{0, 0xB2, 1, 4, 0}, [][]byte{{0x6C, 9}, {1, 0x61, 2}, {2, 3, 0x90, 0}}, []byte{1, 2, 3, 0x90, 0},
			[][]byte{{0, 0xB2, 1, 4, 0}, {0, 0xB2, 1, 4, 9}, {0, 0xC0, 0, 0, 2}}, false},
		{"wrong length twice", false, []byte{0, 0xB2, 1, 4, 0}, [][]byte{{0x6C, 9}, {0x6C, 8}}, []byte{0x6C, 8},
			[][]byte{{0, 0xB2, 1, 4, 0}, {0, 0xB2, 1, 4, 9}}, false},
		{"Le stays on T=1", false, []byte{0, 0xA4, 2, 0, 2, 0xEF, 5, 0}, nil, []byte{0x90, 0}, [][]byte{{0, 0xA4, 2, 0, 2, 0xEF, 5, 0}}, false},
		{"more for ever", false, []byte{0, 0xB2, 1, 4, 0}, bytesOf([]byte{7, 0x61, 1}, 100), nil, nil, true},
		{"no status word", false, []byte{0, 0xB2, 1, 4, 0}, [][]byte{{0x90}}, nil, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake()
			f.t0, f.script = c.t0, c.script
			tr := &transport{card: &fakeCard{f: f}}
			got, err := tr.exchange(c.cmd)
			if (err != nil) != c.err || !bytes.Equal(got, c.want) {
				t.Errorf("got %X, %v", got, err)
			}
			if c.sent != nil && len(c.sent) != len(f.sent) {
				t.Fatalf("sent %X, want %X", f.sent, c.sent)
			}
			for i := range c.sent {
				if !bytes.Equal(c.sent[i], f.sent[i]) {
					t.Errorf("sent %X, want %X", f.sent[i], c.sent[i])
				}
			}
		})
	}
}

func bytesOf(b []byte, n int) (out [][]byte) {
	for range n {
		out = append(out, b)
	}
	return out
}

func TestFindMapped(t *testing.T) {
	proc := t.TempDir()
	for pid, maps := range map[string]string{"10": "/usr/lib/libpcsclite.so.1", "11": "/usr/lib/libc.so.6", "12": "/usr/lib/libpcsclite.so.1"} {
		d := filepath.Join(proc, pid)
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"maps": "7f00-7f01 r-xp 0 00:00 1 " + maps + "\n", "comm": "scdaemon\n"} {
			if err := os.WriteFile(filepath.Join(d, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := findMapped(proc, 12); !slices.Equal(got, []string{"scdaemon 10"}) {
		t.Errorf("mapped by %q", got)
	}
}
