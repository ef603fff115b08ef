package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// proveLeak plays the visits of all kinds and looks for what they leave: on the
// disk, in memory, and after a crash.
func proveLeak(ctx context.Context, e proofStage) ([]promise, error) {
	dir, err := os.MkdirTemp(filepath.Join(e.root, ".run"), "stage-")
	if err != nil {
		return nil, fmt.Errorf("make a data folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	o := stageOptions{root: e.root, bin: e.bin, dir: filepath.Join(dir, "stage"), w: 1920, h: 1080, cores: true, crash: true}
	if err := play(ctx, o, filepath.Join(dir, "out"), "all", false, false); err != nil {
		return nil, err
	}
	var left []string
	total := 0.0
	for _, v := range visits {
		n := measured["core_"+v.name]
		total += n
		left = append(left, fmt.Sprintf("%s %.0f", v.name, n))
	}
	m := measured
	return []promise{
		{Name: "nothing readable in data, log and temporary folders, all kinds of visits", Target: "0 hits",
			Measured: fmt.Sprintf("%.0f hits in %.0f files", m["leaks"], m["leak_files"]), Met: m["leaks"] == 0 && m["leak_files"] > 0,
			Control: "secrets planted in a file are found", ControlFailed: m["planted_found"] == 1},
		{Name: "every file of the vault looks random", Target: "0 blocks that do not",
			Measured: fmt.Sprintf("%.0f of %.0f blocks in %.0f files, %.5f bits/byte; vault.lock is empty and not judged", m["orderly"], m["random_blocks"],
				m["random_files"], m["random_bits"]), Met: m["orderly"] == 0 && m["random_files"] > 0,
			Control: "the county's database, plain SQLite", ControlFailed: m["county_orderly"] > 0},
		{Name: "a crash in the middle of a visit leaves nothing readable", Target: "0 hits, 0 core files",
			Measured: fmt.Sprintf("%.0f hits in %.0f files, %.0f core files; the log has the trace", m["crash_leaks"], m["crash_files"], m["crash_cores"]),
			Met:      m["crash_leaks"] == 0 && m["crash_cores"] == 0 && m["crash_traced"] == 1,
			Control:  "the memory that crashed, as root can read it", ControlFailed: m["crash_memory"] > 0},
		{Name: fmt.Sprintf("memory %s after a visit, as root can read it (gcore)", coreRest), Target: "0 hits",
			Measured: fmt.Sprintf("hits: %s, beyond the %.0f words that were there before anybody came", strings.Join(left, ", "), m["core_before"]), Met: total == 0,
			Control: fmt.Sprintf("the same in the middle of a visit: %.0f hits", m["crash_memory"]), ControlFailed: m["crash_memory"] > 0},
	}, nil
}

// checkRandom runs the entropy test over a vault, and over a plain database as
// its control.
func (s *stage) checkRandom() error {
	r, err := looksRandom(filepath.Join(s.dataDir, "vault"))
	if err != nil {
		return err
	}
	measured.set("orderly", float64(len(r.Bad)))
	measured.set("random_files", float64(r.Files))
	measured.set("random_blocks", float64(r.Blocks))
	measured.set("random_bits", r.Bits)
	fmt.Println("    looks random:", r)
	plain, err := looksRandom(s.upstreamData)
	if err != nil {
		return err
	}
	measured.set("county_orderly", float64(len(plain.Bad)))
	if len(plain.Bad) == 0 {
		return errors.New("entropy test: the county's plain database looks random to it")
	}
	return r.err()
}

// crashWait is how long a program may take to write where it was and end.
const crashWait = 20 * time.Second

// crash ends the terminal as a fault of the program does, with a resident at the
// last page of a form, looks at what that leaves, and starts it again.
func (p *player) crash(ctx context.Context, memory memoryLook) error {
	if err := p.showCard(ctx, "insert", "li"); err != nil {
		return err
	}
	if err := p.open(ctx, "S01"); err != nil {
		return err
	}
	if err := p.fill(ctx, s01); err != nil {
		return err
	}
	if _, err := p.page(ctx, "review"); err != nil {
		return err
	}
	held, err := p.st.core(ctx, "crash")
	if err != nil {
		return err
	}
	held = held.beyond(memory.base)
	measured.set("crash_memory", float64(held.sum()))
	fmt.Printf("    memory in the middle of a visit: %d hits\n", held.sum())
	before := p.st.coreFiles()
	logged, err := os.ReadFile(p.st.kioskLog())
	if err != nil {
		return fmt.Errorf("crash: %w", err)
	}
	k := p.st.kiosk
	if err := k.cmd.Process.Signal(syscall.SIGABRT); err != nil {
		return fmt.Errorf("crash: %w", err)
	}
	if err := k.wait(crashWait); err == nil {
		return errors.New("crash: the terminal took SIGABRT for a request to stop")
	}
	k.kill()
	if err := p.st.afterCrash(len(logged), before); err != nil {
		return err
	}
	if err := p.st.simDo(ctx, "remove"); err != nil {
		return err
	}
	if err := p.st.startKiosk(ctx); err != nil {
		return err
	}
	if _, err := p.pageIn(ctx, firstScreen, "home"); err != nil {
		return err
	}
	return p.findWindow(ctx)
}

// afterCrash looks at what a crash left: the trace in the log, beginning at
// byte from, and nothing else.
func (s *stage) afterCrash(from int, coresBefore []string) error {
	logged, err := os.ReadFile(s.kioskLog())
	if err != nil {
		return fmt.Errorf("crash: %w", err)
	}
	trace := string(logged[min(from, len(logged)):])
	if !strings.Contains(trace, "SIGABRT") || !strings.Contains(trace, "goroutine ") {
		return fmt.Errorf("crash: the log has no trace of it:\n%s", tail(s.kioskLog(), 8))
	}
	measured.set("crash_traced", 1)
	cores := 0
	for _, f := range s.coreFiles() {
		if !slices.Contains(coresBefore, f) {
			cores++
		}
	}
	measured.set("crash_cores", float64(cores))
	hits, files, err := leaks(s.dataDir, s.logDir, s.tmpDir)
	if err != nil {
		return err
	}
	measured.set("crash_leaks", float64(len(hits)))
	measured.set("crash_files", float64(files))
	fmt.Printf("    crash: %d hits in %d files, %d core files, a trace of %d bytes\n", len(hits), files, cores, len(trace))
	return leakError(hits)
}

func (s *stage) kioskLog() string { return filepath.Join(s.logDir, "kiosk.log") }

// coreFiles are the core files wherever the kernel or a collector of Debian
// would put them.
func (s *stage) coreFiles() (out []string) {
	dirs := []string{s.dir, s.dataDir, s.tmpDir, s.root, "/var/crash", "/var/lib/systemd/coredump"}
	if wd, err := os.Getwd(); err == nil {
		dirs = append(dirs, wd)
	}
	slices.Sort(dirs)
	for _, d := range slices.Compact(dirs) {
		// Both patterns are well-formed.
		a, _ := filepath.Glob(filepath.Join(d, "core*"))
		b, _ := filepath.Glob(filepath.Join(d, "*.crash"))
		out = append(out, append(a, b...)...)
	}
	return out
}
