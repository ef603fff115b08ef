package upstream_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	gosync "sync"
	"testing"
	"time"

	"cunban/kiosk/cases"
	"cunban/kiosk/resident"
	"cunban/kiosk/seal"
	"cunban/sync/upstream"
	"cunban/sync/upstream/sample"
	"cunban/sync/wire"
)

// clock is a clock that tests move.
type clock struct {
	mu  gosync.Mutex
	off time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.off)
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off += d
}

// county is a running upstream with real TLS sockets.
type county struct {
	*upstream.County
	t     testing.TB
	dir   string
	clock *clock
	store upstream.Store
	addr  string
	stop  func()
	admin string
}

type setup func(*upstream.Options, *upstream.RunOptions)

func startCounty(t testing.TB, dir string, opts ...setup) *county {
	t.Helper()
	c := &county{t: t, dir: dir, clock: &clock{}}
	keys, err := upstream.OpenKeys(dir, rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if c.store, err = upstream.OpenSQLite(t.Context(), filepath.Join(dir, upstream.StoreFile)); err != nil {
		t.Fatal(err)
	}
	o := upstream.Options{Dir: dir, Store: c.store, Keys: keys, Now: c.clock.now, Register: sample.New(c.clock.now, nil)}
	ready := make(chan upstream.Running, 1)
	ro := upstream.RunOptions{Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", Ready: func(r upstream.Running) { ready <- r }}
	for _, f := range opts {
		f(&o, &ro)
	}
	if c.County, err = upstream.New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, ro) }()
	select {
	case r := <-ready:
		c.addr, c.admin = r.Listen, r.Admin
	case err := <-ended:
		t.Fatal(err)
	}
	var once gosync.Once
	c.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("server ended with: %v", err)
			}
			if err := c.store.Close(); err != nil {
				t.Errorf("store: %v", err)
			}
		})
	}
	t.Cleanup(c.stop)
	return c
}

func autoApprove(o *upstream.Options, _ *upstream.RunOptions) { o.AutoApprove = true }

// roots trusts the county's CA.
func (c *county) roots() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(c.Keys().CA)
	return p
}

// terminal is a client with its own certificate.
type terminal struct {
	c    *county
	t    testing.TB
	id   string
	key  *ecdsa.PrivateKey
	http *http.Client
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func csr(t testing.TB, key *ecdsa.PrivateKey, subject string) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: subject}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return wire.EncodeBase64Lines(der)
}

func client(c *county, cert *tls.Certificate) *http.Client {
	cfg := &tls.Config{RootCAs: c.roots(), MinVersion: tls.VersionTLS13}
	if cert != nil {
		cfg.Certificates = []tls.Certificate{*cert}
	}
	tr := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
	c.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

const (
	region1 = "140830100008"
	region2 = "140830100009"
)

func (c *county) code(serial, region string, demo bool) wire.EnrolCode {
	c.t.Helper()
	code, _, err := c.EnrolCode(c.t.Context(), upstream.NewTerminal{Serial: serial, Region: region, Village: "东关社区", Demo: demo}, "test")
	if err != nil {
		c.t.Fatal(err)
	}
	return code
}

// simpleenroll asks once.
func (c *county) simpleenroll(hc *http.Client, serial, secret string, body []byte) (int, []byte) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), "POST", "https://"+c.addr+wire.PathSimpleEnroll, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", wire.TypePKCS10)
	req.SetBasicAuth(serial, secret)
	return c.do(hc, req)
}

func (c *county) do(hc *http.Client, req *http.Request) (int, []byte) {
	c.t.Helper()
	res, err := hc.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if v := res.Header.Get(wire.HeaderContract); v != wire.Version {
		c.t.Errorf("%s %s: contract header is %q", req.Method, req.URL.Path, v)
	}
	if res.StatusCode >= 400 && req.Method != "HEAD" && res.Header.Get("Content-Type") != wire.TypeProblem {
		c.t.Errorf("%s %s: %d without problem details: %s", req.Method, req.URL.Path, res.StatusCode, b)
	}
	return res.StatusCode, b
}

// enrol makes a terminal with an approved code.
func (c *county) enrol(serial, region string) *terminal {
	c.t.Helper()
	code := c.code(serial, region, true)
	key := newKey(c.t)
	plain := client(c, nil)
	status, body := c.simpleenroll(plain, serial, code.Secret, csr(c.t, key, serial))
	if status == http.StatusAccepted {
		codes, err := c.Codes(c.t.Context())
		if err != nil {
			c.t.Fatal(err)
		}
		for _, row := range codes {
			if row.Serial == serial && row.State == upstream.CodeWaiting {
				if err := c.Approve(c.t.Context(), row.Serial, row.SecretHash, true, "test"); err != nil {
					c.t.Fatal(err)
				}
			}
		}
		status, body = c.simpleenroll(plain, serial, code.Secret, csr(c.t, key, serial))
	}
	if status != http.StatusOK {
		c.t.Fatalf("enrol: %d %s", status, body)
	}
	certs, err := wire.ParseCertsOnly(body)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.terminal(certs[0], key)
}

func (c *county) terminal(cert *x509.Certificate, key *ecdsa.PrivateKey) *terminal {
	return &terminal{c: c, t: c.t, id: cert.Subject.CommonName, key: key,
		http: client(c, &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert})}
}

// request sends one request of the terminal.
func (x *terminal) request(method, path string, header http.Header, body []byte) (int, http.Header, []byte) {
	x.t.Helper()
	if body != nil && header.Get("Content-Type") == "" {
		header = header.Clone()
		if header == nil {
			header = http.Header{}
		}
		header.Set("Content-Type", wire.TypeJSON)
	}
	status, h, b, err := x.try(method, path, header, body)
	if err != nil {
		x.t.Fatal(err)
	}
	if v := h.Get(wire.HeaderContract); v != wire.Version {
		x.t.Errorf("%s %s: contract header is %q", method, path, v)
	}
	return status, h, b
}

// try sends one request to a server that may die.
func (x *terminal) try(method, path string, header http.Header, body []byte) (int, http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(x.t.Context(), method, "https://"+x.c.addr+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set(wire.HeaderContract, wire.Version)
	for k, v := range header {
		req.Header[k] = v
	}
	res, err := x.http.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, b, err
}

// call sends JSON and reads JSON, or a problem.
func (x *terminal) call(method, path string, in, out any) (int, *wire.Problem) {
	x.t.Helper()
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			x.t.Fatal(err)
		}
	}
	status, header, b := x.request(method, path, nil, body)
	if status >= 400 {
		var p wire.Problem
		if header.Get("Content-Type") != wire.TypeProblem || json.Unmarshal(b, &p) != nil || p.Status != status {
			x.t.Fatalf("%s %s: %d is no problem document: %s", method, path, status, b)
		}
		return status, &p
	}
	if err := json.Unmarshal(b, out); err != nil {
		x.t.Fatalf("%s %s: %v: %s", method, path, err, b)
	}
	return status, nil
}

// draft is one case as a terminal seals it.
type draft struct {
	put   wire.CasePut
	files map[string][]byte // sealed
}

type caseOpt func(*cases.Draft)

// memStore is cases.Store as far as Submit needs it: it keeps the submission.
type memStore struct {
	cases.Store
	got cases.Submission
}

func (m *memStore) Submit(_ context.Context, s cases.Submission) (cases.Case, error) {
	m.got = s
	return s.Case, nil
}
func (m *memStore) OwnerIndex(resident.IDNumber) []byte { return nil }

// zhang is a made-up person of the sample register.
const (
	zhangNumber = "140830195603120024"
	zhangName   = "张桂兰"
)

func (x *terminal) draft(opts ...caseOpt) draft {
	x.t.Helper()
	number, err := resident.ParseIDNumber(zhangNumber)
	if err != nil {
		x.t.Fatal(err)
	}
	id, err := cases.NewID(rand.Reader)
	if err != nil {
		x.t.Fatal(err)
	}
	d := cases.Draft{ID: id, Revision: 1, Service: "S01", ServiceName: "城乡居民养老保险参保登记", Catalogue: x.c.Catalogue().Version,
		LimitDays: 3, Claim: resident.Claim{Source: resident.FromSocialCard, Number: number, Name: resident.NewName(zhangName), NameExact: true,
			Sex: "2", CardNumber: sample.Persons[0].CardNumber, CardIdentifier: sample.Persons[0].CardIdentifier, ReadAt: time.Now()},
		Answers:   []byte(`{"fields":{"aac003":{"v":"张桂兰","src":"card"},"pay_grade":{"v":"300","src":"user"},"hkb_scan":{"pages":1}},"materials":{}}`),
		Signature: []byte("png"), Region: region1, Village: "东关社区", StartedAt: time.Now(), Mode: cases.ModeSelf,
		Actor: cases.Actor{Role: cases.RoleResident, Demo: true}}
	for _, o := range opts {
		o(&d)
	}
	return x.seal(d)
}

func (x *terminal) seal(d cases.Draft) draft {
	x.t.Helper()
	m := &memStore{}
	desk := cases.Desk{Store: m, CountyKey: x.c.Keys().Seal[0].Public(), Rand: rand.Reader, Now: time.Now}
	if _, err := desk.Submit(x.t.Context(), d); err != nil {
		x.t.Fatal(err)
	}
	s := m.got
	out := draft{files: map[string][]byte{}, put: wire.CasePut{CaseID: s.Case.ID, Revision: s.Case.Revision, Service: s.Case.Service,
		Catalogue: s.Case.Catalogue, Region: s.Case.Region, StartedAt: s.Case.StartedAt, SavedAt: s.Case.SavedAt,
		Mode: string(s.Case.Mode), Staff: s.Case.Staff, Demo: s.Case.Demo, KeyID: s.KeyID, Envelope: s.Envelope, Body: s.Body,
		Digest: wire.Hex(seal.Digest(s.Body)), Outstanding: s.Case.Outstanding}}
	for _, f := range s.Files {
		out.files[f.Name] = f.Sealed
		out.put.Files = append(out.put.Files, wire.FileRef{Name: f.Name, Material: f.Material, Page: f.Page, MIME: f.MIME,
			Size: int64(len(f.Sealed)), Digest: wire.Hex(f.Digest)})
	}
	return out
}

func withScan(data []byte) caseOpt {
	return func(d *cases.Draft) {
		d.Scans = append(d.Scans, cases.Scan{Material: "户口簿首页和本人页", Page: len(d.Scans) + 1, MIME: "image/jpeg", Data: data})
	}
}

// send puts a case and expects a status.
func (x *terminal) send(d draft, want int) wire.CaseReply {
	x.t.Helper()
	var r wire.CaseReply
	status, p := x.call("PUT", wire.PathCase(x.id, d.put.CaseID, d.put.Revision), d.put, &r)
	if status != want {
		x.t.Fatalf("put: %d, want %d: %v", status, want, p)
	}
	if p == nil {
		if err := r.Validate(d.put.CaseID, d.put.Revision, d.put.Digest); err != nil {
			x.t.Fatal(err)
		}
	}
	return r
}

// refused puts a case and expects a problem.
func (x *terminal) refused(d draft, code wire.Code) *wire.Problem {
	x.t.Helper()
	_, p := x.call("PUT", wire.PathCase(x.id, d.put.CaseID, d.put.Revision), d.put, nil)
	if p == nil || p.Code != code {
		x.t.Fatalf("put: %v, want %s", p, code)
	}
	return p
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
