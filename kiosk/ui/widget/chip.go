package widget

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"

	"cunban/kiosk/ui/theme"
)

// chip is a rounded word on the bar, with a dot or without.
type chip struct {
	base
	box   *canvas.Rectangle
	dot   *canvas.Circle
	label *canvas.Text
}

func newChip(look *theme.Look) *chip {
	c := &chip{}
	c.look = look
	pal := look.C()
	c.box = &canvas.Rectangle{FillColor: pal.BarPill}
	if look.Palette == theme.HighContrast {
		c.box.StrokeColor, c.box.StrokeWidth = pal.Line, look.Stroke()
	}
	c.dot = &canvas.Circle{}
	c.label = &canvas.Text{Color: pal.OnBar, TextSize: look.Body(), FontSource: theme.Font(false)}
	c.kids = []fyne.CanvasObject{c.box, c.dot, c.label}
	c.smallest = func() fyne.Size {
		s := c.label.MinSize()
		w := s.Width + look.MM(12)
		if c.dot.Visible() {
			w += look.MM(7)
		}
		return fyne.NewSize(w, look.Body()*1.75)
	}
	c.arrange = func(s fyne.Size) {
		c.box.CornerRadius = s.Height / 2
		place(c.box, 0, 0, s.Width, s.Height)
		m := c.label.MinSize()
		x := look.MM(6)
		if c.dot.Visible() {
			d := look.MM(4)
			place(c.dot, x, (s.Height-d)/2, d, d)
			x += look.MM(7)
		}
		place(c.label, x, (s.Height-m.Height)/2, m.Width, m.Height)
	}
	c.ExtendBaseWidget(c)
	return c
}

func (c *chip) set(s string, dot *color.NRGBA) {
	c.label.Text = s
	if dot != nil {
		c.dot.FillColor = *dot
		c.dot.Show()
	} else {
		c.dot.Hide()
	}
	c.Refresh()
}
