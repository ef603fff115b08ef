package ui

import (
	"fmt"
	"time"

	"fyne.io/fyne/v2"

	"github.com/6tail/lunar-go/calendar"

	"cunban/kiosk/ui/widget"
	"cunban/sync"
)

// frame puts a built page between top bar and footer.
func (s *Shell) frame(v View) fyne.CanvasObject {
	l, p := s.look, s.b.Point()
	o := widget.TopOptions{Title: v.Title, Step: v.Step, Steps: v.Steps, OnHelp: s.callHelp}
	if v.Idle {
		o.Place = p.Town + " " + p.Village
		o.Date, o.Clock = s.clock()
	}
	if s.visit.Known() {
		o.Person = s.visit.Claim.Name.String() + "  " + s.visit.Claim.Number.String()
	}
	if h := s.visit.Helper; h != nil {
		o.Person = "帮办 " + h.Number + "  " + o.Person
	}
	if t := s.visit.Tech; t != nil {
		o.Person = "技术员 " + t.Number
	}
	o.Line, o.LineTone = lineWord(s.b.Line())
	s.bar = widget.NewTopBar(l, o)
	var ribbon fyne.CanvasObject
	if p.Demo {
		ribbon = widget.Ribbon(l, widget.Warn, "演示：模拟设备，不办真的业务")
	}
	footer := v.Footer
	if !v.Bare {
		fo := widget.FooterOptions{Back: v.Back}
		if !v.NoHome {
			fo.Home = s.askHome
		}
		for _, a := range v.Extra {
			fo.Right = append(fo.Right, s.action(a, widget.Secondary))
		}
		if v.Next != nil {
			n := widget.NextButton(l, v.Next.Label, v.Next.Do)
			if v.Next.Disabled != "" {
				n.Disable(v.Next.Disabled)
			}
			fo.Next = n
		}
		footer = widget.Footer(l, fo)
	}
	return widget.Page(l, s.bar, ribbon, v.Body, footer)
}

// action is a footer button.
func (s *Shell) action(a Action, k widget.Kind) fyne.CanvasObject {
	if a.Danger {
		k = widget.Danger
	}
	b := widget.NewButton(s.look, a.Name, a.Label, k, a.Do)
	if a.Icon != "" {
		b.WithIcon(a.Icon)
	}
	if a.Disabled != "" {
		b.Disable(a.Disabled)
	}
	return b
}

// refreshBar updates what changes by itself: time and line.
func (s *Shell) refreshBar() {
	if s.bar == nil {
		return
	}
	if s.view.Idle {
		s.bar.SetClock(s.clock())
	}
	s.bar.SetLine(lineWord(s.b.Line()))
}

// weekdays in the order of time.Weekday.
var weekdays = [...]string{"日", "一", "二", "三", "四", "五", "六"}

// clock writes the date with the traditional one (农历) beside it, and the time.
func (s *Shell) clock() (date, clock string) {
	t := s.b.Now().In(Beijing)
	lunar := calendar.NewLunarFromDate(t)
	return fmt.Sprintf("%d月%d日 星期%s · 农历%s月%s", t.Month(), t.Day(), weekdays[t.Weekday()], lunar.GetMonthInChinese(), lunar.GetDayInChinese()),
		fmt.Sprintf("%d:%02d", t.Hour(), t.Minute())
}

// Beijing is the time zone of every terminal (GB/T 7408: UTC+8, no summer time).
var Beijing = time.FixedZone("CST", 8*3600)

// lineWord is the line in a word for the bar.
func lineWord(l sync.LineState) (string, widget.Tone) {
	switch l.Kind {
	case sync.LineUp:
		return "已联网", widget.Good
	case sync.LineConnecting:
		return "正在连接", widget.Warn
	case sync.LineBusy:
		return "县里正忙", widget.Warn
	case sync.LinePortal:
		return "网络要登录", widget.Bad
	case sync.LineCertificate, sync.LineSignIn:
		return "连接受阻", widget.Bad
	case sync.LineRevoked:
		return "终端停用", widget.Bad
	case sync.LineDown:
		return "没有网络", widget.Bad
	}
	return "没有网络", widget.Bad
}
