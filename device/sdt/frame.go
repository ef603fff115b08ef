package sdt

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// header begins every frame in either direction.
var header = []byte{0xAA, 0xAA, 0xAA, 0x96, 0x69}

// Bounds of a frame's length field, which counts what follows it, check byte
// included: three status bytes and the check byte at least, text, photo and two
// fingerprints at most (2321 bytes in all).
const (
	minLen = 4
	maxLen = 2400
)

// command makes a frame to the reader.
func command(cmd, para byte) []byte {
	body := []byte{0x00, 0x03, cmd, para}
	return append(append(bytes.Clone(header), body...), xor(body))
}

func xor(b []byte) (x byte) {
	for _, c := range b {
		x ^= c
	}
	return x
}

// answer is one well-formed frame from the reader.
type answer struct {
	sw   [3]byte
	data []byte
}

// parser finds frames in what a serial line delivers: split anywhere, several
// at once, with noise before and between, with wrong lengths and check bytes.
// Nothing is lost but what is broken. Not safe for concurrent use.
type parser struct {
	buf []byte
	bad int // frames with a wrong check byte since reset
}

// maxBuffer bounds what is kept, bytes: more than two of the longest frames
// without a good one is noise.
const maxBuffer = 8192

// feed adds bytes from the line.
func (p *parser) feed(b []byte) {
	p.buf = append(p.buf, b...)
	if len(p.buf) > maxBuffer {
		p.buf = append(p.buf[:0], p.buf[len(p.buf)-maxBuffer:]...)
	}
}

// next returns the next good frame; ok is false when more bytes are needed.
func (p *parser) next() (a answer, ok bool) {
	for {
		at := bytes.Index(p.buf, header)
		if at < 0 {
			// The header may have begun.
			if n := len(p.buf) - (len(header) - 1); n > 0 {
				p.buf = p.buf[n:]
			}
			return a, false
		}
		p.buf = p.buf[at:]
		if len(p.buf) < len(header)+2 {
			return a, false
		}
		body := p.buf[len(header):]
		n := int(binary.BigEndian.Uint16(body))
		if n < minLen || n > maxLen {
			p.skip()
			continue
		}
		if len(body) < 2+n {
			return a, false
		}
		if xor(body[:2+n]) != 0 {
			p.bad++
			p.skip()
			continue
		}
		copy(a.sw[:], body[2:5])
		a.data = bytes.Clone(body[5 : 2+n-1])
		p.buf = body[2+n:]
		return a, true
	}
}

// skip gives up the frame at the start of the buffer: one byte only, since its
// length may be what was wrong and a good frame may be inside.
func (p *parser) skip() {
	if len(p.buf) > 0 {
		p.buf = p.buf[1:]
	}
}

// reset forgets everything, before a new command.
func (p *parser) reset() { p.buf, p.bad = p.buf[:0], 0 }

// swWords are the meanings of SW3.
var swWords = map[byte]string{
	swOK: "ok", swFound: "found", 0x10: "wrong check byte", 0x11: "wrong length", 0x21: "wrong command", 0x24: "unknown command",
	0x31: "card authentication failed", 0x32: "SAM authentication failed", 0x33: "information authentication failed",
	0x40: "wrong kind of card", 0x41: "reading failed", 0x47: "no random number", 0x60: "self-test failed",
	0x66: "module not authorised", swNotFound: "no card found", 0x81: "selecting failed", 0x91: "no such content",
}

// Values of SW3 that the driver acts on.
const (
	swOK         = 0x90
	swFound      = 0x9F
	swChecksum   = 0x10
	swLength     = 0x11
	swSelfTest   = 0x60
	swNotAllowed = 0x66
	swNotFound   = 0x80
	swNoContent  = 0x91
)

// StatusError is an answer of the reader that is no success.
type StatusError struct{ SW [3]byte }

// Error names the status for technicians.
func (e *StatusError) Error() string {
	w, ok := swWords[e.SW[2]]
	if !ok {
		w = "unknown status"
	}
	return fmt.Sprintf("ID reader answered %02X%02X%02X: %s", e.SW[0], e.SW[1], e.SW[2], w)
}
