package specimen

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"math/rand/v2"

	"golang.org/x/image/font"
	"golang.org/x/image/math/fixed"

	"cunban/device/scan/imaging"
)

// A card of ID-1 (ISO/IEC 7810) at 200 dpi, pixels, and the middles of the four
// dark marks on a made one: their distance from its nearest edges.
const (
	CardW, CardH = 674, 425
	CardMark     = 40
)

// Card makes the picture of one side of a made-up card that lies, turned a
// little, under a camera that looks at A4 and a tenth more. Nothing on it is like a real one.
func (m *Maker) Card(number uint64) *Specimen {
	rng := rand.New(rand.NewPCG(number, 13))
	s := &Specimen{Kind: Straight, Page: m.cardFace(rng)}
	w, h := float64(m.w), float64(m.h)
	perMM := min(w/(297*1.1), h/(210*1.1)) // the longer side of A4 lies across
	turn := (rng.Float64()*2 - 1) * 6 * math.Pi / 180
	sin, cos := math.Sincos(turn)
	mid := imaging.Point{X: w * (0.35 + 0.3*rng.Float64()), Y: h * (0.35 + 0.3*rng.Float64())}
	for i, c := range [4][2]float64{{-1, -1}, {1, -1}, {1, 1}, {-1, 1}} {
		x, y := c[0]*85.6/2*perMM, c[1]*53.98/2*perMM
		s.Quad[i] = imaging.Point{X: mid.X + x*cos - y*sin, Y: mid.Y + x*sin + y*cos}
	}
	g := grounds[rng.IntN(len(grounds))]
	s.Ground = g.name
	s.Image = m.take(s, g, rng)
	return s
}

// cardFace draws a side: four marks, a picture, three lines.
func (m *Maker) cardFace(rng *rand.Rand) *image.Gray {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := image.NewGray(image.Rect(0, 0, CardW, CardH))
	for i := range p.Pix {
		p.Pix[i] = 250
	}
	box := func(x0, y0, x1, y1 int, v uint8) {
		draw.Draw(p, image.Rect(x0, y0, x1, y1), image.NewUniform(color.Gray{Y: v}), image.Point{}, draw.Src)
	}
	const r = 9
	for _, c := range [][2]int{{CardMark, CardMark}, {CardW - CardMark, CardMark}, {CardMark, CardH - CardMark}, {CardW - CardMark, CardH - CardMark}} {
		box(c[0]-r, c[1]-r, c[0]+r, c[1]+r, 20)
	}
	box(440, 90, 600, 290, 150)
	for i := range 3 {
		d := font.Drawer{Dst: p, Src: image.NewUniform(color.Gray{Y: 40}), Face: m.face, Dot: fixed.P(80, 130+i*70)}
		d.DrawString(words[rng.IntN(len(words))] + words[rng.IntN(len(words))])
	}
	return p
}
