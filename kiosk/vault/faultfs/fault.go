package faultfs

import (
	"math/rand/v2"
	"slices"
)

// Kind is the closed set of operations.
type Kind uint8

// Kinds of operations: of the file system, and of an open file.
const (
	Open Kind = iota + 1
	Create
	Rename
	Remove
	Size
	Mkdir
	List
	SyncDir
	Read
	Write
	Truncate
	Sync
	Stat
	Close
)

var kinds = [...]string{Open: "open", Create: "create", Rename: "rename", Remove: "remove", Size: "stat", Mkdir: "mkdir",
	List: "list", SyncDir: "sync directory", Read: "read", Write: "write", Truncate: "truncate", Sync: "sync", Stat: "stat file", Close: "close"}

// String names the operation.
func (k Kind) String() string { return kinds[k] }

// changes reports whether an operation changes what is on the disk, or must.
func (k Kind) changes() bool {
	switch k {
	case Create, Rename, Remove, Mkdir, SyncDir, Write, Truncate, Sync:
		return true
	case Open, Size, List, Read, Stat, Close:
	}
	return false
}

// NeedsRoom reports whether a full disk may refuse an operation. A sync may:
// many file systems look for room only when they write.
func (k Kind) NeedsRoom() bool { return k.changes() && k != Remove }

// Call is one operation.
type Call struct {
	N    int // how many there were, this one included
	Kind Kind
	Name string
}

// Fault is how an operation fails: nothing of it happened, unless the fields
// say so.
type Fault struct {
	Err   error // what it answers, wrapped in an *fs.PathError
	Short bool  // Write: the first half was written
	// A sync that failed: by the toss of Rand, what was pending is on the disk or
	// never will be. Then the file reads on as if it were, since the kernel holds
	// the pages for clean; with Reverts, it reads as the disk is. A nil Rand
	// leaves it pending, as if nothing had been tried.
	Rand    *rand.Rand
	Reverts bool
}

// Inject lets operations fail: f is asked at each and returns nil for those that
// do not. nil ends it. f must not use the disk.
func (d *Disk) Inject(f func(Call) *Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inject = f
}

// drop is what becomes of a file when its sync failed.
func (n *inode) drop(f *Fault) {
	if f.Rand == nil {
		return
	}
	for _, op := range n.pending {
		if f.Rand.IntN(2) == 0 {
			op.apply(&n.safe)
		}
	}
	n.pending = nil
	if f.Reverts {
		n.now = content{n.safe.size, slices.Clone(n.safe.pages)}
	}
}
