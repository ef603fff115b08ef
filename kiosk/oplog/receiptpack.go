package oplog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// A receipt's record is packed, since it is the largest part of a fresh log's
// receipt: some 650 bytes become some 230, where DEFLATE leaves 430. The
// packed form is a row of
//
//	00–7F          the byte itself
//	80–BF          phrase 0–63 of phrases
//	C2–E0, n bytes their 2n lower-case hex digits, n = 2 … 32 (the code less C0)
//	F0, 16 bytes   a UUID, 8-4-4-4-12 lower-case hex digits
//	FF, byte       the byte itself, 80–FF
//
// and always the one that packRecord makes: at each place it takes a UUID,
// else the longest even run of at least four hex digits, else the longest
// phrase, else the byte.
const (
	packPhrase  = 0x80
	packHex     = 0xc0
	packHexMin  = 2
	packHexMax  = 32
	packUUID    = 0xf0
	packByte    = 0xff
	uuidSize    = 16
	uuidLen     = 36
	uuidHyphens = "\x08\x0d\x12\x17"
)

// phrases are what records of submissions are made of. They belong to version
// 1 of the receipt's form and never change: text that is in none of them goes
// through byte by byte. None begins with a hex digit.
var phrases = [...]string{
	`{"account":"`,
	`{"boot":"`,
	`","boot":"`,
	`","case":"`,
	`","demo":true,"device":"`,
	`","device":"`,
	`","demo":true,"event":"case.submit","fields":{"body":"`,
	`","event":"case.submit","fields":{"body":"`,
	`","catalogue":"`,
	`","confirmed":"true","files":"`,
	`","confirmed":"false","files":"`,
	`","key":"`,
	`","mode":"self","revision":"`,
	`","mode":"assisted","revision":"`,
	`","mode":"agent","revision":"`,
	`","mode":"visit","revision":"`,
	`","service":"`,
	`","verification":"unverified"},"mac":"`,
	`","verification":"verified_online"},"mac":"`,
	`","verification":"verified_by_staff"},"mac":"`,
	`","mono":`,
	`,"outcome":"ok","private":"`,
	`,"outcome":"ok","role":"resident","seq":`,
	`,"outcome":"ok","role":"staff","seq":`,
	`","role":"resident","seq":`,
	`","role":"staff","seq":`,
	`,"session":`,
	`,"time":"`,
	`Z","version":"`,
	`"}`,
}

// errPacked means that bytes are not a packed record.
var errPacked = errors.New("not a packed record")

// hexRun is how many lower-case hex digits b begins with, at most limit.
func hexRun(b []byte, limit int) int {
	n := 0
	for n < len(b) && n < limit && strings.IndexByte(hexDigits, b[n]) >= 0 {
		n++
	}
	return n
}

// uuidOf reads the UUID that b begins with.
func uuidOf(b []byte) ([]byte, bool) {
	if len(b) < uuidLen {
		return nil, false
	}
	var digits []byte
	for i, c := range b[:uuidLen] {
		switch {
		case strings.IndexByte(uuidHyphens, byte(i)) >= 0:
			if c != '-' {
				return nil, false
			}
		case strings.IndexByte(hexDigits, c) < 0:
			return nil, false
		default:
			digits = append(digits, c)
		}
	}
	return fromHex(digits), true
}

// fromHex reads digits that were looked at before.
func fromHex(digits []byte) []byte {
	out := make([]byte, len(digits)/2)
	_, _ = hex.Decode(out, digits)
	return out
}

// packRecord packs the bytes of a record.
func packRecord(line []byte) []byte {
	var out []byte
	for len(line) > 0 {
		if u, ok := uuidOf(line); ok {
			out, line = append(append(out, packUUID), u...), line[uuidLen:]
			continue
		}
		if n := hexRun(line, 2*packHexMax) / 2; n >= packHexMin {
			out, line = append(append(out, packHex|byte(n)), fromHex(line[:2*n])...), line[2*n:]
			continue
		}
		best := -1
		for i, p := range phrases {
			if bytes.HasPrefix(line, []byte(p)) && (best < 0 || len(p) > len(phrases[best])) {
				best = i
			}
		}
		switch {
		case best >= 0:
			out, line = append(out, packPhrase|byte(best)), line[len(phrases[best]):]
		case line[0] >= packPhrase:
			out, line = append(out, packByte, line[0]), line[1:]
		default:
			out, line = append(out, line[0]), line[1:]
		}
	}
	return out
}

// unpackRecord is the reverse of packRecord. Errors: errPacked.
func unpackRecord(b []byte) ([]byte, error) {
	var out []byte
	for i := 0; i < len(b); {
		c := b[i]
		i++
		n := 0
		switch {
		case c < packPhrase:
			out = append(out, c)
			continue
		case c < packHex && int(c-packPhrase) < len(phrases):
			out = append(out, phrases[c-packPhrase]...)
			continue
		case c >= packHex|packHexMin && c <= packHex+packHexMax:
			n = int(c - packHex)
		case c == packUUID:
			n = uuidSize
		case c == packByte:
			n = 1
		default:
			return nil, fmt.Errorf("%w: code %02x", errPacked, c)
		}
		if n > len(b)-i {
			return nil, fmt.Errorf("%w: it ends too early", errPacked)
		}
		raw := b[i : i+n]
		i += n
		switch c {
		case packByte:
			out = append(out, raw...)
		case packUUID:
			for k, u := range raw {
				if k == 4 || k == 6 || k == 8 || k == 10 {
					out = append(out, '-')
				}
				out = append(out, hexDigits[u>>4], hexDigits[u&15])
			}
		default:
			out = hex.AppendEncode(out, raw)
		}
	}
	return out, nil
}

// base45Digits are the digits of base45 (RFC 9285 §4.2), which are those of
// the alphanumeric mode of QR codes.
const base45Digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

// base45 writes two bytes as three digits, the lowest first, and a last one as
// two.
func base45(b []byte) string {
	out := make([]byte, 0, len(b)/2*3+2)
	for i := 0; i < len(b); i += 2 {
		v, digits := int(b[i]), 2
		if i+1 < len(b) {
			v, digits = v<<8|int(b[i+1]), 3
		}
		for range digits {
			out = append(out, base45Digits[v%45])
			v /= 45
		}
	}
	return string(out)
}

// errBase45 means that a text is not base45.
var errBase45 = errors.New("not base45")

// unbase45 is the reverse of base45. Errors: errBase45.
func unbase45(s string) ([]byte, error) {
	if len(s)%3 == 1 {
		return nil, fmt.Errorf("%w: %d characters", errBase45, len(s))
	}
	out := make([]byte, 0, len(s)/3*2+1)
	for i := 0; i < len(s); i += 3 {
		group := s[i:min(i+3, len(s))]
		v := 0
		for k := len(group) - 1; k >= 0; k-- {
			d := strings.IndexByte(base45Digits, group[k])
			if d < 0 {
				return nil, fmt.Errorf("%w: character %d", errBase45, i+k)
			}
			v = v*45 + d
		}
		switch {
		case len(group) == 3 && v <= 0xffff:
			out = append(out, byte(v>>8), byte(v))
		case len(group) == 2 && v <= 0xff:
			out = append(out, byte(v))
		default:
			return nil, fmt.Errorf("%w: group at %d", errBase45, i)
		}
	}
	return out, nil
}
