package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emmansun/gmsm/sm4"
)

// distID is the default user id of SM2 signatures (GB/T 32918.2 §A.2).
const distID = "distid:1234567812345678"

// cli is openssl, another implementation of the same standards.
type cli struct {
	t   *testing.T
	dir string
}

func openssl(t *testing.T) cli {
	t.Helper()
	out, err := exec.Command("openssl", "list", "-digest-algorithms").Output()
	if err != nil || !bytes.Contains(bytes.ToUpper(out), []byte("SM3")) {
		if os.Getenv("CUNBAN_CI") == "1" {
			t.Fatalf("no openssl with SM3: %v", err)
		}
		t.Skipf("no openssl with SM3: %v", err)
	}
	return cli{t, t.TempDir()}
}

func (c cli) file(name string, b []byte) string {
	c.t.Helper()
	p := filepath.Join(c.dir, name)
	if err := os.WriteFile(p, b, 0o600); err != nil {
		c.t.Fatal(err)
	}
	return p
}

func (c cli) run(stdin []byte, args ...string) ([]byte, error) {
	cmd := exec.Command("openssl", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	return cmd.Output()
}

func (c cli) must(stdin []byte, args ...string) []byte {
	c.t.Helper()
	out, err := c.run(stdin, args...)
	if err != nil {
		c.t.Fatalf("openssl %v: %v", args, err)
	}
	return out
}

func TestDigestsWithOpenSSL(t *testing.T) {
	c := openssl(t)
	for _, n := range []int{0, 1, 55, 56, 63, 64, 65, 1000, 70_000} {
		msg := bytes.Repeat([]byte("x"), n)
		if got, want := hex.EncodeToString(Digest(msg)), string(c.must(msg, "dgst", "-sm3", "-r")[:64]); got != want {
			t.Errorf("SM3 of %d bytes: %s, openssl %s", n, got, want)
		}
		for _, key := range []string{"k", strings.Repeat("k", 64), strings.Repeat("k", 100)} {
			want := string(c.must(msg, "dgst", "-sm3", "-mac", "HMAC", "-macopt", "hexkey:"+hex.EncodeToString([]byte(key)), "-r")[:64])
			if got := hex.EncodeToString(MAC([]byte(key), msg)); got != want {
				t.Errorf("HMAC-SM3 of %d bytes: %s, openssl %s", n, got, want)
			}
		}
	}
}

func TestKeyDerivationWithOpenSSL(t *testing.T) {
	c := openssl(t)
	want := c.must(nil, "kdf", "-binary", "-keylen", "48", "-kdfopt", "digest:SM3", "-kdfopt", "hexkey:"+hex.EncodeToString([]byte("secret")),
		"-kdfopt", "info:cunban disk", "HKDF")
	if got := Derive([]byte("secret"), "cunban disk", 48); !bytes.Equal(got, want) {
		t.Errorf("HKDF %x, openssl %x", got, want)
	}
	h, err := PasswordHash(rand.Reader, "246810")
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Split(h, "$")
	salt, err := base64.RawStdEncoding.DecodeString(f[2])
	if err != nil {
		t.Fatal(err)
	}
	want = c.must(nil, "kdf", "-binary", "-keylen", "32", "-kdfopt", "digest:SM3", "-kdfopt", "pass:246810",
		"-kdfopt", "hexsalt:"+hex.EncodeToString(salt), "-kdfopt", "iter:"+f[1], "PBKDF2")
	if got := base64.RawStdEncoding.EncodeToString(want); got != f[3] {
		t.Errorf("PBKDF2 %s, openssl %s", f[3], got)
	}
}

// GB/T 32907-2016, appendix A.1, by us and by openssl.
func TestSM4Vector(t *testing.T) {
	const in, want = "0123456789abcdeffedcba9876543210", "681edf34d206965e86b3e94f536e4246"
	block, err := sm4.NewCipher(unhex(t, in))
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, KeySize)
	block.Encrypt(got, unhex(t, in))
	if hex.EncodeToString(got) != want {
		t.Errorf("SM4 gives %x", got)
	}
	c := openssl(t)
	if out := c.must(unhex(t, in), "enc", "-sm4-ecb", "-nopad", "-K", in); hex.EncodeToString(out) != want {
		t.Errorf("openssl gives %x", out)
	}
}

func TestSignaturesWithOpenSSL(t *testing.T) {
	c := openssl(t)
	p := newPair(t)
	msg := []byte("cunban/t1\n17\n村\n")
	text, err := p.PEM()
	if err != nil {
		t.Fatal(err)
	}
	sig, err := p.Sign(rand.Reader, msg)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(msg, sig []byte) error {
		_, err := c.run(nil, "pkeyutl", "-verify", "-pubin", "-inkey", c.file("pub.pem", p.Public().PEM()), "-rawin", "-digest", "sm3",
			"-in", c.file("msg", msg), "-sigfile", c.file("sig", sig), "-pkeyopt", distID)
		return err
	}
	if err := verify(msg, sig); err != nil {
		t.Errorf("openssl refuses our signature: %v", err)
	}
	if verify(append(msg, ' '), sig) == nil {
		t.Error("openssl takes our signature of something else")
	}
	theirs := c.must(nil, "pkeyutl", "-sign", "-inkey", c.file("key.pem", text), "-rawin", "-digest", "sm3", "-in", c.file("msg", msg), "-pkeyopt", distID)
	if !p.Public().Verify(msg, theirs) {
		t.Error("we refuse openssl's signature")
	}
	if p.Public().Verify(append(msg, ' '), theirs) {
		t.Error("we take openssl's signature of something else")
	}
}

func TestKeysOfOpenSSL(t *testing.T) {
	c := openssl(t)
	made := c.must(nil, "genpkey", "-algorithm", "SM2")
	p, err := ParsePrivateKey(made)
	if err != nil {
		t.Fatalf("key of openssl: %v", err)
	}
	pub, err := ParsePublicKey(c.must(made, "pkey", "-pubout"))
	if err != nil || pub.ID() != p.Public().ID() {
		t.Errorf("public half by openssl: %v", err)
	}
	if id := hex.EncodeToString(Digest(c.must(made, "pkey", "-pubout", "-outform", "DER"))[:8]); id != p.Public().ID() {
		t.Errorf("ID %s, by openssl's DER %s", p.Public().ID(), id)
	}
}

// The county opens envelopes with whatever it has: here openssl.
func TestEnvelopesWithOpenSSL(t *testing.T) {
	c := openssl(t)
	p := newPair(t)
	text, err := p.PEM()
	if err != nil {
		t.Fatal(err)
	}
	k := newKey(t)
	env, err := p.Public().Envelop(rand.Reader, k, []byte("case 1"))
	if err != nil {
		t.Fatal(err)
	}
	key, pub := c.file("key.pem", text), c.file("pub.pem", p.Public().PEM())
	plain := c.must(nil, "pkeyutl", "-decrypt", "-inkey", key, "-in", c.file("env", env))
	want := append(k.Bytes(), Digest([]byte("case 1"))...)
	if !bytes.Equal(plain, want) {
		t.Errorf("openssl opens %x", plain)
	}
	theirs := c.must(nil, "pkeyutl", "-encrypt", "-pubin", "-inkey", pub, "-in", c.file("plain", want))
	if got, err := p.OpenEnvelope(theirs, []byte("case 1")); err != nil || got != k {
		t.Errorf("we open openssl's envelope: %v", err)
	}
}
