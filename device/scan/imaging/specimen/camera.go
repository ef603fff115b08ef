package specimen

import (
	"image"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"

	"cunban/device/scan/imaging"
)

// ground is what a page lies on: levels of red, green and blue at a place.
type ground struct {
	name string
	at   func(x, y float64, n *noise) (r, g, b float64)
}

var grounds = []ground{
	{"wood", func(x, y float64, n *noise) (r, g, b float64) {
		ring := math.Sin((y*0.045+n.at(x*0.004, y*0.05)*3)*2*math.Pi) * 12
		grain := n.at(x*0.02, y*0.6)*26 - 13
		return 158 + ring + grain, 116 + ring*0.9 + grain*0.9, 76 + ring*0.7 + grain*0.7
	}},
	{"dark table", func(x, y float64, n *noise) (r, g, b float64) {
		v := 52 + n.at(x*0.2, y*0.2)*16
		return v, v * 0.95, v * 0.92
	}},
	{"grey mat", func(x, y float64, n *noise) (r, g, b float64) {
		v := 112 + n.at(x*0.5, y*0.5)*18
		return v, v + 3, v + 5
	}},
	{"cloth", func(x, y float64, n *noise) (r, g, b float64) {
		check := 0.0
		if (int(x/60)+int(y/60))%2 == 0 {
			check = 26
		}
		v := n.at(x*0.3, y*0.3)*20 - 10
		return 70 + check + v, 96 + check + v, 140 + check + v
	}},
}

// noise is smooth randomness of 0…1 (value noise on a lattice of 256×256).
type noise [256 * 256]float32

func newNoise(rng *rand.Rand) *noise {
	n := new(noise)
	for i := range n {
		n[i] = rng.Float32()
	}
	return n
}

func (n *noise) at(x, y float64) float64 {
	fx, fy := math.Floor(x), math.Floor(y)
	ix, iy := int(fx), int(fy)
	u, v := float32(x-fx), float32(y-fy)
	p := func(a, b int) float32 { return n[(b&255)<<8|a&255] }
	a := p(ix, iy) + (p(ix+1, iy)-p(ix, iy))*u
	b := p(ix, iy+1) + (p(ix+1, iy+1)-p(ix, iy+1))*u
	return float64(a + (b-a)*v)
}

// Table is a picture of a table with no sheet on it, and what it is.
func (m *Maker) Table(number uint64) (*image.RGBA, string) {
	rng := rand.New(rand.NewPCG(number, 11))
	g := grounds[number%uint64(len(grounds))]
	far := imaging.Rect(-2, -2, -1, -1)
	return m.take(&Specimen{Kind: Straight, Page: image.NewGray(image.Rect(0, 0, 2, 2)), Quad: far}, g, rng), g.name
}

// take photographs the sheet.
func (m *Maker) take(s *Specimen, g ground, rng *rand.Rand) *image.RGBA {
	n := newNoise(rng)
	light := m.light(s, rng)
	page := s.Page
	w, h := float64(page.Rect.Dx()), float64(page.Rect.Dy())
	if wide := s.Quad[1].X-s.Quad[0].X > s.Quad[3].Y-s.Quad[0].Y; wide != (w > h) {
		page = onItsSide(page)
		w, h = h, w
	}
	forth := s.Quad.Projection(w, h)
	back := forth.Inverse()
	fold := newFold(s.Kind, w, h, rng)
	out := image.NewRGBA(image.Rect(0, 0, m.w, m.h))
	scale := 3000 / float64(max(m.w, m.h)) // grounds are drawn for this size
	m.rows(func(y int) {
		for x := range m.w {
			at := imaging.Point{X: float64(x) + 0.5, Y: float64(y) + 0.5}
			p := back.At(at)
			var r, gr, b float64
			if ink, on := fold.paper(page, p); on {
				v := 212 * (0.1 + 0.9*ink)
				r, gr, b = v, v*0.995, v*0.97
			} else {
				r, gr, b = g.at(at.X*scale, at.Y*scale, n)
			}
			l, add := light(at)
			o := out.Pix[y*out.Stride+4*x:]
			o[0], o[1], o[2], o[3] = clip(r*l+add), clip(gr*l+add), clip(b*l+add), 255
		}
	})
	unit := float64(max(m.w, m.h)) / 1000
	switch s.Kind {
	case Blurred:
		blur(out, int(2.2*unit+0.5), int(2.2*unit+0.5))
	case Moved:
		if rng.IntN(2) == 0 {
			blur(out, int(5*unit+0.5), 0)
		} else {
			blur(out, 0, int(5*unit+0.5))
		}
	case Straight, Skewed, Oblique, Shadowed, Folded, Glare, CutOff, Dark:
	}
	grain := newGrain(rng)
	m.rows(func(y int) {
		at := y * 7919 // rows begin at different places of the table
		for i, v := range out.Pix[y*out.Stride : y*out.Stride+4*m.w] {
			if i&3 != 3 {
				out.Pix[y*out.Stride+i] = byte(min(max(int(v)+int(grain[(at+i)%len(grain)]), 0), 255))
			}
		}
	})
	return out
}

// rows does something to every row, on all processors.
func (m *Maker) rows(do func(y int)) {
	var wg sync.WaitGroup
	n := runtime.GOMAXPROCS(0)
	for k := range n {
		wg.Go(func() {
			for y := k; y < m.h; y += n {
				do(y)
			}
		})
	}
	wg.Wait()
}

// sensorNoise is the standard deviation of a camera's noise, levels.
const sensorNoise = 2

// newGrain is a table of a sensor's noise, longer than any row.
func newGrain(rng *rand.Rand) []int8 {
	g := make([]int8, 65537)
	for i := range g {
		g[i] = int8(math.Round(rng.NormFloat64() * sensorNoise))
	}
	return g
}

// clip makes a level of a number.
func clip(v float64) byte { return byte(min(max(v+0.5, 0), 255)) }

// light tells how bright the light is at a place, and what is mirrored.
func (m *Maker) light(s *Specimen, rng *rand.Rand) func(p imaging.Point) (times, add float64) {
	w, h := float64(m.w), float64(m.h)
	dir := rng.Float64() * 2 * math.Pi
	fall := 0.10 + 0.10*rng.Float64()
	even := func(p imaging.Point) float64 {
		return 1 + fall*((p.X/w-0.5)*math.Cos(dir)+(p.Y/h-0.5)*math.Sin(dir))
	}
	cx, cy := w*(0.35+0.3*rng.Float64()), h*(0.35+0.3*rng.Float64())
	switch s.Kind {
	case Dark:
		return func(p imaging.Point) (float64, float64) { return 0.30 * even(p), 0 }
	case Shadowed:
		sin, cos := math.Sincos(rng.Float64() * 2 * math.Pi)
		soft := 0.05 * max(w, h)
		return func(p imaging.Point) (float64, float64) {
			d := ((p.X-cx)*cos + (p.Y-cy)*sin) / soft
			return even(p) * (1 - 0.38/(1+math.Exp(-d))), 0
		}
	case Glare:
		size := (0.10 + 0.06*rng.Float64()) * max(w, h)
		return func(p imaging.Point) (float64, float64) {
			d := math.Hypot(p.X-cx, p.Y-cy) / size
			return even(p), 420 * math.Exp(-d*d*1.5)
		}
	case Straight, Skewed, Oblique, Folded, Blurred, Moved, CutOff:
	}
	return func(p imaging.Point) (float64, float64) { return even(p), 0 }
}

// fold is a corner that is folded over.
type fold struct {
	w, h   float64
	corner int // -1 = none
	size   float64
}

func newFold(k Kind, w, h float64, rng *rand.Rand) fold {
	f := fold{w, h, -1, 0}
	if k == Folded {
		f.corner, f.size = rng.IntN(4), 90+rng.Float64()*80
	}
	return f
}

// paper tells how bright the sheet is at a place of it, and whether it is there.
func (f fold) paper(page *image.Gray, p imaging.Point) (level float64, on bool) {
	if p.X < 0 || p.Y < 0 || p.X >= f.w || p.Y >= f.h {
		return 0, false
	}
	if f.corner >= 0 {
		x, y := p.X, p.Y
		if f.corner == 1 || f.corner == 2 {
			x = f.w - x
		}
		if f.corner >= 2 {
			y = f.h - y
		}
		switch d := x + y; {
		case d < f.size:
			return 0, false
		case d < 2*f.size && x < f.size && y < f.size:
			return 0.90, true // the sheet's back
		}
	}
	return sample(page, p.X-0.5, p.Y-0.5), true
}

// sample is bilinear, 0…1.
func sample(g *image.Gray, x, y float64) float64 {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	x, y = min(max(x, 0), float64(w-1)), min(max(y, 0), float64(h-1))
	ix, iy := min(int(x), w-2), min(int(y), h-2)
	u, v := x-float64(ix), y-float64(iy)
	p := g.Pix[iy*g.Stride+ix:]
	a := float64(p[0]) + (float64(p[1])-float64(p[0]))*u
	b := float64(p[g.Stride]) + (float64(p[g.Stride+1])-float64(p[g.Stride]))*u
	return (a + (b-a)*v) / 255
}

// onItsSide turns a page a quarter to the left.
func onItsSide(p *image.Gray) *image.Gray {
	w, h := p.Rect.Dx(), p.Rect.Dy()
	out := image.NewGray(image.Rect(0, 0, h, w))
	for y := range h {
		for x := range w {
			out.Pix[(w-1-x)*out.Stride+y] = p.Pix[y*p.Stride+x]
		}
	}
	return out
}

// blur averages over 2rx+1 by 2ry+1 pixels, twice: near enough to a lens.
func blur(p *image.RGBA, rx, ry int) {
	w, h := p.Rect.Dx(), p.Rect.Dy()
	for range 2 {
		for y := range h {
			boxLine(p.Pix[y*p.Stride:], w, 4, rx)
		}
		for x := range w {
			boxLine(p.Pix[4*x:], h, p.Stride, ry)
		}
	}
}

// boxLine averages n pixels that stand step bytes apart over 2r+1 of them.
func boxLine(pix []byte, n, step, r int) {
	if r < 1 {
		return
	}
	old := make([]int, n)
	for c := range 3 {
		for i := range n {
			old[i] = int(pix[i*step+c])
		}
		sum := 0
		at := func(i int) int { return old[min(max(i, 0), n-1)] }
		for i := -r; i <= r; i++ {
			sum += at(i)
		}
		for i := range n {
			pix[i*step+c] = byte(sum / (2*r + 1))
			sum += at(i+r+1) - at(i-r)
		}
	}
}
