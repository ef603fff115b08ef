package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"cunban/device"
	"cunban/device/internal/hub"
)

// Defaults and limits of Folder.
const (
	DefaultFolderPoll = time.Second     // between looks at the folder
	DefaultSettle     = 2 * time.Second // a file that has not grown for so long is complete
	maxFileBytes      = 64 << 20        // a larger picture is refused
	maxDecodedBytes   = 160 << 20       // A4 at 600 dpi in four bytes a pixel is 140 MB
)

// takenPrefix begins the name of a file while it is read and removed.
const takenPrefix = ".cunban-taken-"

// FolderOptions say which folder and how often it is looked at.
type FolderOptions struct {
	Dir    string
	Poll   time.Duration    // 0 = DefaultFolderPoll
	Settle time.Duration    // 0 = DefaultSettle
	Demo   bool             // the folder stands for simulated hardware
	Now    func() time.Time // nil = time.Now
	Logger *slog.Logger     // nil = none
}

// Folder gives pages from a folder into which another computer puts pictures
// (PNG or JPEG), the oldest first. A file is taken when it stopped growing and
// decodes; it is removed before the page is given out.
type Folder struct {
	o   FolderOptions
	hub *hub.Hub

	mu   sync.Mutex
	seen map[string]look // by file name
}

// look is what was last seen of a file.
type look struct {
	size  int64
	mtime time.Time
	since time.Time // when it was first seen like this, by our clock
	bad   bool      // does not decode like this
}

var _ device.DocumentSource = (*Folder)(nil)

// NewFolder makes the driver; it does nothing until Run, SelfTest or Capture.
func NewFolder(o FolderOptions) *Folder {
	o.Poll = cmp.Or(o.Poll, DefaultFolderPoll)
	o.Settle = cmp.Or(o.Settle, DefaultSettle)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Folder{o: o, seen: map[string]look{}, hub: hub.New(device.Health{
		Kind: device.KindPageFolder, Name: o.Dir, Demo: o.Demo}, o.Now)}
}

// Kind implements device.Device.
func (f *Folder) Kind() device.Kind { return device.KindPageFolder }

// Health implements device.Device.
func (f *Folder) Health() device.Health { return f.hub.Health() }

// Subscribe implements device.Device.
func (f *Folder) Subscribe(fn func(device.Event)) (cancel func()) { return f.hub.Subscribe(fn) }

// SelfTest looks at the folder.
func (f *Folder) SelfTest(context.Context) device.Health {
	f.mu.Lock()
	defer f.mu.Unlock()
	root, err := f.open()
	if err == nil {
		_, err = f.observe(root)
		_ = root.Close()
	}
	return f.set(err)
}

// Run implements device.Device.
func (f *Folder) Run(ctx context.Context) error {
	t := time.NewTicker(f.o.Poll)
	defer t.Stop()
	for {
		f.SelfTest(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

func (f *Folder) open() (*os.Root, error) {
	root, err := os.OpenRoot(f.o.Dir)
	if err != nil {
		return nil, fmt.Errorf("scan: folder: %w: %w", device.ErrAbsent, err)
	}
	return root, nil
}

// set takes over the condition that err means; the caller holds the lock.
func (f *Folder) set(err error) device.Health {
	h := device.Health{State: device.StateReady, Demo: f.o.Demo}
	bad := 0
	for _, l := range f.seen {
		if l.bad {
			bad++
		}
	}
	switch {
	case errors.Is(err, device.ErrAbsent):
		h.State, h.Code = device.StateAbsent, "SF-01"
		h.Cause, h.Remedy = "找不到放材料的文件夹。", "请技术员检查文件夹或网络共享。材料可以以后补交。"
		h.Detail = fmt.Sprint(err)
	case errors.Is(err, ErrKept):
		h.State, h.Code = device.StateFault, "SF-02"
		h.Cause, h.Remedy = "材料文件夹不让删除文件。", "请技术员检查文件夹的权限。"
		h.Detail = fmt.Sprint(err)
	case bad > 0:
		h.State, h.Code = device.StateLow, "SF-03"
		h.Cause = fmt.Sprintf("文件夹里有 %d 个文件打不开。", bad)
		h.Remedy = "只收 JPG、PNG 图片。请工作人员重新存一次，把打不开的删掉。"
	}
	f.hub.SetHealth(h)
	if h.State == device.StateReady {
		f.hub.Good()
	}
	return f.hub.Health()
}

// candidate is a file that may be a page.
type candidate struct {
	name string
	look
}

// observe looks at every file once and returns those that may become pages,
// oldest first. The clock of the other computer does not count: complete is
// what did not change between two looks of ours. The caller holds the lock.
func (f *Folder) observe(root *os.Root) ([]candidate, error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("scan: folder: %w: %w", device.ErrAbsent, err)
	}
	entries, err := dir.ReadDir(-1)
	_ = dir.Close()
	if err != nil {
		return nil, fmt.Errorf("scan: folder: %w: %w", device.ErrAbsent, err)
	}
	now := f.o.Now()
	next := make(map[string]look, len(entries))
	// A page that was being read when the power went is put back.
	for i, e := range entries {
		name, taken := strings.CutPrefix(e.Name(), takenPrefix)
		if !taken || !e.Type().IsRegular() {
			continue
		}
		if _, err := root.Lstat(name); errors.Is(err, fs.ErrNotExist) && root.Rename(e.Name(), name) == nil {
			if info, err := root.Lstat(name); err == nil {
				entries[i] = fs.FileInfoToDirEntry(info)
			}
		}
	}
	var list []candidate
	for _, e := range entries {
		// Links and pipes are nobody's page; unfinished downloads have such names.
		if !e.Type().IsRegular() || unfinished(e.Name()) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // gone meanwhile
		}
		l := look{size: info.Size(), mtime: info.ModTime(), since: now}
		if old, ok := f.seen[e.Name()]; ok && old.size == l.size && old.mtime.Equal(l.mtime) {
			l.since, l.bad = old.since, old.bad
		}
		if !picture(e.Name()) || l.size > maxFileBytes {
			l.bad = true
		}
		next[e.Name()] = l
		if !l.bad {
			list = append(list, candidate{e.Name(), l})
		}
	}
	f.seen = next
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(a.mtime.Compare(b.mtime), cmp.Compare(a.name, b.name))
	})
	return list, nil
}

func unfinished(name string) bool {
	n := strings.ToLower(name)
	return strings.HasPrefix(n, ".") || strings.HasPrefix(n, "~") || n == "thumbs.db" || n == "desktop.ini" ||
		slices.Contains([]string{".part", ".tmp", ".crdownload", ".download"}, path.Ext(n))
}

func picture(name string) bool {
	return slices.Contains([]string{".png", ".jpg", ".jpeg"}, strings.ToLower(path.Ext(name)))
}

// Capture takes the oldest complete page. A file that is still being written
// is waited for while it grows, at most a few times Settle. Errors:
// device.ErrFeederEmpty when there is no page, device.ErrAbsent, ErrKept,
// context errors.
func (f *Folder) Capture(ctx context.Context) (device.Page, error) {
	// A file must be seen unchanged for Settle; five looks a Settle are plenty.
	step := max(f.o.Settle/5, time.Millisecond)
	deadline := f.o.Now().Add(4 * f.o.Settle)
	for {
		page, waiting, err := f.take()
		if err == nil || !waiting || f.o.Now().After(deadline) {
			return page, err
		}
		t := time.NewTimer(step)
		select {
		case <-ctx.Done():
			t.Stop()
			return device.Page{}, fmt.Errorf("scan: folder: %w", ctx.Err())
		case <-t.C:
		}
	}
}

// take gives the oldest page if it is complete. waiting says that there is one
// which may become complete.
func (f *Folder) take() (p device.Page, waiting bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	root, err := f.open()
	if err != nil {
		f.set(err)
		return p, false, err
	}
	defer func() { _ = root.Close() }()
	list, err := f.observe(root)
	if err != nil {
		f.set(err)
		return p, false, err
	}
	for _, c := range list {
		if f.o.Now().Sub(c.since) < f.o.Settle {
			return p, true, fmt.Errorf("scan: folder: %w: a file is still being written", device.ErrFeederEmpty)
		}
		// Under a name of its own nobody saves the next page over it.
		if err := root.Rename(c.name, takenPrefix+c.name); err != nil {
			err = fmt.Errorf("%w: %w", ErrKept, err)
			f.set(err)
			return p, false, err
		}
		img, err := decodeFile(root, takenPrefix+c.name)
		if err != nil {
			if back := root.Rename(takenPrefix+c.name, c.name); back != nil {
				f.o.Logger.Warn("page folder: file cannot be put back", "error", back)
			}
			// It stays where it is and never blocks the pages after it.
			c.bad = true
			f.seen[c.name] = c.look
			f.hub.Count("unreadable")
			f.o.Logger.Warn("page folder: file cannot be read", "error", err)
			continue
		}
		if err := root.Remove(takenPrefix + c.name); err != nil {
			err = fmt.Errorf("%w: %w", ErrKept, err)
			f.set(err)
			return p, false, err
		}
		delete(f.seen, c.name)
		f.hub.Count("pages")
		f.set(nil)
		return device.Page{Image: img, Source: f.o.Dir, Kind: device.KindPageFolder, At: f.o.Now(), Demo: f.o.Demo}, false, nil
	}
	f.set(nil)
	return p, false, fmt.Errorf("scan: folder: %w", device.ErrFeederEmpty)
}
