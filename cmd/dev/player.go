package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// target is one thing on the screen that can be touched, in canvas pixels.
type target struct {
	Name, Label string
	X, Y, W, H  float64
	Enabled     bool
}

// screenState is what the terminal says is on its screen.
type screenState struct {
	Page    string   `json:"page"`
	Overlay string   `json:"overlay"`
	W       float64  `json:"w"`
	H       float64  `json:"h"`
	Targets []target `json:"targets"`
	Texts   []string `json:"texts"`
	Session uint64   `json:"session"`
}

// find gives the target of that name.
func (s screenState) find(name string) (target, bool) {
	i := slices.IndexFunc(s.Targets, func(t target) bool { return t.Name == name })
	if i < 0 {
		return target{}, false
	}
	return s.Targets[i], true
}

// has reports whether that target is there and can be pressed.
func (s screenState) has(name string) bool {
	t, ok := s.find(name)
	return ok && t.Enabled
}

// with gives the enabled targets whose names begin so, in order.
func (s screenState) with(prefix string) []target {
	var out []target
	for _, t := range s.Targets {
		if t.Enabled && strings.HasPrefix(t.Name, prefix) {
			out = append(out, t)
		}
	}
	return out
}

// says reports whether some text on the screen contains s.
func (s screenState) says(text string) bool {
	return slices.ContainsFunc(s.Texts, func(t string) bool { return strings.Contains(t, text) })
}

// mark tells two screens apart.
func (s screenState) mark() string {
	b, err := json.Marshal(s)
	if err != nil {
		return ""
	}
	return string(b)
}

// Pace of the hand. The terminal ignores a second touch within 400 ms.
const (
	tapGap     = 440 * time.Millisecond
	tapHold    = 40 * time.Millisecond
	look       = 60 * time.Millisecond
	pageWait   = 25 * time.Second // for a page to come, on a slow machine
	changeWait = 900 * time.Millisecond
)

// player is a person at the terminal: eyes are the terminal's automation door,
// the hand is a real pointer on the real window.
type player struct {
	st   *stage
	out  string // for pictures, "" takes none
	n    int
	last time.Time // of the last tap
	taps int
	// faults are pages on which a target lies outside the window or over another.
	faults []string
	// missed counts keys that had to be pressed again.
	missed int
	ox     float64 // where the window is on the screen
	oy     float64
	seen   map[string]int // pictures by page
	// notes are what the report says of this visit.
	notes []string
}

// failure is what a visit ends with when the terminal did something else than
// expected; it shows what was on the screen.
type failure struct {
	expected string
	was      screenState
	picture  string
	err      error
}

func (f *failure) Error() string {
	b := &strings.Builder{}
	fmt.Fprintf(b, "expected %s\n  page %q overlay %q", f.expected, f.was.Page, f.was.Overlay)
	if f.err != nil {
		fmt.Fprintf(b, "\n  error: %v", f.err)
	}
	for _, t := range f.was.Texts {
		fmt.Fprintf(b, "\n  | %s", t)
	}
	names := []string{}
	for _, t := range f.was.Targets {
		n := t.Name
		if !t.Enabled {
			n += "(off)"
		}
		names = append(names, n)
	}
	fmt.Fprintf(b, "\n  targets: %s", strings.Join(names, " "))
	if f.picture != "" {
		fmt.Fprintf(b, "\n  picture: %s", f.picture)
	}
	return b.String()
}

func (f *failure) Unwrap() error { return f.err }

// fail makes a failure with a picture of the moment.
func (p *player) fail(ctx context.Context, expected string, was screenState, err error) error {
	f := &failure{expected: expected, was: was, err: err}
	if p.out != "" {
		f.picture = filepath.Join(p.out, "failed.png")
		if e := p.shoot(context.WithoutCancel(ctx), f.picture); e != nil {
			f.picture = ""
		}
	}
	return f
}

// door asks the terminal one question through its control socket.
func door(ctx context.Context, data, do string, out any) error {
	var d net.Dialer
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := d.DialContext(ctx, "unix", filepath.Join(data, "control.sock"))
	if err != nil {
		return fmt.Errorf("ask the terminal: %w", err)
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	if _, err := fmt.Fprintf(c, "{\"do\":%q}\n", do); err != nil {
		return fmt.Errorf("ask the terminal: %w", err)
	}
	in := bufio.NewScanner(c)
	in.Buffer(nil, 16<<20)
	if !in.Scan() {
		return fmt.Errorf("ask the terminal: no answer: %w", errors.Join(in.Err(), ctx.Err()))
	}
	var r struct {
		Out   json.RawMessage `json:"out"`
		Error string          `json:"error"`
	}
	if err := json.Unmarshal(in.Bytes(), &r); err != nil {
		return fmt.Errorf("ask the terminal: %w", err)
	}
	if r.Error != "" {
		return fmt.Errorf("ask the terminal: %s: %s", do, r.Error)
	}
	if err := json.Unmarshal(r.Out, out); err != nil {
		return fmt.Errorf("ask the terminal: %w", err)
	}
	return nil
}

// see looks at the screen.
func (p *player) see(ctx context.Context) (screenState, error) {
	var s screenState
	err := door(ctx, p.st.dataDir, "screen", &s)
	return s, err
}

// until looks until ok holds.
func (p *player) until(ctx context.Context, what string, d time.Duration, ok func(screenState) bool) (screenState, error) {
	var (
		s   screenState
		err error
	)
	for end := time.Now().Add(d); ; {
		if s, err = p.see(ctx); err == nil && ok(s) {
			return s, nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return s, p.fail(ctx, what, s, errors.Join(err, ctx.Err()))
		}
		if err != nil && p.st.kiosk != nil && !p.st.kiosk.running() {
			return s, fmt.Errorf("expected %s, but the terminal has ended\n%s", what, tail(filepath.Join(p.st.logDir, "kiosk.log"), 20))
		}
		time.Sleep(look)
	}
}

// settled is a screen on which nothing is waited for.
func settled(s screenState) bool { return s.Overlay != "busy" && s.Overlay != "idle" }

// page waits for a page whose id begins with one of the prefixes, with nothing
// over it. Trouble over the page ends the wait.
func (p *player) page(ctx context.Context, prefixes ...string) (screenState, error) {
	return p.pageIn(ctx, pageWait, prefixes...)
}

func (p *player) pageIn(ctx context.Context, d time.Duration, prefixes ...string) (screenState, error) {
	what := "the page " + strings.Join(prefixes, " or ")
	trouble := false
	s, err := p.until(ctx, what, d, func(s screenState) bool {
		trouble = s.Overlay == "trouble"
		return trouble || s.Overlay == "" && slices.ContainsFunc(prefixes, func(x string) bool { return matches(s.Page, x) })
	})
	if err == nil && trouble {
		return s, p.fail(ctx, what, s, nil)
	}
	return s, err
}

// matches compares a page with a name; a name that ends in "-" is a prefix.
func matches(page, name string) bool {
	return page == name || strings.HasSuffix(name, "-") && strings.HasPrefix(page, name)
}

// overlay waits for an overlay.
func (p *player) overlay(ctx context.Context, d time.Duration, name string) (screenState, error) {
	return p.until(ctx, "the overlay "+name, d, func(s screenState) bool { return s.Overlay == name })
}

// tap waits for the target and presses it with the pointer; it returns once the
// screen has changed or had time to.
func (p *player) tap(ctx context.Context, name string) error {
	s, err := p.until(ctx, "a touch target "+name+" that can be pressed", pageWait, func(s screenState) bool {
		return s.has(name) && s.Overlay != "busy"
	})
	if err != nil {
		return err
	}
	t, _ := s.find(name)
	return p.press(ctx, s, t)
}

// press puts the pointer on a target and clicks.
func (p *player) press(ctx context.Context, s screenState, t target) error {
	if d := time.Since(p.last); d < tapGap {
		time.Sleep(tapGap - d)
	}
	// A look makes sure that the terminal has drawn what it was drawing: a press
	// in the same frame as the move would count where the pointer was before.
	if _, err := p.see(ctx); err != nil {
		return err
	}
	x, y := p.ox+t.X+t.W/2, p.oy+t.Y+t.H/2
	if err := p.xdo(ctx, "mousemove", px(x), px(y), "sleep", seconds(tapHold), "mousedown", "1",
		"sleep", seconds(tapHold), "mouseup", "1"); err != nil {
		return err
	}
	p.taps++
	before := s.mark()
	for end := time.Now().Add(changeWait); time.Now().Before(end); {
		now, err := p.see(ctx)
		if err != nil || now.mark() != before {
			break // a terminal that stops answers no more: the next look says so
		}
		time.Sleep(look / 2)
	}
	p.last = time.Now()
	return nil
}

// taps presses several targets one after the other.
func (p *player) tapAll(ctx context.Context, names ...string) error {
	for _, n := range names {
		if err := p.tap(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// tapTo presses targets, each of which must lead to the page named behind it.
func (p *player) tapTo(ctx context.Context, targetsAndPages ...string) error {
	for pair := range slices.Chunk(targetsAndPages, 2) {
		if err := p.tap(ctx, pair[0]); err != nil {
			return err
		}
		if _, err := p.at(ctx, pair[1]); err != nil {
			return err
		}
	}
	return nil
}

// keys types on a pad whose keys are named "key." and the character. Like a
// person she looks whether the character came, and presses again when not; a
// PIN is not shown, so there she cannot.
func (p *player) keys(ctx context.Context, text string) error {
	for _, r := range strings.ToLower(text) {
		name := "key." + string(r)
		before, err := p.see(ctx)
		if err != nil {
			return err
		}
		for try := 0; ; try++ {
			if err := p.tap(ctx, name); err != nil {
				return err
			}
			after, err := p.see(ctx)
			if err != nil {
				return err
			}
			if before.Page == "sign-in-pin" || !slices.Equal(after.Texts, before.Texts) {
				break
			}
			if try == keyTries {
				return p.fail(ctx, "the key "+name+" to do something", after, nil)
			}
			p.missed++
		}
	}
	return nil
}

// keyTries is how often a key is pressed again.
const keyTries = 2

// point is a place on a sheet, 0 to 1 of its width and height.
type point struct{ x, y float64 }

// draw draws strokes on a target with the button held down.
func (p *player) draw(ctx context.Context, name string, strokes ...[]point) error {
	s, err := p.until(ctx, "a sheet "+name, pageWait, func(s screenState) bool { return s.has(name) && s.Overlay == "" })
	if err != nil {
		return err
	}
	t, _ := s.find(name)
	for _, st := range strokes {
		args := []string{}
		for i, q := range smooth(st) {
			args = append(args, "mousemove", px(p.ox+t.X+q.x*t.W), px(p.oy+t.Y+q.y*t.H), "sleep", seconds(tapHold))
			if i == 0 {
				args = append(args, "mousedown", "1", "sleep", seconds(tapHold))
			}
		}
		if err := p.xdo(ctx, append(args, "mouseup", "1")...); err != nil {
			return err
		}
		// The pen is lifted until the screen has drawn the stroke: Fyne takes
		// the pointer's place once a frame, so that a button pressed in the same
		// frame as a move would be pressed where the pointer was before.
		for range 2 {
			if _, err := p.see(ctx); err != nil {
				return err
			}
			time.Sleep(look)
		}
	}
	p.last = time.Now()
	return nil
}

// smooth puts points between the corners of a stroke, as a finger does.
func smooth(st []point) []point {
	var out []point
	for i, q := range st {
		if i > 0 {
			from := st[i-1]
			n := max(2, int(math.Hypot(q.x-from.x, q.y-from.y)*12))
			for k := 1; k < n; k++ {
				f := float64(k) / float64(n)
				out = append(out, point{from.x + (q.x-from.x)*f, from.y + (q.y-from.y)*f})
			}
		}
		out = append(out, q)
	}
	return out
}

func px(v float64) string            { return strconv.Itoa(int(v + 0.5)) }
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }
func (p *player) env() []string      { return []string{"DISPLAY=" + p.st.display} }
func (p *player) note(f string, a ...any) {
	p.notes = append(p.notes, fmt.Sprintf(f, a...))
	fmt.Printf("    %s\n", p.notes[len(p.notes)-1])
}

// xdo moves the pointer.
func (p *player) xdo(ctx context.Context, args ...string) error {
	_, err := output(ctx, p.env(), append([]string{"xdotool"}, args...)...)
	return err
}

// findWindow learns where the window is.
func (p *player) findWindow(ctx context.Context) error {
	out, err := output(ctx, p.env(), "xdotool", "search", "--name", "^村办$", "getwindowgeometry", "--shell")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(out)) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		n, err := strconv.ParseFloat(v, 64)
		if err != nil {
			continue
		}
		switch k {
		case "X":
			p.ox = n
		case "Y":
			p.oy = n
		}
	}
	return nil
}

// shoot writes a picture of the whole screen.
func (p *player) shoot(ctx context.Context, path string) error {
	_, err := output(ctx, p.env(), "import", "-silent", "-window", "root", path)
	return err
}

// picture keeps the screen as NN-page.png, once it stands still.
func (p *player) picture(ctx context.Context, name string) error {
	if s, err := p.see(ctx); err == nil {
		for _, f := range crowded(s) {
			if f = s.Page + ": " + f; !slices.Contains(p.faults, f) {
				p.faults = append(p.faults, f)
			}
		}
	}
	if p.out == "" {
		return nil
	}
	if p.seen == nil {
		p.seen = map[string]int{}
	}
	p.seen[name]++
	if p.seen[name] > 1 {
		name = fmt.Sprintf("%s-%d", name, p.seen[name])
	}
	// The door tells what a page is; a software renderer needs a moment more to
	// have drawn it.
	time.Sleep(250 * time.Millisecond)
	p.n++
	return p.shoot(ctx, filepath.Join(p.out, fmt.Sprintf("%03d-%s.png", p.n, strings.ReplaceAll(name, "/", "_"))))
}

// overlap is how far two targets may touch, in pixels: roundings.
const overlap = 2

// crowded tells of targets that lie outside the window or over one another:
// what a finger cannot hit, or hits something else with.
func crowded(s screenState) (out []string) {
	for i, a := range s.Targets {
		if a.X < -overlap || a.Y < -overlap || a.X+a.W > s.W+overlap || a.Y+a.H > s.H+overlap {
			out = append(out, fmt.Sprintf("%s lies outside the window", a.Name))
		}
		for _, b := range s.Targets[i+1:] {
			if min(a.X+a.W, b.X+b.W)-max(a.X, b.X) > overlap && min(a.Y+a.H, b.Y+b.H)-max(a.Y, b.Y) > overlap {
				out = append(out, fmt.Sprintf("%s lies over %s", a.Name, b.Name))
			}
		}
	}
	return out
}

// at waits for a page and keeps a picture of it.
func (p *player) at(ctx context.Context, pages ...string) (screenState, error) {
	s, err := p.page(ctx, pages...)
	if err != nil {
		return s, err
	}
	return s, p.picture(ctx, s.Page)
}
