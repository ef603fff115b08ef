// Package cryptfile keeps files of which not one readable byte lies on the
// disk: a header that looks random, then 4,096-byte sectors under SM4-XTS
// (GB/T 17964-2021), the sector number as tweak. It also puts SQLite on top of
// such files, so that a whole database, its WAL and its journal are ciphertext.
//
// It guarantees: every file has keys of its own (a random salt in the header
// goes into the derivation); a wrong key is told from a damaged file (ErrWrongKey
// against noise); what was written before a Sync that returned nil survives a
// power cut; writes after it can never hurt what lies before it in other
// sectors, and SQLite is told so (sector size 4,096, no powersafe overwrite).
// XTS gives secrecy, not integrity: a changed sector reads as noise, and what
// notices is above (checksums, AEAD, the operation log).
package cryptfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"cunban/kiosk/seal"
)

// SectorSize is the unit of encryption and of writing, bytes. It is also the
// size of the header.
const SectorSize = 4096

const (
	saltSize  = 32
	checkSize = seal.DigestSize
	// Purposes of derived keys. The number is the version of the layout.
	infoSectors = "cunban cryptfile 1 sectors "
	infoCheck   = "cunban cryptfile 1 check "
)

// ErrWrongKey means that the header was not made with this key. (Or that the
// header itself is damaged; who keeps a second proof of the key can tell.)
var ErrWrongKey = errors.New("the file was not written with this key")

// makeHeader makes a header: salt, keyed digest of salt, random filling. To
// whoever has no key all of it is random.
func makeHeader(rand io.Reader, key []byte) ([]byte, error) {
	h := make([]byte, SectorSize)
	if _, err := io.ReadFull(rand, h); err != nil {
		return nil, fmt.Errorf("random header: %w", err)
	}
	copy(h[saltSize:], check(key, h[:saltSize]))
	return h, nil
}

func check(key, salt []byte) []byte {
	return seal.MAC(seal.Derive(key, infoCheck, seal.DigestSize), salt)
}

// openHeader checks a header and derives the file's sector keys.
func openHeader(h, key []byte) (*seal.Sectors, error) {
	salt := h[:saltSize]
	if !seal.Equal(check(key, salt), h[saltSize:saltSize+checkSize]) {
		return nil, ErrWrongKey
	}
	k := seal.Derive(key, infoSectors+string(salt), seal.SectorKeySize)
	defer clear(k)
	return seal.NewSectors(k)
}

// Init makes an empty encrypted file at name unless one is there. The header is
// whole or the file does not exist, whenever the power goes.
func Init(fsys FS, name string, key []byte, rand io.Reader) error {
	if _, err := fsys.Size(name); !errors.Is(err, fs.ErrNotExist) {
		return err // it is there, or nobody can tell: never write over it
	}
	h, err := makeHeader(rand, key)
	if err != nil {
		return err
	}
	return WriteFile(fsys, name, h)
}

// CheckKey reports whether the file at name was made with key: nil or
// ErrWrongKey, or what kept it from being read.
func CheckKey(fsys FS, name string, key []byte) error {
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	h := make([]byte, SectorSize)
	_, err = f.ReadAt(h, 0)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read the header of %s: %w", filepath.Base(name), err)
	}
	_, err = openHeader(h, key)
	return err
}
