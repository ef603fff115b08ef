package widget

import (
	"fmt"
	"math"

	"fyne.io/fyne/v2"

	"cunban/kiosk/ui/theme"
)

// pager is the row with 上一页, where one is, and 下一页.
type pager struct {
	row        *fyne.Container
	prev, next *Button
	where      *Text
}

func newPager(look *theme.Look, name string, turn func(int)) *pager {
	p := &pager{}
	p.prev = NewButton(look, name+".prev", "上一页", Secondary, func() { turn(-1) }).WithIcon("back").Wide(look.MM(60))
	p.next = NewButton(look, name+".next", "下一页", Secondary, func() { turn(1) }).AfterIcon("next").Wide(look.MM(60))
	p.where = NewText(look, "").Centred().Bold()
	p.row = Row(look.Gap(), p.prev, Fill(Middle(p.where)), p.next)
	return p
}

func (p *pager) set(page, pages int) {
	p.where.SetText(fmt.Sprintf("第 %d 页，共 %d 页", page+1, pages))
	able := func(b *Button, on bool) {
		if on {
			b.Enable()
		} else {
			b.Disable("")
		}
	}
	able(p.prev, page > 0)
	able(p.next, page < pages-1)
}

// paged is what Grid and List share: cells spread over pages.
type paged struct {
	base
	name  string
	cells []fyne.CanvasObject
	page  int
	first []int // first cell of each page
	pager *pager
	size  fyne.Size // that first was computed for
	// OnPage, if set, is called after a page was turned (to read it aloud).
	OnPage func(page, pages int)
}

func (p *paged) init(look *theme.Look, name string) {
	p.look, p.name = look, name
	p.pager = newPager(look, name, p.Turn)
}

// Turned tells which pages of the lists and grids below root a person has
// turned to; TurnTo turns those of a page built anew to the same. A
// page that is drawn again because something changed must not jump.
func Turned(root fyne.CanvasObject) map[string]int {
	out := map[string]int{}
	Walk(root, func(o fyne.CanvasObject) bool {
		if t, ok := o.(turnable); ok {
			if p := t.self(); p.page > 0 {
				out[p.key()] = p.page
			}
		}
		return true
	})
	return out
}

// TurnTo is the other half of Turned.
func TurnTo(root fyne.CanvasObject, pages map[string]int) {
	if len(pages) == 0 {
		return
	}
	Walk(root, func(o fyne.CanvasObject) bool {
		if t, ok := o.(turnable); ok {
			p := t.self()
			if n, there := pages[p.key()]; there && p.page != n {
				p.page = n // settle keeps it within
				p.Refresh()
			}
		}
		return true
	})
}

// turnable is what has pages.
type turnable interface{ self() *paged }

func (p *paged) self() *paged { return p }

// key names what is paged: another list under the same name (the towns of
// another county) has other first targets, and begins at its beginning.
func (p *paged) key() string {
	first := ""
	if len(p.cells) > 0 {
		Walk(p.cells[0], func(o fyne.CanvasObject) bool {
			if t, ok := o.(Target); ok && first == "" {
				first = t.TargetName()
			}
			return first == ""
		})
	}
	return fmt.Sprintf("%s/%d/%s", p.name, len(p.cells), first)
}

// Page is the page shown, from 0; Pages how many there are.
func (p *paged) Page() int { return p.page }

// Pages is the number of pages at the present size.
func (p *paged) Pages() int { return max(1, len(p.first)) }

// Turn goes forward or back by pages, staying within.
func (p *paged) Turn(by int) {
	to := min(max(p.page+by, 0), p.Pages()-1)
	if to == p.page {
		return
	}
	p.page = to
	p.Refresh()
	if p.OnPage != nil {
		p.OnPage(p.page, p.Pages())
	}
}

// ShowCell turns to the page with that cell, once the size is known.
func (p *paged) ShowCell(cell int) {
	p.page = -1 - cell
	p.Refresh()
}

// end is one past the last cell of the page shown.
func (p *paged) end() int {
	if p.page+1 < len(p.first) {
		return p.first[p.page+1]
	}
	return len(p.cells)
}

// settle puts page in order after first changed.
func (p *paged) settle() {
	if p.page < 0 {
		cell := -1 - p.page
		p.page = 0
		for i, f := range p.first {
			if f <= cell {
				p.page = i
			}
		}
	}
	p.page = min(p.page, p.Pages()-1)
}

// show puts cells and pager into kids and places the pager; it returns the
// cells of this page.
func (p *paged) show(s fyne.Size) []fyne.CanvasObject {
	p.kids = p.kids[:0:0]
	if len(p.cells) == 0 {
		return nil
	}
	cells := p.cells[p.first[p.page]:p.end()]
	p.kids = append(p.kids, cells...)
	if len(p.first) > 1 {
		p.pager.set(p.page, len(p.first))
		h := p.look.Target()
		place(p.pager.row, 0, s.Height-h, s.Width, h)
		p.kids = append(p.kids, p.pager.row)
	}
	return cells
}

// Grid spreads cells over columns and rows of even size, and over pages when
// they do not fit. It works out the columns from the width and from how well
// the cells read.
type Grid struct {
	paged
	// maxColumns limits the columns, 0 for the usual five (three in portrait);
	// tight see Tight.
	maxColumns int
	tight      bool
	cols, rows int
	cell       fyne.Size
}

// comfort is implemented by cells that read badly when narrow.
type comfort interface{ comfortable(width float32) bool }

// NewGrid returns an empty grid; its pager's targets are name.prev, name.next.
func NewGrid(look *theme.Look, name string) *Grid {
	g := &Grid{}
	g.init(look, name)
	g.arrange = g.lay
	g.smallest = func() fyne.Size { return fyne.NewSize(look.MM(60), look.Target()*2) }
	g.ExtendBaseWidget(g)
	return g
}

// Columns limits the number of columns.
func (g *Grid) Columns(n int) *Grid { g.maxColumns = n; g.size = fyne.Size{}; return g }

// Tight makes gaps small and the least cell narrow, for the days of a month.
func (g *Grid) Tight(on bool) *Grid { g.tight = on; g.size = fyne.Size{}; return g }

func (g *Grid) gap() float32 {
	if g.tight {
		return g.look.MM(4)
	}
	return g.look.Gap()
}

// SetCells puts other cells and turns to the first page.
func (g *Grid) SetCells(cells []fyne.CanvasObject) {
	g.cells, g.page, g.size = cells, 0, fyne.Size{}
	g.Refresh()
}

// Bounds of a cell, in millimetres.
const (
	minCellMM, minCellLargeMM = 42, 52
	maxCellHeightMM           = 62 // higher looks empty
	maxCellStretch            = 2  // times the height it needs
)

func (g *Grid) lay(s fyne.Size) {
	if s.Width <= 0 || s.Height <= 0 {
		return
	}
	if g.size != s {
		g.size = s
		g.plan(s)
	}
	g.settle()
	gap := g.gap()
	for i, o := range g.show(s) {
		place(o, float32(i%g.cols)*(g.cell.Width+gap), float32(i/g.cols)*(g.cell.Height+gap), g.cell.Width, g.cell.Height)
	}
}

// plan works out columns, rows and pages: fewest pages first, then the shape
// that leaves least empty and whose cells come nearest to a pleasant one.
func (g *Grid) plan(s fyne.Size) {
	g.first = g.first[:0]
	n := len(g.cells)
	if n == 0 {
		return
	}
	gap := g.gap()
	limit := 5
	if g.look.Portrait {
		limit = 3
	}
	if g.maxColumns > 0 {
		limit = g.maxColumns
	}
	least := g.look.MM(minCellMM)
	if g.look.Size == theme.Large {
		least = g.look.MM(minCellLargeMM)
	}
	if g.tight {
		least *= 0.75
	}
	type shape struct {
		cols, rows, pages int
		w, h, score       float64
	}
	var best shape
	for cols := 1; cols <= min(limit, n); cols++ {
		w := (s.Width - gap*float32(cols-1)) / float32(cols)
		if cols > 1 && (w < least || (!g.tight && !g.reads(w))) {
			break
		}
		need := float32(0)
		for _, c := range g.cells {
			need = max(need, HeightFor(c, w))
		}
		rowsIn := func(h float32) int { return max(1, int((h+gap)/(need+gap))) }
		rows := min(rowsIn(s.Height), (n+cols-1)/cols)
		room := s.Height
		pages := (n + rows*cols - 1) / (rows * cols)
		if pages > 1 {
			room = s.Height - g.look.Target() - gap
			rows = rowsIn(room)
			pages = (n + rows*cols - 1) / (rows * cols)
		}
		h := min((room-gap*float32(rows-1))/float32(rows), max(need, min(need*maxCellStretch, g.look.MM(maxCellHeightMM))))
		empty := float64(rows*cols*pages-n) / float64(rows*cols)
		score := math.Abs(math.Log(float64(w/h)/2)) + empty*1.2 + float64(pages-1)*5
		if best.cols == 0 || score < best.score {
			best = shape{cols, rows, pages, float64(w), float64(h), score}
		}
	}
	g.cols, g.rows = best.cols, best.rows
	g.cell = fyne.NewSize(float32(best.w), float32(best.h))
	for i := 0; i < n; i += g.cols * g.rows {
		g.first = append(g.first, i)
	}
}

func (g *Grid) reads(w float32) bool {
	for _, c := range g.cells {
		if k, ok := c.(comfort); ok && !k.comfortable(w) {
			return false
		}
	}
	return true
}

// HeightFor implements Flow: a grid takes the room it gets and pages, so that
// it asks for little; put it into Fill.
func (g *Grid) HeightFor(float32) float32 { return g.smallest().Height }

// List puts rows of different height below one another, over as many pages as
// it takes.
type List struct {
	paged
	gap float32
}

// NewList returns an empty list, gap pixels between rows; its pager's targets
// are name.prev, name.next.
func NewList(look *theme.Look, name string, gap float32, rows ...fyne.CanvasObject) *List {
	l := &List{gap: gap}
	l.init(look, name)
	l.arrange = l.lay
	l.smallest = func() fyne.Size { return fyne.NewSize(look.MM(60), look.Target()*2) }
	l.cells = rows
	l.ExtendBaseWidget(l)
	return l
}

// SetRows puts other rows and turns to the first page.
func (l *List) SetRows(rows []fyne.CanvasObject) {
	l.cells, l.page, l.size = rows, 0, fyne.Size{}
	l.Refresh()
}

func (l *List) lay(s fyne.Size) {
	if s.Width <= 0 || s.Height <= 0 {
		return
	}
	if l.size != s {
		l.size = s
		l.plan(s)
	}
	l.settle()
	y := float32(0)
	for _, o := range l.show(s) {
		h := HeightFor(o, s.Width)
		place(o, 0, y, s.Width, h)
		y += h + l.gap
	}
}

func (l *List) plan(s fyne.Size) {
	l.first = l.first[:0]
	if len(l.cells) == 0 {
		return
	}
	total := -l.gap
	for _, o := range l.cells {
		total += HeightFor(o, s.Width) + l.gap
	}
	room := s.Height
	if total > room {
		room -= l.look.Target() + l.look.Gap()
	}
	y := float32(0)
	l.first = append(l.first, 0)
	for i, o := range l.cells {
		h := HeightFor(o, s.Width)
		if i > l.first[len(l.first)-1] && y+h > room {
			l.first = append(l.first, i)
			y = 0
		}
		y += h + l.gap
	}
}

// HeightFor implements Flow: the height of all rows on one page, for lists in
// columns that have the room.
func (l *List) HeightFor(width float32) float32 {
	h := -l.gap
	for _, o := range l.cells {
		h += HeightFor(o, width) + l.gap
	}
	return max(0, h)
}
