package widget

import (
	"context"
	"fmt"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"

	"cunban/kiosk/ui/theme"
)

// Ring counts down: a ring that closes and a number in it.
type Ring struct {
	base
	total       float32
	back, front *canvas.Arc
	number      *canvas.Text
}

// NewRing returns a full ring of total seconds.
func NewRing(look *theme.Look, total int) *Ring {
	r := &Ring{total: float32(max(1, total))}
	r.look = look
	c := look.C()
	r.back = &canvas.Arc{StartAngle: 0, EndAngle: 360, CutoutRatio: 0.8, FillColor: c.Line}
	if look.Palette == theme.HighContrast {
		r.back.FillColor = c.StepTodo
	}
	r.front = &canvas.Arc{StartAngle: 0, EndAngle: 360, CutoutRatio: 0.8, FillColor: c.ChosenLine}
	r.number = &canvas.Text{Color: c.Ink, TextStyle: fyne.TextStyle{Bold: true}, FontSource: theme.Font(true), Alignment: fyne.TextAlignCenter}
	r.kids = []fyne.CanvasObject{r.back, r.front, r.number}
	r.smallest = func() fyne.Size { return fyne.NewSize(look.MM(62), look.MM(62)) }
	r.arrange = func(s fyne.Size) {
		d := min(s.Width, s.Height)
		x, y := (s.Width-d)/2, (s.Height-d)/2
		place(r.back, x, y, d, d)
		place(r.front, x, y, d, d)
		r.front.CornerRadius = d * 0.05
		r.number.TextSize = d * 0.3
		m := r.number.MinSize()
		place(r.number, 0, (s.Height-m.Height)/2, s.Width, m.Height)
	}
	r.Set(total)
	r.ExtendBaseWidget(r)
	return r
}

// Set shows how many seconds are left.
func (r *Ring) Set(left int) {
	left = max(0, left)
	r.number.Text = fmt.Sprint(left)
	r.front.EndAngle = 360 * min(1, float32(left)/r.total)
	r.front.Hidden = left == 0
	r.Refresh()
}

// Progress says that something is going on: what, and how far if that is known.
type Progress struct {
	base
	text  *Text
	track *canvas.Rectangle
	bar   *canvas.Rectangle
	done  float32 // 0 to 1, negative if unknown
	phase int
}

// progressBeat is how often an unknown progress moves: seldom enough for
// software rendering, often enough to look alive.
const progressBeat = 250 * time.Millisecond

// NewProgress returns a progress of unknown length.
func NewProgress(look *theme.Look, text string) *Progress {
	p := &Progress{done: -1}
	p.look = look
	c := look.C()
	p.text = NewText(look, text).Sized(look.Body() * 1.1).Centred()
	h := look.MM(5)
	p.track = &canvas.Rectangle{FillColor: c.Line, CornerRadius: h / 2}
	if look.Palette == theme.HighContrast {
		p.track.FillColor = c.StepTodo
	}
	p.bar = &canvas.Rectangle{FillColor: c.ChosenLine, CornerRadius: h / 2}
	p.kids = []fyne.CanvasObject{p.text, p.track, p.bar}
	p.smallest = func() fyne.Size {
		return fyne.NewSize(look.MM(120), HeightFor(p.text, max(p.Size().Width, look.MM(120)))+look.MM(4)+h)
	}
	p.arrange = func(s fyne.Size) {
		th := HeightFor(p.text, s.Width)
		place(p.text, 0, 0, s.Width, th)
		y := th + look.MM(4)
		place(p.track, 0, y, s.Width, h)
		if p.done >= 0 {
			place(p.bar, 0, y, max(h, s.Width*min(1, p.done)), h)
			return
		}
		// A quarter of the bar goes to and fro.
		const steps = 12
		k := p.phase % (2 * steps)
		if k > steps {
			k = 2*steps - k
		}
		w := s.Width / 4
		place(p.bar, (s.Width-w)*float32(k)/steps, y, w, h)
	}
	p.ExtendBaseWidget(p)
	return p
}

// HeightFor implements Flow.
func (p *Progress) HeightFor(width float32) float32 {
	return HeightFor(p.text, width) + p.look.MM(9)
}

// Set changes the text and how far it is, 0 to 1, negative if unknown.
func (p *Progress) Set(text string, done float32) {
	p.text.SetText(text)
	p.done = done
	p.Refresh()
}

// Tick moves an unknown progress on by one beat.
func (p *Progress) Tick() {
	p.phase++
	if p.done < 0 {
		p.arrange(p.Size())
	}
}

// Run ticks until ctx is done. It may be called from any goroutine and returns
// when it has ended.
func (p *Progress) Run(ctx context.Context) {
	t := time.NewTicker(progressBeat)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			fyne.Do(p.Tick)
		}
	}
}
