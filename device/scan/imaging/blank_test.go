package imaging_test

import (
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"cunban/device/scan/imaging"
	"cunban/device/scan/imaging/specimen"
)

// backs judges n scanned back sides of every kind: how many that somebody wrote
// on would be dropped, and how many that nobody wrote on are kept.
func backs(t *testing.T, n int, isBlank func(b specimen.Back, v imaging.Verdict) bool) (lost, written, kept, bare int) {
	t.Helper()
	m, err := specimen.New(1600, 1200)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range specimen.Backs {
		for i := range uint64(n) {
			img := m.Back(k, i)
			if dir := os.Getenv("CUNBAN_PICTURES"); dir != "" {
				f, err := os.Create(filepath.Join(dir, fmt.Sprintf("back-%s-%d.png", k, i)))
				if err != nil {
					t.Fatal(err)
				}
				if err := png.Encode(f, img); err != nil {
					t.Fatal(err)
				}
				_ = f.Close()
			}
			_, v, err := imaging.Prepare(img, imaging.Options{DPI: imaging.TargetDPI})
			if err != nil {
				t.Fatal(err)
			}
			switch drop := isBlank(k, v); {
			case k.Blank():
				bare++
				if !drop {
					kept++
					t.Logf("%s %d is called %q", k, i, v.Fault)
				}
			default:
				written++
				if drop {
					lost++
					t.Logf("%s %d would be dropped", k, i)
				}
			}
		}
	}
	return lost, written, kept, bare
}

// TestBacks: no side that anybody wrote on is dropped, and hardly a blank one
// is kept.
func TestBacks(t *testing.T) {
	const keptMost = 0.05
	lost, written, kept, bare := backs(t, sets(t, 2), func(_ specimen.Back, v imaging.Verdict) bool { return v.Fault == imaging.Blank })
	t.Logf("written sides dropped: %d of %d; blank sides kept: %d of %d", lost, written, kept, bare)
	if lost > 0 || float64(kept) > keptMost*float64(bare) {
		t.Fail()
	}
}

// TestBacksControl: a judge that only counts dark pixels, with the limit that
// was here once, must be caught by what TestBacks holds.
func TestBacksControl(t *testing.T) {
	const paper, distance, share = 244, 48, 4e-4
	m, err := specimen.New(1600, 1200)
	if err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for _, k := range specimen.Backs {
		for i := range uint64(2) {
			img, dark := m.Back(k, i), 0
			for p := 0; p < len(img.Pix); p += 4 {
				if (299*int(img.Pix[p])+587*int(img.Pix[p+1])+114*int(img.Pix[p+2]))/1000 < paper-distance {
					dark++
				}
			}
			if (float64(dark) < share*float64(len(img.Pix)/4)) != k.Blank() {
				wrong++
			}
		}
	}
	if wrong == 0 {
		t.Error("counting dark pixels is right everywhere: the backs are too easy")
	}
}
