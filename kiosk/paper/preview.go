package paper

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Limits and defaults of page previews.
const (
	MinDPI         = 20
	MaxDPI         = 300
	MaxPDF         = 32 << 20         // bytes of a document
	MaxPicture     = 64 << 20         // bytes of a reply
	DefaultTimeout = 15 * time.Second // one page
	renewAfter     = 200              // pages; then the worker is replaced
)

// Errors of previews.
var (
	// ErrDocument means that this document or page cannot be shown. Another
	// may.
	ErrDocument = errors.New("paper: the document cannot be shown")
	// ErrWorker means that the renderer crashed, hung or could not start. The
	// next page starts a new one.
	ErrWorker = errors.New("paper: the page renderer failed")
)

// The worker's protocol, over its standard input and output, both ways as
// frames of a 4-byte big-endian length and so many bytes. It is documented
// here, for both sides.
//
//	request:  page (4 bytes big-endian, from 0), dpi (4 bytes), PDF
//	reply:    status (1 byte), number of pages (4 bytes), PNG or UTF-8 message
const (
	StatusPicture = 0 // a PNG follows
	StatusRefused = 1 // the document is at fault; a message follows
	requestHead   = 8
	replyHead     = 5
)

// WriteFrame writes one frame of the worker's protocol.
func WriteFrame(w io.Writer, parts ...[]byte) error {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+n), uint32(n))
	for _, p := range parts {
		frame = append(frame, p...)
	}
	if _, err := w.Write(frame); err != nil {
		return fmt.Errorf("paper: write frame: %w", err)
	}
	return nil
}

// ReadFrame reads one frame of at most limit bytes. io.EOF is returned as it
// is when there is no further frame.
func ReadFrame(r io.Reader, limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("paper: read frame: %w", err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if uint64(n) > uint64(limit) {
		return nil, fmt.Errorf("paper: read frame: %d bytes are more than %d", n, limit)
	}
	// A header alone must not cost memory: grow with what really comes.
	var b bytes.Buffer
	if m, err := io.Copy(&b, io.LimitReader(r, int64(n))); err != nil || m != int64(n) {
		return nil, fmt.Errorf("paper: read frame: %d of %d bytes: %w", m, n, cmp.Or(err, io.ErrUnexpectedEOF))
	}
	return b.Bytes(), nil
}

// ParseRequest splits a request frame. It is the worker's half.
func ParseRequest(b []byte) (page, dpi int, pdf []byte, err error) {
	if len(b) < requestHead {
		return 0, 0, nil, fmt.Errorf("paper: request of %d bytes", len(b))
	}
	p, d := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if p > 1<<20 || d < MinDPI || d > MaxDPI {
		return 0, 0, nil, fmt.Errorf("paper: request for page %d at %d dpi", p, d)
	}
	return int(p), int(d), b[requestHead:], nil
}

// ReplyHead is what stands before a reply's PNG or message. It is the worker's
// half.
func ReplyHead(status byte, pages int) []byte {
	return binary.BigEndian.AppendUint32([]byte{status}, uint32(max(pages, 0)))
}

// RendererOptions say how the worker process is started.
type RendererOptions struct {
	Command []string      // the program and its arguments, such as the terminal's own "render"
	Env     []string      // added to the environment
	Timeout time.Duration // one page; 0 = DefaultTimeout
}

// Renderer shows pages of PDF documents through a worker process, which it
// starts when it is needed and replaces when it fails. One page is rendered at
// a time. It is safe for concurrent use.
type Renderer struct {
	o    RendererOptions
	turn chan struct{} // token of whoever uses the worker

	// Below: only with the token.
	worker *worker
	closed bool
}

// NewRenderer makes a renderer; no process is started yet.
func NewRenderer(o RendererOptions) *Renderer {
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	r := &Renderer{o: o, turn: make(chan struct{}, 1)}
	r.turn <- struct{}{}
	return r
}

// Picture is one rendered page.
type Picture struct {
	PNG   []byte
	Pages int // of the document
}

// Image decodes the picture.
func (p Picture) Image() (image.Image, error) {
	img, err := png.Decode(bytes.NewReader(p.PNG))
	if err != nil {
		return nil, fmt.Errorf("paper: decode picture: %w", err)
	}
	return img, nil
}

// Render draws one page (from 0) at dpi dots an inch, MinDPI…MaxDPI. Errors:
// ErrDocument (also for a page that is not there), ErrWorker, context errors.
func (r *Renderer) Render(ctx context.Context, pdf []byte, page, dpi int) (Picture, error) {
	if len(pdf) == 0 || len(pdf) > MaxPDF || page < 0 || dpi < MinDPI || dpi > MaxDPI {
		return Picture{}, fmt.Errorf("%w: %d bytes, page %d, %d dpi", ErrDocument, len(pdf), page, dpi)
	}
	select {
	case <-r.turn:
	case <-ctx.Done():
		return Picture{}, fmt.Errorf("paper: render: %w", ctx.Err())
	}
	defer func() { r.turn <- struct{}{} }()
	if r.closed {
		return Picture{}, fmt.Errorf("%w: closed", ErrWorker)
	}
	if r.worker == nil {
		w, err := start(r.o)
		if err != nil {
			return Picture{}, err
		}
		r.worker = w
	}
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	head := binary.BigEndian.AppendUint32(nil, uint32(page))
	head = binary.BigEndian.AppendUint32(head, uint32(dpi))
	reply, err := r.worker.ask(ctx, head, pdf)
	if err != nil {
		detail := r.worker.end()
		r.worker = nil
		if ctx.Err() != nil {
			return Picture{}, fmt.Errorf("%w: page %d: %w", ErrWorker, page, ctx.Err())
		}
		return Picture{}, fmt.Errorf("%w: page %d: %w %s", ErrWorker, page, err, detail)
	}
	if r.worker.asked++; r.worker.asked >= renewAfter {
		_ = r.worker.end()
		r.worker = nil
	}
	return parseReply(reply)
}

// parseReply reads the worker's answer, which is not trusted: it comes out of
// a process that a document may have broken.
func parseReply(b []byte) (Picture, error) {
	if len(b) < replyHead {
		return Picture{}, fmt.Errorf("%w: a reply of %d bytes", ErrWorker, len(b))
	}
	rest := b[replyHead:]
	switch b[0] {
	case StatusPicture:
		c, err := png.DecodeConfig(bytes.NewReader(rest))
		if err != nil {
			return Picture{}, fmt.Errorf("%w: no picture: %w", ErrWorker, err)
		}
		if c.Width*c.Height > maxPreview {
			return Picture{}, fmt.Errorf("%w: a picture of %d×%d", ErrWorker, c.Width, c.Height)
		}
		return Picture{PNG: rest, Pages: int(binary.BigEndian.Uint32(b[1:]))}, nil
	case StatusRefused:
		return Picture{}, fmt.Errorf("%w: %s", ErrDocument, strings.ToValidUTF8(string(rest[:min(len(rest), 300)]), "?"))
	}
	return Picture{}, fmt.Errorf("%w: a reply of status %d", ErrWorker, b[0])
}

// maxPreview is the largest picture that is taken, in pixels; A3 at 300 dpi
// has 17 million.
const maxPreview = 20_000_000

// Forget ends the worker, so that nothing of a resident's papers stays in its
// memory; the next Render starts another.
func (r *Renderer) Forget() {
	<-r.turn
	defer func() { r.turn <- struct{}{} }()
	r.endWorker()
}

// Close ends the worker. Later calls of Render fail.
func (r *Renderer) Close() error {
	<-r.turn
	defer func() { r.turn <- struct{}{} }()
	r.closed = true
	r.endWorker()
	return nil
}

// endWorker needs the token.
func (r *Renderer) endWorker() {
	if r.worker != nil {
		_ = r.worker.end()
		r.worker = nil
	}
}

// worker is one running process.
type worker struct {
	cmd   *exec.Cmd
	in    *os.File
	out   *os.File
	errs  *lastBytes
	asked int
}

// lastBytes keeps the end of what a process wrote to its standard error.
type lastBytes struct {
	mu sync.Mutex
	b  []byte
}

func (l *lastBytes) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, p...)
	if over := len(l.b) - 1000; over > 0 {
		l.b = append(l.b[:0], l.b[over:]...)
	}
	return len(p), nil
}

func (l *lastBytes) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimSpace(strings.ToValidUTF8(string(l.b), "?"))
}

// start starts a worker process in a group of its own.
func start(o RendererOptions) (w *worker, err error) {
	if len(o.Command) == 0 {
		return nil, fmt.Errorf("%w: no command", ErrWorker)
	}
	inR, inW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWorker, err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		_ = errors.Join(inR.Close(), inW.Close())
		return nil, fmt.Errorf("%w: %w", ErrWorker, err)
	}
	w = &worker{cmd: exec.Command(o.Command[0], o.Command[1:]...), in: inW, out: outR, errs: &lastBytes{}}
	w.cmd.Env = append(os.Environ(), o.Env...)
	w.cmd.Stdin, w.cmd.Stdout, w.cmd.Stderr = inR, outW, w.errs
	ownGroup(w.cmd)
	w.cmd.WaitDelay = time.Second
	err = w.cmd.Start()
	_ = errors.Join(inR.Close(), outW.Close())
	if err != nil {
		_ = errors.Join(inW.Close(), outR.Close())
		return nil, fmt.Errorf("%w: start: %w", ErrWorker, err)
	}
	return w, nil
}

// ask sends one request and reads the reply. When ctx ends, both pipes stop.
func (w *worker) ask(ctx context.Context, head, pdf []byte) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() {
		now := time.Now()
		_ = errors.Join(w.in.SetWriteDeadline(now), w.out.SetReadDeadline(now))
	})
	defer stop()
	if err := WriteFrame(w.in, head, pdf); err != nil {
		return nil, err
	}
	b, err := ReadFrame(w.out, MaxPicture)
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("paper: the worker ended: %w", io.ErrUnexpectedEOF)
	}
	return b, err
}

// end kills the worker with all it started and returns how it ended.
func (w *worker) end() string {
	_ = errors.Join(w.in.Close(), w.out.Close())
	killGroup(w.cmd)
	err := w.cmd.Wait()
	return strings.TrimSpace(fmt.Sprint(err, " ", w.errs))
}
