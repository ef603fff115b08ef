package main

import (
	"context"
	"fmt"
	"os/exec"
)

// liveTurns is over how many pictures the cost of one is taken.
const liveTurns = "200x"

// liveRate is the promise of a live picture, pictures a second of 1280 wide.
const liveRate = 15

// benchLive measures what one picture of a document camera costs on its way to
// the screen.
func benchLive(ctx context.Context, b benchStage) ([]figure, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkLive$", "-benchtime", liveTurns, "./kiosk/app")
	cmd.Dir = b.root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test -bench: %w\n%s", err, out)
	}
	rows, err := liveFigures(benchLines(out))
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return rows, nil
}

// liveFigures makes rows of what BenchmarkLive reported.
func liveFigures(got map[string]map[string]float64) ([]figure, error) {
	var rows []figure
	for _, w := range []struct{ name, text, note string }{
		{"beside", "live picture, beside the UI", "decode, look for the paper, scale"},
		{"on_the_UI_goroutine", "live picture, on the UI", "swap, and paint with the slow painter of Fyne's tests"},
	} {
		g := got["BenchmarkLive/"+w.name]
		if g["ns/op"] == 0 {
			return rows, fmt.Errorf("no %s in the benchmark's output", w.name)
		}
		rows = append(rows, figure{Name: w.text, Unit: "ms", Ours: g["ns/op"] / nsPerMs, Rival: fmt.Sprintf("promised, %d a second", liveRate), Other: 1000. / liveRate,
			Note: fmt.Sprintf("%s; %.0f a second at most, %.0f %% of a core at %d a second", w.note, g["pictures/s"], g["%core"], liveRate)})
	}
	return rows, nil
}
