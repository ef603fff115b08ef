package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Grown vaults are kept under .run and measured again by later runs.
const (
	grownDir = "grown"
	// grownPlainMax is up to how many cases a plain database with the same rows
	// is made too, as a rival: it takes as long and as much disk again.
	grownPlainMax = 100_000
	maxCases      = 10_000_000
)

// growTest makes a vault and measures nothing; see kiosk/vault/growth_test.go.
const growTest = "^TestGrow$"

const grownConfig = `# Written by cmd/dev: a vault to look at, with no devices and no county.
data: %s
upstream: https://127.0.0.1:1
serial: CB-GROWN
devices:
  card_reader: "off"
  id_reader: "off"
  scanner: "off"
  printer: "off"
  speech: "off"
keys:
  - kind: file
    path: %s
`

// vaultCmd makes a vault such as a terminal has after years.
func vaultCmd(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("vault", flag.ContinueOnError)
	n := fs.Int("cases", 100_000, "how many cases")
	out := fs.String("out", "", "folder for it: kiosk.yaml, data/disk.key, data/vault (needed; must not hold a vault)")
	if err := parse(fs, args); err != nil {
		return err
	}
	if *out == "" || *n < 1 || *n > maxCases {
		fmt.Fprintf(os.Stderr, "dev vault: --out is needed, and --cases from 1 to %d\n", maxCases)
		return errUsage
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(*out)
	if err != nil {
		return fmt.Errorf("folder of the vault: %w", err)
	}
	if err := growVault(ctx, root, dir, *n, false); err != nil {
		return err
	}
	config := filepath.Join(dir, "kiosk.yaml")
	data := filepath.Join(dir, "data")
	if err := os.WriteFile(config, fmt.Appendf(nil, grownConfig, data, filepath.Join(data, "disk.key")), 0o600); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	fmt.Printf("a vault with %d cases is in %s; look at it with: go run ./cmd/kioskctl log verify --config %s\n", *n, dir, config)
	return nil
}

// growVault makes a vault, or with plain the same rows on SQLite's own VFS, in
// dir/data/vault. It is whole or not there.
func growVault(ctx context.Context, root, dir string, n int, plain bool) error {
	if _, err := os.Stat(filepath.Join(dir, "data", "vault")); err == nil {
		return fmt.Errorf("make a vault: there is one in %s", dir)
	}
	half := dir + ".half"
	if err := errors.Join(os.RemoveAll(half), os.MkdirAll(half, 0o700)); err != nil {
		return fmt.Errorf("make a vault: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-v", "-timeout", "60m", "-run", growTest, "./kiosk/vault")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CUNBAN_GROW_DIR="+filepath.Join(half, "data", "vault"), "CUNBAN_GROW_CASES="+strconv.Itoa(n))
	if plain {
		cmd.Env = append(cmd.Env, "CUNBAN_GROW_PLAIN=1")
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("make a vault with %d cases: %w\n%s", n, err, out), os.RemoveAll(half))
	}
	for line := range strings.Lines(string(out)) {
		if _, said, ok := strings.Cut(line, "growth_test.go:"); ok {
			_, said, _ = strings.Cut(said, ": ")
			fmt.Print("  ", said)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make a vault: %w", err)
	}
	if err := os.Rename(filepath.Join(half, "data"), filepath.Join(dir, "data")); err != nil {
		return fmt.Errorf("make a vault: %w", err)
	}
	return os.RemoveAll(half)
}

// grownVault is the folder of a kept vault, which is made when it is not there
// or was made by another schema (the vault's own tests say what that is).
func grownVault(ctx context.Context, root string, n int, plain bool) (string, error) {
	name := strconv.Itoa(n)
	if plain {
		name += "-plain"
	}
	dir := filepath.Join(root, ".run", grownDir, name)
	if _, err := os.Stat(filepath.Join(dir, "data", "vault")); err != nil {
		fmt.Printf("making a vault with %d cases in %s\n", n, dir)
		if err := growVault(ctx, root, dir, n, plain); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "data", "vault"), nil
}

// sizes reads numbers of cases, comma between.
func sizes(text string) (out []int, err error) {
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 1 || n > maxCases {
			return nil, fmt.Errorf("%q is not a number of cases from 1 to %d", part, maxCases)
		}
		out = append(out, n)
	}
	return out, nil
}

// benchGrowth measures vaults that have grown beside one with nothing but what
// is still to be sent, which all of them have.
func benchGrowth(ctx context.Context, b benchStage) ([]figure, error) {
	ns, err := sizes(b.cases)
	if err != nil {
		return nil, err
	}
	var grown, plain []string
	for _, n := range ns {
		dir, err := grownVault(ctx, b.root, n, false)
		if err != nil {
			return nil, err
		}
		grown = append(grown, fmt.Sprintf("%d=%s", n, dir))
		if n > grownPlainMax {
			continue
		}
		if dir, err = grownVault(ctx, b.root, n, true); err != nil {
			return nil, err
		}
		plain = append(plain, fmt.Sprintf("%d=%s", n, dir))
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkGrowth$", "-benchtime", "1x", "-timeout", "60m", "./kiosk/vault")
	cmd.Dir, cmd.Env = b.root, append(os.Environ(), "CUNBAN_GROWN="+strings.Join(grown, ","), "CUNBAN_GROWN_PLAIN="+strings.Join(plain, ","))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test -bench: %w\n%s", err, out)
	}
	got := benchLines(out)["BenchmarkGrowth"]
	var rows []figure
	for _, n := range ns {
		rows = append(rows, growthFigures(got, n)...)
	}
	for _, r := range rows {
		if r.Ours == 0 || r.Other == 0 {
			return rows, fmt.Errorf("no figure %q in the benchmark's output\n%s", r.Name, out)
		}
	}
	return rows, nil
}

// growthFigures are the rows of one size.
func growthFigures(got map[string]float64, n int) []figure {
	const ms = 1e6
	at := func(what string) float64 { return got[fmt.Sprintf("%s@%d", what, n)] }
	size := thousands(n) + " cases"
	empty := "empty vault (the unsent cases alone)"
	rows := []figure{
		{Name: "start (open, first page's queries), " + size, Unit: "ms", Ours: at("start") / ms, Rival: empty, Other: got["start@0"] / ms,
			Note: fmt.Sprintf("%.2f GB on the disk", at("bytes")/1e9)},
		{Name: "start after a power cut, " + size, Unit: "ms", Ours: at("crash") / ms, Rival: empty, Other: got["crash@0"] / ms,
			Note: "20 submissions in the WAL, scans swept"},
		{Name: "submit p50, " + size, Unit: "ms", Ours: at("submit-p50") / ms, Rival: empty, Other: got["submit-p50@0"] / ms, Note: "by turns"},
		{Name: "submit p99, " + size, Unit: "ms", Ours: at("submit-p99") / ms, Rival: empty, Other: got["submit-p99@0"] / ms},
		{Name: "progress query p50, " + size, Unit: "ms", Ours: at("progress-p50") / ms, Rival: empty, Other: got["progress-p50@0"] / ms,
			Note: "a person's 12 cases and one timeline"},
		{Name: "verify log, per record, " + size, Unit: "µs", Ours: at("verify-s") / at("records") * 1e6, Rival: empty,
			Other: got["verify-s@0"] / got["records@0"] * 1e6,
			Note:  verifyNote(at)},
	}
	if p := got[fmt.Sprintf("submit-p50@plain-%d", n)]; p != 0 {
		rows = append(rows,
			figure{Name: "submit p50, " + size, Unit: "ms", Ours: at("submit-p50") / ms, Rival: "plain SQLite of that size, FULL", Other: p / ms},
			figure{Name: "submit p99, " + size, Unit: "ms", Ours: at("submit-p99") / ms, Rival: "plain SQLite of that size, FULL",
				Other: got[fmt.Sprintf("submit-p99@plain-%d", n)] / ms})
	}
	return rows
}

// verifyNote says how fast a log was verified and what checkpoints cost of it.
func verifyNote(at func(string) float64) string {
	note := fmt.Sprintf("%.0f records and %.0f checkpoints in %.1f s, %.0f records/s, aim 250,000",
		at("records"), at("checkpoints"), at("verify-s"), at("records")/at("verify-s"))
	if one := at("note-ns"); one > 0 {
		note += fmt.Sprintf("; SM2 takes %.2f ms a checkpoint, %.1f s of one core", one/1e6, one/1e9*at("checkpoints"))
	}
	return note
}

// thousands writes 1000000 as 1,000,000.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
