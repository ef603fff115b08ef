package catalog

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

const goodCodes = `{"version":"2026.1.1","codes":{
"abc":{"title":"试","items":[{"code":"a","label":"甲"},{"code":"b","label":"乙"}]}
}}`

// goodServices is a small sound catalogue; tests break one thing in it.
const goodServices = `{"version":"2026.1.1","date":"2026-01-01","services":[
{"id":"X01","category":"找工作","name":"试","short":"试","pinyin":"sh","popular":1,"applicant":"任何人",
"time_limit_days":3,"time_limit_basis":"试","time_limit_status":"draft","result":"试","self_service":true,"mode":"self",
"kind":"apply","agent_allowed":true,"risk":"low",
"materials":[{"name":"证","kind":"doc_scan","required":true,"field":"scan"}],
"fields":[
{"name":"one","label":"一","ask":"选","type":"select","required":true,"source":"user","codes":"abc"},
{"name":"two","label":"二","ask":"填","type":"number","required":true,"source":"user","validation":{"min":1,"max":9,"visible_if":"one=a"}},
{"name":"scan","label":"证","ask":"拍","type":"doc_scan","required":true,"source":"device","validation":{"max_pages":3}},
{"name":"yes","label":"是","ask":"要吗","type":"bool","required":true,"source":"user","codes":[{"code":"1","label":"要"},{"code":"0","label":"不要"}]}
]}
]}`

func TestGoodCatalogueLoads(t *testing.T) {
	c, err := Load([]byte(goodServices), []byte(goodCodes))
	if err != nil {
		t.Fatal(err)
	}
	if f := c.Service("X01").Fields; len(f) != 4 || f[0].Codes[1].Label != "乙" || f[3].Codes[0].Label != "要" {
		t.Errorf("%+v", f)
	}
}

// TestBrokenCatalogueNamesThePlace breaks one thing at a time: the error names
// file, line and what would be right.
func TestBrokenCatalogueNamesThePlace(t *testing.T) {
	for _, c := range []struct{ what, old, new, place, want string }{
		{"unknown key", `"ask":"填"`, `"ask":"填","colour":"red"`, "services.json:8", `unknown key "colour"`},
		{"unknown rule", `"max":9`, `"most":9`, "services.json:8", `unknown key "most"`},
		{"wrong type of a value", `"required":true,"source":"user","validation"`, `"required":"yes","source":"user","validation"`, "services.json:8", "true, false"},
		{"unknown field type", `"type":"number"`, `"type":"nummer"`, "services.json:8", "number, money"},
		{"unknown source", `"source":"device"`, `"source":"moon"`, "services.json:9", "card, backend, device, user"},
		{"duplicate field", `"name":"two"`, `"name":"one"`, "services.json:8", `field "one" is given twice`},
		{"duplicate service", "\n]}\n]}", "\n]},\n" + strings.TrimSuffix(goodServices[strings.Index(goodServices, `{"id"`):], "\n]}") + "\n]}", "services.json:12", `"X01" is given twice`},
		{"missing code list", `"codes":"abc"`, `"codes":"xyz"`, "services.json:7", `"xyz" does not exist (allowed: abc)`},
		{"select without codes", `,"codes":"abc"`, ``, "services.json:7", "must have codes"},
		{"codes on a number", `"validation":{"min"`, `"codes":"abc","validation":{"min"`, "services.json:8", "only on select and multiselect"},
		{"bool with other codes", `{"code":"0","label":"不要"}`, `{"code":"2","label":"不要"}`, "services.json:10", "first 1 (yes), then 0 (no)"},
		{"bad pattern", `"max_pages":3`, `"max_pages":3,"pattern":"("`, "services.json:9", "pattern"},
		{"rule on the wrong type", `"max_pages":3`, `"max_items":3`, "services.json:9", "only on multiselect"},
		{"bad condition", `one=a`, `one~a`, "services.json:8", condHelp},
		{"condition on nothing", `one=a`, `nine=a`, "services.json:8", `names field "nine"`},
		{"condition on an impossible answer", `one=a`, `one=z`, "services.json:8", `"z" is not a code of one`},
		{"min above max", `"min":1`, `"min":10`, "services.json:8", "min 10 is greater than max 9"},
		{"bad bound", `"min":1`, `"min":"soon"`, "services.json:8", boundHelp},
		{"date bound on a number", `"min":1`, `"min":"today"`, "services.json:8", "a number"},
		{"age without default", `"codes":"abc"`, `"codes":"abc","validation":{"assume_from_age":30}`, "services.json:7", "without a default"},
		{"default that is no code", `"codes":"abc"`, `"codes":"abc","validation":{"default":"z"}`, "services.json:7", "not a code of this field"},
		{"material of no field", `"field":"scan"`, `"field":"one"`, "services.json:5", `field "one" does not capture a material (allowed: scan)`},
		{"unknown category", `"找工作"`, `"玩"`, "services.json:2", "找工作, 学技术, 办社保, 用社保卡"},
		{"limit out of range", `"time_limit_days":3`, `"time_limit_days":999`, "services.json:3", "0 to 250"},
		{"unknown risk", `"risk":"low"`, `"risk":"tiny"`, "services.json:4", "low, medium, high"},
		{"bad id", `"X01"`, `"X1"`, "services.json:2", "two digits"},
		{"long short name", `"short":"试"`, `"short":"试试试试试试试试试试"`, "services.json:2", "at most 9"},
		{"bad pinyin", `"pinyin":"sh"`, `"pinyin":"Sh"`, "services.json:2", "small letters"},
		{"long ask", `"ask":"填"`, `"ask":"` + strings.Repeat("填", 17) + `"`, "services.json:8", "at most 16"},
		{"user field without ask", `"ask":"填",`, ``, "services.json:8", "must have an ask"},
		{"bad version", `"version":"2026.1.1","date"`, `"version":"1","date"`, "services.json:1", "year.month.number"},
		{"other version", `"version":"2026.1.1","date"`, `"version":"2026.1.2","date"`, "codes.json", "another catalogue"},
		{"key twice", `"ask":"填"`, `"ask":"填","ask":"填"`, "services.json:8", `"ask" is given twice`},
		{"not JSON", `"ask":"填"`, `"ask":填`, "services.json:8", "not a readable JSON file"},
		{"more after the end", "\n]}\n]}", "\n]}\n]} {}", "services.json:12", "more after the end"},
	} {
		t.Run(c.what, func(t *testing.T) {
			if !strings.Contains(goodServices, c.old) {
				t.Fatalf("%q is not in the good catalogue", c.old)
			}
			_, err := Load([]byte(strings.Replace(goodServices, c.old, c.new, 1)), []byte(goodCodes))
			var one Error
			if err == nil || !errors.As(err, &one) {
				t.Fatalf("loads: %v", err)
			}
			if !strings.Contains(err.Error(), c.place) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s … %s", err, c.place, c.want)
			}
		})
	}
}

func TestBrokenCodesNameThePlace(t *testing.T) {
	for _, c := range []struct{ what, old, new, place, want string }{
		{"code twice", `"code":"b"`, `"code":"a"`, "codes.json:2", `code "a" is given twice`},
		{"empty list", `[{"code":"a","label":"甲"},{"code":"b","label":"乙"}]`, `[]`, "codes.json:2", "at least one code"},
		{"unknown need", `"label":"甲"`, `"label":"甲","needs":"luck"`, "codes.json:2", "face, pinpad, backend"},
		{"unknown key", `"label":"甲"`, `"label":"甲","lable":"x"`, "codes.json:2", "code, label, note, needs"},
		{"code that conditions cannot name", `"code":"b"`, `"code":"b c"`, "codes.json:2", "letters, digits"},
		{"no lists", `"codes":{`, `"lists":{`, "codes.json:1", "object of code lists"},
	} {
		t.Run(c.what, func(t *testing.T) {
			_, err := Load([]byte(goodServices), []byte(strings.Replace(goodCodes, c.old, c.new, 1)))
			if err == nil || !strings.Contains(err.Error(), c.place) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s … %s", err, c.place, c.want)
			}
		})
	}
}

func TestEveryFaultIsCollected(t *testing.T) {
	broken := strings.NewReplacer(`"type":"number"`, `"type":"nummer"`, `"risk":"low"`, `"risk":"tiny"`).Replace(goodServices)
	_, err := Load([]byte(broken), []byte(goodCodes), "new/services.json", "new/codes.json")
	var all Errors
	if !errors.As(err, &all) || len(all) < 2 || all[0].File != "new/services.json" {
		t.Errorf("%v", err)
	}
	many := Errors{}
	for i := range 30 {
		many = append(many, Error{File: "f", Line: i + 1, Text: "t"})
	}
	if s := many.Error(); !strings.Contains(s, "… and 10 more") || strings.Contains(s, "f:21") {
		t.Error(s)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(goodServices), []byte(goodCodes))
	f.Add([]byte(`{"services":[{"fields":[{"validation":{"columns":[{}]}}]}]}`), []byte(`{"codes":{"a":{}}}`))
	f.Fuzz(func(t *testing.T, services, codes []byte) {
		c, err := Load(services, codes)
		if (c == nil) == (err == nil) {
			t.Fatalf("catalogue %v with error %v", c, err)
		}
		if err != nil && err.Error() == "" {
			t.Fatal("an error without words")
		}
		if c != nil {
			_ = fmt.Sprint(c.Find("a"), c.ByCategory(FindWork))
		}
	})
}
