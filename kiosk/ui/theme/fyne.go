package theme

import (
	"bytes"
	"fmt"
	"image/color"
	"io/fs"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"fyne.io/fyne/v2"
	base "fyne.io/fyne/v2/theme"

	"cunban/assets"
)

// The fonts are read once: they are ten megabytes each and never change.
var (
	regular = sync.OnceValue(func() fyne.Resource {
		return fyne.NewStaticResource("NotoSansSC-Regular.ttf", assets.FontRegular())
	})
	bold = sync.OnceValue(func() fyne.Resource {
		return fyne.NewStaticResource("NotoSansSC-Bold.ttf", assets.FontBold())
	})
)

// Font returns Noto Sans SC, regular or bold.
func Font(isBold bool) fyne.Resource {
	if isBold {
		return bold()
	}
	return regular()
}

// paint returns an icon with currentColor replaced; the larger pictures also
// use the names below for parts in other colours of the palette.
func paint(name string, c color.NRGBA, pal *Colours, px float64) []byte {
	b, err := fs.ReadFile(assets.Icons(), name+".svg")
	if err != nil {
		panic(fmt.Sprintf("theme: no icon %s: %v", name, err))
	}
	for _, part := range []struct {
		name string
		c    color.NRGBA
	}{
		{"currentColor", c}, {"var(--slot)", pal.Slot}, {"var(--slotdark)", pal.SlotDark}, {"var(--chip)", pal.Chip},
		{"var(--cardline)", pal.CardLine}, {"var(--go)", pal.Go}, {"var(--link)", pal.Link}, {"var(--paper)", pal.Paper},
		{"var(--bad)", pal.BadFill}, {"var(--mark)", pal.Mark},
	} {
		b = bytes.ReplaceAll(b, []byte(part.name), []byte(fmt.Sprintf("#%02x%02x%02x", part.c.R, part.c.G, part.c.B)))
	}
	k := px / drawingWidth
	if bytes.Contains(b, []byte(iconViewBox)) {
		// Small icons get strokes a little wider than true to scale, for poor eyes.
		k = math.Pow(px/iconWidth, 0.6)
	}
	return strokes.ReplaceAllFunc(b, func(m []byte) []byte {
		g := strokes.FindSubmatch(m)
		var out []string
		for _, f := range strings.Fields(string(g[2])) {
			v, err := strconv.ParseFloat(f, 64)
			if err != nil {
				panic(fmt.Sprintf("theme: icon %s: stroke %q", name, f))
			}
			out = append(out, strconv.FormatFloat(v*k, 'f', 2, 64))
		}
		return []byte(string(g[1]) + `="` + strings.Join(out, " ") + `"`)
	})
}

// Sizes that icons and the larger drawings are drawn in, in SVG units.
const (
	iconViewBox  = `viewBox="0 0 92 92"`
	iconWidth    = 92
	drawingWidth = 320
)

var strokes = regexp.MustCompile(`(stroke-width|stroke-dasharray)="([0-9. ]+)"`)

// Apply makes a Look the app's, for the few things that Fyne draws itself (the
// window's ground, the technician's text fields). What is on the screen must be
// drawn anew by the caller.
//
// The app is given one fyne.Theme for good, which turns to another Look: Fyne
// forgets every font when it is given another theme, parses them again (0.3 s
// for two Chinese faces) and its shaper still keeps the last 32 of the old, a
// gigabyte after a day of residents who want larger letters.
func Apply(a fyne.App, l *Look) {
	t, ok := a.Settings().Theme().(*fyneTheme)
	if !ok {
		t = &fyneTheme{}
	}
	t.look.Store(l)
	if !ok {
		a.Settings().SetTheme(t)
	}
}

type fyneTheme struct{ look atomic.Pointer[Look] }

var _ fyne.Theme = (*fyneTheme)(nil)

// Font is Fyne's own: every text of ours names its font (canvas.Text's
// FontSource), and a font that Fyne is given here as well is parsed and kept
// twice, some hundred megabytes for two Chinese faces.
func (t *fyneTheme) Font(s fyne.TextStyle) fyne.Resource { return base.DefaultTheme().Font(s) }

func (t *fyneTheme) Icon(n fyne.ThemeIconName) fyne.Resource { return base.DefaultTheme().Icon(n) }

func (t *fyneTheme) Color(n fyne.ThemeColorName, _ fyne.ThemeVariant) color.Color {
	l := t.look.Load()
	c := l.C()
	switch n {
	case base.ColorNameBackground:
		return c.Ground
	case base.ColorNameForeground:
		return c.Ink
	case base.ColorNamePrimary, base.ColorNameHyperlink, base.ColorNameFocus:
		return c.Link
	case base.ColorNameButton, base.ColorNameInputBackground, base.ColorNameMenuBackground, base.ColorNameOverlayBackground:
		return c.Card
	case base.ColorNameInputBorder, base.ColorNameSeparator:
		return c.Line
	case base.ColorNamePlaceHolder:
		return c.Soft
	case base.ColorNameDisabled:
		return c.OffText
	case base.ColorNameDisabledButton:
		return c.Off
	case base.ColorNameError:
		return c.Bad
	case base.ColorNameSuccess:
		return c.Good
	case base.ColorNameWarning:
		return c.Warn
	}
	v := base.VariantLight
	if l.Palette != Day {
		v = base.VariantDark
	}
	return base.DefaultTheme().Color(n, v)
}

func (t *fyneTheme) Size(n fyne.ThemeSizeName) float32 {
	l := t.look.Load()
	switch n {
	case base.SizeNameText:
		return l.Body()
	case base.SizeNameHeadingText:
		return l.Title()
	case base.SizeNameSubHeadingText:
		return l.Head()
	case base.SizeNameCaptionText:
		return l.Body()
	case base.SizeNamePadding:
		return l.MM(1)
	case base.SizeNameInnerPadding:
		return l.MM(3)
	case base.SizeNameInlineIcon:
		return l.Body()
	}
	return base.DefaultTheme().Size(n)
}

// IconNames are the icons of one colour, DrawingNames the larger pictures of
// several, in alphabetical order.
func IconNames() []string { return names(false) }

// DrawingNames are the larger pictures.
func DrawingNames() []string { return names(true) }

func names(drawings bool) []string {
	all, err := fs.Glob(assets.Icons(), "*.svg")
	if err != nil {
		panic("theme: " + err.Error()) // only a bad pattern can cause it
	}
	var out []string
	for _, n := range all {
		b, err := fs.ReadFile(assets.Icons(), n)
		if err != nil {
			panic("theme: " + err.Error())
		}
		if bytes.Contains(b, []byte("var(--")) == drawings {
			out = append(out, n[:len(n)-len(".svg")])
		}
	}
	return out
}
