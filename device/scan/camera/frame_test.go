package camera

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"testing"
)

// gradient is a picture in which every place is different.
func gradient(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetRGBA(x, y, color.RGBA{uint8(x * 255 / w), uint8(y * 255 / h), uint8((x + y) * 127 / (w + h)), 255})
		}
	}
	return img
}

// frame is a picture as a camera sends it: with its Huffman tables or without.
func frame(t testing.TB, img image.Image, tables bool) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 85}); err != nil {
		t.Fatal(err)
	}
	if tables {
		return b.Bytes()
	}
	out := append([]byte(nil), b.Bytes()[:2]...)
	rest := b.Bytes()[2:]
	for len(rest) > 4 && rest[0] == 0xff && rest[1] != sos {
		n := 2 + int(rest[2])<<8 + int(rest[3])
		if rest[1] != dht {
			out = append(out, rest[:n]...)
		}
		rest = rest[n:]
	}
	return append(out, rest...)
}

func TestJPEGWithoutTables(t *testing.T) {
	img := gradient(320, 240)
	whole, bare := frame(t, img, true), frame(t, img, false)
	if len(bare) >= len(whole) {
		t.Fatal("nothing was left out")
	}
	if _, err := jpeg.Decode(bytes.NewReader(bare)); err == nil {
		t.Fatal("the bare frame can be read as it is: it shows nothing")
	}
	want, err := decode(mode{format: mjpeg}, whole)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"bare": bare, "padded": append(bytes.Clone(bare), make([]byte, 64)...)} {
		got, err := decode(mode{format: mjpeg}, b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(got.(*image.YCbCr).Y, want.(*image.YCbCr).Y) {
			t.Errorf("%s: another picture", name)
		}
	}
}

func TestYUYV(t *testing.T) {
	m := mode{format: yuyv, w: 4, h: 2, stride: 12} // rows are longer than the picture
	b := []byte{
		10, 100, 20, 200, 30, 101, 40, 201, 9, 9, 9, 9,
		50, 102, 60, 202, 70, 103, 80, 203, 9, 9, 9, 9,
	}
	img, err := decode(m, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		x, y int
		want color.YCbCr
	}{{0, 0, color.YCbCr{10, 100, 200}}, {1, 0, color.YCbCr{20, 100, 200}}, {3, 0, color.YCbCr{40, 101, 201}}, {2, 1, color.YCbCr{70, 103, 203}}} {
		if got := img.(*image.YCbCr).YCbCrAt(c.x, c.y); got != c.want {
			t.Errorf("%d,%d: %v, want %v", c.x, c.y, got, c.want)
		}
	}
}

func TestDamagedFrames(t *testing.T) {
	good := frame(t, gradient(64, 48), true)
	for name, c := range map[string]struct {
		m mode
		b []byte
	}{
		"nothing":      {mode{format: mjpeg}, nil},
		"half":         {mode{format: mjpeg}, good[:len(good)/2]},
		"no start":     {mode{format: mjpeg}, good[2:]},
		"YUYV short":   {mode{format: yuyv, w: 4, h: 2}, make([]byte, 15)},
		"YUYV no size": {mode{format: yuyv}, make([]byte, 15)},
		"YUYV odd":     {mode{format: yuyv, w: 3, h: 1}, make([]byte, 15)},
	} {
		if img, err := decode(c.m, c.b); !errors.Is(err, ErrPicture) || img != nil {
			t.Errorf("%s: %v, %v", name, img, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(frame(f, gradient(32, 24), true), uint16(0), uint16(0), uint16(0))
	f.Add(frame(f, gradient(32, 24), false), uint16(0), uint16(0), uint16(0))
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8}, uint16(2), uint16(2), uint16(4))
	f.Fuzz(func(t *testing.T, b []byte, w, h, stride uint16) {
		m := mode{format: mjpeg}
		if w > 0 {
			m = mode{yuyv, int(w), int(h), int(stride)}
		}
		img, err := decode(m, b)
		if (err == nil) != (img != nil) || err != nil && !errors.Is(err, ErrPicture) {
			t.Fatalf("%v, %v", img, err)
		}
		if img != nil && (img.Bounds().Empty() || img.Bounds().Dx()*img.Bounds().Dy() > mostPixels) {
			t.Fatalf("a picture of %v", img.Bounds())
		}
	})
}

// BenchmarkPreview is one picture of a preview: 1280×960 of Motion-JPEG.
func BenchmarkPreview(b *testing.B) {
	data := frame(b, gradient(1280, 960), false)
	for b.Loop() {
		if _, err := decode(mode{format: mjpeg}, data); err != nil {
			b.Fatal(err)
		}
	}
}
