package imaging_test

import (
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"
	"testing"

	"cunban/device/scan/imaging"
	"cunban/device/scan/imaging/specimen"
)

// TestCards: a card under the camera is cut out and known, and both its sides
// come on one page at their true size.
func TestCards(t *testing.T) {
	const most = 0.01 // of a true length
	m, err := specimen.New(2400, 1800)
	if err != nil {
		t.Fatal(err)
	}
	worst, known, n := 0.0, 0, sets(t, 2)
	for i := range uint64(n) {
		var sides [2][]byte
		for k := range sides {
			s := m.Card(2*i + uint64(k))
			jpg, v, err := imaging.Prepare(s.Image, imaging.Options{Camera: true})
			if err != nil {
				t.Fatal(err)
			}
			if !v.Card || !v.OK {
				t.Logf("card %d on %s: %+v", 2*i+uint64(k), s.Ground, v)
				continue
			}
			known++
			sides[k] = jpg
		}
		if sides[0] == nil || sides[1] == nil {
			continue
		}
		page, err := imaging.BothSides(sides[0], sides[1])
		if err != nil || len(page) > imaging.MaxBytes {
			t.Fatalf("%d bytes, %v", len(page), err)
		}
		if dir := os.Getenv("CUNBAN_PICTURES"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, "card.jpg"), page, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		worst = max(worst, sizeError(t, page))
	}
	t.Logf("sides known: %d of %d; true size off by at most %.2f %%", known, 2*n, worst*100)
	if worst > most || 20*known < 19*2*n {
		t.Fail()
	}
}

// sizeError measures the distances of the marks on a page with both sides, by
// its own resolution, against the truth.
func sizeError(t *testing.T, page []byte) (worst float64) {
	t.Helper()
	img, err := jpeg.Decode(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	b := img.Bounds()
	if dpi := int(page[14])<<8 | int(page[15]); b.Dx() != specimen.PageW || b.Dy() != specimen.PageH || dpi != imaging.TargetDPI {
		t.Errorf("the page is %v at %d dpi", b, dpi)
	}
	g := img.(*image.Gray)
	for _, half := range []image.Rectangle{image.Rect(0, 0, b.Dx(), b.Dy()*44/100), image.Rect(0, b.Dy()*44/100, b.Dx(), b.Dy())} {
		marks := corners(g, half)
		w, h := float64(specimen.CardW-2*specimen.CardMark), float64(specimen.CardH-2*specimen.CardMark)
		for _, d := range []struct{ got, want float64 }{
			{marks[1].X - marks[0].X, w}, {marks[3].X - marks[2].X, w}, {marks[2].Y - marks[0].Y, h}, {marks[3].Y - marks[1].Y, h},
		} {
			worst = max(worst, math.Abs(d.got/d.want-1))
		}
	}
	return worst
}

// corners are the dark pixels that lie furthest out to the four corners.
func corners(g *image.Gray, in image.Rectangle) [4]imaging.Point {
	var out [4]imaging.Point
	best := [4]float64{math.Inf(1), math.Inf(1), math.Inf(1), math.Inf(1)}
	for y := in.Min.Y; y < in.Max.Y; y++ {
		for x := in.Min.X; x < in.Max.X; x++ {
			if g.Pix[y*g.Stride+x] > 110 {
				continue
			}
			fx, fy := float64(x), float64(y)
			for i, d := range [4]float64{fx + fy, -fx + fy, fx - fy, -fx - fy} {
				if d < best[i] {
					best[i], out[i] = d, imaging.Point{X: fx, Y: fy}
				}
			}
		}
	}
	const r = 9 // from a mark's corner to its middle
	for i, d := range [4][2]float64{{r, r}, {-r, r}, {r, -r}, {-r, -r}} {
		out[i].X, out[i].Y = out[i].X+d[0], out[i].Y+d[1]
	}
	return out
}

// TestBothSidesRefuses what is not a card: a page, a damaged file; and a card
// drawn too large is seen by the measure of TestCards.
func TestBothSidesRefuses(t *testing.T) {
	encode := func(w, h int) []byte {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, w, h)), nil); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	card := encode(674, 425)
	if _, err := imaging.BothSides(card, encode(1654, 2339)); !errors.Is(err, imaging.ErrNotCard) {
		t.Errorf("a page: %v", err)
	}
	if _, err := imaging.BothSides(card[:40], card); err == nil {
		t.Error("a damaged file is taken")
	}
	if _, err := imaging.BothSides(card, encode(425, 674)); err != nil {
		t.Errorf("turned by a quarter: %v", err)
	}
	m, err := specimen.New(1600, 1200)
	if err != nil {
		t.Fatal(err)
	}
	if _, v, err := imaging.Prepare(m.Make(specimen.Straight, 1).Image, imaging.Options{Camera: true}); err != nil || v.Card {
		t.Errorf("a page is called a card: %v", err)
	}
}
