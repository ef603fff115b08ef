package cases

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"cunban/kiosk/seal"
)

// NewID makes a case id: a UUIDv7 (RFC 9562), when the form begins.
func NewID(rand io.Reader) (string, error) {
	id, err := uuid.NewV7FromReader(rand)
	if err != nil {
		return "", fmt.Errorf("make a case id: %w", err)
	}
	return id.String(), nil
}

// Limits of a draft, so that a full form always fits the contract with the
// county (see sync/wire).
const (
	MaxScans     = 60
	MaxScanBytes = 24 << 20
	maxBodyBytes = 512 << 10
)

// ErrTooLarge means that a draft is beyond the limits; the person is asked to
// take fewer pages.
var ErrTooLarge = errors.New("the case is too large")

// Desk is what Submit works with. All fields are needed but Calendar.
type Desk struct {
	Store     Store
	CountyKey *seal.PublicKey // nil: the terminal was never enrolled
	Rand      io.Reader
	Now       func() time.Time
	Calendar  Calendar
}

// Submit seals a finished draft and commits it. When it returns a case, the
// case is on the disk for good (state Saved) and no key on this terminal can
// read it any more. Errors: ErrNoCountyKey, ErrTooLarge, ErrExists, ErrDiskFull
// and whatever the store reports; after any error nothing was saved and the
// draft may be submitted again.
func (d Desk) Submit(ctx context.Context, draft Draft) (Case, error) {
	if d.CountyKey == nil {
		return Case{}, ErrNoCountyKey
	}
	if draft.ID == "" || draft.Revision < 1 || draft.Claim.Number.IsZero() || !json.Valid(draft.Answers) {
		return Case{}, errors.New("submit: the draft is not complete")
	}
	now := d.Now()
	s, err := d.seal(draft, now)
	if err != nil {
		return Case{}, fmt.Errorf("submit: %w", err)
	}
	c, err := d.Store.Submit(ctx, s)
	if err != nil {
		return Case{}, fmt.Errorf("submit: %w", err)
	}
	return c, nil
}

func (d Desk) seal(draft Draft, now time.Time) (Submission, error) {
	if len(draft.Scans) > MaxScans {
		return Submission{}, fmt.Errorf("%w: %d pages", ErrTooLarge, len(draft.Scans))
	}
	id, rev := draft.ID, draft.Revision
	key, err := seal.NewKey(d.Rand)
	if err != nil {
		return Submission{}, err
	}
	defer key.Wipe()
	env, err := d.CountyKey.Envelop(d.Rand, key, EnvelopeAAD(id, rev))
	if err != nil {
		return Submission{}, err
	}
	plain, err := json.Marshal(Body{
		Version: BodyVersion, CaseID: id, Revision: rev, Service: draft.Service, ServiceName: draft.ServiceName,
		Catalogue: draft.Catalogue, Region: draft.Region, Village: draft.Village,
		Applicant: personOf(draft.Claim), Answers: draft.Answers, Signature: draft.Signature,
		Outstanding: draft.Outstanding, Mode: draft.Mode, Staff: draft.Actor.Account, Confirmed: draft.Confirmed,
		StartedAt: draft.StartedAt.UTC(), SavedAt: now.UTC(), Demo: draft.Actor.Demo,
	})
	if err != nil {
		return Submission{}, fmt.Errorf("write the body: %w", err)
	}
	defer clear(plain)
	if len(plain) > maxBodyBytes {
		return Submission{}, fmt.Errorf("%w: form and signature have %d bytes", ErrTooLarge, len(plain))
	}
	body, err := seal.Seal(d.Rand, key, plain, BodyAAD(id, rev, d.CountyKey.ID()))
	if err != nil {
		return Submission{}, err
	}
	private, err := json.Marshal(map[string]string{
		"name": draft.Claim.Name.Reveal(), "number": draft.Claim.Number.Reveal(), "verified_by": draft.Claim.VerifiedBy,
	})
	if err != nil {
		return Submission{}, fmt.Errorf("write the log's personal part: %w", err)
	}
	defer clear(private)
	logPrivate, err := seal.Seal(d.Rand, key, private, LogAAD(id, rev))
	if err != nil {
		return Submission{}, err
	}
	files := make([]SealedFile, 0, len(draft.Scans))
	for i, sc := range draft.Scans {
		if len(sc.Data) == 0 || len(sc.Data) > MaxScanBytes {
			return Submission{}, fmt.Errorf("%w: page %d of %s has %d bytes", ErrTooLarge, sc.Page, sc.Material, len(sc.Data))
		}
		// The revision is in the name, so that a mended case never touches the
		// files of the one before.
		name := fmt.Sprintf("%d-%02d.sealed", rev, i+1)
		sealed, err := seal.Seal(d.Rand, key, sc.Data, FileAAD(id, rev, name))
		if err != nil {
			return Submission{}, err
		}
		files = append(files, SealedFile{Name: name, Material: sc.Material, Page: sc.Page, MIME: sc.MIME,
			Sealed: sealed, Digest: seal.Digest(sealed)})
	}
	return Submission{
		Case: Case{
			ID: id, Revision: rev, Service: draft.Service, ServiceName: draft.ServiceName, Catalogue: draft.Catalogue,
			State: Saved, Owner: d.Store.OwnerIndex(draft.Claim.Number), Region: draft.Region, Village: draft.Village,
			StartedAt: draft.StartedAt, SavedAt: now, UpdatedAt: now, DueDate: d.Calendar.Due(now, draft.LimitDays),
			Mode: draft.Mode, Staff: draft.Actor.Account, Demo: draft.Actor.Demo,
			Outstanding: draft.Outstanding, BodyDigest: seal.Digest(body),
		},
		KeyID: d.CountyKey.ID(), Envelope: env, Body: body, Files: files, Actor: draft.Actor,
		Verification: draft.Claim.Verification, Confirmed: draft.Confirmed, LogPrivate: logPrivate,
	}, nil
}
