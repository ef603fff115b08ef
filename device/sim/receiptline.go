package sim

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"sync"
	"time"
)

// receiptLine is what a receipt printer knows of one open line: the command that
// is coming in.
type receiptLine struct {
	p   *Receipt
	out io.Writer

	write sync.Mutex // answers at once and in their turn come from two goroutines

	cmd    []byte // of the command that is not whole
	recent []byte // the last bytes, for real-time commands wherever they stand
}

// clearBuffers is DLE DC4 8: what was received and not printed is forgotten.
var clearBuffers = []byte{0x10, 0x14, 8, 1, 3, 20, 1, 6, 2, 8}

func (l *receiptLine) answer(b ...byte) {
	l.write.Lock()
	defer l.write.Unlock()
	_, _ = l.out.Write(b) // a terminal that went away hears nothing
}

// take receives one byte.
func (l *receiptLine) take(ctx context.Context, b byte) {
	if l.recent = append(l.recent, b); len(l.recent) > len(clearBuffers) {
		l.recent = l.recent[1:]
	}
	l.cmd = append(l.cmd, b)
	if n := len(l.recent); n >= 3 && l.recent[n-3] == 0x10 && l.recent[n-2] == 0x04 && b >= 1 && b <= 4 {
		l.answer(l.p.status(b))
		l.recent = nil
		if bytes.Equal(l.cmd, []byte{0x10, 0x04, b}) {
			l.cmd = nil
			return
		}
	}
	if bytes.Equal(l.recent, clearBuffers) {
		l.recent = nil
		l.cmd = nil
		l.p.clear()
		l.answer(0x37, 0x25, 0)
		return
	}
	if n := commandLen(l.cmd); n == len(l.cmd) {
		l.p.put(ctx, received{l, l.cmd})
		l.cmd = nil
	}
}

// commandLen is how long the command that begins like this is; more than there
// is while that cannot be told yet. A byte that begins no command is one by
// itself.
func commandLen(b []byte) int {
	long := func(n int) int { return max(n, len(b)) }
	more := len(b) + 1
	if len(b) < 2 && (b[0] == 0x1b || b[0] == 0x1d || b[0] == 0x10) {
		return more
	}
	switch {
	case b[0] == 0x10 && b[1] == 0x14:
		return long(len(clearBuffers))
	case b[0] == 0x10:
		return long(3)
	case b[0] == 0x1b:
		return long(2)
	case b[0] != 0x1d:
		return 1
	case b[1] == 'V':
		if len(b) < 3 {
			return more
		}
		if b[2] < 65 {
			return 3
		}
		return long(4)
	case b[1] == '(':
		if len(b) < 5 {
			return more
		}
		return long(5 + int(binary.LittleEndian.Uint16(b[3:])))
	case b[1] == 'v':
		if len(b) < 8 {
			return more
		}
		return long(8 + min(int(binary.LittleEndian.Uint16(b[4:]))*int(binary.LittleEndian.Uint16(b[6:])), maxPicture))
	}
	return long(3)
}

// do obeys one whole command until ctx ends; it prints nothing once round is over.
func (l *receiptLine) do(ctx, round context.Context, c []byte) error {
	if c[0] != 0x1d {
		return nil // ESC @ and what is not known
	}
	switch c[1] {
	case 'v':
		width, rows := int(binary.LittleEndian.Uint16(c[4:])), c[8:]
		t := time.NewTicker(l.p.o.RowTime)
		defer t.Stop()
		for ; width > 0 && len(rows) >= width; rows = rows[width:] {
			if err := l.p.row(ctx, round, rows[:width]); err != nil {
				return err
			}
			select {
			case <-t.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	case 'V':
		return l.p.cut(ctx)
	case 'r':
		if err := l.p.wait(ctx); err != nil {
			return err
		}
		l.answer(l.p.rollState())
	case 'I':
		if err := l.p.wait(ctx); err != nil {
			return err
		}
		if c[2] == 67 {
			l.answer(append(append([]byte{0x5f}, ReceiptName...), 0)...)
		}
	case '(':
		if err := l.p.wait(ctx); err != nil {
			return err
		}
		if c[2] == 'H' && len(c) == 11 && c[5] == 48 && c[6] == 48 {
			l.answer(0x37, 0x22, c[7], c[8], c[9], c[10], 0)
		}
	}
	return nil
}
