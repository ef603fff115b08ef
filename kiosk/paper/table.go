package paper

import (
	"cmp"
	"fmt"
	"time"

	"cunban/kiosk/resident"
)

// TableData is a query's answer on paper: what the county's register says.
type TableData struct {
	Title     string
	Claim     resident.Claim
	Summary   [][2]string // label and value
	Columns   []string
	Rows      [][]string
	Note      string
	AsOf      time.Time // how fresh the register was
	Office    Office
	PrintedAt time.Time
	Demo      bool
}

// Table makes the paper of a query.
func Table(t TableData) ([]byte, error) {
	d := newDoc(t.Title, t.PrintedAt)
	d.head(t.Office, t.Title)
	d.pairs([]pair{
		{label: "姓名", value: t.Claim.Name.String(), strong: true},
		{label: "证件号码", value: t.Claim.Number.String()},
		{label: "查询时间", value: momentText(t.PrintedAt)},
		{label: "数据截至", value: momentText(t.AsOf)},
	}, 2)
	d.y += 3
	if len(t.Summary) > 0 {
		var list []pair
		for _, s := range t.Summary {
			list = append(list, pair{label: s[0], value: s[1], strong: true})
		}
		d.pairs(list, 1)
		d.y += 3
	}
	if len(t.Columns) > 0 {
		d.grid(t.Columns, t.Rows)
	}
	if t.Note != "" {
		h := d.height(contentW, 10.5, regular, t.Note)
		d.need(h + 4)
		d.y += 3
		d.y += d.block(marginX, d.y, contentW, 10.5, regular, soft, t.Note)
	}
	d.contacts(t.Office)
	left := fmt.Sprintf("终端 %s　打印时间 %s　以县里系统为准", cmp.Or(t.Office.Terminal, "—"), momentText(t.PrintedAt))
	return d.finish(left, t.Demo || t.Claim.Demo)
}

// grid draws rows under a head of columns of even width; the head comes again
// on every page.
func (d *doc) grid(columns []string, rows [][]string) {
	w := contentW / float64(len(columns))
	const size = 10.5
	line := func(cells []string, family string, c, bg color) {
		h := 0.0
		for i := range columns {
			if i < len(cells) {
				h = max(h, d.height(w-3, size, family, cells[i]))
			}
		}
		h = max(h, lineHeight(size)) + 3
		d.need(h)
		if bg != 0 {
			d.bar(marginX, d.y, contentW, h, bg)
		}
		for i := range columns {
			if i < len(cells) {
				d.block(marginX+float64(i)*w+1.5, d.y+1.5, w-3, size, family, c, cells[i])
			}
		}
		d.y += h
		d.rule(marginX, d.y, contentW, hair, 0.2)
	}
	line(columns, bold, blue, ground)
	pages := d.pages
	for _, r := range rows {
		line(r, regular, ink, 0)
		if d.pages != pages {
			pages = d.pages
			line(columns, bold, blue, ground)
		}
	}
	if len(rows) == 0 {
		d.y += d.block(marginX+1.5, d.y+1.5, contentW, size, regular, soft, "没有记录。") + 3
	}
}
