// Package mine holds the pages of what a resident has at the county already:
// her cases and their way, a returned case to mend, records to look up, and the
// public lists of jobs, courses and policies. They exist so that nobody has to
// go to town to ask how far it is.
//
// They guarantee that only the owner of a card sees its cases, that what is
// shown from a local copy says how old it is, and that a state is said in the
// same words everywhere.
package mine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"fyne.io/fyne/v2"

	"cunban/kiosk/cases"
	"cunban/kiosk/paper"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/screen/front"
	"cunban/kiosk/ui/widget"
	"cunban/sync/wire"
)

// Progress lists the cases of the person at the screen.
func Progress() ui.Page { return &progress{} }

type progress struct {
	loaded bool
	list   []cases.Case
}

// View implements ui.Page.
func (p *progress) View(c *ui.Ctx) ui.View {
	l := c.Look
	if !c.Visit.Known() {
		c.Post(func() { c.Go(c.Nav.Card("查进度要先读卡。", func(c *ui.Ctx) { c.Go(Progress()) })) })
		return ui.View{ID: "progress-card", Title: "查办理进度", Body: widget.Spring()}
	}
	if !p.loaded {
		claim := c.Visit.Claim
		ui.Do(c, "正在查", func(ctx context.Context) ([]cases.Case, error) { return c.B.MyCases(ctx, claim) }, func(list []cases.Case) {
			slices.SortFunc(list, func(a, b cases.Case) int { return b.SavedAt.Compare(a.SavedAt) })
			p.loaded, p.list = true, list
			c.Redraw()
		}, nil)
	}
	say := "点开一件，看办到哪一步了"
	var body fyne.CanvasObject = widget.Middle(widget.NewText(l, "正在查，请稍等").Soft().Centred())
	if p.loaded && len(p.list) == 0 {
		say = "您在这台机器上还没有办件"
		body = widget.StateCard(l, widget.State{Tone: widget.Info, Title: "还没有办件", Text: "您在这台机器上还没有办过事。在别处办的，请打 12333 问。"})
	} else if p.loaded {
		var rows []fyne.CanvasObject
		for _, k := range p.list {
			rows = append(rows, caseRow(c, k))
		}
		body = widget.NewList(l, "cases", l.Gap(), rows...)
	}
	return ui.View{
		ID: "progress", Title: "查办理进度", Say: say, Back: func() { c.Go(c.Nav.Menu()) },
		Body:   widget.Column(l.Gap(), widget.NewHeading(l, "您办的事", "点开一件，看办到哪一步了。", func() { c.Say(say) }), widget.Fill(body)),
		OnCase: func(cases.Case) { p.loaded = false; c.Redraw() },
	}
}

// tone of a state.
func toneOf(s cases.State) widget.Tone {
	switch s {
	case cases.Saved, cases.Returned, cases.Attention:
		return widget.Warn
	case cases.Refused:
		return widget.Bad
	case cases.Withdrawn:
		return widget.Neutral
	case cases.Accepted, cases.Processing, cases.Finished:
		return widget.Good
	}
	return widget.Neutral
}

func caseRow(c *ui.Ctx, k cases.Case) fyne.CanvasObject {
	head, _ := paper.StateWords(k.State)
	sub := head + " · " + moment(k.SavedAt)
	if k.Acceptance != "" {
		sub += " · 受理编号 " + k.Acceptance
	}
	return widget.NewTile(c.Look, "case."+k.ID, widget.TileOptions{Title: k.ServiceName, Sub: sub, Icon: iconOf(k.State), Small: true}, func() { c.Go(&timeline{id: k.ID}) })
}

func iconOf(s cases.State) string {
	switch toneOf(s) {
	case widget.Warn:
		return "warn"
	case widget.Bad:
		return "error"
	case widget.Good:
		return "ok"
	case widget.Neutral, widget.Info:
	}
	return "progress"
}

func moment(t time.Time) string { return t.In(ui.Beijing).Format("1月2日 15:04") }

// timeline is the way of one case in plain words.
type timeline struct {
	id     string
	c      *cases.Case
	events []cases.Event
}

type way struct {
	c cases.Case
	e []cases.Event
}

// View implements ui.Page.
func (p *timeline) View(c *ui.Ctx) ui.View {
	l := c.Look
	if p.c == nil {
		ui.Do(c, "正在查", func(ctx context.Context) (way, error) {
			k, err := c.B.Case(ctx, p.id)
			if err != nil {
				return way{}, err
			}
			e, err := c.B.Timeline(ctx, p.id)
			return way{k, e}, err
		}, func(w way) { p.c, p.events = &w.c, w.e; c.Redraw(); c.Say(sayOf(w.c)) }, nil)
		return ui.View{ID: "case-loading", Title: "查办理进度", Body: widget.Middle(widget.NewText(l, "正在查，请稍等").Soft().Centred()),
			Back: func() { c.Go(Progress()) }}
	}
	k := *p.c
	head, sentence := paper.StateWords(k.State)
	var moments []widget.Moment
	for i, e := range p.events {
		text := e.Text
		title, _ := paper.StateWords(e.State)
		if text == title {
			text = ""
		}
		m := widget.Moment{Title: title, Time: moment(e.At), Text: text}
		if i == len(p.events)-1 {
			m.State = widget.Present
			if k.State.Over() {
				m.State = widget.Past
			}
			switch k.State {
			case cases.Returned, cases.Refused, cases.Attention:
				m.State = widget.Failed
			case cases.Saved, cases.Accepted, cases.Processing, cases.Finished, cases.Withdrawn:
			}
		}
		moments = append(moments, m)
	}
	switch k.State {
	case cases.Saved:
		moments = append(moments, widget.Moment{Title: "上传到县里，受理", Text: "连上县里后自动上传", State: widget.Future})
	case cases.Accepted, cases.Processing:
		text := ""
		if k.DueDate != "" {
			text = k.DueDate + " 前答复"
		}
		moments = append(moments, widget.Moment{Title: "办结", Text: text, State: widget.Future})
	case cases.Returned, cases.Finished, cases.Refused, cases.Withdrawn, cases.Attention:
	}
	left := []fyne.CanvasObject{widget.NewBanner(l, toneOf(k.State), head+"。"+sentence, nil)}
	pairs := []widget.Pair{}
	if k.Acceptance != "" {
		pairs = append(pairs, widget.Pair{Label: "受理编号", Value: k.Acceptance, Bold: true})
	}
	for _, m := range k.Mend {
		label := m.Label
		if label == "" {
			label = "整件"
		}
		pairs = append(pairs, widget.Pair{Label: label, Value: m.Reason, Bold: true})
	}
	for _, o := range k.Outstanding {
		pairs = append(pairs, widget.Pair{Label: "以后补交", Value: o})
	}
	if k.Note != "" {
		pairs = append(pairs, widget.Pair{Label: "县里的话", Value: k.Note})
	}
	if len(pairs) > 0 {
		left = append(left, widget.Card(l, widget.PairColumn(l, "case", pairs)))
	}
	v := ui.View{
		ID: "case-" + string(k.State), Title: c.ShortName(k), Back: func() { c.Go(Progress()) },
		Body:  widget.Split(l, 0.42, widget.Card(l, widget.NewTimeline(l, "way", moments)), widget.Column(l.Gap(), left...)),
		Extra: []ui.Action{{Name: "print", Label: "打印进度单", Icon: "printer", Do: func() { p.print(c) }}},
		OnCase: func(n cases.Case) {
			if n.ID == p.id {
				p.c = nil
				c.Redraw()
			}
		},
	}
	switch k.State {
	case cases.Returned:
		v.Next = &ui.Action{Name: "next", Label: "现在补正", Do: func() { p.mend(c, k) }}
	case cases.Saved:
		v.Extra = append(v.Extra, ui.Action{Name: "withdraw", Label: "撤回不办", Danger: true, Do: func() { p.withdraw(c) }})
	case cases.Accepted, cases.Processing, cases.Finished, cases.Refused, cases.Withdrawn, cases.Attention:
	}
	return v
}

func sayOf(k cases.Case) string {
	h, s := paper.StateWords(k.State)
	return k.ServiceName + "。" + h + "。" + s
}

func (p *timeline) print(c *ui.Ctx) {
	claim := c.Visit.Claim
	ui.Do(c, "正在打印进度单", func(ctx context.Context) (string, error) {
		pdf, err := c.B.Progress(ctx, p.id, claim)
		if err != nil {
			return "", err
		}
		return ui.PrintPaper(ctx, c, "办理进度单", pdf)
	}, func(words string) { c.Tell("进度单", words) }, nil)
}

func (p *timeline) withdraw(c *ui.Ctx) {
	c.Ask("要撤回吗？", "撤回后，县里不会收到这一件。以后要办，得重新填。",
		ui.Action{Name: "withdraw-yes", Label: "撤回", Danger: true, Do: func() {
			ui.Do(c, "正在撤回", func(ctx context.Context) (cases.Case, error) { return c.B.Withdraw(ctx, p.id) },
				func(cases.Case) { p.c = nil; c.Redraw() }, nil)
		}},
		ui.Action{Name: "withdraw-no", Label: "不撤回", Do: func() {}})
}

// mend opens the form of a returned case at what has to be mended. The answers
// are at the county, for the terminal keeps none.
func (p *timeline) mend(c *ui.Ctx, k cases.Case) {
	claim := c.Visit.Claim
	ui.Do(c, "正在取回您填的内容", func(ctx context.Context) (wire.CaseAnswersOut, error) { return c.B.Answers(ctx, k.ID, claim) },
		func(a wire.CaseAnswersOut) {
			svc := c.B.Catalogue().Service(k.Service)
			if svc == nil {
				c.Trouble(fmt.Errorf("service %s is not in the catalogue", k.Service))
				return
			}
			m := &front.Mended{CaseID: k.ID, Revision: k.Revision + 1, Answers: a.Answers, Mend: k.Mend}
			for _, x := range k.Mend {
				if x.Field != "" {
					m.Fields = append(m.Fields, x.Field)
				}
			}
			front.Begin(c, svc, m)
		}, nil)
}
