package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// measured collects what visits measure, for promises.
var measured = figures{}

type figures map[string]float64

func (f figures) set(name string, v float64) { f[name] = v }

func runCmd(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("run", flag.ContinueOnError)
	yes := fs.Bool("yes", false, "install what is missing without asking")
	window := fs.String("window", "", "size of a window, such as 1600x900; empty is the full screen")
	out := fs.String("out", "out", "folder for pictures and papers of a visit")
	data := fs.String("data", "", "folder of everything that the programs write; empty is a fresh one that is removed")
	portrait := fs.Bool("portrait", false, "a screen of 1080×1920")
	large := fs.Bool("large", false, "play in large text")
	which := fs.String("visit", "", "play these visits though there is a display, comma between: resident, offline, staff, technician, or all")
	keep := fs.Bool("keep", false, "keep the data folder")
	cores := fs.Bool("cores", false, "look for what is left in memory after each visit (needs root and gdb)")
	if err := parse(fs, args); err != nil {
		return err
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	display := os.Getenv("DISPLAY")
	headless := display == "" || *which != ""
	sets := []debs{debsBuild, debsRun}
	if headless {
		sets = append(sets, debsHeadless)
		display = ""
	}
	if *cores {
		sets = append(sets, debsTest)
	}
	if err := install(ctx, *yes, sets...); err != nil {
		return err
	}
	fmt.Println("building")
	bin, err := build(ctx, root, programs...)
	if err != nil {
		return err
	}
	o := stageOptions{root: root, bin: bin, dir: *data, display: display, window: *window, w: 1920, h: 1080, autoplay: !headless, cores: *cores}
	if *portrait {
		o.w, o.h = o.h, o.w
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp(filepath.Join(root, ".run"), "stage-"); err != nil {
			return fmt.Errorf("make a data folder: %w", err)
		}
		if !*keep {
			defer func() { _ = os.RemoveAll(o.dir) }()
		}
	}
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if !headless {
		return open(ctx, o)
	}
	return play(ctx, o, *out, *which, *large, false)
}

// open shows the terminal to a person until the window is closed.
func open(ctx context.Context, o stageOptions) error {
	s, err := setStage(ctx, o)
	defer s.strike()
	if err != nil {
		return err
	}
	code, err := s.enrolCode(ctx)
	if err != nil {
		return err
	}
	if err := s.startKiosk(ctx); err != nil {
		return err
	}
	if _, err := s.startPanel(ctx); err != nil {
		return err
	}
	if err := s.enrolByCommand(ctx, code); err != nil {
		return err
	}
	fmt.Printf(`the terminal is open and enrolled; close its window to end
  clerk           %s, PIN %s
  technician      %s, PIN %s
  county's page   http://%s/ (account in %s)
  simulated hardware in the panel window, or: %s sim VERB --dir %s
`, clerkNumber, clerkPIN, techNumber, techPIN, s.adminAddr, filepath.Join(s.logDir, "upstream.log"), s.prog("kioskctl"), s.simDir)
	select {
	case <-s.kiosk.done:
		if s.kiosk.err != nil {
			return fmt.Errorf("the terminal: %w\n%s", s.kiosk.err, tail(filepath.Join(s.logDir, "kiosk.log"), 15))
		}
		return nil
	case <-ctx.Done():
		return nil
	}
}

// enrolByCommand enrols the terminal that is just starting; one that is enrolled
// already stays as it is.
func (s *stage) enrolByCommand(ctx context.Context, code string) error {
	var status struct{ Enrolled bool }
	var err error
	for end := time.Now().Add(firstScreen); ; pause(ctx, look) {
		if err = door(ctx, s.dataDir, "status", &status); err == nil {
			break
		}
		if time.Now().After(end) || ctx.Err() != nil || !s.kiosk.running() {
			return fmt.Errorf("the terminal does not answer: %w\n%s", err, tail(filepath.Join(s.logDir, "kiosk.log"), 15))
		}
	}
	if status.Enrolled {
		return nil
	}
	_, err = output(ctx, nil, s.prog("kioskctl"), "enrol", "--config", s.config, "--code", code)
	return err
}

// play plays visits without a person and checks what they left. Strict counts
// targets that lie over one another as failures.
func play(ctx context.Context, o stageOptions, out, which string, large, strict bool) (err error) {
	if which == "" {
		which = "resident"
	}
	list := visits
	if which != "all" {
		if list, err = choose(visits, func(v visit) []string { return []string{v.name} }, which); err != nil {
			return err
		}
	}
	if out, err = freshOut(out); err != nil {
		return err
	}
	s, err := setStage(ctx, o)
	defer s.strike()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			keepLogs(s, out)
		}
	}()
	began := time.Now()
	if err := s.startKiosk(ctx); err != nil {
		return err
	}
	p := &player{st: s, out: out}
	if err := p.enrol(ctx); err != nil {
		return err
	}
	if large {
		if err := p.tap(ctx, "look.size"); err != nil {
			return err
		}
		if err := p.picture(ctx, "home-large"); err != nil {
			return err
		}
	}
	var memory memoryLook
	if o.cores {
		if err := memory.before(ctx, s); err != nil {
			return err
		}
	}
	for _, v := range list {
		fmt.Printf("  visit %s: %s\n", v.name, v.about)
		at := time.Now()
		if err := v.play(ctx, p); err != nil {
			return fmt.Errorf("visit %s: %w", v.name, err)
		}
		fmt.Printf("    %s in %.0f s\n", v.name, time.Since(at).Seconds())
		if o.cores {
			if err := memory.after(ctx, s, v.name); err != nil {
				return err
			}
		}
	}
	if o.crash {
		if err := p.crash(ctx, memory); err != nil {
			return err
		}
	}
	if err := s.stopKiosk(ctx); err != nil {
		return err
	}
	if err := checkAfter(ctx, s, out); err != nil {
		return err
	}
	for _, f := range p.faults {
		fmt.Println("    crowded:", f)
	}
	fmt.Printf("played %d touches (%d keys pressed again) in %.0f s; %d pictures, papers, the county's records and the log are in %s\n",
		p.taps, p.missed, time.Since(began).Seconds(), p.n, out)
	if strict && len(p.faults) > 0 {
		return fmt.Errorf("%d targets lie over one another or outside the window", len(p.faults))
	}
	return nil
}

// checkAfter looks at what a stopped terminal left: a whole log and nothing
// readable.
func checkAfter(ctx context.Context, s *stage, out string) error {
	if err := leakControl(s.tmpDir); err != nil {
		return err
	}
	measured.set("planted_found", 1)
	hits, files, err := leaks(s.dataDir, s.logDir, s.tmpDir)
	if err != nil {
		return err
	}
	measured.set("leaks", float64(len(hits)))
	measured.set("leak_files", float64(files))
	if err := leakError(hits); err != nil {
		return err
	}
	fmt.Printf("    nothing readable in %d files that the terminal left\n", files)
	if err := s.checkRandom(); err != nil {
		return err
	}
	n, err := s.checkLog(ctx, out)
	if err != nil {
		return err
	}
	fmt.Printf("    log whole: %d records, live and exported\n", n)
	return nil
}

// freshOut makes the folder and takes an earlier visit's files out of it.
func freshOut(out string) (string, error) {
	out, err := filepath.Abs(out)
	if err != nil {
		return "", fmt.Errorf("out folder: %w", err)
	}
	if err := os.MkdirAll(out, 0o700); err != nil {
		return "", fmt.Errorf("out folder: %w", err)
	}
	for _, pattern := range []string{"[0-9][0-9][0-9]-*.png", "failed.png", "receipt.*", "upstream-*.json", "operation-log.txt*", "log-verify.json", "*.log"} {
		old, err := filepath.Glob(filepath.Join(out, pattern))
		if err != nil {
			return "", fmt.Errorf("out folder: %w", err)
		}
		for _, f := range old {
			if err := os.Remove(f); err != nil {
				return "", fmt.Errorf("out folder: %w", err)
			}
		}
	}
	return out, nil
}

// keepLogs copies the programs' own logs of a failed visit; they hold nothing
// of residents.
func keepLogs(s *stage, out string) {
	logs, err := filepath.Glob(filepath.Join(s.logDir, "*.log"))
	if err != nil {
		return
	}
	var all error
	for _, f := range logs {
		b, err := os.ReadFile(f)
		if err == nil {
			err = os.WriteFile(filepath.Join(out, filepath.Base(f)), b, 0o600)
		}
		all = errors.Join(all, err)
	}
	if all != nil {
		fmt.Fprintln(os.Stderr, "dev: keep the logs:", strings.ReplaceAll(all.Error(), "\n", "; "))
	}
}
