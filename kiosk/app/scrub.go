package app

import (
	"runtime"
	"sync"
)

// Freed memory is overwritten (keys.WipeFreed), with two exceptions that a core
// after a visit showed. Go lays values of less than 16 bytes together into one
// block (a name of three characters has nine), and the whole block stays as long
// as one of them is needed: a clerk's name stood beside her number, a resident's beside a
// colour. And a stack is
// never cleaned: what a function that has returned held stays readable, also in
// stacks that no goroutine has any more. Neither can be switched off in Go, so
// both are made rare here: apart keeps what is made from now on out of the block
// in use, and wipeStacks overwrites stacks.

// tinyBlock is the size of the blocks that Go lays small values together in.
const tinyBlock = 16

// apart fills the block of small values that is in use, so that what is made
// after a visit does not keep what is left of it in memory.
func apart() {
	for range tinyBlock {
		newByte()
	}
}

//go:noinline
func newByte() *byte { return new(byte) } // returned, so that it is not on the stack

// A stackSize is a size in which Go keeps stacks together in spans of 32 KiB:
// one stack in use keeps the others of its span, and what was on them, from being
// given back. (Longer stacks are spans of their own and go back to the system.)
type stackSize struct {
	others int // stacks in a span besides one in use
	wipe   func()
}

// stackSizes are 2, 4, 8 and 16 KiB. What is overwritten of each is what functions
// can use: Go keeps 800 bytes free at the end.
var stackSizes = []stackSize{{15, wipe2K}, {7, wipe4K}, {3, wipe8K}, {1, wipe16K}}

// storedStacks is how many goroutines that have ended a processor keeps with
// their stacks.
const storedStacks = 64

// mostStacks bounds how many stacks in use are counted with, and so the memory
// that wipeStacks takes for a moment: 100 KiB for each.
const mostStacks = 128

// wipeStacks overwrites stacks that no goroutine has. It takes as many of each
// size as can be free, all at once, which is why it begins with the short ones:
// each longer stack begins as a short one. For these milliseconds Go runs on one
// processor, since each has a store of its own. A collection just before frees the
// stacks of goroutines that have ended; one after it gives these back.
func wipeStacks() {
	procs := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(procs)
	used := min(runtime.NumGoroutine(), mostStacks)
	for _, s := range stackSizes {
		take(used*s.others+storedStacks, s.wipe)
	}
}

// take runs f in n goroutines of which none ends before all have run it.
func take(n int, f func()) {
	var ran, ended sync.WaitGroup
	end := make(chan struct{})
	ran.Add(n)
	for range n {
		ended.Go(func() {
			f()
			ran.Done()
			<-end
		})
	}
	ran.Wait()
	close(end)
	ended.Wait()
}

//go:noinline
func wipe2K() {
	var b [896]byte
	keep(b[:])
}

//go:noinline
func wipe4K() {
	var b [2944]byte
	keep(b[:])
}

//go:noinline
func wipe8K() {
	var b [7040]byte
	keep(b[:])
}

//go:noinline
func wipe16K() {
	var b [15232]byte
	keep(b[:])
}

// wipeStack overwrites what functions that have returned left on the stack of the
// goroutine that calls it.
//
//go:noinline
func wipeStack() {
	var b [64 << 10]byte
	keep(b[:])
}

// keep has the compiler believe that the bytes are read.
//
//go:noinline
func keep(b []byte) { runtime.KeepAlive(b) }
