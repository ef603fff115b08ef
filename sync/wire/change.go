package wire

import (
	"encoding/binary"
	"encoding/json"
	"time"
)

// Kind is the closed set of things the county sends down.
type Kind string

// Kinds of change. The comment names the id of an object of the kind, and
// whether one object may reach every terminal or only the one it is for.
const (
	KindCaseUpdate Kind = "case_update" // case id; this terminal only; Data is CaseUpdate
	KindStaff      Kind = "staff"       // account number; Data is StaffAccount
	KindJob        Kind = "job"         // job number
	KindCourse     Kind = "course"      // course number
	KindEvent      Kind = "event"       // event number (job fair, talk)
	KindPost       Kind = "post"        // public-welfare post (公益性岗位)
	KindNotice     Kind = "notice"      // notice number
	KindPolicy     Kind = "policy"      // policy number
	KindCatalogue  Kind = "catalogue"   // "services" or "codes"; Data is the catalogue file
	KindConfig     Kind = "config"      // configuration section
	KindRevoke     Kind = "revoke"      // terminal id; this terminal only; Data is Revocation
)

// Kinds lists the closed set.
var Kinds = []Kind{
	KindCaseUpdate, KindStaff, KindJob, KindCourse, KindEvent, KindPost, KindNotice, KindPolicy,
	KindCatalogue, KindConfig, KindRevoke,
}

// Known reports whether the kind is of the closed set. A newer upstream may
// send others: they are passed over, the cursor moves on.
func (k Kind) Known() bool {
	for _, x := range Kinds {
		if x == k {
			return true
		}
	}
	return false
}

// Personal reports whether objects of the kind are for one terminal only: then
// Audience must name it.
func (k Kind) Personal() bool { return k == KindCaseUpdate || k == KindRevoke }

// Change is one object that came into being, changed or went away. Version
// grows with every change of the same kind and id and is never reused; an older
// one is refused, so that nothing can be turned back. Data is the object's
// JSON, carried as bytes so that exactly what was signed arrives.
type Change struct {
	Cursor   string `json:"cursor"` // position after this change; not signed
	Kind     Kind   `json:"kind"`
	ID       string `json:"id"`
	Version  int64  `json:"version"`            // 1…
	Audience string `json:"audience,omitempty"` // terminal id, "" = every terminal
	Deleted  bool   `json:"deleted,omitempty"`
	Data     []byte `json:"data,omitempty"` // empty when deleted
	// Signature is the county's SM2 signature with SM3 (GB/T 32918.2, ASN.1)
	// over SigningBytes.
	Signature []byte `json:"signature"`
}

// SigningBytes is the unambiguous form that the county signs: a heading, then
// every field with its length in front (64-bit big endian).
func (c Change) SigningBytes() []byte {
	out := []byte("cunban change 1\n")
	add := func(b []byte) {
		out = binary.BigEndian.AppendUint64(out, uint64(len(b)))
		out = append(out, b...)
	}
	add([]byte(c.Kind))
	add([]byte(c.ID))
	add(binary.BigEndian.AppendUint64(nil, uint64(c.Version)))
	add([]byte(c.Audience))
	if c.Deleted {
		add([]byte{1})
	} else {
		add([]byte{0})
	}
	add(c.Data)
	return out
}

// Validate checks the shape and that the change is for this terminal. It does
// not check the signature.
func (c Change) Validate(terminal string) error {
	switch {
	case c.Cursor == "" || len(c.Cursor) > 128:
		return invalid("change without a usable cursor")
	case !reObjectID.MatchString(c.ID):
		return invalid("object id %q", c.ID)
	case c.Version < 1:
		return invalid("version %d of %s/%s", c.Version, c.Kind, c.ID)
	case c.Audience != "" && c.Audience != terminal:
		return invalid("%s/%s is for terminal %s", c.Kind, c.ID, c.Audience)
	case c.Kind.Personal() && c.Audience == "":
		return invalid("%s/%s does not name its terminal", c.Kind, c.ID)
	case c.Deleted && len(c.Data) > 0:
		return invalid("%s/%s is deleted but has data", c.Kind, c.ID)
	case !c.Deleted && !json.Valid(c.Data):
		return invalid("data of %s/%s is not JSON", c.Kind, c.ID)
	case len(c.Signature) == 0:
		return invalid("%s/%s is not signed", c.Kind, c.ID)
	}
	return nil
}

// Changes is one page of what is new after a cursor, oldest first.
type Changes struct {
	Changes []Change `json:"changes"`
	Cursor  string   `json:"cursor"` // ask again after this; unchanged when nothing is new
	More    bool     `json:"more"`   // ask again at once
}

// CaseUpdate tells of a case that moved at the county.
type CaseUpdate struct {
	CaseID     string    `json:"case_id"`
	Revision   int       `json:"revision"`
	State      string    `json:"state"` // accepted, processing, returned, finished, refused
	At         time.Time `json:"at"`
	Note       string    `json:"note,omitempty"` // plain words for the resident
	Mend       []Mend    `json:"mend,omitempty"` // only when returned
	Acceptance string    `json:"acceptance,omitempty"`
	Due        string    `json:"due,omitempty"` // YYYY-MM-DD
}

// Mend is one thing to be mended in a returned case.
type Mend struct {
	Field  string `json:"field"` // "" = the whole case
	Label  string `json:"label"`
	Reason string `json:"reason"` // plain words for the resident
}

// StaffAccount is an account as terminals keep it, without personal data
// beyond the name that is on the wall of the service point.
type StaffAccount struct {
	Number  string   `json:"number"`
	Name    string   `json:"name"`
	Roles   []string `json:"roles"`    // clerk, technician
	PINHash string   `json:"pin_hash"` // kiosk/seal.PasswordHash
	Status  string   `json:"status"`   // active, suspended, cancelled
	Region  string   `json:"region"`   // 12-digit code; "" = the whole county
}

// Revocation switches a terminal off: it sends nothing more and takes no new
// cases, but keeps what is unsent. A deleted object switches it on again.
type Revocation struct {
	Reason string    `json:"reason"` // plain words for staff
	At     time.Time `json:"at"`
}
