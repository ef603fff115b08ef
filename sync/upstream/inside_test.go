package upstream

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"testing"
	"time"

	"cunban/sync/wire"
)

// noRegister knows nobody.
type noRegister struct{}

func (noRegister) Verify(context.Context, wire.VerifyClaimIn) (wire.VerifyClaimOut, error) {
	return wire.VerifyClaimOut{Result: wire.VerifyUnknown}, nil
}
func (noRegister) Records(context.Context, wire.RecordsIn) (wire.RecordsOut, error) {
	return wire.RecordsOut{}, ErrRegister
}
func (noRegister) Prefill(context.Context, wire.PrefillIn) (wire.PrefillOut, error) {
	return wire.PrefillOut{}, ErrRegister
}
func (noRegister) AsOf() time.Time { return time.Now() }

func testCounty(t testing.TB, dir string) *County {
	t.Helper()
	store, err := OpenSQLite(t.Context(), filepath.Join(dir, StoreFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	keys, err := OpenKeys(dir, rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Options{Dir: dir, Store: store, Keys: keys, Register: noRegister{}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
