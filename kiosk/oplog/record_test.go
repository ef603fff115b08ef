package oplog

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"cunban/kiosk/oplog/internal/gen"
)

func TestGeneratedFilesAreCurrent(t *testing.T) {
	text, err := os.ReadFile("events.json")
	if err != nil {
		t.Fatal(err)
	}
	c, err := gen.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	src, err := c.Go()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"events_gen.go": src, "../../assets/manual/operation-log-events.md": c.Manual()} {
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what events.json says (%v): run go generate ./kiosk/oplog", name, err)
		}
	}
	if len(c.Events) != len(Events) || len(Events) != len(catalogue) {
		t.Errorf("%d events in the file, %d in the program", len(c.Events), len(Events))
	}
}

func TestGeneratorRefuses(t *testing.T) {
	one := `{"version":1,"common":["code"],"events":[%]}`
	for name, events := range map[string]string{
		"twice":         `{"id":"a.b","kind":"single","roles":["system"],"text":"x"},{"id":"a.b","kind":"single","roles":["system"],"text":"x"}`,
		"id":            `{"id":"A","kind":"single","roles":["system"],"text":"x"}`,
		"kind":          `{"id":"a.b","kind":"double","roles":["system"],"text":"x"}`,
		"role":          `{"id":"a.b","kind":"single","roles":["boss"],"text":"x"}`,
		"no role":       `{"id":"a.b","kind":"single","text":"x"}`,
		"no text":       `{"id":"a.b","kind":"single","roles":["system"]}`,
		"common again":  `{"id":"a.b","kind":"single","roles":["system"],"text":"x","fields":["code"]}`,
		"no end":        `{"id":"a.b","kind":"begin","end":"a.c","roles":["system"],"text":"x"}`,
		"no begin":      `{"id":"a.b","kind":"end","roles":["system"],"text":"x"}`,
		"end of single": `{"id":"a.b","kind":"single","end":"a.b","roles":["system"],"text":"x"}`,
		"unknown":       `{"id":"a.b","kind":"single","roles":["system"],"text":"x","colour":1}`,
	} {
		if _, err := gen.Parse([]byte(strings.Replace(one, "%", events, 1))); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := gen.Parse([]byte(strings.Replace(one, "%", `{"id":"a.b","kind":"single","roles":["system"],"text":"x"}`, 1))); err != nil {
		t.Errorf("a good one: %v", err)
	}
}

// What is promised about the events that must exist.
func TestPairs(t *testing.T) {
	for _, e := range Events {
		s, ok := e.Spec()
		if !ok || s.Text == "" || e.Text() != s.Text {
			t.Errorf("%s: %+v", e, s)
		}
		n := Entry{Event: e, Role: s.Roles[0]}.Normal()
		if err := n.Check(); err != nil {
			t.Errorf("%s with the usual outcome: %v", e, err)
		}
		switch s.Kind {
		case Single:
			if n.Outcome != OK {
				t.Errorf("%s: %s", e, n.Outcome)
			}
		case Begins:
			if end, ok := s.End.Spec(); n.Outcome != Begin || !ok || end.Kind != Ends {
				t.Errorf("%s ends with %q", e, s.End)
			}
		case Ends:
			if n.Outcome != End {
				t.Errorf("%s: %s", e, n.Outcome)
			}
		}
	}
	if Event("from.future").Text() != "from.future" {
		t.Error("an unknown event has no text")
	}
}

func TestEntryCheck(t *testing.T) {
	good := func() Entry {
		return Entry{Event: CaseSubmit, Outcome: OK, Role: RoleResident, Fields: map[string]string{"mode": "self", "service": "S01"}}
	}
	if err := good().Check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Entry){
		"event":     func(e *Entry) { e.Event = "case.eat" },
		"role":      func(e *Entry) { e.Role = RoleTechnician },
		"no role":   func(e *Entry) { e.Role = "" },
		"outcome":   func(e *Entry) { e.Outcome = Begin },
		"outcome 2": func(e *Entry) { e.Outcome = "fine" },
		"field":     func(e *Entry) { e.Fields["name"] = "x" },
		"long":      func(e *Entry) { e.Fields["mode"] = strings.Repeat("x", maxValue+1) },
		"utf-8":     func(e *Entry) { e.Fields["mode"] = "\xff" },
		"private":   func(e *Entry) { e.Private = []byte("short") },
		"account":   func(e *Entry) { e.Account = strings.Repeat("x", maxWord+1) },
		// The specimen number of GB 11643-1999 itself.
		"id number":    func(e *Entry) { e.Fields["reason"] = "11010519491231002X" },
		"id number in": func(e *Entry) { e.Fields["reason"] = "号码是11010519491231002x。" },
	} {
		e := good()
		spoil(&e)
		if err := e.Check(); !errors.Is(err, ErrEntry) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "1949") {
			t.Errorf("%s: the error shows the number", name)
		}
	}
	// One digit off is no ID number; a receipt number must not be refused.
	e := good()
	e.Fields["reason"] = "110105194912310021"
	if err := e.Check(); err != nil {
		t.Error(err)
	}
	if !CaseSubmit.Lawful("mode") || !CaseSubmit.Lawful("code") || CaseSubmit.Lawful("name") || Event("x").Lawful("code") {
		t.Error("Lawful")
	}
}

// Even the largest lawful entry fits into a record.
func TestLargestRecordFits(t *testing.T) {
	wild := strings.Repeat("\x01", maxValue)
	for _, ev := range Events {
		s, _ := ev.Spec()
		e := Entry{Event: ev, Role: s.Roles[0], Account: wild[:maxWord], CaseID: wild[:maxWord], Device: wild[:maxWord],
			Fields: map[string]string{}, Private: make([]byte, HashSize)}
		for _, f := range slices.Concat(s.Fields, commonFields) {
			e.Fields[f] = wild
		}
		if err := e.Normal().Check(); err != nil {
			t.Fatal(err)
		}
		r := e.Record(Stamp{Seq: 1 << 62, Wall: time.Unix(0, 0), Mono: -1 << 63, BootID: "b", Version: "v"})
		r.MAC = make([]byte, HashSize)
		if _, err := Decode(r.Encode()); err != nil {
			t.Errorf("%s: %v", ev, err)
		}
	}
}

func TestEncodeDecode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genRecord(t)
		line := r.Encode()
		if bytes.ContainsAny(line, "\n\r") || !utf8.Valid(line) || !json.Valid(line) {
			t.Fatalf("not one line of JSON: %q", line)
		}
		got, err := Decode(line)
		if err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if !same(got, r) {
			t.Fatalf("%+v became %+v", r, got)
		}
		if want := r.Wall.Format(timeLayout); !bytes.Contains(line, []byte(`"time":"`+want+`"`)) {
			t.Fatalf("the time of %s is not %s", line, want)
		}
		// Another JSON reader sees the same words.
		var m struct {
			Account string
			Fields  map[string]string
			Seq     int64
			Time    time.Time
		}
		if err := json.Unmarshal(line, &m); err != nil || m.Account != r.Account || m.Seq != r.Seq || !m.Time.Equal(r.Wall) ||
			len(m.Fields) != len(r.Fields) {
			t.Fatalf("encoding/json reads %+v, %v", m, err)
		}
	})
}

func TestEncodeMendsWhatCannotBeWritten(t *testing.T) {
	r := Record{Event: HelpCall, Outcome: OK, Role: RoleResident, Device: "a\xffb", Wall: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)}
	got, err := Decode(r.Encode())
	if err != nil || got.Device != "a\ufffdb" || !got.Wall.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
}

const goldenLine = `{"account":"1408300007","boot":"b1","case":"0195","demo":true,"device":"printer","event":"print.end","fields":{"code":"E\"\\1","paper":"receipt"},"mac":"` +
	`000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f","mono":-5,"outcome":"failed","private":"` +
	`1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100","role":"staff","seq":17,"session":3,"time":"2026-03-02T09:08:07.000000012Z","version":"1.0 \u0007村"}`

// Computed by: printf '\000%s' "$line" | openssl dgst -sm3
const goldenLeaf = "a9d9e43fccf301509343ff6d10e34ab413e9dd0f2efdc028f0dddea6eb8e6419"

func goldenRecord() Record {
	r := Record{
		Seq: 17, Event: PrintEnd, Outcome: Failed, Role: RoleStaff, Account: "1408300007", Session: 3, CaseID: "0195",
		Device: "printer", Wall: time.Date(2026, 3, 2, 17, 8, 7, 12, time.FixedZone("CST", 8*3600)), Mono: -5, BootID: "b1",
		Version: "1.0 \a村", Demo: true, Fields: map[string]string{"paper": "receipt", "code": `E"\1`},
	}
	for i := range byte(HashSize) {
		r.MAC = append(r.MAC, i)
		r.Private = append(r.Private, HashSize-1-i)
	}
	return r
}

func TestGoldenRecord(t *testing.T) {
	if got := string(goldenRecord().Encode()); got != goldenLine {
		t.Errorf("encoded\n%s\ninstead of\n%s", got, goldenLine)
	}
	if got, err := Decode([]byte(goldenLine)); err != nil || !same(got, goldenRecord()) {
		t.Errorf("decoded %+v, %v", got, err)
	}
	if got := hex.EncodeToString(LeafHash([]byte(goldenLine))); got != goldenLeaf {
		t.Errorf("leaf %s instead of %s", got, goldenLeaf)
	}
}

func TestLeafHashWithOpenSSL(t *testing.T) {
	path := openssl(t)
	for _, line := range []string{"", goldenLine} {
		cmd := exec.Command(path, "dgst", "-sm3", "-r")
		cmd.Stdin = strings.NewReader("\x00" + line)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		want, _, _ := strings.Cut(string(out), " ")
		if got := hex.EncodeToString(LeafHash([]byte(line))); got != want {
			t.Errorf("leaf %s, openssl says %s", got, want)
		}
	}
}

func TestDecodeTakesOnlyTheCanonicalForm(t *testing.T) {
	for _, change := range [][2]string{
		{`"seq":17`, `"seq":017`}, {`"seq":17`, `"seq":+17`}, {`"seq":17`, `"seq":-17`}, {`"seq":17`, `"seq":1.7e1`},
		{`"seq":17`, `"seq": 17`}, {`"session":3`, `"session":0`}, {`"demo":true,`, `"demo":false,`},
		{`"0001`, `"0001` + "00"}, {`0a0b0c`, `0A0B0C`}, {`\u0007`, `\u0027`}, {`\u0007`, "\a"}, {`\\1`, `\\\u0031`},
		{`"code":"E\"\\1","paper":"receipt"`, `"paper":"receipt","code":"E\"\\1"`},
		{`"code":"E\"\\1",`, `"paper":"receipt",`}, {`"fields":{"code":"E\"\\1","paper":"receipt"},`, `"fields":{},`},
		{`"account":"1408300007",`, `"account":"",`}, {`012Z`, `012+00:00`}, {`.000000012Z`, `.12Z`}, {`"staff"`, `"boss"`},
		{`"failed"`, `"fine"`}, {`"event":"print.end"`, `"event":""`}, {`村`, "\xe6\x9d"}, {`}`, `},`}, {`"version"`, `"colour":"x","version"`},
	} {
		line := strings.Replace(goldenLine, change[0], change[1], 1)
		if line == goldenLine {
			t.Fatalf("%q is not in the line", change[0])
		}
		if _, err := Decode([]byte(line)); !errors.Is(err, ErrRecord) {
			t.Errorf("%q as %q: %v", change[0], change[1], err)
		}
	}
	for i := range goldenLine {
		if _, err := Decode([]byte(goldenLine[:i])); !errors.Is(err, ErrRecord) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	if _, err := Decode([]byte(goldenLine + "\n")); !errors.Is(err, ErrRecord) {
		t.Errorf("with newline: %v", err)
	}
	if _, err := Decode(bytes.Repeat([]byte("x"), MaxRecord+1)); !errors.Is(err, ErrRecord) {
		t.Errorf("too long: %v", err)
	}
	if _, err := Decode([]byte(strings.Replace(goldenLine, "print.end", "from.future", 1))); err != nil {
		t.Errorf("an event of another version: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(goldenLine))
	f.Add(Record{Event: HelpCall, Outcome: OK, Role: RoleResident}.Encode())
	f.Add([]byte(`{"event":"\u00`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := Decode(line)
		if err == nil && !bytes.Equal(r.Encode(), line) {
			t.Errorf("%q is written %q", line, r.Encode())
		}
	})
}

func TestDescribe(t *testing.T) {
	r := goldenRecord()
	if got := r.Describe(); got != "打印结束：失败" {
		t.Errorf("%q", got)
	}
	r.Outcome = OK
	if got := r.Describe(); got != "打印结束" {
		t.Errorf("%q", got)
	}
}
