package upstream

import (
	"encoding/json"
	"testing"

	"cunban/kiosk/cases"
	"cunban/sync/wire"
)

// FuzzAnswers reads what a terminal sealed as answers: whatever it is, a record
// comes out, and masked it never repeats what was written.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"fields":{"pay_grade":{"v":"300","src":"user"},"x":{"v":["a","b"]},"t":{"v":[{"k":"v"}]},"s":{"pages":2}},"materials":{"m":{"deferred":true}}}`))
	f.Add([]byte(`{"fields":{"x":{"v":{"deep":[1,2]}}}}`))
	f.Add([]byte(`null`))
	c := testCounty(f, f.TempDir())
	f.Fuzz(func(t *testing.T, b []byte) {
		d := Dossier{Body: cases.Body{Service: "S01", Answers: json.RawMessage(b)}}
		for _, a := range c.Record(d, true).Answers {
			if a.Value != "＊＊＊" {
				t.Errorf("masked answer of %q is %q", a.Field, a.Value)
			}
		}
		c.Record(d, false)
	})
}

// FuzzList reads what a terminal asks for in a list against any object.
func FuzzList(f *testing.F) {
	f.Add([]byte(`{"id":"A","region":"140830100"}`), "140830100008", "焊工", "k", "v")
	f.Add([]byte(`[1]`), "", "", "", "")
	f.Fuzz(func(t *testing.T, data []byte, region, text, key, value string) {
		rank, _ := matches(data, wire.ListIn{Region: region, Text: text, Filter: map[string]string{key: value}}, "2026-11-25")
		if rank < 0 || rank > 3 {
			t.Errorf("rank %d", rank)
		}
	})
}

// FuzzCursor reads a cursor: what is taken is written the same way again, or
// means the same place.
func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add("17")
	f.Add("-1")
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := parseCursor(s)
		if !ok {
			return
		}
		if m, again := parseCursor(cursor(n)); n < 0 || !again || m != n {
			t.Errorf("%q is %d, then %d", s, n, m)
		}
	})
}
