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
	label = min(label+look.MM(8), look.Body()*9)
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

// NewReview shows label-value lines for checking, two beside one another where
// there is the width. What can be mended is touched as a whole; its targets are
// named name.edit.<index>, the pager's name.prev and name.next.
func NewReview(look *theme.Look, name string, pairs []Pair) *List {
	n := 2
	if look.Portrait {
		n = 1
	}
	gap := look.MM(4)
	var rows, cells []fyne.CanvasObject
	for i, p := range pairs {
		cells = append(cells, newReviewCell(look, fmt.Sprintf("%s.edit.%d", name, i), p))
		if len(cells) == n || i == len(pairs)-1 {
			for len(cells) < n {
				cells = append(cells, &fyne.Container{})
			}
			rows = append(rows, Even(n, gap, cells...))
			cells = nil
		}
	}
	return NewList(look, name, gap, rows...)
}

// reviewCell is one line of a review; touchable if it can be mended.
type reviewCell struct {
	base
	press
	name string
	pair Pair
	box  *canvas.Rectangle
	in   fyne.CanvasObject
}

var _ Target = (*reviewCell)(nil)

func newReviewCell(look *theme.Look, name string, p Pair) *reviewCell {
	c := look.C()
	o := &reviewCell{name: name, pair: p}
	o.look, o.feel = look, look
	o.box = &canvas.Rectangle{CornerRadius: look.Radius() * 1.2, StrokeWidth: look.Stroke()}
	value := NewText(look, p.Value).Bold().Sized(look.Body() * 1.06)
	parts := []fyne.CanvasObject{NewText(look, p.Label).Soft(), value}
	if p.Warn != "" {
		value.Coloured(c.Warn)
		parts = append(parts, MiddleRow(look.MM(2), Icon(look, "warn", c.Warn, look.Body()*1.1), Fill(NewText(look, p.Warn).Coloured(c.Warn))))
	}
	line := []fyne.CanvasObject{Fill(Column(0, parts...))}
	switch {
	case p.Edit != nil:
		line = append(line, MiddleRow(look.MM(2), Icon(look, "pen", c.LinkText, look.Body()*1.2), NewText(look, "修改").Bold().Coloured(c.LinkText)))
	case p.Tag != "":
		line = append(line, Tag(look, Info, p.Tag))
	}
	o.in = Pad(look.MM(6), look.MM(1.6), MiddleRow(look.MM(3), line...))
	o.kids = []fyne.CanvasObject{o.box, o.in}
	o.enabled = func() bool { return p.Edit != nil }
	o.tapped = o.Tap
	o.changed = func() { o.paint(); o.box.Refresh() }
	o.arrange = func(s fyne.Size) {
		place(o.box, 0, 0, s.Width, s.Height)
		place(o.in, 0, 0, s.Width, s.Height)
	}
	o.smallest = func() fyne.Size { return fyne.NewSize(look.MM(60), look.Target()) }
	o.paint()
	o.ExtendBaseWidget(o)
	return o
}

func (o *reviewCell) paint() {
	c := o.look.C()
	o.box.FillColor, o.box.StrokeColor = c.Card, c.Line
	switch {
	case o.pair.Edit == nil:
		o.box.FillColor = c.Ground
	case o.down:
		o.box.FillColor, o.box.StrokeColor = c.Press, c.Link
	}
	if o.pair.Warn != "" {
		o.box.FillColor = c.WarnTint
	}
}

// HeightFor implements Flow.
func (o *reviewCell) HeightFor(width float32) float32 {
	return max(o.look.Target(), HeightFor(o.in, width))
}

// Tap implements Target.
func (o *reviewCell) Tap() {
	if o.pair.Edit != nil {
		o.pair.Edit()
	}
}

// TargetName implements Target.
func (o *reviewCell) TargetName() string { return o.name }

// TargetLabel implements Target.
func (o *reviewCell) TargetLabel() string { return o.pair.Label + " 修改" }

// TargetEnabled implements Target.
func (o *reviewCell) TargetEnabled() bool { return o.pair.Edit != nil }

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
