package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// visit is one story played from beginning to end.
type visit struct {
	name, about string
	play        func(ctx context.Context, p *player) error
}

// visits in the order they are played.
var visits = []visit{
	{"resident", "a resident insures herself, looks up the case, mends it, looks for work, forgets the time and the card", playResident},
	{"offline", "the same with the line down: saved first, accepted when it is back, one case", playOffline},
	{"staff", "a clerk helps a resident, and takes over a half-filled form", playStaff},
	{"technician", "a technician looks at everything and leaves the full screen", playTechnician},
}

// s01 answers 城乡居民养老保险参保登记 as a man of 39 would: choices, pads,
// pinyin, one character by hand, a page taken again.
var s01 = map[string]hint{
	"is_student":    {choose: []string{"2"}},
	"other_pension": {choose: []string{"2"}},
	"special_group": {choose: []string{"00"}},
	"aae010":        {number: "6217000000000000003"},
	"aac067":        {number: "13800000000"},
	"aab301":        {keep: true},
	"aac010":        {text: []typed{{pinyin: "dongguan", want: "东关"}, {pinyin: "cun", want: "村"}}},
	"aae006": {text: []typed{{pinyin: "dongguan", want: "东关"}, {pinyin: "cun", want: "村"}, {hand: handThree, want: "三"},
		{pinyin: "zu", want: "组"}}},
	"hkb_scan": {retake: true},
}

// playResident is the whole way of one case and back.
func playResident(ctx context.Context, p *player) error {
	number, err := p.apply(ctx, "insert", "li", "S01", s01)
	if err != nil {
		return err
	}
	paper, err := p.print(ctx, "print")
	if err != nil {
		return err
	}
	if err := p.keepReceipt(ctx, paper); err != nil {
		return err
	}
	if err := p.leave(ctx, 5, p.removeCard(ctx)); err != nil {
		return err
	}
	c, err := p.countyHas(ctx, number)
	if err != nil {
		return err
	}
	p.note("S01 accepted as %s, one case upstream, receipt printed", number)
	if err := p.lookUp(ctx, c, "case-accepted", true); err != nil {
		return err
	}
	if err := p.mend(ctx, c); err != nil {
		return err
	}
	// 求职登记 with the ID card on the other reader.
	number, err = p.apply(ctx, "id-put", "zhang", "J01", map[string]hint{"aac067": {number: "13900000000"}})
	if err != nil {
		return err
	}
	if err := p.leave(ctx, 4, p.liftCard(ctx)); err != nil {
		return err
	}
	if _, err := p.countyHas(ctx, number); err != nil {
		return err
	}
	p.note("J01 accepted as %s, with the ID card", number)
	if err := p.keepRecord(ctx, number); err != nil {
		return err
	}
	return p.forget(ctx)
}

// apply goes from the home page to 已受理 and returns the county's number.
func (p *player) apply(ctx context.Context, verb, card, service string, hints map[string]hint) (string, error) {
	if err := p.showCard(ctx, verb, card); err != nil {
		return "", err
	}
	if err := p.open(ctx, service); err != nil {
		return "", err
	}
	if err := p.fill(ctx, hints); err != nil {
		return "", err
	}
	if err := p.consent(ctx); err != nil {
		return "", err
	}
	if _, err := p.submit(ctx); err != nil {
		return "", err
	}
	return p.accepted(ctx, countyWait)
}

// keepReceipt copies the printed receipt and draws its first page.
func (p *player) keepReceipt(ctx context.Context, paper string) error {
	b, err := os.ReadFile(paper)
	if err != nil {
		return fmt.Errorf("keep the receipt: %w", err)
	}
	to := filepath.Join(p.out, "receipt")
	if err := os.WriteFile(to+".pdf", b, 0o600); err != nil {
		return fmt.Errorf("keep the receipt: %w", err)
	}
	_, err = output(ctx, nil, "pdftoppm", "-png", "-r", "80", "-singlefile", to+".pdf", to)
	return err
}

// lookUp goes to 查办理进度 and opens the case; with leave it ends there.
func (p *player) lookUp(ctx context.Context, c countyCase, page string, leave bool) error {
	if err := p.showCard(ctx, "insert", "li"); err != nil {
		return err
	}
	if _, err := p.page(ctx, "menu"); err != nil {
		return err
	}
	if err := p.tap(ctx, "progress"); err != nil {
		return err
	}
	if _, err := p.until(ctx, "the case in the list", pageWait, func(s screenState) bool { return s.has("case."+c.ID) && settled(s) }); err != nil {
		return err
	}
	if err := p.picture(ctx, "progress"); err != nil {
		return err
	}
	if err := p.tap(ctx, "case."+c.ID); err != nil {
		return err
	}
	if _, err := p.at(ctx, page); err != nil {
		return err
	}
	if !leave {
		return nil
	}
	if err := p.tapAll(ctx, "back", "back"); err != nil {
		return err
	}
	if _, err := p.page(ctx, "menu"); err != nil {
		return err
	}
	return p.quitMenu(ctx, p.removeCard(ctx))
}

// mend has the county return the case, mends it at the terminal, and waits for
// the second acceptance.
func (p *player) mend(ctx context.Context, c countyCase) error {
	if _, err := p.st.county(ctx, "return", c.Acceptance, "--field", "aac067", "--reason", "电话号码打不通，请换一个"); err != nil {
		return err
	}
	if err := p.terminalSays(ctx, c.ID, "returned"); err != nil {
		return err
	}
	if err := p.lookUp(ctx, c, "case-returned", false); err != nil {
		return err
	}
	if err := p.tap(ctx, "next"); err != nil {
		return err
	}
	if err := p.fill(ctx, map[string]hint{"aac067": {number: "13700000000"}}); err != nil {
		return err
	}
	if err := p.consent(ctx); err != nil {
		return err
	}
	if _, err := p.submit(ctx); err != nil {
		return err
	}
	if _, err := p.accepted(ctx, countyWait); err != nil {
		return err
	}
	if err := p.leave(ctx, 5, p.removeCard(ctx)); err != nil {
		return err
	}
	now, err := p.countyHas(ctx, c.Acceptance)
	if err != nil {
		return err
	}
	if now.Revision != c.Revision+1 || now.ID != c.ID {
		return fmt.Errorf("expected revision %d of the same case upstream, found %d", c.Revision+1, now.Revision)
	}
	p.note("returned by the county, mended, accepted again under the same number")
	return p.keepRecord(ctx, c.Acceptance)
}

// terminalCase is a case as the terminal's door tells it.
type terminalCase struct {
	ID         string
	State      string
	Acceptance string
}

// terminalSays waits until the terminal knows a state of a case.
func (p *player) terminalSays(ctx context.Context, id, state string) error {
	var list []terminalCase
	for end := time.Now().Add(countyWait); time.Now().Before(end); {
		if err := door(ctx, p.st.dataDir, "cases", &list); err != nil {
			return err
		}
		for _, c := range list {
			if c.ID == id && c.State == state {
				return nil
			}
		}
		time.Sleep(look * 3)
	}
	return fmt.Errorf("expected case %s to be %s at the terminal within %s, it has %v", id, state, countyWait, list)
}

// forget leaves the terminal alone with a card in it: it asks, goes on when
// answered, wipes when not, and calls the card out.
func (p *player) forget(ctx context.Context) error {
	if err := p.showCard(ctx, "insert", "li"); err != nil {
		return err
	}
	s, err := p.page(ctx, "menu")
	if err != nil {
		return err
	}
	session := s.Session
	limit := (idleWait + askWait + 20) * time.Second
	if _, err := p.overlay(ctx, limit, "idle"); err != nil {
		return err
	}
	if err := p.picture(ctx, "idle-question"); err != nil {
		return err
	}
	if err := p.tap(ctx, "continue"); err != nil {
		return err
	}
	if s, err = p.page(ctx, "menu"); err != nil {
		return err
	}
	if s.Session != session {
		return p.fail(ctx, "the same session after 继续办理", s, nil)
	}
	if _, err := p.until(ctx, "the home page after nobody answered", 2*limit, func(s screenState) bool { return s.Page == "home" }); err != nil {
		return err
	}
	if _, err := p.until(ctx, "the reminder of the card", pageWait, func(s screenState) bool { return s.says("卡还在机器里") }); err != nil {
		return err
	}
	if err := p.picture(ctx, "card-left"); err != nil {
		return err
	}
	if err := p.st.simDo(ctx, "remove"); err != nil {
		return err
	}
	if _, err := p.page(ctx, "home"); err != nil {
		return err
	}
	p.note("idle question, wipe, card called out")
	return p.picture(ctx, "home")
}

// playOffline submits with the line down.
func playOffline(ctx context.Context, p *player) error {
	before, err := p.st.countyCases(ctx)
	if err != nil {
		return err
	}
	if err := p.showCard(ctx, "insert", "li"); err != nil {
		return err
	}
	if err := p.open(ctx, "S01"); err != nil {
		return err
	}
	if err := p.fill(ctx, s01); err != nil {
		return err
	}
	if err := p.consent(ctx); err != nil {
		return err
	}
	// The line is cut and the county's server stopped: nobody is there at all.
	if err := p.st.simDo(ctx, "line-down"); err != nil {
		return err
	}
	p.st.upstream.stop()
	s, err := p.submit(ctx)
	if err != nil {
		return err
	}
	if s.Page != "done-saved" {
		return p.fail(ctx, "已保存 while the line is down", s, nil)
	}
	// It stays so: nothing may say 已受理 without the county.
	time.Sleep(3 * time.Second)
	if s, err = p.page(ctx, "done-saved"); err != nil {
		return err
	}
	if !s.says("没有网络") && !s.says("正在连接") {
		return p.fail(ctx, "a word that the line is down", s, nil)
	}
	if err := p.picture(ctx, "done-saved-offline"); err != nil {
		return err
	}
	measured.set("stayed_saved", 1)
	if err := p.st.serveUpstream(ctx); err != nil {
		return err
	}
	if err := p.st.simDo(ctx, "line-up"); err != nil {
		return err
	}
	back := time.Now()
	if _, err := p.pageIn(ctx, lineBack, "done-accepted"); err != nil {
		return err
	}
	took := time.Since(back)
	number, err := p.accepted(ctx, lineBack)
	if err != nil {
		return err
	}
	if err := p.leave(ctx, 5, p.removeCard(ctx)); err != nil {
		return err
	}
	after, err := p.st.countyCases(ctx)
	if err != nil {
		return err
	}
	if len(after) != len(before)+1 {
		return fmt.Errorf("expected one more case upstream than the %d before, found %d", len(before), len(after))
	}
	if _, err := p.countyHas(ctx, number); err != nil {
		return err
	}
	if _, err := p.countyHas(ctx, number+"0"); err == nil {
		return errors.New("expected no case of a number that the county never gave")
	}
	measured.set("unknown_not_found", 1)
	p.note("line down: 已保存; line back: 已受理 %s after %.1f s, one case upstream", number, took.Seconds())
	measured.set("line_back_seconds", took.Seconds())
	measured.set("cases_upstream", float64(len(after)-len(before)))
	return nil
}
