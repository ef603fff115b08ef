//go:build cgo

package pcsc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cunban/assets"
	"cunban/device"
	"cunban/device/contract"
	"cunban/device/internal/pcscdtest"
	"cunban/device/sim"
	"cunban/device/social"
)

// These tests run against a pcscd of their own with its virtual readers.

// holdEnv makes this program another one, that holds the reader.
const holdEnv = "CUNBAN_PCSC_HOLD"

func TestMain(m *testing.M) {
	if os.Getenv(holdEnv) != "" {
		if err := hold(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(pcscdtest.Main(m))
}

// hold opens the card for itself alone until its input ends.
func hold() error {
	sess, err := newService().establish()
	if err != nil {
		return err
	}
	names, err := sess.readers()
	if err != nil || len(names) == 0 {
		return fmt.Errorf("no readers: %w", err)
	}
	c, err := sess.connect(names[0])
	if err != nil {
		return err
	}
	fmt.Println("held")
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, c.disconnect(), sess.release())
}

// begin runs a card reader on the stack.
func begin(t *testing.T, slot *Slot) (*social.Reader, *contract.Watcher) {
	t.Helper()
	r := social.New(slot)
	w := contract.Watch(t, r)
	contract.Start(t, r)
	return r, w
}

// slowCard is a card that takes its time for each answer.
func slowCard(t *testing.T, d time.Duration) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "slow.yaml")
	text := fmt.Sprintf("title: 慢卡\ndelay_ms: %d\nperson:\n  number: \"140830195603120024\"\n  name: 张桂兰\n", d.Milliseconds())
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestServiceEndsMidCommand: the service is killed, or ends as a service
// manager ends it, while the card works on a command.
func TestServiceEndsMidCommand(t *testing.T) {
	st := pcscdtest.New(t)
	card := slowCard(t, time.Second)
	slot := New(Options{})
	w := contract.Watch(t, slot)
	contract.Start(t, slot)
	pcscdtest.Do(t, st.Sim, sim.Request{Do: sim.Insert, Card: card})
	w.UntilCard(t, slot.CardState, device.CardInserted)
	for name, end := range map[string]func(){"killed": st.Pcscd.Kill, "stopped": st.Pcscd.Stop} {
		t.Run(name, func(t *testing.T) {
			tr, err := slot.Connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			before := pcscdtest.Do(t, st.Sim, sim.Request{Do: sim.AskState}).State.APDUs
			answered := make(chan error, 1)
			go func() {
				_, err := tr.Transmit(t.Context(), []byte{0x00, 0xA4, 0x02, 0x00, 0x02, 0xEF, 0x05})
				answered <- err
			}()
			for deadline := time.Now().Add(apduTimeout); pcscdtest.Do(t, st.Sim, sim.Request{Do: sim.AskState}).State.APDUs == before; {
				if time.Now().After(deadline) {
					t.Fatal("the command never came to the card")
				}
				<-time.After(look)
			}
			end()
			select {
			case err := <-answered:
				if !errors.Is(err, device.ErrNoReader) && !errors.Is(err, device.ErrCardTorn) {
					t.Errorf("command when the service ended: %v", err)
				}
			case <-time.After(apduTimeout):
				t.Error("the command hangs")
			}
			if err := tr.Close(); err != nil {
				t.Error(err)
			}
			w.UntilCard(t, slot.CardState, device.CardNoReader)
			if err := st.Pcscd.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.UntilCard(t, slot.CardState, device.CardInserted)
			if tr, err = slot.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := tr.Transmit(t.Context(), []byte{0x00, 0xA4, 0x02, 0x00, 0x02, 0xEF, 0x05}); err != nil {
				t.Errorf("command when the service is back: %v", err)
			}
			if err := tr.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTwoRealReaders: of two readers the one with a card is the one, and it
// stays so while its card is in.
func TestTwoRealReaders(t *testing.T) {
	st := pcscdtest.New(t)
	second := pcscdtest.Simulate(t, sim.Options{VPCD: pcscdtest.SecondVPCD})
	r, w := begin(t, New(Options{}))
	expectIn := func(reader, name string) {
		t.Helper()
		w.Until(t, "a card in reader "+reader, func() bool {
			ev := r.CardState()
			return ev.State == device.CardInserted && strings.HasSuffix(ev.Reader, reader)
		})
		if got, err := r.ReadCard(t.Context()); err != nil || got.Name != name {
			t.Errorf("reader %s: %q, %v", reader, got.Name, err)
		}
	}
	pcscdtest.Do(t, second, sim.Request{Do: sim.Insert, Card: "wang"})
	expectIn("00 01", "王守田")
	before := r.CardState().Seq
	pcscdtest.Do(t, st.Sim, sim.Request{Do: sim.Insert, Card: "zhang"})
	expectIn("00 01", "王守田")
	if after := r.CardState().Seq; after != before {
		t.Errorf("a card in the other reader counts as insertion %d after %d", after, before)
	}
	pcscdtest.Do(t, second, sim.Request{Do: sim.Remove})
	expectIn("00 00", "张桂兰")
	pcscdtest.Do(t, st.Sim, sim.Request{Do: sim.Remove})
	w.UntilCard(t, r.CardState, device.CardNone)
}

// TestHolderIsNamed: another program holds the reader, and the screen says which.
func TestHolderIsNamed(t *testing.T) {
	st := pcscdtest.New(t)
	r, w := begin(t, New(Options{}))
	pcscdtest.Do(t, st.Sim, sim.Request{Do: sim.Insert, Card: "li"})
	w.UntilCard(t, r.CardState, device.CardInserted)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other := exec.CommandContext(t.Context(), self)
	other.Env = append(os.Environ(), holdEnv+"=1")
	other.Stderr = os.Stderr
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if b := make([]byte, len("held\n")); func() bool { _, err := io.ReadFull(out, b); return err != nil }() {
		t.Fatalf("the other program does not hold the reader: %q", b)
	}
	if _, err := r.ReadCard(t.Context()); !errors.Is(err, device.ErrHeld) {
		t.Errorf("read: %v, want ErrHeld", err)
	}
	w.UntilCard(t, r.CardState, device.CardHeld)
	want := processName("/proc", other.Process.Pid)
	if h := r.Health(); h.Code != CodeHeld || !strings.Contains(h.Cause, "（"+want+"）") {
		t.Errorf("held by %s, health %+v", want, h)
	}
	if err := errors.Join(in.Close(), other.Wait()); err != nil {
		t.Error(err)
	}
	w.UntilCard(t, r.CardState, device.CardInserted)
	if _, err := r.ReadCard(t.Context()); err != nil {
		t.Errorf("read when it is free: %v", err)
	}
}

// TestRefusedByTheService: pcsc-lite with polkit closes the connection of a
// program that it does not let in. The rule's file is named, which is the one
// that the packages install.
func TestRefusedByTheService(t *testing.T) {
	if !pcscdtest.Apart() {
		pcscdtest.Need(t, "a machine of its own, for a service that refuses")
	}
	ln, err := net.Listen("unix", serviceSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	slot := New(Options{})
	w := contract.Watch(t, slot)
	contract.Start(t, slot)
	w.Until(t, "denied", func() bool { return slot.Health().Code == CodeDenied })
	if h := slot.Health(); !strings.Contains(h.Remedy, RuleFile) || !strings.Contains(h.Detail, ruleService) {
		t.Errorf("health %+v", h)
	}
	if filepath.Base(RuleFile) != assets.PolkitRuleName {
		t.Errorf("%s is named, %s is shipped", RuleFile, assets.PolkitRuleName)
	}
	for _, action := range []string{ruleService, ruleCard} {
		if !strings.Contains(string(assets.PolkitRule()), action) {
			t.Errorf("the rule does not allow %s", action)
		}
	}
}

// careless takes a torn card for one that lacks what is missing: the control of
// the tears.
type careless struct{ device.CardSlot }

type carelessTransport struct{ device.Transport }

func (c careless) Connect(ctx context.Context) (device.Transport, error) {
	t, err := c.CardSlot.Connect(ctx)
	return carelessTransport{t}, err
}

func (c carelessTransport) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	resp, err := c.Transport.Transmit(ctx, apdu)
	if err != nil {
		return []byte{0x6A, 0x83}, nil
	}
	return resp, nil
}

// TestTornAtEveryCommand tears cards of all three forms, on T=0 and T=1, at
// every command of a reading: each ends in "torn", never in half a person. By
// default only each tearStep-th command is tried; CUNBAN_TEARS=1 tries all.
func TestTornAtEveryCommand(t *testing.T) {
	const tearStep = 9
	step := size(t, "CUNBAN_TEARS", tearStep)
	st := pcscdtest.New(t)
	slot := New(Options{})
	r, w := begin(t, slot)
	if control("careless") {
		r = social.New(careless{slot})
	}
	insert := func(card string) {
		pcscdtest.Do(t, st.Sim, sim.Request{Do: sim.Insert, Card: card})
		w.UntilCard(t, slot.CardState, device.CardInserted)
	}
	tears, commands := 0, 0
	for _, card := range []string{"zhang", "wang", "li"} { // form 1; 2 on T=0; 3
		insert(card)
		count := 0
		for range 2 { // the first learns the card's form
			before := pcscdtest.Do(t, st.Sim, sim.Request{Do: sim.AskState}).State.APDUs
			if _, err := r.ReadCard(t.Context()); err != nil {
				t.Fatal(err)
			}
			count = int(pcscdtest.Do(t, st.Sim, sim.Request{Do: sim.AskState}).State.APDUs - before)
		}
		commands += count
		for n := 1; n <= count; n += step {
			pcscdtest.Do(t, st.Sim, sim.Request{Do: sim.Tear, N: n})
			got, err := r.ReadCard(t.Context())
			if !errors.Is(err, device.ErrCardTorn) || got.Number != "" || got.Name != "" {
				t.Fatalf("%s torn at command %d of %d: %+v, %v", card, n, count, got, err)
			}
			tears++
			w.UntilCard(t, slot.CardState, device.CardNone)
			insert(card)
		}
		pcscdtest.Do(t, st.Sim, sim.Request{Do: sim.Remove})
		w.UntilCard(t, slot.CardState, device.CardNone)
	}
	t.Logf("tears: %d at %d commands of three cards", tears, commands)
}

// staleService gives out its first context for ever: the control of the
// restarts.
type staleService struct {
	service
	sess session
}

func (s *staleService) establish() (session, error) {
	if s.sess != nil {
		return staleSession{s.sess}, nil
	}
	sess, err := s.service.establish()
	s.sess = sess
	return staleSession{sess}, err
}

type staleSession struct{ session }

func (staleSession) release() error { return nil }

// TestRestarts kills and stops the service with a card in, again and again:
// after each the card is read, and nothing is left behind. CUNBAN_RESTARTS says
// how often.
func TestRestarts(t *testing.T) {
	rounds := size(t, "CUNBAN_RESTARTS", 4)
	st := pcscdtest.New(t)
	var svc service = newService()
	if control("stale") {
		svc = &staleService{service: svc}
	}
	r, w := begin(t, newSlot(Options{}, svc))
	pcscdtest.Do(t, st.Sim, sim.Request{Do: sim.Insert, Card: "zhang"})
	w.UntilCard(t, r.CardState, device.CardInserted)
	var base resources
	began := time.Now()
	for i := range rounds {
		before := r.CardState().Seq
		if i%2 == 0 {
			st.Pcscd.Kill()
		} else {
			st.Pcscd.Stop()
		}
		if err := st.Pcscd.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.Until(t, fmt.Sprintf("the card again after restart %d", i+1), func() bool {
			ev := r.CardState()
			return ev.State == device.CardInserted && ev.Seq > before
		})
		if got, err := r.ReadCard(t.Context()); err != nil || got.Name != "张桂兰" {
			t.Fatalf("restart %d: read %q, %v", i+1, got.Name, err)
		}
		if i == 1 {
			base = holdings()
		}
	}
	took := time.Since(began)
	left := base.settle(t)
	t.Logf("restarts: %d, each followed by a reading, %d ms each; goroutines %d then %d, files %d then %d, heap %d KiB then %d",
		rounds, took.Milliseconds()/int64(rounds), base.goroutines, left.goroutines, base.files, left.files, base.heap>>10, left.heap>>10)
}

// busyService never waits: the control of idleness.
type busyService struct{ service }

type busySession struct{ session }

func (b busyService) establish() (session, error) {
	sess, err := b.service.establish()
	return busySession{sess}, err
}

func (b busySession) wait(states []readerState, timeout time.Duration) error {
	if err := b.session.wait(states, 0); !errors.Is(err, errTimeout) {
		return err
	}
	return nil
}

// TestIdleCPU measures what the driver uses while nothing happens, in percent
// of one core, with a reader that is empty and with a card lying in it. The
// simulated card's own work is in it. CUNBAN_IDLE says how many seconds.
func TestIdleCPU(t *testing.T) {
	const most = 0.5
	span := time.Duration(size(t, "CUNBAN_IDLE", 3)) * time.Second
	st := pcscdtest.New(t)
	var svc service = newService()
	if control("busy") {
		svc = busyService{svc}
	}
	r, w := begin(t, newSlot(Options{}, svc))
	w.UntilCard(t, r.CardState, device.CardNone)
	measure := func(what string) {
		runtime.GC()
		before := cpuTime(t)
		<-time.After(span)
		used := 100 * float64(cpuTime(t)-before) / float64(span)
		t.Logf("idle, %s: %.3f %% of a core over %v", what, used, span)
		if used > most {
			t.Errorf("idle, %s: %.3f %% of a core, at most %.1f are allowed", what, used, most)
		}
	}
	measure("empty")
	pcscdtest.Do(t, st.Sim, sim.Request{Do: sim.Insert, Card: "zhang"})
	w.UntilCard(t, r.CardState, device.CardInserted)
	if _, err := r.ReadCard(t.Context()); err != nil {
		t.Fatal(err)
	}
	measure("card in")
}

// cpuTime is what this process has used.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
