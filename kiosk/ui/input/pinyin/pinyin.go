// Package pinyin turns typed pinyin into Chinese candidates for the text pad.
// It is a thin adapter over librime and its schema pinyin_simp (袖珍简化字拼音,
// prebuilt by Debian's rime-data-pinyin-simp), because candidate ranking and
// syllable splitting are solved there and measured at well under 1 ms a key.
//
// It guarantees that nothing typed is remembered: the user dictionary is
// switched off by a patch written into the user folder before librime reads
// it, no history is kept in memory past the composition, and librime's own
// logging is limited to fatal errors. The next person at the screen sees
// candidates in the same order as the first.
//
// librime keeps its state per process, so there is at most one Engine at a
// time. Its methods are safe for concurrent use; calls are served one by one.
package pinyin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Schema is the librime schema in use.
const Schema = "pinyin_simp"

// PageSize is the number of candidates in a page of Candidates.
const PageSize = 10

// MaxInput is the longest pinyin taken, in letters; more is refused, because
// the cost of splitting syllables grows with the length and no word needs it.
const MaxInput = 60

// Errors of Open and Candidates.
var (
	// ErrUnavailable means that librime or its data is not on this machine (or
	// the program was built without cgo). The pad hides the pinyin mode.
	ErrUnavailable = errors.New("pinyin: librime or its data is not installed")
	// ErrRemembers means that librime would keep what is typed, whatever was
	// written into its configuration. The pad hides the pinyin mode: no
	// candidates are better than the last person's.
	ErrRemembers = errors.New("pinyin: librime would remember what is typed")
	// ErrInUse means that an Engine is open already in this process.
	ErrInUse = errors.New("pinyin: an engine is open already")
	// ErrInput means that the text is not pinyin: a-z and ' only, at most
	// MaxInput.
	ErrInput = errors.New("pinyin: input must be letters a-z and apostrophes")
	// ErrClosed means that the Engine was closed.
	ErrClosed = errors.New("pinyin: engine is closed")
)

// SharedDirs are the places where the schema data is looked for, in order,
// when Options.SharedDir is empty.
var SharedDirs = []string{
	"/usr/share/rime-data",
	"/usr/local/share/rime-data",
	"/opt/cunban/share/rime-data",
}

// Options for OpenWith.
type Options struct {
	// UserDir holds librime's own files (deployed schema, a few kilobytes).
	// It is made if missing and holds no personal data. Required.
	UserDir string
	// SharedDir holds the schema and dictionary; "" searches SharedDirs.
	SharedDir string
	// Phrases are words that the dictionary lacks, by their pinyin without
	// apostrophes; they come first. nil takes LocalPhrases.
	Phrases map[string][]string
}

// LocalPhrases are place names of the county the terminal is made for that
// pinyin_simp does not hold as words (芮城县 and its towns, GB/T 2260 names).
var LocalPhrases = map[string][]string{
	"ruicheng":   {"芮城"},
	"fenglingdu": {"风陵渡"},
	"guwei":      {"古魏"},
	"monan":      {"陌南"},
	"ximo":       {"西陌"},
	"donglu":     {"东垆"},
	"nanwei":     {"南卫"},
	"xuezhang":   {"学张"},
}

// Candidate is one choice for a typed pinyin.
type Candidate struct {
	// Text is what is put into the field.
	Text string
	// Index is its place in the whole list, for Choose.
	Index int
}

// findShared returns the first folder that holds the schema.
func findShared(o Options) (string, error) {
	dirs := SharedDirs
	if o.SharedDir != "" {
		dirs = []string{o.SharedDir}
	}
	for _, d := range dirs {
		if _, err := os.Stat(filepath.Join(d, Schema+".schema.yaml")); err == nil {
			return d, nil
		}
	}
	return "", fmt.Errorf("%w: no %s.schema.yaml in %s (Debian package rime-data-pinyin-simp)",
		ErrUnavailable, Schema, strings.Join(dirs, ", "))
}

// patches are written into the user folder before librime starts. They limit
// the deployment to the one schema, switch learning off, and take out every
// part of the engine that a pad without a keyboard cannot use (ASCII mode,
// symbols, reverse look-up by strokes, key bindings for paging).
var patches = map[string]string{
	// Debian's rime-prelude has a default.yaml too, but is only recommended, and
	// without one librime deploys nothing: then the patch below would not hold.
	"default.yaml": `# written by cunban at every start
config_version: "1"
schema_list:
  - schema: pinyin_simp
menu:
  page_size: 10
switcher:
  save_options: []
# What the schema imports from here; the pad has keys of its own.
punctuator:
  full_shape: {}
  half_shape: {}
key_binder:
  bindings: []
recognizer:
  patterns: {}
`,
	"symbols.yaml": `# written by cunban at every start; the schema imports it
config_version: "1"
punctuator:
  full_shape: {}
  half_shape: {}
  symbols: {}
`,
	"pinyin_simp.custom.yaml": `# written by cunban at every start
patch:
  schema/dependencies: []
  translator/enable_user_dict: false
  translator/enable_encoder: false
  translator/encode_commit_history: false
  engine/processors:
    - speller
    - selector
    - express_editor
  engine/segmentors:
    - abc_segmentor
    - fallback_segmentor
  engine/translators:
    - script_translator
  menu/page_size: 10
`,
}

// history are the names under which librime would keep what was typed; they
// are removed at Open, in case an earlier program left them.
var history = []string{
	"pinyin_simp.userdb", "pinyin_simp.userdb.txt", "pinyin_simp.userdb.kct",
	"luna_pinyin.userdb", "sync", "trash",
}

// prepare makes the user folder what it must be before librime reads it.
func prepare(dir string) error {
	if dir == "" {
		return errors.New("pinyin: no user folder given")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("pinyin: make user folder: %w", err)
	}
	for _, name := range history {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("pinyin: remove old history: %w", err)
		}
	}
	for name, text := range patches {
		path := filepath.Join(dir, name)
		// An unchanged patch keeps its time stamp, so that librime does not
		// deploy again at every start.
		if old, err := os.ReadFile(path); err == nil && string(old) == text {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return fmt.Errorf("pinyin: write patch: %w", err)
		}
	}
	return nil
}

// clean lowers the case, takes ü as v and checks the rest.
func clean(s string) (string, error) {
	s = strings.ReplaceAll(strings.ToLower(s), "ü", "v")
	if len(s) > MaxInput {
		return "", ErrInput
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && c != '\'' {
			return "", ErrInput
		}
	}
	// A leading apostrophe starts no syllable and would be committed as text.
	return strings.TrimLeft(s, "'"), nil
}

// tail returns the end of input that holds n letters.
func tail(input string, n int) string {
	i := len(input)
	for i > 0 && n > 0 {
		i--
		if input[i] != '\'' {
			n--
		}
	}
	return input[i:]
}
