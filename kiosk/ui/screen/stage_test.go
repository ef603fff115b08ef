package screen

import (
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/test"

	"cunban/kiosk/staff"
	"cunban/kiosk/ui"
	"cunban/kiosk/ui/theme"
	"cunban/kiosk/ui/uitest"
	"cunban/kiosk/ui/widget"
)

// view is one way a page can look.
type view struct {
	w, h    float32
	palette theme.Palette
	size    theme.Size
}

func (v view) String() string {
	o := "land"
	if v.h > v.w {
		o = "port"
	}
	return fmt.Sprintf("%s-%s-%s", o, map[theme.Size]string{theme.Standard: "std", theme.Large: "large"}[v.size],
		map[theme.Palette]string{theme.Day: "day", theme.Night: "night", theme.HighContrast: "contrast"}[v.palette])
}

// pictures is where pictures go, "" for none; CUNBAN_SHEETS names the pages
// wanted, separated by commas, "" for all.
func pictures() string { return os.Getenv("CUNBAN_PICTURES") }

// stage is a shell on a canvas of the test driver, with a UI goroutine of its
// own and a clock that stands still.
type stage struct {
	t     *testing.T
	name  string
	b     *uitest.Backend
	s     *ui.Shell
	win   fyne.Window
	loop  *uitest.Loop
	v     view
	n     int
	quiet bool // pages are not checked
}

func newStage(t *testing.T, v view) *stage {
	t.Helper()
	b, err := uitest.New()
	if err != nil {
		t.Fatal(err)
	}
	st := &stage{t: t, b: b, v: v, loop: uitest.NewLoop()}
	t.Cleanup(st.loop.Close)
	st.on(func() {
		st.win = test.NewTempWindow(t, nil)
		// One app for all stages: each would parse the fonts anew.
		st.s = ui.New(ui.Options{App: fyne.CurrentApp(), Window: st.win, Backend: b, Routes: Routes(), Post: st.loop.Post,
			Now: func() time.Time { return b.At }, Palette: v.palette, Size: v.size})
		b.OnSession = st.s.SessionEvent
		st.win.Resize(fyne.NewSize(v.w, v.h))
		st.s.Start()
	})
	st.until("home")
	return st
}

func (st *stage) on(f func()) { st.loop.Do(f) }

// waitLimit is how long a test waits for a page before it gives up.
const waitLimit = 5 * time.Second

// until waits for a page or an overlay with nothing under way.
func (st *stage) until(id string) ui.ScreenState {
	st.t.Helper()
	var s ui.ScreenState
	if !st.loop.Until(waitLimit, func() bool {
		s = st.s.Look()
		return (s.Page == id && s.Overlay == "" && s.Pending == 0) || s.Overlay == id
	}) {
		st.t.Fatalf("waiting for %q: page %q, overlay %q, pending %d, texts %v", id, s.Page, s.Overlay, s.Pending, s.Texts)
	}
	return s
}

// settled waits until nothing is under way and gives what is on the screen.
func (st *stage) settled() (s ui.ScreenState) {
	st.t.Helper()
	if !st.loop.Until(waitLimit, func() bool { s = st.s.Look(); return s.Pending == 0 }) {
		st.t.Fatalf("page %q, overlay %q: still busy", s.Page, s.Overlay)
	}
	return s
}

// untilTarget waits for a target.
func (st *stage) untilTarget(name string) {
	st.t.Helper()
	if !st.loop.Until(waitLimit, func() bool { return widget.Find(st.s.Root(), name) != nil }) {
		st.t.Fatalf("waiting for target %s", name)
	}
}

// clerk is a made-up clerk.
func clerk() *staff.Account {
	return &staff.Account{Number: "30830101", Name: "李秀英", Roles: []staff.Role{staff.Clerk}, Status: staff.Active}
}

// tap touches a target of the present page.
func (st *stage) tap(name string) {
	st.t.Helper()
	ok := false
	var s ui.ScreenState
	st.on(func() {
		ok = widget.Tap(st.s.Root(), name)
		if !ok {
			s = st.s.Look()
		}
	})
	if !ok {
		var names []string
		for _, t := range s.Targets {
			names = append(names, t.Name)
		}
		st.t.Fatalf("no target %q on %s %s; there are %v", name, s.Page, s.Overlay, names)
	}
}

// type_ taps the keys of a number.
func (st *stage) keys(s string) {
	st.t.Helper()
	for _, r := range s {
		st.tap("key." + strings.ToLower(string(r)))
	}
}

func names(s ui.ScreenState, prefix string) (out []string) {
	for _, t := range s.Targets {
		if t.Enabled && strings.HasPrefix(t.Name, prefix) && !strings.HasSuffix(t.Name, ".prev") && !strings.HasSuffix(t.Name, ".next") {
			out = append(out, t.Name)
		}
	}
	return out
}

func has(s ui.ScreenState, name string) bool {
	return slices.ContainsFunc(s.Targets, func(t widget.TargetInfo) bool { return t.Name == name && t.Enabled })
}

// shoot checks the page and, if asked for, writes its picture.
func (st *stage) shoot(name string) {
	st.t.Helper()
	if st.quiet {
		return
	}
	st.settled()
	st.shootNow(name)
}

// shootNow is shoot for pages with something under way.
func (st *stage) shootNow(name string) {
	st.t.Helper()
	st.n++
	st.on(func() {
		s := st.s.Look()
		st.check(name, s)
		dir := pictures()
		if only := os.Getenv("CUNBAN_SHEETS"); dir == "" || only != "" && !slices.Contains(strings.Split(only, ","), name) {
			return
		}
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%s-%02d-%s.png", st.v, st.name, st.n, strings.ReplaceAll(name, ":", "-"))))
		if err != nil {
			st.t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(f, st.win.Canvas().Capture()); err != nil {
			st.t.Fatal(err)
		}
	})
}

// box is a rectangle on the canvas.
type box struct{ x, y, w, h float32 }

func boxOf(o fyne.CanvasObject) box {
	p, s := fyne.CurrentApp().Driver().AbsolutePositionForObject(o), o.Size()
	return box{p.X, p.Y, s.Width, s.Height}
}

// check finds what is wrong with the page that is up: help out of reach,
// targets too small, overlapping or outside, and texts that are cut.
func (st *stage) check(name string, s ui.ScreenState) {
	t := st.t
	t.Helper()
	bad := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s %s: %s", st.v, name, fmt.Sprintf(format, args...))
	}
	mm := min(st.v.w, st.v.h) / (1080 / 4.03)
	least := 22 * mm
	if st.v.size == theme.Large {
		least = 28 * mm
	}
	help := false
	var small []string
	for i, a := range s.Targets {
		help = help || a.Name == "help" && a.Enabled
		if a.X < -1 || a.Y < -1 || a.X+a.W > s.W+1 || a.Y+a.H > s.H+1 {
			bad("target %s reaches outside the window: %+v", a.Name, a)
		}
		if a.H < least-1 {
			small = append(small, fmt.Sprintf("%s %.1f mm", a.Name, a.H/mm))
		}
		for _, b := range s.Targets[i+1:] {
			if a.Name == b.Name {
				bad("two targets are named %s", a.Name)
			}
			if a.X < b.X+b.W-1 && b.X < a.X+a.W-1 && a.Y < b.Y+b.H-1 && b.Y < a.Y+a.H-1 {
				bad("targets %s and %s overlap: %+v %+v", a.Name, b.Name, a, b)
			}
		}
	}
	if len(small) > 0 {
		bad("targets too low: %s", strings.Join(small, ", "))
	}
	if s.Overlay == "" && !help {
		bad("no way to call for help")
	}
	root := st.s.Root()
	floor := s.H
	body := root
	if s.Overlay == "" {
		// The page is ground and column; of the column the last is the footer, and
		// the body comes before it.
		col := root.(*fyne.Container).Objects[0].(*fyne.Container).Objects[1].(*fyne.Container).Objects
		body = col[len(col)-2]
		floor = boxOf(col[len(col)-1]).y
	}
	widget.Walk(body, func(o fyne.CanvasObject) bool {
		if w, ok := o.(widget.Target); ok {
			if b := boxOf(o); b.h > 0 && b.y+b.h > floor+1 {
				bad("target %s reaches %.0f below the body", w.TargetName(), b.y+b.h-floor)
			}
		}
		return true
	})
	var within []box
	var walk func(o fyne.CanvasObject, inBody bool)
	walk = func(o fyne.CanvasObject, inBody bool) {
		if o == nil || !o.Visible() {
			return
		}
		inBody = inBody || o == body
		switch o := o.(type) {
		case *widget.Text:
			b := boxOf(o)
			if h := o.HeightFor(b.w); o.Text() != "" && (h > b.h+2 || inBody && b.y+h > floor+2) {
				bad("text %q is cut: at %.0f, %.0f high, has %.0f, floor %.0f", o.Text(), b.y, h, b.h, floor)
			}
		case *canvas.Text:
			b := boxOf(o)
			m := o.MinSize()
			if strings.HasSuffix(o.Text, "…") {
				bad("text %q is cut short", o.Text)
			}
			if o.Text != "" && (b.x < -1 || b.x+min(m.Width, b.w) > s.W+1) {
				bad("text %q leaves the window", o.Text)
			}
			if m.Width > b.w*1.02+2 { // the shaper and the sum of advances differ a little
				bad("text %q is %.0f wide in %.0f", o.Text, m.Width, b.w)
			}
			if len(within) > 0 {
				if in := within[len(within)-1]; o.Text != "" && (b.x < in.x-1 || b.x+m.Width > in.x+in.w+1) {
					bad("text %q runs over the edge of its target", o.Text)
				}
			}
		}
		if _, ok := o.(widget.Target); ok {
			within = append(within, boxOf(o))
			defer func() { within = within[:len(within)-1] }()
		}
		switch p := o.(type) {
		case *fyne.Container:
			for _, k := range p.Objects {
				if x, ok := k.(*widget.Text); ok && x.Visible() && x.Text() != "" {
					in, b := boxOf(p), boxOf(x)
					if over := b.y + x.HeightFor(b.w) - in.y - in.h; over > 2 {
						bad("text %q reaches %.0f below what it is in", x.Text(), over)
					}
				}
				walk(k, inBody)
			}
		case widget.Parent:
			for _, k := range p.Children() {
				walk(k, inBody)
			}
		}
	}
	walk(root, false)
}
