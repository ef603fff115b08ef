package vault

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"cunban/kiosk/oplog"
)

// attack is one kind of change.
type attack struct {
	name       string
	onlyPruned bool
	restart    bool // the program is started on what is there now
	// do makes the change and tells what must be named; ok is false when chance
	// chose something that cannot be done.
	do func(w *tampered, rng *rand.Rand) (want right, ok bool)
}

// attacks are all kinds. Each comes as often as the others.
var attacks = []attack{
	{name: "record: another byte", do: onRows(func(w *tampered, rng *rand.Rand) {
		r := w.someRow(rng)
		w.exec("UPDATE log_records SET rec=? WHERE seq=?", otherByte(r.line, rng), r.seq)
	})},
	{name: "record: another field", do: onRows(func(w *tampered, rng *rand.Rand) {
		r := w.someRow(rng)
		w.exec("UPDATE log_records SET rec=? WHERE seq=?", otherField(r.read.Record, rng).Encode(), r.seq)
	})},
	{name: "record: shortened", do: onRows(func(w *tampered, rng *rand.Rand) {
		r := w.someRow(rng)
		w.exec("UPDATE log_records SET rec=? WHERE seq=?", r.line[:rng.IntN(len(r.line))], r.seq)
	})},
	{name: "record: another type", do: onRows(func(w *tampered, rng *rand.Rand) {
		r := w.someRow(rng)
		column := []string{"wall", "case_id", "private"}[rng.IntN(3)]
		val := []any{7.5, "text", []byte{1, 2}, int64(9), nil}[rng.IntN(5)]
		if column == "wall" && val == nil {
			val = "" // the schema demands something
		}
		w.exec("UPDATE log_records SET "+column+"=? WHERE seq=?", val, r.seq)
	})},
	{name: "record: another time beside", do: onRows(func(w *tampered, rng *rand.Rand) {
		w.exec("UPDATE log_records SET wall=wall+? WHERE seq=?", 1+rng.Int64N(1e12), w.someRow(rng).seq)
	})},
	{name: "record: another sealed part", do: onRows(func(w *tampered, rng *rand.Rand) {
		var with []row
		for _, r := range w.rows {
			if _, ok := r.sealed.([]byte); ok {
				with = append(with, r)
			}
		}
		r := with[rng.IntN(len(with))]
		w.exec("UPDATE log_records SET private=? WHERE seq=?", otherByte(r.sealed.([]byte), rng), r.seq)
	})},
	{name: "records: one deleted", do: onRows(func(w *tampered, rng *rand.Rand) {
		w.exec("DELETE FROM log_records WHERE seq=?", w.someRow(rng).seq)
	})},
	{name: "records: a run deleted", do: onRows(func(w *tampered, rng *rand.Rand) {
		a, b := w.someRow(rng).seq, w.someRow(rng).seq
		w.exec("DELETE FROM log_records WHERE seq BETWEEN ? AND ?", min(a, b), max(a, b))
	})},
	{name: "records: the end cut off", do: onRows(func(w *tampered, rng *rand.Rand) {
		w.exec("DELETE FROM log_records WHERE seq>=?", w.someRow(rng).seq)
	})},
	{name: "records: two exchanged", do: onRows(func(w *tampered, rng *rand.Rand) {
		a, b := w.someRow(rng), w.someRow(rng)
		w.exec("UPDATE log_records SET seq=-99 WHERE seq=?", a.seq)
		w.exec("UPDATE log_records SET seq=? WHERE seq=?", a.seq, b.seq)
		w.exec("UPDATE log_records SET seq=? WHERE seq=-99", b.seq)
	})},
	{name: "records: one over another", do: onRows(func(w *tampered, rng *rand.Rand) {
		a, b := w.someRow(rng), w.someRow(rng)
		w.exec("UPDATE log_records SET (wall, case_id, rec, private)=(SELECT wall, case_id, rec, private FROM log_records WHERE seq=?) WHERE seq=?", a.seq, b.seq)
	})},
	{name: "records: one put between", do: onRows(func(w *tampered, rng *rand.Rand) {
		at, copied := w.someRow(rng).seq, w.someRow(rng).seq
		w.exec("UPDATE log_records SET seq=-seq-1000 WHERE seq>=?", at)
		w.exec("UPDATE log_records SET seq=-seq-999 WHERE seq<=-1000")
		if copied >= at {
			copied++
		}
		w.exec("INSERT INTO log_records SELECT ?, wall, case_id, rec, private FROM log_records WHERE seq=?", at, copied)
	})},
	{name: "records: one after the end", do: onRows(func(w *tampered, rng *rand.Rand) {
		w.exec("INSERT INTO log_records SELECT ?, wall, case_id, rec, private FROM log_records WHERE seq=?", w.size+rng.Int64N(3), w.someRow(rng).seq)
	})},
	{name: "records: one before all", do: func(w *tampered, rng *rand.Rand) (right, bool) {
		w.exec("INSERT INTO log_records SELECT ?, wall, case_id, rec, private FROM log_records WHERE seq=?", -1-rng.Int64N(9), w.someRow(rng).seq)
		return at(0, oplog.BadOrder), true
	}},
	{name: "nodes: another hash", do: func(w *tampered, rng *rand.Rand) (right, bool) {
		id := w.someNode(rng)
		w.exec("UPDATE log_nodes SET hash=? WHERE id=?", otherByte(w.hash(id), rng), id)
		return w.node(id), true
	}},
	{name: "nodes: one deleted", do: func(w *tampered, rng *rand.Rand) (right, bool) {
		id := w.someNode(rng)
		w.exec("DELETE FROM log_nodes WHERE id=?", id)
		return w.node(id), true
	}},
	{name: "nodes: two exchanged", do: func(w *tampered, rng *rand.Rand) (right, bool) {
		a, b := w.someNode(rng), w.someNode(rng)
		x, y := w.hash(a), w.hash(b)
		if bytes.Equal(x, y) {
			return right{}, false
		}
		w.exec("UPDATE log_nodes SET hash=? WHERE id=?", y, a)
		w.exec("UPDATE log_nodes SET hash=? WHERE id=?", x, b)
		return lowest(w.node(a), w.node(b)), true
	}},
	{name: "nodes: one over another", do: func(w *tampered, rng *rand.Rand) (right, bool) {
		a, b := w.someNode(rng), w.someNode(rng)
		x := w.hash(a)
		if bytes.Equal(x, w.hash(b)) {
			return right{}, false
		}
		w.exec("UPDATE log_nodes SET hash=? WHERE id=?", x, b)
		return w.node(b), true
	}},
	{name: "nodes: one too many", do: func(w *tampered, rng *rand.Rand) (right, bool) {
		w.exec("INSERT INTO log_nodes(id, hash) VALUES(?,?)", tlog.StoredHashIndex(0, w.size)+rng.Int64N(5), w.hash(w.someNode(rng)))
		return at(w.size, oplog.BadOrder), true
	}},
	{name: "checkpoint: another byte of the note", do: func(w *tampered, rng *rand.Rand) (right, bool) {
		n := w.someNote(rng)
		w.exec("UPDATE checkpoints SET note=? WHERE size=?", otherByte(n.note, rng), n.size)
		return w.noteAt(n.size), true
	}},
	{name: "checkpoint: the note shortened", do: func(w *tampered, rng *rand.Rand) (right, bool) {
		n := w.someNote(rng)
		w.exec("UPDATE checkpoints SET note=? WHERE size=?", n.note[:rng.IntN(len(n.note))], n.size)
		return w.noteAt(n.size), true
	}},
	{name: "checkpoint: another root beside", do: func(w *tampered, rng *rand.Rand) (right, bool) {
		n := w.someNote(rng)
		w.exec("UPDATE checkpoints SET root=? WHERE size=?", otherByte(n.root, rng), n.size)
		return w.noteAt(n.size), true
	}},
	{name: "checkpoint: another time beside", do: func(w *tampered, rng *rand.Rand) (right, bool) {
		n := w.someNote(rng)
		if n.size == w.first && w.first > 0 {
			return right{}, false // the record of it is pruned, nobody can tell
		}
		w.exec("UPDATE checkpoints SET at=at+? WHERE size=?", 1+rng.Int64N(1e12), n.size)
		return w.noteAt(n.size), true
	}},
	{name: "checkpoint: the county's mark", do: func(w *tampered, rng *rand.Rand) (right, bool) {
		n := w.someNote(rng)
		w.exec("UPDATE checkpoints SET countersigned=1-countersigned WHERE size=?", n.size)
		return w.noteAt(n.size), true
	}},
	{name: "checkpoint: moved", do: func(w *tampered, rng *rand.Rand) (right, bool) {
		n, to, ok := w.freeSize(rng)
		if !ok {
			return right{}, false
		}
		w.exec("UPDATE checkpoints SET size=? WHERE size=?", to, n.size)
		return lowest(w.noteAt(n.size), w.noteAt(to)), true
	}},
	{name: "checkpoint: deleted", do: func(w *tampered, rng *rand.Rand) (right, bool) {
		n := w.someNote(rng)
		w.exec("DELETE FROM checkpoints WHERE size=?", n.size)
		return w.noteAt(n.size), true
	}},
	{name: "checkpoint: doubled", do: func(w *tampered, rng *rand.Rand) (right, bool) {
		n, to, ok := w.freeSize(rng)
		if !ok {
			return right{}, false
		}
		w.exec("INSERT INTO checkpoints SELECT ?, at, root, note, countersigned FROM checkpoints WHERE size=?", to, n.size)
		return w.noteAt(to), true
	}},
	{name: "checkpoint: two notes exchanged", do: func(w *tampered, rng *rand.Rand) (right, bool) {
		a, b := w.someNote(rng), w.someNote(rng)
		if a.size == b.size {
			return right{}, false
		}
		w.exec("UPDATE checkpoints SET note=? WHERE size=?", b.note, a.size)
		w.exec("UPDATE checkpoints SET note=? WHERE size=?", a.note, b.size)
		return lowest(w.noteAt(a.size), w.noteAt(b.size)), true
	}},
	{name: "seed: another envelope", do: func(w *tampered, rng *rand.Rand) (right, bool) {
		s, ok := w.someSeed(rng)
		if ok {
			w.exec("UPDATE log_seeds SET envelope=? WHERE first=?", otherByte(s.envelope, rng), s.first)
		}
		return at(s.first, oplog.BadState), ok
	}},
	{name: "seed: another key", do: func(w *tampered, rng *rand.Rand) (right, bool) {
		s, ok := w.someSeed(rng)
		if ok {
			w.exec("UPDATE log_seeds SET key_id=? WHERE first=?", s.keyID+"0", s.first)
		}
		return at(s.first, oplog.BadState), ok
	}},
	{name: "seed: shortened", do: func(w *tampered, rng *rand.Rand) (right, bool) {
		s, ok := w.someSeed(rng)
		if ok {
			w.exec("UPDATE log_seeds SET envelope=? WHERE first=?", s.envelope[:rng.IntN(len(s.envelope))], s.first)
		}
		return at(s.first, oplog.BadState), ok
	}},
	{name: "seed: deleted", do: func(w *tampered, rng *rand.Rand) (right, bool) {
		s, ok := w.someSeed(rng)
		if ok {
			w.exec("DELETE FROM log_seeds WHERE first=?", s.first)
		}
		return at(s.first, oplog.BadState), ok
	}},
	{name: "seed: doubled", do: func(w *tampered, rng *rand.Rand) (right, bool) {
		s, ok := w.someSeed(rng)
		to := w.first + 1 + rng.Int64N(w.size-w.first-1)
		if !ok || w.seedAt(to) || w.keyed(to) {
			return right{}, false
		}
		w.exec("INSERT INTO log_seeds SELECT ?, key_id, envelope FROM log_seeds WHERE first=?", to, s.first)
		return at(to, oplog.BadState), true
	}},
	{name: "state: another tree", do: onState(func(w *tampered, rng *rand.Rand) {
		w.exec("UPDATE log_state SET tree=?", otherByte(w.b.v.tree.Marshal(), rng))
	})},
	{name: "state: another MAC key", do: onState(func(w *tampered, rng *rand.Rand) {
		w.exec("UPDATE log_state SET mac_key=?", otherByte(w.b.v.chain.Key(), rng))
	})},
	{name: "state: another note of quiet", do: onState(func(w *tampered, _ *rand.Rand) { w.exec("UPDATE log_state SET quiet=1-quiet") })},
	{name: "state: deleted", do: onState(func(w *tampered, _ *rand.Rand) { w.exec("DELETE FROM log_state") })},
	{name: "start: another tree", onlyPruned: true, do: func(w *tampered, rng *rand.Rand) (right, bool) {
		w.exec("UPDATE log_pruned SET tree=?", otherByte(w.b.v.start.Marshal(), rng))
		return at(w.first, oplog.BadState), true
	}},
	{name: "start: another size", onlyPruned: true, do: func(w *tampered, rng *rand.Rand) (right, bool) {
		w.exec("UPDATE log_pruned SET size=size+?", 1+rng.Int64N(5))
		return at(w.first, oplog.BadState), true
	}},
	{name: "start: deleted", onlyPruned: true, do: func(w *tampered, _ *rand.Rand) (right, bool) {
		w.exec("DELETE FROM log_pruned")
		return at(w.first, oplog.BadState), true
	}},
	{name: "2: hashes made to fit below a checkpoint", restart: true, do: func(w *tampered, rng *rand.Rand) (right, bool) {
		s := w.someRow(rng).seq
		from, to := w.around(s)
		if to == 0 {
			return right{}, false
		}
		w.rewrite(s, rng, false)
		return between(from, to-1, oplog.BadRoot), true
	}},
	{name: "3: hashes made to fit after the last checkpoint", restart: true, do: func(w *tampered, rng *rand.Rand) (right, bool) {
		s := w.someRow(rng).seq
		if _, to := w.around(s); to != 0 {
			return right{}, false
		}
		w.rewrite(s, rng, false)
		return right{hidden: true, county: func() string { return w.bySeeds(s) }}, true
	}},
	{name: "4: signed anew below a countersigned checkpoint", restart: true, do: func(w *tampered, rng *rand.Rand) (right, bool) {
		s := w.someRow(rng).seq
		if s >= w.signed || w.tells(s) {
			return right{}, false
		}
		w.rewrite(s, rng, true)
		return right{hidden: true, county: func() string { return w.byMemory(s) }}, true
	}},
	{name: "5: signed anew after it", restart: true, do: func(w *tampered, rng *rand.Rand) (right, bool) {
		s := w.someRow(rng).seq
		if s < w.signed || w.tells(s) {
			return right{}, false
		}
		w.rewrite(s, rng, true)
		return right{hidden: true, county: func() string { return w.bySeeds(s) }}, true
	}},
	{name: "6: the end cut off and the state made to fit", restart: true, do: func(w *tampered, rng *rand.Rand) (right, bool) {
		s := w.someRow(rng).seq
		if s <= w.first || s >= w.signed || w.tells(s) {
			return right{}, false
		}
		w.cut(s)
		if pruned := w.told(); pruned >= s { // the record of the pruning went, too
			return at(w.first, oplog.BadUncovered), true
		}
		return right{hidden: true, county: func() string { return w.byMemory(s) }}, true
	}},
}

// onRows is an attack on rows of log_records: the lowest number whose row is not
// what it was must be named.
func onRows(do func(w *tampered, rng *rand.Rand)) func(*tampered, *rand.Rand) (right, bool) {
	return func(w *tampered, rng *rand.Rand) (right, bool) {
		do(w, rng)
		now := w.block()
		for i, was := range w.rows {
			switch {
			case i >= len(now):
				return between(was.seq, w.size-1, oplog.BadCut), true
			case !same(was, now[i]):
				return at(was.seq, oplog.BadForm, oplog.BadContent, oplog.BadOrder), true
			}
		}
		if len(now) > len(w.rows) {
			return between(w.size, now[len(now)-1].seq, oplog.BadOrder), true
		}
		return right{}, false // the same after all: two alike were exchanged
	}
}

func same(a, b row) bool {
	return a.seq == b.seq && bytes.Equal(a.line, b.line) && fmt.Sprintf("%T%v", a.wall, a.wall) == fmt.Sprintf("%T%v", b.wall, b.wall) &&
		fmt.Sprintf("%T%v", a.caseID, a.caseID) == fmt.Sprintf("%T%v", b.caseID, b.caseID) &&
		fmt.Sprintf("%T%v", a.sealed, a.sealed) == fmt.Sprintf("%T%v", b.sealed, b.sealed)
}

// onState is an attack on what the next record rests on.
func onState(do func(w *tampered, rng *rand.Rand)) func(*tampered, *rand.Rand) (right, bool) {
	return func(w *tampered, rng *rand.Rand) (right, bool) {
		do(w, rng)
		return at(w.size, oplog.BadState), true
	}
}

func (w *tampered) someRow(rng *rand.Rand) row { return w.rows[rng.IntN(len(w.rows))] }

func (w *tampered) someNode(rng *rand.Rand) int64 { return w.nodeIDs[rng.IntN(len(w.nodeIDs))] }

func (w *tampered) someNote(rng *rand.Rand) storedNote { return w.notes[rng.IntN(len(w.notes))] }

// someSeed is a seed that a record tells of.
func (w *tampered) someSeed(rng *rand.Rand) (storedSeed, bool) {
	all, err := readSeeds(w.b.t.Context(), w.b.v.db)
	must(w.b.t, err)
	all = slices.DeleteFunc(all, func(s storedSeed) bool {
		return s.first < w.first || w.rows[s.first-w.first].read.Record.Event != oplog.LogSeed
	})
	if len(all) == 0 {
		return storedSeed{}, false
	}
	return all[rng.IntN(len(all))], true
}

func (w *tampered) seedAt(seq int64) bool {
	all, err := readSeeds(w.b.t.Context(), w.b.v.db)
	must(w.b.t, err)
	return slices.ContainsFunc(all, func(s storedSeed) bool { return s.first == seq })
}

// keyed tells whether the record before one tells of a new key of the county:
// old programs wrote no record of the seed then.
func (w *tampered) keyed(seq int64) bool {
	r := w.rows[seq-1-w.first].read.Record
	return r.Event == oplog.ConfigChange && r.Fields["key"] == keyCountySeal
}

func (w *tampered) hash(id int64) (out []byte) {
	must(w.b.t, w.b.v.db.QueryRow("SELECT hash FROM log_nodes WHERE id=?", id).Scan(&out))
	return out
}

// node is what must be named for a tree node. Those below the first record are
// the state that the log begins after.
func (w *tampered) node(id int64) right {
	return at(max(completes(id), w.first), oplog.BadContent)
}

// noteAt is what must be named for a checkpoint of a size.
func (w *tampered) noteAt(size int64) right {
	return at(max(size, 0), oplog.BadNote, oplog.BadUncovered)
}

func lowest(a, b right) right {
	if b.seq < a.seq {
		return b
	}
	return a
}

// freeSize is a checkpoint and a size within the log that has none.
func (w *tampered) freeSize(rng *rand.Rand) (n storedNote, size int64, ok bool) {
	n, size = w.someNote(rng), rng.Int64N(w.size)
	return n, size, !slices.ContainsFunc(w.notes, func(m storedNote) bool { return m.size == size })
}

// tells reports whether a record tells of a checkpoint or a signature: whoever
// signs anew writes those anew too.
func (w *tampered) tells(seq int64) bool {
	e := w.rows[seq-w.first].read.Record.Event
	return e == oplog.LogCheckpoint || e == oplog.LogCountersign
}

// told is the record that tells of the pruning, -1 when nothing was pruned.
func (w *tampered) told() int64 {
	for _, r := range w.rows {
		if r.read.Record.Event == oplog.LogPrune {
			return r.seq
		}
	}
	return -1
}

// rewrite changes a record and makes everything after it fit.
func (w *tampered) rewrite(seq int64, rng *rand.Rand, sign bool) {
	lines := w.tail(seq)
	r := w.rows[seq-w.first].read.Record
	r.Account = "9" + strconv.Itoa(rng.IntN(1000))
	lines[0] = r.Encode()
	w.forge(seq, lines, sign)
	w.hush()
}

// cut takes the end off, and leaves a state of a log that is so long.
func (w *tampered) cut(seq int64) {
	tree, err := oplog.TreeAt(seq, nodes(w.b.v.db))
	must(w.b.t, err)
	w.exec("DELETE FROM log_records WHERE seq>=?", seq)
	w.exec("DELETE FROM log_nodes WHERE id>=?", tlog.StoredHashIndex(0, seq))
	w.exec("DELETE FROM checkpoints WHERE size>=?", seq)
	w.exec("DELETE FROM log_seeds WHERE first>=?", seq)
	w.exec("UPDATE log_state SET tree=?", tree.Marshal())
	w.hush()
}

// hush makes the note of quiet fit to the records that are there now.
func (w *tampered) hush() {
	quiet := 0
	for _, r := range w.block() {
		switch r.read.Record.Event {
		case oplog.LogCheckpoint:
			quiet = 1
		case oplog.LogCountersign:
		default:
			quiet = 0
		}
	}
	w.exec("UPDATE log_state SET quiet=?", quiet)
}

// block is all rows as they are now, from the first record on.
func (w *tampered) block() []row {
	var end int64
	must(w.b.t, w.b.v.db.QueryRow("SELECT coalesce(max(seq)+1, 0) FROM log_records").Scan(&end))
	b := readBlock(w.b.t.Context(), w.b.v.db, w.first, max(end, w.first))
	must(w.b.t, b.err)
	b.prepare()
	return b.rows
}

// otherByte is a copy with one byte changed.
func otherByte(b []byte, rng *rand.Rand) []byte {
	out := bytes.Clone(b)
	out[rng.IntN(len(out))] ^= byte(1 + rng.IntN(255))
	return out
}

// otherField is a record with one field changed.
func otherField(r oplog.Record, rng *rand.Rand) oplog.Record {
	change := []func(){
		func() { r.Seq++ },
		func() { r.Event = oplog.Events[rng.IntN(len(oplog.Events))] },
		func() { r.Outcome = oplog.Outcomes[rng.IntN(len(oplog.Outcomes))] },
		func() { r.Role = oplog.RoleTechnician },
		func() { r.Account = other(r.Account, "7", rng) },
		func() { r.Session++ },
		func() { r.CaseID = other(r.CaseID, "01a2113f-8256-7e1b-9195-302857ab9efd", rng) },
		func() { r.Device = other(r.Device, "x", rng) },
		func() { r.Wall = r.Wall.Add(time.Duration(1 + rng.Int64N(1e12))) },
		func() { r.Mono++ },
		func() { r.BootID = other(r.BootID, "0", rng) },
		func() { r.Version += ".1" },
		func() { r.Demo = !r.Demo },
		func() { r.Fields = otherFields(r.Fields, rng) },
		func() { r.Private = otherDigest(r.Private, rng) },
		func() { r.MAC = otherDigest(r.MAC, rng) },
	}
	change[rng.IntN(len(change))]()
	return r
}

// other makes a text longer, or takes it away.
func other(s, more string, rng *rand.Rand) string {
	if s != "" && rng.IntN(2) == 0 {
		return ""
	}
	return s + more
}

// otherFields is a copy with one field more, less, or changed.
func otherFields(f map[string]string, rng *rand.Rand) map[string]string {
	out := maps.Clone(f)
	if out == nil {
		out = map[string]string{}
	}
	names := slices.Sorted(maps.Keys(out))
	switch k := rng.IntN(3); {
	case k == 0 || len(names) == 0:
		out["more"] = "1"
	case k == 1:
		delete(out, names[rng.IntN(len(names))])
	default:
		out[names[rng.IntN(len(names))]] += "0"
	}
	return out
}

// otherDigest is another digest, one where there was none, or none.
func otherDigest(b []byte, rng *rand.Rand) []byte {
	switch {
	case b == nil:
		return make([]byte, oplog.HashSize)
	case rng.IntN(3) == 0:
		return nil
	}
	return otherByte(b, rng)
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func hexOf(b []byte) string { return hex.EncodeToString(b) }
