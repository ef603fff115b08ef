package wire

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"strings"
)

// Degenerate PKCS#7 (RFC 5652 SignedData without signers), the "certs-only"
// answer of EST (RFC 7030, 4.1.3 and 4.2.3).

var (
	oidData       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
)

type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"explicit,tag:0,optional"`
}

type signedData struct {
	Version int
	Digests asn1.RawValue // SET OF
	Content contentInfo
	Certs   asn1.RawValue `asn1:"optional,tag:0"`
	CRLs    asn1.RawValue `asn1:"optional,tag:1"`
	Signers asn1.RawValue // SET OF
}

// EncodeCertsOnly writes certificates as base64 certs-only PKCS#7, lines of 64
// characters.
func EncodeCertsOnly(certs ...*x509.Certificate) ([]byte, error) {
	var raw []byte
	for _, c := range certs {
		raw = append(raw, c.Raw...)
	}
	emptySet := asn1.RawValue{Tag: asn1.TagSet, IsCompound: true}
	inner, err := asn1.Marshal(signedData{
		Version: 1, Digests: emptySet, Content: contentInfo{Type: oidData},
		Certs:   asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: raw},
		Signers: emptySet,
	})
	if err != nil {
		return nil, fmt.Errorf("encode certs-only answer: %w", err)
	}
	der, err := asn1.Marshal(contentInfo{
		Type:    oidSignedData,
		Content: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: inner},
	})
	if err != nil {
		return nil, fmt.Errorf("encode certs-only answer: %w", err)
	}
	return EncodeBase64Lines(der), nil
}

// ParseCertsOnly reads a base64 certs-only answer. It checks no signature: the
// caller knows why it trusts the certificates. Errors wrap ErrInvalid.
func ParseCertsOnly(b []byte) ([]*x509.Certificate, error) {
	der, err := DecodeBase64Lines(b)
	if err != nil {
		return nil, err
	}
	var ci contentInfo
	if rest, err := asn1.Unmarshal(der, &ci); err != nil || len(rest) > 0 || !ci.Type.Equal(oidSignedData) {
		return nil, invalid("not a PKCS#7 signed-data")
	}
	var sd signedData
	if _, err := asn1.Unmarshal(ci.Content.Bytes, &sd); err != nil {
		return nil, invalid("PKCS#7: %v", err)
	}
	certs, err := x509.ParseCertificates(sd.Certs.Bytes)
	if err != nil {
		return nil, invalid("certificate in PKCS#7: %v", err)
	}
	if len(certs) == 0 {
		return nil, invalid("PKCS#7 without certificates")
	}
	return certs, nil
}

// EncodeBase64Lines writes base64 in lines of 64 characters, as EST bodies go.
func EncodeBase64Lines(der []byte) []byte {
	s := base64.StdEncoding.EncodeToString(der)
	var out bytes.Buffer
	for len(s) > 64 {
		out.WriteString(s[:64] + "\r\n")
		s = s[64:]
	}
	out.WriteString(s + "\r\n")
	return out.Bytes()
}

// DecodeBase64Lines reads base64 with any white space in it.
func DecodeBase64Lines(b []byte) ([]byte, error) {
	s := strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '\r', '\n':
			return -1
		}
		return r
	}, string(b))
	der, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(der) == 0 {
		return nil, invalid("body is not base64")
	}
	return der, nil
}
