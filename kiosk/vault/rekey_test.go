package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/vault/cryptfile"
	"cunban/kiosk/vault/faultfs"
	"cunban/kiosk/vault/keyring"
	"cunban/kiosk/vault/keys"
)

// readDataKey reads the data key as whoever has the source's key could, and
// demands a ring at rest.
func readDataKey(fsys cryptfile.FS, dir string, key []byte) ([]byte, error) {
	r, whole, err := keyring.Store{FS: fsys, Dir: dir}.Open(key)
	if err != nil {
		return nil, err
	}
	defer r.Wipe()
	if len(r.Keys) != 1 || !whole {
		return nil, fmt.Errorf("a ring with %d keys, both copies whole: %t", len(r.Keys), whole)
	}
	return bytes.Clone(r.Keys[0].Bytes()), nil
}

func dataKey(t testing.TB, fsys cryptfile.FS, dir string, key []byte) []byte {
	t.Helper()
	k, err := readDataKey(fsys, dir, key)
	must(t, err)
	return k
}

// rekeyed counts the log's records of a rekey.
func rekeyed(t testing.TB, v *Vault) int {
	t.Helper()
	rs, err := v.LogQuery(context.Background(), LogFilter{Event: oplog.VaultRekey})
	must(t, err)
	return len(rs)
}

func TestRekey(t *testing.T) {
	b := newBench(t)
	key := newMemKey().key
	c := b.submit(2)
	origin := b.v.Origin()
	b.close()
	old := dataKey(t, cryptfile.OS{}, b.o.Dir, key)
	before, err := os.ReadFile(filepath.Join(b.o.Dir, dbName))
	must(t, err)
	var done, total int64
	must(t, Rekey(context.Background(), b.o, RekeyOptions{Account: "9001", Progress: func(d, n int64) { done, total = d, n }}))
	if total == 0 || done != total {
		t.Errorf("progress %d of %d", done, total)
	}
	if bytes.Equal(old, dataKey(t, cryptfile.OS{}, b.o.Dir, key)) {
		t.Fatal("the data key is the old one")
	}
	for _, n := range []string{dbName, checkName} {
		wantErr(t, cryptfile.CheckKey(cryptfile.OS{}, filepath.Join(b.o.Dir, n), old), cryptfile.ErrWrongKey)
	}
	after, err := os.ReadFile(filepath.Join(b.o.Dir, dbName))
	must(t, err)
	for i := 0; i+cryptfile.SectorSize <= min(len(before), len(after)); i += cryptfile.SectorSize {
		if bytes.Equal(before[i:i+cryptfile.SectorSize], after[i:i+cryptfile.SectorSize]) {
			t.Fatalf("sector %d is as it was", i/cryptfile.SectorSize)
		}
	}
	onlyKnownFiles(t, cryptfile.OS{}, b.o.Dir)
	b.open()
	if !b.v.Clean() || len(b.v.Incidents()) > 0 || b.v.Origin() != origin || b.caseOf(c.ID).State != cases.Saved {
		t.Fatalf("clean %t, incidents %v", b.v.Clean(), b.v.Incidents())
	}
	if own, err := b.v.ByOwner(context.Background(), b.v.OwnerIndex(number(t, zhang))); err != nil || len(own) != 1 {
		t.Fatalf("by owner: %v, %v", own, err)
	}
	rs, err := b.v.LogQuery(context.Background(), LogFilter{Event: oplog.VaultRekey})
	if err != nil || len(rs) != 1 || rs[0].Account != "9001" || rs[0].Role != oplog.RoleTechnician || rs[0].Fields["key_source"] != "memory" {
		t.Fatalf("records %+v, %v", rs, err)
	}
	b.verify()
	b.submit(1)
}

// onlyKnownFiles demands that nothing is left of a rekey or a rotation.
func onlyKnownFiles(t testing.TB, fsys cryptfile.FS, dir string) {
	t.Helper()
	for _, what := range strangers(t, fsys, dir) {
		t.Errorf("%s is left", what)
	}
}

func strangers(t testing.TB, fsys cryptfile.FS, dir string) []string {
	t.Helper()
	names, err := fsys.List(dir)
	must(t, err)
	known := append(append([]string{checkName, lockName, scansName}, sqliteFiles...), keyring.Names[:]...)
	return slices.DeleteFunc(names, func(n string) bool { return slices.Contains(known, n) })
}

func TestRekeyRefuses(t *testing.T) {
	b := newBench(t)
	b.submit(0)
	ctx := context.Background()
	wantErr(t, Rekey(ctx, b.o, RekeyOptions{}), ErrLocked)
	b.close()
	o := b.o
	o.FreeBytes = func(string) (int64, error) { return rekeySpare, nil }
	wantErr(t, Rekey(ctx, o, RekeyOptions{}), cases.ErrDiskFull)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := Rekey(gone, b.o, RekeyOptions{}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	onlyKnownFiles(t, cryptfile.OS{}, b.o.Dir)

	// What was set aside needs the old key.
	aside := filepath.Join(b.o.Dir, dbName+asideMark+"x")
	must(t, os.WriteFile(aside, []byte("x"), 0o600))
	wantErr(t, Rekey(ctx, b.o, RekeyOptions{}), ErrSetAside)
	must(t, Rekey(ctx, b.o, RekeyOptions{DiscardDamaged: true}))
	if _, err := os.Stat(aside); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	b.open()
	if n := rekeyed(t, b.v); n != 1 {
		t.Fatalf("%d records", n)
	}
}

// lazyFS is a disk under a program that forgets a sync: files whose name match
// and directories, as told, are not synced. The cuts below must see it.
type lazyFS struct {
	*faultfs.Disk
	skips func(name string) bool
}

type lazyFile struct {
	cryptfile.File
	skip bool
}

func (f lazyFile) Sync() error {
	if f.skip {
		return nil
	}
	return f.File.Sync()
}

func (l lazyFS) Open(name string) (cryptfile.File, error) { return l.wrap(name)(l.Disk.Open(name)) }

func (l lazyFS) Create(name string) (cryptfile.File, error) {
	return l.wrap(name)(l.Disk.Create(name))
}

func (l lazyFS) wrap(name string) func(cryptfile.File, error) (cryptfile.File, error) {
	return func(f cryptfile.File, err error) (cryptfile.File, error) {
		if err != nil {
			return nil, err
		}
		return lazyFile{f, l.skips(name)}, nil
	}
}

func (l lazyFS) SyncDir(dir string) error {
	if l.skips(dir) {
		return nil
	}
	return l.Disk.SyncDir(dir)
}

// cutAtEvery does something to copies of a vault's disk, cuts the power at its
// first call, at its second, and so on to the last, reopens what is found, and
// tells what was broken. It stops at the first broken cut.
func cutAtEvery(t *testing.T, reboots int, lazy func(name string) bool, do func(b *bench) error, check func(b *bench, disk *faultfs.Disk) []string) (cuts int, broken []string) {
	t.Helper()
	b := newBench(t)
	b.close()
	base := faultfs.New()
	b.o.FS, b.o.Dir = base, "/data"
	b.open()
	promised := map[string]promise{}
	for i := range 3 {
		promised[b.submit(i).ID] = promise{state: cases.Saved}
	}
	b.close()
	rng := rand.New(rand.NewPCG(2026, 4))
	for n := 1; ; n++ {
		disk := base.Reboot(rng)
		b.o.FS = disk
		if lazy != nil {
			b.o.FS = lazyFS{disk, lazy}
		}
		disk.CutAfter(n)
		err := do(b)
		if err != nil && !disk.Cut() {
			t.Fatalf("call %d: failed though the power is on: %v", n, err)
		}
		finished := !disk.Cut()
		for range reboots {
			after := disk.Reboot(rng)
			if rng.IntN(2) == 0 { // and again, while the start sets it right
				after.CutAfter(1 + rng.IntN(30))
				b.o.FS = after
				if v, err := Open(context.Background(), b.o); err == nil {
					abandon(v)
				} else if !after.Cut() {
					broken = append(broken, fmt.Sprintf("cut at call %d: cannot open after it: %v", n, err))
				}
				after = after.Reboot(rng)
			}
			b.o.FS = after
			if b.v, err = Open(context.Background(), b.o); err != nil {
				broken = append(broken, fmt.Sprintf("cut at call %d: cannot open after it: %v", n, err))
				b.v = nil
				continue
			}
			for _, what := range append(broke(b, promised), check(b, after)...) {
				broken = append(broken, fmt.Sprintf("cut at call %d: %s", n, what))
			}
			for _, name := range strangers(t, after, b.o.Dir) {
				broken = append(broken, fmt.Sprintf("cut at call %d: %s is left", n, name))
			}
			abandon(b.v)
			b.v = nil
		}
		if len(broken) > 0 || finished {
			return n, broken
		}
	}
}

// rekeyWhole checks that a rekey happened wholly or not at all.
func rekeyWhole(t *testing.T, old *[]byte) func(b *bench, disk *faultfs.Disk) []string {
	return func(b *bench, disk *faultfs.Disk) (bad []string) {
		now, err := readDataKey(disk, b.o.Dir, newMemKey().key)
		if err != nil {
			return []string{err.Error()}
		}
		if *old == nil {
			*old = now // before the first change
		}
		if changed, records := !bytes.Equal(*old, now), rekeyed(t, b.v); changed != (records == 1) || records > 1 {
			bad = append(bad, fmt.Sprintf("key changed: %t, records of it: %d", changed, records))
		}
		for _, name := range []string{dbName, checkName} {
			if err := cryptfile.CheckKey(disk, b.v.path(name), now); err != nil {
				bad = append(bad, fmt.Sprintf("%s: %v", name, err))
			}
		}
		return bad
	}
}

func doRekey(b *bench) error { return Rekey(context.Background(), b.o, RekeyOptions{}) }

// TestRekeyCutAtEveryCall: at whatever call the power goes during a rekey, the
// next start finds either all of it done or nothing, and leaves nothing behind.
func TestRekeyCutAtEveryCall(t *testing.T) {
	var old []byte
	cuts, broken := cutAtEvery(t, cutsFromEnv(t, "CUNBAN_REKEY_REBOOTS", 2), nil, doRekey, rekeyWhole(t, &old))
	for _, what := range broken {
		t.Error(what)
	}
	t.Logf("%d calls", cuts)
	if cuts < 50 {
		t.Errorf("a rekey of %d calls: the disk was hardly touched", cuts)
	}
}

// TestRekeyCutsSeeMissingSyncs shows that the test above can fail.
func TestRekeyCutsSeeMissingSyncs(t *testing.T) {
	for what, skips := range map[string]func(name string) bool{
		"new database not synced before the rename": func(name string) bool { return strings.Contains(name, newName) },
		"keyring not synced": func(name string) bool {
			return strings.HasSuffix(name, keyring.Names[0]) || strings.HasSuffix(name, keyring.Names[1])
		},
		"folder not synced": func(name string) bool { return name == "/data" },
	} {
		t.Run(what, func(t *testing.T) {
			var old []byte
			if _, broken := cutAtEvery(t, 8, skips, doRekey, rekeyWhole(t, &old)); len(broken) == 0 {
				t.Fatal("the cuts did not see it")
			}
		})
	}
}

// TestRingHeals: either copy may be lost or damaged; a stranger's key changes
// nothing.
func TestRingHeals(t *testing.T) {
	b := newBench(t)
	c := b.submit(0)
	b.close()
	key := newMemKey().key
	want := dataKey(t, cryptfile.OS{}, b.o.Dir, key)
	for _, name := range keyring.Names {
		file := filepath.Join(b.o.Dir, name)
		for _, harm := range []func() error{
			func() error { return os.Remove(file) },
			func() error { return os.Truncate(file, 100) },
			func() error { return os.WriteFile(file, make([]byte, keyring.Size), 0o600) },
		} {
			must(t, harm())
			right := b.o.Keys
			b.o.Keys = []keys.Source{&memKey{bytes.Repeat([]byte{1}, keys.Size)}}
			_, err := Open(context.Background(), b.o)
			wantErr(t, err, ErrWrongKey)
			b.o.Keys = right
			b.open()
			if b.caseOf(c.ID).ID != c.ID || len(b.v.Incidents()) > 0 {
				t.Fatal("a damaged copy of the ring did harm")
			}
			b.close()
			if !bytes.Equal(want, dataKey(t, cryptfile.OS{}, b.o.Dir, key)) {
				t.Fatal("another data key")
			}
		}
	}
	for _, name := range keyring.Names {
		must(t, os.Remove(filepath.Join(b.o.Dir, name)))
	}
	_, err := Open(context.Background(), b.o)
	wantErr(t, err, ErrWrongKey) // and no new ring, which would open nothing
	if have, err := (keyring.Store{FS: cryptfile.OS{}, Dir: b.o.Dir}).Exists(); err != nil || have {
		t.Fatalf("a new ring was made, %v", err)
	}
}
