package mine

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"fyne.io/fyne/v2"

	"cunban/kiosk/catalog"
	"cunban/kiosk/listing"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/widget"
	"cunban/sync/wire"
)

// lists are the query services that show a public list instead of records.
var lists = map[string]wire.Kind{"J02": wire.KindJob, "J07": wire.KindPolicy, "T01": wire.KindCourse}

// Public reports whether a query service shows a public list.
func Public(svc *catalog.Service) bool {
	_, ok := lists[svc.ID]
	return ok
}

// Listing is a public list: jobs, courses, policies. svc may be nil.
func Listing(kind wire.Kind, svc *catalog.Service) ui.Page { return &board{kind: kind, svc: svc} }

type board struct {
	kind   wire.Kind
	svc    *catalog.Service
	loaded bool
	cards  []entry
	asOf   time.Time
	live   bool
}

// entry is one object of a list as people read it.
type entry struct {
	id, title, sub string
	pairs          []widget.Pair
}

type page struct {
	items []json.RawMessage
	asOf  time.Time
	live  bool
}

func (p *board) title() string {
	switch p.kind {
	case wire.KindJob:
		return "招聘岗位"
	case wire.KindCourse:
		return "培训班"
	case wire.KindPolicy:
		return "就业创业政策"
	case wire.KindEvent:
		return "招聘会和活动"
	case wire.KindPost:
		return "公益性岗位"
	case wire.KindNotice:
		return "通知"
	case wire.KindCaseUpdate, wire.KindStaff, wire.KindCatalogue, wire.KindConfig, wire.KindRevoke:
	}
	return "公开信息"
}

// View implements ui.Page.
func (p *board) View(c *ui.Ctx) ui.View {
	l := c.Look
	if !p.loaded {
		ui.Do(c, "正在查", func(ctx context.Context) (page, error) {
			items, asOf, live, err := c.B.Listing(ctx, p.kind)
			return page{items, asOf, live}, err
		}, func(g page) {
			p.loaded, p.asOf, p.live = true, g.asOf, g.live
			for _, raw := range g.items {
				if e, ok := read(p.kind, raw); ok {
					p.cards = append(p.cards, e)
				}
			}
			c.Redraw()
		}, nil)
	}
	hint := "点开看详细。"
	if p.loaded && !p.live {
		hint += "现在连不上县里，这是" + age(c.B.Now(), p.asOf) + "。"
	}
	var body fyne.CanvasObject = widget.Middle(widget.NewText(l, "正在查，请稍等").Soft().Centred())
	if p.loaded && len(p.cards) == 0 {
		body = widget.StateCard(l, widget.State{Tone: widget.Info, Title: "现在没有可看的", Text: "有新的会出现在这里。也可以打 12333 问。"})
	} else if p.loaded {
		g := widget.NewGrid(l, "items").Columns(2)
		var cells []fyne.CanvasObject
		for _, e := range p.cards {
			cells = append(cells, widget.NewTile(l, "item."+e.id, widget.TileOptions{Title: e.title, Sub: e.sub, Small: true}, func() { c.Go(&detail{from: p, e: e}) }))
		}
		g.SetCells(cells)
		body = g
	}
	return ui.View{ID: "listing-" + string(p.kind), Title: p.title(), Say: p.title() + "。" + hint,
		Body: widget.Column(l.Gap(), widget.NewHeading(l, p.title(), hint, nil), widget.Fill(body)),
		Back: func() { p.back(c) }}
}

func (p *board) back(c *ui.Ctx) {
	if p.svc != nil {
		c.Go(c.Nav.Category(p.svc.Category))
		return
	}
	c.Home()
}

// read makes an entry of a downlinked object; one that cannot be read is left
// out (the county hears of it from sync).
func read(k wire.Kind, raw json.RawMessage) (entry, bool) {
	pair := func(list []widget.Pair, label, value string) []widget.Pair {
		if value == "" {
			return list
		}
		return append(list, widget.Pair{Label: label, Value: value})
	}
	var e entry
	switch k {
	case wire.KindJob:
		j, err := listing.ParseJob(raw)
		if err != nil {
			return e, false
		}
		e = entry{id: j.ID, title: j.Title, sub: j.Pay + " · " + km(j.DistanceKM)}
		e.pairs = pair(pair(pair(e.pairs, "单位", j.Employer), "工资", j.Pay), "地点", j.Place+"（离县城 "+km(j.DistanceKM)+"）")
		if j.People > 0 {
			e.pairs = pair(e.pairs, "招几人", fmt.Sprintf("%d 人", j.People))
		}
		e.pairs = pair(pair(pair(pair(e.pairs, "要求", j.Needs), "待遇", j.Gives), "怎么报名", j.How), "联系", j.Contact)
		e.pairs = pair(e.pairs, "截止", j.ValidUntil)
	case wire.KindCourse:
		o, err := listing.ParseCourse(raw)
		if err != nil {
			return e, false
		}
		fee := "不收钱"
		if o.Fee > 0 {
			fee = fmt.Sprintf("%d 元", o.Fee)
		}
		e = entry{id: o.ID, title: o.Title, sub: o.Start + " 开班 · " + fee}
		e.pairs = pair(pair(pair(pair(e.pairs, "谁来教", o.Org), "地点", o.Place), "开班", o.Start), "结束", o.End)
		e.pairs = pair(pair(pair(pair(e.pairs, "收费", fee), "补贴", o.Subsidy), "要求", o.Needs), "联系", o.Contact)
	case wire.KindPolicy:
		o, err := listing.ParsePolicy(raw)
		if err != nil {
			return e, false
		}
		e = entry{id: o.ID, title: o.Title, sub: o.Who}
		e.pairs = pair(pair(pair(e.pairs, "谁能享受", o.Who), "能得什么", o.What), "带什么", strings.Join(o.Materials, "；"))
		e.pairs = pair(pair(pair(pair(e.pairs, "怎么办", strings.Join(o.Steps, "；")), "在哪办", o.Where), "依据", o.Basis), "联系", o.Contact)
	case wire.KindEvent:
		o, err := listing.ParseEvent(raw)
		if err != nil {
			return e, false
		}
		e = entry{id: o.ID, title: o.Title, sub: o.Start + " · " + o.Place}
		e.pairs = pair(pair(pair(pair(pair(e.pairs, "时间", o.Start), "地点", o.Place), "坐车", o.Bus), "内容", o.Text), "联系", o.Contact)
	case wire.KindPost:
		o, err := listing.ParsePost(raw)
		if err != nil {
			return e, false
		}
		e = entry{id: o.ID, title: o.Title, sub: o.Pay + " · " + o.Place}
		e.pairs = pair(pair(pair(pair(pair(e.pairs, "地点", o.Place), "工资", o.Pay), "时间", o.Hours), "要求", o.Needs), "联系", o.Contact)
	case wire.KindNotice:
		o, err := listing.ParseNotice(raw)
		if err != nil {
			return e, false
		}
		e = entry{id: o.ID, title: o.Title, sub: o.Date, pairs: []widget.Pair{{Label: "内容", Value: o.Text}}}
	case wire.KindCaseUpdate, wire.KindStaff, wire.KindCatalogue, wire.KindConfig, wire.KindRevoke:
		return e, false
	}
	return e, e.id != ""
}

func km(d float64) string {
	if d < 1 {
		return "就在县城"
	}
	return fmt.Sprintf("%.0f 公里", d)
}

// detail is one object in full.
type detail struct {
	from *board
	e    entry
}

// View implements ui.Page.
func (p *detail) View(c *ui.Ctx) ui.View {
	l := c.Look
	var say []string
	for _, x := range p.e.pairs {
		say = append(say, x.Label+"，"+x.Value)
	}
	v := ui.View{ID: "item", Title: p.from.title(), Say: p.e.title + "。" + strings.Join(say, "。"),
		Body: widget.Column(l.Gap(), widget.NewHeading(l, p.e.title, "", func() { c.Say(p.e.title + "。" + strings.Join(say, "。")) }),
			widget.Fill(widget.Card(l, widget.NewPairs(l, "item", p.e.pairs)))),
		Back: func() { c.Go(p.from) }}
	if p.from.kind == wire.KindJob {
		if s := c.B.Catalogue().Service("J01"); s != nil {
			v.Next = &ui.Action{Name: "next", Label: "去做求职登记", Do: func() { c.Go(c.Nav.Service(s)) }}
		}
	}
	return v
}
