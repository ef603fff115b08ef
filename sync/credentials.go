package sync

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	gosync "sync"
	"time"

	"cunban/sync/wire"
)

// ErrNotEnrolled means that the terminal has no certificate yet.
var ErrNotEnrolled = errors.New("this terminal is not enrolled")

// errCertificate marks a peer whose certificate is not the county's.
var errCertificate = errors.New("the peer's certificate is not the county's")

// Credentials are the certificate that the terminal shows and the CA that it
// trusts. The certificate is swapped while connections are in use; connections
// made afterwards show the new one. Safe for concurrent use.
type Credentials struct {
	mu    gosync.Mutex
	cert  *tls.Certificate
	roots *x509.CertPool
}

// LoadCredentials reads the credentials that Enrol stored. ErrNotEnrolled when
// there are none.
func LoadCredentials(ctx context.Context, s Store) (*Credentials, error) {
	var vals [3][]byte
	for i, k := range []string{KeyTLSCert, KeyTLSKey, KeyCA} {
		v, ok, err := s.Get(ctx, k)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", k, err)
		}
		if !ok || len(v) == 0 {
			return nil, fmt.Errorf("%w: no %s", ErrNotEnrolled, k)
		}
		vals[i] = v
	}
	return newCredentials(vals[0], vals[1], vals[2])
}

func newCredentials(cert, key, ca []byte) (*Credentials, error) {
	c := &Credentials{roots: x509.NewCertPool()}
	if !c.roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("the county's CA is unreadable")
	}
	if err := c.swap(cert, key); err != nil {
		return nil, err
	}
	return c, nil
}

// swap takes another certificate into use.
func (c *Credentials) swap(cert, key []byte) error {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("read the terminal's certificate: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cert = &pair
	return nil
}

func (c *Credentials) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cert
}

// Leaf is the certificate in use.
func (c *Credentials) Leaf() *x509.Certificate { return c.current().Leaf }

// RenewAt is when the certificate in use has lived half of its life.
func (c *Credentials) RenewAt() time.Time {
	l := c.Leaf()
	return l.NotBefore.Add(l.NotAfter.Sub(l.NotBefore) / 2)
}

// TLS is the client's side of mutual TLS 1.3 with the county.
func (c *Credentials) TLS(clock *Clock) *tls.Config {
	t := trustOnly(c.roots, clock)
	t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.current(), nil }
	return t
}

// Client is an HTTP client with these credentials.
func (c *Credentials) Client(clock *Clock) *http.Client { return newClient(c.TLS(clock)) }

// trustOnly trusts certificates under the county's CA and no other. The chain
// is checked here and not by crypto/tls, because a terminal whose clock is
// wrong has to reach the county before it can learn the time: see verifyPeer.
func trustOnly(roots *x509.CertPool, clock *Clock) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		RootCAs:            roots,
		InsecureSkipVerify: true, // replaced by VerifyConnection
		VerifyConnection: func(s tls.ConnectionState) error {
			return verifyPeer(s.PeerCertificates, s.ServerName, roots, clock)
		},
	}
}

// verifyPeer checks a server's chain and name. While the county's time is not
// known, all that is certain about the time is that the clock's floor is over:
// then a certificate is good if it is good at some moment from the floor on.
// The time comes with the first answer over the connection.
func verifyPeer(chain []*x509.Certificate, name string, roots *x509.CertPool, clock *Clock) error {
	if len(chain) == 0 {
		return fmt.Errorf("%w: none", errCertificate)
	}
	at := clock.Now()
	if !clock.Known() {
		floor := clock.Floor()
		for _, c := range chain {
			if at.After(c.NotAfter) {
				at = later(c.NotAfter, floor)
			}
		}
		for _, c := range chain {
			at = later(at, c.NotBefore)
		}
	}
	o := x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: at, Intermediates: x509.NewCertPool()}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(o); err != nil {
		return fmt.Errorf("%w: %w", errCertificate, err)
	}
	return nil
}

// Settings of the transport. HTTP/1.1 on purpose: with HTTP/2 every request
// would hang on one dead connection; here each has its own and a probe always
// finds the line that is back.
const (
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 20 * time.Second
	idleConnections  = 4
	idleTimeout      = 60 * time.Second
)

func newClient(t *tls.Config) *http.Client {
	d := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:       http.ProxyFromEnvironment,
			DialContext: d.DialContext, TLSClientConfig: t, TLSHandshakeTimeout: handshakeTimeout,
			MaxIdleConns: idleConnections, MaxIdleConnsPerHost: idleConnections, IdleConnTimeout: idleTimeout,
			TLSNextProto:       map[string]func(string, *tls.Conn) http.RoundTripper{},
			DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// newKey makes a key for TLS (ECDSA P-256, FIPS 186-5) as PKCS#8 in PEM.
func newKey(rand io.Reader) (*ecdsa.PrivateKey, []byte, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand)
	if err != nil {
		return nil, nil, fmt.Errorf("make a TLS key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, nil, fmt.Errorf("write a TLS key: %w", err)
	}
	return k, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// newRequest makes a PKCS#10 request (RFC 2986) as EST carries it.
func newRequest(rand io.Reader, key *ecdsa.PrivateKey, commonName string) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand, &x509.CertificateRequest{Subject: pkix.Name{CommonName: commonName}}, key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate request: %w", err)
	}
	return wire.EncodeBase64Lines(der), nil
}

// issued picks the certificate for key out of an EST answer and writes it with
// the rest of its chain in PEM. It must be issued under the county's CA.
func issued(body []byte, key *ecdsa.PrivateKey, roots *x509.CertPool) (leaf *x509.Certificate, chain []byte, err error) {
	certs, err := wire.ParseCertsOnly(body)
	if err != nil {
		return nil, nil, err
	}
	inter := x509.NewCertPool()
	for _, c := range certs {
		if pub, ok := c.PublicKey.(*ecdsa.PublicKey); ok && pub.Equal(&key.PublicKey) {
			leaf = c
			continue
		}
		inter.AddCert(c)
	}
	if leaf == nil {
		return nil, nil, errors.New("no certificate for this terminal's key in the answer")
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: inter, CurrentTime: leaf.NotBefore,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return nil, nil, fmt.Errorf("the new certificate is not the county's: %w", err)
	}
	chain = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})
	for _, c := range certs {
		if c != leaf {
			chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
	}
	return leaf, chain, nil
}

// renewals is the lane that keeps the certificate young. It also tries when the
// county does not take the certificate any more: a village may be away for
// longer than a certificate lives.
func (e *Engine) renewals(ctx context.Context) {
	for {
		if e.clock.Known() && !e.clock.Now().Before(e.o.Credentials.RenewAt()) {
			switch k := e.line.State().Kind; k {
			case LineUp, LineBusy, LineSignIn:
				e.renew(ctx)
			case LineConnecting, LineDown, LinePortal, LineCertificate, LineRevoked:
			}
		}
		if !sleep(ctx, e.renewPause(), nil) {
			return
		}
	}
}

// renewPause is how long until the next look: soon while the time has to be
// learnt, and when nothing goes without a new certificate.
func (e *Engine) renewPause() time.Duration {
	if !e.clock.Known() || e.clock.Now().After(e.o.Credentials.Leaf().NotAfter) {
		return min(e.t.RenewEvery, e.t.ProbeIdle)
	}
	return e.t.RenewEvery
}

// renew asks for a certificate with a new key.
func (e *Engine) renew(ctx context.Context) {
	if err := e.renewOnce(ctx); err != nil && ctx.Err() == nil {
		e.log.Warn("sync: renewal failed", "err", err)
	}
}

func (e *Engine) renewOnce(ctx context.Context) error {
	creds := e.o.Credentials
	key, keyPEM, err := newKey(e.o.Rand)
	if err != nil {
		return err
	}
	csr, err := newRequest(e.o.Rand, key, e.o.Terminal)
	if err != nil {
		return err
	}
	a, f := e.do(ctx, call{method: http.MethodPost, path: wire.PathSimpleReenroll, media: wire.TypePKCS10, body: csr, allow: e.t.Message})
	if f == nil {
		f = a.checkAs(e.clock.Now(), a.ours() || a.media() == estMedia)
	}
	if f != nil {
		return f
	}
	leaf, chain, err := issued(a.body, key, creds.roots)
	if err != nil {
		return err
	}
	if leaf.Subject.CommonName != e.o.Terminal {
		return fmt.Errorf("the new certificate is for %s", clip(leaf.Subject.CommonName))
	}
	// Disk first: a certificate that is in use but not kept would be lost.
	if err := e.o.Store.PutAll(ctx, map[string][]byte{KeyTLSCert: chain, KeyTLSKey: keyPEM}); err != nil {
		e.storeTrouble("keep the new certificate", err)
		return err
	}
	if err := creds.swap(chain, keyPEM); err != nil {
		return err
	}
	e.client.CloseIdleConnections()
	e.line.wake()
	e.event(Event{Kind: EventRenewed, Detail: "until " + leaf.NotAfter.UTC().Format(time.RFC3339)})
	return e.refreshIdentity(ctx)
}

// refreshIdentity learns anew who this terminal is, and the county's SM2 keys,
// which may have changed since.
func (e *Engine) refreshIdentity(ctx context.Context) error {
	var id wire.Identity
	if f := e.getJSON(ctx, wire.PathIdentity(e.o.Terminal), e.t.Message, &id); f != nil {
		return f
	}
	vals, err := identityValues(id, e.o.Terminal)
	if err != nil {
		return err
	}
	if err := e.o.Store.PutAll(ctx, vals); err != nil {
		e.storeTrouble("keep the identity", err)
		return err
	}
	return nil
}
