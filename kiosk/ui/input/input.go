// Package input holds the pads a person types on with a finger: numbers, dates,
// text by pinyin or by writing characters, and PINs. It exists because the
// terminal has no keyboard and Fyne no input method, and because what is typed
// here must leave nothing behind.
//
// It guarantees that a pad works without the engines (a mode whose engine is
// nil is not offered), that Wipe zeroes what was typed and drawn, and that a
// PIN is never in a text that is drawn or listed by widget.Texts. Pads belong
// to the UI goroutine. Targets are named "key.…".
package input

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	fw "fyne.io/fyne/v2/widget"

	"cunban/kiosk/ui/input/handwriting"
	"cunban/kiosk/ui/input/pinyin"
	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/widget"
)

// Candidates turns pinyin into characters; pinyin.Engine does.
type Candidates interface {
	// Candidates is one page (pinyin.PageSize) of choices, and whether more follow.
	Candidates(pinyin string, page int) (choices []string, more bool)
	// Rest is the pinyin left over after taking the index-th choice.
	Rest(pinyin string, index int) (string, error)
	// Clear forgets the composition.
	Clear()
}

// Recogniser turns strokes into characters; handwriting.Engine does.
type Recogniser interface {
	Recognize(strokes [][]handwriting.Point, w, h, n int) []string
}

var (
	_ Candidates = (*pinyin.Engine)(nil)
	_ Recogniser = (*handwriting.Engine)(nil)
)

// pad is what all pads share: one object that fills them.
type pad struct {
	fw.BaseWidget
	look *theme.Look
	root fyne.CanvasObject
}

// Children implements widget.Parent.
func (p *pad) Children() []fyne.CanvasObject { return []fyne.CanvasObject{p.root} }

// CreateRenderer implements fyne.Widget.
func (p *pad) CreateRenderer() fyne.WidgetRenderer { return fw.NewSimpleRenderer(p.root) }

// HeightFor implements widget.Flow.
func (p *pad) HeightFor(width float32) float32 { return widget.HeightFor(p.root, width) }

// entry is the field that shows what was typed: one line with a caret, its end
// visible when it is longer than the field.
type entry struct {
	fw.BaseWidget
	look  *theme.Look
	text  string // shown as typed
	fresh string // composing pinyin, shown after it in the structure colour
	hint  string
	unit  string
	size  float32
	mid   bool // centred, for numbers

	box                  *canvas.Rectangle
	main, more, tail, at *canvas.Text
	caret, under         *canvas.Rectangle
}

func newEntry(look *theme.Look, hint, unit string) *entry {
	e := &entry{look: look, hint: hint, unit: unit, size: look.Head() * 1.05}
	c := look.C()
	e.box = &canvas.Rectangle{FillColor: c.Card, StrokeColor: c.Link, StrokeWidth: look.Stroke() * 1.6, CornerRadius: look.Radius()}
	mk := func() *canvas.Text { return &canvas.Text{TextSize: e.size, FontSource: theme.Font(false)} }
	e.main, e.more, e.tail, e.at = mk(), mk(), mk(), mk()
	e.main.Color, e.more.Color, e.tail.Color, e.at.Color = c.Ink, c.LinkText, c.Soft, c.Soft
	e.under = &canvas.Rectangle{FillColor: c.Link}
	e.caret = &canvas.Rectangle{FillColor: c.ChosenLine}
	e.ExtendBaseWidget(e)
	return e
}

// set changes what is shown.
func (e *entry) set(text, fresh string) {
	if e.text == text && e.fresh == fresh {
		return
	}
	e.text, e.fresh = text, fresh
	e.Refresh()
}

// Children implements widget.Parent, so that Texts sees what is shown.
func (e *entry) Children() []fyne.CanvasObject {
	return []fyne.CanvasObject{e.box, e.at, e.main, e.under, e.more, e.caret, e.tail}
}

// CreateRenderer implements fyne.Widget.
func (e *entry) CreateRenderer() fyne.WidgetRenderer { return entryRenderer{e} }

type entryRenderer struct{ e *entry }

func (r entryRenderer) Destroy()                     {}
func (r entryRenderer) Objects() []fyne.CanvasObject { return r.e.Children() }
func (r entryRenderer) MinSize() fyne.Size {
	return fyne.NewSize(r.e.look.MM(60), r.e.look.Target())
}
func (r entryRenderer) Refresh() {
	r.Layout(r.e.Size())
	for _, o := range r.e.Children() {
		o.Refresh()
	}
}

func (r entryRenderer) Layout(s fyne.Size) {
	e := r.e
	in := e.look.MM(7)
	e.box.Resize(s)
	width := func(t string) (w float32) {
		for _, c := range t {
			w += e.look.Advance(c, false, e.size)
		}
		return w
	}
	e.tail.Text = e.unit
	e.more.Text = e.fresh
	e.at.Text = ""
	if e.text == "" && e.fresh == "" {
		e.at.Text = e.hint
	}
	tail := width(e.unit)
	if tail > 0 {
		tail += e.look.MM(3)
	}
	caret := e.look.MM(0.9)
	gap := e.look.MM(1)
	fresh, lead := width(e.fresh), float32(0)
	if fresh > 0 {
		lead = e.look.MM(2)
		fresh += lead
	}
	room := s.Width - 2*in - tail - caret - gap - fresh
	shown := []rune(e.text)
	e.main.Text = e.text
	for len(shown) > 1 && width(e.main.Text) > room {
		shown = shown[1:]
		e.main.Text = "…" + string(shown)
	}
	x := in
	w := width(e.main.Text)
	if e.mid {
		x = max(in, (s.Width-w-fresh-tail-caret-gap)/2)
		if e.at.Text != "" {
			x = max(in, (s.Width-width(e.at.Text)-caret-gap)/2)
		}
	}
	h := e.size * 1.448
	y := (s.Height - h) / 2
	put := func(o fyne.CanvasObject, x, w float32) {
		o.Move(fyne.NewPos(float32(int(x)), float32(int(y))))
		o.Resize(fyne.NewSize(w, h))
	}
	put(e.main, x, w)
	x += w
	e.under.Hidden = fresh == 0
	if fresh > 0 {
		put(e.more, x+lead, fresh)
		e.under.Move(fyne.NewPos(float32(int(x+lead)), float32(int(y+h-e.look.MM(1.4)))))
		e.under.Resize(fyne.NewSize(fresh-lead, e.look.Stroke()*1.5))
		x += fresh
	}
	e.caret.Move(fyne.NewPos(float32(int(x+gap)), float32(int((s.Height-e.size*1.15)/2))))
	e.caret.Resize(fyne.NewSize(max(2, float32(int(caret))), e.size*1.15))
	put(e.at, x+gap+caret+gap*2, width(e.at.Text))
	put(e.tail, x+gap+caret+e.look.MM(3), tail)
}

// keyRow is a row of keys with widths in units of a letter key.
type keyRow []span

type span struct {
	o     fyne.CanvasObject
	units float32
}

// keys lays rows of keys out in a field of columns units; rows are centred and
// share the height evenly up to a limit, from the top.
type keys struct {
	rows    []keyRow
	columns float32
	gap     float32
	least   float32
	most    float32
}

// keyMostMM is how high a key grows, in millimetres.
const keyMostMM = 36

func newKeys(look *theme.Look, columns float32, rows ...keyRow) *fyne.Container {
	k := keys{rows: rows, columns: columns, gap: look.MM(3.2), least: look.MM(22.2), most: look.MM(keyMostMM)}
	if look.Size == theme.Large {
		k.gap, k.least = look.MM(2.6), look.MM(28)
	}
	if look.Portrait {
		k.gap = look.MM(2.6)
	}
	var all []fyne.CanvasObject
	for _, r := range rows {
		for _, s := range r {
			all = append(all, s.o)
		}
	}
	return container.New(k, all...)
}

func (k keys) Layout(_ []fyne.CanvasObject, s fyne.Size) {
	n := float32(len(k.rows))
	if n == 0 {
		return
	}
	unit := (s.Width - k.gap*(k.columns-1)) / k.columns
	h := min(k.most, (s.Height-k.gap*(n-1))/n)
	y := float32(0)
	for _, r := range k.rows {
		total := -k.gap
		for _, c := range r {
			total += c.units*unit + (c.units-1)*k.gap + k.gap
		}
		x := (s.Width - total) / 2
		for _, c := range r {
			w := c.units*unit + (c.units-1)*k.gap
			c.o.Move(fyne.NewPos(float32(int(x+0.5)), float32(int(y+0.5))))
			c.o.Resize(fyne.NewSize(float32(int(x+w+0.5))-float32(int(x+0.5)), float32(int(y+h+0.5))-float32(int(y+0.5))))
			x += w + k.gap
		}
		y += h + k.gap
	}
}

func (k keys) MinSize([]fyne.CanvasObject) fyne.Size {
	n := float32(len(k.rows))
	return fyne.NewSize(k.columns*k.least*0.8, n*k.least+(n-1)*k.gap)
}
