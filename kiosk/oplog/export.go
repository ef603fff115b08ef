package oplog

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"cunban/kiosk/seal"
)

// The export is UTF-8 text in lines that end with \n:
//
//	cunban operation log export 2
//	origin cunban/<terminal>
//	software <version>
//	made <RFC 3339 UTC, seconds>
//	first <number of the first record>
//	left <hashes before it, hex, joined by commas; - for none>
//	seed <record> <key> <envelope, base64>            any number of these
//	(empty line)
//	R <leaf hash, hex> <record, one line of JSON>     any number of R …
//	N <line of a checkpoint note>                     … and of notes: N lines
//	E <size>                                          and an E that ends each
//	total <records> <checkpoints>
//	sm3 <SM3 of every byte above this line, hex>
//
// An empty line of a note is "N" alone. A note stands after the last record
// that it covers. To check with openssl: the leaf hash of an R line is the
// SM3 of a zero byte and the JSON; the N lines without their first two
// characters are the signed note; its text is what is above the empty line;
// its signature is what follows the first four bytes of the base64 on the line
// "— cunban/<terminal> …", an SM2 signature of the text. A pruned log begins
// with the countersigned note of what is not there any more. The seeds of the
// MACs (see Seed) are of use to the county only. Version 1 had none.
const (
	exportMagic = "cunban operation log export "
	emptyLeft   = "-"
	maxLine     = 2*HashSize + 4 + MaxRecord
)

// ErrExport means that text is not an exported log; a *Bad tells more.
var ErrExport = errors.New("not an exported operation log")

// ExportHeader is the head of an export. It is not signed: what counts is
// proved by the checkpoints.
type ExportHeader struct {
	Origin   string
	Software string    // program version
	Made     time.Time // UTC, seconds
	Left     *Tree     // state before the first record, nil = whole log
	Seeds    []Seed    // of the MACs, in order
	Version  int       // of the form; 0 writes the newest
}

// exportVersion is the newest version of the form.
const exportVersion = 2

// First is the number of the first record.
func (h ExportHeader) First() int64 {
	if h.Left == nil {
		return 0
	}
	return h.Left.Size()
}

// ExportWriter writes an export as a stream. Create with NewExportWriter;
// Close must be called.
type ExportWriter struct {
	w              *bufio.Writer
	sum            hash.Hash
	size           int64
	records, notes int64
	err            error
}

// NewExportWriter writes the head. It does not close w.
func NewExportWriter(w io.Writer, h ExportHeader) (*ExportWriter, error) {
	left := emptyLeft
	if h.First() > 0 {
		var hs []string
		for _, b := range h.Left.Hashes() {
			hs = append(hs, hex.EncodeToString(b))
		}
		left = strings.Join(hs, ",")
	}
	for _, s := range []string{h.Origin, h.Software} {
		if strings.ContainsAny(s, "\r\n") || !strings.HasPrefix(h.Origin, originPrefix) {
			return nil, fmt.Errorf("export log: %w: origin %q, software %q", ErrExport, h.Origin, h.Software)
		}
	}
	if h.Version == 0 {
		h.Version = exportVersion
	}
	if h.Version < 1 || h.Version > exportVersion || len(h.Seeds) > 0 && h.Version == 1 || len(h.Seeds) > maxSeeds {
		return nil, fmt.Errorf("export log: %w: version %d with %d seeds", ErrExport, h.Version, len(h.Seeds))
	}
	x := &ExportWriter{sum: seal.NewHash(), size: h.First()}
	x.w = bufio.NewWriter(io.MultiWriter(w, x.sum))
	x.print("%s%d\norigin %s\nsoftware %s\nmade %s\nfirst %d\nleft %s\n",
		exportMagic, h.Version, h.Origin, h.Software, h.Made.UTC().Format(time.RFC3339), h.First(), left)
	for _, s := range h.Seeds {
		x.print("%s\n", s.line())
	}
	x.print("\n")
	return x, x.err
}

func (x *ExportWriter) print(format string, args ...any) {
	if x.err != nil {
		return
	}
	if _, err := fmt.Fprintf(x.w, format, args...); err != nil {
		x.err = fmt.Errorf("export log: %w", err)
	}
}

// Record writes the next record as it is stored. A damaged one is written as
// it is, so that whoever reads the export sees the damage; only a line break
// in it, which would break the frame, becomes a space. leaf is the stored leaf
// hash; nil: it is computed.
func (x *ExportWriter) Record(line, leaf []byte) error {
	if leaf == nil {
		leaf = LeafHash(line)
	}
	if bytes.ContainsAny(line, "\r\n") {
		line = bytes.Map(func(r rune) rune {
			if r == '\r' || r == '\n' {
				return ' '
			}
			return r
		}, line)
	}
	x.print("R %x %s\n", leaf, line)
	x.size++
	x.records++
	return x.err
}

// Checkpoint writes a signed note, after the last record that it covers.
func (x *ExportWriter) Checkpoint(msg []byte) error {
	for _, l := range noteLines(msg) {
		if len(l) == 0 {
			x.print("N\n")
			continue
		}
		x.print("N %s\n", l)
	}
	x.print("E %d\n", x.size)
	x.notes++
	return x.err
}

// Close writes the end.
func (x *ExportWriter) Close() error {
	x.print("total %d %d\n", x.records, x.notes)
	if x.err == nil {
		if err := x.w.Flush(); err != nil { // now every byte above is in the sum
			x.err = fmt.Errorf("export log: %w", err)
		}
	}
	x.print("sm3 %x\n", x.sum.Sum(nil))
	if x.err == nil {
		if err := x.w.Flush(); err != nil {
			x.err = fmt.Errorf("export log: %w", err)
		}
	}
	return x.err
}

// ExportItem is a record or a checkpoint of an export.
type ExportItem struct {
	Record []byte // encoded; nil for a checkpoint
	Leaf   []byte // leaf hash that stands beside the record
	Note   []byte // signed note; nil for a record
}

// ExportReader reads an export as a stream and checks its frame, not what is
// proved by it: that is VerifyExport.
type ExportReader struct {
	r              *bufio.Reader
	sum            hash.Hash
	h              ExportHeader
	records, notes int64
	done           bool
}

// NewExportReader reads the head. Errors: ErrExport.
func NewExportReader(r io.Reader) (*ExportReader, error) {
	x := &ExportReader{r: bufio.NewReaderSize(r, maxLine), sum: seal.NewHash()}
	version := 0
	if s, err := x.line(); err == nil {
		for v := 1; v <= exportVersion; v++ {
			if string(s) == exportMagic+strconv.Itoa(v) {
				version = v
			}
		}
	}
	if version == 0 {
		return nil, fmt.Errorf("%w: it does not begin with %q and a version up to %d", ErrExport, exportMagic, exportVersion)
	}
	var v [5]string
	for i, name := range []string{"origin ", "software ", "made ", "first ", "left "} {
		s, err := x.line()
		if err != nil {
			return nil, err
		}
		rest, ok := strings.CutPrefix(string(s), name)
		if !ok {
			return nil, fmt.Errorf("%w: no line %q", ErrExport, name)
		}
		v[i] = rest
	}
	seeds, err := x.seeds(version)
	if err != nil {
		return nil, err
	}
	made, err := time.Parse(time.RFC3339, v[2])
	if err != nil || !strings.HasPrefix(v[0], originPrefix) {
		return nil, fmt.Errorf("%w: origin or time", ErrExport)
	}
	x.h = ExportHeader{Origin: v[0], Software: v[1], Made: made.UTC(), Seeds: seeds, Version: version}
	return x, x.left(v[3], v[4])
}

// seeds reads what stands before the empty line.
func (x *ExportReader) seeds(version int) (seeds []Seed, err error) {
	for {
		s, err := x.line()
		if err == nil && len(s) == 0 {
			return seeds, nil
		}
		seed, ok := Seed{}, false
		if err == nil && version > 1 && len(seeds) < maxSeeds {
			seed, ok = parseSeed(string(s))
		}
		if !ok || len(seeds) > 0 && seed.First <= seeds[len(seeds)-1].First {
			return nil, fmt.Errorf("%w: no empty line after the head", ErrExport)
		}
		seeds = append(seeds, seed)
	}
}

// left reads the state before the first record.
func (x *ExportReader) left(first, left string) error {
	n, err := strconv.ParseInt(first, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != first {
		return fmt.Errorf("%w: first record %.30q", ErrExport, first)
	}
	var hashes [][]byte
	if left != emptyLeft {
		for _, s := range strings.Split(left, ",") {
			h, ok := unhex([]byte(s))
			if !ok {
				return fmt.Errorf("%w: hashes before the first record", ErrExport)
			}
			hashes = append(hashes, h)
		}
	}
	t, err := NewTree(n, hashes)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrExport, err)
	}
	if n > 0 {
		x.h.Left = t
	}
	return nil
}

// Header returns the head.
func (x *ExportReader) Header() ExportHeader { return x.h }

// line returns the next line without its end, valid until the next call, and
// takes it into the sum.
func (x *ExportReader) line() ([]byte, error) {
	s, err := x.r.ReadSlice('\n')
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%w: it ends too early", ErrExport)
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("%w: a line of more than %d bytes", ErrExport, maxLine)
	default:
		return nil, fmt.Errorf("read exported log: %w", err)
	}
	x.sum.Write(s)
	return s[:len(s)-1], nil
}

// Next returns the next record or checkpoint; its slices are the caller's.
// io.EOF after the end was reached and the frame was found whole. Errors:
// ErrExport.
func (x *ExportReader) Next() (ExportItem, error) {
	if x.done {
		return ExportItem{}, io.EOF
	}
	s, err := x.line()
	if err != nil {
		return ExportItem{}, err
	}
	switch {
	case bytes.HasPrefix(s, []byte("R ")):
		s = s[2:]
		if len(s) < 2*HashSize+1 || s[2*HashSize] != ' ' {
			return ExportItem{}, fmt.Errorf("%w: record line %d", ErrExport, x.records)
		}
		leaf, ok := unhex(s[:2*HashSize])
		if !ok {
			return ExportItem{}, fmt.Errorf("%w: leaf hash of record line %d", ErrExport, x.records)
		}
		x.records++
		return ExportItem{Record: bytes.Clone(s[2*HashSize+1:]), Leaf: leaf}, nil
	case bytes.HasPrefix(s, []byte("N ")):
		return x.note(bytes.Clone(s[2:]))
	case bytes.HasPrefix(s, []byte("total ")):
		return ExportItem{}, x.end(string(s))
	}
	return ExportItem{}, fmt.Errorf("%w: unknown line after record line %d", ErrExport, x.records)
}

// note goes on with a note whose first line was read.
func (x *ExportReader) note(msg []byte) (ExportItem, error) {
	msg = append(msg, '\n')
	for {
		s, err := x.line()
		if err != nil {
			return ExportItem{}, err
		}
		switch {
		case string(s) == "N":
			msg = append(msg, '\n')
		case bytes.HasPrefix(s, []byte("N ")) && len(s) > 2:
			msg = append(append(msg, s[2:]...), '\n')
		case string(s) == "E "+strconv.FormatInt(x.h.First()+x.records, 10):
			x.notes++
			return ExportItem{Note: msg}, nil
		default:
			return ExportItem{}, fmt.Errorf("%w: checkpoint after record line %d", ErrExport, x.records)
		}
		if len(msg) > MaxNote {
			return ExportItem{}, fmt.Errorf("%w: checkpoint of more than %d bytes", ErrExport, MaxNote)
		}
	}
}

// end checks the last two lines; the line of totals was read.
func (x *ExportReader) end(total string) error {
	if total != fmt.Sprintf("total %d %d", x.records, x.notes) {
		return fmt.Errorf("%w: %q, but there were %d records and %d checkpoints", ErrExport, total, x.records, x.notes)
	}
	want := "sm3 " + hex.EncodeToString(x.sum.Sum(nil))
	s, err := x.line()
	if err != nil {
		return err
	}
	if string(s) != want {
		return fmt.Errorf("%w: the file's digest is wrong", ErrExport)
	}
	if _, err := x.r.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows its end", ErrExport)
	}
	x.done = true
	return io.EOF
}

// unhex takes lower-case hex of one hash.
func unhex(s []byte) ([]byte, bool) {
	b := make([]byte, HashSize)
	if len(s) != 2*HashSize {
		return nil, false
	}
	if _, err := hex.Decode(b, s); err != nil || slices.ContainsFunc(s, func(c byte) bool { return c >= 'A' && c <= 'F' }) {
		return nil, false
	}
	return b, true
}

// Report is what verification found out about a log that is whole.
type Report struct {
	Origin        string
	Software      string
	Made          time.Time
	First         int64 // number of the first record
	Size          int64 // of the log
	Root          []byte
	Records       int64 // verified
	Checkpoints   int
	Countersigned int64     // largest countersigned size, -1 = none
	MACs          int64     // records whose MAC was checked too, with the county's private key
	From, To      time.Time // wall clock of first and last record
}

// VerifyExport checks an exported log with public keys only. A failure that
// has a place is a *Bad that names the first bad record; text that is no
// export at all is ErrExport; others are of r.
func VerifyExport(r io.Reader, k Keys) (Report, error) {
	x, err := NewExportReader(r)
	if err != nil {
		return Report{}, fmt.Errorf("verify export: %w", err)
	}
	h := x.Header()
	if len(k.Seal) > 0 && k.Seeds == nil {
		if k.Seeds, err = OpenSeeds(h.Origin, h.Seeds, k.Seal...); err != nil {
			return Report{}, fmt.Errorf("verify export: %w", err)
		}
	}
	v, err := NewVerifier(VerifyOptions{Keys: k, Origin: "", Start: h.Left, Covered: true})
	if err != nil {
		return Report{}, fmt.Errorf("verify export: %w", err)
	}
	for {
		it, err := x.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, ErrExport) {
			return Report{}, fmt.Errorf("verify export: %w", v.frame(err))
		}
		if err != nil {
			return Report{}, fmt.Errorf("verify export: %w", err)
		}
		if it.Note != nil {
			_, err = v.Checkpoint(it.Note)
		} else {
			var r Record
			if r, err = v.Record(it.Record, it.Leaf); err == nil && h.Version > 1 {
				err = CheckSeed(r, h.Seeds)
			}
		}
		if err != nil {
			return Report{}, fmt.Errorf("verify export: %w", err)
		}
	}
	if err := v.Finish(); err != nil {
		return Report{}, fmt.Errorf("verify export: %w", err)
	}
	if v.last.Origin != h.Origin {
		return Report{}, fmt.Errorf("verify export: %w", v.fail(0, 0, BadFile, "head says %q, last checkpoint %q", h.Origin, v.last.Origin))
	}
	rep := v.Report()
	rep.Software, rep.Made = h.Software, h.Made
	return rep, nil
}

// frame makes a broken frame a *Bad at the record that was to come next.
func (v *Verifier) frame(err error) *Bad {
	return v.fail(v.tree.Size(), v.tree.Size(), BadFile, "%v", err)
}

// Report sums up what was verified so far.
func (v *Verifier) Report() Report {
	size := v.tree.Size()
	return Report{
		Origin: v.last.Origin, First: v.first, Size: size, Root: v.tree.Root(), Records: size - v.first,
		Checkpoints: v.notes, Countersigned: v.counter, MACs: v.macs, From: v.from, To: v.to,
	}
}
