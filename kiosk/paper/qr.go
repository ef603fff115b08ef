package paper

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/skip2/go-qrcode"
)

// Proof is what a receipt's QR code carries: where the case stands in the
// terminal's operation log, and the hashes that prove it (RFC 6962 shape over
// SM3). With it anybody who has the terminal's checkpoint can show that this
// very submission was recorded, years later and without the terminal.
type Proof struct {
	CaseID   string   // UUID
	LogIndex int64    // index of the submission's record
	LogSize  int64    // size of the log the proof leads to, > LogIndex
	Root     []byte   // 32 bytes
	Hashes   [][]byte // 32 bytes each, at most 63
}

// ErrQR means that a text is not a receipt's QR content.
var ErrQR = errors.New("paper: not a receipt QR text")

const (
	qrMagic  = "CUNBAN1"
	hashLen  = 32
	maxProof = 63 // a tree of int64 leaves is not deeper
)

// QRText writes a proof as the compact text of the receipt's QR code:
//
//	CUNBAN1|<case id>|<log index>|<log size>|<root>|<hash>,<hash>,…
//
// Numbers are decimal, hashes base64url without padding (RFC 4648 §5). The
// text is ASCII and free of personal data. Error: ErrQR when the proof cannot
// be one.
func QRText(p Proof) (string, error) {
	if err := p.check(); err != nil {
		return "", err
	}
	e := base64.RawURLEncoding
	hs := make([]string, len(p.Hashes))
	for i, h := range p.Hashes {
		hs[i] = e.EncodeToString(h)
	}
	return strings.Join([]string{
		qrMagic, p.CaseID, strconv.FormatInt(p.LogIndex, 10), strconv.FormatInt(p.LogSize, 10),
		e.EncodeToString(p.Root), strings.Join(hs, ","),
	}, "|"), nil
}

func (p Proof) check() error {
	if p.CaseID == "" || len(p.CaseID) > 64 || strings.ContainsFunc(p.CaseID, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-'
	}) {
		return fmt.Errorf("%w: case id", ErrQR)
	}
	if p.LogIndex < 0 || p.LogSize <= p.LogIndex {
		return fmt.Errorf("%w: log index %d of %d", ErrQR, p.LogIndex, p.LogSize)
	}
	if len(p.Root) != hashLen || len(p.Hashes) > maxProof {
		return fmt.Errorf("%w: root or number of hashes", ErrQR)
	}
	for _, h := range p.Hashes {
		if len(h) != hashLen {
			return fmt.Errorf("%w: hash length", ErrQR)
		}
	}
	return nil
}

// ParseQR reads what QRText wrote; only the one canonical form is taken.
// Error: ErrQR.
func ParseQR(s string) (Proof, error) {
	if len(s) > 4096 {
		return Proof{}, fmt.Errorf("%w: too long", ErrQR)
	}
	f := strings.Split(s, "|")
	if len(f) != 6 || f[0] != qrMagic {
		return Proof{}, ErrQR
	}
	p := Proof{CaseID: f[1]}
	var err error
	if p.LogIndex, err = number(f[2]); err != nil {
		return Proof{}, err
	}
	if p.LogSize, err = number(f[3]); err != nil {
		return Proof{}, err
	}
	e := base64.RawURLEncoding.Strict()
	if p.Root, err = e.DecodeString(f[4]); err != nil {
		return Proof{}, fmt.Errorf("%w: root: %w", ErrQR, err)
	}
	if f[5] != "" {
		for t := range strings.SplitSeq(f[5], ",") {
			h, err := e.DecodeString(t)
			if err != nil {
				return Proof{}, fmt.Errorf("%w: hash: %w", ErrQR, err)
			}
			p.Hashes = append(p.Hashes, h)
		}
	}
	if err := p.check(); err != nil {
		return Proof{}, err
	}
	// base64 decoders skip line breaks: whatever does not come out the same
	// again was not written by QRText.
	if again, err := QRText(p); err != nil || again != s {
		return Proof{}, fmt.Errorf("%w: not canonical", ErrQR)
	}
	return p, nil
}

func number(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != s {
		return 0, fmt.Errorf("%w: number %q", ErrQR, s)
	}
	return n, nil
}

// qr draws a QR code (ISO/IEC 18004) of side mm millimetres as vector squares
// and returns false when the text does not fit one. The error correction
// level falls as the text grows, so that modules stay printable.
func (d *doc) qr(x, y, mm float64, text string) bool {
	level := qrcode.Medium
	if len(text) > 300 {
		level = qrcode.Low
	}
	q, err := qrcode.New(text, level)
	if err != nil {
		return false
	}
	q.DisableBorder = true
	bits := q.Bitmap()
	m := mm / float64(len(bits))
	d.bar(x-2, y-2, mm+4, mm+4, white)
	d.fill(0)
	for r, row := range bits {
		for c := 0; c < len(row); {
			n := 0
			for c+n < len(row) && row[c+n] {
				n++
			}
			if n > 0 {
				// A hair of overlap closes the seams that renderers leave.
				d.pdf.RectFromUpperLeftWithStyle(x+float64(c)*m, y+float64(r)*m, float64(n)*m+0.01, m+0.01, "F")
			}
			c += max(n, 1)
		}
	}
	return true
}
