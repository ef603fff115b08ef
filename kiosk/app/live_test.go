package app

import (
	"context"
	"errors"
	"image"
	"image/color"
	"image/draw"
	gosync "sync"
	"testing"
	"testing/synctest"
	"time"

	"cunban/device"
	"cunban/device/scan/camera"
	"cunban/kiosk/session"
	"cunban/kiosk/ui"
)

// eye is a camera that gives a picture every 40 ms.
type eye struct {
	device.DocumentSource

	mu      gosync.Mutex
	looking int
	given   []*image.YCbCr
	sheet   image.Rectangle
	err     error
}

// lay puts a sheet under it, or breaks it.
func (e *eye) lay(sheet image.Rectangle, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sheet, e.err = sheet, err
}

func (e *eye) picture() (*image.YCbCr, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	img := tabletop(e.sheet)
	e.given = append(e.given, img)
	return img, e.err
}

// enter counts who looks through it, and tells how many do.
func (e *eye) enter(n int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.looking += n
	return e.looking
}

func (*eye) Kind() device.Kind { return device.KindDocCamera }

func (e *eye) Preview(ctx context.Context, fn func(image.Image)) error {
	e.enter(1)
	defer e.enter(-1)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(40 * time.Millisecond):
		}
		img, err := e.picture()
		if err != nil {
			return err
		}
		fn(img)
	}
}

// tabletop is a bright sheet on a dark table.
func tabletop(sheet image.Rectangle) *image.YCbCr {
	img := image.NewYCbCr(image.Rect(0, 0, 320, 240), image.YCbCrSubsampleRatio422)
	y := &image.Gray{Pix: img.Y, Stride: img.YStride, Rect: img.Rect}
	draw.Draw(y, y.Rect, image.NewUniform(color.Gray{70}), image.Point{}, draw.Src)
	draw.Draw(y, sheet, image.NewUniform(color.Gray{235}), image.Point{}, draw.Src)
	for i := range img.Cb {
		img.Cb[i], img.Cr[i] = 128, 128
	}
	return img
}

var whole = image.Rect(80, 20, 240, 220)

// idleWait is short, since every picture of it is made.
const idleWait = 10 * time.Second

// watched is an app with a camera and a session, and what its page sees.
type watched struct {
	*App
	eye    *eye
	ended  chan error
	cancel context.CancelFunc

	mu   gosync.Mutex
	seen int
	last ui.Glimpse
}

// glimpse is the last one, and how many came.
func (w *watched) glimpse() (last ui.Glimpse, seen int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last, w.seen
}

func watch(t *testing.T) *watched {
	w := &watched{App: &App{}, eye: &eye{sheet: whole}, ended: make(chan error, 1)}
	w.o.Now = time.Now
	w.sess = session.New(session.Timing{Idle: idleWait, Ask: idleWait}, 0, time.Now, func(session.Event) { w.sessBell.ring() })
	w.sources = []source{{w.eye, "高拍仪", "拍", camera.Explain}}
	w.sess.Begin()
	ctx, cancel := context.WithCancel(t.Context())
	w.cancel = cancel
	go func() {
		w.ended <- w.Live(ctx, device.KindDocCamera, func(g ui.Glimpse) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.seen, w.last = w.seen+1, g
		})
	}()
	return w
}

// after lets time pass.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// TestLiveRestsWithTheSession: a live picture does not keep the session alive;
// when it asks whether somebody is there the camera is let go and nothing is
// shown, and a touch brings it back. Every picture is zeroed.
func TestLiveRestsWithTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		up := func(least int) bool {
			g, n := w.glimpse()
			return w.eye.enter(0) == 1 && g.Image != nil && n >= least
		}
		down := func() bool {
			g, _ := w.glimpse()
			return w.eye.enter(0) == 0 && g.Image == nil
		}
		after(idleWait - time.Second)
		if !up(100) {
			t.Fatal("nothing to be seen")
		}
		after(2 * time.Second)
		if p := w.sess.Current().Phase; p != session.Asking {
			t.Fatalf("the picture kept the session %s", p)
		}
		if !down() {
			t.Error("the camera looks on while nobody is there")
		}
		_, n := w.glimpse()
		w.sess.Touch()
		after(time.Second)
		if !up(n + 10) {
			t.Error("it did not come back")
		}
		w.sess.End(w.sess.Current().Number, session.IdleOut)
		w.sess.Begin()
		if err := <-w.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
		if !down() {
			t.Error("the next person's session sees it")
		}
		for _, img := range w.eye.given {
			for _, p := range img.Y {
				if p != 0 {
					t.Fatal("a picture was not zeroed")
				}
			}
		}
		w.cancel()
		w.sess.Stop()
	})
}

// TestLiveWords: what the paper needs is said while it can still be moved.
func TestLiveWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		for _, c := range []struct {
			sheet image.Rectangle
			words string
		}{{whole, "可以拍了"}, {image.Rectangle{}, "没有看到纸，把纸放到镜头下面"}, {image.Rect(-60, 20, 180, 220), "纸没有拍全，往中间挪一挪"}, {whole, "可以拍了"}} {
			w.eye.lay(c.sheet, nil)
			after(hintEvery + 100*time.Millisecond)
			if g, _ := w.glimpse(); g.Words != c.words || g.Good != (c.sheet == whole) || (g.Corners != nil) != g.Good {
				t.Errorf("%v: %q, good %v, corners %v", c.sheet, g.Words, g.Good, g.Corners)
			}
		}
		if g, _ := w.glimpse(); g.Corners != nil {
			q := g.Corners
			for i, want := range [4][2]float32{{.25, .083}, {.75, .083}, {.75, .917}, {.25, .917}} {
				if dx, dy := q[i].X-want[0], q[i].Y-want[1]; dx*dx+dy*dy > 0.02*0.02 {
					t.Errorf("corner %d at %v, want %v", i, q[i], want)
				}
			}
		}
		w.eye.lay(whole, device.ErrNoFrame)
		words(t, <-w.ended, "DC-05", "高拍仪没有画面")
		w.cancel()
		w.sess.Stop()
	})
}
