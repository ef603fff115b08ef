package main

import (
	"context"
	"regexp"
	"strings"
)

// rekeyReboots is how many disks each cut leaves behind in the long run: what
// was not synced is kept, lost or torn in another way on each of them.
const rekeyReboots = "20"

var (
	saidRekeyCalls  = regexp.MustCompile(`rekey_test\.go:\d+: (\d+ calls)`)
	saidRotateCalls = regexp.MustCompile(`rotate_test\.go:\d+: (\d+ calls), \d+ times undone, \d+ times done`)
)

// proveRekey cuts the power at every call of a change of the data key and of a
// change of its source, on a simulated disk.
func proveRekey(ctx context.Context, e proofStage) ([]promise, error) {
	var env []string
	if e.long {
		env = append(env, "CUNBAN_REKEY_REBOOTS="+rekeyReboots)
	}
	ok, said, err := goTest(ctx, e.root, env, "./kiosk/vault", "^(TestRekeyCutAtEveryCall|TestRotateCutAtEveryCall)$")
	if err != nil {
		return nil, err
	}
	caught, _, err := goTest(ctx, e.root, nil, "./kiosk/vault", "^(TestRekeyCutsSeeMissingSyncs|TestRotateCutsSeeMissingSyncs)$")
	if err != nil {
		return nil, err
	}
	// A run that counted nothing proves nothing.
	measured := verdict(ok, said)
	rekeys, rotations := saidRekeyCalls.FindStringSubmatch(said), saidRotateCalls.FindStringSubmatch(said)
	if ok = ok && rekeys != nil && rotations != nil; ok {
		measured = strings.Join([]string{"rekey: " + rekeys[1], "rotate: " + rotations[1], "0 broken"}, ", ")
	}
	return []promise{{Name: "a power cut at any call of a rekey or rotation leaves all of it or nothing", Target: "0 broken, at every call",
		Measured: measured, Met: ok, Control: "each of: new database, keyring, folder not synced", ControlFailed: caught}}, nil
}
