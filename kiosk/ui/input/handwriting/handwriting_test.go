//go:build cgo && linux

package handwriting

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

func open(t testing.TB) *Engine {
	t.Helper()
	e, err := Open("")
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// line is a stroke through corner points on a pad of 300, with a point every
// few pixels, as a finger gives them.
func line(corners ...Point) []Point {
	out := []Point{corners[0]}
	for i := 1; i < len(corners); i++ {
		a, b := corners[i-1], corners[i]
		for k := 1; k <= 12; k++ {
			out = append(out, Point{a.X + (b.X-a.X)*k/12, a.Y + (b.Y-a.Y)*k/12})
		}
	}
	return out
}

// written are characters as a person writes them, stroke by stroke.
var written = map[string][][]Point{
	"一": {line(Point{40, 150}, Point{260, 145})},
	"二": {line(Point{80, 90}, Point{220, 88}), line(Point{40, 220}, Point{260, 218})},
	"三": {line(Point{70, 70}, Point{230, 68}), line(Point{80, 150}, Point{220, 148}), line(Point{40, 240}, Point{260, 236})},
	"十": {line(Point{40, 140}, Point{260, 136}), line(Point{150, 30}, Point{150, 270})},
	"人": {line(Point{150, 40}, Point{140, 120}, Point{50, 260}), line(Point{145, 110}, Point{190, 190}, Point{260, 260})},
	"王": {line(Point{70, 60}, Point{230, 58}), line(Point{80, 145}, Point{220, 143}), line(Point{150, 60}, Point{150, 235}), line(Point{40, 240}, Point{260, 238})},
	"口": {line(Point{70, 80}, Point{75, 230}), line(Point{70, 80}, Point{230, 78}, Point{225, 230}), line(Point{75, 225}, Point{225, 225})},
	"土": {line(Point{80, 120}, Point{220, 118}), line(Point{150, 40}, Point{150, 235}), line(Point{40, 240}, Point{260, 238})},
	"中": {line(Point{70, 90}, Point{75, 180}), line(Point{70, 90}, Point{230, 88}, Point{225, 180}), line(Point{75, 178}, Point{225, 176}), line(Point{150, 30}, Point{150, 275})},
	"李": {
		line(Point{60, 70}, Point{240, 68}), line(Point{150, 25}, Point{150, 150}),
		line(Point{145, 72}, Point{100, 115}, Point{50, 140}), line(Point{155, 72}, Point{200, 115}, Point{250, 140}),
		line(Point{90, 165}, Point{200, 162}, Point{150, 195}), line(Point{150, 195}, Point{155, 270}, Point{125, 260}),
		line(Point{50, 215}, Point{250, 212}),
	},
}

func TestRecognize(t *testing.T) {
	e := open(t)
	for want, strokes := range written {
		got := e.Recognize(strokes, 300, 300, 10)
		if i := slices.Index(got, want); i < 0 || i > 4 {
			t.Errorf("%s: got %v", want, got)
		}
	}
}

// A trembling finger and a pad of another size must still do.
func TestRecognizeShaky(t *testing.T) {
	e := open(t)
	rng := rand.New(rand.NewPCG(1, 2))
	bad := 0
	for want, strokes := range written {
		var shaky [][]Point
		for _, s := range strokes {
			var line []Point
			for _, p := range s {
				line = append(line, Point{p.X*5/2 + rng.IntN(17) - 8, p.Y*5/2 + rng.IntN(17) - 8})
			}
			shaky = append(shaky, line)
		}
		if got := e.Recognize(shaky, 750, 750, 10); !slices.Contains(got, want) {
			bad++
			t.Logf("%s: got %v", want, got)
		}
	}
	if bad > 1 {
		t.Errorf("%d of %d characters were lost by trembling", bad, len(written))
	}
}

func TestOddInput(t *testing.T) {
	e := open(t)
	ten := written["十"]
	for name, got := range map[string][]string{
		"no strokes":    e.Recognize(nil, 300, 300, 10),
		"empty stroke":  e.Recognize([][]Point{{}}, 300, 300, 10),
		"no pad":        e.Recognize(ten, 0, 300, 10),
		"huge pad":      e.Recognize(ten, 1<<20, 300, 10),
		"none wanted":   e.Recognize(ten, 300, 300, 0),
		"minus wanted":  e.Recognize(ten, 300, 300, -3),
		"negative size": e.Recognize(ten, -300, 300, 10),
	} {
		if len(got) != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := e.Recognize([][]Point{{{150, 150}}}, 300, 300, 10); len(got) == 0 {
		t.Error("a tap gives nothing")
	}
	if got := e.Recognize([][]Point{{{-50, -50}, {5000, 5000}}}, 300, 300, 10); len(got) == 0 {
		t.Error("a stroke out of the pad gives nothing")
	}
	if got := e.Recognize(ten, 300, 300, 1_000_000); len(got) == 0 || len(got) > MaxResults {
		t.Errorf("%d results", len(got))
	}
	var scribble [][]Point
	for i := range 500 {
		scribble = append(scribble, line(Point{i, 0}, Point{300 - i, 300}, Point{i, 150}))
	}
	if got := e.Recognize(scribble, 300, 300, 10); len(got) == 0 {
		t.Error("a scribble gives nothing")
	}
}

func TestClosed(t *testing.T) {
	e := open(t)
	e.Close()
	e.Close()
	if got := e.Recognize(written["十"], 300, 300, 10); got != nil {
		t.Errorf("after Close: %v", got)
	}
}

func TestBadModel(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.model")
	if err := os.WriteFile(bad, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{filepath.Join(dir, "none"), dir, bad} {
		if _, err := Open(p); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", filepath.Base(p), err)
		}
	}
}

func TestConcurrent(t *testing.T) {
	e := open(t)
	var wg sync.WaitGroup
	for want, strokes := range written {
		wg.Go(func() {
			for range 5 {
				if !slices.Contains(e.Recognize(strokes, 300, 300, 10), want) {
					t.Errorf("%s lost", want)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzTidy(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 0, 255, 9}, 300, 200)
	f.Fuzz(func(t *testing.T, data []byte, w, h int) {
		if w < 2 || h < 2 || w > 1<<15 || h > 1<<15 {
			return
		}
		var strokes [][]Point
		for i, b := range data {
			if b%7 == 0 || len(strokes) == 0 {
				strokes = append(strokes, nil)
			}
			k := len(strokes) - 1
			strokes[k] = append(strokes[k], Point{int(b)*i - 300, int(b) * 37 % 999})
		}
		points := 0
		for _, s := range tidy(strokes, w, h) {
			if len(s) < 2 {
				t.Fatal("stroke of one point")
			}
			points += len(s)
			for _, p := range s {
				if p.X < 0 || p.X >= w || p.Y < 0 || p.Y >= h {
					t.Fatalf("%v is out of %d×%d", p, w, h)
				}
			}
		}
		if points > MaxPoints+1 {
			t.Fatalf("%d points", points)
		}
	})
}

func BenchmarkRecognize(b *testing.B) {
	e := open(b)
	for b.Loop() {
		e.Recognize(written["李"], 300, 300, 10)
	}
}
