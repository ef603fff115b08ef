package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
)

// CheckReport is what Check found.
type CheckReport struct {
	Structure string // SQLite's words about a damaged structure; "" = it is whole
	Items     int    // unsettled items that were looked at
	Bodies    int    // of them, with a body that is missing or not what was saved
	Scans     int    // scans that are missing or not what was saved
	Took      time.Duration
}

// Whole reports whether nothing was found.
func (r CheckReport) Whole() bool { return r.Structure == "" && r.Bodies == 0 && r.Scans == 0 }

// Check reads everything that a start only samples in a big database: the
// structure of every table and index, and of what the county does not have yet
// every sealed byte. It takes as long as reading the file does, and while SQLite
// looks at a table nobody else has the database: it is for the night, and a ctx
// that ends interrupts it at once. The log has a check of its own, LogVerify.
//
// What it finds is in the log and among the Incidents; a damaged structure makes
// the next start check everything too, and set the file aside if it is so.
func (v *Vault) Check(ctx context.Context) (rep CheckReport, err error) {
	const what = "check the vault"
	start := v.o.Now()
	if rep.Structure, err = v.checkStructure(ctx); err != nil {
		return rep, v.fail(what, err)
	}
	if rep.Structure == "" { // else reading it would say the same in other words
		if err := v.checkUnsettled(ctx, &rep); err != nil {
			return rep, v.fail(what, err)
		}
	}
	rep.Took = v.o.Now().Sub(start)
	e := oplog.Entry{Event: oplog.VaultCheck, Fields: map[string]string{"items": strconv.Itoa(rep.Items),
		"ms": strconv.FormatInt(rep.Took.Milliseconds(), 10)}}
	if !rep.Whole() {
		e.Outcome, e.Fields["bad"] = oplog.Failed, strconv.Itoa(rep.Bodies+rep.Scans)
		e.Fields["reason"] = rep.Structure
		v.tell(Incident{Kind: IncidentFound, Text: rep.text(), Detail: rep.detail()})
	}
	return rep, v.change(ctx, what, func(c *change) error {
		_, err := c.record(lawful(e), nil)
		if err == nil && rep.Structure != "" {
			err = c.exec("INSERT INTO meta(key, val) VALUES(?,?) ON CONFLICT(key) DO UPDATE SET val=excluded.val", metaSuspect, []byte("1"))
		}
		return err
	})
}

func (r CheckReport) text() string {
	if r.Structure != "" {
		return "检查发现本机数据文件有损坏。请联系县里技术员：先核对没有上传的办件，再重启终端，损坏的文件会另存，不会删除。"
	}
	return fmt.Sprintf("检查发现有 %d 件没有上传的办件内容损坏、%d 页扫描件损坏或不见了。请联系县里，并请办事人重新提交。", r.Bodies, r.Scans)
}

func (r CheckReport) detail() string {
	if r.Structure != "" {
		return r.Structure
	}
	return fmt.Sprintf("%d bodies and %d scans of %d open outbox items are not what was saved", r.Bodies, r.Scans, r.Items)
}

// checkStructure runs quick_check on one table after the other, so that others
// have the database in between. words is "" when all are whole.
func (v *Vault) checkStructure(ctx context.Context) (words string, err error) {
	db, err := v.reader(ctx, "check the structure")
	if err != nil {
		return "", err
	}
	rows, err := db.QueryContext(ctx, "SELECT name FROM sqlite_schema WHERE type='table'")
	if err != nil {
		return "", err
	}
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return "", errors.Join(err, rows.Close())
		}
		tables = append(tables, name)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return "", err
	}
	// What lies in SQLite's cache would be found whole, whatever the disk says.
	if _, err := db.ExecContext(ctx, "PRAGMA shrink_memory"); err != nil {
		return "", err
	}
	for _, name := range tables {
		var word string
		err := db.QueryRowContext(ctx, "PRAGMA quick_check('"+name+"')").Scan(&word)
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case err != nil && isDamage(v.fail("look at a table", err)):
			return name + ": " + err.Error(), nil
		case err != nil:
			return "", err
		case word != "ok":
			return name + ": " + word, nil
		}
	}
	return "", nil
}

// checkUnsettled compares what the county does not have yet with the digests
// under which it was saved, one item at a time.
func (v *Vault) checkUnsettled(ctx context.Context, rep *CheckReport) error {
	db, err := v.reader(ctx, "look at unsettled items")
	if err != nil {
		return err
	}
	its, err := selectItems(db, "WHERE o.open IN (?,?) ORDER BY o.num", openActive, openAside)
	if err != nil {
		return err
	}
	for _, it := range its {
		if err := ctx.Err(); err != nil {
			return err
		}
		var body []byte
		err := db.QueryRowContext(ctx, "SELECT body FROM bodies WHERE num=?", it.num).Scan(&body)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		settled := false
		if err != nil || !seal.Equal(seal.Digest(body), it.Digest) {
			// It may have been settled and destroyed meanwhile.
			if settled, err = v.settledSince(ctx, it.num); err != nil {
				return err
			}
			if !settled {
				rep.Bodies++
			}
		}
		if settled {
			continue
		}
		rep.Items++
		files, err := readFiles(db, it.CaseID, it.Revision)
		if err != nil {
			return err
		}
		for _, f := range files {
			if f.Done || v.scanWhole(it.CaseID, f.Name, f.Digest) {
				continue
			}
			if settled, err := v.settledSince(ctx, it.num); err != nil {
				return err
			} else if !settled {
				rep.Scans++
			}
		}
	}
	return nil
}

func (v *Vault) settledSince(ctx context.Context, num int64) (bool, error) {
	db, err := v.reader(ctx, "look at an item")
	if err != nil {
		return false, err
	}
	var open bool
	err = db.QueryRowContext(ctx, "SELECT open IS NOT NULL FROM outbox WHERE num=?", num).Scan(&open)
	return !open, err
}

// scanWhole reports whether a scan is on the disk as it was saved.
func (v *Vault) scanWhole(caseID, name string, digest []byte) bool {
	f, err := v.fs.Open(v.scan(caseID, name))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // only read from
	n, err := f.Size()
	if err != nil {
		return false
	}
	h := seal.NewHash()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, n)); err != nil {
		return false
	}
	return seal.Equal(h.Sum(nil), digest)
}
