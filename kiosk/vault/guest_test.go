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
	gosync "sync"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
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
	guestAt      = "at"      // what begins now, see atOpening
	guestTold    = "told"    // a promise, given after the method returned
	guestLost    = "lost"    // a promise of before that does not hold
	guestChecked = "checked" // so many promises were looked at
)

// What a cut can be aimed at.
const (
	atOpening = "opening" // the vault is made, or opened
	atRekey   = "rekey"
	atRetain  = "retain"
	atPrune   = "prune"
)

// Kinds of promises; the line goes on with a key and a value.
const (
	toldCase    = "case"    // id, state
	toldLog     = "log"     // size and root (hex) of a checkpoint
	toldSetting = "setting" // key, number
	toldRetain  = "retain"  // "before", the time (ns since 1970) up to which what was in settled cases is destroyed
	toldPrune   = "prune"   // "size", where the log begins
	toldCounty  = "county"  // "key", the county's signing key: a PEM text in hex
	toldClock   = "clock"   // "days", how far the guest's clock is ahead
)

const (
	guestSetting = "sync/guest" // a setting that counts up
	guestScans   = 3            // pages of a case at most
	guestPage    = 30_000       // bytes of a page at most
	guestMinFree = 1 << 20      // bytes; the guest's disk is small
	guestDays    = 60           // by which the clock is put forward after each shift
	guestKeep    = 30           // days for which what was in a case is kept
)

// Several work at once, as the page, the engine and staff do: scans of one case
// are written while another's row is committed.
const (
	guestWorkers = 3
	guestShift   = 4 // things that each does before they meet
)

// guest is the program in a guest: it checks what it had told before, and then
// works until its power goes.
type guest struct {
	o      Options
	v      *Vault
	b      *drafts
	county *seal.PrivateKey // countersigns checkpoints
	out    io.Writer

	mu   gosync.Mutex // guards what follows, and out
	days int
	told map[[2]string]string // kind and key to value, the last one told
}

// TestGuest runs in a guest of `dev test --only plug`, on a real kernel and a
// real file system, and never returns: it is cut off. The next run checks.
func TestGuest(t *testing.T) {
	dir := os.Getenv(envGuestDir)
	if dir == "" {
		t.Skip("only for the guest of cmd/dev/plug.go")
	}
	ctx, seed := t.Context(), uint64(cutsFromEnv(t, envGuestSeed, 1))
	g := &guest{out: os.Stdout, told: map[[2]string]string{}}
	g.o = Options{Dir: dir, Version: "guest", MinFree: guestMinFree, Now: g.now,
		Keys: []keys.Source{keys.File{Path: filepath.Join(filepath.Dir(dir), "key", "disk.key"), Rand: rand.Reader}}}
	if os.Getenv(envGuestSync) == "normal" {
		g.o.synchronous = syncNormal
	}
	promises, err := g.remember(os.Getenv(envGuestTold))
	must(t, err)
	if err := g.open(ctx); err != nil {
		g.say(guestLost, "the vault cannot be opened:", err)
		t.FailNow()
	}
	g.check(ctx)
	g.say(guestChecked, promises)
	if os.Getenv(envGuestOnly) == "check" {
		must(t, g.v.Close(ctx))
		return
	}
	must(t, g.enrol(ctx))
	for shift := uint64(0); ; shift++ {
		must(t, g.shift(ctx, seed, shift))
	}
}

// remember reads what was told by the runs before.
func (g *guest) remember(file string) (promises int, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for sc := bufio.NewScanner(bytes.NewReader(text)); sc.Scan(); promises++ {
		w := strings.Fields(sc.Text())
		if len(w) != 3 {
			return 0, fmt.Errorf("told %q", sc.Text())
		}
		g.told[[2]string{w[0], w[1]}] = w[2]
	}
	if days, ok := g.told[[2]string{toldClock, "days"}]; ok {
		if g.days, err = strconv.Atoi(days); err != nil {
			return 0, err
		}
	}
	return promises, nil
}

// now is a clock that runs on by months, so that cases and records get old.
func (g *guest) now() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Now().AddDate(0, 0, g.days)
}

// enrol gives the vault the county's key, the same in every run.
func (g *guest) enrol(ctx context.Context) (err error) {
	if told, ok := g.told[[2]string{toldCounty, "key"}]; ok {
		text, err := hex.DecodeString(told)
		if err != nil {
			return err
		}
		g.county, err = seal.ParsePrivateKey(text)
		return err
	}
	if g.county, err = seal.GenerateKey(rand.Reader); err != nil {
		return err
	}
	private, err := g.county.PEM()
	if err != nil {
		return err
	}
	if err := g.v.Put(ctx, keyCountySign, g.county.Public().PEM()); err != nil {
		return err
	}
	g.promise(toldCounty, "key", hex.EncodeToString(private))
	return nil
}

func (g *guest) open(ctx context.Context) (err error) {
	g.say(guestAt, atOpening)
	if g.v, err = Open(ctx, g.o); err == nil {
		g.b = newDrafts(g.v)
		g.b.desk.Now = g.now
	}
	return err
}

func (g *guest) say(words ...any) { _, _ = fmt.Fprintln(g.out, words...) }

// promise tells what a method reported as done.
func (g *guest) promise(kind, key, value string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.told[[2]string{kind, key}] = value
	g.say(guestTold, kind, key, value)
}

// shift lets all work for a while; every second time the program ends properly,
// perhaps gets another data key, and starts again.
func (g *guest) shift(ctx context.Context, seed, shift uint64) error {
	errs := make([]error, guestWorkers)
	var all gosync.WaitGroup
	for w := range guestWorkers {
		rng := mathrand.New(mathrand.NewPCG(seed, shift*guestWorkers+uint64(w)))
		all.Go(func() {
			for i := 0; i < guestShift && errs[w] == nil; i++ {
				errs[w] = g.work(ctx, rng, fmt.Sprint(guestSetting, w))
			}
		})
	}
	all.Wait()
	g.mu.Lock()
	g.days += guestDays
	days := strconv.Itoa(g.days)
	g.mu.Unlock()
	g.promise(toldClock, "days", days)
	if err := errors.Join(errs...); err != nil || shift%2 == 0 {
		return err
	}
	if err := g.v.Close(ctx); err != nil {
		return err
	}
	if (seed+shift/2)%2 == 0 {
		g.say(guestAt, atRekey)
		if err := Rekey(ctx, g.o, RekeyOptions{}); err != nil {
			return err
		}
	}
	return g.open(ctx)
}

// work does one thing and tells it. setting is one that only the caller
// changes.
func (g *guest) work(ctx context.Context, rng *mathrand.Rand, setting string) error {
	switch n := rng.IntN(24); {
	case n < 12:
		_, err := g.submit(ctx, rng)
		return err
	case n < 17:
		return g.acknowledge(ctx)
	case n < 19:
		return g.withdraw(ctx, rng)
	case n < 20:
		return g.checkpoint(ctx)
	case n < 21:
		return g.retain(ctx)
	case n < 22:
		return g.prune(ctx)
	default:
		return g.put(ctx, setting)
	}
}

func (g *guest) put(ctx context.Context, setting string) error {
	g.mu.Lock()
	last, _ := strconv.Atoi(g.told[[2]string{toldSetting, setting}])
	g.mu.Unlock()
	val := strconv.Itoa(last + 1)
	if err := g.v.Put(ctx, setting, []byte(val)); err != nil {
		return err
	}
	g.promise(toldSetting, setting, val)
	return nil
}

func (g *guest) withdraw(ctx context.Context, rng *mathrand.Rand) error {
	id, err := g.submit(ctx, rng)
	if err != nil {
		return err
	}
	c, err := g.v.Withdraw(ctx, id, cases.Actor{Role: cases.RoleResident, Session: 1})
	if errors.Is(err, cases.ErrTooLate) {
		return nil // another has it in hand
	}
	return g.tellCase(c, err)
}

func (g *guest) retain(ctx context.Context) error {
	before := g.now().AddDate(0, 0, -guestKeep)
	g.say(guestAt, atRetain)
	if _, err := g.v.Retain(ctx, before); err != nil {
		return err
	}
	g.promise(toldRetain, "before", strconv.FormatInt(before.UnixNano(), 10))
	return nil
}

func (g *guest) prune(ctx context.Context) error {
	g.say(guestAt, atPrune)
	if _, err := g.v.Prune(ctx, g.now()); err != nil {
		return err
	}
	g.v.mu.Lock()
	start := g.v.start.Size()
	g.v.mu.Unlock()
	g.promise(toldPrune, "size", strconv.FormatInt(start, 10))
	return nil
}

func (g *guest) tellCase(c cases.Case, err error) error {
	if err == nil {
		g.promise(toldCase, c.ID, string(c.State))
	}
	return err
}

func (g *guest) submit(ctx context.Context, rng *mathrand.Rand) (id string, err error) {
	d, err := g.b.next()
	if err != nil {
		return "", err
	}
	for p := range rng.IntN(guestScans + 1) {
		data := make([]byte, 1+rng.IntN(guestPage))
		if err := readRandom(data); err != nil {
			return "", err
		}
		d.Scans = append(d.Scans, cases.Scan{Material: "id-card", Page: p + 1, MIME: "image/jpeg", Data: data})
	}
	c, err := g.b.desk.Submit(ctx, d)
	return d.ID, g.tellCase(c, err)
}

func (g *guest) acknowledge(ctx context.Context) error {
	its, err := g.v.Lease(ctx, g.now(), time.Hour, 2)
	if err != nil {
		return err
	}
	for _, it := range its {
		if err := g.tellCase(g.v.Acknowledge(ctx, it.CaseID, it.Revision, it.Lease, "N-"+it.CaseID[:8], g.now(), "")); err != nil {
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
	if _, err := oplog.OpenCheckpoint(note, oplog.CountyName, g.county.Public()); err == nil {
		return nil // the one before, which the county signed
	}
	if note, err = oplog.Countersign(rand.Reader, note, oplog.CountyName, g.county); err != nil {
		return err
	}
	return g.v.Countersign(ctx, note)
}
