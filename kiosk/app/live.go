package app

import (
	"context"
	"errors"
	"image"
	gosync "sync"
	"time"

	"fyne.io/fyne/v2"

	"cunban/device"
	"cunban/device/scan/imaging"
	"cunban/kiosk/session"
	"cunban/kiosk/ui"
)

// hintEvery is how often a live picture is searched for the paper: often enough
// for a hand that moves it, seldom enough to cost nothing.
const hintEvery = 700 * time.Millisecond

// bell wakes whoever waits for the session to change.
type bell struct {
	mu gosync.Mutex
	ch chan struct{}
}

// next is closed when the bell rings after this call.
func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

// Live implements ui.Backend. It holds no clock of the session, and closes the
// camera while the session rests.
func (a *App) Live(ctx context.Context, k device.Kind, fn func(ui.Glimpse)) error {
	s, err := a.sourceOf(k)
	if err != nil {
		return err
	}
	viewer, ok := s.DocumentSource.(device.Previewer)
	if !ok {
		return plain("SC-92", s.name+"没有画面可看", "请直接点按钮"+s.verb, errors.New(string(k)+" has no live picture"))
	}
	l := newLook(a.o.Now, fn)
	for n := a.sess.Current().Number; ; {
		changed := a.sessBell.next()
		switch now := a.sess.Current(); {
		case ctx.Err() != nil:
			return ctx.Err()
		case now.Number != n || now.Phase == session.Nobody:
			return context.Canceled // whoever it was for is gone
		case now.Phase != session.Active:
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		err := a.whileActive(ctx, n, func(ctx context.Context) error { return viewer.Preview(ctx, l.see) })
		fn(ui.Glimpse{})
		if err != nil && !errors.Is(err, context.Canceled) {
			return s.trouble(err)
		}
	}
}

// whileActive runs do until the session n is no longer active, or do ends.
func (a *App) whileActive(ctx context.Context, n uint64, do func(ctx context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer stop()
		for {
			changed := a.sessBell.next()
			if now := a.sess.Current(); now.Number != n || now.Phase != session.Active {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	err := do(ctx)
	stop()
	<-watched
	return err
}

// look turns pictures of a camera into glimpses. It is for one goroutine.
type look struct {
	now     func() time.Time
	fn      func(ui.Glimpse)
	at      time.Time // of the last search
	corners *[4]fyne.Position
	fault   imaging.Fault
	known   bool
}

func newLook(now func() time.Time, fn func(ui.Glimpse)) *look { return &look{now: now, fn: fn} }

// see passes a picture on and zeroes it.
func (l *look) see(img image.Image) {
	defer ui.WipeImage(img)
	if now := l.now(); !l.known || now.Sub(l.at) >= hintEvery {
		l.search(img)
		l.at, l.known = now, true
	}
	l.fn(ui.Glimpse{Image: img, Corners: l.corners, Words: liveWords(l.fault), Good: l.fault == imaging.None})
}

// search looks where the paper lies.
func (l *look) search(img image.Image) {
	l.corners = nil
	switch s, ok := imaging.Find(img); {
	case !ok:
		l.fault = imaging.NoSheet
	case s.Cut:
		l.fault = imaging.CutOff
	default:
		l.fault = imaging.None
		b := img.Bounds()
		l.corners = &[4]fyne.Position{}
		for i, p := range s.Quad {
			l.corners[i] = fyne.NewPos(float32(p.X)/float32(b.Dx()), float32(p.Y)/float32(b.Dy()))
		}
	}
}

// liveWords say what to do with the paper, shorter than the verdict on a page
// that was taken.
func liveWords(f imaging.Fault) string {
	switch f {
	case imaging.NoSheet:
		return "没有看到纸，把纸放到镜头下面"
	case imaging.CutOff:
		return "纸没有拍全，往中间挪一挪"
	case imaging.None:
		return "可以拍了"
	case imaging.Dark, imaging.Glare, imaging.Blurred, imaging.Blank:
	}
	return f.Words()
}
