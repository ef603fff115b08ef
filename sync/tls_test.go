package sync_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/sync"
	"cunban/sync/storetest"
	"cunban/sync/wire"
)

func TestEnrol(t *testing.T) {
	o := newOffice(t, newCounty(t, 1, time.Now))
	srv := o.serve(o.handler())
	ctx := t.Context()
	m := storetest.NewMem()
	if _, ok, err := sync.LoadIdentity(ctx, m); ok || err != nil {
		t.Fatalf("identity before enrolment: %v, %v", ok, err)
	}
	if _, err := sync.LoadCredentials(ctx, m); !errors.Is(err, sync.ErrNotEnrolled) {
		t.Fatalf("credentials before enrolment: %v", err)
	}

	// The technician gives up while the county has not agreed, and tries again.
	o.pending = 1000
	waiting, cancel := context.WithCancel(ctx)
	_, err := sync.Enrol(waiting, sync.EnrolOptions{Base: srv.URL, Serial: "SN-7", Code: o.code, Store: m,
		OnWaiting: func(p wire.EnrolPending) {
			if p.Text != "等县里同意" {
				t.Errorf("text %q", p.Text)
			}
			cancel()
		}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if _, err := sync.LoadCredentials(ctx, m); !errors.Is(err, sync.ErrNotEnrolled) {
		t.Fatalf("credentials before approval: %v", err)
	}
	o.mu.Lock()
	o.pending = 1
	o.mu.Unlock()
	id, err := sync.Enrol(ctx, sync.EnrolOptions{Base: srv.URL + "/", Serial: "SN-7", Code: o.code, Store: m})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range o.csrs {
		if k != o.csrs[0] {
			t.Error("the requests of one code have different keys")
		}
	}
	if kept, ok, err := sync.LoadIdentity(ctx, m); !ok || err != nil || kept.ID != id.ID || id.ID != terminal || kept.Village != "测试村" {
		t.Errorf("identity %+v, %v, %v", kept, ok, err)
	}
	creds, err := sync.LoadCredentials(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	if cn := creds.Leaf().Subject.CommonName; cn != terminal {
		t.Errorf("certificate for %s", cn)
	}
}

func TestEnrolRefused(t *testing.T) {
	o := newOffice(t, newCounty(t, 1, time.Now))
	srv := o.serve(o.handler())
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://login.example/", http.StatusFound)
	}))
	t.Cleanup(plain.Close)
	wrongPin, wrongSecret := o.code, o.code
	wrongPin.Pin = "AAAAAAAAAAAA"
	wrongSecret.Secret = "AAAAAAAA"
	for _, tt := range []struct {
		name, base, serial string
		code               wire.EnrolCode
		kind               sync.FailureKind
		text               string
	}{
		{"pin", srv.URL, "SN-7", wrongPin, sync.FailCertificate, "对不上"},
		{"secret", srv.URL, "SN-7", wrongSecret, sync.FailItem, "登记码不对"},
		{"serial", srv.URL, "SN-8", o.code, sync.FailItem, "登记码不对"},
		{"not https", plain.URL, "SN-7", o.code, sync.FailItem, "地址不对"},
		{"not TLS", strings.Replace(plain.URL, "http:", "https:", 1), "SN-7", o.code, sync.FailPortal, "网页登录"},
		{"nobody", "https://127.0.0.1:1", "SN-7", o.code, sync.FailTransport, "连不上"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := storetest.NewMem()
			_, err := sync.Enrol(t.Context(), sync.EnrolOptions{Base: tt.base, Serial: tt.serial, Code: tt.code, Store: m})
			var f *sync.Failure
			if !errors.As(err, &f) || f.Kind != tt.kind || !strings.Contains(f.Text, tt.text) {
				t.Fatalf("error %v (%+v)", err, f)
			}
			if _, ok, _ := sync.LoadIdentity(t.Context(), m); ok {
				t.Error("an identity was kept")
			}
		})
	}
}

// TestMutualTLS goes the whole way over real sockets: enrol, send a case with
// scans, ask, and renew the certificate.
func TestMutualTLS(t *testing.T) {
	c := newCounty(t, 1, time.Now)
	o := newOffice(t, c)
	o.age = 40 * 24 * time.Hour // more than half of its life is over
	srv := o.serve(o.handler())
	m, creds := o.enrolled(t.Context(), srv.URL)
	first := creds.Leaf().SerialNumber
	r := run(t, sync.Options{Store: m, Credentials: creds, Base: srv.URL,
		Health: func(context.Context) wire.Health { return wire.Health{Version: "test"} }})
	id := r.submit(300_000, 70_000)
	ev := r.awaitKind(sync.EventAccepted, id)
	if ev.Case.State != cases.Accepted || ev.Case.Acceptance == "" {
		t.Errorf("case %+v", ev.Case)
	}
	var out wire.VerifyClaimOut
	in := wire.VerifyClaimIn{Source: "typed", Number: "140830195603120024", Name: "测试人"}
	if err := r.e.Query(t.Context(), wire.QueryVerifyClaim, in, &out); err != nil || out.Result != wire.VerifyMatch || out.Text != in.Name {
		t.Errorf("verify: %+v, %v", out, err)
	}
	var list wire.ListOut
	if _, err := r.e.Ask(t.Context(), wire.QueryJobs, wire.ListIn{Text: "焊工"}, &list); err != nil || list.Total != 1 {
		t.Errorf("jobs: %+v, %v", list, err)
	}
	if len(c.signedNotes()) == 0 {
		r.await("checkpoint", func(sync.Event) bool { return len(m.Countersigned()) > 0 })
	}
	if creds.Leaf().SerialNumber.Cmp(first) == 0 {
		r.awaitKind(sync.EventRenewed, "")
	}
	second := creds.Leaf().SerialNumber
	if second.Cmp(first) == 0 {
		t.Fatal("the certificate in use is the old one")
	}
	// Connections that were in use may serve on; new ones show the new one.
	shown := false
	for range 20 {
		srv.CloseClientConnections()
		r.awaitKind(sync.EventAccepted, r.submit())
		o.mu.Lock()
		shown = o.seen[len(o.seen)-1].Cmp(second) == 0
		o.mu.Unlock()
		if shown {
			break
		}
	}
	if !shown {
		t.Error("the county never saw the new certificate")
	}
	again, err := sync.LoadCredentials(t.Context(), m)
	if err != nil || again.Leaf().SerialNumber.Cmp(second) != 0 {
		t.Errorf("the new certificate was not kept: %v", err)
	}
}

// TestExpiredCertificate: a village that was away for longer than a certificate
// lives renews it by itself and then sends.
func TestExpiredCertificate(t *testing.T) {
	c := newCounty(t, 1, time.Now)
	o := newOffice(t, c)
	o.lenient, o.age, o.life = true, 40*24*time.Hour, 24*time.Hour
	srv := o.serve(o.handler())
	o.life = -24 * time.Hour
	m, creds := o.enrolled(t.Context(), srv.URL)
	r := run(t, sync.Options{Store: m, Credentials: creds, Base: srv.URL})
	id := r.submit()
	r.awaitLine(sync.LineSignIn)
	r.awaitKind(sync.EventRenewed, "")
	r.awaitKind(sync.EventAccepted, id)
}

// TestCertificateAlert: a TLS alert about our certificate is a matter of
// sign-in, not of the line.
func TestCertificateAlert(t *testing.T) {
	c := newCounty(t, 1, time.Now)
	o := newOffice(t, c)
	m, creds := o.enrolled(t.Context(), o.serve(o.handler()).URL)
	strict := o.serve(o.handler(), func(c *tls.Config) { c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert })
	r := run(t, sync.Options{Store: m, Credentials: creds, Base: strict.URL})
	r.submit()
	if s := r.awaitLine(sync.LineSignIn); !strings.Contains(s.Text, "办件") {
		t.Errorf("text %q", s.Text)
	}
}

// signedNotes are the checkpoints that came.
func (c *county) signedNotes() []wire.CheckpointPut {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.notes
}

// TestWrongClock: a terminal whose clock stands in 1970, or years ahead, reaches
// its county all the same and learns the time.
func TestWrongClock(t *testing.T) {
	for _, year := range []int{1970, 2000, 2093} {
		o := newOffice(t, newCounty(t, 1, time.Now))
		srv := o.serve(o.handler())
		m, creds := o.enrolled(t.Context(), srv.URL)
		if err := m.Delete(t.Context(), "sync/clock"); err != nil {
			t.Fatal(err)
		}
		local := func() time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
		r := run(t, sync.Options{Store: m, Credentials: creds, Base: srv.URL, Now: local})
		r.awaitKind(sync.EventAccepted, r.submit())
		if d := time.Since(r.e.Clock().Now()).Abs(); d > 3*time.Second {
			t.Errorf("from %d: the clock is off by %v", year, d)
		}
	}
}
