// Package cases is the heart of the terminal: the case (办件), one resident's
// transaction on one service. It holds the state machine, the time limits in
// working days, and Submit, which seals what the resident agreed to and hands
// it to the store in one piece.
//
// It guarantees: a state changes only by a legal move; a case id and its
// revision are made once and never reused; nothing readable leaves Submit for
// the disk; and a Saved case was committed by the store before Submit returned.
package cases

import (
	"context"
	"errors"
	"time"

	"cunban/kiosk/resident"
)

// State is where a case stands.
type State string

// The states of a case.
const (
	Saved      State = "saved"      // 已保存，待上传: on this disk, not at the county
	Accepted   State = "accepted"   // 已受理: the county gave its number
	Processing State = "processing" // 办理中
	Returned   State = "returned"   // 退回补正: the resident must mend something
	Finished   State = "finished"   // 已办结
	Refused    State = "refused"    // 不予办理
	Withdrawn  State = "withdrawn"  // 已撤回 by the resident while unsent
	Attention  State = "attention"  // needs attention: staff must look (reason in the queue)
)

// States lists the closed set.
var States = []State{Saved, Accepted, Processing, Returned, Finished, Refused, Withdrawn, Attention}

// Case is what the terminal keeps readable about a case: enough for its owner
// to ask for progress, nothing of what was in it.
type Case struct {
	ID          string // UUIDv7, made when the form begins; idempotency key for ever
	Revision    int    // 1, 2, … one per (re)submission
	Service     string // S01
	ServiceName string
	Catalogue   string // catalogue version the form was filled with
	State       State
	Owner       []byte // keyed hash of the ID number (32 bytes); see OwnerIndex
	Region      string // 12-digit code of the service point
	Village     string
	StartedAt   time.Time
	SavedAt     time.Time
	UpdatedAt   time.Time
	DueDate     string // YYYY-MM-DD promised answer; "" = at once or none
	Acceptance  string // the county's number, "" until Accepted
	AcceptedAt  time.Time
	Mode        Mode
	Staff       string // account that acted, "" when self-service
	Demo        bool
	Outstanding []string // names of materials promised for later (补交)
	Mend        []Mend   // what a returned case must have mended
	Note        string   // plain words from the county (reason, result)
	LogIndex    int64    // index of the operation-log record of this revision's submission
	BodyDigest  []byte   // SM3 of the sealed body of the current revision
}

// Mode tells whose hands filled the form.
type Mode string

// Modes.
const (
	ModeSelf     Mode = "self"     // 自助
	ModeAssisted Mode = "assisted" // 帮办
	ModeAgent    Mode = "agent"    // 代办
	ModeVisit    Mode = "visit"    // 上门
)

// Mend is one thing the county wants mended in a returned case.
type Mend struct {
	Field  string `json:"field"` // field name, "" = the whole case
	Label  string `json:"label"`
	Reason string `json:"reason"` // plain words for the resident
}

// Event is one line of a case's timeline.
type Event struct {
	CaseID string
	At     time.Time
	State  State
	Text   string // plain words
}

// Actor is who did something, for the operation log.
type Actor struct {
	Role    Role
	Account string // staff number, technician number; "" for residents
	Session uint64 // session number on this terminal
	Device  string // device the action went through, "" = screen
	Demo    bool
}

// Role is who stands at the screen.
type Role string

// Roles.
const (
	RoleResident   Role = "resident"
	RoleStaff      Role = "staff"
	RoleTechnician Role = "technician"
	RoleSystem     Role = "system"
)

// Scan is one captured file of a case, clear, in memory only.
type Scan struct {
	Material string // material or field name
	Page     int    // 1…
	MIME     string // image/jpeg, application/pdf, image/png
	Data     []byte
}

// Draft is a finished form, clear, in memory only.
type Draft struct {
	ID          string
	Revision    int
	Service     string
	ServiceName string
	Catalogue   string
	LimitDays   int // working days, 0 = at once
	Claim       resident.Claim
	Answers     []byte // canonical JSON of the answers (kiosk/form)
	Scans       []Scan
	Signature   []byte // PNG of the strokes
	Outstanding []string
	Region      string
	Village     string
	StartedAt   time.Time
	Mode        Mode
	Confirmed   bool // the resident confirmed on screen (assisted modes)
	Actor       Actor
}

// SealedFile is one sealed scan on its way to the disk.
type SealedFile struct {
	Name     string // unique within the case: <n>.sealed
	Material string
	Page     int
	MIME     string
	Sealed   []byte
	Digest   []byte // SM3 of Sealed
}

// Submission is a sealed case as the store commits it: files first (write,
// fsync, rename, fsync directory), then case row, timeline, outbox row,
// operation-log record and tree state in one transaction.
type Submission struct {
	Case         Case
	KeyID        string // ID of the county key that the envelope is made out to
	Envelope     []byte // case key enveloped to the county's SM2 key
	Body         []byte // sealed body
	Files        []SealedFile
	Actor        Actor
	Verification resident.Verification // how the claim was verified, for the log
	Confirmed    bool                  // the resident confirmed on screen
	// LogPrivate is the sealed personal part of the log record; only its
	// digest is committed to by the record.
	LogPrivate []byte
}

// Store is what cases needs from the vault. Every method that changes
// something writes the change and its operation-log record in one
// transaction and returns after it is durable (fsync).
type Store interface {
	// Submit commits a new case or a new revision of a returned one. It fills
	// Case.LogIndex. ErrExists when the same id and revision is there already.
	Submit(ctx context.Context, s Submission) (Case, error)
	Case(ctx context.Context, id string) (Case, error)
	ByOwner(ctx context.Context, owner []byte) ([]Case, error)
	List(ctx context.Context, q Query) ([]Case, error)
	Timeline(ctx context.Context, id string) ([]Event, error)
	// Withdraw takes back a case that was never sent. ErrTooLate otherwise.
	Withdraw(ctx context.Context, id string, by Actor) (Case, error)
	// OwnerIndex computes the keyed hash of an ID number under the vault's key.
	OwnerIndex(n resident.IDNumber) []byte
	// Room reports whether a new case of the usual size fits on the disk.
	Room(ctx context.Context) error
}

// Query selects cases for staff pages; zero fields do not filter.
type Query struct {
	Since, Until time.Time
	States       []State
	Service      string
	Limit        int
}

// QueueState is where an outbox item stands.
type QueueState string

// Queue states.
const (
	QueueWaiting   QueueState = "waiting"
	QueueLeased    QueueState = "leased"
	QueueSent      QueueState = "sent" // body stored upstream, files or number outstanding
	QueueDone      QueueState = "acknowledged"
	QueueAttention QueueState = "attention"
)

// Item is one outbox entry: one revision of one case on its way upstream.
type Item struct {
	CaseID   string
	Revision int
	Service  string
	State    QueueState
	Attempts int
	NextTry  time.Time
	Reason   string // last failure in plain words, "" if none
	Detail   string // technical
	SavedAt  time.Time
	KeyID    string // ID of the county key that Envelope is made out to
	Body     []byte // sealed body and envelope, filled by Lease
	Envelope []byte
	Digest   []byte
	Case     Case
	Files    []QueuedFile
	Lease    string // token; settle calls must carry it
}

// QueuedFile is a sealed scan waiting to be uploaded.
type QueuedFile struct {
	Name     string
	Material string
	Page     int
	MIME     string
	Size     int64
	Digest   []byte
	Upload   string // upload URL from an earlier attempt, "" = none yet
	Done     bool
}

// Counts is in = done + waiting + attention, always (withdrawn count as done).
type Counts struct{ Total, Waiting, Sent, Done, Attention int }

// Errors of Store and Submit.
var (
	ErrNotFound    = errors.New("no such case")
	ErrExists      = errors.New("this revision is already saved")
	ErrTooLate     = errors.New("the case was already sent")
	ErrDiskFull    = errors.New("the disk is full")
	ErrIllegal     = errors.New("the case cannot change this way")
	ErrStaleLease  = errors.New("the lease has moved on")
	ErrNoCountyKey = errors.New("the county's key is not there yet")
)
