package sync_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"cunban/kiosk/seal"
	"cunban/sync/wire"
)

const terminal = "T-1"

// county is an upstream in memory: what it stored survives a crash. It keeps
// the contract to the letter and counts every effect.
type county struct {
	mu       gosync.Mutex
	now      func() time.Time
	key      *seal.PrivateKey // signs and opens
	rng      io.Reader
	cases    map[string]*stored
	uploads  map[string]*upload
	number   int
	created  int
	changes  []wire.Change
	versions map[string]int64
	wake     chan struct{}
	reports  []wire.Health
	notes    []wire.CheckpointPut
	signed   int64 // size of the largest checkpoint
	patched  int64 // bytes of PATCH bodies that came whole
	queries  int
	// refuse answers a case with a problem instead, nil = not.
	refuse func(wire.CasePut) *wire.Problem
	// crash is asked at the two moments around storing; true breaks off.
	crash func(after bool) bool
}

type stored struct {
	put     wire.CasePut
	files   map[string][]byte
	number  string
	at      time.Time
	effects int // times that a number was given
}

type upload struct {
	meta wire.UploadMetadata
	size int64
	buf  []byte
}

func newCounty(t testing.TB, seed uint64, now func() time.Time) *county {
	t.Helper()
	var s [32]byte
	s[0], s[1], s[2] = byte(seed), byte(seed>>8), 1
	rng := rand.NewChaCha8(s)
	key, err := seal.GenerateKey(rng)
	if err != nil {
		t.Fatal(err)
	}
	return &county{now: now, key: key, rng: rng, cases: map[string]*stored{}, uploads: map[string]*upload{},
		versions: map[string]int64{}, wake: make(chan struct{})}
}

// errCrash is panicked with to break a request off.
var errCrash = http.ErrAbortHandler

func (c *county) maybeCrash(after bool) {
	if c.crash != nil && c.crash(after) {
		panic(errCrash)
	}
}

func caseKey(id string, rev int) string { return id + "/" + strconv.Itoa(rev) }

// take stores a case and answers, as a single PUT does.
func (c *county) take(p wire.CasePut) (int, *wire.CaseReply, *wire.Problem) {
	if err := p.Validate(); err != nil {
		return 0, nil, wire.NewProblem(wire.CodeMalformed, err.Error())
	}
	if wire.Hex(seal.Digest(p.Body)) != p.Digest {
		return 0, nil, wire.NewProblem(wire.CodeMalformed, "digest is not that of the body")
	}
	if c.refuse != nil {
		if pr := c.refuse(p); pr != nil {
			return 0, nil, pr
		}
	}
	c.maybeCrash(false)
	k := caseKey(p.CaseID, p.Revision)
	s, status := c.cases[k], http.StatusOK
	if s == nil {
		s, status = &stored{put: p, files: map[string][]byte{}}, http.StatusCreated
		c.cases[k] = s
	}
	if s.put.Digest != p.Digest {
		return 0, nil, wire.NewProblem(wire.CodeDigestConflict, "")
	}
	r := &wire.CaseReply{CaseID: p.CaseID, Revision: p.Revision, Digest: p.Digest, State: wire.CaseDuplicate}
	for _, f := range s.put.Files {
		if _, ok := s.files[f.Name]; !ok {
			r.Missing = append(r.Missing, f.Name)
		}
	}
	switch {
	case len(r.Missing) > 0:
		r.State = wire.CaseIncomplete
	case s.number == "":
		c.number++
		s.number, s.at = fmt.Sprintf("140830-20260302-%06d", c.number), c.now()
		s.effects++
		r.State = wire.CaseAccepted
	}
	if s.number != "" {
		at := s.at
		r.Acceptance, r.AcceptedAt = s.number, &at
	}
	c.maybeCrash(true)
	return status, r, nil
}

func (c *county) handler() http.Handler {
	mux := http.NewServeMux()
	// lock keeps requests apart and unlocks on a crash.
	lock := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body) // outside the lock: a slow line is slow
			if err != nil {
				panic(errCrash)
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			w.Header().Set("Date", c.now().UTC().Format(http.TimeFormat))
			c.mu.Lock()
			defer c.mu.Unlock()
			h(w, r)
		}
	}
	mux.HandleFunc(wire.PatternPing, lock(func(w http.ResponseWriter, r *http.Request) {
		wire.WriteJSON(w, http.StatusOK, wire.Pong{Terminal: r.PathValue("terminal"), Time: c.now()})
	}))
	mux.HandleFunc(wire.PatternCase, lock(func(w http.ResponseWriter, r *http.Request) {
		var p wire.CasePut
		if !readJSON(w, r, &p) {
			return
		}
		if p.CaseID != r.PathValue("case") || strconv.Itoa(p.Revision) != r.PathValue("revision") {
			wire.NewProblem(wire.CodeMalformed, "path and body differ").Write(w)
			return
		}
		status, reply, problem := c.take(p)
		if problem != nil {
			problem.Write(w)
			return
		}
		wire.WriteJSON(w, status, reply)
	}))
	mux.HandleFunc(wire.PatternBatch, lock(func(w http.ResponseWriter, r *http.Request) {
		var b wire.Batch
		if !readJSON(w, r, &b) {
			return
		}
		if len(b.Items) > wire.MaxBatchItems || r.ContentLength > wire.MaxBatchBytes {
			wire.NewProblem(wire.CodeTooLarge, "").Write(w)
			return
		}
		var out wire.BatchReply
		for _, p := range b.Items {
			status, reply, problem := c.take(p)
			if problem != nil {
				status = problem.Status
			}
			out.Items = append(out.Items, wire.BatchItem{Status: status, Reply: reply, Problem: problem})
		}
		wire.WriteJSON(w, http.StatusOK, out)
	}))
	mux.HandleFunc(wire.PatternUploadCreate, lock(c.uploadCreate))
	mux.HandleFunc(wire.PatternUploadHead, lock(c.uploadHead))
	mux.HandleFunc(wire.PatternUploadPatch, lock(c.uploadPatch))
	mux.HandleFunc(wire.PatternChanges, c.serveChanges)
	mux.HandleFunc(wire.PatternHealth, lock(func(w http.ResponseWriter, r *http.Request) {
		var h wire.Health
		if !readJSON(w, r, &h) {
			return
		}
		c.reports = append(c.reports, h)
		wire.WriteJSON(w, http.StatusOK, wire.HealthReply{Time: c.now()})
	}))
	mux.HandleFunc(wire.PatternCheckpoints, lock(c.serveCheckpoint))
	mux.HandleFunc(wire.PatternQueries, lock(c.serveQuery))
	return mux
}

func readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		wire.NewProblem(wire.CodeMalformed, err.Error()).Write(w)
		return false
	}
	return true
}

func (c *county) uploadCreate(w http.ResponseWriter, r *http.Request) {
	m, err := wire.ParseUploadMetadata(r.Header.Get(wire.HeaderUploadMetadata))
	size, err2 := strconv.ParseInt(r.Header.Get(wire.HeaderUploadLength), 10, 64)
	s := c.cases[caseKey(m.Case, m.Revision)]
	if err != nil || err2 != nil || s == nil || r.Header.Get(wire.HeaderTusResumable) != wire.TusVersion {
		wire.NewProblem(wire.CodeNotFound, "no such case").Write(w)
		return
	}
	c.maybeCrash(false)
	c.created++
	id := strconv.Itoa(c.created)
	c.uploads[id] = &upload{meta: m, size: size}
	c.maybeCrash(true)
	w.Header().Set(wire.HeaderTusResumable, wire.TusVersion)
	w.Header().Set("Location", "http://a-gateway.example"+wire.PathUploads+"/"+id)
	w.WriteHeader(http.StatusCreated)
}

func (c *county) uploadHead(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(wire.HeaderTusResumable, wire.TusVersion)
	u := c.uploads[r.PathValue("upload")]
	if u == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set(wire.HeaderUploadOffset, strconv.Itoa(len(u.buf)))
	w.Header().Set(wire.HeaderUploadLength, strconv.FormatInt(u.size, 10))
}

func (c *county) uploadPatch(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(wire.HeaderTusResumable, wire.TusVersion)
	u := c.uploads[r.PathValue("upload")]
	if u == nil {
		wire.NewProblem(wire.CodeNotFound, "no such upload").Write(w)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(errCrash)
	}
	c.patched += int64(len(body))
	sum, err := wire.ParseChecksum(r.Header.Get(wire.HeaderUploadChecksum))
	switch {
	case len(body) > wire.ChunkBytes || err != nil:
		wire.NewProblem(wire.CodeTooLarge, "chunk").Write(w)
		return
	case sha256.Sum256(body) != sum:
		p := *wire.NewProblem(wire.CodeChecksum, "chunk")
		p.Status = wire.StatusChecksumMismatch
		p.Write(w)
		return
	case r.Header.Get(wire.HeaderUploadOffset) != strconv.Itoa(len(u.buf)) || int64(len(u.buf)+len(body)) > u.size:
		wire.NewProblem(wire.CodeUploadState, "offset").Write(w)
		return
	}
	c.maybeCrash(false)
	u.buf = append(u.buf, body...)
	if int64(len(u.buf)) == u.size {
		if wire.Hex(seal.Digest(u.buf)) != u.meta.Digest {
			delete(c.uploads, r.PathValue("upload"))
			wire.NewProblem(wire.CodeChecksum, "file").Write(w)
			return
		}
		c.cases[caseKey(u.meta.Case, u.meta.Revision)].files[u.meta.Name] = slices.Clone(u.buf)
	}
	c.maybeCrash(true)
	w.Header().Set(wire.HeaderUploadOffset, strconv.Itoa(len(u.buf)))
	w.WriteHeader(http.StatusNoContent)
}

// publish signs and sends down an object; data nil deletes it.
func (c *county) publish(t testing.TB, kind wire.Kind, id string, data any) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	name := string(kind) + "/" + id
	c.versions[name]++
	ch := wire.Change{Kind: kind, ID: id, Version: c.versions[name], Deleted: data == nil}
	if kind.Personal() {
		ch.Audience = terminal
	}
	if data != nil {
		b, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		ch.Data = b
	}
	c.sign(t, &ch)
	c.sendLocked(ch)
}

func (c *county) sign(t testing.TB, ch *wire.Change) {
	t.Helper()
	sig, err := c.key.Sign(c.rng, ch.SigningBytes())
	if err != nil {
		t.Fatal(err)
	}
	ch.Signature = sig
}

// send sends a change as it is.
func (c *county) send(ch wire.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sendLocked(ch)
}

func (c *county) sendLocked(ch wire.Change) {
	ch.Cursor = strconv.Itoa(len(c.changes) + 1)
	c.changes = append(c.changes, ch)
	close(c.wake)
	c.wake = make(chan struct{})
}

func (c *county) serveChanges(w http.ResponseWriter, r *http.Request) {
	after, _ := strconv.Atoi(r.URL.Query().Get("after"))
	wait, _ := strconv.Atoi(r.URL.Query().Get("wait"))
	deadline := time.NewTimer(time.Duration(wait) * time.Second)
	defer deadline.Stop()
	for over := false; ; {
		c.mu.Lock()
		page := wire.Changes{Cursor: r.URL.Query().Get("after")}
		const most = 3
		for i := after; i < len(c.changes) && len(page.Changes) < most; i++ {
			page.Changes = append(page.Changes, c.changes[i])
			page.Cursor = c.changes[i].Cursor
		}
		page.More = after+len(page.Changes) < len(c.changes)
		wake := c.wake
		c.mu.Unlock()
		if len(page.Changes) > 0 || over {
			wire.WriteJSON(w, http.StatusOK, page)
			return
		}
		select {
		case <-wake:
		case <-deadline.C:
			over = true
		case <-r.Context().Done():
			return
		}
	}
}

func (c *county) serveCheckpoint(w http.ResponseWriter, r *http.Request) {
	var p wire.CheckpointPut
	if !readJSON(w, r, &p) {
		return
	}
	size, err := strconv.ParseInt(strings.Split(p.Note, "\n")[1], 10, 64)
	if err != nil || p.Validate() != nil {
		wire.NewProblem(wire.CodeMalformed, "").Write(w)
		return
	}
	if size < c.signed {
		pr := *wire.NewProblem(wire.CodeLogSmaller, "")
		pr.Size = c.signed
		pr.Write(w)
		return
	}
	if p.Since != c.signed {
		pr := *wire.NewProblem(wire.CodeLogForked, "proof begins elsewhere")
		pr.Size = c.signed
		pr.Write(w)
		return
	}
	c.notes = append(c.notes, p)
	c.signed = size
	c.maybeCrash(true)
	wire.WriteJSON(w, http.StatusOK, wire.CheckpointReply{Note: p.Note + "— cunban/county sig\n", Size: size})
}

func (c *county) serveQuery(w http.ResponseWriter, r *http.Request) {
	var q wire.Query
	if !readJSON(w, r, &q) {
		return
	}
	c.queries++
	in, k, err := wire.OpenQuery(q, r.PathValue("terminal"), c.key)
	if err != nil {
		wire.NewProblem(wire.CodeMalformed, err.Error()).Write(w)
		return
	}
	var a wire.Answer
	switch q.Kind {
	case wire.QueryVerifyClaim:
		var v wire.VerifyClaimIn
		if json.Unmarshal(in, &v) != nil || bytes.Contains(q.Sealed, []byte(v.Number)) {
			wire.NewProblem(wire.CodeMalformed, "").Write(w)
			return
		}
		a, err = wire.SealAnswer(c.rng, k, c.now(), wire.VerifyClaimOut{Result: wire.VerifyMatch, Text: v.Name})
	default:
		a, err = wire.SealAnswer(c.rng, k, c.now(), wire.ListOut{Total: 1, Items: []json.RawMessage{in}})
	}
	if err != nil {
		wire.NewProblem(wire.CodeServer, err.Error()).Write(w)
		return
	}
	wire.WriteJSON(w, http.StatusOK, a)
}

// accepted is the number of cases with a number.
func (c *county) accepted() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, s := range c.cases {
		if s.number != "" {
			n++
		}
	}
	return n
}
