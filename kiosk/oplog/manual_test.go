package oplog

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"cunban/kiosk/seal"
)

// The scripts of the manual's appendix, which know nothing of this package.
const (
	manualDir     = "../../assets/manual"
	receiptScript = manualDir + "/verify-receipt.sh"
	logScript     = manualDir + "/verify-log.sh"
)

// Exit codes of the scripts.
const (
	scriptOK    = 0
	scriptUsage = 2
	scriptTorn  = 4
	scriptNone  = 5
	scriptKey   = 6
	scriptFalse = 7
	scriptCase  = 8
)

// usualFlips is how many changes of each kind are shown to the scripts;
// CUNBAN_FLIPS asks for another number.
const usualFlips = 25

func flips(t *testing.T) int {
	t.Helper()
	v := os.Getenv("CUNBAN_FLIPS")
	if v == "" {
		return usualFlips
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("CUNBAN_FLIPS: %v", err)
	}
	return n
}

// files writes files into a folder of the test and gives their paths.
type files struct {
	t   *testing.T
	dir string
}

func newFiles(t *testing.T) files { return files{t, t.TempDir()} }

func (f files) put(name string, b []byte) string {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}

// script runs a script of the manual with the system's sh.
func script(t *testing.T, stdin []byte, path string, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{path}, args...)...)
	cmd.Stdin = bytes.NewReader(stdin)
	b, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

func TestScriptProvesReceipts(t *testing.T) {
	openssl(t)
	f := newFiles(t)
	for _, at := range [][2]int64{{0, 1}, {0, 2}, {1, 2}, {2, 3}, {4, 7}, {6, 7}, {0, 64}, {63, 64}, {64, 65}, {600, 1000}, {999, 1000}, {70_000, 100_001}} {
		l := newTreeLog(t, at[1], at[0])
		terminal, county := f.put("terminal.pem", l.key.Public().PEM()), f.put("county.pem", l.county.Public().PEM())
		for _, counter := range []bool{false, true} {
			r := l.receipt(t, at[0], counter)
			rec, err := Decode(r.Record)
			if err != nil {
				t.Fatal(err)
			}
			out, code := script(t, []byte("QR-Code:"+r.Text()+"\r\n"), receiptScript, "-k", terminal, "-c", county, "-n", strings.ToUpper(rec.CaseID))
			signed := strings.Contains(out, "县里已会签，签名正确")
			if code != scriptOK || signed != counter || !strings.Contains(out, rec.CaseID) || !strings.Contains(out, fmt.Sprintf("第 %d 号记录", at[0])) ||
				!strings.Contains(out, fmt.Sprintf("%x", l.tree.Root())) {
				t.Errorf("record %d of %d, countersigned %v: exit %d\n%s", at[0], at[1], counter, code, out)
			}
		}
	}
	// A record that no phrase was made for, with letters beyond ASCII.
	l := newTreeLog(t, 5)
	odd := Entry{Event: CaseSubmit, Role: RoleStaff, Account: "1001", CaseID: "case-7", Device: "窗口 \"一\"", Demo: true,
		Fields: map[string]string{"service": "Z99", "revision": "12"}}.Record(Stamp{Seq: 5, Wall: bootTime, BootID: "x"}).Encode()
	l.lines[5] = odd
	for _, n := range l.tree.Append(odd) {
		l.nodes[NodeID{n.Level, n.Index}] = n.Hash
	}
	out, code := script(t, []byte(l.receipt(t, 5, false).Text()), receiptScript, "-k", f.put("terminal.pem", l.key.Public().PEM()))
	if code != scriptOK || !strings.Contains(out, "case-7") || !strings.Contains(out, "Z99，第 12 次提交") {
		t.Errorf("an odd record: exit %d\n%s", code, out)
	}
}

func TestScriptRefusesReceipts(t *testing.T) {
	openssl(t)
	f := newFiles(t)
	l, other := newTreeLog(t, 500, 42, 43), newTreeLog(t, 500, 42, 43)
	terminal, county := f.put("terminal.pem", l.key.Public().PEM()), f.put("county.pem", l.county.Public().PEM())
	r, foreign := l.receipt(t, 42, true), other.receipt(t, 42, true)
	text := r.Text()
	changed := func(change func(*Receipt)) string {
		r := l.receipt(t, 42, true)
		change(&r)
		return r.Text()
	}
	for name, tc := range map[string]struct {
		text string
		code int
		args []string
	}{
		"nothing":                  {"", scriptNone, nil},
		"an address":               {"https://example.com/", scriptNone, nil},
		"two lines":                {text + "\n" + text, scriptNone, nil},
		"too long":                 {strings.Repeat(text, 5), scriptNone, nil},
		"later version":            {"CUNBAN2:" + text[8:], scriptNone, nil},
		"prefix":                   {text[:5], scriptTorn, nil},
		"half":                     {text[:len(text)/2], scriptTorn, nil},
		"end missing":              {text[:len(text)-1], scriptTorn, nil},
		"other terminal's key":     {text, scriptKey, []string{"-k", f.put("other.pem", other.key.Public().PEM())}},
		"other county's key":       {text, scriptKey, []string{"-k", terminal, "-c", f.put("foreign.pem", other.county.Public().PEM())}},
		"other terminal's receipt": {foreign.Text(), scriptKey, nil},
		"other case's number":      {text, scriptCase, []string{"-k", terminal, "-n", "01a21062-1975-7507-b3cd-6f7bc2cbd229"}},
		"other record":             {changed(func(r *Receipt) { r.Record = foreign.Record }), scriptFalse, nil},
		"proof of another log":     {changed(func(r *Receipt) { r.Hashes = foreign.Hashes }), scriptFalse, nil},
		"hash missing":             {changed(func(r *Receipt) { r.Hashes = r.Hashes[1:] }), scriptFalse, nil},
		"hash too many":            {changed(func(r *Receipt) { r.Hashes = append(r.Hashes, r.Hashes[0]) }), scriptFalse, nil},
		"other size":               {changed(func(r *Receipt) { r.Size++ }), scriptFalse, nil},
		"size before the record":   {changed(func(r *Receipt) { r.Size = 42 }), scriptNone, nil},
		"foreign signature":        {changed(func(r *Receipt) { r.signs[0].sig = foreign.signs[0].sig }), scriptFalse, nil},
		"foreign countersignature": {changed(func(r *Receipt) { r.signs[1].sig = foreign.signs[1].sig }), scriptFalse, []string{"-k", terminal, "-c", county}},
		"no arguments":             {text, scriptUsage, []string{}},
	} {
		args := tc.args
		if args == nil {
			args = []string{"-k", terminal}
		}
		if out, code := script(t, []byte(tc.text), receiptScript, args...); code != tc.code {
			t.Errorf("%s: exit %d, want %d\n%s", name, code, tc.code, out)
		}
	}
	n := flips(t)
	rnd := mathrand.New(mathrand.NewPCG(3, 4))
	for range n {
		i, c := rnd.IntN(len(text)), base45Digits[rnd.IntN(len(base45Digits))]
		if c == text[i] {
			continue
		}
		if out, code := script(t, []byte(text[:i]+string(c)+text[i+1:]), receiptScript, "-k", terminal, "-c", county); code < scriptTorn {
			t.Errorf("character %d is %q: exit %d\n%s", i, c, code, out)
		}
	}
	payload, err := unbase45(strings.TrimPrefix(text, receiptPrefix))
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		b := bytes.Clone(payload[:len(payload)-receiptCheck])
		i, bit := rnd.IntN(len(b)), rnd.IntN(8)
		b[i] ^= 1 << bit
		forged := receiptPrefix + base45(append(b, seal.Digest(b)[:receiptCheck]...))
		if out, code := script(t, []byte(forged), receiptScript, "-k", terminal, "-c", county); code < scriptNone {
			t.Errorf("bit %d of byte %d, with a check made anew: exit %d\n%s", bit, i, code, out)
		}
	}
	t.Logf("%d changed receipts shown", 2*n)
}

func TestScriptProvesLogs(t *testing.T) {
	openssl(t)
	f := newFiles(t)
	for _, tc := range []struct {
		records int
		sizes   []int64
		first   int64
	}{
		{1, []int64{1}, 0}, {2, []int64{1, 2}, 0}, {3, []int64{2, 3}, 0}, {7, []int64{4, 7}, 0}, {8, []int64{8}, 0}, {100, []int64{33, 64, 65, 100}, 0},
		{100, []int64{33, 64, 100}, 33}, {100, []int64{64, 100}, 64}, {100, []int64{100}, 7}, {1000, []int64{1, 500, 999, 1000}, 0}, {5000, []int64{1234, 5000}, 0},
	} {
		s := newSample(t, tc.records, tc.sizes...)
		path := f.put("log.txt", s.export(t, tc.first))
		terminal, county := f.put("terminal.pem", s.terminal.Public().PEM()), f.put("county.pem", s.county.Public().PEM())
		if tc.first > tc.sizes[0] {
			county = ""
		}
		args := []string{"-k", terminal}
		if county != "" {
			args = append(args, "-c", county)
		}
		out, code := script(t, nil, logScript, append(args, path)...)
		if want := fmt.Sprintf("%d 条记录都对得上", int64(tc.records)-tc.first); code != scriptOK || !strings.Contains(out, want) {
			t.Errorf("%+v: exit %d\n%s", tc, code, out)
		}
		if want := fmt.Sprintf("到第 %d 条", tc.sizes[0]); county != "" && !strings.Contains(out, want) {
			t.Errorf("%+v: not countersigned %s\n%s", tc, want, out)
		}
	}
}

// resum makes the last line of a changed export right again, as somebody who
// changes it would.
func resum(b []byte) []byte {
	i := bytes.LastIndex(bytes.TrimSuffix(b, []byte("\n")), []byte("\n")) + 1
	return fmt.Appendf(bytes.Clone(b[:i]), "sm3 %x\n", seal.Digest(b[:i]))
}

func TestScriptRefusesLogs(t *testing.T) {
	openssl(t)
	f := newFiles(t)
	s, other := newSample(t, 40, 13, 21, 40), newSample(t, 40, 13, 21, 40)
	terminal, county := f.put("terminal.pem", s.terminal.Public().PEM()), f.put("county.pem", s.county.Public().PEM())
	whole, foreign := s.export(t, 0), other.export(t, 0)
	lines := func(b []byte) [][]byte { return bytes.SplitAfter(b, []byte("\n")) }
	without := func(b []byte, drop func(int, []byte) bool) []byte {
		var out []byte
		for i, l := range lines(b) {
			if !drop(i, l) {
				out = append(out, l...)
			}
		}
		return out
	}
	// The frame's first seven lines, then a record on each line.
	swapped := lines(whole)
	swapped[10], swapped[11] = swapped[11], swapped[10]
	noteLine := 0
	middle := without(whole, func(_ int, l []byte) bool { // the second note, seven lines of N and E
		if noteLine < 12 && (l[0] == 'N' || l[0] == 'E') {
			noteLine++
			return noteLine > 6
		}
		return false
	})
	for name, tc := range map[string]struct {
		log  []byte
		code int
		args []string
	}{
		"nothing":              {nil, scriptNone, nil},
		"a receipt":            {[]byte("CUNBAN1:000\n"), scriptNone, nil},
		"cut":                  {whole[:len(whole)/2], scriptFalse, nil},
		"cut, summed anew":     {resum(append(whole[:bytes.Index(whole, []byte("\nN "))+1:bytes.Index(whole, []byte("\nN "))+1], "total 13 0\nsm3 \n"...)), scriptFalse, nil},
		"other terminal's key": {whole, scriptKey, []string{"-k", f.put("other.pem", other.terminal.Public().PEM())}},
		"other county's key":   {whole, scriptKey, []string{"-k", terminal, "-c", f.put("foreign.pem", other.county.Public().PEM())}},
		"other terminal's log": {foreign, scriptKey, nil},
		"a record missing":     {resum(without(whole, func(i int, _ []byte) bool { return i == 10 })), scriptFalse, nil},
		"records swapped":      {resum(bytes.Join(swapped, nil)), scriptFalse, nil},
		"a word changed":       {resum(bytes.Replace(whole, []byte(`"mode":"self"`), []byte(`"mode":"sell"`), 1)), scriptFalse, nil},
		"a checkpoint missing": {resum(bytes.Replace(middle, []byte("total 40 3"), []byte("total 40 2"), 1)), scriptFalse, nil},
		"foreign records":      {resum(bytes.Replace(whole, lines(whole)[9], lines(foreign)[9], 1)), scriptFalse, nil},
		"a strange line":       {resum(bytes.Replace(whole, []byte("\ntotal"), []byte("\nX 1\ntotal"), 1)), scriptNone, nil},
		"no arguments":         {whole, scriptUsage, []string{}},
	} {
		args := tc.args
		if args == nil {
			args = []string{"-k", terminal, "-c", county}
		}
		if out, code := script(t, nil, logScript, append(args, f.put("log.txt", tc.log))...); code != tc.code {
			t.Errorf("%s: exit %d, want %d\n%s", name, code, tc.code, out)
		}
	}
	// What follows a pruning that the county never signed.
	if out, code := script(t, nil, logScript, "-k", terminal, "-c", county, f.put("log.txt", s.export(t, 25))); code != scriptFalse || !strings.Contains(out, "没有县里会签") {
		t.Errorf("pruned without the county: exit %d\n%s", code, out)
	}
	start := bytes.Index(whole, []byte("\n\n")) + 2 // the head is not signed
	end := bytes.LastIndex(bytes.TrimSuffix(whole, []byte("\n")), []byte("\n"))
	n := flips(t)
	rnd := mathrand.New(mathrand.NewPCG(5, 6))
	for range n {
		b := bytes.Clone(whole)
		i, bit := start+rnd.IntN(end-start), rnd.IntN(8)
		b[i] ^= 1 << bit
		anew := resum(b)
		// Of a note whose second signer has become nobody that we know only the
		// first counts: that is no lie, as long as nobody calls it countersigned.
		if rep, err := VerifyExport(bytes.NewReader(anew), s.keys()); err == nil && rep.Countersigned >= 0 {
			t.Errorf("bit %d of byte %d: our own check takes it", bit, i)
		}
		if out, code := script(t, nil, logScript, "-k", terminal, "-c", county, f.put("log.txt", anew)); code == scriptOK && strings.Contains(out, "县里会签") || code < scriptNone && code != scriptOK {
			t.Errorf("bit %d of byte %d, summed anew: exit %d\n%s\n%q is %q", bit, i, code, out, whole[i-20:i+20], anew[i-20:i+20])
		}
	}
	t.Logf("%d changed logs shown", n)
}

// The scripts without their check of signatures take what the real ones refuse:
// it is the signature that they refuse by, and the tests above can fail.
func TestBlindScriptsTakeForgeries(t *testing.T) {
	openssl(t)
	f := newFiles(t)
	blind := func(path string) string {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out := bytes.Replace(b, []byte("openssl pkeyutl -verify"), []byte(": openssl pkeyutl -verify"), 1)
		if bytes.Equal(out, b) {
			t.Fatalf("%s checks no signature", path)
		}
		return f.put(filepath.Base(path), out)
	}
	l, other := newTreeLog(t, 500, 42), newTreeLog(t, 500, 42)
	r := l.receipt(t, 42, false)
	r.Record = other.lines[42]
	terminal := f.put("terminal.pem", l.key.Public().PEM())
	for path, want := range map[string]int{receiptScript: scriptFalse, blind(receiptScript): scriptOK} {
		if out, code := script(t, []byte(r.Text()), path, "-k", terminal); code != want {
			t.Errorf("%s: exit %d, want %d\n%s", path, code, want, out)
		}
	}
	// A log written anew throughout, notes and all, by somebody without the key.
	s, forger := newSample(t, 20, 20), newSample(t, 20, 20)
	own, theirs := keyID(s.origin, s.terminal.Public()), keyID(s.origin, forger.terminal.Public())
	for size, note := range forger.notes {
		text, sigs, _ := strings.Cut(string(note), "\n\n")
		var out strings.Builder
		for line := range strings.Lines(sigs) {
			w := strings.Fields(line)
			sig, err := base64.StdEncoding.DecodeString(w[2])
			if err != nil {
				t.Fatal(err)
			}
			if binary.BigEndian.Uint32(sig) == theirs {
				binary.BigEndian.PutUint32(sig, own)
			}
			fmt.Fprintf(&out, "— %s %s\n", w[1], base64.StdEncoding.EncodeToString(sig))
		}
		forger.notes[size] = []byte(text + "\n\n" + out.String())
	}
	log := f.put("log.txt", forger.export(t, 0))
	terminal = f.put("terminal.pem", s.terminal.Public().PEM())
	for path, want := range map[string]int{logScript: scriptFalse, blind(logScript): scriptOK} {
		if out, code := script(t, nil, path, "-k", terminal, log); code != want {
			t.Errorf("%s: exit %d, want %d\n%s", path, code, want, out)
		}
	}
}

// The example that comes with the manual verifies for ever, by every way, and
// its checkpoint is the one that the manual shows.
func TestManualExample(t *testing.T) {
	openssl(t)
	read := func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(manualDir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key := func(name string) []*seal.PublicKey {
		t.Helper()
		k, err := seal.ParsePublicKey(read(name))
		if err != nil {
			t.Fatal(err)
		}
		return []*seal.PublicKey{k}
	}
	r, err := ParseReceipt(string(read("example-receipt.txt")))
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.Verify(Keys{Terminal: key("example-terminal.pem"), County: key("example-county.pem")})
	if err != nil || p.Case != "a547a537-7c55-cbc8-053b-1ea1b2c63ccc" || p.Index != 777 || p.Size != 1000 || p.County != CountySigned {
		t.Errorf("%+v, %v", p, err)
	}
	out, code := script(t, nil, receiptScript, "-k", filepath.Join(manualDir, "example-terminal.pem"), "-c", filepath.Join(manualDir, "example-county.pem"),
		filepath.Join(manualDir, "example-receipt.txt"))
	if code != scriptOK || !strings.Contains(out, p.Case) {
		t.Errorf("the script: exit %d\n%s", code, out)
	}
	note, err := r.Note()
	if err != nil {
		t.Fatal(err)
	}
	shown := string(read("appendix-verify.md"))
	for line := range strings.Lines(string(note)) {
		if line != "\n" && !strings.Contains(shown, "    "+line) {
			t.Errorf("the manual does not show %q", line)
		}
	}
}

// The phrases of the script, of the manual and of this package are the same.
func TestManualPhrases(t *testing.T) {
	for path, marks := range map[string][2]string{receiptScript: {"<<'PHRASES'\n", "\nPHRASES\n"}, manualDir + "/appendix-verify.md": {"```text\n", "\n```\n"}} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(b), marks[0])
		list, _, ok := strings.Cut(rest, marks[1])
		if want := strings.Join(phrases[:], "\n"); !ok || list != want {
			t.Errorf("%s has\n%s\nwant\n%s", path, list, want)
		}
	}
}
