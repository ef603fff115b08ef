package imaging_test

import (
	"math"
	"os"
	"strconv"
	"testing"

	"cunban/device/scan/imaging"
	"cunban/device/scan/imaging/specimen"
)

// sets is how many specimens of every kind are made; CUNBAN_SPECIMENS asks for
// more than a quick look.
func sets(t *testing.T, quick int) int {
	t.Helper()
	s := os.Getenv("CUNBAN_SPECIMENS")
	if s == "" {
		return quick
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("CUNBAN_SPECIMENS=%q is not a number", s)
	}
	return n
}

// each makes n specimens of every kind and hands them out.
func each(t *testing.T, w, h, n int, do func(s *specimen.Specimen, number uint64)) {
	t.Helper()
	m, err := specimen.New(w, h)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		for _, k := range specimen.Kinds {
			do(m.Make(k, uint64(i)), uint64(i))
		}
	}
}

func TestFind(t *testing.T) {
	const w, h, most = 1600, 1200, 0.01
	diagonal := math.Hypot(w, h)
	all, good, cutWrong := 0, 0, 0
	each(t, w, h, sets(t, 1), func(s *specimen.Specimen, number uint64) {
		got, ok := imaging.Find(s.Image)
		if ok && got.Cut != (s.Kind == specimen.CutOff) || !ok && s.Kind == specimen.CutOff {
			cutWrong++
			t.Logf("%s %d on %s: cut off %v, found %v", s.Kind, number, s.Ground, got.Cut, ok)
		}
		if s.Kind == specimen.CutOff {
			return // where its corners are cannot be seen
		}
		all++
		worst := 0.0
		for i := range got.Quad {
			worst = max(worst, math.Hypot(got.Quad[i].X-s.Quad[i].X, got.Quad[i].Y-s.Quad[i].Y)/diagonal)
		}
		if ok && worst <= most {
			good++
			return
		}
		t.Logf("%s %d on %s: found %v, off by %.2f %%, seen %.2f", s.Kind, number, s.Ground, ok, worst*100, got.Seen)
	})
	t.Logf("corners within %.0f %% of the diagonal: %d of %d; cut-off wrong: %d", most*100, good, all, cutWrong)
	if float64(good) < 0.95*float64(all) || float64(cutWrong) > 0.02*float64(all) {
		t.Fail()
	}
}
