package widget

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/driver/mobile"

	"cunban/kiosk/ui/theme"
)

// Target is implemented by everything that can be touched.
type Target interface {
	fyne.CanvasObject
	// TargetName is a stable English name, unique on a page: "next", "choice.03".
	TargetName() string
	// TargetLabel is the Chinese text on it.
	TargetLabel() string
	// TargetEnabled tells whether a tap does something.
	TargetEnabled() bool
	// Tap does what a finger's tap does, without debounce.
	Tap()
}

// TargetInfo is one touch target with its place on the canvas, in pixels.
type TargetInfo struct {
	Name    string  `json:"name"`
	Label   string  `json:"label"`
	X       float32 `json:"x"`
	Y       float32 `json:"y"`
	W       float32 `json:"w"`
	H       float32 `json:"h"`
	Enabled bool    `json:"enabled"`
}

// Parent is implemented by composite widgets so that trees can be walked
// without Fyne's internals.
type Parent interface {
	Children() []fyne.CanvasObject
}

// Walk calls visit for every visible object under root, parents first; visit
// returning false leaves out the children.
func Walk(root fyne.CanvasObject, visit func(fyne.CanvasObject) bool) {
	if root == nil || !root.Visible() || !visit(root) {
		return
	}
	var kids []fyne.CanvasObject
	switch o := root.(type) {
	case *fyne.Container:
		kids = o.Objects
	case Parent:
		kids = o.Children()
	}
	for _, k := range kids {
		Walk(k, visit)
	}
}

// Targets lists the visible touch targets under root, which stands on the
// canvas itself. Places are added up from the objects, not asked of the driver:
// it learns of a page that was built anew only with the next frame, and gives
// zeros until then.
func Targets(root fyne.CanvasObject) []TargetInfo {
	var out []TargetInfo
	walkAt(root, fyne.Position{}, func(o fyne.CanvasObject, p fyne.Position) {
		t, ok := o.(Target)
		if s := o.Size(); ok && s.Width > 0 && s.Height > 0 {
			out = append(out, TargetInfo{
				Name: t.TargetName(), Label: t.TargetLabel(),
				X: p.X, Y: p.Y, W: s.Width, H: s.Height, Enabled: t.TargetEnabled(),
			})
		}
	})
	return out
}

// walkAt is Walk with the place of each object on the canvas.
func walkAt(o fyne.CanvasObject, origin fyne.Position, visit func(fyne.CanvasObject, fyne.Position)) {
	if o == nil || !o.Visible() {
		return
	}
	at := origin.Add(o.Position())
	visit(o, at)
	var kids []fyne.CanvasObject
	switch p := o.(type) {
	case *fyne.Container:
		kids = p.Objects
	case Parent:
		kids = p.Children()
	}
	for _, k := range kids {
		walkAt(k, at, visit)
	}
}

// Find returns the visible target of that name, nil if there is none.
func Find(root fyne.CanvasObject, name string) Target {
	var found Target
	Walk(root, func(o fyne.CanvasObject) bool {
		if t, ok := o.(Target); ok && found == nil && t.TargetName() == name {
			found = t
		}
		return found == nil
	})
	return found
}

// Tap taps the visible, enabled target of that name; false if there is none.
func Tap(root fyne.CanvasObject, name string) bool {
	t := Find(root, name)
	if t == nil || !t.TargetEnabled() {
		return false
	}
	t.Tap()
	return true
}

// press is what makes a widget touchable. The widget embeds it and sets the
// functions. On the desktop driver a finger arrives as a mouse; press is also
// Draggable because Fyne sends the release of a moved mouse to the draggable
// object that was pressed, and to whatever lies under it otherwise.
type press struct {
	feel *theme.Look
	// enabled tells whether taps count, tapped is the action, changed repaints
	// when down changes. They are set once.
	enabled func() bool
	tapped  func()
	changed func()

	down bool
	at   fyne.Position // where the finger went down, absolute
}

var (
	_ desktop.Mouseable = (*press)(nil)
	_ mobile.Touchable  = (*press)(nil)
	_ fyne.Draggable    = (*press)(nil)
)

func (p *press) begin(at fyne.Position) {
	p.feel.Finger.Touched()
	if !p.enabled() {
		return
	}
	p.feel.Finger.Hold(p.cancel)
	p.down, p.at = true, at
	p.changed()
}

func (p *press) cancel() {
	if p.down {
		p.down = false
		p.changed()
	}
}

func (p *press) end(at fyne.Position) {
	if !p.down {
		// The finger went down elsewhere: that press is over.
		p.feel.Finger.Hold(nil)
		return
	}
	p.feel.Finger.Release()
	p.down = false
	p.changed()
	d := at.Subtract(p.at)
	limit := p.feel.MM(theme.ToleranceMM)
	if d.X*d.X+d.Y*d.Y >= limit*limit || !p.enabled() {
		return
	}
	if p.feel.Finger.Take() {
		p.tapped()
	}
}

// MouseDown implements desktop.Mouseable.
func (p *press) MouseDown(e *desktop.MouseEvent) {
	if e.Button == 0 || e.Button == desktop.MouseButtonPrimary {
		p.begin(e.AbsolutePosition)
	}
}

// MouseUp implements desktop.Mouseable.
func (p *press) MouseUp(e *desktop.MouseEvent) {
	if e.Button == 0 || e.Button == desktop.MouseButtonPrimary {
		p.end(e.AbsolutePosition)
	}
}

// TouchDown implements mobile.Touchable.
func (p *press) TouchDown(e *mobile.TouchEvent) { p.begin(e.AbsolutePosition) }

// TouchUp implements mobile.Touchable.
func (p *press) TouchUp(e *mobile.TouchEvent) { p.end(e.AbsolutePosition) }

// TouchCancel implements mobile.Touchable.
func (p *press) TouchCancel(*mobile.TouchEvent) { p.cancel() }

// Dragged implements fyne.Draggable: a finger that left its place lifts the
// button, so that the person sees that letting go will do nothing.
func (p *press) Dragged(e *fyne.DragEvent) {
	d, limit := e.AbsolutePosition.Subtract(p.at), p.feel.MM(theme.ToleranceMM)
	if d.X*d.X+d.Y*d.Y >= limit*limit {
		p.cancel()
	}
}

// DragEnd implements fyne.Draggable.
func (p *press) DragEnd() {}
