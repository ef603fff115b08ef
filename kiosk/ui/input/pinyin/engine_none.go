//go:build !cgo || !linux

package pinyin

// Engine cannot exist in this build; see Open.
type Engine struct{}

// Open returns ErrUnavailable: the program was built without cgo.
func Open(string) (*Engine, error) { return nil, ErrUnavailable }

// OpenWith returns ErrUnavailable: the program was built without cgo.
func OpenWith(Options) (*Engine, error) { return nil, ErrUnavailable }

// Close does nothing.
func (*Engine) Close() {}

// Candidates returns none.
func (*Engine) Candidates(string, int) ([]string, bool) { return nil, false }

// List returns ErrClosed.
func (*Engine) List(string, int, int) ([]Candidate, bool, error) { return nil, false, ErrClosed }

// Rest returns ErrClosed.
func (*Engine) Rest(string, int) (string, error) { return "", ErrClosed }

// Clear does nothing.
func (*Engine) Clear() {}
