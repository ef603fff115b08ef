package widget

import (
	"fmt"
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"

	"cunban/kiosk/ui/theme"
)

// Pair is a line of label and value.
type Pair struct {
	Label, Value string
	Tag          string // where it is from: "来自社保卡"; "" for none
	Warn         string // what is wrong with it, "" for nothing
	Bold         bool
	// Edit, if set, gives the line a 修改 button named name.edit.<index>.
	Edit func()
}

// NewPairs shows label-value lines with their sources, paged when they do not
// fit. The pager's targets are name.prev, name.next.
func NewPairs(look *theme.Look, name string, pairs []Pair) *List {
	return NewList(look, name, 0, PairRows(look, name, pairs)...)
}

// PairColumn shows label-value lines without paging, for a few on a card.
func PairColumn(look *theme.Look, name string, pairs []Pair) *fyne.Container {
	return Column(0, PairRows(look, name, pairs)...)
}

// PairRows are the lines alone.
func PairRows(look *theme.Look, name string, pairs []Pair) []fyne.CanvasObject {
	c := look.C()
	label := float32(0)
	for _, p := range pairs {
		label = max(label, NewText(look, p.Label).MinSize().Width)
	}
	label = min(label+look.MM(8), look.Body()*7.5)
	if look.Portrait {
		label = min(label, look.Body()*6)
	}
	var rows []fyne.CanvasObject
	for i, p := range pairs {
		value := NewText(look, p.Value)
		if p.Bold {
			value.Bold()
		}
		texts := []fyne.CanvasObject{value}
		if p.Warn != "" {
			value.Coloured(c.Warn)
			texts = append(texts, MiddleRow(look.MM(2), Icon(look, "warn", c.Warn, look.Body()), Fill(NewText(look, p.Warn).Coloured(c.Warn).Bold())))
		}
		parts := []fyne.CanvasObject{
			Fixed(label, 0, NewText(look, p.Label).Soft()),
			Fill(Column(0, texts...)),
		}
		if p.Tag != "" {
			parts = append(parts, Tag(look, Info, p.Tag))
		}
		y := look.MM(1.6)
		if p.Edit != nil {
			parts = append(parts, NewButton(look, fmt.Sprintf("%s.edit.%d", name, i), "修改", Secondary, p.Edit).Sized(look.Body()))
			y = look.MM(1.8)
		}
		row := fyne.CanvasObject(Pad(0, y, MiddleRow(look.MM(3), parts...)))
		if i < len(pairs)-1 {
			row = Column(0, row, Fixed(1, max(1, look.Stroke()/2), &canvas.Rectangle{FillColor: c.Line}))
		}
		rows = append(rows, row)
	}
	return rows
}

// Tag is a small rounded word with a tone: a source, a state, a time limit.
func Tag(look *theme.Look, tone Tone, word string) fyne.CanvasObject {
	ground, fg, _ := tone.colours(look.C())
	r := &canvas.Rectangle{FillColor: ground, CornerRadius: look.Radius()}
	if look.Palette == theme.HighContrast {
		r.StrokeColor, r.StrokeWidth = fg, look.Stroke()
	}
	return Over(r, Pad(look.MM(4), look.MM(0.6), NewText(look, word).Coloured(fg)))
}

// Moment is one entry of a timeline.
type Moment struct {
	Title, Time, Text string
	State             MomentState
}

// MomentState is where a moment stands.
type MomentState int

// States of a moment.
const (
	Past    MomentState = iota // done
	Present                    // here we are
	Future                     // still to come
	Failed                     // went wrong, something has to be done
)

// NewTimeline shows the way of a case in plain words, paged when it is long.
func NewTimeline(look *theme.Look, name string, moments []Moment) *List {
	rows := make([]fyne.CanvasObject, 0, len(moments))
	for i, m := range moments {
		rows = append(rows, newMoment(look, m, i == 0, i == len(moments)-1))
	}
	return NewList(look, name, 0, rows...)
}

// moment draws the dot and the line beside the text.
type moment struct {
	base
	text        fyne.CanvasObject
	top, bottom *canvas.Rectangle
	dot         fyne.CanvasObject
	first, last bool
}

func newMoment(look *theme.Look, m Moment, first, last bool) *moment {
	o := &moment{first: first, last: last}
	o.look = look
	c := look.C()
	ink := c.Ink
	var dot fyne.CanvasObject
	above, below := c.GoodFill, c.GoodFill
	switch m.State {
	case Past:
		dot = Seal(look, Good, look.MM(12))
	case Present:
		dot = &canvas.Circle{FillColor: c.Card, StrokeColor: c.ChosenLine, StrokeWidth: look.Stroke() * 4}
		below = c.Line
	case Future:
		dot = &canvas.Circle{FillColor: c.Card, StrokeColor: c.Line, StrokeWidth: look.Stroke() * 2}
		above, below = c.Line, c.Line
		ink = c.Soft
	case Failed:
		dot = Seal(look, Bad, look.MM(12))
		below = c.Line
	default:
		panic(fmt.Sprintf("widget: moment state %d", int(m.State)))
	}
	o.dot = dot
	o.top, o.bottom = &canvas.Rectangle{FillColor: above}, &canvas.Rectangle{FillColor: below}
	title := NewText(look, m.Title).Sized(look.Body() * 1.12).Coloured(ink)
	if m.State != Future {
		title.Bold()
	}
	parts := []fyne.CanvasObject{MiddleRow(look.Gap(), Fill(title), NewText(look, m.Time).Soft())}
	if m.Text != "" {
		parts = append(parts, NewText(look, m.Text).Soft())
	}
	o.text = Column(0, parts...)
	o.kids = []fyne.CanvasObject{o.top, o.bottom, o.dot, o.text}
	o.arrange = o.lay
	o.smallest = func() fyne.Size {
		s := o.text.MinSize()
		return fyne.NewSize(s.Width+o.indent(), s.Height+look.MM(6))
	}
	o.ExtendBaseWidget(o)
	return o
}

func (o *moment) indent() float32 { return o.look.MM(20) }

// HeightFor implements Flow.
func (o *moment) HeightFor(width float32) float32 {
	return HeightFor(o.text, width-o.indent()) + o.look.MM(6)
}

func (o *moment) lay(s fyne.Size) {
	d, w := o.look.MM(12), o.look.MM(1.2)
	x := o.look.MM(1)
	y := o.look.MM(3) + (o.look.Body()*1.12*1.448-d)/2
	place(o.text, o.indent(), o.look.MM(3), s.Width-o.indent(), s.Height-o.look.MM(6))
	place(o.dot, x, y, d, d)
	lx := x + (d-w)/2
	top, bottom := y, s.Height-y-d
	if o.first {
		top = 0
	}
	if o.last {
		bottom = 0
	}
	place(o.top, lx, 0, w, top)
	place(o.bottom, lx, y+d, w, bottom)
}

// Rule is a thin line across.
func Rule(look *theme.Look) fyne.CanvasObject {
	return Fixed(1, look.Stroke(), &canvas.Rectangle{FillColor: look.C().Line})
}

// Tint puts content on a rounded ground of one colour, without a border.
func Tint(look *theme.Look, ground color.NRGBA, content fyne.CanvasObject) *fyne.Container {
	r := &canvas.Rectangle{FillColor: ground, CornerRadius: look.Radius() * 1.5}
	return Over(r, Pad(look.MM(7), look.MM(5), content))
}
