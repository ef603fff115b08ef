package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The drivers whose tests measure; those of the card reader run a pcscd of their
// own.
const (
	pcscPkg = "./device/pcsc"
	sdtPkg  = "./device/sdt"
)

// shownBy is a promise that a test measures: what it says in a line, and the
// fault that the same test must find when it is planted.
type shownBy struct {
	name, target     string
	pkg, test        string
	env              []string
	said             *regexp.Regexp // its first group is what was measured
	control, planted string         // the fault in words, and its name in CUNBAN_CONTROL
}

// prove runs the test and its control.
func (s shownBy) prove(ctx context.Context, root string) (promise, error) {
	env := append([]string{"CUNBAN_CI=1"}, s.env...) // what is missing fails, it does not skip
	ok, said, err := goTest(ctx, root, env, s.pkg, s.test)
	if err != nil {
		return promise{}, err
	}
	var figures []string
	for _, m := range s.said.FindAllStringSubmatch(said, -1) {
		figures = append(figures, m[1])
	}
	if len(figures) == 0 && ok {
		return promise{}, fmt.Errorf("test %s of %s measured nothing:\n%s", s.test, s.pkg, said)
	}
	held, _, err := goTest(ctx, root, append(slices.Clone(env), "CUNBAN_CONTROL="+s.planted), s.pkg, s.test)
	if err != nil {
		return promise{}, err
	}
	return promise{Name: s.name, Target: s.target, Measured: shown(ok, said, strings.Join(figures, "; ")), Met: ok,
		Control: s.control, ControlFailed: !held}, nil
}

// proveReader mistreats the card reader, through a real pcscd with its virtual
// reader, and a day of traffic through a fake one in fast time.
func proveReader(ctx context.Context, e proofStage) ([]promise, error) {
	tearStep, restarts, idle := "9", "20", "5"
	if e.long {
		tearStep, restarts, idle = "1", "1000", "60"
	}
	var rows []promise
	for _, s := range []shownBy{
		{name: "a card torn out at any command is never half a person", target: "all torn, all forms of record, T=0 and T=1",
			pkg: pcscPkg, test: "^TestTornAtEveryCommand$", env: []string{"CUNBAN_TEARS=" + tearStep}, said: regexp.MustCompile(`tears: (\d+ at \d+ commands.*)`),
			control: "a torn card is taken for one that lacks what is missing", planted: "careless"},
		{name: "pcscd killed and stopped with a card in: the card is read after each start, nothing is lost or left", target: restarts + " of " + restarts,
			pkg: pcscPkg, test: "^TestRestarts$", env: []string{"CUNBAN_RESTARTS=" + restarts}, said: regexp.MustCompile(`restarts: (\d+, .*)`),
			control: "a driver that keeps its context", planted: "stale"},
		{name: "an idle card reader uses no processor", target: "< 0.5 % of a core",
			pkg: pcscPkg, test: "^TestIdleCPU$", env: []string{"CUNBAN_IDLE=" + idle}, said: regexp.MustCompile(`idle, (.*)`),
			control: "a driver that asks without waiting", planted: "busy"},
		{name: "24 h of cards, tears, holders, restarts and pulled cables (fast time) leave nothing behind", target: "goroutines and memory flat",
			pkg: pcscPkg, test: "^TestDay$", said: regexp.MustCompile(`day: (.*)`),
			control: "a driver that leaves a goroutine with each context", planted: "leak"},
		{name: "24 h of ID cards, refusals, broken answers and pulled cables (fast time) leave nothing behind", target: "goroutines and memory flat",
			pkg: sdtPkg, test: "^TestDay$", said: regexp.MustCompile(`day: (.*)`),
			control: "a driver that leaves a goroutine with each line", planted: "leak"},
	} {
		row, err := s.prove(ctx, e.root)
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// fuzzTarget is one function that takes foreign bytes.
type fuzzTarget struct{ pkg, name string }

func (t fuzzTarget) String() string { return t.pkg + " " + t.name }

// fuzzTargets finds the fuzz targets under root.
func fuzzTargets(root string) ([]fuzzTarget, error) {
	var out []fuzzTarget
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Fuzz") {
				out = append(out, fuzzTarget{"./" + filepath.ToSlash(dir), fn.Name.Name})
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find fuzz targets: %w", err)
	}
	return out, nil
}

// fuzzed is what became of a target: how many inputs it took, and the line of
// its failure.
type fuzzed struct {
	runs  int
	crash string
}

var (
	saidExecs = regexp.MustCompile(`execs: (\d+)`)
	saidCrash = regexp.MustCompile(`(?m)^\s*(\S+_test\.go:\d+: .*|panic: .*|Failing input written to .*)$`)
)

// fuzz gives a target of the module at root so many new inputs. A failing input
// is kept by go test in the package's testdata, to be mended and committed.
func fuzz(ctx context.Context, root string, t fuzzTarget, runs int) (fuzzed, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", strconv.Itoa(runs)+"x", t.pkg)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return fuzzed{}, ctx.Err()
	}
	said := string(out)
	failed := strings.Contains(said, "--- FAIL")
	if err != nil && !failed {
		return fuzzed{}, fmt.Errorf("fuzz %s: %w\n%s", t, err, said)
	}
	var got fuzzed
	for _, m := range saidExecs.FindAllStringSubmatch(said, -1) {
		if got.runs, err = strconv.Atoi(m[1]); err != nil { // the last one counts
			return fuzzed{}, fmt.Errorf("fuzz %s: %w", t, err)
		}
	}
	if failed {
		got.crash = "failed"
		if line := saidCrash.FindString(said); line != "" {
			got.crash = strings.TrimSpace(line)
		}
	}
	return got, nil
}

// plantedParser believes a length that the bytes claim: the mistake that the
// fuzz targets are there to find.
const plantedParser = `package planted

import "testing"

func last(record []byte) byte {
	if len(record) < 3 || record[0] != 0x09 {
		return 0
	}
	return record[1+int(record[1])]
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte{0x09, 2, 'a', 'b'})
	f.Fuzz(func(_ *testing.T, b []byte) { last(b) })
}
`

// plantParser writes a module with a parser that has a bug.
func plantParser(dir string) error {
	for name, text := range map[string]string{"go.mod": "module planted\n\ngo 1.26\n", "record_test.go": plantedParser} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("plant a parser: %w", err)
		}
	}
	return nil
}

// proveFuzz feeds every parser of foreign bytes in the tree with made bytes.
func proveFuzz(ctx context.Context, e proofStage) ([]promise, error) {
	runs := 20_000
	if e.long {
		runs = 10_000_000
	}
	targets, err := fuzzTargets(e.root)
	if err != nil {
		return nil, err
	}
	all, least := 0, -1
	var crashes []string
	for i, t := range targets {
		got, err := fuzz(ctx, e.root, t, runs)
		if err != nil {
			return nil, err
		}
		fmt.Printf("    fuzz %d of %d: %s: %d inputs %s\n", i+1, len(targets), t, got.runs, got.crash)
		all += got.runs
		if least < 0 || got.runs < least {
			least = got.runs
		}
		if got.crash != "" {
			crashes = append(crashes, t.String()+": "+got.crash)
		}
	}
	dir, err := os.MkdirTemp("", "cunban-planted-")
	if err != nil {
		return nil, fmt.Errorf("plant a parser: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := plantParser(dir); err != nil {
		return nil, err
	}
	planted, err := fuzz(ctx, dir, fuzzTarget{".", "FuzzRecord"}, runs)
	if err != nil {
		return nil, err
	}
	said := fmt.Sprintf("%d parsers, %d inputs, at least %d each, %d crashes", len(targets), all, least, len(crashes))
	if len(crashes) > 0 {
		said += ": " + strings.Join(crashes, "; ")
	}
	return []promise{{Name: "no made bytes make a parser crash, hang or lie", Target: fmt.Sprintf("0 in %d inputs each", runs), Measured: said,
		Met: len(crashes) == 0 && least >= runs && len(targets) > 0, Control: "a parser that believes a length", ControlFailed: planted.crash != ""}}, nil
}
