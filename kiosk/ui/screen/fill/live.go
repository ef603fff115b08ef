package fill

import (
	"context"

	"cunban/device"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/widget"
)

// live shows what a camera sees in pic, and in hint what to do with the paper,
// until the page is left or stop is called. Both belong to the page as it is
// built now. In the hint a fault stands until the page is built again.
func live(c *ui.Ctx, k device.Kind, pic *widget.Picture, hint *widget.Banner) (stop func()) {
	return c.Beside(func(ctx context.Context) error {
		return c.B.Live(ctx, k, func(g ui.Glimpse) {
			if g.Image == nil {
				c.Post(pic.Blank)
				return
			}
			// A picture that comes before the last one was shown is left out, so
			// that at most one waits for the UI goroutine.
			if !pic.Stage(g.Image) {
				return
			}
			corners, words, tone := g.Corners, g.Words, widget.Warn
			if g.Good {
				tone = widget.Good
			}
			c.Post(func() {
				if ctx.Err() != nil {
					pic.Wipe()
					return
				}
				pic.Swap(corners)
				if words != "" {
					hint.Set(tone, words)
				}
			})
		})
	}, func(err error) {
		t := ui.AsTrouble(err)
		pic.SetText(t.Remedy)
		pic.Blank()
		pic.Refresh()
		hint.Set(widget.Warn, t.Text)
	})
}
