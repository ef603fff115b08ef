package vault

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
)

// Limits of settings.
const (
	maxSettingKey   = 256     // bytes
	maxSettingValue = 8 << 20 // bytes
)

// Prefixes of settings that sync writes; see sync.Key….
const (
	prefixSync      = "sync/"
	prefixLock      = "staff/lock/" // lock-outs of sign-in (kiosk/staff)
	prefixRating    = "rating/"
	prefixVersions  = "downlink-version/"
	prefixNight     = "nightly/" // kiosk/app's own notes
	prefixDevice    = "device/"  // kiosk/app: what devices did
	prefixDownlink  = "downlink/"
	keyCursor       = "downlink/cursor"
	sourceOfSetting = "vault"
)

// Get reads a setting.
func (v *Vault) Get(ctx context.Context, key string) (val []byte, ok bool, err error) {
	db, err := v.reader(ctx, "read setting "+key)
	if err != nil {
		return nil, false, err
	}
	err = db.QueryRow("SELECT val FROM settings WHERE key=?", key).Scan(&val)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	return val, err == nil, v.fail("read setting "+key, err)
}

func (c *change) setting(key string) (val []byte, ok bool, err error) {
	err = c.tx.QueryRow("SELECT val FROM settings WHERE key=?", key).Scan(&val)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	return val, err == nil, err
}

// Put writes a setting. Errors: ErrSetting.
func (v *Vault) Put(ctx context.Context, key string, val []byte) error {
	return v.PutAll(ctx, map[string][]byte{key: val})
}

// PutAll writes several settings, all or none. What changes how the terminal
// works (not the notes that sync makes for itself) is in the log. Errors:
// ErrSetting.
func (v *Vault) PutAll(ctx context.Context, vals map[string][]byte) error {
	for k, val := range vals {
		if k == "" || len(k) > maxSettingKey || len(val) > maxSettingValue {
			return fmt.Errorf("vault: %w: key %.40q with %d bytes", ErrSetting, k, len(val))
		}
	}
	return v.changeIf(ctx, "write settings", func(c *change) error {
		changed := false
		for _, k := range slices.Sorted(maps.Keys(vals)) {
			old, ok, err := c.setting(k)
			if err != nil {
				return err
			}
			if ok && bytes.Equal(old, vals[k]) {
				continue
			}
			changed = true
			val := vals[k]
			if val == nil {
				val = []byte{} // SQLite would take nil for NULL
			}
			if err := c.exec("INSERT INTO settings(key, val) VALUES(?,?) ON CONFLICT(key) DO UPDATE SET val=excluded.val", k, val); err != nil {
				return err
			}
			if err := c.logSetting(k); err != nil {
				return err
			}
			if k == keyCountySign && ok {
				if err := c.keepFormer(old); err != nil {
					return err
				}
			}
			if k != keyCountySeal {
				continue
			}
			if key, err := seal.ParsePublicKey(val); err != nil {
				v.log.Warn("vault: the county's seal key is not usable, the log keeps its MAC chain", "err", err)
			} else if err := c.reseed(key); err != nil {
				return err
			}
		}
		if !changed {
			return errNothing
		}
		return nil
	})
}

// Delete removes a setting; no error when there is none.
func (v *Vault) Delete(ctx context.Context, key string) error {
	return v.changeIf(ctx, "delete setting "+key, func(c *change) error {
		r, err := c.tx.Exec("DELETE FROM settings WHERE key=?", key)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, errNothing)
		}
		return c.logSetting(key)
	})
}

// logSetting records that a setting changed. Its value is never in the log.
func (c *change) logSetting(key string) error {
	var e oplog.Entry
	switch {
	case key == keyCursor, strings.HasPrefix(key, prefixSync), strings.HasPrefix(key, prefixVersions), strings.HasPrefix(key, prefixNight),
		strings.HasPrefix(key, prefixDevice):
		return nil // the program's own notes
	case strings.HasPrefix(key, prefixLock), strings.HasPrefix(key, prefixRating):
		// The key holds what somebody typed as a number, or a case: sign-ins
		// and ratings have records of their own.
		return nil
	case strings.HasPrefix(key, prefixDownlink):
		kind, id, _ := strings.Cut(key[len(prefixDownlink):], "/")
		e = oplog.Entry{Event: oplog.DownlinkApplied, Fields: map[string]string{"kind": kind, "id": id}}
	default:
		e = oplog.Entry{Event: oplog.ConfigChange, Fields: map[string]string{"key": key, "source": sourceOfSetting}}
	}
	_, err := c.record(lawful(e), nil)
	return err
}

// Keys lists the keys of settings that begin with prefix, in order.
func (v *Vault) Keys(ctx context.Context, prefix string) (out []string, err error) {
	db, err := v.reader(ctx, "list settings")
	if err != nil {
		return nil, err
	}
	rows, err := db.Query("SELECT key FROM settings WHERE key>=? AND substr(key,1,length(?))=? ORDER BY key", prefix, prefix, prefix)
	if err != nil {
		return nil, v.fail("list settings", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var k string
		if err := rows.Scan(&k); err != nil {
			return nil, v.fail("list settings", err)
		}
		out = append(out, k)
	}
	return out, v.fail("list settings", rows.Err())
}
