package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
)

// sectorSize is what a disk writes whole, bytes: a write is torn between
// sectors, never within one.
const sectorSize = 512

// errPowerOff is what a disk answers once its plug is pulled.
var errPowerOff = errors.New("the power is off")

// plugDisk is a disk with a volatile write cache, as disks have: a write is
// answered when it is in the cache and is safe after the next flush. When the
// plug is pulled, each write since then may be there, torn between sectors, or
// gone, whatever came before or after it. (Killing qemu alone would be too
// kind: the host keeps all that it was handed.)
//
// It is safe for concurrent use.
type plugDisk struct {
	// lies makes it answer a flush without obeying: a control.
	lies bool

	mu      sync.Mutex
	now     []byte      // as the computer sees it
	safe    []byte      // as it is for certain after a cut
	pending []diskWrite // between the two, the oldest first
	asked   int         // writes and flushes so far
	cutAt   int         // which of them may be the last, 0 = none yet
	cutDeep int         // how many writes must be unsafe then
	off     chan struct{}
}

type diskWrite struct {
	off  int64
	data []byte
}

// readDisk takes a disk from an image. Its size is rounded down to whole
// sectors.
func readDisk(image string) (*plugDisk, error) {
	f, err := os.Open(image)
	if err != nil {
		return nil, fmt.Errorf("read a disk: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read a disk: %w", err)
	}
	size := st.Size() / sectorSize * sectorSize
	d := &plugDisk{now: make([]byte, size), safe: make([]byte, size), off: make(chan struct{})}
	if _, err := io.ReadFull(f, d.now); err != nil {
		return nil, fmt.Errorf("read a disk: %w", err)
	}
	copy(d.safe, d.now)
	return d, nil
}

// writeImage keeps what is safe on the disk in a file, with holes where there
// is nothing.
func (d *plugDisk) writeImage(image string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	const block = 64 << 10
	f, err := os.OpenFile(image, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("keep a disk: %w", err)
	}
	nothing := make([]byte, block)
	err = f.Truncate(int64(len(d.safe)))
	for at := 0; err == nil && at < len(d.safe); at += block {
		if b := d.safe[at:min(at+block, len(d.safe))]; !bytes.Equal(b, nothing[:len(b)]) {
			_, err = f.WriteAt(b, int64(at))
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("keep a disk: %w", err)
	}
	return nil
}

// size is how many bytes the disk has.
func (d *plugDisk) size() int64 { return int64(len(d.now)) }

// powerOff is closed when the power went.
func (d *plugDisk) powerOff() <-chan struct{} { return d.off }

// cut pulls the plug.
func (d *plugDisk) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.goDark()
}

func (d *plugDisk) goDark() {
	if !d.dark() {
		close(d.off)
	}
}

func (d *plugDisk) dark() bool {
	select {
	case <-d.off:
		return true
	default:
		return false
	}
}

// cutPatience is how many writes and flushes a cut waits for its moment.
const cutPatience = 500

// cutAfter pulls the plug at the n-th write or flush from now, which is begun
// and never answered; or at the first after it that finds deep writes unsafe,
// if one comes soon.
func (d *plugDisk) cutAfter(n, deep int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutAt, d.cutDeep = d.asked+n, deep
}

// step counts a write or a flush and tells whether the power goes with it.
func (d *plugDisk) step() bool {
	d.asked++
	if d.cutAt > 0 && d.asked >= d.cutAt && (len(d.pending) >= d.cutDeep || d.asked >= d.cutAt+cutPatience) {
		d.goDark()
	}
	return d.dark()
}

// inside refuses what lies beyond the disk's end.
func (d *plugDisk) inside(off, n int64) error {
	if off < 0 || n < 0 || off > d.size()-n {
		return fmt.Errorf("bytes %d to %d of a disk of %d", off, off+n, d.size())
	}
	return nil
}

// read fills p from off. Errors: errPowerOff.
func (d *plugDisk) read(p []byte, off int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dark() {
		return errPowerOff
	}
	if err := d.inside(off, int64(len(p))); err != nil {
		return err
	}
	copy(p, d.now[off:])
	return nil
}

// write takes p into the cache and keeps it: it must not change. Errors:
// errPowerOff.
func (d *plugDisk) write(p []byte, off int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dark() {
		return errPowerOff
	}
	if err := d.inside(off, int64(len(p))); err != nil {
		return err
	}
	gone := d.step()
	copy(d.now[off:], p)
	d.pending = append(d.pending, diskWrite{off, p})
	if gone {
		return errPowerOff
	}
	return nil
}

// flush makes everything that was written safe. Errors: errPowerOff.
func (d *plugDisk) flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dark() || d.step() {
		return errPowerOff
	}
	if d.lies {
		return nil
	}
	for _, w := range d.pending {
		copy(d.safe[w.off:], w.data)
	}
	d.pending = nil
	return nil
}

// outcome is what became of the writes that were not safe when the power went.
type outcome struct{ whole, torn, gone int }

func (o outcome) String() string {
	return fmt.Sprintf("%d unsafe writes (%d kept, %d torn, %d gone)", o.whole+o.torn+o.gone, o.whole, o.torn, o.gone)
}

// Kinds of fate of the cache, each a quarter of the cuts.
const (
	fateGone = iota // nothing more reached the disk
	fateKept        // all of it did, as when only the computer dies
	fateSome        // some of the writes did
	fateTorn        // and some of those only in part
	fates
)

// tornOf is how many of the kept writes are torn: one in so many.
const tornOf = 3

// reboot turns the power on again and returns the disk as it is found: what was
// safe, and by chance some of the rest. The old one stays dark.
func (d *plugDisk) reboot(rng *rand.Rand) (*plugDisk, outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.goDark()
	var o outcome
	fate, keep := rng.IntN(fates), rng.Float64()
	for _, w := range d.pending {
		switch {
		case fate == fateGone, fate >= fateSome && rng.Float64() > keep:
			o.gone++
		case fate == fateTorn && len(w.data) > sectorSize && rng.IntN(tornOf) == 0:
			o.torn++
			for at := 0; at < len(w.data); at += sectorSize {
				if rng.IntN(2) == 0 {
					copy(d.safe[w.off+int64(at):], w.data[at:min(at+sectorSize, len(w.data))])
				}
			}
		default:
			o.whole++
			copy(d.safe[w.off:], w.data)
		}
	}
	for _, w := range d.pending {
		copy(d.now[w.off:], d.safe[w.off:w.off+int64(len(w.data))])
	}
	found := &plugDisk{lies: d.lies, now: d.now, safe: d.safe, off: make(chan struct{})}
	d.now, d.safe, d.pending = nil, nil, nil
	return found, o
}
