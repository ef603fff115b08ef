package widget

import (
	"fmt"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"cunban/kiosk/ui/theme"
)

// A list that is built anew stays where a person turned it to; another list
// under the same name begins at its beginning.
func TestTurnTo(t *testing.T) {
	test.NewTempApp(t)
	look := theme.NewLook(theme.Day, theme.Standard, 1920, 1080, theme.Screen{}, nil)
	build := func(what string) *List {
		var rows []fyne.CanvasObject
		for i := range 30 {
			rows = append(rows, NewButton(look, fmt.Sprintf("%s.%d", what, i), what, Plain, func() {}))
		}
		l := NewList(look, "rows", look.Gap(), rows...)
		l.Resize(fyne.NewSize(1800, 700))
		return l
	}
	old := build("town")
	old.Turn(1)
	old.Turn(1)
	if old.Page() != 2 {
		t.Fatalf("page %d", old.Page())
	}
	pages := Turned(old)
	again := build("town")
	TurnTo(again, pages)
	if again.Page() != 2 {
		t.Errorf("the same list went to page %d", again.Page())
	}
	other := build("village")
	TurnTo(other, pages)
	if other.Page() != 0 {
		t.Errorf("another list began at page %d", other.Page())
	}
}
