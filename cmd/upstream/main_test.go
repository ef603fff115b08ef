package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cunban/sync/upstream"
	"cunban/sync/wire"
)

// runCommand runs one command to its end.
func runCommand(t *testing.T, want int, args ...string) (out string) {
	t.Helper()
	var o, e bytes.Buffer
	if code := run(t.Context(), args, &o, &e); code != want {
		t.Fatalf("upstream %s: exit %d, want %d\n%s%s", strings.Join(args, " "), code, want, o.String(), e.String())
	}
	return o.String()
}

func TestCommandsWhileServing(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pr, pw := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--data", dir, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--auto-approve", "--demo"}, pw, io.Discard)
		_ = pw.Close() // never fails
	}()
	lines := bufio.NewScanner(pr)
	var seen []string
	for lines.Scan() {
		seen = append(seen, lines.Text())
		if strings.HasPrefix(lines.Text(), "staff page ") {
			break
		}
	}
	if len(seen) != 3 || !strings.Contains(seen[0], "密码") || !strings.HasPrefix(seen[1], "listening https://127.0.0.1:") {
		t.Fatalf("serve printed %q", seen)
	}
	go func() {
		for lines.Scan() { // until serve ends
		}
	}()
	var running upstream.Running
	b, err := os.ReadFile(filepath.Join(dir, upstream.RunningFile))
	if err != nil || json.Unmarshal(b, &running) != nil || "listening https://"+running.Listen != seen[1] {
		t.Errorf("running file: %s %v", b, err)
	}

	out := runCommand(t, exitOK, "enrol-code", "--data", dir, "--serial", "SN-1", "--region", "140830100008", "--village", "东关社区", "--demo")
	code, err := wire.ParseEnrolCode(out)
	if err != nil || code.Pin != running.CAPin {
		t.Errorf("code %q: %v", out, err)
	}
	runCommand(t, exitFailed, "enrol-code", "--data", dir, "--serial", "SN-1", "--region", "14083", "--village", "东关社区")
	runCommand(t, exitUsage, "enrol-code", "--serial", "SN-1")
	runCommand(t, exitOK, "staff", "add", "--data", dir, "--number", "1001", "--name", "李秀英", "--role", "clerk", "--pin", "135791", "--region", "140830100008")
	runCommand(t, exitOK, "staff", "suspend", "--data", dir, "--number", "1001")
	var staff []wire.StaffAccount
	if err := json.Unmarshal([]byte(runCommand(t, exitOK, "staff", "list", "--data", dir, "--json")), &staff); err != nil ||
		len(staff) != 1 || staff[0].Status != "suspended" || staff[0].PINHash != "" {
		t.Errorf("staff: %+v %v", staff, err)
	}
	runCommand(t, exitFailed, "staff", "suspend", "--data", dir, "--number", "1002")
	counts := map[string]int{}
	if err := json.Unmarshal([]byte(runCommand(t, exitOK, "load-samples", "--data", dir, "--json")), &counts); err != nil || counts["jobs"] == 0 {
		t.Errorf("samples: %v %v", counts, err)
	}
	for _, args := range [][]string{{"cases", "--data", dir, "--json"}, {"terminals", "--data", dir, "--json"}} {
		if got := strings.TrimSpace(runCommand(t, exitOK, args...)); got != "[]" {
			t.Errorf("%v: %s", args, got)
		}
	}
	runCommand(t, exitFailed, "show", "--data", dir, "140830-20261125-000001")
	runCommand(t, exitFailed, "cases", "--data", dir, "--state", "lost")
	runCommand(t, exitFailed, "approve", "--data", dir)
	runCommand(t, exitOK, "notice", "--data", dir, "--title", "停电", "--text", "周六停电")
	runCommand(t, exitOK, "admin", "add", "--data", dir, "--number", "2001", "--name", "赵审核", "--role", "review", "--password", "Abc12345x")
	if got := runCommand(t, exitOK, "admin", "list", "--data", dir, "--json"); strings.Contains(got, "pbkdf2") || !strings.Contains(got, "2001") {
		t.Errorf("accounts: %s", got)
	}
	runCommand(t, exitUsage, "dance")
	runCommand(t, exitUsage)
	runCommand(t, exitOK, "help")

	cancel()
	select {
	case code := <-ended:
		if code != exitOK {
			t.Errorf("serve ended with %d", code)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("serve did not end")
	}
}

func TestCalendarFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), calendarFile)
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := calendar(path); err != nil || c.Off != nil {
		t.Errorf("no file: %+v %v", c, err)
	}
	write(`{"off": ["2027-02-08"], "on": ["2027-02-14"]}`)
	if c, err := calendar(path); err != nil || !c.Off["2027-02-08"] || !c.On["2027-02-14"] {
		t.Errorf("file: %+v %v", c, err)
	}
	for _, bad := range []string{`{"off": ["8.2.2027"]}`, `{`, `[]`} {
		write(bad)
		if _, err := calendar(path); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
