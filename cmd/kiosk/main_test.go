package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"cunban/kiosk/vault"
	"cunban/kiosk/vault/keys"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kiosk": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:       "testdata",
		Setup:     func(e *testscript.Env) error { e.Setenv("DISPLAY", ""); e.Setenv("WAYLAND_DISPLAY", ""); return nil },
		Condition: canDisplay,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"display":  display,
			"owned":    owned,
			"exitcode": exitcode,
		},
	})
}

// canDisplay answers the condition [screen]: what display needs is installed. In
// CI it always holds, so that a missing program is a failure there.
func canDisplay(cond string) (bool, error) {
	if cond != "screen" {
		return false, fmt.Errorf("unknown condition %q", cond)
	}
	if os.Getenv("CUNBAN_CI") == "1" {
		return true, nil
	}
	_, err1 := exec.LookPath("Xvfb")
	_, err2 := exec.LookPath("xdotool")
	return err1 == nil && err2 == nil, nil
}

// display starts a screen of the script's own and sets DISPLAY.
func display(ts *testscript.TestScript, _ bool, _ []string) {
	r, w, err := os.Pipe()
	ts.Check(err)
	cmd := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "1600x900x24", "-nolisten", "tcp")
	cmd.ExtraFiles = []*os.File{w}
	ts.Check(cmd.Start())
	ts.Defer(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	ts.Check(w.Close())
	n, err := bufio.NewReader(r).ReadString('\n')
	ts.Check(err)
	go func() { _, _ = io.Copy(io.Discard, r) }() // until Xvfb ends
	ts.Setenv("DISPLAY", ":"+strings.TrimSpace(n))
	ts.Setenv("LIBGL_ALWAYS_SOFTWARE", "1")
}

// owned DIR KEY opens a vault and holds it until the script ends: another
// program that runs.
func owned(ts *testscript.TestScript, _ bool, args []string) {
	v, err := vault.Open(context.Background(), vault.Options{Dir: ts.MkAbs(args[0]),
		Keys: []keys.Source{keys.File{Path: ts.MkAbs(args[1]), Rand: rand.Reader}}, Version: "test"})
	ts.Check(err)
	ts.Defer(func() { ts.Check(v.Close(context.Background())) })
}

// exitcode N WINDOW ARG… runs kiosk and checks its exit code; out and err get
// what it wrote. With a WINDOW ("-" for none) it waits until a window with that
// title is there and asks the program to end.
func exitcode(ts *testscript.TestScript, _ bool, args []string) {
	words := append([]string(nil), args[2:]...)
	for i, w := range words {
		if strings.HasPrefix(w, "./") {
			words[i] = ts.MkAbs(w)
		}
	}
	exe, err := exec.LookPath("kiosk") // put there by testscript.Main
	ts.Check(err)
	var out, errs strings.Builder
	cmd := exec.Command(exe, words...)
	cmd.Env = append(os.Environ(), "HOME="+ts.MkAbs("."))
	for _, k := range []string{"DISPLAY", "WAYLAND_DISPLAY", "LIBGL_ALWAYS_SOFTWARE"} {
		cmd.Env = append(cmd.Env, k+"="+ts.Getenv(k))
	}
	cmd.Stdout, cmd.Stderr = &out, &errs
	ts.Check(cmd.Start())
	if args[1] != "-" {
		look := exec.Command("xdotool", "search", "--sync", "--onlyvisible", "--name", args[1])
		look.Env = cmd.Env
		if b, err := look.CombinedOutput(); err != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			ts.Fatalf("no window: %v %s\n%s", err, b, errs.String())
		}
		ts.Check(cmd.Process.Signal(os.Interrupt))
	}
	_ = cmd.Wait() // the code is looked at
	ts.Check(os.WriteFile(ts.MkAbs("out"), []byte(out.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("err"), []byte(errs.String()), 0o600))
	if code := fmt.Sprint(cmd.ProcessState.ExitCode()); code != args[0] {
		ts.Fatalf("kiosk %v: exit code %s, want %s\n%s%s", words, code, args[0], out.String(), errs.String())
	}
}
