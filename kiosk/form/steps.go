package form

import (
	"slices"
	"strings"

	"cunban/kiosk/catalog"
)

// StepKind is what a step asks for.
type StepKind string

// Step kinds.
const (
	StepKnown     StepKind = "known"    // filled answers, to look at
	StepQuestion  StepKind = "question" // one field
	StepGroup     StepKind = "group"    // several fields that belong together
	StepMaterial  StepKind = "material" // one thing to capture
	StepSignature StepKind = "signature"
)

// Step is one page of the form.
type Step struct {
	Kind     StepKind
	Title    string            // the question as a person asks it
	Sub      string            // a smaller line below it
	Fields   []*catalog.Field  // what it asks; empty for a material that no field captures
	Material *catalog.Material // what to capture, nil for other steps
	Options  []catalog.Code    // choices offered now, for select, multiselect, bool, consent, backend_select
	Blocked  string            // why it cannot be answered here, and what to do instead; "" = it can
	Skip     bool              // it may be left without an answer
	Defer    bool              // 以后补交 may be offered
	Mend     string            // what the county wants mended, "" = nothing
}

// Key identifies the step among the form's steps: the name of its field, the
// key of its material, or the kind.
func (s Step) Key() string {
	switch {
	case s.Kind == StepKnown:
		return string(StepKnown)
	case len(s.Fields) > 0:
		return s.Fields[0].Name
	case s.Material != nil:
		return MaterialKey(s.Material.Name)
	}
	return string(s.Kind)
}

// shown computes whether a field is asked, given the fields above it.
func (f *Form) shown(fd *catalog.Field) bool {
	if fd.Rules.Role == catalog.RoleClerk && f.ctx.Role != RoleStaff {
		return false
	}
	if f.atCounty(fd) || f.faceConsentWithoutFace(fd) {
		return false
	}
	return fd.Rules.VisibleWhen().Eval(f.lookup)
}

// faceConsentWithoutFace finds the consent that only a face comparison needs,
// on a terminal that has none: asking for it would be asking for nothing.
func (f *Form) faceConsentWithoutFace(fd *catalog.Field) bool {
	g := f.gates[fd.Name]
	return !f.ctx.Devices.Face && len(g) > 0 &&
		!slices.ContainsFunc(g, func(o *catalog.Field) bool { return o.Type != catalog.Face })
}

// lookup gives conditions the answers of visible fields.
func (f *Form) lookup(name string) (string, []string) {
	i, ok := f.index[name]
	if !ok || !f.seen[i] {
		return "", nil
	}
	v := f.answers[name]
	return v.Text, v.List
}

// Visible tells whether a field is asked now.
func (f *Form) Visible(fd *catalog.Field) bool {
	i, ok := f.index[fd.Name]
	return ok && f.seen[i]
}

// RequiredNow tells whether a field must be answered now. What depends on a
// face camera or on the line is never required while that is missing.
func (f *Form) RequiredNow(fd *catalog.Field) bool {
	if !f.Visible(fd) || fd.Type == catalog.Face && !f.ctx.Devices.Face ||
		fd.Type == catalog.BackendSelect && len(f.Options(fd)) == 0 {
		return false
	}
	return f.demanded(fd)
}

// demanded tells whether the catalogue wants an answer, whatever is missing.
func (f *Form) demanded(fd *catalog.Field) bool {
	c := fd.Rules.RequiredWhen()
	return fd.Required || !c.IsZero() && c.Eval(f.lookup)
}

// Options lists the choices offered now. A choice that needs a device or an
// answer of upstream is left out while that is missing.
func (f *Form) Options(fd *catalog.Field) []catalog.Code {
	switch fd.Type {
	case catalog.Select, catalog.MultiSelect:
		var out []catalog.Code
		for _, c := range fd.Codes {
			if f.offered(fd, c) {
				out = append(out, c)
			}
		}
		return out
	case catalog.Bool:
		if len(fd.Codes) > 0 {
			return fd.Codes
		}
		return []catalog.Code{{Code: "1", Label: "是"}, {Code: "0", Label: "不是"}}
	case catalog.Consent:
		return []catalog.Code{{Code: "1", Label: "同意"}, {Code: "0", Label: "不同意"}}
	case catalog.BackendSelect:
		if o := f.ctx.Options[fd.Name]; len(o) > 0 {
			return o
		}
		return f.ctx.Options[fd.Rules.Endpoint]
	case catalog.Text, catalog.IDNo, catalog.Phone, catalog.Date, catalog.Month, catalog.Year, catalog.Number,
		catalog.Money, catalog.Region6, catalog.Region12, catalog.BankCard, catalog.DocScan, catalog.Photo,
		catalog.Face, catalog.Signature, catalog.PIN, catalog.Table, catalog.VoiceText:
	}
	return nil
}

func (f *Form) offered(fd *catalog.Field, c catalog.Code) bool {
	switch c.Needs {
	case catalog.NeedsFace:
		return f.ctx.Devices.Face
	case catalog.NeedsPINPad:
		return f.ctx.Devices.PINPad
	case catalog.NeedsBackend:
		return f.ctx.Backend[fd.Name] == c.Code ||
			slices.ContainsFunc(f.ctx.Options[fd.Name], func(o catalog.Code) bool { return o.Code == c.Code })
	}
	return true
}

// Steps lists the pages visible now: first what is known, then one question a
// page, then what is to be captured. Signature and consents after the review
// are not among them (SignatureField, Consents).
func (f *Form) Steps() []Step {
	var out, captures []Step
	if known := f.known(); len(known.Fields) > 0 {
		out = append(out, known)
	}
	for _, fd := range f.fields {
		if !f.Visible(fd) || !f.hasStep(fd) || f.settled(fd) || f.besideAnotherPIN(fd) {
			continue
		}
		if s := f.step(fd); s.Kind == StepMaterial {
			captures = append(captures, s)
		} else {
			out = append(out, s)
		}
	}
	for i := range f.svc.Materials {
		if m := &f.svc.Materials[i]; f.asksMaterial(m) {
			captures = append(captures, f.materialStep(m))
		}
	}
	return append(out, captures...)
}

// hasStep tells whether a field has a page of its own among the steps.
func (f *Form) hasStep(fd *catalog.Field) bool {
	switch fd.Type {
	case catalog.Signature:
		return false
	case catalog.Consent:
		return len(f.gates[fd.Name]) > 0
	case catalog.Text, catalog.IDNo, catalog.Phone, catalog.Date, catalog.Month, catalog.Year, catalog.Number,
		catalog.Money, catalog.Select, catalog.MultiSelect, catalog.Bool, catalog.Region6, catalog.Region12,
		catalog.BankCard, catalog.DocScan, catalog.Photo, catalog.Face, catalog.PIN, catalog.BackendSelect,
		catalog.Table, catalog.VoiceText:
		return true
	}
	return false
}

// known gathers what card and registers filled.
func (f *Form) known() Step {
	s := Step{Kind: StepKnown, Title: "这些已经替您填好了", Skip: true}
	var from []string
	for _, fd := range f.fields {
		if !f.Visible(fd) || !f.settled(fd) {
			continue
		}
		src := f.answers[fd.Name].Source
		if src != catalog.FromCard && src != catalog.FromBackend || fd.Rules.Equals != "" {
			continue // dates of today, the same name again and the like: the review shows them
		}
		s.Fields = append(s.Fields, fd)
		if t := f.SourceOf(fd.Name); !slices.Contains(from, t) {
			from = append(from, t)
		}
	}
	s.Sub = strings.Join(from, "、") + "。看看对不对，不对就按“呼叫帮办”"
	return s
}

// step makes the page of one field.
func (f *Form) step(fd *catalog.Field) Step {
	s := Step{Kind: StepQuestion, Title: fd.Ask, Sub: fd.Hint, Fields: []*catalog.Field{fd}, Options: f.Options(fd),
		Blocked: f.blocked(fd), Skip: !f.RequiredNow(fd) && !f.mustConsent(fd)}
	if s.Title == "" {
		s.Title = fd.Label
	}
	if v := f.answers[fd.Name]; v.Source == catalog.FromDevice && slices.Contains(longAnswers, fd.Type) {
		s.Sub = strings.TrimSuffix("先替您填好了，对就按“下一步”。"+fd.Hint, "。")
	}
	if fd.Type == catalog.DocScan || fd.Type == catalog.Photo {
		s.Kind, s.Defer = StepMaterial, true
		for i := range f.svc.Materials {
			if m := &f.svc.Materials[i]; m.Field == fd.Name {
				s.Material = m
			}
		}
	}
	if fd.Type == catalog.PIN && s.Blocked == "" {
		s.Title, s.Sub = pinTitle, pinHint
	}
	if f.mend[fd.Name] {
		s.Mend = mendText
	}
	return s
}

// longAnswers are the types whose prefilled answer is worth a word, because it
// stands there as if somebody else had typed it.
var longAnswers = []catalog.FieldType{catalog.Text, catalog.VoiceText, catalog.Region6, catalog.Region12}

// StepFor makes the page of one field or material by its key, to change an
// answer from the review. It tells whether there is such a page now.
func (f *Form) StepFor(key string) (Step, bool) {
	if m := f.material(key); m != nil {
		return f.materialStep(m), f.asksMaterial(m)
	}
	fd := f.Field(key)
	if fd == nil || !f.Visible(fd) || !f.hasStep(fd) {
		return Step{}, false
	}
	return f.step(fd), true
}

// asksMaterial tells whether a material has a page of its own.
func (f *Form) asksMaterial(m *catalog.Material) bool {
	return capturedAsMaterial(m) && m.VisibleWhen().Eval(f.lookup)
}

func (f *Form) materialStep(m *catalog.Material) Step {
	s := Step{Kind: StepMaterial, Title: "拍" + m.Name, Sub: m.Note, Material: m, Skip: !m.Required, Defer: true}
	if m.Kind == catalog.ByPhoto && !f.ctx.Devices.Camera {
		s.Blocked = blockedPhoto
	}
	if m.Kind == catalog.ByScan && !f.ctx.Devices.Scan {
		s.Blocked = blockedScan
	}
	if f.mend[MaterialKey(m.Name)] {
		s.Mend = mendText
	}
	return s
}

// MendSteps lists the pages that a returned case must see again: what the
// county named, and what became wrong or missing since. Everything else stays
// as it is and can be changed from the review.
func (f *Form) MendSteps() []Step {
	var out []Step
	for _, s := range f.Steps() {
		p := f.CheckStep(s)
		if s.Kind != StepKnown && (s.Mend != "" || p != nil && !p.Warn) {
			out = append(out, s)
		}
	}
	return out
}

// NoticeConsent is the consent taken on the notice page, nil when none.
func (f *Form) NoticeConsent() *catalog.Field {
	if fd := f.Field(noticeConsent); fd != nil && fd.Type == catalog.Consent && f.Visible(fd) {
		return fd
	}
	return nil
}

// noticeConsent is the consent that belongs to the 一次性告知.
const noticeConsent = "consent_notice"

// Consents are the consent fields taken after review. Consents that other
// questions wait for are steps.
func (f *Form) Consents() []*catalog.Field {
	var out []*catalog.Field
	for _, fd := range f.fields {
		if fd.Type == catalog.Consent && fd.Name != noticeConsent && f.Visible(fd) && !f.hasStep(fd) {
			out = append(out, fd)
		}
	}
	return out
}

// SignatureField is the signature field visible now, nil when none.
func (f *Form) SignatureField() *catalog.Field {
	for _, fd := range f.fields {
		if fd.Type == catalog.Signature && f.Visible(fd) {
			return fd
		}
	}
	return nil
}

// Outstanding lists labels of what the case still lacks when it is submitted:
// papers to be brought later, and what waits for staff or the line.
func (f *Form) Outstanding() []string {
	var out []string
	for _, fd := range f.fields {
		v := f.answers[fd.Name]
		clerk := fd.Rules.Role == catalog.RoleClerk && f.ctx.Role != RoleStaff && fd.Rules.VisibleWhen().Eval(f.lookup)
		waits := fd.Type == catalog.Face && !f.ctx.Devices.Face || fd.Type == catalog.BackendSelect && len(f.Options(fd)) == 0
		switch {
		case clerk && f.demanded(fd):
			out = append(out, fd.Label)
		case !f.Visible(fd):
		case v.Deferred, v.IsZero() && waits && f.demanded(fd):
			out = append(out, fd.Label)
		}
	}
	for i := range f.svc.Materials {
		if m := &f.svc.Materials[i]; f.asksMaterial(m) && f.answers[MaterialKey(m.Name)].Deferred {
			out = append(out, m.Name)
		}
	}
	return out
}
