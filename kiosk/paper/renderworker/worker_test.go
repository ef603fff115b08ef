package renderworker_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/paper"
	"cunban/kiosk/paper/renderworker"
)

// asWorker makes this test binary the worker process.
const asWorker = "CUNBAN_TEST_RENDER"

func TestMain(m *testing.M) {
	switch os.Getenv(asWorker) {
	case "":
		os.Exit(m.Run())
	case "hog":
		os.Exit(hog())
	}
	os.Exit(renderworker.Main(os.Stdin, os.Stdout, os.Stderr))
}

// hog behaves as a document that eats memory does: the process is limited by
// Main, which then takes an empty input, and allocates until the limit.
func hog() int {
	if code := renderworker.Main(strings.NewReader(""), io.Discard, os.Stderr); code != 0 {
		return code
	}
	var kept [][]byte
	for range 40 { // 4 GB
		b := make([]byte, 100<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = append(kept, b)
	}
	fmt.Fprintln(os.Stdout, "no limit held", len(kept))
	return 0
}

func renderer(t *testing.T, mode string) *paper.Renderer {
	t.Helper()
	r := paper.NewRenderer(paper.RendererOptions{Command: []string{os.Args[0]}, Env: []string{asWorker + "=" + mode}, Timeout: time.Minute})
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func receipt(t testing.TB) []byte {
	t.Helper()
	pdf, err := paper.Receipt(paper.ReceiptData{Case: cases.Case{ID: "0193a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", ServiceName: "城乡居民养老保险参保登记",
		State: cases.Saved, Mode: cases.ModeSelf}, PrintedAt: time.Date(2026, 11, 25, 9, 30, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	return pdf
}

// ink is the share of dark pixels in a part of the picture, given in shares of
// its sides.
func ink(img image.Image, x0, y0, x1, y1 float64) float64 {
	b := img.Bounds()
	n, dark := 0, 0
	for y := int(y0 * float64(b.Dy())); y < int(y1*float64(b.Dy())); y++ {
		for x := int(x0 * float64(b.Dx())); x < int(x1*float64(b.Dx())); x++ {
			if r, g, bb, _ := img.At(x, y).RGBA(); r+g+bb < 3*0x8000 {
				dark++
			}
			n++
		}
	}
	return float64(dark) / float64(n)
}

func TestReceiptIsShown(t *testing.T) {
	r := renderer(t, "yes")
	p, err := r.Render(t.Context(), receipt(t), 0, 96)
	if err != nil {
		t.Fatal(err)
	}
	img, err := p.Image()
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); p.Pages != 1 || b.Dx() < 790 || b.Dx() > 800 || b.Dy() < 1118 || b.Dy() > 1128 {
		t.Errorf("%d pages, %v; A4 at 96 dpi has 794×1123", p.Pages, b)
	}
	if s := ink(img, 0.3, 0.06, 0.7, 0.11); s < 0.03 {
		t.Errorf("the title has %.3f of ink: the Chinese font is not shown", s)
	}
	if s := ink(img, 0.1, 0.65, 0.9, 0.75); s > 0.001 {
		t.Errorf("an empty part of the page has %.3f of ink", s)
	}
}

func TestRefusesAndGoesOn(t *testing.T) {
	r := renderer(t, "yes")
	good := receipt(t)
	for name, c := range map[string]struct {
		pdf  []byte
		page int
	}{
		"garbage":       {bytes.Repeat([]byte{0xde, 0xad}, 5000), 0},
		"another kind":  {[]byte("<html><body>x</body></html>"), 0},
		"a mere head":   {[]byte("%PDF-1.7\n"), 0},
		"no such page":  {good, 5},
		"an open shape": {[]byte("%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj 3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 999999 999999]>>endobj trailer<</Root 1 0 R>>"), 0},
	} {
		if p, err := r.Render(t.Context(), c.pdf, c.page, 72); !errors.Is(err, paper.ErrDocument) && !errors.Is(err, paper.ErrWorker) || p.PNG != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := r.Render(t.Context(), good, 0, 40); err != nil {
			t.Fatalf("after %s: %v", name, err)
		}
	}
}

func TestCutOffDocumentsNeverReachTheParent(t *testing.T) {
	r := renderer(t, "yes")
	good := receipt(t)
	for n := 1; n < 12; n++ {
		b := bytes.Clone(good[:len(good)*n/12])
		for i := 50; i < len(b); i += 997 {
			b[i] ^= byte(n * 37)
		}
		if _, err := r.Render(t.Context(), b, 0, 30); err != nil && !errors.Is(err, paper.ErrDocument) && !errors.Is(err, paper.ErrWorker) {
			t.Errorf("%d twelfths: %v", n, err)
		}
	}
	if _, err := r.Render(t.Context(), good, 0, 40); err != nil {
		t.Errorf("did not heal: %v", err)
	}
}

func TestMemoryIsLimited(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asWorker+"=hog")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	// Under the race detector it is the detector that gets no memory.
	said := errs.String
	if err := cmd.Run(); err == nil || out.Len() > 0 || !strings.Contains(said(), "out of memory") && !strings.Contains(said(), "failed to allocate") {
		t.Errorf("a worker that takes 4 GB ended with %v, %s %.200s", err, &out, &errs)
	}
	if _, err := renderer(t, "hog").Render(t.Context(), receipt(t), 0, 40); !errors.Is(err, paper.ErrWorker) {
		t.Errorf("a worker that takes 4 GB: %v", err)
	}
}

func TestLeavingThePageStopsTheWorker(t *testing.T) {
	r := renderer(t, "yes")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Render(ctx, receipt(t), 0, 40); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := r.Render(t.Context(), receipt(t), 0, 40); err != nil {
		t.Errorf("did not heal: %v", err)
	}
}

// Serve runs here in the test's own process, with requests that are wrong.
func TestServeRefusesBadRequests(t *testing.T) {
	var in, out bytes.Buffer
	for _, req := range [][]byte{{1, 2, 3}, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 0), 5000)} {
		if err := paper.WriteFrame(&in, req); err != nil {
			t.Fatal(err)
		}
	}
	if err := renderworker.Serve(&in, &out); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		b, err := paper.ReadFrame(&out, 1000)
		if err != nil || b[0] != paper.StatusRefused {
			t.Errorf("%v, %v", b, err)
		}
	}
}

func BenchmarkReceipt(b *testing.B) {
	r := paper.NewRenderer(paper.RendererOptions{Command: []string{os.Args[0]}, Env: []string{asWorker + "=yes"}})
	defer func() { _ = r.Close() }()
	pdf := receipt(b)
	for b.Loop() {
		if _, err := r.Render(b.Context(), pdf, 0, 96); err != nil {
			b.Fatal(err)
		}
	}
}
