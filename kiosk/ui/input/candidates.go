package input

import (
	"fmt"

	"fyne.io/fyne/v2"
	fw "fyne.io/fyne/v2/widget"

	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/widget"
)

// candidateRow shows as many candidates as fit in a row, with keys to turn. Its
// buttons are kept from one keystroke to the next.
type candidateRow struct {
	fw.BaseWidget
	look    *theme.Look
	words   []string
	earlier bool
	typing  bool

	buttons    []*widget.Button
	prev, next *widget.Button
	note       *widget.Text
	shown      int  // candidates in the row
	rest       bool // some are left over
	kids       []fyne.CanvasObject
}

func newCandidateRow(look *theme.Look, choose func(int), turn func(int)) *candidateRow {
	r := &candidateRow{look: look}
	for i := range maxCandidates {
		r.buttons = append(r.buttons, widget.NewButton(look, fmt.Sprintf("cand.%d", i), "", widget.KeyCap, func() { choose(i) }).Tall(r.height()))
	}
	r.prev = widget.NewButton(look, "cand.prev", "上一页", widget.FnKey, func() { turn(-1) }).Tall(r.height())
	r.next = widget.NewButton(look, "cand.next", "下一页", widget.FnKey, func() { turn(1) }).Tall(r.height())
	r.note = widget.NewText(look, "").Soft()
	r.ExtendBaseWidget(r)
	return r
}

// maxCandidates is how many fit at most: ten single characters.
const maxCandidates = 10

func (r *candidateRow) height() float32 {
	if r.look.Size == theme.Large {
		return r.look.MM(28)
	}
	return r.look.MM(22.2)
}

func (r *candidateRow) set(words []string, earlier, typing bool) {
	r.words, r.earlier, r.typing = words, earlier, typing
	r.lay(r.Size())
	r.Refresh()
}

func (r *candidateRow) lay(s fyne.Size) {
	r.kids = r.kids[:0:0]
	r.shown, r.rest = 0, false
	gap, h := r.look.MM(3.2), r.height()
	if len(r.words) == 0 {
		text := "按字母拼出读音，再点上面的字"
		if r.typing {
			text = "没有这个读音的字，请按“删除”改一改"
		}
		r.note.SetText(text)
		r.kids = append(r.kids, r.note)
		th := widget.HeightFor(r.note, s.Width)
		r.note.Move(fyne.NewPos(0, (s.Height-th)/2))
		r.note.Resize(fyne.NewSize(s.Width, th))
		return
	}
	x, end := float32(0), s.Width
	put := func(b *widget.Button, w float32) {
		b.Move(fyne.NewPos(float32(int(x)), 0))
		b.Resize(fyne.NewSize(float32(int(w)), h))
		r.kids = append(r.kids, b)
		x += w + gap
	}
	if r.earlier {
		put(r.prev, r.prev.MinSize().Width+r.look.MM(4))
	}
	turn := r.next.MinSize().Width + r.look.MM(4)
	width := func(w string) float32 {
		n := float32(0)
		for _, c := range w {
			n += r.look.Advance(c, false, r.look.Head())
		}
		return max(n+r.look.MM(12), h)
	}
	for i, word := range r.words {
		w := width(word)
		room := end
		if i < len(r.words)-1 {
			room -= turn + gap
		}
		if i == maxCandidates || (x+w > room && i > 0) {
			r.rest = true
			break
		}
		r.buttons[i].SetLabel(word)
		put(r.buttons[i], w)
		r.shown++
	}
	if r.rest {
		x = max(x, 0)
		put(r.next, turn)
	}
}

// Children implements widget.Parent.
func (r *candidateRow) Children() []fyne.CanvasObject { return r.kids }

// CreateRenderer implements fyne.Widget.
func (r *candidateRow) CreateRenderer() fyne.WidgetRenderer { return rowRenderer{r} }

type rowRenderer struct{ r *candidateRow }

func (w rowRenderer) Destroy()                     {}
func (w rowRenderer) Objects() []fyne.CanvasObject { return w.r.kids }
func (w rowRenderer) Layout(s fyne.Size)           { w.r.lay(s) }
func (w rowRenderer) MinSize() fyne.Size           { return fyne.NewSize(w.r.look.MM(60), w.r.height()) }
func (w rowRenderer) Refresh() {
	for _, o := range w.r.kids {
		o.Refresh()
	}
}
