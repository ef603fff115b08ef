package seal

import (
	"crypto/cipher"
	"fmt"

	gmcipher "github.com/emmansun/gmsm/cipher"
	"github.com/emmansun/gmsm/sm4"
)

// SectorKeySize is the length of the key of Sectors, bytes.
const SectorKeySize = 2 * KeySize

// Sectors encrypts the sectors of a file in place of a disk: SM4-XTS with the
// sector number as tweak (GB/T 17964-2021). It gives secrecy, not integrity: a
// changed sector decrypts to noise. The ciphers are built once.
type Sectors struct{ data, tweak cipher.Block }

// NewSectors takes a key of SectorKeySize bytes. ErrKey otherwise.
func NewSectors(key []byte) (*Sectors, error) {
	if len(key) != SectorKeySize {
		return nil, fmt.Errorf("%w: %d bytes instead of %d", ErrKey, len(key), SectorKeySize)
	}
	d, err := sm4.NewCipher(key[:KeySize])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	t, err := sm4.NewCipher(key[KeySize:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return &Sectors{d, t}, nil
}

// pick hands gmsm the ciphers that exist already: it is called with the one
// byte below instead of a key.
func (s *Sectors) pick(which []byte) (cipher.Block, error) {
	if which[0] == 0 {
		return s.data, nil
	}
	return s.tweak, nil
}

var pickData, pickTweak = []byte{0}, []byte{1}

// Encrypt encrypts one sector; len(src) must be a multiple of 16 and at least
// that of a block, dst as long; dst and src may be the same slice.
func (s *Sectors) Encrypt(dst, src []byte, sector uint64) {
	m, err := gmcipher.NewGBXTSEncrypterWithSector(s.pick, pickData, pickTweak, sector)
	if err != nil {
		panic("seal: sectors: " + err.Error()) // cannot happen: the ciphers exist
	}
	m.CryptBlocks(dst, src)
}

// Decrypt is the reverse of Encrypt.
func (s *Sectors) Decrypt(dst, src []byte, sector uint64) {
	m, err := gmcipher.NewGBXTSDecrypterWithSector(s.pick, pickData, pickTweak, sector)
	if err != nil {
		panic("seal: sectors: " + err.Error()) // cannot happen: the ciphers exist
	}
	m.CryptBlocks(dst, src)
}
