package fill

import (
	"context"
	"fmt"
	"slices"
	"strings"

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
	if len(shots) == 0 {
		p.aim, p.aiming, p.second = newPage, false, false
	}
	// One side of a card is up: its other side comes on the same page.
	p.card = len(shots) > 0 && shots[p.at].Card
	camera, seen := viewer(sources)
	aiming := seen && (len(shots) == 0 || p.aiming)
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
		if src.Health.State == device.StateBusy && src.Health.Cause != "" {
			side = append(side, widget.NewText(l, sourceWords(src)).Soft())
		}
		side = append(side, p.takeButton(c, src, aiming, len(shots), lo, hi))
		if p.card && src.Live && !aiming && len(shots) < hi {
			side = append(side, widget.NewButton(l, "other", "不要反面，再拍一页", widget.Secondary, func() { p.aimAt(c, newPage) }))
		}
	}
	if d.Dropped != nil && len(shots) < hi {
		side = append(side, widget.NewButton(l, "keep", "留下白页", widget.Plain, func() { p.keep(c) }))
	}
	switch {
	case aiming && len(shots) > 0:
		side = append(side, widget.NewButton(l, "taken", "看拍好的页", widget.Plain, func() { p.aiming, p.second = false, false; c.Redraw() }))
	case len(shots) > 0:
		side = append(side, widget.Even(2, l.MM(4),
			widget.NewButton(l, "retake", "这页重拍", widget.Secondary, func() { p.retake(c, sources) }),
			widget.NewButton(l, "drop", "删掉这页", widget.Plain, func() { p.drop(c); c.Redraw() })))
	}
	if !can {
		text := s.Blocked
		if text == "" {
			text = missing(sources) + "。先按“以后补交”，也可以请帮办拍"
		}
		side = append(side, widget.NewBanner(l, widget.Warn, text, nil))
		for _, src := range sources {
			if src.Health.Cause != "" {
				side = append(side, widget.NewText(l, sourceWords(src)))
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

	pic := widget.NewPicture(l, emptyWords(can, aiming))
	var main fyne.CanvasObject = pic
	if aiming {
		hint := widget.NewBanner(l, widget.Info, "把纸放平，放到镜头下面", nil)
		main = widget.Column(l.MM(4), hint, widget.Fill(pic))
		p.unlive = live(c, camera.Kind, pic, hint)
	} else if len(shots) > 0 {
		sh := shots[p.at]
		pic.SetImage(sh.Preview)
		words, tone := shotWords(p.at, sh)
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

// sourceWords say what is the matter with a source and what to do: somebody
// who stands before it can take the paper out or close the lid.
func sourceWords(src ui.Source) string {
	out := strings.TrimSuffix(src.Health.Cause, "。") + "。"
	if !strings.Contains(out, src.Name) {
		out = src.Name + "：" + out
	}
	return out + src.Health.Remedy
}

// offered are the sources for whoever is here. The clerk's folder may hold
// somebody else's pages: only the clerk takes from it.
func offered(c *ui.Ctx) []ui.Source {
	return slices.DeleteFunc(slices.Clone(c.B.Sources()), func(s ui.Source) bool {
		return s.Kind == device.KindPageFolder && c.Visit.Helper == nil
	})
}

// usable reports whether pages may be asked of a source.
func usable(src ui.Source) bool {
	return src.Health.State.Usable() || src.Health.State == device.StateBusy
}

// missing says of sources none of which works what is the matter with the
// first.
func missing(sources []ui.Source) string {
	switch {
	case len(sources) == 0:
		return "扫描仪没有接好"
	case sources[0].Health.State == device.StateFault:
		return sources[0].Name + "现在用不了"
	}
	return sources[0].Name + "没有接好"
}

// viewer is the first source with a live picture.
func viewer(sources []ui.Source) (ui.Source, bool) {
	i := slices.IndexFunc(sources, func(s ui.Source) bool { return s.Live && usable(s) })
	if i < 0 {
		return ui.Source{}, false
	}
	return sources[i], true
}

// shoots reports whether a step takes pages.
func (p *step) shoots(s form.Step) bool {
	if len(s.Fields) > 0 && (s.Fields[0].Type == catalog.DocScan || s.Fields[0].Type == catalog.Photo) {
		return true
	}
	return s.Kind == form.StepMaterial
}

// deviceChanged builds the page anew when a source went or came back.
func (p *step) deviceChanged(c *ui.Ctx, before []ui.Source, h device.Health) {
	i := slices.IndexFunc(before, func(s ui.Source) bool { return s.Kind == h.Kind })
	if i >= 0 && usable(before[i]) != usable(ui.Source{Health: h}) {
		c.Visit.Draft.Form.Update(func(f *form.Context) { f.Devices = c.B.Have() })
		c.Redraw()
	}
}

// takeButton takes a page. With a camera a person aims first: while its picture
// is not shown, its button only brings that.
func (p *step) takeButton(c *ui.Ctx, src ui.Source, aiming bool, have, lo, hi int) fyne.CanvasObject {
	l, kind := c.Look, widget.Secondary
	if src.Live && aiming || !aiming && have < lo {
		kind = widget.Primary
	}
	label, icon, do := "扫描一页", "scanner", func() { p.take(c, src.Kind, newPage) }
	switch {
	case src.Live && aiming:
		label, icon, do = "拍一页", "camera", func() { p.take(c, src.Kind, p.aim) }
		switch {
		case p.second:
			label = "拍反面"
		case p.aim != newPage:
			label = fmt.Sprintf("重拍第 %d 页", p.aim+1)
		}
	case src.Live && p.card:
		kind = widget.Primary
		label, icon, do = "拍卡的反面", "camera", func() { p.aim, p.aiming, p.second = p.at, true, true; c.Redraw() }
	case src.Live:
		label, icon, do = "再拍一页", "camera", func() { p.aimAt(c, newPage) }
	case src.Kind == device.KindPageFolder:
		label = "取" + src.Name + "的一页"
	}
	b := widget.NewButton(l, "take."+string(src.Kind), label, kind, do).WithIcon(icon).Big()
	if have >= hi && (!src.Live || !aiming || p.aim == newPage) && !p.card {
		b.Disable("已经够了")
	}
	return b
}

func emptyWords(can, aiming bool) string {
	switch {
	case aiming:
		return "正在打开高拍仪"
	case can:
		return "把纸放好，点“扫描一页”"
	}
	return "现在不能拍照、扫描"
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

// retake takes the page that is shown again: with a camera a person aims first.
func (p *step) retake(c *ui.Ctx, sources []ui.Source) {
	if _, ok := viewer(sources); ok {
		p.aimAt(c, p.at)
		return
	}
	for _, src := range sources {
		if usable(src) {
			p.take(c, src.Kind, p.at)
			return
		}
	}
	c.Redraw()
}

// aimAt shows the live picture, to take page at.
func (p *step) aimAt(c *ui.Ctx, at int) {
	p.aim, p.aiming, p.second = at, true, false
	c.Redraw()
}

// newPage is the place of a page that is taken beside the others.
const newPage = -1

// take captures one page, in place of page at or as a new one. What goes wrong
// loses no page that is there.
func (p *step) take(c *ui.Ctx, k device.Kind, at int) {
	d, key := c.Visit.Draft, p.key
	p.problem = ""
	doing, again := "正在扫描", "扫"
	if k == device.KindDocCamera {
		doing, again = "正在拍照，请不要动纸", "拍"
	}
	d.Forget()
	var front *ui.Shot
	if p.second && at >= 0 && at < len(d.Shots[key]) && d.Shots[key][at].Card {
		front = &d.Shots[key][at]
	}
	do := func(ctx context.Context) (ui.Shot, error) { return c.B.Take(ctx, k) }
	if front != nil {
		f := *front
		do = func(ctx context.Context) (ui.Shot, error) { return bothSides(ctx, c, k, f) }
	}
	ui.Do(c, doing, do, func(sh ui.Shot) {
		if sh.Blank {
			p.leaveOut(c, sh, again)
			return
		}
		if at >= 0 && at < len(d.Shots[key]) {
			d.Shots[key][at].Wipe()
			d.Shots[key][at], p.at = sh, at
		} else {
			d.Shots[key] = append(d.Shots[key], sh)
			p.at = len(d.Shots[key]) - 1
		}
		p.second = false
		p.aiming = false
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

// shotWords say what is to be known of page at.
func shotWords(at int, sh ui.Shot) (string, widget.Tone) {
	page := fmt.Sprintf("第 %d 页", at+1)
	switch {
	case !sh.OK:
		return page + "，" + sh.Words, widget.Warn
	case sh.Card:
		return page + "是卡的一面。要反面，就点“拍卡的反面”", widget.Good
	case sh.Sides == 2:
		return page + "，正反两面都在，看得清", widget.Good
	}
	return page + "，看得清", widget.Good
}

// bothSides takes the other side of a card. What is no card loses nothing: the
// front stays.
func bothSides(ctx context.Context, c *ui.Ctx, k device.Kind, front ui.Shot) (ui.Shot, error) {
	back, err := c.B.Take(ctx, k)
	if err != nil {
		return ui.Shot{}, err
	}
	defer back.Wipe()
	if !back.Card {
		return ui.Shot{}, &ui.Trouble{Code: "SC-94", Text: "没有看清卡的反面", Remedy: "请把卡放平，反面朝上，再拍一次", Detail: "the second side has not the shape of a card"}
	}
	return c.B.BothSides(ctx, front, back)
}

// leaveOut says that a side was blank and is left out, and keeps it at hand.
func (p *step) leaveOut(c *ui.Ctx, sh ui.Shot, again string) {
	d := c.Visit.Draft
	d.Dropped = &sh
	p.problem = fmt.Sprintf("第 %d 页是白页，已去掉。放反了，就翻过来再%s一次", len(d.Shots[p.key])+1, again)
	c.Redraw()
	c.Say(p.problem)
}

// keep takes the blank side that was left out after all.
func (p *step) keep(c *ui.Ctx) {
	d := c.Visit.Draft
	if d.Dropped == nil {
		return
	}
	d.Dropped.Blank, d.Dropped.OK = false, true
	d.Shots[p.key] = append(d.Shots[p.key], *d.Dropped)
	d.Dropped = nil // its bytes are the page's now
	p.problem, p.aiming, p.at = "", false, len(d.Shots[p.key])-1
	syncPages(d, p.key)
	c.Redraw()
}
