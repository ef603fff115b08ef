package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	gosync "sync"
	"testing"
	"testing/synctest"
	"time"

	"cunban/kiosk/oplog"
)

func TestEntriesKeepTheirOrderAndAreAllWrittenAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu gosync.Mutex
		var got []uint64
		slow := make(chan struct{})
		e := newEntries(func(ctx context.Context, x oplog.Entry) (int64, error) {
			<-slow // a disk that takes its time
			mu.Lock()
			defer mu.Unlock()
			got = append(got, x.Session)
			if x.Session == 3 {
				return 0, errors.New("no room")
			}
			return 0, ctx.Err()
		}, slog.New(slog.DiscardHandler))
		var want []uint64
		for i := range uint64(50) {
			e.put(oplog.Entry{Session: i}) // never waits
			want = append(want, i)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := e.close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("closed over a disk that hangs: %v", err)
		}
		e.put(oplog.Entry{Session: 99}) // after the end: refused
		close(slow)
		if err := e.close(t.Context()); err != nil {
			t.Error(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("written %v", got)
		}
	})
}

func TestChoresGoInOrderAndOnceForEachName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChores()
		var got []string
		gate := make(chan struct{})
		job := func(s string) func(context.Context) {
			return func(context.Context) {
				<-gate
				got = append(got, s)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { c.run(ctx); close(ended) }()
		c.put("point", job("first"))
		synctest.Wait() // it has begun: what changes now needs another
		for range 5 {
			c.put("point", job("second"))
			c.put("", job("case"))
		}
		close(gate)
		synctest.Wait()
		want := []string{"first", "second", "case", "case", "case", "case", "case"}
		if !slices.Equal(got, want) {
			t.Errorf("done %v, want %v", got, want)
		}
		cancel()
		<-ended
		c.put("late", job("late")) // nobody does it, nobody waits
		synctest.Wait()
		if len(got) != len(want) {
			t.Errorf("done after the end: %v", got)
		}
	})
}
