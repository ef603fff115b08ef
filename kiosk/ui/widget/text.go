package widget

import (
	"image/color"
	"strings"
	"unicode"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"

	"cunban/kiosk/ui/theme"
)

// Text is text that wraps as Chinese does: anywhere between characters, but no
// line begins with a closing mark or ends with an opening one, and numbers and
// Latin words stay whole. Newlines are kept.
type Text struct {
	base
	text     string
	size     float32
	bold     bool
	colour   color.NRGBA
	align    fyne.TextAlign
	maxLines int
	leading  float32

	lines []*canvas.Text
	width float32 // that lines were broken for
}

// NewText returns running text in the body size.
func NewText(look *theme.Look, text string) *Text {
	t := &Text{text: text, size: look.Body(), colour: look.C().Ink, leading: 1}
	t.look = look
	t.arrange = t.lay
	t.smallest = t.min
	t.ExtendBaseWidget(t)
	return t
}

// Sized sets the font size in pixels (look.Body(), look.Title() …).
func (t *Text) Sized(px float32) *Text { t.size = px; t.width = 0; return t }

// Bold makes it bold.
func (t *Text) Bold() *Text { t.bold = true; t.width = 0; return t }

// Coloured sets the colour.
func (t *Text) Coloured(c color.NRGBA) *Text { t.colour = c; t.width = 0; return t }

// Soft sets the colour of second text.
func (t *Text) Soft() *Text { return t.Coloured(t.look.C().Soft) }

// Centred aligns to the middle, Right to the right.
func (t *Text) Centred() *Text { t.align = fyne.TextAlignCenter; t.width = 0; return t }

// Right aligns to the right.
func (t *Text) Right() *Text { t.align = fyne.TextAlignTrailing; t.width = 0; return t }

// Limit cuts after n lines with an ellipsis; 0 is no limit.
func (t *Text) Limit(n int) *Text { t.maxLines = n; t.width = 0; return t }

// SetText changes the text.
func (t *Text) SetText(s string) {
	if s == t.text {
		return
	}
	t.text, t.width = s, 0
	t.Refresh()
}

// SetColour changes the colour.
func (t *Text) SetColour(c color.NRGBA) {
	if c == t.colour {
		return
	}
	t.colour, t.width = c, 0
	t.Refresh()
}

// Text is the text shown.
func (t *Text) Text() string { return t.text }

// lineHeight is the height of a line: Noto Sans SC asks for 1.448 em, which is
// right for running text and too airy for large words.
func (t *Text) lineHeight() float32 {
	if t.size >= t.look.Title() {
		return t.size * 1.3
	}
	return t.size * 1.448
}

// HeightFor implements Flow.
func (t *Text) HeightFor(width float32) float32 {
	if t.text == "" {
		return 0
	}
	return float32(len(t.broken(width))) * t.lineHeight()
}

func (t *Text) broken(width float32) (lines []string) {
	for par := range strings.SplitSeq(t.text, "\n") {
		lines = append(lines, t.paragraph(par, width)...)
	}
	if t.maxLines > 0 && len(lines) > t.maxLines {
		lines = lines[:t.maxLines]
		last := []rune(lines[t.maxLines-1])
		for len(last) > 0 && t.measure(string(last))+t.look.Advance('…', t.bold, t.size) > width {
			last = last[:len(last)-1]
		}
		lines[t.maxLines-1] = string(last) + "…"
	}
	return lines
}

// paragraph breaks text without line feeds. A last line of one or two
// characters reads badly: the same number of lines is broken more evenly.
func (t *Text) paragraph(par string, width float32) []string {
	advance := func(r rune) float32 { return t.look.Advance(r, t.bold, t.size) }
	lines := breakLine([]rune(par), width, advance)
	if two, ok := t.atMark(par, lines, width); ok {
		return two
	}
	n := len(lines)
	if n < 2 || n > 4 || t.measure(lines[n-1]) >= width*0.4 {
		return lines
	}
	lo, hi := width/2, width
	for range 7 {
		mid := (lo + hi) / 2
		if len(breakLine([]rune(par), mid, advance)) > n {
			lo = mid
		} else {
			hi = mid
		}
	}
	return breakLine([]rune(par), hi, advance)
}

// atMark breaks a paragraph of two lines after a comma or full stop, if both
// parts fit and neither is a mere scrap: that is where a reader pauses.
func (t *Text) atMark(par string, lines []string, width float32) ([]string, bool) {
	if len(lines) != 2 || t.measure(lines[1]) > width*0.75 {
		return nil, false
	}
	var best []string
	longer := width + 1
	for i, r := range par {
		if !strings.ContainsRune("，。；：？！", r) {
			continue
		}
		a, b := par[:i+len(string(r))], strings.TrimLeft(par[i+len(string(r)):], " ")
		// A closing mark belongs to what it closes.
		if b == "" || strings.ContainsRune(noBegin, []rune(b)[0]) {
			continue
		}
		wa, wb := t.measure(a), t.measure(b)
		if m := max(wa, wb); m <= width && m < longer && min(wa, wb) > width*0.25 {
			best, longer = []string{a, b}, m
		}
	}
	return best, best != nil
}

func (t *Text) measure(s string) (w float32) {
	for _, r := range s {
		w += t.look.Advance(r, t.bold, t.size)
	}
	return w
}

// min is the width of the longest line without wrapping, so that rows and
// buttons get their natural width, and the height at the present width.
func (t *Text) min() fyne.Size {
	if t.text == "" {
		return fyne.Size{}
	}
	w := float32(0)
	for s := range strings.SplitSeq(t.text, "\n") {
		w = max(w, t.measure(s))
	}
	w = float32(int(w) + 1)
	if s := t.Size(); s.Width > 0 && s.Width < w {
		return fyne.NewSize(w, t.HeightFor(s.Width))
	}
	return fyne.NewSize(w, t.HeightFor(w))
}

func (t *Text) lay(s fyne.Size) {
	if t.width != s.Width {
		t.width = s.Width
		var broken []string
		if t.text != "" && s.Width > 0 {
			broken = t.broken(s.Width)
		}
		// Text objects are kept: Fyne caches a texture for each.
		for len(t.lines) < len(broken) {
			t.lines = append(t.lines, canvas.NewText("", t.colour))
		}
		t.lines = t.lines[:len(broken)]
		t.kids = t.kids[:0]
		for i, l := range t.lines {
			l.Text, l.TextSize, l.Color, l.Alignment = broken[i], t.size, t.colour, t.align
			l.TextStyle.Bold, l.FontSource = t.bold, theme.Font(t.bold)
			t.kids = append(t.kids, l)
		}
	}
	lh := t.lineHeight()
	y := float32(0)
	// The font's own line is 1.448 em high; in a tighter line it hangs over
	// evenly above and below.
	over := (t.size*1.448 - lh) / 2
	for _, l := range t.lines {
		place(l, 0, y-over, s.Width, t.size*1.448)
		y += lh
	}
}

// Marks that may not begin and may not end a line (GB/T 15834-2011, 5.1).
const (
	noBegin = "，。、；：？！）》”’】」』…—·,.;:?!)]}%℃"
	noEnd   = "（《“‘【「『([{￥¥"
)

// breakLine breaks text without line feeds into lines no wider than width.
func breakLine(s []rune, width float32, advance func(rune) float32) []string {
	var out []string
	for start := 0; ; {
		w, i := float32(0), start
		for i < len(s) {
			a := advance(s[i])
			if w+a > width+0.5 && i > start {
				break
			}
			w += a
			i++
		}
		if i >= len(s) {
			return append(out, strings.TrimRight(string(s[start:]), " "))
		}
		cut := i
		for cut > start+1 && !mayBreak(s, cut) {
			cut--
		}
		if cut == start+1 && !mayBreak(s, cut) {
			cut = i // one long word: break it where the line is full
		}
		out = append(out, strings.TrimRight(string(s[start:cut]), " "))
		for cut < len(s) && s[cut] == ' ' {
			cut++
		}
		start = cut
	}
}

// Words that count: a number is not parted from them, nor 月 from the day.
const units = "年月日元个号岁时分秒项件步页天人次亩档号楼"

// mayBreak tells whether a line may end before s[i].
func mayBreak(s []rune, i int) bool {
	a, b := s[i-1], s[i]
	before := a // what stands before, spaces left out
	if a == ' ' && i > 1 {
		before = s[i-2]
	}
	switch {
	case strings.ContainsRune(noBegin, b), strings.ContainsRune(noEnd, before):
		return false
	case a == '/' || b == '/': // 元/月 is one word
		return false
	case unicode.IsDigit(before) && strings.ContainsRune(units, b), strings.ContainsRune("年月", before) && unicode.IsDigit(b):
		return false
	case a == ' ' || b == ' ':
		return a == ' ' || i+1 >= len(s) || !unicode.IsDigit(a) || !strings.ContainsRune(units, s[i+1])
	}
	return !latin(a) || !latin(b)
}

// latin tells whether a rune belongs to a word or number that stays whole.
func latin(r rune) bool {
	return r < 0x2E80 && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_/.*:@+'", r))
}

// Texts lists the texts visible under root, wrapped texts whole, in the order
// of the tree.
func Texts(root fyne.CanvasObject) []string {
	var out []string
	Walk(root, func(o fyne.CanvasObject) bool {
		switch o := o.(type) {
		case *Text:
			if o.text != "" {
				out = append(out, o.text)
			}
			return false
		case *canvas.Text:
			if o.Text != "" {
				out = append(out, o.Text)
			}
		}
		return true
	})
	return out
}
