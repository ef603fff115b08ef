package sync_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"cunban/sync"
	"cunban/sync/storetest"
	"cunban/sync/wire"
)

// office is a county's CA with its EST side, over real sockets.
type office struct {
	t    testing.TB
	ca   *x509.Certificate
	key  *ecdsa.PrivateKey
	code wire.EnrolCode
	c    *county

	mu      gosync.Mutex
	serial  int64
	pending int           // answers of 202 before the certificate
	life    time.Duration // of certificates
	age     time.Duration // that they have already when they are issued
	lenient bool          // expired certificates reach the handler, which only renews them
	csrs    []string      // requests of simpleenroll
	seen    []*big.Int    // serials of client certificates that pinged
}

func newOffice(t testing.TB, c *county) *office {
	t.Helper()
	o := &office{t: t, c: c, life: time.Hour}
	var err error
	if o.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "county CA"}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &o.key.PublicKey, o.key)
	if err != nil {
		t.Fatal(err)
	}
	if o.ca, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if o.code, err = wire.NewEnrolCode(rand.Reader, o.ca); err != nil {
		t.Fatal(err)
	}
	return o
}

// issue signs a certificate.
func (o *office) issue(pub any, cn string, server bool) *x509.Certificate {
	o.mu.Lock()
	o.serial++
	tpl := &x509.Certificate{SerialNumber: big.NewInt(100 + o.serial), Subject: pkix.Name{CommonName: cn},
		NotBefore: time.Now().Add(-time.Minute - o.age), NotAfter: time.Now().Add(o.life),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	o.mu.Unlock()
	if server {
		tpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		tpl.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, o.ca, pub, o.key)
	if err != nil {
		o.t.Error(err)
		return nil
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		o.t.Error(err)
	}
	return c
}

// serve starts the county with TLS; demand wants a client certificate for
// everything but EST.
func (o *office) serve(h http.Handler, change ...func(*tls.Config)) *httptest.Server {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		o.t.Fatal(err)
	}
	cert := o.issue(&key.PublicKey, "county", true)
	pool := x509.NewCertPool()
	pool.AddCert(o.ca)
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = nullLog
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool,
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
	if o.lenient {
		s.TLS.ClientAuth = tls.RequestClientCert
	}
	for _, f := range change {
		f(s.TLS)
	}
	s.StartTLS()
	o.t.Cleanup(s.Close)
	return s
}

// handler adds EST and the identity to the county.
func (o *office) handler() http.Handler {
	mux := http.NewServeMux()
	certsOnly := func(w http.ResponseWriter, certs ...*x509.Certificate) {
		b, err := wire.EncodeCertsOnly(certs...)
		if err != nil {
			o.t.Error(err)
		}
		w.Header().Set("Content-Type", wire.TypeCertsOnly)
		_, _ = w.Write(b)
	}
	csr := func(r *http.Request) *x509.CertificateRequest {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil
		}
		der, err := wire.DecodeBase64Lines(b)
		if err != nil {
			return nil
		}
		c, err := x509.ParseCertificateRequest(der)
		if err != nil || c.CheckSignature() != nil {
			return nil
		}
		return c
	}
	mux.HandleFunc(wire.PatternCACerts, func(w http.ResponseWriter, _ *http.Request) { certsOnly(w, o.ca) })
	mux.HandleFunc(wire.PatternSimpleEnroll, func(w http.ResponseWriter, r *http.Request) {
		serial, secret, _ := r.BasicAuth()
		c := csr(r)
		if c == nil || serial != "SN-7" || secret != o.code.Secret || c.Subject.CommonName != serial {
			wire.NewProblem(wire.CodeCodeWrong, "").Write(w)
			return
		}
		o.mu.Lock()
		o.csrs = append(o.csrs, string(c.RawSubjectPublicKeyInfo))
		wait := o.pending > 0
		o.pending--
		o.mu.Unlock()
		if wait {
			w.Header().Set("Retry-After", "1")
			wire.WriteJSON(w, http.StatusAccepted, wire.EnrolPending{Approval: wire.ApprovalWaiting, Text: "等县里同意", RetryIn: 1})
			return
		}
		certsOnly(w, o.issue(c.PublicKey, terminal, false))
	})
	mux.HandleFunc(wire.PatternSimpleReenroll, func(w http.ResponseWriter, r *http.Request) {
		c := csr(r)
		if c == nil || len(r.TLS.PeerCertificates) == 0 || c.Subject.CommonName != terminal {
			wire.NewProblem(wire.CodeBadCSR, "").Write(w)
			return
		}
		o.mu.Lock()
		o.age, o.life = 0, time.Hour
		o.mu.Unlock()
		certsOnly(w, o.issue(c.PublicKey, terminal, false))
	})
	mux.HandleFunc(wire.PatternIdentity, func(w http.ResponseWriter, r *http.Request) {
		pub := string(o.c.key.Public().PEM())
		wire.WriteJSON(w, http.StatusOK, wire.Identity{ID: terminal, Serial: "SN-7", Region: "140830100201", Village: "测试村",
			Name: "测试服务点", EnrolledAt: time.Now().UTC(), SealKey: pub, SignKey: pub})
	})
	mux.Handle("/", o.c.handler())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/.well-known/est/") {
			if len(r.TLS.PeerCertificates) == 0 || r.TLS.PeerCertificates[0].Subject.CommonName != terminal {
				wire.NewProblem(wire.CodeNotEnrolled, "").Write(w)
				return
			}
			if time.Now().After(r.TLS.PeerCertificates[0].NotAfter) && !strings.HasSuffix(r.URL.Path, "/identity") {
				wire.NewProblem(wire.CodeNotEnrolled, "expired").Write(w)
				return
			}
			o.mu.Lock()
			o.seen = append(o.seen, r.TLS.PeerCertificates[0].SerialNumber)
			o.mu.Unlock()
		}
		mux.ServeHTTP(w, r)
	})
}

// enrolled is a store of a terminal that is enrolled already.
func (o *office) enrolled(ctx context.Context, base string) (*storetest.Mem, *sync.Credentials) {
	o.t.Helper()
	m := storetest.NewMem()
	if _, err := sync.Enrol(ctx, sync.EnrolOptions{Base: base, Serial: "SN-7", Code: o.code, Store: m}); err != nil {
		o.t.Fatal(err)
	}
	creds, err := sync.LoadCredentials(ctx, m)
	if err != nil {
		o.t.Fatal(err)
	}
	return m, creds
}
