package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"cunban/device/sim"
)

const simUsage = `usage:
  kioskctl sim serve --dir DIR [--pcscd] [--printer ADDR] [--receipt ADDR] [--line ADDR --target ADDR] [--cards DIR]
  kioskctl sim driver --dir DIR    (a driver for devices.vendor: lights and PIN pad of the simulator)
  kioskctl sim VERB [ARG] --dir DIR [--json]

verbs: insert CARD, remove, tear N, id-put CARD, id-lift, reader-unplug [card|id], reader-plug [card|id],
       printer-paper-out, printer-paper-in, printer-jam, receipt-set ready|low|out|cover|jam|offline,
       scanner-unplug, scanner-plug, line-down, line-up,
       vendor-unplug, vendor-plug, pin-person ok|wrong_pin|locked|mismatch|idle, state, cards
`

// simulate runs the simulator or moves a running one.
func simulate(ctx context.Context, args []string, out, errs io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(errs, simUsage)
		return exitUsage
	}
	if args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		fmt.Fprint(out, simUsage)
		return exitOK
	}
	switch args[0] {
	case "serve":
		return simServe(ctx, args[1:], out, errs)
	case "driver":
		return simDriver(ctx, args[1:], out, errs)
	}
	verb := sim.Verb(args[0])
	if !slices.Contains(sim.Verbs, verb) {
		fmt.Fprintf(errs, "kioskctl sim: unknown verb %q\n%s", args[0], simUsage)
		return exitUsage
	}
	// The argument may stand before or after the flags.
	rest, arg := args[1:], ""
	if len(rest) > 0 && rest[0] != "" && rest[0][0] != '-' {
		arg, rest = rest[0], rest[1:]
	}
	fs := flag.NewFlagSet("kioskctl sim "+args[0], flag.ContinueOnError)
	fs.SetOutput(errs)
	dir := fs.String("dir", "", "folder of the simulator")
	asJSON := fs.Bool("json", false, "JSON on standard output")
	if err := fs.Parse(rest); errors.Is(err, flag.ErrHelp) {
		return exitHelp
	} else if err != nil {
		return exitUsage
	}
	extra := fs.Args()
	if arg == "" && len(extra) > 0 {
		arg, extra = extra[0], extra[1:]
	}
	if *dir == "" || len(extra) > 0 {
		fmt.Fprint(errs, simUsage)
		return exitUsage
	}
	req := sim.Request{Do: verb}
	switch verb {
	case sim.Insert, sim.IDPut:
		req.Card = arg
	case sim.Tear:
		n, err := strconv.Atoi(arg)
		if err != nil {
			fmt.Fprintln(errs, "kioskctl sim tear: N is the number of the command in whose middle the card leaves")
			return exitUsage
		}
		req.N = n
	case sim.ReaderUnplug, sim.ReaderPlug, sim.PINPerson, sim.ReceiptSet:
		req.Device = arg
	}
	c, err := sim.Dial(sim.SocketPath(*dir))
	if err != nil {
		fmt.Fprintln(errs, "kioskctl:", err)
		return exitNotRunning
	}
	defer func() { _ = c.Close() }()
	r, err := c.Do(ctx, req)
	if err != nil {
		fmt.Fprintln(errs, "kioskctl sim:", err)
		return exitFailed
	}
	if *asJSON || r.State != nil || r.Cards != nil {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			return exitFailed
		}
	}
	return exitOK
}

// scannerConf switches SANE's test backend on and off in a configuration
// folder: what a plugged scanner is to the program. SANE opens a backend by its
// name even when it is not listed, so that one which is unplugged also breaks
// off every scan, as a pulled plug does.
func scannerConf(dir string, plugged bool) error {
	const head = "# written by the simulator\n"
	list, how := head, head+"number_of_devices 1\n"
	if plugged {
		list += "test\n"
	} else {
		how += "read-status-code \"SANE_STATUS_IO_ERROR\"\nread-delay true\nread-delay-duration 200000\n"
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, "dll.conf"), []byte(list), 0o644),
		os.WriteFile(filepath.Join(dir, "test.conf"), []byte(how), 0o644))
}

// simDriver is a vendor driver on standard input and output.
func simDriver(ctx context.Context, args []string, out, errs io.Writer) int {
	fs := flag.NewFlagSet("kioskctl sim driver", flag.ContinueOnError)
	fs.SetOutput(errs)
	dir := fs.String("dir", "", "folder of the simulator")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitHelp
	} else if err != nil || *dir == "" || fs.NArg() > 0 {
		fmt.Fprint(errs, simUsage)
		return exitUsage
	}
	if err := sim.ServeVendor(ctx, os.Stdin, out, sim.SocketPath(*dir)); err != nil {
		fmt.Fprintln(errs, "kioskctl sim driver:", err)
		return exitFailed
	}
	return exitOK
}

func simServe(ctx context.Context, args []string, out, errs io.Writer) int {
	fs := flag.NewFlagSet("kioskctl sim serve", flag.ContinueOnError)
	fs.SetOutput(errs)
	dir := fs.String("dir", "", "folder for socket, serial line, scanner configuration (sane/) and printed PDFs (printed/)")
	cards := fs.String("cards", "", "folder with more card files")
	pcscd := fs.Bool("pcscd", false, "start pcscd with the virtual reader")
	printer := fs.String("printer", "", "address of the simulated printer, such as 127.0.0.1:8631")
	receipt := fs.String("receipt", "", "address of the simulated receipt printer, such as 127.0.0.1:9100; its receipts come out as pictures in printed/")
	listen := fs.String("line", "", "address of the line that can be cut")
	target := fs.String("target", "", "where the line leads")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitHelp
	} else if err != nil {
		return exitUsage
	}
	if fs.NArg() > 0 || *dir == "" || (*listen == "") != (*target == "") {
		fmt.Fprint(errs, simUsage)
		return exitUsage
	}
	if err := serveSim(ctx, *dir, *cards, *pcscd, *printer, *receipt, *listen, *target, out, errs); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(errs, "kioskctl sim:", err)
		return exitFailed
	}
	return exitOK
}

// serveBeside serves on ln until stop is called, which waits for the end.
func serveBeside(ctx context.Context, log *slog.Logger, what string, ln net.Listener, serve func(context.Context, net.Listener) error) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := serve(ctx, ln); err != nil && ctx.Err() == nil {
			log.Error(what, "err", err)
		}
	}()
	return func() { cancel(); <-done }
}

func serveSim(ctx context.Context, dir, cards string, pcscd bool, printer, receipt, listen, target string, out, errs io.Writer) error {
	log := slog.New(slog.NewTextHandler(errs, nil))
	sane := filepath.Join(dir, "sane")
	if err := os.MkdirAll(sane, 0o700); err != nil {
		return err
	}
	if err := scannerConf(sane, true); err != nil {
		return err
	}
	o := sim.Options{Dir: dir, CardDir: cards, LineListen: listen, LineTarget: target, Logger: log,
		OnScanner: func(plugged bool) {
			if err := scannerConf(sane, plugged); err != nil {
				log.Error("scanner", "err", err)
			}
		}}
	if pcscd {
		o.Pcscd = &sim.Pcscd{}
	}
	if printer != "" {
		ln, err := net.Listen("tcp", printer)
		if err != nil {
			return fmt.Errorf("printer: %w", err)
		}
		p := sim.NewPrinter(sim.PrinterOptions{Dir: filepath.Join(dir, "printed"), PageTime: 300 * time.Millisecond, Logger: log})
		o.Printer = p
		defer serveBeside(ctx, log, "printer", ln, p.Serve)()
	}
	if receipt != "" {
		ln, err := net.Listen("tcp", receipt)
		if err != nil {
			return fmt.Errorf("receipt printer: %w", err)
		}
		p := sim.NewReceipt(sim.ReceiptOptions{Dir: filepath.Join(dir, "printed"), Logger: log})
		o.Receipt = p
		defer serveBeside(ctx, log, "receipt printer", ln, p.Serve)()
	}
	return sim.New(o).Run(ctx, func() { fmt.Fprintln(out, "ready") })
}
