package seal

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew, when the suite has changed on purpose")

// vectors are what the suite gave when it was first released, as data for other
// implementations: bytes in hex, texts as they are. The keys are made for this
// and used nowhere.
type vectors struct {
	Digest []struct{ In, SM3 string }
	MAC    []struct{ Key, In, HMAC string }
	Derive []struct{ Secret, Info, Out string }
	AAD    []struct {
		Fields []string
		Out    string
	}
	Seal    []struct{ Key, Nonce, Plain, AAD, Sealed string }
	Sectors []struct {
		Key         string
		Sector      uint64
		Plain, Text string
	}
	Password  []struct{ Password, Hash string }
	Private   string // PKCS#8
	Public    string // PEM
	ID        string
	Signature []struct{ Message, DER string }
	Envelope  []struct{ Key, AAD, DER string }
}

func vectorsFile() string { return filepath.Join("testdata", "vectors.json") }

// TestVectors: what was sealed, signed or derived once must be read for ever,
// and what has one form only must come out the same.
func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	b, err := os.ReadFile(vectorsFile())
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Digest)*len(v.MAC)*len(v.Derive)*len(v.AAD)*len(v.Seal)*len(v.Sectors)*len(v.Password)*len(v.Signature)*len(v.Envelope) == 0 {
		t.Fatal("a kind of vector is missing")
	}
	same := func(what string, got []byte, want string) {
		t.Helper()
		if hex.EncodeToString(got) != want {
			t.Errorf("%s: %x, was %s", what, got, want)
		}
	}
	for _, x := range v.Digest {
		same("SM3", Digest(unhex(t, x.In)), x.SM3)
	}
	for _, x := range v.MAC {
		same("HMAC-SM3", MAC(unhex(t, x.Key), unhex(t, x.In)), x.HMAC)
	}
	for _, x := range v.Derive {
		same("HKDF-SM3 "+x.Info, Derive(unhex(t, x.Secret), x.Info, len(x.Out)/2), x.Out)
	}
	for _, x := range v.AAD {
		same("associated data", AAD(x.Fields...), x.Out)
	}
	for _, x := range v.Seal {
		k, err := KeyFrom(unhex(t, x.Key))
		if err != nil {
			t.Fatal(err)
		}
		got, err := Seal(bytes.NewReader(unhex(t, x.Nonce)), k, unhex(t, x.Plain), unhex(t, x.AAD))
		if err != nil {
			t.Fatal(err)
		}
		same("SM4-GCM", got, x.Sealed)
		if plain, err := Open(k, got, unhex(t, x.AAD)); err != nil || hex.EncodeToString(plain) != x.Plain {
			t.Errorf("open: %x, %v", plain, err)
		}
	}
	for _, x := range v.Sectors {
		s, err := NewSectors(unhex(t, x.Key))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(x.Plain)/2)
		s.Encrypt(got, unhex(t, x.Plain), x.Sector)
		same("SM4-XTS", got, x.Text)
	}
	for _, x := range v.Password {
		if !CheckPassword(x.Hash, x.Password) || CheckPassword(x.Hash, x.Password+" ") {
			t.Errorf("PBKDF2 %s", x.Hash)
		}
	}
	v.keys(t)
}

// keys checks what is done with key pairs, whose results are random.
func (v vectors) keys(t *testing.T) {
	p, err := ParsePrivateKey(v.private(t))
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ParsePublicKey([]byte(v.Public))
	if err != nil || pub.ID() != v.ID || p.Public().ID() != v.ID {
		t.Errorf("key id %s, %v; was %s", p.Public().ID(), err, v.ID)
	}
	for _, x := range v.Signature {
		if !pub.Verify(unhex(t, x.Message), unhex(t, x.DER)) {
			t.Errorf("signature of %s", x.Message)
		}
	}
	for _, x := range v.Envelope {
		if k, err := p.OpenEnvelope(unhex(t, x.DER), unhex(t, x.AAD)); err != nil || hex.EncodeToString(k.Bytes()) != x.Key {
			t.Errorf("envelope: %v", err)
		}
	}
}

// private is the private key of the vectors as PEM.
func (v vectors) private(t *testing.T) []byte {
	t.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: unhex(t, v.Private)})
}

// TestVectorsWithOpenSSL: the stored results are openssl's too.
func TestVectorsWithOpenSSL(t *testing.T) {
	c := openssl(t)
	b, err := os.ReadFile(vectorsFile())
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	for _, x := range v.Digest {
		if got := string(c.must(unhex(t, x.In), "dgst", "-sm3", "-r")[:64]); got != x.SM3 {
			t.Errorf("SM3 %s, openssl %s", x.SM3, got)
		}
	}
	for _, x := range v.MAC {
		if got := string(c.must(unhex(t, x.In), "dgst", "-sm3", "-mac", "HMAC", "-macopt", "hexkey:"+x.Key, "-r")[:64]); got != x.HMAC {
			t.Errorf("HMAC %s, openssl %s", x.HMAC, got)
		}
	}
	pub, key := c.file("pub.pem", []byte(v.Public)), c.file("key.pem", v.private(t))
	for _, x := range v.Signature {
		c.must(nil, "pkeyutl", "-verify", "-pubin", "-inkey", pub, "-rawin", "-digest", "sm3", "-in", c.file("msg", unhex(t, x.Message)),
			"-sigfile", c.file("sig", unhex(t, x.DER)), "-pkeyopt", distID)
	}
	for _, x := range v.Envelope {
		plain := c.must(nil, "pkeyutl", "-decrypt", "-inkey", key, "-in", c.file("env", unhex(t, x.DER)))
		if want := x.Key + hex.EncodeToString(Digest(unhex(t, x.AAD))); hex.EncodeToString(plain) != want {
			t.Errorf("envelope: openssl opens %x, want %s", plain, want)
		}
	}
}

// writeVectors makes the file.
func writeVectors(t *testing.T) {
	t.Helper()
	var v vectors
	counting := make([]byte, 256)
	for i := range counting {
		counting[i] = byte(i)
	}
	h := hex.EncodeToString
	for _, n := range []int{0, 3, 64, 256} {
		v.Digest = append(v.Digest, struct{ In, SM3 string }{h(counting[:n]), h(Digest(counting[:n]))})
		v.MAC = append(v.MAC, struct{ Key, In, HMAC string }{h(counting[:32]), h(counting[:n]), h(MAC(counting[:32], counting[:n]))})
		aad := AAD("cunban case 1", "body", "case")
		nonce := bytes.Repeat([]byte{byte(n + 1)}, nonceSize)
		k, err := KeyFrom(counting[16:32])
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := Seal(bytes.NewReader(nonce), k, counting[:n], aad)
		if err != nil {
			t.Fatal(err)
		}
		v.Seal = append(v.Seal, struct{ Key, Nonce, Plain, AAD, Sealed string }{h(k.Bytes()), h(nonce), h(counting[:n]), h(aad), h(sealed)})
	}
	for _, info := range []string{"cunban vault files 1", "cunban operation log mac 1"} {
		v.Derive = append(v.Derive, struct{ Secret, Info, Out string }{h(counting[:32]), info, h(Derive(counting[:32], info, 48))})
	}
	for _, f := range [][]string{{}, {""}, {"a", "b"}, {"ab", ""}, {"cunban case 1", "村"}} {
		v.AAD = append(v.AAD, struct {
			Fields []string
			Out    string
		}{f, h(AAD(f...))})
	}
	s, err := NewSectors(counting[:SectorKeySize])
	if err != nil {
		t.Fatal(err)
	}
	for _, sector := range []uint64{0, 1, 1 << 33} {
		text := make([]byte, 64)
		s.Encrypt(text, counting[:64], sector)
		v.Sectors = append(v.Sectors, struct {
			Key         string
			Sector      uint64
			Plain, Text string
		}{h(counting[:SectorKeySize]), sector, h(counting[:64]), h(text)})
	}
	hash, err := PasswordHash(bytes.NewReader(counting), "246810")
	if err != nil {
		t.Fatal(err)
	}
	v.Password = append(v.Password, struct{ Password, Hash string }{"246810", hash})
	p := newPair(t)
	private, err := p.PEM()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(private)
	v.Private, v.Public, v.ID = h(block.Bytes), string(p.Public().PEM()), p.Public().ID()
	for _, m := range []string{"", "cunban/t1\n17\n村\n"} {
		sig, err := p.Sign(strings.NewReader(strings.Repeat("r", 1000)), []byte(m))
		if err != nil {
			t.Fatal(err)
		}
		v.Signature = append(v.Signature, struct{ Message, DER string }{h([]byte(m)), h(sig)})
	}
	k := newKey(t)
	aad := AAD("cunban case 1", "envelope", "case", "1")
	env, err := p.Public().Envelop(bytes.NewReader(bytes.Repeat(counting[1:], 8)), k, aad)
	if err != nil {
		t.Fatal(err)
	}
	v.Envelope = append(v.Envelope, struct{ Key, AAD, DER string }{h(k.Bytes()), h(aad), h(env)})
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorsFile(), append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
