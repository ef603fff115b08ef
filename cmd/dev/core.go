package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A core is what a debugger can read of a program's memory. The terminal makes
// none: it forbids core files and is not dumpable, so that only root can take
// one. What is looked for is what a resident who has left would leave to
// whoever can.

// coreRest is how long the terminal has to forget after a session.
const coreRest = 3 * time.Second

// sighting counts how often each secret is in a core.
type sighting map[string]int

// sum is how many there are in all.
func (c sighting) sum() (n int) {
	for _, k := range c {
		n += k
	}
	return n
}

// beyond is what is in c more often than before.
func (c sighting) beyond(before sighting) sighting {
	out := sighting{}
	for name, n := range c {
		if more := n - before[name]; more > 0 {
			out[name] = more
		}
	}
	return out
}

func (c sighting) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(&b, " %s ×%d", name, c[name])
	}
	return strings.TrimSpace(b.String())
}

// core takes a core of the terminal and of the programs that it runs, counts
// the secrets in them and removes them.
func (s *stage) core(ctx context.Context, name string) (sighting, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("take a core: only root can, the terminal is not dumpable")
	}
	pid := s.kiosk.cmd.Process.Pid
	all := sighting{}
	for _, p := range append(children(pid), pid) {
		prefix := filepath.Join(s.dir, "core-"+name)
		file := prefix + "." + strconv.Itoa(p)
		_, err := output(ctx, nil, "gcore", "-o", prefix, strconv.Itoa(p))
		if _, gone := os.Stat("/proc/" + strconv.Itoa(p)); gone != nil {
			continue // a worker that ended meanwhile
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("take a core: %w", err), os.RemoveAll(file))
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("take a core: %w", err)
		}
		for name, n := range sight(b) {
			all[name] += n
		}
		if keep := os.Getenv("CUNBAN_KEEP_CORES"); keep == "" {
			if err := os.Remove(file); err != nil {
				return nil, fmt.Errorf("take a core: %w", err)
			}
		}
	}
	return all, nil
}

// sight counts the secrets in memory.
func sight(b []byte) sighting {
	out := sighting{}
	for _, p := range coreSecrets() {
		if n := bytes.Count(b, p.bytes); n > 0 {
			out[p.name] = n
		}
	}
	return out
}

// publicWords are secrets on the disk, but the terminal holds them in memory
// by itself: the villages are in the list of divisions.
var publicWords = []string{"东关村", "南关村", "SQLite format 3"}

// coreOnly are looked for in memory in their place.
var coreOnly = []string{"南关村12号", "阳城村8号", "东关村三组"}

// coreSecrets are the patterns of leak.go and those that only memory has: runes
// as Go keeps them, digits set apart as pages show them, and the heads of files
// that scans and receipts become.
func coreSecrets() (out []pattern) {
	for _, s := range append(slices.Clone(secrets), coreOnly...) {
		if slices.Contains(publicWords, s) {
			continue
		}
		out = append(out, pattern{s, []byte(s)}, pattern{s + " (UTF-16)", utf16le(s)}, pattern{s + " (UTF-32)", utf32le(s)})
		if len(s) == idDigits && strings.Trim(s, "0123456789") == "" {
			out = append(out, pattern{s + " (in groups)", []byte(s[:6] + " " + s[6:14] + " " + s[14:])},
				pattern{s + " (digit by digit)", []byte(strings.Join(strings.Split(s, ""), " "))})
		}
	}
	out = append(out, patternsGB()...)
	return append(out, pattern{"JPEG head", []byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00")}, pattern{"PDF head", []byte("%PDF-1.")})
}

// idDigits is the length of a citizen ID number.
const idDigits = 18

// utf32le is a text as a []rune lies in memory.
func utf32le(s string) []byte {
	var out []byte
	for _, r := range s {
		out = append(out, byte(r), byte(r>>8), byte(r>>16), 0)
	}
	return out
}

// memoryLook compares the terminal's memory after visits with what it was
// before anybody came: fonts, dictionaries and the county's lists hold some of
// the words too.
type memoryLook struct{ base sighting }

func (m *memoryLook) before(ctx context.Context, s *stage) (err error) {
	m.base, err = s.core(ctx, "before")
	measured.set("core_before", float64(m.base.sum()))
	return err
}

// after measures what is left of a visit that has ended.
func (m *memoryLook) after(ctx context.Context, s *stage, visit string) error {
	pause(ctx, coreRest)
	now, err := s.core(ctx, visit)
	if err != nil {
		return err
	}
	left := now.beyond(m.base)
	measured.set("core_"+visit, float64(left.sum()))
	fmt.Printf("    memory after it: %d hits %s\n", left.sum(), left)
	return nil
}
