// Package desk holds the clerk's pages (帮办): signing in, helping a resident,
// today's cases, what was returned and what needs attention. They exist so that
// a clerk with ten others waiting finds the next case in one touch.
//
// They guarantee that whatever a clerk does for a resident is done under both
// names, that the resident still confirms and signs herself (package fill), and
// that a case in trouble can be seen and sent again, never deleted.
package desk

import (
	"context"
	"fmt"
	"time"

	"fyne.io/fyne/v2"

	"cunban/kiosk/cases"
	"cunban/kiosk/paper"
	"cunban/kiosk/resident"
	"cunban/kiosk/staff"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/input"
	"cunban/kiosk/ui/widget"
)

// SignIn signs a clerk in; then goes on.
func SignIn(then func(c *ui.Ctx)) ui.Page {
	return NewSignIn(staff.Clerk, "帮办员登录", func(c *ui.Ctx, a staff.Account) {
		c.Visit.Helper = &a
		then(c)
	})
}

// NewSignIn is the sign-in page for any role.
func NewSignIn(role staff.Role, title string, then func(c *ui.Ctx, a staff.Account)) ui.Page {
	return &signIn{role: role, title: title, then: then}
}

type signIn struct {
	role    staff.Role
	title   string
	then    func(c *ui.Ctx, a staff.Account)
	number  string
	asksPIN bool
	wrong   string
}

// View implements ui.Page.
func (p *signIn) View(c *ui.Ctx) ui.View {
	l := c.Look
	if !p.asksPIN {
		pad := input.NewNumberPad(l, input.NumberOptions{Value: p.number, Max: staff.MaxNumber, Hint: "工号", OnChange: func(s string) { p.number = s }})
		return ui.View{ID: "sign-in-number", Title: p.title, Back: c.Home, First: true,
			Body: widget.Column(l.Gap(), widget.NewHeading(l, "请输入工号", "工号由县里分配。", nil).Warn(p.wrong), widget.Fill(pad)),
			Next: &ui.Action{Name: "next", Label: "下一步", Do: func() {
				if len(p.number) < staff.MinNumber {
					p.wrong = "工号太短，请再看一看"
				} else {
					p.asksPIN, p.wrong = true, ""
				}
				c.Redraw()
			}}}
	}
	pad := input.NewPINPad(l, staff.MinPIN, func(pin []byte) { p.try(c, string(pin)) })
	c.Visit.OnWipe(pad.Wipe)
	return ui.View{ID: "sign-in-pin", Title: p.title, Back: func() { p.asksPIN = false; c.Redraw() },
		Body: widget.Column(l.Gap(), widget.NewHeading(l, "请输入密码", fmt.Sprintf("工号 %s。密码 %d 位，输完自动登录。", p.number, staff.MinPIN), nil), widget.Fill(pad))}
}

// try signs in; a refusal goes back to the number with its words.
func (p *signIn) try(c *ui.Ctx, pin string) {
	number := p.number
	ui.Do(c, "正在登录", func(ctx context.Context) (staff.Account, error) { return c.B.SignIn(ctx, number, pin, p.role) },
		func(a staff.Account) { p.then(c, a) },
		func(err error) bool {
			t := ui.AsTrouble(err)
			p.wrong, p.asksPIN = t.Text+"。"+t.Remedy, false
			c.Redraw()
			c.Say(t.Text)
			return true
		})
}

// Home is the clerk's first page.
func Home() ui.Page { return home{} }

type home struct{}

// View implements ui.Page.
func (home) View(c *ui.Ctx) ui.View {
	l := c.Look
	helper := c.Visit.Helper
	if helper == nil {
		c.Post(func() { c.Go(SignIn(func(c *ui.Ctx) { c.Go(Home()) })) })
		return ui.View{ID: "desk-none", Title: "帮办", Body: widget.Spring()}
	}
	tile := func(name, icon, title, sub string, do func()) fyne.CanvasObject {
		return widget.NewTile(l, name, widget.TileOptions{Icon: icon, Title: title, Sub: sub}, do)
	}
	begin := func(m cases.Mode) func() { return func() { Begin(c, m) } }
	tiles := []fyne.CanvasObject{
		tile("assist", "staff", "帮群众办", "群众在场，帮着点、帮着填", begin(cases.ModeAssisted)),
		tile("agent", "pen", "替人代办", "家里人或代办人来办", begin(cases.ModeAgent)),
		tile("visit", "home", "上门服务", "带着机器或回来补录", begin(cases.ModeVisit)),
		tile("today", "calendar", "今天的办件", "今天本机办的", func() { c.Go(&list{title: "今天的办件", since: today(c)}) }),
		tile("returned", "refresh", "退回要补的", "请群众来补正", func() { c.Go(&list{title: "退回要补的", states: []cases.State{cases.Returned}}) }),
		tile("queue", "queue", "待上传和要处理", "没上传的、出了问题的", func() { c.Go(&queue{}) }),
	}
	cols := 3
	if l.Portrait {
		cols = 2
	}
	return ui.View{ID: "desk-home", Title: "帮办", NoHome: true,
		Body: widget.Column(l.Gap(), widget.NewHeading(l, helper.Name+"，您好", "工号 "+helper.Number+"。做的每一步都会记入日志。", nil),
			widget.Fill(widget.Even(cols, l.Gap(), tiles...))),
		Extra: []ui.Action{{Name: "sign-out", Label: "退出登录", Icon: "lock", Do: c.B.SignOut}}}
}

// today is midnight at the service point.
func today(c *ui.Ctx) time.Time {
	t := c.B.Now().In(ui.Beijing)
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, ui.Beijing)
}

// Begin starts an assisted case: first the resident's card, or typed by hand.
func Begin(c *ui.Ctx, m cases.Mode) {
	c.Visit.Mode = m
	c.Go(&who{mode: m})
}

// who asks how the resident is known: by card, or typed from a document.
type who struct{ mode cases.Mode }

// View implements ui.Page.
func (p *who) View(c *ui.Ctx) ui.View {
	l := c.Look
	title := map[cases.Mode]string{cases.ModeAssisted: "帮群众办", cases.ModeAgent: "替人代办", cases.ModeVisit: "上门服务"}[p.mode]
	return ui.View{ID: "desk-who", Title: title, Back: func() { c.Go(Home()) },
		Body: widget.Column(l.Gap(), widget.NewHeading(l, "给谁办？", "办事人的卡在，就读卡；不在，照身份证输入。", nil),
			widget.Fill(widget.Even(2, l.Gap(),
				widget.NewTile(l, "who.card", widget.TileOptions{Icon: "card", Title: "读办事人的卡", Sub: "社保卡或身份证"}, func() {
					c.Go(c.Nav.Card("请办事人插卡。", func(c *ui.Ctx) { c.Go(&confirm{}) }))
				}),
				widget.NewTile(l, "who.typed", widget.TileOptions{Icon: "pen", Title: "输入号码和姓名", Sub: "看着身份证原件输"}, func() { c.Go(&typed{}) }))))}
}

// confirm has the clerk compare person and card.
type confirm struct{}

// View implements ui.Page.
func (p *confirm) View(c *ui.Ctx) ui.View {
	l, claim := c.Look, c.Visit.Claim
	say := "请帮办员核对：人和证件是不是同一个人"
	return ui.View{ID: "desk-confirm", Title: "核对本人", Back: func() { c.Visit.Claim = resident.Claim{}; c.Go(Home()) }, Say: say,
		Body: widget.Column(l.Gap(), widget.NewHeading(l, "人和证件对得上吗？", "请看着证件原件和本人核对。核对的人会记入办件。", nil),
			widget.Fill(widget.Hero(l, widget.Middle(widget.Wide(l, widget.Column(l.Gap()*1.2,
				widget.NewText(l, claim.Name.String()).Sized(l.Huge()).Bold().Centred(),
				widget.NewText(l, claim.Number.String()).Sized(l.Title()).Bold().Centred(),
				widget.Middle(widget.Tag(l, widget.Info, source(claim))),
				widget.NewText(l, "核对人 "+c.Visit.Helper.Name+"，工号 "+c.Visit.Helper.Number).Soft().Centred())))))),
		Next: &ui.Action{Name: "next", Label: "是同一个人", Do: func() {
			ui.Do(c, "正在记下", func(context.Context) (resident.Claim, error) { return c.B.ConfirmPerson(claim) },
				func(checked resident.Claim) { c.Visit.Claim = checked; c.Go(c.Nav.Menu()) }, nil)
		}},
		Extra: []ui.Action{{Name: "not-same", Label: "对不上", Do: func() {
			c.Tell("对不上就不能办", "请办事人带本人证件再来，或打县里电话核实。")
		}}}}
}

func source(c resident.Claim) string {
	switch c.Source {
	case resident.FromSocialCard:
		return "社保卡"
	case resident.FromIDCard:
		return "身份证"
	case resident.FromTyped:
		return "帮办员照证件输入"
	}
	return "—"
}

// typed takes number and name from a document.
type typed struct {
	number, name string
	asksName     bool
	wrong        string
}

// View implements ui.Page.
func (p *typed) View(c *ui.Ctx) ui.View {
	l := c.Look
	if !p.asksName {
		pad := input.NewNumberPad(l, input.NumberOptions{Value: p.number, Max: 18, X: true, Groups: input.IDGroups, Hint: "18 位身份证号",
			OnChange: func(s string) { p.number = s }})
		return ui.View{ID: "desk-number", Title: "输入号码", Back: func() { c.Go(Home()) },
			Body: widget.Column(l.Gap(), widget.NewHeading(l, "办事人的身份证号", "照身份证原件输入。", nil).Warn(p.wrong), widget.Fill(pad)),
			Next: &ui.Action{Name: "next", Label: "下一步", Do: func() {
				if _, err := resident.ParseIDNumber(p.number); err != nil {
					p.wrong = "号码不对，请对照身份证再看一遍"
				} else {
					p.asksName, p.wrong = true, ""
				}
				c.Redraw()
			}}}
	}
	pad := input.NewTextPad(l, input.TextOptions{Value: p.name, Max: 30, Hint: "姓名", Candidates: c.Candidates, Recogniser: c.Recogniser,
		OnChange: func(s string) { p.name = s }})
	return ui.View{ID: "desk-name", Title: "输入姓名", Back: func() { p.asksName = false; c.Redraw() },
		Body: widget.Column(l.Gap(), widget.NewHeading(l, "办事人的姓名", "照身份证原件输入。生僻字可以手写。", nil).Warn(p.wrong), widget.Fill(pad)),
		Next: &ui.Action{Name: "next", Label: "下一步", Do: func() {
			if len([]rune(p.name)) < 2 {
				p.wrong = "姓名还没有输完"
				c.Redraw()
				return
			}
			n, err := resident.ParseIDNumber(p.number)
			if err != nil {
				c.Trouble(err)
				return
			}
			c.Begin(resident.Claim{Source: resident.FromTyped, Number: n, Name: resident.NewName(p.name), NameExact: true, Sex: n.Sex(),
				BirthDate: n.BirthDate().Format("20060102"), ReadAt: c.B.Now(), Demo: c.B.Point().Demo, Verification: resident.Unverified})
			p.number, p.name = "", ""
			c.Go(&confirm{})
		}}}
}

// list shows cases of this point.
type list struct {
	title  string
	since  time.Time
	states []cases.State
	loaded bool
	cases  []cases.Case
}

// View implements ui.Page.
func (p *list) View(c *ui.Ctx) ui.View {
	l := c.Look
	if !p.loaded {
		q := cases.Query{Since: p.since, States: p.states, Limit: 200}
		ui.Do(c, "正在查", func(ctx context.Context) ([]cases.Case, error) { return c.B.StaffCases(ctx, q) },
			func(k []cases.Case) { p.loaded, p.cases = true, k; c.Redraw() }, nil)
	}
	var body fyne.CanvasObject = widget.Middle(widget.NewText(l, "正在查，请稍等").Soft().Centred())
	if p.loaded && len(p.cases) == 0 {
		body = widget.StateCard(l, widget.State{Tone: widget.Info, Title: "没有", Text: "这里现在没有办件。"})
	} else if p.loaded {
		var rows []fyne.CanvasObject
		for _, k := range p.cases {
			rows = append(rows, row(c, k))
		}
		body = widget.NewList(l, "cases", l.MM(3), rows...)
	}
	return ui.View{ID: "desk-cases", Title: p.title, Back: func() { c.Go(Home()) }, OnCase: func(cases.Case) { p.loaded = false; c.Redraw() },
		Body: widget.Column(l.Gap(), widget.NewHeading(l, fmt.Sprintf("%s：%d 件", p.title, len(p.cases)), "只看得到事项和状态，看不到填的内容。", nil), widget.Fill(body))}
}

// row is one case in a line: service, state, time left (限时办结 in words and
// colour).
func row(c *ui.Ctx, k cases.Case) fyne.CanvasObject {
	l := c.Look
	head, _ := paper.StateWords(k.State)
	tone, left := deadline(c, k)
	text := k.ServiceName + "\n" + head + " · " + k.SavedAt.In(ui.Beijing).Format("1月2日 15:04")
	if k.Acceptance != "" {
		text += " · " + k.Acceptance
	}
	parts := []fyne.CanvasObject{widget.Fill(widget.NewText(l, text))}
	if left != "" {
		parts = append(parts, widget.Tag(l, tone, left))
	}
	return widget.CardPad(l, l.MM(4), widget.MiddleRow(l.Gap(), parts...))
}

// deadline says how much of the promised time is left.
func deadline(c *ui.Ctx, k cases.Case) (widget.Tone, string) {
	if k.DueDate == "" || k.State.Over() {
		return widget.Neutral, ""
	}
	n, ok := c.B.Calendar().WorkingDaysLeft(c.B.Now().In(ui.Beijing), k.DueDate)
	switch {
	case !ok:
		return widget.Neutral, ""
	case n < 0:
		return widget.Bad, fmt.Sprintf("超时 %d 天", -n)
	case n == 0:
		return widget.Warn, "今天到期"
	case n == 1:
		return widget.Warn, fmt.Sprintf("还剩 %d 天", n)
	}
	return widget.Good, fmt.Sprintf("还剩 %d 天", n)
}

// queue shows what is not at the county yet.
type queue struct {
	loaded bool
	items  []cases.Item
	n      cases.Counts
}

type queueNow struct {
	items []cases.Item
	n     cases.Counts
}

// View implements ui.Page.
func (p *queue) View(c *ui.Ctx) ui.View {
	l := c.Look
	if !p.loaded {
		ui.Do(c, "正在查", func(ctx context.Context) (queueNow, error) {
			items, n, err := c.B.Queue(ctx)
			return queueNow{items, n}, err
		}, func(q queueNow) { p.loaded, p.items, p.n = true, q.items, q.n; c.Redraw() }, nil)
	}
	rows := QueueRows(c, p.items, func(id string) {
		ui.Do(c, "正在重新上传", func(ctx context.Context) (struct{}, error) { return struct{}{}, c.B.Resend(ctx, id) },
			func(struct{}) { p.loaded = false; c.Redraw() }, nil)
	})
	var body fyne.CanvasObject = widget.Middle(widget.NewText(l, "正在查，请稍等").Soft().Centred())
	if p.loaded {
		body = widget.StateCard(l, widget.State{Tone: widget.Good, Title: "都上传了", Text: "没有等待上传的，也没有要处理的。"})
	}
	if len(rows) > 0 {
		body = widget.NewList(l, "queue", l.MM(3), rows...)
	}
	hint := fmt.Sprintf("共 %d 件：已完成 %d，等待上传 %d，要处理 %d。", p.n.Total, p.n.Done, p.n.Waiting, p.n.Attention)
	return ui.View{ID: "desk-queue", Title: "待上传和要处理", Back: func() { c.Go(Home()) }, OnCase: func(cases.Case) { p.loaded = false; c.Redraw() },
		Body: widget.Column(l.Gap(), widget.NewHeading(l, "待上传和要处理", hint, nil), widget.Fill(body))}
}

// QueueRows are the lines of a queue; resend is offered where a person must
// decide.
func QueueRows(c *ui.Ctx, items []cases.Item, resend func(id string)) []fyne.CanvasObject {
	l := c.Look
	var rows []fyne.CanvasObject
	for _, i := range items {
		word, tone := "等待上传", widget.Warn
		switch i.State {
		case cases.QueueWaiting:
		case cases.QueueLeased:
			word, tone = "正在上传", widget.Info
		case cases.QueueSent:
			word, tone = "材料上传中", widget.Info
		case cases.QueueAttention:
			word, tone = "要处理", widget.Bad
		case cases.QueueDone:
			word, tone = "已完成", widget.Good
		}
		text := i.Case.ServiceName + "\n" + i.SavedAt.In(ui.Beijing).Format("1月2日 15:04") + fmt.Sprintf(" · 试了 %d 次", i.Attempts)
		if i.Reason != "" {
			text += "\n" + i.Reason
		}
		parts := []fyne.CanvasObject{widget.Fill(widget.NewText(l, text)), widget.Tag(l, tone, word)}
		if i.State == cases.QueueAttention && resend != nil {
			parts = append(parts, widget.NewButton(l, "resend."+i.CaseID, "重新上传", widget.Secondary, func() { resend(i.CaseID) }))
		}
		rows = append(rows, widget.CardPad(l, l.MM(4), widget.MiddleRow(l.Gap(), parts...)))
	}
	return rows
}
