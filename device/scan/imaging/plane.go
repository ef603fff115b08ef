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
func closed(g *image.Gray, r int) *image.Gray {
	return extremes(extremes(g, r, func(a, b byte) byte { return max(a, b) }), r, func(a, b byte) byte { return min(a, b) })
}

// extremes takes the most of a (2r+1)² square around each pixel, by rows and
// then by columns.
func extremes(g *image.Gray, r int, most func(a, b byte) byte) *image.Gray {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	mid := image.NewGray(g.Rect)
	for y := range h {
		row, to := g.Pix[y*g.Stride:], mid.Pix[y*mid.Stride:]
		for x := range w {
			v := row[x]
			for i := max(x-r, 0); i <= min(x+r, w-1); i++ {
				v = most(v, row[i])
			}
			to[x] = v
		}
	}
	out := image.NewGray(g.Rect)
	for y := range h {
		to := out.Pix[y*out.Stride : y*out.Stride+w]
		copy(to, mid.Pix[y*mid.Stride:])
		for i := max(y-r, 0); i <= min(y+r, h-1); i++ {
			for x, v := range mid.Pix[i*mid.Stride : i*mid.Stride+w] {
				to[x] = most(to[x], v)
			}
		}
	}
	return out
}
