package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Made-up staff of the demonstration.
const (
	clerkNumber, clerkName, clerkPIN = "1001", "李秀英", "246810"
	techNumber, techName, techPIN    = "9001", "赵师傅", "135790"
)

// The demonstration's service point.
const (
	demoSerial  = "CB-DEV-0001"
	demoRegion  = "140830100008"
	demoVillage = "东关社区"
	demoName    = "芮城县就业社保服务"
	demoOffice  = `{"town":"古魏镇","address":"芮城县古魏镇东关社区居委会一楼","hours":"工作日 8:00—12:00，14:30—18:00",` +
		`"person":"李秀英","person_phone":"0359-3000001","consult_phone":"12333","complaint_phone":"0359-3000002"}`
)

// Waits of the terminal on a stage without a display, in seconds: long enough
// for a slow machine, short enough to be seen.
const idleWait, askWait, coverWait = 40, 10, 10

// stageOptions say how the stage is set.
type stageOptions struct {
	root string // of the source
	bin  string // of the programs
	dir  string // of everything the run writes
	// display is the X display; "" starts Xvfb.
	display string
	// window is the size of a window, "" the full screen.
	window string
	// w and h are the size of the screen that Xvfb has.
	w, h int
	// autoplay moves demo cases on by themselves, for people who watch.
	autoplay bool
	// cores looks at the terminal's memory after each visit.
	cores bool
	// crash ends the terminal in the middle of a last visit and starts it again.
	crash bool
}

// stage is a county, simulated hardware and a terminal, all real programs.
type stage struct {
	stageOptions
	upstreamData, simDir, dataDir, logDir, config string
	tmpDir                                        string
	procs                                         []*process
	xvfb, upstream, sim, kiosk                    *process
	upstreamAddr, adminAddr, lineAddr, printAddr  string
}

// setStage starts the county, the hardware and, without a display, a screen.
// The terminal starts with startKiosk. Call strike in any case.
func setStage(ctx context.Context, o stageOptions) (*stage, error) {
	s := &stage{stageOptions: o, upstreamData: filepath.Join(o.dir, "county"), simDir: filepath.Join(o.dir, "sim"),
		dataDir: filepath.Join(o.dir, "data"), logDir: filepath.Join(o.dir, "log"), tmpDir: filepath.Join(o.dir, "tmp"),
		config: filepath.Join(o.dir, "kiosk.yaml")}
	for _, d := range []string{s.upstreamData, s.simDir, s.dataDir, s.logDir, s.tmpDir, filepath.Join(o.dir, "pages"), filepath.Join(o.dir, "speech")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return s, fmt.Errorf("set the stage: %w", err)
		}
	}
	ports, err := freePorts(4)
	if err != nil {
		return s, err
	}
	s.upstreamAddr, s.adminAddr, s.lineAddr, s.printAddr = ports[0], ports[1], ports[2], ports[3]
	if err := s.startUpstream(ctx); err != nil {
		return s, err
	}
	if err := s.startSim(ctx); err != nil {
		return s, err
	}
	if s.display == "" {
		if err := s.startX(ctx); err != nil {
			return s, err
		}
	}
	return s, s.writeConfig()
}

// freePorts are addresses on the loopback that nobody listens at.
func freePorts(n int) ([]string, error) {
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = l.Close() }()
		out = append(out, l.Addr().String())
	}
	return out, nil
}

func (s *stage) prog(name string) string { return filepath.Join(s.bin, name) }

// county runs a command of the upstream program.
func (s *stage) county(ctx context.Context, args ...string) ([]byte, error) {
	return output(ctx, nil, append(append([]string{s.prog("upstream"), args[0]}, "--data", s.upstreamData), args[1:]...)...)
}

// countyWord is county for commands whose first word is followed by another.
func (s *stage) countyWord(ctx context.Context, cmd, word string, args ...string) ([]byte, error) {
	return output(ctx, nil, append([]string{s.prog("upstream"), cmd, word, "--data", s.upstreamData}, args...)...)
}

func (s *stage) startUpstream(ctx context.Context) error {
	if err := os.WriteFile(filepath.Join(s.upstreamData, "settings.json"), []byte(demoOffice), 0o600); err != nil {
		return fmt.Errorf("set the stage: %w", err)
	}
	if _, err := s.county(ctx, "load-samples"); err != nil {
		return err
	}
	for _, a := range [][]string{{clerkNumber, clerkName, "clerk", clerkPIN}, {techNumber, techName, "technician", techPIN}} {
		if _, err := s.countyWord(ctx, "staff", "add", "--number", a[0], "--name", a[1], "--role", a[2], "--pin", a[3]); err != nil {
			return err
		}
	}
	return s.serveUpstream(ctx)
}

// serveUpstream starts the county's server; a second time it finds its data.
func (s *stage) serveUpstream(ctx context.Context) error {
	argv := []string{s.prog("upstream"), "serve", "--data", s.upstreamData, "--listen", s.upstreamAddr, "--admin", s.adminAddr, "--auto-approve"}
	if s.autoplay {
		argv = append(argv, "--demo")
	}
	var err error
	s.upstream, err = s.start(ctx, "upstream", "listening", argv...)
	return err
}

// start runs a program of the stage; strike ends it.
func (s *stage) start(ctx context.Context, name, ready string, argv ...string) (*process, error) {
	p, err := start(ctx, s.logDir, name, ready, 40*time.Second, []string{"TMPDIR=" + s.tmpDir}, argv...)
	if err == nil {
		s.procs = append(s.procs, p)
	}
	return p, err
}

func (s *stage) startSim(ctx context.Context) error {
	argv := []string{s.prog("kioskctl"), "sim", "serve", "--dir", s.simDir, "--printer", s.printAddr, "--line", s.lineAddr, "--target", s.upstreamAddr}
	if c, err := net.Dial("unix", "/run/pcscd/pcscd.comm"); err == nil {
		_ = c.Close() // somebody runs one: it must have the virtual reader
	} else {
		argv = append(argv, "--pcscd")
	}
	var err error
	s.sim, err = s.start(ctx, "sim", "ready", argv...)
	return err
}

// simDo moves the simulated hardware.
func (s *stage) simDo(ctx context.Context, verb string, arg ...string) error {
	_, err := output(ctx, nil, append(append([]string{s.prog("kioskctl"), "sim", verb}, arg...), "--dir", s.simDir)...)
	return err
}

func (s *stage) startX(ctx context.Context) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start Xvfb: %w", err)
	}
	defer func() { _ = r.Close() }()
	// Xvfb picks a free display by itself and writes its number to descriptor 3.
	s.xvfb, err = startWithFile(s.logDir, "xvfb", w, "Xvfb", "-displayfd", "3", "-screen", "0", fmt.Sprintf("%dx%dx24", s.w, s.h),
		"-nolisten", "tcp", "-dpi", "96")
	_ = w.Close()
	if err != nil {
		return err
	}
	s.procs = append(s.procs, s.xvfb)
	if err := r.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return fmt.Errorf("start Xvfb: %w", err)
	}
	// It writes number and newline apart, and dies of a closed pipe.
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		return fmt.Errorf("start Xvfb: %w\n%s", err, tail(filepath.Join(s.logDir, "xvfb.log"), 8))
	}
	s.display = ":" + strings.TrimSpace(line)
	return ctx.Err()
}

func (s *stage) writeConfig() error {
	width := 476 // millimetres of a 21.5-inch screen
	if s.h > s.w {
		width = 268
	}
	// The terminal starts the simulated driver from a folder of its own.
	kioskctl, err := filepath.Abs(s.prog("kioskctl"))
	simDir, err2 := filepath.Abs(s.simDir)
	if err := errors.Join(err, err2); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	text := fmt.Sprintf(`# Written by cmd/dev: a terminal with simulated hardware.
data: %s
upstream: https://%s
serial: %s
devices:
  card_reader: auto
  id_reader: %s
  scanner: %s
  sane_config: %s
  page_folder: %s
  printer: ipp://%s/ipp/print
  speech: %s
  vendor:
    - name: 灯板
      command: %s
      args: [sim, driver, --dir, %s]
keys:
  - kind: file
    path: %s
screen:
  width_mm: %d
waits:
  idle: %d
  idle_large: %d
  ask: %d
  cover: %d
min_free_mb: 50
`, s.dataDir, s.lineAddr, demoSerial, filepath.Join(s.simDir, "sdt"), "test:0", filepath.Join(s.simDir, "sane"), filepath.Join(s.dir, "pages"),
		s.printAddr, filepath.Join(s.dir, "speech"), kioskctl, simDir, filepath.Join(s.dir, "disk.key"), width, idleWait, idleWait, askWait, coverWait)
	if s.autoplay {
		// For people: the built-in waits, and a voice.
		text = strings.Replace(text, "speech: "+filepath.Join(s.dir, "speech"), "speech: auto", 1)
		text, _, _ = strings.Cut(text, "waits:")
		text += "min_free_mb: 50\n"
	}
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}

// startKiosk starts the terminal on the display.
func (s *stage) startKiosk(ctx context.Context) error {
	argv := []string{s.prog("kiosk"), "--config", s.config, "--automation"}
	if s.window != "" {
		argv = append(argv, "--window", s.window)
	}
	env := []string{"DISPLAY=" + s.display, "FYNE_SCALE=1", "TMPDIR=" + s.tmpDir}
	if s.xvfb != nil {
		env = append(env, "LIBGL_ALWAYS_SOFTWARE=1", "WAYLAND_DISPLAY=")
	}
	p, err := start(ctx, s.logDir, "kiosk", "", 0, env, argv...)
	if err != nil {
		return err
	}
	s.kiosk = p
	return nil
}

// startPanel opens the window of the simulated hardware on the display.
func (s *stage) startPanel(ctx context.Context) (*process, error) {
	p, err := start(ctx, s.logDir, "panel", "", 0, []string{"DISPLAY=" + s.display, "TMPDIR=" + s.tmpDir},
		s.prog("kiosk"), "panel", "--sim", filepath.Join(s.simDir, "control.sock"))
	if err == nil {
		s.procs = append(s.procs, p)
	}
	return p, err
}

// stopKiosk stops the terminal as a technician does; not stopping cleanly is an
// error.
func (s *stage) stopKiosk(ctx context.Context) error {
	if s.kiosk == nil || !s.kiosk.running() {
		return errors.New("the terminal had ended by itself\n" + tail(filepath.Join(s.logDir, "kiosk.log"), 15))
	}
	if _, err := output(ctx, nil, s.prog("kioskctl"), "stop", "--config", s.config); err != nil {
		return err
	}
	err := s.kiosk.wait(stopWait)
	s.kiosk.kill()
	if err != nil {
		return fmt.Errorf("the terminal did not stop cleanly: %w\n%s", err, tail(filepath.Join(s.logDir, "kiosk.log"), 15))
	}
	return nil
}

// enrolCode makes a one-time code for the terminal.
func (s *stage) enrolCode(ctx context.Context) (string, error) {
	out, err := s.county(ctx, "enrol-code", "--serial", demoSerial, "--region", demoRegion, "--village", demoVillage, "--name", demoName, "--demo", "--json")
	if err != nil {
		return "", err
	}
	var a struct{ Code string }
	if err := json.Unmarshal(out, &a); err != nil || a.Code == "" {
		return "", fmt.Errorf("enrol-code answered %q: %w", out, err)
	}
	return a.Code, nil
}

// strike ends everything that the stage started, last first.
func (s *stage) strike() {
	if s.kiosk != nil {
		s.kiosk.stop()
	}
	for i := len(s.procs) - 1; i >= 0; i-- {
		s.procs[i].stop()
	}
	s.procs = nil
}

// pss is the memory of a program and its children in bytes, shared pages divided
// among those that share them.
func pss(pid int) int64 {
	total := int64(0)
	for _, p := range append(children(pid), pid) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
				kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
				if err == nil {
					total += kb << 10
				}
			}
		}
	}
	return total
}

// children are all processes below pid.
func children(pid int) []int {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil
	}
	var out []int
	for _, t := range tasks {
		b, err := os.ReadFile(t)
		if err != nil {
			continue
		}
		for _, f := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(f); err == nil {
				out = append(append(out, n), children(n)...)
			}
		}
	}
	return out
}
