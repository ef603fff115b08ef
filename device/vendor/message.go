package vendor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"cunban/device"
)

// Errors of the slot; a driver's life that ends with one is started again.
var (
	ErrProtocol    = errors.New("driver broke the protocol")
	ErrFlood       = errors.New("driver writes too much")
	ErrHung        = errors.New("driver does not answer")
	ErrExited      = errors.New("driver ended")
	ErrStart       = errors.New("driver cannot be started")
	ErrVersion     = errors.New("driver speaks another version of the protocol")
	ErrUnsupported = errors.New("driver cannot do that")
)

// kind is the closed set of types that a driver may send.
type kind string

const (
	hello  kind = "hello"
	health kind = "health"
	reply  kind = "reply"
	event  kind = "event"
	bye    kind = "bye"
)

// Bounds of fields.
const (
	maxName    = 64 // characters of a driver's name
	maxWord    = 32 // bytes of a key
	maxCan     = 16 // capabilities
	nameDigits = 12 // in a row: no model has so many, a person's number has
)

// Message is one line of a driver.
type Message struct {
	Type kind `json:"type"`
	// hello
	Version int      `json:"version"`
	Name    string   `json:"name"`
	Can     []string `json:"can"`
	Demo    bool     `json:"demo"`
	// health
	State  device.State `json:"state"`
	Cause  string       `json:"cause"`
	Remedy string       `json:"remedy"`
	Code   string       `json:"code"`
	// reply and event
	ID     uint64          `json:"id"`
	OK     bool            `json:"ok"`
	Error  string          `json:"error"`
	Left   int             `json:"left"`
	Result json.RawMessage `json:"result"`
	Event  string          `json:"event"`
	Typed  int             `json:"typed"`
}

// Parse reads a line without its LF. Errors wrap ErrProtocol and never quote the
// line, which may hold personal data.
func Parse(line []byte) (Message, error) {
	var m Message
	if len(line) > MaxLine {
		return m, fmt.Errorf("%w: line over %d bytes", ErrProtocol, MaxLine)
	}
	if !utf8.Valid(line) {
		return m, fmt.Errorf("%w: not UTF-8", ErrProtocol)
	}
	if b := bytes.TrimSpace(line); len(b) == 0 || b[0] != '{' {
		return m, fmt.Errorf("%w: not a JSON object", ErrProtocol)
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return Message{}, fmt.Errorf("%w: not JSON as agreed", ErrProtocol)
	}
	if fault := m.check(); fault != "" {
		return Message{}, fmt.Errorf("%w: %s", ErrProtocol, fault)
	}
	return m, nil
}

// check names what is wrong with a message, "" for nothing.
func (m *Message) check() string {
	switch m.Type {
	case hello:
		switch {
		case m.Version <= 0:
			return "hello without version"
		case m.Name == "" || utf8.RuneCountInString(m.Name) > maxName || !printable(m.Name):
			return "hello without a proper name"
		case len(m.Can) > maxCan || !all(m.Can, isWord):
			return "hello with improper capabilities"
		}
	case health:
		switch {
		case !slices.Contains(device.States, m.State) || m.State == device.StateUnknown:
			return "health with an unknown state"
		case m.Cause != "" && causes[m.Cause].text == "":
			return "health with an unknown cause"
		case m.Remedy != "" && remedies[m.Remedy] == "":
			return "health with an unknown remedy"
		case m.Code != "" && !isWord(m.Code):
			return "health with an improper code"
		}
	case reply:
		switch {
		case m.ID == 0:
			return "reply without id"
		case m.OK == (m.Error != ""):
			return "reply must be ok or have an error"
		case m.Error != "" && !isWord(m.Error), m.Left < 0:
			return "reply with an improper error"
		}
	case event:
		switch {
		case m.ID == 0:
			return "event without id"
		case !isWord(m.Event), m.Typed < 0:
			return "improper event"
		}
	case bye:
	default:
		return "unknown type"
	}
	return ""
}

func all(list []string, ok func(string) bool) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !ok(s) })
}

// isWord reports whether s is a key: ASCII letters, digits, dot, dash, underscore.
func isWord(s string) bool {
	if s == "" || len(s) > maxWord {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// printable keeps control characters and long numbers out of names.
func printable(s string) bool {
	digits := 0
	for _, r := range s {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return false
		}
		if digits++; r < '0' || r > '9' {
			digits = 0
		}
		if digits >= nameDigits {
			return false
		}
	}
	return true
}

// order is one line of the terminal.
type order struct {
	Type     string `json:"type"`
	Versions []int  `json:"versions,omitempty"`
	ID       uint64 `json:"id,omitempty"`
	Do       string `json:"do,omitempty"`
	MS       int64  `json:"ms,omitempty"`
	Args     any    `json:"args,omitempty"`
}

// line is the order's bytes with LF.
func (o order) line() ([]byte, error) {
	b, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("vendor: %s: %w", o.Type, err)
	}
	return append(b, '\n'), nil
}

// Refusal is a driver's own no.
type Refusal struct {
	Do   string
	Why  string // one of the words of the manual, anything else counts as device
	Left int    // tries left after wrong_pin
}

func (r *Refusal) Error() string { return "driver refused " + r.Do + ": " + r.Why }

// Is makes a refusal the error of the port that it stands for.
func (r *Refusal) Is(target error) bool {
	switch r.Why {
	case "busy":
		return target == device.ErrBusy
	case "no_card":
		return target == device.ErrNoCard
	case "card_torn":
		return target == device.ErrCardTorn
	case "absent":
		return target == device.ErrAbsent
	case "unsupported":
		return target == ErrUnsupported
	case "wrong_pin":
		return target == device.ErrWrongPIN
	case "locked":
		return target == device.ErrPINLocked
	case "mismatch":
		return target == device.ErrPINMismatch
	case "cancelled", "timeout":
		return target == device.ErrNotFinished
	}
	return false
}
