package mine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"fyne.io/fyne/v2"

	"cunban/kiosk/catalog"
	"cunban/kiosk/oplog"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/widget"
	"cunban/sync/wire"
)

// Query shows a person's records behind a query service, or a public list for
// those that have one.
func Query(svc *catalog.Service) ui.Page {
	if k, ok := lists[svc.ID]; ok {
		return Listing(k, svc)
	}
	return &query{svc: svc}
}

type query struct {
	svc   *catalog.Service
	done  bool    // the county answered, or could not
	asked *ui.Ctx // where it was asked: a page left meanwhile asks again
	out   wire.RecordsOut
	asOf  time.Time
	said  string // why there is nothing
	todo  string
}

type records struct {
	out  wire.RecordsOut
	asOf time.Time
}

// View implements ui.Page.
func (p *query) View(c *ui.Ctx) ui.View {
	l := c.Look
	v := ui.View{ID: "query", Title: p.svc.Short, Back: func() { c.Go(c.Nav.Service(p.svc)) }}
	if !p.done && p.asked != c {
		p.asked = c
		claim := c.Visit.Claim
		go c.B.Note(context.WithoutCancel(c), oplog.QueryMade, oplog.OK, "", map[string]string{"service": p.svc.ID})
		ui.Do(c, "正在向县里查", func(ctx context.Context) (records, error) {
			out, asOf, err := c.B.Records(ctx, p.svc.ID, claim, 0)
			return records{out, asOf}, err
		}, func(r records) {
			p.done, p.out, p.asOf = true, r.out, r.asOf
			c.Redraw()
			c.Say(p.svc.Short + "查到了")
		},
			func(err error) bool {
				t := ui.AsTrouble(err)
				p.done, p.said, p.todo = true, t.Text, t.Remedy
				c.Redraw()
				c.Say(t.Text + "。" + t.Remedy)
				return true
			})
	}
	switch {
	case p.said != "":
		v.Body = widget.StateCard(l, widget.State{Tone: widget.Warn, Title: p.said, Text: p.todo, Buttons: []fyne.CanvasObject{
			widget.NewButton(l, "again", "再查一次", widget.Secondary, func() { p.done, p.asked, p.said = false, nil, ""; c.Redraw() }).WithIcon("refresh").Big()}})
	case p.asOf.IsZero():
		v.Body = widget.Middle(widget.NewText(l, "正在向县里查，请稍等").Soft().Centred())
	default:
		v.Body = p.table(c)
		v.Extra = []ui.Action{{Name: "print", Label: "打印", Icon: "printer", Do: func() { p.print(c) }}}
	}
	return v
}

// table shows summary and rows as cards of label and value: a table of seven
// columns cannot be read at eight millimetres.
func (p *query) table(c *ui.Ctx) fyne.CanvasObject {
	l := c.Look
	var pairs []widget.Pair
	for _, s := range p.out.Summary {
		pairs = append(pairs, widget.Pair{Label: s.Label, Value: s.Value, Bold: true})
	}
	for _, r := range p.out.Rows {
		label, parts := "", []string{}
		for i, cell := range r {
			switch {
			case i == 0:
				label = cell
			case i < len(p.out.Columns) && cell != "":
				parts = append(parts, p.out.Columns[i]+" "+cell)
			}
		}
		pairs = append(pairs, widget.Pair{Label: label, Value: strings.Join(parts, "，")})
	}
	hint := "截至 " + p.asOf.In(ui.Beijing).Format("2006年1月2日 15:04")
	if p.out.Note != "" {
		hint += "。" + p.out.Note
	}
	var body fyne.CanvasObject = widget.StateCard(l, widget.State{Tone: widget.Info, Title: "没有查到记录", Text: "县里没有您的这项记录。有疑问请打 12333。"})
	if len(pairs) > 0 {
		body = widget.Card(l, widget.NewPairs(l, "records", pairs))
	}
	return widget.Column(l.Gap(), widget.NewHeading(l, p.out.Title, hint, nil), widget.Fill(body))
}

func (p *query) print(c *ui.Ctx) {
	claim := c.Visit.Claim
	ui.Do(c, "正在打印", func(ctx context.Context) (string, error) {
		pdf, err := c.B.Table(ctx, p.out.Title, p.out, claim, p.asOf)
		if err != nil {
			return "", err
		}
		return ui.PrintPaper(ctx, c, p.out.Title, pdf)
	}, func(words string) { c.Tell(p.out.Title, words) }, nil)
}

// age says how old a local copy is.
func age(now, asOf time.Time) string {
	if asOf.IsZero() {
		return "还没有收到过"
	}
	if d := int(now.Sub(asOf).Hours() / 24); d > 0 {
		return fmt.Sprintf("%d 天前的", d)
	}
	return "今天的"
}
