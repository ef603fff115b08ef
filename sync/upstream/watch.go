package upstream

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
	"cunban/sync/wire"
)

// Checkpoint judges a checkpoint of a terminal's operation log: signed by the
// terminal's own key, not smaller than and consistent with the largest one seen.
// A refusal stays on the staff page until somebody clears it. Errors are
// *wire.Problem when they are for the terminal.
func (c *County) Checkpoint(ctx context.Context, terminal string, put wire.CheckpointPut) (wire.CheckpointReply, error) {
	if err := put.Validate(); err != nil {
		return wire.CheckpointReply{}, wire.NewProblem(wire.CodeMalformed, err.Error())
	}
	var reply wire.CheckpointReply
	var refused *wire.Problem
	err := c.o.Store.Update(ctx, func(tx Tx) error {
		refused = nil
		t, err := tx.Terminal(terminal)
		if err != nil {
			return err
		}
		l, err := tx.Log(terminal)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		now := c.now()
		l.Terminal = terminal
		cp, fresh, p := judgeCheckpoint(t, l, put)
		if p != nil {
			refused = p
			if len(l.Key) == 0 || p.Code == wire.CodeLogSmaller && cp.Size > l.Size {
				return nil // nothing known to contradict; or only the proof begins too early
			}
			l.Alarm, l.AlarmAt = p.Title+"："+p.Cause, now
			return tx.PutLog(l)
		}
		if fresh { // first checkpoint, or the first of a machine set up anew
			key := put.PublicKey
			if len(key) == 0 {
				key = l.Key
			}
			l = Log{Terminal: terminal, Key: key, Alarm: l.Alarm, AlarmAt: l.AlarmAt}
			if err := tx.AddAudit(Audit{At: now, What: auditLogKey, Object: terminal, Detail: base64.StdEncoding.EncodeToString(key)}); err != nil {
				return err
			}
		}
		if l.Size > 0 && cp.Size == l.Size {
			reply = wire.CheckpointReply{Note: string(l.Note), Size: l.Size}
			return nil
		}
		note, err := oplog.Countersign(c.o.Rand, []byte(put.Note), oplog.CountyName, c.o.Keys.Sign)
		if err != nil {
			return fmt.Errorf("countersign: %w", err)
		}
		l.Size, l.Root, l.Note, l.At = cp.Size, cp.Root, note, now
		reply = wire.CheckpointReply{Note: string(note), Size: cp.Size}
		return tx.PutLog(l)
	})
	switch {
	case err != nil:
		return wire.CheckpointReply{}, err
	case refused != nil:
		c.log.Warn("checkpoint refused", "terminal", terminal, "code", string(refused.Code), "cause", refused.Cause)
		return wire.CheckpointReply{}, refused
	}
	return reply, nil
}

// judgeCheckpoint checks a checkpoint against what is known of the log. fresh
// means that the log's key is learnt from it: the county trusts the first key
// that comes over the terminal's own certificate, and after a new enrolment
// once more.
func judgeCheckpoint(t Terminal, l Log, put wire.CheckpointPut) (cp oplog.Checkpoint, fresh bool, p *wire.Problem) {
	known := len(l.Key) > 0
	der := l.Key
	switch {
	case !known && len(put.PublicKey) == 0:
		return cp, false, wire.NewProblem(wire.CodeLogSignature, "the key of this log is not known here yet")
	case !known:
		der, fresh = put.PublicKey, true
	case len(put.PublicKey) > 0 && !bytes.Equal(put.PublicKey, l.Key):
		if !t.EnrolledAt.After(l.At) {
			return cp, false, wire.NewProblem(wire.CodeLogSignature, "another key than before")
		}
		der, fresh = put.PublicKey, true
	}
	key, err := seal.ParsePublicKeyDER(der)
	if err != nil {
		return cp, false, wire.NewProblem(wire.CodeLogSignature, err.Error())
	}
	cp, err = oplog.OpenCheckpoint([]byte(put.Note), oplog.Origin(key), key)
	if err != nil {
		return cp, false, wire.NewProblem(wire.CodeLogSignature, err.Error())
	}
	if cp.Origin != oplog.Origin(key) {
		return cp, false, wire.NewProblem(wire.CodeLogSignature, "origin is "+cp.Origin)
	}
	if fresh || l.Size == 0 {
		return cp, fresh, nil
	}
	switch {
	case cp.Size < l.Size:
		p = wire.NewProblem(wire.CodeLogSmaller, fmt.Sprintf("size %d, seen before %d", cp.Size, l.Size))
		p.Size = l.Size
		return cp, false, p
	case cp.Size == l.Size:
		if !bytes.Equal(cp.Root, l.Root) {
			return cp, false, wire.NewProblem(wire.CodeLogForked, fmt.Sprintf("another root at size %d", cp.Size))
		}
	case put.Since == l.Size:
		if err := oplog.VerifyConsistency(l.Size, cp.Size, put.Proof, l.Root, cp.Root); err != nil {
			return cp, false, wire.NewProblem(wire.CodeLogForked, err.Error())
		}
	case put.Since < l.Size:
		// Our last answer got lost: ask for a proof from what it signed.
		p = wire.NewProblem(wire.CodeLogSmaller, fmt.Sprintf("proof from %d, signed here was %d", put.Since, l.Size))
		p.Size = l.Size
		return cp, false, p
	case put.Since > l.Size:
		return cp, false, wire.NewProblem(wire.CodeLogForked, fmt.Sprintf("proof from %d, signed here was %d", put.Since, l.Size))
	}
	return cp, false, nil
}

// auditLogKey is the line of the audit that keeps a log's key, base64 of its
// DER: a terminal that is set up anew gets another one, and receipts of the old
// log must still be checked in years.
const auditLogKey = "log.key"

// LogKeys returns the public keys that signed a terminal's logs, the present
// one first. Errors: ErrNotFound when no log was handed in yet.
func (c *County) LogKeys(ctx context.Context, terminal string) ([]*seal.PublicKey, error) {
	l, err := c.Log(ctx, terminal)
	if err != nil {
		return nil, err
	}
	if len(l.Key) == 0 {
		return nil, fmt.Errorf("key of the log of %s: %w", terminal, ErrNotFound)
	}
	present, err := seal.ParsePublicKeyDER(l.Key)
	if err != nil {
		return nil, fmt.Errorf("key of the log of %s: %w", terminal, err)
	}
	keys := []*seal.PublicKey{present}
	trail, err := c.AuditTrail(ctx, math.MaxInt32)
	if err != nil {
		return nil, err
	}
	for _, a := range trail {
		if a.What != auditLogKey || a.Object != terminal {
			continue
		}
		der, err := base64.StdEncoding.DecodeString(a.Detail)
		if err != nil || bytes.Equal(der, l.Key) {
			continue
		}
		// Lines of earlier versions hold only a digest, and are no keys.
		if k, err := seal.ParsePublicKeyDER(der); err == nil {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// Log returns what is known of a terminal's operation log.
func (c *County) Log(ctx context.Context, terminal string) (l Log, err error) {
	err = c.o.Store.View(ctx, func(tx Tx) error { l, err = tx.Log(terminal); return err })
	return l, err
}

// ClearAlarm takes a remembered refusal off the page.
func (c *County) ClearAlarm(ctx context.Context, terminal, by string) error {
	return c.o.Store.Update(ctx, func(tx Tx) error {
		l, err := tx.Log(terminal)
		if err != nil {
			return err
		}
		was := l.Alarm
		l.Alarm, l.AlarmAt = "", time.Time{}
		if err := tx.PutLog(l); err != nil {
			return err
		}
		return tx.AddAudit(Audit{At: c.now(), By: by, What: "log.clear", Object: terminal, Detail: was})
	})
}

// TakeHealth stores a terminal's report.
func (c *County) TakeHealth(ctx context.Context, terminal string, h wire.Health) (wire.HealthReply, error) {
	if h.Terminal != terminal {
		return wire.HealthReply{}, wire.NewProblem(wire.CodeMalformed, "report of another terminal")
	}
	b, err := marshal(h)
	if err != nil {
		return wire.HealthReply{}, err
	}
	now := c.now()
	err = c.o.Store.Update(ctx, func(tx Tx) error {
		for _, r := range h.Ratings[:min(len(h.Ratings), wire.MaxRatings)] {
			if err := rated(tx, terminal, r, now); err != nil {
				return err
			}
		}
		return tx.PutHealth(terminal, now, b)
	})
	return wire.HealthReply{Time: now}, err
}

// byResident marks the event that holds a resident's rating.
const byResident = "resident"

// rated notes a rating in its case's history, once; ratings of other terminals'
// cases and of cases that are not here are passed over.
func rated(tx Tx, terminal string, r wire.Rating, now time.Time) error {
	row, err := tx.Case(r.CaseID)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil || row.Terminal != terminal || r.Words() == "" {
		return err
	}
	events, err := tx.Events(r.CaseID)
	if err != nil {
		return err
	}
	for _, e := range events {
		if e.By == byResident {
			return nil
		}
	}
	return tx.AddEvent(CaseEvent{CaseID: row.ID, Revision: row.Revision, At: now, State: row.State, Text: "群众评价：" + r.Words(), By: byResident})
}

// Health returns a terminal's last report and when it came; ErrNotFound when
// there is none.
func (c *County) Health(ctx context.Context, terminal string) (h wire.Health, at time.Time, err error) {
	var b []byte
	err = c.o.Store.View(ctx, func(tx Tx) error { b, at, err = tx.Health(terminal); return err })
	if err != nil {
		return h, at, err
	}
	if err := json.Unmarshal(b, &h); err != nil {
		return h, at, fmt.Errorf("read the health of %s: %w", terminal, err)
	}
	return h, at, nil
}
