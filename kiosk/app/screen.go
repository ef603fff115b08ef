package app

import (
	"cunban/device"
	"cunban/kiosk/cases"
	"cunban/kiosk/session"
	"cunban/kiosk/ui"
	"cunban/sync"
)

// screen is what the app tells the frame around the pages. *ui.Shell is the
// real one; a terminal without a window (tests, the moments before the window
// is there and after it is gone) tells nobody. All methods may be called from
// any goroutine and do not block, but for State, which waits for the window.
type screen interface {
	LineChanged(sync.LineState)
	CaseChanged(cases.Case)
	DeviceChanged(device.Health)
	CardChanged(ui.CardView)
	CardGone()
	PointChanged()
	SessionEvent(session.Event)
	Minute()
	State() ui.ScreenState
}

var _ screen = (*ui.Shell)(nil)

// dark is the screen that is not there.
type dark struct{}

func (dark) LineChanged(sync.LineState)  {}
func (dark) CaseChanged(cases.Case)      {}
func (dark) DeviceChanged(device.Health) {}
func (dark) CardChanged(ui.CardView)     {}
func (dark) CardGone()                   {}
func (dark) PointChanged()               {}
func (dark) SessionEvent(session.Event)  {}
func (dark) Minute()                     {}
func (dark) State() ui.ScreenState       { return ui.ScreenState{} }

// tell is the screen there is now.
func (a *App) tell() screen {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.scr == nil {
		return dark{}
	}
	return a.scr
}

// shows sets the screen; nil takes it away.
func (a *App) shows(s screen) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.scr = s
}
