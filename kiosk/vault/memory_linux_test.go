package vault

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"cunban/kiosk/vault/keys"
)

// envMemoryDir makes the test binary a program that opens a vault and looks
// through its own memory; envMemoryCareless makes it keep a copy of the keys, a
// control that must be seen; envMemoryLimit sets RLIMIT_MEMLOCK first.
const (
	envMemoryDir      = "CUNBAN_MEMORY_DIR"
	envMemoryCareless = "CUNBAN_MEMORY_CARELESS"
	envMemoryLimit    = "CUNBAN_MEMORY_LIMIT"
)

// mask hides what is looked for from the search.
const mask = 0xA5

// TestKeysInMemory opens and closes a vault in a process of its own: while it is
// open, both keys' pages are locked; what the process's writable memory holds of
// the keys outside these pages, and after the close anywhere, is counted.
func TestKeysInMemory(t *testing.T) {
	if dir := os.Getenv(envMemoryDir); dir != "" {
		lookAtOwnMemory(t, dir)
		return
	}
	dir := filepath.Join(t.TempDir(), "vault")
	run := func(env ...string) string {
		t.Helper()
		cmd := exec.Command(os.Args[0], "-test.run=^TestKeysInMemory$", "-test.v")
		cmd.Env = append(append(os.Environ(), envMemoryDir+"="+dir), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	for range 2 { // the first start, and one that finds a vault
		out := run()
		for _, want := range []string{"locked=true", "data key open=0 closed=0", "source key open=0 closed=0"} {
			if !strings.Contains(out, want) && !(raceBuild && strings.HasPrefix(want, "source")) {
				t.Errorf("not %q in\n%s", want, out)
			}
		}
	}
	if out := run(envMemoryCareless + "=1"); strings.Contains(out, "data key open=0") || strings.Contains(out, "closed=0") {
		t.Errorf("a careless program was not seen:\n%s", out)
	}
	if out := run(envMemoryLimit + "=0"); !strings.Contains(out, "locked=false") || !strings.Contains(out, "memlock") {
		t.Errorf("a refused lock is not told:\n%s", out)
	}
}

func lookAtOwnMemory(t *testing.T, dir string) {
	if s := os.Getenv(envMemoryLimit); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		must(t, err)
		must(t, unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: n, Max: n}))
		giveUpLocking(t)
	}
	ctx := context.Background()
	before := vmLocked(t)
	// open keeps the source's key, so that there is something to compare with.
	o := Options{Dir: dir, Keys: []keys.Source{keys.File{Path: filepath.Join(filepath.Dir(dir), "disk.key"), Rand: rand.Reader}}, Version: "test"}
	v, err := open(ctx, o)
	must(t, err)
	data, source := masked(v.mount.Key), masked(v.kek.Bytes())
	v.kek.Wipe()
	var careless [][]byte
	if os.Getenv(envMemoryCareless) != "" {
		careless = [][]byte{unmasked(data), unmasked(source)}
	}
	state, err := v.KeyState()
	must(t, err)
	fmt.Printf("locked=%t, VmLck grew: %t, warnings %q\n", state.Locked, vmLocked(t) > before, state.Warnings)
	if state.Locked && vmLocked(t) <= before {
		t.Errorf("VmLck is %d kB, before the open %d", vmLocked(t), before)
	}
	// The ring's own page is where the data key may be.
	openData, openSource := occurrences(t, data)-1, occurrences(t, source)
	must(t, v.Close(ctx))
	fmt.Printf("data key open=%d closed=%d\n", openData, occurrences(t, data))
	fmt.Printf("source key open=%d closed=%d\n", openSource, occurrences(t, source))
	runtime.KeepAlive(careless)
	if n := vmLocked(t); n > before {
		t.Errorf("%d kB stay locked after the close, %d before", n, before)
	}
}

// giveUpLocking takes from this test's thread the right to lock memory beyond
// the limit, which root has.
func giveUpLocking(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // until the process ends
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var c [2]unix.CapUserData
	must(t, unix.Capget(&h, &c[0]))
	c[0].Effective &^= 1 << unix.CAP_IPC_LOCK
	must(t, unix.Capset(&h, &c[0]))
}

func masked(b []byte) []byte {
	out := make([]byte, len(b))
	for i := range b {
		out[i] = b[i] ^ mask
	}
	return out
}

func unmasked(b []byte) []byte { return masked(b) }

// vmLocked is the process's locked memory, kB.
func vmLocked(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	must(t, err)
	for l := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(l, "VmLck:"); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			must(t, err)
			return n
		}
	}
	t.Fatal("no VmLck")
	return 0
}

// occurrences counts a key in the process's writable memory. The memory is read
// into a page of its own, which is left out of the search.
func occurrences(t *testing.T, want []byte) (n int) {
	t.Helper()
	const chunk = 1 << 20
	buf, err := unix.Mmap(-1, 0, chunk, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	must(t, err)
	defer func() { must(t, unix.Munmap(buf)) }()
	maps, err := os.ReadFile("/proc/self/maps")
	must(t, err)
	mem, err := os.Open("/proc/self/mem")
	must(t, err)
	defer func() { _ = mem.Close() }() // only read from
	own := fmt.Sprintf("%p", &buf[0])
	for sc := bufio.NewScanner(bytes.NewReader(maps)); sc.Scan(); {
		f := strings.Fields(sc.Text())
		if !strings.HasPrefix(f[1], "rw") || len(f) > 5 && (f[5] == "[vvar]" || f[5] == "[vsyscall]") {
			continue
		}
		from, to, _ := strings.Cut(f[0], "-")
		lo, err1 := strconv.ParseUint(from, 16, 63)
		hi, err2 := strconv.ParseUint(to, 16, 63)
		if err1 != nil || err2 != nil {
			t.Fatalf("map %q", sc.Text())
		}
		self, err := strconv.ParseUint(strings.TrimPrefix(own, "0x"), 16, 63)
		must(t, err)
		for at := lo; at < hi; {
			if at >= self && at < self+chunk {
				at = self + chunk
				continue
			}
			end := min(at+chunk, hi)
			if at < self && end > self {
				end = self
			}
			got, err := mem.ReadAt(buf[:end-at], int64(at))
			if err != nil && err != io.EOF && got == 0 {
				at = end // not mapped any more
				continue
			}
			n += count(buf[:got], want)
			clear(buf)
			at = end
		}
	}
	return n
}

// count is how often a masked key is in clear in b.
func count(b, want []byte) (n int) {
	first := want[0] ^ mask
	for off := 0; ; {
		i := bytes.IndexByte(b[off:], first)
		if i < 0 || off+i+len(want) > len(b) {
			return n
		}
		off += i
		same := true
		for k := range want {
			if b[off+k]^mask != want[k] {
				same = false
				break
			}
		}
		if same {
			n++
		}
		off++
	}
}
