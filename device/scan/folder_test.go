package scan

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"cunban/device"
)

func gradient(w, h int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Set(x, y, color.RGBA{uint8(x), uint8(y), 77, 255})
		}
	}
	return img
}

func pngBytes(w, h int) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, gradient(w, h)); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func jpegBytes(w, h int) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, gradient(w, h), nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// put writes a file with a modification time of the other computer's clock.
func put(t *testing.T, dir, name string, b []byte, mtime time.Time) {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.WriteFile(p, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(p, mtime, mtime); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

// The other computer's clock is wrong by years on purpose.
var elsewhere = time.Date(2041, 5, 6, 7, 8, 9, 0, time.UTC)

func TestFolderGivesOldestFirstAndKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		put(t, dir, "b.png", pngBytes(30, 20), elsewhere)
		put(t, dir, "a.jpg", jpegBytes(10, 20), elsewhere.Add(time.Minute))
		f := NewFolder(FolderOptions{Dir: dir})
		for i, w := range []int{30, 10} {
			p, err := f.Capture(t.Context())
			if err != nil {
				t.Fatalf("page %d: %v", i, err)
			}
			if p.Image.Bounds().Dx() != w || p.Kind != device.KindPageFolder || p.Source != dir {
				t.Errorf("page %d: %v %v %v", i, p.Image.Bounds(), p.Kind, p.Source)
			}
		}
		if left := names(t, dir); len(left) != 0 {
			t.Errorf("left in the folder: %v", left)
		}
		if _, err := f.Capture(t.Context()); !errors.Is(err, device.ErrFeederEmpty) {
			t.Errorf("empty folder: %v", err)
		}
		if h := f.Health(); h.State != device.StateReady || h.Counters["pages"] != 2 {
			t.Errorf("health %+v", h)
		}
	})
}

func TestFolderWaitsForAFileThatGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		whole := pngBytes(64, 64)
		put(t, dir, "p.png", whole[:40], elsewhere)
		go func() {
			time.Sleep(time.Second)
			put(t, dir, "p.png", whole[:90], elsewhere.Add(time.Second))
			time.Sleep(1500 * time.Millisecond)
			put(t, dir, "p.png", whole, elsewhere.Add(2*time.Second))
		}()
		f := NewFolder(FolderOptions{Dir: dir, Settle: 2 * time.Second})
		start := time.Now()
		p, err := f.Capture(t.Context())
		if err != nil || p.Image.Bounds().Dx() != 64 {
			t.Fatalf("%v, %v", p.Image, err)
		}
		if took := time.Since(start); took < 4500*time.Millisecond {
			t.Errorf("taken after %v, before it had been still for 2 s", took)
		}
	})
}

func TestFolderPoisonDoesNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		put(t, dir, "1.png", []byte("this is no picture"), elsewhere)
		put(t, dir, "2.pdf", []byte("%PDF-1.4"), elsewhere)
		put(t, dir, "3.png", pngBytes(5, 5), elsewhere.Add(time.Hour))
		put(t, dir, ".hidden.png", pngBytes(5, 5), elsewhere)
		put(t, dir, "4.png.part", pngBytes(5, 5), elsewhere)
		if err := os.Symlink("/etc/hostname", filepath.Join(dir, "0.png")); err != nil {
			t.Fatal(err)
		}
		f := NewFolder(FolderOptions{Dir: dir})
		if p, err := f.Capture(t.Context()); err != nil || p.Image.Bounds().Dx() != 5 {
			t.Fatalf("%v %v", p, err)
		}
		h := f.SelfTest(t.Context())
		if h.State != device.StateLow || h.Code != "SF-03" || h.Counters["unreadable"] != 1 {
			t.Errorf("health %+v", h)
		}
		if _, err := f.Capture(t.Context()); !errors.Is(err, device.ErrFeederEmpty) {
			t.Errorf("poison: %v", err)
		}
		if h := f.Health(); h.Counters["unreadable"] != 1 {
			t.Errorf("the same bad file was read again: %+v", h)
		}
		// Saved anew, it counts.
		put(t, dir, "1.png", pngBytes(9, 9), elsewhere.Add(2*time.Hour))
		if p, err := f.Capture(t.Context()); err != nil || p.Image.Bounds().Dx() != 9 {
			t.Errorf("%v %v", p, err)
		}
	})
}

func TestFolderPutsBackWhatAPowerCutLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		put(t, dir, takenPrefix+"x.png", pngBytes(6, 6), elsewhere)
		f := NewFolder(FolderOptions{Dir: dir})
		if p, err := f.Capture(t.Context()); err != nil || p.Image.Bounds().Dx() != 6 {
			t.Fatalf("%v %v", p, err)
		}
		if left := names(t, dir); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}

func TestFolderGoneAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "share")
		f := NewFolder(FolderOptions{Dir: dir})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx) }()
		synctest.Wait()
		if h := f.Health(); h.State != device.StateAbsent || h.Cause == "" || h.Remedy == "" {
			t.Errorf("health %+v", h)
		}
		if _, err := f.Capture(ctx); !errors.Is(err, device.ErrAbsent) {
			t.Errorf("capture: %v", err)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * DefaultFolderPoll)
		synctest.Wait()
		if h := f.Health(); h.State != device.StateReady {
			t.Errorf("did not heal: %+v", h)
		}
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("run ended with %v", err)
		}
	})
}

func TestFolderPageThatCannotBeRemovedIsNotGivenOut(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may remove everything")
	}
	dir := t.TempDir()
	put(t, dir, "p.png", pngBytes(4, 4), elsewhere)
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Chmod(dir, 0o700) }()
	f := NewFolder(FolderOptions{Dir: dir, Settle: time.Nanosecond})
	if _, err := f.Capture(t.Context()); !errors.Is(err, ErrKept) {
		t.Errorf("error %v, want ErrKept", err)
	}
}

func TestHugePictureIsRefusedByItsHeader(t *testing.T) {
	b := pngBytes(4, 4)
	copy(b[16:], []byte{0, 0, 0x40, 0, 0, 0, 0x40, 0}) // 16384 × 16384
	if _, err := decodeImage(bytes.NewReader(b)); !errors.Is(err, ErrPicture) {
		t.Errorf("error %v", err)
	}
}

func TestShrink(t *testing.T) {
	img := gradient(100, 50)
	out := shrink(img, 1250)
	if out.Bounds() != image.Rect(0, 0, 50, 25) {
		t.Fatalf("bounds %v", out.Bounds())
	}
	if r, g, b, _ := out.At(10, 10).RGBA(); r>>8 != 20 || g>>8 != 20 || b>>8 != 77 {
		t.Errorf("colour %d %d %d", r>>8, g>>8, b>>8)
	}
	if shrink(img, 5000) != img {
		t.Error("a small picture was copied")
	}
}
