// Package keys is where the disk key of the vault comes from: a chain of
// sources tried in the configured order, from a certified device behind a
// helper program to a plain file. It exists so that a county chooses how
// strong the lock is without the vault knowing.
//
// It guarantees: a source that has no key yet (ErrNoKey) is never taken for
// one in trouble (ErrSource), so that a stick left at home never leads to a
// fresh key that opens nothing; a key is created only when every source says
// that it has none; a key is never overwritten; it lives in locked memory
// where the system allows, never prints, and is wiped. What a source gives does
// not encrypt the database itself but the data key (package keyring), so that a
// source can be changed for another.
//
// Standards: TPM 2.0 Library (ISO/IEC 11889) for TPM2; key files and sealed files
// are this project's own forms (see File, TPM2).
package keys

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cunban/kiosk/seal"
)

// Size is the length of a master key, bytes.
const Size = 32

// Errors.
var (
	// ErrNoKey means that the source works and has no key yet.
	ErrNoKey = errors.New("the source has no key yet")
	// ErrSource means that the source is in trouble (absent, damaged, refused)
	// and it cannot be told whether it has a key.
	ErrSource = errors.New("the key source is in trouble")
	// ErrCannotCreate means that the source only gives keys that somebody else
	// put there.
	ErrCannotCreate = errors.New("the source cannot make a key")
	// ErrMisfit means that there are keys and none of them fits the lock.
	ErrMisfit = errors.New("no key of the sources fits")
	// ErrExists means that a key is there already and was left alone.
	ErrExists = errors.New("the source has a key already")
)

// Source is one place of a master key. Implementations are safe for use by
// one goroutine at a time.
type Source interface {
	// Name is the configured word: tpm2, systemd, usb, exec, file.
	Name() string
	// Load returns the Size-byte key; the caller wipes it. Errors: ErrNoKey,
	// ErrSource.
	Load(ctx context.Context) ([]byte, error)
	// Create makes and keeps a fresh key and returns it; the caller wipes it.
	// Errors: ErrExists, ErrCannotCreate, ErrSource.
	Create(ctx context.Context) ([]byte, error)
}

// Strengther is a source that says in plain Chinese what it protects against.
type Strengther interface{ Strength() string }

// Trouble is an ErrSource with a remedy for people.
type Trouble struct {
	Source string // name of the source
	Text   string // plain Chinese: what is wrong and what to do
	Err    error  // technical cause, may be nil
}

// Error is for logs.
func (t *Trouble) Error() string {
	if t.Err == nil {
		return "key source " + t.Source + ": " + t.Text
	}
	return "key source " + t.Source + ": " + t.Text + " (" + t.Err.Error() + ")"
}

// Is makes a Trouble an ErrSource.
func (t *Trouble) Is(target error) bool { return target == ErrSource }

// Unwrap returns the cause.
func (t *Trouble) Unwrap() error { return t.Err }

// Remedy returns what to do in plain Chinese, "" when the error has none.
func Remedy(err error) string {
	var t *Trouble
	if errors.As(err, &t) {
		return t.Text
	}
	return ""
}

// Found is a key and where it came from.
type Found struct {
	Key      *Secret
	Source   string   // name of the source
	Strength string   // plain Chinese, for the technician's page and the log
	Created  bool     // the key was made just now
	Warnings []string // plain Chinese: sources before it that were in trouble
}

// Load tries the sources in order and returns the first key. When none has
// one: an ErrSource if any source was in trouble, ErrNoKey otherwise. The
// sources' own errors are wrapped.
func Load(ctx context.Context, sources []Source) (Found, error) {
	return LoadFitting(ctx, sources, func([]byte) (bool, error) { return true, nil })
}

// LoadFitting is Load for a lock that is there already: it returns the first
// key that fits, so that a source with a key from another time (an old stick, a
// file left behind) does not stand before the right one. An error of fits ends
// the search. Errors: those of Load; ErrMisfit when there were keys and none
// fits.
func LoadFitting(ctx context.Context, sources []Source, fits func(key []byte) (bool, error)) (Found, error) {
	var troubles []error
	var warnings []string
	misfit := false
	for _, s := range sources {
		if err := ctx.Err(); err != nil {
			return Found{}, fmt.Errorf("load the disk key: %w", err)
		}
		f, err := loadOne(ctx, s)
		if err == nil {
			ok, err := fits(f.Key.Bytes())
			if err == nil && ok {
				f.Warnings = warnings
				return f, nil
			}
			f.Key.Wipe()
			if err != nil {
				return Found{}, fmt.Errorf("try the disk key from %s: %w", s.Name(), err)
			}
			misfit = true
			warnings = append(warnings, "来源“"+s.Name()+"”里的密钥打不开本机数据，可能是别的终端的，或是换密钥以前的。")
			continue
		}
		if errors.Is(err, ErrNoKey) {
			continue
		}
		troubles = append(troubles, err)
		warnings = append(warnings, Remedy(err))
	}
	if misfit {
		troubles = append(troubles, ErrMisfit)
	}
	if len(troubles) > 0 {
		return Found{}, fmt.Errorf("load the disk key: %w", errors.Join(troubles...))
	}
	return Found{}, fmt.Errorf("load the disk key from %s: %w", names(sources), ErrNoKey)
}

// loadOne asks one source. Errors: ErrNoKey, ErrSource.
func loadOne(ctx context.Context, s Source) (Found, error) {
	key, err := s.Load(ctx)
	if err == nil {
		return found(s, key, false)
	}
	if !errors.Is(err, ErrNoKey) && !errors.Is(err, ErrSource) {
		err = &Trouble{s.Name(), "密钥来源出错，请找技术员。", err}
	}
	return Found{}, err
}

// LoadOrCreate is for the first start, when there is no vault yet: it loads,
// and only if every source works and has no key, the first that can make one
// does. A source in trouble stops it, so that a forgotten stick never ends in
// a weaker key. Errors: ErrSource, ErrCannotCreate.
func LoadOrCreate(ctx context.Context, sources []Source) (Found, error) {
	f, err := Load(ctx, sources)
	if !errors.Is(err, ErrNoKey) || errors.Is(err, ErrSource) {
		return f, err
	}
	for _, s := range sources {
		key, err := s.Create(ctx)
		switch {
		case err == nil:
			return found(s, key, true)
		case errors.Is(err, ErrCannotCreate):
			continue
		default:
			return Found{}, fmt.Errorf("make a disk key: %w", err)
		}
	}
	return Found{}, fmt.Errorf("make a disk key in %s: %w", names(sources), ErrCannotCreate)
}

// found moves a key into locked memory.
func found(s Source, key []byte, created bool) (Found, error) {
	defer clear(key)
	if len(key) != Size {
		return Found{}, fmt.Errorf("load the disk key: %w", &Trouble{s.Name(), "密钥长度不对，请找技术员。",
			fmt.Errorf("%w: %d bytes instead of %d", seal.ErrKey, len(key), Size)})
	}
	secret, err := NewSecret(key)
	if err != nil {
		return Found{}, fmt.Errorf("keep the disk key in memory: %w", err)
	}
	strength := "密钥来自“" + s.Name() + "”。"
	if d, ok := s.(Strengther); ok {
		strength = d.Strength()
	}
	return Found{Key: secret, Source: s.Name(), Strength: strength, Created: created}, nil
}

func names(sources []Source) string {
	n := make([]string, len(sources))
	for i, s := range sources {
		n[i] = s.Name()
	}
	if len(n) == 0 {
		return "no source"
	}
	return strings.Join(n, ", ")
}
