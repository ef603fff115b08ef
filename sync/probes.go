package sync

import (
	"context"
	"fmt"
	"net/http"
	gosync "sync"
	"time"

	"cunban/sync/wire"
)

// probeGap is the shortest pause between two probes.
const probeGap = 200 * time.Millisecond

// probes asks the cheapest question there is while the line is not known to be
// up. A probe that hangs on a dead line does not keep the next one back: the
// first one after the line is back finds it.
func (e *Engine) probes(ctx context.Context) {
	var wg gosync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, e.t.ProbesAtOnce)
	freed := make(chan struct{}, 1)
	var last time.Time
	for ctx.Err() == nil {
		wanted, kind, fails, changed := e.line.probing()
		if !wanted {
			select {
			case <-ctx.Done():
			case <-changed:
			}
			continue
		}
		if gap := probeGap - e.steady().Sub(last); !last.IsZero() && gap > 0 {
			if !sleep(ctx, gap, nil) {
				return
			}
		}
		select {
		case slots <- struct{}{}:
			last = e.steady()
			wg.Go(func() {
				defer func() { <-slots; poke(freed) }()
				e.probe(ctx)
			})
		default: // as many as may be are under way
			select {
			case <-ctx.Done():
			case <-freed:
			}
			continue
		}
		sleep(ctx, e.probePause(ctx, kind, fails), changed)
	}
}

// probePause is how long to wait for the next probe.
func (e *Engine) probePause(ctx context.Context, kind LineKind, fails int) time.Duration {
	limit := e.t.ProbeIdle
	switch kind {
	case LineSignIn, LineRevoked:
		return e.t.ProbeSignIn
	case LineConnecting, LineUp, LineBusy, LineDown, LinePortal, LineCertificate:
		if c, err := e.o.Store.Counts(ctx); err != nil || c.Waiting > 0 {
			limit = e.t.ProbeWaiting
		}
	}
	top := min(e.t.BackoffBase<<min(fails, 10), limit)
	// Not all of it random: the promise is about the longest pause.
	return top/2 + time.Duration(e.o.Jitter()*float64(top)/2)
}

// probe asks once and tells the line.
func (e *Engine) probe(ctx context.Context) {
	began := e.steady()
	a, f := e.do(ctx, call{method: http.MethodGet, path: wire.PathPing(e.o.Terminal), allow: e.t.ProbeTimeout})
	if ctx.Err() != nil {
		return
	}
	var pong wire.Pong
	if f == nil {
		f = a.check(e.clock.Now())
	}
	if f == nil {
		f = a.decode(&pong)
	}
	if f == nil && pong.Terminal != e.o.Terminal {
		f = &Failure{Kind: FailSignIn, Text: lineTexts[LineSignIn],
			Detail: fmt.Sprintf("the county takes this terminal for %s", clip(pong.Terminal))}
	}
	if f != nil {
		if e.line.goodSince(began) {
			return // a later question has its answer already
		}
		e.note(ctx, f)
		e.line.probeFailed()
		return
	}
	e.tellTime(ctx, pong.Time, began)
	e.line.good()
}

// tellTime takes the county's time from an answer.
func (e *Engine) tellTime(ctx context.Context, server, sent time.Time) {
	e.clock.observe(server, sent)
	if err := e.clock.save(ctx, e.o.Store); err != nil {
		e.storeTrouble("keep the clock's floor", err)
	}
}
