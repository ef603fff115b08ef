package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// tamperRounds is how many single changes of an exported log must be seen.
const tamperRounds = 60

// proveTamper changes single characters of an exported log.
func proveTamper(ctx context.Context, e proofStage) ([]promise, error) {
	inside, said, err := goTest(ctx, e.root, nil, "./kiosk/vault", "^(TestTampering|TestMACChain)$")
	if err != nil {
		return nil, err
	}
	s, _, err := enrolledStage(ctx, benchStage{root: e.root, bin: e.bin, rounds: 1})
	defer strikeAll(s)
	if err != nil {
		return nil, err
	}
	export := filepath.Join(s.dir, "log.txt")
	if _, err := output(ctx, nil, s.prog("kioskctl"), "log", "export", "--config", s.config, "--out", export); err != nil {
		return nil, err
	}
	log, err := os.ReadFile(export)
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	verify := func(b []byte) bool {
		f := filepath.Join(s.dir, "changed.txt")
		if os.WriteFile(f, b, 0o600) != nil {
			return true // counts as not seen
		}
		_, err := output(ctx, nil, s.prog("kioskctl"), "log", "verify", "--file", f, "--key", export+".pem")
		return err == nil
	}
	// The control is the log as it is: a verifier that always says no would be
	// of no use. Changed is a character, a line dropped, two lines swapped.
	whole := verify(log)
	seen := 0
	rng := rand.New(rand.NewPCG(1, 2))
	for range tamperRounds {
		if !verify(tamper(log, rng)) {
			seen++
		}
	}
	measured := fmt.Sprintf("%d of %d seen", seen, tamperRounds)
	if !inside {
		measured += "; in the vault: " + verdict(inside, said)
	}
	return []promise{{Name: "any change of the operation log is seen", Target: fmt.Sprintf("%d of %d changes", tamperRounds, tamperRounds),
		Measured: measured, Met: inside && seen == tamperRounds, Control: "the log unchanged is said to be whole", ControlFailed: whole}}, nil
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
