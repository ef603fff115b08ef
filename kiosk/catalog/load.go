package catalog

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cunban/assets"
)

// Load reads and checks one catalogue version whole: the service items and
// the code lists they use, both JSON. names are the file names for messages
// (services.json and codes.json when left out).
//
// It is strict, because a catalogue comes from upstream at run time and a
// fault must show before a resident stands in front of it: unknown keys,
// unknown types, missing code lists, names given twice, patterns that do not
// compile and conditions on fields that are not there are all refused. Every
// fault is collected; the error is of type Errors.
func Load(services, codes []byte, names ...string) (*Catalogue, error) {
	l := &loader{files: [2]string{assets.ServicesName, assets.CodesName},
		cat: &Catalogue{Codes: map[string]CodeList{}, byID: map[string]*Service{}}}
	for i, n := range names {
		if i < len(l.files) {
			l.files[i] = n
		}
	}
	codesVersion := l.loadCodes(codes)
	l.loadServices(services)
	if len(l.errs) == 0 && codesVersion != l.cat.Version {
		l.at = place{file: l.files[1]}
		l.fail(nil, "version %q belongs to another catalogue than %q of %s", "the same version in both files",
			codesVersion, l.cat.Version, l.files[0])
	}
	if len(l.errs) > 0 {
		return nil, l.errs
	}
	return l.cat, nil
}

// Embedded loads the version built into the program. An error means that the
// build is broken; a test keeps it from happening.
func Embedded() (*Catalogue, error) {
	services, codes := assets.Catalogue()
	return Load(services, codes)
}

// versionPattern is year.month.number.
var versionPattern = regexp.MustCompile(`^20\d{2}\.(?:1[0-2]|[1-9])\.\d{1,4}$`)

// Newer reports whether version a is later than b. Versions are
// year.month.number; anything else counts as older than every version.
func Newer(a, b string) bool {
	return slices.Compare(versionParts(a), versionParts(b)) > 0
}

func versionParts(v string) []int {
	if !versionPattern.MatchString(v) {
		return nil
	}
	var out []int
	for p := range strings.SplitSeq(v, ".") {
		n, _ := strconv.Atoi(p)
		out = append(out, n)
	}
	return out
}

// place is where the loader is, for messages.
type place struct{ file, service, field string }

// loader decodes and checks; faults pile up in errs.
type loader struct {
	files [2]string
	cat   *Catalogue
	errs  Errors
	at    place
}

// fail records a fault at a node. The last words of a format that ends in a
// non-empty allowed say what would be right.
func (l *loader) fail(n *node, format, allowed string, args ...any) {
	e := Error{File: l.at.file, Service: l.at.service, Field: l.at.field, Text: fmt.Sprintf(format, args...), Allowed: allowed}
	if n != nil {
		e.Line = n.line
	}
	l.errs = append(l.errs, e)
}

// parse reads a file to nodes; nil when that failed.
func (l *loader) parse(data []byte) *node {
	n, line, err := parseNodes(data)
	if err != nil {
		l.fail(&node{line: line}, "not a readable JSON file: %v", "", err)
		return nil
	}
	return n
}

// object checks that n is an object with no other keys than allowed, and
// returns its members; never nil.
func (l *loader) object(n *node, what string, allowed ...string) map[string]*node {
	if n == nil || n.members == nil {
		l.fail(n, "%s must be an object", "", what)
		return nil
	}
	for _, k := range n.members.keys {
		if !slices.Contains(allowed, k) {
			l.fail(n.members.vals[k], "unknown key %q in %s", strings.Join(allowed, ", "), k, what)
		}
	}
	return n.members.vals
}

func (l *loader) array(n *node, what string) []*node {
	if n == nil {
		return nil
	}
	if n.kind != "array" {
		l.fail(n, "%s must be an array", "", what)
	}
	return n.items
}

// text returns a string member; a missing one is "" unless must.
func (l *loader) text(owner *node, m map[string]*node, key string, must bool) string {
	n := m[key]
	if n == nil {
		if must {
			l.fail(owner, "%q is missing", "", key)
		}
		return ""
	}
	s, ok := n.value.(string)
	if !ok {
		l.fail(n, "%q must be a string, not %s", "", key, n.kind)
		return ""
	}
	if must && strings.TrimSpace(s) == "" {
		l.fail(n, "%q must not be empty", "", key)
	}
	return s
}

func (l *loader) boolean(owner *node, m map[string]*node, key string, must bool) bool {
	n := m[key]
	if n == nil {
		if must {
			l.fail(owner, "%q is missing", "true, false", key)
		}
		return false
	}
	b, ok := n.value.(bool)
	if !ok {
		l.fail(n, "%q must be a boolean, not %s", "true, false", key, n.kind)
	}
	return b
}

func (l *loader) integer(m map[string]*node, key string, lo, hi int) int {
	n := m[key]
	if n == nil {
		return 0
	}
	v, err := strconv.Atoi(fmt.Sprint(n.value))
	if n.kind != "number" || err != nil || v < lo || v > hi {
		l.fail(n, "%q is %v", "a whole number from "+strconv.Itoa(lo)+" to "+strconv.Itoa(hi), key, n.value)
		return 0
	}
	return v
}

func (l *loader) strings(m map[string]*node, key string) []string {
	var out []string
	for _, n := range l.array(m[key], strconv.Quote(key)) {
		s, ok := n.value.(string)
		if !ok || strings.TrimSpace(s) == "" {
			l.fail(n, "%q must hold texts that are not empty", "", key)
			continue
		}
		out = append(out, s)
	}
	return out
}

// oneOf returns a string member that must be of a closed set.
func oneOf[T ~string](l *loader, owner *node, m map[string]*node, key string, set ...T) T {
	s := T(l.text(owner, m, key, true))
	if s == "" || slices.Contains(set, s) {
		return s
	}
	l.fail(m[key], "%s %q is unknown", join(set), key, s)
	return s
}

func join[T ~string](set []T) string {
	parts := make([]string, len(set))
	for i, s := range set {
		parts[i] = string(s)
	}
	return strings.Join(parts, ", ")
}

// loadCodes fills the code lists and returns the file's version.
func (l *loader) loadCodes(data []byte) (version string) {
	l.at = place{file: l.files[1]}
	root := l.parse(data)
	if root == nil {
		return ""
	}
	m := l.object(root, "the file", "version", "codes", "blocks")
	version = l.text(root, m, "version", true)
	if lists := m["codes"]; lists == nil || lists.members == nil {
		l.fail(root, "%q must be an object of code lists", "", "codes")
	} else {
		for _, name := range lists.members.keys {
			l.at.field = name
			l.cat.Codes[name] = l.codeList(lists.members.vals[name])
		}
	}
	l.at.field = ""
	if b := m["blocks"]; b != nil {
		blocks := l.object(b, "blocks", "agent")
		l.at.service = "agent"
		l.cat.Agent = l.fields(blocks["agent"])
		l.at.service = ""
	}
	return version
}

func (l *loader) codeList(n *node) CodeList {
	m := l.object(n, "a code list", "title", "standard", "status", "items")
	return CodeList{Title: l.text(n, m, "title", true), Standard: l.text(n, m, "standard", false),
		Status: l.text(n, m, "status", false), Items: l.codeItems(n, m["items"])}
}

// Needs are what a choice may need so that it is offered.
const (
	NeedsFace    = "face"    // a camera for faces on this terminal
	NeedsPINPad  = "pinpad"  // a PIN pad on this terminal
	NeedsBackend = "backend" // only when upstream answered with it
)

func (l *loader) codeItems(owner, n *node) []Code {
	var out []Code
	seen := map[string]bool{}
	for _, it := range l.array(n, "items") {
		m := l.object(it, "a code", "code", "label", "note", "needs")
		c := Code{Code: l.text(it, m, "code", true), Label: l.text(it, m, "label", true), Note: l.text(it, m, "note", false)}
		if m["needs"] != nil {
			c.Needs = oneOf(l, it, m, "needs", NeedsFace, NeedsPINPad, NeedsBackend)
		}
		if c.Code != "" && !condVal.MatchString(c.Code) {
			l.fail(it, "code %q has characters that conditions cannot name", "letters, digits, . _ -", c.Code)
		}
		if seen[c.Code] {
			l.fail(it, "code %q is given twice", "", c.Code)
		}
		seen[c.Code] = true
		out = append(out, c)
	}
	if len(out) == 0 {
		l.fail(owner, "a code list must hold at least one code", "")
	}
	return out
}

var serviceKeys = []string{"id", "category", "name", "short", "pinyin", "popular", "applicant", "materials", "fields",
	"time_limit_days", "time_limit_basis", "time_limit_status", "result", "notice", "self_service", "mode", "kind",
	"agent_allowed", "risk", "notes", "name_status"}

var (
	serviceID = regexp.MustCompile(`^[A-Z]\d{2}$`)
	initials  = regexp.MustCompile(`^[a-z]{2,20}$`)
)

// maxShort bounds the short name: it must fit a tile in large text.
const maxShort = 9

// maxLimit bounds a time limit, in working days.
const maxLimit = 250

func (l *loader) loadServices(data []byte) {
	l.at = place{file: l.files[0]}
	root := l.parse(data)
	if root == nil {
		return
	}
	m := l.object(root, "the file", "version", "date", "sources", "services")
	l.cat.Version = l.text(root, m, "version", true)
	l.cat.Date = l.text(root, m, "date", true)
	l.cat.Sources = l.strings(m, "sources")
	if !versionPattern.MatchString(l.cat.Version) {
		l.fail(m["version"], "version %q", "year.month.number, e.g. 2026.11.1", l.cat.Version)
	}
	items := l.array(m["services"], "services")
	if len(items) == 0 {
		l.fail(root, "there is no service", "")
	}
	l.cat.Services = make([]Service, 0, len(items))
	for _, n := range items {
		s := l.service(n)
		if slices.ContainsFunc(l.cat.Services, func(o Service) bool { return o.ID == s.ID }) {
			l.fail(n, "service id %q is given twice", "", s.ID)
			continue
		}
		l.cat.Services = append(l.cat.Services, s)
	}
	for i := range l.cat.Services {
		l.cat.byID[l.cat.Services[i].ID] = &l.cat.Services[i]
	}
}

func (l *loader) service(n *node) Service {
	l.at.service, l.at.field = "", ""
	m := l.object(n, "a service", serviceKeys...)
	id := l.text(n, m, "id", true)
	l.at.service = id
	defer func() { l.at.service, l.at.field = "", "" }()
	if !serviceID.MatchString(id) {
		l.fail(n, "service id %q", "a capital letter and two digits, e.g. S01", id)
	}
	s := Service{
		ID:          id,
		Category:    oneOf(l, n, m, "category", FindWork, Learn, Insurance, UseCard),
		Name:        l.text(n, m, "name", true),
		Short:       l.text(n, m, "short", true),
		Pinyin:      l.text(n, m, "pinyin", true),
		Popular:     l.integer(m, "popular", 1, 999),
		Applicant:   l.text(n, m, "applicant", true),
		LimitDays:   l.integer(m, "time_limit_days", 0, maxLimit),
		LimitBasis:  l.text(n, m, "time_limit_basis", true),
		LimitStatus: oneOf(l, n, m, "time_limit_status", LimitStatutory, LimitPublished, LimitDraft),
		Result:      l.text(n, m, "result", true),
		Notice:      l.strings(m, "notice"),
		Self:        l.boolean(n, m, "self_service", true),
		Mode:        oneOf(l, n, m, "mode", "self", "assist", "self+assist"),
		Kind:        oneOf(l, n, m, "kind", Apply, Ask),
		AgentOK:     l.boolean(n, m, "agent_allowed", true),
		Risk:        oneOf(l, n, m, "risk", Low, Medium, High),
		Notes:       l.text(n, m, "notes", false),
		NameStatus:  l.text(n, m, "name_status", false),
	}
	if r := []rune(s.Short); len(r) > maxShort {
		l.fail(m["short"], "short name %q has %d characters", "at most "+strconv.Itoa(maxShort), s.Short, len(r))
	}
	if s.Pinyin != "" && !initials.MatchString(s.Pinyin) {
		l.fail(m["pinyin"], "pinyin initials %q", "2 to 20 small letters", s.Pinyin)
	}
	s.Fields = l.fields(m["fields"])
	if len(s.Fields) == 0 {
		l.fail(n, "a service must have at least one field", "")
	}
	s.Materials = l.materials(m["materials"], s.Fields)
	return s
}

func (l *loader) materials(n *node, fields []Field) []Material {
	var out []Material
	seen := map[string]bool{}
	for _, it := range l.array(n, "materials") {
		m := l.object(it, "a material", "name", "kind", "required", "note", "field", "visible_if")
		name := l.text(it, m, "name", true)
		l.at.field = name
		mat := Material{Name: name, Kind: oneOf(l, it, m, "kind", ByCard, ByScan, ByPhoto, ByForm, ByBackend, ByPaper),
			Required: l.boolean(it, m, "required", true), Note: l.text(it, m, "note", false),
			Field: l.text(it, m, "field", false), VisibleIf: l.text(it, m, "visible_if", false)}
		if seen[name] {
			l.fail(it, "material %q is given twice", "", name)
		}
		seen[name] = true
		if mat.Field != "" {
			i := slices.IndexFunc(fields, func(f Field) bool { return f.Name == mat.Field })
			if i < 0 || fields[i].Type != DocScan && fields[i].Type != Photo {
				l.fail(m["field"], "field %q does not capture a material", fieldNames(fields, DocScan, Photo), mat.Field)
			}
		}
		mat.visible = l.cond(m["visible_if"], mat.VisibleIf, fields)
		out = append(out, mat)
	}
	l.at.field = ""
	return out
}

func fieldNames(fields []Field, types ...FieldType) string {
	var names []string
	for _, f := range fields {
		if len(types) == 0 || slices.Contains(types, f.Type) {
			names = append(names, f.Name)
		}
	}
	return cmp.Or(strings.Join(names, ", "), "no field of this service")
}
