// Package theme decides how everything on the screen looks: how many pixels a
// millimetre has, how large words and touch targets are, and which colours
// they have. It exists so that no page contains a pixel count or a colour: a
// page asks its Look, and a farmer's choice of 大字 or 高对比 is a new Look and
// the page built again.
//
// It guarantees the sizes of design/ui.md in millimetres on the real screen
// (body text 8 mm, titles 13 mm, targets 22 mm high; in 大字 10, 16 and 28) and
// text contrast of at least 7:1 in every palette, both tested. A Look is made
// once for a window and a choice, is not changed afterwards, and is passed to
// every widget; there is no current Look.
package theme

import (
	"fmt"
	"image/color"
	"sync"
	"time"

	"fyne.io/fyne/v2"

	_ "cunban/kiosk/ui/theme/early" // before any Fyne package reads the environment
)

// Size is the size of text and targets.
type Size int

// The sizes.
const (
	Standard Size = iota
	Large
)

// String is the word on the button.
func (s Size) String() string {
	switch s {
	case Standard:
		return "标准"
	case Large:
		return "大字"
	}
	panic(fmt.Sprintf("theme: size %d", int(s)))
}

// Sizes in millimetres. Those of text are font sizes (em).
const (
	bodyMM, bodyLargeMM     = 8.4, 10.4
	titleMM, titleLargeMM   = 14, 17
	headMM, headLargeMM     = 11, 13 // card titles, button labels of tiles
	hugeMM, hugeLargeMM     = 18, 21 // result words, idle question
	targetMM, targetLargeMM = 24, 29
	gapMM                   = 5.5
	marginMM                = 11.5
	radiusMM                = 4
	strokeMM                = 0.6
)

// shortSideMM is the short side of the 21.5-inch screen the pages were drawn
// on; a window without a real screen shows that screen smaller.
const shortSideMM = 1080 / 4.03

// Limits of a believable density, in pixels a millimetre: 32 inches at
// 1366×768 to 15 inches at 3840×2160. A screen that claims something else
// (0 mm wide, a projector) is treated as unknown.
const minPxPerMM, maxPxPerMM = 1.7, 12

// Look is how things look on one window for one person. Lengths are in Fyne
// units, which are pixels (see package early).
type Look struct {
	Palette  Palette
	Size     Size
	PxPerMM  float32
	Portrait bool
	W, H     float32
	// Finger is shared by all widgets of a window and outlives the Look.
	Finger *Finger

	mu    sync.Mutex
	icons map[string]fyne.Resource
	runes [2]map[rune]float32
}

// NewLook returns the Look of a window of w×h pixels. screenW and screenH are
// the pixels and screenMM the width in millimetres of the real screen that it
// fills; a window smaller than the screen, or a screen that does not know its
// size (screenMM 0), is taken as a small picture of the 21.5-inch screen.
// finger nil makes a new one on the wall clock.
func NewLook(p Palette, s Size, w, h float32, screen Screen, finger *Finger) *Look {
	if finger == nil {
		finger = NewFinger(time.Now)
	}
	l := &Look{Palette: p, Size: s, W: w, H: h, Portrait: h > w, Finger: finger}
	l.PxPerMM = min(w, h) / shortSideMM
	if screen.WidthMM > 0 && w >= float32(screen.W)-1 && h >= float32(screen.H)-1 {
		if d := float32(screen.W) / screen.WidthMM; d >= minPxPerMM && d <= maxPxPerMM {
			// A screen on which the pages would not fit (under 200 mm high) shows
			// them smaller rather than cut.
			l.PxPerMM = min(d, min(w, h)/minShortMM)
		}
	}
	return l
}

// minShortMM is the least height in millimetres that the pages are laid out
// for.
const minShortMM = 200

// Screen is the real screen: pixels, and its width in millimetres (0 if it
// does not say).
type Screen struct {
	W, H    int
	WidthMM float32
}

// With returns a Look that differs in palette and size.
func (l *Look) With(p Palette, s Size) *Look {
	return &Look{Palette: p, Size: s, PxPerMM: l.PxPerMM, Portrait: l.Portrait, W: l.W, H: l.H, Finger: l.Finger}
}

// MM turns millimetres into pixels.
func (l *Look) MM(mm float32) float32 { return mm * l.PxPerMM }

func (l *Look) pick(std, large float32) float32 {
	if l.Size == Large {
		return l.MM(large)
	}
	return l.MM(std)
}

// Body is the font size of running text, Head of card titles, Title of page
// titles, Huge of the one word of a result.
func (l *Look) Body() float32 { return l.pick(bodyMM, bodyLargeMM) }

// Head is the font size of card titles and large buttons.
func (l *Look) Head() float32 { return l.pick(headMM, headLargeMM) }

// Title is the font size of page titles.
func (l *Look) Title() float32 { return l.pick(titleMM, titleLargeMM) }

// Huge is the font size of the one word of a result page.
func (l *Look) Huge() float32 { return l.pick(hugeMM, hugeLargeMM) }

// Target is the least height of what is touched.
func (l *Look) Target() float32 { return l.pick(targetMM, targetLargeMM) }

// Gap is the usual space between things, Margin that at the window's edge.
func (l *Look) Gap() float32 { return l.MM(gapMM) }

// Margin is the space at the edges of the window.
func (l *Look) Margin() float32 {
	if l.Portrait {
		return l.MM(marginMM * 0.75)
	}
	return l.MM(marginMM)
}

// Dense tells whether height is short: 大字 in landscape. Bars and gaps are
// then as small as they may be, so that a pad of four rows still fits.
func (l *Look) Dense() bool { return l.Size == Large && !l.Portrait }

// Radius is the corner radius of buttons; cards have 1.5 times as much.
func (l *Look) Radius() float32 { return l.MM(radiusMM) }

// Stroke is the width of a thin line, at least one pixel.
func (l *Look) Stroke() float32 { return max(1, l.MM(strokeMM)) }

// C are the colours.
func (l *Look) C() *Colours { return l.Palette.Colours() }

// Advance is how far a rune moves the pen at font size px. It is remembered,
// since measuring through the shaper is slow and texts are broken into lines
// rune by rune.
func (l *Look) Advance(r rune, bold bool, px float32) float32 {
	const em = 100
	i := 0
	if bold {
		i = 1
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if a, ok := l.runes[i][r]; ok {
		return a * px / em
	}
	if l.runes[i] == nil {
		l.runes[i] = map[rune]float32{}
	}
	size, _ := fyne.CurrentApp().Driver().RenderedTextSize(string(r), em, fyne.TextStyle{Bold: bold}, Font(bold))
	l.runes[i][r] = size.Width
	return size.Width * px / em
}

// Icon returns assets/icons/<name>.svg in one colour, drawn for a width of px
// pixels: Fyne's SVG painter scales outlines but not the width of their
// strokes, so that every size is a picture of its own. An unknown name is a
// programming error and panics; the gallery's test draws all of them.
func (l *Look) Icon(name string, c color.NRGBA, px float32) fyne.Resource {
	key := fmt.Sprintf("%s-%02x%02x%02x-%d-%d.svg", name, c.R, c.G, c.B, int(px+0.5), l.Palette)
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, ok := l.icons[key]; ok {
		return r
	}
	r := fyne.NewStaticResource(key, paint(name, c, l.C(), float64(int(px+0.5))))
	if l.icons == nil {
		l.icons = map[string]fyne.Resource{}
	}
	l.icons[key] = r
	return r
}
