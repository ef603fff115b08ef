package form

import "cunban/kiosk/catalog"

// atPad tells whether a PIN was typed at the PIN pad: it, and the card, judged
// it, and nothing of it is here.
func atPad(fd *catalog.Field, v Value) bool { return fd.Type == catalog.PIN && v.Pages > 0 }

// besideAnotherPIN tells whether a PIN is asked on the page of an earlier one: a
// PIN pad asks for the old and the new PIN in one go.
func (f *Form) besideAnotherPIN(fd *catalog.Field) bool {
	if fd.Type != catalog.PIN {
		return false
	}
	for _, o := range f.fields {
		if o == fd {
			return false
		}
		if o.Type == catalog.PIN && f.Visible(o) {
			return true
		}
	}
	return false
}

// PINChanged notes that the PIN pad changed the card's PIN: every PIN that is
// asked for was typed there.
func (f *Form) PINChanged() {
	for _, fd := range f.fields {
		if fd.Type == catalog.PIN && f.Visible(fd) {
			f.Set(fd.Name, Value{Pages: 1})
		}
	}
}

// The page of a PIN pad stands for the old PIN and the new one.
const (
	pinTitle = "改社保卡的密码"
	pinHint  = "6 位数字，别用生日或 123456"
)

// pinTyped is what a summary says of a PIN typed at the pad.
const pinTyped = "已在密码键盘上输入"
