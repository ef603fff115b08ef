package wire

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Lifetimes of enrolment.
const (
	CodeLifetime        = 24 * time.Hour      // one-time code
	CertificateLifetime = 30 * 24 * time.Hour // terminal certificate; renewed at half
)

// EnrolCode is the one-time code that the county hands to the technician:
// 20 characters of RFC 4648 base32, written XXXX-XXXX-XXXX-XXXX-XXXX. The first
// 8 are the secret; the last 12 are the first 60 bits of the SHA-256 of the
// county CA's SubjectPublicKeyInfo, so that the code also tells the terminal
// whom to trust.
type EnrolCode struct {
	Secret string // 8 characters; HTTP basic password of simpleenroll
	Pin    string // 12 characters
}

// ErrCode says that what was typed cannot be an enrolment code.
var ErrCode = errors.New("not an enrolment code")

var codeSlips = strings.NewReplacer(
	"0", "O", "1", "I", "8", "B", // base32 has none of these digits
	"-", "", " ", "", "－", "", "—", "", "　", "")

// ParseEnrolCode reads a typed code. Lower case, missing or other dashes and
// spaces, and 0, 1, 8 typed for O, I, B are forgiven.
func ParseEnrolCode(s string) (EnrolCode, error) {
	s = strings.ToUpper(codeSlips.Replace(strings.TrimSpace(s)))
	if len(s) != 20 {
		return EnrolCode{}, fmt.Errorf("%w: %d characters instead of 20", ErrCode, len(s))
	}
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return EnrolCode{}, fmt.Errorf("%w: character %d", ErrCode, i+1)
		}
	}
	return EnrolCode{Secret: s[:8], Pin: s[8:]}, nil
}

// NewEnrolCode makes a code for a county CA. The secret has 40 random bits: it
// is good for one day, one serial number and few tries.
func NewEnrolCode(rand io.Reader, ca *x509.Certificate) (EnrolCode, error) {
	var b [5]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return EnrolCode{}, fmt.Errorf("make an enrolment code: %w", err)
	}
	return EnrolCode{Secret: base32.StdEncoding.EncodeToString(b[:]), Pin: CAPin(ca)}, nil
}

// CAPin is the pin of a CA: 12 characters, 60 bits.
func CAPin(ca *x509.Certificate) string {
	sum := sha256.Sum256(ca.RawSubjectPublicKeyInfo)
	return base32.StdEncoding.EncodeToString(sum[:])[:12]
}

// String writes the code in groups of four. It is a secret: never log it.
func (c EnrolCode) String() string {
	s := c.Secret + c.Pin
	var parts []string
	for len(s) > 4 {
		parts, s = append(parts, s[:4]), s[4:]
	}
	return strings.Join(append(parts, s), "-")
}

// GoString masks %#v.
func (c EnrolCode) GoString() string { return "wire.EnrolCode{…}" }

// Matches reports whether ca is the CA that the code pins.
func (c EnrolCode) Matches(ca *x509.Certificate) bool {
	return subtle.ConstantTimeCompare([]byte(c.Pin), []byte(CAPin(ca))) == 1
}

// Approval is the closed set of where an enrolment stands, told in the body of
// a 202 answer of simpleenroll.
type Approval string

// Approvals.
const (
	ApprovalWaiting Approval = "waiting" // a person has to say yes; ask again after Retry-After
)

// EnrolPending is the body of 202 Accepted (RFC 7030, 4.2.3).
type EnrolPending struct {
	Approval Approval `json:"approval"`
	Text     string   `json:"text"` // plain words
	RetryIn  int      `json:"retry_in"`
}

// Identity is what the county made of a terminal: the answer of PathIdentity.
// The terminal's id is the subject common name of its certificate.
type Identity struct {
	ID         string    `json:"id"`
	Serial     string    `json:"serial"`
	Region     string    `json:"region"`  // 12-digit code of the service point
	Village    string    `json:"village"` // name of the village
	Name       string    `json:"name"`    // name of the service point, for headings
	EnrolledAt time.Time `json:"enrolled_at"`
	Demo       bool      `json:"demo"`
	// SealKey and SignKey are the county's SM2 public keys in PEM: cases are
	// enveloped to the first, changes are signed with the second.
	SealKey string `json:"seal_key"`
	SignKey string `json:"sign_key"`
	// Settings are free further settings of the county, e.g. phone numbers.
	Settings json.RawMessage `json:"settings,omitempty"`
}

// Validate checks the shape.
func (i Identity) Validate() error {
	switch {
	case !ValidTerminal(i.ID):
		return invalid("terminal id %q", i.ID)
	case !reRegion.MatchString(i.Region):
		return invalid("region %q is not a 12-digit code", i.Region)
	case i.SealKey == "" || i.SignKey == "":
		return invalid("identity without the county's keys")
	}
	return nil
}
