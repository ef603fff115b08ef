package main

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The real power cut. The vault runs in a guest, on Debian's kernel and its
// ext4 on a disk with a volatile cache (plugDisk), and tells on a serial line
// what it promises, after each method returned. At a random write or flush the
// disk goes dark and qemu is killed; what was not flushed is kept, torn or lost
// by chance. The next boot replays the journal, opens the vault and looks for
// everything that was ever told, and for anything half-done.
//
// What is chosen here follows from the seed, which is printed; the guest's own
// timing does not, so a run can be repeated in kind, not to the letter. For
// that, the disk as it was found before a boot that missed something is kept.

// Words at the front of the guest's lines; see kiosk/vault/guest_test.go.
const (
	saysAt      = "at "
	saysTold    = "told "
	saysLost    = "lost "
	saysChecked = "checked "
)

const (
	plugDiskSize = 128 << 20 // bytes
	// plugGeneration is after how many cuts a new, empty disk is taken: first
	// starts are cut too, and no disk gets full.
	plugGeneration = 10
	// plugLimit is how long a boot may take to its cut. Under emulation and
	// load one takes a tenth of it.
	plugLimit = 3 * time.Minute

	// plugDeep is how many unsafe writes every second cut waits for at most:
	// most of the time a program that syncs what it promises has few.
	plugDeep = 24

	plugQuickCuts = 10
	plugLongCuts  = 200
	// plugControlCuts is in how many cuts a control must have lost something.
	plugControlCuts = 10
)

// plugModules are the drivers of the guest's disk and its file system, which
// asks for CRC32c by another name than the module's.
var plugModules = []string{"virtio_pci", "virtio_blk", "crc32c_generic", "ext4"}

// plugScript mounts the disk as a terminal's is, and runs the vault's test
// program in the guest.
//
// The kernel is made to write early what nobody asked it to sync, and another
// program keeps it busy: the more lies in the disk's cache at the cut, the more
// can come out of order.
const plugScript = `
echo 20 >/proc/sys/vm/dirty_expire_centisecs
echo 10 >/proc/sys/vm/dirty_writeback_centisecs
mkdir /disk
mount -t ext4 -o errors=remount-ro /dev/vda /disk || { echo lost the disk cannot be mounted; exit; }
while :; do dd if=/dev/urandom of=/disk/other bs=16k count=8 conv=notrunc 2>/dev/null; sleep 0.1; done &
export %s
/bin/vault.test -test.run '^TestGuest$' -test.timeout 0
`

// plugWhen is from where on the writes and flushes are counted to the cut, and
// up to how many there are. Its name is what the guest says then.
type plugWhen struct {
	name  string
	share int // of the cuts
	most  int
}

// Moments that the guest does not name.
const (
	atPower   = "power on"          // the journal is replayed then
	atPromise = "the first promise" // it works then
)

var plugWhens = []plugWhen{
	{atPower, 2, 60},
	{"opening", 3, 120}, // the vault is made, or opened
	{atPromise, 9, 400},
	{"rekey", 3, 80},
	{"retain", 2, 40},
	{"prune", 2, 80},
}

// plugRig is everything that cuts need and that does not change.
type plugRig struct {
	kernel  kernel
	program []byte // the vault's tests, statically linked
	dir     string // for files of the runs
	seed    uint64
	// Controls: the vault's synchronous setting, and a disk that answers a
	// flush without obeying.
	sync string
	lies bool
}

// plugReport is what a number of cuts showed.
type plugReport struct {
	cuts     int
	promises int      // looked at after cuts, each as often as it was
	lost     []string // what did not hold
	unsafe   outcome  // writes
	took     time.Duration
}

func (r plugReport) String() string {
	return fmt.Sprintf("%d lost, %d promises looked at after %d cuts with %v, %.1f s a cut",
		len(r.lost), r.promises, r.cuts, r.unsafe, r.took.Seconds()/float64(max(1, r.cuts)))
}

// newPlugRig brings a kernel, builds the vault's test program for the guest and
// takes a seed: CUNBAN_PLUG_SEED or a random one. What it needs lies in dir,
// until sweep.
func newPlugRig(ctx context.Context, root string) (*plugRig, error) {
	p := &plugRig{seed: plugSeed()}
	if s := os.Getenv("CUNBAN_PLUG_SEED"); s != "" {
		var err error
		if p.seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			return nil, fmt.Errorf("CUNBAN_PLUG_SEED: %w", err)
		}
	}
	var err error
	if p.kernel, err = debianKernel(ctx); err != nil {
		return nil, fmt.Errorf("bring a kernel for the guest: %w", err)
	}
	run := filepath.Join(root, ".run")
	if err := os.MkdirAll(run, 0o700); err != nil {
		return nil, fmt.Errorf("make a folder for guests: %w", err)
	}
	if p.dir, err = os.MkdirTemp(run, "plug-"); err != nil {
		return nil, fmt.Errorf("make a folder for guests: %w", err)
	}
	program := filepath.Join(p.dir, "vault.test")
	if err := show(ctx, root, []string{"CGO_ENABLED=1"}, "go", "test", "-c", "-o", program, "-tags", "netgo,osusergo,sqlite_omit_load_extension",
		"-ldflags", "-s -w -linkmode external -extldflags -static", "./kiosk/vault"); err != nil {
		return nil, fmt.Errorf("build the guest's program: %w", err)
	}
	if p.program, err = os.ReadFile(program); err != nil {
		return nil, fmt.Errorf("read the guest's program: %w", err)
	}
	fmt.Printf("plug: %s, seed %d\n", p.kernel.Name, p.seed)
	return p, nil
}

// sweep removes what the rig left, when all went well: else it is needed to
// look again.
func (p *plugRig) sweep() error {
	if err := os.RemoveAll(p.dir); err != nil {
		return fmt.Errorf("sweep after guests: %w", err)
	}
	return nil
}

func plugSeed() uint64 {
	var b [4]byte
	_, _ = crand.Read(b[:]) // never fails
	return uint64(binary.BigEndian.Uint32(b[:]))
}

// pull cuts the power so often, or until something is lost. An error means
// that it could not be tried.
func (p *plugRig) pull(ctx context.Context, cuts int) (rep plugReport, err error) {
	began := time.Now()
	for err == nil && rep.cuts < cuts && len(rep.lost) == 0 {
		err = p.wearOut(ctx, min(plugGeneration, cuts-rep.cuts), &rep)
	}
	rep.took = time.Since(began)
	return rep, err
}

// wearOut cuts the power of one disk so often, and looks once more.
func (p *plugRig) wearOut(ctx context.Context, cuts int, rep *plugReport) error {
	disk, err := p.emptyDisk(ctx)
	if err != nil {
		return err
	}
	var told []string
	for left := cuts; left >= 0 && len(rep.lost) == 0; left-- {
		b := plugBoot{rig: p, disk: disk, rng: rand.New(rand.NewPCG(p.seed, uint64(rep.cuts))), told: told, cut: left > 0}
		if err := b.run(ctx); err != nil {
			return fmt.Errorf("after %d cuts (files in %s): %w", rep.cuts, p.dir, err)
		}
		told = append(told, b.new...)
		rep.promises += b.checked
		rep.lost = append(rep.lost, b.lost...)
		if !b.cut {
			fmt.Printf("plug: last look: %v\n", &b)
			break
		}
		rep.cuts++
		var o outcome
		disk, o = disk.reboot(b.rng)
		rep.unsafe = outcome{rep.unsafe.whole + o.whole, rep.unsafe.torn + o.torn, rep.unsafe.gone + o.gone}
		fmt.Printf("plug: cut %d: %v, %v\n", rep.cuts, &b, o)
	}
	return nil
}

// emptyDisk is a new disk with a file system made as Debian makes one.
func (p *plugRig) emptyDisk(ctx context.Context) (*plugDisk, error) {
	image := filepath.Join(p.dir, "empty.img")
	if err := os.RemoveAll(image); err != nil {
		return nil, fmt.Errorf("make a disk: %w", err)
	}
	// Blocks as on a large disk; nothing is left for the kernel to fill later.
	if _, err := output(ctx, nil, "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0",
		image, fmt.Sprint(plugDiskSize>>10)+"k"); err != nil {
		return nil, fmt.Errorf("make a disk: %w", err)
	}
	d, err := readDisk(image)
	if err == nil {
		d.lies = p.lies
	}
	return d, err
}

// plugBoot is one time that the guest is switched on.
type plugBoot struct {
	rig  *plugRig
	disk *plugDisk
	rng  *rand.Rand
	told []string // by the boots before, on this disk
	cut  bool     // false: it looks, and ends by itself

	when    plugWhen
	after   int // writes and flushes
	deep    int // writes that are unsafe then
	armed   bool
	new     []string // told now
	lost    []string
	checked int // promises, 0 when it did not get so far
	said    []string
	took    time.Duration
}

func (b *plugBoot) String() string {
	s := fmt.Sprintf("%d of %d promises looked at, %d lost, %d new", b.checked, len(b.told), len(b.lost), len(b.new))
	if b.cut {
		s += fmt.Sprintf(", cut %d writes and flushes after %s", b.after, b.when.name)
	}
	return fmt.Sprintf("%s, %.1f s", s, b.took.Seconds())
}

// run boots, cuts and reads all that was said.
func (b *plugBoot) run(ctx context.Context) error {
	began := time.Now()
	defer func() { b.took = time.Since(began) }()
	dir := b.rig.dir
	told := []byte(strings.Join(b.told, "\n"))
	// What is needed to look again at what a boot found.
	if err := errors.Join(b.disk.writeImage(filepath.Join(dir, "found.img")), os.WriteFile(filepath.Join(dir, "told"), told, 0o600)); err != nil {
		return err
	}
	mine, theirs, err := socketpair()
	if err != nil {
		return err
	}
	env := []string{"CUNBAN_GUEST_DIR=/disk/vault", "CUNBAN_GUEST_TOLD=/told", fmt.Sprint("CUNBAN_GUEST_SEED=", 1+b.rng.IntN(1<<30)),
		"CUNBAN_GUEST_SYNC=" + b.rig.sync}
	if !b.cut {
		env = append(env, "CUNBAN_GUEST_ONLY=check")
	}
	g := guest{Kernel: b.rig.kernel, Modules: plugModules, Disks: []*os.File{theirs},
		Files: map[string][]byte{"bin/vault.test": b.rig.program, "told": told}, Run: fmt.Sprintf(plugScript, strings.Join(env, " "))}
	b.aim()
	run, err := g.boot(ctx, dir)
	_ = theirs.Close()
	if err != nil {
		return errors.Join(err, mine.Close())
	}
	served, ended := make(chan error, 1), make(chan struct{})
	go func() { served <- serveNBD(mine, b.disk) }()
	limit, cancel := context.WithTimeout(ctx, plugLimit)
	defer cancel()
	killer := make(chan struct{})
	go func() {
		defer close(killer)
		select {
		case <-ended:
		case <-b.disk.powerOff():
		case <-limit.Done():
			b.disk.cut()
		}
		run.kill()
	}()
	b.listen(run)
	close(ended)
	<-killer
	run.end()
	err = errors.Join(mine.Close(), <-served)
	if errors.Is(err, errPowerOff) {
		err = nil
	}
	if err = errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	return b.judge(run, limit.Err() != nil)
}

// aim chooses the moment of the cut.
func (b *plugBoot) aim() {
	all := 0
	for _, w := range plugWhens {
		all += w.share
	}
	at := b.rng.IntN(all)
	for _, b.when = range plugWhens {
		if at -= b.when.share; at < 0 {
			break
		}
	}
	b.after = 1 + b.rng.IntN(b.when.most)
	if b.rng.IntN(2) == 0 {
		b.deep = 2 + b.rng.IntN(plugDeep)
	}
	b.arm(atPower)
}

// arm sets the moment when it is counted from now, the first time.
func (b *plugBoot) arm(now string) {
	if b.cut && b.when.name == now && !b.armed {
		b.armed = true
		b.disk.cutAfter(b.after, b.deep)
	}
}

// listen reads what the guest says, to its end.
func (b *plugBoot) listen(run *guestRun) {
	for {
		line, ok := run.line()
		if !ok {
			return
		}
		b.said = append(b.said, line)
		if what, ok := strings.CutPrefix(line, saysAt); ok {
			b.arm(what)
		} else if what, ok := strings.CutPrefix(line, saysTold); ok {
			if b.new = append(b.new, what); len(b.new) == 1 {
				b.arm(atPromise)
			}
		} else if what, ok := strings.CutPrefix(line, saysLost); ok {
			b.lost = append(b.lost, what)
		} else if n, ok := strings.CutPrefix(line, saysChecked); ok {
			b.checked, _ = strconv.Atoi(n)
		}
	}
}

// judge tells whether the boot went as it had to. Where the vault missed
// something that is no error: it is in lost.
func (b *plugBoot) judge(run *guestRun, late bool) error {
	fell := ""
	switch {
	case len(b.lost) > 0:
		return nil
	case late:
		fell = fmt.Sprintf("nothing came of it in %v", plugLimit)
	case b.cut && !b.disk.dark():
		fell = "the guest ended by itself"
	case !b.cut && b.checked != len(b.told), b.checked != 0 && b.checked != len(b.told):
		fell = fmt.Sprintf("it looked at %d of %d promises", b.checked, len(b.told))
	}
	if fell == "" {
		return nil
	}
	return fmt.Errorf("%s; it said\n%s\nits console\n%s", fell, strings.Join(b.said[max(0, len(b.said)-20):], "\n"), run.trouble())
}

// socketpair is a line between this program and one that it starts.
func socketpair() (mine net.Conn, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	ours := os.NewFile(uintptr(fds[0]), "nbd")
	theirs = os.NewFile(uintptr(fds[1]), "nbd")
	defer ours.Close() //nolint:errcheck // mine is a copy
	if mine, err = net.FileConn(ours); err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return mine, theirs, nil
}
