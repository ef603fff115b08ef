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
		{"vfs", "rows through the VFS", "aim 1.10; where the time goes is below"},
		{"vault", "submit, sealed before", "no aim; adds log record, tree, MAC, JSON and checks"},
		{"submit", "submit, everything on", "aim 1.25; where the time goes is below"},
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
	return append(rows, costParts(got)...), nil
}

// costParts says what the medians consist of; the ratio is a part's share.
func costParts(got map[string]float64) (rows []figure) {
	add := func(of, whole, part, note string) {
		if ours, all := got[part+"-ns"], got[of+"-p50-ns"]; ours > 0 && all > 0 {
			rows = append(rows, figure{Name: "of " + whole + ": " + note, Unit: "ms", Ours: ours / nsPerMs, Rival: whole + " p50", Other: all / nsPerMs})
		}
	}
	const rowsThrough, everything = "rows through the VFS", "submit, everything on"
	xts := fmt.Sprintf("SM4-XTS of %.1f sectors", got["sectors"])
	add("vfs", rowsThrough, "xts", xts)
	add("vfs", rowsThrough, "fdatasync", "fdatasync")
	add("vfs", rowsThrough, "write", "one write of them")
	add("submit", everything, "xts", xts)
	add("submit", everything, "fdatasync", "fdatasync")
	add("submit", everything, "envelope", "SM2 envelope of the case key")
	add("submit", everything, "sealing", "SM4-GCM and SM3 of the body")
	return rows
}

// nsPerMs are the nanoseconds of a millisecond.
const nsPerMs = 1e6
