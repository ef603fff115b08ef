package wire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cunban/kiosk/seal"
)

func testCA(t testing.TB, cn string) *x509.Certificate {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn}, NotBefore: time.Now(),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCertsOnly(t *testing.T) {
	a, b := testCA(t, "a"), testCA(t, "b")
	body, err := EncodeCertsOnly(a, b)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(strings.TrimRight(string(body), "\r\n"), "\r\n") {
		if len(line) > 64 {
			t.Errorf("line of %d characters", len(line))
		}
	}
	got, err := ParseCertsOnly(body)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || !got[0].Equal(a) || !got[1].Equal(b) {
		t.Errorf("%d certificates came back", len(got))
	}
	for _, bad := range []string{"", "!!!", "aGVsbG8=", string(body[:len(body)/2])} {
		if _, err := ParseCertsOnly([]byte(bad)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}

// TestCertsOnlyOpenSSL: what is written here is what openssl reads.
func TestCertsOnlyOpenSSL(t *testing.T) {
	tool, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CUNBAN_CI") == "1" {
			t.Fatal("openssl is not installed")
		}
		t.Skip("openssl is not installed")
	}
	body, err := EncodeCertsOnly(testCA(t, "county-a"), testCA(t, "county-b"))
	if err != nil {
		t.Fatal(err)
	}
	der, err := DecodeBase64Lines(body)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool, "pkcs7", "-inform", "DER", "-print_certs", "-noout")
	cmd.Stdin = bytes.NewReader(der)
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("county-a")) || !bytes.Contains(out, []byte("county-b")) {
		t.Errorf("openssl: %v\n%s", err, out)
	}
}

// TestEnrolCodeTyped: however a code is typed, it is read as it was given.
func TestEnrolCodeTyped(t *testing.T) {
	ca := testCA(t, "ca")
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), 5, 5).Draw(t, "secret")
		want, err := NewEnrolCode(bytes.NewReader(seed), ca)
		if err != nil {
			t.Fatal(err)
		}
		var typed strings.Builder
		for _, r := range want.String() {
			switch rapid.IntRange(0, 5).Draw(t, "slip") {
			case 0:
				r = []rune(strings.ToLower(string(r)))[0]
			case 1:
				if s := map[rune]rune{'O': '0', 'I': '1', 'B': '8'}[r]; s != 0 {
					r = s
				}
			case 2:
				typed.WriteString(rapid.SampledFrom([]string{" ", "-", "－", "—", "　"}).Draw(t, "between"))
			case 3:
				if r == '-' {
					continue
				}
			}
			typed.WriteRune(r)
		}
		got, err := ParseEnrolCode(typed.String())
		if err != nil || got != want {
			t.Fatalf("typed %q, read %q, want %q (%v)", typed.String(), got.String(), want.String(), err)
		}
	})
	code, err := NewEnrolCode(rand.Reader, ca)
	if err != nil {
		t.Fatal(err)
	}
	if !code.Matches(ca) || code.Matches(testCA(t, "other")) {
		t.Error("the pin does not tell CAs apart")
	}
	for _, bad := range []string{"", "ABCD", "ABCD-ABCD-ABCD-ABCD-ABC9", "ABCD-ABCD-ABCD-ABCD-ABCDE", strings.Repeat("é", 10)} {
		if _, err := ParseEnrolCode(bad); !errors.Is(err, ErrCode) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestSealedQuery(t *testing.T) {
	county, err := seal.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	old, err := seal.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	in := VerifyClaimIn{Source: "typed", Number: "140830195603120024", Name: "张三"}
	q, k, err := SealQuery(rand.Reader, county.Public(), "T-1", QueryVerifyClaim, in)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Validate(); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte(in.Number)) || bytes.Contains(text, []byte(in.Name)) {
		t.Error("the query shows what it seals")
	}
	plain, ck, err := OpenQuery(q, "T-1", old, county)
	if err != nil {
		t.Fatal(err)
	}
	var got VerifyClaimIn
	if err := json.Unmarshal(plain, &got); err != nil || got != in {
		t.Errorf("opened %+v (%v)", got, err)
	}
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	a, err := SealAnswer(rand.Reader, ck, at, VerifyClaimOut{Result: VerifyMatch, Text: "好"})
	if err != nil {
		t.Fatal(err)
	}
	var out VerifyClaimOut
	if err := OpenAnswer(a, k, &out); err != nil || out.Result != VerifyMatch {
		t.Errorf("answer %+v (%v)", out, err)
	}
	if _, _, err := OpenQuery(q, "T-2", county); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("another terminal's query opened: %v", err)
	}
	if _, _, err := OpenQuery(q, "T-1", old); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("opened with another key: %v", err)
	}
	moved := q
	moved.Kind = QueryPrefill
	if _, _, err := OpenQuery(moved, "T-1", county); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("a query of another kind opened: %v", err)
	}
	_, k2, err := SealQuery(rand.Reader, county.Public(), "T-1", QueryVerifyClaim, in)
	if err != nil {
		t.Fatal(err)
	}
	if err := OpenAnswer(a, k2, &out); !errors.Is(err, ErrInvalid) {
		t.Errorf("the answer to another query was taken: %v", err)
	}
	a.Out, a.Sealed = []byte(`{"result":"match"}`), nil
	if err := OpenAnswer(a, k, &out); err == nil {
		t.Error("an answer in clear to a sealed query was taken")
	}

	pub, pk, err := SealQuery(rand.Reader, nil, "T-1", QueryJobs, ListIn{Text: "焊工"})
	if err != nil || pub.Sealed != nil || !bytes.Contains(pub.In, []byte("焊工")) {
		t.Fatalf("public query %+v (%v)", pub, err)
	}
	_, pck, err := OpenQuery(pub, "T-1")
	if err != nil {
		t.Fatal(err)
	}
	pa, err := SealAnswer(rand.Reader, pck, at, ListOut{Total: 3})
	if err != nil {
		t.Fatal(err)
	}
	var list ListOut
	if err := OpenAnswer(pa, pk, &list); err != nil || list.Total != 3 {
		t.Errorf("list %+v (%v)", list, err)
	}
}

func TestUploadMetadata(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := UploadMetadata{
			Case:     rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`).Draw(t, "case"),
			Revision: rapid.IntRange(1, 99).Draw(t, "revision"),
			Name:     rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{0,20}`).Draw(t, "name"),
			Digest:   rapid.StringMatching(`[0-9a-f]{64}`).Draw(t, "digest"),
		}
		got, err := ParseUploadMetadata(m.String())
		if err != nil || got != m {
			t.Fatalf("%q: %+v (%v)", m.String(), got, err)
		}
	})
}

func TestCheckpointValidate(t *testing.T) {
	h := seal.Digest(nil)
	for _, c := range []struct {
		put  CheckpointPut
		good bool
	}{
		{CheckpointPut{Note: "n"}, true},
		{CheckpointPut{Note: "n", Since: 3, Proof: [][]byte{h, h}}, true},
		{CheckpointPut{Note: "n", Since: 3}, true},
		{CheckpointPut{}, false},
		{CheckpointPut{Note: "n", Since: -1}, false},
		{CheckpointPut{Note: "n", Proof: [][]byte{h}}, false},
		{CheckpointPut{Note: "n", Since: 1, Proof: [][]byte{h[:31]}}, false},
	} {
		if err := c.put.Validate(); (err == nil) != c.good {
			t.Errorf("%+v: %v", c.put, err)
		}
	}
}

// TestSigningBytes: no two changes have the same signed form.
func TestSigningBytes(t *testing.T) {
	base := Change{Kind: KindJob, ID: "ab", Version: 1, Audience: "c", Data: []byte("{}")}
	seen := map[string]bool{string(base.SigningBytes()): true}
	for _, c := range []Change{
		{Kind: KindJob, ID: "a", Version: 1, Audience: "bc", Data: []byte("{}")},
		{Kind: KindJob, ID: "ab", Version: 2, Audience: "c", Data: []byte("{}")},
		{Kind: KindJob, ID: "ab", Version: 1, Audience: "c", Deleted: true},
		{Kind: KindJob, ID: "ab", Version: 1, Data: []byte("{}")},
		{Kind: KindPost, ID: "ab", Version: 1, Audience: "c", Data: []byte("{}")},
	} {
		s := string(c.SigningBytes())
		if seen[s] {
			t.Errorf("%+v has the signed form of another", c)
		}
		seen[s] = true
	}
}

func FuzzParseCertsOnly(f *testing.F) {
	body, err := EncodeCertsOnly(testCA(f, "a"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte("MIIB"))
	f.Fuzz(func(t *testing.T, b []byte) {
		certs, err := ParseCertsOnly(b)
		if (err == nil) != (len(certs) > 0) {
			t.Errorf("%d certificates and error %v", len(certs), err)
		}
	})
}

func FuzzParseEnrolCode(f *testing.F) {
	f.Add("ABCD-EFGH-IJKL-MNOP-QRST")
	f.Add("abcd efgh 1jkl mn0p qr8t")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseEnrolCode(s)
		if err != nil {
			return
		}
		if again, err := ParseEnrolCode(c.String()); err != nil || again != c {
			t.Errorf("%q does not read back", c.String())
		}
	})
}

func FuzzParseUploadMetadata(f *testing.F) {
	f.Add(UploadMetadata{Case: "0198c0de-0000-7000-8000-000000000000", Revision: 1, Name: "1-01.sealed", Digest: strings.Repeat("0", 64)}.String())
	f.Add("case ,revision MQ==")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseUploadMetadata(s)
		if err != nil {
			return
		}
		if again, err := ParseUploadMetadata(m.String()); err != nil || again != m {
			t.Errorf("%+v does not read back", m)
		}
	})
}

func FuzzChecksumAndDigest(f *testing.F) {
	f.Add(Checksum([32]byte{1}), strings.Repeat("0a", 32))
	f.Fuzz(func(t *testing.T, sum, digest string) {
		if s, err := ParseChecksum(sum); err == nil {
			if again, err := ParseChecksum(Checksum(s)); err != nil || again != s {
				t.Errorf("checksum %q does not read back", sum)
			}
		}
		if d, err := ParseDigest(digest); err == nil && Hex(d) != digest {
			t.Errorf("digest %q does not read back", digest)
		}
	})
}
