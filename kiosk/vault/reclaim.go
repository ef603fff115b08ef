package vault

import (
	"context"
	"errors"

	"cunban/kiosk/oplog"
	"cunban/kiosk/resident"
	"cunban/kiosk/seal"
)

// metaOwner begins the names of the owner keys of vaults that were salvaged.
const metaOwner = "owner/"

// keepOwnerKey keeps the key by which a vault that was set aside indexed its
// cases' owners; nil when it could not be read.
func (v *Vault) keepOwnerKey(ctx context.Context, mark string, key []byte) error {
	if key == nil {
		return nil
	}
	return v.change(ctx, "keep an owner key", func(c *change) error {
		return c.exec("INSERT INTO meta(key, val) VALUES(?,?) ON CONFLICT(key) DO UPDATE SET val=excluded.val", metaOwner+mark, key)
	})
}

// Reclaim gives a person the cases that were salvaged from vaults set aside: an
// ID number is kept nowhere, so that it takes the person with the card to find
// under which index they stood there. It tells how many they were. It costs next
// to nothing where nothing was ever set aside.
func (v *Vault) Reclaim(ctx context.Context, n resident.IDNumber) (found int, err error) {
	const what = "give salvaged cases to their owner"
	db, err := v.reader(ctx, what)
	if err != nil {
		return 0, err
	}
	former, err := readBlobs(db, "SELECT val FROM meta WHERE key>? AND key<?", metaOwner, metaOwner+"~")
	if err != nil {
		return 0, v.fail(what, err)
	}
	for _, key := range former {
		index := seal.MAC(key, []byte(n.Reveal()))
		clear(key)
		theirs, err := v.ByOwner(ctx, index)
		if err != nil {
			return found, err
		}
		for _, cs := range theirs {
			err := v.change(ctx, what, func(c *change) error {
				now, err := c.caseOf(cs.ID)
				if err != nil {
					return err
				}
				now.Owner = v.OwnerIndex(n)
				if err := c.putCase(now); err != nil {
					return err
				}
				_, err = c.record(entry(oplog.CaseReclaim, now, system, nil), nil)
				return err
			})
			if err != nil {
				return found, err
			}
			found++
		}
	}
	return found, nil
}

// readBlobs reads the one column of a few rows.
func readBlobs(q query, text string, args ...any) (out [][]byte, err error) {
	rows, err := q.Query(text, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, rows.Err()
}
