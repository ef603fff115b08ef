package cryptfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// FS is the file system under the vault. It is an interface so that a layer
// that loses, tears and reorders what was not yet synced can stand in for a
// disk whose plug is pulled. OS is the real one.
//
// Names are full paths. Missing files answer fs.ErrNotExist.
type FS interface {
	// Open opens an existing file for reading and writing.
	Open(name string) (File, error)
	// Create makes a file, or empties it, for reading and writing (mode 0600).
	Create(name string) (File, error)
	Rename(from, to string) error
	Remove(name string) error
	// Size is a file's; a directory has one, too, which tells nothing.
	Size(name string) (int64, error)
	// MkdirAll makes a directory and its parents (mode 0700); their names are
	// durable after SyncDir of the directories that they are in, see MakeDir.
	MkdirAll(dir string) error
	// List names the entries of a directory in order; a missing one is empty.
	List(dir string) ([]string, error)
	// SyncDir makes what was created, renamed and removed in a directory
	// durable.
	SyncDir(dir string) error
}

// File is an open file of FS.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	// Sync returns when everything written is on the disk.
	Sync() error
	Size() (int64, error)
}

// Modes of what the vault makes: nobody but its owner.
const (
	fileMode = 0o600
	dirMode  = 0o700
)

// OS is the machine's own file system.
type OS struct{}

type osFile struct{ *os.File }

func (f osFile) Sync() error { return datasync(f.File) }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// Open implements FS.
func (OS) Open(name string) (File, error) { return osOpen(name, os.O_RDWR) }

// Create implements FS.
func (OS) Create(name string) (File, error) {
	return osOpen(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

func osOpen(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, fileMode)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Rename implements FS.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements FS.
func (OS) Remove(name string) error { return os.Remove(name) }

// Size implements FS.
func (OS) Size(name string) (int64, error) {
	st, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// MkdirAll implements FS.
func (OS) MkdirAll(dir string) error { return os.MkdirAll(dir, dirMode) }

// List implements FS.
func (OS) List(dir string) ([]string, error) {
	es, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(es))
	for _, e := range es {
		out = append(out, e.Name())
	}
	return out, nil
}

// SyncDir implements FS.
func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}

// MakeDir makes a directory and its parents so that they outlast a power cut.
// One that was there is synced all the same: whoever made it may not have come
// that far.
func MakeDir(fsys FS, dir string) (err error) {
	above := []string{filepath.Dir(dir)}
	for d := above[0]; filepath.Dir(d) != d; d = filepath.Dir(d) {
		if _, err := fsys.Size(d); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("make folder %s: %w", dir, err)
		}
		above = append(above, filepath.Dir(d))
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return fmt.Errorf("make folder %s: %w", dir, err)
	}
	for _, d := range above {
		if err := fsys.SyncDir(d); err != nil {
			return fmt.Errorf("make folder %s: sync the one above: %w", dir, err)
		}
	}
	return nil
}

// WriteFile writes a whole file so that after a power cut either the old one
// or the new one is there: temporary file, sync, rename, sync directory.
func WriteFile(fsys FS, name string, data []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", filepath.Base(name), err)
		}
	}()
	tmp := name + TempSuffix
	f, err := fsys.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, fsys.Remove(tmp))
	}
	if err := fsys.Rename(tmp, name); err != nil {
		return errors.Join(err, fsys.Remove(tmp))
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// TempSuffix ends the names of files that are not finished; whoever finds one
// at start may remove it.
const TempSuffix = ".tmp"

// IsFull reports whether an error means that the disk (or the quota) is full.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// Renew makes a copy of a file take its place. A sync that failed leaves pages
// that the kernel holds for clean though they never reached the disk: who reads
// them reads what a power cut takes away. After Renew what was read is on the
// disk. It is not written over itself, or a cut could spoil what is good. A
// missing file is nothing to do.
func Renew(fsys FS, name string) error {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	size, err := f.Size()
	data := make([]byte, size)
	if err == nil {
		_, err = f.ReadAt(data, 0)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("renew %s: %w", filepath.Base(name), err)
	}
	return WriteFile(fsys, name, data)
}
