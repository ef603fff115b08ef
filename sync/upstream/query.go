package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cunban/kiosk/seal"
	"cunban/sync/wire"
)

// Pages of lists.
const (
	listDefault = 20
	listMax     = 100
)

// Query answers a live question. Errors are *wire.Problem when they are for the
// terminal.
func (c *County) Query(ctx context.Context, terminal string, q wire.Query) (wire.Answer, error) {
	known := false
	for _, k := range wire.QueryKinds {
		known = known || k == q.Kind
	}
	if !known {
		return wire.Answer{}, wire.NewProblem(wire.CodeQueryKind, string(q.Kind))
	}
	in, key, err := wire.OpenQuery(q, terminal, c.o.Keys.Seal...)
	switch {
	case errors.Is(err, seal.ErrOpen):
		return wire.Answer{}, wire.NewProblem(wire.CodeInvalid, "the query cannot be opened")
	case err != nil:
		return wire.Answer{}, wire.NewProblem(wire.CodeMalformed, err.Error())
	}
	defer key.Wipe()
	defer clear(in)
	out, asOf, err := c.answer(ctx, terminal, q.Kind, in)
	if err != nil {
		return wire.Answer{}, err
	}
	return wire.SealAnswer(c.o.Rand, key, asOf, out)
}

func (c *County) answer(ctx context.Context, terminal string, kind wire.QueryKind, in []byte) (any, time.Time, error) {
	asOf := c.o.Register.AsOf()
	read := func(v any) error {
		if err := json.Unmarshal(in, v); err != nil {
			return wire.NewProblem(wire.CodeMalformed, "what the query holds has another shape") // the error could quote it
		}
		return nil
	}
	switch kind {
	case wire.QueryVerifyClaim:
		var v wire.VerifyClaimIn
		if err := read(&v); err != nil {
			return nil, asOf, err
		}
		out, err := c.o.Register.Verify(ctx, v)
		return out, asOf, registerProblem(err)
	case wire.QueryRecords:
		var v wire.RecordsIn
		if err := read(&v); err != nil {
			return nil, asOf, err
		}
		out, err := c.o.Register.Records(ctx, v)
		return out, asOf, registerProblem(err)
	case wire.QueryPrefill:
		var v wire.PrefillIn
		if err := read(&v); err != nil {
			return nil, asOf, err
		}
		out, err := c.o.Register.Prefill(ctx, v)
		return out, asOf, registerProblem(err)
	case wire.QueryCaseAnswers:
		var v wire.CaseAnswersIn
		if err := read(&v); err != nil {
			return nil, asOf, err
		}
		out, err := c.caseAnswers(ctx, terminal, v)
		return out, c.now(), err
	case wire.QueryJobs, wire.QueryCourses, wire.QueryEvents, wire.QueryPosts, wire.QueryNotices:
		var v wire.ListIn
		if err := read(&v); err != nil {
			return nil, asOf, err
		}
		out, err := c.list(ctx, listKind(kind), v)
		return out, c.now(), err
	}
	return nil, asOf, wire.NewProblem(wire.CodeQueryKind, string(kind))
}

func registerProblem(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNoPerson):
		return wire.NewProblem(wire.CodeNotFound, "").WithDetail("没有查到登记信息，请到乡镇或县里窗口核对")
	case errors.Is(err, ErrRegister):
		return wire.NewProblem(wire.CodeQuerySource, err.Error())
	}
	return err
}

// caseAnswers gives a returned case back to its owner at the terminal it came
// from. Whoever asks with another number learns only that there is nothing.
func (c *County) caseAnswers(ctx context.Context, terminal string, in wire.CaseAnswersIn) (wire.CaseAnswersOut, error) {
	none := wire.NewProblem(wire.CodeNotFound, "")
	d, err := c.OpenDossier(ctx, in.CaseID, "")
	switch {
	case errors.Is(err, ErrNotFound):
		return wire.CaseAnswersOut{}, none
	case err != nil:
		return wire.CaseAnswersOut{}, err
	case d.Case.Terminal != terminal || d.Case.State != StateReturned ||
		!seal.Equal([]byte(d.Body.Applicant.Number), []byte(strings.ToUpper(in.Number))):
		return wire.CaseAnswersOut{}, none
	}
	return wire.CaseAnswersOut{CaseID: d.Case.ID, Revision: d.Case.Revision, Service: d.Case.Service,
		Catalogue: d.Revision.Catalogue, Answers: d.Body.Answers, Mend: d.Case.Mend}, nil
}

func listKind(k wire.QueryKind) wire.Kind {
	switch k {
	case wire.QueryJobs:
		return wire.KindJob
	case wire.QueryCourses:
		return wire.KindCourse
	case wire.QueryEvents:
		return wire.KindEvent
	case wire.QueryPosts:
		return wire.KindPost
	case wire.QueryNotices:
		return wire.KindNotice
	case wire.QueryVerifyClaim, wire.QueryCaseAnswers, wire.QueryRecords, wire.QueryPrefill:
	}
	return ""
}

// list answers a public list: every word of Text must be somewhere in the
// object, every Filter key must be a member with that value, and what is of the
// asking village, town or county comes first.
func (c *County) list(ctx context.Context, kind wire.Kind, in wire.ListIn) (wire.ListOut, error) {
	var objects []Object
	err := c.o.Store.View(ctx, func(tx Tx) (err error) { objects, err = tx.Objects(kind); return err })
	if err != nil {
		return wire.ListOut{}, err
	}
	start := 0
	if in.After != "" {
		if start, err = strconv.Atoi(in.After); err != nil || start < 0 {
			return wire.ListOut{}, wire.NewProblem(wire.CodeMalformed, fmt.Sprintf("after %q", in.After))
		}
	}
	limit := in.Limit
	if limit <= 0 {
		limit = listDefault
	}
	limit = min(limit, listMax)
	// From the nearest to the farthest: same village, town, county, the rest.
	var near [4][]json.RawMessage
	total := 0
	today := c.now().In(zone).Format(time.DateOnly)
	for _, o := range objects {
		rank, ok := matches(o.Data, in, today)
		if !ok {
			continue
		}
		total++
		near[rank] = append(near[rank], o.Data)
	}
	all := make([]json.RawMessage, 0, total)
	for _, l := range near {
		all = append(all, l...)
	}
	out := wire.ListOut{Items: []json.RawMessage{}, Total: total}
	if start < len(all) {
		out.Items = all[start:min(start+limit, len(all))]
	}
	if start+limit < len(all) {
		out.Next = strconv.Itoa(start + limit)
	}
	return out, nil
}

// matches judges one object; what is over (valid_until) is not offered.
func matches(data []byte, in wire.ListIn, today string) (rank int, ok bool) {
	for _, w := range strings.Fields(in.Text) {
		if !strings.Contains(string(data), w) {
			return 0, false
		}
	}
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		return 0, false // published objects are objects
	}
	for k, want := range in.Filter {
		if !holds(m[k], want) {
			return 0, false
		}
	}
	if until, _ := m["valid_until"].(string); until != "" && until < today {
		return 0, false
	}
	region, _ := m["region"].(string)
	if region == "" {
		region, _ = m["town"].(string)
	}
	for i, n := range []int{12, 9, 6} {
		if len(in.Region) >= n && len(region) >= n && in.Region[:n] == region[:n] {
			return i, true
		}
	}
	return 3, true
}

func holds(v any, want string) bool {
	switch x := v.(type) {
	case string:
		return x == want
	case bool:
		return strconv.FormatBool(x) == want
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64) == want
	case []any:
		for _, e := range x {
			if holds(e, want) {
				return true
			}
		}
	}
	return false
}
