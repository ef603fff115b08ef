// Package oplog is the operation log: what happened on the terminal, written
// so that nobody can change it later unseen. It holds the event catalogue,
// the records, the Merkle tree over them, signed checkpoints, the evolving MAC
// keys, verification, and the export that a stranger can check.
//
// It guarantees: a record has exactly one encoding, a line of JSON; the leaf
// of the tree is SM3(0x00 ‖ line) and a node SM3(0x01 ‖ left ‖ right), the
// shape of RFC 6962; a checkpoint is a signed note (C2SP tlog-checkpoint) with
// an SM2 signature; verification needs public keys only and names the first
// bad record; personal detail has no place in a record, which commits only to
// the digest of a sealed part. It does no I/O of its own: kiosk/vault stores.
//
// Standards: GB/T 32905 (SM3), GB/T 32918 (SM2), RFC 6962 (tree), RFC 2104
// (HMAC), RFC 3339 (time), C2SP signed-note and tlog-checkpoint.
//
// Types are not safe for concurrent use unless they say so.
package oplog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// MaxRecord is the longest encoded record, bytes.
const MaxRecord = 32 << 10

// ErrRecord means that bytes are not the one canonical form of a record.
var ErrRecord = errors.New("not a log record")

// Record is one line of the operation log.
type Record struct {
	Seq     int64 // index in the tree, from 0, without gaps
	Event   Event
	Outcome Outcome
	Role    string
	Account string
	Session uint64
	CaseID  string
	Device  string
	Wall    time.Time // wall clock, UTC, nanoseconds
	Mono    int64     // ns since boot
	BootID  string
	Version string // of the program
	Demo    bool
	Fields  map[string]string // never personal detail
	Private []byte            // SM3 digest of the sealed personal part, nil if none
	MAC     []byte            // HMAC-SM3 under the evolving key over the record without it, nil if none
}

// Stamp is what the vault knows when it writes an entry.
type Stamp struct {
	Seq     int64
	Wall    time.Time
	Mono    int64 // ns since boot
	BootID  string
	Version string
}

// Record completes an entry.
func (e Entry) Record(s Stamp) Record {
	e = e.Normal()
	return Record{
		Seq: s.Seq, Event: e.Event, Outcome: e.Outcome, Role: e.Role, Account: e.Account, Session: e.Session,
		CaseID: e.CaseID, Device: e.Device, Wall: s.Wall, Mono: s.Mono, BootID: s.BootID, Version: s.Version,
		Demo: e.Demo, Fields: e.Fields, Private: e.Private,
	}
}

const (
	timeLayout = "2006-01-02T15:04:05.000000000Z"
	hexDigits  = "0123456789abcdef"
)

// Encode writes the one canonical form: a JSON object on one line without
// spaces and without the final newline, members in byte order of their names,
// empty ones left out (event, mono, outcome, role, seq and time always stand
// there), integers in decimal, digests in lower-case hex, time in RFC 3339
// with nine digits and Z, strings in UTF-8 with only ", \ and control
// characters escaped (\", \\, \u00XX). Invalid UTF-8 becomes U+FFFD.
//
// Whoever checks a leaf hashes the line as it stands and need not encode.
func (r Record) Encode() []byte { return r.appendTo(make([]byte, 0, usualRecord)) }

// usualRecord is the room, in bytes, that nearly every record fits into.
const usualRecord = 640

func (r *Record) appendTo(b []byte) []byte {
	b = append(b, '{')
	b = appendMember(b, "account", r.Account)
	b = appendMember(b, "boot", r.BootID)
	b = appendMember(b, "case", r.CaseID)
	if r.Demo {
		b = append(b, `"demo":true,`...)
	}
	b = appendMember(b, "device", r.Device)
	b = append(b, `"event":`...)
	b = appendString(b, string(r.Event))
	if len(r.Fields) > 0 {
		b = append(b, `,"fields":{`...)
		var room [maxFields]string
		names := room[:0]
		for k := range r.Fields {
			names = append(names, k)
		}
		slices.Sort(names)
		for i, k := range names {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, k)
			b = append(b, ':')
			b = appendString(b, r.Fields[k])
		}
		b = append(b, '}')
	}
	if len(r.MAC) > 0 {
		b = append(b, `,"mac":"`...)
		b = hex.AppendEncode(b, r.MAC)
		b = append(b, '"')
	}
	b = append(b, `,"mono":`...)
	b = strconv.AppendInt(b, r.Mono, 10)
	b = append(b, `,"outcome":`...)
	b = appendString(b, string(r.Outcome))
	if len(r.Private) > 0 {
		b = append(b, `,"private":"`...)
		b = hex.AppendEncode(b, r.Private)
		b = append(b, '"')
	}
	b = append(b, `,"role":`...)
	b = appendString(b, r.Role)
	b = append(b, `,"seq":`...)
	b = strconv.AppendInt(b, r.Seq, 10)
	if r.Session != 0 {
		b = append(b, `,"session":`...)
		b = strconv.AppendUint(b, r.Session, 10)
	}
	b = append(b, `,"time":"`...)
	b = appendTime(b, wall(r.Wall))
	b = append(b, '"')
	if r.Version != "" {
		b = append(b, `,"version":`...)
		b = appendString(b, r.Version)
	}
	return append(b, '}')
}

// wall keeps a time within the four-digit years that RFC 3339 can write; a
// clock beyond them is as good as none.
func wall(t time.Time) time.Time {
	t = t.UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		return time.Time{}
	}
	return t
}

// appendTime writes timeLayout, which time.AppendFormat does at half the speed.
func appendTime(b []byte, t time.Time) []byte {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	for _, f := range [...]struct {
		v, digits int
		end       byte
	}{{year, 4, '-'}, {int(month), 2, '-'}, {day, 2, 'T'}, {hour, 2, ':'}, {minute, 2, ':'}, {second, 2, '.'}, {t.Nanosecond(), 9, 'Z'}} {
		n := len(b)
		b = append(b, "000000000"[:f.digits]...)
		for i, v := n+f.digits-1, f.v; v > 0; i, v = i-1, v/10 {
			b[i] = '0' + byte(v%10)
		}
		b = append(b, f.end)
	}
	return b
}

func appendMember(b []byte, name, v string) []byte {
	if v == "" {
		return b
	}
	b = append(b, '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	b = appendString(b, v)
	return append(b, ',')
}

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	i := 0
	for i < len(s) && s[i] >= 0x20 && s[i] < utf8.RuneSelf && s[i] != '"' && s[i] != '\\' {
		i++ // nearly every string is done here
	}
	b = append(b, s[:i]...)
	for i < len(s) {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
			i++
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			i++
		case c < utf8.RuneSelf:
			b = append(b, c)
			i++
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
		}
	}
	return append(b, '"')
}

// Decode reads a record and takes only its canonical form. An event that this
// version does not know is taken: the log is older or newer than the program.
// Errors: ErrRecord.
func Decode(line []byte) (Record, error) {
	if len(line) > MaxRecord {
		return Record{}, fmt.Errorf("%w: %d bytes", ErrRecord, len(line))
	}
	p := parser{b: line}
	r := p.record()
	if p.bad != "" {
		return Record{}, fmt.Errorf("%w: %s at byte %d", ErrRecord, p.bad, p.i)
	}
	var room [usualRecord]byte
	switch {
	case r.Seq < 0:
		return Record{}, fmt.Errorf("%w: negative number", ErrRecord)
	case r.Event == "":
		return Record{}, fmt.Errorf("%w: no event", ErrRecord)
	case !bytes.Equal(r.appendTo(room[:0]), line):
		return Record{}, fmt.Errorf("%w: not the canonical form", ErrRecord)
	}
	return r, nil
}

// parser walks a line of known shape. The first fault stays; what is lax here
// is caught by the comparison in Decode.
type parser struct {
	b   []byte
	i   int
	bad string
}

func (p *parser) fail(what string) {
	if p.bad == "" {
		p.bad = what
	}
}

// have steps over a text if it comes next.
func (p *parser) have(s string) bool {
	if p.bad == "" && len(p.b)-p.i >= len(s) && string(p.b[p.i:p.i+len(s)]) == s {
		p.i += len(s)
		return true
	}
	return false
}

func (p *parser) want(s string) {
	if !p.have(s) {
		p.fail("expected " + s)
	}
}

func (p *parser) record() (r Record) {
	p.want("{")
	lead := func(name string) (v string) {
		if p.have(name) {
			v = p.str()
			p.want(",")
		}
		return v
	}
	r.Account = lead(`"account":`)
	r.BootID = lead(`"boot":`)
	r.CaseID = lead(`"case":`)
	r.Demo = p.have(`"demo":true,`)
	r.Device = lead(`"device":`)
	p.want(`"event":`)
	r.Event = Event(p.str())
	if p.have(`,"fields":{`) {
		r.Fields = make(map[string]string, 4)
		for p.bad == "" {
			k := p.str()
			p.want(":")
			r.Fields[k] = p.str()
			if !p.have(",") {
				break
			}
		}
		p.want("}")
	}
	if p.have(`,"mac":`) {
		r.MAC = p.digest()
	}
	p.want(`,"mono":`)
	r.Mono = p.integer()
	p.want(`,"outcome":`)
	r.Outcome = Outcome(p.word(outcomeWords))
	if p.have(`,"private":`) {
		r.Private = p.digest()
	}
	p.want(`,"role":`)
	r.Role = p.word(roleSet)
	p.want(`,"seq":`)
	r.Seq = p.integer()
	if p.have(`,"session":`) {
		v, err := strconv.ParseUint(p.digits(), 10, 64)
		if err != nil {
			p.fail("session")
		}
		r.Session = v
	}
	p.want(`,"time":`)
	if s := p.raw(); p.bad == "" {
		t, err := time.Parse(timeLayout, string(s))
		if err != nil {
			p.fail("time")
		}
		r.Wall = t
	}
	if p.have(`,"version":`) {
		r.Version = p.str()
	}
	p.want("}")
	if p.i != len(p.b) {
		p.fail("more after the end")
	}
	return r
}

// raw reads a quoted string that needs no unescaping; it is a part of the line.
func (p *parser) raw() []byte {
	p.want(`"`)
	if p.bad != "" {
		return nil
	}
	n := bytes.IndexByte(p.b[p.i:], '"')
	if n < 0 {
		p.fail("string without end")
		return nil
	}
	s := p.b[p.i : p.i+n]
	p.i += n + 1
	return s
}

// word reads one of a closed set, without making a new string of it.
func (p *parser) word(set []string) string {
	s := p.raw()
	for _, w := range set {
		if string(s) == w {
			return w
		}
	}
	p.fail("unknown word")
	return ""
}

// str reads a quoted string.
func (p *parser) str() string {
	start := p.i
	s := p.raw()
	if i := bytes.IndexByte(s, '\\'); i >= 0 {
		return p.escaped(start+1, start+1+i)
	}
	return string(s)
}

// escaped goes on from the first backslash, at j.
func (p *parser) escaped(start, j int) string {
	out := append([]byte(nil), p.b[start:j]...)
	for j < len(p.b) {
		c := p.b[j]
		switch {
		case c == '"':
			p.i = j + 1
			return string(out)
		case c != '\\':
			out = append(out, c)
			j++
		case j+1 < len(p.b) && p.b[j+1] != 'u':
			out = append(out, p.b[j+1])
			j += 2
		case j+6 <= len(p.b):
			v, err := strconv.ParseUint(string(p.b[j+2:j+6]), 16, 8)
			if err != nil {
				p.fail("escape")
				return ""
			}
			out = append(out, byte(v))
			j += 6
		default:
			p.fail("escape")
			return ""
		}
	}
	p.fail("string without end")
	return ""
}

// digits is the number that comes next.
func (p *parser) digits() string {
	start := p.i
	if p.i < len(p.b) && p.b[p.i] == '-' {
		p.i++
	}
	for p.i < len(p.b) && p.b[p.i] >= '0' && p.b[p.i] <= '9' {
		p.i++
	}
	return string(p.b[start:p.i])
}

func (p *parser) integer() int64 {
	if p.bad != "" {
		return 0
	}
	v, err := strconv.ParseInt(p.digits(), 10, 64)
	if err != nil {
		p.fail("number")
	}
	return v
}

func (p *parser) digest() []byte {
	s := p.raw()
	if p.bad != "" {
		return nil
	}
	d := make([]byte, HashSize)
	if len(s) != hex.EncodedLen(HashSize) {
		p.fail("digest")
		return nil
	}
	if _, err := hex.Decode(d, s); err != nil {
		p.fail("digest")
		return nil
	}
	return d
}

// Describe says in plain Chinese what a record tells: the event, and how it
// went where that is not clear from the event.
func (r Record) Describe() string {
	t := r.Event.Text()
	switch r.Outcome {
	case Failed, Refused:
		t += "：" + r.Outcome.Text()
	case OK, Begin, End:
	}
	return t
}
