package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/resident"
	"cunban/kiosk/seal"
	"cunban/kiosk/vault"
	"cunban/kiosk/vault/cryptfile"
	"cunban/kiosk/vault/keyring"
	"cunban/kiosk/vault/keys"
)

// How often the commands are killed; CUNBAN_REKEY_KILLS asks for another number,
// CUNBAN_REKEY_SEED for other moments. A seed repeats the moments, in
// milliseconds, not the instruction that the kill hits.
const (
	envKeyKills   = "CUNBAN_REKEY_KILLS"
	envKeySeed    = "CUNBAN_REKEY_SEED"
	usualKeyKills = 10
	usualKeySeed  = 2026
	// patience is how many times more rounds there may be until a kill is half-way.
	patience = 10
)

// What the vault that is killed holds: enough that writing it anew takes a while.
const (
	killedCases  = 60
	killedAnswer = 48 << 10 // bytes of a form's text
)

// first is how long the very first moments of a process are.
const first = 3 * time.Millisecond

// program is what is killed.
const program = "kioskctl"

// runLimit is when a command that does not end is given up.
const runLimit = time.Minute

// lookEvery is how often the folder is looked at for the beginning of the work.
const lookEvery = 200 * time.Microsecond

// standing is what the keys of a closed vault are.
type standing struct {
	data []byte // the data key in use
	from int    // index of the source that gives the key over it
	done int    // records of finished rekeys
}

// victim is a stopped terminal whose commands are killed. Its configuration has
// two key files, and only one of them opens the vault.
type victim struct {
	t     *testing.T
	dir   string
	files [2]string
	cases map[string][]byte // digest of each case's body
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	v := &victim{t: t, dir: t.TempDir(), cases: map[string][]byte{}}
	v.files = [2]string{filepath.Join(v.dir, "a.key"), filepath.Join(v.dir, "b.key")}
	v.must(os.WriteFile(v.path("kiosk.yaml"), []byte("data: data\nkeys:\n  - kind: file\n    path: a.key\n  - kind: file\n    path: b.key\n"), 0o600))
	v.must(os.MkdirAll(v.path("data"), 0o700))
	open, err := vault.Open(t.Context(), v.options(v.source(0)))
	v.must(err)
	county, err := seal.GenerateKey(rand.Reader)
	v.must(err)
	number, err := resident.ParseIDNumber("140830195603120024") // made up, see the design texts
	v.must(err)
	desk := cases.Desk{Store: open, CountyKey: county.Public(), Rand: rand.Reader, Now: time.Now}
	for range killedCases {
		id, err := cases.NewID(rand.Reader)
		v.must(err)
		c, err := desk.Submit(t.Context(), cases.Draft{ID: id, Revision: 1, Service: "S01", ServiceName: "城乡居民养老保险参保登记",
			Catalogue: "2026.11.1", Claim: resident.Claim{Source: resident.FromSocialCard, Number: number, Name: resident.NewName("张桂兰")},
			Answers: []byte(`"` + strings.Repeat("x", killedAnswer) + `"`), Region: "140830100008", StartedAt: time.Now(), Mode: cases.ModeSelf,
			Actor: cases.Actor{Role: cases.RoleResident}})
		v.must(err)
		v.cases[c.ID] = c.BodyDigest
	}
	v.must(open.Close(t.Context()))
	return v
}

func (v *victim) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *victim) path(name string) string { return filepath.Join(v.dir, name) }

func (v *victim) vault() string { return v.path("data/vault") }

func (v *victim) source(i int) keys.Source { return keys.File{Path: v.files[i], Rand: rand.Reader} }

func (v *victim) options(sources ...keys.Source) vault.Options {
	return vault.Options{Dir: v.vault(), Keys: sources, Version: "test", MinFree: 1}
}

// copies tells how many copies of the keyring a source's key opens.
func (v *victim) copies(i int) (n int) {
	v.t.Helper()
	key, err := v.source(i).Load(context.Background())
	if errors.Is(err, keys.ErrNoKey) {
		return 0
	}
	v.must(err)
	for c := range keyring.Names {
		if r, err := v.ring().OpenCopy(c, key); err == nil {
			r.Wipe()
			n++
		}
	}
	return n
}

func (v *victim) ring() keyring.Store { return keyring.Store{FS: cryptfile.OS{}, Dir: v.vault()} }

// halfway tells whether a killed command left something for the next start to
// end: two data keys, or a copy of the ring for each source.
func (v *victim) halfway() bool {
	for i := range v.files {
		key, err := v.source(i).Load(context.Background())
		if err != nil {
			continue
		}
		if r, whole, err := v.ring().Open(key); err == nil {
			half := len(r.Keys) > 1 || !whole
			r.Wipe()
			if half {
				return true
			}
		}
	}
	return false
}

// look opens the vault as a start does, with all of its own checks, and tells
// what is not as it was promised.
func (v *victim) look() (s standing, broken []string) {
	say := func(format string, a ...any) { broken = append(broken, fmt.Sprintf(format, a...)) }
	ctx := context.Background()
	open, err := vault.Open(ctx, v.options(v.source(0), v.source(1)))
	if err != nil {
		return s, []string{"the vault does not open: " + err.Error()}
	}
	for _, i := range open.Incidents() {
		say("an incident: %s: %s", i.Kind, i.Detail)
	}
	for id, digest := range v.cases {
		if c, err := open.Case(ctx, id); err != nil || c.State != cases.Saved || !bytes.Equal(c.BodyDigest, digest) {
			say("case %s is not as it was saved: %q, %v", id, c.State, err)
		}
	}
	if rep, err := open.Check(ctx); err != nil || !rep.Whole() || rep.Items != len(v.cases) {
		say("not whole: %+v, %v", rep, err)
	}
	if rep, err := open.LogVerify(ctx, nil); err != nil {
		say("the log does not verify: %+v, %v", rep, err)
	}
	rs, err := open.LogQuery(ctx, vault.LogFilter{Event: oplog.VaultRekey})
	if err != nil {
		say("ask the log: %v", err)
	}
	s.done = len(rs)
	if err := open.Close(ctx); err != nil {
		say("close: %v", err)
	}
	return s, append(broken, v.lookAtKeys(&s)...)
}

// lookAtKeys reads the ring at rest: one data key, two whole copies under one
// source's key, none under the other's, and nothing beside it.
func (v *victim) lookAtKeys(s *standing) (broken []string) {
	say := func(format string, a ...any) { broken = append(broken, fmt.Sprintf(format, a...)) }
	n := [2]int{v.copies(0), v.copies(1)}
	if s.from = slices.Index(n[:], len(keyring.Names)); s.from < 0 || n[1-s.from] != 0 {
		say("the sources open %v copies of the ring", n)
		return broken
	}
	key, err := v.source(s.from).Load(context.Background())
	v.must(err)
	r, whole, err := v.ring().Open(key)
	v.must(err)
	defer r.Wipe()
	if len(r.Keys) != 1 || !whole {
		say("a ring with %d keys, whole: %t", len(r.Keys), whole)
	}
	s.data = bytes.Clone(r.Keys[0].Bytes())
	names, err := cryptfile.OS{}.List(v.vault())
	v.must(err)
	want := []string{"scans", "vault.check", "vault.db", "vault.key1", "vault.key2", "vault.lock"}
	if !slices.Equal(names, want) {
		say("the folder holds %v", names)
	}
	return broken
}

// deed is a command that changes the keys.
type deed struct {
	program string
	args    []string
	begun   func() bool // it has begun to change something
	said    string      // what it says when it is done
	// undone tells what is wrong when before is after a command that said that it
	// was done, or that went through.
	undone func(before, after standing) string
	// half tells what is wrong when only a part was done.
	half func(before, after standing) string
}

// rekeying is kioskctl vault rekey.
func (v *victim) rekeying(program string) deed {
	// What tells of its beginning: a second database, or another one in its place.
	db := v.vault() + "/vault.db"
	old, err := os.Stat(db)
	v.must(err)
	return deed{program: program, args: []string{"vault", "rekey", "--config", v.path("kiosk.yaml")}, said: "数据密钥已更换",
		begun: func() bool {
			if _, err := os.Stat(db + ".new"); err == nil {
				return true
			}
			now, err := os.Stat(db)
			return err == nil && !os.SameFile(old, now)
		},
		undone: func(before, after standing) string {
			if bytes.Equal(before.data, after.data) {
				return "said to be changed, the data key is the old one"
			}
			return ""
		},
		half: func(before, after standing) string {
			if records := after.done - before.done; bytes.Equal(before.data, after.data) != (records == 0) || records > 1 || before.from != after.from {
				return fmt.Sprintf("data key as before: %t, %d records of a change, source %d and then %d",
					bytes.Equal(before.data, after.data), records, before.from, after.from)
			}
			return ""
		}}
}

// rotating is kioskctl vault rotate to the file that is not in use; what lies
// there from earlier opens nothing and is taken away first.
func (v *victim) rotating(program string, from int) deed {
	to := v.files[1-from]
	if err := os.Remove(to); !errors.Is(err, os.ErrNotExist) {
		v.must(err)
	}
	return deed{program: program, args: []string{"vault", "rotate", "--to", "file=" + to, "--config", v.path("kiosk.yaml")}, said: "密钥来源已从",
		begun: func() bool { _, err := os.Stat(to); return err == nil },
		undone: func(_, after standing) string {
			if after.from == from {
				return "said to be changed, the source is the old one"
			}
			return ""
		},
		half: func(before, after standing) string {
			if !bytes.Equal(before.data, after.data) || before.done != after.done {
				return "a change of the source changed the data key"
			}
			return ""
		}}
}

// took is how long a command that is left alone takes, and its work in it.
type took struct{ whole, work time.Duration }

// least is the shorter of two runs: on a machine that was busy for a moment the
// kills would else come when all is done. A run that found its work begun took no
// time for it that can be told.
func (t took) least(u took) took {
	t.whole = min(t.whole, u.whole)
	if u.work > 0 {
		t.work = min(t.work, u.work)
	}
	return t
}

// run runs a command. With a kill it is killed at that moment after its start or,
// with late, after the beginning of its work; said tells whether it had said that
// it was done.
func (v *victim) run(d deed, kill time.Duration, late bool) (t took, said bool) {
	v.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(d.program, d.args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	start := time.Now()
	v.must(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	err := v.watch(cmd.Process, d, kill, late, start, ended, &t)
	t.whole = time.Since(start)
	var exit *exec.ExitError
	killed := errors.As(err, &exit) && exit.ExitCode() < 0
	if err != nil && (!killed || kill < 0 || t.whole > runLimit) {
		v.t.Fatalf("%s %v: %v\n%s%s", d.program, d.args, err, out.String(), errs.String())
	}
	return t, strings.Contains(out.String(), d.said)
}

// watch waits for the end of a process and kills it at its moment.
func (v *victim) watch(p *os.Process, d deed, kill time.Duration, late bool, start time.Time, ended <-chan error, t *took) error {
	var moment <-chan time.Time
	if kill >= 0 && !late {
		moment = time.After(kill)
	}
	limit := time.After(runLimit)
	eyes := time.NewTicker(lookEvery)
	defer eyes.Stop()
	var begin time.Time
	for {
		select {
		case err := <-ended:
			if !begin.IsZero() {
				t.work = time.Since(begin)
			}
			return err
		case <-moment:
			v.must(ignoreDone(p.Kill()))
			moment = nil
		case <-limit:
			v.must(ignoreDone(p.Kill()))
			return errors.Join(fmt.Errorf("not ended within %v", runLimit), <-ended)
		case <-eyes.C:
			if begin.IsZero() && d.begun() {
				begin = time.Now()
				eyes.Stop()
				if kill >= 0 && late {
					moment = time.After(kill)
				}
			}
		}
	}
}

func ignoreDone(err error) error {
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

const never = time.Duration(-1)

// killAt draws when a command is killed: in its first milliseconds, anywhere, in
// its work, or near its end.
func killAt(rng *mathrand.Rand, round int, t took) (kill time.Duration, late bool) {
	upTo := func(d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(max(d, time.Millisecond)))) }
	switch round % 5 {
	case 0:
		return upTo(first), false
	case 1:
		return upTo(t.whole), false
	case 2:
		return t.whole*4/5 + upTo(t.whole*2/5), false
	default:
		return upTo(t.work), true
	}
}

// tally counts where the kills hit.
type tally struct{ before, halfway, after int }

func (c tally) String() string {
	return fmt.Sprintf("%d kills, %d before, %d half-way, %d after the change", c.before+c.halfway+c.after, c.before, c.halfway, c.after)
}

// killing kills a command again and again and looks at what is left; after each
// kill the command is run again and has to end its work. It stops at the first
// thing that is broken.
func (v *victim) killing(rounds int, next func(s standing) deed, enough func(tally) bool) (c tally, broken []string) {
	seed := uint64(envNumber(v.t, envKeySeed, usualKeySeed))
	rng := mathrand.New(mathrand.NewPCG(seed, uint64(rounds)))
	s, broken := v.look()
	if len(broken) > 0 {
		v.t.Fatal(broken)
	}
	usual, _ := v.run(next(s), never, false)
	v.t.Logf("left alone it takes %v, of that %v for its work", usual.whole.Round(time.Millisecond), usual.work.Round(time.Millisecond))
	before, broken := v.look()
	if len(broken) > 0 {
		v.t.Fatal(broken)
	}
	for round := 0; round < rounds || !enough(c) && round < patience*rounds; round++ {
		d := next(before)
		kill, late := killAt(rng, round, usual)
		_, said := v.run(d, kill, late)
		half := v.halfway()
		after, bad := v.look()
		at := fmt.Sprintf("round %d, killed %v after its start (in its work: %t), said to be done: %t", round, kill, late, said)
		if len(bad) > 0 {
			return c, append(bad, at)
		}
		c.count(half, d.undone(before, after) == "")
		if what := d.half(before, after); what != "" {
			return c, []string{what, at}
		}
		if what := d.undone(before, after); said && what != "" {
			return c, []string{what, at}
		}
		if d.undone(before, after) == "" {
			d = next(after)
		}
		d.program = program // also after a careless one
		t, said := v.run(d, never, false)
		usual = usual.least(t)
		if !said {
			return c, []string{"run again, it did not say that it was done", at}
		}
		end, bad := v.look()
		if len(bad) > 0 {
			return c, append(bad, at+", and run again")
		}
		if what := d.undone(after, end) + d.half(after, end); what != "" {
			return c, []string{what, at + ", and run again"}
		}
		before = end
	}
	return c, nil
}

func (c *tally) count(half, done bool) {
	switch {
	case half:
		c.halfway++
	case done:
		c.after++
	default:
		c.before++
	}
}

// envNumber reads a number from the environment.
func envNumber(t *testing.T, name string, usual int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// halfwaySeen: a run whose kills all missed the change proves nothing.
func halfwaySeen(c tally) bool { return c.halfway > 0 }

// TestKillRekey kills kioskctl vault rekey (SIGKILL) at random moments: the
// vault opens with the old data key or the new one, as the log and the program
// say, with every case and the whole log, and the command, run again, ends.
func TestKillRekey(t *testing.T) {
	v := newVictim(t)
	do := func(standing) deed { return v.rekeying(program) }
	c, broken := v.killing(envNumber(t, envKeyKills, usualKeyKills), do, halfwaySeen)
	for _, what := range broken {
		t.Error(what)
	}
	t.Log(c)
	if !halfwaySeen(c) && len(broken) == 0 {
		t.Error("no kill hit the change: nothing is proved")
	}
}

// TestKillRotate is the same for kioskctl vault rotate, to and fro between two
// key files.
func TestKillRotate(t *testing.T) {
	v := newVictim(t)
	do := func(s standing) deed { return v.rotating(program, s.from) }
	c, broken := v.killing(envNumber(t, envKeyKills, usualKeyKills), do, func(c tally) bool { return c.before > 0 && c.after+c.halfway > 0 })
	for _, what := range broken {
		t.Error(what)
	}
	t.Log(c)
}
