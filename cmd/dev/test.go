package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// pureFloors build and are vetted for Windows too, without cgo: many terminals
// in the field still run it, and only drivers may assume Linux.
var pureFloors = []string{
	"./assets", "./kiosk/catalog/...", "./kiosk/resident/...", "./kiosk/seal/...", "./kiosk/divisions/...", "./kiosk/listing/...",
	"./kiosk/form/...", "./kiosk/cases/...", "./kiosk/oplog/...", "./kiosk/session/...", "./kiosk/staff/...", "./device",
	"./device/sscard/...", "./sync", "./sync/wire/...",
}

// check is one stage of the tests.
type check struct {
	name string
	run  func(ctx context.Context, root string) error
}

// testLimit bounds the Go tests of one package.
const testLimit = "15m"

func testCmd(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	yes := fs.Bool("yes", false, "install what is missing without asking")
	race := fs.Bool("race", true, "run the tests with the race detector")
	only := fs.String("only", "", "only these checks, comma between: fmt, vet, staticcheck, floors, tests, plug, video, visits")
	out := fs.String("out", filepath.Join(".run", "test-out"), "folder for the visits' pictures")
	if err := parse(fs, args); err != nil {
		return err
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	if err := install(ctx, *yes, debsBuild, debsRun, debsHeadless, debsTest, debsPlug); err != nil {
		return err
	}
	checks := []check{
		{"fmt", gofmt},
		{"vet", func(ctx context.Context, root string) error { return show(ctx, root, nil, "go", "vet", "./...") }},
		{"staticcheck", func(ctx context.Context, root string) error {
			return show(ctx, root, nil, "go", "tool", "staticcheck", "./...")
		}},
		{"floors", func(ctx context.Context, root string) error {
			return show(ctx, root, []string{"CGO_ENABLED=0"}, "go", "test", "-count=1", "./cmd/dev")
		}},
		{"tests", func(ctx context.Context, root string) error { return goTests(ctx, root, *race) }},
		{"plug", testPlug},
		{"video", testVideo},
		{"visits", func(ctx context.Context, root string) error { return testVisits(ctx, root, *out) }},
	}
	if *only != "" {
		if checks, err = choose(checks, func(c check) []string { return []string{c.name} }, *only); err != nil {
			return err
		}
	}
	began := time.Now()
	var failed []string
	var all error
	for _, c := range checks {
		fmt.Printf("== %s\n", c.name)
		at := time.Now()
		err := c.run(ctx, root)
		word := "ok"
		if err != nil {
			word = "FAILED"
			failed = append(failed, c.name)
			all = errors.Join(all, fmt.Errorf("%s: %w", c.name, err))
			fmt.Println(err)
		}
		fmt.Printf("== %s %s %.1f s\n", c.name, word, time.Since(at).Seconds())
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if all != nil {
		fmt.Printf("== FAILED: %s (%.0f s)\n", strings.Join(failed, ", "), time.Since(began).Seconds())
		return fmt.Errorf("%d of %d checks failed: %s", len(failed), len(checks), strings.Join(failed, ", "))
	}
	fmt.Printf("== all %d checks passed in %.0f s\n", len(checks), time.Since(began).Seconds())
	return nil
}

// choose keeps those that go by one of the wanted names, in their order, and
// refuses names that nobody goes by.
func choose[T any](all []T, names func(T) []string, only string) ([]T, error) {
	found := map[string]bool{}
	for n := range strings.SplitSeq(only, ",") {
		found[strings.TrimSpace(n)] = false
	}
	var out []T
	for _, x := range all {
		wanted := false
		for _, n := range names(x) {
			if _, ok := found[n]; ok {
				found[n], wanted = true, true
			}
		}
		if wanted {
			out = append(out, x)
		}
	}
	for n, ok := range found {
		if !ok {
			return nil, fmt.Errorf("no %q (there are %s)", n, offer(all, names))
		}
	}
	return out, nil
}

// offer lists the names that choose takes.
func offer[T any](all []T, names func(T) []string) string {
	var list []string
	for _, x := range all {
		for _, n := range names(x) {
			if !slices.Contains(list, n) {
				list = append(list, n)
			}
		}
	}
	return strings.Join(list, ", ")
}

// gofmt lists files that are not formatted.
func gofmt(ctx context.Context, root string) error {
	cmd := exec.CommandContext(ctx, "gofmt", "-l", "assets", "cmd", "device", "kiosk", "sync")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("gofmt: %w\n%s", err, out)
	}
	if out = bytes.TrimSpace(out); len(out) > 0 {
		return fmt.Errorf("not formatted:\n%s", out)
	}
	return nil
}

// vetWindows vets the pure floors as a Windows build sees them.
func vetWindows(ctx context.Context, root string) error {
	return show(ctx, root, []string{"GOOS=windows", "CGO_ENABLED=0"}, append([]string{"go", "vet"}, pureFloors...)...)
}

// goTests runs all tests. CUNBAN_CI makes a missing program a failure instead
// of a skipped test.
func goTests(ctx context.Context, root string, race bool) error {
	argv := []string{"go", "test", "-p", "2", "-timeout", testLimit}
	if race {
		argv = append(argv, "-race")
	}
	return show(ctx, root, []string{"CUNBAN_CI=1"}, append(argv, "./...")...)
}

// testVisits plays every visit on programs built with nothing special.
func testVisits(ctx context.Context, root, out string) error {
	bin, err := build(ctx, root, programs...)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Join(root, ".run"), "stage-")
	if err != nil {
		return fmt.Errorf("make a data folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	return play(ctx, stageOptions{root: root, bin: bin, dir: dir, w: 1920, h: 1080}, out, "all", false, true)
}
