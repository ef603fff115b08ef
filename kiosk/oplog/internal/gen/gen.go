// Package gen turns the event catalogue of the operation log into code and
// into the manual's table, so that what the program may log, what auditors
// read about it and what the constants are called never drift apart. It
// refuses a catalogue with a hole in it.
package gen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/format"
	"regexp"
	"slices"
	"strings"
)

// Catalogue is kiosk/oplog/events.json.
type Catalogue struct {
	Version int      `json:"version"`
	Common  []string `json:"common"` // fields that every event may carry
	Events  []Event  `json:"events"`
}

// Event is one kind of happening.
type Event struct {
	ID     string   `json:"id"`
	Kind   string   `json:"kind"` // single, begin or end
	End    string   `json:"end"`  // id of the end, for begin
	Roles  []string `json:"roles"`
	Fields []string `json:"fields"`
	Text   string   `json:"text"`  // plain Chinese
	About  string   `json:"about"` // for the manual, plain Chinese
}

var (
	idShape    = regexp.MustCompile(`^[a-z]+(\.[a-z]+(_[a-z]+)*)+$`)
	fieldShape = regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	roles      = []string{"resident", "staff", "technician", "system"}
)

// Parse reads and checks a catalogue.
func Parse(text []byte) (Catalogue, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var c Catalogue
	if err := d.Decode(&c); err != nil {
		return Catalogue{}, fmt.Errorf("event catalogue: %w", err)
	}
	byID := map[string]Event{}
	for _, e := range c.Events {
		if _, twice := byID[e.ID]; twice {
			return Catalogue{}, fmt.Errorf("event catalogue: %q stands there twice", e.ID)
		}
		byID[e.ID] = e
	}
	for _, f := range c.Common {
		if !fieldShape.MatchString(f) {
			return Catalogue{}, fmt.Errorf("event catalogue: common field %q is not lower_case", f)
		}
	}
	ended := map[string]bool{}
	for _, e := range c.Events {
		if err := e.check(c, byID, ended); err != nil {
			return Catalogue{}, fmt.Errorf("event catalogue: %q: %w", e.ID, err)
		}
	}
	for _, e := range c.Events {
		if e.Kind == "end" && !ended[e.ID] {
			return Catalogue{}, fmt.Errorf("event catalogue: %q ends nothing", e.ID)
		}
	}
	return c, nil
}

func (e Event) check(c Catalogue, byID map[string]Event, ended map[string]bool) error {
	if !idShape.MatchString(e.ID) {
		return fmt.Errorf("id is not of the form area.what")
	}
	switch e.Kind {
	case "single", "end":
		if e.End != "" {
			return fmt.Errorf("only a begin has an end")
		}
	case "begin":
		if byID[e.End].Kind != "end" {
			return fmt.Errorf("its end %q is no end", e.End)
		}
		ended[e.End] = true
	default:
		return fmt.Errorf("kind %q is not single, begin or end", e.Kind)
	}
	if e.Text == "" || len(e.Roles) == 0 {
		return fmt.Errorf("text or roles are missing")
	}
	for _, r := range e.Roles {
		if !slices.Contains(roles, r) {
			return fmt.Errorf("role %q is not one of %v", r, roles)
		}
	}
	for i, f := range e.Fields {
		if !fieldShape.MatchString(f) || slices.Contains(c.Common, f) || slices.Contains(e.Fields[:i], f) {
			return fmt.Errorf("field %q is not lower_case, is common or stands there twice", f)
		}
	}
	return nil
}

// Name is the Go name of an event: case.submit becomes CaseSubmit.
func (e Event) Name() string {
	var b strings.Builder
	for _, w := range strings.FieldsFunc(e.ID, func(r rune) bool { return r == '.' || r == '_' }) {
		b.WriteString(strings.ToUpper(w[:1]) + w[1:])
	}
	return b.String()
}

// Go writes events_gen.go.
func (c Catalogue) Go() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("// Code generated from events.json by go generate; DO NOT EDIT.\n\npackage oplog\n\n")
	fmt.Fprintf(&b, "// CatalogueVersion is the version of events.json.\nconst CatalogueVersion = %d\n\n", c.Version)
	b.WriteString("// The events.\nconst (\n")
	for _, e := range c.Events {
		fmt.Fprintf(&b, "%s Event = %q // %s\n", e.Name(), e.ID, e.Text)
	}
	b.WriteString(")\n\n// commonFields may stand in every event.\n")
	fmt.Fprintf(&b, "var commonFields = %#v\n\n", c.Common)
	b.WriteString("// Events lists the catalogue in its order.\nvar Events = []Event{\n")
	for _, e := range c.Events {
		fmt.Fprintf(&b, "%s,\n", e.Name())
	}
	b.WriteString("}\n\nvar catalogue = map[Event]Spec{\n")
	for _, e := range c.Events {
		kind := map[string]string{"single": "Single", "begin": "Begins", "end": "Ends"}[e.Kind]
		fmt.Fprintf(&b, "%s: {Kind: %s, End: %q, Roles: %#v, Fields: %#v, Text: %q},\n", e.Name(), kind, e.End, e.Roles, e.Fields, e.Text)
	}
	b.WriteString("}\n")
	src, err := format.Source(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("format the event constants: %w", err)
	}
	return src, nil
}

var roleWords = map[string]string{"resident": "办事人", "staff": "工作人员", "technician": "技术员", "system": "终端自己"}

// Manual writes the manual's table.
func (c Catalogue) Manual() []byte {
	var b bytes.Buffer
	b.WriteString("<!-- Generated from kiosk/oplog/events.json by go generate. Do not edit. -->\n")
	b.WriteString("# 操作日志记什么\n\n")
	fmt.Fprintf(&b, "事件目录第 %d 版，共 %d 种。姓名、身份证号等个人信息从不写进日志；个人部分另行密封，日志只记它的摘要。\n\n", c.Version, len(c.Events))
	fmt.Fprintf(&b, "每种事件都可以带这些字段：`%s`。\n\n", strings.Join(c.Common, "`、`"))
	b.WriteString("结果：`ok` 成功，`failed` 失败，`refused` 被拒绝，`begin` 开始，`end` 结束。\n\n")
	b.WriteString("| 事件 | 意思 | 谁引起 | 成对 | 字段 | 说明 |\n|---|---|---|---|---|---|\n")
	for _, e := range c.Events {
		who := make([]string, len(e.Roles))
		for i, r := range e.Roles {
			who[i] = roleWords[r]
		}
		pair := "单条"
		switch e.Kind {
		case "begin":
			pair = "开始，结束是 `" + e.End + "`"
		case "end":
			pair = "结束"
		}
		fields := ""
		if len(e.Fields) > 0 {
			fields = "`" + strings.Join(e.Fields, "`、`") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", e.ID, e.Text, strings.Join(who, "、"), pair, fields, e.About)
	}
	return b.Bytes()
}
