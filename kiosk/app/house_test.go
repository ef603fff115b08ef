package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"cunban/device"
	"cunban/kiosk/app/config"
	"cunban/kiosk/cases"
	"cunban/kiosk/catalog"
	"cunban/kiosk/form"
	"cunban/kiosk/resident"
	"cunban/kiosk/staff"
	"cunban/kiosk/ui"
	"cunban/sync"
	"cunban/sync/upstream"
	"cunban/sync/upstream/sample"
)

// patience is how long a test waits for what must happen; what it waits for is
// there long before, or never.
const patience = 60 * time.Second

// county is a real upstream on a real TLS socket.
type county struct {
	*upstream.County
	addr string
}

func startCounty(t testing.TB) *county {
	t.Helper()
	dir := t.TempDir()
	keys, err := upstream.OpenKeys(dir, rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	store, err := upstream.OpenSQLite(t.Context(), filepath.Join(dir, upstream.StoreFile))
	if err != nil {
		t.Fatal(err)
	}
	c := &county{}
	if c.County, err = upstream.New(upstream.Options{Dir: dir, Store: store, Keys: keys,
		Register: sample.New(time.Now, nil), AutoApprove: true}); err != nil {
		t.Fatal(err)
	}
	ready := make(chan upstream.Running, 1)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		ended <- c.Run(ctx, upstream.RunOptions{Listen: "127.0.0.1:0", Ready: func(r upstream.Running) { ready <- r }})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("upstream: %v", err)
		}
		if err := store.Close(); err != nil {
			t.Errorf("upstream: %v", err)
		}
	})
	select {
	case r := <-ready:
		c.addr = r.Listen
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	return c
}

// cable is what lies between the terminal and the county: a TCP forwarder that
// can be cut, or plugged in somewhere else.
type cable struct {
	t    testing.TB
	addr string

	mu    gosync.Mutex
	l     net.Listener
	to    string
	conns map[net.Conn]bool
	wg    gosync.WaitGroup
}

func newCable(t testing.TB, to string) *cable {
	t.Helper()
	c := &cable{t: t, addr: "127.0.0.1:0", conns: map[net.Conn]bool{}}
	c.plug(to)
	t.Cleanup(func() { c.cut(); c.wg.Wait() })
	return c
}

// plug leads the cable to an address; connections that are there are cut.
func (c *cable) plug(to string) {
	c.t.Helper()
	c.cut()
	l, err := net.Listen("tcp", c.addr)
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	c.l, c.to, c.addr = l, to, l.Addr().String()
	c.mu.Unlock()
	c.wg.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() { c.carry(l, near, to) })
		}
	})
}

func (c *cable) keep(l net.Listener, conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.l != l {
		_ = conn.Close()
		return false
	}
	c.conns[conn] = true
	return true
}

func (c *cable) carry(l net.Listener, near net.Conn, to string) {
	if !c.keep(l, near) {
		return
	}
	defer near.Close()
	far, err := net.Dial("tcp", to)
	if err != nil || !c.keep(l, far) {
		return
	}
	defer far.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(far, near)
		_ = far.Close()
	}()
	_, _ = io.Copy(near, far)
	_ = near.Close()
	<-done
}

// cut pulls the cable out.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.l != nil {
		_ = c.l.Close()
		c.l = nil
	}
	for conn := range c.conns {
		_ = conn.Close()
	}
	clear(c.conns)
}

// eyes is a screen that remembers what it was told.
type eyes struct {
	dark
	mu    gosync.Mutex
	cases []cases.Case
	lines []sync.LineState
	point int
	news  chan struct{}
}

func (e *eyes) note(f func()) {
	e.mu.Lock()
	f()
	e.mu.Unlock()
	select {
	case e.news <- struct{}{}:
	default:
	}
}

func (e *eyes) CaseChanged(c cases.Case)      { e.note(func() { e.cases = append(e.cases, c) }) }
func (e *eyes) LineChanged(l sync.LineState)  { e.note(func() { e.lines = append(e.lines, l) }) }
func (e *eyes) PointChanged()                 { e.note(func() { e.point++ }) }
func (e *eyes) DeviceChanged(h device.Health) { e.note(func() {}) }

// saw reports whether a case was shown in a state.
func (e *eyes) saw(id string, s cases.State) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.cases, func(c cases.Case) bool { return c.ID == id && c.State == s })
}

// terminal is a whole terminal but for its window.
type terminal struct {
	*App
	t    testing.TB
	eyes *eyes
	o    Options
}

// options are those of a terminal in a folder of its own.
func options(t testing.TB, dir, upstream string) Options {
	t.Helper()
	pages := filepath.Join(dir, "pages")
	if err := os.MkdirAll(pages, 0o700); err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	c.Data, c.Upstream, c.Serial = filepath.Join(dir, "data"), upstream, "SN-1"
	c.Devices = config.Devices{CardReader: "off", IDReader: "off", Scanner: "off", Printer: "off", Speech: "off", PageFolder: pages}
	c.Keys = []config.Key{{Kind: "file", Path: filepath.Join(dir, "disk.key")}}
	c.MinFreeMB = 1
	return Options{Config: c, Version: "test", Logger: testLog(t)}
}

func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// boot starts a terminal; it is stopped at the end of the test at the latest.
func boot(t testing.TB, o Options) *terminal {
	t.Helper()
	a, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	x := &terminal{App: a, t: t, eyes: &eyes{news: make(chan struct{}, 1)}, o: o}
	a.shows(x.eyes)
	a.start()
	t.Cleanup(x.halt)
	return x
}

// halt stops a terminal; a second time does nothing.
func (x *terminal) halt() {
	if x.App == nil {
		return
	}
	if err := x.App.Stop(context.Background()); err != nil {
		x.t.Errorf("stop: %v", err)
	}
	x.App = nil
}

// again stops the terminal and starts it.
func (x *terminal) again() *terminal {
	x.t.Helper()
	x.halt()
	return boot(x.t, x.o)
}

// await waits until ok.
func (x *terminal) await(what string, ok func() bool) {
	x.t.Helper()
	limit := time.After(patience)
	look := time.NewTicker(50 * time.Millisecond) // for what is not told
	defer look.Stop()
	for !ok() {
		select {
		case <-x.eyes.news:
		case <-look.C:
		case <-limit:
			x.t.Fatalf("waited for %s in vain; line %+v", what, x.Line())
		}
	}
}

// enrol registers the terminal with the county.
func (x *terminal) enrol(c *county, demo bool) {
	x.t.Helper()
	code, _, err := c.EnrolCode(x.t.Context(), upstream.NewTerminal{Serial: x.o.Config.Serial, Region: "140830100008",
		Village: "东关社区", Demo: demo}, "test")
	if err != nil {
		x.t.Fatal(err)
	}
	// A person at the terminal types the code; the cable may be elsewhere.
	id, err := x.Enrol(x.t.Context(), code.String(), func(string) {})
	if err != nil {
		x.t.Fatal(err)
	}
	if p := x.Point(); !p.Enrolled || p.TerminalID != id.ID || p.Village != "东关社区" || p.Demo != demo {
		x.t.Fatalf("enrolled, but the point is %+v", p)
	}
	if l := x.Divisions().Provinces(); !strings.HasPrefix(l[0].Code, "14") {
		x.t.Errorf("the list of provinces begins with %+v", l[0])
	}
}

// house is a terminal that is enrolled with a county and can reach it.
type house struct {
	*terminal
	county *county
	cable  *cable
}

func newHouse(t testing.TB, change ...func(*Options)) *house {
	t.Helper()
	c := startCounty(t)
	w := newCable(t, c.addr)
	o := options(t, t.TempDir(), "https://"+w.addr)
	for _, f := range change {
		f(&o)
	}
	h := &house{terminal: boot(t, o), county: c, cable: w}
	h.enrol(c, true)
	h.await("the line", func() bool { return h.Line().Kind == sync.LineUp })
	return h
}

// zhang is the claim of a social-security card.
func zhang(t testing.TB) resident.Claim {
	t.Helper()
	c, err := cardClaim(zhangCard(), time.Now(), true)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// picture is a page with something on it.
func picture(t testing.TB) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 827, 1169)) // A4 at 100 dpi
	for i := range img.Pix {
		img.Pix[i] = 245
	}
	for y := 100; y < 1000; y += 40 {
		for x := 80; x < 740; x++ {
			if (x/7+y/3)%3 == 0 {
				for d := range 12 {
					img.SetGray(x, y+d, color.Gray{20})
				}
			}
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// formOf begins the form of a service as the pages do.
func (x *terminal) formOf(service string) *form.Form {
	x.t.Helper()
	svc := x.Catalogue().Service(service)
	if svc == nil {
		x.t.Fatalf("no service %s", service)
	}
	return form.New(svc, x.Catalogue(), x.formContext(svc), false)
}

func (x *terminal) formContext(svc *catalog.Service) form.Context {
	now := x.Now().In(ui.Beijing)
	// What a list at the county would offer; the pages ask Listing.
	options := map[string][]catalog.Code{}
	for _, f := range svc.Fields {
		if f.Type == catalog.BackendSelect {
			options[f.Name] = []catalog.Code{{Code: "1", Label: "第一个"}}
		}
	}
	return form.Context{Today: time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC), Region: x.Point().Region,
		Claim: zhang(x.t), Workday: x.Calendar().Working, Role: form.RoleResident, Devices: x.Have(), Divisions: x.Divisions(), Options: options}
}

// draftOf makes what the page of signature hands to Submit.
func (x *terminal) draftOf(f *form.Form, scans ...[]byte) cases.Draft {
	x.t.Helper()
	id, err := x.NewCaseID()
	if err != nil {
		x.t.Fatal(err)
	}
	answers, err := f.JSON()
	if err != nil {
		x.t.Fatal(err)
	}
	p := x.Point()
	svc := f.Service()
	d := cases.Draft{ID: id, Revision: 1, Service: svc.ID, ServiceName: svc.Name, Catalogue: x.Catalogue().Version,
		LimitDays: svc.LimitDays, Claim: zhang(x.t), Answers: answers, Signature: []byte("png"), Outstanding: f.Outstanding(),
		Region: p.Region, Village: p.Village, StartedAt: x.Now(), Mode: cases.ModeSelf, Confirmed: true,
		Actor: cases.Actor{Role: cases.RoleResident, Demo: p.Demo}}
	for i, s := range scans {
		d.Scans = append(d.Scans, cases.Scan{Material: "户口簿", Page: i + 1, MIME: "image/jpeg", Data: s})
	}
	return d
}

// filled is the draft of a service with made-up answers.
func (x *terminal) filled(service string, scans ...[]byte) cases.Draft {
	x.t.Helper()
	f := x.formOf(service)
	if err := form.FillSample(f); err != nil {
		x.t.Fatal(err)
	}
	return x.draftOf(f, scans...)
}

// submit saves a draft; it must be saved.
func (x *terminal) submit(d cases.Draft) cases.Case {
	x.t.Helper()
	c, err := x.Submit(x.t.Context(), d)
	if err != nil {
		x.t.Fatalf("%s: %v", d.Service, err)
	}
	if c.State != cases.Saved || c.ID != d.ID {
		x.t.Fatalf("submitted, but %+v", c)
	}
	return c
}

// state is what the vault says about a case.
func (x *terminal) state(id string) cases.State {
	x.t.Helper()
	c, err := x.Case(x.t.Context(), id)
	if err != nil {
		x.t.Fatal(err)
	}
	return c.State
}

// The clerk of the tests.
const (
	clerkNumber = "1001"
	clerkPIN    = "246810"
)

// clerk makes an account at the county, waits for it and signs in.
func (h *house) clerk() {
	h.t.Helper()
	if _, err := h.county.PutStaff(h.t.Context(), upstream.Staff{Number: clerkNumber, Name: "李秀英", Roles: []string{"clerk"}, PIN: clerkPIN}, "test"); err != nil {
		h.t.Fatal(err)
	}
	var err error
	h.await("the account", func() bool {
		_, err = h.SignIn(h.t.Context(), clerkNumber, clerkPIN, staff.Clerk)
		return err == nil || !errors.Is(err, staff.ErrNone)
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// atCounty counts the cases that the county has.
func (h *house) atCounty() int {
	h.t.Helper()
	list, err := h.county.Cases(h.t.Context(), upstream.CaseQuery{})
	if err != nil {
		h.t.Fatal(err)
	}
	return len(list)
}
