package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
	"cunban/kiosk/vault/cryptfile"
	"cunban/kiosk/vault/faultfs"
	"cunban/kiosk/vault/keyring"
	"cunban/kiosk/vault/keys"
)

// newSource is a source without a key until it makes one. Its key does not lie
// on the disk that loses power.
type newSource struct {
	key  []byte
	lies int // loads that give another key, for a source that cannot be trusted
}

func (*newSource) Name() string { return "other" }

func (n *newSource) Strength() string { return "密钥在别处。" }

func (n *newSource) Load(context.Context) ([]byte, error) {
	if n.key == nil {
		return nil, keys.ErrNoKey
	}
	if n.lies > 0 {
		n.lies--
		return bytes.Repeat([]byte{byte(n.lies)}, keys.Size), nil
	}
	return bytes.Clone(n.key), nil
}

func (n *newSource) Create(context.Context) ([]byte, error) {
	n.key = bytes.Repeat([]byte{0x42}, keys.Size)
	return bytes.Clone(n.key), nil
}

// opens tells which copies of the ring a source's key opens.
func opens(fsys cryptfile.FS, dir string, key []byte) (n int) {
	for i := range keyring.Names {
		if r, err := (keyring.Store{FS: fsys, Dir: dir}).OpenCopy(i, key); err == nil {
			r.Wipe()
			n++
		}
	}
	return n
}

func TestRotate(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	c := b.submit(1)
	from, to := newMemKey(), &newSource{}
	data := dataKey(t, cryptfile.OS{}, b.o.Dir, from.key)
	_, err := b.v.Rotate(ctx, from, "", "")
	wantErr(t, err, ErrSameKey)
	r, err := b.v.Rotate(ctx, to, "", "9001")
	if err != nil || r != (Rotation{From: "memory", To: "other", Strength: "密钥在别处。", Created: true}) {
		t.Fatalf("%+v, %v", r, err)
	}
	if k, err := b.v.KeyState(); err != nil || k.Source != "other" || k.Strength != "密钥在别处。" || k.Legacy || len(k.Aside) > 0 {
		t.Fatalf("%+v, %v", k, err)
	}
	b.submit(1) // it goes on
	if opens(cryptfile.OS{}, b.o.Dir, from.key) != 0 || opens(cryptfile.OS{}, b.o.Dir, to.key) != 2 {
		t.Fatal("the ring is not the new source's alone")
	}
	if !bytes.Equal(data, dataKey(t, cryptfile.OS{}, b.o.Dir, to.key)) {
		t.Fatal("a rotation changed the data key")
	}
	b.close()
	_, err = Open(ctx, b.o)
	wantErr(t, err, ErrWrongKey)
	b.o.Keys = []keys.Source{from, to} // the old one stands before it and does not fit
	b.open()
	k, err := b.v.KeyState()
	if err != nil || k.Source != "other" || !hasPart(k.Warnings, "“memory”里的密钥打不开") || b.caseOf(c.ID).State != cases.Saved {
		t.Fatalf("%+v, %v", k, err)
	}
	for event, outcomes := range map[oplog.Event][]oplog.Outcome{oplog.RotateBegin: {oplog.Begin, oplog.Begin}, oplog.RotateEnd: {oplog.Failed, oplog.OK}} {
		rs, err := b.v.LogQuery(ctx, LogFilter{Event: event})
		if err != nil || len(rs) != 2 {
			t.Fatalf("%d records of %s, %v", len(rs), event, err)
		}
		for _, o := range outcomes {
			found := false
			for _, r := range rs {
				found = found || r.Outcome == o
			}
			if !found {
				t.Errorf("%s has no %s: %+v", event, o, rs)
			}
		}
	}
	b.verify()
}

func hasPart(list []string, part string) bool {
	for _, s := range list {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}

// TestRotateProvesTheSource: a source that does not give its key twice, or none
// at all, leaves everything as it was.
func TestRotateProvesTheSource(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	_, err := b.v.Rotate(ctx, &newSource{key: bytes.Repeat([]byte{7}, keys.Size), lies: 1}, "", "")
	wantErr(t, err, ErrUnproven)
	_, err = b.v.Rotate(ctx, keys.Systemd{}, "", "")
	wantErr(t, err, keys.ErrCannotCreate)
	_, err = b.v.Rotate(ctx, keys.USB{Mount: t.TempDir(), Rand: rand.Reader}, "", "")
	wantErr(t, err, keys.ErrSource)
	if opens(cryptfile.OS{}, b.o.Dir, newMemKey().key) != 2 {
		t.Fatal("a failed rotation changed the ring")
	}
	b.close()
	b.open()
}

// brokenRing is a disk whose copies of the ring cannot be written any more.
type brokenRing struct {
	cryptfile.FS
	name string
}

var errBroken = errors.New("cannot write")

type readOnly struct{ cryptfile.File }

func (readOnly) WriteAt([]byte, int64) (int, error) { return 0, errBroken }

func (f brokenRing) Open(name string) (cryptfile.File, error) {
	g, err := f.FS.Open(name)
	if err == nil && filepath.Base(name) == f.name {
		return readOnly{g}, nil
	}
	return g, err
}

func TestRotateHalfway(t *testing.T) {
	for i, name := range keyring.Names {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			ctx := context.Background()
			to := &newSource{}
			b.v.fs = brokenRing{b.v.fs, name}
			_, err := b.v.Rotate(ctx, to, "", "")
			wantErr(t, err, errBroken)
			_, err = b.v.Rotate(ctx, to, "", "")
			wantErr(t, err, ErrReopen)
			b.close()
			b.o.Keys = []keys.Source{to, newMemKey()}
			b.open()
			// The second copy goes first: with it the change is finished.
			want := []string{"other", "memory"}[i]
			if k, err := b.v.KeyState(); err != nil || k.Source != want {
				t.Fatalf("%+v, %v", k, err)
			}
			_, err = b.v.Rotate(ctx, &newSource{key: bytes.Repeat([]byte{9, 1}, keys.Size/2)}, "", "")
			must(t, err)
		})
	}
}

// TestRotateCutAtEveryCall: at whatever call the power goes during a rotation,
// one of the two sources opens the vault, and then the other opens nothing.
func TestRotateCutAtEveryCall(t *testing.T) {
	from, to := newMemKey(), &newSource{}
	finished := false
	do := func(b *bench) error {
		to.key, finished = nil, false
		b.o.Keys = []keys.Source{from}
		v, err := Open(context.Background(), b.o)
		if err == nil {
			_, err = v.Rotate(context.Background(), to, "", "")
			finished = err == nil
			abandon(v)
		}
		b.o.Keys = []keys.Source{to, from}
		return err
	}
	undone, done := 0, 0
	cuts, broken := cutAtEvery(t, cutsFromEnv(t, "CUNBAN_REKEY_REBOOTS", 4), nil, do, func(b *bench, disk *faultfs.Disk) (bad []string) {
		k, err := b.v.KeyState()
		if err != nil {
			return []string{err.Error()}
		}
		used, other := from.key, to.key
		if k.Source == "other" {
			used, other = to.key, from.key
			done++
		} else {
			undone++
			if finished {
				bad = append(bad, "a rotation that was reported done is undone")
			}
		}
		if n := opens(disk, b.o.Dir, used); n != 2 {
			bad = append(bad, fmt.Sprintf("the key in use opens %d copies", n))
		}
		if other != nil {
			if n := opens(disk, b.o.Dir, other); n != 0 {
				bad = append(bad, fmt.Sprintf("the key not in use opens %d copies", n))
			}
		}
		return bad
	})
	for _, what := range broken {
		t.Error(what)
	}
	t.Logf("%d calls, %d times undone, %d times done", cuts, undone, done)
	if undone == 0 || done == 0 {
		t.Error("one of the two outcomes was never seen")
	}
}

// TestRotateCutsSeeMissingSyncs shows that the test above can fail: when the new
// copy is not on the disk before the old one goes.
func TestRotateCutsSeeMissingSyncs(t *testing.T) {
	from, to := newMemKey(), &newSource{}
	do := func(b *bench) error {
		to.key = nil
		b.o.Keys = []keys.Source{from}
		v, err := Open(context.Background(), b.o)
		if err == nil {
			_, err = v.Rotate(context.Background(), to, "", "")
			abandon(v)
		}
		b.o.Keys = []keys.Source{to, from}
		return err
	}
	lazy := func(name string) bool {
		return strings.HasSuffix(name, keyring.Names[0]) || strings.HasSuffix(name, keyring.Names[1])
	}
	if _, broken := cutAtEvery(t, 40, lazy, do, func(*bench, *faultfs.Disk) []string { return nil }); len(broken) == 0 {
		t.Fatal("the cuts did not see it")
	}
}

// TestOldVaultsGetARing: a stored vault from before there were rings opens with
// the key that it has, says what is left to do, and a rekey does it.
func TestOldVaultsGetARing(t *testing.T) {
	b := newBench(t)
	b.close()
	b.o.Dir = filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(b.o.Dir, os.DirFS(fixture(1))))
	source := newMemKey()
	derived := seal.Derive(source.key, infoLegacy, keys.Size)
	b.open()
	if k, err := b.v.KeyState(); err != nil || !k.Legacy || !hasPart(k.Warnings, "kioskctl vault rekey") {
		t.Fatalf("%+v, %v", k, err)
	}
	to := &newSource{}
	if r, err := b.v.Rotate(context.Background(), to, "", ""); err != nil || !r.Legacy {
		t.Fatalf("%+v, %v", r, err)
	}
	b.close()
	if !bytes.Equal(derived, dataKey(t, cryptfile.OS{}, b.o.Dir, to.key)) {
		t.Fatal("the ring does not hold the key that the vault was written with")
	}
	b.o.Keys = []keys.Source{to}
	must(t, Rekey(context.Background(), b.o, RekeyOptions{}))
	wantErr(t, cryptfile.CheckKey(cryptfile.OS{}, filepath.Join(b.o.Dir, dbName), derived), cryptfile.ErrWrongKey)
	b.open()
	if k, err := b.v.KeyState(); err != nil || k.Legacy || len(k.Warnings) > 0 && k.Locked {
		t.Fatalf("%+v, %v", k, err)
	}
	if all, err := b.v.List(context.Background(), cases.Query{}); err != nil || len(all) != 3 {
		t.Fatalf("%d cases, %v", len(all), err)
	}
	b.verify()
}

// TestBackupKey: the backup opens the vault where the source cannot.
func TestBackupKey(t *testing.T) {
	b := newBench(t)
	c := b.submit(0)
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "cunban.key")
	wantErr(t, BackupKey(ctx, b.o, path, "9001"), ErrLocked)
	b.close()
	must(t, BackupKey(ctx, b.o, path, "9001"))
	wantErr(t, BackupKey(ctx, b.o, path, "9001"), keys.ErrExists)
	b.o.Keys = []keys.Source{&gone{}, keys.File{Path: path}}
	b.open()
	k, err := b.v.KeyState()
	if err != nil || k.Source != keys.NameFile || !hasPart(k.Warnings, "芯片坏了") || b.caseOf(c.ID).ID != c.ID {
		t.Fatalf("%+v, %v", k, err)
	}
	rs, err := b.v.LogQuery(ctx, LogFilter{Event: oplog.VaultBackupKey})
	if err != nil || len(rs) != 1 || rs[0].Account != "9001" {
		t.Fatalf("%+v, %v", rs, err)
	}
}

// gone is a source that broke.
type gone struct{ newSource }

func (*gone) Load(context.Context) ([]byte, error) {
	return nil, &keys.Trouble{Source: "other", Text: "芯片坏了。", Err: nil}
}
