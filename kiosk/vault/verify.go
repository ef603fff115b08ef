package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
)

// LogReport is what LogVerify found.
type LogReport struct {
	oplog.Report
	Uncovered int64      // records after the last checkpoint
	Bad       *oplog.Bad // nil: the log is whole
	Took      time.Duration
}

// LogVerify checks every record that was not pruned with the columns beside it,
// every node of the tree, every checkpoint and seed, and the state of the log,
// while others go on working. When something is wrong, the report and the error
// name the first bad record (*oplog.Bad), and it is an incident. progress may be
// nil. What it found is in the log itself.
//
// It finds whatever was changed by somebody who does not have the log's signing
// key. That key lies in the vault, so that who opens the vault has it; what such
// a one can still hide here, and who sees it all the same, stands at the top of
// tamper_test.go.
func (v *Vault) LogVerify(ctx context.Context, progress func(done, total int64)) (rep LogReport, err error) {
	const what = "verify the log"
	start := v.o.Now()
	db, err := v.reader(ctx, what)
	if err != nil {
		return rep, err
	}
	ver, err := v.verifyAll(ctx, db, progress)
	if ver == nil {
		return rep, v.fail(what, err)
	}
	rep.Report, rep.Bad = ver.Report(), oplog.AsBad(err)
	last, _ := ver.Last()
	rep.Uncovered, rep.Took = ver.Size()-last.Size, v.o.Now().Sub(start)
	if err != nil && rep.Bad == nil {
		return rep, v.fail(what, err)
	}
	e := oplog.Entry{Event: oplog.LogVerify, Fields: map[string]string{"size": strconv.FormatInt(ver.Size(), 10)}}
	if rep.Bad != nil {
		e.Outcome, e.Fields["bad"] = oplog.Failed, strconv.FormatInt(rep.Bad.Seq, 10)
		v.tell(Incident{Kind: IncidentLog, Text: "操作日志核验不过：" + rep.Bad.Text() + "请马上报告县里，不要重装终端。", Detail: rep.Bad.Error()})
	}
	if _, e := v.Record(ctx, e); e != nil {
		return rep, errors.Join(err, e)
	}
	if err != nil {
		return rep, fmt.Errorf("vault: %s: %w", what, err)
	}
	return rep, nil
}

// verifyAll is LogVerify's reading part: nobody prunes meanwhile. The verifier
// is nil when it could not begin.
func (v *Vault) verifyAll(ctx context.Context, db *sql.DB, progress func(done, total int64)) (*oplog.Verifier, error) {
	v.logMu.RLock()
	defer v.logMu.RUnlock()
	claim, err := v.logClaim(ctx, db)
	if err != nil {
		return nil, err
	}
	if v.o.blind.checkpoints {
		claim.notes, claim.blind = nil, true
	}
	ver, err := v.verifier(ctx, claim.start)
	if err != nil {
		return nil, err
	}
	return ver, v.verify(ctx, db, ver, claim, progress)
}

// verifier makes a Verifier with the keys that the vault has.
func (v *Vault) verifier(ctx context.Context, start *oplog.Tree) (*oplog.Verifier, error) {
	county, err := v.countyKeys(ctx)
	if err != nil {
		return nil, err
	}
	return oplog.NewVerifier(oplog.VerifyOptions{Origin: v.origin, Start: start,
		Keys: oplog.Keys{Terminal: []*seal.PublicKey{v.PublicKey()}, County: county}})
}

// countyKeys are the keys with which the county signs and signed before; none
// before enrolment.
func (v *Vault) countyKeys(ctx context.Context) (out []*seal.PublicKey, err error) {
	names, err := v.Keys(ctx, prefixFormerSign)
	if err != nil {
		return nil, err
	}
	for _, name := range append([]string{keyCountySign}, names...) {
		pem, ok, err := v.Get(ctx, name)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		k, err := seal.ParsePublicKey(pem)
		if err != nil {
			v.log.Warn("vault: a signing key of the county is not usable, its signatures are not looked at", "key", name, "err", err)
			continue
		}
		out = append(out, k)
	}
	return out, nil
}

// verify walks over everything and then looks at the end. Whatever is wrong
// beside the records waits until they were read, so that the first record that
// is not true any more is named whatever else is wrong.
func (v *Vault) verify(ctx context.Context, db *sql.DB, ver *oplog.Verifier, claim *logClaim, progress func(done, total int64)) error {
	size := claim.size
	if err := v.walk(ctx, db, ver, claim, size, progress); err != nil {
		return claim.lower(err)
	}
	if len(claim.notes) > 0 { // a checkpoint of more records than there are
		if _, err := ver.Checkpoint(claim.notes[0].note); err != nil {
			return claim.lower(err)
		}
		return claim.lower(claim.note(claim.notes[0], "it covers more records than there are"))
	}
	if err := ver.Finish(); err != nil {
		return claim.lower(err)
	}
	switch at := ver.Size(); {
	case at < size:
		return claim.lower(&oplog.Bad{Seq: at, Last: size - 1, Kind: oplog.BadCut,
			What: fmt.Sprintf("the tree state knows of %d records, there are %d", size, at)})
	case claim.rows > size:
		return claim.lower(&oplog.Bad{Seq: size, Last: claim.rows - 1, Kind: oplog.BadOrder,
			What: fmt.Sprintf("records after the %d that the tree state knows of", size)})
	case !seal.Equal(claim.root, ver.Tree().Root()):
		return claim.lower(&oplog.Bad{Seq: max(at-1, 0), Last: max(at-1, 0), Kind: oplog.BadRoot, What: "the tree state has another root than the records"})
	}
	if err := claim.finish(); err != nil {
		return err
	}
	if progress != nil {
		progress(size, size)
	}
	return nil
}

// walk gives a Verifier the checkpoints and the records of a claim up to a
// size, and compares everything that lies beside the records with them.
func (v *Vault) walk(ctx context.Context, db *sql.DB, ver *oplog.Verifier, claim *logClaim, to int64, progress func(done, total int64)) error {
	if err := keptNodes(db, claim.start); err != nil {
		return err
	}
	if err := claim.take(ver); err != nil {
		return err
	}
	if err := claim.began(ver); err != nil {
		return err
	}
	return v.blocks(ctx, db, claim.start.Size(), to, claim.notes, ver.ReadNote, func(b *block) error {
		for i := range b.rows {
			row := &b.rows[i]
			at := ver.Size()
			stored := b.nodesOf(at, row.seq)
			if v.o.blind.nodes {
				stored = nil
			}
			r, err := ver.Take(row.read, stored)
			if err != nil {
				return err
			}
			if row.beside != "" && !v.o.blind.columns {
				return &oplog.Bad{Seq: at, Last: at, Kind: oplog.BadContent, What: row.beside}
			}
			claim.hear(r)
			if err := claim.take(ver); err != nil {
				return err
			}
		}
		if at := ver.Size(); at < b.to {
			if claim.rows <= at {
				return &oplog.Bad{Seq: at, Last: claim.size - 1, Kind: oplog.BadCut, What: "the records end here, the tree state knows of more"}
			}
			return &oplog.Bad{Seq: at, Last: at, Kind: oplog.BadOrder, What: "the record is missing"}
		}
		if progress != nil {
			progress(ver.Size(), claim.size)
		}
		return nil
	})
}

// keptNodes checks that the nodes of the state that a pruned log begins after
// are kept: proofs need them.
func keptNodes(db *sql.DB, start *oplog.Tree) error {
	if start.Size() == 0 {
		return nil
	}
	kept, err := oplog.TreeAt(start.Size(), nodes(db))
	if err != nil && !errors.Is(err, sql.ErrNoRows) && !errors.Is(err, oplog.ErrTree) {
		return err
	}
	if err != nil || !seal.Equal(kept.Root(), start.Root()) {
		return &oplog.Bad{Seq: start.Size(), Last: start.Size(), Kind: oplog.BadContent, What: "a tree node of what was pruned is missing or changed"}
	}
	return nil
}

// nodesOf are the stored nodes that a record completed, the leaf first; nil for
// one that is missing. at is the record that should come, seq the one that did:
// when they differ, the verifier names it without nodes.
func (b *block) nodesOf(at, seq int64) [][]byte {
	if at != seq || at < b.from || at >= b.to {
		return nil
	}
	id := tlog.StoredHashIndex(0, at) - b.firstNode
	n := tlog.StoredHashIndex(0, at+1) - b.firstNode
	return b.nodes[id:n]
}
