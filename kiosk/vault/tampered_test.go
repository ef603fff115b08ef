package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"math"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
)

// tampered is a vault with a log of all kinds of events, and what the harness
// knows of it.
type tampered struct {
	b           *bench
	sign        *seal.PrivateKey // the county's
	keys        oplog.Keys
	seeds       map[int64]seal.Key
	memory      [][]byte // notes that the county signed
	blindCounty bool     // it does not look at MACs

	first, size int64
	rows        []row        // as blocks read them
	notes       []storedNote // in order
	nodeIDs     []int64
	signed      int64 // size of the newest countersigned checkpoint
	changed     int64 // rows, in this round
}

func newTampered(t *testing.T, pruned bool) *tampered {
	b := newBench(t)
	w := &tampered{b: b}
	ctx := context.Background()
	b.submit(0)
	w.sign = b.enrol()
	b.submit(1)
	w.busy()
	b.countersign(w.sign)
	b.submit(0)
	b.checkpoint(0)
	if pruned {
		b.clock.move(MinLogAge + day)
	}
	w.busy()
	b.countersign(w.sign)
	b.submit(0)
	if pruned && b.prune(MinLogAge) == 0 {
		t.Fatal("nothing was pruned")
	}
	b.checkpoint(0)
	w.busy()
	b.submit(2)

	v := b.v
	w.keys = oplog.Keys{Terminal: []*seal.PublicKey{v.PublicKey()}, County: []*seal.PublicKey{w.sign.Public()}}
	w.first, w.size = v.start.Size(), v.tree.Size()
	blk := readBlock(ctx, v.db, w.first, w.size)
	must(t, blk.err)
	blk.prepare()
	w.rows = blk.rows
	var err error
	w.notes, err = readNotes(ctx, v.db, 0, math.MaxInt64)
	must(t, err)
	for _, n := range w.notes {
		if n.countersigned {
			w.signed = n.size
			w.memory = append(w.memory, n.note)
		}
	}
	rows, err := v.db.Query("SELECT id FROM log_nodes ORDER BY id")
	must(t, err)
	for rows.Next() {
		var id int64
		must(t, rows.Scan(&id))
		w.nodeIDs = append(w.nodeIDs, id)
	}
	must(t, rows.Err())
	must(t, rows.Close())
	seeds, err := readSeeds(ctx, v.db)
	must(t, err)
	w.seeds = map[int64]seal.Key{}
	for _, s := range seeds {
		key, err := b.county.OpenEnvelope(s.envelope, oplog.SeedAAD(v.Origin(), s.first))
		must(t, err)
		w.seeds[s.first] = key
	}
	_, err = v.verifyAll(ctx, v.db, nil)
	must(t, err)
	must(t, w.oneByOne(oplog.Keys{Known: w.memory, Seeds: w.seeds}))
	return w
}

// busy makes records of many kinds.
func (w *tampered) busy() {
	b, ctx := w.b, context.Background()
	_, err := b.v.Record(ctx, oplog.Entry{Event: oplog.StaffSignIn, Role: oplog.RoleStaff, Account: "1001", Session: 5, Device: "reader-1", Demo: true,
		Outcome: oplog.Refused, Fields: map[string]string{"how": "pin"}})
	must(b.t, err)
	its := b.lease(8)
	for i, it := range its {
		switch i {
		case 0:
			_, err := b.v.Acknowledge(ctx, it.CaseID, it.Revision, it.Lease, "140105-1", b.clock.now(), "2026-04-01")
			must(b.t, err)
		case 1:
			must(b.t, b.v.Attention(ctx, it.CaseID, it.Revision, it.Lease, "县里不认这一件", "422"))
			must(b.t, b.v.Requeue(ctx, it.CaseID, cases.Actor{Role: cases.RoleStaff, Account: "1001"}))
		default:
			must(b.t, b.v.Retry(ctx, it.CaseID, it.Revision, it.Lease, b.clock.now(), "没有连上", "timeout"))
		}
	}
	c := b.submit(0)
	_, err = b.v.Withdraw(ctx, c.ID, cases.Actor{Role: cases.RoleResident, Session: 7})
	must(b.t, err)
	must(b.t, b.v.Put(ctx, "ui/night", []byte(b.clock.now().String())))
}

func (w *tampered) exec(query string, args ...any) {
	r, err := w.b.v.db.Exec(query, args...)
	if err != nil {
		w.b.t.Errorf("%s: %v", query, err)
		return
	}
	if n, err := r.RowsAffected(); err == nil {
		w.changed += n
	}
}

// lastBefore is the largest size of a checkpoint that does not cover a record,
// where the records that it can be begin; and the first that does cover it, 0
// when none does.
func (w *tampered) around(seq int64) (from, to int64) {
	from = w.first
	for _, n := range w.notes {
		if n.size <= seq {
			from = max(from, n.size)
		} else if to == 0 {
			to = n.size
		}
	}
	return from, to
}

// completes is the record that completed a node.
func completes(id int64) int64 {
	level, index := tlog.SplitStoredHashIndex(id)
	return (index+1)<<level - 1
}

// forge writes the records from a number on as they should stand, with every
// hash and the state made to fit. With sign every checkpoint is signed anew, and
// the record of a countersignature becomes another.
func (w *tampered) forge(from int64, lines [][]byte, sign bool) {
	v := w.b.v
	tree, err := oplog.TreeAt(from, nodes(v.db))
	must(w.b.t, err)
	w.exec("DELETE FROM log_records WHERE seq>=?", from)
	w.exec("DELETE FROM log_nodes WHERE id>=?", tlog.StoredHashIndex(0, from))
	if sign {
		w.exec("DELETE FROM checkpoints WHERE size>?", from)
	}
	for i, line := range lines {
		seq := from + int64(i)
		r, err := oplog.Decode(line)
		must(w.b.t, err)
		r.Seq = seq
		if sign && r.Event == oplog.LogCountersign {
			r.Event, r.Fields = oplog.HelpCall, nil
		}
		if sign && r.Event == oplog.LogCheckpoint && seq > from {
			cp := oplog.Checkpoint{Origin: v.Origin(), Size: seq, Root: tree.Root()}
			note, err := oplog.SignCheckpoint(rand.Reader, cp, v.Origin(), v.sign)
			must(w.b.t, err)
			w.exec("INSERT INTO checkpoints(size, at, root, note) VALUES(?,?,?,?)", seq, r.Wall.UnixNano(), cp.Root, note)
			r.Fields = map[string]string{"size": itoa(seq), "root": hexOf(cp.Root)}
		}
		line = r.Encode()
		var caseID, sealed any
		if r.CaseID != "" {
			caseID = r.CaseID
		}
		if r.Private != nil {
			sealed = w.sealedOf(r.Private)
		}
		w.exec("INSERT INTO log_records(seq, wall, case_id, rec, private) VALUES(?,?,?,?,?)", seq, r.Wall.UnixNano(), caseID, line, sealed)
		for _, n := range tree.Append(line) {
			w.exec("INSERT INTO log_nodes(id, hash) VALUES(?,?)", tlog.StoredHashIndex(n.Level, n.Index), n.Hash)
		}
	}
	w.exec("UPDATE log_state SET tree=?", tree.Marshal())
}

func (w *tampered) sealedOf(digest []byte) any {
	for _, r := range w.rows {
		if s, ok := r.sealed.([]byte); ok && bytes.Equal(r.read.Record.Private, digest) {
			return s
		}
	}
	return nil
}

// tail is a copy of the lines from a record on.
func (w *tampered) tail(from int64) (out [][]byte) {
	for _, r := range w.rows[from-w.first:] {
		out = append(out, r.line)
	}
	return out
}
