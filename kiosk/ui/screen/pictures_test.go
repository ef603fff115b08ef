package screen

import (
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"cunban/kiosk/cases"
	"cunban/kiosk/staff"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/uitest"
	"cunban/kiosk/ui/widget"
)

// stage is a shell on a software canvas.
type stage struct {
	t   *testing.T
	b   *uitest.Backend
	s   *ui.Shell
	win fyne.Window
	dir string
	n   int
	tag string
}

func newStage(t *testing.T, w, h float32, tag string) *stage {
	t.Helper()
	b, err := uitest.New()
	if err != nil {
		t.Fatal(err)
	}
	a := test.NewApp()
	win := test.NewWindow(nil)
	s := ui.New(ui.Options{App: a, Window: win, Backend: b, Routes: Routes()})
	win.Resize(fyne.NewSize(w, h))
	dir := os.Getenv("CUNBAN_PICTURES")
	if dir == "" {
		dir = t.TempDir()
	}
	st := &stage{t: t, b: b, s: s, win: win, dir: dir, tag: tag}
	st.on(s.Start)
	return st
}

func (st *stage) on(f func()) { fyne.DoAndWait(f) }

// until waits for a page, by condition and not by clock.
func (st *stage) until(id string) ui.ScreenState {
	st.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		s := st.s.State()
		if s.Page == id && s.Overlay == "" || s.Overlay == id {
			return s
		}
		select {
		case <-deadline:
			st.t.Fatalf("waiting for %q: page %q, overlay %q, texts %v", id, s.Page, s.Overlay, s.Texts)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// tap touches a target of the present page.
func (st *stage) tap(name string) {
	st.t.Helper()
	ok := false
	st.on(func() { ok = widget.Tap(st.s.Root(), name) })
	if !ok {
		s := st.s.State()
		var names []string
		for _, t := range s.Targets {
			names = append(names, t.Name)
		}
		st.t.Fatalf("no target %q on %s; there are %v", name, s.Page, names)
	}
}

// shoot writes the page's picture and checks what every page must have.
func (st *stage) shoot(name string) {
	st.t.Helper()
	st.n++
	s := st.s.State()
	st.on(func() {
		f, err := os.Create(filepath.Join(st.dir, fmt.Sprintf("%s-%02d-%s.png", st.tag, st.n, name)))
		if err != nil {
			st.t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		if err := png.Encode(f, st.win.Canvas().Capture()); err != nil {
			st.t.Fatal(err)
		}
	})
	help := false
	for _, t := range s.Targets {
		if t.Name == "help" {
			help = true
		}
		if t.X < -1 || t.Y < -1 || t.X+t.W > s.W+1 || t.Y+t.H > s.H+1 {
			st.t.Errorf("%s %s: target %s reaches outside the window: %+v of %vx%v", st.tag, name, t.Name, t, s.W, s.H)
		}
	}
	if !help && s.Overlay == "" {
		st.t.Errorf("%s %s: no way to call for help", st.tag, name)
	}
}

// tour visits the pages of all roles.
func (st *stage) tour() {
	st.until("home")
	st.shoot("home")
	for _, ph := range []ui.CardPhase{ui.CardReading, ui.CardWrongWay, ui.CardForeign, ui.CardBlank, ui.CardDamaged, ui.CardTorn, ui.CardHeld, ui.CardNoReader, ui.CardLiftIDCard} {
		st.b.Card.Phase = ph
		st.s.CardChanged(st.b.Card)
		if ph == ui.CardNoReader {
			// No reader is said on the home page too.
			st.until("card-no_reader")
		} else {
			st.until("card-" + string(ph))
		}
		st.shoot("card-" + string(ph))
	}
	st.b.Card.Phase, st.b.Card.Claim = ui.CardRead, uitest.Claim()
	st.s.CardChanged(st.b.Card)
	st.until("identity")
	st.shoot("identity")
	st.tap("next")
	st.until("menu")
	st.shoot("menu")
	st.tap("cat.insurance")
	st.until("services")
	st.shoot("services")
	st.tap("search")
	st.until("search")
	st.tap("key.y")
	st.pass()
	st.tap("key.l")
	st.shoot("search")
	st.tap("back")
	st.until("services")
	st.tap("service.S01")
	st.until("notice")
	st.shoot("notice")
	st.tap("next")
	st.fill()
}

// pass lets the debounce of the finger run out.
func (st *stage) pass() { <-time.After(theme.Debounce + 20*time.Millisecond) }

// fill goes through a form, answering what is asked.
func (st *stage) fill() {
	seen := map[string]bool{}
	for range 80 {
		st.pass()
		s := st.s.State()
		if s.Page == "sign" {
			break
		}
		if s.Overlay == "ask" {
			st.tap("yes")
			continue
		}
		if !seen[s.Page] {
			seen[s.Page] = true
			st.shoot(s.Page)
		}
		if s.Page == "review" {
			st.tap("next")
			continue
		}
		st.answer(s)
		st.pass()
		if st.s.State().Page == s.Page {
			st.tap("next")
		}
	}
	s := st.until("sign")
	for _, t := range s.Targets {
		if len(t.Name) > 8 && t.Name[:8] == "consent." {
			st.tap(t.Name)
			st.pass()
		}
	}
	st.on(func() { uitest.Sign(st.s.Root()) })
	st.shoot("sign")
	st.tap("next")
	st.until("done-saved")
	st.pass()
	st.shoot("done-saved")
	var id string
	for k := range st.b.Cases {
		id = k
	}
	c := st.b.Cases[id]
	c.State, c.Acceptance, c.AcceptedAt = cases.Accepted, "140830-20261123-000001", st.b.At
	st.b.Cases[id] = c
	st.b.EventsV[id] = append(st.b.EventsV[id], cases.Event{CaseID: id, At: st.b.At, State: cases.Accepted})
	st.s.CaseChanged(c)
	st.until("done-accepted")
	st.pass()
	st.shoot("done-accepted")
	st.tap("next")
	st.until("rate")
	st.shoot("rate")
	st.pass()
	st.tap("next")
	st.until("leave")
	st.shoot("leave")
}

// answer gives one plausible answer to what is on the page.
func (st *stage) answer(s ui.ScreenState) {
	has := func(name string) bool {
		for _, t := range s.Targets {
			if t.Name == name && t.Enabled {
				return true
			}
		}
		return false
	}
	for _, t := range s.Targets {
		switch {
		case s.Page == "step-is_student" && t.Name == "choice.2", s.Page == "step-other_pension" && t.Name == "choice.2":
			st.tap(t.Name)
			return
		}
	}
	if has("take.scanner") {
		for range 2 {
			st.tap("take.scanner")
			st.pass()
			st.pass()
		}
		st.shoot(s.Page + "-taken")
		return
	}
	if s.Page == "step-is_student" || s.Page == "step-other_pension" {
		return
	}
	if s.Page == "step-aac067" {
		for _, k := range "13800138000" {
			st.tap("key." + string(k))
			st.pass()
		}
		return
	}
	if s.Page == "step-aae010" {
		for _, k := range "6222021234567890128" {
			st.tap("key." + string(k))
			st.pass()
		}
		return
	}
	for _, t := range s.Targets {
		if len(t.Name) > 7 && t.Name[:7] == "choice." && t.Enabled && t.Name != "choice.prev" && t.Name != "choice.next" {
			st.tap(t.Name)
			return
		}
	}
}

func TestPictures(t *testing.T) {
	for _, v := range []struct {
		w, h float32
		tag  string
		look func(st *stage)
	}{
		{1920, 1080, "land", nil},
	} {
		t.Run(v.tag, func(t *testing.T) {
			st := newStage(t, v.w, v.h, v.tag)
			st.tour()
		})
	}
}

var _ = staff.Clerk
