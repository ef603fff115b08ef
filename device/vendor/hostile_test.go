package vendor_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"cunban/device/sim"
)

// hostileArg makes this test's program a driver: hostileArg, folder, mode, and
// "always" where it never behaves.
const hostileArg = "hostile-driver"

// simArg makes it the simulator's driver: simArg, control socket.
const simArg = "simulated-driver"

func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == hostileArg {
		hostile(os.Args[2], os.Args[3], len(os.Args) > 4)
		return
	}
	if len(os.Args) == 3 && os.Args[1] == simArg {
		if err := sim.ServeVendor(context.Background(), os.Stdin, os.Stdout, os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// hostile is a driver that misbehaves in its first life, and behaves in later
// ones. It notes its lives and lamps in dir.
func hostile(dir, mode string, always bool) {
	lives, _ := os.ReadFile(filepath.Join(dir, "lives"))
	if len(lives) > 0 && !always {
		mode = "good"
	}
	_ = os.WriteFile(filepath.Join(dir, "lives"), append(lives, '+'), 0o600)
	_ = os.WriteFile(filepath.Join(dir, "env"), []byte(strings.Join(os.Environ(), "\n")), 0o600)
	say := func(format string, a ...any) { fmt.Printf(format+"\n", a...) }
	stay := func() { select {} }
	switch mode {
	case "crash at hello":
		os.Exit(3)
	case "hang at hello":
		signal.Ignore(syscall.SIGTERM)
		signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1) // keeps the runtime from calling it a deadlock
		stay()
	case "event before hello":
		say(`{"type":"event","id":1,"event":"x"}`)
	case "flood on stderr":
		for {
			fmt.Fprintln(os.Stderr, strings.Repeat("x", 4000))
		}
	case "over-long line":
		fmt.Print(strings.Repeat("x", 3<<20))
	case "no JSON":
		say("Segmentation fault?")
	case "no UTF-8":
		say("{\"type\":\"hello\",\"version\":1,\"name\":\"\xff\"}")
	case "health before hello":
		say(`{"type":"health","state":"ready"}`)
	case "other version":
		say(`{"type":"hello","version":2,"name":"新"}`)
	case "rubbish on stderr":
		fmt.Fprint(os.Stderr, "\x00\x1b[31m 王小明 140830195603120024 pin=314159 ", strings.Repeat("QUJD", 20), " oops\n")
		os.Exit(1)
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var o struct {
			Type, Do string
			ID       uint64
			Args     struct{ On []string }
		}
		_ = json.Unmarshal(in.Bytes(), &o)
		switch {
		case o.Type == "hello":
			say(`{"type":"hello","version":1,"name":"坏脾气","can":["lights.set"]}`)
			if mode == "flapping health" {
				for i := range 100 {
					say(`{"type":"health","state":%q}`, []string{"ready", "absent"}[i%2])
				}
			}
		case o.Do == "health.check" && mode == "check fails":
			mode = "good"
			say(`{"type":"reply","id":%d,"ok":false,"error":"device"}`, o.ID)
		case o.Type == "bye" && mode != "ignores bye and SIGTERM":
			return
		case o.Do == "lights.set":
			_ = os.WriteFile(filepath.Join(dir, "lamps"), []byte(strings.Join(o.Args.On, ",")), 0o600)
			misbehave(dir, mode, o.ID)
			say(`{"type":"reply","id":%d,"ok":true}`, o.ID)
		case o.Type == "request":
			say(`{"type":"reply","id":%d,"ok":true}`, o.ID)
		}
	}
	if mode == "ignores bye and SIGTERM" {
		signal.Ignore(syscall.SIGTERM)
		signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1)
		stay()
	}
}

// misbehave is what happens in the middle of a request.
func misbehave(dir, mode string, id uint64) {
	switch mode {
	case "crash in a request":
		panic("as makers' libraries do")
	case "hang in a request":
		signal.Ignore(syscall.SIGTERM)
		signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1)
		select {}
	case "reply to another request":
		fmt.Printf("{\"type\":\"reply\",\"id\":%d,\"ok\":true}\n", id+7)
	case "flood in a request":
		for {
			fmt.Printf("{\"type\":\"event\",\"id\":%d,\"event\":\"x\"}\n", id)
		}
	case "two replies":
		fmt.Printf("{\"type\":\"reply\",\"id\":%d,\"ok\":true}\n", id)
	case "leaves children":
		c := exec.Command("/bin/sleep", "300")
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		_ = c.Start()
		_ = os.WriteFile(filepath.Join(dir, "child"), []byte(fmt.Sprint(c.Process.Pid)), 0o600)
		os.Exit(4)
	case "bye":
		fmt.Println(`{"type":"bye"}`)
		os.Exit(0)
	}
}
