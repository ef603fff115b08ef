package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/paper"
	"cunban/kiosk/seal"
	"cunban/kiosk/vault"
	"cunban/kiosk/vault/keys"
)

// printed is a terminal's receipt with all that is needed to check it.
type printed struct {
	dir  string
	text string
	id   string // of the case
	pdf  []byte
}

// file is the path of one of the keys, or of what the test puts there.
func (p printed) file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(p.dir, name)
	if content != nil {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// newPrinted submits a case to a new vault and prints its receipt; countersigned
// with a key of the county when counter is set.
func newPrinted(t *testing.T, counter bool) printed {
	t.Helper()
	ctx := t.Context()
	p := printed{dir: t.TempDir()}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir, key := filepath.Join(p.dir, "vault"), filepath.Join(p.dir, "disk.key")
	must(fill(dir, key))
	v, err := vault.Open(ctx, vault.Options{Dir: dir, Keys: []keys.Source{keys.File{Path: key, Rand: rand.Reader}}, Version: "test", MinFree: 1})
	must(err)
	defer func() { must(v.Close(context.WithoutCancel(ctx))) }()
	rs, err := v.LogQuery(ctx, vault.LogFilter{Event: oplog.CaseSubmit})
	must(err)
	p.id = rs[0].CaseID
	county, err := seal.GenerateKey(rand.Reader)
	must(err)
	lp, err := v.LogProof(ctx, p.id)
	must(err)
	if counter {
		lp.Note, err = oplog.Countersign(rand.Reader, lp.Note, oplog.CountyName, county)
		must(err)
	}
	r, err := oplog.NewReceipt(lp.Record, lp.Hashes, lp.Note)
	must(err)
	p.text = r.Text()
	cs, err := v.Case(ctx, p.id)
	must(err)
	p.pdf, err = paper.Receipt(paper.ReceiptData{Case: cs, QR: p.text, PrintedAt: time.Date(2026, 11, 25, 9, 30, 0, 0, time.UTC)})
	must(err)
	p.file(t, "terminal.pem", v.PublicKey().PEM())
	p.file(t, "county.pem", county.Public().PEM())
	return p
}

// check runs receipt verify with the terminal's key.
func (p printed) check(t *testing.T, stdin string, want int, args ...string) (out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	c := &command{ctx: t.Context(), out: &o, errs: &e}
	args = append([]string{"--terminal-key", p.file(t, "terminal.pem", nil)}, args...)
	if code := max(c.receiptVerify(args, strings.NewReader(stdin)), exitOK); code != want {
		t.Errorf("receipt verify %.80q: exit %d, want %d\n%s%s", args, code, want, o.String(), e.String())
	}
	return o.String(), e.String()
}

func TestReceiptVerify(t *testing.T) {
	for _, counter := range []bool{false, true} {
		p := newPrinted(t, counter)
		county := p.file(t, "county.pem", nil)
		for name, args := range map[string][]string{
			"text":           {"--text", p.text},
			"file":           {"--file", p.file(t, "code.txt", []byte("QR-Code:"+p.text+"\r\n"))},
			"standard input": nil,
			"number":         {"--case", strings.ToUpper(p.id) + " "},
			"two keys":       {"--terminal-key", county},
		} {
			out, _ := p.check(t, p.text, exitOK, args...)
			for _, want := range []string{"核对无误", strings.ToUpper(p.id), "S01 城乡居民养老保险参保登记", "第 1 次", "号记录", "cunban/log-", "北京时间"} {
				if !strings.Contains(out, want) {
					t.Errorf("%s: no %q in\n%s", name, want, out)
				}
			}
		}
		out, _ := p.check(t, p.text, exitOK, "--county-key", county)
		if want := map[bool]string{false: "这张回执里没有县里的会签", true: "县里已会签，签名正确"}[counter]; !strings.Contains(out, want) {
			t.Errorf("countersigned %v:\n%s", counter, out)
		}
		var a receiptAnswer
		out, _ = p.check(t, p.text, exitOK, "--json", "--county-key", county)
		if err := json.Unmarshal([]byte(out), &a); err != nil || !a.OK || a.Case != p.id || a.Service != "S01" || a.Index == nil || a.Size <= *a.Index || a.Key == "" ||
			(a.County == oplog.CountySigned) != counter {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

func TestReceiptVerifyRefuses(t *testing.T) {
	p, other := newPrinted(t, true), newPrinted(t, true)
	for _, tc := range []struct {
		name, text string
		args       []string
		code       int
		problem    string
		words      string
	}{
		{"half", p.text[:len(p.text)/2], nil, exitTorn, "torn", "重新扫一遍"},
		{"one character", p.text[:99] + string('A'+(p.text[99]+1)%26) + p.text[100:], nil, exitTorn, "torn", "不全"},
		{"empty", "", nil, exitNoReceipt, "not-a-receipt", "右下角"},
		{"another code", "https://example.com/", nil, exitNoReceipt, "not-a-receipt", "不是办件回执"},
		{"a later version", "CUNBAN2:" + p.text[8:], nil, exitNoReceipt, "version", "另一版"},
		{"another terminal's", other.text, nil, exitOtherKey, "key", "公钥"},
		{"another county", p.text, []string{"--county-key", other.file(t, "county.pem", nil)}, exitOtherKey, "key", "公钥"},
		{"forged", forged(t, p.text, other.text), nil, exitFalse, "false", "改过"},
		{"another case", p.text, []string{"--case", other.id}, exitOtherCase, "case", "另一件"},
	} {
		_, errs := p.check(t, tc.text, tc.code, tc.args...)
		if !strings.Contains(errs, tc.words) {
			t.Errorf("%s: no %q in\n%s", tc.name, tc.words, errs)
		}
		var a receiptAnswer
		out, _ := p.check(t, tc.text, tc.code, append([]string{"--json"}, tc.args...)...)
		if err := json.Unmarshal([]byte(out), &a); err != nil || a.OK || a.Problem != tc.problem || a.Case != "" || a.Detail == "" {
			t.Errorf("%s: %v\n%s", tc.name, err, out)
		}
	}
	nothing := filepath.Join(p.dir, "nothing")
	p.check(t, "", exitFailed, "--file", nothing)
	p.check(t, "", exitFailed, "--terminal-key", nothing)
	p.check(t, "", exitFailed, "--county-key", p.file(t, "code.txt", []byte("no key")))
	p.check(t, "", exitUsage, "--text", p.text, "--file", nothing)
	p.check(t, "", exitUsage, "surplus")
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"receipt", "verify", "--text", p.text}, &out, &errs); code != exitUsage || !strings.Contains(errs.String(), "--terminal-key") {
		t.Errorf("without a key: %d %s", code, errs.String())
	}
	if code := run(t.Context(), []string{"receipt"}, &out, &errs); code != exitUsage {
		t.Errorf("receipt alone: %d", code)
	}
	for _, x := range receiptProblems {
		if x.name == "" || x.code <= exitNotRunning || !strings.HasSuffix(x.words, "。") {
			t.Errorf("%v: %+v", x.err, x.receiptProblem)
		}
	}
}

// forged is the first receipt with the record of the second, as somebody who
// has no key can make it.
func forged(t *testing.T, text, other string) string {
	t.Helper()
	a, err := oplog.ParseReceipt(text)
	if err != nil {
		t.Fatal(err)
	}
	b, err := oplog.ParseReceipt(other)
	if err != nil {
		t.Fatal(err)
	}
	a.Record = b.Record
	return a.Text()
}

// A PDF, a picture of it, and pictures of nothing.
func TestReceiptVerifyReadsPaper(t *testing.T) {
	for _, name := range []string{zbarimg, pdftoppm} {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CUNBAN_CI") == "1" {
				t.Fatalf("%s is not installed", name)
			}
			t.Skipf("%s is not installed", name)
		}
	}
	p := newPrinted(t, false)
	pdf := p.file(t, "receipt.pdf", p.pdf)
	p.check(t, "", exitOK, "--file", pdf, "--case", p.id)
	p.check(t, string(p.pdf), exitOK)
	png, err := exec.CommandContext(t.Context(), pdftoppm, "-r", "200", "-png", "-singlefile", pdf, filepath.Join(p.dir, "scan")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, png)
	}
	p.check(t, "", exitOK, "--file", filepath.Join(p.dir, "scan.png"))
	blank, err := paper.Receipt(paper.ReceiptData{Case: cases.Case{ID: p.id, State: cases.Saved, Mode: cases.ModeSelf}})
	if err != nil {
		t.Fatal(err)
	}
	if _, errs := p.check(t, "", exitNoReceipt, "--file", p.file(t, "blank.pdf", blank)); !strings.Contains(errs, "没有找到二维码") {
		t.Errorf("a receipt without a code:\n%s", errs)
	}
	p.check(t, "", exitFailed, "--file", p.file(t, "broken.pdf", p.pdf[:99]))
	p.check(t, "", exitFailed, "--file", p.file(t, "broken.png", []byte("\x89PNG\r\n\x1a\n\x00")))
	t.Setenv("PATH", t.TempDir())
	if _, errs := p.check(t, "", exitFailed, "--file", pdf); !strings.Contains(errs, fmt.Sprintf("apt install %s", popplerPackage)) {
		t.Errorf("without poppler:\n%s", errs)
	}
}
