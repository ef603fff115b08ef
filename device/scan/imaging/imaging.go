// Package imaging makes a page that is fit for a file out of what a scanner or
// a camera gave: 200 dpi, small enough for a thin line, and judged in words
// that a villager understands. It exists so that an unreadable page is noticed
// while the person is still there.
//
// It guarantees: the result is a JPEG (ISO/IEC 10918-1) of at most MaxBytes
// without any metadata of the camera; nothing that lies on the sheet is cropped,
// and a picture is never enlarged; the same picture gives the same bytes and the
// same verdict. It is pure Go, holds no state and is safe for concurrent use.
//
// A photograph of a sheet on a table is cut out, seen from straight above and
// evenly lit; where its lines run up and down it is turned to the right by a
// quarter (which way up cannot be told without reading). A card is cut out and
// laid on its longer side; both sides of one come on a page at their true size.
// A scanned page is straightened. A page that is not good enough is made all the
// same, with words that say what to do: the person decides. A side is blank when
// nobody wrote anything on it; the print of the other side, punched holes and
// dust do not count.
package imaging

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
)

// Sizes of a page in a file.
const (
	TargetDPI = 200        // text of 8 points stays readable
	MaxBytes  = 300 * 1000 // of one page
	a4Short   = 1654       // 210 mm at TargetDPI, in pixels
	a4Long    = 2339       // 297 mm at TargetDPI
	maxSide   = 30000      // of an input, in pixels
)

// Quality of the JPEG: begun with the first, never below the last.
const (
	firstQuality = 82
	lastQuality  = 35
	qualityStep  = 3
)

// ErrEmpty means that there is no picture to prepare.
var ErrEmpty = errors.New("imaging: no picture")

// Options tell where a picture comes from.
type Options struct {
	DPI int // of the picture, 0 = unknown
	// Camera is true for a camera above a table: there must be a sheet to be seen.
	// Where it is false and DPI is 0 (a photograph from a phone), a sheet is cut
	// out if there is one, and the whole picture is the page if not.
	Camera bool
}

// Verdict is what can be said of a page.
type Verdict struct {
	OK    bool   // may be used as it is
	Words string // plain Chinese for the person, one sentence
	Fault Fault  // why not; None when OK
	Card  bool   // it is one side of a card (ID-1), cut out
}

// Fault is what is wrong with a page; a closed set. A blank page may be what
// the person wanted; the others are not.
type Fault string

// Faults.
const (
	None    Fault = ""
	NoSheet Fault = "no sheet" // the camera sees none
	Dark    Fault = "dark"
	CutOff  Fault = "cut off" // a part of the sheet is outside the picture
	Glare   Fault = "glare"   // a lamp is mirrored on it
	Blurred Fault = "blurred"
	Blank   Fault = "blank"
)

// Words is what a person is told, plain Chinese, one sentence.
func (f Fault) Words() string {
	switch f {
	case None:
		return "这一页清楚。"
	case NoSheet:
		return "没有看到纸，请把纸放平，放在镜头下面。"
	case Dark:
		return "光线太暗，请开灯再拍一次。"
	case CutOff:
		return "纸没有拍全，请把整张纸放进画面。"
	case Glare:
		return "纸上有反光，请挪一挪灯或纸，再拍一次。"
	case Blurred:
		return "有点模糊，请再拍一次。"
	case Blank:
		return "这一页是空白的，看看是不是放反了。"
	}
	panic("imaging: no fault " + string(f))
}

func verdict(f Fault) Verdict { return Verdict{OK: f == None, Words: f.Words(), Fault: f} }

// Prepare makes a page of img: it cuts out the sheet or straightens the scan,
// evens out the light, shrinks it to 200 dpi of A4, judges it, and encodes it.
// Without a resolution a page that has no known shape is taken for a whole A4
// page. The judgement is made on what is kept, so that it says whether the file
// is readable. Error: ErrEmpty, or what the encoder said.
func Prepare(img image.Image, o Options) (jpg []byte, v Verdict, err error) {
	if img == nil || img.Bounds().Empty() {
		return nil, Verdict{}, ErrEmpty
	}
	if b := img.Bounds(); b.Dx() > maxSide || b.Dy() > maxSide {
		return nil, Verdict{}, fmt.Errorf("%w: %d×%d pixels are more than %d", ErrEmpty, b.Dx(), b.Dy(), maxSide)
	}
	page, dpi, card, fault := sheetOf(img, o)
	l := lightOn(page)
	if card {
		l.pale = false // its picture and its pattern are no shadows
	}
	grey, dark := luminance(page), marks(page) // as it was lit
	judged := make(chan Fault, 1)
	go func() { judged <- judge(grey, dark, dpi, l) }() // beside the encoding, which takes as long
	l.even(page)
	jpg, err = encode(page, dpi)
	f := <-judged
	switch {
	case fault == None, f == Dark && fault == CutOff, f == Dark && l.paper < blackLevel:
		fault = f
	}
	v = verdict(fault)
	v.Card = card
	return jpg, v, err
}

// sheetOf gives the sheet as it is kept, its resolution (0 = unknown), whether
// it is a card, and what is wrong with where it lies.
func sheetOf(img image.Image, o Options) (page *image.RGBA, dpi int, card bool, fault Fault) {
	if !o.Camera && o.DPI > 0 {
		page, dpi = fit(img, o.DPI)
		return straighten(page), dpi, false, None
	}
	s, ok := Find(img)
	if !ok {
		if o.Camera {
			fault = NoSheet
		}
		page, dpi = fit(img, o.DPI)
		return page, dpi, false, fault
	}
	if s.Cut {
		fault = CutOff
	}
	w, h, dpi := trueSize(s.Quad, img.Bounds())
	page = flatten(img, s.Quad.shrunk(edgeTrim), w, h)
	// The lines on a card are too few to tell; ID cards lie on their longer side.
	card = s.Quad.card(img.Bounds().Dx(), img.Bounds().Dy())
	if card && h > w || !card && sideways(page) {
		page = quarter(page)
	}
	return page, dpi, card, fault
}

// fit returns the picture at no more than TargetDPI and no larger than A4,
// either way round, on white, with its resolution (0 = unknown).
func fit(img image.Image, dpi int) (*image.RGBA, int) {
	b := img.Bounds()
	w, h := float64(b.Dx()), float64(b.Dy())
	scale := 1.0
	if dpi > TargetDPI {
		scale = TargetDPI / float64(dpi)
	}
	long, short := max(w, h), min(w, h)
	scale = min(scale, a4Long/long, a4Short/short)
	nw, nh := max(int(w*scale+0.5), 1), max(int(h*scale+0.5), 1)
	out := area(img, nw, nh)
	if dpi > 0 {
		dpi = max(int(float64(dpi)*scale+0.5), 1)
	}
	return out, dpi
}

// luminance is the picture in shades of grey (ITU-R BT.601).
func luminance(p *image.RGBA) *image.Gray {
	g := image.NewGray(p.Rect)
	rows(p.Rect.Dy(), func(y int) {
		src := p.Pix[y*p.Stride : y*p.Stride+4*p.Rect.Dx()]
		dst := g.Pix[y*g.Stride:]
		for x := range p.Rect.Dx() {
			s := src[4*x : 4*x+3 : 4*x+3]
			dst[x] = byte((19595*uint32(s[0]) + 38470*uint32(s[1]) + 7471*uint32(s[2]) + 1<<15) >> 16)
		}
	})
	return g
}

// colourful tells whether a page has anything but grey; a black-and-white page
// costs a third less without colour.
func colourful(p *image.RGBA) bool {
	n, limit := 0, p.Rect.Dx()*p.Rect.Dy()/2000+1
	for i := 0; i+3 < len(p.Pix); i += 4 {
		r, g, b := int(p.Pix[i]), int(p.Pix[i+1]), int(p.Pix[i+2])
		if max(r, g, b)-min(r, g, b) > 40 {
			if n++; n > limit {
				return true
			}
		}
	}
	return false
}

// encode finds the best quality that stays within MaxBytes; a page that is
// too rich even for the lowest is made smaller.
func encode(p *image.RGBA, dpi int) ([]byte, error) {
	for {
		var src image.Image = p
		if !colourful(p) {
			src = luminance(p)
		}
		best, err := atMost(src, MaxBytes-densityBytes)
		if err != nil {
			return nil, err
		}
		if best != nil {
			return withDensity(best, dpi), nil
		}
		p, dpi = area(p, max(p.Rect.Dx()*4/5, 1), max(p.Rect.Dy()*4/5, 1)), dpi*4/5
	}
}

// atMost is the picture in the best quality that keeps within room bytes, nil
// when even the lowest does not. The size grows with the quality: it is guessed
// from a sixth of the picture and then seldom tried twice.
func atMost(src image.Image, room int) ([]byte, error) {
	sample := strips(src)
	share := float64(sample.Bounds().Dy()) / float64(src.Bounds().Dy())
	q := firstQuality
	for lo, hi := lastQuality, firstQuality; lo <= hi; {
		b, err := tryQuality(sample, q)
		if err != nil {
			return nil, err
		}
		if float64(len(b)) <= share*float64(room)*0.97 {
			lo = q + qualityStep
		} else {
			hi = q - qualityStep
		}
		if lo > hi {
			q = max(hi, lastQuality)
			break
		}
		q = (lo + hi) / 2
	}
	for ; q >= lastQuality; q -= qualityStep {
		b, err := tryQuality(src, q)
		if err != nil || len(b) <= room {
			return b, err
		}
	}
	return nil, nil
}

// strips is every sixth strip of 16 rows, one below the other.
func strips(src image.Image) image.Image {
	const rows, every = 16, 6
	b := src.Bounds()
	if b.Dy() < 2*rows*every {
		return src
	}
	n := b.Dy() / (rows * every)
	part := image.Rect(0, 0, b.Dx(), n*rows)
	switch p := src.(type) {
	case *image.Gray:
		out := image.NewGray(part)
		for i := range n {
			copy(out.Pix[i*rows*out.Stride:], p.Pix[i*rows*every*p.Stride:][:rows*p.Stride])
		}
		return out
	case *image.RGBA:
		out := image.NewRGBA(part)
		for i := range n {
			copy(out.Pix[i*rows*out.Stride:], p.Pix[i*rows*every*p.Stride:][:rows*p.Stride])
		}
		return out
	}
	return src
}

func tryQuality(img image.Image, q int) ([]byte, error) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: q}); err != nil {
		return nil, fmt.Errorf("imaging: encode: %w", err)
	}
	return b.Bytes(), nil
}

// densityBytes is the length of a JFIF APP0 segment.
const densityBytes = 18

// withDensity writes the resolution into the file (JFIF APP0, ITU-T T.871), so
// that a page prints at its true size.
func withDensity(jpg []byte, dpi int) []byte {
	if dpi <= 0 || dpi > 65535 || len(jpg) < 2 {
		return jpg
	}
	out := make([]byte, 0, len(jpg)+densityBytes)
	out = append(out, jpg[:2]...)
	out = append(out, 0xff, 0xe0, 0, 16, 'J', 'F', 'I', 'F', 0, 1, 2, 1)
	out = binary.BigEndian.AppendUint16(out, uint16(dpi))
	out = binary.BigEndian.AppendUint16(out, uint16(dpi))
	out = append(out, 0, 0)
	return append(out, jpg[2:]...)
}
