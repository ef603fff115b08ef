package uitest

import (
	"image"

	"fyne.io/fyne/v2"

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
