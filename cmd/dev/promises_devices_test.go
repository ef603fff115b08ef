package main

import (
	"slices"
	"strings"
	"testing"
)

func TestFuzzTargetsAreFound(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	all, err := fuzzTargets(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []fuzzTarget{{"./device/sscard", "FuzzRead"}, {"./device/sdt", "FuzzParser"}, {"./kiosk/vault/keyring", "FuzzUnmarshal"}} {
		if !slices.Contains(all, want) {
			t.Errorf("%s is not among %v", want, all)
		}
	}
}

// TestFuzzSees: a planted bug is found, and its input is told.
func TestFuzzSees(t *testing.T) {
	dir := t.TempDir()
	if err := plantParser(dir); err != nil {
		t.Fatal(err)
	}
	got, err := fuzz(t.Context(), dir, fuzzTarget{".", "FuzzRecord"}, 200_000)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got.crash, "panic") && !strings.Contains(got.crash, "written to") && !strings.Contains(got.crash, "_test.go") {
		t.Errorf("the planted bug is not found: %+v", got)
	}
}
