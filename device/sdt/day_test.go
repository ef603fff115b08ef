package sdt

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cunban/device"
)

// wire is a reader at the other end of a line, in memory: what comes in is one
// command each, as the driver writes them.
type wire struct {
	card    bool
	found   bool
	broken  bool // the next answer has a wrong check byte
	refuse  byte // SW3 of the next read
	content []byte
	leak    chan struct{} // set by the day's control: each line leaves a goroutine that waits for it

	mu     sync.Mutex
	out    chan []byte
	closed chan struct{}
}

func (w *wire) open(context.Context) (io.ReadWriteCloser, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out, w.closed = make(chan []byte, 4), make(chan struct{})
	w.found = false
	if leak := w.leak; leak != nil {
		go func() { <-leak }()
	}
	return &end{w, w.out, w.closed}, nil
}

// end is the driver's end of the line.
type end struct {
	w      *wire
	in     chan []byte
	closed chan struct{}
}

func (e *end) Read(b []byte) (int, error) {
	select {
	case got := <-e.in:
		return copy(b, got), nil // answers of the day fit the pump's buffer, or are cut in answer
	case <-e.closed:
		return 0, io.EOF
	}
}

func (e *end) Close() error {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	select {
	case <-e.closed:
	default:
		close(e.closed)
	}
	return nil
}

func (e *end) Write(b []byte) (int, error) {
	const piece = 1024 // as the pump reads
	out := e.w.answer(binary.BigEndian.Uint16(b[7:]))
	for len(out) > 0 {
		n := min(piece, len(out))
		select {
		case e.in <- out[:n]:
		case <-e.closed:
			return 0, io.ErrClosedPipe
		}
		out = out[n:]
	}
	return len(b), nil
}

func (w *wire) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *wire) answer(cmd uint16) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := frame(0x24, nil)
	switch cmd {
	case cmdStatus:
		out = frame(swOK, nil)
	case cmdSAM:
		out = frame(swOK, make([]byte, 16))
	case cmdFind:
		out = frame(0x80, nil)
		if w.card && !w.found {
			w.found = true
			out = frame(swFound, make([]byte, 4))
		}
	case cmdSelect:
		out = frame(swOK, make([]byte, 8))
	case cmdAddress:
		out = frame(0x41, nil)
		if w.card {
			out = frame(swNoContent, nil)
		}
	case cmdRead:
		out = frame(swOK, w.content)
		if w.refuse != 0 {
			out, w.refuse = frame(w.refuse, nil), 0
		}
	}
	if w.broken {
		w.broken = false
		out[len(out)-1] ^= 1
	}
	return out
}

// heapSlack is what the heap may differ by, bytes.
const heapSlack = 1 << 20

// TestDay lets 24 hours go by in fake time, a card every two minutes, some of
// them refused, some answers broken, the cable pulled now and then: nothing
// gathers.
func TestDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{content: append([]byte{1, 0, 4, 0}, append(text(" ", map[int]string{0: "张桂兰", 122: "140830195603120024"}), make([]byte, photoSize)...)...)}
		if os.Getenv("CUNBAN_CONTROL") == "leak" {
			w.leak = make(chan struct{})
			defer close(w.leak)
		}
		r := New(Options{Open: w.open})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("Run: %v", err)
			}
		}()
		holdings := func() (int, uint64) {
			synctest.Wait()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return runtime.NumGoroutine(), m.HeapAlloc
		}
		var goroutines int
		var heap uint64
		read, refused, pulled := 0, 0, 0
		began := time.Now()
		for m := 0; time.Since(began) < 24*time.Hour; m++ {
			w.set(func() { w.card, w.found, w.broken = true, false, m%7 == 3 })
			time.Sleep(time.Second)
			if m%20 == 11 {
				w.set(func() { close(w.closed) })
				pulled++
				time.Sleep(5 * time.Second)
			}
			want := error(nil)
			if m%9 == 5 {
				w.set(func() { w.refuse = 0x40 })
				want = device.ErrForeignCard
				refused++
			}
			got, err := r.ReadID(t.Context())
			if !errors.Is(err, want) || want == nil && got.Name != "张桂兰" {
				t.Fatalf("card %d: %q, %v, want %v", m, got.Name, err, want)
			}
			read++
			w.set(func() { w.card = false })
			time.Sleep(2 * time.Minute)
			if s := r.CardState().State; s != device.CardNone {
				t.Fatalf("card %d is lifted, yet %s", m, s)
			}
			if m == 30 {
				goroutines, heap = holdings()
			}
		}
		g, h := holdings()
		t.Logf("day: %d ID cards in 24 h of fake time, %d refused, %d cables pulled; goroutines %d then %d, heap %d KiB then %d",
			read, refused, pulled, goroutines, g, heap>>10, h>>10)
		if g > goroutines || h > heap+heapSlack {
			t.Errorf("goroutines %d then %d, heap %d then %d", goroutines, g, heap, h)
		}
	})
}
