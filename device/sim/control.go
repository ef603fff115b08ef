package sim

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// maxLine bounds a line of the control socket, bytes.
const maxLine = 256 << 10

// Verb is what a request asks for.
type Verb string

// The verbs. Insert and IDPut name a card; Tear gives N, the command from now
// in whose middle the card leaves; ReaderUnplug and ReaderPlug may name the
// device "card" (default) or "id"; PINPerson names who is at the PIN pad (ok,
// wrong_pin, locked, mismatch, idle); Lamps is for the simulated vendor driver.
const (
	Insert          Verb = "insert"
	Remove          Verb = "remove"
	Tear            Verb = "tear"
	IDPut           Verb = "id-put"
	IDLift          Verb = "id-lift"
	ReaderUnplug    Verb = "reader-unplug"
	ReaderPlug      Verb = "reader-plug"
	PrinterPaperOut Verb = "printer-paper-out"
	PrinterPaperIn  Verb = "printer-paper-in"
	PrinterJam      Verb = "printer-jam"
	ReceiptSet      Verb = "receipt-set" // Device is a ReceiptTrouble: ready, low, out, cover, jam, offline
	ScannerUnplug   Verb = "scanner-unplug"
	ScannerPlug     Verb = "scanner-plug"
	LineDown        Verb = "line-down"
	LineUp          Verb = "line-up"
	VendorUnplug    Verb = "vendor-unplug"
	VendorPlug      Verb = "vendor-plug"
	PINPerson       Verb = "pin-person"
	Lamps           Verb = "lamps"
	AskState        Verb = "state"
	AskCards        Verb = "cards"
)

// Verbs lists the closed set, for help texts.
var Verbs = []Verb{Insert, Remove, Tear, IDPut, IDLift, ReaderUnplug, ReaderPlug, PrinterPaperOut, PrinterPaperIn,
	PrinterJam, ReceiptSet, ScannerUnplug, ScannerPlug, LineDown, LineUp, VendorUnplug, VendorPlug, PINPerson, Lamps, AskState, AskCards}

// Request is one line to the simulator.
type Request struct {
	Do     Verb   `json:"do"`
	Card   string `json:"card,omitempty"`
	N      int    `json:"n,omitempty"`
	Device string `json:"device,omitempty"`
	// Lamps is what the simulated driver lights, all others go out.
	Lamps []string `json:"lamps,omitempty"`
}

// Reply is its answer.
type Reply struct {
	OK    bool       `json:"ok"`
	Error string     `json:"error,omitempty"` // plain Chinese
	State *State     `json:"state,omitempty"`
	Cards []CardInfo `json:"cards,omitempty"`
}

// State is how the simulated hardware is now. Parts that a simulator does not
// have are zero.
type State struct {
	Reader     bool   `json:"reader"`      // card reader plugged in
	Card       string `json:"card"`        // card in it, "" none
	CardLinked bool   `json:"card_linked"` // pcscd holds the card
	TearAt     int    `json:"tear_at,omitempty"`
	APDUs      int64  `json:"apdus"` // commands the cards got
	// When the card that is or was in got its first command and gave its last
	// answer; zero before. What is measured against them is not the card's time.
	Asked      time.Time `json:"asked,omitzero"`
	Answered   time.Time `json:"answered,omitzero"`
	IDReader   bool      `json:"id_reader"`
	IDCard     string    `json:"id_card"`
	IDCommands int64     `json:"id_commands"`
	Scanner    bool      `json:"scanner"`
	Paper      string    `json:"paper,omitempty"` // ready, out, jam
	// Receipt is the receipt printer's ReceiptTrouble.
	Receipt  string `json:"receipt,omitempty"`
	Line     bool   `json:"line"`
	LineAddr string `json:"line_addr,omitempty"`
	// Vendor tells whether the board behind the vendor slot is plugged in, Lamps
	// what is lit on it, PINPerson who stands at its PIN pad.
	Vendor    bool   `json:"vendor"`
	Lamps     string `json:"lamps,omitempty"` // comma between
	PINPerson string `json:"pin_person,omitempty"`
}

// explain says in plain Chinese why a request failed.
func explain(err error) string {
	switch {
	case errors.Is(err, ErrNoSuchCard):
		return "没有这张卡，用 cards 看有哪些卡"
	case errors.Is(err, ErrMissing):
		return "这个模拟器没有接这个设备：" + err.Error()
	case errors.Is(err, errTrouble):
		return "小票打印机可以设成：ready（正常）、low（纸快没了）、out（没纸）、cover（开盖）、jam（切刀卡住）、offline（停机）"
	case errors.Is(err, ErrVerb):
		return "不认识的命令：" + err.Error()
	}
	return "没有做成：" + err.Error()
}

// ErrRefused means that the simulator answered no; the reason follows.
var ErrRefused = errors.New("simulator refused")

// Client talks to a simulator. Safe for concurrent use; requests go one after
// the other.
type Client struct {
	mu   sync.Mutex
	conn net.Conn
	in   *bufio.Scanner
}

// Dial connects to the control socket at path.
func Dial(path string) (*Client, error) {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	in := bufio.NewScanner(conn)
	in.Buffer(nil, maxLine)
	return &Client{conn: conn, in: in}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Do sends a request and waits for the answer or ctx. A refusal is an error
// wrapping ErrRefused; after any other error the client is spent.
func (c *Client) Do(ctx context.Context, req Request) (Reply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.conn.SetDeadline(time.Time{}); err != nil {
		return Reply{}, fmt.Errorf("simulator %s: %w", req.Do, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	line, err := json.Marshal(req)
	if err != nil {
		return Reply{}, fmt.Errorf("simulator %s: %w", req.Do, err)
	}
	if _, err := c.conn.Write(append(line, '\n')); err != nil {
		return Reply{}, errors.Join(fmt.Errorf("simulator %s: %w", req.Do, err), ctx.Err())
	}
	if !c.in.Scan() {
		err := c.in.Err()
		if err == nil {
			err = net.ErrClosed
		}
		return Reply{}, errors.Join(fmt.Errorf("simulator %s: %w", req.Do, err), ctx.Err())
	}
	var reply Reply
	if err := json.Unmarshal(c.in.Bytes(), &reply); err != nil {
		return Reply{}, fmt.Errorf("simulator %s: answer: %w", req.Do, err)
	}
	if !reply.OK {
		return reply, fmt.Errorf("%w: %s: %s", ErrRefused, req.Do, reply.Error)
	}
	return reply, nil
}
