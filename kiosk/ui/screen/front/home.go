// Package front holds the pages a resident meets first: home, card, 是您本人吗,
// the services and the notice (一次性告知) of each. They exist to bring a person
// from the door to the right form without typing anything.
//
// They guarantee that every state of a card has its own words and a next step,
// that nobody is taken for somebody else without having been asked, and that
// the notice comes before the first question.
package front

import (
	"fmt"

	"fyne.io/fyne/v2"

	"cunban/kiosk/catalog"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/widget"
	"cunban/sync"
)

// category is a group of services on the home page.
type category struct {
	cat         catalog.Category
	icon, title string
}

var categories = []category{
	{catalog.FindWork, "job", "我要找工作"},
	{catalog.Learn, "learn", "我要学技术"},
	{catalog.Insurance, "insurance", "我要办社保"},
	{catalog.UseCard, "card", "我要用社保卡"},
}

// Home is the page nobody has to touch: a card is enough.
func Home() ui.Page { return home{} }

type home struct{}

// View implements ui.Page.
func (h home) View(c *ui.Ctx) ui.View {
	l, p := c.Look, c.B.Point()
	cv := c.B.CardView()
	if cv.Phase == ui.CardRead {
		// The next person's card is in already.
		c.Post(func() { c.Go(c.Nav.Card("", func(c *ui.Ctx) { c.Go(Menu()) })) })
	}
	title, sub := "请插入社保卡\n或放上身份证", "没带卡、看不清、不会用？\n请按右上角“呼叫帮办”"
	switch {
	case cv.SocialReader && !cv.IDReader:
		title = "请插入社保卡"
	case !cv.SocialReader && cv.IDReader:
		title = "请放上身份证"
	case !cv.SocialReader && !cv.IDReader:
		title, sub = "读卡器没有接好", "可以先看办事指南、岗位和培训。\n要办事请按右上角“呼叫帮办”"
	}
	hero := widget.Hero(l, widget.Middle(widget.Wide(l, widget.Column(l.Gap()*1.2,
		widget.Shrink(widget.Middle(widget.Drawing(l, "insert-card", l.MM(62)))),
		widget.NewText(l, title).Sized(l.Title()).Bold().Centred(),
		widget.NewText(l, sub).Soft().Centred()))))
	var tiles []fyne.CanvasObject
	for _, g := range categories {
		tiles = append(tiles, widget.NewTile(l, "cat."+g.icon, widget.TileOptions{Icon: g.icon, Title: g.title, Sub: blurb(l, c.B.Catalogue(), g.cat)},
			func() { c.Go(c.Nav.Category(g.cat)) }))
	}
	low := []fyne.CanvasObject{
		widget.NewTile(l, "progress", widget.TileOptions{Icon: "progress", Title: "查办理进度", Mark: true, Wide: true}, func() { c.Go(c.Nav.Progress()) }),
		widget.NewTile(l, "guide", widget.TileOptions{Icon: "guide", Title: "办事指南", Mark: true, Wide: true}, func() { c.Go(c.Nav.Guide()) }),
	}
	right := widget.Column(l.Gap(), widget.Fill(widget.Even(2, l.Gap(), tiles...)), widget.Even(2, l.Gap(), low...))
	var body fyne.CanvasObject
	if l.Portrait {
		body = widget.Column(l.Gap(), widget.Fill(hero), widget.Fixed(0, l.MM(210), right))
	} else {
		body = widget.Split(l, 0.595, hero, right)
	}
	return ui.View{
		ID: "home", Title: p.Name, Idle: true, Bare: true,
		Body: widget.Column(0, widget.Fill(body)), Footer: h.footer(c),
		OnCard: func(v ui.CardView) {
			switch v.Phase {
			case ui.CardWaiting, ui.CardNoReader:
				c.Redraw()
			case ui.CardReading, ui.CardRead, ui.CardWrongWay, ui.CardForeign, ui.CardBlank, ui.CardDamaged, ui.CardTorn, ui.CardHeld, ui.CardLiftIDCard:
				c.Go(c.Nav.Card("", func(c *ui.Ctx) { c.Go(Menu()) }))
			}
		},
		OnLine: func(sync.LineState) { c.Redraw() },
	}
}

// footer holds what a person may change, news, and the door for staff.
func (h home) footer(c *ui.Ctx) fyne.CanvasObject {
	l := c.Look
	left := looks(c)
	notice := "咨询电话 " + c.B.Office().ConsultPhone
	if t := c.B.Point().Ticker; t != "" {
		notice = t + " ｜ " + notice
	}
	staff := widget.NewButton(l, "staff", "工作人员", widget.Quiet, func() { c.Go(StaffDoor()) })
	return widget.Footer(l, widget.FooterOptions{Left: left, Notice: notice, Right: []fyne.CanvasObject{staff}})
}

// looks are the three switches: text size, sound, palette.
func looks(c *ui.Ctx) []fyne.CanvasObject {
	l := c.Look
	size := "大字"
	if l.Size == theme.Large {
		size = "标准字"
	}
	sound := "声音 开"
	if !c.Sound() {
		sound = "声音 关"
	}
	next := theme.Palettes[(int(l.Palette)+1)%len(theme.Palettes)]
	return []fyne.CanvasObject{
		widget.NewButton(l, "look.size", size, widget.Secondary, func() {
			z := theme.Large
			if l.Size == theme.Large {
				z = theme.Standard
			}
			c.SetLook(l.Palette, z)
		}),
		widget.NewButton(l, "look.sound", sound, widget.Secondary, func() { c.SetSound(!c.Sound()) }),
		widget.NewButton(l, "look.palette", next.String(), widget.Secondary, func() { c.SetLook(next, l.Size) }),
	}
}

// blurb names the most used services of a category in one line, and how many
// there are. A name that does not fit is left out rather than broken.
func blurb(l *theme.Look, cat *catalog.Catalogue, which catalog.Category) string {
	const standard, large = 12, 10 // characters that fit on a tile
	room := standard
	if l.Size == theme.Large {
		room = large
	}
	list := cat.ByCategory(which)
	s := ""
	for _, svc := range list {
		next := svc.Short
		if s != "" {
			next = s + "、" + svc.Short
		}
		if len([]rune(next)) <= room {
			s = next
		}
	}
	return fmt.Sprintf("%s\n等 %d 项", s, len(list))
}

// Menu is the home page of somebody who is identified: what would you like.
func Menu() ui.Page { return menu{} }

type menu struct{}

// View implements ui.Page.
func (menu) View(c *ui.Ctx) ui.View {
	l := c.Look
	var tiles []fyne.CanvasObject
	for _, g := range categories {
		tiles = append(tiles, widget.NewTile(l, "cat."+g.icon, widget.TileOptions{Icon: g.icon, Title: g.title, Sub: blurb(l, c.B.Catalogue(), g.cat)},
			func() { c.Go(c.Nav.Category(g.cat)) }))
	}
	tiles = append(tiles,
		widget.NewTile(l, "progress", widget.TileOptions{Icon: "progress", Title: "查办理进度", Sub: "看看办到哪一步了", Mark: true}, func() { c.Go(c.Nav.Progress()) }),
		widget.NewTile(l, "guide", widget.TileOptions{Icon: "guide", Title: "办事指南", Sub: "每一项怎么办、带什么", Mark: true}, func() { c.Go(c.Nav.Guide()) }))
	cols := 3
	if l.Portrait {
		cols = 2
	}
	say := "您好，您想办什么？"
	return ui.View{
		ID: "menu", Title: c.B.Point().Name, Say: say,
		Body: widget.Column(l.Gap()*1.2, widget.NewHeading(l, "您想办什么？", "点一下要办的事。不知道点哪个，请按“呼叫帮办”。", func() { c.Say(say) }),
			widget.Fill(widget.Even(cols, l.Gap(), tiles...))),
		Extra: []ui.Action{{Name: "leave", Label: "不办了，取卡", Do: func() { c.Go(c.Nav.Leave()) }}},
	}
}

// StaffDoor asks which door: clerk or technician.
func StaffDoor() ui.Page { return door{} }

type door struct{}

// View implements ui.Page.
func (door) View(c *ui.Ctx) ui.View {
	l := c.Look
	return ui.View{
		ID: "staff-door", Title: "工作人员", Back: c.Home,
		Body: widget.Column(l.Gap()*1.4, widget.NewHeading(l, "您是哪一位？", "办事的群众请点“返回”。", nil),
			widget.Fill(widget.Even(2, l.Gap(),
				widget.NewTile(l, "door.staff", widget.TileOptions{Icon: "staff", Title: "帮办员", Sub: "帮群众办事、看今天的办件"}, func() {
					c.Go(c.Nav.StaffSignIn(func(c *ui.Ctx) { c.Go(c.Nav.StaffHome()) }))
				}),
				widget.NewTile(l, "door.tech", widget.TileOptions{Icon: "technician", Title: "技术员", Sub: "设备、网络、日志、登记"}, func() { c.Go(c.Nav.TechSignIn()) })))),
	}
}

// Closed is 暂停服务.
func Closed(why string) ui.Page { return closed(why) }

type closed string

// View implements ui.Page.
func (w closed) View(c *ui.Ctx) ui.View {
	l, o := c.Look, c.B.Office()
	todo := []string{"要办事，请找村里的帮办员，窗口照常受理。"}
	if o.PersonPhone != "" {
		todo = append(todo, "电话 "+o.PersonPhone+"；政策咨询 "+o.ConsultPhone+"。")
	} else {
		todo = append(todo, "政策咨询电话 "+o.ConsultPhone+"。")
	}
	return ui.View{
		ID: "closed", Title: c.B.Point().Name, Idle: true, Bare: true,
		Body: widget.StateCard(l, widget.State{Tone: widget.Warn, Title: "暂停服务", Text: string(w), Todo: todo}),
		Footer: widget.Footer(l, widget.FooterOptions{Right: []fyne.CanvasObject{
			widget.NewButton(l, "staff", "工作人员", widget.Quiet, func() { c.Go(StaffDoor()) })}}),
	}
}
