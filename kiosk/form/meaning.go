package form

import (
	"fmt"
	"strconv"
	"time"

	"cunban/kiosk/catalog"
)

// meaning judges a well-formed answer by the catalogue's rules. Each problem
// stops or warns as the field's level says; where a register filled the answer
// and nobody here may change it, it warns: the county decides, not the village.
func (f *Form) meaning(fd *catalog.Field, v Value) []Problem {
	r := &fd.Rules
	fixed := fd.ReadOnly && v.Source != catalog.FromUser
	var out []Problem
	add := func(code, text string) {
		if fixed {
			text = "“" + fd.Label + "”按规定可能不够。可以先交上去，由县里核定"
		}
		if r.Message != "" {
			text = r.Message
		}
		out = append(out, Problem{Field: fd.Name, Code: code, Text: text, Warn: fixed || r.Level == catalog.LevelWarn})
	}
	if v.Source != catalog.FromCard { // what a chip says is compared by the county, not here
		if text := brokenRule(r.Rule, v.Text); text != "" {
			add(codeRule, text)
		}
	}
	if fd.Name == fieldAgentNumber && v.Text == f.ctx.Claim.Number.Reveal() {
		add(codeEquals, "代办人不能是本人。请放上代办人自己的身份证，或者改成本人办")
	}
	if r.MustEqual != "" && v.Text != r.MustEqual {
		add(codeMust, "按您选的，这一项现在办不了。选错了请重选，没选错请问帮办")
	}
	f.bounds(fd, v, add)
	f.compare(fd, v, add)
	if d, err := time.Parse(catalog.DateLayout, v.Text); r.Workday && err == nil {
		is := f.ctx.Workday
		if is == nil {
			is = workday
		}
		if !is(d) {
			add(codeWorkday, "那天不上班。请另选一个工作日")
		}
	}
	if r.NotWeak && weakPIN(v.Text, f.ctx.Claim.Number) {
		add(codeWeak, "这个密码太好猜了。别用生日、连号、一样的数字，请换一个")
	}
	if w := r.WarnCode(); w != "" && v.Text == w {
		out = append(out, Problem{Field: fd.Name, Code: codeChoice, Text: r.Message, Warn: true})
		if r.Message == "" {
			out[len(out)-1].Text = "选这一样，县里会再核对。选错了请重选，没选错按“下一步”"
		}
	}
	return out
}

// brokenRule says what a named check finds, "" = nothing.
func brokenRule(rule, s string) string {
	switch rule {
	case "":
	case catalog.RuleName:
		if !nameOK(s) {
			return "姓名要写汉字，照身份证上写"
		}
	case catalog.RuleIDNumber:
		return badIDNumber(s)
	case catalog.RuleCreditCode:
		if !creditOK(s) {
			return "代码是 18 位，有一位对不上。请照营业执照再对一遍"
		}
	case catalog.RuleLuhn:
		if !luhnOK(s) {
			return "这个账号好像有一位不对。请照着卡再对一遍，没错就按“下一步”"
		}
	}
	return ""
}

// bounds checks min and max.
func (f *Form) bounds(fd *catalog.Field, v Value, add func(code, text string)) {
	lo, hi := fd.Rules.Bounds()
	today := f.ctx.Today
	switch fd.Type {
	case catalog.Number, catalog.Money, catalog.Year:
		n, err := strconv.ParseFloat(v.Text, 64)
		if err != nil {
			return
		}
		if !lo.IsZero() && n < lo.Number(today) {
			add(codeMin, fmt.Sprintf("最少填 %s。请改一下", number(lo.Number(today))))
		}
		if !hi.IsZero() && n > hi.Number(today) {
			add(codeMax, fmt.Sprintf("最多填 %s。请改一下", number(hi.Number(today))))
		}
	case catalog.Date:
		d, err := time.Parse(catalog.DateLayout, v.Text)
		if err != nil {
			return
		}
		if !lo.IsZero() && d.Before(lo.Day(today)) {
			add(codeMin, "日子太早了，最早选"+dayText(lo.Day(today)))
		}
		if !hi.IsZero() && d.After(hi.Day(today)) {
			add(codeMax, "日子太晚了，最晚选"+dayText(hi.Day(today)))
		}
	case catalog.Month:
		if !lo.IsZero() && v.Text < lo.Day(today).Format(monthLayout) {
			add(codeMin, "月份太早了，最早选"+monthText(lo.Day(today)))
		}
		if !hi.IsZero() && v.Text > hi.Day(today).Format(monthLayout) {
			add(codeMax, "月份太晚了，最晚选"+monthText(hi.Day(today)))
		}
	case catalog.Text, catalog.IDNo, catalog.Phone, catalog.Select, catalog.MultiSelect, catalog.Bool, catalog.Region6,
		catalog.Region12, catalog.BankCard, catalog.DocScan, catalog.Photo, catalog.Face, catalog.Signature,
		catalog.Consent, catalog.PIN, catalog.BackendSelect, catalog.Table, catalog.VoiceText:
	}
}

// compare checks equals and ge against the other field, when that has an
// answer now.
func (f *Form) compare(fd *catalog.Field, v Value, add func(code, text string)) {
	if e := fd.Rules.Equals; e == "today" {
		if v.Text != f.ctx.Today.Format(catalog.DateLayout) {
			add(codeEquals, "要填今天的日期")
		}
	} else if o := f.Field(e); o != nil && f.Visible(o) {
		if t := f.answers[e].Text; t != "" && t != v.Text {
			add(codeEquals, "要和“"+o.Label+"”一样。请再对一遍")
		}
	}
	o := f.Field(fd.Rules.GE)
	if o == nil || !f.Visible(o) {
		return
	}
	t := f.answers[o.Name].Text
	less := v.Text < t // dates, months and years order as text
	if fd.Type == catalog.Number || fd.Type == catalog.Money {
		a, errA := strconv.ParseFloat(v.Text, 64)
		b, errB := strconv.ParseFloat(t, 64)
		less = errA == nil && errB == nil && a < b
	}
	if t != "" && less {
		add(codeOrder, "不能比“"+o.Label+"”还早（小）。请改一下")
	}
}

func number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func dayText(d time.Time) string { return fmt.Sprintf("%d年%d月%d日", d.Year(), d.Month(), d.Day()) }

func monthText(d time.Time) string { return fmt.Sprintf("%d年%d月", d.Year(), d.Month()) }
