package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"cunban/kiosk/app/config"
	"cunban/kiosk/cases"
	"cunban/kiosk/ui"
	"cunban/kiosk/vault"
	"cunban/kiosk/vault/keys"
)

// KeyAnswer is the answer to "vault-key": where the disk key comes from and what
// that protects against.
type KeyAnswer struct {
	Source   string   `json:"source"`
	Strength string   `json:"strength"` // plain Chinese
	Made     string   `json:"data_key_made"`
	Derived  bool     `json:"data_key_derived"` // from a source's key, see vault.KeyState
	Locked   bool     `json:"locked_in_memory"`
	Aside    []string `json:"set_aside,omitempty"`
	Warnings []string `json:"warnings"` // plain Chinese
}

func keyAnswer(v *vault.Vault) (KeyAnswer, error) {
	k, err := v.KeyState()
	if err != nil {
		return KeyAnswer{}, err
	}
	return KeyAnswer{Source: k.Source, Strength: k.Strength, Made: k.Made.In(ui.Beijing).Format(time.DateTime), Derived: k.Legacy,
		Locked: k.Locked, Aside: k.Aside, Warnings: append([]string{}, k.Warnings...)}, nil
}

// KeyPlace picks the key source to rotate to from the configuration: a kind, or
// kind=path where there are several of it. What is not in the configuration is
// refused: the next start would not look there.
func KeyPlace(c config.Config, to string) (config.Key, error) {
	kind, path, given := strings.Cut(to, "=")
	var fits []config.Key
	for _, k := range c.Keys {
		if k.Kind == kind && (!given || k.Path == path) {
			fits = append(fits, k)
		}
	}
	switch {
	case len(fits) == 1:
		return fits[0], nil
	case len(fits) > 1:
		return config.Key{}, plain("VT-09", "配置文件的 keys 里有几个“"+kind+"”", "请写明是哪一个，如 --to "+kind+"="+fits[0].Path,
			fmt.Errorf("%d key sources %s", len(fits), to))
	}
	var have []string
	for _, k := range c.Keys {
		have = append(have, strings.TrimSuffix(k.Kind+"="+k.Path, "="))
	}
	return config.Key{}, plain("VT-09", "配置文件的 keys 里没有“"+to+"”，换过去以后终端会找不到密钥",
		"请先在 keys 里加上它（如 - kind: tpm2），再做一遍；现在有的是 "+strings.Join(have, "、"), fmt.Errorf("no key source %q in the configuration", to))
}

// closedVault is what the commands that need a stopped terminal work on.
func closedVault(c config.Config, version string) (vault.Options, error) {
	sources, err := keySources(c.Keys)
	if err != nil {
		return vault.Options{}, err
	}
	// A command must not make a vault, nor a key for one.
	switch there, err := os.ReadDir(vaultDir(c)); {
	case errors.Is(err, os.ErrNotExist), err == nil && len(there) == 0:
		return vault.Options{}, plain("VT-07", "这里还没有数据，终端没有运行过", "请检查配置文件里的 data，或先启动终端", fmt.Errorf("%w: nothing in %s", ErrNoVault, vaultDir(c)))
	case err != nil:
		return vault.Options{}, vaultTrouble(err)
	}
	return vault.Options{Dir: vaultDir(c), Keys: sources, Version: version}, nil
}

// Rotate changes the source of the disk key of a stopped terminal. place is one of
// the configuration's keys, see KeyPlace.
func Rotate(ctx context.Context, c config.Config, version string, place config.Key) (r vault.Rotation, err error) {
	o, err := closedVault(c, version)
	if err != nil {
		return r, err
	}
	to, err := keySources([]config.Key{place})
	if err != nil {
		return r, err
	}
	v, err := vault.Open(ctx, o)
	if err != nil {
		return r, keyTrouble(err)
	}
	defer func() { err = errors.Join(err, v.Close(context.WithoutCancel(ctx))) }()
	r, err = v.Rotate(ctx, to[0], "", "")
	return r, keyTrouble(err)
}

// Rekey gives the vault of a stopped terminal a new data key.
func Rekey(ctx context.Context, c config.Config, version string, how vault.RekeyOptions) error {
	o, err := closedVault(c, version)
	if err != nil {
		return err
	}
	return keyTrouble(vault.Rekey(ctx, o, how))
}

// BackupKey writes the disk key of a stopped terminal to a file.
func BackupKey(ctx context.Context, c config.Config, version, path string) error {
	o, err := closedVault(c, version)
	if err != nil {
		return err
	}
	return keyTrouble(vault.BackupKey(ctx, o, path, ""))
}

// keyTrouble gives what can go wrong with the keys its words.
func keyTrouble(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, vault.ErrLocked):
		return plain("VT-08", "终端程序正在运行，不能动密钥", "请先运行 kioskctl stop 停下它，做完再启动", err)
	case errors.Is(err, vault.ErrSameKey):
		return plain("VT-10", "现在用的就是这个来源的密钥，不用换", "要换新的，请在 keys 里写一个新的位置", err)
	case errors.Is(err, vault.ErrUnproven):
		return plain("VT-11", "新来源的密钥靠不住，没有换，原来的还在用", "请检查新的U盘或设备，再做一遍", err)
	case errors.Is(err, keys.ErrCannotCreate):
		return plain("VT-12", "这个来源里还没有密钥，终端也不能替它生成", "请先在那边放好密钥（systemd 用 systemd-creds encrypt，密码设备用它自己的程序），再做一遍", err)
	case errors.Is(err, vault.ErrSetAside):
		return plain("VT-13", "有另存的损坏数据文件，换数据密钥以后再也打不开", "请先让县里取走；不要了，加 --discard-damaged 再做一遍，文件会删掉", err)
	case errors.Is(err, vault.ErrNoBackup):
		return plain("VT-14", "密码设备的密钥不能另存成文件", "请按设备的说明备份", err)
	case errors.Is(err, keys.ErrExists):
		return plain("VT-15", "那里已经有一个密钥文件，没有动它", "请换一个文件名", err)
	case errors.Is(err, cases.ErrDiskFull):
		return plain("VT-16", "磁盘空间不够，没有换", "更换数据密钥要有放得下第二份数据的空间，请清理后再做一遍", err)
	case errors.Is(err, context.Canceled):
		return plain("VT-17", "已取消，没有换", "数据没有动过", err)
	}
	return vaultTrouble(err)
}
