package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"cunban/device/sim"
	"cunban/kiosk/app"
	"cunban/kiosk/app/control"
	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/resident"
	"cunban/kiosk/seal"
	"cunban/kiosk/vault"
	"cunban/kiosk/vault/keys"
	"cunban/kiosk/vault/keys/tpmtest"
	"cunban/sync"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kioskctl": main, "careless": careless})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Condition: func(cond string) (bool, error) {
			if cond != "swtpm" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			_, err := exec.LookPath("swtpm")
			return err == nil || os.Getenv("CUNBAN_CI") == "1", nil // there it must be
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"terminal": terminal,
			"running":  running,
			"replace":  replace,
			"exitcode": exitcode,
			"holds":    holds,
			"simready": simready,
			"spoil":    spoil,
			"chip":     chip,
			"opened":   opened,
		},
	})
}

// terminal DIR makes the data of a terminal that was stopped: a configuration
// DIR/kiosk.yaml, a vault with one case that waits, and its log.
func terminal(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(os.WriteFile(filepath.Join(dir, "kiosk.yaml"), []byte("data: data\nkeys:\n  - kind: file\n    path: disk.key\n"), 0o600))
	ts.Check(fill(filepath.Join(dir, "data", "vault"), filepath.Join(dir, "disk.key")))
}

func fill(dir, key string) (err error) {
	ctx := context.Background()
	v, err := vault.Open(ctx, vault.Options{Dir: dir, Keys: []keys.Source{keys.File{Path: key, Rand: rand.Reader}}, Version: "test", MinFree: 1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close(ctx)) }()
	county, err := seal.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	if err := v.Put(ctx, sync.KeySeal, county.Public().PEM()); err != nil {
		return err
	}
	pem, err := county.PEM()
	if err != nil {
		return err
	}
	if err := os.WriteFile(key+".county-seal.pem", pem, 0o600); err != nil {
		return err
	}
	if _, err := v.Record(ctx, oplog.Entry{Event: oplog.TerminalStart, Role: oplog.RoleSystem}); err != nil {
		return err
	}
	number, err := resident.ParseIDNumber("140830195603120024") // made up, see the design texts
	if err != nil {
		return err
	}
	id, err := cases.NewID(rand.Reader)
	if err != nil {
		return err
	}
	_, err = cases.Desk{Store: v, CountyKey: county.Public(), Rand: rand.Reader, Now: time.Now}.Submit(ctx, cases.Draft{
		ID: id, Revision: 1, Service: "S01", ServiceName: "城乡居民养老保险参保登记", Catalogue: "2026.11.1", LimitDays: 3,
		Claim:   resident.Claim{Source: resident.FromSocialCard, Number: number, Name: resident.NewName("张桂兰")},
		Answers: []byte(`{}`), Signature: []byte("png"), Region: "140830100008", Village: "东关社区", StartedAt: time.Now(),
		Mode: cases.ModeSelf, Actor: cases.Actor{Role: cases.RoleResident, Demo: true}})
	return err
}

// running DIR answers at DIR's control socket until the script ends, as a
// running terminal does.
func running(ts *testscript.TestScript, _ bool, args []string) {
	data := filepath.Join(ts.MkAbs(args[0]), "data")
	ts.Check(os.MkdirAll(data, 0o700))
	stop, err := control.Serve(context.Background(), control.Path(data), func(_ context.Context, r control.Request) (any, error) {
		switch r.Do {
		case "queue":
			return app.QueueAnswer{Counts: cases.Counts{Total: 7, Done: 4, Waiting: 3}, Items: []app.QueueItem{}}, nil
		case "quit":
			return "stopping", nil
		}
		return nil, fmt.Errorf("it would not say")
	})
	ts.Check(err)
	ts.Defer(stop)
}

// opened DIR keeps DIR's vault open until the script ends, as a running terminal
// does.
func opened(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	v, err := vault.Open(context.Background(), vault.Options{Dir: filepath.Join(dir, "data", "vault"),
		Keys: []keys.Source{keys.File{Path: filepath.Join(dir, "disk.key")}}, Version: "test", MinFree: 1})
	ts.Check(err)
	ts.Defer(func() { ts.Check(v.Close(context.Background())) })
}

// chip FILE starts a software TPM until the script ends and puts its socket where
// the file says CHIP. Without swtpm the script is skipped, in CI it fails.
func chip(ts *testscript.TestScript, _ bool, args []string) {
	dir, err := os.MkdirTemp("", "cunban-tpm")
	ts.Check(err)
	ts.Defer(func() { _ = os.RemoveAll(dir) })
	socket, stop, err := tpmtest.Start(dir)
	ts.Check(err)
	ts.Defer(stop)
	replace(ts, false, []string{args[0], "CHIP", socket})
}

// replace FILE OLD NEW changes the first OLD in a file; it must be there.
func replace(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, args[1], args[2], 1)), 0o600))
}

// exitcode N COMMAND… runs kioskctl in this process and checks its exit code;
// its output goes to the files out and err.
func exitcode(ts *testscript.TestScript, _ bool, args []string) {
	var out, errs strings.Builder
	words := append([]string(nil), args[2:]...)
	for i, w := range words {
		// Names of files are those of the script's folder.
		if strings.HasPrefix(w, "./") {
			words[i] = ts.MkAbs(w)
		}
	}
	code := run(context.Background(), words, &out, &errs)
	ts.Check(os.WriteFile(ts.MkAbs("out"), []byte(out.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("err"), []byte(errs.String()), 0o600))
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("kioskctl %v: exit code %d, want %s\n%s%s", words, code, args[0], out.String(), errs.String())
	}
}

// spoil FILE N overwrites the sector N (of 4,096 bytes, from 0) of a file.
func spoil(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR, 0)
	ts.Check(err)
	_, err = f.WriteAt(make([]byte, 4096), n*4096)
	ts.Check(errors.Join(err, f.Close()))
}

// holds DIR NAME… checks that a folder holds exactly these names; ! and no
// names: that it is not there.
func holds(ts *testscript.TestScript, neg bool, args []string) {
	list, err := os.ReadDir(ts.MkAbs(args[0]))
	if neg {
		if !errors.Is(err, os.ErrNotExist) {
			ts.Fatalf("%s is there", args[0])
		}
		return
	}
	ts.Check(err)
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	if got, want := strings.Join(names, " "), strings.Join(args[1:], " "); got != want {
		ts.Fatalf("%s holds %s, want %s", args[0], got, want)
	}
}

// simready DIR waits until the simulator of a folder answers.
func simready(ts *testscript.TestScript, _ bool, args []string) {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	limit := time.After(30 * time.Second)
	for {
		c, err := sim.Dial(sim.SocketPath(ts.MkAbs(args[0])))
		if err == nil {
			ts.Check(c.Close())
			return
		}
		select {
		case <-look.C:
		case <-limit:
			ts.Fatalf("no simulator: %v", err)
		}
	}
}
