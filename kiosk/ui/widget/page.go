package widget

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"

	"cunban/kiosk/ui/theme"
)

// FooterOptions say what the footer shows. Nil leaves a button out.
type FooterOptions struct {
	Back, Home func()
	Left       []fyne.CanvasObject // after back and home
	Notice     string              // grey text in the middle
	Right      []fyne.CanvasObject // before next
	Next       *Button             // usually Primary; see NextButton
}

// NextButton is the button at the right: accent, 94 mm wide where there is room.
func NextButton(look *theme.Look, label string, onTap func()) *Button {
	w := look.MM(94)
	if look.Portrait {
		w = look.MM(78)
	}
	return NewButton(look, "next", label, Primary, onTap).Wide(w)
}

// Footer is the white bar under every page: back and home at the left, the
// next step at the right. Targets: "back", "home".
func Footer(look *theme.Look, o FooterOptions) *fyne.Container {
	c := look.C()
	var left, right []fyne.CanvasObject
	var ways []*Button
	if o.Back != nil {
		ways = append(ways, NewButton(look, "back", "返回", Plain, o.Back).WithIcon("back"))
	}
	if o.Home != nil {
		ways = append(ways, NewButton(look, "home", "首页", Plain, o.Home).WithIcon("home"))
	}
	for _, b := range ways {
		left = append(left, b)
	}
	left = append(left, o.Left...)
	right = append(right, o.Right...)
	if o.Next != nil {
		right = append(right, o.Next)
	}
	gap := look.MM(5)
	// What is left for the notice; where it is negative, the next button gives
	// up its generous width first and then the ways out their icons.
	room := func() float32 {
		w := look.W - 2*look.Margin() - gap
		for _, x := range append(left[:len(left):len(left)], right...) {
			w -= x.MinSize().Width + gap
		}
		return w
	}
	if o.Next != nil && room() < 0 {
		o.Next.Wide(min(o.Next.wide, max(0, o.Next.MinSize().Width+room())))
	}
	var above fyne.CanvasObject
	if look.Portrait && room() < 0 && len(o.Right) > 0 {
		// A narrow window has the height for a second row.
		above = Row(gap, append([]fyne.CanvasObject{Spring()}, o.Right...)...)
		right = right[:0:0]
		if o.Next != nil {
			right = append(right, o.Next)
		}
	}
	for _, b := range ways {
		if room() < 0 {
			b.SetIcon("")
		}
	}
	for _, x := range append(left[:len(left):len(left)], right...) {
		if b, ok := x.(*Button); ok && room() < 0 {
			b.slim = true
		}
	}
	middle := fyne.CanvasObject(Spring())
	if o.Notice != "" && room() > look.MM(60) {
		middle = Fill(Middle(NewText(look, o.Notice).Soft().Right().Limit(2)))
	}
	parts := append(append(left, middle), right...)
	y := look.MM(4.2)
	if look.Dense() {
		y = look.MM(3)
	}
	line := &canvas.Rectangle{FillColor: c.Line}
	rows := fyne.CanvasObject(Row(gap, parts...))
	if above != nil {
		rows = Column(gap, above, rows)
	}
	return Column(0,
		Fixed(1, look.Stroke(), line),
		Over(&canvas.Rectangle{FillColor: c.Card}, Pad(look.Margin(), y, rows)))
}

// Heading is the question of a page, a hint below it and 再听一遍.
type Heading struct {
	base
	title, hint *Text
	again       *Button
}

// NewHeading returns a heading; onAgain nil leaves out the pill, whose target
// is "again".
func NewHeading(look *theme.Look, title, hint string, onAgain func()) *Heading {
	h := &Heading{}
	h.look = look
	h.title = NewText(look, title).Bold().Sized(look.Title())
	h.hint = NewText(look, hint).Sized(look.Body() * 1.05).Soft()
	if hint == "" {
		h.hint.Hide()
	}
	first := []fyne.CanvasObject{Fill(h.title)}
	if onAgain != nil {
		h.again = NewButton(look, "again", "再听一遍", Pill, onAgain).WithIcon("sound").Tall(look.MM(22))
		if look.Size == theme.Large {
			h.again.Tall(look.Target())
		}
		first = append(first, h.again)
	}
	h.wrap(Column(look.MM(2), MiddleRow(look.Gap(), first...), h.hint))
	h.ExtendBaseWidget(h)
	return h
}

// Warn puts what is wrong in place of the hint, so that nothing moves and pads
// keep their height; "" changes nothing.
func (h *Heading) Warn(text string) *Heading {
	if text == "" {
		return h
	}
	c := h.look.C()
	col := h.kids[0].(*fyne.Container)
	size := h.look.Body() * 1.05
	col.Objects[1] = MiddleRow(h.look.MM(3), Icon(h.look, "warn", c.Warn, size*1.1), Fill(NewText(h.look, text).Sized(size).Bold().Coloured(c.Warn)))
	return h
}

// Set changes title and hint.
func (h *Heading) Set(title, hint string) {
	h.title.SetText(title)
	h.hint.SetText(hint)
	if hint == "" {
		h.hint.Hide()
	} else {
		h.hint.Show()
	}
	h.Refresh()
}

// Page puts a page together: bar, ribbon or banner (nil for none), the body
// with the usual margins, and footer (nil for none), on the ground colour.
func Page(look *theme.Look, top, banner, body, footer fyne.CanvasObject) *fyne.Container {
	var parts []fyne.CanvasObject
	for _, o := range []fyne.CanvasObject{top, banner} {
		if o != nil {
			parts = append(parts, o)
		}
	}
	y := look.MM(8)
	switch {
	case look.Portrait:
		y = look.MM(7)
	case look.Dense():
		y = look.MM(4.5)
	}
	parts = append(parts, Fill(Pad(look.Margin(), y, body)))
	if footer != nil {
		parts = append(parts, footer)
	}
	return container.New(frame{}, &canvas.Rectangle{FillColor: look.C().Ground}, Column(0, parts...))
}

// frame fills the window and asks for nothing: Fyne would make a window larger
// than its screen for the natural width of a text that wraps anyway.
type frame struct{}

func (frame) Layout(objects []fyne.CanvasObject, s fyne.Size) { pad{}.Layout(objects, s) }

func (frame) MinSize([]fyne.CanvasObject) fyne.Size { return fyne.NewSize(1, 1) }
