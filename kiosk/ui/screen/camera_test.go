package screen

import (
	"image"
	"image/color"
	"image/draw"
	"slices"
	"strings"
	"testing"

	"fyne.io/fyne/v2"

	"cunban/device"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/widget"
)

// What a camera above a wooden table sees: nothing, or a sheet.
func table(sheet image.Rectangle) *image.YCbCr {
	img := image.NewRGBA(image.Rect(0, 0, 1280, 960))
	draw.Draw(img, img.Rect, image.NewUniform(color.RGBA{0x6e, 0x4f, 0x32, 0xff}), image.Point{}, draw.Src)
	draw.Draw(img, sheet, image.NewUniform(color.RGBA{0xf4, 0xf2, 0xea, 0xff}), image.Point{}, draw.Src)
	for y := sheet.Min.Y + 50; y < sheet.Max.Y-40; y += 34 {
		line := image.Rect(sheet.Min.X+60, y, sheet.Max.X-60-(y*11)%180, y+7)
		draw.Draw(img, line, image.NewUniform(color.RGBA{0x45, 0x45, 0x48, 0xff}), image.Point{}, draw.Src)
	}
	out := image.NewYCbCr(img.Rect, image.YCbCrSubsampleRatio422)
	for y := range 960 {
		for x := range 1280 {
			c := img.RGBAAt(x, y)
			out.Y[out.YOffset(x, y)], out.Cb[out.COffset(x, y)], out.Cr[out.COffset(x, y)] = color.RGBToYCbCr(c.R, c.G, c.B)
		}
	}
	return out
}

var (
	lies = ui.Glimpse{Image: table(image.Rect(330, 60, 950, 900)), Words: "可以拍了", Good: true,
		Corners: &[4]fyne.Position{{X: 330. / 1280, Y: 60. / 960}, {X: 950. / 1280, Y: 60. / 960}, {X: 950. / 1280, Y: 900. / 960}, {X: 330. / 1280, Y: 900. / 960}}}
	empty = ui.Glimpse{Image: table(image.Rectangle{}), Words: "没有看到纸，把纸放到镜头下面"}
)

// camera is a camera that works.
var camera = ui.Source{Kind: device.KindDocCamera, Name: "高拍仪", Live: true,
	Health: device.Health{Kind: device.KindDocCamera, Name: "Test (/dev/video0)", State: device.StateReady}}

// live is the live picture that is up, nil for none.
func (st *stage) live() (p *widget.Picture) {
	widget.Walk(st.s.Root(), func(o fyne.CanvasObject) bool {
		if x, ok := o.(*widget.Picture); ok && x.Live() {
			p = x
		}
		return true
	})
	return p
}

// see waits until the page says so, under a live picture.
func (st *stage) see(words string) {
	st.t.Helper()
	var s ui.ScreenState
	if !st.loop.Until(waitLimit, func() bool {
		s = st.s.Look()
		return st.live() != nil && slices.Contains(s.Texts, words)
	}) {
		st.t.Fatalf("waiting for a picture and %q: %v", words, s.Texts)
	}
}

// atCamera brings a visit to a material's page in front of a camera.
func (st *stage) atCamera(sources ...ui.Source) {
	st.t.Helper()
	st.on(func() { st.b.SourcesV = sources })
	st.b.See(empty, nil)
	st.insert()
	st.open("S01")
	st.toMaterial()
	st.on(func() {
		for k := range st.s.Visit().Draft.Shots {
			delete(st.s.Visit().Draft.Shots, k)
		}
	})
}

// tourCamera shows the page of a material in front of a camera.
func (st *stage) tourCamera() {
	st.atCamera(camera)
	st.see(empty.Words)
	st.shoot("camera-no-paper")
	st.b.See(lies, nil)
	st.see(lies.Words)
	st.shoot("camera-ready")
	st.b.TakeV = &ui.Shot{JPEG: []byte{1}, Words: "有点模糊，请再拍一次", Source: "test"}
	st.tap("take.doc_camera")
	st.settled()
	st.shoot("camera-blurred")
	st.tap("retake")
	st.see(lies.Words)
	st.shoot("camera-again")
	st.b.TakeV = nil
	st.tap("take.doc_camera")
	st.settled()
	st.shoot("camera-taken")
	if s := st.settled(); has(s, "take.doc_camera") {
		st.tap("take.doc_camera")
		st.see(lies.Words)
		st.shoot("camera-more")
		st.tap("taken")
		st.settled()
	}
	st.tap("drop")
	st.see(lies.Words)
	st.b.TakeV = &ui.Shot{JPEG: []byte{1}, OK: true, Card: true, Source: "test"}
	st.tap("take.doc_camera")
	st.settled()
	st.shoot("camera-card")
	st.tap("take.doc_camera")
	st.see(lies.Words)
	st.shoot("camera-card-turn")
	st.tap("take.doc_camera")
	st.settled()
	st.shoot("camera-card-both")
	st.b.TakeV = nil
	st.tap("drop")
	st.see(lies.Words)
	st.b.See(ui.Glimpse{}, &ui.Trouble{Code: "DC-05", Text: "高拍仪没有画面", Remedy: "拔下高拍仪的线，等十秒再插上。已经拍好的页都在"})
	if !st.loop.Until(waitLimit, func() bool {
		return slices.Contains(st.s.Look().Texts, "高拍仪没有画面")
	}) {
		st.t.Fatal("the fault is not told")
	}
	st.shoot("camera-trouble")
	st.b.See(lies, nil)
	st.on(func() {
		st.b.SourcesV = []ui.Source{camera, {Kind: device.KindScanner, Name: "扫描仪", Health: device.Health{Kind: device.KindScanner, State: device.StateReady}}}
	})
	st.tap("back")
	st.settled()
	st.tap("next")
	st.see(lies.Words)
	st.shoot("camera-and-scanner")
}

// TestLivePictureEnds: the camera is let go when its page is left, and the
// pixels of what it saw are gone.
func TestLivePictureEnds(t *testing.T) {
	for name, leave := range map[string]func(st *stage){
		"another page":    func(st *stage) { st.tap("back") },
		"end of session":  func(st *stage) { st.on(func() { st.b.EndSession("idle") }) },
		"a page is taken": func(st *stage) { st.tap("take.doc_camera") },
		"built anew":      func(st *stage) { st.on(func() { st.win.Resize(fyne.NewSize(1280, 1024)) }) },
	} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t, landStd)
			st.atCamera(camera)
			st.b.See(lies, nil)
			st.see(lies.Words)
			var p *widget.Picture
			st.on(func() { p = st.live() })
			leave(st)
			if !st.loop.Until(waitLimit, func() bool { return !p.Live() }) {
				t.Error("what the camera saw is still there")
			}
			most := 0
			if name == "built anew" {
				most = 1 // the page is up again
			}
			if !st.loop.Until(waitLimit, func() bool { return st.b.Viewers() <= most }) {
				t.Errorf("%d still look", st.b.Viewers())
			}
		})
	}
}

// TestLivePictureRests: while the session rests nothing of the paper is on the
// screen, and it comes back.
func TestLivePictureRests(t *testing.T) {
	st := newStage(t, landStd)
	st.atCamera(camera)
	st.b.See(lies, nil)
	st.see(lies.Words)
	st.b.See(ui.Glimpse{}, nil)
	if !st.loop.Until(waitLimit, func() bool { return st.live() == nil }) {
		t.Error("still to be seen")
	}
	st.b.See(lies, nil)
	st.see(lies.Words)
}

// TestCameraComesBack: a page that said that there is no camera shows its
// picture once there is one.
func TestCameraComesBack(t *testing.T) {
	st := newStage(t, landStd)
	gone := camera
	gone.Health = device.Health{Kind: device.KindDocCamera, State: device.StateAbsent, Code: "DC-01", Cause: "没有找到高拍仪。", Remedy: "看看高拍仪的线有没有插好。"}
	st.atCamera(gone)
	st.b.See(lies, nil)
	if s := st.settled(); len(names(s, "take.")) > 0 || !slices.ContainsFunc(s.Texts, func(s string) bool { return strings.Contains(s, "高拍仪没有接好") }) {
		t.Errorf("%v", s.Texts)
	}
	st.shoot("camera-absent")
	st.on(func() { st.b.SourcesV = []ui.Source{camera} })
	st.s.DeviceChanged(camera.Health)
	st.see(lies.Words)
	broken := gone
	broken.Health.State, broken.Health.Code, broken.Health.Cause, broken.Health.Remedy = device.StateFault, "DC-05", "高拍仪没有画面。", "拔下高拍仪的线，等十秒再插上。"
	st.on(func() { st.b.SourcesV = []ui.Source{broken} })
	st.s.DeviceChanged(broken.Health)
	if !st.loop.Until(waitLimit, func() bool { return st.live() == nil && !has(st.s.Look(), "take.doc_camera") }) {
		t.Fatal("a broken camera is still offered")
	}
	st.shoot("camera-broken")
	if s := st.settled(); !slices.Contains(s.Texts, "高拍仪没有画面。拔下高拍仪的线，等十秒再插上。") {
		t.Errorf("%v", s.Texts)
	}
}

// TestBothSidesOfACard: after one side of a card its other side is asked for,
// and both are one page; what is no card leaves the front as it was.
func TestBothSidesOfACard(t *testing.T) {
	st := newStage(t, landStd)
	st.atCamera(camera)
	st.b.See(lies, nil)
	st.see(lies.Words)
	st.b.TakeV = &ui.Shot{JPEG: []byte{1}, OK: true, Card: true, Source: "test"}
	st.tap("take.doc_camera")
	if s := st.settled(); !slices.Contains(s.Texts, "第 1 页是卡的一面。要反面，就点“拍卡的反面”") {
		t.Fatalf("%v", s.Texts)
	}
	st.shoot("card-front")
	st.tap("take.doc_camera")
	st.see(lies.Words)
	st.shoot("card-turn")
	st.b.TakeV = &ui.Shot{JPEG: []byte{2}, OK: true, Source: "test"}
	st.tap("take.doc_camera")
	if s := st.settled(); !slices.ContainsFunc(s.Texts, func(x string) bool { return strings.Contains(x, "没有看清卡的反面") }) {
		t.Fatalf("%v", s.Texts)
	}
	st.b.TakeV = &ui.Shot{JPEG: []byte{2}, OK: true, Card: true, Source: "test"}
	st.tap("take.doc_camera")
	if s := st.settled(); !slices.Contains(s.Texts, "第 1 页，正反两面都在，看得清") {
		t.Fatalf("%v", s.Texts)
	}
	st.shoot("card-both")
	st.on(func() {
		for _, shots := range st.s.Visit().Draft.Shots {
			if len(shots) != 1 || shots[0].Sides != 2 {
				t.Errorf("%d pages, %d sides", len(shots), shots[0].Sides)
			}
		}
	})
}

// TestBlankSide: a blank side is left out and said so; it can be kept, and what
// is not kept is wiped when the next page is taken.
func TestBlankSide(t *testing.T) {
	st := newStage(t, landStd)
	scanner := ui.Source{Kind: device.KindScanner, Name: "扫描仪", Health: device.Health{Kind: device.KindScanner, State: device.StateReady}}
	st.atCamera(scanner)
	blank := func() []byte {
		b := []byte{7, 7}
		st.b.TakeV = &ui.Shot{JPEG: b, OK: false, Blank: true}
		st.tap("take.scanner")
		if s := st.settled(); !slices.ContainsFunc(s.Texts, func(x string) bool { return strings.Contains(x, "页是白页，已去掉") }) {
			t.Fatalf("%v", s.Texts)
		}
		return b
	}
	left := blank()
	st.shoot("blank-left-out")
	st.b.TakeV = nil
	st.tap("take.scanner")
	st.settled()
	if left[0] != 0 {
		t.Error("the side that was left out is not wiped")
	}
	st.tap("drop")
	st.settled()
	kept := blank()
	st.tap("keep")
	st.settled()
	st.on(func() {
		d := st.s.Visit().Draft
		n := 0
		for _, shots := range d.Shots {
			n += len(shots)
		}
		if n != 1 || kept[0] != 7 || d.Dropped != nil {
			t.Errorf("%d pages, first byte %d, %v", n, kept[0], d.Dropped)
		}
	})
	st.shoot("blank-kept")
}
