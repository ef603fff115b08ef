package form_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cunban/kiosk/catalog"
	"cunban/kiosk/form"
)

// oneService loads a made-up catalogue of one service with the given fields
// (JSON) and materials.
func oneService(t testing.TB, fields, materials string) (*catalog.Service, *catalog.Catalogue) {
	t.Helper()
	services := `{"version":"2026.1.1","date":"2026-01-01","services":[{"id":"X01","category":"找工作","name":"试","short":"试",
		"pinyin":"sh","popular":1,"applicant":"任何人","time_limit_days":0,"time_limit_basis":"试","time_limit_status":"draft",
		"result":"试","self_service":true,"mode":"self","kind":"apply","agent_allowed":true,"risk":"low",
		"materials":[` + materials + `],"fields":[` + fields + `]}]}`
	codes := `{"version":"2026.1.1","codes":{"abc":{"title":"试","items":[{"code":"a","label":"甲"},{"code":"b","label":"乙"},
		{"code":"c","label":"丙"},{"code":"f","label":"刷脸","needs":"face"},{"code":"p","label":"密码","needs":"pinpad"},
		{"code":"k","label":"比对","needs":"backend"}]}}}`
	c, err := catalog.Load([]byte(services), []byte(codes))
	if err != nil {
		t.Fatal(err)
	}
	return c.Service("X01"), c
}

// field writes one field of a made-up service.
func field(name, typ, rest string) string {
	return fmt.Sprintf(`{"name":%q,"label":"标签","ask":"问","type":%q,"required":true,"source":"user"%s}`, name, typ, rest)
}

func TestRulesOfOneField(t *testing.T) {
	text := func(s string) form.Value { return form.Value{Text: s} }
	list := func(s ...string) form.Value { return form.Value{List: s} }
	long := strings.Repeat("长", 6)
	for _, c := range []struct {
		name, typ, rest string
		value           form.Value
		want            string // code of the problem, "" = fine, "!x" = warning
	}{
		{"text", "text", `,"validation":{"max_len":5}`, text("五个字以内"), ""},
		{"text too long", "text", `,"validation":{"max_len":5}`, text(long), "length"},
		{"voice too long", "voice_text", `,"validation":{"max_len":5}`, text(long), "length"},
		{"text missing", "text", ``, text("  \u200b\x00"), "required"},
		{"pattern", "text", `,"validation":{"pattern":"^[A-Z0-9]{3}$"}`, text("a b1"), ""}, // written large and without blanks
		{"pattern broken", "text", `,"validation":{"pattern":"^[A-Z0-9]{3}$"}`, text("ab1c"), "pattern"},
		{"name", "text", `,"validation":{"rule":"cn_name"}`, text("张示例"), ""},
		{"name with dot", "text", `,"validation":{"rule":"cn_name"}`, text("示例·热合曼"), ""},
		{"name rare", "text", `,"validation":{"rule":"cn_name"}`, text("𠮷磑"), ""},
		{"name latin", "text", `,"validation":{"rule":"cn_name"}`, text("Zhang"), "rule"},
		{"name of one", "text", `,"validation":{"rule":"cn_name"}`, text("张"), "rule"},
		{"name ends in dot", "text", `,"validation":{"rule":"cn_name"}`, text("示例·"), "rule"},
		{"credit code", "text", `,"validation":{"rule":"gb32100"}`, text("91350100M000100Y43"), ""},
		{"credit code small", "text", `,"validation":{"rule":"gb32100"}`, text("91350100m000100y43"), ""},
		{"credit code wrong", "text", `,"validation":{"rule":"gb32100"}`, text("91350100M000100Y44"), "rule"},
		{"credit code letter I", "text", `,"validation":{"rule":"gb32100"}`, text("91350100I000100Y43"), "rule"},
		{"id", "idno", ``, text("140830195603120024"), ""},
		{"id full width, blanks", "idno", ``, text("１40830 19560312 0024"), ""},
		{"id old prefix", "idno", ``, text("142723194809051237"), ""},
		{"id short", "idno", ``, text("14083019560312002"), "format"},
		{"id check digit", "idno", ``, text("140830195603120025"), "format"},
		{"id impossible date", "idno", ``, text("140830200102290010"), "format"},
		{"phone", "phone", `,"validation":{"pattern":"^1[3-9]\\d{9}$"}`, text("138 0000 0000"), ""},
		{"phone that nobody has", "phone", ``, text(""), "!required"},
		{"phone short", "phone", `,"validation":{"pattern":"^1[3-9]\\d{9}$"}`, text("1380000000"), "pattern"},
		{"phone letters", "phone", ``, text("abcdefghijk"), "format"},
		{"date", "date", `,"validation":{"min":"today","max":"+30d"}`, text("2026-11-25"), ""},
		{"date last", "date", `,"validation":{"min":"today","max":"+30d"}`, text("2026-12-25"), ""},
		{"date early", "date", `,"validation":{"min":"today","max":"+30d"}`, text("2026-11-24"), "min"},
		{"date late", "date", `,"validation":{"min":"today","max":"+30d"}`, text("2026-12-26"), "max"},
		{"date impossible", "date", ``, text("2026-02-30"), "format"},
		{"date a year ago", "date", `,"validation":{"min":"-12m"}`, text("2025-11-25"), ""},
		{"date more than a year ago", "date", `,"validation":{"min":"-12m","msg":"过期了"}`, text("2025-11-24"), "min"},
		{"date fixed", "date", `,"validation":{"min":"1900-01-01"}`, text("1899-12-31"), "min"},
		{"date of today", "date", `,"validation":{"equals":"today"}`, text("2026-11-25"), ""},
		{"date not of today", "date", `,"validation":{"equals":"today"}`, text("2026-11-24"), "equals"},
		{"workday", "date", `,"validation":{"workday":true}`, text("2026-11-27"), ""},
		{"saturday", "date", `,"validation":{"workday":true}`, text("2026-11-28"), "workday"},
		{"month", "month", `,"validation":{"min":"today"}`, text("2026-11"), ""},
		{"month early", "month", `,"validation":{"min":"today"}`, text("2026-10"), "min"},
		{"month late", "month", `,"validation":{"max":"today"}`, text("2026-12"), "max"},
		{"month 13", "month", ``, text("2026-13"), "format"},
		{"year", "year", `,"validation":{"min":2009,"max":"this_year"}`, text("2009"), ""},
		{"year early", "year", `,"validation":{"min":2009,"max":"this_year"}`, text("2008"), "min"},
		{"year late", "year", `,"validation":{"max":"last_year"}`, text("2026"), "max"},
		{"year of five", "year", ``, text("20260"), "format"},
		{"number", "number", `,"validation":{"min":1,"max":10}`, text("１0"), ""},
		{"number small", "number", `,"validation":{"min":1,"max":10}`, text("0"), "min"},
		{"number big", "number", `,"validation":{"min":1,"max":10}`, text("11"), "max"},
		{"number with point", "number", ``, text("1.5"), "format"},
		{"number negative", "number", ``, text("-1"), "format"},
		{"money", "money", `,"validation":{"max":30}`, text("29.99"), ""},
		{"money too fine", "money", ``, text("1.234"), "format"},
		{"money warn", "money", `,"validation":{"max":30,"level":"warn"}`, text("31"), "!max"},
		{"select", "select", `,"codes":"abc"`, text("a"), ""},
		{"select unknown", "select", `,"codes":"abc"`, text("z"), "option"},
		{"select needs face", "select", `,"codes":"abc"`, text("f"), "option"},
		{"select needs pin pad", "select", `,"codes":"abc"`, text("p"), "option"},
		{"select needs backend", "select", `,"codes":"abc"`, text("k"), "option"},
		{"select must", "select", `,"codes":"abc","validation":{"must_equal":"b"}`, text("a"), "must"},
		{"select must warn", "select", `,"codes":"abc","validation":{"must_equal":"b","level":"warn"}`, text("a"), "!must"},
		{"select warn if", "select", `,"codes":"abc","validation":{"warn_if":"c"}`, text("c"), "!choice"},
		{"multi", "multiselect", `,"codes":"abc","validation":{"max_items":2}`, list("c", "a", "c"), ""},
		{"multi too many", "multiselect", `,"codes":"abc","validation":{"max_items":2}`, list("c", "a", "b"), "items"},
		{"multi unknown", "multiselect", `,"codes":"abc"`, list("a", "z"), "option"},
		{"multi missing", "multiselect", `,"codes":"abc"`, list(), "required"},
		{"bool", "bool", ``, text("0"), ""},
		{"bool unknown", "bool", ``, text("2"), "option"},
		{"region6", "region6", `,"validation":{"pattern":"^\\d{6}$"}`, text("140830"), ""},
		{"region6 long", "region6", ``, text("1408300"), "format"},
		{"region12", "region12", ``, text("140830100204"), ""},
		{"region12 short", "region12", ``, text("140830100"), "format"},
		{"bank", "bankcard", `,"validation":{"rule":"luhn"}`, text("6217 0000 0000 0000 003"), "rule"},
		{"bank luhn", "bankcard", `,"validation":{"rule":"luhn"}`, text("79927398713"), ""},
		{"bank luhn warn", "bankcard", `,"validation":{"rule":"luhn","level":"warn","pattern":"^\\d{11,22}$"}`, text("79927398710"), "!rule"},
		{"bank pattern stops though level is warn", "bankcard", `,"validation":{"rule":"luhn","level":"warn","pattern":"^\\d{12,22}$"}`, text("79927398713"), "pattern"},
		{"scan", "doc_scan", `,"validation":{"min_pages":2,"max_pages":3}`, form.Value{Pages: 2}, ""},
		{"scan few", "doc_scan", `,"validation":{"min_pages":2,"max_pages":3}`, form.Value{Pages: 1}, "pages"},
		{"scan many", "doc_scan", `,"validation":{"min_pages":2,"max_pages":3}`, form.Value{Pages: 4}, "pages"},
		{"scan later", "doc_scan", `,"validation":{"min_pages":2,"max_pages":3}`, form.Value{Deferred: true}, ""},
		{"scan missing", "doc_scan", ``, form.Value{}, "required"},
		{"photo later", "photo", ``, form.Value{Deferred: true}, ""},
		{"face cannot come later", "face", ``, form.Value{Deferred: true}, "required"},
		{"signature", "signature", `,"validation":{"min_strokes":3}`, form.Value{Strokes: 3}, ""},
		{"signature short", "signature", `,"validation":{"min_strokes":3}`, form.Value{Strokes: 2}, "format"},
		{"consent", "consent", ``, text("1"), ""},
		{"consent refused", "consent", ``, text("0"), "must"},
		{"consent may be refused", "consent", `,"validation":{"must":false}`, text("0"), ""},
		{"pin", "pin", `,"validation":{"not_weak":true}`, text("739415"), ""},
		{"pin short", "pin", ``, text("123"), "format"},
		{"pin same digits", "pin", `,"validation":{"not_weak":true}`, text("777777"), "weak"},
		{"pin up", "pin", `,"validation":{"not_weak":true}`, text("789012"), "weak"},
		{"pin down", "pin", `,"validation":{"not_weak":true}`, text("654321"), "weak"},
		{"pin twice", "pin", `,"validation":{"not_weak":true}`, text("479479"), "weak"},
		{"pin birthday", "pin", `,"validation":{"not_weak":true}`, text("560312"), "weak"},
		{"pin day first", "pin", `,"validation":{"not_weak":true}`, text("120356"), "weak"},
		{"pin in the number", "pin", `,"validation":{"not_weak":true}`, text("120024"), "weak"},
		{"backend", "backend_select", `,"validation":{"endpoint":"job"}`, text("r1"), ""},
		{"backend unknown", "backend_select", `,"validation":{"endpoint":"job"}`, text("r9"), "option"},
		{"table", "table", table, form.Value{Rows: []map[string]string{{"who": "张示例", "id": "140830195603120024", "x": "dropped"}}}, ""},
		{"table few", "table", table, form.Value{}, "required"},
		{"table hole", "table", table, form.Value{Rows: []map[string]string{{"id": "140830195603120024"}}}, "rows"},
		{"table bad cell", "table", table, form.Value{Rows: []map[string]string{{"who": "张示例", "id": "1"}}}, "rows"},
		{"table bad name", "table", table, form.Value{Rows: []map[string]string{{"who": "x", "id": "140830195603120024"}}}, "rows"},
		{"table many", "table", table, form.Value{Rows: make([]map[string]string, 3)}, "rows"},
	} {
		t.Run(c.name, func(t *testing.T) {
			svc, cat := oneService(t, field("x", c.typ, c.rest), "")
			d := all()
			d.Face, d.PINPad = c.typ == "face", c.typ == "pin"
			f := form.New(svc, cat, form.Context{Today: today, Claim: zhang(t, "social_card"), Devices: d, Options: online()}, false)
			f.Set("x", c.value)
			got, p := "", f.Check("x")
			if p != nil {
				if got = p.Code; p.Warn {
					got = "!" + got
				}
				if p.Text == "" || strings.ContainsAny(p.Text, "%{}") {
					t.Errorf("text %q", p.Text)
				}
			}
			if got != c.want {
				t.Errorf("got %q, want %q (%+v)", got, c.want, p)
			}
			if n := len(f.Problems()); (n == 0) != (c.want == "") {
				t.Errorf("Problems has %d", n)
			}
		})
	}
}

const table = `,"validation":{"min_rows":1,"max_rows":2,"columns":[
	{"name":"who","label":"姓名","ask":"谁","type":"text","required":true,"source":"user","validation":{"rule":"cn_name"}},
	{"name":"id","label":"证号","ask":"号","type":"idno","required":true,"source":"user"},
	{"name":"note","label":"说明","ask":"说","type":"text","required":false,"source":"user"}]}`

func TestMessageOfTheCatalogueIsShown(t *testing.T) {
	svc, cat := oneService(t, field("x", "date", `,"validation":{"min":"-12m","msg":"过期了，请换一张"}`), "")
	f := form.New(svc, cat, form.Context{Today: today}, false)
	f.Set("x", form.Value{Text: "2020-01-01"})
	if p := f.Check("x"); p == nil || p.Text != "过期了，请换一张" {
		t.Errorf("%+v", p)
	}
}

func TestFieldsAgainstEachOther(t *testing.T) {
	svc, cat := oneService(t, field("a", "year", "")+","+field("b", "year", `,"validation":{"ge":"a"}`)+","+
		field("n", "number", "")+","+field("m", "number", `,"validation":{"ge":"n"}`)+","+
		field("p", "pin", "")+","+field("q", "pin", `,"validation":{"equals":"p","msg":"两次不一样"}`), "")
	f := form.New(svc, cat, form.Context{Today: today, Devices: all()}, false)
	for name, v := range map[string]string{"a": "2020", "b": "2019", "n": "10", "m": "9", "p": "739415", "q": "739416"} {
		f.Set(name, form.Value{Text: v})
	}
	for name, code := range map[string]string{"a": "", "b": "ge", "m": "ge", "q": "equals"} {
		if p := f.Check(name); (p == nil) != (code == "") || p != nil && p.Code != code {
			t.Errorf("%s: %+v, want %q", name, p, code)
		}
	}
	f.Set("b", form.Value{Text: "2020"})
	f.Set("m", form.Value{Text: "10"}) // as numbers, not as text
	f.Set("q", form.Value{Text: "739415"})
	if p := f.Problems(); len(p) != 0 {
		t.Errorf("%+v", p)
	}
}

func TestWorkdaysOfTheCountyAreUsed(t *testing.T) {
	svc, cat := oneService(t, field("x", "date", `,"validation":{"workday":true}`), "")
	ctx := form.Context{Today: today, Workday: func(d time.Time) bool { return d.Weekday() == time.Saturday }}
	f := form.New(svc, cat, ctx, false)
	f.Set("x", form.Value{Text: "2026-11-28"})
	if p := f.Check("x"); p != nil {
		t.Errorf("a Saturday made up for a holiday: %+v", p)
	}
	f.Set("x", form.Value{Text: "2026-11-27"})
	if p := f.Check("x"); p == nil {
		t.Error("a holiday passes")
	}
}
