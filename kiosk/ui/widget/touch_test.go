package widget

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"slices"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/driver/mobile"
	"fyne.io/fyne/v2/test"

	"cunban/kiosk/ui/theme"
)

// clock is a clock that stands until it is moved.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func bench(t *testing.T) (*theme.Look, *clock) {
	test.NewTempApp(t)
	c := &clock{time.Date(2026, 11, 23, 9, 41, 0, 0, time.UTC)}
	return theme.NewLook(theme.Day, theme.Standard, 1920, 1080, theme.Screen{}, theme.NewFinger(c.now)), c
}

func mouse(x, y float32) *desktop.MouseEvent {
	e := &desktop.MouseEvent{Button: desktop.MouseButtonPrimary}
	e.AbsolutePosition, e.Position = fyne.NewPos(x, y), fyne.NewPos(x, y)
	return e
}

func drag(x, y float32) *fyne.DragEvent {
	e := &fyne.DragEvent{}
	e.AbsolutePosition, e.Position = fyne.NewPos(x, y), fyne.NewPos(x, y)
	return e
}

func TestTremblingFinger(t *testing.T) {
	look, c := bench(t)
	taps := 0
	b := NewButton(look, "next", "下一步", Primary, func() { taps++ })
	b.Resize(b.MinSize())
	mm := look.PxPerMM
	for _, m := range []struct {
		move float32 // millimetres
		taps int
	}{{0, 1}, {1, 1}, {4.5, 1}, {5.5, 0}, {30, 0}} {
		taps = 0
		c.t = c.t.Add(time.Second)
		b.MouseDown(mouse(50, 50))
		if !b.down {
			t.Fatal("the button does not show that it is pressed")
		}
		b.Dragged(drag(50+m.move*mm, 50))
		b.MouseUp(mouse(50+m.move*mm, 50))
		b.DragEnd()
		if taps != m.taps {
			t.Errorf("moved %v mm: %d taps, want %d", m.move, taps, m.taps)
		}
		if b.down {
			t.Errorf("moved %v mm: still pressed", m.move)
		}
	}
}

func TestSecondTouch(t *testing.T) {
	look, c := bench(t)
	var got []string
	tap := func(b *Button) {
		b.TouchDown(&mobile.TouchEvent{})
		b.TouchUp(&mobile.TouchEvent{})
	}
	mk := func(n string) *Button { return NewButton(look, n, n, Plain, func() { got = append(got, n) }) }
	a, b := mk("a"), mk("b")
	tap(a)
	c.t = c.t.Add(theme.Debounce - time.Millisecond)
	tap(a)
	tap(b) // another button that came under the finger
	c.t = c.t.Add(time.Millisecond)
	tap(b)
	if !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("taps %v", got)
	}
	// A clock set back must not lock the screen.
	c.t = c.t.Add(-time.Hour)
	tap(a)
	if len(got) != 3 {
		t.Error("no tap after the clock was set back")
	}
}

func TestReleaseElsewhere(t *testing.T) {
	look, _ := bench(t)
	taps := 0
	a := NewButton(look, "a", "甲", Plain, func() { taps++ })
	b := NewButton(look, "b", "乙", Plain, func() { taps++ })
	a.MouseDown(mouse(0, 0))
	b.MouseUp(mouse(1, 0))
	if taps != 0 || a.down {
		t.Errorf("%d taps, a pressed: %v", taps, a.down)
	}
}

func TestDisabled(t *testing.T) {
	look, _ := bench(t)
	taps, touches := 0, 0
	look.Finger.OnTouch = func() { touches++ }
	b := NewButton(look, "next", "下一步", Primary, func() { taps++ })
	b.Disable("还有一项没填")
	b.MouseDown(mouse(1, 1))
	b.MouseUp(mouse(1, 1))
	b.Tap()
	if taps != 0 || touches != 1 {
		t.Errorf("%d taps, %d touches", taps, touches)
	}
	if !slices.Contains(Texts(b), "还有一项没填") {
		t.Errorf("the reason is not shown: %q", Texts(b))
	}
	b.Enable()
	b.Tap()
	if taps != 1 || slices.Contains(Texts(b), "还有一项没填") {
		t.Errorf("%d taps, texts %q", taps, Texts(b))
	}
}

func options(n int) (o []Option) {
	for i := range n {
		o = append(o, Option{Code: fmt.Sprintf("%02d", i), Label: fmt.Sprintf("第 %d 项", i)})
	}
	return o
}

// put shows o in a window of that size.
func put(t *testing.T, o fyne.CanvasObject, w, h float32) {
	win := test.NewTempWindow(t, nil)
	win.SetPadded(false)
	win.SetContent(o)
	win.Resize(fyne.NewSize(w, h))
	o.Resize(fyne.NewSize(w, h))
}

func TestChoicePaging(t *testing.T) {
	look, _ := bench(t)
	var got []string
	g := NewChoiceGrid(look, "choice", options(60), false, nil, func(c []string) { got = c })
	put(t, g, 1828, 620)
	if g.Pages() < 2 {
		t.Fatalf("%d pages for 60 options", g.Pages())
	}
	seen := map[string]bool{}
	for page := range g.Pages() {
		if g.Page() != page {
			t.Fatalf("page %d, want %d", g.Page(), page)
		}
		if prev := Find(g, "choice.prev"); prev.TargetEnabled() != (page > 0) {
			t.Errorf("page %d: 上一页 enabled %v", page, prev.TargetEnabled())
		}
		for _, x := range Targets(g) {
			if strings.HasPrefix(x.Name, "choice.0") || !strings.Contains(x.Name, "choice.p") && !strings.Contains(x.Name, "choice.n") {
				if seen[x.Name] {
					t.Errorf("%s is on two pages", x.Name)
				}
				seen[x.Name] = true
			}
		}
		Tap(g, "choice.next")
	}
	if len(seen) != 60 {
		t.Errorf("%d of 60 options seen", len(seen))
	}
	if Tap(g, "choice.00") {
		t.Error("an option of another page could be tapped")
	}
	if !Tap(g, "choice.59") || !slices.Equal(got, []string{"59"}) {
		t.Errorf("chosen %v", got)
	}
}

func TestChoiceComesBackToAnswer(t *testing.T) {
	look, _ := bench(t)
	g := NewChoiceGrid(look, "choice", options(60), false, []string{"57"}, nil)
	put(t, g, 1828, 620)
	if Find(g, "choice.57") == nil {
		t.Errorf("page %d does not show the answer", g.Page())
	}
}

func TestChoiceMulti(t *testing.T) {
	look, _ := bench(t)
	g := NewChoiceGrid(look, "c", options(4), true, []string{"02"}, nil)
	put(t, g, 1828, 620)
	Tap(g, "c.00")
	Tap(g, "c.02")
	Tap(g, "c.03")
	if got := g.Chosen(); !slices.Equal(got, []string{"00", "03"}) {
		t.Errorf("chosen %v", got)
	}
	g.SetOptions(options(2))
	if got := g.Chosen(); !slices.Equal(got, []string{"00"}) {
		t.Errorf("after new options %v", got)
	}
}

func TestListPaging(t *testing.T) {
	look, _ := bench(t)
	var pairs []Pair
	for i := range 30 {
		pairs = append(pairs, Pair{Label: fmt.Sprint(i), Value: fmt.Sprintf("值%02d", i)})
	}
	l := NewPairs(look, "p", pairs)
	put(t, l, 1000, 500)
	var all []string
	for range l.Pages() {
		for _, s := range Texts(l) {
			if strings.HasPrefix(s, "值") {
				all = append(all, s)
			}
		}
		l.Turn(1)
	}
	if len(all) != 30 || !slices.IsSorted(all) {
		t.Errorf("%d values on %d pages: %q", len(all), l.Pages(), all)
	}
}

func TestTargets(t *testing.T) {
	look, _ := bench(t)
	hidden := NewButton(look, "hidden", "看不见", Plain, nil)
	hidden.Hide()
	top := NewTopBar(look, TopOptions{Title: "题目", OnHelp: func() {}})
	page := Page(look, top, nil, Column(0, NewButton(look, "one", "一", Plain, nil), hidden), Footer(look, FooterOptions{Back: func() {}}))
	put(t, page, 1920, 1080)
	var names []string
	for _, x := range Targets(page) {
		names = append(names, x.Name)
		if x.Name == "help" && (x.X < 1500 || x.Y > 40) {
			t.Errorf("help at %v, %v", x.X, x.Y)
		}
		if x.Name == "back" && x.Y < 900 {
			t.Errorf("back at %v, %v", x.X, x.Y)
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"back", "help", "one"}) {
		t.Errorf("targets %v", names)
	}
}

// TestPageAsksForNothing: a page may not make the window wider than it is.
func TestPageAsksForNothing(t *testing.T) {
	look, _ := bench(t)
	p := Page(look, NewTopBar(look, TopOptions{Title: strings.Repeat("长", 200)}), nil, NewText(look, strings.Repeat("长", 500)), nil)
	if m := p.MinSize(); m.Width > 1280 || m.Height > 720 {
		t.Errorf("a page asks for %v", m)
	}
}

func TestSignature(t *testing.T) {
	look, _ := bench(t)
	signed := false
	s := NewSignature(look, "请签名", func(ok bool) { signed = ok })
	put(t, s, 1200, 500)
	if _, err := s.PNG(); !errors.Is(err, ErrNoInk) {
		t.Errorf("empty: %v", err)
	}
	s.Draw([]image.Point{{100, 100}})
	if signed {
		t.Error("a dot is a signature")
	}
	// A stroke by mouse: down, the first pixels as hover, then a drag.
	k := s.Sheet()
	k.MouseDown(mouse(200, 100))
	k.MouseMoved(mouse(201, 101))
	for x := range 30 {
		k.Dragged(drag(202+float32(x)*5, 100+float32(x)))
	}
	k.MouseUp(mouse(350, 130))
	if !signed || s.Strokes() != 2 {
		t.Errorf("signed %v, %d strokes", signed, s.Strokes())
	}
	b, err := s.PNG()
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if w := img.Bounds().Dx(); w < 240 || w > 320 {
		t.Errorf("the signature is %d wide", w)
	}
	points := k.Points()[1]
	Tap(s, "signature.clear")
	if signed || s.Strokes() != 0 {
		t.Error("not cleared")
	}
	for _, p := range points {
		if p != (image.Point{}) {
			t.Fatal("points are left in memory after clearing")
		}
	}
	for _, v := range k.pix.Pix {
		if v != 0 {
			t.Fatal("pixels are left after clearing")
		}
	}
}

func TestPictureRelease(t *testing.T) {
	look, _ := bench(t)
	p := NewPicture(look, "没有画面")
	put(t, p, 400, 300)
	img := image.NewGray(image.Rect(0, 0, 4, 4))
	for i := range img.Pix {
		img.Pix[i] = 200
	}
	p.SetImage(img)
	if slices.Contains(Texts(p), "没有画面") {
		t.Error("text over the picture")
	}
	p.Release()
	if img.Pix[7] != 0 || !slices.Contains(Texts(p), "没有画面") {
		t.Error("the picture is still there")
	}
}

func TestQR(t *testing.T) {
	look, _ := bench(t)
	if _, err := QR(look, strings.Repeat("x", 4000), 200); err == nil {
		t.Error("4000 bytes fit into a QR code")
	}
	if _, err := QR(look, "140830-20261123-000417", 200); err != nil {
		t.Error(err)
	}
}
