package camera

import (
	"context"
	"errors"
	"fmt"
	"image"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cunban/device"
	"cunban/device/contract"
)

// bench is a camera made of recorded pictures, and the hands of a person at it.
type bench struct {
	mu      sync.Mutex
	plugged bool
	refuse  error // what open answers
	stuck   bool
	spoil   int // so many pictures come damaged
	asked   int // to open
	opened  []mode
	open_   int // streams that are open now
	most    int // at once
	frames  map[mode][]byte
	turn    int          // with this picture of a stream
	then    func(*bench) // something happens, once
}

func newBench(t testing.TB) *bench {
	small, large := mode{mjpeg, 1280, 960, 0}, mode{mjpeg, 2592, 1944, 0}
	return &bench{plugged: true, frames: map[mode][]byte{
		small: frame(t, gradient(small.w, small.h), false), large: frame(t, gradient(large.w, large.h), false),
	}}
}

func (b *bench) do(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *bench) find(string) (found, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.plugged {
		return found{}, device.ErrAbsent
	}
	return found{"/dev/video0", "Recorded", "test"}, nil
}

func (b *bench) open(_ string, choose func([]mode) (mode, bool)) (stream, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.refuse != nil {
		return nil, b.refuse
	}
	var all []mode
	for m := range b.frames {
		all = append(all, m)
	}
	m, ok := choose(all)
	if !ok {
		return nil, ErrFormat
	}
	b.opened = append(b.opened, m)
	b.open_++
	b.most = max(b.most, b.open_)
	return &recorded{b, m, 0}, nil
}

type recorded struct {
	b *bench
	m mode
	n int // pictures asked for
}

func (r *recorded) mode() mode { return r.m }

func (r *recorded) close() error {
	r.b.do(func() { r.b.open_-- })
	return nil
}

// between is the time from one picture to the next.
const between = 33 * time.Millisecond

func (r *recorded) next(ctx context.Context, wait time.Duration, use func([]byte) error) error {
	r.b.mu.Lock()
	if r.n++; r.b.then != nil && r.n == r.b.turn {
		r.b.then(r.b)
		r.b.then = nil
	}
	stuck, gone, data := r.b.stuck, !r.b.plugged, r.b.frames[r.m]
	if r.b.spoil > 0 {
		r.b.spoil--
		data = data[:len(data)/3]
	}
	r.b.mu.Unlock()
	d := between
	if stuck {
		d = wait
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
	}
	switch {
	case gone:
		return device.ErrAbsent
	case stuck:
		return device.ErrNoFrame
	}
	return use(data)
}

func TestContract(t *testing.T) {
	contract.TestDevice(t, "cunban/device/scan/camera", func(t *testing.T) device.Device { return New(Options{system: newBench(t)}) })
	t.Run("YUYV", func(t *testing.T) {
		contract.TestDevice(t, "cunban/device/scan/camera", func(t *testing.T) device.Device { return New(Options{system: plainBench()}) })
	})
	t.Run("none", func(t *testing.T) {
		contract.TestDevice(t, "cunban/device/scan/camera", func(*testing.T) device.Device { return New(Options{Path: "/dev/video-of-nobody"}) })
	})
}

// TestCaptureDuringPreview: a capture takes the large picture, one stream is
// open at a time, and the preview goes on.
func TestCaptureDuringPreview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		c := New(Options{system: b})
		ctx, cancel := context.WithCancel(t.Context())
		seen := make(chan int, 1000)
		ended := make(chan error, 1)
		go func() { ended <- c.Preview(ctx, func(img image.Image) { seen <- img.Bounds().Dx() }) }()
		if w := <-seen; w != 1280 {
			t.Errorf("the preview is %d wide", w)
		}
		for range 3 {
			p, err := c.Capture(t.Context())
			if err != nil || p.Image.Bounds().Dx() != 2592 || p.Kind != device.KindDocCamera || p.DPI != 0 {
				t.Fatalf("%v, %v", p.Image, err)
			}
			for len(seen) > 0 {
				<-seen
			}
			<-seen // it goes on
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the preview ended with %v", err)
		}
		if b.most != 1 || b.open_ != 0 {
			t.Errorf("%d streams at once, %d left open", b.most, b.open_)
		}
		if h := c.Health(); h.State != device.StateReady || h.Counters["pages"] != 3 {
			t.Errorf("%+v", h)
		}
	})
}

func TestTwoCaptures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{system: newBench(t)})
		first := make(chan error)
		go func() { _, err := c.Capture(t.Context()); first <- err }()
		synctest.Wait()
		if _, err := c.Capture(t.Context()); !errors.Is(err, device.ErrBusy) {
			t.Errorf("the second: %v", err)
		}
		if err := <-first; err != nil {
			t.Errorf("the first: %v", err)
		}
	})
}

// TestHealsByItself: a camera in trouble is tried again, not too often, without
// anybody asking.
func TestHealsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.refuse = device.ErrBusy
		c := New(Options{system: b})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		if h := c.SelfTest(t.Context()); h.State != device.StateBusy {
			t.Fatalf("%+v", h)
		}
		go func() { ended <- c.Run(ctx) }()
		<-time.After(time.Minute)
		if h := c.Health(); h.State != device.StateBusy {
			t.Errorf("%+v", h)
		}
		b.do(func() {
			if b.asked < 5 || b.asked > 9 {
				t.Errorf("asked %d times in a minute", b.asked)
			}
			b.refuse = nil
		})
		<-time.After(retryAfter + DefaultPoll)
		if h := c.Health(); h.State != device.StateReady {
			t.Errorf("%+v", h)
		}
		cancel()
		<-ended
	})
}

// TestTroubles: what can go wrong with a camera is told by its own code, ends in
// time, and is over when its cause is.
func TestTroubles(t *testing.T) {
	for name, x := range map[string]struct {
		do, undo func(b *bench)
		want     error
		code     string
	}{
		"unplugged":  {func(b *bench) { b.plugged = false }, func(b *bench) { b.plugged = true }, device.ErrAbsent, "DC-01"},
		"held":       {func(b *bench) { b.refuse = device.ErrBusy }, func(b *bench) { b.refuse = nil }, device.ErrBusy, "DC-02"},
		"denied":     {func(b *bench) { b.refuse = ErrDenied }, func(b *bench) { b.refuse = nil }, ErrDenied, "DC-03"},
		"no format":  {func(b *bench) { b.refuse = ErrFormat }, func(b *bench) { b.refuse = nil }, ErrFormat, "DC-04"},
		"stuck":      {func(b *bench) { b.stuck = true }, func(b *bench) { b.stuck = false }, device.ErrNoFrame, "DC-05"},
		"bad cable":  {func(b *bench) { b.spoil = 1 << 30 }, func(b *bench) { b.spoil = 0 }, ErrPicture, "DC-06"},
		"broken off": {func(b *bench) { b.refuse = errors.New("EIO") }, func(b *bench) { b.refuse = nil }, nil, "DC-07"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				c := New(Options{system: b})
				b.do(func() { x.do(b) })
				began := time.Now()
				_, err := c.Capture(t.Context())
				if err == nil || x.want != nil && !errors.Is(err, x.want) {
					t.Errorf("capture: %v", err)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("it took %v to say so", took)
				}
				if h := c.Health(); h.Code != x.code || h.Cause == "" || h.Remedy == "" {
					t.Errorf("says %+v", h)
				}
				if err := c.Preview(t.Context(), func(image.Image) {}); err == nil || x.want != nil && !errors.Is(err, x.want) {
					t.Errorf("preview: %v", err)
				}
				b.do(func() { x.undo(b) })
				if _, err := c.Capture(t.Context()); err != nil {
					t.Errorf("afterwards: %v", err)
				}
				if h := c.Health(); h.State != device.StateReady || h.Code != "" {
					t.Errorf("afterwards it says %+v", h)
				}
				if b.open_ != 0 {
					t.Errorf("%d streams left open", b.open_)
				}
			})
		})
	}
}

// TestSpoiltPictures: single damaged pictures are passed over.
func TestSpoiltPictures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.spoil = DefaultSettle + 4
		if _, err := New(Options{system: b}).Capture(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestUnplugInPreview: the plug is pulled while people look.
func TestUnplugInPreview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		c := New(Options{system: b})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { _ = c.Run(ctx); close(done) }()
		n := 0
		err := c.Preview(ctx, func(image.Image) {
			if n++; n == 5 {
				b.do(func() { b.plugged = false })
			}
		})
		if !errors.Is(err, device.ErrAbsent) || c.Health().Code != "DC-01" {
			t.Errorf("%v, %+v", err, c.Health())
		}
		b.do(func() { b.plugged = true })
		time.Sleep(2 * DefaultPoll) // of the bubble
		if h := c.Health(); h.State != device.StateReady {
			t.Errorf("plugged in again it says %+v", h)
		}
		cancel()
		<-done
	})
}

func TestModes(t *testing.T) {
	c := New(Options{})
	list := []mode{{yuyv, 640, 480, 0}, {yuyv, 1280, 720, 0}, {mjpeg, 1280, 960, 0}, {mjpeg, 1920, 1080, 0}, {mjpeg, 4208, 3120, 0}, {yuyv, 4208, 3120, 0},
		{fourcc('H' | '2'<<8 | '6'<<16 | '4'<<24), 8000, 6000, 0}, {mjpeg, 90000, 90000, 0}}
	if m, ok := largest(list); !ok || m != list[4] {
		t.Errorf("largest: %v %v", m, ok)
	}
	if m, ok := c.previewMode(list); !ok || m != list[2] {
		t.Errorf("preview: %v %v", m, ok)
	}
	if m, ok := c.previewMode(list[:1]); !ok || m != list[0] {
		t.Errorf("preview of a small camera: %v %v", m, ok)
	}
	for _, f := range []func([]mode) (mode, bool){largest, c.previewMode} {
		if m, ok := f(list[6:]); ok {
			t.Errorf("took %v", m)
		}
	}
	if s := fmt.Sprint(mjpeg, yuyv); s != "MJPG YUYV" {
		t.Error(s)
	}
}
