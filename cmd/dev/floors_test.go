package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "cunban"

// floors is the table of rooms of the architecture: a room covers the packages
// below it that have no entry of their own. A package imports from its own room
// and from rooms on floors below.
var floors = map[string]int{
	"assets":            0,
	"kiosk/catalog":     1,
	"kiosk/resident":    1,
	"kiosk/seal":        1,
	"kiosk/divisions":   2, // division codes, read with catalogue types
	"kiosk/listing":     2, // jobs, courses and notices as they come down
	"kiosk/form":        2,
	"kiosk/cases":       2,
	"kiosk/oplog":       2,
	"device":            2,
	"device/contract":   3, // the ports' contract suites, for tests
	"device/internal":   3, // helpers that drivers share
	"device/pcsc":       3,
	"device/sscard":     3,
	"device/sdt":        3,
	"device/scan":       3,
	"device/print":      3,
	"device/speech":     3,
	"device/vendor":     3,
	"device/sim":        3,
	"device/social":     4, // a card slot and a card application made one reader
	"kiosk/vault":       3,
	"kiosk/staff":       3, // session says who is at the screen in its words
	"sync/wire":         3,
	"sync":              4,
	"sync/upstream":     4,
	"kiosk/session":     4,
	"kiosk/paper":       4,
	"kiosk/ui":          5,
	"kiosk/app":         6,
	"kiosk/app/config":  1, // reads a file; knows nobody
	"kiosk/app/control": 1, // a socket; knows nobody
	"cmd":               7,
}

// neighbours are imports between rooms of one floor that the architecture's
// rows allow: helpers below the drivers.
var neighbours = map[string][]string{
	"device/pcsc":     {"device/internal"},
	"device/sdt":      {"device/internal"},
	"device/scan":     {"device/internal"},
	"device/print":    {"device/internal"},
	"device/speech":   {"device/internal"},
	"device/vendor":   {"device/internal"},
	"device/internal": {"device/sim"}, // pcscdtest starts a simulator
}

// topLevel is what stands in the source folder, dot files apart.
var topLevel = []string{"cmd", "kiosk", "device", "sync", "assets", "go.mod", "go.sum", "README.md"}

// ignored is what builds and runs leave (.gitignore).
var ignored = []string{"bin", "out"}

// pkg is a package as go list tells it.
type pkg struct {
	ImportPath  string
	Imports     []string
	Deps        []string
	TestImports []string
	CgoFiles    []string
}

// wall keeps outside modules in the rooms that may know them.
type wall struct {
	name     string
	forbids  func(importPath string) bool
	allowed  []string // rooms whose packages may import it
	reaching []string // rooms that may reach it through others, besides allowed
}

func under(p string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(r string) bool { return p == r || strings.HasPrefix(p, r+"/") })
}

var walls = []wall{
	{"Fyne only under kiosk/ui and kiosk/app",
		func(p string) bool { return strings.HasPrefix(p, "fyne.io/") },
		[]string{"kiosk/ui", "kiosk/app"}, []string{"cmd/kiosk", "cmd/kioskctl", "cmd/zz"}},
	{"SQL only in kiosk/vault and sync/upstream",
		func(p string) bool {
			// Its driver package holds interfaces that value types implement.
			return p == "database/sql" || under(p, "github.com/mattn/go-sqlite3", "github.com/psanford/sqlite3vfs", "github.com/jackc/pgx")
		},
		[]string{"kiosk/vault", "sync/upstream"}, []string{"kiosk/app", "cmd"}},
	{"gmsm only in kiosk/seal",
		func(p string) bool { return under(p, "github.com/emmansun/gmsm") },
		[]string{"kiosk/seal"}, []string{"kiosk", "sync", "cmd"}},
	{"device never imports kiosk",
		func(p string) bool { return under(p, module+"/kiosk") },
		[]string{"kiosk", "sync", "cmd"}, nil},
	{"pages know no drivers, no HTTP and no vault",
		func(p string) bool {
			return under(p, module+"/device/pcsc", module+"/device/sdt", module+"/device/scan", module+"/device/print", module+"/device/speech",
				module+"/device/social", module+"/device/vendor", module+"/kiosk/vault")
		},
		[]string{"kiosk/app", "kiosk/vault", "device", "cmd"}, nil},
}

// room gives the entry of the table that covers a package, "" for none.
func room(path string) string {
	for p := strings.TrimPrefix(path, module+"/"); p != "."; p = filepath.Dir(p) {
		if _, ok := floors[p]; ok {
			return p
		}
	}
	return ""
}

// violations finds what breaks floors and walls.
func violations(all []pkg) []string {
	var out []string
	say := func(format string, a ...any) { out = append(out, fmt.Sprintf(format, a...)) }
	for _, p := range all {
		path := strings.TrimPrefix(p.ImportPath, module+"/")
		r := room(p.ImportPath)
		if r == "" {
			say("%s has no room in the table of floors", path)
			continue
		}
		for _, i := range p.Imports {
			if !strings.HasPrefix(i, module+"/") {
				continue
			}
			to := room(i)
			switch {
			case to == r, slices.Contains(neighbours[r], to):
			case floors[to] >= floors[r]:
				say("%s (%s, floor %d) imports %s (floor %d)", path, r, floors[r], strings.TrimPrefix(i, module+"/"), floors[to])
			}
		}
		for _, w := range walls {
			// Tests outside a package (_test) may bring two rooms together.
			direct := slices.Concat(p.Imports, p.TestImports)
			for _, i := range direct {
				if w.forbids(i) && !under(path, w.allowed...) && i != p.ImportPath {
					say("wall %q: %s imports %s", w.name, path, i)
				}
			}
			if under(path, slices.Concat(w.allowed, w.reaching)...) {
				continue
			}
			for _, d := range p.Deps {
				if w.forbids(d) && !slices.Contains(direct, d) {
					say("wall %q: %s reaches %s", w.name, path, d)
					break
				}
			}
		}
		if floors[r] <= 2 && len(p.CgoFiles) > 0 {
			say("%s is on floor %d and uses cgo: %v", path, floors[r], p.CgoFiles)
		}
		if path == "cmd/dev" {
			for _, i := range p.Imports {
				if strings.Contains(strings.Split(i, "/")[0], ".") || strings.HasPrefix(i, module) {
					say("cmd/dev imports %s, and not only the standard library", i)
				}
			}
		}
	}
	return out
}

func listPackages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps=false", "-json=ImportPath,Imports,Deps,TestImports,CgoFiles", "./...")
	cmd.Dir = "../.."
	// Only what is compiled counts, and cgo hides files when it is off.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, errs.String())
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(b)); ; {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all = append(all, p)
	}
}

func TestFloorsAndWalls(t *testing.T) {
	all := listPackages(t)
	if len(all) < 30 {
		t.Fatalf("go list tells only %d packages", len(all))
	}
	for _, v := range violations(all) {
		t.Error(v)
	}
}

// TestFloorsAndWallsSeeThrough is the control: a made-up house with every wall
// torn must be reported, each time for the right reason.
func TestFloorsAndWallsSeeThrough(t *testing.T) {
	for _, c := range []struct {
		name string
		p    pkg
		want string
	}{
		{"up", pkg{ImportPath: module + "/kiosk/form", Imports: []string{module + "/kiosk/ui"}}, "floor 2) imports kiosk/ui"},
		{"sideways", pkg{ImportPath: module + "/device/sdt", Imports: []string{module + "/device/pcsc"}}, "imports device/pcsc"},
		{"neighbour", pkg{ImportPath: module + "/kiosk/cases", Imports: []string{module + "/kiosk/form"}}, "imports kiosk/form"},
		{"no room", pkg{ImportPath: module + "/tools/x"}, "no room"},
		{"fyne", pkg{ImportPath: module + "/kiosk/session", Imports: []string{"fyne.io/fyne/v2"}}, "Fyne only"},
		{"fyne through", pkg{ImportPath: module + "/sync", Deps: []string{"fyne.io/fyne/v2/theme"}}, "reaches fyne.io"},
		{"sql", pkg{ImportPath: module + "/sync", Imports: []string{"database/sql"}}, "SQL only"},
		{"sql in a test", pkg{ImportPath: module + "/kiosk/ui", TestImports: []string{"github.com/mattn/go-sqlite3"}}, "SQL only"},
		{"sql through", pkg{ImportPath: module + "/kiosk/ui/screen", Deps: []string{"github.com/jackc/pgx/v5"}}, "reaches github.com/jackc"},
		{"gmsm", pkg{ImportPath: module + "/kiosk/oplog", Imports: []string{"github.com/emmansun/gmsm/sm3"}}, "gmsm only"},
		{"device", pkg{ImportPath: module + "/device/sscard", Imports: []string{module + "/kiosk/resident"}}, "never imports kiosk"},
		{"device through", pkg{ImportPath: module + "/device/sim", Deps: []string{module + "/kiosk/catalog"}}, "reaches cunban/kiosk"},
		{"pages", pkg{ImportPath: module + "/kiosk/ui/screen/tech", Imports: []string{module + "/device/pcsc"}}, "pages know no drivers"},
		{"cgo", pkg{ImportPath: module + "/kiosk/seal", CgoFiles: []string{"x.go"}}, "uses cgo"},
		{"dev", pkg{ImportPath: module + "/cmd/dev", Imports: []string{"github.com/x/y"}}, "standard library"},
		{"dev inside", pkg{ImportPath: module + "/cmd/dev", Imports: []string{module + "/assets"}}, "standard library"},
	} {
		got := violations([]pkg{c.p})
		if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, c.want) }) {
			t.Errorf("%s: want a violation with %q, got %q", c.name, c.want, got)
		}
	}
	good := []pkg{
		{ImportPath: module + "/kiosk/app", Imports: []string{"fyne.io/fyne/v2", module + "/kiosk/ui", module + "/device/pcsc"}},
		{ImportPath: module + "/kiosk/vault/keys", Imports: []string{"database/sql", module + "/kiosk/seal"}},
		{ImportPath: module + "/device/sdt", Imports: []string{module + "/device", module + "/device/internal/hub"}},
	}
	if got := violations(good); len(got) > 0 {
		t.Errorf("a sound house is reported: %q", got)
	}
}

func TestTopLevelIsFixed(t *testing.T) {
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	var extra []string
	for _, e := range entries {
		n := e.Name()
		if !strings.HasPrefix(n, ".") && !slices.Contains(topLevel, n) && !slices.Contains(ignored, n) {
			extra = append(extra, n)
		}
	}
	if len(extra) > 0 {
		t.Errorf("at the top level stands %v; allowed are %v", extra, topLevel)
	}
	for _, n := range topLevel {
		if !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == n }) {
			t.Errorf("at the top level %s is missing", n)
		}
	}
}

// TestPureFloorsOnWindows vets the floors without cgo as a Windows build sees
// them.
func TestPureFloorsOnWindows(t *testing.T) {
	if err := vetWindows(t.Context(), "../.."); err != nil {
		t.Error(err)
	}
}
