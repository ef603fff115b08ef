package imaging

import (
	"image"

	"golang.org/x/image/draw"
)

// area shrinks img to w×h pixels on white, each the mean of the area it covers:
// thin strokes fade but never vanish. It needs one band of the source and two
// rows besides the result, where the kernels of x/image take 180 MB for A4 at
// 300 dpi. w and h must not exceed the picture's own size.
func area(img image.Image, w, h int) *image.RGBA {
	b := img.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	over := draw.Src
	if o, ok := img.(interface{ Opaque() bool }); !ok || !o.Opaque() {
		over = draw.Over
	}
	if w == b.Dx() && h == b.Dy() {
		if over == draw.Over {
			draw.Draw(out, out.Rect, image.White, image.Point{}, draw.Src)
		}
		draw.Draw(out, out.Rect, img, b.Min, over)
		return out
	}
	cols := spans(b.Dx(), w)
	rows := spans(b.Dy(), h)
	band := image.NewRGBA(image.Rect(0, 0, b.Dx(), 1))
	sum := make([]uint64, 3*w) // of the output row that is being filled
	line := make([]uint32, 3*w)
	drawn := -1 // source row that is in line
	for y, r := range rows {
		clear(sum)
		var weight uint64
		for sy := r.from; sy <= r.to; sy++ {
			if sy != drawn {
				if over == draw.Over {
					draw.Draw(band, band.Rect, image.White, image.Point{}, draw.Src)
				}
				draw.Draw(band, band.Rect, img, image.Pt(b.Min.X, b.Min.Y+sy), over)
				squeeze(line, band.Pix, cols)
				drawn = sy
			}
			wt := uint64(r.weight(sy))
			weight += wt
			for i, v := range line {
				sum[i] += wt * uint64(v)
			}
		}
		o := out.Pix[y*out.Stride : y*out.Stride+4*w]
		for x := range w {
			for c := range 3 {
				o[4*x+c] = byte((sum[3*x+c] + weight<<7) / (weight << 8))
			}
			o[4*x+3] = 255
		}
	}
	return out
}

// one is the weight of a pixel that is covered whole.
const one = 256

// span is which source pixels an output pixel covers, with the weights of the
// first and the last in 1/256.
type span struct {
	from, to    int
	first, last uint32
}

func (s span) weight(i int) uint32 {
	switch i {
	case s.from:
		return s.first
	case s.to:
		return s.last
	}
	return one
}

// spans covers n source pixels with m output pixels, m ≤ n.
func spans(n, m int) []span {
	list := make([]span, m)
	for i := range m {
		a, b := uint64(i)*uint64(n)*one/uint64(m), uint64(i+1)*uint64(n)*one/uint64(m)
		s := span{from: int(a / one), to: int((b - 1) / one)}
		if s.from == s.to {
			s.first = uint32(b - a)
			s.last = s.first
		} else {
			s.first = one - uint32(a%one)
			s.last = uint32(b - uint64(s.to)*one)
		}
		list[i] = s
	}
	return list
}

// squeeze averages one RGBA row into m pixels of three samples, in 1/256.
func squeeze(dst []uint32, row []byte, cols []span) {
	for x, s := range cols {
		p := row[4*s.from : 4*s.to+4]
		r, g, b, n := s.first*uint32(p[0]), s.first*uint32(p[1]), s.first*uint32(p[2]), s.first
		if last := len(p) - 4; last > 0 {
			for i := 4; i < last; i += 4 {
				r += one * uint32(p[i])
				g += one * uint32(p[i+1])
				b += one * uint32(p[i+2])
				n += one
			}
			r += s.last * uint32(p[last])
			g += s.last * uint32(p[last+1])
			b += s.last * uint32(p[last+2])
			n += s.last
		}
		dst[3*x], dst[3*x+1], dst[3*x+2] = r*256/n, g*256/n, b*256/n
	}
}
