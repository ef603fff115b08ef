// Package sscard reads the social-security card application (社会保障卡) over any
// device.Transport: select the application, select EF05 and EF06, read the
// records that need no authentication. It exists because cards of different
// makers answer different forms of READ RECORD and carry blank, missing or
// broken records, and because one wrongly decoded character of a name makes a
// wrong person.
//
// It guarantees: what it returns has a number and a name; a name that did not
// decode says so and keeps its bytes; a length on the card is never trusted;
// the number of commands is bounded whatever the card answers. What it returns
// is a claim: without the province's keys a forged card reads just as well.
//
// Standards: ISO/IEC 7816-4 (commands), GB 18030 (names), GB/T 2260, GB/T 2261.1,
// GB/T 3304 (codes). It is pure Go.
package sscard

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"sync"

	"cunban/device"
)

// Application is the name by which the application is selected: "sx1.sh." and
// 社会保障 in GB 18030.
var Application = []byte{
	0x73, 0x78, 0x31, 0x2E, 0x73, 0x68, 0x2E,
	0xC9, 0xE7, 0xBB, 0xE1, 0xB1, 0xA3, 0xD5, 0xCF,
}

// Files and records that can be read without authentication.
const (
	FileCard   = 0x05 // EF05: the card
	FileHolder = 0x06 // EF06: its holder

	IDCardIdentifier = 0x01 // 卡识别码, 16 bytes cn
	IDCardClass      = 0x02 // 卡的类别, 1 byte an
	IDVersion        = 0x03 // 规范版本, 4 bytes an
	IDIssuer         = 0x04 // 初始化机构编号, 12 bytes cn
	IDIssueDate      = 0x05 // 发卡日期, 4 bytes cn
	IDExpiryDate     = 0x06 // 卡有效期, 4 bytes cn
	IDCardNumber     = 0x07 // 卡号, 9 bytes an
	IDNumber         = 0x08 // 社会保障号码, 18 bytes an
	IDName           = 0x09 // 姓名, 30 bytes GB 18030
	IDNameMore       = 0x4E // 姓名扩展, 20 bytes GB 18030
	IDSex            = 0x0A // 性别, 1 byte an
	IDEthnic         = 0x0B // 民族, 1 byte cn
	IDBirthPlace     = 0x0C // 出生地, 3 bytes cn
	IDBirthDate      = 0x0D // 出生日期, 4 bytes cn
)

// Record is one record's place: its identifier and how many bytes its data has
// by the standard. On the card two bytes, identifier and length, precede it.
type Record struct {
	ID  byte
	Len int
}

// Records of the two files in the order in which cards number them.
var (
	CardRecords = []Record{{IDCardIdentifier, 16}, {IDCardClass, 1}, {IDVersion, 4}, {IDIssuer, 12},
		{IDIssueDate, 4}, {IDExpiryDate, 4}, {IDCardNumber, 9}}
	HolderRecords = []Record{{IDNumber, 18}, {IDName, 30}, {IDNameMore, 20}, {IDSex, 1},
		{IDEthnic, 1}, {IDBirthPlace, 3}, {IDBirthDate, 4}}
)

// maxCards bounds how many card types are remembered.
const maxCards = 64

// Reader reads cards and remembers per card type (ATR) which form of READ
// RECORD worked. Safe for concurrent use, each call with its own Transport.
type Reader struct {
	mu    sync.Mutex
	forms map[string]Form
}

// New returns a Reader that knows no card type yet.
func New() *Reader { return &Reader{forms: make(map[string]Form)} }

// Read reads the card behind t. It does not close t. Errors:
// device.ErrForeignCard (no such application), device.ErrBlankCard (application
// there, nobody's data in it), device.ErrDamagedCard (number or name missing or
// not understandable) and whatever the transport gives, wrapped.
func (r *Reader) Read(ctx context.Context, t device.Transport) (device.SocialSecurityCard, error) {
	var card device.SocialSecurityCard
	sw, err := transmitSW(ctx, t, selectApplication())
	if err != nil {
		return card, fmt.Errorf("select the social-security application: %w", err)
	}
	if sw != swOK {
		return card, fmt.Errorf("select the social-security application: answer %04X: %w", sw, device.ErrForeignCard)
	}
	key := string(t.ATR())
	first := r.remembered(key)

	// EF05 describes the card only: a card without it still identifies a person.
	recs, form, err := readFile(ctx, t, FileCard, CardRecords, first)
	if err != nil {
		return card, err
	}
	if form != 0 {
		first = form
	}
	holder, form, err := readFile(ctx, t, FileHolder, HolderRecords, first)
	if err != nil {
		return card, err
	}
	if form != 0 {
		r.remember(key, form)
	}
	for id, data := range holder.data {
		recs.data[id] = data
	}
	if err := decode(recs.data, &card); err != nil {
		return device.SocialSecurityCard{}, err
	}
	if card.Number == "" || len(card.NameBytes) == 0 {
		return device.SocialSecurityCard{}, incomplete(card, holder)
	}
	return card, nil
}

// incomplete tells a card that was never personalised from one that lost
// something.
func incomplete(card device.SocialSecurityCard, holder file) error {
	switch {
	case card.Number == "" && len(card.NameBytes) == 0 && holder.selected && !holder.broken:
		return fmt.Errorf("number and name are empty: %w", device.ErrBlankCard)
	case card.Number == "":
		return fmt.Errorf("no social-security number on the card (EF06 %s): %w", holder.why, device.ErrDamagedCard)
	default:
		return fmt.Errorf("no name on the card (EF06 %s): %w", holder.why, device.ErrDamagedCard)
	}
}

func (r *Reader) remembered(atr string) Form {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.forms[atr]
}

func (r *Reader) remember(atr string, f Form) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.forms) >= maxCards {
		clear(r.forms) // a hall sees a handful of types; more is noise
	}
	r.forms[atr] = f
}

// decode fills the card from its records.
func decode(recs map[byte][]byte, card *device.SocialSecurityCard) error {
	dropOverlong(recs)
	number, ok := text(recs[IDNumber])
	if !ok {
		return fmt.Errorf("social-security number has bytes that are no text: %w", device.ErrDamagedCard)
	}
	if len(number) > numberSize {
		return fmt.Errorf("social-security number of %d characters: %w", len(number), device.ErrDamagedCard)
	}
	card.Number = number
	card.CardIdentifier = identifier(recs[IDCardIdentifier])
	card.CardClass, _ = text(recs[IDCardClass])
	card.Version, _ = text(recs[IDVersion])
	card.Issuer = cn(recs[IDIssuer])
	card.IssueDate = date(recs[IDIssueDate])
	card.ExpiryDate = date(recs[IDExpiryDate])
	card.CardNumber, _ = text(recs[IDCardNumber])
	card.NameBytes = joinName(recs[IDName], recs[IDNameMore])
	if len(card.NameBytes) > nameSize+nameMoreSize {
		return fmt.Errorf("name of %d bytes: %w", len(card.NameBytes), device.ErrDamagedCard)
	}
	card.Name, card.NameExact = DecodeGB18030(card.NameBytes)
	if s, _ := text(recs[IDSex]); s == "1" || s == "2" {
		card.Sex = s
	}
	if e := cn(recs[IDEthnic]); len(e) == 2 && digits(e) {
		card.Ethnic = e
	}
	if p := cn(recs[IDBirthPlace]); (len(p) == 6 || len(p) == 4) && digits(p) {
		card.BirthPlace = (p + "00")[:6]
	}
	card.BirthDate = date(recs[IDBirthDate])
	return nil
}

// dropOverlong forgets records that are not needed and hold more than the
// standard has room for: what they would say is not what the standard means.
// Number and name, which are needed, are refused instead.
func dropOverlong(recs map[byte][]byte) {
	for _, list := range [][]Record{CardRecords, HolderRecords} {
		for _, r := range list {
			if r.ID != IDNumber && r.ID != IDName && r.ID != IDNameMore && len(strip(recs[r.ID])) > r.Len {
				delete(recs, r.ID)
			}
		}
	}
}

// Sizes by the standard, bytes. More than them is no card of the standard, and
// would be somebody's attempt to see what happens.
const (
	numberSize   = 18
	nameSize     = 30
	nameMoreSize = 20
)

// joinName puts the two parts of a name together. The padding of both goes
// first; 00, 20 and FF are no part of any multi-byte character, so one that
// straddles the two stays whole. A space that is the last byte of a full first
// part, with more behind it, parts two words of a name and is kept.
func joinName(first, more []byte) []byte {
	head, tail := strip(first), strip(more)
	if len(tail) > 0 && len(first) == nameSize && len(head) == nameSize-1 && first[nameSize-1] == ' ' {
		head = first
	}
	return append(bytes.Clone(head), tail...)
}

// strip takes the padding off the end: 00, 20 and FF.
func strip(b []byte) []byte {
	// Not bytes.TrimRight: its cut set is text, in which FF stands for every
	// byte that is not UTF-8.
	for len(b) > 0 && (b[len(b)-1] == 0x00 || b[len(b)-1] == 0x20 || b[len(b)-1] == 0xFF) {
		b = b[:len(b)-1]
	}
	return b
}

// filled reports whether b is nothing but one byte again and again.
func filled(b []byte, fill byte) bool { return bytes.Count(b, []byte{fill}) == len(b) }

// text is an "an" field: printable ASCII. ok is false when something else is in
// it; the text is then empty, since a half-read number is worse than none.
func text(b []byte) (string, bool) {
	b = bytes.TrimLeft(strip(b), " ")
	for _, c := range b {
		if c < 0x20 || c > 0x7E {
			return "", false
		}
	}
	return string(b), true
}

// cn is a compressed numeric field: two digits a byte, filled with hex F on the
// right. A field of nothing but zeroes is empty too: that is how blank cards come.
func cn(b []byte) string {
	s := hex.EncodeToString(b)
	for len(s) > 0 && s[len(s)-1] == 'f' {
		s = s[:len(s)-1]
	}
	if filled(b, 0x00) {
		return ""
	}
	return s
}

func identifier(b []byte) string {
	if filled(b, 0x00) || filled(b, 0xFF) {
		return ""
	}
	return string(bytes.ToUpper([]byte(hex.EncodeToString(b))))
}

// date is YYYYMMDD or "": eight digits with a month and a day that exist
// somewhere in a year. Whether the date makes sense is not the card's matter.
func date(b []byte) string {
	s := cn(b)
	if len(s) != 8 || !digits(s) {
		return ""
	}
	if m, d := s[4:6], s[6:8]; m < "01" || m > "12" || d < "01" || d > "31" {
		return ""
	}
	return s
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
