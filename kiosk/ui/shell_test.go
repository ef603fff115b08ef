package ui_test

import (
	"image"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"cunban/device"
	"cunban/kiosk/cases"
	"cunban/kiosk/session"
	"cunban/kiosk/staff"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/input"
	"cunban/kiosk/ui/screen"
	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/uitest"
	"cunban/kiosk/ui/widget"
)

// bench is a shell with a fake behind it.
type bench struct {
	t    *testing.T
	b    *uitest.Backend
	s    *ui.Shell
	loop *uitest.Loop
	app  fyne.App
	win  fyne.Window
	// lapses is how often the drawing was told to forget; only on the loop.
	lapses int
	// asks is what OnAsk was told; only on the loop.
	asks [][]device.Lamp
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b, err := uitest.New()
	if err != nil {
		t.Fatal(err)
	}
	k := &bench{t: t, b: b, loop: uitest.NewLoop()}
	t.Cleanup(k.loop.Close)
	k.loop.Do(func() {
		k.app = test.NewTempApp(t)
		k.win = test.NewTempWindow(t, nil)
		k.s = ui.New(ui.Options{App: k.app, Window: k.win, Backend: b, Routes: screen.Routes(), Post: k.loop.Post,
			Now: func() time.Time { return b.At }, Lapse: func() { k.lapses++ },
			OnAsk: func(l []device.Lamp) { k.asks = append(k.asks, l) }})
		b.OnSession = k.s.SessionEvent
		k.win.Resize(fyne.NewSize(1920, 1080))
		k.s.Start()
	})
	return k
}

func (k *bench) until(what string, cond func(s ui.ScreenState) bool) {
	k.t.Helper()
	var last ui.ScreenState
	if !k.loop.Until(5*time.Second, func() bool { last = k.s.Look(); return cond(last) }) {
		k.t.Fatalf("waiting for %s: page %s, overlay %q, pending %d", what, last.Page, last.Overlay, last.Pending)
	}
}

func (k *bench) page(id string) {
	k.t.Helper()
	k.until(id, func(s ui.ScreenState) bool { return s.Page == id && s.Overlay == "" && s.Pending == 0 })
}

func (k *bench) overlay(id string) {
	k.t.Helper()
	k.until("overlay "+id, func(s ui.ScreenState) bool { return s.Overlay == id })
}

func (k *bench) tap(name string) {
	k.t.Helper()
	ok := false
	k.loop.Do(func() { ok = widget.Tap(k.s.Root(), name) })
	if !ok {
		k.t.Fatalf("no target %s", name)
	}
}

// insert brings the made-up person to the menu and gives her session.
func (k *bench) insert() (n uint64) {
	k.t.Helper()
	k.page("home")
	k.loop.Do(func() { k.b.Card.Phase, k.b.Card.Claim = ui.CardRead, uitest.Claim() })
	k.s.CardChanged(k.b.Card)
	k.page("identity")
	k.tap("next")
	k.page("menu")
	k.loop.Do(func() { n = k.s.Visit().Number })
	return n
}

// probe is a page that shows what a test wants.
type probe struct{ view func(c *ui.Ctx) ui.View }

func (p probe) View(c *ui.Ctx) ui.View { return p.view(c) }

func plain(id string) probe {
	return probe{func(c *ui.Ctx) ui.View { return ui.View{ID: id, Title: id, Body: widget.Spring()} }}
}

// TestPagesLightTheirPlaces: the lamps are those of the page that is up, and a
// page that is drawn again tells nothing anew.
func TestPagesLightTheirPlaces(t *testing.T) {
	k := newBench(t)
	k.page("home")
	at := func(id string, lamps ...device.Lamp) {
		p := plain(id)
		k.s.Go(probe{func(c *ui.Ctx) ui.View { v := p.view(c); v.Asks = lamps; return v }})
		k.page(id)
	}
	at("one", device.LampCard)
	at("two", device.LampCard)
	k.s.Minute()
	at("three", device.LampScanner)
	at("four")
	want := [][]device.Lamp{{device.LampCard}, {device.LampScanner}, {}}
	k.loop.Do(func() {
		if !slices.EqualFunc(k.asks, want, slices.Equal) {
			t.Errorf("told %v, want %v", k.asks, want)
		}
	})
}

// TestIdleCoverAndWipe follows the session manager through question, answer,
// cover and end.
func TestIdleCoverAndWipe(t *testing.T) {
	k := newBench(t)
	n := k.insert()
	k.s.SessionEvent(session.Event{Kind: session.Asked, Session: n, Left: 30 * time.Second})
	k.overlay("idle")
	k.tap("continue")
	k.page("menu")
	k.s.SessionEvent(session.Event{Kind: session.Asked, Session: n, Left: 30 * time.Second})
	k.overlay("idle")
	// The card goes while the question stands: the cover is above it.
	k.s.SessionEvent(session.Event{Kind: session.CoveredUp, Session: n, Left: 15 * time.Second})
	k.overlay("cover")
	var seen []string
	k.loop.Do(func() { seen = k.s.Look().Texts })
	if slices.ContainsFunc(seen, func(s string) bool { return strings.Contains(s, "张") || strings.Contains(s, "1408") }) {
		t.Errorf("the cover shows %v", seen)
	}
	k.s.SessionEvent(session.Event{Kind: session.Uncovered, Session: n})
	k.s.SessionEvent(session.Event{Kind: session.Continued, Session: n})
	k.page("menu")
	k.s.SessionEvent(session.Event{Kind: session.CoveredUp, Session: n, Left: 15 * time.Second})
	k.overlay("cover")
	k.loop.Do(func() { k.b.EndSession(session.CardTaken) })
	k.page("home")
	// An end of a session before this one ends nothing.
	next := k.insert()
	k.s.SessionEvent(session.Event{Kind: session.Ended, Session: next - 1, Reason: session.IdleOut})
	k.page("menu")
}

// TestWipeForgets: models, pictures, pads and clipboard hold nothing of the
// person who was here.
func TestWipeForgets(t *testing.T) {
	k := newBench(t)
	k.insert()
	jpeg, sign := []byte{1, 2, 3}, []byte{4, 5, 6}
	pic := image.NewGray(image.Rect(0, 0, 4, 4))
	pic.Pix[3] = 9
	wiped := false
	var pad *input.TextPad
	k.loop.Do(func() {
		v := k.s.Visit()
		v.Draft = &ui.Draft{CaseID: "x", Shots: map[string][]ui.Shot{"m": {{JPEG: jpeg, Preview: pic, OK: true}}}, Signature: sign}
		v.OnWipe(func() { wiped = true })
		k.app.Clipboard().SetContent("秘密")
	})
	k.s.Go(probe{func(c *ui.Ctx) ui.View {
		pad = input.NewTextPad(c.Look, input.TextOptions{Value: "秘密"})
		return ui.View{ID: "pad", Title: "pad", Body: pad}
	}})
	k.page("pad")
	k.loop.Do(func() {
		k.s.SessionEvent(session.Event{Kind: session.CoveredUp, Session: k.s.Visit().Number, Left: time.Second})
		k.b.EndSession(session.CardTaken)
	})
	k.page("home")
	k.loop.Do(func() {
		v := k.s.Visit()
		if v.Known() || v.Draft != nil || v.Helper != nil {
			t.Errorf("the visit still holds %+v", v)
		}
		if jpeg[0] != 0 || sign[0] != 0 || pic.Pix[3] != 0 || !wiped {
			t.Errorf("left over: jpeg %v, signature %v, pixel %d, wiped %v", jpeg, sign, pic.Pix[3], wiped)
		}
		if k.lapses != 1 {
			t.Errorf("the drawing was told %d times to forget what it showed, want once", k.lapses)
		}
		if pad.Value() != "" {
			t.Errorf("the pad still holds %q", pad.Value())
		}
		if c := k.app.Clipboard().Content(); c != "" {
			t.Errorf("the clipboard still holds %q", c)
		}
		if s := k.s.Look(); s.Overlay != "" {
			t.Errorf("overlay %s is left", s.Overlay)
		}
	})
}

// TestLateResultIsDropped: what comes for a page that is gone changes nothing,
// and the wait that was shown for it is over.
func TestLateResultIsDropped(t *testing.T) {
	k := newBench(t)
	k.insert()
	gate := make(chan struct{})
	k.b.Gate = gate
	k.loop.Do(func() { k.s.Go(screen.Routes().Service(k.b.Cat.Service("S05"))) })
	k.page("notice")
	k.tap("next")
	k.overlay("busy")
	k.s.Go(plain("elsewhere"))
	k.until("elsewhere", func(s ui.ScreenState) bool { return s.Page == "elsewhere" && s.Overlay == "" })
	close(gate)
	k.page("elsewhere")
	k.loop.Do(func() {
		if k.s.Visit().Draft != nil {
			t.Error("a form began on a page that was gone")
		}
	})
}

// TestOverlaysGoWithThePage: a question or a trouble of one page is not asked on
// the next.
func TestOverlaysGoWithThePage(t *testing.T) {
	k := newBench(t)
	k.insert()
	var ctx *ui.Ctx
	k.s.Go(probe{func(c *ui.Ctx) ui.View {
		ctx = c
		return ui.View{ID: "asks", Title: "asks", Body: widget.Spring()}
	}})
	k.page("asks")
	k.loop.Do(func() { ctx.Tell("一", "二"); ctx.Trouble(&ui.Trouble{Code: "T", Text: "三", Remedy: "四"}) })
	k.overlay("ask")
	k.s.Go(plain("next-page"))
	k.page("next-page")
	k.loop.Do(func() { ctx.Tell("一", "二"); ctx.Home(); ctx.End() })
	k.page("next-page")
}

// TestFingerDoesNotPressThroughAChange: a finger that went down on a page that
// is gone by the time it goes up presses nothing.
func TestFingerDoesNotPressThroughAChange(t *testing.T) {
	k := newBench(t)
	n := k.insert()
	var next widget.Target
	k.loop.Do(func() { next = widget.Find(k.s.Root(), "cat.insurance") })
	press := next.(interface {
		fyne.CanvasObject
		widget.Target
	})
	k.loop.Do(func() { uitest.Down(press) })
	k.s.SessionEvent(session.Event{Kind: session.CoveredUp, Session: n, Left: 15 * time.Second})
	k.overlay("cover")
	k.loop.Do(func() { uitest.Up(press) })
	k.s.SessionEvent(session.Event{Kind: session.Uncovered, Session: n})
	k.page("menu")
	// Without the change between, the same finger presses.
	k.loop.Do(func() { uitest.Down(press); uitest.Up(press) })
	k.page("services")
}

// TestRedrawKeepsWhatWasTyped: a page that is built anew while somebody types
// shows what was typed.
func TestRedrawKeepsWhatWasTyped(t *testing.T) {
	k := newBench(t)
	k.insert()
	k.loop.Do(func() { k.s.Go(screen.Routes().Service(k.b.Cat.Service("S05"))) })
	k.page("notice")
	k.tap("next")
	k.until("a pad", func(s ui.ScreenState) bool { return strings.HasPrefix(s.Page, "step-") && s.Pending == 0 })
	for range 12 {
		pad := false
		k.loop.Do(func() { pad = widget.Find(k.s.Root(), "key.1") != nil })
		if pad {
			break
		}
		k.loop.Do(func() {
			for _, t := range k.s.Look().Targets {
				if strings.HasPrefix(t.Name, "choice.") {
					widget.Tap(k.s.Root(), t.Name)
					break
				}
			}
		})
		k.tap("next")
		k.until("the next question", func(s ui.ScreenState) bool { return s.Pending == 0 })
	}
	for _, d := range []string{"1", "3", "8"} {
		k.tap("key." + d)
	}
	k.loop.Do(func() { k.win.Resize(fyne.NewSize(1600, 900)) })
	k.until("the other size", func(s ui.ScreenState) bool { return s.W == 1600 })
	k.loop.Do(func() {
		if s := k.s.Look(); !slices.Contains(s.Texts, "138") {
			t.Errorf("after a redraw the page shows %v", s.Texts)
		}
	})
}

// TestHelperStaysForTheNext: the clerk keeps her place, the resident's things
// are gone.
func TestHelperStaysForTheNext(t *testing.T) {
	k := newBench(t)
	k.insert()
	k.loop.Do(func() {
		k.s.Visit().Helper = &staff.Account{Number: "30830101", Name: "李秀英"}
		k.s.Visit().Mode = cases.ModeAssisted
	})
	k.s.Go(probe{func(c *ui.Ctx) ui.View {
		return ui.View{ID: "end", Title: "end", Body: widget.NewButton(c.Look, "go", "go", widget.Secondary, c.NextResident)}
	}})
	k.page("end")
	k.tap("go")
	k.page("desk-home")
	k.loop.Do(func() {
		if k.lapses != 1 {
			t.Errorf("the drawing was told %d times to forget the resident, want once", k.lapses)
		}
		if v := k.s.Visit(); v.Known() || v.Helper == nil || v.Draft != nil {
			t.Errorf("the next visit begins with %+v", v)
		}
	})
}

// TestPagesLeaveNoGoroutines: what a page began ends with it.
func TestPagesLeaveNoGoroutines(t *testing.T) {
	k := newBench(t)
	k.page("home")
	before := runtime.NumGoroutine()
	for range 20 {
		k.s.Go(probe{func(c *ui.Ctx) ui.View {
			c.Every(time.Millisecond, func() {})
			return ui.View{ID: "ticks", Title: "ticks", Idle: true, Body: widget.Spring()}
		}})
		k.page("ticks")
	}
	k.s.Go(probe{func(c *ui.Ctx) ui.View {
		return ui.View{ID: "quiet", Title: "quiet", Idle: true, Body: widget.Spring()}
	}})
	k.page("quiet")
	// The tickers end by themselves; each thing that happens on the loop is an
	// occasion to look.
	if !k.loop.Until(5*time.Second, func() bool {
		if runtime.NumGoroutine() <= before+1 {
			return true
		}
		runtime.Gosched()
		go k.loop.Post(func() {})
		return false
	}) {
		t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
	}
}

// TestWaitOffersHelp: a long wait does not hide the way to a person, and cannot
// outlive the page.
func TestWaitOffersHelp(t *testing.T) {
	k := newBench(t)
	k.insert()
	gate := make(chan struct{})
	defer close(gate)
	k.b.Gate = gate
	k.loop.Do(func() { k.s.Go(screen.Routes().Service(k.b.Cat.Service("S05"))) })
	k.page("notice")
	k.tap("next")
	k.overlay("busy")
	k.loop.Do(func() { k.b.At = k.b.At.Add(10 * time.Second) })
	k.until("help", func(s ui.ScreenState) bool {
		return slices.ContainsFunc(s.Targets, func(t widget.TargetInfo) bool { return t.Name == "busy-help" })
	})
	k.tap("busy-help")
	k.overlay("help")
	k.tap("help-close")
	k.loop.Do(func() { k.b.EndSession(session.IdleOut) })
	k.until("home", func(s ui.ScreenState) bool { return s.Page == "home" && s.Overlay == "" })
}

// TestLookGoesBack: large text and night are one person's choice.
func TestLookGoesBack(t *testing.T) {
	k := newBench(t)
	k.page("home")
	k.tap("look.size")
	k.tap("look.palette")
	k.until("large", func(s ui.ScreenState) bool { return s.Look == theme.Night.String()+" "+theme.Large.String() })
	k.insert()
	k.loop.Do(func() { k.b.EndSession(session.Done) })
	k.until("standard", func(s ui.ScreenState) bool {
		return s.Page == "home" && s.Look == theme.Day.String()+" "+theme.Standard.String()
	})
}

// TestClerkTakesOver: called for help, the clerk signs in on the resident's
// screen and goes on where she stands; one who thinks better of it leaves
// everything as it was.
func TestClerkTakesOver(t *testing.T) {
	k := newBench(t)
	k.insert()
	k.loop.Do(func() { k.s.Go(screen.Routes().Service(k.b.Cat.Service("S05"))) })
	k.page("notice")
	k.tap("next")
	k.until("the form", func(s ui.ScreenState) bool { return strings.HasPrefix(s.Page, "step-") && s.Pending == 0 })
	var where, caseID string
	k.loop.Do(func() { where, caseID = k.s.Look().Page, k.s.Visit().Draft.CaseID })
	k.tap("help")
	k.overlay("help")
	k.tap("help-staff")
	k.page("sign-in-number")
	k.tap("back")
	k.page(where)
	k.tap("help")
	k.overlay("help")
	k.tap("help-staff")
	k.page("sign-in-number")
	for _, r := range "30830101" {
		k.tap("key." + string(r))
	}
	k.tap("next")
	k.page("sign-in-pin")
	for _, r := range "246810" {
		k.tap("key." + string(r))
	}
	k.page(where)
	k.loop.Do(func() {
		v := k.s.Visit()
		if v.Helper == nil || !v.Known() || v.Draft == nil || v.Draft.CaseID != caseID {
			t.Errorf("after the clerk signed in: helper %v, known %v, draft %v", v.Helper != nil, v.Known(), v.Draft != nil)
		}
	})
}

// TestHelpLeftOnHomePage: the words of a call go away by themselves where no
// session ends them, and stay where somebody waits.
func TestHelpLeftOnHomePage(t *testing.T) {
	k := newBench(t)
	k.page("home")
	k.tap("help")
	k.overlay("help")
	k.s.Minute()
	k.overlay("help")
	k.loop.Do(func() { k.b.At = k.b.At.Add(2 * time.Minute) })
	k.s.Minute()
	k.page("home")
	// A card left behind is called out for as long as it is there.
	k.s.SessionEvent(session.Event{Kind: session.CardLeft, First: true})
	k.overlay("help")
	k.s.Minute()
	k.overlay("help")
	k.s.CardGone()
	k.insert()
	k.tap("help")
	k.overlay("help")
	k.loop.Do(func() { k.b.At = k.b.At.Add(2 * time.Minute) })
	k.s.Minute()
	k.overlay("help")
}
