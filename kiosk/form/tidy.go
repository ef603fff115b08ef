package form

import (
	"slices"
	"strings"
	"unicode"

	"cunban/kiosk/catalog"
)

// Bounds on what is kept at all, however it came in.
const (
	maxText = 2000 // characters of one answer
	maxList = 99
	maxRows = 50
	maxPage = 99
)

// tidy brings a typed answer into the form in which it is kept, without
// judging it: full-width digits, blanks in long numbers, small x in an ID
// number. It also settles who gave it: captures are the device's, the rest is
// the person's.
func tidy(fd *catalog.Field, v Value) Value {
	v = v.clone()
	v.Source = catalog.FromUser
	v.Pages, v.Strokes = min(max(v.Pages, 0), maxPage), max(v.Strokes, 0)
	switch fd.Type {
	case catalog.DocScan, catalog.Photo, catalog.Face:
		return Value{Pages: v.Pages, Deferred: v.Deferred && v.Pages == 0 && fd.Type != catalog.Face, Source: catalog.FromDevice}
	case catalog.Signature:
		return Value{Strokes: v.Strokes, Source: catalog.FromDevice}
	case catalog.PIN:
		if v.Pages > 0 {
			return Value{Pages: 1, Source: catalog.FromDevice}
		}
		return Value{Text: tidyText(fd, v.Text), Source: catalog.FromDevice}
	case catalog.MultiSelect:
		if len(v.List) == 0 && v.Text != "" {
			v.List = strings.Split(v.Text, ",")
		}
		return Value{List: tidyList(fd, v.List), Source: v.Source}
	case catalog.Table:
		return Value{Rows: tidyRows(fd, v.Rows), Source: v.Source}
	case catalog.Text, catalog.IDNo, catalog.Phone, catalog.Date, catalog.Month, catalog.Year, catalog.Number,
		catalog.Money, catalog.Select, catalog.Bool, catalog.Region6, catalog.Region12, catalog.BankCard,
		catalog.Consent, catalog.BackendSelect, catalog.VoiceText:
	}
	return Value{Text: tidyText(fd, v.Text), Source: v.Source}
}

// tidyList drops doubles and brings choices into the order of the code list.
func tidyList(fd *catalog.Field, list []string) []string {
	rank := func(code string) int {
		if i := slices.IndexFunc(fd.Codes, func(c catalog.Code) bool { return c.Code == code }); i >= 0 {
			return i
		}
		return len(fd.Codes)
	}
	var out []string
	for _, c := range list {
		if c = clean(c); c != "" && !slices.Contains(out, c) && len(out) < maxList {
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b string) int { return rank(a) - rank(b) })
	return out
}

// tidyRows keeps the table's columns, and no empty cells.
func tidyRows(fd *catalog.Field, rows []map[string]string) []map[string]string {
	var out []map[string]string
	for _, r := range rows {
		if len(out) == maxRows {
			break
		}
		row := map[string]string{}
		for i := range fd.Rules.Columns {
			c := &fd.Rules.Columns[i]
			if t := tidyText(c, r[c.Name]); t != "" {
				row[c.Name] = t
			}
		}
		out = append(out, row)
	}
	return out
}

func tidyText(fd *catalog.Field, s string) string {
	s = clean(s)
	switch fd.Type {
	case catalog.IDNo:
		return strings.ToUpper(compact(s))
	case catalog.Phone, catalog.BankCard, catalog.Number, catalog.Money, catalog.Year, catalog.Date, catalog.Month,
		catalog.PIN, catalog.Region6, catalog.Region12:
		return compact(s)
	case catalog.Text, catalog.VoiceText:
		re := fd.Rules.Regexp()
		upper := strings.ToUpper(compact(s))
		if fd.Rules.Rule == catalog.RuleCreditCode || re != nil && !re.MatchString(s) && re.MatchString(upper) {
			return upper
		}
	case catalog.Select, catalog.MultiSelect, catalog.Bool, catalog.DocScan, catalog.Photo, catalog.Face,
		catalog.Signature, catalog.Consent, catalog.BackendSelect, catalog.Table:
	}
	return s
}

// clean drops what no answer may hold: bytes that are not UTF-8, control
// characters and invisible direction marks; line ends become blanks.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.TrimSpace(s)
	if r := []rune(s); len(r) > maxText {
		s = strings.TrimSpace(string(r[:maxText]))
	}
	return s
}

// compact turns full-width letters and digits into ASCII ones and drops blanks.
func compact(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '０' && r <= '９', r >= 'Ａ' && r <= 'Ｚ', r >= 'ａ' && r <= 'ｚ':
			return r - '０' + '0'
		case r == '．':
			return '.'
		case unicode.IsSpace(r):
			return -1
		}
		return r
	}, s)
}
