package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// hint is how a question is to be answered; the zero hint is a made-up answer
// that fits what is on the screen.
type hint struct {
	choose []string // codes of choices
	number string   // typed on the number pad
	text   []typed  // typed on the text pad
	date   string   // YYYY-MM-DD
	retake bool     // a scan: take one page again
	later  bool     // a scan: 以后补交
	keep   bool     // what stands there is right
}

// typed is a piece of text and how it is typed: by pinyin, or by hand.
type typed struct {
	pinyin string
	want   string
	hand   [][]point // strokes on the sheet
}

// Strokes of characters that are written by hand.
var (
	handThree = [][]point{{{.3, .3}, {.7, .28}}, {{.34, .5}, {.66, .48}}, {{.2, .75}, {.8, .73}}} // 三
	signature = [][]point{
		{{.3, .35}, {.42, .3}}, {{.28, .5}, {.45, .46}}, {{.36, .2}, {.36, .7}, {.3, .8}},
		{{.55, .25}, {.52, .5}, {.46, .75}}, {{.5, .42}, {.66, .38}, {.62, .62}}, {{.58, .3}, {.58, .8}, {.7, .72}},
	}
)

// maxSteps and maxTries bound a form: a page that cannot be passed is a failure
// and not an endless visit.
const (
	maxSteps = 80
	maxTries = 14
)

// fill answers every question of a form up to its review.
func (p *player) fill(ctx context.Context, hints map[string]hint) error {
	tries := map[string]int{}
	for range maxSteps {
		s, err := p.page(ctx, "step-", "review")
		if err != nil {
			return err
		}
		if s.Page == "review" {
			return p.picture(ctx, "review")
		}
		key := strings.TrimPrefix(s.Page, "step-")
		h, given := hints[key]
		n := tries[key]
		if n >= maxTries {
			return p.fail(ctx, "an answer that "+s.Page+" takes", s, nil)
		}
		if n == 0 {
			if err := p.picture(ctx, s.Page); err != nil {
				return err
			}
		}
		if !given && n > 0 || given && !h.keep && n == 0 {
			if err := p.answer(ctx, s, h, max(0, n-1), given); err != nil {
				return err
			}
			if given {
				if err := p.picture(ctx, s.Page+"-answered"); err != nil {
					return err
				}
			}
		}
		if given && n > 0 {
			return p.fail(ctx, "the answer given to "+s.Page+" to be taken", s, nil)
		}
		tries[key] = n + 1
		if err := p.forward(ctx, s.Page); err != nil {
			return err
		}
	}
	s, err := p.see(ctx)
	return p.fail(ctx, "the end of the form", s, err)
}

// forward presses 下一步 and waits until the page is another or says why not.
func (p *player) forward(ctx context.Context, from string) error {
	now, err := p.see(ctx)
	if err != nil {
		return err
	}
	if now.Page != from {
		return nil // 以后补交 went on by itself
	}
	if err := p.tap(ctx, "next"); err != nil {
		return err
	}
	s, err := p.until(ctx, "an answer to 下一步", pageWait, settled)
	if err != nil {
		return err
	}
	if s.Overlay == "ask" && s.has("yes") {
		if err := p.picture(ctx, s.Page+"-ask"); err != nil {
			return err
		}
		if err := p.tap(ctx, "yes"); err != nil {
			return err
		}
		if _, err := p.until(ctx, "the page after "+from, pageWait, func(s screenState) bool { return settled(s) && s.Overlay == "" }); err != nil {
			return err
		}
	}
	return nil
}

// answer answers the question on the screen. n counts tries: each picks another
// made-up answer.
func (p *player) answer(ctx context.Context, s screenState, h hint, n int, given bool) error {
	switch {
	case s.has("row.add"):
		return p.row(ctx, n)
	case len(s.with("take.")) > 0 || s.has("retake"):
		return p.scan(ctx, s, h)
	case s.has("defer"):
		return p.tap(ctx, "defer")
	case len(s.with("choice.")) > 0:
		return p.choose(ctx, s, "choice", h.choose, n)
	case s.has("region.other"):
		return nil
	case s.has("region.up") || len(s.with("region.")) > 0:
		return p.region(ctx, n)
	case s.has("date.year"):
		return p.date(ctx, h.date, n)
	case s.has("mode.marks"), s.has("key.q"):
		return p.write(ctx, s, h.text, n)
	case s.has("key.0"):
		return p.number(ctx, s, h.number, n)
	}
	if given {
		return p.fail(ctx, "a question that can be answered on "+s.Page, s, nil)
	}
	return nil
}

// choose picks choices by code, turning pages; without codes the n-th.
func (p *player) choose(ctx context.Context, s screenState, grid string, codes []string, n int) error {
	if len(codes) == 0 {
		all := options(s, grid)
		if n < len(all) {
			return p.tap(ctx, all[n].Name)
		}
		if s.has(grid + ".next") {
			return p.tap(ctx, grid+".next")
		}
		return p.tap(ctx, all[n%len(all)].Name)
	}
	for _, c := range codes {
		name := grid + "." + c
		for range 10 {
			now, err := p.see(ctx)
			if err != nil {
				return err
			}
			if now.has(name) || !now.has(grid+".next") {
				break
			}
			if err := p.tap(ctx, grid+".next"); err != nil {
				return err
			}
		}
		if err := p.tap(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// options are the choices of a grid without its page keys.
func options(s screenState, grid string) []target {
	var out []target
	for _, t := range s.with(grid + ".") {
		if t.Name != grid+".next" && t.Name != grid+".prev" && t.Name != grid+".up" && t.Name != grid+".other" {
			out = append(out, t)
		}
	}
	return out
}

// region walks down the divisions until one is chosen.
func (p *player) region(ctx context.Context, n int) error {
	for range 5 {
		s, err := p.page(ctx, "step-")
		if err != nil {
			return err
		}
		all := options(s, "region")
		if s.has("region.other") || len(all) == 0 {
			return nil
		}
		if err := p.tap(ctx, all[n%len(all)].Name); err != nil {
			return err
		}
	}
	return nil
}

// date picks a date; without one, n varies which.
func (p *player) date(ctx context.Context, day string, n int) error {
	var want [3]int
	if day != "" {
		if _, err := fmt.Sscanf(day, "%d-%d-%d", &want[0], &want[1], &want[2]); err != nil {
			return fmt.Errorf("date %q: %w", day, err)
		}
	}
	if err := p.tap(ctx, "date.year"); err != nil {
		return err
	}
	for _, stage := range []struct {
		prefix string
		value  int
	}{{"decade.", want[0] / 10 * 10}, {"year.", want[0]}, {"month.", want[1]}, {"day.", want[2]}} {
		s, err := p.see(ctx)
		if err != nil {
			return err
		}
		list := s.with(stage.prefix)
		if len(list) == 0 {
			continue
		}
		name := stage.prefix + strconv.Itoa(stage.value)
		if day == "" {
			// The newest first, then further back.
			name = list[max(0, len(list)-1-n%len(list))].Name
		}
		for range 4 {
			if now, err := p.see(ctx); err == nil && !now.has(name) && now.has("date.next") {
				if err := p.tap(ctx, "date.next"); err != nil {
					return err
				}
			}
		}
		if err := p.tap(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// Made-up numbers: mobile, ID with a right check digit, bank card, post code,
// year, amounts.
var (
	madeUpNumbers = []string{"13800000000", "6217000000000000003", "044600", "1", "12", "2024", "60", "2000", "6", "2010"}
	madeUpIDs     = []string{"140830195603120024", "142723194809051237", "140830199301080125"}
)

// number types on the number pad what fits the question.
func (p *player) number(ctx context.Context, s screenState, number string, n int) error {
	if number == "" {
		list := madeUpNumbers
		if s.has("key.x") {
			list = madeUpIDs
		}
		number = list[n%len(list)]
		if n == 0 {
			for word, guess := range map[string]string{"邮政": "044600", "银行": "6217000000000000003", "账号": "6217000000000000003",
				"哪一年": "2024", "年份": "2024", "多少元": "2000", "人数": "2", "几": "2"} {
				if s.says(word) {
					number = guess
				}
			}
		}
	}
	if s.has("key.clear") {
		if err := p.tap(ctx, "key.clear"); err != nil {
			return err
		}
	}
	return p.keys(ctx, number)
}

// write types on the text pad.
func (p *player) write(ctx context.Context, s screenState, text []typed, n int) error {
	if len(text) == 0 {
		switch n {
		case 0:
			text = []typed{{pinyin: "lishifan", want: "示范"}}
		case 1:
			return p.marks(ctx, "044600")
		case 2:
			return p.marks(ctx, "13800000000")
		default:
			return p.latin(ctx, "s00012345678901")
		}
	}
	for _, t := range text {
		var err error
		if t.hand != nil {
			err = p.byHand(ctx, t)
		} else {
			err = p.byPinyin(ctx, t)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *player) marks(ctx context.Context, digits string) error {
	if err := p.tapAll(ctx, "mode.marks", "key.clear"); err != nil {
		return err
	}
	return p.keys(ctx, digits)
}

func (p *player) latin(ctx context.Context, text string) error {
	if err := p.tapAll(ctx, "mode.latin", "key.clear"); err != nil {
		return err
	}
	letters := strings.TrimRight(text, "0123456789")
	if err := p.keys(ctx, letters); err != nil {
		return err
	}
	if err := p.tap(ctx, "mode.marks"); err != nil {
		return err
	}
	return p.keys(ctx, text[len(letters):])
}

// byPinyin types letters and takes candidates until the pinyin is used up.
func (p *player) byPinyin(ctx context.Context, t typed) error {
	if s, err := p.see(ctx); err == nil && !s.has("key.q") {
		if err := p.tap(ctx, "mode.pinyin"); err != nil {
			return err
		}
	}
	if err := p.keys(ctx, t.pinyin); err != nil {
		return err
	}
	if err := p.picture(ctx, "pinyin"); err != nil {
		return err
	}
	want := t.want
	for turns := 0; turns < 8; {
		s, err := p.see(ctx)
		if err != nil {
			return err
		}
		cands := s.with("cand.")
		name, took := "", ""
		for _, c := range cands {
			if c.Name != "cand.next" && c.Name != "cand.prev" && c.Label != "" && strings.HasPrefix(want, c.Label) && len(c.Label) > len(took) {
				name, took = c.Name, c.Label
			}
		}
		switch {
		case len(cands) == 0:
			return nil // all the pinyin is used up
		case name == "" && s.has("cand.next") && turns < 4:
			name = "cand.next"
			turns++
		case name == "":
			name = "cand.0"
			turns++
		}
		if err := p.tap(ctx, name); err != nil {
			return err
		}
		want = strings.TrimPrefix(want, took)
	}
	s, err := p.see(ctx)
	return p.fail(ctx, "candidates for "+t.pinyin, s, err)
}

// byHand writes a character and takes it from what was recognised.
func (p *player) byHand(ctx context.Context, t typed) error {
	if err := p.tap(ctx, "mode.hand"); err != nil {
		return err
	}
	if err := p.draw(ctx, "ink", t.hand...); err != nil {
		return err
	}
	s, err := p.until(ctx, "characters that look like the one written", pageWait, func(s screenState) bool { return len(s.with("hand.")) > 0 })
	if err != nil {
		return err
	}
	if err := p.picture(ctx, "handwriting"); err != nil {
		return err
	}
	for _, c := range s.with("hand.") {
		if c.Label == t.want {
			return p.tap(ctx, c.Name)
		}
	}
	return p.fail(ctx, "the character "+t.want+" among those recognised", s, nil)
}

var pagesCount = regexp.MustCompile(`已有 (\d+) 页，要 (\d+)`)

// scan takes the pages that are asked for, or hands the material in later.
func (p *player) scan(ctx context.Context, s screenState, h hint) error {
	if h.later && s.has("defer") {
		return p.tap(ctx, "defer")
	}
	retake := h.retake
	for range 8 {
		now, err := p.page(ctx, "step-")
		if err != nil {
			return err
		}
		have, want := 0, 1
		for _, t := range now.Texts {
			if m := pagesCount.FindStringSubmatch(t); m != nil {
				have, _ = strconv.Atoi(m[1])
				want, _ = strconv.Atoi(m[2])
			}
		}
		take := now.with("take.")
		switch {
		case have > 0 && retake:
			retake = false
			err = p.tapTake(ctx, "retake")
		case have >= want:
			return nil
		case len(take) == 0:
			return p.fail(ctx, "a way to take page "+strconv.Itoa(have+1), now, nil)
		default:
			err = p.tapTake(ctx, take[0].Name)
		}
		if err != nil {
			return err
		}
	}
	now, err := p.see(ctx)
	return p.fail(ctx, "all pages", now, err)
}

// scanWait bounds one page of a scanner, which is slow.
const scanWait = 60 * time.Second

// tapTake takes one page and waits for it.
func (p *player) tapTake(ctx context.Context, name string) error {
	if err := p.tap(ctx, name); err != nil {
		return err
	}
	// The wait begins a moment after the touch.
	time.Sleep(400 * time.Millisecond)
	_, err := p.until(ctx, "a scanned page", scanWait, func(s screenState) bool { return settled(s) && s.Overlay == "" })
	return err
}

// row fills one row of a table.
func (p *player) row(ctx context.Context, n int) error {
	if err := p.tap(ctx, "row.add"); err != nil {
		return err
	}
	for range 30 {
		s, err := p.page(ctx, "step-")
		if err != nil {
			return err
		}
		if !s.has("row.next") {
			return nil
		}
		if err := p.answer(ctx, without(s, "row.add"), hint{}, n, false); err != nil {
			return err
		}
		if err := p.tap(ctx, "row.next"); err != nil {
			return err
		}
	}
	s, err := p.see(ctx)
	return p.fail(ctx, "the end of the row", s, err)
}

func without(s screenState, name string) screenState {
	var out []target
	for _, t := range s.Targets {
		if t.Name != name {
			out = append(out, t)
		}
	}
	s.Targets = out
	return s
}
