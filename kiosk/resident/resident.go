// Package resident holds what the terminal knows of a person: the citizen ID
// number, the name, and the claim that a card made about them.
//
// It exists so that personal data has types: IDNumber, Name and Claim print
// masked however they are formatted, logged or marshalled, also with a wrong
// verb; numbers and names do so even where fmt calls no methods (unexported
// fields of another struct, %p). The clear value leaves only through Reveal, which seal, paper and the page that shows it to its
// owner call. Standards: GB 11643-1999 (number), GB/T 2261.1 (sex),
// GB/T 3304 (ethnic group).
package resident

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"
	"unique"
)

// Errors of ParseIDNumber; each predicts what the person should do next.
var (
	ErrLength     = errors.New("ID number must have 18 characters")
	ErrCharacters = errors.New("ID number has a character that cannot be there")
	ErrDate       = errors.New("ID number holds a date that does not exist")
	ErrCheckDigit = errors.New("ID number has a wrong check digit")
)

// IDNumber is a citizen ID number (公民身份号码 = 社会保障号码). The zero value
// is "no number". It is comparable and immutable.
type IDNumber struct{ v hidden }

// hidden is a text that fmt cannot reach: where a value sits in an unexported
// field, fmt calls no methods and prints what it finds, which here is an
// address. Equal texts have equal hiddens; the zero value is "".
type hidden struct{ h unique.Handle[string] }

func hide(s string) hidden {
	if s == "" {
		return hidden{}
	}
	return hidden{unique.Make(s)}
}

func (h hidden) text() string {
	if h == (hidden{}) {
		return ""
	}
	return h.h.Value()
}

var idWeights = [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}

const idChecks = "10X98765432"

// ParseIDNumber checks length, characters, date and check digit. The division
// prefix is never validated: divisions are renamed, numbers stay.
func ParseIDNumber(s string) (IDNumber, error) {
	s = strings.ToUpper(strings.TrimSpace(s))
	if len(s) != 18 {
		return IDNumber{}, ErrLength
	}
	sum := 0
	for i := range 17 {
		c := s[i]
		if c < '0' || c > '9' {
			return IDNumber{}, ErrCharacters
		}
		sum += int(c-'0') * idWeights[i]
	}
	if (s[17] < '0' || s[17] > '9') && s[17] != 'X' {
		return IDNumber{}, ErrCharacters
	}
	if _, err := time.Parse("20060102", s[6:14]); err != nil {
		return IDNumber{}, ErrDate
	}
	if idChecks[sum%11] != s[17] {
		return IDNumber{}, ErrCheckDigit
	}
	return IDNumber{hide(s)}, nil
}

// IsZero reports whether there is no number.
func (n IDNumber) IsZero() bool { return n.v == (hidden{}) }

// Reveal returns the clear number. Callers: kiosk/seal envelopes, kiosk/paper,
// the page that shows it to its owner, the keyed index of the vault.
func (n IDNumber) Reveal() string { return n.v.text() }

// String keeps the first and the last four characters: 1408**********0024.
func (n IDNumber) String() string {
	v := n.v.text()
	if v == "" {
		return ""
	}
	return v[:4] + "**********" + v[14:]
}

// GoString masks %#v too.
func (n IDNumber) GoString() string { return "resident.IDNumber(" + n.String() + ")" }

// Format masks under every verb.
func (n IDNumber) Format(s fmt.State, verb rune) { format(s, verb, n.String(), n.GoString()) }

// format writes a masked text as the verb asks; a verb that is none for texts
// gives the masked text, never what is behind it.
func format(s fmt.State, verb rune, text, goText string) {
	switch verb {
	case 'v':
		if s.Flag('#') {
			text = goText
		}
		fmt.Fprintf(s, fmt.FormatString(stripped{s}, 's'), text)
	case 's', 'q', 'x', 'X':
		fmt.Fprintf(s, fmt.FormatString(s, verb), text)
	default:
		fmt.Fprint(s, text)
	}
}

// stripped is a State without the flags that %s does not know.
type stripped struct{ fmt.State }

// Flag reports only the flag for aligning left.
func (s stripped) Flag(c int) bool { return c == '-' && s.State.Flag(c) }

// LogValue masks the number in structured logs.
func (n IDNumber) LogValue() slog.Value { return slog.StringValue(n.String()) }

// MarshalJSON writes the masked number.
func (n IDNumber) MarshalJSON() ([]byte, error) { return json.Marshal(n.String()) }

// BirthDate returns the date of birth encoded in the number.
func (n IDNumber) BirthDate() time.Time {
	if n.IsZero() {
		return time.Time{}
	}
	t, err := time.Parse("20060102", n.v.text()[6:14])
	if err != nil {
		return time.Time{} // ParseIDNumber lets no such date through
	}
	return t
}

// Sex returns "1" (male) or "2" (female) by GB/T 2261.1, "" for no number.
func (n IDNumber) Sex() string {
	if n.IsZero() {
		return ""
	}
	if (n.v.text()[16]-'0')%2 == 1 {
		return "1"
	}
	return "2"
}

// AgeOn returns the age in full years on a day; for no number it means nothing.
func (n IDNumber) AgeOn(day time.Time) int {
	b := n.BirthDate()
	age := day.Year() - b.Year()
	if day.Month() < b.Month() || (day.Month() == b.Month() && day.Day() < b.Day()) {
		age--
	}
	return age
}

// Name is a person's name. It may hold characters outside the BMP and "·".
type Name struct{ v hidden }

// NewName trims and keeps a name exactly as given otherwise.
func NewName(s string) Name { return Name{hide(strings.TrimSpace(s))} }

// IsZero reports whether there is no name.
func (n Name) IsZero() bool { return n.v == (hidden{}) }

// Reveal returns the clear name; see IDNumber.Reveal for who may call it.
func (n Name) Reveal() string { return n.v.text() }

// String keeps the first character and masks the others: 张*, 欧**.
func (n Name) String() string {
	v := n.v.text()
	if v == "" {
		return ""
	}
	_, w := utf8.DecodeRuneInString(v)
	return v[:w] + strings.Repeat("*", max(1, utf8.RuneCountInString(v)-1))
}

// GoString masks %#v too.
func (n Name) GoString() string { return "resident.Name(" + n.String() + ")" }

// Format masks under every verb.
func (n Name) Format(s fmt.State, verb rune) { format(s, verb, n.String(), n.GoString()) }

// LogValue masks the name in structured logs.
func (n Name) LogValue() slog.Value { return slog.StringValue(n.String()) }

// MarshalJSON writes the masked name.
func (n Name) MarshalJSON() ([]byte, error) { return json.Marshal(n.String()) }

// Source tells what made a claim.
type Source string

// Sources of a claim.
const (
	FromSocialCard Source = "social_card" // chip of the social-security card
	FromIDCard     Source = "id_card"     // chip of the resident ID card
	FromTyped      Source = "typed"       // typed by staff, who saw a document
)

// Verification tells who confirmed a claim, and so what may be written on it.
type Verification string

// Verifications.
const (
	Unverified      Verification = "unverified"        // only the card said so
	VerifiedOnline  Verification = "verified_online"   // upstream compared it with its register
	VerifiedByStaff Verification = "verified_by_staff" // staff compared person and printed card
)

// Claim is what a card (or a typed number) says about a person. It is not
// proof: a card read without the provincial keys can carry any name.
// Dates are YYYYMMDD; codes are the standards' numbers; empty means absent.
type Claim struct {
	Source         Source
	Number         IDNumber
	Name           Name
	NameExact      bool // false: a character could not be decoded, a helper takes over
	Sex            string
	Ethnic         string
	BirthDate      string
	Address        string
	CardNumber     string
	CardIdentifier string
	CardVersion    string
	IssueDate      string
	ExpiryDate     string
	Authority      string
	ReadAt         time.Time
	Demo           bool // read from simulated hardware
	Verification   Verification
	VerifiedBy     string // staff number, when VerifiedByStaff
}

// LogValue shows only source, masked number and verification.
func (c Claim) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("source", string(c.Source)), slog.String("number", c.Number.String()),
		slog.String("verification", string(c.Verification)))
}

// String masks the claim.
func (c Claim) String() string {
	return fmt.Sprintf("%s %s (%s, %s)", c.Name, c.Number, c.Source, c.Verification)
}

// GoString masks %#v.
func (c Claim) GoString() string { return "resident.Claim{" + c.String() + "}" }

// Format masks under every verb.
func (c Claim) Format(s fmt.State, verb rune) { format(s, verb, c.String(), c.GoString()) }

// MarshalJSON writes what LogValue shows. A claim goes to the county only
// inside a sealed case (kiosk/cases).
func (c Claim) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Source       Source       `json:"source"`
		Number       IDNumber     `json:"number"`
		Verification Verification `json:"verification"`
	}{c.Source, c.Number, c.Verification})
}

// SamePerson reports whether two claims carry the same number.
func (c Claim) SamePerson(o Claim) bool { return !c.Number.IsZero() && c.Number == o.Number }
