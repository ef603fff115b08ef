//go:build linux && cgo

package camera

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"

	"cunban/device"
)

// kernel is Linux. Only the library's wrappers of the single calls are used: its
// own streaming unmaps pictures while another goroutine copies them.
type kernel struct{}

// buffers is how many pictures the kernel may hold; with more the newest would
// be older.
const buffers = 4

// fastest is how many pictures a second are asked for; a camera gives what it
// can.
const fastest = 30

// find implements system.
func (kernel) find(path string) (found, error) {
	paths := []string{path}
	if path == "" {
		var err error
		if paths, err = filepath.Glob("/dev/video*"); err != nil {
			return found{}, fmt.Errorf("camera: look for cameras: %w", err)
		}
		slices.SortFunc(paths, func(a, b string) int { return number(a) - number(b) })
	}
	why := error(device.ErrAbsent)
	for _, p := range paths {
		c, err := capability(p)
		if err != nil {
			if !errors.Is(err, device.ErrAbsent) {
				why = err
			}
			continue
		}
		// A camera has more than one file; only one gives pictures.
		if c.IsVideoCaptureSupported() && c.IsStreamingSupported() {
			return found{p, c.Card, c.Driver}, nil
		}
	}
	return found{}, fmt.Errorf("camera: look at %d device files: %w", len(paths), why)
}

// number is the number of a device file.
func number(path string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(path), "video"))
	if err != nil {
		return 1 << 20 // not a number: last
	}
	return n
}

func capability(path string) (v4l2.Capability, error) {
	fd, err := open(path)
	if err != nil {
		return v4l2.Capability{}, err
	}
	c, err := v4l2.GetCapability(fd)
	if err != nil {
		err = fmt.Errorf("%w: %w", device.ErrAbsent, err) // not a video device
	}
	return c, errors.Join(err, v4l2.CloseDevice(fd))
}

func open(path string) (uintptr, error) {
	fd, err := v4l2.OpenDevice(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	return fd, meaning(err)
}

// meaning adds the port's error to what the kernel said.
func meaning(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO), errors.Is(err, v4l2.ErrorSystem):
		return fmt.Errorf("%w: %w", device.ErrAbsent, err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%w: %w", device.ErrBusy, err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: %w", ErrDenied, err)
	}
	return err
}

// handle is an open camera as the library's calls want it; they use nothing
// but these methods of the interface.
type handle struct {
	v4l2.StreamingDevice
	fd    uintptr
	count uint32
}

func (h *handle) Fd() uintptr              { return h.fd }
func (h *handle) BufferType() v4l2.BufType { return v4l2.BufTypeVideoCapture }
func (h *handle) BufferCount() uint32      { return h.count }
func (h *handle) MemIOType() v4l2.IOType   { return v4l2.IOTypeMMAP }

// open implements system.
func (kernel) open(path string, choose func([]mode) (mode, bool)) (stream, error) {
	fd, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("camera: open %s: %w", path, err)
	}
	s := &video{handle: handle{fd: fd, count: buffers}}
	if err := s.start(choose); err != nil {
		return nil, errors.Join(fmt.Errorf("camera: start %s: %w", path, meaning(err)), s.close())
	}
	return s, nil
}

// video is a camera that streams. It is for one goroutine.
type video struct {
	handle
	m      mode
	mapped [][]byte
	on     bool
}

func (v *video) mode() mode { return v.m }

func (v *video) start(choose func([]mode) (mode, bool)) error {
	all, err := v.modes()
	if err != nil {
		return err
	}
	m, ok := choose(all)
	if !ok {
		return ErrFormat
	}
	want := v4l2.PixFormat{Width: uint32(m.w), Height: uint32(m.h), PixelFormat: v4l2.FourCCType(m.format), Field: v4l2.FieldNone}
	if err := v4l2.SetPixFormat(v.fd, want); err != nil {
		return err
	}
	have, err := v4l2.GetPixFormat(v.fd)
	if err != nil {
		return err
	}
	v.m = mode{fourcc(have.PixelFormat), int(have.Width), int(have.Height), int(have.BytesPerLine)}
	if !v.m.format.known() {
		return fmt.Errorf("%w: %s", ErrFormat, v.m.format)
	}
	// Many cameras stay at the rate that their last user, or their largest
	// picture, left; one that has a single rate refuses, and keeps it.
	_ = v4l2.SetStreamParam(v.fd, v4l2.BufTypeVideoCapture, v4l2.StreamParam{Capture: v4l2.CaptureParam{TimePerFrame: v4l2.Fract{Numerator: 1, Denominator: fastest}}})
	req, err := v4l2.InitBuffers(&v.handle)
	if err != nil {
		return err
	}
	v.count = req.Count
	for i := range v.count {
		b, err := v4l2.GetBuffer(&v.handle, i)
		if err != nil {
			return err
		}
		p, err := unix.Mmap(int(v.fd), int64(b.Info.Offset), int(b.Length), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return fmt.Errorf("map picture %d: %w", i, err)
		}
		v.mapped = append(v.mapped, p)
		if _, err := v4l2.QueueBuffer(v.fd, v4l2.IOTypeMMAP, v4l2.BufTypeVideoCapture, i); err != nil {
			return err
		}
	}
	if err := v4l2.StreamOn(&v.handle); err != nil {
		return err
	}
	v.on = true
	return nil
}

// modes lists what the camera can do. One that has a range of sizes counts with
// the usual ones in it.
func (v *video) modes() (all []mode, err error) {
	formats, err := v4l2.GetAllFormatDescriptions(v.fd)
	if len(formats) == 0 {
		return nil, errors.Join(ErrFormat, err)
	}
	for _, f := range formats {
		sizes, err := v4l2.GetFormatFrameSizes(v.fd, f.PixelFormat)
		if len(sizes) == 0 && err != nil {
			continue // a format without sizes cannot be asked for
		}
		for _, s := range sizes {
			if s.Type == v4l2.FrameSizeTypeDiscrete {
				all = append(all, mode{fourcc(f.PixelFormat), int(s.Size.MinWidth), int(s.Size.MinHeight), 0})
				continue
			}
			for _, u := range [][2]uint32{{640, 480}, {1280, 720}, {1280, 960}, {1600, 1200}, {1920, 1080}, {2592, 1944}, {3264, 2448}, {4000, 3000}, {4208, 3120}} {
				if u[0] >= s.Size.MinWidth && u[0] <= s.Size.MaxWidth && u[1] >= s.Size.MinHeight && u[1] <= s.Size.MaxHeight {
					all = append(all, mode{fourcc(f.PixelFormat), int(u[0]), int(u[1]), 0})
				}
			}
		}
	}
	return all, nil
}

// pollStep is how long a wait for a picture does not look at its context.
const pollStep = 100 * time.Millisecond

// next implements stream: it waits, then passes over all pictures but the
// newest.
func (v *video) next(ctx context.Context, wait time.Duration, use func(data []byte) error) error {
	if err := v.await(ctx, wait); err != nil {
		return err
	}
	b, err := v4l2.DequeueBuffer(v.fd, v4l2.IOTypeMMAP, v4l2.BufTypeVideoCapture)
	if err != nil {
		return v.gone(err)
	}
	for {
		newer, err := v4l2.DequeueBuffer(v.fd, v4l2.IOTypeMMAP, v4l2.BufTypeVideoCapture)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			return v.gone(err)
		}
		if err := v.requeue(b.Index); err != nil {
			return err
		}
		b = newer
	}
	if int(b.Index) >= len(v.mapped) || int(b.BytesUsed) > len(v.mapped[b.Index]) {
		return fmt.Errorf("camera: %w: %d bytes in picture %d", ErrPicture, b.BytesUsed, b.Index)
	}
	if b.Flags&v4l2.BufFlagError != 0 || b.BytesUsed == 0 {
		err = fmt.Errorf("camera: %w: the kernel marked it", ErrPicture)
	} else {
		err = use(v.mapped[b.Index][:b.BytesUsed])
	}
	return errors.Join(err, v.requeue(b.Index))
}

func (v *video) requeue(i uint32) error {
	_, err := v4l2.QueueBuffer(v.fd, v4l2.IOTypeMMAP, v4l2.BufTypeVideoCapture, i)
	return v.gone(err)
}

func (v *video) await(ctx context.Context, wait time.Duration) error {
	for left := wait; ; left -= pollStep {
		if err := ctx.Err(); err != nil {
			return err
		}
		if left <= 0 {
			return fmt.Errorf("camera: %w for %s", device.ErrNoFrame, wait)
		}
		fds := []unix.PollFd{{Fd: int32(v.fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(min(left, pollStep).Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("camera: wait for a picture: %w", err)
		case n > 0 && fds[0].Revents&unix.POLLIN != 0:
			return nil
		case n > 0: // POLLERR or POLLHUP: unplugged, or streaming broke off
			return v.gone(unix.EIO)
		}
	}
}

// gone tells an unplugged camera from one in trouble: the kernel answers no
// question about one that is gone, while its file stays for some moments.
func (v *video) gone(err error) error {
	if err == nil {
		return nil
	}
	if _, e := v4l2.GetCapability(v.fd); e != nil {
		return fmt.Errorf("camera: %w: %w", device.ErrAbsent, err)
	}
	return fmt.Errorf("camera: %w", meaning(err))
}

func (v *video) close() (err error) {
	if v.on {
		err = v4l2.StreamOff(&v.handle)
		v.on = false
	}
	for _, p := range v.mapped {
		err = errors.Join(err, unix.Munmap(p))
	}
	v.mapped = nil
	return errors.Join(meaning(err), v4l2.CloseDevice(v.fd))
}
