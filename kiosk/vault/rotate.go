package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
	"cunban/kiosk/vault/keyring"
	"cunban/kiosk/vault/keys"
)

// Errors of Rotate.
var (
	// ErrSameKey means that the source gives the very key that is in use.
	ErrSameKey = errors.New("the source has the key in use already")
	// ErrUnproven means that the new source does not give the same key twice, or
	// that what was wrapped with it cannot be read: the old one stays in use.
	ErrUnproven = errors.New("the new key source did not prove itself")
	// ErrReopen means that a rotation broke off half-way: open the vault anew,
	// which finishes or undoes it, before the next.
	ErrReopen = errors.New("the vault has to be opened anew first")
)

const remedyLocked = "系统不让锁定内存，密钥可能被换到磁盘的交换区。请把运行账户的 memlock 限额调到 1 MB 以上（ulimit -l，或服务文件里的 LimitMEMLOCK=），再重启终端。"

// KeyState tells where the disk key comes from, for technicians.
type KeyState struct {
	Source   string    // name of the source in use
	Strength string    // plain Chinese: what it protects against
	Made     time.Time // when the data key was made; for vaults from before keyrings, when the ring was
	Legacy   bool      // the data key was derived from a source's key, see keyring.Ring
	Locked   bool      // it cannot be swapped to the disk
	Aside    []string  // damaged databases that only this data key opens
	Warnings []string  // plain Chinese, with what to do
}

// KeyState tells how the keys stand.
func (v *Vault) KeyState() (KeyState, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return KeyState{}, fmt.Errorf("vault: state of the keys: %w", ErrClosed)
	}
	aside, err := v.asideDBs()
	if err != nil {
		return KeyState{}, err
	}
	k := KeyState{Source: v.source.Source, Strength: v.source.Strength, Made: v.ring.Made, Legacy: v.ring.Legacy, Locked: v.ring.Locked(), Aside: aside,
		Warnings: append([]string(nil), v.source.Warnings...)}
	if !k.Locked {
		k.Warnings = append(k.Warnings, remedyLocked)
	}
	if k.Legacy {
		k.Warnings = append(k.Warnings, "数据密钥是由最早的密钥推出来的，拿到那把密钥就能打开数据。请停机后运行 kioskctl vault rekey。")
	}
	if len(aside) > 0 {
		k.Warnings = append(k.Warnings, "有另存的损坏数据文件，只有现在的数据密钥能打开。县里取走以前不要更换数据密钥。")
	}
	return k, nil
}

// Rotation is what Rotate did.
type Rotation struct {
	From, To string // names of the sources
	Strength string // of the new one, plain Chinese
	Created  bool   // the new source had no key and made one
	// Legacy says that the old source's key still gives the data key, so that a
	// Rekey should follow.
	Legacy bool
}

// Rotate changes the source of the disk key: the data key is wrapped with the
// new source's key instead of the old one's. A source without a key makes one.
// The new source has to prove itself before the old wrapped copy is
// overwritten: it must give the same key when asked again, and the new copy must
// be read from the disk with it. Cut short at any instant, the next Open finishes
// or undoes it, by whichever source is there. The log has a record before and one
// after it.
//
// Errors: ErrSameKey, ErrUnproven, ErrReopen, keys.ErrSource,
// keys.ErrCannotCreate.
func (v *Vault) Rotate(ctx context.Context, to keys.Source, role, account string) (r Rotation, err error) {
	if role == "" {
		role = oplog.RoleTechnician
	}
	r = Rotation{From: v.source.Source, To: to.Name()}
	fields := map[string]string{"from": r.From, "to": r.To}
	if _, err := v.Record(ctx, oplog.Entry{Event: oplog.RotateBegin, Role: role, Account: account, Fields: fields}); err != nil {
		return r, err
	}
	err = v.rotate(ctx, to, &r)
	end := oplog.Entry{Event: oplog.RotateEnd, Outcome: oplog.OK, Role: role, Account: account, Fields: fields}
	if err != nil {
		end.Outcome = oplog.Failed
		end.Fields = map[string]string{"from": r.From, "to": r.To, "reason": clip(err.Error(), maxLogValue)}
		err = fmt.Errorf("change the key source from %s to %s: %w", r.From, r.To, err)
	}
	_, e := v.Record(context.WithoutCancel(ctx), end)
	return r, errors.Join(err, e)
}

func (v *Vault) rotate(ctx context.Context, to keys.Source, r *Rotation) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.closed:
		return ErrClosed
	case v.half:
		return ErrReopen
	}
	found, err := keys.LoadOrCreate(ctx, []keys.Source{to})
	if err != nil {
		return err
	}
	defer found.Key.Wipe()
	r.Strength, r.Created, r.Legacy = found.Strength, found.Created, v.ring.Legacy
	rings := v.rings()
	old, err := rings.OpenCopy(0, found.Key.Bytes())
	if err == nil {
		old.Wipe()
		return ErrSameKey
	}
	if !errors.Is(err, keyring.ErrWrongKey) {
		return err
	}
	again, err := keys.Load(ctx, []keys.Source{to})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnproven, err)
	}
	defer again.Key.Wipe()
	if !seal.Equal(again.Key.Bytes(), found.Key.Bytes()) {
		return fmt.Errorf("%w: another key at the second time", ErrUnproven)
	}
	next := *v.ring // the same keys, under another
	next.Serial++
	v.half = true
	if err := v.ringFault("wrap the data key", rings.WriteCopy(1, found.Key.Bytes(), &next)); err != nil {
		return err
	}
	if err := proveCopy(rings, again.Key.Bytes(), &next); err != nil {
		return err
	}
	// Here the old source's last copy goes.
	if err := v.ringFault("wrap the data key", rings.WriteCopy(0, found.Key.Bytes(), &next)); err != nil {
		return err
	}
	v.half = false
	v.ring.Serial = next.Serial
	v.source = keys.Found{Source: found.Source, Strength: found.Strength, Created: found.Created}
	return nil
}

// proveCopy reads the new copy back, with the key that the source gave when it
// was asked again.
func proveCopy(rings keyring.Store, key []byte, want *keyring.Ring) error {
	got, err := rings.OpenCopy(1, key)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnproven, err)
	}
	defer got.Wipe()
	same := len(got.Keys) == len(want.Keys)
	for i := 0; same && i < len(want.Keys); i++ {
		same = seal.Equal(got.Keys[i].Bytes(), want.Keys[i].Bytes())
	}
	if !same {
		return fmt.Errorf("%w: another data key in the new copy", ErrUnproven)
	}
	return nil
}
