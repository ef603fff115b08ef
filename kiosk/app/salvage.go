package app

import (
	"context"
	"errors"

	"cunban/kiosk/vault"
)

// salvage reads every vault that was set aside and queues what the county does
// not have. What is read is told even if something failed.
func (a *App) salvage(ctx context.Context) (out []vault.Salvaged, err error) {
	marks, err := a.vault.Aside(ctx)
	if err != nil {
		return nil, err
	}
	out = []vault.Salvaged{}
	for _, m := range marks {
		rep, e := a.vault.Salvage(ctx, m)
		out, err = append(out, rep), errors.Join(err, e)
	}
	if g := a.engineNow(); g != nil {
		g.Wake()
	}
	return out, err
}

// salvageNow does it beside the first page, when this start set a vault aside:
// nobody needs to know a command for what is unsent to be sent.
func (a *App) salvageNow() {
	damaged := false
	for _, i := range a.vault.Incidents() {
		damaged = damaged || i.Kind == vault.IncidentDamaged
	}
	if !damaged {
		return
	}
	a.chores.put("salvage", func(ctx context.Context) {
		got, err := a.salvage(ctx)
		if err != nil {
			a.log.Error("salvage", "err", err)
		}
		for _, r := range got {
			a.log.Warn("salvaged", "aside", r.Aside, "queued", r.Queued, "lost", r.Lost, "pages", r.Pages)
		}
	})
}
