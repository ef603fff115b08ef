//go:build linux && cgo

package camera

import (
	"bytes"
	"context"
	"errors"
	"image"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vladimirvivien/go4vl/v4l2"

	"cunban/device"
	"cunban/device/contract"
)

// vividEnv says that the kernel's simulated camera is there and may be spoilt:
// `dev test` sets it inside a guest.
const vividEnv = "CUNBAN_VIVID"

// The vivid driver's folder and its one device.
const (
	vividDriver = "/sys/bus/platform/drivers/vivid"
	vividDevice = "vivid.0"
)

// What vivid can be told to do wrong, by the names of its controls.
const (
	dropAll    = "Percentage of Dropped Buffers"
	spoilOne   = "Inject V4L2_BUF_FLAG_ERROR"
	refuseOn   = "Inject VIDIOC_STREAMON Error"
	breakOff   = "Inject Fatal Streaming Error"
	disconnect = "Disconnect"
)

// vividFrames is how many pictures a preview must give.
const vividFrames = 20

// vividLimit bounds one use of the camera: the guest's processor is emulated.
const vividLimit = 20 * time.Second

// TestVivid is the driver on a real kernel. Its parts share one camera and run
// in this order.
func TestVivid(t *testing.T) {
	if os.Getenv(vividEnv) == "" {
		t.Skip(vividEnv + " is not set: this spoils the kernel's simulated camera, inside the guest of `dev test --only video`")
	}
	t.Run("found", func(t *testing.T) {
		f, err := kernel{}.find("")
		if err != nil || f.driver != "vivid" {
			t.Fatalf("%+v, %v", f, err)
		}
	})
	t.Run("contract", func(t *testing.T) {
		contract.TestDevice(t, "cunban/device/scan/camera", func(*testing.T) device.Device { return New(Options{}) })
	})
	t.Run("preview", func(t *testing.T) {
		c := New(Options{})
		preview(t, c, vividFrames)
		if h := c.Health(); h.State != device.StateReady || !h.Demo {
			t.Errorf("%+v", h)
		}
	})
	t.Run("capture", func(t *testing.T) { capture(t, New(Options{})) })
	t.Run("capture during preview", func(t *testing.T) {
		c := New(Options{})
		p := look(t, c)
		p.await(t, 3)
		capture(t, c)
		p.await(t, 3)
		p.end(t)
	})
	t.Run("stuck", func(t *testing.T) {
		c := New(Options{FrameWait: time.Second})
		p := look(t, c)
		p.await(t, 1)
		control(t, dropAll, 100)
		p.fails(t, device.ErrNoFrame)
		if h := c.Health(); h.Code != "DC-05" {
			t.Errorf("%+v", h)
		}
		ctx, cancel := context.WithTimeout(t.Context(), vividLimit)
		defer cancel()
		if _, err := c.Capture(ctx); !errors.Is(err, device.ErrNoFrame) {
			t.Errorf("capture: %v", err)
		}
		control(t, dropAll, 0)
		capture(t, c)
		if h := c.Health(); h.State != device.StateReady {
			t.Errorf("healed, yet %+v", h)
		}
	})
	t.Run("a spoilt picture is passed over", func(t *testing.T) {
		p := look(t, New(Options{}))
		p.await(t, 1)
		control(t, spoilOne, 0)
		p.await(t, 3)
		p.end(t)
	})
	t.Run("does not start", func(t *testing.T) {
		c := New(Options{})
		control(t, refuseOn, 0)
		if h := c.SelfTest(t.Context()); h.State.Usable() || h.Code == "" {
			t.Errorf("%+v", h)
		}
		if h := c.SelfTest(t.Context()); h.State != device.StateReady {
			t.Errorf("healed, yet %+v", h)
		}
	})
	t.Run("breaks off", func(t *testing.T) {
		c := New(Options{})
		p := look(t, c)
		p.await(t, 1)
		control(t, breakOff, 0)
		p.fails(t, nil)
		if h := c.Health(); h.Code != "DC-07" {
			t.Errorf("%+v", h)
		}
		capture(t, c)
	})
	t.Run("gone while its file is still there", func(t *testing.T) {
		c := New(Options{})
		p := look(t, c)
		p.await(t, 1)
		control(t, disconnect, 0)
		p.fails(t, device.ErrAbsent)
		preview(t, c, 1) // vivid comes back when nobody has it open any more
	})
	t.Run("unplugged and back", func(t *testing.T) {
		c := New(Options{Poll: 100 * time.Millisecond})
		w := contract.Watch(t, c)
		contract.Start(t, c)
		is := func(s device.State) {
			t.Helper()
			w.Until(t, string(s), func() bool { return c.Health().State == s })
		}
		is(device.StateReady)
		for range 2 {
			p := look(t, c)
			p.await(t, 1)
			plug(t, "unbind")
			p.fails(t, device.ErrAbsent)
			is(device.StateAbsent)
			if _, err := c.Capture(t.Context()); !errors.Is(err, device.ErrAbsent) {
				t.Errorf("capture without a camera: %v", err)
			}
			plug(t, "bind")
			is(device.StateReady)
			capture(t, c)
		}
	})
	if left := contract.Leaked("cunban/device/scan/camera", "cunban/device/internal/hub"); left != "" {
		t.Errorf("goroutines left:\n%s", left)
	}
}

// plug unbinds the driver from its device, which is what unplugging does, or
// binds it.
func plug(t *testing.T, how string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(vividDriver, how), []byte(vividDevice), 0); err != nil {
		t.Fatal(err)
	}
}

// control sets one of vivid's controls by its name.
func control(t *testing.T, name string, value int32) {
	t.Helper()
	f, err := kernel{}.find("")
	if err != nil {
		t.Fatal(err)
	}
	fd, err := open(f.path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := v4l2.CloseDevice(fd); err != nil {
			t.Error(err)
		}
	}()
	all, err := v4l2.QueryAllControls(fd)
	for _, c := range all {
		if c.Name == name {
			if err := v4l2.SetControlValue(fd, c.ID, value); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return
		}
	}
	t.Fatalf("vivid has no control %q: %v", name, err)
}

// seen is a copy of what a preview showed.
type seen struct {
	width int
	y     []byte
}

// looking is a preview that runs.
type looking struct {
	frames chan seen
	ended  chan error
	cancel context.CancelFunc
}

func look(t *testing.T, c *Camera) *looking {
	ctx, cancel := context.WithCancel(t.Context())
	p := &looking{make(chan seen), make(chan error, 1), cancel}
	go func() {
		p.ended <- c.Preview(ctx, func(img image.Image) {
			select {
			case p.frames <- seen{img.Bounds().Dx(), bytes.Clone(img.(*image.YCbCr).Y)}:
			default: // nobody looks
			}
		})
	}()
	t.Cleanup(cancel)
	return p
}

// await takes n pictures, each of the preview's width and none like the one
// before.
func (p *looking) await(t *testing.T, n int) {
	t.Helper()
	limit := time.NewTimer(vividLimit)
	defer limit.Stop()
	var before []byte
	for i := range n {
		select {
		case f := <-p.frames:
			if f.width != DefaultPreviewWidth {
				t.Fatalf("a preview %d wide", f.width)
			}
			if bytes.Equal(f.y, before) {
				t.Error("the same picture twice")
			}
			before = f.y
		case err := <-p.ended:
			t.Fatalf("ended after %d pictures: %v", i, err)
		case <-limit.C:
			t.Fatalf("%d pictures in %v, want %d", i, vividLimit, n)
		}
	}
}

// fails waits until the preview ends by itself; want nil is any error.
func (p *looking) fails(t *testing.T, want error) {
	t.Helper()
	limit := time.NewTimer(vividLimit)
	defer limit.Stop()
	for {
		select {
		case <-p.frames: // that were on their way
		case err := <-p.ended:
			if err == nil || errors.Is(err, context.Canceled) || want != nil && !errors.Is(err, want) {
				t.Fatalf("ended with %v, want %v", err, want)
			}
			return
		case <-limit.C:
			t.Fatal("the preview goes on")
		}
	}
}

func (p *looking) end(t *testing.T) {
	t.Helper()
	p.cancel()
	if err := <-p.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

// preview looks at n pictures and tells how fast they came.
func preview(t *testing.T, c *Camera, n int) {
	t.Helper()
	p := look(t, c)
	p.await(t, 1)
	began := time.Now()
	p.await(t, n)
	t.Logf("%.1f pictures a second of 1280 wide, on this processor", float64(n)/time.Since(began).Seconds())
	p.end(t)
}

// capture takes a page of vivid's largest size.
func capture(t *testing.T, c *Camera) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), vividLimit)
	defer cancel()
	began := time.Now()
	p, err := c.Capture(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if s := p.Image.Bounds().Size(); s != image.Pt(3840, 2160) || !p.Demo || p.Kind != device.KindDocCamera {
		t.Errorf("a page of %v from %s", s, p.Source)
	}
	t.Logf("captured in %v", time.Since(began).Round(time.Millisecond))
}
