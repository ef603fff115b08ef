package upstream_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"cunban/kiosk/seal"
	"cunban/sync/wire"
)

// tus headers.
func tusHeader(kv ...string) http.Header {
	h := http.Header{wire.HeaderTusResumable: {wire.TusVersion}}
	for i := 0; i < len(kv); i += 2 {
		h.Set(kv[i], kv[i+1])
	}
	return h
}

func (x *terminal) create(d draft, name string) (int, string, []byte) {
	x.t.Helper()
	m := wire.UploadMetadata{Case: d.put.CaseID, Revision: d.put.Revision, Name: name, Digest: wire.Hex(seal.Digest(d.files[name]))}
	status, h, b := x.request("POST", wire.PathUploads, tusHeader(wire.HeaderUploadLength, strconv.Itoa(len(d.files[name])),
		wire.HeaderUploadMetadata, m.String()), nil)
	at := h.Get("Location")
	if i := strings.Index(at, "/v1/"); i > 0 {
		at = at[i:]
	}
	return status, at, b
}

func (x *terminal) patch(at string, offset int, chunk []byte, kv ...string) (int, http.Header, []byte) {
	x.t.Helper()
	return x.request("PATCH", at, tusHeader(append([]string{"Content-Type", wire.TypeTusOffset, wire.HeaderUploadOffset, strconv.Itoa(offset),
		wire.HeaderUploadChecksum, wire.Checksum(sha256.Sum256(chunk))}, kv...)...), chunk)
}

func TestUploads(t *testing.T) {
	c := startCounty(t, t.TempDir(), autoApprove)
	x := c.enrol("SN-1", region1)
	scan := make([]byte, 600<<10)
	if _, err := rand.Read(scan); err != nil {
		t.Fatal(err)
	}
	d := x.draft(withScan(scan), withScan([]byte("zweite Seite")))
	name, second := d.put.Files[0].Name, d.put.Files[1].Name

	if status, _, _ := x.create(d, name); status != http.StatusNotFound {
		t.Errorf("upload before its case: %d", status)
	}
	r := x.send(d, http.StatusCreated)
	if r.State != wire.CaseIncomplete || len(r.Missing) != 2 {
		t.Fatalf("put: %+v", r)
	}
	status, at, b := x.create(d, name)
	if status != http.StatusCreated || at == "" {
		t.Fatalf("create: %d %s", status, b)
	}
	data := d.files[name]
	const n = wire.ChunkBytes
	// A chunk that was changed on the way is discarded.
	status, _, b = x.patch(at, 0, data[:n], wire.HeaderUploadChecksum, wire.Checksum(sha256.Sum256([]byte("x"))))
	if status != wire.StatusChecksumMismatch {
		t.Fatalf("changed chunk: %d %s", status, b)
	}
	if status, h, b := x.patch(at, 0, data[:n]); status != http.StatusNoContent || h.Get(wire.HeaderUploadOffset) != strconv.Itoa(n) {
		t.Fatalf("chunk: %d %s", status, b)
	}
	if status, _, _ := x.patch(at, 5, data[5:n]); status != http.StatusConflict {
		t.Errorf("wrong offset: %d", status)
	}
	if status, _, _ := x.patch(at, n, make([]byte, n+1)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("chunk too large: %d", status)
	}
	if status, h, _ := x.request("HEAD", at, tusHeader(), nil); status != http.StatusOK || h.Get(wire.HeaderUploadOffset) != strconv.Itoa(n) ||
		h.Get(wire.HeaderUploadLength) != strconv.Itoa(len(data)) {
		t.Errorf("head: %d %v", status, h)
	}
	// Another terminal sees nothing of it.
	y := c.enrol("SN-2", region2)
	if status, _, _ := y.request("HEAD", at, tusHeader(), nil); status != http.StatusNotFound {
		t.Errorf("another terminal's upload: %d", status)
	}
	if status, _, _ := y.create(d, name); status != http.StatusNotFound {
		t.Errorf("another terminal's case: %d", status)
	}
	for off := n; off < len(data); off += n {
		if status, _, b := x.patch(at, off, data[off:min(off+n, len(data))]); status != http.StatusNoContent {
			t.Fatalf("chunk at %d: %d %s", off, status, b)
		}
	}
	if r := x.send(d, http.StatusOK); r.State != wire.CaseIncomplete || len(r.Missing) != 1 || r.Missing[0] != second {
		t.Fatalf("after the first file: %+v", r)
	}
	// HEAD after the end still tells that all is there: the last answer may
	// have been lost.
	if status, h, _ := x.request("HEAD", at, tusHeader(), nil); status != http.StatusOK || h.Get(wire.HeaderUploadOffset) != strconv.Itoa(len(data)) {
		t.Errorf("head after the end: %d %v", status, h)
	}
	// A whole file that is not what was announced is refused and forgotten.
	_, at2, _ := x.create(d, second)
	wrong := bytes.Repeat([]byte{1}, len(d.files[second]))
	if status, _, b := x.patch(at2, 0, wrong); status != wire.StatusChecksumMismatch {
		t.Fatalf("wrong file: %d %s", status, b)
	}
	if status, _, _ := x.request("HEAD", at2, tusHeader(), nil); status != http.StatusNotFound {
		t.Errorf("wrong file is remembered: %d", status)
	}
	_, at2, _ = x.create(d, second)
	if status, _, _ := x.request("DELETE", at2, tusHeader(), nil); status != http.StatusNoContent {
		t.Errorf("delete: %d", status)
	}
	_, at2, _ = x.create(d, second)
	if status, _, b := x.patch(at2, 0, d.files[second]); status != http.StatusNoContent {
		t.Fatalf("second file: %d %s", status, b)
	}
	if r := x.send(d, http.StatusOK); r.Acceptance == "" {
		t.Fatalf("after all files: %+v", r)
	}
	// The county can read what the village scanned.
	mime, plain, err := c.OpenFile(t.Context(), d.put.CaseID, 1, name, "")
	if err != nil || mime != "image/jpeg" || !bytes.Equal(plain, scan) {
		t.Errorf("opened scan: %s, %d bytes, %v", mime, len(plain), err)
	}
	left, err := os.ReadDir(c.dir + "/uploads")
	if err != nil || len(left) != 0 {
		t.Errorf("uploads left behind: %v %v", left, err)
	}
	status, h, _ := x.request("OPTIONS", wire.PathUploads, nil, nil)
	if status != http.StatusNoContent || h.Get(wire.HeaderTusExtension) != "creation,checksum,termination" {
		t.Errorf("options: %d %v", status, h)
	}
	bad := tusHeader(wire.HeaderUploadLength, "10", wire.HeaderUploadMetadata, "case !!")
	if status, _, _ := x.request("POST", wire.PathUploads, bad, nil); status != http.StatusBadRequest {
		t.Errorf("bad metadata: %d", status)
	}
}
