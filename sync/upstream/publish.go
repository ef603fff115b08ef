package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cunban/sync/wire"
)

// counterChange orders the stream of changes.
const counterChange = "change"

// publish puts a new version of an object into the stream, inside a
// transaction. An object that would not change keeps its version; changed says
// so.
func (c *County) publish(tx Tx, kind wire.Kind, id, audience string, deleted bool, data []byte, at time.Time) (changed bool, err error) {
	// The counter first: it orders publishers, so that a reader of the stream
	// never sees a later number before an earlier one.
	seq, err := tx.Counter(counterChange)
	if err != nil {
		return false, err
	}
	old, err := tx.Object(kind, id)
	switch {
	case errors.Is(err, ErrNotFound):
		if deleted {
			return false, nil
		}
	case err != nil:
		return false, err
	case old.Deleted == deleted && old.Audience == audience && bytes.Equal(old.Data, data):
		return false, nil
	}
	o := Object{Kind: kind, ID: id, Version: old.Version + 1, Audience: audience, Deleted: deleted, Data: data, Seq: seq, At: at}
	ch := o.Change()
	if o.Signature, err = c.o.Keys.Sign.Sign(c.o.Rand, ch.SigningBytes()); err != nil {
		return false, fmt.Errorf("sign %s/%s: %w", kind, id, err)
	}
	if err := o.Change().Validate(audience); err != nil {
		return false, fmt.Errorf("publish: %w", err)
	}
	return true, tx.PutObject(o)
}

// Publish sends an object to every terminal, or with audience to one. It
// reports whether anything changed.
func (c *County) Publish(ctx context.Context, kind wire.Kind, id, audience string, v any) (changed bool, err error) {
	data, err := json.Marshal(v)
	if err != nil {
		return false, fmt.Errorf("publish %s/%s: %w", kind, id, err)
	}
	err = c.o.Store.Update(ctx, func(tx Tx) error {
		changed, err = c.publish(tx, kind, id, audience, false, data, c.now())
		return err
	})
	if err == nil && changed {
		c.hub.wake()
	}
	return changed, err
}

// Withdraw takes an object back from everybody who has it.
func (c *County) Withdraw(ctx context.Context, kind wire.Kind, id string) error {
	err := c.o.Store.Update(ctx, func(tx Tx) error {
		o, err := tx.Object(kind, id)
		if err != nil {
			return err
		}
		_, err = c.publish(tx, kind, id, o.Audience, true, nil, c.now())
		return err
	})
	if err == nil {
		c.hub.wake()
	}
	return err
}

// Changes answers one page after a cursor, at once.
func (c *County) Changes(ctx context.Context, terminal string, after int64) (wire.Changes, error) {
	out := wire.Changes{Changes: []wire.Change{}, Cursor: cursor(after)}
	if after == 0 {
		out.Cursor = ""
	}
	err := c.o.Store.View(ctx, func(tx Tx) error {
		list, err := tx.ChangesAfter(after, terminal, wire.MaxChanges+1)
		if err != nil {
			return err
		}
		size := 0
		for i, o := range list {
			size += len(o.Data) * 4 / 3
			if i == wire.MaxChanges || i > 0 && size > wire.MaxAnswer/2 {
				out.More = true
				break
			}
			out.Changes = append(out.Changes, o.Change())
			out.Cursor = cursor(o.Seq)
		}
		return nil
	})
	return out, err
}

// pollEvery is how often a server looks for what another process published.
const pollEvery = 300 * time.Millisecond

// watch wakes the long polls when another process published; it ends with ctx.
func (c *County) watch(ctx context.Context) {
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	var last int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		var n int64
		err := c.o.Store.View(ctx, func(tx Tx) (err error) { n, err = tx.LastChange(); return err })
		if err != nil {
			if ctx.Err() == nil {
				c.log.Warn("look for changes", "err", err)
			}
			continue
		}
		if n > last {
			last = n
			c.hub.wake()
		}
	}
}
