package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func newKey(tb testing.TB) Key {
	tb.Helper()
	k, err := NewKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// GB/T 32905-2016, appendix A.
func TestSM3Vectors(t *testing.T) {
	for in, want := range map[string]string{
		"abc":                      "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
		strings.Repeat("abcd", 16): "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732",
		"":                         "1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b",
	} {
		if got := hex.EncodeToString(Digest([]byte(in))); got != want {
			t.Errorf("SM3(%q) = %s", in, got)
		}
		h := NewHash()
		for i := range len(in) {
			h.Write([]byte{in[i]})
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != want {
			t.Errorf("SM3(%q) in steps = %s", in, got)
		}
		if len(in) > 1 && !bytes.Equal(Digest([]byte(in[:1]), []byte(in[1:])), Digest([]byte(in))) {
			t.Error("parts are not one after the other")
		}
	}
}

// RFC 8998 appendix A.1.
func TestSM4GCMVector(t *testing.T) {
	k, err := KeyFrom(unhex(t, "0123456789abcdeffedcba9876543210"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := k.aead()
	if err != nil {
		t.Fatal(err)
	}
	plain := unhex(t, "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccddddddddddddddddeeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa")
	got := a.Seal(nil, unhex(t, "00001234567800000000abcd"), plain, unhex(t, "feedfacedeadbeeffeedfacedeadbeefabaddad2"))
	want := unhex(t, "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"+
		"83de3541e4c2b58177e065a9bf7b62ec")
	if !bytes.Equal(got, want) {
		t.Errorf("SM4-GCM gives %x", got)
	}
}

func TestSealAndOpen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), KeySize, KeySize).Filter(func(b []byte) bool { return !bytes.Equal(b, make([]byte, KeySize)) })
		k, err := KeyFrom(b.Draw(t, "key"))
		if err != nil {
			t.Fatal(err)
		}
		plain := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "plain")
		aad := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "aad")
		sealed, err := Seal(rand.Reader, k, plain, aad)
		if err != nil || len(sealed) != len(plain)+Overhead {
			t.Fatalf("%d bytes, %v", len(sealed), err)
		}
		got, err := Open(k, sealed, aad)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("opened %v", err)
		}
		other, err := KeyFrom(b.Draw(t, "other key"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Open(other, sealed, aad); other != k && (!errors.Is(err, ErrOpen) || got != nil) {
			t.Fatalf("opened with another key: %v", err)
		}
		place := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "other place")
		if got, err := Open(k, sealed, place); !bytes.Equal(place, aad) && (!errors.Is(err, ErrOpen) || got != nil) {
			t.Fatalf("opened elsewhere: %v", err)
		}
	})
}

func TestEveryBitOfASealedPayload(t *testing.T) {
	k := newKey(t)
	sealed, err := Seal(rand.Reader, k, []byte("社保卡"), []byte("here"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(sealed) * 8 {
		bad := bytes.Clone(sealed)
		bad[i/8] ^= 1 << (i % 8)
		want := ErrOpen
		if i < 8 {
			want = ErrSuite
		}
		if plain, err := Open(k, bad, []byte("here")); !errors.Is(err, want) || plain != nil {
			t.Errorf("bit %d: %q, %v", i, plain, err)
		}
	}
	for i := range sealed {
		if _, err := Open(k, sealed[:i], []byte("here")); !errors.Is(err, ErrOpen) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	if _, err := Open(k, append(sealed, 0), []byte("here")); !errors.Is(err, ErrOpen) {
		t.Errorf("longer: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	k, err := KeyFrom(bytes.Repeat([]byte{7}, KeySize))
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := Seal(rand.Reader, k, []byte("x"), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte{suiteSM4GCM})
	f.Fuzz(func(t *testing.T, b []byte) {
		if plain, err := Open(k, b, nil); err == nil && string(plain) != "x" {
			t.Errorf("%x was opened: %q", b, plain)
		}
	})
}

func TestNonceIsFresh(t *testing.T) {
	k := newKey(t)
	seen := map[string]bool{}
	for range 1000 {
		s, err := Seal(rand.Reader, k, []byte("same"), nil)
		if err != nil {
			t.Fatal(err)
		}
		nonce := string(s[1 : 1+nonceSize])
		if seen[nonce] {
			t.Fatal("a nonce came twice")
		}
		seen[nonce] = true
	}
}

// The county and the vault bind with AAD: no two lists of fields may read the
// same.
func TestAADIsUnambiguous(t *testing.T) {
	field := rapid.StringOfN(rapid.SampledFrom([]rune{'a', 'b', 0, 1}), 0, 9, -1)
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(field, 0, 4).Draw(t, "a")
		b := rapid.SliceOfN(field, 0, 4).Draw(t, "b")
		if same := fmt.Sprintf("%q", a) == fmt.Sprintf("%q", b); bytes.Equal(AAD(a...), AAD(b...)) != same {
			t.Fatalf("%q and %q", a, b)
		}
	})
}

func TestMissingRandomness(t *testing.T) {
	dry := iotest.ErrReader(io.ErrUnexpectedEOF)
	k := newKey(t)
	for name, f := range map[string]func() error{
		"NewKey":       func() error { _, err := NewKey(dry); return err },
		"Seal":         func() error { _, err := Seal(dry, k, nil, nil); return err },
		"PasswordHash": func() error { _, err := PasswordHash(dry, "1"); return err },
	} {
		if err := f(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s without randomness: %v", name, err)
		}
	}
}

func TestUnusableKeys(t *testing.T) {
	if _, err := KeyFrom(make([]byte, KeySize-1)); !errors.Is(err, ErrKey) {
		t.Errorf("short: %v", err)
	}
	k := newKey(t)
	sealed, err := Seal(rand.Reader, k, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := k.Bytes()
	k.Wipe()
	if !k.IsZero() || bytes.Equal(k.Bytes(), b) {
		t.Error("Wipe left something")
	}
	if _, err := Open(k, sealed, nil); !errors.Is(err, ErrKey) {
		t.Errorf("open with a wiped key: %v", err)
	}
	if _, err := Seal(rand.Reader, k, nil, nil); !errors.Is(err, ErrKey) {
		t.Errorf("seal with a wiped key: %v", err)
	}
}

func TestDerive(t *testing.T) {
	secret := []byte("a strong secret")
	a, b := Derive(secret, "one", 32), Derive(secret, "two", 32)
	if bytes.Equal(a, b) || !bytes.Equal(a, Derive(secret, "one", 32)) || !bytes.Equal(a[:16], Derive(secret, "one", 16)) || len(a) != 32 {
		t.Errorf("%x %x", a, b)
	}
	if bytes.Equal(a, Derive([]byte("another secret"), "one", 32)) {
		t.Error("two secrets, one key")
	}
	if Equal(a, b) || !Equal(a, bytes.Clone(a)) {
		t.Error("Equal")
	}
}

// Keys never print: with no verb, in no JSON, in no log. (%w and %p of a key
// are left out: fmt asks no method for them, and vet refuses them.)
func TestKeysNeverPrint(t *testing.T) {
	b := bytes.Repeat([]byte{0x5a}, KeySize)
	k, err := KeyFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	p, err := GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d := p.k.D.Bytes()
	var out bytes.Buffer
	type holder struct {
		K Key
		P *PrivateKey
		S []Key
		M map[string]*Key
	}
	h := holder{k, p, []Key{k}, map[string]*Key{"k": &k}}
	for _, v := range []any{k, &k, p, h, &h, error(fmt.Errorf("with %v", k))} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%b", "%c", "%U", "%e", "%t"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		fmt.Fprintln(&out, v)
		j, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(j)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "k", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "k", v)
	}
	for name, secret := range map[string][]byte{"Key": b[:4], "PrivateKey": d[:8]} {
		for _, leak := range []string{
			string(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)), fmt.Sprintf("% x", secret),
			strings.Trim(fmt.Sprint(secret), "[]"), base64.RawStdEncoding.EncodeToString(secret)[:len(secret)*4/3-1],
			fmt.Sprintf("%b", secret[0]) + " " + fmt.Sprintf("%b", secret[1]), fmt.Sprintf("%#x, %#x", secret[0], secret[1]),
		} {
			if strings.Contains(out.String(), leak) {
				t.Errorf("a %s shows as %q", name, leak)
			}
		}
	}
	if strings.Contains(out.String(), p.k.D.String()) {
		t.Error("a private key shows as a number")
	}
	if !strings.Contains(out.String(), p.Public().ID()) {
		t.Error("a private key does not tell its ID")
	}
}

func TestPasswordHash(t *testing.T) {
	h, err := PasswordHash(rand.Reader, "246810")
	if err != nil {
		t.Fatal(err)
	}
	again, err := PasswordHash(rand.Reader, "246810")
	if err != nil || again == h {
		t.Errorf("no salt: %s, %v", again, err)
	}
	if strings.Contains(h, "246810") || !CheckPassword(h, "246810") {
		t.Errorf("%s", h)
	}
	for _, wrong := range []string{"", "246811", "24681", "2468100", "246810 "} {
		if CheckPassword(h, wrong) {
			t.Errorf("%q passes", wrong)
		}
	}
	f := strings.Split(h, "$")
	for _, bad := range []string{
		"", "$$$", h + "$", strings.Replace(h, pinScheme, "pbkdf2-sha1", 1), strings.Replace(h, "$60000$", "$0$", 1),
		strings.Replace(h, "$60000$", "$-1$", 1), strings.Replace(h, "$60000$", "$99999999$", 1), strings.Replace(h, "$60000$", "$60001$", 1),
		f[0] + "$" + f[1] + "$" + f[2] + "$", f[0] + "$" + f[1] + "$!$" + f[3], f[0] + "$" + f[1] + "$" + f[2] + "$" + f[3][:20],
	} {
		if CheckPassword(bad, "246810") {
			t.Errorf("%q matches", bad)
		}
	}
}

func TestSectors(t *testing.T) {
	key := make([]byte, SectorKeySize)
	if _, err := io.ReadFull(rand.Reader, key); err != nil {
		t.Fatal(err)
	}
	s, err := NewSectors(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewSectors(key[1:]); !errors.Is(err, ErrKey) {
		t.Errorf("short key: %v", err)
	}
	rapid.Check(t, func(t *rapid.T) {
		plain := bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 1, 256).Draw(t, "plain"), 16)
		n := rapid.Uint64().Draw(t, "sector")
		enc, dec := make([]byte, len(plain)), make([]byte, len(plain))
		s.Encrypt(enc, plain, n)
		s.Decrypt(dec, enc, n)
		if !bytes.Equal(dec, plain) || bytes.Equal(enc, plain) {
			t.Fatal("round trip")
		}
		place := bytes.Clone(plain)
		s.Encrypt(place, place, n)
		if !bytes.Equal(place, enc) {
			t.Fatal("in place it is another")
		}
		s.Decrypt(dec, enc, n+1)
		if bytes.Equal(dec, plain) {
			t.Fatal("a sector decrypts in the place of another")
		}
		// Equal blocks of a sector do not show.
		if len(plain) >= 32 && bytes.Equal(plain[:16], plain[16:32]) && bytes.Equal(enc[:16], enc[16:32]) {
			t.Fatal("equal blocks look equal")
		}
	})
}

func BenchmarkSuite(b *testing.B) {
	data := make([]byte, 4096)
	k := newKey(b)
	sealed, err := Seal(rand.Reader, k, data, nil)
	if err != nil {
		b.Fatal(err)
	}
	s, err := NewSectors(bytes.Repeat([]byte{1, 2}, KeySize))
	if err != nil {
		b.Fatal(err)
	}
	p, err := GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	sig, err := p.Sign(rand.Reader, data)
	if err != nil {
		b.Fatal(err)
	}
	for _, x := range []struct {
		name  string
		bytes int
		f     func() bool
	}{
		{"SM3", 4096, func() bool { return len(Digest(data)) > 0 }},
		{"HMAC-SM3", 4096, func() bool { return len(MAC(data[:32], data)) > 0 }},
		{"SM4-GCM seal", 4096, func() bool { _, err := Seal(rand.Reader, k, data, nil); return err == nil }},
		{"SM4-GCM open", 4096, func() bool { _, err := Open(k, sealed, nil); return err == nil }},
		{"SM4-XTS encrypt", 4096, func() bool { s.Encrypt(data, data, 7); return true }},
		{"SM4-XTS decrypt", 4096, func() bool { s.Decrypt(data, data, 7); return true }},
		{"SM2 sign", 0, func() bool { _, err := p.Sign(rand.Reader, sealed); return err == nil }},
		{"SM2 verify", 0, func() bool { return p.Public().Verify(sealed, sig) == false }},
		{"PIN check", 0, func() bool {
			return !CheckPassword("pbkdf2-sm3$60000$AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "1")
		}},
	} {
		b.Run(x.name, func(b *testing.B) {
			b.SetBytes(int64(x.bytes))
			b.ReportAllocs()
			for b.Loop() {
				if !x.f() {
					b.Fatal("failed")
				}
			}
		})
	}
}
