package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// kernelPackage is Debian's newest kernel for this machine, which names the
// package that holds it.
const kernelPackage = "linux-image-amd64"

// kernelKeeps are the folders of modules that are unpacked: the whole is 400 MB.
var kernelKeeps = []string{"arch/", "crypto/", "lib/", "fs/", "drivers/virtio/", "drivers/block/", "drivers/char/", "drivers/media/"}

// kernel is Debian's kernel, unpacked and not installed.
type kernel struct {
	Name  string // of its package
	Image string // path of vmlinuz
	// modules are the paths by name; builtin are those that need no loading.
	modules map[string]string
	builtin map[string]bool
}

// debianKernel brings Debian's kernel into the user's cache folder, once for
// each version, through apt. Where that fails it takes one that is there.
func debianKernel(ctx context.Context) (kernel, error) {
	if runtime.GOARCH != "amd64" {
		return kernel{}, fmt.Errorf("the guest is an amd64 machine and runs programs that are built here, for %s", runtime.GOARCH)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return kernel{}, fmt.Errorf("keep a kernel: %w", err)
	}
	cache = filepath.Join(cache, "cunban-dev")
	dir, err := newestKernel(ctx, cache)
	if err != nil {
		have, _ := filepath.Glob(filepath.Join(cache, "linux-image-*"))
		if len(have) == 0 {
			return kernel{}, err
		}
		fmt.Printf("no newer kernel: %v\n", err)
		dir = slices.Max(have)
	}
	return openKernel(dir)
}

// newestKernel is the folder of the kernel that apt names, fetched when it is
// not there.
func newestKernel(ctx context.Context, cache string) (dir string, err error) {
	name, err := kernelName(ctx)
	if err != nil { // perhaps there are no lists yet
		if err = apt(ctx, "update"); err == nil {
			name, err = kernelName(ctx)
		}
	}
	if err != nil {
		return "", err
	}
	dir = filepath.Join(cache, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	return dir, fetchKernel(ctx, name, dir)
}

var reKernelDep = regexp.MustCompile(`(?m)^Depends: (linux-image-[^ ,]+)`)

// kernelName asks apt for the package that kernelPackage names today.
func kernelName(ctx context.Context) (string, error) {
	out, err := output(ctx, nil, "apt-cache", "show", "--no-all-versions", kernelPackage)
	if err != nil {
		return "", err
	}
	m := reKernelDep.FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("apt-cache: %s names no kernel", kernelPackage)
	}
	return string(m[1]), nil
}

// fetchKernel downloads a kernel's package and unpacks what is of use to dir.
func fetchKernel(ctx context.Context, name, dir string) (err error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return fmt.Errorf("keep a kernel: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".fetch-")
	if err != nil {
		return fmt.Errorf("keep a kernel: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	download := func() error { return show(ctx, tmp, nil, "apt-get", "-q", "download", name) }
	if err := download(); err != nil { // the list may be older than the archive
		if err := errors.Join(apt(ctx, "update"), download()); err != nil {
			return err
		}
	}
	debs, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil || len(debs) != 1 {
		return fmt.Errorf("download %s: %d files, %w", name, len(debs), err)
	}
	out := filepath.Join(tmp, "out")
	if err := unpackKernel(ctx, debs[0], out); err != nil {
		return fmt.Errorf("unpack %s: %w", name, err)
	}
	if err := os.Rename(out, dir); err != nil {
		return fmt.Errorf("keep a kernel: %w", err)
	}
	return nil
}

// unpackKernel takes vmlinuz, the list of what is built in, and modules out of
// a package.
func unpackKernel(ctx context.Context, deb, dir string) (err error) {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	var said bytes.Buffer
	cmd.Stderr = &said
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = eachKept(tar.NewReader(pipe), func(name string, r io.Reader) error { return writeAll(filepath.Join(dir, name), r) })
	_, err2 := io.Copy(io.Discard, pipe) // what is behind the archive's end
	if err = errors.Join(err, err2, cmd.Wait()); err != nil {
		return fmt.Errorf("%w %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}

// eachKept calls f for each file of a kernel's package that is of use, with
// its name in the folder of the kernel.
func eachKept(t *tar.Reader, f func(name string, r io.Reader) error) error {
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if name := kernelFile(h.Name); name != "" && h.Typeflag == tar.TypeReg {
			if err := f(name, t); err != nil {
				return err
			}
		}
	}
}

// kernelFile is under which name a file of the package is kept, "" for not.
func kernelFile(name string) string {
	name = path.Clean("/" + name)
	if strings.HasPrefix(path.Base(name), "vmlinuz") {
		return "vmlinuz"
	}
	if path.Base(name) == "modules.builtin" {
		return "modules.builtin"
	}
	_, rest, ok := strings.Cut(name, "/kernel/")
	if ok && strings.Contains(path.Base(rest), ".ko") && slices.ContainsFunc(kernelKeeps, func(k string) bool { return strings.HasPrefix(rest, k) }) {
		return filepath.Join("modules", filepath.FromSlash(rest))
	}
	return ""
}

func writeAll(name string, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// openKernel reads what an unpacked kernel has.
func openKernel(dir string) (kernel, error) {
	k := kernel{Name: filepath.Base(dir), Image: filepath.Join(dir, "vmlinuz"), modules: map[string]string{}, builtin: map[string]bool{}}
	f, err := os.Open(filepath.Join(dir, "modules.builtin"))
	if err != nil {
		return kernel{}, fmt.Errorf("open a kernel: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		k.builtin[moduleName(sc.Text())] = true
	}
	err = filepath.WalkDir(filepath.Join(dir, "modules"), func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			k.modules[moduleName(p)] = p
		}
		return err
	})
	if err = errors.Join(err, sc.Err()); err != nil {
		return kernel{}, fmt.Errorf("open a kernel: %w", err)
	}
	return k, nil
}

// moduleName is the name of a module's file as the kernel says it.
func moduleName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// guestModule is one that is to be loaded.
type guestModule struct {
	Name string
	Code []byte // the ELF file, not compressed
}

// load reads modules and what they need, in the order in which they must be
// loaded. Built-in ones are left out.
func (k kernel) load(ctx context.Context, names ...string) (out []guestModule, err error) {
	seen := map[string]bool{}
	var need func(name string) error
	need = func(name string) error {
		name = strings.ReplaceAll(name, "-", "_")
		if seen[name] || k.builtin[name] {
			return nil
		}
		seen[name] = true
		file, ok := k.modules[name]
		if !ok {
			return fmt.Errorf("%s has no module %s in %v", k.Name, name, kernelKeeps)
		}
		code, err := readModule(ctx, file)
		if err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
		deps, err := moduleNeeds(code)
		if err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
		for _, d := range deps {
			if err := need(d); err != nil {
				return err
			}
		}
		out = append(out, guestModule{name, code})
		return nil
	}
	for _, n := range names {
		if err := need(n); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// readModule reads a module; newer Debians compress them.
func readModule(ctx context.Context, file string) ([]byte, error) {
	switch filepath.Ext(file) {
	case ".xz":
		return output(ctx, nil, "xz", "-dc", file)
	case ".zst":
		return output(ctx, nil, "zstd", "-dc", file)
	}
	return os.ReadFile(file)
}

// moduleNeeds lists what a module says that it depends on.
func moduleNeeds(code []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(code))
	if err != nil {
		return nil, err
	}
	s := f.Section(".modinfo")
	if s == nil {
		return nil, errors.New("no .modinfo")
	}
	info, err := s.Data()
	if err != nil {
		return nil, err
	}
	for line := range bytes.SplitSeq(info, []byte{0}) {
		if list, ok := bytes.CutPrefix(line, []byte("depends=")); ok {
			return strings.FieldsFunc(string(list), func(r rune) bool { return r == ',' }), nil
		}
	}
	return nil, nil
}
