package seal

import (
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

// PEM block types of SM2 keys (SubjectPublicKeyInfo and PKCS#8).
const (
	pemPublic  = "PUBLIC KEY"
	pemPrivate = "PRIVATE KEY"
)

// PublicKey is an SM2 public key.
type PublicKey struct {
	k  *ecdsa.PublicKey
	id string
	d  []byte // SubjectPublicKeyInfo, DER
}

// PrivateKey is an SM2 private key. It never prints.
type PrivateKey struct {
	k   *sm2.PrivateKey
	pub *PublicKey
}

// GenerateKey makes an SM2 key pair.
func GenerateKey(rand io.Reader) (*PrivateKey, error) {
	k, err := sm2.GenerateKey(rand)
	if err != nil {
		return nil, fmt.Errorf("make an SM2 key: %w", err)
	}
	return newPrivate(k)
}

func newPrivate(k *sm2.PrivateKey) (*PrivateKey, error) {
	pub, err := newPublic(&k.PublicKey)
	if err != nil {
		return nil, err
	}
	return &PrivateKey{k: k, pub: pub}, nil
}

func newPublic(k *ecdsa.PublicKey) (*PublicKey, error) {
	der, err := smx509.MarshalPKIXPublicKey(k)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return &PublicKey{k: k, d: der, id: hex.EncodeToString(Digest(der)[:8])}, nil
}

// Public returns the public half.
func (p *PrivateKey) Public() *PublicKey { return p.pub }

// String and GoString keep the key out of logs.
func (p *PrivateKey) String() string   { return "seal.PrivateKey{" + p.pub.id + "}" }
func (p *PrivateKey) GoString() string { return p.String() }

// PEM writes the private key as PKCS#8. Whoever has it is the owner.
func (p *PrivateKey) PEM() ([]byte, error) {
	der, err := smx509.MarshalPKCS8PrivateKey(p.k)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: der}), nil
}

// ParsePrivateKey reads what PEM wrote (or openssl genpkey -algorithm SM2).
func ParsePrivateKey(text []byte) (*PrivateKey, error) {
	b, _ := pem.Decode(text)
	if b == nil || b.Type != pemPrivate {
		return nil, fmt.Errorf("%w: no %s block", ErrKey, pemPrivate)
	}
	v, err := smx509.ParsePKCS8PrivateKey(b.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	k, ok := v.(*sm2.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: %T is not SM2", ErrKey, v)
	}
	return newPrivate(k)
}

// ID names the key: 16 hex digits, the first 8 bytes of the SM3 of its
// SubjectPublicKeyInfo.
func (p *PublicKey) ID() string { return p.id }

// DER is the SubjectPublicKeyInfo. Do not change it.
func (p *PublicKey) DER() []byte { return p.d }

// PEM writes the public key as SubjectPublicKeyInfo.
func (p *PublicKey) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: p.d})
}

// ParsePublicKey reads a PEM SubjectPublicKeyInfo of an SM2 key.
func ParsePublicKey(text []byte) (*PublicKey, error) {
	b, _ := pem.Decode(text)
	if b == nil || b.Type != pemPublic {
		return nil, fmt.Errorf("%w: no %s block", ErrKey, pemPublic)
	}
	return ParsePublicKeyDER(b.Bytes)
}

// ParsePublicKeyDER reads a SubjectPublicKeyInfo of an SM2 key.
func ParsePublicKeyDER(der []byte) (*PublicKey, error) {
	v, err := smx509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	k, ok := v.(*ecdsa.PublicKey)
	if !ok || !sm2.IsSM2PublicKey(k) {
		return nil, fmt.Errorf("%w: %T is not SM2", ErrKey, v)
	}
	return newPublic(k)
}

// Sign signs a message (SM2 with SM3 and the default user id, GB/T 32918.2,
// ASN.1 signature).
func (p *PrivateKey) Sign(rand io.Reader, msg []byte) ([]byte, error) {
	sig, err := p.k.SignWithSM2(rand, nil, msg)
	if err != nil {
		return nil, fmt.Errorf("SM2 sign: %w", err)
	}
	return sig, nil
}

// Verify reports whether sig is this key's signature of msg.
func (p *PublicKey) Verify(msg, sig []byte) bool {
	return sm2.VerifyASN1WithSM2(p.k, nil, msg, sig)
}

// Envelop encrypts a key to the owner of p (GB/T 32918.4, ASN.1). aad binds it
// to where it belongs: SM2 has no associated data, so its SM3 travels inside.
func (p *PublicKey) Envelop(rand io.Reader, k Key, aad []byte) ([]byte, error) {
	plain := append(k.Bytes(), Digest(aad)...)
	defer clear(plain)
	env, err := sm2.EncryptASN1(rand, p.k, plain)
	if err != nil {
		return nil, fmt.Errorf("SM2 envelope: %w", err)
	}
	return env, nil
}

// OpenEnvelope is the reverse of Envelop. Errors: ErrOpen.
func (p *PrivateKey) OpenEnvelope(env, aad []byte) (Key, error) {
	plain, err := sm2.Decrypt(p.k, env)
	if err != nil || len(plain) != KeySize+DigestSize {
		return Key{}, ErrOpen
	}
	defer clear(plain)
	if !Equal(plain[KeySize:], Digest(aad)) {
		return Key{}, ErrOpen
	}
	return KeyFrom(plain[:KeySize])
}
