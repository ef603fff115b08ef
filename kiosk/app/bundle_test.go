package app

import (
	"bytes"
	"testing"

	"cunban/kiosk/cases"
)

// TestPagesOfOnePaper: several pages of a material come to the county as one
// PDF that holds them unchanged; a single page stays a picture, and pages that
// cannot be bundled are not lost.
func TestPagesOfOnePaper(t *testing.T) {
	h := newHouse(t, func(*Options) {})
	one, two := picture(t), picture(t)
	kept := [][]byte{bytes.Clone(one), bytes.Clone(two)}
	c := h.submit(h.filled("S01", one, two))
	h.await("the number", func() bool { return h.state(c.ID) == cases.Accepted })
	mime, pdf, err := h.county.OpenFile(t.Context(), c.ID, 1, "1-01.sealed", "test")
	if err != nil || mime != "application/pdf" {
		t.Fatalf("%s, %v", mime, err)
	}
	rest := pdf
	for i, p := range kept {
		at := bytes.Index(rest, p)
		if at < 0 {
			t.Fatalf("page %d is not in the PDF, or not in its place", i+1)
		}
		rest = rest[at+len(p):]
	}
	if _, _, err := h.county.OpenFile(t.Context(), c.ID, 1, "1-02.sealed", "test"); err == nil {
		t.Error("there is a second file")
	}
	for name, scans := range map[string][]cases.Scan{
		"one page":      {{Material: "a", Page: 1, MIME: "image/jpeg", Data: one}},
		"two materials": {{Material: "a", Page: 1, MIME: "image/jpeg", Data: one}, {Material: "b", Page: 1, MIME: "image/jpeg", Data: two}},
		"no picture":    {{Material: "a", Page: 1, MIME: "image/jpeg", Data: []byte("x")}, {Material: "a", Page: 2, MIME: "image/jpeg", Data: two}},
		"a PNG":         {{Material: "a", Page: 1, MIME: "image/png", Data: one}, {Material: "a", Page: 2, MIME: "image/jpeg", Data: two}},
	} {
		got := h.bundled(scans)
		if len(got) != len(scans) || got[0].MIME != scans[0].MIME || len(got[len(got)-1].Data) == 0 {
			t.Errorf("%s became %d files", name, len(got))
		}
	}
}
