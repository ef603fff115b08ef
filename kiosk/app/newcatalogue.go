package app

import (
	"context"

	"cunban/kiosk/catalog"
	"cunban/kiosk/oplog"
	"cunban/sync"
	"cunban/sync/wire"
)

// The county's catalogue comes in two objects, which the downlink replaces as
// they come. The pair that was taken into use last is kept apart, so that a
// broken one that came later does not turn the next start back to the catalogue
// of the program.
const (
	keyGoodServices = "catalogue/services"
	keyGoodCodes    = "catalogue/codes"
)

// Names of the two objects, and of their files in messages.
const (
	objServices  = "services"
	objCodes     = "codes"
	fileServices = "county services.json"
	fileCodes    = "county codes.json"
)

// loadGoodCatalogue takes the pair that was in use before this start, if it is
// newer than the program's own.
func (a *App) loadGoodCatalogue(ctx context.Context) {
	services, ok1, err1 := a.vault.Get(ctx, keyGoodServices)
	codes, ok2, err2 := a.vault.Get(ctx, keyGoodCodes)
	if err1 != nil || err2 != nil || !ok1 || !ok2 {
		return
	}
	c, err := catalog.Load(services, codes, fileServices, fileCodes)
	if err != nil {
		// A newer program may be stricter than the one that took it.
		a.log.Error("the catalogue of the last start is refused", "err", err)
		return
	}
	if catalog.Newer(c.Version, a.Catalogue().Version) {
		a.catalogue.Store(c)
	}
}

// loadDownlinkedCatalogue swaps the catalogue when the county's is newer and
// sound; a broken one is refused and the present one stays.
func (a *App) loadDownlinkedCatalogue(ctx context.Context) {
	services, ok1, err1 := sync.Object(ctx, a.vault, wire.KindCatalogue, objServices)
	codes, ok2, err2 := sync.Object(ctx, a.vault, wire.KindCatalogue, objCodes)
	if err1 != nil || err2 != nil || !ok1 || !ok2 {
		return
	}
	now := a.Catalogue().Version
	c, err := catalog.Load(services, codes, fileServices, fileCodes)
	if err != nil {
		a.log.Error("the county's catalogue is refused", "err", err)
		a.note(oplog.CatalogueChange, oplog.Refused, "", map[string]string{"from": now})
		return
	}
	if !catalog.Newer(c.Version, now) {
		return
	}
	if err := a.vault.PutAll(ctx, map[string][]byte{keyGoodServices: services, keyGoodCodes: codes}); err != nil {
		a.log.Error("the county's catalogue is not kept", "err", err)
	}
	a.catalogue.Store(c)
	a.note(oplog.CatalogueChange, oplog.OK, "", map[string]string{"from": now, "to": c.Version})
}
