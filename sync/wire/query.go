package wire

import (
	"encoding/json"
	"time"
)

// QueryKind is the closed set of live queries.
type QueryKind string

// Query kinds with the types of what goes in and comes out.
const (
	QueryVerifyClaim QueryKind = "verify_claim" // VerifyClaimIn → VerifyClaimOut
	QueryCaseAnswers QueryKind = "case_answers" // CaseAnswersIn → CaseAnswersOut
	QueryRecords     QueryKind = "records"      // RecordsIn → RecordsOut
	QueryPrefill     QueryKind = "prefill"      // PrefillIn → PrefillOut
	QueryJobs        QueryKind = "jobs"         // ListIn → ListOut
	QueryCourses     QueryKind = "courses"      // ListIn → ListOut
	QueryEvents      QueryKind = "events"       // ListIn → ListOut
	QueryPosts       QueryKind = "posts"        // ListIn → ListOut
	QueryNotices     QueryKind = "notices"      // ListIn → ListOut
)

// QueryKinds lists the closed set.
var QueryKinds = []QueryKind{
	QueryVerifyClaim, QueryCaseAnswers, QueryRecords, QueryPrefill, QueryJobs, QueryCourses,
	QueryEvents, QueryPosts, QueryNotices,
}

// Personal reports whether the query carries personal data: then it must be
// sealed (SealQuery), and so is its answer. Public kinds go in clear.
func (k QueryKind) Personal() bool {
	switch k {
	case QueryVerifyClaim, QueryCaseAnswers, QueryRecords, QueryPrefill:
		return true
	case QueryJobs, QueryCourses, QueryEvents, QueryPosts, QueryNotices:
		return false
	}
	return true
}

// Query is one live question. Exactly one of In (public kinds) and Sealed with
// Envelope (personal kinds) is set.
type Query struct {
	ID       string          `json:"id"` // fresh for every query; the answer repeats it
	Kind     QueryKind       `json:"kind"`
	In       json.RawMessage `json:"in,omitempty"`
	KeyID    string          `json:"key_id,omitempty"` // hint, as in CasePut
	Envelope []byte          `json:"envelope,omitempty"`
	Sealed   []byte          `json:"sealed,omitempty"`
}

// Validate checks the shape.
func (q Query) Validate() error {
	known := false
	for _, k := range QueryKinds {
		known = known || k == q.Kind
	}
	switch {
	case !known:
		return invalid("query kind %q", q.Kind)
	case !reObjectID.MatchString(q.ID):
		return invalid("query id %q", q.ID)
	case q.Kind.Personal() && (len(q.Sealed) == 0 || len(q.Envelope) == 0 || len(q.In) > 0):
		return invalid("query %s must be sealed", q.Kind)
	case !q.Kind.Personal() && (len(q.Sealed) > 0 || len(q.Envelope) > 0):
		return invalid("query %s must not be sealed", q.Kind)
	}
	return nil
}

// Answer answers a query. Out is set for public kinds, Sealed for personal
// ones.
type Answer struct {
	ID     string          `json:"id"`
	Kind   QueryKind       `json:"kind"`
	AsOf   time.Time       `json:"as_of"` // how fresh the register behind is
	Out    json.RawMessage `json:"out,omitempty"`
	Sealed []byte          `json:"sealed,omitempty"`
}

// VerifyClaimIn asks whether the register agrees with a card.
type VerifyClaimIn struct {
	Source         string `json:"source"` // resident.Source
	Number         string `json:"number"`
	Name           string `json:"name"`
	Sex            string `json:"sex,omitempty"`
	BirthDate      string `json:"birth_date,omitempty"` // YYYYMMDD
	CardNumber     string `json:"card_number,omitempty"`
	CardIdentifier string `json:"card_identifier,omitempty"`
	ExpiryDate     string `json:"expiry_date,omitempty"` // YYYYMMDD
	Demo           bool   `json:"demo"`
}

// VerifyResult is the closed set of what the register says.
type VerifyResult string

// Verify results.
const (
	VerifyMatch    VerifyResult = "match"     // the register agrees
	VerifyMismatch VerifyResult = "mismatch"  // name or number differ
	VerifyUnknown  VerifyResult = "unknown"   // the register has no such person
	VerifyCardLost VerifyResult = "card_lost" // reported lost (挂失)
	VerifyCardVoid VerifyResult = "card_void" // cancelled or expired
)

// VerifyClaimOut is the register's answer.
type VerifyClaimOut struct {
	Result VerifyResult `json:"result"`
	Text   string       `json:"text"` // plain words, what to do next
}

// CaseAnswersIn asks for what was filled in a case that came back, so that the
// resident mends it instead of starting over. Only the owner's number opens it.
type CaseAnswersIn struct {
	CaseID string `json:"case_id"`
	Number string `json:"number"`
}

// CaseAnswersOut is the returned case.
type CaseAnswersOut struct {
	CaseID    string          `json:"case_id"`
	Revision  int             `json:"revision"`
	Service   string          `json:"service"`
	Catalogue string          `json:"catalogue"`
	Answers   json.RawMessage `json:"answers"` // kiosk/form's JSON
	Mend      []Mend          `json:"mend"`
}

// RecordsIn asks for a person's records behind a query service (缴费记录,
// 权益记录, 账户, 待遇发放, 证书, 卡状态 …).
type RecordsIn struct {
	Service string `json:"service"` // service id, e.g. S05
	Number  string `json:"number"`
	Name    string `json:"name"`
	Year    int    `json:"year,omitempty"` // 0 = all
}

// RecordsOut is a small table.
type RecordsOut struct {
	Title   string     `json:"title"`
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
	Summary []Pair     `json:"summary,omitempty"`
	Note    string     `json:"note,omitempty"`
}

// Pair is a label and its value in plain words.
type Pair struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

// PrefillIn asks for what the county knows already for a service's form.
type PrefillIn struct {
	Service string `json:"service"`
	Number  string `json:"number"`
	Name    string `json:"name"`
}

// PrefillOut maps field names to values; a field not there is asked.
type PrefillOut struct {
	Values map[string]string `json:"values"`
}

// ListIn asks for a public list.
type ListIn struct {
	Region string            `json:"region,omitempty"` // 12-digit code: near first
	Text   string            `json:"text,omitempty"`   // words to look for
	Filter map[string]string `json:"filter,omitempty"`
	After  string            `json:"after,omitempty"` // ListOut.Next of the page before
	Limit  int               `json:"limit,omitempty"` // 0 = upstream's choice, at most 100
}

// ListOut is a page. Items have the shape of the downlink object of the kind.
type ListOut struct {
	Items []json.RawMessage `json:"items"`
	Next  string            `json:"next,omitempty"` // "" = no more
	Total int               `json:"total"`
}
