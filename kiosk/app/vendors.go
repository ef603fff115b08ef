package app

import (
	"context"

	"cunban/device"
	"cunban/device/vendor"
	"cunban/kiosk/oplog"
)

// makeVendors makes the makers' drivers that the configuration names.
func (a *App) makeVendors() {
	a.lamps = newLampDesk(a.log)
	for _, v := range a.cfg.Devices.Vendor {
		d := vendor.New(vendor.Options{Name: v.Name, Program: v.Command, Args: v.Args, Logger: a.log})
		a.devices = append(a.devices, d)
		a.vendors = append(a.vendors, d)
		a.lamps.boards = append(a.lamps.boards, d)
	}
}

// selfTests tests every device of a kind, notes each, and returns the worst.
func (a *App) selfTests(ctx context.Context, k device.Kind) (worst device.Health, found bool) {
	for _, d := range a.devices {
		if d.Kind() != k {
			continue
		}
		h := d.SelfTest(ctx)
		a.Note(ctx, oplog.TechnicianSelfTest, outcomeOf(h.State.Usable()), "", map[string]string{"test": string(k), "code": h.Code})
		if !found || worst.State.Usable() && !h.State.Usable() {
			worst, found = h, true
		}
	}
	return worst, found
}
