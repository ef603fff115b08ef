package vault

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/vault/keys"
)

// What cmd/dev/plug.go tells the guest whose plug it pulls.
const (
	envGuestDir  = "CUNBAN_GUEST_DIR"  // the vault's folder on the disk
	envGuestTold = "CUNBAN_GUEST_TOLD" // file with what the runs before had told
	envGuestSeed = "CUNBAN_GUEST_SEED" // of what it does next
	envGuestSync = "CUNBAN_GUEST_SYNC" // "normal": SQLite's usual setting, a control that must lose
	envGuestOnly = "CUNBAN_GUEST_ONLY" // "check": end after the check
)

// Words at the front of the guest's lines, for cmd/dev/plug.go.
const (
	guestOpening = "opening" // the vault is opened now
	guestTold    = "told"    // a promise, given after the method returned
	guestLost    = "lost"    // a promise of before that does not hold
	guestChecked = "checked" // so many promises were looked at
)

// Kinds of promises; the line goes on with a key and a value.
const (
	toldCase    = "case"    // id, state
	toldLog     = "log"     // size and root (hex) of a checkpoint
	toldSetting = "setting" // key, number
)

const (
	guestSetting = "sync/guest" // a setting that counts up
	guestScans   = 3            // pages of a case at most
	guestPage    = 30_000       // bytes of a page at most
	guestMinFree = 1 << 20      // bytes; the guest's disk is small
)

// guest is the program in a guest: it checks what it had told before, and then
// works until its power goes.
type guest struct {
	o    Options
	v    *Vault
	b    *drafts
	rng  *mathrand.Rand
	out  io.Writer
	told map[[2]string]string // kind and key to value, the last one told
}

// TestGuest runs in a guest of `dev test --only plug`, on a real kernel and a
// real file system, and never returns: it is cut off. The next run checks.
func TestGuest(t *testing.T) {
	dir := os.Getenv(envGuestDir)
	if dir == "" {
		t.Skip("only for the guest of cmd/dev/plug.go")
	}
	seed := cutsFromEnv(t, envGuestSeed, 1)
	g := &guest{out: os.Stdout, rng: mathrand.New(mathrand.NewPCG(uint64(seed), 2)), told: map[[2]string]string{},
		o: Options{Dir: dir, Version: "guest", MinFree: guestMinFree,
			Keys: []keys.Source{keys.File{Path: filepath.Join(filepath.Dir(dir), "key", "disk.key"), Rand: rand.Reader}}}}
	if os.Getenv(envGuestSync) == "normal" {
		g.o.synchronous = syncNormal
	}
	before, err := os.ReadFile(os.Getenv(envGuestTold))
	must(t, err)
	promises := 0
	for sc := bufio.NewScanner(bytes.NewReader(before)); sc.Scan(); promises++ {
		w := strings.Fields(sc.Text())
		if len(w) != 3 {
			t.Fatalf("told %q", sc.Text())
		}
		g.told[[2]string{w[0], w[1]}] = w[2]
	}
	g.say(guestOpening)
	if err := g.open(t.Context()); err != nil {
		g.say(guestLost, "the vault cannot be opened:", err)
		t.FailNow()
	}
	g.check(t.Context())
	g.say(guestChecked, promises)
	if os.Getenv(envGuestOnly) == "check" {
		must(t, g.v.Close(t.Context()))
		return
	}
	for {
		must(t, g.work(t.Context()))
	}
}

func (g *guest) open(ctx context.Context) (err error) {
	if g.v, err = Open(ctx, g.o); err == nil {
		g.b = newDrafts(g.v)
	}
	return err
}

func (g *guest) say(words ...any) { _, _ = fmt.Fprintln(g.out, words...) }

// promise tells what a method reported as done.
func (g *guest) promise(kind, key, value string) {
	g.told[[2]string{kind, key}] = value
	g.say(guestTold, kind, key, value)
}

// check looks whether everything holds that was told, and whether everything
// that is there is whole. What it finds it tells: it must stay.
func (g *guest) check(ctx context.Context) {
	lost := func(format string, a ...any) { g.say(guestLost, fmt.Sprintf(format, a...)) }
	for _, i := range g.v.Incidents() {
		lost("incident %s: %s", i.Kind, i.Detail)
	}
	for k, val := range g.told {
		var err error
		switch k[0] {
		case toldCase:
			err = g.checkCase(ctx, k[1], cases.State(val))
		case toldLog:
			err = g.checkRoot(k[1], val)
		case toldSetting:
			err = g.checkSetting(ctx, k[1], val)
		}
		if err != nil {
			lost("%s %s %s: %v", k[0], k[1], val, err)
		}
	}
	if err := g.checkAll(ctx); err != nil {
		lost("%v", err)
	}
	if _, err := g.v.LogVerify(ctx, nil); err != nil {
		lost("log: %v", err)
	}
}

func (g *guest) checkCase(ctx context.Context, id string, was cases.State) error {
	c, err := g.v.Case(ctx, id)
	if err != nil {
		return err
	}
	// A change under way when the power went may have been made.
	if c.State != was && !was.Can(c.State) {
		return fmt.Errorf("it is %s", c.State)
	}
	return nil
}

// checkRoot looks whether the log still goes through a checkpoint; LogVerify
// looks whether the checkpoint is true.
func (g *guest) checkRoot(size, root string) error {
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return err
	}
	var have []byte
	if err := g.v.db.QueryRow("SELECT root FROM checkpoints WHERE size=?", n).Scan(&have); err != nil {
		return err
	}
	if hex.EncodeToString(have) != root {
		return fmt.Errorf("the root is %x", have)
	}
	return nil
}

func (g *guest) checkSetting(ctx context.Context, key, was string) error {
	have, _, err := g.v.Get(ctx, key)
	if err != nil {
		return err
	}
	a, err1 := strconv.Atoi(was)
	b, err2 := strconv.Atoi(string(have))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if b < a {
		return fmt.Errorf("it is %d", b)
	}
	g.promise(toldSetting, key, string(have))
	return nil
}

// checkAll looks at every case: one record of its submission, in the outbox
// exactly while unsent, its scans whole.
func (g *guest) checkAll(ctx context.Context) error {
	all, err := g.v.List(ctx, cases.Query{})
	if err != nil {
		return err
	}
	items, err := g.v.Items(ctx)
	if err != nil {
		return err
	}
	records, err := g.v.LogQuery(ctx, LogFilter{Event: oplog.CaseSubmit})
	if err != nil {
		return err
	}
	logged, open := map[string][]int64{}, map[string]bool{}
	for _, r := range records {
		logged[r.CaseID] = append(logged[r.CaseID], r.Seq)
	}
	var bad []error
	for _, it := range items {
		open[it.CaseID] = true
		for _, f := range it.Files {
			if err := fileWhole(g.v, it.CaseID, f); err != nil {
				bad = append(bad, fmt.Errorf("case %s: %w", it.CaseID, err))
			}
		}
	}
	for _, c := range all {
		if l := logged[c.ID]; len(l) != 1 || l[0] != c.LogIndex {
			bad = append(bad, fmt.Errorf("case %s: its submission is in the log at %v instead of %d", c.ID, l, c.LogIndex))
		}
		if open[c.ID] != c.State.Unsent() {
			bad = append(bad, fmt.Errorf("case %s is %s, in the outbox: %t", c.ID, c.State, open[c.ID]))
		}
		if g.told[[2]string{toldCase, c.ID}] != string(c.State) {
			g.promise(toldCase, c.ID, string(c.State))
		}
	}
	if len(logged) != len(all) {
		bad = append(bad, fmt.Errorf("the log tells of %d cases, there are %d", len(logged), len(all)))
	}
	return errors.Join(bad...)
}

// work does one thing and tells it.
func (g *guest) work(ctx context.Context) error {
	switch n := g.rng.IntN(40); {
	case n < 20:
		_, err := g.submit(ctx)
		return err
	case n < 30:
		return g.acknowledge(ctx)
	case n < 33:
		id, err := g.submit(ctx)
		if err != nil {
			return err
		}
		return g.tellCase(g.v.Withdraw(ctx, id, cases.Actor{Role: cases.RoleResident, Session: 1}))
	case n < 36:
		return g.checkpoint(ctx)
	case n < 39:
		last, _ := strconv.Atoi(g.told[[2]string{toldSetting, guestSetting}])
		val := strconv.Itoa(last + 1)
		if err := g.v.Put(ctx, guestSetting, []byte(val)); err != nil {
			return err
		}
		g.promise(toldSetting, guestSetting, val)
		return nil
	default: // a start after a proper end
		if err := g.v.Close(ctx); err != nil {
			return err
		}
		return g.open(ctx)
	}
}

func (g *guest) tellCase(c cases.Case, err error) error {
	if err == nil {
		g.promise(toldCase, c.ID, string(c.State))
	}
	return err
}

func (g *guest) submit(ctx context.Context) (id string, err error) {
	d, err := g.b.next()
	if err != nil {
		return "", err
	}
	for p := range g.rng.IntN(guestScans + 1) {
		data := make([]byte, 1+g.rng.IntN(guestPage))
		if err := readRandom(data); err != nil {
			return "", err
		}
		d.Scans = append(d.Scans, cases.Scan{Material: "id-card", Page: p + 1, MIME: "image/jpeg", Data: data})
	}
	c, err := g.b.desk.Submit(ctx, d)
	return d.ID, g.tellCase(c, err)
}

func (g *guest) acknowledge(ctx context.Context) error {
	its, err := g.v.Lease(ctx, time.Now(), time.Minute, 2)
	if err != nil {
		return err
	}
	for _, it := range its {
		if err := g.tellCase(g.v.Acknowledge(ctx, it.CaseID, it.Revision, it.Lease, "N-"+it.CaseID[:8], time.Now(), "")); err != nil {
			return err
		}
	}
	return nil
}

func (g *guest) checkpoint(ctx context.Context) error {
	note, _, err := g.v.Checkpoint(ctx, 0)
	if err != nil {
		return err
	}
	cp, err := oplog.OpenCheckpoint(note, g.v.Origin(), g.v.PublicKey())
	if err != nil {
		return err
	}
	g.promise(toldLog, strconv.FormatInt(cp.Size, 10), hex.EncodeToString(cp.Root))
	return nil
}
