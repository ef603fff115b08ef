package vendor

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"cunban/device"
)

func TestParseRefuses(t *testing.T) {
	for name, line := range map[string]string{
		"nothing": "", "array": "[]", "two objects": `{"type":"bye"}{"type":"bye"}`, "no type": `{}`, "other type": `{"type":"shell"}`,
		"hello without version": `{"type":"hello","name":"a"}`, "hello without name": `{"type":"hello","version":1}`,
		"name with a person's number": `{"type":"hello","version":1,"name":"140830195603120024"}`,
		"name with a line end":        `{"type":"hello","version":1,"name":"a\nb"}`,
		"improper capability":         `{"type":"hello","version":1,"name":"a","can":["rm -rf"]}`,
		"other state":                 `{"type":"health","state":"happy"}`, "unknown is no state to tell": `{"type":"health","state":"unknown"}`,
		"cause in words": `{"type":"health","state":"fault","cause":"王小明的卡坏了"}`, "other remedy": `{"type":"health","state":"fault","remedy":"kick"}`,
		"reply without id": `{"type":"reply","ok":true}`, "reply of both minds": `{"type":"reply","id":1,"ok":true,"error":"busy"}`,
		"reply of no mind": `{"type":"reply","id":1}`, "event without name": `{"type":"event","id":1}`,
		"negative id": `{"type":"reply","id":-1,"ok":true}`, "over-long": `{"type":"bye","x":"` + strings.Repeat("x", MaxLine) + `"}`,
	} {
		_, err := Parse([]byte(line))
		if !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "王") {
			t.Errorf("%s: the error quotes the line: %v", name, err)
		}
	}
}

// TestManualShowsTheProtocol holds the manual's examples to the parser.
func TestManualShowsTheProtocol(t *testing.T) {
	b, err := os.ReadFile("../../assets/manual/vendor-driver.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[kind]int{}
	for line := range strings.Lines(string(b)) {
		who, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch who {
		case "驱动→":
			m, err := Parse([]byte(text))
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			seen[m.Type]++
		case "终端→":
			if !json.Valid([]byte(text)) {
				t.Errorf("no JSON: %s", text)
			}
		}
	}
	for _, k := range []kind{hello, health, reply, event, bye} {
		if seen[k] == 0 {
			t.Errorf("no example of %s", k)
		}
	}
	for key := range causes {
		if !strings.Contains(string(b), "`"+key+"`") {
			t.Errorf("cause %s is not explained", key)
		}
	}
	for key := range remedies {
		if !strings.Contains(string(b), "`"+key+"`") {
			t.Errorf("remedy %s is not explained", key)
		}
	}
}

func TestCausesHaveRemedies(t *testing.T) {
	for key, c := range causes {
		if remedies[c.remedy] == "" {
			t.Errorf("%s: no remedy %q", key, c.remedy)
		}
	}
	for _, s := range device.States {
		h := ofDriver(Message{Type: health, State: s})
		if !h.State.Usable() && (h.Code == "" || h.Cause == "" || h.Remedy == "") {
			t.Errorf("%s: %+v", s, h)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"type":"hello","version":1,"name":"灯板","can":["lights.set"],"demo":true}`,
		`{"type":"health","state":"absent","cause":"unplugged","remedy":"replug","code":"E17"}`,
		`{"type":"reply","id":2,"ok":true,"result":{"image":"Qk0="}}`, `{"type":"reply","id":3,"ok":false,"error":"wrong_pin","left":4}`,
		`{"type":"event","id":3,"event":"pin.old","typed":2}`, `{"type":"bye"}`, `{"type":"bye"`, "\xff", `[{}]`, `{"type":null,"id":1e400}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := Parse(line)
		if err != nil {
			if !errors.Is(err, ErrProtocol) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		if m.Type == health {
			h := ofDriver(m)
			if h.State != device.StateReady && h.State != device.StateLow && (h.Cause == "" || h.Remedy == "") {
				t.Fatalf("no words for %+v", m)
			}
		}
		if !printable(m.Name) {
			t.Fatalf("name %q", m.Name)
		}
		if m.Type == reply && m.OK == (m.Error != "") {
			t.Fatalf("reply of two minds: %+v", m)
		}
		_, _, _ = wholeLines(line, true)
	})
}
