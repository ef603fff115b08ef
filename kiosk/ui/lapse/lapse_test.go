package lapse

import (
	"image/color"
	"runtime"
	"testing"
	"weak"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/driver/software"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/widget"
)

// card is a widget with a person's name on it.
type card struct {
	widget.BaseWidget
	text *canvas.Text
}

func newCard(name string) *card {
	c := &card{text: canvas.NewText(name, color.Black)}
	c.ExtendBaseWidget(c)
	return c
}

func (c *card) CreateRenderer() fyne.WidgetRenderer { return widget.NewSimpleRenderer(c.text) }

// shown draws a card, takes it off the screen and returns what is left of it.
func shown(c software.WindowlessCanvas) (weak.Pointer[card], weak.Pointer[canvas.Text]) {
	k := newCard("张桂兰")
	c.SetContent(k)
	c.Capture()
	c.SetContent(canvas.NewRectangle(color.White))
	return weak.Make(k), weak.Make(k.text)
}

func TestLeapMakesFyneForgetWhatItDrew(t *testing.T) {
	test.NewTempApp(t)
	clock := New()
	c := software.NewCanvas()
	k, text := shown(c)
	c.Capture()
	collect()
	// The control: without a leap Fyne holds both, or this test shows nothing.
	if k.Value() == nil || text.Value() == nil {
		t.Fatal("Fyne forgot by itself: is its cache gone? then this package may go too")
	}
	clock.Leap()
	c.Capture()
	collect()
	if k.Value() != nil || text.Value() != nil {
		t.Errorf("after a leap Fyne holds the widget: %v, its text: %v", k.Value() != nil, text.Value() != nil)
	}
	// And again: a second visit that ends within ten seconds of the first.
	k, text = shown(c)
	clock.Leap()
	c.Capture()
	collect()
	if k.Value() != nil || text.Value() != nil {
		t.Errorf("after a second leap Fyne holds the widget: %v, its text: %v", k.Value() != nil, text.Value() != nil)
	}
}

// collect twice: pools let go at the second time only.
func collect() {
	runtime.GC()
	runtime.GC()
}
