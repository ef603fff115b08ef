package upstream_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	gosync "sync"
	"syscall"
	"testing"
	"time"

	"cunban/sync/upstream"
	"cunban/sync/wire"
)

// storeSuite is what every store has to keep.
func storeSuite(t *testing.T, open func(t *testing.T) upstream.Store) {
	t.Run("rows come back whole", func(t *testing.T) { rowsComeBack(t, open(t)) })
	t.Run("an error undoes everything", func(t *testing.T) { errorUndoes(t, open(t)) })
	t.Run("counters never repeat", func(t *testing.T) { countersNeverRepeat(t, open(t)) })
	t.Run("changes commit in order", func(t *testing.T) { changesInOrder(t, open(t)) })
	t.Run("one case is inserted once", func(t *testing.T) { insertedOnce(t, open(t)) })
	t.Run("views are snapshots", func(t *testing.T) { viewsAreSnapshots(t, open(t)) })
}

func update(t *testing.T, s upstream.Store, fn func(upstream.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func view(t *testing.T, s upstream.Store, fn func(upstream.Tx) error) {
	t.Helper()
	if err := s.View(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

var at = time.Date(2026, 11, 25, 1, 2, 3, 4000, time.UTC)

// equal compares through %+v: rows hold slices.
func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

func rowsComeBack(t *testing.T, s upstream.Store) {
	term := upstream.Terminal{ID: "t1", Serial: "s1", Region: region1, Village: "东关", Name: "点", Demo: true, EnrolledAt: at, RevokedAt: at, Reason: "修", CertUntil: at}
	row := upstream.Case{ID: "c1", Terminal: "t1", Revision: 2, Service: "S01", Region: region1, Mode: "self", Staff: "1001", Demo: true,
		State: upstream.StateReturned, Acceptance: "140830-20261125-000001", AcceptedAt: at, ReceivedAt: at, UpdatedAt: at, Due: "2026-12-01",
		Note: "注", Mend: []wire.Mend{{Field: "f", Label: "l", Reason: "r"}}, Claim: wire.VerifyMatch}
	rev := upstream.Revision{CaseID: "c1", Revision: 2, Terminal: "t1", Digest: "d", KeyID: "k", Envelope: []byte{0, 1}, Body: []byte{2, 0},
		Catalogue: "v", StartedAt: at, SavedAt: at, ReceivedAt: at, AcceptedAt: at, Acceptance: "a", Due: "x", Claim: wire.VerifyMatch,
		Handed: false, Outstanding: []string{"户口簿"}}
	file := upstream.File{CaseID: "c1", Revision: 2, Name: "1", Order: 1, Material: "m", Page: 3, MIME: "image/jpeg", Size: 9, Digest: "d", DoneAt: at}
	event := upstream.CaseEvent{CaseID: "c1", Revision: 2, At: at, State: upstream.StateAccepted, Text: "已受理", By: "9"}
	up := upstream.Upload{ID: "u1", Terminal: "t1", CaseID: "c1", Revision: 2, Name: "1", Size: 9, Digest: "d", At: at, Done: true}
	code := upstream.Code{SecretHash: "h", Serial: "s1", Region: region1, Village: "v", Name: "n", Demo: true, CreatedAt: at, ExpiresAt: at,
		State: upstream.CodeIssued, KeyHash: "k", UsedAt: at, Terminal: "t1", Cert: []byte{1}, By: "9"}
	obj := upstream.Object{Kind: wire.KindStaff, ID: "1001", Version: 3, Audience: "t1", Data: []byte("{}"), Signature: []byte{1}, Seq: 7, At: at}
	log := upstream.Log{Terminal: "t1", Key: []byte{1}, Size: 5, Root: []byte{2}, Note: []byte("n"), At: at, Alarm: "坏", AlarmAt: at}
	adm := upstream.Admin{Number: "admin", Name: "县", Roles: []string{"review"}, Hash: "h", Suspended: true, CreatedAt: at, MustChange: true}
	for range 2 { // the second time replaces
		update(t, s, func(tx upstream.Tx) error {
			return errors.Join(tx.PutTerminal(term), tx.PutHealth("t1", at, []byte(`{"a":1}`)), tx.PutLog(log), tx.PutCode(code),
				tx.PutCase(row), tx.PutRevision(rev), tx.PutFile(file), tx.PutUpload(up), tx.PutObject(obj), tx.PutAdmin(adm))
		})
	}
	update(t, s, func(tx upstream.Tx) error {
		second := event
		second.Text = "第二"
		return errors.Join(tx.AddEvent(event), tx.AddEvent(second), tx.AddAudit(upstream.Audit{At: at, By: "9", What: "w", Object: "o", Detail: "d"}))
	})
	check := func(tx upstream.Tx) error {
		var errs []error
		one := func(what string, got any, err error, want any) {
			errs = append(errs, err)
			equal(t, what, got, want)
		}
		g1, err := tx.Terminal("t1")
		one("terminal", g1, err, term)
		g1, err = tx.TerminalBySerial("s1")
		one("terminal by serial", g1, err, term)
		g2, err := tx.Terminals()
		one("terminals", g2, err, []upstream.Terminal{term})
		g3, gat, err := tx.Health("t1")
		one("health", string(g3), err, `{"a":1}`)
		equal(t, "health time", gat, at)
		g4, err := tx.Log("t1")
		one("log", g4, err, log)
		g5, err := tx.Code("s1", "h")
		one("code", g5, err, code)
		g6, err := tx.Codes()
		one("codes", g6, err, []upstream.Code{code})
		g7, err := tx.Case("c1")
		one("case", g7, err, row)
		g8, err := tx.Revision("c1", 2)
		one("revision", g8, err, rev)
		g9, err := tx.Files("c1", 2)
		one("files", g9, err, []upstream.File{file})
		g10, err := tx.Events("c1")
		errs = append(errs, err)
		if len(g10) != 2 || g10[0] != event || g10[1].Text != "第二" {
			t.Errorf("events: %+v", g10)
		}
		g11, err := tx.Upload("u1")
		one("upload", g11, err, up)
		g11, err = tx.UploadOf("c1", 2, "1")
		one("upload of file", g11, err, up)
		g12, err := tx.Object(wire.KindStaff, "1001")
		one("object", g12, err, obj)
		g13, err := tx.Admin("admin")
		one("admin", g13, err, adm)
		g14, err := tx.Admins()
		one("admins", g14, err, []upstream.Admin{adm})
		g15, err := tx.Audits(9)
		one("audits", g15, err, []upstream.Audit{{At: at, By: "9", What: "w", Object: "o", Detail: "d"}})
		g16, err := tx.Unhanded(9)
		errs = append(errs, err)
		if len(g16) != 1 || g16[0].CaseID != "c1" {
			t.Errorf("unhanded: %+v", g16)
		}
		for _, q := range []struct {
			q upstream.CaseQuery
			n int
		}{{upstream.CaseQuery{}, 1}, {upstream.CaseQuery{State: upstream.StateReturned, Demo: true, Limit: 5}, 1},
			{upstream.CaseQuery{State: upstream.StateAccepted}, 0}, {upstream.CaseQuery{Prefix: "c1"}, 1},
			{upstream.CaseQuery{Prefix: row.Acceptance}, 1}, {upstream.CaseQuery{Prefix: "zz"}, 0}} {
			list, err := tx.Cases(q.q)
			errs = append(errs, err)
			if len(list) != q.n {
				t.Errorf("cases %+v: %d, want %d", q.q, len(list), q.n)
			}
		}
		for _, q := range []struct {
			seq  int64
			term string
			n    int
		}{{0, "t1", 1}, {0, "t2", 0}, {7, "t1", 0}} {
			list, err := tx.ChangesAfter(q.seq, q.term, 9)
			errs = append(errs, err)
			if len(list) != q.n {
				t.Errorf("changes after %d for %s: %d, want %d", q.seq, q.term, len(list), q.n)
			}
		}
		last, err := tx.LastChange()
		one("last change", last, err, 7)
		for _, err := range []error{second(tx.Case("x")), second(tx.Terminal("x")), second(tx.Upload("x")), second(tx.Log("x")), second(tx.Admin("x"))} {
			if !errors.Is(err, upstream.ErrNotFound) {
				t.Errorf("missing row: %v", err)
			}
		}
		return errors.Join(errs...)
	}
	view(t, s, check)
	update(t, s, check)
	update(t, s, func(tx upstream.Tx) error { return errors.Join(tx.DeleteUpload("u1"), tx.MarkHanded("c1", 2)) })
	view(t, s, func(tx upstream.Tx) error {
		if _, err := tx.Upload("u1"); !errors.Is(err, upstream.ErrNotFound) {
			t.Errorf("deleted upload: %v", err)
		}
		list, err := tx.Unhanded(9)
		if len(list) != 0 {
			t.Errorf("handed on and still waiting: %+v", list)
		}
		return err
	})
}

func second[T any](_ T, err error) error { return err }

func errorUndoes(t *testing.T, s upstream.Store) {
	boom := errors.New("boom")
	err := s.Update(t.Context(), func(tx upstream.Tx) error {
		return errors.Join(tx.PutTerminal(upstream.Terminal{ID: "t1", Serial: "s1"}), boom)
	})
	if !errors.Is(err, boom) {
		t.Errorf("error: %v", err)
	}
	// A statement that fails harms neither the others nor the next.
	if err := s.Update(t.Context(), func(tx upstream.Tx) error {
		return tx.PutCase(upstream.Case{ID: "c", Terminal: "nobody"})
	}); err == nil {
		t.Error("a case of no terminal was stored: foreign keys are off")
	}
	view(t, s, func(tx upstream.Tx) error {
		if _, err := tx.Terminal("t1"); !errors.Is(err, upstream.ErrNotFound) {
			t.Errorf("undone row: %v", err)
		}
		return nil
	})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Update(gone, func(tx upstream.Tx) error { return tx.PutTerminal(upstream.Terminal{ID: "t2", Serial: "s2"}) }); err == nil {
		t.Error("an update whose caller is gone was done")
	}
	update(t, s, func(tx upstream.Tx) error { return tx.PutTerminal(upstream.Terminal{ID: "t3", Serial: "s3"}) })
}

const (
	workers = 8
	rounds  = 25
)

func each(t *testing.T, fn func(w, i int) error) {
	t.Helper()
	var wg gosync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				if err := fn(w, i); err != nil {
					t.Errorf("worker %d round %d: %v", w, i, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func countersNeverRepeat(t *testing.T, s upstream.Store) {
	var mu gosync.Mutex
	seen := map[int64]bool{}
	each(t, func(w, i int) error {
		var n int64
		undo := i%5 == 4
		err := s.Update(t.Context(), func(tx upstream.Tx) (err error) {
			if n, err = tx.Counter("a"); err == nil && undo {
				return errUndo
			}
			return err
		})
		if undo {
			if !errors.Is(err, errUndo) {
				return err
			}
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if seen[n] {
			return fmt.Errorf("%d twice", n)
		}
		seen[n] = true
		return err
	})
	for n := int64(1); n <= int64(len(seen)); n++ {
		if !seen[n] {
			t.Errorf("number %d is missing", n)
		}
	}
}

var errUndo = errors.New("undo")

// changesInOrder checks that a reader who follows the cursor while many publish
// sees every change: numbers become visible in their order.
func changesInOrder(t *testing.T, s upstream.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen []int64
	done := make(chan error, 1)
	go func() {
		var after int64
		for len(seen) < workers*rounds && ctx.Err() == nil {
			err := s.View(ctx, func(tx upstream.Tx) error {
				list, err := tx.ChangesAfter(after, "t", 10)
				for _, o := range list {
					seen = append(seen, o.Seq)
					after = o.Seq
				}
				return err
			})
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	each(t, func(w, i int) error {
		return s.Update(t.Context(), func(tx upstream.Tx) error {
			n, err := tx.Counter("change")
			if err != nil {
				return err
			}
			return tx.PutObject(upstream.Object{Kind: wire.KindJob, ID: fmt.Sprintf("%d-%d", w, i), Version: 1, Seq: n, Data: []byte("{}"), Signature: []byte{1}})
		})
	})
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		cancel()
		<-done
		t.Fatalf("the reader saw %d of %d changes", len(seen), workers*rounds)
	}
}

func insertedOnce(t *testing.T, s upstream.Store) {
	update(t, s, func(tx upstream.Tx) error { return tx.PutTerminal(upstream.Terminal{ID: "t1", Serial: "s1"}) })
	var mu gosync.Mutex
	made := map[string]int{}
	each(t, func(w, i int) error {
		id := fmt.Sprintf("c%d", i)
		created := false
		err := s.Update(t.Context(), func(tx upstream.Tx) error {
			created = false
			_, err := tx.Case(id)
			if err == nil {
				return nil
			}
			if !errors.Is(err, upstream.ErrNotFound) {
				return err
			}
			created = true
			if _, err := tx.Counter("acceptance"); err != nil {
				return err
			}
			// Nobody else may have found it missing at the same time.
			return tx.PutCase(upstream.Case{ID: id, Terminal: "t1", Revision: 1, State: upstream.StateAccepted, ReceivedAt: at})
		})
		if created && err == nil {
			mu.Lock()
			made[id]++
			mu.Unlock()
		}
		return err
	})
	for id, n := range made {
		if n != 1 {
			t.Errorf("case %s was made %d times", id, n)
		}
	}
}

func viewsAreSnapshots(t *testing.T, s upstream.Store) {
	update(t, s, func(tx upstream.Tx) error {
		return tx.PutTerminal(upstream.Terminal{ID: "t1", Serial: "s1", Name: "alt"})
	})
	view(t, s, func(tx upstream.Tx) error {
		if _, err := tx.Terminal("t1"); err != nil {
			return err
		}
		if err := s.Update(t.Context(), func(w upstream.Tx) error {
			return w.PutTerminal(upstream.Terminal{ID: "t1", Serial: "s1", Name: "neu"})
		}); err != nil {
			return err
		}
		got, err := tx.Terminal("t1")
		if got.Name != "alt" {
			t.Errorf("the view moved: %s", got.Name)
		}
		return err
	})
}

func TestSQLiteStore(t *testing.T) {
	storeSuite(t, func(t *testing.T) upstream.Store {
		s, err := upstream.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "a b%?.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if err := s.Update(context.Background(), func(upstream.Tx) error { return nil }); !errors.Is(err, upstream.ErrClosed) {
				t.Errorf("update after close: %v", err)
			}
		})
		return s
	})
}

// TestSQLiteRefusesNewer checks that a store of a newer program stays as it is.
func TestSQLiteRefusesNewer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s, err := upstream.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx upstream.Tx) error { _, err := tx.Counter("schema"); return err })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err := upstream.OpenSQLite(t.Context(), path); !errors.Is(err, upstream.ErrNewer) {
		t.Errorf("newer store: %v %v", s, err)
	}
}

func TestPostgresStore(t *testing.T) {
	dsn := startPostgres(t)
	n := 0
	storeSuite(t, func(t *testing.T) upstream.Store {
		// A database of its own for every part.
		n++
		name := "suite" + strconv.Itoa(n)
		db, err := sql.Open("pgx", dsn+" dbname=postgres")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
			t.Fatal(err)
		}
		s, err := upstream.OpenPostgres(t.Context(), dsn+" dbname="+name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
	t.Run("our demand is stronger than the setting", func(t *testing.T) {
		s, err := upstream.OpenPostgres(t.Context(), dsn+" dbname=postgres options='-c synchronous_commit=off'")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// startPostgres runs a PostgreSQL of Debian's packages on a socket of its own.
// root may not run it: then the user postgres does.
func startPostgres(t *testing.T) string {
	t.Helper()
	missing := func(why string) {
		t.Helper()
		if os.Getenv("CUNBAN_CI") == "1" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		missing("postgresql is not installed")
	}
	bin := filepath.Dir(found[len(found)-1])
	// t.TempDir may be closed to other users and too long for a socket.
	dir, err := os.MkdirTemp("", "cbpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT}
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			missing("no user postgres to run it as")
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err := errors.Join(err1, err2, os.Chown(dir, uid, gid)); err != nil {
			t.Fatal(err)
		}
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	data := filepath.Join(dir, "data")
	initdb := exec.CommandContext(t.Context(), filepath.Join(bin, "initdb"), "-D", data, "-U", "county", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = dir, attr
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	srv := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "max_connections=60")
	srv.Dir, srv.SysProcAttr, srv.Stdout, srv.Stderr = dir, attr, log, log
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = srv.Process.Signal(syscall.SIGINT) // fast shutdown
		_ = srv.Wait()
	})
	dsn := "host=" + dir + " user=county"
	deadline := time.Now().Add(30 * time.Second)
	ready := exec.CommandContext(t.Context(), filepath.Join(bin, "pg_isready"), "-h", dir, "-t", "20")
	for ready.Run() != nil {
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log.Name())
			t.Fatalf("postgres does not answer:\n%s", said)
		}
		ready = exec.CommandContext(t.Context(), filepath.Join(bin, "pg_isready"), "-h", dir, "-t", "20")
	}
	return dsn
}
