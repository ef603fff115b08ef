package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"strings"

	"golang.org/x/image/draw"

	"cunban/device"
	"cunban/device/scan/imaging"
	"cunban/kiosk/cases"
	"cunban/kiosk/paper"
	"cunban/kiosk/ui"
)

// source is a driver that gives pages, with its words: each explains its own
// errors.
type source struct {
	device.DocumentSource
	name    string // 扫描仪
	verb    string // what is done with it: 扫, 拍
	explain func(error) (code, cause, remedy string)
}

func (a *App) addSource(s source) {
	a.sources = append(a.sources, s)
	a.devices = append(a.devices, s.DocumentSource)
}

// Sources implements ui.Backend.
func (a *App) Sources() []ui.Source {
	var out []ui.Source
	for _, s := range a.sources {
		_, live := s.DocumentSource.(device.Previewer)
		out = append(out, ui.Source{Kind: s.Kind(), Name: s.name, Live: live, Health: s.Health()})
	}
	return out
}

// sourceOf is the source of a kind. Error: *ui.Trouble.
func (a *App) sourceOf(k device.Kind) (source, error) {
	for _, s := range a.sources {
		if s.Kind() == k {
			return s, nil
		}
	}
	return source{}, plain("SC-91", "没有这个扫描设备", "请先按“以后补交”，或请帮办拍", errors.New("no source "+string(k)))
}

// trouble gives an error of a source its words, among them that no page is lost.
func (s source) trouble(err error) error {
	code, cause, remedy := s.explain(err)
	if kept := s.verb + "好的页都在"; !strings.Contains(remedy, kept) {
		remedy = also(remedy, "已经"+kept)
	}
	// Pages go on from here, and put the stops themselves.
	return plain(code, strings.TrimSuffix(cause, "。"), strings.TrimSuffix(remedy, "。"), err)
}

// previewWidth is how wide a captured page is shown, in pixels.
const previewWidth = 900

// Take implements ui.Backend.
func (a *App) Take(ctx context.Context, k device.Kind) (ui.Shot, error) {
	release := a.sess.Hold()
	defer release()
	s, err := a.sourceOf(k)
	if err != nil {
		return ui.Shot{}, err
	}
	dark := a.lamps.hold(device.LampScanner)
	page, err := s.Capture(ctx)
	dark()
	if err != nil {
		return ui.Shot{}, s.trouble(err)
	}
	// The whole picture shows more than the page: it goes as soon as it can.
	defer ui.WipeImage(page.Image)
	data, v, err := imaging.Prepare(page.Image, imaging.Options{DPI: page.DPI, Camera: page.Kind == device.KindDocCamera})
	if err != nil {
		return ui.Shot{}, plain("SC-90", "这一页没有处理好", fmt.Sprintf("请再%s一次。已经%[1]s好的页都在", s.verb), err)
	}
	small, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return ui.Shot{}, fmt.Errorf("show the page: %w", err)
	}
	return ui.Shot{JPEG: data, Preview: shrink(small, previewWidth), OK: v.OK, Words: v.Words, Blank: v.Fault == imaging.Blank, Card: v.Card, Source: page.Source}, nil
}

// BothSides implements ui.Backend.
func (a *App) BothSides(_ context.Context, front, back ui.Shot) (ui.Shot, error) {
	data, err := imaging.BothSides(front.JPEG, back.JPEG)
	if err != nil {
		return ui.Shot{}, plain("SC-93", "两面没有放到一页上", "请把卡放平，再拍一次反面。正面还在", err)
	}
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return ui.Shot{}, fmt.Errorf("show both sides: %w", err)
	}
	small := shrink(img, previewWidth)
	if small != img {
		ui.WipeImage(img)
	}
	s := ui.Shot{JPEG: data, Preview: small, OK: front.OK && back.OK, Words: front.Words, Sides: 2, Source: back.Source}
	if front.OK {
		s.Words = back.Words
	}
	return s, nil
}

// bundled makes one PDF of the pages of each material that has several, in their
// order, so that the county opens a paper as it was: in one piece. Pages that
// cannot be bundled go as they are. What is replaced is cleared.
func (a *App) bundled(scans []cases.Scan) []cases.Scan {
	var out []cases.Scan
	for i := 0; i < len(scans); {
		n := i + 1
		for n < len(scans) && scans[n].Material == scans[i].Material {
			n++
		}
		of := scans[i:n]
		i = n
		if pdf := a.onePDF(of); pdf != nil {
			out = append(out, cases.Scan{Material: of[0].Material, Page: 1, MIME: "application/pdf", Data: pdf})
			for _, s := range of {
				clear(s.Data)
			}
			continue
		}
		out = append(out, of...)
	}
	return out
}

// onePDF is nil where there is nothing to bundle.
func (a *App) onePDF(of []cases.Scan) []byte {
	if len(of) < 2 {
		return nil
	}
	var pages [][]byte
	total := 0
	for _, s := range of {
		if s.MIME != "image/jpeg" {
			return nil
		}
		pages = append(pages, s.Data)
		total += len(s.Data)
	}
	if total > mostBundle {
		return nil
	}
	pdf, err := paper.Bundle(pages)
	if err != nil {
		a.log.Warn("pages of a material go one by one", "err", err)
		return nil
	}
	return pdf
}

// mostBundle leaves room under what a sealed file may have.
const mostBundle = 20 << 20

// shrink makes a picture at most width pixels wide.
func shrink(img image.Image, width int) image.Image {
	b := img.Bounds()
	if b.Dx() <= width {
		return img
	}
	out := image.NewRGBA(image.Rect(0, 0, width, b.Dy()*width/b.Dx()))
	draw.ApproxBiLinear.Scale(out, out.Rect, img, b, draw.Src, nil)
	return out
}
