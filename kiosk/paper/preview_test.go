package paper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"sync"
	"testing"
	"time"
)

// workerMode makes this test binary a worker process with a fault.
const workerMode = "CUNBAN_TEST_WORKER"

func TestMain(m *testing.M) {
	if mode := os.Getenv(workerMode); mode != "" {
		os.Exit(faultyWorker(mode))
	}
	os.Exit(m.Run())
}

// faultyWorker speaks the protocol and fails when the document says so.
func faultyWorker(mode string) int {
	for {
		b, err := ReadFrame(os.Stdin, MaxPDF+64)
		if err != nil {
			return 0
		}
		page, dpi, pdf, err := ParseRequest(b)
		if err != nil {
			return 2
		}
		var buf bytes.Buffer
		if err := png.Encode(&buf, image.NewGray(image.Rect(0, 0, dpi, page+1))); err != nil {
			return 2
		}
		switch string(pdf) {
		case "crash":
			fmt.Fprintln(os.Stderr, "MuPDF: assertion failed")
			os.Exit(134)
		case "hang":
			<-time.After(time.Hour) // a process of its own: the parent kills it
		case "refuse":
			err = WriteFrame(os.Stdout, ReplyHead(StatusRefused, 3), []byte("broken xref"))
		case "garbage":
			err = WriteFrame(os.Stdout, ReplyHead(StatusPicture, 1), []byte("no png"))
		case "flood":
			_, err = os.Stdout.Write([]byte{0xff, 0xff, 0xff, 0xff})
		case "half":
			_, _ = os.Stdout.Write([]byte{0, 0, 1, 0, 0})
			return 0
		case "status":
			err = WriteFrame(os.Stdout, ReplyHead(77, 0))
		case "short":
			err = WriteFrame(os.Stdout, []byte{0})
		case "pid":
			err = WriteFrame(os.Stdout, ReplyHead(StatusPicture, os.Getpid()), buf.Bytes())
		default:
			err = WriteFrame(os.Stdout, ReplyHead(StatusPicture, 9), buf.Bytes())
		}
		if err != nil {
			return 2
		}
	}
}

func faulty(t *testing.T) *Renderer {
	t.Helper()
	r := NewRenderer(RendererOptions{Command: []string{os.Args[0]}, Env: []string{workerMode + "=1"}, Timeout: 30 * time.Second})
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func TestWorkerFaultsAndHeals(t *testing.T) {
	r := faulty(t)
	for doc, want := range map[string]error{"crash": ErrWorker, "garbage": ErrWorker, "flood": ErrWorker, "half": ErrWorker,
		"status": ErrWorker, "short": ErrWorker, "refuse": ErrDocument} {
		if p, err := r.Render(t.Context(), []byte(doc), 0, 72); !errors.Is(err, want) || p.PNG != nil {
			t.Errorf("%s: %v, want %v", doc, err, want)
		}
		p, err := r.Render(t.Context(), []byte("good"), 1, 100)
		if err != nil || p.Pages != 9 {
			t.Fatalf("after %s: %+v, %v", doc, p, err)
		}
		if img, err := p.Image(); err != nil || img.Bounds() != image.Rect(0, 0, 100, 2) {
			t.Errorf("after %s: %v, %v", doc, img.Bounds(), err)
		}
	}
}

func TestWorkerHangs(t *testing.T) {
	r := faulty(t)
	r.o.Timeout = 100 * time.Millisecond
	if _, err := r.Render(t.Context(), []byte("hang"), 0, 72); !errors.Is(err, ErrWorker) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	r.o.Timeout = 10 * time.Second
	if _, err := r.Render(t.Context(), []byte("good"), 0, 72); err != nil {
		t.Errorf("did not heal: %v", err)
	}
	// The page was left: the worker does not keep the next page waiting.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Render(ctx, []byte("hang"), 0, 72); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := r.Render(t.Context(), []byte("good"), 0, 72); err != nil {
		t.Errorf("did not heal: %v", err)
	}
}

func TestWorkerIsKeptAndRenewed(t *testing.T) {
	r := faulty(t)
	pids := map[int]int{}
	for range renewAfter + 5 {
		p, err := r.Render(t.Context(), []byte("pid"), 0, 20)
		if err != nil {
			t.Fatal(err)
		}
		pids[p.Pages]++
	}
	if len(pids) != 2 {
		t.Errorf("%d workers for %d pages, want 2", len(pids), renewAfter+5)
	}
}

func TestRenderConcurrently(t *testing.T) {
	r := faulty(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			p, err := r.Render(t.Context(), []byte("good"), i, 50)
			if err != nil {
				t.Error(err)
				return
			}
			if img, err := p.Image(); err != nil || img.Bounds().Dy() != i+1 {
				t.Errorf("page %d got another page's picture: %v %v", i, img.Bounds(), err)
			}
		})
	}
	wg.Wait()
}

func TestRenderLimits(t *testing.T) {
	r := NewRenderer(RendererOptions{Command: []string{"no-such-renderer"}})
	for name, f := range map[string]func() (Picture, error){
		"nothing":  func() (Picture, error) { return r.Render(t.Context(), nil, 0, 72) },
		"too fine": func() (Picture, error) { return r.Render(t.Context(), []byte("x"), 0, MaxDPI+1) },
		"page -1":  func() (Picture, error) { return r.Render(t.Context(), []byte("x"), -1, 72) },
	} {
		if _, err := f(); !errors.Is(err, ErrDocument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.Render(t.Context(), []byte("x"), 0, 72); !errors.Is(err, ErrWorker) {
		t.Errorf("no program: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Render(t.Context(), []byte("x"), 0, 72); !errors.Is(err, ErrWorker) {
		t.Errorf("closed: %v", err)
	}
}

func FuzzReply(f *testing.F) {
	f.Add(append(ReplyHead(StatusRefused, 3), "broken"...))
	f.Add(ReplyHead(StatusPicture, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parseReply(b)
		if (err == nil) == (p.PNG == nil) {
			t.Fatalf("%+v, %v", p, err)
		}
		if err != nil && !errors.Is(err, ErrWorker) && !errors.Is(err, ErrDocument) {
			t.Fatal(err)
		}
	})
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 'h', 'i'})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ReadFrame(bytes.NewReader(b), 1<<16)
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := WriteFrame(&again, got); err != nil || !bytes.HasPrefix(b, again.Bytes()) {
			t.Fatalf("frame %q came out as %q", b, again.Bytes())
		}
	})
}

func TestFrameEnds(t *testing.T) {
	if _, err := ReadFrame(bytes.NewReader(nil), 10); err != io.EOF {
		t.Errorf("error %v, want io.EOF", err)
	}
	if _, err := ReadFrame(bytes.NewReader([]byte{0, 0, 0, 9, 1}), 10); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
}
