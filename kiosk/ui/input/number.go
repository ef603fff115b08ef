package input

import (
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/widget"
)

// NumberOptions say what a NumberPad takes.
type NumberOptions struct {
	Value    string
	Max      int    // most characters, 0 for 20
	X        bool   // with a key X, for the last place of an ID number
	Decimal  bool   // with a key for the decimal point, two places
	Groups   []int  // how what is typed is shown: 3, 4, 4 for a mobile number
	Unit     string // "元", "亩"
	Hint     string // shown while nothing is typed
	Done     string // label of the done key, "" for none
	OnChange func(value string)
	OnDone   func(value string)
}

// Groups of numbers that people know.
var (
	MobileGroups = []int{3, 4, 4}
	IDGroups     = []int{6, 8, 4}
	BankGroups   = []int{4, 4, 4, 4, 4}
)

// NumberPad takes digits.
type NumberPad struct {
	pad
	opt   NumberOptions
	typed []byte
	entry *entry
	done  *widget.Button
}

// NewNumberPad returns a pad. Keys: "key.0" … "key.9", "key.x", "key.dot",
// "key.back", "key.clear", "key.done".
func NewNumberPad(look *theme.Look, o NumberOptions) *NumberPad {
	if o.Max == 0 {
		o.Max = 20
	}
	p := &NumberPad{opt: o}
	p.look = look
	p.entry = newEntry(look, o.Hint, o.Unit)
	p.entry.mid = true
	for i := range len(o.Value) {
		p.add(o.Value[i])
	}
	digits := digitKeys(look, p.press, o.X, o.Decimal)
	back, clearAll := eraseKeys(look, p.back, p.clear)
	side := []fyne.CanvasObject{widget.Fill(back), widget.Fill(clearAll)}
	if o.Done != "" {
		p.done = widget.NewButton(look, "key.done", o.Done, widget.Primary, func() {
			if p.opt.OnDone != nil {
				p.opt.OnDone(p.Value())
			}
		})
		side = append(side, widget.Fill(p.done))
	}
	p.root = numberLayout(look, p.entry, digits, side)
	p.show()
	p.ExtendBaseWidget(p)
	return p
}

// digitKeys are the twelve places of a telephone: 1 to 9, then 0 with X or the
// point beside it if asked for.
func digitKeys(look *theme.Look, press func(byte), x, dot bool) *fyne.Container {
	key := func(label, name string, b byte) fyne.CanvasObject {
		return widget.NewButton(look, "key."+name, label, widget.KeyCap, func() { press(b) }).Sized(look.Title())
	}
	var rows []keyRow
	for r := range 3 {
		var row keyRow
		for c := range 3 {
			d := string(rune('1' + r*3 + c))
			row = append(row, span{key(d, d, d[0]), 1})
		}
		rows = append(rows, row)
	}
	zero := key("0", "0", '0')
	switch {
	case x:
		rows = append(rows, keyRow{{zero, 2}, {key("X", "x", 'X'), 1}})
	case dot:
		rows = append(rows, keyRow{{zero, 2}, {key("点", "dot", '.'), 1}})
	default:
		rows = append(rows, keyRow{{zero, 3}})
	}
	return newKeys(look, 3, rows...)
}

func eraseKeys(look *theme.Look, back, all func()) (*widget.Button, *widget.Button) {
	return widget.NewButton(look, "key.back", "删除", widget.FnKey, back).WithIcon("backspace"),
		widget.NewButton(look, "key.clear", "清空", widget.FnKey, all).WithIcon("trash")
}

// numberLayout puts entry over keys, no wider than a hand likes.
func numberLayout(look *theme.Look, top fyne.CanvasObject, digits fyne.CanvasObject, side []fyne.CanvasObject) fyne.CanvasObject {
	gap := look.MM(3.2)
	if look.Dense() {
		// Height is short: the entry goes beside the keys, not above them.
		left := widget.Column(gap, top, widget.Spring(), widget.Fixed(0, look.Target(), widget.Row(gap, side...)))
		return limit(look.W-2*look.Margin(), 4*look.MM(keyMostMM)+3*gap, widget.Split(look, 0.5, left, digits))
	}
	body := widget.Row(gap, widget.Fill(digits), widget.Fixed(look.MM(72), 0, widget.Column(gap, side...)))
	width := min(look.MM(300), look.W-2*look.Margin())
	height := look.Target() + padGap(look) + 4*look.MM(keyMostMM) + 3*gap
	return limit(width, height, widget.Column(padGap(look), top, widget.Fill(body)))
}

// padGap is the room between the parts of a pad.
func padGap(look *theme.Look) float32 {
	if look.Dense() {
		return look.MM(2.6)
	}
	return look.MM(4.2)
}

// limit keeps o no larger than that, in the middle at the top.
func limit(w, h float32, o fyne.CanvasObject) *fyne.Container {
	return container.New(limited{w, h}, o)
}

type limited struct{ w, h float32 }

func (l limited) Layout(objects []fyne.CanvasObject, s fyne.Size) {
	for _, o := range objects {
		w, h := min(l.w, s.Width), min(l.h, s.Height)
		o.Move(fyne.NewPos(float32(int((s.Width-w)/2)), 0))
		o.Resize(fyne.NewSize(w, h))
	}
}

func (l limited) MinSize(objects []fyne.CanvasObject) (s fyne.Size) {
	for _, o := range objects {
		s = s.Max(o.MinSize())
	}
	return s
}

// add takes a character if it fits; it tells whether it did.
func (p *NumberPad) add(b byte) bool {
	s := string(p.typed)
	switch {
	case len(p.typed) >= p.opt.Max:
		return false
	case b == 'X' || b == 'x':
		if !p.opt.X || len(p.typed) != p.opt.Max-1 {
			return false
		}
		b = 'X'
	case b == '.':
		if !p.opt.Decimal || s == "" || strings.Contains(s, ".") {
			return false
		}
	case b < '0' || b > '9':
		return false
	case strings.HasSuffix(s, "X"):
		return false
	case p.opt.Decimal && s == "0": // no leading zero in an amount
		p.typed = p.typed[:0]
	default:
		if i := strings.IndexByte(s, '.'); i >= 0 && len(s)-i > 2 {
			return false
		}
	}
	p.typed = append(p.typed, b)
	return true
}

func (p *NumberPad) press(b byte) {
	if p.add(b) {
		p.changed()
	}
}

func (p *NumberPad) back() {
	if n := len(p.typed); n > 0 {
		p.typed[n-1] = 0
		p.typed = p.typed[:n-1]
		p.changed()
	}
}

func (p *NumberPad) clear() {
	if len(p.typed) > 0 {
		p.Wipe()
		p.changed()
	}
}

func (p *NumberPad) changed() {
	p.show()
	if p.opt.OnChange != nil {
		p.opt.OnChange(p.Value())
	}
}

func (p *NumberPad) show() { p.entry.set(Group(string(p.typed), p.opt.Groups), "") }

// Value is what was typed, without the gaps of its groups.
func (p *NumberPad) Value() string { return string(p.typed) }

// SetValue replaces it, without OnChange.
func (p *NumberPad) SetValue(s string) {
	p.Wipe()
	for i := range len(s) {
		p.add(s[i])
	}
	p.show()
}

// DoneKey is the done key, nil without.
func (p *NumberPad) DoneKey() *widget.Button { return p.done }

// Wipe zeroes what was typed.
func (p *NumberPad) Wipe() {
	clear(p.typed)
	p.typed = p.typed[:0]
	p.show()
}

// Group puts spaces into a number: "13800138000" by 3, 4, 4 is "138 0013 8000".
func Group(s string, groups []int) string {
	var b strings.Builder
	for _, n := range groups {
		if len(s) <= n {
			break
		}
		b.WriteString(s[:n] + " ")
		s = s[n:]
	}
	return b.String() + s
}
