package uitest

import (
	"image"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/driver/desktop"

	"cunban/kiosk/ui/widget"
)

// Sign draws a made-up signature on the sheet below root and reports whether
// there was one.
func Sign(root fyne.CanvasObject) bool {
	done := false
	widget.Walk(root, func(o fyne.CanvasObject) bool {
		s, ok := o.(*widget.Signature)
		if !ok {
			return true
		}
		for k := range 3 {
			var line []image.Point
			for i := range 20 {
				line = append(line, image.Pt(60+k*160+i*6, 60+(i*i)%70+k*10))
			}
			s.Draw(line)
		}
		done = true
		return false
	})
	return done
}

// Down puts a finger on the middle of o, Up takes it away, as the catcher of the
// window would.
func Down(o fyne.CanvasObject) {
	if m, ok := o.(desktop.Mouseable); ok {
		m.MouseDown(middle(o))
	}
}

// Up takes the finger away.
func Up(o fyne.CanvasObject) {
	if m, ok := o.(desktop.Mouseable); ok {
		m.MouseUp(middle(o))
	}
}

func middle(o fyne.CanvasObject) *desktop.MouseEvent {
	at := fyne.CurrentApp().Driver().AbsolutePositionForObject(o).AddXY(o.Size().Width/2, o.Size().Height/2)
	return &desktop.MouseEvent{PointEvent: fyne.PointEvent{AbsolutePosition: at}, Button: desktop.MouseButtonPrimary}
}
