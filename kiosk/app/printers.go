package app

import (
	"context"
	"image"
	"strings"

	"cunban/device"
	"cunban/kiosk/oplog"
	"cunban/kiosk/paper"
)

// slipZoom makes a receipt on a roll, which is a third as wide as A4, as clear on
// the screen.
const slipZoom = 2

// Preview implements ui.Backend.
func (a *App) Preview(ctx context.Context, pdf []byte, page, dpi int) (image.Image, error) {
	if paper.IsSlip(pdf) {
		dpi = min(slipZoom*dpi, paper.MaxDPI)
	}
	p, err := a.renderer.Render(ctx, pdf, page, dpi)
	if err != nil {
		return nil, err
	}
	return p.Image()
}

// prints reports whether a printer is there and likely to print.
func prints(p device.Printer) bool {
	if p == nil {
		return false
	}
	switch p.Health().State {
	case device.StateReady, device.StateLow, device.StateBusy, device.StateUnknown:
		return true
	case device.StateAbsent, device.StateFault:
	}
	return false
}

// onRoll reports whether receipts are made for the receipt printer now: where
// there is one, unless it cannot print and the page printer can.
func (a *App) onRoll() bool {
	return a.roll != nil && (prints(a.roll) || !prints(a.printer))
}

// printerOf is the printer whose paper a document is made for, nil when there is
// none.
func (a *App) printerOf(pdf []byte) device.Printer {
	if paper.IsSlip(pdf) {
		return a.roll
	}
	return a.printer
}

// Printer implements ui.Backend.
func (a *App) Printer() device.Health {
	switch {
	case a.printer != nil:
		return a.printer.Health()
	case a.roll != nil:
		return a.roll.Health()
	}
	return a.noPrinter()
}

// noPrinter says that there is none for a paper, and what still works.
func (a *App) noPrinter() device.Health {
	h := device.Health{Kind: device.KindPagePrinter, State: device.StateAbsent, Cause: "这台机器没有接打印机",
		Remedy: "办件不受影响，要纸质回执请帮办员打印"}
	if a.roll != nil {
		h.Cause, h.Remedy = "这张纸要用 A4 打印机，这台机器只接了小票打印机", "办件不受影响，要这张纸请帮办员打印"
	}
	return h
}

// Print implements ui.Backend.
func (a *App) Print(ctx context.Context, title string, pdf []byte, progress func(string)) (device.PrintResult, error) {
	release := a.sess.Hold()
	defer release()
	printer := a.printerOf(pdf)
	if printer == nil {
		h := a.noPrinter()
		return device.PrintResult{End: device.PrintFailed, Cause: h.Cause, Remedy: h.Remedy}, nil
	}
	a.Note(ctx, oplog.PrintBegin, oplog.Begin, "", map[string]string{"paper": title})
	a.spooled.Store(true)
	r, err := printer.Print(ctx, title, pdf, progress)
	if err == nil && r.End == device.PrintDone {
		a.spooled.Store(false)
	}
	out, fields := oplog.End, map[string]string{"paper": title}
	if err != nil || r.End != device.PrintDone {
		out = oplog.Failed
		fields["reason"] = string(r.End)
	}
	a.Note(context.WithoutCancel(ctx), oplog.PrintEnd, out, "", fields)
	if err != nil {
		h := printer.Health()
		// What Print says is about this paper; the printer's condition may have
		// changed since.
		return r, plain(first(h.Code, "PR-90"), first(r.Cause, first(h.Cause, "打印机没有回应")),
			also(first(r.Remedy, first(h.Remedy, "请检查打印机的电源和纸")), "事情不受影响，回执随时可以补打"), err)
	}
	r.Remedy = strings.TrimSuffix(r.Remedy, "。") // the page goes on from here
	return r, nil
}
