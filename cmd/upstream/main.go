// Command upstream is the county gateway: it serves terminals and the county's
// staff, and does from the command line what the staff page does by hand.
//
// Exit codes: 0 done, 1 failed, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sort"
	"strings"
	"syscall"
)

// Exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

// errUsage means that the command line was wrong; the message was printed.
var errUsage = errors.New("usage")

// app is the program with its surroundings.
type app struct {
	out, err io.Writer
}

type command struct {
	usage string
	about string
	run   func(ctx context.Context, a *app, args []string) error
}

var commands = map[string]command{
	"serve": {"serve --data DIR [--listen HOST:PORT] [--admin 127.0.0.1:PORT] [--store postgres://…] [--host NAME]… [--auto-approve] [--demo] [--verbose]",
		"serve terminals and the staff page until stopped", serve},
	"enrol-code": {"enrol-code --data DIR --serial S --region CODE12 --village NAME [--name NAME] [--demo] [--json]",
		"make a one-time enrolment code for a terminal", enrolCode},
	"approve": {"approve --data DIR [--serial S] [--refuse]",
		"let waiting enrolments pass, or refuse them", approve},
	"terminals": {"terminals --data DIR [--json]", "list terminals", terminals},
	"revoke":    {"revoke --data DIR --terminal ID --reason TEXT", "switch a terminal off", revoke},
	"restore":   {"restore --data DIR --terminal ID", "switch a terminal on again", restore},
	"staff": {"staff add --data DIR --number N --name NAME [--role clerk|technician]… [--region CODE12] --pin 6DIGITS | staff suspend|cancel --data DIR --number N | staff list --data DIR [--json]",
		"accounts of staff at terminals", staff},
	"admin": {"admin add --data DIR --number N --name NAME [--role accounts|review|audit]… --password P | admin list --data DIR [--json]",
		"accounts of the county's page", admin},
	"load-samples": {"load-samples --data DIR [--json]", "publish the built-in made-up jobs, courses, notices …", loadSamples},
	"cases":        {"cases --data DIR [--state STATE] [--json]", "list cases", casesCmd},
	"show":         {"show --data DIR CASE [--json] [--clear]", "show one case; --clear only for demo cases", show},
	"start":        {"start --data DIR CASE [--note TEXT]", "begin to process a case", decide("processing")},
	"return": {"return --data DIR CASE --field F [--label L] --reason R [--note TEXT]",
		"return a case to be mended", decide("returned")},
	"finish": {"finish --data DIR CASE [--note TEXT]", "finish a case", decide("finished")},
	"refuse": {"refuse --data DIR CASE --note TEXT", "refuse a case", decide("refused")},
	"notice": {"notice --data DIR --title T --text TEXT", "publish a notice", notice},
	"log":    {"log --data DIR --terminal ID [--json]", "what is known of a terminal's operation log", logCmd},
	"key":    {"key --data DIR [--terminal ID [--log NAME]] [--json]", "public key that signs a terminal's log, or the county's that countersigns, PEM", keyCmd},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, out, errw io.Writer) int {
	a := &app{out: out, err: errw}
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		a.help()
		if len(args) == 0 {
			return exitUsage
		}
		return exitOK
	}
	c, ok := commands[args[0]]
	if !ok {
		fmt.Fprintf(errw, "upstream: no command %q\n", args[0])
		a.help()
		return exitUsage
	}
	err := c.run(ctx, a, args[1:])
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		fmt.Fprintln(errw, "usage: upstream "+c.usage)
		return exitUsage
	}
	fmt.Fprintln(errw, "upstream:", err)
	return exitFailed
}

func (a *app) help() {
	fmt.Fprintln(a.err, "upstream – the county gateway of 村办")
	names := make([]string, 0, len(commands))
	for n := range commands {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		fmt.Fprintf(a.err, "  upstream %s\n      %s\n", commands[n].usage, commands[n].about)
	}
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// flags makes a flag set with the flags that every command has.
func (a *app) flags(name string) (*flag.FlagSet, *common) {
	fs := flag.NewFlagSet("upstream "+name, flag.ContinueOnError)
	fs.SetOutput(a.err)
	c := &common{}
	fs.StringVar(&c.data, "data", "", "folder of the county's data")
	fs.StringVar(&c.store, "store", "", "postgres://… instead of SQLite in the data folder")
	fs.BoolVar(&c.json, "json", false, "answer in JSON")
	return fs, c
}

type common struct {
	data, store string
	json        bool
}

// parse reads flags that may stand before or after the other words.
func parse(fs *flag.FlagSet, c *common, args []string, words int) ([]string, error) {
	var rest []string
	for {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, errUsage
		}
		if fs.NArg() == 0 {
			break
		}
		rest = append(rest, fs.Arg(0))
		args = fs.Args()[1:]
	}
	if c.data == "" || len(rest) != words {
		return nil, errUsage
	}
	return rest, nil
}
