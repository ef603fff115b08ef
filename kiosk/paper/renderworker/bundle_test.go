package renderworker_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"cunban/kiosk/paper"
)

// jpegOf is a page of one colour; dpi 0 leaves the resolution out.
func jpegOf(t *testing.T, w, h, dpi int, c color.Color) []byte {
	t.Helper()
	var img interface {
		image.Image
		Set(x, y int, c color.Color)
	} = image.NewRGBA(image.Rect(0, 0, w, h))
	if _, grey := c.(color.Gray); grey {
		img = image.NewGray(image.Rect(0, 0, w, h))
	}
	for y := range h {
		for x := range w {
			img.Set(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	out := b.Bytes()
	if dpi == 0 {
		return out
	}
	head := []byte{0xff, 0xd8, 0xff, 0xe0, 0, 16, 'J', 'F', 'I', 'F', 0, 1, 2, 1}
	head = binary.BigEndian.AppendUint16(head, uint16(dpi))
	head = binary.BigEndian.AppendUint16(head, uint16(dpi))
	return append(append(head, 0, 0), out[2:]...)
}

// TestBundle: the pages come in their order, at their true size, and MuPDF shows
// them in their colours.
func TestBundle(t *testing.T) {
	pages := [][]byte{
		jpegOf(t, 1654, 2339, 200, color.Gray{Y: 40}),
		jpegOf(t, 674, 425, 200, color.RGBA{R: 200, G: 30, B: 30, A: 255}),
		jpegOf(t, 400, 300, 0, color.RGBA{R: 20, G: 60, B: 200, A: 255}),
	}
	pdf, err := paper.Bundle(pages)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range pages {
		if !bytes.Contains(pdf, p) {
			t.Errorf("page %d was changed", i+1)
		}
	}
	r := renderer(t, "worker")
	const dpi = 36
	for i, want := range []struct {
		w, h    int
		r, g, b uint8
	}{{298, 421, 40, 40, 40}, {121, 77, 200, 30, 30}, {397, 298, 20, 60, 200}} {
		pic, err := r.Render(t.Context(), pdf, i, dpi)
		if err != nil {
			t.Fatal(err)
		}
		img, err := pic.Image()
		if err != nil {
			t.Fatal(err)
		}
		b := img.Bounds()
		near := func(a, b int) bool { return a-b < 3 && b-a < 3 }
		if !near(b.Dx(), want.w) || !near(b.Dy(), want.h) {
			t.Errorf("page %d is %v, want %d×%d", i+1, b, want.w, want.h)
		}
		cr, cg, cb, _ := img.At(b.Dx()/2, b.Dy()/2).RGBA()
		if !near(int(cr>>8), int(want.r)) || !near(int(cg>>8), int(want.g)) || !near(int(cb>>8), int(want.b)) {
			t.Errorf("page %d is %d %d %d, want %+v", i+1, cr>>8, cg>>8, cb>>8, want)
		}
		if pic.Pages != len(pages) {
			t.Errorf("%d pages", pic.Pages)
		}
	}
	tableHolds(t, pdf)
	info := exec.Command("pdfinfo", "-")
	info.Stdin = bytes.NewReader(pdf)
	if out, err := info.CombinedOutput(); err == nil && (!bytes.Contains(out, []byte("Pages:           3")) || bytes.Contains(out, []byte("Error"))) {
		t.Errorf("poppler says\n%s", out)
	}
}

// tableHolds checks that every entry of the table of objects (ISO 32000-1,
// 7.5.4) points at its object: readers that repair files hide it when not.
func tableHolds(t *testing.T, pdf []byte) {
	t.Helper()
	start := regexp.MustCompile(`startxref\n(\d+)\n%%EOF\n$`).FindSubmatch(pdf)
	if start == nil {
		t.Fatal("no end")
	}
	at, _ := strconv.Atoi(string(start[1]))
	rows := strings.Split(string(pdf[at:]), "\n")
	n := 0
	for i, row := range rows[3:] {
		if len(row) != 19 {
			break
		}
		off, err := strconv.Atoi(row[:10])
		if want := strconv.Itoa(i+1) + " 0 obj\n"; err != nil || !bytes.HasPrefix(pdf[off:], []byte(want)) {
			t.Errorf("entry %d: %q points at %q", i+1, row, pdf[off:off+10])
		}
		n++
	}
	if n != 2+3*3 {
		t.Errorf("%d objects", n)
	}
}

// TestBundleRefuses what is no page.
func TestBundleRefuses(t *testing.T) {
	page := jpegOf(t, 20, 30, 200, color.White)
	for name, pages := range map[string][][]byte{"nothing": nil, "text": {page, []byte("no picture")}, "half a header": {page[:20]}} {
		if pdf, err := paper.Bundle(pages); !errors.Is(err, paper.ErrBundle) || pdf != nil {
			t.Errorf("%s: %d bytes, %v", name, len(pdf), err)
		}
	}
}
