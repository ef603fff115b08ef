package sync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/seal"
	"cunban/sync/wire"
)

// changes is the lane of what the county sends down: one long poll after the
// other.
func (e *Engine) changes(ctx context.Context) {
	for n := 0; e.line.waitOnline(ctx); {
		more, f := e.pull(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case f != nil:
			wait := max(backoff(e.o.Jitter, e.t.BackoffBase, e.t.BackoffCap, n), f.RetryAfter)
			n++
			if !sleep(ctx, wait, nil) {
				return
			}
		default:
			n = 0
			if !more && !sleep(ctx, probeGap, nil) { // an upstream that does not hold back
				return
			}
		}
	}
}

// pull asks for one page and applies it. more: ask again at once.
func (e *Engine) pull(ctx context.Context) (more bool, f *Failure) {
	text, ok, err := e.o.Store.Get(ctx, KeySign)
	if err != nil {
		return false, e.storeFailure("read the county's key", err)
	}
	if !ok {
		return false, &Failure{Kind: FailAgain, Detail: "the county's key is not there yet"}
	}
	key, err := seal.ParsePublicKey(text)
	if err != nil {
		return false, e.storeFailure("read the county's key", err)
	}
	cursor, _, err := e.o.Store.Get(ctx, KeyCursor)
	if err != nil {
		return false, e.storeFailure("read where the downlink stands", err)
	}
	var page wire.Changes
	path := wire.PathChanges(e.o.Terminal, string(cursor), int(e.t.Poll/time.Second))
	if f := e.getJSON(ctx, path, e.t.Poll+e.t.Message, &page); f != nil {
		if (f.Kind == FailItem || f.code() == wire.CodeNotFound) && len(cursor) > 0 {
			// The county does not know the place any more (it was set up anew):
			// read everything again, versions keep what is newer.
			if err := e.o.Store.Put(ctx, KeyCursor, nil); err != nil {
				return false, e.storeFailure("begin the downlink anew", err)
			}
		}
		return false, f
	}
	if len(page.Changes) > wire.MaxChanges || len(page.Cursor) > 128 {
		return false, strange("a page of changes beyond the contract")
	}
	return page.More, e.apply(ctx, page, key, string(cursor))
}

// batch is what one page changes in the settings.
type batch struct {
	vals   map[string][]byte
	gone   []string // objects that were deleted
	events []Event
	revoke *string // reason; "" = switched on again
}

// apply takes a page on: updates of cases one by one (they are idempotent),
// everything else with the cursor in one piece. An object that is refused is
// told of and passed over: one bad object never stops the downlink.
func (e *Engine) apply(ctx context.Context, page wire.Changes, key *seal.PublicKey, before string) *Failure {
	b := batch{vals: map[string][]byte{}}
	for _, ch := range page.Changes {
		if !ch.Kind.Known() {
			continue
		}
		refusal, err := e.applyOne(ctx, ch, key, &b)
		if err != nil {
			return e.storeFailure("apply what the county sent", err)
		}
		if refusal != nil {
			e.refused.add()
			e.log.Warn("sync: refused", "kind", ch.Kind, "id", ch.ID, "version", ch.Version, "err", refusal)
			b.events = append(b.events, Event{Kind: EventRefused, Object: ch.Kind, ID: ch.ID,
				Text: "县里发来的一项内容有问题，没有采用", Detail: refusal.Error()})
		}
	}
	now := e.clock.Now()
	if page.Cursor != "" && page.Cursor != before {
		b.vals[KeyCursor] = []byte(page.Cursor)
	}
	if !page.More && e.asOfDue(ctx, now, len(b.vals) > 0) {
		b.vals[keyAsOf] = floorText(now)
	}
	if len(b.vals) > 0 {
		if err := e.o.Store.PutAll(ctx, b.vals); err != nil {
			return e.storeFailure("keep what the county sent", err)
		}
	}
	for _, k := range b.gone {
		if err := e.o.Store.Delete(ctx, k); err != nil {
			return e.storeFailure("delete what the county deleted", err)
		}
	}
	if b.revoke != nil {
		e.line.setRevoked(*b.revoke)
		b.events = append(b.events, Event{Kind: EventRevoked, Text: *b.revoke})
	}
	for _, ev := range b.events {
		e.event(ev)
	}
	return nil
}

// asOfDue limits how often the time of an empty answer is written.
func (e *Engine) asOfDue(ctx context.Context, now time.Time, writing bool) bool {
	if writing {
		return true
	}
	t, ok, err := readTime(ctx, e.o.Store, keyAsOf)
	return err == nil && (!ok || now.Sub(t) >= floorEvery)
}

// applyOne judges one change and puts what it changes into b. refusal is why
// the object is not taken; err is trouble of the store.
func (e *Engine) applyOne(ctx context.Context, ch wire.Change, key *seal.PublicKey, b *batch) (refusal, err error) {
	if err := ch.Validate(e.o.Terminal); err != nil {
		return err, nil
	}
	if !key.Verify(ch.SigningBytes(), ch.Signature) {
		return errors.New("the signature is not the county's"), nil
	}
	name := string(ch.Kind) + "/" + ch.ID
	have, err := e.version(ctx, name, b)
	if err != nil {
		return nil, err
	}
	if ch.Version < have {
		return fmt.Errorf("version %d would turn back version %d", ch.Version, have), nil
	}
	if ch.Version == have {
		return nil, nil // came before
	}
	version := []byte(strconv.FormatInt(ch.Version, 10))
	switch ch.Kind {
	case wire.KindCaseUpdate:
		ev, refusal, err := e.applyCase(ctx, ch)
		if refusal != nil || err != nil {
			return refusal, err
		}
		if ev != nil {
			b.events = append(b.events, *ev)
		}
	case wire.KindRevoke:
		if refusal := e.applyRevoke(ch, b); refusal != nil {
			return refusal, nil
		}
	case wire.KindStaff, wire.KindJob, wire.KindCourse, wire.KindEvent, wire.KindPost, wire.KindNotice,
		wire.KindPolicy, wire.KindCatalogue, wire.KindConfig:
		if !ch.Deleted && e.o.Check != nil {
			if err := e.o.Check(ch.Kind, ch.ID, ch.Data); err != nil {
				return fmt.Errorf("not usable here: %w", err), nil
			}
		}
		k := KeyObjects + name
		b.gone = without(b.gone, k)
		b.vals[k] = ch.Data
		if ch.Deleted {
			b.vals[k] = []byte{}
			b.gone = append(b.gone, k)
		}
		b.events = append(b.events, Event{Kind: EventDownlink, Object: ch.Kind, ID: ch.ID, Deleted: ch.Deleted})
	}
	b.vals[keyVersions+name] = version
	return nil, nil
}

func without(list []string, s string) []string {
	out := list[:0]
	for _, x := range list {
		if x != s {
			out = append(out, x)
		}
	}
	return out
}

// version is the newest version of an object that is here or in b; 0 = none.
func (e *Engine) version(ctx context.Context, name string, b *batch) (int64, error) {
	v, ok := b.vals[keyVersions+name]
	if !ok {
		var err error
		if v, ok, err = e.o.Store.Get(ctx, keyVersions+name); err != nil || !ok {
			return 0, err
		}
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("version of %s: %w", name, err)
	}
	return n, nil
}

// applyCase hands an update of a case to the store.
func (e *Engine) applyCase(ctx context.Context, ch wire.Change) (ev *Event, refusal, err error) {
	if ch.Deleted {
		return nil, errors.New("a case cannot be deleted"), nil
	}
	var u wire.CaseUpdate
	if err := json.Unmarshal(ch.Data, &u); err != nil {
		return nil, err, nil
	}
	if u.CaseID != ch.ID {
		return nil, fmt.Errorf("update speaks of case %s", clip(u.CaseID)), nil
	}
	up := cases.Update{CaseID: u.CaseID, Revision: u.Revision, State: cases.State(u.State), At: u.At, Note: u.Note,
		Acceptance: u.Acceptance, DueDate: u.Due}
	for _, m := range u.Mend {
		up.Mend = append(up.Mend, cases.Mend(m))
	}
	switch err := e.o.Store.Upstream(ctx, up); {
	case err == nil:
		return &Event{Kind: EventUpdate, CaseID: u.CaseID, Revision: u.Revision, State: up.State, Text: u.Note}, nil, nil
	case errors.Is(err, cases.ErrIllegal), errors.Is(err, cases.ErrNotFound):
		return nil, err, nil
	default:
		return nil, nil, err
	}
}

func (e *Engine) applyRevoke(ch wire.Change, b *batch) (refusal error) {
	if ch.ID != e.o.Terminal {
		return errors.New("the revocation is another terminal's")
	}
	reason := ""
	if !ch.Deleted {
		var r wire.Revocation
		if err := json.Unmarshal(ch.Data, &r); err != nil {
			return err
		}
		if reason = r.Reason; reason == "" {
			reason = lineTexts[LineRevoked]
		}
	}
	b.revoke = &reason
	b.vals[keyRevoked] = []byte(reason)
	return nil
}

// readTime reads a time from the settings.
func readTime(ctx context.Context, s Store, key string) (time.Time, bool, error) {
	v, ok, err := s.Get(ctx, key)
	if err != nil || !ok {
		return time.Time{}, false, err
	}
	t, err := time.Parse(time.RFC3339, string(v))
	if err != nil {
		return time.Time{}, false, nil //nolint:nilerr // unreadable counts as not there
	}
	return t, true, nil
}

// List reads the dated local copy of a kind (jobs, courses, notices …), in the
// order of their ids. asOf is when the copy was complete last; zero = never.
func List(ctx context.Context, s Store, kind wire.Kind) (objects []json.RawMessage, asOf time.Time, err error) {
	keys, err := s.Keys(ctx, KeyObjects+string(kind)+"/")
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("list %s: %w", kind, err)
	}
	for _, k := range keys {
		v, ok, err := s.Get(ctx, k)
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("read %s: %w", k, err)
		}
		if ok && len(v) > 0 {
			objects = append(objects, v)
		}
	}
	asOf, _, err = readTime(ctx, s, keyAsOf)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("list %s: %w", kind, err)
	}
	return objects, asOf, nil
}

// Object reads one object of the county from the local copy; ok is false when
// there is none.
func Object(ctx context.Context, s Store, kind wire.Kind, id string) (data json.RawMessage, ok bool, err error) {
	if strings.ContainsRune(id, '/') {
		return nil, false, nil
	}
	v, ok, err := s.Get(ctx, KeyObjects+string(kind)+"/"+id)
	if err != nil {
		return nil, false, fmt.Errorf("read %s/%s: %w", kind, id, err)
	}
	return v, ok && len(v) > 0, nil
}
