package upstream

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/catalog"
	"cunban/kiosk/form"
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
		r.Files = append(r.Files, FileView{Name: f.Name, Material: f.Material, Page: f.Page, MIME: f.MIME, Size: f.Size, Here: !f.DoneAt.IsZero()})
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

// answersOf reads kiosk/form's JSON and puts it in the order of the form with
// labels and choices in words.
func (c *County) answersOf(b cases.Body) []Answer {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b.Answers, &raw); err != nil {
		return nil // shown as no answers; the body was sealed like this
	}
	out := []Answer{}
	done := map[string]bool{}
	add := func(name, label string, f *catalog.Field) {
		v, ok := raw[name]
		if !ok || done[name] {
			return
		}
		done[name] = true
		out = append(out, Answer{Field: name, Label: label, Value: words(v, f)})
	}
	if s := c.cat.Service(b.Service); s != nil {
		for i := range s.Fields {
			add(s.Fields[i].Name, s.Fields[i].Label, &s.Fields[i])
		}
	}
	for i := range c.cat.Agent {
		add(c.cat.Agent[i].Name, c.cat.Agent[i].Label, &c.cat.Agent[i])
	}
	rest := make([]string, 0, len(raw))
	for name := range raw {
		rest = append(rest, name)
	}
	slices.Sort(rest)
	for _, name := range rest {
		add(name, name, nil)
	}
	return out
}

// words writes one answer: a form.Value, or plain JSON of an older form.
func words(raw json.RawMessage, f *catalog.Field) string {
	var v form.Value
	if err := json.Unmarshal(raw, &v); err != nil {
		var s string
		if err := json.Unmarshal(raw, &s); err == nil {
			return choice(s, f)
		}
		return string(raw)
	}
	switch {
	case v.Deferred:
		return "补交"
	case len(v.List) > 0:
		l := make([]string, len(v.List))
		for i, s := range v.List {
			l[i] = choice(s, f)
		}
		return strings.Join(l, "、")
	case len(v.Rows) > 0:
		var rows []string
		for _, row := range v.Rows {
			keys := make([]string, 0, len(row))
			for k := range row {
				keys = append(keys, k)
			}
			slices.Sort(keys)
			var cells []string
			for _, k := range keys {
				cells = append(cells, k+"："+row[k])
			}
			rows = append(rows, strings.Join(cells, "，"))
		}
		return strings.Join(rows, "；")
	case v.Text != "":
		return choice(v.Text, f)
	case v.Pages > 0:
		return "见扫描件"
	case v.Strokes > 0:
		return "已签名"
	}
	return ""
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
