package widget

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"

	"cunban/kiosk/ui/theme"
)

// Tile is a large touchable card: icon, title, second lines.
type Tile struct {
	base
	press
	name, title string
	off, small  bool
	onTap       func()
	box         *canvas.Rectangle
	inner       fyne.CanvasObject
	head, sub   *Text
	room        float32 // beside the title
	padX, padY  float32
}

var _ Target = (*Tile)(nil)

// TileOptions say what a tile shows.
type TileOptions struct {
	Icon, Title string
	Sub         string // second line or lines
	Mark        bool   // icon in the second colour, as for guide and progress
	Wide        bool   // icon and title in one row, no second lines
	Small       bool   // title in the size of a button, for pages of many services
	Off         string // why it does not work now; it is then not touchable
}

// NewTile returns a tile.
func NewTile(look *theme.Look, name string, o TileOptions, onTap func()) *Tile {
	c := look.C()
	t := &Tile{name: name, title: o.Title, off: o.Off != "", small: o.Small, onTap: onTap}
	t.look, t.feel = look, look
	t.box = &canvas.Rectangle{CornerRadius: look.Radius() * 1.5, StrokeWidth: look.Stroke()}
	ink, soft, line := c.Ink, c.Soft, c.Link
	if o.Mark {
		line = c.Mark
	}
	if t.off {
		ink, soft, line = c.OffText, c.OffText, c.OffText
	}
	size, icon := look.Head()*1.08, look.Head()*1.5
	if o.Small {
		size, icon = look.Body()*1.15, look.Body()*1.6
	}
	title := NewText(look, o.Title).Bold().Sized(size).Coloured(ink)
	var head fyne.CanvasObject = title
	if o.Icon != "" {
		head = MiddleRow(look.MM(5), Icon(look, o.Icon, line, icon), Fill(title))
		t.room = icon + look.MM(5)
	}
	sub := o.Sub
	if t.off {
		sub = o.Off
	}
	padX, padY := look.MM(7), look.MM(5)
	if o.Small {
		padX, padY = look.MM(6), look.MM(4)
	}
	t.head, t.sub, t.padX, t.padY = title, NewText(look, sub).Coloured(soft), padX, padY
	switch {
	case o.Wide || sub == "":
		t.inner = Pad(padX, padY, Middle(Wide(look, head)))
	case o.Small:
		words := Column(look.MM(0.5), title, t.sub)
		all := fyne.CanvasObject(words)
		if o.Icon != "" {
			all = MiddleRow(look.MM(5), Icon(look, o.Icon, line, icon), Fill(words))
		}
		t.inner = Pad(padX, padY, Middle(Wide(look, all)))
	default:
		t.inner = Pad(padX, padY, Column(look.MM(1), Spring(), head, Spring(), t.sub, Spring()))
	}
	t.kids = []fyne.CanvasObject{t.box, t.inner}
	t.enabled = func() bool { return !t.off }
	t.tapped = t.Tap
	t.changed = func() { t.paint(); t.box.Refresh() }
	t.arrange = func(s fyne.Size) {
		place(t.box, 0, 0, s.Width, s.Height)
		t.fit(s)
		place(t.inner, 0, 0, s.Width, s.Height)
	}
	t.smallest = func() fyne.Size {
		m := t.inner.MinSize()
		return fyne.NewSize(min(m.Width, look.MM(40)), max(look.Target(), m.Height))
	}
	t.paint()
	t.ExtendBaseWidget(t)
	return t
}

// fit makes a title that would just wrap a little smaller, and shows as many
// of the second lines as there is room for.
func (t *Tile) fit(s fyne.Size) {
	t.fitTitle(s.Width)
	t.sub.Show()
	for _, n := range []int{0, 2, 1} {
		t.sub.Limit(n)
		if HeightFor(t.inner, s.Width) <= s.Height+1 {
			return
		}
	}
	t.sub.Hide()
}

func (t *Tile) fitTitle(width float32) {
	full, shrink := t.look.Head()*1.08, []float32{1, 0.93, 0.87, 0.8}
	if t.small { // never below the body size
		full, shrink = t.look.Body()*1.15, []float32{1, 0.93}
	}
	room := width - 2*t.padX - t.room
	for _, k := range shrink {
		t.head.Sized(full * k)
		if t.head.measure(t.title) <= room {
			return
		}
	}
	t.head.Sized(full)
}

// HeightFor implements Flow.
func (t *Tile) HeightFor(width float32) float32 {
	t.fitTitle(width)
	t.sub.Show()
	t.sub.Limit(0)
	return max(t.look.Target(), HeightFor(t.inner, width))
}

func (t *Tile) paint() {
	c := t.look.C()
	t.box.FillColor, t.box.StrokeColor = c.Card, c.Line
	switch {
	case t.off:
		t.box.FillColor, t.box.StrokeColor = c.Off, c.OffLine
	case t.down:
		t.box.FillColor, t.box.StrokeColor = c.Press, c.Link
	}
}

// Tap implements Target.
func (t *Tile) Tap() {
	if !t.off && t.onTap != nil {
		t.onTap()
	}
}

// TargetName implements Target.
func (t *Tile) TargetName() string { return t.name }

// TargetLabel implements Target.
func (t *Tile) TargetLabel() string { return t.title }

// TargetEnabled implements Target.
func (t *Tile) TargetEnabled() bool { return !t.off }
