// Package camera takes pages from a document camera through the kernel's video
// interface (V4L2). It exists because most villages have a camera on a stalk,
// not a scanner.
//
// It guarantees: the camera may be unplugged, stuck or held by another program
// at any moment, which is said in words and heals by itself; a preview shows the
// newest picture and never piles old ones up; a capture interrupts a preview,
// takes the camera's largest picture and lets the preview go on; a page is
// given out whole or not at all; nothing is written to a disk.
//
// Standards: Video for Linux API version 2; UVC 1.5 Motion-JPEG (ITU-T T.81,
// without its Huffman tables); YUYV 4:2:2 (ITU-R BT.601).
package camera

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"cunban/device"
	"cunban/device/internal/hub"
)

// Defaults of Options.
const (
	DefaultPreviewWidth = 1280
	DefaultFrameWait    = 3 * time.Second // a camera that sends nothing for so long is stuck
	DefaultPoll         = 2 * time.Second // between looks for the camera
	// DefaultSettle is how many pictures are passed over before one is kept: a
	// camera needs them to get its exposure right.
	DefaultSettle = 6
	// settleTime is how long it does so at most: many cameras give two of their
	// largest pictures a second.
	settleTime = time.Second
	// retryAfter is how long a camera in trouble is left alone.
	retryAfter = 10 * time.Second
)

// Errors beyond those of device.DocumentSource.
var (
	// ErrFormat means that the camera speaks no format that is known here.
	ErrFormat = errors.New("camera: no known picture format")
	// ErrDenied means that this program may not use the camera.
	ErrDenied = errors.New("camera: not allowed")
	// ErrPicture means that a picture came damaged.
	ErrPicture = errors.New("camera: damaged picture")
)

// Options say which camera is used. The zero value takes the first one.
type Options struct {
	Path         string        // device file, "" = the first that takes pictures
	PreviewWidth int           // pixels; 0 = DefaultPreviewWidth
	FrameWait    time.Duration // 0 = DefaultFrameWait
	Poll         time.Duration // 0 = DefaultPoll
	Settle       int           // 0 = DefaultSettle; negative = none
	Now          func() time.Time
	Logger       *slog.Logger

	system system // nil = the kernel; a test puts recorded pictures here
}

// system is the kernel as the driver needs it.
type system interface {
	// find names the camera at path, or the first one. Errors: device.ErrAbsent,
	// ErrDenied.
	find(path string) (found, error)
	// open starts the camera in the mode that choose takes. Errors:
	// device.ErrAbsent, device.ErrBusy, ErrDenied, ErrFormat.
	open(path string, choose func([]mode) (mode, bool)) (stream, error)
}

// found is a camera that is there.
type found struct {
	path, card, driver string
}

// name is how a technician knows it.
func (f found) name() string { return f.card + " (" + f.path + ")" }

// stream is a camera that sends pictures.
type stream interface {
	mode() mode
	// next waits for a picture and hands it to use; the bytes are good until use
	// returns. Errors: device.ErrNoFrame after wait, device.ErrAbsent, ctx's.
	next(ctx context.Context, wait time.Duration, use func(data []byte) error) error
	close() error
}

// Camera is a document camera.
type Camera struct {
	o   Options
	hub *hub.Hub

	turn    chan struct{} // one token: whoever has it uses the camera
	wanting atomic.Int32  // captures that wait for a preview to let go

	mu        sync.Mutex
	capturing bool
	found     found

	tried time.Time // when Run last tried a camera in trouble; its own
}

var (
	_ device.DocumentSource = (*Camera)(nil)
	_ device.Previewer      = (*Camera)(nil)
)

// New makes the driver; it does nothing until Run, SelfTest, Preview or Capture.
func New(o Options) *Camera {
	o.PreviewWidth = cmp.Or(o.PreviewWidth, DefaultPreviewWidth)
	o.FrameWait = cmp.Or(o.FrameWait, DefaultFrameWait)
	o.Poll = cmp.Or(o.Poll, DefaultPoll)
	o.Settle = max(cmp.Or(o.Settle, DefaultSettle), 0)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.system == nil {
		o.system = kernel{}
	}
	c := &Camera{o: o, turn: make(chan struct{}, 1)}
	c.hub = hub.New(device.Health{Kind: device.KindDocCamera, Name: cmp.Or(o.Path, "V4L2")}, o.Now)
	c.turn <- struct{}{}
	return c
}

// Kind implements device.Device.
func (c *Camera) Kind() device.Kind { return device.KindDocCamera }

// Health implements device.Device.
func (c *Camera) Health() device.Health { return c.hub.Health() }

// Subscribe implements device.Device.
func (c *Camera) Subscribe(fn func(device.Event)) (cancel func()) { return c.hub.Subscribe(fn) }

// SelfTest takes one preview picture and throws it away. While the camera is in
// use, that use is the test.
func (c *Camera) SelfTest(ctx context.Context) device.Health {
	select {
	case <-c.turn:
	default:
		return c.hub.Health()
	}
	defer c.give()
	err := c.with(ctx, c.previewMode, func(s stream) error {
		return s.next(ctx, c.o.FrameWait, func(b []byte) error { _, err := decode(s.mode(), b); return err })
	})
	return c.set(ctx, err)
}

// Run implements device.Device. It only looks whether the camera is there: a
// camera that is opened every two seconds would blink at people.
func (c *Camera) Run(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
		c.look(ctx)
		t.Reset(c.o.Poll)
	}
}

// look takes over whether the camera is there. A fault stays until the camera
// was away or works again, which is tried now and then.
func (c *Camera) look(ctx context.Context) {
	f, err := c.o.system.find(c.o.Path)
	before := c.hub.Health()
	if err == nil {
		c.mu.Lock()
		c.found = f
		c.mu.Unlock()
		if before.State == device.StateFault || before.State == device.StateBusy {
			if now := c.o.Now(); now.Sub(c.tried) >= retryAfter {
				c.tried = now
				c.SelfTest(ctx)
			}
			return
		}
	}
	if after := c.set(ctx, err); after.State != before.State {
		c.o.Logger.Info("document camera", "device", after.Name, "state", string(after.State), "code", after.Code, "detail", after.Detail)
	}
}

// set takes over the condition that err means.
func (c *Camera) set(ctx context.Context, err error) device.Health {
	if err != nil && ctx.Err() != nil {
		return c.hub.Health() // nobody wants to know any more
	}
	h := condition(err)
	c.mu.Lock()
	f := c.found
	c.mu.Unlock()
	if f.path != "" {
		h.Name, h.Demo = f.name(), f.driver == "vivid"
	}
	c.hub.SetHealth(h)
	return c.hub.Health()
}

func (c *Camera) give() { c.turn <- struct{}{} }

// with opens the camera in a mode, and closes it again.
func (c *Camera) with(ctx context.Context, choose func([]mode) (mode, bool), do func(s stream) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := c.o.system.find(c.o.Path)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.found = f
	c.mu.Unlock()
	s, err := c.o.system.open(f.path, choose)
	if err != nil {
		return err
	}
	err = do(s)
	if e := s.close(); err == nil && e != nil && !errors.Is(e, device.ErrAbsent) {
		c.o.Logger.Warn("close the camera", "err", e)
	}
	return err
}

// Preview implements device.Previewer. A capture interrupts it for as long as
// it takes. Errors: those of Capture.
func (c *Camera) Preview(ctx context.Context, fn func(image.Image)) error {
	for {
		if err := c.previewOnce(ctx, fn); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			c.set(ctx, err)
			return fmt.Errorf("camera: preview: %w", err)
		}
		// A capture wants the camera; the token goes round.
	}
}

// errWanted ends a preview because a capture waits.
var errWanted = errors.New("a capture waits")

func (c *Camera) previewOnce(ctx context.Context, fn func(image.Image)) error {
	select {
	case <-c.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer c.give()
	if c.wanting.Load() > 0 {
		return nil
	}
	damaged := 0
	err := c.with(ctx, c.previewMode, func(s stream) error {
		for {
			if c.wanting.Load() > 0 {
				return errWanted
			}
			err := s.next(ctx, c.o.FrameWait, func(b []byte) error {
				img, err := decode(s.mode(), b)
				if err != nil {
					return err
				}
				fn(img)
				return nil
			})
			switch {
			case err == nil:
				damaged = 0
				c.hub.Good()
				c.set(ctx, nil)
			case errors.Is(err, ErrPicture) && damaged < mostDamaged:
				damaged++ // a long cable spoils a picture now and then
			default:
				return err
			}
		}
	})
	if errors.Is(err, errWanted) {
		return nil
	}
	return err
}

// mostDamaged is how many pictures may come damaged one after the other.
const mostDamaged = 10

// Capture implements device.DocumentSource: it takes the camera's largest
// picture. While one capture is under way another gets device.ErrBusy. Errors:
// those of device.DocumentSource, ErrFormat, ErrDenied, ErrPicture; Explain has
// the words.
func (c *Camera) Capture(ctx context.Context) (device.Page, error) {
	c.mu.Lock()
	if c.capturing {
		c.mu.Unlock()
		return device.Page{}, fmt.Errorf("camera: capture: %w", device.ErrBusy)
	}
	c.capturing = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.capturing = false
		c.mu.Unlock()
	}()
	c.wanting.Add(1)
	defer c.wanting.Add(-1)
	select {
	case <-c.turn:
	case <-ctx.Done():
		return device.Page{}, fmt.Errorf("camera: capture: %w", ctx.Err())
	}
	defer c.give()
	var img image.Image
	err := c.with(ctx, largest, func(s stream) (err error) {
		img, err = c.take(ctx, s)
		return err
	})
	h := c.set(ctx, err)
	if err != nil {
		c.hub.Count("failures")
		c.o.Logger.Warn("capture failed", "device", h.Name, "code", h.Code, "detail", h.Detail)
		return device.Page{}, fmt.Errorf("camera: capture: %w", err)
	}
	c.hub.Good()
	c.hub.Count("pages")
	return device.Page{Image: img, Source: h.Name, Kind: device.KindDocCamera, At: c.o.Now(), Demo: h.Demo}, nil
}

// take waits until the exposure has settled and keeps the next whole picture.
func (c *Camera) take(ctx context.Context, s stream) (img image.Image, err error) {
	var first time.Time
	for i := 0; ; i++ {
		err = s.next(ctx, c.o.FrameWait, func(b []byte) (err error) {
			if i == 0 {
				first = c.o.Now()
			}
			if i >= c.o.Settle || c.o.Now().Sub(first) >= settleTime {
				img, err = decode(s.mode(), b)
			}
			return err
		})
		switch {
		case err == nil && img != nil:
			return img, nil
		case err != nil && (!errors.Is(err, ErrPicture) || i > c.o.Settle+mostDamaged):
			return nil, err
		}
	}
}
