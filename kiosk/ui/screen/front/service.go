package front

import (
	"context"
	"fmt"
	"strings"
	"time"

	"fyne.io/fyne/v2"

	"cunban/kiosk/cases"
	"cunban/kiosk/catalog"
	"cunban/kiosk/form"
	"cunban/kiosk/listing"
	"cunban/kiosk/oplog"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/widget"
	"cunban/sync/wire"
)

// Category lists the services of a group, most used first.
func Category(cat catalog.Category) ui.Page { return &list{cat: cat} }

// Guide lists all services, to be read before one begins.
func Guide() ui.Page { return &list{all: true} }

type list struct {
	cat catalog.Category
	all bool
}

func (p *list) title() string {
	if p.all {
		return "办事指南"
	}
	for _, g := range categories {
		if g.cat == p.cat {
			return g.title
		}
	}
	return string(p.cat)
}

// View implements ui.Page.
func (p *list) View(c *ui.Ctx) ui.View {
	l, cat := c.Look, c.B.Catalogue()
	var services []*catalog.Service
	if p.all {
		for _, g := range categories {
			services = append(services, cat.ByCategory(g.cat)...)
		}
	} else {
		services = cat.ByCategory(p.cat)
	}
	say := "请点一下要办的事"
	return ui.View{
		ID: "services", Title: p.title(), Say: say,
		Body: widget.Column(l.Gap(), widget.NewHeading(l, "您要办哪一件？", "点开先看要带什么，不会马上办。", func() { c.Say(say) }),
			widget.Fill(services1(c, services))),
		Back:  func() { back(c) },
		Extra: []ui.Action{{Name: "search", Label: "按拼音找", Icon: "pen", Do: func() { c.Go(&search{from: p}) }}},
	}
}

// back goes to the menu of whoever is here.
func back(c *ui.Ctx) {
	switch {
	case c.Visit.Helper != nil && !c.Visit.Known():
		c.Go(c.Nav.StaffHome())
	case c.Visit.Known():
		c.Go(Menu())
	default:
		c.Home()
	}
}

// services1 shows services as tiles.
func services1(c *ui.Ctx, services []*catalog.Service) fyne.CanvasObject {
	l := c.Look
	g := widget.NewGrid(l, "services").Columns(3)
	if l.Portrait {
		g.Columns(2)
	}
	var cells []fyne.CanvasObject
	for _, s := range services {
		cells = append(cells, widget.NewTile(l, "service."+s.ID, widget.TileOptions{Title: s.Short, Sub: under(s), Small: true},
			func() { c.Go(c.Nav.Service(s)) }))
	}
	g.SetCells(cells)
	return g
}

// under is the second line of a service's tile.
func under(s *catalog.Service) string {
	switch {
	case s.Kind == catalog.Ask:
		return "当场就能看到"
	case s.LimitDays == 0:
		return "当场办好"
	}
	return fmt.Sprintf("%d 个工作日答复", s.LimitDays)
}

// search finds services by the initials of their names' pinyin.
type search struct {
	from  ui.Page
	typed string
}

// View implements ui.Page.
func (p *search) View(c *ui.Ctx) ui.View {
	l := c.Look
	var found []*catalog.Service
	if p.typed != "" {
		found = c.B.Catalogue().Find(p.typed)
	}
	var keys []fyne.CanvasObject
	for r := 'a'; r <= 'z'; r++ {
		k := string(r)
		keys = append(keys, widget.NewButton(l, "key."+k, strings.ToUpper(k), widget.KeyCap, func() { p.typed += k; c.Redraw() }))
	}
	keys = append(keys, widget.NewButton(l, "key.back", "删", widget.FnKey, func() {
		if p.typed != "" {
			p.typed = p.typed[:len(p.typed)-1]
			c.Redraw()
		}
	}))
	cols := 9
	switch {
	case l.Portrait:
		cols = 6
	case l.Dense():
		cols = 14
	}
	var result fyne.CanvasObject = widget.Middle(widget.NewText(l, "比如“养老”，就点 Y L。").Soft().Centred())
	if len(found) > 0 {
		result = services1(c, found)
	} else if p.typed != "" {
		result = widget.Middle(widget.NewText(l, "没有找到。点“删”改一改，或按“呼叫帮办”。").Soft().Centred())
	}
	say := "点每个字拼音的第一个字母"
	return ui.View{
		ID: "search", Title: "按拼音找", Say: say, Back: func() { c.Go(p.from) },
		Body: widget.Column(l.Gap(), widget.NewHeading(l, "已点："+strings.ToUpper(p.typed), "点每个字拼音的第一个字母。", func() { c.Say(say) }),
			widget.Even(cols, l.MM(3), keys...), widget.Fill(result)),
	}
}

// Service is the notice (一次性告知) of a service: everything a person must
// know before the first question, once and in full.
func Service(svc *catalog.Service) ui.Page { return &notice{svc: svc} }

type notice struct {
	svc   *catalog.Service
	noted bool
}

// View implements ui.Page.
func (p *notice) View(c *ui.Ctx) ui.View {
	l, s, o := c.Look, p.svc, c.B.Office()
	if !p.noted {
		p.noted = true
		go c.B.Note(context.Background(), oplog.NoticeShown, oplog.OK, "", map[string]string{"service": s.ID})
	}
	limit := "当场办好"
	if s.LimitDays > 0 {
		limit = fmt.Sprintf("受理后 %d 个工作日内答复", s.LimitDays)
	}
	if s.LimitStatus == catalog.LimitDraft {
		limit += "（以县人社局公布为准）"
	}
	pairs := []widget.Pair{
		{Label: "办什么", Value: s.Name, Bold: true},
		{Label: "带什么", Value: materials(s), Bold: true},
		{Label: "谁能办", Value: s.Applicant},
		{Label: "多久办好", Value: limit},
		{Label: "收钱吗", Value: "不收钱"},
	}
	if len(s.Notice) > 0 {
		pairs = append(pairs, widget.Pair{Label: "请留意", Value: strings.Join(s.Notice, "\n")})
	}
	pairs = append(pairs,
		widget.Pair{Label: "办成什么样", Value: s.Result},
		widget.Pair{Label: "凭什么办", Value: s.LimitBasis},
		widget.Pair{Label: "在哪里办", Value: place(c)},
		widget.Pair{Label: "问谁", Value: ask(o.Person, o.PersonPhone, o.ConsultPhone)},
		widget.Pair{Label: "向谁投诉", Value: orNote(o.ComplaintPhone)})
	say := s.Name + "。要带" + spoken(s) + "。" + limit + "。不收钱。" + strings.Join(s.Notice, "")
	v := ui.View{
		ID: "notice", Title: s.Short, Say: say,
		Body: widget.Column(l.Gap(), widget.NewHeading(l, "办之前，先看一看", "", func() { c.Say(say) }),
			widget.Fill(widget.CardPad(l, l.MM(6), widget.NewPairs(l, "notice", pairs)))),
		Back:  func() { c.Go(Category(s.Category)) },
		Extra: []ui.Action{{Name: "print-notice", Label: "打印告知书", Icon: "printer", Do: func() { printNotice(c, s) }}},
	}
	label := "看完了，开始办"
	if s.Kind == catalog.Ask {
		label = "开始查询"
	}
	v.Next = &ui.Action{Name: "next", Label: label, Do: func() { p.begin(c) }}
	switch {
	case !s.Self && c.Visit.Helper == nil:
		v.Next.Disabled = "要帮办员一起办"
	case s.Kind != catalog.Ask && !s.AgentOK && c.Visit.Mode == cases.ModeAgent:
		v.Next.Disabled = "要本人来，不能代办"
	}
	return v
}

func materials(s *catalog.Service) string {
	if len(s.Materials) == 0 {
		return "本人社保卡或身份证"
	}
	var out []string
	for _, m := range s.Materials {
		if m.Kind == catalog.ByForm || m.Kind == catalog.ByBackend {
			continue
		}
		t := m.Name
		if !m.Required {
			t += "（有的带上）"
		}
		out = append(out, t)
	}
	if len(out) == 0 {
		return "本人社保卡或身份证"
	}
	return strings.Join(out, "；")
}

func spoken(s *catalog.Service) string {
	return strings.NewReplacer("；", "，", "（有的带上）", "，有的带上").Replace(materials(s))
}

func place(c *ui.Ctx) string {
	o := c.B.Office()
	t := o.Point + "这台机器，帮办员可以帮您办；行动不便可以上门"
	if o.Hours != "" {
		t += "。有人的时间：" + o.Hours
	}
	return t
}

func ask(person, phone, consult string) string {
	t := ""
	if person != "" || phone != "" {
		t = "首问责任人 " + person + " " + phone + "；"
	}
	return t + "政策咨询 " + consult
}

func orNote(s string) string {
	if s == "" {
		return "见服务点公示栏"
	}
	return s
}

func printNotice(c *ui.Ctx, s *catalog.Service) {
	ui.Do(c, "正在打印告知书", func(ctx context.Context) (string, error) {
		pdf, err := c.B.Notice(ctx, s.ID)
		if err != nil {
			return "", err
		}
		return ui.PrintPaper(ctx, c, "一次性告知书", pdf)
	}, func(words string) { c.Tell("告知书", words) }, nil)
}

// begin goes from the notice to the form or the query, by way of the card.
func (p *notice) begin(c *ui.Ctx) {
	if !c.Visit.Known() && !(p.svc.Kind == catalog.Ask && c.Nav.Public(p.svc)) {
		c.Go(c.Nav.Card("办这件事要先读卡。", func(c *ui.Ctx) { p.start(c) }))
		return
	}
	p.start(c)
}

func (p *notice) start(c *ui.Ctx) {
	if p.svc.Kind == catalog.Ask {
		c.Go(c.Nav.Query(p.svc))
		return
	}
	Begin(c, p.svc, nil)
}

// Mended is what begins a form again for a returned case.
type Mended struct {
	CaseID   string
	Revision int // the new one
	Answers  []byte
	Fields   []string
	Mend     []cases.Mend
}

// Begin makes the draft of a service and goes to its first question.
func Begin(c *ui.Ctx, svc *catalog.Service, m *Mended) {
	claim := c.Visit.Claim
	ui.Do(c, "正在准备表格", func(ctx context.Context) (*ui.Draft, error) {
		if err := c.B.Room(ctx); err != nil {
			return nil, err
		}
		known, err := c.B.Prefill(ctx, svc.ID, claim)
		if err != nil {
			known = nil // offline: the person is asked instead
		}
		now := c.B.Now().In(ui.Beijing)
		fc := form.Context{
			Today: time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC), Region: c.B.Point().Region, Claim: claim,
			Backend: known, Workday: c.B.Calendar().Working, Role: form.RoleResident,
			Devices: c.B.Have(), Divisions: c.B.Divisions(), Options: choices(ctx, c, svc, now),
		}
		if c.Visit.Helper != nil {
			fc.Role = form.RoleStaff
		}
		d := &ui.Draft{Service: svc, Revision: 1, Shots: map[string][]ui.Shot{}, StartedAt: c.B.Now(), Agent: c.Visit.Mode == cases.ModeAgent}
		if m != nil {
			d.CaseID, d.Revision, d.Mend = m.CaseID, m.Revision, m.Mend
			if d.Form, err = form.Load(svc, c.B.Catalogue(), fc, m.Answers, m.Fields); err != nil {
				return nil, fmt.Errorf("open the returned form: %w", err)
			}
			// What was agreed to is agreed to again: the form is not the same.
			for _, f := range d.Form.Consents() {
				d.Form.Set(f.Name, form.Value{Text: "0", Source: catalog.FromUser})
			}
			return d, nil
		}
		if d.CaseID, err = c.B.NewCaseID(); err != nil {
			return nil, err
		}
		d.Form = form.New(svc, c.B.Catalogue(), fc, d.Agent)
		return d, nil
	}, func(d *ui.Draft) {
		if c.Visit.Draft != nil {
			c.Visit.Draft.Wipe()
		}
		c.Visit.Draft = d
		go c.B.Note(context.Background(), oplog.FormBegin, oplog.OK, d.CaseID, map[string]string{"service": svc.ID})
		c.Go(c.Nav.Fill())
	}, nil)
}

// choices lists what the county publishes for the questions of a service that
// choose among it, live or from the copy on the disk.
func choices(ctx context.Context, c *ui.Ctx, svc *catalog.Service, now time.Time) map[string][]catalog.Code {
	out := map[string][]catalog.Code{}
	for _, f := range svc.Fields {
		kind, ok := listing.KindFor(f.Rules.Endpoint)
		if !ok {
			continue
		}
		if items, _, _, err := c.B.Listing(ctx, wire.Kind(kind)); err == nil {
			out[f.Rules.Endpoint] = listing.Options(kind, items, now)
		}
	}
	return out
}
