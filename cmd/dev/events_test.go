package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryEventIsWritten: an event that stands in the catalogue and in the
// manual but that no part of the program ever writes is a promise to auditors
// that nobody keeps.
func TestEveryEventIsWritten(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	consts, err := os.ReadFile(filepath.Join(root, "kiosk", "oplog", "events_gen.go"))
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, dir := range []string{"kiosk", "cmd", "sync", "device"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(p string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
				return err
			}
			b, err := os.ReadFile(p)
			source.Write(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	names := regexp.MustCompile(`(?m)^\t([A-Z]\w+)\s+Event = `).FindAllSubmatch(consts, -1)
	if len(names) < 40 {
		t.Fatalf("only %d events found", len(names))
	}
	unused := func(name string) bool {
		return !regexp.MustCompile(`oplog\.` + name + `\b`).MatchString(source.String())
	}
	for _, n := range names {
		if unused(string(n[1])) {
			t.Errorf("nothing writes oplog.%s", n[1])
		}
	}
	if !unused("NoSuchEvent") { // the control
		t.Error("an event that is not there counts as written")
	}
}
