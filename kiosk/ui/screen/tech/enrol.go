package tech

import (
	"context"
	"errors"
	"strings"

	"fyne.io/fyne/v2"

	"cunban/kiosk/ui"
	"cunban/kiosk/ui/widget"
	"cunban/sync/wire"
)

// Enrol is the first page of a terminal that the county does not know yet: the
// one-time code in, and the terminal is enrolled once a person there agrees.
func Enrol() ui.Page { return &enrol{} }

type enrol struct {
	code    string
	wrong   string
	waiting string
	cancel  context.CancelFunc // ends the waiting; nil while nothing is asked
	back    func() ui.Page
}

// codeKeys are the characters of a code (RFC 4648 base32).
const codeKeys = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

const codeLen = 20

// View implements ui.Page.
func (p *enrol) View(c *ui.Ctx) ui.View {
	l, pt := c.Look, c.B.Point()
	var groups []string
	for s := p.code; s != ""; {
		n := min(4, len(s))
		groups, s = append(groups, s[:n]), s[n:]
	}
	shown := strings.Join(groups, "-")
	if shown == "" {
		shown = "还没有输入"
	}
	parts := []fyne.CanvasObject{
		widget.NewHeading(l, "登记这台终端", "向县里要 20 位登记码。本机序列号 "+pt.Serial+"。", nil),
	}
	switch {
	case p.waiting != "":
		parts = append(parts, widget.NewBanner(l, widget.Info, p.waiting, nil))
	case p.wrong != "":
		parts = append(parts, widget.NewBanner(l, widget.Warn, p.wrong, nil))
	}
	var keys []fyne.CanvasObject
	for _, r := range codeKeys {
		k := string(r)
		keys = append(keys, widget.NewButton(l, "key."+strings.ToLower(k), k, widget.KeyCap, func() {
			if len(p.code) < codeLen {
				p.code += k
				p.wrong = ""
				c.Redraw()
			}
		}))
	}
	keys = append(keys,
		widget.NewButton(l, "key.back", "删", widget.FnKey, func() {
			if p.code != "" {
				p.code = p.code[:len(p.code)-1]
				c.Redraw()
			}
		}),
		widget.NewButton(l, "key.clear", "清空", widget.FnKey, func() { p.code = ""; c.Redraw() }))
	cols := 12
	switch {
	case l.Portrait:
		cols = 6
	case l.Dense():
		cols = 17
	}
	parts = append(parts, widget.Card(l, widget.NewText(l, shown).Bold().Sized(l.Title()).Centred()),
		widget.Fill(widget.Even(cols, l.MM(3), keys...)))
	next := &ui.Action{Name: "next", Label: "登记", Do: func() { p.enrol(c) }}
	switch {
	case p.cancel != nil:
		next = &ui.Action{Name: "enrol-cancel", Label: "不等了", Do: p.cancel}
	case len(p.code) < codeLen:
		next.Disabled = "还没输完"
	}
	v := ui.View{ID: "enrol", Title: "村办终端登记", Idle: p.back == nil, NoHome: true, Body: widget.Column(l.Gap(), parts...), Next: next}
	if p.back != nil {
		v.Back = func() { c.Go(p.back()) }
	}
	return v
}

// enrol asks the county. A person there may take hours to agree, so the page
// stays free: waiting can be given up, and gone on with later by the same code.
func (p *enrol) enrol(c *ui.Ctx) {
	code := p.code
	ctx, cancel := context.WithCancel(c)
	p.cancel, p.wrong, p.waiting = cancel, "", "正在登记，请稍等"
	c.Redraw()
	ui.Do(c, "", func(context.Context) (wire.Identity, error) {
		defer cancel()
		return c.B.Enrol(ctx, code, func(text string) {
			c.Post(func() { p.waiting = text; c.Redraw() })
		})
	}, func(id wire.Identity) {
		p.code, p.waiting, p.cancel = "", "", nil
		c.Ask("登记好了", id.Village+"，终端号 "+id.ID, ui.Action{Name: "ok", Label: "知道了", Do: c.Home}, ui.Action{})
	}, func(err error) bool {
		p.waiting, p.cancel = "", nil
		if errors.Is(err, context.Canceled) {
			p.wrong = "没有等到县里同意。用同一个登记码可以接着登记"
		} else {
			t := ui.AsTrouble(err)
			p.wrong = t.Text + "。" + t.Remedy
		}
		c.Redraw()
		return true
	})
}
