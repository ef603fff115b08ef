// Package carve reads what rows are left of a damaged SQLite database, page by
// page and without SQLite: a database whose tree is broken at its root still
// holds nearly all of its leaves, and nothing that was not sent may be lost with
// one bad sector.
//
// It guarantees that it only reads, that no bytes whatever make it fail or run
// away, and that a row it gives stood like this in one page. Whether the row is
// the newest, or whole nonsense that happens to look like one, only the caller
// can tell: he compares digests.
//
// The formats are those of https://www.sqlite.org/fileformat2.html: table and
// index leaves (§1.6), overflow chains, records (§2.1), and the WAL (§4). Pages
// have 4,096 bytes and no reserved ones, as the vault makes them.
package carve

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
)

// PageSize is the size of a page, bytes.
const PageSize = 4096

// maxPayload bounds a row: a body has half a megabyte at most.
const maxPayload = 64 << 20

// Row is a row of some table; of which, its columns must tell.
type Row struct {
	ID   int64 // rowid; 0 in a table without
	Cols []any // nil, int64, float64, string or []byte
}

// Pages are the pages of a database, from 1 on.
type Pages struct {
	db   io.ReaderAt
	n    int64
	over map[int64][]byte // newest committed version in the WAL
	old  []frame          // every other version in the WAL, the newest first
}

type frame struct {
	page int64
	data []byte
}

// Open takes the clear content of a database and of its WAL (nil: none).
func Open(db io.ReaderAt, size int64, wal io.ReaderAt, walSize int64) *Pages {
	p := &Pages{db: db, n: (size + PageSize - 1) / PageSize, over: map[int64][]byte{}}
	if wal != nil {
		p.readWAL(wal, walSize)
	}
	return p
}

// Count is the number of pages.
func (p *Pages) Count() int64 { return p.n }

// page reads the newest version of a page; nil when it cannot be read.
func (p *Pages) page(i int64) []byte {
	if i < 1 || i > p.n {
		return nil
	}
	if b := p.over[i]; b != nil {
		return b
	}
	b := make([]byte, PageSize)
	if _, err := p.db.ReadAt(b, (i-1)*PageSize); err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	return b
}

// Rows calls f for every row in the newest version of every page.
func (p *Pages) Rows(f func(Row)) {
	for i := int64(1); i <= p.n; i++ {
		p.rows(p.page(i), i, f)
	}
}

// OldRows calls f for every row in versions of pages that stand in the WAL
// besides: what was overwritten, and what was never committed.
func (p *Pages) OldRows(f func(Row)) {
	for _, o := range p.old {
		p.rows(o.data, o.page, f)
	}
}

// Kinds of page.
const (
	interiorIndex = 0x02
	leafIndex     = 0x0a
	leafTable     = 0x0d
)

func (p *Pages) rows(b []byte, at int64, f func(Row)) {
	if b == nil {
		return
	}
	head := 0
	if at == 1 {
		head = 100
	}
	cells := head + 8
	kind := b[head]
	switch kind {
	case leafTable, leafIndex:
	case interiorIndex:
		cells += 4
	default:
		return
	}
	n := int(binary.BigEndian.Uint16(b[head+3:]))
	for i := 0; i < n && cells+2*i+2 <= PageSize; i++ {
		if r, ok := p.cell(b, int(binary.BigEndian.Uint16(b[cells+2*i:])), kind); ok {
			f(r)
		}
	}
}

// cell reads the row at an offset of a page.
func (p *Pages) cell(b []byte, off int, kind byte) (r Row, ok bool) {
	if off >= PageSize {
		return Row{}, false
	}
	b = b[off:]
	if kind == interiorIndex {
		if len(b) < 4 {
			return Row{}, false
		}
		b = b[4:]
	}
	size, b, ok := varint(b)
	if !ok || size < 1 || size > min(maxPayload, p.n*PageSize) {
		return Row{}, false
	}
	most := (PageSize-12)*64/255 - 23
	if kind == leafTable {
		if r.ID, b, ok = varint(b); !ok {
			return Row{}, false
		}
		most = PageSize - 35
	}
	payload, ok := p.payload(b, int(size), most)
	if !ok {
		return Row{}, false
	}
	r.Cols, ok = record(payload)
	return r, ok
}

// payload gathers what is in the page and in the overflow chain.
func (p *Pages) payload(b []byte, size, most int) ([]byte, bool) {
	local := size
	if size > most {
		const least = (PageSize-12)*32/255 - 23
		if local = least + (size-least)%(PageSize-4); local > most {
			local = least
		}
	}
	if local > len(b) {
		return nil, false
	}
	if local == size {
		return b[:size], true
	}
	if len(b) < local+4 {
		return nil, false
	}
	out := append(make([]byte, 0, local), b[:local]...)
	next := int64(binary.BigEndian.Uint32(b[local:]))
	for len(out) < size {
		o := p.page(next)
		if o == nil {
			return nil, false
		}
		out = append(out, o[4:min(PageSize, 4+size-len(out))]...)
		next = int64(binary.BigEndian.Uint32(o))
	}
	return out, true
}

// record decodes the columns of a row.
func record(b []byte) (cols []any, ok bool) {
	size, rest, ok := varint(b)
	if !ok || size > int64(len(b)) || size < int64(len(b)-len(rest)) {
		return nil, false
	}
	types, data := b[len(b)-len(rest):size], b[size:]
	for len(types) > 0 {
		var t int64
		if t, types, ok = varint(types); !ok {
			return nil, false
		}
		var v any
		if v, data, ok = column(t, data); !ok {
			return nil, false
		}
		cols = append(cols, v)
	}
	return cols, len(cols) > 0
}

// intSizes are the bytes of the integer types 1 to 6.
var intSizes = [...]int{0, 1, 2, 3, 4, 6, 8}

func column(t int64, data []byte) (v any, rest []byte, ok bool) {
	take := func(n int64) ([]byte, bool) {
		if n > int64(len(data)) {
			return nil, false
		}
		b := data[:n]
		data = data[n:]
		return b, true
	}
	switch {
	case t == 0:
		return nil, data, true
	case t >= 1 && t <= 6:
		b, ok := take(int64(intSizes[t]))
		if !ok {
			return nil, nil, false
		}
		n := int64(int8(b[0]))
		for _, c := range b[1:] {
			n = n<<8 | int64(c)
		}
		return n, data, true
	case t == 7:
		b, ok := take(8)
		if !ok {
			return nil, nil, false
		}
		return math.Float64frombits(binary.BigEndian.Uint64(b)), data, true
	case t == 8, t == 9:
		return t - 8, data, true
	case t >= 12:
		b, ok := take((t - 12) / 2)
		if !ok {
			return nil, nil, false
		}
		if t%2 == 1 {
			return string(b), data, true
		}
		return append([]byte{}, b...), data, true
	}
	return nil, nil, false
}

// varint reads SQLite's variable-length integer: up to nine bytes, big endian.
func varint(b []byte) (v int64, rest []byte, ok bool) {
	var u uint64
	for i := range 9 {
		if i >= len(b) {
			return 0, nil, false
		}
		if i == 8 {
			return int64(u<<8 | uint64(b[8])), b[9:], true
		}
		u = u<<7 | uint64(b[i]&0x7f)
		if b[i] < 0x80 {
			return int64(u), b[i+1:], true
		}
	}
	return 0, nil, false
}

const (
	walHeader   = 32
	frameHeader = 24
	walMagic    = 0x377f0682 // the lowest bit says that sums are big endian
)

// readWAL takes the committed frames as SQLite would, and keeps the others as
// old versions.
func (p *Pages) readWAL(wal io.ReaderAt, size int64) {
	h := make([]byte, walHeader)
	if _, err := wal.ReadAt(h, 0); err != nil {
		return
	}
	magic := binary.BigEndian.Uint32(h)
	if magic&^1 != walMagic || binary.BigEndian.Uint32(h[8:]) != PageSize {
		return
	}
	var order binary.ByteOrder = binary.LittleEndian
	if magic&1 == 1 {
		order = binary.BigEndian
	}
	s := sum{order: order}
	s.add(h[:24])
	chained := s.is(h[24:])
	var waiting []frame // since the last commit
	have, top := p.n, int64(0)
	for at := int64(walHeader); at+frameHeader+PageSize <= size; at += frameHeader + PageSize {
		f := make([]byte, frameHeader+PageSize)
		if _, err := wal.ReadAt(f, at); err != nil && !errors.Is(err, io.EOF) {
			chained = false
			continue
		}
		x := frame{int64(binary.BigEndian.Uint32(f)), f[frameHeader:]}
		s.add(f[:8])
		s.add(f[frameHeader:])
		chained = chained && x.page > 0 && string(f[8:16]) == string(h[16:24]) && s.is(f[16:24])
		if !chained {
			p.old = append(p.old, x)
			continue
		}
		waiting, top = append(waiting, x), max(top, x.page)
		if n := int64(binary.BigEndian.Uint32(f[4:])); n > 0 { // a commit
			for _, w := range waiting {
				if b := p.over[w.page]; b != nil {
					p.old = append(p.old, frame{w.page, b})
				}
				p.over[w.page] = w.data
			}
			waiting, p.n = nil, min(n, max(have, top)) // what lies beyond is nowhere
		}
	}
	p.old = append(p.old, waiting...)
}

// sum is the WAL's checksum.
type sum struct {
	order  binary.ByteOrder
	s0, s1 uint32
}

func (s *sum) add(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		s.s0 += s.order.Uint32(b) + s.s1
		s.s1 += s.order.Uint32(b[4:]) + s.s0
	}
}

func (s *sum) is(b []byte) bool {
	return binary.BigEndian.Uint32(b) == s.s0 && binary.BigEndian.Uint32(b[4:]) == s.s1
}
