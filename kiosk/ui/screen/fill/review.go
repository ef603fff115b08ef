package fill

import (
	"context"
	"fmt"
	"slices"

	"fyne.io/fyne/v2"

	"cunban/kiosk/cases"
	"cunban/kiosk/catalog"
	"cunban/kiosk/form"
	"cunban/kiosk/oplog"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/widget"
)

// review shows everything once more, in plain words, each line to be mended.
type review struct{}

// View implements ui.Page.
func (r *review) View(c *ui.Ctx) ui.View {
	l, d := c.Look, c.Visit.Draft
	var pairs []widget.Pair
	for _, ln := range d.Form.Summary() {
		p := widget.Pair{Label: short(ln.Label), Value: ln.Text, Warn: ln.Warn, Tag: d.Form.SourceOf(ln.Field)}
		if ln.Editable {
			p.Edit = func() { c.Go(&step{key: ln.Field, only: true}) }
		}
		pairs = append(pairs, p)
	}
	for _, name := range d.Form.Outstanding() {
		pairs = append(pairs, widget.Pair{Label: "以后补交", Value: name})
	}
	say := "请看一看填得对不对。不对的地方，点“修改”"
	return ui.View{
		ID: "review", Title: d.Service.Short, Step: stepsTotal(d) - 1, Steps: stepsTotal(d), Say: say,
		Body: widget.Column(l.Gap(), widget.NewHeading(l, "都对吗？不对就点“修改”", "", func() { c.Say(say) }),
			widget.Fill(widget.NewReview(l, "review", pairs))),
		Back: func() { lastStep(c) },
		Next: &ui.Action{Name: "next", Label: "都对，去签名", Do: func() { r.next(c) }},
	}
}

// next goes on when nothing is wrong; else to what is.
func (r *review) next(c *ui.Ctx) {
	d := c.Visit.Draft
	for _, p := range d.Form.StepProblems() {
		if !p.Warn {
			mendProblem(c, p)
			return
		}
	}
	c.Go(&sign{})
}

// mendProblem goes to the page on which a problem can be mended; what has no
// page is said.
func mendProblem(c *ui.Ctx, p form.Problem) {
	if _, ok := c.Visit.Draft.Form.StepFor(p.Field); !ok {
		c.Tell("还不能提交", p.Text)
		return
	}
	c.Go(&step{key: p.Field, only: true, problem: p.Text})
}

// sign takes the consents and the signature. In assisted modes the resident
// herself confirms here, whoever typed.
type sign struct {
	agreed map[string]bool
	pad    *widget.Signature
	saving *ui.Ctx // where it is being saved; a page left meanwhile asks what came of it
}

// View implements ui.Page.
func (s *sign) View(c *ui.Ctx) ui.View {
	l, d := c.Look, c.Visit.Draft
	if s.saving != nil && s.saving != c {
		s.saving = nil
		s.cameOf(c)
	}
	if s.agreed == nil {
		s.agreed = map[string]bool{}
		for _, f := range d.Form.Consents() {
			s.agreed[f.Name] = d.Form.Get(f.Name).Text == "1"
		}
	}
	var rows []fyne.CanvasObject
	for _, f := range d.Form.Consents() {
		rows = append(rows, widget.NewChoice(l, "consent."+f.Name, widget.Option{Code: f.Name, Label: "我同意：" + trimAgree(f.Label)}, s.agreed[f.Name], func() {
			s.agreed[f.Name] = !s.agreed[f.Name]
			s.keep(c)
			c.Redraw()
		}))
	}
	say := "请点“我同意”，再用手指在框里签名"
	title := "同意，并签名"
	if c.Visit.Helper != nil {
		title = "请本人看过，亲手签名"
		say = "请办事的本人看一看，点“我同意”，再亲手签名"
	}
	parts := []fyne.CanvasObject{widget.NewHeading(l, title, "用手指在框里写名字。写不好，点“重新写”。", func() { c.Say(say) })}
	var sheet fyne.CanvasObject = widget.Spring()
	if d.Form.SignatureField() != nil {
		old := s.pad
		s.pad = widget.NewSignature(l, "在这里签名", func(bool) {})
		if old != nil {
			s.pad.Sheet().Carry(old.Sheet().Points())
			old.Wipe()
		} else {
			c.Visit.OnWipe(func() { s.pad.Wipe() })
		}
		sheet = s.pad
	}
	switch {
	case l.Portrait || len(rows) == 0:
		parts = append(append(parts, rows...), widget.Fill(sheet))
	default:
		// Beside one another: a signature needs height.
		for i := range rows {
			rows[i] = widget.Fill(rows[i])
		}
		parts = append(parts, widget.Fill(widget.Split(l, 0.66, widget.Column(l.Gap(), rows...), sheet)))
	}
	return ui.View{
		ID: "sign", Title: d.Service.Short, Step: stepsTotal(d), Steps: stepsTotal(d), Say: say,
		Body: widget.Column(l.Gap(), parts...),
		Back: func() { s.keep(c); c.Go(&review{}) },
		Next: &ui.Action{Name: "next", Label: "提交", Do: func() { s.submit(c) }},
	}
}

// keep puts the consents into the form.
func (s *sign) keep(c *ui.Ctx) {
	for name, ok := range s.agreed {
		v := form.Value{Text: "0", Source: catalog.FromUser}
		if ok {
			v.Text = "1"
		}
		c.Visit.Draft.Form.Set(name, v)
	}
}

func trimAgree(s string) string {
	for _, p := range []string{"我同意", "同意"} {
		if len(s) > len(p) && s[:len(p)] == p {
			return s[len(p):]
		}
	}
	return s
}

// submit seals and saves. It says 已保存 only after the disk has it.
func (s *sign) submit(c *ui.Ctx) {
	d := c.Visit.Draft
	if s.saving == c {
		return // once is enough
	}
	s.keep(c)
	if f := d.Form.NoticeConsent(); f != nil {
		d.Form.Set(f.Name, form.Value{Text: "1", Source: catalog.FromUser}) // the notice page came before
	}
	if f := d.Form.SignatureField(); f != nil && s.pad != nil {
		d.Form.Set(f.Name, form.Value{Strokes: s.pad.Strokes(), Source: catalog.FromDevice})
		if !s.pad.Signed() {
			c.Tell("还没有签名", "请用手指在框里写上您的名字，再点“提交”。")
			return
		}
		png, err := s.pad.PNG()
		if err != nil {
			c.Trouble(err)
			return
		}
		d.Signature = png
	}
	for _, p := range d.Form.Problems() {
		if !p.Warn {
			if _, ok := s.agreed[p.Field]; ok {
				c.Tell("还没有点“我同意”", p.Text)
				return
			}
			mendProblem(c, p)
			return
		}
	}
	answers, err := d.Form.JSON()
	if err != nil {
		c.Trouble(err)
		return
	}
	point := c.B.Point()
	draft := cases.Draft{
		ID: d.CaseID, Revision: d.Revision, Service: d.Service.ID, ServiceName: d.Service.Name,
		Catalogue: c.B.Catalogue().Version, LimitDays: d.Service.LimitDays, Claim: c.Visit.Claim, Answers: answers,
		Signature: slices.Clone(d.Signature), Outstanding: d.Form.Outstanding(), Region: point.Region, Village: point.Village,
		StartedAt: d.StartedAt, Mode: mode(c), Confirmed: true, Actor: c.Visit.Actor(point.Demo), Scans: scans(d),
	}
	got := received(d)
	if c.Visit.Helper != nil {
		go c.B.Note(context.Background(), oplog.AssistConfirm, oplog.OK, d.CaseID, nil)
	}
	s.saving = c
	ui.Do(c, "正在保存", func(ctx context.Context) (cases.Case, error) {
		// The page may be left, the case must not: saving ignores the page's end,
		// and has its own copy of what the end of the visit wipes.
		defer wipeDraft(&draft)
		return c.B.Submit(context.WithoutCancel(ctx), draft)
	}, func(saved cases.Case) { finish(c, saved, got) }, func(error) bool {
		s.saving = nil
		return false
	})
}

// finish shows what became of a saved case; the draft is over.
func finish(c *ui.Ctx, saved cases.Case, got []ui.Received) {
	c.Visit.Draft.Wipe()
	c.Visit.Draft = nil
	c.Go(&done{c: saved, got: got})
}

// cameOf looks whether a case was saved while the page was away (somebody
// called for help during a long wait): then nobody is asked to submit it again.
func (s *sign) cameOf(c *ui.Ctx) {
	d := c.Visit.Draft
	id, rev, got := d.CaseID, d.Revision, received(d)
	ui.Do(c, "正在看保存了没有", func(ctx context.Context) (cases.Case, error) { return c.B.Case(ctx, id) },
		func(k cases.Case) {
			if k.ID == id && k.Revision == rev {
				finish(c, k, got)
			}
		}, func(error) bool { return true }) // not there: it can be submitted
}

// wipeDraft zeroes what was handed to the store.
func wipeDraft(d *cases.Draft) {
	clear(d.Answers)
	clear(d.Signature)
	for _, s := range d.Scans {
		clear(s.Data)
	}
}

func mode(c *ui.Ctx) cases.Mode {
	switch {
	case c.Visit.Mode == cases.ModeAgent || c.Visit.Mode == cases.ModeVisit:
		return c.Visit.Mode
	case c.Visit.Helper != nil:
		return cases.ModeAssisted
	}
	return cases.ModeSelf
}

// scans lists the captured pages in the order of the form.
func scans(d *ui.Draft) []cases.Scan {
	var out []cases.Scan
	for _, key := range shotKeys(d) {
		for i, s := range d.Shots[key] {
			out = append(out, cases.Scan{Material: key, Page: i + 1, MIME: "image/jpeg", Data: slices.Clone(s.JPEG)})
		}
	}
	return out
}

// received lists what was handed in, for the receipt.
func received(d *ui.Draft) []ui.Received {
	out := []ui.Received{{Name: "电子表单", How: "屏幕填写"}}
	for _, key := range shotKeys(d) {
		if n := len(d.Shots[key]); n > 0 {
			out = append(out, ui.Received{Name: shotLabel(d, key), How: "扫描", Pages: n})
		}
	}
	return out
}

func shotLabel(d *ui.Draft, key string) string {
	if f := d.Form.Field(key); f != nil {
		return f.Label
	}
	for _, m := range d.Service.Materials {
		if form.MaterialKey(m.Name) == key {
			return m.Name
		}
	}
	return fmt.Sprintf("材料 %s", key)
}
