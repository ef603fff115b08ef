package app

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"cunban/kiosk/app/config"
	"cunban/kiosk/cases"
	"cunban/kiosk/form"
	"cunban/kiosk/paper/renderworker"
	"cunban/kiosk/ui"
	"cunban/sync/upstream"
)

// Environment that makes the test binary a terminal which works until it is
// killed.
const (
	envKillDir = "CUNBAN_APP_KILL_DIR"
	envKillUp  = "CUNBAN_APP_KILL_UPSTREAM"
	// envKills sets how often TestKill kills.
	envKills = "CUNBAN_KILLS"
)

// renderArg makes the test binary the PDF worker.
const renderArg = "render"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == renderArg {
		os.Exit(renderworker.Main(os.Stdin, os.Stdout, os.Stderr))
	}
	if dir := os.Getenv(envKillDir); dir != "" {
		if err := workUntilKilled(dir, os.Getenv(envKillUp), os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// killConfig is the terminal of the parent and of every child.
func killConfig(dir, up string) Options {
	c := config.Default()
	c.Data, c.Upstream, c.Serial = dir+"/data", up, "SN-1"
	c.Devices = config.Devices{CardReader: "off", IDReader: "off", Scanner: "off", Printer: "off", Speech: "off"}
	c.Keys = []config.Key{{Kind: "file", Path: dir + "/disk.key"}}
	c.MinFreeMB = 1
	return Options{Config: c, Version: "test"}
}

// workUntilKilled is a terminal at which one case after the other is submitted,
// with a scan, while the engine sends them. What the screen would say is
// written to out.
func workUntilKilled(dir, up string, out io.Writer) error {
	ctx := context.Background()
	a, err := New(ctx, killConfig(dir, up))
	if err != nil {
		return err
	}
	a.start()
	claim, err := cardClaim(zhangCard(), time.Now(), true)
	if err != nil {
		return err
	}
	now := a.Now().In(ui.Beijing)
	svc := a.Catalogue().Service("S01")
	f := form.New(svc, a.Catalogue(), form.Context{Today: time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC),
		Region: a.Point().Region, Claim: claim, Role: form.RoleResident, Divisions: a.Divisions()}, false)
	if err := form.FillSample(f); err != nil {
		return err
	}
	answers, err := f.JSON()
	if err != nil {
		return err
	}
	for {
		id, err := a.NewCaseID()
		if err != nil {
			return err
		}
		p := a.Point()
		c, err := a.Submit(ctx, cases.Draft{ID: id, Revision: 1, Service: svc.ID, ServiceName: svc.Name, Catalogue: a.Catalogue().Version,
			LimitDays: svc.LimitDays, Claim: claim, Answers: answers, Signature: []byte("png"), Region: p.Region, Village: p.Village,
			StartedAt: a.Now(), Mode: cases.ModeSelf, Confirmed: true, Actor: cases.Actor{Role: cases.RoleResident, Demo: p.Demo},
			Scans: []cases.Scan{{Material: "户口簿", Page: 1, MIME: "image/jpeg", Data: make([]byte, 40<<10)}}})
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, "saved", c.ID); err != nil {
			return err
		}
	}
}

// TestKill kills the terminal with SIGKILL in the middle of submits and of
// sending. What it said was saved is there at the next start, and reaches the
// county once.
func TestKill(t *testing.T) {
	c := startCounty(t)
	dir, up := t.TempDir(), "https://"+c.addr
	x := boot(t, killConfig(dir, up))
	x.enrol(c, true)
	x.halt()
	kills := 8
	if s := os.Getenv(envKills); s != "" {
		var err error
		if kills, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	said := map[string]bool{}
	for range kills {
		killOnce(t, dir, up, said, 1+rand.IntN(12))
	}
	if len(said) < kills {
		t.Fatalf("%d promises in %d runs", len(said), kills)
	}
	x = boot(t, killConfig(dir, up))
	list, err := x.vault.List(t.Context(), cases.Query{Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	here := map[string]bool{}
	for _, k := range list {
		here[k.ID] = true
	}
	for id := range said {
		if !here[id] {
			t.Errorf("case %s was said to be saved and is not there", id)
		}
	}
	for id := range here {
		x.await("the number of "+id, func() bool { return x.state(id) == cases.Accepted })
	}
	county, err := c.Cases(t.Context(), upstream.CaseQuery{})
	if err != nil || len(county) != len(here) {
		t.Errorf("the county has %d cases, the terminal %d: %v", len(county), len(here), err)
	}
	for _, k := range county {
		if !here[k.ID] {
			t.Errorf("the county has case %s, the terminal has not", k.ID)
		}
	}
	if k, err := x.VerifyLog(t.Context(), nil); err != nil || !k.OK {
		t.Errorf("log: %+v %v", k, err)
	}
	if in := x.vault.Incidents(); len(in) > 0 {
		t.Errorf("incidents %+v", in)
	}
	t.Logf("%d kills, %d cases said to be saved, %d saved", kills, len(said), len(here))
}

// killOnce runs the terminal until it made some promises, and kills it.
func killOnce(t *testing.T, dir, up string, said map[string]bool, after int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envKillDir+"="+dir, envKillUp+"="+up)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for sc := bufio.NewScanner(out); sc.Scan(); { // to the end: what was said before the kill counts
		id, ok := strings.CutPrefix(sc.Text(), "saved ")
		if !ok {
			t.Fatalf("the program said %q", sc.Text())
		}
		said[id] = true
		if n++; n == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || n < after {
		t.Fatalf("the program ended by itself after %d lines: %v", n, err)
	}
}
