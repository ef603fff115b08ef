package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
)

// Sizes of the audit.
const (
	auditPage = 100 // cases that one look at the database reads: some milliseconds
	auditIDs  = 500 // case numbers of the log that one look reads
	auditKept = 20  // disagreements that a report holds, the rest are counted
	auditID   = 64  // bytes of a case number that are shown
)

// aspect is one thing in which a case and the log can disagree; the words are
// for people.
type aspect string

// The closed set of aspects.
const (
	aspectCase       aspect = "办件不见了"
	aspectRecord     aspect = "日志里没有它的提交记录"
	aspectColumns    aspect = "索引和内容不一致"
	aspectService    aspect = "事项"
	aspectRevision   aspect = "第几次提交"
	aspectState      aspect = "状态"
	aspectAcceptance aspect = "受理编号"
	aspectDue        aspect = "办结期限"
	aspectMend       aspect = "补正项数"
	aspectMode       aspect = "办理方式"
	aspectCatalogue  aspect = "目录版本"
	aspectDemo       aspect = "演示标记"
	aspectDigest     aspect = "正文摘要"
	aspectKey        aspect = "县里公钥编号"
	aspectQueue      aspect = "待传状态"
	aspectAttempts   aspect = "上传次数"
	aspectBody       aspect = "密封正文"
	aspectFiles      aspect = "扫描件数"
	aspectTimeline   aspect = "办理经过"
)

// Disagreement is a case that is not what the log says of it.
type Disagreement struct {
	CaseID  string
	aspects []aspect
}

// Text names what disagrees, in plain Chinese.
func (d Disagreement) Text() string {
	words := make([]string, 0, len(d.aspects))
	for _, a := range d.aspects {
		words = append(words, string(a))
	}
	return strings.Join(words, "、")
}

// AuditReport is what Audit found.
type AuditReport struct {
	Cases int            // that were looked at
	Bad   int            // of them, or of those that are gone, so many disagree
	Found []Disagreement // the first of them
	Took  time.Duration
}

// Agrees reports whether nothing was found.
func (r AuditReport) Agrees() bool { return r.Bad == 0 }

// Text says in plain Chinese what was found; "" when nothing was.
func (r AuditReport) Text() string {
	if r.Agrees() {
		return ""
	}
	first := r.Found[0]
	text := fmt.Sprintf("办件 %s 和操作日志对不上：%s。", clip(first.CaseID, auditID), first.Text())
	if r.Bad > 1 {
		text = fmt.Sprintf("有 %d 件办件和操作日志对不上，第一件是 %s：%s。", r.Bad, clip(first.CaseID, auditID), first.Text())
	}
	return text + "可能有人改动过本机数据。请马上报告县里，不要重装终端。"
}

// Detail names the first of what was found, for technicians.
func (r AuditReport) Detail() string {
	parts := make([]string, 0, len(r.Found))
	for _, d := range r.Found {
		parts = append(parts, clip(d.CaseID, auditID)+": "+d.Text())
	}
	return fmt.Sprintf("%d of %d cases are not what the log says: %s", r.Bad, r.Cases, strings.Join(parts, "; "))
}

// Audit compares every case with what the records of the log say of it, and
// every submission in the log with the cases, a page at a time while others go
// on working. It relies on the log being whole: LogVerify comes first. A
// disagreement is an Incident, and what was found is in the log.
//
// The log commits to, and so is compared: that the case exists; its service,
// revision, mode, catalogue and whether it is of a demonstration; the digest of
// the sealed body, in the case and in the outbox, and the id of the key that it
// is sealed for; its state, the county's number, the day that the county named
// and, of a returned one, how many things are to be mended; of every revision
// whether its item is under way, set aside or settled and at least how often it
// was tried; how many scans there are; whether bodies and scans were destroyed;
// and the lines of the timeline, each with its state, its words as far as they
// do not come from the county, and its time where it is the record's own.
//
// The log does not commit to, so that nobody can see whether it was changed: the
// owner, village and region, the times of a case and those that the county
// gives, the county's notes and what they ask to be mended, materials promised
// for later, the clerk's account in the case (it is in the record), the day that
// the terminal itself promised; a scan's name, size and digest (the county sees
// a changed scan: it does not open under the case key); and of an outbox item
// whether the body was sent, its lease, when it is due next, and the reasons.
// Whether a case that the county has was settled in the outbox is not told where
// the county's word came before its receipt. Of what was pruned the log says
// nothing any more: a case is compared with the records that are left, and one
// that claims to be older than all of them with nothing.
func (v *Vault) Audit(ctx context.Context) (AuditReport, error) {
	const what = "compare the cases with the log"
	start := v.o.Now()
	rep, err := v.audit(ctx, "")
	if err != nil {
		return rep, v.fail(what, err)
	}
	rep.Took = v.o.Now().Sub(start)
	e := oplog.Entry{Event: oplog.CaseAudit, Fields: map[string]string{"items": strconv.Itoa(rep.Cases), "bad": strconv.Itoa(rep.Bad),
		"ms": strconv.FormatInt(rep.Took.Milliseconds(), 10)}}
	if !rep.Agrees() {
		first := rep.Found[0]
		e.Outcome, e.CaseID, e.Fields["reason"] = oplog.Failed, clip(first.CaseID, auditID), clip(first.Text(), maxLogValue)
		v.tell(Incident{Kind: IncidentCases, Text: rep.Text(), Detail: rep.Detail()})
	}
	_, err = v.Record(ctx, lawful(e))
	return rep, err
}

// audit is Audit's reading part. blind is an aspect that is not looked at, for
// tests of the tests; "" looks at all.
func (v *Vault) audit(ctx context.Context, blind aspect) (rep AuditReport, err error) {
	tell := func(id string, found []aspect) {
		if len(found) == 0 {
			return
		}
		if rep.Bad++; len(rep.Found) < auditKept {
			rep.Found = append(rep.Found, Disagreement{CaseID: id, aspects: found})
		}
	}
	for after := int64(0); ; {
		page, err := v.auditCases(ctx, after)
		if err != nil {
			return rep, err
		}
		for _, s := range page {
			tell(s.id, s.compare(blind))
			after = s.num
		}
		rep.Cases += len(page)
		if len(page) == 0 {
			break
		}
	}
	for after := ""; ; {
		gone, last, err := v.auditLog(ctx, after)
		if err != nil {
			return rep, err
		}
		if blind != aspectCase {
			for _, id := range gone {
				tell(id, []aspect{aspectCase})
			}
		}
		if last == after {
			return rep, nil
		}
		after = last
	}
}

// subject is a case with everything that is kept about it, and what the log
// says.
type subject struct {
	num     int64
	id      string
	owner   []byte
	service string
	state   string
	saved   int64
	doc     []byte
	lines   []timeLine
	items   []queued
	files   map[int]int // scans of each revision
	told    account
}

// timeLine is a row of the timeline.
type timeLine struct {
	at          int64 // ns since 1970
	state, text string
}

// queued is an outbox row.
type queued struct {
	revision int
	service  string
	state    string
	open     sql.NullInt64
	attempts int
	key      string
	digest   []byte
	body     bool // the sealed body is there
}

// auditCases reads a page of cases after a number. The database has one
// connection, so that nothing changes while it is held here; it is given back
// before anything is compared. Numbers are cast: a row with another type in it is
// one that disagrees, not one that cannot be read.
func (v *Vault) auditCases(ctx context.Context, after int64) (page []*subject, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v.logMu.RLock() // nothing is pruned meanwhile
	defer v.logMu.RUnlock()
	db, err := v.reader(ctx, "read cases")
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	first := v.start.Size()
	v.mu.Unlock()
	ctx = context.WithoutCancel(ctx) // watching it would cost as much as reading
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := each(ctx, conn, func(scan func(...any) error) error {
		s := &subject{files: map[int]int{}, told: account{first: first}}
		page = append(page, s)
		return scan(&s.num, &s.id, &s.owner, &s.service, &s.state, &s.saved, &s.doc)
	}, "SELECT num, id, owner, service, state, CAST(saved AS INTEGER), doc FROM cases WHERE num>? ORDER BY num LIMIT ?", after, auditPage); err != nil || len(page) == 0 {
		return nil, err
	}
	last := page[len(page)-1].num
	of := func(num int64) *subject { // rows come in the order of the cases
		for page[0].num < num {
			page = page[1:]
		}
		return page[0]
	}
	all := page
	rows := func(cols, table, order string, take func(scan func(...any) error) error, more ...any) {
		page = all
		if err == nil {
			err = each(ctx, conn, take, "SELECT c.num, "+cols+" FROM cases c CROSS JOIN "+table+" WHERE c.num>? AND c.num<=? "+order,
				append([]any{after, last}, more...)...)
		}
	}
	var num int64
	rows("r.rec", "log_records r ON r.case_id=c.id", "AND r.seq>=? ORDER BY c.num, r.seq", func(scan func(...any) error) error {
		var line sql.RawBytes
		if err := scan(&num, &line); err != nil {
			return err
		}
		of(num).told.read(line)
		return nil
	}, first)
	rows("CAST(e.at AS INTEGER), e.state, e.text", "events e ON e.case_id=c.id", "ORDER BY c.num, e.num", func(scan func(...any) error) error {
		var l timeLine
		if err := scan(&num, &l.at, &l.state, &l.text); err != nil {
			return err
		}
		s := of(num)
		s.lines = append(s.lines, l)
		return nil
	})
	rows("CAST(o.revision AS INTEGER), o.service, o.state, CAST(o.open AS INTEGER), CAST(o.attempts AS INTEGER), o.key_id, o.digest, EXISTS(SELECT 1 FROM bodies b WHERE b.num=o.num)",
		"outbox o ON o.case_id=c.id", "ORDER BY c.num, o.revision", func(scan func(...any) error) error {
			var q queued
			if err := scan(&num, &q.revision, &q.service, &q.state, &q.open, &q.attempts, &q.key, &q.digest, &q.body); err != nil {
				return err
			}
			s := of(num)
			s.items = append(s.items, q)
			return nil
		})
	rows("CAST(f.revision AS INTEGER)", "files f ON f.case_id=c.id", "ORDER BY c.num", func(scan func(...any) error) error {
		var revision int
		if err := scan(&num, &revision); err != nil {
			return err
		}
		of(num).files[revision]++
		return nil
	})
	return all, err
}

// each calls take for every row of a query.
func each(ctx context.Context, c *sql.Conn, take func(scan func(...any) error) error, query string, args ...any) (err error) {
	rows, err := c.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := take(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// auditLog reads a page of the case numbers that the log knows, after one, and
// names those that were saved and are not there: cases are never deleted. last
// is where to go on, after when there is no more.
func (v *Vault) auditLog(ctx context.Context, after string) (gone []string, last string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, after, err
	}
	v.logMu.RLock()
	defer v.logMu.RUnlock()
	db, err := v.reader(ctx, "read the log's cases")
	if err != nil {
		return nil, after, err
	}
	v.mu.Lock()
	first := v.start.Size()
	v.mu.Unlock()
	ctx = context.WithoutCancel(ctx)
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, after, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	last = after
	var without []string // forms that were never finished are among them
	if err := each(ctx, conn, func(scan func(...any) error) error {
		var there bool
		if err := scan(&last, &there); err != nil {
			return err
		}
		if !there {
			without = append(without, last)
		}
		return nil
	}, "SELECT ids.case_id, EXISTS(SELECT 1 FROM cases c WHERE c.id=ids.case_id) FROM"+
		" (SELECT DISTINCT case_id FROM log_records WHERE case_id>? ORDER BY case_id LIMIT ?) ids", after, auditIDs); err != nil {
		return nil, after, err
	}
	for _, id := range without {
		told := account{first: first}
		if err := each(ctx, conn, func(scan func(...any) error) error {
			var line sql.RawBytes
			if err := scan(&line); err != nil {
				return err
			}
			told.read(line)
			return nil
		}, "SELECT rec FROM log_records WHERE case_id=? AND seq>=? ORDER BY seq", id, first); err != nil {
			return nil, after, err
		}
		if told.seen {
			gone = append(gone, id)
		}
	}
	return gone, last, nil
}

// compare names in what a case is not what the log says.
func (s *subject) compare(blind aspect) []aspect {
	cs, err := decodeCase(s.doc)
	if err != nil || cs.ID != s.id || string(cs.Owner) != string(s.owner) || cs.Service != s.service ||
		string(cs.State) != s.state || cs.SavedAt.UnixNano() != s.saved {
		if blind != aspectColumns {
			return []aspect{aspectColumns}
		}
	}
	if err != nil {
		return nil
	}
	return s.told.compare(s, cs, blind)
}

// inLog is how a value of a case stands in a field of its records.
func inLog(field, value string) string {
	return entry(oplog.CaseAccepted, cases.Case{}, system, map[string]string{field: value}).Fields[field]
}
