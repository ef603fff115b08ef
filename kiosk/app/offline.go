package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"cunban/device"
	"cunban/kiosk/app/config"
	"cunban/kiosk/app/control"
	"cunban/kiosk/catalog"
	"cunban/kiosk/vault"
	"cunban/sync"
)

// ErrNoVault means that no terminal ever ran on the data folder.
var ErrNoVault = errors.New("no vault there")

// Offline answers a question of kioskctl from the vault alone, when no terminal
// runs. Devices are not asked: their drivers belong to a running program.
func Offline(ctx context.Context, c config.Config, version, do string) (raw json.RawMessage, err error) {
	err = withVault(ctx, c, version, func(a *App) (err error) {
		raw, err = a.offline(ctx, do)
		return err
	})
	return raw, err
}

// withVault opens the vault of a terminal that does not run, for f.
func withVault(ctx context.Context, c config.Config, version string, f func(*App) error) (err error) {
	o, err := closedVault(c, version)
	if err != nil {
		return err
	}
	v, err := vault.Open(ctx, o)
	if err != nil {
		return vaultTrouble(err)
	}
	defer func() { err = errors.Join(err, v.Close(context.WithoutCancel(ctx))) }()
	a := &App{log: slog.New(slog.DiscardHandler), cfg: c, vault: v, o: Options{Version: version, Now: time.Now}}
	if a.id, a.enrolled, err = sync.LoadIdentity(ctx, v); err != nil {
		return err
	}
	cat, err := catalog.Embedded()
	if err != nil {
		return err
	}
	a.catalogue.Store(cat)
	return f(a)
}

func (a *App) offline(ctx context.Context, do string) (_ json.RawMessage, err error) {
	var out any
	switch do {
	case "status":
		out, err = a.Status(ctx)
	case "queue":
		items, n, e := a.Queue(ctx)
		out, err = QueueView(items, n), e
	case "devices":
		out = []device.Health{}
		err = fmt.Errorf("devices: %w", control.ErrNotRunning)
	case "vault-key":
		out, err = keyAnswer(a.vault)
	case "log-verify":
		out, err = a.VerifyLog(ctx, nil)
	case "log-export":
		out, err = a.exported(ctx)
	case "vault-salvage":
		out, err = a.salvage(ctx)
	default:
		return nil, fmt.Errorf("%s: %w", do, control.ErrNotRunning)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// Exported names the files of an exported log.
type Exported struct {
	Path string // the log
	Key  string // the terminal's public log key, PEM
}

func (a *App) exported(ctx context.Context) (Exported, error) {
	path, err := a.ExportLog(ctx)
	return Exported{Path: path, Key: path + KeySuffix}, err
}
