package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"

	"cunban/device"
	"cunban/device/pcsc"
	"cunban/device/print"
	"cunban/device/print/escpos"
	"cunban/device/scan"
	"cunban/device/scan/camera"
	"cunban/device/vendor"
	"cunban/kiosk/app/control"
	"cunban/kiosk/app/doctor"
)

// gradeMarks are how findings look on a terminal.
var gradeMarks = map[doctor.Grade]string{doctor.Good: "好", doctor.Skipped: "不用", doctor.Warn: "注意", doctor.Bad: "不好"}

// doctor looks over the machine. Devices are asked through the running program,
// or opened here when none runs. Exit code 1 when something is bad.
func (c *command) doctor(args []string) int {
	if code := c.flags("doctor", args, nil); code != exitOK {
		return code
	}
	if code := c.load(); code != exitOK {
		return code
	}
	probe := c.opened // nobody else has the devices
	var list []device.Health
	raw, err := c.question("devices")
	if err == nil {
		err = json.Unmarshal(raw, &list)
	}
	switch {
	case err == nil:
		probe = func(_ context.Context, k device.Kind) (device.Health, bool) {
			return worst(list, k)
		}
	case !errors.Is(err, control.ErrNotRunning):
		return c.fail(err)
	}
	all := doctor.Examine(c.ctx, doctor.Machine{Probe: probe}, c.cfg)
	if c.json {
		if code := c.print(all); code != exitOK {
			return code
		}
	} else {
		for _, f := range all {
			fmt.Fprintf(c.out, "[%s] %s：%s\n", gradeMarks[f.Grade], f.Title, f.Found)
			if f.Remedy != "" {
				fmt.Fprintf(c.out, "      办法：%s\n", f.Remedy)
			}
			if f.Detail != "" && f.Grade != doctor.Good {
				fmt.Fprintf(c.out, "      (%s)\n", f.Detail)
			}
		}
	}
	if doctor.Worst(all) == doctor.Bad {
		return exitFailed
	}
	return exitOK
}

// opened opens a device of the configuration and tells how it is. Another kind
// than those is not probed.
func (c *command) opened(ctx context.Context, k device.Kind) (device.Health, bool) {
	auto := func(s string) string {
		if s == "auto" {
			return ""
		}
		return s
	}
	d := c.cfg.Devices
	switch k {
	case device.KindCardReader:
		return settled(ctx, pcsc.New(pcsc.Options{Reader: auto(d.CardReader)}))
	case device.KindScanner:
		return settled(ctx, scan.NewSANE(scan.SANEOptions{Device: auto(d.Scanner), ConfigDir: d.SaneConfig}))
	case device.KindDocCamera:
		// Run only looks whether it is there; a picture says whether it works.
		return camera.New(camera.Options{Path: auto(d.DocCamera)}).SelfTest(ctx), true
	case device.KindVendor:
		var all []device.Health
		for _, v := range d.Vendor {
			if h, ok := settled(ctx, vendor.New(vendor.Options{Name: v.Name, Program: v.Command, Args: v.Args})); ok {
				all = append(all, h)
			}
		}
		return worst(all, k)
	case device.KindPagePrinter:
		p, err := print.New(print.Options{URI: d.Printer})
		if err != nil {
			return device.Health{Kind: k, State: device.StateFault, Cause: "打印机的地址写得不对。", Remedy: "改正配置里的 devices.printer。", Detail: err.Error()}, true
		}
		return settled(ctx, p)
	case device.KindReceiptPrint:
		p, err := escpos.New(escpos.Options{Target: d.ReceiptPrinter, Raster: nothingToPrint})
		if err != nil {
			return device.Health{Kind: k, State: device.StateFault, Cause: "小票打印机的地址写得不对。", Remedy: "改正配置里的 devices.receipt_printer。", Detail: err.Error()}, true
		}
		return settled(ctx, p)
	}
	return device.Health{}, false
}

// nothingToPrint stands in a driver that is only asked how its printer is.
func nothingToPrint(context.Context, []byte, int) ([]image.Image, error) {
	return nil, errors.New("nothing is printed here")
}

// worst is the first of a kind that does not work, or else the first.
func worst(list []device.Health, k device.Kind) (out device.Health, found bool) {
	for _, h := range list {
		if h.Kind == k && (!found || out.State.Usable() && !h.State.Usable()) {
			out, found = h, true
		}
	}
	return out, found
}

// settled runs a driver until it knows how its device is.
func settled(ctx context.Context, d device.Device) (device.Health, bool) {
	run, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	known := make(chan struct{}, 1)
	cancel := d.Subscribe(func(e device.Event) {
		if e.Health != nil && e.Health.State != device.StateUnknown {
			select {
			case known <- struct{}{}:
			default:
			}
		}
	})
	go func() {
		defer close(ended)
		_ = d.Run(run) // ends with its context
	}()
	select {
	case <-known:
	case <-ctx.Done():
	}
	h := d.Health()
	cancel()
	stop()
	<-ended
	return h, h.State != device.StateUnknown
}
