package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// testDisk is an empty disk of some sectors.
func testDisk(t *testing.T, sectors int) *plugDisk {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, make([]byte, sectors*sectorSize+7), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := readDisk(image)
	if err != nil || d.size() != int64(sectors*sectorSize) {
		t.Fatalf("a disk of %d bytes, %v", d.size(), err)
	}
	return d
}

func mustDo(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func fill(b byte, sectors int) []byte { return bytes.Repeat([]byte{b}, sectors*sectorSize) }

// TestDiskKeepsWhatWasFlushed, whatever becomes of the rest, and forgets the
// rest in every way: kept, gone, torn, the later without the earlier.
func TestDiskKeepsWhatWasFlushed(t *testing.T) {
	ways := map[string]bool{}
	for seed := range uint64(400) {
		d := testDisk(t, 8)
		mustDo(t, d.write(fill('a', 2), 0), d.flush(), d.write(fill('b', 4), 2*sectorSize), d.write(fill('c', 1), 0))
		d.cut()
		rng := rand.New(rand.NewPCG(seed, 1))
		found, o := d.reboot(rng)
		if !errors.Is(d.flush(), errPowerOff) || o.whole+o.torn+o.gone != 2 {
			t.Fatalf("seed %d: the old disk still turns, or %v", seed, o)
		}
		got := make([]byte, 8*sectorSize)
		mustDo(t, found.read(got, 0))
		if !bytes.Equal(got, found.safe) {
			t.Fatalf("seed %d: what is found is not what is safe", seed)
		}
		way := ""
		for at := 0; at < len(got); at += sectorSize {
			s := got[at : at+sectorSize]
			if !bytes.Equal(s, fill(s[0], 1)) {
				t.Fatalf("seed %d: a sector is torn", seed)
			}
			way += string(max(s[0], '.'))
		}
		if way[1] != 'a' || way[6:] != ".." {
			t.Fatalf("seed %d: found %s", seed, way)
		}
		ways[way] = true
		if b := strings.Count(way, "b"); b > 0 && b < 4 {
			ways["torn"] = true
		}
	}
	for _, want := range []string{"aa......", "cabbbb..", "aabbbb..", "ca......", "torn"} {
		if !ways[want] {
			t.Errorf("never found %s", want)
		}
	}
}

func TestDiskCutAfter(t *testing.T) {
	d := testDisk(t, 4)
	d.cutAfter(3, 0)
	mustDo(t, d.write(fill('a', 1), 0), d.flush())
	if err := d.write(fill('b', 1), 0); !errors.Is(err, errPowerOff) {
		t.Fatalf("the third request: %v", err)
	}
	select {
	case <-d.powerOff():
	default:
		t.Fatal("nobody was told")
	}
	if len(d.pending) != 1 || d.safe[0] != 'a' {
		t.Errorf("%d writes in the cache, %q safe", len(d.pending), d.safe[0])
	}
	deep := testDisk(t, 4)
	deep.cutAfter(1, 2)
	mustDo(t, deep.write(fill('a', 1), 0), deep.flush(), deep.write(fill('b', 1), 0), deep.write(fill('c', 1), 0))
	if err := deep.flush(); !errors.Is(err, errPowerOff) || len(deep.pending) != 2 {
		t.Errorf("with %d writes unsafe: %v", len(deep.pending), err)
	}
	never := testDisk(t, 4)
	never.cutAfter(1, 2)
	n := 0
	for never.flush() == nil {
		n++
	}
	if n != cutPatience {
		t.Errorf("it waited for %d flushes", n)
	}
	lying := testDisk(t, 4)
	lying.lies = true
	mustDo(t, lying.write(fill('a', 1), 0), lying.flush())
	if lying.safe[0] != 0 || len(lying.pending) != 1 {
		t.Error("the disk that lies obeyed")
	}
}

func TestDiskImage(t *testing.T) {
	d := testDisk(t, 600)
	mustDo(t, d.write(fill('x', 1), 500*sectorSize), d.flush(), d.write(fill('y', 1), 0))
	image := filepath.Join(t.TempDir(), "out")
	mustDo(t, d.writeImage(image))
	again, err := readDisk(image)
	mustDo(t, err)
	if !bytes.Equal(again.now, d.safe) {
		t.Error("the image is not what is safe")
	}
}

// nbdClient speaks NBD as qemu does.
type nbdClient struct {
	t    *testing.T
	conn net.Conn
}

func (c nbdClient) send(parts ...any) {
	c.t.Helper()
	for _, p := range parts {
		mustDo(c.t, binary.Write(c.conn, binary.BigEndian, p))
	}
}

func (c nbdClient) want(n int, parts ...any) {
	c.t.Helper()
	var b []byte
	for _, p := range parts {
		b, _ = binary.Append(b, binary.BigEndian, p)
	}
	got := make([]byte, n)
	if _, err := io.ReadFull(c.conn, got); err != nil || !bytes.Equal(got, b) {
		c.t.Fatalf("got %x, want %x, %v", got, b, err)
	}
}

func (c nbdClient) request(kind uint16, handle, off uint64, n uint32, data ...byte) {
	c.t.Helper()
	c.send(uint32(nbdRequest), uint16(0), kind, handle, off, n, data)
}

func TestNBD(t *testing.T) {
	d := testDisk(t, 4)
	mine, theirs, err := socketpair()
	mustDo(t, err)
	conn, err := net.FileConn(theirs)
	mustDo(t, err, theirs.Close())
	ended := make(chan error, 1)
	go func() { ended <- serveNBD(mine, d) }()
	c := nbdClient{t, conn}
	c.want(18, uint64(nbdMagic), uint64(nbdOption), uint16(3))
	c.send(uint32(3), uint64(nbdOption), uint32(8), uint32(0)) // structured replies
	c.want(20, uint64(nbdOptionReply), uint32(8), uint32(nbdRepUnknown), uint32(0))
	c.send(uint64(nbdOption), uint32(nbdOptGo), uint32(6), uint32(0), uint16(0))
	c.want(32, uint64(nbdOptionReply), uint32(nbdOptGo), uint32(nbdRepInfo), uint32(12), uint16(0), uint64(4*sectorSize), uint16(5))
	c.want(20, uint64(nbdOptionReply), uint32(nbdOptGo), uint32(nbdRepAck), uint32(0))

	c.request(nbdWrite, 1, sectorSize, sectorSize, fill('w', 1)...)
	c.want(16, uint32(nbdReply), uint32(0), uint64(1))
	c.request(nbdRead, 2, 0, 2*sectorSize)
	c.want(16+2*sectorSize, uint32(nbdReply), uint32(0), uint64(2), fill(0, 1), fill('w', 1))
	c.request(nbdRead, 3, 4*sectorSize, 1) // beyond the end
	c.want(16, uint32(nbdReply), uint32(nbdInvalid), uint64(3))
	c.request(6, 4, 0, sectorSize) // zeroes, which were not offered
	c.want(16, uint32(nbdReply), uint32(nbdInvalid), uint64(4))
	if d.safe[sectorSize] != 0 {
		t.Error("a write is safe before a flush")
	}
	c.request(nbdFlush, 5, 0, 0)
	c.want(16, uint32(nbdReply), uint32(0), uint64(5))
	if d.safe[sectorSize] != 'w' {
		t.Error("a write is not safe after a flush")
	}
	d.cut()
	c.request(nbdFlush, 6, 0, 0)
	if err := <-ended; !errors.Is(err, errPowerOff) {
		t.Errorf("ended with %v", err)
	}
	mustDo(t, mine.Close())
	if n, err := conn.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		t.Errorf("a flush was answered after the cut: %d, %v", n, err)
	}
	mustDo(t, conn.Close())
}

func TestNBDEnds(t *testing.T) {
	for name, say := range map[string]func(c nbdClient){
		"gone":     func(nbdClient) {},
		"nonsense": func(c nbdClient) { c.send(uint32(3), fill('?', 1)) },
		"abort": func(c nbdClient) {
			c.send(uint32(3), uint64(nbdOption), uint32(nbdOptAbort), uint32(0))
			c.want(20, uint64(nbdOptionReply), uint32(nbdOptAbort), uint32(nbdRepAck), uint32(0))
		},
		"export name": func(c nbdClient) { c.send(uint32(3), uint64(nbdOption), uint32(nbdOptExportName), uint32(0)) },
	} {
		mine, theirs, err := socketpair()
		mustDo(t, err)
		conn, err := net.FileConn(theirs)
		mustDo(t, err, theirs.Close())
		ended := make(chan error, 1)
		go func() { ended <- serveNBD(mine, testDisk(t, 1)) }()
		c := nbdClient{t, conn}
		c.want(18, uint64(nbdMagic), uint64(nbdOption), uint16(3))
		say(c)
		mustDo(t, conn.Close())
		bad := name == "nonsense" || name == "export name"
		if err := <-ended; (err != nil) != bad {
			t.Errorf("%s: %v", name, err)
		}
		mustDo(t, mine.Close())
	}
}

// TestCpio reads with cpio, where there is one, what was written.
func TestCpio(t *testing.T) {
	var b bytes.Buffer
	c := newCpio(&b)
	c.file("a/b/one", []byte("1"))
	c.file("a/b/two", []byte("22222"))
	c.file("three", nil)
	mustDo(t, c.close())
	if b.Len()%cpioAlign != 0 || !c.has("a/b/two") || c.has("a/b/three") {
		t.Fatalf("%d bytes, %v", b.Len(), c.names)
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		if os.Getenv("CUNBAN_CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	cmd := exec.Command(busybox, "cpio", "-i", "-d")
	cmd.Dir, cmd.Stdin = dir, &b
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, want := range map[string]string{"a/b/one": "1", "a/b/two": "22222", "three": ""} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
}

func TestKernelFile(t *testing.T) {
	for name, want := range map[string]string{
		"./boot/vmlinuz-6.1.0-56-amd64":                                     "vmlinuz",
		"./lib/modules/6.1.0-56-amd64/modules.builtin":                      "modules.builtin",
		"./lib/modules/6.1.0-56-amd64/modules.order":                        "",
		"./usr/lib/modules/6.12/kernel/fs/ext4/ext4.ko.xz":                  "modules/fs/ext4/ext4.ko.xz",
		"./lib/modules/6.1.0-56-amd64/kernel/drivers/net/dummy.ko":          "",
		"./lib/modules/6.1.0-56-amd64/kernel/fs/../../../../../etc/x.ko":    "",
		"./lib/modules/6.1.0-56-amd64/kernel/drivers/virtio/virtio_ring.ko": "modules/drivers/virtio/virtio_ring.ko",
	} {
		if got := kernelFile(name); got != want {
			t.Errorf("%s is kept as %q, want %q", name, got, want)
		}
	}
	if got := moduleName("/x/crc32c-intel.ko.xz"); got != "crc32c_intel" {
		t.Errorf("a module is called %s", got)
	}
}

// TestPlugAims: every moment is aimed at, and the cut is armed then only.
func TestPlugAims(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(300) {
		b := plugBoot{disk: testDisk(t, 1), rng: rand.New(rand.NewPCG(seed, 1)), cut: true}
		b.aim()
		seen[b.when.name]++
		if armed := b.disk.cutAt > 0; armed != (b.when.name == atPower) || b.after < 1 || b.after > b.when.most {
			t.Fatalf("%d after %s, armed: %t", b.after, b.when.name, armed)
		}
		b.arm(b.when.name)
		if b.disk.cutAt != b.after {
			t.Fatal("not armed")
		}
	}
	if len(seen) != len(plugWhens) {
		t.Errorf("aimed only at %v", seen)
	}
}

// TestPlugListens: what a boot said, and what follows.
func TestPlugListens(t *testing.T) {
	for name, c := range map[string]struct {
		said      string
		told      int
		look      bool // it ends by itself
		cut       bool
		late      bool
		lost, now int
		wrong     string
	}{
		"cut while it works":     {"at opening\nchecked 2\r\ntold case x saved\ntold case y", 2, false, true, false, 0, 1, ""},
		"cut while it opens":     {"at opening\n", 2, false, true, false, 0, 0, ""},
		"looks":                  {"at opening\nchecked 2\nPASS\n", 2, true, false, false, 0, 0, ""},
		"lost":                   {"at opening\nlost case x saved: gone\nchecked 2\n", 2, true, false, false, 1, 0, ""},
		"fails and ends":         {"at opening\nchecked 2\n--- FAIL\n", 2, false, false, false, 0, 0, "ended by itself"},
		"forgets what was told":  {"at opening\nchecked 1\n", 2, false, true, false, 0, 0, "1 of 2 promises"},
		"looks and does not end": {"at opening\n", 2, true, true, true, 0, 0, "nothing came of it"},
		"does not look":          {"at opening\n", 2, true, false, false, 0, 0, "0 of 2 promises"},
	} {
		b := plugBoot{disk: testDisk(t, 1), told: make([]string, c.told), cut: !c.look}
		if c.cut {
			b.disk.cut()
		}
		run := &guestRun{out: bufio.NewReader(strings.NewReader(c.said)), dir: t.TempDir()}
		b.listen(run)
		err := b.judge(run, c.late)
		if len(b.lost) != c.lost || len(b.new) != c.now {
			t.Errorf("%s: lost %q, new %q", name, b.lost, b.new)
		}
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
