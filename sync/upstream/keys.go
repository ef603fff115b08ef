package upstream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"cunban/kiosk/seal"
	"cunban/sync/wire"
)

// Lifetimes of the county's own certificates.
const (
	caLifetime     = 10 * 365 * 24 * time.Hour
	serverLifetime = 365 * 24 * time.Hour
	backdate       = time.Hour // for clocks of terminals that are behind
)

// Files under <data>/county. All of them are secrets but the two .crt.
const (
	fileCAKey  = "ca.key"
	fileCACert = "ca.crt"
	fileSeal   = "seal.key"
	fileSign   = "sign.key"
	dirKeys    = "county"
)

// Keys are the county's keys: the CA of its terminals (ECDSA P-256), the SM2
// key that cases are enveloped to and the SM2 key that signs what goes down
// and countersigns logs.
type Keys struct {
	CA   *x509.Certificate
	ca   *ecdsa.PrivateKey
	Seal []*seal.PrivateKey // present one first, older ones behind
	Sign *seal.PrivateKey
	dir  string
}

// OpenKeys reads the keys under dir, or makes them when there are none. Two
// processes that make them at once end up with the same ones.
func OpenKeys(dir string, rand io.Reader, now time.Time) (*Keys, error) {
	final := filepath.Join(dir, dirKeys)
	k, err := loadKeys(final)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	tmp, err := os.MkdirTemp(dir, dirKeys+".new-")
	if err != nil {
		return nil, fmt.Errorf("make the county's keys: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := makeKeys(tmp, rand, now); err != nil {
		return nil, fmt.Errorf("make the county's keys: %w", err)
	}
	// Renaming onto a folder with files in it fails: whoever comes second
	// takes the keys of the first.
	if err := os.Rename(tmp, final); err != nil && !errors.Is(err, fs.ErrExist) {
		if _, serr := os.Stat(filepath.Join(final, fileSign)); serr != nil {
			return nil, fmt.Errorf("make the county's keys: %w", err)
		}
	}
	if err := syncDir(dir); err != nil {
		return nil, err
	}
	return loadKeys(final)
}

func makeKeys(dir string, rand io.Reader, now time.Time) error {
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand)
	if err != nil {
		return err
	}
	serial, err := newSerial(rand)
	if err != nil {
		return err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"村办"}, CommonName: "cunban county CA"},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(caLifetime), IsCA: true, BasicConstraintsValid: true,
		MaxPathLen: 0, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand, tmpl, tmpl, &ca.PublicKey, ca)
	if err != nil {
		return err
	}
	caKey, err := x509.MarshalPKCS8PrivateKey(ca)
	if err != nil {
		return err
	}
	files := map[string][]byte{
		fileCAKey:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: caKey}),
		fileCACert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
	}
	for _, name := range []string{fileSeal, fileSign} {
		k, err := seal.GenerateKey(rand)
		if err != nil {
			return err
		}
		if files[name], err = k.PEM(); err != nil {
			return err
		}
	}
	for name, b := range files {
		if err := writeFile(filepath.Join(dir, name), b); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

// loadKeys reads the keys; fs.ErrNotExist when the folder is not there. Older
// seal keys are files seal-*.key.
func loadKeys(dir string) (*Keys, error) {
	caPEM, err := os.ReadFile(filepath.Join(dir, fileCACert))
	if err != nil {
		return nil, fmt.Errorf("read the county's keys: %w", err)
	}
	keyPEM, err := os.ReadFile(filepath.Join(dir, fileCAKey))
	if err != nil {
		return nil, fmt.Errorf("read the county's keys: %v", err) // half a folder is not "no folder"
	}
	pair, err := tls.X509KeyPair(caPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("read the county's CA: %w", err)
	}
	k := &Keys{dir: dir}
	var ok bool
	if k.ca, ok = pair.PrivateKey.(*ecdsa.PrivateKey); !ok {
		return nil, fmt.Errorf("read the county's CA: %T is not ECDSA", pair.PrivateKey)
	}
	if k.CA, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
		return nil, fmt.Errorf("read the county's CA: %w", err)
	}
	old, err := filepath.Glob(filepath.Join(dir, "seal-*.key"))
	if err != nil {
		return nil, fmt.Errorf("read the county's keys: %w", err)
	}
	for _, path := range append([]string{filepath.Join(dir, fileSeal)}, old...) {
		p, err := readSM2(path)
		if err != nil {
			return nil, err
		}
		k.Seal = append(k.Seal, p)
	}
	if k.Sign, err = readSM2(filepath.Join(dir, fileSign)); err != nil {
		return nil, err
	}
	return k, nil
}

func readSM2(path string) (*seal.PrivateKey, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the county's keys: %v", err)
	}
	defer clear(b)
	k, err := seal.ParsePrivateKey(b)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	return k, nil
}

// ServerCertificate issues the certificate that the gateway shows to terminals
// for host names and addresses. It is made anew at each start.
func (k *Keys) ServerCertificate(rand io.Reader, now time.Time, hosts []string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make the server's key: %w", err)
	}
	serial, err := newSerial(rand)
	if err != nil {
		return tls.Certificate{}, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"村办"}, CommonName: "cunban upstream"},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(serverLifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	seen := map[string]bool{}
	for _, h := range hosts {
		if h == "" || seen[h] {
			continue
		}
		seen[h] = true
		if ip := net.ParseIP(h); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand, tmpl, k.CA, &key.PublicKey, k.ca)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("issue the server's certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("issue the server's certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der, k.CA.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// issue signs a terminal's certificate for the key of a request.
func (k *Keys) issue(rand io.Reader, now time.Time, terminal string, csr *x509.CertificateRequest) (*x509.Certificate, error) {
	serial, err := newSerial(rand)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"村办"}, CommonName: terminal},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(wire.CertificateLifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand, tmpl, k.CA, csr.PublicKey, k.ca)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate for %s: %w", terminal, err)
	}
	return x509.ParseCertificate(der)
}

func newSerial(rand io.Reader) (*big.Int, error) {
	var b [16]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	b[0] &= 0x7f // positive in DER
	return new(big.Int).SetBytes(b[:]), nil
}

// writeFile writes a secret and fsyncs it.
func writeFile(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDir makes renames in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync the folder: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
