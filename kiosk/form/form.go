// Package form holds a resident's answers to one service: what is asked, in
// which order, what is already known, and what is still wrong.
//
// It exists so that every page, at the screen of a village or in a test, sees
// the same form. It guarantees that an answer once given is never lost by
// going back or by a question that disappears; that only answers to visible
// questions leave it (JSON); that nothing depends on a device or a line that
// is not there without saying what to do instead; and that a person is asked
// only for what no card, no register and no default can tell.
//
// A Form belongs to one goroutine, the owner of the page. It is pure: the day,
// devices, options and division names come in through Context.
package form

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"cunban/kiosk/catalog"
	"cunban/kiosk/resident"
)

// Answers are the values by field name, and by MaterialKey for materials that
// no field captures.
type Answers map[string]Value

// Value is one answer. Which members count follows from the field's type:
// List for multiselect, Rows for table, Pages for doc_scan, photo and face,
// Strokes for signature, Text for everything else.
type Value struct {
	Text     string              // codes for select, "1"/"0" for bool and consent, YYYY-MM-DD, YYYY-MM, YYYY
	List     []string            // codes
	Rows     []map[string]string // by column name
	Source   catalog.Source      // who answered: card, backend, device (a default or a capture), user
	Pages    int                 // captured pages; of a PIN: 1 = typed at the PIN pad, which alone knows it
	Strokes  int                 // strokes of a signature
	Deferred bool                // 以后补交: the paper comes later
}

// IsZero reports whether the value holds no answer at all.
func (v Value) IsZero() bool {
	return v.Text == "" && len(v.List) == 0 && len(v.Rows) == 0 && v.Pages == 0 && v.Strokes == 0 && !v.Deferred
}

func (v Value) clone() Value {
	v.List = slices.Clone(v.List)
	rows := v.Rows
	v.Rows = nil
	for _, r := range rows {
		v.Rows = append(v.Rows, maps.Clone(r))
	}
	return v
}

// same tells whether two values hold the same answer, whoever gave it.
func (v Value) same(o Value) bool {
	return v.Text == o.Text && slices.Equal(v.List, o.List) && v.Pages == o.Pages && v.Strokes == o.Strokes &&
		v.Deferred == o.Deferred && slices.EqualFunc(v.Rows, o.Rows, maps.Equal[map[string]string, map[string]string])
}

// Roles of whoever sits at the screen.
const (
	RoleResident = "resident"
	RoleStaff    = "staff"
)

// Context is what the form knows beyond the answers.
type Context struct {
	Today     time.Time                 // the day, in the service point's zone
	Region    string                    // the service point's 12-digit division code
	Claim     resident.Claim            // the applicant, as the card says
	Agent     resident.Claim            // the agent (代办人), when a second card was read
	Backend   map[string]string         // what upstream knows, by field name; nil when the line is down
	Options   map[string][]catalog.Code // backend_select field name or endpoint → options
	Workday   func(time.Time) bool      // nil = Monday to Friday
	Role      string                    // RoleResident or RoleStaff; "" = resident
	Devices   Devices
	Divisions Divisions // nil = names of divisions are not known
}

// Devices is what the terminal has, and what works right now.
type Devices struct{ Scan, Camera, Face, PINPad bool }

// Divisions gives names for division codes.
type Divisions interface {
	Provinces() []catalog.Code
	Counties(province string) []catalog.Code
	Towns(county string) []catalog.Code
	Villages(town string) []catalog.Code
	Name(code string) string // "" when the code is not known
}

// Form is one filled or half-filled form.
type Form struct {
	svc     *catalog.Service
	ctx     Context
	agent   bool
	fields  []*catalog.Field // agent block first
	index   map[string]int
	gates   map[string][]*catalog.Field // consent name → fields whose conditions name it
	answers Answers
	seen    []bool // visibility, by index of fields
	mend    map[string]bool
}

// New begins a form and fills in what is known: first from the card, then from
// upstream, then from defaults. With agent the catalogue's 代办人 block comes
// first.
func New(svc *catalog.Service, cat *catalog.Catalogue, ctx Context, agent bool) *Form {
	f := begin(svc, cat, ctx, agent)
	f.refresh()
	return f
}

func begin(svc *catalog.Service, cat *catalog.Catalogue, ctx Context, agent bool) *Form {
	ctx.Backend, ctx.Options = maps.Clone(ctx.Backend), maps.Clone(ctx.Options)
	f := &Form{svc: svc, ctx: ctx, agent: agent, index: map[string]int{}, answers: Answers{},
		gates: map[string][]*catalog.Field{}, mend: map[string]bool{}}
	if agent && cat != nil {
		for i := range cat.Agent {
			f.add(&cat.Agent[i])
		}
	}
	for i := range svc.Fields {
		f.add(&svc.Fields[i])
	}
	f.seen = make([]bool, len(f.fields))
	for _, fd := range f.fields {
		for _, c := range []catalog.Cond{fd.Rules.VisibleWhen(), fd.Rules.RequiredWhen()} {
			for _, t := range c.Terms() {
				if g := f.Field(t.Field); g != nil && g.Type == catalog.Consent && !slices.Contains(f.gates[g.Name], fd) {
					f.gates[g.Name] = append(f.gates[g.Name], fd)
				}
			}
		}
	}
	return f
}

func (f *Form) add(fd *catalog.Field) {
	if _, twice := f.index[fd.Name]; twice {
		return
	}
	f.index[fd.Name] = len(f.fields)
	f.fields = append(f.fields, fd)
}

// Service returns the service of the form.
func (f *Form) Service() *catalog.Service { return f.svc }

// Agent tells whether somebody else acts for the applicant.
func (f *Form) Agent() bool { return f.agent }

// Field returns a field of the form by name, nil when there is none.
func (f *Form) Field(name string) *catalog.Field {
	if i, ok := f.index[name]; ok {
		return f.fields[i]
	}
	return nil
}

// Update changes what is known beyond the answers: options or a register's
// answer that came late, a helper taking over, an agent's card, a scanner that
// was unplugged. Fields that nobody touched are filled again; answers given by
// a person stay.
func (f *Form) Update(change func(*Context)) {
	c := f.ctx
	c.Backend, c.Options = maps.Clone(c.Backend), maps.Clone(c.Options)
	change(&c)
	f.ctx = c
	f.refresh()
}

// materialPrefix begins the keys of materials among answers.
const materialPrefix = "material:"

// MaterialKey is the key under which Set and Get keep a material that no field
// captures.
func MaterialKey(name string) string { return materialPrefix + name }

// material returns the service's material of a key, nil when there is none.
func (f *Form) material(key string) *catalog.Material {
	name, ok := strings.CutPrefix(key, materialPrefix)
	if !ok {
		return nil
	}
	for i := range f.svc.Materials {
		if m := &f.svc.Materials[i]; m.Name == name && capturedAsMaterial(m) {
			return m
		}
	}
	return nil
}

// capturedAsMaterial tells whether a material is captured, and by no field.
func capturedAsMaterial(m *catalog.Material) bool {
	return m.Field == "" && (m.Kind == catalog.ByScan || m.Kind == catalog.ByPhoto)
}

// Set puts an answer, tidied (spaces in numbers, full-width digits) but not
// judged: a wrong one is kept, so that going back shows what was typed. What
// the card filled and nobody may change (see Editable) and unknown names are
// left alone.
func (f *Form) Set(field string, v Value) {
	if m := f.material(field); m != nil {
		f.answers[field] = Value{Pages: min(max(0, v.Pages), maxPage), Deferred: v.Deferred && v.Pages <= 0, Source: catalog.FromDevice}
		return
	}
	fd := f.Field(field)
	if fd == nil || f.locked(fd) {
		return
	}
	v = tidy(fd, v)
	if old, ok := f.answers[field]; ok && old.same(v) {
		return
	}
	f.answers[field] = v
	f.refresh()
}

// Get returns an answer; the zero value when there is none. It is a copy.
func (f *Form) Get(field string) Value { return f.answers[field].clone() }

// refresh fills what nobody touched and computes what is visible.
func (f *Form) refresh() {
	f.prefill()
	f.derive()
	for i, fd := range f.fields {
		f.seen[i] = f.shown(fd)
	}
}

// Wipe forgets every answer and the claim. Go strings cannot be overwritten;
// the form drops all of its references, so nothing of it can be reached again.
func (f *Form) Wipe() {
	for _, v := range f.answers {
		clear(v.List)
		for _, r := range v.Rows {
			clear(r)
		}
		clear(v.Rows)
	}
	clear(f.answers)
	clear(f.ctx.Backend)
	clear(f.ctx.Options)
	clear(f.seen)
	clear(f.mend)
	f.ctx = Context{Today: f.ctx.Today, Divisions: f.ctx.Divisions, Workday: f.ctx.Workday}
}

// Format writes which form it is, under every verb, and never an answer.
func (f *Form) Format(s fmt.State, _ rune) { fmt.Fprint(s, "form "+f.svc.ID) }

// LogValue shows which form it is and how far, never an answer.
func (f *Form) LogValue() slog.Value {
	return slog.GroupValue(slog.String("service", f.svc.ID), slog.Int("answers", len(f.answers)), slog.Bool("agent", f.agent))
}

// LogValue shows what kind of answer there is, never the answer.
func (v Value) LogValue() slog.Value {
	return slog.GroupValue(slog.String("source", string(v.Source)), slog.Bool("given", !v.IsZero()), slog.Int("pages", v.Pages),
		slog.Bool("deferred", v.Deferred))
}
