package renderworker_test

import (
	"errors"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/paper"
)

// dots is what a print head makes of a picture: black or white.
func dots(m image.Image) *image.Gray {
	b := m.Bounds()
	g := image.NewGray(b)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if color.GrayModel.Convert(m.At(x, y)).(color.Gray).Y >= 128 {
				g.SetGray(x, y, color.Gray{Y: 255})
			}
		}
	}
	return g
}

// TestSlipOnTheRoll draws receipts for the receipt printer as the terminal does:
// their codes are read from the printer's dots, nothing touches the edges.
func TestSlipOnTheRoll(t *testing.T) {
	if _, err := exec.LookPath("zbarimg"); err != nil {
		if os.Getenv("CUNBAN_CI") == "1" {
			t.Fatal(err)
		}
		t.Skip("zbarimg is not installed")
	}
	r := renderer(t, "yes")
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ$%*+-./:"
	for _, length := range []int{690, 1200, 1660} { // ten records, some, ten million (see qr.go)
		code := ("CUNBAN1:" + strings.Repeat(alphabet, 40))[:length]
		pdf, err := paper.Slip(paper.ReceiptData{Case: cases.Case{ID: "0193a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", ServiceName: "城乡居民养老保险参保登记",
			State: cases.Saved, Mode: cases.ModeSelf}, QR: code, PrintedAt: time.Date(2026, 11, 25, 9, 30, 0, 0, time.UTC)})
		if err != nil {
			t.Fatal(err)
		}
		pages, err := r.Raster(t.Context(), pdf, paper.SlipDots)
		if err != nil || len(pages) != 1 {
			t.Fatalf("%d pages, %v", len(pages), err)
		}
		g := dots(pages[0])
		if g.Rect.Dx() != paper.SlipDots {
			t.Errorf("%d dots wide", g.Rect.Dx())
		}
		for y := range g.Rect.Dy() {
			for _, x := range []int{0, 1, 2, 3, g.Rect.Dx() - 4, g.Rect.Dx() - 3, g.Rect.Dx() - 2, g.Rect.Dx() - 1} {
				if g.GrayAt(x, y).Y == 0 {
					t.Fatalf("ink at the edge, dot %d of row %d", x, y)
				}
			}
		}
		if got := readCode(t, g); got != code {
			t.Errorf("%d characters of %d read from the paper", len(got), length)
		}
		// At one dot a module nothing can be read: the reader is real.
		if got := readCode(t, halved(halved(g))); got == code && length > 1000 {
			t.Errorf("%d characters read at a quarter of the dots", length)
		}
	}
	if _, err := r.Raster(t.Context(), receipt(t), paper.SlipDots); !errors.Is(err, paper.ErrTooWide) {
		t.Errorf("A4 on the roll: %v", err)
	}
}

func halved(g *image.Gray) *image.Gray {
	out := image.NewGray(image.Rect(0, 0, g.Rect.Dx()/2, g.Rect.Dy()/2))
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			n := 0
			for _, d := range []image.Point{{}, {1, 0}, {0, 1}, {1, 1}} {
				n += int(g.GrayAt(2*x+d.X, 2*y+d.Y).Y)
			}
			out.SetGray(x, y, color.Gray{Y: byte(n / 4)})
		}
	}
	return dots(out)
}

// readCode finds the QR code in a picture; "" when there is none.
func readCode(t *testing.T, m image.Image) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "slip.png")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(png.Encode(f, m), f.Close()); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("zbarimg", "-q", "--raw", "-Sdisable", "-Sqrcode.enable", name).Output()
	if err != nil {
		t.Logf("zbarimg: %v", err)
	}
	return strings.TrimSpace(string(out))
}
