package keys

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// DisableCoreDumps changes the whole process, so a child does it and looks.
func TestDisableCoreDumps(t *testing.T) {
	if os.Getenv("CUNBAN_DUMP_CHILD") == "1" {
		if err := DisableCoreDumps(); err != nil {
			t.Fatal(err)
		}
		var l unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_CORE, &l); err != nil || l.Cur != 0 || l.Max != 0 {
			t.Errorf("limit %+v, %v", l, err)
		}
		if v, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || v != 0 {
			t.Errorf("dumpable %d, %v", v, err)
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestDisableCoreDumps$", "-test.v")
	cmd.Env = append(os.Environ(), "CUNBAN_DUMP_CHILD=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestDisableCoreDumps") {
		t.Errorf("%v\n%s", err, out)
	}
}

// The pages of a secret are really locked: the kernel counts them.
func TestSecretIsLocked(t *testing.T) {
	before := vmLocked(t)
	s, err := NewSecret(key(1))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Wipe()
	if !s.Locked() {
		t.Skip("this user may not lock memory")
	}
	if vmLocked(t) == before {
		t.Errorf("VmLck stays %q", before)
	}
}

func vmLocked(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		if strings.HasPrefix(l, "VmLck:") {
			return l
		}
	}
	t.Fatal("no VmLck")
	return ""
}

func TestWiping(t *testing.T) {
	for _, c := range []struct {
		env, want []string
		changed   bool
	}{
		{[]string{"A=1"}, []string{"A=1", "GODEBUG=clobberfree=1", "GLIBC_TUNABLES=glibc.malloc.perturb=165:glibc.malloc.tcache_count=0"}, true},
		{[]string{"GODEBUG=gctrace=1", "GLIBC_TUNABLES=x.y=1", "A=1"},
			[]string{"A=1", "GODEBUG=gctrace=1,clobberfree=1", "GLIBC_TUNABLES=x.y=1:glibc.malloc.perturb=165:glibc.malloc.tcache_count=0"}, true},
		{[]string{"GODEBUG=clobberfree=1", "GLIBC_TUNABLES=glibc.malloc.perturb=165:glibc.malloc.tcache_count=0"},
			[]string{"GODEBUG=clobberfree=1", "GLIBC_TUNABLES=glibc.malloc.perturb=165:glibc.malloc.tcache_count=0"}, false},
	} {
		got, changed := wiping(c.env)
		if changed != c.changed || !slices.Equal(got, c.want) {
			t.Errorf("%q became %q, %t", c.env, got, changed)
		}
		if _, again := wiping(got); again {
			t.Errorf("%q would begin the program again and again", got)
		}
	}
}

// envFreed makes the test binary a program that frees a text and looks for it:
// "wiped" calls WipeFreed first, "plain" does not.
const envFreed = "CUNBAN_FREED"

// TestWipeFreed begins a program that overwrites what it frees and finds nothing
// of a text that nobody holds any more; the control does not and finds it.
func TestWipeFreed(t *testing.T) {
	if mode := os.Getenv(envFreed); mode != "" {
		if mode == "wiped" {
			if err := WipeFreed(); err != nil {
				t.Fatal(err)
			}
		}
		t.Log("left:", leftInMemory(t))
		return
	}
	for mode, want := range map[string]string{"wiped": "left: false", "plain": "left: true"} {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestWipeFreed$", "-test.v")
		cmd.Env = append(os.Environ(), envFreed+"="+mode)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v\n%s\nwant %q", mode, err, out, want)
		}
	}
}

// leftInMemory frees a text and reads the place where it was.
func leftInMemory(t *testing.T) bool {
	t.Helper()
	mark := strings.Repeat("resident's answer ", 10)
	places := make([]uintptr, 0, 64)
	for range cap(places) { // several: one may be lying in a span in use
		b := append([]byte(nil), mark...)
		places = append(places, uintptr(reflect.ValueOf(b).Pointer()))
	}
	runtime.GC()
	runtime.GC()
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mem.Close() }()
	found := make([]byte, len(mark))
	for _, at := range places {
		if _, err := mem.ReadAt(found, int64(at)); err == nil && string(found) == mark {
			return true
		}
	}
	return false
}

// freedC prints how many bytes of blocks of several sizes can be read in the
// place of each, once it is freed.
const freedC = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void) {
	for (size_t n = 40; n < 100000; n *= 3) {
		volatile unsigned char *p = malloc(n);
		memset((void *)p, 'A', n);
		free((void *)p);
		size_t left = 0;
		for (size_t i = 0; i < n; i++) left += p[i] == 'A';
		printf("%zu ", left);
	}
	return 0;
}`

// wordC is how many bytes of a freed block glibc leaves: they belong to the head
// of the next one too.
const wordC = 8

// TestWipeFreedC runs a C program in the environment that WipeFreed makes. The
// controls are what it would be without, and with a cache for each thread.
func TestWipeFreedC(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		if os.Getenv("CUNBAN_CI") == "1" {
			t.Fatal(err)
		}
		t.Skip("no C compiler:", err)
	}
	prog := filepath.Join(t.TempDir(), "freed")
	build := exec.Command(cc, "-O0", "-w", "-x", "c", "-o", prog, "-")
	build.Stdin = strings.NewReader(freedC)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	wiped, _ := wiping(nil)
	for _, c := range []struct {
		name  string
		env   []string
		whole bool // blocks stay readable
	}{
		{"wiped", wiped, false},
		{"with the threads' caches", []string{"GLIBC_TUNABLES=glibc.malloc.perturb=165"}, true},
		{"plain", []string{}, true},
	} {
		run := exec.Command(prog)
		run.Env = c.env
		out, err := run.Output()
		if err != nil {
			t.Fatal(c.name, err)
		}
		most := 0
		for f := range strings.FieldsSeq(string(out)) {
			n, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(c.name, err)
			}
			most = max(most, n)
		}
		if got := most > wordC; got != c.whole {
			t.Errorf("%s: of freed blocks %s bytes can be read", c.name, out)
		}
	}
}
