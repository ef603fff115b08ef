package input

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"

	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/widget"
)

// PINPad takes a secret number and shows dots only. (The PIN of a bank or
// social card never goes here: it is typed on a certified PIN pad of its own.)
type PINPad struct {
	pad
	length int
	typed  []byte
	dots   []*canvas.Circle
	onDone func(pin []byte)
}

// NewPINPad returns a pad for length digits. onDone gets them when the last is
// typed; the slice is the pad's own and is zeroed when onDone returns. Keys:
// "key.0" … "key.9", "key.back", "key.clear".
func NewPINPad(look *theme.Look, length int, onDone func(pin []byte)) *PINPad {
	p := &PINPad{length: length, onDone: onDone}
	p.look = look
	c := look.C()
	p.typed = make([]byte, 0, length)
	var row []fyne.CanvasObject
	for range length {
		d := &canvas.Circle{StrokeColor: c.Link, StrokeWidth: look.Stroke() * 2}
		p.dots = append(p.dots, d)
		row = append(row, container.New(square(look.MM(12)), d))
	}
	box := &canvas.Rectangle{FillColor: c.Card, StrokeColor: c.Link, StrokeWidth: look.Stroke() * 1.6, CornerRadius: look.Radius()}
	top := widget.Fixed(0, look.Target(), widget.Over(box, widget.Middle(widget.MiddleRow(look.MM(8), row...))))
	back, clearAll := eraseKeys(look, p.back, p.Wipe)
	p.root = numberLayout(look, top, digitKeys(look, p.press, false, false), []fyne.CanvasObject{widget.Fill(back), widget.Fill(clearAll)})
	p.show()
	p.ExtendBaseWidget(p)
	return p
}

// square is a layout of one object of that size.
type square float32

func (q square) MinSize([]fyne.CanvasObject) fyne.Size {
	return fyne.NewSquareSize(float32(q))
}

func (q square) Layout(objects []fyne.CanvasObject, s fyne.Size) {
	for _, o := range objects {
		o.Resize(fyne.NewSquareSize(float32(q)))
		o.Move(fyne.NewPos((s.Width-float32(q))/2, (s.Height-float32(q))/2))
	}
}

func (p *PINPad) press(b byte) {
	if len(p.typed) >= p.length {
		return
	}
	p.typed = append(p.typed, b)
	p.show()
	if len(p.typed) == p.length && p.onDone != nil {
		p.onDone(p.typed)
		p.Wipe()
	}
}

func (p *PINPad) back() {
	if n := len(p.typed); n > 0 {
		p.typed[n-1] = 0
		p.typed = p.typed[:n-1]
		p.show()
	}
}

func (p *PINPad) show() {
	c := p.look.C()
	for i, d := range p.dots {
		d.FillColor = c.Card
		if i < len(p.typed) {
			d.FillColor = c.LinkText
		}
		d.Refresh()
	}
}

// Typed is how many digits were typed.
func (p *PINPad) Typed() int { return len(p.typed) }

// Wipe zeroes what was typed.
func (p *PINPad) Wipe() {
	clear(p.typed[:cap(p.typed)])
	p.typed = p.typed[:0]
	p.show()
}
