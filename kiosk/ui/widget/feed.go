package widget

import (
	"image"
	"sync"

	"fyne.io/fyne/v2"
	"golang.org/x/image/draw"
)

// feed is the moving part of a Picture: two buffers, one that is shown and one
// that the next picture of a camera is scaled into, so that a camera costs no
// memory that grows and the UI goroutine no scaling.
type feed struct {
	mu     sync.Mutex
	room   image.Point // pixels that there are to show it in; zero = not laid out
	shown  *image.RGBA
	free   *image.RGBA
	staged *image.RGBA // scaled, not yet shown
	busy   bool        // Stage is scaling
	blank  bool        // wiped while it did
	ended  bool
}

// Stage scales a camera's picture to what is shown of it; Swap shows it. It is
// called off the UI goroutine, by one at a time, keeps nothing of src, and
// reports false where the picture is left out: the one before was not shown
// yet, or the Picture is not laid out or wiped.
func (p *Picture) Stage(src image.Image) bool {
	f := &p.feed
	f.mu.Lock()
	if f.ended || f.busy || f.staged != nil || f.room.X < 1 || f.room.Y < 1 || src.Bounds().Empty() {
		f.mu.Unlock()
		return false
	}
	f.busy, f.blank = true, false
	size := within(src.Bounds().Size(), f.room)
	dst := f.free
	f.free = nil
	f.mu.Unlock()

	if dst == nil || dst.Rect.Size() != size {
		wipePixels(dst)
		dst = image.NewRGBA(image.Rectangle{Max: size})
	}
	draw.ApproxBiLinear.Scale(dst, dst.Rect, src, src.Bounds(), draw.Src, nil)

	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy = false
	if f.ended || f.blank {
		wipePixels(dst)
		return false
	}
	f.staged = dst
	return true
}

// Swap shows what Stage made, with a frame around the page, nil for none. UI
// goroutine.
func (p *Picture) Swap(corners *[4]fyne.Position) {
	f := &p.feed
	f.mu.Lock()
	img := f.staged
	if img != nil {
		f.staged, f.free, f.shown = nil, f.shown, img
	}
	f.mu.Unlock()
	if img == nil {
		return
	}
	p.SetImage(img)
	if (corners == nil) != (p.corners == nil) || corners != nil && *corners != *p.corners {
		p.SetFrame(corners)
	}
}

// Blank takes a camera's picture away and zeroes its pixels; the next Stage
// begins anew. UI goroutine.
func (p *Picture) Blank() {
	f := &p.feed
	f.mu.Lock()
	was := f.shown
	wipePixels(f.shown)
	wipePixels(f.free)
	wipePixels(f.staged)
	f.shown, f.free, f.staged, f.blank = nil, nil, nil, true
	f.mu.Unlock()
	if was != nil {
		p.corners = nil
		p.SetImage(nil)
	}
}

// Wipe is Blank for good: a page that is gone shows nothing more. A picture
// that was set with SetImage stays.
func (p *Picture) Wipe() {
	p.feed.mu.Lock()
	p.feed.ended = true
	p.feed.mu.Unlock()
	p.Blank()
}

// fits notes how much room there is.
func (f *feed) fits(o fyne.CanvasObject, w, h float32) {
	scale := float32(1)
	if app := fyne.CurrentApp(); app != nil {
		if c := app.Driver().CanvasForObject(o); c != nil {
			scale = c.Scale()
		}
	}
	f.mu.Lock()
	f.room = image.Pt(int(w*scale), int(h*scale))
	f.mu.Unlock()
}

// within is the largest size of the same shape in room; it is never larger than
// the picture.
func within(size, room image.Point) image.Point {
	k := min(1, float64(room.X)/float64(size.X), float64(room.Y)/float64(size.Y))
	return image.Pt(max(1, int(float64(size.X)*k)), max(1, int(float64(size.Y)*k)))
}

func wipePixels(img *image.RGBA) {
	if img != nil {
		clear(img.Pix)
	}
}

// Live reports whether a camera's picture is shown.
func (p *Picture) Live() bool {
	p.feed.mu.Lock()
	defer p.feed.mu.Unlock()
	return p.feed.shown != nil
}
