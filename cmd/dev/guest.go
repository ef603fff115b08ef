package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// guest is a small computer inside this one: qemu's software emulation, so that
// it needs neither KVM nor root, with Debian's own kernel and a file system in
// memory that holds busybox, kernel modules and some files. It is for what
// cannot be tried on the machine itself: pulling the plug, other kernels'
// drivers.
type guest struct {
	Kernel kernel
	// Modules are loaded in this order, each after what it needs; words behind
	// a name are its parameters ("vivid n_devs=2").
	Modules []string
	// Files are put there beforehand: path in the guest, without a slash at the
	// front, to contents. All can be executed.
	Files map[string][]byte
	// Disks are /dev/vda, /dev/vdb, …: sockets behind which NBD is spoken, see
	// serveNBD. qemu inherits them; the caller closes its own ends.
	Disks []*os.File
	// Run is a script for busybox's sh. It starts when /proc, /sys, /dev and
	// /tmp are there and the modules loaded. What it prints comes out of the
	// guest's second serial line; when it ends, the guest switches itself off.
	Run string
	// Memory in MiB, 0 = defaultGuestMemory.
	Memory int
}

const defaultGuestMemory = 384

// guestReport is where Run prints to: the second serial line. The first is the
// kernel's console.
const guestReport = "/dev/ttyS1"

// guestInit is the first program of the guest. Closing the serial line waits
// until everything was sent.
const guestInit = `#!/bin/busybox sh
export PATH=/bin HOME=/tmp
busybox=/bin/busybox
$busybox mkdir -p /proc /sys /dev /tmp
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sysfs /sys
$busybox mount -t devtmpfs dev /dev
$busybox mount -t tmpfs tmp /tmp
$busybox --install -s /bin
while read -r file parameters; do
	insmod $file $parameters || echo "cannot load $file" >` + guestReport + `
done </modules/list
cd /tmp
sh /run.sh </dev/null >` + guestReport + ` 2>&1
poweroff -f
`

// guestRun is a guest that runs.
type guestRun struct {
	out     *bufio.Reader
	process *exec.Cmd
	dir     string
}

// boot starts the guest; dir takes its files and its console's text, and is
// the caller's to remove. The caller reads line until it says that there is no
// more, and then calls end.
func (g guest) boot(ctx context.Context, dir string) (*guestRun, error) {
	initrd := filepath.Join(dir, "initrd")
	if err := g.writeInitrd(ctx, initrd); err != nil {
		return nil, fmt.Errorf("make the guest's first file system: %w", err)
	}
	r := &guestRun{dir: dir}
	memory := g.Memory
	if memory == 0 {
		memory = defaultGuestMemory
	}
	argv := []string{"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-accel", "tcg", "-cpu", "max",
		"-m", fmt.Sprint(memory), "-kernel", g.Kernel.Image, "-initrd", initrd,
		// A kernel that gives up reboots at once, which ends qemu.
		"-append", "console=ttyS0 quiet panic=-1 mitigations=off",
		"-serial", "file:" + r.console(), "-chardev", "stdio,id=report,signal=off", "-serial", "chardev:report"}
	for i := range g.Disks {
		const firstExtra = 3 // descriptor of ExtraFiles[0]
		argv = append(argv, "-blockdev", fmt.Sprintf("driver=nbd,node-name=disk%d,server.type=fd,server.str=%d", i, firstExtra+i),
			"-device", fmt.Sprintf("virtio-blk-pci,drive=disk%d,write-cache=on", i))
	}
	r.process = exec.Command("qemu-system-x86_64", argv...)
	// Its parent's death ends it too.
	r.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	r.process.ExtraFiles = g.Disks
	said, err := os.Create(filepath.Join(dir, "qemu.log"))
	if err != nil {
		return nil, fmt.Errorf("start a guest: %w", err)
	}
	defer said.Close() //nolint:errcheck // qemu has its own copy
	r.process.Stderr = said
	out, err := r.process.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a guest: %w", err)
	}
	if err := startOnThread(r.process); err != nil {
		return nil, fmt.Errorf("start a guest: %w", err)
	}
	r.out = bufio.NewReader(out)
	return r, nil
}

// line is the next line that Run printed; false when the guest has ended or
// was killed. A line that it could not finish is not told.
func (r *guestRun) line() (string, bool) {
	s, err := r.out.ReadString('\n')
	return strings.TrimRight(s, "\r\n"), err == nil
}

func (r *guestRun) console() string { return filepath.Join(r.dir, "console.log") }

// kill ends the guest at once, whatever it does (SIGKILL). What it had printed
// can still be read.
func (r *guestRun) kill() { _ = r.process.Process.Kill() }

// end waits until the guest is gone.
func (r *guestRun) end() { _ = r.process.Wait() } // that it was killed is no news

// trouble is what the guest's kernel and qemu said last, for an error's text.
func (r *guestRun) trouble() string {
	const lines = 12
	return strings.TrimSpace(tail(filepath.Join(r.dir, "qemu.log"), lines) + "\n" + tail(r.console(), lines))
}

// writeInitrd makes the file system that the kernel starts with.
func (g guest) writeInitrd(ctx context.Context, name string) (err error) {
	shell, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("busybox (Debian's package busybox-static): %w", err)
	}
	busybox, err := os.ReadFile(shell)
	if err != nil {
		return err
	}
	var list bytes.Buffer
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := newCpio(f)
	w.file("bin/busybox", busybox)
	w.file("init", []byte(guestInit))
	w.file("run.sh", []byte(g.Run))
	for _, m := range g.Modules {
		mod, parameters, _ := strings.Cut(m, " ")
		loaded, err := g.Kernel.load(ctx, mod)
		if err != nil {
			return err
		}
		for _, l := range loaded {
			file := "modules/" + l.Name + ".ko"
			if w.has(file) {
				continue
			}
			w.file(file, l.Code)
			_, _ = fmt.Fprint(&list, "/", file)
			if l.Name == moduleName(mod) {
				_, _ = fmt.Fprint(&list, " ", parameters)
			}
			_, _ = fmt.Fprintln(&list)
		}
	}
	w.file("modules/list", list.Bytes())
	for name, data := range g.Files {
		w.file(name, data)
	}
	return w.close()
}

// cpio writes an archive of the kind that the kernel unpacks at its start:
// "newc" of the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
// Errors show at close.
type cpio struct {
	w     *bufio.Writer
	names map[string]bool
}

// What cpio writes of a file: kind and mode.
const (
	cpioFolder = 0o040755
	cpioFile   = 0o100755
	cpioAlign  = 4 // bytes
	cpioEnd    = "TRAILER!!!"
)

func newCpio(w io.Writer) *cpio { return &cpio{bufio.NewWriterSize(w, 1<<20), map[string]bool{}} }

func (c *cpio) has(name string) bool { return c.names[name] }

// file adds a file after the folders that it needs.
func (c *cpio) file(name string, data []byte) {
	for i := range name {
		if dir := name[:i]; name[i] == '/' && !c.names[dir] {
			c.entry(dir, cpioFolder, nil)
		}
	}
	c.entry(name, cpioFile, data)
}

func (c *cpio) entry(name string, mode int, data []byte) {
	c.names[name] = true
	// Inode, mode, uid, gid, links, time, size, the device and that which it is
	// (major and minor each), length of the name with its zero, checksum.
	head := fmt.Appendf(nil, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		len(c.names), mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
	for _, b := range [][]byte{head, data} {
		_, _ = c.w.Write(b) // its errors come back from Flush
		_, _ = c.w.Write(make([]byte, -len(b)&(cpioAlign-1)))
	}
}

func (c *cpio) close() error {
	c.entry(cpioEnd, 0, nil)
	return c.w.Flush()
}
