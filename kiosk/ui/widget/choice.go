package widget

import (
	"slices"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"

	"cunban/kiosk/ui/theme"
)

// Option is one answer of a question.
type Option struct {
	Code  string // what is stored; part of the target's name
	Label string // "500 元"
	Note  string // "政府补 60 元", "" for none
	Icon  string // "" for none
	Off   string // why it cannot be chosen, "" if it can
}

// Choice is one option as a tile. What is chosen has a thick border, a tint
// and a check mark.
type Choice struct {
	base
	press
	name   string
	opt    Option
	chosen bool
	onTap  func()

	box   *canvas.Rectangle
	mark  fyne.CanvasObject
	label *Text
	note  *Text
	inner *fyne.Container
}

var _ Target = (*Choice)(nil)

// NewChoice returns one tile; ChoiceGrid makes many.
func NewChoice(look *theme.Look, name string, o Option, chosen bool, onTap func()) *Choice {
	t := &Choice{name: name, opt: o, chosen: chosen, onTap: onTap}
	t.look, t.feel = look, look
	t.box = &canvas.Rectangle{CornerRadius: look.Radius() * 1.5}
	t.mark = markOf(look)
	t.label = NewText(look, o.Label).Bold().Sized(look.Head()).Centred()
	parts := []fyne.CanvasObject{}
	if o.Icon != "" {
		parts = append(parts, Middle(Icon(look, o.Icon, look.C().Link, look.Head()*1.5)))
	}
	parts = append(parts, t.label)
	note := o.Note
	if o.Off != "" {
		note = o.Off
	}
	if note != "" {
		t.note = NewText(look, note).Centred()
		parts = append(parts, t.note)
	}
	t.inner = Pad(look.MM(4), look.MM(4), Middle(Wide(look, Column(look.MM(0.5), parts...))))
	t.kids = []fyne.CanvasObject{t.box, t.inner, t.mark}
	t.enabled = func() bool { return t.opt.Off == "" }
	t.tapped = t.Tap
	t.changed = func() { t.Refresh() }
	t.arrange = func(s fyne.Size) {
		place(t.box, 0, 0, s.Width, s.Height)
		place(t.inner, 0, 0, s.Width, s.Height)
		m := t.mark.MinSize()
		in := look.MM(2)
		place(t.mark, s.Width-m.Width-in, in, m.Width, m.Height)
	}
	t.smallest = func() fyne.Size { return fyne.NewSize(look.MM(30), t.HeightFor(max(t.Size().Width, look.MM(30)))) }
	t.restyle = t.paint
	t.paint()
	t.ExtendBaseWidget(t)
	return t
}

// markOf is the check mark of what is chosen.
func markOf(look *theme.Look) fyne.CanvasObject {
	c := look.C()
	px := look.MM(11)
	return Fixed(px, px, Over(&canvas.Circle{FillColor: c.Accent}, Pad(px*0.23, px*0.23, Icon(look, "check", c.OnAccent, px*0.5))))
}

// HeightFor implements Flow.
func (t *Choice) HeightFor(width float32) float32 {
	return max(t.look.Target(), HeightFor(t.inner, width))
}

// comfortable tells whether the label reads well at that width: not more than
// two lines, and a short label not broken at all.
func (t *Choice) comfortable(width float32) bool {
	w := width - t.look.MM(8)
	lines := len(t.label.broken(w))
	if lines > 2 || (lines > 1 && len([]rune(t.opt.Label)) <= 6) {
		return false
	}
	return t.note == nil || len(t.note.broken(w)) <= 2
}

func (t *Choice) paint() {
	c, s := t.look.C(), t.look.Stroke()
	t.box.FillColor, t.box.StrokeColor, t.box.StrokeWidth = c.Card, c.Line, s
	ink, soft := c.Ink, c.Soft
	switch {
	case t.opt.Off != "":
		t.box.FillColor, t.box.StrokeColor = c.Off, c.OffLine
		ink, soft = c.OffText, c.OffText
	case t.chosen:
		t.box.FillColor, t.box.StrokeColor, t.box.StrokeWidth = c.ChosenTint, c.ChosenLine, s*2.2
	case t.down:
		t.box.FillColor, t.box.StrokeColor = c.Press, c.Link
	}
	if t.down && t.chosen {
		t.box.FillColor = c.Press
	}
	t.label.Coloured(ink)
	if t.note != nil {
		t.note.Coloured(soft)
	}
	if t.chosen {
		t.mark.Show()
	} else {
		t.mark.Hide()
	}
}

// SetChosen changes the mark.
func (t *Choice) SetChosen(on bool) {
	if t.chosen != on {
		t.chosen = on
		t.Refresh()
	}
}

// Tap implements Target.
func (t *Choice) Tap() {
	if t.opt.Off == "" && t.onTap != nil {
		t.onTap()
	}
}

// TargetName implements Target.
func (t *Choice) TargetName() string { return t.name }

// TargetLabel implements Target.
func (t *Choice) TargetLabel() string { return t.opt.Label }

// TargetEnabled implements Target.
func (t *Choice) TargetEnabled() bool { return t.opt.Off == "" }

// ChoiceGrid asks one question with big choices, paged when they do not fit.
type ChoiceGrid struct {
	*Grid
	name     string
	multi    bool
	chosen   []string
	onChange func([]string)
	tiles    []*Choice
}

// NewChoiceGrid returns a grid; targets are named name+"."+code. With multi,
// a tap adds or takes away; else it replaces. onChange gets the codes chosen,
// in the order of the options.
func NewChoiceGrid(look *theme.Look, name string, options []Option, multi bool, chosen []string, onChange func([]string)) *ChoiceGrid {
	g := &ChoiceGrid{Grid: NewGrid(look, name), name: name, multi: multi, chosen: slices.Clone(chosen), onChange: onChange}
	g.SetOptions(options)
	return g
}

// SetOptions puts other options; what was chosen and is not among them is
// forgotten.
func (g *ChoiceGrid) SetOptions(options []Option) {
	g.chosen = slices.DeleteFunc(g.chosen, func(c string) bool {
		return !slices.ContainsFunc(options, func(o Option) bool { return o.Code == c })
	})
	g.tiles = g.tiles[:0:0]
	cells := make([]fyne.CanvasObject, 0, len(options))
	for _, o := range options {
		t := NewChoice(g.look, g.name+"."+o.Code, o, slices.Contains(g.chosen, o.Code), func() { g.pick(o.Code) })
		g.tiles = append(g.tiles, t)
		cells = append(cells, t)
	}
	g.SetCells(cells)
	// The page of what is chosen comes first, so that a person coming back sees
	// the answer.
	for i, o := range options {
		if slices.Contains(g.chosen, o.Code) {
			g.ShowCell(i)
			break
		}
	}
}

func (g *ChoiceGrid) pick(code string) {
	switch i := slices.Index(g.chosen, code); {
	case !g.multi:
		g.chosen = []string{code}
	case i >= 0:
		g.chosen = slices.Delete(g.chosen, i, i+1)
	default:
		g.chosen = append(g.chosen, code)
	}
	g.mark()
	if g.onChange != nil {
		g.onChange(g.Chosen())
	}
}

func (g *ChoiceGrid) mark() {
	for _, t := range g.tiles {
		t.SetChosen(slices.Contains(g.chosen, t.opt.Code))
	}
}

// Chosen are the codes chosen, in the order of the options.
func (g *ChoiceGrid) Chosen() []string {
	var out []string
	for _, t := range g.tiles {
		if slices.Contains(g.chosen, t.opt.Code) {
			out = append(out, t.opt.Code)
		}
	}
	return out
}

// SetChosen changes what is chosen, without onChange.
func (g *ChoiceGrid) SetChosen(codes []string) {
	g.chosen = slices.Clone(codes)
	g.mark()
}
