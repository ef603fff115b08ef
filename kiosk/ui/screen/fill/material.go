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
		p.aim, p.aiming = newPage, false
	}
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
		side = append(side, p.takeButton(c, src, aiming, len(shots), lo, hi))
	}
	switch {
	case aiming && len(shots) > 0:
		side = append(side, widget.NewButton(l, "taken", "看拍好的页", widget.Plain, func() { p.aiming = false; c.Redraw() }))
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
				cause := strings.TrimSuffix(src.Health.Cause, "。")
				side = append(side, widget.NewText(l, src.Name+"："+cause+"。"+src.Health.Remedy).Soft())
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
		if p.aim != newPage {
			label = fmt.Sprintf("重拍第 %d 页", p.aim+1)
		}
	case src.Live:
		label, icon, do = "再拍一页", "camera", func() { p.aim, p.aiming = newPage, true; c.Redraw() }
	case src.Kind == device.KindPageFolder:
		label = "取" + src.Name + "的一页"
	}
	b := widget.NewButton(l, "take."+string(src.Kind), label, kind, do).WithIcon(icon).Big()
	if have >= hi && (!src.Live || !aiming || p.aim == newPage) {
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
		p.aim, p.aiming = p.at, true
		c.Redraw()
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
	ui.Do(c, doing, func(ctx context.Context) (ui.Shot, error) { return c.B.Take(ctx, k) }, func(sh ui.Shot) {
		if sh.Blank {
			p.problem = "这一页是空白的，请翻过来再" + again + "一次"
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
