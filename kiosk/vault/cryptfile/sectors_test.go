package cryptfile_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"cunban/kiosk/vault/cryptfile"
)

// TestSealedIsAFile compares any sequence of operations with a byte slice.
func TestSealedIsAFile(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		key := []byte("a secret")
		name := filepath.Join(dir, "f")
		_ = cryptfile.OS{}.Remove(name)
		if err := cryptfile.Init(cryptfile.OS{}, name, key, rand.Reader); err != nil {
			t.Fatal(err)
		}
		f, err := cryptfile.Open(cryptfile.OS{}, name, key)
		if err != nil {
			t.Fatal(err)
		}
		var want []byte
		const limit = 6 * cryptfile.SectorSize
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				off := rapid.IntRange(0, limit).Draw(t, "off")
				p := bytes.Repeat([]byte{rapid.Byte().Draw(t, "b")}, rapid.IntRange(1, 3*cryptfile.SectorSize).Draw(t, "n"))
				if _, err := f.WriteAt(p, int64(off)); err != nil {
					t.Fatal(err)
				}
				if end := off + len(p); end > len(want) {
					want = append(want, make([]byte, end-len(want))...)
				}
				copy(want[off:], p)
			},
			"truncate": func(t *rapid.T) {
				n := rapid.IntRange(0, len(want)).Draw(t, "n")
				if err := f.Truncate(int64(n)); err != nil {
					t.Fatal(err)
				}
				want = want[:n]
			},
			"sync": func(t *rapid.T) {
				if err := f.Sync(); err != nil {
					t.Fatal(err)
				}
			},
			"reopen": func(t *rapid.T) {
				if err := errors.Join(f.Sync(), f.Close()); err != nil {
					t.Fatal(err)
				}
				if f, err = cryptfile.Open(cryptfile.OS{}, name, key); err != nil {
					t.Fatal(err)
				}
				for len(want)%cryptfile.SectorSize != 0 {
					want = append(want, 0)
				}
			},
			"": func(t *rapid.T) {
				if n, err := f.Size(); err != nil || n != int64(len(want)) {
					t.Fatalf("size %d, %v; want %d", n, err, len(want))
				}
				got := make([]byte, len(want)+1)
				n, err := f.ReadAt(got, 0)
				if err != io.EOF || n != len(want) || !bytes.Equal(got[:n], want) {
					t.Fatalf("read %d of %d bytes, %v", n, len(want), err)
				}
				if len(want) > 20 {
					off := rapid.IntRange(0, len(want)-10).Draw(t, "at")
					var b [10]byte
					if _, err := f.ReadAt(b[:], int64(off)); err != nil || !bytes.Equal(b[:], want[off:off+10]) {
						t.Fatalf("read at %d: %v", off, err)
					}
				}
			},
		})
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
