package sync

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"cunban/kiosk/cases"
	"cunban/sync/wire"
)

// messages is the lane of the cases themselves. One request at a time, as many
// cases in it as the line carries well.
func (e *Engine) messages(ctx context.Context) {
	for e.line.waitReady(ctx) {
		if !e.clock.Known() {
			// When an item is due is counted in the county's time.
			e.probe(ctx)
			if !e.clock.Known() && !sleep(ctx, e.t.BackoffBase, nil) {
				return
			}
			continue
		}
		if e.sendSome(ctx) {
			continue
		}
		pause := min(e.t.QueueTick, e.due.next(e.steady()))
		if !sleep(ctx, pause, e.wake) {
			return
		}
	}
}

// sendSome takes what is due and sends it; false when there was nothing.
func (e *Engine) sendSome(ctx context.Context) bool {
	if items := e.jobs.takeReady(); len(items) > 0 {
		e.send(ctx, items)
		return true
	}
	now, ttl := e.clock.Now(), e.leaseTTL()
	leased, err := e.o.Store.Lease(ctx, now, ttl, e.width.get())
	if err == nil && len(leased) == 0 && e.eager.swap(false) {
		// The button: what waits for its next try waits no longer.
		leased, err = e.o.Store.Lease(ctx, now.Add(2*e.t.BackoffCap), ttl, e.width.get())
	}
	if err != nil {
		if ctx.Err() == nil {
			e.storeTrouble("lease cases", err)
			sleep(ctx, e.t.BackoffBase, nil)
		}
		return false
	}
	var items []cases.Item
	for _, it := range leased {
		switch {
		case e.jobs.renew(it): // its files are under way
		case it.State == cases.QueueSent && outstanding(it):
			e.jobs.add(it, nil)
			poke(e.upWake)
		default:
			items = append(items, it)
		}
	}
	if len(items) > 0 {
		e.send(ctx, items)
	}
	return len(leased) > 0
}

// leaseTTL is the time to live of leases. In the beginning it is shorter: what
// was leased before this engine began is nobody's any more and need not wait.
func (e *Engine) leaseTTL() time.Duration {
	now := e.steady()
	if e.leasing.IsZero() {
		e.leasing = now
	}
	return min(e.t.LeaseTTL, now.Sub(e.leasing)+time.Second)
}

func outstanding(it cases.Item) bool {
	for _, f := range it.Files {
		if !f.Done {
			return true
		}
	}
	return false
}

// casePut writes an item in the words of the contract.
func casePut(it cases.Item) wire.CasePut {
	c := it.Case
	p := wire.CasePut{
		CaseID: it.CaseID, Revision: it.Revision, Service: it.Service, Catalogue: c.Catalogue, Region: c.Region,
		StartedAt: c.StartedAt.UTC(), SavedAt: it.SavedAt.UTC(), Mode: string(c.Mode), Staff: c.Staff, Demo: c.Demo,
		KeyID: it.KeyID, Envelope: it.Envelope, Body: it.Body, Digest: wire.Hex(it.Digest), Outstanding: c.Outstanding,
		Files: make([]wire.FileRef, 0, len(it.Files)),
	}
	for _, f := range it.Files {
		p.Files = append(p.Files, wire.FileRef{Name: f.Name, Material: f.Material, Page: f.Page, MIME: f.MIME,
			Size: f.Size, Digest: wire.Hex(f.Digest)})
	}
	return p
}

// parcel is an item ready for the line.
type parcel struct {
	item cases.Item
	put  wire.CasePut
	json []byte
}

// send sends leased items in as few requests as the limits allow and settles
// each. Items whose turn does not come, because the line fails, are given back.
func (e *Engine) send(ctx context.Context, items []cases.Item) {
	e.small.enter()
	defer e.small.leave()
	var ready []parcel
	for _, it := range items {
		p := casePut(it)
		if err := p.Validate(); err != nil {
			e.attention(ctx, it, "这一件在本机的记录不完整，请联系技术人员", err.Error())
			continue
		}
		b, err := json.Marshal(p)
		if err != nil || len(b) > wire.MaxCaseBytes {
			e.attention(ctx, it, "这一件内容太大，没有发送，请减少内容后重新办理", "larger than one request may be")
			continue
		}
		ready = append(ready, parcel{it, p, b})
	}
	const frame = len(`{"items":[]}`)
	for len(ready) > 0 {
		n, size := 1, frame+len(ready[0].json)
		for n < len(ready) && n < e.width.get() && size+1+len(ready[n].json) <= wire.MaxBatchBytes {
			size += 1 + len(ready[n].json)
			n++
		}
		goOn := e.sendParcels(ctx, ready[:n])
		ready = ready[n:]
		if !goOn {
			for _, p := range ready {
				e.giveBack(ctx, p.item, e.clock.Now(), p.item.Reason, p.item.Detail)
			}
			return
		}
	}
}

// sendParcels sends one request and settles its items. It reports whether the
// next request has a chance.
func (e *Engine) sendParcels(ctx context.Context, ps []parcel) bool {
	one := len(ps) == 1
	c := call{method: http.MethodPut, media: wire.TypeJSON, allow: e.t.Message, suspect: true}
	if one {
		c.path = wire.PathCase(e.o.Terminal, ps[0].put.CaseID, ps[0].put.Revision)
		c.body = ps[0].json
		c.header = map[string]string{wire.HeaderDigest: ps[0].put.Digest}
	} else {
		c.method, c.path, c.body = http.MethodPost, wire.PathBatch(e.o.Terminal), batchJSON(ps)
	}
	a, f := e.do(ctx, c)
	if ctx.Err() != nil {
		return false // the leases run out by themselves
	}
	if f != nil {
		return e.failAll(ctx, ps, f)
	}
	if one {
		return e.settle(ctx, ps, []*answer{a}, a.took)
	}
	parts, f := splitBatch(a, len(ps), e.clock.Now())
	if f != nil {
		return e.failAll(ctx, ps, f)
	}
	return e.settle(ctx, ps, parts, a.took)
}

func batchJSON(ps []parcel) []byte {
	out := []byte(`{"items":[`)
	for i, p := range ps {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, p.json...)
	}
	return append(out, `]}`...)
}

// splitBatch makes one answer per item out of the answer to a batch.
func splitBatch(a *answer, n int, now time.Time) ([]*answer, *Failure) {
	if f := a.check(now); f != nil {
		if f.Kind == FailItem {
			// Whether it is one of the items or the batch itself: smaller ones tell.
			f.Kind = FailAgain
		}
		return nil, f
	}
	var r wire.BatchReply
	if f := a.decode(&r); f != nil {
		return nil, f
	}
	if len(r.Items) != n {
		return nil, strange("the answer to a batch has another number of items")
	}
	out := make([]*answer, n)
	for i, it := range r.Items {
		part := &answer{status: it.Status, header: http.Header{}, took: a.took}
		part.header.Set(wire.HeaderContract, a.header.Get(wire.HeaderContract))
		var v any = it.Reply
		part.header.Set("Content-Type", wire.TypeJSON)
		if it.Reply == nil {
			v = it.Problem
			part.header.Set("Content-Type", wire.TypeProblem)
		}
		b, err := json.Marshal(v)
		if err != nil {
			return nil, strange("%v", err)
		}
		part.body = b
		out[i] = part
	}
	return out, nil
}

// judgeCase decides what an answer to a case means. Success is only what
// carries the contract's header, is a 200 or 201, is whole, speaks of this very
// case and echoes the digest of what was sent.
func (e *Engine) judgeCase(a *answer, want wire.CasePut) (wire.CaseReply, *Failure) {
	if f := a.check(e.clock.Now()); f != nil {
		return wire.CaseReply{}, f
	}
	var r wire.CaseReply
	if a.status != http.StatusOK && a.status != http.StatusCreated {
		return r, strange("unexpected status of an answer to a case")
	}
	if f := a.decode(&r); f != nil {
		return r, f
	}
	if err := r.Validate(want.CaseID, want.Revision, want.Digest); err != nil {
		return r, strange("%v", err)
	}
	for _, name := range r.Missing {
		if !hasFile(want, name) {
			return r, strange("the county misses a file that the case does not have")
		}
	}
	return r, nil
}

func hasFile(p wire.CasePut, name string) bool {
	for _, f := range p.Files {
		if f.Name == name {
			return true
		}
	}
	return false
}

// settle judges the answers of one request and writes each down. It reports
// whether the next request has a chance.
func (e *Engine) settle(ctx context.Context, ps []parcel, as []*answer, took time.Duration) bool {
	replies := make([]wire.CaseReply, len(ps))
	fails := make([]*Failure, len(ps))
	good := 0
	var global *Failure
	for i, p := range ps {
		replies[i], fails[i] = e.judge(as[i], p.put)
		switch {
		case fails[i] == nil:
			good++
			e.blame.success(p.item)
		case fails[i].global():
			global = fails[i]
		}
	}
	if len(ps) >= e.width.get() {
		e.width.took(took)
	}
	// First the line, so that what is given back knows how long the queue pauses.
	goOn := true
	if good > 0 {
		e.strikes.reset()
	}
	e.note(ctx, global)
	if global != nil {
		goOn = global.Kind == FailServer && good > 0
		if global.Kind == FailServer && good == 0 {
			e.strike(global)
		}
	}
	for i, p := range ps {
		if fails[i] == nil {
			e.succeeded(ctx, p.item, replies[i])
			continue
		}
		e.failed(ctx, p.item, fails[i])
	}
	return goOn
}

// failAll gives back every item of a request that failed as a whole.
func (e *Engine) failAll(ctx context.Context, ps []parcel, f *Failure) bool {
	e.width.broke()
	e.note(ctx, f)
	if f.Kind == FailServer {
		e.strike(f)
	}
	for _, p := range ps {
		if len(ps) > 1 {
			// Not known whose fault it is: come again, in smaller company.
			e.giveBack(ctx, p.item, e.clock.Now(), f.Text, f.Detail)
			continue
		}
		e.failed(ctx, p.item, f)
	}
	return !f.global()
}

// strike counts server failures and pauses the queue when there are too many.
func (e *Engine) strike(f *Failure) {
	n := int(e.strikes.next())
	if n < e.t.ServerStrikes {
		return
	}
	e.line.hold(backoff(e.o.Jitter, e.t.BackoffBase, e.t.BackoffCap, n-e.t.ServerStrikes), false, f.Detail)
}

// turnSteps is how many back-off bases an item steps back at most so that others
// have their turn, while nobody knows whether it is the line. Small: the first
// case has to be on its way within 5 s after the line is back.
const turnSteps = 4

// againLimit is how often one item may fail on its own account before staff
// are asked.
const againLimit = 12

// failed writes down that one item failed.
func (e *Engine) failed(ctx context.Context, it cases.Item, f *Failure) {
	switch f.Kind {
	case FailItem:
		e.attention(ctx, it, f.Text, f.Detail)
	case FailAgain:
		if e.blame.again(it) >= againLimit {
			e.attention(ctx, it, "试了多次县里都没有收下，请联系县里。"+f.Text, f.Detail)
			return
		}
		e.retry(ctx, it, f)
	case FailTransport, FailPortal, FailCertificate, FailSignIn, FailRate, FailServer:
		e.retry(ctx, it, f)
	}
}

// retry gives an item back. When the failure is the line's or the county's the
// item is due as soon as that is over, but after those that had no turn yet;
// when others went through meanwhile it is the item's own and backs off.
func (e *Engine) retry(ctx context.Context, it cases.Item, f *Failure) {
	var wait time.Duration
	switch f.Kind {
	case FailPortal, FailCertificate, FailSignIn, FailRate:
	case FailTransport, FailServer:
		n, own := e.blame.failure(it)
		if own > 0 {
			wait = backoff(e.o.Jitter, e.t.BackoffBase, e.t.BackoffCap, own)
			break
		}
		wait = time.Duration(min(n-1, turnSteps)) * e.t.BackoffBase
		if f.Kind == FailServer {
			wait += e.line.paused()
			wait += e.t.BackoffBase
		}
	case FailAgain, FailItem:
		wait = backoff(e.o.Jitter, e.t.BackoffBase, e.t.BackoffCap, e.blame.agains(it))
	}
	wait = max(wait, 0)
	if f.Kind == FailAgain || f.Kind == FailServer {
		wait = max(wait, min(f.RetryAfter, maxRetryWait))
	}
	e.giveBack(ctx, it, e.clock.Now().Add(wait), f.Text, f.Detail)
	e.event(Event{Kind: EventRetry, CaseID: it.CaseID, Revision: it.Revision, Text: f.Text, Detail: f.Detail})
}

func (e *Engine) giveBack(ctx context.Context, it cases.Item, next time.Time, reason, detail string) {
	err := e.o.Store.Retry(ctx, it.CaseID, it.Revision, it.Lease, next, reason, detail)
	e.settled("give a case back", err)
	e.due.add(e.steady().Add(next.Sub(e.clock.Now()) + dueSlack))
}

// dueSlack keeps the look into the queue behind the moment that the store wrote
// down, which it may have rounded.
const dueSlack = 10 * time.Millisecond

func (e *Engine) attention(ctx context.Context, it cases.Item, reason, detail string) {
	e.jobs.drop(it)
	e.blame.forget(it)
	if e.settled("set a case aside", e.o.Store.Attention(ctx, it.CaseID, it.Revision, it.Lease, reason, detail)) {
		e.event(Event{Kind: EventAttention, CaseID: it.CaseID, Revision: it.Revision, Text: reason, Detail: detail})
	}
}

// succeeded writes down what the county said about an item.
func (e *Engine) succeeded(ctx context.Context, it cases.Item, r wire.CaseReply) {
	if r.State == wire.CaseIncomplete {
		if e.settled("note that a case was sent", e.o.Store.SentBody(ctx, it.CaseID, it.Revision, it.Lease)) {
			it.State = cases.QueueSent
			e.jobs.add(it, r.Missing)
			e.event(Event{Kind: EventSent, CaseID: it.CaseID, Revision: it.Revision})
			poke(e.upWake)
		}
		return
	}
	var at time.Time
	if r.AcceptedAt != nil {
		at = *r.AcceptedAt
	}
	c, err := e.o.Store.Acknowledge(ctx, it.CaseID, it.Revision, it.Lease, r.Acceptance, at, r.Due)
	if e.settled("note that a case was accepted", err) {
		e.event(Event{Kind: EventAccepted, Case: c, CaseID: it.CaseID, Revision: it.Revision})
	}
}

// settled judges the result of a settling call; true when it was written. A
// stale lease is no trouble: the item comes round again and upstream answers
// duplicate.
func (e *Engine) settled(what string, err error) bool {
	switch {
	case err == nil:
		return true
	case errors.Is(err, cases.ErrStaleLease):
		e.log.Debug("sync: stale lease", "what", what)
	default:
		e.storeTrouble(what, err)
	}
	return false
}

// itemKey names an item in memory.
func itemKey(it cases.Item) string {
	return it.CaseID + "/" + strconv.Itoa(it.Revision)
}
