package imaging

import (
	"image"
	"math"
)

// What a side must bear to be more than blank. A wrong "blank" loses what
// somebody wrote, a wrong "not blank" costs a page of paper: in doubt there is
// something.
const (
	markDistance = 42    // this much darker than the paper, in its darkest colour, is a mark
	muchMarked   = 0.04  // of the page: no need to look at what it is
	leastSpeck   = 0.10  // mm²; smaller spots are dust
	leastMark    = 1.5   // mm² of marks that somebody made
	holeLeast    = 4.5   // mm across
	holeMost     = 8.0   //
	holeMargin   = 22.0  // mm from the edge to the far side of a hole
	holeRound    = 0.12  // how far its area may be from a circle's
	rimMost      = 6.0   // mm; what hangs on the edge and is no deeper is the lid
	pageMM       = 297.0 // of the longer side when the resolution is not known
)

// marks is a page in its darkest colour: a pale red stamp is as clear in it as
// black writing.
func marks(p *image.RGBA) *image.Gray {
	g := image.NewGray(p.Rect)
	rows(p.Rect.Dy(), func(y int) {
		src := p.Pix[y*p.Stride : y*p.Stride+4*p.Rect.Dx()]
		dst := g.Pix[y*g.Stride:]
		for x := range p.Rect.Dx() {
			s := src[4*x : 4*x+3 : 4*x+3]
			dst[x] = min(s[0], s[1], s[2])
		}
	})
	return g
}

// spot is a set of marked pixels that touch each other.
type spot struct {
	n, inside      int // pixels, and those further from the edge than a rim
	x0, y0, x1, y1 int // inclusive
}

// blank tells whether nobody wrote anything on a page in its darkest colour:
// show-through of the other side, punched holes (ISO 838), the scanner's lid
// along an edge and dust do not count. It changes g. dpi 0 takes the longer side
// for that of A4.
func blank(g *image.Gray, dpi int) bool {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	perMM := float64(dpi) / 25.4
	if dpi <= 0 {
		perMM = float64(max(w, h)) / pageMM
	}
	found := threshold(g)
	if float64(found) > muchMarked*float64(w*h) {
		return false
	}
	left := 0.0
	var stack []int32
	for i, v := range g.Pix {
		if v == 0 {
			continue
		}
		var s spot
		s, stack = fill(g, i, int(rimMost*perMM), stack)
		if area := float64(s.n) / (perMM * perMM); area >= leastSpeck && !s.hole(w, h, perMM) && !s.rim(w, h) {
			if left += area; left >= leastMark {
				return false
			}
		}
	}
	return true
}

// threshold leaves 255 for marks and 0 for paper, and tells how many marks
// there are. The paper's level is taken square by square.
func threshold(g *image.Gray) (found int) {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	for y := 0; y < h; y += tile {
		for x := 0; x < w; x += tile {
			x1, y1 := min(x+tile, w), min(y+tile, h)
			var levels histogram
			for yy := y; yy < y1; yy++ {
				for _, v := range g.Pix[yy*g.Stride+x : yy*g.Stride+x1] {
					levels[v]++
				}
			}
			limit := levels.at(0.9) - markDistance
			for yy := y; yy < y1; yy++ {
				row := g.Pix[yy*g.Stride+x : yy*g.Stride+x1]
				for i, v := range row {
					row[i] = 0
					if int(v) < limit {
						row[i] = 255
						found++
					}
				}
			}
		}
	}
	return found
}

// fill takes the spot around a marked pixel out of g; rim is how wide the edge
// is. stack is room to work in.
func fill(g *image.Gray, at, rim int, stack []int32) (spot, []int32) {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	s := spot{x0: w, y0: h, x1: -1, y1: -1}
	stack = append(stack[:0], int32(at))
	g.Pix[at] = 0
	for len(stack) > 0 {
		i := int(stack[len(stack)-1])
		stack = stack[:len(stack)-1]
		x, y := i%g.Stride, i/g.Stride
		s.n++
		if x >= rim && y >= rim && x < w-rim && y < h-rim {
			s.inside++
		}
		s.x0, s.y0, s.x1, s.y1 = min(s.x0, x), min(s.y0, y), max(s.x1, x), max(s.y1, y)
		for yy := max(y-1, 0); yy <= min(y+1, h-1); yy++ {
			for xx := max(x-1, 0); xx <= min(x+1, w-1); xx++ {
				if j := yy*g.Stride + xx; g.Pix[j] != 0 {
					g.Pix[j] = 0
					stack = append(stack, int32(j))
				}
			}
		}
	}
	return s, stack
}

// hole tells whether a spot is a punched hole: round, full, near an edge.
func (s spot) hole(w, h int, perMM float64) bool {
	across, down := float64(s.x1-s.x0+1), float64(s.y1-s.y0+1)
	d := (across + down) / 2
	if d < holeLeast*perMM || d > holeMost*perMM || math.Abs(across-down) > 0.12*d {
		return false
	}
	if math.Abs(float64(s.n)/(math.Pi/4*across*down)-1) > holeRound {
		return false
	}
	reach := holeMargin * perMM
	return float64(s.x1) < reach || float64(s.y1) < reach || float64(w-s.x0) < reach || float64(h-s.y0) < reach
}

// rim tells whether a spot is what is seen beside the sheet: it hangs on an
// edge, perhaps round a corner, and hardly reaches into the page.
func (s spot) rim(w, h int) bool {
	edge := s.x0 == 0 || s.y0 == 0 || s.x1 == w-1 || s.y1 == h-1
	return edge && s.inside*20 < s.n
}
