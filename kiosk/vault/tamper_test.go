package vault

// Tampering with the operation log of a vault whose database lies open for
// writing: thousands of changes, each in a transaction that is rolled back
// afterwards, and LogVerify's reading part after each.
//
// # Who can do what, and who sees it
//
// The log's signing key and the present MAC key lie in the vault; past MAC keys
// are destroyed, the seeds are enveloped to the county, and the county's signing
// key never was here. So:
//
//	the intruder                    does                                  is seen by
//	1 writes rows, uses no key      anything to one row or to several     this verification, at once: the very record
//	2 makes all hashes fit, too     rewrites below a checkpoint           this verification: the records between two checkpoints;
//	                                                                      the county's MAC seeds: the very record
//	3 the same                      rewrites after the last checkpoint    the county's MAC seeds: the very record. NOT here: nobody
//	                                                                      here has the keys of those records any more
//	4 signs checkpoints, too        rewrites below a countersigned one    this verification, unless it also makes the record of the
//	                                                                      countersignature disappear; then the county, which keeps
//	                                                                      the note that it signed (and refuses another), and its seeds
//	5 the same                      rewrites after the last of those      the county's MAC seeds: the very record
//	6 has the present MAC key, too  cuts the end off                      the county, if it signed more; else its MAC seeds, with the
//	                                                                      next record that is written: the key for its number is
//	                                                                      gone
//	7 the same                      appends records                       nobody: who has the running terminal's keys writes as the
//	                                                                      terminal does. What was before stays as it was
//	8 the same                      cuts the end off after the last       nobody. It is as if the terminal had been destroyed: the
//	                                countersigned checkpoint, with the    cases are with the county if they were sent, and lost
//	                                cases, and never writes again         otherwise
//
// Rows 3 to 6 are attacks that this program alone cannot see: the harness makes
// them too, demands that they stay unseen here (or this table would be wrong),
// and that what the county has names the right record. They are not counted as
// found.
//
// # The right record
//
// It is the lowest number whose record, or what is kept for it, is not what was
// written:
//   - a row of log_records changed, deleted, overwritten, or shifted by an
//     inserted one: its number; of two that were exchanged the lower; of an end
//     that was cut off the first that is missing;
//   - a tree node: the record that completed it; a node too many: the size of the
//     log, which is the number of the record that is not there yet;
//   - a checkpoint: its size, which is the number of the record that tells of it;
//     of one that was moved the lower of both sizes;
//   - a seed: the first record of its chain;
//   - the state of the log, on which the next record rests: the size of the log;
//     the state that a pruned log begins after: its size;
//   - records rewritten with all hashes made to fit: the run between the two
//     checkpoints around them, for only signatures are left to contradict.

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	gosync "sync"
	"testing"

	"cunban/kiosk/oplog"
)

// How many changes plain `go test` makes, and which seed: CUNBAN_TAMPER=100000
// makes more, CUNBAN_TAMPER_ONLY=<seed>:<round> the one that failed.
const (
	tamperRounds = 10_500
	tamperSeed   = 1
)

func TestTamper(t *testing.T) {
	rounds := tamperRounds
	if s := os.Getenv("CUNBAN_TAMPER"); s != "" {
		var err error
		rounds, err = strconv.Atoi(s)
		must(t, err)
	}
	seed, only := uint64(tamperSeed), -1
	if s := os.Getenv("CUNBAN_TAMPER_ONLY"); s != "" {
		if _, err := fmt.Sscanf(s, "%d:%d", &seed, &only); err != nil {
			t.Fatalf("CUNBAN_TAMPER_ONLY=%s: %v", s, err)
		}
		rounds = only + 1
	}
	tally := tamperAll(t, blindness{}, seed, rounds, only)
	for _, class := range slices.Sorted(maps.Keys(tally.missed)) {
		for _, m := range tally.missed[class] {
			t.Errorf("%s: %s", class, m)
		}
	}
	for _, class := range slices.Sorted(maps.Keys(tally.made)) {
		t.Logf("%7d %s", tally.made[class], class)
	}
	found := tally.changes - tally.misses
	t.Logf("found %d of %d changes, the right record named; %d more that only the county can see", found, tally.changes, tally.hidden)
	if only < 0 && (len(tally.made) < len(attacks) || tally.changes+tally.hidden < rounds || tally.hidden > rounds/10) {
		t.Errorf("only %d of %d kinds of attacks, %d changes", len(tally.made), len(attacks), tally.changes)
	}
}

// TestTamperNoticesBlindness: a verification with an eye shut must miss.
func TestTamperNoticesBlindness(t *testing.T) {
	for name, b := range map[string]blindness{"nodes": {nodes: true}, "columns": {columns: true}, "checkpoints": {checkpoints: true}} {
		t.Run(name, func(t *testing.T) {
			tally := tamperAll(t, b, tamperSeed, 300, -1)
			t.Logf("missed %d of %d changes", tally.misses, tally.changes)
			if tally.misses == 0 {
				t.Fatal("nothing was missed")
			}
		})
	}
	t.Run("macs", func(t *testing.T) {
		w := newTampered(t, false)
		w.blindCounty = true
		tally := newTally()
		for round := range 400 {
			w.round(tally, tamperSeed, round)
		}
		if tally.misses == 0 {
			t.Fatal("nothing was missed")
		}
	})
}

// tally counts.
type tally struct {
	mu      gosync.Mutex
	changes int // that this program must find
	misses  int
	hidden  int // that only the county can see
	made    map[string]int
	missed  map[string][]string
}

func newTally() *tally { return &tally{made: map[string]int{}, missed: map[string][]string{}} }

// tamperAll makes rounds of changes in a whole and in a pruned log.
func tamperAll(t *testing.T, b blindness, seed uint64, rounds, only int) *tally {
	tally := newTally()
	var running gosync.WaitGroup
	for world, pruned := range []bool{false, true} {
		w := newTampered(t, pruned)
		w.b.v.o.blind = b
		running.Go(func() {
			for round := world; round < rounds; round += 2 {
				if only >= 0 && round != only {
					continue
				}
				w.round(tally, seed, round)
			}
		})
	}
	running.Wait()
	return tally
}

// round makes one change, looks whether it is found, and takes it back.
func (w *tampered) round(tally *tally, seed uint64, round int) {
	rng := rand.New(rand.NewPCG(seed, uint64(round)))
	a, want := w.attack(attacks[(round/2)%len(attacks)], rng)
	defer func() {
		w.exec("ROLLBACK")
		if a.restart {
			must(w.b.t, w.b.v.load())
		}
	}()
	if w.changed == 0 {
		w.b.t.Errorf("%s changed nothing, CUNBAN_TAMPER_ONLY=%d:%d", a.name, seed, round)
		return
	}
	if a.restart {
		must(w.b.t, w.b.v.load())
	}
	_, err := w.b.v.verifyAll(context.Background(), w.b.v.db, nil)
	miss := want.judge(err)
	if miss == "" && want.county != nil {
		miss = want.county()
	}
	tally.mu.Lock()
	defer tally.mu.Unlock()
	tally.made[a.name]++
	if want.hidden {
		tally.hidden++
	} else {
		tally.changes++
	}
	if miss != "" {
		tally.misses++
		if len(tally.missed[a.name]) < 3 {
			tally.missed[a.name] = append(tally.missed[a.name], fmt.Sprintf("%s; again: CUNBAN_TAMPER_ONLY=%d:%d go test -run '^TestTamper$' ./kiosk/vault", miss, seed, round))
		}
	}
}

// attack makes one change in a transaction; where chance chose what cannot be
// done, another one.
func (w *tampered) attack(a attack, rng *rand.Rand) (attack, right) {
	for {
		w.exec("BEGIN")
		w.changed = 0
		if !(a.onlyPruned && w.first == 0) {
			if want, ok := a.do(w, rng); ok {
				return a, want
			}
		}
		w.exec("ROLLBACK")
		a = attacks[rng.IntN(len(attacks))]
	}
}

// right is what must be named.
type right struct {
	seq, last int64
	kinds     []oplog.BadKind
	hidden    bool          // not to be seen here
	county    func() string // what the county must see; it says what is wrong
}

// at is one record.
func at(seq int64, kinds ...oplog.BadKind) right { return right{seq: seq, last: seq, kinds: kinds} }

// between is a run of records, the first and the last.
func between(seq, last int64, kinds ...oplog.BadKind) right {
	return right{seq: seq, last: last, kinds: kinds}
}

func (r right) judge(err error) string {
	b := oplog.AsBad(err)
	switch {
	case r.hidden && err != nil:
		return fmt.Sprintf("was seen here, which the table denies: %v", err)
	case r.hidden:
		return ""
	case err == nil:
		return fmt.Sprintf("not found; it was at %d", r.seq)
	case b == nil:
		return fmt.Sprintf("names no record: %v", err)
	case b.Seq != r.seq || b.Last != r.last:
		return fmt.Sprintf("%d to %d named instead of %d to %d: %v", b.Seq, b.Last, r.seq, r.last, err)
	case !slices.Contains(r.kinds, b.Kind):
		return fmt.Sprintf("called %q: %v", b.Kind.Text(), err)
	}
	return ""
}

// oneByOne gives a log's rows to a verifier, as somebody with other keys would.
func (w *tampered) oneByOne(k oplog.Keys) error {
	k.Terminal, k.County = w.keys.Terminal, w.keys.County
	ver, err := oplog.NewVerifier(oplog.VerifyOptions{Origin: w.b.v.Origin(), Start: w.b.v.start, Keys: k})
	if err != nil {
		return err
	}
	notes, err := readNotes(context.Background(), w.b.v.db, 0, 1<<62)
	must(w.b.t, err)
	take := func() error {
		for len(notes) > 0 && notes[0].size == ver.Size() {
			if _, err := ver.Checkpoint(notes[0].note); err != nil {
				return err
			}
			notes = notes[1:]
		}
		return nil
	}
	if err := take(); err != nil {
		return err
	}
	for _, r := range w.block() {
		if _, err := ver.Record(r.line, nil); err != nil {
			return err
		}
		if err := take(); err != nil {
			return err
		}
	}
	return ver.Finish()
}

// bySeeds demands that the MAC chain names a record.
func (w *tampered) bySeeds(seq int64) string {
	k := oplog.Keys{Seeds: w.seeds}
	if w.blindCounty {
		k = oplog.Keys{}
	}
	b := oplog.AsBad(w.oneByOne(k))
	if b == nil || b.Seq != seq || !strings.Contains(b.What, "MAC") {
		return fmt.Sprintf("with the MAC seeds the county names %v instead of record %d", b, seq)
	}
	return ""
}

// byMemory demands that the note that the county keeps contradicts, from a record
// on.
func (w *tampered) byMemory(seq int64) string {
	b := oplog.AsBad(w.oneByOne(oplog.Keys{Known: w.memory}))
	if b == nil || seq < b.Seq || seq > b.Last {
		return fmt.Sprintf("by the notes that the county keeps %v is named, it was record %d", b, seq)
	}
	return ""
}
