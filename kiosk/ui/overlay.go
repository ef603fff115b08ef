package ui

import (
	"context"
	"fmt"
	"image/color"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	fw "fyne.io/fyne/v2/widget"

	"cunban/kiosk/form"
	"cunban/kiosk/session"
	"cunban/kiosk/ui/widget"
)

// String is the layer's name for the automation door.
func (l layer) String() string {
	switch l {
	case layerTrouble:
		return "trouble"
	case layerAsk:
		return "ask"
	case layerBusy:
		return "busy"
	case layerHelp:
		return "help"
	case layerIdle:
		return "idle"
	case layerCover:
		return "cover"
	case layerCount:
	}
	panic(fmt.Sprintf("ui: layer %d", int(l)))
}

// cover is what lies over the page in one layer, and how to build it again for
// another window size.
type cover struct {
	build func() fyne.CanvasObject
	now   fyne.CanvasObject
}

// put shows an overlay in its layer. A finger that is down presses nothing of
// what is now below.
func (s *Shell) put(l layer, build func() fyne.CanvasObject) {
	s.finger.Hold(nil)
	s.overlay[l] = &cover{build: build, now: build()}
	s.restack()
}

// rebuildOverlays builds everything over the page for another look.
func (s *Shell) rebuildOverlays() {
	for _, o := range s.overlay {
		o.now = o.build()
	}
	s.restack()
}

// clear takes an overlay away.
func (s *Shell) clear(l layer) {
	if _, ok := s.overlay[l]; ok {
		delete(s.overlay, l)
		s.restack()
	}
}

// restack shows the overlays that there are, over something that shows nothing
// and is always there: Fyne keeps of a container whose last object is taken away
// all that was below it, until another comes (Canvas.walkTree looks at what a
// container has, and never at one that has nothing). An answered question stood
// in memory that way after the visit, and short texts beside its own.
func (s *Shell) restack() {
	s.layers.Objects = []fyne.CanvasObject{s.ground}
	for l := range layerCount {
		if o := s.overlay[l]; o != nil {
			s.layers.Objects = append(s.layers.Objects, o.now)
		}
	}
	s.layers.Refresh()
}

// blocker swallows every touch that misses the panel above it.
type blocker struct {
	fw.BaseWidget
	rect    *canvas.Rectangle
	touched func()
}

func newBlocker(c color.Color, touched func()) *blocker {
	b := &blocker{rect: canvas.NewRectangle(c), touched: touched}
	b.ExtendBaseWidget(b)
	return b
}

var _ fyne.Tappable = (*blocker)(nil)

// Tapped does nothing but keep the idle clock from running.
func (b *blocker) Tapped(*fyne.PointEvent) { b.touched() }

// CreateRenderer implements fyne.Widget.
func (b *blocker) CreateRenderer() fyne.WidgetRenderer { return fw.NewSimpleRenderer(b.rect) }

// shade is the colour behind a panel; alpha 255 hides everything.
func (s *Shell) shade(alpha uint8) color.Color {
	c := s.look.C().Shade
	c.A = alpha
	return c
}

// panel is a card in the middle of a shaded screen.
func (s *Shell) panel(alpha uint8, content fyne.CanvasObject) fyne.CanvasObject {
	l := s.look
	box := canvas.NewRectangle(l.C().Card)
	box.CornerRadius = l.Radius() * 1.5
	box.StrokeColor, box.StrokeWidth = l.C().Line, l.Stroke()
	w := min(l.W-2*l.Margin(), l.MM(300))
	card := widget.Fixed(w, 0, widget.Over(box, widget.Pad(l.MM(14), l.MM(12), content)))
	return widget.Over(newBlocker(s.shade(alpha), s.finger.Touched), widget.Middle(card))
}

// button makes a panel's button of an action.
func (s *Shell) button(a Action, k widget.Kind) fyne.CanvasObject {
	if a.Danger {
		k = widget.Danger
	}
	b := widget.NewButton(s.look, a.Name, a.Label, k, a.Do)
	if a.Icon != "" {
		b.WithIcon(a.Icon)
	}
	return b.Big()
}

// ask shows a question with one or two answers, no at the left, yes at the
// right like 返回 and 下一步.
func (s *Shell) ask(title, text string, yes, no Action) {
	done := func(a Action) Action {
		do := a.Do
		a.Do = func() { s.clear(layerAsk); do() }
		return a
	}
	s.put(layerAsk, func() fyne.CanvasObject {
		l := s.look
		buttons := []fyne.CanvasObject{}
		if no.Label != "" {
			buttons = append(buttons, s.button(done(no), widget.Plain), widget.Spring(), s.button(done(yes), widget.Primary))
		} else {
			buttons = append(buttons, widget.Spring(), s.button(done(yes), widget.Primary), widget.Spring())
		}
		return s.panel(150, widget.Column(l.Gap()*1.4,
			widget.NewText(l, title).Sized(l.Title()).Bold(),
			widget.NewText(l, text).Soft(),
			widget.Row(l.Gap(), buttons...)))
	})
	s.say(title + "。" + text)
}

// trouble says what went wrong, what to do and whom to call.
func (s *Shell) trouble(t *Trouble) {
	text := t.Remedy
	if p := s.b.Point(); p.Phone != "" {
		text += "。电话 " + p.Phone
	}
	again := Action{Name: "ok", Label: "知道了", Do: func() { s.clear(layerTrouble) }}
	help := Action{Name: "trouble-help", Label: "呼叫帮办", Icon: "help", Do: func() { s.clear(layerTrouble); s.callHelp() }}
	s.put(layerTrouble, func() fyne.CanvasObject {
		l := s.look
		return s.panel(150, widget.Column(l.Gap()*1.3,
			widget.NewText(l, t.Text).Sized(l.Title()).Bold(),
			widget.NewText(l, text),
			widget.NewText(l, "说明代码 "+t.Code).Soft(),
			widget.Row(l.Gap(), s.button(help, widget.Secondary), widget.Spring(), s.button(again, widget.Primary))))
	})
	s.say(t.Text + "。" + t.Remedy)
}

// helpEvery keeps a hand that presses many times from calling many times.
const helpEvery = 10 * time.Second

// helpStands is how long the words stay where no idle clock takes them away.
const helpStands = time.Minute

// callHelp calls the clerk and says so.
func (s *Shell) callHelp() {
	where := s.view.ID
	if d := s.o.Now().Sub(s.calls); d < 0 || d >= helpEvery {
		s.calls = s.o.Now()
		b := s.b
		go b.CallHelp(context.Background(), where)
	}
	s.helpAt = s.o.Now()
	text := "帮办员听到铃声会过来。请在屏幕前等一等，填好的内容都在。"
	if p := s.b.Point(); p.Phone != "" {
		text += "也可以打电话 " + p.Phone + "。"
	}
	back := Action{Name: "help-close", Label: "接着自己办", Do: func() { s.clear(layerHelp) }}
	join := Action{Name: "help-staff", Label: "帮办员登录", Icon: "staff", Do: func() {
		s.clear(layerHelp)
		at := s.page
		s.show(&detour{back: at, Page: s.nav.StaffSignIn(func(c *Ctx) {
			// The clerk takes over where the resident stands.
			if !c.Visit.Known() {
				c.Go(c.Nav.StaffHome())
				return
			}
			if d := c.Visit.Draft; d != nil && d.Form != nil {
				d.Form.Update(func(f *form.Context) { f.Role = form.RoleStaff })
			}
			c.Go(at)
		})})
	}}
	s.put(layerHelp, func() fyne.CanvasObject {
		l := s.look
		return s.panel(150, widget.Column(l.Gap()*1.4,
			widget.NewText(l, "正在呼叫帮办员").Sized(l.Title()).Bold(),
			widget.NewText(l, text),
			widget.Row(l.Gap(), s.button(join, widget.Secondary), widget.Spring(), s.button(back, widget.Primary))))
	})
	s.say("正在呼叫帮办员，请等一等")
}

// detour is a page off somebody's way: its 返回 leads back there.
type detour struct {
	Page
	back Page
}

// View implements Page.
func (d *detour) View(c *Ctx) View {
	v := d.Page.View(c)
	if v.First {
		v.Back = func() { c.Go(d.back) }
	}
	return v
}

// showIdle asks whether somebody is there, with a ring that runs out.
func (s *Shell) showIdle(left time.Duration) {
	until := s.o.Now().Add(left)
	rest := func() int { return max(0, int((until.Sub(s.o.Now()) + time.Second - time.Millisecond).Seconds())) }
	var ring *widget.Ring
	s.put(layerIdle, func() fyne.CanvasObject {
		l := s.look
		ring = widget.NewRing(l, int(left.Seconds()))
		ring.Set(rest())
		goOn := Action{Name: "continue", Label: "我还在，继续", Do: func() { s.clear(layerIdle) }} // the touch itself answers
		return s.panel(215, widget.Column(l.Gap()*1.4,
			widget.NewText(l, "您还在吗？").Sized(l.Huge()).Bold().Centred(),
			widget.NewText(l, s.lost("不点的话，就回到首页，填的内容不保留。", "不点的话，就回到首页。")).Soft().Centred(),
			widget.Middle(ring),
			widget.Row(l.Gap(), widget.Spring(), s.button(goOn, widget.Primary), widget.Spring())))
	})
	s.say("您还在吗？在的话，请点一下“继续”")
	shown := s.overlay[layerIdle]
	go func() {
		t := time.NewTicker(time.Second / 4)
		defer t.Stop()
		// The question is answered or over long before; this is the end for a
		// clock that stands still.
		for range 4*int(left.Seconds()) + 8 {
			<-t.C
			gone := make(chan bool, 1)
			s.Post(func() {
				gone <- s.overlay[layerIdle] != shown
				if s.overlay[layerIdle] == shown {
					ring.Set(rest())
				}
			})
			if <-gone {
				return
			}
		}
	}()
}

// showCover hides everything until the same card is back.
func (s *Shell) showCover(left time.Duration) {
	s.put(layerCover, func() fyne.CanvasObject {
		l := s.look
		return s.panel(255, widget.Column(l.Gap()*1.4,
			widget.Middle(widget.Drawing(l, "insert-card", l.MM(62))),
			widget.NewText(l, "卡取走了").Sized(l.Huge()).Bold().Centred(),
			widget.NewText(l, fmt.Sprintf("要接着办，请在 %d 秒内把原来的卡插回来。", int(left.Seconds()))).Centred(),
			widget.NewText(l, s.lost("不办了就不用管，内容会自动清掉。", "不办了就不用管，会自动回到首页。")).Soft().Centred()))
	})
	s.say("卡取走了。要接着办，请把卡插回来")
}

// showCardLeft calls out a card that was left behind.
func (s *Shell) showCardLeft() {
	s.helpAt = time.Time{} // this stands until the card is gone
	ok := Action{Name: "card-left-ok", Label: "知道了", Do: func() { s.clear(layerHelp) }}
	s.put(layerHelp, func() fyne.CanvasObject {
		l := s.look
		return s.panel(150, widget.Column(l.Gap()*1.4,
			widget.Middle(widget.Drawing(l, "take-card", l.MM(62))),
			widget.NewText(l, "卡还在机器里").Sized(l.Huge()).Bold().Centred(),
			widget.NewText(l, "请取走您的社保卡，不要忘记带走。").Centred(),
			widget.Row(l.Gap(), widget.Spring(), s.button(ok, widget.Primary), widget.Spring())))
	})
	s.say("卡还在机器里，请取走您的社保卡")
}

// CardGone takes the reminder away.
func (s *Shell) CardGone() {
	s.Post(func() {
		if s.b.Session().Phase == session.Nobody {
			s.clear(layerHelp)
		}
	})
}

// lost picks the words for leaving: what was submitted is saved, whatever
// happens to the screen, and nobody may think otherwise.
func (s *Shell) lost(filling, otherwise string) string {
	if s.visit.Draft != nil {
		return filling
	}
	return otherwise + "已经提交的不受影响。"
}

// sayFarewell says why the screen went back to the home page.
func (s *Shell) sayFarewell(why session.Reason) {
	switch why {
	case session.IdleOut:
		s.say("已经回到首页")
	case session.CardTaken, session.OtherCard:
		s.say("已经回到首页")
	case session.Done, session.SignedOut, session.Stopped:
	}
}

// busyLayer shows a wait that lasts.
type busyLayer struct {
	depth int
	text  string
	began time.Time
	bar   *widget.Progress
	help  bool // the way to help is shown
	stop  context.CancelFunc
}

// Waits shorter than busyAfter show nothing; over busyLong the seconds show,
// and the way to a person, which the wait hides.
const (
	busyAfter = 300 * time.Millisecond
	busyLong  = 3 * time.Second
)

// busy begins a wait and returns its end; both on the UI goroutine. "" shows
// nothing.
func (s *Shell) busy(what string) (end func()) {
	if what == "" {
		return func() {}
	}
	if s.busyL == nil {
		ctx, cancel := context.WithCancel(context.Background())
		b := &busyLayer{text: what, began: s.o.Now(), stop: cancel}
		s.busyL = b
		go func() {
			t := time.NewTicker(busyAfter)
			defer t.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-t.C:
					s.Post(func() { s.showBusy(b) })
				}
			}
		}()
	}
	b := s.busyL
	b.depth++
	b.text = what
	ended := false
	return func() {
		if ended {
			return
		}
		ended = true
		if b.depth--; b.depth <= 0 && s.busyL == b {
			s.stopBusy()
		}
	}
}

func (s *Shell) stopBusy() {
	if s.busyL != nil {
		s.busyL.stop()
		s.busyL = nil
	}
	s.clear(layerBusy)
}

func (s *Shell) progress(text string) {
	if s.busyL != nil {
		s.busyL.text = text
		s.showBusy(s.busyL)
	}
}

// showBusy shows how the wait goes. A wait cannot be stuck for good: its work
// ends it, and so do the leaving of the page and the idle clock.
func (s *Shell) showBusy(b *busyLayer) {
	if s.busyL != b {
		return
	}
	text, long := b.text+"，请稍等", false
	if d := s.o.Now().Sub(b.began); d >= busyLong {
		text, long = fmt.Sprintf("%s，已经 %d 秒", b.text, int(d.Seconds())), true
	}
	if b.bar != nil && s.overlay[layerBusy] != nil && b.help == long {
		b.bar.Set(text, -1)
		b.bar.Tick()
		return
	}
	b.help = long
	s.put(layerBusy, func() fyne.CanvasObject {
		l := s.look
		b.bar = widget.NewProgress(l, text)
		parts := []fyne.CanvasObject{widget.Pad(l.MM(6), l.MM(6), b.bar)}
		if b.help {
			help := Action{Name: "busy-help", Label: "呼叫帮办", Icon: "help", Do: s.callHelp}
			parts = append(parts, widget.Row(l.Gap(), widget.Spring(), s.button(help, widget.Secondary), widget.Spring()))
		}
		return s.panel(110, widget.Column(l.Gap(), parts...))
	})
}
