package widget

import (
	"fmt"
	"image"
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"

	"cunban/kiosk/ui/theme"
)

// Tone is what a coloured message means. Each has an icon too, so that colour
// is never alone.
type Tone int

// The tones.
const (
	Neutral Tone = iota
	Info
	Good
	Warn
	Bad
)

// colours returns ground and text of a message, and its icon.
func (t Tone) colours(c *theme.Colours) (ground, text color.NRGBA, icon string) {
	switch t {
	case Neutral:
		return c.Card, c.Ink, "guide"
	case Info:
		return c.Tint, c.LinkText, "info"
	case Good:
		return c.GoodTint, c.Good, "ok"
	case Warn:
		return c.WarnTint, c.Warn, "warn"
	case Bad:
		return c.BadTint, c.Bad, "error"
	}
	panic(fmt.Sprintf("widget: tone %d", int(t)))
}

// cardPadMM is the room inside a card, in millimetres.
const cardPadMM = 9

// Card puts content on a card: white, rounded, with a border.
func Card(look *theme.Look, content fyne.CanvasObject) *fyne.Container {
	return CardPad(look, look.MM(cardPadMM), content)
}

// CardPad is a Card with that much room inside, in pixels.
func CardPad(look *theme.Look, room float32, content fyne.CanvasObject) *fyne.Container {
	c := look.C()
	r := &canvas.Rectangle{FillColor: c.Card, StrokeColor: c.Line, StrokeWidth: look.Stroke(), CornerRadius: look.Radius() * 1.5}
	return Over(r, Pad(room, room, content))
}

// Hero is a large card with a faint gradient, for what a page is about.
func Hero(look *theme.Look, content fyne.CanvasObject) *fyne.Container {
	c := look.C()
	g := &canvas.Image{Image: gradient(c.Card, c.HeroTo), FillMode: canvas.ImageFillStretch, CornerRadius: look.Radius() * 1.5}
	r := &canvas.Rectangle{StrokeColor: c.Line, StrokeWidth: look.Stroke(), CornerRadius: look.Radius() * 1.5}
	return Over(g, r, Pad(look.MM(cardPadMM), look.MM(cardPadMM), content))
}

// gradient is a picture one pixel wide; the painter stretches it.
func gradient(from, to color.NRGBA) image.Image {
	const n = 256
	img := image.NewNRGBA(image.Rect(0, 0, 2, n))
	mix := func(a, b uint8, i int) uint8 { return uint8((int(a)*(n-1-i) + int(b)*i) / (n - 1)) }
	for i := range n {
		p := color.NRGBA{R: mix(from.R, to.R, i), G: mix(from.G, to.G, i), B: mix(from.B, to.B, i), A: 0xff}
		img.SetNRGBA(0, i, p)
		img.SetNRGBA(1, i, p)
	}
	return img
}

// Icon shows an icon of assets/icons in one colour, px high and wide.
func Icon(look *theme.Look, name string, c color.NRGBA, px float32) fyne.CanvasObject {
	img := &canvas.Image{Resource: look.Icon(name, c, px), FillMode: canvas.ImageFillContain}
	img.SetMinSize(fyne.NewSize(px, px))
	return img
}

// Drawing shows one of the larger pictures (insert-card …) w pixels wide and
// three quarters of that high.
func Drawing(look *theme.Look, name string, w float32) fyne.CanvasObject {
	img := &canvas.Image{Resource: look.Icon(name, look.C().Link, w), FillMode: canvas.ImageFillContain}
	img.SetMinSize(fyne.NewSize(w, w*0.75))
	return img
}

// Seal is an icon in a filled circle, px high: the mark of a result.
func Seal(look *theme.Look, tone Tone, px float32) fyne.CanvasObject {
	c := look.C()
	ground, fg := c.Link, c.Card
	icon := "guide"
	switch tone {
	case Neutral, Info:
		icon = "info-plain"
	case Good:
		ground, icon = c.GoodFill, "check"
	case Warn:
		ground, icon = c.Warn, "bang"
	case Bad:
		ground, icon = c.BadFill, "cross"
	}
	if look.Palette != theme.Day {
		fg = c.Ground
		if tone == Good && look.Palette == theme.Night {
			fg = c.OnAccent
		}
	}
	return Fixed(px, px, Over(&canvas.Circle{FillColor: ground}, Pad(px*0.2, px*0.2, Icon(look, icon, fg, px*0.6))))
}

// Badge is a number in a filled circle.
func Badge(look *theme.Look, n int) fyne.CanvasObject {
	c := look.C()
	px := look.Body() * 1.55
	t := NewText(look, fmt.Sprint(n)).Bold().Coloured(c.Card).Centred()
	return Fixed(px, px, Over(&canvas.Circle{FillColor: c.LinkText}, Middle(t)))
}

// Banner is a coloured message with an icon, and a button if action is not nil.
type Banner struct {
	base
	tone  Tone
	text  *Text
	box   *canvas.Rectangle
	image *canvas.Image
}

// NewBanner returns a message; its text may change.
func NewBanner(look *theme.Look, tone Tone, text string, action *Button) *Banner {
	b := &Banner{tone: tone}
	b.look = look
	b.box = &canvas.Rectangle{CornerRadius: look.Radius(), StrokeWidth: look.Stroke()}
	b.image = &canvas.Image{FillMode: canvas.ImageFillContain}
	b.image.SetMinSize(fyne.NewSize(look.Body()*1.3, look.Body()*1.3))
	b.text = NewText(look, text).Bold().Sized(look.Body() * 1.06)
	b.paint()
	parts := []fyne.CanvasObject{b.image, Fill(b.text)}
	y := look.MM(5)
	if action != nil {
		parts = append(parts, action)
		y = look.MM(2.5)
	}
	b.wrap(Over(b.box, Pad(look.MM(7), y, MiddleRow(look.MM(4), parts...))))
	b.ExtendBaseWidget(b)
	return b
}

func (b *Banner) paint() {
	ground, text, icon := b.tone.colours(b.look.C())
	b.box.FillColor = ground
	b.box.StrokeColor = ground
	if b.look.Palette == theme.HighContrast {
		b.box.StrokeColor = text
	}
	b.image.Resource = b.look.Icon(icon, text, b.look.Body()*1.3)
	b.text.Coloured(text)
}

// Set changes tone and text.
func (b *Banner) Set(tone Tone, text string) {
	if tone == b.tone && text == b.text.text {
		return
	}
	b.tone = tone
	b.text.text = text
	b.paint()
	b.Refresh()
}

// Ribbon is the thin strip over the whole width that says that this is
// 演示模式, training or a test, on every page.
func Ribbon(look *theme.Look, tone Tone, text string) fyne.CanvasObject {
	ground, fg, _ := tone.colours(look.C())
	t := NewText(look, text).Bold().Coloured(fg).Centred()
	line := &canvas.Rectangle{FillColor: look.C().Line}
	return Column(0, Over(&canvas.Rectangle{FillColor: ground}, Pad(look.Margin(), look.MM(1), t)), Fixed(1, look.Stroke(), line))
}

// State is a card that says how things are: picture, title, text, what to do.
type State struct {
	Tone    Tone
	Drawing string   // a larger picture instead of the seal, "" for none
	Title   string   // "打印机没有纸了"
	Text    string   // what happened and what still works
	Todo    []string // numbered steps
	Buttons []fyne.CanvasObject
}

// StateCard shows a State in the middle of a card.
func StateCard(look *theme.Look, s State) *fyne.Container {
	c := look.C()
	var head fyne.CanvasObject = Seal(look, s.Tone, look.MM(26))
	if s.Drawing != "" {
		head = Drawing(look, s.Drawing, look.MM(72))
		if look.Dense() {
			head = Drawing(look, s.Drawing, look.MM(58))
		}
	}
	beside := s.Drawing != "" && len(s.Todo) > 0 && !look.Portrait
	parts := []fyne.CanvasObject{Shrink(Middle(head)), NewText(look, s.Title).Bold().Sized(look.Title()).Centred()}
	if s.Text != "" {
		parts = append(parts, NewText(look, s.Text).Sized(look.Body()*1.06).Coloured(c.Soft).Centred())
	}
	if len(s.Todo) > 0 {
		var rows []fyne.CanvasObject
		for i, t := range s.Todo {
			rows = append(rows, MiddleRow(look.MM(4), Badge(look, i+1), NewText(look, t).Sized(look.Body()*1.06)))
		}
		parts = append(parts, Middle(Column(look.MM(3), rows...)))
	}
	if len(s.Buttons) > 0 {
		parts = append(parts, Middle(Row(look.Gap(), s.Buttons...)))
	}
	if beside {
		parts[0] = Drawing(look, s.Drawing, look.MM(104))
		// Steps need height: the picture goes to the left of them.
		return Hero(look, MiddleRow(look.Gap(), parts[0], Fill(Column(look.MM(6), parts[1:]...))))
	}
	return Hero(look, Middle(Wide(look, Column(look.MM(6), parts...))))
}

// Wide keeps o from being narrower than its room allows when Middle would
// shrink it: it asks for the width of the window.
func Wide(look *theme.Look, o fyne.CanvasObject) *fyne.Container { return Fixed(look.W, 0, o) }
