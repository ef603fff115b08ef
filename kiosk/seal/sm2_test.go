package seal

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"
)

func newPair(tb testing.TB) *PrivateKey {
	tb.Helper()
	p, err := GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestKeysAsPEM(t *testing.T) {
	p := newPair(t)
	text, err := p.PEM()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParsePrivateKey(text)
	if err != nil || back.Public().ID() != p.Public().ID() {
		t.Fatalf("private: %v", err)
	}
	pub, err := ParsePublicKey(p.Public().PEM())
	if err != nil || pub.ID() != p.Public().ID() || !bytes.Equal(pub.DER(), p.Public().DER()) || len(pub.ID()) != 16 {
		t.Fatalf("public: %v", err)
	}
	if newPair(t).Public().ID() == p.Public().ID() {
		t.Error("two keys, one ID")
	}
	sig, err := back.Sign(rand.Reader, []byte("m"))
	if err != nil || !pub.Verify([]byte("m"), sig) {
		t.Errorf("a key that was written and read signs otherwise: %v", err)
	}

	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := x509.MarshalPKIXPublicKey(&p256.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	foreignPrivate, err := x509.MarshalPKCS8PrivateKey(p256)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	for name, bad := range map[string][]byte{
		"nothing": nil, "text": []byte("key"), "a private one": text, "garbage": block(pemPublic, []byte("x")), "P-256": block(pemPublic, foreign),
	} {
		if _, err := ParsePublicKey(bad); !errors.Is(err, ErrKey) {
			t.Errorf("public from %s: %v", name, err)
		}
	}
	for name, bad := range map[string][]byte{
		"nothing": nil, "a public one": p.Public().PEM(), "garbage": block(pemPrivate, []byte("x")), "P-256": block(pemPrivate, foreignPrivate),
	} {
		if _, err := ParsePrivateKey(bad); !errors.Is(err, ErrKey) {
			t.Errorf("private from %s: %v", name, err)
		}
	}
}

func TestSignature(t *testing.T) {
	p, other := newPair(t), newPair(t)
	msg := []byte("cunban/t1\n17\n")
	sig, err := p.Sign(rand.Reader, msg)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Public().Verify(msg, sig) {
		t.Fatal("a good signature is refused")
	}
	if other.Public().Verify(msg, sig) {
		t.Error("another key takes it")
	}
	for i := range len(msg) * 8 {
		bad := bytes.Clone(msg)
		bad[i/8] ^= 1 << (i % 8)
		if p.Public().Verify(bad, sig) {
			t.Errorf("bit %d of the message", i)
		}
	}
	for i := range len(sig) * 8 {
		bad := bytes.Clone(sig)
		bad[i/8] ^= 1 << (i % 8)
		if p.Public().Verify(msg, bad) {
			t.Errorf("bit %d of the signature", i)
		}
	}
	for i := range sig {
		if p.Public().Verify(msg, sig[:i]) {
			t.Errorf("signature cut at %d", i)
		}
	}
	if p.Public().Verify(msg, append(sig, 0)) || p.Public().Verify(msg[:len(msg)-1], sig) {
		t.Error("longer signature or shorter message")
	}
}

func TestEnvelope(t *testing.T) {
	p, other := newPair(t), newPair(t)
	k := newKey(t)
	env, err := p.Public().Envelop(rand.Reader, k, []byte("case 1"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.OpenEnvelope(env, []byte("case 1")); err != nil || got != k {
		t.Fatalf("opened: %v", err)
	}
	if got, err := p.OpenEnvelope(env, []byte("case 2")); !errors.Is(err, ErrOpen) || !got.IsZero() {
		t.Errorf("elsewhere: %v", err)
	}
	if got, err := other.OpenEnvelope(env, []byte("case 1")); !errors.Is(err, ErrOpen) || !got.IsZero() {
		t.Errorf("by another: %v", err)
	}
	for i := range len(env) * 8 {
		bad := bytes.Clone(env)
		bad[i/8] ^= 1 << (i % 8)
		if got, err := p.OpenEnvelope(bad, []byte("case 1")); err == nil || !got.IsZero() {
			t.Errorf("bit %d: %v", i, err)
		}
	}
	for i := range env {
		if _, err := p.OpenEnvelope(env[:i], []byte("case 1")); !errors.Is(err, ErrOpen) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	twice, err := p.Public().Envelop(rand.Reader, k, []byte("case 1"))
	if err != nil || bytes.Equal(env, twice) {
		t.Errorf("the same envelope twice: %v", err)
	}
}

func FuzzOpenEnvelope(f *testing.F) {
	p := newPair(f)
	env, err := p.Public().Envelop(rand.Reader, newKey(f), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(env)
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := p.OpenEnvelope(b, nil); err != nil && !k.IsZero() {
			t.Errorf("%x: a key and an error", b)
		}
		if p.Public().Verify(b, b) {
			t.Errorf("%x signs itself", b)
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	p := newPair(f)
	text, err := p.PEM()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(p.Public().PEM())
	f.Add(p.Public().DER())
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, err := range []error{
			func() error { _, err := ParsePrivateKey(b); return err }(),
			func() error { _, err := ParsePublicKey(b); return err }(),
			func() error { _, err := ParsePublicKeyDER(b); return err }(),
		} {
			if err != nil && !errors.Is(err, ErrKey) {
				t.Errorf("%q: %v", b, err)
			}
		}
	})
}
