package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"cunban/device"
	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/resident"
	"cunban/kiosk/seal"
	"cunban/kiosk/session"
	"cunban/kiosk/ui"
	"cunban/sync"
	"cunban/sync/wire"
)

// CardView implements ui.Backend.
func (a *App) CardView() ui.CardView { return a.cards.current() }

// Reread implements ui.Backend.
func (a *App) Reread() { a.cards.reread() }

// CardIn reports whether a contact card is in the reader.
func (a *App) CardIn() bool {
	return a.cards.social != nil && a.cards.social.CardState().State == device.CardInserted
}

// Browse begins a session of somebody who is not identified.
func (a *App) Browse() uint64 {
	if s := a.sess.Current(); s.Phase != session.Nobody {
		return s.Number
	}
	return a.sess.Begin()
}

// BeginSession makes the claim's person the one at the screen.
func (a *App) BeginSession(c resident.Claim) uint64 {
	s := a.sess.Current()
	if s.Phase == session.Nobody || s.Resident != nil && !s.Resident.SamePerson(c) {
		n := a.sess.Begin()
		if s.Helper != nil {
			// The clerk goes on with the next person.
			a.sess.SetHelper(n, s.Helper)
		}
		a.cards.belongs(c.Number)
		a.sess.SetResident(n, c)
		return n
	}
	a.cards.belongs(c.Number)
	a.sess.SetResident(s.Number, c)
	return s.Number
}

// NextResident implements ui.Backend.
func (a *App) NextResident() uint64 {
	helper := a.sess.Current().Helper
	n := a.sess.Begin()
	a.sess.SetHelper(n, helper)
	return n
}

// EndSession ends the present session.
func (a *App) EndSession(why session.Reason) { a.sess.End(a.sess.Current().Number, why) }

// Leaving implements ui.Backend.
func (a *App) Leaving() { a.sess.Leaving(a.sess.Current().Number) }

// Verify compares a claim with the county's register.
func (a *App) Verify(ctx context.Context, c resident.Claim) (resident.Claim, wire.VerifyClaimOut, error) {
	var out wire.VerifyClaimOut
	err := a.query(ctx, wire.QueryVerifyClaim, wire.VerifyClaimIn{
		Source: string(c.Source), Number: c.Number.Reveal(), Name: c.Name.Reveal(), Sex: c.Sex, BirthDate: c.BirthDate,
		CardNumber: c.CardNumber, CardIdentifier: c.CardIdentifier, ExpiryDate: c.ExpiryDate, Demo: c.Demo,
	}, &out)
	if errors.Is(err, sync.ErrOffline) {
		return c, wire.VerifyClaimOut{}, nil
	}
	if err != nil {
		return c, wire.VerifyClaimOut{}, err
	}
	if out.Result == wire.VerifyMatch {
		c.Verification = resident.VerifiedOnline
	}
	a.Note(ctx, oplog.ClaimVerified, outcomeOf(out.Result == wire.VerifyMatch), "", map[string]string{
		"source": string(c.Source), "verification": string(c.Verification), "code": string(out.Result)})
	return c, out, nil
}

func outcomeOf(ok bool) oplog.Outcome {
	if ok {
		return oplog.OK
	}
	return oplog.Refused
}

// query asks the county; offline when there is no engine.
func (a *App) query(ctx context.Context, k wire.QueryKind, in, out any) error {
	_, err := a.ask(ctx, k, in, out)
	return err
}

func (a *App) ask(ctx context.Context, k wire.QueryKind, in, out any) (time.Time, error) {
	e := a.engineNow()
	if e == nil {
		return time.Time{}, sync.ErrOffline
	}
	return e.Ask(ctx, k, in, out)
}

// troubleOf gives an error of the line the words that sync found for it.
func troubleOf(err error, still string) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, sync.ErrOffline) {
		return plain("LN-01", "现在连不上县里", still, err)
	}
	var f *sync.Failure
	if errors.As(err, &f) {
		return plain("LN-02", f.Text, still, err)
	}
	return err
}

// NewCaseID implements ui.Backend.
func (a *App) NewCaseID() (string, error) { return cases.NewID(rand.Reader) }

// Room implements ui.Backend.
func (a *App) Room(ctx context.Context) error { return storeTrouble(a.vault.Room(ctx)) }

// storeTrouble gives errors of the vault their words. None of them loses what
// was saved before.
func storeTrouble(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, cases.ErrDiskFull):
		return plain("ST-01", "这台机器存满了，暂时不能办新的", "已保存的办件都在，不会丢。查进度、看岗位还能用。请按“呼叫帮办”，或打电话报修", err)
	case errors.Is(err, cases.ErrTooLarge):
		return plain("ST-03", "扫描的页数太多，存不下", "请删掉几页再提交；还不行就按“呼叫帮办”", err)
	case errors.Is(err, cases.ErrExists):
		return plain("ST-04", "这一件已经提交过了", "请点“查办理进度”看一看，不用再提交", err)
	case errors.Is(err, cases.ErrTooLate):
		return plain("ST-05", "这一件已经上传，不能撤回了", "要撤回请打首问责任人的电话，或到窗口办", err)
	case errors.Is(err, cases.ErrNoCountyKey):
		return plain("ST-06", "这台终端还没有登记好，不能提交", "请按“呼叫帮办”", err)
	case errors.Is(err, cases.ErrNotFound):
		return plain("ST-07", "没有找到这一件", "请再查一次；还不行就按“呼叫帮办”", err)
	case errors.Is(err, cases.ErrIllegal):
		return plain("ST-08", "这一件现在不能这样办", "请点“查办理进度”看看它到哪一步了", err)
	}
	return plain("ST-02", "没有保存成功", "填好的内容都在，请再点一次“提交”；还不行就按“呼叫帮办”", err)
}

// Prefill implements ui.Backend.
func (a *App) Prefill(ctx context.Context, service string, c resident.Claim) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, prefillLimit)
	defer cancel()
	var out wire.PrefillOut
	err := a.query(ctx, wire.QueryPrefill, wire.PrefillIn{Service: service, Number: c.Number.Reveal(), Name: c.Name.Reveal()}, &out)
	return out.Values, err
}

// prefillLimit is how long a person waits for what the county may know.
const prefillLimit = 4 * time.Second

// countyKey is the county's sealing key.
func (a *App) countyKey(ctx context.Context) (*seal.PublicKey, error) {
	pem, ok, err := a.vault.Get(ctx, sync.KeySeal)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, cases.ErrNoCountyKey
	}
	return seal.ParsePublicKey(pem)
}

// ownDraft copies what a wipe of the visit zeroes: somebody may take her card
// out while her case is being saved, and what is sealed must be what she signed.
// wipe zeroes the copy.
func (a *App) ownDraft(d cases.Draft) (own cases.Draft, wipe func()) {
	own = d
	own.Answers, own.Signature = bytes.Clone(d.Answers), bytes.Clone(d.Signature)
	own.Scans = slices.Clone(d.Scans)
	for i := range own.Scans {
		own.Scans[i].Data = bytes.Clone(d.Scans[i].Data)
	}
	own.Scans = a.bundled(own.Scans)
	return own, func() {
		clear(own.Answers)
		clear(own.Signature)
		for _, s := range own.Scans {
			clear(s.Data)
		}
	}
}

// Submit implements ui.Backend.
func (a *App) Submit(ctx context.Context, d cases.Draft) (cases.Case, error) {
	d, wipe := a.ownDraft(d)
	defer wipe()
	release := a.sess.Hold()
	defer release()
	if why := a.Point().Closed; why != "" {
		// Pages close when the point does; what was begun before ends here.
		return cases.Case{}, plain("TM-01", why, "请按“呼叫帮办”，或到窗口办", errors.New("the terminal is closed"))
	}
	key, err := a.countyKey(ctx)
	if err != nil {
		return cases.Case{}, storeTrouble(err)
	}
	back := a.forms.hand(d.ID)
	c, err := cases.Desk{Store: a.vault, CountyKey: key, Rand: rand.Reader, Now: a.Now, Calendar: a.calendar}.Submit(ctx, d)
	if err != nil {
		back()
		a.log.Error("submit failed", "case", d.ID, "err", err)
		return cases.Case{}, storeTrouble(err)
	}
	if e := a.engineNow(); e != nil {
		e.Wake()
	}
	return c, nil
}

// Case implements ui.Backend.
func (a *App) Case(ctx context.Context, id string) (cases.Case, error) {
	c, err := a.vault.Case(ctx, id)
	return c, storeTrouble(err)
}

// MyCases implements ui.Backend.
func (a *App) MyCases(ctx context.Context, c resident.Claim) ([]cases.Case, error) {
	a.Note(ctx, oplog.QueryMade, oplog.OK, "", map[string]string{"kind": "progress"})
	if _, err := a.vault.Reclaim(ctx, c.Number); err != nil {
		a.log.Warn("salvaged cases are not given to their owner", "err", err) // those that are hers already are shown
	}
	list, err := a.vault.ByOwner(ctx, a.vault.OwnerIndex(c.Number))
	return list, storeTrouble(err)
}

// Timeline implements ui.Backend.
func (a *App) Timeline(ctx context.Context, id string) ([]cases.Event, error) {
	e, err := a.vault.Timeline(ctx, id)
	return e, storeTrouble(err)
}

// Answers implements ui.Backend.
func (a *App) Answers(ctx context.Context, id string, c resident.Claim) (wire.CaseAnswersOut, error) {
	var out wire.CaseAnswersOut
	err := a.query(ctx, wire.QueryCaseAnswers, wire.CaseAnswersIn{CaseID: id, Number: c.Number.Reveal()}, &out)
	return out, troubleOf(err, "填过的内容在县里，联网后才能取回来改。请过一会儿再来，或按“呼叫帮办”")
}

// Withdraw implements ui.Backend.
func (a *App) Withdraw(ctx context.Context, id string) (cases.Case, error) {
	c, err := a.vault.Withdraw(ctx, id, a.actor())
	return c, storeTrouble(err)
}

// actor is who is at the screen, for the vault's log records.
func (a *App) actor() cases.Actor {
	s := a.sess.Current()
	act := cases.Actor{Role: cases.RoleResident, Session: s.Number, Demo: a.Point().Demo}
	switch {
	case s.Technician != nil:
		act.Role, act.Account = cases.RoleTechnician, s.Technician.Number
	case s.Helper != nil:
		act.Role, act.Account = cases.RoleStaff, s.Helper.Number
	}
	return act
}

// Records implements ui.Backend.
func (a *App) Records(ctx context.Context, service string, c resident.Claim, year int) (wire.RecordsOut, time.Time, error) {
	var out wire.RecordsOut
	asOf, err := a.ask(ctx, wire.QueryRecords, wire.RecordsIn{Service: service, Number: c.Number.Reveal(), Name: c.Name.Reveal(), Year: year}, &out)
	if err == nil && asOf.IsZero() {
		asOf = a.Now()
	}
	return out, asOf, troubleOf(err, "可以先办别的事，或看岗位、培训。也可以打 12333 查")
}

// listQueries says which live query has the objects of a downlink kind.
var listQueries = map[wire.Kind]wire.QueryKind{
	wire.KindJob: wire.QueryJobs, wire.KindCourse: wire.QueryCourses, wire.KindEvent: wire.QueryEvents,
	wire.KindPost: wire.QueryPosts, wire.KindNotice: wire.QueryNotices,
}

// Listing implements ui.Backend.
func (a *App) Listing(ctx context.Context, kind wire.Kind) ([]json.RawMessage, time.Time, bool, error) {
	if q, ok := listQueries[kind]; ok {
		var out wire.ListOut
		quick, cancel := context.WithTimeout(ctx, prefillLimit)
		asOf, err := a.ask(quick, q, wire.ListIn{Region: a.Point().Region, Limit: 100}, &out)
		cancel()
		if err == nil {
			return out.Items, asOf, true, nil
		}
	}
	items, asOf, err := sync.List(ctx, a.vault, kind)
	return items, asOf, false, storeTrouble(err)
}

// ratePrefix keeps ratings, which go to the county with health reports for as
// long as ratingKept; it counts each once.
const (
	ratePrefix = "rating/"
	ratingKept = 7 * 24 * time.Hour
)

// Rate implements ui.Backend.
func (a *App) Rate(ctx context.Context, caseID string, stars int) error {
	if stars < 1 || stars > 5 {
		return fmt.Errorf("rating %d is not 1 to 5", stars)
	}
	b, err := json.Marshal(wire.Rating{CaseID: caseID, Stars: stars, At: a.Now().UTC()})
	if err != nil {
		return fmt.Errorf("keep a rating: %w", err)
	}
	return a.vault.Put(ctx, ratePrefix+caseID, b)
}

// ratings are the ones to report; those that were reported long enough go.
func (a *App) ratings(ctx context.Context) []wire.Rating {
	keys, err := a.vault.Keys(ctx, ratePrefix)
	if err != nil {
		a.log.Warn("ratings", "err", err)
		return nil
	}
	var out []wire.Rating
	for _, k := range keys {
		b, ok, err := a.vault.Get(ctx, k)
		var r wire.Rating
		if err != nil || !ok {
			continue
		}
		if json.Unmarshal(b, &r) != nil || a.Now().Sub(r.At) > ratingKept {
			if err := a.vault.Delete(ctx, k); err != nil {
				a.log.Warn("old rating", "err", err)
			}
			continue
		}
		if len(out) < wire.MaxRatings {
			out = append(out, r)
		}
	}
	return out
}

// CallHelp implements ui.Backend.
func (a *App) CallHelp(ctx context.Context, where string) {
	a.Note(ctx, oplog.HelpCall, oplog.OK, "", map[string]string{"page": where})
	a.bell()
}
