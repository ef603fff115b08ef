package screen

import (
	"os"
	"slices"
	"strings"
	"testing"

	"cunban/device"
	"cunban/kiosk/cases"
	"cunban/kiosk/form"
	"cunban/kiosk/resident"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/uitest"
	"cunban/sync/wire"
)

// The ways the pages are looked at. All of them are drawn when pictures are
// asked for (CUNBAN_PICTURES=folder) and checked with CUNBAN_VIEWS=all; without,
// those that differ in layout, not only in colour, are checked.
var (
	landStd     = view{1920, 1080, theme.Day, theme.Standard}
	landLarge   = view{1920, 1080, theme.Day, theme.Large}
	portStd     = view{1080, 1920, theme.Day, theme.Standard}
	portLarge   = view{1080, 1920, theme.Day, theme.Large}
	landNight   = view{1920, 1080, theme.Night, theme.Standard}
	landHigh    = view{1920, 1080, theme.HighContrast, theme.Standard}
	portHighBig = view{1080, 1920, theme.HighContrast, theme.Large}
)

// tours are walks through the pages, by role.
var tours = []struct {
	name string
	walk func(st *stage)
	some bool // looked at in the other palettes too
}{
	{"card", (*stage).tourCard, false},
	{"front", (*stage).tourFront, true},
	{"visit", (*stage).tourVisit, true},
	{"job", (*stage).tourJob, false},
	{"odd", (*stage).tourOddQuestions, false},
	{"material", (*stage).tourMaterial, false},
	{"camera", (*stage).tourCamera, true},
	{"pin", (*stage).tourPIN, false},
	{"progress", (*stage).tourProgress, true},
	{"query", (*stage).tourQuery, false},
	{"overlay", (*stage).tourOverlays, true},
	{"desk", (*stage).tourDesk, true},
	{"tech", (*stage).tourTech, false},
	{"devices", (*stage).tourDevices, false},
}

// TestPictures visits every page and checks on each that help is within reach,
// that targets are large enough, inside the window and apart, and that no text
// is cut; with CUNBAN_PICTURES it also writes what it saw.
func TestPictures(t *testing.T) {
	views := []view{landStd, landLarge, portStd, portLarge}
	if pictures() != "" || os.Getenv("CUNBAN_VIEWS") == "all" {
		views = append(views, landNight, landHigh, portHighBig)
	}
	for _, v := range views {
		for _, tour := range tours {
			if v.palette != theme.Day && !tour.some {
				continue
			}
			t.Run(v.String()+"/"+tour.name, func(t *testing.T) {
				st := newStage(t, v)
				st.name = tour.name
				tour.walk(st)
			})
		}
	}
}

// tourCard shows home and the card page in all states.
func (st *stage) tourCard() {
	st.shoot("home")
	for _, r := range []struct {
		name       string
		social, id bool
	}{{"no-idcard", true, false}, {"no-social", false, true}, {"no-reader", false, false}} {
		st.card(func(v *ui.CardView) {
			v.SocialReader, v.IDReader = r.social, r.id
			if !r.social && !r.id {
				v.Phase = ui.CardNoReader
			}
		})
		st.shoot("home-" + r.name)
	}
	st.card(func(v *ui.CardView) { *v = ui.CardView{Phase: ui.CardReading, SocialReader: true, IDReader: true} })
	for _, ph := range ui.CardPhases {
		if ph == ui.CardRead {
			continue
		}
		st.card(func(v *ui.CardView) { v.Phase = ph })
		st.until("card-" + string(ph))
		st.shoot("card-" + string(ph))
	}
	c := uitest.Claim()
	c.NameExact = false
	st.b.VerifyOut = wire.VerifyClaimOut{Result: wire.VerifyMismatch, Text: "县里登记的名字和卡上的不一样，请按“呼叫帮办”"}
	st.card(func(v *ui.CardView) { v.Phase, v.Claim = ui.CardRead, c })
	st.until("identity")
	st.shoot("identity-mismatch")
	st.tap("not-me")
	st.until("ask")
	st.shoot("not-me")
	st.tap("ok")
	st.tap("back")
	st.card(func(v *ui.CardView) { v.Phase = ui.CardWaiting })
	st.until("home")
	st.b.VerifyOut = wire.VerifyClaimOut{Result: wire.VerifyCardLost, Text: "这张卡已经挂失，不能用来办事。找到了卡，请先解挂"}
	st.card(func(v *ui.CardView) { v.Phase, v.Claim = ui.CardRead, uitest.Claim() })
	st.until("identity")
	st.shoot("identity-lost")
}

// card changes what is in front of the readers.
func (st *stage) card(f func(v *ui.CardView)) {
	st.t.Helper()
	st.on(func() { f(&st.b.Card) })
	st.s.CardChanged(st.b.Card)
	st.settled()
}

// insert brings the test person to the menu.
func (st *stage) insert() {
	st.t.Helper()
	st.b.VerifyOut = wire.VerifyClaimOut{Result: wire.VerifyMatch}
	st.card(func(v *ui.CardView) { v.Phase, v.Claim = ui.CardRead, uitest.Claim() })
	st.until("identity")
	st.shoot("identity")
	st.tap("next")
	st.until("menu")
}

// tourFront shows menu, services, search and guide.
func (st *stage) tourFront() {
	st.shoot("home")
	st.tap("guide")
	st.until("services")
	st.shoot("guide")
	for has(st.settled(), "services.next") {
		st.tap("services.next")
		st.shoot("guide-more")
	}
	st.tap("back")
	st.until("home")
	st.insert()
	st.shoot("menu")
	for _, k := range []string{"job", "learn", "insurance", "card"} {
		st.tap("cat." + k)
		st.until("services")
		st.shoot("services-" + k)
		if k == "insurance" {
			st.tap("search")
			st.until("search")
			st.shoot("search-empty")
			st.keys("yl")
			st.shoot("search")
			st.keys("qq")
			st.shoot("search-none")
			st.tap("back")
			st.until("services")
		}
		st.tap("back")
		st.until("menu")
	}
	for _, id := range []string{"J02", "S11", "S10"} {
		st.on(func() { st.s.Go(st.nav().Service(st.b.Cat.Service(id))) })
		st.until("notice")
		st.shoot("notice-" + id)
		for has(st.settled(), "notice.next") {
			st.tap("notice.next")
			st.shoot("notice-" + id + "-more")
		}
	}
	st.tap("print-notice")
	st.until("ask")
	st.shoot("printed")
}

func (st *stage) nav() *ui.Routes { return Routes() }

// open goes to a service's notice and begins it.
func (st *stage) open(id string) {
	st.t.Helper()
	st.on(func() { st.s.Go(st.nav().Service(st.b.Cat.Service(id))) })
	st.until("notice")
	st.shoot("notice")
	st.tap("next")
}

// tourVisit takes S01 from card to farewell.
func (st *stage) tourVisit() {
	st.insert()
	st.open("S01")
	st.fill()
	st.sign()
	st.finish()
}

// tourJob takes J01 from card to signature.
func (st *stage) tourJob() {
	st.insert()
	st.open("J01")
	st.fill()
	st.sign()
}

// fill goes through a form, answering what is asked; it ends at the signature.
func (st *stage) fill() {
	st.t.Helper()
	seen := map[string]bool{}
	for range 120 {
		s := st.settled()
		switch {
		case s.Overlay == "ask":
			st.shoot("warning")
			st.tap("yes")
			continue
		case s.Overlay != "":
			st.t.Fatalf("overlay %s on %s: %v", s.Overlay, s.Page, s.Texts)
		case s.Page == "sign":
			return
		}
		if !seen[s.Page] {
			seen[s.Page] = true
			st.shoot(s.Page)
			if s.Page == "review" && has(s, "review.next") {
				st.tap("review.next")
				st.shoot("review-more")
			}
		}
		if s.Page != "review" {
			st.answer(s)
		}
		if now := st.settled(); now.Page == s.Page && now.Overlay == "" {
			st.tap("next")
		}
	}
	st.t.Fatalf("the form has no end: page %s", st.settled().Page)
}

// answer gives an answer to what is on the page, as FillSample would.
func (st *stage) answer(s ui.ScreenState) {
	st.t.Helper()
	if has(s, "take.scanner") {
		for range 2 {
			if has(st.settled(), "take.scanner") {
				st.tap("take.scanner")
				st.settled()
			}
		}
		st.shoot(s.Page + "-taken")
		return
	}
	if list := names(s, "choice."); len(list) > 0 {
		st.tap(list[len(list)-1])
		st.settled()
		return
	}
	st.sample()
}

// sample answers what is still open with made-up answers, where typing them key
// by key would be slow.
func (st *stage) sample() {
	st.t.Helper()
	st.on(func() {
		if d := st.s.Visit().Draft; d != nil {
			if err := form.FillSample(d.Form); err != nil {
				st.t.Error(err)
			}
		}
	})
}

// sign agrees and signs.
func (st *stage) sign() {
	st.t.Helper()
	s := st.until("sign")
	st.shoot("sign-empty")
	for _, n := range names(s, "consent.") {
		agreed := false
		st.on(func() { agreed = st.s.Visit().Draft.Form.Get(strings.TrimPrefix(n, "consent.")).Text == "1" })
		if !agreed {
			st.tap(n)
			st.settled()
		}
	}
	st.tap("next")
	if s := st.settled(); s.Overlay == "ask" {
		st.shoot("sign-missing")
		st.tap("ok")
	}
	st.on(func() {
		if !uitest.Sign(st.s.Root()) {
			st.t.Error("no sheet to sign on")
		}
	})
	st.shoot("sign")
	st.tap("next")
	st.until("done-saved")
	st.shoot("done-saved")
}

// finish shows what comes after the case was saved.
func (st *stage) finish() {
	id := st.b.Drafts[len(st.b.Drafts)-1].ID
	st.move(id, cases.Accepted, func(c *cases.Case) { c.Acceptance, c.AcceptedAt = "140830-20261123-000001", st.b.At })
	st.until("done-accepted")
	st.shoot("done-accepted")
	st.tap("print")
	st.until("ask")
	st.shoot("printed")
	st.tap("ok")
	st.tap("next")
	st.until("rate")
	st.shoot("rate")
	st.b.In = true
	st.tap("next")
	st.until("leave")
	st.shoot("leave-card-in")
	st.b.In = false
	st.card(func(v *ui.CardView) { v.Phase = ui.CardWaiting })
	st.shoot("leave")
	st.tap("next")
	st.until("home")
}

// move puts a case into a state and tells the screen.
func (st *stage) move(id string, to cases.State, f func(c *cases.Case)) {
	c := st.b.Cases[id]
	c.State, c.UpdatedAt = to, st.b.At
	if f != nil {
		f(&c)
	}
	st.on(func() {
		st.b.Cases[id] = c
		st.b.EventsV[id] = append(st.b.EventsV[id], cases.Event{CaseID: id, At: st.b.At, State: to, Text: c.Note})
	})
	st.s.CaseChanged(c)
	st.settled()
}

// goTo walks to the question of a field from wherever the form is.
func (st *stage) goTo(field string) {
	st.t.Helper()
	for range 80 {
		s := st.settled()
		if s.Page == "step-"+field {
			return
		}
		if s.Overlay == "ask" {
			st.tap("yes")
			continue
		}
		if s.Page == "review" || s.Page == "sign" {
			st.t.Fatalf("no question %s", field)
		}
		st.sample()
		st.tap("next")
	}
}

// tourOddQuestions shows one page of every kind of question S01 and J01 do not
// have: table, date, choices of several, regions, long text.
func (st *stage) tourOddQuestions() {
	st.insert()
	st.on(func() { st.s.Go(st.nav().Service(st.b.Cat.Service("J11"))) })
	st.until("notice")
	st.shoot("notice-only-staff")
	st.on(func() { st.s.Visit().Helper = clerk() })
	st.open("J11")
	st.goTo("family")
	st.shoot("table-empty")
	st.tap("row.add")
	st.shoot("table-row")
	for range 12 {
		s := st.settled()
		if !has(s, "row.next") {
			break
		}
		if list := names(s, "choice."); len(list) > 0 {
			st.tap(list[0])
		} else if has(s, "key.1") {
			st.keys("1")
		} else if has(s, "key.a") {
			st.tap("mode.latin")
			st.shoot("table-text")
			st.keys("li")
		}
		st.shoot("table-column")
		st.tap("row.next")
	}
	st.shoot("table-one-row")
	st.open("J06")
	st.goTo("appoint_date")
	st.shoot("date")
	st.tap("home")
	st.until("ask")
	st.shoot("give-up")
	st.tap("leave")
	st.until("home")

	st.insert()
	st.open("S03")
	st.goTo("change_items")
	st.shoot("several")
	for _, n := range names(st.settled(), "choice.")[:2] {
		st.tap(n)
	}
	st.shoot("several-chosen")
	st.on(func() { st.s.Go(st.nav().Service(st.b.Cat.Service("S01"))) })
	st.until("notice")
	st.tap("next")
	st.goTo("aab301")
	st.shoot("region")
	if has(st.settled(), "region.other") {
		st.tap("region.other")
	}
	for i := range 4 {
		st.shoot("region-" + string(rune('0'+i)))
		if !has(st.settled(), "region.up") {
			break
		}
		st.tap("region.up")
	}
}

// toMaterial fills a form up to its first material.
func (st *stage) toMaterial() {
	st.t.Helper()
	for range 80 {
		s := st.settled()
		if s.Overlay == "ask" {
			st.tap(names(s, "")[0])
			continue
		}
		if len(names(s, "take.")) > 0 || has(s, "defer") {
			return
		}
		if s.Page == "sign" {
			break
		}
		st.sample()
		st.tap("next")
	}
	st.t.Fatal("no material")
}

// tourMaterial shows the page of a material in its states.
func (st *stage) tourMaterial() {
	st.insert()
	st.open("S01")
	st.toMaterial()
	st.on(func() {
		for k := range st.s.Visit().Draft.Shots {
			delete(st.s.Visit().Draft.Shots, k)
		}
	})
	st.shoot("material-empty")
	st.b.TakeV = &ui.Shot{JPEG: []byte{1}, OK: false, Words: "有点模糊，请再拍一次", Source: "test"}
	st.tap("take.scanner")
	st.settled()
	st.shoot("material-blurred")
	st.b.TakeV = &ui.Shot{JPEG: []byte{1}, OK: true, Blank: true}
	st.tap("retake")
	st.settled()
	st.shoot("material-blank")
	st.b.TakeV = nil
	st.tap("take.scanner")
	st.settled()
	st.shoot("material-taken")
	st.b.TakeErr = &ui.Trouble{Code: "SC-03", Text: "扫描仪卡纸了", Remedy: "请打开盖子，把纸取出来，再扫一次"}
	if has(st.settled(), "take.scanner") {
		st.tap("take.scanner")
		st.settled()
		st.shoot("material-trouble")
	}
	st.b.TakeErr = nil
	st.on(func() {
		st.b.SourcesV = []ui.Source{{Kind: device.KindScanner, Name: "扫描仪", Health: device.Health{Kind: device.KindScanner, State: device.StateAbsent,
			Cause: "没有找到扫描仪", Remedy: "请检查电源和数据线"}}}
		d := st.s.Visit().Draft
		d.Form.Update(func(c *form.Context) { c.Devices = st.b.Have() })
		for k := range d.Shots {
			delete(d.Shots, k)
		}
	})
	st.tap("back")
	st.settled()
	st.tap("next")
	st.settled()
	st.shoot("material-no-scanner")
	st.tap("defer")
	st.fill()
}

// TestCardPhasesHaveWords: no state of a card is told in the words of another.
func TestCardPhasesHaveWords(t *testing.T) {
	st := newStage(t, landStd)
	seen := map[string]resident.Claim{}
	st.card(func(v *ui.CardView) { v.Phase = ui.CardReading })
	for _, ph := range ui.CardPhases {
		if ph == ui.CardRead {
			continue
		}
		st.card(func(v *ui.CardView) { v.Phase = ph })
		s := st.until("card-" + string(ph))
		if slices.Contains(s.Texts, "这张卡的情况不明。") {
			t.Errorf("phase %s has no words of its own", ph)
		}
		key := strings.Join(s.Texts, "")
		if _, twice := seen[key]; twice {
			t.Errorf("phase %s says what another one says", ph)
		}
		seen[key] = resident.Claim{}
	}
}
