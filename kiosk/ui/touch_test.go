package ui

import (
	"image"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/test"

	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/widget"
)

// frames is a window's queue: what is posted runs when the present frame is
// over, which is when end is called.
type frames struct {
	t      *testing.T
	posted chan func()
}

// end runs n posted functions, which is how many touches the frame had.
func (f *frames) end(n int) {
	f.t.Helper()
	for range n {
		select {
		case g := <-f.posted:
			g()
		case <-time.After(5 * time.Second):
			f.t.Fatal("nothing was posted")
		}
	}
}

// hand is a catcher over two buttons and a sheet, and a finger that Fyne tells
// of as its desktop driver does.
type hand struct {
	*frames
	c           *catcher
	look        *theme.Look
	sheet       *widget.Signature
	pressed     map[string]int
	touched     int
	now         time.Time
	left, right fyne.Position
}

func newHand(t *testing.T) *hand {
	t.Helper()
	test.NewTempApp(t)
	h := &hand{frames: &frames{t, make(chan func(), 16)}, pressed: map[string]int{}, now: time.Unix(1e9, 0)}
	finger := theme.NewFinger(func() time.Time { return h.now })
	finger.OnTouch = func() { h.touched++ }
	h.look = theme.NewLook(theme.Day, theme.Standard, 1920, 1080, theme.Screen{}, finger)
	mk := func(n string) *widget.Button {
		return widget.NewButton(h.look, n, n, widget.Secondary, func() { h.pressed[n]++ })
	}
	a, b := mk("a"), mk("b")
	h.sheet = widget.NewSignature(h.look, "", nil)
	root := widget.Column(0, widget.Row(400, a, b), widget.Fill(h.sheet))
	h.c = newCatcher(func() fyne.CanvasObject { return root }, func(f func()) { h.posted <- f }, finger.Touched)
	w := test.NewTempWindow(t, widget.Over(root, h.c))
	w.SetPadded(false)
	w.Resize(fyne.NewSize(1920, 1080))
	h.left, h.right = centre(a), centre(b)
	return h
}

func centre(o fyne.CanvasObject) fyne.Position {
	p := fyne.CurrentApp().Driver().AbsolutePositionForObject(o)
	return p.AddXY(o.Size().Width/2, o.Size().Height/2)
}

func (h *hand) event(at fyne.Position) *desktop.MouseEvent {
	return &desktop.MouseEvent{PointEvent: fyne.PointEvent{AbsolutePosition: at, Position: at}, Button: desktop.MouseButtonPrimary}
}

func (h *hand) down(at fyne.Position) { h.c.MouseDown(h.event(at)) }
func (h *hand) up(at fyne.Position)   { h.c.MouseUp(h.event(at)) }
func (h *hand) move(at fyne.Position) { h.c.MouseMoved(h.event(at)) }
func (h *hand) drag(at fyne.Position) {
	h.c.Dragged(&fyne.DragEvent{PointEvent: fyne.PointEvent{AbsolutePosition: at, Position: at}})
}

// TestPressLandsWhereTheFingerIs: a finger that was at a and presses b in one
// instant arrives as a press at a, for Fyne knows the new place only with the
// next frame.
func TestPressLandsWhereTheFingerIs(t *testing.T) {
	h := newHand(t)
	h.down(h.left) // stale
	h.move(h.right)
	h.end(1)
	h.up(h.right)
	h.end(1)
	if h.pressed["a"] != 0 || h.pressed["b"] != 1 {
		t.Errorf("pressed %v, want b once", h.pressed)
	}
}

// TestPressWithoutNewPlaceLandsAtTheOldOne is the negative control: without the
// move that brings the new place, the same press goes to a.
func TestPressWithoutNewPlaceLandsAtTheOldOne(t *testing.T) {
	h := newHand(t)
	h.down(h.left)
	h.end(1)
	h.up(h.left)
	h.end(1)
	if h.pressed["a"] != 1 || h.pressed["b"] != 0 {
		t.Errorf("pressed %v, want a once", h.pressed)
	}
}

// TestWholeTapInOneFrame: press and release before anything was settled.
func TestWholeTapInOneFrame(t *testing.T) {
	h := newHand(t)
	h.down(h.left)
	h.up(h.left)
	h.move(h.right)
	h.end(2)
	if h.pressed["b"] != 1 || h.pressed["a"] != 0 {
		t.Errorf("pressed %v, want b once", h.pressed)
	}
}

// TestTwoTapsBeforeTheFrameEnds: the first is not lost with the second.
func TestTwoTapsBeforeTheFrameEnds(t *testing.T) {
	h := newHand(t)
	h.down(h.left)
	h.up(h.left)
	h.down(h.right)
	h.now = h.now.Add(time.Second) // or the second would be a trembling
	h.up(h.right)
	h.end(4)
	if h.pressed["a"] != 1 || h.pressed["b"] != 1 {
		t.Errorf("pressed %v, want each once", h.pressed)
	}
}

// TestSlidingOffCancels: a finger that leaves its place presses nothing, on the
// button or beside it.
func TestSlidingOffCancels(t *testing.T) {
	h := newHand(t)
	h.down(h.left)
	h.end(1)
	h.drag(h.left.AddXY(h.look.MM(12), 0))
	h.drag(h.right)
	h.up(h.right)
	h.end(1)
	if len(h.pressed) != 0 {
		t.Errorf("pressed %v, want nothing", h.pressed)
	}
	// A trembling finger is no sliding one.
	h.now = h.now.Add(time.Second)
	h.down(h.left)
	h.end(1)
	h.drag(h.left.AddXY(h.look.MM(2), h.look.MM(1)))
	h.up(h.left.AddXY(h.look.MM(2), h.look.MM(1)))
	h.end(1)
	if h.pressed["a"] != 1 {
		t.Errorf("pressed %v, want a once", h.pressed)
	}
}

// TestSignatureKeepsAllPoints: what is drawn before the press was settled
// belongs to the stroke, and the stroke begins where the finger went down.
func TestSignatureKeepsAllPoints(t *testing.T) {
	h := newHand(t)
	origin := fyne.CurrentApp().Driver().AbsolutePositionForObject(h.sheet.Sheet())
	at := func(x, y float32) fyne.Position { return origin.AddXY(x, y) }
	h.down(h.left) // stale
	h.move(at(100, 100))
	h.drag(at(110, 104))
	h.drag(at(120, 110))
	h.end(1)
	h.drag(at(130, 120))
	h.drag(at(140, 128))
	h.up(at(140, 128))
	h.end(1)
	want := []image.Point{{X: 100, Y: 100}, {X: 110, Y: 104}, {X: 120, Y: 110}, {X: 130, Y: 120}, {X: 140, Y: 128}}
	got := h.sheet.Sheet().Points()
	if len(got) != 1 || len(got[0]) != len(want) {
		t.Fatalf("drew %v, want one stroke %v", got, want)
	}
	for i, p := range want {
		if q := got[0][i]; q.X != p.X || q.Y != p.Y {
			t.Errorf("point %d is %v, want %v", i, q, p)
		}
	}
	if len(h.pressed) != 0 {
		t.Errorf("the stale place was pressed too: %v", h.pressed)
	}
}

// TestTouchOfNothingKeepsTheClock: a finger on an empty place is a person all
// the same.
func TestTouchOfNothingKeepsTheClock(t *testing.T) {
	h := newHand(t)
	h.down(fyne.NewPos(1900, 40))
	h.end(1)
	h.up(fyne.NewPos(1900, 40))
	h.end(1)
	if h.touched != 1 {
		t.Errorf("the idle clock heard of %d touches, want 1", h.touched)
	}
	if len(h.pressed) != 0 {
		t.Errorf("pressed %v", h.pressed)
	}
}
