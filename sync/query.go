package sync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cunban/kiosk/seal"
	"cunban/sync/wire"
)

// ErrOffline means that there is no way to the county now. A page says what can
// be done instead.
var ErrOffline = errors.New("the county cannot be reached now")

const textOffline = "现在连不上县里，请稍后再查"

// Query asks the county and reads the answer into out. Kinds with personal data
// go sealed. Offline it answers ErrOffline at once. Every error is a *Failure
// with words for people; those of the way satisfy errors.Is(err, ErrOffline).
func (e *Engine) Query(ctx context.Context, kind wire.QueryKind, in, out any) error {
	_, err := e.Ask(ctx, kind, in, out)
	return err
}

// Ask is Query and tells how fresh the register behind the answer is.
func (e *Engine) Ask(ctx context.Context, kind wire.QueryKind, in, out any) (asOf time.Time, err error) {
	if k := e.line.State().Kind; !k.Online() {
		return time.Time{}, &Failure{Kind: FailTransport, Text: textOffline, Detail: "the line is " + string(k), Err: ErrOffline}
	}
	county, err := e.countyKey(ctx, kind)
	if err != nil {
		return time.Time{}, err
	}
	q, key, err := wire.SealQuery(e.o.Rand, county, e.o.Terminal, kind, in)
	if err != nil {
		return time.Time{}, &Failure{Kind: FailItem, Text: "查询没有发出，请联系技术人员", Detail: err.Error(), Err: err}
	}
	defer key.Wipe()
	e.small.enter()
	defer e.small.leave()
	var a wire.Answer
	f := e.postJSON(ctx, wire.PathQueries(e.o.Terminal), q, wire.MaxQueryBytes, e.t.Query, &a)
	switch {
	case f == nil:
	case f.Kind == FailTransport || f.Kind == FailPortal || f.Kind == FailCertificate:
		return time.Time{}, &Failure{Kind: f.Kind, Text: textOffline, Detail: f.Detail, Err: errors.Join(ErrOffline, f)}
	default:
		return time.Time{}, f
	}
	if err := wire.OpenAnswer(a, key, out); err != nil {
		return time.Time{}, &Failure{Kind: FailServer, Text: "县里的回答不能用，请稍后再查", Detail: err.Error(), Err: err}
	}
	return a.AsOf, nil
}

// countyKey reads the key that personal queries are sealed for; nil for public
// ones.
func (e *Engine) countyKey(ctx context.Context, kind wire.QueryKind) (*seal.PublicKey, error) {
	if !kind.Personal() {
		return nil, nil
	}
	text, ok, err := e.o.Store.Get(ctx, KeySeal)
	if err == nil && !ok {
		err = ErrNotEnrolled
	}
	var k *seal.PublicKey
	if err == nil {
		k, err = seal.ParsePublicKey(text)
	}
	if err != nil {
		return nil, &Failure{Kind: FailItem, Text: "本终端还没有登记好，请联系技术人员", Detail: fmt.Sprintf("the county's key: %v", err), Err: err}
	}
	return k, nil
}
