package ui

import (
	"context"
	"encoding/json"
	"image"
	"time"

	"fyne.io/fyne/v2"

	"cunban/device"
	"cunban/kiosk/cases"
	"cunban/kiosk/catalog"
	"cunban/kiosk/form"
	"cunban/kiosk/oplog"
	"cunban/kiosk/paper"
	"cunban/kiosk/resident"
	"cunban/kiosk/session"
	"cunban/kiosk/staff"
	"cunban/sync"
	"cunban/sync/wire"
)

// Backend is everything that pages may ask of the rest of the program. The
// methods of Facts answer at once from memory and may be called while a page is
// built; all others may block and are called through Ctx.Do, never on the UI
// goroutine. Errors that reach a person are *Trouble; any other error is shown
// as a general one with its detail for technicians only.
type Backend interface {
	Facts
	Cards
	CaseDesk
	Papers
	Capture
	PINPad
	Voice
	StaffDesk
	TechDesk
}

// Trouble is an error with words for people: what happened, what to do next,
// and a short code for the telephone.
type Trouble struct {
	Code   string // e.g. "ST-02"
	Text   string // what happened, one plain sentence
	Remedy string // what to do, what still works, whom to call
	Detail string // technical, for technicians only
	Err    error
}

func (t *Trouble) Error() string { return t.Code + ": " + t.Detail }

// Unwrap gives the cause.
func (t *Trouble) Unwrap() error { return t.Err }

// Point is the service point the terminal stands in.
type Point struct {
	County     string // 芮城县
	Town       string // 古魏镇
	Village    string // 东关社区
	Name       string // heading: 芮城县就业社保服务
	Region     string // 12-digit code
	TerminalID string
	Serial     string
	Enrolled   bool
	Demo       bool // simulated hardware or a demonstration terminal: marked everywhere
	// Closed is why the terminal takes no work at all (模拟设备, 已停用…), "" when open.
	Closed string
	// Phone is whom to call: number and whose it is.
	Phone string
	Hours string
	// Ticker is one line of news for the home page, "" = none.
	Ticker string
}

// Facts are answered at once from memory.
type Facts interface {
	Now() time.Time
	Point() Point
	Office() paper.Office
	Catalogue() *catalog.Catalogue
	Calendar() cases.Calendar
	Divisions() form.Divisions
	Line() sync.LineState
	Session() session.Snapshot
	// Devices is the last known condition of every configured device.
	Devices() []device.Health
	// Have tells what the terminal can do for forms now.
	Have() form.Devices
	Version() string
}

// Cards is the way from a card to a claim. The app reads cards by itself when
// they come; pages are told by Ctx.OnCard.
type Cards interface {
	// CardView is what is in front of the readers now.
	CardView() CardView
	// Reread reads the card that is in again (a retry after an error).
	Reread()
	// Verify compares a claim with the county's register. Offline: the claim
	// as it is and VerifyOut "", no error.
	Verify(ctx context.Context, c resident.Claim) (resident.Claim, wire.VerifyClaimOut, error)
	// Browse begins a session of somebody who is not identified.
	Browse() uint64
	// BeginSession makes the claim's person the one at the screen and returns
	// the session number. helper nil keeps the helper of the present session.
	BeginSession(c resident.Claim) uint64
	// NextResident ends the present session and begins one with the same clerk.
	NextResident() uint64
	// EndSession ends the present session: everything is wiped and the home
	// page comes up.
	EndSession(why session.Reason)
	// CardIn reports whether a contact card is in the reader.
	CardIn() bool
	// Leaving tells that taking the card out now is expected.
	Leaving()
}

// CardPhase is the closed set of what the card page shows.
type CardPhase string

// Card phases.
const (
	CardWaiting    CardPhase = "waiting"     // nothing there: please insert
	CardReading    CardPhase = "reading"     // a card is being read
	CardRead       CardPhase = "read"        // Claim is set
	CardWrongWay   CardPhase = "wrong_way"   // does not answer: turn it round
	CardForeign    CardPhase = "foreign"     // not a social-security card
	CardBlank      CardPhase = "blank"       // not personalised
	CardDamaged    CardPhase = "damaged"     // content cannot be understood
	CardTorn       CardPhase = "torn"        // taken out while being read
	CardHeld       CardPhase = "held"        // another program holds the reader
	CardNoReader   CardPhase = "no_reader"   // no reader at all: what to do instead
	CardLiftIDCard CardPhase = "lift_idcard" // ID card must be lifted and put back
)

// CardPhases lists the closed set.
var CardPhases = []CardPhase{
	CardWaiting, CardReading, CardRead, CardWrongWay, CardForeign, CardBlank, CardDamaged, CardTorn,
	CardHeld, CardNoReader, CardLiftIDCard,
}

// CardView is what is in front of the readers.
type CardView struct {
	Phase  CardPhase
	Seq    uint64 // grows with every card
	Claim  resident.Claim
	Reader string // 社保卡 or 身份证 reader it happened at: device.KindCardReader or KindIDReader
	// SocialReader and IDReader tell which readers work, for the page's words.
	SocialReader, IDReader bool
	Detail                 string // technical
}

// CaseDesk is the resident's business.
type CaseDesk interface {
	NewCaseID() (string, error)
	// Room reports whether a new case fits on the disk; asked before a form
	// begins. A *Trouble says what still works.
	Room(ctx context.Context) error
	// Prefill is what the county knows already; empty when offline.
	Prefill(ctx context.Context, service string, c resident.Claim) (map[string]string, error)
	// Submit saves a case. When it returns, it is on the disk for good.
	Submit(ctx context.Context, d cases.Draft) (cases.Case, error)
	Case(ctx context.Context, id string) (cases.Case, error)
	MyCases(ctx context.Context, c resident.Claim) ([]cases.Case, error)
	Timeline(ctx context.Context, id string) ([]cases.Event, error)
	// Answers fetches what was filled in a returned case, from the county.
	Answers(ctx context.Context, id string, c resident.Claim) (wire.CaseAnswersOut, error)
	Withdraw(ctx context.Context, id string) (cases.Case, error)
	// Records asks the county for a person's records behind a query service.
	Records(ctx context.Context, service string, c resident.Claim, year int) (wire.RecordsOut, time.Time, error)
	// Listing is a public list: live when online, else the dated local copy.
	Listing(ctx context.Context, kind wire.Kind) (items []json.RawMessage, asOf time.Time, live bool, err error)
	// Rate keeps a resident's rating (好差评), 1 to 5.
	Rate(ctx context.Context, caseID string, stars int) error
	// CallHelp calls the clerk: light, sound, log.
	CallHelp(ctx context.Context, where string)
	// Note writes a record to the operation log; the session is filled in.
	Note(ctx context.Context, e oplog.Event, outcome oplog.Outcome, caseID string, fields map[string]string)
}

// Papers makes, shows and prints papers.
type Papers interface {
	Receipt(ctx context.Context, caseID string, c resident.Claim, got []paper.Material) ([]byte, error)
	Notice(ctx context.Context, service string) ([]byte, error)
	Progress(ctx context.Context, caseID string, c resident.Claim) ([]byte, error)
	// Table is a query's answer on paper.
	Table(ctx context.Context, title string, r wire.RecordsOut, c resident.Claim, asOf time.Time) ([]byte, error)
	// Pages renders a page (0…) of a PDF through the worker process.
	Preview(ctx context.Context, pdf []byte, page, dpi int) (image.Image, error)
	Print(ctx context.Context, title string, pdf []byte, progress func(string)) (device.PrintResult, error)
	// Printer is the page printer's condition.
	Printer() device.Health
}

// Shot is one captured page, ready for the file.
type Shot struct {
	JPEG    []byte
	Preview image.Image // small, for the screen
	OK      bool
	Words   string // 有点模糊，请再拍一次; "" when fine
	Blank   bool
	Card    bool // one side of a card: the other is to come on the same page
	Sides   int  // of a card on this page, 2 when both are; else 0
	Source  string
}

// Source is something that captures pages.
type Source struct {
	Kind   device.Kind
	Name   string // 扫描仪, 高拍仪, 帮办员电脑
	Live   bool   // has a live picture
	Health device.Health
}

// Glimpse is what a camera sees at this moment.
type Glimpse struct {
	// Image is good until the callee returns; nil: nothing may be shown now.
	Image image.Image
	// Corners of the page that was found last, from (0,0) to (1,1), going round;
	// nil where there is none.
	Corners *[4]fyne.Position
	Words   string // what to do with the paper, "" while that is not known
	Good    bool   // it can be taken now
}

// Capture takes pages.
type Capture interface {
	Sources() []Source
	Take(ctx context.Context, k device.Kind) (Shot, error)
	// BothSides puts two sides of a card on one page at true size; both shots
	// stay as they are. Errors: *Trouble.
	BothSides(ctx context.Context, front, back Shot) (Shot, error)
	// Live calls fn with what a source with a live picture sees, the newest
	// only, off the UI goroutine, until ctx or the session ends. While the
	// session rests (the idle question, the cover) nothing is seen; it does not
	// keep the session alive. Errors: *Trouble, ctx's.
	Live(ctx context.Context, k device.Kind, fn func(Glimpse)) error
}

// PINPad changes the PIN of the social-security card at the pad that the
// terminal has (Have). PINs never enter this program.
type PINPad interface {
	// ChangePIN lets the person at the screen change the PIN; progress is told in
	// plain words what the pad waits for. Errors: *Trouble, ctx's.
	ChangePIN(ctx context.Context, progress func(string)) error
}

// Voice speaks. Say replaces what is being said; both return at once.
type Voice interface {
	Say(text string)
	Hush()
	// Voiced reports whether anything can be heard.
	Voiced() bool
}

// StaffDesk is the clerk's business.
type StaffDesk interface {
	// SignIn checks number and PIN. A *staff.Refusal says why not. When a
	// resident is at the screen, the clerk joins her session.
	SignIn(ctx context.Context, number, pin string, role staff.Role) (staff.Account, error)
	// SignOut ends the clerk's or technician's part of the session.
	SignOut()
	// StaffCases lists cases of this point, newest first.
	StaffCases(ctx context.Context, q cases.Query) ([]cases.Case, error)
	Queue(ctx context.Context) ([]cases.Item, cases.Counts, error)
	Resend(ctx context.Context, caseID string) error
	// ConfirmPerson notes that the clerk compared person and card.
	ConfirmPerson(c resident.Claim) (resident.Claim, error)
}

// Status is what the technician sees.
type Status struct {
	Version, Program string
	StartedAt        time.Time
	Identity         wire.Identity
	Enrolled         bool
	Upstream         string
	Line             sync.LineState
	ClockOffset      time.Duration
	CertUntil        time.Time
	Counts           cases.Counts
	Log              LogStatus
	Vault            VaultStatus
	Catalogue        string
	Incidents        []string // plain words
	Demo             bool
}

// LogStatus is where the operation log stands.
type LogStatus struct {
	Size          int64
	Root          []byte
	Countersigned int64 // size of the largest checkpoint signed by the county
	CheckpointAt  time.Time
}

// VaultStatus is where the vault stands.
type VaultStatus struct {
	Path      string
	Bytes     int64
	WALBytes  int64
	FreeBytes int64
	KeySource string
	KeyWords  string // how strong that is, plain words
	// KeyWarnings are plain words with what to do about the disk key.
	KeyWarnings []string
	Cases       int64
}

// LogCheck is the outcome of a verification of the log.
type LogCheck struct {
	OK      bool
	Records int64
	Words   string // plain words
	Detail  string
	Took    time.Duration
}

// TechDesk is the technician's business.
type TechDesk interface {
	Status(ctx context.Context) (Status, error)
	SelfTest(ctx context.Context, k device.Kind) device.Health
	SelfTestAll(ctx context.Context) []device.Health
	VerifyLog(ctx context.Context, progress func(done, total int64)) (LogCheck, error)
	// ExportLog writes the log to a file in the terminal's export folder and
	// returns its path.
	ExportLog(ctx context.Context) (string, error)
	TestPage(ctx context.Context) ([]byte, error)
	// Enrol enrols the terminal with the code; waiting is told while a person
	// at the county has to say yes.
	Enrol(ctx context.Context, code string, waiting func(text string)) (wire.Identity, error)
	// Probe wakes the line and tells how it is.
	Probe(ctx context.Context) sync.LineState
	// Quit asks the program to stop cleanly (维护).
	Quit()
}
