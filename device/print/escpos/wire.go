package escpos

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
	"iter"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"cunban/device"
)

// Commands.
var (
	initialise = []byte{0x1b, '@'}
	cut        = []byte{0x1d, 'V', 66, 0} // feed to the knife, cut
	askModel   = []byte{0x1d, 'I', 67}
	// clearAll is DLE DC4 8: forget what was received. It is obeyed at once, also
	// by a printer that stands still.
	clearAll = []byte{0x10, 0x14, 8, 1, 3, 20, 1, 6, 2, 8}
)

// stripRows is how many rows of dots go in one picture: what the smallest
// buffers hold.
const stripRows = 128

// strips are the commands that print a picture: GS v 0, a dot for every pixel
// that is darker than half.
func strips(m image.Image) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		b := m.Bounds()
		width := (b.Dx() + 7) / 8
		for y0 := b.Min.Y; y0 < b.Max.Y; y0 += stripRows {
			rows := min(stripRows, b.Max.Y-y0)
			cmd := []byte{0x1d, 'v', '0', 0}
			cmd = binary.LittleEndian.AppendUint16(cmd, uint16(width))
			cmd = binary.LittleEndian.AppendUint16(cmd, uint16(rows))
			bits := make([]byte, width*rows)
			for y := range rows {
				for x := range b.Dx() {
					if color.GrayModel.Convert(m.At(b.Min.X+x, y0+y)).(color.Gray).Y < 128 {
						bits[y*width+x/8] |= 0x80 >> (x % 8)
					}
				}
			}
			harmless(bits)
			if !yield(append(cmd, bits...)) {
				return
			}
		}
	}
}

// harmless breaks what a printer would take for a real-time command in the middle
// of a picture (DLE with EOT, ENQ or DC4), by one dot more.
func harmless(bits []byte) {
	for i := 1; i < len(bits); i++ {
		if bits[i-1] == 0x10 && (bits[i] == 0x04 || bits[i] == 0x05 || bits[i] == 0x14) {
			bits[i-1] |= 0x08
		}
	}
}

// mark names a job in four characters that printers give back (GS ( H).
func mark(serial uint32) (id [4]byte) {
	copy(id[:], fmt.Sprintf("%04X", serial&0xffff))
	return id
}

// cutAndTell cuts the paper and has the printer tell when it has come so far:
// by the job's mark, and for printers that do not know marks by the state of the
// roll, which is told in its turn too (GS r).
func cutAndTell(id [4]byte) []byte {
	out := append([]byte(nil), cut...)
	out = append(out, 0x1d, '(', 'H', 6, 0, 48, 48)
	out = append(out, id[:]...)
	return append(out, 0x1d, 'r', 1)
}

// status is what the printer says of itself, one byte for each DLE EOT n.
type status struct{ printer, offline, fault, paper byte }

// Bits of the answers.
const (
	offLine     = 0x08 // printer
	coverOpen   = 0x04 // offline
	paperStop   = 0x20
	otherFault  = 0x40
	cutterFault = 0x08 // fault
	dead        = 0x20
	tooHot      = 0x40
	nearEnd     = 0x0c // paper
	noPaper     = 0x60
)

// isStatus tells an answer to DLE EOT from others: bits 1 and 4 are set, 0 and 7
// are not.
func isStatus(b byte) bool { return b&0x93 == 0x12 }

// health puts it into words.
func (s status) health() device.Health {
	h := device.Health{State: device.StateReady}
	if s != (status{}) {
		h.Detail = fmt.Sprintf("DLE EOT %02x %02x %02x %02x", s.printer, s.offline, s.fault, s.paper)
	}
	set := func(st device.State, code, cause, remedy string) device.Health {
		h.State, h.Code, h.Cause, h.Remedy = st, code, cause, remedy
		return h
	}
	switch {
	case s.paper&noPaper != 0, s.offline&paperStop != 0:
		return set(device.StateFault, "RP-02", "小票打印机没有纸了。", "请换一卷 80 毫米的小票纸，盖好盖子。")
	case s.offline&coverOpen != 0:
		return set(device.StateFault, "RP-03", "小票打印机的盖子开着。", "请盖好小票打印机的盖子。")
	case s.fault&cutterFault != 0:
		return set(device.StateFault, "RP-04", "小票打印机的切刀卡住了。", "关掉小票打印机，取出碎纸，再打开。还不行，请技术员来看看。")
	case s.fault&dead != 0:
		return set(device.StateFault, "RP-05", "小票打印机坏了。", "关掉小票打印机，等十秒再打开。还不行，请技术员来看看。")
	case s.fault&tooHot != 0:
		return set(device.StateFault, "RP-06", "小票打印机太热了。", "等五分钟再打。")
	case s.offline&otherFault != 0, s.printer&offLine != 0:
		return set(device.StateFault, "RP-07", "小票打印机停下来了。", "关掉小票打印机，等十秒再打开。")
	case s.paper&nearEnd != 0:
		return set(device.StateLow, "RP-08", "小票纸快用完了。", "请准备一卷 80 毫米的小票纸。")
	}
	return h
}

// refuses says why nothing is sent to a printer in this condition.
func (s status) refuses() error {
	h := s.health()
	if h.State.Usable() {
		return nil
	}
	why := device.ErrOffline
	switch h.Code {
	case "RP-02":
		why = device.ErrOutOfPaper
	case "RP-03":
		why = device.ErrCoverOpen
	case "RP-04":
		why = device.ErrJam
	}
	return fmt.Errorf("escpos: %w: %s", why, h.Detail)
}

// unreachable puts a broken line into words.
func unreachable(err error) device.Health {
	if errors.Is(err, os.ErrPermission) {
		return device.Health{State: device.StateFault, Code: "RP-09", Cause: "这台终端没有使用小票打印机的权限。",
			Remedy: "请技术员把运行账户加入 lp 组。", Detail: err.Error()}
	}
	return device.Health{State: device.StateAbsent, Code: "RP-01", Cause: "没有连上小票打印机。",
		Remedy: "看看小票打印机的电源和数据线。回执可以以后补打。", Detail: err.Error()}
}

// dialer makes the way to a target.
func dialer(target string) (func(ctx context.Context) (io.ReadWriteCloser, error), error) {
	if strings.HasPrefix(target, "/") {
		return func(context.Context) (io.ReadWriteCloser, error) { return os.OpenFile(target, os.O_RDWR, 0) }, nil
	}
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "tcp" || u.Port() == "" || u.Path != "" {
		return nil, fmt.Errorf("escpos: %q is neither a device file nor tcp://host:port", target)
	}
	return func(ctx context.Context) (io.ReadWriteCloser, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", u.Host)
	}, nil
}

// link is an open line. What the printer sends is read by a goroutine of its
// own, which ends when the line is closed.
type link struct {
	c    io.ReadWriteCloser
	in   chan byte
	gone chan struct{}
	stop chan struct{}
	once sync.Once
	err  error // why reading ended; after gone

	held []byte // answers of a document's end that came while a status was awaited
}

// waiting is how many bytes of answers may lie unread.
const waiting = 256

func newLink(c io.ReadWriteCloser) *link {
	l := &link{c: c, in: make(chan byte, waiting), gone: make(chan struct{}), stop: make(chan struct{})}
	go l.read()
	return l
}

func (l *link) read() {
	defer close(l.gone)
	buf := make([]byte, 64)
	for {
		n, err := l.c.Read(buf)
		for _, b := range buf[:n] {
			select {
			case l.in <- b:
			case <-l.stop:
				return
			}
		}
		if err != nil {
			l.err = err
			return
		}
	}
}

func (l *link) close() (err error) {
	l.once.Do(func() {
		close(l.stop)
		err = l.c.Close()
		<-l.gone
	})
	return err
}

// write sends all of b. A printer that takes no more bytes holds it up until ctx
// ends, when the line is closed.
func (l *link) write(ctx context.Context, b []byte) error {
	stop := context.AfterFunc(ctx, func() { _ = l.c.Close() })
	defer stop()
	if _, err := l.c.Write(b); err != nil {
		return fmt.Errorf("escpos: send: %w", errors.Join(err, ctx.Err()))
	}
	return ctx.Err()
}

// next is the next byte of the printer.
func (l *link) next(ctx context.Context) (byte, error) {
	select {
	case b := <-l.in:
		return b, nil
	default:
	}
	select {
	case b := <-l.in:
		return b, nil
	case <-l.gone:
		return 0, fmt.Errorf("escpos: the printer hung up: %w", l.err)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// status asks for all four bytes. What comes of a document's end meanwhile is
// held for told. wait is for the answers: a printer that stands still may take
// the question only when it goes on, until ctx ends. Error: device.ErrOffline when
// the printer does not answer.
func (l *link) status(ctx context.Context, wait time.Duration) (s status, err error) {
	for i, to := range []*byte{&s.printer, &s.offline, &s.fault, &s.paper} {
		if err := l.write(ctx, []byte{0x10, 0x04, byte(i + 1)}); err != nil {
			return s, err
		}
		if *to, err = l.statusByte(ctx, wait); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				err = fmt.Errorf("escpos: %w: no answer to DLE EOT %d", device.ErrOffline, i+1)
			}
			return s, err
		}
	}
	return s, nil
}

// statusByte waits for one answer to DLE EOT.
func (l *link) statusByte(ctx context.Context, wait time.Duration) (byte, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		b, err := l.next(ctx)
		if err != nil {
			return 0, err
		}
		if isStatus(b) && !l.within() {
			return b, nil
		}
		l.hold(b)
	}
}

// clear makes the printer forget what it has received, and waits for its word.
// Printers that do not know the command give none, which is no error; nor is it
// known then that they forgot.
func (l *link) clear(ctx context.Context, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err := l.write(ctx, clearAll); err != nil {
		return err
	}
	l.held = nil
	for n := 0; n < len(clearedAnswer); {
		b, err := l.next(ctx)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return nil
		case err != nil:
			return err
		case b == clearedAnswer[n]:
			n++
		case b == clearedAnswer[0]:
			n = 1
		default:
			n = 0
		}
	}
	return nil
}

// clearedAnswer is the answer to DLE DC4 8.
var clearedAnswer = []byte{0x37, 0x25, 0}

// modelHead begins the answer to GS I 67, a zero ends it.
const (
	modelHead = 0x5f
	modelMax  = 80
)

// model asks for the printer's model, "" when it gives none.
func (l *link) model(ctx context.Context, wait time.Duration) string {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if l.write(ctx, askModel) != nil {
		return ""
	}
	var name []byte
	for begun := false; len(name) < modelMax; {
		b, err := l.next(ctx)
		switch {
		case err != nil:
			return ""
		case !begun:
			begun = b == modelHead
		case b == 0:
			return string(bytes.TrimSpace(name))
		case b >= 0x20 && b < 0x7f:
			name = append(name, b)
		default:
			return "" // not a name
		}
	}
	return ""
}

// The answer to GS ( H: two bytes, the mark, a zero.
const (
	answerHead = 0x37
	answerKind = 0x22
	answerLen  = 7
)

// within tells whether the held bytes are an answer to GS ( H that is not whole:
// the characters of a mark look like a status.
func (l *link) within() bool {
	n := len(l.held)
	return n > 0 && l.held[0] == answerHead && n < answerLen
}

func (l *link) hold(b byte) {
	if len(l.held) < waiting {
		l.held = append(l.held, b)
	}
}

// told waits a while for the printer's word that it has done everything up to
// a mark. Bytes that are neither that nor the roll's state are passed over.
func (l *link) told(ctx context.Context, id [4]byte, wait time.Duration) (bool, error) {
	wctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		for len(l.held) > 0 {
			switch b := l.held[0]; {
			case b == answerHead:
				if len(l.held) < answerLen {
					break
				}
				a := l.held[:answerLen]
				l.held = l.held[answerLen:]
				if a[1] == answerKind && [4]byte(a[2:6]) == id {
					return true, nil
				}
				continue
			case b&0x90 == 0: // the roll's state (GS r 1): bits 4 and 7 are not set
				l.held = l.held[1:]
				return true, nil
			default:
				l.held = l.held[1:]
				continue
			}
			break
		}
		b, err := l.next(wctx)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if isStatus(b) && !l.within() {
			continue // a late answer
		}
		l.hold(b)
	}
}
