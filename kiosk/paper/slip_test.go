package paper

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"cunban/kiosk/cases"
)

// slips are all receipts for receipt printers that are looked at.
func slips(t *testing.T) map[string][]byte {
	t.Helper()
	demo := receipt(t, cases.Saved)
	demo.Claim.Demo = true
	long := receipt(t, cases.Returned)
	long.Office.Point = "风陵渡镇黄河金三角承接产业转移示范区第一社区便民就业社保服务点"
	for range 12 {
		long.Received = append(long.Received, Material{Name: "与用人单位签订的劳动合同或者灵活就业的书面说明及其他可以证明就业情况的材料", How: "扫描", Pages: 3})
	}
	plain := receipt(t, cases.Attention)
	plain.QR, plain.Case.LogIndex, plain.Office = "", 0, Office{}
	out := map[string][]byte{}
	for name, r := range map[string]ReceiptData{"slip-saved": receipt(t, cases.Saved), "slip-accepted": receipt(t, cases.Accepted),
		"slip-returned": receipt(t, cases.Returned), "slip-refused": receipt(t, cases.Refused), "slip-demo": demo, "slip-long": long, "slip-plain": plain} {
		pdf, err := Slip(r)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = pdf
	}
	return out
}

func TestSlipsReadAsTheyShould(t *testing.T) {
	tool(t, "pdftotext")
	for name, pdf := range slips(t) {
		t.Run(name, func(t *testing.T) { reads(t, name, pdf) })
	}
}

// TestSlipSaysWhatTheReceiptSays: a receipt on a roll and one on A4 hold the same
// facts, word for word.
func TestSlipSaysWhatTheReceiptSays(t *testing.T) {
	tool(t, "pdftotext")
	text := func(make func(ReceiptData) ([]byte, error), r ReceiptData) string {
		t.Helper()
		pdf, err := make(r)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(read(t, pdf)), "")
	}
	for _, state := range cases.States {
		r := receipt(t, state)
		wide, roll := text(Receipt, r), text(Slip, r)
		head, sentence := StateWords(state)
		facts := []string{head, sentence, r.Case.ServiceName, r.Claim.Name.String(), r.Claim.Number.String(), r.Agent.String(), ModeWords(r.Case.Mode),
			momentText(r.Case.SavedAt), r.Office.County, r.Office.Point, r.Office.Person, r.Office.PersonPhone, r.Office.ComplaintPhone,
			momentText(r.PrintedAt), "操作日志第1234号", owedHint, codeUnder}
		facts = append(facts, r.Case.Outstanding...)
		facts = append(facts, nextSteps(r.Case, r.Office)...)
		facts = append(facts, mendLines(r.Case)...)
		if p := promised(r.Case); p != "" {
			facts = append(facts, p)
		}
		if r.Case.Acceptance != "" {
			facts = append(facts, r.Case.Acceptance, momentText(r.Case.AcceptedAt))
		}
		for _, m := range r.Received {
			facts = append(facts, m.Name+m.how())
		}
		for _, f := range facts {
			f = strings.Join(strings.Fields(f), "")
			// Lines break at other places; poppler gives columns side by side on A4.
			if !strings.Contains(roll, f) {
				t.Errorf("%s: %q is not on the roll", state, f)
			}
		}
		for _, f := range []string{head, r.Claim.Name.String(), r.Case.ServiceName} {
			if strings.Contains(wide, f) != strings.Contains(roll, f) {
				t.Errorf("%s: %q is on one of both", state, f)
			}
		}
		// Saved here is not accepted there, and the other way round.
		for _, other := range cases.States {
			if _, s := StateWords(other); other != state && strings.Contains(roll, s) {
				t.Errorf("%s says what only %s is: %s", state, other, s)
			}
		}
		if r.Case.Acceptance == "" && strings.Contains(roll, "RC2026") {
			t.Errorf("%s has a number of the county", state)
		}
	}
}

// TestSlipIsCutNowhere: every word lies inside the page, and the page is one and
// as wide as the print head.
func TestSlipIsCutNowhere(t *testing.T) {
	tool(t, "pdftotext")
	number := regexp.MustCompile(`(?:width|height|xMin|yMin|xMax|yMax)="([-0-9.]+)"`)
	for name, pdf := range slips(t) {
		cmd := exec.Command("pdftotext", "-bbox", "-", "-")
		cmd.Stdin = bytes.NewReader(pdf)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		var w, h float64
		words, pages := 0, 0
		for l := range strings.Lines(string(out)) {
			var n []float64
			for _, m := range number.FindAllStringSubmatch(l, -1) {
				v, err := strconv.ParseFloat(m[1], 64)
				if err != nil {
					t.Fatal(err)
				}
				n = append(n, v)
			}
			switch {
			case strings.Contains(l, "<page"):
				w, h = n[0], n[1]
				pages++
			case strings.Contains(l, "<word"):
				words++
				if n[0] < 0 || n[2] > w || n[1] < 0 || n[3] > h {
					t.Errorf("%s: a word at %v on a page of %v × %v: %s", name, n, w, h, strings.TrimSpace(l))
				}
			}
		}
		if pages != 1 || words < 30 || w > SlipDots*72.0/SlipDPI || w < SlipDots*72.0/SlipDPI-0.1 {
			t.Errorf("%s: %d pages, %d words, %v points wide", name, pages, words, w)
		}
		if h > 1000*72/25.4 {
			t.Errorf("%s is %.0f mm long", name, h*25.4/72)
		}
		if !IsSlip(pdf) {
			t.Errorf("%s is not taken for a slip", name)
		}
	}
	for name, pdf := range papers(t) {
		if IsSlip(pdf) {
			t.Errorf("%s is taken for a slip", name)
		}
	}
	if IsSlip(nil) || IsSlip([]byte("%PDF-1.4 /MediaBox [0 0 1.2.3 5]")) {
		t.Error("nothing is taken for a slip")
	}
}

func TestSlipSameBytes(t *testing.T) {
	a, b := slips(t), slips(t)
	for name := range a {
		if !bytes.Equal(a[name], b[name]) {
			t.Errorf("%s came out differently", name)
		}
	}
}

// TestSlipPictures leaves every slip as the printer's dots under the folder named
// in the environment, to be looked at.
func TestSlipPictures(t *testing.T) {
	dir := os.Getenv("CUNBAN_PAPERS")
	if dir == "" {
		t.Skip("CUNBAN_PAPERS names no folder for pictures")
	}
	for name, pdf := range slips(t) {
		cmd := exec.Command("pdftoppm", "-r", strconv.Itoa(SlipDPI), "-gray", "-png", "-singlefile", "-", filepath.Join(dir, name))
		cmd.Stdin = bytes.NewReader(pdf)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
}
