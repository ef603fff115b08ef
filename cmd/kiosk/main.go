// Command kiosk is the terminal: one full-screen program for residents, clerks
// and technicians.
//
//	kiosk --config FILE [--window 1600x900] [--log FILE] [--automation]
//	kiosk render            the PDF worker, started by the terminal itself
//	kiosk panel --sim DIR   the panel of the simulated hardware
//
// Exit codes: 0 stopped cleanly, 1 could not run, 2 wrong command line or
// configuration.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"cunban/kiosk/app"
	"cunban/kiosk/app/config"
	"cunban/kiosk/paper/renderworker"
	"cunban/kiosk/ui"
	"cunban/kiosk/vault/keys"
)

// version is set by the build: -ldflags "-X main.version=…".
var version = "dev"

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	if len(args) > 0 {
		switch args[0] {
		case "render":
			return renderworker.Main(os.Stdin, os.Stdout, os.Stderr)
		case "panel":
			return panel(args[1:])
		}
	}
	fs := flag.NewFlagSet("kiosk", flag.ContinueOnError)
	file := fs.String("config", "/etc/cunban/kiosk.yaml", "configuration file")
	window := fs.String("window", "", "size of a window, such as 1600x900; empty is the full screen")
	logFile := fs.String("log", "", "file for the program's own log; empty is standard error")
	automation := fs.Bool("automation", false, "tell tests what is on the screen (demonstrations only)")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "kiosk: unexpected %q\n", fs.Arg(0))
		return 2
	}
	out := io.Writer(os.Stderr)
	if *logFile != "" {
		f, err := os.OpenFile(*logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			fmt.Fprintln(os.Stderr, "kiosk:", err)
			return 1
		}
		defer func() { _ = f.Close() }()
		out = f
	}
	log := slog.New(slog.NewTextHandler(out, nil))
	if err := keys.WipeFreed(); err != nil { // does not return when it begins the program again
		log.Warn("freed memory", "err", err)
	}
	if err := keys.DisableCoreDumps(); err != nil {
		log.Warn("core dumps", "err", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	o := app.Options{Version: version, Logger: log, Window: *window, Automation: *automation}
	if exe, err := os.Executable(); err == nil {
		o.Renderer = []string{exe, "render"}
	}
	c, err := config.Load(*file)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		app.ShowConfigFault(ctx, o, *file, err)
		return 2
	}
	o.Config = c
	if err := app.Run(ctx, o); err != nil {
		log.Error("kiosk", "err", err)
		t := ui.AsTrouble(err)
		fmt.Fprintf(os.Stderr, "%s：%s。%s。\nkiosk: %v\n", t.Code, t.Text, strings.TrimSuffix(t.Remedy, "。"), err)
		return 1
	}
	return 0
}

func panel(args []string) int {
	fs := flag.NewFlagSet("kiosk panel", flag.ContinueOnError)
	socket := fs.String("sim", "", "socket of the simulator (kioskctl sim serve)")
	if err := fs.Parse(args); err != nil || *socket == "" {
		fmt.Fprintln(os.Stderr, "usage: kiosk panel --sim SOCKET")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := app.RunPanel(ctx, *socket); err != nil {
		fmt.Fprintln(os.Stderr, "kiosk panel:", err)
		return 1
	}
	return 0
}
