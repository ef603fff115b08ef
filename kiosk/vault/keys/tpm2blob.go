package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/google/go-tpm/tpm2"

	"cunban/kiosk/seal"
)

// Bounds of a sealed file, bytes. A sealed 32-byte key has about 80 bytes of
// public and 180 of private part.
const (
	maxTPMBlob = 4 << 10
	maxTPMPart = 1 << 10
	nameSize   = 2 + 32 // algorithm and SHA-256 digest, see TPM 2.0 Library part 1, 16
)

const (
	blobFormat  = "cunban-tpm2-key"
	blobVersion = 1
)

// tpmBlob is what the chip gave, and which chip it was.
type tpmBlob struct {
	SRK     []byte // name of the storage key
	EK      []byte // name of the endorsement key, empty when the chip did not give it
	Public  []byte // TPMT_PUBLIC of the sealed object
	Private []byte // content of its TPM2B_PRIVATE
}

// blobFile is the file: one JSON object. Check is the SM3 of the rest, so that a
// damaged file is told before the chip is asked.
type blobFile struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	SRK     []byte `json:"storage_key"`
	EK      []byte `json:"endorsement_key,omitempty"`
	Public  []byte `json:"public"`
	Private []byte `json:"private"`
	Check   []byte `json:"check"`
}

func (b tpmBlob) check() []byte {
	part := func(p []byte) []byte { return append([]byte{byte(len(p) >> 8), byte(len(p))}, p...) }
	return seal.Digest([]byte(blobFormat), []byte{blobVersion}, part(b.SRK), part(b.EK), part(b.Public), part(b.Private))
}

func formatTPMBlob(b tpmBlob) ([]byte, error) {
	text, err := json.MarshalIndent(blobFile{blobFormat, blobVersion, b.SRK, b.EK, b.Public, b.Private, b.check()}, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(text, '\n'), nil
}

var errBlob = errors.New("not a sealed key")

// parseTPMBlob takes only what formatTPMBlob wrote, and only what can be a
// sealed object: the chip and its library see nothing else.
func parseTPMBlob(text []byte) (tpmBlob, error) {
	if len(text) > maxTPMBlob {
		return tpmBlob{}, fmt.Errorf("%w: longer than %d bytes", errBlob, maxTPMBlob)
	}
	var f blobFile
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return tpmBlob{}, fmt.Errorf("%w: %w", errBlob, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return tpmBlob{}, fmt.Errorf("%w: something behind its end", errBlob)
	}
	b := tpmBlob{SRK: f.SRK, EK: f.EK, Public: f.Public, Private: f.Private}
	switch {
	case f.Format != blobFormat || f.Version != blobVersion:
		return tpmBlob{}, fmt.Errorf("%w: format %.40q, version %d", errBlob, f.Format, f.Version)
	case !seal.Equal(f.Check, b.check()):
		return tpmBlob{}, fmt.Errorf("%w: damaged", errBlob)
	case len(b.SRK) != nameSize || len(b.EK) != 0 && len(b.EK) != nameSize:
		return tpmBlob{}, fmt.Errorf("%w: names of %d and %d bytes", errBlob, len(b.SRK), len(b.EK))
	case len(b.Public) == 0 || len(b.Public) > maxTPMPart || len(b.Private) == 0 || len(b.Private) > maxTPMPart:
		return tpmBlob{}, fmt.Errorf("%w: parts of %d and %d bytes", errBlob, len(b.Public), len(b.Private))
	}
	pub, err := tpm2.Unmarshal[tpm2.TPMTPublic](b.Public)
	if err != nil {
		return tpmBlob{}, fmt.Errorf("%w: public part: %w", errBlob, err)
	}
	if pub.Type != tpm2.TPMAlgKeyedHash || pub.NameAlg != tpm2.TPMAlgSHA256 {
		return tpmBlob{}, fmt.Errorf("%w: an object of type %#x", errBlob, uint16(pub.Type))
	}
	return b, nil
}
