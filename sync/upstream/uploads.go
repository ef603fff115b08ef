package upstream

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	tus "github.com/tus/tusd/v2/pkg/handler"
	"github.com/tus/tusd/v2/pkg/memorylocker"
	expslog "golang.org/x/exp/slog"

	"cunban/kiosk/cases"
	"cunban/kiosk/seal"
	"cunban/sync/wire"
)

// tusd speaks the protocol; its file store does not fsync and knows no
// checksums, so the store behind it and the checks in front are here. Chunks
// are at most wire.ChunkBytes, so that one fits in memory and can be judged
// before anything is written.

// tusStore is tusd's data store on files that are durable before they are
// acknowledged.
type tusStore struct{ c *County }

func (c *County) uploadPath(id string) string { return filepath.Join(c.o.Dir, dirUploads, id) }

// FilePath is where a sealed file of a case lies when it is whole.
func (c *County) FilePath(caseID string, revision int, name string) string {
	return filepath.Join(c.o.Dir, dirFiles, caseID, strconv.Itoa(revision), name)
}

// NewUpload notes a new upload. What is left of an earlier one of the same file
// is dropped.
func (s tusStore) NewUpload(ctx context.Context, info tus.FileInfo) (tus.Upload, error) {
	m, err := wire.UploadMetadataFrom(info.MetaData)
	if err != nil {
		return nil, tusProblem(wire.NewProblem(wire.CodeMalformed, err.Error()))
	}
	var b [16]byte
	if _, err := io.ReadFull(s.c.o.Rand, b[:]); err != nil {
		return nil, fmt.Errorf("make an upload id: %w", err)
	}
	u := Upload{ID: hex.EncodeToString(b[:]), Terminal: terminalOf(ctx), CaseID: m.Case, Revision: m.Revision, Name: m.Name,
		Size: info.Size, Digest: m.Digest}
	f, err := os.OpenFile(s.c.uploadPath(u.ID), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make an upload: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close(), syncDir(filepath.Join(s.c.o.Dir, dirUploads))); err != nil {
		return nil, fmt.Errorf("make an upload: %w", err)
	}
	dropped := ""
	err = s.c.o.Store.Update(ctx, func(tx Tx) error {
		dropped = ""
		if err := s.c.mayUpload(tx, u); err != nil {
			return err
		}
		u.At = s.c.now()
		old, err := tx.UploadOf(u.CaseID, u.Revision, u.Name)
		switch {
		case err == nil:
			dropped = old.ID
			if err := tx.DeleteUpload(old.ID); err != nil {
				return err
			}
		case !errors.Is(err, ErrNotFound):
			return err
		}
		return tx.PutUpload(u)
	})
	if err != nil {
		_ = os.Remove(s.c.uploadPath(u.ID)) // an empty file without a row harms nobody
		return nil, tusProblem(err)
	}
	if dropped != "" {
		_ = os.Remove(s.c.uploadPath(dropped)) // as above; usually moved away already
	}
	return &tusUpload{s.c, u, 0}, nil
}

// mayUpload checks a creation against the case: nothing is stored for what was
// not announced.
func (c *County) mayUpload(tx Tx, u Upload) error {
	r, err := tx.Revision(u.CaseID, u.Revision)
	if errors.Is(err, ErrNotFound) || err == nil && r.Terminal != u.Terminal {
		return wire.NewProblem(wire.CodeNotFound, "no such case of this terminal")
	}
	if err != nil {
		return err
	}
	files, err := tx.Files(u.CaseID, u.Revision)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Name != u.Name {
			continue
		}
		if f.Digest != u.Digest || f.Size != u.Size {
			return wire.NewProblem(wire.CodeDigestConflict, "digest or size differ from what the case announced")
		}
		return nil
	}
	return wire.NewProblem(wire.CodeNotFound, "the case has no such file")
}

// GetUpload finds an upload of the calling terminal.
func (s tusStore) GetUpload(ctx context.Context, id string) (tus.Upload, error) {
	var u Upload
	err := s.c.o.Store.View(ctx, func(tx Tx) (err error) { u, err = tx.Upload(id); return err })
	if errors.Is(err, ErrNotFound) || err == nil && u.Terminal != terminalOf(ctx) {
		return nil, tusProblem(wire.NewProblem(wire.CodeNotFound, ""))
	}
	if err != nil {
		return nil, err
	}
	if u.Done {
		return &tusUpload{s.c, u, u.Size}, nil
	}
	st, err := os.Stat(s.c.uploadPath(id))
	if errors.Is(err, os.ErrNotExist) {
		return nil, tusProblem(wire.NewProblem(wire.CodeNotFound, ""))
	}
	if err != nil {
		return nil, fmt.Errorf("look at an upload: %w", err)
	}
	up := &tusUpload{s.c, u, min(st.Size(), u.Size)}
	if up.offset == u.Size {
		// Killed between the last byte and its row: finish now, so that HEAD
		// never says whole for what is not.
		if err := up.FinishUpload(ctx); err != nil {
			return nil, err
		}
	}
	return up, nil
}

func (s tusStore) AsTerminatableUpload(u tus.Upload) tus.TerminatableUpload { return u.(*tusUpload) }

type tusUpload struct {
	c      *County
	u      Upload
	offset int64
}

func (u *tusUpload) GetInfo(context.Context) (tus.FileInfo, error) {
	return tus.FileInfo{ID: u.u.ID, Size: u.u.Size, Offset: u.offset}, nil
}

// WriteChunk appends a chunk and fsyncs it. What a crash left behind the offset
// is cut off.
func (u *tusUpload) WriteChunk(_ context.Context, offset int64, src io.Reader) (int64, error) {
	chunk, err := io.ReadAll(src)
	if err != nil {
		return 0, fmt.Errorf("read a chunk: %w", err)
	}
	f, err := os.OpenFile(u.c.uploadPath(u.u.ID), os.O_WRONLY, 0o600)
	if err != nil {
		return 0, fmt.Errorf("write a chunk: %w", err)
	}
	_, err = f.WriteAt(chunk, offset)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, fmt.Errorf("write a chunk: %w", err)
	}
	u.offset = offset + int64(len(chunk))
	return int64(len(chunk)), nil
}

func (u *tusUpload) GetReader(context.Context) (io.ReadCloser, error) {
	return os.Open(u.c.uploadPath(u.u.ID))
}

// FinishUpload compares the whole file with its digest, moves it to the case
// and notes it there. A file that differs is forgotten: it is sent again.
func (u *tusUpload) FinishUpload(ctx context.Context) error {
	if u.u.Done {
		return nil
	}
	path := u.c.uploadPath(u.u.ID)
	b, err := os.ReadFile(path)
	final := u.c.FilePath(u.u.CaseID, u.u.Revision, u.u.Name)
	if errors.Is(err, os.ErrNotExist) {
		b, err = os.ReadFile(final) // moved, then killed before the row
	}
	if err != nil {
		return fmt.Errorf("finish an upload: %w", err)
	}
	if wire.Hex(seal.Digest(b)) != u.u.Digest {
		if err := u.Terminate(ctx); err != nil {
			return err
		}
		return tusProblem(wire.NewProblem(wire.CodeChecksum, "the whole file differs from its digest; upload it again"))
	}
	dir := filepath.Dir(final)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("finish an upload: %w", err)
	}
	if err := os.Rename(path, final); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("finish an upload: %w", err)
	}
	for _, d := range []string{dir, filepath.Dir(dir), filepath.Join(u.c.o.Dir, dirFiles)} {
		if err := syncDir(d); err != nil {
			return err
		}
	}
	err = u.c.o.Store.Update(ctx, func(tx Tx) error {
		row := u.u
		row.Done = true
		if err := tx.PutUpload(row); err != nil {
			return err
		}
		return u.c.fileDone(tx, row.CaseID, row.Revision, row.Name)
	})
	if err != nil {
		return err
	}
	u.u.Done = true
	return nil
}

// Terminate forgets an upload. A file that is whole stays: it belongs to the
// case.
func (u *tusUpload) Terminate(ctx context.Context) error {
	if err := u.c.o.Store.Update(ctx, func(tx Tx) error { return tx.DeleteUpload(u.u.ID) }); err != nil {
		return err
	}
	if err := os.Remove(u.c.uploadPath(u.u.ID)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget an upload: %w", err)
	}
	return nil
}

// tusProblem carries a problem through tusd.
func tusProblem(err error) error {
	var p *wire.Problem
	if !errors.As(err, &p) {
		return err
	}
	b, _ := json.Marshal(p) // strings and numbers only: cannot fail
	return tus.Error{ErrorCode: string(p.Code), Message: p.Title, HTTPResponse: tus.HTTPResponse{
		StatusCode: p.Status, Body: string(b), Header: tus.HTTPHeader{"Content-Type": wire.TypeProblem}}}
}

// newTus makes the protocol handler.
func newTus(c *County) (*tus.UnroutedHandler, error) {
	comp := tus.NewStoreComposer()
	store := tusStore{c}
	comp.UseCore(store)
	comp.UseTerminater(store)
	memorylocker.New().UseIn(comp)
	h, err := tus.NewUnroutedHandler(tus.Config{
		StoreComposer: comp, BasePath: wire.PathUploads + "/", MaxSize: wire.MaxFileBytes, DisableDownload: true,
		DisableConcatenation: true, Cors: &tus.CorsConfig{Disable: true},
		Logger: expslog.New(expslog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		return nil, fmt.Errorf("upstream: tus: %w", err)
	}
	return h, nil
}

// uploadRoutes puts the five tus operations on a mux.
func (s *Server) uploadRoutes(handle func(pattern string, h http.HandlerFunc)) {
	pass := func(h http.HandlerFunc) http.HandlerFunc {
		inner := s.tus.Middleware(h)
		return func(w http.ResponseWriter, r *http.Request) {
			// The experimental protocol and method overrides are not part of
			// the contract.
			for _, k := range []string{"Upload-Draft-Interop-Version", "X-HTTP-Method-Override", "Upload-Concat", "Upload-Defer-Length"} {
				r.Header.Del(k)
			}
			if id := r.PathValue("upload"); id != "" {
				// tusd takes the whole path for the id.
				u := *r.URL
				u.Path, u.RawPath = "/"+id, ""
				r.URL = &u
			}
			inner.ServeHTTP(&tusWriter{ResponseWriter: w}, r)
		}
	}
	handle(wire.PatternUploadOptions, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set(wire.HeaderTusResumable, wire.TusVersion)
		h.Set(wire.HeaderTusVersion, wire.TusVersion)
		h.Set(wire.HeaderTusExtension, "creation,checksum,termination")
		h.Set("Tus-Checksum-Algorithm", "sha256")
		h.Set("Tus-Max-Size", strconv.Itoa(wire.MaxFileBytes))
		w.WriteHeader(http.StatusNoContent)
	})
	handle(wire.PatternUploadCreate, func(w http.ResponseWriter, r *http.Request) {
		// Length and metadata are judged here first, for a plain answer.
		n, err := strconv.ParseInt(r.Header.Get(wire.HeaderUploadLength), 10, 64)
		if err != nil || n < 1 {
			s.fail(w, r, wire.NewProblem(wire.CodeMalformed, "Upload-Length"))
			return
		}
		if n > wire.MaxFileBytes {
			s.fail(w, r, wire.NewProblem(wire.CodeTooLarge, "Upload-Length"))
			return
		}
		if _, err := wire.ParseUploadMetadata(r.Header.Get(wire.HeaderUploadMetadata)); err != nil {
			s.fail(w, r, wire.NewProblem(wire.CodeMalformed, err.Error()))
			return
		}
		r.Header.Del("Content-Type") // creation-with-upload is not offered
		r.Body, r.ContentLength = http.NoBody, 0
		pass(s.tus.PostFile)(w, r)
	})
	handle(wire.PatternUploadHead, pass(s.tus.HeadFile))
	handle(wire.PatternUploadPatch, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") != wire.TypeTusOffset {
			s.fail(w, r, wire.NewProblem(wire.CodeMediaType, r.Header.Get("Content-Type")))
			return
		}
		chunk, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.ChunkBytes))
		if err != nil {
			s.failRead(w, r, err)
			return
		}
		if v := r.Header.Get(wire.HeaderUploadChecksum); v != "" {
			want, err := wire.ParseChecksum(v)
			if err != nil {
				s.fail(w, r, wire.NewProblem(wire.CodeMalformed, err.Error()))
				return
			}
			if sha256.Sum256(chunk) != want {
				s.fail(w, r, wire.NewProblem(wire.CodeChecksum, "chunk discarded"))
				return
			}
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(chunk)), int64(len(chunk))
		pass(s.tus.PatchFile)(w, r)
	})
	handle(wire.PatternUploadDelete, pass(s.tus.DelFile))
}

// tusWriter turns tusd's own plain-text errors into problem details.
type tusWriter struct {
	http.ResponseWriter
	dropBody bool
}

// Unwrap lets http.ResponseController reach the connection.
func (w *tusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *tusWriter) WriteHeader(status int) {
	h := w.Header()
	if at := h.Get("Location"); at != "" {
		// tusd names scheme and host as it sees them; behind a gateway they
		// are others.
		h.Set("Location", wire.PathUploads+"/"+at[strings.LastIndexByte(at, '/')+1:])
	}
	if status < 400 || h.Get("Content-Type") == wire.TypeProblem {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	code := wire.CodeServer
	switch {
	case status == http.StatusNotFound || status == http.StatusGone:
		code = wire.CodeNotFound
	case status == http.StatusConflict || status == http.StatusLocked || status == http.StatusForbidden:
		code = wire.CodeUploadState
	case status == http.StatusRequestEntityTooLarge:
		code = wire.CodeTooLarge
	case status == http.StatusUnsupportedMediaType:
		code = wire.CodeMediaType
	case status < 500:
		code = wire.CodeMalformed
	}
	w.dropBody = true
	h.Del("Content-Length")
	wire.NewProblem(code, "tus "+strconv.Itoa(status)).Write(w.ResponseWriter)
}

func (w *tusWriter) Write(b []byte) (int, error) {
	if w.dropBody {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}

// OpenFile opens a sealed file of a case in clear, for whoever decides.
func (c *County) OpenFile(ctx context.Context, caseID string, revision int, name, by string) (mime string, plain []byte, err error) {
	var r Revision
	var found *File
	err = c.o.Store.View(ctx, func(tx Tx) error {
		if r, err = tx.Revision(caseID, revision); err != nil {
			return err
		}
		files, err := tx.Files(caseID, revision)
		for _, f := range files {
			if f.Name == name && !f.DoneAt.IsZero() {
				found = &f
			}
		}
		return err
	})
	if err != nil {
		return "", nil, err
	}
	if found == nil {
		return "", nil, fmt.Errorf("file %s of case %s: %w", name, caseID, ErrNotFound)
	}
	if by != "" {
		if err := c.Audit(ctx, by, "case.file", caseID, name); err != nil {
			return "", nil, err
		}
	}
	b, err := os.ReadFile(c.FilePath(caseID, revision, name))
	if err != nil {
		return "", nil, fmt.Errorf("read file %s of case %s: %w", name, caseID, err)
	}
	key, _, err := c.caseKey(caseID, revision, r.KeyID, r.Envelope)
	if err != nil {
		return "", nil, err
	}
	defer key.Wipe()
	plain, err = seal.Open(key, b, cases.FileAAD(caseID, revision, name))
	if err != nil {
		return "", nil, fmt.Errorf("open file %s of case %s: %w", name, caseID, err)
	}
	return found.MIME, plain, nil
}
