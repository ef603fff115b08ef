// Command dev is what a person with Go and a Debian machine types: it shows the
// terminal, tests everything, measures, and proves promises.
//
//	go run ./cmd/dev run       the whole thing on this machine, played by itself without a display
//	go run ./cmd/dev test      everything that CI runs
//	go run ./cmd/dev bench     figures beside those of a rival in the same run
//	go run ./cmd/dev promises  what is promised, measured, each with a control that must fail
//	go run ./cmd/dev vault     a vault such as a terminal has after years
//
// It uses the standard library only, so that it builds before anything is
// installed, and talks to the programs through their command lines and sockets
// like everybody else. Whatever it starts, it stops.
//
// Exit codes: 0 all well, 1 something failed, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
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

const usage = `usage: go run ./cmd/dev COMMAND [flags]

  run        build and show the terminal with simulated hardware and a county
  test       install what tests need and run everything that CI runs
  bench      measure, each figure beside a rival's
  promises   measure what is promised, each with a control that must fail
  vault      make a vault such as a terminal has after years

go run ./cmd/dev COMMAND -h lists the flags of a command.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(dispatch(ctx, os.Args[1:]))
}

func dispatch(ctx context.Context, args []string) int {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return exitUsage
	}
	var err error
	switch args[0] {
	case "run":
		err = runCmd(ctx, args[1:])
	case "test":
		err = testCmd(ctx, args[1:])
	case "bench":
		err = benchCmd(ctx, args[1:])
	case "promises":
		err = promisesCmd(ctx, args[1:])
	case "vault":
		err = vaultCmd(ctx, args[1:])
	case "help", "-h", "--help":
		fmt.Print(usage)
		return exitOK
	default:
		fmt.Fprintf(os.Stderr, "dev: no command %q\n%s", args[0], usage)
		return exitUsage
	}
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		return exitUsage
	}
	fmt.Fprintln(os.Stderr, "dev:", err)
	return exitFailed
}

// parse parses flags that take no further words.
func parse(fs *flag.FlagSet, args []string) error {
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "dev %s: unexpected %q\n", fs.Name(), fs.Arg(0))
		return errUsage
	}
	return nil
}

// moduleRoot finds the folder of go.mod, from where everything is built.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the source: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("find the source: no go.mod here or above")
		}
		dir = up
	}
}
