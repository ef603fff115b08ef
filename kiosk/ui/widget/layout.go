package widget

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"cunban/kiosk/ui/theme"
)

// fill marks an object of a Column or Row that takes the room left over.
type fill struct {
	base
}

// Fill returns o such that a Column or Row gives it the room left over. Several
// share it evenly.
func Fill(o fyne.CanvasObject) fyne.CanvasObject {
	f := &fill{}
	f.wrap(o)
	f.ExtendBaseWidget(f)
	return f
}

// Spring is empty room that grows; it pushes what follows to the end.
func Spring() fyne.CanvasObject { return Fill(&fyne.Container{}) }

// shrink marks an object of a Column that does with less height.
type shrink struct {
	base
}

// Shrink returns o such that a Column without enough room takes what is missing
// from it rather than cut what comes last: words matter more than a picture.
// Several share the loss evenly.
func Shrink(o fyne.CanvasObject) fyne.CanvasObject {
	f := &shrink{}
	f.wrap(o)
	f.ExtendBaseWidget(f)
	return f
}

// Column puts objects below one another, gap apart, each as wide as the column
// and as high as it needs at that width.
func Column(gap float32, objects ...fyne.CanvasObject) *fyne.Container {
	return container.New(column{gap}, objects...)
}

type column struct{ gap float32 }

func shown(objects []fyne.CanvasObject) []fyne.CanvasObject {
	out := objects[:0:0]
	for _, o := range objects {
		if o.Visible() {
			out = append(out, o)
		}
	}
	return out
}

func (l column) Layout(objects []fyne.CanvasObject, s fyne.Size) {
	objects = shown(objects)
	free, fills, shrinks := s.Height-l.gap*float32(max(0, len(objects)-1)), float32(0), float32(0)
	heights := make([]float32, len(objects))
	for i, o := range objects {
		switch o.(type) {
		case *fill:
			fills++
			continue
		case *shrink:
			shrinks++
		}
		heights[i] = HeightFor(o, s.Width)
		free -= heights[i]
	}
	y := float32(0)
	for i, o := range objects {
		switch o.(type) {
		case *fill:
			heights[i] = max(0, free/fills)
		case *shrink:
			heights[i] = max(0, heights[i]+min(0, free/shrinks))
		}
		place(o, 0, y, s.Width, heights[i])
		y += heights[i] + l.gap
	}
}

func (l column) MinSize(objects []fyne.CanvasObject) (s fyne.Size) {
	objects = shown(objects)
	for i, o := range objects {
		m := o.MinSize()
		s.Width = max(s.Width, m.Width)
		s.Height += m.Height
		if i > 0 {
			s.Height += l.gap
		}
	}
	return s
}

func (l column) heightFor(objects []fyne.CanvasObject, width float32) (h float32) {
	objects = shown(objects)
	for i, o := range objects {
		h += HeightFor(o, width)
		if i > 0 {
			h += l.gap
		}
	}
	return h
}

// Row puts objects side by side, gap apart, each as wide as it needs and as
// high as the row; what is marked with Fill takes the width left over.
func Row(gap float32, objects ...fyne.CanvasObject) *fyne.Container {
	return container.New(row{gap: gap}, objects...)
}

// MiddleRow is a Row whose objects keep their height and sit in the middle.
func MiddleRow(gap float32, objects ...fyne.CanvasObject) *fyne.Container {
	return container.New(row{gap: gap, middle: true}, objects...)
}

type row struct {
	gap    float32
	middle bool
}

func (l row) widths(objects []fyne.CanvasObject, width float32) []float32 {
	free, fills := width-l.gap*float32(max(0, len(objects)-1)), float32(0)
	w := make([]float32, len(objects))
	for i, o := range objects {
		if _, ok := o.(*fill); ok {
			fills++
			continue
		}
		w[i] = o.MinSize().Width
		free -= w[i]
	}
	for i, o := range objects {
		if _, ok := o.(*fill); ok {
			w[i] = max(0, free/fills)
		}
	}
	return w
}

func (l row) Layout(objects []fyne.CanvasObject, s fyne.Size) {
	objects = shown(objects)
	x := float32(0)
	for i, w := range l.widths(objects, s.Width) {
		h, y := s.Height, float32(0)
		if l.middle {
			h = min(s.Height, HeightFor(objects[i], w))
			y = (s.Height - h) / 2
		}
		place(objects[i], x, y, w, h)
		x += w + l.gap
	}
}

func (l row) MinSize(objects []fyne.CanvasObject) (s fyne.Size) {
	objects = shown(objects)
	for i, o := range objects {
		m := o.MinSize()
		s.Height = max(s.Height, m.Height)
		s.Width += m.Width
		if i > 0 {
			s.Width += l.gap
		}
	}
	return s
}

func (l row) heightFor(objects []fyne.CanvasObject, width float32) (h float32) {
	objects = shown(objects)
	for i, w := range l.widths(objects, width) {
		h = max(h, HeightFor(objects[i], w))
	}
	return h
}

// Even puts objects into columns of even width, row by row; rows share the
// height evenly. It is for a handful of buttons or tiles (ChoiceGrid pages more).
func Even(columns int, gap float32, objects ...fyne.CanvasObject) *fyne.Container {
	return container.New(even{max(1, columns), gap}, objects...)
}

type even struct {
	n   int
	gap float32
}

func (l even) rows(objects []fyne.CanvasObject) int { return (len(objects) + l.n - 1) / l.n }

func (l even) cell(width float32) float32 {
	return (width - l.gap*float32(l.n-1)) / float32(l.n)
}

func (l even) Layout(objects []fyne.CanvasObject, s fyne.Size) {
	objects = shown(objects)
	if len(objects) == 0 {
		return
	}
	rows := float32(l.rows(objects))
	w, h := l.cell(s.Width), (s.Height-l.gap*(rows-1))/rows
	for i, o := range objects {
		place(o, float32(i%l.n)*(w+l.gap), float32(i/l.n)*(h+l.gap), w, h)
	}
}

func (l even) MinSize(objects []fyne.CanvasObject) fyne.Size {
	objects = shown(objects)
	var m fyne.Size
	for _, o := range objects {
		m = m.Max(o.MinSize())
	}
	rows := float32(l.rows(objects))
	if rows == 0 {
		return m
	}
	return fyne.NewSize(m.Width*float32(l.n)+l.gap*float32(l.n-1), m.Height*rows+l.gap*(rows-1))
}

func (l even) heightFor(objects []fyne.CanvasObject, width float32) (h float32) {
	objects = shown(objects)
	for _, o := range objects {
		h = max(h, HeightFor(o, l.cell(width)))
	}
	rows := float32(l.rows(objects))
	return h*rows + l.gap*max(0, rows-1)
}

// Pad surrounds o with room: x at the sides, y above and below.
func Pad(x, y float32, o fyne.CanvasObject) *fyne.Container {
	return container.New(pad{x, y}, o)
}

type pad struct{ x, y float32 }

func (l pad) Layout(objects []fyne.CanvasObject, s fyne.Size) {
	for _, o := range objects {
		place(o, l.x, l.y, s.Width-2*l.x, s.Height-2*l.y)
	}
}

func (l pad) MinSize(objects []fyne.CanvasObject) (s fyne.Size) {
	for _, o := range objects {
		s = s.Max(o.MinSize())
	}
	return s.AddWidthHeight(2*l.x, 2*l.y)
}

func (l pad) heightFor(objects []fyne.CanvasObject, width float32) (h float32) {
	for _, o := range objects {
		h = max(h, HeightFor(o, width-2*l.x))
	}
	return h + 2*l.y
}

// Over puts objects on top of one another, all of the full size.
func Over(objects ...fyne.CanvasObject) *fyne.Container {
	return container.New(pad{}, objects...)
}

// Middle keeps o at its least size (no wider than the room) in the middle.
func Middle(o fyne.CanvasObject) *fyne.Container { return container.New(middle{}, o) }

type middle struct{}

func (middle) Layout(objects []fyne.CanvasObject, s fyne.Size) {
	for _, o := range objects {
		w := min(s.Width, o.MinSize().Width)
		if _, ok := o.(*Text); ok {
			w = s.Width
		}
		h := min(s.Height, HeightFor(o, w))
		place(o, (s.Width-w)/2, (s.Height-h)/2, w, h)
	}
}

func (middle) MinSize(objects []fyne.CanvasObject) (s fyne.Size) { return pad{}.MinSize(objects) }

func (middle) heightFor(objects []fyne.CanvasObject, width float32) (h float32) {
	for _, o := range objects {
		w := min(width, o.MinSize().Width)
		if _, ok := o.(*Text); ok {
			w = width
		}
		h = max(h, HeightFor(o, w))
	}
	return h
}

// Fixed gives o a least size; 0 leaves a side alone.
func Fixed(w, h float32, o fyne.CanvasObject) *fyne.Container {
	return container.New(fixed{w, h}, o)
}

type fixed struct{ w, h float32 }

func (l fixed) Layout(objects []fyne.CanvasObject, s fyne.Size) { pad{}.Layout(objects, s) }

func (l fixed) MinSize(objects []fyne.CanvasObject) fyne.Size {
	s := pad{}.MinSize(objects)
	if l.w > 0 {
		s.Width = l.w
	}
	if l.h > 0 {
		s.Height = l.h
	}
	return s
}

func (l fixed) heightFor(objects []fyne.CanvasObject, width float32) float32 {
	if l.h > 0 {
		return l.h
	}
	return pad{}.heightFor(objects, width)
}

// Split puts main and side next to one another in landscape, side taking
// sideShare (0 to 1) of the width, and below one another in portrait, where
// side takes the height it needs.
func Split(look *theme.Look, sideShare float32, main, side fyne.CanvasObject) *fyne.Container {
	if look.Portrait {
		return Column(look.Gap()*1.4, Fill(main), side)
	}
	return container.New(split{sideShare, look.Gap() * 1.7}, main, side)
}

type split struct{ share, gap float32 }

func (l split) widths(width float32) (float32, float32) {
	side := (width - l.gap) * l.share
	return width - l.gap - side, side
}

func (l split) Layout(o []fyne.CanvasObject, s fyne.Size) {
	m, side := l.widths(s.Width)
	place(o[0], 0, 0, m, s.Height)
	place(o[1], m+l.gap, 0, side, s.Height)
}

func (l split) MinSize(o []fyne.CanvasObject) fyne.Size {
	a, b := o[0].MinSize(), o[1].MinSize()
	return fyne.NewSize(a.Width+b.Width+l.gap, max(a.Height, b.Height))
}

func (l split) heightFor(o []fyne.CanvasObject, width float32) float32 {
	m, side := l.widths(width)
	return max(HeightFor(o[0], m), HeightFor(o[1], side))
}

// place moves and sizes an object, rounded to whole pixels so that borders and
// glyphs stay sharp.
func place(o fyne.CanvasObject, x, y, w, h float32) {
	x0, y0 := round(x), round(y)
	o.Move(fyne.NewPos(x0, y0))
	o.Resize(fyne.NewSize(max(0, round(x+w)-x0), max(0, round(y+h)-y0)))
}

func round(v float32) float32 { return float32(int(v + 0.5)) }
