package wire

import (
	"encoding/base64"
	"net/url"
	"sort"
	"strconv"
	"strings"
)

// Patterns of net/http.ServeMux, one per operation of the contract. The
// wildcards are terminal, case, revision and upload.
const (
	PatternPing        = "GET /v1/terminals/{terminal}/ping"
	PatternIdentity    = "GET /v1/terminals/{terminal}/identity"
	PatternCase        = "PUT /v1/terminals/{terminal}/cases/{case}/revisions/{revision}"
	PatternBatch       = "POST /v1/terminals/{terminal}/batch"
	PatternChanges     = "GET /v1/terminals/{terminal}/changes"
	PatternQueries     = "POST /v1/terminals/{terminal}/queries"
	PatternCheckpoints = "POST /v1/terminals/{terminal}/checkpoints"
	PatternHealth      = "POST /v1/terminals/{terminal}/health"

	PatternUploadOptions = "OPTIONS /v1/uploads"
	PatternUploadCreate  = "POST /v1/uploads"
	PatternUploadHead    = "HEAD /v1/uploads/{upload}"
	PatternUploadPatch   = "PATCH /v1/uploads/{upload}"
	PatternUploadDelete  = "DELETE /v1/uploads/{upload}"

	PatternCACerts        = "GET /.well-known/est/cacerts"
	PatternSimpleEnroll   = "POST /.well-known/est/simpleenroll"
	PatternSimpleReenroll = "POST /.well-known/est/simplereenroll"

	// PatternOpenAPI serves the OpenAPI document itself.
	PatternOpenAPI = "GET /v1/openapi.yaml"
)

// Patterns lists every operation; a test compares it with the OpenAPI document.
var Patterns = []string{
	PatternPing, PatternIdentity, PatternCase, PatternBatch, PatternChanges, PatternQueries,
	PatternCheckpoints, PatternHealth, PatternUploadOptions, PatternUploadCreate,
	PatternUploadHead, PatternUploadPatch, PatternUploadDelete, PatternCACerts,
	PatternSimpleEnroll, PatternSimpleReenroll, PatternOpenAPI,
}

// Fixed paths.
const (
	PathUploads        = "/v1/uploads"
	PathCACerts        = "/.well-known/est/cacerts"
	PathSimpleEnroll   = "/.well-known/est/simpleenroll"
	PathSimpleReenroll = "/.well-known/est/simplereenroll"
	PathOpenAPI        = "/v1/openapi.yaml"
)

func terminalPath(terminal, rest string) string {
	return "/v1/terminals/" + url.PathEscape(terminal) + "/" + rest
}

// PathPing is the cheapest question there is: are you there, what time is it.
func PathPing(terminal string) string { return terminalPath(terminal, "ping") }

// PathIdentity is where an enrolled terminal learns who it is.
func PathIdentity(terminal string) string { return terminalPath(terminal, "identity") }

// PathCase is where one revision of one case is put. The path is the
// idempotency key.
func PathCase(terminal, caseID string, revision int) string {
	return terminalPath(terminal, "cases/"+url.PathEscape(caseID)+"/revisions/"+strconv.Itoa(revision))
}

// PathBatch takes up to MaxBatchItems cases at once.
func PathBatch(terminal string) string { return terminalPath(terminal, "batch") }

// PathChanges asks for changes after a cursor; the upstream holds the answer
// back for up to wait seconds (at most MaxWait) while there is none.
func PathChanges(terminal, after string, waitSeconds int) string {
	q := url.Values{}
	if after != "" {
		q.Set("after", after)
	}
	q.Set("wait", strconv.Itoa(waitSeconds))
	return terminalPath(terminal, "changes?"+q.Encode())
}

// PathQueries takes live queries.
func PathQueries(terminal string) string { return terminalPath(terminal, "queries") }

// PathCheckpoints takes operation-log checkpoints.
func PathCheckpoints(terminal string) string { return terminalPath(terminal, "checkpoints") }

// PathHealth takes health reports.
func PathHealth(terminal string) string { return terminalPath(terminal, "health") }

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// UploadMetadata is what a tus creation says about the file in
// HeaderUploadMetadata. The upstream stores nothing for a creation whose
// values it cannot match with a case of this terminal.
type UploadMetadata struct {
	Case     string // case id
	Revision int
	Name     string // file name within the case
	Digest   string // hex SM3 of the whole sealed file
}

// String writes the header's value: key and base64 value, sorted by key.
func (m UploadMetadata) String() string {
	pairs := map[string]string{
		"case": m.Case, "revision": strconv.Itoa(m.Revision), "name": m.Name, "digest": m.Digest,
	}
	keys := make([]string, 0, len(pairs))
	for k := range pairs {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for i, k := range keys {
		keys[i] = k + " " + b64([]byte(pairs[k]))
	}
	return strings.Join(keys, ",")
}

// ParseUploadMetadata reads HeaderUploadMetadata. Unknown keys are ignored.
func ParseUploadMetadata(s string) (UploadMetadata, error) {
	m := map[string]string{}
	for part := range strings.SplitSeq(s, ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(part), " ")
		b, err := base64.StdEncoding.DecodeString(v)
		if err != nil {
			return UploadMetadata{}, invalid("upload metadata %q is not base64", k)
		}
		m[k] = string(b)
	}
	return UploadMetadataFrom(m)
}

// UploadMetadataFrom reads metadata that a tus library has decoded already.
func UploadMetadataFrom(m map[string]string) (UploadMetadata, error) {
	rev, err := strconv.Atoi(m["revision"])
	out := UploadMetadata{Case: m["case"], Revision: rev, Name: m["name"], Digest: m["digest"]}
	if err != nil || rev < 1 || !ValidCaseID(out.Case) || !ValidFileName(out.Name) {
		return UploadMetadata{}, invalid("upload metadata needs case, revision, name and digest")
	}
	if _, err := ParseDigest(out.Digest); err != nil {
		return UploadMetadata{}, err
	}
	return out, nil
}

// ParseChecksum reads HeaderUploadChecksum. Only sha256 is part of the
// contract; anything else is answered with 400 as tus asks.
func ParseChecksum(s string) ([32]byte, error) {
	var out [32]byte
	alg, v, _ := strings.Cut(s, " ")
	b, err := base64.StdEncoding.DecodeString(v)
	if alg != "sha256" || err != nil || len(b) != len(out) {
		return out, invalid("upload checksum must be sha256 and base64")
	}
	copy(out[:], b)
	return out, nil
}
