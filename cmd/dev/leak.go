package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// What the made-up residents of the visits are known by, and what a plain
// database begins with: none of it may stand in any file that a run leaves on
// the terminal's disk. The county's own data is not searched: it is for reading.
var secrets = []string{
	"张桂兰", "李建军", "140830195603120024", "140830198707144518", "19560312", "19870714",
	"D12345678", "D56473829", "13800000000", "13900000000", "13700000000", "6217000000000000003", "东关村", "南关村",
	"SQLite format 3",
}

// gb18030 forms of the names, as cards carry them.
var secretsGB = []string{"d5c5b9f0c0bc", "c0eebda8befc"}

// hit is one secret found in a file.
type hit struct {
	path, secret string
	offset       int
}

// pattern is a secret as it may be written.
type pattern struct {
	name  string
	bytes []byte
}

// patterns are the secrets in UTF-8, GB18030 and UTF-16.
func patterns() (out []pattern) {
	for _, s := range secrets {
		out = append(out, pattern{s, []byte(s)}, pattern{s + " (UTF-16)", utf16le(s)})
	}
	return append(out, patternsGB()...)
}

func patternsGB() (out []pattern) {
	for _, s := range secretsGB {
		b, err := hex.DecodeString(s)
		if err != nil {
			panic("leak scan: " + err.Error()) // a constant of this file
		}
		out = append(out, pattern{s + " (GB18030)", b})
	}
	return out
}

// leaks searches every file under the folders, names included, in UTF-8,
// GB18030 and UTF-16.
func leaks(dirs ...string) (hits []hit, files int, err error) {
	wanted := patterns()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			b = append(b, path...)
			for _, p := range wanted {
				if at := bytes.Index(b, p.bytes); at >= 0 {
					hits = append(hits, hit{path, p.name, at})
				}
			}
			return nil
		})
		if err != nil {
			return hits, files, fmt.Errorf("leak scan: %w", err)
		}
	}
	return hits, files, nil
}

// utf16le is a text as Windows programs write it.
func utf16le(s string) []byte {
	var out []byte
	for _, r := range s {
		out = append(out, byte(r), byte(r>>8))
	}
	return out
}

// leakError lists hits; nil when there are none.
func leakError(hits []hit) error {
	if len(hits) == 0 {
		return nil
	}
	var b strings.Builder
	for _, h := range hits {
		fmt.Fprintf(&b, "\n  %s at byte %d of %s", h.secret, h.offset, h.path)
	}
	return fmt.Errorf("expected nothing readable on the disk, found %d:%s", len(hits), b.String())
}

// leakControl proves that the search finds what it looks for: a file with each
// secret in it must be found, as often.
func leakControl(dir string) error {
	f := filepath.Join(dir, "leak-control")
	var b []byte
	for _, s := range secrets {
		b = append(append(b, s...), '\n')
	}
	if err := os.WriteFile(f, b, 0o600); err != nil {
		return fmt.Errorf("leak control: %w", err)
	}
	defer func() { _ = os.Remove(f) }()
	hits, _, err := leaks(dir)
	if err != nil {
		return err
	}
	if len(hits) < len(secrets) {
		return fmt.Errorf("leak control: %d of %d planted secrets found", len(hits), len(secrets))
	}
	return nil
}
