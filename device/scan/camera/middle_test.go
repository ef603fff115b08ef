package camera

import (
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	"testing"
	"testing/synctest"
	"time"

	"cunban/device"
)

// plainBench is a camera that sends only YUYV, with rows longer than its
// pictures and an odd number of them.
func plainBench() *bench {
	small, large := mode{yuyv, 1280, 721, 2600}, mode{yuyv, 1602, 1201, 3300}
	b := &bench{plugged: true, frames: map[mode][]byte{}}
	for _, m := range []mode{small, large} {
		b.frames[m] = bytes.Repeat([]byte{90, 128, 180, 128}, m.stride*m.h/4+1)
	}
	return b
}

// TestBreaksInACapture: the plug is pulled, or the pictures stop, while one is
// being taken: it ends in time with its own words, leaves no stream open, and
// the next capture works once the cause is over. In both formats.
func TestBreaksInACapture(t *testing.T) {
	for name, fresh := range map[string]func(testing.TB) *bench{"MJPEG": newBench, "YUYV": func(testing.TB) *bench { return plainBench() }} {
		for _, turn := range []int{1, 2, DefaultSettle, DefaultSettle + 1} {
			for what, x := range map[string]struct {
				do, undo func(*bench)
				want     error
				code     string
			}{
				"unplugged": {func(b *bench) { b.plugged = false }, func(b *bench) { b.plugged = true }, device.ErrAbsent, "DC-01"},
				"stuck":     {func(b *bench) { b.stuck = true }, func(b *bench) { b.stuck = false }, device.ErrNoFrame, "DC-05"},
			} {
				t.Run(name+" "+what, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						b := fresh(t)
						b.turn, b.then = turn, x.do
						c := New(Options{system: b})
						began := time.Now()
						if p, err := c.Capture(t.Context()); !errors.Is(err, x.want) || p.Image != nil {
							t.Errorf("picture %d: %v, %v", turn, p.Image != nil, err)
						}
						if took := time.Since(began); took > 5*time.Second {
							t.Errorf("picture %d: it took %v to say so", turn, took)
						}
						if h := c.Health(); h.Code != x.code {
							t.Errorf("picture %d: says %+v", turn, h)
						}
						b.do(func() { x.undo(b) })
						if _, err := c.Capture(t.Context()); err != nil {
							t.Errorf("afterwards: %v", err)
						}
						if b.open_ != 0 {
							t.Errorf("%d streams left open", b.open_)
						}
					})
				})
			}
		}
	}
}

// TestOddSizes: pictures whose sides are no multiple of a JPEG's blocks, in
// colour and in grey, and YUYV with an odd number of rows, come whole.
func TestOddSizes(t *testing.T) {
	for _, s := range []image.Point{{1, 1}, {17, 33}, {1281, 721}, {2593, 1945}} {
		grey := image.NewGray(image.Rectangle{Max: s})
		var b bytes.Buffer
		if err := jpeg.Encode(&b, grey, nil); err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{"colour": frame(t, gradient(s.X, s.Y), false), "grey": b.Bytes()} {
			img, err := decode(mode{mjpeg, s.X, s.Y, 0}, data)
			if err != nil || img.Bounds().Size() != s {
				t.Errorf("%s %v: %v", name, s, err)
			}
		}
	}
	for m, data := range plainBench().frames {
		img, err := decode(m, data)
		if err != nil || img.Bounds().Size() != image.Pt(m.w, m.h) {
			t.Errorf("YUYV %d×%d: %v", m.w, m.h, err)
		}
	}
}
