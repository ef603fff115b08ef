package sscard_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"cunban/device"
	"cunban/device/sscard"
)

// hostile is a card that answers whatever the fuzzer says: one length byte and
// as many bytes for each command, and 6A83 when they are used up.
type hostile struct {
	script []byte
	sent   int
}

func (h *hostile) ATR() []byte  { return []byte{0x3B, 0x00} }
func (h *hostile) Close() error { return nil }
func (h *hostile) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	h.sent++
	if len(apdu) < 4 {
		return nil, errors.New("not an APDU")
	}
	if len(h.script) == 0 {
		return []byte{0x6A, 0x83}, nil
	}
	n := min(int(h.script[0]), len(h.script)-1)
	out := h.script[1 : 1+n]
	h.script = h.script[1+n:]
	return out, nil
}

// maxCommands is what the three forms over two files can take at most.
const maxCommands = 3 + 3*(7+7) + 4*4

// FuzzRead: whatever a card answers, reading ends, bounded, without a panic,
// with a person or with one of the port's errors.
func FuzzRead(f *testing.F) {
	ok := []byte{2, 0x90, 0x00}
	number := append([]byte{22, 0x08, 18}, append([]byte("140830195603120024"), 0x90, 0x00)...)
	name := append([]byte{10, 0x09, 6}, 0xD5, 0xC5, 0xB9, 0xF0, 0xC0, 0xBC, 0x90, 0x00)
	f.Add(bytes.Join([][]byte{ok, {2, 0x6A, 0x82}, ok, number, name}, nil))
	f.Add(bytes.Join([][]byte{ok, ok, ok, number, name}, nil))
	for _, name := range []string{"identifier", "number", "shortfile", "straddle", "blank", "foreign"} {
		var said []byte
		for _, l := range load(f, name).lines {
			said = append(append(said, byte(len(l[1]))), l[1]...)
		}
		f.Add(said)
	}
	f.Add([]byte{2, 0x6A, 0x82})
	f.Add([]byte{1, 0x90, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		h := &hostile{script: in}
		card, err := sscard.New().Read(t.Context(), h)
		if h.sent > maxCommands {
			t.Fatalf("%d commands", h.sent)
		}
		if err != nil {
			for _, want := range []error{device.ErrForeignCard, device.ErrBlankCard, device.ErrDamagedCard} {
				if errors.Is(err, want) {
					return
				}
			}
			t.Fatalf("error of no known kind: %v", err)
		}
		if card.Number == "" || len(card.NameBytes) == 0 || card.Name == "" {
			t.Fatalf("a person without number or name: %+v", card)
		}
		for _, s := range []string{card.Number, card.CardNumber, card.Name, card.Version, card.BirthDate} {
			if !utf8.ValidString(s) || strings.ContainsAny(s, "\x00\r\n") {
				t.Fatalf("not plain text: %q", s)
			}
		}
	})
}

// FuzzDecodeGB18030: every text decodes to valid text, and an exact one has no
// sign of loss.
func FuzzDecodeGB18030(f *testing.F) {
	f.Add([]byte("\xD5\xC5\xB9\xF0\xC0\xBC"))
	f.Add([]byte("\x95\x34\xB2\x35\x81\x30"))
	f.Add([]byte("\xFE\x51\xA6\xD9\xFF"))
	f.Fuzz(func(t *testing.T, in []byte) {
		text, exact := sscard.DecodeGB18030(in)
		if !utf8.ValidString(text) || strings.ContainsRune(text, utf8.RuneError) {
			t.Fatalf("%X gives %q", in, text)
		}
		if exact && len(in) > 0 && text == "" {
			t.Fatalf("%X vanished", in)
		}
	})
}
