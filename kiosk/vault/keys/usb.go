package keys

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
)

// NameUSB is the configured word of USB.
const NameUSB = "usb"

// usbFile is the default name of the key file on a stick.
const usbFile = "cunban.key"

// USB keeps the key on the clerk's stick, which is plugged in when the
// terminal starts and may be taken away afterwards.
type USB struct {
	Mount string // folder where the stick is mounted
	File  string // name on the stick, "" = cunban.key
	Rand  io.Reader
	// Mounted tells whether something is mounted at the folder; nil = Mounted
	// of this package.
	Mounted func(dir string) (bool, error)
}

// Name implements Source.
func (u USB) Name() string { return NameUSB }

// Strength implements Strengther.
func (u USB) Strength() string {
	return "密钥在U盘上：拔走U盘后，硬盘被拷走或整机被盗也读不出数据。U盘请单独保管，并另存备份。"
}

func (u USB) path() (string, error) {
	mounted := u.Mounted
	if mounted == nil {
		mounted = Mounted
	}
	ok, err := mounted(u.Mount)
	if err != nil {
		return "", &Trouble{NameUSB, "看不了U盘，请拔下重插。", err}
	}
	if !ok {
		// Without this look an empty mount folder would pass for a stick
		// without a key, and a fresh key would land on the disk.
		return "", &Trouble{NameUSB, "没有找到密钥U盘，请插上U盘后再启动。", fmt.Errorf("nothing is mounted at %s", u.Mount)}
	}
	name := u.File
	if name == "" {
		name = usbFile
	}
	return filepath.Join(u.Mount, name), nil
}

// Load implements Source. File systems of sticks know no owners, so that the
// file's mode is not looked at.
func (u USB) Load(context.Context) ([]byte, error) {
	path, err := u.path()
	if err != nil {
		return nil, err
	}
	return readKeyFile(NameUSB, path, false)
}

// Create implements Source.
func (u USB) Create(context.Context) ([]byte, error) {
	path, err := u.path()
	if err != nil {
		return nil, err
	}
	return createKeyFile(NameUSB, path, u.Rand)
}
