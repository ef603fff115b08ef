package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"

	"cunban/kiosk/oplog"
	"cunban/kiosk/resident"
	"cunban/kiosk/seal"
)

// enrol gives the vault the county's keys.
func (b *bench) enrol() (sign *seal.PrivateKey) {
	b.t.Helper()
	sign, err := seal.GenerateKey(rand.Reader)
	if err != nil {
		b.t.Fatal(err)
	}
	must(b.t, b.v.PutAll(context.Background(), map[string][]byte{
		keyCountySeal: b.county.Public().PEM(), keyCountySign: sign.Public().PEM(),
	}))
	return sign
}

func (b *bench) checkpoint(since int64) (note []byte, proof [][]byte, cp oplog.Checkpoint) {
	b.t.Helper()
	note, proof, err := b.v.Checkpoint(context.Background(), since)
	must(b.t, err)
	cp, err = oplog.OpenCheckpoint(note, b.v.Origin(), b.v.PublicKey())
	must(b.t, err)
	return note, proof, cp
}

func TestCheckpoints(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	sign := b.enrol()
	b.submit(0)
	note, proof, first := b.checkpoint(0)
	if proof != nil || first.Size == 0 {
		t.Fatalf("first checkpoint %+v with proof %v", first, proof)
	}
	if again, _, _ := b.checkpoint(0); !bytes.Equal(again, note) {
		t.Fatal("a new checkpoint though nothing happened")
	}
	wantErr(t, b.v.Countersign(ctx, note), ErrCountersign) // the county did not sign it
	countersigned, err := oplog.Countersign(rand.Reader, note, oplog.CountyName, sign)
	must(t, err)
	must(t, b.v.Countersign(ctx, countersigned))
	size := b.v.tree.Size()
	must(t, b.v.Countersign(ctx, countersigned))
	if b.v.tree.Size() != size {
		t.Fatal("countersigning twice made a record")
	}
	if again, _, cp := b.checkpoint(first.Size); cp.Size != first.Size || !bytes.Equal(again, countersigned) {
		t.Fatal("a countersignature alone made a new checkpoint")
	}
	other, err := seal.GenerateKey(rand.Reader)
	must(t, err)
	forged, err := oplog.Countersign(rand.Reader, note, oplog.CountyName, other)
	must(t, err)
	wantErr(t, b.v.Countersign(ctx, forged), ErrCountersign)
	foreign, err := oplog.SignCheckpoint(rand.Reader, oplog.Checkpoint{Origin: b.v.Origin(), Size: 1, Root: make([]byte, 32)}, oplog.CountyName, sign)
	must(t, err)
	wantErr(t, b.v.Countersign(ctx, foreign), ErrCountersign)

	for range 20 {
		b.submit(0)
	}
	_, proof, second := b.checkpoint(first.Size)
	if err := oplog.VerifyConsistency(first.Size, second.Size, proof, first.Root, second.Root); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.v.Checkpoint(ctx, second.Size+1000); err == nil {
		t.Fatal("a proof from the future")
	}
	st, err := b.v.LogState(ctx)
	if err != nil || st.Countersigned != first.Size || st.LastSize != second.Size || st.Origin != b.v.Origin() || st.Size != second.Size+1 {
		t.Fatalf("log state %+v, %v", st, err)
	}
	rep := b.verify()
	if rep.Countersigned != first.Size || rep.Checkpoints != 2 {
		t.Fatalf("report %+v", rep)
	}

	// The origin and the key stay, and closing signs what happened last.
	origin, key := b.v.Origin(), b.v.PublicKey().ID()
	b.submit(0)
	size = b.v.tree.Size()
	b.close()
	b.open()
	if b.v.Origin() != origin || b.v.PublicKey().ID() != key || !strings.HasPrefix(origin, "cunban/log-") {
		t.Fatalf("origin %s → %s", origin, b.v.Origin())
	}
	if st, err = b.v.LogState(ctx); err != nil || st.LastSize < size {
		t.Fatalf("the last checkpoint has size %d, the log had %d: %v", st.LastSize, size, err)
	}
}

func TestLogProof(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	var ids []string
	for i := range 9 {
		ids = append(ids, b.submit(0).ID)
		if i == 4 {
			b.checkpoint(0)
		}
	}
	for _, id := range ids {
		p, err := b.v.LogProof(ctx, id)
		must(t, err)
		if err := oplog.VerifyInclusion(p.Leaf, p.Index, p.Size, p.Hashes, p.Root); err != nil {
			t.Fatal(err)
		}
		cp, err := oplog.OpenCheckpoint(p.Note, b.v.Origin(), b.v.PublicKey())
		if err != nil || cp.Size != p.Size || !bytes.Equal(cp.Root, p.Root) {
			t.Fatalf("checkpoint %+v, %v", cp, err)
		}
		rs, err := b.v.LogQuery(ctx, LogFilter{CaseID: id})
		if err != nil || len(rs) != 1 || !bytes.Equal(oplog.LeafHash(rs[0].Encode()), p.Leaf) || rs[0].Event != oplog.CaseSubmit {
			t.Fatalf("records %v, %v", rs, err)
		}
		if _, err := oplog.NewReceipt(p.Record, p.Hashes, p.Note); err != nil {
			t.Fatal(err)
		}
	}
	b.verify()
}

// A receipt that is printed again after the county has signed carries its
// signature; one of a later case does not wait for it.
func TestLogProofPrefersTheCounty(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	county := b.enrol()
	early := b.submit(0).ID
	b.checkpoint(0)
	b.submit(0)
	note, _, _ := b.checkpoint(0)
	note, err := oplog.Countersign(rand.Reader, note, oplog.CountyName, county)
	must(t, err)
	must(t, b.v.Countersign(ctx, note))
	late := b.submit(0).ID
	keys := oplog.Keys{Terminal: []*seal.PublicKey{b.v.PublicKey()}, County: []*seal.PublicKey{county.Public()}}
	for id, want := range map[string]oplog.Countersigning{early: oplog.CountySigned, late: oplog.CountyAbsent} {
		p, err := b.v.LogProof(ctx, id)
		must(t, err)
		r, err := oplog.NewReceipt(p.Record, p.Hashes, p.Note)
		must(t, err)
		got, err := r.Verify(keys)
		if err != nil || got.County != want || got.Case != id || got.Size != p.Size {
			t.Errorf("%+v, %v, want %s", got, err, want)
		}
	}
}

func TestRecordAndQuery(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	start := b.clock.now()
	seq, err := b.v.Record(ctx, oplog.Entry{Event: oplog.StaffSignIn, Role: oplog.RoleStaff, Account: "1001", Session: 5,
		Outcome: oplog.Refused, Fields: map[string]string{"how": "pin"}})
	must(t, err)
	_, err = b.v.Record(ctx, oplog.Entry{Event: oplog.HelpCall, Role: oplog.RoleResident, Device: "screen"})
	must(t, err)
	size := b.v.tree.Size()
	_, err = b.v.Record(ctx, oplog.Entry{Event: "no.such.event"})
	wantErr(t, err, oplog.ErrEntry)
	_, err = b.v.Record(ctx, oplog.Entry{Event: oplog.HelpCall, Role: oplog.RoleResident, Fields: map[string]string{"page": zhang}})
	wantErr(t, err, oplog.ErrEntry) // an ID number
	if b.v.tree.Size() != size {
		t.Fatal("a refused entry changed the log")
	}
	for _, tc := range []struct {
		f    LogFilter
		want int
	}{
		{LogFilter{Account: "1001"}, 1},
		{LogFilter{Event: oplog.StaffSignIn, Outcome: oplog.Refused, Role: oplog.RoleStaff, Session: 5}, 1},
		{LogFilter{Outcome: oplog.Refused, Session: 6}, 0},
		{LogFilter{Since: start}, 2},
		{LogFilter{Until: start}, 1},
		{LogFilter{Limit: 2}, 2},
		{LogFilter{Device: "screen"}, 1},
		{LogFilter{Before: seq}, 1},
		{LogFilter{Service: "S01"}, 0},
		{LogFilter{}, 3},
	} {
		got, err := b.v.LogQuery(ctx, tc.f)
		if err != nil || len(got) != tc.want {
			t.Errorf("%+v: %d records, %v; want %d", tc.f, len(got), err, tc.want)
		}
		for i := 1; i < len(got); i++ {
			if got[i].Seq >= got[i-1].Seq {
				t.Errorf("%+v: not the newest first", tc.f)
			}
		}
	}
	r, err := b.v.LogQuery(ctx, LogFilter{Account: "1001"})
	must(t, err)
	if r[0].Seq != seq || r[0].Version != "test" || r[0].BootID != "boot" || r[0].Mono != 1 || r[0].MAC == nil {
		t.Fatalf("record %+v", r[0])
	}
}

func TestQueryPages(t *testing.T) {
	b := newBench(t)
	must(t, b.v.change(context.Background(), "fill", func(c *change) error {
		for i := range 2*page + 17 {
			if _, err := c.record(oplog.Entry{Event: oplog.HelpCall, Role: oplog.RoleResident, Session: uint64(i + 1)}, nil); err != nil {
				return err
			}
		}
		return nil
	}))
	got, err := b.v.LogQuery(context.Background(), LogFilter{Event: oplog.HelpCall})
	if err != nil || len(got) != 2*page+17 {
		t.Fatalf("%d records, %v", len(got), err)
	}
	calls := 0
	if _, err := b.v.LogVerify(context.Background(), func(done, total int64) {
		calls++
		if done > total {
			t.Errorf("%d of %d", done, total)
		}
	}); err != nil || calls < 3 {
		t.Fatalf("%d calls of progress, %v", calls, err)
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.v.LogVerify(canceled, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

func TestExport(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	sign := b.enrol()
	for i := range 12 {
		b.submit(0)
		if i%5 == 0 {
			note, _, _ := b.checkpoint(0)
			signed, err := oplog.Countersign(rand.Reader, note, oplog.CountyName, sign)
			must(t, err)
			must(t, b.v.Countersign(ctx, signed))
		}
	}
	var out bytes.Buffer
	must(t, b.v.LogExport(ctx, &out))
	k := oplog.Keys{Terminal: []*seal.PublicKey{b.v.PublicKey()}, County: []*seal.PublicKey{sign.Public()}}
	rep, err := oplog.VerifyExport(bytes.NewReader(out.Bytes()), k)
	if err != nil || rep.Records < 12 || rep.Countersigned < 1 || rep.Origin != b.v.Origin() {
		t.Fatalf("report %+v, %v", rep, err)
	}
	for _, w := range []string{zhang, zhangName, "clear-text"} {
		if strings.Contains(out.String(), w) {
			t.Errorf("the export holds %q", w)
		}
	}
	b.verify()
}

// TestMACChain: the county, and nobody else, can check the MACs of everything
// since the enrolment.
func TestMACChain(t *testing.T) {
	b := newBench(t)
	b.submit(0)
	b.enrol()
	b.submit(0)
	var first int64
	var env []byte
	must(t, b.v.db.QueryRow("SELECT first, envelope FROM log_seeds").Scan(&first, &env))
	seed, err := b.county.OpenEnvelope(env, oplog.SeedAAD(b.v.Origin(), first))
	must(t, err)
	ver, err := oplog.NewVerifier(oplog.VerifyOptions{Keys: oplog.Keys{Terminal: []*seal.PublicKey{b.v.PublicKey()},
		Seeds: map[int64]seal.Key{first: seed}}})
	must(t, err)
	n := 0
	must(t, b.v.records(context.Background(), b.v.db, 0, 1000, func(s stored) error {
		n++
		_, err := ver.Record(s.line, nil)
		return err
	}))
	if int64(n) <= first+1 {
		t.Fatalf("%d records, the chain begins at %d", n, first)
	}
	// Another envelope in its place would be another chain: the log tells which.
	b.verify()
	_, err = b.v.db.Exec("UPDATE log_seeds SET envelope=zeroblob(length(envelope))")
	must(t, err)
	if _, err := b.v.LogVerify(context.Background(), nil); oplog.AsBad(err) == nil || oplog.AsBad(err).Seq != first {
		t.Fatalf("got %v, want record %d named", err, first)
	}
}

// TestTampering changes the log in every way that SQL allows and demands that
// the right record is named.
func TestTampering(t *testing.T) {
	for name, tc := range map[string]struct {
		sql string
		seq int64 // the record that must be named
	}{
		"content":         {"UPDATE log_records SET rec=replace(rec, 'S01', 'S02') WHERE seq=5", 5},
		"deleted":         {"DELETE FROM log_records WHERE seq=5", 5},
		"last deleted":    {"DELETE FROM log_records WHERE seq=(SELECT max(seq) FROM log_records)", -1},
		"swapped":         {"UPDATE log_records SET rec=(SELECT rec FROM log_records x WHERE x.seq=11-log_records.seq) WHERE seq IN (5,6)", 5},
		"doubled":         {"UPDATE log_records SET rec=(SELECT rec FROM log_records WHERE seq=5) WHERE seq=6", 6},
		"inserted at end": {"INSERT INTO log_records(seq, wall, rec) SELECT max(seq)+1, 0, rec FROM log_records", 0},
		"leaf":            {"UPDATE log_nodes SET hash=zeroblob(32) WHERE id=" + fmt.Sprint(10-2), 5},
		"node":            {"UPDATE log_nodes SET hash=zeroblob(32) WHERE id=" + fmt.Sprint(9), 5},
		"tree and cut": {"DELETE FROM log_records WHERE seq>=5; DELETE FROM log_nodes WHERE id>=8;" +
			"UPDATE log_state SET tree=x''", 5},
		"checkpoint": {"UPDATE checkpoints SET note=replace(note, 'cunban', 'cumban')", -2},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			for range 8 {
				b.submit(0)
			}
			_, _, cp := b.checkpoint(0)
			b.verify()
			sqlText, want := tc.sql, tc.seq
			if name == "tree and cut" { // a state that fits the shortened log
				small, err := oplog.TreeAt(5, nodes(b.v.db))
				must(t, err)
				sqlText = strings.Replace(sqlText, "x''", fmt.Sprintf("x'%x'", small.Marshal()), 1)
			}
			switch {
			case want == -1:
				want = b.v.tree.Size() - 1
			case want == 0:
				want = b.v.tree.Size()
			case want == -2:
				want = cp.Size
			}
			_, err := b.v.db.Exec(sqlText)
			must(t, err)
			if name == "tree and cut" {
				must(t, b.v.load()) // as the next start would
			}
			rep, err := b.v.LogVerify(context.Background(), nil)
			if bad := oplog.AsBad(err); bad == nil || bad.Seq != want || rep.Bad == nil {
				t.Fatalf("got %v, want record %d named", err, want)
			}
		})
	}
}

func TestOwnerIndexDiffersBetweenVaults(t *testing.T) {
	a, b := newBench(t), newBench(t)
	n := number(t, zhang)
	if bytes.Equal(a.v.OwnerIndex(n), b.v.OwnerIndex(n)) || len(a.v.OwnerIndex(n)) != 32 {
		t.Fatal("the index of a person is the same on two terminals")
	}
	if bytes.Equal(a.v.OwnerIndex(n), a.v.OwnerIndex(resident.IDNumber{})) {
		t.Fatal("two numbers have one index")
	}
}

func TestStats(t *testing.T) {
	b := newBench(t)
	b.close()
	b.o.Terminal = func() string { return "T-1" }
	b.open()
	c := b.submit(0)
	b.submit(0)
	s, err := b.v.Stats(context.Background())
	if err != nil || s.Terminal != "T-1" || s.Cases != 2 || s.Counts.Waiting != 2 || s.Bytes == 0 || s.FreeBytes != 1<<40 || s.KeySource != "memory" ||
		!s.OldestOpen.Equal(c.SavedAt) || s.Records == 0 || s.Origin != b.v.Origin() {
		t.Fatalf("%+v, %v", s, err)
	}
}

// TestCountyChangesItsKey: what the county signed with its key of before stays
// signed, and a log can be pruned below it.
func TestCountyChangesItsKey(t *testing.T) {
	b := newBench(t)
	b.submit(0)
	first := b.countersign(b.enrol())
	b.submit(0)
	second := b.countersign(b.enrol()) // another key
	if rep := b.verify(); rep.Countersigned != second.Size || second.Size <= first.Size {
		t.Fatalf("report %+v", rep)
	}
	b.close()
	b.open()
	b.verify()
	b.clock.move(MinLogAge + day)
	b.enrol() // and another
	if n := b.prune(0); n != second.Size {
		t.Fatalf("%d records pruned, want %d", n, second.Size)
	}
	b.verify()
}
