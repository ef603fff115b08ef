package paper

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/catalog"
	"cunban/kiosk/resident"
)

var update = flag.Bool("update", false, "write the golden texts anew")

var at = time.Date(2026, 11, 25, 9, 30, 0, 0, time.FixedZone("CST", 8*3600))

func office() Office {
	return Office{County: "芮城县人力资源和社会保障局", Point: "古魏镇太安村就业社保服务点", Address: "太安村村委会一楼",
		Hours: "周一至周五 8:30—12:00、14:30—18:00", Terminal: "140830-001", Person: "李某某", PersonPhone: "0359-3000001",
		ComplaintPhone: "0359-3000002"}
}

func claim(t *testing.T, name string) resident.Claim {
	t.Helper()
	n, err := resident.ParseIDNumber("140830195603120024")
	if err != nil {
		t.Fatal(err)
	}
	return resident.Claim{Number: n, Name: resident.NewName(name), NameExact: true}
}

func aCase(state cases.State) cases.Case {
	c := cases.Case{ID: "0193a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", Revision: 1, Service: "S01", ServiceName: "城乡居民养老保险参保登记",
		State: state, SavedAt: at.Add(-time.Hour), DueDate: "2026-12-09", Mode: cases.ModeSelf, LogIndex: 1234,
		Outstanding: []string{"户口簿（户主页和本人页）"}}
	if state != cases.Saved && state != cases.Attention {
		c.Acceptance, c.AcceptedAt = "RC20261125000017", at.Add(-time.Minute)
	}
	if state == cases.Returned {
		c.Mend = []cases.Mend{{Field: "account", Label: "社保卡银行账号", Reason: "开户银行和账号对不上，请重新填写。"}, {Reason: "户口簿照片太暗。"}}
		c.Note = "其余材料齐全，补好这两项就可以办。"
	}
	if state == cases.Refused {
		c.Note = "您已经参加城镇职工基本养老保险，不能同时参加城乡居民养老保险。"
	}
	return c
}

func receipt(t *testing.T, state cases.State) ReceiptData {
	t.Helper()
	return ReceiptData{Case: aCase(state), Claim: claim(t, "欧阳小花"), Agent: resident.NewName("张三丰"), Office: office(), PrintedAt: at,
		Received: []Material{{Name: "社会保障卡", How: "读卡"}, {Name: "参保登记表", How: "电子表单"}, {Name: "居民身份证", How: "拍照", Pages: 2}}, QR: fixedCode}
}

func service(t *testing.T, id string) *catalog.Service {
	t.Helper()
	c, err := catalog.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	return c.Service(id)
}

// papers are all papers that are looked at, made once for all tests.
func papers(t *testing.T) map[string][]byte {
	t.Helper()
	made.Lock()
	defer made.Unlock()
	if made.papers == nil {
		made.papers = makePapers(t)
	}
	return made.papers
}

var made struct {
	sync.Mutex
	papers map[string][]byte
}

func makePapers(t *testing.T) map[string][]byte {
	t.Helper()
	must := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	demo := receipt(t, cases.Saved)
	demo.Claim.Demo = true
	full := receipt(t, cases.Returned)
	for range 12 {
		full.Received = append(full.Received, Material{Name: "与用人单位签订的劳动合同或者灵活就业的书面说明及其他可以证明就业情况的材料", How: "扫描", Pages: 3})
	}
	events := []cases.Event{{At: at.Add(-72 * time.Hour), State: cases.Saved, Text: "本人在终端提交，已保存"},
		{At: at.Add(-71 * time.Hour), State: cases.Accepted, Text: "县里已受理，受理编号 RC20261125000017"},
		{At: at.Add(-2 * time.Hour), State: cases.Returned, Text: "县里请您补正：社保卡银行账号"}}
	report := ReportData{Title: "设备自检报告", Technician: "T0042", Office: office(), PrintedAt: at, Signatures: []string{"技术员", "村负责人"},
		Sections: []ReportSection{
			{Title: "设备", Lines: []ReportLine{
				{Name: "社保卡读卡器", Value: "Generic CCID Reader 00 00", Mark: MarkPass},
				{Name: "身份证读卡器", Value: "没有找到", Mark: MarkFail, Remedy: "看看身份证读卡器的数据线，换一个 USB 口再试。"},
				{Name: "打印机", Value: "纸快用完了", Mark: MarkWarn, Remedy: "请添一些 A4 纸。"},
				{Name: "扫描仪", Value: "没有安装", Mark: MarkSkip}}},
			{Title: "系统", Lines: []ReportLine{{Name: "程序版本", Value: "0.1.0"}, {Name: "密钥来源", Value: "TPM", Mark: MarkPass}}}}}
	return map[string][]byte{
		"receipt-saved":    must(Receipt(receipt(t, cases.Saved))),
		"receipt-accepted": must(Receipt(receipt(t, cases.Accepted))),
		"receipt-returned": must(Receipt(receipt(t, cases.Returned))),
		"receipt-refused":  must(Receipt(receipt(t, cases.Refused))),
		"receipt-demo":     must(Receipt(demo)),
		"receipt-full":     must(Receipt(full)),
		"notice-S01":       must(Notice(NoticeData{Service: service(t, "S01"), Office: office(), PrintedAt: at})),
		"notice-J01":       must(Notice(NoticeData{Service: service(t, "J01"), PrintedAt: at})),
		"progress":         must(Progress(ProgressData{Case: aCase(cases.Returned), Claim: claim(t, "欧阳小花"), Events: events, Office: office(), PrintedAt: at})),
		"report":           must(Report(report)),
	}
}

func tool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("CUNBAN_CI") == "1" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
}

// read is what a person finds on the paper, by poppler, page by page.
func read(t *testing.T, pdf []byte) string {
	t.Helper()
	cmd := exec.Command("pdftotext", "-layout", "-nopgbrk", "-", "-")
	cmd.Stdin = bytes.NewReader(pdf)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pdftotext: %v", err)
	}
	var lines []string
	for l := range strings.Lines(string(out)) {
		if f := strings.Join(strings.Fields(l), " "); f != "" {
			lines = append(lines, f)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

func TestPapersReadAsTheyShould(t *testing.T) {
	tool(t, "pdftotext")
	for name, pdf := range papers(t) {
		t.Run(name, func(t *testing.T) { reads(t, name, pdf) })
	}
}

// reads holds a paper to its golden text, to what must not stand on it, and to
// its mark.
func reads(t *testing.T, name string, pdf []byte) {
	t.Helper()
	got := read(t, pdf)
	golden := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("reads:\n%s\nwant:\n%s", got, want)
	}
	for _, secret := range []string{"欧阳小花", "140830195603120024", "19560312", "张三丰"} {
		if strings.Contains(strings.ReplaceAll(got, " ", ""), secret) {
			t.Errorf("%q stands on the paper in clear", secret)
		}
	}
	if demo := strings.Contains(got, "演示"); demo != strings.Contains(name, "demo") {
		t.Errorf("marked as a demonstration: %v", demo)
	}
}

// TestPictures leaves every paper as PNG under the folder named in the
// environment, to be looked at.
func TestPictures(t *testing.T) {
	dir := os.Getenv("CUNBAN_PAPERS")
	if dir == "" {
		t.Skip("CUNBAN_PAPERS names no folder for pictures")
	}
	for name, pdf := range papers(t) {
		cmd := exec.Command("pdftoppm", "-r", "60", "-png", "-", filepath.Join(dir, name))
		cmd.Stdin = bytes.NewReader(pdf)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
}

func TestSameDataSameBytes(t *testing.T) {
	a, b := papers(t), makePapers(t)
	for name := range a {
		if !bytes.Equal(a[name], b[name]) {
			t.Errorf("%s came out differently", name)
		}
	}
}

func TestReceiptIsOnePageAndSmall(t *testing.T) {
	tool(t, "pdfinfo")
	for name, pdf := range papers(t) {
		cmd := exec.Command("pdfinfo", "-")
		cmd.Stdin = bytes.NewReader(pdf)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !strings.Contains(string(out), "A4") {
			t.Errorf("%s is not A4", name)
		}
		one := strings.Contains(string(out), "Pages:           1\n")
		if strings.HasPrefix(name, "receipt") && one != (name != "receipt-full") {
			t.Errorf("%s: one page is %v", name, one)
		}
		if len(pdf) > 400<<10 {
			t.Errorf("%s has %d bytes", name, len(pdf))
		}
	}
}

func TestMissingGlyphIsRemarked(t *testing.T) {
	tool(t, "pdftotext")
	r := receipt(t, cases.Saved)
	r.Received = []Material{{Name: "𱍐氏家谱"}} // U+31350, beyond the font
	r.Case.Note = "磑字要能显示"
	pdf, err := Receipt(r)
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, pdf)
	for _, want := range []string{"〿氏家谱", "U+31350", "以证件原字为准", "磑字要能显示"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not on the paper:\n%s", want, got)
		}
	}
}

func TestDemoIsOnEveryPage(t *testing.T) {
	tool(t, "pdftotext")
	r := receipt(t, cases.Saved)
	r.Demo = true
	for range 30 {
		r.Received = append(r.Received, Material{Name: "证明材料"})
	}
	pdf, err := Receipt(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"1", "2"} {
		cmd := exec.Command("pdftotext", "-f", page, "-l", page, "-", "-")
		cmd.Stdin = bytes.NewReader(pdf)
		out, err := cmd.Output()
		if err != nil || !strings.Contains(string(out), "不作办事凭证") {
			t.Errorf("page %s: %v, %q", page, err, out)
		}
	}
}

func TestEveryServiceHasANotice(t *testing.T) {
	c, err := catalog.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := range c.Services {
		if _, err := Notice(NoticeData{Service: &c.Services[i], Office: office(), PrintedAt: at}); err != nil {
			t.Errorf("%s: %v", c.Services[i].ID, err)
		}
		n++
	}
	if n < 40 {
		t.Errorf("%d services", n)
	}
	if _, err := Notice(NoticeData{}); err == nil {
		t.Error("a notice without a service")
	}
}

func TestStateWordsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range cases.States {
		h, sentence := StateWords(s)
		if h == "" || sentence == "" || h == "状态不明" || seen[h] {
			t.Errorf("%s: %q %q", s, h, sentence)
		}
		seen[h] = true
		if _, err := Receipt(receipt(t, s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
}
