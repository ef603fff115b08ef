package main

import (
	"context"
	"regexp"
	"strings"
)

// rekeyReboots is how many disks each cut leaves behind in the long run: what
// was not synced is kept, lost or torn in another way on each of them.
const rekeyReboots = "20"

// How often each of the two commands is killed.
const (
	rekeyKills     = "20"
	rekeyKillsLong = "200"
)

var (
	saidRekeyCalls  = regexp.MustCompile(`rekey_test\.go:\d+: (\d+ calls)`)
	saidKeyKills    = regexp.MustCompile(`keykill_test\.go:\d+: (\d+ kills, \d+ before, \d+ half-way, \d+ after the change)`)
	saidRotateCalls = regexp.MustCompile(`rotate_test\.go:\d+: (\d+ calls), \d+ times undone, \d+ times done`)
)

// proveRekey cuts the power at every call of a change of the data key and of a
// change of its source, on a simulated disk; and it kills the real commands.
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
	cut := promise{Name: "a power cut at any call of a rekey or rotation leaves all of it or nothing", Target: "0 broken, at every call",
		Measured: measured, Met: ok, Control: "each of: new database, keyring, folder not synced", ControlFailed: caught}
	kill, err := proveKeyKills(ctx, e)
	return []promise{cut, kill}, err
}

// proveKeyKills kills kioskctl vault rekey and rotate as processes.
func proveKeyKills(ctx context.Context, e proofStage) (promise, error) {
	rounds := rekeyKills
	if e.long {
		rounds = rekeyKillsLong
	}
	row := promise{Name: "kill -9 of kioskctl vault rekey and rotate leaves the vault whole, and run again it ends", Target: "0 broken, " + rounds + " kills of each",
		Control: "a rekey over the old database, a rotation that takes the old key away first"}
	ok, said, err := goTest(ctx, e.root, []string{"CUNBAN_REKEY_KILLS=" + rounds}, "./cmd/kioskctl", "^(TestKillRekey|TestKillRotate)$")
	if err != nil {
		return row, err
	}
	row.Measured = verdict(ok, said)
	// A run that counted nothing proves nothing.
	if kills := saidKeyKills.FindAllStringSubmatch(said, -1); ok && len(kills) == 2 {
		row.Met = true
		row.Measured = "rekey: " + kills[0][1] + "; rotate: " + kills[1][1] + "; 0 broken"
	}
	row.ControlFailed, _, err = goTest(ctx, e.root, nil, "./cmd/kioskctl", "^(TestKillsSeeCarelessRekey|TestKillsSeeCarelessRotate)$")
	return row, err
}
