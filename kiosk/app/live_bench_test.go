package app

import (
	"bytes"
	"image/jpeg"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"cunban/device/scan/imaging/specimen"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/widget"
)

// Of a live picture: what is promised, and what cameras give.
const (
	promisedRate = 15 // pictures a second, 1280 wide
	cameraRate   = 30
)

// BenchmarkLive is one picture of a camera, 1280×960 of Motion-JPEG, on its way
// to a page of 1920×1080: what is done beside the UI goroutine (decode, look
// for the paper every hintEvery, scale), and on it (swap, and paint in software
// as a terminal without a graphics card does). "%core" is what promisedRate
// costs of one core.
func BenchmarkLive(b *testing.B) {
	data := liveFrame(b)
	test.NewTempApp(b)
	look := theme.NewLook(theme.Day, theme.Standard, 1920, 1080, theme.Screen{}, theme.NewFinger(time.Now))
	pic := widget.NewPicture(look, "")
	win := test.NewTempWindow(b, pic)
	win.SetPadded(false)
	win.Resize(fyne.NewSize(1100, 490)) // the room that the page of a material has
	var at time.Time
	eye := newLook(func() time.Time { at = at.Add(time.Second / cameraRate); return at }, func(g ui.Glimpse) {
		if !pic.Stage(g.Image) {
			b.Fatal("left out")
		}
	})
	cost := func(b *testing.B) {
		per := b.Elapsed() / time.Duration(b.N)
		b.ReportMetric(100*promisedRate*per.Seconds(), "%core")
		b.ReportMetric(1/per.Seconds(), "pictures/s")
	}
	frame := func(b *testing.B) {
		img, err := jpeg.Decode(bytes.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
		eye.see(img)
	}
	b.Run("beside", func(b *testing.B) {
		for b.Loop() {
			frame(b)
			b.StopTimer()
			pic.Swap(nil)
			b.StartTimer()
		}
		cost(b)
	})
	b.Run("on the UI goroutine", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			frame(b)
			b.StartTimer()
			pic.Swap(eye.corners)
			win.Canvas().Capture()
		}
		cost(b)
	})
}

// liveFrame is a photographed page as a camera sends it.
func liveFrame(b *testing.B) []byte {
	m, err := specimen.New(1280, 960)
	if err != nil {
		b.Fatal(err)
	}
	page := m.Make(specimen.Straight, 1).Image
	var out bytes.Buffer
	if err := jpeg.Encode(&out, page, &jpeg.Options{Quality: 85}); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}
