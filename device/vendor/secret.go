package vendor

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
)

// masked is what a Secret shows of itself.
const masked = "***"

// Secret is personal data from a driver: a photo, a face, a fingerprint. It
// prints, logs and marshals masked; Bytes gives it out, Wipe ends it.
type Secret struct{ b []byte }

// Bytes is the clear value; the slice is the Secret's own.
func (s *Secret) Bytes() []byte { return s.b }

// Wipe zeroes the value.
func (s *Secret) Wipe() {
	clear(s.b)
	s.b = nil
}

// String implements fmt.Stringer.
func (Secret) String() string { return masked }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return masked }

// Format implements fmt.Formatter, so that no verb shows the bytes.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(masked)) }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalJSON implements json.Marshaler.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + masked + `"`), nil }

var errNotBase64 = errors.New("not base64")

// UnmarshalJSON takes base64. Its errors do not quote the value.
func (s *Secret) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return errNotBase64
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return errNotBase64
	}
	s.b = b
	return nil
}

var (
	longNumber = regexp.MustCompile(`[0-9]{4,}[0-9Xx]*`)
	longToken  = regexp.MustCompile(`[A-Za-z0-9+/=_-]{25,}`)
)

// clean is what may be kept of a driver's standard error: ASCII, with whatever
// may be a number or data of somebody masked. Names are not ASCII.
func clean(b []byte) string {
	var out strings.Builder
	gap := false
	for _, c := range b {
		switch {
		case c >= ' ' && c < 0x7f:
			out.WriteByte(c)
			gap = false
		case !gap:
			out.WriteByte(' ')
			gap = true
		}
	}
	s := longToken.ReplaceAllString(out.String(), masked)
	return strings.TrimSpace(longNumber.ReplaceAllString(s, masked))
}
