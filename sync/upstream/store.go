package upstream

import (
	"context"
	"errors"
	"time"

	"cunban/sync/wire"
)

// Store keeps what the county knows. Both implementations pass the same
// conformance suite.
type Store interface {
	// View runs fn on one consistent snapshot. fn must not change anything.
	View(ctx context.Context, fn func(Tx) error) error
	// Update runs fn in one transaction and returns nil only after the change
	// is durable. fn may be run again when transactions collide, so it must
	// have no effect but through its Tx. An error of fn undoes everything.
	Update(ctx context.Context, fn func(Tx) error) error
	Close() error
}

// Errors of Store.
var (
	// ErrNotFound: no row.
	ErrNotFound = errors.New("not in the county's store")
	// ErrNotDurable: the database would lose acknowledged rows in a power cut;
	// it is not used.
	ErrNotDurable = errors.New("the database is not set to keep what it acknowledges")
)

// Tx reads and writes inside View or Update. It is bound to the context given
// there and dead once fn has returned. Getters answer ErrNotFound. Inside Update
// nobody else changes, or makes, the case, upload, object, log, account or
// serial number that a getter was asked for until the transaction ends. Put
// methods replace the whole row.
type Tx interface {
	// Counter adds one to a named counter and returns it, from 1. Whoever holds
	// the same counter waits until the transaction ends, so that numbers come
	// in the order of commits.
	Counter(name string) (int64, error)

	Terminal(id string) (Terminal, error)
	TerminalBySerial(serial string) (Terminal, error)
	Terminals() ([]Terminal, error)
	PutTerminal(t Terminal) error
	PutHealth(terminal string, at time.Time, report []byte) error
	Health(terminal string) (report []byte, at time.Time, err error)
	Log(terminal string) (Log, error)
	PutLog(l Log) error

	Code(serial, secretHash string) (Code, error)
	Codes() ([]Code, error) // newest first
	PutCode(c Code) error

	Case(id string) (Case, error)
	PutCase(c Case) error
	Cases(q CaseQuery) ([]Case, error) // newest first
	Revision(caseID string, revision int) (Revision, error)
	PutRevision(r Revision) error
	Files(caseID string, revision int) ([]File, error) // in the order they were named
	PutFile(f File) error
	Unhanded(limit int) ([]Revision, error) // accepted, not yet at the back office; without bodies
	MarkHanded(caseID string, revision int) error
	AddEvent(e CaseEvent) error
	Events(caseID string) ([]CaseEvent, error) // oldest first

	Upload(id string) (Upload, error)
	UploadOf(caseID string, revision int, name string) (Upload, error)
	PutUpload(u Upload) error
	DeleteUpload(id string) error

	Object(kind wire.Kind, id string) (Object, error)
	Objects(kind wire.Kind) ([]Object, error) // not the deleted ones, newest first
	PutObject(o Object) error
	// ChangesAfter returns objects for a terminal by growing Seq.
	ChangesAfter(seq int64, terminal string, limit int) ([]Object, error)
	LastChange() (int64, error)

	Admin(number string) (Admin, error)
	Admins() ([]Admin, error)
	PutAdmin(a Admin) error
	AddAudit(a Audit) error
	Audits(limit int) ([]Audit, error) // newest first
}

// Terminal is one enrolled terminal.
type Terminal struct {
	ID         string
	Serial     string
	Region     string // 12-digit code of the service point
	Village    string
	Name       string // of the service point
	Demo       bool
	EnrolledAt time.Time
	RevokedAt  time.Time // zero = in use
	Reason     string    // of the revocation
	CertUntil  time.Time // end of the certificate given last
}

// Log is what the county remembers of a terminal's operation log.
type Log struct {
	Terminal string
	Key      []byte // SM2 public key that signs it, DER
	Size     int64
	Root     []byte
	Note     []byte // countersigned checkpoint of Size
	At       time.Time
	Alarm    string // refused checkpoint, plain words; "" = none. Stays until staff clear it.
	AlarmAt  time.Time
}

// CodeState is the closed set of where a one-time code stands.
type CodeState string

// Code states.
const (
	CodeOpen     CodeState = "open"     // not used yet
	CodeWaiting  CodeState = "waiting"  // used, a person has to say yes
	CodeApproved CodeState = "approved" // a person said yes, certificate not fetched
	CodeIssued   CodeState = "issued"
	CodeRefused  CodeState = "refused"
)

// Code is a one-time enrolment code. The secret itself is not kept.
type Code struct {
	SecretHash string // hex SM3 of serial and secret
	Serial     string
	Region     string
	Village    string
	Name       string
	Demo       bool
	CreatedAt  time.Time
	ExpiresAt  time.Time
	State      CodeState
	KeyHash    string // hex SHA-256 of the key it was first used with
	UsedAt     time.Time
	Terminal   string // id given
	Cert       []byte // certificate given, DER
	By         string // who approved or refused
}

// CaseState is the closed set of where a case stands at the county.
type CaseState string

// Case states.
const (
	StateIncomplete CaseState = "incomplete" // files are outstanding
	StateAccepted   CaseState = "accepted"
	StateProcessing CaseState = "processing"
	StateReturned   CaseState = "returned"
	StateFinished   CaseState = "finished"
	StateRefused    CaseState = "refused"
)

// CaseStates lists the closed set.
var CaseStates = []CaseState{StateIncomplete, StateAccepted, StateProcessing, StateReturned, StateFinished, StateRefused}

// Case is the readable part of a case; see the package comment.
type Case struct {
	ID         string
	Terminal   string
	Revision   int // latest
	Service    string
	Region     string
	Mode       string
	Staff      string
	Demo       bool
	State      CaseState
	Acceptance string
	AcceptedAt time.Time // of the latest accepted revision
	ReceivedAt time.Time // of the first revision
	UpdatedAt  time.Time
	Due        string // YYYY-MM-DD
	Note       string
	Mend       []wire.Mend
	Claim      wire.VerifyResult // what the register said
}

// CaseQuery selects cases; zero fields do not filter.
type CaseQuery struct {
	State  CaseState
	Demo   bool // only demo cases
	Prefix string
	Limit  int // 0 = all
}

// Revision is one revision as it came.
type Revision struct {
	CaseID     string
	Revision   int
	Terminal   string
	Digest     string
	KeyID      string // county key that opens the envelope
	Envelope   []byte
	Body       []byte
	Catalogue  string
	StartedAt  time.Time
	SavedAt    time.Time
	ReceivedAt time.Time
	AcceptedAt time.Time // zero = files are outstanding
	Acceptance string
	Due        string
	Claim      wire.VerifyResult
	Handed     bool // the back office has it
	// Outstanding are the materials promised for later.
	Outstanding []string
}

// File is one sealed file of a revision.
type File struct {
	CaseID   string
	Revision int
	Name     string
	Order    int
	Material string
	Page     int
	MIME     string
	Size     int64
	Digest   string
	DoneAt   time.Time // zero = not here yet
}

// CaseEvent is one line of a case's history at the county.
type CaseEvent struct {
	CaseID   string
	Revision int
	At       time.Time
	State    CaseState
	Text     string
	By       string // account, "" = the system
}

// Upload is one file on its way.
type Upload struct {
	ID       string
	Terminal string
	CaseID   string
	Revision int
	Name     string
	Size     int64
	Digest   string
	At       time.Time
	Done     bool
}

// Object is one object that goes down, in its latest version.
type Object struct {
	Kind      wire.Kind
	ID        string
	Version   int64
	Audience  string
	Deleted   bool
	Data      []byte
	Signature []byte
	Seq       int64 // place in the stream of changes
	At        time.Time
}

// Change is the object as it goes over the wire.
func (o Object) Change() wire.Change {
	return wire.Change{Cursor: cursor(o.Seq), Kind: o.Kind, ID: o.ID, Version: o.Version,
		Audience: o.Audience, Deleted: o.Deleted, Data: o.Data, Signature: o.Signature}
}

// Admin is an account of the county's own page.
type Admin struct {
	Number    string
	Name      string
	Roles     []string // see the Role constants
	Hash      string   // seal.PasswordHash
	Suspended bool
	CreatedAt time.Time
	// MustChange asks for a new password at the next sign-in.
	MustChange bool
}

// Audit is one line of what people did on the county's page.
type Audit struct {
	At     time.Time
	By     string
	What   string // short word, e.g. case.return
	Object string
	Detail string
}
