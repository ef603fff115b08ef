package sdt

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"cunban/device"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The commands and answers as the domain sheet has them.
func TestFramesOfTheStandard(t *testing.T) {
	for cmd, want := range map[uint16]string{
		cmdStatus: "AAAAAA9669000311FFED", cmdSAM: "AAAAAA9669000312FFEE", cmdFind: "AAAAAA966900032001 22",
		cmdSelect: "AAAAAA96690003200221", cmdRead: "AAAAAA96690003300132", cmdAddress: "AAAAAA96690003300330",
	} {
		w := unhex(t, string(bytes.ReplaceAll([]byte(want), []byte(" "), nil)))
		if got := command(byte(cmd>>8), byte(cmd)); !bytes.Equal(got, w) {
			t.Errorf("%04X: %X, want %X", cmd, got, w)
		}
	}
	var p parser
	p.feed(unhex(t, "AAAAAA9669000800009F0000000097"+"AAAAAA9669000C00009000000000000000009C"))
	a, ok := p.next()
	if !ok || a.sw != [3]byte{0, 0, swFound} || len(a.data) != 4 {
		t.Errorf("find: %+v %v", a, ok)
	}
	a, ok = p.next()
	if !ok || a.sw != [3]byte{0, 0, swOK} || len(a.data) != 8 {
		t.Errorf("select: %+v %v", a, ok)
	}
}

func frame(sw3 byte, data []byte) []byte {
	body := binary.BigEndian.AppendUint16(nil, uint16(len(data)+4))
	body = append(append(body, 0, 0, sw3), data...)
	return append(append(bytes.Clone(header), body...), xor(body))
}

func TestParserFindsFramesInNoise(t *testing.T) {
	good := frame(swOK, []byte{1, 2, 3})
	broken := bytes.Clone(good)
	broken[len(broken)-1] ^= 1
	short := append(bytes.Clone(header), 0, 1)
	long := append(bytes.Clone(header), 0xFF, 0xFF)
	for name, in := range map[string][]byte{
		"alone":               good,
		"noise before":        append([]byte{0, 0xAA, 0xAA, 0x96, 0xAA}, good...),
		"one AA too many":     append([]byte{0xAA}, good...),
		"after a broken one":  append(bytes.Clone(broken), good...),
		"after a short one":   append(short, good...),
		"after a long one":    append(long, good...),
		"after a torn header": append([]byte{0xAA, 0xAA, 0xAA, 0x96}, good...),
	} {
		for chunk := 1; chunk <= len(in); chunk++ {
			var p parser
			var got []answer
			for rest := in; len(rest) > 0; {
				n := min(chunk, len(rest))
				p.feed(rest[:n])
				rest = rest[n:]
				for a, ok := p.next(); ok; a, ok = p.next() {
					got = append(got, a)
				}
			}
			if len(got) != 1 || !bytes.Equal(got[0].data, []byte{1, 2, 3}) {
				t.Errorf("%s in pieces of %d: %+v", name, chunk, got)
			}
		}
	}
}

// text fills a text area with fields at offsets.
func text(letter string, fields map[int]string) []byte {
	b := bytes.Repeat([]byte{' ', 0}, textSize/2)
	fields[typeAt] = letter
	for at, s := range fields {
		for i, u := range utf16.Encode([]rune(s)) {
			binary.LittleEndian.PutUint16(b[at+2*i:], u)
		}
	}
	return b
}

func TestParseText(t *testing.T) {
	base := func() map[int]string { return map[int]string{0: "𠮷·磑", 30: "1", 122: "140830199301080125"} }
	got, err := ParseText(text(" ", base()))
	if err != nil || got.Type != device.IDResident || got.Name != "𠮷·磑" || got.Number != "140830199301080125" {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = ParseText(text("Q", base()))
	if err != nil || got.Type != device.IDUnknown || got.Name != "" || got.Number != "" {
		t.Errorf("a card of an unknown kind is parsed: %+v, %v", got, err)
	}
	b := text(" ", base())
	copy(b[2:], []byte{0x20, 0x00}) // the second half of the pair is gone
	if got, err = ParseText(b); err != nil || got.Name != "〿 ·磑" {
		t.Errorf("half a character: %q, %v", got.Name, err)
	}
	for name, in := range map[string][]byte{"short": b[:255], "empty": {}, "no number": text(" ", map[int]string{0: "张"}),
		"no name": text(" ", map[int]string{122: "1"})} {
		if _, err := ParseText(in); !errors.Is(err, device.ErrDamagedCard) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestContentLengths(t *testing.T) {
	body := append(text(" ", map[int]string{0: "张", 122: "1"}), make([]byte, photoSize)...)
	for _, c := range []struct {
		t, p int
		ok   bool
	}{{256, 1024, true}, {256, 0, true}, {256, 1025, false}, {255, 1024, false}, {0, 0, false}, {65535, 65535, false}} {
		in := binary.BigEndian.AppendUint16(nil, uint16(c.t))
		in = append(binary.BigEndian.AppendUint16(in, uint16(c.p)), body...)
		if _, err := parseContent(in); (err == nil) != c.ok {
			t.Errorf("lengths %d and %d: %v", c.t, c.p, err)
		}
	}
}

// FuzzParser: whatever comes, in whatever pieces, the parser keeps bounded, and
// a good frame behind it is found once the noise is given up.
func FuzzParser(f *testing.F) {
	f.Add(frame(swOK, []byte{1, 2}), 3)
	f.Add(append(bytes.Clone(header), 0x07, 0xD0, 0, 0, 0x90), 1)
	f.Add([]byte{0xAA, 0xAA, 0xAA, 0xAA, 0x96, 0x69, 0, 4}, 2)
	f.Fuzz(func(t *testing.T, in []byte, chunk int) {
		var p parser
		chunk = max(chunk, 1)
		for rest := in; len(rest) > 0; {
			n := min(chunk, len(rest))
			p.feed(rest[:n])
			rest = rest[n:]
			for a, ok := p.next(); ok; a, ok = p.next() {
				if len(a.data) > maxLen {
					t.Fatalf("data of %d bytes", len(a.data))
				}
			}
		}
		if len(p.buf) > maxBuffer {
			t.Fatalf("keeps %d bytes", len(p.buf))
		}
		p.feed(frame(swOK, []byte("the good one")))
		for {
			if _, ok := p.next(); ok {
				// The good one, or noise that makes a frame with its first
				// bytes, check byte included: the two cannot be told apart.
				return
			}
			if len(p.buf) == 0 {
				t.Fatal("the good frame is lost")
			}
			p.skip()
		}
	})
}

// FuzzContent: whatever a card holds, there is an error or plain text.
func FuzzContent(f *testing.F) {
	for _, letter := range []string{" ", "J", "I", "Y", "Q"} {
		in := []byte{1, 0, 4, 0}
		f.Add(append(append(in, text(letter, map[int]string{0: "张", 122: "140830", 158: "芮"})...), make([]byte, photoSize)...))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := parseContent(in)
		if err != nil {
			if !errors.Is(err, device.ErrDamagedCard) {
				t.Fatal(err)
			}
			return
		}
		for _, s := range []string{c.Name, c.NameEN, c.Number, c.Address, c.Authority, c.Nation, c.ValidUntil} {
			if !utf8.ValidString(s) || bytes.ContainsAny([]byte(s), "\x00\r\n\uFFFD") {
				t.Fatalf("not plain text: %q", s)
			}
		}
		if c.Type != device.IDUnknown && c.Number == "" {
			t.Fatalf("a person without number: %+v", c)
		}
	})
}
