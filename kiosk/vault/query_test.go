package vault

import (
	"context"
	"slices"
	"testing"

	"cunban/kiosk/oplog"
)

// TestQueryEnds: a question that little answers reads so many records in vain and
// no more, and going on from there finds all that one look at the whole log does.
func TestQueryEnds(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	const rare, between = 7, 40
	for range rare {
		_, err := b.v.Record(ctx, oplog.Entry{Event: oplog.HelpCall, Role: oplog.RoleResident})
		must(t, err)
		for range between {
			_, err := b.v.Record(ctx, oplog.Entry{Event: oplog.NoticeShown, Role: oplog.RoleResident})
			must(t, err)
		}
	}
	whole, err := b.v.LogQuery(ctx, LogFilter{Event: oplog.HelpCall})
	if err != nil || len(whole) != rare {
		t.Fatalf("%d records, %v", len(whole), err)
	}
	for _, look := range []int{1, between - 1, between, between + 1, 3 * between, 1 << 20} {
		f := LogFilter{Event: oplog.HelpCall, Look: look}
		var got []int64
		for rounds := 0; ; rounds++ {
			if rounds > rare*between+between {
				t.Fatalf("look %d: it never ends", look)
			}
			seen, err := b.v.LogEach(ctx, f, func(r oplog.Record) error {
				got = append(got, r.Seq)
				return nil
			})
			must(t, err)
			if seen.Passed > look {
				t.Fatalf("look %d: %d records read in vain", look, seen.Passed)
			}
			if seen.Before == 0 {
				if look < between && rounds == 0 {
					t.Fatalf("look %d: the whole log at once", look)
				}
				break
			}
			if f.Before > 0 && seen.Before >= f.Before {
				t.Fatalf("look %d: on from %d after %d", look, seen.Before, f.Before)
			}
			f.Before = seen.Before
		}
		want := make([]int64, 0, rare)
		for _, r := range whole {
			want = append(want, r.Seq)
		}
		if !slices.Equal(got, want) {
			t.Errorf("look %d: found %v, want %v", look, got, want)
		}
	}
	// The control: with no end it reads everything that is no answer.
	seen, err := b.v.LogEach(ctx, LogFilter{Event: oplog.HelpCall}, func(oplog.Record) error { return nil })
	if err != nil || seen.Before != 0 || seen.Passed < rare*between {
		t.Errorf("no end: %+v, %v", seen, err)
	}
	// The Limit ends it too, and tells where the next page begins.
	seen, err = b.v.LogEach(ctx, LogFilter{Event: oplog.HelpCall, Limit: 2}, func(oplog.Record) error { return nil })
	if err != nil || seen.Before != whole[1].Seq {
		t.Errorf("limit: %+v, %v, want %d", seen, err, whole[1].Seq)
	}
}
