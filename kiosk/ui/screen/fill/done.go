package fill

import (
	"context"
	"image"
	"time"

	"fyne.io/fyne/v2"

	"cunban/kiosk/cases"
	"cunban/kiosk/paper"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/widget"
)

// done tells what became of the case: 已保存 when the disk has it, 已受理 when
// the county gave its number, never one for the other.
type done struct {
	c   cases.Case
	got []ui.Received
	pic image.Image // the receipt, once rendered
	pdf []byte
	// blind means that the receipt cannot be shown here.
	blind bool
}

// View implements ui.Page.
func (p *done) View(c *ui.Ctx) ui.View {
	l := c.Look
	head, sentence := paper.StateWords(p.c.State)
	tone := widget.Good
	if p.c.State == cases.Saved || p.c.State == cases.Attention {
		tone = widget.Warn
	}
	pairs := []widget.Pair{{Label: "办的事", Value: p.c.ServiceName, Bold: true}}
	if p.c.Acceptance != "" {
		pairs = append(pairs, widget.Pair{Label: "受理编号", Value: p.c.Acceptance, Bold: true})
	}
	if p.c.DueDate != "" {
		pairs = append(pairs, widget.Pair{Label: "答复日期", Value: day(p.c.DueDate) + "以前"})
	}
	for _, o := range p.c.Outstanding {
		pairs = append(pairs, widget.Pair{Label: "以后补交", Value: o})
	}
	pairs = append(pairs, widget.Pair{Label: "接下来", Value: nextWords(p.c)})
	say := head + "。" + sentence + "请打印回执"
	left := widget.Column(l.Gap(),
		widget.MiddleRow(l.Gap(), widget.Seal(l, tone, l.MM(22)),
			widget.Fill(widget.Column(0, widget.NewText(l, head).Sized(l.Huge()).Bold(), widget.NewText(l, sentence).Soft()))),
		widget.Fill(widget.Card(l, widget.NewPairs(l, "done", pairs))))
	pic := widget.NewPicture(l, "正在准备回执")
	switch {
	case p.pic != nil:
		pic.SetImage(p.pic)
	case p.blind:
		pic.SetText("这里看不了回执，照样可以打印")
	default:
		p.render(c)
	}
	var body fyne.CanvasObject
	if l.Portrait {
		body = widget.Column(l.Gap(), widget.Fill(left), widget.Fixed(0, l.MM(120), pic))
	} else {
		body = widget.Split(l, 0.34, left, pic)
	}
	return ui.View{
		ID: "done-" + string(p.c.State), Title: c.ShortName(p.c), Say: say, Body: body,
		Next: &ui.Action{Name: "next", Label: "办完了", Do: func() { c.Go(&rate{id: p.c.ID}) }},
		Extra: []ui.Action{
			{Name: "again", Label: "再办一件", Do: func() { c.Go(c.Nav.Menu()) }},
			{Name: "print", Label: "打印回执", Icon: "printer", Do: func() { p.print(c) }}},
		OnCase: func(n cases.Case) {
			if n.ID == p.c.ID && n.State != p.c.State {
				p.c, p.pic, p.pdf, p.blind = n, nil, nil, false
				c.Redraw()
				h, s := paper.StateWords(n.State)
				c.Say(h + "。" + s)
			}
		},
	}
}

// receipt makes the paper of the case as it stands.
func (p *done) receipt(ctx context.Context, c *ui.Ctx) ([]byte, error) {
	var got []paper.Material
	for _, r := range p.got {
		got = append(got, paper.Material{Name: r.Name, How: r.How, Pages: r.Pages})
	}
	return c.B.Receipt(ctx, p.c.ID, c.Visit.Claim, got)
}

const previewDPI = 70

func (p *done) render(c *ui.Ctx) {
	state := p.c.State
	type paperView struct {
		pdf []byte
		img image.Image
	}
	ui.Do(c, "", func(ctx context.Context) (paperView, error) {
		pdf, err := p.receipt(ctx, c)
		if err != nil {
			return paperView{}, err
		}
		img, err := c.B.Preview(ctx, pdf, 0, previewDPI)
		return paperView{pdf, img}, err
	}, func(v paperView) {
		if p.c.State == state && p.pic == nil {
			p.pic, p.pdf = v.img, v.pdf
			c.Visit.OnWipe(func() { ui.WipeImage(v.img); clear(v.pdf) })
			c.Redraw()
		}
	}, func(error) bool { // the paper can still be printed
		p.blind = true
		c.Redraw()
		return true
	})
}

func (p *done) print(c *ui.Ctx) {
	ui.Do(c, "正在打印回执", func(ctx context.Context) (string, error) {
		pdf, err := p.receipt(ctx, c)
		if err != nil {
			return "", err
		}
		return ui.PrintPaper(ctx, c, "办件回执", pdf)
	}, func(words string) { c.Tell("回执", words) }, nil)
}

// nextWords is one sentence of what happens next.
func nextWords(k cases.Case) string {
	switch k.State {
	case cases.Saved:
		return "联网后自动上传。随时带卡来点“查办理进度”"
	case cases.Accepted, cases.Processing:
		return "县里办好后，结果会传到这台机器。随时带卡来查"
	case cases.Returned:
		return "请按“查办理进度”，把要补的补好"
	case cases.Finished:
		return "已经办好，请保存回执"
	case cases.Refused:
		return "看一看理由；不同意可以打监督电话"
	case cases.Withdrawn:
		return "需要时可以重新申请"
	case cases.Attention:
		return "工作人员会处理，不用重新填"
	}
	return ""
}

// day writes YYYY-MM-DD as people say it.
func day(s string) string {
	t, err := time.Parse("2006-01-02", s)
	if err != nil {
		return s
	}
	return t.Format("2006年1月2日")
}

// rate asks for a rating (好差评); nobody has to give one.
type rate struct{ id string }

var stars = []struct {
	n     int
	label string
}{{5, "非常满意"}, {4, "满意"}, {3, "基本满意"}, {2, "不满意"}, {1, "非常不满意"}}

// View implements ui.Page.
func (p *rate) View(c *ui.Ctx) ui.View {
	l := c.Look
	var opts []widget.Option
	for _, s := range stars {
		opts = append(opts, widget.Option{Code: string(rune('0' + s.n)), Label: s.label})
	}
	say := "您满意吗？点一下就行，不想评也可以"
	return ui.View{
		ID: "rate", Title: "评一评", Say: say,
		Body: widget.Column(l.Gap(), widget.NewHeading(l, "这次办事，您满意吗？", "点一下就行。不想评，点“不评了”。", func() { c.Say(say) }),
			widget.Fill(widget.NewChoiceGrid(l, "rate", opts, false, nil, func(codes []string) {
				if len(codes) == 1 {
					n := int(codes[0][0] - '0')
					go func() { _ = c.B.Rate(context.WithoutCancel(c), p.id, n) }()
					c.Go(c.Nav.Leave())
				}
			}))),
		Next: &ui.Action{Name: "next", Label: "不评了", Do: func() { c.Go(c.Nav.Leave()) }},
	}
}

// Leave is 请取走您的卡.
func Leave() ui.Page { return &leave{} }

type leave struct {
	began time.Time
	at    *ui.Ctx // the time on the screen that began belongs to
}

// leaveAfter is when the page goes home by itself once no card is in.
const leaveAfter = 8 * time.Second

// View implements ui.Page.
func (p *leave) View(c *ui.Ctx) ui.View {
	l := c.Look
	c.B.Leaving()
	in := c.B.CardIn()
	title, text, tone, drawing := "办完了，请慢走", "回执和证件都拿好了吗？", widget.Good, ""
	if in {
		title, text, tone, drawing = "请取走您的卡", "还有回执和材料，都请拿好。", widget.Warn, "take-card"
	}
	if p.at != c {
		p.at, p.began = c, c.B.Now()
		c.Every(time.Second, func() {
			if !c.B.CardIn() && c.B.Now().Sub(p.began) > leaveAfter {
				c.End()
			}
		})
	}
	next := &ui.Action{Name: "next", Label: "回到首页", Do: c.End}
	var extra []ui.Action
	if c.Visit.Helper != nil {
		next = &ui.Action{Name: "next", Label: "办下一位", Do: c.NextResident}
		extra = []ui.Action{{Name: "sign-out", Label: "退出登录", Icon: "lock", Do: c.B.SignOut}}
	}
	return ui.View{
		ID: "leave", Title: c.B.Point().Name, NoHome: true, Say: title + "。" + text, Extra: extra,
		Body:   widget.StateCard(l, widget.State{Tone: tone, Drawing: drawing, Title: title, Text: text}),
		Next:   next,
		OnCard: func(v ui.CardView) { c.Redraw() },
	}
}
