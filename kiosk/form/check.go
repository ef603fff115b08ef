package form

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"cunban/kiosk/catalog"
	"cunban/kiosk/resident"
)

// Problem is what is wrong with one answer, in words for the person who gave
// it: what is wrong and what to do next.
type Problem struct {
	Field string // name of the field, key of a material, "" = the whole form
	Code  string // for tests and records: required, format, pattern, min, …
	Text  string
	Warn  bool // tell, do not stop
}

// Codes of problems.
const (
	codeRequired = "required"
	codeFormat   = "format"
	codeOption   = "option"
	codePattern  = "pattern"
	codeLength   = "length"
	codeRule     = "rule"
	codeMin      = "min"
	codeMax      = "max"
	codeEquals   = "equals"
	codeOrder    = "ge"
	codeMust     = "must"
	codeWorkday  = "workday"
	codeWeak     = "weak"
	codePages    = "pages"
	codeRows     = "rows"
	codeItems    = "items"
	codeBlocked  = "blocked"
	codeAgent    = "agent"
	codeChoice   = "choice" // warn_if
)

// Texts of what cannot be done here.
const (
	blockedScan   = "这台机器现在拍不了材料。先按“以后补交”，也可以请帮办拍"
	blockedPhoto  = "这台机器现在拍不了照片。先按“以后补交”，也可以请帮办拍"
	blockedFace   = "这台机器不能刷脸。请工作人员看着身份证核对，一样能办"
	blockedPIN    = "这台机器没有密码键盘，改不了密码。可以返回选“重置”，也可以拿卡去发卡银行改"
	blockedOption = "现在连不上县里，选不了。可以先跳过，县里收到后会联系您"
	mendText      = "县里请您改这一项"
	agentRefused  = "这一项要本人办，不能代办。本人来不了，可以请帮办上门"
)

// blocked says why a field cannot be answered on this terminal now, "" when it
// can.
func (f *Form) blocked(fd *catalog.Field) string {
	d := f.ctx.Devices
	switch {
	case fd.Type == catalog.DocScan && !d.Scan:
		return blockedScan
	case fd.Type == catalog.Photo && !d.Camera:
		return blockedPhoto
	case fd.Type == catalog.Face && !d.Face:
		return blockedFace
	case fd.Type == catalog.PIN && !d.PINPad:
		return blockedPIN
	case fd.Type == catalog.BackendSelect && len(f.Options(fd)) == 0:
		return blockedOption
	}
	return ""
}

// Check returns the first problem of a field or material, stops before
// warnings; nil = fine, or not asked now.
func (f *Form) Check(field string) *Problem {
	if m := f.material(field); m != nil {
		return f.checkMaterial(m)
	}
	fd := f.Field(field)
	if fd == nil || !f.Visible(fd) {
		return nil
	}
	return first(f.judge(fd))
}

func first(all []Problem) *Problem {
	for _, warn := range []bool{false, true} {
		for i := range all {
			if all[i].Warn == warn {
				return &all[i]
			}
		}
	}
	return nil
}

// CheckStep returns the first problem of a step, nil = fine.
func (f *Form) CheckStep(s Step) *Problem {
	var all []Problem
	for _, fd := range s.Fields {
		if f.Visible(fd) {
			all = append(all, f.judge(fd)...)
		}
	}
	if len(s.Fields) == 0 && s.Material != nil {
		return f.checkMaterial(s.Material)
	}
	return first(all)
}

// Problems lists what is wrong in the whole form, in the order of the form:
// for each field its first stop, or its warnings.
func (f *Form) Problems() []Problem {
	return f.problems(func(*catalog.Field) bool { return true })
}

// StepProblems lists what is wrong before the review: as Problems, without the
// signature and the consents taken after it.
func (f *Form) StepProblems() []Problem { return f.problems(f.hasStep) }

func (f *Form) problems(which func(*catalog.Field) bool) []Problem {
	var out []Problem
	if f.agent && !f.svc.AgentOK {
		out = append(out, Problem{Code: codeAgent, Text: agentRefused})
	}
	for _, fd := range f.fields {
		if f.Visible(fd) && which(fd) {
			out = append(out, f.judge(fd)...)
		}
	}
	for i := range f.svc.Materials {
		if m := &f.svc.Materials[i]; f.asksMaterial(m) {
			if p := f.checkMaterial(m); p != nil {
				out = append(out, *p)
			}
		}
	}
	return out
}

func (f *Form) checkMaterial(m *catalog.Material) *Problem {
	v := f.answers[MaterialKey(m.Name)]
	if !f.asksMaterial(m) || !m.Required || v.Pages > 0 || v.Deferred {
		return nil
	}
	return &Problem{Field: MaterialKey(m.Name), Code: codeRequired, Text: "还没拍“" + m.Name + "”。请拍，没带就按“以后补交”"}
}

// judge returns the first stop of a visible field, or all its warnings.
func (f *Form) judge(fd *catalog.Field) []Problem {
	v := f.answers[fd.Name]
	if p := f.missing(fd, v); p != nil {
		return []Problem{*p}
	}
	if v.IsZero() || atPad(fd, v) {
		return nil
	}
	if p := f.malformed(fd, v); p != nil {
		return []Problem{*p}
	}
	var warns []Problem
	for _, p := range f.meaning(fd, v) {
		if !p.Warn {
			return []Problem{p}
		}
		warns = append(warns, p)
	}
	return warns
}

// mustConsent tells whether a consent must be given: the catalogue says so, or
// it is required and the catalogue does not say that a no is fine.
func (f *Form) mustConsent(fd *catalog.Field) bool {
	if fd.Type != catalog.Consent {
		return false
	}
	if m := fd.Rules.Must; m != nil {
		return *m
	}
	return f.RequiredNow(fd)
}

func (f *Form) missing(fd *catalog.Field, v Value) *Problem {
	if fd.Type == catalog.Consent {
		if !f.mustConsent(fd) || v.Text == "1" {
			return nil
		}
		text := fd.Rules.Message
		if text == "" {
			text = "同意“" + fd.Label + "”才能接着办。不同意可以按“首页”，不会留下记录"
		}
		return &Problem{Field: fd.Name, Code: codeMust, Text: text}
	}
	if !v.IsZero() || !f.RequiredNow(fd) {
		return nil
	}
	p := &Problem{Field: fd.Name, Code: codeRequired}
	if b := f.blocked(fd); b != "" {
		p.Code, p.Text = codeBlocked, b
		return p
	}
	switch fd.Type {
	case catalog.Select, catalog.Bool, catalog.BackendSelect, catalog.Region6, catalog.Region12:
		p.Text = "还没选。请先选一个，再按“下一步”"
	case catalog.MultiSelect:
		p.Text = "还没选。请至少选一样，再按“下一步”"
	case catalog.DocScan, catalog.Photo:
		p.Text = "还没拍。请拍好，没带就按“以后补交”"
	case catalog.Face:
		p.Text = "还没拍。请看镜头，也可以请工作人员核对"
	case catalog.Signature:
		p.Text = "还没签名。请用手指在框里写您的名字"
	case catalog.PIN:
		p.Text = "还没输密码。请在密码键盘上输，用手挡住"
	case catalog.Table:
		p.Text = "还没填。请按“加一行”，一人填一行"
	case catalog.Phone:
		// Nothing ever needs a phone, unless a phone is what it is about.
		p.Text, p.Warn = "没填手机号。有就填上；没有也能办，有消息由村里转告您", fd.Rules.RequiredIf == ""
		if !p.Warn {
			p.Text = "还没填“" + fd.Label + "”。填好再按“下一步”"
		}
	case catalog.Text, catalog.IDNo, catalog.Date, catalog.Month, catalog.Year, catalog.Number, catalog.Money,
		catalog.BankCard, catalog.VoiceText, catalog.Consent:
		p.Text = "还没填“" + fd.Label + "”。填好再按“下一步”"
	}
	return p
}

var (
	wholeNumber = regexp.MustCompile(`^\d{1,9}$`)
	amount      = regexp.MustCompile(`^\d{1,9}(\.\d{1,2})?$`)
	phoneNumber = regexp.MustCompile(`^\d{7,12}$`)
	cardNumber  = regexp.MustCompile(`^\d{8,30}$`)
	pinNumber   = regexp.MustCompile(`^\d{4,12}$`)
	region6     = regexp.MustCompile(`^\d{6}$`)
	region12    = regexp.MustCompile(`^\d{12}$`)
)

// malformed tells whether an answer is none of the field's type. It always
// stops, whatever the field's level.
func (f *Form) malformed(fd *catalog.Field, v Value) *Problem {
	bad := func(code, text string) *Problem { return &Problem{Field: fd.Name, Code: code, Text: text} }
	ok := true
	text := ""
	switch fd.Type {
	case catalog.Text, catalog.VoiceText:
		if fd.Rules.MaxLen > 0 && utf8.RuneCountInString(v.Text) > fd.Rules.MaxLen {
			return bad(codeLength, fmt.Sprintf("写得太长了，最多 %d 个字。请删掉一些", fd.Rules.MaxLen))
		}
	case catalog.IDNo:
		if t := badIDNumber(v.Text); t != "" {
			return bad(codeFormat, t)
		}
	case catalog.Phone:
		ok, text = phoneNumber.MatchString(v.Text), badPhone
	case catalog.Date:
		_, err := time.Parse(catalog.DateLayout, v.Text)
		ok, text = err == nil, "没有这一天。请重新选年、月、日"
	case catalog.Month:
		_, err := time.Parse(monthLayout, v.Text)
		ok, text = err == nil, "没有这个月。请重新选年和月"
	case catalog.Year:
		n, err := strconv.Atoi(v.Text)
		ok, text = err == nil && len(v.Text) == 4 && n >= 1900, "年份是 4 位数，比如 2026。请再填一遍"
	case catalog.Number:
		ok, text = wholeNumber.MatchString(v.Text), "请填整数，不带小数点"
	case catalog.Money:
		ok, text = amount.MatchString(v.Text), "请填数字，小数点后最多两位"
	case catalog.Select, catalog.Bool, catalog.BackendSelect:
		if !f.isOption(fd, v.Text) {
			return bad(codeOption, "这一样现在选不了。请另选一个")
		}
	case catalog.Consent:
		ok, text = v.Text == "0" || v.Text == "1", "请选“同意”或“不同意”"
	case catalog.MultiSelect:
		for _, c := range v.List {
			if !f.isOption(fd, c) {
				return bad(codeOption, "有一样现在选不了。请重新选")
			}
		}
		if n := fd.Rules.MaxItems; n > 0 && len(v.List) > n {
			return bad(codeItems, fmt.Sprintf("最多选 %d 样，现在选了 %d 样。请去掉 %d 样", n, len(v.List), len(v.List)-n))
		}
	case catalog.Region6, catalog.Region12:
		if !f.regionOK(fd, v.Text) {
			return bad(codeFormat, "没找到这个地方。请一级一级重新选")
		}
	case catalog.BankCard:
		ok, text = cardNumber.MatchString(v.Text), badCard
	case catalog.DocScan, catalog.Photo:
		return f.badPages(fd, v)
	case catalog.Face:
		ok, text = v.Pages > 0, "还没拍。请看镜头，也可以请工作人员核对"
	case catalog.Signature:
		ok, text = v.Strokes >= max(1, fd.Rules.MinStrokes), "签名太少了。请写您的全名"
	case catalog.PIN:
		ok, text = pinNumber.MatchString(v.Text), badPIN
	case catalog.Table:
		return f.badTable(fd, v)
	}
	if !ok {
		return bad(codeFormat, text)
	}
	if re := fd.Rules.Regexp(); re != nil && !re.MatchString(v.Text) {
		return bad(codePattern, patternText(fd))
	}
	return nil
}

// monthLayout is how months are written in answers.
const monthLayout = "2006-01"

// Texts for what does not look as it should.
const (
	badPhone = "手机号是 11 位，1 开头。请再对一遍"
	badCard  = "银行账号不对。请照着卡上的长号再填一遍"
	badPIN   = "密码是 6 位数字。请再输一遍"
)

// patternText says what a field's pattern wants, in words for its type.
func patternText(fd *catalog.Field) string {
	switch fd.Type {
	case catalog.Phone:
		return badPhone
	case catalog.BankCard:
		return badCard
	case catalog.PIN:
		return badPIN
	case catalog.Text, catalog.IDNo, catalog.Date, catalog.Month, catalog.Year, catalog.Number, catalog.Money,
		catalog.Select, catalog.MultiSelect, catalog.Bool, catalog.Region6, catalog.Region12, catalog.DocScan,
		catalog.Photo, catalog.Face, catalog.Signature, catalog.Consent, catalog.BackendSelect, catalog.Table,
		catalog.VoiceText:
	}
	if fd.Rules.Message != "" {
		return fd.Rules.Message
	}
	return "“" + fd.Label + "”不对。请照证件再对一遍"
}

func badIDNumber(s string) string {
	_, err := resident.ParseIDNumber(s)
	switch {
	case err == nil:
		return ""
	case errors.Is(err, resident.ErrLength):
		return fmt.Sprintf("身份证号是 18 位，现在填了 %d 位。请再对一遍", utf8.RuneCountInString(s))
	case errors.Is(err, resident.ErrDate):
		return "身份证号里的出生日期不对。请照身份证再对一遍"
	case errors.Is(err, resident.ErrCheckDigit):
		return "身份证号有一位填错了。请照身份证再对一遍"
	}
	return "身份证号只有数字，最后一位可能是 X。请再对一遍"
}

func (f *Form) isOption(fd *catalog.Field, code string) bool {
	options := f.Options(fd)
	if fd.Type == catalog.BackendSelect && len(options) == 0 {
		return code != "" // chosen while the line was up; the county checks it
	}
	return slices.ContainsFunc(options, func(c catalog.Code) bool { return c.Code == code })
}

func (f *Form) regionOK(fd *catalog.Field, code string) bool {
	if fd.Type == catalog.Region6 && !region6.MatchString(code) || fd.Type == catalog.Region12 && !region12.MatchString(code) {
		return false
	}
	return f.ctx.Divisions == nil || f.ctx.Divisions.Name(code[:6]) != ""
}

func (f *Form) badPages(fd *catalog.Field, v Value) *Problem {
	switch lo, hi := max(1, fd.Rules.MinPages), fd.Rules.MaxPages; {
	case v.Deferred:
		return nil
	case v.Pages < lo:
		return &Problem{Field: fd.Name, Code: codePages, Text: fmt.Sprintf("要拍 %d 页，现在有 %d 页。请接着拍", lo, v.Pages)}
	case hi > 0 && v.Pages > hi:
		return &Problem{Field: fd.Name, Code: codePages, Text: fmt.Sprintf("最多 %d 页，现在有 %d 页。请删掉多的", hi, v.Pages)}
	}
	return nil
}

func (f *Form) badTable(fd *catalog.Field, v Value) *Problem {
	bad := func(text string) *Problem { return &Problem{Field: fd.Name, Code: codeRows, Text: text} }
	if n := len(v.Rows); n < fd.Rules.MinRows {
		return bad(fmt.Sprintf("至少填 %d 行，现在有 %d 行。请按“加一行”", fd.Rules.MinRows, n))
	} else if fd.Rules.MaxRows > 0 && n > fd.Rules.MaxRows {
		return bad(fmt.Sprintf("最多填 %d 行，现在有 %d 行。请删掉多的", fd.Rules.MaxRows, n))
	}
	for i, row := range v.Rows {
		for j := range fd.Rules.Columns {
			c := &fd.Rules.Columns[j]
			cell := Value{Text: row[c.Name]}
			if cell.Text == "" {
				if c.Required {
					return bad(fmt.Sprintf("第 %d 行的“%s”还没填", i+1, c.Label))
				}
				continue
			}
			p := f.malformed(c, cell)
			if p == nil {
				p = first(f.meaning(c, cell))
			}
			if p != nil && !p.Warn {
				return bad(fmt.Sprintf("第 %d 行的“%s”：%s", i+1, c.Label, p.Text))
			}
		}
	}
	return nil
}
