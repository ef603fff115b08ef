package vault

import (
	"context"
	"errors"
	"fmt"
	"os"

	"cunban/kiosk/oplog"
	"cunban/kiosk/vault/keys"
)

// ErrNoBackup means that the key in use belongs in its device alone.
var ErrNoBackup = errors.New("the key of a certified device is not written to a file")

// BackupKey writes the key of the source in use to a key file (keys.File and
// keys.USB read it, and systemd-creds takes it), for the day when a security
// chip is cleared or its board dies. The vault must be closed; path must not be
// there. Whoever has the file and the disk can read what the terminal can. The
// log has a record of it.
//
// Errors: those of Open, ErrNoBackup, keys.ErrExists, keys.ErrSource.
func BackupKey(ctx context.Context, o Options, path, account string) (err error) {
	v, err := open(ctx, o)
	if err != nil {
		return fmt.Errorf("back the disk key up: %w", err)
	}
	defer func() { err = errors.Join(err, v.Close(context.WithoutCancel(ctx))) }()
	if v.source.Source == keys.NameExec {
		return fmt.Errorf("back the disk key up: %w", ErrNoBackup)
	}
	if err := keys.WriteFile(path, v.kek.Bytes()); err != nil {
		return fmt.Errorf("back the disk key up: %w", err)
	}
	_, err = v.Record(ctx, oplog.Entry{Event: oplog.VaultBackupKey, Role: oplog.RoleTechnician, Account: account,
		Fields: map[string]string{"key_source": v.source.Source}})
	if err != nil { // no copy of the key without its record
		return errors.Join(fmt.Errorf("back the disk key up: %w", err), os.Remove(path))
	}
	return nil
}
