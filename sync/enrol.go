package sync

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"cunban/kiosk/seal"
	"cunban/sync/wire"
)

// EnrolOptions say how to enrol. Base, Serial, Code and Store are needed.
type EnrolOptions struct {
	Base   string // https://host[:port][/prefix]
	Serial string // the terminal's serial number
	Code   wire.EnrolCode
	Store  Store
	Rand   io.Reader        // nil = crypto/rand
	Now    func() time.Time // nil = time.Now
	// OnWaiting is told that a person at the county has to say yes, each time
	// the county says so.
	OnWaiting func(wire.EnrolPending)
	Program   string // name and version, for HeaderProgram
}

// Limits of an enrolment.
const (
	enrolAnswer  = 30 * time.Second // one answer
	enrolMinWait = time.Second
	enrolMaxWait = time.Minute
)

// estMedia is the media type of EST answers without parameters.
const estMedia = "application/pkcs7-mime"

// Enrol makes this terminal known to the county (EST, RFC 7030): it reads the
// county's CA, trusts it only when the one-time code pins it, asks for a
// certificate, waits until a person at the county agrees, and learns who it is.
// Then everything is stored in one piece; until then nothing is but the key, so
// that an enrolment that was broken off goes on with the same request. Errors
// are *Failure with words for the technician, or those of the store.
func Enrol(ctx context.Context, o EnrolOptions) (wire.Identity, error) {
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.OnWaiting == nil {
		o.OnWaiting = func(wire.EnrolPending) {}
	}
	base, err := url.Parse(strings.TrimRight(o.Base, "/"))
	if err != nil || base.Scheme != "https" || base.Host == "" {
		return wire.Identity{}, &Failure{Kind: FailItem, Text: "县里的地址不对，请对照县里给的地址重新输入", Detail: fmt.Sprintf("base %s", clip(o.Base))}
	}
	if !wire.ValidTerminal(o.Serial) {
		return wire.Identity{}, &Failure{Kind: FailItem, Text: "本终端的序列号不对，请联系厂家", Detail: "serial " + clip(o.Serial)}
	}
	en := &enrolment{o: o, base: base, clock: NewClock(o.Now)}
	if err := en.clock.load(ctx, o.Store); err != nil {
		return wire.Identity{}, fmt.Errorf("enrol: %w", err)
	}
	id, err := en.run(ctx)
	if err != nil {
		return wire.Identity{}, fmt.Errorf("enrol: %w", err)
	}
	return id, nil
}

type enrolment struct {
	o     EnrolOptions
	base  *url.URL
	clock *Clock
}

func (n *enrolment) run(ctx context.Context) (wire.Identity, error) {
	ca, err := n.findCA(ctx)
	if err != nil {
		return wire.Identity{}, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	key, keyPEM, err := n.key(ctx)
	if err != nil {
		return wire.Identity{}, err
	}
	leaf, chain, err := n.ask(ctx, newClient(trustOnly(roots, n.clock)), key, roots)
	if err != nil {
		return wire.Identity{}, err
	}
	caPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw})
	creds, err := newCredentials(chain, keyPEM, caPEM)
	if err != nil {
		return wire.Identity{}, err
	}
	id, err := n.identity(ctx, creds.Client(n.clock), leaf.Subject.CommonName)
	if err != nil {
		return wire.Identity{}, err
	}
	vals, err := identityValues(id, id.ID)
	if err != nil {
		return wire.Identity{}, err
	}
	vals[KeyTLSCert], vals[KeyTLSKey], vals[KeyCA] = chain, keyPEM, caPEM
	vals[KeyCursor], vals[keyRevoked] = []byte{}, []byte{}
	if n.clock.Known() {
		vals[keyClock] = floorText(n.clock.Now())
	}
	if err := n.o.Store.PutAll(ctx, vals); err != nil {
		return wire.Identity{}, fmt.Errorf("keep the enrolment: %w", err)
	}
	if err := n.o.Store.Delete(ctx, keyEnrol); err != nil {
		return wire.Identity{}, fmt.Errorf("forget the request: %w", err)
	}
	return id, nil
}

// send asks once and reads the whole answer.
func (n *enrolment) send(ctx context.Context, client *http.Client, method, path string, body []byte, sign bool) (*answer, *Failure) {
	ctx, cancel := context.WithTimeout(ctx, enrolAnswer)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, n.base.String()+path, bytes.NewReader(body))
	if err != nil {
		return nil, &Failure{Kind: FailItem, Text: "县里的地址不对，请重新输入", Detail: err.Error(), Err: err}
	}
	req.Header.Set(wire.HeaderContract, wire.Version)
	if n.o.Program != "" {
		req.Header.Set(wire.HeaderProgram, n.o.Program)
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", wire.TypePKCS10)
	}
	if sign {
		req.SetBasicAuth(n.o.Serial, n.o.Code.Secret)
	}
	sent := n.clock.steady()
	resp, err := client.Do(req)
	if err != nil {
		f := transportFailure(err)
		switch f.Kind {
		case FailTransport:
			f.Text = "连不上县里的服务器，请检查网络和地址后再试"
		case FailCertificate:
			f.Text = "对方的证书不是县里的，请检查地址，并向县里核实登记码"
		case FailPortal:
			f.Text = "需要网页登录：请先在本机网络的登录网页上登录，再重新登记"
		case FailSignIn, FailRate, FailServer, FailItem, FailAgain:
		}
		return nil, f
	}
	defer resp.Body.Close() //nolint:errcheck // read to the end or given up
	b, err := io.ReadAll(io.LimitReader(resp.Body, wire.MaxAnswer))
	if err != nil {
		return nil, &Failure{Kind: FailTransport, Text: "网络不稳，请再试一次", Detail: err.Error(), Err: err}
	}
	a := &answer{status: resp.StatusCode, header: resp.Header, body: b}
	if t, err := http.ParseTime(a.header.Get("Date")); err == nil && path != wire.PathCACerts {
		n.clock.observe(t, sent)
	}
	f := a.checkAs(n.clock.Now(), a.ours() || a.media() == estMedia)
	if f != nil && f.Kind == FailPortal {
		f.Text = "需要网页登录，或者地址不是县里的：请检查网络和地址后再试"
	}
	return a, f
}

// findCA reads the county's CA from whoever answers and believes it only when
// the code pins its key.
func (n *enrolment) findCA(ctx context.Context) (*x509.Certificate, error) {
	blind := newClient(&tls.Config{
		MinVersion: tls.VersionTLS13,
		// Whoever it is: only a CA that the code pins is believed.
		InsecureSkipVerify: true,
	})
	defer blind.CloseIdleConnections()
	a, f := n.send(ctx, blind, http.MethodGet, wire.PathCACerts, nil, false)
	if f != nil {
		return nil, f
	}
	certs, err := wire.ParseCertsOnly(a.body)
	if err != nil {
		return nil, &Failure{Kind: FailServer, Text: "这个地址上不是县里的服务器，请检查地址", Detail: err.Error(), Err: err}
	}
	for _, c := range certs {
		if n.o.Code.Matches(c) && c.IsCA {
			return c, nil
		}
	}
	return nil, &Failure{Kind: FailCertificate, Text: "登记码与这台服务器对不上：请检查登记码和地址，仍不行请联系县里",
		Detail: "no CA certificate matches the pin in the code"}
}

// pendingEnrolment is a request on its way: the code is bound to the first key
// it was used with, so the key outlives the program.
type pendingEnrolment struct {
	Serial string `json:"serial"`
	Code   string `json:"code"` // SHA-256 of the code, in hex
	Key    string `json:"key"`  // PEM
}

// key is the key of the request that was broken off, or a new one.
func (n *enrolment) key(ctx context.Context) (*ecdsa.PrivateKey, []byte, error) {
	sum := sha256.Sum256([]byte(n.o.Code.Secret + n.o.Code.Pin))
	want := pendingEnrolment{Serial: n.o.Serial, Code: hex.EncodeToString(sum[:])}
	b, ok, err := n.o.Store.Get(ctx, keyEnrol)
	if err != nil {
		return nil, nil, fmt.Errorf("read the request that was broken off: %w", err)
	}
	var p pendingEnrolment
	if ok && json.Unmarshal(b, &p) == nil && p.Serial == want.Serial && p.Code == want.Code {
		if block, _ := pem.Decode([]byte(p.Key)); block != nil {
			if k, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
				if ec, ok := k.(*ecdsa.PrivateKey); ok {
					return ec, []byte(p.Key), nil
				}
			}
		}
	}
	key, keyPEM, err := newKey(n.o.Rand)
	if err != nil {
		return nil, nil, err
	}
	want.Key = string(keyPEM)
	if b, err = json.Marshal(want); err != nil {
		return nil, nil, fmt.Errorf("write the request: %w", err)
	}
	if err := n.o.Store.Put(ctx, keyEnrol, b); err != nil {
		return nil, nil, fmt.Errorf("keep the request: %w", err)
	}
	return key, keyPEM, nil
}

// ask asks for the certificate until there is one or the county says no. While
// it waits for a person, a line that goes away is no reason to give up.
func (n *enrolment) ask(ctx context.Context, client *http.Client, key *ecdsa.PrivateKey, roots *x509.CertPool) (*x509.Certificate, []byte, error) {
	defer client.CloseIdleConnections()
	csr, err := newRequest(n.o.Rand, key, n.o.Serial)
	if err != nil {
		return nil, nil, err
	}
	waiting := false
	for {
		a, f := n.send(ctx, client, http.MethodPost, wire.PathSimpleEnroll, csr, true)
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		wait := enrolMinWait * 5
		switch {
		case f != nil && waiting && (f.Kind == FailTransport || f.Kind == FailServer || f.Kind == FailRate):
			wait = max(wait, f.RetryAfter)
		case f != nil:
			return nil, nil, f
		case a.status == http.StatusAccepted:
			waiting = true
			var p wire.EnrolPending
			if f := a.decode(&p); f != nil {
				return nil, nil, f
			}
			n.o.OnWaiting(p)
			wait = max(retryAfter(a.header.Get("Retry-After"), n.clock.Now()), time.Duration(p.RetryIn)*time.Second, enrolMinWait)
		default:
			leaf, chain, err := issued(a.body, key, roots)
			if err != nil {
				return nil, nil, &Failure{Kind: FailServer, Text: "县里发来的证书不能用，请联系县里技术人员", Detail: err.Error(), Err: err}
			}
			return leaf, chain, nil
		}
		if !sleep(ctx, min(wait, enrolMaxWait), nil) {
			return nil, nil, ctx.Err()
		}
	}
}

// identity learns who this terminal is, over mutual TLS.
func (n *enrolment) identity(ctx context.Context, client *http.Client, terminal string) (wire.Identity, error) {
	defer client.CloseIdleConnections()
	var id wire.Identity
	if !wire.ValidTerminal(terminal) {
		return id, &Failure{Kind: FailServer, Text: "县里发来的证书不能用，请联系县里技术人员", Detail: "certificate for " + clip(terminal)}
	}
	const tries = 3
	var f *Failure
	for i := range tries {
		var a *answer
		if a, f = n.send(ctx, client, http.MethodGet, wire.PathIdentity(terminal), nil, false); f == nil {
			f = a.decode(&id)
		}
		if f == nil || ctx.Err() != nil || f.Kind != FailTransport && f.Kind != FailServer && f.Kind != FailRate {
			break
		}
		if i < tries-1 && !sleep(ctx, max(f.RetryAfter, enrolMinWait), nil) {
			break
		}
	}
	if f != nil {
		return id, f
	}
	_, err := identityValues(id, terminal)
	if err != nil {
		return id, &Failure{Kind: FailServer, Text: "县里发来的登记信息不完整，请联系县里技术人员", Detail: err.Error(), Err: err}
	}
	return id, nil
}

// identityValues checks an identity and makes the settings that keep it.
func identityValues(id wire.Identity, terminal string) (map[string][]byte, error) {
	if err := id.Validate(); err != nil {
		return nil, err
	}
	if id.ID != terminal {
		return nil, fmt.Errorf("identity of %s instead of %s", clip(id.ID), terminal)
	}
	for _, k := range []string{id.SealKey, id.SignKey} {
		if _, err := seal.ParsePublicKey([]byte(k)); err != nil {
			return nil, fmt.Errorf("identity: %w", err)
		}
	}
	text, err := json.Marshal(id)
	if err != nil {
		return nil, fmt.Errorf("write the identity: %w", err)
	}
	return map[string][]byte{KeyIdentity: text, KeySeal: []byte(id.SealKey), KeySign: []byte(id.SignKey)}, nil
}

// LoadIdentity reads who the county says this terminal is; false when it was
// never enrolled.
func LoadIdentity(ctx context.Context, s Store) (wire.Identity, bool, error) {
	b, ok, err := s.Get(ctx, KeyIdentity)
	if err != nil {
		return wire.Identity{}, false, fmt.Errorf("read the identity: %w", err)
	}
	if !ok || len(b) == 0 {
		return wire.Identity{}, false, nil
	}
	var id wire.Identity
	if err := json.Unmarshal(b, &id); err != nil {
		return wire.Identity{}, false, fmt.Errorf("read the identity: %w", err)
	}
	if err := id.Validate(); err != nil {
		return wire.Identity{}, false, errors.Join(errors.New("the identity kept here is unusable"), err)
	}
	return id, true, nil
}
