package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	gosync "sync"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/resident"
	"cunban/kiosk/seal"
	"cunban/kiosk/vault/keys"
	"cunban/sync"
)

var (
	_ cases.Store = (*Vault)(nil)
	_ sync.Store  = (*Vault)(nil)
)

// Test numbers and names of shared/domain/cards.md §3.
const (
	zhang     = "140830198707144518"
	zhangName = "张三"
)

// memKey is a key source in memory.
type memKey struct{ key []byte }

func newMemKey() *memKey { return &memKey{bytes.Repeat([]byte{9}, keys.Size)} }

func (*memKey) Name() string { return "memory" }

func (m *memKey) Load(context.Context) ([]byte, error) { return bytes.Clone(m.key), nil }

func (m *memKey) Create(context.Context) ([]byte, error) { return nil, keys.ErrCannotCreate }

// clock is a clock that tests move.
type clock struct {
	mu gosync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(time.Millisecond)
	return c.t
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// bench is one vault with everything around it.
type bench struct {
	t      testing.TB
	o      Options
	v      *Vault
	clock  *clock
	county *seal.PrivateKey
}

func newBench(t testing.TB) *bench {
	t.Helper()
	county, err := seal.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{t: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	b := &bench{t: t, clock: c, county: county, o: Options{
		Dir: filepath.Join(t.TempDir(), "vault"), Keys: []keys.Source{newMemKey()}, Version: "test", Now: c.now,
		Mono: func() int64 { return 1 }, BootID: func() string { return "boot" },
		FreeBytes: func(string) (int64, error) { return 1 << 40, nil },
	}}
	b.open()
	t.Cleanup(func() {
		if b.v != nil {
			_ = b.v.Close(context.Background())
		}
	})
	return b
}

func (b *bench) open() *Vault {
	b.t.Helper()
	v, err := Open(context.Background(), b.o)
	if err != nil {
		b.t.Fatal(err)
	}
	b.v = v
	return v
}

func (b *bench) close() {
	b.t.Helper()
	if err := b.v.Close(context.Background()); err != nil {
		b.t.Fatal(err)
	}
	b.v = nil
}

func (b *bench) desk() cases.Desk {
	return cases.Desk{Store: b.v, CountyKey: b.county.Public(), Rand: rand.Reader, Now: b.clock.now}
}

func number(t testing.TB, s string) resident.IDNumber {
	t.Helper()
	n, err := resident.ParseIDNumber(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// draft is a finished form with pages of scans.
func (b *bench) draft(pages int) cases.Draft {
	b.t.Helper()
	id, err := cases.NewID(rand.Reader)
	if err != nil {
		b.t.Fatal(err)
	}
	d := cases.Draft{
		ID: id, Revision: 1, Service: "S01", ServiceName: "城乡居民养老保险参保登记", Catalogue: "2026.1",
		Claim: resident.Claim{Source: resident.FromSocialCard, Number: number(b.t, zhang), Name: resident.NewName(zhangName),
			NameExact: true, Verification: resident.VerifiedByStaff, VerifiedBy: "1001"},
		Answers: []byte(`{"phone":"13800000000","address":"clear-text-of-an-answer"}`), Signature: []byte("\x89PNG signature"),
		Region: "140105001001", Village: "某村", StartedAt: b.clock.now(), Mode: cases.ModeSelf, Confirmed: true,
		Actor: cases.Actor{Role: cases.RoleResident, Session: 7},
	}
	for p := range pages {
		d.Scans = append(d.Scans, cases.Scan{Material: "id-card", Page: p + 1, MIME: "image/jpeg",
			Data: append([]byte("\xff\xd8\xff\xe0..JFIF clear-text-of-a-scan"), bytes.Repeat([]byte{byte(p)}, 5000)...)})
	}
	return d
}

func (b *bench) submit(pages int) cases.Case {
	b.t.Helper()
	c, err := b.desk().Submit(context.Background(), b.draft(pages))
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *bench) lease(max int) []cases.Item {
	b.t.Helper()
	its, err := b.v.Lease(context.Background(), b.clock.now(), time.Minute, max)
	if err != nil {
		b.t.Fatal(err)
	}
	return its
}

func (b *bench) lease1() cases.Item {
	b.t.Helper()
	its := b.lease(1)
	if len(its) != 1 {
		b.t.Fatalf("leased %d items instead of 1", len(its))
	}
	return its[0]
}

func (b *bench) counts(want cases.Counts) {
	b.t.Helper()
	n, err := b.v.Counts(context.Background())
	if err != nil || n != want {
		b.t.Fatalf("counts %+v, %v; want %+v", n, err, want)
	}
	if n.Total != n.Done+n.Waiting+n.Attention {
		b.t.Fatalf("in = done + waiting + attention does not hold: %+v", n)
	}
}

func (b *bench) caseOf(id string) cases.Case {
	b.t.Helper()
	c, err := b.v.Case(context.Background(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// verify demands that the log is whole and the cases are what it says of them.
func (b *bench) verify() LogReport {
	b.t.Helper()
	rep, err := b.v.LogVerify(context.Background(), nil)
	if err != nil {
		b.t.Fatalf("the log does not verify: %v", err)
	}
	if audit, err := b.v.audit(context.Background(), ""); err != nil || !audit.Agrees() {
		b.t.Fatalf("the cases are not what the log says: %s, %v", audit.Detail(), err)
	}
	return rep
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

func TestSubmitSurvivesRestart(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	d := b.draft(2)
	c, err := b.desk().Submit(ctx, d)
	must(t, err)
	if c.State != cases.Saved || c.LogIndex == 0 {
		t.Fatalf("saved case %+v", c)
	}
	_, err = b.desk().Submit(ctx, d)
	wantErr(t, err, cases.ErrExists)
	b.close()
	b.open()
	if len(b.v.Incidents()) != 0 || !b.v.Clean() || b.v.New() {
		t.Fatalf("incidents %v, clean %t, new %t", b.v.Incidents(), b.v.Clean(), b.v.New())
	}
	got := b.caseOf(c.ID)
	if got.ServiceName != c.ServiceName || !got.SavedAt.Equal(c.SavedAt) || got.LogIndex != c.LogIndex || !bytes.Equal(got.BodyDigest, c.BodyDigest) {
		t.Fatalf("got %+v, saved %+v", got, c)
	}
	own, err := b.v.ByOwner(ctx, b.v.OwnerIndex(number(t, zhang)))
	if err != nil || len(own) != 1 || own[0].ID != c.ID {
		t.Fatalf("by owner: %v, %v", own, err)
	}
	if own, err = b.v.ByOwner(ctx, b.v.OwnerIndex(resident.IDNumber{})); err != nil || len(own) != 0 {
		t.Fatalf("by another owner: %v, %v", own, err)
	}
	ev, err := b.v.Timeline(ctx, c.ID)
	if err != nil || len(ev) != 1 || ev[0].State != cases.Saved || !ev[0].At.Equal(c.SavedAt) {
		t.Fatalf("timeline %v, %v", ev, err)
	}
	// The county can open what was kept, byte for byte.
	it := b.lease1()
	if it.State != cases.QueueLeased || it.Attempts != 1 || len(it.Files) != 2 || it.KeyID != b.county.Public().ID() {
		t.Fatalf("leased %+v", it)
	}
	key, err := b.county.OpenEnvelope(it.Envelope, cases.EnvelopeAAD(c.ID, 1))
	must(t, err)
	body, err := cases.OpenBody(key, it.Body, c.ID, 1, it.KeyID)
	if err != nil || body.Applicant.Number != zhang {
		t.Fatalf("body: %v", err)
	}
	for i, f := range it.Files {
		r, n, err := b.v.OpenFile(ctx, c.ID, f.Name)
		must(t, err)
		sealed, err := io.ReadAll(r)
		must(t, errors.Join(err, r.Close()))
		plain, err := seal.Open(key, sealed, cases.FileAAD(c.ID, 1, f.Name))
		if err != nil || n != f.Size || !bytes.Equal(plain, d.Scans[i].Data) {
			t.Fatalf("file %s: %v", f.Name, err)
		}
	}
	b.verify()
}

func TestCaseNotFound(t *testing.T) {
	b := newBench(t)
	_, err := b.v.Case(context.Background(), "nothing")
	wantErr(t, err, cases.ErrNotFound)
	_, err = b.v.LogProof(context.Background(), "nothing")
	wantErr(t, err, cases.ErrNotFound)
	_, err = b.v.Withdraw(context.Background(), "nothing", cases.Actor{Role: cases.RoleResident})
	wantErr(t, err, cases.ErrNotFound)
	wantErr(t, b.v.Upstream(context.Background(), cases.Update{CaseID: "nothing", Revision: 1, State: cases.Accepted}), cases.ErrNotFound)
	wantErr(t, b.v.FileDone(context.Background(), "nothing", "x"), cases.ErrNotFound)
	wantErr(t, b.v.Requeue(context.Background(), "nothing", cases.Actor{Role: cases.RoleStaff}), cases.ErrNotFound)
	_, _, err = b.v.OpenFile(context.Background(), "../..", "etc")
	wantErr(t, err, ErrName)
	_, _, err = b.v.OpenFile(context.Background(), b.draft(0).ID, "1-01.sealed")
	wantErr(t, err, os.ErrNotExist)
}

func TestSubmitRefusesBadNames(t *testing.T) {
	b := newBench(t)
	good := func() cases.Submission {
		body := []byte("sealed")
		return cases.Submission{Case: cases.Case{ID: b.draft(0).ID, Revision: 1, Service: "S01", State: cases.Saved,
			Owner: make([]byte, 32), BodyDigest: seal.Digest(body)}, KeyID: "k", Envelope: []byte("e"), Body: body,
			Files: []cases.SealedFile{{Name: "1.sealed", Sealed: body, Digest: seal.Digest(body)}},
			Actor: cases.Actor{Role: cases.RoleResident}}
	}
	for name, spoil := range map[string]func(*cases.Submission){
		"case id":   func(s *cases.Submission) { s.Case.ID = "../x" },
		"file name": func(s *cases.Submission) { s.Files[0].Name = "../../x" },
		"temp name": func(s *cases.Submission) { s.Files[0].Name = "x.tmp" },
		"twice":     func(s *cases.Submission) { s.Files = append(s.Files, s.Files[0]) },
		"digest":    func(s *cases.Submission) { s.Files[0].Digest = make([]byte, 32) },
		"body":      func(s *cases.Submission) { s.Body = []byte("another") },
		"state":     func(s *cases.Submission) { s.Case.State = cases.Accepted },
		"revision":  func(s *cases.Submission) { s.Case.Revision = 2 },
		"role":      func(s *cases.Submission) { s.Actor.Role = "nobody" },
	} {
		s := good()
		spoil(&s)
		if _, err := b.v.Submit(context.Background(), s); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	b.counts(cases.Counts{})
	_, err := b.v.Submit(context.Background(), good())
	must(t, err)
	b.close()
	b.open() // and sweeps what the refused ones left
	dirs, err := os.ReadDir(filepath.Join(b.o.Dir, "scans"))
	if err != nil || len(dirs) != 1 {
		t.Fatalf("%d folders of scans, %v", len(dirs), err)
	}
}

func TestList(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	start := b.clock.now()
	a := b.submit(0)
	mid := b.clock.now()
	c := b.submit(0)
	_, err := b.v.Withdraw(ctx, a.ID, cases.Actor{Role: cases.RoleResident})
	must(t, err)
	for _, tc := range []struct {
		q    cases.Query
		want []string
	}{
		{cases.Query{}, []string{c.ID, a.ID}},
		{cases.Query{Limit: 1}, []string{c.ID}},
		{cases.Query{Since: mid}, []string{c.ID}},
		{cases.Query{Since: start, Until: mid}, []string{a.ID}},
		{cases.Query{States: []cases.State{cases.Withdrawn}}, []string{a.ID}},
		{cases.Query{States: []cases.State{cases.Saved, cases.Withdrawn}, Service: "S01"}, []string{c.ID, a.ID}},
		{cases.Query{Service: "S02"}, nil},
	} {
		got, err := b.v.List(ctx, tc.q)
		must(t, err)
		var ids []string
		for _, x := range got {
			ids = append(ids, x.ID)
		}
		if !slices.Equal(ids, tc.want) {
			t.Errorf("%+v: got %v, want %v", tc.q, ids, tc.want)
		}
	}
}

func TestSettings(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	_, ok, err := b.v.Get(ctx, "a")
	if ok || err != nil {
		t.Fatalf("%t %v", ok, err)
	}
	must(t, b.v.Put(ctx, "downlink/cursor", nil)) // an empty value is a value
	val, ok, err := b.v.Get(ctx, "downlink/cursor")
	if !ok || err != nil || len(val) != 0 {
		t.Fatalf("%q %t %v", val, ok, err)
	}
	size := b.v.tree.Size()
	must(t, b.v.PutAll(ctx, map[string][]byte{"downlink/staff/1001": []byte("{}"), "downlink-version/staff/1001": []byte("1"),
		"downlink/cursor": []byte("x"), "downlink0": []byte("y"), "sync/clock": []byte("z")}))
	if n := b.v.tree.Size() - size; n != 2 {
		t.Fatalf("%d records of a staff account and an unknown setting", n)
	}
	ks, err := b.v.Keys(ctx, "downlink/")
	if err != nil || !slices.Equal(ks, []string{"downlink/cursor", "downlink/staff/1001"}) {
		t.Fatalf("%v %v", ks, err)
	}
	err = b.v.PutAll(ctx, map[string][]byte{"b": []byte("1"), "": nil})
	wantErr(t, err, ErrSetting)
	if _, ok, _ := b.v.Get(ctx, "b"); ok {
		t.Fatal("half of it was written")
	}
	must(t, b.v.Delete(ctx, "downlink/staff/1001"))
	must(t, b.v.Delete(ctx, "downlink/staff/1001"))
	b.close()
	b.open()
	if val, ok, err = b.v.Get(ctx, "downlink/cursor"); !ok || err != nil || string(val) != "x" {
		t.Fatalf("%q %t %v", val, ok, err)
	}
	if _, ok, _ := b.v.Get(ctx, "downlink/staff/1001"); ok {
		t.Fatal("what was deleted is back")
	}
	b.verify()
}

func TestClosed(t *testing.T) {
	b := newBench(t)
	v := b.v
	b.close()
	must(t, v.Close(context.Background()))
	ctx := context.Background()
	_, err := v.Case(ctx, "x")
	wantErr(t, err, ErrClosed)
	_, err = v.Record(ctx, oplog.Entry{Event: oplog.HelpCall, Role: oplog.RoleResident})
	wantErr(t, err, ErrClosed)
	_, err = v.LogState(ctx)
	wantErr(t, err, ErrClosed)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	b.open()
	_, err = b.v.Record(canceled, oplog.Entry{Event: oplog.HelpCall, Role: oplog.RoleResident})
	wantErr(t, err, context.Canceled)
}

func TestConcurrentUse(t *testing.T) {
	b := newBench(t)
	var wg gosync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 5 {
				switch i % 4 {
				case 0:
					if _, err := b.desk().Submit(context.Background(), b.draft(1)); err != nil {
						t.Error(err)
					}
				case 1:
					if _, err := b.v.Lease(context.Background(), b.clock.now(), time.Minute, 2); err != nil {
						t.Error(err)
					}
				case 2:
					if _, _, err := b.v.Checkpoint(context.Background(), 0); err != nil {
						t.Error(err)
					}
				case 3:
					if _, err := b.v.Counts(context.Background()); err != nil {
						t.Error(err)
					}
					if err := b.v.Put(context.Background(), fmt.Sprint("k", i), []byte("v")); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	b.verify()
}
