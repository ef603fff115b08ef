package input

import (
	"fmt"
	"image"
	"strings"
	"unicode"

	"fyne.io/fyne/v2"

	"cunban/kiosk/ui/input/handwriting"
	"cunban/kiosk/ui/input/pinyin"
	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/widget"
)

// Mode is a way of typing text.
type Mode int

// The modes.
const (
	Pinyin Mode = iota // letters, with candidates
	Hand               // writing characters
	Marks              // digits and marks
	Latin              // letters as they are, for e-mail and licence plates
)

// TextOptions say what a TextPad takes.
type TextOptions struct {
	Value      string
	Max        int // most characters, 0 for 60
	Hint       string
	Start      Mode // the mode at first; one whose engine is nil is replaced
	Candidates Candidates
	Recogniser Recogniser
	OnChange   func(value string)
}

// handChoices is how many characters are offered for what was written.
const handChoices = 12

// TextPad takes text by pinyin, by handwriting, and digits and marks.
type TextPad struct {
	pad
	opt   TextOptions
	mode  Mode
	upper bool
	typed []rune
	comp  []byte // pinyin being composed

	// choices are the candidates fetched so far; from is the first one shown.
	choices []string
	more    bool
	from    []int // first candidate of this page and those before

	entry *entry
	field *fyne.Container // entry and mode keys
	row   *candidateRow
	ink   *widget.Ink
	board *fyne.Container
	modes map[Mode]*widget.Button
	found *fyne.Container // what handwriting found
	body  *fyne.Container
}

// NewTextPad returns a pad. Keys: "key.a" … "key.z", "key.0" …, "key.mark.，",
// "key.space", "key.back", "key.clear", "mode.pinyin", "mode.hand",
// "mode.marks", "mode.latin", "cand.0" …, "cand.next", "cand.prev"; "ink",
// "ink.undo", "ink.clear", "hand.0" ….
func NewTextPad(look *theme.Look, o TextOptions) *TextPad {
	if o.Max == 0 {
		o.Max = 60
	}
	p := &TextPad{opt: o, typed: []rune(o.Value), modes: map[Mode]*widget.Button{}}
	p.look = look
	p.entry = newEntry(look, o.Hint, "")
	p.row = newCandidateRow(look, p.choose, p.turn)
	p.ink = widget.NewInk(look, "ink", "在这里写一个字").NoLine()
	p.ink.OnStroke = p.recognise
	p.body = widget.Column(look.Gap() * 0.8)
	for _, m := range []struct {
		m           Mode
		name, label string
		on          bool
	}{
		{Pinyin, "mode.pinyin", "拼音", o.Candidates != nil},
		{Hand, "mode.hand", "手写", o.Recogniser != nil},
		{Marks, "mode.marks", "数字", true},
		{Latin, "mode.latin", "字母", true},
	} {
		if m.on {
			p.modes[m.m] = widget.NewButton(look, m.name, m.label, widget.FnKey, func() { p.SetMode(m.m) }).Wide(look.MM(28))
		}
	}
	p.root = p.body
	start := o.Start
	for _, m := range []Mode{start, Pinyin, Hand, Marks} {
		if p.modes[m] != nil {
			start = m
			break
		}
	}
	p.SetMode(start)
	p.ExtendBaseWidget(p)
	return p
}

// modeKeys are the keys of the modes offered, in order.
func (p *TextPad) modeKeys() []fyne.CanvasObject {
	var out []fyne.CanvasObject
	for _, m := range []Mode{Pinyin, Hand, Marks, Latin} {
		if b := p.modes[m]; b != nil {
			out = append(out, b)
		}
	}
	return out
}

// SetMode changes the way of typing. What was being composed is dropped.
func (p *TextPad) SetMode(m Mode) {
	if p.modes[m] == nil {
		return
	}
	p.dropComposition()
	p.ink.Wipe()
	p.mode = m
	for k, b := range p.modes {
		b.SetChosen(k == m)
	}
	gap := p.look.MM(3.2)
	top := []fyne.CanvasObject{widget.Fill(p.entry)}
	if p.look.Portrait {
		p.field = widget.Column(gap, p.entry, widget.Fixed(0, p.look.Target(), widget.Even(len(p.modes), gap, p.modeKeys()...)))
	} else {
		p.field = widget.Row(gap, append(top, p.modeKeys()...)...)
	}
	p.body.Objects = p.body.Objects[:0:0]
	p.body.Add(p.field)
	switch m {
	case Pinyin:
		p.body.Add(p.row)
		p.board = p.letters()
		p.body.Add(widget.Fill(p.board))
	case Latin:
		p.board = p.letters()
		p.body.Add(widget.Fill(p.board))
	case Marks:
		p.board = p.marks()
		p.body.Add(widget.Fill(p.board))
	case Hand:
		p.board = p.hand()
		p.body.Add(widget.Fill(p.board))
	default:
		panic(fmt.Sprintf("input: mode %d", int(m)))
	}
	p.body.Refresh()
	p.show()
}

// Mode is the present way of typing.
func (p *TextPad) Mode() Mode { return p.mode }

func (p *TextPad) letterKey(r rune) span {
	label := string(r)
	if p.mode == Latin && p.upper {
		label = strings.ToUpper(label)
	}
	return span{widget.NewButton(p.look, "key."+string(r), label, widget.KeyCap, func() { p.letter(r) }), 1}
}

func (p *TextPad) fn(name, label string, tap func()) *widget.Button {
	return widget.NewButton(p.look, name, label, widget.FnKey, tap)
}

func (p *TextPad) letters() *fyne.Container {
	var rows []keyRow
	for _, l := range []string{"qwertyuiop", "asdfghjkl", "zxcvbnm"} {
		var row keyRow
		for _, r := range l {
			row = append(row, p.letterKey(r))
		}
		rows = append(rows, row)
	}
	back, clearAll := p.fn("key.back", "删除", p.back), p.fn("key.clear", "清空", p.clear)
	space := p.fn("key.space", "空格", p.space)
	var shift *widget.Button
	if p.mode == Latin {
		label := "大写"
		if p.upper {
			label = "小写"
		}
		shift = p.fn("key.shift", label, func() {
			p.upper = !p.upper
			p.SetMode(Latin)
		})
	}
	if p.look.Portrait {
		last := keyRow{}
		if shift != nil {
			last = append(last, span{shift, 2})
		}
		rows = append(rows, append(last, span{space, 4 - float32(len(last))}, span{back, 3}, span{clearAll, 3 - float32(len(last))}))
		return newKeys(p.look, 10, rows...)
	}
	rows[1] = append(rows[1], span{back, 1})
	if shift != nil {
		rows[2] = append(rows[2], span{shift, 1}, span{space, 1}, span{clearAll, 1})
	} else {
		rows[2] = append(rows[2], span{space, 2}, span{clearAll, 1})
	}
	return newKeys(p.look, 10, rows...)
}

// markRows are digits and marks, in rows of ten and less.
var markRows = []string{"1234567890", "，。、：（）－/·", "#@.%“”号"}

func (p *TextPad) marks() *fyne.Container {
	var rows []keyRow
	for i, l := range markRows {
		var row keyRow
		for _, r := range l {
			name := "key.mark." + string(r)
			if i == 0 {
				name = "key." + string(r)
			}
			row = append(row, span{widget.NewButton(p.look, name, string(r), widget.KeyCap, func() { p.put(string(r)) }), 1})
		}
		rows = append(rows, row)
	}
	back, clearAll := p.fn("key.back", "删除", p.back), p.fn("key.clear", "清空", p.clear)
	space := p.fn("key.space", "空格", p.space)
	if p.look.Portrait {
		rows = append(rows, keyRow{{space, 4}, {back, 3}, {clearAll, 3}})
		return newKeys(p.look, 10, rows...)
	}
	rows[1] = append(rows[1], span{back, 1})
	rows[2] = append(rows[2], span{space, 2}, span{clearAll, 1})
	return newKeys(p.look, 10, rows...)
}

func (p *TextPad) hand() *fyne.Container {
	columns := 4
	if p.look.Portrait {
		columns = 6
	}
	gap := p.look.MM(3.2)
	p.found = widget.Even(columns, gap)
	undo := p.fn("ink.undo", "撤一笔", p.ink.Undo).WithIcon("back")
	again := p.fn("ink.clear", "重写", p.ink.Clear).WithIcon("refresh")
	back := p.fn("key.back", "删除", p.back).WithIcon("backspace")
	clearAll := p.fn("key.clear", "清空", p.clear).WithIcon("trash")
	buttons := widget.Fixed(0, p.look.Target(), widget.Even(4, gap, undo, again, back, clearAll))
	p.recognise()
	if p.look.Portrait {
		cells := widget.Fixed(0, p.look.Target()*2+gap, p.found)
		return widget.Column(gap, widget.Fill(p.ink), cells, buttons)
	}
	return widget.Split(p.look, 0.56, p.ink, widget.Column(gap, widget.Fill(p.found), buttons))
}

// recognise offers characters for what was written.
func (p *TextPad) recognise() {
	if p.found == nil {
		return
	}
	var found []string
	if s := p.ink.Size(); p.ink.Strokes() > 0 && p.opt.Recogniser != nil {
		strokes := make([][]handwriting.Point, 0, p.ink.Strokes())
		for _, st := range p.ink.Points() {
			line := make([]handwriting.Point, 0, len(st))
			for _, q := range st {
				line = append(line, handwriting.Point(q))
			}
			strokes = append(strokes, line)
		}
		found = p.opt.Recogniser.Recognize(strokes, int(s.Width), int(s.Height), handChoices)
	}
	p.found.Objects = p.found.Objects[:0:0]
	for i := range handChoices {
		label := ""
		if i < len(found) {
			label = found[i]
		}
		b := widget.NewButton(p.look, fmt.Sprintf("hand.%d", i), label, widget.KeyCap, func() {
			p.put(label)
			p.ink.Clear()
		}).Sized(p.look.Title())
		if label == "" {
			b.Disable("")
		}
		p.found.Add(b)
	}
	p.found.Refresh()
}

func (p *TextPad) letter(r rune) {
	if p.mode == Latin {
		if p.upper {
			r = unicode.ToUpper(r)
		}
		p.put(string(r))
		return
	}
	if len(p.comp) >= pinyin.MaxInput || len(p.typed) >= p.opt.Max {
		return
	}
	p.comp = append(p.comp, byte(r))
	p.compose()
}

// compose asks for the candidates of what is being composed.
func (p *TextPad) compose() {
	p.choices, p.more, p.from = nil, false, []int{0}
	if len(p.comp) > 0 {
		p.choices, p.more = p.opt.Candidates.Candidates(string(p.comp), 0)
	}
	p.show()
}

// fetch gets candidates until there are n or no more.
func (p *TextPad) fetch(n int) {
	for p.more && len(p.choices) < n {
		var next []string
		next, p.more = p.opt.Candidates.Candidates(string(p.comp), len(p.choices)/pinyin.PageSize)
		if len(next) == 0 {
			p.more = false
		}
		p.choices = append(p.choices, next...)
	}
}

// turn shows the next or the previous candidates.
func (p *TextPad) turn(by int) {
	switch {
	case by > 0 && p.row.rest:
		p.from = append(p.from, p.from[len(p.from)-1]+p.row.shown)
	case by < 0 && len(p.from) > 1:
		p.from = p.from[:len(p.from)-1]
	default:
		return
	}
	p.show()
}

// choose takes the i-th candidate of the row.
func (p *TextPad) choose(i int) {
	k := p.from[len(p.from)-1] + i
	if k >= len(p.choices) {
		return
	}
	word := p.choices[k]
	rest, err := p.opt.Candidates.Rest(string(p.comp), k)
	if err != nil {
		rest = "" // the word is right all the same; what is left is typed again
	}
	clear(p.comp)
	p.comp = append(p.comp[:0], rest...)
	p.add(word)
	p.compose()
	p.changed()
}

func (p *TextPad) add(s string) {
	for _, r := range s {
		if len(p.typed) < p.opt.Max {
			p.typed = append(p.typed, r)
		}
	}
}

// put types s as it is.
func (p *TextPad) put(s string) {
	p.add(s)
	p.show()
	p.changed()
}

func (p *TextPad) space() {
	switch {
	case len(p.comp) == 0:
		p.put(" ")
	case len(p.choices) > 0:
		p.choose(0)
	}
}

func (p *TextPad) back() {
	if n := len(p.comp); n > 0 {
		p.comp[n-1] = 0
		p.comp = p.comp[:n-1]
		p.compose()
		return
	}
	if n := len(p.typed); n > 0 {
		p.typed[n-1] = 0
		p.typed = p.typed[:n-1]
		p.show()
		p.changed()
	}
}

func (p *TextPad) clear() {
	had := len(p.typed) > 0
	p.Wipe()
	if had {
		p.changed()
	}
}

func (p *TextPad) dropComposition() {
	clear(p.comp)
	p.comp = p.comp[:0]
	p.choices, p.more, p.from = nil, false, []int{0}
	if p.opt.Candidates != nil {
		p.opt.Candidates.Clear()
	}
}

func (p *TextPad) show() {
	p.entry.set(string(p.typed), string(p.comp))
	if p.mode != Pinyin {
		return
	}
	from := p.from[len(p.from)-1]
	p.fetch(from + pinyin.PageSize + 1)
	p.row.set(p.choices[min(from, len(p.choices)):], from > 0, len(p.comp) > 0)
}

func (p *TextPad) changed() {
	if p.opt.OnChange != nil {
		p.opt.OnChange(p.Value())
	}
}

// Value is what was typed; what is being composed does not count.
func (p *TextPad) Value() string { return string(p.typed) }

// SetValue replaces it, without OnChange.
func (p *TextPad) SetValue(s string) {
	p.Wipe()
	p.add(s)
	p.show()
}

// Wipe zeroes what was typed, composed and drawn.
func (p *TextPad) Wipe() {
	clear(p.typed[:cap(p.typed)])
	p.typed = p.typed[:0]
	clear(p.choices)
	p.dropComposition()
	p.ink.Clear()
	p.show()
}

// Draw writes a stroke on the handwriting sheet, for the automation door and
// tests; points are in pixels of the sheet.
func (p *TextPad) Draw(stroke []image.Point) { p.ink.Draw(stroke) }

// InkSize is the size of the sheet in pixels.
func (p *TextPad) InkSize() fyne.Size { return p.ink.Size() }
