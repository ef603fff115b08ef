package catalog

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"
)

// DateLayout is how dates are written in answers and in the catalogue.
const DateLayout = "2006-01-02"

// Bound is a parsed min or max: a number, a date, or a day relative to today.
// The zero value is no bound.
type Bound struct {
	set  bool
	num  float64
	day  time.Time // fixed date
	rel  bool
	unit byte // 'd', 'm', 'y' relative to today; 'Y' a year relative to this one
	n    int
}

var relBound = regexp.MustCompile(`^([+-]\d{1,3})([dmy])$`)

// boundHelp is what a catalogue author may write.
const boundHelp = "a number, YYYY-MM-DD, today, this_year, last_year, +30d, -12m, +1y"

// ParseBound parses a min or max as it stands in the catalogue.
func ParseBound(v any) (Bound, error) {
	switch t := v.(type) {
	case nil:
		return Bound{}, nil
	case float64:
		return numberBound(t)
	case int:
		return Bound{set: true, num: float64(t)}, nil
	case json.Number:
		f, err := t.Float64()
		if err != nil {
			return Bound{}, fmt.Errorf("bound %v is not a number", t)
		}
		return numberBound(f)
	case string:
		return textBound(t)
	}
	return Bound{}, fmt.Errorf("bound %v is none of %s", v, boundHelp)
}

func numberBound(f float64) (Bound, error) {
	if math.IsNaN(f) || math.Abs(f) > 1e12 {
		return Bound{}, fmt.Errorf("bound %v is out of range", f)
	}
	return Bound{set: true, num: f}, nil
}

func textBound(s string) (Bound, error) {
	switch s {
	case "today":
		return Bound{set: true, rel: true, unit: 'd'}, nil
	case "this_year":
		return Bound{set: true, rel: true, unit: 'Y'}, nil
	case "last_year":
		return Bound{set: true, rel: true, unit: 'Y', n: -1}, nil
	}
	if m := relBound.FindStringSubmatch(s); m != nil {
		n, _ := strconv.Atoi(m[1])
		return Bound{set: true, rel: true, unit: m[2][0], n: n}, nil
	}
	d, err := time.Parse(DateLayout, s)
	if err != nil {
		return Bound{}, fmt.Errorf("bound %q is none of %s", s, boundHelp)
	}
	return Bound{set: true, day: d}, nil
}

// IsZero reports whether there is no bound.
func (b Bound) IsZero() bool { return !b.set }

// Number gives the bound for number, money and year answers; relative years
// count from today's.
func (b Bound) Number(today time.Time) float64 {
	if b.rel && b.unit == 'Y' {
		return float64(today.Year() + b.n)
	}
	if b.rel || !b.day.IsZero() {
		return float64(b.Day(today).Year())
	}
	return b.num
}

// Day gives the bound for date and month answers, at midnight UTC. A plain
// number is a year and means its first of January. Months are clipped to their
// last day: 31 March minus one month is 28 (29) February.
func (b Bound) Day(today time.Time) time.Time {
	t := time.Date(today.Year(), today.Month(), today.Day(), 0, 0, 0, 0, time.UTC)
	if !b.rel {
		if !b.day.IsZero() {
			return b.day
		}
		return time.Date(int(b.num), 1, 1, 0, 0, 0, 0, time.UTC)
	}
	switch b.unit {
	case 'd':
		return t.AddDate(0, 0, b.n)
	case 'm':
		return addMonths(t, b.n)
	case 'y':
		return addMonths(t, 12*b.n)
	default: // 'Y'
		return time.Date(t.Year()+b.n, 1, 1, 0, 0, 0, 0, time.UTC)
	}
}

// IsDate reports whether the bound only makes sense for dates and months.
func (b Bound) IsDate() bool { return b.set && (b.rel && b.unit != 'Y' || !b.day.IsZero()) }

func addMonths(t time.Time, n int) time.Time {
	first := time.Date(t.Year(), t.Month()+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1)
}
