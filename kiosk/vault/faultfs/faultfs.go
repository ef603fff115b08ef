// Package faultfs is a disk that fails. It stands in for the file system under
// the vault (cryptfile.FS) and keeps everything in memory. Two things can go
// wrong with it:
//
//   - The power goes (CutAfter, Watch, Reboot). The disk forgets what a real one
//     may forget: any of the writes since a file's last sync, whole, torn at
//     512-byte sectors, in another order, or with the 4,096 bytes of the medium
//     around them spoilt; and any of the names made, moved and removed since
//     their directory's last sync, each by itself.
//   - A call fails (Inject, Limit): any error at any call, writes that come
//     short, and syncs that fail, after which what was not yet written is
//     dropped while it still reads as if it were there (as ext4 and xfs do), or
//     reads as before.
//
// It guarantees that what was synced survives, and that the same seed gives the
// same disk. It promises less than any real file system does, so that what is
// safe on it rests on fsync and on nothing else. It is for tests and for the
// endurance runs of `dev`.
//
// Disks are safe for concurrent use.
package faultfs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"cunban/kiosk/vault/cryptfile"
)

// ErrCut is what every operation answers after the power went.
var ErrCut = errors.New("the power is off")

// Disk is a simulated disk. Create with New. Names are absolute, with slashes;
// the root directory is there.
type Disk struct {
	mu     sync.Mutex
	root   *inode
	ops    int // changing operations
	calls  int // all operations
	cutAt  int // operation at which the power goes, 0 = never
	cut    bool
	free   int64 // bytes that may still be written, -1 = no limit
	inject func(Call) *Fault
	watch  func(Moment)
}

// inode is a file or a directory.
type inode struct {
	// A file: what programs see, what survives, and what may.
	now, safe content
	pending   []dataOp
	// A directory, likewise; names is nil for a file.
	names, safeNames map[string]*inode
	pendingNames     []nameOp
}

// nameOp is a change of a directory: from goes (unless ""), to is node (unless
// "").
type nameOp struct {
	from, to string
	node     *inode
}

func (op nameOp) apply(names map[string]*inode) {
	if op.from != "" {
		delete(names, op.from)
	}
	if op.to != "" {
		names[op.to] = op.node
	}
}

func newDir() *inode {
	return &inode{names: map[string]*inode{}, safeNames: map[string]*inode{}}
}

// New returns an empty disk.
func New() *Disk { return &Disk{root: newDir(), free: -1} }

// CutAfter pulls the plug at the n-th changing operation from now.
func (d *Disk) CutAfter(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutAt = d.ops + n
}

// Limit lets files grow only n more bytes before the disk is full; -1 lifts it.
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

// Calls is the number of operations of every kind so far.
func (d *Disk) Calls() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls
}

// Cut reports whether the power went.
func (d *Disk) Cut() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cut
}

// Moment is an instant at which the power could go: a changing operation has
// reached what is pending (a sync has not begun), and its caller does not know
// yet. It is valid until the function that was called with it returns.
type Moment struct {
	Op int // number of the operation, the first is 1
	d  *Disk
}

// Reboot returns the disk as it would be found had the power gone at this
// moment. The disk itself goes on.
func (m Moment) Reboot(rng *rand.Rand) *Disk { return m.d.found(rng) }

// Watch calls f at every changing operation; nil ends it. f must not use the
// disk but through the Moment.
func (d *Disk) Watch(f func(Moment)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watch = f
}

// Reboot cuts the power, if it is on, and returns the disk as it is found
// afterwards: what was synced, and by chance some of the rest.
func (d *Disk) Reboot(rng *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = true // whoever still holds the old disk must not go on
	return d.found(rng)
}

// Copy returns a disk that holds what programs see on this one, all of it safe.
func (d *Disk) Copy() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := New()
	c.root = d.root.copy(map[*inode]*inode{})
	return c
}

func (n *inode) copy(seen map[*inode]*inode) *inode {
	if seen[n] != nil {
		return seen[n]
	}
	if n.names == nil {
		seen[n] = &inode{now: n.now.clone(), safe: n.now.clone()}
		return seen[n]
	}
	c := newDir()
	seen[n] = c
	for name, node := range n.names {
		c.names[name] = node.copy(seen)
	}
	c.safeNames = maps.Clone(c.names)
	return c
}

func (d *Disk) found(rng *rand.Rand) *Disk {
	c := New()
	c.root = d.root.found(rng, map[*inode]*inode{})
	return c
}

// found is what of a file or a directory is there after a cut. A node that two
// names reach (one of a lost rename, one of a kept one) stays one.
func (n *inode) found(rng *rand.Rand, seen map[*inode]*inode) *inode {
	if seen[n] != nil {
		return seen[n]
	}
	if n.names == nil {
		c := after(n.safe, n.pending, rng)
		seen[n] = &inode{now: c, safe: c.clone()}
		return seen[n]
	}
	names := maps.Clone(n.safeNames)
	for _, op := range n.pendingNames {
		if rng.IntN(2) == 0 {
			op.apply(names)
		}
	}
	c := newDir()
	seen[n] = c
	for _, name := range slices.Sorted(maps.Keys(names)) { // the order must be the seed's
		c.names[name] = names[name].found(rng, seen)
	}
	c.safeNames = maps.Clone(c.names)
	return c
}

// begin counts an operation and lets it fail as it was told to. It holds the
// lock until end.
func (d *Disk) begin(kind Kind, name string) (*Fault, error) {
	d.mu.Lock()
	if d.cut {
		return nil, ErrCut
	}
	d.calls++
	if kind.changes() {
		d.ops++
		if d.cutAt > 0 && d.ops >= d.cutAt {
			d.cut = true
		}
	}
	if d.inject == nil {
		return nil, nil
	}
	f := d.inject(Call{N: d.calls, Kind: kind, Name: name})
	if f == nil {
		return nil, nil
	}
	return f, &fs.PathError{Op: kind.String(), Path: name, Err: f.Err}
}

func (d *Disk) end() { d.mu.Unlock() }

// reached ends a changing operation that reached what is pending: here the
// power may go, and then its caller never hears of it.
func (d *Disk) reached() error {
	if d.watch != nil {
		d.watch(Moment{Op: d.ops, d: d})
	}
	if d.cut {
		return ErrCut
	}
	return nil
}

func failure(kind Kind, name string, err error) error {
	return &fs.PathError{Op: kind.String(), Path: name, Err: err}
}

// find returns what a name stands for, nil for nothing.
func (d *Disk) find(name string) *inode {
	n := d.root
	for part := range strings.SplitSeq(strings.Trim(path.Clean(name), "/"), "/") {
		if part == "" {
			continue
		}
		if n == nil || n.names == nil {
			return nil
		}
		n = n.names[part]
	}
	return n
}

func (d *Disk) file(kind Kind, name string) (*inode, error) {
	n := d.find(name)
	if n == nil || n.names != nil {
		return nil, failure(kind, name, fs.ErrNotExist)
	}
	return n, nil
}

func (d *Disk) dir(kind Kind, name string) (*inode, error) {
	n := d.find(name)
	if n == nil || n.names == nil {
		return nil, failure(kind, name, fs.ErrNotExist)
	}
	return n, nil
}

// rename notes a change of a directory.
func (n *inode) rename(op nameOp) {
	op.apply(n.names)
	n.pendingNames = append(n.pendingNames, op)
}

func (n *inode) change(op dataOp) {
	n.pending = append(n.pending, op)
	op.apply(&n.now)
}

// Open implements cryptfile.FS.
func (d *Disk) Open(name string) (cryptfile.File, error) {
	defer d.end()
	if _, err := d.begin(Open, name); err != nil {
		return nil, err
	}
	n, err := d.file(Open, name)
	if err != nil {
		return nil, err
	}
	return &file{d, n, name}, nil
}

// Create implements cryptfile.FS.
func (d *Disk) Create(name string) (cryptfile.File, error) {
	defer d.end()
	if _, err := d.begin(Create, name); err != nil {
		return nil, err
	}
	dir, err := d.dir(Create, path.Dir(name))
	if err != nil {
		return nil, err
	}
	base := path.Base(name)
	n := dir.names[base]
	switch {
	case n == nil:
		n = &inode{}
		dir.rename(nameOp{to: base, node: n})
	case n.names != nil:
		return nil, failure(Create, name, syscall.EISDIR)
	default:
		n.change(dataOp{})
	}
	if err := d.reached(); err != nil {
		return nil, err
	}
	return &file{d, n, name}, nil
}

// Rename implements cryptfile.FS, within one directory: nothing here needs more.
func (d *Disk) Rename(from, to string) error {
	defer d.end()
	if _, err := d.begin(Rename, to); err != nil {
		return err
	}
	if path.Dir(from) != path.Dir(to) {
		return failure(Rename, to, fmt.Errorf("to another directory: %w", errors.ErrUnsupported))
	}
	dir, err := d.dir(Rename, path.Dir(from))
	if err != nil {
		return err
	}
	n := dir.names[path.Base(from)]
	if n == nil {
		return failure(Rename, from, fs.ErrNotExist)
	}
	if old := dir.names[path.Base(to)]; old != nil && len(old.names) > 0 {
		return failure(Rename, to, syscall.ENOTEMPTY)
	}
	dir.rename(nameOp{path.Base(from), path.Base(to), n})
	return d.reached()
}

// Remove implements cryptfile.FS; a directory must be empty.
func (d *Disk) Remove(name string) error {
	defer d.end()
	if _, err := d.begin(Remove, name); err != nil {
		return err
	}
	dir, err := d.dir(Remove, path.Dir(name))
	if err != nil {
		return err
	}
	n := dir.names[path.Base(name)]
	switch {
	case n == nil:
		return failure(Remove, name, fs.ErrNotExist)
	case len(n.names) > 0:
		return failure(Remove, name, syscall.ENOTEMPTY)
	}
	dir.rename(nameOp{from: path.Base(name)})
	return d.reached()
}

// Size implements cryptfile.FS; a directory has none.
func (d *Disk) Size(name string) (int64, error) {
	defer d.end()
	if _, err := d.begin(Size, name); err != nil {
		return 0, err
	}
	n := d.find(name)
	if n == nil {
		return 0, failure(Size, name, fs.ErrNotExist)
	}
	return n.now.size, nil
}

// MkdirAll implements cryptfile.FS. Like every name, a directory's survives
// once the one above it is synced.
func (d *Disk) MkdirAll(name string) error {
	defer d.end()
	if _, err := d.begin(Mkdir, name); err != nil {
		return err
	}
	n := d.root
	for part := range strings.SplitSeq(strings.Trim(path.Clean(name), "/"), "/") {
		if part == "" {
			continue
		}
		next := n.names[part]
		switch {
		case next == nil:
			next = newDir()
			n.rename(nameOp{to: part, node: next})
		case next.names == nil:
			return failure(Mkdir, name, syscall.ENOTDIR)
		}
		n = next
	}
	return d.reached()
}

// List implements cryptfile.FS.
func (d *Disk) List(name string) ([]string, error) {
	defer d.end()
	if _, err := d.begin(List, name); err != nil {
		return nil, err
	}
	n := d.find(name)
	if n == nil {
		return nil, nil
	}
	return slices.Sorted(maps.Keys(n.names)), nil
}

// SyncDir implements cryptfile.FS.
func (d *Disk) SyncDir(name string) error {
	defer d.end()
	// When it fails, names stay as they are: a journal writes them later, or the
	// power goes.
	if _, err := d.begin(SyncDir, name); err != nil {
		return err
	}
	n, err := d.dir(SyncDir, name)
	if err != nil {
		return err
	}
	if err := d.reached(); err != nil {
		return err
	}
	for _, op := range n.pendingNames {
		op.apply(n.safeNames)
	}
	n.pendingNames = nil
	return nil
}

// file is an open file.
type file struct {
	d    *Disk
	n    *inode
	name string
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	defer f.d.end()
	if _, err := f.d.begin(Read, f.name); err != nil {
		return 0, err
	}
	return f.n.now.readAt(p, off)
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	defer f.d.end()
	fault, err := f.d.begin(Write, f.name)
	if err != nil && (fault == nil || !fault.Short) {
		return 0, err
	}
	if err != nil {
		p = p[:len(p)/2]
	} else if room := f.d.free; room >= 0 {
		if over := off + int64(len(p)) - max(f.n.now.size, off) - room; over > 0 { // what fits is written
			p, err = p[:max(0, int64(len(p))-over)], failure(Write, f.name, syscall.ENOSPC)
		}
		f.d.free -= max(0, off+int64(len(p))-max(f.n.now.size, off))
	}
	if len(p) > 0 {
		f.n.change(dataOp{off, slices.Clone(p)})
	}
	if cut := f.d.reached(); cut != nil {
		return 0, cut
	}
	return len(p), err
}

func (f *file) Truncate(size int64) error {
	defer f.d.end()
	if _, err := f.d.begin(Truncate, f.name); err != nil {
		return err
	}
	f.n.change(dataOp{off: size})
	return f.d.reached()
}

func (f *file) Sync() error {
	defer f.d.end()
	fault, err := f.d.begin(Sync, f.name)
	if err != nil {
		if fault != nil {
			f.n.drop(fault)
		}
		return err
	}
	if err := f.d.reached(); err != nil {
		return err
	}
	for _, op := range f.n.pending {
		op.apply(&f.n.safe)
	}
	f.n.pending = nil
	return nil
}

func (f *file) Size() (int64, error) {
	defer f.d.end()
	if _, err := f.d.begin(Stat, f.name); err != nil {
		return 0, err
	}
	return f.n.now.size, nil
}

func (f *file) Close() error {
	defer f.d.end()
	_, err := f.d.begin(Close, f.name)
	if errors.Is(err, ErrCut) {
		return nil // whoever holds a file of a dead disk may let it go
	}
	return err
}
