package vault

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
	"cunban/kiosk/vault/carve"
	"cunban/kiosk/vault/cryptfile"
	"cunban/kiosk/vault/keys"
)

// Salvaged tells what was read out of a vault that was set aside.
type Salvaged struct {
	Aside  string // the mark of what was set aside
	Origin string // of its log, "" when it cannot be told
	Size   int64  // records of its log that could be read, counted to the highest
	Bodies int    // sealed bodies that could be read
	Queued int    // cases that are in this vault's queue now
	Known  int    // cases that were here already, or that the county has
	Lost   int    // unsettled cases whose body could not be read, or whose bodies nothing names
	Pages  int    // scans of queued cases that could not be read
}

// Aside lists the marks of vaults that were set aside and are there still, the
// oldest first.
func (v *Vault) Aside(ctx context.Context) (marks []string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("vault: look for what was set aside: %w", err)
	}
	names, err := v.fs.List(v.o.Dir)
	if err != nil {
		return nil, fmt.Errorf("vault: look for what was set aside: %w", err)
	}
	for _, n := range names {
		if mark, ok := strings.CutPrefix(n, dbName+asideMark); ok {
			marks = append(marks, mark)
		}
	}
	slices.Sort(marks)
	return marks, nil
}

// Salvage reads what can be read of a vault that was set aside, and puts the
// cases that the county does not have into the queue of this one: they are
// sealed for the county, so that they can be delivered as they are. What was set
// aside is only read, page by page, and stays. Each case is one transaction with
// its log record, and a record of the whole tells of the old log. It may be
// called again: what is here already is left alone.
//
// A body counts only with the digest that the queue, the case or the log names,
// so that damage is never taken for content. A queued case keeps its owner's
// index of the old vault until its owner asks, see Reclaim. Errors: fs.ErrNotExist; cryptfile.ErrWrongKey when the file's header is
// damaged, or when the data key was changed since.
func (v *Vault) Salvage(ctx context.Context, mark string) (rep Salvaged, err error) {
	const what = "salvage"
	rep.Aside = mark
	if strings.ContainsAny(mark, "/\\") {
		return rep, fmt.Errorf("vault: %s: %w: %.40q", what, ErrName, mark)
	}
	w, err := v.readWreck(ctx, asideMark+mark)
	if err != nil {
		return rep, v.fail(what, err)
	}
	rep.Origin, rep.Size, rep.Bodies = w.origin, w.size, len(w.bodies)
	found, lost := w.unsettled()
	rep.Lost = lost
	if err := v.keepOwnerKey(ctx, mark, w.owner); err != nil {
		return rep, err
	}
	for _, u := range found {
		if err := ctx.Err(); err != nil {
			return rep, fmt.Errorf("vault: %s: %w", what, err)
		}
		took, missing, err := v.adopt(ctx, asideMark+mark, u)
		if err != nil {
			return rep, err
		}
		if !took {
			rep.Known++
			continue
		}
		rep.Queued++
		rep.Pages += missing
	}
	rep.Known += w.settled
	e := oplog.Entry{Event: oplog.VaultSalvage, Fields: map[string]string{"aside": mark, "origin": rep.Origin,
		"size": strconv.FormatInt(rep.Size, 10), "count": strconv.Itoa(rep.Queued), "lost": strconv.Itoa(rep.Lost), "pages": strconv.Itoa(rep.Pages)}}
	if rep.Lost+rep.Pages > 0 {
		e.Outcome = oplog.Failed
	}
	_, err = v.Record(ctx, lawful(e))
	return rep, err
}

// wreck is what was read of a vault that was set aside.
type wreck struct {
	bodies  map[string]body // by digest
	items   map[string]claimed
	cases   map[string]cases.Case
	submits map[string]claimed // by the body's digest, from the log
	over    map[string]bool    // cases that were withdrawn, from the log
	files   map[string][]cases.QueuedFile
	origin  string
	owner   []byte // key of the old vault's OwnerIndex, nil when it is lost
	size    int64
	settled int
}

type body struct{ envelope, body []byte }

// claimed is what one place says about a revision of a case.
type claimed struct {
	id, service, keyID string
	rev                int
	digest             []byte
	saved              time.Time
	settled            bool
	catalogue, mode    string
}

// readWreck reads every page of the database that was set aside with its WAL.
func (v *Vault) readWreck(ctx context.Context, suffix string) (*wreck, error) {
	db, size, err := v.openAside(dbName + suffix)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }() // only read from
	var wal io.ReaderAt
	walFile, walSize, err := v.openAside(dbName + "-wal" + suffix)
	switch {
	case err == nil:
		defer func() { _ = walFile.Close() }() // only read from
		wal = walFile
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, cryptfile.ErrWrongKey), errors.Is(err, io.EOF):
		// None, or damaged: the database is still there.
	default:
		return nil, err
	}
	pages := carve.Open(db, size, wal, walSize)
	w := &wreck{bodies: map[string]body{}, items: map[string]claimed{}, cases: map[string]cases.Case{}, submits: map[string]claimed{},
		over: map[string]bool{}, files: map[string][]cases.QueuedFile{}}
	pages.Rows(func(r carve.Row) {
		if ctx.Err() == nil {
			w.row(r)
		}
	})
	// A body and a record prove themselves, wherever they stand.
	pages.OldRows(func(r carve.Row) {
		if ctx.Err() == nil && len(r.Cols) <= logColumns {
			w.row(r)
		}
	})
	return w, ctx.Err()
}

func (v *Vault) openAside(name string) (*cryptfile.Sealed, int64, error) {
	f, err := cryptfile.Open(v.fs, v.path(name), v.mount.Key)
	if err != nil {
		return nil, 0, err
	}
	n, err := f.Size()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, n, nil
}

// Numbers of columns by which tables are told apart; see migrations.
const (
	metaColumns = 2
	bodyColumns = 3
	logColumns  = 5
	caseColumns = 7
	fileColumns = 10
	itemColumns = 16
)

// col gives a column of a type; ok is false when it has another.
func col[T any](r carve.Row, i int) (v T) {
	v, _ = r.Cols[i].(T)
	return v
}

// row takes a row of any table for what it looks like.
func (w *wreck) row(r carve.Row) {
	switch len(r.Cols) {
	case metaColumns:
		if secret := col[[]byte](r, 1); col[string](r, 0) == metaSecret && len(secret) == keys.Size {
			w.owner = ownerKey(secret)
		}
	case bodyColumns:
		b := body{col[[]byte](r, 1), col[[]byte](r, 2)}
		if len(b.envelope) > 0 && len(b.body) >= seal.Overhead {
			w.bodies[hex.EncodeToString(seal.Digest(b.body))] = b
		}
	case logColumns:
		w.record(col[[]byte](r, 3))
	case caseColumns:
		var cs cases.Case
		if json.Unmarshal(col[[]byte](r, 6), &cs) == nil && reCase.MatchString(cs.ID) && cs.ID == col[string](r, 1) {
			w.cases[cs.ID] = cs
		}
	case fileColumns:
		id, f := col[string](r, 0), cases.QueuedFile{Name: col[string](r, 1), Material: col[string](r, 3), Page: int(col[int64](r, 4)),
			MIME: col[string](r, 5), Size: col[int64](r, 6), Digest: col[[]byte](r, 7)}
		if reCase.MatchString(id) && reFile.MatchString(f.Name) && len(f.Digest) == seal.DigestSize {
			w.files[id] = append(w.files[id], f)
		}
	case itemColumns:
		c := claimed{id: col[string](r, 1), rev: int(col[int64](r, 2)), service: col[string](r, 3), settled: r.Cols[5] == nil,
			saved: time.Unix(0, col[int64](r, 12)), keyID: col[string](r, 13), digest: col[[]byte](r, 14)}
		if reCase.MatchString(c.id) && len(c.digest) == seal.DigestSize {
			w.items[hex.EncodeToString(c.digest)] = c
		}
	}
}

// record takes a log record.
func (w *wreck) record(line []byte) {
	r, err := oplog.Decode(line)
	if err != nil {
		if cp, err := oplog.PeekCheckpoint(line); err == nil { // a row of checkpoints
			w.origin = cp.Origin
		}
		return
	}
	w.size = max(w.size, r.Seq+1)
	switch r.Event {
	case oplog.CaseSubmit:
		rev, err := strconv.Atoi(r.Fields["revision"])
		digest, err2 := hex.DecodeString(r.Fields["body"])
		if err != nil || err2 != nil || !reCase.MatchString(r.CaseID) {
			return
		}
		w.submits[r.Fields["body"]] = claimed{id: r.CaseID, rev: rev, service: r.Fields["service"], keyID: r.Fields["key"],
			digest: digest, saved: r.Wall, catalogue: r.Fields["catalogue"], mode: r.Fields["mode"]}
	case oplog.CaseWithdraw, oplog.CaseShred:
		w.over[r.CaseID] = true
	}
}

// unsent is a case that the county may not have.
type unsent struct {
	cs       cases.Case
	envelope []byte
	body     []byte
	keyID    string
	files    []cases.QueuedFile
}

// unsettled puts together the newest revision of each case that is not known to
// be settled. lost counts those of which there is no body, and bodies of which
// nothing tells whose they are.
func (w *wreck) unsettled() (out []unsent, lost int) {
	newest := map[string]claimed{}
	see := func(c claimed) {
		if old, ok := newest[c.id]; !ok || c.rev > old.rev {
			newest[c.id] = c
		}
	}
	named := map[string]bool{}
	for d, c := range w.submits {
		named[d] = true
		if _, ok := w.items[d]; !ok {
			see(c)
		}
	}
	for d, c := range w.items {
		named[d] = true
		if l, ok := w.submits[d]; ok {
			c.catalogue, c.mode = l.catalogue, l.mode
		}
		see(c)
	}
	for id, cs := range w.cases {
		d := hex.EncodeToString(cs.BodyDigest)
		if !named[d] {
			named[d] = true
			see(claimed{id: id, rev: cs.Revision, service: cs.Service, digest: cs.BodyDigest, saved: cs.SavedAt, keyID: w.key()})
		}
	}
	for d := range w.bodies {
		if !named[d] {
			lost++
		}
	}
	region := w.region()
	for _, c := range newest {
		cs, have := w.cases[c.id]
		if c.settled || w.over[c.id] || have && cs.State == cases.Withdrawn {
			w.settled++
			continue
		}
		b, ok := w.bodies[hex.EncodeToString(c.digest)]
		if !ok {
			lost++
			continue
		}
		if !have || cs.Revision != c.rev {
			cs = cases.Case{ID: c.id, Service: c.service, Catalogue: c.catalogue, Owner: make([]byte, seal.DigestSize),
				Region: region, StartedAt: c.saved, SavedAt: c.saved, Mode: cases.Mode(c.mode)}
		}
		cs.Revision, cs.BodyDigest, cs.State = c.rev, c.digest, cases.Saved
		u := unsent{cs: cs, envelope: b.envelope, body: b.body, keyID: c.keyID}
		for _, f := range w.files[c.id] {
			if strings.HasPrefix(f.Name, strconv.Itoa(c.rev)+"-") {
				u.files = append(u.files, f)
			}
		}
		out = append(out, u)
	}
	slices.SortFunc(out, func(a, b unsent) int { return a.cs.SavedAt.Compare(b.cs.SavedAt) })
	return out, lost
}

// key is the county's key, by any case: where the queue and the log of one are
// lost, it is hardly another.
func (w *wreck) key() string {
	for _, c := range w.items {
		return c.keyID
	}
	for _, c := range w.submits {
		return c.keyID
	}
	return ""
}

// region is where the terminal stood, by any case.
func (w *wreck) region() string {
	for _, cs := range w.cases {
		if cs.Region != "" {
			return cs.Region
		}
	}
	return ""
}

const textSalvaged = "从损坏的数据文件里找回，已保存在本机，等待上传"

// adopt puts a case into the queue; took is false when it is here already.
// missing counts the scans that could not be read.
func (v *Vault) adopt(ctx context.Context, suffix string, u unsent) (took bool, missing int, err error) {
	const what = "take over a salvaged case"
	files, missing, err := v.asideScans(suffix, u)
	if err != nil {
		return false, 0, v.fail(what, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return false, 0, fmt.Errorf("vault: %s: %w", what, ErrClosed)
	}
	if _, err := readCase(v.db, u.cs.ID); err == nil {
		return false, 0, nil
	} else if !errors.Is(err, cases.ErrNotFound) {
		return false, 0, v.fail(what, err)
	}
	if err := v.fence(); err != nil {
		return false, 0, err
	}
	wrote, err := v.writeScans(u.cs.ID, files)
	if err != nil {
		v.removeScans(wrote)
		return false, 0, v.fail(what, err)
	}
	err = v.changeLocked(what, func(c *change) error { return c.adopt(u, files, missing) })
	if err != nil {
		v.condemned = append(v.condemned, wrote...) // see sweepCondemned
		return false, 0, err
	}
	return true, missing, nil
}

func (c *change) adopt(u unsent, files []cases.SealedFile, missing int) (err error) {
	cs := u.cs
	cs.UpdatedAt = c.now
	cs.LogIndex, err = c.record(lawful(oplog.Entry{Event: oplog.CaseSalvage, CaseID: cs.ID, Demo: cs.Demo, Fields: map[string]string{
		"service": cs.Service, "revision": strconv.Itoa(cs.Revision), "body": hex.EncodeToString(cs.BodyDigest), "key": u.keyID,
		"files": strconv.Itoa(len(files)), "lost": strconv.Itoa(missing),
	}}), nil)
	if err != nil {
		return err
	}
	return c.enqueue(cs, textSalvaged, u.keyID, u.envelope, u.body, files)
}

// asideScans reads the scans of a case that were set aside with its vault. Where
// the rows that describe them are lost, the names in the folder do.
func (v *Vault) asideScans(suffix string, u unsent) (out []cases.SealedFile, missing int, err error) {
	dir := v.path(scansName+suffix, u.cs.ID)
	names, err := v.fs.List(dir)
	if err != nil {
		return nil, 0, err
	}
	known := map[string]bool{}
	for _, f := range u.files {
		if known[f.Name] {
			continue
		}
		known[f.Name] = true
		sealed, err := v.readAside(dir, f.Name)
		if err != nil || !seal.Equal(seal.Digest(sealed), f.Digest) {
			missing++
			continue
		}
		out = append(out, cases.SealedFile{Name: f.Name, Material: f.Material, Page: f.Page, MIME: f.MIME, Sealed: sealed, Digest: f.Digest})
	}
	for _, n := range names {
		page, ok := strings.CutPrefix(n, strconv.Itoa(u.cs.Revision)+"-")
		if !ok || known[n] || !reFile.MatchString(n) || strings.HasSuffix(n, cryptfile.TempSuffix) {
			continue
		}
		sealed, err := v.readAside(dir, n)
		if err != nil {
			missing++
			continue
		}
		at, _ := strconv.Atoi(strings.TrimSuffix(page, ".sealed")) // 0 where it says nothing
		out = append(out, cases.SealedFile{Name: n, Page: at, Sealed: sealed, Digest: seal.Digest(sealed)})
	}
	return out, missing, nil
}

func (v *Vault) readAside(dir, name string) (sealed []byte, err error) {
	f, err := v.fs.Open(dir + "/" + name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := f.Size()
	if err != nil || n > cases.MaxScanBytes+seal.Overhead {
		return nil, errors.Join(err, fmt.Errorf("%d bytes", n))
	}
	sealed = make([]byte, n)
	if _, err = f.ReadAt(sealed, 0); errors.Is(err, io.EOF) {
		err = nil
	}
	return sealed, err
}
