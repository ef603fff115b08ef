package paper

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"

	"github.com/signintech/gopdf"
)

// The page, in millimetres.
const (
	pageW, pageH = 210.0, 297.0
	marginX      = 18.0
	topY         = 12.0
	bottomY      = 279.0 // content ends here, the footer is below
	contentW     = pageW - 2*marginX
	ptMM         = 25.4 / 72 // one point in millimetres
	ascent       = 0.88      // of the em, Noto Sans SC
)

// Font families inside a document.
const (
	regular = "r"
	bold    = "b"
)

// Missing stands for a character that the font lacks (U+303F).
const Missing = '〿'

// color is 0xRRGGBB.
type color uint32

// The palette of the screen, so that paper and screen look like one thing.
const (
	ink    color = 0x14202E
	soft   color = 0x46566B
	hair   color = 0xD5DDE8
	ground color = 0xF3F6FA
	white  color = 0xFFFFFF
	blue   color = 0x12407A
	orange color = 0xD95F0E
	good   color = 0x1B7F4B
	goodBg color = 0xEAF5EF
	warn   color = 0x8A5200
	warnBg color = 0xFDF3E3
	bad    color = 0xA8201A
	badBg  color = 0xFBECEB
)

// doc is one PDF being laid out, top to bottom. The first error sticks and
// ends everything that follows.
type doc struct {
	pdf     gopdf.GoPdf
	y       float64
	err     error
	pages   int
	title   string // running head from the second page on
	family  string
	size    float64
	missing []rune // characters the font lacks, each once, in order
	glyphs  map[rune]bool
}

// newDoc begins a document of A4 with its first page.
func newDoc(title string, at time.Time) *doc { return newSheet(title, at, *gopdf.PageSizeA4) }

// newSheet begins a document of pages of a size with its first page.
func newSheet(title string, at time.Time, size gopdf.Rect) *doc {
	d := &doc{title: title, glyphs: map[rune]bool{}}
	d.pdf.Start(gopdf.Config{Unit: gopdf.UnitMM, PageSize: size})
	// No name or number in the metadata: they show in file listings.
	d.pdf.SetInfo(gopdf.PdfInfo{Title: title, Creator: "cunban", Producer: "cunban", CreationDate: at})
	c, err := fonts()
	if err != nil {
		d.err = err
		return d
	}
	for _, f := range []string{regular, bold} {
		if d.err = d.pdf.AddTTFFontFromFontContainer(f, c); d.err != nil {
			return d
		}
	}
	d.page()
	return d
}

// page begins a page.
func (d *doc) page() {
	d.pdf.AddPage()
	d.pages++
	d.y = topY
	d.family = ""
	if d.pages > 1 {
		d.text(marginX, d.y, 9, regular, soft, d.title+"（续）")
		d.y += 6
		d.rule(marginX, d.y, contentW, hair, 0.25)
		d.y += 5
	}
}

// need begins a new page when less than h millimetres are left.
func (d *doc) need(h float64) {
	if d.y+h > bottomY {
		d.page()
	}
}

func (d *doc) font(family string, size float64) {
	if d.err != nil || (d.family == family && d.size == size) {
		return
	}
	d.family, d.size = family, size
	d.err = d.pdf.SetFont(family, "", size)
}

// tidy makes a text printable: control characters, variation selectors and
// direction marks go, and what the font lacks becomes Missing.
func (d *doc) tidy(s string) string {
	if d.err != nil {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\u00a0' || r == '\n':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Variation_Selector, r), unicode.Is(unicode.Cf, r):
			return -1
		}
		has, known := d.glyphs[r]
		if !known {
			var err error
			if has, err = d.pdf.IsCurrFontContainGlyph(r); err != nil {
				has = false
			}
			d.glyphs[r] = has
			if !has {
				d.missing = append(d.missing, r)
			}
		}
		if !has {
			return Missing
		}
		return r
	}, s)
}

// width measures a text in millimetres.
func (d *doc) width(size float64, family, s string) float64 {
	d.font(family, size)
	s = d.tidy(s)
	if d.err != nil || s == "" {
		return 0
	}
	w, err := d.pdf.MeasureTextWidth(s)
	if err != nil {
		d.err = err
	}
	return w
}

// text draws one line with its upper edge at y.
func (d *doc) text(x, y, size float64, family string, c color, s string) {
	d.font(family, size)
	s = d.tidy(s)
	if d.err != nil || s == "" {
		return
	}
	d.pdf.SetTextColor(uint8(c>>16), uint8(c>>8), uint8(c))
	d.pdf.SetXY(x, y+size*ptMM*ascent)
	d.err = d.pdf.Text(s)
}

// textRight and textMid draw one line that ends at x or is centred on it.
func (d *doc) textRight(x, y, size float64, family string, c color, s string) {
	d.text(x-d.width(size, family, s), y, size, family, c, s)
}

func (d *doc) textMid(x, y, size float64, family string, c color, s string) {
	d.text(x-d.width(size, family, s)/2, y, size, family, c, s)
}

// lineHeight is the distance of lines for a size in points, in millimetres.
func lineHeight(size float64) float64 { return size * ptMM * 1.42 }

// block draws a text wrapped into width w and returns its height.
func (d *doc) block(x, y, w, size float64, family string, c color, s string) float64 {
	h := 0.0
	for _, l := range d.wrap(s, w, size, family) {
		d.text(x, y+h+(lineHeight(size)-size*ptMM)/2, size, family, c, l)
		h += lineHeight(size)
	}
	return h
}

// height is what block would return, without drawing.
func (d *doc) height(w, size float64, family, s string) float64 {
	return float64(len(d.wrap(s, w, size, family))) * lineHeight(size)
}

// Characters that must not begin or end a line (GB/T 15834 punctuation).
const (
	notFirst = "，。、；：？！）」』】》〉”’…·～%,.;:?!)]}年月日"
	notLast  = "（「『【《〈“‘([{"
)

// tokens cuts a text into pieces between which a line may break.
func tokens(s string) []string {
	var out []string
	glue := false // the next character belongs to the last token
	for _, r := range s {
		word := r < 0x2e80 && r != ' '
		last := ""
		if len(out) > 0 {
			last = out[len(out)-1]
		}
		lastRune := rune(0)
		for _, x := range last {
			lastRune = x
		}
		switch {
		case last != "" && (glue || strings.ContainsRune(notFirst, r) ||
			word && lastRune < 0x2e80 && lastRune != ' '):
			out[len(out)-1] += string(r)
		default:
			out = append(out, string(r))
		}
		glue = strings.ContainsRune(notLast, r)
	}
	return out
}

// wrap breaks a text into lines of at most w millimetres; a line break in the
// text stays one. A token that is too long is cut hard.
func (d *doc) wrap(s string, w, size float64, family string) []string {
	var lines []string
	for para := range strings.SplitSeq(s, "\n") {
		line, used := "", 0.0
		for _, t := range tokens(para) {
			tw := d.width(size, family, t)
			if used+tw > w && line != "" {
				lines = append(lines, strings.TrimRight(line, " "))
				line, used = "", 0
				if t == " " {
					continue
				}
			}
			for tw > w {
				head := []rune(t)
				n := len(head)
				for n > 1 && d.width(size, family, string(head[:n])) > w {
					n--
				}
				lines = append(lines, string(head[:n]))
				t = string(head[n:])
				tw = d.width(size, family, t)
				if t == "" {
					break
				}
			}
			line += t
			used += tw
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return lines
}

func (d *doc) fill(c color)   { d.pdf.SetFillColor(uint8(c>>16), uint8(c>>8), uint8(c)) }
func (d *doc) stroke(c color) { d.pdf.SetStrokeColor(uint8(c>>16), uint8(c>>8), uint8(c)) }

// rule draws a horizontal line, lw millimetres thick.
func (d *doc) rule(x, y, w float64, c color, lw float64) {
	d.stroke(c)
	d.pdf.SetLineWidth(lw)
	d.pdf.Line(x, y, x+w, y)
}

// bar fills a rectangle.
func (d *doc) bar(x, y, w, h float64, c color) {
	d.fill(c)
	d.pdf.RectFromUpperLeftWithStyle(x, y, w, h, "F")
}

// card draws a rounded box; border 0 is "no border".
func (d *doc) card(x, y, w, h float64, bg color, border color) {
	if d.err != nil {
		return
	}
	d.fill(bg)
	style := "F"
	if border != 0 {
		d.stroke(border)
		d.pdf.SetLineWidth(0.3)
		style = "DF"
	}
	d.err = d.pdf.Rectangle(x, y, x+w, y+h, style, 2.2, 8)
}

// disc fills a circle.
func (d *doc) disc(x, y, r float64, c color) {
	d.fill(c)
	var pts []gopdf.Point
	for i := range 36 {
		a := float64(i) * math.Pi / 18
		pts = append(pts, gopdf.Point{X: x + r*math.Cos(a), Y: y + r*math.Sin(a)})
	}
	d.pdf.Polygon(pts, "F")
}

// head draws the top of a paper: county and point, title, rule.
func (d *doc) head(o Office, title string) {
	d.bar(0, 0, pageW, 4, blue)
	d.y = topY
	d.text(marginX, d.y, 10.5, regular, soft, o.county())
	// A long name of the point gives way rather than run into the county's.
	point := o.point()
	room := contentW - d.width(10.5, regular, o.county()) - 6
	for d.width(10.5, regular, point) > room && len([]rune(point)) > 4 {
		r := []rune(strings.TrimSuffix(point, "…"))
		point = string(r[:len(r)-1]) + "…"
	}
	d.textRight(pageW-marginX, d.y, 10.5, regular, soft, point)
	d.y += 7.5
	d.textMid(pageW/2, d.y, 27, bold, blue, title)
	d.y += 13.5
	d.rule(marginX, d.y, contentW, blue, 0.6)
	d.bar(pageW/2-12, d.y-0.6, 24, 1.2, orange)
	d.y += 5
}

// section draws a small heading with its mark.
func (d *doc) section(s string) {
	d.need(16)
	d.bar(marginX, d.y+0.4, 1.4, 4.6, blue)
	d.text(marginX+3.6, d.y, 13, bold, blue, s)
	d.y += sectionH
}

// sectionH is the height of a section's heading.
const sectionH = 7.3

// pair is one label with its value.
type pair struct {
	label, value string
	strong       bool
}

const labelW = 25.0

// pairs draws labels and values in one or two columns, rows as high as their
// longer value. Empty values are left out.
func (d *doc) pairs(list []pair, columns int) {
	var rows [][]pair
	for _, p := range list {
		if p.value == "" {
			continue
		}
		if n := len(rows); n > 0 && len(rows[n-1]) < columns {
			rows[n-1] = append(rows[n-1], p)
		} else {
			rows = append(rows, []pair{p})
		}
	}
	colW := contentW / float64(columns)
	for _, row := range rows {
		h := 0.0
		for _, p := range row {
			h = math.Max(h, d.height(colW-labelW-4, 11.5, face(p.strong), p.value))
		}
		d.need(h + 2.6)
		for i, p := range row {
			x := marginX + float64(i)*colW
			d.text(x, d.y+(lineHeight(11.5)-11*ptMM)/2, 11, regular, soft, p.label)
			d.block(x+labelW, d.y, colW-labelW-4, 11.5, face(p.strong), ink, p.value)
		}
		d.y += h + 2.6
		d.rule(marginX, d.y-1.3, contentW, hair, 0.2)
	}
}

func face(strong bool) string {
	if strong {
		return bold
	}
	return regular
}

// steps draws numbered sentences.
func (d *doc) steps(list []string, w float64) {
	for i, s := range list {
		h := d.height(w-stepIndent, 11.5, regular, s)
		d.need(h + stepGap)
		d.disc(marginX+2.8, d.y+lineHeight(11.5)/2, 2.6, blue)
		d.textMid(marginX+2.8, d.y+lineHeight(11.5)/2-9*ptMM*0.52, 9, bold, white, fmt.Sprint(i+1))
		d.block(marginX+8, d.y, w-stepIndent, 11.5, regular, ink, s)
		d.y += h + stepGap
	}
}

// stepsHeight is what steps takes, without drawing.
func (d *doc) stepsHeight(list []string, w float64) (h float64) {
	for _, s := range list {
		h += d.height(w-stepIndent, 11.5, regular, s) + stepGap
	}
	return h
}

// Measures of steps, in millimetres.
const (
	stepIndent = 10.0
	stepGap    = 1.6
)

// finish draws footers, the remark on missing characters and the 演示 mark on
// every page, and returns the file.
func (d *doc) finish(left string, demo bool) ([]byte, error) {
	remark := d.remark()
	for i := 1; i <= d.pages && d.err == nil; i++ {
		if d.err = d.pdf.SetPage(i); d.err != nil {
			break
		}
		d.family = ""
		y := 283.0
		d.rule(marginX, y, contentW, hair, 0.25)
		d.text(marginX, y+2, 8.5, regular, soft, left)
		d.textRight(pageW-marginX, y+2, 8.5, regular, soft, fmt.Sprintf("第 %d 页，共 %d 页", i, d.pages))
		if remark != "" {
			d.text(marginX, y+6.2, 8.5, regular, warn, remark)
		}
		if demo {
			d.watermark()
		}
	}
	if d.err != nil {
		return nil, fmt.Errorf("paper: %s: %w", d.title, d.err)
	}
	b, err := d.pdf.GetBytesPdfReturnErr()
	if err != nil {
		return nil, fmt.Errorf("paper: %s: %w", d.title, err)
	}
	return b, nil
}

// remark explains 〿, naming the code points so that the office can find the
// characters (GB 18030 name archives).
func (d *doc) remark() string {
	if len(d.missing) == 0 {
		return ""
	}
	var codes []string
	for _, r := range d.missing {
		codes = append(codes, fmt.Sprintf("U+%04X", r))
		if len(codes) == 6 && len(d.missing) > 6 {
			codes = append(codes, "…")
			break
		}
	}
	return fmt.Sprintf("注：%c 处的字本机字库中没有，办理时以证件原字为准（%s）。", Missing, strings.Join(codes, "、"))
}

// watermark marks the current page as a demonstration: large and pale across
// the page, and small and plain in the corner, so that neither cropping nor a
// weak printer loses it.
func (d *doc) watermark() {
	if d.err != nil {
		return
	}
	t, err := gopdf.NewTransparency(0.11, string(gopdf.Multiply))
	if err != nil {
		d.err = err
		return
	}
	const mark, size = "演 示", 72.0
	w := d.width(size, bold, mark)
	for _, at := range []gopdf.Point{{X: 62, Y: 92}, {X: 150, Y: 168}, {X: 62, Y: 244}} {
		d.pdf.Rotate(32, at.X, at.Y)
		d.pdf.SetTextColor(uint8(bad>>16), uint8(bad>>8&0xff), uint8(bad&0xff))
		d.pdf.SetXY(at.X-w/2, at.Y-size*ptMM/2)
		// Text ignores transparency; a cell does not.
		if err := d.pdf.CellWithOption(&gopdf.Rect{W: w, H: size * ptMM}, mark, gopdf.CellOption{Transparency: &t}); err != nil {
			d.err = err
			return
		}
		d.pdf.RotateReset()
	}
	d.card(pageW-marginX-46, 5, 46, 5.6, badBg, bad)
	d.textMid(pageW-marginX-23, 6.1, 9.5, bold, bad, "演示 · 不作办事凭证")
}
