package sscard

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// Unreadable stands for a character that could not be decoded: 〿 (U+303F), a
// visible box that no name contains.
const Unreadable = '〿'

// twoByte are the characters that GB 18030-2000 kept in the private use area
// and that fonts and forms know by the code points of GB 18030-2022. Cards made
// over the years carry the old two bytes; x/text decodes none of them.
var twoByte = map[uint16]rune{
	0xA6D9: 0xFE10, 0xA6DA: 0xFE12, 0xA6DB: 0xFE11, 0xA6DC: 0xFE13, 0xA6DD: 0xFE14,
	0xA6DE: 0xFE15, 0xA6DF: 0xFE16, 0xA6EC: 0xFE17, 0xA6ED: 0xFE18, 0xA6F3: 0xFE19,
	0xFE51: 0x20087, 0xFE52: 0x20089, 0xFE53: 0x200CC, 0xFE59: 0x9FB4, 0xFE61: 0x9FB5,
	0xFE66: 0x9FB6, 0xFE67: 0x9FB7, 0xFE6C: 0x215D7, 0xFE6D: 0x9FB8, 0xFE76: 0x2298F,
	0xFE7E: 0x9FB9, 0xFE90: 0x9FBA, 0xFE91: 0x241FE, 0xFEA0: 0x9FBB,
}

// DecodeGB18030 decodes a text of one-, two- and four-byte characters. exact is
// false when a character could not be decoded; each such character becomes 〿,
// so that nobody takes a wrong name for a right one. Private use code points
// count as undecodable: no font here can show them.
func DecodeGB18030(b []byte) (text string, exact bool) {
	var out strings.Builder
	exact = true
	for len(b) > 0 {
		n := width(b)
		r, ok := decodeOne(b[:n])
		if !ok {
			r, exact = Unreadable, false
		}
		out.WriteRune(r)
		b = b[n:]
	}
	return out.String(), exact
}

// width is the length in bytes of the character at the start of b by the byte
// ranges of GB 18030-2022 §6. What fits no range counts as one byte, except that
// a lead byte takes its broken trail along when that trail cannot start a
// character of its own.
func width(b []byte) int {
	switch {
	case b[0] < 0x81 || b[0] == 0xFF || len(b) == 1:
		return 1
	case b[1] >= 0x40 && b[1] <= 0xFE && b[1] != 0x7F:
		return 2
	case b[1] >= '0' && b[1] <= '9':
		if len(b) < 4 {
			return len(b) // a four-byte character cut off at the end
		}
		if b[2] >= 0x81 && b[2] <= 0xFE && b[3] >= '0' && b[3] <= '9' {
			return 4
		}
		return 1
	}
	return 1
}

func decodeOne(b []byte) (rune, bool) {
	if len(b) == 1 {
		return rune(b[0]), b[0] >= 0x20 && b[0] < 0x7F
	}
	if len(b) == 2 {
		if r, ok := twoByte[uint16(b[0])<<8|uint16(b[1])]; ok {
			return r, true
		}
	}
	dec, err := simplifiedchinese.GB18030.NewDecoder().Bytes(b)
	if err != nil {
		return 0, false
	}
	r, n := utf8.DecodeRune(dec)
	if r == utf8.RuneError || n != len(dec) || private(r) {
		return 0, false
	}
	return r, true
}

func private(r rune) bool {
	return r >= 0xE000 && r <= 0xF8FF || r >= 0xF0000
}
