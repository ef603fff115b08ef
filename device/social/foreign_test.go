package social_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"testing"

	"cunban/device"
	"cunban/device/contract"
	"cunban/device/internal/pcscdtest"
	"cunban/device/pcsc"
	"cunban/device/social"
)

// The packages that vsmartcard's cards need, and where the cards connect.
const (
	viccProgram = "/usr/bin/vicc"
	viccNeeds   = "vicc (packages vsmartcard-vpicc, python3-pycryptodome and python3-pyscard)"
	firstPort   = "35963"
	secondPort  = "35964"
)

// vicc puts one of vsmartcard's cards into a reader and returns how to take it
// out.
func vicc(t *testing.T, args ...string) (takeOut func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", append([]string{"testdata/vicc.py"}, args...)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := false
	takeOut = func() {
		if out {
			return
		}
		out = true
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}
	t.Cleanup(func() {
		takeOut()
		if t.Failed() {
			t.Logf("vicc %v:\n%s", args, said.String())
		}
	})
	return takeOut
}

// TestForeignCardsOfOthers: cards that nobody here wrote, an ISO 7816 card, a
// Cryptoflex, and a card relayed from another reader, get a polite answer with
// a next step. (Of vicc's cards the passport is Python 2 still, and the German
// ID card needs bindings that Debian does not have.)
func TestForeignCardsOfOthers(t *testing.T) {
	if _, err := os.Stat(viccProgram); err != nil {
		pcscdtest.Need(t, viccNeeds)
	}
	if err := exec.Command("/usr/bin/python3", "-c", "import Cryptodome, smartcard").Run(); err != nil {
		pcscdtest.Need(t, viccNeeds)
	}
	p := pcscdtest.Lock(t)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := social.New(pcsc.New(pcsc.Options{Reader: "00 00"}))
	w := contract.Watch(t, r)
	contract.Start(t, r)
	w.UntilCard(t, r.CardState, device.CardNone)
	refused := func(t *testing.T) {
		t.Helper()
		w.UntilCard(t, r.CardState, device.CardInserted)
		for range 2 { // the second time it is known already, and still polite
			got, err := r.ReadCard(t.Context())
			if !errors.Is(err, device.ErrForeignCard) || got.Number != "" || got.Name != "" {
				t.Errorf("read %+v, %v; want ErrForeignCard", got, err)
			}
			if cause, remedy := social.Words(err); cause != "这不是社保卡。" || remedy == "" {
				t.Errorf("said: %q %q", cause, remedy)
			}
		}
		if h := r.Health(); !h.State.Usable() {
			t.Errorf("a foreign card makes the reader %+v", h)
		}
	}
	for _, kind := range []string{"iso7816", "cryptoflex"} {
		t.Run(kind, func(t *testing.T) {
			takeOut := vicc(t, "-t", kind, "-P", firstPort)
			refused(t)
			takeOut()
			w.UntilCard(t, r.CardState, device.CardNone)
		})
	}
	t.Run("relay", func(t *testing.T) {
		slot := pcsc.New(pcsc.Options{Reader: "00 01"})
		sw := contract.Watch(t, slot)
		stop := contract.Start(t, slot)
		vicc(t, "-t", "iso7816", "-P", secondPort)
		sw.UntilCard(t, slot.CardState, device.CardInserted)
		stop()
		takeOut := vicc(t, "-t", "relay", "--reader", "1", "-P", firstPort)
		refused(t)
		takeOut()
		w.UntilCard(t, r.CardState, device.CardNone)
	})
}
