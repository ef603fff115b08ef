package fill

import (
	"fyne.io/fyne/v2"

	"cunban/kiosk/catalog"
	"cunban/kiosk/form"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/widget"
)

// regionAt is how far a person has got in choosing a division.
type regionAt struct {
	open               bool
	level              int // 0 province, 1 county, 2 town, 3 village
	province, cnt, twn string
	title              string // the question of this level
}

// regionBody shows the division that stands there, and a way to another by big
// choices: province, county, town, village. The service point's own village is
// there from the start, so that most people only press 下一步.
func (p *step) regionBody(c *ui.Ctx, f *catalog.Field, code string) (fyne.CanvasObject, []ui.Action) {
	l, div := c.Look, c.B.Divisions()
	if !p.region.open && code != "" {
		name := div.Name(code)
		if name == "" {
			name = code
		}
		return widget.Hero(l, widget.Middle(widget.Wide(l, widget.Column(l.Gap()*1.4,
			widget.NewText(l, name).Sized(l.Title()).Bold().Centred(),
			widget.NewText(l, "对的话，点“下一步”。").Soft().Centred(),
			widget.Middle(widget.NewButton(l, "region.other", "选别的地方", widget.Secondary, func() {
				p.region = regionAt{open: true, level: 3, province: code[:2], cnt: first6(code), twn: first9(code)}
				if f.Type == catalog.Region6 || len(code) < 12 {
					p.region.level = 1
				}
				c.Redraw()
			}).WithIcon("location").Big()))))), nil
	}
	r := &p.region
	if !r.open {
		region := c.B.Point().Region
		*r = regionAt{open: true, level: 1}
		if len(region) >= 9 {
			r.province, r.cnt, r.twn = region[:2], region[:6], region[:9]
			if f.Type == catalog.Region12 {
				r.level = 2
			}
		} else {
			r.level = 0
		}
	}
	var codes []catalog.Code
	title := ""
	switch r.level {
	case 0:
		codes, title = div.Provinces(), "在哪个省？"
	case 1:
		codes, title = div.Counties(r.province), "在哪个县（区）？"
	case 2:
		codes, title = div.Towns(r.cnt), "在哪个乡镇？"
	default:
		codes, title = div.Villages(r.twn), "在哪个村（社区）？"
	}
	var opts []widget.Option
	for _, k := range codes {
		opts = append(opts, widget.Option{Code: k.Code, Label: k.Label})
	}
	grid := widget.NewChoiceGrid(l, "region", opts, false, []string{code}, func(list []string) {
		if len(list) != 1 {
			return
		}
		k := list[0]
		switch r.level {
		case 0:
			r.province, r.level = k, 1
		case 1:
			r.cnt, r.level = k, 2
			if f.Type == catalog.Region6 {
				p.set(c, f.Name, form.Value{Text: k})
				r.open = false
			}
		case 2:
			r.twn, r.level = k, 3
		default:
			p.set(c, f.Name, form.Value{Text: k})
			r.open = false
		}
		c.Redraw()
		if r.open {
			c.Say(r.title)
		}
	})
	r.title = title
	var extra []ui.Action
	if r.level > 0 {
		extra = []ui.Action{{Name: "region.up", Label: "回上一级选", Icon: "back", Do: func() { r.level--; c.Redraw() }}}
	}
	return grid, extra
}

func first6(s string) string { return s[:min(6, len(s))] }
func first9(s string) string { return s[:min(9, len(s))] }
