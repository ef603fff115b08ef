//go:build cgo && linux

package handwriting

/*
#cgo LDFLAGS: -lzinnia -lstdc++
#include <stdlib.h>
#include <zinnia.h>
*/
import "C"

import (
	"fmt"
	"sync"
	"unicode/utf8"
	"unsafe"
)

// Engine is a loaded model (about 32 MB, mapped read-only from its file).
type Engine struct {
	mu sync.Mutex
	r  *C.zinnia_recognizer_t // nil once closed
}

// Open loads a model; "" takes the first of Models. It takes some
// milliseconds. Error: ErrUnavailable.
func Open(model string) (*Engine, error) {
	path, err := findModel(model)
	if err != nil {
		return nil, err
	}
	r := C.zinnia_recognizer_new()
	if r == nil {
		return nil, fmt.Errorf("%w: out of memory", ErrUnavailable)
	}
	c := C.CString(path)
	defer C.free(unsafe.Pointer(c))
	if C.zinnia_recognizer_open(r, c) == 0 {
		why := C.GoString(C.zinnia_recognizer_strerror(r))
		C.zinnia_recognizer_destroy(r)
		return nil, fmt.Errorf("%w: %s: %s", ErrUnavailable, path, why)
	}
	return &Engine{r: r}, nil
}

// Close frees the model. Safe to call twice; Recognize gives nothing after it.
func (e *Engine) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.r != nil {
		C.zinnia_recognizer_close(e.r)
		C.zinnia_recognizer_destroy(e.r)
		e.r = nil
	}
}

// Recognize returns up to n characters, best first, for the strokes written
// on a pad of w × h pixels, in the order they were written. No strokes, a pad
// without size or a closed engine give none.
func (e *Engine) Recognize(strokes [][]Point, w, h, n int) []string {
	n = min(n, MaxResults)
	if w <= 1 || h <= 1 || w > 1<<15 || h > 1<<15 || n <= 0 {
		return nil
	}
	lines := tidy(strokes, w, h)
	if len(lines) == 0 {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.r == nil {
		return nil
	}
	ch := C.zinnia_character_new()
	if ch == nil {
		return nil
	}
	defer C.zinnia_character_destroy(ch)
	C.zinnia_character_clear(ch)
	C.zinnia_character_set_width(ch, C.size_t(w))
	C.zinnia_character_set_height(ch, C.size_t(h))
	for i, line := range lines {
		for _, p := range line {
			C.zinnia_character_add(ch, C.size_t(i), C.int(p.X), C.int(p.Y))
		}
	}
	res := C.zinnia_recognizer_classify(e.r, ch, C.size_t(n))
	if res == nil {
		return nil
	}
	defer C.zinnia_result_destroy(res)
	var out []string
	for i := range int(C.zinnia_result_size(res)) {
		if s := C.GoString(C.zinnia_result_value(res, C.size_t(i))); s != "" && utf8.ValidString(s) {
			out = append(out, s)
		}
	}
	return out
}
