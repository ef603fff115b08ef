package main

import (
	"context"
	"fmt"
	"os/exec"
)

// costTurns is how often each way of saving a case is measured.
const costTurns = "2000x"

// benchSubmit takes the figures of the vault's BenchmarkCost: what the
// encryption and everything else around a case's rows cost, all in one run by
// turns, so that what else the machine does meets the rival too.
func benchSubmit(ctx context.Context, b benchStage) ([]figure, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkCost$", "-benchtime", costTurns, "./kiosk/vault")
	cmd.Dir = b.root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test -bench: %w\n%s", err, out)
	}
	rows, err := costFigures(benchLines(out)["BenchmarkCost"])
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return rows, nil
}

// costFigures makes rows of what BenchmarkCost reported.
func costFigures(got map[string]float64) ([]figure, error) {
	const rival = "the same rows, plain mattn/go-sqlite3, same pragmas"
	var rows []figure
	for _, w := range []struct{ name, text, note string }{
		{"vfs", "rows through the VFS", "aim 1.10; the rest is SM4-XTS of the WAL's sectors"},
		{"vault", "submit, sealed before", "no aim; adds log record, tree, MAC, JSON and checks"},
		{"submit", "submit, everything on", "aim 1.25; adds the SM2 envelope and SM4-GCM"},
	} {
		for _, q := range []string{"p50", "p99"} {
			ours, plain := got[w.name+"-"+q+"-ns"], got["plain-"+q+"-ns"]
			if ours == 0 || plain == 0 {
				return rows, fmt.Errorf("no %s of %s in the benchmark's output", q, w.name)
			}
			note := w.note
			if usual := got["default-"+q+"-ns"]; usual > 0 {
				note += fmt.Sprintf("; %.2f of plain that moves its WAL inside commits, as SQLite does by default", ours/usual)
			}
			rows = append(rows, figure{Name: w.text + " " + q, Unit: "ms", Ours: ours / nsPerMs, Rival: rival, Other: plain / nsPerMs, Note: note})
		}
	}
	if moved := got["rest-ns"]; moved > 0 {
		rows[len(rows)-1].Note += fmt.Sprintf("; moving the WAL meanwhile takes %.1f ms, when nobody waits", moved/nsPerMs)
	}
	return rows, nil
}

// nsPerMs are the nanoseconds of a millisecond.
const nsPerMs = 1e6
