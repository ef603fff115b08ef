package imaging

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"testing"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"cunban/assets"
)

// textPage draws a strip of small print, as wide as A4, at a resolution. A
// whole page would only make the tests slow.
func textPage(t testing.TB, dpi, inches float64) *image.RGBA {
	t.Helper()
	f, err := opentype.Parse(assets.FontRegular())
	if err != nil {
		t.Fatal(err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: 10.5, DPI: dpi})
	if err != nil {
		t.Fatal(err)
	}
	w, h := int(8.27*dpi), int(inches*dpi)
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(img, img.Rect, image.NewUniform(color.RGBA{244, 242, 238, 255}), image.Point{}, draw.Src)
	d := font.Drawer{Dst: img, Src: image.NewUniform(color.RGBA{30, 30, 34, 255}), Face: face}
	for y := 0.3; y < inches-0.2; y += 0.33 {
		d.Dot = fixed.P(int(0.09*float64(w)), int(y*dpi))
		d.DrawString("城乡居民基本养老保险参保登记表，户籍所在地村民委员会证明，经办人签字盖章。")
	}
	return img
}

// blur is a Gaussian blur of sigma pixels.
func blur(src *image.RGBA, sigma float64) *image.RGBA {
	r := int(math.Ceil(3 * sigma))
	k := make([]float64, 2*r+1)
	sum := 0.0
	for i := range k {
		k[i] = math.Exp(-float64((i-r)*(i-r)) / (2 * sigma * sigma))
		sum += k[i]
	}
	pass := func(in *image.RGBA, dx, dy int) *image.RGBA {
		out := image.NewRGBA(in.Rect)
		w, h := in.Rect.Dx(), in.Rect.Dy()
		for y := range h {
			for x := range w {
				v := 0.0
				for i := range k {
					xx, yy := min(max(x+(i-r)*dx, 0), w-1), min(max(y+(i-r)*dy, 0), h-1)
					v += k[i] * float64(in.Pix[yy*in.Stride+4*xx+1])
				}
				b := byte(v/sum + 0.5)
				copy(out.Pix[y*out.Stride+4*x:], []byte{b, b, b, 255})
			}
		}
		return out
	}
	return pass(pass(src, 1, 0), 0, 1)
}

func dim(src *image.RGBA, f float64) *image.RGBA {
	out := image.NewRGBA(src.Rect)
	for i, p := range src.Pix {
		out.Pix[i] = byte(float64(p) * f)
		if i%4 == 3 {
			out.Pix[i] = 255
		}
	}
	return out
}

func noise(src *image.RGBA, amp int) *image.RGBA {
	rng := rand.New(rand.NewPCG(1, 2))
	out := image.NewRGBA(src.Rect)
	for i := 0; i < len(src.Pix); i += 4 {
		n := rng.IntN(2*amp+1) - amp
		for c := range 3 {
			out.Pix[i+c] = byte(min(max(int(src.Pix[i+c])+n, 0), 255))
		}
		out.Pix[i+3] = 255
	}
	return out
}

func TestVerdicts(t *testing.T) {
	page := textPage(t, 200, 2.5)
	white := image.NewRGBA(page.Rect)
	draw.Draw(white, white.Rect, image.NewUniform(color.RGBA{236, 234, 230, 255}), image.Point{}, draw.Src)
	black := image.NewRGBA(page.Rect)
	draw.Draw(black, black.Rect, image.Black, image.Point{}, draw.Src)
	for _, c := range []struct {
		name string
		img  *image.RGBA
		want Fault
	}{
		{"as scanned", page, None},
		{"a camera's noise", noise(page, 10), None},
		{"a little soft", blur(page, 0.7), None},
		{"in the shade", dim(page, 0.6), None},
		{"out of focus", blur(page, 2.5), Blurred},
		{"far out of focus", blur(page, 5), Blurred},
		{"out of focus with noise", noise(blur(page, 2.5), 6), Blurred},
		{"in the dark", dim(page, 0.25), Dark},
		{"lid open, black", black, Dark},
		{"back side", white, Blank},
		{"back side with noise", noise(white, 10), Blank},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, v, err := Prepare(c.img, Options{DPI: 200})
			if err != nil || v != verdict(c.want) {
				t.Errorf("%+v, %v, want %+v", v, err, c.want)
			}
		})
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		name     string
		w, h     int
		dpi      int
		ww, wh   int
		dpiInJPG int
	}{
		{"300 dpi", 2480, 3508, 300, 1653, 2339, 200},
		{"200 dpi stays", 1654, 2339, 200, 1654, 2339, 200},
		{"150 dpi is not enlarged", 1240, 1754, 150, 1240, 1754, 150},
		{"camera, landscape", 4000, 3000, 0, 2205, 1654, 0},
		{"a card at 300 dpi", 1011, 638, 300, 674, 425, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			img := image.NewGray(image.Rect(5, 7, 5+c.w, 7+c.h))
			b, _, err := Prepare(img, Options{DPI: c.dpi})
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := jpeg.DecodeConfig(bytes.NewReader(b))
			if err != nil || cfg.Width != c.ww || cfg.Height != c.wh {
				t.Errorf("%d×%d, %v, want %d×%d", cfg.Width, cfg.Height, err, c.ww, c.wh)
			}
			dpi := 0
			if bytes.Equal(b[6:10], []byte("JFIF")) {
				dpi = int(b[14])<<8 | int(b[15])
			}
			if dpi != c.dpiInJPG {
				t.Errorf("the file says %d dpi, want %d", dpi, c.dpiInJPG)
			}
		})
	}
}

func TestNeverMoreThanMaxBytes(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	worst := image.NewRGBA(image.Rect(0, 0, 800, 900))
	for i := range worst.Pix {
		worst.Pix[i] = byte(rng.Uint32())
	}
	for name, img := range map[string]image.Image{"pure noise": worst, "text with noise": noise(textPage(t, 200, 2.5), 14)} {
		b, _, err := Prepare(img, Options{DPI: 200})
		if err != nil || len(b) > MaxBytes {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
		if _, err := jpeg.Decode(bytes.NewReader(b)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTransparentIsWhite(t *testing.T) {
	b, v, err := Prepare(image.NewNRGBA(image.Rect(0, 0, 300, 300)), Options{})
	if err != nil || v.Fault != Blank {
		t.Fatalf("%+v, %v", v, err)
	}
	img, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if r, _, _, _ := img.At(100, 100).RGBA(); r>>8 < 250 {
		t.Errorf("transparent became %d", r>>8)
	}
}

func TestNothing(t *testing.T) {
	for _, img := range []image.Image{nil, image.NewGray(image.Rect(0, 0, 0, 9)), image.NewUniform(color.White)} {
		if _, _, err := Prepare(img, Options{}); !errors.Is(err, ErrEmpty) {
			t.Errorf("%T: %v", img, err)
		}
	}
}

func TestOnePixel(t *testing.T) {
	if _, _, err := Prepare(image.NewGray(image.Rect(0, 0, 1, 1)), Options{}); err != nil {
		t.Error(err)
	}
}

func BenchmarkPrepare(b *testing.B) {
	page := textPage(b, 300, 11.69)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Prepare(page, Options{DPI: 300}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestExtremes compares the quick way with the plain one, at sizes smaller than
// the square too.
func TestExtremes(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, c := range []struct{ w, h, r int }{{40, 30, 4}, {7, 9, 8}, {1, 1, 3}, {33, 2, 5}, {20, 20, 0}} {
		g := image.NewGray(image.Rect(0, 0, c.w, c.h))
		for i := range g.Pix {
			g.Pix[i] = byte(rng.Uint32())
		}
		for _, bright := range []bool{true, false} {
			got := extremes(g, c.r, bright)
			for y := range c.h {
				for x := range c.w {
					want := g.GrayAt(x, y).Y
					for yy := max(y-c.r, 0); yy <= min(y+c.r, c.h-1); yy++ {
						for xx := max(x-c.r, 0); xx <= min(x+c.r, c.w-1); xx++ {
							if v := g.GrayAt(xx, yy).Y; bright == (v > want) && v != want {
								want = v
							}
						}
					}
					if v := got.GrayAt(x, y).Y; v != want {
						t.Fatalf("%+v bright %t: %d,%d is %d, want %d", c, bright, x, y, v, want)
					}
				}
			}
		}
	}
}
