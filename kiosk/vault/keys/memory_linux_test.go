package keys

import (
	"os"
	"os/exec"
	"slices"
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
		{[]string{"A=1"}, []string{"A=1", "GODEBUG=clobberfree=1", "GLIBC_TUNABLES=glibc.malloc.perturb=165"}, true},
		{[]string{"GODEBUG=gctrace=1", "GLIBC_TUNABLES=x.y=1", "A=1"},
			[]string{"A=1", "GODEBUG=gctrace=1,clobberfree=1", "GLIBC_TUNABLES=x.y=1:glibc.malloc.perturb=165"}, true},
		{[]string{"GODEBUG=clobberfree=1", "GLIBC_TUNABLES=glibc.malloc.perturb=165"},
			[]string{"GODEBUG=clobberfree=1", "GLIBC_TUNABLES=glibc.malloc.perturb=165"}, false},
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
