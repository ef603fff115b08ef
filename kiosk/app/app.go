// Package app is the only place that knows everybody: it makes the parts from
// the configuration, ties them together, runs them and stops them cleanly. It
// exists so that every other package can be read and tested alone.
//
// It guarantees an order: the vault is open and checked before anything can
// change it, the operation log records the start before the first session, and
// at the end the session is wiped, the engine and the drivers have stopped and
// the last record is written before the vault signs the log and closes. A part
// that cannot start is shown with a remedy and does not stop the others, but for
// the vault and the catalogue: without them there is no terminal.
//
// Nothing that is called by a driver, by a lane of the engine or by the UI
// goroutine waits for the disk: records go through entries, small jobs through
// chores, and what pages ask of Backend is asked on goroutines of their own.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	gosync "sync"
	"sync/atomic"
	"time"

	"cunban/device"
	"cunban/device/vendor"
	"cunban/kiosk/app/config"
	"cunban/kiosk/cases"
	"cunban/kiosk/catalog"
	"cunban/kiosk/divisions"
	"cunban/kiosk/oplog"
	"cunban/kiosk/paper"
	"cunban/kiosk/session"
	"cunban/kiosk/staff"
	"cunban/kiosk/ui"
	"cunban/kiosk/vault"
	"cunban/sync"
	"cunban/sync/wire"
)

// Options are what the command line adds to the configuration.
type Options struct {
	Config  config.Config
	Version string
	Logger  *slog.Logger
	Now     func() time.Time
	// Renderer is the command of the PDF worker (this program with "render").
	Renderer []string
	// Window is "1600x900" for a window, "" for the full screen.
	Window string
	// Automation opens the door that tells tests what is on the screen. It
	// works only while the terminal is marked as a demonstration.
	Automation bool
	// FreeBytes tells the free bytes of the disk; nil asks the system.
	FreeBytes func(dir string) (int64, error)
}

// App is a running terminal.
type App struct {
	o       Options
	cfg     config.Config
	log     *slog.Logger
	started time.Time
	serial  string

	vault     *vault.Vault
	entries   *entries
	chores    *chores
	nightly   *nightly
	forms     forms
	reserved  atomic.Uint64 // session numbers up to here are put aside
	catalogue atomic.Pointer[catalog.Catalogue]
	calendar  cases.Calendar
	divisions atomic.Pointer[divisions.Divisions]
	roster    *staff.Roster
	sess      *session.Manager
	sessBell  bell // rings when sess changed
	cards     *cardDesk
	renderer  *paper.Renderer
	left      chan struct{} // a visit ended, see forgets
	lamps     *lampDesk
	vendors   []*vendor.Driver
	past      *past

	devices []device.Device
	sources []source
	printer device.Printer // A4; nil when there is none
	roll    device.Printer // receipts on 80 mm; nil when there is none
	spooled atomic.Bool    // a job of this session did not come out for certain
	speaker device.Speaker

	ctx  context.Context // of everything that runs
	stop context.CancelFunc
	wg   gosync.WaitGroup

	// pointMu lets one makePoint work at a time, so that an older one never
	// overwrites a newer one's result.
	pointMu gosync.Mutex
	// runMu lets one engine start or stop at a time.
	runMu gosync.Mutex

	mu       gosync.Mutex
	scr      screen // nil before the window is there
	point    ui.Point
	office   paper.Office
	id       wire.Identity
	enrolled bool
	engine   *sync.Engine
	creds    *sync.Credentials
	endEng   func() // stops the engine and waits for its end
	out      bool   // revoked
	broken   string // why the terminal takes no work, "" = it does
	helpAt   time.Time
	quitFn   func()
}

// New opens what must be open before a window shows. The error is a *ui.Trouble
// where a person can do something about it.
func New(ctx context.Context, o Options) (*App, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &App{o: o, cfg: o.Config, log: o.Logger, started: o.Now(), serial: o.Config.Serial}
	a.ctx, a.stop = context.WithCancel(context.WithoutCancel(ctx))
	if a.serial == "" {
		a.serial = machineSerial()
	}
	if err := a.open(ctx); err != nil {
		a.stop()
		return nil, err
	}
	return a, nil
}

func (a *App) open(ctx context.Context) error {
	sources, err := keySources(a.cfg.Keys)
	if err != nil {
		return err
	}
	v, err := vault.Open(ctx, vault.Options{
		Dir: vaultDir(a.cfg), Keys: sources, Version: a.o.Version, Now: a.o.Now, MinFree: int64(a.cfg.MinFreeMB) << 20,
		Logger: a.log, FreeBytes: a.o.FreeBytes, Terminal: func() string { id, _ := a.identity(); return id.ID },
	})
	if err != nil {
		return vaultTrouble(err)
	}
	a.vault = v
	a.chores = newChores()
	a.entries = newEntries(v.Record, a.log)
	fail := func(err error) error {
		ctx := context.WithoutCancel(ctx)
		return errors.Join(err, a.entries.close(ctx), v.Close(ctx))
	}
	cat, err := catalog.Embedded()
	if err != nil {
		return fail(plain("CT-01", "事项目录坏了，不能办事", "请重装程序，或联系县里", err))
	}
	a.catalogue.Store(cat)
	if a.id, a.enrolled, err = sync.LoadIdentity(ctx, v); err != nil {
		return fail(storeTrouble(err))
	}
	if a.out, err = a.wasRevoked(ctx); err != nil {
		return fail(storeTrouble(err))
	}
	if err := a.loadDivisions(a.id.Region); err != nil {
		return fail(plain("CT-02", "行政区划表坏了，不能办事", "请重装程序，或联系县里", err))
	}
	a.roster = &staff.Roster{Settings: v, Now: a.Now, Rand: randReader, Region: func() string { id, _ := a.identity(); return id.Region }}
	first, err := a.reserveSessions(ctx)
	if err != nil {
		return fail(storeTrouble(err))
	}
	w := a.cfg.Waits
	a.sess = session.New(session.Timing{Idle: config.Seconds(w.Idle), IdleLarge: config.Seconds(w.IdleLarge),
		Ask: config.Seconds(w.Ask), Cover: config.Seconds(w.Cover)}, first, a.o.Now, a.sessionEvent)
	a.left = make(chan struct{}, 1)
	a.renderer = paper.NewRenderer(paper.RendererOptions{Command: a.o.Renderer})
	if err := a.loadPast(ctx); err != nil {
		return fail(storeTrouble(err))
	}
	a.makeDevices()
	a.loadGoodCatalogue(ctx)
	a.loadDownlinkedCatalogue(ctx)
	a.makePoint(ctx)
	a.makeNightly(ctx)
	return nil
}

// loadDivisions takes the tables with the service point's own province, city
// and county first.
func (a *App) loadDivisions(region string) error {
	d, err := divisions.Embedded(region)
	if err != nil {
		return fmt.Errorf("division codes: %w", err)
	}
	a.divisions.Store(d)
	return nil
}

// identity is who the county says this terminal is.
func (a *App) identity() (wire.Identity, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.id, a.enrolled
}

func (a *App) engineNow() *sync.Engine {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.engine
}

func (a *App) credentials() *sync.Credentials {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.creds
}

func (a *App) revoked() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.out
}

func (a *App) fault() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.broken
}

func (a *App) program() string { return "cunban/" + a.o.Version }

// start runs everything that runs.
func (a *App) start() {
	id, _ := a.identity()
	a.record(oplog.Entry{Event: oplog.TerminalStart, Role: oplog.RoleSystem, Fields: map[string]string{
		"catalogue": a.Catalogue().Version, "terminal": id.ID, "clean": fmt.Sprint(a.vault.Clean())}})
	a.wg.Go(func() { a.chores.run(a.ctx) })
	a.salvageNow()
	for _, d := range a.devices {
		a.wg.Go(func() {
			if err := d.Run(a.ctx); err != nil && a.ctx.Err() == nil {
				a.log.Error("driver ended", "kind", string(d.Kind()), "err", err)
			}
		})
		off := d.Subscribe(a.deviceEvent(d))
		context.AfterFunc(a.ctx, off)
	}
	a.wg.Go(func() { a.cards.run(a.ctx) })
	a.wg.Go(func() { a.lamps.run(a.ctx) })
	a.wg.Go(a.minutes)
	a.wg.Go(a.keepsPast)
	a.wg.Go(func() { forgets(a.ctx, a.left, a.forget) })
	a.wg.Go(a.nights)
	a.startEngine()
}

// minutes keeps the clock of the bar and the point's facts fresh.
func (a *App) minutes() {
	t := time.NewTicker(20 * time.Second)
	defer t.Stop()
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-t.C:
			a.tell().Minute()
		}
	}
}

// deviceEvent tells pages, the county and the log of a device that changed.
func (a *App) deviceEvent(d device.Device) func(device.Event) {
	last, demo := d.Health().State, false
	return func(e device.Event) {
		if e.Health == nil {
			return
		}
		h := *e.Health
		if h.Demo != demo {
			if demo = h.Demo; demo {
				a.note(oplog.SimUse, oplog.OK, string(h.Kind), map[string]string{"do": "connect"})
			}
		}
		if h.State != last && h.State != device.StateBusy && last != device.StateBusy {
			a.note(oplog.DeviceState, oplog.OK, string(h.Kind), map[string]string{"from": string(last), "to": string(h.State), "code": h.Code})
			if g := a.engineNow(); g != nil {
				g.ReportHealth()
			}
		}
		last = h.State
		a.past.see(h)
		a.factsChanged()
		a.tell().DeviceChanged(h)
	}
}

// purgeLimit is how long emptying the print spool may take.
const purgeLimit = 10 * time.Second

// sessionEvent follows the session manager: log, counters, screen.
func (a *App) sessionEvent(e session.Event) {
	a.sessBell.ring()
	a.lamps.session(e.Kind)
	entry := oplog.Entry{Role: oplog.RoleSystem, Session: e.Session}
	switch e.Kind {
	case session.Began:
		entry.Event, entry.Role = oplog.SessionBegin, oplog.RoleResident
		a.nightly.disturb()
		a.sessionBegan(e.Session)
	case session.Asked:
		entry.Event = oplog.IdleAsked
	case session.Ended:
		a.cards.forget()
		a.leave()
		if left := a.forms.end(e.Session); left != nil {
			a.record(*left)
		}
		entry.Event, entry.Fields = oplog.SessionEnd, map[string]string{"how": string(e.Reason)}
		if e.Reason == session.IdleOut {
			a.record(oplog.Entry{Event: oplog.IdleWiped, Role: oplog.RoleSystem, Session: e.Session})
		}
		if a.spooled.Swap(false) {
			// Beside everything else: a printer that does not answer must not
			// keep cases and notices waiting.
			go a.purge(a.ctx)
		}
	case session.CardLeft:
		if e.First {
			entry.Event = oplog.CardLeft
		}
	case session.CoveredUp:
		entry.Event = oplog.CardTaken
	case session.Continued, session.Uncovered:
	}
	if entry.Event != "" {
		a.record(entry)
	}
	a.tell().SessionEvent(e)
}

// purge drops what the ended session may have left in the print spool; it ends
// with the program or after purgeLimit.
func (a *App) purge(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, purgeLimit)
	defer cancel()
	for _, p := range []device.Printer{a.printer, a.roll} {
		if p == nil {
			continue
		}
		if err := p.Purge(ctx); err != nil {
			a.log.Warn("print spool not purged", "printer", string(p.Kind()), "err", err)
		}
	}
}

// stopLimit is how long a clean stop may take before the program ends anyway;
// nothing is lost then, since nothing unsaved was called saved.
const stopLimit = 15 * time.Second

// Stop ends everything in order: nobody at the screen, no engine, no driver, no
// chore; then the last records, and the vault closes last. It may be called
// whether or not anything was started.
func (a *App) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	a.sess.Stop()
	a.stop()
	ended := make(chan struct{})
	go func() { a.stopEngine(); a.wg.Wait(); close(ended) }()
	var late error
	select {
	case <-ended:
	case <-ctx.Done():
		late = errors.New("some parts did not stop in time")
	}
	a.record(oplog.Entry{Event: oplog.TerminalStop, Role: oplog.RoleSystem})
	// What is late may not keep the log from being signed.
	last, done := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
	defer done()
	return errors.Join(late, a.entries.close(last), a.keepSession(last), a.keepPast(last), a.renderer.Close(), a.vault.Close(last))
}

// closeLimit is how long the vault may take to write the last records, sign the
// log and close.
const closeLimit = 10 * time.Second

func (a *App) quit() {
	a.mu.Lock()
	f := a.quitFn
	a.mu.Unlock()
	if f != nil {
		f()
	}
}

// bell tells the county's page that somebody calls for help here; the sound is
// the shell's.
func (a *App) bell() {
	a.mu.Lock()
	a.helpAt = a.o.Now()
	e := a.engine
	a.mu.Unlock()
	if e != nil {
		e.ReportHealth()
	}
}
