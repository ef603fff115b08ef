package imaging

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"

	"golang.org/x/image/draw"
)

// ErrNotCard means that a picture has not the shape of a card.
var ErrNotCard = errors.New("imaging: not a card")

// Where the two sides of a card stand on their page: in its middle, one
// above the other.
const (
	frontAt = 0.30 // of the page's height, the middle of the front
	backAt  = 0.58
)

// BothSides puts the front and the back of a card, each as Prepare made it, on
// one A4 page, at their true size (ISO/IEC 7810 ID-1: 85.60 × 53.98 mm) when
// the page is printed at its own resolution, TargetDPI. The result keeps
// within MaxBytes. Errors: ErrNotCard, or that a picture cannot be read.
func BothSides(front, back []byte) ([]byte, error) {
	page := image.NewRGBA(image.Rect(0, 0, a4Short, a4Long))
	draw.Draw(page, page.Rect, image.White, image.Point{}, draw.Src)
	defer func() { clear(page.Pix) }()
	for _, s := range []struct {
		jpg []byte
		at  float64
	}{{front, frontAt}, {back, backAt}} {
		if err := place(page, s.jpg, int(s.at*a4Long)); err != nil {
			return nil, err
		}
	}
	return encode(page, TargetDPI)
}

// place draws a card with its middle at height y.
func place(page *image.RGBA, jpg []byte, y int) error {
	img, err := jpeg.Decode(bytes.NewReader(jpg))
	if err != nil {
		return fmt.Errorf("imaging: read a card's side: %w", err)
	}
	b := img.Bounds()
	if !cardShaped(b.Dx(), b.Dy()) {
		return fmt.Errorf("%w: %d×%d pixels", ErrNotCard, b.Dx(), b.Dy())
	}
	w, h := cardLong, cardShort
	if b.Dx() < b.Dy() {
		w, h = h, w // which way it is to be turned cannot be told without reading
	}
	x0, y0 := (a4Short-w)/2, y-h/2
	draw.CatmullRom.Scale(page, image.Rect(x0, y0, x0+w, y0+h), img, b, draw.Src, nil)
	return nil
}

// cardShaped tells whether w×h pixels are a card, either way round.
func cardShaped(w, h int) bool {
	r := float64(max(w, h)) / float64(max(min(w, h), 1))
	return r > cardRatio*(1-cardSlack) && r < cardRatio*(1+cardSlack)
}
