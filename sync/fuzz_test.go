package sync_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"cunban/sync"
	"cunban/sync/storetest"
	"cunban/sync/wire"
)

func idle(t testing.TB) *sync.Engine {
	t.Helper()
	e, err := sync.New(sync.Options{Store: storetest.NewMem(), Client: &http.Client{}, Base: "https://county.example/gw", Terminal: terminal})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// FuzzJudge: whatever comes back, success is only what is whole, speaks of this
// case and echoes its digest; every failure has words for people.
func FuzzJudge(f *testing.F) {
	digest := strings.Repeat("0a", 32)
	const id = "0198c0de-0000-7000-8000-000000000000"
	good := `{"case_id":"` + id + `","revision":1,"state":"accepted","acceptance":"1","accepted_at":"2026-03-02T08:00:00Z","digest":"` + digest + `"}`
	f.Add(201, "1.0", wire.TypeJSON, "", good)
	f.Add(200, "1.0", "text/html", "", good)
	f.Add(200, "", wire.TypeJSON, "", good)
	f.Add(302, "", "", "http://login.example/", "")
	f.Add(429, "1.0", wire.TypeProblem, "7", `{"code":"rate-limited","status":429}`)
	f.Add(422, "1.0", wire.TypeProblem, "", `{"code":"invalid","errors":[{"field":"a","reason":"b"}]}`)
	e := idle(f)
	want := wire.CasePut{CaseID: id, Revision: 1, Digest: digest}
	f.Fuzz(func(t *testing.T, status int, contract, media, extra, body string) {
		h := http.Header{"Cunban-Contract": {contract}, "Content-Type": {media}, "Retry-After": {extra}, "Location": {extra}}
		r, fail := e.Judge(status, h, []byte(body), want)
		switch {
		case fail == nil:
			if status != 200 && status != 201 || !strings.HasPrefix(contract, "1") || r.Validate(id, 1, digest) != nil {
				t.Errorf("%d %q %q was taken for success", status, contract, body)
			}
		case fail.Text == "" && fail.Problem == nil, fail.RetryAfter < 0, fail.RetryAfter > time.Hour:
			t.Errorf("failure %+v", fail)
		}
	})
}

func FuzzSmallParsers(f *testing.F) {
	f.Add("120", "cunban/T-1\n7\nroot\n", "/v1/uploads/x")
	f.Add("Wed, 21 Oct 2026 07:28:00 GMT", "a\n-1\nb", "https://other.example/gw/v1/uploads/../../x")
	e := idle(f)
	f.Fuzz(func(t *testing.T, retry, note, location string) {
		if d := sync.RetryAfter(retry); d < 0 || d > time.Hour {
			t.Errorf("Retry-After %q is %v", retry, d)
		}
		if n, err := sync.NoteSize([]byte(note)); err == nil && n < 0 {
			t.Errorf("size %d", n)
		}
		if p, err := e.UploadPath(location); err == nil && (!strings.HasPrefix(p, wire.PathUploads+"/") || strings.Contains(p, "/../")) {
			t.Errorf("Location %q led to %q", location, p)
		}
	})
}
