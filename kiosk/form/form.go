// Package form holds a resident's answers to one service.
package form

import (
	"time"

	"cunban/kiosk/catalog"
	"cunban/kiosk/resident"
)

// Answers are the values by field name.
type Answers map[string]Value

// Value is one answer.
type Value struct {
	Text     string
	List     []string
	Rows     []map[string]string
	Source   catalog.Source
	Pages    int
	Strokes  int
	Deferred bool
}

// Roles of whoever sits at the screen.
const (
	RoleResident = "resident"
	RoleStaff    = "staff"
)

// Context is what the form knows beyond the answers.
type Context struct {
	Today     time.Time
	Region    string
	Claim     resident.Claim
	Backend   map[string]string
	Options   map[string][]catalog.Code // backend_select field name or endpoint → options
	Workday   func(time.Time) bool      // nil = Monday to Friday
	Role      string
	Devices   Devices
	Divisions Divisions
}

// Devices is what the terminal has.
type Devices struct{ Scan, Camera, Face, PINPad bool }

// Divisions gives names for division codes.
type Divisions interface {
	Provinces() []catalog.Code
	Counties(province string) []catalog.Code
	Towns(county string) []catalog.Code
	Villages(town string) []catalog.Code
	Name(code string) string
}

// StepKind is what a step asks for.
type StepKind string

// Step kinds.
const (
	StepKnown     StepKind = "known"
	StepQuestion  StepKind = "question"
	StepGroup     StepKind = "group"
	StepMaterial  StepKind = "material"
	StepSignature StepKind = "signature"
)

// Step is one page of the form.
type Step struct {
	Kind     StepKind
	Title    string
	Sub      string
	Fields   []*catalog.Field
	Material *catalog.Material
	Options  []catalog.Code
	Blocked  string
	Skip     bool
	Mend     string
}

// Problem is what is wrong with one answer.
type Problem struct {
	Field, Code, Text string
	Warn              bool
}

// Line is one line of the review page.
type Line struct {
	Label, Text string
	Source      catalog.Source
	Field       string
	Editable    bool
	Warn        string
}

// Form is one filled or half-filled form.
type Form struct{ svc *catalog.Service }

// New begins a form.
func New(svc *catalog.Service, cat *catalog.Catalogue, ctx Context, agent bool) *Form {
	return &Form{svc: svc}
}

// Load opens a returned case.
func Load(svc *catalog.Service, cat *catalog.Catalogue, ctx Context, json []byte, mend []string) (*Form, error) {
	return &Form{svc: svc}, nil
}

// Steps lists the pages visible now.
func (f *Form) Steps() []Step { return nil }

// Set puts an answer.
func (f *Form) Set(field string, v Value) {}

// Get returns an answer.
func (f *Form) Get(field string) Value { return Value{} }

// Visible tells whether a field is asked now.
func (f *Form) Visible(fd *catalog.Field) bool { return false }

// RequiredNow tells whether a field must be answered now.
func (f *Form) RequiredNow(fd *catalog.Field) bool { return false }

// Check returns the first problem of a field, nil = fine.
func (f *Form) Check(field string) *Problem { return nil }

// CheckStep returns the first problem of a step, nil = fine.
func (f *Form) CheckStep(s Step) *Problem { return nil }

// Problems lists what is wrong in the whole form.
func (f *Form) Problems() []Problem { return nil }

// Summary is the review page.
func (f *Form) Summary() []Line { return nil }

// JSON is the canonical form of the answers.
func (f *Form) JSON() ([]byte, error) { return nil, nil }

// Consents are the consent fields taken after review.
func (f *Form) Consents() []*catalog.Field { return nil }

// NoticeConsent is the consent taken on the notice page, nil when none.
func (f *Form) NoticeConsent() *catalog.Field { return nil }

// SignatureField is the signature field visible now, nil when none.
func (f *Form) SignatureField() *catalog.Field { return nil }

// Outstanding lists labels of deferred materials.
func (f *Form) Outstanding() []string { return nil }

// Field returns a field of the form by name, nil when there is none.
func (f *Form) Field(name string) *catalog.Field { return nil }

// Wipe forgets every answer.
func (f *Form) Wipe() {}

// FillSample fills a form with made-up answers.
func FillSample(f *Form) error { return nil }
