package fill

import (
	"context"
	"fmt"
	"slices"

	"fyne.io/fyne/v2"

	"cunban/device"
	"cunban/kiosk/catalog"
	"cunban/kiosk/form"
	"cunban/kiosk/oplog"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/widget"
)

// limits of pages for a material.
const defaultMaxPages = 10

// pagesOf are the least and most pages of a capture step.
func pagesOf(s form.Step) (lo, hi int) {
	lo, hi = 1, defaultMaxPages
	if len(s.Fields) > 0 {
		r := s.Fields[0].Rules
		if r.MinPages > 0 {
			lo = r.MinPages
		}
		if r.MaxPages > 0 {
			hi = r.MaxPages
		}
	}
	return lo, hi
}

// shotKeys lists what was captured, in the order of the form's steps.
func shotKeys(d *ui.Draft) []string {
	var out []string
	for _, s := range d.Form.Steps() {
		if _, ok := d.Shots[s.Key()]; ok {
			out = append(out, s.Key())
		}
	}
	return out
}

// sync puts the number of pages into the form.
func syncPages(d *ui.Draft, key string) {
	d.Form.Set(key, form.Value{Pages: len(d.Shots[key]), Source: catalog.FromDevice})
}

// materialBody shows the captured pages and the ways to take one more. A
// machine without a scanner says what to do instead.
func (p *step) materialBody(c *ui.Ctx, s form.Step) (body fyne.CanvasObject, extra []ui.Action) {
	l, d, key := c.Look, c.Visit.Draft, s.Key()
	shots := d.Shots[key]
	lo, hi := pagesOf(s)
	p.at = min(max(p.at, 0), max(len(shots)-1, 0))

	sources := offered(c)
	usable := func(src ui.Source) bool { return src.Health.State.Usable() || src.Health.State == device.StateBusy }
	var side []fyne.CanvasObject
	count := fmt.Sprintf("已有 %d 页，要 %d 页", len(shots), lo)
	if hi > lo {
		count = fmt.Sprintf("已有 %d 页，要 %d 到 %d 页", len(shots), lo, hi)
	}
	side = append(side, widget.NewText(l, count).Bold().Sized(l.Head()))
	can := false
	for _, src := range sources {
		if !usable(src) {
			continue
		}
		can = true
		kind := widget.Secondary
		if len(shots) < lo {
			kind = widget.Primary
		}
		label := "扫描一页"
		if src.Kind == device.KindPageFolder {
			label = "取" + src.Name + "的一页"
		}
		b := widget.NewButton(l, "take."+string(src.Kind), label, kind, func() { p.take(c, src.Kind, newPage) }).WithIcon("scanner").Big()
		if len(shots) >= hi {
			b.Disable("已经够了")
		}
		side = append(side, b)
	}
	if len(shots) > 0 {
		side = append(side, widget.Even(2, l.MM(4),
			widget.NewButton(l, "retake", "这页重拍", widget.Secondary, func() { p.retake(c, sources, usable) }),
			widget.NewButton(l, "drop", "删掉这页", widget.Plain, func() { p.drop(c); c.Redraw() })))
	}
	if !can {
		text := s.Blocked
		if text == "" {
			text = "扫描仪没有接好。先按“以后补交”，也可以请帮办拍"
		}
		side = append(side, widget.NewBanner(l, widget.Warn, text, nil))
		for _, src := range sources {
			if src.Health.Cause != "" {
				side = append(side, widget.NewText(l, src.Name+"："+src.Health.Cause+"。"+src.Health.Remedy).Soft())
			}
		}
	}
	if s.Defer {
		extra = append(extra, ui.Action{Name: "defer", Label: "以后补交", Do: func() {
			for _, sh := range d.Shots[key] {
				clear(sh.JPEG)
			}
			delete(d.Shots, key)
			d.Form.Set(key, form.Value{Deferred: true, Source: catalog.FromUser})
			p.forward(c)
		}})
	}

	pic := widget.NewPicture(l, emptyWords(can))
	var main fyne.CanvasObject = pic
	if len(shots) > 0 {
		sh := shots[p.at]
		pic.SetImage(sh.Preview)
		words, tone := fmt.Sprintf("第 %d 页，看得清", p.at+1), widget.Good
		if !sh.OK {
			words, tone = fmt.Sprintf("第 %d 页，%s", p.at+1, sh.Words), widget.Warn
		}
		rows := []fyne.CanvasObject{widget.NewBanner(l, tone, words, nil), widget.Fill(pic)}
		if len(shots) > 1 {
			prev := widget.NewButton(l, "page.prev", "上一页", widget.Secondary, func() { p.at--; c.Redraw() })
			next := widget.NewButton(l, "page.next", "下一页", widget.Secondary, func() { p.at++; c.Redraw() })
			if p.at == 0 {
				prev.Disable("")
			}
			if p.at == len(shots)-1 {
				next.Disable("")
			}
			rows = append(rows, widget.Row(l.Gap(), widget.Fill(prev), widget.Fill(next)))
		}
		main = widget.Column(l.MM(4), rows...)
	}
	return widget.Split(l, 0.38, main, widget.Column(l.Gap(), side...)), extra
}

// offered are the sources for whoever is here. The clerk's folder may hold
// somebody else's pages: only the clerk takes from it.
func offered(c *ui.Ctx) []ui.Source {
	return slices.DeleteFunc(slices.Clone(c.B.Sources()), func(s ui.Source) bool {
		return s.Kind == device.KindPageFolder && c.Visit.Helper == nil
	})
}

func emptyWords(can bool) string {
	if can {
		return "把纸放好，点“扫描一页”"
	}
	return "现在不能扫描"
}

// drop takes the page that is shown away.
func (p *step) drop(c *ui.Ctx) {
	d := c.Visit.Draft
	shots := d.Shots[p.key]
	if p.at < len(shots) {
		clear(shots[p.at].JPEG)
		d.Shots[p.key] = slices.Delete(shots, p.at, p.at+1)
	}
	syncPages(d, p.key)
}

func (p *step) retake(c *ui.Ctx, sources []ui.Source, usable func(ui.Source) bool) {
	for _, src := range sources {
		if usable(src) {
			p.take(c, src.Kind, p.at)
			return
		}
	}
	c.Redraw()
}

// newPage is the place of a page that is taken beside the others.
const newPage = -1

// take captures one page, in place of page at or as a new one. What goes wrong
// loses no page that is there.
func (p *step) take(c *ui.Ctx, k device.Kind, at int) {
	d, key := c.Visit.Draft, p.key
	p.problem = ""
	ui.Do(c, "正在扫描", func(ctx context.Context) (ui.Shot, error) { return c.B.Take(ctx, k) }, func(sh ui.Shot) {
		if sh.Blank {
			p.problem = "这一页是空白的，请翻过来再扫一次"
			c.Redraw()
			return
		}
		if at >= 0 && at < len(d.Shots[key]) {
			clear(d.Shots[key][at].JPEG)
			d.Shots[key][at], p.at = sh, at
		} else {
			d.Shots[key] = append(d.Shots[key], sh)
			p.at = len(d.Shots[key]) - 1
		}
		syncPages(d, key)
		go c.B.Note(context.WithoutCancel(c), oplog.MaterialCaptured, oplog.OK, d.CaseID, map[string]string{"material": key})
		c.Redraw()
		if sh.Words != "" {
			c.Say(sh.Words)
		}
	}, func(err error) bool {
		t := ui.AsTrouble(err)
		p.problem = t.Text + "。" + t.Remedy
		c.Redraw()
		c.Say(p.problem)
		return true
	})
}
