package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"

	"cunban/kiosk/cases"
	"cunban/kiosk/seal"
	"cunban/kiosk/vault/cryptfile"
)

// Names that come from outside the vault never reach the disk unchecked: a
// case is a UUIDv7 in lower case (RFC 9562), a file a plain word.
var (
	reCase = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	reFile = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
)

// ErrName means that a case id or file name is not one that the vault keeps.
var ErrName = errors.New("not a name that the vault keeps")

func (v *Vault) scan(caseID string, name ...string) string {
	return v.path(append([]string{scansName, caseID}, name...)...)
}

// checkFiles judges names and digests before anything is written.
func checkFiles(caseID string, files []cases.SealedFile) error {
	if !reCase.MatchString(caseID) {
		return fmt.Errorf("%w: case %.40q", ErrName, caseID)
	}
	seen := map[string]bool{}
	for _, f := range files {
		if !reFile.MatchString(f.Name) || strings.HasSuffix(f.Name, cryptfile.TempSuffix) || seen[f.Name] {
			return fmt.Errorf("%w: file %.40q", ErrName, f.Name)
		}
		if !seal.Equal(seal.Digest(f.Sealed), f.Digest) {
			return fmt.Errorf("file %s does not have the digest that came with it", f.Name)
		}
		seen[f.Name] = true
	}
	return nil
}

// writeScans puts sealed files on the disk for good, before the row that names
// them: write, sync, rename, sync directory. What it wrote it returns, also
// with an error, so that it can be removed.
func (v *Vault) writeScans(caseID string, files []cases.SealedFile) (wrote []string, err error) {
	if len(files) == 0 {
		return nil, nil
	}
	dir := v.scan(caseID)
	if err := v.fs.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("make the folder of a case: %w", err)
	}
	for _, f := range files {
		name := v.scan(caseID, f.Name)
		wrote = append(wrote, name)
		if err := v.writeScan(name, f.Sealed); err != nil {
			return wrote, fmt.Errorf("write %s: %w", f.Name, err)
		}
	}
	if err := errors.Join(v.fs.SyncDir(dir), v.fs.SyncDir(v.path(scansName))); err != nil {
		return wrote, fmt.Errorf("sync the folder of a case: %w", err)
	}
	return wrote, nil
}

func (v *Vault) writeScan(name string, data []byte) error {
	tmp := name + cryptfile.TempSuffix
	f, err := v.fs.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = v.fs.Rename(tmp, name)
	}
	if err != nil {
		return errors.Join(err, ignoreMissing(v.fs.Remove(tmp)))
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// removeScans takes files of a case away again. What stays, or might come back
// with a power cut, is an orphan that the next start sweeps, however this run
// ends.
func (v *Vault) removeScans(names []string) {
	if err := v.dropScans(names); err != nil {
		v.unswept = true
		v.log.Warn("vault: a scan that is not needed stays until the next start", "err", err)
	}
}

// dropScans removes files of one case for good.
func (v *Vault) dropScans(names []string) error {
	if len(names) == 0 {
		return nil
	}
	var errs []error
	for _, n := range names {
		errs = append(errs, ignoreMissing(v.fs.Remove(n)))
	}
	return errors.Join(append(errs, v.syncScans(filepath.Dir(names[0])))...)
}

// syncScans makes it durable that files of a case were removed; the last takes
// the folder with it.
func (v *Vault) syncScans(dir string) error {
	left, err := v.fs.List(dir)
	switch {
	case err != nil:
		return err
	case len(left) > 0:
		return v.fs.SyncDir(dir)
	}
	return errors.Join(ignoreMissing(v.fs.Remove(dir)), v.fs.SyncDir(v.path(scansName)))
}

// fence makes certain that a commit that failed cannot come back with a power
// cut: its pages may stand in the WAL until another commit is written over
// them. Before that, the files that it names must be left alone.
func (v *Vault) fence() error {
	if len(v.condemned) == 0 {
		return nil
	}
	return v.changeLocked("write over a failed commit", func(c *change) error {
		return c.exec("UPDATE meta SET val=val WHERE key=?", metaClean)
	})
}

// sweepCondemned removes the scans of submissions whose commit failed; it runs
// after a later commit, see fence.
func (v *Vault) sweepCondemned() {
	if len(v.condemned) == 0 {
		return
	}
	names := v.condemned
	v.condemned = nil
	byDir := map[string][]string{}
	for _, n := range names {
		byDir[filepath.Dir(n)] = append(byDir[filepath.Dir(n)], n)
	}
	for _, ns := range byDir {
		v.removeScans(ns)
	}
}

// sweep removes files that no row names: left by a cut between the files and
// the commit. A program that closed the vault left none, or says so, so that the
// start is quick however many cases there are.
func (v *Vault) sweep(ctx context.Context) (removed int, err error) {
	owed := 0
	if err := v.db.QueryRowContext(ctx, "SELECT count(*) FROM meta WHERE key=?", metaOwed).Scan(&owed); err != nil {
		return 0, v.fail("sweep", err)
	}
	if v.clean && owed == 0 {
		return 0, nil
	}
	dirs, err := v.fs.List(v.path(scansName))
	if err != nil {
		return 0, fmt.Errorf("vault: sweep: %w", err)
	}
	for _, dir := range dirs {
		n, err := v.sweepCase(ctx, dir)
		removed += n
		if err != nil {
			return removed, v.fail("sweep", err)
		}
	}
	return removed, nil
}

func (v *Vault) sweepCase(ctx context.Context, dir string) (removed int, err error) {
	names, err := v.fs.List(v.scan(dir))
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		var known int
		if err := v.db.QueryRowContext(ctx, "SELECT count(*) FROM files WHERE case_id=? AND name=?", dir, name).Scan(&known); err != nil {
			return removed, err
		}
		if known > 0 {
			continue
		}
		if err := ignoreMissing(v.fs.Remove(v.scan(dir, name))); err != nil {
			return removed, err
		}
		removed++
	}
	if removed == 0 && len(names) > 0 {
		return 0, nil
	}
	return removed, v.syncScans(v.scan(dir))
}

// lookForScans tells when a file is gone that is still to be sent.
func (v *Vault) lookForScans(ctx context.Context) (err error) {
	// The order of a CROSS JOIN is kept: what is open first, then its files.
	rows, err := v.db.QueryContext(ctx, "SELECT f.case_id, f.name FROM outbox o CROSS JOIN files f"+
		" ON f.case_id=o.case_id AND f.revision=o.revision WHERE o.open IN (?,?) AND f.done=0", openActive, openAside)
	if err != nil {
		return v.fail("look for scans", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	lost := 0
	for rows.Next() {
		var id, name string
		if err := rows.Scan(&id, &name); err != nil {
			return v.fail("look for scans", err)
		}
		if _, err := v.fs.Size(v.scan(id, name)); errors.Is(err, fs.ErrNotExist) {
			lost++
		} else if err != nil {
			return fmt.Errorf("vault: look for scans: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return v.fail("look for scans", err)
	}
	if lost > 0 {
		v.tell(Incident{Kind: IncidentLost, Text: fmt.Sprintf("有 %d 页扫描件不见了，相关办件上传不全，请联系县里。", lost),
			Detail: fmt.Sprintf("%d files of open outbox items are missing", lost)})
	}
	return nil
}

// OpenFile opens the sealed bytes of a scan and tells their number. Errors:
// ErrName, fs.ErrNotExist.
func (v *Vault) OpenFile(ctx context.Context, caseID, name string) (io.ReadCloser, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, fmt.Errorf("vault: open a scan: %w", err)
	}
	if !reCase.MatchString(caseID) || !reFile.MatchString(name) {
		return nil, 0, fmt.Errorf("vault: open a scan: %w: %.40q/%.40q", ErrName, caseID, name)
	}
	f, err := v.fs.Open(v.scan(caseID, name))
	if err != nil {
		return nil, 0, fmt.Errorf("vault: open a scan: %w", err)
	}
	n, err := f.Size()
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("vault: open a scan: %w", err), f.Close())
	}
	return struct {
		*io.SectionReader
		io.Closer
	}{io.NewSectionReader(f, 0, n), f}, n, nil
}
