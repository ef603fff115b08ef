package main

import (
	"strings"
	"testing"
)

func TestCostFigures(t *testing.T) {
	const line = "BenchmarkCost-2 2000 1 ns/op 200000 plain-p50-ns 400000 plain-p99-ns 220000 vfs-p50-ns 440000 vfs-p99-ns" +
		" 230000 vault-p50-ns 450000 vault-p99-ns 250000 submit-p50-ns 500000 submit-p99-ns 1000000 default-p99-ns 2500000 rest-ns" +
		" 16.5 sectors 55000 xts-ns 100000 fdatasync-ns 125000 envelope-ns\n"
	rows, err := costFigures(benchLines([]byte(line))["BenchmarkCost"])
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 6+5 || rows[6].Name != "of rows through the VFS: SM4-XTS of 16.5 sectors" || rows[6].Ours/rows[6].Other != .25 || rows[0].Ours != .22 || rows[0].Other != .2 || rows[5].Ours != .5 || rows[5].Other != .4 {
		t.Fatalf("figures %+v", rows)
	}
	if !strings.Contains(rows[5].Note, "0.50 of plain that moves") || !strings.Contains(rows[5].Note, "2.5 ms") {
		t.Fatalf("note %q", rows[5].Note)
	}
	if _, err := costFigures(benchLines([]byte(strings.ReplaceAll(line, "vfs-p99-ns", "x")))["BenchmarkCost"]); err == nil {
		t.Fatal("a figure is missing and nobody said so")
	}
}
