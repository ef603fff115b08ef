// Package ui is the frame around every page: the window, the top bar with its
// call for help, the footer with its ways back, the idle question, the cover
// and the words of trouble. It exists so that a page says only what is its own
// and cannot forget the rest: the way home, the way to a person, the wipe.
//
// It guarantees: whatever a page does, 呼叫帮办 is one touch away and nothing a
// person typed is on the screen after her session; a result that comes late,
// for a page or a session that is over, is dropped; the UI goroutine never
// waits for a device, the disk or the line (Backend is called through Do); and
// simulated hardware is marked on every page.
//
// Fyne lives only here and below. All exported methods of Shell that tell news
// (CardChanged and so on) may be called from any goroutine; everything else
// belongs to the UI goroutine.
package ui

import (
	"context"
	"slices"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"cunban/device"
	"cunban/kiosk/cases"
	"cunban/kiosk/session"
	"cunban/kiosk/ui/input"
	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/widget"
	"cunban/sync"
)

// Options make a Shell.
type Options struct {
	App     fyne.App
	Window  fyne.Window
	Backend Backend
	Routes  *Routes
	// Candidates and Recogniser are the engines of the text pad, nil for none.
	Candidates input.Candidates
	Recogniser input.Recogniser
	// Screen is the real screen, for sizes in millimetres.
	Screen theme.Screen
	// Palette and Size are how a visit begins, before anybody chose.
	Palette theme.Palette
	Size    theme.Size
	// Now is the clock of the finger and of waits, nil for the wall clock.
	Now func() time.Time
	// Post runs a function on the UI goroutine soon, nil for fyne.Do; tests that
	// have no Fyne driver bring their own queue.
	Post func(func())
	// OnTouch is called for every touch, taken or not (idle clock).
	OnTouch func()
	// OnLook is told when text size changes (large text has more time).
	OnLook func(large bool)
	// OnAsk is told at which places the page that is up asks for something, when
	// that changes; it must not block.
	OnAsk func([]device.Lamp)
	// Lapse makes what the drawing keeps of earlier pages too old, nil for nothing
	// to do; see package lapse.
	Lapse func()
}

// Shell is the frame. There is one.
type Shell struct {
	app  fyne.App
	win  fyne.Window
	b    Backend
	nav  *Routes
	o    Options
	look *theme.Look

	asks []device.Lamp // what OnAsk was told last

	finger *theme.Finger
	page   Page
	view   View
	ctx    *Ctx
	cancel context.CancelFunc
	gen    uint64
	visit  *Visit
	sound  bool
	w, h   float32 // window size the present look was made for

	main    *fyne.Container // top bar, body, footer
	layers  *fyne.Container // overlays, top last
	ground  *fyne.Container // below them, empty; see restack
	bar     *widget.TopBar
	busyL   *busyLayer
	overlay map[layer]*cover
	calls   time.Time // when help was called last
	helpAt  time.Time // since when the words of a call stand, zero if they do not
	pending int       // works of Do that have not come back
}

// layer is a kind of overlay; of several the highest is on top.
type layer int

const (
	layerTrouble layer = iota
	layerAsk
	layerBusy
	layerHelp
	layerIdle
	layerCover
	layerCount
)

// New makes the frame and puts it into the window. Nothing is shown before
// Start.
func New(o Options) *Shell {
	s := &Shell{app: o.App, win: o.Window, b: o.Backend, nav: o.Routes, o: o, sound: true,
		visit: &Visit{}, overlay: map[layer]*cover{}}
	if s.o.Now == nil {
		s.o.Now = time.Now
	}
	if s.o.Post == nil {
		s.o.Post = fyne.Do
	}
	if s.o.Lapse == nil {
		s.o.Lapse = func() {}
	}
	s.finger = theme.NewFinger(s.o.Now)
	s.finger.OnTouch = o.OnTouch
	s.main = container.NewStack()
	s.ground = container.NewStack()
	s.layers = container.NewStack(s.ground)
	root := container.New(&watch{s.resized}, s.main, s.layers, newCatcher(s.Root, s.Post, s.finger.Touched))
	o.Window.SetPadded(false)
	o.Window.SetContent(root)
	return s
}

// watch lays everything out full size and tells when the size changes.
type watch struct{ changed func(fyne.Size) }

func (w *watch) MinSize([]fyne.CanvasObject) fyne.Size { return fyne.NewSize(320, 240) }
func (w *watch) Layout(objects []fyne.CanvasObject, s fyne.Size) {
	for _, o := range objects {
		o.Move(fyne.Position{})
		o.Resize(s)
	}
	w.changed(s)
}

// resized builds the page for another window size, after the layout is over.
func (s *Shell) resized(size fyne.Size) {
	if size.Width == s.w && size.Height == s.h || size.Width < 320 || size.Height < 240 {
		return
	}
	s.w, s.h = size.Width, size.Height
	if s.look == nil {
		return // Start makes the first look
	}
	s.Post(func() { s.setLook(s.look.Palette, s.look.Size) })
}

// SetEngines gives the text pad its engines, once they are open; pages built
// from now on have them. Any goroutine.
func (s *Shell) SetEngines(c input.Candidates, r input.Recogniser) {
	s.Post(func() {
		s.o.Candidates, s.o.Recogniser = c, r
		if s.ctx != nil {
			s.ctx.Candidates, s.ctx.Recogniser = c, r
		}
	})
}

// Start shows the first page. It must run on the UI goroutine, after the
// window has its size.
func (s *Shell) Start() {
	size := s.win.Canvas().Size()
	s.w, s.h = size.Width, size.Height
	s.makeLook(s.o.Palette, s.o.Size)
	s.goHome()
}

func (s *Shell) makeLook(p theme.Palette, z theme.Size) {
	if l := s.look; l != nil && l.Palette == p && l.Size == z && l.W == s.w && l.H == s.h {
		return
	}
	s.look = theme.NewLook(p, z, s.w, s.h, s.o.Screen, s.finger)
	theme.Apply(s.app, s.look)
}

// Post runs f on the UI goroutine soon.
func (s *Shell) Post(f func()) { s.o.Post(f) }

// show leaves the present page and builds another.
func (s *Shell) show(p Page) {
	if s.cancel != nil {
		s.cancel()
	}
	// A finger that is down presses nothing of a page that is gone.
	s.finger.Hold(nil)
	s.gen++
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.ctx = &Ctx{Context: ctx, B: s.b, Look: s.look, Visit: s.visit, Nav: s.nav,
		Candidates: s.o.Candidates, Recogniser: s.o.Recogniser, shell: s, gen: s.gen}
	s.page = p
	s.clear(layerTrouble)
	s.clear(layerAsk)
	s.clear(layerHelp)
	s.stopBusy()
	s.build()
	if !s.view.Idle && s.visit.Number == 0 && s.b.Session().Phase == session.Nobody {
		// Somebody left the home page without a card: the idle clock runs for
		// her too.
		s.visit.Number = s.b.Browse()
	}
	if s.view.Say != "" {
		s.say(s.view.Say)
	} else {
		s.b.Hush()
	}
}

// redraw builds the present page anew; its context goes on.
func (s *Shell) redraw() {
	if s.page != nil {
		s.ctx.Look = s.look
		turned := widget.Turned(s.main)
		s.build()
		widget.TurnTo(s.main, turned)
	}
}

func (s *Shell) build() {
	old := s.main.Objects
	s.view = s.page.View(s.ctx)
	if s.o.OnAsk != nil && !slices.Equal(s.asks, s.view.Asks) {
		s.asks = slices.Clone(s.view.Asks)
		s.o.OnAsk(s.asks)
	}
	s.main.Objects = []fyne.CanvasObject{s.frame(s.view)}
	s.main.Refresh()
	// What was typed is in the draft by now; the pad itself forgets it.
	forget(old)
	// Pages replaced the focus; nothing on a kiosk has a keyboard focus.
	s.win.Canvas().Unfocus()
}

// setLook changes text size and palette, and rebuilds everything that is up.
func (s *Shell) setLook(p theme.Palette, z theme.Size) {
	changed := s.look == nil || s.look.Size != z
	s.makeLook(p, z)
	if changed && s.o.OnLook != nil {
		s.o.OnLook(z == theme.Large)
	}
	s.redraw()
	s.rebuildOverlays()
}

// forget zeroes the pads of a page that is gone. A signature stays: the page
// that took it carries it over, and Visit.OnWipe zeroes it.
func forget(objects []fyne.CanvasObject) {
	for _, o := range objects {
		widget.Walk(o, func(o fyne.CanvasObject) bool {
			if _, ok := o.(*widget.Signature); ok {
				return false
			}
			if p, ok := o.(interface{ Wipe() }); ok {
				p.Wipe()
				return false
			}
			return true
		})
	}
}

func (s *Shell) setSound(on bool) {
	s.sound = on
	if !on {
		s.b.Hush()
	}
	s.redraw()
}

func (s *Shell) say(text string) {
	if s.sound && text != "" {
		s.b.Say(text)
	}
}

// goHome shows the home page, or why the terminal is closed.
func (s *Shell) goHome() {
	if p := s.b.Point(); !p.Enrolled {
		s.show(s.nav.Enrol())
		return
	} else if p.Closed != "" {
		s.show(s.nav.Closed(p.Closed))
		return
	}
	s.show(s.nav.Home())
}

// askHome leaves the visit; with answers typed it asks first.
func (s *Shell) askHome() {
	if d := s.visit.Draft; d != nil && d.Form != nil {
		s.ask("不办了吗？", "填好的内容还没有提交。回到首页就不保留了。",
			Action{Name: "stay", Label: "接着办", Icon: "back", Do: func() {}},
			Action{Name: "leave", Label: "不办了", Danger: true, Do: s.endVisit})
		return
	}
	s.endVisit()
}

// endVisit wipes and goes home. With a session the manager ends it, and the
// wipe follows from its event; without one there is nothing but the page.
func (s *Shell) endVisit() {
	if s.b.Session().Phase != session.Nobody {
		s.b.EndSession(session.Done)
		return
	}
	s.wipe()
	s.goHome()
}

// nextResident ends a resident's visit but keeps the clerk signed in, who has
// others waiting.
func (s *Shell) nextResident() {
	helper := s.visit.Helper
	n := s.b.NextResident()
	s.visit.Wipe()
	s.visit = &Visit{Number: n, Helper: helper}
	s.app.Clipboard().SetContent("")
	s.o.Lapse()
	s.show(s.nav.StaffHome())
}

// wipe forgets everything of the person who was here: models, pictures,
// clipboard, overlays, text size, the widgets themselves and what the drawing
// keeps of them.
func (s *Shell) wipe() {
	s.o.Lapse()
	s.visit.Wipe()
	s.visit = &Visit{}
	for l := range layerCount {
		s.clear(l)
	}
	s.stopBusy()
	s.app.Clipboard().SetContent("")
	s.finger.Hold(nil)
	forget(s.main.Objects)
	s.main.Objects = nil
	s.sound = true
	s.makeLook(s.o.Palette, s.o.Size)
	if s.o.OnLook != nil {
		s.o.OnLook(s.o.Size == theme.Large)
	}
}

// Visit gives the app the present visit; UI goroutine only.
func (s *Shell) Visit() *Visit { return s.visit }

// CardChanged tells what is in front of the readers.
func (s *Shell) CardChanged(v CardView) {
	s.Post(func() {
		if s.view.OnCard != nil {
			s.view.OnCard(v)
		}
	})
}

// DeviceChanged tells of a device whose condition changed.
func (s *Shell) DeviceChanged(h device.Health) {
	s.Post(func() {
		if s.view.OnDevice != nil {
			s.view.OnDevice(h)
		}
	})
}

// LineChanged tells how the line is.
func (s *Shell) LineChanged(l sync.LineState) {
	s.Post(func() {
		if s.view.OnLine != nil {
			s.view.OnLine(l)
			return
		}
		s.refreshBar()
	})
}

// CaseChanged tells that a case moved (accepted, returned …).
func (s *Shell) CaseChanged(c cases.Case) {
	s.Post(func() {
		if s.view.OnCase != nil {
			s.view.OnCase(c)
		}
	})
}

// PointChanged tells that the terminal's identity or its being open changed.
func (s *Shell) PointChanged() {
	s.Post(func() {
		if s.view.ID == "enrol" && s.b.Point().Enrolled {
			return // the page says so itself before it goes home
		}
		if s.b.Session().Phase == session.Nobody {
			s.goHome()
		}
	})
}

// Go shows a page from outside; only the app does, e.g. when a card is put in
// on the home page.
func (s *Shell) Go(p Page) { s.Post(func() { s.show(p) }) }

// SessionEvent follows the session manager.
func (s *Shell) SessionEvent(e session.Event) {
	s.Post(func() {
		switch e.Kind {
		case session.Began:
		case session.Asked:
			s.showIdle(e.Left)
		case session.Continued:
			s.clear(layerIdle)
			s.b.Hush()
		case session.CoveredUp:
			s.showCover(e.Left)
		case session.Uncovered:
			s.clear(layerCover)
		case session.Ended:
			if n := s.visit.Number; n != 0 && n != e.Session {
				return // the next visit began already
			}
			s.wipe()
			s.goHome()
			s.sayFarewell(e.Reason)
		case session.CardLeft:
			s.showCardLeft()
		}
	})
}

// Minute refreshes what tells the time, and takes away a call for help that
// somebody left standing on the home page.
func (s *Shell) Minute() {
	s.Post(func() {
		s.refreshBar()
		if s.view.Idle && !s.helpAt.IsZero() && s.o.Now().Sub(s.helpAt) >= helpStands {
			s.clear(layerHelp)
		}
	})
}

// Root is what can be touched now: the top overlay, or the page. UI goroutine
// only; for tests.
func (s *Shell) Root() fyne.CanvasObject {
	for l := layerCount - 1; l >= 0; l-- {
		if o := s.overlay[l]; o != nil {
			return o.now
		}
	}
	return s.main
}

// ScreenState is what a person sees now, for the automation door: tests and
// demonstrations find touch targets by name and put a real pointer there.
type ScreenState struct {
	Page    string              `json:"page"`
	Overlay string              `json:"overlay,omitempty"` // idle, cover, ask, trouble, busy, help
	W       float32             `json:"w"`
	H       float32             `json:"h"`
	Targets []widget.TargetInfo `json:"targets"`
	Texts   []string            `json:"texts"`
	Look    string              `json:"look"` // palette and size
	Session uint64              `json:"session"`
	Pending int                 `json:"pending"` // works under way for the page (reading, saving …)
}

// State describes the screen. It waits for the UI goroutine: never call it on
// that goroutine.
func (s *Shell) State() (st ScreenState) {
	done := make(chan struct{})
	s.Post(func() {
		defer close(done)
		st = s.Look()
	})
	<-done
	return st
}

// Look is State for callers on the UI goroutine.
func (s *Shell) Look() ScreenState {
	st := ScreenState{Page: s.view.ID, W: s.w, H: s.h, Session: s.visit.Number, Pending: s.pending}
	if s.look != nil {
		st.Look = s.look.Palette.String() + " " + s.look.Size.String()
	}
	root := s.Root()
	for l := layerCount - 1; l >= 0; l-- {
		if s.overlay[l] != nil {
			st.Overlay = l.String()
			break
		}
	}
	st.Targets, st.Texts = widget.Targets(root), widget.Texts(root)
	return st
}
