package widget

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"slices"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/driver/mobile"

	"cunban/kiosk/ui/theme"
)

// Bounds of what a finger draws.
const (
	maxInkStrokes = 64
	maxInkPoints  = 20_000 // of all strokes together
)

// ErrNoInk means that nothing was drawn.
var ErrNoInk = errors.New("widget: nothing was drawn")

// Ink is a white sheet that a finger draws on, in every palette white: for the
// signature and for writing a character.
type Ink struct {
	base
	name, hint string
	pen        float32 // width in pixels
	// OnStroke, if set, is called when a stroke ends, and after Undo and Clear.
	OnStroke func()

	strokes [][]image.Point
	points  int
	drawing bool
	pix     *image.NRGBA

	box   *canvas.Rectangle
	guide *canvas.Line
	sheet *canvas.Image
	text  *Text
}

var (
	_ Target            = (*Ink)(nil)
	_ desktop.Mouseable = (*Ink)(nil)
	_ desktop.Hoverable = (*Ink)(nil)
	_ mobile.Touchable  = (*Ink)(nil)
	_ mobile.Movable    = (*Ink)(nil)
	_ fyne.Draggable    = (*Ink)(nil)
)

// NewInk returns an empty sheet; hint is shown on it until a finger draws.
func NewInk(look *theme.Look, name, hint string) *Ink {
	i := &Ink{name: name, hint: hint, pen: look.MM(1.6)}
	i.look = look
	c := look.C()
	i.box = &canvas.Rectangle{FillColor: c.Paper, StrokeColor: c.Link, StrokeWidth: look.Stroke() * 1.6, CornerRadius: look.Radius() * 1.5}
	i.guide = &canvas.Line{StrokeColor: color.NRGBA{R: 0xC7, G: 0xD0, B: 0xDC, A: 0xff}, StrokeWidth: look.Stroke() * 1.5}
	i.sheet = &canvas.Image{FillMode: canvas.ImageFillStretch, ScaleMode: canvas.ImageScaleFastest}
	i.text = NewText(look, hint).Sized(look.Head()).Coloured(color.NRGBA{R: 0x55, G: 0x5F, B: 0x6B, A: 0xff}).Centred()
	i.arrange = i.lay
	i.smallest = func() fyne.Size { return fyne.NewSize(look.MM(60), look.MM(40)) }
	i.collect()
	i.ExtendBaseWidget(i)
	return i
}

// NoLine leaves out the line to write on, for single characters.
func (i *Ink) NoLine() *Ink { i.guide.Hide(); return i }

func (i *Ink) collect() {
	i.kids = append(i.kids[:0:0], i.box, i.guide)
	if len(i.strokes) == 0 && !i.drawing {
		i.kids = append(i.kids, i.text)
	}
	i.kids = append(i.kids, i.sheet)
}

func (i *Ink) lay(s fyne.Size) {
	place(i.box, 0, 0, s.Width, s.Height)
	in := i.look.MM(12)
	i.guide.Position1, i.guide.Position2 = fyne.NewPos(in, s.Height*0.78), fyne.NewPos(s.Width-in, s.Height*0.78)
	th := HeightFor(i.text, s.Width-2*in)
	place(i.text, in, (s.Height-th)/2, s.Width-2*in, th)
	place(i.sheet, 0, 0, s.Width, s.Height)
	w, h := int(s.Width), int(s.Height)
	if w > 0 && h > 0 && (i.pix == nil || i.pix.Rect.Dx() != w || i.pix.Rect.Dy() != h) {
		i.pix = image.NewNRGBA(image.Rect(0, 0, w, h))
		i.sheet.Image = i.pix
		i.redraw()
	}
}

func (i *Ink) redraw() {
	if i.pix == nil {
		return
	}
	clear(i.pix.Pix)
	for _, s := range i.strokes {
		for k := range s {
			i.segment(s[max(0, k-1)], s[k])
		}
	}
}

// segment draws a round-ended line with soft edges.
func (i *Ink) segment(a, b image.Point) { strokeLine(i.pix, a, b, i.pen/2, i.look.C().OnPaper) }

func strokeLine(dst *image.NRGBA, a, b image.Point, r float32, c color.NRGBA) {
	pad := int(r) + 2
	box := image.Rect(min(a.X, b.X)-pad, min(a.Y, b.Y)-pad, max(a.X, b.X)+pad+1, max(a.Y, b.Y)+pad+1).Intersect(dst.Rect)
	ax, ay := float64(a.X), float64(a.Y)
	dx, dy := float64(b.X)-ax, float64(b.Y)-ay
	l2 := dx*dx + dy*dy
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			px, py := float64(x)-ax, float64(y)-ay
			t := 0.0
			if l2 > 0 {
				t = min(1, max(0, (px*dx+py*dy)/l2))
			}
			d := math.Hypot(px-t*dx, py-t*dy)
			cover := min(1, max(0, float64(r)+0.5-d))
			if cover <= 0 {
				continue
			}
			o := dst.PixOffset(x, y)
			if al := uint8(cover * 255); al > dst.Pix[o+3] {
				dst.Pix[o], dst.Pix[o+1], dst.Pix[o+2], dst.Pix[o+3] = c.R, c.G, c.B, al
			}
		}
	}
}

func (i *Ink) begin(p fyne.Position) {
	i.look.Finger.Touched()
	if i.pix == nil || len(i.strokes) >= maxInkStrokes || i.points >= maxInkPoints {
		return
	}
	i.look.Finger.Hold(i.finish)
	first := len(i.strokes) == 0
	i.drawing = true
	pt := i.clamp(p)
	i.strokes = append(i.strokes, []image.Point{pt})
	i.points++
	i.segment(pt, pt)
	if first {
		i.collect()
		i.Refresh()
		return
	}
	i.sheet.Refresh()
}

func (i *Ink) clamp(p fyne.Position) image.Point {
	return image.Pt(min(max(int(p.X), 0), i.pix.Rect.Dx()-1), min(max(int(p.Y), 0), i.pix.Rect.Dy()-1))
}

func (i *Ink) move(p fyne.Position) {
	if !i.drawing || i.points >= maxInkPoints {
		return
	}
	s := &i.strokes[len(i.strokes)-1]
	last, pt := (*s)[len(*s)-1], i.clamp(p)
	if last == pt {
		return
	}
	*s = append(*s, pt)
	i.points++
	i.segment(last, pt)
	i.sheet.Refresh()
}

func (i *Ink) finish() {
	if !i.drawing {
		return
	}
	i.drawing = false
	if i.OnStroke != nil {
		i.OnStroke()
	}
}

func (i *Ink) end() {
	i.look.Finger.Release()
	i.finish()
}

// MouseDown implements desktop.Mouseable.
func (i *Ink) MouseDown(e *desktop.MouseEvent) { i.begin(e.Position) }

// MouseUp implements desktop.Mouseable.
func (i *Ink) MouseUp(*desktop.MouseEvent) { i.end() }

// MouseIn implements desktop.Hoverable.
func (i *Ink) MouseIn(*desktop.MouseEvent) {}

// MouseMoved implements desktop.Hoverable; it brings the first two pixels that
// Fyne does not yet take for a drag.
func (i *Ink) MouseMoved(e *desktop.MouseEvent) { i.move(e.Position) }

// MouseOut implements desktop.Hoverable.
func (i *Ink) MouseOut() {}

// Dragged implements fyne.Draggable.
func (i *Ink) Dragged(e *fyne.DragEvent) { i.move(e.Position) }

// DragEnd implements fyne.Draggable.
func (i *Ink) DragEnd() { i.end() }

// TouchDown implements mobile.Touchable.
func (i *Ink) TouchDown(e *mobile.TouchEvent) { i.begin(e.Position) }

// TouchMoved implements mobile.Movable.
func (i *Ink) TouchMoved(e *mobile.TouchEvent) { i.move(e.Position) }

// TouchUp implements mobile.Touchable.
func (i *Ink) TouchUp(*mobile.TouchEvent) { i.end() }

// TouchCancel implements mobile.Touchable.
func (i *Ink) TouchCancel(*mobile.TouchEvent) { i.end() }

// Strokes is the number of strokes; Points are they, in pixels of the sheet.
func (i *Ink) Strokes() int { return len(i.strokes) }

// Points returns the strokes, in pixels of the sheet. They are Ink's own.
func (i *Ink) Points() [][]image.Point { return i.strokes }

// Carry puts copies of strokes on the sheet, which may have no size yet: a page
// that is built anew carries over what was drawn.
func (i *Ink) Carry(strokes [][]image.Point) {
	for _, st := range strokes {
		i.strokes = append(i.strokes, slices.Clone(st))
		i.points += len(st)
	}
	i.collect()
	i.redraw()
	i.Refresh()
	if len(strokes) > 0 && i.OnStroke != nil {
		i.OnStroke()
	}
}

// Draw adds a stroke as if a finger had drawn it; for the automation door and
// tests. Points are in pixels of the sheet.
func (i *Ink) Draw(stroke []image.Point) {
	if i.pix == nil || len(stroke) == 0 {
		return
	}
	at := func(p image.Point) fyne.Position { return fyne.NewPos(float32(p.X), float32(p.Y)) }
	i.begin(at(stroke[0]))
	for _, p := range stroke[1:] {
		i.move(at(p))
	}
	i.end()
}

// Undo takes the last stroke away.
func (i *Ink) Undo() {
	if n := len(i.strokes); n > 0 && !i.drawing {
		i.points -= len(i.strokes[n-1])
		clear(i.strokes[n-1])
		i.strokes = i.strokes[:n-1]
		i.after()
	}
}

// Clear empties the sheet and calls OnStroke.
func (i *Ink) Clear() {
	i.Wipe()
	if i.OnStroke != nil {
		i.OnStroke()
	}
}

func (i *Ink) after() {
	i.redraw()
	i.collect()
	i.Refresh()
	if i.OnStroke != nil {
		i.OnStroke()
	}
}

// Wipe zeroes strokes and picture.
func (i *Ink) Wipe() {
	for _, s := range i.strokes {
		clear(s)
	}
	i.strokes, i.points, i.drawing = nil, 0, false
	if i.pix != nil {
		clear(i.pix.Pix)
	}
	i.collect()
	i.Refresh()
}

// PNG is the sheet as a picture, cut to what is drawn with some room around,
// dark on white. ErrNoInk if there is nothing.
func (i *Ink) PNG() ([]byte, error) {
	if len(i.strokes) == 0 || i.pix == nil {
		return nil, ErrNoInk
	}
	var box image.Rectangle
	for _, s := range i.strokes {
		for _, p := range s {
			box = box.Union(image.Rectangle{Min: p, Max: p.Add(image.Pt(1, 1))})
		}
	}
	box = box.Inset(-int(i.pen) * 3).Intersect(i.pix.Rect)
	out := image.NewGray(image.Rect(0, 0, box.Dx(), box.Dy()))
	for y := range box.Dy() {
		for x := range box.Dx() {
			a := i.pix.Pix[i.pix.PixOffset(box.Min.X+x, box.Min.Y+y)+3]
			out.Pix[out.PixOffset(x, y)] = 255 - a
		}
	}
	defer clear(out.Pix)
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, out); err != nil {
		return nil, fmt.Errorf("widget: encode ink: %w", err)
	}
	return b.Bytes(), nil
}

// TargetName implements Target.
func (i *Ink) TargetName() string { return i.name }

// TargetLabel implements Target.
func (i *Ink) TargetLabel() string { return i.hint }

// TargetEnabled implements Target.
func (i *Ink) TargetEnabled() bool { return true }

// Tap implements Target: a dot in the middle.
func (i *Ink) Tap() {
	if i.pix != nil {
		i.Draw([]image.Point{{X: i.pix.Rect.Dx() / 2, Y: i.pix.Rect.Dy() / 2}})
	}
}

// Signature is a sheet to sign on with a button to start again. Targets:
// "signature", "signature.clear".
type Signature struct {
	base
	sheet *Ink
}

// minSignatureMM is how long the strokes together have to be, in millimetres: a
// touch by mistake is not a signature.
const minSignatureMM = 25

// NewSignature returns an empty signature; onChange gets whether it is enough.
func NewSignature(look *theme.Look, hint string, onChange func(signed bool)) *Signature {
	s := &Signature{sheet: NewInk(look, "signature", hint)}
	s.look = look
	clearIt := NewButton(look, "signature.clear", "重新写", Secondary, s.sheet.Clear).WithIcon("refresh")
	clearIt.Disable("")
	s.sheet.OnStroke = func() {
		if s.sheet.Strokes() > 0 {
			clearIt.Enable()
		} else {
			clearIt.Disable("")
		}
		if onChange != nil {
			onChange(s.Signed())
		}
	}
	s.wrap(Column(look.Gap(), Fill(s.sheet), Row(look.Gap(), Spring(), clearIt)))
	s.ExtendBaseWidget(s)
	return s
}

// Signed tells whether enough was drawn.
func (s *Signature) Signed() bool {
	length := 0.0
	for _, st := range s.sheet.strokes {
		for i := 1; i < len(st); i++ {
			d := st[i].Sub(st[i-1])
			length += math.Hypot(float64(d.X), float64(d.Y))
		}
	}
	return length >= float64(s.look.MM(minSignatureMM))
}

// Strokes is the number of strokes.
func (s *Signature) Strokes() int { return s.sheet.Strokes() }

// PNG is the signature as a picture.
func (s *Signature) PNG() ([]byte, error) { return s.sheet.PNG() }

// Wipe zeroes it.
func (s *Signature) Wipe() { s.sheet.Wipe() }

// Draw adds a stroke, for the automation door and tests.
func (s *Signature) Draw(stroke []image.Point) { s.sheet.Draw(stroke) }

// Sheet is the sheet itself.
func (s *Signature) Sheet() *Ink { return s.sheet }
