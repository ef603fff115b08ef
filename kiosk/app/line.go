package app

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"cunban/kiosk/listing"
	"cunban/kiosk/oplog"
	"cunban/kiosk/staff"
	"cunban/sync"
	"cunban/sync/wire"
)

// startEngine begins to talk to the county, if the terminal is enrolled.
func (a *App) startEngine() {
	a.runMu.Lock()
	defer a.runMu.Unlock()
	if a.ctx.Err() != nil {
		return
	}
	id, enrolled := a.identity()
	if !enrolled || a.cfg.Upstream == "" {
		return
	}
	creds, err := sync.LoadCredentials(a.ctx, a.vault)
	if err != nil {
		a.log.Error("no credentials", "err", err)
		return
	}
	e, err := sync.New(sync.Options{
		Store: a.vault, Credentials: creds, Base: a.cfg.Upstream, Terminal: id.ID, Program: a.program(), Now: a.o.Now,
		OnEvent: a.syncEvent, Logger: a.log, Health: a.health, PortalProbe: a.cfg.PortalProbe,
		UploadRate: int64(a.cfg.UploadRateKB) << 10, Check: checkObject,
	})
	if err != nil {
		a.log.Error("sync cannot start", "err", err)
		return
	}
	ctx, cancel := context.WithCancel(a.ctx)
	ended := make(chan struct{})
	a.mu.Lock()
	a.engine, a.creds, a.endEng = e, creds, func() { cancel(); <-ended }
	a.mu.Unlock()
	go func() {
		defer close(ended)
		if err := e.Run(ctx); err != nil {
			a.log.Error("sync ended", "err", err)
		}
	}()
}

// stopEngine ends the engine that runs and waits until it has let go of the
// store.
func (a *App) stopEngine() {
	a.runMu.Lock()
	defer a.runMu.Unlock()
	a.mu.Lock()
	end := a.endEng
	a.endEng = nil
	a.mu.Unlock()
	if end != nil {
		end()
	}
}

// enrolledNow takes a fresh identity into use.
func (a *App) enrolledNow(id wire.Identity) {
	a.stopEngine()
	a.mu.Lock()
	a.id, a.enrolled, a.engine, a.out = id, true, nil, false
	a.mu.Unlock()
	if err := a.loadDivisions(id.Region); err != nil {
		a.log.Error("the lists keep their order", "err", err) // they were read at the start
	}
	a.startEngine()
	a.makePoint(a.ctx)
}

// syncEvent follows the engine. It runs on the engine's goroutines and must not
// block; pages are told through the shell.
func (a *App) syncEvent(e sync.Event) {
	switch e.Kind {
	case sync.EventLine:
		a.note(oplog.LineState, oplog.OK, "", map[string]string{"to": string(e.Line.Kind)})
		a.lineTellsRevoked(e.Line.Kind)
		a.tell().LineChanged(e.Line)
	case sync.EventAccepted:
		a.tell().CaseChanged(e.Case)
	case sync.EventUpdate, sync.EventAttention:
		a.caseMoved(e.CaseID)
	case sync.EventDownlink:
		a.downlink(e)
	case sync.EventRefused:
		a.note(oplog.DownlinkRefused, oplog.Refused, "", map[string]string{"kind": string(e.Object), "id": e.ID})
	case sync.EventRevoked:
		a.setRevoked(e.Text != "")
	case sync.EventStore:
		a.log.Error("sync: store", "text", e.Text, "detail", e.Detail)
	case sync.EventCheckpoint:
		a.log.Error("the county refused a log checkpoint", "detail", e.Detail)
	case sync.EventSent, sync.EventRetry, sync.EventRenewed:
	}
}

// keyRevoked keeps that the county refused this terminal, so that it stays closed
// over a start without a line. Empty = it did not.
const keyRevoked = "terminal/revoked"

// lineTellsRevoked follows the line: the county says that a terminal is switched
// off in the downlink, or by refusing it at the door. Only a line that works
// says the contrary.
func (a *App) lineTellsRevoked(k sync.LineKind) {
	switch k {
	case sync.LineRevoked:
		a.setRevoked(true)
	case sync.LineUp:
		a.setRevoked(false)
	case sync.LineConnecting, sync.LineBusy, sync.LineDown, sync.LinePortal, sync.LineCertificate, sync.LineSignIn:
	}
}

func (a *App) setRevoked(out bool) {
	a.mu.Lock()
	same := a.out == out
	a.out = out
	a.mu.Unlock()
	if same {
		return
	}
	a.chores.put("revoked", func(ctx context.Context) {
		val := []byte{}
		if a.revoked() {
			val = []byte("1")
		}
		if err := a.vault.Put(ctx, keyRevoked, val); err != nil {
			a.log.Error("not kept that the terminal is revoked", "err", err)
		}
	})
	a.factsChanged() // after it is kept: a closed page stays closed
}

// wasRevoked is what was known at the end of the last run.
func (a *App) wasRevoked(ctx context.Context) (bool, error) {
	own, _, err := a.vault.Get(ctx, keyRevoked)
	if err != nil {
		return false, err
	}
	reason, err := sync.Revoked(ctx, a.vault)
	return len(own) > 0 || reason != "", err
}

// caseMoved tells pages of a case that the county moved.
func (a *App) caseMoved(id string) {
	a.chores.put("", func(ctx context.Context) {
		c, err := a.vault.Case(ctx, id)
		if err != nil {
			a.log.Warn("case moved but cannot be read", "err", err)
			return
		}
		a.tell().CaseChanged(c)
	})
}

// downlink takes what came down into use.
func (a *App) downlink(e sync.Event) {
	switch e.Object {
	case wire.KindCatalogue:
		a.chores.put("catalogue", a.loadDownlinkedCatalogue)
	case wire.KindNotice, wire.KindConfig:
		a.factsChanged()
	case wire.KindCaseUpdate, wire.KindStaff, wire.KindJob, wire.KindCourse, wire.KindEvent, wire.KindPost, wire.KindPolicy, wire.KindRevoke:
	}
}

// checkObject refuses what could not be taken into use, so that it never
// replaces what is good: the county hears of it and the version before stays.
// A catalogue comes in two objects and is checked whole when both are there.
func checkObject(k wire.Kind, id string, data []byte) error {
	var err error
	switch k {
	case wire.KindStaff:
		var acc staff.Account
		if err = json.Unmarshal(data, &acc); err == nil && acc.Number != id {
			err = fmt.Errorf("account %q is not %q", acc.Number, id)
		}
	case wire.KindJob:
		_, err = listing.ParseJob(data)
	case wire.KindCourse:
		_, err = listing.ParseCourse(data)
	case wire.KindEvent:
		_, err = listing.ParseEvent(data)
	case wire.KindPost:
		_, err = listing.ParsePost(data)
	case wire.KindPolicy:
		_, err = listing.ParsePolicy(data)
	case wire.KindNotice:
		_, err = listing.ParseNotice(data)
	case wire.KindCaseUpdate, wire.KindCatalogue, wire.KindConfig, wire.KindRevoke:
	}
	return err
}

// helpFor is how long a call for help shows on the county's page.
const helpFor = 10 * time.Minute

// health describes the terminal for the county; nothing about residents.
func (a *App) health(ctx context.Context) wire.Health {
	h := wire.Health{At: a.Now().UTC(), StartedAt: a.started.UTC(), Version: a.o.Version, Catalogue: a.Catalogue().Version,
		Demo: a.Point().Demo, BootID: bootID()}
	for _, d := range a.Devices() {
		h.Devices = append(h.Devices, wire.Device{LastGood: utc(d.LastGood), Kind: string(d.Kind), Name: d.Name, State: string(d.State), Code: d.Code,
			Cause: d.Cause, Remedy: d.Remedy, Detail: d.Detail, Demo: d.Demo, Since: d.Since.UTC(), Counters: d.Counters})
	}
	if s, err := a.vault.Stats(ctx); err == nil {
		h.Disk = wire.Disk{FreeBytes: s.FreeBytes, VaultBytes: s.Bytes}
	}
	for _, i := range a.vault.Incidents() {
		h.Faults = append(h.Faults, wire.Fault{Code: "VT-" + string(i.Kind), Text: i.Text, Level: 2, Since: i.At.UTC(), Detail: i.Detail})
	}
	h.Ratings = a.ratings(ctx)
	a.mu.Lock()
	at := a.helpAt
	a.mu.Unlock()
	if !at.IsZero() && a.o.Now().Sub(at) < helpFor {
		h.Faults = append(h.Faults, wire.Fault{Code: "HC-01", Text: "有群众按了“呼叫帮办”", Level: 4, Since: at.UTC()})
	}
	return h
}

// utc is nil for no time.
func utc(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// bootID names this boot of the machine, "" where the system does not tell.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// machineSerial makes a serial number of the machine's own, for terminals whose
// configuration gives none.
func machineSerial() string {
	for _, p := range []string{"/sys/class/dmi/id/product_serial", "/etc/machine-id"} {
		if b, err := os.ReadFile(p); err == nil {
			if s := strings.TrimSpace(string(b)); wire.ValidTerminal(s) {
				return s
			}
		}
	}
	return "UNKNOWN"
}
