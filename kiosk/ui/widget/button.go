package widget

import (
	"fmt"
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"

	"cunban/kiosk/ui/theme"
)

// Kind is what a button is for, and so how it looks.
type Kind int

// The kinds. A page has at most one Primary.
const (
	Primary   Kind = iota // the next step: accent, filled
	Secondary             // another thing to do here: outlined in the structure colour
	Plain                 // ways out, back and home: outlined in grey
	Quiet                 // no outline; small things such as 再听一遍 use Pill
	Pill                  // rounded, outlined: hear again, zoom
	Danger                // cannot be undone: red, filled
	OnBar                 // on the top bar: white
	KeyCap                // key of a pad: letter
	FnKey                 // key of a pad: function
)

// Button is a button. Its label is one line; a second, smaller line says why
// it is shut off.
type Button struct {
	base
	press
	name, text, reason string
	icon               string
	iconRight          bool
	kind               Kind
	off                bool
	chosen, slim       bool
	size, height, wide float32
	onTap              func()

	box   *canvas.Rectangle
	label *canvas.Text
	why   *canvas.Text
	image *canvas.Image
}

var _ Target = (*Button)(nil)

// NewButton returns a button; name is its target name.
func NewButton(look *theme.Look, name, label string, kind Kind, onTap func()) *Button {
	b := &Button{name: name, text: label, kind: kind, onTap: onTap}
	b.look, b.feel = look, look
	b.box = &canvas.Rectangle{}
	b.label = canvas.NewText(label, color.NRGBA{})
	b.kids = []fyne.CanvasObject{b.box, b.label}
	b.height = look.Target()
	b.size = look.Body() * 1.18
	switch kind {
	case Pill, FnKey:
		b.size = look.Body()
	case KeyCap:
		b.size = look.Head()
	case OnBar:
		b.height = look.MM(19)
		b.size = look.Body()
	}
	b.enabled = func() bool { return !b.off }
	b.tapped = b.Tap
	b.changed = func() { b.Refresh() }
	b.arrange, b.smallest, b.restyle = b.lay, b.min, b.style
	b.style()
	b.ExtendBaseWidget(b)
	return b
}

// WithIcon puts an icon before the label; AfterIcon after it.
func (b *Button) WithIcon(icon string) *Button { b.SetIcon(icon); return b }

// AfterIcon puts an icon after the label.
func (b *Button) AfterIcon(icon string) *Button { b.iconRight = true; b.SetIcon(icon); return b }

// Big makes the label as large as a card title and the button half as high again.
func (b *Button) Big() *Button {
	b.size, b.height = b.look.Head(), b.look.Target()*1.35
	b.style()
	return b
}

// Sized sets the label's font size in pixels.
func (b *Button) Sized(px float32) *Button { b.size = px; b.style(); return b }

// Wide sets a least width in pixels; Tall the height.
func (b *Button) Wide(px float32) *Button { b.wide = px; return b }

// Tall sets the height in pixels.
func (b *Button) Tall(px float32) *Button { b.height = px; return b }

// SetIcon changes the icon; "" takes it away.
func (b *Button) SetIcon(icon string) {
	if b.icon == icon {
		return
	}
	b.icon = icon
	switch {
	case icon == "":
		b.image = nil
	case b.image == nil:
		b.image = &canvas.Image{FillMode: canvas.ImageFillContain}
	}
	b.collect()
	b.Refresh()
}

// SetLabel changes the label.
func (b *Button) SetLabel(s string) {
	if b.text != s {
		b.text = s
		b.Refresh()
	}
}

// SetChosen marks a button that stays pressed (mode keys of a pad).
func (b *Button) SetChosen(on bool) {
	if b.chosen != on {
		b.chosen = on
		b.Refresh()
	}
}

// SetOnTap changes the action.
func (b *Button) SetOnTap(f func()) { b.onTap = f }

// Disable shuts the button off; reason is shown on it, "" for none.
func (b *Button) Disable(reason string) {
	if b.off && b.reason == reason {
		return
	}
	b.off, b.reason = true, reason
	if reason != "" && b.why == nil {
		b.why = canvas.NewText("", color.NRGBA{})
	}
	b.collect()
	b.Refresh()
}

// Enable makes it work again.
func (b *Button) Enable() {
	if !b.off {
		return
	}
	b.off, b.reason = false, ""
	b.collect()
	b.Refresh()
}

// Tap implements Target.
func (b *Button) Tap() {
	if !b.off && b.onTap != nil {
		b.onTap()
	}
}

// TargetName implements Target.
func (b *Button) TargetName() string { return b.name }

// TargetLabel implements Target.
func (b *Button) TargetLabel() string { return b.text }

// TargetEnabled implements Target.
func (b *Button) TargetEnabled() bool { return !b.off }

func (b *Button) collect() {
	b.kids = append(b.kids[:0], b.box, b.label)
	if b.image != nil {
		b.kids = append(b.kids, b.image)
	}
	if b.why != nil && b.reason != "" {
		b.kids = append(b.kids, b.why)
	}
}

// face is how a button is painted.
type face struct {
	fill, line, text color.NRGBA
	stroke           float32
	bold             bool
}

func (b *Button) face() face {
	c, s := b.look.C(), b.look.Stroke()
	f := face{bold: true, stroke: s * 1.2}
	down := b.down
	pick := func(normal, pressed color.NRGBA) color.NRGBA {
		if down {
			return pressed
		}
		return normal
	}
	switch b.kind {
	case Primary:
		f.fill, f.text = pick(c.Accent, c.AccentPress), c.OnAccent
		f.line = f.fill
	case Danger:
		f.fill, f.text = pick(c.BadFill, c.BadPress), c.OnBad
		f.line = f.fill
	case Secondary:
		f.fill, f.text, f.line = pick(c.Card, c.Press), c.LinkText, c.Link
	case Pill:
		f.fill, f.text, f.line, f.bold = pick(c.Card, c.Press), c.LinkText, c.Link, false
	case Plain:
		f.fill, f.text, f.line = pick(c.Card, c.Press), c.Ink, c.Line
	case Quiet:
		f.fill, f.text = pick(color.NRGBA{}, c.Press), c.LinkText
	case OnBar:
		f.fill, f.text = pick(c.HelpFill, c.HelpFillPress), c.HelpText
		f.line = f.fill
	case KeyCap:
		f.fill, f.text, f.line, f.bold = pick(c.Card, c.TintPress), c.Ink, c.Line, false
		f.stroke = s
	case FnKey:
		f.fill, f.text, f.line = pick(c.Tint, c.TintPress), c.LinkText, c.Line
		f.stroke = s
	default:
		panic(fmt.Sprintf("widget: button kind %d", int(b.kind)))
	}
	if b.chosen {
		f.line, f.stroke, f.fill = c.ChosenLine, s*2, c.ChosenTint
		f.text, f.bold = c.Ink, true
	}
	if b.off {
		f.fill, f.text, f.line = c.Off, c.OffText, c.OffLine
	}
	return f
}

func (b *Button) style() {
	l, f := b.look, b.face()
	b.box.FillColor, b.box.StrokeColor, b.box.StrokeWidth = f.fill, f.line, f.stroke
	b.box.CornerRadius = l.Radius()
	if b.kind == Pill {
		b.box.CornerRadius = b.height / 2
	}
	b.label.Text, b.label.Color, b.label.TextSize = b.text, f.text, b.size
	b.label.TextStyle.Bold, b.label.FontSource = f.bold, theme.Font(f.bold)
	if b.image != nil {
		b.image.Resource = l.Icon(b.icon, f.text, b.iconSize())
	}
	if b.why != nil {
		b.why.Text, b.why.Color, b.why.TextSize = b.reason, f.text, l.Body()*0.96
		b.why.FontSource = theme.Font(false)
	}
}

func (b *Button) padX() float32 {
	if b.slim {
		return b.look.MM(4.5)
	}
	switch b.kind {
	case KeyCap, FnKey:
		return b.look.MM(2)
	case Pill, OnBar:
		return b.look.MM(7)
	case Primary, Secondary, Plain, Quiet, Danger:
		return b.look.MM(9)
	}
	return b.look.MM(9)
}

func (b *Button) iconSize() float32 { return round(b.size * 1.15) }

// content is the width of icon and label.
func (b *Button) content() (total, label float32) {
	label = b.label.MinSize().Width
	total = label
	if b.image != nil {
		total += b.iconSize()
		if b.text != "" {
			total += b.look.MM(3)
		}
	}
	return total, label
}

func (b *Button) min() fyne.Size {
	w, _ := b.content()
	if b.why != nil && b.reason != "" {
		w = max(w, b.why.MinSize().Width)
	}
	return fyne.NewSize(max(b.wide, w+2*b.padX()), b.height)
}

func (b *Button) lay(s fyne.Size) {
	place(b.box, 0, 0, s.Width, s.Height)
	total, label := b.content()
	h := b.label.MinSize().Height
	y := (s.Height - h) / 2
	if b.why != nil && b.reason != "" {
		wh := b.why.MinSize()
		gap := min(-b.look.MM(1), s.Height-h-wh.Height) // the lines' own air is room enough
		y = (s.Height - h - wh.Height - gap) / 2
		place(b.why, (s.Width-wh.Width)/2, y+h+gap, wh.Width, wh.Height)
	}
	x := (s.Width - total) / 2
	if b.image != nil {
		is := b.iconSize()
		ix, lx := x, x+total-label
		if b.iconRight {
			ix, lx = x+total-is, x
		}
		place(b.image, ix, y+(h-is)/2, is, is)
		place(b.label, lx, y, label, h)
		return
	}
	place(b.label, x, y, label, h)
}
