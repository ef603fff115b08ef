package paper

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	pix "image/color"
	"image/jpeg"
	"strconv"
)

// ErrBundle means that pages cannot become one file.
var ErrBundle = errors.New("paper: pages cannot be bundled")

// A4 in points (1/72 inch).
const (
	a4ShortPt = 595.276
	a4LongPt  = 841.890
)

// Bundle makes one PDF (ISO 32000-1) of JPEG pages, in their order, each at its
// true size where its file tells the resolution (JFIF), else as large as A4
// allows. The pictures go in as they are (DCTDecode), without loss; there is no
// metadata. It is written here because what libraries keep of the pages in
// their own buffers cannot be wiped: the result is the only copy, and its owner
// clears it. Error: ErrBundle.
func Bundle(pages [][]byte) ([]byte, error) {
	if len(pages) == 0 {
		return nil, fmt.Errorf("%w: no pages", ErrBundle)
	}
	list := make([]bundled, len(pages))
	size := bundleOverhead
	for i, jpg := range pages {
		p, err := measure(jpg)
		if err != nil {
			return nil, fmt.Errorf("%w: page %d: %w", ErrBundle, i+1, err)
		}
		list[i] = p
		size += len(jpg) + bundleOverhead
	}
	w := bundler{b: make([]byte, 0, size)} // never grown: growing leaves copies behind
	w.text("%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
	w.object("<</Type/Catalog/Pages 2 0 R>>")
	w.begin()
	w.text("<</Type/Pages/Count " + strconv.Itoa(len(list)) + "/Kids[")
	for i := range list {
		w.text(strconv.Itoa(3+3*i) + " 0 R ")
	}
	w.text("]>>\nendobj\n")
	for i, p := range list {
		at := 3 + 3*i
		w.object(fmt.Sprintf("<</Type/Page/Parent 2 0 R/MediaBox[0 0 %.3f %.3f]/Resources<</XObject<</I %d 0 R>>>>/Contents %d 0 R>>",
			p.w, p.h, at+1, at+2))
		w.stream(fmt.Sprintf("<</Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/%s/BitsPerComponent 8/Filter/DCTDecode/Length %d>>",
			p.px, p.py, p.space, len(pages[i])), pages[i])
		draw := fmt.Appendf(nil, "%.3f 0 0 %.3f 0 0 cm /I Do", p.w, p.h)
		w.stream(fmt.Sprintf("<</Length %d>>", len(draw)), draw)
	}
	w.trailer()
	return w.b, nil
}

// bundleOverhead is more than what one page needs besides its picture.
const bundleOverhead = 1024

// bundled is a page's picture: pixels, points, colour space.
type bundled struct {
	px, py int
	w, h   float64
	space  string
}

// measure reads a JPEG's header.
func measure(jpg []byte) (bundled, error) {
	cfg, err := jpeg.DecodeConfig(bytes.NewReader(jpg))
	if err != nil {
		return bundled{}, err
	}
	p := bundled{px: cfg.Width, py: cfg.Height}
	switch cfg.ColorModel {
	case pix.GrayModel:
		p.space = "DeviceGray"
	case pix.YCbCrModel, pix.RGBAModel:
		p.space = "DeviceRGB"
	default:
		return bundled{}, errors.New("not grey and not RGB")
	}
	if dpi := density(jpg); dpi > 0 {
		p.w, p.h = float64(p.px)*72/dpi, float64(p.py)*72/dpi
		return p, nil
	}
	w, h := a4ShortPt, a4LongPt
	if p.px > p.py {
		w, h = h, w
	}
	k := min(w/float64(p.px), h/float64(p.py))
	p.w, p.h = float64(p.px)*k, float64(p.py)*k
	return p, nil
}

// density is the resolution in a JFIF header (ITU-T T.871) in dots per inch, 0
// where it is not told.
func density(jpg []byte) float64 {
	if len(jpg) < 18 || !bytes.Equal(jpg[2:4], []byte{0xff, 0xe0}) || !bytes.Equal(jpg[6:11], []byte("JFIF\x00")) || jpg[13] != 1 {
		return 0
	}
	return float64(binary.BigEndian.Uint16(jpg[14:]))
}

// bundler writes a PDF's objects, numbered as they come.
type bundler struct {
	b  []byte
	at []int
}

func (w *bundler) text(s string) { w.b = append(w.b, s...) }

func (w *bundler) begin() {
	w.at = append(w.at, len(w.b))
	w.text(strconv.Itoa(len(w.at)) + " 0 obj\n")
}

func (w *bundler) object(dict string) {
	w.begin()
	w.text(dict + "\nendobj\n")
}

func (w *bundler) stream(dict string, data []byte) {
	w.begin()
	w.text(dict + "\nstream\n")
	w.b = append(w.b, data...)
	w.text("\nendstream\nendobj\n")
}

func (w *bundler) trailer() {
	start := len(w.b)
	w.text(fmt.Sprintf("xref\n0 %d\n0000000000 65535 f \n", len(w.at)+1))
	for _, at := range w.at {
		w.text(fmt.Sprintf("%010d 00000 n \n", at))
	}
	w.text(fmt.Sprintf("trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(w.at)+1, start))
}
