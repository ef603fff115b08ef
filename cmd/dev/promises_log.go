package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
)

const (
	// exportRounds is how many single changes of an exported log go through the
	// program; the mass of them goes through the package.
	exportRounds = 60
	// vaultRounds are changes of the open database; a twenty-fifth of them can only
	// be seen by the county and do not count.
	vaultRounds     = "10500"
	vaultRoundsLong = "1050000"
)

var saidTampered = regexp.MustCompile(`found (\d+ of \d+) changes, the right record named; (\d+) more that only the county can see`)

// proveTamper changes the log in the open database, and exported.
func proveTamper(ctx context.Context, e proofStage) ([]promise, error) {
	rounds, target := vaultRounds, "all of ≥ 10,000"
	if e.long {
		rounds, target = vaultRoundsLong, "all of ≥ 1,000,000"
	}
	ok, said, err := goTest(ctx, e.root, []string{"CUNBAN_TAMPER=" + rounds}, "./kiosk/vault", "^TestTamper$")
	if err != nil {
		return nil, err
	}
	blind, _, err := goTest(ctx, e.root, nil, "./kiosk/vault", "^TestTamperNoticesBlindness$")
	if err != nil {
		return nil, err
	}
	measured := verdict(ok, said)
	if m := saidTampered.FindStringSubmatch(said); ok && m != nil {
		measured = m[1] + " found and rightly named; " + m[2] + " only the county can see, and would"
	}
	export, err := proveExport(ctx, e)
	if err != nil {
		return nil, err
	}
	county, saidCounty, err := goTest(ctx, e.root, nil, "./sync/upstream", "^TestCheckpoints$")
	if err != nil {
		return nil, err
	}
	forgetful, _, err := goTest(ctx, e.root, nil, "./sync/upstream", "^TestForgetfulCounty$")
	if err != nil {
		return nil, err
	}
	return []promise{
		{Name: "any change of the operation log in the vault is found, the right record named", Target: target, Measured: measured, Met: ok,
			Control: "each of: tree nodes, columns, checkpoints, MACs not looked at", ControlFailed: blind},
		export,
		{Name: "the county refuses a smaller, forked or foreign checkpoint, and remembers", Target: "all refused", Measured: verdict(county, saidCounty), Met: county,
			Control: "a county that remembers nothing takes a smaller one", ControlFailed: forgetful},
	}, nil
}

// proveExport changes an exported log and has kioskctl verify it.
func proveExport(ctx context.Context, e proofStage) (promise, error) {
	every, said, err := goTest(ctx, e.root, nil, "./kiosk/oplog", "^(TestEveryBitOfAnExport|TestPlainTampering|TestCleverTampering|TestCheckpointTampering|TestCutTail)$")
	if err != nil {
		return promise{}, err
	}
	blind, _, err := goTest(ctx, e.root, nil, "./kiosk/oplog", "^TestBlindVerifier$")
	if err != nil {
		return promise{}, err
	}
	s, _, err := enrolledStage(ctx, benchStage{root: e.root, bin: e.bin, rounds: 1})
	defer strikeAll(s)
	if err != nil {
		return promise{}, err
	}
	export := filepath.Join(s.dir, "log.txt")
	if _, err := output(ctx, nil, s.prog("kioskctl"), "log", "export", "--config", s.config, "--out", export); err != nil {
		return promise{}, err
	}
	log, err := os.ReadFile(export)
	if err != nil {
		return promise{}, fmt.Errorf("read the log: %w", err)
	}
	verify := func(b []byte) bool {
		f := filepath.Join(s.dir, "changed.txt")
		if os.WriteFile(f, b, 0o600) != nil {
			return true // counts as not seen
		}
		_, err := output(ctx, nil, s.prog("kioskctl"), "log", "verify", "--file", f, "--key", export+".pem")
		return err == nil
	}
	// A verifier that always says no would be of no use. Changed is a character, a
	// line dropped, two lines swapped.
	whole := verify(log)
	seen := 0
	rng := rand.New(rand.NewPCG(1, 2))
	for range exportRounds {
		if !verify(tamper(log, rng)) {
			seen++
		}
	}
	measured := fmt.Sprintf("every bit; %d of %d through kioskctl", seen, exportRounds)
	if !every {
		measured += "; " + verdict(every, said)
	}
	return promise{Name: "any change of an exported log is found", Target: "every bit of one, all of " + fmt.Sprint(exportRounds) + " by kioskctl",
		Measured: measured, Met: every && whole && seen == exportRounds, Control: "each of: nodes, notes, MACs not looked at", ControlFailed: blind}, nil
}

// tamper makes one change.
func tamper(log []byte, rng *rand.Rand) []byte {
	lines := bytes.SplitAfter(bytes.Clone(log), []byte("\n"))
	if n := len(lines); len(lines[n-1]) == 0 {
		lines = lines[:n-1]
	}
	for {
		i := rng.IntN(len(lines))
		switch rng.IntN(3) {
		case 0: // another character
			if len(lines[i]) < 2 {
				continue
			}
			k := rng.IntN(len(lines[i]) - 1)
			c := byte('0' + rng.IntN(10))
			if lines[i][k] == c {
				continue
			}
			lines[i][k] = c
		case 1: // a line less
			lines = append(lines[:i:i], lines[i+1:]...)
		default: // two lines the other way round
			j := rng.IntN(len(lines))
			if bytes.Equal(lines[i], lines[j]) {
				continue
			}
			lines[i], lines[j] = lines[j], lines[i]
		}
		return bytes.Join(lines, nil)
	}
}
