package main

import (
	"context"
	"regexp"
)

// proveVendor runs makers' drivers that crash, hang, flood, lie and leave
// children behind.
func proveVendor(ctx context.Context, e proofStage) ([]promise, error) {
	row, err := shownBy{name: "a maker's driver that crashes, hangs, floods or lies costs one device, says so, and heals", target: "all of them",
		pkg: "./device/vendor", test: "^TestHostileDriversAreContained$", said: regexp.MustCompile(`hostile: (\d+ of \d+ .*)`),
		control: "a slot that waits for ever for a driver that hangs", planted: "patient"}.prove(ctx, e.root)
	if err != nil {
		return nil, err
	}
	return []promise{row}, nil
}
