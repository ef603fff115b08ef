package imaging

import (
	"image"
	"math"
	"runtime"
	"sync"
)

// True sizes of sheets, millimetres: A4 (ISO 216) and the ID-1 card (ISO/IEC
// 7810), which resident ID and social-security cards are.
const (
	a4RatioLong = 297.0 / 210
	cardRatio   = 85.6 / 53.98
	cardLong    = 674 // 85.6 mm at TargetDPI
	cardShort   = 425 // 53.98 mm
	mostCard    = 0.3 // of the picture
	cardSlack   = 0.02
	// sizeSlack is how far a measured ratio may be from a sheet's own.
	sizeSlack = 0.08
	// edgeTrim is the rim that is left out on each side, or a dark line of the
	// table would show: 0.6 mm of A4.
	edgeTrim = 0.002
)

// trueSize is how large a sheet becomes in the file, in pixels, and its
// resolution (0 = unknown). A sheet that has the shape of A4 or, when it is
// small in the picture, of a card is taken for one.
func trueSize(q Quad, img image.Rectangle) (w, h, dpi int) {
	seen := q.aspect(float64(img.Dx()), float64(img.Dy()))
	ratio := max(seen, 1/seen)
	// Never larger than it was seen.
	long := 0.0
	for i := range q {
		long = max(long, q[i].sub(q[(i+1)%4]).len())
	}
	long = min(long, a4Long)
	switch {
	case q.card(img.Dx(), img.Dy()):
		ratio, long = cardRatio, min(long, cardLong*1.5)
		dpi = int(long/cardLong*TargetDPI + 0.5)
	case math.Abs(ratio/a4RatioLong-1) < sizeSlack:
		ratio = a4RatioLong
		dpi = int(long/a4Long*TargetDPI + 0.5)
	default:
		long = min(long, a4Short*ratio)
	}
	a, b := max(int(long+0.5), 1), max(int(long/ratio+0.5), 1)
	if seen < 1 {
		a, b = b, a
	}
	return a, b, dpi
}

// card tells whether a sheet has the shape of a card, and is small in a picture
// of w×h pixels.
func (q Quad) card(w, h int) bool {
	if q.Area() > mostCard*float64(w*h) {
		return false
	}
	seen := q.aspect(float64(w), float64(h))
	return math.Abs(max(seen, 1/seen)/cardRatio-1) < sizeSlack
}

// flatten shows the sheet from straight above, w×h pixels.
func flatten(img image.Image, q Quad, w, h int) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	m := q.Projection(float64(w), float64(h))
	read := bilinear(img)
	rows(h, func(y int) {
		to := out.Pix[y*out.Stride : y*out.Stride+4*w]
		fy := float64(y) + 0.5
		for x := range w {
			fx := float64(x) + 0.5
			z := 1 / (m[6]*fx + m[7]*fy + m[8])
			px, py := (m[0]*fx+m[1]*fy+m[2])*z-0.5, (m[3]*fx+m[4]*fy+m[5])*z-0.5
			o := to[4*x : 4*x+4 : 4*x+4]
			o[0], o[1], o[2] = read(px, py)
			o[3] = 255
		}
	})
	return out
}

// rows does something to every row, on all processors.
func rows(h int, do func(y int)) {
	const strip = 32 // rows taken at a time: long enough to be worth it
	n := min(runtime.GOMAXPROCS(0), (h+strip-1)/strip)
	if n <= 1 {
		for y := range h {
			do(y)
		}
		return
	}
	var wg sync.WaitGroup
	for k := range n {
		wg.Go(func() {
			for y0 := k * strip; y0 < h; y0 += n * strip {
				for y := y0; y < min(y0+strip, h); y++ {
					do(y)
				}
			}
		})
	}
	wg.Wait()
}

// bilinear reads between pixels; outside the picture its border goes on.
func bilinear(img image.Image) func(x, y float64) (r, g, b uint8) {
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	// where gives the four pixels around a place and the weights of the second of
	// each pair, in 1/256.
	where := func(x, y float64) (x0, x1, y0, y1 int, u, v uint32) {
		x, y = min(max(x, 0), float64(w-1)), min(max(y, 0), float64(h-1))
		x0, y0 = int(x), int(y)
		return x0, min(x0+1, w-1), y0, min(y0+1, h-1), uint32((x - float64(x0)) * 256), uint32((y - float64(y0)) * 256)
	}
	mix := func(a, b, c, d uint8, u, v uint32) uint8 {
		top, low := uint32(a)*(256-u)+uint32(b)*u, uint32(c)*(256-u)+uint32(d)*u
		return uint8((top*(256-v) + low*v + 1<<15) >> 16)
	}
	if p, ok := img.(*image.RGBA); ok {
		base := p.PixOffset(p.Rect.Min.X, p.Rect.Min.Y)
		return func(x, y float64) (r, g, b uint8) {
			x0, x1, y0, y1, u, v := where(x, y)
			i, j := base+y0*p.Stride, base+y1*p.Stride
			a, c, d, e := p.Pix[i+4*x0:][:3], p.Pix[i+4*x1:][:3], p.Pix[j+4*x0:][:3], p.Pix[j+4*x1:][:3]
			return mix(a[0], c[0], d[0], e[0], u, v), mix(a[1], c[1], d[1], e[1], u, v), mix(a[2], c[2], d[2], e[2], u, v)
		}
	}
	at := sampler(img)
	return func(x, y float64) (r, g, b uint8) {
		x0, x1, y0, y1, u, v := where(x, y)
		ar, ag, ab := at(x0, y0)
		cr, cg, cb := at(x1, y0)
		dr, dg, db := at(x0, y1)
		er, eg, eb := at(x1, y1)
		return mix(ar, cr, dr, er, u, v), mix(ag, cg, dg, eg, u, v), mix(ab, cb, db, eb, u, v)
	}
}
