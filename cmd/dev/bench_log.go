package main

import (
	"context"
	"fmt"
	"os/exec"
)

// benchLog measures how fast a whole log is verified where it lies.
func benchLog(ctx context.Context, b benchStage) ([]figure, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^(BenchmarkLogVerify|BenchmarkTreeAlone)$", "-benchtime", fmt.Sprintf("%dx", max(b.rounds, 1)), "./kiosk/vault")
	cmd.Dir = b.root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test -bench: %w\n%s", err, out)
	}
	lines := benchLines(out)
	ours, other := lines["BenchmarkLogVerify"]["records/s"], lines["BenchmarkTreeAlone"]["records/s"]
	if ours == 0 || other == 0 {
		return nil, fmt.Errorf("no records a second in the benchmark's output\n%s", out)
	}
	return []figure{{Name: "verify a log of 100,000 records in the vault", Unit: "µs a record", Ours: 1e6 / ours, Rival: "x/mod tlog, the tree alone, in memory", Other: 1e6 / other,
		Note: fmt.Sprintf("%.0f records a second, aim 250,000; ours reads and decrypts SQLite, decodes, hashes with SM3 and compares every node, column and checkpoint", ours)}}, nil
}
