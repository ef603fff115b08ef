package oplog

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"cunban/kiosk/seal"
)

// CountyName is the signer name of the county's countersignature.
const CountyName = "cunban/county"

// Origin is the origin line and signer name of a log: it names the key that
// signs it, and so stays the same before and after an enrolment.
func Origin(key *seal.PublicKey) string { return originPrefix + "log-" + key.ID()[:originDigits] }

// originPrefix begins every origin.
const originPrefix = "cunban/"

// originDigits is how much of the key's id the origin shows.
const originDigits = 8

// ErrCheckpoint means that a note is not a checkpoint, or not signed by whom
// it should be.
var ErrCheckpoint = errors.New("not a signed log checkpoint")

// MaxNote is the longest checkpoint note, bytes.
const MaxNote = 16 << 10

// Checkpoint is the size and root of a log at a moment.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   []byte
}

// Text is the signed text (C2SP tlog-checkpoint): origin, size in decimal,
// root in base64, each on a line.
func (c Checkpoint) Text() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root) + "\n"
}

// ParseCheckpoint reads what Text wrote, in that one form; it checks no
// signature. Errors: ErrCheckpoint.
func ParseCheckpoint(text string) (Checkpoint, error) {
	f := strings.Split(text, "\n")
	if len(f) != 4 || f[3] != "" || f[0] == "" {
		return Checkpoint{}, fmt.Errorf("%w: not three lines", ErrCheckpoint)
	}
	size, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil || size < 0 {
		return Checkpoint{}, fmt.Errorf("%w: size %.30q", ErrCheckpoint, f[1])
	}
	root, err := base64.StdEncoding.DecodeString(f[2])
	if err != nil || len(root) != HashSize {
		return Checkpoint{}, fmt.Errorf("%w: root", ErrCheckpoint)
	}
	c := Checkpoint{f[0], size, root}
	if c.Text() != text {
		return Checkpoint{}, fmt.Errorf("%w: not the canonical form", ErrCheckpoint)
	}
	return c, nil
}

// Signature type of C2SP signed-note: 0xff, then a name of our own, then the
// key. A signature line holds base64 of the key id (4 bytes) and the SM2
// signature (GB/T 32918.2 with SM3 and the default user id, ASN.1 DER) of the
// note's text. The key id is the beginning of
//
//	SM3(signer name ‖ 0x0A ‖ 0xff ‖ "cunban SM2-SM3 v1" ‖ SubjectPublicKeyInfo)
const (
	algOwn   = 0xff
	algName  = "cunban SM2-SM3 v1"
	keyIDLen = 4
)

func keyID(name string, key *seal.PublicKey) uint32 {
	return binary.BigEndian.Uint32(seal.Digest([]byte(name), []byte{'\n', algOwn}, []byte(algName), key.DER())[:keyIDLen])
}

// signer is a note.Signer with an SM2 key.
type signer struct {
	rand io.Reader
	name string
	key  *seal.PrivateKey
}

func (s signer) Name() string                    { return s.name }
func (s signer) KeyHash() uint32                 { return keyID(s.name, s.key.Public()) }
func (s signer) Sign(msg []byte) ([]byte, error) { return s.key.Sign(s.rand, msg) }

// verifier is a note.Verifier with an SM2 key.
type verifier struct {
	name string
	key  *seal.PublicKey
}

func (v verifier) Name() string                { return v.name }
func (v verifier) KeyHash() uint32             { return keyID(v.name, v.key) }
func (v verifier) Verify(msg, sig []byte) bool { return v.key.Verify(msg, sig) }

// NoteSigner makes a note.Signer of an SM2 key, for whoever works with notes
// directly.
func NoteSigner(rand io.Reader, name string, key *seal.PrivateKey) note.Signer {
	return signer{rand, name, key}
}

// NoteVerifier makes a note.Verifier of an SM2 key.
func NoteVerifier(name string, key *seal.PublicKey) note.Verifier { return verifier{name, key} }

// SignCheckpoint makes a signed note of a checkpoint; name is the signer's,
// for a terminal the origin. Errors: ErrCheckpoint for a checkpoint that
// cannot be written.
func SignCheckpoint(rand io.Reader, c Checkpoint, name string, key *seal.PrivateKey) ([]byte, error) {
	text := c.Text()
	if _, err := ParseCheckpoint(text); err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	msg, err := note.Sign(&note.Note{Text: text}, signer{rand, name, key})
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint %d of %s: %w", c.Size, c.Origin, err)
	}
	return msg, nil
}

// OpenCheckpoint returns the checkpoint of a note that the named signer's key
// signed. Other signatures are not looked at. Errors: ErrCheckpoint.
func OpenCheckpoint(msg []byte, name string, key *seal.PublicKey) (Checkpoint, error) {
	if key == nil {
		return Checkpoint{}, fmt.Errorf("%w: no key of %q to check with", ErrCheckpoint, name)
	}
	n, err := openNote(msg, note.VerifierList(verifier{name, key}))
	if err != nil {
		return Checkpoint{}, err
	}
	return ParseCheckpoint(n.Text)
}

// PeekCheckpoint reads a note without checking any signature: to learn whose
// it is. Errors: ErrCheckpoint.
func PeekCheckpoint(msg []byte) (Checkpoint, error) {
	n, err := unverified(msg)
	if err != nil {
		return Checkpoint{}, err
	}
	return ParseCheckpoint(n.Text)
}

// Countersign adds a signature line to a note, which keeps those it has. The
// caller checked it before (OpenCheckpoint, VerifyConsistency). Errors:
// ErrCheckpoint.
func Countersign(rand io.Reader, msg []byte, name string, key *seal.PrivateKey) ([]byte, error) {
	n, err := unverified(msg)
	if err != nil {
		return nil, fmt.Errorf("countersign: %w", err)
	}
	if _, err := ParseCheckpoint(n.Text); err != nil {
		return nil, fmt.Errorf("countersign: %w", err)
	}
	out, err := note.Sign(n, signer{rand, name, key})
	if err != nil {
		return nil, fmt.Errorf("countersign: %w", err)
	}
	return out, nil
}

// openNote is note.Open, and takes only the one form of a note: that package
// lets unused bits of the base64 and doubled lines pass.
func openNote(msg []byte, known note.Verifiers) (*note.Note, error) {
	if len(msg) > MaxNote {
		return nil, fmt.Errorf("%w: %d bytes", ErrCheckpoint, len(msg))
	}
	n, err := note.Open(msg, known)
	var u *note.UnverifiedNoteError
	switch {
	case err == nil:
	case errors.As(err, &u):
		n = u.Note
	default:
		return nil, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	sigs := slices.Concat(n.Sigs, n.UnverifiedSigs)
	for _, s := range sigs {
		if _, e := base64.StdEncoding.Strict().DecodeString(s.Base64); e != nil {
			return nil, fmt.Errorf("%w: signature of %s is not canonical base64", ErrCheckpoint, s.Name)
		}
	}
	if lines := bytes.Count(msg, []byte("\n")) - strings.Count(n.Text, "\n") - 1; lines != len(sigs) {
		return nil, fmt.Errorf("%w: a signature line stands there twice", ErrCheckpoint)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	return n, nil
}

func unverified(msg []byte) (*note.Note, error) {
	_, err := openNote(msg, note.VerifierList())
	var u *note.UnverifiedNoteError
	if errors.As(err, &u) {
		return u.Note, nil
	}
	if err == nil {
		err = ErrCheckpoint // cannot be: nobody is known
	}
	return nil, err
}

// NoteRead is a note whose signatures were checked, and that was not yet
// compared with a log.
type NoteRead struct {
	Checkpoint Checkpoint // what it says, also when a signature is wrong
	Readable   bool       // Checkpoint could be read
	counter    bool       // the county signed too
	err        error
}

// ReadNote does the part of verifying a checkpoint that depends on no record: the
// signatures. It may run ahead, and in parallel: each takes as long as ten
// records do.
func (k *Keys) ReadNote(msg []byte) (n NoteRead) {
	c, err := PeekCheckpoint(msg)
	if err != nil {
		return NoteRead{err: err}
	}
	n.Checkpoint, n.Readable = c, true
	n.counter, n.err = k.signed(msg, c)
	return n
}

// signed opens a note of c with any of the terminal's keys, whose name is the
// note's own origin, and tells whether one of the county's keys signed too.
func (k *Keys) signed(msg []byte, c Checkpoint) (countersigned bool, err error) {
	if c.Origin == CountyName {
		return false, fmt.Errorf("%w: a log cannot be the county's", ErrCheckpoint)
	}
	var known []note.Verifier
	ids := map[string]bool{}
	for _, key := range k.Terminal {
		if id := c.Origin + key.ID(); !ids[id] {
			ids[id] = true
			known = append(known, verifier{c.Origin, key})
		}
	}
	for _, key := range k.County {
		if id := CountyName + key.ID(); !ids[id] {
			ids[id] = true
			known = append(known, verifier{CountyName, key})
		}
	}
	n, err := openNote(msg, note.VerifierList(known...))
	if err != nil {
		return false, err
	}
	own := false
	for _, s := range n.Sigs {
		own = own || s.Name == c.Origin
		countersigned = countersigned || s.Name == CountyName
	}
	for _, s := range n.UnverifiedSigs {
		if s.Name == CountyName && len(k.County) > 0 {
			return false, fmt.Errorf("%w: a line of %s is of no key of the county", ErrCheckpoint, s.Name)
		}
	}
	if !own {
		return false, fmt.Errorf("%w: %s did not sign it", ErrCheckpoint, c.Origin)
	}
	return countersigned, nil
}

// noteLines splits a note for the export; the note ends in a newline.
func noteLines(msg []byte) [][]byte {
	return bytes.Split(bytes.TrimSuffix(msg, []byte("\n")), []byte("\n"))
}
