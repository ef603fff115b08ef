package main

import (
	"context"
	"fmt"
	"strings"
)

// proveReceipt has receipts and exported logs checked by the manual's scripts,
// which know nothing of our code, and receipts read from the printed page.
func proveReceipt(ctx context.Context, e proofStage) ([]promise, error) {
	flips := 25
	if e.long {
		flips = 1000
	}
	env := []string{fmt.Sprintf("CUNBAN_FLIPS=%d", flips)}
	const oplog, paper = "./kiosk/oplog", "./kiosk/paper"
	taken, takenSaid, err := goTest(ctx, e.root, nil, oplog, "^(TestScriptProvesReceipts|TestScriptProvesLogs|TestManualExample)$")
	if err != nil {
		return nil, err
	}
	refused, refusedSaid, err := goTest(ctx, e.root, env, oplog, "^(TestScriptRefusesReceipts|TestScriptRefusesLogs)$")
	if err != nil {
		return nil, err
	}
	blind, _, err := goTest(ctx, e.root, nil, oplog, "^TestBlindScriptsTakeForgeries$")
	if err != nil {
		return nil, err
	}
	read, readSaid, err := goTest(ctx, e.root, nil, paper, "^TestCodeIsRead$")
	if err != nil {
		return nil, err
	}
	said := func(ok bool, good, said string) string {
		if ok {
			return good
		}
		return verdict(false, said)
	}
	return []promise{
		{Name: "receipts and logs are proved with openssl alone", Target: "all sizes, 1 to 100,001 records", Measured: said(taken, "all taken", takenSaid),
			Met: taken, Control: "with another key they are refused", ControlFailed: refused},
		{Name: "no changed receipt or log passes without our code", Target: fmt.Sprintf("0 of %d", 3*flips), Measured: said(refused, fmt.Sprintf("0 of %d", 3*flips), refusedSaid),
			Met: refused, Control: "scripts that check no signature", ControlFailed: blind},
		{Name: "a receipt's code is read from paper", Target: "10 to 10,000,000 records, 200 and 300 dpi, askew, blurred", Measured: said(read, "all read", readSaid),
			Met: read, Control: "at one dot a module it is not", ControlFailed: read && strings.Count(readSaid, "one dot a module: not read") == codesRead},
	}, nil
}

// codesRead is how many sizes of logs TestCodeIsRead prints.
const codesRead = 5
