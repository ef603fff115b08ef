package upstream_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"cunban/sync/upstream"
	"cunban/sync/wire"
)

func problemOf(t *testing.T, b []byte) wire.Code {
	t.Helper()
	var p wire.Problem
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return p.Code
}

func TestEnrolment(t *testing.T) {
	c := startCounty(t, t.TempDir())
	plain := client(c, nil)

	// Whom to trust comes with the code.
	req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+c.addr+wire.PathCACerts, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, b := c.do(plain, req)
	cas, err := wire.ParseCertsOnly(b)
	if err != nil {
		t.Fatal(err)
	}
	code := c.code("SN-1", region1, false)
	parsed, err := wire.ParseEnrolCode(code.String())
	if err != nil || !parsed.Matches(cas[0]) {
		t.Fatalf("the code does not pin the CA: %v", err)
	}

	key := newKey(t)
	body := csr(t, key, "SN-1")
	if status, b := c.simpleenroll(plain, "SN-1", "AAAAAAAA", body); status != http.StatusUnauthorized || problemOf(t, b) != wire.CodeCodeWrong {
		t.Errorf("wrong code: %d %s", status, b)
	}
	if status, b := c.simpleenroll(plain, "SN-2", code.Secret, csr(t, key, "SN-2")); problemOf(t, b) != wire.CodeCodeWrong {
		t.Errorf("code for another serial: %d %s", status, b)
	}
	if status, b := c.simpleenroll(plain, "SN-1", code.Secret, csr(t, key, "SN-9")); problemOf(t, b) != wire.CodeBadCSR {
		t.Errorf("another subject: %d %s", status, b)
	}
	status, b := c.simpleenroll(plain, "SN-1", code.Secret, body)
	var pending wire.EnrolPending
	if err := json.Unmarshal(b, &pending); err != nil || status != http.StatusAccepted || pending.RetryIn < 1 || pending.Text == "" {
		t.Fatalf("waiting: %d %s", status, b)
	}
	// Bound to the first key.
	if status, b := c.simpleenroll(plain, "SN-1", code.Secret, csr(t, newKey(t), "SN-1")); problemOf(t, b) != wire.CodeCodeUsed {
		t.Errorf("another key: %d %s", status, b)
	}
	codes, err := c.Codes(t.Context())
	if err != nil || len(codes) != 1 {
		t.Fatalf("codes: %v %v", codes, err)
	}
	if err := c.Approve(t.Context(), "SN-1", codes[0].SecretHash, true, "admin"); err != nil {
		t.Fatal(err)
	}
	status, first := c.simpleenroll(plain, "SN-1", code.Secret, body)
	if status != http.StatusOK {
		t.Fatalf("approved: %d %s", status, first)
	}
	// The answer got lost: the same certificate again.
	if status, again := c.simpleenroll(plain, "SN-1", code.Secret, body); status != http.StatusOK || !bytes.Equal(first, again) {
		t.Errorf("again: %d", status)
	}
	certs, err := wire.ParseCertsOnly(first)
	if err != nil {
		t.Fatal(err)
	}
	if life := time.Until(certs[0].NotAfter); life < 29*24*time.Hour || life > wire.CertificateLifetime {
		t.Errorf("certificate lives %v", life)
	}
	x := c.terminal(certs[0], key)
	var pong wire.Pong
	if status, p := x.call("GET", wire.PathPing(x.id), nil, &pong); p != nil || pong.Terminal != x.id {
		t.Fatalf("ping: %d %v", status, p)
	}

	// Renewal: same subject, new key.
	next := newKey(t)
	renew := func(x *terminal, subject string) (int, []byte) {
		status, _, b := x.request("POST", wire.PathSimpleReenroll, http.Header{"Content-Type": {wire.TypePKCS10}}, csr(t, next, subject))
		return status, b
	}
	if status, b := renew(x, "other"); problemOf(t, b) != wire.CodeBadCSR {
		t.Errorf("renewal for another: %d", status)
	}
	status, b = renew(x, x.id)
	if status != http.StatusOK {
		t.Fatalf("renewal: %d %s", status, b)
	}
	renewed, err := wire.ParseCertsOnly(b)
	if err != nil {
		t.Fatal(err)
	}
	y := c.terminal(renewed[0], next)
	if _, p := y.call("GET", wire.PathPing(y.id), nil, &pong); p != nil {
		t.Errorf("ping with the renewed one: %v", p)
	}

	// Away for 40 days: the certificate is over, renewal still goes, nothing else.
	c.clock.add(40 * 24 * time.Hour)
	if status, p := y.call("GET", wire.PathPing(y.id), nil, nil); status != http.StatusUnauthorized || p.Code != wire.CodeNotEnrolled {
		t.Errorf("expired: %d %v", status, p)
	}
	if status, b := renew(y, y.id); status != http.StatusOK {
		t.Errorf("renewal after the end: %d %s", status, b)
	}
	c.clock.add(200 * 24 * time.Hour)
	if status, b := renew(y, y.id); problemOf(t, b) != wire.CodeNotEnrolled {
		t.Errorf("renewal long after the end: %d", status)
	}
}

func TestEnrolmentRefusedExpiredGuessed(t *testing.T) {
	c := startCounty(t, t.TempDir())
	plain := client(c, nil)
	key := newKey(t)
	code := c.code("SN-1", region1, false)
	c.clock.add(wire.CodeLifetime + time.Minute)
	if status, b := c.simpleenroll(plain, "SN-1", code.Secret, csr(t, key, "SN-1")); problemOf(t, b) != wire.CodeCodeExpired {
		t.Errorf("expired: %d %s", status, b)
	}
	code = c.code("SN-1", region1, false)
	c.simpleenroll(plain, "SN-1", code.Secret, csr(t, key, "SN-1"))
	codes, err := c.Codes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range codes {
		if row.State == upstream.CodeWaiting {
			if err := c.Approve(t.Context(), row.Serial, row.SecretHash, false, "admin"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if status, b := c.simpleenroll(plain, "SN-1", code.Secret, csr(t, key, "SN-1")); status != http.StatusForbidden || problemOf(t, b) != wire.CodeRefused {
		t.Errorf("refused: %d %s", status, b)
	}
	good := c.code("SN-7", region1, false)
	for range 5 {
		c.simpleenroll(plain, "SN-7", "AAAAAAAA", csr(t, key, "SN-7"))
	}
	if status, b := c.simpleenroll(plain, "SN-7", good.Secret, csr(t, key, "SN-7")); status != http.StatusTooManyRequests {
		t.Errorf("guessing goes on: %d %s", status, b)
	}
	c.clock.add(31 * time.Minute)
	if status, b := c.simpleenroll(plain, "SN-7", good.Secret, csr(t, key, "SN-7")); status != http.StatusAccepted {
		t.Errorf("after the pause: %d %s", status, b)
	}
}

func TestStrangersAndRevoked(t *testing.T) {
	c := startCounty(t, t.TempDir(), autoApprove)
	x := c.enrol("SN-1", region1)
	anybody := &terminal{c: c, t: t, id: x.id, http: client(c, nil)}
	if status, p := anybody.call("GET", wire.PathPing(x.id), nil, nil); status != http.StatusUnauthorized || p.Code != wire.CodeNotEnrolled {
		t.Errorf("no certificate: %d %v", status, p)
	}
	// A certificate of another county.
	other := startCounty(t, t.TempDir(), autoApprove)
	foreign := other.enrol("SN-1", region1)
	cert := foreign.http.Transport.(*http.Transport).TLSClientConfig.Certificates[0]
	stranger := &terminal{c: c, t: t, id: x.id, http: client(c, &cert)}
	// Go's client sends no certificate the server did not ask for by its CA.
	if status, p := stranger.call("GET", wire.PathPing(x.id), nil, nil); status != http.StatusUnauthorized {
		t.Errorf("another county's certificate: %d %v", status, p)
	}
	forced := client(c, nil)
	forced.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &cert, nil
	}
	stranger.http = forced
	if status, p := stranger.call("GET", wire.PathPing(x.id), nil, nil); status != http.StatusUnauthorized || p.Code != wire.CodeNotEnrolled {
		t.Errorf("another county's certificate, forced: %d %v", status, p)
	}

	if err := c.Revoke(t.Context(), x.id, "检修", "admin"); err != nil {
		t.Fatal(err)
	}
	if status, p := x.call("GET", wire.PathPing(x.id), nil, nil); status != http.StatusForbidden || p.Code != wire.CodeRevoked {
		t.Errorf("revoked: %d %v", status, p)
	}
	x.refused(x.draft(), wire.CodeRevoked)
	if status, _, b := x.request("POST", wire.PathSimpleReenroll, http.Header{"Content-Type": {wire.TypePKCS10}}, csr(t, newKey(t), x.id)); problemOf(t, b) != wire.CodeRevoked {
		t.Errorf("renewal of a revoked one: %d", status)
	}
	if err := c.Revoke(t.Context(), x.id, "", "admin"); err != nil {
		t.Fatal(err)
	}
	x.send(x.draft(), http.StatusCreated)

	// The same machine enrolled anew keeps its id and its cases.
	again := c.enrol("SN-1", region1)
	if again.id != x.id {
		t.Errorf("enrolled anew as %s, was %s", again.id, x.id)
	}

	// TLS 1.2 is not spoken.
	conn := tls.Client(dial(t, c.addr), &tls.Config{RootCAs: c.roots(), ServerName: "localhost", MaxVersion: tls.VersionTLS12})
	defer conn.Close()
	if err := conn.HandshakeContext(t.Context()); err == nil {
		t.Error("TLS 1.2 was accepted")
	}
}
