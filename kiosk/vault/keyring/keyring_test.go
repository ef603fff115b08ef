package keyring

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cunban/kiosk/vault/cryptfile"
	"cunban/kiosk/vault/keys"
)

func secret(t testing.TB, b byte) *keys.Secret {
	t.Helper()
	s, err := keys.NewSecret(bytes.Repeat([]byte{b}, keys.Size))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Wipe)
	return s
}

var (
	sourceKey = bytes.Repeat([]byte{1}, keys.Size)
	otherKey  = bytes.Repeat([]byte{2}, keys.Size)
	made      = time.Unix(1_780_000_000, 0)
)

func store(t *testing.T) Store {
	return Store{FS: cryptfile.OS{}, Dir: t.TempDir(), Rand: rand.Reader}
}

func (s Store) must(t *testing.T, key []byte, serial uint64, data ...byte) {
	t.Helper()
	r, whole, err := s.Open(key)
	if err != nil || !whole {
		t.Fatalf("whole %t, %v", whole, err)
	}
	defer r.Wipe()
	if r.Serial != serial || len(r.Keys) != len(data) || !r.Made.Equal(made) {
		t.Fatalf("%+v", r)
	}
	for i, b := range data {
		if !bytes.Equal(r.Keys[i].Bytes(), bytes.Repeat([]byte{b}, keys.Size)) {
			t.Fatalf("key %d is another one", i)
		}
	}
}

func TestWriteAndOpen(t *testing.T) {
	s := store(t)
	if _, _, err := s.Open(sourceKey); !errors.Is(err, ErrNone) {
		t.Fatal(err)
	}
	r := &Ring{Serial: 1, Made: made, Keys: []*keys.Secret{secret(t, 9)}}
	for range 2 { // made, and written over
		if err := s.Write(sourceKey, r); err != nil {
			t.Fatal(err)
		}
		s.must(t, sourceKey, r.Serial, 9)
		r.Serial++
	}
	if _, _, err := s.Open(otherKey); !errors.Is(err, ErrWrongKey) {
		t.Fatal(err)
	}
	r.Keys = append(r.Keys, secret(t, 8))
	if err := s.Write(sourceKey, r); err != nil {
		t.Fatal(err)
	}
	s.must(t, sourceKey, 3, 9, 8)
	for _, bad := range []*Ring{{}, {Keys: []*keys.Secret{secret(t, 1), secret(t, 2), secret(t, 3)}}} {
		if err := s.Write(sourceKey, bad); !errors.Is(err, ErrForm) {
			t.Errorf("%d keys: %v", len(bad.Keys), err)
		}
	}
	s.must(t, sourceKey, 3, 9, 8)
}

// TestOverwrittenInPlace: what a copy held is written over where it lay, and the
// new content shows nothing of it.
func TestOverwrittenInPlace(t *testing.T) {
	s := store(t)
	r := &Ring{Serial: 1, Made: made, Keys: []*keys.Secret{secret(t, 9)}}
	if err := s.Write(sourceKey, r); err != nil {
		t.Fatal(err)
	}
	for _, name := range Names {
		path := filepath.Join(s.Dir, name)
		open, err := os.Open(path) // would keep the old content after a rename
		if err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r.Serial++
		if err := s.Write(otherKey, r); err != nil {
			t.Fatal(err)
		}
		after := make([]byte, Size)
		if _, err := open.ReadAt(after, 0); err != nil {
			t.Fatal(err)
		}
		if err := open.Close(); err != nil {
			t.Fatal(err)
		}
		for i := 0; i+16 <= Size; i += 16 {
			if bytes.Equal(before[i:i+16], after[i:i+16]) {
				t.Fatalf("%s: bytes from %d are as they were", name, i)
			}
		}
	}
}

// TestHeal: of two copies that differ the newer counts, and a copy that is lost,
// short, damaged or another key's is made good.
func TestHeal(t *testing.T) {
	for name, harm := range map[string]func(s Store, i int, newer *Ring) error{
		"lost":      func(s Store, i int, _ *Ring) error { return os.Remove(s.path(i)) },
		"short":     func(s Store, i int, _ *Ring) error { return os.Truncate(s.path(i), 100) },
		"damaged":   func(s Store, i int, _ *Ring) error { return os.WriteFile(s.path(i), make([]byte, Size), 0o600) },
		"another's": func(s Store, i int, newer *Ring) error { return s.WriteCopy(i, otherKey, newer) },
		"newer":     func(s Store, i int, newer *Ring) error { return s.WriteCopy(i, sourceKey, newer) },
	} {
		for i := range Names {
			s := store(t)
			r := &Ring{Serial: 1, Made: made, Legacy: true, Keys: []*keys.Secret{secret(t, 9)}}
			if err := s.Write(sourceKey, r); err != nil {
				t.Fatal(err)
			}
			newer := *r
			newer.Serial++
			if err := harm(s, i, &newer); err != nil {
				t.Fatal(err)
			}
			left := filepath.Join(s.Dir, Names[i]+cryptfile.TempSuffix)
			if err := os.WriteFile(left, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			got, whole, err := s.Open(sourceKey)
			if err != nil || whole || !got.Legacy {
				t.Fatalf("%s %d: whole %t, %v", name, i, whole, err)
			}
			if err := s.Heal(sourceKey, got); err != nil {
				t.Fatal(err)
			}
			want := uint64(1)
			if name == "newer" {
				want = 2
			}
			s.must(t, sourceKey, want, 9)
			if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is left", left)
			}
			got.Wipe()
		}
	}
}

func FuzzParse(f *testing.F) {
	r := &Ring{Serial: 1, Made: made, Keys: []*keys.Secret{secret(f, 9)}}
	// The same in every process that fuzzes.
	whole, err := format(bytes.NewReader(make([]byte, Size)), sourceKey, r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parse(b, sourceKey)
		if err == nil {
			got.Wipe()
			if !bytes.Equal(b, whole) {
				t.Fatal("a ring that nobody wrote")
			}
		} else if !errors.Is(err, ErrWrongKey) {
			t.Fatal(err)
		}
	})
}

// FuzzUnmarshal feeds what is inside the seal: another program may have written
// it. A ring has one form.
func FuzzUnmarshal(f *testing.F) {
	for _, n := range []int{1, 2} {
		r := &Ring{Serial: 7, Made: made, Legacy: n == 1}
		for i := range n {
			r.Keys = append(r.Keys, secret(f, byte(i)))
		}
		p, err := marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p)
		f.Add(p[:headSize])
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		r, err := unmarshal(p)
		if err != nil {
			if !errors.Is(err, ErrForm) {
				t.Fatal(err)
			}
			return
		}
		defer r.Wipe()
		again, err := marshal(r)
		if err != nil || !bytes.Equal(again, p) {
			t.Fatalf("another form, %v", err)
		}
	})
}
