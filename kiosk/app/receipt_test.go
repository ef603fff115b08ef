package app

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/paper"
	"cunban/kiosk/seal"
	"cunban/sync/wire"
)

// TestReceiptProvesTheCase takes the printed receipt of a case, reads its code
// as a telephone does, and has it checked by us and by the manual's script,
// with the keys that the county has: once as it came from the printer right
// after the case was saved, and once printed again when the county had signed
// the log. The exported log is checked by the manual's other script.
func TestReceiptProvesTheCase(t *testing.T) {
	for _, name := range []string{"openssl", "pdftoppm", "zbarimg"} {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CUNBAN_CI") == "1" {
				t.Fatalf("%s is not installed", name)
			}
			t.Skipf("%s is not installed", name)
		}
	}
	h := newHouse(t)
	ctx, dir, claim := t.Context(), t.TempDir(), zhang(t)
	c := h.submit(h.filled("S01", picture(t)))
	scan := func() string {
		t.Helper()
		pdf, err := h.Receipt(ctx, c.ID, claim, []paper.Material{{Name: "户口簿", How: "扫描", Pages: 1}})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(ctx, "pdftoppm", "-r", "200", "-gray", "-singlefile", "-", filepath.Join(dir, "page"))
		cmd.Stdin = bytes.NewReader(pdf)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		text, err := exec.CommandContext(ctx, "zbarimg", "-q", "--raw", filepath.Join(dir, "page.pgm")).Output()
		if err != nil {
			t.Fatalf("zbarimg: %v", err)
		}
		return string(text)
	}
	first := scan()
	h.await("the number", func() bool { return h.state(c.ID) == cases.Accepted })
	id, _ := h.identity()
	var log oplog.Checkpoint
	h.await("the county's signature", func() bool { return h.handIn(id.ID, &log) && log.Size > c.LogIndex })

	l, err := h.county.Log(ctx, id.ID)
	if err != nil {
		t.Fatal(err)
	}
	key, err := seal.ParsePublicKeyDER(l.Key)
	if err != nil {
		t.Fatal(err)
	}
	county := h.county.Keys().Sign.Public()
	path := func(name string, b []byte) string {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	terminalPEM, countyPEM := path("terminal.pem", key.PEM()), path("county.pem", county.PEM())
	sh := func(script string, args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(ctx, "sh", append([]string{"../../assets/manual/" + script, "-k", terminalPEM, "-c", countyPEM}, args...)...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
		return string(out)
	}
	for _, printed := range []struct {
		text   string
		county oplog.Countersigning
	}{{first, oplog.CountyAbsent}, {scan(), oplog.CountySigned}} {
		r, err := oplog.ParseReceipt(printed.text)
		if err != nil {
			t.Fatal(err)
		}
		p, err := r.Verify(oplog.Keys{Terminal: []*seal.PublicKey{key}, County: []*seal.PublicKey{county}})
		if err != nil || p.Case != c.ID || p.Service != "S01" || p.Index != c.LogIndex || p.County != printed.county || !p.Demo {
			t.Errorf("%+v, %v, want it %s", p, err, printed.county)
		}
		if out := sh("verify-receipt.sh", "-n", strings.ToUpper(c.ID), path("code.txt", []byte(printed.text))); !strings.Contains(out, printed.county.Text()) {
			t.Errorf("want it %s:\n%s", printed.county, out)
		}
		for _, secret := range []string{claim.Name.Reveal(), claim.Number.Reveal()} {
			if bytes.Contains(r.Record, []byte(secret)) {
				t.Error("the code names a person")
			}
		}
	}
	exported, err := h.ExportLog(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if out := sh("verify-log.sh", exported); !strings.Contains(out, "日志完整") || !strings.Contains(out, "县里会签  到第") {
		t.Error(out)
	}
}

// handIn brings the log to the county and its signature back, as the engine
// does now and then, and tells what it signed; false when the engine came
// between.
func (h *house) handIn(terminal string, signed *oplog.Checkpoint) bool {
	h.t.Helper()
	ctx := h.t.Context()
	l, err := h.county.Log(ctx, terminal)
	since := l.Size
	if err != nil {
		since = 0
	}
	note, proof, err := h.vault.Checkpoint(ctx, since)
	if err != nil {
		return false
	}
	r, err := h.county.Checkpoint(ctx, terminal, wire.CheckpointPut{Note: string(note), Since: since, Proof: proof, PublicKey: h.vault.PublicKey().DER()})
	if err != nil || h.vault.Countersign(ctx, []byte(r.Note)) != nil {
		return false
	}
	*signed, err = oplog.PeekCheckpoint([]byte(r.Note))
	return err == nil
}
