package form

import (
	"fmt"
	"strings"
	"time"

	"cunban/kiosk/catalog"
)

// Line is one line of the review page.
type Line struct {
	Label, Text string
	Source      catalog.Source // who answered; SourceOf gives words
	Field       string         // key for StepFor and SourceOf
	Editable    bool
	Warn        string // what is wrong or worth a look, "" = nothing
}

// Summary is the review page: every visible answer in plain words and in
// clear, for its owner. Consents and the signature have pages of their own.
func (f *Form) Summary() []Line {
	var out []Line
	for _, fd := range f.fields {
		if f.atCounty(fd) && fd.Required && fd.Rules.VisibleWhen().Eval(f.lookup) {
			out = append(out, Line{Label: fd.Label, Text: "由县里查", Source: catalog.FromBackend, Field: fd.Name})
			continue
		}
		if !f.Visible(fd) || !f.hasStep(fd) {
			continue
		}
		v := f.answers[fd.Name]
		p := first(f.judge(fd))
		if v.IsZero() && p == nil {
			continue
		}
		l := Line{Label: fd.Label, Text: f.TextOf(fd.Name), Source: v.Source, Field: fd.Name, Editable: !f.locked(fd)}
		if p != nil {
			l.Warn = p.Text
		}
		if v.IsZero() {
			l.Text = "还没填"
		}
		out = append(out, l)
	}
	for i := range f.svc.Materials {
		m := &f.svc.Materials[i]
		v := f.answers[MaterialKey(m.Name)]
		if !f.asksMaterial(m) || v.IsZero() && !m.Required {
			continue
		}
		l := Line{Label: m.Name, Text: pagesText(v), Source: catalog.FromDevice, Field: MaterialKey(m.Name), Editable: true}
		if p := f.checkMaterial(m); p != nil {
			l.Text, l.Warn = "还没拍", p.Text
		}
		out = append(out, l)
	}
	return out
}

// TextOf gives the answer to a field in plain words, "" when there is none.
func (f *Form) TextOf(field string) string {
	v := f.answers[field]
	if f.material(field) != nil {
		return pagesText(v)
	}
	fd := f.Field(field)
	if fd == nil || v.IsZero() {
		return ""
	}
	switch fd.Type {
	case catalog.DocScan, catalog.Photo:
		return pagesText(v)
	case catalog.Face:
		return "已拍，只用来核对本人"
	case catalog.Signature:
		return "已签名"
	case catalog.PIN:
		if atPad(fd, v) {
			return pinTyped
		}
	case catalog.MultiSelect:
		labels := make([]string, len(v.List))
		for i, c := range v.List {
			labels[i] = f.text(fd, c)
		}
		return strings.Join(labels, "、")
	case catalog.Table:
		rows := make([]string, len(v.Rows))
		for i, r := range v.Rows {
			var cells []string
			for j := range fd.Rules.Columns {
				if c := &fd.Rules.Columns[j]; r[c.Name] != "" {
					cells = append(cells, f.text(c, r[c.Name]))
				}
			}
			rows[i] = strings.Join(cells, " ")
		}
		return strings.Join(rows, "；")
	case catalog.Text, catalog.IDNo, catalog.Phone, catalog.Date, catalog.Month, catalog.Year, catalog.Number,
		catalog.Money, catalog.Select, catalog.Bool, catalog.Region6, catalog.Region12, catalog.BankCard,
		catalog.Consent, catalog.BackendSelect, catalog.VoiceText:
	}
	return f.text(fd, v.Text)
}

// text gives one text value in plain words.
func (f *Form) text(fd *catalog.Field, s string) string {
	switch fd.Type {
	case catalog.Date:
		if d, err := time.Parse(catalog.DateLayout, s); err == nil {
			return dayText(d)
		}
	case catalog.Month:
		if d, err := time.Parse(monthLayout, s); err == nil {
			return monthText(d)
		}
	case catalog.Year:
		return s + "年"
	case catalog.Number, catalog.Money:
		return s + unit(fd)
	case catalog.Select, catalog.MultiSelect:
		for _, c := range fd.Codes {
			if c.Code == s && fd.CodeList == "pay_grade" && c.Note != "" {
				return c.Label + "（" + c.Note + "）"
			} else if c.Code == s {
				return c.Label
			}
		}
	case catalog.Bool, catalog.Consent, catalog.BackendSelect:
		for _, c := range f.Options(fd) {
			if c.Code == s {
				return c.Label
			}
		}
	case catalog.Region6, catalog.Region12:
		if n := f.divisionName(s); n != "" {
			return n
		}
	case catalog.BankCard:
		return fours(s)
	case catalog.PIN:
		return "已输入"
	case catalog.Text, catalog.IDNo, catalog.Phone, catalog.DocScan, catalog.Photo, catalog.Face, catalog.Signature,
		catalog.Table, catalog.VoiceText:
	}
	return s
}

// units are what a label may name in brackets at its end: 月收入（元）.
var units = map[string]string{"元": " 元", "万元": " 万元", "年": " 年", "月": " 个月", "公里": " 公里"}

// unit gives the unit of a number, from the label's brackets.
func unit(fd *catalog.Field) string {
	label := strings.TrimSuffix(fd.Label, "）")
	if i := strings.LastIndex(label, "（"); i >= 0 && label != fd.Label {
		if u, ok := units[label[i+len("（"):]]; ok {
			return u
		}
	}
	if fd.Type == catalog.Money {
		return " 元"
	}
	return ""
}

// fours groups a long number so that it can be compared with a card.
func fours(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func pagesText(v Value) string {
	switch {
	case v.Pages > 0:
		return fmt.Sprintf("已拍 %d 页", v.Pages)
	case v.Deferred:
		return "以后补交"
	}
	return ""
}
