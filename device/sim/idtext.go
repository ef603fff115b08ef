package sim

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
)

// Sizes of what the chip of an ID card holds, bytes.
const (
	idTextSize  = 256
	idPhotoSize = 1024
	idTypeAt    = 248 // the letter that tells the layouts apart
)

// span is one field of the text area.
type span struct {
	at, size int
	text     string
}

// idText makes the 256 bytes of UTF-16LE, space padded, in the layout of the
// card's type.
func (c *CardFile) idText() ([]byte, error) {
	p, d := c.Person, c.ID
	var spans []span
	switch d.Type {
	case "", "resident", "hkmt":
		spans = []span{{0, 30, p.Name}, {30, 2, p.Sex}, {32, 4, p.Ethnic}, {36, 16, p.BirthDate}, {52, 70, d.Address},
			{122, 36, p.Number}, {158, 30, d.Authority}, {188, 16, d.ValidFrom}, {204, 16, d.ValidUntil}}
		if d.Type == "hkmt" {
			spans[2].text = ""
			spans = append(spans, span{220, 18, "H12345678"}, span{238, 4, "01"}, span{idTypeAt, 2, "J"})
		}
	case "foreigner":
		spans = []span{{0, 120, d.NameEN}, {120, 2, p.Sex}, {122, 30, p.Number}, {152, 6, d.Nation}, {158, 30, p.Name},
			{188, 16, d.ValidFrom}, {204, 16, d.ValidUntil}, {220, 16, p.BirthDate}, {236, 4, "01"},
			{240, 8, d.Authority}, {idTypeAt, 2, "I"}}
	case "foreigner23":
		head, tail := d.NameEN, ""
		if len(head) > 35 {
			head, tail = head[:35], head[35:]
		}
		spans = []span{{0, 30, p.Name}, {30, 2, p.Sex}, {32, 4, "00"}, {36, 16, p.BirthDate}, {52, 70, head},
			{122, 36, p.Number}, {188, 16, d.ValidFrom}, {204, 16, d.ValidUntil}, {220, 22, tail},
			{242, 6, d.Nation}, {idTypeAt, 2, "Y"}}
	default:
		return nil, fmt.Errorf("id.type %q: resident, hkmt, foreigner or foreigner23 is allowed", d.Type)
	}
	out := []byte(strings.Repeat("\x20\x00", idTextSize/2))
	for _, s := range spans {
		units := utf16.Encode([]rune(s.text))
		if 2*len(units) > s.size {
			return nil, fmt.Errorf("ID card: %q is longer than %d characters", s.text, s.size/2)
		}
		for i, u := range units {
			binary.LittleEndian.PutUint16(out[s.at+2*i:], u)
		}
	}
	return out, nil
}

// idPhoto makes bytes in place of a photo: the real ones need the maker's
// decoder, so nobody can look at these either.
func idPhoto() []byte {
	out := make([]byte, idPhotoSize)
	copy(out, "WLf")
	for i := 3; i < len(out); i++ {
		out[i] = byte(i * 7)
	}
	return out
}
