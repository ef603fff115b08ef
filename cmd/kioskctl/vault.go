package main

import (
	"encoding/json"
	"flag"
	"fmt"

	"cunban/kiosk/app"
	"cunban/kiosk/vault"
)

// vault is the commands about the disk key.
func (c *command) vault(args []string) int {
	if len(args) > 0 {
		switch args[0] {
		case "key":
			return c.ask(args[1:], "vault-key", c.vaultKey)
		case "rotate":
			return c.vaultRotate(args[1:])
		case "rekey":
			return c.vaultRekey(args[1:])
		case "backup":
			return c.vaultBackup(args[1:])
		case "salvage":
			return c.ask(args[1:], "vault-salvage", c.vaultSalvage)
		}
	}
	fmt.Fprintf(c.errs, "kioskctl vault: key, rotate, rekey, backup or salvage\n%s", usage)
	return exitUsage
}

// vaultKey shows where the disk key comes from and what that protects against.
func (c *command) vaultKey(raw json.RawMessage) int {
	var k app.KeyAnswer
	if err := json.Unmarshal(raw, &k); err != nil {
		return c.fail(err)
	}
	derived := "random"
	if k.Derived {
		derived = "derived from a source's key"
	}
	c.table(
		[]string{"source", k.Source},
		[]string{"strength", k.Strength},
		[]string{"data key", derived + ", since " + k.Made},
		[]string{"in memory", map[bool]string{true: "locked", false: "may be swapped"}[k.Locked]},
	)
	for _, f := range k.Aside {
		fmt.Fprintln(c.out, "set aside:", f)
	}
	for _, w := range k.Warnings {
		fmt.Fprintln(c.out, "注意："+w)
	}
	return exitOK
}

// vaultRotate changes the source of the disk key.
func (c *command) vaultRotate(args []string) int {
	var to string
	if n := c.flags("vault rotate", args, func(fs *flag.FlagSet) {
		fs.StringVar(&to, "to", "", "the new source: a kind of the configuration's keys, or kind=path")
	}); n != exitOK {
		return n
	}
	if to == "" {
		fmt.Fprintln(c.errs, "kioskctl vault rotate: --to SOURCE is missing")
		return exitUsage
	}
	if n := c.load(); n != exitOK {
		return n
	}
	place, err := app.KeyPlace(c.cfg, to)
	if err != nil {
		c.fail(err)
		return exitUsage
	}
	r, err := app.Rotate(c.ctx, c.cfg, version, place)
	if err != nil {
		return c.fail(err)
	}
	if c.json {
		return c.print(map[string]any{"from": r.From, "to": r.To, "strength": r.Strength, "created": r.Created, "rekey_needed": r.Legacy})
	}
	fmt.Fprintf(c.out, "密钥来源已从“%s”换成“%s”。%s\n", r.From, r.To, r.Strength)
	fmt.Fprintf(c.out, "原来的密钥不再能打开本机数据，可以销毁，并从配置文件的 keys 里去掉。\n")
	if r.Legacy {
		fmt.Fprintln(c.out, "还没有完：本机数据密钥是由最早的密钥推出来的，请接着运行 kioskctl vault rekey，然后才能销毁原来的密钥。")
	}
	return exitOK
}

// vaultRekey changes the data key.
func (c *command) vaultRekey(args []string) int {
	var how vault.RekeyOptions
	if n := c.flags("vault rekey", args, func(fs *flag.FlagSet) {
		fs.BoolVar(&how.DiscardDamaged, "discard-damaged", false, "delete damaged databases that were set aside; only the old key opens them")
	}); n != exitOK {
		return n
	}
	if n := c.load(); n != exitOK {
		return n
	}
	tenths := int64(0)
	how.Progress = func(done, total int64) {
		if t := done * 10 / total; t > tenths && !c.json {
			tenths = t
			fmt.Fprintf(c.errs, "%d%%\n", t*10)
		}
	}
	if err := app.Rekey(c.ctx, c.cfg, version, how); err != nil {
		return c.fail(err)
	}
	if c.json {
		return c.print(map[string]bool{"rekeyed": true})
	}
	fmt.Fprintln(c.out, "数据密钥已更换，旧密钥已销毁。")
	return exitOK
}

// vaultBackup writes the disk key to a file.
func (c *command) vaultBackup(args []string) int {
	var out string
	if n := c.flags("vault backup", args, func(fs *flag.FlagSet) {
		fs.StringVar(&out, "out", "", "file for the key, on a stick that is locked away")
	}); n != exitOK {
		return n
	}
	if out == "" {
		fmt.Fprintln(c.errs, "kioskctl vault backup: --out FILE is missing")
		return exitUsage
	}
	if n := c.load(); n != exitOK {
		return n
	}
	if err := app.BackupKey(c.ctx, c.cfg, version, out); err != nil {
		return c.fail(err)
	}
	if c.json {
		return c.print(map[string]string{"path": out})
	}
	fmt.Fprintf(c.out, "备份密钥在 %s。拿到它和硬盘的人能读出本机数据：请离开本机、锁好。要用时在配置文件的 keys 里写 kind: usb（或 file）指到它。\n", out)
	return exitOK
}
