package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// What the simulated receipt printer says of itself and how it behaves.
const (
	// ReceiptName is its model name (GS I 67). A terminal takes a printer whose
	// name begins with it for a simulated one.
	ReceiptName = "CUNBAN SIM-80"
	// ReceiptLink is the name, under a folder, of the link to its device file.
	ReceiptLink = "receipt"

	DefaultRowTime = 100 * time.Microsecond // a row of dots: 150 mm/s would be 0.8 ms

	rollDots   = 640      // dots across 80 mm of paper
	headDots   = 576      // dots of the print head
	receiptBuf = 4096     // commands that wait
	maxPicture = 1 << 20  // bytes of one picture command
	maxRoll    = 64 << 10 // rows that are kept of one piece of paper
)

// ReceiptTrouble is the closed set of what is wrong with the simulated receipt
// printer.
type ReceiptTrouble string

// The troubles.
const (
	ReceiptWell      ReceiptTrouble = "ready"
	ReceiptLow       ReceiptTrouble = "low"     // the roll is near its end; prints
	ReceiptNoPaper   ReceiptTrouble = "out"     //
	ReceiptCoverOpen ReceiptTrouble = "cover"   //
	ReceiptJammed    ReceiptTrouble = "jam"     // the knife is stuck
	ReceiptOffline   ReceiptTrouble = "offline" // stopped with a button
)

// ReceiptTroubles lists the closed set.
var ReceiptTroubles = []ReceiptTrouble{ReceiptWell, ReceiptLow, ReceiptNoPaper, ReceiptCoverOpen, ReceiptJammed, ReceiptOffline}

// errTrouble means a trouble that is not of the closed set.
var errTrouble = errors.New("sim: no such trouble of a receipt printer")

// ReceiptOptions say where receipts go.
type ReceiptOptions struct {
	Dir     string        // gets one PNG a receipt; "" throws them away
	RowTime time.Duration // one row of dots; 0 = DefaultRowTime
	Logger  *slog.Logger  // nil = none
}

// Receipt is a simulated receipt printer: it understands the part of ESC/POS that
// prints pictures (ESC @, GS v 0, GS V, GS r, GS ( H, GS I) and the commands that
// are answered at once whatever the paper does (DLE EOT, DLE DC4), over TCP or a
// pty. It stops when it has no paper, goes on when there is some, and keeps what
// came out as pictures. Like a real one it takes a real-time command for one even
// inside a picture. Methods are safe for concurrent use.
type Receipt struct {
	o ReceiptOptions

	mu      sync.Mutex
	trouble ReceiptTrouble
	outAt   int // the paper ends after so many more rows; 0 = does not
	roll    [][]byte
	pieces  int // came out, cut or torn off
	files   []string
	changed chan struct{} // closed and renewed whenever something changed

	// What was received and waits to be printed. Clearing it ends the round.
	queue []received
	round context.Context
	end   context.CancelFunc
}

// received is a whole command and the line that hears its answer.
type received struct {
	line *receiptLine
	cmd  []byte
}

// NewReceipt makes a printer that is well. It does nothing until Serve or ServePTY.
func NewReceipt(o ReceiptOptions) *Receipt {
	o.RowTime = cmp.Or(o.RowTime, DefaultRowTime)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Receipt{o: o, trouble: ReceiptWell, changed: make(chan struct{})}
	p.round, p.end = context.WithCancel(context.Background())
	return p
}

// Set makes something wrong, or everything right.
func (p *Receipt) Set(t ReceiptTrouble) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble, p.outAt = t, 0
	p.wake()
}

// wake tells whoever waits that something changed; the caller holds the lock.
func (p *Receipt) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// EndRollAfter takes the paper away after so many more rows of dots.
func (p *Receipt) EndRollAfter(rows int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outAt = rows
}

// Trouble is what is wrong now.
func (p *Receipt) Trouble() ReceiptTrouble {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trouble
}

// Pieces is how many pieces of paper came out: cut, or torn off by switching the
// printer off in the middle. Files are their pictures, when there is a folder.
func (p *Receipt) Pieces() (n int, files []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pieces, append([]string(nil), p.files...)
}

// Hanging is how many rows of dots are printed and not cut off yet.
func (p *Receipt) Hanging() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.roll)
}

// Serve answers on ln until ctx ends, and closes ln. What was received and not
// printed is then lost, and what hangs out is torn off, as when it is switched
// off.
func (p *Receipt) Serve(ctx context.Context, ln net.Listener) error {
	var wg sync.WaitGroup
	defer p.off()
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	wg.Go(func() { p.work(ctx) })
	for {
		c, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("sim: receipt printer: %w", err)
		}
		wg.Go(func() { p.line(ctx, c) })
	}
}

// ServePTY answers on a pty whose terminal side link points at, as on a device
// file, until ctx ends.
func (p *Receipt) ServePTY(ctx context.Context, link string, ready func()) error {
	blocking, slave, err := pty.Open()
	if err != nil {
		return fmt.Errorf("sim: receipt printer: %w", err)
	}
	defer func() { _ = slave.Close() }() // stays open, so that the line survives closing and opening
	master, err := pollable(blocking)
	if err != nil {
		return fmt.Errorf("sim: receipt printer: %w", err)
	}
	if err := errors.Join(rawMode(slave), os.RemoveAll(link), os.Symlink(slave.Name(), link)); err != nil {
		return fmt.Errorf("sim: receipt printer: %w", errors.Join(err, master.Close()))
	}
	defer func() { _ = os.Remove(link) }()
	defer p.off()
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { p.work(ctx) })
	if ready != nil {
		ready()
	}
	p.line(ctx, master)
	return context.Cause(ctx)
}

// pollable makes a file whose reads end when it is closed, which those of a pty's
// do not by themselves.
func pollable(f *os.File) (*os.File, error) {
	defer func() { _ = f.Close() }()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// off is the switch: what waits is lost, what hangs out is torn off.
func (p *Receipt) off() {
	p.clear()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.piece("torn")
}

// clear forgets what was received and not printed. Not a row of it is printed
// after clear returns.
func (p *Receipt) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
	p.queue = nil
	p.round, p.end = context.WithCancel(context.Background())
	p.wake()
}

// put lets a command wait for its turn.
func (p *Receipt) put(ctx context.Context, r received) {
	for {
		p.mu.Lock()
		changed := p.changed
		if len(p.queue) < receiptBuf {
			p.queue = append(p.queue, r)
			p.wake()
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// work prints what was received, in its turn, until ctx ends.
func (p *Receipt) work(ctx context.Context) {
	for ctx.Err() == nil {
		p.mu.Lock()
		changed, round := p.changed, p.round
		var next received
		if len(p.queue) > 0 {
			next, p.queue = p.queue[0], p.queue[1:]
			p.wake()
		}
		p.mu.Unlock()
		if next.line != nil {
			rctx, cancel := context.WithCancel(ctx)
			stop := context.AfterFunc(round, cancel)
			_ = next.line.do(rctx, round, next.cmd) // ended by clear or with ctx
			stop()
			cancel()
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// piece keeps what hangs out as one piece of paper; the caller holds the lock.
func (p *Receipt) piece(how string) {
	if len(p.roll) == 0 {
		return
	}
	p.pieces++
	rows := p.roll
	p.roll = nil
	if p.o.Dir == "" {
		return
	}
	name := filepath.Join(p.o.Dir, fmt.Sprintf("receipt-%04d-%s.png", p.pieces, how))
	if err := keepPicture(name, rows); err != nil {
		p.o.Logger.Error("simulated receipt printer", "err", err)
		return
	}
	p.files = append(p.files, name)
}

// keepPicture writes rows of dots on white paper as a PNG.
func keepPicture(name string, rows [][]byte) error {
	m := image.NewPaletted(image.Rect(0, 0, rollDots, len(rows)), color.Palette{color.White, color.Black})
	const left = (rollDots - headDots) / 2
	for y, row := range rows {
		for x := range min(8*len(row), headDots) {
			m.Pix[y*m.Stride+left+x] = row[x/8] >> (7 - x%8) & 1
		}
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".receipt-*")
	if err != nil {
		return err
	}
	if err := errors.Join(png.Encode(f, m), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), name)
}

// wait returns once the printer can print, or with the error of ctx.
func (p *Receipt) wait(ctx context.Context) error {
	for {
		p.mu.Lock()
		t, changed := p.trouble, p.changed
		p.mu.Unlock()
		if t == ReceiptWell || t == ReceiptLow {
			return ctx.Err()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// row prints one row of dots.
func (p *Receipt) row(ctx, round context.Context, row []byte) error {
	if err := p.wait(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := round.Err(); err != nil { // set under this lock: no row after clear
		return err
	}
	if len(p.roll) < maxRoll {
		p.roll = append(p.roll, row)
	}
	if p.outAt > 0 {
		if p.outAt--; p.outAt == 0 {
			p.trouble = ReceiptNoPaper
		}
	}
	return nil
}

// cut cuts the paper.
func (p *Receipt) cut(ctx context.Context) error {
	if err := p.wait(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.piece("cut")
	return nil
}

// Bits of the answers to DLE EOT; bits 1 and 4 are always set.
const (
	eotFixed   = 0x12
	eotOffline = 0x08 // n = 1
	eotCover   = 0x04 // n = 2
	eotStopped = 0x20
	eotError   = 0x40
	eotKnife   = 0x08 // n = 3
	eotNearEnd = 0x0c // n = 4
	eotNoPaper = 0x60
)

// status is the answer to DLE EOT n.
func (p *Receipt) status(n byte) byte {
	bits := map[ReceiptTrouble][4]byte{
		ReceiptLow:       {3: eotNearEnd},
		ReceiptNoPaper:   {eotOffline, eotStopped, 0, eotNearEnd | eotNoPaper},
		ReceiptCoverOpen: {eotOffline, eotCover, 0, 0},
		ReceiptJammed:    {eotOffline, eotError, eotKnife, 0},
		ReceiptOffline:   {eotOffline, 0, 0, 0},
	}[p.Trouble()]
	return eotFixed | bits[n-1]
}

// rollState is the answer to GS r 1.
func (p *Receipt) rollState() byte {
	if p.Trouble() == ReceiptLow {
		return 0x03
	}
	return 0
}

// line serves one open line until it ends or ctx does.
func (p *Receipt) line(ctx context.Context, c io.ReadWriteCloser) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	l := &receiptLine{p: p, out: c}
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		for _, b := range buf[:n] {
			l.take(ctx, b)
		}
		if err != nil {
			return // what was received is printed, as when a cable is pulled
		}
	}
}
