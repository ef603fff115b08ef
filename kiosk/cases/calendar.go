package cases

import "time"

// Calendar knows working days: Monday to Friday, but for the days that the
// State Council moves every year (调休). Keys are YYYY-MM-DD. The zero value
// knows no moved days, which errs towards promising too early a day; the
// county sends the list as configuration.
type Calendar struct {
	Off map[string]bool // holidays on working days
	On  map[string]bool // working days on weekends
}

// dayLayout is how days are written everywhere.
const dayLayout = "2006-01-02"

// Working reports whether offices work on a day.
func (c Calendar) Working(day time.Time) bool {
	k := day.Format(dayLayout)
	if c.On[k] {
		return true
	}
	if c.Off[k] {
		return false
	}
	wd := day.Weekday()
	return wd != time.Saturday && wd != time.Sunday
}

// Due is the promised day: n working days after the day of acceptance, which
// itself does not count (行政许可法 and 社会保险经办条例 count this way). "" for
// n ≤ 0: at once.
func (c Calendar) Due(from time.Time, n int) string {
	if n <= 0 {
		return ""
	}
	day := from
	for n > 0 {
		day = day.AddDate(0, 0, 1)
		if c.Working(day) {
			n--
		}
	}
	return day.Format(dayLayout)
}

// WorkingDaysLeft counts the working days from today (not counted) to a due
// day; negative when it is over, 0 on the day itself. ok is false when due is
// not a day.
func (c Calendar) WorkingDaysLeft(today time.Time, due string) (n int, ok bool) {
	d, err := time.ParseInLocation(dayLayout, due, today.Location())
	if err != nil {
		return 0, false
	}
	t := time.Date(today.Year(), today.Month(), today.Day(), 0, 0, 0, 0, today.Location())
	step := 1
	if d.Before(t) {
		step = -1
	}
	for !sameDay(t, d) {
		t = t.AddDate(0, 0, step)
		if c.Working(t) {
			n += step
		}
		if n > 2000 || n < -2000 {
			break
		}
	}
	return n, true
}

func sameDay(a, b time.Time) bool { return a.Format(dayLayout) == b.Format(dayLayout) }
