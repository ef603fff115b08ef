// Command kioskctl is the technician's command line for a terminal: it asks the
// running program through its socket, reads the vault itself when none runs,
// and moves the simulated hardware.
//
//	kioskctl status  [--config FILE] [--json]
//	kioskctl queue   [--config FILE] [--json]
//	kioskctl devices [--config FILE] [--json]
//	kioskctl doctor  [--config FILE] [--json]
//	kioskctl log verify [--config FILE] [--json]
//	kioskctl log verify --file EXPORT --key PEM [--county PEM] [--seal-key PEM] [--json]
//	kioskctl log export [--config FILE] [--out FILE] [--json]   FILE must not be there
//	kioskctl log query [--from TIME] [--to TIME] [--case NUMBER] [--account NUMBER] [--service ID] [--device KIND]
//	         [--event ID] [--outcome OUTCOME] [--role ROLE] [--limit N] [--before N] [--look N]
//	         [--file EXPORT] [--json | --csv]
//	kioskctl receipt verify --terminal-key PEM [--county-key PEM] [--case NUMBER] [--text TEXT | --file FILE] [--json]
//	kioskctl enrol   --code CODE [--config FILE] [--json]
//	kioskctl vault key    [--config FILE] [--json]
//	kioskctl vault rotate --to KIND[=PATH] [--config FILE] [--json]   terminal stopped
//	kioskctl vault rekey  [--discard-damaged] [--config FILE] [--json]   terminal stopped
//	kioskctl vault backup --out FILE [--config FILE] [--json]   terminal stopped
//	kioskctl vault salvage [--config FILE] [--json]
//	kioskctl stop    [--config FILE]
//	kioskctl sim serve --dir DIR …
//	kioskctl sim VERB [ARG] --dir DIR
//
// Exit codes: 0 all well, 1 something failed or the log is not whole, 2 wrong
// command line or configuration, 3 no terminal runs and the question needs one.
// For receipt verify also: 4 the text is not whole, 5 it is no receipt or one of
// another version, 6 another key signed it, 7 what it says was not signed, 8 it
// is of another case.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"cunban/kiosk/app"
	"cunban/kiosk/app/config"
	"cunban/kiosk/app/control"
	"cunban/kiosk/ui"
	"cunban/kiosk/vault/keys"
	"cunban/sync/wire"
)

// version is set by the build: -ldflags "-X main.version=…".
var version = "dev"

// Exit codes.
const (
	exitOK         = 0
	exitFailed     = 1
	exitUsage      = 2
	exitNotRunning = 3

	exitHelp = -1 // inside only: help was asked for and given; 0 outside
)

func main() {
	// The vault may be opened here, and its key be in this memory.
	if err := keys.DisableCoreDumps(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		fmt.Fprintln(os.Stderr, "kioskctl:", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const usage = `usage: kioskctl COMMAND [flags]

  status        how the terminal is: identity, line, queue, log, vault
  queue         cases that are not settled yet
  devices       state, cause and remedy of every device
  doctor        look over this machine: services, rights, clock, disk, network
  log verify    check the operation log (live, or an exported file)
  log export    write the operation log to a file
  log query     look into the operation log: by time, case, account, service, device, outcome
  receipt verify  check the code of a paper receipt with public keys alone
  enrol         enrol the running terminal with the county's one-time code
  vault key     where the disk key comes from, and what that protects against
  vault rotate  take another source for the disk key (--to KIND)
  vault rekey   write the whole database anew under a new data key
  vault backup  write the disk key to a file (--out FILE)
  vault salvage queue what a damaged, set aside vault still holds for the county
  stop          stop the terminal cleanly
  sim           simulated hardware (kioskctl sim help)

Flags: --config FILE (default /etc/cunban/kiosk.yaml), --json
`

func run(ctx context.Context, args []string, out, errs io.Writer) int {
	return max(dispatch(ctx, args, out, errs), exitOK)
}

func dispatch(ctx context.Context, args []string, out, errs io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(errs, usage)
		return exitUsage
	}
	c := &command{ctx: ctx, out: out, errs: errs}
	switch args[0] {
	case "status":
		return c.ask(args[1:], "status", c.status)
	case "queue":
		return c.ask(args[1:], "queue", c.queue)
	case "devices":
		return c.ask(args[1:], "devices", c.devices)
	case "doctor":
		return c.doctor(args[1:])
	case "enrol":
		return c.enrol(args[1:])
	case "stop":
		return c.ask(args[1:], "quit", func(json.RawMessage) int { fmt.Fprintln(out, "stopping"); return exitOK })
	case "log":
		if len(args) > 1 {
			switch args[1] {
			case "verify":
				return c.logVerify(args[2:])
			case "export":
				return c.logExport(args[2:])
			case "query":
				return c.logQuery(args[2:])
			}
		}
	case "vault":
		return c.vault(args[1:])
	case "receipt":
		if len(args) > 1 && args[1] == "verify" {
			return c.receiptVerify(args[2:], os.Stdin)
		}
	case "sim":
		return simulate(ctx, args[1:], out, errs)
	case "version":
		fmt.Fprintln(out, version)
		return exitOK
	case "help", "-h", "--help":
		fmt.Fprint(out, usage)
		return exitOK
	}
	fmt.Fprintf(errs, "kioskctl: unknown command\n%s", usage)
	return exitUsage
}

// command is one call.
type command struct {
	ctx       context.Context
	out, errs io.Writer
	json      bool
	config    string
	cfg       config.Config
}

// flags parses the common flags and reads the configuration.
func (c *command) flags(name string, args []string, more func(*flag.FlagSet)) int {
	fs := flag.NewFlagSet("kioskctl "+name, flag.ContinueOnError)
	fs.SetOutput(c.errs)
	fs.StringVar(&c.config, "config", "/etc/cunban/kiosk.yaml", "configuration file of the terminal")
	fs.BoolVar(&c.json, "json", false, "JSON on standard output")
	if more != nil {
		more(fs)
	}
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitHelp
	} else if err != nil {
		return exitUsage
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(c.errs, "kioskctl %s: unexpected %q\n", name, fs.Arg(0))
		return exitUsage
	}
	return exitOK
}

func (c *command) load() int {
	cfg, err := config.Load(c.config)
	if err != nil {
		fmt.Fprintln(c.errs, err)
		return exitUsage
	}
	c.cfg = cfg
	return exitOK
}

// ask puts a question to the running terminal; when none runs, the vault is
// opened here for those questions that it alone can answer.
func (c *command) ask(args []string, do string, show func(json.RawMessage) int) int {
	if code := c.flags(do, args, nil); code != exitOK {
		return code
	}
	if code := c.load(); code != exitOK {
		return code
	}
	raw, err := c.question(do)
	if err != nil {
		return c.fail(err)
	}
	if c.json {
		return c.print(raw)
	}
	return show(raw)
}

// enrol enrols the running terminal as its page does; it waits as long as a
// person at the county takes to say yes.
func (c *command) enrol(args []string) int {
	var code string
	if n := c.flags("enrol", args, func(fs *flag.FlagSet) {
		fs.StringVar(&code, "code", "", "the county's one-time code, 20 characters")
	}); n != exitOK {
		return n
	}
	if n := c.load(); n != exitOK {
		return n
	}
	var id wire.Identity
	if err := control.Call(c.ctx, control.Path(c.cfg.Data), "enrol", map[string]string{"code": code}, &id); err != nil {
		return c.fail(err)
	}
	if c.json {
		return c.print(id)
	}
	fmt.Fprintln(c.out, id.ID)
	return exitOK
}

// question asks the running terminal, or the vault itself when none runs.
func (c *command) question(do string) (json.RawMessage, error) {
	var raw json.RawMessage
	err := control.Call(c.ctx, control.Path(c.cfg.Data), do, nil, &raw)
	if errors.Is(err, control.ErrNotRunning) && do != "quit" {
		return app.Offline(c.ctx, c.cfg, version, do)
	}
	return raw, err
}

// fail says what went wrong: plain words and what to do where there are any,
// then the cause.
func (c *command) fail(err error) int {
	var t *ui.Trouble
	if errors.As(err, &t) {
		fmt.Fprintf(c.errs, "%s：%s。%s。\n", t.Code, t.Text, strings.TrimSuffix(t.Remedy, "。"))
	}
	fmt.Fprintln(c.errs, "kioskctl:", err)
	if errors.Is(err, control.ErrNotRunning) {
		return exitNotRunning
	}
	return exitFailed
}

// print writes indented JSON.
func (c *command) print(v any) int {
	e := json.NewEncoder(c.out)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return c.fail(err)
	}
	return exitOK
}
