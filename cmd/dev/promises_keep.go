package main

import (
	"context"
	"regexp"
)

// proveShred looks with the disk key for what was destroyed.
func proveShred(ctx context.Context, e proofStage) ([]promise, error) {
	const tests = "^(TestRetainLeavesNoByte|TestRetainOfManyRevisions|TestWithdrawLeavesNoByte|TestMACKeysAreForgotten)$"
	ok, said, err := goTest(ctx, e.root, nil, "./kiosk/vault", tests)
	if err != nil {
		return nil, err
	}
	kept, _, err := goTest(ctx, e.root, []string{"CUNBAN_KEEP_WAL=1"}, "./kiosk/vault", tests)
	if err != nil {
		return nil, err
	}
	return []promise{{Name: "what was destroyed is in no file, not even for who has the disk key", Target: "0 pieces",
		Measured: shown(ok, said, "0 pieces"), Met: ok, Control: "the WAL is left as it is", ControlFailed: !kept}}, nil
}

// proveSalvage spoils every page of a vault in turn.
func proveSalvage(ctx context.Context, e proofStage) ([]promise, error) {
	ok, said, err := goTest(ctx, e.root, nil, "./kiosk/vault", "^TestSalvagePageByPage$")
	if err != nil {
		return nil, err
	}
	count := "nothing counted"
	if m := regexp.MustCompile(`\d+ pages, each spoilt once: .*`).FindString(said); m != "" {
		count = m
	}
	all, _, err := goTest(ctx, e.root, []string{"CUNBAN_SPOIL_ALL=1"}, "./kiosk/vault", "^TestSalvagePageByPage$")
	if err != nil {
		return nil, err
	}
	return []promise{{Name: "a spoilt page costs no unsent case but those in it", Target: "all but 4 at the worst",
		Measured: shown(ok, said, count), Met: ok, Control: "every page spoilt at once", ControlFailed: !all}}, nil
}

// provePrune prunes a log and proves everything that is left.
func provePrune(ctx context.Context, e proofStage) ([]promise, error) {
	ok, said, err := goTest(ctx, e.root, nil, "./kiosk/vault", "^(TestPrune|TestPruneLeavesWhatIsYoung|TestPruneGoesOn)$")
	if err != nil {
		return nil, err
	}
	found, _, err := goTest(ctx, e.root, nil, "./kiosk/vault", "^TestPrunedTampering$")
	if err != nil {
		return nil, err
	}
	return []promise{{Name: "a pruned log still proves every record and size that is left", Target: "all",
		Measured: shown(ok, said, "all"), Met: ok, Control: "a log that was cut by hand verifies", ControlFailed: found}}, nil
}

// shown is what a test that passed measured, or what one that failed said.
func shown(passed bool, said, good string) string {
	if passed {
		return good
	}
	return verdict(passed, said)
}
