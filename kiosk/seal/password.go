package seal

import (
	"crypto/pbkdf2"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/emmansun/gmsm/sm3"
)

const (
	pinScheme     = "pbkdf2-sm3"
	pinIterations = 60_000
	pinMaxIter    = 1_000_000 // bounds what a hash from upstream may cost
	pinSalt       = 16
)

// PasswordHash makes a salted slow hash of a PIN or password (PBKDF2 with
// HMAC-SM3, RFC 8018), about 0.1 s on a terminal:
//
//	pbkdf2-sm3$<iterations>$<salt base64>$<hash base64>
func PasswordHash(rand io.Reader, password string) (string, error) {
	salt := make([]byte, pinSalt)
	if _, err := io.ReadFull(rand, salt); err != nil {
		return "", fmt.Errorf("password salt: %w", err)
	}
	h, err := pbkdf2.Key(sm3.New, password, salt, pinIterations, DigestSize)
	if err != nil {
		return "", fmt.Errorf("password hash: %w", err)
	}
	e := base64.RawStdEncoding
	return strings.Join([]string{pinScheme, strconv.Itoa(pinIterations), e.EncodeToString(salt), e.EncodeToString(h)}, "$"), nil
}

// CheckPassword reports whether a hash is that of the password. A hash it
// cannot read matches nothing.
func CheckPassword(hash, password string) bool {
	f := strings.Split(hash, "$")
	if len(f) != 4 || f[0] != pinScheme {
		return false
	}
	n, err := strconv.Atoi(f[1])
	if err != nil || n < 1 || n > pinMaxIter {
		return false
	}
	e := base64.RawStdEncoding
	salt, err1 := e.DecodeString(f[2])
	want, err2 := e.DecodeString(f[3])
	if err1 != nil || err2 != nil || len(want) != DigestSize {
		return false
	}
	got, err := pbkdf2.Key(sm3.New, password, salt, n, DigestSize)
	return err == nil && Equal(got, want)
}
