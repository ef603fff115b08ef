// Package imaging makes a page that is fit for a file out of what a scanner or
// a camera gave: 200 dpi, small enough for a thin line, and judged in words
// that a villager understands. It exists so that an unreadable page is noticed
// while the person is still there.
//
// It guarantees: the result is a JPEG (ISO/IEC 10918-1) of at most MaxBytes
// without any metadata of the camera; a picture is never enlarged, turned or
// cropped; the same picture gives the same bytes and the same verdict. It is
// pure Go, holds no state and is safe for concurrent use.
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
)

// ErrEmpty means that there is no picture to prepare.
var ErrEmpty = errors.New("imaging: no picture")

// Verdict is what can be said of a page.
type Verdict struct {
	OK    bool   // may be used as it is
	Words string // plain Chinese for the person, one sentence
	// Why not. A blank page may be what the person wanted; the others are not.
	Blank, Dark, Blurred bool
}

// Words of the verdicts.
const (
	WordsOK      = "这一页清楚。"
	WordsBlank   = "这一页是空白的，看看是不是放反了。"
	WordsDark    = "光线太暗，请开灯再拍一次。"
	WordsBlurred = "有点模糊，请再拍一次。"
)

// Prepare shrinks img to 200 dpi of A4, judges it, and encodes it. dpi is the
// resolution of img, 0 when unknown; then it is taken for a whole A4 page. The
// judgement is made on what is kept, so that it says whether the file is
// readable. A page that is not OK is encoded all the same: the person decides.
// Error: ErrEmpty, or what the encoder said.
func Prepare(img image.Image, dpi int) (jpg []byte, v Verdict, err error) {
	if img == nil || img.Bounds().Empty() {
		return nil, Verdict{}, ErrEmpty
	}
	if b := img.Bounds(); b.Dx() > maxSide || b.Dy() > maxSide {
		return nil, Verdict{}, fmt.Errorf("%w: %d×%d pixels are more than %d", ErrEmpty, b.Dx(), b.Dy(), maxSide)
	}
	page, kept := fit(img, dpi)
	v = Judge(luminance(page))
	jpg, err = encode(page, kept)
	return jpg, v, err
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
	for y := range p.Rect.Dy() {
		src := p.Pix[y*p.Stride : y*p.Stride+4*p.Rect.Dx()]
		dst := g.Pix[y*g.Stride:]
		for x := range p.Rect.Dx() {
			s := src[4*x : 4*x+3 : 4*x+3]
			dst[x] = byte((19595*uint32(s[0]) + 38470*uint32(s[1]) + 7471*uint32(s[2]) + 1<<15) >> 16)
		}
	}
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
		best, err := tryQuality(src, firstQuality)
		if err != nil {
			return nil, err
		}
		if len(best) > MaxBytes-densityBytes {
			best = nil
			// The size grows with the quality: four halvings find it within 3.
			for lo, hi := lastQuality, firstQuality-1; lo <= hi; {
				q := (lo + hi) / 2
				b, err := tryQuality(src, q)
				if err != nil {
					return nil, err
				}
				if len(b) <= MaxBytes-densityBytes {
					best, lo = b, q+3
				} else {
					hi = q - 3
				}
			}
		}
		if best != nil {
			return withDensity(best, dpi), nil
		}
		p, dpi = area(p, max(p.Rect.Dx()*4/5, 1), max(p.Rect.Dy()*4/5, 1)), dpi*4/5
	}
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
