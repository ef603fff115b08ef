package input

import (
	"fmt"
	"time"

	"fyne.io/fyne/v2"

	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/widget"
)

// DateLayout is how a DatePad writes a date (GB/T 7408, ISO 8601).
const DateLayout = "2006-01-02"

// DateOptions say what a DatePad takes.
type DateOptions struct {
	Value     string    // "2006-01-02" or, with MonthOnly, "2006-01"; "" for none
	Min, Max  time.Time // inclusive; zero means 1900 and the end of this year of Now
	Now       time.Time // today
	MonthOnly bool
	OnChange  func(value string) // "" while it is not whole
}

// dateStage is what is asked for now.
type dateStage int

const (
	stageDecade dateStage = iota
	stageYear
	stageMonth
	stageDay
)

// DatePad takes a date by four taps: the ten years, the year, the month, the
// day. The boxes above show what was chosen and lead back.
type DatePad struct {
	pad
	opt              DateOptions
	stage            dateStage
	decade           int
	year, month, day int

	boxes [3]*widget.Button
	ask   *widget.Text
	grid  *widget.Grid
}

// NewDatePad returns a pad. Targets: "date.year", "date.month", "date.day" for
// the boxes, and "decade.1950", "year.1956", "month.3", "day.12".
func NewDatePad(look *theme.Look, o DateOptions) *DatePad {
	if o.Max.IsZero() {
		o.Max = time.Date(o.Now.Year(), 12, 31, 0, 0, 0, 0, time.UTC)
	}
	if o.Min.IsZero() {
		o.Min = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	p := &DatePad{opt: o}
	p.look = look
	layout := DateLayout
	if o.MonthOnly {
		layout = DateLayout[:7]
	}
	if t, err := time.Parse(layout, o.Value); err == nil {
		p.year, p.month = t.Year(), int(t.Month())
		p.decade = p.year / 10 * 10
		p.stage = stageMonth
		if !o.MonthOnly {
			p.day = t.Day()
			p.stage = stageDay
		}
	}
	for i, name := range []string{"date.year", "date.month", "date.day"} {
		p.boxes[i] = widget.NewButton(look, name, "", widget.KeyCap, func() { p.goBack(i) })
	}
	top := []fyne.CanvasObject{widget.Fill(p.boxes[0]), widget.Fill(p.boxes[1])}
	if !o.MonthOnly {
		top = append(top, widget.Fill(p.boxes[2]))
	}
	p.ask = widget.NewText(look, "").Soft()
	if look.Dense() {
		p.ask.Hide() // the marked box says it too
	}
	p.grid = widget.NewGrid(look, "date")
	p.root = widget.Column(padGap(look),
		widget.Row(look.Gap(), top...), p.ask, widget.Fill(p.grid))
	if p.stage == stageDecade && p.years() <= maxYears {
		p.stage = stageYear
		p.decade = -1
	}
	p.show()
	p.ExtendBaseWidget(p)
	return p
}

// maxYears is how many years are offered at once without asking for the decade.
const maxYears = 12

func (p *DatePad) years() int { return p.opt.Max.Year() - p.opt.Min.Year() + 1 }

// goBack goes back to year, month or day.
func (p *DatePad) goBack(box int) {
	switch box {
	case 0:
		p.stage = stageDecade
		if p.years() <= maxYears {
			p.stage, p.decade = stageYear, -1
		}
	case 1:
		if p.year != 0 {
			p.stage = stageMonth
		}
	case 2:
		if p.month != 0 {
			p.stage = stageDay
		}
	}
	p.show()
}

func (p *DatePad) show() {
	label := func(n int, unit string) string {
		if n == 0 {
			return "—— " + unit
		}
		return fmt.Sprintf("%d %s", n, unit)
	}
	for i, l := range []string{label(p.year, "年"), label(p.month, "月"), label(p.day, "日")} {
		p.boxes[i].SetLabel(l)
	}
	p.boxes[0].SetChosen(p.stage == stageDecade || p.stage == stageYear)
	p.boxes[1].SetChosen(p.stage == stageMonth)
	p.boxes[2].SetChosen(p.stage == stageDay)
	able := func(b *widget.Button, on bool) {
		if on {
			b.Enable()
		} else {
			b.Disable("")
		}
	}
	able(p.boxes[1], p.year != 0)
	able(p.boxes[2], p.month != 0)

	var cells []fyne.CanvasObject
	cell := func(name, label string, chosen bool, tap func()) {
		cells = append(cells, widget.NewChoice(p.look, name, widget.Option{Label: label}, chosen, tap))
	}
	columns := 0
	switch p.stage {
	case stageDecade:
		p.ask.SetText("哪个年代？")
		for d := p.opt.Min.Year() / 10 * 10; d <= p.opt.Max.Year(); d += 10 {
			cell(fmt.Sprintf("decade.%d", d), fmt.Sprintf("%d 年代", d), d == p.decade, func() {
				p.decade, p.stage = d, stageYear
				p.show()
			})
		}
	case stageYear:
		p.ask.SetText("哪一年？")
		from, to := max(p.decade, p.opt.Min.Year()), min(p.decade+9, p.opt.Max.Year())
		if p.decade < 0 {
			from, to = p.opt.Min.Year(), p.opt.Max.Year()
		}
		for y := from; y <= to; y++ {
			cell(fmt.Sprintf("year.%d", y), fmt.Sprintf("%d 年", y), y == p.year, func() {
				p.year, p.stage = y, stageMonth
				p.drop()
				p.show()
			})
		}
	case stageMonth:
		p.ask.SetText("哪个月？")
		columns = 6
		for m := 1; m <= 12; m++ {
			if !p.within(p.year, m, 0) {
				continue
			}
			cell(fmt.Sprintf("month.%d", m), fmt.Sprintf("%d 月", m), m == p.month, func() {
				p.month = m
				p.drop()
				if !p.opt.MonthOnly {
					p.stage = stageDay
				}
				p.show()
			})
		}
	case stageDay:
		p.ask.SetText("哪一天？")
		columns = 8
		for d := 1; d <= daysIn(p.year, p.month); d++ {
			if !p.within(p.year, p.month, d) {
				continue
			}
			cell(fmt.Sprintf("day.%d", d), fmt.Sprintf("%d 日", d), d == p.day, func() {
				p.day = d
				p.changed()
				p.show()
			})
		}
	default:
		panic(fmt.Sprintf("input: date stage %d", int(p.stage)))
	}
	if p.look.Portrait {
		switch columns {
		case 6:
			columns = 3
		case 8:
			columns = 5
		}
	}
	p.grid.Columns(columns).Tight(p.stage == stageDay).SetCells(cells)
}

// drop forgets the day, or the month, if it no longer exists or is not allowed
// (29 February, or a year at the edge).
func (p *DatePad) drop() {
	if p.month != 0 && !p.within(p.year, p.month, 0) {
		p.month = 0
	}
	if p.day != 0 && (p.month == 0 || p.day > daysIn(p.year, p.month) || !p.within(p.year, p.month, p.day)) {
		p.day = 0
	}
	p.changed()
}

// within tells whether a month (day 0) or a day is between Min and Max.
func (p *DatePad) within(y, m, d int) bool {
	if d == 0 {
		first := time.Date(y, time.Month(m), 1, 0, 0, 0, 0, time.UTC)
		last := first.AddDate(0, 1, -1)
		return !last.Before(day(p.opt.Min)) && !first.After(day(p.opt.Max))
	}
	t := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	return !t.Before(day(p.opt.Min)) && !t.After(day(p.opt.Max))
}

func day(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

func daysIn(y, m int) int { return time.Date(y, time.Month(m)+1, 0, 0, 0, 0, 0, time.UTC).Day() }

func (p *DatePad) changed() {
	if p.opt.OnChange != nil {
		p.opt.OnChange(p.Value())
	}
}

// Value is the date, "" while it is not whole.
func (p *DatePad) Value() string {
	switch {
	case p.year == 0 || p.month == 0 || (p.day == 0 && !p.opt.MonthOnly):
		return ""
	case p.opt.MonthOnly:
		return fmt.Sprintf("%04d-%02d", p.year, p.month)
	}
	return fmt.Sprintf("%04d-%02d-%02d", p.year, p.month, p.day)
}

// Wipe forgets the date.
func (p *DatePad) Wipe() {
	p.year, p.month, p.day, p.decade = 0, 0, 0, 0
	p.stage = stageDecade
	if p.years() <= maxYears {
		p.stage, p.decade = stageYear, -1
	}
	p.show()
}
