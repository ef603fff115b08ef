package ui

import (
	"context"
	"errors"
	"fmt"
	"image"
	"time"

	"fyne.io/fyne/v2"

	"cunban/device"
	"cunban/kiosk/cases"
	"cunban/kiosk/catalog"
	"cunban/kiosk/form"
	"cunban/kiosk/resident"
	"cunban/kiosk/staff"
	"cunban/kiosk/ui/input"
	"cunban/kiosk/ui/theme"
	"cunban/sync"
	"cunban/sync/wire"
)

// Page is one page. It holds what it needs to be built again at any time: the
// shell builds it anew when text size, palette or the page itself ask for it.
type Page interface {
	// View builds the page. It must not block and must not keep the widgets.
	View(c *Ctx) View
}

// Action is a button of the footer.
type Action struct {
	Name     string // for the automation door and tests, e.g. "next"
	Label    string // verb + noun
	Icon     string // name in assets/icons, "" = none
	Do       func()
	Disabled string // why it cannot be pressed, "" = it can
	Danger   bool
}

// View is a built page: what the shell puts between its own top bar, footer
// and overlays.
type View struct {
	// ID names the page in pictures, tests and the operation log, e.g. "home".
	ID string
	// Title stands in the top bar; Step of Steps are the dots beside it.
	Title       string
	Step, Steps int
	Body        fyne.CanvasObject
	// Bare leaves the usual footer away; Footer, if set, stands in its place.
	Bare   bool
	Footer fyne.CanvasObject
	// Back is 返回; nil hides it. It never loses an answer.
	Back func()
	// First marks a page whose 返回 leaves what the page is for, so that a detour
	// may lead it back to where it began.
	First bool
	// NoHome hides 首页 (while something is being saved).
	NoHome bool
	// Next is the one primary button at the right; Extra stand left of it.
	Next  *Action
	Extra []Action
	// Say is spoken when the page comes up, and by 再听一遍.
	Say string
	// Idle marks pages on which nobody is at the screen (home, closed): they
	// begin no session.
	Idle bool

	// Asks are the places where the page asks a person to do something: their
	// lamps are lit while it is up.
	Asks []device.Lamp

	// What the page wants to hear while it is up; nil = not interested.
	OnCard   func(CardView)
	OnDevice func(device.Health)
	OnLine   func(sync.LineState)
	OnCase   func(cases.Case)
}

// Ctx is a page's time on the screen: it ends when the page is left or built
// again for another reason than a redraw.
type Ctx struct {
	context.Context
	B     Backend
	Look  *theme.Look
	Visit *Visit
	Nav   *Routes
	// Candidates and Recogniser are the engines of the text pad; nil where not
	// installed.
	Candidates input.Candidates
	Recogniser input.Recogniser
	shell      *Shell
	gen        uint64
}

// Routes are the ways to pages of other packages, so that page packages need
// not import each other. kiosk/ui/screen fills them.
type Routes struct {
	Home func() Page
	// Menu is the home page of somebody who is identified.
	Menu func() Page
	// Card asks for a card and identity, then goes on. why is shown: 查进度要先读卡.
	Card     func(why string, then func(c *Ctx)) Page
	Category func(cat catalog.Category) Page
	Guide    func() Page
	// Service is the notice page of a service and what follows it.
	Service func(svc *catalog.Service) Page
	// Fill begins (or goes on with) the form in Visit.Draft.
	Fill     func() Page
	Query    func(svc *catalog.Service) Page
	Progress func() Page
	Listing  func(kind wire.Kind, svc *catalog.Service) Page
	// Public reports whether a query shows a public list, for which nobody needs
	// a card.
	Public func(svc *catalog.Service) bool
	// Leave is 请取走您的卡 and the end of the visit.
	Leave func() Page
	// StaffSignIn signs a clerk in; then decides where to.
	StaffSignIn func(then func(c *Ctx)) Page
	StaffHome   func() Page
	TechSignIn  func() Page
	TechHome    func() Page
	Enrol       func() Page
	Closed      func(why string) Page
}

// Visit is what the screen remembers of one session; it dies with it.
type Visit struct {
	Number  uint64
	Claim   resident.Claim // zero while nobody is identified
	Checked wire.VerifyResult
	Helper  *staff.Account
	Tech    *staff.Account
	Mode    cases.Mode
	Draft   *Draft
	wipes   []func()
}

// Known reports whether somebody is identified.
func (v *Visit) Known() bool { return !v.Claim.Number.IsZero() }

// Actor is who acts, for cases and log.
func (v *Visit) Actor(demo bool) cases.Actor {
	a := cases.Actor{Role: cases.RoleResident, Session: v.Number, Demo: demo}
	if v.Helper != nil {
		a.Role, a.Account = cases.RoleStaff, v.Helper.Number
	}
	return a
}

// OnWipe registers what must be forgotten when the visit ends: models zeroed,
// pictures dropped, pads cleared.
func (v *Visit) OnWipe(f func()) { v.wipes = append(v.wipes, f) }

// Wipe forgets everything, last first.
func (v *Visit) Wipe() {
	for i := len(v.wipes) - 1; i >= 0; i-- {
		v.wipes[i]()
	}
	if v.Draft != nil {
		v.Draft.Wipe()
	}
	*v = Visit{}
}

// Draft is a form being filled: it survives going back, taking over by a clerk
// and a change of text size, and is gone with the visit.
type Draft struct {
	CaseID    string
	Revision  int
	Service   *catalog.Service
	Form      *form.Form
	Agent     bool
	Shots     map[string][]Shot // by field or material name
	Dropped   *Shot             // the blank side that was taken last and left out, nil = none
	Signature []byte            // PNG
	StartedAt time.Time
	Mend      []cases.Mend // when a returned case is mended
	At        int          // step the person is at
	Confirmed bool         // the resident confirmed on screen
}

// Received is one thing handed in, for the receipt.
type Received struct {
	Name, How string
	Pages     int
}

// Wipe zeroes what the draft holds.
func (d *Draft) Wipe() {
	if d.Form != nil {
		d.Form.Wipe()
	}
	for k, shots := range d.Shots {
		for i := range shots {
			shots[i].Wipe()
		}
		delete(d.Shots, k)
	}
	d.Forget()
	clear(d.Signature)
	*d = Draft{}
}

// Forget wipes the blank side that was left out.
func (d *Draft) Forget() {
	if d.Dropped != nil {
		d.Dropped.Wipe()
		d.Dropped = nil
	}
}

// Wipe zeroes the page and its preview.
func (s *Shot) Wipe() {
	clear(s.JPEG)
	WipeImage(s.Preview)
	*s = Shot{}
}

// WipeImage zeroes the pixels of a picture of a person's paper.
func WipeImage(img image.Image) {
	switch p := img.(type) {
	case *image.NRGBA:
		clear(p.Pix)
	case *image.RGBA:
		clear(p.Pix)
	case *image.Gray:
		clear(p.Pix)
	case *image.YCbCr:
		clear(p.Y)
		clear(p.Cb)
		clear(p.Cr)
	}
}

// Alive reports whether the page is still up.
func (c *Ctx) Alive() bool { return c.Err() == nil }

// Go shows another page.
func (c *Ctx) Go(p Page) {
	if c.Alive() {
		c.shell.show(p)
	}
}

// Redraw builds the page anew, keeping its time on the screen.
func (c *Ctx) Redraw() {
	if c.Alive() {
		c.shell.redraw()
	}
}

// Home ends the visit (after asking, when a form is half filled) and shows the
// home page.
func (c *Ctx) Home() {
	if c.Alive() {
		c.shell.askHome()
	}
}

// Begin makes a claim's person the one at the screen.
func (c *Ctx) Begin(claim resident.Claim) {
	c.Visit.Number = c.B.BeginSession(claim)
	c.Visit.Claim = claim
	if c.Visit.Mode == "" {
		c.Visit.Mode = cases.ModeSelf
	}
}

// End ends the visit at once, e.g. after the card was taken.
func (c *Ctx) End() {
	if c.Alive() {
		c.shell.endVisit()
	}
}

// NextResident ends this resident's visit; the clerk stays signed in.
func (c *Ctx) NextResident() {
	if c.Alive() {
		c.shell.nextResident()
	}
}

// Say speaks.
func (c *Ctx) Say(text string) { c.shell.say(text) }

// Help calls the clerk.
func (c *Ctx) Help() { c.shell.callHelp() }

// Do works off the UI goroutine: work runs with the page's context; done runs
// on the UI goroutine with its result if the page is still up. A wait over
// 0.3 s shows what is happening, with the words of what (正在保存). An error is
// shown as trouble with words, unless failed handles it (returns true).
func Do[T any](c *Ctx, what string, work func(ctx context.Context) (T, error), done func(T), failed func(error) bool) {
	stop := c.shell.busy(what)
	c.shell.pending++
	go func() {
		v, err := safely(c, work)
		c.shell.Post(func() {
			c.shell.pending--
			stop()
			if !c.Alive() {
				return
			}
			if err != nil {
				if failed == nil || !failed(err) {
					c.Trouble(err)
				}
				return
			}
			done(v)
		})
	}()
}

// Beside lets work run off the UI goroutine, beside what the person does, until
// the page is left or stop is called. ended is called on the UI goroutine when
// work ends by itself with an error. UI goroutine.
func (c *Ctx) Beside(work func(ctx context.Context) error, ended func(error)) (stop func()) {
	ctx, cancel := context.WithCancel(c)
	go func() {
		_, err := safely(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, work(ctx) })
		c.Post(func() {
			if ctx.Err() == nil && err != nil {
				ended(err)
			}
			cancel()
		})
	}()
	return cancel
}

// safely turns a panic of a backend into an error, so that a fault in one
// driver costs one action and not the visit.
func safely[T any](ctx context.Context, work func(ctx context.Context) (T, error)) (v T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return work(ctx)
}

// Progress changes the words of the wait that is being shown.
func (c *Ctx) Progress(text string) { c.Post(func() { c.shell.progress(text) }) }

// Every calls f on the UI goroutine now and then until the page is left.
func (c *Ctx) Every(d time.Duration, f func()) {
	go func() {
		t := time.NewTicker(d)
		defer t.Stop()
		for {
			select {
			case <-c.Done():
				return
			case <-t.C:
				c.shell.Post(func() {
					if c.Alive() {
						f()
					}
				})
			}
		}
	}()
}

// Post runs f on the UI goroutine if the page is still up then.
func (c *Ctx) Post(f func()) {
	c.shell.Post(func() {
		if c.Alive() {
			f()
		}
	})
}

// Trouble shows an error in plain words over the page; the page stays.
func (c *Ctx) Trouble(err error) {
	if err == nil || errors.Is(err, context.Canceled) || !c.Alive() {
		return
	}
	c.shell.trouble(AsTrouble(err))
}

// Ask shows a question over the page with two large answers.
func (c *Ctx) Ask(title, text string, yes, no Action) {
	if c.Alive() {
		c.shell.ask(title, text, yes, no)
	}
}

// ShortName is the service of a case in few words, for the top bar.
func (c *Ctx) ShortName(k cases.Case) string {
	if s := c.B.Catalogue().Service(k.Service); s != nil {
		return s.Short
	}
	return k.ServiceName
}

// Tell shows a note over the page with one button.
func (c *Ctx) Tell(title, text string) {
	c.Ask(title, text, Action{Name: "ok", Label: "知道了", Do: func() {}}, Action{})
}

// Snapshot and settings of the screen.
func (c *Ctx) Large() bool { return c.Look.Size == theme.Large }

// SetLook changes text size and palette for the visit.
func (c *Ctx) SetLook(p theme.Palette, s theme.Size) { c.shell.setLook(p, s) }

// Sound reports whether prompts are spoken; SetSound changes it.
func (c *Ctx) Sound() bool      { return c.shell.sound }
func (c *Ctx) SetSound(on bool) { c.shell.setSound(on) }

// FullScreen reports and changes whether the window fills the screen; only the
// technician's page calls it.
func (c *Ctx) FullScreen() bool      { return c.shell.win.FullScreen() }
func (c *Ctx) SetFullScreen(on bool) { c.shell.win.SetFullScreen(on) }

// AsTrouble gives any error words. The general ones say what holds in every
// case: nothing was lost, what to try, whom to call.
func AsTrouble(err error) *Trouble {
	var t *Trouble
	if errors.As(err, &t) {
		return t
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &Trouble{Code: "XX-02", Text: "等了很久没有回应", Remedy: "请再试一次；还不行就按“呼叫帮办”", Detail: err.Error(), Err: err}
	}
	return &Trouble{Code: "XX-01", Text: "刚才那一步没有成功", Remedy: "已填的内容都在。请再试一次；还不行就按“呼叫帮办”", Detail: err.Error(), Err: err}
}
