package sim

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/creack/pty"
)

func openPair() (master, slave *os.File, err error) {
	master, slave, err = pty.Open()
	if err == nil {
		err = rawMode(slave)
	}
	return master, slave, err
}

// start runs a simulator without pcscd until the test ends.
func start(t *testing.T, opts Options) (*Sim, *Client) {
	t.Helper()
	opts.Dir = t.TempDir()
	if opts.VPCD == "" {
		opts.VPCD = "127.0.0.1:1" // nobody there
	}
	s := New(opts)
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- s.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if _, err := os.Lstat(filepath.Join(opts.Dir, SDTLink)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the link to the ID reader stays: %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		done <- err
		t.Fatal(err)
	}
	c, err := Dial(SocketPath(opts.Dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return s, c
}

func TestEmbeddedCards(t *testing.T) {
	cards := ListCards("")
	entries, err := embedded.ReadDir("cards")
	if err != nil {
		t.Fatal(err)
	}
	if len(cards) != len(entries) {
		t.Errorf("%d cards of %d files load", len(cards), len(entries))
	}
	var kinds []CardKind
	for _, c := range cards {
		if c.Title == c.Name {
			t.Errorf("card %s has no title", c.Name)
		}
		kinds = append(kinds, c.Kind)
	}
	for _, k := range CardKinds {
		if !slices.Contains(kinds, k) {
			t.Errorf("no sample card of kind %s", k)
		}
	}
}

func TestCardFileErrors(t *testing.T) {
	for text, want := range map[string]string{
		"kind: gold": "kind", "form: 4\nkind: blank": "form", "kind: blank\ndelay_ms: -1": "delay_ms",
		"kind: normal": "person", "kind: blank\natr: xyz": "atr", "kind: blank\nmissing: [GG]": "missing",
		"kind: blank\ncolour: red": "colour", ": :": "", "kind: foreign\nid: {type: passport}": "id.type",
		"person: {number: '1', name: 张, birth_date: '195603120'}":             "0D",
		"person: {number: '1408301956031200249', name: 张}":                    "08",
		"person: {number: '1', name_hex: '" + strings.Repeat("B4", 51) + "'}": "name",
	} {
		_, err := ParseCard("x", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error that names %q", text, err, want)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine.yaml"), []byte("kind: blank\ntitle: 我的卡\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if c, err := LoadCard(dir, "mine"); err != nil || c.Title != "我的卡" {
		t.Errorf("own card: %+v, %v", c, err)
	}
	if _, err := LoadCard(dir, "../mine"); !errors.Is(err, ErrNoSuchCard) {
		t.Errorf("a name with a path: %v", err)
	}
}

func TestControl(t *testing.T) {
	var scanner atomic.Int32
	p := &paper{}
	_, c := start(t, Options{Printer: p, OnScanner: func(in bool) {
		if in {
			scanner.Add(1)
		} else {
			scanner.Add(-1)
		}
	}})
	do := func(req Request) (Reply, error) { return c.Do(t.Context(), req) }
	for _, bad := range []Request{{Do: "dance"}, {Do: Insert, Card: "nobody"}, {Do: Insert}, {Do: IDPut, Card: "blank"},
		{Do: LineDown}, {Do: ReaderUnplug, Device: "toaster"},
		{Do: PINPerson, Device: "a robot"}, {Do: Lamps, Lamps: []string{"sun"}}} {
		if r, err := do(bad); !errors.Is(err, ErrRefused) || r.Error == "" {
			t.Errorf("%+v: %+v, %v", bad, r, err)
		}
	}
	for _, req := range []Request{{Do: Insert, Card: "zhang"}, {Do: Tear, N: 4}, {Do: IDPut, Card: "wang"},
		{Do: PrinterPaperOut}, {Do: ScannerUnplug}, {Do: ReaderUnplug, Device: "id"},
		{Do: Lamps, Lamps: []string{"card", "id"}}, {Do: PINPerson, Device: PadLocked}} {
		if _, err := do(req); err != nil {
			t.Errorf("%+v: %v", req, err)
		}
	}
	r, err := do(Request{Do: AskState})
	if err != nil {
		t.Fatal(err)
	}
	want := State{Reader: true, Card: "zhang", TearAt: 4, IDReader: false, IDCard: "wang", Paper: "out",
		Vendor: true, Lamps: "card,id", PINPerson: PadLocked}
	if *r.State != want {
		t.Errorf("state %+v, want %+v", *r.State, want)
	}
	if p.said != "out" || scanner.Load() != -1 {
		t.Errorf("printer %q, scanner %d", p.said, scanner.Load())
	}
	for _, req := range []Request{{Do: Remove}, {Do: IDLift}, {Do: PrinterJam}, {Do: PrinterPaperIn}, {Do: ScannerPlug},
		{Do: ReaderPlug, Device: "id"}, {Do: ReaderUnplug}, {Do: Insert, Card: "wang"}, {Do: ReaderPlug}, {Do: Remove},
		{Do: VendorUnplug}, {Do: Lamps, Lamps: []string{"card"}}, {Do: VendorPlug}} {
		if _, err := do(req); err != nil {
			t.Errorf("%+v: %v", req, err)
		}
	}
	if r, err = do(Request{Do: AskState}); err != nil {
		t.Fatal(err)
	}
	if want := (State{Reader: true, IDReader: true, Scanner: true, Paper: "ready", Vendor: true, PINPerson: PadLocked}); *r.State != want {
		t.Errorf("state %+v, want %+v", *r.State, want)
	}
	if r, err := do(Request{Do: AskCards}); err != nil || len(r.Cards) == 0 {
		t.Errorf("cards: %+v, %v", r, err)
	}
}

type paper struct{ said string }

func (p *paper) PaperOut() { p.said = "out" }
func (p *paper) PaperIn()  { p.said = "in" }
func (p *paper) Jam()      { p.said = "jam" }

func TestOneSimulatorInAPlace(t *testing.T) {
	s, _ := start(t, Options{})
	if err := Serve(t.Context(), Options{Dir: s.opts.Dir}); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("second simulator: %v", err)
	}
}

// TestLine: bytes pass, a cut line is reset and refuses, and comes back under
// the same address.
func TestLine(t *testing.T) {
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	go func() {
		for {
			c, err := far.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	_, c := start(t, Options{LineListen: "127.0.0.1:0", LineTarget: far.Addr().String()})
	st := func() State {
		t.Helper()
		r, err := c.Do(t.Context(), Request{Do: AskState})
		if err != nil {
			t.Fatal(err)
		}
		return *r.State
	}
	addr := st().LineAddr
	echo := func(conn net.Conn) error {
		t.Helper()
		if _, err := conn.Write([]byte("办件")); err != nil {
			return err
		}
		buf := make([]byte, 6)
		_, err := io.ReadFull(conn, buf)
		if err == nil && string(buf) != "办件" {
			t.Errorf("echo %q", buf)
		}
		return err
	}
	for range 2 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := echo(conn); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Do(t.Context(), Request{Do: LineDown}); err != nil {
			t.Fatal(err)
		}
		if err := echo(conn); err == nil {
			t.Error("bytes pass a cut line")
		}
		conn.Close()
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			t.Error("a cut line accepts")
		}
		if st().Line {
			t.Error("the state says that a cut line is up")
		}
		if _, err := c.Do(t.Context(), Request{Do: LineUp}); err != nil {
			t.Fatal(err)
		}
	}
}
