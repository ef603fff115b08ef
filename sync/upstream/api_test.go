package upstream_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/seal"
	"cunban/sync/upstream"
	"cunban/sync/wire"
)

func TestCaseIsAcceptedOnceForEver(t *testing.T) {
	c := startCounty(t, t.TempDir(), autoApprove)
	x := c.enrol("SN-1", region1)
	d := x.draft()
	first := x.send(d, http.StatusCreated)
	if first.State != wire.CaseAccepted || !regexp.MustCompile(`^140830-\d{8}-\d{6}$`).MatchString(first.Acceptance) {
		t.Fatalf("first answer: %+v", first)
	}
	for range 3 {
		again := x.send(d, http.StatusOK)
		if again.State != wire.CaseDuplicate || again.Acceptance != first.Acceptance || again.Due != first.Due {
			t.Fatalf("again: %+v, first %+v", again, first)
		}
	}
	// The same id and revision with other content is never taken.
	other := x.draft(func(o *cases.Draft) { o.ID = d.put.CaseID })
	if p := x.refused(other, wire.CodeDigestConflict); p.Digest != d.put.Digest {
		t.Errorf("conflict names digest %s", p.Digest)
	}
	if n := len(mustCases(t, c)); n != 1 {
		t.Errorf("%d cases", n)
	}
	// The next one gets the next number.
	second := x.send(x.draft(), http.StatusCreated)
	if number(t, second.Acceptance) != number(t, first.Acceptance)+1 {
		t.Errorf("numbers %s, %s", first.Acceptance, second.Acceptance)
	}
	want := cases.Calendar{}.Due(first.AcceptedAt.In(time.FixedZone("CST", 8*3600)), c.Catalogue().Service("S01").LimitDays)
	if first.Due != want {
		t.Errorf("due %s, want %s", first.Due, want)
	}
}

func number(t *testing.T, acceptance string) int {
	t.Helper()
	n, err := strconv.Atoi(acceptance[len(acceptance)-6:])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func mustCases(t *testing.T, c *county) []upstream.Case {
	t.Helper()
	list, err := c.Cases(t.Context(), upstream.CaseQuery{})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestCaseRefusals(t *testing.T) {
	c := startCounty(t, t.TempDir(), autoApprove)
	x := c.enrol("SN-1", region1)
	d := x.draft()

	moved := d
	moved.put.Envelope = x.draft().put.Envelope // another case's key
	x.refused(moved, wire.CodeInvalid)

	relabelled := d
	relabelled.put.Demo = false // the body says demo
	x.refused(relabelled, wire.CodeInvalid)

	unknown := d
	unknown.put.Service = "X99"
	x.refused(unknown, wire.CodeInvalid)

	wrongDigest := d
	wrongDigest.put.Digest = wire.Hex(seal.Digest([]byte("other")))
	x.refused(wrongDigest, wire.CodeMalformed)

	later := x.draft(func(o *cases.Draft) { o.Revision = 2 })
	x.refused(later, wire.CodeRevisionOrder)

	if n := len(mustCases(t, c)); n != 0 {
		t.Fatalf("%d refused cases were stored", n)
	}

	// A stale or missing hint of the key is no reason to refuse.
	stale := d
	stale.put.KeyID = "0000000000000000"
	x.send(stale, http.StatusCreated)

	status, p := x.call("PUT", wire.PathCase(x.id, d.put.CaseID, 2), d.put, nil)
	if status != http.StatusBadRequest || p.Code != wire.CodeMalformed {
		t.Errorf("path and body differ: %d %v", status, p)
	}
	big := make([]byte, wire.MaxCaseBytes+1)
	status, _, _ = x.request("PUT", wire.PathCase(x.id, d.put.CaseID, 1), nil, big)
	if status != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d", status)
	}
	status, _, _ = x.request("PUT", wire.PathCase(x.id, d.put.CaseID, 1), http.Header{"Content-Type": {"text/plain"}}, []byte("{}"))
	if status != http.StatusUnsupportedMediaType {
		t.Errorf("media type: %d", status)
	}
	status, _, b := x.request("GET", wire.PathPing(x.id), http.Header{wire.HeaderContract: {"2.0"}}, nil)
	if status != http.StatusBadRequest || !bytes.Contains(b, []byte(`"version"`)) {
		t.Errorf("other contract: %d %s", status, b)
	}
}

func TestRevisionsFollowAReturn(t *testing.T) {
	c := startCounty(t, t.TempDir(), autoApprove)
	x := c.enrol("SN-1", region1)
	d := x.draft()
	first := x.send(d, http.StatusCreated)
	second := x.draft(func(o *cases.Draft) { o.ID, o.Revision = d.put.CaseID, 2 })
	x.refused(second, wire.CodeRevisionOrder) // nobody returned it

	if _, err := c.Decide(t.Context(), d.put.CaseID, upstream.Decision{State: upstream.StateReturned, By: "1"}); err == nil {
		t.Error("returned without a reason")
	}
	mend := []wire.Mend{{Field: "hkb_scan", Label: "户口簿", Reason: "照片看不清，请重拍"}}
	if _, err := c.Decide(t.Context(), d.put.CaseID, upstream.Decision{State: upstream.StateReturned, Mend: mend, By: "1"}); err != nil {
		t.Fatal(err)
	}
	// The owner gets the answers back, nobody else does.
	var out wire.CaseAnswersOut
	x.ask(wire.QueryCaseAnswers, wire.CaseAnswersIn{CaseID: d.put.CaseID, Number: zhangNumber}, &out)
	if out.Revision != 1 || len(out.Mend) != 1 || out.Mend[0] != mend[0] || !bytes.Contains(out.Answers, []byte("pay_grade")) {
		t.Errorf("answers: %+v", out)
	}
	if p := x.askProblem(wire.QueryCaseAnswers, wire.CaseAnswersIn{CaseID: d.put.CaseID, Number: "142723194809051237"}); p.Code != wire.CodeNotFound {
		t.Errorf("a stranger got %v", p)
	}
	third := x.draft(func(o *cases.Draft) { o.ID, o.Revision = d.put.CaseID, 3 })
	x.refused(third, wire.CodeRevisionOrder)
	mended := x.send(second, http.StatusCreated)
	if mended.Acceptance != first.Acceptance || mended.State != wire.CaseAccepted {
		t.Errorf("mended: %+v", mended)
	}
	x.send(d, http.StatusOK) // the first revision still answers
	if p := x.askProblem(wire.QueryCaseAnswers, wire.CaseAnswersIn{CaseID: d.put.CaseID, Number: zhangNumber}); p.Code != wire.CodeNotFound {
		t.Errorf("answers of a case that is not returned: %v", p)
	}
}

// ask sends a query and opens the answer.
func (x *terminal) ask(kind wire.QueryKind, in, out any) {
	x.t.Helper()
	q, key, err := wire.SealQuery(rand.Reader, x.c.Keys().Seal[0].Public(), x.id, kind, in)
	if err != nil {
		x.t.Fatal(err)
	}
	var a wire.Answer
	if _, p := x.call("POST", wire.PathQueries(x.id), q, &a); p != nil {
		x.t.Fatalf("query %s: %v", kind, p)
	}
	if err := wire.OpenAnswer(a, key, out); err != nil {
		x.t.Fatal(err)
	}
}

func (x *terminal) askProblem(kind wire.QueryKind, in any) *wire.Problem {
	x.t.Helper()
	q, _, err := wire.SealQuery(rand.Reader, x.c.Keys().Seal[0].Public(), x.id, kind, in)
	if err != nil {
		x.t.Fatal(err)
	}
	_, p := x.call("POST", wire.PathQueries(x.id), q, &wire.Answer{})
	if p == nil {
		x.t.Fatalf("query %s was answered", kind)
	}
	return p
}

func TestQueries(t *testing.T) {
	c := startCounty(t, t.TempDir(), autoApprove)
	x := c.enrol("SN-1", region1)
	var v wire.VerifyClaimOut
	x.ask(wire.QueryVerifyClaim, wire.VerifyClaimIn{Source: "id_card", Number: zhangNumber, Name: zhangName}, &v)
	if v.Result != wire.VerifyMatch {
		t.Errorf("verify: %+v", v)
	}
	x.ask(wire.QueryVerifyClaim, wire.VerifyClaimIn{Source: "id_card", Number: zhangNumber, Name: "别人"}, &v)
	if v.Result != wire.VerifyMismatch || v.Text == "" {
		t.Errorf("verify another name: %+v", v)
	}
	x.ask(wire.QueryVerifyClaim, wire.VerifyClaimIn{Source: "id_card", Number: "140830200102290010", Name: zhangName}, &v)
	if v.Result != wire.VerifyUnknown {
		t.Errorf("verify a stranger: %+v", v)
	}
	var rec wire.RecordsOut
	x.ask(wire.QueryRecords, wire.RecordsIn{Service: "S07", Number: zhangNumber, Name: zhangName}, &rec)
	if len(rec.Rows) == 0 || len(rec.Columns) != len(rec.Rows[0]) || rec.Note == "" {
		t.Errorf("records: %+v", rec)
	}
	var pre wire.PrefillOut
	x.ask(wire.QueryPrefill, wire.PrefillIn{Service: "S01", Number: zhangNumber, Name: zhangName}, &pre)
	if pre.Values["aab301"] == "" {
		t.Errorf("prefill: %+v", pre)
	}
	if p := x.askProblem(wire.QueryPrefill, wire.PrefillIn{Service: "S01", Number: zhangNumber, Name: "别人"}); p.Code != wire.CodeNotFound {
		t.Errorf("prefill for another name: %v", p)
	}

	for i := range 25 {
		r := "140830100008"
		if i%2 == 0 {
			r = "140830101001"
		}
		if _, err := c.Publish(t.Context(), wire.KindJob, fmt.Sprintf("J%03d", i), "", map[string]any{"id": fmt.Sprintf("J%03d", i), "title": "焊工", "region": r}); err != nil {
			t.Fatal(err)
		}
	}
	seen, after := map[string]bool{}, ""
	for first := true; ; first = false {
		var l wire.ListOut
		x.ask(wire.QueryJobs, wire.ListIn{Region: region1, Text: "焊工", After: after, Limit: 10}, &l)
		if l.Total != 25 || len(l.Items) > 10 {
			t.Fatalf("list: %d of %d", len(l.Items), l.Total)
		}
		for _, it := range l.Items {
			var o struct{ ID, Region string }
			if err := json.Unmarshal(it, &o); err != nil || seen[o.ID] {
				t.Fatalf("item %s: %v", it, err)
			}
			seen[o.ID] = true
			if first && o.Region != region1 {
				t.Errorf("near ones are not first: %s", o.Region)
			}
		}
		if after = l.Next; after == "" {
			break
		}
	}
	if len(seen) != 25 {
		t.Errorf("%d jobs seen", len(seen))
	}
	status, p := x.call("POST", wire.PathQueries(x.id), map[string]any{"id": "1", "kind": "gossip"}, nil)
	if status != http.StatusUnprocessableEntity || p.Code != wire.CodeQueryKind {
		t.Errorf("unknown kind: %d %v", status, p)
	}
	// A query sealed for another terminal does not open here.
	q, _, err := wire.SealQuery(rand.Reader, c.Keys().Seal[0].Public(), "other", wire.QueryPrefill, wire.PrefillIn{})
	if err != nil {
		t.Fatal(err)
	}
	if _, p := x.call("POST", wire.PathQueries(x.id), q, nil); p == nil || p.Code != wire.CodeInvalid {
		t.Errorf("moved query: %v", p)
	}
}

func TestBatchAnswersEachItem(t *testing.T) {
	c := startCounty(t, t.TempDir(), autoApprove)
	x := c.enrol("SN-1", region1)
	good, bad, dup := x.draft(), x.draft(), x.draft()
	bad.put.Envelope = good.put.Envelope
	x.send(dup, http.StatusCreated)
	raw, err := json.Marshal(map[string]any{"items": []any{good.put, bad.put, map[string]any{"case_id": 5}, dup.put}})
	if err != nil {
		t.Fatal(err)
	}
	status, _, b := x.request("POST", wire.PathBatch(x.id), nil, raw)
	var out wire.BatchReply
	if err := json.Unmarshal(b, &out); err != nil || status != http.StatusOK || len(out.Items) != 4 {
		t.Fatalf("batch: %d %s", status, b)
	}
	for i, want := range []int{201, 422, 400, 200} {
		it := out.Items[i]
		if it.Status != want || (it.Reply == nil) == (it.Problem == nil) {
			t.Errorf("item %d: %+v, want %d", i, it, want)
		}
	}
	var many wire.Batch
	for range wire.MaxBatchItems + 1 {
		many.Items = append(many.Items, wire.CasePut{})
	}
	if status, p := x.call("POST", wire.PathBatch(x.id), many, nil); status != http.StatusRequestEntityTooLarge {
		t.Errorf("too many items: %d %v", status, p)
	}
}

func TestChanges(t *testing.T) {
	c := startCounty(t, t.TempDir(), autoApprove)
	x, y := c.enrol("SN-1", region1), c.enrol("SN-2", region2)
	d := x.draft()
	x.send(d, http.StatusCreated)
	if _, err := c.Decide(t.Context(), d.put.CaseID, upstream.Decision{State: upstream.StateProcessing, By: "1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutStaff(t.Context(), upstream.Staff{Number: "1001", Name: "李秀英", Roles: []string{"clerk"}, Region: region1, PIN: "135790"}, "1"); err != nil {
		t.Fatal(err)
	}
	pull := func(x *terminal, after string, wait int) wire.Changes {
		t.Helper()
		var page wire.Changes
		if _, p := x.call("GET", wire.PathChanges(x.id, after, wait), nil, &page); p != nil {
			t.Fatal(p)
		}
		for _, ch := range page.Changes {
			if err := ch.Validate(x.id); err != nil {
				t.Error(err)
			}
			if !c.Keys().Sign.Public().Verify(ch.SigningBytes(), ch.Signature) {
				t.Errorf("%s/%s: signature", ch.Kind, ch.ID)
			}
		}
		return page
	}
	page := pull(x, "", 0)
	if len(page.Changes) != 2 || page.Changes[0].Kind != wire.KindCaseUpdate || page.Changes[1].Kind != wire.KindStaff {
		t.Fatalf("changes: %+v", page)
	}
	var u wire.CaseUpdate
	if err := json.Unmarshal(page.Changes[0].Data, &u); err != nil || u.State != "processing" || u.Acceptance == "" {
		t.Errorf("update: %+v %v", u, err)
	}
	var acc wire.StaffAccount
	if err := json.Unmarshal(page.Changes[1].Data, &acc); err != nil || !seal.CheckPassword(acc.PINHash, "135790") {
		t.Errorf("account: %+v %v", acc, err)
	}
	if other := pull(y, "", 0); len(other.Changes) != 1 || other.Changes[0].Kind != wire.KindStaff {
		t.Errorf("another terminal sees %+v", other.Changes)
	}
	if idle := pull(x, page.Cursor, 0); len(idle.Changes) != 0 || idle.Cursor != page.Cursor {
		t.Errorf("nothing new: %+v", idle)
	}
	// A long poll ends when something comes.
	got := make(chan wire.Changes, 1)
	go func() { got <- pull(x, page.Cursor, 50) }()
	if _, err := c.Decide(t.Context(), d.put.CaseID, upstream.Decision{State: upstream.StateFinished, Note: "办好了", By: "1"}); err != nil {
		t.Fatal(err)
	}
	select {
	case p := <-got:
		if len(p.Changes) != 1 || p.Changes[0].Version != 2 {
			t.Errorf("long poll: %+v", p)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the long poll did not end")
	}
	if _, p := x.call("GET", "/v1/terminals/"+x.id+"/changes?wait=51", nil, nil); p == nil || p.Code != wire.CodeMalformed {
		t.Errorf("wait too long: %v", p)
	}
	if _, p := x.call("GET", "/v1/terminals/"+x.id+"/changes?after=abc", nil, nil); p == nil || p.Code != wire.CodeMalformed {
		t.Errorf("cursor: %v", p)
	}
	// Pages: more than one page of objects arrives whole and in order.
	for i := range wire.MaxChanges + 50 {
		if _, err := c.Publish(t.Context(), wire.KindNotice, fmt.Sprintf("N%d", i), "", map[string]string{"id": fmt.Sprintf("N%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	count, after := 0, page.Cursor
	for {
		p := pull(y, after, 0)
		count += len(p.Changes)
		after = p.Cursor
		if !p.More {
			break
		}
	}
	if count != wire.MaxChanges+50 {
		t.Errorf("%d changes in pages", count)
	}
}

func TestHealthAndIdentity(t *testing.T) {
	c := startCounty(t, t.TempDir(), autoApprove)
	x := c.enrol("SN-1", region1)
	var id wire.Identity
	if _, p := x.call("GET", wire.PathIdentity(x.id), nil, &id); p != nil {
		t.Fatal(p)
	}
	if err := id.Validate(); err != nil || id.ID != x.id || id.Serial != "SN-1" || id.Region != region1 || !id.Demo {
		t.Errorf("identity: %+v %v", id, err)
	}
	if _, err := seal.ParsePublicKey([]byte(id.SealKey)); err != nil {
		t.Error(err)
	}
	h := wire.Health{Terminal: x.id, At: time.Now(), Version: "1", Queue: wire.Queue{Total: 3, Waiting: 1, Done: 2}}
	var reply wire.HealthReply
	if _, p := x.call("POST", wire.PathHealth(x.id), h, &reply); p != nil || reply.Time.IsZero() {
		t.Fatal(p)
	}
	got, _, err := c.Health(t.Context(), x.id)
	if err != nil || got.Queue.Waiting != 1 {
		t.Errorf("health: %+v %v", got, err)
	}
	h.Terminal = "other"
	if _, p := x.call("POST", wire.PathHealth(x.id), h, nil); p == nil || p.Code != wire.CodeMalformed {
		t.Errorf("report of another terminal: %v", p)
	}
	y := c.enrol("SN-2", region2)
	if status, p := y.call("GET", wire.PathPing(x.id), nil, nil); status != http.StatusForbidden || p.Code != wire.CodeWrongTerminal {
		t.Errorf("another terminal's path: %d %v", status, p)
	}
	if status, _, b := x.request("GET", wire.PathOpenAPI, nil, nil); status != http.StatusOK || !bytes.Equal(b, wire.OpenAPI) {
		t.Errorf("openapi: %d", status)
	}
	if status, _, _ := x.request("GET", "/index.html", nil, nil); status != http.StatusNotFound {
		t.Errorf("unknown path: %d", status)
	}
}
