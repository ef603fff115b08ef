// Package widget holds what pages are built of: buttons, tiles, choices, bars,
// texts. It exists because Fyne's own widgets are made for a mouse and good
// eyes: they turn a trembling finger into a drag, scroll where a farmer cannot
// swipe, and know no millimetres.
//
// It guarantees that everything that can be touched is at least as high as the
// Look demands, takes a tap from a finger that moves less than 5 mm, takes no
// second tap within 400 ms, says with more than colour what is chosen or shut
// off, and is found by Targets under a stable name. Nothing scrolls: what does
// not fit is paged. Widgets belong to the UI goroutine, hold no state of a case
// beyond what they show, and do no I/O.
package widget

import (
	"fyne.io/fyne/v2"
	fw "fyne.io/fyne/v2/widget"

	"cunban/kiosk/ui/theme"
)

// Flow is implemented by what has a height that depends on its width, above
// all wrapped text.
type Flow interface {
	HeightFor(width float32) float32
}

// HeightFor is the height that o needs when it is width wide.
func HeightFor(o fyne.CanvasObject, width float32) float32 {
	if f, ok := o.(Flow); ok {
		return f.HeightFor(width)
	}
	if c, ok := o.(*fyne.Container); ok {
		if f, ok := c.Layout.(flowLayout); ok {
			return f.heightFor(c.Objects, width)
		}
	}
	return o.MinSize().Height
}

// flowLayout is a layout that knows HeightFor.
type flowLayout interface {
	fyne.Layout
	heightFor(objects []fyne.CanvasObject, width float32) float32
}

// base is the part all widgets share: children, and how to lay them out.
type base struct {
	fw.BaseWidget
	look *theme.Look
	kids []fyne.CanvasObject
	// arrange lays out kids; smallest is the least size; restyle puts the state
	// into the kids before a repaint.
	arrange  func(fyne.Size)
	smallest func() fyne.Size
	restyle  func()
}

// Children are the parts that are drawn, for Targets and Texts.
func (b *base) Children() []fyne.CanvasObject { return b.kids }

// CreateRenderer implements fyne.Widget.
func (b *base) CreateRenderer() fyne.WidgetRenderer { return renderer{b} }

// wrap makes b show one object and nothing else.
func (b *base) wrap(o fyne.CanvasObject) {
	b.kids = []fyne.CanvasObject{o}
	b.arrange = func(s fyne.Size) { o.Move(fyne.Position{}); o.Resize(s) }
	b.smallest = o.MinSize
}

// HeightFor implements Flow for widgets that wrap one object.
func (b *base) HeightFor(width float32) float32 {
	if len(b.kids) == 1 {
		return HeightFor(b.kids[0], width)
	}
	return b.smallest().Height
}

type renderer struct{ b *base }

func (r renderer) Layout(s fyne.Size)           { r.b.arrange(s) }
func (r renderer) MinSize() fyne.Size           { return r.b.smallest() }
func (r renderer) Objects() []fyne.CanvasObject { return r.b.kids }
func (r renderer) Destroy()                     {}
func (r renderer) Refresh() {
	if r.b.restyle != nil {
		r.b.restyle()
	}
	r.b.arrange(r.b.Size())
	for _, k := range r.b.kids {
		k.Refresh()
	}
}
