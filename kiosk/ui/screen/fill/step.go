// Package fill holds the pages of a form: one question a page, materials,
// review, consent and signature, and what came of it. They exist to take a
// person through a form whose questions come from data.
//
// They guarantee that going back loses no answer, that every field type has a
// page that works with a finger, that a missing device has words for what to do
// instead, and that 已保存 and 已受理 are said only when they are true.
package fill

import (
	"slices"
	"strings"
	"time"

	"fyne.io/fyne/v2"

	"cunban/device"
	"cunban/kiosk/catalog"
	"cunban/kiosk/form"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/input"
	"cunban/kiosk/ui/widget"
)

// Start begins or goes on with the form of Visit.Draft.
func Start() ui.Page { return &step{} }

// step is the page of one step. key names it; "" is the first.
type step struct {
	key     string
	only    bool   // from the review: back to it afterwards
	problem string // what is wrong with the answer, shown until it changes
	at      int    // page of a material, row of a table
	region  regionAt
	row     map[string]string // row of a table being filled
	aim     int               // what the live picture is for: newPage, or a page to be taken again
	aiming  bool              // it is shown although there are pages
	card    bool              // the page that is up is one side of a card
	second  bool              // the live picture is for its other side
	unlive  func()            // ends the live picture, nil = there is none
	col     int
	pin     pinChange
}

// steps are the pages of the draft: all, or those that the county wants mended.
func steps(d *ui.Draft) []form.Step {
	if len(d.Mend) > 0 {
		if m := d.Form.MendSteps(); len(m) > 0 {
			return m
		}
	}
	return d.Form.Steps()
}

// stepsTotal is the number of dots: the steps, review and signature.
func stepsTotal(d *ui.Draft) int { return len(steps(d)) + 2 }

// find gives the step of key and its place; the first for "" and for a key
// that has gone.
func find(d *ui.Draft, key string) (form.Step, int) {
	all := steps(d)
	i := slices.IndexFunc(all, func(s form.Step) bool { return s.Key() == key })
	if i < 0 {
		i = min(max(d.At, 0), len(all)-1)
		if key == "" {
			i = 0
		}
	}
	if i < 0 {
		return form.Step{}, -1
	}
	return all[i], i
}

// lastStep goes back from the review.
func lastStep(c *ui.Ctx) {
	all := steps(c.Visit.Draft)
	if len(all) == 0 {
		c.Home()
		return
	}
	c.Go(&step{key: all[len(all)-1].Key()})
}

// View implements ui.Page.
func (p *step) View(c *ui.Ctx) ui.View {
	l, d := c.Look, c.Visit.Draft
	s, i := form.Step{}, -1
	if p.only {
		var ok bool
		if s, ok = d.Form.StepFor(p.key); ok {
			i = 0
		}
	} else {
		s, i = find(d, p.key)
	}
	if i < 0 {
		c.Post(func() { c.Go(&review{}) })
		return ui.View{ID: "step-none", Title: d.Service.Short, Body: widget.Spring()}
	}
	p.key = s.Key()
	if !p.only {
		d.At = i
	}
	hint := s.Sub
	say := s.Title + "。" + hint
	for _, m := range d.Mend {
		if m.Field == p.key {
			hint = "县里请您改：" + m.Reason
			say = s.Title + "。" + hint
		}
	}
	if p.second {
		hint = "把卡翻过来，反面朝上，再拍"
		say = hint
	}
	title := s.Title
	if col := p.column(s); col != nil {
		// A row of a table is asked column by column.
		title, hint = col.Ask, s.Title
		if title == "" {
			title = col.Label
		}
		say = title
	}
	if p.unlive != nil { // it belonged to the page as it was built before
		p.unlive()
		p.unlive = nil
	}
	body, extra := p.body(c, s)
	if p.region.open {
		// A region is asked level by level.
		title, hint = p.region.title, s.Title
		say = title
	}
	head := widget.NewHeading(l, title, hint, func() { c.Say(say) })
	head.Warn(p.problem)
	parts := []fyne.CanvasObject{head}
	if s.Blocked != "" && s.Kind != form.StepMaterial {
		parts = append(parts, widget.NewBanner(l, widget.Info, s.Blocked, nil))
	}
	parts = append(parts, widget.Fill(body))
	next := &ui.Action{Name: "next", Label: "下一步", Do: func() { p.next(c) }}
	if p.only {
		next.Label = "改好了"
	}
	if s.Skip && s.Kind != form.StepKnown && d.Form.Get(p.key).IsZero() {
		next.Label = "跳过"
	}
	v := ui.View{
		ID: "step-" + p.key, Title: d.Service.Short, Step: i + 1, Steps: stepsTotal(d), Say: say,
		Body: widget.Column(l.Gap(), parts...), Next: next, Extra: extra,
		Back: func() { p.back(c, i) },
	}
	if p.only {
		v.Step, v.Steps = 0, 0
	}
	if sources := offered(c); p.shoots(s) && len(sources) > 0 {
		v.OnDevice = func(h device.Health) { p.deviceChanged(c, sources, h) }
		if slices.ContainsFunc(sources, usable) {
			v.Asks = []device.Lamp{device.LampScanner}
		}
	}
	if len(s.Fields) > 0 && s.Fields[0].Type == catalog.PIN && s.Blocked == "" {
		v.Asks = []device.Lamp{device.LampCard}
	}
	if p.column(s) != nil {
		v.Next, v.Back = nil, func() { p.columnBack(c) }
	}
	return v
}

func (p *step) back(c *ui.Ctx, i int) {
	d := c.Visit.Draft
	switch {
	case p.only:
		c.Go(&review{})
	case i > 0:
		c.Go(&step{key: steps(d)[i-1].Key()})
	default:
		c.Go(c.Nav.Service(d.Service))
	}
}

// next checks the answer and goes on; a warning is said once and may be passed.
func (p *step) next(c *ui.Ctx) {
	d := c.Visit.Draft
	s, ok := d.Form.StepFor(p.key)
	if p.key == string(form.StepKnown) {
		s, _ = find(d, p.key)
		ok = true
	}
	if ok {
		if pr := d.Form.CheckStep(s); pr != nil {
			if !pr.Warn {
				p.problem = pr.Text
				c.Redraw()
				c.Say(pr.Text)
				return
			}
			c.Ask("请看一看", pr.Text, ui.Action{Name: "yes", Label: "没错，下一步", Do: func() { p.forward(c) }},
				ui.Action{Name: "no", Label: "我改一改", Do: func() {}})
			return
		}
	}
	p.forward(c)
}

// forward goes to the step after this one, whatever its answer made of the
// rest of the form.
func (p *step) forward(c *ui.Ctx) {
	if p.only {
		c.Go(&review{})
		return
	}
	all := steps(c.Visit.Draft)
	i := slices.IndexFunc(all, func(s form.Step) bool { return s.Key() == p.key })
	if i < 0 {
		// A mended step is not to be mended any more: the next one took its place.
		i = c.Visit.Draft.At - 1
	}
	if i+1 >= len(all) {
		c.Go(&review{})
		return
	}
	c.Go(&step{key: all[i+1].Key()})
}

// set puts the answer of a field.
func (p *step) set(c *ui.Ctx, field string, v form.Value) {
	v.Source = catalog.FromUser
	c.Visit.Draft.Form.Set(field, v)
	p.problem = ""
}

// body builds what the step asks with. extra are buttons of the footer.
func (p *step) body(c *ui.Ctx, s form.Step) (fyne.CanvasObject, []ui.Action) {
	l, d := c.Look, c.Visit.Draft
	switch s.Kind {
	case form.StepMaterial:
		return p.materialBody(c, s)
	case form.StepKnown:
		var pairs []widget.Pair
		for _, f := range s.Fields {
			pairs = append(pairs, widget.Pair{Label: short(f.Label), Value: d.Form.TextOf(f.Name), Tag: d.Form.SourceOf(f.Name)})
		}
		return widget.NewReview(l, "known", pairs), nil
	case form.StepQuestion, form.StepGroup, form.StepSignature:
	}
	if len(s.Fields) == 0 {
		return widget.Spring(), nil
	}
	return p.fieldBody(c, s, s.Fields[0])
}

// fieldBody is the page of one field; the switch names every type.
func (p *step) fieldBody(c *ui.Ctx, s form.Step, f *catalog.Field) (fyne.CanvasObject, []ui.Action) {
	l, fm := c.Look, c.Visit.Draft.Form
	v := fm.Get(f.Name)
	if !fm.Editable(f.Name) && !v.IsZero() {
		return widget.NewReview(l, "known", []widget.Pair{{Label: short(f.Label), Value: fm.TextOf(f.Name), Tag: fm.SourceOf(f.Name)}}), nil
	}
	text := func(t string) { p.set(c, f.Name, form.Value{Text: t}) }
	switch f.Type {
	case catalog.Select, catalog.Bool, catalog.Consent, catalog.BackendSelect:
		if len(s.Options) == 0 {
			return widget.Spring(), nil
		}
		return p.choices(c, s, []string{v.Text}, false, func(codes []string) {
			if len(codes) == 1 {
				text(codes[0])
				c.Redraw()
			}
		}), nil
	case catalog.MultiSelect:
		return p.choices(c, s, v.List, true, func(codes []string) { p.set(c, f.Name, form.Value{List: codes}) }), nil
	case catalog.Number, catalog.Money, catalog.Phone, catalog.IDNo, catalog.BankCard, catalog.Year:
		return input.NewNumberPad(l, numberOptions(f, v.Text, text)), nil
	case catalog.Date, catalog.Month:
		lo, hi := f.Rules.Bounds()
		today := c.B.Now().In(ui.Beijing)
		o := input.DateOptions{Value: v.Text, Now: today, MonthOnly: f.Type == catalog.Month, OnChange: text}
		if !lo.IsZero() {
			o.Min = lo.Day(today)
		}
		if !hi.IsZero() {
			o.Max = hi.Day(today)
		}
		return input.NewDatePad(l, o), nil
	case catalog.Text, catalog.VoiceText:
		if digitsOnly(f) {
			return input.NewNumberPad(l, numberOptions(f, v.Text, text)), nil
		}
		return input.NewTextPad(l, input.TextOptions{Value: v.Text, Max: f.Rules.MaxLen, Hint: "点拼音，再点上面的字",
			Candidates: c.Candidates, Recogniser: c.Recogniser, OnChange: text}), nil
	case catalog.Region6, catalog.Region12:
		return p.regionBody(c, f, v.Text)
	case catalog.Table:
		return p.tableBody(c, f, v)
	case catalog.Face:
		return widget.StateCard(l, widget.State{Tone: widget.Info, Title: "不用刷脸，一样能办", Text: s.Blocked}), nil
	case catalog.PIN:
		return p.pinBody(c, s, v), nil
	case catalog.DocScan, catalog.Photo:
		return p.materialBody(c, s)
	case catalog.Signature:
	}
	return widget.Spring(), nil
}

// short leaves out what a label explains in brackets, where it is long.
func short(label string) string {
	const long = 9
	if i := strings.Index(label, "（"); i > 0 && len([]rune(label)) > long {
		return label[:i]
	}
	return label
}

// choices are big tiles; nothing drops down.
func (p *step) choices(c *ui.Ctx, s form.Step, chosen []string, multi bool, onChange func([]string)) fyne.CanvasObject {
	var opts []widget.Option
	for _, o := range s.Options {
		opts = append(opts, widget.Option{Code: o.Code, Label: o.Label, Note: o.Note})
	}
	return widget.NewChoiceGrid(c.Look, "choice", opts, multi, chosen, onChange)
}

// digitsOnly finds text fields that only take digits (post code, licence
// numbers): the number pad is easier than letters.
func digitsOnly(f *catalog.Field) bool {
	re := f.Rules.Regexp()
	return re != nil && (re.MatchString("044600") || re.MatchString("0")) && !re.MatchString("测") && !re.MatchString("测试测试测试")
}

func numberOptions(f *catalog.Field, value string, set func(string)) input.NumberOptions {
	o := input.NumberOptions{Value: value, OnChange: set, Max: f.Rules.MaxLen}
	switch f.Type {
	case catalog.Phone:
		o.Max, o.Groups = 11, input.MobileGroups
	case catalog.IDNo:
		o.Max, o.Groups, o.X = 18, input.IDGroups, true
	case catalog.BankCard:
		o.Max, o.Groups = 22, input.BankGroups
	case catalog.Money:
		o.Max, o.Decimal, o.Unit = 10, true, "元"
	case catalog.Year:
		o.Max, o.Unit = 4, "年"
	case catalog.Number:
		o.Max = 8
	}
	return o
}

// today is the day at the service point.
func today(c *ui.Ctx) time.Time { return c.B.Now().In(ui.Beijing) }
