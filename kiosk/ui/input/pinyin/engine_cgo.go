//go:build cgo && linux

package pinyin

/*
#cgo LDFLAGS: -lrime
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"unsafe"
)

// Engine is the process's one connection to librime.
type Engine struct {
	mu      sync.Mutex
	session C.uintptr_t
	open    bool
	phrases map[string][]string // read-only after Open
}

// inUse guards librime's global state.
var inUse = make(chan struct{}, 1)

// Open starts the engine with data from the standard places and returns when
// it is ready. The first start in a new user folder takes up to a second (the
// schema is deployed), later ones some milliseconds; call it off the UI
// goroutine. Errors: ErrUnavailable, ErrInUse.
func Open(userDir string) (*Engine, error) { return OpenWith(Options{UserDir: userDir}) }

// OpenWith is Open with all options.
func OpenWith(o Options) (*Engine, error) {
	shared, err := findShared(o)
	if err != nil {
		return nil, err
	}
	user, err := filepath.Abs(o.UserDir)
	if err != nil {
		return nil, fmt.Errorf("pinyin: user folder: %w", err)
	}
	if o.UserDir == "" {
		user = ""
	}
	select {
	case inUse <- struct{}{}:
	default:
		return nil, ErrInUse
	}
	if err := prepare(user); err != nil {
		<-inUse
		return nil, err
	}
	cShared, cUser, cSchema := C.CString(shared), C.CString(user), C.CString(Schema)
	defer C.free(unsafe.Pointer(cShared))
	defer C.free(unsafe.Pointer(cUser))
	defer C.free(unsafe.Pointer(cSchema))
	e := &Engine{open: true, phrases: o.Phrases}
	if e.phrases == nil {
		e.phrases = LocalPhrases
	}
	if rc := C.cunban_rime_start(cShared, cUser, cSchema, &e.session); rc != 0 {
		<-inUse
		if rc == C.CUNBAN_RIME_REMEMBERS {
			return nil, ErrRemembers
		}
		return nil, fmt.Errorf("%w: start step %d failed (data in %s)", ErrUnavailable, -int(rc), shared)
	}
	return e, nil
}

// Close ends the engine. It may be opened again. Safe to call twice.
func (e *Engine) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.open {
		return
	}
	e.open = false
	C.cunban_rime_stop(e.session)
	<-inUse
}

// Candidates returns page (0…) of the candidates for a pinyin text, PageSize
// to a page, best first, and whether a further page exists. Text that is no
// pinyin, or an engine that is closed, gives no candidates.
func (e *Engine) Candidates(pinyin string, page int) (cands []string, more bool) {
	list, more, err := e.List(pinyin, page*PageSize, PageSize)
	if err != nil {
		return nil, false
	}
	for _, c := range list {
		cands = append(cands, c.Text)
	}
	return cands, more
}

// List returns up to n candidates from place first on, and whether more
// follow; for a pad that fills a row by width. Errors: ErrInput, ErrClosed.
func (e *Engine) List(pinyin string, first, n int) (list []Candidate, more bool, err error) {
	input, err := clean(pinyin)
	if err != nil {
		return nil, false, err
	}
	if input == "" || n <= 0 || first < 0 || first > 1<<20 {
		return nil, false, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.open {
		return nil, false, ErrClosed
	}
	if !e.compose(input) {
		return nil, false, ErrInput
	}
	// The county's own words stand before librime's; asked for exactly n, so
	// that "more" stays true to what follows.
	own := e.own(input)
	for i := first; i < len(own) && len(list) < n; i++ {
		list = append(list, Candidate{Text: own[i], Index: i})
	}
	n -= len(list)
	first = max(0, first-len(own))
	var count, follow C.int
	buf := C.cunban_rime_candidates(e.session, C.int(first), C.int(n), &count, &follow)
	if buf == nil {
		return list, follow != 0, nil
	}
	defer C.free(unsafe.Pointer(buf))
	p := buf
	for i := range int(count) {
		text := C.GoString(p)
		list = append(list, Candidate{Text: text, Index: len(own) + first + i})
		p = (*C.char)(unsafe.Add(unsafe.Pointer(p), len(text)+1))
	}
	return list, follow != 0, nil
}

// Rest tells what is left to convert after candidate index (its place in the
// whole list) of a pinyin text was chosen: "" when it covered everything,
// otherwise the letters at the end ("guo" after 中 of "zhongguo"). Nothing is
// learned from the choice. Errors: ErrInput (no such candidate), ErrClosed.
func (e *Engine) Rest(pinyin string, index int) (string, error) {
	input, err := clean(pinyin)
	if err != nil {
		return "", err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.open {
		return "", ErrClosed
	}
	if input == "" || index < 0 || !e.compose(input) {
		return "", ErrInput
	}
	own := len(e.own(input))
	if index < own {
		return "", nil
	}
	index -= own
	var left C.int
	switch C.cunban_rime_choose(e.session, C.int(index), &left) {
	case 2:
		return "", nil
	case 1:
		return tail(input, int(left)), nil
	default:
		return "", ErrInput
	}
}

// Clear drops what was typed from librime's memory. Part of wiping a session.
func (e *Engine) Clear() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open {
		C.cunban_rime_clear(e.session)
	}
}

// own returns the phrases for an input.
func (e *Engine) own(input string) []string {
	return e.phrases[strings.ReplaceAll(input, "'", "")]
}

// compose makes the composition equal to input; the caller holds mu.
func (e *Engine) compose(input string) bool {
	c := C.CString(input)
	defer C.free(unsafe.Pointer(c))
	return C.cunban_rime_input(e.session, c) == 1
}
