package vault

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/vault/cryptfile"
)

// spoil overwrites a page (from 1) of the database file with other bytes, as a
// dying disk does.
func (b *bench) spoil(page int64) {
	b.t.Helper()
	f, err := os.OpenFile(b.path(), os.O_RDWR, 0)
	must(b.t, err)
	noise := make([]byte, cryptfile.SectorSize)
	for i := range noise {
		noise[i] = byte(i * 7)
	}
	_, err = f.WriteAt(noise, page*cryptfile.SectorSize) // the header is sector 0
	must(b.t, errors.Join(err, f.Close()))
}

func (b *bench) path() string { return b.o.Dir + "/" + dbName }

// rootOf is the root page of a table or an index.
func (b *bench) rootOf(name string) int64 {
	b.t.Helper()
	return b.rows("SELECT rootpage FROM sqlite_schema WHERE name=?", name)
}

// TestCheckFindsDamage: what a start with a big database only samples, the
// night's check finds, and the next start sets it aside.
func TestCheckFindsDamage(t *testing.T) {
	ctx := context.Background()
	for _, name := range []string{"bodies", "outbox", "cases_owner", "log_records", "events"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.close()
			b.o.bigCheck = 1 // every database is a big one
			b.open()
			for range 20 {
				b.submit(0)
			}
			if rep, err := b.v.Check(ctx); err != nil || !rep.Whole() || rep.Items != 20 {
				t.Fatalf("before: %+v, %v", rep, err)
			}
			page := b.rootOf(name)
			must(t, b.v.scrub())
			b.spoil(page)
			if err := b.v.check(ctx, false); err != nil {
				t.Fatalf("the check of a start found it: %v", err) // and there would be nothing to show
			}
			rep, err := b.v.Check(ctx)
			if rep.Structure == "" {
				t.Fatalf("not found: %+v, %v", rep, err)
			}
			if in := b.v.Incidents(); len(in) != 1 || in[0].Kind != IncidentFound {
				t.Fatalf("incidents %+v", in)
			}
			if name == "log_records" {
				return // nothing can be logged any more, nor the vault be closed properly
			}
			must(t, err)
			rs, err := b.v.LogQuery(ctx, LogFilter{Event: oplog.VaultCheck, Outcome: oplog.Failed})
			if err != nil || len(rs) != 1 || rs[0].Fields["reason"] == "" {
				t.Fatalf("records %v, %v", rs, err)
			}
			_ = b.v.Close(ctx)
			b.open()
			if in := b.v.Incidents(); len(in) != 1 || in[0].Kind != IncidentDamaged || len(in[0].Aside) == 0 {
				t.Fatalf("incidents of the next start %+v", in)
			}
			b.submit(0)
			b.verify()
			// The new log tells of the old one, to auditors too.
			var out bytes.Buffer
			must(t, b.v.LogExport(ctx, &out))
			if aside := b.v.Incidents()[0].Aside[0]; !strings.Contains(out.String(), `"event":"vault.damaged"`) || !strings.Contains(out.String(), aside) {
				t.Errorf("the export does not tell of %s", aside)
			}
		})
	}
}

// TestCheckFindsContent: a sealed byte of an unsettled item that changed, and
// nothing of those that the county has.
func TestCheckFindsContent(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	b.submit(2)
	b.accept()
	c := b.submit(2)
	b.submit(1)
	_, err := b.v.db.Exec("UPDATE bodies SET body=zeroblob(length(body)) WHERE num IN (SELECT num FROM outbox WHERE case_id<>?)", c.ID)
	must(t, err)
	must(t, os.WriteFile(b.v.scan(c.ID, "1-01.sealed"), []byte("x"), 0o600))
	must(t, os.Remove(b.v.scan(c.ID, "1-02.sealed")))
	rep, err := b.v.Check(ctx)
	if err != nil || rep.Structure != "" || rep.Items != 2 || rep.Bodies != 1 || rep.Scans != 2 {
		t.Fatalf("%+v, %v", rep, err)
	}
	in := b.v.Incidents()
	if len(in) != 1 || in[0].Kind != IncidentFound || !strings.Contains(in[0].Text, "1 件") || !strings.Contains(in[0].Text, "2 页") {
		t.Fatalf("incidents %+v", in)
	}
	if _, err := b.v.Check(ctx); err != nil || len(b.v.Incidents()) != 1 {
		t.Fatalf("told twice: %+v, %v", b.v.Incidents(), err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := b.v.Check(canceled); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if cs := b.caseOf(c.ID); cs.State != cases.Saved {
		t.Fatalf("case %+v", cs)
	}
	b.verify()
}
