package upstream

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/catalog"
	"cunban/kiosk/resident"
	"cunban/sync/wire"
)

// CaseView is a case as lists and the command line show it: nothing of what a
// resident wrote.
type CaseView struct {
	ID          string            `json:"id"`
	Acceptance  string            `json:"acceptance"`
	Service     string            `json:"service"`
	ServiceName string            `json:"service_name"`
	State       CaseState         `json:"state"`
	StateName   string            `json:"state_name"`
	Revision    int               `json:"revision"`
	Terminal    string            `json:"terminal"`
	Region      string            `json:"region"`
	Mode        string            `json:"mode"`
	Staff       string            `json:"staff,omitempty"`
	Demo        bool              `json:"demo"`
	Claim       wire.VerifyResult `json:"claim,omitempty"`
	ReceivedAt  time.Time         `json:"received_at"`
	AcceptedAt  *time.Time        `json:"accepted_at,omitempty"`
	Due         string            `json:"due,omitempty"`
	DaysLeft    *int              `json:"days_left,omitempty"` // working days; negative = over
	Note        string            `json:"note,omitempty"`
	Mend        []wire.Mend       `json:"mend,omitempty"`
}

// View makes the view of a case.
func (c *County) View(row Case) CaseView {
	v := CaseView{ID: row.ID, Acceptance: row.Acceptance, Service: row.Service, ServiceName: c.ServiceName(row.Service),
		State: row.State, StateName: row.State.Name(), Revision: row.Revision, Terminal: row.Terminal, Region: row.Region,
		Mode: row.Mode, Staff: row.Staff, Demo: row.Demo, Claim: row.Claim, ReceivedAt: row.ReceivedAt, Due: row.Due,
		Note: row.Note, Mend: row.Mend}
	if !row.AcceptedAt.IsZero() {
		at := row.AcceptedAt
		v.AcceptedAt = &at
	}
	switch row.State {
	case StateAccepted, StateProcessing:
		if n, ok := c.o.Calendar.WorkingDaysLeft(c.now().In(zone), row.Due); ok {
			v.DaysLeft = &n
		}
	case StateIncomplete, StateReturned, StateFinished, StateRefused:
	}
	return v
}

// Name is the state in plain words.
func (s CaseState) Name() string {
	switch s {
	case StateIncomplete:
		return "等扫描件"
	case StateAccepted:
		return "已受理"
	case StateProcessing:
		return "办理中"
	case StateReturned:
		return "退回补正"
	case StateFinished:
		return "已办结"
	case StateRefused:
		return "不予办理"
	}
	return string(s)
}

// ServiceName is the name of a service, or its id when it is not known.
func (c *County) ServiceName(id string) string {
	if s := c.cat.Service(id); s != nil {
		return s.Name
	}
	return id
}

// Answer is one answer in words.
type Answer struct {
	Field string `json:"field"`
	Label string `json:"label"`
	Value string `json:"value"`
}

// Record is a dossier as people read it.
type Record struct {
	CaseView
	Applicant   Applicant   `json:"applicant"`
	Answers     []Answer    `json:"answers"`
	Signed      bool        `json:"signed"`
	Confirmed   bool        `json:"confirmed"`
	Outstanding []string    `json:"outstanding,omitempty"`
	Files       []FileView  `json:"files"`
	Events      []EventView `json:"events"`
	Masked      bool        `json:"masked"`
}

// Applicant is who a case is from.
type Applicant struct {
	Name         string                `json:"name"`
	Number       string                `json:"number"`
	Source       resident.Source       `json:"source"`
	Verification resident.Verification `json:"verification"`
	VerifiedBy   string                `json:"verified_by,omitempty"`
}

// FileView is one file of a case.
type FileView struct {
	Name     string `json:"name"`
	Revision int    `json:"revision"` // it came with
	Material string `json:"material"`
	Page     int    `json:"page"`
	MIME     string `json:"mime"`
	Size     int64  `json:"size"`
	Here     bool   `json:"here"`
}

// EventView is one line of a case's history.
type EventView struct {
	At    time.Time `json:"at"`
	State CaseState `json:"state"`
	Text  string    `json:"text"`
	By    string    `json:"by,omitempty"`
}

// Record writes a dossier in words. Masked, nothing in it names the person:
// answers keep their labels only.
func (c *County) Record(d Dossier, masked bool) Record {
	p := d.Body.Applicant
	r := Record{CaseView: c.View(d.Case), Masked: masked, Signed: len(d.Body.Signature) > 0, Confirmed: d.Body.Confirmed,
		Outstanding: d.Body.Outstanding, Answers: c.answersOf(d.Body), Files: []FileView{}, Events: []EventView{},
		Applicant: Applicant{Name: p.Name, Number: p.Number, Source: p.Source, Verification: p.Verification, VerifiedBy: p.VerifiedBy}}
	for _, f := range d.Files {
		r.Files = append(r.Files, FileView{Name: f.Name, Revision: f.Revision, Material: f.Material, Page: f.Page, MIME: f.MIME, Size: f.Size, Here: !f.DoneAt.IsZero()})
	}
	for _, e := range d.Events {
		r.Events = append(r.Events, EventView{At: e.At, State: e.State, Text: e.Text, By: e.By})
	}
	if masked {
		r.Applicant.Name = resident.NewName(p.Name).String()
		n, _ := resident.ParseIDNumber(p.Number) // an unreadable number shows as nothing
		r.Applicant.Number = n.String()
		for i := range r.Answers {
			r.Answers[i].Value = "＊＊＊"
		}
	}
	return r
}

// answers is kiosk/form's JSON as far as people read it.
type answers struct {
	Fields    map[string]answer `json:"fields"`
	Materials map[string]answer `json:"materials"`
}

type answer struct {
	V        json.RawMessage `json:"v"`
	Pages    int             `json:"pages"`
	Strokes  int             `json:"strokes"`
	Deferred bool            `json:"deferred"`
}

// answersOf reads kiosk/form's JSON and puts it in the order of the form with
// labels and choices in words.
func (c *County) answersOf(b cases.Body) []Answer {
	out := []Answer{}
	var doc answers
	if err := json.Unmarshal(b.Answers, &doc); err != nil {
		return out // shown as no answers; the body was sealed like this
	}
	add := func(name, label string, f *catalog.Field) {
		if a, ok := doc.Fields[name]; ok {
			out = append(out, Answer{Field: name, Label: label, Value: a.words(f)})
			delete(doc.Fields, name)
		}
	}
	if s := c.cat.Service(b.Service); s != nil {
		for i := range s.Fields {
			add(s.Fields[i].Name, s.Fields[i].Label, &s.Fields[i])
		}
	}
	for i := range c.cat.Agent {
		add(c.cat.Agent[i].Name, c.cat.Agent[i].Label, &c.cat.Agent[i])
	}
	// What this catalogue does not know.
	for _, name := range slices.Sorted(maps.Keys(doc.Fields)) {
		add(name, name, nil)
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Materials)) {
		out = append(out, Answer{Field: name, Label: name, Value: doc.Materials[name].words(nil)})
	}
	return out
}

// words writes one answer.
func (a answer) words(f *catalog.Field) string {
	var text string
	var list []string
	var rows []map[string]string
	switch {
	case a.Deferred:
		return "补交"
	case a.Pages > 0:
		return fmt.Sprintf("见扫描件，%d 页", a.Pages)
	case a.Strokes > 0:
		return "已签名"
	case len(a.V) == 0:
		return ""
	case json.Unmarshal(a.V, &text) == nil:
		return choice(text, f)
	case json.Unmarshal(a.V, &list) == nil:
		for i, s := range list {
			list[i] = choice(s, f)
		}
		return strings.Join(list, "、")
	case json.Unmarshal(a.V, &rows) == nil:
		var lines []string
		for _, row := range rows {
			var cells []string
			for _, k := range slices.Sorted(maps.Keys(row)) {
				cells = append(cells, k+"："+row[k])
			}
			lines = append(lines, strings.Join(cells, "，"))
		}
		return strings.Join(lines, "；")
	}
	return string(a.V)
}

func choice(s string, f *catalog.Field) string {
	if f == nil {
		return s
	}
	if f.Type == catalog.Bool || f.Type == catalog.Consent {
		switch s {
		case "1":
			return "是"
		case "0":
			return "否"
		}
	}
	for _, c := range f.Codes {
		if c.Code == s {
			return c.Label
		}
	}
	return s
}

// FieldLabel is the label of a field of a service; "" when there is none.
func (c *County) FieldLabel(service, field string) string {
	s := c.cat.Service(service)
	if s == nil {
		return ""
	}
	for _, f := range s.Fields {
		if f.Name == field {
			return f.Label
		}
	}
	return ""
}
