package sscard

import (
	"context"
	"fmt"

	"cunban/device"
)

// Form is how a card wants READ RECORD. All three are seen in the field.
type Form int

// The forms in the order in which they are tried.
const (
	FormIdentifier Form = 1 // 00 B2 <id> 00 <len+2>: by record identifier
	FormNumber     Form = 2 // 00 B2 <n> 04 00: by number in the selected file
	FormShortFile  Form = 3 // 00 B2 <n> <SFI<<3|4> <len+2>: by number in a short file
)

// Forms is the closed set.
var Forms = []Form{FormIdentifier, FormNumber, FormShortFile}

// Status words (ISO/IEC 7816-4 §5.6).
const (
	swOK             = 0x9000
	swRecordNotFound = 0x6A83
	swFileNotFound   = 0x6A82
)

// maxExtra is how many records beyond the known ones are looked at when a file
// is read by number: makers add some, and a card that answers for ever must not
// hold a resident.
const maxExtra = 4

func selectApplication() []byte {
	apdu := []byte{0x00, 0xA4, 0x04, 0x00, byte(len(Application))}
	return append(apdu, Application...)
}

func selectFile(id byte) []byte {
	return []byte{0x00, 0xA4, 0x02, 0x00, 0x02, 0xEF, id}
}

// readCommand is READ RECORD of the i-th record (from 0) in one form.
func readCommand(f Form, fileID byte, i int, rec Record) []byte {
	switch f {
	case FormIdentifier:
		return []byte{0x00, 0xB2, rec.ID, 0x00, byte(rec.Len + 2)}
	case FormNumber:
		return []byte{0x00, 0xB2, byte(i + 1), 0x04, 0x00}
	case FormShortFile:
		le := byte(0)
		if rec.Len > 0 {
			le = byte(rec.Len + 2)
		}
		return []byte{0x00, 0xB2, byte(i + 1), fileID<<3 | 0x04, le}
	}
	panic(fmt.Sprintf("sscard: form %d is not of the closed set", f))
}

// file is what one elementary file gave.
type file struct {
	selected bool            // the card has it
	broken   bool            // it answered something that is no record
	data     map[byte][]byte // by record identifier
	why      string          // last answer that was no success, for technicians
}

// readFile selects a file and reads its records with the first form that gives
// any, beginning with the remembered one. form is 0 when none gave any. The
// error is only that of the transport.
func readFile(ctx context.Context, t device.Transport, id byte, recs []Record, first Form) (f file, form Form, err error) {
	f.data = make(map[byte][]byte)
	sw, err := transmitSW(ctx, t, selectFile(id))
	if err != nil {
		return f, 0, fmt.Errorf("select EF%02X: %w", id, err)
	}
	f.selected = sw == swOK
	f.why = fmt.Sprintf("select answered %04X", sw)
	for _, form := range order(first) {
		// The short-file form needs no selected file, so it is tried even then.
		if !f.selected && form != FormShortFile {
			continue
		}
		if err := readForm(ctx, t, form, id, recs, &f); err != nil {
			return f, 0, err
		}
		if len(f.data) > 0 {
			return f, form, nil
		}
	}
	return f, 0, nil
}

func order(first Form) []Form {
	if first == 0 {
		return Forms
	}
	out := []Form{first}
	for _, f := range Forms {
		if f != first {
			out = append(out, f)
		}
	}
	return out
}

// readForm reads the records of the selected file in one form and puts what it
// finds into f. It stops early when the card says that it does not know the
// form.
func readForm(ctx context.Context, t device.Transport, form Form, id byte, recs []Record, f *file) error {
	count := len(recs)
	if form != FormIdentifier {
		count += maxExtra
	}
	for i := range count {
		var rec Record
		if i < len(recs) {
			rec = recs[i]
		} else if len(f.data) == 0 {
			return nil // nothing under the known numbers: there is nothing beyond
		}
		resp, err := t.Transmit(ctx, readCommand(form, id, i, rec))
		if err != nil {
			return fmt.Errorf("read record %d of EF%02X: %w", i+1, id, err)
		}
		data, sw, ok := split(resp)
		if !ok {
			f.broken, f.why = true, "gave an answer without a status word"
			continue
		}
		switch {
		case sw == swOK:
		case sw == swRecordNotFound || sw == swFileNotFound:
			f.why = fmt.Sprintf("answered %04X", sw)
			if form != FormIdentifier && i >= len(recs)-1 {
				return nil // past the end
			}
			continue
		default:
			f.why = fmt.Sprintf("answered %04X", sw)
			if len(f.data) == 0 && formUnknown(sw) {
				return nil
			}
			// One record may be locked or damaged while the others read.
			f.broken = f.broken || !formUnknown(sw)
			continue
		}
		gotID, value, ok := record(data)
		if !ok || form == FormIdentifier && gotID != rec.ID {
			f.broken, f.why = true, fmt.Sprintf("record %d is malformed", i+1)
			continue
		}
		if _, twice := f.data[gotID]; !twice && known(recs, gotID) {
			f.data[gotID] = value
		}
	}
	return nil
}

// formUnknown reports whether a status word means that the card does not know
// this form of the command at all.
func formUnknown(sw int) bool {
	switch sw {
	case 0x6700, // wrong length
		0x6A80, // wrong data
		0x6A81, // function not supported
		0x6A86, // wrong P1 P2
		0x6B00, // wrong P1 P2
		0x6981, // command does not fit the file's structure
		0x6986, // no file selected
		0x6D00, // unknown instruction
		0x6E00: // unknown class
		return true
	}
	return sw>>8 == 0x6C // wrong Le that the transport could not mend
}

func known(recs []Record, id byte) bool {
	for _, r := range recs {
		if r.ID == id {
			return true
		}
	}
	return false
}

// record takes identifier, length and data apart. The length is the card's
// word: one that promises more than there is makes the record malformed, what
// follows the data is ignored.
func record(b []byte) (id byte, value []byte, ok bool) {
	if len(b) < 2 || int(b[1]) > len(b)-2 {
		return 0, nil, false
	}
	return b[0], b[2 : 2+int(b[1])], true
}

// split takes the status word off an answer.
func split(resp []byte) (data []byte, sw int, ok bool) {
	n := len(resp)
	if n < 2 {
		return nil, 0, false
	}
	return resp[:n-2], int(resp[n-2])<<8 | int(resp[n-1]), true
}

func transmitSW(ctx context.Context, t device.Transport, apdu []byte) (int, error) {
	resp, err := t.Transmit(ctx, apdu)
	if err != nil {
		return 0, err
	}
	_, sw, ok := split(resp)
	if !ok {
		return 0, fmt.Errorf("answer of %d bytes has no status word: %w", len(resp), device.ErrDamagedCard)
	}
	if sw>>8 == 0x61 || sw>>8 == 0x9F { // more data waits that nobody wants
		sw = swOK
	}
	return sw, nil
}
