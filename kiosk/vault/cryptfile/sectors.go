package cryptfile

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	gosync "sync"

	"cunban/kiosk/seal"
)

// maxHeld is how many sectors wait in memory before they are written without
// having been asked for (4 MiB).
const maxHeld = 1024

// Sealed is an open encrypted file. Its offsets are those of the clear content.
//
// Writes are held in memory until Sync: SQLite's many small writes into a WAL
// become one encryption of each sector and one write of each run of sectors.
// Methods are safe for concurrent use.
type Sealed struct {
	mu   gosync.Mutex
	f    File
	sec  *seal.Sectors
	size int64 // clear bytes; whole sectors after a reopen
	end  int64 // of what was written last
	disk int64 // sectors that exist in the file
	held map[int64]*sector
	free [][]byte // buffers for held
	// lastAt and last are the clear content of the sector written last: an
	// appended file touches it again with its next write.
	lastAt int64
	last   []byte
	out    []byte // ciphertext on its way out
	// broken is set when a sync failed: the kernel may have dropped what it
	// could not write, so that nothing after it can be promised.
	broken error
}

// sector is the clear content of a sector that waits for a Sync. What lies on
// the disk behind have is only read when it is needed: an appended file hardly
// ever needs it.
type sector struct {
	b    []byte
	have int // valid bytes from the start
}

// Open opens an encrypted file. Errors: fs.ErrNotExist, ErrWrongKey.
func Open(fsys FS, name string, key []byte) (*Sealed, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	s, err := open(f, key)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", filepath.Base(name), err), f.Close())
	}
	return s, nil
}

func open(f File, key []byte) (*Sealed, error) {
	h := make([]byte, SectorSize)
	if _, err := f.ReadAt(h, 0); err != nil {
		return nil, fmt.Errorf("read the header: %w", err)
	}
	sec, err := openHeader(h, key)
	if err != nil {
		return nil, err
	}
	n, err := f.Size()
	if err != nil {
		return nil, err
	}
	disk := n/SectorSize - 1 // a torn last sector counts as not there
	return &Sealed{f: f, sec: sec, size: disk * SectorSize, disk: disk, held: map[int64]*sector{}, lastAt: -1}, nil
}

// Size is the number of clear bytes.
func (s *Sealed) Size() (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size, nil
}

// End is where the last write ended: in a WAL, how much of it is in use.
func (s *Sealed) End() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end
}

// ReadAt reads clear bytes, those that wait for a Sync too.
func (s *Sealed) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := 0
	for done < len(p) && off < s.size {
		i, in := off/SectorSize, int(off%SectorSize)
		n := int(min(int64(SectorSize-in), int64(len(p)-done), s.size-off))
		dst := p[done : done+n]
		if b, err := s.inMemory(i); err != nil {
			return done, err
		} else if b != nil {
			copy(dst, b[in:])
		} else if n == SectorSize {
			if err := s.load(dst, i); err != nil {
				return done, err
			}
		} else {
			b := s.buffer()
			if err := s.load(b, i); err != nil {
				return done, err
			}
			copy(dst, b[in:])
			s.keep(i, b)
		}
		done += n
		off += int64(n)
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// WriteAt writes clear bytes; they are on the disk after the next Sync.
func (s *Sealed) WriteAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return 0, s.broken
	}
	// A gap reads as zeros, so it must be written as encrypted zeros.
	for i := max(s.disk, (s.size+SectorSize-1)/SectorSize); i < off/SectorSize; i++ {
		if s.held[i] == nil {
			b := s.buffer()
			clear(b)
			s.held[i] = &sector{b, SectorSize}
		}
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	done := 0
	for done < len(p) {
		i, in := off/SectorSize, int(off%SectorSize)
		n := min(SectorSize-in, len(p)-done)
		h, err := s.forWriting(i, in)
		if err != nil {
			return done, err
		}
		copy(h.b[in:], p[done:done+n])
		h.have = max(h.have, in+n)
		done += n
		off += int64(n)
		s.size, s.end = max(s.size, off), off
		if err := s.spill(); err != nil {
			return done, err
		}
	}
	return done, nil
}

// forWriting returns the held sector in which bytes from in are about to be
// written: what is before them is valid.
func (s *Sealed) forWriting(i int64, in int) (*sector, error) {
	h := s.held[i]
	if h == nil {
		switch {
		case s.lastAt == i:
			h = &sector{s.last, SectorSize}
			s.last, s.lastAt = nil, -1
		default:
			h = &sector{s.buffer(), 0}
		}
		s.held[i] = h
	}
	if in > h.have {
		return h, s.complete(i, h)
	}
	return h, nil
}

// complete reads what of a held sector is still only on the disk.
func (s *Sealed) complete(i int64, h *sector) error {
	if h.have == SectorSize {
		return nil
	}
	if i >= s.disk {
		clear(h.b[h.have:])
		h.have = SectorSize
		return nil
	}
	b := s.buffer()
	defer func() { s.free = append(s.free, b) }()
	if err := s.load(b, i); err != nil {
		return err
	}
	copy(h.b[h.have:], b[h.have:])
	h.have = SectorSize
	return nil
}

// inMemory returns the clear content of a sector that need not be read, or nil.
func (s *Sealed) inMemory(i int64) ([]byte, error) {
	if h := s.held[i]; h != nil {
		return h.b, s.complete(i, h)
	}
	if s.lastAt == i {
		return s.last, nil
	}
	return nil, nil
}

func (s *Sealed) buffer() []byte {
	if n := len(s.free); n > 0 {
		b := s.free[n-1]
		s.free = s.free[:n-1]
		return b
	}
	return make([]byte, SectorSize)
}

// keep remembers b as the sector used last and gives back the one before.
func (s *Sealed) keep(i int64, b []byte) {
	if s.last != nil {
		s.free = append(s.free, s.last)
	}
	s.last, s.lastAt = b, i
}

// load reads and decrypts one sector. One that is not there is zeros.
func (s *Sealed) load(dst []byte, i int64) error {
	if i >= s.disk {
		clear(dst)
		return nil
	}
	if _, err := s.f.ReadAt(dst, (i+1)*SectorSize); err != nil {
		return fmt.Errorf("read sector %d: %w", i, err)
	}
	s.sec.Decrypt(dst, dst, uint64(i))
	return nil
}

func (s *Sealed) spill() error {
	if len(s.held) < maxHeld {
		return nil
	}
	return s.flush()
}

// flush encrypts and writes what is held, one write for each run of sectors.
func (s *Sealed) flush() error {
	if len(s.held) == 0 {
		return nil
	}
	at := make([]int64, 0, len(s.held))
	for i := range s.held {
		at = append(at, i)
	}
	slices.Sort(at)
	for len(at) > 0 {
		n := 1
		for n < len(at) && at[n] == at[0]+int64(n) {
			n++
		}
		if need := n * SectorSize; cap(s.out) < need {
			s.out = make([]byte, need)
		}
		out := s.out[:n*SectorSize]
		for k, i := range at[:n] {
			h := s.held[i]
			if err := s.complete(i, h); err != nil {
				return err
			}
			s.sec.Encrypt(out[k*SectorSize:(k+1)*SectorSize], h.b, uint64(i))
		}
		if _, err := s.f.WriteAt(out, (at[0]+1)*SectorSize); err != nil {
			return fmt.Errorf("write %d sectors from %d: %w", n, at[0], err)
		}
		s.disk = max(s.disk, at[0]+int64(n))
		for _, i := range at[:n] {
			s.keep(i, s.held[i].b)
			delete(s.held, i)
		}
		at = at[n:]
	}
	return nil
}

// Truncate cuts the file (at once, not at the next Sync).
func (s *Sealed) Truncate(size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	if size >= s.size {
		return nil // nothing here grows a file this way
	}
	n := (size + SectorSize - 1) / SectorSize
	for i, h := range s.held {
		if i >= n {
			s.free = append(s.free, h.b)
			delete(s.held, i)
		}
	}
	if s.lastAt >= n {
		s.free = append(s.free, s.last)
		s.last, s.lastAt = nil, -1
	}
	if in := size % SectorSize; in != 0 {
		h, err := s.forWriting(n-1, int(in))
		if err != nil {
			return err
		}
		clear(h.b[in:])
		h.have = SectorSize
	}
	s.size, s.end = size, min(s.end, size)
	if s.disk > n {
		if err := s.f.Truncate((n + 1) * SectorSize); err != nil {
			return fmt.Errorf("truncate to %d sectors: %w", n, err)
		}
		s.disk = n
	}
	return nil
}

// Sync writes what is held and returns when it is on the disk. After a sync
// that failed the file takes no more writes: it has to be opened anew.
func (s *Sealed) Sync() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.f.Sync(); err != nil {
		s.broken = fmt.Errorf("sync: %w", err)
		return s.broken
	}
	return nil
}

// Close closes the file and wipes what was clear. Writes since the last Sync
// are dropped, as a power cut would.
func (s *Sealed) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, h := range s.held {
		clear(h.b)
		delete(s.held, i)
	}
	clear(s.last)
	for _, b := range s.free {
		clear(b)
	}
	s.last, s.free, s.sec = nil, nil, nil
	s.lastAt, s.disk, s.size, s.end = -1, 0, 0, 0
	if s.broken == nil {
		s.broken = errors.New("the file is closed")
	}
	return s.f.Close()
}
