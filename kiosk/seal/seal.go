// Package seal is the terminal's crypto suite: SM3 digests and keyed digests,
// SM4-GCM for payloads, SM2 envelopes and signatures, SM4-XTS sectors for the
// vault's file, and slow hashes for PINs. It exists so that nothing else
// touches primitives: whoever needs a secret kept or a change noticed finds one
// function for it here, and a county that must use a certified module replaces
// one package.
//
// It guarantees: every sealed payload names its suite, has a fresh random nonce
// and is bound to associated data, so that it opens nowhere but where it
// belongs; keys never print; what was changed anywhere fails with ErrOpen and
// yields nothing. The implementation is github.com/emmansun/gmsm, which is not
// a certified module.
//
// Standards: GB/T 32905 (SM3), GB/T 32907 (SM4), GB/T 32918 (SM2), GB/T 17964
// (modes), RFC 8998 (SM4-GCM), RFC 5869 (HKDF), RFC 8018 (PBKDF2).
//
// All functions are safe for concurrent use.
package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/sm4"
)

// Sizes in bytes.
const (
	DigestSize = sm3.Size
	KeySize    = sm4.BlockSize
	nonceSize  = 12
	tagSize    = 16
	// Overhead is what Seal adds to a payload.
	Overhead = 1 + nonceSize + tagSize
)

// suiteSM4GCM marks payloads sealed with SM4-GCM, 96-bit random nonce.
const suiteSM4GCM = 1

// Errors.
var (
	// ErrOpen means wrong key, wrong place or changed bytes; which of them
	// cannot be told.
	ErrOpen = errors.New("sealed data cannot be opened: wrong key, wrong place or changed bytes")
	// ErrSuite means that the payload was sealed by a suite unknown here.
	ErrSuite = errors.New("sealed data is of an unknown suite")
	// ErrKey means that a key file or text is not a usable key.
	ErrKey = errors.New("not a usable key")
)

// NewHash returns an SM3 hash.
func NewHash() hash.Hash { return sm3.New() }

// Digest is the SM3 digest of the parts one after the other. Parts are not
// separated: use fixed lengths or an unambiguous encoding.
func Digest(parts ...[]byte) []byte {
	h := sm3.New()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// MAC is HMAC-SM3 over the parts one after the other.
func MAC(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sm3.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// Equal compares digests in constant time.
func Equal(a, b []byte) bool { return hmac.Equal(a, b) }

// Derive makes n bytes from a strong secret for one purpose (HKDF-SM3, RFC
// 5869, empty salt). Different infos give independent keys.
func Derive(secret []byte, info string, n int) []byte {
	// A hash keeps the end of what was written to it until it is written over, and
	// the garbage collector does not: the secret would stay in memory.
	var used []hash.Hash
	out, err := hkdf.Key(func() hash.Hash {
		h := sm3.New()
		used = append(used, h)
		return h
	}, secret, nil, info, n)
	for _, h := range used {
		h.Reset()
		h.Write(make([]byte, sm3.BlockSize-1)) // short of a block, so that it is kept
	}
	if err != nil {
		// Only a length beyond 255 digests fails, which no caller asks for.
		panic("seal: derive " + info + ": " + err.Error())
	}
	return out
}

// Key is an SM4 key. The zero value is not usable. It never prints.
type Key struct{ b [KeySize]byte }

// NewKey makes a fresh random key.
func NewKey(rand io.Reader) (Key, error) {
	var k Key
	if _, err := io.ReadFull(rand, k.b[:]); err != nil {
		return Key{}, fmt.Errorf("make a key: %w", err)
	}
	return k, nil
}

// KeyFrom takes the bytes of a key, which must be KeySize. ErrKey otherwise.
func KeyFrom(b []byte) (Key, error) {
	if len(b) != KeySize {
		return Key{}, fmt.Errorf("%w: %d bytes instead of %d", ErrKey, len(b), KeySize)
	}
	var k Key
	copy(k.b[:], b)
	return k, nil
}

// IsZero reports whether the key was never set or was wiped.
func (k Key) IsZero() bool { return k.b == [KeySize]byte{} }

// Bytes returns a copy, for wrapping the key.
func (k Key) Bytes() []byte { return append([]byte(nil), k.b[:]...) }

// Wipe overwrites the key.
func (k *Key) Wipe() { clear(k.b[:]) }

// String and GoString keep a key out of every log.
func (k Key) String() string   { return "seal.Key{…}" }
func (k Key) GoString() string { return "seal.Key{…}" }

// Format is String for every verb; without it %d would print the bytes.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// MarshalJSON keeps a key out of every file.
func (k Key) MarshalJSON() ([]byte, error) { return []byte(`"…"`), nil }

func (k Key) aead() (cipher.AEAD, error) {
	if k.IsZero() {
		return nil, fmt.Errorf("%w: empty", ErrKey)
	}
	block, err := sm4.NewCipher(k.b[:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return cipher.NewGCM(block)
}

// Seal encrypts and authenticates plain under a key; aad says where it belongs
// and must be given again to Open. Layout: suite (1), nonce (12), ciphertext,
// tag (16).
func Seal(rand io.Reader, k Key, plain, aad []byte) ([]byte, error) {
	a, err := k.aead()
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	out := make([]byte, 1+nonceSize, Overhead+len(plain))
	out[0] = suiteSM4GCM
	if _, err := io.ReadFull(rand, out[1:]); err != nil {
		return nil, fmt.Errorf("seal: nonce: %w", err)
	}
	return a.Seal(out, out[1:1+nonceSize], plain, bind(aad)), nil
}

// Open is the reverse of Seal. Errors: ErrSuite, ErrOpen, ErrKey.
func Open(k Key, sealed, aad []byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return nil, ErrOpen
	}
	if sealed[0] != suiteSM4GCM {
		return nil, fmt.Errorf("%w: %d", ErrSuite, sealed[0])
	}
	a, err := k.aead()
	if err != nil {
		return nil, err
	}
	plain, err := a.Open(nil, sealed[1:1+nonceSize], sealed[1+nonceSize:], bind(aad))
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

// bind puts the suite into the associated data.
func bind(aad []byte) []byte { return append([]byte{suiteSM4GCM}, aad...) }

// AAD joins fields into unambiguous associated data: each with its length (64
// bits, big endian) in front.
func AAD(fields ...string) []byte {
	var out []byte
	for _, f := range fields {
		out = binary.BigEndian.AppendUint64(out, uint64(len(f)))
		out = append(out, f...)
	}
	return out
}
