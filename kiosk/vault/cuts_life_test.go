package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
	"cunban/kiosk/vault/cryptfile"
	"cunban/kiosk/vault/faultfs"
)

// dataDir is the vault's folder on a simulated disk. It lies deep, so that the
// names of the folders above it can be lost.
const dataDir = "/var/cunban/vault"

// image is a disk with a vault at rest, and what that vault has promised.
type image struct {
	disk *faultfs.Disk
	led  *ledger
	at   time.Time // when it was left
}

// images are where the lives of the tests begin. They are made once and only
// copied.
type images struct {
	county *seal.PrivateKey
	sign   *seal.PrivateKey // the county's, for checkpoints
	by     map[string]image
}

// start names the images. Those of older versions are added by makeImages.
const (
	startEmpty = "first start"
	startUsed  = "used"
	startOld   = "old" // has what Retain and Prune look for
)

func makeImages(t testing.TB) *images {
	t.Helper()
	b := newBench(t)
	b.close()
	im := &images{county: b.county, by: map[string]image{}}
	im.by[startEmpty] = image{faultfs.New(), newLedger(), b.clock.now()}

	disk := faultfs.New()
	b.o.FS, b.o.Dir = disk, dataDir
	b.open()
	im.sign = b.enrol()
	keep := func(name string) {
		l := newLedger()
		cs, err := b.v.List(context.Background(), cases.Query{})
		must(t, err)
		for _, c := range cs {
			l.cases[c.ID] = promise{state: c.State}
		}
		must(t, l.settle(b, disk))
		b.close()
		im.by[name] = image{disk.Copy(), l, b.clock.now()}
	}
	b.submit(1)
	b.submit(0)
	b.accept()
	keep(startUsed)
	b.open()
	for range 2 {
		b.submit(1)
	}
	b.accept()
	b.accept()
	b.countersign(im.sign)
	b.clock.move(MinLogAge + day)
	b.submit(0)
	keep(startOld)

	for version := 1; version < len(migrations); version++ {
		im.by[fmt.Sprint("version ", version)] = imageOfVersion(t, b, version)
	}
	return im
}

// imageOfVersion is the stored vault of an older version.
func imageOfVersion(t testing.TB, b *bench, version int) image {
	t.Helper()
	disk := faultfs.New()
	must(t, copyOnto(disk, os.DirFS(fixture(version))))
	l := newLedger()
	b.o.FS = disk.Copy()
	b.open() // a copy, to see what is in it
	cs, err := b.v.List(context.Background(), cases.Query{})
	must(t, err)
	for _, c := range cs {
		l.cases[c.ID] = promise{state: c.State}
	}
	b.close()
	return image{disk, l, b.clock.now()}
}

// copyOnto copies a folder into dataDir of a disk.
func copyOnto(disk *faultfs.Disk, from fs.FS) error {
	return fs.WalkDir(from, ".", func(name string, e fs.DirEntry, err error) error {
		to := path.Join(dataDir, name)
		switch {
		case err != nil:
			return err
		case e.IsDir():
			return cryptfile.MakeDir(disk, to)
		}
		data, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		return cryptfile.WriteFile(disk, to, data)
	})
}

// life is a vault on a simulated disk that works by chance, and keeps a ledger
// of what it promised.
type life struct {
	*bench
	im    *images
	rng   *mathrand.Rand
	disk  *faultfs.Disk
	led   *ledger
	doing string // what is under way
	wrap  func(cryptfile.FS) cryptfile.FS
}

// newLife is a life without a disk yet; see begin.
func newLife(t testing.TB, im *images) *life {
	t.Helper()
	b := newBench(t)
	b.close()
	b.county = im.county
	b.o.Dir, b.o.walPages = dataDir, 24 // so few that the WAL wraps and is moved often
	return &life{bench: b, im: im, wrap: func(fsys cryptfile.FS) cryptfile.FS { return fsys }}
}

func (l *life) begin(at image, rng *mathrand.Rand) {
	l.disk, l.led, l.rng = at.disk, at.led, rng
	l.o.FS = l.wrap(l.disk)
	l.clock.mu.Lock()
	l.clock.t = at.at
	l.clock.mu.Unlock()
}

// start opens the vault and ends what was open.
func (l *life) start() error {
	l.doing = startEmpty
	if l.led.key != nil {
		l.doing = "start"
	} else if len(l.led.cases) > 0 {
		l.doing = "migrate"
	}
	v, err := Open(context.Background(), l.o)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	l.v = v
	return l.led.settle(l.bench, l.disk)
}

// leave gives the vault up as a crash would.
func (l *life) leave() {
	if l.v != nil {
		abandon(l.v)
		l.v = nil
	}
}

// abandon gives up a vault whose disk is gone.
func abandon(v *Vault) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	_ = v.release() // its disk answers nothing but ErrCut
}

// acts are what a life does. Each has the name under which cuts in it are
// counted, and how often it comes.
var acts = []struct {
	name   string
	weight int
	do     func(l *life) error
}{
	{"submit", 6, (*life).submitOne},
	{"acknowledge", 4, (*life).acknowledge},
	{"checkpoint", 2, (*life).sign},
	{"withdraw", 1, (*life).withdraw},
	{"mend", 1, (*life).mend},
	{"retry", 1, (*life).retry},
	{"setting", 1, (*life).set},
	{"countersign", 1, (*life).countersignOne},
	{"retain", 1, (*life).retainAll},
	{"prune", 1, (*life).pruneAll},
	{"close", 1, (*life).restart},
	{"rekey", 1, (*life).rekey},
}

// act does one thing, by name or by chance.
func (l *life) act(name string) error {
	total := 0
	for _, a := range acts {
		total += a.weight
	}
	n := l.rng.IntN(total)
	for _, a := range acts {
		if n -= a.weight; a.name == name || name == "" && n < 0 {
			l.doing = a.name
			if err := a.do(l); err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			return l.led.told(l.bench)
		}
	}
	return fmt.Errorf("no act %q", name)
}

// case1 notes what may become of a case and, when f returns nil, what has.
func (l *life) case1(id string, to cases.State, f func() error) error {
	p := l.led.cases[id]
	p.maybe = to
	l.led.cases[id] = p
	if err := f(); err != nil {
		return err
	}
	l.led.cases[id] = promise{state: to}
	return nil
}

func (l *life) put(d cases.Draft) error {
	return l.case1(d.ID, cases.Saved, func() error {
		_, err := l.desk().Submit(context.Background(), d)
		return err
	})
}

func (l *life) submitOne() error { return l.put(l.draft(l.rng.IntN(3))) }

// leased is at most one item that is due.
func (l *life) leased() ([]cases.Item, error) {
	return l.v.Lease(context.Background(), l.clock.now(), time.Minute, 1)
}

func (l *life) acknowledge() error {
	its, err := l.leased()
	for _, it := range its {
		err = errors.Join(err, l.case1(it.CaseID, cases.Accepted, func() error {
			_, err := l.v.Acknowledge(context.Background(), it.CaseID, it.Revision, it.Lease, "N-"+it.CaseID[:8], l.clock.now(), "")
			return err
		}))
	}
	return err
}

func (l *life) retry() error {
	its, err := l.leased()
	for _, it := range its {
		err = errors.Join(err, l.v.Retry(context.Background(), it.CaseID, it.Revision, it.Lease, l.clock.now(), "r", "d"))
	}
	return err
}

func (l *life) sign() error {
	note, _, err := l.v.Checkpoint(context.Background(), 0)
	if err != nil {
		return err
	}
	cp, err := oplog.OpenCheckpoint(note, l.v.Origin(), l.v.PublicKey())
	if err != nil {
		return err
	}
	if cp.Size < l.led.size {
		return fmt.Errorf("a checkpoint of %d after one of %d", cp.Size, l.led.size)
	}
	l.led.note, l.led.size = note, cp.Size
	return nil
}

func (l *life) countersignOne() error {
	if err := l.sign(); err != nil {
		return err
	}
	if key, _, err := l.v.Get(context.Background(), keyCountySign); err != nil || !bytes.Equal(key, l.im.sign.Public().PEM()) {
		return err // not enrolled, or with another county
	}
	if l.led.counted == l.led.size {
		return nil
	}
	signed, err := oplog.Countersign(rand.Reader, l.led.note, oplog.CountyName, l.im.sign)
	if err != nil {
		return err
	}
	l.led.note = nil // either one may be found now
	if err := l.v.Countersign(context.Background(), signed); err != nil {
		return err
	}
	l.led.counted = l.led.size
	return nil
}

func (l *life) withdraw() error {
	d := l.draft(1)
	if err := l.put(d); err != nil {
		return err
	}
	return l.case1(d.ID, cases.Withdrawn, func() error {
		_, err := l.v.Withdraw(context.Background(), d.ID, d.Actor)
		return err
	})
}

// mend submits a case, lets the county return it, and submits it again.
func (l *life) mend() error {
	its, err := l.leased()
	if err != nil || len(its) == 0 {
		return err
	}
	it := its[0]
	if err := l.case1(it.CaseID, cases.Accepted, func() error {
		_, err := l.v.Acknowledge(context.Background(), it.CaseID, it.Revision, it.Lease, "N-"+it.CaseID[:8], l.clock.now(), "")
		return err
	}); err != nil {
		return err
	}
	if err := l.case1(it.CaseID, cases.Returned, func() error {
		return l.v.Upstream(context.Background(), cases.Update{CaseID: it.CaseID, Revision: it.Revision, State: cases.Returned, At: l.clock.now()})
	}); err != nil {
		return err
	}
	d := l.draft(1)
	d.ID, d.Revision = it.CaseID, it.Revision+1
	return l.put(d)
}

func (l *life) set() error {
	l.led.settings = fmt.Sprint("v", l.rng.Uint32())
	if err := l.v.Put(context.Background(), testSetting, []byte(l.led.settings)); err != nil {
		return err
	}
	l.led.setting = l.led.settings
	return nil
}

func (l *life) retainAll() error {
	l.clock.move(time.Hour)
	_, err := l.v.Retain(context.Background(), l.clock.now())
	return err
}

func (l *life) pruneAll() error {
	if _, err := l.v.Prune(context.Background(), l.clock.now().Add(-MinLogAge)); err != nil {
		return err
	}
	st, err := l.v.LogState(context.Background())
	l.led.first = st.First
	return err
}

// restart closes the vault and opens it again.
func (l *life) restart() error {
	v := l.v
	l.v = nil
	if err := v.Close(context.Background()); err != nil {
		return err
	}
	return l.start()
}

func (l *life) rekey() error {
	v := l.v
	l.v = nil
	if err := v.Close(context.Background()); err != nil {
		return err
	}
	l.led.rekeying = true
	if err := Rekey(context.Background(), l.o, RekeyOptions{}); err != nil {
		return err
	}
	l.led.rekeying = false
	old := l.led.key
	var err error
	if l.led.key, err = readDataKey(l.disk, l.o.Dir, newMemKey().key); err != nil {
		return err
	}
	if string(old) == string(l.led.key) {
		return errors.New("the data key is the old one")
	}
	return l.start()
}
