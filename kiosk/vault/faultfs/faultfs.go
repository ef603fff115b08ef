// Package faultfs is a disk whose plug is pulled. It stands in for the file
// system under the vault (cryptfile.FS), keeps everything in memory, and forgets
// at a chosen operation what a real disk may forget: any of the writes since a
// file's last sync, whole, torn at 512-byte sectors or in another order, and any
// of the names made, moved and removed since a directory's last sync.
//
// It guarantees that what was synced survives, and that the same seed gives the
// same disk. It is for tests and for the endurance run of `dev`.
//
// Disks are safe for concurrent use.
package faultfs

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"cunban/kiosk/vault/cryptfile"
)

// ErrCut is what every operation answers after the power went.
var ErrCut = errors.New("the power is off")

// sector is the unit that a disk writes whole, bytes.
const sector = 512

// Disk is a simulated disk. Create with New.
type Disk struct {
	mu      sync.Mutex
	now     map[string]*inode // names as programs see them
	safe    map[string]*inode // names that survive
	pending map[string][]nameOp
	ops     int
	cutAt   int // operation at which the power goes, 0 = never
	cut     bool
	free    int64 // bytes that may still be written, -1 = no limit
}

type inode struct {
	now     []byte
	safe    []byte
	pending []dataOp
}

// dataOp is a write, or a truncation when data is nil.
type dataOp struct {
	off  int64
	data []byte
}

// nameOp is a change of a directory: from goes (unless ""), to is node (unless
// "").
type nameOp struct {
	from, to string
	node     *inode
}

// New returns an empty disk.
func New() *Disk {
	return &Disk{now: map[string]*inode{}, safe: map[string]*inode{}, pending: map[string][]nameOp{}, free: -1}
}

// CutAfter pulls the plug at the n-th changing operation from now.
func (d *Disk) CutAfter(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutAt = d.ops + n
}

// Limit lets only n more bytes be written before the disk is full; -1 lifts it.
func (d *Disk) Limit(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free = n
}

// Ops is the number of changing operations so far.
func (d *Disk) Ops() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// Cut reports whether the power went.
func (d *Disk) Cut() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cut
}

// step counts a changing operation; the one at which the power goes still
// reaches what is pending, but its caller never hears of it.
func (d *Disk) step() (cutNow bool, err error) {
	if d.cut {
		return false, ErrCut
	}
	d.ops++
	if d.cutAt > 0 && d.ops >= d.cutAt {
		d.cut = true
	}
	return d.cut, nil
}

func done(cutNow bool) error {
	if cutNow {
		return ErrCut
	}
	return nil
}

// Reboot returns the disk as it is found after the power came back: what was
// synced, and by chance some of the rest.
func (d *Disk) Reboot(rng *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = true // whoever still holds the old disk must not go on
	names := make(map[string]*inode, len(d.safe))
	for k, n := range d.safe {
		names[k] = n
	}
	dirs := make([]string, 0, len(d.pending))
	for k := range d.pending {
		dirs = append(dirs, k)
	}
	slices.Sort(dirs)
	for _, dir := range dirs {
		for _, op := range d.pending[dir] {
			if rng.IntN(2) == 0 {
				continue
			}
			if op.from != "" {
				delete(names, op.from)
			}
			if op.to != "" {
				names[op.to] = op.node
			}
		}
	}
	after := New()
	all := make([]string, 0, len(names))
	for k := range names {
		all = append(all, k)
	}
	slices.Sort(all)
	kept := map[*inode]*inode{}
	for _, k := range all {
		n := names[k]
		if kept[n] == nil {
			b := n.after(rng)
			kept[n] = &inode{now: b, safe: slices.Clone(b)}
		}
		after.now[k], after.safe[k] = kept[n], kept[n]
	}
	return after
}

// after is what of a file's content is found.
func (n *inode) after(rng *rand.Rand) []byte {
	b := slices.Clone(n.safe)
	ops := slices.Clone(n.pending)
	switch rng.IntN(4) {
	case 0: // nothing more reached the disk
		return b
	case 1: // all of it did
	case 2: // in any order
		rng.Shuffle(len(ops), func(i, j int) { ops[i], ops[j] = ops[j], ops[i] })
		fallthrough
	default: // some of it, some of that torn
		ops = slices.DeleteFunc(ops, func(dataOp) bool { return rng.IntN(3) == 0 })
		for i, op := range ops {
			if len(op.data) > sector && rng.IntN(3) == 0 {
				b = tear(b, op, rng)
				ops[i].data = nil
				ops[i].off = -1
			}
		}
	}
	for _, op := range ops {
		if op.off >= 0 {
			b = op.apply(b)
		}
	}
	return b
}

// tear writes only some sectors of a write.
func tear(b []byte, op dataOp, rng *rand.Rand) []byte {
	for at := 0; at < len(op.data); at += sector {
		if rng.IntN(2) == 0 {
			continue
		}
		end := min(at+sector, len(op.data))
		b = dataOp{op.off + int64(at), op.data[at:end]}.apply(b)
	}
	return b
}

func (op dataOp) apply(b []byte) []byte {
	if op.data == nil {
		if op.off <= int64(len(b)) {
			return b[:op.off]
		}
		return append(b, make([]byte, op.off-int64(len(b)))...)
	}
	if end := op.off + int64(len(op.data)); end > int64(len(b)) {
		b = append(b, make([]byte, end-int64(len(b)))...)
	}
	copy(b[op.off:], op.data)
	return b
}

// rename notes a change of names in the directories that it touches.
func (d *Disk) rename(op nameOp) {
	if op.from != "" {
		delete(d.now, op.from)
	}
	if op.to != "" {
		d.now[op.to] = op.node
	}
	dir := filepath.Dir(op.to)
	if op.to == "" {
		dir = filepath.Dir(op.from)
	}
	d.pending[dir] = append(d.pending[dir], op)
}

func missing(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist} }

// Open implements cryptfile.FS.
func (d *Disk) Open(name string) (cryptfile.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cut {
		return nil, ErrCut
	}
	n := d.now[name]
	if n == nil {
		return nil, missing("open", name)
	}
	return &file{d, n}, nil
}

// Create implements cryptfile.FS.
func (d *Disk) Create(name string) (cryptfile.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	cutNow, err := d.step()
	if err != nil {
		return nil, err
	}
	n := d.now[name]
	if n == nil {
		n = &inode{}
		d.rename(nameOp{to: name, node: n})
	} else {
		n.change(dataOp{})
	}
	return &file{d, n}, done(cutNow)
}

func (n *inode) change(op dataOp) {
	n.pending = append(n.pending, op)
	n.now = op.apply(n.now)
}

// Rename implements cryptfile.FS; a directory goes with everything in it.
func (d *Disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	cutNow, err := d.step()
	if err != nil {
		return err
	}
	n := d.now[from]
	found := n != nil
	if found {
		d.rename(nameOp{from, to, n})
	}
	for k, n := range d.now {
		if strings.HasPrefix(k, from+"/") {
			d.rename(nameOp{k, to + strings.TrimPrefix(k, from), n})
			found = true
		}
	}
	if !found {
		return missing("rename", from)
	}
	return done(cutNow)
}

// Remove implements cryptfile.FS. Directories are not kept: removing one does
// nothing.
func (d *Disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	cutNow, err := d.step()
	if err != nil {
		return err
	}
	if d.now[name] == nil {
		return missing("remove", name)
	}
	d.rename(nameOp{from: name})
	return done(cutNow)
}

// Size implements cryptfile.FS.
func (d *Disk) Size(name string) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cut {
		return 0, ErrCut
	}
	n := d.now[name]
	if n == nil {
		return 0, missing("stat", name)
	}
	return int64(len(n.now)), nil
}

// MkdirAll implements cryptfile.FS.
func (d *Disk) MkdirAll(string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cut {
		return ErrCut
	}
	return nil
}

// List implements cryptfile.FS.
func (d *Disk) List(dir string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cut {
		return nil, ErrCut
	}
	var out []string
	for k := range d.now {
		if rest, ok := strings.CutPrefix(k, dir+"/"); ok {
			first, _, _ := strings.Cut(rest, "/")
			out = append(out, first)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// SyncDir implements cryptfile.FS.
func (d *Disk) SyncDir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	cutNow, err := d.step()
	if err != nil {
		return err
	}
	if cutNow {
		return ErrCut
	}
	for _, op := range d.pending[dir] {
		if op.from != "" {
			delete(d.safe, op.from)
		}
		if op.to != "" {
			d.safe[op.to] = op.node
		}
	}
	delete(d.pending, dir)
	return nil
}

type file struct {
	d *Disk
	n *inode
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.cut {
		return 0, ErrCut
	}
	if off >= int64(len(f.n.now)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.now[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	cutNow, err := f.d.step()
	if err != nil {
		return 0, err
	}
	if f.d.free >= 0 {
		grow := max(0, off+int64(len(p))-int64(len(f.n.now)))
		if grow > f.d.free {
			return 0, &fs.PathError{Op: "write", Path: "disk", Err: syscall.ENOSPC}
		}
		f.d.free -= grow
	}
	f.n.change(dataOp{off, append([]byte{}, p...)})
	if cutNow {
		return 0, ErrCut
	}
	return len(p), nil
}

func (f *file) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	cutNow, err := f.d.step()
	if err != nil {
		return err
	}
	f.n.change(dataOp{off: size})
	return done(cutNow)
}

func (f *file) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	cutNow, err := f.d.step()
	if err != nil {
		return err
	}
	if cutNow {
		return ErrCut
	}
	for _, op := range f.n.pending {
		f.n.safe = op.apply(f.n.safe)
	}
	f.n.pending = nil
	return nil
}

func (f *file) Size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.cut {
		return 0, ErrCut
	}
	return int64(len(f.n.now)), nil
}

func (f *file) Close() error { return nil }
