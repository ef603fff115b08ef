package upstream_test

import (
	"crypto/rand"
	"fmt"
	"testing"

	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
	"cunban/sync/wire"
)

// oplogOf is a terminal's log as far as checkpoints go: its leaves.
type oplogOf struct {
	t      *testing.T
	key    *seal.PrivateKey
	origin string
	leaves [][]byte
}

func (l *oplogOf) grow(n int, what string) {
	for range n {
		l.leaves = append(l.leaves, oplog.LeafHash(fmt.Appendf(nil, "%s %d", what, len(l.leaves))))
	}
}

func (l *oplogOf) tree(size int) *oplog.Tree {
	t, err := oplog.NewTree(0, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, h := range l.leaves[:size] {
		t.AppendHash(h)
	}
	return t
}

// put signs the log at a size, with a proof from since.
func (l *oplogOf) put(since, size int) wire.CheckpointPut {
	l.t.Helper()
	note, err := oplog.SignCheckpoint(rand.Reader, oplog.Checkpoint{Origin: l.origin, Size: int64(size), Root: l.tree(size).Root()}, l.origin, l.key)
	if err != nil {
		l.t.Fatal(err)
	}
	p := wire.CheckpointPut{Note: string(note), Since: int64(since), PublicKey: l.key.Public().DER()}
	if since > 0 && since < size {
		p.Proof = l.proof(since, size)
	}
	return p
}

// proof is RFC 6962's PROOF(m, D[n]), written down from the text of the RFC.
func (l *oplogOf) proof(m, n int) [][]byte {
	var sub func(m int, leaves [][]byte, whole bool) [][]byte
	root := func(leaves [][]byte) []byte {
		t, err := oplog.NewTree(0, nil)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, h := range leaves {
			t.AppendHash(h)
		}
		return t.Root()
	}
	sub = func(m int, leaves [][]byte, whole bool) [][]byte {
		n := len(leaves)
		if m == n {
			if whole {
				return nil
			}
			return [][]byte{root(leaves)}
		}
		k := 1
		for k*2 < n {
			k *= 2
		}
		if m <= k {
			return append(sub(m, leaves[:k], whole), root(leaves[k:]))
		}
		return append(sub(m-k, leaves[k:], false), root(leaves[:k]))
	}
	return sub(m, l.leaves[:n], true)
}

func newLog(t *testing.T, terminal string) *oplogOf {
	key, err := seal.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &oplogOf{t: t, key: key, origin: oplog.Origin(key.Public())}
}

// TestForgetfulCounty is the control of TestCheckpoints: a county that does not
// remember a terminal's log takes a smaller one for whole.
func TestForgetfulCounty(t *testing.T) {
	var l *oplogOf
	for _, size := range []int{25, 24} { // each time a county that knows nothing
		c := startCounty(t, t.TempDir(), autoApprove)
		x := c.enrol("SN-1", region1)
		if l == nil {
			l = newLog(t, x.id)
			l.grow(30, "record")
		}
		var r wire.CheckpointReply
		if _, problem := x.call("POST", wire.PathCheckpoints(x.id), l.put(0, size), &r); problem != nil {
			t.Errorf("size %d was refused: %v", size, problem)
		}
	}
}

func TestCheckpoints(t *testing.T) {
	c := startCounty(t, t.TempDir(), autoApprove)
	x := c.enrol("SN-1", region1)
	l := newLog(t, x.id)
	l.grow(30, "record")
	post := func(p wire.CheckpointPut) (wire.CheckpointReply, *wire.Problem) {
		t.Helper()
		var r wire.CheckpointReply
		_, problem := x.call("POST", wire.PathCheckpoints(x.id), p, &r)
		return r, problem
	}
	good := func(p wire.CheckpointPut, size int64) {
		t.Helper()
		r, problem := post(p)
		if problem != nil {
			t.Fatalf("refused: %v", problem)
		}
		for name, key := range map[string]*seal.PublicKey{oplog.Origin(l.key.Public()): l.key.Public(), oplog.CountyName: c.Keys().Sign.Public()} {
			cp, err := oplog.OpenCheckpoint([]byte(r.Note), name, key)
			if err != nil || cp.Size != size || r.Size != size {
				t.Fatalf("signature of %s: size %d, want %d: %v", name, cp.Size, size, err)
			}
		}
	}
	bad := func(what string, p wire.CheckpointPut, code wire.Code) *wire.Problem {
		t.Helper()
		_, problem := post(p)
		if problem == nil || problem.Code != code {
			t.Fatalf("%s: %v, want %s", what, problem, code)
		}
		return problem
	}
	unknown := l.put(0, 10)
	unknown.PublicKey = nil
	bad("key not known yet", unknown, wire.CodeLogSignature)
	good(l.put(0, 10), 10)
	good(l.put(10, 17), 17)
	without := l.put(17, 20)
	without.PublicKey = nil // known by now
	good(without, 20)
	good(l.put(20, 20), 20) // the same again
	// The answer to 20 got lost: the county says from where, without an alarm.
	if p := bad("proof begins too early", l.put(17, 25), wire.CodeLogSmaller); p.Size != 20 {
		t.Errorf("proof wanted from %d", p.Size)
	}
	if row, err := c.Log(t.Context(), x.id); err != nil || row.Alarm != "" {
		t.Errorf("a lost answer alarms: %q %v", row.Alarm, err)
	}
	good(l.put(20, 25), 25)

	if p := bad("smaller", l.put(0, 24), wire.CodeLogSmaller); p.Size != 25 {
		t.Errorf("smaller names %d", p.Size)
	}
	forked := newLog(t, x.id)
	forked.key, forked.origin = l.key, l.origin
	forked.leaves = append(forked.leaves, l.leaves[:12]...)
	forked.grow(18, "another history")
	bad("same size, other root", forked.put(25, 25), wire.CodeLogForked)
	bad("forked", forked.put(25, 30), wire.CodeLogForked)
	noProof := l.put(25, 30)
	noProof.Proof = nil
	bad("no proof", noProof, wire.CodeLogForked)
	thief := newLog(t, x.id)
	thief.leaves = l.leaves
	bad("another key", thief.put(25, 30), wire.CodeLogSignature)
	another := newLog(t, "other")
	another.key, another.leaves = l.key, l.leaves
	bad("another terminal's log", another.put(25, 30), wire.CodeLogSignature)
	broken := l.put(25, 30)
	broken.Note += "x"
	bad("broken note", broken, wire.CodeLogSignature)

	row, err := c.Log(t.Context(), x.id)
	if err != nil || row.Size != 25 || row.Alarm == "" {
		t.Errorf("remembered: %+v %v", row, err)
	}
	if err := c.ClearAlarm(t.Context(), x.id, "admin"); err != nil {
		t.Fatal(err)
	}
	good(l.put(25, 30), 30)

	// A machine that was set up anew: new enrolment, new key, new log.
	x = c.enrol("SN-1", region1)
	old := l
	l = newLog(t, x.id)
	l.grow(3, "new machine")
	good(l.put(0, 2), 2)
	// Receipts of the old log are checked for years: its key is kept.
	keys, err := c.LogKeys(t.Context(), x.id)
	if err != nil || len(keys) != 2 || keys[0].ID() != l.key.Public().ID() || keys[1].ID() != old.key.Public().ID() {
		t.Errorf("keys of the logs: %v %v", keys, err)
	}
	bad("its old log", thief.put(0, 30), wire.CodeLogSignature)
}
