package specimen

import (
	"bytes"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"
)

// TestSame: a number is a picture; CUNBAN_PICTURES=folder keeps one of each kind.
func TestSame(t *testing.T) {
	m, err := New(800, 600)
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range Kinds {
		a := m.Make(k, uint64(i))
		if b := m.Make(k, uint64(i)); !bytes.Equal(a.Image.Pix, b.Image.Pix) || a.Quad != b.Quad || a.Text != b.Text {
			t.Errorf("%s: the same number gives another picture", k)
		}
		if c := m.Make(k, uint64(i)+100); bytes.Equal(a.Image.Pix, c.Image.Pix) {
			t.Errorf("%s: another number gives the same picture", k)
		}
		out := false
		for _, p := range a.Quad {
			out = out || p.X < 0 || p.Y < 0 || p.X > 800 || p.Y > 600
		}
		if out != (k == CutOff) {
			t.Errorf("%s: corners at %v", k, a.Quad)
		}
		dir := os.Getenv("CUNBAN_PICTURES")
		if dir == "" {
			continue
		}
		f, err := os.Create(filepath.Join(dir, string(k)+".jpg"))
		if err != nil {
			t.Fatal(err)
		}
		if err := jpeg.Encode(f, a.Image, &jpeg.Options{Quality: 92}); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
