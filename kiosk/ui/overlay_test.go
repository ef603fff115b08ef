package ui

import (
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/test"

	"cunban/kiosk/ui/theme"
)

// TestLayersAreNeverEmpty: Fyne would keep the last overlay, see restack.
func TestLayersAreNeverEmpty(t *testing.T) {
	test.NewTempApp(t)
	ground := container.NewStack()
	s := &Shell{finger: theme.NewFinger(nil), overlay: map[layer]*cover{}, ground: ground, layers: container.NewStack(ground)}
	question := canvas.NewRectangle(nil)
	s.put(layerAsk, func() fyne.CanvasObject { return question })
	if n := len(s.layers.Objects); n != 2 || s.layers.Objects[1] != question {
		t.Fatalf("%d objects with an overlay", n)
	}
	s.clear(layerAsk)
	if n := len(s.layers.Objects); n != 1 || s.layers.Objects[0] != ground {
		t.Fatalf("%d objects without one", n)
	}
	if !ground.Visible() || len(ground.Objects) != 0 {
		t.Error("Fyne passes over what is hidden")
	}
}
