package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/seal"
	"cunban/sync/wire"
)

// Receive stores one revision of one case and answers as the contract asks.
// created is true when it was stored by this call. An error is a *wire.Problem
// when it is for the terminal.
func (c *County) Receive(ctx context.Context, terminal string, put wire.CasePut) (reply wire.CaseReply, created bool, err error) {
	if err := put.Validate(); err != nil {
		return reply, false, wire.NewProblem(wire.CodeMalformed, err.Error())
	}
	if wire.Hex(seal.Digest(put.Body)) != put.Digest {
		return reply, false, wire.NewProblem(wire.CodeMalformed, "digest is not that of the body")
	}
	err = c.o.Store.View(ctx, func(tx Tx) error {
		var err error
		reply, err = c.again(tx, put)
		return err
	})
	if !errors.Is(err, ErrNotFound) {
		return reply, false, err
	}
	// New: open it before it is stored, so that a terminal learns at once what
	// nobody could ever read.
	body, keyID, err := c.openPut(put)
	if err != nil {
		return reply, false, err
	}
	claim, err := c.verifyApplicant(ctx, body)
	if err != nil {
		return reply, false, err
	}
	err = c.o.Store.Update(ctx, func(tx Tx) error {
		created = false
		var err error
		if reply, err = c.again(tx, put); !errors.Is(err, ErrNotFound) {
			return err
		}
		created = true
		reply, err = c.store(tx, terminal, put, keyID, claim)
		return err
	})
	if err != nil {
		return wire.CaseReply{}, false, err
	}
	return reply, created, nil
}

// again answers for a revision that is there already; ErrNotFound when not.
func (c *County) again(tx Tx, put wire.CasePut) (wire.CaseReply, error) {
	r, err := tx.Revision(put.CaseID, put.Revision)
	if err != nil {
		return wire.CaseReply{}, err
	}
	files, err := tx.Files(put.CaseID, put.Revision)
	if err != nil {
		return wire.CaseReply{}, err
	}
	same := r.Digest == put.Digest && len(files) == len(put.Files)
	for i := 0; same && i < len(files); i++ {
		same = files[i].Name == put.Files[i].Name && files[i].Digest == put.Files[i].Digest
	}
	if !same {
		p := wire.NewProblem(wire.CodeDigestConflict, "body or files differ from what is stored")
		p.Digest = r.Digest
		return wire.CaseReply{}, p
	}
	reply := replyOf(r, files)
	if reply.State == wire.CaseAccepted {
		reply.State = wire.CaseDuplicate
	}
	return reply, nil
}

func replyOf(r Revision, files []File) wire.CaseReply {
	reply := wire.CaseReply{CaseID: r.CaseID, Revision: r.Revision, Digest: r.Digest}
	if r.AcceptedAt.IsZero() {
		reply.State = wire.CaseIncomplete
		for _, f := range files {
			if f.DoneAt.IsZero() {
				reply.Missing = append(reply.Missing, f.Name)
			}
		}
		return reply
	}
	at := r.AcceptedAt
	reply.State, reply.Acceptance, reply.AcceptedAt, reply.Due = wire.CaseAccepted, r.Acceptance, &at, r.Due
	return reply
}

// store writes a new revision and accepts it when nothing is outstanding.
func (c *County) store(tx Tx, terminal string, put wire.CasePut, keyID string, claim wire.VerifyResult) (wire.CaseReply, error) {
	now := c.now()
	row, err := tx.Case(put.CaseID)
	switch {
	case errors.Is(err, ErrNotFound):
		if put.Revision != 1 {
			return wire.CaseReply{}, wire.NewProblem(wire.CodeRevisionOrder, fmt.Sprintf("revision %d of a case that is not here", put.Revision))
		}
		row = Case{ID: put.CaseID, Terminal: terminal, ReceivedAt: now, Demo: put.Demo}
	case err != nil:
		return wire.CaseReply{}, err
	case row.Terminal != terminal:
		return wire.CaseReply{}, wire.NewProblem(wire.CodeRevisionOrder, "the case is another terminal's")
	case put.Revision != row.Revision+1 || row.State != StateReturned:
		return wire.CaseReply{}, wire.NewProblem(wire.CodeRevisionOrder,
			fmt.Sprintf("revision %d after revision %d in state %s", put.Revision, row.Revision, row.State))
	case row.Service != put.Service || row.Demo != put.Demo:
		return wire.CaseReply{}, wire.NewProblem(wire.CodeRevisionOrder, "service or demo mark differ from the revision before")
	}
	row.Revision, row.Service, row.Region = put.Revision, put.Service, put.Region
	row.Mode, row.Staff, row.State, row.UpdatedAt, row.Claim = put.Mode, put.Staff, StateIncomplete, now, claim
	r := Revision{CaseID: put.CaseID, Revision: put.Revision, Terminal: terminal, Digest: put.Digest, KeyID: keyID,
		Envelope: put.Envelope, Body: put.Body, Catalogue: put.Catalogue, StartedAt: put.StartedAt, SavedAt: put.SavedAt,
		ReceivedAt: now, Claim: claim, Outstanding: put.Outstanding}
	whole := len(put.Files) == 0
	if whole {
		if err := c.number(tx, &row, &r, now); err != nil {
			return wire.CaseReply{}, err
		}
	}
	if err := tx.PutCase(row); err != nil {
		return wire.CaseReply{}, err
	}
	if err := tx.PutRevision(r); err != nil {
		return wire.CaseReply{}, err
	}
	files := make([]File, len(put.Files))
	for i, f := range put.Files {
		files[i] = File{CaseID: put.CaseID, Revision: put.Revision, Name: f.Name, Order: i, Material: f.Material,
			Page: f.Page, MIME: f.MIME, Size: f.Size, Digest: f.Digest}
		if err := tx.PutFile(files[i]); err != nil {
			return wire.CaseReply{}, err
		}
	}
	if whole {
		if err := tx.AddEvent(acceptedEvent(row)); err != nil {
			return wire.CaseReply{}, err
		}
	}
	return replyOf(r, files), nil
}

// number gives the county's number to a revision that is whole, in the rows;
// the caller writes them.
func (c *County) number(tx Tx, row *Case, r *Revision, now time.Time) error {
	if row.Acceptance == "" {
		day := now.In(zone).Format("20060102")
		county := row.Region[:6]
		n, err := tx.Counter("acceptance/" + county + "/" + day)
		if err != nil {
			return err
		}
		row.Acceptance = fmt.Sprintf("%s-%s-%06d", county, day, n)
	}
	if s := c.cat.Service(row.Service); s != nil {
		row.Due = c.o.Calendar.Due(now.In(zone), s.LimitDays)
	}
	row.State, row.AcceptedAt, row.UpdatedAt, row.Note, row.Mend = StateAccepted, now, now, "", nil
	r.AcceptedAt, r.Acceptance, r.Due = now, row.Acceptance, row.Due
	return nil
}

func acceptedEvent(row Case) CaseEvent {
	text := "已受理"
	if row.Revision > 1 {
		text = "补正材料已收到"
	}
	return CaseEvent{CaseID: row.ID, Revision: row.Revision, At: row.AcceptedAt, State: StateAccepted, Text: text}
}

// fileDone notes that a file is on the disk and accepts the case when it was
// the last.
func (c *County) fileDone(tx Tx, caseID string, revision int, name string) error {
	row, err := tx.Case(caseID) // first, so that two last files wait for each other
	if err != nil {
		return err
	}
	files, err := tx.Files(caseID, revision)
	if err != nil {
		return err
	}
	now := c.now()
	whole := true
	for _, f := range files {
		if f.Name == name && f.DoneAt.IsZero() {
			f.DoneAt = now
			if err := tx.PutFile(f); err != nil {
				return err
			}
		}
		whole = whole && !f.DoneAt.IsZero()
	}
	r, err := tx.Revision(caseID, revision)
	if err != nil {
		return err
	}
	if !whole || !r.AcceptedAt.IsZero() || row.Revision != revision {
		return nil
	}
	if err := c.number(tx, &row, &r, now); err != nil {
		return err
	}
	if err := tx.PutCase(row); err != nil {
		return err
	}
	if err := tx.PutRevision(r); err != nil {
		return err
	}
	return tx.AddEvent(acceptedEvent(row))
}

// openPut opens what came and checks that inside and outside agree.
func (c *County) openPut(put wire.CasePut) (cases.Body, string, error) {
	s := c.cat.Service(put.Service)
	if s == nil {
		p := wire.NewProblem(wire.CodeInvalid, "unknown service "+put.Service)
		p.Errors = []wire.FieldError{{Field: "service", Reason: "县里没有这个事项"}}
		return cases.Body{}, "", p
	}
	body, keyID, err := c.openBody(put.CaseID, put.Revision, put.KeyID, put.Envelope, put.Body)
	if err != nil {
		return cases.Body{}, "", wire.NewProblem(wire.CodeInvalid, err.Error()).WithDetail("县里打不开这一件，请联系县里技术人员")
	}
	switch {
	case body.Service != put.Service || body.Demo != put.Demo || body.Region != put.Region || string(body.Mode) != put.Mode:
		err = errors.New("service, region, mode or demo mark outside differ from inside")
	case body.Mode != cases.ModeSelf && body.Staff == "":
		err = errors.New("assisted without a staff number")
	}
	if err != nil {
		return cases.Body{}, "", wire.NewProblem(wire.CodeInvalid, err.Error())
	}
	return body, keyID, nil
}

// openBody tries the county's keys, the hinted one first, and returns the ID of
// the one that fits.
func (c *County) openBody(caseID string, revision int, hint string, envelope, sealed []byte) (cases.Body, string, error) {
	key, keyID, err := c.caseKey(caseID, revision, hint, envelope)
	if err != nil {
		return cases.Body{}, "", err
	}
	defer key.Wipe()
	b, err := cases.OpenBody(key, sealed, caseID, revision, keyID)
	return b, keyID, err
}

func (c *County) caseKey(caseID string, revision int, hint string, envelope []byte) (seal.Key, string, error) {
	keys := slices.Clone(c.o.Keys.Seal)
	slices.SortStableFunc(keys, func(a, b *seal.PrivateKey) int {
		switch hint {
		case a.Public().ID():
			return -1
		case b.Public().ID():
			return 1
		}
		return 0
	})
	for _, k := range keys {
		if key, err := k.OpenEnvelope(envelope, cases.EnvelopeAAD(caseID, revision)); err == nil {
			return key, k.Public().ID(), nil
		}
	}
	return seal.Key{}, "", fmt.Errorf("open the envelope of case %s/%d: %w", caseID, revision, seal.ErrOpen)
}

// verifyApplicant asks the register about the claim inside a case. What it says
// is for the person who decides: a case is not turned away for it.
func (c *County) verifyApplicant(ctx context.Context, b cases.Body) (wire.VerifyResult, error) {
	out, err := c.o.Register.Verify(ctx, wire.VerifyClaimIn{
		Source: string(b.Applicant.Source), Number: b.Applicant.Number, Name: b.Applicant.Name, Sex: b.Applicant.Sex,
		BirthDate: b.Applicant.BirthDate, CardNumber: b.Applicant.CardNumber,
		CardIdentifier: b.Applicant.CardIdentifier, Demo: b.Demo,
	})
	switch {
	case errors.Is(err, ErrRegister):
		return "", nil // asked again when somebody opens the case
	case err != nil:
		return "", fmt.Errorf("ask the register: %w", err)
	}
	return out.Result, nil
}
