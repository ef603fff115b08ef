package imaging

import (
	"image"
	"slices"
)

// Limits of the judgement, in levels of 0…255 and in shares. They were set
// with pages of text at 200 dpi that were darkened and blurred step by step;
// the tests hold them there.
const (
	tile        = 64   // side of the squares that are looked at, pixels
	darkPaper   = 95   // paper that is darker than this is too dark
	inkDistance = 48   // this much darker than the paper around it is ink
	flatTile    = 40   // a square with less contrast has nothing to judge
	blackLevel  = 30   // a picture this dark shows nothing, sheet or not
	sharpEdge   = 0.28 // steepest step between neighbours, as share of the contrast
)

// judge says what is wrong with a page in shades of grey, about 200 dpi, and in
// its darkest colour, which is changed; dpi 0 = not known.
func judge(g, dark *image.Gray, dpi int, l lamp) Fault {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	var (
		paper     histogram // of the squares' paper levels
		sharpness []float64 // of the squares that have something on them
	)
	for y := 0; y < h; y += tile {
		for x := 0; x < w; x += tile {
			s := square(g, x, y, min(x+tile, w), min(y+tile, h))
			paper[s.paper]++
			if s.contrast >= flatTile {
				sharpness = append(sharpness, float64(s.step)/float64(s.contrast))
			}
		}
	}
	switch {
	case paper.at(0.75) < darkPaper:
		return Dark
	case l.glare:
		return Glare
	case blank(dark, dpi):
		return Blank
	case len(sharpness) > 0 && median(sharpness) < sharpEdge:
		return Blurred
	}
	return None
}

// histogram counts levels.
type histogram [256]int

// at returns the level below which the share q lies.
func (h *histogram) at(q float64) int {
	n := 0
	for _, c := range h {
		n += c
	}
	left := int(q * float64(n))
	for i, c := range h {
		if left -= c; left < 0 {
			return i
		}
	}
	return 255
}

// look is what one square shows.
type look struct {
	paper    int // level of the paper: what is brighter is a tenth at most
	contrast int // between paper and the darkest hundredth
	step     int // the steepest hundredth of the steps between neighbours, across or down: the lesser
}

func square(g *image.Gray, x0, y0, x1, y1 int) look {
	// A picture that moved is sharp along its way and blurred across it.
	var levels, across, down histogram
	for y := y0; y < y1; y++ {
		row := g.Pix[y*g.Stride : y*g.Stride+x1]
		for x := x0; x < x1; x++ {
			levels[row[x]]++
			if x+1 < x1 {
				across[abs(int(row[x])-int(row[x+1]))]++
			}
			if y+1 < y1 {
				down[abs(int(row[x])-int(g.Pix[(y+1)*g.Stride+x]))]++
			}
		}
	}
	l := look{paper: levels.at(0.9), step: min(across.at(0.99), down.at(0.99))}
	l.contrast = l.paper - levels.at(0.01)
	return l
}

func abs(a int) int {
	if a < 0 {
		return -a
	}
	return a
}

// median of a list that is not empty; the list is sorted.
func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}
