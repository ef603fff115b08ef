package sscard_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cunban/device"
	"cunban/device/sscard"
)

// script is a Transport that answers from a transcript: what the terminal sends
// must be what was sent when it was recorded, in the same order.
type script struct {
	t     testing.TB
	atr   []byte
	lines [][2][]byte
	at    int
}

func (s *script) ATR() []byte  { return s.atr }
func (s *script) Close() error { return nil }
func (s *script) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	if s.at >= len(s.lines) {
		return nil, fmt.Errorf("command %X after the end of the transcript", apdu)
	}
	l := s.lines[s.at]
	s.at++
	if !bytes.Equal(apdu, l[0]) {
		s.t.Errorf("command %d is %X, recorded was %X", s.at, apdu, l[0])
	}
	return l[1], nil
}

// load reads a transcript: "atr <hex>", then "> command" and "< answer" lines.
func load(t testing.TB, name string) *script {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".apdu"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := &script{t: t}
	in := bufio.NewScanner(f)
	for in.Scan() {
		kind, text, _ := strings.Cut(in.Text(), " ")
		b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		switch {
		case kind == "#" || kind == "":
			continue
		case err != nil:
			t.Fatalf("%s: %v", name, err)
		case kind == "atr":
			s.atr = b
		case kind == ">":
			s.lines = append(s.lines, [2][]byte{b, nil})
		case kind == "<":
			s.lines[len(s.lines)-1][1] = b
		}
	}
	return s
}

func TestTranscripts(t *testing.T) {
	for _, c := range []struct {
		file, number, name, card string
		err                      error
	}{
		{file: "identifier", number: "140830195603120024", name: "张桂兰", card: "D12345678"},
		{file: "number", number: "142723194809051237", name: "王守田", card: "D00420817"},
		{file: "shortfile", number: "140830198707144518", name: "李建军", card: "D56473829"},
		{file: "straddle", number: "140830199301080125", name: "买买提吐尔逊·磑磑㛃古丽江𠮷", card: "D99887766"},
		{file: "blank", err: device.ErrBlankCard},
		{file: "foreign", err: device.ErrForeignCard},
	} {
		t.Run(c.file, func(t *testing.T) {
			s := load(t, c.file)
			got, err := sscard.New().Read(t.Context(), s)
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if got.Number != c.number || got.Name != c.name || got.CardNumber != c.card || c.err == nil && !got.NameExact {
				t.Errorf("read %+v", got)
			}
			if s.at != len(s.lines) {
				t.Errorf("%d of %d recorded commands were sent", s.at, len(s.lines))
			}
		})
	}
}

// fake is a card by its records; it answers one form.
type fake struct {
	form    sscard.Form
	recs    map[byte][]byte // whole answers without status word
	sw      map[byte]uint16 // status for a record instead of its data
	noFile  map[byte]bool
	atr     string
	file    byte
	sent    int
	tearAt  int
	appGone bool
}

func (f *fake) ATR() []byte  { return []byte(f.atr) }
func (f *fake) Close() error { return nil }
func (f *fake) Transmit(_ context.Context, a []byte) ([]byte, error) {
	f.sent++
	if f.sent == f.tearAt {
		return nil, fmt.Errorf("gone: %w", device.ErrCardTorn)
	}
	switch {
	case a[1] == 0xA4 && a[2] == 0x04:
		if f.appGone {
			return []byte{0x6A, 0x82}, nil
		}
		return []byte{0x90, 0x00}, nil
	case a[1] == 0xA4:
		if f.noFile[a[6]] {
			return []byte{0x6A, 0x82}, nil
		}
		f.file = a[6]
		return []byte{0x90, 0x00}, nil
	case a[1] != 0xB2:
		return []byte{0x6D, 0x00}, nil
	}
	file, form := f.file, sscard.FormIdentifier
	if a[3] == 0x04 {
		form = sscard.FormNumber
	} else if a[3] != 0 {
		form, file = sscard.FormShortFile, a[3]>>3
	}
	if form != f.form {
		return []byte{0x6A, 0x81}, nil
	}
	list := sscard.CardRecords
	if file == sscard.FileHolder {
		list = sscard.HolderRecords
	}
	id := a[2]
	if form != sscard.FormIdentifier {
		n := 0
		id = 0
		for _, r := range list {
			if _, ok := f.recs[r.ID]; ok {
				if n++; n == int(a[2]) {
					id = r.ID
				}
			}
		}
	}
	if sw, ok := f.sw[id]; ok {
		return []byte{byte(sw >> 8), byte(sw)}, nil
	}
	rec, ok := f.recs[id]
	if !ok {
		return []byte{0x6A, 0x83}, nil
	}
	return append(bytes.Clone(rec), 0x90, 0x00), nil
}

func rec(id byte, data []byte) []byte { return append([]byte{id, byte(len(data))}, data...) }

func person(form sscard.Form) *fake {
	return &fake{form: form, atr: "\x3B\x01", sw: map[byte]uint16{}, noFile: map[byte]bool{}, recs: map[byte][]byte{
		sscard.IDNumber: rec(sscard.IDNumber, []byte("140830195603120024")),
		sscard.IDName:   rec(sscard.IDName, append([]byte{0xD5, 0xC5, 0xB9, 0xF0, 0xC0, 0xBC}, make([]byte, 24)...)),
	}}
}

func TestOnlyNumberAndNameAreNeeded(t *testing.T) {
	for _, form := range sscard.Forms {
		f := person(form)
		got, err := sscard.New().Read(t.Context(), f)
		if err != nil || got.Number != "140830195603120024" || got.Name != "张桂兰" || !got.NameExact {
			t.Errorf("form %d: %+v, %v", form, got, err)
		}
		f = person(form)
		f.noFile[sscard.FileCard] = true
		if _, err := sscard.New().Read(t.Context(), f); err != nil {
			t.Errorf("form %d without EF05: %v", form, err)
		}
	}
}

func TestFormIsRememberedPerCardType(t *testing.T) {
	r := sscard.New()
	first, second, other := person(sscard.FormShortFile), person(sscard.FormShortFile), person(sscard.FormIdentifier)
	other.atr = "\x3B\x02"
	for _, f := range []*fake{first, second, other} {
		if _, err := r.Read(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	if second.sent >= first.sent {
		t.Errorf("second card of a type took %d commands, the first %d", second.sent, first.sent)
	}
	// A type whose cards suddenly answer another form is still read.
	changed := person(sscard.FormIdentifier)
	if _, err := r.Read(t.Context(), changed); err != nil {
		t.Errorf("type with another form: %v", err)
	}
}

func TestWhatIsWrongWithTheCard(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*fake)
		want error
	}{
		{"no application", func(f *fake) { f.appGone = true }, device.ErrForeignCard},
		{"number and name of padding", func(f *fake) {
			f.recs[sscard.IDNumber] = rec(sscard.IDNumber, bytes.Repeat([]byte{0xFF}, 18))
			f.recs[sscard.IDName] = rec(sscard.IDName, make([]byte, 30))
		}, device.ErrBlankCard},
		{"no records", func(f *fake) { clear(f.recs) }, device.ErrBlankCard},
		{"no EF06", func(f *fake) { f.noFile[sscard.FileHolder] = true }, device.ErrDamagedCard},
		{"name locked", func(f *fake) { f.sw[sscard.IDName] = 0x6982 }, device.ErrDamagedCard},
		{"number unreadable", func(f *fake) { f.sw[sscard.IDNumber] = 0x6F00 }, device.ErrDamagedCard},
		{"number with rubbish", func(f *fake) {
			f.recs[sscard.IDNumber] = rec(sscard.IDNumber, []byte("14083019560\x01120024"))
		}, device.ErrDamagedCard},
		{"length beyond the answer", func(f *fake) { f.recs[sscard.IDName][1] = 0xFF }, device.ErrDamagedCard},
		{"record of another identifier", func(f *fake) { f.recs[sscard.IDName][0] = 0x33 }, device.ErrDamagedCard},
		{"number longer than the standard's", func(f *fake) {
			f.recs[sscard.IDNumber] = rec(sscard.IDNumber, bytes.Repeat([]byte("1"), 19))
		}, device.ErrDamagedCard},
		{"name as long as a record can be", func(f *fake) {
			f.recs[sscard.IDName] = rec(sscard.IDName, bytes.Repeat([]byte{0xD5, 0xC5}, 127))
		}, device.ErrDamagedCard},
		{"length of nothing", func(f *fake) { f.recs[sscard.IDName] = []byte{sscard.IDName, 0} }, device.ErrDamagedCard},
		{"empty answer", func(f *fake) { f.recs[sscard.IDName] = nil }, device.ErrDamagedCard},
		{"torn", func(f *fake) { f.tearAt = 5 }, device.ErrCardTorn},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := person(sscard.FormIdentifier)
			c.do(f)
			got, err := sscard.New().Read(t.Context(), f)
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if got.Number != "" || got.Name != "" {
				t.Errorf("an error, yet data: %+v", got)
			}
		})
	}
}

// TestOverlongRecordsAreForgotten: a record that is not needed and holds more
// than it can says nothing, and the person is read all the same.
func TestOverlongRecordsAreForgotten(t *testing.T) {
	for _, form := range sscard.Forms {
		f := person(form)
		for _, id := range []byte{sscard.IDCardNumber, sscard.IDCardClass, sscard.IDVersion, sscard.IDIssuer, sscard.IDCardIdentifier,
			sscard.IDSex, sscard.IDEthnic, sscard.IDBirthPlace, sscard.IDBirthDate, sscard.IDIssueDate} {
			f.recs[id] = rec(id, bytes.Repeat([]byte("1"), 253))
		}
		got, err := sscard.New().Read(t.Context(), f)
		if err != nil || got.Number != "140830195603120024" || got.Name != "张桂兰" {
			t.Errorf("form %d: %+v, %v", form, got, err)
		}
		if got.CardNumber+got.CardClass+got.Version+got.Issuer+got.CardIdentifier+got.Sex+got.Ethnic+got.BirthPlace+got.BirthDate+got.IssueDate != "" {
			t.Errorf("form %d believes records that are too long: %+v", form, got)
		}
	}
}

// TestNameOverTwoRecords: a name is cut at the 30th byte wherever that falls,
// and its bytes come back as they were, in every form and at every place of a
// four-byte character.
func TestNameOverTwoRecords(t *testing.T) {
	const first = 30
	four := []byte{0x95, 0x34, 0xB2, 0x35} // U+20BB7
	for _, form := range sscard.Forms {
		for split := 0; split <= len(four); split++ {
			name := append(bytes.Repeat([]byte{'A'}, first-split), four...)
			name = append(name, 0xB4, 0x6F) // U+78D1
			f := person(form)
			f.recs[sscard.IDName] = rec(sscard.IDName, name[:first])
			f.recs[sscard.IDNameMore] = rec(sscard.IDNameMore, append(bytes.Clone(name[first:]), make([]byte, 20-len(name)+first)...))
			got, err := sscard.New().Read(t.Context(), f)
			want := strings.Repeat("A", first-split) + "𠮷磑"
			if err != nil || got.Name != want || !got.NameExact || !bytes.Equal(got.NameBytes, name) {
				t.Errorf("form %d, %d bytes in the first record: %q %X, %v", form, split, got.Name, got.NameBytes, err)
			}
		}
	}
	for _, c := range []struct{ first, more, want string }{
		{"MARIA ALEXANDRA CONSTANTIN OF ", "NOWHERE", "MARIA ALEXANDRA CONSTANTIN OF NOWHERE"},
		{"MARIA                         ", "", "MARIA"},
		{"MARIA" + strings.Repeat("\x00", 25), "NOWHERE" + strings.Repeat("\xFF", 13), "MARIANOWHERE"},
	} {
		f := person(sscard.FormIdentifier)
		f.recs[sscard.IDName], f.recs[sscard.IDNameMore] = rec(sscard.IDName, []byte(c.first)), rec(sscard.IDNameMore, []byte(c.more))
		if got, err := sscard.New().Read(t.Context(), f); err != nil || got.Name != c.want {
			t.Errorf("%q and %q: %q, %v", c.first, c.more, got.Name, err)
		}
	}
}

// TestTornAtEachCommand: torn at whichever command, in whichever form, a reading
// is torn and gives nothing.
func TestTornAtEachCommand(t *testing.T) {
	for _, form := range sscard.Forms {
		whole := person(form)
		if _, err := sscard.New().Read(t.Context(), whole); err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= whole.sent; n++ {
			f := person(form)
			f.tearAt = n
			if got, err := sscard.New().Read(t.Context(), f); !errors.Is(err, device.ErrCardTorn) || got.Number != "" || got.NameBytes != nil {
				t.Errorf("form %d torn at command %d of %d: %+v, %v", form, n, whole.sent, got, err)
			}
		}
	}
}

func TestPaddingAndCodes(t *testing.T) {
	f := person(sscard.FormIdentifier)
	for id, data := range map[byte][]byte{
		sscard.IDNumber:         []byte("140830195603120024\x00\x00"),
		sscard.IDCardNumber:     []byte("D1234567 "),
		sscard.IDSex:            []byte("9"),
		sscard.IDEthnic:         {0x0F},
		sscard.IDBirthPlace:     {0x14, 0x08, 0xFF},
		sscard.IDBirthDate:      {0x19, 0x56, 0x13, 0x12},
		sscard.IDIssueDate:      {0x20, 0x19, 0x05, 0x16},
		sscard.IDExpiryDate:     {0xFF, 0xFF, 0xFF, 0xFF},
		sscard.IDCardIdentifier: bytes.Repeat([]byte{0xFF}, 16),
	} {
		f.recs[id] = rec(id, data)
	}
	got, err := sscard.New().Read(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if got.Number != "140830195603120024" || got.CardNumber != "D1234567" || got.Sex != "" || got.Ethnic != "" ||
		got.BirthPlace != "140800" || got.BirthDate != "" || got.IssueDate != "20190516" || got.ExpiryDate != "" || got.CardIdentifier != "" {
		t.Errorf("read %+v", got)
	}
}

func TestDecodeGB18030(t *testing.T) {
	for _, c := range []struct {
		hex, want string
		exact     bool
	}{
		{"D5C5B9F0C0BC", "张桂兰", true},
		{"B46F", "磑", true},
		{"A1A4", "·", true},
		{"9534B235", "𠮷", true},
		{"8230B731", "㛃", true},
		{"FE59", "龴", true},           // two bytes that x/text does not know
		{"FE51", "\U00020087", true},  // the same beyond the BMP
		{"82359037", "龴", true},       // and as four bytes
		{"D5C5FFC0BC", "张〿兰", false},  // a byte that is none
		{"D5C59534B2", "张〿", false},   // four bytes cut off
		{"D5C595", "张〿", false},       // one byte cut off
		{"D5C500C0BC", "张〿兰", false},  // a hole
		{"AAA1", "〿", false},          // user-defined area
		{"8431A437", "〿", false},      // U+FFFD itself
		{"D5C5953041B9F0", "", false}, // broken trail: only that something is unreadable
		{"4C492057454920", "LI WEI ", true},
		{"", "", true},
	} {
		b, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		got, exact := sscard.DecodeGB18030(b)
		if exact != c.exact || c.want != "" && got != c.want {
			t.Errorf("%s: %q %v, want %q %v", c.hex, got, exact, c.want, c.exact)
		}
		if !exact && !strings.ContainsRune(got, sscard.Unreadable) {
			t.Errorf("%s: %q is not exact and does not show it", c.hex, got)
		}
	}
}
