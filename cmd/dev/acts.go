package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// This file holds what every visit is made of: enrolling, showing a card,
// finding a service, signing, printing, leaving.

// upTo bounds what the county, the printer or the line take.
const (
	countyWait  = 30 * time.Second
	printWait   = 60 * time.Second
	lineBack    = 5 * time.Second // promised: accepted within this of the line's return
	firstScreen = 60 * time.Second
)

// enrol types the one-time code and waits for the home page.
func (p *player) enrol(ctx context.Context) error {
	first, err := p.pageIn(ctx, firstScreen, "enrol", "home")
	if err != nil {
		return err
	}
	if err := p.findWindow(ctx); err != nil {
		return err
	}
	if first.Page == "home" {
		p.note("enrolled before")
		return p.picture(ctx, "home")
	}
	if err := p.picture(ctx, "enrol"); err != nil {
		return err
	}
	code, err := p.st.enrolCode(ctx)
	if err != nil {
		return err
	}
	if err := p.keys(ctx, strings.ReplaceAll(code, "-", "")); err != nil {
		return err
	}
	if err := p.picture(ctx, "enrol-code"); err != nil {
		return err
	}
	if err := p.tap(ctx, "next"); err != nil {
		return err
	}
	if _, err := p.until(ctx, "the terminal to be enrolled", countyWait, func(s screenState) bool {
		return s.says("登记好了") || s.Overlay == "trouble" || s.Page == "home"
	}); err != nil {
		return err
	}
	// The home page may come up by itself while the words are read.
	for range 1 + keyTries {
		if s, err := p.see(ctx); err != nil || s.Overlay != "ask" || !s.has("ok") {
			break
		}
		if err := p.tap(ctx, "ok"); err != nil {
			return err
		}
	}
	if _, err = p.page(ctx, "home"); err != nil {
		return err
	}
	// Accounts, lists and office come down with the line.
	_, err = p.until(ctx, "the line to the county", countyWait, func(s screenState) bool { return s.says("已联网") })
	if err != nil {
		return err
	}
	p.note("enrolled with a one-time code, line up")
	return p.picture(ctx, "home")
}

// showCard puts a card in (or an ID card down) and says that it is one's own.
func (p *player) showCard(ctx context.Context, verb, card string) error {
	began := time.Now()
	if err := p.st.simDo(ctx, verb, card); err != nil {
		return err
	}
	s, err := p.page(ctx, "identity")
	if err != nil {
		return err
	}
	p.note("card %s: name on the screen %.1f s after it was put in", card, time.Since(began).Seconds())
	if !slices.ContainsFunc(s.Texts, func(t string) bool { return strings.Contains(t, "*") || strings.Contains(t, "＊") }) {
		return p.fail(ctx, "a masked name and number", s, nil)
	}
	// The county is asked meanwhile; the page says what it answered.
	if _, err := p.until(ctx, "the county's check of the card", countyWait, settled); err != nil {
		return err
	}
	if err := p.picture(ctx, "identity"); err != nil {
		return err
	}
	return p.tap(ctx, "next")
}

// categories are the tiles of the catalogue's groups, by the first letter of a
// service's number.
var categories = map[byte]string{'J': "cat.job", 'T': "cat.learn", 'S': "cat.insurance", 'C': "cat.card"}

// open goes from the menu to the notice of a service and begins.
func (p *player) open(ctx context.Context, service string) error {
	if _, err := p.at(ctx, "menu"); err != nil {
		return err
	}
	if err := p.tap(ctx, categories[service[0]]); err != nil {
		return err
	}
	if _, err := p.at(ctx, "services"); err != nil {
		return err
	}
	for range 6 {
		s, err := p.page(ctx, "services")
		if err != nil {
			return err
		}
		if s.has("service."+service) || !s.has("services.next") {
			break
		}
		if err := p.tap(ctx, "services.next"); err != nil {
			return err
		}
	}
	if err := p.tap(ctx, "service."+service); err != nil {
		return err
	}
	if _, err := p.at(ctx, "notice"); err != nil {
		return err
	}
	return p.tap(ctx, "next")
}

// consent goes from the review to the signature, agrees and signs.
func (p *player) consent(ctx context.Context) error {
	if _, err := p.page(ctx, "review"); err != nil {
		return err
	}
	if err := p.tap(ctx, "next"); err != nil {
		return err
	}
	s, err := p.page(ctx, "sign", "step-")
	if err != nil {
		return err
	}
	if s.Page != "sign" {
		return p.fail(ctx, "the page sign, for the form was complete", s, nil)
	}
	for _, t := range s.with("consent.") {
		if err := p.tap(ctx, t.Name); err != nil {
			return err
		}
	}
	if s.has("signature") {
		if err := p.draw(ctx, "signature", signature...); err != nil {
			return err
		}
	}
	return p.picture(ctx, "sign")
}

// submit presses 提交 and waits for the page that says what came of it.
func (p *player) submit(ctx context.Context) (screenState, error) {
	if err := p.tap(ctx, "next"); err != nil {
		return screenState{}, err
	}
	s, err := p.page(ctx, "done-")
	if err != nil {
		return s, err
	}
	if s.Page == "done-saved" {
		err = p.picture(ctx, s.Page)
	}
	return s, err
}

// accepted waits until the county's number is on the screen.
func (p *player) accepted(ctx context.Context, d time.Duration) (string, error) {
	s, err := p.pageIn(ctx, d, "done-accepted")
	if err != nil {
		return "", err
	}
	n := acceptance(s)
	if n == "" {
		return "", p.fail(ctx, "an acceptance number", s, nil)
	}
	// The receipt is drawn by the worker; it belongs in the picture.
	_, _ = p.until(ctx, "the receipt", 8*time.Second, func(s screenState) bool { return !s.says("正在准备回执") })
	return n, p.picture(ctx, "done-accepted")
}

// acceptanceForm is how the county numbers cases.
var acceptanceForm = regexp.MustCompile(`^[A-Z0-9]{2,}[A-Z0-9-]{6,}$`)

// acceptance reads the number beside 受理编号.
func acceptance(s screenState) string {
	for i, t := range s.Texts {
		if strings.Contains(t, "受理编号") {
			for _, u := range s.Texts[i:min(len(s.Texts), i+4)] {
				if u = strings.TrimSpace(strings.TrimPrefix(u, "受理编号")); acceptanceForm.MatchString(u) {
					return u
				}
			}
		}
	}
	return ""
}

// printed lists what the printer has put out, oldest first.
func (p *player) printed() []string {
	list, err := filepath.Glob(filepath.Join(p.st.simDir, "printed", "*.pdf"))
	if err != nil {
		return nil
	}
	slices.Sort(list)
	return list
}

// print presses a print button and waits for the paper.
func (p *player) print(ctx context.Context, button string) (string, error) {
	before := len(p.printed())
	if err := p.tap(ctx, button); err != nil {
		return "", err
	}
	s, err := p.until(ctx, "the printer to finish", printWait, func(s screenState) bool { return s.Overlay == "ask" || s.Overlay == "trouble" })
	if err != nil {
		return "", err
	}
	if err := p.picture(ctx, s.Page+"-printed"); err != nil {
		return "", err
	}
	if s.Overlay == "trouble" {
		return "", p.fail(ctx, "a printed paper", s, nil)
	}
	if err := p.tap(ctx, "ok"); err != nil {
		return "", err
	}
	list := p.printed()
	if len(list) <= before {
		return "", p.fail(ctx, "a PDF at the printer", s, nil)
	}
	return list[len(list)-1], nil
}

// leave rates, takes the card and waits for the home page.
func (p *player) leave(ctx context.Context, stars int, takeCard func() error) error {
	if err := p.tap(ctx, "next"); err != nil {
		return err
	}
	if _, err := p.at(ctx, "rate"); err != nil {
		return err
	}
	if err := p.tap(ctx, fmt.Sprintf("rate.%d", stars)); err != nil {
		return err
	}
	return p.takeCard(ctx, takeCard)
}

// takeCard is the last page.
func (p *player) takeCard(ctx context.Context, takeCard func() error) error {
	if _, err := p.at(ctx, "leave"); err != nil {
		return err
	}
	if err := takeCard(); err != nil {
		return err
	}
	_, err := p.page(ctx, "home")
	return err
}

// removeCard takes the contact card out; liftCard the ID card.
func (p *player) removeCard(ctx context.Context) func() error {
	return func() error { return p.st.simDo(ctx, "remove") }
}

func (p *player) liftCard(ctx context.Context) func() error {
	return func() error { return p.st.simDo(ctx, "id-lift") }
}

// quitMenu leaves from the menu without doing anything.
func (p *player) quitMenu(ctx context.Context, takeCard func() error) error {
	if err := p.tap(ctx, "leave"); err != nil {
		return err
	}
	return p.takeCard(ctx, takeCard)
}

// countyCase is a case as the county's command line shows it.
type countyCase struct {
	ID         string `json:"id"`
	Acceptance string `json:"acceptance"`
	Service    string `json:"service"`
	State      string `json:"state"`
	Revision   int    `json:"revision"`
	Mode       string `json:"mode"`
	Staff      string `json:"staff"`
}

func (s *stage) countyCases(ctx context.Context) ([]countyCase, error) {
	out, err := s.county(ctx, "cases", "--json")
	if err != nil {
		return nil, err
	}
	var list []countyCase
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("the county's cases: %w", err)
	}
	return list, nil
}

// countyHas checks that the county has exactly one case of that number, and
// keeps its record.
func (p *player) countyHas(ctx context.Context, number string) (countyCase, error) {
	list, err := p.st.countyCases(ctx)
	if err != nil {
		return countyCase{}, err
	}
	var found []countyCase
	for _, c := range list {
		if c.Acceptance == number {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		return countyCase{}, fmt.Errorf("expected one case %s upstream, found %d of %d", number, len(found), len(list))
	}
	return found[0], nil
}

// keepRecord writes the county's record of a case beside the pictures.
func (p *player) keepRecord(ctx context.Context, number string) error {
	out, err := p.st.county(ctx, "show", number, "--json")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.out, "upstream-"+number+".json"), out, 0o600)
}
