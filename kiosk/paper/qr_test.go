package paper

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/transparency-dev/merkle/proof"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/seal"
)

// codeOf makes the code of a receipt of a record of a log. The hashes are made
// up, and the rest made to fit: it verifies with the key.
func codeOf(t *testing.T, index, records int64) (text string, key *seal.PublicKey) {
	t.Helper()
	random := func(n int) []byte {
		b := make([]byte, n)
		_, _ = rand.Read(b)
		return b
	}
	uuid := func() string {
		s := hex.EncodeToString(random(16))
		return strings.Join([]string{s[:8], s[8:12], s[12:16], s[16:20], s[20:]}, "-")
	}
	r := oplog.Entry{Event: oplog.CaseSubmit, Role: oplog.RoleResident, Session: 4711, CaseID: uuid(), Private: random(oplog.HashSize),
		Fields: map[string]string{"service": "S01", "revision": "1", "mode": "self", "verification": "verified_online", "confirmed": "false",
			"catalogue": "2026.11.1", "body": hex.EncodeToString(random(oplog.HashSize)), "files": "5", "key": hex.EncodeToString(random(8))},
	}.Record(oplog.Stamp{Seq: index, Wall: at, Mono: 123456789012345, BootID: uuid(), Version: "1.0.0"})
	r.MAC = random(oplog.HashSize)
	line := r.Encode()
	var hashes [][]byte
	need, err := proof.Inclusion(uint64(index), uint64(records))
	if err != nil {
		t.Fatal(err)
	}
	rehashed, err := need.Rehash(make([][]byte, len(need.IDs)), func(_, _ []byte) []byte { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for range rehashed {
		hashes = append(hashes, random(oplog.HashSize))
	}
	root, err := proof.RootFromInclusionProof(oplog.Hasher, uint64(index), uint64(records), oplog.LeafHash(line), hashes)
	if err != nil {
		t.Fatal(err)
	}
	k, err := seal.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	origin := oplog.Origin(k.Public())
	note, err := oplog.SignCheckpoint(rand.Reader, oplog.Checkpoint{Origin: origin, Size: records, Root: root}, origin, k)
	if err != nil {
		t.Fatal(err)
	}
	rc, err := oplog.NewReceipt(line, hashes, note)
	if err != nil {
		t.Fatal(err)
	}
	return rc.Text(), k.Public()
}

// fixedCode is as long as the longest of a log with a million records.
var fixedCode = "CUNBAN1:" + strings.Repeat("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ$%*+-./:", 33)

// TestCodeIsRead prints receipts of logs of all sizes, looks at the paper as a
// scanner or an old telephone does, straight and askew and out of focus, and
// checks what it read.
func TestCodeIsRead(t *testing.T) {
	for _, name := range []string{"pdfinfo", "pdftoppm", "convert", "zbarimg"} {
		tool(t, name)
	}
	looks := []struct {
		name string
		dpi  int
		edit []string // of ImageMagick
	}{
		{"203 dpi printer, thresholded", 203, []string{"-threshold", "50%"}},
		{"200 dpi scan", 200, nil},
		{"200 dpi, 3° askew, blurred", 200, []string{"-background", "white", "-rotate", "3", "-blur", "0x0.8"}},
		{"300 dpi scan", 300, nil},
		{"300 dpi, 7° askew, blurred", 300, []string{"-background", "white", "-rotate", "-7", "-blur", "0x1.5"}},
	}
	for _, log := range []struct {
		name        string
		index, size int64
	}{
		{"ten records, most hashes", 0, 10},
		{"ten thousand, most", 0, 10_000},
		{"a million, usual", 0b10101010101010101010, 0b10101010101010101011},
		{"a million, most", 0, 1_000_000},
		{"ten million, most", 0, 10_000_000},
	} {
		text, key := codeOf(t, log.index, log.size)
		check := func(r ReceiptData, dpi int, edit []string) (string, error) {
			t.Helper()
			r.QR = text
			pdf, err := Receipt(r)
			if err != nil {
				t.Fatal(err)
			}
			got := scan(t, pdf, dpi, edit)
			rc, err := oplog.ParseReceipt(got)
			if err == nil {
				_, err = rc.Verify(oplog.Keys{Terminal: []*seal.PublicKey{key}})
			}
			return got, err
		}
		side := len(encodeQR(text, codeSide))
		t.Logf("%s: %d characters, version %d, %d modules of %.2f mm", log.name, len(text), (side-17)/4, side, codeSide/float64(side))
		if module := codeSide / float64(side); module < 0.46 {
			t.Errorf("modules of %.2f mm", module)
		}
		for _, l := range looks {
			if got, err := check(receipt(t, cases.Accepted), l.dpi, l.edit); err != nil {
				t.Errorf("%s, %s: %v (read %d characters)", log.name, l.name, err, len(got))
			}
		}
		// At one dot for each module nothing can be read: the looks are real.
		if got, err := check(receipt(t, cases.Accepted), int(25.4/codeSide*float64(side)), []string{"-blur", "0x1"}); err == nil {
			t.Errorf("%s: %d characters read at one dot a module", log.name, len(got))
		} else {
			t.Logf("%s, one dot a module: not read", log.name)
		}
	}
}

// scan prints the lower right quarter of the last page and reads its code.
func scan(t *testing.T, pdf []byte, dpi int, edit []string) string {
	t.Helper()
	dir := t.TempDir()
	corner := fmt.Sprint(int(pageW / 2 / 25.4 * float64(dpi)))
	half := fmt.Sprint(int(pageH / 2 / 25.4 * float64(dpi)))
	info := exec.Command("pdfinfo", "-")
	info.Stdin = bytes.NewReader(pdf)
	pages, err := info.Output()
	if err != nil {
		t.Fatal(err)
	}
	last := regexp.MustCompile(`Pages: *(\d+)`).FindStringSubmatch(string(pages))[1]
	cmd := exec.Command("pdftoppm", "-r", fmt.Sprint(dpi), "-f", last, "-gray", "-singlefile", "-x", corner, "-W", corner, "-y", half, "-H", half, "-", filepath.Join(dir, "page"))
	cmd.Stdin = bytes.NewReader(pdf)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pdftoppm: %v\n%s", err, out)
	}
	page := filepath.Join(dir, "page.pgm")
	if edit != nil {
		args := append(append([]string{page}, edit...), page)
		if out, err := exec.Command("convert", args...).CombinedOutput(); err != nil {
			t.Fatalf("convert: %v\n%s", err, out)
		}
	}
	out, err := exec.Command("zbarimg", "-q", "--raw", "-Sdisable", "-Sqrcode.enable", page).Output()
	if err != nil {
		t.Logf("zbarimg: %v", err)
	}
	return string(out)
}

// Text that no code of this size can hold leaves the receipt without one.
func TestTooMuchForACode(t *testing.T) {
	for n, level := range map[int]bool{10: true, 2300: true, 2600: true, 4200: false, 5000: false} {
		if bits := encodeQR(strings.Repeat("A", n), codeSide); (bits != nil) != level {
			t.Errorf("%d characters: %d modules", n, len(bits))
		}
	}
	r := receipt(t, cases.Saved)
	r.QR = strings.Repeat("A", 5000)
	if _, err := Receipt(r); err != nil {
		t.Error(err)
	}
}
