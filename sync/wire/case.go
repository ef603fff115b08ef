package wire

import "time"

// CasePut is one revision of one case on its way to the county: the body of
// PUT PathCase and of each batch item. CaseID and Revision repeat the path, so
// that the item is the same thing in a batch.
//
// Everything that identifies a person is inside Body (and the files), sealed
// under the case key; Envelope holds that key for the county alone. How they
// are bound to each other is said by kiosk/cases (BodyAAD, FileAAD,
// EnvelopeAAD).
type CasePut struct {
	CaseID    string    `json:"case_id"`
	Revision  int       `json:"revision"`  // 1, 2, …
	Service   string    `json:"service"`   // S01
	Catalogue string    `json:"catalogue"` // catalogue version the form was filled with
	Region    string    `json:"region"`    // 12-digit code of the service point
	StartedAt time.Time `json:"started_at"`
	SavedAt   time.Time `json:"saved_at"`
	Mode      string    `json:"mode"` // self, assisted, agent, visit
	Staff     string    `json:"staff,omitempty"`
	Demo      bool      `json:"demo"`
	// KeyID is a hint which county SM2 key the envelope is made out to. It may
	// be empty or, after a change of keys, stale: then try the others.
	KeyID       string    `json:"key_id"`
	Envelope    []byte    `json:"envelope"`
	Body        []byte    `json:"body"`   // sealed body
	Digest      string    `json:"digest"` // hex SM3 of Body; the reply must echo it
	Files       []FileRef `json:"files"`
	Outstanding []string  `json:"outstanding,omitempty"` // materials promised for later
}

// FileRef names one sealed file that belongs to a case.
type FileRef struct {
	Name     string `json:"name"` // unique within the case
	Material string `json:"material"`
	Page     int    `json:"page"` // 1…
	MIME     string `json:"mime"` // of the clear content
	Size     int64  `json:"size"` // of the sealed file
	Digest   string `json:"digest"`
}

// Validate checks the shape; it cannot know whether Digest is that of Body.
func (c CasePut) Validate() error {
	switch {
	case !ValidCaseID(c.CaseID):
		return invalid("case_id %q is not a UUIDv7", c.CaseID)
	case c.Revision < 1:
		return invalid("revision %d", c.Revision)
	case c.Service == "" || c.Catalogue == "":
		return invalid("service and catalogue are needed")
	case !reRegion.MatchString(c.Region):
		return invalid("region %q is not a 12-digit code", c.Region)
	case len(c.Body) == 0 || len(c.Envelope) == 0:
		return invalid("body and envelope are needed")
	case len(c.Files) > MaxFiles:
		return invalid("%d files, at most %d", len(c.Files), MaxFiles)
	}
	switch c.Mode {
	case "self", "assisted", "agent", "visit":
	default:
		return invalid("mode %q", c.Mode)
	}
	if _, err := ParseDigest(c.Digest); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, f := range c.Files {
		if !ValidFileName(f.Name) || seen[f.Name] {
			return invalid("file name %q", f.Name)
		}
		seen[f.Name] = true
		if f.Size < 1 || f.Size > MaxFileBytes {
			return invalid("file %s has %d bytes", f.Name, f.Size)
		}
		if _, err := ParseDigest(f.Digest); err != nil {
			return err
		}
	}
	return nil
}

// CaseState is the closed set of answers to a case.
type CaseState string

// Case states on the wire.
const (
	// CaseIncomplete: body stored for good, the files in Missing are not.
	CaseIncomplete CaseState = "incomplete"
	// CaseAccepted: everything stored for good, the county's number is given.
	CaseAccepted CaseState = "accepted"
	// CaseDuplicate: it was accepted before; the same number again. Success.
	CaseDuplicate CaseState = "duplicate"
)

// CaseStates lists the closed set.
var CaseStates = []CaseState{CaseIncomplete, CaseAccepted, CaseDuplicate}

// CaseReply answers a case. It is sent only after the upstream has stored
// durably what it says. 201 the first time, 200 afterwards.
type CaseReply struct {
	CaseID     string     `json:"case_id"`
	Revision   int        `json:"revision"`
	State      CaseState  `json:"state"`
	Missing    []string   `json:"missing,omitempty"`     // file names, only when incomplete
	Acceptance string     `json:"acceptance,omitempty"`  // the county's number
	AcceptedAt *time.Time `json:"accepted_at,omitempty"` // the county's time
	Due        string     `json:"due,omitempty"`         // YYYY-MM-DD promised answer
	Digest     string     `json:"digest"`                // echo of CasePut.Digest
}

// Validate checks that the reply is whole and speaks of this very case.
func (r CaseReply) Validate(caseID string, revision int, digest string) error {
	if r.CaseID != caseID || r.Revision != revision {
		return invalid("reply speaks of %s/%d, not of %s/%d", r.CaseID, r.Revision, caseID, revision)
	}
	if r.Digest != digest || digest == "" {
		return invalid("reply echoes digest %q, sent was %q", r.Digest, digest)
	}
	switch r.State {
	case CaseIncomplete:
		if len(r.Missing) == 0 || r.Acceptance != "" {
			return invalid("incomplete without missing files, or with a number")
		}
	case CaseAccepted, CaseDuplicate:
		if r.Acceptance == "" || r.AcceptedAt == nil || len(r.Missing) > 0 {
			return invalid("accepted without number or time, or with missing files")
		}
	default:
		return invalid("state %q", r.State)
	}
	return nil
}

// Batch is several cases in one request, at most MaxBatchItems and
// MaxBatchBytes. Each item is stored on its own; one bad item harms no other.
type Batch struct {
	Items []CasePut `json:"items"`
}

// BatchReply has one answer per item, in the order of the items.
type BatchReply struct {
	Items []BatchItem `json:"items"`
}

// BatchItem is the answer a single PUT would have got: exactly one of Reply and
// Problem is set.
type BatchItem struct {
	Status  int        `json:"status"`
	Reply   *CaseReply `json:"reply,omitempty"`
	Problem *Problem   `json:"problem,omitempty"`
}
