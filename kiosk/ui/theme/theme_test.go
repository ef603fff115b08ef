package theme

import (
	"image/color"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/lang"
	"fyne.io/fyne/v2/test"
	base "fyne.io/fyne/v2/theme"
)

func TestContrast(t *testing.T) {
	if c := Contrast(color.White, color.Black); c < 20.9 || c > 21.1 {
		t.Fatalf("white on black is %.2f", c)
	}
	for _, p := range Palettes {
		c := p.Colours()
		for _, x := range []struct {
			what   string
			fg, bg color.NRGBA
			least  float64
		}{
			{"ink on ground", c.Ink, c.Ground, 7}, {"ink on card", c.Ink, c.Card, 7}, {"ink on hero", c.Ink, c.HeroTo, 7},
			{"ink on chosen", c.Ink, c.ChosenTint, 7}, {"ink on press", c.Ink, c.Press, 7},
			{"soft on ground", c.Soft, c.Ground, 7}, {"soft on card", c.Soft, c.Card, 7}, {"soft on hero", c.Soft, c.HeroTo, 7},
			{"soft on chosen", c.Soft, c.ChosenTint, 7}, {"soft on press", c.Soft, c.Press, 7},
			{"bar", c.OnBar, c.Bar, 7}, {"pill on bar", c.OnBar, c.BarPill, 7}, {"help", c.HelpText, c.HelpFill, 7}, {"help pressed", c.HelpText, c.HelpFillPress, 7},
			{"link text on card", c.LinkText, c.Card, 7}, {"link text on ground", c.LinkText, c.Ground, 7}, {"link text on tint", c.LinkText, c.Tint, 7},
			{"link text on pressed tint", c.LinkText, c.TintPress, 7}, {"link text on press", c.LinkText, c.Press, 7},
			{"good", c.Good, c.GoodTint, 7}, {"warn", c.Warn, c.WarnTint, 7}, {"bad", c.Bad, c.BadTint, 7}, {"warn on card", c.Warn, c.Card, 7},
			{"shut off", c.OffText, c.Off, 4.5}, {"on shade", c.OnShade, c.Shade, 7}, {"on paper", c.OnPaper, c.Paper, 7},
			{"accent", c.OnAccent, c.Accent, 4.5}, {"accent pressed", c.OnAccent, c.AccentPress, 4.5},
			{"danger", c.OnBad, c.BadFill, 4.5}, {"danger pressed", c.OnBad, c.BadPress, 4.5},
			// Lines and icons: WCAG 1.4.11 asks for 3:1.
			{"icons", c.Link, c.Card, 3}, {"second icons", c.Mark, c.Card, 3}, {"chosen line", c.ChosenLine, c.ChosenTint, 3},
			{"step done", c.OnBar, c.Bar, 3}, {"step now", c.StepNow, c.Bar, 3},
			{"dot good", c.BarGood, c.BarPill, 3}, {"dot warn", c.BarWarn, c.BarPill, 3}, {"dot bad", c.BarBad, c.BarPill, 3},
		} {
			if got := Contrast(x.fg, x.bg); got < x.least {
				t.Errorf("%s: %s has %.2f:1, needs %.1f", p, x.what, got, x.least)
			}
		}
	}
}

func TestSizes(t *testing.T) {
	for _, s := range []struct {
		size                 Size
		body, title, targets float32
	}{{Standard, 8, 13, 22}, {Large, 10, 16, 28}} {
		l := NewLook(Day, s.size, 1920, 1080, Screen{W: 1920, H: 1080, WidthMM: 476}, nil)
		if l.PxPerMM < 4 || l.PxPerMM > 4.06 {
			t.Errorf("%v: %.2f pixels a millimetre", s.size, l.PxPerMM)
		}
		if l.Body() < l.MM(s.body) || l.Title() < l.MM(s.title) || l.Target() < l.MM(s.targets) || l.Gap() < l.MM(4) {
			t.Errorf("%v: body %.1f, title %.1f, target %.1f", s.size, l.Body()/l.PxPerMM, l.Title()/l.PxPerMM, l.Target()/l.PxPerMM)
		}
	}
}

func TestDensity(t *testing.T) {
	for _, c := range []struct {
		what   string
		w, h   float32
		s      Screen
		lo, hi float32
	}{
		{"a 32-inch screen", 1920, 1080, Screen{1920, 1080, 708}, 2.70, 2.72},
		{"a 15-inch screen is too low and shows all smaller", 1920, 1080, Screen{1920, 1080, 332}, 5.39, 5.41},
		{"a portrait 21.5-inch screen", 1080, 1920, Screen{1080, 1920, 268}, 4.02, 4.04},
		{"a window on a larger screen is a small picture", 1600, 900, Screen{1920, 1080, 476}, 3.35, 3.37},
		{"a screen that does not know its size", 1920, 1080, Screen{1920, 1080, 0}, 4.02, 4.04},
		{"a screen that lies", 1920, 1080, Screen{1920, 1080, 16}, 4.02, 4.04},
	} {
		if l := NewLook(Day, Standard, c.w, c.h, c.s, nil); l.PxPerMM < c.lo || l.PxPerMM > c.hi {
			t.Errorf("%s: %.3f pixels a millimetre", c.what, l.PxPerMM)
		}
	}
}

func TestFinger(t *testing.T) {
	now := time.Unix(1000, 0)
	f := NewFinger(func() time.Time { return now })
	let := 0
	f.Hold(func() { let++ })
	f.Hold(func() { let += 10 })
	if let != 1 {
		t.Errorf("the first press was let go %d times", let)
	}
	f.Release()
	f.Hold(nil)
	if let != 1 {
		t.Error("a released press was let go")
	}
}

func TestIcons(t *testing.T) {
	test.NewTempApp(t)
	l := NewLook(Day, Standard, 1920, 1080, Screen{}, nil)
	for _, n := range append(IconNames(), DrawingNames()...) {
		b := string(l.Icon(n, l.C().Link, 40).Content())
		if strings.Contains(b, "currentColor") || strings.Contains(b, "var(") {
			t.Errorf("%s has a colour that was not painted", n)
		}
	}
	if b := string(l.Icon("home", l.C().Link, 46).Content()); !strings.Contains(b, `stroke-width="3.30"`) {
		t.Errorf("the stroke is not scaled: %s", b)
	}
	if l.Icon("home", l.C().Link, 40) != l.Icon("home", l.C().Link, 40) {
		t.Error("an icon is painted twice")
	}
}

// TestApply: Fyne hears of the first Look only, for it forgets its fonts each
// time, and draws in the colours of the last.
func TestApply(t *testing.T) {
	a := test.NewTempApp(t)
	heard := 0
	a.Settings().AddListener(func(fyne.Settings) { heard++ })
	for _, p := range append(Palettes, Palettes...) {
		l := NewLook(p, Standard, 1920, 1080, Screen{}, nil)
		Apply(a, l)
		if got := a.Settings().Theme().Color(base.ColorNameBackground, base.VariantLight); got != l.C().Ground {
			t.Errorf("%s: the ground is %v", p, got)
		}
	}
	if heard != 1 {
		t.Errorf("Fyne was given a theme %d times", heard)
	}
}

// TestLanguage starts this test again under locales that Fyne complains about
// or that are not Chinese, and looks at what Fyne says then.
func TestLanguage(t *testing.T) {
	if os.Getenv("CUNBAN_LANGUAGE_CHILD") == "1" {
		test.NewTempApp(t)
		os.Stdout.WriteString("word=" + lang.L("Cancel") + "\n")
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, locale := range []string{"C", "C.UTF-8", "POSIX", "en_US.UTF-8", "", "zh_CN.UTF-8"} {
		cmd := exec.Command(self, "-test.run=^TestLanguage$", "-test.v")
		cmd.Env = []string{"CUNBAN_LANGUAGE_CHILD=1", "LANG=" + locale, "LC_ALL=" + locale, "HOME=" + t.TempDir()}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", locale, err, out)
		}
		if !strings.Contains(string(out), "word=取消") {
			t.Errorf("%q: Fyne is not Chinese:\n%s", locale, out)
		}
		if s := string(out); strings.Contains(s, "Fyne error") || strings.Contains(s, "locale") {
			t.Errorf("%q: Fyne complains:\n%s", locale, out)
		}
	}
}
