package imaging

import (
	"image"
	"math"
	"slices"
)

// The search for the sheet is made on a small picture: a hundredth of its
// diagonal is still six pixels.
const (
	findSide   = 480  // its longer side, pixels
	closing    = 4    // writing narrower than twice this vanishes, pixels
	leastEdge  = 6    // weaker steps are noise, levels per pixel
	edgeCap    = 40   // stronger steps count no more than this
	tiltLimit  = 42   // a side may lean by so much, degrees
	perSide    = 8    // lines that are tried for each side
	sideProbes = 48   // places at which a side is looked at
	leastArea  = 0.12 // of the picture; a smaller sheet cannot be read anyway
	leastCard  = 0.03 // a card under a camera that looks at A4 fills a fifteenth
	leastScore = 0.55 // share of the outline that must be seen
	leastSide  = 0.30 // and of each side
	leastStep  = 18   // the sheet is that much brighter than what is around it, levels
	mostBorder = 2    // so many sides may be outside; all four would be any picture
)

// Sheet is what Find found.
type Sheet struct {
	Quad Quad
	// Seen is which share of the outline is really an edge, 0…1.
	Seen float64
	// Cut is true when the sheet runs out of the picture.
	Cut bool
}

// Find looks for a bright sheet on a darker ground and tells where its corners
// are, also when they are outside the picture. ok is false when there is none:
// the picture may be a page that fills it, as a scanner gives.
//
// It takes away the writing (grey closing), votes for straight edges whose
// bright side is inwards (Hough transform), and takes
// the four-sided figure whose outline is best seen.
func Find(img image.Image) (s Sheet, ok bool) {
	small, scale := brightness(img, findSide)
	plain := closed(small, closing)
	e := edgesOf(plain)
	best, found := e.best()
	if !found || !e.standsOut(best.quad) {
		return Sheet{}, false
	}
	q := e.refined(best.quad)
	w, h := float64(small.Rect.Dx()), float64(small.Rect.Dy())
	cut := best.border
	for i := range q {
		// A hair's breadth outside may be the measuring.
		cut = cut || q[i].X < -0.01*w || q[i].Y < -0.01*h || q[i].X > 1.01*w || q[i].Y > 1.01*h
		q[i] = Point{q[i].X * scale, q[i].Y * scale}
	}
	return Sheet{Quad: q, Seen: best.score, Cut: cut}, true
}

// edges is a picture's gradient.
type edges struct {
	w, h   int
	gx, gy []float32
	mag    []float32
	plain  *image.Gray
}

func edgesOf(g *image.Gray) *edges {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	e := &edges{w: w, h: h, gx: make([]float32, w*h), gy: make([]float32, w*h), mag: make([]float32, w*h), plain: g}
	for y := 1; y < h-1; y++ {
		a, b, c := g.Pix[(y-1)*g.Stride:], g.Pix[y*g.Stride:], g.Pix[(y+1)*g.Stride:]
		for x := 1; x < w-1; x++ {
			p := func(r []byte, i int) float32 { return float32(r[x+i]) }
			dx := (p(a, 1) + 2*p(b, 1) + p(c, 1) - p(a, -1) - 2*p(b, -1) - p(c, -1)) / 8
			dy := (p(c, -1) + 2*p(c, 0) + p(c, 1) - p(a, -1) - 2*p(a, 0) - p(a, 1)) / 8
			i := y*w + x
			e.gx[i], e.gy[i], e.mag[i] = dx, dy, float32(math.Hypot(float64(dx), float64(dy)))
		}
	}
	return e
}

// line is x·cos + y·sin = rho; cos, sin point to its bright side.
type line struct {
	cos, sin, rho float64
	votes         float32
	border        bool // the picture's own border
}

// meet is where two lines cross.
func (l line) meet(m line) (Point, bool) {
	det := l.cos*m.sin - m.cos*l.sin
	if math.Abs(det) < 0.2 {
		return Point{}, false
	}
	return Point{(l.rho*m.sin - m.rho*l.sin) / det, (m.rho*l.cos - l.rho*m.cos) / det}, true
}

// lines are the best candidates for top, right, bottom and left.
func (e *edges) lines() (out [4][]line) {
	const degrees = 360
	reach := int(math.Hypot(float64(e.w), float64(e.h))) + 2
	votes := make([]float32, degrees*2*reach)
	var sin, cos [degrees]float64
	for d := range degrees {
		sin[d], cos[d] = math.Sincos(float64(d) * math.Pi / 180)
	}
	for y := 1; y < e.h-1; y++ {
		for x := 1; x < e.w-1; x++ {
			i := y*e.w + x
			if e.mag[i] < leastEdge {
				continue
			}
			dir := int(math.Round(math.Atan2(float64(e.gy[i]), float64(e.gx[i]))*180/math.Pi)) + degrees
			weight := min(e.mag[i], edgeCap)
			for d := dir - 4; d <= dir+4; d++ {
				a := d % degrees
				rho := (float64(x)+0.5)*cos[a] + (float64(y)+0.5)*sin[a]
				votes[a*2*reach+int(math.Round(rho))+reach] += weight
			}
		}
	}
	// The bright side of the top is below it, and so round.
	for side, normal := range [4]int{90, 180, 270, 0} {
		var all []line
		for d := normal - tiltLimit; d <= normal+tiltLimit; d++ {
			a := (d + degrees) % degrees
			row := votes[a*2*reach : (a+1)*2*reach]
			for r, v := range row {
				if v > 0 && peak(votes, a, r, 2*reach) {
					all = append(all, line{cos[a], sin[a], float64(r - reach), v, false})
				}
			}
		}
		slices.SortFunc(all, func(a, b line) int { return cmpFloat(b.votes, a.votes) })
		// Lines that are nearly the same stand for one.
		for _, l := range all {
			if len(out[side]) == perSide {
				break
			}
			if !slices.ContainsFunc(out[side], func(k line) bool { return l.near(k, e.w, e.h) }) {
				out[side] = append(out[side], l)
			}
		}
	}
	w, h := float64(e.w), float64(e.h)
	for side, l := range [4]line{{0, 1, 1, 0, true}, {-1, 0, 1 - w, 0, true}, {0, -1, 1 - h, 0, true}, {1, 0, 1, 0, true}} {
		out[side] = append(out[side], l)
	}
	return out
}

func cmpFloat(a, b float32) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// peak tells whether no neighbour has more votes.
func peak(votes []float32, a, r, width int) bool {
	v := votes[a*width+r]
	for da := -1; da <= 1; da++ {
		b := (a + da + 360) % 360
		for dr := -1; dr <= 1; dr++ {
			if k := r + dr; k >= 0 && k < width && votes[b*width+k] > v {
				return false
			}
		}
	}
	return true
}

// near tells whether two lines run side by side through the picture's middle.
func (l line) near(k line, w, h int) bool {
	if l.cos*k.cos+l.sin*k.sin < math.Cos(4*math.Pi/180) {
		return false
	}
	x, y := float64(w)/2, float64(h)/2
	return math.Abs((l.rho-x*l.cos-y*l.sin)-(k.rho-x*k.cos-y*k.sin)) < 4
}

// figure is a four-sided figure and how well its outline is seen.
type figure struct {
	quad   Quad
	score  float64
	border bool
}

// best tries every figure of the candidate lines.
func (e *edges) best() (best figure, ok bool) {
	c := e.lines()
	paper := e.paper()
	most := 0.0
	for _, top := range c[0] {
		for _, right := range c[1] {
			b, ok1 := top.meet(right)
			if !ok1 || !e.inReach(b) {
				continue
			}
			for _, bottom := range c[2] {
				d, ok2 := right.meet(bottom)
				if !ok2 || !e.inReach(d) {
					continue
				}
				for _, left := range c[3] {
					f, ok3 := bottom.meet(left)
					a, ok4 := left.meet(top)
					if !ok3 || !ok4 || !e.inReach(f) || !e.inReach(a) {
						continue
					}
					fig, ok := e.judge(Quad{a, b, d, f}, [4]line{top, right, bottom, left}, paper)
					// Of two outlines seen as well, the larger is the sheet and the
					// other a frame printed on it.
					if v := fig.score * (1 + 0.25*fig.quad.Area()/float64(e.w*e.h)); ok && v > most {
						best, most = fig, v
					}
				}
			}
		}
	}
	return best, most > 0
}

// inReach tells whether a corner may be there: half a picture outside at most.
func (e *edges) inReach(p Point) bool {
	w, h := float64(e.w), float64(e.h)
	return p.X > -w/2 && p.X < w*1.5 && p.Y > -h/2 && p.Y < h*1.5
}

// paper is the level of the brightest tenth: surely paper, if there is any.
func (e *edges) paper() int {
	var h histogram
	for _, v := range e.plain.Pix {
		h[v]++
	}
	return h.at(0.9)
}

// judge measures how much of a figure's outline is an edge.
func (e *edges) judge(q Quad, sides [4]line, paper int) (figure, bool) {
	const least, most = 50 * math.Pi / 180, 130 * math.Pi / 180
	if area := q.Area() / float64(e.w*e.h); area < leastCard || area < leastArea && !q.card(e.w, e.h) || !q.convex(least, most) {
		return figure{}, false
	}
	f := figure{quad: q}
	var long, seen float64
	borders := 0
	for i, l := range sides {
		a, b := q[i], q[(i+1)%4]
		n := b.sub(a).len()
		share := 0.0
		if l.border {
			f.border = true
			if borders++; borders > mostBorder {
				return figure{}, false
			}
			share = e.paperAlong(a, b, l, paper) * 0.9 // an edge is worth more
		} else {
			share = e.along(a, b, l)
		}
		if share < leastSide {
			return figure{}, false
		}
		long += n
		seen += n * share
	}
	f.score = seen / long
	return f, f.score >= leastScore
}

// standsOut tells whether the figure is brighter than what is around it: the
// squares of a tablecloth have edges too.
func (e *edges) standsOut(q Quad) bool {
	var sum, n [2]int // outside, inside
	for y := 2; y < e.h; y += 4 {
		for x := 2; x < e.w; x += 4 {
			k := 0
			if q.holds(Point{float64(x), float64(y)}) {
				k = 1
			}
			sum[k] += int(e.plain.Pix[y*e.plain.Stride+x])
			n[k]++
		}
	}
	return n[0] == 0 || n[1] > 0 && sum[1]/n[1]-sum[0]/n[0] >= leastStep
}

// along is the share of a side at which there is an edge of its direction. What
// is outside the picture counts as half seen: it cannot be.
func (e *edges) along(a, b Point, l line) float64 {
	seen := 0.0
	for i := range sideProbes {
		t := (float64(i) + 0.5) / sideProbes
		x, y := a.X+(b.X-a.X)*t, a.Y+(b.Y-a.Y)*t
		if x < 2 || y < 2 || x > float64(e.w-2) || y > float64(e.h-2) {
			seen += 0.5
			continue
		}
		if e.strongest(x, y, l) >= leastEdge {
			seen++
		}
	}
	return seen / sideProbes
}

// strongest is the steepest step towards the line's bright side within a pixel
// and a half of a place.
func (e *edges) strongest(x, y float64, l line) float64 {
	most := 0.0
	for k := -1.5; k <= 1.5; k += 0.75 {
		px, py := int(x+k*l.cos), int(y+k*l.sin)
		if px < 0 || py < 0 || px >= e.w || py >= e.h {
			continue
		}
		i := py*e.w + px
		most = max(most, float64(e.gx[i])*l.cos+float64(e.gy[i])*l.sin)
	}
	return most
}

// paperAlong is the share of the picture's border at which there is paper.
func (e *edges) paperAlong(a, b Point, l line, paper int) float64 {
	seen, n := 0, 0
	for i := range sideProbes {
		t := (float64(i) + 0.5) / sideProbes
		x, y := int(a.X+(b.X-a.X)*t+2*l.cos), int(a.Y+(b.Y-a.Y)*t+2*l.sin)
		if x < 0 || y < 0 || x >= e.w || y >= e.h {
			continue
		}
		n++
		if int(e.plain.Pix[y*e.plain.Stride+x]) > paper*3/4 {
			seen++
		}
	}
	if n < sideProbes/3 {
		return 0
	}
	return float64(seen) / float64(n)
}

// refined moves each side to where the edge is steepest, along most of its
// length, and gives the corners anew.
func (e *edges) refined(q Quad) Quad {
	var sides [4]line
	for i := range q {
		sides[i] = e.fit(q[i], q[(i+1)%4])
	}
	out := q
	for i := range q {
		if p, ok := sides[(i+3)%4].meet(sides[i]); ok && p.sub(q[i]).len() < 0.03*math.Hypot(float64(e.w), float64(e.h)) {
			out[i] = p
		}
	}
	return out
}

// fit is the straight line through the steepest steps near a side (least
// squares, twice: the second time without what lies apart).
func (e *edges) fit(a, b Point) line {
	d := b.sub(a)
	n := d.len()
	// The corners run clockwise: inwards is to the right of the way.
	l := line{cos: -d.Y / n, sin: d.X / n}
	l.rho = a.X*l.cos + a.Y*l.sin
	type place struct{ along, off float64 }
	var all []place
	probes := int(n)
	for i := range probes {
		t := (float64(i) + 0.5) / float64(probes)
		if t < 0.06 || t > 0.94 { // corners are worn and folded
			continue
		}
		x, y := a.X+d.X*t, a.Y+d.Y*t
		if off, ok := e.step(x, y, l); ok {
			all = append(all, place{t * n, off})
		}
	}
	slope, at := 0.0, 0.0
	for limit := 4.0; limit >= 1; limit /= 2 {
		var s, sx, sy, sxx, sxy float64
		for _, p := range all {
			if math.Abs(p.off-at-slope*p.along) > limit {
				continue
			}
			s, sx, sy, sxx, sxy = s+1, sx+p.along, sy+p.off, sxx+p.along*p.along, sxy+p.along*p.off
		}
		det := s*sxx - sx*sx
		if s < 8 || det < 1 {
			return l
		}
		slope, at = (s*sxy-sx*sy)/det, (sy*sxx-sx*sxy)/det
	}
	p := Point{a.X + l.cos*at, a.Y + l.sin*at}
	r := Point{b.X + l.cos*(at+slope*n), b.Y + l.sin*(at+slope*n)}
	d = r.sub(p)
	n = d.len()
	m := line{cos: -d.Y / n, sin: d.X / n}
	m.rho = p.X*m.cos + p.Y*m.sin
	return m
}

// step is how far from a place the steepest step lies, to a part of a pixel.
func (e *edges) step(x, y float64, l line) (off float64, ok bool) {
	const reach = 4
	var v [2*reach + 1]float64
	best := -1
	for k := range v {
		d := float64(k - reach)
		px, py := x+d*l.cos, y+d*l.sin
		if px < 1.5 || py < 1.5 || px > float64(e.w)-1.5 || py > float64(e.h)-1.5 {
			return 0, false
		}
		i := int(py)*e.w + int(px)
		v[k] = float64(e.gx[i])*l.cos + float64(e.gy[i])*l.sin
		if best < 0 || v[k] > v[best] {
			best = k
		}
	}
	if v[best] < leastEdge {
		return 0, false
	}
	off = float64(best - reach)
	if best > 0 && best < 2*reach {
		if c := v[best-1] - 2*v[best] + v[best+1]; c < 0 {
			off += (v[best-1] - v[best+1]) / (2 * c)
		}
	}
	return off, true
}
