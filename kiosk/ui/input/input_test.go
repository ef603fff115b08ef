package input

import (
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"cunban/kiosk/ui/input/handwriting"
	"cunban/kiosk/ui/input/pinyin"
	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/widget"
)

func look(t testing.TB) *theme.Look {
	test.NewTempApp(t)
	return theme.NewLook(theme.Day, theme.Standard, 1920, 1080, theme.Screen{}, nil)
}

// show puts a pad into a page of its real size.
func show(t testing.TB, l *theme.Look, pad fyne.CanvasObject) fyne.CanvasObject {
	w := test.NewTempWindow(t, nil)
	w.SetPadded(false)
	page := widget.Page(l, widget.NewTopBar(l, widget.TopOptions{Title: "参保登记"}), nil,
		widget.Column(l.Gap(), widget.NewHeading(l, "现在住哪里？", "", nil), widget.Fill(pad)), widget.Footer(l, widget.FooterOptions{Back: func() {}}))
	w.SetContent(page)
	w.Resize(fyne.NewSize(l.W, l.H))
	page.Resize(fyne.NewSize(l.W, l.H))
	return page
}

// typeKeys taps keys named key.<rune>.
func typeKeys(t testing.TB, page fyne.CanvasObject, s string) {
	t.Helper()
	for _, r := range s {
		if !widget.Tap(page, "key."+string(r)) {
			t.Fatalf("no key %c", r)
		}
	}
}

func tap(t testing.TB, page fyne.CanvasObject, names ...string) {
	t.Helper()
	for _, n := range names {
		if !widget.Tap(page, n) {
			var all []string
			for _, x := range widget.Targets(page) {
				all = append(all, x.Name)
			}
			t.Fatalf("no target %s among %v", n, all)
		}
	}
}

func pinyinEngine(t testing.TB) *pinyin.Engine {
	e, err := pinyin.Open(filepath.Join(t.TempDir(), "rime"))
	if errors.Is(err, pinyin.ErrUnavailable) && os.Getenv("CUNBAN_CI") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// TestPinyin types an address the way a person does, with the real engine.
func TestPinyin(t *testing.T) {
	l := look(t)
	var heard []string
	p := NewTextPad(l, TextOptions{Candidates: pinyinEngine(t), OnChange: func(s string) { heard = append(heard, s) }})
	page := show(t, l, p)
	choose := func(word string) {
		t.Helper()
		for range 20 {
			for _, x := range widget.Targets(page) {
				if strings.HasPrefix(x.Name, "cand.") && x.Label == word {
					tap(t, page, x.Name)
					return
				}
			}
			tap(t, page, "cand.next")
		}
		t.Fatalf("%s is not offered", word)
	}
	typeKeys(t, page, "ruicheng")
	if !slices.Contains(widget.Texts(page), "ruicheng") {
		t.Error("what is being composed is not shown")
	}
	if p.Value() != "" {
		t.Errorf("composing counts as typed: %q", p.Value())
	}
	choose("芮城")
	typeKeys(t, page, "guwei")
	choose("古魏")
	typeKeys(t, page, "zhendongguan")
	choose("镇") // takes one syllable, dongguan is left
	if !slices.Contains(widget.Texts(page), "dongguan") {
		t.Errorf("the rest of the pinyin is gone: %q", widget.Texts(page))
	}
	choose("东")
	choose("关")
	tap(t, page, "mode.marks")
	typeKeys(t, page, "3")
	tap(t, page, "key.mark.号", "mode.pinyin")
	typeKeys(t, page, "lox")
	tap(t, page, "key.back") // x
	typeKeys(t, page, "u")
	tap(t, page, "key.space") // first candidate
	if got := p.Value(); got != "芮城古魏镇东关3号楼" && !strings.HasPrefix(got, "芮城古魏镇东关3号") {
		t.Errorf("typed %q", got)
	}
	if n := len([]rune(p.Value())); n != 10 {
		t.Errorf("%d characters: %q", n, p.Value())
	}
	if heard[len(heard)-1] != p.Value() {
		t.Errorf("heard %q", heard)
	}
	tap(t, page, "key.back")
	if n := len([]rune(p.Value())); n != 9 {
		t.Errorf("after deleting %q", p.Value())
	}
}

func TestCandidatePages(t *testing.T) {
	l := look(t)
	p := NewTextPad(l, TextOptions{Candidates: pinyinEngine(t)})
	page := show(t, l, p)
	typeKeys(t, page, "shi")
	words := func() (w []string) {
		for _, x := range widget.Targets(page) {
			if strings.HasPrefix(x.Name, "cand.") && x.Name != "cand.next" && x.Name != "cand.prev" {
				w = append(w, x.Label)
			}
		}
		return w
	}
	first := words()
	seen := map[string]bool{}
	for _, w := range first {
		seen[w] = true
	}
	for range 4 {
		tap(t, page, "cand.next")
		for _, w := range words() {
			if seen[w] {
				t.Errorf("%s is offered twice", w)
			}
			seen[w] = true
		}
	}
	for range 4 {
		tap(t, page, "cand.prev")
	}
	if !slices.Equal(words(), first) {
		t.Errorf("back at the first page: %v, was %v", words(), first)
	}
	if widget.Find(page, "cand.prev") != nil {
		t.Error("上一页 on the first page")
	}
}

// TestNoEngines: a pad without engines still takes digits and letters.
func TestNoEngines(t *testing.T) {
	l := look(t)
	p := NewTextPad(l, TextOptions{Max: 4})
	page := show(t, l, p)
	if widget.Find(page, "mode.pinyin") != nil || widget.Find(page, "mode.hand") != nil {
		t.Error("a mode without an engine is offered")
	}
	typeKeys(t, page, "12")
	tap(t, page, "mode.latin", "key.shift")
	typeKeys(t, page, "abc")
	if p.Value() != "12AB" {
		t.Errorf("typed %q", p.Value())
	}
}

func TestHandwriting(t *testing.T) {
	e, err := handwriting.Open("")
	if errors.Is(err, handwriting.ErrUnavailable) && os.Getenv("CUNBAN_CI") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	l := look(t)
	p := NewTextPad(l, TextOptions{Start: Hand, Recogniser: e})
	page := show(t, l, p)
	s := p.InkSize()
	at := func(x, y float32) image.Point { return image.Pt(int(x*s.Width), int(y*s.Height)) }
	p.Draw([]image.Point{at(0.2, 0.5), at(0.5, 0.5), at(0.8, 0.5)})
	p.Draw([]image.Point{at(0.5, 0.2), at(0.5, 0.5), at(0.5, 0.85)})
	hit := ""
	for _, x := range widget.Targets(page) {
		if x.Label == "十" {
			hit = x.Name
		}
	}
	if hit == "" {
		t.Fatalf("十 is not offered: %q", widget.Texts(page))
	}
	tap(t, page, hit)
	if p.Value() != "十" || p.ink.Strokes() != 0 {
		t.Errorf("typed %q, %d strokes left", p.Value(), p.ink.Strokes())
	}
	// Undo leaves the character of one stroke.
	p.Draw([]image.Point{at(0.2, 0.5), at(0.5, 0.5), at(0.8, 0.5)})
	p.Draw([]image.Point{at(0.5, 0.2), at(0.5, 0.5), at(0.5, 0.85)})
	tap(t, page, "ink.undo")
	if widget.Find(page, "hand.0").TargetLabel() != "一" {
		t.Errorf("after undo: %q", widget.Find(page, "hand.0").TargetLabel())
	}
}

// TestWipe: nothing that was typed, composed or drawn is left in the pad.
func TestWipe(t *testing.T) {
	l := look(t)
	p := NewTextPad(l, TextOptions{Candidates: pinyinEngine(t), Value: "东关社区"})
	page := show(t, l, p)
	typeKeys(t, page, "zhang")
	typed, comp := p.typed[:cap(p.typed)], p.comp[:cap(p.comp)]
	p.Wipe()
	for _, r := range typed {
		if r != 0 {
			t.Fatalf("typed text is left: %q", string(typed))
		}
	}
	for _, b := range comp {
		if b != 0 {
			t.Fatalf("pinyin is left: %q", comp)
		}
	}
	for _, s := range widget.Texts(page) {
		if strings.Contains(s, "东关") || strings.Contains(s, "zhang") || s == "张" {
			t.Errorf("%q is still shown", s)
		}
	}
	n := NewNumberPad(l, NumberOptions{Value: "13800138000"})
	b := n.typed
	n.Wipe()
	if b[0] != 0 || n.Value() != "" {
		t.Error("a number is left")
	}
}

func TestNumberPad(t *testing.T) {
	l := look(t)
	for _, c := range []struct {
		what  string
		o     NumberOptions
		keys  string // c is clear, b is back
		value string
		shown string
	}{
		{"a mobile number", NumberOptions{Max: 11, Groups: MobileGroups}, "138001380009", "13800138000", "138 0013 8000"},
		{"X only at the end", NumberOptions{Max: 18, X: true, Groups: IDGroups}, "14x0830195603120024x", "140830195603120024", "140830 19560312 0024"},
		{"X at the end", NumberOptions{Max: 18, X: true, Groups: IDGroups}, "14083019560312002x1", "14083019560312002X", "140830 19560312 002X"},
		{"an amount", NumberOptions{Decimal: true, Unit: "元"}, ".012.34.56", "12.34", "12.34"},
		{"no leading zeros in an amount", NumberOptions{Decimal: true}, "007", "7", "7"},
		{"delete and clear", NumberOptions{}, "12c34b5", "35", "35"},
	} {
		var last string
		c.o.OnChange = func(s string) { last = s }
		p := NewNumberPad(l, c.o)
		page := show(t, l, p)
		for _, k := range c.keys {
			name := "key." + string(k)
			switch k {
			case 'c':
				name = "key.clear"
			case 'b':
				name = "key.back"
			case '.':
				name = "key.dot"
			}
			tap(t, page, name)
		}
		if p.Value() != c.value || last != c.value {
			t.Errorf("%s: %q, heard %q, want %q", c.what, p.Value(), last, c.value)
		}
		if !slices.Contains(widget.Texts(page), c.shown) {
			t.Errorf("%s: %q is not shown in %q", c.what, c.shown, widget.Texts(page))
		}
	}
}

func TestPINPad(t *testing.T) {
	l := look(t)
	var got string
	var slice []byte
	p := NewPINPad(l, 6, func(pin []byte) { got, slice = string(pin), pin })
	page := show(t, l, p)
	typeKeys(t, page, "1357")
	for _, s := range widget.Texts(page) {
		if strings.Contains(s, "1357") {
			t.Fatalf("the PIN is shown: %q", s)
		}
	}
	tap(t, page, "key.back")
	typeKeys(t, page, "924")
	if got != "135924" {
		t.Errorf("got %q", got)
	}
	if p.Typed() != 0 || slice[:6][0] != 0 {
		t.Error("the PIN is left in memory")
	}
}

func TestDatePad(t *testing.T) {
	l := look(t)
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	var got string
	p := NewDatePad(l, DateOptions{Now: now, Min: time.Date(1930, 5, 10, 0, 0, 0, 0, time.UTC), Max: now, OnChange: func(s string) { got = s }})
	page := show(t, l, p)
	tap(t, page, "decade.1950", "year.1956")
	if got != "" {
		t.Errorf("half a date is %q", got)
	}
	tap(t, page, "month.2", "day.29")
	if got != "1956-02-29" || p.Value() != got {
		t.Errorf("date %q", got)
	}
	// Another year without that day: the day is asked for again.
	tap(t, page, "date.year", "decade.1950", "year.1957")
	if p.Value() != "" || p.month != 2 {
		t.Errorf("29 February 1957: %q", p.Value())
	}
	tap(t, page, "month.2")
	if widget.Find(page, "day.29") != nil {
		t.Error("29 February 1957 is offered")
	}
	tap(t, page, "day.3", "date.year", "decade.2020", "year.2026", "date.month")
	if widget.Find(page, "month.12") != nil || widget.Find(page, "month.11") == nil {
		t.Error("months after today are offered")
	}
	tap(t, page, "month.11")
	if widget.Find(page, "day.24") != nil || widget.Find(page, "day.23") == nil {
		t.Error("days after today are offered")
	}
	p.Wipe()
	if p.Value() != "" || widget.Find(page, "decade.1950") == nil {
		t.Error("not wiped")
	}
}

func TestDatePadMonthOnly(t *testing.T) {
	l := look(t)
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	p := NewDatePad(l, DateOptions{Now: now, Min: now.AddDate(-5, 0, 0), MonthOnly: true, Value: "2024-07"})
	page := show(t, l, p)
	if p.Value() != "2024-07" {
		t.Errorf("value %q", p.Value())
	}
	tap(t, page, "date.year", "year.2025", "month.8") // few years: no decade asked
	if p.Value() != "2025-08" {
		t.Errorf("value %q", p.Value())
	}
}

// broken is an engine that answers nonsense, as one out of memory might.
type broken struct{}

func (broken) Candidates(string, int) ([]string, bool) { return nil, true }
func (broken) Rest(string, int) (string, error)        { return "", fmt.Errorf("no") }
func (broken) Clear()                                  {}

func TestBrokenEngine(t *testing.T) {
	l := look(t)
	p := NewTextPad(l, TextOptions{Candidates: broken{}})
	page := show(t, l, p)
	typeKeys(t, page, "zhang") // must end
	tap(t, page, "key.space", "key.clear")
	if p.Value() != "" {
		t.Errorf("value %q", p.Value())
	}
}

func BenchmarkKeystroke(b *testing.B) {
	l := look(b)
	p := NewTextPad(l, TextOptions{Candidates: pinyinEngine(b)})
	page := show(b, l, p)
	for b.Loop() {
		widget.Tap(page, "key.s")
		widget.Tap(page, "key.back")
	}
}
