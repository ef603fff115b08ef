package form

import (
	"errors"
	"fmt"
	"strings"

	"cunban/kiosk/catalog"
)

// ErrSample is returned by FillSample when the form cannot be filled here.
var ErrSample = errors.New("form: no sample answers make the form complete")

// samplePasses bounds how often FillSample goes over the form: each answer may
// show new questions below it.
const samplePasses = 8

// FillSample fills every visible required question that has no good answer yet
// with a made-up valid one, captures included, and gives all consents that
// must be given: for training, and for tests that submit all services. Answers
// that are there and right are left alone.
func FillSample(f *Form) error {
	for range samplePasses {
		done := true
		for _, fd := range f.fields {
			if f.Visible(fd) && len(f.judge(fd)) > 0 {
				done = f.sample(fd) && done
			}
		}
		for i := range f.svc.Materials {
			if m := &f.svc.Materials[i]; f.checkMaterial(m) != nil {
				f.Set(MaterialKey(m.Name), Value{Pages: 1, Deferred: !f.ctx.Devices.Scan})
			}
		}
		if done && len(f.Problems()) == 0 {
			return nil
		}
	}
	var b strings.Builder
	for _, p := range f.Problems() {
		fmt.Fprintf(&b, " %s/%s", p.Field, p.Code)
	}
	return fmt.Errorf("%w: %s:%s", ErrSample, f.svc.ID, b.String())
}

// sample tries made-up answers until one has no problem, and for choices does
// not lead to a question that cannot be answered here.
func (f *Form) sample(fd *catalog.Field) bool {
	for _, v := range f.candidates(fd) {
		f.Set(fd.Name, v)
		if len(f.judge(fd)) == 0 && !f.deadEnd() {
			return true
		}
	}
	return false
}

// deadEnd tells whether a question that must be answered cannot be.
func (f *Form) deadEnd() bool {
	for _, fd := range f.fields {
		if f.RequiredNow(fd) && fd.Type == catalog.PIN && !f.ctx.Devices.PINPad {
			return true
		}
	}
	return false
}

// sampleIDs are made-up numbers with right check digits.
var sampleIDs = []string{"140830195603120024", "142723194809051237", "140830198707144518", "140830199301080125"}

// sampleCredit are the first 17 characters of a made-up unified social credit
// code.
const sampleCredit = "91140830MA0EXAMP0"

func (f *Form) candidates(fd *catalog.Field) []Value {
	today := f.ctx.Today
	texts := func(list ...string) []Value {
		out := make([]Value, len(list))
		for i, t := range list {
			out[i] = Value{Text: t}
		}
		return out
	}
	switch fd.Type {
	case catalog.Text, catalog.VoiceText:
		check, _ := creditCheck(sampleCredit)
		return texts("李示例", "示例文字", "S00012345678901", "A12345678", "044600", sampleCredit+string(check))
	case catalog.IDNo:
		return texts(sampleIDs...)
	case catalog.Phone:
		return texts("13800000000", "13900000000")
	case catalog.Date, catalog.Month:
		layout := catalog.DateLayout
		if fd.Type == catalog.Month {
			layout = monthLayout
		}
		var list []string
		for _, days := range []int{0, -1, 1, 2, 3, 4, 5, -30, -200, 30, -700} {
			list = append(list, today.AddDate(0, 0, days).Format(layout))
		}
		return texts(append(list, "1956-03-12")...)
	case catalog.Year:
		y := today.Year()
		return texts(fmt.Sprint(y), fmt.Sprint(y-1), fmt.Sprint(y-2), "2010")
	case catalog.Number, catalog.Money:
		return texts("1", "6", "12", "60", "2000", "0")
	case catalog.Select, catalog.Bool, catalog.BackendSelect:
		var out []Value
		for _, c := range f.Options(fd) {
			out = append(out, Value{Text: c.Code})
		}
		return out
	case catalog.MultiSelect:
		var out []Value
		for _, c := range f.Options(fd) {
			out = append(out, Value{List: []string{c.Code}})
		}
		return out
	case catalog.Region6:
		return texts("140830", "610100", "110101")
	case catalog.Region12:
		return texts(f.ctx.Region, "140830100204")
	case catalog.BankCard:
		return texts("6217000000000000003", "6228480000000000000", "621700000000000000")
	case catalog.DocScan:
		return []Value{{Pages: max(1, fd.Rules.MinPages)}, {Deferred: true}}[deferFirst(!f.ctx.Devices.Scan):]
	case catalog.Photo:
		return []Value{{Pages: max(1, fd.Rules.MinPages)}, {Deferred: true}}[deferFirst(!f.ctx.Devices.Camera):]
	case catalog.Face:
		return []Value{{Pages: 1}}
	case catalog.Signature:
		return []Value{{Strokes: max(6, fd.Rules.MinStrokes)}}
	case catalog.Consent:
		return texts("1")
	case catalog.PIN:
		return []Value{{Pages: 1}} // at the pad
	case catalog.Table:
		row := map[string]string{}
		for i := range fd.Rules.Columns {
			c := &fd.Rules.Columns[i]
			for _, v := range f.candidates(c) {
				if f.malformed(c, tidy(c, v)) == nil {
					row[c.Name] = v.Text
					break
				}
			}
		}
		out := Value{}
		for range max(1, fd.Rules.MinRows) {
			out.Rows = append(out.Rows, row)
		}
		return []Value{out}
	}
	return nil
}

// deferFirst skips the capture among candidates where there is no device.
func deferFirst(missing bool) int {
	if missing {
		return 1
	}
	return 0
}
