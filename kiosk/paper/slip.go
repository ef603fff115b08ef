package paper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"regexp"
	"strconv"
	"strings"

	"github.com/signintech/gopdf"

	"cunban/kiosk/cases"
)

// The roll of an 80 mm receipt printer. All of the page is within the reach of
// the print head, so that nothing can be cut off at the sides.
const (
	SlipDPI  = 203 // dots an inch
	SlipDots = 576 // dots of the print head

	dotMM = 25.4 / SlipDPI
	// A hair less than SlipDots: a renderer rounds up, and gopdf to 1/100 pt.
	slipW   = SlipDots*dotMM - 0.006
	slipX   = 2.0 // margin left and right, in millimetres
	slipTxt = slipW - 2*slipX
	// slipTall is the page of the first layout, in millimetres; longer receipts do
	// not exist (the printer's limit is four metres).
	slipTall = 4000.0
)

// Sizes of a slip's letters, in points. People of eighty read it.
const (
	slipSmall = 10.0
	slipBody  = 12.0
	slipHead  = 14.0
	slipState = 24.0
	slipTitle = 22.0
)

// A slip's code: squares of whole dots, so that the printer's grid does not blur
// them.
const (
	slipModule    = 4 // dots; half a millimetre
	slipModuleMax = 6
)

// What a slip says besides what the A4 receipt says.
const (
	slipCodeWords = "这个码证明这件已记进操作日志，谁也改不了。码里没有您的姓名和证件号码，平时用不着它。要核对时，把这张纸交给县人社局。"
	slipFades     = "小票怕热怕晒，字会慢慢变淡。要长久保存，请拍照或复印。"
	slipDemo      = "演示 · 不作办事凭证"
)

// Slip makes the receipt (办件回执) for a receipt printer: the facts of Receipt on
// one page of SlipDots dots at SlipDPI, as long as needed, in black only, because
// thermal paper knows no grey.
func Slip(r ReceiptData) ([]byte, error) {
	// Laid out twice: the first time to learn how long it is.
	first := slip(r, slipTall)
	if first.err != nil {
		return nil, fmt.Errorf("paper: slip: %w", first.err)
	}
	d := slip(r, first.y)
	if d.err != nil {
		return nil, fmt.Errorf("paper: slip: %w", d.err)
	}
	b, err := d.pdf.GetBytesPdfReturnErr()
	if err != nil {
		return nil, fmt.Errorf("paper: slip: %w", err)
	}
	return b, nil
}

// slip lays a receipt out on a page of tall millimetres; d.y is where it ended.
func slip(r ReceiptData, tall float64) *doc {
	d := newSheet("办件回执", r.PrintedAt, gopdf.Rect{W: slipW, H: tall})
	d.y = 1
	if r.demo() {
		d.slipBanner(slipDemo)
	}
	o := r.Office
	d.slipMid(slipSmall, regular, o.county())
	d.slipMid(slipSmall, regular, o.point())
	d.slipMid(slipTitle, bold, "办件回执")
	d.slipState(r.Case)
	d.slipFacts(r)
	d.slipMaterials(r.Received, r.Case.Outstanding)
	if list := mendLines(r.Case); len(list) > 0 {
		d.slipSection("要补正的内容")
		d.slipSteps(list)
	}
	if r.Case.Note != "" {
		d.slipSection("县里的答复")
		d.slipBlock(slipBody, regular, r.Case.Note)
	}
	next := r.Next
	if next == nil {
		next = nextSteps(r.Case, o)
	}
	d.slipSection("接下来")
	d.slipSteps(next)
	d.slipSection("有事找谁")
	for _, l := range [][2]string{{"首问责任人", o.person()}, {"联系电话", cmp.Or(o.PersonPhone, askAtPoint)},
		{"政策咨询", o.consult()}, {"监督投诉", o.complaint()}} {
		d.slipPair(l[0], l[1], bold)
	}
	d.slipCode(r.QR)
	d.slipRule()
	d.slipBlock(slipSmall, regular, fmt.Sprintf("终端 %s", cmp.Or(o.Terminal, "—")))
	d.slipBlock(slipSmall, regular, "打印时间 "+momentText(r.PrintedAt))
	if r.Case.LogIndex > 0 || r.QR != "" {
		d.slipBlock(slipSmall, regular, fmt.Sprintf("操作日志第 %d 号", r.Case.LogIndex))
	}
	d.slipBlock(slipSmall, regular, slipFades)
	if s := d.remark(); s != "" {
		d.slipBlock(slipSmall, regular, s)
	}
	if r.demo() {
		d.slipBanner(slipDemo)
	}
	d.y += 1
	return d
}

// black is the only colour of a slip.
const black color = 0x000000

func (d *doc) slipMid(size float64, family, s string) {
	for _, l := range d.wrap(s, slipTxt, size, family) {
		d.textMid(slipW/2, d.y+(lineHeight(size)-size*ptMM)/2, size, family, black, l)
		d.y += lineHeight(size)
	}
}

func (d *doc) slipBlock(size float64, family, s string) {
	d.y += d.block(slipX, d.y, slipTxt, size, family, black, s)
}

func (d *doc) slipRule() {
	d.y += 1.5
	d.bar(slipX, d.y, slipTxt, 2*dotMM, black)
	d.y += 1.5
}

// slipBanner is white on black across the paper: what thermal paper has instead
// of a watermark.
func (d *doc) slipBanner(s string) {
	const size, h = slipHead, 8.5
	d.bar(0, d.y, slipW, h, black)
	d.textMid(slipW/2, d.y+(h-size*ptMM)/2, size, bold, white, s)
	d.y += h + 1.5
}

// slipState is the box that answers the one question everybody has.
func (d *doc) slipState(c cases.Case) {
	head, sentence := StateWords(c.State)
	const h = 13.0
	d.y += 1
	d.bar(slipX, d.y, slipTxt, h, black)
	size := slipState
	for d.width(size, bold, head) > slipTxt-4 {
		size--
	}
	d.textMid(slipW/2, d.y+(h-size*ptMM)/2, size, bold, white, head)
	d.y += h + 1.5
	if c.Acceptance != "" {
		d.slipBlock(slipSmall, regular, "受理编号")
		d.slipBlock(slipHead+2, bold, c.Acceptance)
		if when := momentText(c.AcceptedAt); when != "" {
			d.slipBlock(slipSmall, regular, "受理时间 "+when)
		}
		d.y++
	}
	d.slipBlock(slipBody, regular, sentence)
	d.slipRule()
}

// slipFacts are the same facts as on the A4 receipt, one a line.
func (d *doc) slipFacts(r ReceiptData) {
	c := r.Case
	d.slipBlock(slipSmall, regular, "办理事项")
	d.slipBlock(slipHead, bold, c.ServiceName)
	d.slipBlock(slipSmall, regular, "办件编号")
	d.slipBlock(slipBody, regular, brokenID(c.ID))
	d.y++
	d.slipPair("申请人", r.Claim.Name.String(), bold)
	d.slipPair("证件号码", r.Claim.Number.String(), regular)
	d.slipPair("提交时间", momentText(c.SavedAt), regular)
	d.slipPair("办理方式", ModeWords(c.Mode), regular)
	if !r.Agent.IsZero() {
		d.slipPair("代办人", r.Agent.String(), regular)
	}
	if c.Revision > 1 {
		d.slipPair("提交次数", fmt.Sprintf("第 %d 次提交", c.Revision), regular)
	}
	d.slipPair("承诺办结", promised(c), bold)
}

// brokenID is a case id in two lines: it is too long for one, and is to be
// broken where a person pauses.
func brokenID(id string) string {
	s := shortID(id)
	if i := nthIndex(s, '-', 3); i > 0 {
		return s[:i+1] + "\n" + s[i+1:]
	}
	return s
}

// nthIndex is where c stands for the nth time, -1 when it does not.
func nthIndex(s string, c byte, n int) int {
	for i := range len(s) {
		if s[i] == c {
			if n--; n == 0 {
				return i
			}
		}
	}
	return -1
}

// slipPair is a label with its value; no value, no line.
func (d *doc) slipPair(label, value, family string) {
	if value == "" {
		return
	}
	const w = 24.0
	d.text(slipX, d.y+(lineHeight(slipBody)-slipBody*ptMM)/2, slipBody, regular, black, label)
	d.y += d.block(slipX+w, d.y, slipTxt-w, slipBody, family, black, value)
}

func (d *doc) slipSection(s string) {
	d.slipRule()
	d.slipBlock(slipHead, bold, s)
}

// slipSteps are numbered sentences.
func (d *doc) slipSteps(list []string) {
	const indent = 6.0
	for i, s := range list {
		d.text(slipX, d.y+(lineHeight(slipBody)-slipBody*ptMM)/2, slipBody, bold, black, strconv.Itoa(i+1)+".")
		d.y += d.block(slipX+indent, d.y, slipTxt-indent, slipBody, regular, black, s) + 0.8
	}
}

// slipMaterials is what was handed in beside what is owed, told apart by words.
func (d *doc) slipMaterials(got []Material, owed []string) {
	if len(got) == 0 && len(owed) == 0 {
		return
	}
	d.slipSection("材料")
	tick := func(mark, s, family string) {
		const w = 14.0
		d.text(slipX, d.y+(lineHeight(slipBody)-slipBody*ptMM)/2, slipBody, bold, black, mark)
		d.y += d.block(slipX+w, d.y, slipTxt-w, slipBody, family, black, s) + 0.8
	}
	for _, m := range got {
		tick("[已收]", m.Name+m.how(), regular)
	}
	for _, m := range owed {
		tick("[待补]", m, bold)
	}
	if len(owed) > 0 {
		d.slipBlock(slipSmall, regular, owedHint)
	}
}

// slipCode draws the code on the printer's own grid, and what it is for.
func (d *doc) slipCode(text string) {
	if text == "" {
		return
	}
	size := 0
	bits := encodeModules(text, func(modules int) bool {
		size = min(SlipDots/(modules+2*quietZone), slipModuleMax)
		return size >= slipModule
	})
	if bits == nil {
		return
	}
	d.slipRule()
	side := float64(len(bits)*size) * dotMM
	// On whole dots from the upper left corner of the page.
	left := float64((SlipDots-len(bits)*size)/2) * dotMM
	top := float64(int(d.y/dotMM)+1+quietZone*size) * dotMM
	d.qr(left, top, side, bits)
	d.y = top + side + float64(quietZone*size)*dotMM
	d.slipMid(slipSmall, bold, codeUnder)
	d.slipBlock(slipSmall, regular, slipCodeWords)
}

// mendLines are what the county wants mended, empty unless the case is back.
func mendLines(c cases.Case) []string {
	if c.State != cases.Returned {
		return nil
	}
	var list []string
	for _, m := range c.Mend {
		list = append(list, strings.Trim(cmp.Or(m.Label, "整件")+"："+m.Reason, "："))
	}
	return list
}

// mediaBox finds the size of the pages in the plain part of a PDF.
var mediaBox = regexp.MustCompile(`/MediaBox\s*\[\s*0(?:\.0+)?\s+0(?:\.0+)?\s+([0-9.]+)\s+[0-9.]+\s*\]`)

// IsSlip tells a document for the receipt printer from one for the page printer,
// by the width of its first page.
func IsSlip(pdf []byte) bool {
	m := mediaBox.FindSubmatch(pdf)
	if m == nil {
		return false
	}
	w, err := strconv.ParseFloat(string(m[1]), 64)
	return err == nil && w <= SlipDots*72.0/SlipDPI
}

// ErrTooWide means that a document is not for a receipt printer.
var ErrTooWide = errors.New("paper: the page is too wide for the receipt printer")

// maxSlipPages is how many pages of a document for a receipt printer are drawn.
const maxSlipPages = 20

// Raster draws a document for a receipt printer whose head has dots dots: every
// page at SlipDPI, no wider than the head. Errors: ErrTooWide, those of Render.
func (r *Renderer) Raster(ctx context.Context, pdf []byte, dots int) ([]image.Image, error) {
	var out []image.Image
	for page, pages := 0, 1; page < min(pages, maxSlipPages); page++ {
		p, err := r.Render(ctx, pdf, page, SlipDPI)
		if err != nil {
			return nil, err
		}
		pages = p.Pages
		img, err := p.Image()
		if err != nil {
			return nil, err
		}
		b := img.Bounds()
		if b.Dx() > dots+1 { // one column is rounding
			return nil, fmt.Errorf("%w: %d dots for %d", ErrTooWide, b.Dx(), dots)
		}
		gray := image.NewGray(image.Rect(0, 0, min(b.Dx(), dots), b.Dy()))
		draw.Draw(gray, gray.Rect, img, b.Min, draw.Src)
		out = append(out, gray)
	}
	return out, nil
}
