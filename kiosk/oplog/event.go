package oplog

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"cunban/kiosk/resident"
)

//go:generate go run ./internal/gen/write

// Event is the id of a kind of happening, such as "case.submit". The constants
// are generated from events.json.
type Event string

// Kind tells whether an event stands alone or opens or closes a long action.
type Kind int

// Kinds.
const (
	Single Kind = iota
	Begins      // outcome begin; Spec.End closes it
	Ends        // outcome end, ok, failed or refused
)

// Spec is what the catalogue says about an event.
type Spec struct {
	Kind   Kind
	End    Event    // for Begins
	Roles  []string // who may cause it
	Fields []string // besides the common ones
	Text   string   // plain Chinese
}

// Spec returns the catalogue's entry; ok is false for an event unknown to this
// version.
func (e Event) Spec() (s Spec, ok bool) {
	s, ok = catalogue[e]
	return s, ok
}

// Text returns plain Chinese for people; the id itself for an unknown event.
func (e Event) Text() string {
	if s, ok := catalogue[e]; ok {
		return s.Text
	}
	return string(e)
}

// Outcome is how an event went.
type Outcome string

// The closed set of outcomes.
const (
	OK      Outcome = "ok"
	Failed  Outcome = "failed"
	Refused Outcome = "refused"
	Begin   Outcome = "begin"
	End     Outcome = "end"
)

// Outcomes lists the closed set.
var Outcomes = []Outcome{OK, Failed, Refused, Begin, End}

var outcomeWords = []string{string(OK), string(Failed), string(Refused), string(Begin), string(End)}

// Text returns plain Chinese for people.
func (o Outcome) Text() string {
	switch o {
	case OK:
		return "成功"
	case Failed:
		return "失败"
	case Refused:
		return "被拒绝"
	case Begin:
		return "开始"
	case End:
		return "结束"
	}
	return string(o)
}

// Roles of a record; the same words as in kiosk/cases, which this floor must
// not import.
const (
	RoleResident   = "resident"
	RoleStaff      = "staff"
	RoleTechnician = "technician"
	RoleSystem     = "system"
)

var roleSet = []string{RoleResident, RoleStaff, RoleTechnician, RoleSystem}

// Limits of an entry, so that a record never passes MaxRecord.
const (
	maxWord   = 128 // bytes of account, case id, device
	maxFields = 24
	maxValue  = 240 // bytes of a field's value
)

// ErrEntry means that an entry is not what the catalogue allows: a fault of
// the program, not of a person.
var ErrEntry = errors.New("not a lawful log entry")

// Entry is what callers fill; the vault completes it with number, clocks, boot
// id and version.
type Entry struct {
	Event   Event
	Outcome Outcome // "" = OK, or Begin or End by the event's kind
	Role    string  // "" = system
	Account string  // staff or technician number; "" for residents
	Session uint64  // session number on this terminal, 0 = none
	CaseID  string
	Device  string // device the action went through, "" = screen
	Demo    bool
	Fields  map[string]string // never personal detail
	Private []byte            // SM3 digest of the sealed personal part, nil if none
}

// Normal fills the defaults of outcome and role.
func (e Entry) Normal() Entry {
	if e.Role == "" {
		e.Role = RoleSystem
	}
	if e.Outcome != "" {
		return e
	}
	switch catalogue[e.Event].Kind {
	case Begins:
		e.Outcome = Begin
	case Ends:
		e.Outcome = End
	case Single:
		e.Outcome = OK
	}
	return e
}

// Check compares an entry (after Normal) with the catalogue: event, outcome,
// role, fields. It also refuses a field that holds a citizen ID number, which
// must never be in a log. Errors: ErrEntry.
func (e Entry) Check() error {
	s, ok := catalogue[e.Event]
	if !ok {
		return fmt.Errorf("%w: event %q is not in the catalogue", ErrEntry, e.Event)
	}
	fits := false
	switch e.Outcome {
	case OK, Failed, Refused:
		fits = s.Kind != Begins
	case Begin:
		fits = s.Kind == Begins
	case End:
		fits = s.Kind == Ends
	}
	if !fits {
		return fmt.Errorf("%w: %s cannot have outcome %q", ErrEntry, e.Event, e.Outcome)
	}
	if !slices.Contains(s.Roles, e.Role) {
		return fmt.Errorf("%w: %s is not for role %q, only for %v", ErrEntry, e.Event, e.Role, s.Roles)
	}
	if len(e.Private) != 0 && len(e.Private) != HashSize {
		return fmt.Errorf("%w: %s: private part is no digest", ErrEntry, e.Event)
	}
	if len(e.Account) > maxWord || len(e.CaseID) > maxWord || len(e.Device) > maxWord || len(e.Fields) > maxFields {
		return fmt.Errorf("%w: %s is too long", ErrEntry, e.Event)
	}
	for k, v := range e.Fields {
		switch {
		case !slices.Contains(s.Fields, k) && !slices.Contains(commonFields, k):
			return fmt.Errorf("%w: %s has no field %q, only %v and %v", ErrEntry, e.Event, k, s.Fields, commonFields)
		case len(v) > maxValue || !utf8.ValidString(v):
			return fmt.Errorf("%w: %s: field %q is too long or not UTF-8", ErrEntry, e.Event, k)
		case holdsIDNumber(v):
			return fmt.Errorf("%w: %s: field %q holds an ID number", ErrEntry, e.Event, k)
		}
	}
	return nil
}

// Lawful reports whether a field may stand in an event, so that callers with
// free data can drop the others.
func (e Event) Lawful(field string) bool {
	s, ok := catalogue[e]
	return ok && (slices.Contains(s.Fields, field) || slices.Contains(commonFields, field))
}

// holdsIDNumber looks for a valid citizen ID number anywhere in a text. A digest
// in hex is none, whatever digits it happens to have.
func holdsIDNumber(s string) bool {
	if _, err := hex.DecodeString(s); err == nil && len(s) == 2*HashSize {
		return false
	}
	for _, run := range strings.FieldsFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != 'X' && r != 'x' }) {
		if len(run) != 18 {
			continue
		}
		if _, err := resident.ParseIDNumber(run); err == nil {
			return true
		}
	}
	return false
}
