package cases

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"cunban/kiosk/resident"
	"cunban/kiosk/seal"
)

// BodyVersion is the version of Body's shape.
const BodyVersion = 1

// Body is the clear content of a case: what is sealed under the case key for
// the county. It is the only place where a person's data leaves the masked
// types, and it exists only between Submit and seal, and at the county.
type Body struct {
	Version     int             `json:"version"`
	CaseID      string          `json:"case_id"`
	Revision    int             `json:"revision"`
	Service     string          `json:"service"`
	ServiceName string          `json:"service_name"`
	Catalogue   string          `json:"catalogue"`
	Region      string          `json:"region"`
	Village     string          `json:"village"`
	Applicant   Person          `json:"applicant"`
	Answers     json.RawMessage `json:"answers"`   // kiosk/form's JSON
	Signature   []byte          `json:"signature"` // PNG
	Outstanding []string        `json:"outstanding,omitempty"`
	Mode        Mode            `json:"mode"`
	Staff       string          `json:"staff,omitempty"`
	Confirmed   bool            `json:"confirmed"` // the resident confirmed on screen
	StartedAt   time.Time       `json:"started_at"`
	SavedAt     time.Time       `json:"saved_at"`
	Demo        bool            `json:"demo"`
}

// Person is a claim in clear, for the county.
type Person struct {
	Source         resident.Source       `json:"source"`
	Number         string                `json:"number"`
	Name           string                `json:"name"`
	NameExact      bool                  `json:"name_exact"`
	Sex            string                `json:"sex,omitempty"`
	Ethnic         string                `json:"ethnic,omitempty"`
	BirthDate      string                `json:"birth_date,omitempty"`
	Address        string                `json:"address,omitempty"`
	CardNumber     string                `json:"card_number,omitempty"`
	CardIdentifier string                `json:"card_identifier,omitempty"`
	ReadAt         time.Time             `json:"read_at"`
	Verification   resident.Verification `json:"verification"`
	VerifiedBy     string                `json:"verified_by,omitempty"`
}

// personOf lifts a claim out of its masked types.
func personOf(c resident.Claim) Person {
	return Person{
		Source: c.Source, Number: c.Number.Reveal(), Name: c.Name.Reveal(), NameExact: c.NameExact,
		Sex: c.Sex, Ethnic: c.Ethnic, BirthDate: c.BirthDate, Address: c.Address,
		CardNumber: c.CardNumber, CardIdentifier: c.CardIdentifier,
		ReadAt: c.ReadAt.UTC(), Verification: c.Verification, VerifiedBy: c.VerifiedBy,
	}
}

// The associated data that binds every sealed part of a case to its place, so
// that nothing can be moved between cases, revisions or files.

// EnvelopeAAD binds a case key's envelope.
func EnvelopeAAD(caseID string, revision int) []byte {
	return seal.AAD("cunban case 1", "envelope", caseID, strconv.Itoa(revision))
}

// BodyAAD binds a sealed body; keyID is the county key's ID.
func BodyAAD(caseID string, revision int, keyID string) []byte {
	return seal.AAD("cunban case 1", "body", caseID, strconv.Itoa(revision), keyID)
}

// FileAAD binds a sealed file.
func FileAAD(caseID string, revision int, name string) []byte {
	return seal.AAD("cunban case 1", "file", caseID, strconv.Itoa(revision), name)
}

// LogAAD binds the personal part of a submission's operation-log record.
func LogAAD(caseID string, revision int) []byte {
	return seal.AAD("cunban case 1", "log", caseID, strconv.Itoa(revision))
}

// OpenBody opens a sealed body with the case key (at the county).
func OpenBody(k seal.Key, sealed []byte, caseID string, revision int, keyID string) (Body, error) {
	plain, err := seal.Open(k, sealed, BodyAAD(caseID, revision, keyID))
	if err != nil {
		return Body{}, fmt.Errorf("open the body of case %s/%d: %w", caseID, revision, err)
	}
	defer clear(plain)
	var b Body
	if err := json.Unmarshal(plain, &b); err != nil {
		return Body{}, fmt.Errorf("read the body of case %s/%d: %w", caseID, revision, err)
	}
	if b.CaseID != caseID || b.Revision != revision {
		return Body{}, fmt.Errorf("the body speaks of case %s/%d, not of %s/%d", b.CaseID, b.Revision, caseID, revision)
	}
	return b, nil
}
