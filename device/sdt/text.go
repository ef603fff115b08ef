package sdt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"cunban/device"
)

// Sizes of the parts of a card's content, bytes.
const (
	textSize  = 256
	photoSize = 1024
	typeAt    = 248 // the letter that tells the layouts apart
)

// unreadable stands for a character that could not be decoded.
const unreadable = '〿'

// span is one field of the text area: offset and size in bytes.
type span struct{ at, size int }

// layout is where the fields are in one kind of card.
type layout struct {
	name, nameEN, nameEN2, sex, ethnic, birth, address, number, authority, from, until, nation span
}

var (
	// 居民身份证 (GA/T 1012); 港澳台居民居住证 has the same fields, no ethnic
	// group, and its permit number and count behind them.
	residentLayout = layout{name: span{0, 30}, sex: span{30, 2}, ethnic: span{32, 4}, birth: span{36, 16},
		address: span{52, 70}, number: span{122, 36}, authority: span{158, 30}, from: span{188, 16}, until: span{204, 16}}
	// 外国人永久居留证, "I".
	foreignerLayout = layout{nameEN: span{0, 120}, sex: span{120, 2}, number: span{122, 30}, nation: span{152, 6},
		name: span{158, 30}, from: span{188, 16}, until: span{204, 16}, birth: span{220, 16}, authority: span{240, 8}}
	// 外国人永久居留身份证 of 2023, "Y". The English name goes on behind the dates.
	foreigner23Layout = layout{name: span{0, 30}, sex: span{30, 2}, birth: span{36, 16}, nameEN: span{52, 70},
		number: span{122, 36}, from: span{188, 16}, until: span{204, 16}, nameEN2: span{220, 22}, nation: span{242, 6}}
)

// parseContent takes the data of "read text and photo" apart: two lengths, the
// text area, the photo. Other lengths than the standard's are an error: what
// follows would be guessed.
func parseContent(data []byte) (device.IDCard, error) {
	if len(data) < 4 {
		return device.IDCard{}, fmt.Errorf("content of %d bytes: %w", len(data), device.ErrDamagedCard)
	}
	t, p := int(binary.BigEndian.Uint16(data)), int(binary.BigEndian.Uint16(data[2:]))
	data = data[4:]
	if t != textSize || p > photoSize || t+p > len(data) {
		return device.IDCard{}, fmt.Errorf("content says %d bytes of text and %d of photo, has %d: %w", t, p, len(data), device.ErrDamagedCard)
	}
	card, err := ParseText(data[:t])
	if err != nil {
		return device.IDCard{}, err
	}
	card.PhotoWLT = bytes.Clone(data[t : t+p])
	return card, nil
}

// ParseText decodes the text area of an ID card: 256 bytes of UTF-16LE, padded
// with spaces, in the layout that its type letter names. A letter that nobody
// knows gives Type device.IDUnknown and no fields, so that nothing is
// mis-parsed: such a card goes to a helper. The error wraps
// device.ErrDamagedCard.
func ParseText(b []byte) (device.IDCard, error) {
	if len(b) != textSize {
		return device.IDCard{}, fmt.Errorf("text area of %d bytes: %w", len(b), device.ErrDamagedCard)
	}
	var card device.IDCard
	var l layout
	switch letter := binary.LittleEndian.Uint16(b[typeAt:]); letter {
	case ' ', 0:
		card.Type, l = device.IDResident, residentLayout
	case 'J':
		card.Type, l = device.IDHKMT, residentLayout
	case 'I':
		card.Type, l = device.IDForeigner, foreignerLayout
	case 'Y':
		card.Type, l = device.IDForeign23, foreigner23Layout
	default:
		card.Type = device.IDUnknown
		return card, nil
	}
	field := func(s span) string { return decodeUTF16(b[s.at : s.at+s.size]) }
	card.Name, card.Sex, card.BirthDate = field(l.name), field(l.sex), field(l.birth)
	// The second part goes on at the very next character, which may be a space.
	card.NameEN = trim(rawUTF16(b[l.nameEN.at:l.nameEN.at+l.nameEN.size]) + rawUTF16(b[l.nameEN2.at:l.nameEN2.at+l.nameEN2.size]))
	card.Address, card.Number, card.Authority = field(l.address), field(l.number), field(l.authority)
	card.ValidFrom, card.ValidUntil, card.Nation = field(l.from), field(l.until), field(l.nation)
	if card.Type == device.IDResident {
		card.Ethnic = field(l.ethnic)
	}
	if card.Number == "" || card.Name == "" && card.NameEN == "" {
		return device.IDCard{}, fmt.Errorf("no number or no name in the text area: %w", device.ErrDamagedCard)
	}
	return card, nil
}

// decodeUTF16 decodes a field and takes the padding off.
func decodeUTF16(b []byte) string { return trim(rawUTF16(b)) }

func trim(s string) string { return strings.Trim(s, " 　") }

// rawUTF16 decodes UTF-16LE. Half a surrogate pair and what is no character
// become 〿.
func rawUTF16(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	var out strings.Builder
	for _, r := range utf16.Decode(units) {
		switch {
		case r == 0:
			r = ' '
		case r == utf8.RuneError, r < 0x20, r >= 0xE000 && r <= 0xF8FF, r&0xFFFE == 0xFFFE:
			r = unreadable
		}
		out.WriteRune(r)
	}
	return out.String()
}
