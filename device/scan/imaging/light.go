package imaging

import (
	"image"
)

// The light on a sheet is looked at on a small picture of it.
const (
	lightSide   = 240 // its longer side, pixels
	lightClosed = 5   // writing narrower than twice this vanishes
	lightSmooth = 4   // then smoothed over so many pixels to each side
	lightWhite  = 238 // what paper becomes
	lightMost   = 2.6 // dark corners are lifted by no more than this
	lightPaper  = 0.55
	lightEven   = 1.04 // differences below are left alone
	glareLevel  = 250  // paper is never so bright in a picture well exposed
	glareStep   = 14   // a mirrored lamp is that much brighter than the paper
	glareLeast  = 0.003
)

// lamp is what the light does to a sheet.
type lamp struct {
	ground *image.Gray // the level of the paper, place by place
	paper  int         // its middle level
	pale   bool        // most of the sheet is paper: it is no photograph
	glare  bool        // a lamp is mirrored on it
}

// lightOn looks at the light on a flat page.
func lightOn(page *image.RGBA) lamp {
	small, _ := brightness(page, lightSide)
	g := smooth(closed(small, lightClosed), lightSmooth)
	var h histogram
	for _, v := range g.Pix {
		h[v]++
	}
	l := lamp{ground: g, paper: h.at(0.5)}
	near, bright := 0, 0
	for _, v := range g.Pix {
		if int(v) > l.paper*3/5 {
			near++
		}
		if v >= glareLevel && int(v) > l.paper+glareStep {
			bright++
		}
	}
	n := float64(len(g.Pix))
	l.pale = float64(near) > lightPaper*n
	l.glare = float64(bright) > glareLeast*n
	return l
}

// even makes the paper as bright everywhere, shadows included, in place.
func (l lamp) even(page *image.RGBA) {
	if !l.pale || l.paper < 1 {
		return
	}
	g := l.ground
	lo, hi := byte(255), byte(0)
	for _, v := range g.Pix {
		lo, hi = min(lo, v), max(hi, v)
	}
	if float64(hi) < lightEven*float64(lo) && hi >= lightWhite-12 {
		return
	}
	w, h := page.Rect.Dx(), page.Rect.Dy()
	// In 1/256: by how much a place of the small picture is lifted.
	lift := make([]uint32, len(g.Pix))
	for i, v := range g.Pix {
		lift[i] = uint32(min(max(lightWhite/float64(max(v, 1)), 1), lightMost) * 256)
	}
	gw, gh := g.Rect.Dx(), g.Rect.Dy()
	rows(h, func(y int) {
		gy := min(max((float64(y)+0.5)*float64(gh)/float64(h)-0.5, 0), float64(gh-1))
		y0 := int(gy)
		y1, v := min(y0+1, gh-1), uint32((gy-float64(y0))*256)
		a, b := lift[y0*gw:(y0+1)*gw], lift[y1*gw:(y1+1)*gw]
		line := page.Pix[y*page.Stride : y*page.Stride+4*w]
		for x := range w {
			// In 1/256 of a pixel of the small picture.
			gx := min(max((2*x+1)*128*gw/w-128, 0), (gw-1)*256)
			x0 := gx >> 8
			x1, u := min(x0+1, gw-1), uint32(gx&255)
			k := ((a[x0]*(256-u)+a[x1]*u)*(256-v) + (b[x0]*(256-u)+b[x1]*u)*v) >> 16
			p := line[4*x : 4*x+3 : 4*x+3]
			p[0], p[1], p[2] = lifted(p[0], k), lifted(p[1], k), lifted(p[2], k)
		}
	})
}

func lifted(v uint8, k uint32) uint8 { return uint8(min(uint32(v)*k>>8, 255)) }

// smooth averages over (2r+1)² pixels.
func smooth(g *image.Gray, r int) *image.Gray {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	sums := make([]int, (w+1)*(h+1)) // of all pixels above and to the left
	for y := range h {
		line := 0
		for x := range w {
			line += int(g.Pix[y*g.Stride+x])
			sums[(y+1)*(w+1)+x+1] = sums[y*(w+1)+x+1] + line
		}
	}
	out := image.NewGray(g.Rect)
	for y := range h {
		y0, y1 := max(y-r, 0), min(y+r+1, h)
		for x := range w {
			x0, x1 := max(x-r, 0), min(x+r+1, w)
			s := sums[y1*(w+1)+x1] - sums[y0*(w+1)+x1] - sums[y1*(w+1)+x0] + sums[y0*(w+1)+x0]
			out.Pix[y*out.Stride+x] = byte(s / ((y1 - y0) * (x1 - x0)))
		}
	}
	return out
}
