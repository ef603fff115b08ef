package faultfs

import (
	"io"
	"math/rand/v2"
	"slices"
)

const (
	// sector is the unit that a disk takes whole from a write, bytes.
	sector = 512
	// physical is the unit that the medium is written in, bytes: a drive that
	// speaks of 512-byte sectors reads, changes and writes this much, so that a
	// cut in the middle can spoil neighbours that the write did not touch.
	physical = 4096
)

// page is a piece of a file. It is never changed once it is in a file, so that
// copies of a disk share it.
type page [physical]byte

// content is what a file holds. A nil page is zeros.
type content struct {
	size  int64
	pages []*page
}

func (c content) clone() content { return content{c.size, slices.Clone(c.pages)} }

func (c content) readAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) && off < c.size {
		in := int(off % physical)
		n := int(min(int64(physical-in), int64(len(p)-done), c.size-off))
		if pg := c.pages[off/physical]; pg != nil {
			copy(p[done:done+n], pg[in:])
		} else {
			clear(p[done : done+n])
		}
		done += n
		off += int64(n)
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// resize makes the content size bytes long; what is new is zeros.
func (c *content) resize(size int64) {
	n := int((size + physical - 1) / physical)
	if in := size % physical; in != 0 && size < c.size && c.pages[n-1] != nil {
		pg := *c.pages[n-1]
		clear(pg[in:])
		c.pages[n-1] = &pg
	}
	if n <= len(c.pages) {
		c.pages = c.pages[:n]
	} else {
		c.pages = append(c.pages, make([]*page, n-len(c.pages))...)
	}
	c.size = size
}

// writeAt writes data, which must never change afterwards.
func (c *content) writeAt(data []byte, off int64) {
	if end := off + int64(len(data)); end > c.size {
		c.resize(end)
	}
	for len(data) > 0 {
		i, in := off/physical, int(off%physical)
		n := min(physical-in, len(data))
		if n == physical {
			c.pages[i] = (*page)(data)
		} else {
			var pg page
			if c.pages[i] != nil {
				pg = *c.pages[i]
			}
			copy(pg[in:], data[:n])
			c.pages[i] = &pg
		}
		data = data[n:]
		off += int64(n)
	}
}

// dataOp is a change of a file's content: a write, or a truncation when data is
// nil.
type dataOp struct {
	off  int64
	data []byte
}

func (op dataOp) apply(c *content) {
	if op.data == nil {
		c.resize(op.off)
		return
	}
	c.writeAt(op.data, op.off)
}

// tear writes some sectors of a write, and sometimes spoils one of those of the
// medium that it touches, with whatever else is in it.
func (op dataOp) tear(c *content, rng *rand.Rand) {
	for at := 0; at < len(op.data); {
		n := min(sector-int((op.off+int64(at))%sector), len(op.data)-at)
		if rng.IntN(2) == 0 {
			dataOp{op.off + int64(at), op.data[at : at+n]}.apply(c)
		}
		at += n
	}
	if rng.IntN(3) > 0 {
		return
	}
	first, last := op.off/physical, (op.off+int64(len(op.data))-1)/physical
	i := first + rng.Int64N(last-first+1)
	if i >= int64(len(c.pages)) {
		return // that far the file did not come
	}
	var noise page
	for k := 0; k < len(noise); k += 8 {
		for b, r := 0, rng.Uint64(); b < 8; b++ {
			noise[k+b] = byte(r >> (8 * b))
		}
	}
	if in := c.size % physical; in != 0 && i == int64(len(c.pages))-1 {
		clear(noise[in:])
	}
	c.pages[i] = &noise
}

// after is what of a file's content is found when the power comes back.
func after(safe content, pending []dataOp, rng *rand.Rand) content {
	c := safe.clone()
	if len(pending) == 0 {
		return c
	}
	fate := rng.IntN(4)
	ops := pending
	switch fate {
	case 0: // nothing more reached the disk
		return c
	case 1: // all of it did
	case 2: // in any order
		ops = slices.Clone(pending)
		rng.Shuffle(len(ops), func(i, j int) { ops[i], ops[j] = ops[j], ops[i] })
	default: // in order
	}
	for _, op := range ops {
		switch {
		case fate == 1:
			op.apply(&c)
		case rng.IntN(3) == 0: // lost
		case op.data != nil && rng.IntN(3) == 0:
			op.tear(&c, rng)
		default:
			op.apply(&c)
		}
	}
	return c
}
