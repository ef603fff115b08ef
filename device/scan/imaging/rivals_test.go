package imaging_test

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"cunban/device/scan/imaging"
	"cunban/device/scan/imaging/specimen"
)

// mostWorse is by how much reading may suffer, in characters of a hundred.
const mostWorse = 3.0

// TestReading has made pages read by a machine (tesseract, chi_sim): what comes
// out of a photograph must be read nearly as well as the clean original, and
// what comes out of a scan no worse than out of ImageMagick -deskew and unpaper.
// CUNBAN_READING=n sets how many pages; without it there is nothing to do, for a
// page takes ten seconds. It prints the figures for dev bench and dev promises.
func TestReading(t *testing.T) {
	s := os.Getenv("CUNBAN_READING")
	if s == "" {
		t.Skip("CUNBAN_READING is not set")
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("CUNBAN_READING=%q is not a number", s)
	}
	m, err := specimen.New(4000, 3000)
	if err != nil {
		t.Fatal(err)
	}
	kinds := []specimen.Kind{specimen.Straight, specimen.Skewed, specimen.Oblique, specimen.Shadowed, specimen.Folded}
	var clean, camera, blind tally
	var ours, magick, unpaper tally
	for i := range n {
		sp := m.Make(kinds[i%len(kinds)], uint64(1000+i))
		clean.add(read(t, encoded(t, sp.Page), sp.Text), 0)
		began := time.Now()
		jpg, v, err := imaging.Prepare(sp.Image, imaging.Options{Camera: true})
		if err != nil || !v.OK {
			t.Fatalf("%s %d: %+v, %v", sp.Kind, i, v, err)
		}
		took := time.Since(began)
		camera.add(read(t, jpg, sp.Text), took)
		// The control: the photograph as it is.
		whole, err := jpegOf(sp.Image)
		if err != nil {
			t.Fatal(err)
		}
		blind.add(read(t, whole, sp.Text), 0)

		scan := crooked(sp.Page, []float64{-3.2, 1.4, 2.6, -1.8, 4.1}[i%5])
		began = time.Now()
		if jpg, _, err = imaging.Prepare(scan, imaging.Options{DPI: imaging.TargetDPI}); err != nil {
			t.Fatal(err)
		}
		took = time.Since(began)
		ours.add(read(t, jpg, sp.Text), took)
		for _, r := range []struct {
			to      *tally
			in, out string
			argv    []string
		}{
			{&magick, "in.png", "out.jpg", []string{"convert", "in.png", "-deskew", "40%", "+repage", "-quality", "80", "out.jpg"}},
			{&unpaper, "in.pgm", "out.pgm", []string{"unpaper", "--overwrite", "in.pgm", "out.pgm"}},
		} {
			dir := t.TempDir()
			write(t, filepath.Join(dir, r.in), scan)
			began := time.Now()
			cmd := exec.Command(r.argv[0], r.argv[1:]...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", r.argv[0], err, out)
			}
			took := time.Since(began)
			b, err := os.ReadFile(filepath.Join(dir, r.out))
			if err != nil {
				t.Fatal(err)
			}
			r.to.add(read(t, b, sp.Text), took)
		}
	}
	for _, x := range []struct {
		name string
		t    tally
	}{{"clean", clean}, {"camera", camera}, {"untouched", blind}, {"scan", ours}, {"imagemagick", magick}, {"unpaper", unpaper}} {
		fmt.Printf("reading %s: %.2f %% wrong, %.0f ms\n", x.name, x.t.mean(), x.t.ms())
	}
	if d := camera.mean() - clean.mean(); d > mostWorse {
		t.Errorf("photographs are read worse by %.1f of a hundred characters", d)
	}
	if d := ours.mean() - min(magick.mean(), unpaper.mean()); d > mostWorse {
		t.Errorf("scans are read worse than the rivals' by %.1f of a hundred characters", d)
	}
	if d := blind.mean() - clean.mean(); d <= mostWorse {
		t.Errorf("photographs as they are are read as well (%.1f worse): this shows nothing", d)
	}
}

// tally adds up what was read wrongly, in a hundred characters, and how long it
// took to make.
type tally struct {
	n     int
	wrong float64
	took  time.Duration
}

func (t *tally) add(wrong float64, took time.Duration) {
	t.n, t.wrong, t.took = t.n+1, t.wrong+wrong, t.took+took
}

func (t *tally) mean() float64 { return t.wrong / float64(t.n) }

func (t *tally) ms() float64 { return float64(t.took.Milliseconds()) / float64(t.n) }

// read tells how many of a hundred characters a machine reads wrongly.
func read(t *testing.T, picture []byte, want string) float64 {
	t.Helper()
	cmd := exec.Command("tesseract", "stdin", "stdout", "-l", "chi_sim", "--psm", "6", "--dpi", "200")
	cmd.Stdin = bytes.NewReader(picture)
	cmd.Env = append(os.Environ(), "OMP_THREAD_LIMIT=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tesseract: %v", err)
	}
	letters := func(s string) []rune {
		return []rune(strings.Map(func(r rune) rune {
			if unicode.Is(unicode.Han, r) {
				return r
			}
			return -1
		}, s))
	}
	a, b := letters(want), letters(string(out))
	return 100 * float64(distance(a, b)) / float64(len(a))
}

// distance is Levenshtein's.
func distance(a, b []rune) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range a {
		before := row[0]
		row[0] = i + 1
		for j, y := range b {
			cost := 1
			if x == y {
				cost = 0
			}
			before, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, before+cost)
		}
	}
	return row[len(b)]
}

// crooked is a page as a scanner gives it when it was laid in askew: turned by
// deg degrees on white, a little grey.
func crooked(page *image.Gray, deg float64) *image.Gray {
	w, h := page.Rect.Dx(), page.Rect.Dy()
	out := image.NewGray(page.Rect)
	sin, cos := math.Sincos(deg * math.Pi / 180)
	for y := range h {
		for x := range w {
			dx, dy := float64(x)-float64(w)/2, float64(y)-float64(h)/2
			sx, sy := dx*cos+dy*sin+float64(w)/2, -dx*sin+dy*cos+float64(h)/2
			v := 245.0
			if ix, iy := int(math.Floor(sx)), int(math.Floor(sy)); ix >= 0 && iy >= 0 && ix+1 < w && iy+1 < h {
				u, q := sx-float64(ix), sy-float64(iy)
				p := page.Pix[iy*page.Stride+ix:]
				top, low := float64(p[0])*(1-u)+float64(p[1])*u, float64(p[page.Stride])*(1-u)+float64(p[page.Stride+1])*u
				v = 20 + 225.0/255*(top*(1-q)+low*q)
			}
			out.Pix[y*out.Stride+x] = byte(v)
		}
	}
	return out
}

func encoded(t *testing.T, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegOf(img image.Image) ([]byte, error) {
	var b bytes.Buffer
	err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 85})
	return b.Bytes(), err
}

// write writes a picture as PNG or, for unpaper, as PGM.
func write(t *testing.T, name string, img *image.Gray) {
	t.Helper()
	b := encoded(t, img)
	if strings.HasSuffix(name, ".pgm") {
		b = append(fmt.Appendf(nil, "P5 %d %d 255\n", img.Rect.Dx(), img.Rect.Dy()), img.Pix...)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFindControl: a program that takes the whole picture for the sheet, and
// every page for good, must be caught by what TestFind and TestSpecimens hold.
func TestFindControl(t *testing.T) {
	const w, h = 1200, 900
	diagonal := math.Hypot(w, h)
	near, bad := 0, 0
	each(t, w, h, 1, func(s *specimen.Specimen, _ uint64) {
		whole, worst := imaging.Rect(0, 0, w, h), 0.0
		for i := range whole {
			worst = max(worst, math.Hypot(whole[i].X-s.Quad[i].X, whole[i].Y-s.Quad[i].Y)/diagonal)
		}
		if worst <= 0.01 {
			near++
		}
		if !s.Kind.Good() {
			bad++
		}
	})
	if near > 0 || bad == 0 {
		t.Errorf("%d sheets fill the picture, %d pages are bad: the checks could be passed blindly", near, bad)
	}
}
