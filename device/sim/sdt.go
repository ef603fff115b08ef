package sim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// DemoDate is the date part of the simulated security module's number: the last
// day a module can name, which no maker ever gave one. A terminal takes a
// reader with it for a simulated one.
const DemoDate = 99991231

// SDTLink is the name, under Options.Dir, of the symbolic link to the serial
// line of the simulated ID reader.
const SDTLink = "sdt"

// Line faults that the simulated reader can be told to make, for tests.
type sdtFault int

const (
	faultNone     sdtFault = iota
	faultNoise             // rubbish before and after each answer
	faultSplit             // each answer a byte at a time
	faultChecksum          // the next answer has a wrong check byte
	faultLength            // the next answer has a wrong length
	faultSilent            // the next command is not answered
	faultTwice             // each answer comes twice in one piece
	faultHalf              // the next answer stops half-way
	faultCable             // the cable is pulled in the middle of the next answer
)

// idReader is an ID-card reader (SDT protocol) at the other end of a pty.
type idReader struct {
	link string
	log  *slog.Logger

	mu       sync.Mutex
	card     *CardFile
	text     []byte
	found    bool // this card was found since it was put on
	selected bool
	fault    sdtFault
	cutAt    int             // bytes of the answer that are out when the cable is pulled
	refuse   map[uint16]byte // SW3 with which a command is refused, for tests
	master   *os.File
	slave    *os.File
	done     chan struct{}
	commands int64
}

func newIDReader(dir string, log *slog.Logger) *idReader {
	return &idReader{link: filepath.Join(dir, SDTLink), log: log}
}

// plug makes a new serial line and points the link at it.
func (r *idReader) plug() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.master != nil {
		return nil
	}
	master, slave, err := pty.Open()
	if err != nil {
		return fmt.Errorf("serial line of the ID reader: %w", err)
	}
	// The slave stays open here, so that the line survives the terminal's
	// closing and opening it; raw, so that no byte is changed on the way.
	if err := rawMode(slave); err != nil {
		return errors.Join(err, master.Close(), slave.Close())
	}
	tmp := r.link + ".new"
	_ = os.Remove(tmp) // left over from a crash
	if err := os.Symlink(slave.Name(), tmp); err != nil {
		return errors.Join(fmt.Errorf("link to the ID reader: %w", err), master.Close(), slave.Close())
	}
	if err := os.Rename(tmp, r.link); err != nil {
		return errors.Join(fmt.Errorf("link to the ID reader: %w", err), master.Close(), slave.Close())
	}
	r.master, r.slave, r.done = master, slave, make(chan struct{})
	r.found, r.selected = false, false
	go r.serve(master, r.done)
	return nil
}

// unplug pulls the cable and returns when the line is gone.
func (r *idReader) unplug() {
	r.mu.Lock()
	master, slave, done := r.master, r.slave, r.done
	r.master, r.slave = nil, nil
	r.mu.Unlock()
	if master == nil {
		return
	}
	_ = os.Remove(r.link)
	_ = slave.Close()
	_ = master.Close()
	<-done
}

// put lays a card on the plate; one that lies there is lifted first.
func (r *idReader) put(c *CardFile) error {
	if c.ID == nil {
		return fmt.Errorf("card %s has no section \"id\": it is no ID card", c.Name)
	}
	text, err := c.idText()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.card, r.text, r.found, r.selected = c, text, false, false
	return nil
}

func (r *idReader) lift() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.card, r.text, r.found, r.selected = nil, nil, false, false
}

func (r *idReader) setFault(f sdtFault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = f
}

func rawMode(f *os.File) error {
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return fmt.Errorf("serial line: read its mode: %w", err)
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8 | unix.CREAD | unix.CLOCAL
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t); err != nil {
		return fmt.Errorf("serial line: set raw mode: %w", err)
	}
	return nil
}

var sdtHead = []byte{0xAA, 0xAA, 0xAA, 0x96, 0x69}

// serve answers commands until the line is gone.
func (r *idReader) serve(master *os.File, done chan struct{}) {
	defer close(done)
	var in []byte
	buf := make([]byte, 512)
	for {
		n, err := master.Read(buf)
		if err != nil {
			return
		}
		in = append(in, buf[:n]...)
		for {
			at := bytes.Index(in, sdtHead)
			if at < 0 {
				if len(in) > len(sdtHead) {
					in = in[len(in)-len(sdtHead):]
				}
				break
			}
			in = in[at:]
			if len(in) < 7 {
				break
			}
			size := int(binary.BigEndian.Uint16(in[5:7]))
			if size < 3 || size > 64 {
				in = in[1:]
				continue
			}
			if len(in) < 7+size {
				break
			}
			body := in[5 : 7+size]
			in = in[7+size:]
			check := byte(0)
			for _, b := range body {
				check ^= b
			}
			answer := []byte{0x00, 0x00, 0x10} // wrong check byte
			if check == 0 {
				answer = r.command(body[2 : len(body)-1])
			}
			if !r.send(master, answer) {
				return
			}
		}
	}
}

// command answers one command with SW1 SW2 SW3 and data.
func (r *idReader) command(cmd []byte) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.commands++
	ok := func(sw3 byte, data ...byte) []byte { return append([]byte{0x00, 0x00, sw3}, data...) }
	c := uint16(cmd[0])<<8 | uint16(cmd[1])
	if sw3, no := r.refuse[c]; no {
		return ok(sw3)
	}
	switch c {
	case 0x11FF:
		return ok(0x90)
	case 0x12FF:
		n := binary.LittleEndian.AppendUint16(nil, 5)
		n = binary.LittleEndian.AppendUint16(n, 3)
		for _, v := range []uint32{DemoDate, 1, 1} {
			n = binary.LittleEndian.AppendUint32(n, v)
		}
		return ok(0x90, n...)
	case 0x2001:
		// A card that was found must leave the field before it is found again.
		if r.card == nil || r.found {
			return ok(0x80)
		}
		r.found = true
		return ok(0x9F, 0, 0, 0, 0)
	case 0x2002:
		if r.card == nil || !r.found {
			return ok(0x81)
		}
		r.selected = true
		return ok(0x90, make([]byte, 8)...)
	case 0x3001, 0x3010:
		if r.card == nil || !r.selected {
			return ok(0x41)
		}
		if f := r.card.ID.Fault; f != "" {
			if sw3, err := strconv.ParseUint(f, 16, 8); err == nil {
				return ok(byte(sw3))
			}
		}
		photo := idPhoto()
		out := binary.BigEndian.AppendUint16(nil, uint16(len(r.text)))
		out = binary.BigEndian.AppendUint16(out, uint16(len(photo)))
		if c == 0x3010 {
			out = binary.BigEndian.AppendUint16(out, 0)
		}
		return ok(0x90, append(append(out, r.text...), photo...)...)
	case 0x3003:
		if r.card == nil || !r.selected {
			return ok(0x41)
		}
		return ok(0x91)
	}
	return ok(0x24)
}

// send frames an answer and writes it, with whatever fault is asked for. It
// reports whether the line is still there.
func (r *idReader) send(w *os.File, answer []byte) bool {
	r.mu.Lock()
	fault := r.fault
	switch fault {
	case faultChecksum, faultLength, faultSilent, faultHalf, faultCable:
		r.fault = faultNone // once: what is asked again is answered well
	case faultNone, faultNoise, faultSplit, faultTwice:
	}
	cutAt := r.cutAt
	r.mu.Unlock()

	body := binary.BigEndian.AppendUint16(nil, uint16(len(answer)+1))
	body = append(body, answer...)
	check := byte(0)
	for _, b := range body {
		check ^= b
	}
	frame := append(append(bytes.Clone(sdtHead), body...), check)
	switch fault {
	case faultNone:
	case faultNoise:
		frame = append([]byte{0x00, 0xAA, 0xAA, 0x96, 0x55, 0xAA}, frame...)
		frame = append(frame, 0xFF, 0xAA, 0x00)
	case faultSplit:
		for _, b := range frame {
			if _, err := w.Write([]byte{b}); err != nil {
				return false
			}
		}
		return true
	case faultChecksum:
		frame[len(frame)-1] ^= 0x5A
	case faultLength:
		frame[5], frame[6] = 0x07, 0xD0
	case faultSilent:
		return true
	case faultTwice:
		frame = append(frame, frame...)
	case faultHalf:
		frame = frame[:len(frame)/2]
	case faultCable:
		_, _ = w.Write(frame[:min(cutAt, len(frame))]) // the line goes with it
		go r.unplug()                                  // which waits for this goroutine to end
		return false
	}
	_, err := w.Write(frame)
	return err == nil
}
