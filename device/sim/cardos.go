package sim

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// cardOS answers APDUs as a card would (ISO/IEC 7816-4). One value is one card
// in one reader: not safe for concurrent use.
type cardOS struct {
	kind    CardKind
	form    int
	t0      bool
	atr     []byte
	delay   time.Duration
	recs    map[byte][]byte
	app     bool   // the application is selected
	file    byte   // selected elementary file, 0 none
	pending []byte // what GET RESPONSE will give (T=0)
}

// application is the name of the social-security application. The card has its
// own copy of the standard, so that a slip in the driver shows.
var application = []byte("sx1.sh.\xC9\xE7\xBB\xE1\xB1\xA3\xD5\xCF")

// The two files and the order of their records on the card.
const (
	fileCard   = 0x05
	fileHolder = 0x06
)

var (
	cardOrder   = []byte{0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07}
	holderOrder = []byte{0x08, 0x09, 0x4E, 0x0A, 0x0B, 0x0C, 0x0D}
)

// foreignAID is what a foreign card knows: a bank card's payment environment.
var foreignAID = []byte("1PAY.SYS.DDF01")

func newCardOS(c *CardFile) (*cardOS, error) {
	o := &cardOS{kind: c.Kind, form: c.Form, t0: c.T0, delay: time.Duration(c.DelayMS) * time.Millisecond}
	src := *c
	if c.Kind == KindBlank {
		src.Card, src.Person = CardPart{Version: c.Card.Version}, Person{}
	}
	var err error
	if o.recs, err = src.records(); err != nil {
		return nil, err
	}
	if c.ATR == "" {
		o.atr = makeATR(c)
		return o, nil
	}
	if o.atr, err = hex.DecodeString(strings.ReplaceAll(c.ATR, " ", "")); err != nil || len(o.atr) < 2 || len(o.atr) > 33 {
		return nil, fmt.Errorf("atr %q: 2 to 33 bytes in hex are allowed", c.ATR)
	}
	return o, nil
}

// makeATR builds an answer to reset (ISO/IEC 7816-3 §8) whose historical bytes
// tell the card types apart, so that a reader may remember them.
func makeATR(c *CardFile) []byte {
	hist := fmt.Sprintf("SX1SH.%d", c.Form)
	if c.Kind == KindForeign {
		hist = "PAYCARD"
	}
	if c.T0 {
		return append([]byte{0x3B, byte(0x60 | len(hist)), 0x00, 0x00}, hist...)
	}
	atr := append([]byte{0x3B, byte(0x80 | len(hist)), 0x80, 0x01}, hist...)
	tck := byte(0)
	for _, b := range atr[1:] {
		tck ^= b
	}
	return append(atr, tck)
}

// reset is power-on and warm reset.
func (o *cardOS) reset() { o.app, o.file, o.pending = false, 0, nil }

func sw(v int) []byte { return []byte{byte(v >> 8), byte(v)} }

// apdu answers one command.
func (o *cardOS) apdu(cmd []byte) []byte {
	if len(cmd) < 4 {
		return sw(0x6700)
	}
	if cmd[0] != 0x00 {
		return sw(0x6E00)
	}
	pending := o.pending
	o.pending = nil
	switch cmd[1] {
	case 0xA4:
		return o.selectCmd(cmd)
	case 0xB2:
		return o.readRecord(cmd)
	case 0xC0:
		if !o.t0 || pending == nil || len(cmd) < 5 {
			return sw(0x6985)
		}
		if int(cmd[4]) != len(pending) {
			o.pending = pending
			return sw(0x6C00 | len(pending))
		}
		return append(bytes.Clone(pending), sw(0x9000)...)
	}
	return sw(0x6D00)
}

func (o *cardOS) selectCmd(cmd []byte) []byte {
	if len(cmd) < 5 || len(cmd) < 5+int(cmd[4]) {
		return sw(0x6700)
	}
	data := cmd[5 : 5+int(cmd[4])]
	switch cmd[2] {
	case 0x04:
		aid := application
		if o.kind == KindForeign {
			aid = foreignAID
		}
		if !bytes.Equal(data, aid) {
			return sw(0x6A82)
		}
		o.app, o.file = true, 0
		return o.selected(append([]byte{0x6F, byte(len(aid) + 2), 0x84, byte(len(aid))}, aid...))
	case 0x02:
		if !o.app || o.kind == KindForeign || len(data) != 2 || data[0] != 0xEF ||
			data[1] != fileCard && data[1] != fileHolder {
			return sw(0x6A82)
		}
		o.file = data[1]
		return o.selected([]byte{0x6F, 0x04, 0x83, 0x02, 0xEF, o.file})
	}
	return sw(0x6A86)
}

// selected is the answer to a successful SELECT without Le: on T=0 the file
// control information waits for GET RESPONSE.
func (o *cardOS) selected(fci []byte) []byte {
	if !o.t0 {
		return sw(0x9000)
	}
	o.pending = fci
	return sw(0x6100 | len(fci))
}

func (o *cardOS) readRecord(cmd []byte) []byte {
	if len(cmd) != 5 {
		return sw(0x6700)
	}
	if !o.app {
		return sw(0x6985)
	}
	p1, p2 := cmd[2], cmd[3]
	file := o.file
	byID := false
	switch {
	case o.form == 1 && p2 == 0x00:
		byID = true
	case o.form == 2 && p2 == 0x04:
	case o.form == 3 && p2&0x07 == 0x04 && p2>>3 != 0:
		file = p2 >> 3
	default:
		return sw(0x6A86)
	}
	var order []byte
	switch file {
	case fileCard:
		order = cardOrder
	case fileHolder:
		order = holderOrder
	default:
		return sw(0x6A82)
	}
	var ids []byte
	for _, id := range order {
		if _, there := o.recs[id]; there {
			ids = append(ids, id)
		}
	}
	var id byte
	switch {
	case byID && bytes.IndexByte(ids, p1) >= 0:
		id = p1
	case !byID && p1 >= 1 && int(p1) <= len(ids):
		id = ids[p1-1]
	default:
		return sw(0x6A83)
	}
	rec := append([]byte{id, byte(len(o.recs[id]))}, o.recs[id]...)
	if le := int(cmd[4]); o.t0 && le != len(rec) {
		return sw(0x6C00 | len(rec))
	}
	return append(rec, sw(0x9000)...)
}
