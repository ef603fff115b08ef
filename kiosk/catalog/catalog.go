// Package catalog is the catalogue as data: service items (事项), their
// materials, form fields, code lists and limits. It loads a version, checks it
// whole, and refuses a broken one naming file, line and what is allowed, so
// that the version before stays in use.
//
// A Catalogue is immutable after loading and safe for concurrent use.
package catalog

import (
	"cmp"
	"slices"
	"strings"
)

// Catalogue is one checked version.
type Catalogue struct {
	Version  string // e.g. "2026.11.1"; never goes back
	Date     string // YYYY-MM-DD of the version
	Sources  []string
	Services []Service
	Codes    map[string]CodeList
	Agent    []Field // the shared 代办人 block
	byID     map[string]*Service
}

// Category is one of the four groups on the home page.
type Category string

// Categories, in the order of the home page.
const (
	FindWork  Category = "找工作"
	Learn     Category = "学技术"
	Insurance Category = "办社保"
	UseCard   Category = "用社保卡"
)

// Service is one of the 40 items.
type Service struct {
	ID         string     `json:"id"`
	Category   Category   `json:"category"`
	Name       string     `json:"name"`
	Short      string     `json:"short"`  // ≤ 9 characters, for tiles and the top bar
	Pinyin     string     `json:"pinyin"` // initials, for the search
	Applicant  string     `json:"applicant"`
	Materials  []Material `json:"materials"`
	Fields     []Field    `json:"fields"`
	LimitDays  int        `json:"time_limit_days"` // working days, 0 = at once
	LimitBasis string     `json:"time_limit_basis"`
	// LimitStatus says how firm the limit is; a draft one is shown with
	// "以县人社局公布为准".
	LimitStatus LimitStatus `json:"time_limit_status"`
	Notice      []string    `json:"notice"` // plain sentences for the notice page, read aloud
	Result      string      `json:"result"`
	Self        bool        `json:"self_service"`
	Mode        string      `json:"mode"`
	Kind        Kind        `json:"kind"`
	AgentOK     bool        `json:"agent_allowed"`
	Risk        Risk        `json:"risk"`
	Notes       string      `json:"notes"`
	NameStatus  string      `json:"name_status"`
	Popular     int         `json:"popular"` // order on the tiles, lower first
}

// Kind of service.
type Kind string

// Kinds.
const (
	Apply Kind = "apply" // makes a case
	Ask   Kind = "query" // answers from upstream or a dated local copy
)

// LimitStatus tells where a time limit comes from.
type LimitStatus string

// Limit statuses.
const (
	LimitStatutory LimitStatus = "statutory" // a law or regulation names it
	LimitPublished LimitStatus = "published" // a published guide names it
	LimitDraft     LimitStatus = "draft"     // ours, until the county publishes one
)

// Risk grade (社会保险经办条例 37).
type Risk string

// Risks. High needs a second person.
const (
	Low    Risk = "low"
	Medium Risk = "medium"
	High   Risk = "high"
)

// Material is one thing to bring or capture.
type Material struct {
	Name      string       `json:"name"`
	Kind      MaterialKind `json:"kind"`
	Required  bool         `json:"required"`
	Note      string       `json:"note"`
	Field     string       `json:"field,omitempty"`      // the doc_scan or photo field that captures it, "" = captured as material
	VisibleIf string       `json:"visible_if,omitempty"` // when it is asked for; "" = always

	visible Cond
}

// VisibleWhen returns the parsed visible_if.
func (m *Material) VisibleWhen() Cond { return m.visible }

// MaterialKind tells how a material is given.
type MaterialKind string

// Material kinds.
const (
	ByCard    MaterialKind = "card_read"
	ByScan    MaterialKind = "doc_scan"
	ByPhoto   MaterialKind = "photo_capture"
	ByForm    MaterialKind = "e_form"
	ByBackend MaterialKind = "backend_check"
	ByPaper   MaterialKind = "paper"
)

// FieldType is the closed set of field types.
type FieldType string

// Field types; kiosk/form handles every one.
const (
	Text          FieldType = "text"
	IDNo          FieldType = "idno"
	Phone         FieldType = "phone"
	Date          FieldType = "date"  // YYYY-MM-DD
	Month         FieldType = "month" // YYYY-MM
	Year          FieldType = "year"  // YYYY
	Number        FieldType = "number"
	Money         FieldType = "money" // yuan, at most two decimals
	Select        FieldType = "select"
	MultiSelect   FieldType = "multiselect"
	Bool          FieldType = "bool" // "1" or "0"
	Region6       FieldType = "region6"
	Region12      FieldType = "region12"
	BankCard      FieldType = "bankcard"
	DocScan       FieldType = "doc_scan"
	Photo         FieldType = "photo"
	Face          FieldType = "face"
	Signature     FieldType = "signature"
	Consent       FieldType = "consent"
	PIN           FieldType = "pin"
	BackendSelect FieldType = "backend_select"
	Table         FieldType = "table"
	VoiceText     FieldType = "voice_text"
)

// Source tells where an answer comes from first.
type Source string

// Sources.
const (
	FromCard    Source = "card"
	FromBackend Source = "backend"
	FromDevice  Source = "device"
	FromUser    Source = "user"
)

// Field is one question of a form.
type Field struct {
	Name     string    `json:"name"`
	Label    string    `json:"label"`
	Ask      string    `json:"ask"` // the question as a person asks it: 您每年交哪一档？
	Hint     string    `json:"hint"`
	Type     FieldType `json:"type"`
	Required bool      `json:"required"`
	ReadOnly bool      `json:"readonly"`
	Source   Source    `json:"source"`
	Codes    []Code    `json:"-"` // resolved: from a named list or the field's own
	CodeList string    `json:"-"` // name of the list, "" when the field holds its own
	Rules    Rules     `json:"validation"`
}

// Code is one choice.
type Code struct {
	Code  string `json:"code"`
	Label string `json:"label"`
	Note  string `json:"note,omitempty"`  // small second line: 政府补 60 元
	Needs string `json:"needs,omitempty"` // what must be there so that it is offered: NeedsFace, NeedsPINPad, NeedsBackend
}

// CodeList is a named list of choices.
type CodeList struct {
	Title    string `json:"title"`
	Standard string `json:"standard"`
	Status   string `json:"status"`
	Items    []Code `json:"items"`
}

// Service returns the item with an id, or nil.
func (c *Catalogue) Service(id string) *Service { return c.byID[id] }

// ByCategory returns the items of a category, most used first.
func (c *Catalogue) ByCategory(cat Category) []*Service {
	var out []*Service
	for i := range c.Services {
		if c.Services[i].Category == cat {
			out = append(out, &c.Services[i])
		}
	}
	slices.SortStableFunc(out, func(a, b *Service) int { return cmp.Compare(a.Popular, b.Popular) })
	return out
}

// Find returns the items whose pinyin initials hold the typed letters, capitals
// or not: first those that begin with them, then those that hold them further
// in, each most used first. No letters give every item.
func (c *Catalogue) Find(letters string) []*Service {
	letters = strings.ToLower(strings.TrimSpace(letters))
	var begin, within []*Service
	for i := range c.Services {
		s := &c.Services[i]
		switch at := strings.Index(s.Pinyin, letters); {
		case at == 0:
			begin = append(begin, s)
		case at > 0:
			within = append(within, s)
		}
	}
	byUse := func(a, b *Service) int { return cmp.Compare(a.Popular, b.Popular) }
	slices.SortStableFunc(begin, byUse)
	slices.SortStableFunc(within, byUse)
	return append(begin, within...)
}
