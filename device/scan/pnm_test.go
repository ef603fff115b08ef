package scan

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
	"runtime"
	"strings"
	"testing"
)

func TestReadPNM(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []color.Color // of the first pixels of the first row
	}{
		{"P4 with padding", "P4\n# c\n3 1\n\xa0", []color.Color{color.Gray{0}, color.Gray{255}, color.Gray{0}}},
		{"P5", "P5 2 1 255\n\x10\xf0", []color.Color{color.Gray{0x10}, color.Gray{0xf0}}},
		{"P5 of 16 bits", "P5 2 1 65535\n\x80\x00\xff\xff", []color.Color{color.Gray{127}, color.Gray{255}}},
		{"P5 with a small maxval", "P5 2 1 3\n\x03\x09", []color.Color{color.Gray{255}, color.Gray{255}}},
		{"P6", "P6\n1 1\n255\n\x01\x02\x03", []color.Color{color.RGBA{1, 2, 3, 255}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			img, f, err := readPNM(strings.NewReader(c.in), maxPixels)
			if err != nil || f != 1 {
				t.Fatalf("factor %d, %v", f, err)
			}
			for x, w := range c.want {
				if got := img.At(x, 0); got != w {
					t.Errorf("pixel %d: %v, want %v", x, got, w)
				}
			}
		})
	}
}

func TestReadPNMRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":        "",
		"text":           "<html>",
		"header only":    "P6\n# SANE data follows\n100 100\n255\n",
		"cut off":        "P5 2 2 255\n\x01\x02\x03",
		"too wide":       "P5 99999 1 255\n",
		"no width":       "P5 0 1 255\n",
		"endless header": "P5" + strings.Repeat(" ", 9000) + "1 1 255\n\x01",
		"ascii kind":     "P2 1 1 255\n1",
	} {
		if img, _, err := readPNM(strings.NewReader(in), maxPixels); !errors.Is(err, ErrPicture) || img != nil {
			t.Errorf("%s: %v, %v, want ErrPicture and no picture", name, img, err)
		}
	}
}

// endless gives a header and then rows without end, and never holds them.
type endless struct{ head io.Reader }

func (e *endless) Read(p []byte) (int, error) {
	if n, err := e.head.Read(p); err == nil {
		return n, nil
	}
	for i := range p {
		p[i] = byte(i * 7)
	}
	return len(p), nil
}

func TestLargePageStaysSmallInMemory(t *testing.T) {
	const w, h = 4961, 7016 // A4 at 600 dpi, 104 MB of samples
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	img, f, err := readPNM(&endless{strings.NewReader(fmt.Sprintf("P6 %d %d 255\n", w, h))}, maxPixels)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if f != 2 || img.Bounds() != image.Rect(0, 0, w/2, h/2) {
		t.Fatalf("factor %d, %v", f, img.Bounds())
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 48<<20 {
		t.Errorf("took %d MB of memory, want at most 48", took>>20)
	}
}

func TestAveraging(t *testing.T) {
	img, f, err := readPNM(strings.NewReader("P5 4 2 255\n\x00\x64\xff\xff\x00\x64\xff\xff"), 2)
	if err != nil || f != 2 {
		t.Fatalf("factor %d, %v", f, err)
	}
	if g := img.(*image.Gray); !bytes.Equal(g.Pix, []byte{50, 255}) {
		t.Errorf("averages %v, want [50 255]", g.Pix)
	}
}

func FuzzReadPNM(f *testing.F) {
	f.Add([]byte("P4\n# c\n3 1\n\xa0"))
	f.Add([]byte("P5 2 1 65535\n\x80\x00\xff\xff"))
	f.Add([]byte("P6\n# SANE data follows\n2 2\n255\n012345678901"))
	f.Fuzz(func(t *testing.T, b []byte) {
		img, factor, err := readPNM(bytes.NewReader(b), 64)
		if (err == nil) == (img == nil) {
			t.Fatalf("picture %v with error %v", img, err)
		}
		if err != nil {
			if !errors.Is(err, ErrPicture) {
				t.Fatalf("error %v is not ErrPicture", err)
			}
			return
		}
		r := img.Bounds()
		if factor < 1 || r.Dx()*r.Dy() > 64 || r.Empty() {
			t.Fatalf("factor %d, %v", factor, r)
		}
		img.At(r.Max.X-1, r.Max.Y-1)
	})
}

func FuzzDecodeImage(f *testing.F) {
	f.Add(pngBytes(8, 8))
	f.Add(jpegBytes(8, 8))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		if c, _, err := image.DecodeConfig(bytes.NewReader(b)); err == nil && c.Width*c.Height > 1<<20 {
			return // the guard itself is tested elsewhere; a fuzzer must not be slow
		}
		img, err := decodeImage(bytes.NewReader(b))
		if (err == nil) == (img == nil) {
			t.Fatalf("picture %v with error %v", img, err)
		}
	})
}
