package cryptfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	gosync "sync"
	"time"

	_ "github.com/mattn/go-sqlite3" // the SQLite that the VFS is registered with
	"github.com/psanford/sqlite3vfs"
)

// VFSName is how SQLite knows these files (the vfs parameter of a database
// URI).
const VFSName = "cunban"

// Mount is a directory of encrypted files that SQLite can reach.
type Mount struct {
	FS   FS
	Dir  string
	Key  []byte // any strong secret; the keys of files are derived from it
	Rand io.Reader
	// PowersafeOverwrite tells SQLite that a write which the power cuts short
	// leaves its neighbours alone, so that it need not pad its commits. It is not
	// so; tests show that the cuts see it.
	PowersafeOverwrite bool

	id  uint64
	mu  gosync.Mutex
	err error // last failure of the file system, which SQLite forgets to pass on
	wal *Sealed
}

// SQLite keeps its list of VFSs per process and for good, so that one is
// registered once and finds the mount by the first part of the name that SQLite
// was given. This is the package's only global state.
var registry struct {
	once gosync.Once
	err  error
	mu   gosync.Mutex
	next uint64
	all  map[uint64]*Mount
}

// Attach makes the mount reachable for SQLite and returns the URI of a
// database in it, for mattn/go-sqlite3. There is no shared memory, so that the
// URI asks for exclusive locking: go-sqlite3 touches the database before its
// connect hook runs. Detach must follow when the database is closed.
func (m *Mount) Attach(name string) (uri string, err error) {
	r := &registry
	r.once.Do(func() {
		r.all = map[uint64]*Mount{}
		r.err = sqlite3vfs.RegisterVFS(VFSName, vfs{})
	})
	if r.err != nil {
		return "", fmt.Errorf("register the encrypting VFS: %w", r.err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	m.id = r.next
	r.all[m.id] = m
	return fmt.Sprintf("file:/%d/%s?vfs=%s&_locking_mode=EXCLUSIVE&_synchronous=FULL", m.id, name, VFSName), nil
}

// Detach takes the mount away from SQLite.
func (m *Mount) Detach() {
	registry.mu.Lock()
	defer registry.mu.Unlock()
	delete(registry.all, m.id)
}

// Backlog tells how much of the WAL is in use, bytes: what a checkpoint would
// have to read. It stays as it is after one, until the WAL is begun anew.
func (m *Mount) Backlog() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.wal == nil {
		return 0
	}
	return m.wal.End()
}

// Failure returns the last failure of the file system and forgets it. SQLite
// reports only "disk I/O error"; this tells whether the disk was full.
func (m *Mount) Failure() error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.err
	m.err = nil
	return err
}

func (m *Mount) fail(err error) {
	m.mu.Lock()
	m.err = err
	m.mu.Unlock()
}

// vfs routes what SQLite asks to the mount named by the path /<id>/<name>.
type vfs struct{}

func (vfs) route(name string) (*Mount, string, error) {
	id, base, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	n, err := strconv.ParseUint(id, 10, 64)
	if !ok || err != nil || base == "" || strings.Contains(base, "/") {
		return nil, "", fmt.Errorf("no mount for %q", name)
	}
	registry.mu.Lock()
	m := registry.all[n]
	registry.mu.Unlock()
	if m == nil {
		return nil, "", fmt.Errorf("mount of %q is gone", name)
	}
	return m, filepath.Join(m.Dir, base), nil
}

// Open never fails: sqlite3vfs closes file number 0, whoever's it is, when an
// open fails. What went wrong is told at the first use of the file instead.
func (v vfs) Open(name string, flags sqlite3vfs.OpenFlag) (sqlite3vfs.File, sqlite3vfs.OpenFlag, error) {
	if name == "" {
		return &dbFile{f: &memory{}}, flags, nil // a statement journal: never on the disk
	}
	m, path, err := v.route(name)
	if err != nil {
		return &dbFile{f: failed{err}}, flags, nil
	}
	s, err := m.open(path, flags)
	if err != nil {
		m.fail(err)
		return &dbFile{m: m, f: failed{err}}, flags, nil
	}
	return &dbFile{m: m, f: s}, flags, nil
}

func (m *Mount) open(path string, flags sqlite3vfs.OpenFlag) (*Sealed, error) {
	if flags&sqlite3vfs.OpenCreate != 0 {
		if err := Init(m.FS, path, m.Key, m.Rand); err != nil {
			return nil, err
		}
	}
	s, err := Open(m.FS, path, m.Key)
	if err == nil && flags&sqlite3vfs.OpenWAL != 0 {
		m.mu.Lock()
		m.wal = s
		m.mu.Unlock()
	}
	return s, err
}

// Delete implements sqlite3vfs.VFS.
func (v vfs) Delete(name string, dirSync bool) error {
	m, path, err := v.route(name)
	if err != nil {
		return sqlite3vfs.IOError
	}
	err = m.FS.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && dirSync {
		err = m.FS.SyncDir(m.Dir)
	}
	if err != nil {
		m.fail(err)
		return sqlite3vfs.IOError
	}
	return nil
}

// Access implements sqlite3vfs.VFS. Everything that exists can be written: the
// vault's directory is its own.
func (v vfs) Access(name string, _ sqlite3vfs.AccessFlag) (bool, error) {
	m, path, err := v.route(name)
	if err != nil {
		return false, nil
	}
	switch _, err = m.FS.Size(path); {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	}
	m.fail(err) // SQLite must not take a WAL that it cannot see for none
	return false, sqlite3vfs.IOError
}

// FullPathname implements sqlite3vfs.VFS: names are full already.
func (vfs) FullPathname(name string) string { return name }

// Randomness implements sqlite3vfs.ExtendedVFSv1. SQLite asks once per process
// to seed its generator.
func (vfs) Randomness(p []byte) int {
	registry.mu.Lock()
	var m *Mount
	for _, x := range registry.all {
		m = x
	}
	registry.mu.Unlock()
	if m == nil {
		return 0
	}
	n, err := io.ReadFull(m.Rand, p)
	if err != nil {
		return 0
	}
	return n
}

// Sleep implements sqlite3vfs.ExtendedVFSv1: there is nobody to wait for.
func (vfs) Sleep(time.Duration) {}

// CurrentTime implements sqlite3vfs.ExtendedVFSv1. No SQL of the vault asks.
func (vfs) CurrentTime() time.Time { return time.Now() }

// content is what a dbFile does its work on.
type content interface {
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	Truncate(size int64) error
	Sync() error
	Size() (int64, error)
	Close() error
}

// dbFile shows content to SQLite.
type dbFile struct {
	m *Mount
	f content
}

// pass notes a failure and turns it into what SQLite understands. Only values
// of sqlite3vfs keep their code on the way.
func (d *dbFile) pass(err error, as error) error {
	if err == nil {
		return nil
	}
	if d.m != nil {
		d.m.fail(err)
	}
	if IsFull(err) {
		return sqlite3vfs.FullError
	}
	return as
}

func (d *dbFile) Close() error { return d.pass(d.f.Close(), sqlite3vfs.IOError) }

func (d *dbFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := d.f.ReadAt(p, off)
	if err == io.EOF {
		return n, err // fills the rest with zeros and says "short read"
	}
	return n, d.pass(err, sqlite3vfs.IOErrorRead)
}

func (d *dbFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := d.f.WriteAt(p, off)
	return n, d.pass(err, sqlite3vfs.IOErrorWrite)
}

func (d *dbFile) Truncate(size int64) error { return d.pass(d.f.Truncate(size), sqlite3vfs.IOError) }

func (d *dbFile) Sync(sqlite3vfs.SyncType) error { return d.pass(d.f.Sync(), sqlite3vfs.IOError) }

func (d *dbFile) FileSize() (int64, error) {
	n, err := d.f.Size()
	return n, d.pass(err, sqlite3vfs.IOError)
}

// Lock and Unlock have nothing to do: the vault's lock file keeps everybody
// else out, and one connection has no rival.
func (d *dbFile) Lock(sqlite3vfs.LockType) error { return nil }

// Unlock implements sqlite3vfs.File.
func (d *dbFile) Unlock(sqlite3vfs.LockType) error { return nil }

// CheckReservedLock says that nobody holds a lock, so that a journal left by a
// crash counts as hot. sqlite3vfs hands SQLite the opposite of the answer.
func (d *dbFile) CheckReservedLock() (bool, error) { return true, nil }

// SectorSize makes SQLite pad commits in the WAL to whole sectors.
func (d *dbFile) SectorSize() int64 { return SectorSize }

// DeviceCharacteristics promises nothing: no powersafe overwrite, since writing
// a part of a sector rewrites all of it.
func (d *dbFile) DeviceCharacteristics() sqlite3vfs.DeviceCharacteristic {
	if d.m != nil && d.m.PowersafeOverwrite {
		return sqlite3vfs.IocapPowersafeOverwrite
	}
	return 0
}

// failed is a file that could not be opened.
type failed struct{ err error }

func (f failed) ReadAt([]byte, int64) (int, error)  { return 0, f.err }
func (f failed) WriteAt([]byte, int64) (int, error) { return 0, f.err }
func (f failed) Truncate(int64) error               { return f.err }
func (f failed) Sync() error                        { return f.err }
func (f failed) Size() (int64, error)               { return 0, f.err }
func (f failed) Close() error                       { return nil }

// memory is a temporary file of SQLite's that never touches the disk.
type memory struct{ b []byte }

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(m.b)) {
		return 0, io.EOF
	}
	n := copy(p, m.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if end := int(off) + len(p); end > len(m.b) {
		m.b = append(m.b, make([]byte, end-len(m.b))...)
	}
	return copy(m.b[off:], p), nil
}

func (m *memory) Truncate(size int64) error {
	if size < int64(len(m.b)) {
		clear(m.b[size:])
		m.b = m.b[:size]
	}
	return nil
}

func (m *memory) Sync() error          { return nil }
func (m *memory) Size() (int64, error) { return int64(len(m.b)), nil }

func (m *memory) Close() error {
	clear(m.b)
	m.b = nil
	return nil
}
