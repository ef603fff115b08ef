package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"cunban/kiosk/cases"
	"cunban/kiosk/seal"
	"cunban/kiosk/vault/cryptfile"
	"cunban/kiosk/vault/keyring"
	"cunban/kiosk/vault/keys"
)

// infoLegacy is how vaults without a keyring derived their data key from the
// source's.
const infoLegacy = "cunban vault files 1"

// present tells which of the files that know a key are there.
type present struct{ db, check, ring bool }

func (v *Vault) rings() keyring.Store { return keyring.Store{FS: v.fs, Dir: v.o.Dir, Rand: v.o.Rand} }

func (v *Vault) look() (p present, err error) {
	var errs [3]error
	p.db, errs[0] = v.exists(dbName)
	p.check, errs[1] = v.exists(checkName)
	p.ring, errs[2] = v.rings().Exists()
	if err := errors.Join(errs[:]...); err != nil {
		return p, fmt.Errorf("look for the vault: %w", err)
	}
	return p, nil
}

// unlock finds the source's key, with it the data key, and proves that the
// files were written with it.
func (v *Vault) unlock(ctx context.Context) error {
	have, err := v.look()
	if err != nil {
		return err
	}
	if err := v.openRing(ctx, have); err != nil {
		return err
	}
	for _, w := range v.source.Warnings {
		v.log.Warn("vault: key source in trouble", "remedy", w)
	}
	v.log.Info("vault: disk key", "source", v.source.Source, "strength", v.source.Strength)
	if !v.ring.Locked() {
		v.log.Warn("vault: disk key", "remedy", remedyLocked)
	}
	v.mount = &cryptfile.Mount{FS: v.fs, Dir: v.o.Dir, Rand: v.o.Rand, PowersafeOverwrite: v.o.powersafe}
	return v.settle(have)
}

// openRing asks the sources for the key that opens the keyring. A new vault
// gets a ring with a fresh data key; one from before there were rings, a ring
// with the data key that it has.
func (v *Vault) openRing(ctx context.Context, have present) (err error) {
	if have == (present{}) {
		v.source, err = keys.LoadOrCreate(ctx, v.o.Keys)
	} else {
		v.source, err = keys.LoadFitting(ctx, v.o.Keys, func(key []byte) (fits bool, err error) {
			v.ring, err = v.tryKey(key, have)
			return v.ring != nil, err
		})
	}
	if errors.Is(err, keys.ErrMisfit) && !errors.Is(err, keys.ErrSource) {
		return fmt.Errorf("open the vault in %s: %w: %w", v.o.Dir, ErrWrongKey, err)
	}
	if err != nil {
		return fmt.Errorf("open the vault: %w", err)
	}
	v.kek = v.source.Key
	if v.ring == nil {
		fresh, err := v.freshKey()
		if err != nil {
			return err
		}
		v.ring = &keyring.Ring{Serial: 1, Made: v.o.Now(), Keys: []*keys.Secret{fresh}}
	}
	return v.ringFault("set the keyring right", v.rings().Heal(v.kek.Bytes(), v.ring))
}

func (v *Vault) ringFault(what string, err error) error {
	if err == nil {
		return nil
	}
	if cryptfile.IsFull(err) {
		err = fmt.Errorf("%w: %w", cases.ErrDiskFull, err)
	}
	return fmt.Errorf("vault: %s: %w", what, err)
}

// tryKey opens the ring with a source's key; nil when it is not the one.
func (v *Vault) tryKey(key []byte, have present) (*keyring.Ring, error) {
	if have.ring {
		r, _, err := v.rings().Open(key)
		if errors.Is(err, keyring.ErrWrongKey) {
			return nil, nil
		}
		return r, err
	}
	b := seal.Derive(key, infoLegacy, keys.Size)
	defer clear(b)
	for _, f := range []struct {
		name string
		have bool
	}{{dbName, have.db}, {checkName, have.check}} {
		if !f.have {
			continue
		}
		switch err := cryptfile.CheckKey(v.fs, v.path(f.name), b); {
		case err == nil:
			k, err := keys.NewSecret(b)
			if err != nil {
				return nil, err
			}
			return &keyring.Ring{Serial: 1, Made: v.o.Now(), Legacy: true, Keys: []*keys.Secret{k}}, nil
		case !errors.Is(err, cryptfile.ErrWrongKey) && !isShort(err):
			return nil, err
		}
	}
	return nil, nil
}

func (v *Vault) freshKey() (*keys.Secret, error) {
	b := make([]byte, keys.Size)
	defer clear(b)
	if _, err := io.ReadFull(v.o.Rand, b); err != nil {
		return nil, fmt.Errorf("make a data key: %w", err)
	}
	s, err := keys.NewSecret(b)
	if err != nil {
		return nil, fmt.Errorf("keep the data key in memory: %w", err)
	}
	return s, nil
}

// inUse tells which key of the ring the files were written with: after a rekey
// that was cut short it may be either.
func (v *Vault) inUse(have present) (int, error) {
	if len(v.ring.Keys) == 1 {
		return 0, nil
	}
	for _, f := range []struct {
		name string
		have bool
	}{{dbName, have.db}, {checkName, have.check}} { // the database's word counts
		if !f.have {
			continue
		}
		for i, k := range v.ring.Keys {
			switch err := cryptfile.CheckKey(v.fs, v.path(f.name), k.Bytes()); {
			case err == nil:
				return i, nil
			case !errors.Is(err, cryptfile.ErrWrongKey) && !isShort(err):
				return 0, fmt.Errorf("open the vault: %w", err)
			}
		}
	}
	return 0, nil
}

// settle proves the data key, finishes or undoes a rekey that was cut short,
// and makes what is missing. Two files carry a proof, so that a damaged header
// is not taken for a wrong key.
func (v *Vault) settle(have present) error {
	use, err := v.inUse(have)
	if err != nil {
		return err
	}
	v.use, v.mount.Key = use, v.ring.Keys[use].Bytes()
	if err := v.prove(have); err != nil {
		return err
	}
	// The database first: a check without it means that it was taken away.
	if err := cryptfile.Init(v.fs, v.path(dbName), v.mount.Key, v.o.Rand); err != nil {
		return v.fail("make the database", err)
	}
	if err := cryptfile.Init(v.fs, v.path(checkName), v.mount.Key, v.o.Rand); err != nil {
		return v.fail("make the key check", err)
	}
	return v.dropOtherKey()
}

// prove looks whether the files that are there open with the mount's key.
func (v *Vault) prove(have present) error {
	good, bad := 0, 0
	damaged := false
	for _, f := range []struct {
		name string
		have bool
	}{{checkName, have.check}, {dbName, have.db}} {
		if !f.have {
			continue
		}
		switch err := cryptfile.CheckKey(v.fs, v.path(f.name), v.mount.Key); {
		case err == nil:
			good++
		case errors.Is(err, cryptfile.ErrWrongKey), isShort(err):
			bad++
			damaged = damaged || f.name == dbName
		default:
			return fmt.Errorf("open the vault: %w", err)
		}
	}
	switch {
	case good == 0 && bad > 0:
		return fmt.Errorf("open the vault in %s: %w (key source %s)", v.o.Dir, ErrWrongKey, v.source.Source)
	case damaged:
		if err := v.setAside(fmt.Errorf("the header of %s is damaged", dbName)); err != nil {
			return err
		}
	case have.check && !have.db:
		v.tell(Incident{Kind: IncidentMissing, Text: "本机数据文件不见了，已新建一个。以前没有上传的办件可能丢失，请立即联系县里。",
			Detail: dbName + " was not there, though " + checkName + " was"})
	}
	v.isNew = !have.db && !have.check
	if have.check && bad > 0 && !damaged {
		if err := v.fs.Remove(v.path(checkName)); err != nil { // made anew by settle
			return fmt.Errorf("replace the damaged key check: %w", err)
		}
	}
	return nil
}

// isShort reports whether a file ended before its header did.
func isShort(err error) bool { return errors.Is(err, io.EOF) }

// dropOtherKey ends a rekey: the file that is not in use goes, and after it is
// gone for good, its key. A damaged database that was set aside may need either
// key: while one is there both are kept.
func (v *Vault) dropOtherKey() error {
	use := v.use
	if len(v.ring.Keys) == 1 {
		return nil
	}
	for _, name := range rekeyFiles {
		if err := v.fs.Remove(v.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("vault: end a change of the data key: %w", err)
		}
	}
	// Also makes the switch itself durable, where it was seen but not yet safe.
	if err := v.fs.SyncDir(v.o.Dir); err != nil {
		return fmt.Errorf("vault: end a change of the data key: %w", err)
	}
	if aside, err := v.asideDBs(); err != nil || len(aside) > 0 {
		return err
	}
	next := &keyring.Ring{Serial: v.ring.Serial + 1, Made: v.ring.Made, Legacy: v.ring.Legacy, Keys: []*keys.Secret{v.ring.Keys[use]}}
	if use > 0 {
		next.Made, next.Legacy = v.o.Now(), false
	}
	if err := v.rings().Write(v.kek.Bytes(), next); err != nil {
		return v.ringFault("end a change of the data key", err)
	}
	for i, k := range v.ring.Keys {
		if i != use {
			k.Wipe()
		}
	}
	v.ring, v.use = next, 0
	return nil
}
