package social_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cunban/device"
	"cunban/device/contract"
	"cunban/device/pcsc"
	"cunban/device/sim"
	"cunban/device/social"
	"cunban/device/sscard"
)

var record = flag.Bool("record", false, "record device/sscard's transcripts through pcscd again")

// recorder notes what goes over a Transport.
type recorder struct {
	device.Transport
	out strings.Builder
}

func (r *recorder) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	resp, err := r.Transport.Transmit(ctx, apdu)
	if err == nil {
		fmt.Fprintf(&r.out, "> %X\n< %X\n", apdu, resp)
	}
	return resp, err
}

// TestRecord writes device/sscard/testdata/*.apdu from the real stack.
func TestRecord(t *testing.T) {
	if !*record {
		t.Skip("only with -record")
	}
	h := newVPCD(t)
	slot := pcsc.New(pcsc.Options{})
	w := contract.Watch(t, slot)
	contract.Start(t, slot)
	for file, card := range map[string]string{"identifier": "zhang", "number": "wang", "shortfile": "li",
		"straddle": "rare", "blank": "blank", "foreign": "foreign"} {
		h.do(t, sim.Request{Do: sim.Insert, Card: card})
		w.UntilCard(t, slot.CardState, device.CardInserted)
		tr, err := slot.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r := &recorder{Transport: tr}
		fmt.Fprintf(&r.out, "# %s, through pcscd and its virtual reader\natr %X\n", card, tr.ATR())
		_, _ = sscard.New().Read(t.Context(), r)
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(filepath.Join("..", "sscard", "testdata", file+".apdu"), []byte(r.out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		h.do(t, sim.Request{Do: sim.Remove})
		w.UntilCard(t, slot.CardState, device.CardNone)
	}
}

// BenchmarkInsertToName measures from the moment the terminal hears of the card
// to the decoded person, and how much of it is the card, the reader and pcscd
// (ns/card) and how much is ours (ns/ours), with the 50th and 95th of a hundred.
func BenchmarkInsertToName(b *testing.B) {
	h := newVPCD(b)
	slot := pcsc.New(pcsc.Options{})
	timed := &timedSlot{CardSlot: slot}
	r := social.New(timed)
	w := contract.Watch(b, r)
	contract.Start(b, r)
	h.do(b, sim.Request{Do: sim.Insert, Card: "zhang"})
	w.UntilCard(b, r.CardState, device.CardInserted)
	var all, ours []time.Duration
	for b.Loop() {
		timed.card = 0
		began := time.Now()
		if _, err := r.ReadCard(b.Context()); err != nil {
			b.Fatal(err)
		}
		took := time.Since(began)
		all, ours = append(all, took), append(ours, took-timed.card)
	}
	slices.Sort(all)
	slices.Sort(ours)
	at := func(d []time.Duration, p int) float64 { return float64(d[len(d)*p/100].Microseconds()) / 1000 }
	b.ReportMetric(at(all, 50), "ms-all-p50")
	b.ReportMetric(at(all, 95), "ms-all-p95")
	b.ReportMetric(at(ours, 50), "ms-ours-p50")
	b.ReportMetric(at(ours, 95), "ms-ours-p95")
}

// timedSlot adds up the time spent below the port: connecting, commands,
// closing.
type timedSlot struct {
	device.CardSlot
	card time.Duration
}

type timedTransport struct {
	device.Transport
	slot *timedSlot
}

func (s *timedSlot) Connect(ctx context.Context) (device.Transport, error) {
	began := time.Now()
	t, err := s.CardSlot.Connect(ctx)
	s.card += time.Since(began)
	return &timedTransport{t, s}, err
}

func (t *timedTransport) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	began := time.Now()
	defer func() { t.slot.card += time.Since(began) }()
	return t.Transport.Transmit(ctx, apdu)
}

func (t *timedTransport) Close() error {
	began := time.Now()
	defer func() { t.slot.card += time.Since(began) }()
	return t.Transport.Close()
}
