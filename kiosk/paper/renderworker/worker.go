// Package renderworker is the process that draws PDF pages for kiosk/paper. It
// exists because MuPDF is a C library that may crash, hang or eat memory on a
// broken document: here it can do so without harm.
//
// It guarantees: before the first document is opened the process has given up
// memory beyond a limit, files of its own, and core dumps (a page holds
// personal data); each page has a limit of processor time; a document that
// cannot be drawn is answered with a message.
//
// Main is all that a program needs: the terminal calls it for "kiosk render".
package renderworker

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"

	"github.com/gen2brain/go-fitz"

	"cunban/kiosk/paper"
)

// Limits of the process.
const (
	MemoryBytes = 1 << 30 // private memory
	PageSeconds = 10      // processor time of one page
	maxPixels   = 20_000_000
)

// Main limits the process and serves r and w until r ends. It returns the
// program's exit code.
func Main(r io.Reader, w, stderr io.Writer) int {
	if err := limit(); err != nil {
		fmt.Fprintln(stderr, "render:", err)
		return 1
	}
	if err := Serve(r, w); err != nil {
		fmt.Fprintln(stderr, "render:", err)
		return 1
	}
	return 0
}

// Serve answers requests (see paper.ParseRequest) one by one until r ends,
// which is no error.
func Serve(r io.Reader, w io.Writer) error {
	for {
		b, err := paper.ReadFrame(r, paper.MaxPDF+64)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := moreTime(); err != nil {
			return err
		}
		page, dpi, pdf, err := paper.ParseRequest(b)
		var picture []byte
		pages := 0
		if err == nil {
			picture, pages, err = draw(pdf, page, dpi)
		}
		if err != nil {
			err = paper.WriteFrame(w, paper.ReplyHead(paper.StatusRefused, pages), []byte(err.Error()))
		} else {
			err = paper.WriteFrame(w, paper.ReplyHead(paper.StatusPicture, pages), picture)
		}
		if err != nil {
			return err
		}
	}
}

// draw renders one page as PNG.
func draw(pdf []byte, page, dpi int) (picture []byte, pages int, err error) {
	// MuPDF opens many formats by their looks; only PDF is ours.
	if !bytes.Contains(pdf[:min(len(pdf), 1024)], []byte("%PDF-")) {
		return nil, 0, errors.New("not a PDF")
	}
	doc, err := fitz.NewFromMemory(pdf)
	if err != nil {
		return nil, 0, fmt.Errorf("open: %w", err)
	}
	defer func() { _ = doc.Close() }()
	pages = doc.NumPage()
	if page >= pages {
		return nil, pages, fmt.Errorf("page %d of %d", page+1, pages)
	}
	size, err := doc.Bound(page) // in points
	if err != nil {
		return nil, pages, fmt.Errorf("page %d: %w", page+1, err)
	}
	if px := float64(size.Dx()) * float64(size.Dy()) * float64(dpi*dpi) / (72 * 72); px < 1 || px > maxPixels {
		return nil, pages, fmt.Errorf("page %d is %v points", page+1, size)
	}
	img, err := doc.ImageDPI(page, float64(dpi))
	if err != nil {
		return nil, pages, fmt.Errorf("page %d: %w", page+1, err)
	}
	var b bytes.Buffer
	// The picture only crosses a pipe: time counts, size does not.
	enc := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := enc.Encode(&b, image.Image(img)); err != nil {
		return nil, pages, fmt.Errorf("page %d: %w", page+1, err)
	}
	return b.Bytes(), pages, nil
}
