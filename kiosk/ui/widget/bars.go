package widget

import (
	"fmt"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"

	"cunban/kiosk/ui/theme"
)

// TopOptions say what the top bar shows; what is empty is left out.
type TopOptions struct {
	Title       string // "芮城县就业社保服务" or the service
	Place       string // "古魏镇 东关社区"
	Step, Steps int    // "第 4 步，共 8 步"
	Person      string // masked: "张*  1408**********0024"
	Line        string // "已联网"
	LineTone    Tone
	Date        string // "11月23日 星期一 · 农历十月十五"
	Clock       string // "9:41"
	OnHelp      func() // 呼叫帮办, nil for none
	HelpLabel   string // "" is 呼叫帮办
}

// TopBar is the blue bar over every page. Where it is too narrow for
// everything it leaves out the place, the date, the dots and so on, never the
// title and never the way to help.
type TopBar struct {
	base
	opt  TopOptions
	help *Button

	box, edge           *canvas.Rectangle
	title, place, steps *canvas.Text
	date, clock         *canvas.Text
	person, line        *chip
	dots                []*canvas.Rectangle
}

// NewTopBar returns a bar. Its help button's target is "help".
func NewTopBar(look *theme.Look, o TopOptions) *TopBar {
	b := &TopBar{opt: o}
	b.look = look
	c := look.C()
	b.box = &canvas.Rectangle{FillColor: c.Bar}
	b.edge = &canvas.Rectangle{FillColor: c.BarLine}
	mk := func(bold bool, size float32) *canvas.Text {
		return &canvas.Text{Color: c.OnBar, TextSize: size, TextStyle: fyne.TextStyle{Bold: bold}, FontSource: theme.Font(bold)}
	}
	b.title = mk(true, look.Body()*1.2)
	b.clock = mk(true, look.Body()*1.2)
	b.place, b.steps, b.date = mk(false, look.Body()), mk(false, look.Body()), mk(false, look.Body())
	b.person, b.line = newChip(look), newChip(look)
	label := o.HelpLabel
	if label == "" {
		label = "呼叫帮办"
	}
	b.help = NewButton(look, "help", label, OnBar, o.OnHelp).WithIcon("help").Tall(look.Target())
	b.arrange, b.smallest, b.restyle = b.lay, b.min, b.fill
	b.fill()
	b.ExtendBaseWidget(b)
	return b
}

// rowHeight is the height of one row of the bar: with the help button in it,
// which is a touch target like any other.
func (b *TopBar) rowHeight() float32 { return b.look.Target() + 2*barRoom(b.look) }

// barRoom is the room above and below the buttons of the top bar.
func barRoom(look *theme.Look) float32 {
	if look.Dense() {
		return look.MM(1.5)
	}
	return look.MM(2.2)
}

func (b *TopBar) height() float32 {
	if b.look.Portrait {
		return b.rowHeight() + b.look.Body()*2.1
	}
	return b.rowHeight()
}

func (b *TopBar) min() fyne.Size { return fyne.NewSize(b.look.MM(150), b.height()) }

// Help is the help button.
func (b *TopBar) Help() *Button { return b.help }

// SetClock changes date and time; SetLine the line state; SetStep, SetPerson
// and SetTitle the rest. Nothing is repainted if nothing changed.
func (b *TopBar) SetClock(date, clock string) {
	if b.opt.Date != date || b.opt.Clock != clock {
		b.opt.Date, b.opt.Clock = date, clock
		b.Refresh()
	}
}

// SetLine changes the line state.
func (b *TopBar) SetLine(word string, tone Tone) {
	if b.opt.Line != word || b.opt.LineTone != tone {
		b.opt.Line, b.opt.LineTone = word, tone
		b.Refresh()
	}
}

// SetStep changes the step.
func (b *TopBar) SetStep(step, steps int) {
	if b.opt.Step != step || b.opt.Steps != steps {
		b.opt.Step, b.opt.Steps = step, steps
		b.Refresh()
	}
}

// SetPerson changes the masked person.
func (b *TopBar) SetPerson(masked string) {
	if b.opt.Person != masked {
		b.opt.Person = masked
		b.Refresh()
	}
}

// SetTitle changes title and place.
func (b *TopBar) SetTitle(title, place string) {
	if b.opt.Title != title || b.opt.Place != place {
		b.opt.Title, b.opt.Place = title, place
		b.Refresh()
	}
}

func (b *TopBar) fill() {
	c, o := b.look.C(), b.opt
	b.title.Text, b.place.Text, b.date.Text, b.clock.Text = o.Title, o.Place, o.Date, o.Clock
	b.steps.Text = ""
	if o.Steps > 0 {
		b.steps.Text = fmt.Sprintf("第 %d 步，共 %d 步", o.Step, o.Steps)
	}
	for len(b.dots) < o.Steps {
		b.dots = append(b.dots, &canvas.Rectangle{})
	}
	b.dots = b.dots[:max(0, o.Steps)]
	for i, d := range b.dots {
		switch {
		case i < o.Step-1:
			d.FillColor = c.OnBar
		case i == o.Step-1:
			d.FillColor = c.StepNow
		default:
			d.FillColor = c.StepTodo
		}
	}
	b.person.set(o.Person, nil)
	dot := c.BarGood
	switch o.LineTone {
	case Warn:
		dot = c.BarWarn
	case Bad:
		dot = c.BarBad
	case Neutral, Info, Good:
	}
	b.line.set(o.Line, &dot)
}

// item is one thing on the bar: objects laid out from left to right, dropped
// in the order of rank (highest first) when there is no room.
type item struct {
	rank  int
	width float32
	draw  func(x, y, h float32)
}

func (b *TopBar) text(t *canvas.Text, rank int) []item {
	if t.Text == "" {
		return nil
	}
	s := t.MinSize()
	return []item{{rank, s.Width, func(x, y, h float32) {
		place(t, x, y+(h-s.Height)/2, s.Width+1, s.Height)
		b.kids = append(b.kids, t)
	}}}
}

func (b *TopBar) chip(c *chip, rank int) []item {
	if c.label.Text == "" {
		return nil
	}
	s := c.MinSize()
	return []item{{rank, s.Width, func(x, y, h float32) {
		place(c, x, y+(h-s.Height)/2, s.Width, s.Height)
		b.kids = append(b.kids, c)
	}}}
}

// progress is the words "第 4 步，共 8 步" with a dash for each step above them.
func (b *TopBar) progress(rank int) []item {
	if b.steps.Text == "" {
		return nil
	}
	m := b.steps.MinSize()
	n := float32(len(b.dots))
	gap, h := b.look.MM(1.4), b.look.MM(2.4)
	w := max(m.Width, n*b.look.MM(3.6)+(n-1)*gap)
	each := (w - gap*(n-1)) / n
	return []item{{rank, w, func(x, y, rh float32) {
		top := y + (rh-m.Height-h)/2
		for i, d := range b.dots {
			d.CornerRadius = h / 2
			place(d, x+float32(i)*(each+gap), top, each, h)
			b.kids = append(b.kids, d)
		}
		place(b.steps, x+(w-m.Width)/2, top+h+b.look.MM(0.2), m.Width+1, m.Height)
		b.kids = append(b.kids, b.steps)
	}}}
}

// put lays left and right out in one row between x0 and x1.
func (b *TopBar) put(left, right []item, x0, x1, y, h float32) {
	gap := b.look.MM(8)
	width := func() (w float32) {
		for _, i := range append(left[:len(left):len(left)], right...) {
			w += i.width + gap
		}
		return w - gap
	}
	drop := func() bool {
		worst, at, side := 0, -1, &left
		for _, s := range []*[]item{&left, &right} {
			for i, it := range *s {
				if it.rank > worst {
					worst, at, side = it.rank, i, s
				}
			}
		}
		if at < 0 {
			return false
		}
		*side = append((*side)[:at:at], (*side)[at+1:]...)
		return true
	}
	for width() > x1-x0 && drop() {
	}
	x := x0
	for _, i := range left {
		i.draw(x, y, h)
		x += i.width + gap
	}
	x = x1
	for k := len(right) - 1; k >= 0; k-- {
		x -= right[k].width
		right[k].draw(x, y, h)
		x -= gap
	}
}

func (b *TopBar) lay(s fyne.Size) {
	place(b.box, 0, 0, s.Width, s.Height)
	place(b.edge, 0, s.Height-b.look.Stroke()*2, s.Width, b.look.Stroke()*2)
	b.kids = append(b.kids[:0:0], b.box, b.edge)
	m, rh := b.look.Margin(), b.rowHeight()
	var help []item
	if b.opt.OnHelp != nil {
		w, h := b.help.MinSize().Width, b.look.Target()
		help = []item{{0, w, func(x, y, rh float32) {
			place(b.help, x, y+(rh-h)/2, w, h)
			b.kids = append(b.kids, b.help)
		}}}
	}
	join := func(groups ...[]item) (out []item) {
		for _, g := range groups {
			out = append(out, g...)
		}
		return out
	}
	// A title longer than its room gets an ellipsis.
	room := s.Width - 2*m - b.look.MM(8)
	if help != nil {
		room -= help[0].width
	}
	b.cut(room)
	title := b.text(b.title, 0)
	place := b.text(b.place, 8)
	steps := b.progress(1)
	date, clock := b.text(b.date, 7), b.text(b.clock, 5)
	line, person := b.chip(b.line, 3), b.chip(b.person, 2)
	if b.look.Portrait {
		b.put(title, help, m, s.Width-m, 0, rh)
		b.put(join(steps, place, date), join(person, clock, line), m, s.Width-m, rh-b.look.MM(2.5), s.Height-rh)
		return
	}
	b.put(join(title, steps, place), join(date, clock, line, person, help), m, s.Width-m, 0, rh)
}

func (b *TopBar) cut(room float32) {
	r := []rune(b.opt.Title)
	w := func(s string) (sum float32) {
		for _, r := range s {
			sum += b.look.Advance(r, true, b.title.TextSize)
		}
		return sum
	}
	b.title.Text = b.opt.Title
	for len(r) > 1 && w(b.title.Text) > room {
		r = r[:len(r)-1]
		b.title.Text = strings.TrimRight(string(r), " ") + "…"
	}
}
