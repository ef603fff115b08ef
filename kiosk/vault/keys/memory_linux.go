package keys

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// lockedPages maps pages outside the Go heap (the collector never copies
// them) and locks them. nil when there are none to be had.
func lockedPages(n int) (mem []byte, locked bool) {
	page := unix.Getpagesize()
	mem, err := unix.Mmap(-1, 0, (n+page-1)/page*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, false
	}
	// Leaving it out of dumps is a second net under DisableCoreDumps; an old
	// kernel without it still runs.
	_ = unix.Madvise(mem, unix.MADV_DONTDUMP)
	return mem, unix.Mlock(mem) == nil
}

func freePages(mem []byte) {
	// Both fail only for memory that is not ours.
	_ = unix.Munlock(mem)
	_ = unix.Munmap(mem)
}

// DisableCoreDumps keeps the process's memory out of core files and away from
// other processes of the same user (prctl(2) PR_SET_DUMPABLE, setrlimit(2)
// RLIMIT_CORE). Call once, before the key is loaded.
func DisableCoreDumps() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("switch core dumps off: limit: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("switch core dumps off: prctl: %w", err)
	}
	return nil
}

// setting is a word in an environment variable that lists several.
type setting struct{ name, sep, word string }

// wipes are what WipeFreed sets. The cache of small blocks that each thread has is
// switched off: what glibc (2.36, of Debian 12) keeps there it does not overwrite.
var wipes = []setting{
	{"GODEBUG", ",", "clobberfree=1"},
	{"GLIBC_TUNABLES", ":", "glibc.malloc.perturb=165"},
	{"GLIBC_TUNABLES", ":", "glibc.malloc.tcache_count=0"},
}

// WipeFreed has memory overwritten when it is freed: by Go's collector (GODEBUG
// clobberfree) and by the C library's allocator (mallopt(3) M_PERTURB), which
// leaves eight bytes of a block at most. Both look at the environment only when a
// program begins, so the program is begun again in the same process, once;
// programs that it starts inherit both. Call first of all: what was done before
// is done again.
func WipeFreed() error {
	env, changed := wiping(os.Environ())
	if !changed {
		return nil
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("have freed memory overwritten: %w", err)
	}
	return fmt.Errorf("have freed memory overwritten: %w", unix.Exec(exe, os.Args, env))
}

// wiping adds what WipeFreed sets to an environment.
func wiping(env []string) (out []string, changed bool) {
	for _, want := range wipes {
		have := ""
		out = nil
		for _, e := range env {
			name, val, _ := strings.Cut(e, "=")
			if name == want.name {
				have = val
				continue
			}
			out = append(out, e)
		}
		if !strings.Contains(have, want.word) {
			changed = true
			have = strings.TrimPrefix(have+want.sep+want.word, want.sep)
		}
		env = append(out, want.name+"="+have)
	}
	return env, changed
}
