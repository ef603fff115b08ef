package screen

import (
	"context"
	"strings"
	"testing"

	"cunban/kiosk/form"
	"cunban/kiosk/ui"
)

// pad is a PIN pad that does as a test says: it tells words, and ends with an
// error, nil for done.
type pad struct {
	words chan string
	end   chan error
	gone  chan struct{} // it was broken off
}

func (p *pad) change(ctx context.Context, progress func(string)) error {
	for {
		select {
		case w := <-p.words:
			progress(w)
		case err := <-p.end:
			return err
		case <-ctx.Done():
			p.gone <- struct{}{}
			return ctx.Err()
		}
	}
}

// atPad brings a visit to the page of the PIN on a terminal with a pad.
func (st *stage) atPad() *pad {
	st.t.Helper()
	p := &pad{words: make(chan string), end: make(chan error), gone: make(chan struct{}, 1)}
	st.on(func() { st.b.PIN = p.change })
	st.insert()
	st.open("C03")
	st.goTo("mode")
	st.on(func() { // the made-up answers know a PIN
		for _, n := range []string{"old_pin", "new_pin", "new_pin2"} {
			st.s.Visit().Draft.Form.Set(n, form.Value{})
		}
	})
	st.tap(names(st.settled(), "choice.")[0])
	st.tap("next")
	st.until("step-old_pin")
	return p
}

// says waits until the page says so.
func (st *stage) says(words string) {
	st.t.Helper()
	var s ui.ScreenState
	if !st.loop.Until(waitLimit, func() bool {
		s = st.s.Look()
		return strings.Contains(strings.Join(s.Texts, "\n"), words)
	}) {
		st.t.Fatalf("waiting for %q: %v", words, s.Texts)
	}
}

// tourPIN changes a PIN at the pad: a wrong one, one broken off, a right one.
func (st *stage) tourPIN() {
	p := st.atPad()
	st.shoot("pin")
	st.tap("pin-change")
	p.words <- "请输新密码，已输 2 位"
	st.says("已输 2 位")
	st.shoot("pin-typing")
	p.end <- &ui.Trouble{Code: "VD-21", Text: "原密码不对，密码没有改", Remedy: "请想一想再试。连错六次卡会锁"}
	st.says("原密码不对")
	st.shoot("pin-wrong")
	st.tap("pin-change")
	st.says("请在密码键盘上输原密码")
	st.tap("pin-stop")
	<-p.gone
	st.says("在密码键盘上改")
	st.tap("next")
	st.says("还没输密码")
	st.shoot("pin-not-yet")
	st.tap("pin-change")
	p.end <- nil
	st.says("密码改好了")
	st.shoot("pin-changed")
	st.tap("next")
	if s := st.settled(); strings.Contains(s.Page, "pin") {
		st.t.Errorf("asked for another PIN: %s", s.Page)
	}
}

// TestLeavingThePageFreesThePad: nobody waits at a pad for a page that is gone.
func TestLeavingThePageFreesThePad(t *testing.T) {
	st := newStage(t, landStd)
	st.quiet = true
	p := st.atPad()
	st.tap("pin-change")
	p.words <- "请输新密码，已输 1 位"
	st.tap("back")
	<-p.gone
}
