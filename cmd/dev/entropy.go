package main

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// Every block of a vault's files must look as if dice had made it. Three
// looks, each blind to what another sees: the frequencies of its bytes, whether
// they can be packed smaller, and runs of what a person could read.
const (
	entropyBlock = 4096 // bytes; the sector of the vault
	// chiLow and chiHigh bound Pearson's χ² of a block's 256 byte values against
	// even ones. It has 255 degrees of freedom: of random blocks less than one in
	// 10^11 lies outside.
	chiLow, chiHigh = 125.0, 440.0
	chiMin          = 1280 // bytes: below it χ² says nothing (5 expected of each value)
	readableRun     = 24   // printable ASCII in a row; random: one in 10^8 blocks of 4 KiB
)

// orderless are files of a vault that are not judged, and why.
var orderless = map[string]string{"vault.lock": "empty, only locked"}

// randomness is what the entropy test found.
type randomness struct {
	Files, Blocks int
	Skipped       []string // by name, with the reason
	WorstChi      float64  // the one farthest from 255
	Bits          float64  // entropy of all bytes, bits per byte
	Bad           []string // what does not look random
}

// looksRandom judges every file under a folder.
func looksRandom(dir string) (r randomness, err error) {
	var all [256]float64
	r.WorstChi = 255
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name := d.Name()
		if why := orderless[name]; why != "" {
			r.Skipped = append(r.Skipped, name+" ("+why+")")
			if len(b) > 0 {
				r.Bad = append(r.Bad, name+" is not empty")
			}
			return nil
		}
		r.Files++
		for _, c := range b {
			all[c]++
		}
		r.judge(name, b)
		return nil
	})
	if err != nil {
		return r, fmt.Errorf("entropy test: %w", err)
	}
	r.Bits = entropy(all)
	return r, nil
}

// judge looks at one file.
func (r *randomness) judge(name string, b []byte) {
	for at := 0; at < len(b); at += entropyBlock {
		block := b[at:min(at+entropyBlock, len(b))]
		r.Blocks++
		if run := longestRun(block); run >= readableRun {
			r.Bad = append(r.Bad, fmt.Sprintf("%s at byte %d: %d readable bytes in a row", name, at, run))
		}
		if len(block) < chiMin {
			continue
		}
		chi := chiSquare(block)
		if math.Abs(chi-255) > math.Abs(r.WorstChi-255) {
			r.WorstChi = chi
		}
		if chi < chiLow || chi > chiHigh {
			r.Bad = append(r.Bad, fmt.Sprintf("%s at byte %d: χ² %.0f of its bytes", name, at, chi))
		}
	}
	// What repeats from block to block shows in the file packed as a whole:
	// random bytes do not pack.
	if n := packed(b); n < len(b) {
		r.Bad = append(r.Bad, fmt.Sprintf("%s packs from %d to %d bytes", name, len(b), n))
	}
}

// chiSquare is Pearson's χ² of byte values against even frequencies.
func chiSquare(b []byte) (chi float64) {
	var n [256]float64
	for _, c := range b {
		n[c]++
	}
	want := float64(len(b)) / 256
	for _, k := range n {
		chi += (k - want) * (k - want) / want
	}
	return chi
}

// entropy is Shannon's, bits per byte.
func entropy(n [256]float64) (bits float64) {
	total := 0.0
	for _, k := range n {
		total += k
	}
	for _, k := range n {
		if k > 0 {
			bits -= k / total * math.Log2(k/total)
		}
	}
	return bits
}

// longestRun is the longest run of printable ASCII.
func longestRun(b []byte) (longest int) {
	run := 0
	for _, c := range b {
		if c < ' ' || c > '~' {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

// packed is the size of b under DEFLATE (RFC 1951).
func packed(b []byte) int {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err != nil {
		return 0
	}
	if _, err := w.Write(b); err != nil || w.Close() != nil {
		return 0
	}
	return out.Len()
}

func (r randomness) String() string {
	return fmt.Sprintf("%d files, %d blocks, %.5f bits/byte, worst χ² %.0f; not judged: %s", r.Files, r.Blocks, r.Bits, r.WorstChi,
		strings.Join(r.Skipped, ", "))
}

// err lists what does not look random; nil when there is nothing.
func (r randomness) err() error {
	if len(r.Bad) == 0 {
		return nil
	}
	return fmt.Errorf("expected files that look random, found %d:\n  %s", len(r.Bad), strings.Join(r.Bad[:min(len(r.Bad), 12)], "\n  "))
}
