package app

import (
	"os"
	"testing"

	"cunban/kiosk/cases"
	"cunban/kiosk/paper"
)

// TestPapersOfACase makes every paper and looks at its first page through the
// worker process, as the page of the receipt does.
func TestPapersOfACase(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Renderer = []string{os.Args[0], renderArg} })
	c := h.submit(h.filled("S01", picture(t)))
	h.await("the number", func() bool { return h.state(c.ID) == cases.Accepted })
	claim := zhang(t)
	r, asOf, err := h.Records(t.Context(), "S07", claim, 2026)
	if err != nil {
		t.Fatal(err)
	}
	for name, paperOf := range map[string]func() ([]byte, error){
		"receipt": func() ([]byte, error) {
			return h.Receipt(t.Context(), c.ID, claim, []paper.Material{{Name: "电子表单", How: "屏幕填写"}, {Name: "户口簿", How: "扫描", Pages: 1}})
		},
		"progress":  func() ([]byte, error) { return h.Progress(t.Context(), c.ID, claim) },
		"notice":    func() ([]byte, error) { return h.App.Notice(t.Context(), "S01") },
		"table":     func() ([]byte, error) { return h.Table(t.Context(), "参保缴费记录", r, claim, asOf) },
		"test page": func() ([]byte, error) { return h.TestPage(t.Context()) },
	} {
		pdf, err := paperOf()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		img, err := h.Preview(t.Context(), pdf, 0, 60)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if b := img.Bounds(); b.Dx() < 300 || b.Dy() < 400 {
			t.Errorf("%s: a page of %v", name, b)
		}
	}
	_, err = h.Receipt(t.Context(), "01a21062-1975-7507-b3cd-6f7bc2cbd229", claim, nil)
	words(t, err, "ST-07", "没有找到")
	if _, err := h.Preview(t.Context(), []byte("%PDF-1.7 nonsense"), 0, 60); err == nil {
		t.Error("nonsense has a page")
	}
}
