// Package device defines the ports through which the terminal talks to its
// hardware: what each kind of device can say (events, health) and do
// (operations with a context). It exists so that the rest of the program
// never learns which maker's part is plugged in.
//
// It guarantees nothing by itself and contains no driver: drivers live in
// sub-packages (one per protocol), implement these ports, pass the contract
// suite in device/contract, and must not import each other or anything under
// kiosk.
//
// Every port answers three questions: are you there and well (Health), what
// happened (Subscribe), do this (operations). No operation waits for a person
// to do something: waiting for a card is an event, not a call.
package device

import (
	"context"
	"errors"
	"image"
	"time"
)

// Kind names what a device is for.
type Kind string

// The kinds of device a terminal may have.
const (
	KindCardReader   Kind = "card_reader"   // social-security card, contact (PC/SC)
	KindIDReader     Kind = "id_reader"     // resident ID card, contactless (SDT)
	KindDocCamera    Kind = "doc_camera"    // document camera with live preview
	KindScanner      Kind = "scanner"       // page scanner
	KindPageFolder   Kind = "page_folder"   // folder of images (the clerk's computer)
	KindPagePrinter  Kind = "page_printer"  // A4
	KindReceiptPrint Kind = "receipt_print" // 80 mm
	KindSpeech       Kind = "speech"        // spoken prompts
	KindLights       Kind = "lights"        // indicator lights at the slots
	KindVendor       Kind = "vendor"        // a maker's part behind the JSON-lines protocol
)

// State is the closed set of conditions a device can be in.
type State string

// The states. Every switch over them names all of them.
const (
	StateReady   State = "ready"   // works
	StateLow     State = "low"     // works, somebody should refill soon
	StateBusy    State = "busy"    // works, doing something now, or held by another program
	StateAbsent  State = "absent"  // not plugged in, not found, service not running
	StateFault   State = "fault"   // there, does not work; see Cause and Remedy
	StateUnknown State = "unknown" // not asked yet
)

// States lists the closed set, for tests and pages.
var States = []State{StateReady, StateLow, StateBusy, StateAbsent, StateFault, StateUnknown}

// Usable reports whether an operation has a chance to succeed now.
func (s State) Usable() bool { return s == StateReady || s == StateLow }

// Health is what a device knows of itself.
type Health struct {
	Kind   Kind   `json:"kind"`
	Name   string `json:"name"`   // maker's name or path, for the technician
	State  State  `json:"state"`  //
	Code   string `json:"code"`   // short stable code, e.g. "PC-03"; "" when ready
	Cause  string `json:"cause"`  // plain Chinese, one sentence; "" when ready
	Remedy string `json:"remedy"` // plain Chinese: what to do, whom to call
	Detail string `json:"detail"` // technical cause, English allowed, technicians only
	// Demo marks simulated hardware. It reaches every page and record.
	Demo     bool             `json:"demo"`
	Since    time.Time        `json:"since"`     // when State began
	LastGood time.Time        `json:"last_good"` // last success, zero if never
	Counters map[string]int64 `json:"counters,omitempty"`
}

// Device is what every port has in common. Methods are safe for concurrent use.
type Device interface {
	Kind() Kind
	// Health returns the last known condition without doing I/O.
	Health() Health
	// SelfTest does a harmless real round trip and returns the fresh condition.
	SelfTest(ctx context.Context) Health
	// Subscribe delivers events to fn, from a goroutine of the driver, in
	// order, never concurrently. Health changes are always delivered. The
	// current card state is delivered at once. cancel stops delivery.
	Subscribe(fn func(Event)) (cancel func())
	// Run owns the driver's goroutines until ctx ends; it heals by itself and
	// returns only when ctx is done or the driver can never work.
	Run(ctx context.Context) error
}

// Event tells of one thing that happened at a device.
type Event struct {
	Kind   Kind
	At     time.Time
	Health *Health    // set when the condition changed
	Card   *CardEvent // set when a card came, went or failed
}

// CardState is the closed set of what can be in front of a reader.
type CardState string

// Card states.
const (
	CardNoReader     CardState = "no_reader"      // reader or its service is gone
	CardNone         CardState = "none"           // reader there, no card
	CardInserted     CardState = "inserted"       // a card answers (or lies on the plate)
	CardUnresponsive CardState = "unresponsive"   // wrong way round, dirty, not a chip card
	CardHeld         CardState = "held"           // another program holds the reader
	CardMustBeLifted CardState = "must_be_lifted" // contactless: read done, lift before next read
)

// CardStates lists the closed set.
var CardStates = []CardState{CardNoReader, CardNone, CardInserted, CardUnresponsive, CardHeld, CardMustBeLifted}

// CardEvent is a change in front of a reader. Seq grows with every insertion,
// so that a late read result can be matched with the insertion it belongs to.
type CardEvent struct {
	State  CardState
	Seq    uint64
	Reader string
	ATR    []byte
}

// Transport is one connected card: ISO 7816-4 APDUs in and out. T=0 and T=1
// differences (61xx, 6Cxx) are handled below it. Not safe for concurrent use.
type Transport interface {
	// Transmit sends a command APDU and returns data plus SW1 SW2.
	Transmit(ctx context.Context, apdu []byte) ([]byte, error)
	ATR() []byte
	Close() error
}

// CardSlot is a contact card reader. The card application (device/sscard)
// works over the Transport that Connect returns.
type CardSlot interface {
	Device
	Connect(ctx context.Context) (Transport, error)
	CardState() CardEvent
}

// SocialSecurityCard is what can be read from the card without authentication
// (see device/sscard). Bytes are kept where decoding may lose something.
type SocialSecurityCard struct {
	CardIdentifier string // 卡识别码, 32 hex digits
	CardClass      string
	Version        string // 规范版本
	Issuer         string
	IssueDate      string // YYYYMMDD or ""
	ExpiryDate     string
	CardNumber     string // 卡号
	Number         string // 社会保障号码
	Name           string // decoded; 〿 for each undecodable character
	NameBytes      []byte // as on the card, 09 followed by 4E, padding stripped
	NameExact      bool   // Name decoded without loss
	Sex            string // "1", "2" or ""
	Ethnic         string // GB/T 3304 two digits or ""
	BirthPlace     string // GB/T 2260 six digits or ""
	BirthDate      string // YYYYMMDD or ""
}

// CardReader reads social-security cards.
type CardReader interface {
	Device
	CardState() CardEvent
	// ReadCard reads the card that is in now. Errors: ErrNoReader, ErrNoCard,
	// ErrCardTorn, ErrBlankCard, ErrForeignCard, ErrUnresponsive, ErrHeld.
	ReadCard(ctx context.Context) (SocialSecurityCard, error)
}

// IDCardType tells which layout the chip's text area has.
type IDCardType string

// ID card types (GA/T 1012 readers; byte 248 of the text area).
const (
	IDResident  IDCardType = "resident"    // 居民身份证
	IDForeigner IDCardType = "foreigner"   // 外国人永久居留证, "I"
	IDHKMT      IDCardType = "hkmt"        // 港澳台居民居住证, "J"
	IDForeign23 IDCardType = "foreigner23" // 2023 外国人永久居留身份证, "Y"
	IDUnknown   IDCardType = "unknown"
)

// IDCard is the content of a resident ID card.
type IDCard struct {
	Type       IDCardType
	Name       string
	NameEN     string
	Sex        string
	Ethnic     string
	BirthDate  string // YYYYMMDD
	Address    string
	Number     string
	Authority  string
	ValidFrom  string
	ValidUntil string // YYYYMMDD or 长期
	Nation     string
	PhotoWLT   []byte // 1024 bytes, needs the maker's decoder
}

// IDReader reads resident ID cards.
type IDReader interface {
	Device
	CardState() CardEvent
	// ReadID reads the card that lies there now. Errors: ErrNoReader, ErrNoCard,
	// ErrCardTorn (lifted too early), ErrMustLift (read already), ErrForeignCard,
	// ErrUnresponsive, ErrDamagedCard.
	ReadID(ctx context.Context) (IDCard, error)
}

// Page is one captured side of paper.
type Page struct {
	Image  image.Image
	DPI    int    // 0 when unknown (camera)
	Source string // device name
	Kind   Kind
	At     time.Time
	Demo   bool
}

// DocumentSource captures pages: a camera with preview, a scanner, a folder.
type DocumentSource interface {
	Device
	// Capture takes one page. Errors: ErrAbsent, ErrBusy, ErrJam, ErrFeederEmpty,
	// ErrCoverOpen, ErrNoFrame, context errors.
	Capture(ctx context.Context) (Page, error)
}

// Previewer is a DocumentSource with a live picture.
type Previewer interface {
	// Preview calls fn with frames, latest only, until ctx ends. fn must not
	// keep the image after it returns.
	Preview(ctx context.Context, fn func(image.Image)) error
}

// PrintEnd is the closed set of how a print job physically ended.
type PrintEnd string

// Print ends.
const (
	PrintDone    PrintEnd = "done"
	PrintFailed  PrintEnd = "failed"
	PrintUnknown PrintEnd = "unknown" // never printed again by itself: a person is asked
)

// PrintResult says what physically happened.
type PrintResult struct {
	End    PrintEnd
	JobID  string
	Cause  string // plain Chinese when not done
	Remedy string
	Detail string
}

// Printer prints PDF documents.
type Printer interface {
	Device
	// Print sends a PDF and follows the job to its physical end. progress may
	// be nil; it is called with plain Chinese ("正在打印第 1 页").
	Print(ctx context.Context, title string, pdf []byte, progress func(string)) (PrintResult, error)
	// Purge removes this program's waiting jobs (a session ended).
	Purge(ctx context.Context) error
}

// Speaker speaks short plain sentences. Say replaces what is being said.
type Speaker interface {
	Device
	Say(text string)
	Stop()
}

// Lamp names the place that an indicator light stands at.
type Lamp string

// The lamps.
const (
	LampCard    Lamp = "card"    // slot of the social-security card
	LampID      Lamp = "id"      // plate of the ID card
	LampScanner Lamp = "scanner" // scanner or document camera
	LampPrinter Lamp = "printer" // where paper comes out
)

// Lamps lists the closed set.
var Lamps = []Lamp{LampCard, LampID, LampScanner, LampPrinter}

// Lights are the indicator lights of a terminal.
type Lights interface {
	Device
	// SetLights lights these lamps and puts out all others. A driver that was
	// started again is told the last wish by itself. Errors: ErrAbsent, ErrBusy.
	SetLights(ctx context.Context, on []Lamp) error
}

// PINStep is which PIN a person is to type at the PIN pad.
type PINStep string

// The steps of changing a PIN.
const (
	PINOld   PINStep = "old"
	PINNew   PINStep = "new"
	PINAgain PINStep = "again"
)

// PINPad changes the PIN of the social-security card that is in it. PINs are
// typed at the pad and never enter this program.
type PINPad interface {
	Device
	// ChangePIN lets a person change the PIN. progress, which may be nil, is told
	// which PIN is being typed and how many digits there are. Errors: ErrWrongPIN,
	// ErrPINLocked, ErrPINMismatch, ErrNotFinished, ErrNoCard, ErrCardTorn (the end
	// is not known), ErrAbsent, ErrBusy, context errors.
	ChangePIN(ctx context.Context, progress func(step PINStep, typed int)) error
}

// Errors of the ports; drivers wrap them with what was attempted.
var (
	ErrAbsent       = errors.New("device is not there")
	ErrBusy         = errors.New("device is busy")
	ErrNoReader     = errors.New("no card reader")
	ErrNoCard       = errors.New("no card")
	ErrCardTorn     = errors.New("card was taken out while it was read")
	ErrBlankCard    = errors.New("card is not personalised")
	ErrForeignCard  = errors.New("not a social-security card")
	ErrUnresponsive = errors.New("card does not answer")
	ErrHeld         = errors.New("reader is held by another program")
	ErrDamagedCard  = errors.New("card content cannot be understood")
	ErrMustLift     = errors.New("card must be lifted before it is read again")
	ErrJam          = errors.New("paper jam")
	ErrFeederEmpty  = errors.New("no paper in the feeder")
	ErrCoverOpen    = errors.New("cover is open")
	ErrNoFrame      = errors.New("camera sends no picture")
	ErrOutOfPaper   = errors.New("printer is out of paper")
	ErrOffline      = errors.New("printer is offline")
	ErrWrongPIN     = errors.New("wrong PIN")
	ErrPINLocked    = errors.New("PIN is locked")
	ErrPINMismatch  = errors.New("new PIN was typed differently the second time")
	ErrNotFinished  = errors.New("person did not finish in time or gave up")
)
