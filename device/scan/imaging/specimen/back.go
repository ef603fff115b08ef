package specimen

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"

	"golang.org/x/image/font"
	"golang.org/x/image/math/fixed"

	"cunban/device/scan/imaging"
)

// Back is what a feeder may find on the back of a sheet; a closed set.
type Back string

// Backs. The first have nothing on them that anybody wrote, the others must
// never be dropped.
const (
	Bare        Back = "bare"         // paper, perhaps tinted
	ShowThrough Back = "show-through" // the front is seen through thin paper, mirrored
	Holes       Back = "holes"        // punched for a folder
	EdgeShadow  Back = "edge shadow"  // a dark rim where the sheet does not reach
	Dust        Back = "dust"         // specks of the glass
	Stamp       Back = "stamp"        // one red stamp, often pale
	Signature   Back = "signature"    // one name by pen
	Pencil      Back = "pencil"       // a number that somebody noted
	Remark      Back = "remark"       // one short printed line, punched as well
	HoleStamp   Back = "hole and stamp"
)

// Backs are all of them.
var Backs = []Back{Bare, ShowThrough, Holes, EdgeShadow, Dust, Stamp, Signature, Pencil, Remark, HoleStamp}

// Blank tells whether nobody wrote anything on such a side.
func (b Back) Blank() bool {
	switch b {
	case Bare, ShowThrough, Holes, EdgeShadow, Dust:
		return true
	case Stamp, Signature, Pencil, Remark, HoleStamp:
		return false
	}
	panic("specimen: no back " + string(b))
}

// mm is a length at 200 dpi, pixels.
func mm(v float64) float64 { return v * imaging.TargetDPI / 25.4 }

// Back makes the scan of a back side, A4 at 200 dpi.
func (m *Maker) Back(kind Back, number uint64) *image.RGBA {
	rng := rand.New(rand.NewPCG(number, 11))
	tint := [3]float64{238 + rng.Float64()*10, 236 + rng.Float64()*10, 228 + rng.Float64()*14}
	if number%3 == 2 { // forms come on coloured paper
		tint[rng.IntN(3)] -= 22
	}
	s := side{rng: rng, tint: tint, ink: make([][3]float32, PageW*PageH)}
	switch kind {
	case Bare:
	case ShowThrough:
		s.through(m)
	case Holes:
		s.holes()
	case EdgeShadow:
		s.rim()
	case Dust:
		for range 30 {
			s.dot(rng.Float64()*PageW, rng.Float64()*PageH, mm(0.05+0.1*rng.Float64()), [3]float64{0.7, 0.7, 0.7})
		}
	case Stamp:
		s.stamp()
	case Signature:
		s.signature(mm(0.35), 0.75)
	case Pencil:
		s.signature(mm(0.4), 0.42)
	case Remark:
		s.holes()
		m.remark(&s)
	case HoleStamp:
		s.holes()
		s.rim()
		s.stamp()
	}
	return s.scan()
}

// side is a sheet's side: how much of each colour is swallowed where.
type side struct {
	rng  *rand.Rand
	tint [3]float64
	ink  [][3]float32
}

func (s *side) put(x, y int, swallow [3]float64) {
	if x < 0 || y < 0 || x >= PageW || y >= PageH {
		return
	}
	p := &s.ink[y*PageW+x]
	for c := range 3 {
		p[c] = max(p[c], float32(swallow[c]))
	}
}

// dot is a round spot of radius r, its rim soft by a pixel.
func (s *side) dot(x, y, r float64, swallow [3]float64) {
	for py := int(y - r - 1); py <= int(y+r+1); py++ {
		for px := int(x - r - 1); px <= int(x+r+1); px++ {
			k := min(max(r+0.5-math.Hypot(float64(px)-x, float64(py)-y), 0), 1)
			if k > 0 {
				s.put(px, py, [3]float64{swallow[0] * k, swallow[1] * k, swallow[2] * k})
			}
		}
	}
}

// holes are two or four of 5.5 to 6 mm, 12 mm from an edge (ISO 838), seen dark.
func (s *side) holes() {
	n, r, x := 2, mm(5.5+0.5*s.rng.Float64())/2, mm(12)
	if s.rng.IntN(2) == 0 {
		n = 4
	}
	if s.rng.IntN(2) == 0 {
		x = PageW - x
	}
	for i := range n {
		y := PageH/2 + mm(80)*(float64(i)-float64(n-1)/2)
		s.dot(x, y, r, [3]float64{0.8, 0.8, 0.8})
	}
}

// rim is the lid, seen along one or two edges.
func (s *side) rim() {
	w := int(mm(1 + 2*s.rng.Float64()))
	for y := range PageH {
		for x := range w {
			s.put(x, y, [3]float64{0.7, 0.7, 0.7})
		}
	}
	if s.rng.IntN(2) == 0 {
		for y := range w {
			for x := range PageW {
				s.put(x, PageH-1-y, [3]float64{0.6, 0.6, 0.6})
			}
		}
	}
}

// through is the front, mirrored, faint and soft.
func (s *side) through(m *Maker) {
	front, _ := m.page(s.rng)
	soft := image.NewRGBA(front.Rect)
	for i, v := range front.Pix {
		soft.Pix[4*i], soft.Pix[4*i+3] = v, 255
	}
	blur(soft, 1, 1)
	faint := 0.07 + 0.07*s.rng.Float64()
	for y := range PageH {
		for x := range PageW {
			k := faint * (1 - float64(soft.Pix[y*soft.Stride+4*x])/255)
			s.put(PageW-1-x, y, [3]float64{k, k, k})
		}
	}
}

// stamp is a round one of 38 to 42 mm: its rim, a star, a line of writing.
func (s *side) stamp() {
	pale := 0.5 + 0.4*s.rng.Float64()
	red := [3]float64{0.12 * pale, 0.75 * pale, 0.70 * pale}
	r, x, y := mm(19+2*s.rng.Float64()), PageW*(0.25+0.5*s.rng.Float64()), PageH*(0.2+0.6*s.rng.Float64())
	for a := 0.0; a < 2*math.Pi; a += 0.5 / r {
		if s.rng.Float64() < 0.9 { // rubber misses places
			s.dot(x+r*math.Cos(a), y+r*math.Sin(a), mm(0.5), red)
		}
	}
	for i := range 5 {
		a := float64(i) * 2 * math.Pi / 5
		for k := 0.0; k < mm(5); k++ {
			s.dot(x+k*math.Sin(a), y-k*math.Cos(a), mm(0.8), red)
		}
	}
}

// signature is a name of two or three characters, each of a few strokes.
func (s *side) signature(width, dark float64) {
	blue := [3]float64{dark, dark * 0.95, dark * 0.75}
	x, y := PageW*(0.2+0.5*s.rng.Float64()), PageH*(0.2+0.6*s.rng.Float64())
	for range 2 + s.rng.IntN(2) {
		for range 3 {
			px, py := x+mm(8)*s.rng.Float64(), y+mm(8)*s.rng.Float64()
			dir := s.rng.Float64() * math.Pi
			for range int(mm(5 + 3*s.rng.Float64())) {
				s.dot(px, py, width/2, blue)
				dir += (s.rng.Float64() - 0.5) * 0.1
				px, py = px+math.Cos(dir), py+math.Sin(dir)
			}
		}
		x += mm(9)
	}
}

// remark is one short printed line.
func (m *Maker) remark(s *side) {
	m.mu.Lock()
	defer m.mu.Unlock()
	line := image.NewGray(image.Rect(0, 0, 500, 60))
	d := font.Drawer{Dst: line, Src: image.NewUniform(color.Gray{Y: 255}), Face: m.face, Dot: fixed.P(0, 45)}
	d.DrawString(words[s.rng.IntN(len(words))])
	x, y := int(mm(40)), int(PageH*(0.1+0.8*s.rng.Float64()))
	for i, v := range line.Pix {
		k := float64(v) / 255 * 0.85
		s.put(x+i%500, y+i/500, [3]float64{k, k, k})
	}
}

// scan is what the scanner makes of it.
func (s *side) scan() *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, PageW, PageH))
	grain := newGrain(s.rng)
	for i := range s.ink {
		for c := range 3 {
			out.Pix[4*i+c] = clip(s.tint[c]*(1-float64(s.ink[i][c])) + float64(grain[(3*i+c)%len(grain)]))
		}
		out.Pix[4*i+3] = 255
	}
	return out
}
