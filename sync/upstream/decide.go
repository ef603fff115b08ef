package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"cunban/kiosk/cases"
	"cunban/sync/wire"
)

// Decision is what the county decides about a case.
type Decision struct {
	State CaseState // processing, returned, finished, refused
	Note  string    // plain words for the resident
	Mend  []wire.Mend
	By    string // account
}

// Errors of Decide.
var (
	ErrIllegal  = errors.New("the case cannot change this way")
	ErrNoReason = errors.New("say why, in words for the resident")
)

// decisions are the legal moves of the county.
var decisions = map[CaseState][]CaseState{
	StateIncomplete: nil,
	StateAccepted:   {StateProcessing, StateReturned, StateFinished, StateRefused},
	StateProcessing: {StateReturned, StateFinished, StateRefused},
	StateReturned:   {StateRefused},
	StateFinished:   nil,
	StateRefused:    nil,
}

// May lists what may be decided about a case in a state.
func May(s CaseState) []CaseState { return decisions[s] }

// Decide moves a case and tells its terminal. Errors: ErrNotFound, ErrIllegal,
// ErrNoReason.
func (c *County) Decide(ctx context.Context, caseID string, d Decision) (Case, error) {
	switch d.State {
	case StateProcessing, StateFinished:
	case StateReturned:
		if len(d.Mend) == 0 {
			return Case{}, ErrNoReason
		}
		for _, m := range d.Mend {
			if m.Reason == "" {
				return Case{}, ErrNoReason
			}
		}
	case StateRefused:
		if d.Note == "" {
			return Case{}, ErrNoReason
		}
	case StateIncomplete, StateAccepted:
		return Case{}, fmt.Errorf("%w: %s is not decided by a person", ErrIllegal, d.State)
	default:
		return Case{}, fmt.Errorf("%w: unknown state %q", ErrIllegal, d.State)
	}
	var row Case
	err := c.o.Store.Update(ctx, func(tx Tx) error {
		var err error
		if row, err = tx.Case(caseID); err != nil {
			return err
		}
		legal := false
		for _, s := range decisions[row.State] {
			legal = legal || s == d.State
		}
		if !legal {
			return fmt.Errorf("%w: %s → %s", ErrIllegal, row.State, d.State)
		}
		now := c.now()
		if !now.After(row.UpdatedAt) {
			now = row.UpdatedAt.Add(time.Microsecond) // terminals drop what is not later
		}
		row.State, row.Note, row.Mend, row.UpdatedAt = d.State, d.Note, d.Mend, now
		if err := tx.PutCase(row); err != nil {
			return err
		}
		if err := tx.AddEvent(CaseEvent{CaseID: row.ID, Revision: row.Revision, At: now, State: d.State, Text: eventText(d), By: d.By}); err != nil {
			return err
		}
		if d.By != "" {
			if err := tx.AddAudit(Audit{At: now, By: d.By, What: "case." + string(d.State), Object: row.ID}); err != nil {
				return err
			}
		}
		data, err := json.Marshal(wire.CaseUpdate{CaseID: row.ID, Revision: row.Revision, State: string(d.State), At: now,
			Note: d.Note, Mend: d.Mend, Acceptance: row.Acceptance, Due: row.Due})
		if err != nil {
			return fmt.Errorf("write the update: %w", err)
		}
		_, err = c.publish(tx, wire.KindCaseUpdate, row.ID, row.Terminal, false, data, now)
		return err
	})
	if err != nil {
		return Case{}, err
	}
	c.hub.wake()
	return row, nil
}

func eventText(d Decision) string {
	switch d.State {
	case StateProcessing:
		return "开始办理"
	case StateReturned:
		return "退回补正"
	case StateFinished:
		return "已办结"
	case StateRefused:
		return "不予办理"
	case StateIncomplete, StateAccepted:
		return "已受理"
	}
	return string(d.State)
}

// FindCase finds a case by its id or acceptance number.
func (c *County) FindCase(ctx context.Context, ref string) (row Case, err error) {
	err = c.o.Store.View(ctx, func(tx Tx) error {
		list, err := tx.Cases(CaseQuery{Prefix: ref, Limit: 2})
		if err != nil {
			return err
		}
		if len(list) != 1 {
			return fmt.Errorf("case %s: %w", ref, ErrNotFound)
		}
		row = list[0]
		return nil
	})
	return row, err
}

// Cases lists cases.
func (c *County) Cases(ctx context.Context, q CaseQuery) (out []Case, err error) {
	err = c.o.Store.View(ctx, func(tx Tx) error { out, err = tx.Cases(q); return err })
	return out, err
}

// Dossier is everything about one case. Body is clear: whoever asks for it has
// to say who they are, and it is written down (see OpenDossier).
type Dossier struct {
	Case     Case
	Revision Revision
	Files    []File
	Events   []CaseEvent
	Terminal Terminal
	Body     cases.Body
}

// OpenDossier opens a case for an account of the county; by is noted in the
// audit. "" is the system itself (no audit).
func (c *County) OpenDossier(ctx context.Context, caseID, by string) (d Dossier, err error) {
	err = c.o.Store.View(ctx, func(tx Tx) error {
		if d.Case, err = tx.Case(caseID); err != nil {
			return err
		}
		if d.Revision, err = tx.Revision(caseID, d.Case.Revision); err != nil {
			return err
		}
		if d.Files, err = latestFiles(tx, caseID, d.Case.Revision); err != nil {
			return err
		}
		if d.Events, err = tx.Events(caseID); err != nil {
			return err
		}
		d.Terminal, err = tx.Terminal(d.Case.Terminal)
		return err
	})
	if err != nil {
		return Dossier{}, err
	}
	if by != "" {
		if err := c.Audit(ctx, by, "case.open", caseID, ""); err != nil {
			return Dossier{}, err
		}
	}
	d.Body, _, err = c.openBody(caseID, d.Revision.Revision, d.Revision.KeyID, d.Revision.Envelope, d.Revision.Body)
	return d, err
}

// latestFiles lists the newest scans of each material. A mended case brings
// only what was scanned anew: the rest is still that of the revision before.
func latestFiles(tx Tx, caseID string, revision int) ([]File, error) {
	var out []File
	have := map[string]bool{}
	for rev := revision; rev >= 1; rev-- {
		files, err := tx.Files(caseID, rev)
		if err != nil {
			return nil, err
		}
		here := map[string]bool{}
		for _, f := range files {
			if !have[f.Material] {
				here[f.Material] = true
				out = append(out, f)
			}
		}
		maps.Copy(have, here)
	}
	return out, nil
}

// Audit writes down what an account did.
func (c *County) Audit(ctx context.Context, by, what, object, detail string) error {
	return c.o.Store.Update(ctx, func(tx Tx) error {
		return tx.AddAudit(Audit{At: c.now(), By: by, What: what, Object: object, Detail: detail})
	})
}
