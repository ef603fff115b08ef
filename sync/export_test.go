package sync

import (
	"encoding/json"
	"net/http"
	"time"

	"cunban/sync/wire"
)

// JudgeNaively makes the engine believe any 200, as a careless client would.
// The simulation must catch it.
func (e *Engine) JudgeNaively() {
	e.judge = func(a *answer, want wire.CasePut) (wire.CaseReply, *Failure) {
		if a.status != 200 && a.status != 201 {
			return e.judgeCase(a, want)
		}
		var r wire.CaseReply
		if json.Unmarshal(a.body, &r) != nil || r.State != wire.CaseIncomplete {
			r.State = wire.CaseAccepted
		}
		return r, nil
	}
}

// NewCredentials makes credentials out of PEM.
var NewCredentials = newCredentials

// Judge judges an answer to a case.
func (e *Engine) Judge(status int, header http.Header, body []byte, want wire.CasePut) (wire.CaseReply, *Failure) {
	return e.judge(&answer{status: status, header: header, body: body}, want)
}

// Parsers of foreign bytes, for fuzzing.
var (
	RetryAfter = func(s string) time.Duration { return retryAfter(s, time.Unix(1_790_000_000, 0)) }
	NoteSize   = noteSize
)

// UploadPath reads a Location.
func (e *Engine) UploadPath(location string) (string, error) { return e.uploadPath(location) }
