// Package sim is the simulated hardware of a terminal: a social-security card
// in pcscd's virtual reader (vpcd), a resident ID card on a reader at a serial
// line (SDT on a pty), and a line to the county that can be cut. It exists so
// that demonstrations, training and tests go through the very drivers and
// daemons that real hardware goes through: nothing here is a short cut into the
// program.
//
// It guarantees: what it simulates can be recognised as simulated (the reader's
// name, the security module's number), so that every page and record bears the
// demo mark; every person in it is made up; one door, the control socket, is
// used by the panel, by kioskctl and by tests alike.
//
// The control socket speaks one JSON object a line: Request in, Reply out.
package sim

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Socket is the name of the control socket under Options.Dir.
const Socket = "control.sock"

// SocketPath is where the control socket of a simulator in dir is.
func SocketPath(dir string) string { return filepath.Join(dir, Socket) }

// PrinterControl is what a simulated printer can be told.
type PrinterControl interface {
	PaperOut()
	PaperIn()
	Jam()
}

// Options configure a simulator.
type Options struct {
	// Dir holds the control socket and the link "sdt" to the ID reader's serial
	// line. It must be there.
	Dir string
	// VPCD is the address of pcscd's virtual reader; "" means DefaultVPCD.
	VPCD string
	// CardDir may hold more card files; "" means the embedded ones only.
	CardDir string
	// Pcscd, when set, is started and stopped by the simulator, and then
	// unplugging the reader really removes it. Nil leaves pcscd to the system.
	Pcscd *Pcscd
	// Printer, when set, is run by the verbs printer-….
	Printer PrinterControl
	// Receipt, when set, is run by the verb receipt-set.
	Receipt *Receipt
	// LineListen and LineTarget make the line to the county: connections to
	// LineListen are forwarded to LineTarget. "" means no line.
	LineListen, LineTarget string
	// OnScanner is told when the scanner is plugged in or out; may be nil.
	OnScanner func(plugged bool)
	Logger    *slog.Logger // nil is silent
}

// Errors of requests.
var (
	ErrVerb    = errors.New("unknown verb")
	ErrMissing = errors.New("this simulator has no such part")
)

// Sim is a running simulator. Safe for concurrent use.
type Sim struct {
	opts Options
	log  *slog.Logger
	slot *slot
	id   *idReader
	line *line

	ctx context.Context // of Run: cards live as long

	mu      sync.Mutex
	scanner bool
	paper   string
	vendor  vendorBoard
}

// New makes a simulator; Run brings it to life.
func New(opts Options) *Sim {
	if opts.VPCD == "" {
		opts.VPCD = DefaultVPCD
	}
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Sim{opts: opts, log: log, slot: newSlot(opts.VPCD, log), id: newIDReader(opts.Dir, log), scanner: true, paper: "ready",
		vendor: vendorBoard{plugged: true, person: PadOK}}
	if opts.LineListen != "" {
		s.line = newLine(opts.LineListen, opts.LineTarget, log)
	}
	return s
}

// Serve runs a simulator until ctx ends.
func Serve(ctx context.Context, opts Options) error { return New(opts).Run(ctx, nil) }

// Run serves until ctx ends, then takes everything away again. ready, when not
// nil, is called once the control socket listens and all parts are there.
func (s *Sim) Run(ctx context.Context, ready func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	path := SocketPath(s.opts.Dir)
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close()
		return fmt.Errorf("a simulator already runs at %s", path)
	}
	_ = os.Remove(path) // nobody listens there: left over from a crash
	ln, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	defer ln.Close()
	if err := os.Chmod(path, 0o600); err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	if s.opts.Pcscd != nil {
		if err := s.opts.Pcscd.Start(ctx); err != nil {
			return err
		}
		defer s.opts.Pcscd.Stop()
	}
	if err := s.id.plug(); err != nil {
		return err
	}
	defer s.id.unplug()
	if s.line != nil {
		if err := s.line.up(); err != nil {
			return err
		}
		defer s.line.down()
	}
	s.mu.Lock()
	s.ctx = ctx
	s.mu.Unlock()
	defer s.slot.remove()

	var wg sync.WaitGroup
	defer wg.Wait()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	if ready != nil {
		ready()
	}
	for {
		c, err := ln.Accept()
		if err != nil {
			cancel() // the clients' connections end with it
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("control socket: %w", err)
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			s.client(ctx, c)
		}()
	}
}

// client answers one client's lines.
func (s *Sim) client(ctx context.Context, c net.Conn) {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	in := bufio.NewScanner(c)
	in.Buffer(nil, maxLine)
	out := json.NewEncoder(c)
	for in.Scan() {
		var req Request
		var reply Reply
		if err := json.Unmarshal(in.Bytes(), &req); err != nil {
			reply = Reply{Error: fmt.Sprintf("不是一行 JSON：%v", err)}
		} else {
			reply = s.Do(ctx, req)
		}
		if out.Encode(reply) != nil {
			return
		}
	}
}

// Do does what a request says. It returns when it is done at the simulator;
// the terminal notices in its own time.
func (s *Sim) Do(ctx context.Context, req Request) Reply {
	reply, err := s.do(ctx, req)
	if err != nil {
		s.log.Warn("simulator request failed", "do", req.Do, "card", req.Card, "err", err)
		return Reply{Error: explain(err)}
	}
	if req.Do != AskState { // asked all the time, and changes nothing
		s.log.Info("simulator request", "do", req.Do, "card", req.Card)
	}
	reply.OK = true
	return reply
}

func (s *Sim) do(ctx context.Context, req Request) (Reply, error) {
	s.mu.Lock()
	life := s.ctx
	s.mu.Unlock()
	if life == nil {
		return Reply{}, errors.New("simulator is not running")
	}
	switch req.Do {
	case Insert:
		c, err := LoadCard(s.opts.CardDir, req.Card)
		if err != nil {
			return Reply{}, err
		}
		return Reply{}, s.slot.insert(life, c)
	case Remove:
		s.slot.remove()
		return Reply{}, nil
	case Tear:
		s.slot.tear(req.N)
		return Reply{}, nil
	case IDPut:
		c, err := LoadCard(s.opts.CardDir, req.Card)
		if err != nil {
			return Reply{}, err
		}
		return Reply{}, s.id.put(c)
	case IDLift:
		s.id.lift()
		return Reply{}, nil
	case ReaderUnplug:
		return Reply{}, s.plugReader(ctx, req.Device, false)
	case ReaderPlug:
		return Reply{}, s.plugReader(ctx, req.Device, true)
	case PrinterPaperOut, PrinterPaperIn, PrinterJam:
		return Reply{}, s.printer(req.Do)
	case ReceiptSet:
		if s.opts.Receipt == nil {
			return Reply{}, fmt.Errorf("receipt printer: %w", ErrMissing)
		}
		if !slices.Contains(ReceiptTroubles, ReceiptTrouble(req.Device)) {
			return Reply{}, fmt.Errorf("%w: %q", errTrouble, req.Device)
		}
		s.opts.Receipt.Set(ReceiptTrouble(req.Device))
		return Reply{}, nil
	case ScannerUnplug, ScannerPlug:
		if s.opts.OnScanner == nil {
			return Reply{}, fmt.Errorf("scanner: %w", ErrMissing)
		}
		on := req.Do == ScannerPlug
		s.mu.Lock()
		s.scanner = on
		s.mu.Unlock()
		s.opts.OnScanner(on)
		return Reply{}, nil
	case VendorPlug, VendorUnplug, PINPerson, Lamps:
		s.mu.Lock()
		defer s.mu.Unlock()
		return Reply{}, s.vendor.do(req)
	case LineDown, LineUp:
		if s.line == nil {
			return Reply{}, fmt.Errorf("line: %w", ErrMissing)
		}
		if req.Do == LineUp {
			return Reply{}, s.line.up()
		}
		s.line.down()
		return Reply{}, nil
	case AskState:
		st := s.State()
		return Reply{State: &st}, nil
	case AskCards:
		return Reply{Cards: ListCards(s.opts.CardDir)}, nil
	}
	return Reply{}, fmt.Errorf("%w: %q", ErrVerb, req.Do)
}

// plugReader pulls or plugs the cable of the card reader ("card", the default)
// or of the ID reader ("id").
func (s *Sim) plugReader(ctx context.Context, which string, in bool) error {
	switch which {
	case "id":
		if in {
			return s.id.plug()
		}
		s.id.unplug()
		return nil
	case "", "card":
	default:
		return fmt.Errorf("device %q: card or id is allowed", which)
	}
	s.mu.Lock()
	life := s.ctx
	s.mu.Unlock()
	// Out: first the card's contact, then the reader. In: the other way round.
	if !in {
		s.slot.plug(life, false)
	}
	if s.opts.Pcscd != nil {
		if err := s.opts.Pcscd.SetReader(ctx, in); err != nil {
			return err
		}
	}
	if in {
		s.slot.plug(life, true)
	}
	return nil
}

func (s *Sim) printer(v Verb) error {
	if s.opts.Printer == nil {
		return fmt.Errorf("printer: %w", ErrMissing)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch v {
	case PrinterPaperOut:
		s.opts.Printer.PaperOut()
		s.paper = "out"
	case PrinterJam:
		s.opts.Printer.Jam()
		s.paper = "jam"
	case PrinterPaperIn:
		s.opts.Printer.PaperIn()
		s.paper = "ready"
	default:
		return fmt.Errorf("%w: %q", ErrVerb, v)
	}
	return nil
}

// State says how everything is now, for the panel.
func (s *Sim) State() State {
	var st State
	s.slot.mu.Lock()
	st.Reader, st.CardLinked, st.TearAt, st.APDUs = s.slot.plugged, s.slot.linked, s.slot.tearAt, s.slot.apdus
	st.Asked, st.Answered = s.slot.asked, s.slot.answered
	if s.slot.card != nil {
		st.Card = s.slot.card.Name
	}
	s.slot.mu.Unlock()
	s.id.mu.Lock()
	st.IDReader, st.IDCommands = s.id.master != nil, s.id.commands
	if s.id.card != nil {
		st.IDCard = s.id.card.Name
	}
	s.id.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Vendor, st.Lamps, st.PINPerson = s.vendor.plugged, strings.Join(s.vendor.lamps, ","), s.vendor.person
	if s.opts.OnScanner != nil {
		st.Scanner = s.scanner
	}
	if s.opts.Printer != nil {
		st.Paper = s.paper
	}
	if s.opts.Receipt != nil {
		st.Receipt = string(s.opts.Receipt.Trouble())
	}
	if s.line != nil {
		st.Line, st.LineAddr = s.line.isUp(), s.line.addr()
	}
	return st
}
