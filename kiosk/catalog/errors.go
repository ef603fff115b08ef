package catalog

import (
	"fmt"
	"strings"
)

// Error is one fault found in a catalogue version.
type Error struct {
	File    string // file name as given to Load
	Line    int    // 1…; 0 when no single line is to blame
	Service string // id, "" outside a service
	Field   string // field, material or code, "" outside one
	Text    string // what is wrong
	Allowed string // what would be right, "" when Text says it
}

// Error gives file:line: service/field: text (allowed: …).
func (e Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	b.WriteString(": ")
	if e.Service != "" {
		b.WriteString(e.Service)
		if e.Field != "" {
			b.WriteString("/")
		}
	}
	b.WriteString(e.Field)
	if e.Service != "" || e.Field != "" {
		b.WriteString(": ")
	}
	b.WriteString(e.Text)
	if e.Allowed != "" {
		b.WriteString(" (allowed: " + e.Allowed + ")")
	}
	return b.String()
}

// Errors are all faults of one catalogue version, in the order of the file.
// It is never empty when returned as an error.
type Errors []Error

// maxShown bounds how many faults Error spells out; Errors holds them all.
const maxShown = 20

// Error lists the faults, one a line.
func (e Errors) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the catalogue has %d fault(s)", len(e))
	for i, one := range e {
		if i == maxShown {
			fmt.Fprintf(&b, "\n… and %d more", len(e)-maxShown)
			break
		}
		b.WriteString("\n" + one.Error())
	}
	return b.String()
}

// Unwrap gives errors.As every single fault.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i := range e {
		out[i] = e[i]
	}
	return out
}
