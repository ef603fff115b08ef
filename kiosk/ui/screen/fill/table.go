package fill

import (
	"fmt"
	"slices"
	"strings"

	"fyne.io/fyne/v2"

	"cunban/kiosk/catalog"
	"cunban/kiosk/form"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/widget"
)

// tableBody shows the rows there are, and asks a new one column by column.
func (p *step) tableBody(c *ui.Ctx, f *catalog.Field, v form.Value) (fyne.CanvasObject, []ui.Action) {
	l := c.Look
	if p.row != nil {
		return p.columnBody(c, f, v)
	}
	var rows []fyne.CanvasObject
	for i, r := range v.Rows {
		del := widget.NewButton(l, fmt.Sprintf("row.delete.%d", i), "删掉", widget.Plain, func() {
			rows := slices.Delete(slices.Clone(v.Rows), i, i+1)
			p.set(c, f.Name, form.Value{Rows: rows})
			c.Redraw()
		}).WithIcon("trash")
		rows = append(rows, widget.CardPad(l, l.MM(4), widget.MiddleRow(l.Gap(), widget.Badge(l, i+1), widget.Fill(widget.NewText(l, rowText(f, r))), del)))
	}
	add := widget.NewButton(l, "row.add", "加一行", widget.Secondary, func() { p.row, p.col = map[string]string{}, 0; c.Redraw() }).WithIcon("plus").Big()
	if f.Rules.MaxRows > 0 && len(v.Rows) >= f.Rules.MaxRows {
		add.Disable("已经够了")
	}
	var list fyne.CanvasObject = widget.Middle(widget.NewText(l, "还没有填。点“加一行”。").Soft().Centred())
	if len(rows) > 0 {
		list = widget.NewList(l, "rows", l.Gap(), rows...)
	}
	return widget.Column(l.Gap(), widget.Fill(list), widget.Row(l.Gap(), add, widget.Spring())), nil
}

func rowText(f *catalog.Field, r map[string]string) string {
	var parts []string
	for _, col := range f.Rules.Columns {
		t := r[col.Name]
		for _, k := range col.Codes {
			if k.Code == t {
				t = k.Label
			}
		}
		if t != "" {
			parts = append(parts, col.Label+" "+t)
		}
	}
	return strings.Join(parts, "，")
}

// column is the column of the row being filled, nil if none is.
func (p *step) column(s form.Step) *catalog.Field {
	if p.row == nil || len(s.Fields) == 0 || s.Fields[0].Type != catalog.Table || p.col >= len(s.Fields[0].Rules.Columns) {
		return nil
	}
	return &s.Fields[0].Rules.Columns[p.col]
}

// columnBack goes to the column before; before the first the row is given up.
func (p *step) columnBack(c *ui.Ctx) {
	p.problem = ""
	if p.col > 0 {
		p.col--
	} else {
		p.row = nil
	}
	c.Redraw()
}

// columnBody asks one column of the row being filled, with the same page as a
// field of that type has. The ways on stand in the footer, where 下一步 stands
// else.
func (p *step) columnBody(c *ui.Ctx, f *catalog.Field, v form.Value) (fyne.CanvasObject, []ui.Action) {
	cols := f.Rules.Columns
	col := &cols[p.col]
	set := func(t string) { p.row[col.Name] = t }
	var body fyne.CanvasObject
	switch {
	case len(col.Codes) > 0:
		s := form.Step{Options: col.Codes}
		body = p.choices(c, s, []string{p.row[col.Name]}, false, func(codes []string) {
			if len(codes) == 1 {
				set(codes[0])
			}
		})
	default:
		body = columnPad(c, col, p.row[col.Name], set)
	}
	label := "下一项"
	if p.col == len(cols)-1 {
		label = "这一行填好了"
	}
	next := func() {
		if col.Required && strings.TrimSpace(p.row[col.Name]) == "" {
			p.problem = "还没有填：" + col.Label
			c.Redraw()
			c.Say(p.problem)
			return
		}
		p.problem = ""
		if p.col < len(cols)-1 {
			p.col++
		} else {
			p.set(c, f.Name, form.Value{Rows: append(slices.Clone(v.Rows), p.row)})
			p.row = nil
			if st, ok := c.Visit.Draft.Form.StepFor(f.Name); ok {
				// What is wrong with the row is said at once, not at the end.
				if pr := c.Visit.Draft.Form.CheckStep(st); pr != nil && !pr.Warn {
					p.problem = pr.Text
					c.Say(pr.Text)
				}
			}
		}
		c.Redraw()
	}
	return body, []ui.Action{
		{Name: "row.cancel", Label: "这行不要了", Do: func() { p.row, p.problem = nil, ""; c.Redraw() }},
		{Name: "row.next", Label: label, Icon: "next", Do: next},
	}
}
