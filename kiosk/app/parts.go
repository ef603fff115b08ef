package app

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"

	"cunban/device/pcsc"
	"cunban/device/print"
	"cunban/device/print/escpos"
	"cunban/device/scan"
	"cunban/device/scan/camera"
	"cunban/device/sdt"
	"cunban/device/social"
	"cunban/device/speech"
	"cunban/kiosk/app/config"
	"cunban/kiosk/paper"
	"cunban/kiosk/vault"
	"cunban/kiosk/vault/keys"
)

// randReader is the source of keys and nonces.
var randReader = rand.Reader

// vaultDir is the vault's own folder inside the data folder.
func vaultDir(c config.Config) string { return filepath.Join(c.Data, "vault") }

// keySources makes the chain of key sources.
func keySources(list []config.Key) ([]keys.Source, error) {
	var out []keys.Source
	for _, k := range list {
		switch k.Kind {
		case "tpm2":
			out = append(out, keys.TPM2{Path: k.Path, Device: k.Device, Rand: randReader})
		case "file":
			out = append(out, keys.File{Path: k.Path, Rand: randReader})
		case "usb":
			out = append(out, keys.USB{Mount: k.Path, File: k.Name, Rand: randReader})
		case "exec":
			out = append(out, keys.Exec{Path: k.Path})
		case "systemd":
			out = append(out, keys.Systemd{Dir: os.Getenv("CREDENTIALS_DIRECTORY"), Credential: k.Name})
		default:
			return nil, errors.New("key source " + k.Kind) // config has checked it
		}
	}
	return out, nil
}

// vaultTrouble gives a vault that does not open its words.
func vaultTrouble(err error) error {
	switch {
	case errors.Is(err, vault.ErrLocked):
		return plain("VT-01", "村办程序已经在运行", "请关掉先开的那一个，再打开", err)
	case errors.Is(err, vault.ErrWrongKey):
		return plain("VT-02", "磁盘密钥不对，打不开数据", "请插上本机的密钥盘，或联系县里技术员。数据没有丢", err)
	case errors.Is(err, vault.ErrNewer):
		return plain("VT-03", "数据是新版程序写的，旧版打不开", "请装回新版程序。数据没有丢", err)
	case errors.Is(err, vault.ErrNotSafe):
		return plain("VT-04", "数据库不能保证不丢数据，不敢开始办事", "请联系县里技术员重装程序", err)
	case errors.Is(err, keys.ErrNoKey), errors.Is(err, keys.ErrSource):
		return plain("VT-05", "找不到磁盘密钥", also(first(keys.Remedy(err), "请插上本机的密钥盘，或联系县里技术员"), "数据没有丢"), err)
	}
	return plain("VT-06", "数据打不开", "请检查磁盘是不是满了或坏了，或联系县里技术员。数据没有动过", err)
}

// makeDevices makes the drivers that the configuration names.
func (a *App) makeDevices() {
	d := a.cfg.Devices
	a.cards = &cardDesk{now: a.o.Now, sess: a.sess, note: a.note, told: a.cardChanged, counted: a.cardCounted}
	if d.CardReader != "off" {
		reader := d.CardReader
		if reader == "auto" {
			reader = ""
		}
		r := social.New(pcsc.New(pcsc.Options{Reader: reader, Logger: a.log}))
		a.cards.social = r
		a.devices = append(a.devices, r)
	}
	if d.IDReader != "off" {
		r := sdt.New(sdt.Options{Open: sdt.Serial(d.IDReader, 0), Logger: a.log})
		a.cards.id = r
		a.devices = append(a.devices, r)
	}
	if d.Scanner != "off" {
		name := d.Scanner
		if name == "auto" {
			name = ""
		}
		s := scan.NewSANE(scan.SANEOptions{Device: name, ConfigDir: d.SaneConfig, Logger: a.log})
		a.addSource(source{s, "扫描仪", "扫", scan.Explain})
	}
	if d.DocCamera != "off" && d.DocCamera != "" {
		path := d.DocCamera
		if path == "auto" {
			path = ""
		}
		s := camera.New(camera.Options{Path: path, Now: a.o.Now, Logger: a.log})
		a.addSource(source{s, "高拍仪", "拍", camera.Explain})
	}
	if d.PageFolder != "" {
		s := scan.NewFolder(scan.FolderOptions{Dir: d.PageFolder, Logger: a.log})
		a.addSource(source{s, "帮办员电脑", "扫", scan.Explain})
	}
	if d.Printer != "off" {
		p, err := print.New(print.Options{URI: d.Printer, Logger: a.log})
		if err != nil {
			a.log.Error("printer", "err", err) // config has checked the address
		} else {
			a.printer = p
			a.devices = append(a.devices, p)
		}
	}
	if d.ReceiptPrinter != "off" && d.ReceiptPrinter != "" {
		p, err := escpos.New(escpos.Options{Target: d.ReceiptPrinter, Raster: a.renderer.Raster, Dots: paper.SlipDots, Now: a.o.Now, Logger: a.log})
		if err != nil {
			a.log.Error("receipt printer", "err", err) // config has checked the address
		} else {
			a.roll = p
			a.devices = append(a.devices, p)
		}
	}
	if d.Speech != "off" {
		dir := d.Speech
		if dir == "auto" {
			dir = ""
		}
		s := speech.New(speech.Options{WaveDir: dir, Logger: a.log})
		a.speaker = s
		a.devices = append(a.devices, s)
	}
	a.makeVendors()
}
