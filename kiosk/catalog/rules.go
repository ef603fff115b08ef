package catalog

import "regexp"

// Rules are a field's checks, in the catalogue's own names.
type Rules struct {
	Pattern    string  `json:"pattern,omitempty"` // RE2
	Rule       string  `json:"rule,omitempty"`    // cn_name, gb11643, gb32100, luhn
	Min        any     `json:"min,omitempty"`     // number, YYYY-MM-DD, today, +30d, -12m, this_year
	Max        any     `json:"max,omitempty"`
	MaxLen     int     `json:"max_len,omitempty"`
	MaxItems   int     `json:"max_items,omitempty"`
	MinPages   int     `json:"min_pages,omitempty"`
	MaxPages   int     `json:"max_pages,omitempty"`
	MinStrokes int     `json:"min_strokes,omitempty"`
	MinRows    int     `json:"min_rows,omitempty"`
	MaxRows    int     `json:"max_rows,omitempty"`
	Columns    []Field `json:"columns,omitempty"`
	Equals     string  `json:"equals,omitempty"` // another field's name, or today
	GE         string  `json:"ge,omitempty"`
	RequiredIf string  `json:"required_if,omitempty"` // a=1 | a in 1,2 | a has x,y
	VisibleIf  string  `json:"visible_if,omitempty"`
	Must       *bool   `json:"must,omitempty"`
	MustEqual  string  `json:"must_equal,omitempty"`
	Message    string  `json:"msg,omitempty"`
	Level      string  `json:"level,omitempty"` // "warn": tell, do not stop
	WarnIf     any     `json:"warn_if,omitempty"`
	Default    any     `json:"default,omitempty"`
	Endpoint   string  `json:"endpoint,omitempty"`
	Workday    bool    `json:"workday,omitempty"`
	NotWeak    bool    `json:"not_weak,omitempty"`
	NeverStore bool    `json:"never_store,omitempty"`
	Liveness   bool    `json:"liveness,omitempty"`
	Role       string  `json:"role,omitempty"` // who may fill it: clerk
	Background string  `json:"bg,omitempty"`
	Ratio      string  `json:"ratio,omitempty"`
	Face       int     `json:"face,omitempty"`
	// AssumeFromAge is the age in years from which the default is taken as the
	// answer without asking; 0 = never. Younger people are asked.
	AssumeFromAge int `json:"assume_from_age,omitempty"`

	// Parsed by the loader, so that nobody parses them twice.
	pattern           *regexp.Regexp
	min, max          Bound
	required, visible Cond
	preset, warnIf    string
}

// Names of checks for Rules.Rule.
const (
	RuleName       = "cn_name" // a Chinese name, "·" allowed
	RuleIDNumber   = "gb11643" // citizen ID number
	RuleCreditCode = "gb32100" // unified social credit code
	RuleLuhn       = "luhn"    // check digit of bank card numbers
	LevelWarn      = "warn"    // Rules.Level: tell, do not stop
	RoleClerk      = "clerk"   // Rules.Role: only staff may fill it
)

// Regexp returns the compiled pattern, nil when there is none.
func (r *Rules) Regexp() *regexp.Regexp { return r.pattern }

// Bounds returns the parsed min and max; either may be zero.
func (r *Rules) Bounds() (lo, hi Bound) { return r.min, r.max }

// RequiredWhen returns the parsed required_if.
func (r *Rules) RequiredWhen() Cond { return r.required }

// VisibleWhen returns the parsed visible_if.
func (r *Rules) VisibleWhen() Cond { return r.visible }

// Preset returns the default as text, "" when there is none. DefaultRegion
// stands for the service point's own division code.
func (r *Rules) Preset() string { return r.preset }

// WarnCode returns the choice that is worth a warning, "" when there is none.
func (r *Rules) WarnCode() string { return r.warnIf }
