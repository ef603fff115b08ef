package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/seal"
)

// start is when the suite plays: any day, whole seconds.
var start = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

const ttl = 2 * time.Minute

// Run checks that a store keeps the promises of sync.Store. open makes an empty
// store and sees to its end.
func Run(t *testing.T, open func(t *testing.T) Store) {
	tests := []struct {
		name string
		run  func(t *testing.T, s suite)
	}{
		{"LeaseOldestFirst", testOldestFirst},
		{"LeaseIsWhole", testLeaseWhole},
		{"LeaseExpires", testLeaseExpires},
		{"RevisionsInOrder", testRevisions},
		{"StaleLease", testStale},
		{"Retry", testRetry},
		{"Attention", testAttention},
		{"Files", testFiles},
		{"AcknowledgeAfterDownlink", testLateAcknowledge},
		{"Upstream", testUpstream},
		{"Counts", testCounts},
		{"Settings", testSettings},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.run(t, suite{t, t.Context(), open(t), NewMaker(7)})
		})
	}
}

type suite struct {
	*testing.T
	ctx context.Context
	s   Store
	m   *Maker
}

func (s suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s suite) wantErr(err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Fatalf("got error %v, want %v", err, want)
	}
}

// submit saves a case, the n-th of the test.
func (s suite) submit(n int, sizes ...int) cases.Submission {
	s.Helper()
	sub := s.m.Submission(s.m.ID(), 1, start.Add(time.Duration(n)*time.Second), sizes...)
	_, err := s.s.Submit(s.ctx, sub)
	s.must(err)
	return sub
}

func (s suite) lease(now time.Time, most int) []cases.Item {
	s.Helper()
	items, err := s.s.Lease(s.ctx, now, ttl, most)
	s.must(err)
	return items
}

// leaseOne leases the only item that may be due.
func (s suite) leaseOne(now time.Time) cases.Item {
	s.Helper()
	items := s.lease(now, 10)
	if len(items) != 1 {
		s.Fatalf("%d items are due, want 1", len(items))
	}
	return items[0]
}

func (s suite) wantNone(now time.Time) {
	s.Helper()
	if items := s.lease(now, 10); len(items) != 0 {
		s.Fatalf("%d items are due, want none", len(items))
	}
}

// soon is after every submission of a test.
var soon = start.Add(time.Hour)

func testOldestFirst(t *testing.T, s suite) {
	var want []string
	for i := range 5 {
		want = append(want, s.submit(i).Case.ID)
	}
	var got []string
	for _, it := range append(s.lease(soon, 2), s.lease(soon, 10)...) {
		got = append(got, it.CaseID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("leased %v, saved %v", got, want)
	}
}

func testLeaseWhole(t *testing.T, s suite) {
	sub := s.submit(0, 300, 4000)
	it := s.leaseOne(soon)
	if it.CaseID != sub.Case.ID || it.Revision != 1 || it.Service != "S01" || it.State != cases.QueueLeased ||
		it.Attempts != 1 || it.Lease == "" || it.KeyID != sub.KeyID || !it.SavedAt.Equal(sub.Case.SavedAt) {
		t.Errorf("item %+v", it)
	}
	if !bytes.Equal(it.Body, sub.Body) || !bytes.Equal(it.Envelope, sub.Envelope) || !bytes.Equal(it.Digest, sub.Case.BodyDigest) {
		t.Error("body, envelope or digest differ from what was submitted")
	}
	if it.Case.ID != sub.Case.ID || it.Case.Region != sub.Case.Region || it.Case.Catalogue != "2026.1" ||
		it.Case.Mode != cases.ModeSelf || !it.Case.StartedAt.Equal(sub.Case.StartedAt) {
		t.Errorf("case %+v", it.Case)
	}
	if len(it.Files) != 2 {
		t.Fatalf("%d files", len(it.Files))
	}
	for i, f := range it.Files {
		w := sub.Files[i]
		if f.Name != w.Name || f.Material != w.Material || f.Page != w.Page || f.MIME != w.MIME ||
			f.Size != int64(len(w.Sealed)) || !bytes.Equal(f.Digest, w.Digest) || f.Done || f.Upload != "" {
			t.Errorf("file %+v", f)
		}
	}
}

func testLeaseExpires(t *testing.T, s suite) {
	s.submit(0)
	first := s.leaseOne(soon)
	s.wantNone(soon.Add(ttl - time.Second))
	again := s.leaseOne(soon.Add(ttl + time.Second))
	if again.Lease == first.Lease {
		t.Error("the lease did not change")
	}
	if again.Attempts != 2 {
		t.Errorf("%d attempts, want 2: an attempt is written down when it begins", again.Attempts)
	}
	s.wantErr(s.s.SentBody(s.ctx, first.CaseID, 1, first.Lease), cases.ErrStaleLease)
}

func testRevisions(t *testing.T, s suite) {
	sub := s.submit(0)
	it := s.leaseOne(soon)
	_, err := s.s.Acknowledge(s.ctx, it.CaseID, 1, it.Lease, "N-1", soon, "")
	s.must(err)
	s.must(s.s.Upstream(s.ctx, cases.Update{CaseID: it.CaseID, Revision: 1, State: cases.Returned, At: soon.Add(time.Minute),
		Mend: []cases.Mend{{Field: "phone", Label: "电话", Reason: "少一位"}}}))
	second := s.m.Submission(sub.Case.ID, 2, soon.Add(time.Hour))
	_, err = s.s.Submit(s.ctx, second)
	s.must(err)
	_, err = s.s.Submit(s.ctx, second)
	s.wantErr(err, cases.ErrExists)
	it = s.leaseOne(soon.Add(2 * time.Hour))
	if it.Revision != 2 {
		t.Errorf("revision %d is due, want 2", it.Revision)
	}
}

func testStale(t *testing.T, s suite) {
	s.submit(0)
	it := s.leaseOne(soon)
	const wrong = "no-such-lease"
	_, err := s.s.Acknowledge(s.ctx, it.CaseID, 1, wrong, "N-1", soon, "")
	s.wantErr(err, cases.ErrStaleLease)
	s.wantErr(s.s.SentBody(s.ctx, it.CaseID, 1, wrong), cases.ErrStaleLease)
	s.wantErr(s.s.Retry(s.ctx, it.CaseID, 1, wrong, soon, "r", "d"), cases.ErrStaleLease)
	s.wantErr(s.s.Attention(s.ctx, it.CaseID, 1, wrong, "r", "d"), cases.ErrStaleLease)
	c, err := s.s.Acknowledge(s.ctx, it.CaseID, 1, it.Lease, "N-1", soon, "2026-03-12")
	s.must(err)
	if c.State != cases.Accepted || c.Acceptance != "N-1" || !c.AcceptedAt.Equal(soon) || c.DueDate != "2026-03-12" {
		t.Errorf("case %+v", c)
	}
	_, err = s.s.Acknowledge(s.ctx, it.CaseID, 1, it.Lease, "N-2", soon, "")
	s.wantErr(err, cases.ErrStaleLease)
	c, err = s.s.Case(s.ctx, it.CaseID)
	s.must(err)
	if c.Acceptance != "N-1" {
		t.Errorf("number %q after a second acknowledgement", c.Acceptance)
	}
	s.wantNone(soon.Add(24 * time.Hour))
}

func testRetry(t *testing.T, s suite) {
	s.submit(0)
	it := s.leaseOne(soon)
	next := soon.Add(time.Hour)
	s.must(s.s.Retry(s.ctx, it.CaseID, 1, it.Lease, next, "网络不通", "dial"))
	s.wantErr(s.s.Retry(s.ctx, it.CaseID, 1, it.Lease, next, "网络不通", "dial"), cases.ErrStaleLease)
	s.wantNone(next.Add(-time.Second))
	again := s.leaseOne(next)
	if again.Reason != "网络不通" || again.Detail != "dial" || again.Attempts != 2 {
		t.Errorf("item %+v", again)
	}
}

func testAttention(t *testing.T, s suite) {
	bad, good := s.submit(0), s.submit(1)
	for _, it := range s.lease(soon, 10) {
		if it.CaseID == bad.Case.ID {
			s.must(s.s.Attention(s.ctx, it.CaseID, 1, it.Lease, "县里不收", "422"))
			continue
		}
		s.must(s.s.Retry(s.ctx, it.CaseID, 1, it.Lease, soon, "", ""))
	}
	if it := s.leaseOne(soon.Add(24 * time.Hour)); it.CaseID != good.Case.ID {
		t.Error("an item that needs attention was handed out")
	}
	c, err := s.s.Case(s.ctx, bad.Case.ID)
	s.must(err)
	if c.State != cases.Attention {
		t.Errorf("state %s, want attention", c.State)
	}
}

func testFiles(t *testing.T, s suite) {
	sub := s.submit(0, 1000, 70_000)
	it := s.leaseOne(soon)
	s.must(s.s.SentBody(s.ctx, it.CaseID, 1, it.Lease))
	s.wantNone(soon.Add(ttl - time.Second))
	for _, f := range sub.Files {
		r, n, err := s.s.OpenFile(s.ctx, it.CaseID, f.Name)
		s.must(err)
		b, err := io.ReadAll(r)
		s.must(err)
		s.must(r.Close())
		if n != int64(len(b)) || !bytes.Equal(seal.Digest(b), f.Digest) {
			t.Errorf("file %s: %d bytes, told %d", f.Name, len(b), n)
		}
	}
	if _, _, err := s.s.OpenFile(s.ctx, it.CaseID, "9-99.sealed"); err == nil {
		t.Error("a file that is not there opens")
	}
	s.must(s.s.FileUpload(s.ctx, it.CaseID, sub.Files[0].Name, "/v1/uploads/a"))
	s.must(s.s.FileDone(s.ctx, it.CaseID, sub.Files[0].Name))
	s.must(s.s.FileUpload(s.ctx, it.CaseID, sub.Files[1].Name, "/v1/uploads/b"))
	later := s.leaseOne(soon.Add(ttl + time.Second))
	if later.State != cases.QueueSent {
		t.Errorf("state %s of an item that was sent, want sent", later.State)
	}
	if !later.Files[0].Done || later.Files[1].Done || later.Files[1].Upload != "/v1/uploads/b" {
		t.Errorf("files %+v", later.Files)
	}
	s.must(s.s.FileUpload(s.ctx, it.CaseID, sub.Files[1].Name, ""))
	_, err := s.s.Acknowledge(s.ctx, it.CaseID, 1, later.Lease, "N-1", soon, "")
	s.must(err)
	s.wantNone(soon.Add(24 * time.Hour))
}

func testLateAcknowledge(t *testing.T, s suite) {
	s.submit(0)
	it := s.leaseOne(soon)
	s.must(s.s.Upstream(s.ctx, cases.Update{CaseID: it.CaseID, Revision: 1, State: cases.Finished, At: soon.Add(time.Minute),
		Acceptance: "N-1", Note: "办好了"}))
	c, err := s.s.Acknowledge(s.ctx, it.CaseID, 1, it.Lease, "N-1", soon, "")
	s.must(err)
	if c.State != cases.Finished || c.Acceptance != "N-1" {
		t.Errorf("case is %s with number %q, want finished with N-1", c.State, c.Acceptance)
	}
	s.wantNone(soon.Add(24 * time.Hour))
}

func testUpstream(t *testing.T, s suite) {
	s.submit(0)
	it := s.leaseOne(soon)
	_, err := s.s.Acknowledge(s.ctx, it.CaseID, 1, it.Lease, "N-1", soon, "")
	s.must(err)
	done := cases.Update{CaseID: it.CaseID, Revision: 1, State: cases.Finished, At: soon.Add(time.Hour), Note: "已办结"}
	for range 2 { // idempotent
		s.must(s.s.Upstream(s.ctx, done))
	}
	late := done
	late.State, late.At = cases.Processing, soon.Add(time.Minute)
	s.must(s.s.Upstream(s.ctx, late))
	c, err := s.s.Case(s.ctx, it.CaseID)
	s.must(err)
	if c.State != cases.Finished || c.Note != "已办结" {
		t.Errorf("case is %s (%s), want finished", c.State, c.Note)
	}
	unknown := done
	unknown.CaseID = s.m.ID()
	s.wantErr(s.s.Upstream(s.ctx, unknown), cases.ErrNotFound)
	illegal := done
	illegal.State, illegal.At = cases.Withdrawn, soon.Add(2*time.Hour)
	s.wantErr(s.s.Upstream(s.ctx, illegal), cases.ErrIllegal)
}

func testCounts(t *testing.T, s suite) {
	for i := range 4 {
		s.submit(i, 100)
	}
	items := s.lease(soon, 3)
	s.must(s.s.SentBody(s.ctx, items[0].CaseID, 1, items[0].Lease))
	_, err := s.s.Acknowledge(s.ctx, items[1].CaseID, 1, items[1].Lease, "N-1", soon, "")
	s.must(err)
	s.must(s.s.Attention(s.ctx, items[2].CaseID, 1, items[2].Lease, "r", "d"))
	// In = done + waiting + attention; what was sent still waits.
	got, err := s.s.Counts(s.ctx)
	s.must(err)
	if want := (cases.Counts{Total: 4, Waiting: 2, Sent: 1, Done: 1, Attention: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

func testSettings(t *testing.T, s suite) {
	_, ok, err := s.s.Get(s.ctx, "t/none")
	s.must(err)
	if ok {
		t.Error("a key that was never put is there")
	}
	s.must(s.s.Put(s.ctx, "t/a", []byte("1")))
	s.must(s.s.PutAll(s.ctx, map[string][]byte{"t/b": []byte("2"), "t/a": []byte("3"), "t/empty": {}, "u": nil}))
	v, ok, err := s.s.Get(s.ctx, "t/a")
	s.must(err)
	if !ok || string(v) != "3" {
		t.Errorf("t/a is %q, %v", v, ok)
	}
	v, ok, err = s.s.Get(s.ctx, "t/empty")
	s.must(err)
	if !ok || len(v) != 0 {
		t.Errorf("an empty value is %q, %v", v, ok)
	}
	keys, err := s.s.Keys(s.ctx, "t/")
	s.must(err)
	if want := []string{"t/a", "t/b", "t/empty"}; !slices.Equal(keys, want) {
		t.Errorf("keys %v, want %v", keys, want)
	}
	s.must(s.s.Delete(s.ctx, "t/a"))
	s.must(s.s.Delete(s.ctx, "t/a"))
	if _, ok, err = s.s.Get(s.ctx, "t/a"); err != nil || ok {
		t.Errorf("t/a after Delete: %v, %v", ok, err)
	}
}
