package main

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	list := []float64{4, 1, 3, 2, 100}
	for _, c := range []struct{ q, want float64 }{{0, 1}, {.5, 3}, {.8, 4}, {.99, 100}, {1, 100}} {
		if got := quantile(list, c.q); got != c.want {
			t.Errorf("quantile %.2f is %v, want %v", c.q, got, c.want)
		}
	}
	if list[0] != 4 {
		t.Error("quantile changed its samples")
	}
	if !math.IsNaN(quantile(nil, .5)) {
		t.Error("a quantile of nothing is a number")
	}
}

func TestBenchLines(t *testing.T) {
	got := benchLines([]byte("goos: linux\nBenchmarkSubmit-2 \t 2000\t 700000 ns/op\t 590000 p50-ns\t 11000000 p99-ns\nPASS\n"))
	m := got["BenchmarkSubmit"]
	if m["p50-ns"] != 590000 || m["p99-ns"] != 11000000 || m["ns/op"] != 700000 {
		t.Errorf("read %v", got)
	}
}

func TestLeaksFindsWhatIsPlanted(t *testing.T) {
	dir := t.TempDir()
	if err := leakControl(dir); err != nil {
		t.Error(err)
	}
	clean := filepath.Join(dir, "clean")
	if err := os.WriteFile(clean, []byte("李** 1408**********4518"), 0o600); err != nil {
		t.Fatal(err)
	}
	hits, files, err := leaks(dir)
	if err != nil || len(hits) > 0 || files != 1 {
		t.Errorf("a clean folder of one file: %v in %d files, %v", hits, files, err)
	}
	for name, b := range map[string][]byte{"gb": {'x', 0xd5, 0xc5, 0xb9, 0xf0, 0xc0, 0xbc}, "utf16": utf16le("李建军"), "db": []byte("SQLite format 3\x00")} {
		if err := os.WriteFile(clean, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if hits, _, err := leaks(dir); err != nil || len(hits) != 1 {
			t.Errorf("%s: found %v, %v", name, hits, err)
		}
	}
	if leakError(hits) != nil || leakError([]hit{{"p", "s", 1}}) == nil {
		t.Error("leakError is wrong about nothing or something")
	}
}

func TestTamperAlwaysChanges(t *testing.T) {
	log := []byte("one 1\ntwo 2\nthree 3\nfour 4\n")
	rng := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		if bytes.Equal(tamper(log, rng), log) {
			t.Fatal("a change that changes nothing")
		}
	}
	if string(log) != "one 1\ntwo 2\nthree 3\nfour 4\n" {
		t.Error("tamper changed its input")
	}
}

func TestAcceptance(t *testing.T) {
	for _, c := range []struct {
		texts []string
		want  string
	}{
		{[]string{"办的事", "参保", "受理编号", "140830-20261125-000001", "接下来"}, "140830-20261125-000001"},
		{[]string{"受理编号", "还没有", "答复日期"}, ""},
		{[]string{"140830-20261125-000001"}, ""},
	} {
		if got := acceptance(screenState{Texts: c.texts}); got != c.want {
			t.Errorf("%q: %q, want %q", c.texts, got, c.want)
		}
	}
}

func TestChoose(t *testing.T) {
	all := []string{"a", "b", "c"}
	names := func(s string) []string { return []string{strings.ToUpper(s[:1] + "x"), s} }
	for only, want := range map[string]string{"c, a": "ac", "BX,c": "bc"} {
		if got, err := choose(all, names, only); err != nil || strings.Join(got, "") != want {
			t.Errorf("chose %v of %q, %v", got, only, err)
		}
	}
	if _, err := choose(all, names, "a,x"); err == nil || !strings.Contains(err.Error(), "AX, a, BX, b, CX, c") {
		t.Errorf("an unknown name is taken: %v", err)
	}
}

func TestSmoothKeepsCorners(t *testing.T) {
	in := []point{{0, 0}, {.5, 0}, {.5, .5}}
	out := smooth(in)
	if len(out) <= len(in) || out[0] != in[0] || out[len(out)-1] != in[2] {
		t.Errorf("smoothed to %v", out)
	}
	corner := false
	for _, q := range out {
		corner = corner || q == in[1]
	}
	if !corner {
		t.Error("the corner is gone")
	}
}

func TestCrowded(t *testing.T) {
	s := screenState{W: 100, H: 100, Targets: []target{{Name: "a", X: 0, Y: 0, W: 50, H: 50}, {Name: "b", X: 50, Y: 0, W: 50, H: 50}}}
	if got := crowded(s); len(got) > 0 {
		t.Errorf("side by side is crowded: %v", got)
	}
	s.Targets = append(s.Targets, target{Name: "c", X: 40, Y: 40, W: 20, H: 80})
	if got := crowded(s); len(got) != 3 { // over a, over b, outside
		t.Errorf("crowded: %v", got)
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		page, name string
		want       bool
	}{{"home", "home", true}, {"home-2", "home", false}, {"step-x", "step-", true}, {"done-saved", "done-accepted", false}} {
		if got := matches(c.page, c.name); got != c.want {
			t.Errorf("%s, %s: %v", c.page, c.name, got)
		}
	}
}

// TestProcessGroupEnds: a program's children end with it, even those that do
// not listen to SIGTERM.
func TestProcessGroupEnds(t *testing.T) {
	dir := t.TempDir()
	p, err := start(t.Context(), dir, "sh", "ready", 10*time.Second, nil, "sh", "-c", `trap "" TERM; sleep 300 & echo ready; wait`)
	if err != nil {
		t.Fatal(err)
	}
	kids := children(p.cmd.Process.Pid)
	if len(kids) == 0 {
		t.Fatal("the program has no child")
	}
	p.kill()
	if p.running() {
		t.Error("it still runs")
	}
	// SIGKILL is sent by now; the kernel takes a moment to carry it out.
	deadline := time.After(5 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for _, k := range kids {
		for runs(k) {
			select {
			case <-deadline:
				t.Fatalf("its child %d still runs", k)
			case <-tick.C:
			}
		}
	}
}

// runs reports whether a process is there and not dead.
func runs(pid int) bool {
	b, err := os.ReadFile(filepath.Join("/proc", itoa(pid), "stat"))
	return err == nil && !strings.Contains(string(b), ") Z ")
}

func TestStartTellsWhatWentWrong(t *testing.T) {
	_, err := start(t.Context(), t.TempDir(), "sh", "ready", 10*time.Second, nil, "sh", "-c", "echo broken >&2; exit 3")
	if err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("said %v", err)
	}
}

func itoa(n int) string { return px(float64(n)) }
