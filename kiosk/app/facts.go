package app

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"cunban/device"
	"cunban/kiosk/cases"
	"cunban/kiosk/catalog"
	"cunban/kiosk/form"
	"cunban/kiosk/listing"
	"cunban/kiosk/oplog"
	"cunban/kiosk/paper"
	"cunban/kiosk/session"
	"cunban/kiosk/ui"
	"cunban/sync"
	"cunban/sync/wire"
)

// This file is the part of ui.Backend that answers at once from memory.

var _ ui.Backend = (*App)(nil)

// Now is the county's time as well as it is known.
func (a *App) Now() time.Time {
	if e := a.engineNow(); e != nil {
		return e.Clock().Now()
	}
	return a.o.Now()
}

// Version of the program.
func (a *App) Version() string { return a.o.Version }

// settings are the free settings that the county sends with the identity.
type settings struct {
	Town           string `json:"town"`
	Address        string `json:"address"`
	Hours          string `json:"hours"`
	Person         string `json:"person"`
	PersonPhone    string `json:"person_phone"`
	ConsultPhone   string `json:"consult_phone"`
	ComplaintPhone string `json:"complaint_phone"`
}

// Point is the service point the terminal stands in.
func (a *App) Point() ui.Point {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.point
}

// factsChanged asks for a new Point, from anywhere.
func (a *App) factsChanged() { a.chores.put("point", a.makePoint) }

// makePoint works out Point and Office, whenever identity, devices, the line or
// notices changed. It reads the vault: see factsChanged.
func (a *App) makePoint(ctx context.Context) {
	a.pointMu.Lock()
	defer a.pointMu.Unlock()
	id, enrolled := a.identity()
	var set settings
	if len(id.Settings) > 0 {
		if err := json.Unmarshal(id.Settings, &set); err != nil {
			a.log.Warn("county settings cannot be read", "err", err)
		}
	}
	o := a.cfg.Office
	office := paper.Office{
		County: o.County, Address: first(set.Address, o.Address), Hours: first(set.Hours, o.Hours),
		Terminal: id.ID, Person: first(set.Person, o.Person), PersonPhone: first(set.PersonPhone, o.PersonPhone),
		ConsultPhone: first(set.ConsultPhone, o.ConsultPhone), ComplaintPhone: first(set.ComplaintPhone, o.ComplaintPhone),
	}
	town := first(set.Town, a.townName(id.Region))
	office.Point = town + id.Village + "就业社保服务点"
	demo := a.demo()
	p := ui.Point{
		County: "芮城县", Town: town, Village: id.Village, Name: first(id.Name, "芮城县就业社保服务"), Region: id.Region,
		TerminalID: id.ID, Serial: a.serial, Enrolled: enrolled, Demo: demo || id.Demo,
		Phone: first(office.PersonPhone, office.ConsultPhone), Hours: office.Hours, Ticker: a.ticker(ctx),
	}
	switch {
	case enrolled && demo && !id.Demo:
		p.Closed = "这台终端接着模拟设备，不能办真的业务。请技术员拔掉模拟设备"
	case enrolled && a.revoked():
		p.Closed = "县里已停用这台终端。没有上传的办件都在本机，不会丢"
	case a.fault() != "":
		p.Closed = a.fault()
	}
	a.mu.Lock()
	changed := p.Enrolled != a.point.Enrolled || p.Closed != a.point.Closed
	a.point, a.office = p, office
	a.mu.Unlock()
	if changed {
		a.tell().PointChanged()
	}
}

func (a *App) townName(region string) string {
	if len(region) < 9 {
		return ""
	}
	name := a.divisions.Load().Name(region[:9])
	// The full name begins with province, city and county.
	for _, cut := range []string{"山西省", "运城市", "芮城县"} {
		name = strings.TrimPrefix(name, cut)
	}
	return name
}

// Office is whom to ask, for papers.
func (a *App) Office() paper.Office {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.office
}

// Catalogue is the version in use.
func (a *App) Catalogue() *catalog.Catalogue { return a.catalogue.Load() }

// Calendar knows the working days.
func (a *App) Calendar() cases.Calendar { return a.calendar }

// Divisions names division codes.
func (a *App) Divisions() form.Divisions { return a.divisions.Load() }

// Line is how the line is now.
func (a *App) Line() sync.LineState {
	if e := a.engineNow(); e != nil {
		return e.Line()
	}
	return sync.LineState{Kind: sync.LineDown, Text: "还没有连接县里"}
}

// Session is who is at the screen.
func (a *App) Session() session.Snapshot { return a.sess.Current() }

// Devices lists the last known condition of every configured device.
func (a *App) Devices() []device.Health {
	out := make([]device.Health, 0, len(a.devices))
	seen := map[device.Kind]bool{}
	for _, d := range a.devices {
		h := d.Health()
		if !seen[h.Kind] { // what was before is known of a kind only
			h = a.past.whole(h)
		}
		seen[h.Kind] = true
		out = append(out, h)
	}
	return out
}

// demo reports whether any simulated hardware is connected.
func (a *App) demo() bool {
	for _, d := range a.devices {
		if d.Health().Demo {
			return true
		}
	}
	return false
}

// Have tells what forms can count on.
func (a *App) Have() form.Devices {
	var h form.Devices
	for _, s := range a.Sources() {
		if s.Health.State.Usable() || s.Health.State == device.StateBusy {
			h.Scan = true
		}
	}
	h.PINPad = a.pinPad() != nil
	return h
}

// ticker is one line of news for the home page.
func (a *App) ticker(ctx context.Context) string {
	items, _, err := sync.List(ctx, a.vault, wire.KindNotice)
	if err != nil {
		return ""
	}
	for _, raw := range items {
		if n, err := listing.ParseNotice(raw); err == nil && n.Title != "" {
			return n.Title
		}
	}
	return ""
}

// note writes a system record to the log.
func (a *App) note(e oplog.Event, o oplog.Outcome, dev string, fields map[string]string) {
	a.record(oplog.Entry{Event: e, Outcome: o, Role: oplog.RoleSystem, Device: dev, Fields: fields, Session: a.sess.Current().Number})
}

// record hands an entry to the writer of the log; it never blocks the caller
// and never loses an entry while the program runs.
func (a *App) record(e oplog.Entry) {
	e.Demo = a.Point().Demo
	e.Fields = maps.Clone(e.Fields) // written later, by another goroutine
	a.entries.put(e)
}

// Note implements ui.Backend.
func (a *App) Note(_ context.Context, e oplog.Event, outcome oplog.Outcome, caseID string, fields map[string]string) {
	s := a.sess.Current()
	entry := oplog.Entry{Event: e, Outcome: outcome, CaseID: caseID, Fields: fields, Session: s.Number, Role: oplog.RoleResident}
	switch {
	case s.Technician != nil:
		entry.Role, entry.Account = oplog.RoleTechnician, s.Technician.Number
	case s.Helper != nil:
		entry.Role, entry.Account = oplog.RoleStaff, s.Helper.Number
	}
	if e == oplog.FormBegin {
		if left := a.forms.begin(entry); left != nil {
			a.record(*left)
		}
	}
	a.record(entry)
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// also joins sentences, each of which may or may not have its stop; what comes
// out has none at the end.
func also(sentence string, more ...string) string {
	out := strings.TrimSuffix(sentence, "。")
	for _, m := range more {
		out += "。" + strings.TrimSuffix(m, "。")
	}
	return out
}

// plain wraps a backend error for people.
func plain(code, text, remedy string, err error) error {
	return &ui.Trouble{Code: code, Text: text, Remedy: remedy, Detail: fmt.Sprint(err), Err: err}
}
