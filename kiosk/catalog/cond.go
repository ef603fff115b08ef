package catalog

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Cond is a parsed condition of required_if or visible_if: one or more terms
// that must all hold. The zero value has no terms and always holds.
//
//	mode=1                    the answer is 1
//	special_group!=00         there is an answer and it is not 00
//	aac011 in 11,14,21        the answer is one of these
//	change_items has a,b      one of the chosen items is one of these
//	mode=1 and print=1        both
type Cond struct{ terms []Term }

// Term is one comparison of a condition.
type Term struct {
	Field  string
	Op     Op
	Values []string
}

// Op is the comparison of a term.
type Op string

// The operators.
const (
	OpEqual    Op = "="
	OpNotEqual Op = "!="
	OpIn       Op = "in"
	OpHas      Op = "has"
)

// condHelp is what a catalogue author may write.
const condHelp = "a=1 | a!=1 | a in 1,2 | a has x,y, joined by and"

var (
	condWord = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	condVal  = regexp.MustCompile(`^[0-9A-Za-z_.\-]+$`)
)

// ParseCond parses a condition. The empty string gives the condition that
// always holds.
func ParseCond(s string) (Cond, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return Cond{}, nil
	}
	var c Cond
	for part := range strings.SplitSeq(s, " and ") {
		t, err := parseTerm(strings.TrimSpace(part))
		if err != nil {
			return Cond{}, fmt.Errorf("condition %q: %w", s, err)
		}
		c.terms = append(c.terms, t)
	}
	return c, nil
}

func parseTerm(s string) (Term, error) {
	t := Term{}
	var list string
	if f := strings.Fields(s); len(f) == 3 && (f[1] == "in" || f[1] == "has") {
		t.Field, t.Op, list = f[0], Op(f[1]), f[2]
		t.Values = strings.Split(list, ",")
	} else if l, r, ok := strings.Cut(s, "!="); ok {
		t.Field, t.Op, t.Values = strings.TrimSpace(l), OpNotEqual, []string{strings.TrimSpace(r)}
	} else if l, r, ok := strings.Cut(s, "="); ok {
		t.Field, t.Op, t.Values = strings.TrimSpace(l), OpEqual, []string{strings.TrimSpace(r)}
	} else {
		return t, fmt.Errorf("%q is none of %s", s, condHelp)
	}
	if !condWord.MatchString(t.Field) {
		return t, fmt.Errorf("%q is not a field name", t.Field)
	}
	for _, v := range t.Values {
		if !condVal.MatchString(v) {
			return t, fmt.Errorf("%q is not a value", v)
		}
	}
	return t, nil
}

// Parse replaces the condition by the one written in s; see ParseCond.
func (c *Cond) Parse(s string) error {
	parsed, err := ParseCond(s)
	if err != nil {
		return err
	}
	*c = parsed
	return nil
}

// Terms returns the terms, for checking; do not change them.
func (c Cond) Terms() []Term { return c.terms }

// IsZero reports whether there is no condition.
func (c Cond) IsZero() bool { return len(c.terms) == 0 }

// String writes the condition so that ParseCond reads the same again.
func (c Cond) String() string {
	parts := make([]string, len(c.terms))
	for i, t := range c.terms {
		if t.Op == OpIn || t.Op == OpHas {
			parts[i] = t.Field + " " + string(t.Op) + " " + strings.Join(t.Values, ",")
		} else {
			parts[i] = t.Field + string(t.Op) + t.Values[0]
		}
	}
	return strings.Join(parts, " and ")
}

// Eval tells whether the condition holds. get returns an answer as text and,
// for several choices, as a list; an unanswered or invisible field gives ""
// and nil, on which no term holds.
func (c Cond) Eval(get func(field string) (text string, list []string)) bool {
	for _, t := range c.terms {
		if text, list := get(t.Field); !t.holds(text, list) {
			return false
		}
	}
	return true
}

func (t Term) holds(text string, list []string) bool {
	switch t.Op {
	case OpEqual, OpIn:
		return slices.Contains(t.Values, text)
	case OpNotEqual:
		return text != "" && text != t.Values[0]
	case OpHas:
		if len(list) == 0 && text != "" {
			list = []string{text}
		}
		return slices.ContainsFunc(list, func(v string) bool { return slices.Contains(t.Values, v) })
	}
	return false
}
