package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// promise is one row: what is promised, how it is measured, and a control that
// must fail, for a harness that cannot fail proves nothing.
type promise struct {
	Name     string `json:"promise"`
	Target   string `json:"target"`
	Measured string `json:"measured"`
	Met      bool   `json:"met"`
	Control  string `json:"control"`
	// ControlFailed is what is wanted: the control broke the promise and the
	// harness saw it.
	ControlFailed bool    `json:"control_failed"`
	Seconds       float64 `json:"seconds"`
}

// proof measures promises.
type proof struct {
	name string
	run  func(ctx context.Context, e proofStage) ([]promise, error)
}

type proofStage struct {
	root, bin string
	long      bool
}

var proofs = []proof{
	{"kill", proveKill},
	{"power", provePower},
	{"tamper", proveTamper},
	{"visit", proveVisit},
}

func promisesCmd(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("promises", flag.ContinueOnError)
	yes := fs.Bool("yes", false, "install what is missing without asking")
	only := fs.String("only", "", "only these, comma between: kill, power, tamper, visit")
	file := fs.String("json", "", "write the table to this file too")
	long := fs.Bool("long", false, "as many rounds as are promised, not a quick look")
	if err := parse(fs, args); err != nil {
		return err
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	list := proofs
	if *only != "" {
		if list, err = choose(list, func(p proof) string { return p.name }, *only); err != nil {
			return err
		}
	}
	if err := install(ctx, *yes, debsBuild, debsRun, debsHeadless, debsTest); err != nil {
		return err
	}
	bin, err := build(ctx, root, programs...)
	if err != nil {
		return err
	}
	var all []promise
	var failed error
	for _, p := range list {
		at := time.Now()
		rows, err := p.run(ctx, proofStage{root, bin, *long})
		for i := range rows {
			rows[i].Seconds = since(at)
		}
		all = append(all, rows...)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", p.name, err))
		}
	}
	table := [][]string{{"promise", "target", "measured", "met", "control", "control fails", "s"}}
	for _, r := range all {
		table = append(table, []string{r.Name, r.Target, r.Measured, yesNo(r.Met), r.Control, yesNo(r.ControlFailed), fmt.Sprintf("%.0f", r.Seconds)})
		if !r.Met || !r.ControlFailed {
			failed = errors.Join(failed, fmt.Errorf("not met: %s", r.Name))
		}
	}
	if err := writeTable(os.Stdout, table); err != nil {
		return err
	}
	return errors.Join(failed, writeJSON(*file, all))
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "NO"
}

// goTest runs tests of a package; it tells whether they passed, and their output.
func goTest(ctx context.Context, root string, env []string, pkg, run string) (passed bool, said string, err error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-v", "-timeout", "60m", "-run", run, pkg)
	cmd.Dir, cmd.Env = root, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	said = string(out)
	if !strings.Contains(said, "=== RUN") {
		return false, said, fmt.Errorf("go test -run %s %s ran nothing: %w\n%s", run, pkg, err, said)
	}
	return err == nil, said, ctx.Err()
}

// verdict says in a word what a test said.
func verdict(passed bool, said string) string {
	if passed {
		return "0 lost"
	}
	for line := range strings.Lines(said) {
		if strings.Contains(line, "_test.go:") {
			return strings.TrimSpace(line)
		}
	}
	return "failed"
}

// proveKill kills the program again and again.
func proveKill(ctx context.Context, e proofStage) ([]promise, error) {
	rounds := "20"
	if e.long {
		rounds = "200"
	}
	ok, said, err := goTest(ctx, e.root, []string{"CUNBAN_KILLS=" + rounds}, "./kiosk/vault", "^TestKill$")
	if err != nil {
		return nil, err
	}
	// The control says "saved" before it saves.
	lied, liedSaid, err := goTest(ctx, e.root, []string{"CUNBAN_KILLS=20", "CUNBAN_KILL_LIES=1"}, "./kiosk/vault", "^TestKill$")
	if err != nil {
		return nil, err
	}
	return []promise{{Name: "kill -9 loses nothing that was said to be saved", Target: "0 of " + rounds + " kills", Measured: verdict(ok, said), Met: ok,
		Control: "a program that speaks before it saves", ControlFailed: !lied && strings.Contains(liedSaid, "was said to be")}}, nil
}

// provePower pulls the plug of a simulated disk.
func provePower(ctx context.Context, e proofStage) ([]promise, error) {
	cuts := "300"
	if e.long {
		cuts = "20000"
	}
	ok, said, err := goTest(ctx, e.root, []string{"CUNBAN_CUTS=" + cuts}, "./kiosk/vault", "^TestPowerCuts$")
	if err != nil {
		return nil, err
	}
	lost, _, err := goTest(ctx, e.root, nil, "./kiosk/vault", "^TestPowerCutsLoseWithLess$")
	if err != nil {
		return nil, err
	}
	return []promise{{Name: "a power cut loses nothing that was said to be saved", Target: "0 of " + cuts + " cuts", Measured: verdict(ok, said), Met: ok,
		Control: "synchronous=NORMAL, SQLite's usual setting", ControlFailed: lost}}, nil
}

// tamperRounds is how many single changes of an exported log must be seen.
const tamperRounds = 60

// proveTamper changes single characters of an exported log.
func proveTamper(ctx context.Context, e proofStage) ([]promise, error) {
	inside, said, err := goTest(ctx, e.root, nil, "./kiosk/vault", "^(TestTampering|TestMACChain)$")
	if err != nil {
		return nil, err
	}
	s, _, err := enrolledStage(ctx, benchStage{e.root, e.bin, 1})
	defer strikeAll(s)
	if err != nil {
		return nil, err
	}
	export := filepath.Join(s.dir, "log.txt")
	if _, err := output(ctx, nil, s.prog("kioskctl"), "log", "export", "--config", s.config, "--out", export); err != nil {
		return nil, err
	}
	log, err := os.ReadFile(export)
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	verify := func(b []byte) bool {
		f := filepath.Join(s.dir, "changed.txt")
		if os.WriteFile(f, b, 0o600) != nil {
			return true // counts as not seen
		}
		_, err := output(ctx, nil, s.prog("kioskctl"), "log", "verify", "--file", f, "--key", export+".pem")
		return err == nil
	}
	// The control is the log as it is: a verifier that always says no would be
	// of no use. Changed is a character, a line dropped, two lines swapped.
	whole := verify(log)
	seen := 0
	rng := rand.New(rand.NewPCG(1, 2))
	for range tamperRounds {
		if !verify(tamper(log, rng)) {
			seen++
		}
	}
	measured := fmt.Sprintf("%d of %d seen", seen, tamperRounds)
	if !inside {
		measured += "; in the vault: " + verdict(inside, said)
	}
	return []promise{{Name: "any change of the operation log is seen", Target: fmt.Sprintf("%d of %d changes", tamperRounds, tamperRounds),
		Measured: measured, Met: inside && seen == tamperRounds, Control: "the log unchanged is said to be whole", ControlFailed: whole}}, nil
}

// tamper makes one change.
func tamper(log []byte, rng *rand.Rand) []byte {
	lines := bytes.SplitAfter(bytes.Clone(log), []byte("\n"))
	if n := len(lines); len(lines[n-1]) == 0 {
		lines = lines[:n-1]
	}
	for {
		i := rng.IntN(len(lines))
		switch rng.IntN(3) {
		case 0: // another character
			if len(lines[i]) < 2 {
				continue
			}
			k := rng.IntN(len(lines[i]) - 1)
			c := byte('0' + rng.IntN(10))
			if lines[i][k] == c {
				continue
			}
			lines[i][k] = c
		case 1: // a line less
			lines = append(lines[:i:i], lines[i+1:]...)
		default: // two lines the other way round
			j := rng.IntN(len(lines))
			if bytes.Equal(lines[i], lines[j]) {
				continue
			}
			lines[i], lines[j] = lines[j], lines[i]
		}
		return bytes.Join(lines, nil)
	}
}

// proveVisit plays a visit with the line down and looks at what it leaves.
func proveVisit(ctx context.Context, e proofStage) ([]promise, error) {
	dir, err := os.MkdirTemp(filepath.Join(e.root, ".run"), "stage-")
	if err != nil {
		return nil, fmt.Errorf("make a data folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	out := filepath.Join(dir, "out")
	if err := play(ctx, stageOptions{root: e.root, bin: e.bin, dir: filepath.Join(dir, "stage"), w: 1920, h: 1080}, out, "offline", false, false); err != nil {
		return nil, err
	}
	rows := []promise{
		{Name: "accepted soon after the line is back", Target: fmt.Sprintf("≤ %.0f s", lineBack.Seconds()), Measured: fmt.Sprintf("%.1f s", measured["line_back_seconds"]),
			Met: measured["line_back_seconds"] <= lineBack.Seconds(), Control: "while the line is down it stays 已保存", ControlFailed: measured["stayed_saved"] == 1},
		{Name: "one case upstream, whatever the line did", Target: "1", Measured: fmt.Sprint(measured["cases_upstream"]), Met: measured["cases_upstream"] == 1,
			Control: "a number that the county never gave is not found", ControlFailed: measured["unknown_not_found"] == 1},
		{Name: "nothing readable on the terminal's disk", Target: "0 hits", Measured: fmt.Sprintf("%.0f hits in %.0f files", measured["leaks"], measured["leak_files"]),
			Met: measured["leaks"] == 0 && measured["leak_files"] > 0, Control: "secrets planted in a file are found", ControlFailed: measured["planted_found"] == 1},
	}
	return rows, nil
}
