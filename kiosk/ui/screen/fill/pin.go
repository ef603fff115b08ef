package fill

import (
	"context"

	"fyne.io/fyne/v2"

	"cunban/kiosk/form"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/widget"
)

// pinChange is a change of PIN under way: what the pad waits for, and how to
// break it off. The zero value is none.
type pinChange struct {
	words string
	stop  func()
}

// pinBody lets a person change the PIN at the pad; the page never sees one.
func (p *step) pinBody(c *ui.Ctx, s form.Step, v form.Value) fyne.CanvasObject {
	l := c.Look
	card := func(t widget.Tone, title, text string, buttons ...fyne.CanvasObject) fyne.CanvasObject {
		return widget.StateCard(l, widget.State{Tone: t, Title: title, Text: text, Buttons: buttons})
	}
	switch {
	case p.pin.stop != nil:
		return card(widget.Info, p.pin.words, "用手挡住键盘。屏幕上不显示密码。",
			widget.NewButton(l, "pin-stop", "不改了", widget.Secondary, func() {
				p.pin.stop()
				p.pin = pinChange{}
				c.Redraw()
			}).Big())
	case v.Pages > 0:
		return card(widget.Good, "密码改好了", "以后用新密码。请按“下一步”，把这件事记下来。")
	case s.Blocked != "":
		return card(widget.Info, "这里改不了密码", s.Blocked)
	}
	return card(widget.Info, "在密码键盘上改", "先输原密码，再输两遍新密码。用手挡住键盘。屏幕上不显示密码。",
		widget.NewButton(l, "pin-change", "开始改密码", widget.Primary, func() { p.changePIN(c) }).Big())
}

// changePIN follows the pad until it is done; what went wrong is said, and it
// can be tried again. Leaving the page breaks it off.
func (p *step) changePIN(c *ui.Ctx) {
	p.problem = ""
	p.pin.words = "请在密码键盘上输原密码"
	p.pin.stop = c.Beside(func(ctx context.Context) error {
		// A late word of a try that was broken off is dropped.
		show := func(f func()) {
			c.Post(func() {
				if ctx.Err() == nil {
					f()
					c.Redraw()
				}
			})
		}
		err := c.B.ChangePIN(ctx, func(words string) { show(func() { p.pin.words = words }) })
		if err == nil {
			show(func() {
				p.pin = pinChange{}
				c.Visit.Draft.Form.PINChanged()
				c.Say("密码改好了。请按下一步")
			})
		}
		return err
	}, func(err error) {
		t := ui.AsTrouble(err)
		p.pin = pinChange{}
		p.problem = t.Text + "。" + t.Remedy
		c.Redraw()
		c.Say(p.problem)
	})
	c.Redraw()
}
