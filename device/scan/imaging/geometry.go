package imaging

import "math"

// Point is a place in a picture, in pixels from its top left corner; the middle
// of the first pixel is 0.5, 0.5.
type Point struct{ X, Y float64 }

func (p Point) sub(q Point) Point { return Point{p.X - q.X, p.Y - q.Y} }

func (p Point) len() float64 { return math.Hypot(p.X, p.Y) }

// Quad is a sheet in a picture: its corners top left, top right, bottom right,
// bottom left as they lie in the picture.
type Quad [4]Point

// Rect is the quad of an upright rectangle.
func Rect(x0, y0, x1, y1 float64) Quad {
	return Quad{{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}}
}

// Area is in square pixels, negative when the corners run the other way round.
func (q Quad) Area() (a float64) {
	for i, p := range q {
		n := q[(i+1)%4]
		a += p.X*n.Y - n.X*p.Y
	}
	return a / 2
}

// holds tells whether a point is inside a convex quad.
func (q Quad) holds(p Point) bool {
	for i, a := range q {
		d, r := q[(i+1)%4].sub(a), p.sub(a)
		if d.X*r.Y-d.Y*r.X < 0 {
			return false
		}
	}
	return true
}

// shrunk moves every corner towards the middle by a share of the quad's size.
func (q Quad) shrunk(share float64) (out Quad) {
	m := q.Projection(1, 1)
	for i, p := range Rect(share, share, 1-share, 1-share) {
		out[i] = m.At(p)
	}
	return out
}

// convex tells whether every corner turns the same way, by lo to hi radians.
func (q Quad) convex(lo, hi float64) bool {
	for i, p := range q {
		a, b := p.sub(q[(i+3)%4]), q[(i+1)%4].sub(p)
		turn := math.Atan2(a.X*b.Y-a.Y*b.X, a.X*b.X+a.Y*b.Y)
		if turn < lo || turn > hi {
			return false
		}
	}
	return true
}

// Projection maps one plane to another as a camera sees it (a homography, by
// rows).
type Projection [9]float64

// Projection maps the rectangle from 0, 0 to w, h onto the quad (Heckbert,
// Fundamentals of Texture Mapping, 1989, 2.2.3). The corners must not lie on one
// line.
func (q Quad) Projection(w, h float64) Projection {
	d1, d2 := q[1].sub(q[2]), q[3].sub(q[2])
	s := Point{q[0].X - q[1].X + q[2].X - q[3].X, q[0].Y - q[1].Y + q[2].Y - q[3].Y}
	den := d1.X*d2.Y - d2.X*d1.Y
	g, k := (s.X*d2.Y-d2.X*s.Y)/den, (d1.X*s.Y-s.X*d1.Y)/den
	return Projection{
		(q[1].X - q[0].X + g*q[1].X) / w, (q[3].X - q[0].X + k*q[3].X) / h, q[0].X,
		(q[1].Y - q[0].Y + g*q[1].Y) / w, (q[3].Y - q[0].Y + k*q[3].Y) / h, q[0].Y,
		g / w, k / h, 1,
	}
}

// At maps a point.
func (m *Projection) At(p Point) Point {
	z := m[6]*p.X + m[7]*p.Y + m[8]
	return Point{(m[0]*p.X + m[1]*p.Y + m[2]) / z, (m[3]*p.X + m[4]*p.Y + m[5]) / z}
}

// Inverse maps back.
func (m *Projection) Inverse() Projection {
	a := m
	return Projection{
		a[4]*a[8] - a[5]*a[7], a[2]*a[7] - a[1]*a[8], a[1]*a[5] - a[2]*a[4],
		a[5]*a[6] - a[3]*a[8], a[0]*a[8] - a[2]*a[6], a[2]*a[3] - a[0]*a[5],
		a[3]*a[7] - a[4]*a[6], a[1]*a[6] - a[0]*a[7], a[0]*a[4] - a[1]*a[3],
	}
}

// aspect is the true width of the sheet divided by its height, seen by a camera
// whose axis goes through the middle of the picture, w×h pixels (Zhang and He,
// Whiteboard scanning and image enhancement, 2007, 3.3). Where the sheet is seen
// from straight above, that is the ratio of its sides.
func (q Quad) aspect(w, h float64) float64 {
	sides := func(i, j int) float64 { return q[i].sub(q[j]).len() }
	plain := (sides(0, 1) + sides(3, 2)) / (sides(0, 3) + sides(1, 2))
	c := Point{w / 2, h / 2}
	m1, m2, m4, m3 := q[0].sub(c), q[1].sub(c), q[2].sub(c), q[3].sub(c)
	cross := func(a, b Point) [3]float64 { return [3]float64{a.Y - b.Y, b.X - a.X, a.X*b.Y - a.Y*b.X} }
	dot := func(a [3]float64, p Point) float64 { return a[0]*p.X + a[1]*p.Y + a[2] }
	k2 := dot(cross(m1, m4), m3) / dot(cross(m2, m4), m3)
	k3 := dot(cross(m1, m4), m2) / dot(cross(m3, m4), m2)
	n2 := [3]float64{k2*m2.X - m1.X, k2*m2.Y - m1.Y, k2 - 1}
	n3 := [3]float64{k3*m3.X - m1.X, k3*m3.Y - m1.Y, k3 - 1}
	// Both vanishing points must be near enough to tell the focal length.
	if math.Abs(n2[2]) < 0.02 || math.Abs(n3[2]) < 0.02 {
		return plain
	}
	f2 := -(n2[0]*n3[0] + n2[1]*n3[1]) / (n2[2] * n3[2])
	if f2 < w*h/16 || f2 > w*h*16 { // no lens is like that
		return plain
	}
	norm := func(n [3]float64) float64 { return (n[0]*n[0]+n[1]*n[1])/f2 + n[2]*n[2] }
	return math.Sqrt(norm(n2) / norm(n3))
}
