package widget

import (
	"fmt"
	"image"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"

	qrcode "github.com/skip2/go-qrcode"

	"cunban/kiosk/ui/theme"
)

// Picture shows a photograph or the live picture of a camera, whole, on a dark
// ground, with a frame around the page that was found.
type Picture struct {
	base
	box     *canvas.Rectangle
	image   *canvas.Image
	frame   [4]*canvas.Line
	corners *[4]fyne.Position
	text    *Text
	feed    feed
}

// NewPicture returns an empty picture that says text until an image is set.
func NewPicture(look *theme.Look, text string) *Picture {
	p := &Picture{}
	p.look = look
	c := look.C()
	p.box = &canvas.Rectangle{FillColor: c.Shade, CornerRadius: look.Radius() * 1.5}
	if look.Palette == theme.HighContrast {
		p.box.StrokeColor, p.box.StrokeWidth = c.Line, look.Stroke()
	}
	p.image = &canvas.Image{FillMode: canvas.ImageFillContain, ScaleMode: canvas.ImageScaleFastest}
	p.text = NewText(look, text).Coloured(c.OnShade).Sized(look.Body() * 1.1).Centred()
	for i := range p.frame {
		p.frame[i] = &canvas.Line{StrokeColor: c.Frame, StrokeWidth: look.MM(1.8)}
	}
	p.arrange = p.lay
	p.smallest = func() fyne.Size { return fyne.NewSize(look.MM(60), look.MM(45)) }
	p.collect()
	p.ExtendBaseWidget(p)
	return p
}

func (p *Picture) collect() {
	p.kids = append(p.kids[:0:0], p.box)
	if p.image.Image == nil {
		p.kids = append(p.kids, p.text)
		return
	}
	p.kids = append(p.kids, p.image)
	if p.corners != nil {
		for _, l := range p.frame {
			p.kids = append(p.kids, l)
		}
	}
}

// SetImage swaps the image; nil takes it away. The caller may not draw into
// img any more.
func (p *Picture) SetImage(img image.Image) {
	had := p.image.Image != nil
	p.image.Image = img
	if had != (img != nil) {
		p.collect()
		p.Refresh()
		return
	}
	p.arrange(p.Size())
	p.image.Refresh()
}

// SetFrame draws a frame with corners from (0,0) to (1,1) of the image, going
// round; nil takes it away.
func (p *Picture) SetFrame(corners *[4]fyne.Position) {
	p.corners = corners
	p.collect()
	p.Refresh()
}

// SetText changes what is said while there is no image.
func (p *Picture) SetText(s string) { p.text.SetText(s) }

// Release zeroes the pixels, if the image is of a kind that can be, and lets
// go of it.
func (p *Picture) Release() {
	switch img := p.image.Image.(type) {
	case *image.NRGBA:
		clear(img.Pix)
	case *image.RGBA:
		clear(img.Pix)
	case *image.Gray:
		clear(img.Pix)
	case *image.YCbCr:
		clear(img.Y)
		clear(img.Cb)
		clear(img.Cr)
	}
	p.corners = nil
	p.SetImage(nil)
}

func (p *Picture) lay(s fyne.Size) {
	place(p.box, 0, 0, s.Width, s.Height)
	in := p.look.MM(3)
	h := HeightFor(p.text, s.Width-2*in)
	place(p.text, in, (s.Height-h)/2, s.Width-2*in, h)
	place(p.image, in, in, s.Width-2*in, s.Height-2*in)
	p.feed.fits(p, s.Width-2*in, s.Height-2*in)
	if p.image.Image == nil || p.corners == nil {
		return
	}
	b := p.image.Image.Bounds()
	if b.Empty() {
		return
	}
	k := min((s.Width-2*in)/float32(b.Dx()), (s.Height-2*in)/float32(b.Dy()))
	w, hh := float32(b.Dx())*k, float32(b.Dy())*k
	x, y := (s.Width-w)/2, (s.Height-hh)/2
	at := func(q fyne.Position) fyne.Position { return fyne.NewPos(x+q.X*w, y+q.Y*hh) }
	for i, l := range p.frame {
		l.Position1, l.Position2 = at(p.corners[i]), at(p.corners[(i+1)%4])
	}
}

// QR shows content as a QR code (GB/T 18284, ISO/IEC 18004) on white, px high
// and wide, with level M error correction. Content too long for a code (2,331
// bytes) is an error.
func QR(look *theme.Look, content string, px float32) (fyne.CanvasObject, error) {
	code, err := qrcode.New(content, qrcode.Medium)
	if err != nil {
		return nil, fmt.Errorf("widget: make QR code: %w", err)
	}
	bits := code.Bitmap() // with the quiet zone of four modules
	n := len(bits)
	// Whole pixels for each module, so that a scanner reads it from the screen.
	k := max(1, int(px)/n)
	img := image.NewGray(image.Rect(0, 0, n*k, n*k))
	for y, row := range bits {
		for x, on := range row {
			v := uint8(0xff)
			if on {
				v = 0
			}
			for dy := range k {
				for dx := range k {
					img.Pix[(y*k+dy)*img.Stride+x*k+dx] = v
				}
			}
		}
	}
	pic := &canvas.Image{Image: img, FillMode: canvas.ImageFillContain, ScaleMode: canvas.ImageScalePixels}
	pic.SetMinSize(fyne.NewSize(float32(n*k), float32(n*k)))
	room := &canvas.Rectangle{FillColor: look.C().Paper, CornerRadius: look.Radius()}
	return Fixed(px, px, Over(room, Middle(pic))), nil
}
