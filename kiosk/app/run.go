package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"fyne.io/fyne/v2"
	fapp "fyne.io/fyne/v2/app"

	"cunban/kiosk/ui"
	"cunban/kiosk/ui/input"
	"cunban/kiosk/ui/input/handwriting"
	"cunban/kiosk/ui/input/pinyin"
	"cunban/kiosk/ui/lapse"
	screens "cunban/kiosk/ui/screen"
	"cunban/kiosk/ui/theme"
)

// appID names the program to the desktop.
const appID = "cn.ruicheng.cunban"

// Run shows the terminal until ctx ends or a technician quits. It must be
// called on the main goroutine. What keeps the terminal from starting is shown
// in the window too, in plain words, and returned.
func Run(ctx context.Context, o Options) error {
	if !display() {
		return plain("DS-01", "没有显示屏，终端不能开始", "请在有显示屏的会话里启动程序", ErrNoDisplay)
	}
	// The fonts alone are a hundred megabytes of live heap, which Go's usual
	// setting would let double; the terminals have little memory and much time.
	debug.SetGCPercent(heapGrowth)
	fa := newFyne(appID)
	win := fa.NewWindow("村办")
	screenSize := screenOf(o)
	if w, h, ok := windowSize(o.Window); ok {
		win.Resize(fyne.NewSize(w, h))
		win.SetFixedSize(true)
	} else {
		win.SetFullScreen(true)
	}
	a, err := New(ctx, o)
	if err != nil {
		if o.Logger != nil { // now, not when somebody closes the window
			o.Logger.Error("kiosk cannot start", "err", err)
		}
		ui.ShowFault(fa, win, screenSize, ui.AsTrouble(err))
		context.AfterFunc(ctx, func() { fyne.Do(fa.Quit) })
		win.ShowAndRun()
		return err
	}
	clock := lapse.New()
	lapses := func() { // on the UI goroutine, when a visit ends
		clock.Leap()
		wipeStack()
		apart()
	}
	shell := ui.New(ui.Options{App: fa, Window: win, Backend: a, Routes: screens.Routes(), Screen: screenSize,
		OnTouch: a.sess.Touch, OnLook: a.sess.SetLarge, OnAsk: a.lamps.ask, Lapse: lapses})
	defer a.openEngines(shell)()
	a.shows(shell)
	a.mu.Lock()
	a.quitFn = func() { fyne.Do(fa.Quit) }
	a.mu.Unlock()
	closeDoor, err := a.openDoor()
	if err != nil {
		a.log.Error("control socket", "err", err)
	}
	win.SetCloseIntercept(func() { fa.Quit() })
	fa.Lifecycle().SetOnStarted(func() {
		a.start()
		shell.Start()
		// Parsing the fonts left as much behind as it made.
		go debug.FreeOSMemory()
	})
	stopped := context.AfterFunc(ctx, func() { fyne.Do(fa.Quit) })
	win.ShowAndRun()
	stopped()
	a.shows(nil) // nobody is left to show anything to
	closeDoor()
	return a.Stop(ctx)
}

// heapGrowth is by how much the heap may grow before it is swept, percent.
const heapGrowth = 25

// ErrNoDisplay means that there is nothing to show a window on.
var ErrNoDisplay = errors.New("neither DISPLAY nor WAYLAND_DISPLAY is set")

// display reports whether a window can be shown: without one GLFW would end the
// program with a code of its own.
func display() bool {
	return runtime.GOOS != "linux" || os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != ""
}

// newFyne makes the Fyne application, which is told that every change of the
// screen goes through fyne.Do.
func newFyne(id string) fyne.App {
	fapp.SetMetadata(fyne.AppMetadata{ID: id, Name: "村办", Migrations: map[string]bool{"fyneDo": true}})
	return fapp.NewWithID(id)
}

// inputDir is where librime keeps its deployed schema, in the data folder; what
// is typed never gets there (see package pinyin).
const inputDir = "input"

// openEngines opens the input engines beside the first page and gives them to
// the shell; one that is not installed is left out and its mode is not offered.
// The returned function closes them.
func (a *App) openEngines(shell *ui.Shell) (closeAll func()) {
	var closers []func()
	ready := make(chan struct{})
	go func() {
		defer close(ready)
		var (
			c input.Candidates
			r input.Recogniser
		)
		if py, err := pinyin.Open(filepath.Join(a.cfg.Data, inputDir)); err != nil {
			a.log.Warn("no pinyin", "err", err)
		} else {
			c, closers = py, append(closers, py.Close)
		}
		if hw, err := handwriting.Open(""); err != nil {
			a.log.Warn("no handwriting", "err", err)
		} else {
			r, closers = hw, append(closers, hw.Close)
		}
		shell.SetEngines(c, r)
	}()
	return func() {
		<-ready
		for _, f := range closers {
			f()
		}
	}
}

// windowSize reads "1600x900".
func windowSize(s string) (w, h float32, ok bool) {
	if s == "" {
		return 0, 0, false
	}
	n, err := fmt.Sscanf(s, "%fx%f", &w, &h)
	return w, h, err == nil && n == 2
}

// screenOf is the real screen as far as the configuration tells.
func screenOf(o Options) theme.Screen {
	return theme.Screen{WidthMM: float32(o.Config.Screen.WidthMM)}
}

// cardChanged tells pages of a card, and takes the reminder away when it went.
func (a *App) cardChanged(v ui.CardView) {
	s := a.tell()
	s.CardChanged(v)
	if v.Phase == ui.CardWaiting {
		s.CardGone()
		a.lamps.slotEmpty()
	}
}

// ShowConfigFault shows that the configuration cannot be used; the window names
// file and line for the technician and sends residents to a person. Without a
// display it returns at once.
func ShowConfigFault(ctx context.Context, o Options, file string, err error) {
	if !display() {
		return
	}
	fa := newFyne(appID)
	win := fa.NewWindow("村办")
	if w, h, ok := windowSize(o.Window); ok {
		win.Resize(fyne.NewSize(w, h))
	} else {
		win.SetFullScreen(true)
	}
	ui.ShowFault(fa, win, screenOf(o), &ui.Trouble{Code: "CF-01", Text: "配置文件有错，程序不能开始",
		Remedy: "请技术员改正 " + file + "：" + err.Error(), Detail: err.Error(), Err: err})
	context.AfterFunc(ctx, func() { fyne.Do(fa.Quit) })
	win.ShowAndRun()
}
