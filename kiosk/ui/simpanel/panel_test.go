package simpanel

import (
	"strings"
	"sync"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/test"

	"cunban/kiosk/ui/uitest"
	"cunban/kiosk/ui/widget"
)

// bench is a simulator that a test moves.
type bench struct {
	mu    sync.Mutex
	state State
}

func (b *bench) Do(_, _ string) (State, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state, nil
}

// TestPanelFollowsTheLamps: what is lit changes on the panel without a press.
func TestPanelFollowsTheLamps(t *testing.T) {
	b := &bench{state: State{Vendor: true, PINPerson: "ok"}}
	loop := uitest.NewLoop()
	t.Cleanup(loop.Close)
	var root fyne.CanvasObject
	loop.Do(func() {
		win := test.NewTempWindow(t, nil)
		root = newPanel(t.Context(), test.NewTempApp(t), win, b, loop.Post)
		win.SetContent(root)
		win.Resize(fyne.NewSize(460, 900))
	})
	shows := func(words string) {
		t.Helper()
		if !loop.Until(10*every, func() (found bool) {
			var see func(o fyne.CanvasObject) bool
			see = func(o fyne.CanvasObject) bool {
				switch x := o.(type) {
				case *widget.Text:
					found = found || strings.Contains(x.Text(), words)
				case *container.Scroll:
					widget.Walk(x.Content, see)
				}
				return true
			}
			widget.Walk(root, see)
			return found
		}) {
			t.Fatalf("never shows %q", words)
		}
	}
	shows("灯都灭着")
	b.mu.Lock()
	b.state.Lamps = "card,printer"
	b.mu.Unlock()
	shows("社保卡口、出纸口")
}
