package main

import (
	"context"
	"regexp"
	"strings"
)

// proveKill kills the program again and again.
func proveKill(ctx context.Context, e proofStage) ([]promise, error) {
	rounds := "20"
	if e.long {
		rounds = "1000"
	}
	ok, said, err := goTest(ctx, e.root, []string{"CUNBAN_KILLS=" + rounds}, "./kiosk/vault", "^TestKill$")
	if err != nil {
		return nil, err
	}
	// The control says "saved" before it saves.
	lied, liedSaid, err := goTest(ctx, e.root, []string{"CUNBAN_KILLS=20", "CUNBAN_KILL_LIES=1"}, "./kiosk/vault", "^TestKill$")
	if err != nil {
		return nil, err
	}
	return []promise{{Name: "kill -9 loses nothing that was said to be saved", Target: "0 of " + rounds + " kills", Measured: verdict(ok, said), Met: ok,
		Control: "a program that speaks before it saves", ControlFailed: !lied && strings.Contains(liedSaid, "was said to be")}}, nil
}

var (
	saidFaults = regexp.MustCompile(`(\d+ faults, \d+ not borne)`)
	saidStarts = regexp.MustCompile(`(\d+ failed syncs, then \d+ cuts)`)
)

// proveFaults lets every call of the file system fail.
func proveFaults(ctx context.Context, e proofStage) ([]promise, error) {
	ok, said, err := goTest(ctx, e.root, nil, "./kiosk/vault", "^(TestFaultAtEveryCall|TestCutInStartAfterFailedSync|TestDiskFull)$")
	if err != nil {
		return nil, err
	}
	caught, _, err := goTest(ctx, e.root, nil, "./kiosk/vault", "^TestFaultSweepSees$")
	if err != nil {
		return nil, err
	}
	measured := verdict(ok, said)
	if ok {
		measured = saidFaults.FindString(said) + "; " + saidStarts.FindString(said)
	}
	return []promise{{Name: "a disk that fails at any call (EIO, full, short, lost sync) costs nothing that was said to be saved", Target: "0 lost, and said in words",
		Measured: measured, Met: ok, Control: "a program that does not listen to failed syncs", ControlFailed: caught}}, nil
}

// provePower pulls the plug of a simulated disk.
func provePower(ctx context.Context, e proofStage) ([]promise, error) {
	cuts := "5000"
	if e.long {
		cuts = "100000"
	}
	ok, said, err := goTest(ctx, e.root, []string{"CUNBAN_CUTS=" + cuts}, "./kiosk/vault", "^TestPowerCuts$")
	if err != nil {
		return nil, err
	}
	lost, _, err := goTest(ctx, e.root, nil, "./kiosk/vault", "^TestPowerCutsSee$")
	if err != nil {
		return nil, err
	}
	return []promise{{Name: "a power cut loses nothing that was said to be saved", Target: "0 of " + cuts + " cuts", Measured: verdict(ok, said), Met: ok,
		Control: "each of: synchronous=NORMAL, powersafe overwrite claimed, directories not synced, syncs that lie", ControlFailed: lost}}, nil
}
