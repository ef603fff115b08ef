package scan

import (
	"bufio"
	"fmt"
	"image"
	"image/draw"
	_ "image/jpeg" // formats a clerk's computer saves
	_ "image/png"
	"io"
	"os"
)

// decodeFile reads one picture file of a folder.
func decodeFile(root *os.Root, name string) (image.Image, error) {
	file, err := root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("scan: page: %w", err)
	}
	defer func() { _ = file.Close() }()
	return decodeImage(file)
}

// decodeImage decodes a PNG or JPEG after its header showed that it fits into
// memory, and shrinks it by a whole number until at most maxPixels are left.
// Error: ErrPicture.
func decodeImage(r io.ReadSeeker) (image.Image, error) {
	c, _, err := image.DecodeConfig(bufio.NewReader(r))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPicture, err)
	}
	if c.Width <= 0 || c.Height <= 0 || c.Width > maxSide || c.Height > maxSide ||
		c.Width*c.Height > maxDecodedBytes/4 {
		return nil, fmt.Errorf("%w: %d×%d pixels", ErrPicture, c.Width, c.Height)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("scan: page: %w", err)
	}
	img, _, err := image.Decode(bufio.NewReader(r))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPicture, err)
	}
	return shrink(img, maxPixels), nil
}

// shrink averages factor×factor pixels, factor being the smallest that keeps
// at most keep pixels. Band by band, so that no second copy of the full
// picture is made.
func shrink(img image.Image, keep int) image.Image {
	b := img.Bounds()
	factor := 1
	for (b.Dx()/factor)*(b.Dy()/factor) > keep {
		factor++
	}
	if factor == 1 {
		return img
	}
	w, h := b.Dx()/factor, b.Dy()/factor
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	band := image.NewRGBA(image.Rect(0, 0, w*factor, factor))
	n := uint32(factor * factor)
	for y := range h {
		draw.Draw(band, band.Rect, img, image.Pt(b.Min.X, b.Min.Y+y*factor), draw.Src)
		for x := range w {
			var sum [4]uint32
			for dy := range factor {
				i := dy*band.Stride + x*factor*4
				for range factor {
					for c := range 4 {
						sum[c] += uint32(band.Pix[i+c])
					}
					i += 4
				}
			}
			o := y*out.Stride + x*4
			for c := range 4 {
				out.Pix[o+c] = byte(sum[c] / n)
			}
		}
	}
	return out
}
