// Package wire is the contract between a terminal and the county's upstream:
// paths, headers, limits, JSON types, problem details and the OpenAPI 3.1
// document that states the same for people and other programs.
//
// It exists so that both ends share one definition and neither can drift. It
// guarantees: every type has one JSON form (snake_case, RFC 3339 times in UTC,
// RFC 4648 standard base64 for bytes, lower-case hex for digests); the sets of
// states, kinds and problem codes are closed; whatever a peer sends can be
// checked with a Validate method before it is used; nothing here does I/O.
//
// Personal data crosses only sealed: in a case body and its files under the
// case's own key, in a query under a key of its own (see SealQuery). A gateway
// of the province may therefore end the TLS on the way.
package wire

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// Version is the version of the contract, sent in HeaderContract. A peer with
// another major version (the part before the dot) is refused with
// CodeVersion.
const Version = "1.0"

// Headers beyond those of HTTP and tus 1.0.
const (
	// HeaderContract carries Version in both directions. An answer without it
	// is not the upstream's answer (a login page, a proxy): never success.
	HeaderContract = "Cunban-Contract"
	// HeaderDigest carries the digest of the case on case requests and
	// answers, so that a log line of a gateway can be matched to it.
	HeaderDigest = "Cunban-Digest"
	// HeaderProgram names the program and version of the sender.
	HeaderProgram = "Cunban-Program"
)

// Headers of tus 1.0 (https://tus.io/protocols/resumable-upload).
const (
	HeaderTusResumable   = "Tus-Resumable"
	HeaderTusVersion     = "Tus-Version"
	HeaderTusExtension   = "Tus-Extension"
	HeaderUploadOffset   = "Upload-Offset"
	HeaderUploadLength   = "Upload-Length"
	HeaderUploadMetadata = "Upload-Metadata"
	HeaderUploadChecksum = "Upload-Checksum"
	TusVersion           = "1.0.0"
	// StatusChecksumMismatch is tus's own status: the chunk's checksum differs,
	// the chunk was discarded, send it again from the same offset.
	StatusChecksumMismatch = 460
)

// Media types.
const (
	TypeJSON      = "application/json"
	TypeProblem   = "application/problem+json"
	TypeTusOffset = "application/offset+octet-stream"
	TypePKCS10    = "application/pkcs10"
	TypeCertsOnly = "application/pkcs7-mime; smime-type=certs-only"
)

// Limits of the contract. Sizes are bytes of the HTTP body unless said.
const (
	MaxBatchItems = 50        // items in one batch
	MaxBatchBytes = 256 << 10 // body of one batch
	MaxCaseBytes  = 1 << 20   // body of one case PUT
	MaxQueryBytes = 64 << 10  // body of one query
	MaxHealth     = 64 << 10  // body of one health report
	MaxCheckpoint = 16 << 10  // body of one checkpoint
	MaxAnswer     = 8 << 20   // any JSON answer; a page of changes is the largest
	MaxFileBytes  = 32 << 20  // one sealed file
	MaxFiles      = 64        // files of one case
	ChunkBytes    = 256 << 10 // one tus PATCH: what is repeated at most after a break
	MaxChanges    = 200       // changes in one page
	MaxWait       = 50 * time.Second
	MaxEnrolBytes = 16 << 10
)

// Errors of the Validate methods.
var ErrInvalid = errors.New("breaks the contract")

func invalid(format string, a ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, a...)...)
}

var (
	reCaseID   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	reTerminal = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	reRegion   = regexp.MustCompile(`^[0-9]{12}$`)
	reFileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	reObjectID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$`)
)

// ValidCaseID reports whether s is a UUIDv7 (RFC 9562) in lower case.
func ValidCaseID(s string) bool { return reCaseID.MatchString(s) }

// ValidTerminal reports whether s can be a terminal's id or serial number.
func ValidTerminal(s string) bool { return reTerminal.MatchString(s) }

// ValidFileName reports whether s can name a file of a case.
func ValidFileName(s string) bool { return reFileName.MatchString(s) }

// Hex writes a digest the way the contract does: lower-case hex.
func Hex(digest []byte) string { return hex.EncodeToString(digest) }

// ParseDigest reads a digest of 32 bytes (SM3, GB/T 32905).
func ParseDigest(s string) ([]byte, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 32 || hex.EncodeToString(b) != s {
		return nil, invalid("digest %q is not 64 lower-case hex digits", s)
	}
	return b, nil
}

// Checksum writes the value of HeaderUploadChecksum for a chunk's SHA-256; see
// ParseChecksum.
func Checksum(sum [32]byte) string { return "sha256 " + b64(sum[:]) }
