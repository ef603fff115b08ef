package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"cunban/kiosk/app/control"
	"cunban/kiosk/cases"
	"cunban/kiosk/ui"
)

// QueueAnswer is the answer to "queue".
type QueueAnswer struct {
	Counts cases.Counts
	Items  []QueueItem
}

// QueueItem is one case on its way, for technicians; nothing about its owner.
type QueueItem struct {
	CaseID   string `json:"case_id"`
	Revision int    `json:"revision"`
	Service  string `json:"service"`
	State    string `json:"state"`
	Attempts int    `json:"attempts"`
	SavedAt  string `json:"saved_at"`
	NextTry  string `json:"next_try,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Detail   string `json:"detail,omitempty"`
}

// openDoor opens the control socket.
func (a *App) openDoor() (func(), error) {
	f, err := control.Serve(a.ctx, control.Path(a.cfg.Data), a.command)
	if err != nil {
		return func() {}, err
	}
	return f, nil
}

// command answers one question of kioskctl.
func (a *App) command(ctx context.Context, r control.Request) (any, error) {
	switch r.Do {
	case "status":
		return a.Status(ctx)
	case "devices":
		return a.Devices(), nil
	case "queue":
		items, n, err := a.Queue(ctx)
		if err != nil {
			return nil, err
		}
		return QueueView(items, n), nil
	case "cases":
		return a.vault.List(ctx, cases.Query{Limit: 1000})
	case "vault-key":
		return keyAnswer(a.vault)
	case "log-verify":
		return a.VerifyLog(ctx, nil)
	case "log-export":
		return a.exported(ctx)
	case "log-query":
		var q LogQuestion
		if err := json.Unmarshal(r.Args, &q); err != nil {
			return nil, fmt.Errorf("log-query: %w", err)
		}
		return a.logPage(ctx, q)
	case "vault-salvage":
		return a.salvage(ctx)
	case "wake":
		return a.Probe(ctx), nil
	case "enrol":
		var in struct {
			Code string `json:"code"`
		}
		if err := json.Unmarshal(r.Args, &in); err != nil {
			return nil, fmt.Errorf("enrol: %w", err)
		}
		return a.Enrol(ctx, in.Code, func(string) {})
	case "quit":
		a.quit()
		return "stopping", nil
	case "screen":
		// What is on the screen may be a person's data: only for demonstrations.
		if !a.o.Automation || !a.Point().Demo {
			return nil, errors.New("the automation door is shut")
		}
		return a.look(ctx)
	}
	return nil, fmt.Errorf("unknown question %q (allowed: status, devices, queue, cases, vault-key, log-verify, log-export, log-query, vault-salvage, wake, enrol, quit)", r.Do)
}

// look asks the window what it shows; a window that is closing may not answer.
func (a *App) look(ctx context.Context) (ui.ScreenState, error) {
	got := make(chan ui.ScreenState, 1)
	go func() { got <- a.tell().State() }() // ends with the window at the latest
	select {
	case st := <-got:
		return st, nil
	case <-ctx.Done():
		return ui.ScreenState{}, ctx.Err()
	}
}

// QueueView is the queue as kioskctl shows it.
func QueueView(items []cases.Item, n cases.Counts) QueueAnswer {
	q := QueueAnswer{Counts: n, Items: []QueueItem{}}
	for _, i := range items {
		it := QueueItem{CaseID: i.CaseID, Revision: i.Revision, Service: i.Service, State: string(i.State), Attempts: i.Attempts,
			SavedAt: i.SavedAt.In(ui.Beijing).Format("2006-01-02 15:04:05"), Reason: i.Reason, Detail: i.Detail}
		if !i.NextTry.IsZero() {
			it.NextTry = i.NextTry.In(ui.Beijing).Format("2006-01-02 15:04:05")
		}
		q.Items = append(q.Items, it)
	}
	return q
}
