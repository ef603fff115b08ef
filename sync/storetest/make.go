package storetest

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"cunban/kiosk/cases"
	"cunban/kiosk/resident"
	"cunban/kiosk/seal"
)

// Maker makes submissions of no meaning: right in shape, random in content.
type Maker struct{ rng *rand.ChaCha8 }

// NewMaker makes a maker; the same seed makes the same submissions.
func NewMaker(seed uint64) *Maker {
	var s [32]byte
	binary.LittleEndian.PutUint64(s[:], seed)
	return &Maker{rand.NewChaCha8(s)}
}

// Rand is the maker's source.
func (m *Maker) Rand() io.Reader { return m.rng }

// ID makes a case id.
func (m *Maker) ID() string {
	id, err := uuid.NewV7FromReader(m.rng)
	if err != nil {
		panic("storetest: " + err.Error()) // the source never ends
	}
	return id.String()
}

// Bytes makes n random bytes.
func (m *Maker) Bytes(n int) []byte {
	b := make([]byte, n)
	_, _ = m.rng.Read(b) // never fails
	return b
}

// Submission makes revision rev of case id with one file of each size.
func (m *Maker) Submission(id string, rev int, saved time.Time, sizes ...int) cases.Submission {
	body := m.Bytes(600)
	s := cases.Submission{
		Case: cases.Case{
			ID: id, Revision: rev, Service: "S01", ServiceName: "测试事项", Catalogue: "2026.1", State: cases.Saved,
			Owner: seal.Digest([]byte(id)), Region: "140830100201", Village: "测试村", StartedAt: saved.Add(-time.Minute),
			SavedAt: saved, UpdatedAt: saved, Mode: cases.ModeSelf, Demo: true, BodyDigest: seal.Digest(body),
		},
		KeyID: "0011223344556677", Envelope: m.Bytes(160), Body: body,
		Actor: cases.Actor{Role: cases.RoleResident, Session: 1, Demo: true}, Verification: resident.Unverified,
		Confirmed: true, LogPrivate: m.Bytes(80),
	}
	for i, n := range sizes {
		b := m.Bytes(n)
		s.Files = append(s.Files, cases.SealedFile{Name: fmt.Sprintf("%d-%02d.sealed", rev, i+1), Material: "测试材料",
			Page: i + 1, MIME: "image/jpeg", Sealed: b, Digest: seal.Digest(b)})
	}
	return s
}
