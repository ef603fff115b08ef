package vault

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/vault/keys"
)

// envKillDir makes the test binary a terminal that works until it is killed.
// envKillLies makes it say "saved" before it saves: a control under which
// TestKill must fail.
const (
	envKillDir  = "CUNBAN_KILL_DIR"
	envKillLies = "CUNBAN_KILL_LIES"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(envKillDir); dir != "" {
		if err := workUntilKilled(dir, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func killOptions(dir string) Options {
	return Options{Dir: dir, Keys: []keys.Source{newMemKey()}, Version: "test"}
}

// workUntilKilled submits and acknowledges and writes a line for each promise
// after it was given.
func workUntilKilled(dir string, out io.Writer) error {
	ctx := context.Background()
	v, err := Open(ctx, killOptions(dir))
	if err != nil {
		return err
	}
	b := newDrafts(v)
	for {
		d, err := b.next()
		if err != nil {
			return err
		}
		if os.Getenv(envKillLies) != "" {
			if _, err := fmt.Fprintln(out, "saved", d.ID); err != nil {
				return err
			}
		}
		c, err := b.desk.Submit(ctx, d)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, "saved", c.ID); err != nil {
			return err
		}
		its, err := v.Lease(ctx, time.Now(), time.Minute, 1)
		if err != nil {
			return err
		}
		for _, it := range its {
			if _, err := v.Acknowledge(ctx, it.CaseID, it.Revision, it.Lease, "N-"+it.CaseID[:8], time.Now(), ""); err != nil {
				return err
			}
			if _, err := fmt.Fprintln(out, "accepted", it.CaseID); err != nil {
				return err
			}
		}
	}
}

// TestKill kills a real process again and again (SIGKILL) and looks whether
// what it had said is true. CUNBAN_KILLS sets how often.
func TestKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vault")
	said := map[string]cases.State{}
	kills := cutsFromEnv(t, "CUNBAN_KILLS", 20)
	total := 0
	for kill := range kills {
		total += killOnce(t, dir, said, 1+rand.IntN(30))
		v, err := Open(context.Background(), killOptions(dir))
		if err != nil {
			t.Fatalf("kill %d: %v", kill, err)
		}
		for id, state := range said {
			c, err := v.Case(context.Background(), id)
			if err != nil || c.State != state && !(state == cases.Saved && c.State == cases.Accepted) {
				t.Errorf("kill %d: case %s was said to be %s: %+v, %v", kill, id, state, c.State, err)
			}
			said[id] = c.State
		}
		if _, err := v.LogVerify(context.Background(), nil); err != nil || len(v.Incidents()) > 0 {
			t.Errorf("kill %d: %v, incidents %v", kill, err, v.Incidents())
		}
		if audit, err := v.audit(context.Background(), ""); err != nil || !audit.Agrees() {
			t.Errorf("kill %d: %s, %v", kill, audit.Detail(), err)
		}
		must(t, v.Close(context.Background()))
		if t.Failed() {
			return
		}
	}
	if total < kills {
		t.Fatalf("only %d promises in %d runs", total, kills)
	}
}

// killOnce runs the program until it made some promises, and kills it.
func killOnce(t *testing.T, dir string, said map[string]cases.State, after int) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envKillDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	n := 0
	for sc := bufio.NewScanner(out); sc.Scan(); { // to the end: what was said before the kill counts
		what, id, ok := strings.Cut(sc.Text(), " ")
		if !ok {
			t.Fatalf("the program said %q", sc.Text())
		}
		said[id] = cases.State(what)
		if n++; n == after {
			must(t, cmd.Process.Kill())
		}
	}
	if err := cmd.Wait(); err == nil || n < after {
		t.Fatalf("the program ended by itself after %d lines: %v", n, err)
	}
	return n
}
