package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"testing"
)

// The openssl of Debian 12 has SM4 only in ECB, CBC, CTR, CFB and OFB. So the
// modes that seal uses are built here anew, on openssl's block cipher, from the
// words of their standards and bit by bit: nothing of gmsm is in it.

// ecb encrypts whole blocks with openssl.
func (c cli) ecb(key, blocks []byte) []byte {
	c.t.Helper()
	return c.must(blocks, "enc", "-sm4-ecb", "-nopad", "-K", hex.EncodeToString(key))
}

// times is the product of two blocks in GF(2^128) as GCM takes them (NIST SP
// 800-38D §6.3): the leftmost bit is the lowest power.
func times(x, y [16]byte) (z [16]byte) {
	v := y
	for i := range 128 {
		if x[i/8]>>(7-i%8)&1 == 1 {
			for k := range z {
				z[k] ^= v[k]
			}
		}
		v = shifted(v)
	}
	return z
}

// shifted is a block times the polynomial x, in the same order of bits.
func shifted(v [16]byte) (out [16]byte) {
	low := v[15] & 1
	for k := 15; k > 0; k-- {
		out[k] = v[k]>>1 | v[k-1]<<7
	}
	out[0] = v[0] >> 1
	if low == 1 {
		out[0] ^= 0xe1
	}
	return out
}

// ghash is GHASH (NIST SP 800-38D §6.4) of associated data and ciphertext.
func ghash(h [16]byte, aad, text []byte) (y [16]byte) {
	pad := func(b []byte) []byte { return append(bytes.Clone(b), make([]byte, (16-len(b)%16)%16)...) }
	all := append(pad(aad), pad(text)...)
	all = binary.BigEndian.AppendUint64(all, uint64(8*len(aad)))
	all = binary.BigEndian.AppendUint64(all, uint64(8*len(text)))
	for ; len(all) > 0; all = all[16:] {
		for k := range y {
			y[k] ^= all[k]
		}
		y = times(y, h)
	}
	return y
}

func TestGCMWithOpenSSL(t *testing.T) {
	c := openssl(t)
	for _, n := range []int{0, 1, 15, 16, 17, 64, 1000, 5000} {
		k := newKey(t)
		plain, aad := make([]byte, n), AAD("cunban case 1", "body", "x")
		_, _ = rand.Read(plain) // never fails
		sealed, err := Seal(rand.Reader, k, plain, aad)
		if err != nil {
			t.Fatal(err)
		}
		counter := append(bytes.Clone(sealed[1:1+nonceSize]), 0, 0, 0, 2)
		text := []byte{}
		if n > 0 {
			text = c.must(plain, "enc", "-sm4-ctr", "-nopad", "-K", hex.EncodeToString(k.Bytes()), "-iv", hex.EncodeToString(counter))
		}
		if got := sealed[1+nonceSize : len(sealed)-tagSize]; !bytes.Equal(got, text) {
			t.Errorf("%d bytes: ciphertext %x, openssl %x", n, got, text)
		}
		counter[15] = 1
		blocks := c.ecb(k.Bytes(), append(make([]byte, 16), counter...))
		tag := ghash([16]byte(blocks[:16]), bind(aad), text)
		for i := range tag {
			tag[i] ^= blocks[16+i]
		}
		if got := sealed[len(sealed)-tagSize:]; !bytes.Equal(got, tag[:]) {
			t.Errorf("%d bytes: tag %x, by openssl's blocks %x", n, got, tag)
		}
	}
}

// TestSectorsWithOpenSSL: XTS of GB/T 17964-2021, which orders the bits of the
// tweak as GCM does (IEEE 1619 does not).
func TestSectorsWithOpenSSL(t *testing.T) {
	c := openssl(t)
	key := make([]byte, SectorKeySize)
	_, _ = rand.Read(key)
	s, err := NewSectors(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, sector := range []uint64{0, 1, 255, 256, 1 << 40} {
		plain, got := make([]byte, 4096), make([]byte, 4096)
		_, _ = rand.Read(plain)
		s.Encrypt(got, plain, sector)
		number := make([]byte, 16)
		binary.LittleEndian.PutUint64(number, sector)
		tweak := [16]byte(c.ecb(key[KeySize:], number))
		var tweaks []byte
		for range len(plain) / 16 {
			tweaks = append(tweaks, tweak[:]...)
			tweak = shifted(tweak)
		}
		xor := func(a, b []byte) []byte {
			out := make([]byte, len(a))
			for i := range a {
				out[i] = a[i] ^ b[i]
			}
			return out
		}
		if want := xor(c.ecb(key[:KeySize], xor(plain, tweaks)), tweaks); !bytes.Equal(got, want) {
			t.Errorf("sector %d: %x…, by openssl's blocks %x…", sector, got[:16], want[:16])
		}
	}
}
