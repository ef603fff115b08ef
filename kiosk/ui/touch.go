package ui

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/driver/desktop"
	fw "fyne.io/fyne/v2/widget"

	"cunban/kiosk/ui/widget"
)

// catcher lies over the whole window and hands each touch to what is really
// under the finger.
//
// It exists because Fyne's desktop driver takes the place of a press from the
// last frame: a finger moves and presses in one instant, so its press would
// land on whatever was touched before (glfw.window: mouseMoved only notes the
// new place, mouseClicked uses the old one). The catcher gets every press
// wherever Fyne thinks it is, waits until the frame has brought the true place,
// and finds the object there itself.
type catcher struct {
	fw.BaseWidget
	root    func() fyne.CanvasObject // what can be touched now
	post    func(func())             // runs after the present frame
	touched func()                   // told of a touch that hits nothing

	at           fyne.Position   // the finger, on the canvas
	down, up     bool            // a press or release waits for its place
	path         []fyne.Position // where the finger went while the press waits
	held         desktop.Mouseable
	origin       fyne.Position // of held, on the canvas
	heldDrags    fyne.Draggable
	lastReported fyne.Position
}

var (
	_ desktop.Mouseable = (*catcher)(nil)
	_ desktop.Hoverable = (*catcher)(nil)
	_ fyne.Draggable    = (*catcher)(nil)
)

func newCatcher(root func() fyne.CanvasObject, post func(func()), touched func()) *catcher {
	c := &catcher{root: root, post: post, touched: touched}
	c.ExtendBaseWidget(c)
	return c
}

// CreateRenderer implements fyne.Widget: nothing is drawn.
func (c *catcher) CreateRenderer() fyne.WidgetRenderer {
	return fw.NewSimpleRenderer(canvas.NewRectangle(color.Transparent))
}

// MouseDown implements desktop.Mouseable.
func (c *catcher) MouseDown(e *desktop.MouseEvent) {
	if e.Button != 0 && e.Button != desktop.MouseButtonPrimary {
		return
	}
	c.settle() // an earlier touch that still waits gets no better place
	c.at, c.down, c.path = e.AbsolutePosition, true, c.path[:0]
	c.settleSoon()
}

// MouseUp implements desktop.Mouseable.
func (c *catcher) MouseUp(e *desktop.MouseEvent) {
	if e.Button != 0 && e.Button != desktop.MouseButtonPrimary {
		return
	}
	c.at, c.up = e.AbsolutePosition, true
	c.settleSoon()
}

// settleSoon acts after the frame in which the true place arrives.
func (c *catcher) settleSoon() { go c.post(c.settle) }

// MouseIn, MouseMoved and MouseOut implement desktop.Hoverable.
func (c *catcher) MouseIn(e *desktop.MouseEvent)    { c.move(e.AbsolutePosition) }
func (c *catcher) MouseMoved(e *desktop.MouseEvent) { c.move(e.AbsolutePosition) }
func (c *catcher) MouseOut()                        {}

// Dragged and DragEnd implement fyne.Draggable, so that Fyne keeps sending what
// happens while the finger is down.
func (c *catcher) Dragged(e *fyne.DragEvent) { c.move(e.AbsolutePosition) }

// DragEnd implements fyne.Draggable.
func (c *catcher) DragEnd() {}

func (c *catcher) move(at fyne.Position) {
	c.at = at
	if c.down {
		c.path = append(c.path, at)
		return
	}
	c.report(at)
}

// report tells what is held that the finger is elsewhere.
func (c *catcher) report(at fyne.Position) {
	if c.held == nil || c.heldDrags == nil || at == c.lastReported {
		return
	}
	ev := &fyne.DragEvent{PointEvent: fyne.PointEvent{AbsolutePosition: at, Position: at.Subtract(c.origin)},
		Dragged: fyne.NewDelta(at.X-c.lastReported.X, at.Y-c.lastReported.Y)}
	c.lastReported = at
	c.heldDrags.Dragged(ev)
}

// settle hands over the press, then what was drawn meanwhile, then the release,
// at the places that are now known: the first move after a press is where it
// really was.
func (c *catcher) settle() {
	if c.down {
		c.down = false
		c.held, c.heldDrags = nil, nil
		end := c.at
		if len(c.path) > 0 {
			c.at = c.path[0]
		}
		o, origin := under(c.root(), c.at, fyne.Position{})
		switch o := o.(type) {
		case desktop.Mouseable:
			c.held, c.origin, c.lastReported = o, origin, c.at
			c.heldDrags, _ = o.(fyne.Draggable)
			o.MouseDown(c.event())
		case fyne.Tappable:
			o.Tapped(&fyne.PointEvent{AbsolutePosition: c.at, Position: c.at.Subtract(origin)})
		default:
			c.touched()
		}
		for _, at := range c.path {
			c.report(at)
		}
		c.at, c.path = end, c.path[:0]
	}
	if c.up {
		c.up = false
		if m := c.held; m != nil {
			ev := c.event()
			c.held, c.heldDrags = nil, nil
			m.MouseUp(ev)
		}
	}
}

func (c *catcher) event() *desktop.MouseEvent {
	return &desktop.MouseEvent{PointEvent: fyne.PointEvent{AbsolutePosition: c.at, Position: c.at.Subtract(c.origin)}, Button: desktop.MouseButtonPrimary}
}

// under finds the topmost touchable object at a place; origin is where its
// parent stands.
func under(o fyne.CanvasObject, at, origin fyne.Position) (fyne.CanvasObject, fyne.Position) {
	if o == nil || !o.Visible() {
		return nil, origin
	}
	pos, size := origin.Add(o.Position()), o.Size()
	if at.X < pos.X || at.Y < pos.Y || at.X >= pos.X+size.Width || at.Y >= pos.Y+size.Height {
		return nil, origin
	}
	var kids []fyne.CanvasObject
	switch p := o.(type) {
	case *fyne.Container:
		kids = p.Objects
	case widget.Parent:
		kids = p.Children()
	}
	for i := len(kids) - 1; i >= 0; i-- {
		if hit, where := under(kids[i], at, pos); hit != nil {
			return hit, where
		}
	}
	switch o.(type) {
	case desktop.Mouseable, fyne.Tappable:
		return o, pos
	}
	return nil, origin
}
