package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// signIn types number and PIN on the sign-in pages.
func (p *player) signIn(ctx context.Context, number, pin string) error {
	if _, err := p.at(ctx, "sign-in-number"); err != nil {
		return err
	}
	if err := p.keys(ctx, number); err != nil {
		return err
	}
	if err := p.tapTo(ctx, "next", "sign-in-pin"); err != nil {
		return err
	}
	return p.keys(ctx, pin)
}

// staffDoor goes from the home page through the door for staff.
func (p *player) staffDoor(ctx context.Context, which string) error {
	if _, err := p.page(ctx, "home"); err != nil {
		return err
	}
	if err := p.tapTo(ctx, "staff", "staff-door"); err != nil {
		return err
	}
	return p.tap(ctx, which)
}

// playStaff helps one resident from the beginning and takes over from another.
func playStaff(ctx context.Context, p *player) error {
	if err := p.clerkComes(ctx); err != nil {
		return err
	}
	if err := p.tapTo(ctx, "assist", "desk-who", "who.card", "card-waiting"); err != nil {
		return err
	}
	if err := p.showCard(ctx, "insert", "zhang"); err != nil {
		return err
	}
	if _, err := p.at(ctx, "desk-confirm"); err != nil {
		return err
	}
	if err := p.tap(ctx, "next"); err != nil {
		return err
	}
	if err := p.open(ctx, "J01"); err != nil {
		return err
	}
	if err := p.fill(ctx, map[string]hint{"aac067": {number: "13900000000"}}); err != nil {
		return err
	}
	number, err := p.assisted(ctx)
	if err != nil {
		return err
	}
	if err := p.keepRecord(ctx, number); err != nil {
		return err
	}
	p.note("assisted case %s: clerk %s and the resident both in the record", number, clerkNumber)
	if err := p.clerkLeaves(ctx, p.removeCard(ctx)); err != nil {
		return err
	}
	return p.takeOver(ctx)
}

// clerkComes signs in, with a slip of the finger first, and looks at the lists.
func (p *player) clerkComes(ctx context.Context) error {
	if err := p.staffDoor(ctx, "door.staff"); err != nil {
		return err
	}
	if err := p.signIn(ctx, clerkNumber, "111111"); err != nil {
		return err
	}
	if _, err := p.until(ctx, "a refusal of the wrong PIN", pageWait, func(s screenState) bool { return s.Page == "sign-in-number" && settled(s) }); err != nil {
		return err
	}
	if err := p.picture(ctx, "sign-in-refused"); err != nil {
		return err
	}
	if err := p.tapTo(ctx, "next", "sign-in-pin"); err != nil {
		return err
	}
	if err := p.keys(ctx, clerkPIN); err != nil {
		return err
	}
	if _, err := p.at(ctx, "desk-home"); err != nil {
		return err
	}
	return p.tapTo(ctx, "today", "desk-cases", "back", "desk-home", "queue", "desk-queue", "back", "desk-home")
}

// assisted goes from the review to 已受理 with the resident's own signature; the
// county's record must name the clerk.
func (p *player) assisted(ctx context.Context) (number string, err error) {
	if err := p.consent(ctx); err != nil {
		return "", err
	}
	if s, err := p.see(ctx); err != nil || !s.says("本人") {
		return "", p.fail(ctx, "words that the resident herself signs", s, err)
	}
	if _, err := p.submit(ctx); err != nil {
		return "", err
	}
	if number, err = p.accepted(ctx, countyWait); err != nil {
		return "", err
	}
	c, err := p.countyHas(ctx, number)
	if err == nil && c.Staff != clerkNumber {
		err = fmt.Errorf("expected the clerk %s in the county's record of %s, found %q", clerkNumber, number, c.Staff)
	}
	return number, err
}

// clerkLeaves rates, takes the card out and signs out.
func (p *player) clerkLeaves(ctx context.Context, takeCard func() error) error {
	if err := p.tapTo(ctx, "next", "rate", "rate.5", "leave"); err != nil {
		return err
	}
	if err := takeCard(); err != nil {
		return err
	}
	s, err := p.until(ctx, "the way out for the clerk", pageWait, func(s screenState) bool { return s.Page == "home" || s.has("sign-out") })
	if err != nil {
		return err
	}
	if s.Page != "home" {
		if err := p.tap(ctx, "sign-out"); err != nil {
			return err
		}
	}
	_, err = p.page(ctx, "home")
	return err
}

// takeOver plays a resident who gets stuck half-way and calls.
func (p *player) takeOver(ctx context.Context) error {
	if err := p.showCard(ctx, "insert", "li"); err != nil {
		return err
	}
	if err := p.open(ctx, "S01"); err != nil {
		return err
	}
	// The first two questions, then the call.
	half := map[string]hint{"other_pension": s01["other_pension"], "special_group": s01["special_group"]}
	for range 10 {
		s, err := p.page(ctx, "step-")
		if err != nil {
			return err
		}
		key := strings.TrimPrefix(s.Page, "step-")
		if key == "pay_grade" {
			break
		}
		if h, ok := half[key]; ok {
			if err := p.answer(ctx, s, h, 0, true); err != nil {
				return err
			}
		}
		if err := p.forward(ctx, s.Page); err != nil {
			return err
		}
	}
	if err := p.calledFor(ctx, "step-pay_grade"); err != nil {
		return err
	}
	// What the resident answered is still there.
	if err := p.tapTo(ctx, "back", "step-special_group"); err != nil {
		return err
	}
	if err := p.forward(ctx, "step-special_group"); err != nil {
		return err
	}
	if _, err := p.page(ctx, "step-pay_grade"); err != nil {
		return err
	}
	hints := maps.Clone(s01)
	hints["hkb_scan"] = hint{later: true}
	if err := p.fill(ctx, hints); err != nil {
		return err
	}
	number, err := p.assisted(ctx)
	if err != nil {
		return err
	}
	p.note("case %s taken over half-filled; no answer was lost", number)
	return p.clerkLeaves(ctx, p.removeCard(ctx))
}

// calledFor calls for help on a page; the clerk signs in and is on the same page.
func (p *player) calledFor(ctx context.Context, page string) error {
	if _, err := p.page(ctx, page); err != nil {
		return err
	}
	if err := p.tap(ctx, "help"); err != nil {
		return err
	}
	if _, err := p.overlay(ctx, pageWait, "help"); err != nil {
		return err
	}
	if err := p.picture(ctx, "help-called"); err != nil {
		return err
	}
	if err := p.tap(ctx, "help-staff"); err != nil {
		return err
	}
	if err := p.signIn(ctx, clerkNumber, clerkPIN); err != nil {
		return err
	}
	if _, err := p.page(ctx, page); err != nil {
		return err
	}
	return p.picture(ctx, "taken-over")
}

// playTechnician opens every page of the technician.
func playTechnician(ctx context.Context, p *player) error {
	if err := p.staffDoor(ctx, "door.tech"); err != nil {
		return err
	}
	if err := p.signIn(ctx, techNumber, techPIN); err != nil {
		return err
	}
	_, err := p.at(ctx, "tech-home")
	if err != nil {
		return err
	}
	for _, tile := range []string{"devices", "network", "queue", "log", "vault", "version", "enrol"} {
		if err := p.tap(ctx, tile); err != nil {
			return err
		}
		page := "tech-" + tile
		if tile == "enrol" {
			page = tile
		}
		if _, err := p.until(ctx, "the page "+page, pageWait, func(s screenState) bool {
			return s.Page == page && settled(s) && !s.says("请稍等")
		}); err != nil {
			return err
		}
		if err := p.picture(ctx, page); err != nil {
			return err
		}
		switch tile {
		case "devices":
			err = p.selfTests(ctx)
		case "network":
			err = p.tapAndSettle(ctx, "probe", page)
		case "log":
			err = p.verifyAndExport(ctx)
		}
		if err != nil {
			return err
		}
		if err := p.tap(ctx, "back"); err != nil {
			return err
		}
		if _, err := p.page(ctx, "tech-home"); err != nil {
			return err
		}
	}
	if p.st.window == "" {
		for range 2 {
			if err := p.tap(ctx, "fullscreen"); err != nil {
				return err
			}
			time.Sleep(time.Second)
			if _, err := p.page(ctx, "tech-home"); err != nil {
				return err
			}
			if err := p.findWindow(ctx); err != nil {
				return err
			}
			if err := p.picture(ctx, "tech-fullscreen"); err != nil {
				return err
			}
		}
	}
	if err := p.tap(ctx, "sign-out"); err != nil {
		return err
	}
	_, err = p.page(ctx, "home")
	return err
}

// tapAndSettle presses a button and waits for the page to be itself again.
func (p *player) tapAndSettle(ctx context.Context, name, page string) error {
	if err := p.tap(ctx, name); err != nil {
		return err
	}
	time.Sleep(400 * time.Millisecond)
	_, err := p.page(ctx, page)
	return err
}

// selfTests presses every 自检 and the test page.
func (p *player) selfTests(ctx context.Context) error {
	tested := map[string]string{}
	for {
		s, err := p.page(ctx, "tech-devices")
		if err != nil {
			return err
		}
		next := ""
		for _, t := range s.with("test.") {
			if tested[t.Name] == "" {
				next = t.Name
				break
			}
		}
		if next == "" && s.has("devices.next") {
			if err := p.tap(ctx, "devices.next"); err != nil {
				return err
			}
			continue
		}
		if next == "" {
			break
		}
		if err := p.tap(ctx, next); err != nil {
			return err
		}
		if s, err = p.until(ctx, "the outcome of "+next, scanWait, func(s screenState) bool { return s.Overlay == "ask" || s.Overlay == "trouble" }); err != nil {
			return err
		}
		tested[next] = strings.Join(s.Texts, " ")
		if err := p.picture(ctx, "tech-"+next); err != nil {
			return err
		}
		if err := p.tap(ctx, "ok"); err != nil {
			return err
		}
	}
	if len(tested) < 4 {
		return fmt.Errorf("expected at least 4 devices to test, found %v", tested)
	}
	p.note("%d self-tests", len(tested))
	_, err := p.print(ctx, "test-page")
	return err
}

// verifyAndExport checks and exports the log on its page.
func (p *player) verifyAndExport(ctx context.Context) error {
	for _, b := range []struct{ name, words string }{{"verify", "日志完整"}, {"export", "导出好了"}} {
		if err := p.tap(ctx, b.name); err != nil {
			return err
		}
		s, err := p.until(ctx, b.words, countyWait, func(s screenState) bool { return s.Overlay == "ask" || s.Overlay == "trouble" })
		if err != nil {
			return err
		}
		if !s.says(b.words) {
			return p.fail(ctx, b.words, s, nil)
		}
		if err := p.picture(ctx, "tech-log-"+b.name); err != nil {
			return err
		}
		if err := p.tap(ctx, "ok"); err != nil {
			return err
		}
		if _, err := p.page(ctx, "tech-log"); err != nil {
			return err
		}
	}
	p.note("log verified and exported on the technician's page")
	return nil
}

// checkLog exports the log, has a fresh program verify it with nothing but the
// public key, and the live one by its owner.
func (s *stage) checkLog(ctx context.Context, out string) (records int, err error) {
	export := filepath.Join(out, "operation-log.txt")
	// Ask the terminal's own program after it stopped: it opens the vault again.
	if _, err := output(ctx, nil, s.prog("kioskctl"), "log", "export", "--config", s.config, "--out", export); err != nil {
		return 0, err
	}
	live, err := output(ctx, nil, s.prog("kioskctl"), "log", "verify", "--config", s.config, "--json")
	if err != nil {
		return 0, err
	}
	file, err := output(ctx, nil, s.prog("kioskctl"), "log", "verify", "--file", export, "--key", export+".pem", "--json")
	if err != nil {
		return 0, err
	}
	if err := os.WriteFile(filepath.Join(out, "log-verify.json"), append(live, file...), 0o600); err != nil {
		return 0, err
	}
	var l struct {
		OK      bool
		Records int
	}
	var f struct{ Records int }
	if err := json.Unmarshal(live, &l); err != nil {
		return 0, fmt.Errorf("log verify: %w", err)
	}
	if err := json.Unmarshal(file, &f); err != nil {
		return 0, fmt.Errorf("log verify --file: %w", err)
	}
	// Exporting and verifying write records of their own: the live log has grown.
	if !l.OK || f.Records == 0 || f.Records > l.Records {
		return 0, fmt.Errorf("expected a whole log, found ok %v, %d records live, %d exported", l.OK, l.Records, f.Records)
	}
	return f.Records, nil
}
