package main

import (
	"context"
	"errors"
	"fmt"

	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
	"cunban/sync/upstream"
)

// errNoKey means that a terminal has not handed in its log yet.
var errNoKey = errors.New("this terminal has not handed in its operation log yet: its key comes with the first checkpoint")

// keyCmd prints a public key that receipts and exported logs are checked with:
// the one that signs a terminal's log, as its first checkpoint brought it over
// the terminal's own certificate, or the county's, which countersigns.
func keyCmd(ctx context.Context, a *app, args []string) error {
	fset, c := a.flags("key")
	id := fset.String("terminal", "", "id of the terminal; none = the county's own key")
	if _, err := parse(fset, c, args, 0); err != nil {
		return err
	}
	return with(ctx, c, func(county *upstream.County) error {
		key, name := county.Keys().Sign.Public(), oplog.CountyName
		if *id != "" {
			l, err := county.Log(ctx, *id)
			switch {
			case errors.Is(err, upstream.ErrNotFound) || err == nil && len(l.Key) == 0:
				return fmt.Errorf("terminal %s: %w", *id, errNoKey)
			case err != nil:
				return err
			}
			if key, err = seal.ParsePublicKeyDER(l.Key); err != nil {
				return fmt.Errorf("terminal %s: %w", *id, err)
			}
			name = oplog.Origin(key)
		}
		if c.json {
			return a.json(map[string]string{"terminal": *id, "name": name, "id": key.ID(), "key": string(key.PEM())})
		}
		_, err := a.out.Write(key.PEM())
		return err
	})
}
