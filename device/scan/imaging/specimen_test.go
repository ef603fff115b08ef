package imaging_test

import (
	"bytes"
	"fmt"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"
	"testing"

	"cunban/device/scan/imaging"
	"cunban/device/scan/imaging/specimen"
)

// want is what the verdict on a kind of picture must be.
func want(k specimen.Kind) imaging.Fault {
	switch k {
	case specimen.Straight, specimen.Skewed, specimen.Oblique, specimen.Shadowed, specimen.Folded:
		return imaging.None
	case specimen.Blurred, specimen.Moved:
		return imaging.Blurred
	case specimen.Glare:
		return imaging.Glare
	case specimen.CutOff:
		return imaging.CutOff
	case specimen.Dark:
		return imaging.Dark
	}
	panic("no kind " + string(k))
}

// TestSpecimens takes made pictures through everything and holds what is
// promised: no bad page called good, good ones not sent back, lines level, files
// small. CUNBAN_PICTURES=folder keeps the pages.
func TestSpecimens(t *testing.T) {
	const (
		w, h      = 2000, 1500
		mostSkew  = 0.3  // degrees
		wrongGood = 0.02 // of the bad pages
		wrongBad  = 0.05 // of the good pages
	)
	var good, bad, calledGood, calledBad, otherWords int
	each(t, w, h, sets(t, 1), func(s *specimen.Specimen, number uint64) {
		jpg, v, err := imaging.Prepare(s.Image, imaging.Options{Camera: true})
		if err != nil {
			t.Fatalf("%s %d: %v", s.Kind, number, err)
		}
		if len(jpg) > imaging.MaxBytes {
			t.Errorf("%s %d: %d bytes", s.Kind, number, len(jpg))
		}
		if dir := os.Getenv("CUNBAN_PICTURES"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d.jpg", s.Kind, number)), jpg, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		switch {
		case s.Kind.Good():
			good++
			if !v.OK {
				calledBad++
				t.Logf("%s %d on %s is called %s", s.Kind, number, s.Ground, v.Fault)
			}
			if d := skewOf(t, s, jpg); math.Abs(d) > mostSkew {
				t.Errorf("%s %d on %s: lines lean by %.2f°", s.Kind, number, s.Ground, d)
			}
		case v.OK:
			bad++
			calledGood++
			t.Logf("%s %d on %s is called good", s.Kind, number, s.Ground)
		default:
			bad++
			if v.Fault != want(s.Kind) {
				otherWords++
				t.Logf("%s %d on %s is called %s", s.Kind, number, s.Ground, v.Fault)
			}
		}
	})
	t.Logf("called good: %d of %d bad pages; sent back: %d of %d good pages; other words: %d", calledGood, bad, calledBad, good, otherWords)
	if float64(calledGood) > wrongGood*float64(bad) || float64(calledBad) > wrongBad*float64(good) || otherWords*10 > bad {
		t.Fail()
	}
}

// skewOf is by how much the writing leans on the page that was made, by the
// truth about where the sheet lay: a line of the page is followed through the
// camera and through the corners that were found.
func skewOf(t *testing.T, s *specimen.Specimen, jpg []byte) float64 {
	t.Helper()
	cfg, err := jpeg.DecodeConfig(bytes.NewReader(jpg))
	if err != nil {
		t.Fatal(err)
	}
	found, ok := imaging.Find(s.Image)
	if !ok {
		return math.Inf(1)
	}
	forth := s.Quad.Projection(1000, 1000)
	if s.Page.Rect.Dx() < s.Page.Rect.Dy() && cfg.Width > cfg.Height {
		t.Errorf("%s on %s: the page lies on its side", s.Kind, s.Ground)
	}
	there := found.Quad.Projection(float64(max(cfg.Width, cfg.Height)), float64(min(cfg.Width, cfg.Height)))
	back := there.Inverse()
	worst := 0.0
	for _, y := range []float64{150, 500, 850} {
		a, b := back.At(forth.At(imaging.Point{X: 100, Y: y})), back.At(forth.At(imaging.Point{X: 900, Y: y}))
		if d := math.Atan2(b.Y-a.Y, b.X-a.X) * 180 / math.Pi; math.Abs(d) > math.Abs(worst) {
			worst = d
		}
	}
	return worst
}

// TestNoSheet: an empty table is not a page, whatever it is made of.
func TestNoSheet(t *testing.T) {
	m, err := specimen.New(1200, 900)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(4) {
		img, name := m.Table(i)
		if _, v, err := imaging.Prepare(img, imaging.Options{Camera: true}); err != nil || v.Fault != imaging.NoSheet {
			t.Errorf("%s %d: %+v, %v", name, i, v, err)
		}
	}
}

// BenchmarkCamera is a frame of 12 megapixels, as a document camera gives it.
func BenchmarkCamera(b *testing.B) {
	m, err := specimen.New(4000, 3000)
	if err != nil {
		b.Fatal(err)
	}
	s := m.Make(specimen.Shadowed, 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, v, err := imaging.Prepare(s.Image, imaging.Options{Camera: true}); err != nil || !v.OK {
			b.Fatal(v, err)
		}
	}
}
