package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
	"cunban/kiosk/vault/cryptfile"
	"cunban/kiosk/vault/keyring"
	"cunban/kiosk/vault/keys"
)

// newName is the database while it is written anew. SQLite keeps its WAL beside
// it under the same name.
const newName = dbName + ".new"

// rekeyFiles are what a rekey that was cut short may leave.
var rekeyFiles = []string{newName, newName + "-wal", newName + "-journal",
	newName + cryptfile.TempSuffix, newName + "-wal" + cryptfile.TempSuffix}

const (
	copyChunk = 64 * cryptfile.SectorSize // bytes written at once
	// rekeySpare is what a rekey needs besides a second database, bytes: the WAL
	// of its own record, and the folder's growth.
	rekeySpare = 16 << 20
)

// ErrSetAside means that a damaged database lies beside the vault, which only
// the present data key can open.
var ErrSetAside = errors.New("a damaged database that was set aside needs the present data key")

// RekeyOptions say how a rekey goes.
type RekeyOptions struct {
	Role    string // who asks, for the log; "" = technician
	Account string
	// DiscardDamaged removes damaged databases that were set aside. Without it
	// their presence is ErrSetAside: after the rekey nobody could open them.
	DiscardDamaged bool
	// Progress hears how many bytes are done, of how many; nil = nobody listens.
	Progress func(done, total int64)
}

// Rekey gives a closed vault a new data key: the whole database is written anew
// under it, and the old key is destroyed, so that a copy of the disk taken
// before cannot be read with what is found afterwards, nor the other way round.
// The key source stays the same, see Rotate.
//
// It may be cut short at any instant. The keyring holds both keys from before
// the first new byte until the switch, one rename, is on the disk for good; Open
// sees from the database which of them is in use, removes the other file and
// destroys the other key: either all of it happened or nothing did. The log's
// record of it is in the new database before the switch, so that the change and
// its record are one. Scans stay as they are: they are sealed for the county, not
// under the data key.
//
// Errors: those of Open, ErrSetAside, cases.ErrDiskFull (there must be room for a
// second database).
func Rekey(ctx context.Context, o Options, how RekeyOptions) (err error) {
	if how.Role == "" {
		how.Role = oplog.RoleTechnician
	}
	v, err := open(ctx, o)
	if err != nil {
		return fmt.Errorf("change the data key: %w", err)
	}
	defer func() {
		v.closed = true
		err = errors.Join(err, v.release())
	}()
	if err := v.readyToRekey(how); err != nil {
		return fmt.Errorf("change the data key: %w", err)
	}
	if err := v.quiesce(); err != nil {
		return fmt.Errorf("change the data key: %w", err)
	}
	if err := v.writeAnew(ctx, how); err != nil {
		// What Open would do; when it cannot be done now, Open will.
		if e := v.settleAgain(); e != nil {
			v.log.Warn("vault: the next start ends the change of the data key", "err", e)
		}
		return fmt.Errorf("change the data key: %w", err)
	}
	if err := v.takeNew(); err != nil {
		return fmt.Errorf("change the data key: the next start finishes it: %w", err)
	}
	return nil
}

// asideDBs names the damaged databases beside the vault. Scans that were set
// aside with them do not depend on the data key.
func (v *Vault) asideDBs() ([]string, error) {
	names, err := v.fs.List(v.o.Dir)
	if err != nil {
		return nil, fmt.Errorf("vault: look for what was set aside: %w", err)
	}
	var out []string
	for _, n := range names {
		if strings.HasPrefix(n, dbName) && strings.Contains(n, asideMark) {
			out = append(out, n)
		}
	}
	return out, nil
}

// readyToRekey looks for what speaks against it before anything is written.
func (v *Vault) readyToRekey(how RekeyOptions) error {
	aside, err := v.asideDBs()
	if err != nil {
		return err
	}
	if len(aside) > 0 && !how.DiscardDamaged {
		return fmt.Errorf("%w: %s", ErrSetAside, strings.Join(aside, ", "))
	}
	for _, n := range aside {
		if err := v.fs.Remove(v.path(n)); err != nil {
			return fmt.Errorf("remove what was set aside: %w", err)
		}
	}
	if err := v.dropOtherKey(); err != nil { // it was kept for them
		return err
	}
	size, err := v.fs.Size(v.path(dbName))
	if err != nil {
		return fmt.Errorf("measure the database: %w", err)
	}
	free, err := v.o.FreeBytes(v.o.Dir)
	if err != nil {
		return fmt.Errorf("measure the disk: %w", err)
	}
	if need := size + rekeySpare; free < need {
		return fmt.Errorf("%w: %d bytes are free, %d must be", cases.ErrDiskFull, free, need)
	}
	return nil
}

// quiesce closes the database so that one file holds all of it. A WAL that
// stayed would be read as part of the new file and be noise to it.
func (v *Vault) quiesce() error {
	if err := v.lastChange(); err != nil {
		return err
	}
	if err := v.closeDB(); err != nil {
		return err
	}
	for _, n := range sqliteFiles[1:] {
		if _, err := v.fs.Size(v.path(n)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there though the database was closed: %w", n, errors.Join(ErrNotSafe, err))
		}
	}
	return v.fs.SyncDir(v.o.Dir)
}

// writeAnew makes the new database, whole, with the record of the change in it,
// and puts it in the place of the old one.
func (v *Vault) writeAnew(ctx context.Context, how RekeyOptions) error {
	next, err := v.freshKey()
	if err != nil {
		return err
	}
	both := &keyring.Ring{Serial: v.ring.Serial + 1, Made: v.ring.Made, Legacy: v.ring.Legacy, Keys: []*keys.Secret{v.ring.Keys[0], next}}
	v.ring = both // whatever of it reached the disk
	if err := v.ringFault("keep the next data key", v.rings().Write(v.kek.Bytes(), both)); err != nil {
		return err
	}
	if err := v.copyTo(ctx, next.Bytes(), how.Progress); err != nil {
		return v.fail("write the database anew", err)
	}
	if err := v.recordIn(ctx, next.Bytes(), how); err != nil {
		return err
	}
	if err := v.fs.Rename(v.path(newName), v.path(dbName)); err != nil {
		return fmt.Errorf("put the new database in its place: %w", err)
	}
	return nil
}

// copyTo writes the database's content under another key and reads it back.
func (v *Vault) copyTo(ctx context.Context, key []byte, progress func(done, total int64)) error {
	src, err := cryptfile.Open(v.fs, v.path(dbName), v.mount.Key)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // only read
	if err := cryptfile.Init(v.fs, v.path(newName), key, v.o.Rand); err != nil {
		return err
	}
	dst, err := cryptfile.Open(v.fs, v.path(newName), key)
	if err != nil {
		return err
	}
	want := seal.NewHash()
	err = eachChunk(ctx, src, progress, func(p []byte, off int64) error {
		_, _ = want.Write(p) // a hash takes everything
		_, err := dst.WriteAt(p, off)
		return err
	})
	if err == nil {
		err = dst.Sync()
	}
	if err = errors.Join(err, dst.Close()); err != nil {
		return err
	}
	if dst, err = cryptfile.Open(v.fs, v.path(newName), key); err != nil {
		return err
	}
	got := seal.NewHash()
	err = eachChunk(ctx, dst, nil, func(p []byte, _ int64) error {
		_, _ = got.Write(p)
		return nil
	})
	if err = errors.Join(err, dst.Close()); err != nil {
		return err
	}
	if !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		return fmt.Errorf("%w: the new database does not read as it was written", ErrNotSafe)
	}
	return nil
}

// eachChunk walks the clear content of a file.
func eachChunk(ctx context.Context, f *cryptfile.Sealed, progress func(done, total int64), do func(p []byte, off int64) error) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	buf := make([]byte, copyChunk)
	defer clear(buf)
	for off := int64(0); off < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := f.ReadAt(buf[:min(copyChunk, size-off)], off)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		if err := do(buf[:n], off); err != nil {
			return err
		}
		off += int64(n)
		if progress != nil {
			progress(off, size)
		}
	}
	return nil
}

// recordIn opens the new database as a start would, with all its checks, writes
// the record of the change into it and closes it.
func (v *Vault) recordIn(ctx context.Context, key []byte, how RekeyOptions) (err error) {
	n := &Vault{o: v.o, fs: v.fs, log: v.log, file: newName,
		mount: &cryptfile.Mount{FS: v.fs, Dir: v.o.Dir, Rand: v.o.Rand, Key: key, PowersafeOverwrite: v.o.powersafe}}
	defer func() { err = errors.Join(err, n.release()) }()
	if err := n.tryDB(ctx); err != nil {
		return err
	}
	err = n.changeLocked("record the change of the data key", func(c *change) error {
		_, err := c.record(oplog.Entry{Event: oplog.VaultRekey, Role: how.Role, Account: how.Account,
			Fields: map[string]string{"key_source": v.source.Source}}, nil)
		return err
	})
	if err != nil {
		return err
	}
	if err := n.lastChange(); err != nil {
		return err
	}
	if err := n.closeDB(); err != nil {
		return err
	}
	if _, err := v.fs.Size(v.path(newName + "-wal")); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the new database's WAL is there though it was closed: %w", errors.Join(ErrNotSafe, err))
	}
	return nil
}

// takeNew makes the switch durable and destroys the old key.
func (v *Vault) takeNew() error {
	if err := v.fs.SyncDir(v.o.Dir); err != nil {
		return err
	}
	return v.settleAgain()
}

// settleAgain ends the change as Open would after a cut: what counts is which
// key the database has.
func (v *Vault) settleAgain() error {
	have, err := v.look()
	if err != nil {
		return err
	}
	return v.settle(have)
}
