package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cunban/kiosk/vault"
	"cunban/kiosk/vault/cryptfile"
	"cunban/kiosk/vault/keyring"
	"cunban/kiosk/vault/keys"
)

// careless is kioskctl vault rekey and rotate without the steps that make them
// safe: the controls under which the kills must find something broken. It takes
// the same command line, and knows a victim's folder.
func careless() {
	if err := beCareless(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "careless:", err)
		os.Exit(exitFailed)
	}
}

func beCareless(args []string) error {
	ctx := context.Background()
	dir := filepath.Dir(args[len(args)-1]) // of --config FILE
	var sources []keys.Source
	for _, name := range []string{"a.key", "b.key"} {
		sources = append(sources, keys.File{Path: filepath.Join(dir, name), Rand: rand.Reader})
	}
	o := vault.Options{Dir: filepath.Join(dir, "data", "vault"), Keys: sources, Version: "test", MinFree: 1}
	if args[1] == "rekey" {
		o.FS = &overOld{FS: cryptfile.OS{}}
		if err := vault.Rekey(ctx, o, vault.RekeyOptions{}); err != nil {
			return err
		}
		fmt.Println("数据密钥已更换")
		return nil
	}
	path, ok := strings.CutPrefix(args[slices.Index(args, "--to")+1], "file=")
	if !ok {
		return errors.New("only to a file")
	}
	ring := &takenAway{FS: cryptfile.OS{}, dir: o.Dir}
	o.FS = ring
	v, err := vault.Open(ctx, o)
	if err != nil {
		return err
	}
	ring.careless = true
	if _, err = v.Rotate(ctx, keys.File{Path: path, Rand: rand.Reader}, "", ""); err == nil {
		fmt.Println("密钥来源已从")
	}
	return errors.Join(err, v.Close(ctx))
}

// overOld has a rekey write the new database in the place of the old one at
// once, not beside it.
type overOld struct {
	cryptfile.FS
	made bool // the new one is there
}

const besides = "vault.db.new"

func (*overOld) name(name string) string {
	if filepath.Base(name) == besides {
		return strings.TrimSuffix(name, ".new")
	}
	return name
}

func (o *overOld) Open(name string) (cryptfile.File, error) { return o.FS.Open(o.name(name)) }

func (o *overOld) Create(name string) (cryptfile.File, error) { return o.FS.Create(o.name(name)) }

func (o *overOld) Size(name string) (int64, error) {
	if filepath.Base(name) == besides && !o.made {
		return 0, fs.ErrNotExist
	}
	return o.FS.Size(o.name(name))
}

func (o *overOld) Rename(from, to string) error {
	if filepath.Base(to) == besides {
		o.made = true
	}
	if o.name(from) == o.name(to) {
		return nil
	}
	return o.FS.Rename(o.name(from), o.name(to))
}

func (o *overOld) Remove(name string) error {
	if filepath.Base(name) == besides {
		return fs.ErrNotExist
	}
	return o.FS.Remove(name)
}

// takenAway has a rotation take the old copies of the ring away before it writes
// a new one, and stop there until it is killed, so that a kill cannot miss it.
type takenAway struct {
	cryptfile.FS
	dir      string
	careless bool
}

type ringFile struct {
	cryptfile.File
	from *takenAway
}

func (t *takenAway) Open(name string) (cryptfile.File, error) {
	f, err := t.FS.Open(name)
	if err == nil && slices.Contains(keyring.Names[:], filepath.Base(name)) {
		return ringFile{f, t}, nil
	}
	return f, err
}

func (r ringFile) WriteAt(p []byte, off int64) (int, error) {
	if !r.from.careless {
		return r.File.WriteAt(p, off)
	}
	for _, name := range keyring.Names {
		if err := r.from.FS.Remove(filepath.Join(r.from.dir, name)); err != nil {
			return 0, err
		}
	}
	if _, err := fmt.Println("half-way"); err != nil {
		return 0, err
	}
	select {} // until it is killed
}

// TestKillsSeeCarelessRekey and TestKillsSeeCarelessRotate show that the tests
// above can fail: the same kills and the same looks, and a program that leaves
// out what makes it safe.
func TestKillsSeeCarelessRekey(t *testing.T) {
	v := newVictim(t)
	_, broken := v.killing(usualKeyKills, func(standing) deed { return v.rekeying("careless") }, halfwaySeen)
	if len(broken) == 0 {
		t.Fatal("the kills did not see it")
	}
	t.Log(broken[0], "and", len(broken)-1, "lines more")
}

func TestKillsSeeCarelessRotate(t *testing.T) {
	v := newVictim(t)
	run := program // the first is left alone and has to end
	_, broken := v.killing(usualKeyKills, func(s standing) deed {
		d := v.rotating(run, s.from)
		run = "careless"
		return d
	}, halfwaySeen)
	if len(broken) == 0 {
		t.Fatal("the kills did not see it")
	}
	t.Log(broken[0], "and", len(broken)-1, "lines more")
}
