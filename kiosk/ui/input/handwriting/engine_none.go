//go:build !cgo || !linux

package handwriting

// Engine cannot exist in this build; see Open.
type Engine struct{}

// Open returns ErrUnavailable: the program was built without cgo.
func Open(string) (*Engine, error) { return nil, ErrUnavailable }

// Close does nothing.
func (*Engine) Close() {}

// Recognize returns nothing.
func (*Engine) Recognize([][]Point, int, int, int) []string { return nil }
