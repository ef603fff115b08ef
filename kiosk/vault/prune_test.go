package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
)

const day = 24 * time.Hour

// countersign makes a checkpoint that the county signs too.
func (b *bench) countersign(sign *seal.PrivateKey) oplog.Checkpoint {
	b.t.Helper()
	note, _, cp := b.checkpoint(0)
	signed, err := oplog.Countersign(rand.Reader, note, oplog.CountyName, sign)
	must(b.t, err)
	must(b.t, b.v.Countersign(context.Background(), signed))
	return cp
}

func (b *bench) prune(age time.Duration) int64 {
	b.t.Helper()
	n, err := b.v.Prune(context.Background(), b.clock.now().Add(-age))
	must(b.t, err)
	return n
}

func (b *bench) rows(query string, args ...any) (n int64) {
	b.t.Helper()
	must(b.t, b.v.db.QueryRow(query, args...).Scan(&n))
	return n
}

// TestPrune prunes a log twice, and demands after each time and each start
// that everything that remains verifies and can be proved.
func TestPrune(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	sign := b.enrol()
	old := b.submit(0)
	b.countersign(sign)
	b.submit(0)
	first := b.countersign(sign) // the newest under which everything is old
	b.submit(0)
	_, _, plain := b.checkpoint(0) // a later one that the county did not see
	if plain.Size <= first.Size {
		t.Fatal("no later checkpoint")
	}
	b.clock.move(200 * day)
	young := b.submit(0)
	upstream := b.countersign(sign) // what the county has last
	for i := range 5 {
		b.submit(0)
		if i == 2 {
			b.checkpoint(0)
		}
	}
	if n := b.prune(190 * day); n != first.Size {
		t.Fatalf("%d records pruned, want %d", n, first.Size)
	}
	check := func() {
		t.Helper()
		ls, err := b.v.LogState(ctx)
		must(t, err)
		if ls.First != first.Size || b.rows("SELECT min(seq) FROM log_records") != first.Size || b.rows("SELECT count(*) FROM checkpoints WHERE size<?", first.Size) > 0 {
			t.Fatalf("the log begins at %d, want %d", ls.First, first.Size)
		}
		rep := b.verify()
		if rep.First != first.Size || rep.Countersigned < first.Size {
			t.Fatalf("report %+v", rep)
		}
		_, err = b.v.LogProof(ctx, old.ID)
		wantErr(t, err, ErrPruned)
		p, err := b.v.LogProof(ctx, young.ID)
		must(t, err)
		must(t, oplog.VerifyInclusion(p.Leaf, p.Index, p.Size, p.Hashes, p.Root))
		get := nodes(b.v.db)
		size := b.v.tree.Size()
		for i := ls.First; i < size; i++ { // every record that is left can be proved
			hs, err := oplog.InclusionProof(i, size, get)
			must(t, err)
			leaf, err := get([]oplog.NodeID{{Index: i}})
			must(t, err)
			must(t, oplog.VerifyInclusion(leaf[0], i, size, hs, b.v.tree.Root()))
		}
		for at := ls.First; at <= size; at++ { // and every size is its beginning
			hs, err := oplog.ConsistencyProof(at, size, get)
			must(t, err)
			then, err := oplog.TreeAt(at, get)
			must(t, err)
			must(t, oplog.VerifyConsistency(at, size, hs, then.Root(), b.v.tree.Root()))
		}
		note, proof, cp := b.checkpoint(upstream.Size)
		must(t, oplog.VerifyConsistency(upstream.Size, cp.Size, proof, upstream.Root, cp.Root))
		if note == nil {
			t.Fatal("no note")
		}
		_, _, err = b.v.Checkpoint(ctx, 1)
		wantErr(t, err, ErrPruned)
		b.exports(sign, first.Size)
	}
	check()
	if n := b.prune(190 * day); n != 0 {
		t.Fatalf("%d records pruned a second time", n)
	}
	b.close()
	b.open()
	check()
	// A second time, over the first.
	b.submit(0)
	first = b.countersign(sign)
	before := b.v.start.Size()
	b.clock.move(200 * day)
	young = b.submit(0)
	old = b.caseOf(old.ID)
	upstream = b.countersign(sign)
	if n := b.prune(0); n != first.Size-before { // 0: as much as the law allows
		t.Fatalf("%d records pruned, want %d", n, first.Size-before)
	}
	check()
	rs, err := b.v.LogQuery(ctx, LogFilter{Event: oplog.LogPrune})
	if err != nil || len(rs) != 1 || rs[0].Fields["from"] != fmt.Sprint(before) || rs[0].Fields["to"] != fmt.Sprint(first.Size) ||
		rs[0].Fields["root"] != fmt.Sprintf("%x", first.Root) {
		t.Fatalf("records %+v, %v", rs, err)
	}
	if all, err := b.v.LogQuery(ctx, LogFilter{}); err != nil || all[len(all)-1].Seq != first.Size {
		t.Fatalf("query %v", err)
	}
}

// exports demands that an export begins at first and that a stranger, and the
// county with its MAC seeds, can check it.
func (b *bench) exports(sign *seal.PrivateKey, first int64) {
	b.t.Helper()
	var out bytes.Buffer
	must(b.t, b.v.LogExport(context.Background(), &out))
	k := oplog.Keys{Terminal: []*seal.PublicKey{b.v.PublicKey()}, County: []*seal.PublicKey{sign.Public()}, Seal: []*seal.PrivateKey{b.county}}
	rep, err := oplog.VerifyExport(bytes.NewReader(out.Bytes()), k)
	if err != nil || rep.First != first || rep.Countersigned < first || rep.MACs != rep.Records {
		b.t.Fatalf("report %+v, %v", rep, err)
	}
}

// TestPruneLeavesWhatIsYoung asks for what must not go.
func TestPruneLeavesWhatIsYoung(t *testing.T) {
	t.Run("no countersigned checkpoint", func(t *testing.T) {
		b := newBench(t)
		b.enrol()
		b.submit(0)
		b.checkpoint(0)
		b.clock.move(400 * day)
		b.submit(0)
		if n := b.prune(183 * day); n != 0 {
			t.Fatalf("%d records pruned", n)
		}
		b.verify()
	})
	t.Run("younger than the law allows", func(t *testing.T) {
		b := newBench(t)
		sign := b.enrol()
		b.submit(0)
		cp := b.countersign(sign)
		b.clock.move(182 * day)
		b.submit(0)
		if n := b.prune(0); n != 0 {
			t.Fatalf("%d records pruned", n)
		}
		b.clock.move(2 * day)
		if n := b.prune(0); n != cp.Size {
			t.Fatalf("%d records pruned, want %d", n, cp.Size)
		}
		b.verify()
	})
	t.Run("a clock that was lost", func(t *testing.T) {
		b := newBench(t)
		sign := b.enrol()
		b.submit(0)
		want := b.countersign(sign)
		b.clock.move(200 * day)
		now := b.clock.now()
		b.clock.move(-now.Sub(time.Unix(0, 0))) // 1970, but yesterday
		b.submit(0)
		b.countersign(sign)
		b.clock.move(now.Sub(time.Unix(0, 0)))
		b.submit(0)
		b.countersign(sign)
		if n := b.prune(0); n != want.Size {
			t.Fatalf("%d records pruned, want %d", n, want.Size)
		}
		b.verify()
	})
	t.Run("a log with damage", func(t *testing.T) {
		b := newBench(t)
		sign := b.enrol()
		b.submit(0)
		b.countersign(sign)
		b.clock.move(200 * day)
		b.submit(0)
		_, err := b.v.db.Exec("UPDATE log_records SET rec=replace(rec, 'S01', 'S02') WHERE case_id IS NOT NULL")
		must(t, err)
		n, err := b.v.Prune(context.Background(), b.clock.now())
		if bad := oplog.AsBad(err); n != 0 || bad == nil {
			t.Fatalf("%d pruned, %v", n, err)
		}
		if b.rows("SELECT min(seq) FROM log_records") != 0 {
			t.Fatal("the damage is destroyed")
		}
	})
}

// pruned makes a vault whose log was pruned, and tells to where.
func pruned(t *testing.T) (b *bench, sign *seal.PrivateKey, first int64) {
	b = newBench(t)
	sign = b.enrol()
	for range 4 {
		b.submit(0)
	}
	b.countersign(sign)
	b.submit(0)
	cp := b.countersign(sign)
	b.clock.move(200 * day)
	b.submit(0)
	if n := b.prune(0); n != cp.Size {
		t.Fatalf("%d pruned", n)
	}
	b.submit(0)
	b.countersign(sign)
	return b, sign, cp.Size
}

// TestPrunedTampering changes what a pruned log rests on.
func TestPrunedTampering(t *testing.T) {
	for name, sqlText := range map[string]string{
		"note gone":              "DELETE FROM checkpoints WHERE size=(SELECT size FROM log_pruned)",
		"note not countersigned": "", // below
		"state of another log":   "UPDATE log_pruned SET tree=substr(tree, 1, length(tree)-32)||zeroblob(32)",
		"first record gone":      "DELETE FROM log_records WHERE seq=(SELECT size FROM log_pruned)",
		"node gone":              "DELETE FROM log_nodes WHERE id=(SELECT min(id) FROM log_nodes)",
		"node changed":           "UPDATE log_nodes SET hash=zeroblob(32) WHERE id=(SELECT min(id) FROM log_nodes)",
		"row gone":               "DELETE FROM log_pruned",
		"cut further by hand": "UPDATE log_pruned SET size=(SELECT max(size) FROM checkpoints WHERE countersigned=1), tree=?;" +
			"DELETE FROM log_records WHERE seq<(SELECT size FROM log_pruned)",
	} {
		t.Run(name, func(t *testing.T) {
			b, _, first := pruned(t)
			b.verify()
			var args []any
			switch name {
			case "cut further by hand":
				tree, err := oplog.TreeAt(b.rows("SELECT max(size) FROM checkpoints WHERE countersigned=1"), nodes(b.v.db))
				must(t, err)
				args = append(args, tree.Marshal())
			case "note not countersigned":
				cp := oplog.Checkpoint{Origin: b.v.origin, Size: first, Root: b.v.start.Root()}
				note, err := oplog.SignCheckpoint(rand.Reader, cp, b.v.origin, b.v.sign)
				must(t, err)
				sqlText, args = "UPDATE checkpoints SET note=? WHERE size=(SELECT size FROM log_pruned)", []any{note}
			}
			_, err := b.v.db.Exec(sqlText, args...)
			must(t, err)
			if err := b.v.load(); err != nil { // as the next start would
				if !isDamage(err) {
					t.Fatal(err)
				}
				return
			}
			if _, err := b.v.LogVerify(context.Background(), nil); oplog.AsBad(err) == nil {
				t.Fatalf("not found: %v", err)
			}
		})
	}
}

// TestPruneGoesOn: what an interrupted pruning leaves is outside of the log,
// and the next one removes it.
func TestPruneGoesOn(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	sign := b.enrol()
	must(t, b.v.change(ctx, "fill", func(c *change) error {
		for range 2*pruneBatch + 17 {
			if _, err := c.record(oplog.Entry{Event: oplog.HelpCall, Role: oplog.RoleResident}, nil); err != nil {
				return err
			}
		}
		return nil
	}))
	cp := b.countersign(sign)
	b.clock.move(200 * day)
	must(t, b.v.pruneTo(ctx, b.v.db, cp.Size)) // and no sweep
	b.close()
	b.open()
	if b.rows("SELECT min(seq) FROM log_records") != 0 {
		t.Fatal("nothing is left over")
	}
	b.verify()
	if all, err := b.v.LogQuery(ctx, LogFilter{}); err != nil || all[len(all)-1].Seq != cp.Size {
		t.Fatalf("query reaches outside of the log: %v", err)
	}
	b.exports(sign, cp.Size)
	if n := b.prune(0); n != 0 || b.rows("SELECT min(seq) FROM log_records") != cp.Size {
		t.Fatalf("%d pruned", n)
	}
	if n := b.rows("SELECT count(*) FROM log_nodes WHERE id<?", tlog.StoredHashIndex(0, cp.Size)); n != int64(len(b.v.start.Hashes())) {
		t.Fatalf("%d nodes of what was pruned, the state has %d", n, len(b.v.start.Hashes()))
	}
	b.verify()
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := b.v.Prune(canceled, b.clock.now()); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}
