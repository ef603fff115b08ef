package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
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

// proof measures promises. Its group is the part of the house that makes them.
type proof struct {
	group, name string
	run         func(ctx context.Context, e proofStage) ([]promise, error)
}

type proofStage struct {
	root, bin string
	long      bool
}

var proofs = []proof{
	{"vault", "kill", proveKill},
	{"vault", "power", provePower},
	{"vault", "faults", proveFaults},
	{"vault", "plug", provePlug},
	{"vault", "shred", proveShred},
	{"vault", "salvage", proveSalvage},
	{"vault", "rekey", proveRekey},
	{"log", "prune", provePrune},
	{"log", "tamper", proveTamper},
	{"log", "receipt", proveReceipt},
	{"vault", "leak", proveLeak},
	{"devices", "fuzz", proveFuzz},
	{"devices", "reader", proveReader},
	{"devices", "vendor", proveVendor},
	{"devices", "imaging", proveImaging},
	{"visit", "visit", proveVisit},
}

func proofNames(p proof) []string { return []string{p.group, p.name} }

func promisesCmd(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("promises", flag.ContinueOnError)
	yes := fs.Bool("yes", false, "install what is missing without asking")
	only := fs.String("only", "", "only these or these groups, comma between: "+offer(proofs, proofNames))
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
		if list, err = choose(list, proofNames, *only); err != nil {
			return err
		}
	}
	if err := install(ctx, *yes, debsBuild, debsRun, debsHeadless, debsTest, debsPlug, debsBench); err != nil {
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
