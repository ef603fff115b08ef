// Package keyring keeps the vault's data key on the disk, wrapped under the key
// that a key source gives (package keys). It exists so that a source can be
// changed (a new stick, a TPM instead of a file) without writing the database
// anew, and the data key be changed without ever being in doubt.
//
// It guarantees:
//
//  1. Two copies, each one sector of random-looking bytes: a damaged or lost one
//     is made good from the other.
//  2. A change writes one copy after the other in place, with a sync between
//     them: at any instant at least one copy is whole, and a torn write reads as
//     damage, not as another key.
//  3. What a copy held before is overwritten where it lay (not left behind by a
//     rename), so that an old source's key opens nothing any more. (A disk that
//     moves blocks by itself may still keep it; the data key then changes with a
//     rekey.)
//  4. Whoever opens the ring sets it right: after a cut in the middle of a change
//     both copies become what the opened one says, so that a change of source is
//     finished or undone and no copy under another key stays.
//
// Layout of a copy (Size bytes): salt (32) ‖ seal.Seal of the fixed-size ring
// under SM4-GCM, its key derived from the source's key and the salt with
// HKDF-SM3 (seal.Derive).
package keyring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"cunban/kiosk/seal"
	"cunban/kiosk/vault/cryptfile"
	"cunban/kiosk/vault/keys"
)

// Sizes, bytes.
const (
	// Size is the size of a copy: the unit that a disk writes whole or tears.
	Size = cryptfile.SectorSize

	saltSize  = 32
	plainSize = Size - saltSize - seal.Overhead
	headSize  = 1 + 1 + 8 + 8 + 1 // version, flags, serial, made, number of keys
)

// MaxKeys is how many data keys a ring may hold: the one in use, and the next
// one while the database is written anew.
const MaxKeys = 2

const (
	version    = 1
	flagLegacy = 1 // see Ring.Legacy
	infoWrap   = "cunban vault keyring 1 "
	aadWord    = "cunban vault keyring 1"
)

// Names are the two copies in the vault's folder.
var Names = [2]string{"vault.key1", "vault.key2"}

// Errors.
var (
	// ErrNone means that there is no ring yet.
	ErrNone = errors.New("there is no keyring")
	// ErrWrongKey means that no copy opens with this source's key: it is another
	// key's, or both copies are damaged.
	ErrWrongKey = errors.New("the keyring was not written with this key")
	// ErrForm means that what was sealed is not a ring: a fault of the program
	// that wrote it, or a newer program's.
	ErrForm = errors.New("not a keyring that this program knows")
)

// Ring is the data key, and during a rekey the next one.
type Ring struct {
	Serial uint64    // grows with every change
	Made   time.Time // when the data key in use was made, to the second
	// Legacy says that the data key was derived from a source's key, as vaults
	// had it before there were rings: that key alone still gives the data key.
	Legacy bool
	Keys   []*keys.Secret // keys.Size bytes each; 1 or 2, the one in use first
}

// Wipe overwrites the keys.
func (r *Ring) Wipe() {
	if r == nil {
		return
	}
	for _, k := range r.Keys {
		k.Wipe()
	}
	r.Keys = nil
}

// Locked reports whether none of the keys can be swapped to the disk.
func (r *Ring) Locked() bool {
	for _, k := range r.Keys {
		if !k.Locked() {
			return false
		}
	}
	return true
}

// Store is where a ring lies.
type Store struct {
	FS   cryptfile.FS
	Dir  string
	Rand io.Reader
}

func (s Store) path(i int) string { return filepath.Join(s.Dir, Names[i]) }

// Exists reports whether there is a copy, whole or not.
func (s Store) Exists() (bool, error) {
	for i := range Names {
		_, err := s.FS.Size(s.path(i))
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("look for the keyring: %w", err)
		}
	}
	return false, nil
}

// Open reads the ring with a source's key and changes nothing. Of two whole
// copies the newer counts; whole tells whether both are and agree. The caller
// wipes the ring. Errors: ErrNone, ErrWrongKey, ErrForm, those of FS.
func (s Store) Open(key []byte) (r *Ring, whole bool, err error) {
	whole = true
	missing := 0
	for i := range Names {
		c, err := s.openCopy(i, key)
		switch {
		case err == nil && r == nil:
			r = c
		case err == nil:
			whole = whole && c.Serial == r.Serial
			if c.Serial > r.Serial {
				r, c = c, r
			}
			c.Wipe()
		case errors.Is(err, fs.ErrNotExist):
			missing++
			whole = false
		case errors.Is(err, ErrWrongKey):
			whole = false
		default:
			r.Wipe()
			return nil, false, fmt.Errorf("open the keyring: %s: %w", Names[i], err)
		}
	}
	switch {
	case r != nil:
		return r, whole, nil
	case missing == len(Names):
		return nil, false, fmt.Errorf("open the keyring: %w", ErrNone)
	}
	return nil, false, fmt.Errorf("open the keyring: %w", ErrWrongKey)
}

// OpenCopy reads copy i (0 or 1) alone, from the disk, to prove that it can be
// read. The caller wipes the ring. Errors: ErrWrongKey, ErrForm, those of FS.
func (s Store) OpenCopy(i int, key []byte) (*Ring, error) {
	r, err := s.openCopy(i, key)
	if err != nil {
		return nil, fmt.Errorf("open the keyring: %s: %w", Names[i], err)
	}
	return r, nil
}

func (s Store) openCopy(i int, key []byte) (*Ring, error) {
	f, err := s.FS.Open(s.path(i))
	if err != nil {
		return nil, err
	}
	b := make([]byte, Size)
	_, err = f.ReadAt(b, 0)
	if errors.Is(err, io.EOF) {
		err = ErrWrongKey // a short copy is a damaged one
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return parse(b, key)
}

// Write puts a changed ring (with a higher Serial) under a source's key into
// both copies, one after the other: first the one that is not whole, if any.
// When it returns nil, both are on the disk and nothing of what they held is
// left in them.
func (s Store) Write(key []byte, r *Ring) error {
	order := []int{0, 1}
	if c, err := s.openCopy(1, key); err != nil {
		order = []int{1, 0}
	} else {
		c.Wipe()
	}
	for _, i := range order {
		if err := s.WriteCopy(i, key, r); err != nil {
			return err
		}
	}
	return nil
}

// Heal makes both copies what r is, which Open returned; the one that is so
// already stays untouched while the other is written. It also removes what a cut
// left of a copy that was being made.
func (s Store) Heal(key []byte, r *Ring) error {
	for i := range Names {
		c, err := s.openCopy(i, key)
		if err == nil {
			same := c.Serial == r.Serial
			c.Wipe()
			if same {
				continue
			}
		} else if !errors.Is(err, ErrWrongKey) && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("heal the keyring: %s: %w", Names[i], err)
		}
		if err := s.WriteCopy(i, key, r); err != nil {
			return err
		}
	}
	for i := range Names {
		if err := s.FS.Remove(s.path(i) + cryptfile.TempSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("tidy the keyring: %w", err)
		}
	}
	return nil
}

// WriteCopy writes copy i (0 or 1) alone and returns when it is on the disk. A
// copy that is there is overwritten in place; see Write.
func (s Store) WriteCopy(i int, key []byte, r *Ring) error {
	b, err := format(s.Rand, key, r)
	if err == nil {
		err = s.put(s.path(i), b)
	}
	if err != nil {
		return fmt.Errorf("write the keyring: %s: %w", Names[i], err)
	}
	return nil
}

func (s Store) put(name string, b []byte) error {
	f, err := s.FS.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return cryptfile.WriteFile(s.FS, name, b)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// wrapKey derives the key of one copy.
func wrapKey(key, salt []byte) (seal.Key, error) {
	b := seal.Derive(key, infoWrap+string(salt), seal.KeySize)
	defer clear(b)
	return seal.KeyFrom(b)
}

// format makes the bytes of a copy.
func format(rand io.Reader, key []byte, r *Ring) ([]byte, error) {
	plain, err := marshal(r)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(rand, salt); err != nil {
		return nil, fmt.Errorf("random salt: %w", err)
	}
	k, err := wrapKey(key, salt)
	if err != nil {
		return nil, err
	}
	defer k.Wipe()
	sealed, err := seal.Seal(rand, k, plain, seal.AAD(aadWord))
	if err != nil {
		return nil, err
	}
	return append(salt, sealed...), nil
}

// parse is the reverse of format. Errors: ErrWrongKey, ErrForm.
func parse(b, key []byte) (*Ring, error) {
	if len(b) != Size {
		return nil, ErrWrongKey
	}
	k, err := wrapKey(key, b[:saltSize])
	if err != nil {
		return nil, err
	}
	defer k.Wipe()
	plain, err := seal.Open(k, b[saltSize:], seal.AAD(aadWord))
	if errors.Is(err, seal.ErrOpen) || errors.Is(err, seal.ErrSuite) {
		return nil, ErrWrongKey
	}
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return unmarshal(plain)
}

func marshal(r *Ring) ([]byte, error) {
	if len(r.Keys) < 1 || len(r.Keys) > MaxKeys {
		return nil, fmt.Errorf("%w: %d keys", ErrForm, len(r.Keys))
	}
	p := make([]byte, plainSize)
	p[0] = version
	if r.Legacy {
		p[1] = flagLegacy
	}
	binary.BigEndian.PutUint64(p[2:], r.Serial)
	binary.BigEndian.PutUint64(p[10:], uint64(r.Made.Unix()))
	p[18] = byte(len(r.Keys))
	for i, k := range r.Keys {
		if len(k.Bytes()) != keys.Size {
			return nil, fmt.Errorf("%w: a key of %d bytes", ErrForm, len(k.Bytes()))
		}
		copy(p[headSize+i*keys.Size:], k.Bytes())
	}
	return p, nil
}

// unmarshal takes only what marshal makes, so that a ring has one form.
func unmarshal(p []byte) (*Ring, error) {
	if len(p) != plainSize || p[0] != version || p[1]&^flagLegacy != 0 {
		return nil, ErrForm
	}
	n := int(p[18])
	if n < 1 || n > MaxKeys {
		return nil, fmt.Errorf("%w: %d keys", ErrForm, n)
	}
	for _, c := range p[headSize+n*keys.Size:] {
		if c != 0 {
			return nil, fmt.Errorf("%w: something behind its end", ErrForm)
		}
	}
	r := &Ring{Legacy: p[1] == flagLegacy, Serial: binary.BigEndian.Uint64(p[2:]),
		Made: time.Unix(int64(binary.BigEndian.Uint64(p[10:])), 0)}
	for i := range n {
		k, err := keys.NewSecret(p[headSize+i*keys.Size : headSize+(i+1)*keys.Size])
		if err != nil {
			r.Wipe()
			return nil, err
		}
		r.Keys = append(r.Keys, k)
	}
	return r, nil
}
