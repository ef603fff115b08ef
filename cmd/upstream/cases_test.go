package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/resident"
	"cunban/kiosk/seal"
	"cunban/sync/upstream"
	"cunban/sync/wire"
)

// kept is cases.Store as far as Submit needs it.
type kept struct {
	cases.Store
	s cases.Submission
}

func (k *kept) Submit(_ context.Context, s cases.Submission) (cases.Case, error) {
	k.s = s
	return s.Case, nil
}
func (k *kept) OwnerIndex(resident.IDNumber) []byte { return nil }

// receive puts one case of a made-up person into the store, as a terminal would
// over the line.
func receive(t *testing.T, county *upstream.County, store upstream.Store, demo bool) string {
	t.Helper()
	const terminal = "140830100008-01"
	err := store.Update(t.Context(), func(tx upstream.Tx) error {
		return tx.PutTerminal(upstream.Terminal{ID: terminal, Serial: "SN-1", Region: "140830100008", Village: "东关社区", Name: "点"})
	})
	if err != nil {
		t.Fatal(err)
	}
	number, err := resident.ParseIDNumber("140830195603120024")
	if err != nil {
		t.Fatal(err)
	}
	id, err := cases.NewID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k := &kept{}
	desk := cases.Desk{Store: k, CountyKey: county.Keys().Seal[0].Public(), Rand: rand.Reader, Now: time.Now}
	_, err = desk.Submit(t.Context(), cases.Draft{ID: id, Revision: 1, Service: "S01", ServiceName: "参保登记", Catalogue: "2026.11.1",
		Claim:   resident.Claim{Source: resident.FromIDCard, Number: number, Name: resident.NewName("张桂兰")},
		Answers: []byte(`{"fields":{"pay_grade":{"v":"300","src":"user"}},"materials":{}}`), Region: "140830100008",
		StartedAt: time.Now(), Mode: cases.ModeSelf, Actor: cases.Actor{Demo: demo}})
	if err != nil {
		t.Fatal(err)
	}
	s := k.s
	reply, _, err := county.Receive(t.Context(), terminal, wire.CasePut{CaseID: id, Revision: 1, Service: "S01", Catalogue: s.Case.Catalogue,
		Region: s.Case.Region, StartedAt: s.Case.StartedAt, SavedAt: s.Case.SavedAt, Mode: "self", Demo: demo, KeyID: s.KeyID,
		Envelope: s.Envelope, Body: s.Body, Digest: wire.Hex(seal.Digest(s.Body))})
	if err != nil {
		t.Fatal(err)
	}
	return reply.Acceptance
}

func TestCaseCommands(t *testing.T) {
	dir := t.TempDir()
	county, store, err := open(t.Context(), &common{data: dir}, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	demo, real := receive(t, county, store, true), receive(t, county, store, false)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	var list []upstream.CaseView
	if err := json.Unmarshal([]byte(runCommand(t, exitOK, "cases", "--data", dir, "--json")), &list); err != nil || len(list) != 2 {
		t.Fatalf("cases: %+v %v", list, err)
	}
	masked := runCommand(t, exitOK, "show", "--data", dir, demo, "--json")
	if strings.Contains(masked, "张桂兰") || strings.Contains(masked, "140830195603120024") || strings.Contains(masked, "300 元") {
		t.Errorf("masked record: %s", masked)
	}
	var r upstream.Record
	if err := json.Unmarshal([]byte(runCommand(t, exitOK, "show", "--data", dir, demo, "--json", "--clear")), &r); err != nil ||
		r.Applicant.Name != "张桂兰" || len(r.Answers) != 1 || r.Answers[0].Value != "300 元" || !r.Demo || r.Claim != wire.VerifyMatch {
		t.Errorf("clear record: %+v %v", r, err)
	}
	runCommand(t, exitFailed, "show", "--data", dir, real, "--clear")
	if out := runCommand(t, exitOK, "show", "--data", dir, real); strings.Contains(out, "张桂兰") || !strings.Contains(out, real) {
		t.Errorf("table: %s", out)
	}
	runCommand(t, exitFailed, "return", "--data", dir, demo, "--field", "pay_grade")
	var v upstream.CaseView
	out := runCommand(t, exitOK, "return", "--data", dir, demo, "--field", "pay_grade", "--reason", "请重选档次", "--json")
	if err := json.Unmarshal([]byte(out), &v); err != nil || v.State != upstream.StateReturned || len(v.Mend) != 1 || v.Mend[0].Label != "选择缴费档次" {
		t.Errorf("returned: %s %v", out, err)
	}
	runCommand(t, exitFailed, "finish", "--data", dir, demo) // it waits for the resident
	runCommand(t, exitOK, "start", "--data", dir, real)
	runCommand(t, exitOK, "finish", "--data", dir, real, "--note", "办好了")
	runCommand(t, exitFailed, "refuse", "--data", dir, demo)
	runCommand(t, exitOK, "refuse", "--data", dir, demo, "--note", "不符合条件")
	if out := runCommand(t, exitOK, "cases", "--data", dir, "--state", "refused"); !strings.Contains(out, demo) || strings.Contains(out, real) {
		t.Errorf("refused: %s", out)
	}
}
