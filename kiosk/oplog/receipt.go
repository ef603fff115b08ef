package oplog

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/transparency-dev/merkle/proof"

	"cunban/kiosk/seal"
)

// A receipt proves on paper that one submission of a case stands in a
// terminal's log. Its text, cunban/receipt@1, is made for a QR code in
// alphanumeric mode (ISO/IEC 18004):
//
//	CUNBAN1:<payload in base45, RFC 9285>
//
// The payload, integers big endian:
//
//	2   length of the packed record
//	    the packed record (packRecord): the leaf's own bytes come out of it
//	1   length of the origin
//	    the origin, the first line of the checkpoint
//	8   size of the log, the second line of the checkpoint
//	1   number of hashes
//	32  … each: the inclusion proof (RFC 6962 §2.1.1), from the leaf upwards
//	1   number of signatures, 1 or 2
//	    … each: key id (4), length (1), SM2 signature in DER: of the terminal
//	    under the origin's name, then of the county under CountyName
//	4   check: the first bytes of the SM3 of all that stands before
//
// The index is the record's own number. The root does not stand there: leaf,
// index, size and hashes give it, and the signatures are over origin, size and
// that root (Checkpoint.Text). The check tells a scan that went wrong from a
// receipt that says what nobody signed; it proves nothing.
//
// There is exactly one text for a receipt, so that a changed character never
// passes.
const (
	receiptMagic   = "CUNBAN"
	receiptVersion = "1"
	receiptPrefix  = receiptMagic + receiptVersion + ":"
	receiptCheck   = 4
	receiptSigs    = 2
	scannerPrefix  = "QR-Code:" // what zbarimg writes before a text
)

// MaxReceipt is the longest text of a receipt in characters: what the largest
// QR code holds in alphanumeric mode, version 40 at level L.
const MaxReceipt = 4296

// Errors of receipts. Each tells another thing to do.
var (
	// ErrReceipt means that a text is no receipt's.
	ErrReceipt = errors.New("not the code of a receipt")
	// ErrReceiptVersion means a receipt of another version of the form.
	ErrReceiptVersion = errors.New("a receipt of another version")
	// ErrReceiptTorn means that the text was not read or copied whole.
	ErrReceiptTorn = errors.New("the receipt's text is not whole")
	// ErrReceiptKey means that none of the given keys is the one that signed.
	ErrReceiptKey = errors.New("the receipt was signed by another key")
	// ErrReceiptFalse means that what the receipt says was not signed.
	ErrReceiptFalse = errors.New("what the receipt says was not signed")
)

// Receipt is an inclusion proof together with the record that it is about.
type Receipt struct {
	Record []byte   // the record, as Record.Encode wrote it
	Origin string   // of the log
	Size   int64    // of the log that is signed
	Hashes [][]byte // inclusion proof of the record
	signs  []receiptSign
}

// receiptSign is one signature of the checkpoint.
type receiptSign struct {
	key uint32
	sig []byte
}

// NewReceipt makes a receipt of a record, its inclusion proof and the signed
// note that the proof leads to. Of the note's signatures it keeps the
// terminal's and the county's. Errors: ErrReceipt when they do not fit
// together, or when no QR code could hold it.
func NewReceipt(record []byte, hashes [][]byte, msg []byte) (Receipt, error) {
	n, err := unverified(msg)
	if err != nil {
		return Receipt{}, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return Receipt{}, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	r := Receipt{Record: record, Origin: c.Origin, Size: c.Size, Hashes: hashes}
	for _, name := range []string{c.Origin, CountyName} {
		for _, s := range n.UnverifiedSigs {
			if s.Name != name {
				continue
			}
			b, err := base64.StdEncoding.DecodeString(s.Base64)
			if err != nil || len(b) <= keyIDLen {
				return Receipt{}, fmt.Errorf("%w: signature of %s", ErrReceipt, name)
			}
			r.signs = append(r.signs, receiptSign{s.Hash, b[keyIDLen:]})
			break
		}
	}
	cp, _, err := r.checkpoint()
	switch {
	case err != nil:
		return Receipt{}, err
	case !seal.Equal(cp.Root, c.Root):
		return Receipt{}, fmt.Errorf("%w: record and proof do not lead to the root of the checkpoint", ErrReceipt)
	}
	if err := r.check(); err != nil {
		return Receipt{}, err
	}
	return r, nil
}

// check reports whether there is a text for the receipt.
func (r Receipt) check() error {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrReceipt, what) }
	switch {
	case len(r.Record) > MaxRecord:
		return bad("record too long")
	case r.Origin == "" || r.Origin == CountyName || len(r.Origin) > 255 || strings.ContainsAny(r.Origin, "\n "):
		return bad("origin")
	case r.Size <= 0:
		return bad("size")
	case len(r.Hashes) > 255 || !hashSizes(r.Hashes):
		return bad("hashes")
	case len(r.signs) == 0 || len(r.signs) > receiptSigs:
		return bad("not signed by " + r.Origin)
	}
	for _, s := range r.signs {
		if len(s.sig) == 0 || len(s.sig) > 255 {
			return bad("signature")
		}
	}
	if n := len(r.Text()); n > MaxReceipt {
		return bad(fmt.Sprintf("%d characters", n))
	}
	return nil
}

// Text is what the QR code holds: upper-case letters, digits, space and
// $%*+-./: (never a space at either end).
func (r Receipt) Text() string {
	packed := packRecord(r.Record)
	b := binary.BigEndian.AppendUint16(nil, uint16(len(packed)))
	b = append(b, packed...)
	b = append(append(b, byte(len(r.Origin))), r.Origin...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Size))
	b = append(b, byte(len(r.Hashes)))
	for _, h := range r.Hashes {
		b = append(b, h...)
	}
	b = append(b, byte(len(r.signs)))
	for _, s := range r.signs {
		b = binary.BigEndian.AppendUint32(b, s.key)
		b = append(append(b, byte(len(s.sig))), s.sig...)
	}
	b = append(b, seal.Digest(b)[:receiptCheck]...)
	return receiptPrefix + base45(b)
}

// ParseReceipt reads what Text wrote, with or without white space around it
// and the "QR-Code:" of zbarimg before it. It checks no signature. Errors:
// ErrReceipt, ErrReceiptVersion, ErrReceiptTorn.
func ParseReceipt(text string) (Receipt, error) {
	if len(text) > 2*MaxReceipt {
		return Receipt{}, fmt.Errorf("%w: %d bytes", ErrReceipt, len(text))
	}
	text = strings.TrimPrefix(strings.TrimSpace(text), scannerPrefix)
	rest, ours := strings.CutPrefix(text, receiptMagic)
	version, code, whole := strings.Cut(rest, ":")
	switch {
	case !ours && text != "" && strings.HasPrefix(receiptPrefix, text):
		return Receipt{}, fmt.Errorf("%w: it ends after %q", ErrReceiptTorn, text)
	case !ours:
		return Receipt{}, fmt.Errorf("%w: it does not begin with %s", ErrReceipt, receiptMagic)
	case !whole && (version == "" || version == receiptVersion):
		return Receipt{}, fmt.Errorf("%w: it ends after %q", ErrReceiptTorn, text)
	case version != receiptVersion:
		return Receipt{}, fmt.Errorf("%w: %.10q", ErrReceiptVersion, version)
	}
	b, err := unbase45(code)
	if err != nil {
		return Receipt{}, fmt.Errorf("%w: %w", ErrReceiptTorn, err)
	}
	if len(b) < receiptCheck {
		return Receipt{}, fmt.Errorf("%w: %d bytes", ErrReceiptTorn, len(b))
	}
	body, check := b[:len(b)-receiptCheck], b[len(b)-receiptCheck:]
	if !seal.Equal(check, seal.Digest(body)[:receiptCheck]) {
		return Receipt{}, fmt.Errorf("%w: its check is wrong", ErrReceiptTorn)
	}
	r, err := parsePayload(body)
	if err != nil {
		return Receipt{}, err
	}
	if err := r.check(); err != nil {
		return Receipt{}, err
	}
	if r.Text() != text {
		return Receipt{}, fmt.Errorf("%w: not the canonical form", ErrReceipt)
	}
	return r, nil
}

// parsePayload takes the payload apart. Errors: ErrReceipt.
func parsePayload(b []byte) (r Receipt, err error) {
	short := false
	take := func(n int) []byte {
		if n > len(b) {
			short, b = true, nil
			return make([]byte, 8)[:min(n, 8)] // zeros for the integers; nobody looks at the rest
		}
		out := b[:n]
		b = b[n:]
		return out
	}
	packed := take(int(binary.BigEndian.Uint16(take(2))))
	r.Origin = string(take(int(take(1)[0])))
	size := binary.BigEndian.Uint64(take(8))
	for n := take(1)[0]; n > 0 && !short; n-- {
		r.Hashes = append(r.Hashes, slices.Clone(take(HashSize)))
	}
	for n := take(1)[0]; n > 0 && !short; n-- {
		key := binary.BigEndian.Uint32(take(keyIDLen))
		r.signs = append(r.signs, receiptSign{key, slices.Clone(take(int(take(1)[0])))})
	}
	if short || len(b) > 0 {
		return Receipt{}, fmt.Errorf("%w: lengths do not fit", ErrReceipt)
	}
	r.Size = int64(size) // beyond int64 it is negative, which check refuses
	if r.Record, err = unpackRecord(packed); err != nil {
		return Receipt{}, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	return r, nil
}

// checkpoint is the checkpoint that the receipt must be signed with, and the
// record. Errors: ErrReceipt.
func (r Receipt) checkpoint() (Checkpoint, Record, error) {
	rec, err := Decode(r.Record)
	switch {
	case err != nil:
		return Checkpoint{}, Record{}, fmt.Errorf("%w: %w", ErrReceipt, err)
	case rec.Event != CaseSubmit || rec.CaseID == "":
		return Checkpoint{}, Record{}, fmt.Errorf("%w: a record of %s", ErrReceipt, rec.Event)
	case r.Size <= rec.Seq || !hashSizes(r.Hashes):
		return Checkpoint{}, Record{}, fmt.Errorf("%w: record %d of %d", ErrReceipt, rec.Seq, r.Size)
	}
	root, err := proof.RootFromInclusionProof(Hasher, uint64(rec.Seq), uint64(r.Size), LeafHash(r.Record), r.Hashes)
	if err != nil {
		return Checkpoint{}, Record{}, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	return Checkpoint{r.Origin, r.Size, root}, rec, nil
}

// Note writes the checkpoint as the signed note that it was taken from (C2SP
// tlog-checkpoint), without other signatures than the terminal's and the
// county's. Errors: ErrReceipt.
func (r Receipt) Note() ([]byte, error) {
	c, _, err := r.checkpoint()
	if err != nil {
		return nil, err
	}
	b := []byte(c.Text() + "\n")
	for i, s := range r.signs {
		name := r.Origin
		if i > 0 {
			name = CountyName
		}
		line := append(binary.BigEndian.AppendUint32(nil, s.key), s.sig...)
		b = append(b, "— "+name+" "+base64.StdEncoding.EncodeToString(line)+"\n"...)
	}
	return b, nil
}

// Countersigning says what a receipt holds of the county.
type Countersigning string

// The closed set of it.
const (
	CountyAbsent    Countersigning = "absent"    // its signature is not in the receipt
	CountyUnchecked Countersigning = "unchecked" // it is, but no key to check it with was given
	CountySigned    Countersigning = "signed"    // it is, and it is right
)

// Text says it in plain Chinese.
func (c Countersigning) Text() string {
	switch c {
	case CountyAbsent:
		return "这张回执里没有县里的会签"
	case CountyUnchecked:
		return "有县里的会签，没有给县里的公钥，未核对"
	case CountySigned:
		return "县里已会签，签名正确"
	}
	return string(c)
}

// Proven is what a receipt proves once Verify took it.
type Proven struct {
	Case     string // case number
	Service  string
	Revision string
	At       time.Time // of the submission, UTC, by the terminal's clock
	Index    int64     // number of the record in the log
	Size     int64     // of the log that was signed
	Root     []byte
	Origin   string // which terminal's log, by its key
	County   Countersigning
	Demo     bool
	Record   Record
}

// Verify checks the receipt with public keys only: that the record is in the
// log whose size and root one of the terminal's keys signed, and the county's
// signature where there is one and a key for it. Keys.Known and Keys.Seeds are
// not looked at. Errors: ErrReceipt, ErrReceiptKey, ErrReceiptFalse.
func (r Receipt) Verify(k Keys) (Proven, error) {
	c, rec, err := r.checkpoint()
	if err != nil {
		return Proven{}, err
	}
	known := func(i int, name string, keys []*seal.PublicKey) bool {
		return slices.ContainsFunc(keys, func(p *seal.PublicKey) bool { return keyID(name, p) == r.signs[i].key })
	}
	there := len(r.signs) > 1
	switch {
	case len(r.signs) == 0:
		return Proven{}, fmt.Errorf("%w: nobody signed", ErrReceipt)
	case !known(0, r.Origin, k.Terminal):
		return Proven{}, fmt.Errorf("%w: the terminal's, of %s", ErrReceiptKey, r.Origin)
	case there && len(k.County) > 0 && !known(1, CountyName, k.County):
		return Proven{}, fmt.Errorf("%w: the county's", ErrReceiptKey)
	}
	msg, err := r.Note()
	if err != nil {
		return Proven{}, err
	}
	n := k.ReadNote(msg)
	if n.err != nil {
		return Proven{}, fmt.Errorf("%w: %w", ErrReceiptFalse, n.err)
	}
	p := Proven{Case: rec.CaseID, Service: rec.Fields["service"], Revision: rec.Fields["revision"], At: rec.Wall, Index: rec.Seq,
		Size: r.Size, Root: c.Root, Origin: r.Origin, County: CountyAbsent, Demo: rec.Demo, Record: rec}
	switch {
	case n.counter:
		p.County = CountySigned
	case there:
		p.County = CountyUnchecked
	}
	return p, nil
}
