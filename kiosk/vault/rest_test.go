package vault

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"cunban/kiosk/vault/faultfs"
)

// fill commits until the WAL is full enough to be moved.
func fill(t *testing.T, v *Vault) {
	t.Helper()
	for i := 0; v.mount.Backlog() < restBacklog; i++ {
		if i == 1000 {
			t.Fatalf("the WAL has only %d bytes", v.mount.Backlog())
		}
		must(t, v.change(context.Background(), "fill", func(c *change) error {
			return c.exec("INSERT INTO settings(key, val) VALUES('fill', ?) ON CONFLICT(key) DO UPDATE SET val=excluded.val",
				bytes.Repeat([]byte{byte(i)}, 64<<10))
		}))
	}
}

// TestRest shows that a full WAL is begun anew after a rest, and only then.
func TestRest(t *testing.T) {
	b := newBench(t)
	b.close()
	b.o.FS, b.o.Dir = faultfs.New(), "/data" // nothing happens by itself
	b.open()
	fill(t, b.v)
	cs := b.submit(1)
	if b.v.mount.Backlog() < restBacklog {
		t.Fatal("the WAL was begun anew without a rest")
	}
	must(t, b.v.rest())
	cs2 := b.submit(1)
	if n := b.v.mount.Backlog(); n >= restBacklog {
		t.Fatalf("after a rest %d bytes stand in the WAL", n)
	}
	b.verify()
	b.close()
	b.open()
	for _, id := range []string{cs.ID, cs2.ID} {
		b.caseOf(id)
	}
	b.verify()
	must(t, b.v.rest()) // nothing to do
	b.close()
}

// TestLull shows that the rest waits until nothing changed for restLull, and
// that it can be ended while it waits.
func TestLull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resting{wake: make(chan struct{}, 1), quit: make(chan struct{})}
		at := time.Now()
		r.wake <- struct{}{}
		time.AfterFunc(restLull/2, func() { r.wake <- struct{}{} })
		if !r.lull() || time.Since(at) != restLull+restLull/2 {
			t.Fatalf("the lull was seen after %s", time.Since(at))
		}
		r.wake <- struct{}{}
		time.AfterFunc(restLull/2, r.stop)
		if r.lull() {
			t.Fatal("a lull after the end")
		}
	})
}

// TestCloseEndsTheRest closes a vault that has just asked for a rest.
func TestCloseEndsTheRest(t *testing.T) {
	b := newBench(t)
	fill(t, b.v)
	v := b.v
	b.close()
	must(t, v.rest()) // closed: nothing to do
	if v.resting.lull() {
		t.Fatal("the goroutine goes on")
	}
	b.open()
	b.verify()
}
