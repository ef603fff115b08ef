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
// the terminal's own certificate, or the county's, which countersigns. A
// terminal that was set up anew has had other keys: the receipt names its log.
func keyCmd(ctx context.Context, a *app, args []string) error {
	fset, c := a.flags("key")
	id := fset.String("terminal", "", "id of the terminal; none = the county's own key")
	log := fset.String("log", "", "name of the log, cunban/log-…, as receipt verify tells; none = the present one")
	if _, err := parse(fset, c, args, 0); err != nil {
		return err
	}
	if *id == "" && *log != "" {
		return errUsage
	}
	return with(ctx, c, func(county *upstream.County) error {
		key, name := county.Keys().Sign.Public(), oplog.CountyName
		if *id != "" {
			var err error
			if key, err = logKey(ctx, county, *id, *log); err != nil {
				return err
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

// logKey finds the key of one of a terminal's logs; "" is the present one.
func logKey(ctx context.Context, county *upstream.County, terminal, log string) (*seal.PublicKey, error) {
	keys, err := county.LogKeys(ctx, terminal)
	switch {
	case errors.Is(err, upstream.ErrNotFound):
		return nil, fmt.Errorf("terminal %s: %w", terminal, errNoKey)
	case err != nil:
		return nil, err
	case log == "":
		return keys[0], nil
	}
	for _, k := range keys {
		if oplog.Origin(k) == log {
			return k, nil
		}
	}
	return nil, fmt.Errorf("terminal %s: %w: no log %s", terminal, upstream.ErrNotFound, log)
}
