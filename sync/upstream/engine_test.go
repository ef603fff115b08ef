package upstream_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	gosync "sync"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/oplog"
	"cunban/kiosk/resident"
	"cunban/kiosk/seal"
	"cunban/sync"
	"cunban/sync/storetest"
	"cunban/sync/upstream"
	"cunban/sync/upstream/sample"
	"cunban/sync/wire"
)

// terminalStore is the engine's store with a log that is really signed.
type terminalStore struct {
	*storetest.Mem
	mu     gosync.Mutex
	log    *oplogOf
	signed chan string // countersigned notes
}

// Countersign keeps a note and tells the test.
func (s *terminalStore) Countersign(ctx context.Context, note []byte) error {
	s.signed <- string(note)
	return s.Mem.Countersign(ctx, note)
}

func (s *terminalStore) Checkpoint(_ context.Context, since int64) ([]byte, [][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.grow(1, "record")
	p := s.log.put(int(since), len(s.log.leaves))
	return []byte(p.Note), p.Proof, nil
}

// PublicKey is what the engine hands in with checkpoints.
func (s *terminalStore) PublicKey() *seal.PublicKey { return s.log.key.Public() }

// intoMem lets cases.Desk submit into the engine's store.
type intoMem struct {
	cases.Store
	mem *storetest.Mem
}

func (m intoMem) Submit(ctx context.Context, s cases.Submission) (cases.Case, error) {
	return m.mem.Submit(ctx, s)
}
func (intoMem) OwnerIndex(resident.IDNumber) []byte { return []byte("owner") }

// TestTheEngineAndTheUpstream goes the whole way with the terminal's real
// engine: enrolment, case with a scan, number, return, mended revision, staff
// account, checkpoint.
func TestTheEngineAndTheUpstream(t *testing.T) {
	c := startCounty(t, t.TempDir())
	code := c.code("SN-1", region1, true)
	store := &terminalStore{Mem: storetest.NewMem(), signed: make(chan string, 1000)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	id, err := sync.Enrol(ctx, sync.EnrolOptions{Base: "https://" + c.addr, Serial: "SN-1", Code: code, Store: store,
		OnWaiting: func(wire.EnrolPending) {
			codes, err := c.Codes(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			// The second call finds it approved already.
			if err := c.Approve(ctx, "SN-1", codes[0].SecretHash, true, "admin"); err != nil {
				t.Log(err)
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	store.log = newLog(t, id.ID)
	cred, err := sync.LoadCredentials(ctx, store)
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan sync.Event, 1000)
	timing := sync.DefaultTiming
	timing.CheckEvery, timing.HealthEvery = time.Second, time.Second
	e, err := sync.New(sync.Options{Store: store, Credentials: cred, Base: "https://" + c.addr, Terminal: id.ID, Program: "test",
		Timing: timing, OnEvent: func(ev sync.Event) { events <- ev },
		Health: func(context.Context) wire.Health {
			return wire.Health{Terminal: id.ID, At: time.Now(), Version: "test"}
		}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = e.Run(ctx) // always nil
	}()
	defer func() { cancel(); <-ended }()
	await := func(what string, ok func(sync.Event) bool) sync.Event {
		t.Helper()
		limit := time.After(30 * time.Second)
		for {
			select {
			case ev := <-events:
				switch ev.Kind {
				case sync.EventRefused, sync.EventAttention, sync.EventCheckpoint, sync.EventStore:
					t.Fatalf("%s: %s %s", ev.Kind, ev.Text, ev.Detail)
				}
				if ok(ev) {
					return ev
				}
			case <-limit:
				t.Fatalf("waited for %s in vain", what)
			}
		}
	}
	sealKey, err := seal.ParsePublicKey([]byte(id.SealKey))
	if err != nil {
		t.Fatal(err)
	}
	desk := cases.Desk{Store: intoMem{mem: store.Mem}, CountyKey: sealKey, Rand: rand.Reader, Now: time.Now}
	number, err := resident.ParseIDNumber(zhangNumber)
	if err != nil {
		t.Fatal(err)
	}
	caseID, err := cases.NewID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	submit := func(rev int) {
		t.Helper()
		_, err := desk.Submit(ctx, cases.Draft{ID: caseID, Revision: rev, Service: "S01", ServiceName: "参保登记", Catalogue: c.Catalogue().Version, LimitDays: 3,
			Claim:   resident.Claim{Source: resident.FromSocialCard, Number: number, Name: resident.NewName(zhangName), CardNumber: sample.Persons[0].CardNumber},
			Answers: fmt.Appendf(nil, `{"fields":{"pay_grade":{"v":"%d00","src":"user"}},"materials":{}}`, rev+1), Signature: []byte("png"),
			Scans:  []cases.Scan{{Material: "户口簿", Page: 1, MIME: "image/jpeg", Data: make([]byte, 700<<10)}},
			Region: region1, Village: "东关社区", StartedAt: time.Now(), Mode: cases.ModeSelf, Actor: cases.Actor{Role: cases.RoleResident, Demo: true}})
		if err != nil {
			t.Fatal(err)
		}
		e.Wake()
	}
	submit(1)
	first := await("the number", func(ev sync.Event) bool { return ev.Kind == sync.EventAccepted }).Case
	row, err := c.FindCase(ctx, first.Acceptance)
	if err != nil || row.ID != caseID || row.Claim != wire.VerifyMatch {
		t.Fatalf("at the county: %+v %v", row, err)
	}
	if _, err := c.Decide(ctx, caseID, upstream.Decision{State: upstream.StateReturned, By: "2001", Mend: []wire.Mend{{Field: "pay_grade", Label: "档次", Reason: "请重选"}}}); err != nil {
		t.Fatal(err)
	}
	await("the return", func(ev sync.Event) bool { return ev.Kind == sync.EventUpdate && ev.State == cases.Returned })
	var answers wire.CaseAnswersOut
	if err := e.Query(ctx, wire.QueryCaseAnswers, wire.CaseAnswersIn{CaseID: caseID, Number: zhangNumber}, &answers); err != nil || len(answers.Mend) != 1 {
		t.Fatalf("answers: %+v %v", answers, err)
	}
	submit(2)
	second := await("the number again", func(ev sync.Event) bool { return ev.Kind == sync.EventAccepted }).Case
	if second.Acceptance != first.Acceptance || second.Revision != 2 {
		t.Errorf("second revision: %s/%d, first %s", second.Acceptance, second.Revision, first.Acceptance)
	}
	if _, err := c.PutStaff(ctx, upstream.Staff{Number: "1001", Name: "李秀英", Roles: []string{"clerk"}, PIN: "135791"}, "admin"); err != nil {
		t.Fatal(err)
	}
	await("the account", func(ev sync.Event) bool { return ev.Kind == sync.EventDownlink && ev.Object == wire.KindStaff })
	for range 2 {
		select {
		case note := <-store.signed:
			if _, err := oplog.OpenCheckpoint([]byte(note), oplog.CountyName, c.Keys().Sign.Public()); err != nil {
				t.Error(err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the log was not countersigned twice")
		}
	}
	l, err := c.Log(ctx, id.ID)
	if err != nil || l.Size == 0 || l.Alarm != "" {
		t.Errorf("log at the county: %+v %v", l, err)
	}
	if h, _, err := c.Health(ctx, id.ID); err != nil || h.Version != "test" {
		t.Errorf("health: %+v %v", h, err)
	}
	if res, err := http.Get("http://" + c.admin + "/login"); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("page: %v", err)
	} else {
		_ = res.Body.Close() // read nothing
	}
}
