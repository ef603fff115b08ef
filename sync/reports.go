package sync

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cunban/kiosk/seal"
	"cunban/sync/wire"
)

// reports is the lane of what the terminal tells of itself: health, and
// checkpoints of the operation log.
func (e *Engine) reports(ctx context.Context) {
	var health, check, sent time.Time // steady times of the next, and of the last health
	for e.line.waitOnline(ctx) {
		if e.o.Health != nil && !e.steady().Before(health) {
			sent = e.steady()
			e.reportHealth(ctx)
			health = e.steady().Add(e.spread(e.t.HealthEvery))
		}
		if !e.steady().Before(check) {
			e.handIn(ctx)
			check = e.steady().Add(e.spread(e.t.CheckEvery))
		}
		wait := check.Sub(e.steady())
		if e.o.Health != nil {
			wait = min(wait, health.Sub(e.steady()))
		}
		timer := time.NewTimer(max(wait, 0))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-e.health: // something changed
			health = sent.Add(healthGap)
		}
		timer.Stop()
	}
}

// healthGap is the shortest pause between two health reports.
const healthGap = 5 * time.Second

// spread makes terminals that came back together drift apart: d ± 10 %.
func (e *Engine) spread(d time.Duration) time.Duration {
	return d + time.Duration((e.o.Jitter()-0.5)*0.2*float64(d))
}

// reportHealth tells the county how the terminal is.
func (e *Engine) reportHealth(ctx context.Context) {
	h := e.o.Health(ctx)
	h.Terminal, h.At = e.o.Terminal, e.clock.Now().UTC()
	h.ClockOffset, h.Refused = e.clock.Offset().Milliseconds(), e.refused.get()
	c, err := e.o.Store.Counts(ctx)
	if err != nil {
		e.storeTrouble("count the queue", err)
	} else {
		h.Queue.Total, h.Queue.Waiting, h.Queue.Sent, h.Queue.Done, h.Queue.Attention =
			c.Total, c.Waiting, c.Sent, c.Done, c.Attention
	}
	sent := e.steady()
	var r wire.HealthReply
	if f := e.postJSON(ctx, wire.PathHealth(e.o.Terminal), h, wire.MaxHealth, e.t.Message, &r); f == nil {
		e.tellTime(ctx, r.Time, sent)
	}
}

// handIn gives the county a checkpoint of the operation log and keeps it with
// the county's signature.
func (e *Engine) handIn(ctx context.Context) {
	since, err := e.logSent(ctx)
	if err != nil {
		e.storeTrouble("read how much of the log the county has", err)
		return
	}
	size, f := e.handInSince(ctx, since)
	if f != nil && f.Problem != nil && f.Problem.Size > since && f.Problem.Size <= size {
		// The county has a later one than we know of: its answer was lost on the
		// way. Prove the log from there.
		_, f = e.handInSince(ctx, f.Problem.Size)
	}
	if f == nil {
		return
	}
	switch f.code() {
	case wire.CodeLogSmaller, wire.CodeLogForked, wire.CodeLogSignature:
		e.event(Event{Kind: EventCheckpoint, Text: f.Text, Detail: f.Detail})
	}
}

// logKeyed is a Store that knows the key which signs its log. The county learns
// it with the first checkpoint.
type logKeyed interface{ PublicKey() *seal.PublicKey }

// handInSince hands in the log as it is now with a proof from size since on.
func (e *Engine) handInSince(ctx context.Context, since int64) (size int64, f *Failure) {
	note, proof, err := e.o.Store.Checkpoint(ctx, since)
	if err != nil {
		if ctx.Err() == nil {
			e.storeTrouble("sign the operation log", err)
		}
		return 0, nil
	}
	size, err = noteSize(note)
	if err != nil {
		e.storeTrouble("sign the operation log", err)
		return 0, nil
	}
	if size == 0 {
		return 0, nil // nothing happened yet
	}
	if have, err := e.logSent(ctx); err == nil && size == have {
		return size, nil // the county has this very one
	}
	var r wire.CheckpointReply
	put := wire.CheckpointPut{Note: string(note), Since: since, Proof: proof}
	if k, ok := e.o.Store.(logKeyed); ok {
		put.PublicKey = k.PublicKey().DER()
	}
	if f := e.postJSON(ctx, wire.PathCheckpoints(e.o.Terminal), put, wire.MaxCheckpoint, e.t.Message, &r); f != nil {
		return size, f
	}
	text, _, _ := strings.Cut(string(note), "\n\n")
	if got, _, _ := strings.Cut(r.Note, "\n\n"); got != text {
		return size, strange("the county signed another checkpoint than was handed in")
	}
	if err := e.o.Store.Countersign(ctx, []byte(r.Note)); err != nil {
		e.storeTrouble("keep the county's signature of the log", err)
		return 0, nil
	}
	if err := e.o.Store.Put(ctx, keyLogSent, []byte(strconv.FormatInt(size, 10))); err != nil {
		e.storeTrouble("keep the county's signature of the log", err)
	}
	return size, nil
}

// logSent is the size of the last countersigned checkpoint; 0 = none.
func (e *Engine) logSent(ctx context.Context) (int64, error) {
	v, ok, err := e.o.Store.Get(ctx, keyLogSent)
	if err != nil || !ok {
		return 0, err
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil || n < 0 {
		return 0, nil //nolint:nilerr // unreadable: hand in without a proof
	}
	return n, nil
}

// noteSize reads the size out of a checkpoint (C2SP tlog-checkpoint: the second
// line).
func noteSize(note []byte) (int64, error) {
	lines := strings.SplitN(string(note), "\n", 3)
	if len(lines) < 3 {
		return 0, fmt.Errorf("not a checkpoint: %d lines", len(lines))
	}
	n, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("not a checkpoint: size %q", clip(lines[1]))
	}
	return n, nil
}
