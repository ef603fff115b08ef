package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
	"cunban/kiosk/vault/faultfs"
)

// promise is what the vault said about a case before the power went.
type promise struct {
	state cases.State
	// maybe is the state that an operation under way may have reached.
	maybe cases.State
}

// ledger is all that a vault promised, and what an operation under way may have
// done beyond that.
type ledger struct {
	cases    map[string]promise
	line     []byte // newest log record that a method answered after
	seq      int64  // its number
	note     []byte // newest checkpoint that was handed out
	size     int64  // its size
	first    int64  // where the log begins at least
	setting  string // value of testSetting
	settings string // value that it may have
	key      []byte // data key; nil before the first start ended
	rekeying bool
	counted  int64 // checkpoint that the county signed too
}

// testSetting is a setting that the lives of the tests change.
const testSetting = "terminal/note"

func newLedger() *ledger { return &ledger{cases: map[string]promise{}} }

func (l *ledger) clone() *ledger {
	c := *l
	c.cases = maps.Clone(l.cases)
	return &c
}

// told notes what a vault shows of itself after a method answered.
func (l *ledger) told(b *bench) error {
	l.seq = b.v.tree.Size() - 1
	return b.v.db.QueryRow("SELECT rec FROM log_records WHERE seq=?", l.seq).Scan(&l.line)
}

// settle ends what was open when the power went: from here on, what the vault
// shows is what it promises.
func (l *ledger) settle(b *bench, disk *faultfs.Disk) error {
	ctx := context.Background()
	for id := range l.cases {
		c, err := b.v.Case(ctx, id)
		if errors.Is(err, cases.ErrNotFound) {
			delete(l.cases, id)
			continue
		}
		if err != nil {
			return err
		}
		l.cases[id] = promise{state: c.State}
	}
	val, _, err := b.v.Get(ctx, testSetting)
	if err != nil {
		return err
	}
	l.setting, l.settings = string(val), string(val)
	if l.key, err = readDataKey(disk, b.o.Dir, newMemKey().key); err != nil {
		return err
	}
	l.rekeying = false
	return l.told(b)
}

// broken compares a vault that was just opened with what was promised, and
// looks whether anything in it is half-done.
func (l *ledger) broken(b *bench, disk *faultfs.Disk) (out []string) {
	ctx := context.Background()
	out = broke(b, l.cases)
	bad := func(format string, a ...any) { out = append(out, fmt.Sprintf(format, a...)) }
	st, err := b.v.LogState(ctx)
	if err != nil {
		bad("log state: %v", err)
	}
	var line, note []byte
	if l.line != nil {
		if err := b.v.db.QueryRow("SELECT rec FROM log_records WHERE seq=?", l.seq).Scan(&line); err != nil || !bytes.Equal(line, l.line) {
			bad("record %d is not the one that was promised: %v", l.seq, err)
		}
	}
	if l.note != nil {
		if err := b.v.db.QueryRow("SELECT note FROM checkpoints WHERE size=?", l.size).Scan(&note); err != nil || l.counted != l.size && !bytes.HasPrefix(note, l.note) {
			bad("checkpoint of %d is not the one that was handed out: %v", l.size, err)
		}
	}
	if st.First < l.first || st.Countersigned < l.counted {
		bad("the log begins at %d and is countersigned to %d, promised were %d and %d", st.First, st.Countersigned, l.first, l.counted)
	}
	if val, _, err := b.v.Get(ctx, testSetting); err != nil || string(val) != l.setting && string(val) != l.settings {
		bad("a setting is %q instead of %q (perhaps %q): %v", val, l.setting, l.settings, err)
	}
	key, err := readDataKey(disk, b.o.Dir, newMemKey().key)
	if err != nil {
		bad("data key: %v", err)
	} else if l.key != nil && !bytes.Equal(key, l.key) && !l.rekeying {
		bad("another data key")
	}
	for _, name := range strangers(b.t, disk, b.o.Dir) {
		bad("%s is left in the vault's folder", name)
	}
	return append(append(out, halfDone(b)...), scansWrong(b, disk)...)
}

// broke compares the vault's cases, outbox and log with what was promised.
func broke(b *bench, promised map[string]promise) (broken []string) {
	ctx := context.Background()
	bad := func(format string, a ...any) { broken = append(broken, fmt.Sprintf(format, a...)) }
	if len(b.v.Incidents()) > 0 {
		bad("incidents: %+v", b.v.Incidents())
	}
	all, err := b.v.List(ctx, cases.Query{})
	if err != nil {
		bad("list: %v", err)
	}
	submissions, err := b.v.LogQuery(ctx, LogFilter{Event: oplog.CaseSubmit})
	if err != nil {
		bad("log query: %v", err)
	}
	records := map[string][]int64{}
	for _, r := range submissions {
		records[r.CaseID] = append(records[r.CaseID], r.Seq)
	}
	st, err := b.v.LogState(ctx)
	if err != nil {
		bad("log state: %v", err)
	}
	have := map[string]cases.Case{}
	for _, c := range all {
		have[c.ID] = c
		p, known := promised[c.ID]
		if !known || c.State != p.state && c.State != p.maybe {
			bad("case %s was reported as %q (perhaps %q) and is %s", c.ID, p.state, p.maybe, c.State)
		}
		rs := records[c.ID]
		if c.LogIndex >= st.First && (!slices.Contains(rs, c.LogIndex) || slices.Max(rs) != c.LogIndex || len(rs) > c.Revision) {
			bad("case %s, revision %d, says it is record %d and has records %v", c.ID, c.Revision, c.LogIndex, rs)
		}
	}
	for id, p := range promised {
		if _, ok := have[id]; !ok && p.state != "" {
			bad("case %s was reported as %s and is gone", id, p.state)
		}
	}
	items, err := b.v.Items(ctx)
	if err != nil {
		bad("items: %v", err)
	}
	open := map[string]bool{}
	for _, it := range items {
		open[it.CaseID] = true
		for _, f := range it.Files {
			if err := fileWhole(b.v, it.CaseID, f); err != nil {
				bad("case %s: %v", it.CaseID, err)
			}
		}
	}
	for _, c := range all {
		if open[c.ID] != c.State.Unsent() {
			bad("case %s is %s, in the outbox: %t", c.ID, c.State, open[c.ID])
		}
	}
	if n, err := b.v.Counts(ctx); err != nil || n.Waiting+n.Attention != len(items) || n.Total != n.Waiting+n.Done+n.Attention {
		bad("counts %+v of %d cases and %d items, %v", n, len(all), len(items), err)
	}
	if _, err := b.v.LogVerify(ctx, nil); err != nil {
		bad("log: %v", err)
	}
	if audit, err := b.v.audit(ctx, ""); err != nil || !audit.Agrees() {
		bad("the cases are not what the log says: %s, %v", audit.Detail(), err)
	}
	return broken
}

// halfDone looks for what one transaction should have done together.
func halfDone(b *bench) (broken []string) {
	for what, query := range map[string]string{
		"unsent items without a body": "SELECT count(*) FROM outbox o WHERE o.open IS NOT NULL AND NOT EXISTS(SELECT 1 FROM bodies WHERE num=o.num)",
		"cases without a timeline":    "SELECT count(*) FROM cases c WHERE NOT EXISTS(SELECT 1 FROM events WHERE case_id=c.id)",
		"cases without an item":       "SELECT count(*) FROM cases c WHERE NOT EXISTS(SELECT 1 FROM outbox WHERE case_id=c.id)",
		// What was in a case is destroyed wholly or not at all.
		"cases of which a part was destroyed": "SELECT count(*) FROM cases c WHERE (SELECT count(*) FROM bodies b JOIN outbox o ON o.num=b.num WHERE o.case_id=c.id)" +
			" NOT IN (0, (SELECT count(*) FROM outbox WHERE case_id=c.id))",
		"scans of cases that were destroyed": "SELECT count(*) FROM files f WHERE NOT EXISTS(SELECT 1 FROM bodies b JOIN outbox o ON o.num=b.num WHERE o.case_id=f.case_id)",
		"counts that are wrong":              "SELECT count(*) FROM counts WHERE n<>(SELECT count(*) FROM outbox WHERE outbox.state=counts.state)",
	} {
		var n int
		if err := b.v.db.QueryRow(query).Scan(&n); err != nil || n != 0 {
			broken = append(broken, fmt.Sprintf("%d %s, %v", n, what, err))
		}
	}
	return broken
}

// scansWrong compares the scans on the disk with the rows that name them: each
// whole, and none that no row names.
func scansWrong(b *bench, disk *faultfs.Disk) (broken []string) {
	bad := func(format string, a ...any) { broken = append(broken, fmt.Sprintf(format, a...)) }
	found := map[string]bool{}
	dirs, err := disk.List(b.v.path(scansName))
	if err != nil {
		bad("scans: %v", err)
	}
	for _, dir := range dirs {
		names, err := disk.List(b.v.scan(dir))
		if err != nil {
			bad("scans: %v", err)
		}
		for _, n := range names {
			found[dir+"/"+n] = true
		}
	}
	rows, err := b.v.db.Query("SELECT case_id, name, size, digest FROM files")
	if err != nil {
		return append(broken, fmt.Sprintf("scans: %v", err))
	}
	defer func() { _ = rows.Close() }() // only read
	for rows.Next() {
		var id string
		var f cases.QueuedFile
		if err := rows.Scan(&id, &f.Name, &f.Size, &f.Digest); err != nil {
			return append(broken, fmt.Sprintf("scans: %v", err))
		}
		delete(found, id+"/"+f.Name)
		if err := fileWhole(b.v, id, f); err != nil {
			bad("case %s: %v", id, err)
		}
	}
	if err := rows.Err(); err != nil {
		bad("scans: %v", err)
	}
	for name := range found {
		bad("scan %s belongs to nothing", name)
	}
	return broken
}

func fileWhole(v *Vault, id string, f cases.QueuedFile) error {
	r, n, err := v.OpenFile(context.Background(), id, f.Name)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	if n != f.Size || !seal.Equal(seal.Digest(data), f.Digest) {
		return fmt.Errorf("file %s is not what was saved", f.Name)
	}
	return nil
}
