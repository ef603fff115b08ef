package scan

import (
	"bufio"
	"errors"
	"fmt"
	"image"
	"io"
)

// Limits of what is taken from a scanner, so that a broken header cannot eat
// the machine.
const (
	maxSide   = 20000      // pixels; A3 at 1200 dpi
	maxPixels = 12_000_000 // kept pixels of one page; A4 at 300 dpi has 8.7 million
)

// ErrPicture means that the picture's bytes cannot be understood or are cut
// off.
var ErrPicture = errors.New("scan: the picture is damaged or cut off")

// readPNM decodes one binary PNM picture (P4, P5 or P6; Netpbm formats, with
// 8 or 16 bits a sample) as scanimage writes it. It averages factor×factor
// pixels while reading, factor being the smallest that keeps at most keep
// pixels, so that A4 at 600 dpi never stands in memory whole. It returns the
// picture (*image.Gray or *image.RGBA) and the factor. Error: ErrPicture.
func readPNM(r io.Reader, keep int) (image.Image, int, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	h, err := readHeader(br)
	if err != nil {
		return nil, 0, err
	}
	factor := 1
	for (h.w/factor)*(h.h/factor) > keep {
		factor++
	}
	w, ht := h.w/factor, h.h/factor
	if w == 0 || ht == 0 {
		return nil, 0, fmt.Errorf("%w: %d×%d pixels", ErrPicture, h.w, h.h)
	}
	// Rows are collected before the whole picture is allocated only when they
	// arrive: a header alone costs one row.
	rowBytes := h.rowBytes()
	row := make([]byte, rowBytes)
	sums := make([]uint32, w*h.channels)
	var pix []byte
	for y := range ht {
		clear(sums)
		for range factor {
			if _, err := io.ReadFull(br, row); err != nil {
				return nil, 0, fmt.Errorf("%w: row %d of %d: %w", ErrPicture, y*factor, h.h, err)
			}
			h.add(sums, row, w, factor)
		}
		if pix == nil {
			pix = make([]byte, 0, w*ht*h.outBytes())
		}
		n := uint32(factor * factor)
		for i := 0; i < len(sums); i += h.channels {
			for c := range h.channels {
				pix = append(pix, byte(sums[i+c]/n))
			}
			if h.channels == 3 {
				pix = append(pix, 255)
			}
		}
	}
	// What is left are fewer than factor rows; take them so that scanimage
	// can end by itself, but a missing one means that the scan broke off.
	for y := ht * factor; y < h.h; y++ {
		if _, err := io.ReadFull(br, row); err != nil {
			return nil, 0, fmt.Errorf("%w: row %d of %d: %w", ErrPicture, y, h.h, err)
		}
	}
	rect := image.Rect(0, 0, w, ht)
	if h.channels == 1 {
		return &image.Gray{Pix: pix, Stride: w, Rect: rect}, factor, nil
	}
	return &image.RGBA{Pix: pix, Stride: 4 * w, Rect: rect}, factor, nil
}

// header is what a PNM picture says of itself.
type header struct {
	kind     byte // '4', '5' or '6'
	w, h     int
	maxval   int
	channels int
}

func (h header) outBytes() int {
	if h.channels == 1 {
		return 1
	}
	return 4
}

func (h header) rowBytes() int {
	switch {
	case h.kind == '4':
		return (h.w + 7) / 8
	case h.maxval > 255:
		return h.w * h.channels * 2
	}
	return h.w * h.channels
}

// add adds the samples of one row to the sums, scaled to 0…255.
func (h header) add(sums []uint32, row []byte, w, factor int) {
	switch {
	case h.kind == '4':
		for x := range w * factor {
			if row[x/8]>>(7-x%8)&1 == 0 { // a set bit is black
				sums[x/factor] += 255
			}
		}
	case h.maxval > 255:
		for x := range w * factor {
			for c := range h.channels {
				i := (x*h.channels + c) * 2
				v := uint32(row[i])<<8 | uint32(row[i+1])
				sums[x/factor*h.channels+c] += min(v*255/uint32(h.maxval), 255)
			}
		}
	default:
		for x := range w * factor {
			for c := range h.channels {
				v := uint32(row[x*h.channels+c])
				if h.maxval != 255 {
					v = min(v*255/uint32(h.maxval), 255)
				}
				sums[x/factor*h.channels+c] += v
			}
		}
	}
}

func readHeader(br *bufio.Reader) (header, error) {
	var magic [2]byte
	if _, err := io.ReadFull(br, magic[:]); err != nil {
		return header{}, fmt.Errorf("%w: no picture: %w", ErrPicture, err)
	}
	h := header{kind: magic[1], maxval: 1, channels: 1}
	if magic[0] != 'P' || h.kind != '4' && h.kind != '5' && h.kind != '6' {
		return header{}, fmt.Errorf("%w: begins with %q, not with P4, P5 or P6", ErrPicture, magic[:])
	}
	if h.kind == '6' {
		h.channels = 3
	}
	var err error
	if h.w, err = readNumber(br, maxSide); err != nil {
		return header{}, err
	}
	if h.h, err = readNumber(br, maxSide); err != nil {
		return header{}, err
	}
	if h.kind != '4' {
		if h.maxval, err = readNumber(br, 65535); err != nil {
			return header{}, err
		}
	}
	return h, nil
}

// readNumber reads white space, comments and one decimal number of 1…limit
// with the single white space after it.
func readNumber(br *bufio.Reader, limit int) (int, error) {
	n, digits := 0, 0
	for range 4096 { // a header with more is no header
		b, err := br.ReadByte()
		if err != nil {
			return 0, fmt.Errorf("%w: header: %w", ErrPicture, err)
		}
		switch {
		case b >= '0' && b <= '9':
			n, digits = n*10+int(b-'0'), digits+1
			if n > limit {
				return 0, fmt.Errorf("%w: %d… in the header is more than %d", ErrPicture, n, limit)
			}
		case digits > 0 && (b == ' ' || b == '\n' || b == '\t' || b == '\r'):
			if n == 0 {
				return 0, fmt.Errorf("%w: 0 in the header", ErrPicture)
			}
			return n, nil
		case digits == 0 && b == '#':
			if _, err := br.ReadSlice('\n'); err != nil {
				return 0, fmt.Errorf("%w: comment: %w", ErrPicture, err)
			}
		case digits == 0 && (b == ' ' || b == '\n' || b == '\t' || b == '\r'):
		default:
			return 0, fmt.Errorf("%w: byte %#02x in the header", ErrPicture, b)
		}
	}
	return 0, fmt.Errorf("%w: header without an end", ErrPicture)
}
