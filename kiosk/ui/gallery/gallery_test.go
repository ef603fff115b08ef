package gallery

import (
	"errors"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"cunban/kiosk/ui/input/handwriting"
	"cunban/kiosk/ui/input/pinyin"
	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/widget"
)

// ci tells that nothing may be skipped.
func ci() bool { return os.Getenv("CUNBAN_CI") == "1" }

func parts(t *testing.T) Parts {
	t.Helper()
	var p Parts
	e, err := pinyin.Open(filepath.Join(t.TempDir(), "rime"))
	switch {
	case err == nil:
		t.Cleanup(e.Close)
		p.Candidates = e
	case ci() || !errors.Is(err, pinyin.ErrUnavailable):
		t.Fatal(err)
	}
	h, err := handwriting.Open("")
	switch {
	case err == nil:
		t.Cleanup(h.Close)
		p.Recogniser = h
	case ci() || !errors.Is(err, handwriting.ErrUnavailable):
		t.Fatal(err)
	}
	return p
}

// window is a size of the gallery.
type window struct {
	name string
	w, h float32
}

var windows = []window{{"1920x1080", 1920, 1080}, {"1080x1920", 1080, 1920}, {"1600x900", 1600, 900}, {"1280x800", 1280, 800}}

// drawn is the look that is drawn when nobody asked for pictures.
const drawn = "1920x1080-标准-日间"

// TestSheets builds every sheet in every size, palette and orientation, and
// checks what a picture alone does not show: that nothing reaches out of the
// window, that targets do not overlap and are large enough. One look of each
// sheet is drawn, all of them with CUNBAN_PICTURES=folder.
func TestSheets(t *testing.T) {
	dir := os.Getenv("CUNBAN_PICTURES")
	only := os.Getenv("CUNBAN_SHEETS") // comma-separated names, "" for all
	quick := os.Getenv("CUNBAN_LOOKS") // such as "1920x1080-标准-日间"
	p := parts(t)
	for _, win := range windows {
		for _, size := range []theme.Size{theme.Standard, theme.Large} {
			for _, pal := range theme.Palettes {
				style := fmt.Sprintf("%s-%s-%s", win.name, size, pal)
				if quick != "" && !strings.Contains(","+quick+",", ","+style+",") {
					continue
				}
				if pal != theme.Day && win.w != 1920 && win.h != 1920 {
					continue // colours do not depend on the window
				}
				for _, s := range Sheets() {
					if only != "" && !strings.Contains(","+only+",", ","+s.Name+",") {
						continue
					}
					t.Run(style+"/"+s.Name, func(t *testing.T) { sheet(t, p, s, win, size, pal, style, dir) })
				}
			}
		}
	}
}

func sheet(t *testing.T, p Parts, s Sheet, win window, size theme.Size, pal theme.Palette, style, dir string) {
	look := theme.NewLook(pal, size, win.w, win.h, theme.Screen{}, nil)
	theme.Apply(fyne.CurrentApp(), look) // one app for all: each would parse the fonts anew
	w := test.NewTempWindow(t, nil)
	w.SetPadded(false)
	page, after := s.Make(look, p)
	w.SetContent(page)
	w.Resize(fyne.NewSize(win.w, win.h))
	page.Resize(fyne.NewSize(win.w, win.h))
	if after != nil {
		after()
	}
	check(t, look, page)
	// Drawing takes a hundred times as long as all the checks.
	if dir == "" && style != drawn {
		return
	}
	if dir == "" {
		dir = t.TempDir()
	}
	img := w.Canvas().Capture()
	if b := img.Bounds(); b.Dx() != int(win.w) || b.Dy() != int(win.h) {
		t.Errorf("the picture is %v", b)
	}
	f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%s.png", s.Name, style)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(f, img); err != nil {
		t.Fatal(err)
	}
}

func check(t *testing.T, look *theme.Look, page fyne.CanvasObject) {
	t.Helper()
	least := look.MM(22)
	if look.Size == theme.Large {
		least = look.MM(28)
	}
	targets := widget.Targets(page)
	seen := map[string]bool{}
	for i, a := range targets {
		if seen[a.Name] {
			t.Errorf("two targets are named %s", a.Name)
		}
		seen[a.Name] = true
		if a.X < 0 || a.Y < 0 || a.X+a.W > look.W+1 || a.Y+a.H > look.H+1 {
			t.Errorf("target %s reaches out of the window: %+v", a.Name, a)
		}
		if a.H < least-1 {
			t.Errorf("target %s is %.1f mm high", a.Name, a.H/look.PxPerMM)
		}
		for _, b := range targets[i+1:] {
			if a.X < b.X+b.W-0.5 && b.X < a.X+a.W-0.5 && a.Y < b.Y+b.H-0.5 && b.Y < a.Y+a.H-0.5 {
				t.Errorf("targets %s and %s overlap: %+v %+v", a.Name, b.Name, a, b)
			}
		}
	}
	widget.Walk(page, func(o fyne.CanvasObject) bool {
		x, ok := o.(*widget.Text)
		if !ok || x.Text() == "" {
			return true
		}
		at := fyne.CurrentApp().Driver().AbsolutePositionForObject(o)
		if h := x.HeightFor(x.Size().Width); at.Y+h > look.H+2 || h > x.Size().Height+2 {
			t.Errorf("text %q is cut: at %v, %.0f high, has %.0f", x.Text(), at, h, x.Size().Height)
		}
		return false
	})
}
