package vault

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cunban/kiosk/cases"
)

// envGrown names grown vaults for BenchmarkGrowth, comma between, each
// cases=folder; envGrownPlain the same rows on plain SQLite, without encryption.
const (
	envGrown      = "CUNBAN_GROWN"
	envGrownPlain = "CUNBAN_GROWN_PLAIN"
)

// benchKeyID is the key id of what submissions makes.
const benchKeyID = "0123456789abcdef"

// How often each thing is measured; the vaults take turns, so that what else
// the machine does meets them all.
const (
	growthStarts   = 11
	growthSubmits  = 400
	growthProgress = 300
	growthCrashes  = 5
)

// grown is a vault of a size.
type grown struct {
	size string // cases, for the figures' names
	n    int
	o    Options
	v    *Vault
}

// BenchmarkGrowth measures start, submission, progress query and log
// verification of grown vaults beside one called 0, by turns. 0 has nothing but
// the open cases that every grown vault has, so that all have the same queue.
// Figures are called what@cases.
func BenchmarkGrowth(b *testing.B) {
	vaults := append([]*grown{growHere(b, growOpen)}, grownList(b, os.Getenv(envGrown))...)
	vaults[0].size = "0"
	if len(vaults) == 1 {
		vaults = append(vaults, growHere(b, growBatch))
	}
	for b.Loop() {
		growthStart(b, vaults)
		growthCrash(b, vaults)
		growthWork(b, vaults)
		growthVerify(b, vaults)
	}
}

// growHere makes a vault that goes with the benchmark.
func growHere(b *testing.B, n int) *grown {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "data", "vault")
	must(b, grow(context.Background(), grownOptions(dir), n))
	return &grown{strconv.Itoa(n), n, grownOptions(dir), nil}
}

func grownList(tb testing.TB, text string) (out []*grown) {
	tb.Helper()
	for part := range strings.SplitSeq(text, ",") {
		size, dir, ok := strings.Cut(part, "=")
		if !ok {
			continue
		}
		n, err := strconv.Atoi(size)
		must(tb, err)
		out = append(out, &grown{size, n, grownOptions(dir), nil})
	}
	return out
}

// took collects durations by figure.
type took map[string][]time.Duration

func (t took) add(what string, g *grown, since time.Time) {
	t[what+"@"+g.size] = append(t[what+"@"+g.size], time.Since(since))
}

// report writes a percentile of each figure in ns.
func (t took) report(b *testing.B, q int, mark string) {
	for name, ds := range t {
		slices.Sort(ds)
		what, size, _ := strings.Cut(name, "@")
		b.ReportMetric(float64(ds[(len(ds)-1)*q/100]), what+mark+"@"+size)
	}
}

// usable is what the first page of a start waits for.
func usable(ctx context.Context, v *Vault) error {
	_, err1 := v.Counts(ctx)
	_, err2 := v.Items(ctx)
	_, err3 := v.ByOwner(ctx, growOwner(v, 0))
	_, err4 := v.LogState(ctx)
	return errors.Join(err1, err2, err3, err4)
}

// growthStart opens vaults that were closed.
func growthStart(b *testing.B, vaults []*grown) {
	ctx, t := context.Background(), took{}
	for range growthStarts {
		for _, g := range vaults {
			at := time.Now()
			v, err := Open(ctx, g.o)
			must(b, err)
			t.add("open", g, at)
			must(b, usable(ctx, v))
			t.add("start", g, at)
			must(b, v.Close(ctx))
		}
	}
	t.report(b, 50, "")
}

// growthCrash opens vaults that were left as a power cut leaves them, with a
// WAL and marked as not closed.
func growthCrash(b *testing.B, vaults []*grown) {
	ctx, t := context.Background(), took{}
	for range growthCrashes {
		for _, g := range vaults {
			v, err := Open(ctx, g.o)
			must(b, err)
			for _, s := range submissions(b, 20) {
				_, err := v.Submit(ctx, s)
				must(b, err)
			}
			pullPlug(b, v)
			at := time.Now()
			v, err = Open(ctx, g.o)
			must(b, err)
			must(b, usable(ctx, v))
			t.add("crash", g, at)
			if v.Clean() {
				b.Fatal("a vault that was never closed says that it was")
			}
			must(b, settleAll(v))
			must(b, v.Close(ctx))
		}
	}
	t.report(b, 50, "")
}

// pullPlug leaves a vault as the end of the program does: SQLite never hears of
// it, the lock goes. The connection is not used again.
func pullPlug(tb testing.TB, v *Vault) {
	tb.Helper()
	v.closed = true
	v.mount.Detach()
	if v.lock != nil {
		must(tb, v.lock.Close())
	}
}

// settleAll has the county take what is waiting, so that a vault measured again
// has as much to send as before.
func settleAll(v *Vault) error {
	return v.change(context.Background(), "settle", func(c *change) error {
		its, err := selectItems(c.tx, "WHERE o.open=1 AND o.key_id=?", benchKeyID)
		if err != nil {
			return err
		}
		for _, it := range its {
			if err := c.settle(it.num, cases.QueueDone); err != nil {
				return err
			}
			if err := c.apply(&it.Case, cases.Update{CaseID: it.CaseID, Revision: 1, State: cases.Accepted, At: c.now, Acceptance: "RC-BENCH"}); err != nil {
				return err
			}
		}
		return nil
	})
}

// growthWork submits, and asks for people's progress.
func growthWork(b *testing.B, vaults []*grown) {
	ctx := context.Background()
	all := append(slices.Clone(vaults), grownPlain(b)...)
	for _, g := range vaults {
		var err error
		g.v, err = Open(ctx, g.o)
		must(b, err)
	}
	t := took{}
	for i := range growthSubmits {
		for k, s := range submissions(b, len(all)) {
			g := all[(i+k)%len(all)]
			at := time.Now()
			_, err := g.v.Submit(ctx, s)
			must(b, err)
			t.add("submit", g, at)
		}
	}
	t.report(b, 50, "-p50")
	t.report(b, 99, "-p99")
	t = took{}
	for i := range growthProgress {
		for _, g := range vaults {
			person := int(uint32(i)*2654435761) % max(1, g.n/growPerOwner) // all over the years
			at := time.Now()
			own, err := g.v.ByOwner(ctx, growOwner(g.v, person))
			must(b, err)
			line, err := g.v.Timeline(ctx, own[0].ID)
			must(b, err)
			t.add("progress", g, at)
			if len(own) != growPerOwner || len(line) == 0 {
				b.Fatalf("person %d of %s: %d cases, %d lines", person, g.size, len(own), len(line))
			}
		}
	}
	t.report(b, 50, "-p50")
	for _, g := range all {
		must(b, settleAll(g.v))
		must(b, g.v.Close(ctx))
	}
}

// grownPlain opens the vaults on SQLite's own VFS.
func grownPlain(b *testing.B) []*grown {
	list := grownList(b, os.Getenv(envGrownPlain))
	for _, g := range list {
		var err error
		g.v, err = openPlain(g.o.Dir)
		must(b, err)
		g.size = "plain-" + g.size
	}
	return list
}

// growthVerify verifies each log once.
// noteCost is what checking one checkpoint's signatures takes, ns: there is one
// for each visit, so that it is a large part of a verification.
func noteCost(b *testing.B, v *Vault) float64 {
	b.Helper()
	ctx := context.Background()
	ver, err := v.verifier(ctx, v.start)
	must(b, err)
	s, err := v.LogState(ctx)
	must(b, err)
	if s.LastCheckpoint == nil {
		return 0
	}
	return mean(func() { ver.ReadNote(s.LastCheckpoint) })
}

func growthVerify(b *testing.B, vaults []*grown) {
	ctx := context.Background()
	for _, g := range vaults {
		v, err := Open(ctx, g.o)
		must(b, err)
		rep, err := v.LogVerify(ctx, nil)
		must(b, err)
		b.ReportMetric(rep.Took.Seconds(), "verify-s@"+g.size)
		b.ReportMetric(float64(rep.Records), "records@"+g.size)
		b.ReportMetric(float64(rep.Checkpoints), "checkpoints@"+g.size)
		b.ReportMetric(noteCost(b, v), "note-ns@"+g.size)
		s, err := v.Stats(ctx)
		must(b, err)
		b.ReportMetric(float64(s.Bytes), "bytes@"+g.size)
		must(b, v.Close(ctx))
	}
}
