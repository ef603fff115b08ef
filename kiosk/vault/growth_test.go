package vault

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/resident"
	"cunban/kiosk/seal"
	"cunban/kiosk/vault/keys"
)

// A grown vault is what a terminal has after years: made by the same code that
// a terminal runs, so that every row, record, MAC and checkpoint is lawful.
// What is quicker: growBatch cases are one transaction, nothing is synced until
// the end, the cases' key envelopes are copies of one real SM2 envelope and the
// sealed bodies are random bytes of the usual length (nobody here could tell:
// both are for the county), and only the newest cases have scans.
const (
	growBatch    = 2000
	growOpen     = 300  // newest cases that are not sent yet
	growAside    = 5    // of them need attention
	growScans    = 200  // newest cases with a page of scan each
	growPerOwner = 12   // cases of each person
	growPerNote  = 4    // cases between two checkpoints: five minutes with people waiting
	growBody     = 1500 // bytes
	growPage     = 4 << 10
	growPrivate  = 120                      // bytes, sealed personal part of a log record
	growDays     = 5 * 365 * 24 * time.Hour // from the first case to the last
)

// envGrowDir and envGrowCases make TestGrow write a vault for dev to keep,
// envGrowPlain the same rows on SQLite's own VFS, as a rival.
const (
	envGrowDir   = "CUNBAN_GROW_DIR"
	envGrowCases = "CUNBAN_GROW_CASES"
	envGrowPlain = "CUNBAN_GROW_PLAIN"
)

// TestGrow makes a grown vault and checks that it is a lawful one.
func TestGrow(t *testing.T) {
	n, dir := 3000, filepath.Join(t.TempDir(), "data", "vault")
	if s := os.Getenv(envGrowCases); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		must(t, err)
	}
	if d := os.Getenv(envGrowDir); d != "" {
		dir = d
	}
	at := time.Now()
	if os.Getenv(envGrowPlain) != "" {
		v, err := openPlain(dir)
		must(t, err)
		must(t, growInto(context.Background(), v, n))
		t.Logf("%d cases in %.1f s, plain", n, time.Since(at).Seconds())
		return
	}
	o := grownOptions(dir)
	must(t, grow(context.Background(), o, n))
	t.Logf("%d cases in %.1f s", n, time.Since(at).Seconds())
	checkGrown(t, o, n)
}

// checkGrown opens a grown vault and looks at all that grew.
func checkGrown(t *testing.T, o Options, n int) {
	t.Helper()
	ctx := context.Background()
	v, err := Open(ctx, o)
	must(t, err)
	defer func() { must(t, v.Close(ctx)) }()
	if !v.Clean() || len(v.Incidents()) > 0 {
		t.Fatalf("clean %t, incidents %+v", v.Clean(), v.Incidents())
	}
	open := min(growOpen, n)
	c, err := v.Counts(ctx)
	must(t, err)
	if c.Total != n || c.Waiting != open-min(growAside, open) || c.Attention != min(growAside, open) {
		t.Fatalf("counts %+v of %d cases", c, n)
	}
	own, err := v.ByOwner(ctx, growOwner(v, 0))
	must(t, err)
	if want := min(n, growPerOwner); len(own) != want {
		t.Fatalf("the first person has %d cases, not %d", len(own), want)
	}
	line, err := v.Timeline(ctx, own[len(own)-1].ID)
	must(t, err)
	if len(line) == 0 {
		t.Fatal("a case without a timeline")
	}
	checkQueries(t, v)
	at := time.Now()
	audit, err := v.Audit(ctx)
	must(t, err)
	if !audit.Agrees() || audit.Cases != n {
		t.Fatalf("audit of %d cases: %+v", n, audit)
	}
	t.Logf("%d cases compared with the log in %.2f s", audit.Cases, time.Since(at).Seconds())
	at = time.Now()
	rep, err := v.LogVerify(ctx, nil)
	must(t, err)
	if rep.Checkpoints < n/growPerNote || rep.Countersigned == 0 {
		t.Fatalf("report %+v", rep)
	}
	t.Logf("%d records and %d checkpoints verified in %.1f s", rep.Records, rep.Checkpoints, time.Since(at).Seconds())
}

// checkQueries asks for a week in the middle of the years: a query that goes
// through the log in windows must find what one look at everything finds.
func checkQueries(t *testing.T, v *Vault) {
	t.Helper()
	ctx := context.Background()
	week := LogFilter{Since: time.Now().Add(-growDays / 2), Until: time.Now().Add(-growDays/2 + 7*24*time.Hour)}
	got, err := v.LogQuery(ctx, week)
	must(t, err)
	var want int
	must(t, v.db.QueryRow("SELECT count(*) FROM log_records WHERE wall>=? AND wall<?", week.Since.UnixNano(), week.Until.UnixNano()).Scan(&want))
	if len(got) != want || want == 0 {
		t.Fatalf("%d records of a week, there are %d", len(got), want)
	}
	if !slices.IsSortedFunc(got, func(a, b oplog.Record) int { return cmp.Compare(b.Seq, a.Seq) }) {
		t.Fatal("the newest does not come first")
	}
	half := week
	half.Before, half.Limit = got[want/2].Seq, 3
	some, err := v.LogQuery(ctx, half)
	must(t, err)
	if len(some) != 3 || some[0].Seq != got[want/2+1].Seq {
		t.Fatalf("the next page: %d records from %d", len(some), some[0].Seq)
	}
}

// grownOptions open a vault whose key lies beside it, so that kioskctl can.
func grownOptions(dir string) Options {
	return Options{Dir: dir, Keys: []keys.Source{keys.File{Path: grownKey(dir), Rand: rand.Reader}}, Version: "grown"}
}

func grownKey(dir string) string { return filepath.Join(filepath.Dir(dir), "disk.key") }

// grower makes the cases of a grown vault.
type grower struct {
	v      *Vault
	n      int
	first  time.Time
	at     time.Time // the clock
	county *seal.PrivateKey
	env    []byte // an envelope of a key that nobody keeps
	rnd    *mrand.ChaCha8
	dice   *mrand.Rand
}

// grow makes a vault with n cases.
func grow(ctx context.Context, o Options, n int) error {
	v, err := Open(ctx, o)
	if err != nil {
		return err
	}
	return growInto(ctx, v, n)
}

// growInto fills an empty vault with n cases and closes it.
func growInto(ctx context.Context, v *Vault, n int) error {
	county, err := seal.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], uint64(n))
	g := &grower{v: v, n: n, first: time.Now().Add(-growDays).Truncate(time.Second), county: county, rnd: mrand.NewChaCha8(seed)}
	g.at, g.dice = g.first, mrand.New(g.rnd)
	key, err := seal.NewKey(rand.Reader)
	if err != nil {
		return err
	}
	if g.env, err = county.Public().Envelop(rand.Reader, key, cases.EnvelopeAAD("0", 1)); err != nil {
		return err
	}
	key.Wipe()
	v.o.Now = func() time.Time { return g.at }
	if err := g.fill(ctx); err != nil {
		return fmt.Errorf("grow: %w", err)
	}
	v.o.Now = time.Now
	return v.Close(ctx)
}

func (g *grower) fill(ctx context.Context) error {
	pem := g.county.Public().PEM()
	if err := g.v.PutAll(ctx, map[string][]byte{keyCountySeal: pem, keyCountySign: pem}); err != nil {
		return err
	}
	if err := g.pragmas("synchronous=OFF", "cache_size=-400000", "wal_autocheckpoint=20000"); err != nil {
		return err
	}
	for at := 0; at < g.n; at += growBatch {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := g.batch(at, min(at+growBatch, g.n)); err != nil {
			return err
		}
	}
	// From here on it is a terminal like any other: what was written so far is
	// synced when SQLite next moves the WAL, at the latest by Close.
	back := []string{"wal_checkpoint(TRUNCATE)"}
	for _, d := range demands(syncFull) {
		switch d.name {
		case "synchronous", "cache_size", "wal_autocheckpoint":
			back = append(back, d.name+"="+d.set)
		}
	}
	return g.pragmas(back...)
}

func (g *grower) pragmas(list ...string) error {
	for _, p := range list {
		rows, err := g.v.db.Query("PRAGMA " + p)
		if err != nil {
			return err
		}
		if err := rows.Close(); err != nil {
			return err
		}
	}
	return nil
}

// batch submits the cases from (within) to (not within) and has the county
// answer them, in one transaction.
func (g *grower) batch(from, to int) error {
	subs := make([]cases.Submission, 0, to-from)
	for i := from; i < to; i++ {
		s, err := g.submission(i)
		if err != nil {
			return err
		}
		if _, err := g.v.writeScans(s.Case.ID, s.Files); err != nil {
			return err
		}
		subs = append(subs, s)
	}
	return g.v.changeLocked("grow", func(c *change) error {
		for k, s := range subs {
			g.at = s.Case.SavedAt
			c.now = g.at
			cs, err := c.submit(s, nil)
			if err != nil {
				return err
			}
			if err := g.answer(c, cs, from+k); err != nil {
				return err
			}
			if (from+k)%growPerNote == growPerNote-1 {
				if err := g.checkpoint(c); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// submission is case i as the desk would hand it in.
func (g *grower) submission(i int) (s cases.Submission, err error) {
	at := g.first.Add(time.Duration(float64(growDays) * float64(i) / float64(g.n)))
	body := make([]byte, growBody)
	private := make([]byte, growPrivate)
	_, _ = g.rnd.Read(body) // never fails
	_, _ = g.rnd.Read(private)
	service := []string{"S01", "S01", "S02", "S09", "J01", "J01", "T01", "C01"}[g.dice.IntN(8)]
	s = cases.Submission{
		Case: cases.Case{ID: g.id(at), Revision: 1, Service: service, ServiceName: "城乡居民养老保险参保登记", Catalogue: "2026.1",
			State: cases.Saved, Owner: growOwner(g.v, i/growPerOwner), Region: "140830100008", Village: "东关社区", StartedAt: at.Add(-4 * time.Minute),
			SavedAt: at, UpdatedAt: at, Mode: cases.ModeSelf, BodyDigest: seal.Digest(body)},
		KeyID: g.county.Public().ID(), Envelope: g.env, Body: body, LogPrivate: private,
		Actor:        cases.Actor{Role: cases.RoleResident, Session: uint64(i + 1)},
		Verification: resident.VerifiedByStaff, Confirmed: true,
	}
	if i < g.n-growScans {
		return s, nil
	}
	page := make([]byte, growPage)
	_, _ = g.rnd.Read(page)
	s.Files = []cases.SealedFile{{Name: "1-01.sealed", Material: "hkb_scan", Page: 1, MIME: "image/jpeg", Sealed: page, Digest: seal.Digest(page)}}
	return s, checkSubmission(s)
}

// id is a UUIDv7 (RFC 9562) of a time that is past.
func (g *grower) id(at time.Time) string {
	var b [16]byte
	_, _ = g.rnd.Read(b[:])
	binary.BigEndian.PutUint64(b[:8], uint64(at.UnixMilli())<<16|uint64(b[6])<<8|uint64(b[7]))
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	x := hex.EncodeToString(b[:])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// growOwner is the index of a person; no number stands behind it.
func growOwner(v *Vault, person int) []byte {
	return seal.MAC(v.owner, []byte("person "+strconv.Itoa(person)))
}

// answer is what the county did with case i: most are done with, a few are
// returned, refused or under way, the newest are not sent.
func (g *grower) answer(c *change, cs cases.Case, i int) error {
	left := g.n - i
	if left <= growOpen {
		if left > growAside {
			return nil
		}
		cs.State = cases.Attention
		if err := errors.Join(c.exec("UPDATE outbox SET state=?, open=?, attempts=9, reason=? WHERE num=?", string(cases.QueueAttention), openAside,
			"县里的系统不收", i+1), c.putCase(cs), c.event(cs.ID, c.now, cs.State, textAttention)); err != nil {
			return err
		}
		_, err := c.record(entry(oplog.QueueAttention, cs, system, map[string]string{"attempts": "9"}), nil)
		return err
	}
	if err := c.settle(int64(i+1), cases.QueueDone); err != nil {
		return err
	}
	then := []cases.State{cases.Accepted}
	switch d := g.dice.IntN(100); {
	case d < 80:
		then = append(then, cases.Finished)
	case d < 83:
		then = append(then, cases.Refused)
	case d < 85:
		then = append(then, cases.Returned)
	case d < 90:
		then = append(then, cases.Processing)
	}
	for k, state := range then {
		u := cases.Update{CaseID: cs.ID, Revision: cs.Revision, State: state, At: c.now.Add(time.Duration(k) * time.Millisecond),
			Acceptance: fmt.Sprintf("RC%012d", i)}
		if err := c.apply(&cs, u); err != nil {
			return err
		}
	}
	return nil
}

// checkpoint signs the log, and has the county sign it too.
func (g *grower) checkpoint(c *change) error {
	note, err := c.sign()
	if err != nil {
		return err
	}
	cp, err := oplog.PeekCheckpoint(note)
	if err != nil {
		return err
	}
	if note, err = oplog.Countersign(rand.Reader, note, oplog.CountyName, g.county); err != nil {
		return err
	}
	if err := c.exec("UPDATE checkpoints SET note=?, countersigned=1 WHERE size=?", note, cp.Size); err != nil {
		return err
	}
	_, err = c.record(oplog.Entry{Event: oplog.LogCountersign, Fields: map[string]string{
		"size": strconv.FormatInt(cp.Size, 10), "key": g.county.Public().ID(),
	}}, nil)
	return err
}
