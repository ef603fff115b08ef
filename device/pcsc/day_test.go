package pcsc

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cunban/device"
	"cunban/device/social"
)

// recorded is a card that answers as a real one was recorded to.
func recorded(t *testing.T, file string) func([]byte) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "sscard", "testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	answers, asked := map[string][]byte{}, ""
	for in := bufio.NewScanner(f); in.Scan(); {
		kind, text, _ := strings.Cut(in.Text(), " ")
		switch kind {
		case ">":
			asked = text
		case "<":
			b, err := hex.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			answers[asked] = b
		}
	}
	return func(apdu []byte) []byte {
		if a, ok := answers[strings.ToUpper(hex.EncodeToString(apdu))]; ok {
			return a
		}
		return []byte{0x6A, 0x83}
	}
}

// leakyService leaves a goroutine behind for each context: the control of the
// day.
type leakyService struct {
	service
	end <-chan struct{}
}

func (l leakyService) establish() (session, error) {
	go func() { <-l.end }()
	return l.service.establish()
}

// day is what comes along in 24 hours, by the minute: a resident every minute,
// some of them in a hurry, and what service and reader do now and then.
type day struct {
	t       *testing.T
	f       *fakeService
	r       *social.Reader
	count   uint32
	read    int
	torn    int
	held    int
	without int // the service or the reader was away
}

const reader = "R"

func (d *day) minute(m int) {
	d.count++
	d.f.plug(reader, d.count<<16|flagPresent, atr)
	synctest.Wait()
	var want error
	switch {
	case m%10 == 3: // pulled out half-way
		d.f.set(func() { d.f.sent, d.f.txErr = nil, errRemoved })
		want = device.ErrCardTorn
		d.torn++
	case m%30 == 7: // another program has it
		d.f.set(func() { d.f.connErr = []error{errSharing, errSharing, errSharing, errSharing} })
		want = device.ErrHeld
		d.held++
	case m%60 == 11: // the service is restarted
		d.f.set(func() { d.f.err = errNoService })
		synctest.Wait()
		want = device.ErrNoReader
		d.without++
	case m%45 == 13: // the cable is pulled
		d.f.unplug(reader)
		time.Sleep(time.Second)
		want = device.ErrNoReader
		d.without++
	default:
		d.read++
	}
	got, err := d.r.ReadCard(d.t.Context())
	if !errors.Is(err, want) || want == nil && got.Name != "张桂兰" {
		d.t.Fatalf("minute %d: %+v, %v, want %v", m, got.Name, err, want)
	}
	d.f.set(func() {
		d.f.sent, d.f.txErr, d.f.connErr = nil, nil, nil
		if d.f.err != nil {
			d.f.err, d.f.gen = nil, d.f.gen+1
		}
	})
	d.count++
	d.f.plug(reader, d.count<<16|flagEmpty, nil)
	time.Sleep(50 * time.Second)
	synctest.Wait()
	if st := d.r.CardState(); st.State != device.CardNone {
		d.t.Fatalf("minute %d: the card is gone, yet %+v", m, st)
	}
}

// TestDay lets 24 hours of traffic go by in fake time: nothing gathers.
func TestDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.card = recorded(t, "identifier.apdu")
		var svc service = f
		end := make(chan struct{})
		if control("leak") {
			svc = leakyService{f, end}
		}
		r := social.New(newSlot(Options{}, svc))
		var events atomic.Int64
		r.Subscribe(func(device.Event) { events.Add(1) })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("Run: %v", err)
			}
			close(end)
		}()
		began := time.Now()
		d := &day{t: t, f: f, r: r}
		f.plug(reader, flagEmpty, nil)
		var base resources
		m := 0
		for ; time.Since(began) < 24*time.Hour; m++ {
			d.minute(m)
			if m == 60 {
				base = holdings()
			}
		}
		left := base.settle(t)
		t.Logf("day: %d cards in 24 h of fake time: %d read, %d torn, %d held, %d with service or reader away, %d events; goroutines %d then %d, heap %d KiB then %d",
			m, d.read, d.torn, d.held, d.without, events.Load(), base.goroutines, left.goroutines, base.heap>>10, left.heap>>10)
	})
}
