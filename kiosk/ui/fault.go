package ui

import (
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"

	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/widget"
)

// ShowFault fills the window with why the terminal cannot start, in plain
// words: residents are sent to a person, technicians get code and detail.
func ShowFault(a fyne.App, win fyne.Window, screen theme.Screen, t *Trouble) {
	win.SetPadded(false)
	var l *theme.Look
	root := &watch{}
	content := container.New(root)
	root.changed = func(s fyne.Size) {
		if l != nil && l.W == s.Width && l.H == s.Height {
			return
		}
		l = theme.NewLook(theme.Day, theme.Standard, s.Width, s.Height, screen, nil)
		theme.Apply(a, l)
		body := widget.StateCard(l, widget.State{Tone: widget.Bad, Title: "暂停服务", Text: t.Text,
			Todo: []string{"要办事，请找村里的帮办员，窗口照常受理。", strings.TrimSuffix(t.Remedy, "。") + "。", "政策咨询电话 12333。说明代码 " + t.Code + "。"}})
		content.Objects = []fyne.CanvasObject{widget.Page(l, widget.NewTopBar(l, widget.TopOptions{Title: "芮城县就业社保服务"}), nil, body, nil)}
		content.Objects[0].Resize(s)
	}
	win.SetContent(content)
}
