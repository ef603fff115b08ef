package sync

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	gosync "sync"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/seal"
	"cunban/sync/wire"
)

// jobs are the cases whose files are under way. The uploads lane works on them,
// the messages lane brings them and takes them back when they are whole.
type jobs struct {
	mu    gosync.Mutex
	order []*job
	ready []cases.Item
}

// job is one case with files to upload. Everything but the item's lease belongs
// to the uploads lane.
type job struct {
	item   cases.Item
	key    string
	files  []cases.QueuedFile // outstanding, in order
	checks int                // files whose digest upstream did not like
	fails  int                // failures in a row
	after  time.Time          // steady time before which it rests

	offset  int64 // where upstream is in files[0]; -1 = not known
	src     io.ReadCloser
	srcAt   int64
	checked bool // files[0] is what it was when it was sealed
}

// add takes a case on. missing names what upstream lacks; nil = whatever is not
// marked done here.
func (j *jobs) add(it cases.Item, missing []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	w := &job{item: it, key: itemKey(it), offset: -1}
	for _, f := range it.Files {
		if missing == nil && f.Done || missing != nil && !slices.Contains(missing, f.Name) {
			continue
		}
		if f.Done { // upstream lost it
			f.Upload = ""
		}
		w.files = append(w.files, f)
	}
	j.removeLocked(w.key)
	j.order = append(j.order, w)
}

// renew gives a case under way its new lease; false when it is not under way.
func (j *jobs) renew(it cases.Item) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	key := itemKey(it)
	for _, w := range j.order {
		if w.key == key {
			w.item.Lease = it.Lease
			return true
		}
	}
	return false
}

// next is the first job that may go now; otherwise how long until one may.
func (j *jobs) next(now time.Time) (*job, time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	wait := time.Duration(1<<63 - 1)
	for _, w := range j.order {
		d := w.after.Sub(now)
		if d <= 0 {
			return w, 0
		}
		wait = min(wait, d)
	}
	return nil, wait
}

// current is the item with its present lease.
func (j *jobs) current(w *job) cases.Item {
	j.mu.Lock()
	defer j.mu.Unlock()
	return w.item
}

// done hands a case back to the messages lane.
func (j *jobs) done(w *job) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.removeLocked(w.key)
	j.ready = append(j.ready, w.item)
}

// last puts a job behind the others.
func (j *jobs) last(w *job) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if i := slices.Index(j.order, w); i >= 0 {
		j.order = append(slices.Delete(j.order, i, i+1), w)
	}
}

func (j *jobs) drop(it cases.Item) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.removeLocked(itemKey(it))
}

func (j *jobs) removeLocked(key string) {
	j.order = slices.DeleteFunc(j.order, func(w *job) bool { return w.key == key })
}

func (j *jobs) takeReady() []cases.Item {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.ready
	j.ready = nil
	return r
}

// close closes what the job reads from.
func (w *job) close() {
	if w.src != nil {
		_ = w.src.Close() // read only
		w.src = nil
	}
}

// uploads is the lane of the scans: one chunk at a time, behind the messages.
func (e *Engine) uploads(ctx context.Context) {
	var open *job
	defer func() {
		if open != nil {
			open.close()
		}
	}()
	for e.line.waitReady(ctx) {
		w, pause := e.jobs.next(e.steady())
		if open != nil && open != w {
			open.close()
		}
		open = w
		if w == nil {
			if !sleep(ctx, min(pause, e.t.QueueTick), e.upWake) {
				return
			}
			continue
		}
		if wait := e.meter.wait(); wait > 0 {
			if !sleep(ctx, min(wait, e.t.QueueTick), e.upWake) {
				return
			}
			continue
		}
		e.small.wait(ctx, e.t.Message)
		if ctx.Err() != nil {
			return
		}
		if f := e.uploadStep(ctx, w); f != nil && ctx.Err() == nil {
			e.uploadFailed(ctx, w, f)
		}
	}
}

// uploadStep brings a job on by one request.
func (e *Engine) uploadStep(ctx context.Context, w *job) *Failure {
	if len(w.files) == 0 {
		w.close()
		e.jobs.done(w)
		poke(e.wake)
		return nil
	}
	f := &w.files[0]
	if !w.checked {
		if fail := e.checkFile(ctx, w, *f); fail != nil {
			return fail
		}
		w.checked = true
	}
	switch {
	case f.Upload == "":
		return e.createUpload(ctx, w, f)
	case w.offset < 0:
		return e.resumeUpload(ctx, w, f)
	case w.offset >= f.Size:
		return e.fileWhole(ctx, w, f)
	}
	return e.sendChunk(ctx, w, f)
}

// fileWhole notes that upstream has a file for good.
func (e *Engine) fileWhole(ctx context.Context, w *job, f *cases.QueuedFile) *Failure {
	if err := e.o.Store.FileDone(ctx, w.item.CaseID, f.Name); err != nil {
		return e.storeFailure("note that a scan is at the county", err)
	}
	w.close()
	w.files, w.offset, w.checked, w.fails = w.files[1:], -1, false, 0
	return nil
}

// storeFailure makes a failure of a store that failed: it is reported and the
// job comes again.
func (e *Engine) storeFailure(what string, err error) *Failure {
	e.storeTrouble(what, err)
	return &Failure{Kind: FailAgain, Text: "本机保存出错，请技术人员检查磁盘", Detail: what + ": " + err.Error(), Err: err}
}

const textBadScan = "扫描件在本机读不出来或已损坏，请联系技术人员，必要时请居民重新扫描"

// checkFile makes sure that a sealed file is still what was sealed, before any
// of it is sent.
func (e *Engine) checkFile(ctx context.Context, w *job, f cases.QueuedFile) *Failure {
	r, size, err := e.o.Store.OpenFile(ctx, w.item.CaseID, f.Name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return &Failure{Kind: FailItem, Text: textBadScan, Detail: "open " + f.Name + ": " + err.Error(), Err: err}
		}
		return e.storeFailure("open a scan", err)
	}
	defer r.Close() //nolint:errcheck // read only
	h := seal.NewHash()
	n, err := io.Copy(h, r)
	if err != nil {
		return e.storeFailure("read a scan", err)
	}
	if n != f.Size || size != f.Size || !seal.Equal(h.Sum(nil), f.Digest) {
		return &Failure{Kind: FailItem, Text: textBadScan, Detail: fmt.Sprintf("%s has %d bytes or another digest, sealed were %d", f.Name, n, f.Size)}
	}
	return nil
}

// tusCall is a request of tus 1.0.
func (e *Engine) tusCall(ctx context.Context, c call) (*answer, *Failure) {
	if c.header == nil {
		c.header = map[string]string{}
	}
	c.header[wire.HeaderTusResumable] = wire.TusVersion
	c.allow = e.t.Chunk
	a, f := e.do(ctx, c)
	if f != nil {
		return nil, f
	}
	if f := a.checkAs(e.clock.Now(), a.ours() || a.tus()); f != nil {
		return a, f
	}
	if !a.tus() {
		return a, strange("answer to an upload without "+"%s", wire.HeaderTusResumable)
	}
	e.note(ctx, nil)
	return a, nil
}

// createUpload begins the upload of a file.
func (e *Engine) createUpload(ctx context.Context, w *job, f *cases.QueuedFile) *Failure {
	meta := wire.UploadMetadata{Case: w.item.CaseID, Revision: w.item.Revision, Name: f.Name, Digest: wire.Hex(f.Digest)}
	a, fail := e.tusCall(ctx, call{method: http.MethodPost, path: wire.PathUploads, header: map[string]string{
		wire.HeaderUploadLength: strconv.FormatInt(f.Size, 10), wire.HeaderUploadMetadata: meta.String(),
	}})
	if fail != nil {
		return fail
	}
	path, err := e.uploadPath(a.header.Get("Location"))
	if a.status != http.StatusCreated || err != nil {
		return strange("answer %d to a new upload: %v", a.status, err)
	}
	if err := e.o.Store.FileUpload(ctx, w.item.CaseID, f.Name, path); err != nil {
		return e.storeFailure("remember an upload", err)
	}
	f.Upload, w.offset = path, 0
	return nil
}

// uploadPath makes a path below the base out of a Location. Host and scheme in
// it are not followed: a gateway may not know under which name it is reached,
// and a terminal talks to nobody but its county.
func (e *Engine) uploadPath(location string) (string, error) {
	u, err := url.Parse(location)
	if err != nil || location == "" {
		return "", errors.New("no usable Location")
	}
	abs := e.base.JoinPath(wire.PathUploads).ResolveReference(u)
	path, ok := strings.CutPrefix(abs.EscapedPath(), strings.TrimRight(e.base.EscapedPath(), "/"))
	if !ok {
		path = abs.EscapedPath() // a gateway that takes the prefix away
	}
	if !strings.HasPrefix(path, wire.PathUploads+"/") {
		return "", fmt.Errorf("the Location %s is no upload", clip(location))
	}
	return path, nil
}

// resumeUpload asks how much upstream has.
func (e *Engine) resumeUpload(ctx context.Context, w *job, f *cases.QueuedFile) *Failure {
	a, fail := e.tusCall(ctx, call{method: http.MethodHead, path: f.Upload})
	if fail != nil {
		return e.gone(ctx, w, f, a, fail)
	}
	offset, err := strconv.ParseInt(a.header.Get(wire.HeaderUploadOffset), 10, 64)
	if err != nil || offset < 0 || offset > f.Size {
		return e.forgetUpload(ctx, w, f)
	}
	w.offset = offset
	return nil
}

// gone begins anew when upstream does not know the upload any more.
func (e *Engine) gone(ctx context.Context, w *job, f *cases.QueuedFile, a *answer, fail *Failure) *Failure {
	if a == nil || !(a.ours() || a.tus()) || a.status != http.StatusNotFound && a.status != http.StatusGone {
		return fail
	}
	w.fails++
	if w.fails > uploadLimit {
		return fail
	}
	return e.forgetUpload(ctx, w, f)
}

func (e *Engine) forgetUpload(ctx context.Context, w *job, f *cases.QueuedFile) *Failure {
	if err := e.o.Store.FileUpload(ctx, w.item.CaseID, f.Name, ""); err != nil {
		return e.storeFailure("forget an upload", err)
	}
	f.Upload, w.offset = "", -1
	return nil
}

// sendChunk sends the next piece of a file.
func (e *Engine) sendChunk(ctx context.Context, w *job, f *cases.QueuedFile) *Failure {
	n := min(int64(e.chunk.get()), f.Size-w.offset)
	buf, fail := e.readChunk(ctx, w, *f, n)
	if fail != nil {
		return fail
	}
	if !e.bucket.take(ctx, len(buf)) {
		return nil
	}
	at := w.offset
	w.offset = -1 // until the answer tells
	a, fail := e.tusCall(ctx, call{method: http.MethodPatch, path: f.Upload, media: wire.TypeTusOffset, body: buf,
		header: map[string]string{
			wire.HeaderUploadOffset:   strconv.FormatInt(at, 10),
			wire.HeaderUploadChecksum: wire.Checksum(sha256.Sum256(buf)),
		}})
	if fail != nil {
		if fail.Kind == FailTransport {
			e.chunk.broke()
		}
		if fail.code() == wire.CodeChecksum && at+n >= f.Size && a != nil && a.status != wire.StatusChecksumMismatch {
			return e.fileRefused(ctx, w, f, fail)
		}
		return e.gone(ctx, w, f, a, fail)
	}
	got, err := strconv.ParseInt(a.header.Get(wire.HeaderUploadOffset), 10, 64)
	if err != nil || got <= at || got > at+n {
		return strange("upload offset %q after %d+%d", a.header.Get(wire.HeaderUploadOffset), at, n)
	}
	w.offset, w.fails = got, 0
	e.strikes.reset()
	if n == int64(e.chunk.get()) {
		e.chunk.took(a.took)
	}
	return nil
}

// fileRefused begins a file anew whose whole differs from its digest upstream:
// here it was checked, so it broke on the way.
func (e *Engine) fileRefused(ctx context.Context, w *job, f *cases.QueuedFile, fail *Failure) *Failure {
	w.checks++
	if w.checks > 3 {
		fail.Kind = FailItem
		return fail
	}
	w.checked = false
	return e.forgetUpload(ctx, w, f)
}

// readChunk reads n bytes at the job's offset.
func (e *Engine) readChunk(ctx context.Context, w *job, f cases.QueuedFile, n int64) ([]byte, *Failure) {
	if w.src != nil && w.srcAt != w.offset {
		w.close()
	}
	if w.src == nil {
		r, _, err := e.o.Store.OpenFile(ctx, w.item.CaseID, f.Name)
		if err != nil {
			return nil, e.storeFailure("open a scan", err)
		}
		w.src, w.srcAt = r, 0
		if s, ok := r.(io.Seeker); ok {
			_, err = s.Seek(w.offset, io.SeekStart)
		} else {
			_, err = io.CopyN(io.Discard, r, w.offset)
		}
		if err != nil {
			w.close()
			return nil, e.storeFailure("read a scan", err)
		}
		w.srcAt = w.offset
	}
	buf := make([]byte, n)
	if _, err := io.ReadFull(w.src, buf); err != nil {
		w.close()
		return nil, e.storeFailure("read a scan", err)
	}
	w.srcAt += n
	return buf, nil
}

// uploadLimit is how often a job may fail in a row on its own account before
// the case is put anew.
const uploadLimit = 8

// uploadFailed decides how a job goes on.
func (e *Engine) uploadFailed(ctx context.Context, w *job, f *Failure) {
	w.close()
	w.offset = -1
	e.note(ctx, f)
	switch f.Kind {
	case FailItem:
		e.attention(ctx, e.jobs.current(w), f.Text, f.Detail)
	case FailAgain:
		w.fails++
		if w.fails <= uploadLimit {
			w.after = e.steady().Add(max(backoff(e.o.Jitter, e.t.BackoffBase, e.t.BackoffCap, w.fails-1), f.RetryAfter))
			e.jobs.last(w)
			return
		}
		it := e.jobs.current(w)
		e.jobs.drop(it)
		e.failed(ctx, it, f) // the PUT again tells what upstream really has
	case FailServer:
		w.fails++
		w.after = e.steady().Add(backoff(e.o.Jitter, e.t.BackoffBase, e.t.BackoffCap, w.fails-1))
		e.jobs.last(w)
		e.strike(f)
	case FailTransport:
		w.fails++
		if w.fails > 2 { // let another one try the line
			w.after = e.steady().Add(time.Duration(min(w.fails-2, turnSteps)) * e.t.BackoffBase)
			e.jobs.last(w)
		}
	case FailPortal, FailCertificate, FailSignIn, FailRate:
	}
}
