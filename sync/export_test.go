package sync

import (
	"encoding/json"

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
