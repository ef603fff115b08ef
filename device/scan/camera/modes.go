package camera

import "strings"

// fourcc is a format's name in V4L2: four letters, the first lowest.
type fourcc uint32

// The formats that are understood.
const (
	mjpeg fourcc = 'M' | 'J'<<8 | 'P'<<16 | 'G'<<24
	jpg   fourcc = 'J' | 'P'<<8 | 'E'<<16 | 'G'<<24
	yuyv  fourcc = 'Y' | 'U'<<8 | 'Y'<<16 | 'V'<<24
)

func (f fourcc) String() string {
	return strings.TrimSpace(string([]byte{byte(f), byte(f >> 8), byte(f >> 16), byte(f >> 24)}))
}

func (f fourcc) known() bool { return f == mjpeg || f == jpg || f == yuyv }

// mode is one way a camera can send pictures.
type mode struct {
	format fourcc
	w, h   int
	stride int // bytes of a row, of uncompressed formats; 0 = not known yet
}

// mostPixels is how large a picture may be: 48 megapixels.
const mostPixels = 48e6

// largest takes the largest picture; of two equally large ones the compressed,
// which comes sooner through a thin cable.
func largest(all []mode) (best mode, ok bool) {
	for _, m := range all {
		switch {
		case !m.format.known() || m.w < 1 || m.h < 1 || m.w*m.h > mostPixels:
		case !ok, m.w*m.h > best.w*best.h, m.w*m.h == best.w*best.h && best.format == yuyv && m.format != yuyv:
			best, ok = m, true
		}
	}
	return best, ok
}

// previewMode takes the smallest picture that is wide enough, or else the widest.
// A compressed one is taken when there is one: 1280 pixels of YUYV come at ten a
// second through USB 2.
func (c *Camera) previewMode(all []mode) (best mode, ok bool) {
	better := func(a, b mode) bool { // a than b
		wideA, wideB := a.w >= c.o.PreviewWidth, b.w >= c.o.PreviewWidth
		switch {
		case wideA != wideB:
			return wideA
		case (a.format == yuyv) != (b.format == yuyv):
			return b.format == yuyv
		case wideA:
			return a.w*a.h < b.w*b.h
		}
		return a.w*a.h > b.w*b.h
	}
	for _, m := range all {
		if m.format.known() && m.w > 0 && m.h > 0 && m.w*m.h <= mostPixels && (!ok || better(m, best)) {
			best, ok = m, true
		}
	}
	return best, ok
}
