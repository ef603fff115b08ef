package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cunban/kiosk/app/config"
	"cunban/kiosk/vault/keys"
)

const (
	manualPages = "../../assets/manual/*.md"
	keyPage     = "../../assets/manual/disk-key.md"
)

// reCommand finds the commands of a page: in backquotes, or on an indented line.
var reCommand = regexp.MustCompile("(?m)`(kioskctl [^`]+)`|^ {4,}(kioskctl .+)$")

// commands are the command lines of this program that a page tells to type.
func commands(page string) (out [][]string) {
	for _, m := range reCommand.FindAllStringSubmatch(page, -1) {
		out = append(out, strings.Fields(m[1] + m[2])[1:])
	}
	return out
}

// knows tells whether the program knows a command and each of its flags: asked
// for help after them all, it gives it. said is what it said.
func knows(args []string) (ok bool, said string) {
	var out, errs strings.Builder
	code := run(context.Background(), append(slices.Clone(args), "-h"), &out, &errs)
	return code == exitOK, errs.String()
}

func readPage(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestManualCommands: what the manual tells to type is what the program takes.
func TestManualCommands(t *testing.T) {
	pages, err := filepath.Glob(manualPages)
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, path := range pages {
		for _, args := range commands(readPage(t, path)) {
			// A whole group may be named.
			if len(args) == 1 && args[0] == "vault" {
				continue
			}
			if ok, said := knows(args); !ok {
				t.Errorf("%s: kioskctl %s: %s", filepath.Base(path), strings.Join(args, " "), said)
			}
		}
	}
	// The test can fail.
	for _, bad := range []string{"`kioskctl vault hide`", "    kioskctl vault rotate --too tpm2", "`kioskctl queue all`", "`kioskctl dance`"} {
		list := commands(bad)
		if len(list) != 1 {
			t.Fatalf("%q has %d commands", bad, len(list))
		}
		if ok, _ := knows(list[0]); ok {
			t.Errorf("%s is taken", bad)
		}
	}
}

// reYAML finds the examples of a page for the configuration.
var reYAML = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// TestManualOfKeys: the page tells of every command about keys, of every kind of
// source in its own words, and its examples are configurations.
func TestManualOfKeys(t *testing.T) {
	page := readPage(t, keyPage)
	told := map[string]bool{}
	for _, args := range commands(page) {
		if args[0] == "vault" && len(args) > 1 {
			told[args[1]] = true
			if i := slices.Index(args, "--to"); i > 0 {
				kind, _, _ := strings.Cut(args[i+1], "=")
				if !slices.Contains(config.KeyKinds(), kind) {
					t.Errorf("kioskctl %v: no such kind of source", args)
				}
			}
		}
	}
	for _, sub := range []string{"key", "rotate", "rekey", "backup", "salvage"} {
		if !told[sub] {
			t.Errorf("kioskctl vault %s is not told of", sub)
		}
	}
	shown := map[string]bool{}
	for _, m := range reYAML.FindAllStringSubmatch(page, -1) {
		c, err := config.Parse([]byte("data: d\n"+m[1]), "/etc/cunban/kiosk.yaml")
		if err != nil {
			t.Errorf("%s: %v", m[1], err)
			continue
		}
		for _, k := range c.Keys {
			shown[k.Kind] = true
		}
	}
	strengths := map[string]keys.Strengther{keys.NameTPM2: keys.TPM2{}, keys.NameSystemd: keys.Systemd{}, keys.NameUSB: keys.USB{}, keys.NameExec: keys.Exec{}, keys.NameFile: keys.File{}}
	for _, kind := range config.KeyKinds() {
		s, ok := strengths[kind]
		if !ok || !strings.Contains(page, "| `"+kind+"` | "+s.Strength()+" |") {
			t.Errorf("the table does not say of %s what the program says", kind)
		}
		if !shown[kind] {
			t.Errorf("no example of %s", kind)
		}
	}
}

// reCode finds the codes that a page explains.
var reCode = regexp.MustCompile(`VT-\d\d`)

// TestManualCodes: the codes that the page explains are the program's.
func TestManualCodes(t *testing.T) {
	var source strings.Builder
	for _, name := range []string{"diskkey.go", "parts.go"} {
		source.WriteString(readPage(t, filepath.Join("../../kiosk/app", name)))
	}
	for _, code := range reCode.FindAllString(readPage(t, keyPage), -1) {
		if !strings.Contains(source.String(), `"`+code+`"`) {
			t.Errorf("nothing says %s", code)
		}
	}
}
