package catalog

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// FieldTypes lists the closed set.
var FieldTypes = []FieldType{Text, IDNo, Phone, Date, Month, Year, Number, Money, Select, MultiSelect, Bool, Region6,
	Region12, BankCard, DocScan, Photo, Face, Signature, Consent, PIN, BackendSelect, Table, VoiceText}

var (
	fieldKeys = []string{"name", "label", "ask", "hint", "type", "required", "readonly", "source", "codes", "validation"}
	fieldName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
)

// Lengths of what a person reads on a question page, in characters.
const (
	maxAsk  = 16
	maxHint = 40
)

func (l *loader) fields(n *node) []Field {
	items := l.array(n, "fields")
	out := make([]Field, 0, len(items))
	for _, it := range items {
		f := l.field(it, out)
		if slices.ContainsFunc(out, func(o Field) bool { return o.Name == f.Name }) {
			l.fail(it, "field %q is given twice", "", f.Name)
			continue
		}
		out = append(out, f)
	}
	l.at.field = ""
	for i := range out {
		l.at.field = out[i].Name
		l.references(items, &out[i], out)
	}
	l.at.field = ""
	return out
}

// field decodes one field; before are the fields that stand above it.
func (l *loader) field(n *node, before []Field) Field {
	l.at.field = ""
	m := l.object(n, "a field", fieldKeys...)
	f := Field{Name: l.text(n, m, "name", true)}
	l.at.field = f.Name
	if !fieldName.MatchString(f.Name) {
		l.fail(n, "field name %q", "small letters, digits and _, at most 40", f.Name)
	}
	f.Label = l.text(n, m, "label", true)
	f.Ask = l.text(n, m, "ask", false)
	f.Hint = l.text(n, m, "hint", false)
	f.Type = oneOf(l, n, m, "type", FieldTypes...)
	f.Required = l.boolean(n, m, "required", true)
	f.ReadOnly = l.boolean(n, m, "readonly", false)
	f.Source = oneOf(l, n, m, "source", FromCard, FromBackend, FromDevice, FromUser)
	if utf8.RuneCountInString(f.Ask) > maxAsk {
		l.fail(m["ask"], "ask %q is too long", "at most "+strconv.Itoa(maxAsk)+" characters", f.Ask)
	}
	if utf8.RuneCountInString(f.Hint) > maxHint {
		l.fail(m["hint"], "hint %q is too long", "at most "+strconv.Itoa(maxHint)+" characters", f.Hint)
	}
	if f.Ask == "" && f.Source == FromUser {
		l.fail(n, "a field that a person fills must have an ask", "")
	}
	l.fieldCodes(n, m["codes"], &f)
	if v := m["validation"]; v != nil {
		f.Rules = l.rules(v, &f, before)
	}
	if f.Type == Table && len(f.Rules.Columns) == 0 {
		l.fail(n, "a table must have columns", "")
	}
	return f
}

func (l *loader) fieldCodes(owner, n *node, f *Field) {
	needs := f.Type == Select || f.Type == MultiSelect
	switch {
	case n != nil && f.Type == Bool: // words for yes and no
		f.Codes = l.codeItems(n, n)
		if len(f.Codes) != 2 || f.Codes[0].Code != "1" || f.Codes[1].Code != "0" {
			l.fail(n, "codes of a bool", "first 1 (yes), then 0 (no)")
		}
	case n == nil && needs:
		l.fail(owner, "a %s must have codes", "the name of a code list, or an array of codes", f.Type)
	case n == nil:
	case !needs:
		l.fail(n, "codes on a field of type %s", "only on select and multiselect", f.Type)
	case n.kind == "string":
		f.CodeList = n.value.(string)
		list, ok := l.cat.Codes[f.CodeList]
		if !ok {
			l.fail(n, "code list %q does not exist", l.listNames(), f.CodeList)
		}
		f.Codes = list.Items
	case n.kind == "array":
		f.Codes = l.codeItems(n, n)
	default:
		l.fail(n, "codes must be the name of a list or an array", "")
	}
}

func (l *loader) listNames() string {
	var names []string
	for k := range l.cat.Codes {
		names = append(names, k)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// ruleTypes says on which types a rule makes sense; nil means on all.
var ruleTypes = map[string][]FieldType{
	"pattern":         {Text, IDNo, Phone, BankCard, PIN, Region6, Region12, VoiceText},
	"rule":            {Text, IDNo, BankCard, VoiceText},
	"min":             {Number, Money, Date, Month, Year},
	"max":             {Number, Money, Date, Month, Year},
	"max_len":         {Text, VoiceText},
	"max_items":       {MultiSelect},
	"min_pages":       {DocScan, Photo},
	"max_pages":       {DocScan, Photo},
	"min_strokes":     {Signature},
	"min_rows":        {Table},
	"max_rows":        {Table},
	"columns":         {Table},
	"equals":          {Text, IDNo, Phone, Date, PIN, BankCard},
	"ge":              {Number, Money, Date, Month, Year},
	"must":            {Consent},
	"must_equal":      {Select, Bool},
	"warn_if":         {Select},
	"default":         nil,
	"endpoint":        {BackendSelect},
	"workday":         {Date},
	"not_weak":        {PIN},
	"never_store":     {PIN},
	"liveness":        {Face},
	"role":            {Bool, Select},
	"bg":              {Photo},
	"ratio":           {Photo},
	"face":            {Photo},
	"required_if":     nil,
	"visible_if":      nil,
	"msg":             nil,
	"assume_from_age": {Select, Bool},
	"level":           nil,
}

func (l *loader) rules(n *node, f *Field, before []Field) Rules {
	keys := make([]string, 0, len(ruleTypes))
	for k := range ruleTypes {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	m := l.object(n, "validation", keys...)
	for k, v := range m {
		if types := ruleTypes[k]; types != nil && !slices.Contains(types, f.Type) {
			l.fail(v, "%s on a field of type %s", "only on "+join(types), k, f.Type)
		}
	}
	r := Rules{
		Pattern: l.text(n, m, "pattern", false), MaxLen: l.integer(m, "max_len", 1, 2000),
		MaxItems: l.integer(m, "max_items", 1, 99), MinPages: l.integer(m, "min_pages", 1, 20),
		MaxPages: l.integer(m, "max_pages", 1, 20), MinStrokes: l.integer(m, "min_strokes", 1, 100),
		MinRows: l.integer(m, "min_rows", 0, 50), MaxRows: l.integer(m, "max_rows", 1, 50),
		Equals: l.text(n, m, "equals", false), GE: l.text(n, m, "ge", false),
		RequiredIf: l.text(n, m, "required_if", false), VisibleIf: l.text(n, m, "visible_if", false),
		MustEqual: l.text(n, m, "must_equal", false), Message: l.text(n, m, "msg", false),
		Endpoint: l.text(n, m, "endpoint", false), Workday: l.boolean(n, m, "workday", false),
		NotWeak: l.boolean(n, m, "not_weak", false), NeverStore: l.boolean(n, m, "never_store", false),
		Liveness: l.boolean(n, m, "liveness", false), Background: l.text(n, m, "bg", false),
		Ratio: l.text(n, m, "ratio", false), Face: l.integer(m, "face", 0, 9),
		AssumeFromAge: l.integer(m, "assume_from_age", 1, 120),
	}
	if m["rule"] != nil {
		r.Rule = oneOf(l, n, m, "rule", RuleName, RuleIDNumber, RuleCreditCode, RuleLuhn)
	}
	if m["level"] != nil {
		r.Level = oneOf(l, n, m, "level", LevelWarn)
	}
	if m["role"] != nil {
		r.Role = oneOf(l, n, m, "role", RoleClerk)
	}
	if m["must"] != nil {
		b := l.boolean(n, m, "must", false)
		r.Must = &b
	}
	if m["pattern"] != nil {
		re, err := regexp.Compile(r.Pattern)
		if err != nil {
			l.fail(m["pattern"], "pattern does not compile: %v", "RE2", err)
		}
		r.pattern = re
	}
	r.Min, r.min = l.bound(m["min"], "min", f)
	r.Max, r.max = l.bound(m["max"], "max", f)
	r.required = l.cond(m["required_if"], r.RequiredIf, before)
	r.visible = l.cond(m["visible_if"], r.VisibleIf, before)
	r.WarnIf, r.warnIf = l.codeValue(m["warn_if"], "warn_if", f)
	if m["must_equal"] != nil && f.Type == Select && !hasCode(f.Codes, r.MustEqual) {
		l.fail(m["must_equal"], "must_equal %q is not a code of this field", codeNames(f.Codes), r.MustEqual)
	}
	l.defaultValue(m["default"], f, &r)
	if c := m["columns"]; c != nil {
		field := l.at.field
		r.Columns = l.fields(c)
		l.at.field = field
	}
	if r.AssumeFromAge > 0 && r.preset == "" {
		l.fail(m["assume_from_age"], "assume_from_age without a default", "")
	}
	if f.Type == BackendSelect && r.Endpoint == "" {
		l.fail(n, "a backend_select must name its endpoint", "")
	}
	if r.MinPages > 0 && r.MaxPages > 0 && r.MinPages > r.MaxPages || r.MaxRows > 0 && r.MinRows > r.MaxRows {
		l.fail(n, "a minimum is greater than its maximum", "")
	}
	return r
}

// bound decodes min or max, and checks that it fits the field's type.
func (l *loader) bound(n *node, key string, f *Field) (any, Bound) {
	if n == nil {
		return nil, Bound{}
	}
	b, err := ParseBound(n.value)
	if err != nil {
		l.fail(n, "%s: %v", boundHelp, key, err)
		return nil, Bound{}
	}
	if (f.Type == Number || f.Type == Money) && (b.IsDate() || b.rel) {
		l.fail(n, "%s of a %s is a date", "a number", key, f.Type)
	}
	if (f.Type == Date || f.Type == Month) && !b.IsDate() {
		l.fail(n, "%s of a %s is %v", "YYYY-MM-DD, today, +30d, -12m, +1y", key, f.Type, n.value)
	}
	return n.value, b
}

// codeValue decodes warn_if: one code of the field.
func (l *loader) codeValue(n *node, key string, f *Field) (any, string) {
	if n == nil {
		return nil, ""
	}
	s, ok := n.value.(string)
	if !ok || !hasCode(f.Codes, s) {
		l.fail(n, "%s %v is not a code of this field", codeNames(f.Codes), key, n.value)
	}
	return n.value, s
}

// DefaultRegion is the default that stands for the service point's own code.
const DefaultRegion = "terminal.region12"

func (l *loader) defaultValue(n *node, f *Field, r *Rules) {
	if n == nil {
		return
	}
	r.Default = n.value
	r.preset = fmt.Sprint(n.value)
	switch {
	case n.kind != "string" && n.kind != "number":
		l.fail(n, "default must be a text or a number", "")
	case r.preset == DefaultRegion && f.Type != Region12:
		l.fail(n, "default %q on a field of type %s", "only on region12", DefaultRegion, f.Type)
	case f.Type == Region12 && r.preset != DefaultRegion:
		l.fail(n, "default %q of a region12", DefaultRegion, r.preset)
	case f.Type == Select && !hasCode(f.Codes, r.preset):
		l.fail(n, "default %q is not a code of this field", codeNames(f.Codes), r.preset)
	case r.pattern != nil && f.Type != Region12 && !r.pattern.MatchString(r.preset):
		l.fail(n, "default %q does not match the pattern", r.Pattern, r.preset)
	case f.Type == DocScan, f.Type == Photo, f.Type == Face, f.Type == Signature, f.Type == Consent, f.Type == PIN, f.Type == Table:
		l.fail(n, "default on a field of type %s", "only on what can be typed or chosen", f.Type)
	}
}

// cond decodes a condition and checks that it names fields that stand above
// and values that these can have. Standing above keeps conditions free of
// cycles, and keeps a page from changing what came before it.
func (l *loader) cond(n *node, s string, before []Field) Cond {
	if n == nil {
		return Cond{}
	}
	c, err := ParseCond(s)
	if err != nil {
		l.fail(n, "%v", condHelp, err)
		return Cond{}
	}
	for _, t := range c.terms {
		i := slices.IndexFunc(before, func(f Field) bool { return f.Name == t.Field })
		if i < 0 {
			l.fail(n, "condition %q names field %q, which does not stand above", fieldNames(before), s, t.Field)
			continue
		}
		f := before[i]
		if (t.Op == OpHas) != (f.Type == MultiSelect) {
			l.fail(n, "condition %q: %s on a field of type %s", "has on multiselect, = != in on the others", s, t.Op, f.Type)
		}
		for _, v := range t.Values {
			if len(f.Codes) > 0 && !hasCode(f.Codes, v) {
				l.fail(n, "condition %q: %q is not a code of %s", codeNames(f.Codes), s, v, t.Field)
			}
			if (f.Type == Bool || f.Type == Consent) && v != "0" && v != "1" {
				l.fail(n, "condition %q: %q is not an answer to %s", "0, 1", s, v, t.Field)
			}
		}
	}
	return c
}

// references checks equals and ge, which may name any field of the form.
func (l *loader) references(nodes []*node, f *Field, all []Field) {
	var n *node
	if i := slices.IndexFunc(nodes, func(n *node) bool {
		return n.members != nil && n.members.vals["name"] != nil && n.members.vals["name"].value == f.Name
	}); i >= 0 {
		n = nodes[i]
	}
	for _, ref := range []struct{ rule, name string }{{"equals", f.Rules.Equals}, {"ge", f.Rules.GE}} {
		if ref.name == "" || ref.rule == "equals" && ref.name == "today" && f.Type == Date {
			continue
		}
		i := slices.IndexFunc(all, func(o Field) bool { return o.Name == ref.name })
		switch {
		case i < 0:
			l.fail(n, "%s names field %q, which does not exist", fieldNames(all), ref.rule, ref.name)
		case ref.name == f.Name:
			l.fail(n, "%s names the field itself", "", ref.rule)
		case all[i].Type != f.Type:
			l.fail(n, "%s compares a %s with a %s", "two fields of one type", ref.rule, f.Type, all[i].Type)
		}
	}
	if r := f.Rules; !r.min.IsZero() && !r.max.IsZero() {
		today := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		lo, hi := r.min.Number(today), r.max.Number(today)
		if f.Type == Date || f.Type == Month {
			lo, hi = float64(r.min.Day(today).Unix()), float64(r.max.Day(today).Unix())
		}
		if lo > hi {
			l.fail(n, "min %v is greater than max %v", "", r.Min, r.Max)
		}
	}
}

func hasCode(codes []Code, code string) bool {
	return slices.ContainsFunc(codes, func(c Code) bool { return c.Code == code })
}

func codeNames(codes []Code) string {
	names := make([]string, len(codes))
	for i, c := range codes {
		names[i] = c.Code
	}
	return strings.Join(names, ", ")
}
