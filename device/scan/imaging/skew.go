package imaging

import (
	"image"
	"math"
)

// A page from a scanner is turned by a few degrees at most.
const (
	skewSide  = 900 // longer side of the picture that is looked at, pixels
	skewMost  = 6.0 // degrees
	skewStep  = 0.25
	skewFine  = 0.05
	skewLeast = 0.15 // what turns less is left alone
	// sidewaysLeast is how much more must be empty between standing lines than
	// between lying ones.
	sidewaysLeast = 0.1
)

// writing is where the ink of a page is, from its middle.
type writing struct {
	ink     []dot
	profile []float32 // room for one projection
}

type dot struct{ x, y float32 }

// writingOn finds the ink; ok is false when there is too little to tell anything.
func writingOn(page *image.RGBA) (t *writing, ok bool) {
	small, _ := brightness(page, skewSide)
	ground := closed(small, 8)
	w, h := small.Rect.Dx(), small.Rect.Dy()
	t = &writing{profile: make([]float32, 2*(int(math.Hypot(float64(w), float64(h)))/2+2))}
	for y := range h {
		for x := range w {
			i := y*small.Stride + x
			if int(ground.Pix[i])-int(small.Pix[i]) > inkDistance {
				t.ink = append(t.ink, dot{float32(x) - float32(w)/2, float32(y) - float32(h)/2})
			}
		}
	}
	return t, len(t.ink) >= w*h/1000
}

// project counts the ink by rows that fall to the right by deg degrees.
func (t *writing) project(deg float64) []float32 {
	clear(t.profile)
	sin, cos := math.Sincos(deg * math.Pi / 180)
	sn, cs, mid := float32(sin), float32(cos), float32(len(t.profile)/2)
	for _, d := range t.ink {
		// Spread over two rows, or the steps would show.
		v := d.y*cs - d.x*sn + mid
		i := int(v)
		f := v - float32(i)
		t.profile[i] += 1 - f
		t.profile[i+1] += f
	}
	return t.profile
}

// rowed tells how well the ink stands in rows: the sum of squared steps of the
// projection. Only figures of the same writing can be compared.
func (t *writing) rowed(deg float64) (s float64) {
	p := t.project(deg)
	for i := 1; i < len(p); i++ {
		d := float64(p[i] - p[i-1])
		s += d * d
	}
	return s
}

// gaps is the share of empty rows among those between the first and the last
// ink. Chinese writing stands in columns too, but only lines are apart.
func (t *writing) gaps(deg float64) float64 {
	const empty = 0.1 // of the mean
	p := t.project(deg)
	first, last := -1, -1
	for i, v := range p {
		if v > 0 {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	rows := last - first + 1
	mean, n := float32(len(t.ink))/float32(rows), 0
	for _, v := range p[first : last+1] {
		if v < empty*mean {
			n++
		}
	}
	return float64(n) / float64(rows)
}

// best looks for the angle around mid at which the ink stands best in rows.
func (t *writing) best(mid float64) (deg, most float64) {
	look := func(from, to, step float64) {
		for d := from; d <= to; d += step {
			if s := t.rowed(d); s > most {
				deg, most = d, s
			}
		}
	}
	look(mid-skewMost, mid+skewMost, skewStep)
	if math.Abs(deg-mid) < skewMost-2*skewStep { // else the best may lie beyond: it is no writing
		look(deg-skewStep, deg+skewStep, skewFine)
	}
	return deg, most
}

// skew is by how much lines of writing fall to the right, in degrees; 0 when
// there is no writing to tell.
func skew(page *image.RGBA) float64 {
	t, ok := writingOn(page)
	if !ok {
		return 0
	}
	if deg, _ := t.best(0); math.Abs(deg) < skewMost-2*skewStep {
		return deg
	}
	return 0
}

// sideways tells whether the lines run up and down the page.
func sideways(page *image.RGBA) bool {
	t, ok := writingOn(page)
	if !ok {
		return false
	}
	return t.gaps(90) > t.gaps(0)+sidewaysLeast
}

// quarter turns a page to the right by a quarter.
func quarter(p *image.RGBA) *image.RGBA {
	w, h := p.Rect.Dx(), p.Rect.Dy()
	out := image.NewRGBA(image.Rect(0, 0, h, w))
	rows(w, func(y int) {
		to := out.Pix[y*out.Stride : y*out.Stride+4*h]
		for x := range h {
			copy(to[4*x:4*x+4], p.Pix[(h-1-x)*p.Stride+4*y:])
		}
	})
	return out
}

// straighten turns a page by its skew; the corners that come in are paper.
func straighten(page *image.RGBA) *image.RGBA {
	deg := skew(page)
	if math.Abs(deg) < skewLeast {
		return page
	}
	w, h := float64(page.Rect.Dx()), float64(page.Rect.Dy())
	sin, cos := math.Sincos(deg * math.Pi / 180)
	var q Quad
	for i, p := range Rect(-w/2, -h/2, w/2, h/2) {
		q[i] = Point{p.X*cos - p.Y*sin + w/2, p.X*sin + p.Y*cos + h/2}
	}
	return flatten(page, q, page.Rect.Dx(), page.Rect.Dy())
}
