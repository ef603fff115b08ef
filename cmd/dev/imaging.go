package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
)

// imagingPkg makes pages of photographs and scans.
const imagingPkg = "./device/scan/imaging"

var (
	saidCorners  = regexp.MustCompile(`corners within 1 % of the diagonal: (\d+) of (\d+); cut-off wrong: (\d+)`)
	saidVerdicts = regexp.MustCompile(`called good: (\d+) of (\d+) bad pages; sent back: (\d+) of (\d+) good pages`)
	saidBacks    = regexp.MustCompile(`written sides dropped: (\d+) of (\d+); blank sides kept: (\d+) of (\d+)`)
	saidCards    = regexp.MustCompile(`sides known: (\d+) of (\d+); true size off by at most ([\d.]+) %`)
	saidMemory   = regexp.MustCompile(`peak with a frame of 12 megapixels: (\d+) MB`)
	saidReading  = regexp.MustCompile(`reading (\S+): ([\d.]+) % wrong, (\d+) ms`)
)

// reading is what a machine made of pages, by who made them.
type reading struct{ wrong, ms float64 }

// readings has n pages of each maker read.
func readings(ctx context.Context, root string, n int) (map[string]reading, bool, error) {
	ok, said, err := goTest(ctx, root, []string{"CUNBAN_READING=" + strconv.Itoa(n)}, imagingPkg, "^TestReading$")
	if err != nil {
		return nil, false, err
	}
	all := map[string]reading{}
	for _, m := range saidReading.FindAllStringSubmatch(said, -1) {
		wrong, err1 := strconv.ParseFloat(m[2], 64)
		ms, err2 := strconv.ParseFloat(m[3], 64)
		if err1 == nil && err2 == nil {
			all[m[1]] = reading{wrong, ms}
		}
	}
	for _, who := range []string{"clean", "camera", "untouched", "scan", "imagemagick", "unpaper"} {
		if _, here := all[who]; !here {
			return nil, false, fmt.Errorf("the reading test says nothing of %s:\n%s", who, said)
		}
	}
	return all, ok, nil
}

// proveImaging measures page imaging against made pictures whose truth is known.
func proveImaging(ctx context.Context, e proofStage) ([]promise, error) {
	sets, pages := "4", 5
	if e.long {
		sets, pages = "60", 40
	}
	ok, said, err := goTest(ctx, e.root, []string{"CUNBAN_SPECIMENS=" + sets}, imagingPkg, "^(TestFind|TestSpecimens|TestNoSheet)$")
	if err != nil {
		return nil, err
	}
	corners, verdicts := saidCorners.FindStringSubmatch(said), saidVerdicts.FindStringSubmatch(said)
	if corners == nil || verdicts == nil {
		return nil, fmt.Errorf("the imaging tests say nothing:\n%s", said)
	}
	control, _, err := goTest(ctx, e.root, nil, imagingPkg, "^TestFindControl$")
	if err != nil {
		return nil, err
	}
	sides, err := proveSides(ctx, e.root, sets)
	if err != nil {
		return nil, err
	}
	read, well, err := readings(ctx, e.root, pages)
	if err != nil {
		return nil, err
	}
	return append(sides, []promise{
		{Name: "a sheet's corners are found, level and cut out", Target: "≥ 95 % within 1 % of the diagonal, lines within 0.3°",
			Measured: corners[1] + " of " + corners[2] + "; cut-off wrong: " + corners[3], Met: ok,
			Control: "the whole picture taken for the sheet", ControlFailed: control},
		{Name: "no unreadable page is called good", Target: "≤ 2 % of bad pages, ≤ 5 % of good ones sent back",
			Measured: verdicts[1] + " of " + verdicts[2] + " called good, " + verdicts[3] + " of " + verdicts[4] + " sent back", Met: ok,
			Control: "every page called good", ControlFailed: control},
		{Name: "a photograph is read as well as the original", Target: "≤ 3 of 100 characters worse (tesseract)",
			Measured: fmt.Sprintf("%.1f wrong, the original %.1f", read["camera"].wrong, read["clean"].wrong), Met: well,
			Control: "the photograph as it is", ControlFailed: read["untouched"].wrong-read["clean"].wrong > 3},
	}...), nil
}

// proveSides measures what is done with back sides and with cards.
func proveSides(ctx context.Context, root, sets string) ([]promise, error) {
	ok, said, err := goTest(ctx, root, []string{"CUNBAN_SPECIMENS=" + sets}, imagingPkg, "^(TestBacks|TestCards)$")
	if err != nil {
		return nil, err
	}
	backs, cards := saidBacks.FindStringSubmatch(said), saidCards.FindStringSubmatch(said)
	if backs == nil || cards == nil {
		return nil, fmt.Errorf("the tests of sides say nothing:\n%s", said)
	}
	counted, _, err := goTest(ctx, root, nil, imagingPkg, "^TestBacksControl$")
	if err != nil {
		return nil, err
	}
	refused, _, err := goTest(ctx, root, nil, imagingPkg, "^TestBothSidesRefuses$")
	if err != nil {
		return nil, err
	}
	small, peak, err := goTest(ctx, root, nil, imagingPkg, "^TestMemory$")
	if err != nil {
		return nil, err
	}
	copies, _, err := goTest(ctx, root, nil, imagingPkg, "^TestMemoryControl$")
	if err != nil {
		return nil, err
	}
	most := saidMemory.FindStringSubmatch(peak)
	if most == nil {
		return nil, fmt.Errorf("the test of memory says nothing:\n%s", peak)
	}
	return []promise{
		{Name: "a frame of 12 megapixels becomes a page in little memory", Target: "≤ 200 MB, the program and the frame included",
			Measured: most[1] + " MB at most", Met: small,
			Control: "three copies of the frame in full depth", ControlFailed: copies},
		{Name: "only blank back sides are called blank", Target: "none that bears a stamp, a name, a note; ≤ 5 % of blank ones kept",
			Measured: backs[1] + " of " + backs[2] + " written dropped, " + backs[3] + " of " + backs[4] + " blank kept", Met: ok,
			Control: "a judge that counts dark pixels", ControlFailed: counted},
		{Name: "both sides of a card on one page at true size", Target: "≥ 95 % of sides known, lengths within 1 %",
			Measured: cards[1] + " of " + cards[2] + " known, off by " + cards[3] + " %", Met: ok,
			Control: "a whole page given for a card's side", ControlFailed: refused},
	}, nil
}

// benchImaging measures the making of pages beside the usual programs.
func benchImaging(ctx context.Context, b benchStage) ([]figure, error) {
	read, _, err := readings(ctx, b.root, max(b.rounds, 1))
	if err != nil {
		return nil, err
	}
	wrong := func(who string) string { return fmt.Sprintf("%.1f", read[who].wrong) }
	note := "of 100 characters read wrongly: " + wrong("scan") + ", rival " + wrong("imagemagick") + ", unpaper " + wrong("unpaper") + ", original " + wrong("clean")
	return []figure{
		{Name: "crooked scan to page", Unit: "ms", Ours: read["scan"].ms, Rival: "ImageMagick -deskew", Other: read["imagemagick"].ms, Note: note},
		{Name: "crooked scan to page", Unit: "ms", Ours: read["scan"].ms, Rival: "unpaper", Other: read["unpaper"].ms},
		{Name: "12-megapixel photograph to page", Unit: "ms", Ours: read["camera"].ms, Rival: "promised", Other: 250,
			Note: "neither rival finds a sheet; of 100 characters read wrongly: " + wrong("camera")},
	}, nil
}
