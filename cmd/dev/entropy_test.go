package main

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Random bytes must pass, and whatever is not random must not.
func TestLooksRandom(t *testing.T) {
	noise := make([]byte, 1<<20)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	with := func(at int, b []byte) []byte {
		out := bytes.Clone(noise)
		copy(out[at:], b)
		return out
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"noise":         {noise, ""},
		"short noise":   {noise[:700], ""},
		"zero block":    {with(8192, make([]byte, 4096)), "χ²"},
		"text":          {[]byte(strings.Repeat("张桂兰 140830195603120024\n", 400)), "χ²"},
		"one sentence":  {with(5000, []byte("SELECT name, number FROM residents")), "readable"},
		"short text":    {[]byte("cunban-disk-key-1 00000000000"), "readable"},
		"counter":       {counter(1 << 16), "χ² 0"},
		"blocks again":  {append(bytes.Clone(noise[:8192]), noise[:8192]...), "packs"},
		"sqlite's head": {with(0, append([]byte("SQLite format 3\x00"), make([]byte, 200)...)), "χ²"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "f"), c.data, 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := looksRandom(dir)
			if err != nil || r.Files != 1 {
				t.Fatal(r, err)
			}
			said := strings.Join(r.Bad, "\n")
			if (c.want == "") != (said == "") || !strings.Contains(said, c.want) {
				t.Errorf("found %q, want %q", said, c.want)
			}
		})
	}
}

func counter(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}
