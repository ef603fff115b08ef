package app

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"unsafe"
)

// mark is as long as a name of three characters. It is put together when it is
// needed, so that it is nowhere but where it is looked for.
func mark(i int) string { return fmt.Sprintf("m%08d", i) }

const mark0 = "00000000"

// memory reads the test's own memory.
func memory(t *testing.T) func(at uintptr) string {
	t.Helper()
	f, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return func(at uintptr) string {
		b := make([]byte, len(mark(0)))
		if _, err := f.ReadAt(b, int64(at)); err != nil {
			return ""
		}
		return string(b)
	}
}

//go:noinline
func note(i int) uintptr {
	var b [16]byte // filled without fmt, which would need a longer stack
	b[0] = 'm'
	for k := len(mark0); k > 0; k-- {
		b[k] = byte('0' + i%10)
		i /= 10
	}
	keep(b[:])
	return uintptr(unsafe.Pointer(&b))
}

//go:noinline
func deep(i int) uintptr {
	var b [2200]byte
	keep(b[:])
	return note(i)
}

//go:noinline
func shallow(i int) uintptr {
	var b [500]byte
	keep(b[:])
	return note(i)
}

// So many goroutines put a mark on their stack; one in staysOne stays and keeps
// the span of its stack in use.
const marked, staysOne = 300, 5

// onStacks puts marks on stacks of two sizes and returns where they are when the
// goroutines have ended that do not stay till end is closed; 0 for these.
func onStacks(end <-chan struct{}, stay *sync.WaitGroup) (places []uintptr) {
	var ran, ended sync.WaitGroup
	places = make([]uintptr, marked)
	leave := make(chan struct{})
	for i := range marked {
		ran.Add(1)
		work, wait, group := shallow, (<-chan struct{})(leave), &ended
		if i%2 == 0 {
			work = deep
		}
		stays := i%staysOne == 0
		if stays {
			wait, group = end, stay
		}
		group.Go(func() {
			at := work(i)
			if !stays {
				places[i] = at
			}
			ran.Done()
			<-wait
		})
	}
	ran.Wait()
	close(leave)
	ended.Wait()
	return places
}

func TestWipeStacks(t *testing.T) {
	if raceBuild {
		t.Skip("the race detector makes frames longer than the stacks that are wiped")
	}
	read := memory(t)
	end := make(chan struct{})
	var stay sync.WaitGroup
	defer func() { close(end); stay.Wait() }()
	left := func(wipe func()) (n int) {
		places := onStacks(end, &stay)
		runtime.GC()
		wipe()
		debug.FreeOSMemory() // as forget does
		for i, at := range places {
			if at != 0 && read(at) == mark(i) {
				n++
			}
		}
		return n
	}
	control := left(func() {})
	if control < marked/10 {
		t.Fatalf("the control left %d of %d marks: does Go clean stacks? then wipeStacks may go", control, marked)
	}
	// Those who stay, and Go's own goroutines, may have come by one of the stacks.
	if n := left(wipeStacks); n > control/20 {
		t.Errorf("%d of %d marks are left on stacks, %d without wiping", n, marked, control)
	}
}

func TestWipeStack(t *testing.T) {
	read := memory(t)
	wipeStack() // the stack is long enough now and stays where it is
	at := deep(7)
	if read(at) != mark(7) {
		t.Fatal("the control left nothing on the stack")
	}
	wipeStack()
	if read(at) == mark(7) {
		t.Error("a mark is left on the stack")
	}
}

// envApart makes the test binary a program that makes names and small things
// that stay: "apart" keeps them apart, "plain" does not.
const envApart = "CUNBAN_APART"

// TestApart begins itself with freed memory overwritten, as the terminal is.
func TestApart(t *testing.T) {
	if mode := os.Getenv(envApart); mode != "" {
		t.Log("left:", besideWhatStays(t, mode == "apart"))
		return
	}
	if raceBuild {
		t.Skip("the race detector keeps small values apart by itself")
	}
	for mode, want := range map[string]string{"apart": "left: false", "plain": "left: true"} {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestApart$", "-test.v")
		cmd.Env = append(os.Environ(), envApart+"="+mode, "GODEBUG=clobberfree=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v\n%s\nwant %q", mode, err, out, want)
		}
	}
}

// besideWhatStays makes names that nobody keeps, each with something small before
// and after it that is kept, and reports whether a name can still be read.
func besideWhatStays(t *testing.T, keepApart bool) bool {
	read := memory(t)
	const n = 100
	stays, places := make([]*uint32, n), make([]uintptr, n)
	for i := range n {
		if keepApart {
			apart()
		}
		places[i] = uintptr(unsafe.Pointer(unsafe.StringData(mark(i))))
		if keepApart {
			apart()
		}
		stays[i] = newSmall()
	}
	runtime.GC()
	runtime.GC()
	defer runtime.KeepAlive(stays)
	for i, at := range places {
		if read(at) == mark(i) {
			return true
		}
	}
	return false
}

//go:noinline
func newSmall() *uint32 { return new(uint32) }
