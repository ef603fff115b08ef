package imaging

import (
	"image"
	"image/color"
)

// brightness shrinks a picture to a longer side of at most side pixels and
// gives the least of red, green and blue at each place: paper is bright in all
// three, wood and cloth are not. scale is how many pixels of the picture one of
// the result is.
func brightness(img image.Image, side int) (g *image.Gray, scale float64) {
	b := img.Bounds()
	k := max((max(b.Dx(), b.Dy())+side-1)/side, 1)
	w, h := max(b.Dx()/k, 1), max(b.Dy()/k, 1)
	g = image.NewGray(image.Rect(0, 0, w, h))
	at := sampler(img)
	// Three of k rows and columns are enough: a page is smooth at this size.
	step := max(k/3, 1)
	for y := range h {
		for x := range w {
			var r, gr, bl, n int
			for dy := 0; dy < k; dy += step {
				for dx := 0; dx < k; dx += step {
					cr, cg, cb := at(min(x*k+dx, b.Dx()-1), min(y*k+dy, b.Dy()-1))
					r, gr, bl, n = r+int(cr), gr+int(cg), bl+int(cb), n+1
				}
			}
			g.Pix[y*g.Stride+x] = byte(min(r, gr, bl) / n)
		}
	}
	return g, float64(k)
}

// sampler reads pixels by their place from the top left corner, quickly for the
// kinds of pictures that cameras and scanners give.
func sampler(img image.Image) func(x, y int) (r, g, b uint8) {
	o := img.Bounds().Min
	switch p := img.(type) {
	case *image.RGBA:
		return func(x, y int) (r, g, b uint8) {
			s := p.Pix[p.PixOffset(o.X+x, o.Y+y):]
			return s[0], s[1], s[2]
		}
	case *image.Gray:
		return func(x, y int) (r, g, b uint8) {
			v := p.Pix[p.PixOffset(o.X+x, o.Y+y)]
			return v, v, v
		}
	case *image.YCbCr:
		return func(x, y int) (r, g, b uint8) {
			c := p.COffset(o.X+x, o.Y+y)
			return color.YCbCrToRGB(p.Y[p.YOffset(o.X+x, o.Y+y)], p.Cb[c], p.Cr[c])
		}
	}
	return func(x, y int) (r, g, b uint8) {
		cr, cg, cb, _ := img.At(o.X+x, o.Y+y).RGBA()
		return uint8(cr >> 8), uint8(cg >> 8), uint8(cb >> 8)
	}
}

// closed takes away dark marks narrower than 2r pixels: each pixel becomes the
// brightest around it, then the darkest of those (grey-scale closing).
func closed(g *image.Gray, r int) *image.Gray { return extremes(extremes(g, r, true), r, false) }

// extremes takes the brightest, or the darkest, of the (2r+1)² square around
// each pixel.
func extremes(g *image.Gray, r int, bright bool) *image.Gray {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	out := image.NewGray(g.Rect)
	rows(h, func(y int) {
		line := padded(w, r, bright)
		copy(line[r:], g.Pix[y*g.Stride:][:w])
		slide(r, func(by int) { pick(line[:len(line)-by], line[by:], bright) })
		copy(out.Pix[y*out.Stride:][:w], line)
	})
	// The same down the columns, whole rows at a time.
	edge := padded(w-2*r, r, bright)
	all := make([][]byte, h+2*r)
	for i := range all {
		all[i] = append([]byte(nil), edge...)
		if y := i - r; y >= 0 && y < h {
			copy(all[i], out.Pix[y*out.Stride:][:w])
		}
	}
	slide(r, func(by int) {
		for i := range len(all) - by {
			pick(all[i], all[i+by], bright)
		}
	})
	for y := range h {
		copy(out.Pix[y*out.Stride:][:w], all[y])
	}
	return out
}

// padded is n values with r more on each side that are never the most.
func padded(n, r int, bright bool) []byte {
	p := make([]byte, max(n+2*r, 0))
	if !bright {
		for i := range p {
			p[i] = 255
		}
	}
	return p
}

// slide makes each value the most of itself and the 2r after it, with a few
// passes whatever r is: runs of one, two, four values and so on are joined. join
// makes each value the most of itself and the one by places on, from the first
// to the last.
func slide(r int, join func(by int)) {
	k, run := 2*r+1, 1
	for ; 2*run <= k; run *= 2 {
		join(run)
	}
	if k > run {
		join(k - run)
	}
}

// pick makes a the most of a and b, value by value from the first; b may be a
// later part of a.
func pick(a, b []byte, bright bool) {
	b = b[:len(a)]
	if bright {
		for i, v := range b {
			a[i] = max(a[i], v)
		}
		return
	}
	for i, v := range b {
		a[i] = min(a[i], v)
	}
}
