package imaging_test

import (
	"image"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"testing"

	"cunban/device/scan/imaging"
	"cunban/device/scan/imaging/specimen"
)

// mostMemory is what the making of a page may take, with the picture of 12
// megapixels it is made of and the program itself.
const mostMemory = 200 << 20

// mostGrowth is what the making alone may take, whatever else the process has.
const mostGrowth = mostMemory / 2

// peak is the most memory that this process ever had in use at once since the
// last call of resetPeak (VmHWM, proc(5)).
func peak(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		t.Skip("the kernel does not tell the peak of memory")
	}
	kb, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

func resetPeak(t *testing.T) {
	t.Helper()
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Skip("the peak of memory cannot be set back: ", err)
	}
}

// TestMemory: a frame of 12 megapixels becomes a page within 200 MB, with the
// sweeping of the heap that the terminal runs with.
func TestMemory(t *testing.T) {
	const heapGrowth = 25 // as kiosk/app sets it
	defer debug.SetGCPercent(debug.SetGCPercent(heapGrowth))
	m, err := specimen.New(4000, 3000)
	if err != nil {
		t.Fatal(err)
	}
	made := m.Make(specimen.Shadowed, 1).Image
	frame := image.NewYCbCr(made.Rect, image.YCbCrSubsampleRatio422) // what a camera's picture is decoded to
	for y := range 3000 {
		for x := range 4000 {
			frame.Y[frame.YOffset(x, y)] = made.Pix[made.PixOffset(x, y)+1]
			frame.Cb[frame.COffset(x, y)], frame.Cr[frame.COffset(x, y)] = 128, 128
		}
	}
	made, m = nil, nil
	resetPeak(t)
	base := peak(t)
	_, v, err := imaging.Prepare(frame, imaging.Options{Camera: true})
	if err != nil || !v.OK {
		t.Fatalf("%+v, %v", v, err)
	}
	got := peak(t)
	t.Logf("peak with a frame of 12 megapixels: %d MB, before %d MB", got>>20, base>>20)
	if got-base > mostGrowth || got > mostMemory && !raceDetector {
		t.Fail()
	}
}

// TestMemoryControl: three copies of such a frame in full depth do not fit, and
// the measure sees it.
func TestMemoryControl(t *testing.T) {
	resetPeak(t)
	base := peak(t)
	var kept [3][]byte
	for i := range kept {
		kept[i] = make([]byte, 8*4000*3000)
		for at := 0; at < len(kept[i]); at += os.Getpagesize() {
			kept[i][at] = 1
		}
	}
	if got := peak(t); got <= mostMemory || got-base <= mostGrowth {
		t.Errorf("%d copies take %d MB: the measure sees nothing", len(kept), got>>20)
	}
}
