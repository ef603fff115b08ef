package catalog

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
}
